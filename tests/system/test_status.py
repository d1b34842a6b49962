"""What a node says of itself, to people and to their monitoring: each state has to be told as what it is, and whatever hangs has to be told in
time. And the table sync_metadata, which people ask by SQL."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from conftest import SYNCLINE, Lab, run, tell, wait_for

SECRET = "geheim-4711"  # of what is in rows
SYNC_METADATA = """CREATE TABLE sync_metadata (
    id INT AUTO_INCREMENT PRIMARY KEY,
    node_id VARCHAR(50) NOT NULL,
    table_name VARCHAR(50) NOT NULL,
    last_sync_timestamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    sync_status ENUM('SUCCESS', 'FAILED', 'IN_PROGRESS') NOT NULL DEFAULT 'SUCCESS',
    error_message TEXT NULL,
    UNIQUE KEY unique_node_table (node_id, table_name))"""


@pytest.fixture(scope="module")
def pair(request):
    """Two nodes with the databases a, b; each test has one of its own, and leaves both nodes as they were."""
    with tempfile.TemporaryDirectory(prefix="syncline-test-") as directory:
        lab = Lab.__new__(Lab)
        lab.dir, lab.nodes, lab.connections = pathlib.Path(directory) / "lab", (1, 2), []
        try:
            lab.__init__(lab.dir, databases=("a", "b"))
            for node in lab.nodes:
                file = lab.dir / f"node{node}" / "syncline.cnf"
                file.write_text(file.read_text().replace("[syncline]\n", "[syncline]\nsync-metadata-period = 1\n", 1))
                lab.kill(node, "--daemon")
                lab.start(node, "--daemon")
            yield lab
        finally:
            if request.session.testsfailed:
                for node in lab.nodes:
                    tell(lab, node)
            lab.down()


def begin(lab, database):
    lab.sql(1, f"CREATE DATABASE {database}", f"CREATE TABLE {database}.t (id INT PRIMARY KEY, v VARCHAR(50) UNIQUE)")
    lab.wait()
    for node in lab.nodes:
        lab.wait_state(node, 3 - node, "live")
    return f"{database}.t"


def settings(lab, node):
    return f"--defaults-file={lab.dir}/node{node}/syncline.cnf"


def text(lab, node):
    return run("status", settings(lab, node)).stdout


def health(lab, node, *args):
    """The exit status, the words and the figures. Nagios itself gives up after a while: it has to answer before that."""
    begun = time.monotonic()
    result = run("health", settings(lab, node), *args, check=False, timeout=60)
    assert time.monotonic() - begun < 20, "it took too long"
    assert result.stdout.count("\n") == 1 and not result.stderr, (result.stdout, result.stderr)
    words, _, figures = result.stdout.partition(" | ")
    level = ("OK", "WARNING", "CRITICAL", "UNKNOWN")[result.returncode]
    assert words.startswith(f"SYNCLINE {level} - {'HEALTHY' if result.returncode < 2 else 'ERROR'}: "), words
    found = dict(f.split("=", 1) for f in figures.split())
    assert all(re.fullmatch(r"(U|-?[0-9.]+(s|B)?)(;[0-9]*){3}", f) for f in found.values()), figures
    return result.returncode, words, found


def tell_no_secrets(lab):
    for node in lab.nodes:
        said = lab.log(node) + json.dumps(lab.status(node)) + text(lab, node) + health(lab, node)[1]
        assert SECRET not in said, [line for line in said.splitlines() if SECRET in line]


def test_each_state_is_told(pair):
    """A peer that is switched off for the night, one that waits for a lock, one that has stopped for good: taken for one another, somebody drives
    to a gate for nothing, or nobody does. And none of it tells what is in the rows: logs and mails of a monitoring are sent to people whom an access
    control is none of their business."""
    lab = pair
    begin(lab, "a")
    lab.sql(1, f"INSERT INTO a.t VALUES (1, '{SECRET}-one')")
    lab.wait()
    link = wait_for("figures", lambda: (lambda l: l["peer_lacks_transactions"] == 0 and l["clock_offset_ms"] is not None and l)(lab.link(1, 2)))
    assert link["state"] == "live" and link["lag_transactions"] == 0 and link["lag_bytes"] in (0, None), link
    assert link["offline_since"] is None and link["mend"] is None, link
    assert abs(link["clock_offset_ms"]) <= link["clock_offset_error_ms"] + 100, link
    assert "it has everything" in text(lab, 1) and "nothing is missing here" in text(lab, 1)
    assert lab.status(1)["server"]["open_conflicts"] == 0
    code, words, figures = health(lab, 1)
    assert code == 0 and "1 of 1 peers live" in words and figures["lag_2"].startswith("0s;30;300;"), (words, figures)

    # Its applier waits for a lock that an application holds.
    locker = lab.connect(2)
    with locker.cursor() as cursor:
        cursor.execute("LOCK TABLES a.t WRITE")
        lab.sql(1, f"INSERT INTO a.t VALUES (2, '{SECRET}-two')")
        link = lab.wait_state(2, 1, "catching up")
        assert link["lag_transactions"] == 1 and link["lag_seconds"] >= 3 and link["delay_ms"] >= 3000 and link["lag_bytes"] > 0, link
        assert health(lab, 2, "--lag-warning=1")[0] == 1 and health(lab, 2, "--lag-warning=1", "--lag-critical=2")[0] == 2
        assert "1 transaction, " in text(lab, 2) and "it lacks 1 transaction" in text(lab, 1)
        cursor.execute("UNLOCK TABLES")
    wait_for("no lag", lambda: lab.wait_state(2, 1, "live")["lag_transactions"] == 0)
    assert lab.link(2, 1)["delay_ms"] >= 3000  # what it was

    # It has stopped, and says what lets it go on.
    lab.sql(2, "SET sql_log_bin=0", "ALTER TABLE a.t DROP INDEX v", f"INSERT INTO a.t VALUES (8, '{SECRET}-twice'), (9, '{SECRET}-twice')")
    lab.sql(1, "ALTER TABLE a.t ADD UNIQUE anew (v)")
    link = lab.wait_state(2, 1, "stopped")
    assert "1062" in link["why"] and "anew" in link["why"], link
    assert link["mend"] == f"syncline skip {link['transaction']}" and f"mend:    {link['mend']}\n" in text(lab, 2)
    code, words, _ = health(lab, 2)
    assert code == 2 and "link from node 1 stopped: " in words and link["mend"] in words, words
    run("skip", settings(lab, 2), link["transaction"])
    lab.wait_state(2, 1, "live")
    lab.sql(2, "SET sql_log_bin=0", "DELETE FROM a.t WHERE id IN (8, 9)")

    # It is switched off.
    before = int(time.time())
    lab.kill(2)
    wait_for("it to be missed", lambda: lab.link_in(1, 2, "connecting") and lab.link(1, 2)["offline_since"])
    lab.sql(1, f"INSERT INTO a.t VALUES (3, '{SECRET}-three')")
    link = wait_for("the write to be known", lambda: (lambda l: l["peer_lacks_transactions"] == 1 and l)(lab.link(1, 2)))
    assert before - 2 <= link["offline_since"] <= int(time.time()) and link["lag_transactions"] is None, link
    assert "offline for " in text(lab, 1) and "it lacks 1 transaction, as far as known" in text(lab, 1)
    code, words, figures = health(lab, 1)
    assert code == 1 and "node 2 offline for" in words and figures["lag_2"].startswith("U;") and figures["peer_lacks_2"] == "1;;;0", words
    lab.start(2)
    lab.wait()
    link = lab.wait_state(1, 2, "live")
    assert link["offline_since"] is None, link

    # Conflicts that nobody has looked at.
    lab.cut(1, 2)
    lab.sql(1, f"UPDATE a.t SET v='{SECRET}-here' WHERE id=1")
    lab.sql(2, f"UPDATE a.t SET v='{SECRET}-there' WHERE id=1")
    lab.heal(1, 2)
    lab.wait()
    for node in lab.nodes:
        wait_for("the conflict", lambda: lab.status(node)["server"]["open_conflicts"] == 1)
    assert health(lab, 1)[0] == 1 and health(lab, 1, "--conflicts-warning=0")[0] == 0 and health(lab, 1, "--conflicts-critical=1")[0] == 2
    lab.sql(1, "UPDATE a.replication_conflicts SET resolved=TRUE")
    for node in lab.nodes:
        wait_for("it to be resolved", lambda: lab.status(node)["server"]["open_conflicts"] == 0)

    watch = subprocess.Popen([SYNCLINE, "status", "--watch", settings(lab, 1)], stdout=subprocess.PIPE, text=True)
    seen = []
    while len(seen) < 2:
        line = watch.stdout.readline()
        assert line, "it ended by itself"
        seen += [line] if line.startswith("node 1 ") else []
    watch.send_signal(signal.SIGINT)
    watch.stdout.read()
    assert watch.wait(60) == 0
    tell_no_secrets(lab)


def test_what_hangs_is_told_in_time(pair):
    """A daemon or a server that hangs answers nobody. Monitoring that waits for it hangs as well, and says nothing, or is green from before."""
    lab = pair
    wait_for("a status", lambda: health(lab, 1)[0] == 0)
    pid = lab.daemon_pid(1)
    os.kill(pid, signal.SIGSTOP)
    try:
        code, words, _ = health(lab, 1, "--timeout=5")
        assert code == 2 and "the daemon does not answer" in words, words
    finally:
        os.kill(pid, signal.SIGCONT)
    pid = lab.server_pid(1)
    os.kill(pid, signal.SIGSTOP)
    try:
        code, words, _ = health(lab, 1, "--timeout=5")
        assert code == 2 and "this node's server" in words, words
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for("it to be well again", lambda: health(lab, 1)[0] == 0)
    lab.kill(1, "--daemon")
    code, words, _ = health(lab, 1)
    lab.start(1, "--daemon")
    assert code == 2 and "no daemon listens" in words, words
    result = run("health", "--defaults-file=/nowhere/syncline.cnf", check=False)
    assert result.returncode == 3 and result.stdout.startswith("SYNCLINE UNKNOWN - ERROR: "), result
    assert run("health", "--lag-warning=soon", check=False).returncode == 3


def test_clocks_that_differ(pair):
    """A board without a clock of its own is 90 seconds behind: nobody finds that out by looking at rows that are in order. Status and monitoring
    have to say it."""
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    lab = pair
    lab.kill(2, "--server")
    subprocess.run(["faketime", "-m", "-f", "-90s", SYNCLINE, "lab", "start", "--dir", lab.dir, "2", "--server"], check=True,
                   stdin=subprocess.DEVNULL, capture_output=True)
    try:
        assert abs(float(lab.value(2, "SELECT @@timestamp")) - time.time() + 90) < 5
        link = wait_for("the clock", lambda: (lambda l: l and l["state"] == "live" and l["clock_offset_ms"] and l)(lab.link(1, 2)))
        assert abs(link["clock_offset_ms"] + 90000) < 2000, link
        code, words, figures = health(lab, 1)
        assert code == 1 and "clock of node 2 is " in words and " s behind; node 1" in words, words
        assert -92 < float(figures["clock_offset_2"].split("s")[0]) < -88, figures
        assert health(lab, 1, "--clock-warning=100")[0] == 0
    finally:
        lab.kill(2, "--server")
        lab.start(2, "--server")
    wait_for("the clock", lambda: (lambda l: l and l["clock_offset_ms"] is not None and abs(l["clock_offset_ms"]) < 2000)(lab.link(1, 2)))


def test_no_passwords(pair):
    """A link that can't get in says as whom it tried, and not with what."""
    lab = pair
    file = lab.dir / "node2" / "syncline.cnf"
    before = file.read_text()
    head, peer = before.split("[syncline-peer-1]")
    file.write_text(head + "[syncline-peer-1]" + re.sub("user *=.*", f"user = nobody\npassword = {SECRET}-password", peer))
    try:
        lab.kill(2, "--daemon")
        lab.start(2, "--daemon")
        assert "nobody" in lab.wait_state(2, 1, "stopped")["why"]
        tell_no_secrets(lab)
    finally:
        file.write_text(before)
        lab.kill(2, "--daemon")
        lab.start(2, "--daemon")
    lab.wait_state(2, 1, "live")


