"""Where the daemon's log goes. What it must not say: test_status.py."""

import os
import shutil
import socket
import subprocess

import pytest

from conftest import SYNCLINE


def can_have_mounts():
    return os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


def test_entries_in_the_journal(directory):
    """Under systemd one asks for the entries of a node, of a peer, of a priority. As plain lines they could only be searched."""
    if not can_have_mounts():
        pytest.skip("a mount namespace of its own needs root here")
    if "libsystemd" not in subprocess.run(["ldd", SYNCLINE], capture_output=True, text=True).stdout:
        pytest.skip("built without libsystemd")
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    (directory / "journal").mkdir()
    journal.bind(str(directory / "journal" / "socket"))
    journal.settimeout(60)
    (directory / "s.cnf").write_text(f"[syncline]\nnode-id = 1\nreplicate-do-db = d\nstate-dir = {directory}/state\n"
                                     f"[syncline-server]\nsocket = {directory}/nobody.sock\nuser = root\n")
    stderr = open(directory / "stderr", "w+b")
    about = os.fstat(stderr.fileno())
    script = f"mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && mkdir /run/systemd/journal && mount --bind {directory}/journal " \
             f"/run/systemd/journal && exec {SYNCLINE} run --defaults-file={directory}/s.cnf"
    daemon = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stderr=stderr,
                              env={**os.environ, "JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"})
    try:
        entry = dict(line.split("=", 1) for line in journal.recv(65536).decode().splitlines())
        assert entry["SYNCLINE_NODE"] == "1" and entry["SYNCLINE_PART"] == "main" and entry["SYSLOG_IDENTIFIER"] == "syncline", entry
        assert entry["PRIORITY"] in "346" and entry["MESSAGE"].startswith("main: "), entry
    finally:
        daemon.terminate()
        daemon.wait()
    stderr.seek(0)
    assert b"main: " not in stderr.read()
