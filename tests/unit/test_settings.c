/* The settings file: what is taken, and that everything else is refused with the line and the way to mend it. */
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
#include "node/settings.h"

static char dir[] = "/tmp/test_settings_XXXXXX";
static char *path;

#define NODE "[syncline]\nnode-id = 1\nreplicate-do-db = gates\nstate-dir = state\n"
#define SERVER "[syncline-server]\nsocket = /run/mysqld/mysqld.sock\n"
#define PEER "[syncline-peer-2]\nhost = 192.168.10.2\n"

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

static void write_text(const char *text, size_t size, mode_t mode)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void load(const char *text, struct settings *settings)
{
	struct err err = {0};
	write_text(text, strlen(text), 0600);
	if (settings_load(path, settings, &err) != ERR_OK)
		fail_msg("%s", err.message);
}

static void everything(void **state)
{
	(void)state;
	struct settings s;
	load("# a comment\n"
	     "; another\r\n"
	     "\n"
	     "[syncline]\r\n"
	     "  node_id=7\n"
	     "\treplicate-do-db = gates\n"
	     "replicate_do_db = 'two words #2'\n"
	     "state-dir = \"my state\"\n"
	     "datadir = /srv/data\n"
	     "log_level = debug\n"
	     "[syncline-server]\n"
	     "socket = /srv/mariadb.sock\n"
	     "user = root\n"
	     "[mariadbd]\n"
	     "bind_address = 192.168.10.1\n"
	     "skip-name-resolve\n"
	     "[syncline-peer-64]\n"
	     "host = fd00::2\n"
	     "port = 3307\n"
	     "password = 'a#b\\'c'\n"
	     "ssl-verify-server-cert = 1\n"
	     "ssl_ca = /etc/ca.pem\n"
	     "[syncline-peer-1]\n"
	     "host = 192.168.10.2", /* no line break at the end */
	     &s);
	assert_string_equal(s.file, path);
	assert_int_equal(s.node_id, 7);
	assert_int_equal(s.database_count, 2);
	assert_true(settings_replicates(&s, "gates"));
	assert_true(settings_replicates(&s, "two words #2"));
	assert_false(settings_replicates(&s, "Gates"));
	assert_string_equal(s.datadir, "/srv/data");
	char *state_dir = mem_printf("%s/my state", dir);
	assert_string_equal(s.state_dir, state_dir);
	free(state_dir);
	assert_int_equal(s.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(s.server_group, "syncline-server");
	assert_string_equal(s.server_where, "/srv/mariadb.sock");
	assert_int_equal(s.server_option_count, 2);
	assert_string_equal(s.server_options[0], "bind-address=192.168.10.1");
	assert_string_equal(s.server_options[1], "skip-name-resolve");
	assert_int_equal(s.peer_count, 2);
	assert_int_equal(s.peers[0].node_id, 64);
	assert_string_equal(s.peers[0].group, "syncline-peer-64");
	assert_string_equal(s.peers[0].where, "[fd00::2]:3307");
	assert_string_equal(s.peers[1].where, "192.168.10.2:3306");
	settings_free(&s);
	settings_free(&s); /* a zeroed one */
}

static void defaults(void **state)
{
	(void)state;
	struct settings s;
	load(NODE SERVER PEER, &s);
	assert_int_equal(s.log_level, LOG_LEVEL_INFO);
	assert_null(s.datadir);
	assert_int_equal(s.server_option_count, 0);
	settings_free(&s);
}

struct refusal {
	const char *text;
	unsigned line;    /* 0: about the whole file */
	const char *says; /* part of the message */
};

static const struct refusal refusals[] = {
    /* lines */
    {"node-id = 1\n", 1, "before the first group"},
    {NODE "[client]\n", 5, "unknown group [client]"},
    {NODE "[syncline-peer2]\n", 5, "unknown group"},
    {NODE "[ syncline-server ]\n", 5, "unknown group"},
    {NODE "[syncline-server\n", 5, "is no group"},
    {NODE "[syncline-server] # mine\n", 5, "is no group"},
    {NODE "[syncline]\n", 5, "there already at line 1"},
    {NODE "!include /etc/my.cnf\n", 5, "!include"},
    {NODE "colour = red\n", 5, "unknown option 'colour'"},
    {NODE "log-level\n", 5, "has no value"},
    {NODE "log-level =\n", 5, "has no value"},
    {NODE "log-level = ''\n", 5, "has no value"},
    {NODE "node-id = 2\n", 5, "there already at line 2"},
    {NODE "log-level = info # for now\n", 5, "line of its own"},
    {NODE "log-level = 'info\n", 5, "quote is not closed"},
    {NODE "log-level = '\n", 5, "quote is not closed"},
    {NODE "log-level = in\033fo\n", 5, "control character"},
    {NODE "log-level = loud\n", 5, "error, warning, info or debug"},
    /* this node */
    {"[syncline]\nnode-id = 0\n", 2, "from 1 to 64"},
    {"[syncline]\nnode-id = 65\n", 2, "from 1 to 64"},
    {"[syncline]\nnode-id = -1\n", 2, "from 1 to 64"},
    {"[syncline]\nnode-id = 1x\n", 2, "from 1 to 64"},
    {"[syncline]\nnode-id = 4294967297\n", 2, "from 1 to 64"},
    {NODE "replicate-do-db = gates\n", 5, "there twice"},
    {NODE "replicate-do-db = mysql\n", 5, "can't be replicated"},
    {NODE "replicate-do-db = Syncline\n", 5, "can't be replicated"},
    {SERVER PEER, 5, "no [syncline] group"},
    {"[syncline]\nreplicate-do-db = a\nstate-dir = s\n" SERVER, 1, "no node-id"},
    {"[syncline]\nnode-id = 1\nstate-dir = s\n" SERVER, 1, "no replicate-do-db"},
    {"[syncline]\nnode-id = 1\nreplicate-do-db = a\n" SERVER, 1, "no state-dir"},
    {NODE PEER, 7, "no [syncline-server]"},
    {"", 1, "no [syncline] group"},
    /* servers */
    {NODE "[syncline-server]\nuser = root\n", 5, "neither socket nor host"},
    {NODE "[syncline-server]\nsocket = /s\nhost = h\n", 5, "both socket and host"},
    {NODE "[syncline-server]\nsocket = /s\nport = 3306\n", 5, "a port goes with a host"},
    {NODE "[syncline-server]\nsocket = s\n", 6, "starting with /"},
    {NODE "[syncline-server]\nhost = localhost\n", 6, "default socket"},
    {NODE "[syncline-server]\nhost = h\nport = 0\n", 7, "from 1 to 65535"},
    {NODE "[syncline-server]\nhost = h\nport = 65536\n", 7, "from 1 to 65535"},
    {NODE "[syncline-server]\nhost = h\nssl-verify-server-cert = on\n", 7, "give 1 or 0"},
    {NODE "[syncline-server]\nhost = h\nssl-ca = ca.pem\n", 7, "starting with /"},
    {NODE "[syncline-server]\nhost = h\nssl-fp = xyz\n", 7, "no fingerprint"},
    {NODE "[syncline-server]\nhost = h\ninit-command = DROP DATABASE x\n", 7, "unknown option 'init-command'"},
    /* peers */
    {NODE SERVER "[syncline-peer-0]\nhost = h\n", 7, "no node id"},
    {NODE SERVER "[syncline-peer-02]\nhost = h\n", 7, "no node id"},
    {NODE SERVER "[syncline-peer-65]\nhost = h\n", 7, "no node id"},
    {NODE SERVER PEER "[syncline-peer-2]\nhost = h\n", 9, "there already at line 7"},
    {NODE SERVER "[syncline-peer-1]\nhost = h\n", 7, "this node's own node-id"},
    {NODE SERVER PEER "[syncline-peer-3]\nhost = 192.168.10.2\nport = 3306\n", 9, "the same server"},
    {NODE SERVER "[syncline-peer-2]\nsocket = /run/mysqld/mysqld.sock\n", 7, "this node's own server"},
    /* a private server */
    {NODE "datadir = d\n[syncline-server]\nhost = h\n", 6, "give socket"},
    {NODE SERVER PEER "[mariadbd]\nport = 3306\n", 9, "add datadir"},
    {NODE "datadir = d\n[mariadbd]\ndatadir = /elsewhere\n", 7, "set by syncline"},
    {NODE "datadir = d\n[mariadbd]\nPid_File = /elsewhere\n", 7, "set by syncline"},
    {NODE "datadir = d\n[mariadbd]\n= 3\n", 7, "no option's name"},
};

static void wrong_files_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		const struct refusal *r = &refusals[i];
		struct settings s = {.node_id = 99};
		struct err err = {0};
		write_text(r->text, strlen(r->text), 0600);
		if (settings_load(path, &s, &err) != ERR_CONFIG)
			fail_msg("taken: %s", r->text);
		char *start = mem_printf("%s:%u: ", path, r->line);
		if (strncmp(err.message, start, strlen(start)) != 0 || strstr(err.message, r->says) == NULL)
			fail_msg("for\n%s\nexpected '%s…%s', got '%s'", r->text, start, r->says, err.message);
		assert_null(strchr(err.message, '\n'));
		assert_int_equal(s.node_id, 99); /* untouched */
		free(start);
	}
}

