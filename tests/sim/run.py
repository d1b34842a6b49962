#!/usr/bin/env python3
"""run.py SIM seeds FIRST COUNT STEPS   random runs
run.py SIM kept                      the runs that once found something
run.py SIM repeat                    a seed gives the same run to the byte
run.py SIM broken                    whatever is broken on purpose is noticed

What goes wrong if this fails: nodes that met again show different rows, or lost a write without a word."""

import subprocess
import sys

# Of enum feature in sim.h: all but grandparents. What is known to fail with these is in docs/conflicts.md, "What is known to be wrong".
FEATURES = 65503
KEPT = [  # (seed, steps, features) of runs that once found something
    (1, 2000, 3),  # a row changed twice in one transaction: the first change won
    (6, 1072, 12291),  # … and only its second change concerned the engine
    (46, 2000, 12299),  # a parent brought in a child that its transaction had changed
    (81, 2000, 12299),  # a row was shown as its delete was committed
    (82, 1200, 32735),  # the tail started between a write and one that didn't know of it
    (41, 1200, 12363),  # a unique value of two columns, one from each of two writes
    (221, 1500, 32735),  # a child that still showed the parent that went, since its new one was held back, with RESTRICT
    (375, 1000, 32731),  # a loss was told after a crash, when somebody had written on top of loser and winner
    (771, 1000, 32731),  # … a column that was bound to theirs
    (778, 1000, 32731),  # what was resolved wasn't in the history yet as the origin's next transaction was applied
    (796, 1000, 32731),  # after a crash a column was recorded again, with others that were lost since
    (10003, 1000, 32155),  # a transaction deleted a parent, and then a child whose reference that had set to NULL
    (10215, 1000, 32219),
    (385, 1500, 65503),  # two nodes each lost a unique value of one row: both recorded the one's loss, nobody the other's
    (896, 1000, 65503),  # in a pair, a write whose stamp this node's log doesn't tell beat one that had overwritten it
    (3082, 1500, 65503),  # a parent that was deleted and inserted again: once it had been written over, a child that it took stayed
]
BROKEN = ("settle-early", "no-decision", "out-of-order", "no-marks", "early-checkpoint")
# What only a known run notices soon.
RARE = [
    ("no-certify", 595, 1500, 32731),
    ("few-locks", 1378, 1000, 65503),
    ("late-checkpoint", 185, 1500, 32731),
    ("raw-times", 250, 1500, 65503),
]


def run(sim, *args):
    return subprocess.run([sim, *map(str, args)], capture_output=True, text=True)


def fails(sim, *args):
    result = run(sim, *args)
    if result.returncode != 0:
        print(result.stdout[-600:], result.stderr[-2000:])
    return result.returncode != 0


def seeds(sim, first, count, steps):
    return fails(sim, "--seed", first, "--seeds", count, "--steps", steps, "--features", FEATURES)


def kept(sim):
    failed = sum(fails(sim, "--seed", seed, "--steps", n, "--features", features) for seed, n, features in KEPT)
    print(f"{failed} failed")
    return failed > 0


def repeat(sim):
    runs = [run(sim, "--seed", 7, "--seeds", 3, "--features", FEATURES).stdout for _ in range(2)]
    print(runs[0])
    return runs[0] != runs[1] or "trace" not in runs[0]


def broken(sim):
    missed = 0
    for what in BROKEN:
        noticed = run(sim, "--seeds", 150, "--steps", 1500, "--features", FEATURES, "--break", what).returncode == 1
        print(f"{what}: {'noticed' if noticed else 'NOT NOTICED'}")
        missed += not noticed
    for what, seed, steps, features in RARE:
        args = ("--seed", seed, "--steps", steps, "--features", features)
        noticed = run(sim, *args, "--break", what).returncode == 1 and run(sim, *args).returncode == 0
        print(f"{what}: {'noticed' if noticed else 'NOT NOTICED'}")
        missed += not noticed
    return missed > 0


if __name__ == "__main__":
    sys.exit({"seeds": seeds, "kept": kept, "repeat": repeat, "broken": broken}[sys.argv[2]](sys.argv[1], *sys.argv[3:]))
