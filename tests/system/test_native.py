"""MariaDB's own replication as the engine: an owner who knows SHOW SLAVE STATUS by heart, and wants nothing between two
servers but MariaDB, gets it set up and watched, and may go over to the other engine and back while the gates are in
use."""

import json
import os
import subprocess
import threading

import pymysql
import pytest

from conftest import SYNCLINE, WAIT_S, run, wait_for
from machines import empty_data, pair, site  # fixtures
from test_conflicts import settled
from test_retention import SMALL, files, fill, goes, set_options


def settings(lab, node):
    return lab.dir / f"node{node}" / "syncline.cnf"


def set_engine(lab, node, engine):
    """By hand, as an owner would."""
    text = settings(lab, node).read_text()
    lines = [l for l in text.splitlines() if not l.startswith("engine")]
    lines.insert(lines.index("[syncline]") + 1, f"engine = {engine}")
    settings(lab, node).write_text("\n".join(lines) + "\n")


def restart_daemon(lab, node):
    lab.kill(node, "--daemon")
    lab.start(node, "--daemon")


def engine(lab, node, name, **kwargs):
    return run("engine", name, f"--defaults-file={settings(lab, node)}", **kwargs)


def slave_status(lab, node):
    connection = lab.connect(node, cursorclass=pymysql.cursors.DictCursor)
    with connection.cursor() as cursor:
        cursor.execute("SHOW SLAVE STATUS")
        return cursor.fetchone()


@pytest.fixture
def make_network_lab(make_lab):
    def make(*options, **kwargs):
        try:
            return make_lab(extra=("--network", *options), **kwargs)
        except AssertionError as error:
            if any(part in str(error) for part in ("network namespace", "ip program", "user namespaces")):
                pytest.skip("MariaDB's own replication needs TCP, and network namespaces can't be made here")
            raise

    return make


@pytest.fixture
def lab(make_network_lab):
    lab = make_network_lab()
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, node INT, v INT)")
    lab.wait()
    return lab


class Writer:
    """Inserts into d.t on one node, one row a transaction, and updates its own rows, until it is stopped."""

    def __init__(self, lab, node):
        self.lab, self.node, self.count, self.error, self.ending = lab, node, 0, None, threading.Event()
        self.connection = lab.connect(node)
        self.thread = threading.Thread(target=self.write)
        self.thread.start()

    def write(self):
        try:
            with self.connection.cursor() as cursor:
                while not self.ending.is_set():
                    cursor.execute("INSERT INTO d.t (node, v) VALUES (%s, 0)", (self.node,))
                    self.count += 1
                    if self.count % 7 == 0:
                        cursor.execute("UPDATE d.t SET v=v+1 WHERE id=%s", (cursor.lastrowid,))
                    self.ending.wait(0.002)
        except pymysql.Error as error:
            self.error = error

    def wait_for(self, more):
        goal = self.count + more
        wait_for(f"{more} more rows on node {self.node}", lambda: self.error or self.count >= goal)

    def stop(self):
        self.ending.set()
        self.thread.join()
        assert self.error is None, self.error
        return self.count


def check_rows(lab, counts):
    lab.wait()
    lab.assert_equal()
    for node in lab.nodes:
        for writer, count in counts.items():
            assert lab.value(node, f"SELECT COUNT(*) FROM d.t WHERE node={writer}") == count, (node, writer)


