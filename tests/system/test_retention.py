"""What becomes of a node's own binary log. A gate that was cut off for a week must find on the others what it missed; and an SD card
that is full of log that nobody needs any more stops the gate all the same."""

import os
import re
import subprocess

import pytest

from conftest import run, wait_for

SMALL = ("max_binlog_size=65536", "expire_logs_days=0")
TABLE = ("CREATE DATABASE d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v LONGTEXT)")


def set_options(lab, node, **options):
    """In the node's settings file; takes effect when its daemon starts."""
    file = lab.dir / f"node{node}" / "syncline.cnf"
    text = re.sub(r"retention-.*\n", "", file.read_text())
    lines = "".join(f"{name.replace('_', '-')} = {value}\n" for name, value in options.items())
    file.write_text(text.replace("[syncline]\n", "[syncline]\n" + lines, 1))


def restart(lab, node):
    lab.kill(node, "--daemon")
    lab.start(node, "--daemon")


def files(lab, node):
    return [row[0] for row in lab.sql(node, "SHOW BINARY LOGS")]


def fill(lab, node, count=4):
    """Writes so many log files full."""
    last = files(lab, node)[-1]
    for _ in range(count):
        lab.sql(node, "INSERT INTO d.t (v) VALUES (REPEAT('x', 70000))")
    wait_for("new log files", lambda: files(lab, node)[-1] > last)


def cut_off(lab, node):
    for other in lab.nodes:
        if other != node:
            lab.cut(node, other)


def heal(lab, node):
    for other in lab.nodes:
        if other != node:
            lab.heal(node, other)


def goes(lab, node, file):
    """Until this file is gone. It goes when the others have saved that they have it, and a little more log was written: what is said of
    nothing new is saved now and then only."""
    wait_for(f"{file} of node {node} to go", lambda: file not in files(lab, node))


def test_what_a_peer_needs_stays(make_lab):
    """A node is away for long. Purged, what it missed would be lost to it: it had to be copied anew. Kept after it came back, the card
    fills up. And a daemon that is killed in between must not take its ignorance of the peer for agreement."""
    lab = make_lab(nodes=3, server_options=SMALL)
    lab.sql(1, *TABLE)
    lab.wait()
    cut_off(lab, 3)
    first = files(lab, 1)[-1]
    fill(lab, 1)
    lab.sql(2, "INSERT INTO d.t (v) VALUES ('of 2')")
    lab.kill(1, "--daemon")
    fill(lab, 1)
    lab.start(1, "--daemon")
    lab.wait_state(1, 2, "live")
    fill(lab, 1)
    # It has looked at the log as it is now, with both peers' last word.
    last = files(lab, 1)[-1]
    wait_for("a look at the log", lambda: lab.status(1)["server"]["log_bytes"] is not None)
    wait_for("the position of node 2", lambda: lab.value(2, "SELECT COUNT(*) FROM syncline.links WHERE peer=1 AND position<>''"))
    assert files(lab, 1)[0] <= first < last and first in files(lab, 1)
    heal(lab, 3)
    lab.wait()
    lab.assert_equal()
    lab.sql(3, "INSERT INTO d.t (v) VALUES ('of 3')")
    goes(lab, 1, first)
    restart(lab, 1)
    lab.sql(1, "INSERT INTO d.t (v) VALUES ('after a restart')")
    lab.wait()
    lab.assert_equal()
    assert "1236" not in lab.log(1) and "must rejoin" not in lab.log(3)


@pytest.mark.soak
def test_a_pair_that_writes_on_one_side(make_lab):
    """Most doors only listen. Of a pair a node saves its position now and then, without a batch: if that never counted, the log of the
    one that writes would be kept for ever."""
    lab = make_lab(server_options=SMALL)
    lab.sql(1, *TABLE)
    first = files(lab, 1)[-1]
    fill(lab, 1, 8)
    lab.wait()
    goes(lab, 1, first)
    status = lab.status(1)
    assert status["server"]["log_oldest"] and status["server"]["log_held"] is None
    lab.kill(1)
    lab.start(1)
    lab.sql(2, "INSERT INTO d.t (v) VALUES ('of 2')")
    lab.wait()
    lab.assert_equal()


