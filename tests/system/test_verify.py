"""syncline verify: are the rows of live nodes equal? It must never say equal of rows that differ, nor different of rows that are equal,
however much is being written."""

import json
import random
import subprocess
import threading
import time

import pymysql

from conftest import run, wait_for

SCHEMA = (
    "CREATE DATABASE d",
    "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40), n INT, at TIMESTAMP(3) NULL)",
    "CREATE TABLE d.names (a VARCHAR(30), b DECIMAL(8,2), note TEXT, PRIMARY KEY (a, b))",
    "CREATE TABLE d.parent (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
    "CREATE TABLE d.child (id INT AUTO_INCREMENT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES d.parent (id) ON DELETE CASCADE)",
    "CREATE TABLE d.loose (v INT, w BLOB)",
)


def fill(lab, rows=3000):
    lab.sql(1, *SCHEMA)
    lab.sql(1, f"INSERT INTO d.t (v,n,at) SELECT MD5(seq),seq,NOW(3) FROM seq_1_to_{rows}",
            "INSERT INTO d.names SELECT CONCAT('Name ',seq),seq/4,REPEAT('x',seq%50) FROM seq_1_to_500",
            "INSERT INTO d.parent (v) SELECT seq FROM seq_1_to_200",
            "INSERT INTO d.child (parent) SELECT id FROM d.parent, seq_1_to_3",
            "INSERT INTO d.loose SELECT seq%7,SHA1(seq%7) FROM seq_1_to_70", database="d")
    lab.wait()


def verify(lab, *args, node=1):
    """Its exit status, and what it says."""
    result = run("verify", "--json", f"--defaults-file={lab.dir}/node{node}/syncline.cnf", *args, check=False)
    assert result.stdout.strip(), result.stderr
    return result.returncode, json.loads(result.stdout)


def differing(said):
    return {t["table"]: sorted(d["key"] for d in t["differences"]) for t in said["tables"] if t["result"] == "different"}


class Writers:
    """Sessions on each node that insert, change and delete rows of all tables until they are told to stop."""

    def __init__(self, lab, rows=3000, sessions=1):
        self.lab, self.rows, self.stopped, self.count = lab, rows, False, 0
        self.threads = [threading.Thread(target=self.write, args=(n, s)) for n in lab.nodes for s in range(sessions)]

    def step(self, cursor, chance, node):
        what, i = chance.random(), chance.randrange(self.rows)
        if what < 0.4:
            cursor.execute(f"UPDATE d.t SET n=n+1, at=NOW(3) WHERE id={i}")
        elif what < 0.6:
            cursor.execute("INSERT INTO d.t (v,n) VALUES (%s,0)", (f"of node {node}",))
        elif what < 0.7:
            cursor.execute(f"DELETE FROM d.t WHERE id={i}")
        elif what < 0.8:
            cursor.execute(f"UPDATE d.names SET note=CONCAT(LEFT(note,20),'{i}') WHERE a='name {i % 500}'")
        elif what < 0.85:
            cursor.execute("INSERT INTO d.parent (v) VALUES (1)")
            cursor.execute("INSERT INTO d.child (parent) VALUES (LAST_INSERT_ID())")
        elif what < 0.87:
            cursor.execute(f"DELETE FROM d.parent WHERE id={i % 400}")
        else:
            cursor.execute(f"UPDATE d.parent SET v=v+1 WHERE id={i % 200}")

    def write(self, node, session):
        chance = random.Random(node * 100 + session)
        connection = self.lab.connect(node)
        with connection.cursor() as cursor:
            while not self.stopped:
                try:
                    self.step(cursor, chance, node)
                    self.count += 1
                    time.sleep(0.003)  # more than the links get through is a backlog, not writes in flight
                except pymysql.Error as error:
                    assert error.args[0] in (1213, 1205, 1020, 1452), error  # a deadlock with the applier, a parent that went

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for("writers to write", lambda: self.count > 50)
        return self

    def __exit__(self, *ignored):
        self.stopped = True
        for thread in self.threads:
            thread.join()


def test_writes_in_flight_are_no_difference(make_lab):
    """A comparison that takes what is on its way for a difference is of no use on servers that work; one that gives up under load neither."""
    lab = make_lab()
    fill(lab)
    with Writers(lab) as writers:
        for _ in range(3):
            before = writers.count
            status, said = verify(lab, "--rate=0")
            assert differing(said) == {}, said
            assert (status, said["result"]) == (0, "equal"), said
            assert writers.count > before


UNLOGGED = "SET SESSION sql_log_bin=0"