def test_from_the_settings_file(lab):
    """A pair that is to be native from its first day: what the guide has people type has to be there, said as the guide
    says it, and only what is replicated may come over."""
    for node in lab.nodes:
        set_engine(lab, node, "native")
        restart_daemon(lab, node)
    for node, peer in ((1, 2), (2, 1)):
        link = lab.wait_state(node, peer, "live")
        assert lab.status(node)["engine"] == "native"
        status = slave_status(lab, node)
        assert (status["Slave_IO_Running"], status["Slave_SQL_Running"], status["Last_Error"]) == ("Yes", "Yes", "")
        assert status["Using_Gtid"] == "Slave_Pos" and status["Master_SSL_Allowed"] == "Yes"
        assert link["lag_transactions"] == 0, link
    lab.sql(1, "INSERT INTO d.t (node, v) VALUES (1, 1)", "CREATE DATABASE other",
            "CREATE TABLE other.x (id INT PRIMARY KEY)", "INSERT INTO other.x VALUES (1)", "USE other",
            "CREATE TABLE d.from_elsewhere (id INT PRIMARY KEY)",
            "INSERT INTO d.from_elsewhere VALUES (1)", "USE d", "CREATE TABLE other.y (id INT PRIMARY KEY)")
    lab.sql(2, "INSERT INTO d.t (node, v) VALUES (2, 1)")
    lab.wait()
    lab.assert_equal()
    assert lab.sql(2, "SHOW DATABASES LIKE 'other'") == ()
    assert lab.value(2, "SELECT COUNT(*) FROM d.from_elsewhere") == 1
    text = run("status", f"--defaults-file={settings(lab, 1)}").stdout
    assert "engine native" in text and "live" in text


@pytest.mark.sanitizer
def test_there_and_back_under_writers(lab):
    """Both nodes go over to MariaDB's replication and back, one after the other, while both are written to: a row that
    is lost or is there twice is found by somebody at a closed gate, weeks later."""
    writers = [Writer(lab, node) for node in lab.nodes]
    try:
        for name in ("native", "merge"):
            for node in (1, 2):
                writers[0].wait_for(60)
                assert f"engine {name}" in engine(lab, node, name).stdout
                assert lab.status(node)["engine"] == name
                writers[1].wait_for(60)
                lab.wait_state(node, 3 - node, "live")
    finally:
        counts = {w.node: w.stop() for w in writers}
    check_rows(lab, counts)
    assert slave_status(lab, 1) is None and slave_status(lab, 2) is None
    for node in lab.nodes:
        assert "engine = merge" in settings(lab, node).read_text().splitlines()
        assert lab.status(node)["links"][0]["resolved_transactions"] == 0
        assert lab.tables(node) == ["t"], "nothing was in conflict"


