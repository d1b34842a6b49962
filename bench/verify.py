#!/usr/bin/env python3
"""syncline verify beside pt-table-checksum (Debian's percona-toolkit): the same two servers, rows and run.

Prints how long each takes for all rows of one table, by turns; what verify at its default rate costs a writer on node 1, whose
commits are durable, by turns with it left alone; and how much memory verify has at most, for a tenth of the rows and for all.
--strict: exit status 1 when a target of docs/performance.md is missed.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from pairs import DATABASE, SYNCLINE, Failed, Replica, say

TABLE = """CREATE TABLE {0}.{1} (id INT AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL, KEY (k))"""
BLOCK_S = 6


def fill(pair, table, rows):
    """As sysbench's tables are."""
    pair.sql(1, TABLE.format(DATABASE, table))
    pair.sql(1, f"USE {DATABASE}")
    for first in range(1, rows + 1, 50000):
        last = min(first + 49999, rows)
        pair.sql(1, f"INSERT INTO {DATABASE}.{table} (k,c,pad) SELECT seq*7919%1000003,CONCAT(SHA1(seq),SHA1(seq+1)),SHA1(seq+2) FROM "
                    f"{DATABASE}.seq_{first}_to_{last}")
    pair.wait_equal()


def timed(*command):
    """Seconds, and the most memory in MiB."""
    start = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit {os.waitstatus_to_exitcode(status)}\n{output.decode(errors='replace')}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def verify(pair, table, *options):
    return timed(SYNCLINE, "verify", f"--defaults-file={pair.settings(1)}", f"--table={DATABASE}.{table}", *options)


def checksum(pair, table):
    socket = pair.dir / "node1" / "mariadb.sock"
    return timed("pt-table-checksum", f"S={socket},u=root", "--no-check-binlog-format", "--no-check-replication-filters", "--no-version-check",
                 "--recursion-method=dsn=D=percona,t=dsns", f"--tables={DATABASE}.{table}", "--quiet")


def reach_by_socket(pair):
    """Both tools run outside of the nodes' networks, and reach both servers in the same way."""
    lines = [line for line in pair.settings(1).read_text().splitlines() if not line.startswith("ssl")]
    at = lines.index("[syncline-peer-2]")
    lines[at + 1:] = [f'socket = "{pair.dir}/node2/mariadb.sock"', "user = root"]
    pair.settings(1).write_text("\n".join(lines) + "\n")


def prepare_checksum(pair):
    pair.sql(1, "CREATE DATABASE percona")
    pair.sql(1, "CREATE TABLE percona.dsns (id INT AUTO_INCREMENT PRIMARY KEY, parent_id INT, dsn VARCHAR(255) NOT NULL)")
    pair.sql(1, "INSERT INTO percona.dsns (dsn) VALUES (%s)", (f"S={pair.dir}/node2/mariadb.sock,u=root",))
    pair.wait_equal()


class Writer(threading.Thread):
    """One session that updates one row a transaction."""

    def __init__(self, pair, rows):
        super().__init__(daemon=True)
        self.connection, self.rows, self.count, self.stopped = pair.connect(1), rows, 0, False

    def run(self):
        cursor, i = self.connection.cursor(), 0
        while not self.stopped:
            i = (i * 69069 + 12345) % (1 << 31)
            cursor.execute(f"UPDATE {DATABASE}.large SET k=k+1 WHERE id={2 * (i % (self.rows // 2)) + 1}")
            self.count += 1


def slowing(pair, rows, rounds):
    """Commits a second with and without verify, block by block."""
    writer, stop = Writer(pair, rows), threading.Event()
    writer.start()
    found = {False: [], True: []}

    def verify_on():
        while not stop.is_set():
            process = subprocess.Popen([SYNCLINE, "verify", f"--defaults-file={pair.settings(1)}", f"--table={DATABASE}.large"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None:
                if stop.wait(0.05):
                    process.terminate()
                    process.wait()

    for i in range(2 * rounds):
        with_verify = i % 4 in (1, 2)  # A B B A
        stop.clear()
        thread = threading.Thread(target=verify_on)
        if with_verify:
            thread.start()
            time.sleep(0.5)
        before, start = writer.count, time.monotonic()
        time.sleep(BLOCK_S)
        found[with_verify].append((writer.count - before) / (time.monotonic() - start))
        if with_verify:
            stop.set()
            thread.join()
    writer.stopped = True
    writer.join()
    pair.wait_equal()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strict", action="store_true")
    arguments = parser.parse_args()
    if shutil.which("pt-table-checksum") is None:
        sys.exit("pt-table-checksum isn't there: scripts/install-deps.sh bench")
    directory, pair, missed = pathlib.Path(tempfile.mkdtemp(prefix="syncline-bench-")), None, []
    try:
        pair = Replica(directory / "verify")
        pair.sql(1, f"CREATE DATABASE {DATABASE}")
        fill(pair, "small", arguments.rows // 10)
        fill(pair, "large", arguments.rows)
        prepare_checksum(pair)
        reach_by_socket(pair)
        times = {"pt-table-checksum": [], "verify": [], "verify --rate=0": []}
        for number in range(arguments.rounds):
            say(f"round {number + 1} of {arguments.rounds}")
            times["pt-table-checksum"].append(checksum(pair, "large")[0])
            times["verify"].append(verify(pair, "large")[0])
            times["verify --rate=0"].append(verify(pair, "large", "--rate=0")[0])
        for name, seconds in times.items():
            print(f"{name}: {statistics.median(seconds):.1f} s for {arguments.rows} rows ({', '.join(f'{s:.1f}' for s in seconds)})")
        ratio = statistics.median(times["verify --rate=0"]) / statistics.median(times["pt-table-checksum"])
        print(f"verify --rate=0 takes {ratio:.2f} of the time of pt-table-checksum")
        missed += ["time"] if ratio > 1 / 3 else []
        found = slowing(pair, arguments.rows, 2 * arguments.rounds)
        alone, beside = statistics.median(found[False]), statistics.median(found[True])
        print(f"writer: {alone:.0f} commits/s alone, {beside:.0f} beside verify: {100 * (1 - beside / alone):.1f} % fewer "
              f"({', '.join(f'{c:.0f}' for c in found[False])}; {', '.join(f'{c:.0f}' for c in found[True])})")
        missed += ["writer"] if beside < 0.95 * alone else []
        memory = {table: verify(pair, table, "--rate=0")[1] for table in ("small", "large")}
        print(f"memory: {memory['small']:.1f} MiB for {arguments.rows // 10} rows, {memory['large']:.1f} MiB for {arguments.rows}")
        missed += ["memory"] if memory["large"] > memory["small"] + 4 else []
    except Failed as error:
        sys.exit(f"bench/verify.py: {error}")
    finally:
        if pair is not None:
            pair.down()
        shutil.rmtree(directory, ignore_errors=True)
    if missed:
        print(f"missed: {', '.join(missed)}")
    sys.exit(1 if missed and arguments.strict else 0)


if __name__ == "__main__":
    main()
