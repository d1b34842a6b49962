"""syncline doctor on real servers: each condition is made, seen by its code and exit status, and mended by what it says.

Whoever sets up a node, or is called because two nodes differ, has the doctor and its codes; a condition that it passes over, or a
fix that mends nothing, costs the night or the rows."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pymysql
import pytest

from conftest import ROOT, SYNCLINE, Lab, run, wait_for


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Shared: every test leaves it as it was."""
    lab = Lab(tmp_path_factory.mktemp("d") / "lab")
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO d.t (v) VALUES (1)")
    lab.wait()
    yield lab
    lab.down()


def settings_of(lab, node=1):
    return lab.dir / f"node{node}" / "syncline.cnf"


class Examination:
    def __init__(self, lab, *options, node=1, file=None):
        self.result = run("doctor", f"--defaults-file={file or settings_of(lab, node)}", "--json", *options, check=False)
        self.status = self.result.returncode
        assert self.status in (0, 1, 2), self.result
        self.document = json.loads(self.result.stdout)
        self.findings = self.document["findings"]
        self.codes = sorted({f["code"] for f in self.findings})
        worst = {"info": 0, "warning": 1, "error": 2}
        assert self.status == max((worst[f["severity"]] for f in self.findings), default=0)

    def __getitem__(self, code):
        """The one finding of this code."""
        found = [f for f in self.findings if f["code"] == code]
        assert len(found) == 1, (code, self.findings)
        assert "\n" not in found[0]["cause"] + (found[0]["fix"] or "")
        return found[0]


def examine(lab, *options, **kwargs):
    return Examination(lab, *options, **kwargs)


def statement_in(finding):
    """The SQL that a fix begins with, after where it goes."""
    return re.sub(r"^on node \d+: ", "", finding["fix"]).split("; ")[0].split(", on every node")[0]


@contextlib.contextmanager
def changed(lab, node, variable, value):
    """A global variable for a while. What the test set in the meantime is overwritten."""
    before = lab.value(node, f"SELECT @@global.{variable}")
    lab.sql(node, f"SET GLOBAL {variable} = {value}")
    try:
        yield
    finally:
        lab.sql(node, f"SET GLOBAL {variable} = {before!r}")


def edited(lab, name, change, node=1):
    """A copy of a node's settings with other lines, beside it, so that the daemon keeps its own."""
    file = lab.dir / f"node{node}" / f"{name}.cnf"
    text = change(settings_of(lab, node).read_text())
    file.touch(mode=0o600)
    file.write_text(text)
    return file


# ---- Well, and not to be looked at ----


def test_a_healthy_pair(lab):
    """Findings about a pair that is well teach people to look away. Each node gives out AUTO_INCREMENT numbers of its own, so
    the next one differs."""
    for node in lab.nodes:
        lab.sql(node, "INSERT INTO d.t (v) VALUES (2)")
    lab.wait()
    for node in lab.nodes:
        seen = examine(lab, node=node)
        assert (seen.status, seen.findings, seen.document["fixed"]) == (0, [], [])
        peer, = seen.document["peers"]
        assert peer["reached"] and peer["node"] == 3 - node and peer["version"].startswith(lab.value(node, "SELECT VERSION()")[:5])
        assert abs(peer["clock_offset_ms"]) < 1000
    text = run("doctor", f"--defaults-file={settings_of(lab)}").stdout
    assert text == "node 1: 0 errors, 0 warnings, 0 for information; 1 of 1 peer reached\n"


def test_a_healthy_pair_that_quotes_otherwise(lab):
    """sql_mode says how a server quotes names in what it shows: definitions and privileges aren't others for that."""
    with changed(lab, 2, "sql_mode", "'ANSI_QUOTES'"):
        for node in lab.nodes:
            assert examine(lab, node=node).findings == []