def test_conflicts_behind_a_change(lab):
    """After native and back the merge engine must know what each node knew: a write that follows another one isn't in
    conflict with it, and two that don't know of each other are, and come out equal."""
    lab.sql(1, "INSERT INTO d.t (id, node, v) VALUES (1, 1, 0), (3, 1, 0)")
    lab.wait()
    engine(lab, 1, "native")
    for i in range(10):
        lab.sql(1 + i % 2, f"UPDATE d.t SET v=v+1 WHERE id=1")
        lab.wait()
    engine(lab, 1, "merge")
    for i in range(10):
        lab.sql(1 + i % 2, f"UPDATE d.t SET v=v+1 WHERE id=1")
        lab.wait()
    assert lab.value(1, "SELECT v FROM d.t WHERE id=1") == 20
    assert [lab.status(n)["links"][0]["resolved_transactions"] for n in lab.nodes] == [0, 0]
    # One row is held back while node 1 goes over and back: what is left to do is in its log alone.
    lab.sql(1, "CREATE TABLE d.u (id INT PRIMARY KEY, u INT UNIQUE)")
    lab.wait()
    run("pause", f"--defaults-file={settings(lab, 2)}", "1")
    wait_for("the pause", lambda: lab.link(2, 1)["paused"] and lab.link(2, 1)["state"] == "connecting")
    lab.sql(1, "INSERT INTO d.u VALUES (1, 7)", "UPDATE d.t SET v=100 WHERE id=3")
    lab.sql(2, "INSERT INTO d.u VALUES (2, 7)", "UPDATE d.t SET v=200 WHERE id=3")
    wait_for("a row to be held back", lambda: lab.status(1)["server"]["held_rows"])
    engine(lab, 1, "native")
    assert lab.value(1, "SELECT COUNT(*) FROM syncline.forgotten WHERE id=1") == 1
    assert "rows held back: 1" in lab.log(1)
    engine(lab, 1, "merge")
    run("resume", f"--defaults-file={settings(lab, 2)}", "1")
    settled(lab)
    wait_for("nothing to be left", lambda: (s := lab.status(1)["server"])["state"] == "live" and not s["held_rows"])
    engine(lab, 1, "native")
    assert lab.value(1, "SELECT COUNT(*) FROM syncline.forgotten WHERE id=1") == 0
    assert lab.value(1, "SELECT v FROM d.t WHERE id=3") == 200
    assert lab.value(1, "SELECT COUNT(*) FROM d.replication_conflicts WHERE table_name='t'") == 1


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2))
def test_killed_within_a_change(lab, seed):
    """The power goes while an owner changes the engine: whatever step it was at, the next start finishes it, and no row
    is lost or applied twice."""
    print("seed", seed)
    writers = [Writer(lab, node) for node in lab.nodes]
    try:
        for i, name in enumerate(("native", "merge") * 4):
            node = 1 + i // 2 % 2
            writers[0].wait_for(20)
            command = subprocess.Popen([SYNCLINE, "engine", name, f"--defaults-file={settings(lab, node)}"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            writers[1].wait_for((i * 7 + seed * 5) % 23)
            lab.kill(node, "--daemon")
            command.wait()
            lab.start(node, "--daemon")
            lab.wait_state(node, 3 - node, "live")
            wanted = "native" if "engine = native" in settings(lab, node).read_text() else "merge"
            assert lab.status(node)["engine"] == wanted
            engine(lab, node, name)
    finally:
        counts = {w.node: w.stop() for w in writers}
    check_rows(lab, counts)


@pytest.mark.parametrize("step", ["mark", *(pytest.param(s, marks=pytest.mark.soak) for s in ("position", "stopped", "marked back"))])
def test_killed_at_a_step(lab, step):
    """As above, but at each step for certain, with writes before the next start. The step is the last one done."""
    towards_native = step in ("position", "mark")
    if not towards_native:
        engine(lab, 1, "native")
    lab.sql(1, "INSERT INTO d.t (node, v) VALUES (1, 1)")
    lab.sql(2, "INSERT INTO d.t (node, v) VALUES (2, 1)", "CREATE DATABASE other")  # what comes last isn't replicated
    lab.wait()
    lab.kill(1, "--daemon")
    set_engine(lab, 1, "native" if towards_native else "merge")
    unlogged = "SET SESSION sql_log_bin=0"
    if step == "position":
        lab.sql(1, f"SET GLOBAL gtid_slave_pos='{lab.value(1, 'SELECT @@gtid_binlog_pos')}'")
    elif step == "mark":
        lab.start(1, "--daemon")
        lab.wait_state(1, 2, "live")
        lab.kill(1, "--daemon")
        lab.sql(1, "STOP SLAVE", "RESET SLAVE ALL")
    elif step == "stopped":
        lab.sql(1, "STOP SLAVE")
    else:
        lab.sql(1, unlogged, "UPDATE syncline.engine SET engine='merge', set_up=1")  # MariaDB's replication runs on
    lab.sql(1, "INSERT INTO d.t (node, v) VALUES (1, 2)", "UPDATE d.t SET v=v+10 WHERE node=1 AND v=1")
    lab.sql(2, "INSERT INTO d.t (node, v) VALUES (2, 2)", "UPDATE d.t SET v=v+10 WHERE node=2 AND v=1")
    lab.start(1, "--daemon")
    lab.wait_state(1, 2, "live")
    lab.sql(2, "INSERT INTO d.t (node, v) VALUES (2, 3)")
    lab.wait()
    lab.assert_equal()
    assert sorted(lab.sql(1, "SELECT node, v FROM d.t")) == [(1, 2), (1, 11), (2, 2), (2, 3), (2, 11)]
    assert (slave_status(lab, 1) is not None) == towards_native
    mark = ("native", 1) if towards_native else ("merge", 0)
    assert lab.sql(1, "SELECT engine, set_up FROM syncline.engine") == (mark,)
    assert lab.tables(1) == ["t"], "nothing was in conflict"


def test_stopped_is_shown(lab):
    """MariaDB's replication stops at a row that doesn't fit, in silence. The owner must see that, at what, and what to
    do; the doctor must see a filter or a position that somebody else set; and one who stopped it by hand mustn't find it started again behind his back."""
    engine(lab, 2, "native")
    lab.sql(2, "SET SESSION sql_log_bin=0", "INSERT INTO d.t (id, node, v) VALUES (1001, 2, 2)")
    lab.sql(1, "INSERT INTO d.t (id, node, v) VALUES (1001, 1, 1)", "INSERT INTO d.t (id, node, v) VALUES (1003, 1, 1)")
    link = lab.wait_state(2, 1, "stopped")
    assert "1062" in link["why"] and link["transaction"] in link["why"] and "make them equal" in link["why"], link
    assert link["lag_transactions"] is None or link["lag_transactions"] >= 1
    lab.sql(2, "SET SESSION sql_log_bin=0", "UPDATE d.t SET node=1, v=1 WHERE id=1001")
    run("skip", f"--defaults-file={settings(lab, 2)}", link["transaction"])
    lab.wait()
    lab.assert_equal()
    assert codes(lab, 2) == ["SL098"] and codes(lab, 1) == ["SL098"]
    lab.sql(2, "STOP SLAVE", "SET GLOBAL replicate_do_db='d'")
    link = lab.wait_state(2, 1, "stopped")
    assert "START SLAVE" in link["why"], link
    options = lab.dir / "node2" / "my.cnf"
    before = options.read_text()
    options.write_text(before.replace("skip_slave_start", "skip-slave-start = OFF #"))
    assert codes(lab, 2) == ["SL061", "SL092", "SL094", "SL098"]
    options.write_text(before)
    lab.kill(2, "--daemon")
    lab.sql(2, "CHANGE MASTER TO MASTER_USE_GTID=no")
    assert codes(lab, 2) == ["SL060", "SL094", "SL095", "SL096", "SL098"]
    lab.start(2, "--daemon")
    lab.wait_state(2, 1, "live")
    assert codes(lab, 2) == ["SL098"]


def test_pause_and_restarts(lab):
    """A paused link stays paused whatever restarts, and a server that restarts replicates again without anybody's help,
    with the filter, which MariaDB forgets."""
    engine(lab, 1, "native")
    engine(lab, 2, "native")
    run("pause", f"--defaults-file={settings(lab, 2)}", "1")
    assert slave_status(lab, 2)["Slave_SQL_Running"] == "No"
    lab.sql(1, "INSERT INTO d.t (node, v) VALUES (1, 1)")
    restart_daemon(lab, 2)
    wait_for("the link to be paused", lambda: lab.link(2, 1) and lab.link(2, 1)["paused"])
    assert lab.value(2, "SELECT COUNT(*) FROM d.t") == 0
    run("resume", f"--defaults-file={settings(lab, 2)}", "1")
    lab.wait()
    lab.kill(2, "--server")
    lab.sql(1, "INSERT INTO d.t (node, v) VALUES (1, 2)", "CREATE DATABASE other",
            "CREATE TABLE other.x (id INT PRIMARY KEY)")
    lab.start(2, "--server")
    lab.wait_state(2, 1, "live")
    lab.wait()
    lab.assert_equal()
    assert lab.sql(2, "SHOW DATABASES LIKE 'other'") == ()
    lab.command("unplug", 1)
    lab.sql(1, "INSERT INTO d.t (node, v) VALUES (1, 3)")
    lab.wait_state(2, 1, "connecting")
    wait_for("it to be offline", lambda: lab.link(2, 1)["offline_since"])
    lab.command("plug", 1)
    lab.wait()
    lab.assert_equal()
    link = lab.wait_state(2, 1, "live")
    assert link["offline_since"] is None and link["lag_bytes"] == 0 and abs(link["clock_offset_ms"]) < 2000, link


def start_native(lab):
    """Without asking the merge engine, which log_slave_updates = OFF has no way back to."""
    for node in lab.nodes:
        lab.kill(node, "--daemon")
        set_engine(lab, node, "native")
        lab.sql(node, f"SET GLOBAL gtid_slave_pos='{lab.value(node, 'SELECT @@gtid_binlog_pos')}'", "SET SESSION sql_log_bin=0",
                "REPLACE INTO syncline.engine VALUES (1, 'native', 1)")
    for node in lab.nodes:
        lab.start(node, "--daemon")
    for node in lab.nodes:
        lab.wait_state(node, 3 - node, "live")


def test_the_log_goes(make_network_lab):
    """An SD card fills up with log that the peer has long since applied; or, worse, the log goes while the peer is away and
    needs it. Past the limit it has to go, and then both sides must say so, and what to do."""
    lab = make_network_lab("--server-option", "log_slave_updates=OFF", server_options=SMALL)
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v LONGTEXT)")
    lab.wait()
    start_native(lab)
    first = files(lab, 1)[-1]
    fill(lab, 1)
    goes(lab, 1, first)
    lab.command("unplug", 2)
    needed = files(lab, 1)[-1]
    set_options(lab, 1, retention_bytes="400K", retention_free_bytes="0")
    restart_daemon(lab, 1)
    fill(lab, 1, 2)
    wait_for("a look at the log", lambda: (lab.status(1)["server"]["log_bytes"] or 0) > 140000)
    assert needed in files(lab, 1)
    fill(lab, 1, 12)
    wait_for("node 2 by name", lambda: "node 2 still needed" in lab.log(1))
    assert needed not in files(lab, 1)
    lab.command("plug", 2)
    link = lab.wait_state(2, 1, "must rejoin")
    assert "no longer has its log" in link["why"] and "syncline rejoin" in link["why"], link
    assert "SL066" in codes(lab, 2)
    lab.wait_state(1, 2, "live")
    assert lab.log(2).count("must rejoin") == 1


@pytest.mark.soak
def test_the_log_goes_and_back(make_network_lab):
    """As above, on a pair that may go back to the merge engine any day: what that wants of the log must be there, and then it has to
    tell a conflict from a write that follows another."""
    lab = make_network_lab(server_options=SMALL)
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v LONGTEXT)",
            "CREATE DATABASE private", "CREATE TABLE private.t (v LONGTEXT)")
    lab.wait()
    for node in lab.nodes:
        engine(lab, node, "native")
    first = files(lab, 1)[-1]
    fill(lab, 1)
    lab.sql(2, "INSERT INTO d.t (id, v) VALUES (1000, 'of 2')", "INSERT INTO d.t (id, v) VALUES (1002, 'of 2')")
    for _ in range(3):
        lab.sql(1, "INSERT INTO private.t VALUES (REPEAT('x', 70000))")  # is nobody's reason to keep it
    goes(lab, 1, first)
    wait_for("all but one", lambda: len(files(lab, 1)) == 1)
    for node in lab.nodes:
        engine(lab, node, "merge")
        lab.wait_state(node, 3 - node, "live")
    lab.sql(1, "UPDATE d.t SET v='one' WHERE id=1000")
    lab.wait()
    lab.sql(2, "UPDATE d.t SET v='two' WHERE id=1000")
    lab.cut(1, 2)
    lab.sql(1, "UPDATE d.t SET v='one' WHERE id=1002")
    lab.sql(2, "UPDATE d.t SET v='two' WHERE id=1002")
    lab.heal(1, 2)
    settled(lab)
    assert lab.value(1, "SELECT COUNT(*) FROM d.replication_conflicts") == 1
    assert lab.rows(1, "d.t")[-1] == lab.rows(2, "d.t")[-1]


