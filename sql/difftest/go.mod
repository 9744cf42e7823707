module github.com/byokdb/byokdb/sql/difftest

go 1.26.0

require github.com/byokdb/byokdb v0.0.0

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/klauspost/compress v1.20.2 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
)

require (
	github.com/google/btree v1.1.3 // indirect
	github.com/mattn/go-sqlite3 v1.14.53
	github.com/sqlc-dev/meyer v0.1.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/byokdb/byokdb => ../..
