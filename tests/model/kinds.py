#!/usr/bin/env python3
"""Every kind of conflict, over every order of arrival on two and three nodes: kinds.py REPLAY [EVERY]. (EVERY: of three nodes only each so many-th order.)

A scenario is rows that everybody has, what each node then writes while all are cut off from each other (at the commit time in front), and
what every node must show in the end, whoever reads whom first, with what must have been recorded. p(u unique, w unique, v); c(fk SET NULL, v);
r(fk CASCADE, v). Where a policy of v, and one of the other columns, is named, that. site_priority prefers node 2, then 0. If one fails, two gates that meet again show different people, or somebody's write is gone without a trace."""

import itertools
import subprocess
import sys

SCENARIOS = [
    # one row
    ("one row updated on both: the later wins, the other is recorded", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 20")], 1: [(201, "U p 1 1 v 30")]}, "p1(1,1,30) | update_origin_differs=1"),
    ("the same with the clocks the other way round", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(9000, "U p 1 1 v 20")], 1: [(3, "U p 1 1 v 30")]}, "p1(1,1,20) | update_origin_differs=1"),
    ("one row updated on all three", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(203, "U p 1 1 v 20")], 1: [(201, "U p 1 1 v 30")], 2: [(202, "U p 1 1 v 40")]},
     "p1(1,1,20) | update_origin_differs=2"),
    ("different columns of one row: both stay, nothing is recorded", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 20")], 1: [(201, "U p 1 1 u 5")]}, "p1(5,1,20) |"),
    ("three columns on three nodes", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 20")], 1: [(201, "U p 1 1 u 5")], 2: [(202, "U p 1 1 w 6")]}, "p1(5,6,20) |"),
    ("columns that overlap in part", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 2 v 20 w 7")], 1: [(201, "U p 1 2 u 5 v 30")]}, "p1(5,7,30) | update_origin_differs=1"),
    ("the same key inserted on both: the later row, the other recorded", [],
     {0: [(200, "I p 1 3 u 1 w 1 v 10")], 1: [(201, "I p 1 3 u 2 w 2 v 20")]}, "p1(2,2,20) | insert_exists=1"),
    ("the same key inserted on all three", [],
     {0: [(202, "I p 1 3 u 1 w 1 v 10")], 1: [(201, "I p 1 3 u 2 w 2 v 20")], 2: [(200, "I p 1 3 u 3 w 3 v 30")]},
     "p1(1,1,10) | insert_exists=2"),
    ("updated here, deleted there: the delete wins", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(900, "U p 1 1 v 20")], 1: [(201, "D p 1 0")]}, "| delete_origin_differs=1"),
    ("updated on two, deleted on the third", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(900, "U p 1 1 v 20")], 1: [(201, "D p 1 0")], 2: [(800, "U p 1 1 u 7")]}, "| delete_origin_differs=2"),
    ("deleted on both", ["I p 1 3 u 1 w 1 v 10"], {0: [(200, "D p 1 0")], 1: [(201, "D p 1 0")]}, "|"),
    ("deleted on all three", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "D p 1 0")], 1: [(201, "D p 1 0")], 2: [(202, "D p 1 0")]}, "|"),
    ("the key changed on one, the row updated on the other", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "D p 1 0", "I p 2 3 u 1 w 1 v 10")], 1: [(201, "U p 1 1 v 20")]},
     "p2(1,1,10) | delete_origin_differs=1"),
    ("a key deleted and used again lives, whatever the clocks say", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "D p 1 0"), (201, "I p 1 3 u 2 w 2 v 20")], 1: [(9000, "U p 1 1 v 30")]},
     "p1(2,2,20) | delete_origin_differs=1"),
    ("deleted and used again, deleted there", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "D p 1 0"), (201, "I p 1 3 u 2 w 2 v 20")], 1: [(300, "D p 1 0")]}, "| delete_origin_differs=1"),
    # no false conflict
    ("a write that follows another is no conflict, however the clocks stand", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(9000, "U p 1 1 v 20"), (3, "U p 1 1 v 30"), (7, "U p 1 1 v 40")]}, "p1(1,1,40) |"),
    # unique values
    ("one unique value, two rows: the first claim stays", [],
     {0: [(200, "I p 1 3 u 1 w 1 v 10")], 1: [(201, "I p 2 3 u 1 w 2 v 20")]}, "p1(1,1,10) | insert_exists=1"),
    ("one unique value, three rows on three nodes", [],
     {0: [(202, "I p 1 3 u 1 w 1 v 10")], 1: [(201, "I p 2 3 u 1 w 2 v 20")], 2: [(200, "I p 3 3 u 1 w 3 v 30")]},
     "p3(1,3,30) | insert_exists=2"),
    ("a unique value by an update on one, by an insert on the other", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(300, "U p 1 1 u 5")], 1: [(200, "I p 2 3 u 5 w 2 v 20")]}, "p2(5,2,20) | update_exists=1"),
    ("one incoming row collides with different rows on two unique keys", [],
     {0: [(200, "I p 1 3 u 1 w 1 v 10", "I p 2 3 u 2 w 2 v 20")], 1: [(300, "I p 3 3 u 1 w 2 v 30")]},
     "p1(1,1,10) p2(2,2,20) | multiple_unique_conflicts=1"),
    ("the row that collides twice was first", [],
     {0: [(200, "I p 1 3 u 1 w 1 v 10"), (201, "I p 2 3 u 2 w 2 v 20")], 1: [(100, "I p 3 3 u 1 w 2 v 30")]},
     "p3(1,2,30) | insert_exists=2"),
    ("two rows swap a value, somebody updates one", ["I p 1 3 u 1 w 1 v 10", "I p 2 3 u 2 w 2 v 20"],
     {0: [(200, "U p 1 1 u 2", "U p 2 1 u 1")], 1: [(201, "U p 1 1 v 30")]}, "p1(2,1,30) p2(1,2,20) |"),
    ("both swap the same two", ["I p 1 3 u 1 w 1 v 10", "I p 2 3 u 2 w 2 v 20"],
     {0: [(200, "U p 1 1 u 2", "U p 2 1 u 1")], 1: [(201, "U p 1 1 u 2", "U p 2 1 u 1")]},
     "p1(2,1,10) p2(1,2,20) | update_origin_differs=2"),
    # references
    ("a child for a parent deleted elsewhere, SET NULL", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "I c 5 2 fk 1 v 50")], 1: [(201, "D p 1 0")]}, "c5(-,50) | foreign_key_missing=1"),
    ("a child for a parent deleted elsewhere, CASCADE", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "I r 5 2 fk 1 v 50")], 1: [(201, "D p 1 0")]}, "| foreign_key_missing=1"),
    ("the parent's key lives again by the time the child arrives", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "I r 5 2 fk 1 v 50"), (201, "I c 6 2 fk 1 v 60")],
      1: [(202, "D p 1 0"), (203, "I p 1 3 u 2 w 2 v 20")]}, "p1(2,2,20) c6(-,60) | foreign_key_missing=2"),
    ("a child given to a parent that is deleted elsewhere", ["I p 1 3 u 1 w 1 v 1", "I p 2 3 u 2 w 2 v 2", "I r 5 2 fk 1 v 50"],
     {0: [(200, "U r 5 1 fk 2")], 1: [(201, "D p 2 0")]}, "p1(1,1,1) | foreign_key_missing=1"),
    ("a child whose parent is deleted there, given another here", ["I p 1 3 u 1 w 1 v 1", "I p 2 3 u 2 w 2 v 2", "I r 5 2 fk 1 v 50"],
     {0: [(200, "U r 5 1 fk 2")], 1: [(201, "D p 1 0")]}, "p2(2,2,2) r5(2,50) |"),
    ("a child updated here, gone with its parent there", ["I p 1 3 u 1 w 1 v 1", "I r 5 2 fk 1 v 50"],
     {0: [(200, "U r 5 1 v 60")], 1: [(201, "D p 1 0")]}, "| foreign_key_missing=1"),
    ("a child of a row that loses its unique value", [],
     {0: [(300, "I p 1 3 u 1 w 1 v 10"), (301, "I c 5 2 fk 1 v 50"), (302, "I r 6 2 fk 1 v 60")],
      1: [(200, "I p 2 3 u 1 w 2 v 20")]}, "p2(1,2,20) c5(-,50) | insert_exists=1"),
    # policies
    ("first update wins: the older of two stays", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 20")], 1: [(201, "U p 1 1 v 30")]}, "p1(1,1,20) | update_origin_differs=1", "first_update_wins"),
    # The 30 loses to the 20, and is back when that is overwritten.
    ("first update wins: of the versions that meet, the older", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 20"), (300, "U p 1 1 v 25")], 1: [(250, "U p 1 1 v 30")]},
     "p1(1,1,30) | update_origin_differs=2", "first_update_wins"),
    ("first update wins on all three", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(203, "U p 1 1 v 20")], 1: [(201, "U p 1 1 v 30")], 2: [(202, "U p 1 1 v 40")]},
     "p1(1,1,30) | update_origin_differs=2", "first_update_wins"),
    ("first update wins in a unique column: the claim is the value that stays", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 u 5")], 1: [(201, "U p 1 1 u 6"), (202, "I p 2 3 u 1 w 2 v 20")]},
     "p1(5,1,10) p2(1,2,20) | update_origin_differs=1", "first_update_wins", "first_update_wins"),
    ("site priority: the preferred node wins, whatever the clocks say", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 20")], 1: [(900, "U p 1 1 v 30")]}, "p1(1,1,20) | update_origin_differs=1", "site_priority"),
    ("site priority: the first of two that are listed", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 20")], 1: [(900, "U p 1 1 v 30")], 2: [(3, "U p 1 1 v 40")]},
     "p1(1,1,40) | update_origin_differs=2", "site_priority"),
    ("max: the highest stays", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 300")], 1: [(201, "U p 1 1 v 20")]}, "p1(1,1,300) | update_origin_differs=1", "max"),
    ("max: who knew of a higher one may lower it", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 300"), (202, "U p 1 1 v 5")], 1: [(201, "U p 1 1 v 20")]},
     "p1(1,1,20) | update_origin_differs=2", "max"),
    ("min on all three: who is barred anywhere is barred", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(203, "U p 1 1 v 1")], 1: [(201, "U p 1 1 v 0")], 2: [(202, "U p 1 1 v 256")]},
     "p1(1,1,0) | update_origin_differs=2", "min"),
    ("delta: every addition counts, nothing is recorded", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 11"), (201, "U p 1 1 v 12")], 1: [(201, "U p 1 1 v 7")]}, "p1(1,1,9) |", "delta_apply"),
    ("delta on all three, one many times", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200 + i, f"U p 1 1 v {11 + i}") for i in range(12)], 1: [(201, "U p 1 1 v 110")], 2: [(3, "U p 1 1 v 9")]},
     "p1(1,1,121) |", "delta_apply"),
    ("delta: a counter that is begun on both", [],
     {0: [(200, "I p 1 3 u 1 w 1 v 1"), (201, "U p 1 1 v 10")], 1: [(201, "I p 1 3 u 1 w 1 v 1"), (202, "U p 1 1 v 6")]},
     "p1(1,1,16) | insert_exists=1", "delta_apply"),
    ("delta: a balance can't fall below what the column holds", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 2")], 1: [(201, "U p 1 1 v 3")]}, "p1(1,1,0) |", "delta_apply"),
    ("delta: added to here, deleted there", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(200, "U p 1 1 v 11")], 1: [(201, "D p 1 0")]}, "| delete_origin_differs=1", "delta_apply"),
    ("delta: gone with its parent there and begun anew, added to here",
     ["I p 1 3 u 1 w 1 v 1", "I p 2 3 u 2 w 2 v 2", "I r 5 2 fk 1 v 50"],
     {0: [(200, "U r 5 2 fk 2 v 57")], 1: [(201, "D p 1 0"), (202, "I r 5 2 fk 2 v 3")]},
     "p2(2,2,2) r5(2,3) | update_origin_differs=2", "delta_apply"),
    ("error: the older stays, the other is recorded", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(203, "U p 1 1 v 20")], 1: [(201, "U p 1 1 v 30")]}, "p1(1,1,30) | update_origin_differs=1", "error"),
    ("error on all three", ["I p 1 3 u 1 w 1 v 10"],
     {0: [(203, "U p 1 1 v 20")], 1: [(201, "U p 1 1 v 30")], 2: [(202, "U p 1 1 v 40")]},
     "p1(1,1,30) | update_origin_differs=2", "error"),
]


