package toolstest

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/schema/field"

	"github.com/byokdb/byokdb/sql/toolstest/ent"
	"github.com/byokdb/byokdb/sql/toolstest/ent/migrate"
	"github.com/byokdb/byokdb/sql/toolstest/ent/pet"
	"github.com/byokdb/byokdb/sql/toolstest/ent/user"
)

// TestEnt lives by the code that ent generated. ent demands that foreign keys
// are enforced.
func TestEnt(t *testing.T) {
	BothWith(t, foreignKeys, func(l *Life) {
		ctx := context.Background()
		c := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.SQLite, l.DB)))
		l.Must(c.Schema.Create(ctx))
		l.Must(c.Schema.Create(ctx)) // nothing to do
		entInsert(ctx, l, c)
		entQuery(ctx, l, c)
		entChange(ctx, l, c)
		entAlter(ctx, l, c)
	})
}

func entInsert(ctx context.Context, l *Life, c *ent.Client) {
	at := time.Date(2026, 11, 23, 8, 30, 15, 123456000, time.UTC)
	ann, err := c.User.Create().SetAge(36).SetName("ann").SetEmail("a@example.com").SetCreatedAt(at).SetTags([]string{"x", "y"}).SetRole(user.RoleAdmin).SetBlob([]byte{0, 255}).Save(ctx)
	l.Must(err)
	l.See("ann is %d", ann.ID)
	bulk, err := c.User.CreateBulk(
		c.User.Create().SetAge(20).SetCreatedAt(at),
		c.User.Create().SetAge(30).SetName("cat").SetActive(false).SetScore(1.5).SetCreatedAt(at),
	).Save(ctx)
	l.Must(err)
	for _, u := range bulk {
		l.See("%d %s %v %s", u.ID, u.Name, u.Active, u.Role)
	}
	pets, err := c.Pet.CreateBulk(c.Pet.Create().SetName("rex").SetOwner(ann), c.Pet.Create().SetName("tom"), c.Pet.Create().SetName("kit").SetOwner(bulk[0])).Save(ctx)
	l.Must(err)
	l.See("%d pets", len(pets))
	l.Must(ann.Update().AddFriends(bulk...).Exec(ctx))
	_, err = c.User.Create().SetAge(1).SetEmail("a@example.com").SetCreatedAt(at).Save(ctx)
	l.See("a taken address: constraint %v", ent.IsConstraintError(err))
	_, err = c.Pet.Create().SetName("stray").SetOwnerID(99).Save(ctx)
	l.See("no such owner: constraint %v", ent.IsConstraintError(err))
	_, err = c.User.Create().SetAge(-1).Save(ctx)
	l.See("a negative age: validation %v", ent.IsValidationError(err))
	id, err := c.User.Create().SetAge(37).SetName("ann").SetEmail("a@example.com").SetCreatedAt(at).OnConflictColumns(user.FieldEmail).UpdateNewValues().ID(ctx)
	l.Must(err)
	l.See("upsert gives %d", id)
	err = c.User.Create().SetAge(37).SetEmail("a@example.com").SetCreatedAt(at).OnConflict().DoNothing().Exec(ctx)
	l.See("nothing to do: %v", errors.Is(err, sql.ErrNoRows) || err == nil)
}

