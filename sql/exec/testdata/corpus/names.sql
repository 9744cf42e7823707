CREATE TABLE t(a, b, "select", [with space]);
CREATE TABLE u(a, c);
INSERT INTO t VALUES (1, 2, 3, 4);
INSERT INTO u VALUES (1, 5);
SELECT t.a, main.t.b, "select", `with space` FROM t;
! SELECT a FROM t, u;
! SELECT nope FROM t;
! SELECT t.nope FROM t;
! SELECT * FROM nope;
! SELECT x.* FROM t;
! SELECT a FROM t WHERE sum(a) > 1;
! SELECT nosuch(1);
! SELECT abs(1, 2);
! SELECT (SELECT 1, 2);
! SELECT 1 UNION SELECT 1, 2;
! SELECT a FROM t ORDER BY 2;
! SELECT a FROM t GROUP BY 9;
! SELECT 1 LIMIT 'x';
SELECT a AS x FROM t WHERE x = 1;
SELECT a AS b FROM t ORDER BY b;
SELECT a + b AS s FROM t GROUP BY s HAVING s > 1;
SELECT t.*, u.c FROM t JOIN u USING (a);
SELECT x.y FROM (SELECT a AS y FROM t) AS x;
SELECT (SELECT b FROM t AS inside WHERE inside.a = outside.a) FROM t AS outside;
WITH q(z) AS (SELECT a FROM t), r AS (SELECT z + 1 AS w FROM q) SELECT z, w FROM q, r;
SELECT a FROM (SELECT a FROM t UNION ALL SELECT a FROM u) ORDER BY a;
SELECT t.rowid, u.oid, t._rowid_ FROM t, u;
CREATE TABLE "É"(é INT, É TEXT)
CREATE TABLE é(x)
INSERT INTO É(É, é) VALUES ('big', 1)
SELECT é, É FROM "É"
! SELECT X FROM É
SELECT count(X) FROM é