def test_a_healthy_pair_on_a_network(make_lab):
    """TCP and TLS, and accounts that have been granted what the README says."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nsenter"):
        pytest.skip("network namespaces need root, ip and nsenter here")
    lab = make_lab(extra=("--network",))
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)")
    lab.wait()
    for node in lab.nodes:
        result = subprocess.run(["nsenter", "-t", str(lab.server_pid(node)), "-n", SYNCLINE, "doctor", "--json",
                                 f"--defaults-file={settings_of(lab, node)}"], capture_output=True, text=True)
        document = json.loads(result.stdout)
        assert result.returncode == 0 and {f["code"] for f in document["findings"]} == {"SL024", "SL059"}, result
        assert document["peers"][0]["reached"]


def test_it_could_not_look(lab):
    """A check that can't look must not say that all is well, nor raise the alarm that a broken node raises."""
    nothing = edited(lab, "nothing", lambda text: text.replace("node1/mariadb.sock", "node1/nobody.sock"))
    for arguments, says in ((["--defaults-file=/nonexistent"], "/nonexistent"), ([f"--defaults-file={nothing}"], "nobody.sock"),
                            ([], "--defaults-file"), ([f"--defaults-file={settings_of(lab)}", "--nonsense"], "--nonsense")):
        result = run("doctor", *arguments, check=False)
        assert result.returncode == 3 and result.stdout == "" and result.stderr.count("\n") == 1, result
        assert says in result.stderr
    assert "Exit status: 0" in run("doctor", "--help").stdout


def test_the_document(lab):
    """Programs rely on the fields that docs/doctor.md names."""
    example = json.loads(re.search(r"```json\n(.*?)```", (ROOT / "docs" / "doctor.md").read_text(), re.S).group(1))
    with changed(lab, 1, "sync_binlog", 0), changed(lab, 2, "binlog_format", "'MIXED'"):
        seen = examine(lab, "--fix").document
    assert seen.keys() == example.keys() and seen["version"] == example["version"]
    for part in ("findings", "fixed", "peers"):
        assert seen[part][0].keys() == example[part][0].keys()


# ---- Variables ----

VARIABLES = [
    ("binlog_format", "'MIXED'", "SL002", 2, "ROW"),
    ("binlog_row_image", "'MINIMAL'", "SL003", 2, "FULL"),
    ("binlog_row_metadata", "'NO_LOG'", "SL004", 2, "FULL"),
    ("sync_binlog", "0", "SL007", 1, 1),
    ("innodb_flush_log_at_trx_commit", "2", "SL008", 1, 1),
    ("auto_increment_increment", "1", "SL009", 2, 2),
    ("auto_increment_offset", "2", "SL010", 2, 1),
    ("max_allowed_packet", "16777216", "SL011", 1, 1 << 30),
    ("log_bin_trust_function_creators", "0", "SL012", 1, 1),
    ("binlog_expire_logs_seconds", "864000", "SL013", 1, 0),
    ("expire_logs_days", "10", "SL013", 1, 0),
    ("slave_run_triggers_for_rbr", "'ENFORCE'", "SL014", 2, "NO"),
]


@pytest.mark.parametrize("variable,value,code,status,right", VARIABLES, ids=[v[0] for v in VARIABLES])
def test_a_variable_is_seen_and_set(lab, variable, value, code, status, right):
    """And --fix says which line keeps it: a value that a restart takes back is worse than one that was never right."""
    with changed(lab, 1, variable, value):
        seen = examine(lab)
        assert seen.status == status and code in seen.codes
        assert lab.value(1, f"SELECT @@global.{variable}") != right  # it only looked
        mended = examine(lab, "--fix")
        assert (mended.status, mended.findings) == (0, [])
        done, = mended.document["fixed"]
        assert done["code"] == code and done["error"] is None and done["statement"].startswith("SET GLOBAL ")
        assert "under [mysqld]" in done["permanent"]
        assert lab.value(1, f"SELECT @@global.{variable}") == right


def test_fix_says_what_it_did(lab):
    """Somebody has to put it into the option file."""
    with changed(lab, 1, "sync_binlog", 0):
        result = run("doctor", f"--defaults-file={settings_of(lab)}", "--fix")
    assert result.stdout.startswith("SL007 done:   SET GLOBAL sync_binlog = 1\n"
                                    "      to keep it: put sync_binlog = 1 under [mysqld]\n")


def test_a_peer_is_not_changed(lab):
    """What keeps this node's link from starting is told here, and mended there."""
    with changed(lab, 2, "binlog_format", "'MIXED'"):
        mended = examine(lab, "--fix")
        assert mended.status == 2 and mended["SL002"]["node"] == 2 and mended["SL002"]["statement"] is None
        assert lab.value(2, "SELECT @@global.binlog_format") == "MIXED"


