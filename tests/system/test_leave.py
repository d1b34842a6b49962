"""Nodes that go: in order (leave), burned down (forget), and what the others may still take for theirs afterwards."""

import json
import subprocess

import pymysql
import pytest

from conftest import wait_for
from machines import Writer, all_live, empty_data, equal, everywhere, hold, members, pair, said, seq, site, start_join, three  # fixtures


def status(machine):
    return json.loads(machine.run("status", f"--defaults-file={machine.settings}", "--json").stdout)


def forget(machine, node, *args, **kwargs):
    return machine.run("forget", f"--defaults-file={machine.settings}", node, "--yes", *args, **kwargs)


def leave(machine, *args, **kwargs):
    machine.script("stop", f"""
        kill $(cat {machine.root}/daemon.pid) 2>/dev/null
        while kill -0 $(cat {machine.root}/daemon.pid) 2>/dev/null; do sleep 0.02; done
        true
        """)
    return machine.run("leave", f"--defaults-file={machine.settings}", f"--root={machine.root}", f"--restart={machine.root}/restart",
                       f"--service={machine.root}/stop", "--yes", *args, **kwargs)


def log_in(machine, there, folder):
    """Whether node `machine` gets into the server of `there` with the identity that is kept in the folder."""
    command = [*machine.network.enter(machine.number), "mariadb", "--no-defaults", "-h", there.address, "-u", f"syncline-{machine.number}",
               f"--ssl-ca={folder}/peer-{there.number}.pem", f"--ssl-cert={folder}/node.pem", f"--ssl-key={folder}/node.key", "-e", "SELECT 1"]
    return subprocess.run(command, capture_output=True, text=True)


