"""Schema changes, from either node, in sessions of every kind.

A table that differs between the nodes, be it by a column's place, is found by whoever updates next, and the value
lands in the wrong column. So definitions are compared after each step, of tables, views, routines, triggers and
events. d and `d 2` are replicated, `other` is not. All tests share one pair of nodes."""

import os
import random
import threading

import pymysql
import pytest

from conftest import run, wait_for
from test_types import equal_everywhere, lab, pair, texts  # noqa: F401, fixtures and helpers

DATABASES = ("d", "d 2")
LAB = {"databases": DATABASES}


def objects(lab, node, database="d"):
    """Everything but tables, with what SHOW CREATE says, which holds sql_mode, character sets and definer."""
    found = {}
    for kind, query in {"VIEW": "SELECT table_name FROM information_schema.views WHERE table_schema=%s",
                        "TRIGGER": "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema=%s",
                        "PROCEDURE": "SELECT routine_name FROM information_schema.routines WHERE "
                        "routine_type='PROCEDURE' AND routine_schema=%s",
                        "FUNCTION": "SELECT routine_name FROM information_schema.routines WHERE "
                        "routine_type='FUNCTION' AND routine_schema=%s",
                        "EVENT": "SELECT event_name FROM information_schema.events WHERE event_schema=%s"}.items():
        for (name,) in lab.sql(node, query, args=(database,)):
            row = lab.sql(node, "SET time_zone='+00:00'", f"SHOW CREATE {kind} `{database}`.`{name}`")[0]
            # An event runs on the node that made it only.
            if kind == "EVENT":
                row = tuple(str(x).replace("DISABLE ON SLAVE", "ENABLE") for x in row)
            found[kind, name] = row
    found["DATABASE"] = lab.sql(node, "SELECT default_character_set_name, default_collation_name, schema_comment FROM "
                                      "information_schema.schemata WHERE schema_name=%s", args=(database,))
    return found


def check(lab, *databases):
    lab.wait()
    lab.assert_equal(*databases)
    for database in databases or ("d",):
        assert objects(lab, 2, database) == objects(lab, 1, database)


def columns(lab, node, table="t"):
    return [r[0] for r in texts(lab, node, f"SHOW COLUMNS FROM {table}")]


# ---- Tables ----

STEPS = ["ADD COLUMN a INT DEFAULT 5 AFTER id", "ADD COLUMN f VARCHAR(10) NOT NULL DEFAULT 'first' FIRST",
         "MODIFY v BIGINT", "MODIFY v VARCHAR(30)", "CHANGE v w VARCHAR(40) COMMENT 'was v'", "RENAME COLUMN w TO v",
         "DROP COLUMN a", "ADD COLUMN (x INT, y DATETIME(3) DEFAULT NOW(3))", "MODIFY y DATETIME(3) AFTER id",
         "ALTER x SET DEFAULT 9", "ALTER x DROP DEFAULT",
         "ADD COLUMN g INT AS (LENGTH(z)) VIRTUAL, ADD COLUMN p VARCHAR(30) AS (CONCAT(z, 'p')) PERSISTENT AFTER id",
         "DROP COLUMN g", "CONVERT TO CHARACTER SET latin1", "COMMENT='it''s a \\\\ comment'", "ENGINE=InnoDB",
         "AUTO_INCREMENT=1001", "FORCE", "ADD INDEX iv (v, x)", "RENAME INDEX iv TO jv", "DROP INDEX jv",
         "ADD UNIQUE u (id, v)", "ADD CONSTRAINT positive CHECK (LENGTH(z) > 0)", "DROP CONSTRAINT positive",
         "DROP INDEX u", "ADD FOREIGN KEY fk (x) REFERENCES d.parent (id) ON DELETE SET NULL", "DROP FOREIGN KEY fk",
         "DROP PRIMARY KEY, ADD PRIMARY KEY (id, f)", "DROP PRIMARY KEY, ADD PRIMARY KEY (id)",
         "ADD COLUMN IF NOT EXISTS x INT", "DROP COLUMN IF EXISTS nothing", "ALGORITHM=COPY, ADD COLUMN c1 INT FIRST",
         "ALGORITHM=INSTANT, ADD COLUMN c2 INT INVISIBLE AFTER c1", "ADD COLUMN e ENUM('a','b') DEFAULT 'b' AFTER c1",
         "MODIFY e ENUM('z','a','b') DEFAULT 'a'",
         "DROP COLUMN c1, ADD COLUMN c3 INT DEFAULT 3 AFTER id, MODIFY v TEXT FIRST, RENAME COLUMN x TO xx",
         "PARTITION BY HASH (id) PARTITIONS 4", "COALESCE PARTITION 2", "ADD PARTITION PARTITIONS 1",
         "REMOVE PARTITIONING", "PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (1000000))",
         "ADD PARTITION (PARTITION high VALUES LESS THAN MAXVALUE)", "TRUNCATE PARTITION high", "DROP PARTITION high",
         "REMOVE PARTITIONING", "ROW_FORMAT=COMPRESSED", "ADD SYSTEM VERSIONING", "DROP SYSTEM VERSIONING",
         "ORDER BY id DESC"]


@pytest.mark.sanitizer
def test_alter_with_rows_in_between(lab):
    """Steps by one node and by the other, rows right behind each in the same session, and rows from both after every
    third."""
    lab.sql(1, "CREATE TABLE d.parent (id INT PRIMARY KEY)", "INSERT INTO d.parent VALUES (9)",
            "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT, z VARCHAR(20) DEFAULT 'end')",
            "INSERT INTO d.t (z) VALUES (1), (2), (3)")
    lab.wait()
    for first in range(0, len(STEPS), 3):
        node, there = (1, 2) if first % 2 else (2, 1)
        statements = ["SET foreign_key_checks=0"]
        for i, step in enumerate(STEPS[first:first + 3], first):
            statements += [f"ALTER TABLE d.t {step}", f"INSERT INTO d.t (z) VALUES ('new {i}')",
                           f"UPDATE d.t SET z='{i}' WHERE id%2={node % 2} ORDER BY id DESC LIMIT 2"]
        lab.sql(node, *statements)
        lab.wait()
        assert lab.definition(1, "d.t") == lab.definition(2, "d.t"), statements
        lab.sql(there, f"INSERT INTO d.t (z) VALUES ('there {first}')",
                f"DELETE FROM d.t WHERE id%2={there % 2} LIMIT 1")
        lab.sql(node, f"INSERT INTO d.t (z) VALUES ('here {first}')")
        lab.wait()
    check(lab)
    assert lab.value(1, "SELECT COUNT(*) FROM d.t") > 50


