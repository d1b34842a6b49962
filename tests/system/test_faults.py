"""Processes killed at any moment, under load. A gate's power goes at any moment; afterwards the doors must agree on who may pass:
what was acknowledged to an application is on every node, once."""

import os
import random
import signal
import subprocess
import threading

import pymysql
import pytest

from conftest import wait_for

TABLES = """CREATE DATABASE d;
CREATE TABLE d.log (id BIGINT AUTO_INCREMENT PRIMARY KEY, node INT NOT NULL, n INT NOT NULL, text VARCHAR(200), UNIQUE (node, n));
CREATE TABLE d.counter (node INT PRIMARY KEY, n INT NOT NULL);
CREATE TABLE d.bulk (id BIGINT AUTO_INCREMENT PRIMARY KEY, node INT NOT NULL, v INT NOT NULL)"""


class Writer(threading.Thread):
    """Counts up on one node: each transaction inserts n, moves the node's counter to n and now and then changes many rows.
    Applied twice, a transaction breaks the unique key; lost, it leaves a hole; half applied, the counter disagrees."""

    def __init__(self, lab, node):
        super().__init__(daemon=True)
        self.lab, self.node, self.n, self.done = lab, node, 0, threading.Event()

    def run(self):
        connection = None
        while not self.done.is_set():
            try:
                if connection is None:
                    connection = pymysql.connect(user="root", unix_socket=self.lab.socket(self.node), database="d")
                    with connection.cursor() as c:
                        # A commit whose answer was lost may have happened.
                        c.execute("SELECT COALESCE(MAX(n), 0) FROM log WHERE node=%s", (self.node,))
                        self.n = max(self.n, c.fetchone()[0])
                    connection.commit()
                self.transaction(connection, self.n + 1)
                self.n += 1
            except pymysql.Error:
                if connection is not None:
                    try:
                        connection.close()
                    except pymysql.Error:
                        pass
                connection = None
                self.done.wait(0.05)

    def transaction(self, connection, n):
        with connection.cursor() as c:
            c.execute("INSERT INTO log (node, n, text) VALUES (%s, %s, REPEAT('x', %s))", (self.node, n, n % 200))
            c.execute("INSERT INTO counter VALUES (%s, %s) ON DUPLICATE KEY UPDATE n=VALUES(n)", (self.node, n))
            if n % 50 == 0:
                c.execute("INSERT INTO bulk (node, v) SELECT %s, seq FROM seq_1_to_500", (self.node,))
            if n % 70 == 0:
                c.execute("UPDATE bulk SET v=v+1 WHERE node=%s LIMIT 700", (self.node,))
            if n % 90 == 0:
                c.execute("DELETE FROM bulk WHERE node=%s ORDER BY id LIMIT 300", (self.node,))
        connection.commit()


def check(lab, writers):
    lab.wait()
    lab.assert_equal()
    for writer in writers:
        for node in lab.nodes:
            count, top = lab.sql(node, f"SELECT COUNT(*), MAX(n) FROM d.log WHERE node={writer.node}")[0]
            assert count == top >= writer.n, f"node {node} has {count} of {writer.n} transactions of node {writer.node}"
            assert lab.value(node, f"SELECT n FROM d.counter WHERE node={writer.node}") == top


def load(lab, kind=Writer):
    lab.sql(1, *TABLES.split(";\n"))
    lab.wait()
    writers = [kind(lab, node) for node in lab.nodes]
    for writer in writers:
        writer.start()
    return writers


def stop(writers):
    for writer in writers:
        writer.done.set()
    for writer in writers:
        writer.join()


def progress(writers, more):
    """Until every writer has committed some more."""
    aims = {w: w.n + more for w in writers}
    wait_for("writers to go on", lambda: all(w.n >= aims[w] for w in writers))


def torment(lab, writers, rounds, seed):
    dice = random.Random(seed)
    print("seed", seed)
    for _ in range(rounds):
        progress(writers, dice.randrange(1, 60))
        node, what = dice.choice(lab.nodes), dice.choice(("--server", "--daemon", "--daemon", "both", "cut"))
        if what == "cut":
            link = dice.choice(lab.links)
            lab.cut(*link)
            progress(writers, dice.randrange(1, 60))
            lab.heal(*link)
        else:
            part = () if what == "both" else (what,)
            lab.kill(node, *part)
            if what == "--daemon":
                progress(writers, dice.randrange(0, 60))
            lab.start(node, *part)


@pytest.mark.sanitizer
def test_kills_and_cuts_under_load(make_lab):
    """kill -9 of daemons and servers and cut links at random moments while both nodes write."""
    lab = make_lab()
    writers = load(lab)
    torment(lab, writers, 10, random.randrange(1 << 30))
    stop(writers)
    check(lab, writers)