def test_refused(make_lab, lab):
    """What can't work is said before anything is changed: an owner who finds both engines off after a typing error has
    no pair."""
    local = make_lab()
    before = settings(local, 1).read_text()
    result = engine(local, 1, "native", check=False)
    assert result.returncode == 1 and "socket" in result.stderr and "host" in result.stderr, result.stderr
    assert settings(local, 1).read_text() == before
    assert engine(local, 1, "fast", check=False).returncode == 2
    set_engine(local, 1, "native")
    result = run("run", f"--defaults-file={settings(local, 1)}", check=False)
    assert result.returncode == 1 and "socket" in result.stderr, result.stderr

    lab.sql(1, "CHANGE MASTER TO MASTER_HOST='192.168.10.2', MASTER_USER='somebody'")
    before = settings(lab, 1).read_text()
    result = engine(lab, 1, "native", check=False)
    assert result.returncode == 1 and "syncline didn't set up" in result.stderr, result.stderr
    assert settings(lab, 1).read_text().replace("engine = merge\n", "") == before
    assert lab.status(1)["engine"] == "merge"
    lab.sql(1, "RESET SLAVE ALL", "INSERT INTO d.t (node, v) VALUES (1, 1)")
    lab.wait()
    lab.assert_equal()


def test_not_running(lab):
    """The file is enough: a daemon that is down is to find there what it is to do, and the rest of the file as it
    was."""
    lab.kill(1, "--daemon")
    with settings(lab, 1).open("a") as file:
        file.write("# a note of the owner's\n")
    settings(lab, 1).chmod(0o640)
    before = settings(lab, 1).read_text()
    assert "isn't running" in engine(lab, 1, "native").stdout
    assert settings(lab, 1).read_text().replace("engine = native\n", "") == before
    assert settings(lab, 1).stat().st_mode & 0o777 == 0o640
    lab.start(1, "--daemon")
    lab.wait_state(1, 2, "live")
    assert lab.status(1)["engine"] == "native"


