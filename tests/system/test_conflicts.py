"""Conflicts on real servers. Two gates that were cut off wrote one row, or gave one card to two people: when they meet again every door
must show the same rows, and what somebody wrote and lost must be written down once, on every node."""

import itertools
import json
import random
import time
from decimal import Decimal

import pytest

from conftest import Lab, wait_for

TABLES = """CREATE DATABASE d;
CREATE TABLE d.t (id INT PRIMARY KEY, a VARCHAR(50), b VARCHAR(50));
CREATE TABLE d.u (id INT PRIMARY KEY, x INT UNIQUE, y INT UNIQUE, v VARCHAR(50));
CREATE TABLE d.card (id INT PRIMARY KEY, tag VARCHAR(50) COLLATE utf8mb4_general_ci UNIQUE);
CREATE TABLE d.parent (id INT PRIMARY KEY, v VARCHAR(50));
CREATE TABLE d.child_null (id INT PRIMARY KEY, p INT, v VARCHAR(50), FOREIGN KEY (p) REFERENCES d.parent (id) ON DELETE SET NULL);
CREATE TABLE d.child_cascade (id INT PRIMARY KEY, p INT, v VARCHAR(50), FOREIGN KEY (p) REFERENCES d.parent (id) ON DELETE CASCADE);
CREATE TABLE d.child_restrict (id INT PRIMARY KEY, p INT, v VARCHAR(50), FOREIGN KEY (p) REFERENCES d.parent (id));
CREATE TABLE d.holder (id INT PRIMARY KEY, u INT UNIQUE);
CREATE TABLE d.held (id INT PRIMARY KEY, p INT, v VARCHAR(50), FOREIGN KEY (p) REFERENCES d.holder (id));
CREATE TABLE d.keyless (a INT, b VARCHAR(50));
CREATE TABLE d.types (id INT PRIMARY KEY, c VARCHAR(500) COMPRESSED, bl BLOB, j JSON, n DECIMAL(20,6), e ENUM('in','out'),
  g INT AS (id * 2) STORED, w INT AS (id + 1) VIRTUAL, at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6))"""


def make_tables(lab):
    lab.sql(1, *TABLES.split(";\n"))
    lab.wait()


class Labs:
    """One lab of each shape for many tests; after a failure the next test gets another one, or it would fail for the first's reason."""

    def __init__(self, factory):
        self.factory, self.labs = factory, {}

    def lend(self, request, **shape):
        key = tuple(sorted(shape.items()))
        if key not in self.labs:
            self.labs[key] = Lab(self.factory.mktemp("x") / "lab", **shape)
            make_tables(self.labs[key])
        yield self.labs[key]
        if getattr(request.node, "failed_in_call", False):
            self.labs.pop(key).down()


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    labs = Labs(tmp_path_factory)
    yield labs
    for lab in labs.labs.values():
        lab.down()


@pytest.fixture
def pair(labs, request):
    yield from labs.lend(request)


@pytest.fixture(params=["mesh", "chain"])
def three(labs, request):
    yield from labs.lend(request, nodes=3, shape=request.param)


def records(lab, node):
    if "replication_conflicts" not in lab.tables(node):
        return []
    rows = lab.sql(node, "SELECT id, table_name, record_id, conflict_type, gate_id, conflict_data FROM d.replication_conflicts ORDER BY id")
    return [{"row": r[0], "table": r[1], "record": r[2], "type": r[3], "loser": r[4], **json.loads(r[5])} for r in rows]


def settled(lab, *databases, seconds=120):
    """All links are live, and all that was to be written, records too, is everywhere. A resolution is a transaction that comes after
    those that `lab wait` knew of: it is over when nothing has been added from one wait to the next."""
    def states():
        return {(a, b): lab.link(a, b) for link in lab.links for a, b in (link, link[::-1])}

    def stopped_or_live():
        links = states()
        stopped = {pair: link["why"] for pair, link in links.items() if link and link["state"] == "stopped"}
        assert not stopped, f"stopped: {stopped}"
        return all(link and link["state"] == "live" for link in links.values())

    def positions():
        return [lab.value(n, "SELECT @@gtid_binlog_state") for n in lab.nodes]

    wait_for("all links to be live", stopped_or_live, timeout=seconds)

    def calm():
        before = positions()
        lab.wait(seconds)
        return stopped_or_live() and positions() == before

    wait_for("the nodes to come to rest", calm, timeout=seconds)
    lab.assert_equal(*databases)
    for node in lab.nodes:
        assert " stopped" not in lab.log(node), lab.log(node)[-2000:]


