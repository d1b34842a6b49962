"""Power that fails, and clocks that are wrong when it comes back. A gate has nobody beside it who could log in: whatever happened, its node
has to come up by itself, with everything that was committed."""

import random
import shutil
import threading

import pymysql
import pytest

from conftest import wait_for
from machines import empty_data, equal, everywhere, site  # noqa: fixtures


def pair(site):
    a = site.machine()
    a.init()
    a.sql("CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100))")
    b = site.machine()
    b.join(a.invite())
    return a, b


class Writer(threading.Thread):
    """Inserts on one machine, and remembers what it was told is committed."""

    def __init__(self, machine):
        super().__init__()
        self.machine, self.committed, self.stopping = machine, [], threading.Event()

    def run(self):
        n = 0
        while not self.stopping.is_set():
            n += 1
            try:
                self.machine.sql(f"INSERT INTO d.t (v) VALUES ('{self.machine.number}-{n}')")
                self.committed.append(f"{self.machine.number}-{n}")
            except pymysql.Error:
                self.stopping.wait(0.05)

    def end(self):
        self.stopping.set()
        self.join()


def boot(machine):
    """As the system does it: each starts what is enabled, in any order."""
    first, second = random.sample([machine.start_daemon, machine.restart], 2)
    first()
    second()


def test_comes_up_by_itself(site):
    """Server, daemon or both are gone at once, under load, on either side: nothing that was committed is missing, or there twice."""
    a, b = pair(site)
    writers = [Writer(a), Writer(b)]
    for writer in writers:
        writer.start()
    for victim, what in ((a, {"server": False}), (b, {"daemon": False}), (a, {}), (b, {})):
        had = [len(w.committed) for w in writers]
        wait_for("some writes", lambda: all(len(w.committed) > h + 20 for w, h in zip(writers, had)))
        victim.kill(**what)
        if what == {"server": False}:
            victim.start_daemon()
        elif what == {"daemon": False}:
            victim.restart()
        else:
            boot(victim)
    for writer in writers:
        writer.end()
    everywhere(a, b)
    equal(a, b)
    rows = [v for v, in a.sql("SELECT v FROM d.t")]
    assert len(set(rows)) == len(rows)
    assert set(writers[0].committed + writers[1].committed) <= set(rows)


def test_power_fails_during_ddl(site):
    """A new column is being added to a large table as the power fails: afterwards both have it, or neither, and go on."""
    a, b = pair(site)
    a.sql("INSERT INTO d.t (v) SELECT REPEAT('x', 90) FROM seq_1_to_60000", database="d")
    everywhere(a, b)
    for turn, victim in enumerate((b, a, b)):
        column = f"c{turn}"
        thread = threading.Thread(target=alter, args=(a, f"ALTER TABLE d.t ADD COLUMN {column} INT DEFAULT {turn}, FORCE, ALGORITHM=COPY"))
        thread.start()
        wait_for("the ALTER", lambda: altering(victim) or not thread.is_alive())
        victim.kill()
        boot(victim)
        thread.join()
        everywhere(a, b)
        equal(a, b)
    a.sql("INSERT INTO d.t (v) VALUES ('after')")
    b.sql("INSERT INTO d.t (v) VALUES ('after, too')")
    everywhere(a, b)
    equal(a, b)


def alter(machine, sql):
    try:
        machine.sql(sql)
    except pymysql.Error:
        pass


def altering(machine):
    try:
        return machine.value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'ALTER TABLE%' OR STATE LIKE '%copy to tmp%'")
    except pymysql.Error:
        return False


@pytest.mark.parametrize("when", ["1970-01-02 00:00:00", "2037-06-01 12:00:00"])
def test_clock_is_wrong_at_boot(site, when):
    """These boards have no clock of their own: after a power cut it is 1970 until somebody tells the time, or some other year. TLS, positions and
    stamps must not mind: what follows another write wins over it, whatever the clocks say."""
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    a, b = pair(site)
    a.sql("INSERT INTO d.t (id, v) VALUES (1001, 'before')")
    everywhere(a, b)
    b.kill()
    b.set_clock(when)
    boot(b)
    wait_for("the server", b.is_up)
    assert b.value("SELECT YEAR(NOW())") == int(when[:4])
    b.sql("UPDATE d.t SET v='from another year' WHERE id=1001")
    everywhere(a, b)
    a.sql("UPDATE d.t SET v='after it' WHERE id=1001")
    everywhere(a, b)
    b.kill()
    b.set_clock(None)
    boot(b)
    b.sql("UPDATE d.t SET v='last' WHERE id=1001", "INSERT INTO d.t (v) VALUES ('right again')")
    everywhere(a, b)
    equal(a, b)
    assert a.value("SELECT v FROM d.t WHERE id=1001") == "last"
    assert "replication_conflicts" not in [t for t, in a.sql("SHOW TABLES IN d")] or a.value("SELECT COUNT(*) FROM d.replication_conflicts") == 0


def test_settings_that_somebody_spoiled(site):
    """An option file edited by hand into nonsense, and then the power fails: a line says where, and mending it is enough."""
    a, b = pair(site)
    text = b.settings.read_text()
    b.settings.write_text(text.replace("[syncline-peer-1]", "[syncline-peer-one]"))
    b.kill()
    b.restart()
    result = b.run("run", f"--defaults-file={b.settings}", check=False)
    assert result.returncode == 1 and "syncline.cnf:" in result.stderr and result.stderr.count("\n") == 1, result.stderr
    b.settings.write_text(text)
    b.start_daemon()
    a.sql("INSERT INTO d.t (v) VALUES ('x')")
    everywhere(a, b)
    equal(a, b)