def on_node(lab, node, command, *options):
    """On the node itself: it has to reach the other one."""
    spaces = f"/proc/{lab.server_pid(node)}/ns"
    enter = ["nsenter", f"--net={spaces}/net"]
    if os.readlink(f"{spaces}/user") != os.readlink("/proc/self/ns/user"):
        enter += [f"--user={spaces}/user", "--preserve-credentials"]
    return subprocess.run([*enter, SYNCLINE, command, f"--defaults-file={settings(lab, node)}", *options],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S)


def adopt(lab, node, *options):
    return on_node(lab, node, "adopt", *options)


def codes(lab, node):
    """Of the doctor's findings, those that say more than that this is a lab."""
    findings = json.loads(on_node(lab, node, "doctor", "--json").stdout)["findings"]
    return sorted({f["code"] for f in findings} - {"SL024", "SL059"})


PASSWORD = "it's a \\ secret"


def set_up_by_hand(lab):
    """A pair as people made it with CHANGE MASTER by file and position: one gtid_domain_id, no row metadata, no
    log_slave_updates, a filter by the session's database, an account with a password."""
    places = {}
    for node in lab.nodes:
        lab.kill(node, "--daemon")
        lab.sql(node, "SET SESSION sql_log_bin=0", "DROP DATABASE syncline", "DROP DATABASE IF EXISTS d",
                "CREATE USER repl_user@'%%' IDENTIFIED BY 'it''s a \\\\ secret'",
                "GRANT REPLICATION SLAVE ON *.* TO repl_user@'%%'", "RESET MASTER",
                "SET GLOBAL gtid_domain_id=0, GLOBAL binlog_row_metadata=NO_LOG",
                "SET GLOBAL replicate_do_db='d'", args=())
        places[node] = lab.sql(node, "SHOW MASTER STATUS")[0]
        text = settings(lab, node).read_text().splitlines()
        text = [l for l in text if not l.startswith(("ssl-cert", "ssl-key", "user = syncline"))]
        password = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        settings(lab, node).write_text("\n".join(text) + f"\nuser = repl_user\npassword = '{password}'\n")
    for node, peer in ((1, 2), (2, 1)):
        lab.sql(node, f"CHANGE MASTER TO MASTER_HOST='192.168.10.{peer}', MASTER_USER='repl_user', "
                      "MASTER_PASSWORD='it''s a \\\\ secret', MASTER_SSL=1, "
                      f"MASTER_LOG_FILE='{places[peer][0]}', MASTER_LOG_POS={places[peer][1]}", "START SLAVE")
    lab.sql(1, "CREATE DATABASE d", "USE d",
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, node INT, v INT)")
    for node in lab.nodes:
        wait_for("the table", lambda: lab.tables(node) == ["t"])


