package toolstest

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/migrate"
)

type shop struct {
	bun.BaseModel `bun:"table:shops,alias:s"`

	ID    int64   `bun:"id,pk,autoincrement"`
	Name  string  `bun:"name,notnull,unique"`
	Items []*item `bun:"rel:has-many,join:id=shop_id"`
}

type item struct {
	bun.BaseModel `bun:"table:items,alias:i"`

	ID      int64             `bun:",pk,autoincrement"`
	ShopID  int64             `bun:",notnull"`
	Shop    *shop             `bun:"rel:belongs-to,join:shop_id=id"`
	Name    string            `bun:",notnull"`
	Price   float64           `bun:"type:real"`
	Tags    []string          `bun:",type:json"`
	Attrs   map[string]string `bun:"type:json"`
	Sold    bool
	Added   time.Time    `bun:",nullzero,notnull,default:current_timestamp"`
	Removed sql.NullTime `bun:"removed"`
}

func TestBun(t *testing.T) {
	Both(t, func(l *Life) {
		ctx := context.Background()
		db := bun.NewDB(l.DB, sqlitedialect.New())
		bunMigrate(ctx, l, db)
		bunInsert(ctx, l, db)
		bunQuery(ctx, l, db)
		bunChange(ctx, l, db)
	})
}

func bunMigrate(ctx context.Context, l *Life, db *bun.DB) {
	list := migrate.NewMigrations()
	list.Add(migrate.Migration{
		Name: "20260101000000", Comment: "tables",
		Up: func(ctx context.Context, _ *migrate.Migrator, _ *migrate.Migration) error {
			_, err := db.NewCreateTable().Model((*shop)(nil)).IfNotExists().Exec(ctx)
			if err == nil {
				_, err = db.NewCreateTable().Model((*item)(nil)).IfNotExists().Exec(ctx)
			}
			if err == nil {
				_, err = db.NewCreateIndex().Model((*item)(nil)).Index("items_shop").Column("shop_id", "name").Exec(ctx)
			}
			return err
		},
		Down: func(ctx context.Context, _ *migrate.Migrator, _ *migrate.Migration) error {
			_, err := db.NewDropTable().Model((*item)(nil)).Exec(ctx)
			return err
		},
	})
	list.Add(migrate.Migration{
		Name: "20260102000000", Comment: "column",
		Up: func(ctx context.Context, _ *migrate.Migrator, _ *migrate.Migration) error {
			_, err := db.NewAddColumn().Model((*item)(nil)).ColumnExpr("weight INTEGER NOT NULL DEFAULT 1").Exec(ctx)
			return err
		},
		Down: func(ctx context.Context, _ *migrate.Migrator, _ *migrate.Migration) error {
			_, err := db.NewDropColumn().Model((*item)(nil)).Column("weight").Exec(ctx)
			return err
		},
	})
	m := migrate.NewMigrator(db, list)
	l.Must(m.Init(ctx))
	group, err := m.Migrate(ctx)
	l.Must(err)
	l.See("migrated %d", len(group.Migrations))
	group, err = m.Rollback(ctx)
	l.Must(err)
	l.See("rolled back %d", len(group.Migrations))
	l.Query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1")
	_, err = m.Migrate(ctx)
	l.Must(err)
	status, err := m.MigrationsWithStatus(ctx)
	l.Must(err)
	l.See("applied %d", len(status.Applied()))
}

func bunInsert(ctx context.Context, l *Life, db *bun.DB) {
	shops := []*shop{{Name: "north"}, {Name: "south"}}
	_, err := db.NewInsert().Model(&shops).Exec(ctx)
	l.Must(err)
	added := time.Date(2026, 11, 23, 8, 30, 15, 123456789, time.UTC)
	items := []item{
		{ShopID: shops[0].ID, Name: "axe", Price: 12.5, Tags: []string{"a", "b"}, Attrs: map[string]string{"k": "it's"}, Added: added},
		{ShopID: shops[0].ID, Name: "bow", Price: 8, Sold: true, Removed: sql.NullTime{Time: added, Valid: true}},
		{ShopID: shops[1].ID, Name: "cup", Price: 0.25},
	}
	_, err = db.NewInsert().Model(&items).Returning("id, added").Exec(ctx)
	l.Must(err)
	for _, it := range items {
		l.See("%d %v", it.ID, !it.Added.IsZero())
	}
	_, err = db.NewInsert().Model(&shop{Name: "north"}).Exec(ctx)
	l.Fails("taken", errors.New(strings.TrimSuffix(err.Error(), " (2067)")))
	up := &shop{Name: "north"}
	_, err = db.NewInsert().Model(up).On("CONFLICT (name) DO UPDATE").Set("name = EXCLUDED.name || '!'").Returning("id, name").Exec(ctx)
	l.Must(err)
	l.See("%d %s", up.ID, up.Name)
	_, err = db.NewInsert().Model(&shop{Name: "south"}).Ignore().Exec(ctx)
	l.Must(err)
}