def collide(lab, writes, before=(), order=None):
    """Each node makes its writes without the others', then the links are healed in this order. Returns the new records."""
    if before:
        lab.sql(1, "USE d", *before)
        lab.wait()
    known = {r["id"] for r in records(lab, 1)}
    for link in lab.links:
        lab.cut(*link)
    for node, statements in writes.items():
        lab.sql(node, "USE d", *([statements] if isinstance(statements, str) else statements))
    for link in order or lab.links:
        lab.heal(*link)
    settled(lab)
    every = records(lab, 1)
    assert len({r["id"] for r in every}) == len(every), "recorded twice"
    return [r for r in every if r["id"] not in known]


# name: before, what node 1 writes, what node 2 writes later, a query, its rows, [(kind, loser)]. Of two versions of a row the later one
# stays, of two claims of a unique value the earlier one, and a delete wins over what it didn't know of.
CASES = {
    "one column updated on both": (
        ["INSERT INTO t VALUES (1,'a','b')"], "UPDATE t SET a='one' WHERE id=1", "UPDATE t SET a='two' WHERE id=1",
        "SELECT * FROM d.t WHERE id=1", ((1, "two", "b"),), [("update_origin_differs", 1)]),
    "different columns": (
        ["INSERT INTO t VALUES (2,'a','b')"], "UPDATE t SET a='one' WHERE id=2", "UPDATE t SET b='two' WHERE id=2",
        "SELECT * FROM d.t WHERE id=2", ((2, "one", "two"),), []),
    "one key inserted on both": (
        [], "INSERT INTO t VALUES (3,'one','b')", "INSERT INTO t VALUES (3,'two','c')",
        "SELECT * FROM d.t WHERE id=3", ((3, "two", "c"),), [("insert_exists", 1)]),
    "update, deleted elsewhere": (
        ["INSERT INTO t VALUES (4,'a','b')"], "UPDATE t SET a='one' WHERE id=4", "DELETE FROM t WHERE id=4",
        "SELECT * FROM d.t WHERE id=4", (), [("delete_origin_differs", 1)]),
    "delete, updated elsewhere later": (
        ["INSERT INTO t VALUES (5,'a','b')"], "DELETE FROM t WHERE id=5", "UPDATE t SET a='two' WHERE id=5",
        "SELECT * FROM d.t WHERE id=5", (), [("delete_origin_differs", 2)]),
    "delete on both": (
        ["INSERT INTO t VALUES (6,'a','b')"], "DELETE FROM t WHERE id=6", "DELETE FROM t WHERE id=6",
        "SELECT * FROM d.t WHERE id=6", (), []),
    "key changed, row updated elsewhere": (
        ["INSERT INTO t VALUES (7,'a','b')"], "UPDATE t SET id=70 WHERE id=7", "UPDATE t SET a='two' WHERE id=7",
        "SELECT id FROM d.t WHERE id IN (7,70)", ((70,),), [("delete_origin_differs", 2)]),
    "key deleted and used again": (
        ["INSERT INTO t VALUES (8,'a','b')"], ["DELETE FROM t WHERE id=8", "INSERT INTO t VALUES (8,'new','new')"],
        "UPDATE t SET a='two' WHERE id=8",
        "SELECT * FROM d.t WHERE id=8", ((8, "new", "new"),), [("delete_origin_differs", 2)]),
    "unique value claimed by two": (
        [], "INSERT INTO u VALUES (1,1,1,'one')", "INSERT INTO u VALUES (2,1,2,'two')",
        "SELECT id FROM d.u WHERE id IN (1,2)", ((1,),), [("insert_exists", 2)]),
    "unique values swapped on one side": (
        ["INSERT INTO u VALUES (10,10,10,'a'),(11,11,11,'b')"],
        ["BEGIN", "UPDATE u SET x=NULL WHERE id=10", "UPDATE u SET x=10 WHERE id=11", "UPDATE u SET x=11 WHERE id=10", "COMMIT"],
        "UPDATE u SET v='two' WHERE id=10",
        "SELECT id, x, v FROM d.u WHERE id IN (10,11) ORDER BY 1", ((10, 11, "two"), (11, 10, "b")), []),
    "unique values swapped on both sides": (
        ["INSERT INTO u VALUES (12,12,12,'a'),(13,13,13,'b')"],
        *[["BEGIN", "UPDATE u SET x=NULL WHERE id=12", "UPDATE u SET x=12 WHERE id=13", "UPDATE u SET x=13 WHERE id=12", "COMMIT"]] * 2,
        # that both wrote the same is told all the same: neither knew
        "SELECT id, x FROM d.u WHERE id IN (12,13) ORDER BY 1", ((12, 13), (13, 12)), [("update_origin_differs", 1)] * 2),
    "several unique keys at once": (
        # in one transaction: else the loser goes as soon as its origin has read the first of the two
        [], ["BEGIN", "INSERT INTO u VALUES (20,20,120,'one')", "INSERT INTO u VALUES (21,121,21,'one')", "COMMIT"],
        "INSERT INTO u VALUES (22,20,21,'two')",
        "SELECT id FROM d.u WHERE id BETWEEN 20 AND 22", ((20,), (21,)), [("multiple_unique_conflicts", 2)]),
    "unique value equal but for case": (
        [], "INSERT INTO card VALUES (1,'a1b2')", "INSERT INTO card VALUES (2,'A1B2')",
        "SELECT id FROM d.card WHERE id IN (1,2)", ((1,),), [("insert_exists", 2)]),
    "unique value equal but for an accent": (
        [], "INSERT INTO card VALUES (3,'rene')", "INSERT INTO card VALUES (4,'ren\u00e9')",
        "SELECT id FROM d.card WHERE id IN (3,4)", ((3,),), [("insert_exists", 2)]),
    "child of a deleted parent, SET NULL": (
        ["INSERT INTO parent VALUES (1,'p')"], "DELETE FROM parent WHERE id=1", "INSERT INTO child_null VALUES (1,1,'c')",
        "SELECT * FROM d.child_null WHERE id=1", ((1, None, "c"),), [("foreign_key_missing", 2)]),
    "child of a deleted parent, CASCADE": (
        ["INSERT INTO parent VALUES (2,'p')"], "DELETE FROM parent WHERE id=2", "INSERT INTO child_cascade VALUES (1,2,'c')",
        "SELECT * FROM d.child_cascade WHERE id=1", (), [("foreign_key_missing", 2)]),
    "child of a deleted parent, RESTRICT": (
        ["INSERT INTO parent VALUES (3,'p')"], "DELETE FROM parent WHERE id=3", "INSERT INTO child_restrict VALUES (1,3,'c')",
        "SELECT * FROM d.child_restrict WHERE id=1", (), [("foreign_key_missing", 2)]),
    "loser of a unique value with a child, RESTRICT": (
        [], "INSERT INTO holder VALUES (1,7)", ["INSERT INTO holder VALUES (2,7)", "INSERT INTO held VALUES (1,2,'c')"],
        "SELECT h.id, c.id FROM d.holder h LEFT JOIN d.held c ON TRUE", ((1, None),), [("foreign_key_missing", 2), ("insert_exists", 2)]),
    "child given another parent": (
        ["INSERT INTO parent VALUES (4,'p'),(5,'p')", "INSERT INTO child_cascade VALUES (4,4,'c')"],
        "DELETE FROM parent WHERE id=4", "UPDATE child_cascade SET p=5 WHERE id=4",
        "SELECT * FROM d.child_cascade WHERE id=4", ((4, 5, "c"),), []),
    "keyless": (
        [], "INSERT INTO keyless VALUES (1,'x')", "INSERT INTO keyless VALUES (1,'x')",
        "SELECT COUNT(*) FROM d.keyless WHERE a=1", ((2,),), []),
    "types": (
        ["INSERT INTO types (id,c,bl,j,n,e) VALUES (1,REPEAT('c',400),x'00ff','{\"a\":1}',1.5,'in')"],
        "UPDATE types SET c=REPEAT('1',400), bl=x'01', n=2.5 WHERE id=1",
        "UPDATE types SET c=REPEAT('2',400), j='[2]', e='out' WHERE id=1",
        "SELECT c, bl, j, n, e, g, w FROM d.types WHERE id=1", (("2" * 400, b"\x01", "[2]", Decimal("2.5"), "out", 2, 2),), None),
}