@pytest.mark.parametrize("variable,own,clash", [("server_id", "SL005", "SL051"), ("gtid_domain_id", "SL006", "SL052")])
def test_two_nodes_with_one_number(lab, variable, own, clash):
    """A server that was copied with its options. --fix leaves it alone: open sessions would write under the old number."""
    with changed(lab, 1, variable, 2):
        for options in ((), ("--fix",)):
            seen = examine(lab, *options)
            assert seen.status == 2 and seen.codes == [own, clash] and seen.document["fixed"] == []
        assert f"{variable} = 1" in seen[own]["fix"] and seen[clash]["node"] == 1
        assert lab.value(1, f"SELECT @@global.{variable}") == 2
        assert examine(lab, node=2)[clash]["node"] == 1  # seen from the other side


def test_numbers_that_meet(lab):
    """Each node's own values look right by themselves, but 2 5 8 … and 1 3 5 … have numbers in common."""
    with changed(lab, 2, "auto_increment_increment", 3):
        seen = examine(lab)
        assert seen.status == 2 and seen.codes == ["SL053"]


# ---- What needs a restart ----


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def restarted(lab, node, *options):
    """The node's server with more options; its daemon is left to wait for it."""
    folder = lab.dir / f"node{node}"
    pid = lab.server_pid(node)
    os.kill(pid, signal.SIGTERM)
    wait_for("the server to end", lambda: not os.path.exists(f"/proc/{pid}"))
    with open(folder / "restarted.err", "wb") as log:
        server = subprocess.Popen(["mariadbd", f"--defaults-file={folder}/my.cnf", *options], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log)

    def answers():
        assert server.poll() is None, (folder / "mariadb.err").read_text()[-2000:]
        with contextlib.suppress(pymysql.Error):
            return lab.value(node, "SELECT 1")

    try:
        wait_for("the server to answer", answers)
        yield
    finally:
        server.terminate()
        server.wait(120)
        lab.start(node)
        lab.wait_state(node, 3 - node, "live")
        lab.wait_state(3 - node, node, "live")
        wait_for("its log to be read", lambda: lab.status(node)["server"]["state"] == "live")


def with_remote_peer(text):
    """An address for documentation: nobody is there."""
    return re.sub(r"(\[syncline-peer-2\]\n)socket.*\n", r"\1host = 192.0.2.2\n", text)


RESTARTS = [
    (["--skip-log-bin"], "SL001", None),
    (["--binlog-ignore-db=d"], "SL015", None),
    (["--binlog-do-db=other"], "SL015", None),
    (["--version=10.6.4-MariaDB"], "SL020", "SL021"),
    (["--version=11.4.2-MariaDB-log"], "SL021", None),
    (["--skip-networking=0", "--bind-address=127.0.0.2"], None, "SL024"),
]


@pytest.mark.parametrize("options,code,also", RESTARTS, ids=[" ".join(r[0]).replace("--", "") for r in RESTARTS])
def test_options_that_need_a_restart(lab, options, code, also):
    """They are told, with the line that mends them, and --fix doesn't try."""
    with restarted(lab, 1, *options, f"--port={free_port()}"):
        seen = examine(lab, "--fix")
        for expected in filter(None, (code, also)):
            assert seen[expected]["statement"] is None and seen[expected]["fix"]
        assert seen.document["fixed"] == []
        if code is None:
            assert seen[also]["severity"] == "info"


def test_a_server_that_peers_cannot_reach(lab):
    """The peers' links wait for ever, and only their logs say why."""
    file = edited(lab, "remote", with_remote_peer)
    seen = examine(lab, file=file)
    assert seen.status == 2 and seen["SL022"]["subject"] == "skip_networking" and seen["SL050"]["subject"] == "192.0.2.2:3306"
    assert not seen.document["peers"][0]["reached"]
    with restarted(lab, 1, "--skip-networking=0", "--bind-address=127.0.0.1", f"--port={free_port()}"):
        seen = examine(lab, file=file)
        assert {"SL023", "SL025", "SL050"} <= set(seen.codes)
        assert "SL023" not in examine(lab).codes  # its peer is reached by a socket


