"""Bad input: one line that says what, where and how to mend it, an exit status that isn't 0, and nothing half done.

Whoever sets up a gate at night reads one line, not a manual: a wrong setting that is taken silently, or an error
that names neither the option nor the file, costs the night. And a stream that was garbled on the way must neither
get into the tables nor keep the link down when the line is good again."""

import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest

from conftest import SYNCLINE, run, wait_for
from test_types import lab, pair  # noqa: F401, fixtures


def tree(directory):
    """What is below a folder, with each file's size."""
    directory = pathlib.Path(directory)
    return sorted((str(p.relative_to(directory)), p.lstat().st_mode, p.lstat().st_size if p.is_file() else 0) for p
                  in directory.rglob("*"))


def refuse(*args, status=1, says=(), **kwargs):
    """syncline must refuse this with one line that has all of these parts. Returns the line."""
    result = run(*args, check=False, **kwargs)
    text = f"syncline {' '.join(map(str, args))}\n{result.stdout}{result.stderr}"
    assert result.returncode == status, text
    assert result.stdout == "" and result.stderr.endswith("\n") and result.stderr.count("\n") == 1, text
    line = result.stderr.rstrip("\n")
    for part in says if isinstance(says, tuple) else (says,):
        assert str(part) in line, text
    assert len(line) < 1000 and "(null)" not in line, text
    return line


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="syncline-test-")
    yield pathlib.Path(path)
    shutil.rmtree(path, ignore_errors=True)


# ---- Arguments ----

WITH_FILE = ["run", "status", "pause", "resume", "skip"]
WITH_DIR = [f"lab {c}" for c in ("up", "down", "wait", "cut", "heal", "kill", "start", "sql", "status", "plug",
                                 "unplug")]
ARGUMENTS = {"pause": ["2"], "resume": ["2"], "skip": ["1-1-1"], "lab cut": ["1", "2"], "lab heal": ["1", "2"],
             "lab kill": ["1"], "lab start": ["1"], "lab plug": ["1"], "lab unplug": ["1"], "lab sql": ["1"]}


@pytest.mark.parametrize("command", [*WITH_FILE, *WITH_DIR, "demo"])
def test_nonsense_arguments(command, folder):
    """A mistyped option that is passed over leaves someone believing it was heard."""
    words, extra = command.split(), ARGUMENTS.get(command, [])
    key = "--defaults-file" if command in WITH_FILE else "--dir"
    good = [f"{key}={folder}/x"]
    refuse(*words, *good, "--nonsense", *extra, status=2, says="--nonsense")
    refuse(*words, *good, "--nonsense=5", *extra, status=2, says="--nonsense")
    refuse(*words, *good, "-x", *extra, status=2, says="-x")
    refuse(*words, key + "=", *extra, status=2, says=key)
    refuse(*words, *extra, key, status=2, says=key)
    refuse(*words, *good, *good, *extra, status=2, says=(key, "twice"))
    if command in WITH_FILE and not os.path.exists("/etc/syncline/syncline.cnf"):  # where init and join put it
        refuse(*words, *extra, says="/etc/syncline/syncline.cnf")
    elif command in WITH_DIR:
        refuse(*words, *extra, status=2, says=key)
    if command != "lab sql":
        refuse(*words, *good, *extra, "extra", status=2, says=f"syncline {command}")
    if extra:
        refuse(*words, *good, *extra[1:], status=2, says=f"syncline {command}")
    assert tree(folder) == []
    assert "Usage: syncline " + command in run(*words, "--help").stdout


def test_unknown_commands():
    """No command, one that isn't there, and one in the wrong letters."""
    refuse(status=2, says="--help")
    refuse("lab", status=2, says="lab --help")
    for words in (["nonsense"], ["lab", "nonsense"], ["RUN"], ["--version-of-nothing"], ["lab", "--dir=x"], [""]):
        refuse(*words, status=2, says=f"'{words[-1]}'")


