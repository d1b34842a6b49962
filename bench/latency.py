"""Latency without a backlog: from the moment a commit returned on node 1 until node 2 shows the row.

One commit after another, one each SLOT_S or later if the last one took longer to arrive. One connection to node 2 asks for
the row by its primary key, again and again without a pause, as soon as the commit returned. The contenders take turns
in blocks.
"""

import time

from pairs import DATABASE, Failed, say

SLOT_S = 0.005
BLOCK = 100
ARRIVAL_S = 30

TABLE = """CREATE TABLE IF NOT EXISTS {0}.latency (
    id BIGINT UNSIGNED NOT NULL PRIMARY KEY, card CHAR(16) NOT NULL, at DATETIME(6) NOT NULL, KEY card (card))"""


class Prober:
    def __init__(self, pair):
        self.pair = pair
        pair.sql(1, TABLE.format(DATABASE))
        pair.wait_equal()
        self.next_id = (pair.value(1, f"SELECT MAX(id) FROM {DATABASE}.latency") or 0) + 1
        self.writer, self.asker = pair.connect(1), pair.connect(2)

    def close(self):
        self.writer.close()
        self.asker.close()

    def block(self, count):
        """Returns seconds to arrive, and seconds that the commits took."""
        write, ask = self.writer.cursor(), self.asker.cursor()
        arrivals, commits, due = [], [], time.perf_counter()
        for i in range(self.next_id, self.next_id + count):
            time.sleep(max(0.0, due - time.perf_counter()))
            due = max(due, time.perf_counter()) + SLOT_S
            insert = f"INSERT INTO {DATABASE}.latency VALUES ({i}, LEFT(SHA1({i}), 16), NOW(6))"
            question = f"SELECT 1 FROM {DATABASE}.latency WHERE id={i}"
            start = time.perf_counter()
            write.execute(insert)
            committed = time.perf_counter()
            while not ask.execute(question):
                if time.perf_counter() - committed > ARRIVAL_S:
                    self.pair.check()
                    raise Failed(f"{self.pair.name}: a row didn't arrive within {ARRIVAL_S} s")
            arrivals.append(time.perf_counter() - committed)
            commits.append(committed - start)
        self.next_id += count
        return arrivals, commits


def measure(pairs, count, transport):
    """Returns {pair's name: [block of seconds]}."""
    for pair in pairs:
        pair.set_transport(transport)
    probers = [Prober(pair) for pair in pairs]
    results = {pair.name: [] for pair in pairs}
    say(f"latency over {transport}, blocks of {BLOCK}")
    try:
        for prober in probers:
            prober.block(BLOCK // 2)  # warm
        for _ in range(max(1, count // BLOCK)):
            for prober in probers:
                results[prober.pair.name].append(prober.block(BLOCK)[0])
            time.sleep(0)
    finally:
        for prober in probers:
            prober.close()
    for pair in pairs:
        pair.wait_equal()
        sums = pair.checksums("latency")
        if sums[0] != sums[1]:
            raise Failed(f"{pair.name}: the tables differ after the latency test: {sums}")
        flat = sorted(s for block in results[pair.name] for s in block)
        say(f"  {pair.name:10} median {flat[len(flat) // 2] * 1000:7.2f} ms   99th percentile "
            f"{flat[int(len(flat) * 0.99)] * 1000:7.2f} ms   most {flat[-1] * 1000:7.2f} ms")
    return results
