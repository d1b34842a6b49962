#!/usr/bin/env python3
"""merge.pml, searched to the end by spin: spin.py two|three|chain|without [NAME]

Without it, nobody would know whether the rules hold in the one order of messages and crashes that no random run has
met. `without` leaves out each rule in turn: there spin must find an order that breaks the property named, or a model
that can't fail would pass for a proof."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = Path(__file__).resolve().with_name("merge.pml")
MEMORY_MB, DEPTH = 1900, 1000
UNIQUE = {"ROWS": 2, "VALUES": 2}
SHAPES = {
    "two": {
        "one row": {"NODES": 2, "WRITES": 4, "CRASHES": 1},
        "a unique value": {"NODES": 2, "WRITES": 3, "CRASHES": 1, **UNIQUE},
    },
    "three": {
        "one row": {"NODES": 3, "WRITES": 3, "CRASHES": 1},
        "a unique value": {"NODES": 3, "WRITES": 2, "CRASHES": 1, **UNIQUE},
        "a unique value, each writes": {"NODES": 3, "WRITES": 3, "EACH": 1, **UNIQUE},
    },
    "chain": {
        "one row": {"NODES": 3, "CHAIN": 1, "WRITES": 3, "CRASHES": 1},
        "a unique value": {"NODES": 3, "CHAIN": 1, "WRITES": 3, "EACH": 2, **UNIQUE},
    },
}
WITHOUT = {  # what is left out: (the property that breaks, the shape in which it is noticed)
    "REGISTER": ("convergence", {"WRITES": 2}),
    "DELETE": ("convergence", {"WRITES": 3}),
    "CLOCK": ("stamps_follow_causality", {"WRITES": 2}),
    "SETTLE": ("convergence", {"WRITES": 2}),
    "GROUP": ("no_row_held_for_ever", {"WRITES": 2, **UNIQUE}),
    "DECIDE": ("no_row_held_for_ever", {"WRITES": 2, **UNIQUE}),
    "HOLD": ("unique_values_are_unique", {"WRITES": 2, **UNIQUE}),
    "RECORD": ("no_write_lost", {"WRITES": 2}),
    "CONTEXT": ("no_false_conflict", {"WRITES": 2}),
    "REBUILD": ("recorded_once", {"WRITES": 2, "CRASHES": 1}),
    "RELAY": ("everything_arrives", {"NODES": 3, "CHAIN": 1, "WRITES": 2}),
}


def search(defines, optimize="-O2"):
    """What pan says, and the seconds that it took."""
    with tempfile.TemporaryDirectory(prefix="syncline-spin-") as folder:
        shutil.copy(MODEL, folder)

        def call(*command):
            done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0 and command[0] != "./pan":
                sys.exit(f"{' '.join(command)}:\n{done.stdout[-2000:]}")
            return done.stdout

        call("spin", *(f"-D{name}={value}" for name, value in defines.items()), "-a", MODEL.name)
        call(os.environ.get("CC", "cc"), optimize, "-w", "-DSAFETY", "-DNOREDUCE", f"-DMEMLIM={MEMORY_MB}",
             "-DVECTORSZ=1024", "-o", "pan", "pan.c")
        start = time.monotonic()
        return call("./pan", f"-m{DEPTH}"), time.monotonic() - start


def first(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1) if found else None


def is_exhaustive(told):
    """Every state was seen, assertions and end states were looked at. pan doesn't say so: it says what fell short."""
    short = ("Search not completed", "max search depth too small", "out of memory", "MEMLIM", "hash-compact")
    checks = (r"^\s*assertion violations\s+\+", r"^\s*invalid end states\s+\+", r"^Full statespace search")
    return not any(word in told for word in short) and all(re.search(c, told, re.MULTILINE) for c in checks)


def check_shape(name, defines):
    told, seconds = search(defines)
    states, errors = first(r"^\s*([\d.e+]+) states, stored", told), first(r"errors: (\d+)", told)
    megabytes = first(r"^\s*([\d.]+)\s+total actual memory", told)
    passed = errors == "0" and states is not None and is_exhaustive(told)
    print(f"{name}: {'all' if passed else 'FAILED after'} {states} states, {seconds:.0f} s, {megabytes} MB "
          f"({' '.join(f'{k}={v}' for k, v in defines.items())})", flush=True)
    if not passed:
        print(told[-3000:])
    return passed


def check_without(rule):
    broken, defines = WITHOUT[rule]
    told, _ = search({f"WITHOUT_{rule}": 1, **defines}, "-O0")  # found at once: compiling is what takes time
    found = first(r"assertion violated (\w+)", told)
    print(f"without {rule}: {found or 'nothing'} breaks{'' if found == broken else f', NOT {broken}'}", flush=True)
    return found == broken


def main(what, name=None):
    if shutil.which("spin") is None:
        sys.exit("spin is missing: run scripts/install-deps.sh check (Debian's package: spin)")
    if what == "without":
        return not all([check_without(rule) for rule in WITHOUT if name in (None, rule)])
    asserted = sorted(set(re.findall(r"assert\((\w+)\)", MODEL.read_text())))
    print(f"at every step or whenever nothing is under way: {', '.join(asserted)}; no invalid end state")
    return not all([check_shape(shape, defines) for shape, defines in SHAPES[what].items() if name in (None, shape)])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
