"""What somebody can do who gets hold of one of the accounts that replication needs: a card reader's thief, or whoever sits on the cable. Each
account may do what it is for and nothing else."""

import base64
import os
import subprocess

import pymysql
import pytest

from machines import empty_data, open_site  # noqa: fixtures


@pytest.fixture(scope="module")
def pair(empty_data):
    made = open_site(empty_data)
    site = next(made)
    a = site.machine()
    a.init()
    a.sql("CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100))", "INSERT INTO d.t (v) VALUES ('secret')",
          "CREATE DATABASE other", "CREATE TABLE other.t (v INT)")
    b = site.machine()
    b.join(a.invite())
    yield a, b
    next(made, None)


def client(machine, host, user, *options, sql="SELECT 1"):
    """The mariadb client, on this machine; the files are those that its daemon has."""
    identity = machine.root / "etc/mysql/syncline"
    command = [*machine.network.enter(machine.number), "mariadb", "--no-defaults", f"--host={host}", f"--user={user}", "-N", "-e", sql,
               *[o.format(identity=identity) for o in options]]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


CERTIFICATE = ("--ssl-ca={identity}/peer-1.pem", "--ssl-cert={identity}/node.pem", "--ssl-key={identity}/node.key", "--ssl-verify-server-cert")


def privileges(machine, user):
    names = ("table_schema", "table_name")
    return sorted({("*", p) for p, in machine.sql(f"SELECT privilege_type FROM information_schema.user_privileges WHERE grantee LIKE \"'{user}'@%\"")}
                  | {(s, p) for s, p in machine.sql(f"SELECT table_schema, privilege_type FROM information_schema.schema_privileges WHERE grantee LIKE \"'{user}'@%\"")}
                  | {(f"{s}.{t}", p) for s, t, p in machine.sql(f"SELECT {','.join(names)}, privilege_type FROM information_schema.table_privileges WHERE grantee LIKE \"'{user}'@%\"")})


def test_peer_may_read_what_it_has_itself_and_nothing_else(pair):
    """After the join is over a peer's account reads the log and the replicated rows, which it has itself, no other table, and never wrote one."""
    a, b = pair
    assert privileges(a, "syncline-2") == [("*", "BINLOG MONITOR"), ("*", "REPLICATION SLAVE"), ("d", "SELECT"), ("syncline", "SELECT")]
    assert privileges(b, "syncline-1") == [("*", "BINLOG MONITOR"), ("*", "REPLICATION SLAVE"), ("d", "SELECT"), ("syncline", "SELECT")]
    assert client(b, a.address, "syncline-2", *CERTIFICATE).stdout == "1\n"
    assert client(b, a.address, "syncline-2", *CERTIFICATE, sql="SELECT COUNT(*) FROM d.t").stdout == "1\n"
    result = b.run("verify", f"--defaults-file={b.settings}", "--json")
    assert '"result": "equal"' in result.stdout, result
    for sql in ("SHOW CREATE PROCEDURE d.p", "INSERT INTO d.t (v) VALUES ('x')", "SELECT * FROM other.t", "SELECT * FROM mysql.global_priv",
                "CREATE USER x", "SET GLOBAL read_only=1", "DELETE FROM syncline.links", "CALL syncline.make_peer(3,'x')",
                "CALL syncline.admit(1,'x','y')", "SELECT LOAD_FILE('/etc/passwd')=''", "DROP DATABASE d", "SET SESSION sql_log_bin=0",
                "PURGE BINARY LOGS BEFORE NOW()", "STOP SLAVE", "KILL 1", "FLUSH SSL"):
        result = client(b, a.address, "syncline-2", *CERTIFICATE, sql=sql)
        assert result.returncode != 0 or result.stdout == "NULL\n", f"{sql}: {result.stdout}"
    assert a.value("SELECT COUNT(*) FROM d.t") == 1


def test_nobody_without_that_certificate(pair):
    """The account has no password: its key is all that there is. Neither TLS alone nor another node's certificate opens it."""
    a, b = pair
    ca = ("--ssl-ca={identity}/peer-1.pem", "--ssl-verify-server-cert")
    for options in ((), ("--skip-ssl",), ca):
        assert "Access denied" in client(b, a.address, "syncline-2", *options).stderr
    own = ("--ssl-ca={identity}/authority.pem", "--ssl-cert={identity}/node.pem", "--ssl-key={identity}/node.key")
    assert "Access denied" in client(a, a.address, "syncline-2", *own).stderr  # node 1's own, which its server trusts