static void refuse_bytes(const char *text, size_t size, const char *says)
{
	struct settings s;
	struct err err = {0};
	write_text(text, size, 0600);
	assert_int_equal(settings_load(path, &s, &err), ERR_CONFIG);
	assert_non_null(strstr(err.message, says));
}

static void wrong_bytes_are_refused(void **state)
{
	(void)state;
	static const char nul[] = NODE "log-level = in\0fo\n";
	refuse_bytes(nul, sizeof nul - 1, "NUL");
	char *line = mem_alloc(3000);
	snprintf(line, 3000, "%slog-level = %01500d\n", NODE, 7);
	refuse_bytes(line, strlen(line), "shorten it");
	free(line);
	char *huge = mem_alloc((1 << 20) + 2);
	memset(huge, '#', (1 << 20) + 1);
	refuse_bytes(huge, (1 << 20) + 1, "no option file");
	free(huge);
	line = mem_printf("%s[syncline-server]\nsocket = /%0120d\n", NODE, 7);
	refuse_bytes(line, strlen(line), "107 bytes");
	free(line);
}

static void missing_file(void **state)
{
	(void)state;
	struct settings s;
	struct err err = {0};
	assert_int_equal(settings_load("/nowhere/syncline.cnf", &s, &err), ERR_CONFIG);
	assert_non_null(strstr(err.message, "/nowhere/syncline.cnf: "));
	assert_int_equal(settings_load("/tmp", &s, &err), ERR_CONFIG);
	assert_non_null(strstr(err.message, "no option file"));
}

static void password_needs_a_closed_file(void **state)
{
	(void)state;
	static const char text[] = NODE "[syncline-server]\nhost = h\npassword = secret\n" PEER;
	struct settings s;
	struct err err = {0};
	write_text(text, sizeof text - 1, 0644);
	assert_int_equal(settings_load(path, &s, &err), ERR_CONFIG);
	assert_non_null(strstr(err.message, "chmod 600"));
	assert_null(strstr(err.message, "secret"));
	write_text(text, sizeof text - 1, 0640);
	assert_int_equal(settings_load(path, &s, &err), ERR_OK);
	settings_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything),
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(wrong_files_are_refused),
	    cmocka_unit_test(wrong_bytes_are_refused),
	    cmocka_unit_test(missing_file),
	    cmocka_unit_test(password_needs_a_closed_file),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