def test_indexes(lab):
    """CREATE and DROP INDEX, of all kinds."""
    lab.sql(1,
            "CREATE TABLE d.t (id INT PRIMARY KEY, a INT, b VARCHAR(100), t TEXT, g POINT NOT NULL DEFAULT POINT(0,0))",
            "INSERT INTO d.t (id, a, b) VALUES (1, 1, 'x'), (2, 2, 'y')")
    lab.wait()
    for i, statement in enumerate(["CREATE INDEX ia ON d.t (a)", "CREATE UNIQUE INDEX ub ON d.t (b(10), a DESC)",
                                   "CREATE OR REPLACE INDEX ia ON d.t (a, b) COMMENT 'x'",
                                   "CREATE FULLTEXT INDEX ft ON d.t (t)", "CREATE SPATIAL INDEX sp ON d.t (g)",
                                   "CREATE INDEX IF NOT EXISTS ia ON d.t (b)", "DROP INDEX ft ON d.t",
                                   "DROP INDEX IF EXISTS nothing ON d.t", "ALTER TABLE d.t ALTER INDEX ia IGNORED",
                                   "DROP INDEX ub ON d.t"]):
        lab.sql(i % 2 + 1, statement, f"INSERT INTO d.t (id, a, b) VALUES ({10 + i}, {10 + i}, 'z')")
        check(lab)


def test_rename_and_swap(lab):
    """After a swap, rows must go to the table of the new name, though its number in the log is the old one's."""
    lab.sql(1, "CREATE TABLE d.a (id INT PRIMARY KEY, v VARCHAR(20))",
            "CREATE TABLE d.b (id INT PRIMARY KEY, w INT, v VARCHAR(20))", "INSERT INTO d.a VALUES (1, 'a')",
            "INSERT INTO d.b VALUES (1, 1, 'b')")
    lab.wait()
    lab.sql(2, "RENAME TABLE d.a TO d.tmp, d.b TO d.a, d.tmp TO d.b", "INSERT INTO d.a VALUES (2, 2, 'now a')",
            "INSERT INTO d.b VALUES (2, 'now b')")
    lab.wait()
    lab.sql(1, "UPDATE d.a SET w=w+10", "ALTER TABLE d.b RENAME TO d.c", "INSERT INTO d.c VALUES (3, 'c')",
            "RENAME TABLE d.a TO d.b, d.c TO d.a", "UPDATE d.b SET v='b again' WHERE id=1")
    check(lab)
    assert texts(lab, 2, "SELECT * FROM a ORDER BY id") == [("1", "a"), ("2", "now b"), ("3", "c")]
    assert texts(lab, 2, "SELECT * FROM b ORDER BY id") == [("1", "11", "b again"), ("2", "12", "now a")]
    lab.sql(2, "RENAME TABLE d.a TO `d 2`.a", "USE `d 2`", "INSERT INTO a VALUES (9, 'moved')",
            "RENAME TABLE IF EXISTS d.nothing TO d.x, d.b TO b")
    check(lab, *DATABASES)
    assert lab.tables(1) == [] and lab.tables(1, "d 2") == ["a", "b"]


def test_create_drop_truncate(lab):
    """Several in one statement, some of which aren't there, and the same names anew with other columns."""
    lab.sql(1, *[f"CREATE TABLE d.t{i} (id INT PRIMARY KEY, v INT)" for i in range(6)],
            *[f"INSERT INTO d.t{i} VALUES (1, 1), (2, 2)" for i in range(6)])
    lab.wait()
    lab.sql(2, "DROP TABLE d.t0, d.t1", "CREATE TABLE d.t0 (a VARCHAR(20) PRIMARY KEY)",
            "INSERT INTO d.t0 VALUES ('one')", "TRUNCATE d.t2", "TRUNCATE TABLE d.t3", "INSERT INTO d.t3 VALUES (7, 7)",
            "DROP TABLE IF EXISTS d.t4, d.nothing", "CREATE OR REPLACE TABLE d.t5 (x INT PRIMARY KEY, y INT, z INT)",
            "INSERT INTO d.t5 VALUES (1, 2, 3)", "CREATE TABLE IF NOT EXISTS d.t5 (other INT)",
            "DROP TABLE IF EXISTS d.nothing, d.nothing2", "CREATE TABLE IF NOT EXISTS d.t6 (id INT PRIMARY KEY)")
    check(lab)
    assert lab.tables(1) == ["t0", "t2", "t3", "t5", "t6"]
    assert [lab.value(1, f"SELECT COUNT(*) FROM d.t{i}") for i in (0, 2, 3, 5)] == [1, 0, 1, 1]


