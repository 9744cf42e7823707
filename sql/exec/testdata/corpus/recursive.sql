CREATE TABLE org(name TEXT PRIMARY KEY, boss TEXT, pay INT)
@index CREATE INDEX orgb ON org(boss)
INSERT INTO org VALUES ('Alice', NULL, 100), ('Bob', 'Alice', 80), ('Cindy', 'Alice', 90), ('Dave', 'Bob', 50), ('Emma', 'Bob', 60), ('Fred', 'Cindy', 70), ('Gail', 'Cindy', 40)
WITH RECURSIVE u(name, level) AS (VALUES ('Alice', 0) UNION ALL SELECT org.name, u.level + 1 FROM org JOIN u ON org.boss = u.name ORDER BY 2 DESC, 1) SELECT substr('..........', 1, level * 3) || name FROM u
WITH RECURSIVE u(name, level) AS (VALUES ('Alice', 0) UNION ALL SELECT org.name, u.level + 1 FROM org JOIN u ON org.boss = u.name ORDER BY 2, 1 DESC) SELECT group_concat(name) FROM u
WITH RECURSIVE u(name, level) AS (VALUES ('Alice', 0) UNION ALL SELECT org.name, u.level + 1 FROM org JOIN u ON org.boss = u.name ORDER BY 2 DESC, 1 DESC LIMIT 4) SELECT group_concat(name) FROM u
WITH RECURSIVE u(name, pay) AS (SELECT name, pay FROM org WHERE boss IS NULL UNION SELECT org.name, org.pay FROM org JOIN u ON org.boss = u.name ORDER BY pay DESC LIMIT 5 OFFSET 1) SELECT group_concat(name) FROM u
WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10 ORDER BY 1 DESC) SELECT group_concat(x) FROM n
WITH RECURSIVE n(x) AS (VALUES (5), (1), (3) UNION ALL SELECT x + 10 FROM n WHERE x < 30 ORDER BY 1) SELECT group_concat(x) FROM n
WITH RECURSIVE n(x) AS (VALUES (5), (1), (3) UNION ALL SELECT x + 10 FROM n WHERE x < 30) SELECT group_concat(x) FROM n
WITH RECURSIVE n(x) AS (VALUES (5), (1), (3) UNION SELECT (x + 2) % 7 FROM n ORDER BY 1 DESC LIMIT 6) SELECT group_concat(x) FROM n
WITH RECURSIVE n(x, s) AS (VALUES (1, 'b'), (2, 'A') UNION ALL SELECT x + 2, s || 'a' FROM n WHERE x < 6 ORDER BY 2 COLLATE NOCASE) SELECT group_concat(s) FROM n
! WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10 ORDER BY nosuch) SELECT * FROM n
! WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10 ORDER BY 2) SELECT * FROM n
WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20 OFFSET 5) SELECT min(x), max(x) FROM n
WITH RECURSIVE e(x) AS (SELECT 1 WHERE 0 UNION ALL SELECT x + 1 FROM e ORDER BY 1) SELECT count(*) FROM e
SELECT name, (WITH RECURSIVE up(n) AS (SELECT o.name UNION ALL SELECT boss FROM org JOIN up ON org.name = up.n WHERE boss IS NOT NULL ORDER BY 1) SELECT group_concat(n) FROM up) FROM org o ORDER BY name
