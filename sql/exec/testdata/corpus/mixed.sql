CREATE TABLE t(i INT, x TEXT COLLATE NOCASE, r REAL, b, n NUMERIC)
INSERT INTO t VALUES (1, 'a', 1.0, x'01', '1'), (2, 'A', 2.5, '2', 2), (NULL, 'b ', NULL, 3, 'z'), (1, 'B', 1, 1, 1.0)
SELECT x FROM t UNION SELECT 'A' ORDER BY 1
SELECT 'A' UNION SELECT x FROM t ORDER BY 1
SELECT x FROM t INTERSECT SELECT 'A'
SELECT 'A' INTERSECT SELECT x FROM t
SELECT x FROM t EXCEPT SELECT 'A' ORDER BY 1
SELECT i FROM t UNION SELECT r FROM t ORDER BY 1
SELECT i, x FROM t EXCEPT SELECT r, b FROM t ORDER BY 1, 2
SELECT i FROM t UNION ALL SELECT '1' ORDER BY 1
SELECT '1' UNION SELECT 1 UNION SELECT 1.0 ORDER BY 1
SELECT NULL UNION SELECT NULL
SELECT NULL INTERSECT SELECT NULL
SELECT NULL EXCEPT SELECT NULL
SELECT i FROM t UNION ALL SELECT i FROM t EXCEPT SELECT 2 ORDER BY 1
SELECT i FROM t EXCEPT SELECT 2 UNION ALL SELECT 9 ORDER BY 1
SELECT i FROM t INTERSECT SELECT 1 UNION SELECT 7 ORDER BY 1 DESC LIMIT 1
!! SELECT 1, 2 UNION SELECT 3
!! SELECT * FROM t UNION SELECT 1
!! SELECT i FROM t ORDER BY 1 UNION SELECT 2
!! SELECT i FROM t LIMIT 1 UNION SELECT 2
SELECT (SELECT 1 UNION SELECT 2), (SELECT 1 UNION ALL SELECT 2 ORDER BY 1 DESC)
SELECT * FROM (SELECT i FROM t UNION SELECT 5) WHERE i > 1 ORDER BY i
SELECT i FROM t WHERE i IN (SELECT 1 UNION SELECT 2) ORDER BY 1
SELECT x = 'A', 'A' = x, x COLLATE BINARY = 'A', x = 'A' COLLATE BINARY, x || '' = 'A' FROM t
SELECT x IN ('A'), x IN ('A', 'Q'), 'A' IN (x), x NOT IN ('A'), 'A' IN (SELECT x FROM t), x IN (SELECT 'A') FROM t
SELECT x BETWEEN 'A' AND 'A', 'A' BETWEEN x AND x, CASE x WHEN 'A' THEN 1 END, CASE 'A' WHEN x THEN 1 END FROM t
SELECT min(x, 'A'), max('A', x), nullif(x, 'A'), nullif('A', x), x IS 'A', x IS NOT DISTINCT FROM 'A' FROM t
SELECT count(DISTINCT x), min(x), max(x), group_concat(DISTINCT x) FROM t
SELECT x, count(*) FROM t GROUP BY x
SELECT DISTINCT x FROM t
SELECT DISTINCT x || '' FROM t
SELECT i = '1', '1' = i, i = ' 1 ', x = 1, b = 1, b = '1', n = '1', r = '1', +i = '1', i = +'1', i || '' = 1, CAST(b AS INT) = '1' FROM t
SELECT i IN ('1'), i IN (1.0), b IN ('2'), b IN (2), x IN (1), '1' IN (SELECT i FROM t), 1 IN (SELECT b FROM t), i IN (SELECT x FROM t) FROM t
SELECT typeof(n), typeof(b), typeof(r), typeof(i), n, b, r FROM t
SELECT sum(i), sum(r), sum(n), sum(b), avg(n), total(x) FROM t
SELECT max(b), min(b), max(n), min(n), typeof(max(n)) FROM t
SELECT t1.i, t2.r FROM t t1 JOIN t t2 ON t1.i = t2.r ORDER BY 1, 2
SELECT t1.b, t2.n FROM t t1 JOIN t t2 ON t1.b = t2.n ORDER BY 1, 2
SELECT t1.x, t2.b FROM t t1 LEFT JOIN t t2 ON t1.x = t2.b ORDER BY 1, 2
SELECT t1.x, t2.x FROM t t1 FULL JOIN t t2 ON t1.x = t2.x AND t1.i > 1 ORDER BY 1, 2, t1.rowid, t2.rowid
SELECT a.i, b.i FROM t a RIGHT JOIN t b ON a.i = b.i AND a.x <> b.x ORDER BY a.rowid, b.rowid
SELECT * FROM t WHERE i = 1 AND x = 'A' OR r > 2 ORDER BY rowid
SELECT * FROM t WHERE (i, x) = (1, 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x) IN (SELECT 1, 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x) > (1, 'A') ORDER BY rowid
CREATE INDEX ti ON t(i, x)
CREATE INDEX tx ON t(x)
SELECT * FROM t WHERE (i, x) = (1, 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x) IN (SELECT 1, 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x) IN (SELECT 1, 'A' COLLATE BINARY) ORDER BY rowid
SELECT * FROM t WHERE (i, x) IN (SELECT '1', 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x) > (1, 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x) > ('1', 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x COLLATE BINARY) > (1, 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x) > (1, 'A' COLLATE BINARY) ORDER BY rowid
SELECT * FROM t WHERE (x, i) >= ('A', 1) AND (x, i) <= ('b', NULL) ORDER BY rowid
SELECT * FROM t WHERE (i, x) <= (1, NULL) ORDER BY rowid
SELECT * FROM t WHERE (i, x) < (NULL, 'a') ORDER BY rowid
SELECT * FROM t WHERE (1, 'A') < (i, x) ORDER BY rowid
SELECT * FROM t WHERE NOT (i, x) > (1, 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x) BETWEEN (1, 'A') AND (2, 'A') ORDER BY rowid
SELECT * FROM t WHERE (i, x) NOT BETWEEN (1, 'A') AND (2, 'A') ORDER BY rowid
SELECT * FROM t WHERE i IS 1 ORDER BY rowid
SELECT * FROM t WHERE i IS NULL ORDER BY rowid
SELECT * FROM t WHERE i IS '1' ORDER BY rowid
SELECT * FROM t WHERE i IS (SELECT NULL) ORDER BY rowid
SELECT * FROM t WHERE i IS NOT 1 ORDER BY rowid
SELECT * FROM t WHERE x IS 'A' ORDER BY rowid
SELECT * FROM t a LEFT JOIN t b ON b.i IS a.i AND b.x IS a.x ORDER BY a.rowid, b.rowid
SELECT * FROM t a LEFT JOIN t b ON b.i IS a.i WHERE b.i IS NULL ORDER BY a.rowid, b.rowid
SELECT * FROM t a LEFT JOIN t b ON b.i = a.i WHERE b.i IS (SELECT NULL) ORDER BY a.rowid, b.rowid
SELECT * FROM t a LEFT JOIN t b ON b.i = a.i WHERE (b.i, b.x) IS (NULL, NULL) ORDER BY a.rowid, b.rowid
SELECT * FROM t a LEFT JOIN t b ON b.i = a.i WHERE (b.i, b.x) IN (SELECT 1, 'A') ORDER BY a.rowid, b.rowid
SELECT * FROM t a RIGHT JOIN t b ON a.i IS b.r WHERE a.i IS NULL ORDER BY a.rowid, b.rowid
UPDATE t SET b = 'u' WHERE (i, x) IN (SELECT i, x FROM t WHERE r > 2) RETURNING i, x, b
UPDATE t SET i = i + 1 WHERE (i, x) >= (1, 'a') RETURNING i, x
DELETE FROM t WHERE (i, x) IN (VALUES (2, 'a'), (3, 'A')) RETURNING i, x
DELETE FROM t WHERE i IS NULL RETURNING x
SELECT * FROM t
SELECT a, b, a.a FROM (SELECT 1 AS a, 2 AS b) AS a
!! SELECT a.b.c FROM t a
SELECT main.t.i FROM t
!! SELECT temp.t.i FROM t
!! SELECT t.* FROM t AS u
SELECT u.* FROM t AS u LIMIT 1
SELECT i FROM t AS "u v" WHERE "u v".i = 2
SELECT [i] FROM [t] LIMIT 1
SELECT "nosuch" FROM t LIMIT 1
SELECT 'i' FROM t LIMIT 1
!! SELECT `nosuch` FROM t LIMIT 1
!! SELECT nosuch FROM t
!! SELECT t.nosuch FROM t
!! SELECT i FROM t WHERE nosuch = 1
!! SELECT i FROM t ORDER BY nosuch
!! SELECT i FROM t GROUP BY nosuch
!! SELECT i FROM t, t
!! SELECT i FROM t a, t b
!! SELECT a.i FROM t a JOIN t b USING (nosuch)
SELECT a.i FROM t a JOIN t b USING (i) WHERE i = 1
!! SELECT 1 FROM t a JOIN t b ON a.i = c.i
!! SELECT * FROM nosuch
!! SELECT * FROM main.nosuch
!! SELECT * FROM nosuch.t
SELECT * FROM (SELECT 1)
SELECT 1 WHERE 0
SELECT 1 WHERE NULL
SELECT 1 WHERE 'a'
SELECT 1 WHERE '1a'
SELECT 1 FROM t WHERE 1 LIMIT 0
!! SELECT *
!! SELECT
!! SELECT 1,
!! SELECT 1 FROM
!! FROM t
!! SELECT 1 2
!! SELECT 'a
!! SELECT "a
!! SELECT #1
!! SELECT 1 = = 2
!! SELECT (1
!! SELECT 1)
!! SELECT CASE END
!! SELECT CASE WHEN 1 THEN 2
!! SELECT EXISTS
SELECT CAST(1 AS)
!! SELECT a.* + 1 FROM t a
SELECT count(*) filter (where 1) from t
!! SELECT x'zz'
!! SELECT !1
!! SELECT 1 ~ 2
SELECT 1 <> 2, 1 != 2, 1 == 1, 3 -> 1, 'a' COLLATE BINARY
SELECT NOT NOT 1, - - 1, + - + 1, ~ ~ 1, NOT NULL IS NULL, 1 NOTNULL, 1 NOT NULL, NULL ISNULL