def test_create_from_another(lab):
    """CREATE TABLE … SELECT carries rows and the definition; LIKE only the definition, as it is here."""
    lab.sql(1, "CREATE OR REPLACE DATABASE other")
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(20) DEFAULT 'x', KEY (v)) COMMENT 'origin'",
            "INSERT INTO d.t VALUES (1, 'one'), (2, 'two')",
            "CREATE TABLE other.o (id INT PRIMARY KEY, w INT, KEY (w))", "INSERT INTO other.o VALUES (5, 50), (6, 60)")
    lab.wait()
    lab.sql(2, "CREATE TABLE d.s SELECT id, v, id*2 AS twice, RAND() AS r FROM d.t",
            "CREATE TABLE d.s2 (id INT PRIMARY KEY) SELECT id, UUID() AS u FROM d.t", "CREATE TABLE d.l LIKE d.t",
            "INSERT INTO d.l VALUES (3, 'three')", "CREATE OR REPLACE TABLE d.s2 (id INT PRIMARY KEY) SELECT 7 AS id",
            database="d")
    # A table that only the origin has.
    lab.sql(1, "CREATE TABLE d.from_other SELECT * FROM other.o", "CREATE TEMPORARY TABLE d.temp (a INT, b INT)",
            "INSERT INTO d.temp VALUES (1, 2)", "CREATE TABLE d.from_temp SELECT * FROM d.temp",
            "CREATE TABLE d.like_temp LIKE d.temp", "CREATE TABLE d.empty SELECT * FROM d.t WHERE 0")
    check(lab)
    assert texts(lab, 1, "SELECT COUNT(*), COUNT(DISTINCT r) FROM s") == [("2", "2")]
    for node in lab.nodes:
        assert texts(lab, node, "SELECT * FROM from_other ORDER BY id") == [("5", "50"), ("6", "60")]
        assert texts(lab, node, "SELECT * FROM from_temp") == [("1", "2")]


def test_statements_that_change_nothing(lab):
    """IF [NOT] EXISTS and friends: what was a warning there is not an error here."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, KEY k (id))", "CREATE VIEW d.v AS SELECT 1 AS a",
            "CREATE PROCEDURE d.p() SELECT 1", "CREATE SEQUENCE d.s")
    lab.wait()
    for node in (2, 1):
        lab.sql(node, "CREATE DATABASE IF NOT EXISTS d", "CREATE TABLE IF NOT EXISTS d.t (id INT)",
                "CREATE VIEW IF NOT EXISTS d.v AS SELECT 2 AS b", "CREATE PROCEDURE IF NOT EXISTS d.p() SELECT 2",
                "CREATE SEQUENCE IF NOT EXISTS d.s START 100", "ALTER TABLE d.t DROP KEY IF EXISTS nothing",
                "DROP TABLE IF EXISTS d.nothing", "DROP VIEW IF EXISTS d.nothing, d.nothing2",
                "DROP PROCEDURE IF EXISTS d.nothing", "DROP FUNCTION IF EXISTS d.nothing",
                "DROP TRIGGER IF EXISTS d.nothing", "DROP EVENT IF EXISTS d.nothing",
                "DROP SEQUENCE IF EXISTS d.nothing", "ALTER TABLE IF EXISTS d.nothing ADD x INT",
                "DROP TABLE IF EXISTS d.v", "DROP INDEX IF EXISTS nothing ON d.t",
                "DROP TEMPORARY TABLE IF EXISTS d.nothing")
        check(lab)


# ---- Views, routines, triggers, events, sequences ----


def test_views(lab):
    """Also one on another, one that names what is not there any more, and one that is replaced by a table."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, `ä ``b` VARCHAR(20))",
            "CREATE VIEW v AS SELECT id, `ä ``b` AS `x y` FROM t WHERE `ä ``b` <> 'it''s'",
            "CREATE ALGORITHM=TEMPTABLE SQL SECURITY INVOKER VIEW d.v2 AS SELECT * FROM d.v",
            "CREATE VIEW v3 AS SELECT id FROM t WHERE id > 3 WITH CHECK OPTION", "INSERT INTO d.v3 VALUES (5)",
            database="d")
    check(lab)
    lab.sql(2, "CREATE OR REPLACE VIEW v3 AS SELECT id FROM v2", "ALTER VIEW v AS SELECT 1 AS id", "DROP TABLE t",
            "RENAME TABLE v2 TO v4", database="d")
    lab.wait()
    assert texts(lab, 1, "SELECT * FROM v") == [("1",)]
    lab.sql(1, "DROP VIEW v, v3, v4", "CREATE TABLE v (id INT PRIMARY KEY)", "INSERT INTO v VALUES (3)", database="d")
    check(lab)


