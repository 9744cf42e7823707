package toolstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/byokdb/byokdb/sql/gormdialect"
)

type company struct {
	ID    uint
	Name  string `gorm:"uniqueIndex;not null"`
	Users []person
}

type language struct {
	ID   uint
	Code string `gorm:"unique"`
}

type person struct {
	gorm.Model
	Name      string  `gorm:"not null;default:'anon'"`
	Email     *string `gorm:"uniqueIndex"`
	Age       uint8   `gorm:"check:age_ok,age < 200;index:idx_age_name,priority:1"`
	Nick      string  `gorm:"size:64;index:idx_age_name,priority:2"`
	Birthday  *time.Time
	Active    bool
	Score     float64
	Photo     []byte
	CompanyID *uint
	Company   *company
	Languages []language     `gorm:"many2many:person_languages"`
	Notes     map[string]any `gorm:"serializer:json"`
}

// person2 is a later version of person: a column more, one with another type,
// one that cannot be NULL any more, an index and a constraint more.
type person2 struct {
	gorm.Model
	Name      string  `gorm:"not null;default:'nobody'"`
	Email     *string `gorm:"uniqueIndex"`
	Age       uint8   `gorm:"check:age_ok,age < 200;index:idx_age_name,priority:1"`
	Nick      string  `gorm:"type:varchar(128);index:idx_age_name,priority:2"`
	Birthday  *time.Time
	Active    bool
	Score     float64 `gorm:"check:score_ok,score >= 0"`
	Photo     []byte
	CompanyID *uint
	Country   string         `gorm:"not null;default:'zz';index"`
	Notes     map[string]any `gorm:"serializer:json"`
}

func (person2) TableName() string { return "people" }

// TestGORM has GORM live with our dialect on byokdb and on SQLite.
func TestGORM(t *testing.T) {
	Both(t, func(l *Life) { gormLife(l, gormdialect.New(l.DB)) })
}

func TestGORMWithForeignKeys(t *testing.T) {
	BothWith(t, foreignKeys, func(l *Life) { gormLife(l, gormdialect.New(l.DB)) })
}

// TestGORMStockDialect has the same life with GORM's own dialect on SQLite: a
// program that changes from one to the other sees the same rows. What a dialect
// writes into the definitions is its own.
func TestGORMStockDialect(t *testing.T) {
	var ours, stock *Life
	t.Run("byokdb", func(t *testing.T) {
		ours = open(t, "byokdb", byokdbDSN(t))
		gormLife(ours, gormdialect.New(ours.DB))
	})
	t.Run("SQLite", func(t *testing.T) {
		stock = open(t, "sqlite3", sqliteDSN(t))
		gormLife(stock, sqlite.New(sqlite.Config{Conn: stock.DB}))
	})
	if !t.Failed() {
		compare(t, ours.seen, stock.seen)
	}
}

func gormLife(l *Life, d gorm.Dialector) {
	db, err := gorm.Open(d, &gorm.Config{
		Logger:         logger.Discard,
		TranslateError: true,
		NowFunc:        func() time.Time { return time.Date(2026, 11, 23, 8, 30, 15, 123_000_000, time.UTC) },
	})
	l.Must(err)
	l.Must(db.AutoMigrate(&company{}, &language{}, &person{}))
	gormInsert(l, db)
	gormQuery(l, db)
	gormChange(l, db)
	gormTransactions(l, db)
	gormAlter(l, db)
}

func gormInsert(l *Life, db *gorm.DB) {
	mail := func(s string) *string { return &s }
	born := time.Date(1990, 2, 28, 23, 59, 59, 999_999_000, time.UTC)
	ann := person{
		Name: "ann", Email: mail("ann@example.com"), Age: 36, Nick: "a", Birthday: &born, Active: true, Score: 1.25, Photo: []byte{0, 1, 255},
		Company: &company{Name: "acme"}, Languages: []language{{Code: "de"}, {Code: "en"}}, Notes: map[string]any{"k": []any{1.0, "x"}},
	}
	l.Must(db.Create(&ann).Error)
	l.See("ann is %d of company %d", ann.ID, *ann.CompanyID)
	// Rows of which one has a value for a column with a default, and the other not.
	more := []person{{Name: "bob", Age: 20}, {Age: 30, Email: mail("c@example.com")}, {Name: "dee", Age: 41, CompanyID: ann.CompanyID}}
	l.Must(db.Create(&more).Error)
	for _, p := range more {
		l.See("created %d", p.ID)
	}
	many := make([]language, 250)
	for i := range many {
		many[i].Code = fmt.Sprintf("l%03d", i)
	}
	l.Must(db.CreateInBatches(many, 100).Error)
	err := db.Create(&person{Name: "eve", Email: mail("ann@example.com")}).Error
	if l.Ours && !errors.Is(err, gorm.ErrDuplicatedKey) {
		l.Errorf("a second ann: %v", err)
	}
	l.See("a second ann fails: %v", err != nil)
	err = db.Create(&person{Name: "old", Age: 250}).Error
	if l.Ours && !errors.Is(err, gorm.ErrCheckConstraintViolated) {
		l.Errorf("too old: %v", err)
	}
	l.See("too old fails: %v", err != nil)
	up := company{Name: "acme"}
	l.Must(db.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "name"}}, DoUpdates: clause.Assignments(map[string]any{"name": "ACME"})}).Create(&up).Error)
	l.See("upsert gives %d", up.ID)
	l.Must(db.Clauses(clause.OnConflict{DoNothing: true}).Create(&company{Name: "ACME"}).Error)
	var first company
	l.Must(db.FirstOrCreate(&first, company{Name: "other"}).Error)
	l.See("first or created %d", first.ID)
}

