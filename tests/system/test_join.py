"""From bare machines to running nodes: init, invite, join. Whoever sets up the second gate does so standing in front of it, and leaves
when the command says that it is live; what it got wrong is found weeks later, when the network is down."""

import re
import shutil
import signal
import subprocess
import threading

import pymysql
import pytest

from conftest import wait_for
from machines import empty_data, equal, everywhere, open_site, site  # noqa: fixtures


def first(site, *args):
    """A node with a table."""
    a = site.machine()
    a.init(*args)
    a.sql("CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100))", "INSERT INTO d.t (v) VALUES ('one'),('two')")
    return a


def test_two_bare_machines(site):
    """The path: one command here, a token, one command there; then both write and both have it all."""
    a = first(site)
    assert (a.value("SELECT @@bind_address"), a.value("SELECT @@gtid_domain_id"), a.value("SELECT @@sync_binlog")) == ("127.0.0.1,192.168.10.1", 1, 1)
    token = a.invite()
    assert re.fullmatch(r"syncline-[a-z2-7]+", token)
    b = site.machine()
    said = b.join(token).stdout
    assert "Node 2 is live, both ways." in said and token not in said
    a.sql("INSERT INTO d.t (v) VALUES ('from a')")
    b.sql("INSERT INTO d.t (v) VALUES ('from b')")
    everywhere(a, b)
    equal(a, b)
    for machine in (a, b):  # root's commands get in as the daemon's user
        def look():
            return machine.run("doctor", f"--defaults-file={machine.settings}", check=False)

        wait_for("a clean bill of health", lambda: look().returncode == 0)  # one daemon has only just started anew
        assert "no conflicts" in machine.run("conflicts", f"--defaults-file={machine.settings}").stdout
    ids = dict((v, id) for id, v in a.sql("SELECT * FROM d.t"))
    assert len(ids) == 4 and ids["from a"] % 2 == 1 and ids["from b"] % 2 == 0
    # The token counts once.
    c = site.machine()
    result = c.join(token, check=False, number=2)
    assert result.returncode == 1 and "expired or was used" in result.stderr, result.stderr
    assert not c.dropin.exists() and c.value("SELECT @@log_bin") == 0


@pytest.fixture(scope="module")
def module_site(empty_data):
    made = open_site(empty_data)
    yield next(made)
    next(made, None)


@pytest.fixture(scope="module")
def inviter(module_site):
    return first(module_site)


@pytest.fixture(scope="module")
def guest(module_site, inviter):
    """A machine that never gets in: after each test its server is as nobody has touched it."""
    return module_site.machine()


@pytest.fixture
def untouched(guest):
    yield guest
    assert not guest.dropin.exists() and not guest.settings.exists()
    assert not (guest.root / "etc/mysql/syncline").exists()
    assert guest.sql("SELECT @@log_bin, @@server_id, @@gtid_domain_id, @@bind_address") == ((0, 1, 0, "127.0.0.1"),)
    assert guest.value("SELECT COUNT(*) FROM mysql.user WHERE User LIKE 'syncline%' OR User = 'daemon'") == 0
    assert guest.value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME IN ('d','syncline')") == 0


def refused(result, *parts, status=1):
    assert result.returncode == status, result.stdout + result.stderr
    assert result.stderr.startswith("syncline ") and result.stderr.count("\n") == 1, result.stderr
    for part in parts:
        assert part in result.stderr, result.stderr


def test_tokens_that_are_none(inviter, untouched):
    """Half a token copied, one digit mistyped, one for another server: said as such, and before any secret is sent."""
    token = inviter.invite()
    refused(untouched.join(token[:-5], check=False), "cut off")
    wrong = token[:30] + ("a" if token[30] != "a" else "b") + token[31:]
    refused(untouched.join(wrong, check=False), "mistyped")
    refused(untouched.join("hello", check=False), "no token")


def test_token_that_has_expired(inviter, untouched):
    """A token found weeks later in a chat opens nothing."""
    token = inviter.invite()
    inviter.sql("SET sql_log_bin=0", "UPDATE syncline.invitations SET expires=1 WHERE state='open'")
    refused(untouched.join(token, check=False), "expired or was used")
    wait_for("the account to go", lambda: inviter.value("SELECT COUNT(*) FROM mysql.user WHERE User LIKE 'syncline-join-%'") == 0)


def test_numbers_that_are_taken(inviter, untouched):
    """Two nodes with one number would give out the same ids, and each take the other's transactions for its own."""
    refused(untouched.join(inviter.invite(), check=False, number=1), "the node that invites", status=2)
    refused(untouched.join(inviter.invite(), check=False, number=3), "more slots", status=2)


def test_inviter_that_can_not_be_reached(module_site, inviter, untouched):
    """The cable isn't in: a line, soon, and nothing is changed."""
    token = inviter.invite()
    module_site.network.cut(1)
    try:
        refused(untouched.join(token, check=False, number=2, timeout=60), "192.168.10.1")
    finally:
        module_site.network.heal(1)


def test_data_that_would_be_lost(inviter, untouched):
    """Somebody joins from the wrong side: the full node would become as empty as the new one."""
    untouched.sql("CREATE DATABASE d", "CREATE TABLE d.mine (id INT PRIMARY KEY)", "INSERT INTO d.mine VALUES (1),(2)")
    refused(untouched.join(inviter.invite(), check=False, number=2), "d.mine (2 rows)", "--replace")
    assert untouched.value("SELECT COUNT(*) FROM d.mine") == 2
    untouched.sql("DROP DATABASE d")