func bunQuery(ctx context.Context, l *Life, db *bun.DB) {
	var shops []shop
	l.Must(db.NewSelect().Model(&shops).Relation("Items", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("i.price") }).Order("s.id").Scan(ctx))
	for _, s := range shops {
		l.See("%d %s", s.ID, s.Name)
		for _, it := range s.Items {
			l.See("  %d %s %v %q %v %v %v", it.ID, it.Name, it.Price, it.Tags, it.Attrs, it.Sold, it.Removed.Time.UTC())
		}
	}
	var items []item
	n, err := db.NewSelect().Model(&items).Relation("Shop").Where("i.price > ?", 1).WhereOr("i.name IN ?", bun.Tuple([]string{"cup"})).Order("i.id").Limit(2).ScanAndCount(ctx)
	l.Must(err)
	for _, it := range items {
		l.See("%s of %s, one of %d", it.Name, it.Shop.Name, n)
	}
	var sums []struct {
		Name string
		Sum  float64
	}
	sub := db.NewSelect().Model((*item)(nil)).Column("shop_id").ColumnExpr("sum(price) AS sum").Group("shop_id")
	l.Must(db.NewSelect().With("t", sub).TableExpr("t").Join("JOIN shops AS s ON s.id = t.shop_id").Column("s.name", "t.sum").Order("s.name").Scan(ctx, &sums))
	l.See("%v", sums)
	ok, err := db.NewSelect().Model((*item)(nil)).Where("name = ?", "axe").Exists(ctx)
	l.Must(err)
	l.See("exists %v", ok)
	var names []string
	l.Must(db.NewSelect().Model((*item)(nil)).Column("name").Where("json_extract(tags, '$[0]') = ?", "a").Scan(ctx, &names))
	l.See("%v", names)
	var row map[string]any
	l.Must(db.NewRaw("SELECT name, price FROM items WHERE id = ?", 1).Scan(ctx, &row))
	l.See("%v %v", row["name"], row["price"])
}

func bunChange(ctx context.Context, l *Life, db *bun.DB) {
	res, err := db.NewUpdate().Model((*item)(nil)).Set("price = price * ?", 2).Where("sold = ?", false).Exec(ctx)
	l.Must(err)
	n, err := res.RowsAffected()
	l.Must(err)
	l.See("updated %d", n)
	values := []item{{ID: 1, Price: 100}, {ID: 2, Price: 200}}
	_, err = db.NewUpdate().With("_data", db.NewValues(&values)).Model((*item)(nil)).TableExpr("_data").Set("price = _data.price").Where("i.id = _data.id").Exec(ctx)
	l.Must(err)
	stop := errors.New("stop")
	err = db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewDelete().Model((*item)(nil)).Where("id = 1").Exec(ctx); err != nil {
			return err
		}
		inner := tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { // a savepoint
			_, err := tx.NewDelete().Model((*item)(nil)).Where("TRUE").Exec(ctx)
			return errors.Join(err, stop)
		})
		l.See("inner %v", inner)
		return nil
	})
	l.Must(err)
	var gone []item
	_, err = db.NewDelete().Model(&gone).Where("price >= ?", 200).Returning("id, name").Exec(ctx)
	l.Must(err)
	for _, it := range gone {
		l.See("gone %d %s", it.ID, it.Name)
	}
	_, err = db.NewDropIndex().Index("items_shop").Exec(ctx)
	l.Must(err)
	_, err = db.NewTruncateTable().Model((*shop)(nil)).Exec(ctx)
	l.Must(err)
}
