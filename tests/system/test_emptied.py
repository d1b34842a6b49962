"""TRUNCATE, DROP TABLE, and CREATE again, while the other side writes the table.

Each is a delete of every row. Taken as mere schema changes, rows that one node wrote before it heard of them would be there on one
node and not on the other for ever, or gone without anybody being told, or a link would stop at the table that isn't there. So the
rows are compared on all nodes, and each loss must be in replication_conflicts once, by the node that lost it."""

import json

import pytest

from conftest import wait_for

MAKE = "CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(20), u INT UNIQUE)"
ROWS = "INSERT INTO d.t VALUES (1,'one',1),(2,'two',2),(3,'three',3)"
WRITES = ("INSERT INTO d.t VALUES (10,'new',10)", "UPDATE d.t SET v='changed' WHERE id=1", "DELETE FROM d.t WHERE id=2")


def records(lab, node):
    if "replication_conflicts" not in lab.tables(node):
        return []
    found = []
    for gate, data in lab.sql(node, "SELECT gate_id, conflict_data FROM d.replication_conflicts"):
        data = json.loads(data)
        found.append((gate, data["table"], data["kind"], int(data["key"]["id"]), tuple(data["lost"])))
    return sorted(found)


def check(lab, expected):
    """expected: gate, kind, id of each record, in any order."""
    lab.wait()
    expected = sorted(expected)
    brief = lambda node: sorted((r[0], r[2], r[3]) for r in records(lab, node))
    for node in lab.nodes:
        wait_for(f"the records on node {node} to be {expected}", lambda: len(records(lab, node)) >= len(expected), 30)
    lab.wait()
    for node in lab.nodes:
        assert brief(node) == expected, f"node {node}"
    lab.assert_equal()


def set_up(make_lab, **kwargs):
    lab = make_lab(**kwargs)
    lab.sql(1, "CREATE DATABASE d", MAKE, ROWS)
    lab.wait()
    return lab


def truncated(writer):
    return [(writer, "delete_origin_differs", 1), (writer, "delete_origin_differs", 10)]


def dropped(writer):
    return [(writer, "target_table_missing", 1), (writer, "target_table_missing", 10)]


@pytest.mark.sanitizer
@pytest.mark.parametrize("emptier", (1, 2))
def test_truncate_against_writes(make_lab, emptier):
    """Without it an application that empties a table on one node while the other writes it has two different tables, and the
    writer isn't told that its rows are gone."""
    lab = set_up(make_lab)
    writer = 3 - emptier
    lab.cut(1, 2)
    lab.sql(writer, *WRITES)
    lab.sql(emptier, "TRUNCATE TABLE d.t", "INSERT INTO d.t VALUES (3,'after',1),(4,'four',4)")
    lab.sql(writer, "INSERT INTO d.t VALUES (11,'later',11)")
    lab.heal(1, 2)
    check(lab, truncated(writer) + [(writer, "delete_origin_differs", 11)])
    assert lab.rows(1, "d.t") == sorted(map(repr, [(3, "after", 1), (4, "four", 4)]))
    # The table goes on as any other.
    lab.sql(writer, "INSERT INTO d.t VALUES (1,'again',7)")
    lab.sql(emptier, "UPDATE d.t SET v='x' WHERE id=3")
    lab.wait()
    lab.assert_equal()
    assert lab.value(emptier, "SELECT v FROM d.t WHERE id=1") == "again"


def test_truncate_that_knew_the_writes(make_lab):
    """Rows that were there and everybody saw are no conflict: else each TRUNCATE of a busy table would fill the records."""
    lab = set_up(make_lab)
    lab.sql(2, *WRITES)
    lab.wait()
    lab.cut(1, 2)
    lab.sql(1, "TRUNCATE TABLE d.t")
    lab.sql(2, "INSERT INTO d.t VALUES (12,'lost',12)")
    lab.heal(1, 2)
    check(lab, [(2, "delete_origin_differs", 12)])
    assert lab.rows(1, "d.t") == []


def test_truncate_on_both_sides(make_lab):
    """Neither knew of the other: what both wrote afterwards goes, on both nodes alike, whichever arrives first."""
    lab = set_up(make_lab)
    lab.cut(1, 2)
    lab.sql(1, "TRUNCATE TABLE d.t", "INSERT INTO d.t VALUES (21,'from 1',21)")
    lab.sql(2, "TRUNCATE TABLE d.t", "INSERT INTO d.t VALUES (22,'from 2',22)")
    lab.heal(1, 2)
    check(lab, [(1, "delete_origin_differs", 21), (2, "delete_origin_differs", 22)])
    assert lab.rows(1, "d.t") == []


@pytest.mark.sanitizer
@pytest.mark.parametrize("emptier", (1, 2))
def test_drop_against_writes(make_lab, emptier):
    """Without it the link stops for ever at a row of a table that isn't there, and with it all other replication."""
    lab = set_up(make_lab)
    writer = 3 - emptier
    lab.sql(1, "CREATE TABLE d.other (id INT PRIMARY KEY)")
    lab.wait()
    lab.cut(1, 2)
    lab.sql(writer, *WRITES, "BEGIN", "INSERT INTO d.other VALUES (1)", "INSERT INTO d.t VALUES (13,'with',13)", "COMMIT")
    lab.sql(emptier, "DROP TABLE d.t", "INSERT INTO d.other VALUES (2)")
    lab.heal(1, 2)
    check(lab, dropped(writer) + [(writer, "target_table_missing", 13)])
    assert "t" not in lab.tables(1)
    assert lab.rows(1, "d.other") == ["(1,)", "(2,)"]


@pytest.mark.parametrize("definition", (MAKE, "CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(20), u INT, w INT, x INT)",
                                        "CREATE TABLE d.t (id INT PRIMARY KEY)"))