@pytest.mark.soak
def test_what_is_not_replicated_is_kept_for_nobody(make_lab):
    """Another program writes to the gate's server all night, and nobody passes: no peer acknowledges any of it, and the card would fill
    up with it."""
    lab = make_lab(nodes=3, server_options=SMALL)
    lab.sql(1, *TABLE, "CREATE DATABASE private", "CREATE TABLE private.t (v LONGTEXT)", "INSERT INTO d.t (v) VALUES ('last')")
    lab.wait()
    first = files(lab, 1)[-1]
    for _ in range(6):
        lab.sql(1, "INSERT INTO private.t VALUES (REPEAT('x', 70000))")
    goes(lab, 1, first)


def test_a_log_that_was_purged_by_hand(make_lab):
    """Somebody needed room and took the log away. The node that missed it can't go on whatever it tries: it has to say that, and from when
    on it lacks what was written, and not fill its own log with trying. What is mended by hand it must notice."""
    lab = make_lab(server_options=SMALL)
    lab.sql(1, *TABLE)
    lab.wait()
    lab.cut(1, 2)
    fill(lab, 1, 1)
    lab.sql(1, "INSERT INTO d.t (v) VALUES ('lost')", "FLUSH BINARY LOGS")
    wait_for("the log to go", lambda: lab.sql(1, f"PURGE BINARY LOGS TO '{files(lab, 1)[-1]}'") == () and len(files(lab, 1)) == 1)
    lab.heal(1, 2)
    link = lab.wait_state(2, 1, "must rejoin")
    assert "run `syncline rejoin` on this node" in link["why"] and "where this node stopped reading, a" in link["why"]
    shown = lab.command("status").stdout
    assert "must rejoin" in shown and "mend:    syncline rejoin\n" in shown and link["mend"] == "syncline rejoin" and not link["offline_since"]
    assert run("health", f"--defaults-file={lab.dir}/node2/syncline.cnf", check=False).returncode == 2
    lab.wait_state(1, 2, "live")
    assert lab.log(2).count("must rejoin") == 1
    position = lab.value(1, "SELECT @@gtid_binlog_pos")
    lab.sql(2, "SET sql_log_bin=0", f"REPLACE INTO syncline.links VALUES (1, '{position}', '', 0)")
    run("resume", f"--defaults-file={lab.dir}/node2/syncline.cnf", "1")
    lab.wait_state(2, 1, "live")


def test_a_limit_makes_a_node_rejoin(make_lab):
    """The limit is there so that the node that works goes on working: the one that was away too long has to say so, by name and with
    what to do, on both sides, and not be tried every second; and the third must not notice. What it wrote while it was away can't be
    compared any more once a daemon was restarted: taken as it comes, it would overwrite rows that it never saw."""
    lab = make_lab(nodes=3, server_options=SMALL)
    set_options(lab, 1, retention_bytes="400K")
    set_options(lab, 2, retention_bytes="400K")
    restart(lab, 1), restart(lab, 2)
    lab.sql(1, *TABLE, "INSERT INTO d.t VALUES (1, 'base')")
    lab.wait()
    for node in (1, 2):
        wait_for("a saved start of the tail", lambda: lab.value(node, f"SELECT position FROM syncline.links WHERE peer={node}"))
    cut_off(lab, 3)
    lab.sql(1, "UPDATE d.t SET v='one' WHERE id=1")
    lab.sql(3, "UPDATE d.t SET v='three, later' WHERE id=1")
    needed = files(lab, 1)[-1]
    fill(lab, 1, 12)
    for node in (1, 2):
        wait_for("a file that is needed to go", lambda: "node 3 still needed" in lab.log(node))
    assert needed not in files(lab, 1)
    lab.kill(1, "--daemon")
    fill(lab, 1, 4)
    lab.start(1, "--daemon")
    lab.kill(2)
    lab.start(2)
    heal(lab, 3)
    for peer in (1, 2):
        link = lab.wait_state(3, peer, "must rejoin")
        assert "run `syncline rejoin` on this node" in link["why"] and "where this node stopped reading, a" in link["why"]
    assert "must rejoin" in lab.command("status").stdout
    assert lab.log(3).count("must rejoin") <= 4
    link = lab.wait_state(1, 3, "stopped")
    assert "without knowing" in link["why"] and link["transaction"].startswith("3-3-")
    lab.sql(2, "INSERT INTO d.t (v) VALUES ('of 2')")
    for node, other in ((1, 2), (2, 1)):
        lab.wait_state(node, other, "live")
    wait_for("node 2's row on 1", lambda: lab.value(1, "SELECT COUNT(*) FROM d.t WHERE v='of 2'") == 1)
    wait_for("as many rows", lambda: lab.value(1, "SELECT COUNT(*) FROM d.t") == lab.value(2, "SELECT COUNT(*) FROM d.t"))
    assert lab.value(1, "SELECT v FROM d.t WHERE id=1") == lab.value(2, "SELECT v FROM d.t WHERE id=1") == "one"