def test_sync_metadata_is_true(pair):
    """People ask this table which of their gates is in step, and since when. It must not be wrong; and it must not be a load of its own: written
    without a need it wears out the card, and nodes that answer each other's writes never come to rest."""
    lab = pair
    begin(lab, "b")
    lab.sql(1, SYNC_METADATA, database="b")
    lab.sql(1, "INSERT INTO b.sync_metadata (node_id, table_name, last_sync_timestamp) VALUES ('rpi1', 't', '2020-01-01 00:00:00')")
    lab.sql(1, "INSERT INTO b.t VALUES (1, 'one')")

    def rows(node):
        return lab.sql(node, "SELECT node_id, table_name, sync_status, error_message FROM b.sync_metadata ORDER BY 1, 2")

    well = (("node1", "t", "SUCCESS", None), ("node2", "t", "SUCCESS", None), ("rpi1", "t", "SUCCESS", None))
    for node in lab.nodes:
        wait_for("the rows", lambda: rows(node) == well)
    times = dict(lab.sql(2, "SELECT node_id, UNIX_TIMESTAMP(last_sync_timestamp) FROM b.sync_metadata"))
    assert all(abs(times[n] - time.time()) < 30 for n in ("node1", "node2")) and times["rpi1"] < 1600000000, times

    # At rest: nobody writes, though each looks each second.
    lab.wait()
    quiet_since, last = time.monotonic(), None
    while time.monotonic() - quiet_since < 2.5:
        vector = [lab.value(n, "SELECT @@gtid_binlog_pos") for n in lab.nodes]
        assert last is None or time.monotonic() - quiet_since < 1 or vector == last, (vector, last)
        last = vector
        time.sleep(0.05)

    # Under load: it follows, with a write a second at most, by updates that use up no numbers.
    numbers = lab.value(1, "SELECT MAX(id) FROM b.sync_metadata")
    begun, seqs, count = time.monotonic(), [own_seq(lab, n) for n in lab.nodes], 0
    while lab.value(2, "SELECT UNIX_TIMESTAMP(last_sync_timestamp) FROM b.sync_metadata WHERE node_id='node2'") < times["node2"] + 2 or count < 100:
        count += 1
        lab.sql(1, f"UPDATE b.t SET v='load {count}'")
    lab.wait()
    most = time.monotonic() - begun + 2
    assert own_seq(lab, 2) - seqs[1] <= most and own_seq(lab, 1) - seqs[0] - count <= most, (count, most, seqs)
    assert lab.value(1, "SELECT MAX(id) FROM b.sync_metadata") == numbers

    # A link that is stopped, and what mends it.
    lab.sql(2, "SET sql_log_bin=0", "ALTER TABLE b.t DROP INDEX v", "INSERT INTO b.t VALUES (8, 'twice'), (9, 'twice')")
    lab.sql(1, "ALTER TABLE b.t ADD UNIQUE anew (v)")
    failed = wait_for("the failure", lambda: [r for r in rows(1) if r[2] == "FAILED"])
    assert [r[:2] for r in failed] == [("node2", "t")] and failed[0][3].startswith("link from node 1: stopped: "), failed
    lab.sql(2, "SET sql_log_bin=0", "DELETE FROM b.t WHERE id IN (8, 9)")
    lab.wait()
    for node in lab.nodes:
        wait_for("the rows to be well", lambda: rows(node) == well)
    assert lab.tables(1, "b") == ["sync_metadata", "t"]
    lab.sql(1, "DROP DATABASE b")
    lab.wait()


def own_seq(lab, node):
    gtids = lab.value(node, "SELECT @@gtid_binlog_pos").split(",")
    return next((int(g.split("-")[2]) for g in gtids if g.startswith(f"{node}-")), 0)
