"""Rows between tables of different shape: while an ALTER is on its way, or was done by hand on one node only.

Rows name columns by position. A row of the old shape in a table of the new one, taken as it stands, has its values in the
wrong columns, and nobody is told. So rows are compared, not states. All tests share one pair of nodes."""

import pytest

from conftest import run
from test_types import lab, pair, texts  # noqa: F401, fixtures and helpers

LAB = {"databases": ("d",)}
BY_HAND = "SET sql_log_bin=0"
PEOPLE = ("CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20), card INT UNIQUE, note TEXT)",
          "INSERT INTO d.t (name, card, note) VALUES ('Ada', 1, 'one'), ('Bob', 2, NULL), ('Cleo', 3, 'three')")


def write(node):
    """Inserts, updates and a delete, of columns that every shape here has; the nodes' rows are apart."""
    return (f"INSERT INTO d.t (name, card) VALUES ('new {node}', {node}0), ('gone', {node}1)",
            f"UPDATE d.t SET name='changed {node}', card=card+100 WHERE name='{('Ada', 'Bob')[node - 1]}'",
            "DELETE FROM d.t WHERE name='gone'")


def apart(lab, there=(), here=()):
    """Node 1 does `there` and writes, node 2 does `here` and writes, while they are cut off; then both go on."""
    lab.cut(1, 2)
    try:
        lab.sql(1, *there, *write(1))
        lab.sql(2, *here, *write(2))
    finally:
        lab.heal(1, 2)
    lab.wait()


def go_on(lab):
    for node in lab.nodes:
        lab.sql(node, f"INSERT INTO d.t (name) VALUES ('after {node}')")
    lab.wait()
    lab.assert_equal()


ALTERS = [
    "ADD COLUMN extra INT NOT NULL DEFAULT 5 AFTER id",
    "ADD COLUMN extra INT FIRST, ADD COLUMN extra2 VARCHAR(10) DEFAULT 'x' AFTER name",
    "ADD COLUMN extra TEXT DEFAULT 'it''s é' AFTER id, ADD COLUMN b BLOB NOT NULL DEFAULT x'00ff' FIRST",
    "ADD COLUMN extra TEXT CHARACTER SET latin1 DEFAULT 'é' AFTER id",
    "ADD COLUMN extra TEXT COMPRESSED DEFAULT 'packed' AFTER id",
    "ADD COLUMN extra INT AS (card + 1) VIRTUAL AFTER id",
    "MODIFY note TEXT FIRST",
    "MODIFY name VARCHAR(20) AFTER note, MODIFY card INT FIRST",
    "MODIFY card BIGINT, MODIFY name VARCHAR(300), MODIFY note LONGTEXT",
    "MODIFY id BIGINT AUTO_INCREMENT",
    "DROP COLUMN note",
    "DROP COLUMN note, ADD COLUMN extra INT DEFAULT 7 FIRST",
    "MODIFY name VARCHAR(20) COMPRESSED AFTER card",
    "DROP INDEX card, ADD UNIQUE (name, card), ADD COLUMN x INT FIRST",
]


@pytest.mark.sanitizer
@pytest.mark.parametrize("alter", ALTERS)
def test_altered_on_one_node_while_the_other_writes(lab, alter):
    """Node 1 is a release ahead. What node 2 wrote in the old shape lands by name, and is there what node 2's own rows become by
    the ALTER."""
    lab.sql(1, *PEOPLE)
    lab.wait()
    apart(lab, there=[f"ALTER TABLE d.t {alter}"])
    lab.assert_equal()
    names = [name for (name,) in texts(lab, 1, "SELECT name FROM t")]
    assert sorted(names) == ["Cleo", "changed 1", "changed 2", "new 1", "new 2"]
    go_on(lab)


