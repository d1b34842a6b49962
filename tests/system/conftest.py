"""Real servers and daemons, started by `syncline lab`.

The program is $SYNCLINE, build/syncline unless set. Every test has labs of its own in a fresh folder; whatever happens, they
are taken down. Nothing here waits for time to pass: it waits for a condition, up to WAIT_S.
"""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pymysql
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYNCLINE = os.environ.get("SYNCLINE", str(ROOT / "build" / "syncline"))
WAIT_S = 120


def run(*args, check=True, timeout=WAIT_S + 60, **kwargs):
    """Runs syncline with these arguments."""
    result = subprocess.run([SYNCLINE, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            errors="replace", timeout=timeout, **kwargs)
    if check and result.returncode != 0:
        raise AssertionError(f"syncline {' '.join(map(str, args))}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def wait_for(what, condition, timeout=WAIT_S):
    """Polls until condition() is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s for: {what}"
        time.sleep(0.02)


def links_of(shape, nodes):
    """The pairs of nodes that have a link, the lower number first."""
    pairs = [(a, b) for a in range(1, nodes + 1) for b in range(a + 1, nodes + 1)]
    return [(a, b) for a, b in pairs if shape == "mesh" or shape == "star" and a == 1 or shape in ("chain", "ring") and b - a == 1
            or shape == "ring" and (a, b) == (1, nodes)]


class Lab:
    def __init__(self, directory, nodes=2, databases=("d",), server_options=(), extra=(), shape="mesh"):
        self.dir = pathlib.Path(directory)
        self.nodes = range(1, nodes + 1)
        self.links = links_of(shape, nodes)
        self.connections = []
        options = [x for d in databases for x in ("--database", d)]
        options += [x for o in server_options for x in ("--server-option", o)]
        run("lab", "up", "--dir", self.dir, "--nodes", nodes, "--shape", shape, *options, *extra)

    # -- the command, by its parts
    def command(self, name, *args, **kwargs):
        return run("lab", name, "--dir", self.dir, *args, **kwargs)

    def cut(self, a, b):
        self.command("cut", a, b)

    def heal(self, a, b):
        self.command("heal", a, b)

    def kill(self, node, *what):
        self.command("kill", node, *what)

    def start(self, node, *what):
        self.command("start", node, *what)

    def wait(self, timeout=WAIT_S):
        self.command("wait", "--timeout", timeout)

    def down(self):
        for connection in self.connections:
            try:
                connection.close()
            except pymysql.Error:
                pass
        self.command("down", check=False)

    # -- SQL
    def socket(self, node):
        return str(self.dir / f"node{node}" / "mariadb.sock")

    def connect(self, node, **kwargs):
        options = {"user": "root", "charset": "utf8mb4", "autocommit": True, "unix_socket": self.socket(node), **kwargs}
        connection = pymysql.connect(**options)
        self.connections.append(connection)
        return connection

    def sql(self, node, *statements, database=None, args=None):
        """Runs the statements in one session and returns the last one's rows."""
        connection = pymysql.connect(user="root", charset="utf8mb4", autocommit=True, unix_socket=self.socket(node),
                                     database=database, max_allowed_packet=1 << 30)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement, args)
                return cursor.fetchall()
        finally:
            connection.close()

    def value(self, node, statement, **kwargs):
        rows = self.sql(node, statement, **kwargs)
        return rows[0][0] if rows else None

    def tables(self, node, database="d"):
        return [r[0] for r in self.sql(node, "SELECT table_name FROM information_schema.tables WHERE table_schema=%s AND "
                                             "table_type IN ('BASE TABLE','SEQUENCE','SYSTEM VERSIONED') ORDER BY 1",
                                       args=(database,))]

    def rows(self, node, table):
        return sorted(map(repr, self.sql(node, f"SELECT * FROM {table}")))

    def assert_equal(self, *databases):
        """Every node has the same tables, the same definitions and the same rows."""
        for database in databases or ("d",):
            tables = self.tables(1, database)
            for node in self.nodes:
                assert self.tables(node, database) == tables, f"node {node}: other tables in {database}"
            for table in tables:
                name = f"`{database}`.`{table}`"
                definitions = {n: self.definition(n, name) for n in self.nodes}
                assert len(set(definitions.values())) == 1, f"{name} differs in its definition: {definitions}"
                sums = self.sums(name)
                if table == "sync_metadata" and len(set(sums.values())) > 1:  # the daemons write it at any time
                    sums = wait_for(f"{name} to be equal", lambda: (lambda s: len(set(s.values())) == 1 and s)(self.sums(name)))
                if len(set(sums.values())) != 1:
                    # Counted: a row that is there twice is told from one that isn't there.
                    rows = {n: collections.Counter(self.rows(n, name)) for n in self.nodes}
                    only = {n: [r for m in self.nodes for r in (rows[n] - rows[m]).elements()][:5] for n in self.nodes}
                    raise AssertionError(f"{name} differs in its rows: {sums}, {only}")

    def sums(self, name):
        return {n: self.sql(n, f"CHECKSUM TABLE {name} EXTENDED")[0][1] for n in self.nodes}

    def definition(self, node, name):
        text = self.sql(node, f"SHOW CREATE TABLE {name}")[0][1]
        return " ".join(w for w in text.split() if not w.startswith("AUTO_INCREMENT="))

    # -- the daemons
    def status(self, node):
        path = self.dir / f"node{node}"
        result = run("status", "--json", f"--defaults-file={self.dir}/node{node}/syncline.cnf", check=False)
        assert result.returncode in (0, 1, 2), (path, result.stderr)
        return json.loads(result.stdout) if result.stdout.strip() else None

    def link(self, node, peer):
        status = self.status(node)
        return next((l for l in status["links"] if l["peer"] == peer), None) if status else None

    def link_in(self, node, peer, state):
        link = self.link(node, peer)
        return link if link and link["state"] == state else None

    def wait_state(self, node, peer, state):
        try:
            return wait_for(f"link {node}<-{peer} to be {state}", lambda: self.link_in(node, peer, state))
        except AssertionError as error:
            end = "\n".join(self.log(node).splitlines()[-15:])
            raise AssertionError(f"{error}; it is {self.link(node, peer)}; the end of its log:\n{end}") from None

    def log(self, node):
        return (self.dir / f"node{node}" / "syncline.log").read_text(errors="replace")

    def daemon_pid(self, node):
        return self.status(node)["pid"]

    def server_pid(self, node):
        return int((self.dir / f"node{node}" / "mariadb.pid").read_text())

    def daemon_memory(self, node, field="VmHWM"):
        """In KiB."""
        status = pathlib.Path(f"/proc/{self.daemon_pid(node)}/status").read_text()
        return next(int(l.split()[1]) for l in status.splitlines() if l.startswith(field + ":"))


@pytest.fixture
def directory():
    path = tempfile.mkdtemp(prefix="syncline-test-", dir=os.environ.get("TMPDIR", "/tmp"))
    yield pathlib.Path(path)
    if "SYNCLINE_KEEP" not in os.environ:
        shutil.rmtree(path, ignore_errors=True)


def tell(lab, node):
    """What is left to look at after a failure: what the daemon and the server said, and what the server logged."""
    for file in ("syncline.log", "mariadb.err"):
        path = lab.dir / f"node{node}" / file
        print(f"---- node {node}: {file}, its end")
        if path.exists():
            print("\n".join(path.read_text(errors="replace").splitlines()[-40:]))
    print(f"---- node {node}: its binary log, its end")
    logs = sorted((lab.dir / f"node{node}" / "data").glob("mysql-bin.0*"))
    command = ["mariadb-binlog", "-v", "--base64-output=DECODE-ROWS", *map(str, logs[-1:])]
    print("\n".join(subprocess.run(command, capture_output=True, text=True, errors="replace").stdout.splitlines()[-1500:]))


@pytest.fixture
def make_lab(directory, request):
    labs = []

    def make(**kwargs):
        lab = Lab.__new__(Lab)
        lab.dir, lab.connections = directory / f"lab{len(labs)}", []
        labs.append(lab)
        lab.__init__(lab.dir, **kwargs)
        return lab

    yield make
    for lab in labs:
        if getattr(request.node, "failed_in_call", False):
            for node in getattr(lab, "nodes", ()):
                tell(lab, node)
            if "SYNCLINE_KEEP" in os.environ:  # to look at it
                print("kept:", lab.dir)
                continue
        lab.down()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call":
        item.failed_in_call = report.failed
