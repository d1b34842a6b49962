"""A node's address changes, and a group gets room for more nodes, while it runs."""

import json
import subprocess

import pymysql

from conftest import wait_for
from machines import empty_data, equal, everywhere, pair, site  # fixtures


def command(machine, name, *args, place=("root",), **kwargs):
    places = {"root": f"--root={machine.root}", "restart": f"--restart={machine.root}/restart"}
    return machine.run(name, f"--defaults-file={machine.settings}", *(places[p] for p in place), *args, **kwargs)


def is_live(machine):
    result = machine.run("status", f"--defaults-file={machine.settings}", "--json", check=False)
    return result.returncode == 0 and [link["state"] for link in json.loads(result.stdout)["links"]] == ["live"]


def test_address(site):
    """The provider gives the gate another address: one command there, and the peers know. By hand it would be a certificate, three files on each
    machine, and a link that is down until somebody finds which of them was forgotten."""
    a, b = pair(site)
    site.network.ip(2, "addr", "add", "192.168.10.77/24", "dev", "eth0")
    said = command(b, "address", "192.168.10.77", place=("root", "restart")).stdout
    assert "Node 2 is at 192.168.10.77." in said and "could not be told" not in said, said
    site.network.ip(2, "addr", "del", "192.168.10.2/24", "dev", "eth0")
    site.network.ip(2, "addr", "replace", "192.168.10.77/24", "dev", "eth0")
    assert b.value("SELECT @@bind_address") == "127.0.0.1,192.168.10.77"
    assert 'host = "192.168.10.77"' in a.settings.read_text() and 'address = "192.168.10.77"' in b.settings.read_text()
    wait_for("both to be live", lambda: is_live(a) and is_live(b))
    a.sql("INSERT INTO d.t (v) VALUES ('a')")
    b.sql("INSERT INTO d.t (v) VALUES ('b')")
    everywhere(a, b)
    equal(a, b)
    # The daemon, which isn't root, can still read its settings.
    assert a.settings.stat().st_uid != 0 and b.settings.stat().st_uid != 0


def test_address_told_later(site):
    """The peer is off when the address changes: it is told there. Else the two would never find each other again."""
    a, b = pair(site)
    site.network.ip(2, "addr", "add", "192.168.10.77/24", "dev", "eth0")
    a.kill(server=True)
    said = command(b, "address", "192.168.10.77", place=("root", "restart")).stdout
    assert "Node 1 could not be told" in said and "run there: syncline address 192.168.10.77 --of=2" in said, said
    a.restart()
    a.start_daemon()
    wait_for("a's daemon", lambda: a.run("status", f"--defaults-file={a.settings}", check=False).returncode == 0)
    command(a, "address", "192.168.10.77", "--of=2")
    wait_for("both to be live", lambda: is_live(a) and is_live(b))
    wrong = command(a, "address", "192.168.10.77", "--of=5", check=False)
    assert wrong.returncode == 2 and "--of=5 is no peer" in wrong.stderr


def test_slots(site):
    """A third node where two had been planned for. A session from before gives out ids in the old steps, which would be the new node's: so the
    command waits for it, and no node is let in while one server, or one session, still does."""
    a, b = pair(site)
    c = site.machine()
    refused = c.join(a.invite(), check=False)
    assert refused.returncode != 0 and "syncline slots 4" in refused.stderr, refused.stderr
    few = command(a, "slots", 1, check=False)
    assert few.returncode == 2 and "there is a node 2" in few.stderr, few.stderr
    odd = command(a, "slots", 3, check=False)
    assert odd.returncode == 2 and "until it has 3 slots, too, both would give out some of them; take 4," in odd.stderr, odd.stderr
    old = pymysql.connect(user="root", unix_socket=str(a.socket), autocommit=True, database="d")
    waiting = subprocess.Popen([*site.network.enter(1), site.program, "slots", "4", f"--defaults-file={a.settings}", f"--root={a.root}"],
                               stdout=subprocess.PIPE, text=True)
    line = waiting.stdout.readline()
    assert "Waiting for" in line and f"{old.thread_id()} (root" in line, line
    assert a.value("SELECT @@GLOBAL.auto_increment_increment") == 4 and "slots = 2" in a.settings.read_text().replace('"', "")
    waiting.kill()
    waiting.wait()
    said = command(a, "slots", 4, "--kill").stdout
    assert "Node 1 has 4 slots." in said and "Node 2 still has 2 slots; run there: syncline slots 4" in said, said
    try:
        old.ping(reconnect=False)
        assert False, "the old session goes on"
    except (pymysql.Error, ConnectionError):
        pass
    assert "auto_increment_increment = 4" in a.dropin.read_text()
    # One of the two isn't enough.
    refused = c.join(a.invite(), check=False)
    assert refused.returncode != 0 and "node 2 still gives out ids in steps of 2; run there: syncline slots 4" in refused.stderr, refused.stderr
    held = pymysql.connect(user="root", unix_socket=str(b.socket), autocommit=True, database="d")
    waiting = subprocess.Popen([*site.network.enter(2), site.program, "slots", "4", f"--defaults-file={b.settings}", f"--root={b.root}"],
                               stdout=subprocess.PIPE, text=True)
    assert "Waiting for" in waiting.stdout.readline()
    refused = c.join(a.invite(), check=False)
    assert refused.returncode != 0 and "node 2 still gives out ids in steps of 2" in refused.stderr, refused.stderr
    held.close()
    assert "Node 2 has 4 slots.\n" == waiting.communicate()[0]
    assert command(a, "slots", 4).stdout == "Node 1 has 4 slots.\n"
    a.sql(*[f"INSERT INTO d.t (v) VALUES ('a{i}')" for i in range(3)])
    b.sql(*[f"INSERT INTO d.t (v) VALUES ('b{i}')" for i in range(3)])
    everywhere(a, b)
    equal(a, b)
    ids = dict((v, id) for id, v in a.sql("SELECT id, v FROM d.t"))
    assert {ids[f"a{i}"] % 4 for i in range(3)} == {1} and {ids[f"b{i}"] % 4 for i in range(3)} == {2}
