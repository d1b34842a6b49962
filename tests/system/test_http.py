"""The daemon's HTTP server on real nodes. A monitoring that is told something else than `syncline status`, a stranger on the network who reads
the rows of a gate or pauses its link, and above all a client that sends garbage, much or nothing and thereby holds up replication: that is what
must not be. docs/http.md has the rules."""

import http.client
import json
import os
import random
import re
import socket
import stat
import threading

import pytest

from conftest import ROOT, Lab, run, tell, wait_for

TOKEN = "0123456789abcdef-secret"
CONNECTIONS_MAX = 32  # in src/admin/http.c


def metric_names(text):
    return set(re.findall(r"\b(?:syncline|mysql)_[a-z_]+\b", text))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Connection(http.client.HTTPConnection):
    """Over a UNIX socket's path, or (address, port)."""

    def __init__(self, place):
        super().__init__("localhost", timeout=30)
        self.place = place

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX if isinstance(self.place, str) else socket.AF_INET)
        self.sock.settimeout(30)
        self.sock.connect(self.place)


def ask(place, path, method="GET", token=None, host="localhost", body=None):
    """The status, the headers, and the body: parsed if it is JSON."""
    connection = Connection(place)
    headers = {"Host": host, **({"Authorization": f"Bearer {token}"} if token else {})}
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, answer.headers, json.loads(text) if answer.headers["Content-Type"] == "application/json" and text else text
    finally:
        connection.close()


def get(place, path, **kwargs):
    status, _, body = ask(place, path, **kwargs)
    assert status == 200, (path, status, body)
    return body


def door(lab, node):
    return str(lab.dir / f"node{node}/state/http.sock")


def control(lab, node, command):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(lab.dir / f"node{node}/state/syncline.sock"))
        s.sendall(command.encode() + b"\n")
        return s.makefile().read()


def configure(lab, node, lines):
    """Puts lines into [syncline] and starts the daemon anew with them. Returns what tells whether it runs."""
    path = lab.dir / f"node{node}/syncline.cnf"
    text = re.sub(r"^http-.*\n", "", path.read_text(), flags=re.MULTILINE)
    path.write_text(text.replace("[syncline]\n", "[syncline]\n" + "".join(f"{line}\n" for line in lines), 1))
    before = control(lab, node, "run").split()[0]
    control(lab, node, "reload")

    def is_new():
        try:
            number, state = control(lab, node, "run").split(maxsplit=1)
        except OSError:
            return False
        return number != before and state.strip() == "ready"

    return is_new


def answers(place):
    try:
        return ask(place, "/")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def module_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("x") / "lab")
    lab.sql(1, "CREATE DATABASE IF NOT EXISTS d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100))")
    lab.wait()
    token = lab.dir / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    lab.loopback, lab.network = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    are_new = [configure(lab, 1, [f"http-listen = 127.0.0.1:{lab.loopback[1]}", f"http-token-file = {token}"]),
               configure(lab, 2, [f"http-listen = 0.0.0.0:{lab.network[1]}", f"http-token-file = {token}"])]
    wait_for("the daemons with their new settings", lambda: all(is_new() for is_new in are_new))
    wait_for("the doors", lambda: answers(lab.loopback) and answers(lab.network))
    yield lab
    lab.down()


@pytest.fixture
def lab(module_lab, request):
    module_lab.wait_state(1, 2, "live")
    module_lab.wait_state(2, 1, "live")
    wait_for("the tails", lambda: all(module_lab.status(n)["server"]["state"] == "live" for n in module_lab.nodes))
    yield module_lab
    if getattr(request.node, "failed_in_call", False):
        for node in module_lab.nodes:
            tell(module_lab, node)


# ---- What is told ----


