CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT)
INSERT INTO t VALUES (1, 'abc', 'x'), (2, NULL, 'zürich'), (3, 12345, NULL), (4, -1.5, ''), (5, x'00ff10', 'a' || char(0) || 'bc')
ALTER TABLE t ADD COLUMN c DEFAULT 'twelve bytes'
INSERT INTO t VALUES (6, 'a long text of more than sixty-four bytes, whose type takes two bytes', 'ok', 3)
SELECT id, length(a), length(b), length(c) FROM t ORDER BY id
SELECT count(length(a)), sum(length(a)), min(length(a)), max(length(a)), avg(length(a)), total(length(a)) FROM t
SELECT count(length(b)), sum(length(b)), min(length(b)), max(length(b)), avg(length(b)) FROM t
SELECT count(length(c)), sum(length(c)), min(length(c)), max(length(c)) FROM t
SELECT sum(length(id)), max(length(rowid)) FROM t
SELECT sum(length(a)) FILTER (WHERE id > 2), max(length(b)) FILTER (WHERE a IS NOT NULL), sum(amount) FROM (SELECT *, length(c) AS amount FROM t)
SELECT sum(length(a) + length(b)), max(length(length(c))), sum(length(a || b)) FROM t
SELECT sum(length(t.a)), sum(length(u.b)) FROM t JOIN t AS u ON u.id = t.id + 1
SELECT sum(length(a)) FROM t WHERE length(b) > 1
SELECT length(b) AS n, count(*) FROM t GROUP BY n ORDER BY n
CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID
INSERT INTO w VALUES ('a', 'bcd'), ('ef', x'00'), ('ghi', 12)
SELECT sum(length(k)), sum(length(v)), max(length(v)) FROM w
SELECT sum(length(a)) OVER (ORDER BY id) FROM t
! SELECT length() FROM t
! SELECT sum(length(a, b)) FROM t
