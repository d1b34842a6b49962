"""What a server says of a table (description.h), for each form of key and reference."""

import os
import pathlib
import subprocess

import pytest

from private_server import MARIADBD, Server

pytestmark = pytest.mark.skipif(MARIADBD is None, reason="no mariadbd here")


def describe(server, table, database="d", log=None):
    tool = pathlib.Path(os.environ["SYNCLINE"]).parent / "tests/binlog/description_print"
    result = subprocess.run([str(tool), str(server.socket), database, table, *([str(log)] if log else [])],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert result.stderr == "" and result.returncode == 0
    return result.stdout.splitlines()


def identity(lines):
    return lines[0].split()[-1]


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def database(server):
    server.run("SET foreign_key_checks=0", "CREATE OR REPLACE DATABASE d CHARACTER SET utf8mb4", "SET foreign_key_checks=1", "USE d")


def test_no_such_table(server):
    """It was dropped here: to be told, not taken for an error of the server."""
    assert describe(server, "t") == ["no such table"]
    assert describe(server, "t", "nowhere") == ["no such table"]


KEYS = [
    ("a INT PRIMARY KEY, b INT", ["key a"]),
    ("a INT, b INT, c INT, PRIMARY KEY (c, a)", ["key c,a"]),
    ("a INT, b INT", []),
    # What the server takes for the primary key: its first.
    ("a INT NOT NULL UNIQUE, b INT", ["key a"]),
    ("a INT, b INT NOT NULL, c INT NOT NULL, UNIQUE z (a), KEY y (a), UNIQUE x (c, b), UNIQUE w (b)", ["key c,b", "unique b", "unique a"]),
    ("a INT, b INT NOT NULL, UNIQUE (a, b)", ["unique a,b"]),
    ("a TEXT NOT NULL UNIQUE, b INT", ["unique a"]),
    ("a VARCHAR(9) NOT NULL, b INT, UNIQUE (a(3))", ["unique a", "prefix"]),
    ("a INT, b INT PRIMARY KEY, c INT, UNIQUE z (c, a), UNIQUE y (a)", ["key b", "unique a", "unique c,a"]),
    ("a INT PRIMARY KEY, b INT, c INT, KEY (b), UNIQUE PRIMARY_ (c)", ["key a", "unique c"]),
    ("a INT PRIMARY KEY, b INT AS (a + 1) VIRTUAL UNIQUE, c INT AS (a + 2) STORED UNIQUE", ["key a", "unique b", "unique c"]),
    ("a INT PRIMARY KEY, b TEXT UNIQUE, c BLOB, UNIQUE (c, b)", ["key a", "unique b", "unique c,b"]),
    ("a VARCHAR(90), b TEXT, PRIMARY KEY (b(7), a(5))", ["key b(7),a(5)", "prefix"]),
    ("a INT PRIMARY KEY, b VARCHAR(90), UNIQUE (b(3), a)", ["key a", "unique b,a", "prefix"]),
    ("a INT DEFAULT 1 INVISIBLE PRIMARY KEY, b INT", ["key a"]),
    ("`with ``space` INT, `Ä` INT, PRIMARY KEY (`Ä`, `with ``space`)", ["key Ä,with `space"]),
]


@pytest.mark.parametrize("columns, keys", KEYS)
def test_keys(server, columns, keys):
    """A key that isn't known is a duplicate key in the middle of what is applied; one of other columns keeps rows apart that
    are the same."""
    server.run(f"CREATE TABLE d.t ({columns})")
    log = server.log_of("SET sql_mode=''", "INSERT INTO d.t () VALUES ()")
    has_prefix = "prefix" in keys
    count = len(server.run("SHOW COLUMNS FROM d.t"))
    assert describe(server, "t", log=log)[1:] == [
        "engine InnoDB", f"columns {count}+0", *(key for key in keys if key != "prefix"),
        "depth 0" + ", prefix key" * has_prefix, "the log has the same"]


def test_what_is_not_a_table(server):
    """Sequences are set, not written, and a view has no rows; both have names that a table map may come with."""
    server.run("CREATE SEQUENCE d.s", "CREATE VIEW d.v AS SELECT 1 AS a", "CREATE TABLE d.m (a INT PRIMARY KEY) ENGINE=MyISAM")
    assert describe(server, "s")[1] == "engine "
    assert describe(server, "v")[1:] == ["engine ", "columns 1+0", "depth 0"]
    assert describe(server, "m")[1] == "engine MyISAM"


@pytest.mark.parametrize("times, hidden, end", [
    ("", 2, "row_end"),
    (", s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME(s, e)", 0, "e"),
    (", s TIMESTAMP(6) GENERATED ALWAYS AS ROW START INVISIBLE, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END INVISIBLE,"
     " PERIOD FOR SYSTEM_TIME(s, e)", 0, "e"),
])
def test_versioned_tables(server, times, hidden, end):
    """Hidden columns are in the log's images: a row without them is refused, and a key without the end of a row's time takes
    history for the row."""
    server.run(f"CREATE TABLE d.t (a INT PRIMARY KEY, b INT UNIQUE{times}) WITH SYSTEM VERSIONING")
    log = server.log_of("INSERT INTO d.t (a) VALUES (1)", "UPDATE d.t SET b = 2")
    assert describe(server, "t", log=log)[1:] == [
        "engine InnoDB", f"columns {2 if hidden else 4}+{hidden}", f"key a,{end}", f"unique b,{end}", "depth 0",
        "the log has the same"]


def test_references(server):
    """The columns of a reference in the order of the parent's key, or a child is taken for the child of another; the depth, or
    children are written before their parents; and who is a parent, or a deleted row's children are forgotten."""
    server.run(
        "CREATE TABLE d.p (a INT, b INT, c INT NOT NULL UNIQUE, PRIMARY KEY (b, a))",
        "CREATE TABLE d.`q /ö` (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES d.p (c))",
        "CREATE TABLE d.c (x INT PRIMARY KEY, y INT, z INT, q INT, r INT,"
        " CONSTRAINT one FOREIGN KEY (y, z) REFERENCES d.p (b, a) ON DELETE CASCADE ON UPDATE CASCADE,"
        " CONSTRAINT two FOREIGN KEY (z, y) REFERENCES d.p (b, a) ON DELETE SET NULL,"
        " CONSTRAINT three FOREIGN KEY (q) REFERENCES d.`q /ö` (id) ON DELETE NO ACTION,"
        " CONSTRAINT up FOREIGN KEY (r) REFERENCES d.c (x))",
        "CREATE TABLE d.part (id INT PRIMARY KEY, b INT, FOREIGN KEY (b) REFERENCES d.p (b))")
    p, q, c = (describe(server, table) for table in ("p", "q /ö", "c"))
    assert p[3:] == ["key b,a", "unique c", "depth 0, parent"]
    assert q[3:] == ["key id", "depth 1, parent, foreign reference"]
    assert c[3:] == ["key x", f"reference y,z to {identity(p)} cascade", f"reference q to {identity(q)} restrict",
                     f"reference z,y to {identity(p)} set null", f"reference r to {identity(c)} restrict", "depth 2, parent"]
    assert describe(server, "part")[3:] == ["key id", "depth 1, foreign reference"]


def test_references_to_what_is_taken_for_a_primary_key(server):
    """The row key of a parent is over it, too. That of a row with history is over more than any child says."""
    server.run("CREATE TABLE d.p (a INT NOT NULL UNIQUE)", "CREATE TABLE d.v (a INT PRIMARY KEY) WITH SYSTEM VERSIONING",
               "CREATE TABLE d.c (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES d.p (a))",
               "CREATE TABLE d.w (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES d.v (a))")
    assert describe(server, "c")[4:] == [f"reference id to {identity(describe(server, 'p'))} restrict", "depth 1"]
    assert describe(server, "w")[4:] == ["depth 1, foreign reference"]


def test_references_in_another_order(server):
    """InnoDB wants an index over the parent's columns in the order of the reference: any unique one does, not only the primary key."""
    server.run("CREATE TABLE d.p (a INT, b INT, PRIMARY KEY (b, a), UNIQUE (a, b))",
               "CREATE TABLE d.c (x INT PRIMARY KEY, y INT, z INT, FOREIGN KEY (y, z) REFERENCES d.p (a, b))")
    assert describe(server, "c")[3:] == ["key x", f"reference z,y to {identity(describe(server, 'p'))} restrict", "depth 1"]


def test_references_in_a_circle(server):
    """Tables that refer to each other have no order; looking for one must end."""
    server.run("CREATE TABLE d.a (id INT PRIMARY KEY, o INT)",
               "CREATE TABLE d.b (id INT PRIMARY KEY, o INT, FOREIGN KEY (o) REFERENCES d.a (id))",
               "CREATE TABLE d.c (id INT PRIMARY KEY, o INT, FOREIGN KEY (o) REFERENCES d.b (id))",
               "ALTER TABLE d.a ADD FOREIGN KEY (o) REFERENCES d.c (id)",
               "CREATE TABLE d.below (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES d.c (id))")
    assert [describe(server, table)[-1] for table in ("a", "b", "c", "below")] == [
        "depth 2, parent", "depth 2, parent", "depth 2, parent", "depth 3"]


def test_a_parent_that_is_not_here(server):
    """With foreign_key_checks=0 a child may come first."""
    server.run("SET foreign_key_checks=0", "CREATE TABLE d.c (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES d.p (id))",
               "SET foreign_key_checks=1")
    assert describe(server, "c")[3:] == ["key id", "depth 1, foreign reference"]


def test_a_parent_in_another_database(server):
    """Hashes are over both names."""
    server.run("CREATE OR REPLACE DATABASE other", "CREATE TABLE other.p (id INT PRIMARY KEY)", "CREATE TABLE d.p (id INT PRIMARY KEY)",
               "CREATE TABLE d.c (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES other.p (id))")
    parent = identity(describe(server, "p", "other"))
    assert parent != identity(describe(server, "p"))
    assert describe(server, "c")[4] == f"reference id to {parent} restrict"
    assert describe(server, "p")[-1] == "depth 0"
    assert describe(server, "p", "other")[-1] == "depth 0, parent"
    server.run("DROP TABLE d.c", "DROP DATABASE other")


def test_a_virtual_column_in_a_unique_key_is_in_the_images(server):
    """Else the key would be over values that no event has."""
    log = server.log_of("CREATE TABLE d.t (id INT PRIMARY KEY, a INT, v INT AS (a + 1) VIRTUAL UNIQUE)",
                        "INSERT INTO d.t (id, a) VALUES (1, 4)", "UPDATE d.t SET a = 7", "DELETE FROM d.t")
    tool = pathlib.Path(os.environ["SYNCLINE"]).parent / "tests/binlog/binlog_print"
    printed = subprocess.run([str(tool), "--rows", str(log)], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert [line.split("=")[1].split()[0] for line in printed.splitlines() if "@3=" in line] == ["5", "5", "8", "8"]


def test_a_peer_whose_values_do_not_fit(server):
    """Whoever is stopped by it has to know which column of which table, and what to do."""
    log = server.log_of("CREATE TABLE d.t (id INT PRIMARY KEY, a VARCHAR(20))", "INSERT INTO d.t VALUES (1, 'a')",
                        "ALTER TABLE d.t MODIFY a VARCHAR(10), ADD b INT FIRST")
    with pytest.raises(AssertionError, match="column a of table d.t is shorter here than on .*ALTER TABLE"):
        describe(server, "t", log=log)
    server.run("ALTER TABLE d.t MODIFY a TEXT")
    assert describe(server, "t", log=log)[-1] == "the log has another shape"


def test_names_without_case():
    """lower_case_table_names=1: the peer's names come in capitals, and this server's are what is logged here."""
    server = Server(1, "--lower-case-table-names=1")
    try:
        server.run("CREATE DATABASE d", "CREATE TABLE d.p (id INT PRIMARY KEY)",
                   "CREATE TABLE d.c (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES D.P (ID))")
        lower = describe(server, "p")
        assert lower[-1] == "depth 0, parent"
        assert describe(server, "P", "D") == lower
        assert describe(server, "C", "D")[3:] == ["key id", f"reference id to {identity(lower)} restrict", "depth 1"]
    finally:
        server.stop()