def test_three_nodes_under_load(make_lab):
    """Three nodes write, any of them may be killed; a transaction reaches a node by two ways and must be applied once."""
    lab = make_lab(nodes=3)
    writers = load(lab)
    torment(lab, writers, 8, random.randrange(1 << 30))
    stop(writers)
    check(lab, writers)


@pytest.mark.soak
@pytest.mark.parametrize("nodes", [2, 3])
def test_soak(make_lab, nodes):
    """The same for as long as one likes."""
    import time
    lab = make_lab(nodes=nodes)
    writers = load(lab)
    until = time.monotonic() + float(os.environ.get("SOAK_MINUTES", "1")) * 30
    while time.monotonic() < until:
        torment(lab, writers, 5, random.randrange(1 << 30))
        lab.wait(600)
    stop(writers)
    check(lab, writers)


def test_third_node_relays(make_lab):
    """1 and 2 can't see each other, 3 sees both: what they write meets through 3 and is applied once when they meet again."""
    lab = make_lab(nodes=3)
    lab.sql(1, *TABLES.split(";\n"))
    lab.wait()
    lab.cut(1, 2)
    writers = [Writer(lab, 1), Writer(lab, 2)]
    for writer in writers:
        writer.start()
    progress(writers, 200)
    stop(writers)
    top = {w.node: w.n for w in writers}
    for here, there in ((1, 2), (2, 1)):
        wait_for(f"node {there}'s rows on node {here}",
                 lambda h=here, t=there: lab.value(h, f"SELECT n FROM d.counter WHERE node={t}") == top[t])
    lab.wait()  # nothing is missing anywhere, though the link is cut
    lab.heal(1, 2)
    lab.wait_state(1, 2, "live")
    lab.wait_state(2, 1, "live")
    check(lab, writers)


@pytest.mark.parametrize("what", ["--server", "--daemon", "both"])
def test_peer_restarts(make_lab, what):
    """A peer that comes back after a restart is found again by itself."""
    lab = make_lab()
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO d.t (v) VALUES (1)")
    lab.wait()
    part = () if what == "both" else (what,)
    lab.kill(2, *part)
    lab.sql(1, "INSERT INTO d.t (v) VALUES (2)")
    if what != "--daemon":
        lab.wait_state(1, 2, "connecting")
    lab.start(2, *part)
    lab.sql(2, "INSERT INTO d.t (v) VALUES (3)")
    lab.wait()
    lab.assert_equal()
    assert lab.value(1, "SELECT COUNT(*) FROM d.t") == 3


def test_peer_that_hangs_is_noticed(make_lab):
    """A cable pulled, a host that hangs: nothing closes the connection. It must be noticed in seconds, not in MariaDB's 60, and
    the link must go on by itself afterwards."""
    lab = make_lab()
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)")
    lab.wait()
    server = lab.server_pid(2)
    os.kill(server, signal.SIGSTOP)
    try:
        link = wait_for("node 1 to notice", lambda: lab.link_in(1, 2, "connecting"), timeout=15)
        assert link["why"]
        lab.sql(1, "INSERT INTO d.t VALUES (1)")
    finally:
        os.kill(server, signal.SIGCONT)
    lab.wait_state(1, 2, "live")
    lab.wait()
    lab.assert_equal()


def test_full_disk_under_what_peers_lack(make_lab):
    """A gate's card fills up while the other gate is away, with what that one lacks. It says so, and once there is room again what both
    wrote meanwhile comes out as ever: were a part of it forgotten, a row would be overwritten without a word."""
    lab = make_lab()
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(200))", "INSERT INTO d.t VALUES (0,'a')")
    lab.wait()
    state = lab.dir / "node1" / "state"
    lab.kill(1, "--daemon")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "none", state]).returncode != 0:
        pytest.skip("a file system that can be filled needs the right to mount one")
    try:
        lab.start(1, "--daemon")
        lab.wait()
        lab.cut(1, 2)
        lab.sql(1, "USE d", "UPDATE t SET v='one' WHERE id=0", "INSERT INTO t SELECT seq, REPEAT('x', 200) FROM seq_1_to_60000")
        lab.sql(2, "USE d", "UPDATE t SET v='two' WHERE id=0")
        why = wait_for("a word of the full disk", lambda: "No space left" in lab.log(1) and
                       lab.status(1)["server"]["why"])
        assert str(state) in why and "\n" not in why
        subprocess.run(["mount", "-o", "remount,size=100m", state], check=True)
        lab.heal(1, 2)
        wait_for("both links", lambda: all(lab.link(n, 3 - n)["state"] == "live" for n in (1, 2)))
        wait_for("the record", lambda: "replication_conflicts" in lab.tables(1)
                 and lab.value(1, "SELECT COUNT(*) FROM d.replication_conflicts") == 1)
        lab.wait()
        lab.assert_equal()
        assert lab.value(2, "SELECT COUNT(*) FROM d.t") == 60001
    finally:
        lab.kill(1, "--daemon")
        subprocess.run(["umount", "-l", state], check=True)
