CREATE TABLE t(a, b)
@index CREATE INDEX ta ON t(a)
INSERT INTO t VALUES (1, 'main'), (2, 'main')
PRAGMA database_list
SELECT count(*) FROM temp.sqlite_master
SELECT count(*) FROM sqlite_temp_schema
SELECT * FROM pragma_table_list ORDER BY schema, name
CREATE TEMP TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b UNIQUE)
@index CREATE INDEX temp.tb ON t(b, a)
INSERT INTO t(b) VALUES ('temp') RETURNING a, b
SELECT * FROM t
SELECT * FROM main.t ORDER BY a
SELECT * FROM temp.t
SELECT main.t.b, temp.t.b FROM main.t JOIN temp.t ON main.t.a = temp.t.a
SELECT main.t.a + 10 FROM main.t WHERE main.t.a > 1
!! SELECT main.t.a FROM t
!! SELECT temp.t.a FROM main.t
!! SELECT t.a FROM main.t, temp.t
!! SELECT nosuch.t.a FROM t
SELECT (SELECT main.t.b) FROM main.t WHERE main.t.a = 1
SELECT temp.x.a FROM t AS x
UPDATE t SET b = 'other' WHERE a = 1
UPDATE main.t SET b = 'changed' WHERE a = 1
UPDATE temp.t SET b = (SELECT b || '!' FROM main.t WHERE main.t.a = temp.t.a)
SELECT * FROM t
DELETE FROM main.t WHERE a = 2
SELECT * FROM main.t
SELECT * FROM t
!! INSERT INTO t VALUES (9, 'changed!')
INSERT OR REPLACE INTO t VALUES (9, 'changed!')
INSERT INTO temp.t VALUES (9, 'x') ON CONFLICT (a) DO UPDATE SET b = excluded.b
SELECT * FROM t
SELECT * FROM sqlite_sequence
SELECT * FROM temp.sqlite_sequence
!! SELECT * FROM main.sqlite_sequence
UPDATE sqlite_sequence SET seq = 50
INSERT INTO t(b) VALUES ('after') RETURNING a
CREATE TABLE auto(a INTEGER PRIMARY KEY AUTOINCREMENT)
INSERT INTO auto DEFAULT VALUES
SELECT * FROM main.sqlite_sequence
SELECT * FROM sqlite_sequence
DROP TABLE auto
CREATE VIEW v AS SELECT * FROM t
SELECT * FROM v
CREATE TEMP VIEW tv AS SELECT * FROM t
SELECT * FROM tv ORDER BY a
CREATE TEMPORARY VIEW tm(one, two) AS SELECT * FROM main.t
SELECT * FROM tm
SELECT two FROM tm JOIN tv ON one < a ORDER BY a LIMIT 1
!! CREATE VIEW v3 AS SELECT * FROM temp.t
!! CREATE VIEW v3 AS SELECT 1 WHERE EXISTS (SELECT 1 FROM temp.t)
CREATE TABLE x AS SELECT * FROM temp.t WHERE a < 10
SELECT * FROM x
CREATE TEMP TABLE y AS SELECT 1 AS a, 'x' AS b, a AS c FROM x
SELECT * FROM temp.y
!! CREATE TEMP TABLE main.z(a)
CREATE TEMP TABLE temp.z(a)
!! CREATE TEMP VIEW main.zv AS SELECT 1
!! CREATE TABLE nosuch.z(a)
CREATE TABLE temp.z2(a)
CREATE INDEX ti ON t(b)
CREATE INDEX main.mi ON t(a)
CREATE INDEX temp.ti2 ON t(b)
CREATE INDEX mx ON x(b)
!! CREATE INDEX temp.tx ON x(b)
!! CREATE INDEX ti ON t(a)
CREATE INDEX IF NOT EXISTS ti ON t(a)
!! CREATE INDEX main.mx ON t(a)
SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT IN ('ta', 'tb', 'x', 'sqlite_sequence') ORDER BY name
SELECT type, name, tbl_name, sql FROM sqlite_temp_master WHERE name NOT IN ('ta', 'tb', 'y') ORDER BY name
SELECT count(*) FROM temp.sqlite_schema WHERE name = 'y'
SELECT count(*) FROM temp.sqlite_temp_schema WHERE name = 'y'
SELECT count(*) FROM sqlite_schema WHERE name = 'y'
!! SELECT * FROM main.sqlite_temp_master
PRAGMA database_list
SELECT * FROM pragma_table_list WHERE name NOT LIKE 'sqlite_sequence' ORDER BY schema, name
SELECT * FROM pragma_table_list('t') ORDER BY 1
PRAGMA table_info(t)
PRAGMA main.table_info(t)
PRAGMA temp.table_info(t)
PRAGMA temp.table_info(x)
SELECT name FROM pragma_table_info('tm')
SELECT name FROM pragma_table_info('tv', 'temp')
PRAGMA index_info(ti)
PRAGMA main.index_info(ti)
PRAGMA index_list(z)
PRAGMA main.index_list(x)
SELECT name FROM pragma_table_info('t') ORDER BY cid
SELECT type FROM pragma_table_info('t', 'temp') ORDER BY cid
!! PRAGMA nosuch.table_info(t)
!! SELECT * FROM pragma_table_info('t', 'nosuch')
!! DROP TABLE temp.nosuch
!! DROP INDEX temp.nosuch
!! DROP VIEW temp.nosuch
!! DROP TRIGGER temp.nosuch
!! DROP TABLE main.y
!! DROP TABLE nosuch.y
DROP TABLE IF EXISTS main.y
!! SELECT * FROM temp.nosuch
!! INSERT INTO temp.nosuch VALUES (1)
!! UPDATE temp.nosuch SET a = 1
!! DELETE FROM main.y
!! DROP TABLE sqlite_temp_master
!! INSERT INTO sqlite_temp_master VALUES (1)
!! CREATE TEMP TABLE sqlite_temp_x(a)
!! CREATE TEMP TABLE y(a)
CREATE TEMP TABLE IF NOT EXISTS y(a)
CREATE TABLE main.y(q)
SELECT * FROM y
SELECT * FROM main.y
!! CREATE TABLE main.y(q)
CREATE TEMP TABLE mx(a)
DROP TABLE mx
DROP TABLE y
SELECT * FROM y
DROP TABLE y
!! SELECT * FROM y
ANALYZE
SELECT tbl FROM sqlite_stat1 WHERE idx IS NULL
!! SELECT * FROM temp.sqlite_stat1
ANALYZE temp
SELECT count(*) > 0 FROM temp.sqlite_stat1 WHERE tbl = 't'
ANALYZE temp.t
ANALYZE t
DROP INDEX ti
SELECT count(*) FROM temp.sqlite_stat1 WHERE idx = 'ti'
DROP INDEX mi
DROP INDEX IF EXISTS nosuch
REINDEX temp.t
VACUUM temp
PRAGMA integrity_check
PRAGMA temp.integrity_check
PRAGMA integrity_check(z)
!! PRAGMA main.integrity_check(z)
DROP TABLE temp.t
SELECT * FROM t
SELECT * FROM tv
!! DROP TABLE temp.t
CREATE TEMP TABLE w(a TEXT PRIMARY KEY, b) WITHOUT ROWID
INSERT INTO w VALUES ('a', 1), ('b', 2)
!! INSERT INTO w VALUES ('a', 3)
SELECT w.b FROM w WHERE a = 'b'
CREATE TEMP TABLE st(a INT) STRICT
!! INSERT INTO st VALUES ('x')
WITH w AS (SELECT 1 AS one) SELECT * FROM w
WITH w AS (SELECT 1 AS one) SELECT * FROM temp.w ORDER BY a
CREATE TABLE dup(a)
CREATE TEMP VIEW dup AS SELECT 'view' AS a
INSERT INTO main.dup VALUES ('table')
SELECT * FROM dup
!! DROP TABLE dup
!! INSERT INTO dup VALUES (1)
DROP VIEW dup
SELECT * FROM dup
