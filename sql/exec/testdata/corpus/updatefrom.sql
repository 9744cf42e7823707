CREATE TABLE t(k INTEGER PRIMARY KEY, v)
CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID
CREATE TABLE s(x, y)
INSERT INTO t VALUES (1,0),(2,0),(3,0)
INSERT INTO w SELECT * FROM t
INSERT INTO s VALUES (1,'a'),(2,'b'),(1,'c'),(3,'d'),(1,'e'),(2,'f')
CREATE TABLE l(x)
CREATE TABLE s2(k, v)
INSERT INTO s2 VALUES (1,1),(2,2),(9,9)
UPDATE w SET v = 'r' FROM s RIGHT JOIN (SELECT 7 AS z) ON x = z
SELECT * FROM w
! UPDATE w SET v = 'r' || z FROM s RIGHT JOIN (SELECT 7 AS z UNION SELECT 1) ON x = z AND w.k = 3
! UPDATE w SET v = 'r' || z FROM s LEFT JOIN (SELECT 7 AS z UNION SELECT 1) ON x = z AND w.k = 3
! UPDATE w SET v = 'r' || z FROM s JOIN (SELECT 7 AS z UNION SELECT 1) ON x = z AND w.k = 3
UPDATE w SET v = 'r' || z FROM s, (SELECT 7 AS z UNION SELECT 1) WHERE x = z AND w.k = 3
SELECT * FROM w
UPDATE t SET v = 'r' || z FROM s FULL JOIN (SELECT 7 AS z UNION SELECT 1) ON x = z
SELECT * FROM t
UPDATE t SET v = y FROM s2 JOIN s ON s.x = s2.k WHERE t.k = s2.k
SELECT * FROM t
UPDATE t SET v = y FROM s2 NATURAL JOIN (SELECT k, y FROM s, s2) q WHERE t.k = q.k
UPDATE t SET v = y FROM s2 JOIN (SELECT k, y FROM s, s2) q USING (k) WHERE t.k = q.k
SELECT * FROM t
UPDATE t SET v = y FROM s2 JOIN (SELECT k, y FROM s, s2) q USING (k) WHERE t.k = s2.k
! UPDATE t SET v = y FROM s2 JOIN (SELECT k, y FROM s, s2) q USING (k) WHERE t.k = k
UPDATE t SET v = s2.v FROM s2, s2 AS b WHERE t.k = s2.k AND b.k = 1
! UPDATE t SET v = t.v FROM s2, s2 AS t WHERE t.k = s2.k
! UPDATE t SET v = t.v FROM t
UPDATE t SET v = b.v FROM t AS b
UPDATE t AS a SET v = t.v || '+' FROM t, s WHERE a.k = t.k + 1
SELECT * FROM t
UPDATE t SET v = value FROM json_each('[1,2]')
UPDATE t SET v = value FROM json_each('[1,' || t.k || ']')
! UPDATE t SET v = q.a FROM s, json_each(json_array(y, 'z')) AS q
UPDATE t SET v = q.atom FROM s, json_each(json_array(y, 'z')) AS q WHERE q.atom <> 'z'
SELECT * FROM t
UPDATE t SET v = a.y || b.y FROM s AS a, s AS b
! UPDATE t SET v = x FROM (SELECT t.k AS x)
! UPDATE t SET v = x FROM s, (SELECT t.k AS x)
CREATE VIEW vw AS SELECT * FROM t
CREATE TRIGGER vt INSTEAD OF UPDATE ON vw BEGIN INSERT INTO l VALUES (old.k || ':' || old.v || ':' || new.v); END
UPDATE vw SET v = s2.v FROM s2 RIGHT JOIN s ON s.x = s2.k
! UPDATE vw SET v = s2.v FROM s2 RIGHT JOIN s ON s.x = vw.k
UPDATE vw SET v = s2.v FROM s2 WHERE s2.k = vw.k
SELECT * FROM l ORDER BY 1
SELECT * FROM t
! UPDATE t SET v = rowid FROM s
! UPDATE t SET v = rowid FROM s, s2
UPDATE t SET v = s.rowid FROM s, s2
SELECT * FROM t
CREATE TABLE e(a, b, c, PRIMARY KEY (a, b COLLATE NOCASE)) WITHOUT ROWID
CREATE TRIGGER et AFTER UPDATE ON e BEGIN INSERT INTO l VALUES (new.a || new.b || new.c); END
DELETE FROM l
INSERT INTO e VALUES (1,'a',0),(1,'B',0),(2,'a',0),(3,'q',0),('1','x',0)
UPDATE e SET c = c || y, a = e.a FROM s
SELECT * FROM l
SELECT * FROM e
INSERT INTO t VALUES (-5, 1), (-9223372036854775808, 2), (9223372036854775807,3)
CREATE TRIGGER tt AFTER UPDATE ON t BEGIN INSERT INTO l VALUES (new.k); END
DELETE FROM l
! UPDATE t SET v = y FROM s ORDER BY 1
UPDATE t SET v = y FROM s
SELECT * FROM l
SELECT * FROM t
DELETE FROM l
UPDATE t SET v = s.rowid FROM (SELECT 1 UNION ALL SELECT 2), s WHERE k > 0
SELECT * FROM l
SELECT * FROM t
! UPDATE t SET k = s.rowid FROM s WHERE t.k BETWEEN 1 AND 100
UPDATE OR IGNORE t SET k = s.rowid FROM s WHERE t.k BETWEEN 1 AND 100
SELECT * FROM t
UPDATE OR REPLACE t SET k = 8 FROM s WHERE t.k BETWEEN 1 AND 100 RETURNING *, changes()
SELECT * FROM t
UPDATE t SET v = 1/0 FROM s RETURNING *
! UPDATE t SET v = abs(-9223372036854775807 - x) FROM s
SELECT * FROM t
