"""What can't be replicated stops the link, says the transaction, the reason and what to do, and loses nothing: an operator
who sees green must be able to trust it, and one who sees red must know how to get going again."""

import subprocess

import pytest

from conftest import run, wait_for


@pytest.fixture(scope="module")
def module_lab(tmp_path_factory):
    from conftest import Lab
    lab = Lab(tmp_path_factory.mktemp("r") / "lab")
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(100), u INT UNIQUE)")
    lab.wait()
    yield lab
    lab.down()


def skip(lab, node, gtid, check=True):
    return run("skip", f"--defaults-file={lab.dir}/node{node}/syncline.cnf", gtid, check=check)


def stopped(lab, node, peer):
    link = lab.wait_state(node, peer, "stopped")
    assert link["transaction"] and link["transaction"] in link["why"], link
    assert "\n" not in link["why"]
    return link


def test_no_false_conflict(module_lab):
    """A write that follows the one it overwrites is no conflict, in whatever order the nodes take turns."""
    lab = module_lab
    lab.sql(1, "INSERT INTO d.t VALUES (10, 'base', 10)")
    for i in range(20):
        lab.wait()
        lab.sql(1 + i % 2, f"UPDATE d.t SET v='{i}' WHERE id=10")
    lab.wait()
    lab.assert_equal()


def test_conflict_in_the_middle_stops_nothing(module_lab):
    """A gate that stops at a conflict keeps its door shut to everybody who was registered after it: what precedes a conflict and what
    follows it is applied, and the row is the same on both nodes."""
    lab = module_lab
    lab.sql(1, "INSERT INTO d.t VALUES (300, 'base', 300)")
    lab.wait()
    lab.cut(1, 2)
    for i in range(301, 331):
        lab.sql(1, f"INSERT INTO d.t VALUES ({i}, 'n', {i})")
    lab.sql(1, "UPDATE d.t SET v='one' WHERE id=300", "INSERT INTO d.t VALUES (399, 'behind', 399)")
    lab.sql(2, "DELETE FROM d.t WHERE id=300")
    lab.heal(1, 2)
    lab.wait()
    for node, peer in ((1, 2), (2, 1)):
        wait_for("the conflict to be settled", lambda: lab.value(node, "SELECT COUNT(*) FROM d.t WHERE id=300") == 0)
        assert lab.value(node, "SELECT COUNT(*) FROM d.t WHERE id BETWEEN 301 AND 330 OR id=399") == 31
        assert lab.link(node, peer)["state"] == "live" and "stopped" not in lab.log(node)
    lab.wait()
    lab.assert_equal()


@pytest.mark.parametrize("statement,reason", [
    ("SET STATEMENT binlog_format=STATEMENT FOR INSERT INTO d.t VALUES (500, 'x', 500)", "logged as a statement"),
    ("SET STATEMENT binlog_format=STATEMENT FOR UPDATE d.t SET v='all' WHERE id<0 OR id=1", "logged as a statement"),
])
def test_dml_as_text(module_lab, statement, reason):
    """A statement that row format doesn't carry would leave the nodes unequal behind a green status."""
    lab = module_lab
    lab.sql(1, statement)
    two = stopped(lab, 2, 1)
    assert reason in two["why"] and two["transaction"].startswith("1-1-")
    lab.sql(2, "SET SESSION sql_log_bin=0, SESSION binlog_format=STATEMENT", statement)
    skip(lab, 2, two["transaction"])
    lab.wait()
    lab.assert_equal()


def test_xa(module_lab):
    """XA transactions are refused, each of their parts, with their GTID."""
    lab = module_lab
    lab.sql(1, "XA START 'x'", "INSERT INTO d.t VALUES (600, 'xa', 600)", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'")
    for _ in range(2):
        two = stopped(lab, 2, 1)
        assert "XA" in two["why"].upper()
        skip(lab, 2, two["transaction"])
    lab.sql(2, "SET SESSION sql_log_bin=0", "INSERT INTO d.t VALUES (600, 'xa', 600)")
    lab.wait()
    lab.assert_equal()


def test_non_transactional_table(module_lab):
    """A MyISAM table can't commit together with the position: a crash would apply its rows twice."""
    lab = module_lab
    lab.sql(1, "CREATE TABLE d.m (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO d.m VALUES (1)")
    two = stopped(lab, 2, 1)
    assert "MyISAM" in two["why"] and "InnoDB" in two["why"]
    for node in (1, 2):
        lab.sql(node, "SET SESSION sql_log_bin=0", "ALTER TABLE d.m ENGINE=InnoDB")
    lab.wait()
    lab.assert_equal()


def test_table_missing_here(module_lab):
    """A table that is gone on one side only: the link stops, and goes on by itself once the table is back."""
    lab = module_lab
    lab.sql(1, "CREATE TABLE d.gone (id INT PRIMARY KEY)")
    lab.wait()
    lab.sql(2, "SET SESSION sql_log_bin=0", "DROP TABLE d.gone")
    lab.sql(1, "INSERT INTO d.gone VALUES (1)")
    two = stopped(lab, 2, 1)
    assert "d.gone" in two["why"]
    lab.sql(2, "SET SESSION sql_log_bin=0", "CREATE TABLE d.gone (id INT PRIMARY KEY)")
    lab.wait()
    lab.assert_equal()


def test_columns_differ(module_lab):
    """ALTER … ADD COLUMN … AFTER here while rows of the old table come from there: plain replication puts the values in the wrong
    columns and stays green."""
    lab = module_lab
    lab.sql(1, "CREATE TABLE d.c (id INT PRIMARY KEY, a INT, b INT)", "INSERT INTO d.c VALUES (1, 1, 2)")
    lab.wait()
    lab.cut(1, 2)
    lab.sql(2, "ALTER TABLE d.c ADD COLUMN x INT AFTER id")
    lab.sql(1, "UPDATE d.c SET a=3 WHERE id=1")
    lab.heal(1, 2)
    lab.wait()
    assert lab.sql(1, "SELECT * FROM d.c") == ((1, None, 3, 2),)
    lab.assert_equal()


def test_skip_only_what_is_stopped(module_lab):
    """A skip of anything but the transaction at hand would lose what nobody has looked at."""
    lab = module_lab
    for gtid in ("1-1-999999", "1-1-1", "nonsense", ""):
        result = skip(lab, 2, gtid, check=False)
        assert result.returncode != 0
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    lab.wait()
    lab.assert_equal()