# ---- Privileges ----


def test_own_privileges(lab):
    """The statement that the account may not run comes months later, and stops the link."""
    lab.sql(1, "SET sql_log_bin=0", "CREATE USER few@localhost", "GRANT SELECT ON *.* TO few@localhost")
    try:
        file = edited(lab, "few", lambda text: re.sub(r'(\[syncline-server\]\nsocket.*\n)user = .*', r"\1user = few", text))
        seen = examine(lab, file=file)
        lacking = [f for f in seen.findings if f["code"] == "SL027"]
        assert seen.status == 2 and sorted(f["subject"] for f in lacking) == ["*.*", "d.*", "syncline.*"]
        for finding in lacking:
            lab.sql(1, "SET sql_log_bin=0", statement_in(finding))
        assert examine(lab, file=file).codes == []
    finally:
        lab.sql(1, "SET sql_log_bin=0", "DROP USER few@localhost")


@contextlib.contextmanager
def ordinary_peer(lab):
    """Settings of node 1 whose account on node 2 has been granted nothing yet."""
    lab.sql(2, "SET sql_log_bin=0", "CREATE USER ordinary@localhost")
    try:
        yield edited(lab, "ordinary", lambda text: re.sub(r'(\[syncline-peer-2\]\nsocket.*\n)user = .*', r"\1user = ordinary", text))
    finally:
        lab.sql(2, "SET sql_log_bin=0", "DROP USER ordinary@localhost")


def test_privileges_on_a_peer(lab):
    """The account from the README is enough for the link; to compare definitions it needs one more, which shows no rows."""
    with ordinary_peer(lab) as file:
        seen = examine(lab, file=file)
        assert seen.status == 2 and seen.codes == ["SL028", "SL059"]
        for finding in seen.findings:
            if finding["code"] == "SL028":
                lab.sql(2, "SET sql_log_bin=0", statement_in(finding))
        seen = examine(lab, file=file)
        assert seen.status == 0 and seen.codes == ["SL059"]
        lab.sql(2, "SET sql_log_bin=0", statement_in(seen["SL059"]))
        assert examine(lab, file=file).codes == []
        lab.sql(2, "SET sql_log_bin=0", "ALTER TABLE d.t ADD x INT")
        assert examine(lab, file=file).codes == ["SL058"]
        with pytest.raises(pymysql.Error):
            pymysql.connect(user="ordinary", unix_socket=lab.socket(2)).cursor().execute("SELECT * FROM d.t")
        lab.sql(2, "SET sql_log_bin=0", "ALTER TABLE d.t DROP x")


def test_clocks(lab):
    """The later of two concurrent writes wins, by the servers' clocks. Sessions of this account are told another time."""
    with ordinary_peer(lab) as file:
        lab.sql(2, "SET sql_log_bin=0", "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO ordinary@localhost",
                "GRANT SELECT ON syncline.* TO ordinary@localhost", "GRANT REFERENCES ON d.* TO ordinary@localhost")
        for seconds, words in ((90, "ahead of"), (-90, "behind")):
            with changed(lab, 2, "init_connect", f"'SET timestamp = UNIX_TIMESTAMP() + {seconds}'"):
                seen = examine(lab, file=file)
            assert seen.status == 1 and seen.codes == ["SL056"] and words in seen["SL056"]["cause"]
            # The clock stands still in such a session.
            assert abs(seen.document["peers"][0]["clock_offset_ms"] - seconds * 1000) < 10000
        assert examine(lab, file=file).codes == []


# ---- Tables ----

CASCADES = ["CREATE TABLE d.a (id INT PRIMARY KEY)",
            "CREATE TABLE d.b (id INT PRIMARY KEY, a_id INT, CONSTRAINT ab FOREIGN KEY (a_id) REFERENCES a (id) ON DELETE CASCADE)"]

