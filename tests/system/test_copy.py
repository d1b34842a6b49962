"""One server's databases made equal to another's, as of one snapshot (src/copy, through copy_tool.c).

What is copied wrong here is wrong for good: a node that joins, or that comes back after a restore, starts from it, and no
link looks at these rows again. All tests share two nodes without daemons, node 1 the source and node 2 the target."""

import json
import pathlib
import signal
import socket
import subprocess
import threading

import pymysql
import pytest

from conftest import SYNCLINE, wait_for
from test_types import pair  # noqa: F401, a fixture

LAB = {"databases": ("d", "e")}
COPY_TOOL = pathlib.Path(SYNCLINE).parent / "tests/system/copy_tool"
DUMP = ["mariadb-dump", "-uroot", "--hex-blob", "--routines", "--triggers", "--skip-dump-date", "--skip-comments",
        "--databases"]
# 2.5 KB a row, so that a few thousand rows are several chunks of a MiB.
WIDE = "w VARCHAR(3000) CHARACTER SET ascii DEFAULT REPEAT('0123456789', 250)"


@pytest.fixture
def nodes(pair):  # noqa: F811
    """Both empty, and no daemon runs."""
    fresh = pair.lab is None
    nodes = pair.take()
    for node in nodes.nodes:
        if fresh:
            nodes.kill(node, "--daemon")
        for name in ("d", "e"):
            nodes.sql(node, "SET sql_log_bin=0, foreign_key_checks=0",
                      f"CREATE OR REPLACE DATABASE {name} CHARACTER SET utf8mb4")
    return nodes


def command(nodes, *options, source=None, databases=("d", "e")):
    return [COPY_TOOL, *options, source or nodes.socket(1), nodes.socket(2), *databases]


def refused(nodes, *options, **kwargs):
    """The one line that it says."""
    result = subprocess.run(command(nodes, *options, **kwargs), capture_output=True, text=True, timeout=120)
    assert result.returncode != 0 and result.stderr.count("\n") == 1, (result.returncode, result.stdout, result.stderr)
    return result.stderr


