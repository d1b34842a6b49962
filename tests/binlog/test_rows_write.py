"""Rows that we write ourselves, applied by a real server: rows_writer, table_map_append, field_append and shape.

Database `d` is the peer's: what is done there is logged. rows_write makes BINLOG statements of that log for a table in `h`, whose
shape may be another; the server applies them, and SELECT tells what came of it.
"""

import os
import pathlib
import subprocess

import pymysql
import pytest

import columns
from private_server import MARIADBD, Server

pytestmark = pytest.mark.skipif(MARIADBD is None, reason="no mariadbd here")

# A list of the definitions' fields in the order that rows_write wants them.
DEFINITIONS = """
    SELECT c.column_name, c.data_type, c.column_type, c.character_set_name,
        (SELECT MIN(a.id) FROM information_schema.collation_character_set_applicability a
         WHERE a.full_collation_name = c.collation_name),
        c.character_octet_length, c.numeric_precision, c.numeric_scale, c.datetime_precision, c.is_nullable,
        c.column_default, c.extra
    FROM information_schema.columns c WHERE c.table_schema = %s AND c.table_name = %s ORDER BY c.ordinal_position"""


def rows_write(*arguments):
    tool = pathlib.Path(os.environ["SYNCLINE"]).parent / "tests/binlog/rows_write"
    return subprocess.run([str(tool), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def definitions(server, database, table):
    with server.connection.cursor() as cursor:
        cursor.execute(DEFINITIONS, (database, table))
        rows = cursor.fetchall()
        cursor.execute("SELECT table_type FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
                       (database, table))
        is_versioned = cursor.fetchone()[0] == "SYSTEM VERSIONED"
        cursor.execute(f"SHOW CREATE TABLE {database}.{table}")
        is_versioned &= "AS ROW START" not in cursor.fetchone()[1]
    path = server.folder / "definitions"
    lines = ["\t".join("\\N" if field is None else str(field) for field in row) for row in rows]
    path.write_text("\n".join([f"{database} {table}{' versioned' if is_versioned else ''}", *lines, ""]), encoding="utf-8")
    return path


def apply(server, log, table="t", before="*", after="*"):
    """Writes the log's rows to h.table."""
    result = rows_write("--map", definitions(server, "h", table), log, before, after)
    assert result.stderr == "" and result.returncode == 0
    statements = result.stdout.splitlines()
    assert len(statements) > 1  # the format description and rows
    server.run(*statements)


def check(server, log, database, table):
    result = rows_write("--check", definitions(server, database, table), log)
    assert result.stderr == "" and result.returncode == 0
    return result.stdout.splitlines()


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def databases(server):
    """Each test finds both databases empty and the session as it was."""
    server.run("SET GLOBAL mysql56_temporal_format=ON", "SET time_zone='+00:00', timestamp=DEFAULT",
               "SET sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'",
               "CREATE OR REPLACE DATABASE h CHARACTER SET utf8mb4", "CREATE OR REPLACE DATABASE d CHARACTER SET utf8mb4",
               "USE d")


def test_every_type(server):
    """A type written in another way than the server writes it is another value, or an event that it refuses."""
    log = server.log_of(columns.create("d.t"), *columns.inserts("d.t"), *columns.updates("d.t"),
                        "DELETE FROM d.t WHERE id = 4")
    server.run(columns.create("h.t"))
    assert check(server, log, "h", "t") == [
        f"{len(columns.COLUMNS) + len(columns.GENERATED) + 1} columns, same"] * log.read_bytes().count(b"\x01d\0\x01t\0")
    apply(server, log)
    rows = "SELECT * FROM {}.t ORDER BY id"
    assert server.run(rows.format("h")) == server.run(rows.format("d"))
    assert len(server.run(rows.format("h"))) == columns.row_count()
    assert server.run("CHECKSUM TABLE h.t")[0][1] == server.run("CHECKSUM TABLE d.t")[0][1]
    assert server.run("SELECT COUNT(*) FROM h.t WHERE gv <=> s_int DIV 2")[0][0] == columns.row_count()


ODD_TABLES = [
    "a serial, b bool, c year(4), d long varchar, e long varbinary, f national char(5), g national varchar(5), h real",
    "a float(10,2), b float(30), c double(12,3), d decimal, e decimal(5), f numeric(6,2) zerofill, g fixed(4,1), h dec",
    "a char, b binary, c char(0), d varchar(0), e varbinary(0), f bit, g text(10), h text(300), i blob(70000)",
    "a char(255) charset utf16, b char(64), c char(63), d char(100) charset utf8mb3, e varchar(63), f varchar(64)",
    "a varchar(16000), b varchar(65) compressed, c varchar(0) compressed, d varchar(63) compressed, e text(10) compressed",
    "a varchar(254) charset latin1 compressed, b varchar(255) charset latin1 compressed, c varbinary(256) compressed",
    "a point, b linestring, c polygon, d multipoint, e multilinestring, f multipolygon, g geometrycollection, h geometry",
    "a uuid not null, b inet6 not null, c inet4 not null, d json, e bit(64) not null, f time(6) not null",
    "a int not null, b int, c int, d int, e int, f int, g int, h int not null, i int not null, j int",
    "a int(3) zerofill, b tinyint(1) unsigned, c middleint, d integer, e int8, f int1, g int2, h int3, i int4",
    "a enum('it''s', 'a\\\\b', 'c,d', 'x\\ny', 'q'') unsigned COMPRESSED ''', '\\0'), b set('unsigned', '', 'ä')",
    "a enum('a') charset latin1 collate latin1_german2_ci, b enum('ä') charset latin1, c enum('鍵','b') charset ucs2",
    "a enum(" + ",".join(f"'{i}'" for i in range(255)) + "), b enum(" + ",".join(f"'{i}'" for i in range(256)) + ")",
    *(f"a set({','.join(repr(str(i)) for i in range(n))})" for n in (8, 9, 16, 17, 24, 25, 32, 33, 64)),
    "a varchar(9) collate utf8mb4_bin, b text collate utf8mb4_uca1400_ai_ci, c char(3) charset koi8r, d text charset ascii",
    "a timestamp, b timestamp null default null, c datetime(3) default now(3) on update now(3), d date",
    "a int invisible, b int, c int as (b + 1), d int as (b + 2) persistent",
    "`ä` int, `with space` int, `Mixed` int, ` ``tick` int",
]


@pytest.mark.parametrize("definition", ODD_TABLES)
def test_columns_are_described_as_the_log_describes_them(server, definition):
    """The server refuses rows whose table map doesn't match the table; or, worse, converts them."""
    server.run("SET sql_mode=''")
    log = server.log_of(f"CREATE TABLE d.t ({definition})", "INSERT IGNORE INTO d.t () VALUES ()")
    lines = check(server, log, "d", "t")
    assert lines == [f"{len(server.run('SHOW COLUMNS FROM d.t'))} columns, same"]


def test_other_modes_and_formats(server):
    """Oracle's names for types, labels of a session without backslash escapes, MariaDB 5.3's temporal format."""
    log = server.log_of("SET sql_mode=ORACLE",
                        "CREATE TABLE d.t (a VARCHAR2(10), b NUMBER, c DATE, d CLOB, e RAW(5), f NUMBER(5,1))",
                        "INSERT INTO d.t (a) VALUES ('1')")
    assert check(server, log, "d", "t") == ["6 columns, same"]
    log = server.log_of("SET sql_mode=NO_BACKSLASH_ESCAPES", r"CREATE TABLE d.b (a ENUM('a\', 'b''c', 'd\n'))",
                        "INSERT INTO d.b VALUES (1)")
    assert check(server, log, "d", "b") == ["1 columns, same"]
    log = server.log_of("SET sql_mode=''", "SET GLOBAL mysql56_temporal_format=OFF",
                        "CREATE TABLE d.o (a TIME, b DATETIME, c TIMESTAMP NULL)", "INSERT INTO d.o VALUES ('1:2', NOW(), 1)")
    assert check(server, log, "d", "o") == ["3 columns, same"]


def test_old_temporal_format_is_written(server):
    """The log loses their fraction digits, information_schema has them."""
    server.run("SET GLOBAL mysql56_temporal_format=OFF")
    log = server.log_of("CREATE TABLE d.t (id INT PRIMARY KEY, a TIME, b DATETIME)",
                        "INSERT INTO d.t VALUES (1, '-12:34:56', '2024-02-29 12:34:56')")
    server.run("CREATE TABLE h.t (b DATETIME, n DATETIME(3) DEFAULT '2001-02-03 04:05:06.789', a TIME, id INT PRIMARY KEY)")
    apply(server, log)
    assert server.run("SELECT id, CAST(a AS CHAR), CAST(b AS CHAR), CAST(n AS CHAR) FROM h.t") == (
        (1, "-12:34:56", "2024-02-29 12:34:56", "2001-02-03 04:05:06.789"),)


PEER = "CREATE TABLE d.t (id INT PRIMARY KEY, name VARCHAR(20), n INT, note TEXT)"
PEER_ROWS = ["INSERT INTO d.t VALUES (1, 'one', 10, 'first'), (2, 'two', NULL, NULL), (3, 'three', 30, 'third')",
             "UPDATE d.t SET name = 'TWO', n = 20 WHERE id = 2", "DELETE FROM d.t WHERE id = 3"]


def test_an_update_of_some_columns(server):
    """A row that two nodes wrote is put together column by column: columns that aren't named must stay as they are
    here."""
    server.run(PEER, "INSERT INTO d.t VALUES (1, 'one', 1, 'x'), (2, 'two', 2, 'y')",
               PEER.replace("d.t", "h.t"), "INSERT INTO h.t VALUES (1, 'here', -1, 'HERE'), (2, 'here', -2, NULL)")
    log = server.log_of("UPDATE d.t SET name = 'new', n = n * 10, note = 'never shown'")
    apply(server, log, before="id", after="n")
    assert server.run("SELECT * FROM h.t") == ((1, "here", 10, "HERE"), (2, "here", 20, None))
    apply(server, log, before="id", after="name,note")
    assert server.run("SELECT * FROM h.t") == ((1, "new", 10, "never shown"), (2, "new", 20, "never shown"))


def test_a_delete_by_its_key(server):
    """A row to be removed is known by its key; its other columns may have changed meanwhile."""
    server.run(PEER, PEER_ROWS[0], PEER.replace("d.t", "h.t"), "INSERT INTO h.t VALUES (2, 'here', 2, ''), (4, '', 4, '')")
    log = server.log_of("DELETE FROM d.t WHERE id = 2")
    apply(server, log, before="id")
    assert server.run("SELECT id FROM h.t") == ((4,),)


def test_an_update_that_changes_the_key(server):
    log = server.log_of(PEER, PEER_ROWS[0], "UPDATE d.t SET id = id + 100, name = 'moved' WHERE id > 1")
    server.run("CREATE TABLE h.t (n INT, x INT DEFAULT 7, name VARCHAR(20), note TEXT, id INT PRIMARY KEY)")
    apply(server, log)
    assert server.run("SELECT id, name, n, x FROM h.t ORDER BY id") == (
        (1, "one", 10, 7), (102, "moved", None, 7), (103, "moved", 30, 7))


PLAIN = [
    "INT", "INT DEFAULT 5", "INT DEFAULT -3", "VARCHAR(10) DEFAULT 'x'", "VARCHAR(9) NOT NULL DEFAULT 'it''s'", "INT NOT NULL",
    "TIMESTAMP NULL", "TIMESTAMP DEFAULT '2001-01-01'", "DATE DEFAULT '2001-01-01'", "TIME DEFAULT '1:2:3'", "YEAR DEFAULT 2000",
    "BIT(9) DEFAULT 257", "ENUM('x','y') DEFAULT 'y'", "ENUM('p','q') NOT NULL", "SET('x','y') DEFAULT 'x,y'", "TEXT", "POINT",
    "DECIMAL(5,2) DEFAULT -1.5", "DOUBLE DEFAULT 1e10", "BINARY(3) DEFAULT x'0102'", "BOOL DEFAULT TRUE", "JSON",
    "VARCHAR(5) COMPRESSED DEFAULT 'c'", "CHAR(5) CHARSET latin1 DEFAULT 'ü'", "INET6 DEFAULT '::1'", "INT AS (id + 1)",
    "TIMESTAMP NULL ON UPDATE CURRENT_TIMESTAMP", "UUID DEFAULT '123e4567-e89b-12d3-a456-426655440000'",
]
NOT_PLAIN = [
    "TEXT DEFAULT 't'", "BLOB DEFAULT 'b'", "JSON DEFAULT '{}'", "TIMESTAMP DEFAULT CURRENT_TIMESTAMP", "DATETIME(3) DEFAULT NOW(3)",
    "DATE DEFAULT CURDATE()", "UUID DEFAULT UUID()", "INT DEFAULT (id + 1)", "INT AS (id + 2) STORED", "POINT DEFAULT POINT(1,2)",
    "INT AUTO_INCREMENT UNIQUE",
]


def test_absent_columns_get_their_defaults(server):
    """A column that the peer doesn't have yet: a default that the server wouldn't give must be known for what it is,
    or this node's rows have nothing where the other's have a value."""
    log = server.log_of("CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (7), (8)")
    added = [f"c{i} {definition}" for i, definition in enumerate(PLAIN + NOT_PLAIN)]
    middle = len(added) // 2
    server.run("SET sql_mode=''",
               f"CREATE TABLE h.t ({', '.join(added[:middle])}, id INT PRIMARY KEY, {', '.join(added[middle:])})",
               "CREATE TABLE h.inserted LIKE h.t", "ALTER TABLE h.t AUTO_INCREMENT=100", "INSERT INTO h.inserted (id) VALUES (7)")
    listed = rows_write("--defaults", definitions(server, "h", "t"), log).stdout.split()
    assert [(PLAIN + NOT_PLAIN)[int(name[1:])] for name in listed] == NOT_PLAIN
    server.run(f"ALTER TABLE h.t DROP c{len(added) - 1}", f"ALTER TABLE h.inserted DROP c{len(added) - 1}")  # 0 is there once
    apply(server, log)
    ours, theirs = (server.run(f"SELECT * FROM h.{table} WHERE id = 7")[0] for table in ("t", "inserted"))
    names = [name for name, *_ in server.run("SHOW COLUMNS FROM h.t")]
    assert [name for name, a, b in zip(names, ours, theirs) if a != b and name not in listed] == []
    assert server.run("SELECT COUNT(*) FROM h.t") == ((2,),)


def test_the_time_of_an_update_is_left_alone(server):
    """ON UPDATE CURRENT_TIMESTAMP is what the writer's node gave it, not the time at which it came here."""
    log = server.log_of("CREATE TABLE d.t (id INT PRIMARY KEY, a INT)", "INSERT INTO d.t VALUES (1, 1)", "UPDATE d.t SET a = 2")
    server.run("CREATE TABLE h.t (s TIMESTAMP DEFAULT '2001-01-01' ON UPDATE CURRENT_TIMESTAMP, a INT, id INT PRIMARY KEY)")
    apply(server, log)
    assert server.run("SELECT id, a, CAST(s AS CHAR) FROM h.t") == ((1, 2, "2001-01-01 00:00:00"),)


def test_a_stored_column_is_not_computed(server):
    """Why a row that was put together has to bring its stored generated columns along; should a server compute them
    some day, this says so. Virtual ones are always right."""
    tables = "(id INT PRIMARY KEY, a INT, v INT AS (a * 2) VIRTUAL, s INT AS (a * 3) STORED)"
    server.run(f"CREATE TABLE h.t {tables}", "INSERT INTO h.t (id, a) VALUES (1, 1)", f"CREATE TABLE d.t {tables}",
               "INSERT INTO d.t (id, a) VALUES (1, 1)")
    log = server.log_of("UPDATE d.t SET a = 2")
    apply(server, log, before="id", after="a")
    assert server.run("SELECT * FROM h.t") == ((1, 2, 4, 3),)
    apply(server, log, before="id", after="a,s")
    assert server.run("SELECT * FROM h.t") == ((1, 2, 4, 6),)


@pytest.mark.parametrize("here", [
    "id INT PRIMARY KEY, name VARCHAR(20), extra INT NOT NULL DEFAULT 5, n INT, note TEXT",
    "note TEXT, n INT, name VARCHAR(20), id INT PRIMARY KEY",
    "id INT PRIMARY KEY, note TEXT",
    "a DATE, ID INT PRIMARY KEY, b BLOB, Note TEXT, c UUID, N INT",
    "id INT, name VARCHAR(20), n INT, note TEXT",  # no key: found by all columns
    "note TEXT, x INT, id INT UNIQUE, name VARCHAR(20)",
])
def test_tables_of_another_shape(server, here):
    """Rows land in the columns of their names, wherever these are."""
    log = server.log_of(PEER, *PEER_ROWS)
    server.run(f"CREATE TABLE h.t ({here})")
    apply(server, log)
    names = {name.lower() for name, *_ in server.run("SHOW COLUMNS FROM h.t")} & {"id", "name", "n", "note"}
    shared = "SELECT " + ", ".join(sorted(names)) + " FROM {}.t ORDER BY id"
    assert server.run(shared.format("h")) == server.run(shared.format("d"))
    assert len(server.run("SELECT * FROM h.t")) == 2


WIDER = [
    ("TINYINT", "BIGINT", ["-128", "-1", "0", "127"]),
    ("SMALLINT UNSIGNED", "INT UNSIGNED", ["0", "65535"]),
    ("MEDIUMINT", "INT", ["-8388608", "8388607"]),
    ("VARCHAR(255) CHARSET latin1", "VARCHAR(256) CHARSET latin1", ["''", "'\xfcb'", "repeat('x',255)"]),
    ("VARCHAR(10)", "TEXT", ["''", "'🔑'"]),
    ("TINYTEXT", "LONGTEXT", ["''", "repeat('x',255)"]),
    ("VARBINARY(10)", "LONGBLOB", ["''", "x'00ff00'"]),
    ("CHAR(10)", "CHAR(100)", ["''", "'🔑'"]),
    ("CHAR(10)", "VARCHAR(10)", ["''", "'a b '"]),
    ("ENUM('a','b')", "ENUM(" + ",".join(f"'{c}'" for c in ["a", "b", *range(300)]) + ")", ["'a'", "'b'"]),
    ("SET('a','b')", "SET('a','b','c','d','e','f','g','h','i')", ["''", "'a,b'"]),
    ("VARCHAR(200)", "VARCHAR(200) COMPRESSED", ["''", "'a'", "repeat('x',99)", "repeat('x',100)", "repeat('🔑',200)"]),
    ("VARCHAR(200) COMPRESSED", "VARCHAR(200)", ["''", "'a'", "repeat('🔑',200)"]),
    ("TINYTEXT COMPRESSED", "TINYTEXT COMPRESSED", ["''", "repeat('x',255)"]),
    ("MEDIUMBLOB", "LONGBLOB COMPRESSED", ["''", "repeat('x',100000)", "x'00'"]),
    ("TEXT COMPRESSED", "MEDIUMTEXT", ["''", "repeat('x',65535)"]),
]


@pytest.mark.parametrize("there, here, values", WIDER)
def test_values_move_to_a_wider_column(server, there, here, values):
    """A column widened on this node first: a value of the narrower one is the same value here."""
    log = server.log_of(f"CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v {there})",
                        f"INSERT INTO d.t (v) VALUES (NULL), ({'), ('.join(values)})", "UPDATE d.t SET id = id + 10")
    server.run(f"CREATE TABLE h.t (v {here}, id INT PRIMARY KEY)")
    apply(server, log)
    rows = "SELECT id, v, HEX(v), LENGTH(v) FROM {}.t ORDER BY id"
    assert server.run(rows.format("h")) == server.run(rows.format("d"))
    assert len(server.run("SELECT * FROM h.t")) == len(values) + 1


@pytest.mark.parametrize("there, here, why", [
    ("INT", "INT UNSIGNED", "another type"), ("BIGINT", "INT", "narrower"), ("INT", "VARCHAR(20)", "another type"),
    ("VARCHAR(20)", "VARCHAR(19)", "shorter"), ("TEXT", "TINYTEXT", "shorter"), ("TEXT", "BLOB", "another type"),
    ("VARCHAR(20)", "CHAR(20)", "another type"), ("BINARY(4)", "BINARY(5)", "another type"), ("INT", "YEAR", "another type"),
    ("DECIMAL(5,2)", "DECIMAL(6,2)", "another type"), ("DATETIME(3)", "DATETIME(6)", "another type"),
    ("ENUM('a','b')", "ENUM('b','a')", "other values"), ("ENUM('a','b')", "ENUM('a')", "fewer values"),
    ("SET('a')", "ENUM('a')", "another type"), ("UUID", "INET6 NOT NULL", None), ("GEOMETRY", "BLOB", "another type"),
    ("BIT(8)", "BIT(9)", "another type"), ("DATE", "DATETIME", "another type"), ("FLOAT", "DOUBLE", "another type"),
])
def test_values_that_would_be_others_stop(server, there, here, why):
    """The server would convert what it can and refuse the rest; neither is what the row's writer meant."""
    log = server.log_of(f"CREATE TABLE d.t (v {there})", "INSERT INTO d.t VALUES (NULL)")
    server.run(f"CREATE TABLE h.t (v {here})")
    result = rows_write("--map", definitions(server, "h", "t"), log)
    # What the log has one type for goes on to the value: NULL, here.
    expected = f"column v has {why}" if why in ("another type", "other values", "fewer values") else f"is {why} here"
    assert result.returncode == 1
    assert ("NULL can't be a value of column v" if why is None else expected) in result.stderr


def test_a_long_unique_key(server):
    """information_schema hides the column with its hash; the server computes it."""
    log = server.log_of("CREATE TABLE d.t (id INT PRIMARY KEY, v TEXT, UNIQUE (v))",
                        "INSERT INTO d.t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
                        "UPDATE d.t SET v = 'bb' WHERE id = 2", "DELETE FROM d.t WHERE id = 3")
    server.run("CREATE TABLE h.t (v TEXT, x INT DEFAULT 1, id INT PRIMARY KEY, UNIQUE (v))")
    apply(server, log)
    assert server.run("SELECT id, v FROM h.t ORDER BY id") == ((1, "a"), (2, "bb"))
    with pytest.raises(pymysql.err.IntegrityError, match="Duplicate entry"):
        server.run("INSERT INTO h.t (id, v) VALUES (4, 'bb')")
    assert server.run("SELECT id FROM h.t WHERE v = 'bb'") == ((2,),)


@pytest.mark.parametrize("unique", ["", ", UNIQUE (v)"])
@pytest.mark.parametrize("times", [
    "", ", s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME(s, e)"])
def test_a_versioned_table(server, unique, times):
    """Its rows' times are part of them, seen or hidden: made up here, they would differ from node to node, and an
    update would collide with the history that it makes."""
    start, end = ("s", "e") if times else ("row_start", "row_end")
    log = server.log_of(f"CREATE TABLE d.t (id INT PRIMARY KEY, v TEXT{times}{unique}) WITH SYSTEM VERSIONING",
                        "INSERT INTO d.t (id, v) VALUES (1, 'a'), (2, 'b')", "UPDATE d.t SET v = 'aa' WHERE id = 1",
                        "DELETE FROM d.t WHERE id = 2")
    if not unique:
        assert set(check(server, log, "d", "t")) == {"4 columns, same"}
    server.run(f"CREATE TABLE h.t (v TEXT, x INT DEFAULT 1, id INT PRIMARY KEY{times}{unique}) WITH SYSTEM VERSIONING")
    apply(server, log)
    history = f"SELECT id, v, {start}, {end} FROM {{}}.t FOR SYSTEM_TIME ALL ORDER BY id, {end}"
    assert server.run(history.format("h")) == server.run(history.format("d"))
    assert len(server.run(history.format("h"))) == 3
    assert server.run("SELECT id, v FROM h.t") == ((1, "aa"),)


def test_rows_over_several_events(server):
    """An event is ended when it gets large; the statement goes on to the last."""
    log = server.log_of("CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(1000))",
                        "INSERT INTO d.t SELECT seq, REPEAT('v', 1000) FROM seq_1_to_200", "UPDATE d.t SET v = id")
    server.run("CREATE TABLE h.t (v VARCHAR(1000), id INT PRIMARY KEY)")
    apply(server, log)
    assert server.run("SELECT COUNT(*), SUM(v = id) FROM h.t") == ((200, 200),)
