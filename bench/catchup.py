"""Catching up: how long until a node that was cut off has a backlog of small transactions.

The link is held, node 1 commits the backlog, the link goes on: from that command until node 2's log has node 1's last
transaction. A contender is (pair, label, mode, threads); the rounds go through all contenders, A B C A B C.

With conflicts, the backlog updates rows that both nodes have, and node 2 has updated some of them, too, before the links go on.
Then the clock runs until both nodes have each other's last transaction and a record of every conflict.
"""

import itertools
import time

from pairs import DATABASE, WAIT_S, Failed, Replica, cpu_seconds, say

MODES = [(mode, threads) for mode in ("optimistic", "aggressive", "conservative") for threads in (2, 4, 8)]
QUICK_MODES = [("optimistic", 4), ("aggressive", 4)]
BEST = 2  # parallel modes that go on from the first round
CONFLICT_EVERY = 10  # transactions of the backlog

TABLE = """CREATE TABLE {0}.{1} (
    id BIGINT UNSIGNED NOT NULL PRIMARY KEY, card CHAR(16) NOT NULL, gate SMALLINT UNSIGNED NOT NULL,
    at DATETIME(6) NOT NULL, KEY card (card))"""
INSERT = "INSERT INTO {0}.{1} VALUES (i, LEFT(SHA1(i), 16), i % 7, NOW(6))"
UPDATE = "UPDATE {0}.{1} SET card = LEFT(SHA1(CONCAT(i, '-', @@server_id)), 16), at = NOW(6) WHERE id = i"
PREPARE = "INSERT INTO {0}.{1} SELECT seq, LEFT(SHA1(seq), 16), seq % 7, NOW(6) FROM {0}.seq_1_to_{2}"
FILL = """CREATE PROCEDURE {0}_tools.{1}(n INT, step INT) BEGIN DECLARE i INT DEFAULT 0;
    WHILE i < n DO SET i = i + step; {2}; END WHILE; END"""


def fill(pair, node, table, count, statement, step=1):
    """One transaction a row, not flushed one by one: that is not what is measured."""
    body = statement.format(DATABASE, table)
    pair.unlogged(node, f"CREATE DATABASE IF NOT EXISTS {DATABASE}_tools", FILL.format(DATABASE, table, body))
    pair.sql(node, "SET GLOBAL sync_binlog=0, innodb_flush_log_at_trx_commit=0")
    try:
        pair.sql(node, f"CALL {DATABASE}_tools.{table}(%s, %s)", (count, step))
    finally:
        pair.sql(node, "SET GLOBAL sync_binlog=1, innodb_flush_log_at_trx_commit=1")
    pair.unlogged(node, f"DROP DATABASE {DATABASE}_tools")
    pair.sql(node, "FLUSH BINARY LOGS")


def records(pair, table):
    """Of conflicts, as both nodes have them."""
    def count(node):
        if not pair.sql(node, f"SHOW TABLES FROM {DATABASE} LIKE 'replication_conflicts'"):
            return 0
        return pair.value(node, f"SELECT COUNT(*) FROM {DATABASE}.replication_conflicts WHERE table_name = '{table}'")

    return [count(1), count(2)]


def wait_done(pair, table, heads, conflicts, start):
    """Until each node has the other's last transaction, and every conflict's record."""
    checked = start
    while any(pair.seq(node, origin) < head for node, origin, head in heads) or \
            conflicts and min(records(pair, table)) < conflicts:
        time.sleep(0.01)
        if time.perf_counter() - checked > 30:
            checked = time.perf_counter()
            pair.check()
            if checked - start > WAIT_S:
                raise Failed(f"{pair.name}: not caught up after {WAIT_S} s; conflict records: {records(pair, table)}")


def check_equal(pair, table, count, conflicts):
    sums = pair.checksums(table)
    if sums[0] != sums[1] or pair.value(2, f"SELECT COUNT(*) FROM {DATABASE}.{table}") != count:
        raise Failed(f"{pair.name}: the tables differ after catching up: {sums}")
    if conflicts and (found := records(pair, table)) != [conflicts, conflicts]:
        raise Failed(f"{pair.name}: {conflicts} conflicts, {found} records of them")


