SELECT CAST(1 AS), typeof(CAST('1' AS)), typeof(CAST('a' AS)), typeof(CAST(x'31' AS)), typeof(CAST('1.0' AS)), CAST(1.5 AS) = '1.5'
SELECT CAST(5 AS ''), typeof(CAST('5' AS '')), typeof(CAST('5' AS "")), CAST('5' AS ) = 5
CREATE TABLE ct(a, b)
CREATE INDEX cti ON ct(CAST(a AS))
SELECT * FROM ct WHERE CAST(a AS) = 1
SELECT CAST(a AS) FROM ct UNION SELECT 1 ORDER BY CAST(a AS)
CREATE TABLE cu(a CHECK (CAST(a AS) > 1), b AS (CAST(a AS)), c DEFAULT (CAST('1' AS)))
INSERT INTO cu(a) VALUES ('5')
SELECT *, typeof(b), typeof(c) FROM cu
