"""Nodes know each other by pinned authorities: with a real server, its real clients, and with what pretends to be one.

identity_tool.c stands for the commands. Certificates that nobody here would make come from the openssl program.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pymysql
import pytest

from conftest import SYNCLINE, wait_for

TOOL = pathlib.Path(SYNCLINE).parent / "tests/system/identity_tool"
MARIADBD = shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin")
# enum err_code, src/base/err.h
CONFIG, DISCONNECTED, SERVER, MALFORMED, UNSUPPORTED, CONFLICT, TIMEOUT, CANCELLED = 2, 4, 5, 7, 8, 10, 11, 12
CLIENT_SSL = 1 << 11
NOBODY = "0" * 64


def tool(*args, check=True):
    result = subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True, timeout=60)
    if check:
        assert result.returncode == 0, result.stderr
    return result


def fingerprint(folder):
    return tool("authority", folder).stdout.strip()


def refused(result, code, text):
    assert result.returncode == code and re.search(text, result.stderr), (result.returncode, result.stderr)
    assert result.stderr.count("\n") == 1 and result.stdout == "", result


@pytest.fixture
def identities(directory):
    """Nodes 1 to 3, each knowing nobody."""
    for node in (1, 2, 3):
        tool("make", directory / str(node), node, "127.0.0.1", "localhost")
    return directory


class Server:
    """A server on a port of the loopback interface."""

    def __init__(self, folder, *options):
        self.folder, self.socket = folder, str(folder / "s")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        user = f"--user={'root' if os.getuid() == 0 else os.environ['USER']}"
        common = ["--no-defaults", user, f"--datadir={folder / 'data'}", f"--tmpdir={folder}"]
        if not (folder / "data").exists():
            subprocess.run(["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [MARIADBD, *common, f"--socket={self.socket}", f"--pid-file={folder}/pid", f"--log-error={folder}/err",
             "--bind-address=127.0.0.1", f"--port={self.port}", "--innodb-buffer-pool-size=32M", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.connection = wait_for("the server", self.try_connect)

    def try_connect(self):
        assert self.process.poll() is None, (self.folder / "err").read_text()
        with contextlib.suppress(pymysql.err.OperationalError):
            return pymysql.connect(unix_socket=self.socket, user="root", autocommit=True)

    def sql(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def serve(directory):
    servers = []

    def start(*options):
        (directory / "server").mkdir(exist_ok=True)
        servers.append(Server(directory / "server", *options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def tls_options(folder):
    return f"--ssl-cert={folder}/node.pem", f"--ssl-key={folder}/node.key", f"--ssl-ca={folder}/bundle.pem"


def client(server, user, authority, own=None, address="127.0.0.1"):
    """Connector/C, as a link uses it."""
    options = [f"--ssl-cert={own}/node.pem", f"--ssl-key={own}/node.key"] if own else []
    return subprocess.run(
        ["mariadb", "--no-defaults", f"--host={address}", f"--port={server.port}", "--protocol=tcp", f"--user={user}",
         f"--ssl-ca={authority}", "--ssl-verify-server-cert", *options, "-NBe", "SELECT CURRENT_USER()"],
        capture_output=True, text=True, timeout=60)


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def forge(folder, authority, name):
    """A certificate of that name, by this authority, as its owner can always make one."""
    folder.mkdir()
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", folder / "node.key", "-out", folder / "csr")
    openssl("x509", "-req", "-in", folder / "csr", "-CA", authority / "authority.pem", "-CAkey", authority / "authority.key",
            "-days", "3650", "-extfile", write(folder / "extensions", "authorityKeyIdentifier=keyid\n"), "-out", folder / "leaf")
    (folder / "node.pem").write_text((folder / "leaf").read_text() + (authority / "authority.pem").read_text())


def test_links_by_pinned_authorities(identities, serve):
    """The whole layout with the real server and client. If it fails, no node reaches another; if a part passes that
    mustn't, one node writes in another's name: node 3, a peer like node 2, makes itself a certificate named syncline-2."""
    one, two, three = (identities / str(n) for n in (1, 2, 3))
    server = serve(*tls_options(one))
    tool("pin", two, 1, one / "authority.pem")
    tool("pin", three, 1, one / "authority.pem")
    tool("pin", one, 3, three / "authority.pem")
    server.sql("FLUSH SSL")

    # Node 2 becomes a peer while the server runs.
    stranger = client(server, "syncline-2", two / "peer-1.pem", two)
    assert stranger.returncode != 0, stranger.stdout
    tool("pin", one, 2, two / "authority.pem")
    server.sql(f"CREATE USER 'syncline-2'@'127.0.0.1' {tool('require', one, 2).stdout}")
    server.sql("CREATE USER anybody@'127.0.0.1'")
    server.sql("FLUSH SSL")
    known = client(server, "syncline-2", two / "peer-1.pem", two)
    assert known.stdout == "syncline-2@127.0.0.1\n", known.stderr

    # Others don't pass as node 2.
    forge(identities / "forged", three, "syncline-2")
    for own in (None, three, identities / "forged"):
        result = client(server, "syncline-2", three / "peer-1.pem", own)
        assert result.returncode != 0 and "Access denied" in result.stderr, (own, result.stdout, result.stderr)
    # The same certificate is one that the server trusts as such: it is the REQUIRE clause that tells it.
    trusted = client(server, "anybody", three / "peer-1.pem", identities / "forged")
    assert trusted.stdout == "anybody@127.0.0.1\n", trusted.stderr

    # Nor does a server pass as node 1 with another's authority.
    assert client(server, "anybody", two / "authority.pem").returncode != 0
    # Removed is removed.
    tool("unpin", one, 2)
    server.sql("FLUSH SSL")
    assert client(server, "syncline-2", two / "peer-1.pem", two).returncode != 0


def test_authority_below_another(identities, serve):
    """Node 3 signs an authority that bears the name of node 2's, and with that a certificate: issuer and subject read as
    the account of node 2 wants them. The server would let it in, but for pathlen 0 in what we pin of node 3."""
    one, two, three = (identities / str(n) for n in (1, 2, 3))
    tool("pin", two, 1, one / "authority.pem")
    for peer, folder in ((2, two), (3, three)):
        tool("pin", one, peer, folder / "authority.pem")
    require = tool("require", one, 2).stdout
    name = re.search(r"ISSUER '/CN=([^']+)'", require)[1]
    below, forged = identities / "below", identities / "forged"
    below.mkdir()
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", below / "authority.key", "-out", below / "csr")
    openssl("x509", "-req", "-in", below / "csr", "-CA", three / "authority.pem", "-CAkey", three / "authority.key",
            "-days", "3650", "-extfile", write(below / "extensions", "basicConstraints=critical,CA:TRUE,pathlen:0\n"
                                                                    "subjectKeyIdentifier=hash\n"),
            "-out", below / "authority.pem")
    forge(forged, below, "syncline-2")
    # Node 3's authority as it would have to be for that: the server takes it, identity_pin doesn't.
    deep = identities / "deep.pem"
    openssl("x509", "-in", three / "authority.pem", "-signkey", three / "authority.key", "-clrext", "-extfile",
            write(identities / "extensions", "basicConstraints=critical,CA:TRUE\n"), "-out", deep)
    refused(tool("pin", two, 3, deep, check=False), MALFORMED, "further authorities")

    server = serve(*tls_options(one))
    server.sql(f"CREATE USER 'syncline-2'@'127.0.0.1' {require}")
    assert client(server, "syncline-2", two / "peer-1.pem", two).returncode == 0
    assert client(server, "syncline-2", two / "peer-1.pem", forged).returncode != 0
    bundle = (one / "bundle.pem").read_text()
    write(one / "bundle.pem", bundle.replace((three / "authority.pem").read_text(), deep.read_text()))
    server.sql("FLUSH SSL")
    assert client(server, "syncline-2", two / "peer-1.pem", forged).returncode == 0


def write(path, text):
    path.write_text(text)
    return path


def test_new_address(identities, serve):
    """A node moves to another address. With the authority kept, no peer has to do anything; otherwise all links of that
    node stay down until somebody has been at every other one."""
    one, two = identities / "1", identities / "2"
    tool("reissue", one, "192.0.2.1")
    tool("pin", two, 1, one / "authority.pem")
    server = serve(*tls_options(one))
    server.sql("CREATE USER anybody@'127.0.0.1'")
    assert client(server, "anybody", two / "peer-1.pem").returncode != 0
    tool("reissue", one, "127.0.0.1")
    server.sql("FLUSH SSL")
    assert client(server, "anybody", two / "peer-1.pem").stdout == "anybody@127.0.0.1\n"


@pytest.mark.sanitizer
def test_fetch(identities, serve):
    """join asks a server that it knows by a fingerprint only. If this fails nobody can join; if another server passed, it
    would be given the secret."""
    one = identities / "1"
    server = serve(*tls_options(one))
    for address in ("127.0.0.1", "localhost"):
        assert tool("fetch", address, server.port, fingerprint(one), 20000).stdout == (one / "authority.pem").read_text()
    refused(tool("fetch", "127.0.0.1", server.port, fingerprint(identities / "2"), 20000, check=False), CONFLICT,
            "not the server that made the token, or somebody is in between")
    # Two bytes of the fingerprint are no fingerprint.
    refused(tool("fetch", "127.0.0.1", server.port, fingerprint(one)[:4], 20000, check=False), CONFLICT, "not the server")


def test_fetch_refused(identities, serve):
    """A server that has no TLS yet, and one that refuses this host: each must be told, as each is mended elsewhere."""
    server = serve("--skip-ssl")
    refused(tool("fetch", "127.0.0.1", server.port, NOBODY, 20000, check=False), UNSUPPORTED, "set ssl_cert and ssl_key")
    server.stop()
    server = serve(*tls_options(identities / "1"), "--max-connections=10", "--extra-max-connections=1")
    held = []
    with contextlib.suppress(pymysql.err.OperationalError):
        for _ in range(20):
            held.append(pymysql.connect(unix_socket=server.socket, user="root"))
    refused(tool("fetch", "127.0.0.1", server.port, NOBODY, 20000, check=False), SERVER, r"Too many connections \(1040\)")
    for connection in held:
        connection.close()


# What pretends to be a server


class Fake:
    """Calls behave(connection) for each that connects, in a thread each."""

    def __init__(self, behave):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.behave, self.done = behave, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.done.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self.behave(connection, self.done)

    def close(self):
        self.done.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


@contextlib.contextmanager
def fake(behave):
    server = Fake(behave)
    try:
        yield server
    finally:
        server.close()


def packet(content, number=0):
    return struct.pack("<I", len(content) | number << 24) + content


def greeting(capabilities=0xffff):
    return packet(b"\x0a5.5.5-10.11.6-MariaDB\0" + struct.pack("<I", 7) + b"scramble\0" + struct.pack("<H", capabilities)
                  + b"\x2d\x02\0\xff\x81\x15" + bytes(10) + b"scramble9012\0mysql_native_password\0")


def say(content, stay=True):
    def behave(connection, done):
        connection.sendall(content)
        if stay:
            done.wait()
        else:
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    return behave


def fetch(server, timeout_ms=20000, wanted=NOBODY):
    started = time.monotonic()
    result = tool("fetch", "127.0.0.1", server.port, wanted, timeout_ms, check=False)
    return result, time.monotonic() - started


@pytest.mark.parametrize("content, code, text", [
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", MALFORMED, "no MariaDB server"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", MALFORMED, "no MariaDB server"),
    (b"\xff\xff\xff\0" + b"\x0a" * 100000, MALFORMED, "no MariaDB server"),
    (packet(b""), MALFORMED, "no MariaDB server"),
    (packet(b"\x09" + b"3.20\0" + bytes(40)), MALFORMED, "protocol version"),
    (packet(b"\x0a" + b"x" * 4000), MALFORMED, "greeting is cut off"),
    (packet(b"\x0a5.5\0" + bytes(14)), MALFORMED, "greeting is cut off"),
    (packet(b"\xff"), MALFORMED, "error is cut off"),
    (packet(b"\xff\x69\x04Host '10.0.0.9' is not allowed to connect to this MariaDB server"), SERVER,
     r"Host '10\.0\.0\.9' is not allowed to connect to this MariaDB server \(1129\)"),
    (packet(b"\xff\x10\x04#08004Too many\nconnections\0\x1b[2J"), SERVER, r"Too many\?connections\?\?\[2J \(1040\)"),
    (packet(b"\xff\x10\x04#\n\n"), SERVER, r"#\?\? \(1040\)"),
    (packet(b"\xff\x10\x04" + b"A" * 4000), SERVER, "A{300} "),
    (greeting(0xffff & ~CLIENT_SSL), UNSUPPORTED, "has no TLS"),
    (greeting() + b"no TLS at all, but many bytes" * 100, MALFORMED, "TLS doesn't start"),
    (greeting() + b"\x16\x03\x03\xff\xff" + b"x" * 0xffff, MALFORMED, "TLS doesn't start"),
    (greeting() + b"\x15\x03\x03\0\x02\x02\x28", MALFORMED, "TLS doesn't start"),
], ids=range(16))
@pytest.mark.sanitizer
def test_garbage(content, code, text):
    """The address of something else, or of somebody who wants to break in through the parser: a clear line, and at once."""
    with fake(say(content)) as server:
        refused(fetch(server)[0], code, text)


@pytest.mark.sanitizer
def test_closed_at_each_byte():
    """A server that is stopped while a node joins, or a cable that is pulled: never a hang or a crash."""
    content = greeting()
    with fake(lambda connection, done: say(content[:lengths[0]], stay=False)(connection, done)) as server:
        lengths = [0]
        for lengths[0] in range(len(content) + 1):
            refused(fetch(server)[0], DISCONNECTED, "the connection ended while we waited for")


def drip(content):
    def behave(connection, done):
        for byte in content:
            connection.sendall(bytes([byte]))
            if done.wait(0.05):
                return
        done.wait()
    return behave


@pytest.mark.parametrize("content, slowly, text", [
    (b"", False, "for its greeting"),
    (greeting()[:-1], False, "for its greeting"),
    (greeting(), False, "for the start of TLS"),
    (greeting() * 20, True, "for its greeting"),
    (greeting() + b"\x16\x03\x03\x40\x00\x02\0\x3f\xfc" + bytes(10), False, "for the start of TLS"),
], ids=["silence", "almost", "no TLS", "drip", "half a record"])
def test_slow(content, slowly, text):
    """One that keeps us waiting, byte by byte: join would hang for as long as it likes. The timeout is for the whole."""
    with fake(drip(content) if slowly else say(content)) as server:
        result, took = fetch(server, 1000)
        refused(result, TIMEOUT, f"waited 1000 ms {text}")
        assert 0.9 < took < 30, took


def test_endless():
    """Bytes without an end, which would fill the memory: TLS records that are right, one after the other."""
    def behave(connection, done):
        connection.sendall(greeting())
        while not done.is_set():
            connection.sendall(b"\x16\x03\x03\x40\x00\x0b\xff\xff\xff" + bytes(0x4000 - 4))
    with fake(behave) as server:
        result, _ = fetch(server)
        refused(result, MALFORMED, "TLS doesn't start|sends too much")


def test_cancelled():
    """Ctrl-C must end it at once, not after the timeout."""
    greeted = threading.Event()

    def behave(connection, done):
        greeted.set()
        done.wait()

    with fake(behave) as server:
        process = subprocess.Popen([TOOL, "fetch", "127.0.0.1", str(server.port), NOBODY, "60000"], stderr=subprocess.PIPE,
                                   text=True)
        assert greeted.wait(30)
        process.send_signal(signal.SIGTERM)
        _, message = process.communicate(timeout=30)
        assert process.returncode == CANCELLED and "interrupted" in message, message


def test_nobody_there():
    """A mistyped port or name: the line must say which of the two it is."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    refused(tool("fetch", "127.0.0.1", port, NOBODY, 20000, check=False), DISCONNECTED, "Connection refused; check that")
    if resolves_nothing():
        refused(tool("fetch", "nowhere.invalid", port, NOBODY, 20000, check=False), CONFIG, "can't find its IP address")


