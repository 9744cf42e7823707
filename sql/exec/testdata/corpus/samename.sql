CREATE TABLE p(a, b)
CREATE TABLE q(a, b)
INSERT INTO p VALUES (1, 2)
INSERT INTO q VALUES (1, 5)
CREATE TEMP TABLE q2(a, b)
SELECT * FROM (SELECT 1 AS a), (SELECT 2 AS a)
SELECT * FROM (SELECT 1 AS a), (SELECT 2 AS a) x, (SELECT 3 AS a) y, p
! SELECT * FROM json_each('[1]'), json_each('[2]')
SELECT * FROM json_each('[1]') a, json_each('[2]') b
SELECT * FROM p, (SELECT 7 AS a) p
! SELECT p.a FROM p, (SELECT 7 AS a) p
CREATE TEMP TABLE p(a, c)
INSERT INTO temp.p VALUES (10, 11)
SELECT * FROM main.p, temp.p
SELECT main.p.a, temp.p.a FROM main.p, temp.p
SELECT p.* FROM main.p, temp.p
SELECT * FROM main.p JOIN temp.p USING (a)
SELECT * FROM (VALUES (1)), (VALUES (2))
SELECT * FROM (main.p JOIN q USING (a)) JOIN temp.p USING (a)
! SELECT * FROM (q JOIN q2) JOIN q AS q ON 1
CREATE VIEW vv AS SELECT * FROM main.p x JOIN q x USING (a, b)
SELECT * FROM vv
SELECT a FROM (SELECT * FROM main.p x JOIN q x USING (a, b))
WITH p AS (SELECT 1 AS a) SELECT * FROM p, p AS q
SELECT main.json_each.key FROM json_each('[1]')
! SELECT temp.json_each.key FROM json_each('[1]')
SELECT main.sqlite_master.type FROM sqlite_master LIMIT 1
SELECT main.pragma_table_info.name FROM pragma_table_info('q')
SELECT main.j.key FROM json_each('[1]') AS j
! SELECT main.s.a FROM (SELECT 1 AS a) s
SELECT t.a FROM main.p t FULL JOIN q t USING (a)
SELECT T.a, a FROM main.p t RIGHT JOIN q t USING (a)
SELECT T.a, a FROM main.p t LEFT JOIN q t USING (a)
SELECT T.a, a FROM main.p t JOIN q t USING (a)
SELECT T.a, a FROM main.p t FULL JOIN q USING (a)
SELECT a FROM (SELECT T.a FROM main.p t FULL JOIN q t USING (a))
SELECT "T.a" FROM (SELECT T.a FROM main.p t FULL JOIN q t USING (a))
SELECT a FROM (SELECT T.a FROM main.p t RIGHT JOIN q t USING (a))
SELECT a FROM (SELECT a FROM main.p t FULL JOIN q t USING (a))
WITH c AS (SELECT T.a FROM main.p t FULL JOIN q t USING (a)) SELECT a FROM c
SELECT t.a, t.b FROM main.p t JOIN q t USING (a, b)
! SELECT t.a FROM main.p t JOIN q t USING (b)
SELECT t.a, t.b FROM main.p t FULL JOIN q t USING (a, b) FULL JOIN main.p t USING (a, b) ORDER BY t.a
SELECT t.a, typeof(t.b) FROM main.p t RIGHT JOIN q t USING (a, b) FULL JOIN main.p t USING (a, b) ORDER BY t.a
SELECT t.a, t.b FROM main.p t NATURAL JOIN q t WHERE t.a = 2
SELECT t.a, sum(t.b) FROM main.p t NATURAL FULL JOIN q t GROUP BY t.a ORDER BY t.a
! SELECT p.a FROM main.p, p
! SELECT p.a FROM main.p JOIN main.p ON 1
SELECT p.a, a FROM main.p JOIN main.p USING (a)
! SELECT p.a, a FROM main.p JOIN main.p USING (a), p
SELECT p.a FROM main.p, q JOIN main.p USING (a)
! SELECT p.rowid FROM main.p JOIN main.p USING (a)
! SELECT p.* FROM main.p JOIN main.p USING (a)
! SELECT * FROM main.p, main.p
! SELECT p.* FROM main.p, main.p
! SELECT * FROM main.p x, q x
! SELECT x.* FROM main.p x, q x
! SELECT * FROM main.p x JOIN q x USING (a)
! SELECT x.* FROM main.p x JOIN q x USING (a)
SELECT x.* FROM main.p x JOIN q x USING (a, b)
SELECT * FROM main.p x JOIN q x USING (a, b)
SELECT x.* FROM main.p x FULL JOIN q x USING (a, b)
SELECT * FROM main.p x FULL JOIN q x USING (a, b)
SELECT x.* FROM (SELECT 1 AS a) x, (SELECT 2 AS b) x
! SELECT * FROM (SELECT 1 AS a) x, (SELECT 2 AS a) x
! SELECT x.* FROM (SELECT 1 AS a) x, (SELECT 2 AS a) x
