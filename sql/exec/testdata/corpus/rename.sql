CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)
CREATE TABLE other(x, y REFERENCES t)
@index CREATE INDEX tab ON t(a + 1) WHERE t.b > 0
CREATE VIEW v1 AS SELECT t.a, b FROM t WHERE t.id IN (SELECT x FROM other, t AS u WHERE u.a = t.a)
CREATE VIEW v2(q) AS SELECT t.* FROM main.t JOIN other ON x = t.id UNION ALL SELECT t.id, 1, 2 FROM T
CREATE TRIGGER t AFTER UPDATE OF a ON t WHEN NEW.a > (SELECT min(a) FROM t) BEGIN UPDATE t SET b = t.b + 1 WHERE t.id = OLD.id; INSERT INTO other SELECT id, a FROM t WHERE t.a = NEW.a; DELETE FROM other WHERE y IN (SELECT id FROM t); END
INSERT INTO t VALUES (1, 10, 20), (2, 11, 21)
ALTER TABLE t RENAME TO "new name"
SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'tab' ORDER BY type, name
UPDATE "new name" SET a = 100 WHERE id = 1
SELECT * FROM "new name" ORDER BY id
SELECT * FROM other
SELECT * FROM v1
ALTER TABLE other RENAME TO o2
SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'tab' ORDER BY type, name
INSERT INTO o2 VALUES (2, 2)
SELECT * FROM v1
ALTER TABLE o2 ADD COLUMN z
ALTER TABLE o2 RENAME COLUMN z TO zz
ALTER TABLE o2 DROP COLUMN zz
DROP TABLE "new name"
SELECT name FROM sqlite_master WHERE type = 'trigger'
CREATE TABLE step1(a, b)
CREATE VIEW sv AS SELECT * FROM step2
CREATE TABLE step2(a)
INSERT INTO step2 VALUES (1)
INSERT INTO step1 SELECT a, 2 FROM step2
DROP TABLE step2
