#!/usr/bin/env python3
"""Syncline beside MariaDB's own replication, in one run on one machine. docs/performance.md says what is measured."""

import argparse
import contextlib
import datetime
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import catchup
import latency
from pairs import ROOT, Failed, Pair, Replica, say

DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- results: written by bench/run.py --write -->", "<!-- end of results -->"
MEMORY_LIMIT_MIB = 16
BASELINE_PART = 1.10  # of the time of the build that --baseline names
TRANSPORTS = {"tls": "TCP with TLS", "tcp": "TCP", "socket": "UNIX sockets"}


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


class Report:
    def __init__(self):
        self.lines, self.missed = [], []

    def line(self, text=""):
        self.lines.append(text)

    def target(self, met, text):
        self.line(f"- {'met' if met else '**missed**'}: {text}")
        if not met:
            self.missed.append(text)


# Catching up

def ratios(results, a, b):
    """Round by round: median, least, most."""
    values = [x[0] / y[0] for x, y in zip(results[a], results[b])]
    return statistics.median(values), min(values), max(values)


def report_catchup(report, results, count, transport):
    def median(label):
        return statistics.median(r[0] for r in results[label])

    report.line(f"**Catching up with {count:,} transactions of one row**, {TRANSPORTS[transport]}. Seconds: median (least to "
                "most). Syncline's time as a part of the other's: median (least to most) of the rounds.")
    report.line()
    report.line("| | rounds | seconds | transactions/s | Syncline's part |")
    report.line("|---|---|---|---|---|")
    for label in results:
        part = "" if label == "Syncline" else "{:.2f} ({:.2f} to {:.2f})".format(*ratios(results, "Syncline", label))
        name = label if label == "Syncline" else f"MariaDB, {label}" + (" threads" if label != "single" else "-threaded")
        report.line(seconds_row(name, results, label, count, part))
    report.line()
    report_cpu(report, results, "Syncline", "Syncline's pair")
    single = ratios(results, "Syncline", "single")[0]
    report.target(single <= 0.25, f"at most a quarter of single-threaded: {single:.3f}")
    parallel = [label for label in results if label not in ("Syncline", "single")]
    if parallel:
        best = min(parallel, key=median)
        part = ratios(results, "Syncline", best)[0]
        report.target(part < 1, f"less than the best parallel mode ({best} threads): {part:.3f}")
    report.line()


def seconds_row(name, results, label, count, part):
    seconds = [r[0] for r in results[label]]
    return (f"| {name} | {len(seconds)} | {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | "
            f"{count / statistics.median(seconds):,.0f} | {part} |")


def report_cpu(report, results, label, name):
    processes = results[label][0][1]
    used = ", ".join(f"{process} {statistics.median(r[1][process] for r in results[label]):.1f}" for process in processes)
    report.line(f"CPU seconds of {name}: {used}.")
    report.line()


def report_conflicts(report, results, count):
    report.line(f"**Catching up with conflicts**: {count:,} transactions of one row, {count // catchup.CONFLICT_EVERY:,} of these "
                "rows written on node 2 as well; MariaDB's replica without node 2's writes. TCP with TLS, seconds and Syncline's "
                "part as above.")
    report.line()
    report.line("| | rounds | seconds | transactions/s | Syncline's part |")
    report.line("|---|---|---|---|---|")
    part = ratios(results, "Syncline", "single")
    report.line(seconds_row("Syncline", results, "Syncline", count, ""))
    report.line(seconds_row("MariaDB, single-threaded", results, "single", count, "{:.2f} ({:.2f} to {:.2f})".format(*part)))
    report.line()
    report_cpu(report, results, "Syncline", "Syncline's pair")
    report.target(part[0] < 1, f"conflicts and all in less than single-threaded without: {part[0]:.3f}")
    report.line()


def report_baseline(report, results, count):
    report.line(f"**Beside the build that was given**, catching up with {count:,} transactions of one row, TCP with TLS.")
    report.line()
    report.line("| | rounds | seconds | transactions/s | Syncline's part |")
    report.line("|---|---|---|---|---|")
    part = ratios(results, "Syncline", "baseline")
    report.line(seconds_row("Syncline", results, "Syncline", count, ""))
    report.line(seconds_row("the other build", results, "baseline", count, "{:.2f} ({:.2f} to {:.2f})".format(*part)))
    report.line()
    report_cpu(report, results, "Syncline", "Syncline's pair")
    report_cpu(report, results, "baseline", "the other build's")
    report.target(part[0] <= BASELINE_PART, f"at most {BASELINE_PART} of the other build's time: {part[0]:.3f}")
    report.line()