TIMES = itertools.count(int(time.time()) + 1000, 10)


def one_after_the_other(one, two):
    """Which of the two is the later one mustn't hang on how fast the test runs. A write counts as no earlier than what its node knew, so
    that these times have to rise from case to case."""
    return {node: [f"SET timestamp={next(TIMES)}", *([w] if isinstance(w, str) else w)] for node, w in ((1, one), (2, two))}


@pytest.mark.parametrize("name", CASES)
def test_two_nodes(pair, name):
    """Each collision that two gates can have: with another outcome on one of them a door opens that the other keeps shut, and without the
    record nobody ever learns whose card was taken out."""
    before, one, two, query, rows, lost = CASES[name]
    writes = one_after_the_other(one, two)
    new = collide(pair, writes, before)
    for node in pair.nodes:
        assert pair.sql(node, query) == rows, f"node {node}"
    if lost is not None:
        assert sorted((r["kind"], r["loser"]) for r in new) == sorted(lost), new


@pytest.mark.parametrize("shape,nodes,one,other", [("chain", 3, 1, 3), ("star", 4, 2, 3), ("ring", 4, 1, 3)],
                         ids=["chain-3", "star-4", "ring-4"])
def test_every_kind_by_way_of_others(labs, request, shape, nodes, one, other):
    """Two gates that never see each other collide in each of these ways at once, and what comes of it goes by way of nodes between them:
    what these pass on late, twice or resolved otherwise shows as another row at one of the gates."""
    lab = next(labs.lend(request, shape=shape, nodes=nodes))
    before = [statement for case in CASES.values() for statement in case[0]]
    writes = {one: [], other: []}
    for case in CASES.values():
        for number, statements in one_after_the_other(case[1], case[2]).items():
            writes[one if number == 1 else other] += statements
    new = collide(lab, writes, before)
    for name, (_, _, _, query, rows, _) in CASES.items():
        for node in lab.nodes:
            assert lab.sql(node, query) == rows, f"{name}, node {node}"
    wanted = sorted((kind, one if loser == 1 else other) for case in CASES.values() if case[5] for kind, loser in case[5])
    found = sorted((r["kind"], r["loser"]) for r in new if r["table"] != "types")
    assert found == wanted


