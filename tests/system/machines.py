"""Machines with the distribution's MariaDB, in a folder each: Debian's layout of /etc/mysql and /var/lib, a network namespace with an address of
its own, a cable or a switch between them, and root that gets into the server by its socket. Where network namespaces can't be made, tests
are skipped."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pymysql
import pytest

from conftest import SYNCLINE, wait_for

USER = "daemon"  # a user of the system that is none of root's: the daemon's
DEBIAN = """[mariadbd]
bind-address = 127.0.0.1
expire_logs_days = 10
character-set-server = utf8mb4
collation-server = utf8mb4_general_ci
"""


def can_make_namespaces():
    return os.geteuid() == 0 and shutil.which("ip") and subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0


class Network:
    """A switch; each machine has eth0 at 192.168.10.N on it."""

    def __init__(self):
        self.holders = {}
        self.holder(0)
        self.ip(0, "link", "add", "switch", "type", "bridge")
        self.ip(0, "link", "set", "switch", "up")

    def holder(self, number):
        self.holders[number] = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        wait_for("a network namespace", lambda: os.readlink(f"/proc/{self.holders[number].pid}/ns/net") != os.readlink("/proc/self/ns/net"))

    def enter(self, number):
        return ["nsenter", f"--net=/proc/{self.holders[number].pid}/ns/net"]

    def ip(self, number, *words):
        subprocess.run([*self.enter(number), "ip", *map(str, words)], check=True)

    def add(self, number):
        self.holder(number)
        self.ip(0, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", self.holders[number].pid)
        self.ip(0, "link", "set", f"port{number}", "master", "switch", "up")
        self.ip(number, "link", "set", "lo", "up")
        self.ip(number, "addr", "add", f"192.168.10.{number}/24", "dev", "eth0")
        self.ip(number, "link", "set", "eth0", "up")

    def cut(self, number):
        self.ip(0, "link", "set", f"port{number}", "down")

    def heal(self, number):
        self.ip(0, "link", "set", f"port{number}", "up")

    def down(self):
        for holder in self.holders.values():
            holder.kill()
            holder.wait()


class Machine:
    """Number N, with a MariaDB that nobody has touched."""

    def __init__(self, site, number):
        self.root, self.network, self.program, self.number = site.folder / f"m{number}", site.network, site.program, number
        self.site, network = site, site.network
        self.address = f"192.168.10.{number}"
        self.socket = self.root / "run.sock"
        self.settings = self.root / "etc/syncline/syncline.cnf"
        self.dropin = self.root / "etc/mysql/mariadb.conf.d/60-syncline.cnf"
        network.add(number)
        (self.root / "etc/mysql/mariadb.conf.d").mkdir(parents=True)
        (self.root / "var/lib").mkdir(parents=True)
        (self.root / "tmp").mkdir()
        (self.root / "etc/mysql/mariadb.conf.d/50-server.cnf").write_text(DEBIAN)
        (self.root / "etc/mysql/my.cnf").write_text(
            f"[mariadbd]\nuser = root\ndatadir = {self.root}/var/lib/mysql\nsocket = {self.socket}\npid-file = {self.root}/pid\n"
            f"tmpdir = {self.root}/tmp\nlog-error = {self.root}/error.log\ninnodb_buffer_pool_size = 64M\ninnodb_log_file_size = 48M\n"
            f"!includedir {self.root}/etc/mysql/mariadb.conf.d/\n")
        shutil.copytree(site.data, self.root / "var/lib/mysql", symlinks=True)
        self.server = self.daemon = None
        self.clock = None
        self.scripts()
        self.restart()

    def scripts(self):
        enter = " ".join(self.network.enter(self.number))
        clock = f"env TZ=UTC faketime -m -f '@{self.clock}'" if self.clock else ""
        self.script("restart", f"""
            if [ -f {self.root}/pid ]; then kill $(cat {self.root}/pid); while [ -e {self.root}/pid ]; do sleep 0.02; done; fi
            {enter} setsid {clock} mariadbd --defaults-file={self.root}/etc/mysql/my.cnf </dev/null >>{self.root}/error.log 2>&1 &
            """)
        self.script("service", f"""
            p=$(cat {self.root}/daemon.pid 2>/dev/null)
            case "$([ -n "$p" ] && grep '^State:' /proc/$p/status 2>/dev/null)" in ''|*Z*) ;; *) exit 0 ;; esac
            {enter} setsid setpriv --reuid={USER} --regid={USER} --clear-groups {clock} {self.program} run --defaults-file={self.settings} </dev/null >>{self.root}/daemon.log 2>&1 &
            echo $! >{self.root}/daemon.pid
            """)

    def script(self, name, text):
        path = self.root / name
        path.write_text("#!/bin/sh\n" + "\n".join(line.strip() for line in text.strip().splitlines()) + "\n")
        path.chmod(0o755)

    def restart(self):
        subprocess.run([self.root / "restart"], check=True)
        wait_for(f"server {self.number}", self.is_up)

    def is_up(self):
        try:
            pymysql.connect(user="root", unix_socket=str(self.socket)).close()
            return True
        except pymysql.Error:
            return False

    def set_clock(self, when):
        """What server and daemon take for the time when they are started next: UTC; None: what it is."""
        self.clock = when
        self.scripts()

    def start_daemon(self):
        subprocess.run([self.root / "service"], check=True)

    def daemon_pid(self):
        path = self.root / "daemon.pid"
        text = path.read_text().strip() if path.exists() else ""  # empty while it is being written
        return int(text) if text else None

    def kill(self, daemon=True, server=True):
        """As a power cut does it."""
        pids = [self.daemon_pid()] if daemon else []
        pids += [int((self.root / "pid").read_text())] if server and (self.root / "pid").exists() else []
        for pid in filter(None, pids):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            wait_for(f"the end of {pid}", lambda: not is_running(pid))
        if server:
            (self.root / "pid").unlink(missing_ok=True)

    def run(self, *args, check=True, timeout=300, **kwargs):
        """A command of syncline's on this machine."""
        command = [*self.network.enter(self.number), self.program, *map(str, args)]
        try:
            result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, **kwargs)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{args}: {timeout} s\n{late.stdout}{late.stderr}\n" + "\n".join(m.logs() for m in self.site.machines))
        if check:
            assert result.returncode == 0, f"{args}: exit {result.returncode}\n{result.stdout}{result.stderr}\n" + "\n".join(m.logs() for m in self.site.machines)
        return result

    def logs(self):
        files = [self.root / name for name in ("daemon.log", "error.log", "var/lib/syncline/setup.log")]
        return "\n".join(f"-- {f}\n" + "\n".join(f.read_text(errors="replace").splitlines()[-15:]) for f in files if f.exists())

    def place(self):
        return (f"--root={self.root}", f"--socket={self.socket}", f"--restart={self.root}/restart", f"--service={self.root}/service",
                f"--user={USER}", "--yes")

    def init(self, *args, **kwargs):
        return self.run("init", f"--node={self.number}", f"--address={self.address}", "--database=d", *self.place(), *args, **kwargs)

    def invite(self, *args):
        return self.run("invite", f"--defaults-file={self.settings}", *args).stdout.strip()

    def join(self, token, *args, number=None, **kwargs):
        return self.run("join", token, f"--node={number or self.number}", f"--address={self.address}", *self.place(), *args, **kwargs)

    def sql(self, *statements, database=None):
        connection = pymysql.connect(user="root", unix_socket=str(self.socket), autocommit=True, charset="utf8mb4", database=database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def value(self, statement):
        return self.sql(statement)[0][0]

    def down(self):
        self.kill()


def is_running(pid):
    """Also one whose first thread has ended before its others, which still hold its locks."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


class Site:
    """Machines on one network."""

    def __init__(self, folder, data):
        self.folder, self.data, self.network, self.machines = pathlib.Path(folder), data, Network(), []
        self.program = self.folder / "syncline"  # where the daemon's user can get at it
        shutil.copy(SYNCLINE, self.program)

    def machine(self):
        number = len(self.machines) + 1
        self.machines.append(Machine(self, number))
        return self.machines[-1]

    def down(self):
        for machine in self.machines:
            machine.down()
        self.network.down()


@pytest.fixture(scope="session")
def empty_data(tmp_path_factory):
    """What mariadb-install-db leaves on Debian: root gets in by the socket as the system's root."""
    if not can_make_namespaces():
        pytest.skip("network namespaces need root and ip here")
    folder = tmp_path_factory.mktemp("data")
    subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={folder}/mysql", "--user=root", "--skip-test-db",
                    "--auth-root-authentication-method=socket", f"--tmpdir={folder}", "--innodb-log-file-size=48M", "--innodb-flush-log-at-trx-commit=0"],
                   check=True, capture_output=True)
    return folder / "mysql"