# Latency

def spread(ours, theirs, part):
    """Ratio of percentiles, and what 95 of 100 draws of the blocks say about it."""
    def ratio(a, b):
        return percentile([s for x in a for s in x], part) / percentile([s for x in b for s in x], part)

    chance = random.Random(1)
    draws = sorted(ratio(chance.choices(ours, k=len(ours)), chance.choices(theirs, k=len(theirs))) for _ in range(400))
    return ratio(ours, theirs), draws[10], draws[389]


def report_latency(report, results, transport):
    count = sum(len(b) for b in results["Syncline"])
    report.line(f"**Latency of {count:,} commits, {TRANSPORTS[transport]}.** Milliseconds from the commit's return on node 1 "
                "until node 2 shows the row.")
    report.line()
    report.line("| | median | 99th percentile | most |")
    report.line("|---|---|---|---|")
    for name, blocks in results.items():
        flat = [s * 1000 for b in blocks for s in b]
        report.line(f"| {name} | {percentile(flat, 0.5):.2f} | {percentile(flat, 0.99):.2f} | {max(flat):.2f} |")
    report.line()
    if "MariaDB" not in results:
        return
    for part, name in ((0.5, "median"), (0.99, "99th percentile")):
        ratio = spread(results["Syncline"], results["MariaDB"], part)
        report.target(ratio[0] <= 1, "{}, {}: {:.2f} of MariaDB's (95 % of draws: {:.2f} to {:.2f})".format(
            TRANSPORTS[transport], name, *ratio))
    report.line()


# Memory and machine

def report_memory(report, memory):
    report.line("**Memory of the daemons**, MiB resident, and the most so far in parentheses.")
    report.line()
    report.line("| | node 1 | node 2 |")
    report.line("|---|---|---|")
    for when, nodes in memory:
        report.line(f"| {when} | " + " | ".join(f"{rss:.1f} ({most:.1f})" for rss, most in nodes) + " |")
    report.line()
    most = max(m for _, nodes in memory for _, m in nodes)
    report.target(most < MEMORY_LIMIT_MIB, f"under {MEMORY_LIMIT_MIB} MiB: {most:.1f}")
    report.line()


def machine(pair):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 1024 / 1024
    kernel = os.uname()
    return (f"{datetime.date.today().isoformat()}, MariaDB {pair.value(1, 'SELECT VERSION()')}, "
            f"{len(os.sched_getaffinity(0))} cores of {cpu[1].strip() if cpu else kernel.machine}, {memory:.0f} GiB, "
            f"Linux {kernel.release.split('-')[0]} {kernel.machine}. Load before the run: {os.getloadavg()[0]:.1f}.")


# Profile

def perf(processes):
    """Records the second node until the returned function is called, which prints the report."""
    if not shutil.which("perf"):
        raise Failed("perf is not installed")
    watched = [n for n in processes if n.startswith("daemon") or n == "server 2"]
    data = tempfile.NamedTemporaryFile(prefix="syncline-perf-")
    recorder = subprocess.Popen(["perf", "record", "-q", "-F", "999", "-g", "-o", data.name,
                                 "-p", ",".join(str(processes[n]) for n in watched)], stderr=subprocess.DEVNULL)

    def end():
        recorder.send_signal(signal.SIGINT)
        recorder.wait()
        for name in watched:
            text = subprocess.run(["perf", "report", "-i", data.name, "--stdio", "--no-children", "-g", "none",
                                   "--percent-limit", "0.7", "--pid", str(processes[name]), "--sort", "comm,symbol"],
                                  capture_output=True, text=True).stdout
            print(f"\n{name}\n" + "\n".join(l for l in text.splitlines() if l.strip() and not l.startswith("#")))
        data.close()

    return end


# The whole

