"""A node comes in while the others keep writing. Whoever adds the third gate to a running pair has the two others in use all day: what is lost
or differs in the minutes of the join is noticed by nobody then, and by everybody later."""

import random
import signal
import subprocess
import threading
import time

import pymysql
import pytest

from conftest import wait_for
from machines import empty_data, equal, everywhere, hold, members, said, site, start_join  # fixtures

SLOTS = 4
SHARED = 8
SUM = 1000


def pair(site, slots=SLOTS):
    """Two nodes, with a table for inserts, one of rows that all update, and accounts whose sum never changes."""
    a = site.machine()
    a.init(f"--slots={slots}")
    a.sql("CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, who INT, n INT)",
          "CREATE TABLE d.shared (id INT PRIMARY KEY, who INT, n INT)",
          "CREATE TABLE d.account (id INT, half INT, v INT, PRIMARY KEY (id, half))",
          *(f"INSERT INTO d.shared VALUES ({i}, 0, 0)" for i in range(SHARED)))
    b = site.machine()
    b.join(a.invite())
    return a, b


class Writer:
    """Applications of one machine: inserts, updates of rows that the others update, and two rows that belong together, written together."""

    def __init__(self, machine, pause=0.03):
        self.machine, self.pause, self.inserted, self.failure = machine, pause, 0, None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        chance = random.Random(self.machine.number)
        try:
            connection = pymysql.connect(user="root", unix_socket=str(self.machine.socket), autocommit=True)
            cursor, me, n = connection.cursor(), self.machine.number, 0
            while not self.stopping.is_set():
                n += 1
                cursor.execute("INSERT INTO d.t (who, n) VALUES (%s, %s)", (me, n))
                self.inserted += 1
                try:
                    cursor.execute("UPDATE d.shared SET who=%s, n=%s WHERE id=%s", (me, n, chance.randrange(SHARED)))
                    v = chance.randrange(SUM)
                    cursor.execute("BEGIN")
                    cursor.execute("REPLACE INTO d.account VALUES (%s, 1, %s), (%s, 2, %s)", (me, v, me, SUM - v))
                    cursor.execute("COMMIT")
                except pymysql.err.OperationalError as error:
                    if error.args[0] not in (1205, 1213):  # a link's batch locked the row
                        raise
                    cursor.execute("ROLLBACK")
                time.sleep(self.pause)
            connection.close()
        except Exception as error:
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.thread.join()
        assert self.failure is None, self.failure
        return self.inserted


class writing:
    """Writers on these machines, as long as this lasts; `inserted` afterwards, by machine."""

    def __init__(self, *machines):
        self.machines, self.inserted = machines, {}

    def __enter__(self):
        self.writers = [Writer(m) for m in self.machines]
        return self

    def __exit__(self, *_):
        for w in self.writers:
            w.stopping.set()
        self.inserted = {w.machine.number: w.stop() for w in self.writers}


def check(machines, *inserted):
    """All equal; nothing that was inserted is missing; the ids are each node's own; what belongs together is together."""
    everywhere(*machines)
    equal(*machines)
    counts = {}
    for part in inserted:
        for number, count in part.items():
            counts[number] = counts.get(number, 0) + count
    last = machines[-1]
    assert dict(last.sql("SELECT who, COUNT(*) FROM d.t GROUP BY who")) == counts
    assert last.value(f"SELECT COUNT(*) FROM d.t WHERE id % {SLOTS} <> who % {SLOTS}") == 0
    assert last.value(f"SELECT COUNT(*) FROM (SELECT id FROM d.account GROUP BY id HAVING SUM(v) <> {SUM}) x") == 0


def test_third_comes_in(site):
    """Two nodes are written to all the time while a third comes in. Without a common point from which nothing is forgotten, a change that was on
    its way between the two would be missing on the third, or overwrite there what it lost against on the others."""
    a, b = pair(site)
    with writing(a, b) as before:
        c = site.machine()
        assert "Node 3 is live, both ways." in c.join(a.invite()).stdout
    with writing(a, b, c) as after:
        time.sleep(2)  # of work, not a wait
    check((a, b, c), before.inserted, after.inserted)
    for m in (a, b, c):
        assert members(m) == {1: "joined1", 2: "joined1", 3: "joined1"}
    # Cut off one by one, each goes on writing.
    with writing(a, b, c) as apart:
        for m in (a, b, c):
            site.network.cut(m.number)
            count = m.value("SELECT COUNT(*) FROM d.t")
            wait_for("writes on a node by itself", lambda: m.value("SELECT COUNT(*) FROM d.t") > count + 20)
            site.network.heal(m.number)
    check((a, b, c), before.inserted, after.inserted, apart.inserted)


def has(machine, number, seq):
    return any(g.startswith(f"{number}-{number}-") and int(g.rsplit("-", 1)[1]) >= seq
               for g in str(machine.value("SELECT @@gtid_binlog_pos")).split(","))


def last_seq(machine):
    return int(str(machine.value("SELECT @@gtid_binlog_pos")).split(f"{machine.number}-{machine.number}-")[1].split(",")[0])


