"""Large transactions and large rows. A nightly import is one transaction of any size: it must neither fill a small machine's
memory nor stop the link."""


import pytest

# In `make check` an eighth of the 1 GB that `make soak` runs.
SMALL_MIB, LARGE_MIB = 128, 1024
# What a daemon may hold of its own while such a transaction passes; the rest of its resident pages are files.
ANONYMOUS_KIB_MAX = 32 * 1024


def anonymous_peak(lab, node):
    """What the daemon holds of its own now, in KiB."""
    return lab.daemon_memory(node, "RssAnon")


def big_transaction(make_lab, mib):
    lab = make_lab(server_options=("innodb_buffer_pool_size=256M", "innodb_log_file_size=512M"))
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.big (id INT AUTO_INCREMENT PRIMARY KEY, v VARBINARY(1100))")
    lab.wait()
    rows = mib * 1024
    lab.sql(1, f"INSERT INTO big (v) SELECT RANDOM_BYTES(1000) FROM seq_1_to_{rows}", database="d")
    peaks = {1: 0, 2: 0}
    import time
    deadline = time.monotonic() + 600
    while lab.value(2, "SELECT COUNT(*) FROM (SELECT 1 FROM d.big LIMIT 1) x") == 0:
        assert time.monotonic() < deadline
        for node in peaks:
            peaks[node] = max(peaks[node], anonymous_peak(lab, node))
        time.sleep(0.2)
    lab.wait(600)
    for node in peaks:
        peaks[node] = max(peaks[node], anonymous_peak(lab, node))
    print(f"{mib} MiB in one transaction: anonymous memory of the daemons {peaks} KiB")
    assert max(peaks.values()) < ANONYMOUS_KIB_MAX
    assert lab.value(2, "SELECT COUNT(*) FROM d.big") == rows
    lab.assert_equal()
    # And many rows changed, then deleted, at once.
    lab.sql(2, f"UPDATE d.big SET v=CONCAT('x', v) WHERE id % 8 = 0")
    lab.wait(600)
    lab.sql(1, "DELETE FROM d.big WHERE id % 4 = 0")
    lab.wait(600)
    lab.assert_equal()


def test_large_transaction(make_lab):
    big_transaction(make_lab, SMALL_MIB)


@pytest.mark.soak
def test_very_large_transaction(make_lab):
    big_transaction(make_lab, LARGE_MIB)


def test_rows_larger_than_half_a_packet(make_lab):
    """A row whose BINLOG text exceeds max_allowed_packet has to go in fragments; its UPDATE holds it twice."""
    lab = make_lab(server_options=("max_allowed_packet=16M", "innodb_log_file_size=512M"))
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.b (id INT PRIMARY KEY, n INT, v LONGBLOB)")
    for id, mib in ((1, 5), (2, 9), (3, 12)):
        lab.sql(1, f"INSERT INTO d.b VALUES ({id}, 0, REPEAT(RANDOM_BYTES(1024), {mib}*1024))")
    lab.wait()
    lab.assert_equal()
    for id in (1, 2):
        lab.sql(2, f"UPDATE d.b SET n=n+1 WHERE id={id}")
    lab.wait()
    lab.assert_equal()
    lab.sql(1, "DELETE FROM d.b WHERE id<3")
    lab.sql(1, "INSERT INTO d.b VALUES (11, 1, 'behind')")
    lab.wait()
    lab.assert_equal()


def test_row_larger_than_a_packet(make_lab):
    """By default a private server takes packets of 1 GB, so that any row passes that a statement can make."""
    lab = make_lab(server_options=("innodb_log_file_size=512M",))
    lab.sql(1, "CREATE DATABASE d", "CREATE TABLE d.b (id INT PRIMARY KEY, n INT, v LONGBLOB, w LONGBLOB)")
    lab.sql(1, "INSERT INTO d.b VALUES (1, 0, REPEAT('x', 24*1024*1024), REPEAT('y', 16*1024*1024))")
    lab.sql(1, "UPDATE d.b SET n=1")
    lab.wait()
    lab.assert_equal()
    assert lab.value(2, "SELECT n FROM d.b") == 1
