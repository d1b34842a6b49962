"""Rows that differ for a reason that is in no log: written with sql_log_bin=0, or servers that weren't equal when they were put
together. A gate whose link stops for one such row gets no new card and no new lock-out until somebody reads the status."""

import json

import pytest

from conftest import Lab, wait_for

UNLOGGED = "SET SESSION sql_log_bin=0"
TABLES = ["CREATE DATABASE d",
          "CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(100), u INT UNIQUE)",
          "CREATE TABLE d.types (id VARCHAR(20) COLLATE utf8mb4_general_ci, day DATE, n DECIMAL(20,6), f FLOAT, at DATETIME(3), "
          "ts TIMESTAMP(6) NULL, dur TIME(2), e ENUM('in','out'), s SET('a','b'), bits BIT(10), bl BLOB, l VARCHAR(9) CHARACTER SET latin1, "
          "y YEAR, big BIGINT UNSIGNED, i INET6, uu UUID, bin BINARY(6), UNIQUE (uu, day), UNIQUE (n, f), PRIMARY KEY (id, ts, at, bin))",
          "CREATE TABLE d.p (id INT PRIMARY KEY, v VARCHAR(100))",
          "CREATE TABLE d.c (id INT PRIMARY KEY, p INT, v VARCHAR(100), FOREIGN KEY (p) REFERENCES d.p (id))"]


@pytest.fixture(scope="module")
def module_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("repair") / "lab")
    lab.sql(1, *TABLES)
    lab.wait()
    yield lab
    lab.down()


@pytest.fixture
def pair(module_lab):
    """Equal, and both links live."""
    lab = module_lab
    for node in (1, 2):
        lab.sql(node, UNLOGGED, *[f"DELETE FROM d.{table}" for table in ("c", "p", "t", "types")])
    yield lab
    lab.wait()


def records(lab, node):
    if "replication_conflicts" not in lab.tables(node):
        return []
    rows = lab.sql(node, "SELECT id, table_name, gate_id, conflict_data FROM d.replication_conflicts ORDER BY id")
    return [{"row": r[0], "of": r[1], "node": r[2], **json.loads(r[3])} for r in rows]


def repaired(lab, known, *kinds):
    """Everything is everywhere, nothing stopped, and these are the new records, once each and the same on both nodes."""
    def told():
        return [sorted(r["kind"] for r in records(lab, n) if r["row"] not in known) == sorted(kinds) for n in (1, 2)] == [True, True]

    for node, peer in ((1, 2), (2, 1)):
        lab.wait_state(node, peer, "live")
    wait_for(f"records of {kinds}; there are {[r['kind'] for r in records(lab, 1)]}", told, timeout=60)
    lab.wait()
    lab.assert_equal()
    for node in (1, 2):
        assert "stopped" not in lab.log(node), lab.log(node)[-2000:]
        assert lab.value(node, "SELECT COUNT(*) FROM syncline.found") == 0
    new = [r for r in records(lab, 1) if r["row"] not in known]
    assert len(new) == len(kinds) and len({r["id"] for r in new}) == len(kinds), new
    return new[0] if len(new) == 1 else new


def known(lab):
    return {r["row"] for r in records(lab, 1)}


def test_update_of_a_row_that_is_not_here(pair):
    """Deleted by hand on one node: an update of it elsewhere shall bring it back, or the door never learns of the new name."""
    lab, before = pair, known(pair)
    lab.sql(1, "INSERT INTO d.t VALUES (1,'old',1), (2,'x',2)")
    lab.wait()
    lab.sql(2, UNLOGGED, "DELETE FROM d.t WHERE id=1")
    lab.sql(1, "BEGIN", "UPDATE d.t SET v='other' WHERE id=2", "UPDATE d.t SET v='new' WHERE id=1", "COMMIT")
    lab.sql(1, "INSERT INTO d.t VALUES (3,'behind',3)")
    r = repaired(lab, before, "update_missing")
    assert lab.sql(2, "SELECT * FROM d.t") == ((1, "new", 1), (2, "other", 2), (3, "behind", 3))
    assert (r["of"], r["node"], r["key"], r["local"], r["lost"]) == ("t", 2, {"id": "1"}, None, [])
    assert r["remote"] == {"id": "1", "v": "new", "u": "1"} and r["base"]["v"] == "old" and r["remote_gtid"].startswith("1-1-")
    # The history knows that it is there: what follows is no conflict.
    lab.sql(2, "UPDATE d.t SET v='newer' WHERE id=1")
    lab.wait()
    lab.sql(1, "DELETE FROM d.t WHERE id=1")
    lab.wait()
    lab.assert_equal()
    assert len(known(lab) - before) == 1


