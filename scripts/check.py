#!/usr/bin/env python3
"""Builds syncline in three ways, runs every test and closes with one line: N passed, N failed[, N skipped].

Usage: scripts/check.py [STEP…]     steps, in this order; all of them unless named:

  format    the C sources are as clang-format 14 lays them out (skipped where that is missing)
  build     build/: warnings are errors
  unit      what `meson test` runs in build/: the layering check, unit tests, the fuzz targets' corpus
  asan      build-asan/: the same under AddressSanitizer and UndefinedBehaviorSanitizer
  tsan      build-tsan/: the same under ThreadSanitizer
  binlog    tests/binlog: the codec against mariadb-binlog, under ASan and UBSan where they work
  system    tests/system: real servers and daemons, build/syncline
  system-asan, system-tsan
            those of tests/system that are marked `sanitizer`, with the daemons of these builds

The exit status is 0 only if at least one test passed and none failed. A build that fails, a test run that is cut short
or finds no test, a report that a sanitizer wrote while a daemon ran: each counts as one failed. A skipped test is never
counted as passed. Tests marked `soak` are left to `make soak`.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Far above what a step takes: against a hang that would keep a machine busy for ever, not against slow machines.
STEP_SECONDS_MAX = 3600
REPORT_LINES_MAX = 80
PYTESTS = threading.Semaphore(5)  # at once: they wait for servers most of the time
LONGEST = ("test_sysbench.py", "test_verify.py", "test_faults.py", "test_repair.py", "test_rejoin.py", "test_copy.py", "test_native.py", "test_retention.py",
           "test_leave.py", "test_third.py")
ASAN, TSAN = "address,undefined", "thread"
SANITIZER_PART = "sanitizer and not soak"
MARKERS = "soak: random faults for SOAK_MINUTES\nsanitizer: runs against the sanitizers' builds, too"


class Tally:
    """What came out. Only one thread adds to a step, but for the parts of one run of pytest, which hold a lock."""

    def __init__(self):
        self.steps = {}  # name: [passed, failed, skipped]
        self.notes = []  # what failed or was skipped, for the end of the log
        self.lock = threading.RLock()

    def add(self, step, passed=0, failed=0, skipped=0, note=None):
        with self.lock:
            self.steps[step] = [a + b for a, b in zip(self.of(step), (passed, failed, skipped))]
            if note is not None:
                self.notes.append(f"{step}: {note}")

    def of(self, step):
        return self.steps.get(step, [0, 0, 0])

    def failed(self, step):
        return self.of(step)[1]

    def line(self):
        passed, failed, skipped = (sum(counts) for counts in zip([0, 0, 0], *self.steps.values()))
        return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")

    def is_good(self):
        passed, failed, _ = (sum(counts) for counts in zip([0, 0, 0], *self.steps.values()))
        return passed > 0 and failed == 0


tally = Tally()


def run(command, env=None, quiet=False):
    """Runs a command without a terminal; its output passes through unless quiet. Returns exit status, output if quiet.

    It gets a process group of its own, so that a run that hangs is ended with everything it started in that group."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    try:
        output, _ = process.communicate(timeout=STEP_SECONDS_MAX)
    except BaseException as error:  # the time limit or Ctrl-C
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        print(f"ended: {command[0]} took more than {STEP_SECONDS_MAX} s", flush=True)
    return process.returncode, output or ""


# ---- format ----


def check_format(step):
    status, tool = run(["scripts/find-clang-format"], quiet=True)
    if status != 0:
        tally.add(step, skipped=1, note="skipped, no clang-format 14 here")
        return
    sources = sorted(str(p.relative_to(ROOT)) for top in ("src", "tests") for p in (ROOT / top).rglob("*.[ch]"))
    status, output = run([tool.strip(), "--dry-run", "--Werror", *sources], quiet=True)
    if status == 0:
        tally.add(step, passed=1)
        return
    files = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error:", output, re.MULTILINE)))
    print(output if not files else "\n".join(files))
    tally.add(step, failed=1, note=f"{len(files)} files are laid out otherwise than .clang-format says: `make format`")


# ---- builds and Meson's tests ----


def sanitizer_works(kind):
    """Not every machine has every sanitizer: 32-bit ARM has no TSan. So one is built with it and run."""
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory, "probe.c")
        source.write_text("int main(void) { return 0; }\n")
        compiler = os.environ.get("CC", "cc").split()
        command = [*compiler, f"-fsanitize={kind}", str(source), "-o", directory + "/probe"]
        return run(command, quiet=True)[0] == 0 and run([*launcher(kind), directory + "/probe"], quiet=True)[0] == 0


def launcher(kind):
    """TSan wants fixed parts of the address space. GCC 12's gives up with "unexpected memory mapping" when the kernel
    randomizes more than 28 bits (vm.mmap_rnd_bits, 32 on newer kernels), so its programs start without randomization,
    where a container's seccomp rules allow that."""
    without_randomization = ["setarch", os.uname().machine, "-R"]
    if kind == TSAN and shutil.which("setarch") and run([*without_randomization, "true"], quiet=True)[0] == 0:
        return without_randomization
    return []