def test_server_that_does_not_come_up(inviter, untouched):
    """The new options don't agree with what else is set, or the disk is full: MariaDB must not stay down for it."""
    (untouched.root / "restart").rename(untouched.root / "restart.good")
    untouched.script("restart", f"""
        if grep -q syncline {untouched.root}/etc/mysql/mariadb.conf.d/60-syncline.cnf 2>/dev/null; then echo 'Job failed' >&2; exit 1; fi
        exec {untouched.root}/restart.good
        """)
    try:
        refused(untouched.join(inviter.invite(), check=False, number=2), "can't restart MariaDB", "Job failed", "as it was before")
    finally:
        (untouched.root / "restart.good").rename(untouched.root / "restart")


def test_what_init_refuses(guest, untouched):
    """An address that only this machine can reach, a number that has no slot, a user that isn't there."""
    refused(untouched.run("init", "--node=1", "--address=127.0.0.1", "--database=d", *untouched.place(), check=False), "--address", status=2)
    refused(untouched.run("init", "--node=3", "--address=10.0.0.1", "--database=d", *untouched.place(), check=False), "--slots=3", status=2)
    refused(untouched.run("init", "--node=1", "--address=10.0.0.1", "--database=mysql", *untouched.place(), check=False), "mysql", status=2)
    place = [p for p in untouched.place() if not p.startswith("--user")]
    refused(untouched.run("init", "--node=1", "--address=10.0.0.1", "--database=d", *place, "--user=no-such", check=False), "no user no-such")
    place = [p for p in untouched.place() if p != "--yes"]
    refused(untouched.run("init", "--node=1", "--address=10.0.0.1", "--database=d", *place, check=False), "--yes", status=2)


def test_daemon_that_does_not_start(untouched):
    """The program isn't where the service looks for it: what was made for the daemon would stay in a server that has none."""
    place = [p for p in untouched.place() if not p.startswith("--service")]
    result = untouched.run("init", "--node=1", "--address=10.0.0.1", "--database=d", *place, "--service=false", check=False)
    assert result.returncode == 1 and "can't start the daemon: `false` ended with 1" in result.stderr, result.stderr
    assert "as it was before" in result.stderr


def test_interrupted_copy_goes_on(site):
    """The cable is pulled, or Ctrl-C pressed, in the middle of a copy of a large table: the same command goes on where it stopped."""
    a, b = first(site), site.machine()
    a.sql("CREATE TABLE d.big (id INT PRIMARY KEY, v VARCHAR(1000))", "INSERT INTO d.big SELECT seq, REPEAT(MD5(seq), 25) FROM seq_1_to_60000", database="d")
    token = a.invite()
    command = [*site.network.enter(2), b.program, "join", token, "--node=2", f"--address={b.address}", *b.place()]
    had = 0
    for end in (signal.SIGKILL, signal.SIGINT):
        with subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            wait_for("more rows", lambda: count(b) > had or process.poll() is not None)
            assert process.poll() is None, process.stdout.read()
            process.send_signal(end)
            said = process.stdout.read().decode()
        had = count(b)
        assert 0 < had < 60000, said
    b.join(token)
    everywhere(a, b)
    equal(a, b)


def count(machine):
    try:
        return machine.value("SELECT COUNT(*) FROM d.big")
    except pymysql.Error:
        return 0


def test_disk_too_small_for_the_copy(site):
    """The new machine's card is smaller than the data. MariaDB aborts on a full disk and can't start again: it must not come to that, and
    with a larger card the same command goes on."""
    a = first(site)
    a.sql("CREATE TABLE d.large (id INT PRIMARY KEY, v LONGTEXT)", "INSERT INTO d.large SELECT seq, REPEAT(MD5(seq), 8192) FROM d.seq_1_to_240",
          "ANALYZE TABLE d.large")
    b = site.machine()
    data, kept = b.root / "var/lib/mysql", b.root / "kept"
    b.kill(daemon=False)
    data.rename(kept)
    data.mkdir()
    size = sum(f.stat().st_size for f in kept.rglob("*")) + (60 << 20)  # the server's own log and temporary tables are in it, too
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", data], check=True)
    try:
        shutil.copytree(kept, data, symlinks=True, dirs_exist_ok=True)
        b.restart()
        token = a.invite()
        refused(b.join(token, check=False, number=2), "the data to be copied take about", "MiB are free in", "make room there")
        assert b.is_up()
        subprocess.run(["mount", "-o", f"remount,size={size + (400 << 20)}", data], check=True)
        b.join(token, number=2)
        assert b.value("SELECT COUNT(*) FROM d.large") == 240
    finally:
        b.kill()
        subprocess.run(["umount", "-l", data], check=True)


def test_killed_while_it_joins(site):
    """The power fails on either machine at any moment of a join, and comes back: both nodes come up by themselves, and the same command goes
    on and ends with two equal nodes."""
    a, b = first(site), site.machine()
    token = a.invite()
    command = [*site.network.enter(2), b.program, "join", token, "--node=2", f"--address={b.address}", *b.place()]
    rounds = 0
    for victim in (a, b, a, b, b):
        with subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            delay = threading.Event()
            delay.wait(0.3 + 0.7 * rounds)  # anywhere: what it does at each moment is its own affair
            process.kill()
            victim.kill()
        victim.restart()
        if victim.daemon_pid() is not None:  # it is enabled
            victim.start_daemon()
        rounds += 1
    b.join(token)
    a.sql("INSERT INTO d.t (v) VALUES ('from a')")
    b.sql("INSERT INTO d.t (v) VALUES ('from b')")
    everywhere(a, b)
    equal(a, b)
    assert a.value("SELECT COUNT(*) FROM d.t") == 4
