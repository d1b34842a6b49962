"""Load that nobody here wrote: sysbench, on all nodes at once."""

import random
import re
import shutil
import subprocess
import threading

import pytest

from conftest import wait_for
from test_conflicts import settled
from test_faults import Writer, check, load, progress, stop

pytestmark = pytest.mark.skipif(shutil.which("sysbench") is None, reason="sysbench is not installed")

TABLES, SIZE = 4, 2000


def sysbench(lab, node, script, command, *options, wait=True):
    process = subprocess.Popen(["sysbench", script, "--db-driver=mysql", f"--mysql-socket={lab.socket(node)}", "--mysql-user=root",
                                "--mysql-db=sbtest", f"--tables={TABLES}", f"--table-size={SIZE}", "--threads=2", *options, command],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return finish(process) if wait else process


def finish(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def test_write_only_and_inserts(make_lab):
    """Updates, deletes and inserts of the standard benchmark on node 1, in both directions inserts: equal afterwards."""
    lab = make_lab(databases=("sbtest",))
    lab.sql(1, "CREATE DATABASE sbtest")
    sysbench(lab, 1, "oltp_write_only", "prepare")
    lab.wait()
    lab.assert_equal("sbtest")
    sysbench(lab, 1, "oltp_write_only", "run", "--time=5", "--mysql-ignore-errors=1213,1205")
    lab.wait()
    loads = [sysbench(lab, node, "oltp_insert", "run", "--time=5", wait=False) for node in (1, 2)]
    for load in loads:
        finish(load)
    lab.wait()
    lab.assert_equal("sbtest")
    assert all(lab.link(n, p)["state"] == "live" for n, p in ((1, 2), (2, 1)))
    sysbench(lab, 2, "oltp_write_only", "cleanup")
    wait_for("the tables to go", lambda: not lab.tables(1, "sbtest"))


class Load(threading.Thread):
    """oltp_read_write on one node, on so few rows that nodes which are cut off write the same ones; started again when it gives up,
    since it loses its server."""

    OPTIONS = ("--tables=2", "--table-size=300", "--rate=30", "--time=2", "--db-ps-mode=disable", "--mysql-ignore-errors=all")

    def __init__(self, lab, node):
        super().__init__(daemon=True)
        self.lab, self.node, self.transactions, self.done = lab, node, 0, threading.Event()

    def run(self):
        while not self.done.is_set():
            output, _ = sysbench(self.lab, self.node, "oltp_read_write", "run", *self.OPTIONS, wait=False).communicate(timeout=120)
            found = re.search(r"transactions: +(\d+)", output)
            self.transactions += int(found[1]) if found else 0
            self.done.wait(0 if found else 0.1)


class Slow(Writer):
    """Leaves sysbench some of the machine."""

    def transaction(self, connection, n):
        super().transaction(connection, n)
        self.done.wait(0.02)


def torment(lab, writers, dice):
    """Servers, daemons and both at once are killed, with a link cut and without; of the larger shapes half of that, or it takes minutes."""
    deeds = [(part, cut) for part in ((), ("--server",), ("--daemon",)) for cut in (False, True)]
    dice.shuffle(deeds)
    if len(lab.nodes) > 3:
        deeds = deeds[:3]
    for part, cut in deeds:
        link, node = dice.choice(lab.links), dice.choice(lab.nodes)
        if cut:
            lab.cut(*link)
            progress(writers, dice.randrange(20, 60))
        lab.kill(node, *part)
        if part == ("--daemon",):
            progress(writers, dice.randrange(0, 30))
        lab.start(node, *part)
        progress(writers, dice.randrange(1, 30))
        if cut:
            lab.heal(*link)


@pytest.mark.parametrize("shape,nodes", [("mesh", 2), ("mesh", 3), ("star", 4), ("ring", 4)])
def test_read_write_everywhere_while_all_fails(make_lab, shape, nodes):
    """A week at the gates in some seconds: every node is written to, the same rows too, while cables are pulled and machines lose their
    power, in the middle of resolving what collided before. If it ends with one row that differs, a door is open on one node and shut on
    another for good; with a record that is missing or there twice, nobody can trust the list of what was lost; and what was acknowledged
    and met no conflict has to be everywhere."""
    lab = make_lab(nodes=nodes, shape=shape, databases=("d", "sbtest"))
    seed = random.randrange(1 << 30)
    print("seed", seed)
    lab.sql(1, "CREATE DATABASE sbtest")
    sysbench(lab, 1, "oltp_read_write", "prepare", *Load.OPTIONS, "--auto_inc=off")
    writers, loads = load(lab, Slow), [Load(lab, node) for node in lab.nodes]
    for l in loads:
        l.start()
    torment(lab, writers, random.Random(seed))
    wait_for("sysbench on every node", lambda: all(l.transactions > 0 for l in loads))
    stop(writers)
    stop(loads)
    settled(lab, "d", "sbtest")
    check(lab, writers)
    records = lab.sql(1, "SELECT JSON_VALUE(conflict_data, '$.id') FROM sbtest.replication_conflicts")
    print(f"{sum(l.transactions for l in loads)} transactions of sysbench, {len(records)} conflicts")
    assert records and len(set(records)) == len(records), "no conflict, or one that is recorded twice"