def test_each_kind_of_difference_is_found_while_writers_write(make_lab):
    """What was changed behind replication's back is what nothing else notices; each such row is named, and none that is merely being written."""
    lab = make_lab()
    fill(lab)
    lab.sql(1, "CREATE TABLE d.codes (u UUID PRIMARY KEY, e ENUM('a','b'), f DOUBLE)", "CREATE TABLE d.pairs (e ENUM('x','y'), z INT(5) ZEROFILL, b BINARY(4), PRIMARY KEY (e,z,b))",
            "INSERT INTO d.codes SELECT CONCAT('00000000-0000-4000-8000-',LPAD(seq,12,'0')),'a',seq/3 FROM seq_1_to_100",
            "INSERT INTO d.pairs SELECT 1+seq%2,seq,CHAR(seq,0) FROM seq_1_to_100", database="d")
    lab.wait()
    lab.sql(2, UNLOGGED, "UPDATE d.t SET v='changed' WHERE id=2999", "DELETE FROM d.t WHERE id=2001", "INSERT INTO d.t (id,v) VALUES (-5,'extra'),(90000000,'extra')",
            "UPDATE d.names SET note=NULL WHERE a='NAME 499'", "UPDATE d.names SET a='NAME 498' WHERE a='name 498'",
            "UPDATE d.codes SET f=f+1e-12 WHERE u='00000000-0000-4000-8000-000000000007'", "DELETE FROM d.pairs WHERE z=9",
            "UPDATE d.loose SET w='' WHERE v=3 LIMIT 1")
    lab.sql(1, UNLOGGED, "INSERT INTO d.child (id,parent) VALUES (77777,1)", "DELETE FROM d.parent WHERE id=199")
    expected = {"d.t": ["id=-5", "id=2001", "id=2999", "id=90000000"], "d.names": ["a='NAME 498', b=124.50", "a='Name 498', b=124.50", "a='Name 499', b=124.75"],
                "d.codes": ["u='00000000-0000-4000-8000-000000000007'"], "d.pairs": ["e=2, z=9, b=x'09000000'"], "d.loose": []}

    def write(writers):
        with writers:
            return verify(lab, "--rate=0"), verify(lab, "--rate=0", node=2)

    writers = Writers(lab, rows=1900)
    writers.step = lambda cursor, chance, node: cursor.execute(f"UPDATE d.t SET n=n+1 WHERE id={chance.randrange(1900)}")
    for status, said in write(writers):
        found = differing(said)
        assert (status, said["result"]) == (1, "different")
        assert found.pop("d.child")[-1] == "id=77777"
        assert found.pop("d.parent") == ["id=199"]
        assert found == expected
    assert lab.status(1)["verified"]["result"] == "different"
    status, said = verify(lab, "--table=d.t", "--table=d.parent")
    assert (status, sorted(t["table"] for t in said["tables"])) == (1, ["d.parent", "d.t"])
    assert run("verify", f"--defaults-file={lab.dir}/node1/syncline.cnf", "--table=d.nothing", check=False).returncode == 2


def test_many_rows_and_schemas_that_differ(make_lab):
    """A table that one node lost, or has twice as many rows of, is told at the cost of a few chunks' memory. Rows that look alike in
    columns that differ are not equal tables; nor is a table that is on one node only."""
    lab = make_lab()
    fill(lab, rows=12000)
    lab.sql(2, UNLOGGED, "DELETE FROM d.t WHERE id%4=1", "DELETE FROM d.parent", "INSERT INTO d.names SELECT CONCAT('more ',seq),1,'' FROM seq_1_to_3000",
            "CREATE TABLE d.own (id INT PRIMARY KEY)", "DROP TABLE d.loose", database="d")
    for node, size in ((1, 40), (2, 41)):
        lab.sql(node, UNLOGGED, f"CREATE TABLE d.wide (id INT PRIMARY KEY, v VARCHAR({size}))", "CREATE TABLE d.old (id INT PRIMARY KEY) ENGINE=MyISAM")
    status, said = verify(lab, "--rate=0")
    rows = {t["table"]: t["different_rows"] for t in said["tables"] if t["different_rows"]}
    why = {t["table"]: t["why"] for t in said["tables"] if t["why"]}
    assert (status, rows) == (1, {"d.t": 6000, "d.parent": 200, "d.child": 600, "d.names": 3000})
    assert len(differing(said)["d.t"]) == 100
    assert sorted(why) == ["d.loose", "d.old", "d.own", "d.wide"]
    assert "varchar(40)" in why["d.wide"] and "varchar(41)" in why["d.wide"] and "MyISAM" in why["d.old"], why
    assert why["d.own"] == "node 1 doesn't have it" and why["d.loose"] == "node 2 doesn't have it"