NONSENSE = [
    ("--nodes=0", "--nodes"),
    ("--nodes=1", ("--nodes", "2 to 9")),
    ("--nodes=10", ("--nodes", "2 to 9")),
    ("--nodes=two", ("--nodes", "'two'", "2 to 9")),
    ("--nodes=-2", "--nodes"),
    ("--nodes=2.5", "--nodes"),
    ("--nodes=99999999999999999999", "--nodes"),
    ("--nodes= 2", "--nodes"),
    ("--nodes=0x2", "--nodes"),
    ("--shape=tree", ("--shape", "'tree'", "mesh, ring, star or chain")),
    ("--shape=Ring", ("--shape", "'Ring'")),
    ("--shape=", "--shape"),
    ("--timeout=0", "--timeout"),
    ("--timeout=-1", "--timeout"),
    ("--timeout=1h", "--timeout"),
    ("--timeout=", "--timeout"),
    ("--network=yes", "--network"),
    ("--server-option==5", "--server-option"),
    ("--server-option=a b=5", "--server-option"),
    ("--server-option=datadir=/tmp", ("--server-option", "datadir")),
    ("--server-option=SOCKET=/tmp/x", ("--server-option", "SOCKET")),
    ("--server-option=log_error=/x", "--server-option"),
    ("--server-option=x=a\nb=c", "--server-option"),
    ("--database=mysql", ("--database", "'mysql'")),
    ("--database=syncline", ("--database", "'syncline'")),
    ("--database=", "--database"),
    ("--database=" + "x" * 300, ("--database", "64")),
]


@pytest.mark.parametrize("option,says", NONSENSE, ids=[repr(option)[1:40].rstrip("'") for option, _ in NONSENSE])
def test_nonsense_values(option, says, folder):
    """Nothing is made before every value is known to be right."""
    refuse("lab", "up", f"--dir={folder}/lab", option, status=2, says=says)
    assert tree(folder) == []


def test_database_twice(folder):
    """As above, for two options that don't go together."""
    refuse("lab", "up", f"--dir={folder}/lab", "--database=a", "--database=a", status=2, says=("--database", "'a'",
            "twice"))
    assert tree(folder) == []


# ---- Folders ----


def test_folder_for_a_lab(folder):
    """A folder that is somebody's stays as it was."""
    (folder / "file").write_text("mine")
    (folder / "sub").mkdir(mode=0o755)
    before = tree(folder)
    refuse("lab", "up", f"--dir={folder}", says=(folder, "not empty"))
    refuse("lab", "up", f"--dir={folder}/file", says=f"{folder}/file")
    refuse("lab", "up", f"--dir={folder}/file/x", says=f"{folder}/file/x")
    refuse("lab", "up", f"--dir={folder}/no/such", says=(f"{folder}/no/such", "make the folder above"))
    for name in ("down", "wait", "status", "cut", "heal", "kill", "start", "sql", "plug", "unplug"):
        arguments = ARGUMENTS.get(f"lab {name}", [])
        for path in (folder, folder / "nothing", folder / "file"):
            refuse("lab", name, f"--dir={path}", *arguments, says=(path, "no lab is here", "syncline lab up"))
    assert tree(folder) == before


def test_folder_with_a_damaged_marker(folder):
    """`lab down` removes a folder: it must be sure that it is a lab's."""
    for text in ("", "{", "[]", "5", '{"syncline_lab": 1}', '{"syncline_lab": 2, "nodes": 2}',
                 '{"syncline_lab": 1, "nodes": 1}', '{"syncline_lab": 1, "nodes": "2"}',
                 '{"syncline_lab": 1, "nodes": 1000000000000}', "\0\0", '{"nodes": 2}',
                 '{"syncline_lab": 1, "nodes": 2, "shape": "tree"}'):
        (folder / "syncline-lab.json").write_text(text)
        (folder / "precious").write_text("mine")
        before = tree(folder)
        for name in ("down", "status", "wait"):
            refuse("lab", name, f"--dir={folder}", says="syncline-lab.json")
        refuse("lab", "up", f"--dir={folder}", says=folder)
        assert tree(folder) == before


def test_path_too_long_for_a_socket(folder):
    """A UNIX socket's path has 107 bytes; the server's own message for that comes late and speaks of something else."""
    long = folder / ("x" * (110 - len(str(folder))))
    refuse("lab", "up", f"--dir={long}", says=(long, "shorter"))
    file = settings(folder, socket=f"/{'x' * 120}/s")
    refuse("run", f"--defaults-file={file}", says=(f"{file}:", "107", "socket"))
    file = settings(folder, state_dir=folder / ("y" * 110))
    refuse("run", f"--defaults-file={file}", says=("y" * 110, "107"))
    assert [p[0] for p in tree(folder)] == ["syncline.cnf"]