TABLES = [
    (["CREATE TABLE d.n (v INT, u INT UNIQUE)"], "SL030", 1, "ALTER TABLE d.n ADD PRIMARY KEY (v)"),
    (["CREATE TABLE d.n (v INT, u INT NOT NULL UNIQUE)"], None, 0, None),
    (["CREATE TABLE d.n (v INT PRIMARY KEY) ENGINE=MyISAM"], "SL031", 2, ...),
    (CASCADES, "SL032", 0, None),
    ([*CASCADES, "CREATE TABLE d.c (id INT PRIMARY KEY, b_id INT, FOREIGN KEY (b_id) REFERENCES b (id) ON DELETE SET NULL)"],
     "SL033", 1, ...),
    ([*CASCADES, "CREATE TABLE d.c (id INT PRIMARY KEY, b_id INT, FOREIGN KEY (b_id) REFERENCES b (id) ON DELETE CASCADE)"],
     "SL033", 1, ...),
    ([*CASCADES, "CREATE TABLE d.c (id INT PRIMARY KEY, b_id INT, FOREIGN KEY (b_id) REFERENCES b (id))"], "SL032", 0, None),
    (["CREATE TABLE d.tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)"],
     "SL033", 1, ...),
    ([CASCADES[0], CASCADES[1].replace("ON DELETE", "ON UPDATE")], "SL034", 1, ...),
    (["CREATE TABLE d.n (id INT PRIMARY KEY)", "CREATE TRIGGER d.tr BEFORE INSERT ON d.n FOR EACH ROW SET @x = 1"], "SL035", 0, None),
    (["CREATE EVENT d.e ON SCHEDULE EVERY 1 YEAR DO SET @x = 1"], "SL037", 1, "DROP EVENT d.e"),
    (["CREATE EVENT d.e ON SCHEDULE EVERY 1 YEAR DISABLE DO SET @x = 1"], None, 0, None),
    (["CREATE SEQUENCE d.s"], "SL039", 1, ...),
    (["CREATE SEQUENCE d.s INCREMENT BY 0"], None, 0, None),
]


@contextlib.contextmanager
def made(lab, *statements):
    """In database d, gone afterwards."""
    lab.sql(1, *statements)
    lab.wait()
    try:
        yield
    finally:
        lab.sql(1, "SET foreign_key_checks=0", "DROP SEQUENCE IF EXISTS d.s", "DROP EVENT IF EXISTS d.e",
                "DROP TABLE IF EXISTS d.c, d.b, d.a, d.n, d.tree")
        lab.wait()


@pytest.mark.parametrize("statements,code,status,fix", TABLES, ids=[f"{i}-{t[1]}" for i, t in enumerate(TABLES)])
def test_what_is_in_the_databases(lab, statements, code, status, fix):
    """Replicates otherwise than its owner thinks; the fix that is shown (...) is run, and has to mend it on both nodes."""
    with made(lab, *statements):
        for node in lab.nodes:
            seen = examine(lab, node=node)
            if code != "SL037" or node == 1:  # elsewhere the event is marked as this node's
                assert seen.status == status and seen.codes == ([code] if code else []), seen.findings
        if fix is not None:
            lab.sql(1, statement_in(examine(lab)[code]) if fix is ... else fix, database="d")
            lab.wait()
            for node in lab.nodes:
                assert examine(lab, node=node).status == 0
    assert examine(lab).codes == []


def test_events(lab):
    """The scheduler is on: an event runs where it was made. Enabled by hand on a peer, it runs twice."""
    with made(lab, "CREATE EVENT d.e ON SCHEDULE EVERY 1 YEAR DO SET @x = 1"), changed(lab, 1, "event_scheduler", "ON"), \
            changed(lab, 2, "event_scheduler", "ON"):
        assert examine(lab).codes == ["SL036"] and examine(lab, node=2).codes == []
        lab.sql(2, "SET sql_log_bin=0", "ALTER EVENT d.e ENABLE")
        seen = examine(lab)
        assert seen.status == 1 and seen.codes == ["SL038"]
        *first, second = seen["SL038"]["fix"].split(": ", 1)[1].split("; ")
        lab.sql(2, *first, second)
        assert examine(lab).codes == ["SL036"]


def test_a_database_that_is_not_there(lab):
    """Before the first CREATE DATABASE this is no fault; with a name that was mistyped somebody wants to know."""
    file = edited(lab, "more", lambda text: text.replace("replicate-do-db", "replicate-do-db = missing\nreplicate-do-db", 1))
    seen = examine(lab, file=file)
    assert seen["SL040"]["subject"] == "missing" and seen["SL055"]["node"] == 2
    assert seen.codes == ["SL040", "SL055", "SL065"]


