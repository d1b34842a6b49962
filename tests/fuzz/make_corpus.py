#!/usr/bin/env python3
"""Makes tests/fuzz/corpus/binlog anew from a private server's logs: every kind of event and column, in small files.

The files are what follows the magic of a binlog. Those named plain_* are written with binlog_checksum=NONE, so that a
mutation isn't stopped by a checksum; found_* are what libFuzzer found and stay. Run it by hand when there is a new kind
of event; the files are committed.
"""

import pathlib
import struct
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "binlog"))

import columns  # noqa: E402
from private_server import Server  # noqa: E402

CORPUS = FOLDER / "corpus/binlog"
GROUPS = {
    "integers": "tinyint smallint mediumint int bigint bit year",
    "decimals": "decimal float double",
    "times": "date time datetime timestamp",
    "strings": "char binary varchar varbinary uuid inet6 inet4",
    "blobs": "tinytext text mediumtext longtext tinyblob blob mediumblob longblob json geometry point multipolygon",
    "enums": "enum set",
}


def small(column):
    """The column without large values."""
    name, definition, kind, values = column
    kept = [v for v in values if not v.startswith("repeat") or definition.endswith("compressed")]
    return name, definition, kind, kept or values


def group(words):
    chosen = [small(c) for c in columns.COLUMNS if c[1].split("(")[0].split()[0] in words.split()]
    return [c for c in chosen if not c[0].startswith("c") or not c[1].endswith("compressed")]


def events(log):
    return log.read_bytes()[4:]


def dump(server, name):
    """What a replica gets that asks for checksums and a heartbeat: events that no file has."""
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("SET @master_binlog_checksum='CRC32', @mariadb_slave_capability=4")
        cursor.execute("SET @master_heartbeat_period=500000000")
    connection._execute_command(0x12, struct.pack("<IHI", 4, 0, 99) + name.encode())
    stream, heartbeats = b"", 0
    while heartbeats < 2:
        event = connection._read_packet().get_all_data()[1:]
        heartbeats += event[4] == 27
        stream += event
    connection._force_close()
    return stream


def as_v2(log):
    """MariaDB writes rows events of version 1 and reads both; version 2 has extra data, some bytes of it or none."""
    data, stream = events(log), b""
    while data:
        event, data = data[: int.from_bytes(data[9:13], "little")], data[int.from_bytes(data[9:13], "little") :]
        if 23 <= event[4] <= 25 or 166 <= event[4] <= 168:
            extra = b"\2\0" if len(stream) % 2 else b"\6\0\0\3\1\xff"
            event = event[:4] + bytes([event[4] + (7 if event[4] < 166 else 3)]) + event[5:27] + extra + event[27:]
            event = event[:9] + len(event).to_bytes(4, "little") + event[13:]
        stream += event
    return stream


def main():
    CORPUS.mkdir(parents=True, exist_ok=True)
    for old in CORPUS.glob("*.bin"):
        if not old.name.startswith("found_"):
            old.unlink()
    server = Server()
    try:
        make(server)
    finally:
        server.stop()
    print(sum(f.stat().st_size for f in CORPUS.glob("*.bin")), "bytes in", CORPUS)


