"""Every column type of MariaDB 10.11, both ways.

A value that arrives changed is worse than one that doesn't arrive: nobody looks for it. So each is compared with
what was written, as text, and the tables are compared with each other, definitions and rows. All tests share one
pair of nodes; each starts with an empty database, and a test that failed leaves the pair to nobody."""

import pathlib
import shutil
import tempfile

import pymysql
import pytest

from conftest import Lab, tell

UTC = "SET time_zone='+00:00'"


class Nodes(Lab):
    def wait(self, timeout=60):
        """What does not arrive within this has stopped."""
        super().wait(timeout)


class Pair:
    """One lab for a module, made anew after a failure."""

    def __init__(self, **options):
        self.options, self.lab, self.directory = options, None, None

    def take(self):
        if self.lab is None:
            self.directory = tempfile.mkdtemp(prefix="syncline-test-")
            lab = Nodes.__new__(Nodes)
            lab.dir, lab.connections = pathlib.Path(self.directory) / "lab", []
            self.lab = lab
            lab.__init__(lab.dir, **self.options)
        return self.lab

    def drop(self):
        if self.lab is not None:
            self.lab.down()
            shutil.rmtree(self.directory, ignore_errors=True)
        self.lab = None


@pytest.fixture(scope="module")
def pair(request):
    pair = Pair(**getattr(request.module, "LAB", {}))
    yield pair
    pair.drop()


@pytest.fixture
def lab(pair, request):
    lab = pair.take()
    for database in pair.options.get("databases", ("d",)):
        lab.sql(1, "SET foreign_key_checks=0", f"CREATE OR REPLACE DATABASE `{database}` CHARACTER SET utf8mb4")
    lab.wait()
    yield lab
    if getattr(request.node, "failed_in_call", True) and pair.lab is not None:
        for node in lab.nodes:
            tell(lab, node)
        pair.drop()


def texts(lab, node, statement, *before):
    """The rows of a SELECT as the server sends them: text, or bytes where a column is binary."""
    connection = pymysql.connect(user="root", charset="utf8mb4", unix_socket=lab.socket(node), conv={}, database="d",
                                 autocommit=True)
    try:
        with connection.cursor() as cursor:
            for s in (UTC, *before, statement):
                cursor.execute(s)
            return list(cursor.fetchall())
    finally:
        connection.close()


def transaction(lab, node, statements, *before):
    lab.sql(node, UTC, "SET NAMES utf8mb4", *before, "BEGIN", *statements, "COMMIT", database="d")


# ---- One column, its values ----


class Column:
    """values: what is written; a text is both the literal and what SELECT shows, (sql, shown) where these differ.
    show: an expression over v. The column v stands between others, so a wrong width would be seen in them."""

    def __init__(self, definition, *values, show="v", nullable=True, mode=None):
        self.definition, self.show, self.nullable, self.mode = definition, show, nullable, mode
        self.values = [v if isinstance(v, tuple) else (self.quote(v), v) for v in values]

    @staticmethod
    def quote(text):
        return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def binary(*values):
    return [(f"x'{v}'", v.upper()) for v in values]


def check_both_ways(lab, columns, mode=""):
    """Rows are inserted, changed, set to NULL and deleted, on either node, and looked at on the other."""
    tables = {f"t{i}": c for i, c in enumerate(columns)}
    settings = (f"SET sql_mode='{mode}'",)
    expected = {}  # (table, id) -> (what v shows, w)

    def insert(node, base):
        statements = []
        for name, c in tables.items():
            values = [*c.values, *([("NULL", None)] if c.nullable else [])]
            for i, (sql, shown) in enumerate(values):
                statements.append(f"INSERT INTO {name} VALUES ({base + i}, 'before', {sql}, {base})")
                expected[name, base + i] = (shown, base)
        transaction(lab, node, statements, *settings)

    def rotate(node):
        """Each row gets the value behind its own, so every value replaces another of another length."""
        statements = []
        for name, c in tables.items():
            values = [*c.values, *([("NULL", None)] if c.nullable else [])]
            for (table, id_), (_, w) in list(expected.items()):
                if table == name:
                    sql, shown = values[(id_ + 1) % len(values)]
                    statements.append(f"UPDATE {name} SET v={sql}, w={w + 1} WHERE id={id_}")
                    expected[name, id_] = (shown, w + 1)
        transaction(lab, node, statements, *settings)

    def delete(node, keep):
        statements = [f"DELETE FROM {t} WHERE id={i}" for t, i in expected if not keep(i)]
        for key in [k for k in expected if not keep(k[1])]:
            del expected[key]
        transaction(lab, node, statements, *settings)

    def look(node):
        lab.wait()
        for name, c in tables.items():
            rows = texts(lab, node, f"SELECT id, {c.show}, w, a FROM {name} ORDER BY id", *settings)
            found = {int(r[0]): (r[1], int(r[2])) for r in rows}
            wanted = {i: e for (t, i), e in expected.items() if t == name}
            assert found == wanted, f"node {node}, {c.definition}"
            assert {r[3] for r in rows} <= {"before"}, f"node {node}, {c.definition}"

    lab.sql(1, *settings, "SET innodb_strict_mode=1",
            *[f"CREATE TABLE {name} (id INT PRIMARY KEY, a VARCHAR(10), v {c.definition}, w INT)" for name, c
              in tables.items()], database="d")
    insert(1, 0)
    look(2)
    insert(2, 100)
    look(1)
    rotate(2)
    look(1)
    rotate(1)
    look(2)
    lab.assert_equal()
    delete(1, lambda i: i % 3)
    look(2)
    delete(2, lambda i: i % 2)
    look(1)
    lab.assert_equal()


# ---- Numbers ----

BITS = {"TINYINT": (8, 3), "SMALLINT": (16, 5), "MEDIUMINT": (24, 8), "INT": (32, 10), "BIGINT": (64, 20)}