def test_adopt(make_network_lab):
    """A pair that has run for a year by a how-to is taken over while both nodes are in use, and later goes on to the
    merge engine: who copies the data instead, or stops the gates for it, won't do it."""
    lab = make_network_lab("--server-option", "log_slave_updates=OFF")
    set_up_by_hand(lab)
    for node in lab.nodes:
        lab.sql(node, "SET GLOBAL log_output='TABLE', GLOBAL general_log=1, GLOBAL slow_query_log=1",
                "SET GLOBAL long_query_time=0")
    writers = [Writer(lab, node) for node in lab.nodes]  # their sessions go on in domain 0
    try:
        for node in (1, 2):
            writers[0].wait_for(50)
            shown = adopt(lab, node).stdout
            assert f"gtid_domain_id = {node}" in shown and "log_slave_updates = 1" in shown and "--yes" in shown, shown
            assert lab.value(node, "SELECT @@global.gtid_domain_id") == 0, "nothing was changed"
            assert lab.sql(node, "SHOW DATABASES LIKE 'syncline'") == ()
            done = adopt(lab, node, "--yes")
            assert done.returncode == 0, done.stderr
            assert slave_status(lab, node)["Using_Gtid"] == "Slave_Pos"
            writers[1].wait_for(50)
            lab.start(node, "--daemon")
            lab.wait_state(node, 3 - node, "live")
            lab.sql(node, "INSERT INTO d.t (node, v) VALUES (10, 0)")  # a session of now: its own domain
        result = engine(lab, 1, "merge", check=False)
        assert result.returncode == 1 and "log_slave_updates" in result.stderr, result.stderr
        assert lab.status(1)["engine"] == "native"
        writers[0].wait_for(50)
    finally:
        counts = {w.node: w.stop() for w in writers}
    for node, peer in ((1, 2), (2, 1)):
        wait_for("all rows", lambda: lab.value(node, "SELECT COUNT(*) FROM d.t") == sum(counts.values()) + 2)
        lab.wait_state(node, peer, "live")
    lab.assert_equal()
    for node in lab.nodes:
        assert "secret" not in lab.log(node)
        for table, column in (("general_log", "argument"), ("slow_log", "sql_text")):
            assert lab.value(node, f"SELECT COUNT(*) FROM mysql.{table}") > 0
            found = f"SELECT COUNT(*) FROM mysql.{table} WHERE {column} LIKE CONCAT('%sec', 'ret%')"
            assert lab.value(node, found) == 0
        assert "secret" not in (lab.dir / f"node{node}" / "mariadb.err").read_text(errors="replace")

    # As the option file says from now on.
    for node in lab.nodes:
        options = lab.dir / f"node{node}" / "my.cnf"
        options.write_text(options.read_text().replace('log_slave_updates = "OFF"', ""))
        lab.kill(node)
        lab.start(node)
        lab.sql(node, "SET SESSION sql_log_bin=0", "GRANT BINLOG MONITOR ON *.* TO repl_user@'%%'",
                "GRANT SELECT ON syncline.* TO repl_user@'%%'", args=())
        lab.wait_state(node, 3 - node, "live")
    again = [Writer(lab, node) for node in lab.nodes]
    try:
        for node in (1, 2):
            again[0].wait_for(50)
            engine(lab, node, "merge")
            again[1].wait_for(50)
    finally:
        for writer in again:
            counts[writer.node] += writer.stop()
    check_rows(lab, counts)
    assert [lab.status(n)["links"][0]["resolved_transactions"] for n in lab.nodes] == [0, 0]