@pytest.mark.parametrize("alter", ["ADD COLUMN extra INT DEFAULT 5 AFTER id", "MODIFY note TEXT FIRST", "DROP COLUMN note"])
def test_the_same_alter_on_both_while_apart(lab, alter):
    """An operator who upgrades both gates while the cable is out: done is done, and each other's rows of both shapes are taken."""
    lab.sql(1, *PEOPLE)
    lab.wait()
    lab.cut(1, 2)
    try:
        for node in lab.nodes:
            lab.sql(node, f"INSERT INTO d.t (name) VALUES ('before {node}')", f"ALTER TABLE d.t {alter}", *write(node))
    finally:
        lab.heal(1, 2)
    lab.wait()
    lab.assert_equal()
    go_on(lab)


@pytest.mark.parametrize("alter", ["ADD COLUMN (x INT DEFAULT 3, y TEXT)", "ADD COLUMN IF NOT EXISTS x INT FIRST",
                                   "ADD UNIQUE u (name, card)", "DROP COLUMN note, ADD COLUMN x INT", "DROP COLUMN name, DROP COLUMN note"])
@pytest.mark.parametrize("table", ["t", "d.t", "`d` . `t`"])
def test_what_is_done_already(lab, alter, table):
    """Any part of it may be what the server minds, and the table may be named in any way."""
    lab.sql(1, *PEOPLE, "CREATE TABLE d.parent (id INT PRIMARY KEY)", "INSERT INTO d.parent VALUES (1), (2), (3)", "ALTER TABLE d.t ADD FOREIGN KEY (card) REFERENCES d.parent (id)")
    lab.wait()
    lab.cut(1, 2)
    try:
        for node in lab.nodes:
            lab.sql(node, f"ALTER TABLE {table} {alter}", "CREATE INDEX ci ON t (card)", database="d")
    finally:
        lab.heal(1, 2)
    lab.wait()
    lab.assert_equal()
    for node in lab.nodes:
        assert lab.sql(node, "SHOW DATABASES LIKE 'syncline_already%'") == ()


def stopped_on_both(lab, *why):
    for node in lab.nodes:
        told = lab.wait_state(node, 3 - node, "stopped")["why"]
        assert all(part in told for part in why) and "\n" not in told, told


def skip_on_both(lab):
    """The operator has made the tables alike by hand."""
    for node in lab.nodes:
        gtid = lab.wait_state(node, 3 - node, "stopped")["transaction"]
        run("skip", f"--defaults-file={lab.dir}/node{node}/syncline.cnf", gtid)
    lab.wait()
    lab.assert_equal()


@pytest.mark.parametrize("change", ["ADD COLUMN x {}", "ADD INDEX i ({})", "ADD COLUMN x {} FIRST, DROP COLUMN note"])
def test_altered_otherwise_on_both_while_apart(lab, change):
    """Who is right is for people to say; going on, each node would have another table for good."""
    lab.sql(1, *PEOPLE)
    lab.wait()
    kinds = ("card", "name") if "INDEX" in change else ("INT", "BIGINT")
    lab.cut(1, 2)
    try:
        for node in lab.nodes:
            lab.sql(node, f"ALTER TABLE d.t {change.format(kinds[node - 1])}")
    finally:
        lab.heal(1, 2)
    stopped_on_both(lab, "ALTER TABLE d.t", "syncline skip")
    lab.sql(2, BY_HAND, "DROP TABLE d.t", lab.sql(1, "SHOW CREATE TABLE d.t")[0][1].replace("`t`", "d.t"), database="d")
    lab.sql(2, BY_HAND, "INSERT INTO d.t (id, name, card, note) VALUES (1, 'Ada', 1, 'one'), (3, 'Bob', 2, NULL), (5, 'Cleo', 3, 'three')"
            if "note" not in change else "INSERT INTO d.t (id, name, card) VALUES (1, 'Ada', 1), (3, 'Bob', 2), (5, 'Cleo', 3)")
    skip_on_both(lab)