def test_read_only_folder(folder):
    """As an ordinary user, where the folder is root's."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        parent = folder / "read-only"
        parent.mkdir(mode=0o500)
        refuse("lab", "up", f"--dir={parent}/lab", says=(f"{parent}/lab", "Permission denied"))
        parent.chmod(0o700)
        return
    program = folder / "syncline"
    shutil.copy(SYNCLINE, program)
    folder.chmod(0o755)
    before = tree(folder)
    result = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "lab", "up",
                             f"--dir={folder}/lab"], capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and result.stdout == ""
    assert f"{folder}/lab" in result.stderr and "Permission denied" in result.stderr
    assert tree(folder) == before


# ---- Settings ----


def settings(folder, text=None, node=1, database="d", state_dir=None, socket="/nowhere/mariadb.sock", peer=2,
             peer_socket="/nowhere/peer.sock", extra=""):
    file = pathlib.Path(folder) / "syncline.cnf"
    file.write_text(text if text is not None else f"""[syncline]
node-id = {node}
replicate-do-db = {database}
state-dir = {state_dir or pathlib.Path(folder) / 'state'}
[syncline-server]
socket = {socket}
user = root
[syncline-peer-{peer}]
socket = {peer_socket}
user = root
{extra}
""")
    return file


WRONG_LINES = [  # what it says, what it says instead, the line that the message names, and what else it has
    ("node-id = 1", "node-id = 0", 2, "node-id"),
    ("node-id = 1", "node-id = one", 2, "'one'"),
    ("node-id = 1", "node_id = 65", 2, "64"),
    ("node-id = 1", "", 1, "node-id"),
    ("node-id = 1", "node-id = 1\nnode-id = 2", 3, "line 2"),
    ("node-id = 1", "nodeid = 1", 2, "'nodeid'"),
    ("node-id = 1", "node-id", 2, "node-id = VALUE"),
    ("node-id = 1", "node-id = 2", 8, "node-id"),
    ("node-id = 1", "node-id = 1\nlog-level = loud", 3, "'loud'"),
    ("replicate-do-db = d", "replicate-do-db = mysql", 3, "'mysql'"),
    ("replicate-do-db = d", "replicate-do-table = d.t", 3, "'replicate-do-table'"),
    ("replicate-do-db = d", "", 1, "replicate-do-db"),
    ("socket = /nowhere/mariadb.sock", "", 5, "socket"),
    ("socket = /nowhere/mariadb.sock", "host = 127.0.0.1\nport = 70000", 7, "'70000'"),
    ("socket = /nowhere/mariadb.sock", "host = localhost", 6, "localhost"),
    ("socket = /nowhere/mariadb.sock", "socket = relative.sock", 6, "relative.sock"),
    ("[syncline-peer-2]", "[syncline-peer-x]", 8, "'x'"),
    ("[syncline-peer-2]", "[syncline-pear-2]", 8, "[syncline-pear-2]"),
    ("[syncline-peer-2]", "[syncline-peer-1]", 8, "node-id"),
    ("[syncline-server]", "", 6, "'socket'"),
    ("[syncline-server]", "[mariadbd]\nport = 3306\n[syncline-server]", 5, "datadir"),
    ("[syncline]", "# nothing", 2, "[syncline]"),
    ("[syncline]", "[syncline", 1, "'[syncline'"),
    ("peer.sock", "mariadb.sock", 8, "own server"),
    ("user = root", "user = root\npassword = x", 8, "chmod 600"),
    ("user = root", "user = 'root", 7, "quote"),
    ("user = root", "\x01", 7, "control character"),
]


@pytest.mark.parametrize("old,new,line,says", WRONG_LINES)
@pytest.mark.parametrize("command", ["run", "status"])
def test_wrong_settings(old, new, line, says, command, folder):
    """The line names the file, the place in it and what is wrong there; nothing is made before all of it is right."""
    file = settings(folder)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    file.chmod(0o644)
    refuse(command, f"--defaults-file={file}", says=(f"{file}:{line}: ", says))
    assert [p[0] for p in tree(folder)] == ["syncline.cnf"]


def test_file_that_is_no_settings_file(folder):
    """Missing, a folder, a device, somebody else's file, bytes."""
    (folder / "binary").write_bytes(bytes(range(256)) * 10)
    (folder / "empty").write_text("")
    (folder / "big").write_text("# much\n" * 200000)
    for path, part in ((folder / "nothing", "No such file"), (folder, "no option file"), ("/dev/null",
            "no option file"), (folder / "binary", "no option file"), (folder / "empty", "[syncline]"), (folder / "big",
            "no option file"), ("/etc/passwd", "/etc/passwd:1")):
        for words in (["run"], ["status"], ["pause", "2"], ["resume", "2"], ["skip", "1-1-1"]):
            refuse(words[0], f"--defaults-file={path}", *words[1:], says=(path, part))


