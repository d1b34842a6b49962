"""`syncline demo`: the guide's schema and its four tests, by the guide's own SQL, in one command.

It is what a newcomer types first. If it fails on their machine, or passes where it shouldn't, nothing else will be
believed."""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile

import pymysql
import pytest

from conftest import ROOT, SYNCLINE, run, wait_for
from test_conflicts import settled

ENDS = re.compile(r"^(\d+) passed, (\d+) failed$")
CUT = re.compile(r"lab +> cut 1 2")
NOBODY = 65534


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="syncline-test-", dir="/tmp")
    os.chmod(path, 0o755)
    yield pathlib.Path(path)
    shutil.rmtree(path, ignore_errors=True)


def check(result, at_least=7):
    text = result.stdout + result.stderr
    assert result.returncode == 0, text
    last = ENDS.match(result.stdout.splitlines()[-1])
    assert last and int(last[1]) >= at_least and int(last[2]) == 0, text
    assert result.stderr == "", text
    for part in ("Test 1", "Test 2", "Test 3", "Test 4", "CHECKSUM TABLE",
                 "INSERT INTO users (name, nic, rfid_tag, node_id)", "'RFID_OFFLINE_001'", " ms "):
        assert part in result.stdout, text


def processes_of(folder):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.mark.sanitizer
def test_demo(folder):
    """As it is typed, with a real network interface that is taken down where that can be made."""
    result = run("demo", f"--dir={folder}/lab")
    check(result)
    # The guide's own SQL, as it stands in the guide.
    for tag in ("RFID_TEST_001", "RFID_TEST_002", "RFID_OFFLINE_001"):
        assert tag in result.stdout
    if os.geteuid() == 0 and shutil.which("ip"):
        assert "ip link set eth0 down" in result.stdout
    assert list(folder.iterdir()) == [] and processes_of(folder) == []


def test_demo_without_network(folder):
    """Where no interface can be made, the link is cut by the lab itself."""
    result = run("demo", f"--dir={folder}/lab", "--without-network")
    check(result)
    assert CUT.search(result.stdout) and "> ip link" not in result.stdout, result.stdout
    assert list(folder.iterdir()) == [] and processes_of(folder) == []


def as_nobody(folder, *arguments):
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become somebody else")
    home = folder / "nobody"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    program = folder / "syncline"
    shutil.copy(SYNCLINE, program)
    program.chmod(0o755)
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", str(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
                          env={"PATH": "/usr/bin:/bin", "TMPDIR": str(home), "HOME": "/nonexistent"})


def test_demo_as_an_ordinary_user(folder):
    """No root, no /usr/sbin in PATH, no home."""
    result = as_nobody(folder, "demo")
    check(result)
    assert list((folder / "nobody").iterdir()) == [] and processes_of(folder / "nobody") == []