@pytest.mark.parametrize("create", [
    "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) DEFAULT 'x')", "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v TEXT)",
    "CREATE TABLE IF NOT EXISTS t (id INT AUTO_INCREMENT PRIMARY KEY, v INT, p INT, FOREIGN KEY (p) REFERENCES parent (id))",
    "CREATE TABLE d.t LIKE like_this", "CREATE TABLE `d`.`t` (id INT AUTO_INCREMENT PRIMARY KEY, v INT) CHARACTER SET latin1 COMMENT 'it''s'",
])
def test_the_same_table_made_on_both_while_apart(lab, create):
    """A release that makes its table at its first start, on each gate: one table, with both nodes' rows."""
    lab.sql(1, "CREATE TABLE d.parent (id INT PRIMARY KEY)", "CREATE TABLE d.like_this (id INT AUTO_INCREMENT PRIMARY KEY, v DATE)")
    lab.wait()
    lab.cut(1, 2)
    try:
        for node in lab.nodes:
            lab.sql(node, create, "INSERT INTO t (v) VALUES (NULL)", database="d")
    finally:
        lab.heal(1, 2)
    lab.wait()
    lab.assert_equal()
    assert texts(lab, 1, "SELECT COUNT(*) FROM t") == [("2",)]


@pytest.mark.parametrize("create", ["CREATE TABLE", "CREATE TABLE IF NOT EXISTS"])
def test_another_table_of_that_name_made_on_both_while_apart(lab, create):
    """Rows of the one in the other are the least of it: two programs think that the table is theirs. Both definitions are shown."""
    lab.cut(1, 2)
    try:
        lab.sql(1, f"{create} d.t (id INT PRIMARY KEY, price INT)")
        lab.sql(2, f"{create} d.t (id INT PRIMARY KEY, weight FLOAT)")
    finally:
        lab.heal(1, 2)
    stopped_on_both(lab, "`price` int(11)", "`weight` float", "is here already as")
    lab.sql(2, BY_HAND, "DROP TABLE d.t", "CREATE TABLE d.t (id INT PRIMARY KEY, price INT)")
    gtid = lab.wait_state(1, 2, "stopped")["transaction"]
    run("skip", f"--defaults-file={lab.dir}/node1/syncline.cnf", gtid)
    lab.wait()
    lab.assert_equal()
    assert lab.link(2, 1)["state"] == "live"


@pytest.mark.parametrize("here, there", [
    ("ADD COLUMN extra INT NOT NULL DEFAULT 5 AFTER id", None),
    (None, "ADD COLUMN extra INT NOT NULL DEFAULT 5 AFTER id"),
    ("ADD COLUMN extra INT AFTER id, MODIFY note TEXT FIRST", "MODIFY card INT AFTER id"),
    ("DROP COLUMN note", "ADD COLUMN own INT FIRST"),
])
def test_altered_by_hand(lab, here, there):
    """With sql_log_bin=0 the tables stay different, so what both have must go on being equal."""
    lab.sql(1, *PEOPLE)
    lab.wait()
    apart(lab, there=[BY_HAND, f"ALTER TABLE d.t {there}", "SET sql_log_bin=1"] if there else (),
          here=[BY_HAND, f"ALTER TABLE d.t {here}", "SET sql_log_bin=1"] if here else ())
    for node in lab.nodes:
        lab.sql(node, *(f"INSERT INTO d.t (name, card) VALUES ('later {node}', {node}99)",
                        f"UPDATE d.t SET card=NULL WHERE name='new {3 - node}'"))
    lab.wait()
    shared = "SELECT id, name, card FROM t ORDER BY id"
    assert texts(lab, 1, shared) == texts(lab, 2, shared)
    assert len(texts(lab, 1, shared)) == 7


def test_updates_leave_alone_what_the_other_does_not_have(lab):
    """A column that only this node has keeps its values when rows change there: its own, not the default's."""
    lab.sql(1, *PEOPLE)
    lab.wait()
    apart(lab, there=[BY_HAND, "ALTER TABLE d.t ADD COLUMN own INT DEFAULT 5 AFTER id", "UPDATE d.t SET own=id*10", "SET sql_log_bin=1"])
    lab.sql(2, "UPDATE d.t SET note='by node 2'")
    lab.wait()
    assert texts(lab, 1, "SELECT COUNT(*) FROM t WHERE note='by node 2' AND own=id*10") == [("3",)]


