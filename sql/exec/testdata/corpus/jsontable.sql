CREATE TABLE doc(id INTEGER PRIMARY KEY, body TEXT);
INSERT INTO doc VALUES (1, '{"a":1,"b":[true,null,"x",2.5],"c":{"d":"e"}}'), (2, '[3,1,2]'), (3, NULL), (4, '7'), (5, '{}');
SELECT * FROM json_each('[1,"two",null,{"a":[]}]');
SELECT * FROM json_tree('{"a":[1,{"b":2}]}');
SELECT key, value, type FROM json_each('{"a":1,"b":2}') ORDER BY key DESC;
SELECT value FROM json_each('{"a":{"b":[5,6]}}', '$.a.b');
SELECT fullkey, path, atom FROM json_tree('{"a":{"b":[5,6]}}', '$.a') ORDER BY id;
SELECT count(*) FROM json_each(NULL);
SELECT count(*) FROM json_each();
SELECT count(*) FROM json_each('[1]', NULL);
SELECT count(*) FROM json_each('[1]', '$.none');
SELECT rowid, value FROM json_each('[10,20]');
SELECT doc.id, j.key, j.value FROM doc, json_each(doc.body) AS j ORDER BY doc.id, j.rowid;
SELECT doc.id, j.fullkey, j.type FROM doc JOIN json_tree(doc.body) AS j ON j.atom IS NOT NULL ORDER BY doc.id, j.id;
SELECT doc.id, j.value FROM doc LEFT JOIN json_each(doc.body) AS j ON j.type = 'integer' ORDER BY 1, 2;
SELECT id FROM doc WHERE EXISTS (SELECT 1 FROM json_each(doc.body) WHERE value = 2) ORDER BY id;
SELECT id, (SELECT sum(value) FROM json_each(doc.body) WHERE type IN ('integer', 'real')) FROM doc ORDER BY id;
SELECT id, (SELECT group_concat(key, '/') FROM json_tree(doc.body)) FROM doc ORDER BY id;
SELECT a.value, b.value FROM json_each('[1,2]') AS a, json_each('[3,4]') AS b ORDER BY 1, 2;
SELECT j.json, j.root FROM json_each('[1]', '$') AS j;
SELECT DISTINCT type FROM json_tree('[1,[2,"x"],{"y":null}]') ORDER BY type;
SELECT value FROM json_each('[[1,2],[3]]') WHERE json_array_length(value) = 2;
SELECT t.value FROM json_each('[[1,2],[3]]') AS s, json_each(s.value) AS t ORDER BY 1;
SELECT max(value), min(key) FROM json_each('[5,9,3]');
INSERT INTO doc SELECT 10 + key, value FROM json_each('["[1]","[2]"]');
SELECT * FROM doc WHERE id >= 10 ORDER BY id;
UPDATE doc SET body = (SELECT json_group_array(value) FROM (SELECT value FROM json_each(doc.body) ORDER BY value)) WHERE id = 2;
SELECT body FROM doc WHERE id = 2;
DELETE FROM doc WHERE id IN (SELECT value FROM json_each('[10,11]'));
SELECT count(*) FROM doc;
!! SELECT * FROM json_each('[1');
!! SELECT * FROM json_each('[1]', 'a');
!! SELECT * FROM json_each('[1]', '$', 1);
CREATE TABLE typed(s TEXT, i INT, x)
INSERT INTO typed VALUES ('1', '2', 3), ('x', 5, 'y')
SELECT value, s FROM typed, json_each('[1,"x",2]') WHERE value = s
SELECT value, s FROM typed, json_each('[1,"x",2]') WHERE +value = s ORDER BY s
SELECT value, i FROM typed, json_each('["2","5"]') WHERE value = i ORDER BY i
SELECT key, s FROM typed, json_each('[5,6]') WHERE key = s
SELECT s FROM typed WHERE s IN (SELECT value FROM json_each('[1,"x"]'))
SELECT value FROM json_each('[1,"1"]') WHERE value = '1'
SELECT value, s FROM typed, json_each('[1,"x",2]') WHERE json > s AND value = '1'
SELECT count(*) FROM pragma_table_info('typed') WHERE cid = '1'
SELECT count(*) FROM pragma_table_info('typed') AS p JOIN typed ON typed.s = p.cid