def test_arguments_that_only_the_settings_can_refuse(folder):
    """A peer that isn't one, a GTID that is none, a daemon that doesn't run."""
    file = settings(folder)
    for command in ("pause", "resume"):
        for peer in ("0", "1", "3", "x", "-2", "2 "):
            refuse(command, f"--defaults-file={file}", "--", peer, status=2, says=f"'{peer}'")
    for gtid in ("x", "1-1", "1-1-1-1", "1-1-x", "-1-1-1", "1-1-99999999999999999999999", "1-1-1,2-2-2", ""):
        run_ = run("skip", f"--defaults-file={file}", "--", gtid, check=False)
        assert run_.returncode in (1, 2) and run_.stderr.count("\n") == 1 and f"{gtid}" in run_.stderr, (gtid,
                run_.stderr)
    refuse("status", f"--defaults-file={file}", says=("state", "syncline run"))
    refuse("skip", f"--defaults-file={file}", "1-1-1", says="state")


# ---- Programs and ports ----


def test_no_server_installed(folder):
    """Where mariadb-server isn't installed, the line says what to install."""
    programs = [p for name in ("mariadbd", "mysqld", "mariadb-install-db", "mysql_install_db") for d in ("/usr/sbin",
            "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/libexec") if (p := f"{d}/{name}")
                and os.path.exists(p)]
    hide = "; ".join(f"mount --bind /dev/null {p}" for p in programs)
    probe = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", hide], capture_output=True,
                           text=True)
    if probe.returncode != 0:
        pytest.skip(f"can't hide the server's programs here: {probe.stderr.strip()}")
    for hidden, name in ((programs, "mariadb"), ([p for p in programs if "install" not in p], "mariadbd")):
        hide = "; ".join(f"mount --bind /dev/null {p}" for p in hidden)
        for words in (["lab", "up"], ["demo", "--without-network"]):
            result = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec",
                                     f'{hide}; shift; exec "$0" "$@"', SYNCLINE, "", *words, f"--dir={folder}/lab"],
                                    capture_output=True, text=True)
            assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr
            assert name in result.stderr and "not installed" in result.stderr
            assert "apt install mariadb-server" in result.stderr
            assert tree(folder) == []


def test_port_in_use(folder):
    """Somebody listens there: the line names the port, and nothing is left behind, neither files nor processes."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refuse("lab", "up", f"--dir={folder}/lab", "--server-option=bind-address=127.0.0.1",
               f"--server-option=port={port}", says=("node 1", "port", "in use", str(port)))
    assert tree(folder) == []
    assert processes_of(folder) == []


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


# ---- Servers that aren't as they must be ----


WRONG_SERVERS = [
    ("skip_log_bin", ("log_bin", "off", "log_bin=mysql-bin")),
    ("binlog_format=MIXED", ("binlog_format", "MIXED", "binlog_format=ROW")),
    ("binlog_format=STATEMENT", ("binlog_format", "STATEMENT")),
    ("binlog_row_metadata=NO_LOG", ("binlog_row_metadata", "binlog_row_metadata=FULL")),
    ("binlog_row_image=MINIMAL", ("binlog_row_image", "binlog_row_image=FULL")),
    ("gtid_domain_id=7", ("gtid_domain_id is 7", "must be ")),
    ("server_id=9", ("server_id is 9", "must be ")),
    ("nonsense=1", ("nonsense",)),
]


@pytest.mark.parametrize("option,says", WRONG_SERVERS)
def test_server_that_cannot_be_replicated(option, says, folder):
    """Without a binlog, or with one that lacks half of it, links would be green and empty."""
    refuse("lab", "up", f"--dir={folder}/lab", f"--server-option={option}", says=("of node ", *says))
    assert tree(folder) == [] and processes_of(folder) == []


class Daemon:
    """`syncline run` with settings of our own beside a lab's."""

    def __init__(self, file):
        self.file = file
        self.log = open(f"{file}.log", "wb")
        self.process = subprocess.Popen([SYNCLINE, "run", f"--defaults-file={file}"], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)

    def end(self):
        self.process.terminate()
        self.log.close()
        return self.process.wait(60)


