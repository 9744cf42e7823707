CREATE TABLE t(a, b TEXT, c REAL)
INSERT INTO t VALUES(1,'x',1.5),(2,'y',2.5),(3,NULL,NULL)
CREATE TABLE u(a, d)
INSERT INTO u VALUES(1,10),(2,20),(2,30)
!! SELECT (SELECT sum(t.a) FROM u), row_number() OVER () FROM t
!! SELECT (SELECT sum(t.a)), row_number() OVER () FROM t
!! SELECT (SELECT sum(t.a) FROM u), sum(a) OVER () FROM t
SELECT sum(a), row_number() OVER () FROM t
SELECT sum(a), sum(sum(a)) OVER () FROM t
SELECT row_number() OVER (ORDER BY (SELECT sum(t.a))) FROM t
SELECT row_number() OVER (ORDER BY (SELECT sum(t.a) FROM u)) FROM t
SELECT row_number() OVER (PARTITION BY (SELECT sum(t.a) FROM u)) FROM t
SELECT row_number() OVER (ORDER BY sum(t.a)) FROM t
!! SELECT row_number() OVER (ORDER BY a) FROM t ORDER BY (SELECT sum(t.a) FROM u)
!! SELECT row_number() OVER (ORDER BY a) FROM t ORDER BY sum(t.a)
SELECT row_number() OVER (ORDER BY a), max(a) FROM t
SELECT sum((SELECT sum(t.a))) OVER () FROM t
SELECT sum((SELECT sum(t.a) FROM u)) OVER () FROM t
SELECT sum(a) FILTER (WHERE (SELECT sum(t.a)) > 1) OVER () FROM t
SELECT lag(a, (SELECT count(t.a))) OVER () FROM t
SELECT a, (SELECT sum(t.a) OVER ()) FROM t
SELECT a, (SELECT sum(t.a) OVER () FROM u LIMIT 1) FROM t
SELECT a, (SELECT sum(u.a + t.a) OVER () FROM u LIMIT 1) FROM t
SELECT a, (SELECT sum(t.a) + sum(u.a) OVER () FROM u LIMIT 1) FROM t
SELECT a, (SELECT sum(sum(t.a)) OVER () FROM u LIMIT 1) FROM t
SELECT a, (SELECT sum(sum(u.a)) OVER () FROM u LIMIT 1) FROM t
SELECT (SELECT sum(t.a) + row_number() OVER () FROM u LIMIT 1) FROM t
SELECT (SELECT row_number() OVER (ORDER BY sum(t.a)) FROM u LIMIT 1) FROM t
SELECT (SELECT row_number() OVER (ORDER BY sum(u.a)) FROM u LIMIT 1) FROM t
!! SELECT a, (SELECT count(t.a) FROM u), row_number() OVER () FROM t GROUP BY a
!! SELECT a, (SELECT count(t.a)), row_number() OVER () FROM t GROUP BY a
!! SELECT a, count(*), row_number() OVER (), (SELECT count(t.b) FROM u) FROM t GROUP BY a
SELECT a, count(*), row_number() OVER (ORDER BY (SELECT count(t.b) FROM u)) FROM t GROUP BY a
SELECT a, row_number() OVER () FROM t GROUP BY a HAVING (SELECT count(t.b) FROM u) > 0
!! SELECT a, row_number() OVER () FROM t GROUP BY a ORDER BY (SELECT count(t.b) FROM u)
!! SELECT count(*), row_number() OVER (), (SELECT count(t.b) FROM u) FROM t
!! SELECT count(*), row_number() OVER (), (SELECT count(t.b)) FROM t
SELECT count(*), sum((SELECT count(t.b))) OVER () FROM t
SELECT count(*), sum((SELECT count(t.b))) OVER (), count(b) FROM t
SELECT count(*), max((SELECT max(t.b))) OVER (), count(b) FROM t
SELECT count(*), max((SELECT t.b)) OVER (), count(b) FROM t
SELECT a, EXISTS (SELECT sum(t.a) FROM u), rank() OVER (ORDER BY a) FROM t
!! SELECT a, 6 IN (SELECT sum(t.a) FROM u), rank() OVER (ORDER BY a) FROM t
!! SELECT a, (SELECT (SELECT sum(t.a))), rank() OVER (ORDER BY a) FROM t
!! SELECT a, (SELECT d FROM u WHERE u.a = t.a ORDER BY sum(t.a)), rank() OVER (ORDER BY a) FROM t
SELECT a, (SELECT group_concat(t.a ORDER BY u.d) FROM u), rank() OVER (ORDER BY a) FROM t
!! SELECT a, (SELECT group_concat(t.a ORDER BY t.a)), rank() OVER (ORDER BY a) FROM t
!! SELECT a, (VALUES(sum(t.a))), rank() OVER (ORDER BY a) FROM t
SELECT a, (SELECT sum(1)), rank() OVER (ORDER BY a) FROM t
SELECT a, (SELECT count(*)), rank() OVER (ORDER BY a) FROM t
SELECT a, (SELECT count(*) FROM u WHERE u.a = t.a), rank() OVER (ORDER BY a) FROM t
!! SELECT x.q, (SELECT sum(x.q)), rank() OVER () FROM (SELECT a AS q FROM t) x
SELECT (SELECT sum(t.a)) AS s FROM t WINDOW w AS (ORDER BY a)
!! SELECT (SELECT sum(t.a)) AS s, count(*) OVER w FROM t WINDOW w AS (ORDER BY a)
SELECT a FROM t WINDOW w AS (ORDER BY sum(a))
SELECT a FROM t WINDOW w AS (ORDER BY (SELECT sum(t.a)))
SELECT sum(a) FROM t WINDOW w AS (ORDER BY sum(a))
SELECT count(*) OVER w FROM t WINDOW w AS (ORDER BY (SELECT sum(t.a)))
SELECT count(*) OVER w FROM t WINDOW w AS (ORDER BY sum(a))
SELECT sum(a), count(*) OVER w FROM t WINDOW w AS (ORDER BY sum(a))
!! SELECT DISTINCT (SELECT sum(t.a)), count(*) OVER () FROM t
!! SELECT (SELECT sum(t.a)), count(*) OVER () FROM t UNION SELECT 1, 2
!! SELECT (SELECT max(t.a) FILTER (WHERE t.a < 3)), count(*) OVER () FROM t
!! SELECT (SELECT sum(t.a)) + count(*) OVER () FROM t
!! SELECT count(*) OVER () + (SELECT sum(t.a)) FROM t
!! SELECT * FROM (SELECT (SELECT sum(t.a)) + count(*) OVER () FROM t)
SELECT (SELECT (SELECT sum(t.a)) + count(*) OVER () FROM u) FROM t
!! SELECT (SELECT (SELECT sum(u.a)) + count(*) OVER () FROM u) FROM t
SELECT (SELECT (SELECT sum(t.a) FROM u) + count(*) OVER () FROM u) FROM t
SELECT a, (SELECT count(*) OVER () + (SELECT sum(t.a)) FROM u) FROM t
!! INSERT INTO u SELECT (SELECT sum(t.a)), count(*) OVER () FROM t
!! UPDATE u SET d = (SELECT (SELECT sum(t.a)) + count(*) OVER () FROM t)
SELECT * FROM u
