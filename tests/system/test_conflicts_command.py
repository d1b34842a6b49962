"""`syncline conflicts`: what was lost is listed, shown, and written again.

The records are made by src/link/record out of rows that a server logged (record_sql.c): an UPDATE's or DELETE's before-image
is what was lost. So undoing one must give back, on every node, the rows as they were before that statement."""

import json
import os
import pathlib
import subprocess
import threading

import pytest

from conftest import SYNCLINE, run, wait_for
from test_types import equal_everywhere, lab, pair, texts  # noqa: F401, fixtures and helpers

LAB = {"databases": ("d", "e.f")}
RECORD_SQL = pathlib.Path(SYNCLINE).parent / "tests/system/record_sql"
TABLE = """CREATE TABLE {}.replication_conflicts (id INT AUTO_INCREMENT PRIMARY KEY, table_name VARCHAR(50) NOT NULL,
           record_id INT NOT NULL, conflict_type ENUM('INSERT_DUPLICATE', 'UPDATE_CONFLICT') NOT NULL, gate_id INT NOT NULL,
           conflict_data JSON, resolved BOOLEAN DEFAULT FALSE, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"""
USERS = "CREATE TABLE d.users (id INT PRIMARY KEY, name VARCHAR(50), tag VARCHAR(20) UNIQUE, n INT, UNIQUE (name, n))"


def conflicts(lab, *args, node=1, check=True, **env):
    return run("conflicts", f"--defaults-file={lab.dir}/node{node}/syncline.cnf", *args, check=check,
               env={**os.environ, "TZ": "UTC", **env})


def refused(lab, *args, status=1, **kwargs):
    """The line that it says."""
    result = conflicts(lab, *args, check=False, **kwargs)
    assert result.returncode == status, result.stdout + result.stderr
    assert result.stderr.count("\n") == 1 and result.stdout == "", result.stdout + result.stderr
    return result.stderr


def lose(lab, *statements, kind="update_origin_differs", node=1):
    """Runs the statements; what they overwrote or deleted counts as lost. Returns the ids of the conflicts."""
    lab.sql(node, "FLUSH BINARY LOGS")
    name = lab.sql(node, "SHOW MASTER STATUS")[0][0]
    lab.sql(node, "SET time_zone='+00:00'", *statements, database="d")
    lab.sql(node, "FLUSH BINARY LOGS")
    made = subprocess.run([RECORD_SQL, lab.dir / f"node{node}" / "data" / name, kind], capture_output=True, text=True,
                          check=True)
    ids = []
    for line in made.stdout.splitlines():
        lab.sql(node, line)
        ids.append(lab.value(node, "SELECT MAX(id) FROM d.replication_conflicts"))
    lab.wait()
    return ids


@pytest.fixture
def users(lab):
    lab.sql(1, TABLE.format("d"), USERS, "INSERT INTO d.users VALUES (1,'Ann','C1',1),(2,'Bob','C2',2),(3,'Cid','C3',3)")
    lab.wait()
    return lab


def resolved(lab, id_, node=1):
    return lab.value(node, f"SELECT resolved FROM d.replication_conflicts WHERE id={id_}")


# ---- undo ----


@pytest.mark.sanitizer
def test_undo_of_some_columns(users):
    """The column that was lost comes back; what somebody wrote into the others since then stays."""
    [id_] = lose(users, "UPDATE users SET name='Eve' WHERE id=1")
    users.sql(1, "UPDATE d.users SET name='Fay', tag='C9' WHERE id=1")
    out = conflicts(users, "undo", id_).stdout
    assert "d.users, id=1: written over what was there" in out and "Fay" in out and "Ann" in out and "C9" not in out
    equal_everywhere(users, [("1", "Ann", "C9", "1"), ("2", "Bob", "C2", "2"), ("3", "Cid", "C3", "3")],
                     "SELECT * FROM users ORDER BY id")
    assert resolved(users, id_, node=2) == 1