def test_copied_writes_that_another_lacks(site):
    """What node 1 wrote while it was cut off from node 2 gets to node 3 in the copy, and is in no log of its own. Then node 2's writes to the
    same rows arrive there, older ones, which lose on node 1: they must lose on node 3, too, also when its daemon was killed in between. And
    node 2 mustn't take node 3's writes before it has what these follow."""
    a, b = pair(site)
    everywhere(a, b)
    for x, y in ((a, 2), (b, 1)):
        hold(x, y)
    b.sql("UPDATE d.shared SET who=2 WHERE id=1")
    a.sql("SET timestamp=UNIX_TIMESTAMP()+1000", "UPDATE d.shared SET who=1 WHERE id IN (1, 2)", "INSERT INTO d.t (id, who, n) VALUES (1001, 1, 0)")
    c = site.machine()
    join = start_join(c, a.invite())
    wait_for("node 2's first write", lambda: c.daemon_pid() and has(c, 2, last_seq(b)), timeout=60)
    assert c.value("SELECT who FROM d.shared WHERE id=1") == 1
    assert c.value("SELECT COUNT(*) FROM syncline.seed") == 1
    c.kill(server=False)
    b.sql("UPDATE d.shared SET who=2 WHERE id=2")
    c.sql("UPDATE d.t SET n=3 WHERE id=1001")
    c.start_daemon()
    wait_for("node 2's second write", lambda: has(c, 2, last_seq(b)), timeout=60)
    assert c.value("SELECT who FROM d.shared WHERE id=2") == 1
    wait_for("node 1 to have node 3's write", lambda: a.value("SELECT n FROM d.t WHERE id=1001") == 3)
    assert members(b)[3] == "admitted1" and b.value("SELECT COUNT(*) FROM d.t WHERE id=1001") == 0
    for x, y in ((a, 2), (b, 1)):
        hold(x, y, "resume")
    assert join.wait(120) == 0, said(c)
    everywhere(a, b, c)
    equal(a, b, c)
    assert c.value("SELECT GROUP_CONCAT(who) FROM d.shared WHERE id IN (1, 2)") == "1,1"
    kinds = c.sql("SELECT gate_id, conflict_type FROM d.replication_conflicts ORDER BY id")
    assert sorted(kinds) == [(2, "UPDATE_CONFLICT")] * 2, kinds
    wait_for("what node 3 began with to be everywhere", lambda: c.value("SELECT COUNT(*) FROM syncline.seed") == 0)


def test_second_can_not_be_reached(site):
    """Node 2's cable is out while node 3 joins. Node 2 would forget what node 3 needs, since it doesn't know of it: so it is waited for, in so
    many words, and Ctrl-C and the same command later are all right."""
    a, b = pair(site)
    site.network.cut(2)
    c, token = site.machine(), a.invite()
    join = start_join(c, token)
    wait_for("the line", lambda: "Still waiting for node 2, which node 1 can't reach" in said(c) or join.poll() is not None)
    assert join.poll() is None, said(c)
    join.send_signal(signal.SIGINT)
    assert join.wait(60) == 1 and "the same command goes on" in said(c), said(c)
    with writing(a) as alone:
        count = a.value("SELECT COUNT(*) FROM d.t")
        wait_for("writes meanwhile", lambda: a.value("SELECT COUNT(*) FROM d.t") > count + 20)
        join = start_join(c, token)
        wait_for("the line", lambda: "Still waiting for node 2" in said(c) or join.poll() is not None)
        site.network.heal(2)
        assert join.wait(120) == 0, said(c)
    with writing(a, b, c) as after:
        time.sleep(1)
    check((a, b, c), alone.inserted, after.inserted)


@pytest.mark.soak
def test_two_come_in_at_once(site):
    """Two people add two gates on the same day, by different nodes. One comes in after the other, or neither would be told of the other."""
    a, b = pair(site)
    with writing(a, b) as before:
        c, d = site.machine(), site.machine()
        joins = [start_join(d, b.invite()), start_join(c, a.invite())]
        for machine, join in zip((d, c), joins):
            assert join.wait(200) == 0, said(machine)
    everyone = (a, b, c, d)
    with writing(*everyone) as after:
        time.sleep(1)
    check(everyone, before.inserted, after.inserted)
    for m in everyone:
        assert members(m) == {1: "joined1", 2: "joined1", 3: "joined1", 4: "joined1"}


@pytest.mark.soak
def test_killed_while_it_comes_in(site):
    """The power fails on the new machine, or a daemon of another dies, at any moment of a join, while the others are written to: all come up by
    themselves, and the same command goes on and ends with equal nodes."""
    a, b = pair(site)
    c, token = site.machine(), a.invite()
    with writing(a, b) as before:
        for number, victim in enumerate((a, b, c, a, c, b)):
            join = start_join(c, token)
            threading.Event().wait(0.3 + 0.7 * number)  # anywhere: what it does at each moment is its own affair
            join.kill()
            join.wait()
            victim.kill(server=victim is c)
            if victim is c:
                c.restart()
            if victim.daemon_pid() is not None:  # it is enabled
                victim.start_daemon()
        c.join(token)
    with writing(a, b, c) as after:
        time.sleep(1)
    check((a, b, c), before.inserted, after.inserted)