def test_adopt_refuses(make_network_lab):
    """What isn't a pair in good order isn't taken over: its gap would be there for good."""
    lab = make_network_lab()

    def refused(says):
        result = adopt(lab, 1, "--yes")
        assert result.returncode == 1 and says in result.stderr, result.stderr

    refused("daemon of node 1 runs")
    for node in lab.nodes:
        lab.kill(node, "--daemon")
    refused("nothing to adopt")
    set_up_by_hand(lab)
    lab.sql(1, "STOP SLAVE")
    refused("doesn't run")
    lab.sql(1, "SET SESSION sql_log_bin=0", "INSERT INTO d.t (id, node, v) VALUES (1, 1, 1)")
    lab.sql(2, "INSERT INTO d.t (id, node, v) VALUES (1, 1, 1)")
    lab.sql(1, "START SLAVE")
    wait_for("the error", lambda: slave_status(lab, 1)["Last_SQL_Errno"])
    refused("1062")
    assert "engine" not in settings(lab, 1).read_text()
    assert lab.value(1, "SELECT @@global.gtid_domain_id") == 0


def test_three_nodes(make_network_lab):
    """Three nodes get each other's writes by two ways: what MariaDB applies twice stops, or is there twice without a
    primary key."""
    lab = make_network_lab(nodes=3)
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, node INT, v INT)",
            "CREATE TABLE d.keyless (v INT)")
    lab.wait()
    for node in lab.nodes:
        lab.kill(node, "--daemon")
        set_engine(lab, node, "native")
    for node in lab.nodes:
        lab.start(node, "--daemon")
    writers = [Writer(lab, node) for node in lab.nodes]
    try:
        for i in range(20):
            lab.sql(1 + i % 3, f"INSERT INTO d.keyless VALUES ({i})")
            writers[i % 3].wait_for(5)
        restart_daemon(lab, 2)
        lab.kill(3)
        lab.start(3)
        writers[2].ending.set()
    finally:
        for writer in writers:
            writer.ending.set()
            writer.thread.join()
    lab.wait()
    lab.assert_equal()
    assert lab.value(1, "SELECT COUNT(*) FROM d.keyless") == 20
    for node in (1, 2):
        assert lab.value(3, f"SELECT COUNT(*) FROM d.t WHERE node={node}") == writers[node - 1].count
    assert engine(lab, 1, "merge", check=False).returncode == 2