def test_routines_and_triggers(lab):
    """Bodies with their own statements, ; and delimiters, comments, and the sql_mode that they were made with."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(50))",
            "CREATE PROCEDURE p (IN a INT, OUT b VARCHAR(50)) COMMENT 'grün' BEGIN -- a comment; with a "
            "semicolon\n  DECLARE x INT DEFAULT 1; /* another */\n"
            "  IF a > 1 THEN INSERT INTO t VALUES (a, 'it''s ; \\\\ \"'); END IF; SET b = 'ä'; END",
            "CREATE FUNCTION f (a INT) RETURNS VARCHAR(20) DETERMINISTIC RETURN CONCAT('f', a)",
            "SET sql_mode='ANSI_QUOTES,PIPES_AS_CONCAT'",
            "CREATE TRIGGER \"a trigger\" BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v || '!'",
            "CREATE DEFINER='nobody'@'nowhere' PROCEDURE d.q() SQL SECURITY INVOKER SELECT 1", "SET sql_mode=ORACLE",
            "CREATE PROCEDURE d.o (a IN INT) AS x INT; BEGIN x := a; INSERT INTO d.t VALUES (x, 'o'); END;",
            database="d")
    check(lab)
    lab.sql(2, "CALL d.p(7, @b)", "CALL d.o(8)")
    lab.wait()
    assert texts(lab, 1, "SELECT * FROM t ORDER BY id") == [("7", "it's ; \\ \"!"), ("8", "o!")]
    lab.sql(2, "CREATE OR REPLACE FUNCTION d.f () RETURNS INT DETERMINISTIC RETURN 2",
            "ALTER PROCEDURE d.p COMMENT 'new'",
            "CREATE OR REPLACE TRIGGER `a trigger` AFTER DELETE ON t FOR EACH ROW SET @x=1",
            "CREATE TRIGGER second AFTER DELETE ON t FOR EACH ROW FOLLOWS `a trigger` SET @y=2", "DROP PROCEDURE q",
            "CREATE AGGREGATE FUNCTION agg (x INT) RETURNS INT NO SQL BEGIN DECLARE s INT DEFAULT 0; DECLARE "
            "CONTINUE HANDLER FOR NOT FOUND RETURN s; " "LOOP FETCH GROUP NEXT ROW; SET s = s + x; END LOOP; END",
            database="d")
    check(lab)
    lab.sql(1, "DROP TRIGGER d.second", "DROP FUNCTION d.agg", "DROP FUNCTION f", "DROP PROCEDURE IF EXISTS p",
            database="d")
    check(lab)


def test_events_run_on_one_node(lab):
    """An event that ran on every node would do everything twice, and each node's deed would travel to the other."""
    lab.sql(1, "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, who INT, what VARCHAR(20))")
    lab.wait()
    for node in lab.nodes:
        lab.sql(node, "SET GLOBAL event_scheduler=ON")
    try:
        lab.sql(1,
                "CREATE EVENT once ON SCHEDULE AT NOW() + INTERVAL 1 SECOND DO INSERT INTO d.t (who, what) VALUES "
                "(@@server_id, 'once')",
                "CREATE EVENT kept ON SCHEDULE AT NOW() + INTERVAL 1 SECOND ON COMPLETION PRESERVE DO INSERT INTO "
                "d.t (who, what) VALUES (@@server_id, 'kept')",
                "CREATE EVENT never ON SCHEDULE EVERY 1 DAY STARTS NOW() + INTERVAL 1 DAY DISABLE COMMENT 'ä' DO DO 1",
                database="d")
        wait_for("the events", lambda: lab.value(1, "SELECT COUNT(DISTINCT what) FROM d.t") == 2)
        # The other node's scheduler looks as often. `kept` was made in the same second, so what it does is done by now.
        lab.sql(2,
                "CREATE EVENT mine ON SCHEDULE AT NOW() + INTERVAL 1 SECOND DO INSERT INTO d.t (who, what) VALUES "
                "(@@server_id, 'mine')", database="d")
        wait_for("the event of node 2", lambda: lab.value(2, "SELECT COUNT(*) FROM d.t WHERE what='mine'") > 0)
        lab.sql(1, "ALTER EVENT d.never RENAME TO d.later COMMENT 'b'")
        lab.wait()
        lab.assert_equal()
        assert texts(lab, 2, "SELECT who, what FROM t ORDER BY what") == [("1", "kept"), ("2", "mine"), ("1", "once")]
        states = "SELECT event_name, status FROM information_schema.events WHERE event_schema='d' ORDER BY 1"
        assert texts(lab, 1, states) == [("kept", "DISABLED"), ("later", "DISABLED")]
        assert texts(lab, 2, states) == [("kept", "SLAVESIDE_DISABLED"), ("later", "DISABLED")]
    finally:
        for node in lab.nodes:
            lab.sql(node, "SET GLOBAL event_scheduler=OFF")


def test_event_that_is_overdue(lab):
    """A node comes back after an outage: the other's events that were due meanwhile must not run here as well."""
    lab.sql(1, "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, who INT)")
    lab.wait()
    for node in lab.nodes:
        lab.sql(node, "SET GLOBAL event_scheduler=ON")
    try:
        lab.cut(1, 2)
        for i in range(10):
            lab.sql(1, f"CREATE EVENT e{i} ON SCHEDULE AT NOW() + INTERVAL 1 SECOND ON COMPLETION PRESERVE "
                       f"{'ENABLE' if i % 2 else ''} DO INSERT INTO d.t (who) VALUES (@@server_id)", database="d")
        wait_for("node 1's events", lambda: lab.value(1, "SELECT COUNT(*) FROM d.t") == 10)
        lab.heal(1, 2)
        lab.wait()
        # One more, node 2's own: once it has run, its scheduler has looked at all that was due before.
        lab.sql(2, "CREATE EVENT mine ON SCHEDULE AT NOW() + INTERVAL 1 SECOND DO INSERT INTO d.t (who) VALUES "
                   "(@@server_id)", database="d")
        wait_for("node 2's event", lambda: lab.value(2, "SELECT COUNT(*) FROM d.t WHERE who=2") > 0)
        # Altered elsewhere without a word about its status, an event still runs where it was made.
        lab.sql(1, "ALTER EVENT d.e0 COMMENT 'altered'")
        lab.sql(2, "CREATE EVENT yearly ON SCHEDULE EVERY 1 YEAR STARTS NOW() + INTERVAL 1 YEAR DO DO 1", database="d")
        lab.wait()
        lab.sql(1, "ALTER EVENT d.yearly COMMENT 'altered'")
        lab.wait()
        lab.assert_equal()
        assert texts(lab, 1, "SELECT who, COUNT(*) FROM t GROUP BY who ORDER BY who") == [("1", "10"), ("2", "1")]
        state = "SELECT status FROM information_schema.events WHERE event_schema='d' AND event_name='yearly'"
        assert [lab.value(n, state) for n in lab.nodes] == ["SLAVESIDE_DISABLED", "ENABLED"]
    finally:
        for node in lab.nodes:
            lab.sql(node, "SET GLOBAL event_scheduler=OFF")


def test_sequence_definitions(lab):
    """Sequences by their definition; test_types has their numbers."""
    lab.sql(1, "CREATE SEQUENCE d.s START WITH 10 INCREMENT BY 2 MAXVALUE 1000 CACHE 5 CYCLE",
            "CREATE SEQUENCE d.z INCREMENT BY 0")
    check(lab)
    lab.sql(2, "ALTER SEQUENCE d.s MAXVALUE 2000 NOCYCLE", "RENAME TABLE d.z TO d.y", "CREATE OR REPLACE SEQUENCE d.r",
            "DROP SEQUENCE d.r")
    check(lab)


# ---- Databases ----