@pytest.mark.parametrize("turn", range(3))
def test_three_claim_one_value(three, turn):
    """Three gates give one card to three people; whoever meets whom first, one of them keeps it, on every node, and two records say
    who lost it."""
    order = list(itertools.permutations(three.links))[-turn]
    id = 1000 + 10 * turn
    new = collide(three, {n: f"INSERT INTO u VALUES ({id + n},{id},{id + n},'{n}')" for n in three.nodes}, order=order)
    left = three.sql(1, f"SELECT id FROM d.u WHERE x={id}")
    assert len(left) == 1
    assert {r["loser"] for r in new} == {n for n in three.nodes if id + n != left[0][0]}, new


@pytest.mark.parametrize("turn", range(3))
def test_three_update_one_row(three, turn):
    """The same for one row: a node that sees the three versions in another order must not show another one."""
    order = list(itertools.permutations(three.links))[-turn]
    id = 2000 + turn
    new = collide(three, {n: f"UPDATE t SET a='{n}' WHERE id={id}" for n in three.nodes},
                  [f"INSERT INTO t VALUES ({id},'a','b')"], order)
    left = int(three.value(1, f"SELECT a FROM d.t WHERE id={id}"))
    assert {r["loser"] for r in new} == set(three.nodes) - {left}, new


def test_clocks_years_apart(pair):
    """A gate without a battery believes that it is 2001. Its write that follows another must not lose to it, nor be told as a conflict."""
    known = len(records(pair, 1))
    pair.sql(1, "INSERT INTO d.t VALUES (3000,'0','')")
    for i in range(1, 13):
        pair.wait()
        pair.sql(1 + i % 2, f"SET timestamp={1000000000 if i % 2 else 1900000000}", f"UPDATE d.t SET a='{i}' WHERE id=3000")
    settled(pair)
    assert pair.value(2, "SELECT a FROM d.t WHERE id=3000") == "12"
    assert len(records(pair, 1)) == known


def test_one_row_of_a_big_transaction(pair):
    """One row of a night's import collides: the other 99,999 must be there, and the import must not be undone or stopped."""
    new = collide(pair, one_after_the_other("INSERT INTO t SELECT 100000+seq, REPEAT('x',50), '1' FROM seq_1_to_100000",
                                            "INSERT INTO t VALUES (150000,'two','2')"))
    assert [(r["kind"], r["key"]) for r in new] == [("insert_exists", {"id": "150000"})]
    assert pair.sql(2, "SELECT COUNT(*), SUM(b='1') FROM d.t WHERE id>100000") == ((100000, 99999),)


@pytest.mark.parametrize("sides", [(1,), (1, 2)], ids=["one", "both while cut"])
def test_table_made_by_hand(make_lab, sides):
    """Who followed the guide has the table already: records go there, and two nodes that both made it aren't stopped by that."""
    lab = make_lab()
    by_hand = """CREATE TABLE IF NOT EXISTS d.replication_conflicts (id INT AUTO_INCREMENT PRIMARY KEY, table_name VARCHAR(50) NOT NULL,
        record_id INT NOT NULL, conflict_type ENUM('INSERT_DUPLICATE', 'UPDATE_CONFLICT') NOT NULL, gate_id INT NOT NULL,
        conflict_data JSON, resolved BOOLEAN DEFAULT FALSE, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"""
    make_tables(lab)
    lab.cut(1, 2)
    for node in sides:
        lab.sql(node, by_hand)
    for node in (1, 2):
        lab.sql(node, f"INSERT INTO d.t VALUES (1,'{node}','')")
    lab.heal(1, 2)
    settled(lab)
    assert [(r["kind"], r["table"]) for r in records(lab, 1)] == [("insert_exists", "t")]