func gormQuery(l *Life, db *gorm.DB) {
	var people []person
	l.Must(db.Preload("Languages", func(tx *gorm.DB) *gorm.DB { return tx.Order("code") }).Joins("Company").Order("people.id").Find(&people).Error)
	for _, p := range people {
		name, mail := "", ""
		if p.Company != nil {
			name = p.Company.Name
		}
		if p.Email != nil {
			mail = *p.Email
		}
		l.See("%d %s %s %d %v %v %x %s %v %d %v", p.ID, p.Name, mail, p.Age, p.Active, p.Score, p.Photo, name, p.Birthday, len(p.Languages), p.Notes)
	}
	var n int64
	l.Must(db.Model(&person{}).Where("age BETWEEN ? AND ?", 20, 36).Count(&n).Error)
	l.See("%d between", n)
	var groups []struct {
		CompanyID *uint
		N         int
		Oldest    int
	}
	l.Must(db.Model(&person{}).Select("company_id, count(*) AS n, max(age) AS oldest").Group("company_id").Having("count(*) > ?", 0).Order("company_id").Scan(&groups).Error)
	for _, g := range groups {
		l.See("group %v %d %d", g.CompanyID != nil, g.N, g.Oldest)
	}
	var names []string
	l.Must(db.Model(&person{}).Where("id IN (?)", db.Model(&person{}).Select("id").Where("age > ?", 25)).Order("name DESC").Limit(2).Offset(1).Pluck("name", &names).Error)
	l.See("%v", names)
	l.Must(db.Model(&person{}).Distinct("nick").Order("nick").Pluck("nick", &names).Error)
	l.See("%q", names)
	var p person
	l.See("none: %v", errors.Is(db.First(&p, "name = ?", "nobody").Error, gorm.ErrRecordNotFound))
	l.Must(db.Clauses(clause.Locking{Strength: "UPDATE"}).First(&p, "name = @name", map[string]any{"name": "ann"}).Error)
	l.See("first %d %s", p.ID, p.Name)
	l.See("%d languages", db.Model(&p).Association("Languages").Count())
	l.Must(db.Model(&p).Association("Languages").Append(&language{Code: "fr"}))
	l.Must(db.Model(&p).Association("Languages").Delete(&language{ID: 1}))
	l.See("%d languages", db.Model(&p).Association("Languages").Count())
	rows, err := db.Model(&person{}).Order("id").Rows()
	l.Must(err)
	for rows.Next() {
		var p person
		l.Must(db.ScanRows(rows, &p))
		l.See("row %d", p.ID)
	}
	l.Must(errors.Join(rows.Err(), rows.Close()))
	l.Must(db.Order("id").FindInBatches(&people, 2, func(tx *gorm.DB, batch int) error {
		l.See("batch %d of %d", batch, len(people))
		return nil
	}).Error)
}

func gormChange(l *Life, db *gorm.DB) {
	res := db.Model(&person{}).Where("age > ?", 25).Updates(map[string]any{"score": gorm.Expr("score + ?", 1), "active": true})
	l.Must(res.Error)
	l.See("updated %d", res.RowsAffected)
	var back []person
	l.Must(db.Model(&back).Clauses(clause.Returning{Columns: []clause.Column{{Name: "id"}, {Name: "score"}}}).Where("active = ?", true).Update("nick", "n").Error)
	for _, p := range back {
		l.See("returned %d %v", p.ID, p.Score)
	}
	var p person
	l.Must(db.First(&p, "name = ?", "bob").Error)
	p.Nick = "bobby"
	l.Must(db.Save(&p).Error)
	res = db.Delete(&p)
	l.Must(res.Error)
	l.See("deleted %d softly", res.RowsAffected)
	var n int64
	l.Must(db.Model(&person{}).Count(&n).Error)
	l.See("%d left", n)
	l.Must(db.Unscoped().Model(&person{}).Count(&n).Error)
	l.See("%d in truth", n)
	res = db.Unscoped().Delete(&p)
	l.See("deleted %d for good", res.RowsAffected)
}