def everything(args, labs, report):
    quick = os.environ.get("QUICK") == "1"
    count = args.transactions or (10_000 if quick else 80_000)
    rounds = args.rounds or (2 if quick else 3)
    commits = 400 if quick else 2000
    modes = catchup.QUICK_MODES if quick else catchup.MODES
    wanted = args.only or "all"

    def pair_in(kind, name, **how):
        say(f"starting {kind.name}'s two nodes")
        path = labs / name
        pairs_up.append(path)
        pair = kind(path, **how)
        pair.sql(1, f"CREATE DATABASE {catchup.DATABASE}")
        pair.wait_equal()
        return pair

    pairs_up = args.labs
    ours = pair_in(Pair, "a")
    report.line(machine(ours))
    report.line()
    memory = [("at rest", ours.memory())]
    if wanted == "catchup-syncline":
        for r in range(rounds):
            seconds, cpu = catchup.one(ours, f"t{r}", count, update=args.conflicts, during=perf if args.perf else None,
                                       conflicts=count // catchup.CONFLICT_EVERY if args.conflicts else 0)
            say(f"{count / seconds:,.0f}/s  " + ", ".join(f"{k} {v:.2f} s" for k, v in cpu.items()))
        return
    if args.baseline:
        before = pair_in(Pair, "c", program=args.baseline)
        report_baseline(report, catchup.measure_baseline(ours, before, count, args.rounds or 2 * rounds), count)
        if wanted == "baseline":
            return
        before.down()
    theirs = pair_in(Replica, "b")

    def conflicts():
        report_conflicts(report, catchup.measure_conflicts(ours, theirs, count, rounds), count)
        memory.append((f"after {rounds} times {count // catchup.CONFLICT_EVERY:,} conflicts", ours.memory()))

    # Latency first, in fresh servers, over TLS; then the backlog; then what needs the daemons to start again.
    order = sorted(args.transport or ["tls", "tcp"], key=list(TRANSPORTS).index)
    for transport in order if wanted in ("all", "latency") else []:
        contenders = [p for p in (ours, theirs) if transport in p.transports]
        report_latency(report, latency.measure(contenders, commits, transport), transport)
        if transport == order[0]:
            memory.append((f"after {commits:,} commits", ours.memory()))
            if wanted == "all":
                results = catchup.measure(ours, theirs, count, rounds, modes)
                report_catchup(report, results, count, transport)
                memory.append((f"after {rounds} times {count:,} transactions", ours.memory()))
                conflicts()
    if wanted == "catchup":
        report_catchup(report, catchup.measure(ours, theirs, count, rounds, modes), count, "tls")
        memory.append((f"after {rounds} times {count:,} transactions", ours.memory()))
    if wanted == "catchup-conflicts":
        conflicts()
    report_memory(report, memory)


def write(report):
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    DOCUMENT.write_text(before + BEGIN + "\n\n" + "\n".join(report.lines).strip() + "\n\n" + END + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["catchup", "catchup-conflicts", "catchup-syncline", "latency", "baseline"])
    parser.add_argument("--transport", action="append", choices=list(TRANSPORTS), help="for latency; again for more (tls, tcp)")
    parser.add_argument("--transactions", type=int, help="of the backlog (80000)")
    parser.add_argument("--rounds", type=int, help="of catching up (3)")
    parser.add_argument("--baseline", metavar="SYNCLINE", help="another build, to catch up beside this one")
    parser.add_argument("--conflicts", action="store_true", help="with --only catchup-syncline: conflicts in the backlog")
    parser.add_argument("--perf", action="store_true", help="with --only catchup-syncline: a profile of daemons and server 2")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--write", action="store_true", help="puts the results into docs/performance.md")
    args = parser.parse_args()
    if args.only == "baseline" and not args.baseline:
        parser.error("--only baseline needs --baseline SYNCLINE")
    args.labs = []
    report, status = Report(), 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    labs = pathlib.Path(tempfile.mkdtemp(prefix="syncline-bench-", dir=os.environ.get("TMPDIR", "/tmp")))
    try:
        everything(args, labs, report)
    except (Failed, OSError) as error:
        say(f"bench: {error}")
        status = 1
    except KeyboardInterrupt:
        say("interrupted")
        status = 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for path in args.labs:
            with contextlib.suppress(Exception):
                subprocess.run([os.environ.get("SYNCLINE", str(ROOT / "build" / "syncline")), "lab", "down",
                                f"--dir={path}"], capture_output=True)
        shutil.rmtree(labs, ignore_errors=True)
    print("\n".join(report.lines))
    if status == 0 and args.write:
        write(report)
    if status == 0 and args.strict and report.missed:
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