def copy(nodes, *options, **kwargs):
    """What it tells at the end."""
    result = subprocess.run(command(nodes, *options, **kwargs), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def start(nodes, *options, **kwargs):
    return subprocess.Popen(command(nodes, *options, **kwargs), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def dump(nodes, node, *databases):
    return subprocess.run([*DUMP, *databases, "-S", nodes.socket(node)], check=True, capture_output=True).stdout


def assert_copied(nodes, *databases):
    """Definitions with their counters, rows, and all else that a dump has."""
    for name in databases or ("d", "e"):
        for table in nodes.tables(1, name):
            sums = [nodes.sql(n, f"CHECKSUM TABLE `{name}`.`{table}` EXTENDED")[0][1] for n in (1, 2)]
            assert sums[0] == sums[1], f"{name}.{table}"
            made = [nodes.sql(n, f"SHOW CREATE TABLE `{name}`.`{table}`")[0][1] for n in (1, 2)]
            assert made[0] == made[1]
    assert dump(nodes, 1, *(databases or ("d", "e"))) == dump(nodes, 2, *(databases or ("d", "e")))


def fill(nodes, table, rows, columns="id", values="seq", node=1):
    nodes.sql(node, f"INSERT INTO {table} ({columns}) SELECT {values} FROM seq_1_to_{rows}", database="d")


# ---- Values and definitions ----

TYPES = """a TINYINT UNSIGNED ZEROFILL, b BIGINT UNSIGNED, f FLOAT, g FLOAT(7,3), db DOUBLE, dbb DOUBLE(20,5), de DECIMAL(65,30),
 y YEAR, da DATE, ti TIME(6), dt DATETIME(6), ts TIMESTAMP(6) NULL, ts2 TIMESTAMP NOT NULL DEFAULT '0000-00-00 00:00:00',
 e ENUM('','a','b'), st SET('x','y','z'), s64 SET(%s), bi BIT(64), b1 BIT(1), c CHAR(5) CHARACTER SET utf8mb4,
 vc VARCHAR(300) CHARACTER SET utf16, bn BINARY(4), vb VARBINARY(100), tx TEXT, lb LONGBLOB, js JSON, ge GEOMETRY, pt POINT,
 u UUID, i6 INET6, i4 INET4, gv INT AS (a*2) VIRTUAL, gp INT AS (a*3) PERSISTENT, inv INT INVISIBLE DEFAULT 7,
 cb BLOB COMPRESSED, cv VARCHAR(1000) COMPRESSED CHARACTER SET utf8mb4, uc VARCHAR(10) CHARACTER SET ucs2,
 u32 TEXT CHARACTER SET utf32, sj VARCHAR(10) CHARACTER SET sjis, `q``"'` INT""" % ",".join(f"'m{i}'" for i in range(64))
VALUES = {
    "a": ("0", "7", "255"), "b": ("0", "18446744073709551615", "9223372036854775807"),
    "f": ("'-0'", "'-3.402823466e38'", "16777217"),
    "g": ("'-0'", "-9999.123", "0.001"), "db": ("'-0'", "'5e-324'", "0.1"),
    "dbb": ("0", "-123456789012.12346", "0.00001"),
    "de": ("0", "-12345.000000000000000000000000000001", "99999999999999999999999999999999999.9"),
    "y": ("'0000'", "1901", "2155"),
    "da": ("'0000-00-00'", "'2024-02-31'", "'9999-12-31'"), "ti": ("'-838:59:59.999999'", "0", "'838:59:59'"),
    "dt": ("'0000-00-00'", "'2024-00-00'", "'9999-12-31 23:59:59.999999'"),
    "ts": ("'2024-10-27 00:30:00'", "'2024-10-27 01:30:00'", "'2038-01-19 03:14:07.999999'"),
    "e": ("'nonsense'", "''", "'b'"),
    "st": ("''", "'x,z'", "'x,y,z'"), "s64": ("''", "'m63,m1'", "~0"), "bi": ("0", "~0", "1<<63"),
    "b1": ("0", "1", "0"),
    "c": ("''", "'é🎈 '", "'a'"), "vc": ("''", "'日本🎈'", "' '"), "bn": ("''", "x'00ff'", "x'61626300'"),
    "vb": ("''", "x'0001272200'", "x'ff20'"), "tx": ("''", "'it''s \\\\ \"back\"'", "REPEAT('é', 20000)"),
    "lb": ("''", "x'0027225c000d0a1a'", "REPEAT(x'00ff', 100000)"), "js": ("'[]'", "'{\"a\": \"\\\\\\\\ü\"}'", "'1'"),
    "ge": ("NULL", "ST_GeomFromText('POINT(1 2)', 4326)",
           "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))')"),
    "pt": ("NULL", "POINT(1, 2)", "POINT(-0e0, 5e-324)"),
    "u": ("'00000000-0000-0000-0000-000000000000'", "'f1f2f3f4-1234-5678-9abc-def012345678'",
          "'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
    "i6": ("'::'", "'2001:db8::1'", "'::ffff:1.2.3.4'"), "i4": ("'0.0.0.0'", "'1.2.3.4'", "'255.255.255.255'"),
    "inv": ("0", "NULL", "1"), "cb": ("''", "REPEAT('ab', 1000)", "x'00'"), "cv": ("''", "REPEAT('é', 300)", "'🎈'"),
    "uc": ("''", "'aé'", "'日'"), "u32": ("''", "'🎈'", "' '"), "sj": ("''", "CONVERT('日本ソ' USING sjis)", "'a'"),
    "`q``\"'`": ("0", "1", "2"),
}


def test_every_type(nodes):
    """A digit, a zero byte, a zone's hour or an empty label that gets lost here differs for ever on the node that
    joined."""
    rows = [",".join(v[i] for v in VALUES.values()) for i in range(3)]
    nodes.sql(1, "SET sql_mode='ALLOW_INVALID_DATES', time_zone='+00:00'",
              f"CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, {TYPES})", f"CREATE TABLE d.n ({TYPES})",
              "INSERT INTO d.t (id) VALUES (NULL)",
              *[f"INSERT INTO d.t ({','.join(VALUES)}) VALUES ({r})" for r in rows],
              "SET sql_mode='NO_AUTO_VALUE_ON_ZERO'", "INSERT INTO d.t (id) VALUES (0),(-5),(2147483640)",
              f"INSERT INTO d.n ({','.join(VALUES)}) SELECT {','.join(VALUES)} FROM d.t")
    assert copy(nodes)["rows"] == 14
    assert_copied(nodes)
    assert nodes.value(2, "SELECT e+0 FROM d.t WHERE id=3") == 0 and nodes.value(2,
                                                                                 "SELECT e+0 FROM d.t WHERE id=5") == 1
    print([nodes.value(n, "SELECT CAST(f AS CHAR) FROM d.t WHERE id=3") for n in (1,2)])
    # And each is noticed when it differs, and nothing is that doesn't.
    assert copy(nodes)["rows"] == 7  # the table without a key
    for column, values in VALUES.items():
        nodes.sql(2, "SET sql_mode='ALLOW_INVALID_DATES', time_zone='+00:00', sql_log_bin=0",
                  f"UPDATE d.t SET {column}={values[1]} WHERE id=1")
        again = copy(nodes)
        assert again["rows"] == 14, column
    assert_copied(nodes)


@pytest.mark.sanitizer
def test_every_object(nodes):
    """A trigger, a routine or a default that is missing or other on one node makes its rows differ from then on."""
    nodes.sql(1, "SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES', time_zone='+05:30'", "USE d",
              "CREATE SEQUENCE s START WITH 10 INCREMENT BY 3 MAXVALUE 40 CYCLE CACHE 2",
              "DO NEXTVAL(s), NEXTVAL(s), NEXTVAL(s)",
              "CREATE SEQUENCE unused MINVALUE -5 NOCACHE",
              r"CREATE TABLE par (id INT PRIMARY KEY, x VARCHAR(10) DEFAULT 'a\''é' COMMENT 'b\''', CHECK (x <> '\'))",
              "CREATE TABLE chi (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES par (id) ON DELETE CASCADE)",
              "CREATE TABLE a_chi LIKE par", "ALTER TABLE a_chi ADD FOREIGN KEY (id) REFERENCES chi (id)",
              "CREATE TABLE dn (id BIGINT DEFAULT NEXTVAL(s) PRIMARY KEY, x INT CHECK (x > 0), "
              "y DATETIME DEFAULT NOW() ON UPDATE NOW())",
              "INSERT INTO par (id) VALUES (1),(2)", "INSERT INTO chi VALUES (1,1)", "INSERT INTO dn (x) VALUES (1)",
              "CREATE TABLE part (id INT, k VARCHAR(10), PRIMARY KEY (id, k)) PARTITION BY RANGE (id) "
              "(PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)",
              "CREATE VIEW z AS SELECT id, CONCAT(x, 'é') q FROM par", "CREATE VIEW a AS SELECT * FROM z",
              "CREATE FUNCTION fn(a VARCHAR(10)) RETURNS VARCHAR(20) DETERMINISTIC BEGIN RETURN CONCAT(a, 'é;'); END",
              "CREATE PROCEDURE pr() BEGIN SELECT \"id\" FROM par; END", "CREATE VIEW b AS SELECT fn('\\') c",
              "CREATE TRIGGER z2 BEFORE INSERT ON par FOR EACH ROW BEGIN SET NEW.id = NEW.id + 100; END",
              "CREATE TRIGGER z1 BEFORE INSERT ON par FOR EACH ROW FOLLOWS z2 SET NEW.id = NEW.id * 2",
              "ALTER DATABASE e COLLATE utf8mb4_uca1400_ai_ci", "USE e",
              "CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' COMMENT 'x' DO BEGIN DELETE FROM par; END",
              "USE d",
              "SET NAMES latin1 COLLATE latin1_german2_ci", "CREATE PROCEDURE pl() SELECT 'ä'",
              "CREATE VIEW l AS SELECT 'ä' c",
              "SET sql_mode=ORACLE", "CREATE PACKAGE pk AS FUNCTION f1 RETURN INT; END",
              "CREATE PACKAGE BODY pk AS FUNCTION f1 RETURN INT AS BEGIN RETURN 1; END; END")
    # A routine was made while the database had another default.
    nodes.sql(1, "ALTER DATABASE d COLLATE latin1_bin COMMENT 'it''s'")
    fill(nodes, "d.part", 1000, "id, k", "seq % 20, seq")
    copy(nodes)
    assert_copied(nodes)
    assert nodes.sql(2, "SELECT event_name, status FROM information_schema.events") == (("ev", "SLAVESIDE_DISABLED"),)
    ask = "SELECT * FROM information_schema.{} WHERE {}_schema='d' ORDER BY 1,2,3"
    for what, prefix, hidden in (("routines", "routine", ("CREATED", "LAST_ALTERED")),
                                 ("triggers", "trigger", ("CREATED",)),
                                 ("views", "table", ())):
        seen = []
        for node in (1, 2):
            with nodes.connect(node).cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute(ask.format(what, prefix))
                seen.append([{k: v for k, v in r.items() if k not in hidden} for r in cursor.fetchall()])
        assert seen[0] == seen[1] and seen[0]
    assert nodes.sql(2, "SELECT * FROM d.s") == nodes.sql(1, "SELECT * FROM d.s")
    # What is equal is left alone, an event that somebody enabled as well.
    nodes.sql(2, "SET sql_log_bin=0, sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES', time_zone='+05:30'",
              "ALTER EVENT e.ev ENABLE",
              database="e")
    made = nodes.sql(2, "SELECT table_name, create_time FROM information_schema.tables WHERE table_schema='d'")
    assert copy(nodes)["rows"] == 0
    assert nodes.sql(2, "SELECT table_name, create_time FROM information_schema.tables WHERE table_schema='d'") == made
    assert nodes.value(2, "SELECT status FROM information_schema.events") == "ENABLED"
    # A sequence that is further on here than there goes back.
    nodes.sql(2, "SET sql_log_bin=0", "DO NEXTVAL(d.unused), NEXTVAL(d.s), NEXTVAL(d.s), NEXTVAL(d.s)")
    copy(nodes)
    assert nodes.sql(2, "SELECT * FROM d.s") == nodes.sql(1, "SELECT * FROM d.s")
    assert nodes.sql(2, "SELECT * FROM d.unused") == nodes.sql(1, "SELECT * FROM d.unused")


def test_system_versioned(nodes):
    """Who had which right last year: a history that is written anew while it is copied says it began today."""
    nodes.sql(1, "CREATE TABLE d.v (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
              "CREATE TABLE d.w (id INT PRIMARY KEY, v INT, a TIMESTAMP(6) GENERATED ALWAYS AS ROW START, "
              "b TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (a, b)) WITH SYSTEM VERSIONING",
              *[s.format(t) for t in ("d.v", "d.w") for s in ("INSERT INTO {} (id, v) VALUES (1,1),(2,2)",
                                                              "UPDATE {} SET v=3",
                                                             "DELETE FROM {} WHERE id=2")])
    for _ in range(2):
        copy(nodes)
        for ask in ("SELECT *, row_start, row_end FROM d.v FOR SYSTEM_TIME ALL ORDER BY 1,2,3",
                    "SELECT * FROM d.w FOR SYSTEM_TIME ALL ORDER BY 1,2,3"):
            assert nodes.sql(1, ask) == nodes.sql(2, ask) and len(nodes.sql(1, ask)) == 4
        nodes.sql(2, "SET sql_log_bin=0", "UPDATE d.v SET v=4")
    nodes.sql(1, "CREATE TABLE d.x (id INT PRIMARY KEY, a BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, "
                 "b BIGINT UNSIGNED GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (a, b)) WITH SYSTEM VERSIONING")
    assert "d.x is versioned by transaction numbers" in refused(nodes)


# ---- Keys ----

KEYS = {
    "INT": ("CAST(seq AS SIGNED) - 700", "k"), "BIGINT UNSIGNED": ("18446744073709551615 - seq", "k"),
    "DECIMAL(40,4)": ("123456789012345678901 + seq / 10000", "k"),
    "DOUBLE": ("seq / 7 - 50", "k"), "FLOAT": ("CAST(seq / 7 AS FLOAT)", "k"),
    "DATE": ("'2020-01-01' + INTERVAL seq DAY", "k"),
    "DATETIME(3)": ("'2020-01-01' + INTERVAL seq*1001 MICROSECOND", "k"),
    "TIME(2)": ("SEC_TO_TIME(seq * 1.5 - 900)", "k"),
    "TIMESTAMP(6)": ("FROM_UNIXTIME(1700000000 + seq / 8)", "k"), "BIT(40)": ("seq << 20", "k"),
    "UUID": ("CONCAT(LPAD(HEX(seq * 7 % 50), 8, '0'), '-0000-4000-8000-', LPAD(seq, 12, '0'))", "k"),
    "INET6": ("CONCAT('2001:db8::', HEX(seq))", "k"), "BINARY(16)": ("UNHEX(MD5(seq))", "k"),
    "VARBINARY(30)": ("CONCAT(x'00275c', CHAR(seq USING ucs2))", "k"),
    "VARCHAR(30) COLLATE utf8mb4_german2_ci": ("CONCAT(ELT(seq % 5 + 1, 'ä', 'Ae', 'z\\'', 'é', '🎈'), seq)", "k"),
    "VARCHAR(30) COLLATE utf8mb4_bin": ("CONCAT(ELT(seq % 4 + 1, 'a', 'A', '', '\\\\'), seq)", "k"),
    "CHAR(20) CHARACTER SET sjis": ("CONCAT('ソ', seq)", "k"), "CHAR(20) CHARACTER SET utf16": ("CONCAT('日', seq)", "k"),
    "VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german1_ci": ("CONCAT('ü', seq)", "k"),
    "ENUM('z','y','x')": ("seq % 3 + 1", "k, id"), "SET('z','y','x')": ("seq % 8", "k, id"),
    "YEAR": ("IF(seq % 100 = 0, '0000', 1901 + seq % 250)", "k, id"),
    "VARCHAR(9) NOT NULL": ("seq % 7", "id, k, n"),
}


@pytest.mark.soak
def test_keys_of_every_type(nodes):
    """A chunk that ends elsewhere on the two servers leaves rows out, or finds no two chunks alike and sends all each
    time."""
    for i, (type_, (value, key)) in enumerate(KEYS.items()):
        nodes.sql(1, f"CREATE TABLE d.t{i} (id INT, k {type_}, n INT DEFAULT 5, {WIDE}, PRIMARY KEY ({key}))")
        fill(nodes, f"d.t{i}", 1000, "id, k", f"seq, {value}")
    first = copy(nodes)
    assert first["rows"] == 1000 * len(KEYS)
    assert_copied(nodes)
    again = copy(nodes)
    assert again["rows"] == 0 and again["chunks_equal"] >= 3 * len(KEYS)
    for i in range(len(KEYS)):
        nodes.sql(2, "SET sql_log_bin=0", f"UPDATE d.t{i} SET n=6 WHERE id=30",
                  f"DELETE FROM d.t{i} WHERE id BETWEEN 990 AND 1010")
    third = copy(nodes)
    assert_copied(nodes)
    assert 0 < third["chunks_copied"] <= 3 * len(KEYS) and third["rows"] < first["rows"], third


def test_no_primary_key(nodes):
    """Rows of such a table can be told apart by nothing: twice the same row has to be there twice, and not more often
    after a second run. A unique key without NULLs will do; the beginning of a column won't."""
    nodes.sql(1, "CREATE TABLE d.none (a INT, b VARCHAR(10))", "INSERT INTO d.none VALUES (1,'a'),(1,'a'),(NULL,NULL)",
              "CREATE TABLE d.nulls (a INT UNIQUE)", "INSERT INTO d.nulls VALUES (NULL),(NULL),(1)",
              "CREATE TABLE d.uni (a INT NOT NULL, b INT, UNIQUE (b), UNIQUE (a))",
              "INSERT INTO d.uni VALUES (1,NULL),(2,NULL)",
              "CREATE TABLE d.prefix (a TEXT, PRIMARY KEY (a(3)))", "INSERT INTO d.prefix VALUES ('abc'),('abdef')",
              "CREATE TABLE d.computed (a INT, b INT AS (a + 1) PERSISTENT UNIQUE)",
              "INSERT INTO d.computed (a) VALUES (1),(5)",
              "CREATE TABLE d.empty (a INT)", "CREATE TABLE d.empty2 (a INT PRIMARY KEY)")
    for rows in (12, 10):
        assert copy(nodes)["rows"] == rows
        assert_copied(nodes)
        assert nodes.value(2, "SELECT COUNT(*) FROM d.none") == 3


# ---- Differences ----


def test_only_differences_are_sent(nodes):
    """A node that comes back after a week over a radio link has nearly all rows: sending them all again takes
    days."""
    nodes.sql(1, f"CREATE TABLE d.t (id INT PRIMARY KEY, n INT DEFAULT 1, {WIDE})",
              f"CREATE TABLE e.t (id INT PRIMARY KEY, {WIDE})")
    fill(nodes, "d.t", 6000)
    fill(nodes, "e.t", 10)
    whole = copy(nodes)
    nodes.sql(2, "SET sql_log_bin=0", "UPDATE d.t SET n=2 WHERE id=3000", "DELETE FROM d.t WHERE id=5",
              "DELETE FROM e.t WHERE id=7",
              "INSERT INTO d.t (id) VALUES (-1),(6001),(7000)", "CREATE TABLE d.more (id INT PRIMARY KEY)",
              "INSERT INTO d.more VALUES (1)",
              "CREATE VIEW d.v AS SELECT 1", "CREATE SEQUENCE d.s", "CREATE PROCEDURE d.p() SELECT 1",
              "CREATE TRIGGER d.tr BEFORE INSERT ON d.t FOR EACH ROW SET NEW.n=9",
              "CREATE EVENT d.ev ON SCHEDULE EVERY 1 DAY DO SELECT 1")
    again = copy(nodes)
    assert_copied(nodes)
    assert again["bytes"] < whole["bytes"] / 2 and again["chunks_equal"] > again["chunks_copied"], again
    # One whose definition differs is made anew.
    nodes.sql(2, "SET sql_log_bin=0", "ALTER TABLE e.t ADD COLUMN more INT", "DROP DATABASE d")
    assert copy(nodes)["rows"] == 6010
    assert_copied(nodes)
    # A database that the source doesn't have goes; others stay.
    nodes.sql(1, "DROP DATABASE e")
    nodes.sql(2, "SET sql_log_bin=0", "CREATE DATABASE mine")
    copy(nodes)
    assert nodes.sql(2, "SHOW DATABASES LIKE 'e'") == () and nodes.sql(2, "SHOW DATABASES LIKE 'mine'")
    nodes.sql(2, "SET sql_log_bin=0", "DROP DATABASE mine")


@pytest.mark.sanitizer
def test_unique_values_that_moved(nodes):
    """Card 7 belongs to another user by now. The row that comes meets the one that had the card, further on in the
    table, which would stop a rejoin at the first lost or reused card."""
    nodes.sql(1, f"CREATE TABLE d.t (id INT PRIMARY KEY, card INT UNIQUE, {WIDE})",
              "CREATE TABLE d.c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES d.t (id) ON DELETE CASCADE)")
    fill(nodes, "d.t", 3000, "id, card", "seq, seq")
    fill(nodes, "d.c", 3000, "id, p", "seq, seq")
    copy(nodes)
    nodes.sql(2, "SET sql_log_bin=0", "UPDATE d.t SET card=NULL WHERE id=1", "UPDATE d.t SET card=1 WHERE id=2500",
              "UPDATE d.t SET card=NULL WHERE id=2999", "UPDATE d.t SET card=2999 WHERE id=2",
              "UPDATE d.t SET card=5000-card WHERE id BETWEEN 100 AND 200")
    copy(nodes)
    assert_copied(nodes)
    # What may not overlap in time is no key that REPLACE knows.
    nodes.sql(1, f"CREATE TABLE d.o (id INT PRIMARY KEY, room INT, a DATE, b DATE, {WIDE}, PERIOD FOR p(a, b), "
                 "UNIQUE (room, p WITHOUT OVERLAPS))")
    fill(nodes, "d.o", 2000, "id, room, a, b", "seq, seq, '2024-01-01', '2025-01-01'")
    copy(nodes)
    nodes.sql(2, "SET sql_log_bin=0", "UPDATE d.o SET room=0 WHERE id=1",
              "UPDATE d.o SET room=1, a='2024-06-01' WHERE id=1900")
    copy(nodes)
    assert_copied(nodes)


# ---- Writers ----


class Writers:
    """Threads that move amounts between two tables, in transactions of random rows: the sum stays."""

    def __init__(self, nodes, count=2):
        self.stop, self.done, self.failed, self.lock = threading.Event(), [], [], threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(nodes.socket(1), i)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, path, number):
        try:
            connection = pymysql.connect(user="root", unix_socket=path, database="d")
            with connection.cursor() as cursor:
                i = 0
                while not self.stop.is_set():
                    i += 1
                    a, b, amount = 1 + i * 7919 % 3000, 1 + i * 104729 % 3000, i % 17 + number
                    try:
                        cursor.execute("UPDATE a SET v=v-%s WHERE id=%s", (amount, a))
                        cursor.execute("UPDATE b SET v=v+%s WHERE id=%s", (amount, b))
                        cursor.execute("INSERT INTO b (id, v) VALUES (%s, 0)", (10000 + i * 2 + number,))
                        cursor.execute("DELETE FROM b WHERE id=%s", (10000 + (i - 20) * 2 + number,))
                        connection.commit()
                    except pymysql.err.OperationalError as error:
                        if error.args[0] not in (1205, 1213):
                            raise
                        connection.rollback()
                        continue
                    cursor.execute("SELECT @@last_gtid")
                    seq = int(cursor.fetchone()[0].split("-")[2])
                    with self.lock:
                        self.done.append((seq, a, b, amount))
        except Exception as error:  # noqa: BLE001, told by end()
            self.failed.append(error)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.failed, self.failed
        return self.done


def test_one_snapshot_while_writers_write(nodes):
    """Nobody stops the doors for a copy. Tables read at different moments would show an access that was taken from
    nobody; a vector that is not the snapshot's loses transactions or applies them twice."""
    nodes.sql(1, f"CREATE TABLE d.a (id INT PRIMARY KEY, v BIGINT NOT NULL DEFAULT 100, {WIDE})",
              "CREATE TABLE d.b LIKE d.a",
              "CREATE TABLE d.aa LIKE d.a")
    for table in ("a", "aa", "b"):
        fill(nodes, f"d.{table}", 3000)
    writers = Writers(nodes)
    results = []
    try:
        for options in (("--rate=8000",), (), ()):  # onto nothing, then twice onto what is older
            wait_for("transactions", lambda: len(writers.done) > 50 * (len(results) + 1))
            results.append(copy(nodes, *options))
            assert nodes.value(2, "SELECT (SELECT SUM(v) FROM d.a) + (SELECT SUM(v) FROM d.b)") == 600000
            got = {t: dict(nodes.sql(2, f"SELECT id, v FROM d.{t} WHERE id<=3000")) for t in "ab"}
            results[-1]["got"] = got
    finally:
        done = writers.end()
    for result in results:
        seq = next(int(g.split("-")[2]) for g in result["vector"].split(",") if g.startswith("1-"))
        expected = {t: {i: 100 for i in range(1, 3001)} for t in "ab"}
        for at, a, b, amount in done:
            if at <= seq:
                expected["a"][a] -= amount
                expected["b"][b] += amount
        assert result["got"] == expected, result["vector"]
        assert result["snapshots"] == 1
    assert len({r["vector"] for r in results}) == 3
    copy(nodes)
    assert_copied(nodes, "d")


def test_log_that_just_began(nodes):
    """BINLOG_GTID_POS answers '' for a place that it doesn't find: taken for an empty vector, the whole log would be
    applied again."""
    nodes.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY)")
    for _ in range(5):
        nodes.sql(1, "FLUSH BINARY LOGS")
        assert copy(nodes)["vector"] == nodes.value(1, "SELECT @@gtid_binlog_pos")


def test_ddl_during_the_copy(nodes):
    """A table altered halfway: half of its rows with the column and half without, or a copy that fails each night
    since something is altered each night."""
    nodes.sql(1, *[f"CREATE TABLE d.t{i} (id INT PRIMARY KEY, {WIDE})" for i in range(2)])
    for i in range(2):
        fill(nodes, f"d.t{i}", 1500)
    # An instant ALTER leaves the rows as they were: then the table is copied as it was.
    changes = {"ALTER TABLE d.t1 ADD COLUMN x INT DEFAULT 7": 1,
               "ALTER TABLE d.t1 ADD COLUMN y INT DEFAULT 7, ALGORITHM=COPY": 2, "TRUNCATE TABLE d.t1": 2,
               "ALTER TABLE d.t1 RENAME TO d.t2": 2, "DROP TABLE d.t2": 2}
    for change, snapshots in changes.items():
        nodes.sql(2, "SET sql_log_bin=0", "DROP DATABASE d")
        # t0 takes a while, t1 comes behind it.
        process = start(nodes, "--rate=2500")
        wait_for("rows", lambda: "t0" in nodes.tables(2) and nodes.value(2, "SELECT COUNT(*) FROM d.t0") > 0)
        process.send_signal(signal.SIGSTOP)
        assert nodes.value(2, f"SELECT COUNT(*) FROM d.{'t2' if 't2' in nodes.tables(2) else 't1'}") == 0, "too late"
        nodes.sql(1, change)
        process.send_signal(signal.SIGCONT)
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        result = json.loads(out.splitlines()[-1])
        assert result["snapshots"] == snapshots, (change, result)
        if result["snapshots"] > 1:
            assert_copied(nodes, "d")
        else:
            assert nodes.sql(2, "SHOW COLUMNS FROM d.t1 LIKE 'x'") == ()
            assert nodes.value(2, "SELECT COUNT(*) FROM d.t1") == 1500
        copy(nodes)
        assert_copied(nodes, "d")


@pytest.mark.soak
def test_ddl_does_not_wait_long(nodes):
    """Once a table is read, and between the segments of its rows, nothing of it is locked: an ALTER that waits for
    hours makes every write behind it wait as well."""
    nodes.sql(1, *[f"CREATE TABLE d.t{i} (id INT PRIMARY KEY, {WIDE})" for i in range(2)])
    for i in range(2):
        fill(nodes, f"d.t{i}", 6000)
    process = start(nodes, "--rate=1000")  # 30 s
    wait_for("rows", lambda: "t0" in nodes.tables(2) and nodes.value(2, "SELECT COUNT(*) FROM d.t0") > 0)
    nodes.sql(1, "SET lock_wait_timeout=15", "ALTER TABLE d.t0 ADD COLUMN x INT, ALGORITHM=INSTANT",
              "ALTER TABLE d.t0 FORCE, ALGORITHM=COPY")
    assert process.poll() is None
    process.terminate()
    process.communicate()
    copy(nodes)
    assert_copied(nodes)


# ---- Interrupted ----

NEEDED = ["BINLOG MONITOR ON *.*", "SELECT, SHOW VIEW, TRIGGER, EVENT ON d.*",
          "SELECT, SHOW VIEW, TRIGGER, EVENT ON e.*", "SELECT ON mysql.proc"]



def big_table(nodes, rows=6000):
    nodes.sql(1, f"CREATE TABLE d.t (id INT PRIMARY KEY, {WIDE})")
    fill(nodes, "d.t", rows)
    return rows


def halfway(nodes, *options):
    process = start(nodes, "--rate=2500", *options)
    wait_for("half of the rows", lambda: "t" in nodes.tables(2) and nodes.value(2, "SELECT COUNT(*) FROM d.t") > 2000)
    return process


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.sanitizer
def test_killed_and_run_again(nodes, how):
    """The power fails after two of three hours: three more hours are too long for the battery of whoever stands at
    the gate."""
    rows = big_table(nodes)
    process = halfway(nodes)
    process.send_signal(how)
    errors = process.communicate()[1]
    assert process.returncode != 0
    assert how == signal.SIGKILL or "run it again" in errors and errors.count("\n") == 1
    there = nodes.value(2, "SELECT COUNT(*) FROM d.t")
    again = copy(nodes)
    assert there < rows and again["rows"] < rows - there + 500 and again["chunks_equal"] > 2, (there, again)
    assert_copied(nodes)


@pytest.mark.parametrize("node", [1, 2])
def test_server_killed(nodes, node):
    """A server that dies under the copy must be told in a line, and not look like a copy that came to its end."""
    rows = big_table(nodes)
    process = halfway(nodes)
    nodes.kill(node, "--server")
    errors = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and errors.count("\n") == 1, errors
    assert ("the source" if node == 1 else "the target") in errors, errors
    nodes.start(node, "--server")
    again = copy(nodes)
    assert again["rows"] < rows
    assert_copied(nodes)


def test_connection_cut(nodes):
    """The session at the source is killed, as by an administrator or a firewall."""
    big_table(nodes)
    process = halfway(nodes)
    sessions = nodes.sql(1, "SELECT id FROM information_schema.processlist WHERE id<>CONNECTION_ID() AND user='root'")
    for (id_,) in sessions:
        nodes.sql(1, f"KILL {id_}")
    errors = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and errors.count("\n") == 1 and "copying d.t: the source" in errors, errors
    copy(nodes)
    assert_copied(nodes)


class Cable:
    """Passes a TCP connection on to a server's socket, until it is pulled: then all is silent, nothing is closed."""

    def __init__(self, path):
        self.path, self.pulled = path, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = [self.listener]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                client = self.listener.accept()[0]
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.path)
                self.sockets += [client, server]
                for pair_ in ((client, server), (server, client)):
                    threading.Thread(target=self.pass_on, args=pair_, daemon=True).start()
        except OSError:
            pass

    def pass_on(self, one, other):
        try:
            while data := one.recv(65536):
                if self.pulled.is_set():
                    return
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        for each in self.sockets:
            each.close()