func gormTransactions(l *Life, db *gorm.DB) {
	stop := errors.New("stop")
	err := db.Transaction(func(tx *gorm.DB) error {
		l.Must(tx.Create(&company{Name: "in"}).Error)
		inner := tx.Transaction(func(tx *gorm.DB) error { // a savepoint
			l.Must(tx.Create(&company{Name: "inner"}).Error)
			return stop
		})
		l.See("inner %v", inner)
		l.Must(tx.Create(&company{Name: "in2"}).Error)
		return nil
	})
	l.See("outer %v", err)
	err = db.Transaction(func(tx *gorm.DB) error {
		l.Must(tx.Create(&company{Name: "gone"}).Error)
		return stop
	})
	l.See("rolled back %v", err)
	tx := db.WithContext(context.Background()).Begin()
	l.Must(tx.Create(&company{Name: "sp0"}).Error)
	l.Must(tx.SavePoint("a").Error)
	l.Must(tx.Create(&company{Name: "sp1"}).Error)
	l.Must(tx.RollbackTo("a").Error)
	l.Must(tx.Create(&company{Name: "sp2"}).Error)
	l.Must(tx.Commit().Error)
	var names []string
	l.Must(db.Model(&company{}).Order("id").Pluck("name", &names).Error)
	l.See("%v", names)
	prepared := db.Session(&gorm.Session{PrepareStmt: true})
	for i := range 3 {
		var c company
		l.Must(prepared.First(&c, "id > ?", i).Error)
		l.See("prepared %s", c.Name)
	}
}

func gormAlter(l *Life, db *gorm.DB) {
	m := db.Migrator()
	l.Must(db.AutoMigrate(&company{}, &language{}, &person{})) // nothing to do
	l.Must(db.AutoMigrate(&person2{}))
	l.Must(db.AutoMigrate(&person2{}))
	l.See("has country %v, index %v, constraint %v", m.HasColumn(&person2{}, "Country"), m.HasIndex(&person2{}, "Country"), m.HasConstraint(&person2{}, "score_ok"))
	l.See("has table %v, %v, old constraint %v", m.HasTable("people"), m.HasTable("nowhere"), m.HasConstraint(&person2{}, "age_ok"))
	gormColumns(l, db)
	err := db.Create(&person2{Name: "bad", Score: -1}).Error
	l.See("negative score fails: %v", err != nil)
	l.Must(m.DropConstraint(&person2{}, "score_ok"))
	l.Must(db.Create(&person2{Name: "negative", Score: -1}).Error)
	l.Must(m.RenameColumn(&person2{}, "nick", "nickname"))
	l.See("nick %v, nickname %v", m.HasColumn("people", "nick"), m.HasColumn("people", "nickname"))
	l.Must(m.RenameColumn("people", "nickname", "nick"))
	l.Must(m.DropColumn(&person2{}, "Country"))
	l.See("country %v", m.HasColumn(&person2{}, "Country"))
	l.Must(m.AddColumn(&person2{}, "Country"))
	l.Must(m.RenameIndex(&company{}, "idx_companies_name", "company_names"))
	l.See("renamed %v, old %v", m.HasIndex("companies", "company_names"), m.HasIndex("companies", "idx_companies_name"))
	l.Must(m.DropIndex("companies", "company_names"))
	l.Must(m.RenameTable("companies", "firms"))
	l.See("firms %v, companies %v", m.HasTable("firms"), m.HasTable("companies"))
	l.Must(m.RenameTable("firms", "companies"))
	l.Must(m.CreateView("grown", gorm.ViewOption{Query: db.Model(&person2{}).Where("age > ?", 18)}))
	var n int64
	l.Must(db.Table("grown").Count(&n).Error)
	l.See("%d grown", n)
	l.Must(m.DropView("grown"))
	tables, err := m.GetTables()
	l.Must(err)
	tables = slices.DeleteFunc(tables, func(n string) bool { return strings.HasPrefix(n, "sqlite_") })
	slices.Sort(tables)
	l.See("tables %v", tables)
	l.Must(m.DropTable("person_languages", &language{}))
	l.See("languages %v", m.HasTable(&language{}))
	var people []person2
	l.Must(db.Unscoped().Order("id").Find(&people).Error)
	for _, p := range people {
		l.See("%d %s %q %s %v %v", p.ID, p.Name, p.Nick, p.Country, p.Score, p.CreatedAt.UTC())
	}
}

func gormColumns(l *Life, db *gorm.DB) {
	cols, err := db.Migrator().ColumnTypes(&person2{})
	l.Must(err)
	for _, c := range cols {
		typ, _ := c.ColumnType()
		length, hasLength := c.Length()
		nullable, _ := c.Nullable()
		primary, _ := c.PrimaryKey()
		unique, _ := c.Unique()
		def, hasDef := c.DefaultValue()
		l.See("column %s %s %d %v null=%v pk=%v unique=%v %s %v", c.Name(), strings.ToLower(typ), length, hasLength, nullable, primary, unique, def, hasDef)
	}
}
