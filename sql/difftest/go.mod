module github.com/byokdb/byokdb/sql/difftest

go 1.26.0

require github.com/byokdb/byokdb v0.0.0

require github.com/mattn/go-sqlite3 v1.14.53

replace github.com/byokdb/byokdb => ../..