def test_delete_of_a_row_that_is_not_here(pair):
    """It is gone already; the link goes on, and nobody tries to delete it ever after."""
    lab, before = pair, known(pair)
    lab.sql(1, "INSERT INTO d.t VALUES (10,'a',10), (11,'b',11)")
    lab.wait()
    lab.sql(2, UNLOGGED, "DELETE FROM d.t WHERE id=10")
    lab.sql(1, "DELETE FROM d.t")
    r = repaired(lab, before, "delete_missing")
    assert (r["key"], r["local"], r["remote"], r["base"]["v"]) == ({"id": "10"}, None, None, "a")
    lab.sql(2, "INSERT INTO d.t VALUES (10,'again',10)")
    lab.wait()
    lab.assert_equal()
    assert len(known(lab) - before) == 1 and "resolver" not in lab.log(2)


@pytest.mark.parametrize("here,lost", [("(20,'mine',21)", ["v", "u"]), ("(20,'theirs',20)", None)])
def test_insert_of_a_key_that_is_here(pair, here, lost):
    """The row becomes the incoming one; what was here can be read in the record. Nothing is lost where both are equal."""
    lab, before = pair, known(pair)
    lab.sql(2, UNLOGGED, f"INSERT INTO d.t VALUES {here}")
    lab.sql(1, "INSERT INTO d.t VALUES (20,'theirs',20)", "UPDATE d.t SET u=99 WHERE id=20")
    new = repaired(lab, before, *(["insert_exists"] if lost else []))
    assert lab.sql(2, "SELECT * FROM d.t") == ((20, "theirs", 99),)
    if lost:
        assert (new["lost"], new["local"], new["node"]) == (lost, {"id": "20", "v": "mine", "u": "21"}, 2)


@pytest.mark.parametrize("write,kind", [("INSERT INTO d.t VALUES (31,'theirs',30)", "insert_exists"),
                                        ("UPDATE d.t SET u=30, v='theirs' WHERE id=31", "update_exists")])
def test_unique_value_that_another_row_has_here(pair, write, kind):
    """A card that somebody entered on one node by hand opens that door for ever, unless the one that everybody knows of wins."""
    lab, before = pair, known(pair)
    if kind == "update_exists":
        lab.sql(1, "INSERT INTO d.t VALUES (31,'x',31)")
        lab.wait()
    lab.sql(2, UNLOGGED, "INSERT INTO d.t VALUES (30,'by hand',30)")
    lab.sql(1, write)
    r = repaired(lab, before, kind)
    assert lab.sql(2, "SELECT * FROM d.t") == ((31, "theirs", 30),)
    assert (r["local"], r["lost"], r["applied"]) == ({"id": "30", "v": "by hand", "u": "30"}, ["id", "v", "u"], None)


def test_parent_that_is_not_here(pair):
    """The writer's node had it: the child comes all the same, as it is there."""
    lab, before = pair, known(pair)
    lab.sql(1, "INSERT INTO d.p VALUES (40,'p')")
    lab.wait()
    lab.sql(2, UNLOGGED, "DELETE FROM d.p")
    lab.sql(1, "INSERT INTO d.c VALUES (1,40,'c')")
    for node, peer in ((1, 2), (2, 1)):
        lab.wait_state(node, peer, "live")
    lab.wait()
    assert lab.sql(2, "SELECT * FROM d.c") == ((1, 40, "c"),)
    lab.sql(1, "UPDATE d.p SET v='back'")
    both = repaired(lab, before, "foreign_key_missing", "update_missing")
    assert both[0]["remote"] == {"id": "1", "p": "40", "v": "c"}