@pytest.mark.soak
def test_cable_pulled(nodes, directory):
    """A peer that is cut off says nothing more, not even that it is gone: the copy must not wait for it for ever."""
    rows = big_table(nodes)
    cable = Cable(nodes.socket(1))
    try:
        options = account(nodes, directory, *NEEDED, address=f"host=127.0.0.1\nport={cable.port}")
        process = halfway(nodes, "--timeout=2", *options)
        cable.pulled.set()
        errors = process.communicate(timeout=60)[1]
        assert process.returncode != 0 and errors.count("\n") == 1 and "copying d.t: the source" in errors, errors
        cable.pulled.clear()
        assert copy(nodes, *options)["rows"] < rows
        assert_copied(nodes)
    finally:
        cable.close()


def test_disk_full(make_lab):
    """On a full disk the copy must say so, and go on when there is room again."""
    nodes = make_lab(server_options=("innodb_data_file_path=ibdata1:12M:autoextend:max:24M", "innodb_file_per_table=0"))
    for node in nodes.nodes:
        nodes.kill(node, "--daemon")
    nodes.sql(1, "SET GLOBAL innodb_file_per_table=1", "CREATE DATABASE d")
    rows = big_table(nodes, 12000)
    says = refused(nodes, databases=("d",))
    assert "copying d.t: the target: " in says and "make room on its disk and run it again" in says
    nodes.sql(2, "SET GLOBAL innodb_file_per_table=1", "SET sql_log_bin=0", "CREATE TABLE d.like_t LIKE d.t",
              "RENAME TABLE d.t TO d.old, d.like_t TO d.t", "DROP TABLE d.old")
    assert copy(nodes, databases=("d",))["rows"] == rows
    assert_copied(nodes, "d")


