SELECT date('2024-01-31','+1 month'), date('2024-01-31','+1 month','floor'), date('2024-01-31','+1 month','ceiling')
SELECT date('2024-02-29','+1 year'), date('2024-02-29','+1 year','floor'), date('2024-02-29','-1 year')
SELECT datetime('2024-01-01 10:00','start of month','+1 month','-1 day','weekday 0')
SELECT datetime(1700000000,'unixepoch'), datetime(1700000000,'auto'), datetime(2460000.5,'auto'), datetime(1700000000.5,'unixepoch','subsec')
SELECT julianday('2024-01-01'), julianday('2024-01-01 12:00'), unixepoch('2024-01-01'), unixepoch('2024-01-01 00:00:00.9','subsec')
SELECT strftime('%Y-%m-%d %H:%M:%S %f %j %J %s %w %u %W %U %V %G %g %e %k %l %I %p %P %R %T %F %D %%','2024-03-05 04:05:06.789')
SELECT strftime('%q','2024-01-01'), strftime('%','2024-01-01'), strftime('','2024-01-01'), strftime('%Y'), strftime()
SELECT date('2024-13-01'), date('2024-02-30'), date('2024-1-1'), date(' 2024-01-01'), date('2024-01-01 '), date('2024-01-01T10:00Z'), datetime('2024-01-01T10:00+02:00'), datetime('2024-01-01 24:00')
SELECT date('2024-01-01','1 day'), date('2024-01-01','+1 days'), date('2024-01-01','1.5 days'), datetime('2024-01-01','1.5 days'), date('2024-01-01','+1 fortnight'), date('2024-01-01','+1'), date('2024-01-01','')
SELECT datetime('2024-01-01','+10:30'), datetime('2024-01-01','-10:30:15.5'), datetime('2024-01-01','+0001-02-03 04:05:06'), datetime('2024-01-01','+01-02-03')
SELECT timediff('2024-03-01','2024-02-28'), timediff('2024-02-28','2024-03-01'), timediff('2024-01-01 10:00','2023-12-31 11:30:15.5'), timediff('x','2024-01-01')
SELECT date('0000-01-01'), date('-4713-11-24'), date('9999-12-31','+1 day'), date('0000-01-01','-1 day')
SELECT date('2024-05-05','weekday 7'), date('2024-05-05','weekday 1'), date('2024-05-05','weekday 0'), date('2024-05-05','weekday 1.5'), date('2024-05-05','weekday')
SELECT datetime('2024-05-05 10:11:12','start of day'), datetime('2024-05-05 10:11:12','start of year'), datetime('2024-05-05 10:11:12','start of hour'), datetime('2024-05-05','START OF MONTH')
SELECT date('10:00'), time('2024-01-01'), datetime('10:00:01')
SELECT printf('%d %i %u %5d|%-5d|%05d|%+d|% d', 42, 42, 42, 42, 42, 42, 42, 42)
SELECT printf('%f %.2f %10.3f|%-10.1f|%e %E %g %G', 3.14159, 3.14159, 3.14159, 3.14159, 31415.9, 31415.9, 0.0001, 1e20)
SELECT printf('%x %X %o %#x %#o %08x', 255, 255, 8, 255, 8, 255)
SELECT printf('%s|%10s|%-10s|%.2s|%5.1s', 'abc', 'abc', 'abc', 'abc', 'abc')
SELECT printf('%c|%5c|%c|%c', 'abc', 'x', '', 65)
SELECT printf('%q|%Q|%w', 'it''s', 'it''s', 'a"b'), printf('%Q', NULL), printf('%q', NULL), printf('%w', NULL)
SELECT printf('%,d %,d %,d %,.2f', 1234567, -1234567, 12, 1234567.891)
SELECT printf('%!.3f %!g %!s %!5s|', 2.5, 1e15, 'é', 'é'), printf('%5s|%-5s|', 'é', 'é'), printf('%.1s', 'éa'), printf('%!.1s', 'éa')
SELECT printf('%*d|%-*d|%.*f', 5, 42, 5, 42, 2, 3.14159), printf('%*d', -5, 42)
SELECT printf('%d', '12abc'), printf('%d', 'x'), printf('%d', NULL), printf('%d', 1.9), printf('%d', 1e30), printf('%d', x'3132')
SELECT printf('%f', 'abc'), printf('%f', NULL), printf('%s', NULL), printf('%s', 1.0), printf('%s', x'616263')
SELECT printf('%'), printf('%%'), printf('%y'), printf('abc%'), printf('%d'), printf('%s'), printf(), printf(NULL), printf('%n')
SELECT printf('%lld %ld %hd', 1, 2, 3), printf('%z', 1), printf('%p', 1), printf('%r', 1), printf('%r %r %r %r', 1, 2, 3, 11)
SELECT printf('%.15g', 0.1), printf('%.17g', 0.1), printf('%.20f', 0.1), printf('%!.20f', 0.1), printf('%g', 100000), printf('%g', 1000000), printf('%#g', 1)
SELECT printf('%f', 1e300*1e10), printf('%f', -1e300*1e10), printf('%d', 9e18), printf('%5f|', 1e999), printf('%05f|', 1e999)
SELECT printf('%+s %+5d % 5d %-+5d| %+.1f', 'x', 3, 3, 3, 2.25)
SELECT printf('%.0f %.0f %.0f %.0f', 0.5, 1.5, 2.5, -0.5), printf('%.1f', 0.25), printf('%.1f', 0.35), printf('%e', 0), printf('%g', 0.0)
SELECT printf('%010.3f|%-010d|%+010d', 3.14159, 42, 42), printf('%,010d', 12345), printf('%0,10d', 12345)
SELECT format('%s-%s', 1), format('%2$s', 1, 2)
SELECT CAST('123abc' AS INT), CAST('0x1F' AS INT), CAST(' 12 ' AS INT), CAST('1e3' AS INT), CAST('-' AS INT), CAST('' AS INT), CAST('9223372036854775808' AS INT), CAST('-9223372036854775809' AS INT)
SELECT CAST(1e30 AS INT), CAST(-1e30 AS INT), CAST(1.9 AS INT), CAST(-1.9 AS INT), CAST(x'3132' AS INT), CAST(NULL AS INT)
SELECT CAST('1.5' AS REAL), CAST('abc' AS REAL), CAST('.5' AS REAL), CAST('5.' AS REAL), CAST('1e' AS REAL), CAST('1e+' AS REAL), CAST('inf' AS REAL), CAST('nan' AS REAL), CAST('1e999' AS REAL)
SELECT CAST('1.0' AS NUMERIC), CAST('1e3' AS NUMERIC), CAST('1.5' AS NUMERIC), CAST('abc' AS NUMERIC), CAST('9223372036854775808' AS NUMERIC), CAST(1.0 AS NUMERIC), typeof(CAST('1.0' AS NUMERIC)), CAST('12abc' AS NUMERIC), CAST(x'31' AS NUMERIC)
SELECT CAST(1 AS TEXT), CAST(1.0 AS TEXT), CAST(1e20 AS TEXT), CAST(x'616263' AS TEXT), CAST('abc' AS BLOB), CAST(1 AS BLOB), CAST(1.5 AS BLOB), CAST(NULL AS TEXT)
SELECT CAST(1 AS VARCHAR(3)), CAST(1 AS foo), CAST('1' AS foo), typeof(CAST('1' AS foo)), CAST('1' AS FLOATING POINT), CAST('1' AS "INT"), CAST(5 AS '')
SELECT 9223372036854775807 + 1, -9223372036854775808 - 1, 9223372036854775807 * 2, -(-9223372036854775808), abs(-9223372036854775807), 9223372036854775807 + 0
!! SELECT abs(-9223372036854775808)
SELECT -9223372036854775808 / -1, -9223372036854775808 % -1, 5 / 0, 5 % 0, 5.0 / 0, 5.5 % 2, -5 % 3, 5 % -3, 5 % 0.5, '5' % 2
SELECT 1 << 63, 1 << 64, 1 << -1, -1 >> 1, -1 >> 64, -1 << 64, 1 << 62, ~0, ~1.5, ~'3', -1 >> -1, 1 >> -65
SELECT 1_000, 0x1F, 0xFFFFFFFFFFFFFFFF, 1_000.5_0, 0x1_F, 1e1_0
!! SELECT 0x
!! SELECT 1__0
!! SELECT 1_
!! SELECT 0x10000000000000000
!! SELECT 1e
SELECT 1.e5, .5e1, 1.5E-3, 00012, 1., 0x0
!! SELECT 12abc
SELECT 9223372036854775808, -9223372036854775808, -9223372036854775809, typeof(9223372036854775808), typeof(-9223372036854775808)
!! SELECT x'', X'4142', x'4', x'4G'
SELECT X'41' || 'b', typeof(X'41' || 'b'), length(x'00ff'), hex('é'), quote(x'00ff'), x'41' = 'A', x'41' < 'A', x'41' > 5
SELECT 'abc' LIKE 'ABC', 'abc' LIKE 'a%', 'abc' LIKE '_b_', 'a%c' LIKE 'a\%c' ESCAPE '\', 'abc' LIKE 'a\%c' ESCAPE '\', 'a_c' LIKE 'a!_c' ESCAPE '!', 'abc' LIKE 'abc' ESCAPE 'a'
!! SELECT 'abc' LIKE 'x' ESCAPE 'ab'
!! SELECT 'abc' LIKE 'x' ESCAPE ''
SELECT 'abc' LIKE NULL, NULL LIKE 'a', 'a' LIKE 'a' ESCAPE NULL, 1 LIKE 1, 1.0 LIKE '1.0', x'61' LIKE 'a', 'é' LIKE 'É', 'É' LIKE 'é'
SELECT 'abc' GLOB 'a*', 'abc' GLOB 'A*', 'abc' GLOB 'a?c', 'abc' GLOB '[a-c]bc', 'abc' GLOB '[^a]bc', 'a]c' GLOB 'a[]]c', 'a-c' GLOB 'a[-]c', 'abc' GLOB '[a', 'a*c' GLOB 'a[*]c'
!! SELECT 'abc' NOT LIKE 'x', 'abc' NOT GLOB 'x', like('a%', 'abc'), glob('a*', 'abc'), like('a!%', 'a%', '!'), like('a')
SELECT 'a' LIKE 'a%' || 'b', 'ab' LIKE 'a' || '%', NOT 'a' LIKE 'a', 'a' LIKE 'a' = 1
SELECT 1 IS DISTINCT FROM NULL, NULL IS DISTINCT FROM NULL, 1 IS NOT DISTINCT FROM 1.0, 'a' IS DISTINCT FROM 'A', 1 IS TRUE, 0 IS NOT TRUE, NULL IS FALSE, 2 IS TRUE, 'a' IS TRUE, 0.1 IS TRUE
SELECT TRUE, FALSE, true + 1, NOT TRUE, 1 = TRUE, 2 = TRUE, typeof(TRUE), "true"
SELECT NULL AND 0, NULL AND 1, NULL OR 1, NULL OR 0, NOT NULL, 'a' AND 1, '1a' AND 1, 0.1 AND 1, x'31' AND 1
SELECT 1 < 2 < 3, 3 > 2 > 1, 1 = 1 = 1, 5 BETWEEN 1 AND 10 AND 0, 1 + 2 * 3 - 4 / 2 % 3, 2 || 3 + 4, -2 || 3, ~1 + 1, 1 << 2 + 1, 1 | 2 & 3, NOT 1 = 2
SELECT 'a' < 1, 1 < 'a', '10' < 9, 10 < '9', CAST('10' AS INT) < '9', 1 = '1', 1.0 = '1', x'31' = '1', NULL = NULL, '' < x'', 1e400 > 9223372036854775807
SELECT round(2.5), round(-2.5), round(1.005, 2), round(1234.5678, -2), round('x'), round(NULL), round(1e15 + 0.5), round(5), typeof(round(5)), round(2.5, 0), round(1.15, 1)
SELECT substr('hello', 2), substr('hello', -3), substr('hello', 2, 3), substr('hello', -3, 2), substr('hello', 0, 3), substr('hello', 3, -2), substr('hello', 10), substr('hello', 0), substr('hello', -10, 8), substr(x'0102030405', 2, 2), substr(12345, 2, 2), substr('héllo', 2, 1), substr('hello', 2.9), substr('hello', NULL), substr('hello', 1, NULL)
SELECT instr('hello', 'l'), instr('hello', ''), instr('', 'a'), instr(x'010203', x'02'), instr('héllo', 'l'), instr(NULL, 'a'), instr(12345, 34), instr('abc', x'62')
SELECT trim('  a  '), ltrim('xxabc', 'x'), rtrim('abcxx', 'x'), trim('xyaxy', 'yx'), trim(NULL), trim('a', NULL), trim('aa', ''), trim('éaé', 'é')
SELECT replace('aaa', 'a', 'b'), replace('abc', '', 'x'), replace('abc', 'b', ''), replace(NULL, 'a', 'b'), replace(123, 2, 'x'), replace('aXa', 'x', 'b')
SELECT upper('aé'), lower('AÉ'), length('é'), length(x'c3a9'), length(123), length(1.50), length(NULL), octet_length('é'), char(65, 233, 128512), char(), char(0x110000), unicode('é'), unicode(''), unicode(NULL)
SELECT hex(123), hex(NULL), hex(1.5), unhex('4142'), unhex('41-42', '-'), unhex('4'), unhex('xx'), unhex(NULL), quote(1.5), quote('a''b'), quote(NULL), quote(1e400), quote(-1e400)
SELECT coalesce(NULL, NULL), coalesce(NULL, 1, 2), ifnull(NULL, 2), nullif(1, 1), nullif(1, 2), nullif('a', 'A'), iif(1, 2, 3), iif(0, 2, 3), iif(0, 2), iif(NULL, 1, 2), iif(0, 1, 1, 5, 7), if(1, 2)
SELECT max(1, 'a', x'00'), min(1, 'a', NULL), max(1, 1.0), typeof(max(1, 1.0)), min('a', 'B'), max('a'), min(1)
SELECT typeof(1), typeof(1.0), typeof('a'), typeof(x'00'), typeof(NULL), typeof(1 + 1.0), typeof('1' + 1), typeof(1 / 2), typeof(1 || 2), typeof(+ '1')
!! SELECT likely(1), unlikely(0), likelihood(1, 0.5), likelihood(1, 2)
!! SELECT likelihood(1, 0.5 + 0.1)
!! SELECT concat(1, NULL, 'a', 2.5), concat(NULL), concat_ws(',', 1, NULL, 'a'), concat_ws(NULL, 1), concat_ws(',', NULL, NULL), concat_ws(',')
!! SELECT concat()
SELECT sign(-3), sign(0), sign(2.5), sign('x'), sign('5'), sign(NULL), ceil(1.2), floor(-1.2), ceil('x'), ceil(5), typeof(ceil(5)), trunc(-1.7), mod(7, 3), mod(7.5, 2), mod(1, 0), pow(2, 10), pow(0, -1), sqrt(-1), ln(0), log(100), log(2, 8), log2(8), exp(0), pi(), degrees(pi()), radians(180)
SELECT unistr('\00e9'), unistr('\u00e9\U0001F600'), unistr('\\'), unistr_quote('a' || char(1))
!! SELECT unistr('\zz')
!! SELECT nosuch(1)
!! SELECT abs()
!! SELECT abs(1, 2)
!! SELECT substr('a')
SELECT count(*) OVER (), row_number() OVER (), sum(1) OVER (ORDER BY 1)
SELECT ABS(-1), Upper('a'), "abs"(-1), [abs](-1), `abs`(-1)
!! SELECT glob('a', 'b', 'c')
SELECT json('{"a":1}') -> 'a', json('{"a":[1,2]}') ->> '$.a[1]', '{"a":1}' ->> 'a', '[1,2]' -> 1, '[1,2]' ->> -1, '{"a":{"b":2}}' -> 'a' -> 'b'
SELECT json_extract('{"a":1,"b":[1,2,{"c":null}]}', '$.a', '$.b[2].c', '$.b[#-1]', '$.zz'), json_type('{"a":null}', '$.a'), json_type('[1.5,"a",true,null,{},[]]', '$[0]'), json_valid('{a:1}'), json_valid('{a:1}', 2), json('{a:1,}')
SELECT json_group_array(x), json_group_object(x, y) FROM (SELECT 1 AS x, 'a' AS y UNION ALL SELECT NULL, x'00')
SELECT json_group_array(value), json_group_object(key, value) FROM json_each('{"a":1,"b":"x","c":null,"d":[1]}')
SELECT key, value, type, atom, id, parent, fullkey, path FROM json_tree('{"a":[1,{"b":2}],"c d":3}')
SELECT key, value, type, atom, id, parent, fullkey, path FROM json_each('[1,"a",null,true,{"x":1}]')
SELECT json_object('a', 1, 'b', json('[1]'), 'c', '[1]'), json_array(1, 'a', NULL, json('{}'), 1.0), json_quote('a"b'), json_quote(json('[1]'))
SELECT json_set('{"a":1}', '$.b', 2, '$.a', 3), json_insert('{"a":1}', '$.a', 2, '$.b', 3), json_replace('{"a":1}', '$.a', 2, '$.b', 3), json_remove('{"a":1,"b":2}', '$.a'), json_patch('{"a":1,"b":2}', '{"a":null,"c":3}')
!! SELECT json_object('a')
!! SELECT json_extract('{', '$')
!! SELECT json_extract('{"a":1}', 'a')
SELECT json_error_position('{"a":1'), json_error_position('{}'), json_pretty('{"a":[1,2]}'), json_array_length('[1,2]'), json_array_length('{"a":[1]}', '$.a'), json_array_length('1')
