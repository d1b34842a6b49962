"""A node that was away for too long: what it lacks is in no log any more. Whoever finds it so wants it back with what was written on both
sides, with one command that may be killed, and without a moment in which an application writes what is lost."""

import json
import os
import signal
import subprocess

import pytest

from conftest import wait_for
from machines import Writer, all_live, empty_data, equal, everywhere, hold, links, pair, seq, site, three  # fixtures


def status(machine):
    return json.loads(machine.run("status", f"--defaults-file={machine.settings}", "--json").stdout)


def start(machine):
    machine.start_daemon()
    wait_for("the daemon", lambda: '"links": [\n' in machine.run("status", f"--defaults-file={machine.settings}", "--json", check=False).stdout)


def outdate(a, b, rows=200, both=False):
    """b is cut off; both go on, and a no longer keeps what b lacks; both: nor b what a lacks."""
    b.sql("CREATE TABLE d.big (id INT PRIMARY KEY, v VARCHAR(200))", "INSERT INTO d.big SELECT seq, REPEAT('x',200) FROM d.seq_1_to_20000",
          "CREATE TABLE d.same (id INT PRIMARY KEY)", "INSERT INTO d.same SELECT seq FROM d.seq_1_to_1000")
    everywhere(a, b)
    b.kill(server=False)
    a.sql("INSERT INTO d.t (v) VALUES ('written on a while b was away')", f"UPDATE d.big SET v='changed on a' WHERE id<={rows}",
          "CREATE TABLE d.made_meanwhile (id INT PRIMARY KEY)", "INSERT INTO d.made_meanwhile VALUES (1)")
    wait_for("a to have read b's log", lambda: status(a)["links"][0]["state"] == "live")
    a.network.cut(b.number)
    if both:
        wait_for("a to miss b", lambda: status(a)["links"][0]["state"] == "connecting")
    b.sql("INSERT INTO d.t (v) VALUES ('only on b')", "UPDATE d.big SET v='changed on b' WHERE id=20000")
    purge(a)
    if both:
        purge(b)
    a.network.heal(b.number)


def purge(machine):
    """A file that is still read stays: so until it isn't."""
    machine.sql("FLUSH BINARY LOGS", "INSERT INTO d.t (v) VALUES ('after the purge')")
    last = machine.sql("SHOW BINARY LOGS")[-1][0]
    wait_for("the log to be purged", lambda: machine.sql(f"PURGE BINARY LOGS TO '{last}'", "SHOW BINARY LOGS")[0][0] == last)


def rejoin(machine, *args, **kwargs):
    return machine.run("rejoin", f"--defaults-file={machine.settings}", "--yes", *args, **kwargs)


def values(machine):
    return {v for v, in machine.sql("SELECT v FROM d.t")}


def test_comes_back(site):
    """What only the peer wrote and what only this node wrote is on both afterwards, of the large table only what differs was sent, and its
    identity is the same. Otherwise an operator would have to choose which side's day to lose, or to send everything through a slow line."""
    a, b = pair(site)
    outdate(a, b)
    start(b)
    wait_for("the link to stop", lambda: status(b)["links"][0]["state"] == "must rejoin")
    authority = (b.root / "etc/mysql/syncline/authority.pem").read_text()
    own = b.value("SELECT @@gtid_binlog_pos")
    said = rejoin(b).stdout
    assert "Node 2 is live again, both ways." in said
    everywhere(a, b)
    equal(a, b)
    assert {"only on b", "written on a while b was away", "after the purge"} <= values(a)
    assert a.value("SELECT v FROM d.big WHERE id=20000") == "changed on b"
    parts, same = map(int, [line for line in said.splitlines() if "were equal" in line][0].replace("Of", "").replace("were equal.", "").split("parts"))
    assert same > 0 and parts > same, said
    assert (b.value("SELECT @@read_only"), b.value("SELECT @@event_scheduler")) == (0, "OFF")
    assert (b.root / "etc/mysql/syncline/authority.pem").read_text() == authority
    # Its numbers go on above those it has given out, so nobody takes a new transaction for one that it knows.
    seq = lambda text: int(dict(g.split("-", 1) for g in text.split(","))["2"].split("-")[1])
    b.sql("INSERT INTO d.t (v) VALUES ('b goes on')")
    a.sql("INSERT INTO d.t (v) VALUES ('a goes on')")
    assert seq(b.value("SELECT @@gtid_binlog_pos")) > seq(own)
    everywhere(a, b)
    equal(a, b)
    # The copy's privileges are gone again.
    grants = " ".join(g for g, in a.sql("SHOW GRANTS FOR 'syncline-2'@'%'"))
    assert "GRANT SELECT ON `d`.* TO" in grants and "mysql" not in grants, grants