func entQuery(ctx context.Context, l *Life, c *ent.Client) {
	users, err := c.User.Query().WithPets(func(q *ent.PetQuery) { q.Order(ent.Asc(pet.FieldName)) }).WithFriends().Order(ent.Asc(user.FieldID)).All(ctx)
	l.Must(err)
	for _, u := range users {
		mail := ""
		if u.Email != nil {
			mail = *u.Email
		}
		l.See("%d %d %s %s %v %v %s %v %v %x: %d pets, %d friends", u.ID, u.Age, u.Name, mail, u.CreatedAt.UTC(), u.Active, u.Role, u.Tags, u.Score, u.Blob, len(u.Edges.Pets), len(u.Edges.Friends))
	}
	n, err := c.User.Query().Where(user.NameEqualFold("ANN"), user.RoleIn(user.RoleAdmin, user.RoleUser), user.HasPetsWith(pet.Name("rex"))).Count(ctx)
	l.Must(err)
	l.See("%d with rex", n)
	n, err = c.User.Query().Where(user.Or(user.EmailIsNil(), user.AgeGT(35)), user.NameContains("n")).Count(ctx)
	l.Must(err)
	l.See("%d without an address or old", n)
	var groups []struct {
		Active bool
		Count  int
		Sum    int
	}
	l.Must(c.User.Query().GroupBy(user.FieldActive).Aggregate(ent.Count(), ent.Sum(user.FieldAge)).Scan(ctx, &groups))
	l.See("%d groups", len(groups))
	names, err := c.Pet.Query().Where(pet.HasOwner()).Order(pet.ByOwnerField(user.FieldAge), pet.ByName()).Select(pet.FieldName).Strings(ctx)
	l.Must(err)
	l.See("%v", names)
	owner, err := c.Pet.Query().Where(pet.Name("kit")).QueryOwner().Only(ctx)
	l.Must(err)
	l.See("kit belongs to %d", owner.ID)
	_, err = c.User.Get(ctx, 77)
	l.See("nobody: %v", ent.IsNotFound(err))
	_, err = c.User.Query().Only(ctx)
	l.See("not singular: %v", ent.IsNotSingular(err))
	rows, err := c.QueryContext(ctx, "SELECT count(*) FROM user_friends")
	l.Must(err)
	count, err := entsql.ScanInt(rows)
	l.Must(err)
	l.Must(rows.Close())
	l.See("%d friends", count)
}

func entChange(ctx context.Context, l *Life, c *ent.Client) {
	n, err := c.User.Update().Where(user.AgeLT(36)).AddAge(1).SetActive(true).Save(ctx)
	l.Must(err)
	l.See("updated %d", n)
	u, err := c.User.UpdateOneID(1).ClearEmail().AppendTags([]string{"z"}).Save(ctx)
	l.Must(err)
	l.See("%v %v", u.Email == nil, u.Tags)
	tx, err := c.Tx(ctx)
	l.Must(err)
	l.Must(tx.Pet.Create().SetName("ghost").Exec(ctx))
	l.Must(tx.Rollback())
	tx, err = c.Tx(ctx)
	l.Must(err)
	l.Must(tx.Pet.Update().Where(pet.Name("tom")).SetName("tim").Exec(ctx))
	l.Must(tx.Commit())
	l.Must(c.User.DeleteOneID(2).Exec(ctx)) // cascades to friends, sets the pet's owner to NULL
	n, err = c.Pet.Query().Where(pet.Not(pet.HasOwner())).Count(ctx)
	l.Must(err)
	l.See("%d without an owner", n)
	n, err = c.Pet.Delete().Where(pet.Name("nobody")).Exec(ctx)
	l.Must(err)
	l.See("deleted %d", n)
}

// entAlter migrates to a schema with a column less, one more, and one that takes
// NULL no more: ent makes the table anew for the last.
func entAlter(ctx context.Context, l *Life, c *ent.Client) {
	l.Must(c.User.Update().Where(user.ScoreIsNil()).SetScore(0).Exec(ctx))
	drv := entsql.OpenDB(dialect.SQLite, l.DB)
	m, err := schema.NewMigrate(drv, schema.WithDropColumn(true), schema.WithDropIndex(true))
	l.Must(err)
	users := *migrate.UsersTable
	users.Columns = nil
	for _, col := range migrate.UsersTable.Columns {
		switch copied := *col; col.Name {
		case user.FieldTags:
		case user.FieldScore:
			copied.Nullable = false
			users.Columns = append(users.Columns, &copied)
		default:
			users.Columns = append(users.Columns, col)
		}
	}
	users.Columns = append(users.Columns, &schema.Column{Name: "nick", Type: field.TypeString, Nullable: true})
	pets := *migrate.PetsTable
	l.Must(m.Create(ctx, &users, &pets))
	l.Query("SELECT id, name, score, nick FROM users ORDER BY id")
}
