"""conflict-policy, as a settings file says it, on real nodes.

Taken otherwise than it is written, a counter loses what one side added or a card that was switched off opens again. And two nodes with
different policies don't come out equal: an operator who isn't told finds out from the rows."""

import re

import pytest

from conftest import wait_for


def set_policies(lab, node, lines):
    file = lab.dir / f"node{node}" / "syncline.cnf"
    text = re.sub(r"conflict-policy.*\n", "", file.read_text())
    file.write_text(text.replace("[syncline]\n", "[syncline]\n" + "".join(f"conflict-policy = {x}\n" for x in lines), 1))
    lab.kill(node, "--daemon")
    lab.start(node, "--daemon")


@pytest.fixture
def lab(make_lab):
    return make_lab()


def test_policies_decide(lab):
    """Each column by its own policy, whichever side comes last."""
    for node in (1, 2):
        set_policies(lab, node, ["d.t.stock: delta_apply", "d.t.level: max", "d.t.active: min", "d.t.name: site_priority 1 2",
                                 "d.t.a,b: last_update_wins", "d.first: first_update_wins"])
    lab.sql(1, "CREATE DATABASE d")
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, stock INT NOT NULL, level INT, active BOOLEAN, name VARCHAR(9), a INT, b INT)",
            "CREATE TABLE d.first (id INT PRIMARY KEY, v VARCHAR(9))",
            "INSERT INTO d.t VALUES (1, 10, 5, 1, 'base', 0, 0)", "INSERT INTO d.first VALUES (1, 'base')")
    lab.wait()
    lab.cut(1, 2)
    lab.sql(1, "SET timestamp=2000000000", "UPDATE d.t SET stock=stock-3, level=9, active=0, name='one', a=1 WHERE id=1",
            "UPDATE d.first SET v='one'")
    lab.sql(2, "SET timestamp=2000000009", "UPDATE d.t SET stock=stock+7, level=7, name='two', b=2 WHERE id=1",
            "UPDATE d.first SET v='two'")
    lab.heal(1, 2)
    lab.wait()
    wait_for("one record in each table", lambda: lab.value(2, "SELECT COUNT(*) FROM d.replication_conflicts") >= 2)
    lab.wait()
    # a and b are one: the later of the two whole, not a of one and b of the other
    assert lab.sql(1, "SELECT * FROM d.t") == ((1, 14, 9, 0, "one", 0, 2),)
    assert lab.sql(1, "SELECT v FROM d.first") == (("one",),)
    lab.assert_equal()


def test_other_policies_are_told_by_both(lab):
    """And no longer once they are the same."""
    set_policies(lab, 1, ["d.t.stock: delta_apply", "d.t.level: min"])
    set_policies(lab, 2, ["d.t.stock: delta_apply", "d.other: error"])
    wait_for("both tell", lambda: {lab.link(n, 3 - n)["policies_differ"] for n in (1, 2)} == {"d.other, d.t"} or
             all(set((lab.link(n, 3 - n)["policies_differ"] or "").split(", ")) == {"d.t", "d.other"} for n in (1, 2)))
    assert "conflict-policy is another there for" in lab.command("status").stdout
    for node in (1, 2):
        set_policies(lab, node, ["d.t: last_update_wins"])
    wait_for("the links are live", lambda: all(lab.link(n, 3 - n)["state"] == "live" for n in (1, 2)))
    wait_for("nobody tells", lambda: not any(lab.link(n, 3 - n)["policies_differ"] for n in (1, 2)))