def test_child_that_only_one_node_has(pair):
    """A parent that is deleted elsewhere goes; the child that was entered by hand stays, and is told of."""
    lab, before = pair, known(pair)
    lab.sql(1, "INSERT INTO d.p VALUES (50,'p')")
    lab.wait()
    lab.sql(2, UNLOGGED, "INSERT INTO d.c VALUES (5,50,'by hand')")
    lab.sql(1, "DELETE FROM d.p", "INSERT INTO d.p VALUES (51,'behind')")
    wait_for("the parent to go", lambda: lab.sql(2, "SELECT id FROM d.p") == ((51,),))
    lab.sql(2, UNLOGGED, "SET foreign_key_checks=0", "DELETE FROM d.c")
    r = repaired(lab, before, "foreign_key_missing")
    assert (r["of"], r["local"], r["lost"], r["resolution"]) == ("c", {"id": "5", "p": "50", "v": "by hand"}, [], "keep_local")


ROW = ("'Ab','2024-02-29',-123.456789,1.1,'2024-02-29 12:34:56.789','2024-03-01 01:02:03.000004','-12:34:56.70','out','a,b',b'1000000001',"
       "x'00ff27','gr\u00fc\u00df',2024,18446744073709551615,'::1','123e4567-e89b-12d3-a456-426655440000',x'6162'")


def test_rows_of_every_type_are_found(pair):
    """The row in the way is looked for by its key and told of by its values, whatever their types are: a DATE that is read wrongly
    leaves the link where it was."""
    lab, before = pair, known(pair)
    other = ROW.replace("'Ab'", "'cd'").replace("1.1", "2.5").replace("123e4567", "323e4567")
    rival = other.replace("'2024-02-29',", "'2023-01-01',").replace("323e4567", "223e4567")
    lab.sql(2, UNLOGGED, f"INSERT INTO d.types VALUES ({ROW}), ({rival})")
    shown = lab.sql(2, "SELECT * FROM d.types ORDER BY id")
    lab.sql(1, f"INSERT INTO d.types VALUES ({ROW.replace('2024,1844', '2020,1844')})", f"INSERT INTO d.types VALUES ({other.replace('cd', 'EF')})")
    new = repaired(lab, before, "insert_exists", "insert_exists")
    mine = next(r for r in new if r["key"]["id"] == "Ab")
    rival = next(r for r in new if r["key"]["id"] == "cd")
    assert mine["lost"] == ["y"] and mine["local"]["y"] == "2024", mine
    assert mine["local"] == {**mine["remote"], "y": "2024"}
    assert (rival["local"]["day"], rival["local"]["n"], rival["applied"]) == ("2023-01-01", "-123.456789", None)
    assert len(shown) == 2


def test_killed_in_between(make_lab):
    """Power fails while a gate mends its rows: each is mended and told of once."""
    lab = make_lab()
    lab.sql(1, *TABLES)
    lab.sql(1, "USE d", "INSERT INTO t SELECT seq, 'x', seq FROM seq_1_to_25")
    lab.wait()
    lab.sql(2, UNLOGGED, "DELETE FROM d.t")
    for i in range(1, 26):
        lab.sql(1, f"UPDATE d.t SET v='y{i}' WHERE id={i}")
    for _ in range(2):
        seen = lab.value(2, "SELECT COUNT(*) FROM d.t")
        wait_for("another row", lambda: lab.value(2, "SELECT COUNT(*) FROM d.t") > seen or seen == 25)
        lab.kill(2, "--daemon")
        lab.start(2, "--daemon")
    wait_for("all rows", lambda: lab.value(2, "SELECT COUNT(*) FROM d.t") == 25)
    wait_for("all records", lambda: len(records(lab, 1)) >= 25)
    lab.wait()
    lab.assert_equal()
    keys = sorted(int(r["key"]["id"]) for r in records(lab, 2))
    assert keys == list(range(1, 26)), keys
    assert lab.sql(2, "SELECT COUNT(*) FROM syncline.found") == ((0,),)


def test_many_rows_in_one_transaction(pair):
    """A transaction larger than what is gathered is gathered all the same, once it can't be applied as it comes."""
    lab, before = pair, known(pair)
    lab.sql(1, "USE d", "INSERT INTO t SELECT seq, REPEAT('x',90), seq FROM seq_1_to_9000")
    lab.wait()
    lab.sql(2, UNLOGGED, "DELETE FROM d.t WHERE id IN (1,8999)")
    lab.sql(1, "UPDATE d.t SET v=REPEAT('y',90)")
    repaired(lab, before, "update_missing", "update_missing")