def test_server_changed_while_running(lab):
    """The peer's server is set to MIXED later: at the next connection the link says so, and goes on when that is
    mended."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY)")
    lab.wait()
    lab.cut(1, 2)
    lab.sql(2, "SET GLOBAL binlog_format=MIXED")
    lab.heal(1, 2)
    why = lab.wait_state(1, 2, "stopped")["why"]
    assert "binlog_format is MIXED" in why and "node2" in why and "\n" not in why
    lab.sql(2, "SET GLOBAL binlog_format=ROW")
    lab.sql(2, "INSERT INTO d.t VALUES (1)")
    lab.wait()
    lab.assert_equal()


def test_settings_that_take_one_node_for_another(lab, folder):
    """Two nodes with one id, and a peer's socket that is another node's: found before anything is applied."""
    # Node 2's server, said to be node 3's.
    file = settings(folder, socket=lab.socket(1), peer=3, peer_socket=lab.socket(2))
    daemon = Daemon(file)
    try:
        link = wait_for("the link to stop", lambda: next((l for l in status_of(file)["links"] if l["state"]
                == "stopped"), None))
        assert "server_id is 2 but must be 3" in link["why"] and lab.socket(2) in link["why"]
    finally:
        assert daemon.end() == 0
    # This node's own server, which has another id.
    refuse("run", f"--defaults-file={settings(folder, node=5, socket=lab.socket(1))}",
           says=("server_id is 1 but must be 5", lab.socket(1)))
    lab.wait()


def status_of(file):
    import json
    result = run("status", "--json", f"--defaults-file={file}", check=False)
    return json.loads(result.stdout) if result.returncode == 0 and result.stdout.strip() else {"links": []}


def test_two_daemons_for_one_node(lab):
    """The second would apply everything once more: it refuses, and the first goes on undisturbed."""
    pid = lab.daemon_pid(1)
    refuse("run", f"--defaults-file={lab.dir}/node1/syncline.cnf", says=(f"{lab.dir}/node1/state", "runs"))
    assert lab.daemon_pid(1) == pid
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY)")
    lab.wait()


def test_second_lab_in_the_same_folder(lab):
    """The one that is there stays."""
    refuse("lab", "up", f"--dir={lab.dir}", says=("lab is there already", f"syncline lab down --dir={lab.dir}"))
    lab.wait()


def test_nodes_that_are_not_in_the_lab(lab):
    """A typing error in the node's number."""
    for words in (["cut", "1", "3"], ["cut", "1", "x"], ["cut", "1", "1"], ["heal", "0", "2"], ["kill", "3"], ["start",
            "12"], ["sql", "5", "-e", "SELECT 1"], ["sql", "''"]):
        refuse("lab", words[0], f"--dir={lab.dir}", *words[1:], status=2, says="1 to 2" if words[1:] != ["1", "1"]
               else "1")
    refuse("lab", "plug", f"--dir={lab.dir}", "1", status=2, says="--network")


