CREATE TABLE ja(x)
INSERT INTO ja VALUES('[1,2]'),('[3]'),(NULL)
CREATE TABLE pn(n)
INSERT INTO pn VALUES('ja'),('pn')
SELECT name FROM pragma_table_info(pn.n) CROSS JOIN pn
SELECT name FROM pn CROSS JOIN pragma_table_info(pn.n)
SELECT name FROM pragma_table_info(pn.n) JOIN pn
SELECT name FROM pragma_table_info CROSS JOIN pn WHERE arg = pn.n
SELECT value FROM json_each CROSS JOIN ja WHERE json = ja.x
SELECT value FROM json_each(ja.x) JOIN pn CROSS JOIN ja
SELECT value FROM json_each(ja.x) JOIN ja CROSS JOIN pn
SELECT value FROM pn CROSS JOIN json_each(ja.x) JOIN ja
SELECT value FROM json_each('[1]', ja.x) CROSS JOIN ja
SELECT value FROM json_tree(ja.x) CROSS JOIN ja
SELECT value, x FROM ja RIGHT JOIN json_each('[5]')
SELECT value, x FROM ja RIGHT JOIN json_each('[5]') ON 0
SELECT name, n FROM pn RIGHT JOIN pragma_table_info(pn.n)
SELECT name, n FROM pn FULL JOIN pragma_table_info(pn.n) ON name = 'x'
SELECT value, x, n FROM ja RIGHT JOIN json_each(ja.x) FULL JOIN pn ON pn.n = value
SELECT value, x, n FROM pn LEFT JOIN ja RIGHT JOIN json_each(ja.x)
SELECT value, x FROM ja RIGHT JOIN json_each(ja.x) ON value > 1 WHERE x IS NOT NULL
SELECT value, x FROM ja FULL JOIN json_each(ja.x) ON value > 1
SELECT value, x FROM ja FULL JOIN json_each(ja.x) ON value > 1 WHERE value IS NULL
SELECT value, x FROM ja RIGHT JOIN json_each WHERE json = ja.x
SELECT value, x, n FROM pn RIGHT JOIN (ja JOIN json_each(ja.x)) ON 1
SELECT value, x, n FROM pn LEFT JOIN (ja RIGHT JOIN json_each(ja.x)) ON 1
