"""src/binlog against a real server: a log is read by us, by mariadb-binlog and, for its values, by SELECT.

Compared with `mariadb-binlog -vv` byte by byte, nothing normalised: binlog_print --rows imitates what mariadb-binlog
loses (text is not unescaped, compressed columns and ENUM numbers are shown raw). What it loses is compared with SELECT:
binlog_print --values. The optional metadata is compared with information_schema, since mariadb-binlog (10.11.19) takes
YEAR's sign bit for the next column's and gives up at a compressed column.
"""

import decimal
import json
import os
import pathlib
import re
import struct
import subprocess
import uuid

import pytest

import columns
from private_server import MARIADBD, Server

pytestmark = pytest.mark.skipif(MARIADBD is None, reason="no mariadbd here")


def tool():
    if "BINLOG_PRINT" in os.environ:
        return os.environ["BINLOG_PRINT"]
    return str(pathlib.Path(os.environ["SYNCLINE"]).parent / "tests/binlog/binlog_print")


def binlog_print(mode, log):
    return subprocess.run([tool(), f"--{mode}", str(log)], check=True, stdout=subprocess.PIPE).stdout


def objects(mode, log):
    return [json.loads(line) for line in binlog_print(mode, log).splitlines()]


def mariadb_binlog(log):
    command = ["mariadb-binlog", "--no-defaults", "-vv", "--base64-output=DECODE-ROWS", str(log)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return b"".join(line for line in output.splitlines(keepends=True) if line.startswith(b"### "))


@pytest.fixture(scope="module")
def server():
    server = Server()
    server.run("CREATE DATABASE d CHARACTER SET utf8mb4", "USE d",
               "SET sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone='+00:00'")
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def settings(server):
    """Each test finds the server as it was started."""
    yield
    server.run("SET GLOBAL log_bin_compress=OFF, GLOBAL binlog_row_metadata=FULL, GLOBAL binlog_checksum=CRC32",
               "SET binlog_row_image=FULL, time_zone='+00:00', foreign_key_checks=1, unique_checks=1",
               "SET lc_time_names=DEFAULT, binlog_alter_two_phase=OFF, GLOBAL mysql56_temporal_format=ON")


@pytest.mark.parametrize("compress", ["OFF", "ON"])
@pytest.mark.parametrize("image", ["FULL", "MINIMAL", "NOBLOB"])
def test_rows_are_read_as_mariadb_binlog_reads_them(server, image, compress):
    """One field's boundary wrong and every field behind it is garbage."""
    log = server.log_of(
        f"SET binlog_row_image={image}",
        f"SET GLOBAL log_bin_compress={compress}, GLOBAL log_bin_compress_min_len=10",
        columns.create("t"), *columns.inserts("t"), *columns.updates("t"), "DELETE FROM t",
    )
    ours, theirs = binlog_print("rows", log), mariadb_binlog(log)
    assert ours.count(b"\n### INSERT") + 1 == columns.row_count() + 1
    assert ours == theirs
    assert (b"compressed write rows" in raw_types(log)) == (compress == "ON")


def raw_types(log):
    """The event types as they stand in the file, for a test to know that it tested what it means to."""
    data, position, names = log.read_bytes(), 4, []
    while position < len(data):
        kind, size = data[position + 4], int.from_bytes(data[position + 9 : position + 13], "little")
        names.append(b"compressed write rows" if kind == 166 else b"compressed query" if kind == 165 else b"%d" % kind)
        position += size
    return names


def test_rows_without_metadata_are_read(server):
    """A peer may run with the default binlog_row_metadata: rows can still be walked, only names are missing."""
    log = server.log_of("SET GLOBAL binlog_row_metadata=NO_LOG", columns.create("t"), *columns.inserts("t"))
    assert binlog_print("rows", log) == mariadb_binlog(log)
    assert all(c["name"] == "" and not c["unsigned"] for t in objects("columns", log) for c in t["columns"])


def literal(text):
    """What value_format wrote: None, bytes, or a str for what has no quotes."""
    if text == "NULL":
        return None
    if text.startswith("x'"):
        return bytes.fromhex(text[2:-1])
    if text.startswith("b'"):
        return str(int(text[2:-1], 2))
    if not text.startswith("'"):
        return text
    escapes = {"0": "\0", "b": "\b", "t": "\t", "n": "\n", "r": "\r", "Z": "\x1a"}
    return re.sub(r"\\(.)", lambda m: escapes.get(m[1], m[1]), text[1:-1], flags=re.DOTALL).encode()


def expression(name, kind):
    """How to ask the server for a value such that nothing gets lost."""
    return {
        columns.CHAR: f"CAST(`{name}` AS CHAR)",
        columns.BYTES: f"HEX(`{name}`)",
        columns.ZERO_PADDED: f"HEX(CAST(`{name}` AS BINARY))",
        columns.NUMBER: f"CAST(`{name}` + 0 AS CHAR)",
        columns.FLOAT: f"CAST(`{name}` AS DOUBLE)",
        columns.DOUBLE: f"CAST(`{name}` AS DOUBLE)",
        columns.EPOCH: f"IF(CAST(`{name}` AS CHAR) LIKE '0000%', 0, UNIX_TIMESTAMP(`{name}`))",
        columns.UUID: f"CAST(`{name}` AS CHAR)",
    }[kind]


def same(kind, ours, theirs):
    if ours is None or theirs is None:
        return ours is None and theirs is None
    if kind == columns.CHAR:
        return (ours if isinstance(ours, bytes) else ours.encode()) == theirs.encode()
    if kind == columns.BYTES:
        return ours == bytes.fromhex(theirs)
    if kind == columns.ZERO_PADDED:  # the log cuts trailing zeros of BINARY and its like
        return ours.rstrip(b"\0") == bytes.fromhex(theirs).rstrip(b"\0")
    if kind == columns.UUID:
        return uuid.UUID(bytes=ours.ljust(16, b"\0")) == uuid.UUID(theirs)
    if kind == columns.FLOAT:
        return struct.pack("f", float(ours)) == struct.pack("f", theirs)
    if kind == columns.DOUBLE:
        return float(ours) == theirs
    return decimal.Decimal(ours) == decimal.Decimal(theirs)


def test_values_are_what_select_shows(server):
    """Conflict records and keys are made of these texts; mariadb-binlog -vv shows some of them wrong or not at all."""
    log = server.log_of(columns.create("t"), *columns.inserts("t"))
    rows = [row["after"] for row in objects("values", log)]
    checked = [(name, kind) for name, _, kind, *_ in columns.COLUMNS + columns.GENERATED]
    selected = server.run("SELECT " + ", ".join(expression(*c) for c in checked) + " FROM t ORDER BY id")
    assert len(rows) == len(selected) == columns.row_count() + 1
    wrong = [
        (name, row[name], value)
        for row, values in zip(rows, selected)
        for (name, kind), value in zip(checked, values)
        if not same(kind, literal(row[name]), value)
    ]
    assert wrong == []


def test_decimals_are_written_as_mariadb_does(server):
    """Two nodes that write a number differently in a conflict record have records that differ."""
    log = server.log_of(columns.create("t"), *columns.inserts("t"))
    decimals = [name for name, definition, *_ in columns.COLUMNS if definition.startswith("decimal")]
    selected = server.run("SELECT " + ", ".join(f"CAST(`{name}` AS CHAR)" for name in decimals) + " FROM t ORDER BY id")
    ours = [tuple(None if row["after"][name] == "NULL" else row["after"][name] for name in decimals)
            for row in objects("values", log)]
    assert ours == list(selected)


def test_absent_columns_are_absent(server):
    """With row image MINIMAL, what isn't in the image must not be taken for NULL."""
    log = server.log_of("CREATE OR REPLACE TABLE m (a int primary key, b int, c int)", "SET binlog_row_image=MINIMAL",
                        "INSERT INTO m (a, c) VALUES (1, NULL)", "UPDATE m SET b = 2", "DELETE FROM m")
    assert [(row["kind"], row.get("before"), row.get("after")) for row in objects("values", log)] == [
        ("write", None, {"a": "1", "b": "<absent>", "c": "NULL"}),
        ("update", {"a": "1", "b": "<absent>", "c": "<absent>"}, {"a": "<absent>", "b": "2", "c": "<absent>"}),
        ("delete", {"a": "1", "b": "<absent>", "c": "<absent>"}, None),
    ]


def test_a_row_of_defaults_is_a_row(server):
    """REPLACE … () with row image MINIMAL is logged as an event without a byte of rows, and yet inserts one."""
    log = server.log_of("CREATE OR REPLACE TABLE m (a int default 3 primary key, b int)",
                        "SET binlog_row_image=MINIMAL", "REPLACE INTO m () VALUES ()")
    assert binlog_print("rows", log) == mariadb_binlog(log) == b"### INSERT INTO `d`.`m` VALUES ()\n"
    assert objects("values", log) == [
        {"table": "d.m", "kind": "write", "after": {"a": "<absent>", "b": "<absent>"}}]


def test_metadata_is_what_information_schema_shows(server):
    """Tables that differ between nodes are mapped by these names; keys are compared by these collations."""
    log = server.log_of(columns.create("t"), *columns.inserts("t")[:1])
    ours = objects("columns", log)[0]
    theirs = server.run("""
        SELECT c.column_name, c.is_nullable = 'YES', c.column_type LIKE '%unsigned%' OR c.data_type = 'year', l.id
        FROM information_schema.columns c
        LEFT JOIN information_schema.collations l ON l.collation_name = c.collation_name
        WHERE c.table_schema = 'd' AND c.table_name = 't' ORDER BY c.ordinal_position""")
    binary = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
    assert [c["name"] for c in ours["columns"]] == [name for name, *_ in theirs]
    assert [c["nullable"] for c in ours["columns"]] == [nullable for _, nullable, *_ in theirs]
    assert [(c["name"], bool(c["unsigned"])) for c in ours["columns"]] == [(t[0], bool(t[2])) for t in theirs]
    # What has no collation in information_schema is a number (0) or binary (63) in the log.
    assert [(c["name"], c["collation"]) for c in ours["columns"] if c["collation"] not in (0, 63)] == [
        (name, collation) for name, _, _, collation in theirs if collation is not None]
    for column, (name, definition, kind, *_) in zip(ours["columns"][1:], columns.COLUMNS):
        if definition.split("(")[0].split()[0] in binary:
            assert (name, column["collation"]) == (name, 63)
        expected = re.fullmatch(r"(?:enum|set)\((.*)\)(?: charset (\w+))?", definition)
        encoding = "utf-16-be" if expected and expected[2] == "utf16" else "utf-8"
        labels = [v[1:-1].replace("''", "'") for v in re.findall(r"'(?:[^']|'')*'", expected[1])] if expected else []
        assert [bytes.fromhex(label).decode(encoding) for label in column["labels"]] == labels


@pytest.mark.parametrize("key, columns_in_key, prefixes", [
    ("a, b", [0, 1], [0, 0]),
    ("b, a", [1, 0], [0, 0]),
    ("c(3), a", [2, 0], [3, 0]),
    ("d(5)", [3], [5]),
])
def test_primary_keys(server, key, columns_in_key, prefixes):
    """A row's key made of the wrong columns finds no conflict, or one where there is none."""
    log = server.log_of(
        f"CREATE OR REPLACE TABLE k (a int, b int, c varchar(100) charset utf8mb4, d blob, PRIMARY KEY ({key}))",
        "INSERT INTO k VALUES (1, 2, 'c', 'd')")
    ours = objects("columns", log)[0]
    assert ours["key"] == columns_in_key
    assert [ours["columns"][i]["prefix"] for i in columns_in_key] == prefixes
    assert [i for i, c in enumerate(ours["columns"]) if c["in_key"]] == sorted(columns_in_key)


@pytest.mark.parametrize("charsets", [
    ["utf8mb4"] * 9 + ["latin1"], ["latin1", "utf8mb4", "utf8mb4", "binary"] * 5, ["utf8mb4"],
    ["utf16", "ucs2", "utf32"],
])
def test_default_and_listed_character_sets(server, charsets):
    """The server writes whichever is shorter: one character set and the exceptions from it, or all of them."""
    text = [f"t{i} varchar(10) charset {c}" for i, c in enumerate(charsets)]
    enum = [f"e{i} enum('a','b') charset {c}" for i, c in enumerate(charsets) if c != "binary"]
    mixed = [column for pair in zip(text, ["i%d int" % i for i in range(len(text))]) for column in pair]
    log = server.log_of(f"CREATE OR REPLACE TABLE cs ({', '.join(enum[:2] + mixed + enum[2:])})",
                        "INSERT INTO cs (t0) VALUES ('a')")
    theirs = server.run("""
        SELECT c.column_name, l.id FROM information_schema.columns c
        JOIN information_schema.collations l ON l.collation_name = c.collation_name
        WHERE c.table_schema = 'd' AND c.table_name = 'cs' ORDER BY c.ordinal_position""")
    ours = [(c["name"], c["collation"]) for c in objects("columns", log)[0]["columns"] if c["collation"] not in (0, 63)]
    assert ours == list(theirs)


def test_a_very_wide_table(server):
    """Column counts above 250 take three bytes, and bitmaps get long. InnoDB ends at 1017 columns."""
    names = ", ".join(f"c{i} tinyint" for i in range(1000))
    log = server.log_of(f"CREATE OR REPLACE TABLE wide ({names})", "INSERT INTO wide (c0, c999) VALUES (1, 2)",
                        "UPDATE wide SET c512 = 3", "DROP TABLE wide")
    assert binlog_print("rows", log) == mariadb_binlog(log)
    assert len(objects("columns", log)[0]["columns"]) == 1000


def test_large_rows(server):
    """Events of megabytes, with values of each length class, compressed to a few kilobytes."""
    log = server.log_of("CREATE OR REPLACE TABLE l (a int primary key, b longblob, c longtext)",
                        "SET GLOBAL log_bin_compress=ON, GLOBAL log_bin_compress_min_len=10",
                        "INSERT INTO l VALUES (1, repeat('a', 17000000), 'x')", "UPDATE l SET c = repeat('b', 70000)",
                        "DROP TABLE l")
    assert log.stat().st_size < 1000000
    assert binlog_print("rows", log) == mariadb_binlog(log)


def test_old_temporal_format(server):
    """Without fractions, mysql56_temporal_format=OFF is readable; with them the log lacks their number, and saying so
    is better than a wrong key."""
    log = server.log_of("SET GLOBAL mysql56_temporal_format=OFF",
                        "CREATE OR REPLACE TABLE o (a int primary key, t time, d datetime, s timestamp null)",
                        "INSERT INTO o VALUES (1, '-838:59:59', '9999-12-31 23:59:59', '2024-02-29 12:34:56'),"
                        " (2, '00:00:00', '0000-00-00', '1970-01-01 00:00:01')")
    assert binlog_print("rows", log) == mariadb_binlog(log)
    log = server.log_of("CREATE OR REPLACE TABLE o (a int primary key, t time(3), d datetime(6))",
                        "INSERT INTO o VALUES (1, '01:02:03.456', '2024-02-29 12:34:56.789')")
    with pytest.raises(subprocess.CalledProcessError):
        binlog_print("rows", log)


def test_events(server):
    """DDL is applied in the context it ran in: a flag or character set read wrong makes another table of it."""
    log = server.log_of(
        "SET time_zone='+02:00', foreign_key_checks=0, unique_checks=0, lc_time_names='de_DE',"
        " auto_increment_increment=5, auto_increment_offset=3, collation_connection=latin1_german2_ci,"
        " timestamp=1700000000.123456",
        "CREATE OR REPLACE TABLE x (a int auto_increment primary key, b timestamp default '2020-01-01 00:00:00')",
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "SET timestamp=DEFAULT, collation_connection=utf8mb4_general_ci, auto_increment_increment=DEFAULT,"
        " auto_increment_offset=DEFAULT, binlog_alter_two_phase=ON",
        "ALTER TABLE x ADD COLUMN c int",
        "XA START 'abc', 'de', 7", "INSERT INTO x (c) VALUES (1)", "XA END 'abc', 'de', 7", "XA PREPARE 'abc', 'de', 7",
        "XA COMMIT 'abc', 'de', 7",
        "SET GLOBAL log_bin_compress=ON, GLOBAL log_bin_compress_min_len=10",
        "CREATE OR REPLACE TABLE y (a int /* " + "long " * 100 + "*/)",
    )
    lines = binlog_print("events", log).decode().splitlines()
    create = next(line for line in lines if "TABLE x (a" in line)
    sql_mode = dict(ALLOW_INVALID_DATES=1 << 25, NO_AUTO_VALUE_ON_ZERO=1 << 19)
    assert f"sql_mode={sum(sql_mode.values())} " in create
    assert "db=d error=0 flags2=0d000000 " in create  # autocommit, no foreign keys, relaxed unique checks, see query.h
    assert "charset=45,31,8 tz=+02:00 " in create
    assert "lc=4 dbcs=0 inc=5,3 " in create
    assert re.search(r" xid=[1-9]", create)
    assert "invoker=root@localhost" in next(line for line in lines if "VIEW" in line)
    assert any(re.search(r"GTID.* extra=02 start_alter=0 ", line) for line in lines)
    start = next(line for line in lines if " extra=02 " in line).split()[1].split("-")[2]
    assert any(f"extra=04 start_alter={start} " in line for line in lines)
    assert any(line.startswith("GTID") and "xa=3/2" in line for line in lines)
    assert any(line.startswith("XA prepare") for line in lines)
    assert b"compressed query" in raw_types(log) and any("long long" in line for line in lines)


def test_gtids_and_kinds_are_what_the_server_lists(server):
    """The stream's position is made of these."""
    log = server.log_of("CREATE OR REPLACE TABLE x (a int primary key)", "SET gtid_domain_id=7, server_id=9",
                        "INSERT INTO x VALUES (1)", "SET gtid_domain_id=1, server_id=1", "INSERT INTO x VALUES (2)",
                        "TRUNCATE TABLE x")
    theirs = [row[5].split()[-1] for row in server.run(f"SHOW BINLOG EVENTS IN '{log.name}'") if row[2] == "Gtid"]
    lines = binlog_print("events", log).decode().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("GTID ")  and "list" not in line] == theirs
    assert len(theirs) == 4
    assert "rotate bin." in lines[-1] and lines[-1].endswith(":4")