def resolves_nothing():
    """Whether names are asked for here at all: without a network the resolver says 'try again'."""
    try:
        socket.getaddrinfo("nowhere.invalid", 1)
    except socket.gaierror as error:
        return error.errno == socket.EAI_NONAME
    return False


def talk_tls(folder, newest=ssl.TLSVersion.TLSv1_3):
    """A server that speaks TLS with the certificates of a folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(folder / "node.pem", folder / "node.key")

    def behave(connection, done):
        connection.sendall(greeting())
        connection.recv(36, socket.MSG_WAITALL)
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)
    return behave


@pytest.mark.sanitizer
def test_somebody_in_between(identities):
    """Somebody between the nodes who knows the public certificate of node 1, as everybody can: without its key, what they
    show is not signed by it. If that passed they would get the secret and be node 1 for the new node."""
    one, two = identities / "1", identities / "2"
    wanted = fingerprint(one)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with fake(talk_tls(one, version)) as server:
            assert fetch(server, wanted=wanted)[0].stdout == (one / "authority.pem").read_text()
    with fake(talk_tls(two)) as server:
        refused(fetch(server, wanted=wanted)[0], CONFLICT, "is another authority's")
    # Their own certificate, with node 1's authority behind it.
    mixed = identities / "mixed"
    mixed.mkdir()
    shutil.copy(two / "node.key", mixed)
    leaf = (two / "node.pem").read_text().partition("-----END CERTIFICATE-----\n")
    (mixed / "node.pem").write_text(leaf[0] + leaf[1] + (one / "authority.pem").read_text())
    with fake(talk_tls(mixed)) as server:
        refused(fetch(server, wanted=wanted)[0], CONFLICT, "only claims to be its authority's")
    # The same with a certificate that names node 1's authority as its issuer.
    named = identities / "named"
    named.mkdir()
    name = subprocess.run(["openssl", "x509", "-in", one / "authority.pem", "-noout", "-subject", "-nameopt", "multiline,-esc_msb"],
                          check=True, capture_output=True, text=True).stdout.split("= ")[1].strip()
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-keyout", named / "authority.key", "-out",
            named / "authority.pem")
    forge(identities / "forged", named, "syncline-1")
    text = (identities / "forged" / "leaf").read_text() + (one / "authority.pem").read_text()
    (identities / "forged" / "node.pem").write_text(text)
    with fake(talk_tls(identities / "forged")) as server:
        refused(fetch(server, wanted=wanted)[0], CONFLICT, "only claims to be its authority's")
