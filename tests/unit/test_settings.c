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
	assert_true(s.retention_bytes == 0);
	assert_true(s.retention_free_bytes == SETTINGS_FREE_BYTES_DEFAULT);
	settings_free(&s);
}

/* A monitoring that is refused to read what it may, or a door to the network that takes itself for a local one. */
static void http(void **state)
{
	(void)state;
	struct settings s;
	load(NODE SERVER, &s);
	assert_int_equal(s.http_listen.port, 0);
	assert_null(s.http_token_file);
	settings_free(&s);
	load(NODE "http-listen = 127.8.0.1:8047\n" SERVER, &s);
	assert_true(s.http_listen.is_loopback);
	assert_string_equal(s.http_listen.host, "127.8.0.1");
	assert_int_equal(s.http_listen.port, 8047);
	settings_free(&s);
	load(NODE "http_listen = [::1]:65535\n" SERVER, &s);
	assert_true(s.http_listen.is_loopback);
	assert_true(s.http_listen.is_ipv6);
	assert_string_equal(s.http_listen.host, "::1");
	settings_free(&s);
	load(NODE "http-listen = 0.0.0.0:1\nhttp-token-file = token\n" SERVER, &s);
	assert_false(s.http_listen.is_loopback);
	char *token = mem_printf("%s/token", dir);
	assert_string_equal(s.http_token_file, token);
	free(token);
	settings_free(&s);
}

static void check_retention(const char *value, uint64_t bytes)
{
	struct settings s;
	char *text = mem_printf("%sretention-bytes = %s\nretention_free_bytes = %s\n%s", NODE, value, value, SERVER);
	load(text, &s);
	assert_true(s.retention_bytes == bytes);
	assert_true(s.retention_free_bytes == bytes);
	settings_free(&s);
	free(text);
}

/* A limit that is taken for a thousandth of what is written makes every node that is away for a moment rejoin. */
static void bytes_have_units(void **state)
{
	(void)state;
	check_retention("0", 0);
	check_retention("4096", 4096);
	check_retention("3K", 3072);
	check_retention("4m", 4u << 20);
	check_retention("'16G'", (uint64_t)16 << 30);
	check_retention("1048576T", (uint64_t)1 << 60);
}

static void check_nodes(const char *text, size_t count, const uint32_t *nodes)
{
	struct settings s;
	load(text, &s);
	assert_int_equal(s.node_count, count);
	assert_memory_equal(s.nodes, nodes, count * sizeof *nodes);
	settings_free(&s);
}