def open_site(empty_data):
    with tempfile.TemporaryDirectory(prefix="syncline-site-") as folder:
        os.chmod(folder, 0o755)  # pytest's own folders are root's alone, and the daemon isn't root
        made = Site(folder, empty_data)
        yield made
        made.down()


@pytest.fixture
def site(empty_data):
    yield from open_site(empty_data)


def pair(site, *args):
    """Two live nodes with a table."""
    a = site.machine()
    a.init(*args)
    a.sql("CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100))", "INSERT INTO d.t (v) VALUES ('one'),('two')")
    b = site.machine()
    b.join(a.invite())
    return a, b


def three(site, slots=4):
    """Three live nodes with a table, each linked with each."""
    a, b = pair(site, f"--slots={slots}")
    c = site.machine()
    c.join(a.invite())
    return a, b, c


def links(machine):
    """Its links' states, by the peers' numbers; None: the daemon isn't ready."""
    told = machine.run("status", f"--defaults-file={machine.settings}", "--json", check=False).stdout
    return {l["peer"]: l["state"] for l in json.loads(told)["links"]} if told.strip() else None


def all_live(*machines, numbers=None):
    """Each reads each; `numbers` where these aren't the machines' own."""
    numbers = numbers or [m.number for m in machines]

    def wrong():
        return [(n, links(m)) for n, m in zip(numbers, machines) if links(m) != {p: "live" for p in numbers if p != n}]

    try:
        wait_for("all links to be live", lambda: not wrong())
    except AssertionError as error:
        raise AssertionError(f"{wrong()}\n" + "\n".join(m.logs() for m in machines)) from error