def test_binlog_purged(lab, pair):  # noqa: F811
    """What the peer has thrown away can't be asked for: the link says which node to copy anew, loses nothing else and
    doesn't hang."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY)")
    lab.wait()
    lab.cut(1, 2)
    lab.sql(1, "INSERT INTO d.t VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO d.t VALUES (2)", "FLUSH BINARY LOGS")
    last = lab.sql(1, "SHOW BINARY LOGS")[-1][0]
    lab.sql(1, f"PURGE BINARY LOGS TO '{last}'", "INSERT INTO d.t VALUES (3)")
    lab.sql(2, "INSERT INTO d.t VALUES (4)")
    lab.heal(1, 2)
    why = lab.wait_state(2, 1, "must rejoin")["why"]
    assert "\n" not in why and lab.socket(1) in why and "syncline rejoin" in why, why
    # The other direction is not concerned.
    wait_for("row 4 on node 1", lambda: lab.value(1, "SELECT COUNT(*) FROM d.t WHERE id=4") == 1)
    assert lab.value(2, "SELECT COUNT(*) FROM d.t WHERE id<4") == 0
    pair.drop()


# ---- A line that garbles ----


class Last(bytes):
    """The connection ends behind these."""


class Proxy:
    """Stands between a daemon and its peer's socket. What the server sends is passed on through `spoil`, once the
    client has asked for the log."""

    def __init__(self, path, target):
        self.path, self.target, self.spoil, self.spoiled, self.open = str(path), target, None, 0, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(20)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.target)
            except OSError:
                client.close()
                continue
            state = {"dump": False}
            self.open += [client, server]
            threading.Thread(target=self.up, args=(client, server, state), daemon=True).start()
            threading.Thread(target=self.down, args=(server, client, state), daemon=True).start()

    @staticmethod
    def close(*sockets):
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def up(self, client, server, state):
        rest = b""  # packets don't end where what recv() returns does
        try:
            while data := client.recv(65536):
                rest += data
                while len(rest) > 4:
                    state["dump"] = state["dump"] or rest[4] == 0x12  # COM_BINLOG_DUMP
                    if len(rest) < (size := 4 + int.from_bytes(rest[:3], "little")):
                        break
                    rest = rest[size:]
                server.sendall(data)
        except OSError:
            pass
        self.close(client, server)

    def down(self, server, client, state):
        try:
            while data := server.recv(65536):
                spoil = self.spoil
                if state["dump"] and spoil is not None:
                    spoilt = spoil(data)
                    self.spoiled += spoilt != data or isinstance(spoilt, Last)
                    data = spoilt
                client.sendall(data)
                if isinstance(data, Last):
                    break
        except OSError:
            pass
        self.close(server, client)

    def hang_up(self):
        while self.open:
            self.close(self.open.pop())

    def end(self):
        # Closing doesn't wake the thread that accepts: it would go on with whatever gets this file's number next.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


@pytest.fixture
def proxied(lab, pair, folder):  # noqa: F811
    """Node 1 reads node 2's log through a proxy."""
    file = lab.dir / "node1" / "syncline.cnf"
    text = file.read_text()
    lab.kill(1, "--daemon")
    proxy = Proxy(folder / "proxy.sock", lab.socket(2))
    file.write_text(text.replace(lab.socket(2), proxy.path))
    lab.start(1, "--daemon")
    lab.sql(2, "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, n INT UNIQUE, v VARCHAR(500))",
            "CREATE TABLE d.counter (id INT PRIMARY KEY, n INT)", "CREATE TABLE d.log (n INT)",
            "INSERT INTO d.counter VALUES (1, 0)")
    lab.wait()
    lab.proxy = proxy
    yield lab
    proxy.end()
    if pair.lab is lab:
        lab.kill(1, "--daemon")
        file.write_text(text)
        lab.start(1, "--daemon")


def write(lab, first, count):
    """A transaction applied twice breaks the key or counts too far, one that got lost leaves a hole, half a one
    differs."""
    for n in range(first, first + count):
        lab.sql(2, "BEGIN", f"INSERT INTO d.t (n, v) VALUES ({n}, REPEAT('{n % 10}', {n * 7 % 500}))",
                "UPDATE d.counter SET n=n+1", f"INSERT INTO d.log VALUES ({n})", "COMMIT")


def check(lab, count):
    lab.proxy.spoil = None
    lab.wait()
    lab.assert_equal()
    for table in ("t", "log"):
        assert lab.sql(1, f"SELECT COUNT(*), COUNT(DISTINCT n), MAX(n) FROM d.{table}") == ((count, count, count - 1),)
    assert lab.value(1, "SELECT n FROM d.counter") == count
    assert all(len(line) < 2000 and line[:2] == "20" for line in lab.log(1).splitlines()), "the log is lines"


def flips(dice, of=3):
    def spoil(data):
        if dice.randrange(of):
            return data
        data = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 20))):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        return bytes(data)
    return spoil


