CREATE TABLE doc(id INTEGER PRIMARY KEY, j BLOB, a AS (jsonb_extract(j, '$.a')) VIRTUAL, k TEXT AS (j ->> '$.k') STORED, b BLOB AS (jsonb_extract(j, '$.b')))
@index CREATE INDEX doc1 ON doc(jsonb_extract(j, '$.a'))
@index CREATE INDEX doc2 ON doc(k)
@index CREATE INDEX doc3 ON doc(jsonb_extract(j, '$.b')) WHERE json_valid(j, 8)
@index CREATE INDEX doc4 ON doc(a, id)
INSERT INTO doc(id, j) VALUES (1, jsonb('{"a":1,"b":[1,2],"k":"x"}')), (2, jsonb('{a:0x10,b:{c:.5},k:"y"}')), (3, '{"a":1,"k":"z"}'), (4, NULL), (5, jsonb('[{"a":1},2]'))
SELECT id, typeof(j), hex(j) FROM doc ORDER BY id
SELECT id, json(j), a, k, hex(b) FROM doc ORDER BY id
SELECT id FROM doc WHERE jsonb_extract(j, '$.a') = 1 ORDER BY id
SELECT id FROM doc WHERE a = 16
SELECT id FROM doc WHERE jsonb_extract(j, '$.b') = jsonb('[1,2]') AND json_valid(j, 8)
SELECT id FROM doc WHERE k > 'x' ORDER BY k DESC
SELECT id, json_valid(j), json_valid(j, 4), json_valid(j, 6), json_valid(j, 8), json_valid(j, 9) FROM doc ORDER BY id
SELECT id, j -> '$.b', j ->> 'a', json_type(j, '$.b'), json_array_length(j), json_error_position(j) FROM doc ORDER BY id
SELECT hex(jsonb_set(j, '$.a', 'new', '$.b[#]', jsonb('{}'))) FROM doc WHERE id = 1
SELECT hex(jsonb_remove(j, '$.b')), hex(jsonb_replace(j, '$.k', NULL)), hex(jsonb_insert(j, '$.z.y', 1)), hex(jsonb_patch(j, '{"a":null,"n":{"m":2}}')) FROM doc WHERE id = 2
SELECT hex(jsonb_array(1, 'x', j)), json_array(j), json_object('j', j), hex(jsonb_object('j', j -> '$.b')) FROM doc WHERE id = 1
SELECT hex(jsonb_array_insert('[1,3]', '$[1]', 2)), hex(jsonb_extract('[1,2]', '$[0]', '$[1]', '$[2]')), jsonb_extract('[1.5]', '$[0]')
SELECT json_quote(j), json_pretty(j, ' ') FROM doc WHERE id = 1
SELECT hex(jsonb_group_array(id)), json_group_array(jsonb_extract(j, '$.b')), hex(jsonb_group_object(k, j)) FROM doc WHERE id < 3
SELECT hex(jsonb_group_array(id)), typeof(jsonb_group_object(id, id)) FROM doc WHERE 0
SELECT id, json_group_array(j) OVER w, hex(jsonb_group_array(a) OVER w), hex(jsonb_group_object(id, b) OVER w) FROM doc WINDOW w AS (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY id
SELECT doc.id, e.key, e.value, e.type, e.atom, e.id, e.fullkey FROM doc, json_each(doc.j) AS e ORDER BY doc.id, e.rowid
SELECT doc.id, t.key, typeof(t.value), json_quote(t.value), t.id, t.parent, t.fullkey, t.path FROM doc, jsonb_tree(doc.j) AS t ORDER BY doc.id, t.rowid
SELECT key, hex(value), hex(json), root FROM jsonb_each(jsonb('{"a":{"b":[1,{}]}}'), '$.a')
SELECT count(*) FROM doc WHERE EXISTS (SELECT 1 FROM jsonb_each(doc.j) WHERE value = jsonb('[1,2]'))
SELECT subtype(jsonb('[1]')), subtype(jsonb_array(1)), subtype(jsonb_object()), subtype(json(jsonb('1'))), subtype(value), typeof(value) FROM jsonb_each('[[1]]')
UPDATE doc SET j = jsonb_set(j, '$.a', id * 10) WHERE json_type(j) = 'object'
SELECT id, json(j), a FROM doc ORDER BY id
UPDATE doc SET j = jsonb_patch(j, '{"k":"w"}') WHERE k = 'x' RETURNING id, json(j), k
INSERT INTO doc(id, j) VALUES (1, jsonb('{"k":"v"}')) ON CONFLICT(id) DO UPDATE SET j = jsonb_patch(doc.j, excluded.j) RETURNING json(j), k
SELECT json('{"a":1}') = json(jsonb('{"a":1}')), jsonb('[1]') = x'2b1331', json(x'cb021331'), hex(jsonb(x'cb021331'))
SELECT json(x'7b2261223a317d'), json(CAST('[1,2]' AS BLOB)), hex(jsonb(CAST('"x"' AS BLOB))), json_valid(CAST('[1]' AS BLOB)), json_valid(x'33312e35', 5)
SELECT hex(jsonb('[12345]')), hex(jsonb_set('[12345]', '$[0]', 1)), json(jsonb_set('[12345]', '$[0]', 1))
SELECT json_extract(x'cb0413319331', '$[0]'), json_array_length(x'cb0413319331'), json_error_position(x'cb0413319331'), hex(jsonb(x'cb0413319331'))
! SELECT json(x'cb0413319331')
! SELECT json_extract(x'cb0413319331', '$[1]')
! SELECT json(x'0d')
! SELECT jsonb('{')
! SELECT json_array(x'ff')
! SELECT jsonb_object(1, 2)
! SELECT jsonb_set('{}', '$.a')
! SELECT jsonb_patch(x'cc021761', '{"a":1}')
! SELECT jsonb_extract('{}', 'a')
!! SELECT jsonb_group_array(x'ff')
!! SELECT json_group_array(x'03')
!! SELECT * FROM json_each(x'cb0413319331')
!! SELECT count(*) FROM json_tree(x'cb0413319331')
!! SELECT * FROM jsonb_each('[1')
!! SELECT * FROM jsonb_tree('[1]', '$', 1)
!! SELECT jsonb()
!! SELECT jsonb_patch('{}')
SELECT name, type, narg, flags FROM pragma_function_list WHERE name LIKE 'jsonb%' ORDER BY 1
CREATE TABLE typed(j BLOB CHECK (json_valid(j, 8)), s TEXT DEFAULT (json_array(1))) STRICT
INSERT INTO typed(j) VALUES (jsonb('[1]'))
! INSERT INTO typed(j) VALUES ('[1]')
! INSERT INTO typed(j) VALUES (x'ff')
! INSERT INTO typed(j, s) VALUES (jsonb('1'), jsonb('1'))
SELECT json(j), s FROM typed