def knows_nothing_of(machine, node):
    assert f"peer-{node}" not in machine.settings.read_text() and str(node) not in [
        line for line in machine.settings.read_text().splitlines() if line.startswith("nodes")][0]
    assert not (machine.root / f"etc/mysql/syncline/peer-{node}.pem").exists()
    assert not (machine.root / f"var/lib/syncline/paused-{node}").exists()
    assert machine.value(f"SELECT COUNT(*) FROM mysql.user WHERE User='syncline-{node}'") == 0
    assert machine.value(f"SELECT COUNT(*) FROM syncline.links WHERE peer={node}") == 0
    assert machine.value(f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER='syncline-{node}'") == 0


def test_leaves(site):
    """While applications write on it: what was confirmed to them is on the node that stays, which goes on alone; the one that left is an ordinary
    server with its data, and gets in no more. Else its last sales would be in the box that is carried out of the door."""
    a, b = pair(site)
    kept = site.folder / "kept"
    subprocess.run(["cp", "-a", b.root / "etc/mysql/syncline", kept], check=True)
    b.sql("CREATE USER app@localhost IDENTIFIED BY 'x'", "GRANT ALL ON d.* TO app@localhost")
    assert log_in(b, a, kept).returncode == 0
    with Writer(b, "b", user="app", password="x") as writer:
        wait_for("some to be written", lambda: len(writer.confirmed) > 20)
        assert "Node 2 has left" in leave(b).stdout
        was = len(writer.confirmed)
        wait_for("b to be written to again", lambda: len(writer.confirmed) > was)
    wait_for("a to forget b", lambda: "peer-2" not in a.settings.read_text())
    # All up to a moment, nothing from later on, and none was confirmed in between.
    here = {v for v, in a.sql("SELECT v FROM d.t")}
    numbers = [(int(text.split("-")[1]), text in here) for text in writer.confirmed]
    last, first = max(n for n, is_here in numbers if is_here), min(n for n, is_here in numbers if not is_here)
    assert 20 < last < first - 1, (last, first)
    wait_for("a's daemon", lambda: "links" in a.run("status", f"--defaults-file={a.settings}", "--json", check=False).stdout)
    wait_for("a to let go of b", lambda: not status(a)["links"])
    knows_nothing_of(a, 2)
    refused = log_in(b, a, kept)
    assert refused.returncode != 0, refused.stdout
    # What it was made of is gone, and it is writable.
    assert not b.dropin.exists() and not b.settings.exists() and not (b.root / "etc/mysql/syncline").exists()
    assert not (b.root / "var/lib/syncline").exists()
    assert (b.value("SELECT @@read_only"), b.value("SELECT @@log_bin")) == (0, 0)
    assert b.value("SELECT COUNT(*) FROM mysql.user WHERE User LIKE 'syncline%' OR User='daemon'") == 0
    assert "syncline" not in {d for d, in b.sql("SHOW DATABASES")}
    # Nothing waits for it: what a writes is settled at once.
    a.sql("INSERT INTO d.t (v) VALUES ('a alone')")
    wait_for("nothing to be kept for b", lambda: status(a)["server"]["window_rows"] == 0)
    # It may come back as another node would.
    b.join(a.invite(), "--replace")
    everywhere(a, b)
    equal(a, b)


def test_leaves_alone(site):
    """No peer can be reached: it doesn't go without its last transactions unless told to, and says what is left to be done over there."""
    a, b = pair(site)
    site.network.cut(2)
    result = leave(b, check=False)
    assert result.returncode == 1 and "node 1 can't be reached" in result.stderr and "syncline forget 2" in result.stderr, result.stderr
    assert b.value("SELECT @@read_only") == 0 and b.settings.exists()
    said = leave(b, "--force").stdout
    assert "Node 1 could not be told; run there: syncline forget 2" in said
    assert not b.settings.exists()
    site.network.heal(2)
    forget(a, 2)
    knows_nothing_of(a, 2)


def test_burned_down(site):
    """A node is lost, and whoever has its disk must not get in any more; what it wrote stays, and nothing waits for it for ever. A machine that takes
    its place gets the number again, and its transactions numbers above those of the old one: taken for known ones they would be passed by."""
    a, b = pair(site)
    b.sql("INSERT INTO d.t (v) VALUES ('of the old b')")
    everywhere(a, b)
    live = forget(a, 2, check=False)
    assert live.returncode == 1 and "syncline leave" in live.stderr, live.stderr
    unknown = forget(a, 7, check=False)
    assert unknown.returncode == 2 and "there is no node 7" in unknown.stderr, unknown.stderr
    kept = b.root / "etc/mysql/syncline"
    assert log_in(b, a, kept).returncode == 0
    b.kill(server=False)
    a.run("pause", f"--defaults-file={a.settings}", "2")
    old = a.value("SELECT @@gtid_binlog_pos")
    said = forget(a, 2).stdout
    assert "Node 2 is forgotten." in said
    knows_nothing_of(a, 2)
    refused = log_in(b, a, kept)
    assert refused.returncode != 0, refused.stdout
    assert "of the old b" in {v for v, in a.sql("SELECT v FROM d.t")} and "2-2-" in old
    assert forget(a, 2, check=False).returncode == 2
    c = site.machine()
    c.join(a.invite(), number=2)
    c.sql("INSERT INTO d.t (v) VALUES ('of the new b')")
    a.sql("INSERT INTO d.t (v) VALUES ('of a')")
    everywhere(a, c)
    equal(a, c)
    assert "of the new b" in {v for v, in a.sql("SELECT v FROM d.t")}
    seq = lambda text: int(dict(g.split("-", 1) for g in text.split(","))["2"].split("-")[1])
    assert seq(c.value("SELECT @@gtid_binlog_pos")) > seq(old)


def values(machine):
    return {v for v, in machine.sql("SELECT v FROM d.t")}


def test_burned_down_of_three(site):
    """Node 2's disk is lost. Node 3 alone has its last transactions, and is off while node 2 is forgotten, which is told on node 1 only. It hears of
    that when it is back; what was acknowledged on the old node 2 reaches node 1; and the machine that gets the number gives out none of the old one's
    seqs: what it wrote under such a one would never arrive on node 3. The old machine, found again, gets in nowhere, and says so."""
    a, b, c = three(site)
    everywhere(a, b, c)
    hold(a, 2)
    hold(a, 3)
    b.sql("INSERT INTO d.t (v) VALUES ('only c has it')")
    wait_for("c to have it", lambda: "only c has it" in values(c))
    newest = seq(c, 2)
    b.kill()
    site.network.cut(3)
    assert "Node 2 is forgotten. The other nodes hear of it by themselves" in forget(a, 2).stdout
    hold(a, 3, "resume")
    wait_for("node 1 to say so", lambda: members(a)[2] == "left1")
    assert seq(a, 2) < newest
    d = site.machine()
    join = start_join(d, a.invite(), number=2)
    wait_for("the line", lambda: "Still waiting for node 3, which node 1 can't reach, to hear that node 2 was let go of" in said(d) or join.poll() is not None)
    assert join.poll() is None, said(d)
    site.network.heal(3)
    with Writer(a, "a") as on_a, Writer(c, "c") as on_c:
        assert join.wait(120) == 0, said(d) + a.logs() + c.logs()
        d.sql("INSERT INTO d.t (v) VALUES ('of the new b')")
    everyone = a, d, c
    all_live(*everyone, numbers=(1, 2, 3))
    everywhere(*everyone)
    equal(*everyone)
    assert {"only c has it", "of the new b", *on_a.confirmed, *on_c.confirmed} <= values(c)
    assert seq(d, 2) > newest
    for m in everyone:
        assert members(m) == {1: "joined1", 2: "joined1", 3: "joined1"}
    b.restart()
    b.start_daemon()
    told = lambda: b.run("status", f"--defaults-file={b.settings}", check=False).stdout
    for number in 1, 3:
        wait_for(f"node {number} to refuse it", lambda: f"node {number} doesn't let this node in; if it was let go of (syncline forget 2)" in told(), timeout=30)
    leave(b, "--force")
    assert not b.settings.exists() and "only c has it" in values(b)


def test_leaves_two_behind(site):
    """One of three nodes goes. What it alone has reaches both others first, also the one that doesn't read it just now; then nothing waits for it
    on either, or their logs would grow for ever. Before that, room is made for more nodes: every node that still has less is named."""
    a, b, c = three(site, slots=3)
    slots = lambda m, *args: m.run("slots", f"--defaults-file={m.settings}", f"--root={m.root}", *args).stdout
    told = slots(a, 6)
    for number in 2, 3:
        assert f"Node {number} still has 3 slots; run there: syncline slots 6" in told, told
    site.network.ip(2, "route", "add", "unreachable", c.address)
    told = slots(b, 6)
    assert "Node 1" not in told and "Node 3 can't be asked" in told, told
    site.network.ip(2, "route", "del", "unreachable", c.address)
    refused = site.machine().join(a.invite(), check=False)
    assert refused.returncode != 0 and "node 3 still gives out ids in steps of 3; run there: syncline slots 6" in refused.stderr, refused.stderr
    c.sql("CREATE USER app@localhost IDENTIFIED BY 'x'", "GRANT ALL ON d.* TO app@localhost")
    hold(a, 3)
    hold(a, 2)
    c.sql("INSERT INTO d.t (v) VALUES ('a lacks it')")
    stays = leave(c, "--patience=2", check=False)
    assert stays.returncode == 1 and "node 1 doesn't get all that this node has" in stays.stderr and "as it was before" in stays.stderr, stays.stderr
    assert c.value("SELECT @@read_only") == 0 and members(b)[3] == "joined1"
    hold(a, 3, "resume")
    hold(a, 2, "resume")
    with Writer(a, "a") as on_a, Writer(b, "b") as on_b, Writer(c, "c", user="app", password="x") as on_c:
        wait_for("c to be written to", lambda: len(on_c.confirmed) > 10)
        assert "Node 3 has left" in leave(c).stdout
    here = values(a)
    assert set(on_c.confirmed[:10]) | {"a lacks it"} <= here
    wait_for("both to let go of it", lambda: members(a)[3] == members(b)[3] == "left0")
    all_live(a, b)
    everywhere(a, b)
    equal(a, b)
    assert set(on_a.confirmed) | set(on_b.confirmed) <= values(b)
    for m in a, b:
        knows_nothing_of(m, 3)
        wait_for("nothing to be kept for c", lambda: status(m)["server"]["window_rows"] == 0)
    # The log may go up to where this node's own tail starts.
    last = seq(a, 1)
    wait_for("a's log to be needed no more", lambda: f"1-1-{last}" in a.value("SELECT position FROM syncline.links WHERE peer=1"))


@pytest.mark.parametrize("point", ["told", *(pytest.param(p, marks=pytest.mark.soak) for p in ("asked", "down"))])
def test_killed(site, point):
    """leave is killed at this point: the same command goes on. Else the node would be neither in nor out, and read_only."""
    a, b = pair(site)
    b.script("stop", f"""
        kill $(cat {b.root}/daemon.pid) 2>/dev/null
        while kill -0 $(cat {b.root}/daemon.pid) 2>/dev/null; do sleep 0.02; done
        true
        """)
    standby = b.root / "var/lib/syncline/standby"
    reached = {"asked": lambda: standby.exists(), "told": lambda: standby.exists() and "stage=1" in standby.read_text(),
               "down": lambda: not b.dropin.exists()}[point]
    process = subprocess.Popen([*site.network.enter(2), site.program, "leave", f"--defaults-file={b.settings}", f"--root={b.root}",
                                f"--restart={b.root}/restart", f"--service={b.root}/stop", "--yes"])
    while process.poll() is None and not reached():
        pass
    process.kill()
    process.wait()
    wait_for("b's server", b.is_up)
    if b.settings.exists():
        leave(b)
    assert not b.settings.exists() and not b.dropin.exists() and b.value("SELECT @@read_only") == 0
    wait_for("a to forget b", lambda: "peer-2" not in a.settings.read_text())