def test_server_that_is_another_is_not_talked_to(pair):
    """Pinned the other way: what answers at the peer's address has to have the peer's key."""
    a, b = pair
    own = ("--ssl-ca={identity}/authority.pem", "--ssl-cert={identity}/node.pem", "--ssl-key={identity}/node.key", "--ssl-verify-server-cert")
    result = client(b, a.address, "syncline-2", *own)
    assert result.returncode != 0 and "TLS/SSL error" in result.stderr, result.stderr


def test_invitation_opens_four_procedures(pair):
    """A token that was seen on a screen lets somebody ask to come in, and see which databases there are. It reads no row."""
    a, b = pair
    a.invite()
    users = [u for u, in a.sql("SELECT User FROM mysql.user WHERE User LIKE 'syncline-join-%' ORDER BY 1")]
    user = users[-1]
    a.sql("SET sql_log_bin=0", f"ALTER USER '{user}'@'%' IDENTIFIED BY 'known'")
    for sql, ok in (("CALL syncline.hello()", True), ("CALL syncline.answer()", True), ("SELECT * FROM d.t", False), ("SELECT * FROM syncline.links", False),
                    ("SELECT * FROM syncline.invitations", False), ("CALL syncline.admit(1,'x','y')", False), ("CALL syncline.let_copy(2,'d')", False),
                    ("CALL syncline.finish(1,1)", False), ("SHOW BINLOG EVENTS", False), ("SHOW MASTER STATUS", False)):
        result = client(b, a.address, user, "--password=known", "--ssl-ca={identity}/peer-1.pem", "--ssl-verify-server-cert", sql=sql)
        assert (result.returncode == 0) == ok, f"{sql}: {result.stdout}{result.stderr}"
    assert "Access denied" in client(b, a.address, user, "--password=known", "--skip-ssl").stderr


def test_daemon_may_not_do_what_root_may(pair):
    """The daemon parses what comes from the network. Whoever takes it over gets the replicated databases, not the server."""
    a, _ = pair
    expected = {"BINLOG ADMIN", "BINLOG MONITOR", "BINLOG REPLAY", "PROCESS", "READ_ONLY ADMIN", "REPLICATION SLAVE", "SET USER"}
    assert {p for s, p in privileges(a, "daemon") if s == "*"} == expected
    assert {s for s, p in privileges(a, "daemon")} == {"*", "d", "syncline", r"syncline\_already\_%"}  # link/already.h
    assert a.value("SELECT plugin FROM mysql.user WHERE User='daemon'") == "unix_socket"
    with pytest.raises(pymysql.Error):  # we are root, not the user of that name
        pymysql.connect(user="daemon", unix_socket=str(a.socket))


def test_no_secret_where_others_can_read(pair):
    """Keys and settings are the daemon's and the server's alone; no password and no token is in a log, the journal or a process's arguments."""
    a, b = pair
    for machine in pair:
        for folder, _, files in os.walk(machine.root / "etc/mysql/syncline"):
            for name in files:
                mode = os.stat(os.path.join(folder, name)).st_mode & 0o777
                assert mode & 0o007 == 0 or not name.endswith(".key"), (name, oct(mode))
        assert os.stat(machine.settings).st_mode & 0o077 == 0
        assert os.stat(machine.root / "var/lib/syncline").st_mode & 0o077 == 0
        for log in ("daemon.log", "error.log", "var/lib/syncline/setup.log"):
            text = (machine.root / log).read_text(errors="replace") if (machine.root / log).exists() else ""
            assert "syncline-a" not in text and "IDENTIFIED BY" not in text
        assert not (machine.root / "var/lib/syncline/invitation.cnf").exists()
    a.sql("SET GLOBAL general_log_file='general.log'", "SET GLOBAL general_log=1")
    token = a.invite()
    a.sql("SET GLOBAL general_log=0")
    digits = token.removeprefix("syncline-").upper()
    secret = base64.b32decode(digits + "=" * (-len(digits) % 8))[49:65].hex()  # src/node/token.h has the layout
    log = (a.root / "var/lib/mysql/general.log").read_text(errors="replace")
    assert "syncline-join-" in log and secret not in log and token not in log