def one(pair, table, count, mode=None, threads=0, update=False, conflicts=0, during=None):
    """Returns the seconds, and CPU seconds by process. update: the backlog updates rows instead of inserting them; conflicts: so
    many of them are updated on node 2, too."""
    pair.sql(1, TABLE.format(DATABASE, table))
    if update:
        pair.sql(1, PREPARE.format(DATABASE, table, count))
    pair.wait_equal()
    pair.hold()
    if isinstance(pair, Replica):
        pair.set_mode(mode, threads)
    fill(pair, 1, table, count, UPDATE if update else INSERT)
    heads = [(2, 1, pair.seq(1))]
    if conflicts:
        fill(pair, 2, table, count, UPDATE, count // conflicts)
        heads.append((1, 2, pair.seq(2, 2)))
    processes = pair.processes()
    watch = during(processes) if during else None
    before, start = cpu_seconds(processes), time.perf_counter()
    pair.go()
    wait_done(pair, table, heads, conflicts, start)
    seconds = time.perf_counter() - start
    after = cpu_seconds(processes)
    if watch:
        watch()
    check_equal(pair, table, count, conflicts)
    pair.sql(1, f"DROP TABLE {DATABASE}.{table}")
    pair.wait_equal()
    for node in (1, 2):
        log = pair.sql(node, "SHOW MASTER STATUS")[0][0]
        pair.sql(node, "PURGE BINARY LOGS TO %s", (log,))
    return seconds, {name: after[name] - before[name] for name in after}


class Rounds:
    """What the rounds gave: results is {label: [(seconds, cpu)]}. Each run has a table of another name."""

    tables = itertools.count(1)

    def __init__(self, count):
        self.count, self.results = count, {}

    def run(self, label, pair, *mode, **how):
        result = one(pair, f"t{next(self.tables)}", self.count, *mode, **how)
        self.results.setdefault(label, []).append(result)
        cpu = ", ".join(f"{name} {used:.1f}" for name, used in result[1].items())
        say(f"  {label:16} {result[0]:7.2f} s  {self.count / result[0]:8,.0f}/s  (CPU s: {cpu})")


def measure(ours, theirs, count, rounds, modes):
    """Returns {label: [(seconds, cpu)]}; the labels are 'Syncline', 'single' and 'mode threads'."""
    all_rounds = Rounds(count)
    results, run = all_rounds.results, all_rounds.run
    labels = {f"{mode} {threads}": (mode, threads) for mode, threads in modes}
    going = list(labels)
    for r in range(rounds):
        say(f"catching up, round {r + 1} of {rounds}")
        run("Syncline", ours)
        run("single", theirs, None, 0)
        for label in going:
            run(label, theirs, *labels[label])
        if r == 0:
            going = sorted(going, key=lambda label: results[label][0][0])[:BEST]
    single_threaded(theirs)
    return results


def measure_conflicts(ours, theirs, count, rounds):
    """Ours has the conflicts; the other has the same backlog without them, since it would stop at the first."""
    all_rounds = Rounds(count)
    for r in range(rounds):
        say(f"catching up with conflicts, round {r + 1} of {rounds}")
        all_rounds.run("Syncline", ours, update=True, conflicts=count // CONFLICT_EVERY)
        all_rounds.run("single", theirs, None, 0, update=True)
    single_threaded(theirs)
    return all_rounds.results


def measure_baseline(ours, before, count, rounds):
    """Two builds of Syncline, A B B A."""
    all_rounds = Rounds(count)
    for r in range(rounds):
        say(f"catching up, two builds, round {r + 1} of {rounds}")
        turns = [("Syncline", ours), ("baseline", before)]
        for label, pair in turns if r % 2 == 0 else reversed(turns):
            all_rounds.run(label, pair)
    return all_rounds.results


def single_threaded(theirs):
    theirs.hold()
    theirs.set_mode(None, 0)
    theirs.go()