def test_demo_where_namespaces_are_forbidden(folder):
    """As in most containers: it says why, goes on with UNIX sockets, and passes."""
    # A user namespace in which no further ones may be made: these limits are the namespace's own.
    forbid = "echo 0 >/proc/sys/user/max_user_namespaces && echo 0 >/proc/sys/user/max_net_namespaces"
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c"]
    probe = subprocess.run([*inside, f"{forbid} && ! unshare --user true && ! unshare --net true"], capture_output=True,
                           text=True)
    if probe.returncode != 0:
        pytest.skip(f"can't forbid namespaces to a part of this machine: {probe.stderr.strip()}")
    result = subprocess.run([*inside, f'{forbid} && exec "$0" "$@"', SYNCLINE, "demo", f"--dir={folder}/lab"],
                            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    check(result)
    for part in ("UNIX sockets instead", "can't make a network namespace"):
        assert part in result.stdout, result.stdout
    assert CUT.search(result.stdout), result.stdout
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("options", [(), ("--without-network",)])
def test_keep(folder, options):
    """What --keep leaves behind is a lab that works, and every line that it says to type does."""
    lab = folder / "lab"
    result = run("demo", "--keep", f"--dir={lab}", *options)
    try:
        check(result)
        commands = re.findall(r"^  syncline (lab \w+ --dir='[^']+'(?: \d)?)$", result.stdout, re.MULTILINE)
        assert {c.split()[1] for c in commands} >= {"sql", "status", "down"}, result.stdout
        for node in (1, 2):
            connection = pymysql.connect(user="root", unix_socket=str(lab / f"node{node}" / "mariadb.sock"),
                                         database="rfid_access_control", autocommit=True)
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO users (name, rfid_tag) VALUES (%s, %s)", (f"kept {node}", f"KEPT_{node}"))
                cursor.execute("SELECT LAST_INSERT_ID() % 2")
                assert cursor.fetchone()[0] == node % 2
            connection.close()
        run("lab", "wait", f"--dir={lab}")
        for node in (1, 2):
            rows = run("lab", "sql", f"--dir={lab}", node, "-e",
                       "SELECT rfid_tag FROM rfid_access_control.users ORDER BY rfid_tag",
                       "--skip-column-names").stdout.split()
            assert rows == ["KEPT_1", "KEPT_2", "RFID_OFFLINE_001", "RFID_TEST_001", "RFID_TEST_002"]
            status = json.loads(run("status", "--json", f"--defaults-file={lab}/node{node}/syncline.cnf").stdout)
            assert [link["state"] for link in status["links"]] == ["live"]
        for command in commands:
            if "down" not in command and "sql" not in command:
                subprocess.run([SYNCLINE, *shlex.split(command)], check=True, capture_output=True,
                               stdin=subprocess.DEVNULL, timeout=60)
    finally:
        down = run("lab", "down", f"--dir={lab}", check=False)
    assert down.returncode == 0 and not lab.exists() and processes_of(folder) == []


def test_interrupted(folder):
    """Ctrl-C at whatever moment leaves neither processes nor files."""
    for moment in ("", "Started and live", "Test 2", "Test 4"):
        process = subprocess.Popen([SYNCLINE, "demo", f"--dir={folder}/lab"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True)
        seen = ""
        if moment == "":
            wait_for("the folder", lambda: (folder / "lab").exists())
        while moment and moment not in seen:
            line = process.stdout.readline()
            assert line, (moment, seen, process.stderr.read())
            seen += line
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert process.returncode != 0 and err.count("\n") == 1 and "interrupted" in err, (moment, err)
        assert not ENDS.match((out.splitlines() or [""])[-1]), "no result of a demo that did not end"
        assert list(folder.iterdir()) == [] and processes_of(folder) == [], moment


def test_schema_is_the_guides():
    """The statements are those of the guide, letter by letter, so that who compares finds the same."""
    source = (ROOT / "src" / "cli" / "demo_sql.h").read_text()
    for part in ("rfid_tag VARCHAR(100) NOT NULL UNIQUE",
                 "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL",
                 "UNIQUE KEY unique_node_table (node_id, table_name)",
                 "conflict_type ENUM('INSERT_DUPLICATE', 'UPDATE_CONFLICT') NOT NULL",
                 "CREATE INDEX idx_logs_gate_location ON logs(gate_location)"):
        assert part in source


def test_readme_settings_are_taken(folder):
    """The README's settings are what somebody pastes first. A line in them that is refused costs them the evening."""
    text = (ROOT / "README.md").read_text()
    settings = re.search(r"```ini\n(\[syncline\]\n.*?)```", text, re.DOTALL)[1]
    (folder / "syncline.cnf").write_text(settings.replace("/var/lib/syncline", f"{folder}/state"))
    line = run("status", f"--defaults-file={folder}/syncline.cnf", check=False).stderr
    assert "syncline.cnf:" not in line and f"{folder}/state" in line, line


def guide_schema():
    """The guide's CREATE statements."""
    source = (ROOT / "src" / "cli" / "demo_sql.h").read_text()
    source = source[source.index("demo_schema[]"):source.index("demo_conflict_table[]")]
    texts = re.findall(r'\{("(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*),', source)
    return ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)).replace("\\n", "\n").rstrip(";") for text in texts]


def test_two_gates_that_are_cut_off(make_lab):
    """A person passes the north gate while somebody at the south gate, cut off, blocks the card and deletes another user: both gates must
    agree afterwards, no swipe may be missing from the logs, and what the office overwrote has to be found again."""
    database = "rfid_access_control"
    lab = make_lab(databases=(database,))
    schema = guide_schema()
    assert len(schema) > 8 and "last_gate" in schema[2], schema
    lab.sql(1, *schema)
    lab.sql(1, f"USE {database}", "INSERT INTO users (id, name, rfid_tag) VALUES (1,'Ada','T1'), (3,'Bob','T3')")
    lab.wait()
    lab.cut(1, 2)
    swipe = ("UPDATE users SET status='In', last_gate='{0}', last_seen_at='2026-01-02 0{1}:00:00', version=version+1 WHERE id={2}",
             "INSERT INTO logs (user_id, event_type, gate_location, device_id, result, node_id) VALUES ({2},'ENTRY','{0}','d{1}','PASS','node{1}')")
    for n in range(1, 4):
        lab.sql(1, f"USE {database}", *[s.format("NORTH", 1, n | 1) for s in swipe])
    lab.sql(2, f"USE {database}", *[s.format("SOUTH", 2, 1) for s in swipe],
            "UPDATE users SET is_active=FALSE WHERE id=1", "DELETE FROM users WHERE id=3",
            "INSERT INTO users (name, rfid_tag, node_id) VALUES ('Cy','T9','node2')")
    lab.sql(1, f"USE {database}", "INSERT INTO users (name, rfid_tag) VALUES ('Cleo','T9')")
    lab.heal(1, 2)
    settled(lab, database)
    for node in (1, 2):
        assert lab.value(node, f"SELECT COUNT(*) FROM {database}.logs") == 4
        assert lab.value(node, f"SELECT is_active FROM {database}.users WHERE id=1") == 0
        assert lab.value(node, f"SELECT COUNT(*) FROM {database}.logs WHERE user_id IS NULL") == 2
        assert lab.sql(node, f"SELECT rfid_tag, COUNT(*) FROM {database}.users GROUP BY 1 ORDER BY 1") == (("T1", 1), ("T9", 1))
    settings = f"--defaults-file={lab.dir}/node1/syncline.cnf"
    listed = json.loads(run("conflicts", "list", "--json", settings).stdout)
    assert {c["table_name"] for c in listed} >= {"users"}, listed
    for conflict in listed:
        shown = run("conflicts", "show", conflict["id"], settings).stdout
        assert shown.startswith(f"conflict {conflict['id']} in {database}.{conflict['table_name']}, ")