/* A node that is left out is not waited for: what it has not seen yet would be forgotten, and its late write would overwrite. */
static void nodes_are_those_named_or_the_peers(void **state)
{
	(void)state;
	check_nodes(NODE SERVER, 1, (uint32_t[]){1});
	check_nodes("[syncline]\nnode-id = 5\nreplicate-do-db = a\nstate-dir = s\n" SERVER
	            "[syncline-peer-7]\nhost = seven\n" PEER,
	            3, (uint32_t[]){2, 5, 7});
	check_nodes("[syncline]\nnodes = 64, 2 ,1,\t3\nnode-id = 1\nreplicate-do-db = a\nstate-dir = s\n" SERVER PEER, 4,
	            (uint32_t[]){1, 2, 3, 64});
	check_nodes(NODE "nodes = '2,1'\n" SERVER PEER, 2, (uint32_t[]){1, 2});
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
    {NODE "nodes = 1,0\n" SERVER, 5, "'0' in nodes is no node id"},
    {NODE "nodes = 1,65\n" SERVER, 5, "'65' in nodes"},
    {NODE "nodes = 1,-2\n" SERVER, 5, "'-2' in nodes"},
    {NODE "nodes = 1,two\n" SERVER, 5, "'two' in nodes"},
    {NODE "nodes = 1 2\n" SERVER, 5, "'1 2' in nodes"},
    {NODE "nodes = 1,2,\n" SERVER, 5, "'' in nodes"},
    {NODE "nodes = ,1\n" SERVER, 5, "'' in nodes"},
    {NODE "nodes =\n" SERVER, 5, "has no value"},
    {NODE "nodes = 1,2,2\n" SERVER, 5, "node 2 twice"},
    {NODE "nodes = 1,2\nnodes = 3\n" SERVER, 6, "there already at line 5"},
    {NODE "nodes = 2,3\n" SERVER PEER, 5, "lacks 1, this node's own"},
    {NODE "nodes = 1,3\n" SERVER PEER, 5, "lacks 2, which has a group [syncline-peer-2]"},
    /* retention */
    {NODE "retention-bytes = G\n", 5, "give a number of bytes"},
    {NODE "retention-bytes = -1\n", 5, "give a number of bytes"},
    {NODE "sync-metadata-period = 5s\n", 5, "give a number of seconds"},
    {NODE "sync-metadata-period = 86401\n", 5, "give a number of seconds"},
    {NODE "retention-bytes = 4GB\n", 5, "give a number of bytes"},
    {NODE "retention-bytes = 4 G\n", 5, "give a number of bytes"},
    {NODE "retention-bytes = 1.5G\n", 5, "give a number of bytes"},
    {NODE "retention-bytes = 1048577T\n", 5, "give a number of bytes"},
    {NODE "retention-bytes = 99999999999999999999\n", 5, "give a number of bytes"},
    {NODE "retention-free-bytes = 10%\n", 5, "give a number of bytes"},
    /* HTTP: what isn't surely this machine alone must not be taken for it */
    {NODE "http-listen = 8047\n", 5, "give an address in numbers"},
    {NODE "http-listen = localhost:8047\n", 5, "give an address in numbers"},
    {NODE "http-listen = 127.0.0.1\n", 5, "give an address in numbers"},
    {NODE "http-listen = 127.0.0.1:\n", 5, "give an address in numbers"},
    {NODE "http-listen = 127.0.0.1:0\n", 5, "give an address in numbers"},
    {NODE "http-listen = 127.0.0.1:65536\n", 5, "give an address in numbers"},
    {NODE "http-listen = 127.0.0.1:+80\n", 5, "give an address in numbers"},
    {NODE "http-listen = 127.1:8047\n", 5, "give an address in numbers"},
    {NODE "http-listen = ::1:8047\n", 5, "give an address in numbers"},
    {NODE "http-listen = [::1]\n", 5, "give an address in numbers"},
    {NODE "http-listen = [::1\n", 5, "give an address in numbers"},
    {NODE "http-listen = [127.0.0.1]:8047\n", 5, "give an address in numbers"},
    {NODE "http-listen = 0.0.0.0:8047\n" SERVER, 5, "add http-token-file"},
    {NODE "http-listen = [::]:8047\n" SERVER, 5, "add http-token-file"},
    {NODE "http-listen = [::ffff:127.0.0.1]:8047\n" SERVER, 5, "add http-token-file"},
    {NODE "http-listen = 128.0.0.1:8047\n" SERVER, 5, "add http-token-file"},
    {NODE "http-token-file =\n", 5, "has no value"},
    /* policies */
    {NODE "conflict-policy = gates\n", 5, "write DB: POLICY"},
    {NODE "conflict-policy = gates.: max\n", 5, "write DB: POLICY"},
    {NODE "conflict-policy = gates.t.a,: max\n", 5, "write DB: POLICY"},
    {NODE "conflict-policy = gates.`t: max\n", 5, "write DB: POLICY"},
    {NODE "conflict-policy = gates.t.a.b: max\n", 5, "write DB: POLICY"},
    {NODE "conflict-policy = gates:\n", 5, "unknown policy ''"},
    {NODE "conflict-policy = gates: newest\n", 5, "unknown policy 'newest'"},
    {NODE "conflict-policy = gates: delete_wins\n", 5, "unknown policy 'delete_wins'"},
    {NODE "conflict-policy = gates: last_update_wins 2\n", 5, "'2' stands behind last_update_wins"},
    {NODE "conflict-policy = gates: error row row\n", 5, "'row' stands behind error"},
    {NODE "conflict-policy = gates: site_priority\n", 5, "has no nodes"},
    {NODE "conflict-policy = gates: site_priority 65\n", 5, "from 1 to 64"},
    {NODE "conflict-policy = gates: site_priority 1 2 1\n", 5, "each once"},
    {NODE "conflict-policy = gates: site_priority 0\n", 5, "from 1 to 64"},
    {NODE "conflict-policy = gates: site_priority 4294967297\n", 5, "from 1 to 64"},
    {NODE "conflict-policy = gates.t: max\n", 5, "is for one column"},
    {NODE "conflict-policy = gates.t.a,b: delta_apply\n", 5, "is for one column"},
    {NODE "conflict-policy = gates.t.a: error row\n", 5, "'row' is for whole tables"},
    {NODE "conflict-policy = gates.t.a,A: error\n", 5, "there twice"},
    {NODE "conflict-policy = gates.t.a: max\nconflict-policy = gates.t.b,a: error\n", 6, "already at line 5"},
    {NODE "conflict-policy = gates.t: error\nconflict-policy = gates.t: error\n", 6, "already at line 5"},
    {NODE "conflict-policy = doors.t: error\n" SERVER, 5, "isn't replicated"},
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

/* ---- Policies ---- */

static const struct column columns[] = {
    {.name = "id", .type = COLUMN_LONG},
    {.name = "card", .type = COLUMN_VARCHAR},
    {.name = "owner", .type = COLUMN_LONG},
    {.name = "street", .type = COLUMN_VARCHAR},
    {.name = "town", .type = COLUMN_VARCHAR},
    {.name = "visits", .type = COLUMN_LONGLONG, .is_unsigned = true},
    {.name = "balance", .type = COLUMN_NEWDECIMAL, .metadata = 10 << 8 | 2},
    {.name = "level", .type = COLUMN_TINY, .nullable = true},
    {.name = "place", .type = COLUMN_GEOMETRY},
};
enum { ID, CARD, OWNER, STREET, TOWN, VISITS, BALANCE, LEVEL, PLACE, COLUMNS };
static const struct merge_columns primary_key = {.count = 1, .columns = (const uint32_t[]){ID}};
static const struct merge_columns card_index = {.count = 1, .columns = (const uint32_t[]){CARD}};
static const struct merge_reference owner_reference = {.columns = {.count = 1, .columns = (const uint32_t[]){OWNER}}};

static struct merge_table person(void)
{
	return (struct merge_table){.column_count = COLUMNS,
	                            .key = primary_key,
	                            .unique_count = 1,
	                            .uniques = &card_index,
	                            .reference_count = 1,
	                            .references = &owner_reference};
}

static void load_policies(const char *lines, struct settings *settings)
{
	char *text = mem_printf("%s%s%s", NODE, lines, SERVER);
	load(text, settings);
	free(text);
}

/* Without it a shop's stock is resolved by the policy of another column, or of a table next to it. */
static void the_most_specific_policy_counts(void **state)
{
	(void)state;
	struct settings s;
	struct err err = {0};
	load_policies("conflict-policy = gates: site_priority 2 1\n"
	              "conflict_policy = 'gates.person: first_update_wins row'\n"
	              "conflict-policy = gates.person.street , TOWN: last_update_wins\n"
	              "conflict-policy = gates.person.visits: delta_apply\n"
	              "conflict-policy = `gates`.`person`.`level`: min\n"
	              "conflict-policy = gates.`a.b``c`: error\n",
	              &s);
	struct merge_table t = person();
	assert_int_equal(settings_policies_fill(&s, "gates", "person", columns, &t, &err), ERR_OK);
	static const enum merge_policy expected[COLUMNS] = {
	    [ID] = MERGE_LAST_UPDATE_WINS,       [CARD] = MERGE_FIRST_UPDATE_WINS,
	    [OWNER] = MERGE_FIRST_UPDATE_WINS,   [STREET] = MERGE_LAST_UPDATE_WINS,
	    [TOWN] = MERGE_LAST_UPDATE_WINS,     [VISITS] = MERGE_DELTA_APPLY,
	    [BALANCE] = MERGE_FIRST_UPDATE_WINS, [LEVEL] = MERGE_MIN,
	    [PLACE] = MERGE_FIRST_UPDATE_WINS};
	for (int c = 0; c < COLUMNS; c++)
		assert_int_equal(t.policies[c].policy, expected[c]);
	for (int c = 0; c < COLUMNS; c++)
		for (int d = 0; d < c; d++) {
			bool in_row = c != ID && c != STREET && c != TOWN && c != VISITS && c != LEVEL && d != ID && d != STREET &&
			              d != TOWN && d != VISITS && d != LEVEL;
			assert_int_equal(t.groups[c] == t.groups[d], in_row || (c == TOWN && d == STREET));
		}
	assert_int_equal(t.policies[VISITS].type.order, MERGE_ORDER_INTEGER);
	assert_true(t.policies[VISITS].type.is_unsigned);
	settings_policies_free(&t);

	assert_int_equal(settings_policies_fill(&s, "gates", "other", columns, &t, &err), ERR_OK);
	assert_int_equal(t.policies[CARD].policy, MERGE_SITE_PRIORITY);
	assert_int_equal(t.policies[CARD].site_count, 2);
	assert_int_equal(t.policies[CARD].sites[0], 2);
	assert_int_not_equal(t.groups[STREET], t.groups[TOWN]);
	settings_policies_free(&t);
	t.unique_count = t.reference_count = 0;
	assert_int_equal(settings_policies_fill(&s, "gates", "a.b`c", columns, &t, &err), ERR_OK);
	assert_int_equal(t.policies[STREET].policy, MERGE_ERROR);
	settings_policies_free(&t);
	assert_int_equal(settings_policies_fill(&s, "doors", "person", columns, &t, &err), ERR_OK);
	assert_null(t.policies);
	assert_null(t.groups);
	settings_free(&s);
}

/* A column that can't have its policy would be resolved otherwise than its operator believes. */
static void what_a_column_cant_have_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *line, *says;
	} cases[] = {
	    {"gates.person.card: max", "column 'card' of gates.person, which is in a unique index"},
	    {"gates.person: error", "column 'card' of gates.person, which is in a unique index"},
	    {"gates: error", "column 'card' of gates.person, which is in a unique index"},
	    {"gates.person.owner: delta_apply", "which is in a foreign key"},
	    {"gates.person.place: min", "has no order"},
	    {"gates.person.level: delta_apply", "NOT NULL"},
	    {"gates.person.street: delta_apply", "an integer or DECIMAL"},
	    {"gates.person.stret: max", "no column 'stret' in gates.person"},
	    {"gates.person.town,id: error", "column 'id' of gates.person is in the primary key"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct settings s;
		struct err err = {0};
		struct merge_table t = person();
		char *line = mem_printf("conflict-policy = %s\n", cases[i].line), *start = mem_printf("%s:5: ", path);
		load_policies(line, &s);
		if (settings_policies_fill(&s, "gates", "person", columns, &t, &err) != ERR_CONFIG)
			fail_msg("taken: %s", cases[i].line);
		if (strncmp(err.message, start, strlen(start)) != 0 || strstr(err.message, cases[i].says) == NULL)
			fail_msg("for %s expected '%s…%s', got '%s'", cases[i].line, start, cases[i].says, err.message);
		assert_null(t.policies);
		assert_null(t.groups);
		settings_free(&s);
		free(line);
		free(start);
	}
}