def test_two_copies_at_once(nodes):
    """Somebody runs the command once more because it takes so long; the two would delete each other's rows."""
    big_table(nodes)
    process = start(nodes, "--rate=500")
    wait_for("rows", lambda: "t" in nodes.tables(2) and nodes.value(2, "SELECT COUNT(*) FROM d.t") > 0)
    assert "another session copies to this server" in refused(nodes)
    process.terminate()
    process.communicate()


# ---- What is refused ----


def account(nodes, directory, *grants, address=None):
    """A file by which copy_tool logs in as an account that has these privileges."""
    nodes.sql(1, "CREATE OR REPLACE USER 'copy'@'localhost' IDENTIFIED BY 'x'",
              *[f"GRANT {g} TO 'copy'@'localhost'" for g in grants])
    path = directory / "copy.cnf"
    address = address or f"socket={nodes.socket(1)}"
    path.write_text(f"[source]\n{address}\nuser=copy\npassword=x\n")
    return [f"--from-file={path}", "--from-group=source"]


def test_least_privileges(nodes, directory):
    """Without TRIGGER or SHOW VIEW a server just shows less, and what isn't shown would be dropped on the target; so
    each privilege that is missing is asked for by name, and no more are needed than the documentation says."""
    nodes.sql(1, "USE d", "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM t",
              "CREATE SEQUENCE s",
              "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.id=NEW.id+1", "CREATE PROCEDURE p() SELECT 1",
              "CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DO SELECT 1")
    needed = NEEDED
    copy(nodes, *account(nodes, directory, *needed))
    assert_copied(nodes, "e")
    for what in ("SELECT * FROM d.v", "CALL d.p()", "SELECT * FROM d.s", "SHOW CREATE TRIGGER d.tr",
                 "SHOW CREATE EVENT d.ev"):
        nodes.sql(2, what)
    for i, grant in enumerate(needed):
        without = needed[:i] + needed[i + 1:]
        privileges, on = grant.split(" ON ")
        on = {"d.*": "`d`.*", "e.*": "`e`.*"}.get(on, on)
        assert f"GRANT {privileges} ON {on} TO 'copy'@'localhost'" in refused(nodes,
                                                                              *account(nodes, directory, *without))
    for privilege in ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT"):
        rest = ", ".join(p for p in ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT") if p != privilege)
        says = refused(nodes, *account(nodes, directory, needed[0], f"{rest} ON d.*", needed[2], needed[3]))
        assert f"GRANT {privilege} ON `d`.* TO" in says
    copy(nodes, *account(nodes, directory, needed[0], "ALL ON `_`.*", needed[3]))
    nodes.sql(1, "DROP USER 'copy'@'localhost'")


def test_tables_that_have_no_snapshot(nodes):
    """A MyISAM table is read as it is at the moment, in the middle of somebody's transaction; links refuse it as
    well."""
    nodes.sql(1, "CREATE TABLE d.m (id INT PRIMARY KEY) ENGINE=MyISAM")
    nodes.sql(2, "SET sql_log_bin=0", "CREATE TABLE d.kept (id INT)")
    assert "d.m is MyISAM" in refused(nodes)
    assert nodes.tables(2) == ["kept"]
    assert "mysql is each server's own" in refused(nodes, databases=("d", "mysql"))


def test_rows_larger_than_a_packet(nodes):
    """A row that the target doesn't take must be told with what to set, not as a connection that went away."""
    nodes.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, v LONGBLOB)",
              "INSERT INTO d.t VALUES (1, REPEAT('x', 5 << 20)), (2, 'y')")
    before = nodes.value(2, "SELECT @@global.max_allowed_packet")
    nodes.sql(2, f"SET GLOBAL max_allowed_packet={4 << 20}")
    try:
        assert "copying d.t: a row is larger than the target's max_allowed_packet; set" in refused(nodes)
    finally:
        nodes.sql(2, f"SET GLOBAL max_allowed_packet={before}")
    copy(nodes)
    assert_copied(nodes)