def test_a_log_without_checksums(server):
    """binlog_checksum=NONE: only the format description has a checksum then, and nothing may be cut off the others."""
    log = server.log_of("SET GLOBAL binlog_checksum=NONE", columns.create("t"), *columns.inserts("t"))
    log = server.log_of(columns.create("t"), *columns.inserts("t"))
    assert binlog_print("rows", log) == mariadb_binlog(log)


@pytest.mark.parametrize("image", ["FULL", "MINIMAL", "NOBLOB"])
def test_rows_put_together_again_apply(server, image):
    """The applier cuts events apart to leave rows out: what rows_append_event and format_append_plain make of them must
    be the same to another server."""
    statements = [*columns.inserts("t"), *columns.updates("t"), "DELETE FROM t WHERE id = 4"]
    log = server.log_of(columns.create("t"), f"SET binlog_row_image={image}", *statements)
    other = Server(2)
    try:
        other.run("CREATE DATABASE d CHARACTER SET utf8mb4", "USE d",
                  "SET sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'", columns.create("t"))
        for statement in binlog_print("replay", log).decode().splitlines():
            other.run(statement)
        rows = "SELECT * FROM t ORDER BY id"
        assert other.run("SET time_zone='+00:00'", rows) == server.run(rows)
        assert other.run("CHECKSUM TABLE t") == server.run("CHECKSUM TABLE t")
    finally:
        other.stop()