def test_what_was_written_to_a_dropped_column_is_told(lab):
    """The DROP takes it anyway, but whoever typed it may ask where it went."""
    def told():
        return [line for line in lab.log(1).splitlines() if "target_column_missing" in line]

    lab.sql(1, *PEOPLE)
    lab.wait()
    before = told()
    lab.cut(1, 2)
    try:
        lab.sql(1, "ALTER TABLE d.t DROP COLUMN note")
        lab.sql(2, "INSERT INTO d.t (name, note) VALUES ('Dan', 'typed'), ('Eve', NULL)", "UPDATE d.t SET name='Ed' WHERE name='Eve'")
    finally:
        lab.heal(1, 2)
    lab.wait()
    lab.assert_equal()
    lines = told()[len(before):]
    assert len(lines) == 1 and "d.t has no note here" in lines[0]
    assert "Dan" in [name for (name,) in texts(lab, 2, "SELECT name FROM t")]


def test_the_time_of_a_row(lab):
    """CURRENT_TIMESTAMP of a row from a node that doesn't have the column yet: when it was written, not NULL or 1970."""
    lab.sql(1, *PEOPLE, "SET GLOBAL time_zone='+03:00'")
    lab.wait()
    lab.cut(1, 2)
    try:
        lab.sql(1, BY_HAND, "ALTER TABLE d.t ADD COLUMN s TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP(3) AFTER id, "
                            "ADD COLUMN e DATETIME NOT NULL DEFAULT NOW() FIRST")
        lab.sql(2, "SET timestamp=1700000000", "INSERT INTO d.t (name) VALUES ('Dan')")
    finally:
        lab.heal(1, 2)
    lab.wait()
    assert texts(lab, 1, "SELECT CAST(s AS CHAR), CAST(e AS CHAR) FROM t WHERE name='Dan'") == [
        ("2023-11-14 22:13:20.000", "2023-11-15 01:13:20")]
    lab.sql(1, "SET GLOBAL time_zone=SYSTEM")


@pytest.mark.parametrize("alter, why", [
    ("MODIFY name VARCHAR(3)", "column name of table d.t is shorter here"),
    ("MODIFY card VARCHAR(20)", "column card of table d.t has another type here"),
    ("MODIFY name VARCHAR(100) CHARACTER SET latin1", "column name of table d.t has another character set here"),
    ("ADD COLUMN u UUID DEFAULT UUID() FIRST", "column u of table d.t is not on the node that wrote the row, and has no default"),
    ("ADD COLUMN s INT AS (id + 1) STORED FIRST", "column s of table d.t is not on the node that wrote the row, and is computed"),
])
def test_what_can_not_be_mapped_stops(lab, alter, why):
    """A value cut short or made up is worse than a link that waits and says what to do; and it goes on once that is done."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, name VARCHAR(20), card INT)", "INSERT INTO d.t VALUES (1, 'Ada', 1)")
    lab.wait()
    lab.cut(1, 2)
    try:
        lab.sql(1, BY_HAND, f"ALTER TABLE d.t {alter}")
        lab.sql(2, "INSERT INTO d.t VALUES (2, 'Bob', 2)")
    finally:
        lab.heal(1, 2)
    told = lab.wait_state(1, 2, "stopped")["why"]
    assert why in told and "sql_log_bin=0" in told and "\n" not in told, told
    lab.sql(1, BY_HAND, "DROP TABLE d.t", "CREATE TABLE d.t (id INT PRIMARY KEY, name VARCHAR(20), card INT)", "INSERT INTO d.t VALUES (1, 'Ada', 1)")
    lab.wait()
    lab.assert_equal()