@pytest.mark.sanitizer
def test_reading(lab):
    """A monitoring sees what `syncline status` says, whichever way it asks."""
    assert stat.S_IMODE(os.stat(door(lab, 1)).st_mode) == 0o600
    for place, token in ((door(lab, 1), None), (lab.loopback, None), (lab.network, TOKEN)):
        status, headers, told = ask(place, "/api/v1/status", token=token)
        said = lab.status(2 if place == lab.network else 1)
        assert status == 200 and told["node"] == said["node"] and told["pid"] == said["pid"], told
        assert [l["peer"] for l in told["links"]] == [l["peer"] for l in said["links"]]
        assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert not any(h.lower().startswith("access-control") for h in headers)
        assert get(place, "/healthz", token=token) == "ok\n"
    metrics = get(door(lab, 1), "/metrics")
    for line in metrics.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \w+ .+|\w+(\{(\w+=\"([^\"\\]|\\.)*\",?)+\})? -?\d+", line), line
    assert 'syncline_link_state{peer="2",state="live"} 1' in metrics and "mysql_up 1" in metrics
    documented = metric_names((ROOT / "docs/http.md").read_text())
    assert metric_names(metrics) <= documented
    for file in ("prometheus/alerts.yml", "grafana/syncline.json"):  # an alert on a metric that isn't there is silent for ever
        used = metric_names((ROOT / "contrib" / file).read_text())
        assert used and used <= documented, file


def test_conflicts(lab):
    """Who looks at a conflict on the page sees the record that `syncline conflicts` shows, and can page through thousands."""
    lab.sql(1, "INSERT INTO d.t (id, v) VALUES (1000,'a'),(1001,'a'),(1002,'<b>a</b>')")
    lab.wait()
    lab.cut(1, 2)
    for node in (1, 2):
        lab.sql(node, f"UPDATE d.t SET v = CONCAT('from ', {node}, '<i>') WHERE id >= 1000")
    lab.heal(1, 2)
    wait_for("the records", lambda: lab.tables(1) != ["t"] and lab.value(1, "SELECT COUNT(*) FROM d.replication_conflicts") == 3)
    said = json.loads(run("conflicts", "list", "--json", f"--defaults-file={lab.dir}/node1/syncline.cnf").stdout)
    told = get(door(lab, 1), "/api/v1/conflicts")
    sentences = [c.pop("what") for c in told["conflicts"]]
    assert told["conflicts"] == said[::-1] and told["next"] is None and told["open"] == 3 and told["databases"] == ["d"]
    assert all("changed the same columns" in s for s in sentences)
    first = get(door(lab, 1), "/api/v1/conflicts?limit=2&database=d&open=1")
    rest = get(door(lab, 1), f"/api/v1/conflicts?limit=2&before={first['next']}")
    assert [c["id"] for c in first["conflicts"] + rest["conflicts"]] == [c["id"] for c in said[::-1]] and rest["next"] is None
    one = get(door(lab, 1), f"/api/v1/conflicts/{said[0]['id']}")["conflict"]
    assert one["conflict_data"] == said[0]["conflict_data"]
    for path in ("/api/v1/conflicts/99999", "/api/v1/conflicts?database=mysql", "/api/v1/conflicts/1?database=d%60%3Bx"):
        assert ask(door(lab, 1), path)[0] == 404, path
    lab.sql(1, "SET sql_log_bin=0", f"UPDATE d.replication_conflicts SET conflict_data=JSON_OBJECT('x',REPEAT('y',5000)) WHERE id={said[0]['id']}")
    large = get(door(lab, 1), "/api/v1/conflicts")["conflicts"][-1]
    assert large["conflict_data"] is None and large["conflict_data_left_out"] is True
    assert get(door(lab, 1), f"/api/v1/conflicts/{said[0]['id']}")["conflict"]["conflict_data"]["x"] == "y" * 5000


@pytest.mark.sanitizer
def test_changing(lab):
    """Only who shows the token pauses and resumes, on loopback, too; and it is what `syncline pause` does."""
    assert ask(lab.loopback, "/api/v1/links/2/pause", "POST")[0] == 401
    assert ask(door(lab, 1), "/api/v1/wake", "POST", token=TOKEN + "x")[0] == 401
    assert ask(lab.loopback, "/api/v1/links/3/pause", "POST", token=TOKEN)[0] == 404
    assert not lab.link(1, 2)["paused"]
    assert ask(lab.loopback, "/api/v1/links/2/pause", "POST", token=TOKEN)[0] == 200
    wait_for("the link to be held", lambda: lab.link(1, 2)["paused"] and lab.link(1, 2)["state"] == "connecting")
    assert (lab.dir / "node1/state/paused-2").exists() and get(door(lab, 1), "/healthz") == "ok\n"
    assert ask(door(lab, 1), "/api/v1/links/2/resume", "POST", token=TOKEN)[0] == 200
    lab.wait_state(1, 2, "live")
    assert ask(lab.network, "/api/v1/wake", "POST", token=TOKEN)[0] == 200
    assert TOKEN not in lab.log(1) + lab.log(2)


def test_strangers(lab):
    """From the network nothing is to be had without the token; a page whose name was made to mean this machine gets nothing at all."""
    for path in ("/healthz", "/metrics", "/api/v1/status", "/api/v1/conflicts", "/api/v1/history", "/nothing"):
        for token in (None, TOKEN[:-1], "x" * 5000):
            assert ask(lab.network, path, token=token)[0] == 401, path
    for place in (lab.loopback, door(lab, 1)):
        for path in ("/", "/api/v1/status"):
            assert ask(place, path, host="evil.example", token=TOKEN)[0] == 403


def test_no_door_without_a_good_token(lab):
    """A token that others may read is none: the network's door stays shut, and replication doesn't care. An address that is taken, or comes
    later than the daemon, is tried again."""
    token = lab.dir / "open-token"
    token.write_text(TOKEN)
    token.chmod(0o644)
    port = free_port()
    wait_for("the new settings", configure(lab, 2, [f"http-listen = 0.0.0.0:{port}", f"http-token-file = {token}"]))
    wait_for("the other door", lambda: answers(door(lab, 2)))
    assert not answers(("127.0.0.1", port)) and "chmod 600" in lab.log(2)
    lab.sql(1, "INSERT INTO d.t (v) VALUES ('with the door shut')")
    lab.wait()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        lab.network = ("127.0.0.1", taken.getsockname()[1])
        configure(lab, 2, [f"http-listen = 0.0.0.0:{lab.network[1]}", f"http-token-file = {lab.dir}/token"])
        wait_for("the reason", lambda: f"can't listen on 0.0.0.0:{lab.network[1]}" in lab.log(2))
    wait_for("the door", lambda: answers(lab.network))


def test_killed_daemon(lab):
    """After a power cut the socket's file is still there, and the daemon that comes up answers on it."""
    lab.kill(1, "--daemon")
    assert os.path.exists(door(lab, 1))
    lab.start(1, "--daemon")
    wait_for("an answer", lambda: answers(door(lab, 1)) and answers(lab.loopback))


# ---- Bad input ----


class Load:
    """Rows are written on one node and must go on arriving on the other."""

    def __init__(self, lab, writer, reader):
        self.lab, self.writer, self.reader = lab, writer, reader
        self.count, self.ending = 0, threading.Event()
        self.thread = threading.Thread(target=self.write)

    def write(self):
        connection = self.lab.connect(self.writer)
        with connection.cursor() as cursor:
            while not self.ending.wait(0.01):
                cursor.execute("INSERT INTO d.t (v) VALUES ('load')")
                self.count += 1

    def arrives(self):
        """What is written from now on does."""
        mark = self.lab.value(self.writer, "SELECT MAX(id) FROM d.t WHERE v='load'") or 0
        wait_for("rows to go on arriving", lambda: self.lab.value(self.reader, f"SELECT COUNT(*) FROM d.t WHERE v='load' AND id > {mark}") > 20, 30)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *ignored):
        self.ending.set()
        self.thread.join()


def send(place, data, shut=True):
    """Sends bytes and returns what comes back: however it ends, it ends."""
    with Connection_socket(place) as s:
        received = b""
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            while part := s.recv(65536):
                received += part
        except TimeoutError:
            raise
        except OSError:  # it was ended before we were through
            pass
        return received


def Connection_socket(place):
    connection = Connection(place)
    connection.connect()
    return connection.sock


HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
GARBAGE = [
    b"", b"\r\n\r\n", b"\0" * 1000, b"GET\r\n\r\n", b"GET /healthz\r\n\r\n", b"GET /healthz HTTP/9.9\r\n\r\n", b"GET /healthz HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET " + b"/x" * 100000 + b" HTTP/1.1\r\n\r\n",
    HEAD + b"X: " + b"y" * 1000000 + b"\r\n\r\n", HEAD + b"X: y\r\n" * 50000 + b"\r\n", HEAD + b"no colon\r\n\r\n",
    b"GET /../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/conflicts?" + b"a=b&" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /api/v1/wake HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 300000,
    b"POST /api/v1/wake HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nx",
    b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
]


@pytest.mark.sanitizer
def test_garbage(lab):
    """What is no request of ours is refused in a moment, takes no memory, and rows go on arriving."""
    seed = 5
    chance = random.Random(seed)
    with Load(lab, 2, 1) as load:
        get(door(lab, 1), "/metrics")
        before = lab.daemon_memory(1)
        for data in GARBAGE + [chance.randbytes(chance.randrange(1, 3000)) for _ in range(50)]:
            for place in (door(lab, 1), lab.loopback):
                answer = send(place, data)
                assert not answer.startswith(b"HTTP/1.1 200"), (data[:100], answer[:200], seed)
                assert b"root:" not in answer
        # Whoever sends requests behind each other gets one answer.
        assert send(door(lab, 1), (HEAD + b"\r\n") * 100).count(b"HTTP/1.1 ") == 1
        load.arrives()
        if not any(os.environ.get(f"{s}_OPTIONS") for s in ("ASAN", "TSAN")):  # a sanitizer's memory isn't the daemon's
            assert lab.daemon_memory(1) - before < 8 << 10
    assert get(lab.loopback, "/healthz") == "ok\n"


def test_slow_and_half_open(lab):
    """Clients that say nothing, or a byte now and then, or don't take their answer, hold a bounded number of places for a bounded time: the other
    door answers meanwhile, rows go on arriving, and then everybody is served again."""
    with Load(lab, 2, 1) as load:
        silent = [Connection_socket(lab.loopback) for _ in range(CONNECTIONS_MAX * 2)]
        slow = [Connection_socket(door(lab, 1)) for _ in range(3)]
        ended = 0
        load.arrives()
        assert get(door(lab, 1), "/healthz") == "ok\n" and len(lab.status(1)["links"]) == 1
        threads = len(os.listdir(f"/proc/{lab.daemon_pid(1)}/task"))
        for s in slow:
            s.settimeout(0.3)
        # One that goes on sending: each byte starts a plain time limit anew.
        for s in slow:
            s.sendall(HEAD)

        def all_ended():
            nonlocal ended
            for s in list(slow):
                try:
                    s.sendall(b"X")
                    if s.recv(1000) == b"":
                        raise ConnectionError
                except TimeoutError:
                    continue
                except OSError:
                    slow.remove(s)
                    ended += 1
            return not slow

        wait_for("the end of those that never end their request", all_ended, 20)
        wait_for("the other door", lambda: answers(lab.loopback), 20)
        assert threads < 40 and ended == 3
        load.arrives()
        for s in silent:
            s.close()
    assert get(lab.loopback, "/healthz") == "ok\n"


def test_history(lab):
    """The plots of the last hour: a sample every ten seconds, of the same links as the status."""
    wait_for("a sample with the link", lambda: get(door(lab, 1), "/api/v1/history")["links"], 20)
    samples = get(door(lab, 1), "/api/v1/history")
    assert len(samples["times"]) == len(samples["links"][0]["lag_seconds"]) and samples["links"][0]["peer"] == 2
    assert get(door(lab, 1), f"/api/v1/history?since={samples['now'] + 100}")["times"] == []