def make(server):
    def save(name, log):
        (CORPUS / f"{name}.bin").write_bytes(log if isinstance(log, bytes) else events(log))

    server.run("CREATE DATABASE d CHARACTER SET utf8mb4", "USE d")
    server.run("SET sql_mode='ALLOW_INVALID_DATES', time_zone='+00:00'")
    for checksum, prefix in (("CRC32", ""), ("NONE", "plain_")):
        server.run(f"SET GLOBAL binlog_checksum={checksum}", "SET binlog_annotate_row_events=OFF")
        for name, words in GROUPS.items():
            some = group(words)
            server.run(columns.create("t", some, []))
            changes = [*columns.inserts("t", some), *columns.updates("t", some)[:2], "DELETE FROM t WHERE id = 1"]
            log = server.log_of(*changes)
            if prefix or name == "integers":
                save(prefix + name, log)
            if prefix and name in ("integers", "strings"):
                save(f"{prefix}{name}_v2", as_v2(log))
    compressed = [small(c) for c in columns.COLUMNS if c[1].endswith("compressed")]
    server.run(columns.create("t", compressed, []))
    save("plain_compressed_columns", server.log_of(*columns.inserts("t", compressed)))
    server.run("SET GLOBAL log_bin_compress=ON, GLOBAL log_bin_compress_min_len=10")
    some = compressed[:3] + columns.COLUMNS[:3]
    log = server.log_of("SET binlog_annotate_row_events=ON", columns.create("t", some, []), *columns.inserts("t", some),
                        *columns.updates("t", some)[:2], "DELETE FROM t")
    save("plain_compressed_events", log)
    save("plain_compressed_events_v2", as_v2(log))
    server.run("SET GLOBAL log_bin_compress=OFF")
    server.run("CREATE TABLE k (a int, b varchar(20) charset latin1, c blob, d enum('x','y') charset utf16, "
               "e set('p','q') charset ascii, f char(3) charset utf8mb4, PRIMARY KEY (b(3), a)) CHARSET utf8mb4")
    for image in ("MINIMAL", "NOBLOB"):
        save(f"plain_{image.lower()}", server.log_of(
            f"SET binlog_row_image={image}",
            "INSERT INTO k VALUES (1,'abcd','c','x','p,q','鍵'), (2,'','',NULL,NULL,NULL)",
            "UPDATE k SET c='d', d='y' WHERE a=1", "UPDATE k SET a=a+1 WHERE a=2", "DELETE FROM k"))
    server.run("SET binlog_row_image=FULL, GLOBAL binlog_row_metadata=NO_LOG")
    save("plain_no_metadata", server.log_of("INSERT INTO k VALUES (1,'abcd','c','x','p,q','鍵')", "DELETE FROM k"))
    server.run("SET GLOBAL binlog_row_metadata=FULL, GLOBAL mysql56_temporal_format=OFF",
               "CREATE TABLE o (a int primary key, t time, d datetime, s timestamp null)",
               "CREATE TABLE h (a int primary key, t time(3), d datetime(6), s timestamp(1) null)")
    save("plain_old_times", server.log_of(
        "INSERT INTO o VALUES (1, '-838:59:59', '9999-12-31 23:59:59', '2024-02-29 12:34:56')",
        "INSERT INTO h VALUES (1, '-838:59:59', '9999-12-31 23:59:59', '2024-02-29 12:34:56')"))
    server.run("SET GLOBAL mysql56_temporal_format=ON")
    ddl = [
        "SET time_zone='+02:00', foreign_key_checks=0, lc_time_names='de_DE', auto_increment_increment=5,"
        " timestamp=1700000000.123456, gtid_domain_id=7",
        "CREATE OR REPLACE TABLE x (a int auto_increment primary key, b timestamp default '2020-01-01 00:00:00')",
        "CREATE OR REPLACE VIEW v AS SELECT 1", "SET timestamp=DEFAULT, binlog_alter_two_phase=ON",
        "ALTER TABLE x ADD COLUMN c int",
        "XA START 'abc', 'de', 7", "INSERT INTO x (c) VALUES (1)", "XA END 'abc', 'de', 7",
        "XA PREPARE 'abc', 'de', 7", "XA COMMIT 'abc', 'de', 7", "BEGIN", "INSERT INTO x (c) VALUES (2)",
        "SAVEPOINT s", "UPDATE x SET c=3", "COMMIT", "CREATE TABLE y ENGINE=Aria SELECT * FROM x", "DROP TABLE y",
        "SET binlog_format=STATEMENT, @v='grün'",
        "INSERT INTO x (c) VALUES (rand()*10), (@v IS NULL), (last_insert_id())",
        "SET binlog_format=ROW",
    ]
    save("plain_ddl", server.log_of(*ddl))
    server.run("SET GLOBAL binlog_checksum=CRC32")
    save("ddl", server.log_of("DROP TABLE x", *ddl))
    server.run("FLUSH BINARY LOGS")
    name = server.run("SHOW MASTER STATUS")[0][0]
    server.run("INSERT INTO o VALUES (3, NULL, NULL, NULL)")
    save("stream", dump(server, name))


if __name__ == "__main__":
    main()