def commits(node, transactions):
    for time, *changes in transactions:
        yield f"C {node} {time} 0 {len(changes)} {' '.join(changes)}"


def script(number, scenario, count, order):
    _, setup, writes, _, *policies = scenario
    yield f"N {count}"
    if policies:
        yield f"P {policies[0]} {(policies + ['last_update_wins'])[1]}"
    yield from commits(0, [(100, change) for change in setup])
    yield "W 100"
    for node, transactions in writes.items():
        yield from commits(node, transactions)
    for node, peer in order:
        yield f"A {node} {peer} 400"
    yield "W 400"
    yield f"T {number}"


def main(replay, every="1"):
    failed = runs = 0
    for number, scenario in enumerate(SCENARIOS):
        name, _, writes, expected, *_ = scenario
        for count in (2, 3):
            if max(writes) >= count:
                continue
            links = [(a, b) for a in range(count) for b in range(count) if a != b]
            orders = list(itertools.permutations(links))[::int(every) if count == 3 else 1]
            text = "\n".join(line for order in orders for line in script(number, scenario, count, order)) + "\n"
            result = subprocess.run([replay, "-"], input=text, capture_output=True, text=True)
            runs += len(orders)
            told = [line.split(":", 1)[1].strip() for line in result.stdout.splitlines()]
            if result.returncode != 0 or len(told) != len(orders) or set(told) != {expected}:
                failed += 1
                print(f"{name} ({count} nodes): {result.stderr.strip()[-300:]}")
                for line in sorted(set(told) - {expected}):
                    print(f"   {told.count(line)} of {len(orders)} orders: {line}\n   expected:        {expected}")
    print(f"{len(SCENARIOS)} kinds, {runs} orders of arrival, {failed} failed")
    return bool(failed or not runs)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