builds = {}  # folder: whether it is built
build_locks = collections.defaultdict(threading.Lock)


def build(step, directory, kind="none"):
    """Configures, in any case, since libraries may have been installed meanwhile, and builds, once a run. Returns
    whether it is built; says and counts it once if not."""
    with build_locks[directory]:  # two steps side by side may want the same one
        if directory not in builds:
            builds[directory] = build_now(step, directory, kind)
        return builds[directory]


def build_now(step, directory, kind):
    options = [f"-Db_sanitize={kind}"]
    if kind != "none":
        # GCC documents false warnings under -fsanitize; build/ keeps warnings errors. Lines in reports are all that is to be debugged,
        # and building takes longer than the tests.
        options += ["-Dwerror=false", "-Db_lundef=false", "-Dbuildtype=plain", "-Dc_args=-O1 -g1"]
    is_configured = (ROOT / directory / "build.ninja").exists()
    setup = ["meson", "setup", directory, *options] + (["--reconfigure"] if is_configured else [])
    status, output = run(setup, quiet=True)
    if status == 0:
        status, output = run(["ninja", "-C", directory], quiet=True)
    if status != 0:
        print(output)
        tally.add(step, failed=1, note=f"{directory}/ can't be built, none of its tests ran")
    return status == 0


def counts_inside(log):
    """How many tests a program of cmocka's or a run of pytest's held: passed, failed, skipped; zeros if neither."""
    passed, failed, skipped = (
        sum(int(n) for n in re.findall(rf"^\[  {word} *\] (\d+) test\(s\)", log, re.MULTILINE))
        for word in ("PASSED", "FAILED", "SKIPPED")
    )
    for summary in re.findall(r"^(?:=+ )?(\d+ [a-z]+(?:, \d+ [a-z]+)*) in \d+\.\d+s", log, re.MULTILINE):
        counts = {word: int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", summary)}
        passed += counts.get("passed", 0)
        failed += counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
        skipped += counts.get("skipped", 0)
    return passed, failed, skipped


def count_meson_test(step, test):
    """Adds one entry of Meson's testlog.json: what cmocka or pytest ran in it, or one for any other program."""
    name, result = test["name"], test["result"]
    passed, failed, skipped = counts_inside(test.get("stdout", "") + "\n" + test.get("stderr", ""))
    if result in ("OK", "EXPECTEDFAIL"):
        if failed:
            tally.add(step, failed=failed, note=f"{name} says OK though tests in it failed")
        elif passed + skipped == 0:
            passed = 1
        tally.add(step, passed=passed, skipped=skipped, note=f"{name} skipped {skipped}" if skipped else None)
    elif result == "SKIP":
        tally.add(step, skipped=1, note=f"{name} skipped")
    else:
        tally.add(step, passed=passed, failed=max(failed, 1), skipped=skipped, note=f"{name}: {result}")


def meson_test(step, directory, kind="none"):
    log = ROOT / directory / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    command = [*launcher(kind), "meson", "test", "-C", directory, "--print-errorlogs"]
    if kind != "none":
        command += ["--timeout-multiplier", "5", "--no-suite", "static"]
    env = {
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    }
    status, _ = run(command, env)
    before = tally.failed(step)
    tests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for test in tests:
        count_meson_test(step, test)
    if not tests:
        tally.add(step, failed=1, note=f"no test ran in {directory}/: is libcmocka-dev there?")
    elif status != 0 and tally.failed(step) == before:
        tally.add(step, failed=1, note=f"`meson test` ended with {status} though its log names no failure")


def check_build(step):
    if build(step, "build") and not (ROOT / "build/syncline").exists():
        tally.add(step, failed=1, note="build/syncline was not made")


def check_unit(step):
    if build(step, "build"):
        meson_test(step, "build")


def check_sanitized(step, directory, kind):
    if not sanitizer_works(kind):
        tally.add(step, skipped=1, note=f"skipped, -fsanitize={kind} does not work on this machine")
    elif build(step, directory, kind):
        meson_test(step, directory, kind)


# ---- pytest ----


def pytest(step, tests, expression="not soak", directory="build", kind="none"):
    """Runs a folder of pytest's, with SYNCLINE naming the program under test, and reads its JUnit file."""
    program = ROOT / directory / "syncline"
    if not build(step, directory, kind):
        return
    if not (ROOT / tests).is_dir():
        tally.add(step, failed=1, note=f"there is no {tests}/")
        return
    if not program.exists():
        tally.add(step, failed=1, note=f"can't run: there is no {directory}/syncline")
        return
    status, python = run(["scripts/find-python"], quiet=True)
    if status != 0:
        tally.add(step, failed=1, note=python.strip())
        return
    logs = ROOT / directory / "check-logs"
    reports = logs / f"{step}-reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    # A daemon runs in the background: what a sanitizer has to say about it goes to a file, not to a log nobody reads.
    # GCC's UBSan can't write its own report to a file when ASan is there, too; so it aborts, and ASan reports that.
    to_file = f":log_path={reports}/report"
    suppressions = ROOT / "scripts/tsan.supp"
    env = {
        "SYNCLINE": str(program),
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:handle_abort=1" + to_file,
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:abort_on_error=1" + to_file,
        "TSAN_OPTIONS": "second_deadlock_stack=1"
        + to_file
        + (f":suppressions={suppressions}" if suppressions.exists() else ""),
    }
    command = [*launcher(kind), python.strip(), "-m", "pytest", "-q", "-rfEs", "--durations=5"]
    command += ["-m", expression, "-o", "markers=" + MARKERS, "-o", "faulthandler_timeout=300"]
    parts = parts_of(tests)
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        runs = [pool.submit(pytest_part, step, command, env, logs / f"{step}-{i}.xml", files)
                for i, files in enumerate(parts)]
    ran = sum(run.result() for run in runs)
    if ran == 0:
        tally.add(step, failed=1, note="pytest found no test")
    for report in sorted(reports.iterdir()):
        lines = report.read_text(errors="replace").splitlines()
        print("\n".join(lines[:REPORT_LINES_MAX]))
        tally.add(step, failed=1, note=f"a sanitizer reports: {report}")


def parts_of(tests):
    """The system tests wait most of the time: some files of them run beside each other, those first that take longest."""
    if tests != "tests/system":
        return [[tests]]
    files = sorted((ROOT / tests).glob("test_*.py"), key=lambda f: (f.name not in LONGEST, -f.stat().st_size))
    return [[str(file)] for file in files]


def pytest_part(step, command, env, junit, files):
    """Returns how many tests there were. No test at all in one part (status 5) is no failure: in all of them it is."""
    junit.unlink(missing_ok=True)
    with PYTESTS, tempfile.TemporaryDirectory(prefix="syncline-pytest-") as base:
        status, output = run([*command, f"--basetemp={base}/base", f"--junitxml={junit}", *files], env, quiet=True)
    with tally.lock:
        if status != 5:
            print(f"-- {step}\n{output}", end="")
        before = tally.failed(step)
        ran = count_junit(step, junit)
        if status not in (0, 5) and tally.failed(step) == before:
            tally.add(step, failed=1, note=f"pytest ended with {status} though its results name no failure")
    return ran


def count_junit(step, junit):
    ran = 0
    if junit.exists():
        for case in xml.etree.ElementTree.parse(junit).getroot().iter("testcase"):
            ran += 1
            name = f"{case.get('classname', '')}.{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                tally.add(step, failed=1, note=f"{name} failed")
            elif (skip := case.find("skipped")) is not None:
                tally.add(step, skipped=1, note=f"{name} skipped: {skip.get('message', '')}")
            else:
                tally.add(step, passed=1)
    return ran


def pytest_sanitized(step, tests, expression, directory, kind):
    if sanitizer_works(kind):
        pytest(step, tests, expression, directory, kind)
    else:
        tally.add(step, skipped=1, note=f"skipped, -fsanitize={kind} does not work on this machine")


def check_binlog(step):
    if sanitizer_works(ASAN):
        pytest(step, "tests/binlog", "not soak", "build-asan", ASAN)
    else:
        pytest(step, "tests/binlog")


STEPS = {
    "format": check_format,
    "build": check_build,
    "unit": check_unit,
    "asan": lambda step: check_sanitized(step, "build-asan", ASAN),
    "tsan": lambda step: check_sanitized(step, "build-tsan", TSAN),
    "binlog": check_binlog,
    "system": lambda step: pytest(step, "tests/system"),
    "system-asan": lambda step: pytest_sanitized(step, "tests/system", SANITIZER_PART, "build-asan", ASAN),
    "system-tsan": lambda step: pytest_sanitized(step, "tests/system", SANITIZER_PART, "build-tsan", TSAN),
}
# What waits for servers most of the time runs beside another, and what ends with one long test.
SIDE_BY_SIDE = [("asan", "tsan"), ("binlog", "system", "system-asan", "system-tsan")]


def run_step(name):
    start = time.monotonic()
    STEPS[name](name)
    passed, failed, skipped = tally.of(name)
    return f"{name:12} {passed:5} passed {failed:5} failed {skipped:5} skipped {time.monotonic() - start:7.0f} s"


def groups_of(names):
    """The steps that were asked for, in order, those that go side by side together."""
    together = {name: group for group in SIDE_BY_SIDE for name in group}
    groups = []
    for name in STEPS:
        group = [n for n in together.get(name, (name,)) if n in names]
        if name in names and group not in groups:
            groups.append(group)
    return groups


def main():
    sys.stdout.reconfigure(line_buffering=True)  # what it prints stands where it belongs between its children's lines
    names = sys.argv[1:] or list(STEPS)
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        sys.exit(f"check: no step {', '.join(unknown)}; steps: {' '.join(STEPS)}")
    for tool in ("meson", "ninja"):
        if shutil.which(tool) is None:
            sys.exit(f"check: {tool} is missing: run scripts/install-deps.sh build check")
    timings = []
    for group in groups_of(names):
        print(f"== {', '.join(group)}", flush=True)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            timings += pool.map(run_step, group)
    print("\n==")
    for note in tally.notes:
        print(note)
    for line in timings:
        print(line)
    print(tally.line())
    return 0 if tally.is_good() else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
