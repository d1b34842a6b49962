"""Load that nobody here wrote: sysbench, on both nodes at once."""

import shutil
import subprocess

import pytest

from conftest import wait_for

pytestmark = pytest.mark.skipif(shutil.which("sysbench") is None, reason="sysbench is not installed")

TABLES, SIZE = 4, 2000


def sysbench(lab, node, script, command, *options, wait=True):
    process = subprocess.Popen(["sysbench", script, "--db-driver=mysql", f"--mysql-socket={lab.socket(node)}", "--mysql-user=root",
                                "--mysql-db=sbtest", f"--tables={TABLES}", f"--table-size={SIZE}", "--threads=2", *options, command],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return finish(process) if wait else process


def finish(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def test_write_only_and_inserts(make_lab):
    """Updates, deletes and inserts of the standard benchmark on node 1, in both directions inserts: equal afterwards."""
    lab = make_lab(databases=("sbtest",))
    lab.sql(1, "CREATE DATABASE sbtest")
    sysbench(lab, 1, "oltp_write_only", "prepare")
    lab.wait()
    lab.assert_equal("sbtest")
    sysbench(lab, 1, "oltp_write_only", "run", "--time=5", "--mysql-ignore-errors=1213,1205")
    lab.wait()
    loads = [sysbench(lab, node, "oltp_insert", "run", "--time=5", wait=False) for node in (1, 2)]
    for load in loads:
        finish(load)
    lab.wait()
    lab.assert_equal("sbtest")
    assert all(lab.link(n, p)["state"] == "live" for n, p in ((1, 2), (2, 1)))
    sysbench(lab, 2, "oltp_write_only", "cleanup")
    wait_for("the tables to go", lambda: not lab.tables(1, "sbtest"))