def test_databases(lab):
    """Dropped with all in it, made again with another character set, which new tables inherit."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY)", "CREATE VIEW d.v AS SELECT 1",
            "CREATE PROCEDURE d.p() SELECT 1", "CREATE EVENT d.e ON SCHEDULE EVERY 1 DAY DO DO 1",
            "INSERT INTO d.t VALUES (1)")
    lab.wait()
    lab.sql(2, "DROP DATABASE d", "CREATE DATABASE d CHARACTER SET latin1 COLLATE latin1_german2_ci COMMENT 'it''s'",
            "CREATE TABLE d.t (v VARCHAR(20) PRIMARY KEY)", "INSERT INTO d.t VALUES ('ä')",
            "ALTER DATABASE `d 2` CHARACTER SET ucs2", "CREATE TABLE `d 2`.u (v VARCHAR(20) PRIMARY KEY)")
    check(lab, *DATABASES)
    lab.sql(1, "ALTER DATABASE CHARACTER SET utf8mb4", "CREATE TABLE e (v VARCHAR(20) PRIMARY KEY)",
            "DROP DATABASE IF EXISTS nothing", "CREATE DATABASE IF NOT EXISTS d", "CREATE OR REPLACE DATABASE `d 2`",
            database="d")
    check(lab, *DATABASES)
    assert "latin1_german2_ci" in lab.definition(1, "d.t") and "utf8mb4" in lab.definition(1, "d.e") and lab.tables(1,
            "d 2") == []


# ---- Sessions ----


@pytest.mark.sanitizer
def test_sql_modes(lab):
    """Quotes and backslashes mean something else in these sessions; the log has the text as it was sent."""
    lab.sql(1, "SET sql_mode='ANSI_QUOTES'",
            'CREATE TABLE "d"."a ""q""" ("id" INT PRIMARY KEY, "s" VARCHAR(20) DEFAULT \'"x"\')',
            'INSERT INTO d."a ""q""" (id) VALUES (1)', 'CREATE TABLE "b" (id INT PRIMARY KEY)', 'DROP TABLE "b"',
            'DROP TABLE IF EXISTS "b", "other"."x"', database="d")
    lab.sql(1, "SET sql_mode='NO_BACKSLASH_ESCAPES'",
            "CREATE TABLE d.n (id INT PRIMARY KEY, s VARCHAR(20) DEFAULT 'a\\') COMMENT='\\'",
            "INSERT INTO d.n (id) VALUES (1)", "CREATE TABLE d.n2 (id INT PRIMARY KEY) COMMENT='\\' /* '; */",
            database="d")
    lab.sql(1, "SET sql_mode='ORACLE'", "CREATE TABLE d.o (id NUMBER PRIMARY KEY, v VARCHAR2(20), c CLOB)",
            "SET sql_mode='MSSQL'", "CREATE TABLE d.[m x] ([id] INT PRIMARY KEY)", "INSERT INTO [m x] VALUES (1)",
            database="d")
    lab.sql(1, "SET sql_mode='NO_AUTO_VALUE_ON_ZERO,HIGH_NOT_PRECEDENCE,PIPES_AS_CONCAT'",
            "CREATE TABLE d.p (id INT PRIMARY KEY, v INT AS (NOT id BETWEEN 1 AND 5) PERSISTENT, s VARCHAR(20) AS "
            "(id || 'x'))", "INSERT INTO d.p (id) VALUES (0), (3)", database="d")
    lab.sql(1, "SET sql_mode='NO_ENGINE_SUBSTITUTION,REAL_AS_FLOAT,NO_ZERO_DATE'",
            "CREATE TABLE d.r (id INT PRIMARY KEY, f REAL)", "SET sql_mode=''",
            "CREATE TABLE d.z (id INT PRIMARY KEY, t DATETIME DEFAULT '0000-00-00', s TIMESTAMP DEFAULT "
            "'0000-00-00 00:00:00')", "INSERT INTO d.z (id) VALUES (1)",
            "CREATE TABLE d.sub (id INT PRIMARY KEY) ENGINE=nonsense", database="d")
    check(lab)
    assert sorted(lab.tables(2)) == sorted(['a "q"', "n", "n2", "o", "m x", "p", "r", "z", "sub"])
    assert texts(lab, 2, 'SELECT s FROM `a "q"`') == [('"x"',)] and texts(lab, 2, "SELECT s FROM n") == [("a\\",)]


CLIENTS = [
    ("latin1", "cp1252", "tür_é", "ø"),
    ("utf8mb3", "utf-8", "tür_鍵", "ý"),
    ("cp1251", "cp1251", "дверь", "ж"),
    ("sjis", "shift_jis", "表ソ能", "鍵"),
    ("gbk", "gbk", "门誠", "功"),
]


def test_character_sets_of_clients(lab):
    """Names and comments from a client that doesn't speak UTF-8."""
    for charset, codec, name, extra in CLIENTS:
        connection = pymysql.connect(user="root", unix_socket=lab.socket(1), charset="utf8mb4", autocommit=True,
                                     database="d")
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET NAMES {charset}")
                for statement in (f"CREATE TABLE `{name}` (id INT PRIMARY KEY, `{extra}` VARCHAR(20) "
                                  f"DEFAULT '{extra}', e ENUM('{extra}','x')) COMMENT='{extra}'",
                                  f"INSERT INTO `{name}` VALUES (1, '{name}', '{extra}')",
                                  f"CREATE VIEW `v_{name}` AS SELECT '{extra}' AS `{extra}` FROM `{name}`",
                                  f"ALTER TABLE `{name}` ADD COLUMN `{extra}2` INT COMMENT '{extra}' AFTER id",
                                  f"CREATE TABLE `gone_{name}` (id INT PRIMARY KEY)", f"DROP TABLE `gone_{name}`"):
                    cursor.execute(statement.encode(codec))
        finally:
            connection.close()
        check(lab)
        assert texts(lab, 2, f"SELECT `{extra}`, e FROM `{name}`") == [(name, extra)], charset
        assert texts(lab, 2, f"SELECT `{extra}` FROM `v_{name}`") == [(extra,)], charset


