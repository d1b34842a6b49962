#!/usr/bin/env python3
"""run.py reference             reference.py itself converges, and doesn't once a rule is left out
run.py REPLAY [SEEDS [FIRST]]  its runs, replayed by the program named"""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = [sys.executable, str(HERE / "reference.py")]
POLICIES = 8  # reference.py's
KEPT = [1, 12, 19, 42, 60, 94, 108, 195, 224, 290]  # seeds that once found something
SEEDS_OF = {"policy": (20, 1000), "excess": (60, 5320)}  # how many, from which; where it isn't 20


def reference(*args):
    return subprocess.run([*REFERENCE, *map(str, args)], capture_output=True, text=True)


def check_reference():
    failed = False
    for policies in range(POLICIES):
        whole = reference(40 if policies == 0 else 10, 1000 * policies)
        print(f"reference: {whole.stdout.strip()}")
        failed |= whole.returncode != 0
    for rule in ("clock", "settle", "group", "decide", "reference", "register", "policy", "excess"):
        noticed = reference("--without", rule, *SEEDS_OF.get(rule, (20,))).returncode == 1
        print(f"without {rule}: {'noticed' if noticed else 'NOT NOTICED'}")
        failed |= not noticed
    return failed


def check_engine(replay, seeds=100, first=0):
    failed = 0
    for seed in dict.fromkeys([*KEPT, *(seed + 1000 * (seed % POLICIES) for seed in range(int(first), int(first) + int(seeds)))]):
        script = reference("--script", seed)
        if script.returncode != 0:
            print(f"seed {seed}: the reference fails: {script.stderr[-300:]}")
            failed += 1
            continue
        result = subprocess.run([replay, "-"], input=script.stdout, capture_output=True, text=True)
        if result.returncode != 0:
            print(f"seed {seed}: {result.stderr.strip()[-600:] or result.returncode}")
            failed += 1
    print(f"{failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(check_reference() if sys.argv[1:] == ["reference"] else check_engine(*sys.argv[1:]))
