! SELECT * FROM sqlite_sequence
CREATE TABLE plain(id INTEGER PRIMARY KEY)
! SELECT * FROM sqlite_sequence
CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, x)
CREATE TABLE b(id INTEGER PRIMARY KEY AUTOINCREMENT)
SELECT * FROM sqlite_sequence
INSERT INTO a(x) VALUES (1), (2), (3)
INSERT INTO b VALUES (100)
SELECT name, seq FROM sqlite_sequence ORDER BY name
DELETE FROM a WHERE id > 1
INSERT INTO a(x) VALUES (4)
SELECT * FROM a ORDER BY id
UPDATE sqlite_sequence SET seq = 50 WHERE name = 'a'
SELECT changes()
INSERT INTO a(x) VALUES (5)
SELECT max(id) FROM a
DELETE FROM a
DELETE FROM sqlite_sequence WHERE name = 'a'
SELECT * FROM sqlite_sequence
INSERT INTO a(x) VALUES (6)
SELECT * FROM a
INSERT INTO a(id, x) VALUES (20, 7)
SELECT seq FROM sqlite_sequence WHERE name = 'a'
DELETE FROM sqlite_sequence
INSERT INTO a(x) VALUES (8)
SELECT max(id) FROM a
INSERT INTO sqlite_sequence(name, seq) VALUES ('b', 500)
INSERT INTO b DEFAULT VALUES
SELECT * FROM b ORDER BY id
ALTER TABLE b RENAME TO bee
SELECT * FROM sqlite_sequence ORDER BY name
DROP TABLE bee
SELECT * FROM sqlite_sequence ORDER BY name
SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name = 'sqlite_sequence'
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM a) WHERE name = 'a'
BEGIN
INSERT INTO a(id, x) VALUES (1000, 1)
ROLLBACK
SELECT * FROM sqlite_sequence
INSERT INTO a(x) VALUES (9)
SELECT s.name, a.x FROM sqlite_sequence s JOIN a ON a.id = s.seq
! INSERT INTO a(id) VALUES ('x')
INSERT OR IGNORE INTO a(id) VALUES (1)
SELECT * FROM sqlite_sequence
INSERT INTO a(id) VALUES (9223372036854775807)
! INSERT INTO a(x) VALUES (1)
! DROP TABLE sqlite_sequence
! ALTER TABLE sqlite_sequence RENAME TO s
! CREATE INDEX i ON sqlite_sequence(name)
