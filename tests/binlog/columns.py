"""A table with a column of every type that MariaDB 10.11 logs, and values at the edges of each.

COLUMNS: name, definition, how SELECT shows it for comparison (see `expected` in test_binlog_print.py), values as SQL.
"""

CHAR, BYTES, ZERO_PADDED, NUMBER = "char", "bytes", "zero_padded", "number"
FLOAT, DOUBLE, EPOCH, UUID = "float", "double", "epoch", "uuid"


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def integers(bits):
    return [str(-(2 ** (bits - 1))), "-1", "0", "1", str(2 ** (bits - 1) - 1)]


def unsigned(bits):
    return ["0", "1", str(2 ** (bits - 1)), str(2**bits - 1)]


def fractions(kind, digits):
    """A temporal value with that many digits, for times before and after zero."""
    fraction = "." + "123456"[:digits] if digits else ""
    nines = "." + "9" * digits if digits else ""
    if kind == "time":
        return [f"'{t}'" for t in ("-838:59:59" + nines, "-00:00:00" + (fraction if digits else ""), "00:00:00",
                                   "-00:00:01", "-01:02:03" + fraction, "01:02:03" + fraction, "838:59:59" + nines)]
    if kind == "datetime":
        return [f"'{t}'" for t in ("0000-00-00 00:00:00", "0001-01-01 00:00:00", "2024-02-29 12:34:56" + fraction,
                                   "2024-00-00 00:00:00", "9999-12-31 23:59:59" + nines)]
    return ["'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", f"'2024-02-29 12:34:56{fraction}'",
            f"'2038-01-19 03:14:07{nines}'"]


