"""Catching up: how long until a node that was cut off has a backlog of small transactions.

The link is held, node 1 commits the backlog, the link goes on: from that command until node 2's log has node 1's last
transaction. A contender is (pair, label, mode, threads); the rounds go through all contenders, A B C A B C.
"""

import time

from pairs import DATABASE, Failed, Pair, Replica, cpu_seconds, say

MODES = [(mode, threads) for mode in ("optimistic", "aggressive", "conservative") for threads in (2, 4, 8)]
QUICK_MODES = [("optimistic", 4), ("aggressive", 4)]
BEST = 2  # parallel modes that go on from the first round

TABLE = """CREATE TABLE {0}.{1} (
    id BIGINT UNSIGNED NOT NULL PRIMARY KEY, card CHAR(16) NOT NULL, gate SMALLINT UNSIGNED NOT NULL,
    at DATETIME(6) NOT NULL, KEY card (card))"""
FILL = """CREATE PROCEDURE {0}_tools.{1}(n INT) BEGIN DECLARE i INT DEFAULT 0;
    WHILE i < n DO SET i = i + 1; INSERT INTO {0}.{1} VALUES (i, LEFT(SHA1(i), 16), i % 7, NOW(6)); END WHILE; END"""


def fill(pair, table, count):
    """One transaction a row, not flushed one by one: that is not what is measured."""
    pair.unlogged(1, f"CREATE DATABASE IF NOT EXISTS {DATABASE}_tools", FILL.format(DATABASE, table))
    pair.sql(1, "SET GLOBAL sync_binlog=0, innodb_flush_log_at_trx_commit=0")
    try:
        pair.sql(1, f"CALL {DATABASE}_tools.{table}(%s)", (count,))
    finally:
        pair.sql(1, "SET GLOBAL sync_binlog=1, innodb_flush_log_at_trx_commit=1")
    pair.unlogged(1, f"DROP DATABASE {DATABASE}_tools")
    pair.sql(1, "FLUSH BINARY LOGS")


def one(pair, table, count, mode=None, threads=0, during=None):
    """Returns the seconds, and CPU seconds by process."""
    pair.sql(1, TABLE.format(DATABASE, table))
    pair.wait_equal()
    pair.hold()
    if isinstance(pair, Replica):
        pair.set_mode(mode, threads)
    fill(pair, table, count)
    processes = pair.processes()
    watch = during(processes) if during else None
    before, start = cpu_seconds(processes), time.perf_counter()
    pair.go()
    head = pair.seq(1)
    while pair.seq(2) < head:
        time.sleep(0.01)
        if time.perf_counter() - start > 30:
            pair.check()
    seconds = time.perf_counter() - start
    after = cpu_seconds(processes)
    if watch:
        watch()
    sums = pair.checksums(table)
    if sums[0] != sums[1] or pair.value(2, f"SELECT COUNT(*) FROM {DATABASE}.{table}") != count:
        raise Failed(f"{pair.name}: the tables differ after catching up: {sums}")
    pair.sql(1, f"DROP TABLE {DATABASE}.{table}")
    pair.wait_equal()
    for node in (1, 2):
        log = pair.sql(node, "SHOW MASTER STATUS")[0][0]
        pair.sql(node, "PURGE BINARY LOGS TO %s", (log,))
    return seconds, {name: after[name] - before[name] for name in after}


def measure(ours, theirs, count, rounds, modes):
    """Returns {label: [(seconds, cpu)]}; the labels are 'Syncline', 'single' and 'mode threads'."""
    results, number = {}, 0

    def run(label, pair, *mode):
        nonlocal number
        number += 1
        result = one(pair, f"t{number}", count, *mode)
        results.setdefault(label, []).append(result)
        cpu = ", ".join(f"{name} {used:.1f}" for name, used in result[1].items())
        say(f"  {label:16} {result[0]:7.2f} s  {count / result[0]:8,.0f}/s  (CPU s: {cpu})")

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
    theirs.hold()
    theirs.set_mode(None, 0)
    theirs.go()
    return results
