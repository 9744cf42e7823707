module github.com/byokdb/byokdb/sql/difftest

go 1.26.0

require github.com/byokdb/byokdb v0.0.0

require (
	github.com/google/btree v1.1.3 // indirect
	github.com/mattn/go-sqlite3 v1.14.53
	github.com/sqlc-dev/meyer v0.1.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/byokdb/byokdb => ../..