def cuts(dice, of=2):
    return lambda data: data[:dice.randrange(len(data))] if not dice.randrange(of) else data


def packets(change):
    """Spoils a chunk that is whole packets, packet by packet; the headers stay as they are."""
    def spoil(data):
        parts, at = [], 0
        while at + 4 <= len(data):
            size = 4 + int.from_bytes(data[at:at + 3], "little")
            parts.append(data[at:at + size])
            at += size
        return b"".join(change(parts)) if at == len(data) and len(parts) > 1 else data
    return spoil


def one_twice(dice):
    return packets(lambda parts: parts[:(i := dice.randrange(len(parts)))] + [parts[i]] + parts[i:])


def one_missing(dice):
    return packets(lambda parts: parts[:(i := dice.randrange(len(parts)))] + parts[i + 1:])


def two_swapped(dice):
    return packets(lambda parts: parts[:(i := dice.randrange(len(parts) - 1))] + [parts[i + 1], parts[i]] + parts[i
            + 2:])


SPOILERS = {"a packet twice": one_twice, "a packet missing": one_missing, "packets swapped": two_swapped,
            "bits flipped": flips,
            "cut within an event": lambda dice: lambda data: Last(data[:dice.randrange(len(data))]) if
            not dice.randrange(3) else data, "bytes missing": cuts, "bytes twice": lambda dice: lambda data: data + data
            if not dice.randrange(2) else data, "noise": lambda dice: lambda data: dice.randbytes(len(data)) if
            not dice.randrange(3) else data,
            "packet length": lambda dice: lambda data: bytes([data[0] ^ 1 << dice.randrange(8), data[1],
        data[2] ^ 1 << dice.randrange(8)]) + data[3:] if not dice.randrange(3) else data}


@pytest.mark.parametrize("how", SPOILERS)
def test_garbled_stream(proxied, how):
    """A bad cable, a proxy's bug, a disk that flips a bit: nothing of it gets into the tables, and the link mends
    itself."""
    lab = proxied
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print("seed", seed)
    dice = random.Random(seed)
    count = 0
    for _ in range(4):
        lab.proxy.spoil = SPOILERS[how](dice)
        before = lab.proxy.spoiled
        write(lab, count, 15)
        count += 15
        wait_for("something to be spoiled", lambda: lab.proxy.spoiled > before)
        lab.proxy.spoil = None
        lab.proxy.hang_up()  # a link that waits for the rest of a huge packet: see the next test
        check(lab, count)


def test_packet_that_never_ends(proxied):
    """A length that was garbled makes the reader wait for megabytes, while heartbeats arrive and are taken for them:
    noticed after a minute, by itself."""
    lab = proxied
    lab.proxy.spoil = lambda data: data[:2] + b"\xff" + data[3:]
    write(lab, 0, 5)
    wait_for("something to be spoiled", lambda: lab.proxy.spoiled > 0)
    lab.proxy.spoil = None
    wait_for("the rows", lambda: lab.value(1, "SELECT n FROM d.counter") == 5)
    check(lab, 5)


@pytest.mark.sanitizer
def test_stream_cut_at_every_place(proxied):
    """The connection ends after 1, 2, 3, … bytes of what the peer sends, and each time the rest comes with the next
    connection."""
    lab = proxied
    left = [0]

    def spoil(data):
        left[0] -= len(data)
        return data if left[0] > 0 else Last(data[:max(0, len(data) + left[0])])

    count = 0
    for size in [*range(1, 10), *range(10, 600, 37)]:
        left[0], lab.proxy.spoil = size, spoil
        if size % 4 == 0:
            write(lab, count, 2)
            count += 2
        before = lab.proxy.spoiled
        # Now, not after the pause between attempts.
        wait_for("a cut", lambda: run("resume", f"--defaults-file={lab.dir}/node1/syncline.cnf", "2")
                 and lab.proxy.spoiled > before)
    check(lab, count)


def test_peer_that_sends_nothing(proxied):
    """A connection that is open and dead: noticed by the heartbeats that don't come, in seconds, not minutes."""
    lab = proxied
    hold = threading.Event()
    lab.proxy.spoil = lambda data: Last() if hold.wait(60) else data
    write(lab, 0, 5)
    link = lab.wait_state(1, 2, "connecting")
    assert link["why"]
    hold.set()
    check(lab, 5)