def test_undo_of_a_deleted_row(users):
    """A row that is gone comes back whole, although only one of its columns had been written here."""
    [id_] = lose(users, "DELETE FROM users WHERE id=2", kind="delete_origin_differs")
    data = json.loads(users.value(1, "SELECT conflict_data FROM d.replication_conflicts"))
    users.sql(1, "UPDATE d.replication_conflicts SET conflict_data=%s", args=(json.dumps({**data, "lost": ["tag"]}),))
    assert "inserted, there was no such row" in conflicts(users, "undo", id_, node=2).stdout
    equal_everywhere(users, [("1", "Ann", "C1", "1"), ("2", "Bob", "C2", "2"), ("3", "Cid", "C3", "3")],
                     "SELECT * FROM users ORDER BY id")
    assert resolved(users, id_) == 1


def test_undo_of_a_deleted_row_whose_key_is_used_again(users):
    """A lost row is all of that row, not a mixture of it with the one that came after it."""
    [id_] = lose(users, "DELETE FROM users WHERE id=2", kind="delete_origin_differs")
    users.sql(1, "INSERT INTO d.users VALUES (2,'New','C8',8)")
    out = conflicts(users, "undo", id_).stdout
    assert "written over what was there" in out and all(v in out for v in ("New", "C8", "Bob", "C2"))
    equal_everywhere(users, [("2", "Bob", "C2", "2")], "SELECT * FROM users WHERE id=2")


def test_undo_of_an_insert_that_lost_its_unique_value(users):
    """One card given to two people: the second row comes back as soon as the first has another card, and not before."""
    [id_] = lose(users, "DELETE FROM users WHERE id=2", "UPDATE users SET n=n WHERE id=1", kind="insert_exists")
    assert users.value(1, "SELECT conflict_type FROM d.replication_conflicts") == "INSERT_DUPLICATE"
    users.sql(1, "UPDATE d.users SET tag='C2' WHERE id=3")
    line = refused(users, "undo", id_)
    assert "the row with id=3 has tag=C2 now" in line
    assert resolved(users, id_) == 0
    equal_everywhere(users, [("1",), ("3",)], "SELECT id FROM users ORDER BY id")
    users.sql(1, "UPDATE d.users SET tag='C3' WHERE id=3")
    users.wait()
    conflicts(users, "undo", id_, node=2)
    equal_everywhere(users, [("2", "Bob", "C2", "2")], "SELECT * FROM users WHERE id=2")


def test_undo_names_the_row_in_the_way_of_several_columns(users):
    """A unique key of a column that was lost and one that stayed: both make the value that another row has."""
    [id_] = lose(users, "UPDATE users SET name='Eve' WHERE id=1")
    users.sql(1, "UPDATE d.users SET name='Ann', n=1 WHERE id=2")
    line = refused(users, "undo", id_)
    assert "the row with id=2 has name=Ann, n=1 now" in line
    equal_everywhere(users, [("1", "Eve")], "SELECT id, name FROM users WHERE id=1")


