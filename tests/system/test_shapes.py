"""Links in other shapes than a full mesh. A lorry's gate sees only the depot, the depot sees the office: what one of them writes has to
come to all, by whatever way there is, once, and in an order in which it can be applied."""

import json
import os
import random
import shutil
import signal
import subprocess

import pytest

from conftest import SYNCLINE, Lab, run, wait_for
from test_faults import TABLES, check, load, progress, stop, torment

# Three in a ring are a mesh, which test_faults has, and three in a star are a chain. Ring and star of four: test_sysbench has them with
# the same faults, so here they are left to the soak.
SHAPES = [pytest.param("chain", 3, id="chain-3"), pytest.param("chain", 4, id="chain-4"),
          pytest.param("ring", 4, id="ring-4", marks=pytest.mark.soak), pytest.param("star", 4, id="star-4", marks=pytest.mark.soak)]


@pytest.mark.parametrize("shape,nodes", SHAPES)
def test_shape_under_load(make_lab, shape, nodes):
    """All nodes write while links are cut, and daemons and servers killed: a node in the middle passes on what it has not
    written itself, so whatever it forgets or passes on twice is lost or there twice behind it."""
    lab = make_lab(nodes=nodes, shape=shape)
    for node in lab.nodes:
        peers = {peer for link in lab.links if node in link for peer in link if peer != node}
        assert {link["peer"] for link in lab.status(node)["links"]} == peers
    writers = load(lab)
    torment(lab, writers, 4, random.randrange(1 << 30))
    stop(writers)
    check(lab, writers)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("c") / "lab", nodes=3, shape="chain")
    lab.sql(1, *TABLES.split(";\n"), "CREATE DATABASE private", "CREATE TABLE private.t (i INT)")
    lab.wait()
    yield lab
    lab.down()


def test_one_node_alone_connects_two(chain):
    """1 and 3 never see each other. They change one row in turns, each after it got the other's change: none of that is a conflict,
    and the node between them may be away for any part of the way."""
    lab, id = chain, 1
    lab.sql(1, f"INSERT INTO d.log VALUES ({id}, 1, 0, 'from 1')")
    for turn in range(1, 13):
        here, there = (1, 3) if turn % 2 else (3, 1)
        lab.sql(here, f"UPDATE d.log SET n={turn}, text='from {here}' WHERE id={id}")
        if turn % 4 == 0:
            part = ("--daemon",) if turn % 8 == 0 else ()
            lab.kill(2, *part)
            lab.sql(there, f"INSERT INTO d.counter VALUES ({turn}, 1)")
            lab.start(2, *part)
        wait_for(f"turn {turn} on node {there}", lambda: lab.value(there, f"SELECT n FROM d.log WHERE id={id}") == turn)
    lab.sql(3, "ALTER TABLE d.log ADD COLUMN door VARCHAR(20) DEFAULT 'north' AFTER node", "UPDATE d.log SET door='south'")
    lab.wait()
    lab.assert_equal()
    assert lab.sql(1, f"SELECT n, door FROM d.log WHERE id={id}") == ((12, "south"),)


def test_wait_goes_to_the_end_of_the_chain(chain):
    """Whoever reads node 3 after `lab wait` relies on what was written on 1, two links away; and a wait that can't end must say which
    link is in the way. What isn't replicated comes nowhere and must not be waited for."""
    lab = chain
    for n in range(20):
        lab.sql(1, f"INSERT INTO d.counter VALUES ({100 + n}, {n})", f"INSERT INTO private.t VALUES ({n})",
                database="d")
        lab.sql(3, f"INSERT INTO d.counter VALUES ({200 + n}, {n})")
        lab.wait()
        for node, other in ((1, 200), (3, 100)):
            assert lab.value(node, f"SELECT COUNT(*) FROM d.counter WHERE node={other + n}") == 1
    lab.cut(2, 3)
    # A daemon notes what others have, and its own position, at any time: nobody lacks anything for want of that.
    lab.sql(1, "REPLACE INTO syncline.recorded VALUES (1, 1)")
    lab.wait()  # the link is cut, but nothing is missing
    lab.sql(1, "INSERT INTO d.counter VALUES (300, 1)")
    result = run("lab", "wait", "--dir", lab.dir, "--timeout", "1", check=False)
    assert result.returncode == 1 and "node 3 lacks node 2's transactions" in result.stderr, result.stderr
    lab.heal(2, 3)
    lab.wait()
    lab.assert_equal()


def test_no_link_to_cut(chain):
    """Two nodes without a link: to say "done" would let somebody believe that they are cut off."""
    for command in ("cut", "heal"):
        result = run("lab", command, "--dir", chain.dir, "3", "1", check=False)
        assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
        assert "nodes 3 and 1 have no link in this chain" in result.stderr
    assert chain.link(3, 2)["state"] == "live"


def test_accounts_only_where_links_are(make_lab):
    """In a star the leaves have no business with each other's servers: an account that nobody uses is one that somebody finds."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and ip here")
    lab = make_lab(nodes=3, shape="star", extra=("--network",))
    accounts = {n: [r[0] for r in lab.sql(n, "SELECT user FROM mysql.user WHERE user LIKE 'syncline-%' ORDER BY 1")]
                for n in lab.nodes}
    assert accounts == {1: ["syncline-2", "syncline-3"], 2: ["syncline-1"], 3: ["syncline-1"]}
    lab.sql(2, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
    lab.wait()
    assert lab.value(3, "SELECT id FROM d.t") == 1


def test_leaf_gives_out_numbers_of_its_own(directory):
    """A leaf knows one peer, but there is a node 5: did its server count in steps of two, its new rows would get the ids of
    other leaves' rows."""
    settings = directory / "syncline.cnf"
    settings.write_text(f"[syncline]\nnode-id = 2\nnodes = 1,2,3,5\nreplicate-do-db = d\nstate-dir = {directory}/state\n"
                        f"datadir = {directory}/data\n[syncline-server]\nsocket = {directory}/mariadb.sock\nuser = root\n"
                        f"[syncline-peer-1]\nsocket = {directory}/no.sock\n")
    with open(directory / "log", "wb") as log:
        daemon = subprocess.Popen([SYNCLINE, "run", f"--defaults-file={settings}"], stderr=log, stdin=subprocess.DEVNULL)
    try:
        status = wait_for("the daemon", lambda: daemon.poll() is not None or run(
            "status", "--json", f"--defaults-file={settings}", check=False).stdout)
        assert status is not True, (directory / "log").read_text()
        assert json.loads(status)["node"] == 2
        steps = subprocess.run(["mariadb", "--no-defaults", f"--socket={directory}/mariadb.sock", "-uroot", "-Ne",
                                "SELECT @@auto_increment_increment, @@auto_increment_offset"], capture_output=True, text=True)
        assert steps.stdout.split() == ["5", "2"], steps
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0
