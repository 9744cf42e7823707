CREATE TABLE t(id INTEGER PRIMARY KEY, r REAL, x TEXT, n NUMERIC, i INT, b)
INSERT INTO t VALUES (4, 2, 3, '4', '5', '6')
INSERT INTO t(id, r) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.r) RETURNING b
INSERT INTO t(id, r) VALUES (4, '7') ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.r) RETURNING b
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.x) RETURNING b
INSERT INTO t(id, n) VALUES (4, '7') ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.n) RETURNING b
INSERT INTO t(id, i) VALUES (4, '7') ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.i) RETURNING b
INSERT INTO t(id, i) VALUES ('4', '7') ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.id) RETURNING b
INSERT INTO t(id, i) VALUES ('4', '7') ON CONFLICT(id) DO UPDATE SET b = excluded.id = '4' RETURNING b
INSERT INTO t(id, i) VALUES ('4', '7') ON CONFLICT(id) DO UPDATE SET b = excluded.rowid RETURNING b
INSERT INTO t(id, i) VALUES ('4', '7') ON CONFLICT(id) DO UPDATE SET b = excluded.rowid = '4' RETURNING b
INSERT INTO t(id, i) VALUES ('4', '7') ON CONFLICT(id) DO UPDATE SET b = excluded.oid RETURNING b
!! INSERT INTO t(id, i) VALUES ('4', '7') ON CONFLICT(id) DO UPDATE SET b = excluded.nosuch RETURNING b
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = excluded.x = '7' RETURNING b
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = excluded.x = 7 RETURNING b
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = excluded.x + 1 RETURNING b, typeof(b)
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = excluded.x, x = excluded.x RETURNING b, typeof(b), x
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = (SELECT typeof(excluded.x)) WHERE excluded.x = 7 RETURNING b, typeof(b), x
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.x) WHERE excluded.x = x RETURNING b, typeof(b), x
CREATE INDEX ti ON t(x)
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.x) RETURNING b
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT DO UPDATE SET b = typeof(excluded.x) RETURNING b
CREATE UNIQUE INDEX tu ON t(i)
INSERT INTO t(id, x) VALUES (4, 7) ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.x) RETURNING b
INSERT INTO t(id, x, i) VALUES (4, 7, 7) ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.x) RETURNING b
INSERT INTO t(id, x, i) VALUES (4, 7, 7) ON CONFLICT(i) DO UPDATE SET b = 1 ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.x) RETURNING b
INSERT INTO t(id, x, i) VALUES (4, 7, 8) ON CONFLICT(i) DO UPDATE SET b = 1 ON CONFLICT(id) DO UPDATE SET b = typeof(excluded.x) RETURNING b
INSERT INTO t(id, x, i) VALUES (4, 7, 8) ON CONFLICT(i) DO UPDATE SET b = 1 ON CONFLICT DO UPDATE SET b = typeof(excluded.x) RETURNING b
INSERT INTO t(id, x, i) VALUES (4, 7, 8) ON CONFLICT(id) DO UPDATE SET b = 'x' ON CONFLICT(i) DO UPDATE SET b = typeof(excluded.x) RETURNING b
INSERT INTO t(id, x, i) VALUES (5, 7, '7') ON CONFLICT(id) DO UPDATE SET b = 'x' ON CONFLICT(i) DO UPDATE SET b = typeof(excluded.x) || typeof(excluded.i) RETURNING b
CREATE TABLE c(id INTEGER PRIMARY KEY, n INT CHECK (n <> 3), x TEXT, v)
INSERT INTO c VALUES (1, 1, 1, 1)
INSERT INTO c VALUES (1, '1', 2, 1) ON CONFLICT(id) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) RETURNING v
CREATE TABLE nn(id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 5, x TEXT, v)
INSERT INTO nn VALUES (1, 1, 1, 1)
INSERT INTO nn VALUES (1, '1', 2, 1) ON CONFLICT(id) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) RETURNING v
INSERT OR REPLACE INTO nn VALUES (1, NULL, 2, 1) ON CONFLICT(id) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) RETURNING v
CREATE TABLE g(id INTEGER PRIMARY KEY, n INT, x TEXT, v, g AS (n + 1))
INSERT INTO g VALUES (1, 1, 1, 1)
INSERT INTO g VALUES (1, '1', 2, 1) ON CONFLICT(id) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) || excluded.g RETURNING v
CREATE TABLE s(id INTEGER PRIMARY KEY, n INT, x TEXT, v ANY) STRICT
INSERT INTO s VALUES (1, 1, 1, 1)
INSERT INTO s VALUES (1, '1', 2, 1) ON CONFLICT(id) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) RETURNING v
CREATE TABLE bt(id INTEGER PRIMARY KEY, n INT, x TEXT, v)
CREATE TRIGGER btt BEFORE INSERT ON bt BEGIN SELECT 1; END
INSERT INTO bt VALUES (1, 1, 1, 1)
INSERT INTO bt VALUES (1, '1', 2, 1) ON CONFLICT(id) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) RETURNING v
CREATE TABLE at(id INTEGER PRIMARY KEY, n INT, x TEXT, v)
CREATE TRIGGER att AFTER INSERT ON at BEGIN SELECT 1; END
INSERT INTO at VALUES (1, 1, 1, 1)
INSERT INTO at VALUES (1, '1', 2, 1) ON CONFLICT(id) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) RETURNING v
INSERT INTO at SELECT id, '1', 2, 1 FROM at WHERE true ON CONFLICT(id) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) RETURNING v
CREATE TABLE h(n INT UNIQUE, x TEXT, v)
INSERT INTO h VALUES (1, 1, 1)
INSERT INTO h VALUES ('1', 2, 1) ON CONFLICT(n) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) RETURNING v
INSERT INTO h(rowid, n, x) VALUES (1, 5, 2) ON CONFLICT(rowid) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) || excluded.rowid RETURNING v
INSERT INTO h(rowid, n, x) VALUES (1, 1, 2) ON CONFLICT(n) DO UPDATE SET v = typeof(excluded.n) || typeof(excluded.x) || excluded.rowid RETURNING v
INSERT INTO h(n, x) VALUES (1, 2) ON CONFLICT(n) DO UPDATE SET v = typeof(excluded.rowid) RETURNING v
CREATE TABLE nc(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, v)
INSERT INTO nc VALUES (1, 'a', 1)
INSERT INTO nc VALUES (1, 'A', 1) ON CONFLICT(id) DO UPDATE SET v = (excluded.a = 'a') || (a = 'A') || (a = excluded.a) || (excluded.a = a) || (excluded.a IN ('a')) || (excluded.a BETWEEN 'a' AND 'b') || (max(excluded.a, 'a')) RETURNING v
INSERT INTO nc VALUES (1, 'A', 1) ON CONFLICT(id) DO UPDATE SET v = 7 WHERE excluded.a = 'a' RETURNING v
!! CREATE TABLE gl(a, b AS (c), c AS (b))
!! CREATE TABLE gl(a, b AS (c), c AS (d), d AS (b))
!! CREATE TABLE gl(a, d AS (b), b AS (c), c AS (d))
!! CREATE TABLE gl(a, b AS (a), c AS (d), d AS (c), e AS (e))
!! CREATE TABLE gl(a, b AS (b) STORED, c AS (c))
CREATE TABLE ck4(a CHECK (a <> "nosuch"))
CREATE INDEX ck5 ON t(x) WHERE "nosuch" > 1