def members(machine):
    """What it knows of each node: its state, and whether it counts."""
    return dict(machine.sql("SELECT node, CONCAT(state, counted) FROM syncline.members"))


def hold(machine, peer, command="pause"):
    machine.run(command, f"--defaults-file={machine.settings}", peer)


def start_join(machine, token, number=None):
    command = [*machine.network.enter(machine.number), machine.program, "join", token, f"--node={number or machine.number}",
               f"--address={machine.address}", *machine.place()]
    machine.output = open(machine.root / "join.log", "w+b")
    return subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=machine.output, stderr=subprocess.STDOUT)


def said(machine):
    """By the join that was started."""
    return (machine.root / "join.log").read_text()


def seq(machine, domain):
    """The last of the domain that the machine knows."""
    return max([int(g.rsplit("-", 1)[1]) for g in str(machine.value("SELECT @@gtid_binlog_pos")).split(",") if g.startswith(f"{domain}-")], default=0)


class Writer:
    """Writes rows into d.t, each once, and notes those that were confirmed. Goes on whatever happens, until the end of the with block."""

    def __init__(self, machine, name, user="root", password=""):
        self.machine, self.name, self.account = machine, name, dict(user=user, password=password)
        self.confirmed, self.ending = [], threading.Event()
        self.thread = threading.Thread(target=self.write)

    def write(self):
        connection, number = None, 0
        while not self.ending.wait(0.005):
            number += 1
            text = f"{self.name}-{number}"
            try:
                connection = connection or pymysql.connect(unix_socket=str(self.machine.socket), autocommit=True, database="d", **self.account)
                with connection.cursor() as cursor:
                    cursor.execute("INSERT INTO t (v) VALUES (%s)", (text,))
                self.confirmed.append(text)
            except pymysql.Error as error:
                if error.args[0] not in (1290, 1836):  # read_only: the session is all right
                    connection = None

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *ignored):
        self.ending.set()
        self.thread.join()


def equal(*machines, databases=("d",)):
    """The same tables, definitions and rows on each; what is written goes on being the same."""
    for database in databases:
        tables = [r[0] for r in machines[0].sql(f"SHOW FULL TABLES IN `{database}` WHERE table_type='BASE TABLE'")]
        for machine in machines:
            assert [r[0] for r in machine.sql(f"SHOW FULL TABLES IN `{database}` WHERE table_type='BASE TABLE'")] == tables
        for table in tables:
            name = f"`{database}`.`{table}`"
            sums = {m.number: m.sql(f"CHECKSUM TABLE {name} EXTENDED")[0][1] for m in machines}
            rows = {m.number: set(map(repr, m.sql(f"SELECT * FROM {name}"))) for m in machines} if len(set(sums.values())) > 1 else {}
            only = {n: sorted(set().union(*rows.values()) - r)[:5] for n, r in rows.items()}
            assert not rows, f"{name}: {sums}, missing: {only}\n" + "\n".join(m.logs() for m in machines)
    return True


def everywhere(*machines):
    """All that each has committed is on all."""
    def vectors():
        return {tuple(sorted(str(m.value("SELECT @@gtid_binlog_pos")).split(","))) for m in machines}

    try:
        wait_for("all to be everywhere", lambda: len(vectors()) == 1)
    except AssertionError as error:
        told = [m.run("status", f"--defaults-file={m.settings}", check=False) for m in machines]
        raise AssertionError(f"{vectors()}\n" + "\n".join([t.stdout + t.stderr for t in told] + [m.logs() for m in machines])) from error
    for machine in machines:  # a commit is in the log, and so in the vector, before it can be seen: this waits for those under way
        machine.sql("FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES")