def test_could_not_tell(make_lab):
    """A node that can't be reached, or lacks much of what the other has, is neither equal nor different; and says which it is."""
    lab = make_lab()
    fill(lab)
    lab.kill(2, "--server")
    status, said = verify(lab)
    assert (status, said["result"]) == (2, "unknown") and "node 2" in said["why"]
    assert lab.status(1)["verified"]["result"] == "unknown"
    lab.start(2, "--server")
    lab.wait_state(1, 2, "live")
    lab.wait()
    run("pause", f"--defaults-file={lab.dir}/node2/syncline.cnf", 1)
    wait_for("the link to be held", lambda: lab.link(2, 1)["state"] == "connecting")
    lab.sql(1, "UPDATE d.t SET n=n+1 WHERE id=5")
    status, said = verify(lab, "--patience=1")
    assert (status, said["result"], said["unknown_rows"]) == (2, "unknown", 1), said
    lab.sql(1, "UPDATE d.t SET n=n+1")
    lab.sql(1, *["UPDATE d.t SET n=n+1"] * 3)
    status, said = verify(lab, "--patience=1")
    assert (status, said["result"]) == (2, "unknown"), said
    run("resume", f"--defaults-file={lab.dir}/node2/syncline.cnf", 1)
    lab.wait()
    assert verify(lab)[0] == 0
    assert lab.status(1)["verified"] == {**lab.status(1)["verified"], "result": "equal", "different_rows": 0, "tables": 5}


def test_three_nodes_and_ddl(make_lab):
    """With a third node its rows are compared, too, and tables that are altered meanwhile are no difference."""
    lab = make_lab(nodes=3)
    fill(lab)
    with Writers(lab, rows=1000) as writers:
        writers.step = lambda cursor, chance, node: cursor.execute(f"UPDATE d.names SET note='{node}' WHERE a='name {chance.randrange(400)}'")
        lab.sql(1, "ALTER TABLE d.t ADD COLUMN more INT DEFAULT 5")
        status, said = verify(lab)
        assert (status, said["nodes"]) == (0, [1, 2, 3]), said
        lab.sql(3, UNLOGGED, "UPDATE d.t SET more=6 WHERE id=40")
        status, said = verify(lab, node=2)
        assert status == 1 and differing(said) == {"d.t": ["id=40"]}, said
        hashes = said["tables"][[t["table"] for t in said["tables"]].index("d.t")]["differences"][0]["hashes"]
        assert hashes["1"] == hashes["2"] != hashes["3"]


def repair(lab, *args, node=1):
    return run("repair", f"--defaults-file={lab.dir}/node{node}/syncline.cnf", *args, check=False)


def recorded(lab):
    return [lab.sql(n, "SELECT * FROM d.replication_conflicts") if "replication_conflicts" in lab.tables(n) else () for n in lab.nodes]


def test_repair_and_its_undo(make_lab):
    """Rows that differ are put right on every node, deletes too, by writes that leave no conflict behind for somebody to look at; and whoever
    chose the wrong node gets back what each had."""
    lab = make_lab(nodes=3)
    fill(lab)
    lab.sql(1, "CREATE TABLE d.cards (id INT PRIMARY KEY, card VARCHAR(20) UNIQUE, data BLOB, at TIMESTAMP(6) NULL)",
            "INSERT INTO d.cards SELECT seq,CONCAT('card ',seq),UNHEX(SHA1(seq)),NOW(6) FROM seq_1_to_50", database="d")
    lab.wait()
    lab.sql(1, UNLOGGED, "UPDATE d.t SET v='not\\'s', n=NULL WHERE id=10", "DELETE FROM d.t WHERE id=7", "INSERT INTO d.t (id,v) VALUES (-5,'extra')",
            "UPDATE d.cards SET card='card x' WHERE id=1", "UPDATE d.cards SET card='card 1' WHERE id=2", "DELETE FROM d.cards WHERE id=9",
            "INSERT INTO d.cards VALUES (99,'card 9',x'00ff27',NULL)", "DELETE FROM d.parent WHERE id=13")
    lab.sql(3, UNLOGGED, "UPDATE d.t SET n=n+1 WHERE id IN (10,16)", "INSERT INTO d.t (id,v) VALUES (-5,'extra')")
    broken = verify(lab)[1]
    before = {n: sorted(lab.rows(n, "d.t") + lab.rows(n, "d.cards") + lab.rows(n, "d.parent") + lab.rows(n, "d.child")) for n in lab.nodes}
    settings = lab.dir / "node1" / "syncline.cnf"
    plain = settings.read_text()
    settings.write_text(plain.replace("[syncline]\n", "[syncline]\nconflict-policy = d.cards: site_priority 3 1 2\n", 1))
    result = repair(lab)
    settings.write_text(plain)
    assert result.returncode == 1 and "id=10: not done: no policy tells" in result.stdout and "id=1: update, as node 3 has it" in result.stdout, result
    result = repair(lab, "--from=2")
    assert result.returncode == 1 and "Nothing was changed" in result.stdout, result
    for text in ("id=10: update, as node 2 has it; v: 'not's' is to be '", "id=7: insert", "id=-5: delete", "id=99: delete"):
        assert text in result.stdout, result.stdout
    assert differing(verify(lab)[1]) == differing(broken)

    undo = lab.dir / "undo"
    undo.mkdir()
    result = repair(lab, "--from=2", "--apply", f"--undo-dir={undo}")
    assert result.returncode == 0, result
    lab.wait()
    assert verify(lab)[0] == 0, (differing(verify(lab)[1]), verify(lab)[1]["tables"][0], recorded(lab), result.stdout)
    lab.assert_equal()
    assert recorded(lab) == [(), (), ()]

    files = sorted(undo.iterdir())
    assert [f.name.rsplit("-", 1)[1] for f in files] == ["1.sql", "3.sql"] and all(f.stat().st_mode & 0o777 == 0o600 for f in files)
    for file in files:
        with open(file, "rb") as statements:
            subprocess.run(["mariadb", "--no-defaults", "-uroot", f"--socket={lab.socket(int(file.name[-5]))}"], stdin=statements, check=True)
    assert {n: sorted(lab.rows(n, "d.t") + lab.rows(n, "d.cards") + lab.rows(n, "d.parent") + lab.rows(n, "d.child")) for n in lab.nodes} == before

    result = repair(lab, "--from=1", "--apply")  # and the other way round: this node's rows are sent
    assert result.returncode == 0, result
    lab.wait()
    assert verify(lab)[0] == 0, (verify(lab), result.stdout)
    assert lab.value(2, "SELECT v FROM d.t WHERE id=10") == "not's" and lab.value(3, "SELECT v FROM d.t WHERE id=-5") == "extra"
    assert lab.value(2, "SELECT card FROM d.cards WHERE id=99") == "card 9" and not lab.sql(3, "SELECT * FROM d.t WHERE id=7")
    assert all(lab.link(n, p)["state"] == "live" for n in lab.nodes for p in lab.nodes if n != p)