def marks(lab, node):
    return {r[0] for r in lab.sql(node, "SELECT id FROM syncline.recorded")}


def test_a_loss_that_is_told_again_is_recorded_once(make_lab):
    """A daemon that is started reads this node's log again and meets all that was lost again: whoever looks through the list would undo
    the same loss twice, the second time over what was written since. What tells it is a mark for each column that was lost; the last
    loss here has its mark taken away, which is how we see that they all were told again."""
    lab = make_lab(nodes=3)
    make_tables(lab)
    lab.sql(1, "INSERT INTO d.t VALUES (1,'a','b'),(2,'a','b'),(3,'a','b')")
    lab.wait()
    # While node 3 is away nothing is everywhere, so no mark may be forgotten.
    lab.cut(1, 3)
    lab.cut(2, 3)

    def lose(count, one, two):
        lab.cut(1, 2)
        for node, statements in one_after_the_other(one, two).items():
            lab.sql(node, "USE d", *statements)
        lab.heal(1, 2)
        for node in (1, 2):
            wait_for(f"{count} records on node {node}", lambda n=node: len(records(lab, n)) >= count)
        return records(lab, 1)

    first = lose(7, ["UPDATE t SET a='one', b='one' WHERE id=1", "UPDATE t SET a='one' WHERE id=2",
                     *[f"INSERT INTO u VALUES ({i},{i},{100 + i},'one')" for i in range(1, 6)]],
                 ["UPDATE t SET a='two', b='two' WHERE id=1", "UPDATE t SET a='two' WHERE id=2",
                  # Five rows that have to go: one decision replaces the other, and each is recorded with its own row.
                  *[f"INSERT INTO u VALUES ({20 + i},{i},{200 + i},'two')" for i in range(1, 6)]])
    claims = [("insert_exists", 2, str(20 + i), ["id", "v", "x", "y"]) for i in range(1, 6)]
    assert sorted((r["kind"], r["loser"], r["key"]["id"], sorted(r["lost"])) for r in first) == sorted(
        [("update_origin_differs", 1, "1", ["a", "b"]), ("update_origin_differs", 1, "2", ["a"]), *claims])
    before = marks(lab, 1)
    assert len(before) == 3  # a column each
    known = lose(8, ["UPDATE t SET a='one' WHERE id=3"], ["UPDATE t SET a='two' WHERE id=3"])
    [last] = [r for r in known if r["row"] not in {f["row"] for f in first}]
    [mark] = marks(lab, 1) - before

    for node in (1, 2):
        lab.kill(node, "--daemon")
    lab.sql(1, "SET sql_log_bin=0", f"DELETE FROM syncline.recorded WHERE id={mark}")
    for node in (1, 2):
        lab.start(node, "--daemon")
    wait_for("the last loss to be recorded again", lambda: len(records(lab, 1)) > len(known))
    assert marks(lab, 1) == before | {mark}
    lab.heal(1, 3)
    lab.heal(2, 3)
    settled(lab)
    new = [r for r in records(lab, 3) if r["row"] not in {k["row"] for k in known}]
    assert [(r["id"], r["key"]) for r in new] == [(last["id"], {"id": "3"})], new


def test_kills_while_conflicts_are_recorded(make_lab):
    """The power goes while a conflict is being resolved: its record must neither be missing nor be there twice."""
    lab = make_lab()
    make_tables(lab)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    dice = random.Random(seed)
    for turn in range(6):
        lab.cut(1, 2)
        for node in (1, 2):
            lab.sql(node, "USE d", *[f"INSERT INTO t VALUES ({turn * 100 + i},'{node}','')" for i in range(40)])
        lab.heal(1, 2)
        some = dice.randrange(turn * 40 + 1, turn * 40 + 40)
        wait_for("some of the records", lambda: sum(len(records(lab, n)) for n in (1, 2)) >= some)
        node, part = dice.choice((1, 2)), dice.choice(((), ("--daemon",), ("--server",)))
        lab.kill(node, *part)
        lab.start(node, *part)
        settled(lab)
        found = records(lab, 1)
        assert sorted(int(r["key"]["id"]) for r in found) == sorted(t * 100 + i for t in range(turn + 1) for i in range(40))