def test_view_that_is_broken(nodes):
    """A view whose table is gone can't be made anywhere: it must be named, since somebody has to drop it."""
    nodes.sql(1, "USE d", "CREATE TABLE t (id INT)", "CREATE VIEW bad AS SELECT * FROM t",
              "CREATE VIEW a_good AS SELECT 1 AS x",
              "CREATE VIEW z_good AS SELECT * FROM a_good", "DROP TABLE t")
    assert "can't make VIEW d.bad" in refused(nodes)
    nodes.sql(1, "DROP VIEW d.bad")
    copy(nodes)
    assert_copied(nodes)


def test_look(nodes):
    """A command has to tell what it would overwrite before it does."""
    nodes.sql(2, "SET sql_log_bin=0", "CREATE TABLE d.t (id INT)", "INSERT INTO d.t VALUES (1),(2)",
              "CREATE VIEW d.v AS SELECT 1",
              "CREATE TABLE e.`a b` (id INT)")
    out = subprocess.run([COPY_TOOL, "--look", nodes.socket(2), "d", "e", "none"], check=True, capture_output=True,
                         text=True).stdout
    assert json.loads(out) == {"d.t": 2, "e.a b": 0}


# ---- Size ----


@pytest.mark.soak
def test_large_table_and_progress(nodes):
    """Whether it hangs or goes on, and how long it will take, is all that somebody sees of a copy for hours."""
    nodes.sql(1, "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, n INT, v VARCHAR(100), KEY (n))")
    nodes.sql(1, "INSERT INTO d.t SELECT seq, seq % 1000, MD5(seq) FROM d.seq_1_to_200000", "ANALYZE TABLE d.t")
    for expected in (200000, 0):
        process = subprocess.run(command(nodes, "--progress", "--rate=20000"), check=True, capture_output=True,
                                 text=True)
        lines = [json.loads(l) for l in process.stdout.splitlines() if l.startswith("{")]
        result, states = lines[-1], lines[:-1]
        assert result["rows"] == expected
        assert len(states) >= 5 and states[0]["done"] == 0 and states[-1]["done"] == states[-1]["total"] > 0
        assert [s["done"] for s in states] == sorted(s["done"] for s in states) and states[-1]["rows"] == 200000
        assert {s["table"] for s in states} == {"", "t"}
        assert any(0.1 < s["done"] / s["total"] < 0.9 for s in states)
    assert_copied(nodes)


@pytest.mark.soak
def test_memory_is_bounded(nodes):
    """A small machine copies databases larger than its memory."""
    nodes.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, v LONGBLOB)", "CREATE TABLE d.n (v LONGBLOB)")
    nodes.sql(1, "INSERT INTO d.t SELECT seq, REPEAT(RANDOM_BYTES(1024), 1024) FROM d.seq_1_to_60")
    nodes.sql(1, "INSERT INTO d.n SELECT v FROM d.t")
    for change in (None, "UPDATE d.t SET v=REVERSE(v) WHERE id % 3 = 0"):
        if change:
            nodes.sql(2, "SET sql_log_bin=0", change)
        assert copy(nodes)["memory_kib"] < 32 * 1024
        for table in ("d.t", "d.n"):
            sums = [nodes.sql(n, f"CHECKSUM TABLE {table} EXTENDED")[0][1] for n in nodes.nodes]
            assert sums[0] == sums[1]