INTEGERS = [("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)]
COLUMNS = [(f"s_{name}", name, NUMBER, integers(bits)) for name, bits in INTEGERS]
COLUMNS += [(f"u_{name}", f"{name} unsigned", NUMBER, unsigned(bits)) for name, bits in INTEGERS]
COLUMNS += [
    (f"dec_{p}_{s}", f"decimal({p},{s})", NUMBER, values)
    for p, s, values in [
        (1, 0, ["-9", "0", "9"]),
        (9, 0, ["-999999999", "-1", "0", "123456789"]),
        (10, 0, ["-9999999999", "1000000000"]),
        (5, 5, ["-0.99999", "0.00001", "0.1", "0"]),
        (10, 3, ["-1234567.891", "0.001", "1000000"]),
        (20, 10, ["-1234567890.0123456789", "9999999999.9999999999", "0.0000000001"]),
        (38, 38, ["-0." + "9" * 38, "0." + "0" * 37 + "1"]),
        (65, 0, ["-" + "9" * 65, "9" * 65]),
        (65, 30, ["-" + "9" * 35 + "." + "9" * 30, "1.5"]),
        (65, 38, ["9" * 27 + "." + "9" * 38]),
    ]
]
COLUMNS += [("u_dec", "decimal(7,2) unsigned", NUMBER, ["0", "99999.99"])]
COLUMNS += [
    ("f", "float", FLOAT, ["-3.402823466e38", "-1.5", "0", "1e-38", "3.14159274", "16777216"]),
    ("u_f", "float unsigned", FLOAT, ["0", "2.5e10"]),
    ("d", "double", DOUBLE, ["-1.7976931348623157e308", "-0.1", "0", "2.2250738585072014e-308", "3.141592653589793"]),
    ("u_d", "double unsigned", DOUBLE, ["0", "1e100"]),
]
COLUMNS += [
    (f"bit_{n}", f"bit({n})", NUMBER, ["0", "1", str(2 ** (n - 1)), str(2**n - 1)]) for n in (1, 7, 8, 9, 33, 63, 64)
]
COLUMNS += [
    ("y", "year", CHAR, ["0", "1901", "2024", "2155"]),
    ("da", "date", CHAR, ["'0000-00-00'", "'0001-01-01'", "'2024-02-29'", "'2024-00-00'", "'9999-12-31'"]),
]
for digits in range(7):
    COLUMNS += [
        (f"ti_{digits}", f"time({digits})", CHAR, fractions("time", digits)),
        (f"dt_{digits}", f"datetime({digits})", CHAR, fractions("datetime", digits)),
        (f"ts_{digits}", f"timestamp({digits}) null", EPOCH, fractions("timestamp", digits)),
    ]
TEXTS = ["''", "'a'", quoted("it's a \\ and \"\n\t\r\x1a\x08"), "'grün 鍵 🔑'"]
LATIN = ["''", "'gr\xfcn'", "'a'"]
COLUMNS += [
    ("c_10", "char(10) charset utf8mb4", BYTES, TEXTS[:2] + ["'鍵🔑'", "'a b  '"]),
    ("c_255_latin1", "char(255) charset latin1", BYTES, LATIN + ["repeat('x',255)"]),
    ("c_255", "char(255) charset utf8mb4", BYTES, TEXTS[:2] + ["repeat('鍵',255)", "repeat('🔑',255)"]),
    ("c_100_utf16", "char(100) charset utf16", BYTES, TEXTS[:2] + ["'grün'", "repeat('鍵',100)"]),
    ("b_1", "binary(1)", ZERO_PADDED, ["x'00'", "x'20'", "x'ff'"]),
    ("b_20", "binary(20)", ZERO_PADDED, ["x'00'", "x'2020'", "x'0001020300'", "repeat(x'ff',20)"]),
    ("b_255", "binary(255)", ZERO_PADDED, ["''", "repeat(x'fe',255)"]),
    ("vc_1", "varchar(1) charset latin1", BYTES, ["''", "'\xfc'"]),
    ("vc_255", "varchar(255) charset latin1", BYTES, LATIN + ["repeat('y',255)"]),
    ("vc_256", "varchar(256) charset latin1", BYTES, LATIN + ["repeat('y',256)"]),
    ("vc_300", "varchar(300) charset utf8mb4", BYTES, TEXTS + ["repeat('🔑',300)"]),
    ("vc_ucs2", "varchar(20) charset ucs2", BYTES, ["''", "'ab'", "'鍵'"]),
    ("vb_255", "varbinary(255)", BYTES, ["''", "x'0027'", "repeat(x'00',255)"]),
    ("vb_300", "varbinary(300)", BYTES, ["''", "x'5c27'", "repeat(x'01',300)"]),
    ("tt", "tinytext charset utf8mb4", BYTES, TEXTS + ["repeat('z',255)"]),
    ("t", "text charset latin1", BYTES, LATIN + ["repeat('z',300)"]),
    ("mt", "mediumtext charset utf8mb4", BYTES, TEXTS + ["repeat('z',70000)"]),
    ("lt", "longtext charset utf8mb4", BYTES, TEXTS + ["repeat('ab',400)"]),
    ("tb", "tinyblob", BYTES, ["''", "x'00'", "repeat(x'80',255)"]),
    ("b", "blob", BYTES, ["''", "x'0a27'", "repeat(x'80',300)"]),
    ("mb", "mediumblob", BYTES, ["''", "x'00ff'"]),
    ("lb", "longblob", BYTES, ["''", "x'00ff'", "repeat(x'7f',1000)"]),
    ("e_1", "enum('','a','b c','it''s','grün') charset utf8mb4", CHAR, ["''", "'a'", "'b c'", "'it''s'", "'grün'"]),
    ("e_2", "enum(" + ",".join(f"'v{i}'" for i in range(300)) + ")", CHAR, ["'v0'", "'v255'", "'v299'"]),
    ("e_utf16", "enum('x','鍵') charset utf16", BYTES, ["'x'", "'鍵'"]),
    ("set_8", "set('a','b','c','d','e','f','g','h') charset utf8mb4", CHAR, ["''", "'a'", "'b,h'", "255"]),
    ("set_9", "set('a','b','c','d','e','f','g','h','i')", CHAR, ["''", "'i'", "'a,i'"]),
    ("set_24", "set(" + ",".join(f"'v{i}'" for i in range(24)) + ")", CHAR, ["''", "'v23'"]),
    ("set_32", "set(" + ",".join(f"'v{i}'" for i in range(32)) + ")", CHAR, ["''", "'v0,v31'"]),
    ("set_64", "set(" + ",".join(f"'v{i}'" for i in range(64)) + ")", CHAR, ["''", "'v0,v63'", "18446744073709551615"]),
    ("js", "json", BYTES, ["'{}'", "'{\"a\": [1, null, \"grün\"]}'"]),
    ("g", "geometry", BYTES, ["point(1,2)", "st_geomfromtext('LINESTRING(0 0,1 1)', 4326)"]),
    ("pt", "point", BYTES, ["point(-1.5,1e10)"]),
    ("mp", "multipolygon", BYTES, ["st_geomfromtext('MULTIPOLYGON(((0 0,0 1,1 1,0 0)))')"]),
    ("uu", "uuid", UUID, ["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'",
                          "'ffffffff-ffff-4fff-bfff-ffffffffffff'"]),
    ("i6", "inet6", ZERO_PADDED, ["'::'", "'::1'", "'2001:db8::'"]),
    ("i4", "inet4", ZERO_PADDED, ["'0.0.0.0'", "'127.0.0.1'", "'10.0.0.0'"]),
    ("cvc", "varchar(100) charset utf8mb4 compressed", BYTES, TEXTS + ["repeat('x',100)"]),
    ("cvc_s", "varchar(50) charset latin1 compressed", BYTES, LATIN + ["repeat('x',50)"]),
    ("cvb", "varbinary(2000) compressed", BYTES, ["''", "x'00'", "repeat(x'00',2000)"]),
    ("ctt", "tinytext charset utf8mb4 compressed", BYTES, TEXTS + ["repeat('x',255)"]),
    ("ct", "text charset latin1 compressed", BYTES, LATIN + ["repeat('x',500)"]),
    ("cmb", "mediumblob compressed", BYTES, ["''", "x'00'", "repeat(x'ab',100000)"]),
    ("clb", "longblob compressed", BYTES, ["''", "x'ff'", "repeat('0123456789',300)"]),
    ("inv", "int unsigned invisible", NUMBER, ["1", "4294967295"]),
]
GENERATED = [
    ("gv", "int as (s_int div 2) virtual", NUMBER),
    ("gs", "bigint unsigned as (u_int + 1) stored", NUMBER),
]


def create(name, columns=COLUMNS, generated=GENERATED):
    definitions = ["id int unsigned auto_increment"]
    definitions += [f"`{column[0]}` {column[1]}" for column in columns]
    definitions += [f"`{column[0]}` {column[1]}" for column in generated]
    return f"CREATE OR REPLACE TABLE {name} ({', '.join(definitions)}, PRIMARY KEY (id)) ROW_FORMAT=DYNAMIC"


def row(number, columns=COLUMNS):
    """The number-th value of each column, beginning anew where a column has fewer."""
    return [column[3][number % len(column[3])] for column in columns]


def row_count(columns=COLUMNS):
    return max(len(column[3]) for column in columns)


def inserts(name, columns=COLUMNS):
    names = ", ".join(f"`{column[0]}`" for column in columns)
    nulls = ", ".join(["NULL"] * len(columns))
    statements = [f"INSERT INTO {name} ({names}) VALUES ({nulls})"]
    rows = [", ".join(row(i, columns)) for i in range(row_count(columns))]
    statements += [f"INSERT INTO {name} ({names}) VALUES ({values})" for values in rows[:2]]
    statements += [f"INSERT INTO {name} ({names}) VALUES ({'), ('.join(rows[2:])})"]
    return statements


def updates(name, columns=COLUMNS):
    def assignments(number):
        return ", ".join(f"`{column[0]}` = {value}" for column, value in zip(columns, row(number, columns)))

    first = columns[0][0]
    return [
        f"UPDATE {name} SET {assignments(1)} WHERE id = 1",
        f"UPDATE {name} SET {assignments(2)} WHERE id IN (2, 4)",
        f"UPDATE {name} SET `{first}` = NULL WHERE id IN (3, 5)",
        f"UPDATE {name} SET id = id + 100 WHERE id = 3",
    ]