@pytest.mark.sanitizer
def test_integers(lab):
    """A sign or a width taken wrong turns a count into another one."""
    columns = [Column("BOOLEAN", "0", "1"), Column("BIGINT NOT NULL DEFAULT -1", "0", "-1", nullable=False)]
    for name, (bits, width) in BITS.items():
        top = 1 << bits
        columns.append(Column(name, str(-top // 2), "-1", "0", "1", str(top // 2 - 1)))
        columns.append(Column(name + " UNSIGNED", "0", "1", str(top // 2), str(top - 1)))
        columns.append(Column(name + " ZEROFILL", "0" * width, "7".zfill(width), str(top - 1).zfill(width)))
        columns.append(Column(name + "(2) ZEROFILL", "00", "07", "99", "123"))
    check_both_ways(lab, columns)


def test_decimals_and_floats(lab):
    """Money with a digit less, or a door's measured value rounded on the way."""
    check_both_ways(lab, [Column("DECIMAL(1,0)", "-9", "0", "9"), Column("DECIMAL(5,5)", "-0.99999", "0.00001",
            "0.00000"), Column("DECIMAL(10,2)", "-12345678.99", "0.01", "99999999.99"), Column("DECIMAL(9,0)",
            "-999999999", "1"), Column("DECIMAL(18,9)", "-999999999.999999999", "0.000000001"), Column("DECIMAL(38,38)",
            "-0." + "9" * 38, "0." + "0" * 37 + "1"), Column("DECIMAL(65,0)", "-" + "9" * 65, "9" * 65, "0"),
                          Column("DECIMAL(65,30)", "-" + "9" * 35 + "." + "9" * 30, "1." + "0" * 30),
                          Column("DECIMAL(65,38)", "9" * 27 + "." + "9" * 38), Column("DECIMAL(7,2) UNSIGNED", "0.00",
            "99999.99"), Column("DECIMAL(7,2) ZEROFILL", "00000.00", "00001.50"), Column("NUMERIC", "-9999999999",
            "1000000000"), Column("FLOAT", ("-3.402823466e38", "-3.40282e38"), "-1.5", "0", ("1.17549435e-38",
            "1.17549e-38"), ("16777216", "16777200")), Column("FLOAT UNSIGNED", "0", "25000000000"),
                          Column("FLOAT(7,3)", "-9999.123", "0.001"), Column("DOUBLE", "-1.7976931348623157e308", "0.1",
            "3.141592653589793", "2.2250738585072014e-308", "5e-324"), Column("DOUBLE UNSIGNED", "0", "1e100"),
                          Column("DOUBLE(20,5)", "-123456789012.12346", "0.00001"), Column("REAL", "-0.5")])


def test_bits_of_each_width(lab):
    """BIT(n) takes its own number of bits and bytes for each n, in InnoDB and in the log."""
    names = [f"b{n}" for n in range(1, 65)]
    lab.sql(1, f"CREATE TABLE d.t (id INT PRIMARY KEY, {', '.join(f'b{n} BIT({n})' for n in range(1, 65))}, w INT)")
    rows = {1: [0] * 64, 2: [1] * 64, 3: [1 << n for n in range(64)], 4: [(2 << n) - 1 for n in range(64)],
            5: [0x5555555555555555 & ((2 << n) - 1) for n in range(64)]}

    def insert(node, base):
        transaction(lab, node, [f"INSERT INTO t VALUES ({base + i}, {', '.join(map(str, r))}, 5)" for i, r
                                in rows.items()] + [f"INSERT INTO t (id, w) VALUES ({base}, 5)"])

    def look(node, rows):
        lab.wait()
        found = texts(lab, node, f"SELECT id, {', '.join(f'{n}+0' for n in names)}, w FROM t ORDER BY id")
        assert {int(r[0]): list(r[1:]) for r in found} == rows

    shown = {i: [*map(str, r), "5"] for i, r in rows.items()}
    shown[0] = [None] * 64 + ["5"]
    insert(1, 0)
    look(2, shown)
    insert(2, 100)
    shown.update({i + 100: r for i, r in list(shown.items())})
    look(1, shown)
    lab.sql(2, "UPDATE d.t SET b1=NULL, b9=511-b9, b64=~b64, b33=b33^1 WHERE id<100")
    lab.sql(2, "DELETE FROM d.t WHERE id>=100 AND b7=127")
    lab.wait()
    lab.assert_equal()
    assert lab.value(1, "SELECT b64+0 FROM d.t WHERE id=2") == (1 << 64) - 2
    assert lab.value(1, "SELECT COUNT(*) FROM d.t") == 11
    lab.sql(1, "DELETE FROM d.t")
    lab.wait()
    assert lab.value(2, "SELECT COUNT(*) FROM d.t") == 0


# ---- Time ----


def test_temporal(lab):
    """Who was in the building when: a fraction, a sign or a time zone lost on the way."""
    columns = [Column("YEAR", "0000", "1901", "2024", "2155"), Column("DATE", "0001-01-01", "2024-02-29", "9999-12-31")]
    for digits in range(7):
        fraction, nines = ("." + "123456"[:digits], "." + "9" * digits) if digits else ("", "")
        zero = "." + "0" * digits if digits else ""
        columns += [Column(f"TIME({digits})", "-838:59:59" + nines, "-00:00:01" + zero, "00:00:00" + zero, "-01:02:03"
                           + fraction, "838:59:59" + nines), Column(f"DATETIME({digits})", "0001-01-01 00:00:00" + zero,
                "2024-02-29 12:34:56" + fraction, "9999-12-31 23:59:59" + nines), Column(f"TIMESTAMP({digits}) NULL",
                "1970-01-01 00:00:01" + zero, "2024-02-29 12:34:56" + fraction, "2038-01-19 03:14:07" + nines)]
    check_both_ways(lab, columns)


def test_zero_and_invalid_dates(lab):
    """Old applications write zero dates in sql_mode=''; the node they arrive at may be strict."""
    check_both_ways(lab, [
        Column("DATE", "0000-00-00", "2024-00-00", "2024-02-00", "2024-02-31", "2024-12-24"),
        Column("DATETIME(3)", "0000-00-00 00:00:00.000", "2024-00-00 00:00:00.000", "2024-02-31 23:59:59.999"),
        Column("TIMESTAMP NULL", "0000-00-00 00:00:00", "2024-01-01 00:00:00"),
        Column("TIMESTAMP(6) NOT NULL DEFAULT '0000-00-00 00:00:00'", "0000-00-00 00:00:00.000000", nullable=False),
        Column("ENUM('a','b')", ("'nonsense'", ""), "a", "b"),
        Column("TINYINT", ("999", "127"), "-5"),
    ], mode="ALLOW_INVALID_DATES")


def test_time_zone_of_each_node(lab):
    """A TIMESTAMP is a moment, whatever the zone of the session that wrote it and of the server that gets it."""
    lab.sql(1,
            "CREATE TABLE d.t (id INT PRIMARY KEY, ts TIMESTAMP(3) NULL, dt DATETIME(3), made TIMESTAMP DEFAULT "
            "CURRENT_TIMESTAMP)")
    lab.wait()
    before = {n: lab.value(n, "SELECT @@global.time_zone") for n in lab.nodes}
    try:
        lab.sql(1, "SET GLOBAL time_zone='+05:30'")
        lab.sql(2, "SET GLOBAL time_zone='-11:00'")
        # In both sessions it is the same moment, 06:30 UTC.
        lab.sql(1, "SET time_zone='+02:00', timestamp=1700000000",
                "INSERT INTO d.t (id, ts, dt) VALUES (1, '2024-07-01 08:30:00.125', '2024-07-01 08:30:00.125')")
        lab.sql(2, "SET time_zone='-11:00', timestamp=1700000000",
                "INSERT INTO d.t (id, ts, dt) VALUES (2, '2024-06-30 19:30:00.125', '2024-06-30 19:30:00.125')")
        lab.wait()
        lab.sql(1, "SET time_zone='+02:00'",
                "ALTER TABLE d.t ADD COLUMN x TIMESTAMP NOT NULL DEFAULT '2024-01-01 02:00:00' AFTER id")
        lab.wait()
        for node in lab.nodes:
            moment, made = "2024-07-01 06:30:00.125", "2023-11-14 22:13:20"
            assert texts(lab, node, "SELECT * FROM t ORDER BY id") == [
                ("1", "2024-01-01 00:00:00", moment, "2024-07-01 08:30:00.125", made),
                ("2", "2024-01-01 00:00:00", moment, "2024-06-30 19:30:00.125", made)]
        # New rows get the same default, wherever they are written.
        lab.sql(2, "INSERT INTO d.t (id) VALUES (4)")
        lab.sql(1, "INSERT INTO d.t (id) VALUES (3)")
        lab.wait()
        for node in lab.nodes:
            assert texts(lab, node, "SELECT DISTINCT x FROM t") == [("2024-01-01 00:00:00",)]
    finally:
        for node, zone in before.items():
            lab.sql(node, f"SET GLOBAL time_zone='{zone}'")
    lab.assert_equal()


# ---- Text and bytes ----


def test_text(lab):
    """Names with umlauts, Chinese, emoji, quotes and control characters, in fields of each length class."""
    odd = "it's a \\ and \"\n\t\r\x1a\x08\x00 %s ` ; --"
    check_both_ways(lab, [Column("CHAR(0)", ""), Column("CHAR(1)", "", "x", "🔑"), Column("CHAR(255)", "", "a b",
            ("REPEAT('🔑',255)", "🔑" * 255)), Column("VARCHAR(0)", ""), Column("VARCHAR(63)", "", "grün 鍵 🔑", odd,
            "x" * 63, "trailing  "), Column("VARCHAR(64)", "", "🔑" * 64, odd),
                          Column("VARCHAR(255) CHARACTER SET latin1", "", "grün", "x" * 255),
                          Column("VARCHAR(256) CHARACTER SET latin1", "", "grün", "x" * 256), Column("VARCHAR(16000)",
            "", "鍵" * 16000), Column("TINYTEXT", "", odd, "x" * 255), Column("TEXT", "", odd, "x" * 65535, "x" * 256),
                          Column("MEDIUMTEXT", "", odd, "x" * 65536), Column("LONGTEXT", "", odd, "鍵" * 30000),
                          Column("TEXT NOT NULL DEFAULT 'nothing'", "", "something", ("DEFAULT", "nothing"),
                                 nullable=False), Column("ENUM('','a','b c','it''s','grün',',')", "", "a", "b c",
            "it's", "grün", ","), Column("ENUM(" + ",".join(f"'v{i}'" for i in range(256)) + ")", "v0", "v254", "v255"),
                          Column("ENUM('x','鍵') CHARACTER SET ucs2", "x", "鍵"), Column("SET('a','b','grün')", "", "a",
            "a,grün"), *[Column("SET(" + ",".join(f"'v{i}'" for i in range(n)) + ")", "", "v0", f"v{n - 1}",
                                ",".join(f"v{i}" for i in range(n))) for n in (8, 9, 16, 17, 24, 25, 32, 33, 64)],
                          Column("JSON", "{}", "[]", '{"a": [1, null, "grün 鍵 🔑"], "b": {"c": 1.5}}', '"text"', "null"),
                          ])




def test_bytes(lab):
    """Pictures, keys, certificates: every byte, and zeros at the end."""
    big = "00ff27225c0a0d1a" * 16
    check_both_ways(lab, [Column("BINARY(1)", *binary("00", "20", "ff"), show="HEX(v)"), Column("BINARY(3)", ("x''",
            "000000"), ("x'01'", "010000"), ("x'2020'", "202000"), show="HEX(v)"), Column("BINARY(255)",
            (f"REPEAT(x'fe',255)", "FE" * 255), show="HEX(v)"), Column("VARBINARY(255)", *binary("", "00", "0027", big,
            "20"), show="HEX(v)"), Column("VARBINARY(256)", *binary("", "00", big), ("REPEAT(x'00',256)", "00" * 256),
                                          show="HEX(v)"), Column("TINYBLOB", *binary("", "00", big),
            ("REPEAT(x'80',255)", "80" * 255), show="HEX(v)"), Column("BLOB", *binary("", "00", big),
            ("REPEAT(x'80',256)", "80" * 256), ("REPEAT(x'81',65535)", "81" * 65535), show="HEX(v)"),
                          Column("MEDIUMBLOB", *binary("", big), ("REPEAT(x'82',65536)", "82" * 65536), show="HEX(v)"),
                          Column("LONGBLOB", *binary("", big), show="HEX(v)"), Column("CHAR(20) CHARACTER SET binary",
            ("x'00ff'", "00FF" + "00" * 18), show="HEX(v)"), Column("TEXT CHARACTER SET binary", *binary("00ff", ""),
            show="HEX(v)")])


def test_blob_beyond_16_megabytes(lab):
    """Only here a LONGBLOB's length needs its fourth byte, and a row more than one packet of the client's protocol."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, v LONGBLOB, w INT)",
            "INSERT INTO d.t VALUES (1, REPEAT(x'0083', 8500000), 5)")
    lab.wait()
    lab.sql(2, "UPDATE d.t SET v=CONCAT(v, 'end'), w=6")
    equal_everywhere(lab, [("17000003", "656E64", "6")], "SELECT LENGTH(v), HEX(RIGHT(v, 3)), w FROM t")
    lab.sql(1, "DELETE FROM d.t")
    equal_everywhere(lab, [], "SELECT id FROM t")


CHARSETS = {"latin1": "grün €", "latin2": "žluťoučký", "latin5": "ığüşöç", "latin7": "ąčęė", "ascii": "plain",
            "cp1251": "дверь", "koi8r": "дверь", "koi8u": "двєрь", "cp866": "дверь", "greek": "πόρτα", "hebrew": "דלת",
            "cp1256": "باب", "tis620": "ประตู", "utf8mb3": "grün 鍵", "utf8mb4": "grün 鍵 🔑", "ucs2": "grün 鍵",
            "utf16": "鍵 🔑", "utf16le": "鍵 🔑", "utf32": "鍵 🔑", "sjis": "鍵 ドア 表ソ", "cp932": "鍵 表ソ①", "ujis": "鍵 ドア",
            "eucjpms": "鍵 表", "big5": "門 功", "gbk": "门 誠", "gb2312": "门", "euckr": "문"}


def test_character_sets(lab):
    """A client of the node in another character set: names must not become question marks."""
    columns = []
    for charset, text in CHARSETS.items():
        columns.append(Column(f"VARCHAR(30) CHARACTER SET {charset}", "", text, text * 3))
        columns.append(Column(f"CHAR(20) CHARACTER SET {charset}", "", text))
        columns.append(Column(f"TEXT CHARACTER SET {charset}", "", text, "a" * 200))
    check_both_ways(lab, columns)


def test_every_collation(lab):
    """A unique text column of each collation: rows must be found again by a key that isn't byte for byte."""
    names = [r[0] for r in lab.sql(1,
                                   "SELECT FULL_COLLATION_NAME FROM "
                                   "information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE "
                                   "FULL_COLLATION_NAME<>'binary' " "ORDER BY 1")]
    assert len(names) > 300
    for part in range(0, len(names), 300):
        cut = names[part:part + 300]
        columns = [f"c{i} VARCHAR(3) COLLATE {n}" for i, n in enumerate(cut)]
        key = f"k VARCHAR(20) COLLATE {next((n for n in cut if n.startswith('utf8mb4_')), cut[0])} PRIMARY KEY"
        lab.sql(1, f"CREATE TABLE d.c{part} ({key}, {', '.join(columns)}) ROW_FORMAT=DYNAMIC")
        values = ", ".join(["'aB'"] * len(cut))
        lab.sql(1, f"INSERT INTO d.c{part} VALUES ('one', {values})")
        lab.sql(1, f"INSERT INTO d.c{part} VALUES ('two', {values})")
    lab.wait()
    for part in range(0, len(names), 300):
        every = ", ".join(f"c{i}='Cd'" for i in range(min(300, len(names) - part)))
        lab.sql(2, f"UPDATE d.c{part} SET {every} WHERE k='two'", f"DELETE FROM d.c{part} WHERE k='one'")
    lab.wait()
    lab.assert_equal()
    for part in range(0, len(names), 300):
        assert texts(lab, 1, f"SELECT * FROM c{part}") == [("two", *["Cd"] * min(300, len(names) - part))]


def test_compressed_columns_and_new_types(lab):
    """Types that only MariaDB has."""
    check_both_ways(lab, [Column("VARCHAR(100) COMPRESSED", "", "grün 🔑", "x" * 100),
                          Column("VARCHAR(50) CHARACTER SET latin1 COMPRESSED", "", "grün", "y" * 50),
                          Column("VARBINARY(2000) COMPRESSED", *binary("", "00"), ("REPEAT(x'00',2000)", "00" * 2000),
                                 show="HEX(v)"), Column("TINYTEXT COMPRESSED", "", "x" * 255), Column("TEXT COMPRESSED",
            "", "z" * 500, "x"), Column("MEDIUMBLOB COMPRESSED", *binary("", "00"), ("REPEAT(x'ab',100000)",
            "AB" * 100000), show="HEX(v)"), Column("LONGTEXT COMPRESSED", "", "0123456789" * 300), Column("UUID",
            "123e4567-e89b-12d3-a456-426655440000", "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-4000-8000-000000000000"), Column("INET6", "::",
            "::1", "2001:db8::ff00:42:8329", "::ffff:10.0.0.1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
                          Column("INET4", "0.0.0.0", "127.0.0.1", "255.255.255.255", "32.32.32.32")])


def test_geometry(lab):
    """Maps: shapes, their reference systems, and empty ones."""
    shapes = {"POINT": "POINT(-1.5 10000000000)", "LINESTRING": "LINESTRING(0 0,1 1,2 0.25)",
              "POLYGON": "POLYGON((0 0,0 3,3 3,0 0),(1 1,1 2,2 2,1 1))", "MULTIPOINT": "MULTIPOINT(0 0,1 1)",
              "MULTILINESTRING": "MULTILINESTRING((0 0,1 1),(2 2,3 3))",
              "MULTIPOLYGON": "MULTIPOLYGON(((0 0,0 1,1 1,0 0)),((5 5,5 6,6 6,5 5)))",
              "GEOMETRYCOLLECTION": "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))"}
    show = "CONCAT(ST_SRID(v), ' ', ST_AsText(v))"
    columns = [Column(kind, (f"ST_GeomFromText('{shape}')", "0 " + shape), (f"ST_GeomFromText('{shape}', 4326)", "4326 "
            + shape), show=show) for kind, shape in shapes.items()]
    columns.append(Column("GEOMETRY", *[(f"ST_GeomFromText('{s}')", "0 " + s) for s in shapes.values()], show=show))
    columns.append(Column("POINT NOT NULL, SPATIAL INDEX (v)", ("POINT(1,2)", "0 POINT(1 2)"), show=show,
                          nullable=False))
    check_both_ways(lab, columns)


# ---- Columns with a life of their own ----


def equal_everywhere(lab, expected, statement):
    lab.wait()
    for node in lab.nodes:
        assert texts(lab, node, statement) == expected, f"node {node}"
    lab.assert_equal()


def test_defaults(lab):
    """What the origin filled in is what arrives, not what the receiver would have filled in."""
    lab.sql(1,
            "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, n INT DEFAULT 7, e DOUBLE DEFAULT (RAND()), u "
            "CHAR(36) DEFAULT (UUID()), "
            "host VARCHAR(50) DEFAULT (@@gtid_domain_id), made DATETIME(6) DEFAULT NOW(6), "
            "changed TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), x VARCHAR(20) "
            "DEFAULT CONCAT('a', n))")
    lab.wait()
    for node in lab.nodes:
        lab.sql(node, "INSERT INTO d.t () VALUES ()", "INSERT INTO d.t (n) VALUES (NULL)",
                "INSERT INTO d.t (n) VALUES (3)")
    lab.wait()
    lab.assert_equal()
    assert texts(lab, 1, "SELECT id%2, n, host, x FROM t ORDER BY id%2, id") == [
        ("0", "7", "2", "a7"), ("0", None, "2", None), ("0", "3", "2", "a3"),
        ("1", "7", "1", "a7"), ("1", None, "1", None), ("1", "3", "1", "a3")]
    lab.sql(2, "UPDATE d.t SET n=n+1 WHERE id%2=1")
    lab.wait()
    lab.assert_equal()


def test_generated_columns(lab):
    """Virtual columns are not stored, persistent ones are; both stand in the log, with indexes on them."""
    lab.sql(1,
            "CREATE TABLE d.t (id INT PRIMARY KEY, a INT, v INT AS (a*2) VIRTUAL, b VARCHAR(20), p VARCHAR(40) AS "
            "(CONCAT(b,'-',a)) PERSISTENT, "
            "vk INT AS (a+1) VIRTUAL UNIQUE, c INT, KEY (p), j JSON, jv VARCHAR(20) AS (JSON_VALUE(j,'$.x')) "
            "VIRTUAL, KEY (jv))")
    lab.sql(1, "INSERT INTO d.t (id, a, b, c, j) VALUES (1, 10, 'x', 5, '{\"x\": \"y\"}'), (2, NULL, 'x', 5, NULL)")
    lab.wait()
    lab.sql(2, "INSERT INTO d.t (id, a, b, c) VALUES (3, 30, 'z', 6)", "UPDATE d.t SET a=11 WHERE id=1")
    expected = [("1", "11", "22", "x", "x-11", "12", "5", '{"x": "y"}', "y"), ("2", None, None, "x", None, None, "5",
            None, None), ("3", "30", "60", "z", "z-30", "31", "6", None, None)]
    equal_everywhere(lab, expected, "SELECT * FROM t ORDER BY id")
    lab.sql(2, "DELETE FROM d.t WHERE jv='y'")
    lab.sql(1, "UPDATE d.t SET b='q' WHERE vk=31")
    equal_everywhere(lab, [("2",), ("3",)], "SELECT id FROM t ORDER BY id")
    assert lab.value(2, "SELECT id FROM d.t FORCE INDEX (p) WHERE p='q-30'") == 3
    assert lab.value(1, "SELECT COUNT(*) FROM d.t FORCE INDEX (jv) WHERE jv='y'") == 0


def test_key_of_a_generated_column(lab):
    """Without a primary key, a unique key that is computed finds the row."""
    lab.sql(1, "CREATE TABLE d.t (a INT, b INT, k INT AS (a*1000+b) PERSISTENT, v INT, UNIQUE (k))",
            "CREATE TABLE d.n (a INT NOT NULL, v INT, k INT AS (a+1) VIRTUAL, UNIQUE (k))",
            "INSERT INTO d.t (a, b, v) VALUES (1, 1, 1), (2, 2, 2), (NULL, 3, 3)",
            "INSERT INTO d.n (a, v) VALUES (1, 1), (2, 2)")
    lab.wait()
    lab.sql(2, "UPDATE d.t SET v=3 WHERE k=1001", "DELETE FROM d.t WHERE a=2", "UPDATE d.t SET b=4 WHERE a IS NULL",
            "UPDATE d.n SET v=5 WHERE k=2", "DELETE FROM d.n WHERE k=3")
    equal_everywhere(lab, [(None, "4", None, "3"), ("1", "1", "1001", "3")], "SELECT * FROM t ORDER BY a")
    assert texts(lab, 1, "SELECT * FROM n") == [("1", "5", "2")]


def test_invisible_columns(lab):
    """SELECT * and INSERT without names don't see them; the log does."""
    lab.sql(1,
            "CREATE TABLE d.t (id INT PRIMARY KEY, h INT INVISIBLE DEFAULT 5, a INT, k INT INVISIBLE NOT NULL "
            "DEFAULT 0, z INT)", "INSERT INTO d.t VALUES (1, 2, 3)",
            "INSERT INTO d.t (id, h, a, k, z) VALUES (2, 50, 4, 7, 9)")
    lab.wait()
    lab.sql(2, "UPDATE d.t SET h=h+1", "INSERT INTO d.t VALUES (3, 3, 3)")
    equal_everywhere(lab, [("1", "6", "2", "0", "3"), ("2", "51", "4", "7", "9"), ("3", "5", "3", "0", "3")],
                     "SELECT id, h, a, k, z FROM t ORDER BY id")


def test_system_versioned(lab):
    """The history of a table is data, too: its rows and moments are the same on every node."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
            "CREATE TABLE d.e (id INT PRIMARY KEY, v INT, s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e "
            "TIMESTAMP(6) GENERATED ALWAYS AS ROW END, " "PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING",
            "CREATE TABLE d.w (id INT PRIMARY KEY, v INT, u INT WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING")
    for table in "tew":
        lab.sql(1, f"INSERT INTO d.{table} (id, v) VALUES (1, 1), (2, 2)")
    lab.wait()
    for table in "tew":
        lab.sql(2, f"UPDATE d.{table} SET v=v+10 WHERE id=1")
        lab.sql(2, f"DELETE FROM d.{table} WHERE id=2")
    lab.wait()
    for table in "tew":
        lab.sql(1, f"UPDATE d.{table} SET v=v+10 WHERE id=1", f"INSERT INTO d.{table} (id, v) VALUES (2, 5)")
    lab.wait()
    lab.assert_equal()
    for table in "tew":
        start, end = ("s", "e") if table == "e" else ("ROW_START", "ROW_END")
        all_ = f"SELECT id, v, {start}, {end} FROM {table} FOR SYSTEM_TIME ALL ORDER BY id, {start}, {end}"
        rows = {n: texts(lab, n, all_) for n in lab.nodes}
        assert rows[1] == rows[2], table
        assert [r[:2] for r in rows[1]] == [("1", "1"), ("1", "11"), ("1", "21"), ("2", "2"), ("2", "5")]
    lab.sql(2, "DELETE HISTORY FROM d.t")
    lab.wait()
    assert [lab.value(n, "SELECT COUNT(*) FROM d.t FOR SYSTEM_TIME ALL") for n in lab.nodes] == [2, 2]


def test_application_period(lab):
    """A permission that holds from a day to a day; a DELETE in the middle makes two rows of one."""
    lab.sql(1, "CREATE TABLE d.t (id INT, a DATE, b DATE, v INT, PERIOD FOR p (a, b), UNIQUE (id, p WITHOUT OVERLAPS))",
            "INSERT INTO d.t VALUES (1, '2024-01-01', '2025-01-01', 1)")
    lab.wait()
    lab.sql(2, "DELETE FROM d.t FOR PORTION OF p FROM '2024-03-01' TO '2024-04-01'")
    lab.sql(2, "UPDATE d.t FOR PORTION OF p FROM '2024-06-01' TO '2024-07-01' SET v=2")
    equal_everywhere(lab, [("2024-01-01", "2024-03-01", "1"), ("2024-04-01", "2024-06-01", "1"), ("2024-06-01",
            "2024-07-01", "2"), ("2024-07-01", "2025-01-01", "1")], "SELECT a, b, v FROM t ORDER BY a")


# ---- Tables of every kind ----


def test_sequences(lab):
    """Numbers from a sequence that both nodes draw from: none is given out twice as long as they take turns."""
    lab.sql(1, "CREATE SEQUENCE d.s START WITH 100 INCREMENT BY 5 NOCACHE", "CREATE SEQUENCE d.c START WITH 1 CACHE 10",
            "CREATE TABLE d.t (id INT PRIMARY KEY DEFAULT NEXTVAL(d.s), v INT)", "INSERT INTO d.t (v) VALUES (1)",
            "SELECT NEXTVAL(d.c)")
    lab.wait()
    lab.sql(2, "INSERT INTO d.t (v) VALUES (2)", "INSERT INTO d.t (v) VALUES (3)")
    equal_everywhere(lab, [("100", "1"), ("105", "2"), ("110", "3")], "SELECT id, v FROM t ORDER BY id")
    lab.sql(2, "SELECT SETVAL(d.s, 1000)", "ALTER SEQUENCE d.c RESTART 500")
    lab.wait()
    assert lab.value(1, "SELECT NEXTVAL(d.s)") == 1005
    assert lab.value(1, "SELECT NEXTVAL(d.c)") == 500
    lab.wait()
    lab.assert_equal()


def test_partitioned(lab):
    """Each kind of partitioning, and a row that moves from one partition to another."""
    kinds = {"ra": "RANGE (id) (PARTITION a VALUES LESS THAN (100), PARTITION b VALUES LESS THAN MAXVALUE)",
             "li": "LIST (id % 3) (PARTITION a VALUES IN (0), PARTITION b VALUES IN (1, 2))",
             "ha": "HASH (id) PARTITIONS 5", "ke": "KEY (id) PARTITIONS 3",
             "su": "RANGE (id) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION a VALUES LESS THAN (100), "
             "PARTITION b VALUES LESS THAN MAXVALUE)"}
    lab.sql(1, *[f"CREATE TABLE d.{n} (id INT PRIMARY KEY, v INT) PARTITION BY {k}" for n, k in kinds.items()])
    for n in kinds:
        lab.sql(1, f"INSERT INTO d.{n} SELECT seq, seq FROM seq_1_to_150", database="d")
    lab.wait()
    for n in kinds:
        lab.sql(2, f"UPDATE d.{n} SET id=id+200 WHERE id<20", f"DELETE FROM d.{n} WHERE id%7=0")
    lab.wait()
    lab.assert_equal()
    assert lab.value(1, "SELECT COUNT(*) FROM d.ra PARTITION (a)") == lab.value(2,
            "SELECT COUNT(*) FROM d.ra PARTITION (a)") < 90


def test_no_primary_key(lab):
    """Rows that are only known by all their values, with twins among them, and by a unique key that may be NULL."""
    lab.sql(1, "CREATE TABLE d.t (a INT, b VARCHAR(20), f FLOAT)", "CREATE TABLE d.u (a INT UNIQUE, b INT)",
            "CREATE TABLE d.k (a INT, b INT, KEY (a))",
            "INSERT INTO d.t VALUES (1, 'x', 1.1), (1, 'x', 1.1), (NULL, NULL, NULL), (2, 'y', 3.3)",
            "INSERT INTO d.u VALUES (NULL, 1), (NULL, 2), (NULL, 2), (5, 5)",
            "INSERT INTO d.k VALUES (1, 1), (1, 1), (1, 2), (NULL, 3)")
    lab.wait()
    lab.sql(2, "DELETE FROM d.t WHERE a=1 LIMIT 1", "UPDATE d.t SET b='changed' WHERE a IS NULL",
            "UPDATE d.u SET b=b+1 WHERE a IS NULL", "DELETE FROM d.k WHERE b=1 LIMIT 1", "UPDATE d.k SET b=9 WHERE b=2")
    equal_everywhere(lab, [(None, "changed", None), ("1", "x", "1.1"), ("2", "y", "3.3")], "SELECT * FROM t ORDER BY a")
    assert texts(lab, 1, "SELECT * FROM u ORDER BY a, b") == [(None, "2"), (None, "3"), (None, "3"), ("5", "5")]
    lab.sql(1, "DELETE FROM d.u WHERE b=3", "UPDATE d.t SET f=f*2", "DELETE FROM d.k")
    lab.wait()
    lab.assert_equal()


def test_primary_keys_of_all_kinds(lab):
    """Composite keys, keys of a part of a column, and keys of every type of column."""
    lab.sql(1, "CREATE TABLE d.comp (a INT, b VARCHAR(20), c DATE, v INT, PRIMARY KEY (b, c, a))",
            "CREATE TABLE d.pref (t TEXT, v INT, PRIMARY KEY (t(10)))",
            "CREATE TABLE d.bl (b BLOB, n VARCHAR(300), v INT, PRIMARY KEY (b(3), n(2)))")
    types = {
        "dec": ("DECIMAL(20,10)", "1.5", "-7.25"),
        "dbl": ("DOUBLE", "0.1", "1e300"),
        "dt": ("DATETIME(6)", "'2024-01-01 00:00:00.000001'", "'2024-01-02'"),
        "tm": ("TIME(2)", "'-12:00:00.01'", "'5:00'"),
        "ts": ("TIMESTAMP(6)", "'2024-01-01 00:00:00.000001'", "'2024-01-02'"),
        "yr": ("YEAR", "2024", "1999"),
        "bi": ("BINARY(4)", "x'00000001'", "x'ff'"),
        "vb": ("VARBINARY(40)", "x'00'", "x'0000'"),
        "en": ("ENUM('p','q')", "'q'", "'p'"),
        "se": ("SET('p','q')", "'p,q'", "''"),
        "bt": ("BIT(17)", "65537", "3"),
        "uu": ("UUID", "'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000001'"),
        "i6": ("INET6", "'::1'", "'::'"),
        "i4": ("INET4", "'10.0.0.1'", "'0.0.0.0'"),
        "ci": ("VARCHAR(20) COLLATE utf8mb4_general_ci", "'Grün'", "'b'"),
        "u2": ("CHAR(10) CHARACTER SET ucs2", "'鍵'", "''"),
        "ub": ("BIGINT UNSIGNED", "18446744073709551615", "0"),
        "np": ("VARCHAR(20) COLLATE utf8mb4_nopad_bin", "'a '", "'a'"),
    }
    lab.sql(1, *[f"CREATE TABLE d.k_{n} (k {t[0]} PRIMARY KEY, v INT)" for n, t in types.items()])
    lab.sql(1,
            "INSERT INTO d.comp VALUES (1, 'x', '2024-01-01', 1), (2, 'x', '2024-01-01', 2), (1, 'y', '2024-01-01', 3)",
            "INSERT INTO d.pref VALUES (CONCAT('0123456789', REPEAT('x', 100)), 1), ('0123456788', 2), ('short', 3)",
            "INSERT INTO d.bl VALUES (x'00010203', 'abc', 1), (x'00010303', 'abc', 2), ('', '', 3)")
    for n, (_, one, two) in types.items():
        lab.sql(1, f"INSERT INTO d.k_{n} VALUES ({one}, 1), ({two}, 2)")
    lab.wait()
    lab.sql(2, "UPDATE d.comp SET v=v+10, a=a+5 WHERE b='x'", "UPDATE d.pref SET v=v+10 WHERE v=1",
            "UPDATE d.pref SET t=CONCAT(t, 'er') WHERE v=3", "DELETE FROM d.bl WHERE v=1",
            "UPDATE d.bl SET v=20 WHERE v=2")
    for n in types:
        lab.sql(2, f"UPDATE d.k_{n} SET v=10 WHERE v=1", f"DELETE FROM d.k_{n} WHERE v=2")
    lab.wait()
    lab.assert_equal()
    for n in types:
        assert texts(lab, 1, f"SELECT v FROM k_{n}") == [("10",)], n
    assert texts(lab, 1, "SELECT a, v FROM comp ORDER BY v") == [("1", "3"), ("6", "11"), ("7", "12")]
    assert texts(lab, 1, "SELECT v FROM pref ORDER BY t") == [("2",), ("11",), ("3",)]
    # A key that changes its letters only in their case, and one that is swapped with another's.
    lab.sql(1, "UPDATE d.k_ci SET k='GRÜN'", "INSERT INTO d.k_ub VALUES (1, 1), (2, 2)")
    lab.sql(2, "UPDATE d.k_ci SET v=11")
    lab.sql(1, "UPDATE d.k_ub SET k=CASE k WHEN 1 THEN 10 ELSE 1 END WHERE k IN (1,2) ORDER BY k")
    lab.wait()
    lab.assert_equal()


def test_unique_hash_of_long_column(lab):
    """A UNIQUE over a whole BLOB is a hidden column with a hash, which is in no row event as such."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, b BLOB UNIQUE, t TEXT, w INT, UNIQUE (t, w) USING HASH)",
            "INSERT INTO d.t VALUES (1, REPEAT('x', 5000), 'one', 1), (2, NULL, 'one', 2), (3, NULL, NULL, 2)")
    lab.wait()
    lab.sql(2, "UPDATE d.t SET b=REPEAT('y', 5000) WHERE id=1", "UPDATE d.t SET b=REPEAT('x', 5000) WHERE id=2",
            "DELETE FROM d.t WHERE id=3")
    equal_everywhere(lab, [("1", "79", "1"), ("2", "78", "2")], "SELECT id, LEFT(HEX(b), 2), w FROM t ORDER BY id")
    with pytest.raises(pymysql.err.IntegrityError):
        lab.sql(1, "INSERT INTO d.t VALUES (4, REPEAT('x', 5000), NULL, 0)")
    lab.sql(1, "CREATE TABLE d.only (b BLOB UNIQUE)", "INSERT INTO d.only VALUES ('a'), ('b'), (NULL)")
    lab.wait()
    lab.sql(2, "DELETE FROM d.only WHERE b='a'", "UPDATE d.only SET b='c' WHERE b IS NULL")
    equal_everywhere(lab, [(b"b",), (b"c",)], "SELECT b FROM only ORDER BY b")


def test_check_constraints(lab):
    """Rows that the origin took are taken here, those that it didn't take never come."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, a INT CHECK (a > 0), b INT, CONSTRAINT c CHECK (a < b))",
            "INSERT INTO d.t VALUES (1, 1, 2)", "SET check_constraint_checks=0", "INSERT INTO d.t VALUES (2, -1, -2)")
    with pytest.raises(pymysql.err.OperationalError):
        lab.sql(2, "INSERT INTO d.t VALUES (3, 5, 5)")
    lab.sql(2, "INSERT INTO d.t VALUES (4, 5, 6)")
    equal_everywhere(lab, [("1", "1", "2"), ("2", "-1", "-2"), ("4", "5", "6")], "SELECT * FROM t ORDER BY id")


def test_triggers_fire_once(lab):
    """A trigger's writes come in the log; if it fired again where they arrive, an entry would be counted twice."""
    lab.sql(1, "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
            "CREATE TABLE d.count (k VARCHAR(20) PRIMARY KEY, n INT)",
            "CREATE TABLE d.audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(50), who INT)",
            "INSERT INTO d.count VALUES ('insert', 0), ('update', 0), ('delete', 0)",
            *[f"CREATE TRIGGER d.t_{e.lower()} AFTER {e} ON d.t FOR EACH ROW BEGIN UPDATE d.count SET n=n+1 WHERE "
              f"k='{e.lower()}'; " f"INSERT INTO d.audit (what, who) VALUES ('{e}', @@server_id); END" for e
              in ("INSERT", "UPDATE", "DELETE")],
            "CREATE TRIGGER d.t_before BEFORE INSERT ON d.t FOR EACH ROW SET NEW.v = NEW.v + 1000 * @@server_id")
    lab.wait()
    for node in lab.nodes:
        lab.sql(node, "INSERT INTO d.t (v) VALUES (1), (2), (3)")
        lab.wait()
        lab.sql(node, f"UPDATE d.t SET v=v+1 WHERE id%2={node % 2}", f"DELETE FROM d.t WHERE id%2={node % 2} LIMIT 1")
        lab.wait()
    equal_everywhere(lab, [("delete", "2"), ("insert", "6"), ("update", "6")], "SELECT * FROM count ORDER BY k")
    assert texts(lab, 2, "SELECT COUNT(*), SUM(who) FROM audit") == [("14", "21")]
    assert texts(lab, 1, "SELECT v FROM t ORDER BY v") == [("1003",), ("1004",), ("2003",), ("2004",)]


def test_foreign_keys(lab):
    """What a cascade does is not in the log; each node's InnoDB does its own, once."""
    lab.sql(1, "CREATE TABLE d.p (id INT PRIMARY KEY, v INT)",
            *[f"CREATE TABLE d.{n} (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES d.p (id) {rule})" for n, rule
              in {"cas": "ON DELETE CASCADE ON UPDATE CASCADE", "nul": "ON DELETE SET NULL ON UPDATE SET NULL",
                  "res": "ON DELETE RESTRICT"}.items()],
            "CREATE TABLE d.self (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES d.self (id) ON DELETE "
            "CASCADE)",
            "CREATE TABLE d.grand (id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES d.cas (id) ON DELETE CASCADE)")
    lab.sql(1, "INSERT INTO d.p VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
            "INSERT INTO d.cas VALUES (1, 1), (2, 2), (3, 3)", "INSERT INTO d.nul VALUES (1, 1), (2, 2), (3, 3)",
            "INSERT INTO d.res VALUES (1, 4)", "INSERT INTO d.grand VALUES (1, 1), (2, 2)",
            "INSERT INTO d.self VALUES (1, NULL), (2, 1), (3, 2), (4, NULL)")
    lab.wait()
    lab.sql(2, "DELETE FROM d.p WHERE id=1", "UPDATE d.p SET id=30 WHERE id=3", "DELETE FROM d.self WHERE id=1")
    with pytest.raises(pymysql.err.IntegrityError):
        lab.sql(2, "DELETE FROM d.p WHERE id=4")
    equal_everywhere(lab, [("2", "2"), ("3", "30")], "SELECT * FROM cas ORDER BY id")
    for node in lab.nodes:
        assert texts(lab, node, "SELECT * FROM nul ORDER BY id") == [("1", None), ("2", "2"), ("3", None)]
        assert texts(lab, node, "SELECT * FROM grand") == [("2", "2")]
        assert texts(lab, node, "SELECT * FROM self") == [("4", None)]
    # A parent that is replaced, and children before their parent in a session without checks.
    lab.sql(1, "REPLACE INTO d.p VALUES (2, 22)", "SET foreign_key_checks=0", "INSERT INTO d.cas VALUES (7, 70)",
            "INSERT INTO d.p VALUES (70, 70)")
    lab.wait()
    lab.assert_equal()
    assert texts(lab, 2, "SELECT * FROM cas ORDER BY id") == [("3", "30"), ("7", "70")]


ODD_NAMES = ["a`b", "a b", "order", "select", "grün", "鍵", "a.b", "a\"b", "a'b", "a;b", "-- a", "/*a", "a%s", "a\\b",
             "#a", "0", "1e5", "$a", "a@b", "Übergröße mit Leerzeichen und mehr als vierzig Zeichen lang genug", "null",
             "values"]


def test_odd_names(lab):
    """Names that need quoting, wherever syncline puts a name into SQL."""
    names = [n[:64] for n in ODD_NAMES]
    quoted = ["`" + n.replace("`", "``") + "`" for n in names]
    for q in quoted:
        lab.sql(1, f"CREATE TABLE d.{q} ({q} INT PRIMARY KEY, v INT, KEY {q} (v)) COMMENT='it''s'")
        lab.sql(1, f"INSERT INTO d.{q} VALUES (1, 1), (2, 2)")
    lab.wait()
    for q in quoted:
        lab.sql(2, f"UPDATE d.{q} SET v=5 WHERE {q}=1", f"DELETE FROM d.{q} WHERE {q}=2",
                f"ALTER TABLE d.{q} ADD COLUMN `x``y` INT AFTER {q}")
        lab.sql(2, f"INSERT INTO d.{q} VALUES (3, 3, 3)")
    lab.wait()
    for name, q in zip(names, quoted):
        assert texts(lab, 1, f"SELECT * FROM {q}") == [("1", None, "5"), ("3", "3", "3")], name
        assert lab.definition(1, "d." + q) == lab.definition(2, "d." + q)
    assert set(lab.tables(2)) == set(names)
    lab.sql(2, *[f"DROP TABLE d.{q}" for q in quoted])
    lab.wait()
    assert lab.tables(1) == []


def test_thousand_columns(lab):
    """Bitmaps of 125 bytes, a table map of many thousand, names and all."""
    names = [f"column_number_{i}" for i in range(1, 1000)]
    types = ["INT", "VARCHAR(4)", "BIT(3)", "DECIMAL(5,2)", "DATETIME(1)", "ENUM('text','x')"]
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, " + ", ".join(f"{n} {types[i % 6]}" for i, n in enumerate(names))
            + ") ROW_FORMAT=DYNAMIC")
    lab.sql(1, "INSERT INTO d.t (id) VALUES (1), (2)",
            "INSERT INTO d.t (id, column_number_999, column_number_1) VALUES (3, 1.5, 7)")
    lab.wait()
    values = {"INT": "-5", "VARCHAR(4)": "'grün'", "BIT(3)": "5", "DECIMAL(5,2)": "-99.5",
              "DATETIME(1)": "'2024-01-01 00:00:00.5'", "ENUM('text','x')": "'text'"}
    lab.sql(2, "UPDATE d.t SET " + ", ".join(f"{n}={values[types[i % 6]]}" for i, n in enumerate(names))
            + " WHERE id=1")
    lab.sql(2, "UPDATE d.t SET column_number_500=NULL", "DELETE FROM d.t WHERE id=2")
    lab.wait()
    lab.assert_equal()
    row = texts(lab, 1, "SELECT * FROM t WHERE id=1")[0]
    assert row[1:6] == ("-5", "grün", b"\x05", "-99.50", "2024-01-01 00:00:00.5")
    assert row[500] is None and len(row) == 1000
    assert texts(lab, 2, "SELECT column_number_1, column_number_999 FROM t WHERE id=3") == [("7", texts(lab, 1,
            "SELECT column_number_999 FROM t WHERE id=3")[0][0])]


@pytest.mark.parametrize("engine", ["Aria", "MyISAM", "MEMORY"])
def test_engine_without_transactions(lab, engine):
    """A table that can't commit with the rest could be changed twice after a crash: the link stops, says so, and loses
    nothing."""
    lab.sql(1, f"CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(20)) ENGINE={engine}",
            "CREATE TABLE d.inno (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1, 'one'), (2, 'two')",
            "INSERT INTO d.inno VALUES (1)")
    link = lab.wait_state(2, 1, "stopped")
    for part in ("d.t", engine, "ENGINE=InnoDB"):
        assert part in link["why"]
    assert "\n" not in link["why"]
    # Doing what it says, on the node where the rows are to go.
    lab.sql(2, "SET sql_log_bin=0", "ALTER TABLE d.t ENGINE=InnoDB")
    lab.wait()
    lab.sql(1, "SET sql_log_bin=0", "ALTER TABLE d.t ENGINE=InnoDB")
    lab.sql(2, "UPDATE d.t SET v='eins' WHERE id=1", "DELETE FROM d.t WHERE id=2")
    equal_everywhere(lab, [("1", "eins")], "SELECT * FROM t")


# ---- How it was logged ----


@pytest.mark.sanitizer
def test_compressed_log(lab):
    """log_bin_compress on the node that writes: events arrive packed, rows and DDL."""
    lab.sql(1, "SET GLOBAL log_bin_compress=ON, GLOBAL log_bin_compress_min_len=10")
    try:
        lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, v TEXT, w INT) COMMENT='" + "compress me " * 50 + "'",
                "INSERT INTO d.t VALUES (1, REPEAT('abc', 1000), 1), (2, REPEAT('x', 60000), 2), (3, '', 3)",
                "UPDATE d.t SET v=REPEAT('def', 2000) WHERE id=1", "DELETE FROM d.t WHERE id=3",
                "ALTER TABLE d.t ADD COLUMN `a column in the middle` VARCHAR(20) DEFAULT 'ddddddddddddd' AFTER id")
        lab.wait()
        lab.sql(2, "UPDATE d.t SET w=5 WHERE id=2")
        equal_everywhere(lab, [("1", "ddddddddddddd", "6000", "1"), ("2", "ddddddddddddd", "60000", "5")],
                         "SELECT id, `a column in the middle`, LENGTH(v), w FROM t ORDER BY id")
    finally:
        lab.sql(1, "SET GLOBAL log_bin_compress=OFF, GLOBAL log_bin_compress_min_len=256")


def test_no_checksum(lab):
    """binlog_checksum=NONE on the node that writes, and changed while the link is open."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, v INT)", "INSERT INTO d.t VALUES (1, 1)")
    try:
        lab.sql(1, "SET GLOBAL binlog_checksum=NONE", "INSERT INTO d.t VALUES (2, 2)")
        lab.wait()
        lab.sql(1, "SET GLOBAL binlog_checksum=CRC32", "INSERT INTO d.t VALUES (3, 3)", "FLUSH BINARY LOGS",
                "INSERT INTO d.t VALUES (4, 4)")
        equal_everywhere(lab, [("1",), ("2",), ("3",), ("4",)], "SELECT id FROM t ORDER BY id")
    finally:
        lab.sql(1, "SET GLOBAL binlog_checksum=CRC32")


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB", "FULL_NODUP"])
def test_session_with_another_row_image(lab, image):
    """A session may ask for less in its log than the server is set to: it must arrive whole, or stop with the reason
    and lose nothing."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, a INT, b BLOB, c INT DEFAULT 9)",
            "INSERT INTO d.t VALUES (1, 1, 'one', 1), (2, 2, 'two', 2)")
    lab.wait()
    try:
        lab.sql(1, f"SET SESSION binlog_row_image={image}", "UPDATE d.t SET c=10 WHERE id=1",
                "DELETE FROM d.t WHERE id=2", "INSERT INTO d.t (id, a) VALUES (3, 3)")
    except pymysql.Error as error:
        pytest.skip(f"this server has no {image}: {error}")
    equal_everywhere(lab, [("1", "1", b"one", "10"), ("3", "3", None, "9")], "SELECT * FROM t ORDER BY id")