@pytest.mark.soak
def test_how_long_a_node_may_stay_away(make_lab):
    """Whoever takes a lorry on a long tour wants to know before, not when it is back."""
    lab = make_lab(server_options=SMALL)
    set_options(lab, 1, retention_bytes="1G", retention_free_bytes="0")
    restart(lab, 1)
    lab.sql(1, *TABLE)

    def measured():
        lab.sql(1, "INSERT INTO d.t (v) VALUES (REPEAT('x', 7000))")
        return lab.link(1, 2)["may_stay_away_seconds"]

    seconds = wait_for("a measured rate", measured)
    assert 0 < seconds < 10**9
    assert "may stay away " in run("status", f"--defaults-file={lab.dir}/node1/syncline.cnf").stdout
    restart(lab, 1)  # what was measured is not forgotten
    assert wait_for("the rate again", lambda: lab.link(1, 2)["may_stay_away_seconds"]) > 0


def test_the_servers_own_expiry_is_told(make_lab):
    """It knows nothing of peers: whoever has it set, as Debian does, finds out from a node that has to be copied anew."""
    lab = make_lab(server_options=("expire_logs_days=10",))
    wait_for("a warning", lambda: "binlog_expire_logs_seconds = 864000" in lab.log(1))
    assert lab.log(1).count("binlog_expire_logs_seconds") == 1


def test_a_full_file_system(make_lab):
    """Whatever fills the card: once it is full the gate's server stops. What a peer needs goes before that."""
    lab = make_lab(server_options=SMALL)
    lab.sql(1, *TABLE)
    lab.wait()
    lab.kill(1)
    data, disk = lab.dir / "node1" / "data", lab.dir / "node1" / "data.disk"
    data.rename(disk)
    data.mkdir(mode=0o700)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m,mode=700", "none", data]).returncode != 0:
        pytest.skip("a file system that can be filled needs the right to mount one")
    try:
        subprocess.run(["cp", "-a", f"{disk}/.", str(data)], check=True)
        space = os.statvfs(data)
        set_options(lab, 1, retention_free_bytes=space.f_bavail * space.f_frsize - (30 << 20))
        lab.start(1)
        lab.wait()
        wait_for("a saved start of the tail", lambda: lab.value(1, "SELECT position FROM syncline.links WHERE peer=1"))
        lab.cut(1, 2)
        first = files(lab, 1)[-1]
        fill(lab, 1, 10)
        (data / "filler").write_bytes(b"x" * (30 << 20))
        fill(lab, 1, 1)
        goes(lab, 1, first)
        wait_for("the node by name", lambda: "node 2 still needed" in lab.log(1))
        (data / "filler").unlink()
        lab.heal(1, 2)
        lab.wait_state(2, 1, "must rejoin")
    finally:
        lab.kill(1)
        subprocess.run(["umount", "-l", data], check=True)
