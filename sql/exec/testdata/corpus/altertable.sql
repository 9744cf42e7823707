CREATE TABLE t(a PRIMARY KEY, b REFERENCES t, CHECK (t.a <> t.b))
CREATE TABLE u(a, b)
INSERT INTO t VALUES (1, NULL), (2, 1)
CREATE VIEW alias AS SELECT t.a, main.t.b, t.* FROM t WHERE EXISTS (SELECT * FROM u AS t WHERE t.a = 1)
CREATE VIEW cte AS WITH t AS (SELECT a, b FROM main.t) SELECT t.a, t.* FROM t, main.t AS x WHERE x.a = t.a
CREATE VIEW shadow AS SELECT t.a FROM u AS t
CREATE VIEW nested AS SELECT (SELECT count(*) FROM t WHERE t.a = u.a) AS n FROM u
CREATE TRIGGER tr AFTER INSERT ON u BEGIN UPDATE t SET b = new.a WHERE t.a = new.b; SELECT t.a FROM u AS t; INSERT INTO t SELECT t.a + 10, NULL FROM t WHERE t.b IS NULL; DELETE FROM t WHERE t.a = 99; END
CREATE TRIGGER own AFTER DELETE ON t BEGIN DELETE FROM u WHERE a IN (SELECT t.a FROM t); END
CREATE TEMP TRIGGER temporary AFTER DELETE ON t BEGIN INSERT INTO u SELECT t.a, 0 FROM t; END
CREATE TEMP VIEW tempview AS SELECT t.a, main.t.b FROM main.t
ALTER TABLE t RENAME TO "new t"
SELECT name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name
SELECT name, tbl_name, sql FROM sqlite_temp_master ORDER BY name
INSERT INTO u VALUES (2, 1)
SELECT * FROM alias ORDER BY 1
SELECT * FROM cte ORDER BY 1
SELECT * FROM shadow
SELECT * FROM nested
SELECT * FROM tempview ORDER BY 1
DELETE FROM "new t" WHERE a = 11
SELECT * FROM u ORDER BY a, b
!! ALTER TABLE "new t" RENAME TO u
!! ALTER TABLE "new t" RENAME TO sqlite_t
!! ALTER TABLE alias RENAME TO x
CREATE VIEW clash AS SELECT x.a FROM u AS x, "new t"
!! ALTER TABLE "new t" RENAME TO x
DROP VIEW clash
ALTER TABLE "new t" RENAME TO x
CREATE VIEW clash2 AS WITH y AS (SELECT 1 AS k) SELECT a FROM x, y
!! ALTER TABLE x RENAME TO y
!! ALTER TABLE x RENAME COLUMN a TO z
DROP VIEW cte
ALTER TABLE x RENAME COLUMN a TO z
SELECT sql FROM sqlite_master WHERE name = 'clash2'
PRAGMA legacy_alter_table
PRAGMA legacy_alter_table = ON
PRAGMA legacy_alter_table
!! ALTER TABLE x RENAME TO w
ALTER TABLE u RENAME TO w
SELECT name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name
SELECT sql FROM sqlite_temp_master ORDER BY name
! SELECT * FROM nested
CREATE TABLE u(a, b)
INSERT INTO u SELECT * FROM w
DROP TABLE w
SELECT * FROM nested
PRAGMA legacy_alter_table = OFF
!! ALTER TABLE x ADD COLUMN rowid
