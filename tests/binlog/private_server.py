"""A MariaDB server of one's own in a temporary folder, without a network, that writes a row-based log."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pymysql

MARIADBD = shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin")


class Server:
    def __init__(self, number=1, *options):
        self.number = number
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="binlog-"))
        self.data = self.folder / "data"
        self.socket = self.folder / "s"
        user = "root" if os.getuid() == 0 else os.environ["USER"]
        # A server that starts removes the temporary tables of all others that use its tmpdir.
        common = ["--no-defaults", f"--user={user}", f"--datadir={self.data}", f"--tmpdir={self.folder}"]
        subprocess.run(
            ["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.process = subprocess.Popen(
            [MARIADBD, *common, f"--socket={self.socket}", f"--pid-file={self.folder}/pid", "--skip-networking",
             "--log-bin=bin", "--binlog-format=ROW", "--binlog-row-metadata=FULL", "--binlog-checksum=CRC32",
             f"--server-id={number}", f"--gtid-domain-id={number}", f"--log-error={self.folder}/err",
             "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=64M", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.connection = self.connect()

    def connect(self, **options):
        deadline = time.monotonic() + 60
        while True:
            try:
                return pymysql.connect(unix_socket=str(self.socket), user="root", charset="utf8mb4", autocommit=True,
                                       **options)
            except pymysql.err.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(0.1)

    def run(self, *statements):
        """Returns the rows of the last one."""
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def log_of(self, *statements):
        """The binlog file that holds what these statements write and nothing else."""
        self.run("FLUSH BINARY LOGS")
        self.run(*statements)
        name = self.run("SHOW MASTER STATUS")[0][0]
        self.run("FLUSH BINARY LOGS")
        return self.data / name

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)