static uint64_t hash_of(const char *lines, const char *table)
{
	struct settings s;
	load_policies(lines, &s);
	uint64_t hash = settings_policy_hash(&s, "gates", table);
	settings_free(&s);
	return hash;
}

/* Two nodes with different policies show different rows for ever, with a green status; and nodes whose settings only
 * look different must not be stopped. */
static void equal_policies_have_equal_hashes(void **state)
{
	(void)state;
	static const char *const equal[][2] = {
	    {"", "conflict-policy = gates.other: error\n"},
	    {"", "conflict-policy = gates: last_update_wins\n"},
	    {"", "conflict-policy = gates.t.a: last_update_wins\n"},
	    {"conflict-policy = gates: error\n", "conflict-policy = gates.t: error\n"},
	    {"conflict-policy = gates: error\n",
	     "conflict-policy = gates: site_priority 1\nconflict-policy = gates.t: error\n"},
	    {"conflict-policy = gates.t.a,b: error\nconflict-policy = gates.t.c: max\n",
	     "conflict-policy = gates.t.C: max\nconflict-policy = gates.t.B,A: error\n"},
	};
	static const char *const all[] = {
	    "",
	    "conflict-policy = gates.t: error\n",
	    "conflict-policy = gates.t: last_update_wins row\n",
	    "conflict-policy = gates.t: last_update_wins row\nconflict-policy = gates.t.a: last_update_wins\n",
	    "conflict-policy = gates.t: site_priority 1 2\n",
	    "conflict-policy = gates.t: site_priority 2 1\n",
	    "conflict-policy = gates.t: site_priority 2 1\nconflict-policy = gates.t.a: site_priority 1 2\n",
	    "conflict-policy = gates.t.a: max\n",
	    "conflict-policy = gates.t.b: max\n",
	    "conflict-policy = gates.t.a: min\n",
	    "conflict-policy = gates.t.a,b: last_update_wins\n",
	    "conflict-policy = gates.t.a,b,c: last_update_wins\n",
	    "conflict-policy = gates.t.ab,c: last_update_wins\n",
	};
	for (size_t i = 0; i < sizeof equal / sizeof *equal; i++)
		assert_int_equal(hash_of(equal[i][0], "t"), hash_of(equal[i][1], "t"));
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(hash_of(all[i], "t"), hash_of(all[j], "t"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything),
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(bytes_have_units),
	    cmocka_unit_test(nodes_are_those_named_or_the_peers),
	    cmocka_unit_test(http),
	    cmocka_unit_test(wrong_files_are_refused),
	    cmocka_unit_test(wrong_bytes_are_refused),
	    cmocka_unit_test(missing_file),
	    cmocka_unit_test(password_needs_a_closed_file),
	    cmocka_unit_test(the_most_specific_policy_counts),
	    cmocka_unit_test(what_a_column_cant_have_is_refused),
	    cmocka_unit_test(equal_policies_have_equal_hashes),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