def group(machine, name, *args, place=(), **kwargs):
    """A command that changes a running group."""
    places = {"root": f"--root={machine.root}", "restart": f"--restart={machine.root}/restart"}
    return machine.run(name, f"--defaults-file={machine.settings}", *args, *(places[p] for p in place), **kwargs)


def machine_status(machine):
    result = group(machine, "status", "--json", check=False)
    return json.loads(result.stdout) if result.returncode == 0 else {"engine": None, "links": []}


def is_live(machine, engine):
    status = machine_status(machine)
    return status["engine"] == engine and [link["state"] for link in status["links"]] == ["live"]


def refused(says, result):
    assert result.returncode == 1 and result.stderr.count("\n") == 1, result
    assert "engine = native" in result.stderr and "syncline engine merge" in result.stderr and says in result.stderr, result.stderr


def test_a_group_with_a_native_node(site):
    """Who lets a node in or out of a group stands on what the merge engine knows. Without a word one would wait there for ten minutes, and
    wonder. What needs no such knowledge, a new address, a wider step, a node that burned down, goes on as ever."""
    a, b = pair(site)
    few = b.sql("SHOW GRANTS FOR daemon@localhost")
    group(b, "engine", "native")
    wait_for("b to be live", lambda: is_live(b, "native") and is_live(a, "merge"))
    assert json.loads(group(b, "doctor", "--json", check=False).stdout)["errors"] == 0
    for name, args in (("invite", ()), ("leave", ("--yes",)), ("rejoin", ("--yes",))):
        refused("node 2", group(b, name, *args, check=False))
    for name in ("leave", "rejoin"):
        refused("node 2 has", group(a, name, "--yes", check=False))
    assert a.value("SELECT @@read_only") == b.value("SELECT @@read_only") == 0
    for machine in (a, b):
        group(machine, "slots", 4, "--kill", place=("root",))
    refused("node 2 has", site.machine().join(a.invite(), check=False))
    site.network.ip(1, "addr", "add", "192.168.10.77/24", "dev", "eth0")
    said = group(a, "address", "192.168.10.77", place=("root", "restart")).stdout
    assert "Node 1 is at 192.168.10.77." in said and "could not be told" not in said, said
    wait_for("b to read there", lambda: b.sql("SHOW SLAVE STATUS")[0][1] == "192.168.10.77")
    wait_for("both to be live", lambda: is_live(b, "native") and is_live(a, "merge"))
    a.kill()
    wait_for("b to notice", lambda: [link["state"] for link in machine_status(b)["links"]] == ["connecting"])
    group(b, "forget", 1, "--yes")
    wait_for("b to be alone", lambda: machine_status(b)["links"] == [])
    assert b.sql("SHOW SLAVE STATUS") == ()
    group(b, "engine", "merge")
    assert b.sql("SHOW GRANTS FOR daemon@localhost") == few
    assert group(b, "invite").stdout.strip()