def test_other_session_settings(lab):
    """What a session has set and a CREATE depends on."""
    lab.sql(1, "SET foreign_key_checks=0",
            "CREATE TABLE d.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES d.later (id))",
            "CREATE TABLE d.later (id INT PRIMARY KEY)", "DROP TABLE d.later",
            "CREATE TABLE d.later (id INT PRIMARY KEY)")
    lab.sql(1, "SET explicit_defaults_for_timestamp=0",
            "CREATE TABLE d.old (id INT PRIMARY KEY, a TIMESTAMP, b TIMESTAMP)",
            "SET explicit_defaults_for_timestamp=1",
            "CREATE TABLE d.new (id INT PRIMARY KEY, a TIMESTAMP, b TIMESTAMP)")
    lab.sql(2, "SET character_set_server=ucs2, collation_connection=latin1_bin",
            "CREATE TABLE `d 2`.c (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE VIEW `d 2`.v AS SELECT 'x' AS a")
    lab.sql(2, "SET time_zone='-05:00', timestamp=1700000000",
            "CREATE TABLE d.tz (id INT PRIMARY KEY, t TIMESTAMP DEFAULT '2024-01-01 00:00:00')",
            "CREATE EVENT d.e ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01 00:00:00' DO DO 1")
    lab.sql(1, "SET lc_time_names='de_DE'",
            "CREATE TABLE d.l (id INT PRIMARY KEY, m VARCHAR(20) AS (DATE_FORMAT('2024-03-01', '%M', 'de_DE')) "
            "VIRTUAL)",
            "SET check_constraint_checks=0, sql_quote_show_create=0, lock_wait_timeout=5, max_statement_time=10",
            "CREATE TABLE d.m (id INT PRIMARY KEY, CHECK (id > 0))")
    lab.sql(2, "SET innodb_strict_mode=0", "CREATE TABLE d.loose (id INT PRIMARY KEY, " + ", ".join(f"c{i} VARCHAR(50)"
            for i in range(300)) + ")", "CREATE TABLE d.loose2 (id INT PRIMARY KEY) ROW_FORMAT=FIXED KEY_BLOCK_SIZE=3")
    lab.sql(1, "SET unique_checks=0, sql_auto_is_null=1, auto_increment_increment=10, auto_increment_offset=5",
            "CREATE TABLE d.auto (id INT AUTO_INCREMENT PRIMARY KEY, v INT) SELECT 7 AS v",
            "ALTER TABLE d.auto ADD COLUMN n INT")
    check(lab, *DATABASES)
    assert texts(lab, 1, "SELECT id FROM auto") == texts(lab, 2, "SELECT id FROM auto")
    lab.sql(1, "INSERT INTO d.tz (id) VALUES (1)")
    lab.sql(2, "INSERT INTO d.tz (id) VALUES (2)")
    check(lab)
    assert texts(lab, 1, "SELECT DISTINCT t FROM tz") == [("2024-01-01 05:00:00",)]


def test_numbers_that_alter_gives_out(lab):
    """ALTER TABLE … ADD id AUTO_INCREMENT numbers the rows that are there: on both nodes alike, or no update finds its
    row."""
    lab.sql(1, "CREATE TABLE d.t (v INT, KEY (v))", "INSERT INTO d.t VALUES (10), (20), (30)")
    lab.wait()
    lab.sql(2, "ALTER TABLE d.t ADD COLUMN id INT AUTO_INCREMENT PRIMARY KEY FIRST")
    check(lab)
    lab.sql(1, "UPDATE d.t SET v=v+1")
    check(lab)


# ---- What is replicated and what not ----


def test_filter_is_where_the_table_is(lab):
    """The guide's replicate-do-db looks at the session's default database: a table made from elsewhere never arrives, a
    foreign one does."""
    for node in lab.nodes:
        lab.sql(node, "CREATE OR REPLACE DATABASE other")
    lab.sql(1, "USE other", "CREATE TABLE d.t (id INT PRIMARY KEY, v INT)", "INSERT INTO d.t VALUES (1, 1)",
            "CREATE TABLE mine (id INT PRIMARY KEY, v INT)", "INSERT INTO mine VALUES (1, 1)",
            "CREATE INDEX i ON d.t (v)", "CREATE VIEW d.v AS SELECT * FROM d.t", "CREATE PROCEDURE d.p() SELECT 1",
            "CREATE TRIGGER d.tr BEFORE INSERT ON d.t FOR EACH ROW SET @x=1",
            "ALTER TABLE d.t ADD COLUMN w INT AFTER id")
    lab.sql(1, "USE d", "CREATE TABLE other.o (id INT PRIMARY KEY, v INT)", "INSERT INTO other.o VALUES (1, 1)",
            "UPDATE other.o SET v=2", "CREATE VIEW other.v AS SELECT 1", "CREATE PROCEDURE other.p() SELECT 1",
            "DELETE FROM other.o", "TRUNCATE other.o", "ALTER TABLE other.o ADD w INT", "CREATE DATABASE third",
            "DROP DATABASE third")
    check(lab)
    assert lab.tables(2, "other") == [] and len(objects(lab, 2, "other")) == 1
    assert columns(lab, 2) == ["id", "w", "v"]
    # The same names exist there, with other columns: they are left alone.
    lab.sql(2, "CREATE TABLE other.o (a VARCHAR(20))", "INSERT INTO other.o VALUES ('theirs')")
    lab.sql(1, "INSERT INTO other.o VALUES (5, 5, 5)", "BEGIN", "INSERT INTO other.o VALUES (6, 6, 6)",
            "INSERT INTO d.t VALUES (6, 6, 6)", "COMMIT",
            "UPDATE d.t, other.o SET d.t.v=100, other.o.v=100 WHERE d.t.id=other.o.id",
            "DELETE d.t, other.o FROM d.t JOIN other.o USING (id) WHERE d.t.id=1000")
    check(lab)
    assert texts(lab, 2, "SELECT * FROM t ORDER BY id") == [("1", None, "1"), ("6", "6", "100")]
    assert lab.sql(2, "SELECT * FROM other.o") == (("theirs",),) and lab.tables(1, "other") == ["mine", "o"]
    # DROP of both kinds at once.
    lab.sql(1, "CREATE TABLE d.a (id INT PRIMARY KEY)", "CREATE TABLE d.b (id INT PRIMARY KEY)",
            "DROP TABLE d.a, other.o, d.b")
    lab.sql(1, "USE other", "CREATE VIEW v2 AS SELECT 1", "CREATE VIEW d.v2 AS SELECT 1", "DROP VIEW v2, d.v2, d.v")
    check(lab)
    assert lab.tables(2) == ["t"] and lab.tables(2, "other") == ["o"]
    lab.sql(1, "DROP DATABASE other")
    lab.wait()
    assert lab.tables(2, "other") == ["o"]