@pytest.mark.parametrize("emptier", (1, 2))
def test_drop_and_create_against_writes(make_lab, emptier, definition):
    """A table of the same name is another table: rows of the old one that turn up in it belong to nobody."""
    lab = set_up(make_lab)
    writer = 3 - emptier
    lab.cut(1, 2)
    lab.sql(writer, *WRITES)
    lab.sql(emptier, "DROP TABLE d.t", definition, "INSERT INTO d.t (id) VALUES (1),(2),(5)", "DELETE FROM d.t WHERE id=5")
    lab.heal(1, 2)
    # The writer's DELETE of row 2 knew nothing of the new row 2: as any delete, it wins over that.
    check(lab, dropped(writer) + [(emptier, "delete_origin_differs", 2)])
    assert [r[0] for r in lab.sql(writer, "SELECT id FROM d.t")] == [1]


def test_a_table_that_never_was_stops_the_link(make_lab):
    """Only what was dropped may be passed by: rows of a table that somebody forgot to make must not vanish."""
    lab = set_up(make_lab)
    lab.sql(1, "SET sql_log_bin=0", "CREATE TABLE d.forgotten (id INT PRIMARY KEY)", "SET sql_log_bin=1",
            "INSERT INTO d.forgotten VALUES (1)")
    link = lab.wait_state(2, 1, "stopped")
    assert "d.forgotten is not here" in json.dumps(link)
    lab.sql(2, "SET sql_log_bin=0", "CREATE TABLE d.forgotten (id INT PRIMARY KEY)")
    lab.wait()
    lab.assert_equal()


def test_truncate_across_a_kill(make_lab):
    """The daemons are killed while what was lost isn't all known: after the restart it is found once, not twice and not never."""
    lab = set_up(make_lab)
    lab.cut(1, 2)
    lab.sql(2, *WRITES)
    lab.sql(1, "TRUNCATE TABLE d.t", "INSERT INTO d.t VALUES (3,'after',1)")
    lab.kill(1, "--daemon")
    lab.heal(1, 2)
    wait_for("the TRUNCATE to be here", lambda: lab.value(2, "SELECT COUNT(*) FROM d.t WHERE v='changed'") == 0)
    lab.kill(2, "--daemon")
    lab.start(1, "--daemon")
    lab.start(2, "--daemon")
    check(lab, truncated(2))
    lab.kill(2, "--daemon")
    lab.start(2, "--daemon")
    lab.kill(1, "--daemon")
    lab.start(1, "--daemon")
    lab.sql(2, "INSERT INTO d.t VALUES (30,'thirty',30)")
    check(lab, truncated(2))
    assert lab.rows(1, "d.t") == sorted(map(repr, [(3, "after", 1), (30, "thirty", 30)]))


@pytest.mark.parametrize("shape", ("chain", "mesh"))
@pytest.mark.parametrize("what", ("TRUNCATE TABLE d.t", "DROP TABLE d.t"))
def test_three_nodes(make_lab, shape, what):
    """Whoever gets the statement from a node that only passes it on must know what its origin knew, or losses of writes that
    the one in between had by then are recorded by nobody."""
    lab = set_up(make_lab, nodes=3, shape=shape)
    kind = "target_table_missing" if "DROP" in what else "delete_origin_differs"
    for link in lab.links:
        if 1 in link:
            lab.cut(*link)
    lab.sql(3, *WRITES)
    wait_for("node 2 to have node 3's", lambda: lab.value(2, "SELECT COUNT(*) FROM d.t WHERE v='changed'"))
    lab.sql(2, "UPDATE d.t SET v='from 2' WHERE id=10", "INSERT INTO d.t VALUES (20,'by 2',20)")
    lab.sql(1, what)
    for link in lab.links:
        if 1 in link:
            lab.heal(*link)
    # What node 2 changed of node 3's row was known to be node 3's: the value that was lost is node 2's.
    check(lab, [(3, kind, 1), (3, kind, 10), (2, kind, 10), (2, kind, 20)])
    if "TRUNCATE" in what:
        assert lab.rows(1, "d.t") == []
    else:
        assert all("t" not in lab.tables(node) for node in lab.nodes)


@pytest.mark.parametrize("what", ("TRUNCATE TABLE d.big", "DROP TABLE d.big"))
def test_large_transaction(make_lab, what):
    """A transaction too large to be gathered is passed on as it comes: it must not get through, nor stop the link, where a small one
    wouldn't."""
    lab = set_up(make_lab)
    lab.sql(1, "CREATE TABLE d.big (id INT PRIMARY KEY, v MEDIUMTEXT)")
    lab.wait()
    lab.cut(1, 2)
    lab.sql(2, "INSERT INTO d.big SELECT seq, REPEAT('x', 60000) FROM d.seq_1_to_30")
    lab.sql(1, what)
    lab.heal(1, 2)
    kind = "target_table_missing" if "DROP" in what else "delete_origin_differs"
    check(lab, [(2, kind, n) for n in range(1, 31)])


@pytest.mark.parametrize("what", ("TRUNCATE TABLE d.k", "DROP TABLE d.k"))
def test_table_without_a_key(make_lab, what):
    """Its rows can't be told apart, so they aren't recorded; but the nodes must agree that they are gone."""
    lab = set_up(make_lab)
    lab.sql(1, "CREATE TABLE d.k (v INT)", "INSERT INTO d.k VALUES (1)")
    lab.wait()
    lab.cut(1, 2)
    lab.sql(2, "INSERT INTO d.k VALUES (2),(2)")
    lab.sql(1, what)
    lab.heal(1, 2)
    check(lab, [])
    assert lab.rows(2, "d.k") == [] if "TRUNCATE" in what else "k" not in lab.tables(2)