def test_undo_of_what_is_resolved(users):
    """Undone twice by two people at the same moment, the second would overwrite what was written in between."""
    [id_] = lose(users, "UPDATE users SET n=5 WHERE id=1")
    codes = []
    threads = [threading.Thread(target=lambda: codes.append(conflicts(users, "undo", id_, check=False).returncode))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [0, 1, 1]
    users.sql(1, "UPDATE d.users SET n=7 WHERE id=1")
    assert "--again" in refused(users, "undo", id_)
    assert users.value(1, "SELECT n FROM d.users WHERE id=1") == 7
    conflicts(users, "undo", id_, "--again")
    equal_everywhere(users, [("1",)], "SELECT n FROM users WHERE id=1")


def test_undo_that_no_longer_fits(users):
    """The parent is gone, the column is gone, the table is gone: a line that says so, and nothing is half done."""
    users.sql(1, "CREATE TABLE d.child (id INT PRIMARY KEY, p INT, x INT, FOREIGN KEY (p) REFERENCES users (id))",
              "INSERT INTO d.child VALUES (1,2,5)")
    [gone, update] = lose(users, "DELETE FROM child WHERE id=1; ", "DELETE FROM users WHERE id=2",
                          kind="foreign_key_missing")[:1] + lose(users, "UPDATE users SET n=9 WHERE id=1")
    assert "foreign key constraint fails" in refused(users, "undo", gone)
    users.sql(1, "ALTER TABLE d.child DROP COLUMN x")
    assert "the table has no column x any more" in refused(users, "undo", gone)
    users.sql(1, "DROP TABLE d.child")
    assert "the table is not there any more" in refused(users, "undo", gone)
    users.sql(1, "ALTER TABLE d.users MODIFY n TINYINT UNSIGNED")
    users.sql(1, "UPDATE d.replication_conflicts SET conflict_data=JSON_SET(conflict_data, '$.local.n', '1000') "
                 f"WHERE id={update}")
    assert "Out of range value for column 'n'" in refused(users, "undo", update)
    users.sql(1, "ALTER TABLE d.users DROP PRIMARY KEY, DROP COLUMN id, ADD COLUMN i INT FIRST")
    assert "its key is of columns" in refused(users, "undo", update)
    assert users.value(1, "SELECT SUM(resolved) FROM d.replication_conflicts") == 0


def test_undo_of_a_value_that_was_too_long(lab):
    """A picture whose record has only the first half must not replace the whole one by half."""
    lab.sql(1, TABLE.format("d"), "CREATE TABLE d.t (id INT PRIMARY KEY, v LONGBLOB, w INT)",
            "INSERT INTO d.t VALUES (1, REPEAT('x', 40000), 1)")
    [cut] = lose(lab, "UPDATE t SET v='', w=2")
    [other] = lose(lab, "UPDATE t SET v='y', w=3")
    assert "column v was too long" in refused(lab, "undo", cut)
    conflicts(lab, "undo", other)
    assert lab.sql(1, "SELECT v, w FROM d.t") == ((b"", 2),)


# ---- every type ----

# name: definition, the value that is lost, the value that won
TYPES = {
    "tiny": ("TINYINT", "-128", "1"), "small": ("SMALLINT UNSIGNED", "65535", "1"), "medium": ("MEDIUMINT", "-8388608", "1"),
    "big": ("BIGINT UNSIGNED", "18446744073709551615", "1"), "zero": ("INT(5) ZEROFILL", "42", "1"),
    "deci": ("DECIMAL(65,30)", "'-" + "9" * 35 + "." + "9" * 30 + "'", "1"), "flo": ("FLOAT", "16777216", "1"),
    "tinyflo": ("FLOAT", "1.17549435e-38", "1"), "dou": ("DOUBLE", "0.1e-300", "1"), "dou2": ("DOUBLE", "1/3", "1"),
    "dou3": ("DOUBLE(20,5)", "-123456789012.12346", "1"), "bit1": ("BIT(1)", "1", "0"), "bit64": ("BIT(64)", "~0", "5"),
    "bit9": ("BIT(9)", "257", "NULL"), "yea": ("YEAR", "'0000'", "2024"), "dat": ("DATE", "'0000-00-00'", "'2024-02-29'"),
    "dat2": ("DATE", "'2024-02-31'", "'2024-02-29'"), "tim": ("TIME(6)", "'-838:59:59.999999'", "'1:2:3'"),
    "dt": ("DATETIME", "'0000-00-00 00:00:00'", "NOW()"), "dt6": ("DATETIME(6)", "'9999-12-31 23:59:59.999999'", "NOW()"),
    "ts": ("TIMESTAMP NULL", "'2024-03-31 01:30:00'", "'2024-01-01'"), "ts0": ("TIMESTAMP NULL", "0", "'2024-01-01'"),
    "ts3": ("TIMESTAMP(3) NULL", "'2038-01-19 03:14:07.999'", "'2024-01-01'"),
    "cha": ("CHAR(10)", "'grün 🔑'", "''"), "vch": ("VARCHAR(300)", "'it''s \\\\ \\n\\t \" %s `'", "'x'"),
    "nul": ("VARCHAR(20)", "'a\\0b'", "'x'"), "emp": ("VARCHAR(20)", "''", "NULL"), "was_null": ("INT", "NULL", "5"),
    "trail": ("VARCHAR(20)", "'x  '", "'x'"), "txt": ("TEXT", "REPEAT('鍵', 1000)", "'x'"),
    "latin": ("VARCHAR(20) CHARACTER SET latin1", "'grün €'", "'plain'"),
    "latinc": ("CHAR(20) CHARACTER SET latin1", "'plain'", "'grün'"),
    "ucs": ("VARCHAR(20) CHARACTER SET ucs2", "'鍵'", "'x'"), "utf16": ("TEXT CHARACTER SET utf16", "'🔑'", "'x'"),
    "utf32": ("CHAR(5) CHARACTER SET utf32", "'🔑'", "'x'"), "le": ("VARCHAR(9) CHARACTER SET utf16le", "'🔑'", "'x'"),
    "cp": ("VARCHAR(20) CHARACTER SET cp1251", "'дверь'", "'x'"), "sj": ("VARCHAR(20) CHARACTER SET sjis", "'表ソ'", "'x'"),
    "gb": ("VARCHAR(20) CHARACTER SET gbk", "'门 誠'", "'x'"), "asci": ("VARCHAR(20) CHARACTER SET ascii", "'plain'", "'x'"),
    "u3": ("VARCHAR(20) CHARACTER SET utf8mb3", "'鍵'", "'x'"),
    "uca": ("VARCHAR(20) COLLATE utf8mb4_uca1400_ai_ci", "'鍵'", "'x'"), "bin": ("BINARY(4)", "x'0100'", "x'ff'"),
    "vbin": ("VARBINARY(300)", "x'0027225c00'", "''"), "blo": ("BLOB", "x'00ff'", "NULL"), "tblo": ("TINYBLOB", "''", "'x'"),
    "enu": ("ENUM('a','it''s','grün')", "'grün'", "'a'"), "enu2": ("ENUM('x','鍵') CHARACTER SET ucs2", "'鍵'", "'x'"),
    "enu3": ("ENUM('x','grün') CHARACTER SET latin1", "'grün'", "'x'"), "enun": ("ENUM('2','1')", "'2'", "'1'"),
    "se": ("SET('a','b','grün')", "'a,grün'", "''"), "se0": ("SET('a','b')", "''", "'a'"),
    "se2": ("SET('a','鍵','c') CHARACTER SET utf16", "'a,鍵,c'", "''"),
    "se64": ("SET(" + ",".join(f"'v{i}'" for i in range(64)) + ")", "~0", "1"),
    "jso": ("JSON", "'{\"a\": [1, null, \"grün 🔑\"]}'", "'[]'"),
    "com": ("VARCHAR(500) COMPRESSED", "REPEAT('grün', 50)", "'x'"), "comb": ("BLOB COMPRESSED", "REPEAT(x'00', 500)", "'x'"),
    "uu1": ("UUID", "'123e4567-e89b-12d3-a456-426655440000'", "NULL"),
    "uu4": ("UUID", "'00112233-4455-4677-8899-aabbccddee00'", "NULL"),
    "uu7": ("UUID", "'018f3c5e-7b00-7abc-8def-0123456789ab'", "NULL"), "uu0": ("UUID", "REPEAT('0', 32)", "NULL"),
    "uuf": ("UUID", "REPEAT('f', 32)", "NULL"), "in6": ("INET6", "'2001:db8::'", "'::'"), "in4": ("INET4", "'10.0.0.0'", "NULL"),
    "poi": ("POINT", "ST_GeomFromText('POINT(-1.5 1e10)', 4326)", "NULL"),
    "geo": ("GEOMETRY", "ST_GeomFromText('POLYGON((0 0,0 3,3 3,0 0))')", "POINT(1,1)"),
    "inv": ("INT INVISIBLE", "5", "6"), "gen": ("INT AS (tiny + 1) PERSISTENT", None, None),
    "vir": ("VARCHAR(50) AS (CONCAT(cha, 'x')) VIRTUAL", None, None),
}


def checksum(lab, node, table="t"):
    return lab.sql(node, f"CHECKSUM TABLE d.{table} EXTENDED")[0][1]


@pytest.mark.parametrize("statement", ["update", "delete"])
def test_every_type(lab, statement):
    """A value that comes back changed is worse than one that is lost: it looks as if it had never been."""
    mode = "SET sql_mode='ALLOW_INVALID_DATES'"
    columns = [f"{n} {d}" for n, (d, _, _) in TYPES.items()]
    written = {n: v for n, (_, *v) in TYPES.items() if v[0] is not None}
    lab.sql(1, TABLE.format("d"), mode,
            f"CREATE TABLE d.t (id INT PRIMARY KEY, {', '.join(columns)})",
            "SET time_zone='+00:00'",
            f"INSERT INTO d.t (id, {', '.join(written)}) VALUES (0, {', '.join(v[0] for v in written.values())})")
    lab.wait()
    before = checksum(lab, 1)
    rows = lab.sql(1, "SELECT *, inv, HEX(bin), HEX(poi) FROM d.t")
    changes = ", ".join(f"{n}={v[1]}" for n, v in written.items())
    [id_] = lose(lab, mode, f"UPDATE t SET {changes}" if statement == "update" else "DELETE FROM t")
    assert checksum(lab, 1) != before
    conflicts(lab, "show", id_)
    conflicts(lab, "undo", id_)
    lab.wait()
    assert lab.sql(1, "SELECT *, inv, HEX(bin), HEX(poi) FROM d.t") == rows
    assert checksum(lab, 1) == checksum(lab, 2) == before
    lab.assert_equal()


KEYS = [("INT", "0"), ("BIGINT UNSIGNED", "18446744073709551615"), ("DECIMAL(40,10)", "'123456789012345678901234567890.5'"),
        ("FLOAT", "0.1"), ("DOUBLE", "0.1"), ("BIT(9)", "257"), ("YEAR", "'0000'"), ("DATETIME(3)", "'2024-02-29 12:34:56.123'"),
        ("TIMESTAMP(2)", "'2024-03-31 01:30:00.25'"), ("TIME(6)", "'-00:00:00.000001'"), ("VARCHAR(20)", "'it''s \\\\'"),
        ("CHAR(9) CHARACTER SET latin1", "'grün'"), ("VARCHAR(9) CHARACTER SET ucs2", "'鍵'"), ("BINARY(4)", "x'0100'"),
        ("VARBINARY(9)", "x'00ff'"), ("ENUM('a','grün')", "'grün'"), ("SET('a','b')", "'a,b'"), ("UUID", "UUID()"),
        ("INET6", "'2001:db8::'"), ("INET4", "'10.0.0.0'")]


def test_every_type_of_key(lab):
    """The row is found by its key's text: a key that is compared as another type finds none, or others, too."""
    lab.sql(1, TABLE.format("d"))
    for i, (definition, value) in enumerate(KEYS):
        lab.sql(1, "SET sql_mode='ALLOW_INVALID_DATES', time_zone='+00:00'",
                f"CREATE TABLE d.k{i} (a INT, k {definition}, v INT, PRIMARY KEY (k, a))",
                f"INSERT INTO d.k{i} VALUES (1, {value}, 1), (2, {value}, 2)")
        before = checksum(lab, 1, f"k{i}")
        [update] = lose(lab, f"UPDATE k{i} SET v=3 WHERE a=1")
        conflicts(lab, "undo", update)
        assert checksum(lab, 1, f"k{i}") == before, definition
        [delete] = lose(lab, f"DELETE FROM k{i} WHERE a=1")
        conflicts(lab, "undo", delete)
        assert checksum(lab, 1, f"k{i}") == before, definition
    lab.wait()
    lab.assert_equal()


def test_system_versioned(lab):
    """Nobody may write the times of a versioned row, and the log has them."""
    lab.sql(1, TABLE.format("d"), "CREATE TABLE d.t (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
            "CREATE TABLE d.e (id INT PRIMARY KEY, v INT, s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e TIMESTAMP(6) "
            "GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING")
    for table in "te":
        lab.sql(1, f"INSERT INTO d.{table} (id, v) VALUES (1, 1)")
        ids = lose(lab, f"UPDATE {table} SET v=2")
        conflicts(lab, "undo", ids[0])
        equal_everywhere(lab, [("1", "1")], f"SELECT id, v FROM {table}")
    assert lab.sql(1, "SELECT table_name, record_id FROM d.replication_conflicts") == (("t", 1), ("e", 0))


# ---- list, show, resolve ----


def test_list_and_resolve(users):
    """Whoever looks after the gates has to see what is open, and only that."""
    assert conflicts(users, "list").stdout == "no conflicts\n"
    assert conflicts(users).stdout == "no conflicts\n"
    [first] = lose(users, "UPDATE users SET name='Eve' WHERE id=1")
    [second] = lose(users, "DELETE FROM users WHERE id=2", kind="delete_origin_differs")
    lines = conflicts(users, "list", node=2).stdout.splitlines()
    assert lines[0].split() == ["id", "when", "table", "key", "kind", "won", "state"]
    assert [l.split()[0] for l in lines[1:]] == [str(first), str(second)]
    assert "users" in lines[1] and "id=1" in lines[1] and lines[1].endswith("update_origin_differs  node 2  open")
    assert conflicts(users, "resolve", first).stdout == f"conflict {first} is resolved\n"
    assert conflicts(users, "resolve", first).stdout == f"conflict {first} was already resolved\n"
    users.wait()
    assert resolved(users, first, node=2) == 1
    assert [l.split()[0] for l in conflicts(users, "--open", node=2).stdout.splitlines()[1:]] == [str(second)]
    rows = json.loads(conflicts(users, "list", "--json").stdout)
    assert [(r["id"], r["resolved"], r["conflict_data"]["kind"]) for r in rows] == [
        (first, True, "update_origin_differs"), (second, False, "delete_origin_differs")]
    assert rows[0]["conflict_data"]["local"] == {"id": "1", "name": "Ann", "tag": "C1", "n": "1"}
    assert abs(rows[0]["created_at"] - users.value(1, "SELECT UNIX_TIMESTAMP()")) < 600


def test_show(users):
    """The rows side by side, what was lost marked: a person decides by this."""
    [id_] = lose(users, "UPDATE users SET name='Eve', tag=NULL WHERE id=1")
    out = conflicts(users, "show", id_, COLUMNS="80").stdout
    lines = [l.split() for l in out.splitlines()]
    assert ["*", "name", "Ann", "Eve", "Eve"] in lines and ["*", "tag", "C1", "NULL", "NULL"] in lines
    assert ["id", "1", "1", "1"] in lines
    assert "node 1 and node 2 changed the same columns" in out and "open" in lines[0]
    assert json.loads(conflicts(users, "show", id_, "--json").stdout)["conflict_data"]["lost"] == ["name", "tag"]


def test_foreign_records(users):
    """The guide's table is there for applications, too. What they write in it is shown, can't act on the terminal and isn't
    undone."""
    garbage = [None, '"text"', "[]", "{}", '{"version": 2}', '{"version": 1, "table": "users", "key": {"id": "1"}}',
               '{"esc": "\x1b[31m"}'.replace("\x1b", "\\u001b")]
    ids = []
    for data in garbage:
        users.sql(1, "INSERT INTO d.replication_conflicts (table_name, record_id, conflict_type, gate_id, conflict_data) "
                     "VALUES ('users\x1b[31m', 5, 'UPDATE_CONFLICT', 2, %s)", args=(data,))
        ids.append(users.value(1, "SELECT MAX(id) FROM d.replication_conflicts"))
    assert len(conflicts(users, "list").stdout.splitlines()) == len(garbage) + 1
    assert len(json.loads(conflicts(users, "list", "--json").stdout)) == len(garbage)
    for id_, data in zip(ids, garbage):
        out = conflicts(users, "show", id_).stdout
        assert (data or "NULL") in out and "\x1b" not in out
        assert "not Syncline's" in refused(users, "undo", id_)
    assert "\x1b" not in conflicts(users, "list").stdout
    conflicts(users, "resolve", ids[0])
    assert resolved(users, ids[0]) == 1
    assert users.value(1, "SELECT COUNT(*) FROM d.users") == 3


def test_hostile_records(users):
    """A record is data of whoever may write into the table: what it says stays within a literal, an identifier, a line."""
    [id_] = lose(users, "UPDATE users SET n=9 WHERE id=1")
    data = json.loads(users.value(1, "SELECT conflict_data FROM d.replication_conflicts"))
    evil = "1 OR 1=1; DROP TABLE d.users; --"
    changes = [{"key": {"id": evil}}, {"key": {f"id` = 1 OR `n": "1"}}, {"table": f"users` SET n=0; -- "}, {"key": {}},
               {"local": {**data["local"], "n": evil}}, {"hex": ["n"], "local": {**data["local"], "n": "00') ;--"}},
               {"local": None}, {"cut": ["n"]}, {"database": "mysql"}, {"key": {"id": None}}, {"lost": []}]
    for change in changes:
        users.sql(1, "UPDATE d.replication_conflicts SET conflict_data=%s", args=(json.dumps({**data, **change}),))
        refused(users, "undo", id_)
        conflicts(users, "show", id_)
        conflicts(users, "list")
    assert users.value(1, "SELECT COUNT(*) FROM d.users WHERE n IN (2, 3, 9)") == 3
    assert resolved(users, id_) == 0


def test_wrong_use(users):
    """One line that says what is wrong, and the exit status that scripts look at."""
    for args in (["show"], ["list", "1"], ["nonsense"], ["undo", "1", "2"]):
        refused(users, *args, status=2)
    for id_ in ("x", "1x", "-1", "0", "", "99999999999999999999", "1.5", "d.", "d.x", "nowhere.1"):
        refused(users, "show", "--", id_)
    assert "there is no conflict 5 in d" in refused(users, "undo", "5")
    assert "is not replicated here" in refused(users, "list", "--database=mysql")
    assert "has no table replication_conflicts" in refused(users, "list", "--database=e.f")
    users.sql(1, "DROP TABLE d.replication_conflicts")
    assert conflicts(users, "list").stdout == "no conflicts\n"
    assert "no such database has a table" in refused(users, "show", "1")
    users.sql(1, "CREATE TABLE d.replication_conflicts (id INT PRIMARY KEY)")
    assert "Unknown column" in refused(users, "list")


def test_several_databases(users):
    """Two databases may both have a conflict 1: the wrong one must not be undone."""
    users.sql(1, TABLE.format("`e.f`"), "INSERT INTO `e.f`.replication_conflicts (table_name, record_id, conflict_type, "
                 "gate_id) VALUES ('x', 1, 'UPDATE_CONFLICT', 1)")
    [id_] = lose(users, "UPDATE users SET n=9 WHERE id=1")
    other = users.value(1, "SELECT id FROM `e.f`.replication_conflicts")
    lines = conflicts(users, "list").stdout.splitlines()
    assert {l.split()[0] for l in lines[1:]} == {f"d.{id_}", f"e.f.{other}"}
    assert "several databases" in refused(users, "undo", id_)
    conflicts(users, "resolve", f"e.f.{other}")
    assert resolved(users, id_) == 0
    conflicts(users, "undo", f"d.{id_}")
    conflicts(users, "undo", id_, "--again", "--database=d")
    assert users.value(1, "SELECT n FROM d.users WHERE id=1") == 1


def test_without_a_server(users):
    """A line, not a hang or a crash, when the server is down."""
    users.kill(2, "--server")
    try:
        refused(users, "list", node=2)
    finally:
        users.start(2, "--server")
        wait_for("node 2 to answer", lambda: conflicts(users, "list", node=2, check=False).returncode == 0)
