CREATE TABLE t(a)
PRAGMA temp.user_version
PRAGMA temp.application_id
PRAGMA temp.user_version=3
PRAGMA temp.user_version
PRAGMA user_version
BEGIN
PRAGMA temp.user_version=4
ROLLBACK
PRAGMA temp.user_version
PRAGMA temp.application_id = 0x7fffffff
PRAGMA temp.application_id
CREATE TEMP TABLE x(y)
SELECT * FROM x
PRAGMA user_version='12'
PRAGMA user_version
PRAGMA user_version=abc
PRAGMA user_version
PRAGMA user_version=99999999999
PRAGMA user_version
PRAGMA user_version=1.5
PRAGMA user_version
PRAGMA user_version=-7
PRAGMA user_version
PRAGMA user_version=+8
PRAGMA user_version
PRAGMA user_version=0xffffffff
PRAGMA user_version
PRAGMA user_version=0x1ffffffff
PRAGMA user_version
PRAGMA user_version=2147483648
PRAGMA user_version
PRAGMA user_version='12abc'
PRAGMA user_version
PRAGMA user_version=-0x10
PRAGMA user_version
PRAGMA user_version=ON
PRAGMA user_version
PRAGMA query_only
PRAGMA query_only=1
PRAGMA query_only
!! INSERT INTO t VALUES(1)
!! CREATE TABLE z(a)
!! DROP TABLE t
!! UPDATE t SET a=1
!! PRAGMA user_version=9
SELECT * FROM t
BEGIN
!! INSERT INTO t VALUES(1)
COMMIT
PRAGMA query_only=0
INSERT INTO t VALUES(1)
SELECT * FROM t
SELECT sqlite_compileoption_used('SQLITE_THREADSAFE'), sqlite_compileoption_used('threadsafe=1'), sqlite_compileoption_used('nosuch'), sqlite_compileoption_used(NULL), sqlite_compileoption_get(-1), sqlite_compileoption_get(1000)
PRAGMA trusted_schema
PRAGMA trusted_schema=OFF
PRAGMA short_column_names=1
PRAGMA fullfsync=1
SELECT user_version FROM pragma_user_version
!! PRAGMA user_version=0x10zz
PRAGMA user_version
CREATE TABLE ri(a)
CREATE INDEX ria ON ri(a)
CREATE VIEW riv AS SELECT 1
REINDEX
REINDEX ri
REINDEX ria
REINDEX main.ri
REINDEX main.ria
REINDEX nocase
REINDEX BINARY
!! REINDEX main.nocase
!! REINDEX nosuch
!! REINDEX main.nosuch
!! REINDEX nosuch.ri
REINDEX riv
!! REINDEX temp.ri
REINDEX sqlite_master
