/* Changes that programs make to settings files. One that loses a comment loses why somebody set something; one that writes into the wrong
 * group leaves a node that doesn't come up after the next power cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "node/accounts.h"
#include "node/dropin.h"
#include "node/settings.h"
#include "node/settings_edit.h"

static const char before[] = "# ours\n"
                             "[syncline]\n"
                             "node-id = 1\n"
                             "  node_s = nothing\n"
                             "nodes = 1,2 \n"
                             "# why\n"
                             "conflict-policy = d: first_update_wins\n"
                             "conflict_policy = d.t: max\n"
                             "\n"
                             "[syncline-server]\n"
                             "nodes = 9\n"
                             "conflict-policy = x\n"
                             "[syncline-peer-2]\n"
                             "host = h\n"
                             "[syncline-peer-22]\n"
                             "host = i";

static void fill(struct buf *text)
{
	buf_clear(text);
	buf_append_str(text, before);
}

/* A node that comes in: the line is another one, in its group, and nothing else. */
static void sets_one_line(void **state)
{
	(void)state;
	struct buf text = {0};
	fill(&text);
	settings_edit_set(&text, "nodes", "1,2,3");
	const char *is = buf_str(&text), *at = strstr(is, "nodes = \"1,2,3\"\n");
	assert_non_null(at);
	assert_memory_equal(is, before, (size_t)(at - is));
	assert_string_equal(at + strlen("nodes = \"1,2,3\"\n"), strstr(before, "# why"));
	buf_free(&text);
}

/* One that isn't there yet comes into [syncline], not to the end of the file, which is another group's. */
static void adds_to_its_group(void **state)
{
	(void)state;
	struct buf text = {0};
	fill(&text);
	settings_edit_set(&text, "slots", "4");
	assert_memory_equal(buf_str(&text), "# ours\n[syncline]\nslots = \"4\"\nnode-id = 1\n", 42);
	buf_free(&text);
}

static void groups_come_and_go(void **state)
{
	(void)state;
	struct buf text = {0};
	fill(&text);
	settings_edit_add_group(&text, "syncline-peer-2", "host = other\n"); /* it is there */
	assert_string_equal(buf_str(&text), before);
	settings_edit_add_group(&text, "syncline-peer-3", "host = j\n");
	assert_non_null(strstr(buf_str(&text), "host = i\n\n[syncline-peer-3]\nhost = j\n"));
	settings_edit_remove_group(&text, "syncline-peer-2");
	assert_null(strstr(buf_str(&text), "host = h"));
	assert_null(strstr(buf_str(&text), "[syncline-peer-2]"));
	assert_non_null(strstr(buf_str(&text), "[syncline-peer-22]\nhost = i\n"));
	settings_edit_remove_group(&text, "syncline-peer-3");
	settings_edit_remove_group(&text, "syncline-peer-22");
	settings_edit_remove_group(&text, "syncline-peer-4");
	assert_null(strstr(buf_str(&text), "peer"));
	buf_free(&text);
}

/* What an invited node gets of the policies: those lines, and nothing that somebody put between them. */
static void takes_only_its_lines(void **state)
{
	(void)state;
	struct buf text = {0}, lines = {0};
	fill(&text);
	settings_edit_lines(&text, "conflict-policy", &lines);
	assert_string_equal(buf_str(&lines), "conflict-policy = d: first_update_wins\nconflict_policy = d.t: max\n");
	buf_clear(&text);
	buf_clear(&lines);
	buf_append_str(&text,
	               "[syncline]\nconflict-policy = a: max\n[syncline-peer-2]\nconflict-policy = b: max\nhost = evil\n");
	settings_edit_lines(&text, "conflict-policy", &lines);
	assert_string_equal(buf_str(&lines), "conflict-policy = a: max\n");
	buf_free(&text);
	buf_free(&lines);
}

/* A change that the daemon couldn't read would keep the node down: the file stays as it was. */
static void refuses_what_does_not_load(void **state)
{
	(void)state;
	char dir[] = "/tmp/syncline-edit-XXXXXX";
	assert_non_null(mkdtemp(dir));
	char *file = mem_printf("%s/s.cnf", dir), *try = mem_printf("%s/s.cnf.try", dir);
	struct buf text = {0}, is = {0};
	struct err err;
	buf_append_str(&text,
	               "[syncline]\nnode-id = 1\nreplicate-do-db = d\nstate-dir = /s\n[syncline-server]\nsocket = /a\n");
	assert_int_equal(settings_edit_write(file, &text, &err), ERR_OK);
	struct buf good = {0};
	buf_append(&good, text.data, text.size);
	settings_edit_set(&text, "nodes", "2,3");
	assert_int_equal(settings_edit_write(file, &text, &err), ERR_CONFIG);
	assert_int_equal(settings_edit_read(file, &is, &err), ERR_OK);
	assert_string_equal(buf_str(&is), buf_str(&good));
	assert_int_equal(access(try, F_OK), -1);
	unlink(file);
	assert_int_equal(rmdir(dir), 0);
	buf_free(&text);
	buf_free(&is);
	buf_free(&good);
	free(file);
	free(try);
}

