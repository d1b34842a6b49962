"""The contenders: two nodes each, in a lab with a network of its own, made by the same command with the same options.

A Pair is Syncline as `syncline lab up --network` makes it. A Replica is the same lab with its daemons ended and
MariaDB's own replication from node 1 to node 2 in their place: the same servers, accounts, certificates and cable.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

import pymysql

ROOT = pathlib.Path(__file__).resolve().parents[1]
SYNCLINE = os.environ.get("SYNCLINE", str(ROOT / "build" / "syncline"))
DATABASE = "bench"
WAIT_S = 600
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """The run can't go on; the text says why."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def syncline(*args, check=True, program=SYNCLINE):
    result = subprocess.run([program, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            errors="replace")
    if check and result.returncode != 0:
        raise Failed(f"syncline {' '.join(map(str, args))}: {result.stderr.strip()}")
    return result


class Pair:
    name = "Syncline"
    transports = ("tls", "tcp", "socket")

    def __init__(self, directory, program=SYNCLINE):
        self.dir = pathlib.Path(directory)
        self.program = program
        self.open = {}
        self.transport = "tls"
        self.syncline("lab", "up", "--dir", self.dir, "--network", "--database", DATABASE)
        for node in (1, 2):
            self.sql(node, "SET GLOBAL sync_binlog=1, innodb_flush_log_at_trx_commit=1")

    def down(self):
        for connection in self.open.values():
            with contextlib.suppress(Exception):
                connection.close()
        self.syncline("lab", "down", "--dir", self.dir, check=False)

    def syncline(self, *args, check=True):
        return syncline(*args, check=check, program=self.program)

    # SQL
    def connect(self, node):
        return pymysql.connect(user="root", unix_socket=str(self.dir / f"node{node}" / "mariadb.sock"), autocommit=True,
                               charset="utf8mb4")

    def sql(self, node, statement, args=None):
        if node not in self.open:
            self.open[node] = self.connect(node)
        with self.open[node].cursor() as cursor:
            cursor.execute(statement, args)
            return cursor.fetchall()

    def value(self, node, statement):
        return self.sql(node, statement)[0][0]

    def unlogged(self, node, *statements):
        self.sql(node, "SET sql_log_bin=0")
        for statement in statements:
            self.sql(node, statement)
        self.sql(node, "SET sql_log_bin=1")

    def seq(self, node, origin=1):
        """Of the origin's transactions: how far this node's log goes."""
        vector = self.value(node, "SELECT @@global.gtid_binlog_pos") or ""
        return max((int(g.split("-")[2]) for g in vector.split(",") if g.startswith(f"{origin}-")), default=0)

    def wait_equal(self):
        """Until node 2 has in its log, and shows, what node 1 committed."""
        head, deadline = self.seq(1), time.monotonic() + WAIT_S
        while self.seq(2) < head:
            self.check()
            if time.monotonic() > deadline:
                raise Failed(f"{self.name}: not caught up after {WAIT_S} s")
            time.sleep(0.01)

    def checksums(self, table):
        return [self.sql(n, f"CHECKSUM TABLE {DATABASE}.{table} EXTENDED")[0][1] for n in (1, 2)]

    # The links
    def settings(self, node):
        return self.dir / f"node{node}" / "syncline.cnf"

    def hold(self):
        for node, peer in ((1, 2), (2, 1)):
            self.syncline("pause", f"--defaults-file={self.settings(node)}", peer)

    def go(self):
        for node, peer in ((2, 1), (1, 2)):
            self.syncline("resume", f"--defaults-file={self.settings(node)}", peer)

    def check(self):
        for node in (1, 2):
            result = self.syncline("status", "--json", f"--defaults-file={self.settings(node)}", check=False)
            for link in json.loads(result.stdout or "{}").get("links", []):
                if link["state"] == "stopped":
                    raise Failed(f"node {node}'s link stopped: {link['why']}")

    def set_transport(self, transport):
        if transport == self.transport:
            return
        for node, peer in ((1, 2), (2, 1)):
            lines = [line for line in self.settings(node).read_text().splitlines() if not line.startswith("ssl")]
            if transport == "socket":
                at = lines.index(f"[syncline-peer-{peer}]")
                lines[at + 1:] = [f'socket = "{self.dir}/node{peer}/mariadb.sock"', "user = root"]
            self.settings(node).write_text("\n".join(lines) + "\n")
        self.allow_plain()
        for node in (1, 2):
            self.syncline("lab", "kill", "--dir", self.dir, node, "--daemon")
            self.syncline("lab", "start", "--dir", self.dir, node, "--daemon")
        self.syncline("lab", "wait", "--dir", self.dir)
        self.transport = transport

    def allow_plain(self):
        for node, peer in ((1, 2), (2, 1)):
            self.unlogged(node, "SET GLOBAL require_secure_transport=OFF",
                          f"ALTER USER 'syncline-{peer}'@'192.168.10.{peer}' REQUIRE NONE")

    # Processes
    def server_pid(self, node):
        return int((self.dir / f"node{node}" / "mariadb.pid").read_text())

    def daemon_pid(self, node):
        return json.loads(self.syncline("status", "--json", f"--defaults-file={self.settings(node)}", check=False).stdout)["pid"]

    def processes(self):
        pids = {f"server {n}": self.server_pid(n) for n in (1, 2)}
        return pids | {f"daemon {n}": self.daemon_pid(n) for n in (1, 2)}

    def memory(self):
        """(VmRSS, VmHWM) in MiB of each daemon."""
        found = []
        for node in (1, 2):
            status = pathlib.Path(f"/proc/{self.daemon_pid(node)}/status").read_text()
            fields = dict(line.split(":", 1) for line in status.splitlines())
            found.append(tuple(int(fields[f].split()[0]) / 1024 for f in ("VmRSS", "VmHWM")))
        return found


class Replica(Pair):
    name = "MariaDB"
    transports = ("tls", "tcp")

    def __init__(self, directory):
        super().__init__(directory)
        for node in (1, 2):
            self.syncline("lab", "kill", "--dir", self.dir, node, "--daemon")
        for node, peer in ((1, 2), (2, 1)):
            tls = self.dir / f"node{node}" / "tls"
            self.sql(node, "SET GLOBAL gtid_slave_pos=%s", (self.value(peer, "SELECT @@gtid_binlog_pos") or "",))
            self.sql(node, "CHANGE MASTER TO master_host=%s, master_user=%s, master_use_gtid=slave_pos, "
                           "master_connect_retry=1, master_ssl=1, master_ssl_ca=%s, master_ssl_cert=%s, master_ssl_key=%s",
                     (f"192.168.10.{peer}", f"syncline-{node}", str(tls / f"peer-{peer}.pem"),
                      str(tls / "node.pem"), str(tls / "node.key")))
            self.sql(node, "START SLAVE")

    def hold(self):
        self.sql(2, "STOP SLAVE")

    def go(self):
        self.sql(2, "START SLAVE")

    def set_mode(self, mode, threads):
        """While it is held. mode: one of slave_parallel_mode, or None with threads 0."""
        self.sql(2, f"SET GLOBAL slave_parallel_threads={threads}")
        if mode:
            self.sql(2, f"SET GLOBAL slave_parallel_mode='{mode}'")

    def check(self):
        for node in (1, 2):
            with self.open[node].cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute("SHOW SLAVE STATUS")
                status = cursor.fetchone()
            for error in ("Last_IO_Error", "Last_SQL_Error"):
                if status[error]:
                    raise Failed(f"MariaDB's replica stopped: {status[error]}")

    def set_transport(self, transport):
        if transport == self.transport:
            return
        self.allow_plain()
        for node in (1, 2):
            self.sql(node, "STOP SLAVE")
            self.sql(node, "CHANGE MASTER TO master_ssl=0")
            self.sql(node, "START SLAVE")
        self.transport = transport

    def processes(self):
        return {f"server {n}": self.server_pid(n) for n in (1, 2)}


def cpu_seconds(processes):
    """What each of them has used so far."""
    used = {}
    for name, pid in processes.items():
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        used[name] = (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
    return used
