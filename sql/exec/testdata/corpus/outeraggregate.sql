CREATE TABLE t(a, b TEXT, c REAL)
INSERT INTO t VALUES(1,'x',1.5),(2,'y',2.5),(3,NULL,NULL)
CREATE TABLE u(a, d)
INSERT INTO u VALUES(1,10),(2,20),(2,30)
@index CREATE INDEX ta ON t(a)
@index CREATE INDEX ua ON u(a)
SELECT (SELECT sum(t.a)) FROM t
SELECT (SELECT sum(t.a) FROM u) FROM t
SELECT (SELECT sum(t.a + u.a) FROM u) FROM t
SELECT (SELECT count(*) FROM u) FROM t
SELECT (SELECT count(t.a) FROM u LIMIT 1) FROM t
SELECT a, (SELECT group_concat(t.a, ',') FROM u LIMIT 1) FROM t
SELECT a FROM t GROUP BY a HAVING (SELECT count(t.a) > 0)
!! SELECT a FROM t ORDER BY (SELECT count(t.a))
!! SELECT a FROM t WHERE (SELECT count(t.a) > 0)
!! SELECT (SELECT a FROM u WHERE u.a = sum(t.a)) FROM t
!! SELECT (SELECT d FROM u WHERE u.a < max(t.a) LIMIT 1) FROM t
!! SELECT (SELECT d FROM u WHERE u.a < max(u.a) LIMIT 1) FROM t
SELECT (SELECT (SELECT sum(t.a))) FROM t
SELECT (SELECT (SELECT sum(t.a) FROM u) FROM u) FROM t
SELECT (SELECT (SELECT sum(u.a)) FROM u) FROM t
SELECT (SELECT count(*) WHERE t.a) FROM t
SELECT (SELECT count(*)) FROM t
SELECT (SELECT sum(1)) FROM t
SELECT (SELECT sum(1) FROM u) FROM t
SELECT 1 IN (SELECT sum(t.a)) FROM t
SELECT sum(a) IN (SELECT 6) FROM t
SELECT EXISTS (SELECT sum(t.a)) FROM t
SELECT (SELECT sum(t.a) FILTER (WHERE u.a > 1) FROM u) FROM t
SELECT (SELECT sum(u.a) FILTER (WHERE t.a > 1) FROM u) FROM t
SELECT (SELECT group_concat(t.a ORDER BY u.d) FROM u) FROM t
SELECT (SELECT count(DISTINCT t.a)) FROM t
SELECT u.a, (SELECT sum(t.a) FROM (SELECT sum(u.d) AS s)) FROM t, u
SELECT (SELECT sum(x.a) FROM (SELECT t.a) x) FROM t
SELECT (SELECT sum(t.a) UNION SELECT 9) FROM t
SELECT (SELECT sum(t.a) ORDER BY 1) FROM t
SELECT (SELECT 5 ORDER BY sum(t.a)) FROM t
SELECT (SELECT 5 GROUP BY sum(t.a)) FROM t
SELECT (SELECT 5 GROUP BY 1 HAVING sum(t.a)) FROM t
SELECT (VALUES(sum(t.a))) FROM t
SELECT (VALUES(sum(t.a)),(3)) FROM t
SELECT a, (SELECT max(t.a)) FROM t
SELECT a, b, (SELECT min(t.a)) FROM t
!! SELECT (SELECT sum(sum(t.a))) FROM t
!! SELECT sum((SELECT sum(t.a))) FROM t
SELECT sum((SELECT sum(u.a) FROM u)) FROM t
!! SELECT sum((SELECT sum(t.a) FROM u)) FROM t
SELECT (SELECT sum(t.a) OVER () FROM u LIMIT 1) FROM t
SELECT sum((SELECT u.d FROM u WHERE u.a=t.a LIMIT 1)) FROM t
SELECT (SELECT max(t.a, u.a) FROM u) FROM t
SELECT (SELECT count(t.rowid)) FROM t
SELECT (SELECT sum(a)) FROM t
SELECT (SELECT sum(c) FROM u) FROM t
SELECT (SELECT sum((SELECT t.a)) FROM u) FROM t
SELECT (SELECT sum((SELECT t.a + u.a)) FROM u) FROM t
SELECT t.a FROM t LEFT JOIN u ON u.a = t.a GROUP BY t.a HAVING (SELECT count(u.d)) = 2
!! SELECT t.a, (SELECT count(u.d) FROM t AS t2 WHERE t2.a <= count(u.d)) FROM t LEFT JOIN u ON u.a = t.a GROUP BY t.a
SELECT (SELECT sum(z) FROM (SELECT 3 AS q)) FROM (SELECT a AS z FROM t)
!! UPDATE t SET c = (SELECT sum(t.a))
!! DELETE FROM t WHERE (SELECT sum(t.a))
INSERT INTO u SELECT 1, (SELECT sum(t.a)) FROM t
SELECT * FROM u
SELECT * FROM t
!! SELECT a FROM t ORDER BY count(*)
!! SELECT a FROM t ORDER BY sum(a)
!! SELECT a FROM t HAVING count(*) > 1
!! SELECT 1 FROM t HAVING count(*) > 1
!! SELECT 1 HAVING 1
SELECT (SELECT 5 FROM u ORDER BY sum(t.a)) FROM t
SELECT (SELECT d FROM u ORDER BY sum(t.a)) FROM t
!! SELECT (SELECT d FROM u ORDER BY sum(u.a)) FROM t
SELECT (SELECT d FROM u GROUP BY sum(t.a)) FROM t
SELECT (SELECT d FROM u GROUP BY d ORDER BY sum(t.a)) FROM t
SELECT (SELECT d FROM u GROUP BY d HAVING sum(t.a) > 5) FROM t
!! SELECT (SELECT d FROM u HAVING sum(t.a) > 5) FROM t
SELECT a FROM t GROUP BY a ORDER BY (SELECT count(t.b)) DESC, a
!! SELECT a FROM t GROUP BY (SELECT count(t.b))
SELECT a FROM t GROUP BY 1 HAVING (SELECT count(*)) > 0
!! SELECT a FROM t HAVING (SELECT count(t.a)) > 0
SELECT count(*) FROM t HAVING (SELECT count(t.a)) > 0
!! SELECT count(*) FROM t WHERE (SELECT count(t.a)) > 0
SELECT count(*) FROM t ORDER BY (SELECT count(t.a)) > 0
!! SELECT count(*) FROM t JOIN u ON (SELECT count(t.a)) > 0
SELECT (SELECT count(*) FROM u WHERE u.a = t.a) + (SELECT sum(t.a)) FROM t
SELECT (SELECT s FROM (SELECT sum(t.a) AS s)) FROM t
WITH x AS (SELECT sum(t.a) AS s FROM t) SELECT (SELECT s FROM x) FROM t
SELECT (WITH x AS (SELECT sum(t.a) AS s) SELECT s FROM x) FROM t
INSERT INTO u VALUES(7,8) RETURNING (SELECT sum(a))
INSERT INTO u VALUES(7,8) RETURNING (SELECT sum(u.d) FROM t)
UPDATE u SET d = 9 WHERE a = 7 RETURNING (SELECT count(a) FROM t)
CREATE TABLE log(x)
CREATE TRIGGER tr AFTER INSERT ON u BEGIN INSERT INTO log SELECT sum(new.a) FROM t; INSERT INTO log VALUES((SELECT max(new.d) FROM t)); END
INSERT INTO u VALUES(5,6)
SELECT * FROM log
CREATE TABLE k(id PRIMARY KEY, v)
INSERT INTO k VALUES(1,1)
INSERT INTO k VALUES(1,2) ON CONFLICT(id) DO UPDATE SET v = (SELECT sum(excluded.v) FROM t)
SELECT * FROM k
!! INSERT INTO k VALUES(1,2) ON CONFLICT(id) DO UPDATE SET v = (SELECT sum(k.v) FROM t)
UPDATE k SET v = (SELECT sum(k.v + t.a) FROM t)
!! SELECT a AS q, (SELECT sum(q)) FROM t
!! SELECT a+1 AS q, (SELECT sum(q) FROM u) FROM t
!! SELECT sum(a) AS q, (SELECT sum(q) FROM u) FROM t
!! SELECT sum(a) AS q, (SELECT q FROM u) FROM t
SELECT a, (SELECT sum(t.a) OVER ()) FROM t
SELECT a, sum((SELECT count(t.a))) OVER () FROM t
SELECT a, sum(a) OVER (ORDER BY (SELECT count(t.a))) FROM t
SELECT DISTINCT (SELECT sum(t.a)) FROM t
SELECT (SELECT sum(t.a)) FROM t WHERE a > 1
SELECT (SELECT sum(t.a)) FROM t WHERE a > 10
SELECT a % 2, (SELECT sum(t.a)) FROM t GROUP BY a % 2
SELECT a % 2, (SELECT sum(t.a) + sum(u.d) FROM u) FROM t GROUP BY a % 2
SELECT a % 2, (SELECT sum(t.a) + u.d FROM u ORDER BY d DESC LIMIT 1) FROM t GROUP BY a % 2
!! SELECT a % 2, EXISTS (SELECT 1 FROM u HAVING sum(t.a) > 2) FROM t GROUP BY a % 2
SELECT a % 2, (SELECT group_concat(t.b, u.d) FROM u) FROM t GROUP BY a % 2
SELECT (SELECT max(t.a)), b FROM t
SELECT (SELECT max(t.a) FROM u), (SELECT b) FROM t
SELECT x.q, (SELECT sum(x.q)) FROM (SELECT a AS q FROM t WHERE b IS NOT NULL) x
SELECT (SELECT sum(x.q)) FROM (SELECT a + 1 AS q FROM t) x
SELECT (SELECT sum(x.q) FROM (SELECT a + t.a AS q FROM u) x) FROM t
SELECT (SELECT count(t.a) FILTER (WHERE t.a > 1)) FROM t
SELECT (SELECT count(*) FILTER (WHERE t.a > 1)) FROM t
SELECT (SELECT count(*) FILTER (WHERE t.a > 1) FROM u) FROM t
SELECT (SELECT sum(1) FILTER (WHERE t.a > 1) FROM u) FROM t
SELECT (SELECT group_concat(t.a ORDER BY t.a DESC)) FROM t
SELECT (SELECT group_concat(DISTINCT t.b)) FROM t
SELECT (VALUES (count(*))) FROM t
VALUES (count(*))
!! VALUES (sum(1)), (2)
SELECT (SELECT sum(t.a) LIMIT 1 OFFSET 0) FROM t
SELECT (SELECT sum(t.a) UNION ALL SELECT sum(t.c) ORDER BY 1) FROM t
SELECT 3 IN (SELECT max(t.a) FROM u) FROM t
!! SELECT (SELECT sum(nosuch.a)) FROM t
SELECT a IN (SELECT count(t.a)) FROM t GROUP BY a
SELECT CASE WHEN (SELECT sum(t.a)) > 5 THEN 'y' END FROM t
SELECT (SELECT json_group_array(t.a)) FROM t
SELECT t.a, (SELECT count(t.a) FROM t AS t2), (SELECT count(t2.a) FROM t AS t2) FROM t
SELECT (SELECT sum(t.a) FROM u AS t) FROM t
SELECT (SELECT (SELECT max(t.a + u.a) FROM log) FROM u) FROM t
SELECT (SELECT (SELECT max(t.a) + max(u.a) FROM log) FROM u) FROM t
SELECT (SELECT sum(t.a)) FROM t UNION SELECT 5 ORDER BY 1