/* Local clients that use 127.0.0.1 go on working, which the guide's bind-address ends. */
static void dropin_binds_both(void **state)
{
	(void)state;
	struct buf text = {0};
	dropin_append(&text, &(struct dropin){.node_id = 2,
	                                      .slots = 4,
	                                      .log_bin = "mysql-bin",
	                                      .address = "192.168.10.2",
	                                      .tls_ca = "/a",
	                                      .tls_cert = "/b",
	                                      .tls_key = "/c"});
	const char *is = buf_str(&text);
	assert_non_null(strstr(
	    is,
	    "[mariadbd]\nserver_id = 2\ngtid_domain_id = 2\nauto_increment_increment = 4\nauto_increment_offset = 2\n"));
	assert_non_null(strstr(is, "bind_address = \"127.0.0.1,192.168.10.2\"\n"));
	assert_non_null(strstr(is, "expire_logs_days = 0\n"));
	buf_free(&text);
}

/* In a GRANT `a_b` is also `axb`: somebody else's database would be open to the daemon, or to a node that joins. */
static void grants_only_that_database(void **state)
{
	(void)state;
	struct buf sql = {0};
	const char *const databases[] = {"rfid_access", "o`dd%"};
	accounts_append_local(&sql, "syncline", 2, databases);
	const char *is = buf_str(&sql);
	assert_non_null(strstr(is, "ON `rfid\\_access`.* TO `syncline`@'localhost'"));
	assert_non_null(strstr(is, "ON `o``dd\\%`.* TO `syncline`@'localhost'"));
	assert_null(strstr(is, "ALL PRIVILEGES ON *.*"));
	buf_free(&sql);
}

#define NODE "[syncline]\n# mine\nnode-id = 1\nreplicate-do-db = gates\nstate-dir = state\n"
#define SERVER "[syncline-server]\nsocket = /run/mysqld/mysqld.sock\n"
#define PEER "[syncline-peer-2]\nhost = 192.168.10.2\nport = 3307\n"

static void test_one_group(void **state)
{
	(void)state;
	struct buf text = {0};
	buf_append_str(&text, NODE SERVER PEER);
	settings_edit_set_in(&text, "syncline-peer-2", "host", "gate2.example");
	assert_string_equal(buf_str(&text), NODE SERVER "[syncline-peer-2]\nhost = \"gate2.example\"\nport = 3307\n");
	settings_edit_set_in(&text, "syncline-peer-3", "host", "gate3.example"); /* there is none */
	settings_edit_remove_group(&text, "syncline-peer-2");
	assert_string_equal(buf_str(&text), NODE SERVER);
	buf_free(&text);
}

/* What would not load is not written, and the file keeps its mode; the next change finds the lock free. */
static void test_a_change(void **state)
{
	(void)state;
	char dir[] = "/tmp/test_settings_edit_XXXXXX";
	struct settings_edit edit;
	struct stat st;
	struct buf text = {0};
	struct err err;
	assert_non_null(mkdtemp(dir));
	char *path = mem_printf("%s/syncline.cnf", dir);
	buf_append_str(&text, NODE SERVER PEER);
	assert_int_equal(settings_edit_write(path, &text, &err), ERR_OK);
	chmod(path, 0640);
	assert_int_equal(settings_edit_begin(&edit, path, &err), ERR_OK);
	settings_edit_remove_group(&edit.text, "syncline-server");
	assert_int_equal(settings_edit_save(&edit, &err), ERR_CONFIG);
	settings_edit_end(&edit);
	assert_int_equal(settings_edit_begin(&edit, path, &err), ERR_OK);
	assert_string_equal(buf_str(&edit.text), NODE SERVER PEER);
	settings_edit_set(&edit.text, "slots", "4");
	assert_int_equal(settings_edit_save(&edit, &err), ERR_OK);
	settings_edit_end(&edit);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	unlink(path);
	rmdir(dir);
	free(path);
	buf_free(&text);
}

/* The server's options: one line for one line. */
static void test_dropin(void **state)
{
	(void)state;
	struct buf text = {0};
	buf_append_str(&text, "[mariadbd]\nserver_id = 1\nauto_increment_increment = 2\nauto_increment_offset = 1\n");
	assert_true(dropin_replace(&text, "auto_increment_increment", "auto_increment_increment = 4\n"));
	assert_string_equal(buf_str(&text),
	                    "[mariadbd]\nserver_id = 1\nauto_increment_increment = 4\nauto_increment_offset = 1\n");
	assert_false(dropin_replace(&text, "bind_address", "bind_address = x\n"));
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sets_one_line),
	    cmocka_unit_test(adds_to_its_group),
	    cmocka_unit_test(groups_come_and_go),
	    cmocka_unit_test(takes_only_its_lines),
	    cmocka_unit_test(refuses_what_does_not_load),
	    cmocka_unit_test(dropin_binds_both),
	    cmocka_unit_test(grants_only_that_database),
	    cmocka_unit_test(test_one_group),
	    cmocka_unit_test(test_a_change),
	    cmocka_unit_test(test_dropin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