def test_statement_that_touches_both_kinds(lab):
    """From the replicated databases out of them, or made of what only this node has: nobody can say what should happen
    there, so the link says so and waits."""
    for statement in ("RENAME TABLE d.t TO other.t", "CREATE TABLE d.new LIKE other.o",
                      "ALTER TABLE d.t RENAME other.t", "ALTER TABLE d.t ADD FOREIGN KEY (id) REFERENCES other.o (id)"):
        lab.sql(1, "SET foreign_key_checks=0", "CREATE OR REPLACE DATABASE other", "CREATE OR REPLACE DATABASE d",
                "CREATE TABLE other.o (id INT PRIMARY KEY)", "INSERT INTO other.o VALUES (1)",
                "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
        lab.wait()
        lab.sql(1, statement)
        gtid = lab.value(1, "SELECT @@gtid_binlog_pos").split(",")[0]
        lab.sql(1, "CREATE TABLE d.after (id INT PRIMARY KEY)")
        why = lab.wait_state(2, 1, "stopped")["why"]
        assert "\n" not in why and gtid in why and "by hand" in why, why
        assert lab.tables(2) == ["t"] and lab.value(2, "SELECT COUNT(*) FROM d.t") == 1
        run("skip", f"--defaults-file={lab.dir}/node2/syncline.cnf", gtid)
        lab.wait()
        assert "after" in lab.tables(2)


def test_what_is_each_servers_own(lab):
    """Accounts, FLUSH, ANALYZE and the like are in the log and must neither stop the link nor be carried over."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY)", "CREATE USER app@localhost IDENTIFIED BY 'x'",
            "GRANT ALL ON d.* TO app@localhost", "GRANT SELECT ON d.t TO app@localhost",
            "SET PASSWORD FOR app@localhost = PASSWORD('y')", "CREATE ROLE r", "GRANT r TO app@localhost",
            "SET DEFAULT ROLE r FOR app@localhost", "REVOKE ALL, GRANT OPTION FROM app@localhost",
            "ALTER USER app@localhost ACCOUNT LOCK", "RENAME USER app@localhost TO app2@localhost", "DROP ROLE r",
            "FLUSH PRIVILEGES", "FLUSH TABLES", "FLUSH TABLES d.t", "FLUSH LOGS", "FLUSH BINARY LOGS", "FLUSH STATUS",
            "ANALYZE TABLE d.t", "ANALYZE TABLE d.t PERSISTENT FOR ALL", "CHECK TABLE d.t", "CHECKSUM TABLE d.t",
            "OPTIMIZE TABLE d.t", "REPAIR TABLE d.t",
            "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1')", "DROP SERVER s",
            "PURGE BINARY LOGS BEFORE '2020-01-01'", "SET GLOBAL max_connections=99", "BEGIN", "ROLLBACK",
            "SAVEPOINT x", "DROP USER app2@localhost", "INSERT INTO d.t VALUES (1)")
    check(lab)
    assert lab.value(2, "SELECT COUNT(*) FROM mysql.global_priv WHERE user LIKE 'app%'") == 0
    assert lab.link(2, 1)["state"] == "live"


def test_temporary_tables(lab):
    """They are their session's own, whatever is done to them; rows that go from them into real tables arrive."""
    lab.sql(1, "CREATE TABLE d.t (id INT PRIMARY KEY, v INT)",
            "CREATE TEMPORARY TABLE d.tmp (id INT PRIMARY KEY, v INT)", "INSERT INTO d.tmp VALUES (1, 1), (2, 2)",
            "ALTER TABLE d.tmp ADD COLUMN w INT DEFAULT 7 AFTER id", "CREATE INDEX i ON d.tmp (v)",
            "UPDATE d.tmp SET v=v+1", "INSERT INTO d.t SELECT id, v FROM d.tmp", "TRUNCATE d.tmp",
            "ALTER TABLE d.tmp RENAME TO d.tmp2", "DROP TABLE d.tmp2",
            "CREATE TEMPORARY TABLE d.t (id INT, other VARCHAR(20))",
            "INSERT INTO d.t VALUES (9, 'hides the real one')", "DROP TEMPORARY TABLE d.t",
            "CREATE TEMPORARY TABLE d.left_open (id INT)", "CREATE TEMPORARY TABLE d.sel SELECT * FROM d.t",
            "CREATE TEMPORARY TABLE d.lk LIKE d.t", "CREATE OR REPLACE TEMPORARY TABLE d.lk (x INT)", "BEGIN",
            "INSERT INTO d.sel VALUES (100, 100)", "UPDATE d.t SET v=v+100", "DROP TEMPORARY TABLE d.sel", "COMMIT",
            "CREATE TEMPORARY SEQUENCE d.sq")
    check(lab)
    assert texts(lab, 2, "SELECT * FROM t") == [("1", "102"), ("2", "103")]


# ---- Failures ----


def failing(lab, node, statement, **kwargs):
    with pytest.raises(pymysql.Error):
        lab.sql(node, statement, **kwargs)


def test_ddl_that_fails_halfway(lab):
    """What was done before the error is done on the other node as well, and no more than that."""
    lab.sql(1, "CREATE TABLE d.a (id INT PRIMARY KEY, v INT)", "CREATE TABLE d.b (id INT PRIMARY KEY, v INT)",
            "CREATE TABLE d.c (id INT PRIMARY KEY)", "CREATE VIEW d.v AS SELECT 1",
            "INSERT INTO d.a VALUES (1, 1), (2, 1)")
    lab.wait()
    failing(lab, 2, "DROP TABLE d.b, d.nothing, d.c")
    failing(lab, 2, "RENAME TABLE d.a TO d.x, d.nothing TO d.y")
    failing(lab, 2, "ALTER TABLE d.a ADD UNIQUE (v)")
    failing(lab, 2, "ALTER TABLE d.a ADD COLUMN n INT, DROP COLUMN nothing")
    failing(lab, 2, "CREATE TABLE d.s (v INT PRIMARY KEY) SELECT v FROM d.a")
    failing(lab, 2, "CREATE TABLE d.a (other INT)")
    failing(lab, 2, "CREATE OR REPLACE TABLE d.a (id INT PRIMARY KEY) SELECT 1 AS id UNION ALL SELECT 1")
    failing(lab, 2, "DROP VIEW d.v, d.nothing")
    failing(lab, 2, "DROP DATABASE nothing")
    failing(lab, 2, "CREATE TRIGGER d.t BEFORE INSERT ON d.nothing FOR EACH ROW SET @x=1")
    failing(lab, 2, "CREATE TABLE d.f (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES d.nothing (id))")
    check(lab)
    lab.sql(1, "CREATE TABLE IF NOT EXISTS d.a (id INT PRIMARY KEY, v INT)", "INSERT INTO d.a VALUES (7, 7)")
    failing(lab, 1, "INSERT INTO d.a VALUES (8, 8), (7, 7)")
    failing(lab, 1, "TRUNCATE d.nothing")
    # A database whose tables can't all be dropped, and those that can are gone.
    lab.sql(1, "CREATE TABLE `d 2`.a (id INT PRIMARY KEY)", "CREATE TABLE `d 2`.parent (id INT PRIMARY KEY)",
            "CREATE TABLE d.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES `d 2`.parent (id))",
            "CREATE TABLE `d 2`.z (id INT PRIMARY KEY)")
    failing(lab, 1, "DROP DATABASE `d 2`")
    failing(lab, 1, "TRUNCATE `d 2`.parent")
    failing(lab, 1, "DROP TABLE `d 2`.z, `d 2`.parent")
    check(lab, *DATABASES)


def test_ddl_that_is_there_already(lab):
    """The same table made by hand on both nodes while they were apart, alike: one table, with both nodes' rows."""
    lab.cut(1, 2)
    try:
        for node in lab.nodes:
            lab.sql(node, "CREATE TABLE IF NOT EXISTS d.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
                    f"INSERT INTO d.t (v) VALUES ({node})")
    finally:
        lab.heal(1, 2)
    check(lab)
    assert texts(lab, 1, "SELECT v FROM t ORDER BY v") == [("1",), ("2",)]


@pytest.mark.parametrize("what", ["--daemon", "--server", "both"])
def test_ddl_while_the_other_is_down(lab, what):
    """It comes in order, between the rows of before and after."""
    part = () if what == "both" else (what,)
    lab.sql(1, "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO d.t (v) VALUES (1), (2)")
    lab.wait()
    lab.kill(2, *part)
    lab.sql(1, "INSERT INTO d.t (v) VALUES (3)", "ALTER TABLE d.t ADD COLUMN a INT DEFAULT 5 FIRST",
            "INSERT INTO d.t (v) VALUES (4)", "ALTER TABLE d.t DROP COLUMN a, ADD COLUMN b INT AFTER id",
            "UPDATE d.t SET b=v", "CREATE TABLE d.u LIKE d.t", "RENAME TABLE d.t TO d.w, d.u TO d.t",
            "INSERT INTO d.w (v) VALUES (5)", "INSERT INTO d.t (v) VALUES (6)", "DROP TABLE d.t",
            "CREATE TABLE d.t (x INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)", "TRUNCATE d.t",
            "INSERT INTO d.t VALUES (2)", "CREATE VIEW d.v AS SELECT * FROM d.w",
            "CREATE TRIGGER d.tr AFTER INSERT ON d.w FOR EACH ROW INSERT IGNORE INTO d.t VALUES (NEW.v)",
            "INSERT INTO d.w (v) VALUES (77)")
    lab.start(2, *part)
    check(lab)
    lab.sql(2, "INSERT INTO d.w (v) VALUES (88)")
    check(lab)
    assert texts(lab, 1, "SELECT x FROM t ORDER BY x") == [("2",), ("77",), ("88",)]


def test_kill_around_ddl(lab):
    """kill -9 of the receiving server or its daemon while it runs DDL: each statement and each row once, in order."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print("seed", seed)
    dice = random.Random(seed)
    for round_ in range(int(os.environ.get("KILL_ROUNDS", "4"))):
        lab.sql(1, "CREATE OR REPLACE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, n INT UNIQUE)",
                "CREATE OR REPLACE TABLE d.many (id INT PRIMARY KEY, v INT)",
                "INSERT INTO d.many SELECT seq, seq FROM seq_1_to_20000", database="d")
        lab.wait()
        statements, name = [], "t"
        for i in range(12):
            statements += [f"INSERT INTO {name} (n) VALUES ({i})",
                           f"ALTER TABLE {name} ADD COLUMN c{i} INT DEFAULT {i} {'FIRST' if i % 2 else 'AFTER id'}",
                           f"ALTER TABLE many ADD COLUMN m{i} INT, ALGORITHM=COPY" if i % 4 == 0
                           else f"CREATE INDEX i{i} ON many (v)", f"RENAME TABLE {name} TO r{i}",
                           f"CREATE TABLE n{i} (id INT PRIMARY KEY)", f"INSERT INTO n{i} VALUES ({i})", f"TRUNCATE n{i}"
                           if i % 3 else f"DROP TABLE n{i}"]
            name = f"r{i}"
        writer = threading.Thread(target=lambda: lab.sql(1, *statements, database="d"))
        at = dice.randrange(len(statements))
        what = dice.choice(("--server", "--server", "--daemon", "both"))
        part = () if what == "both" else (what,)
        before = lab.link(2, 1)["applied_transactions"]
        writer.start()
        wait_for("node 2 to come near", lambda: lab.link(2, 1)["applied_transactions"] - before >= at or
                 not writer.is_alive())
        lab.kill(2, *part)
        lab.start(2, *part)
        writer.join()
        check(lab)
        assert lab.value(2, f"SELECT COUNT(*) FROM d.{name}") == 12
        lab.sql(2, f"DROP TABLE d.{name}", *[f"DROP TABLE IF EXISTS d.n{i}" for i in range(12)])
