CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c TEXT COLLATE NOCASE)
@index CREATE INDEX t1 ON t(a + 1)
@index CREATE INDEX t2 ON t(lower(b), a)
@index CREATE INDEX t3 ON t(a, b || c)
@index CREATE INDEX t4 ON t(length(b)) WHERE a > 2
INSERT INTO t(a, b, c) VALUES (1, 'One', 'x'), (2, 'Two', 'X'), (3, NULL, 'y'), (NULL, 'four', 'Y')
SELECT id FROM t WHERE a + 1 = 3
SELECT id FROM t WHERE lower(b) = 'two'
SELECT id, a + 1 FROM t ORDER BY a + 1
SELECT id FROM t WHERE length(b) > 2 AND a > 2
UPDATE t SET b = 'uno' WHERE lower(b) = 'one'
SELECT id FROM t WHERE lower(b) = 'uno'
SELECT id FROM t WHERE lower(b) = 'one'
DELETE FROM t WHERE a + 1 = 3
SELECT * FROM t ORDER BY id
CREATE UNIQUE INDEX tu ON t(abs(a), upper(c))
INSERT INTO t(a, b, c) VALUES (5, 'five', 'q')
! INSERT INTO t(a, b, c) VALUES (-5, 'minus', 'Q')
INSERT OR IGNORE INTO t(a, b, c) VALUES (-5, 'minus', 'Q')
INSERT INTO t(a, b, c) VALUES (-5, 'minus', 'Q') ON CONFLICT(abs(a), upper(c)) DO UPDATE SET b = excluded.b
SELECT * FROM t ORDER BY id
! INSERT INTO t(a, b, c) VALUES (-5, 'minus', 'Q') ON CONFLICT(abs(a), lower(c)) DO NOTHING
INSERT OR REPLACE INTO t(a, b, c) VALUES (-5, 'again', 'Q')
SELECT * FROM t ORDER BY id
INSERT INTO t(a, b, c) VALUES (NULL, 'n1', 'Q'), (NULL, 'n2', 'Q')
! UPDATE t SET a = 5, c = 'q' WHERE b = 'n1'
! CREATE UNIQUE INDEX tv ON t(a IS NULL)
! CREATE INDEX bad ON t(nosuch + 1)
! CREATE INDEX bad ON t(a + (SELECT 1))
! CREATE INDEX bad ON t(random())
! CREATE INDEX bad ON t(a + rowid)
! CREATE INDEX bad ON t(sum(a))
! CREATE INDEX bad ON t(a + ?)
! CREATE INDEX bad ON t(current_date)
! CREATE INDEX bad ON t(date('now'))
! CREATE INDEX bad ON t(other.a + 1)
! CREATE INDEX bad ON t(t.a + 1)
! CREATE INDEX bad ON t(nosuchfunction(a))
! CREATE TABLE bad(a, PRIMARY KEY (a + 1))
! CREATE TABLE bad(a, UNIQUE (a + 1))
CREATE INDEX good ON t((a), a + 1, b COLLATE NOCASE, b || c COLLATE NOCASE DESC)
SELECT seqno, cid, name FROM pragma_index_info('good') ORDER BY seqno
SELECT seqno, cid, name, "desc", coll FROM pragma_index_xinfo('good') WHERE key ORDER BY seqno
SELECT sql FROM sqlite_master WHERE name = 'good'
ALTER TABLE t RENAME COLUMN b TO bee
ALTER TABLE t RENAME TO renamed
INSERT INTO renamed(a, bee, c) VALUES (70, 'seventy', 's')
SELECT id FROM renamed WHERE lower(bee) = 'seventy'
DROP INDEX good
CREATE TABLE j(doc TEXT)
CREATE INDEX jn ON j(json_extract(doc, '$.name'), doc ->> '$.age')
INSERT INTO j VALUES ('{"name":"ann","age":3}'), ('{"name":"bob"}'), ('{}')
SELECT doc FROM j WHERE json_extract(doc, '$.name') = 'bob'
SELECT doc ->> '$.age' FROM j ORDER BY doc ->> '$.age'
DELETE FROM j WHERE json_extract(doc, '$.name') = 'ann'
! INSERT INTO j VALUES ('not json')
SELECT count(*) FROM j
CREATE TABLE w(k TEXT PRIMARY KEY, v INT) WITHOUT ROWID
CREATE UNIQUE INDEX wv ON w(v / 10)
INSERT INTO w VALUES ('a', 5), ('b', 15)
! INSERT INTO w VALUES ('c', 18)
UPDATE w SET v = 25 WHERE k = 'b'
INSERT INTO w VALUES ('c', 18)
SELECT * FROM w ORDER BY k