def test_with_writers(site):
    """Applications go on writing on the peer, and try to on the node that comes back: what was confirmed to them is there afterwards. A write that
    is confirmed between the drain and the copy would be lost without anybody's knowing."""
    a, b = pair(site)
    b.sql("CREATE USER app@localhost IDENTIFIED BY 'x'", "GRANT ALL ON d.* TO app@localhost")
    outdate(a, b)
    start(b)
    with Writer(a, "a") as on_a, Writer(b, "b", user="app", password="x") as on_b:
        wait_for("both to write", lambda: on_a.confirmed and on_b.confirmed)
        rejoin(b)
        was = len(on_b.confirmed)
        wait_for("b to be written to again", lambda: len(on_b.confirmed) > was)
    everywhere(a, b)
    equal(a, b)
    assert set(on_a.confirmed) | set(on_b.confirmed) <= values(a)


POINTS = [*(pytest.param(p, marks=pytest.mark.soak) for p in ("read_only", "ready", "reset", "told")), "copy"]


@pytest.mark.parametrize("point", POINTS)
def test_killed(site, point):
    """The command is killed at this point, as by a power cut of the terminal: the same command goes on, and the node is not left behind
    read_only. Whoever runs it over a bad line would else end with a node that neither works nor can be mended."""
    a, b = pair(site)
    outdate(a, b, rows=20000)
    start(b)
    reached = {
        "read_only": lambda: b.value("SELECT @@read_only") == 1,
        "ready": lambda: a.value("SELECT COUNT(*) FROM syncline.requests WHERE state='ready'"),
        "copy": lambda: b.value("SELECT COUNT(*) FROM d.big WHERE v='changed on a'"),
        "reset": lambda: "2-2-" not in str(b.value("SELECT @@gtid_binlog_pos")) or a.value("SELECT COUNT(*) FROM syncline.requests WHERE state IN ('said','done')"),
        "told": lambda: a.value("SELECT COUNT(*) FROM syncline.requests WHERE state='done'"),
    }[point]
    command = [*site.network.enter(2), site.program, "rejoin", f"--defaults-file={b.settings}", "--yes"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not reached():
        pass
    process.kill()
    killed = process.wait() == -signal.SIGKILL
    if killed and b.value("SELECT @@read_only"):
        wait_for("its daemon to say so", lambda: "syncline rejoin" in b.run("status", f"--defaults-file={b.settings}", "--json", check=False).stdout)
    if killed or b.value("SELECT @@read_only"):
        rejoin(b)
    assert b.value("SELECT @@read_only") == 0
    a.sql("INSERT INTO d.t (v) VALUES ('a goes on')")
    b.sql("INSERT INTO d.t (v) VALUES ('b goes on')")
    everywhere(a, b)
    equal(a, b)
    assert "only on b" in values(a)


def test_conflicts(site):
    """Both sides wrote the same rows meanwhile. The node that comes back begins with what the peer's log tells of
    that: each loss is recorded once, and a row that lost its card number is gone, not held back until somebody frees the number and
    only one node shows it."""
    a, b = pair(site)
    a.sql("CREATE TABLE d.card (id INT PRIMARY KEY, code VARCHAR(10) UNIQUE, v VARCHAR(20))", "INSERT INTO d.card VALUES (1,'one','old'),(2,'two','old')")
    everywhere(a, b)
    b.kill(server=False)
    a.network.cut(2)
    b.sql("UPDATE d.card SET v='lost on b' WHERE id=1", "SET timestamp=UNIX_TIMESTAMP()+100",
          "UPDATE d.card SET v='b' WHERE id=2", "INSERT INTO d.card VALUES (102,'X','lost on b')")
    a.sql("SET timestamp=UNIX_TIMESTAMP()+50", "UPDATE d.card SET v='a' WHERE id=1", "UPDATE d.card SET v='lost on a' WHERE id=2", "INSERT INTO d.card VALUES (101,'X','a')")
    purge(a)
    a.network.heal(2)
    start(b)
    wait_for("the cable to work again", lambda: rejoin(b, check=False).returncode == 0)
    everywhere(a, b)
    equal(a, b)
    assert a.sql("SELECT id, v FROM d.card ORDER BY id") == ((1, "a"), (2, "b"), (101, "a"))
    assert sorted(a.sql("SELECT record_id, gate_id FROM d.replication_conflicts")) == [(1, 2), (2, 1), (102, 2)]
    a.sql("DELETE FROM d.card WHERE id=101")
    everywhere(a, b)
    b.sql("INSERT INTO d.card VALUES (103,'X','again')")
    everywhere(a, b)
    equal(a, b)


def test_cannot_drain(site):
    """What only this node has can't be brought to the peer, since its log is gone as well: it says so, leaves everything as it was, and only
    --discard lets go of it, with how much that is. A command that copied anyway would throw a day's work away without a word."""
    a, b = pair(site)
    outdate(a, b, both=True)
    start(b)
    result = rejoin(b, "--patience=3", check=False)
    assert result.returncode == 1 and "what only this node has can't be brought to node 1" in result.stderr, result.stderr
    assert "--discard" in result.stderr and "as it was before" in result.stderr
    assert b.value("SELECT @@read_only") == 0 and not (b.root / "var/lib/syncline/standby").exists()
    assert "only on b" in values(b)
    said = rejoin(b, "--discard").stdout
    assert "transactions, is lost" in said
    assert "only on b" not in values(b)
    a.sql("INSERT INTO d.t (v) VALUES ('a goes on')")
    b.sql("INSERT INTO d.t (v) VALUES ('b goes on')")
    everywhere(a, b)
    equal(a, b)


def test_nobody_there(site):
    """No peer can be reached: nothing is changed. Else the node would be read_only for as long as the network is down."""
    a, b = pair(site)
    site.network.cut(2)
    result = rejoin(b, check=False)
    assert result.returncode == 1 and "node 1 can't be reached" in result.stderr, result.stderr
    assert b.value("SELECT @@read_only") == 0
    site.network.heal(2)
    wait_for("the cable to work again", lambda: rejoin(b, check=False).returncode == 0)
    everywhere(a, b)
    equal(a, b)


def goes_away(machine, *others):
    """Nobody reads for it any more, and it is cut off; a reader that was cut off would keep the log for a minute."""
    machine.kill(server=False)
    dumps = f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER='syncline-{machine.number}' AND COMMAND='Binlog Dump'"
    for other in others:
        wait_for("its readers to be gone", lambda: other.value(dumps) == 0)
    machine.network.cut(machine.number)


def as_it_was(machine):
    return machine.value("SELECT @@read_only") == 0 and not (machine.root / "var/lib/syncline/standby").exists()


def test_comes_back_to_two(site):
    """Of three nodes one was away for too long, and both others no longer keep what it lacks; they go on writing while it comes back. Each of the
    others has to read its new log from where it begins, and it theirs from where they still are. Whom it can't ask may know numbers of its
    transactions that it would give out twice, and a peer that has purged what the third lacks can't tell it what that may still write."""
    a, b, c = three(site)
    goes_away(b, a, c)
    a.sql("CREATE USER unreplicated@localhost", "INSERT INTO d.t (v) VALUES ('on a while b was away')")
    c.sql("CREATE USER unreplicated@localhost", "INSERT INTO d.t (v) VALUES ('on c while b was away')")
    b.sql("INSERT INTO d.t (v) VALUES ('only on b')")
    wait_for("a and c to have each other's", lambda: {"on a while b was away", "on c while b was away"} <= values(a) & values(c))
    purge(a)
    purge(c)
    site.network.heal(2)
    start(b)
    wait_for("both links to stop", lambda: links(b) == {1: "must rejoin", 3: "must rejoin"})
    site.network.ip(2, "route", "add", "unreachable", c.address)
    refused = rejoin(b, check=False)
    assert refused.returncode == 1 and "node 3 can't be reached" in refused.stderr and as_it_was(b), refused.stderr
    site.network.ip(2, "route", "del", "unreachable", c.address)
    with Writer(a, "a") as on_a, Writer(c, "c") as on_c:
        wait_for("both to write", lambda: on_a.confirmed and on_c.confirmed)
        assert "Node 2 is live again, both ways." in rejoin(b).stdout
        all_live(a, b, c)
        was = max(seq(m, 2) for m in (a, b, c))
        b.sql("INSERT INTO d.t (v) VALUES ('b goes on')")
        assert seq(b, 2) > was
    everywhere(a, b, c)
    equal(a, b, c)
    assert {"only on b", "b goes on", *on_a.confirmed, *on_c.confirmed} <= values(c)
    # Now node 1 purges what both others lack.
    b.kill(server=False)
    c.run("pause", f"--defaults-file={c.settings}", "1")
    a.sql("INSERT INTO d.t (v) VALUES ('nobody has it')")
    purge(a)
    start(b)
    wait_for("its link to stop", lambda: (links(b) or {}).get(1) == "must rejoin")
    refused = rejoin(b, "--from=1", check=False)
    assert refused.returncode == 1 and "node 1 has purged from its log what node 3 may lack, too" in refused.stderr, refused.stderr
    assert "as it was before" in refused.stderr and as_it_was(b)
    refused = rejoin(b, "--from=3", check=False)
    assert refused.returncode == 1 and "node 1 has purged from its log what node 3 lacks" in refused.stderr and as_it_was(b), refused.stderr


@pytest.mark.soak
def test_disk_put_back(site):
    """The disk of node 2 is put back from a copy that is some hours old. What was written there since has reached node 3 alone, which node 1 doesn't
    read just now. A copy of node 1's data would be without it, and node 2 would take it for known and never ask for it again; and it would
    give out its numbers once more."""
    a, b, c = three(site)
    everywhere(a, b, c)
    b.kill(server=False)
    subprocess.run(["sh", "-c", f"kill $(cat {b.root}/pid); while [ -e {b.root}/pid ]; do sleep 0.02; done"], check=True)
    data, kept = b.root / "var/lib/mysql", site.folder / "kept"
    subprocess.run(["cp", "-a", data, kept], check=True)
    b.restart()
    start(b)
    all_live(a, b, c)
    hold(a, 2)
    hold(a, 3)
    b.sql("INSERT INTO d.t (v) VALUES ('only c has it')")
    wait_for("c to have it", lambda: "only c has it" in values(c))
    newest = seq(c, 2)
    b.kill()
    subprocess.run(["rm", "-r", data], check=True)
    kept.rename(data)
    b.restart()
    assert seq(b, 2) < newest
    refused = rejoin(b, "--from=1", "--patience=2", check=False)
    assert refused.returncode == 1 and "that node 3 has" in refused.stderr and "take the copy --from=3" in refused.stderr and as_it_was(b), refused.stderr
    b.start_daemon()
    hold(a, 2, "resume")
    hold(a, 3, "resume")
    with Writer(a, "a") as on_a, Writer(c, "c") as on_c:
        rejoin(b)
        b.sql("INSERT INTO d.t (v) VALUES ('b goes on')")
    assert seq(b, 2) > newest
    all_live(a, b, c)
    everywhere(a, b, c)
    equal(a, b, c)
    assert {"only c has it", "b goes on", *on_a.confirmed, *on_c.confirmed} <= values(a)


@pytest.mark.soak
@pytest.mark.parametrize("point", ["copy", "told", "moved"])
def test_killed_of_three(site, point):
    """As test_killed, where a third node has to be told, or was: it must not be left with a log that begins where it doesn't know of."""
    a, b, c = three(site)
    goes_away(b, a, c)
    a.sql("INSERT INTO d.t (v) VALUES ('on a')")
    c.sql("CREATE TABLE d.big (id INT PRIMARY KEY, v VARCHAR(200))", "INSERT INTO d.big SELECT seq, REPEAT('x',200) FROM d.seq_1_to_20000")
    b.sql("INSERT INTO d.t (v) VALUES ('only on b')")
    wait_for("a and c to have each other's", lambda: "on a" in values(c) and seq(a, 3) == seq(c, 3))
    purge(a)
    purge(c)
    site.network.heal(2)
    start(b)
    asked = lambda m, kind, *states: m.value(f"SELECT COUNT(*) FROM syncline.requests WHERE kind='{kind}' AND state IN {(*states, '')}")
    reached = {"copy": lambda: b.value("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema='d' AND table_name='big'"),
               "told": lambda: asked(a, "copy", "said", "done"), "moved": lambda: asked(c, "moved", "asked", "done")}[point]
    process = subprocess.Popen([*site.network.enter(2), site.program, "rejoin", f"--defaults-file={b.settings}", "--yes", "--from=1"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not reached():
        pass
    process.kill()
    process.wait()
    rejoin(b, "--from=1")
    for m in a, b, c:
        m.sql(f"INSERT INTO d.t (v) VALUES ('{m.number} goes on')")
    all_live(a, b, c)
    everywhere(a, b, c)
    equal(a, b, c)
    assert {"only on b", "1 goes on", "2 goes on", "3 goes on"} <= values(a)