TYPES = {"g": ("GEOMETRY", "POINT(seq,1)", "POINT(9,9)"), "p": ("POINT NOT NULL", "POINT(2,seq)", "POINT(8,8)"), "u": ("UUID", "UUID()", "UUID()"),
         "i4": ("INET4", "'1.2.3.4'", "'1.2.3.5'"), "i6": ("INET6", "'::1'", "'::2'"), "b": ("BIT(9)", "seq%500", "b'111111111'"),
         "s": ("SET('a','b')", "'a'", "'a,b'"), "j": ("JSON", "'[1]'", "'[1 ]'"), "z": ("VARCHAR(200) COMPRESSED", "'zz'", "'zZ'"),
         "w": ("VARCHAR(20) CHARACTER SET utf16", "'\u00fctf'", "'utf'"), "l": ("VARCHAR(20) CHARACTER SET latin1 NOT NULL", "'\u00e4'", "'a'"),
         "y": ("YEAR", "2000", "2001"), "t": ("TIME(6)", "'01:02:03.4'", "'01:02:03.400001'"), "f": ("FLOAT", "seq/3", "f+0.01"),
         "dd": ("DOUBLE", "seq/7", "dd+1e-13"), "n": ("DECIMAL(40,10)", "seq/11", "n+0.0000000001"), "vb": ("VARBINARY(20)", "x'00ff'", "x'ff00'"),
         "bb": ("BINARY(5)", "x'01'", "x'02'"), "tt": ("LONGTEXT", "'text'", "''")}


def test_every_type(make_lab):
    """The least change of a value of any type, and NULL where there was none, is a difference, and is repaired."""
    lab = make_lab()
    columns = ",".join(f"{c} {kind}" for c, (kind, _, _) in TYPES.items())
    lab.sql(1, "CREATE DATABASE d", f"CREATE TABLE d.a (id INT PRIMARY KEY, {columns}, computed INT AS (id+1))",
            f"INSERT INTO d.a (id,{','.join(TYPES)}) SELECT seq,{','.join(value for _, value, _ in TYPES.values())} FROM d.seq_1_to_300")
    lab.wait()
    assert verify(lab)[0] == 0
    changes = [f"UPDATE d.a SET {c}={changed} WHERE id={10 + i}" for i, (c, (_, _, changed)) in enumerate(TYPES.items())]
    changes += [f"UPDATE d.a SET {c}=NULL WHERE id={100 + i}" for i, (c, (kind, _, _)) in enumerate(TYPES.items()) if "NOT NULL" not in kind]
    lab.sql(2, UNLOGGED, *changes)
    status, said = verify(lab)
    assert (status, said["different_rows"]) == (1, len(changes)), said
    result = repair(lab, "--from=1", "--apply", node=2)
    assert result.returncode == 0, result
    lab.wait()
    assert verify(lab)[0] == 0 and recorded(lab) == [(), ()]