# ---- Between nodes ----


def test_tables_that_differ(lab):
    """ALTER with sql_log_bin=0 on one node: rows go on by name, until a value doesn't fit or a table isn't there."""
    with made(lab, "CREATE TABLE d.n (id INT PRIMARY KEY, v INT)"):
        lab.sql(2, "SET sql_log_bin=0", "ALTER TABLE d.n MODIFY v BIGINT")
        for node in lab.nodes:
            seen = examine(lab, node=node)
            assert seen.status == 1 and seen.codes == ["SL058"] and seen["SL058"]["subject"] == "d.n"
            assert "`v` int(11) DEFAULT NULL" in seen["SL058"]["cause"] and "`v` bigint(20)" in seen["SL058"]["cause"]
        lab.sql(2, "SET sql_log_bin=0", "DROP TABLE d.n")
        for node in lab.nodes:
            seen = examine(lab, node=node)
            assert seen.status == 2 and seen.codes == ["SL057"] and seen["SL057"]["node"] == 2
        lab.sql(2, "SET sql_log_bin=0", "CREATE TABLE d.n (id INT PRIMARY KEY, v INT)")
        assert examine(lab).codes == []


def test_policies_and_databases(lab):
    """A line that one node has and another lacks: the rows in conflict differ afterwards. And the daemon hasn't read it yet."""
    file = edited(lab, "policy", lambda text: text.replace("[syncline]\n", "[syncline]\nconflict-policy = d.t.v: max\n", 1))
    seen = examine(lab, file=file)
    assert seen.status == 1 and seen.codes == ["SL054", "SL065"] and seen["SL054"]["subject"] == "d.t"


# ---- The daemon ----


def test_daemons_and_links(lab):
    """What keeps writes from arriving, with the command that lets them: no daemon, a pause, a peer that is away."""
    lab.kill(1, "--daemon")
    try:
        seen = examine(lab)
        assert seen.status == 2 and seen.codes == ["SL060"] and str(settings_of(lab)) in seen["SL060"]["fix"]
    finally:
        lab.start(1, "--daemon")
    lab.wait_state(1, 2, "live")
    wait_for("its log to be read", lambda: lab.status(1)["server"]["state"] == "live")
    run("pause", f"--defaults-file={settings_of(lab)}", 2)
    wait_for("the pause", lambda: lab.link(1, 2)["paused"])
    seen = examine(lab)
    assert seen.status == 1 and seen.codes == ["SL062"]
    run(*seen["SL062"]["fix"].split()[1:])
    lab.wait_state(1, 2, "live")
    assert examine(lab).codes == []
    lab.kill(2, "--server")
    try:
        lab.wait_state(1, 2, "connecting")
        seen = examine(lab)
        assert seen.status == 1 and seen.codes == ["SL050", "SL063"]
    finally:
        lab.start(2)
    for node in lab.nodes:
        lab.wait_state(node, 3 - node, "live")
        wait_for("its log to be read", lambda: lab.status(node)["server"]["state"] == "live")


def test_a_link_that_is_stopped(lab):
    """The reason, and the command that passes the transaction over, as it is to be typed."""
    lab.sql(1, "SET STATEMENT binlog_format=STATEMENT FOR INSERT INTO d.t (id, v) VALUES (500, 1)")
    lab.wait_state(2, 1, "stopped")
    seen = examine(lab, node=2)
    assert seen.status == 2 and "SL061" in seen.codes and "logged as a statement" in seen["SL061"]["cause"]
    command = re.search(r"syncline (skip .*)", seen["SL061"]["fix"]).group(1)
    lab.sql(2, "SET sql_log_bin=0", "INSERT INTO d.t (id, v) VALUES (500, 1)")
    run(*command.split())
    lab.wait()
    lab.wait_state(2, 1, "live")
    assert examine(lab, node=2).codes == []


def test_a_disk_that_cannot_be_seen(lab):
    """Said, or it would look as if there were room."""
    file = edited(lab, "nowhere", lambda text: re.sub(r"state-dir = .*", "state-dir = /nonexistent", text))
    seen = examine(lab, file=file)
    assert seen["SL072"]["subject"] == "/nonexistent" and "SL060" in seen.codes
