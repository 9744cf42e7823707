WITH RECURSIVE r(n) AS (SELECT CAST(7 AS REAL) UNION ALL SELECT CAST(n+1 AS INT) FROM r WHERE n < 10) SELECT n, typeof(n) FROM r
CREATE TABLE a1 AS SELECT CAST(1 AS REAL) AS x, CAST(2 AS INT) AS y
CREATE TABLE a2 AS SELECT CAST(1 AS REAL) AS x, CAST(2 AS INT) AS "y y" UNION ALL SELECT 2, 3
CREATE TABLE "a-3" AS SELECT 1 AS "order", 2 AS "1a", 3 AS "b""c", 4 AS key, 5 AS ""
CREATE TABLE a4 AS SELECT 1 AS aaaaaaaaaaaaaaaaaaaaaaaa, 2 AS bbbbbbbbbbbbbbbbbbbbbbbbbbbbb
CREATE TEMP TABLE a5 AS SELECT 1 AS a, 'x' AS b, 1 + 2, (SELECT 4), é FROM (SELECT 1 AS é)
SELECT sql FROM sqlite_master UNION ALL SELECT sql FROM sqlite_temp_master
CREATE TABLE a6 AS SELECT 1 AS aaaaaaaaa, 2 AS bbbbbbbbb, 3 AS c, 4 AS d
CREATE TABLE a7 AS SELECT 1 AS aaaaaaaaa, 2 AS bbbbbbbbb, 3 AS cc, 4 AS dd
CREATE TABLE a8 AS SELECT 1 AS aaaaaaaaa, 2 AS bbbbbbbbb, 3 AS cc, 4 AS ddd
CREATE TABLE a9 AS SELECT 1 AS aaaaaaaaa, 2 AS bbbbbbbbb, 3 AS cc, 4 AS dddd
SELECT sql FROM sqlite_master WHERE name > 'a5'
