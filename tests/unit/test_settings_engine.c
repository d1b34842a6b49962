/* The engine in the settings file: read, refused where it can't work, and changed in place. */
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
#include "node/settings_engine.h"

static char dir[] = "/tmp/test_settings_engine_XXXXXX";
static char *path;

#define NODE "[syncline]\nnode-id = 1\nreplicate-do-db = gates\nstate-dir = state\n"
#define SERVER "[syncline-server]\nsocket = /run/mysqld/mysqld.sock\n"
#define PEER "[syncline-peer-2]\nhost = 192.168.10.2\nuser = syncline\n"

static int set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	path = mem_printf("%s/syncline.cnf", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	free(path);
	return rmdir(dir);
}

static void write_text(const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static enum err_code load(const char *text, struct settings *settings, struct err *err)
{
	write_text(text);
	return settings_load(path, settings, err);
}

static void engines(void **state)
{
	(void)state;
	struct settings s;
	struct err err = {0};
	assert_int_equal(load(NODE SERVER PEER, &s, &err), ERR_OK);
	assert_int_equal(s.engine, ENGINE_MERGE);
	settings_free(&s);
	assert_int_equal(load(NODE "engine = native\n" SERVER PEER, &s, &err), ERR_OK);
	assert_int_equal(s.engine, ENGINE_NATIVE);
	settings_free(&s);
}

/* Each of these would be found out by MariaDB, hours later, as a replication that doesn't start, or by nobody. */
static void what_cant_work_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} rows[] = {
	    {NODE "engine = fast\n" SERVER PEER, "merge, or native"},
	    {NODE "engine = native\n" SERVER "[syncline-peer-2]\nsocket = /srv/2.sock\n", "TCP only"},
	    {NODE "engine = native\nnodes = 1,2,3\n" SERVER PEER, "each other's peers"},
	    {NODE "engine = native\nreplicate-do-db = a,b\n" SERVER PEER, "comma"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct settings s;
		struct err err = {0};
		assert_int_equal(load(rows[i].text, &s, &err), ERR_CONFIG);
		assert_non_null(strstr(err.message, rows[i].says));
	}
}

static void a_peers_options(void **state)
{
	(void)state;
	struct settings s;
	struct settings_connection c;
	struct err err = {0};
	assert_int_equal(load(NODE SERVER PEER
	                      "port = 3307\npassword = 'p\\'w'\nssl_ca = /etc/ca.pem\nssl-verify-server-cert = 1\n"
	                      "[syncline-peer-3]\nhost = three\nssl-fp = ab:cd\nuser = u\n"
	                      "[syncline-peer-4]\nhost = four\n",
	                      &s, &err),
	                 ERR_OK);
	assert_int_equal(settings_connection_load(&s, &s.peers[0], &c, &err), ERR_OK);
	assert_string_equal(c.host, "192.168.10.2");
	assert_string_equal(c.user, "syncline");
	assert_string_equal(c.password, "p'w");
	assert_int_equal(c.port, 3307);
	assert_string_equal(c.ssl_ca, "/etc/ca.pem");
	assert_null(c.ssl_cert);
	assert_true(c.ssl_verify);
	settings_connection_free(&c);
	settings_connection_free(&c); /* a zeroed one */
	/* A fingerprint that was left out would leave the peer unchecked. */
	assert_int_equal(settings_connection_load(&s, &s.peers[1], &c, &err), ERR_CONFIG);
	assert_non_null(strstr(err.message, "ssl-fp"));
	assert_int_equal(settings_connection_load(&s, &s.peers[2], &c, &err), ERR_CONFIG);
	assert_non_null(strstr(err.message, "no user"));
	settings_free(&s);
}

/* The file is the owner's: a comment that is gone, or a line in the wrong group, is trust that is gone. */
static void only_one_line_changes(void **state)
{
	(void)state;
	static const struct {
		const char *before, *after;
	} rows[] = {
	    {"# top\n[syncline]\nnode-id = 1\n# engine = merge\n",
	     "# top\n[syncline]\nengine = native\nnode-id = 1\n# engine = merge\n"},
	    {"[syncline]\n  engine=merge\n# x\n", "[syncline]\n  engine=native\n# x\n"},
	    {"[syncline]\r\nnode-id = 1\r\nengine = merge\r\n", "[syncline]\r\nnode-id = 1\r\nengine = native\r\n"},
	    {"[syncline]\r\nnode-id = 1\r\n", "[syncline]\r\nengine = native\r\nnode-id = 1\r\n"},
	    {"[syncline]\nengine = 'merge'", "[syncline]\nengine = native"},
	    {"[syncline-server]\nuser = engine\n[syncline]\nnode-id = 1\n[mariadbd]\nengine = x\n",
	     "[syncline-server]\nuser = engine\n[syncline]\nengine = native\nnode-id = 1\n[mariadbd]\nengine = x\n"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf to = {0};
		settings_engine_edit(rows[i].before, ENGINE_NATIVE, &to);
		assert_string_equal(buf_str(&to), rows[i].after);
		buf_free(&to);
	}
}

static void the_file_keeps_its_mode(void **state)
{
	(void)state;
	struct settings s;
	struct stat st;
	struct err err = {0};
	write_text(NODE SERVER PEER);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(settings_engine_write(path, ENGINE_NATIVE, &err), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(settings_load(path, &s, &err), ERR_OK);
	assert_int_equal(s.engine, ENGINE_NATIVE);
	settings_free(&s);
	assert_int_equal(settings_engine_write("/nowhere/syncline.cnf", ENGINE_NATIVE, &err), ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(engines),
	    cmocka_unit_test(what_cant_work_is_refused),
	    cmocka_unit_test(a_peers_options),
	    cmocka_unit_test(only_one_line_changes),
	    cmocka_unit_test(the_file_keeps_its_mode),
	};
	return cmocka_run_group_tests_name("settings_engine", tests, set_up, tear_down);
}
