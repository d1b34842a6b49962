/* The doctor's checks: each condition by itself in a pair of nodes that is otherwise well, and its code, and nothing
 * else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "doctor/check.h"
#include "doctor/show.h"
#include "sql/requirements.h"

enum { VARIABLES = 24 };

static const char *doctor_md = "docs/doctor.md";

static const struct variable_facts healthy[] = {
    {"version", "10.11.19-MariaDB-log"},
    {"server_id", "1"},
    {"log_bin", "ON"},
    {"binlog_format", "ROW"},
    {"binlog_row_image", "FULL"},
    {"binlog_row_metadata", "FULL"},
    {"gtid_domain_id", "1"},
    {"sync_binlog", "1"},
    {"innodb_flush_log_at_trx_commit", "1"},
    {"auto_increment_increment", "2"},
    {"auto_increment_offset", "1"},
    {"max_allowed_packet", "1073741824"},
    {"log_bin_trust_function_creators", "ON"},
    {"binlog_expire_logs_seconds", "0"},
    {"slave_run_triggers_for_rbr", "NO"},
    {"event_scheduler", "OFF"},
    {"bind_address", "0.0.0.0"},
    {"skip_networking", "OFF"},
    {"have_ssl", "YES"},
};
enum { HEALTHY = sizeof healthy / sizeof *healthy };

static struct grant_facts all_grants[] = {{"ALL PRIVILEGES", "*.*"}};
static struct grant_facts peer_grants[] = {
    {"REPLICATION SLAVE, BINLOG MONITOR", "*.*"}, {"SELECT", "`syncline`.*"}, {"REFERENCES", "`sh\\_op`.*"}};
static struct table_facts tables[] = {{"sh_op", "t", "InnoDB", true, "CREATE TABLE `t` (\n  `a` int\n) ENGINE=InnoDB"}};

/* Node 1, its peer 2 and their database sh_op, all well; a test changes something in it. */
struct world {
	struct settings settings;
	char *databases[1];
	const char *seen[1];
	struct variable_facts variables[2][VARIABLES];
	struct facts facts;
	struct findings found;
};

static void set(struct server_facts *server, const char *name, const char *value)
{
	for (size_t i = 0; i < server->variable_count; i++)
		if (strcmp(server->variables[i].name, name) == 0)
			server->variables[i].value = value;
}

static void make_server(struct world *w, struct server_facts *server, uint32_t node)
{
	memcpy(w->variables[node - 1], healthy, sizeof healthy);
	*server = (struct server_facts){
	    .node = node,
	    .where = node == 1 ? "/run/mysqld/mysqld.sock" : "192.168.10.2:3306",
	    .account = node == 1 ? "'root'@'localhost'" : "'syncline'@'192.168.10.1'",
	    .is_reached = true,
	    .is_encrypted = true,
	    .variable_count = HEALTHY,
	    .variables = w->variables[node - 1],
	    .grant_count = node == 1 ? 1 : 3,
	    .grants = node == 1 ? all_grants : peer_grants,
	    .database_count = 1,
	    .databases = w->seen,
	    .table_count = 1,
	    .tables = tables,
	};
	if (node == 2) {
		set(server, "server_id", "2");
		set(server, "gtid_domain_id", "2");
		set(server, "auto_increment_offset", "2");
	}
}

static int set_up(void **state)
{
	static struct world world;
	static char database[] = "sh_op", file[] = "/etc/syncline.cnf";
	struct world *w = &world;
	*w = (struct world){.settings = {.file = file, .node_id = 1, .node_count = 2, .nodes = {1, 2}}};
	w->databases[0] = database;
	w->seen[0] = database;
	w->settings.database_count = 1;
	w->settings.databases = w->databases;
	w->facts.settings = &w->settings;
	w->facts.peer_count = 1;
	make_server(w, &w->facts.own, 1);
	make_server(w, &w->facts.peers[0], 2);
	w->facts.peers[0].has_policies = true;
	w->facts.peers[0].policies_differ = "";
	w->facts.peers[0].published_count = 1;
	w->facts.peers[0].published = w->seen;
	w->facts.daemon = (struct daemon_facts){.is_running = true,
	                                        .server_state = "live",
	                                        .server_why = "",
	                                        .link_count = 1,
	                                        .links = {{2, false, "live", "", ""}}};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	findings_free(&w->found);
	return 0;
}

/* Exactly these codes, "SL001 SL002", in the order in which they are shown. */
static void expect(struct world *w, const char *codes)
{
	struct buf text = {0};
	findings_free(&w->found);
	check_all(&w->facts, &w->found);
	for (size_t i = 0; i < w->found.count; i++)
		buf_printf(&text, "%s%s", i > 0 ? " " : "", finding_code_text(w->found.rows[i].code));
	assert_string_equal(buf_str(&text), codes);
	buf_free(&text);
}

static void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("'%s' is not in: %s", part, text);
}

/* An operator who gets findings for a pair that is well stops reading them. */
static void test_nothing_is_wrong(void **state)
{
	struct world *w = *state;
	expect(w, "");
	assert_int_equal(findings_exit_status(&w->found), 0);
}

/* A variable that is wrong and not told about loses writes in the next power cut, or stops a link at night. */
static void test_variables(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *name, *value, *codes, *statement;
		int status;
	} rows[] = {
	    {"log_bin", "OFF", "SL001", NULL, 2},
	    {"binlog_format", "MIXED", "SL002", "SET GLOBAL binlog_format = ROW", 2},
	    {"binlog_row_image", "MINIMAL", "SL003", "SET GLOBAL binlog_row_image = FULL", 2},
	    {"binlog_row_metadata", "NO_LOG", "SL004", "SET GLOBAL binlog_row_metadata = FULL", 2},
	    {"server_id", "7", "SL005", NULL, 2},
	    {"gtid_domain_id", "0", "SL006", NULL, 2},
	    {"sync_binlog", "0", "SL007", "SET GLOBAL sync_binlog = 1", 1},
	    {"innodb_flush_log_at_trx_commit", "2", "SL008", "SET GLOBAL innodb_flush_log_at_trx_commit = 1", 1},
	    {"auto_increment_offset", "3", "SL010", "SET GLOBAL auto_increment_offset = 1", 2},
	    {"max_allowed_packet", "16777216", "SL011", "SET GLOBAL max_allowed_packet = 1073741824", 1},
	    {"log_bin_trust_function_creators", "OFF", "SL012", "SET GLOBAL log_bin_trust_function_creators = ON", 1},
	    {"binlog_expire_logs_seconds", "864000", "SL013", "SET GLOBAL binlog_expire_logs_seconds = 0", 1},
	    {"slave_run_triggers_for_rbr", "YES", "SL014", "SET GLOBAL slave_run_triggers_for_rbr = NO", 2},
	    {"version", "10.5.1-MariaDB", "SL020 SL021", NULL, 2},
	    {"version", "8.0.33", "SL020", NULL, 2},
	    {"version", "11.4.2-MariaDB", "SL021", NULL, 1},
	    {"skip_networking", "ON", "SL022", NULL, 2},
	    {"bind_address", "127.0.0.1", "SL023", NULL, 1},
	    {"bind_address", "::1,127.0.0.1", "SL023", NULL, 1},
	    {"bind_address", "192.168.10.1", "SL024", NULL, 0},
	    {"bind_address", "127.0.0.2", "SL023 SL024", NULL, 1},
	    {"bind_address", "192.168.10.1,127.0.0.1", "", NULL, 0},
	    {"bind_address", "*", "", NULL, 0},
	    {"bind_address", "", "", NULL, 0},
	    {"have_ssl", "DISABLED", "SL025", NULL, 1},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *before = facts_variable(&w->facts.own, rows[i].name);
		set(&w->facts.own, rows[i].name, rows[i].value);
		expect(w, rows[i].codes);
		assert_int_equal(findings_exit_status(&w->found), rows[i].status);
		if (rows[i].statement != NULL)
			assert_string_equal(w->found.rows[0].statement, rows[i].statement);
		else if (w->found.count > 0)
			assert_null(w->found.rows[0].statement);
		set(&w->facts.own, rows[i].name, before);
	}
}

/* auto_increment_increment = 1 on one node makes two rows of one number on two nodes; one of them is lost. A peer's
 * values are the peer's doctor's to judge, but for those that give out one number with this node's. */
static void test_numbers(void **state)
{
	struct world *w = *state;
	set(&w->facts.own, "auto_increment_increment", "1");
	expect(w, "SL009 SL053");
	set(&w->facts.own, "auto_increment_increment", "4");
	expect(w, ""); /* 1 5 9 and 2 4 6 */
	set(&w->facts.own, "auto_increment_offset", "2");
	expect(w, "SL010 SL053");
	set(&w->facts.own, "auto_increment_offset", "1");
	set(&w->facts.peers[0], "auto_increment_increment", "3"); /* 1 5 and 2 5 */
	expect(w, "SL053");
	w->settings.nodes[1] = 5; /* the highest number counts, not how many there are */
	set(&w->facts.peers[0], "auto_increment_increment", "2");
	expect(w, "SL009");
	assert_string_equal(w->found.rows[0].statement, "SET GLOBAL auto_increment_increment = 5");
}

/* With a private server the option has to go into the file that the server is made from, or the next start forgets it;
 * on a peer this node's --fix must not try. */
static void test_where_an_option_goes(void **state)
{
	struct world *w = *state;
	char datadir[] = "/srv/data";
	set(&w->facts.own, "sync_binlog", "0");
	expect(w, "SL007");
	assert_has(w->found.rows[0].fix, "put sync_binlog = 1 under [mysqld]");
	w->settings.datadir = datadir;
	expect(w, "SL007");
	assert_string_equal(w->found.rows[0].permanent, "put sync_binlog = 1 under [mariadbd] in /etc/syncline.cnf");
	set(&w->facts.own, "sync_binlog", "1");
	set(&w->facts.peers[0], "sync_binlog", "0");
	expect(w, "");
	set(&w->facts.peers[0], "binlog_format", "STATEMENT");
	expect(w, "SL002");
	assert_int_equal(w->found.rows[0].node, 2);
	assert_has(w->found.rows[0].fix, "on node 2");
	assert_null(w->found.rows[0].statement);
}

/* A server copied with its my.cnf: both nodes take the other's writes for their own and pass them over, in silence. */
static void test_two_nodes_with_one_id(void **state)
{
	struct world *w = *state;
	set(&w->facts.peers[0], "server_id", "1");
	expect(w, "SL005 SL051");
	assert_int_equal(w->found.rows[1].node, 2);
	set(&w->facts.peers[0], "server_id", "2");
	set(&w->facts.peers[0], "gtid_domain_id", "1");
	expect(w, "SL006 SL052");
}

/* A database that the log leaves out looks replicated and isn't. */
static void test_log_filters(void **state)
{
	struct world *w = *state;
	w->facts.own.left_out_count = 1;
	w->facts.own.left_out = w->seen;
	expect(w, "SL015");
}

/* A link over the open network that nobody knows to be in clear text; one through a socket or a tunnel is nobody's
 * concern. */
static void test_network(void **state)
{
	struct world *w = *state;
	struct server_facts *peer = &w->facts.peers[0];
	peer->is_encrypted = false;
	expect(w, "SL026");
	set(&w->facts.own, "bind_address", "127.0.0.1");
	set(&w->facts.own, "have_ssl", "DISABLED");
	static const char *const near[] = {"/run/b.sock", "127.0.0.1:3307", "[::1]:3307"};
	for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
		peer->where = near[i];
		expect(w, "");
	}
}

/* An account that lacks one privilege works until the statement comes that needs it. */
static void test_privileges(void **state)
{
	struct world *w = *state;
	struct server_facts *own = &w->facts.own, *peer = &w->facts.peers[0];
	struct grant_facts few[] = {{"SELECT, INSERT", "*.*"}};
	own->grants = few;
	expect(w, "SL027 SL027 SL027"); /* everywhere, in sh_op, in syncline */
	assert_has(w->found.rows[0].fix, "BINLOG ADMIN, BINLOG REPLAY, SET USER, PROCESS ON *.* TO 'root'@'localhost'");
	assert_has(w->found.rows[1].fix, "GRANT UPDATE, DELETE");
	assert_has(w->found.rows[1].fix, " ON `sh\\_op`.* TO "); /* or it would be granted on shxop as well */
	struct grant_facts enough[] = {{"SUPER, PROCESS, REPLICATION SLAVE, BINLOG MONITOR", "*.*"},
	                               {"ALL PRIVILEGES", "`syncline`.*"},
	                               {"ALL PRIVILEGES", "`sh\\_op`.*"}};
	own->grants = enough;
	own->grant_count = 3;
	expect(w, "");
	set(own, "version", "11.0.2-MariaDB"); /* SUPER no longer has what has a privilege of its own */
	set(peer, "version", "11.0.2-MariaDB");
	expect(w, "SL027");
	own->grants = all_grants;
	own->grant_count = 1;
	peer->grant_count = 1;
	peer->table_count = peer->database_count = 0;
	expect(w, "SL028 SL059");
	assert_has(w->found.rows[0].fix, "on node 2: GRANT SELECT ON `syncline`.* TO 'syncline'@'192.168.10.1'");
	peer->grants = few;
	expect(w, "SL028 SL057"); /* SELECT everywhere: what it doesn't see isn't there */
}

/* A name with a backtick or an underscore in a grant is one database's, not another's. */
static void test_scopes(void **state)
{
	(void)state;
	struct grant_facts grants[] = {{"SELECT", "`a``b`.*"}, {"INSERT, CREATE VIEW", "`c\\_d`.*"}};
	struct server_facts server = {.grant_count = 2, .grants = grants};
	assert_true(facts_is_granted(&server, "SELECT", "a`b"));
	assert_true(facts_is_granted(&server, "CREATE VIEW", "c_d"));
	assert_false(facts_is_granted(&server, "CREATE", "c_d"));
	assert_false(facts_is_granted(&server, "INSERT", "cxd"));
	assert_false(facts_is_granted(&server, "INSERT", "c_"));
	assert_false(facts_is_granted(&server, "INSERT", "c_de"));
	assert_false(facts_is_granted(&server, "SELECT", "a``b"));
	assert_false(facts_is_granted(&server, "SELECT", NULL));
	static const struct {
		const char *scope, *database;
		bool matches;
	} rows[] = {{"`d%`.*", "door", true},   {"`d%`.*", "d", true},      {"`%r`.*", "door", true},
	            {"`d%x`.*", "door", false}, {"`d__r`.*", "door", true}, {"`d_r`.*", "d\xc3\xbcr", true},
	            {"`d_r`.*", "door", false}, {"`%`.*", "x", true},       {"`door`.`t`", "door", false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		grants[0].scope = rows[i].scope;
		assert_int_equal(facts_is_granted(&server, "SELECT", rows[i].database), rows[i].matches);
	}
}

/* Tables that don't replicate as their owner thinks. */
static void test_tables(void **state)
{
	struct world *w = *state;
	struct table_facts own[] = {{"sh_op", "log", "MyISAM", true, "x"}, {"sh_op", "n`o", "InnoDB", false, "y"}};
	w->facts.own.tables = w->facts.peers[0].tables = own;
	w->facts.own.table_count = w->facts.peers[0].table_count = 2;
	expect(w, "SL031 SL030");
	assert_string_equal(w->found.rows[0].fix, "ALTER TABLE `sh_op`.`log` ENGINE=InnoDB, on every node");
	assert_has(w->found.rows[1].fix, "ALTER TABLE `sh_op`.`n``o` ADD PRIMARY KEY");
	struct sequence_facts sequences[] = {{"sh_op", "s", 1}, {"sh_op", "good", 0}};
	struct trigger_facts triggers[] = {{"sh_op", "tr", "log"}};
	w->facts.own.sequences = sequences;
	w->facts.own.sequence_count = 2;
	w->facts.own.triggers = triggers;
	w->facts.own.trigger_count = 1;
	expect(w, "SL031 SL030 SL039 SL035");
	w->facts.own.database_count = w->facts.peers[0].database_count = 0;
	w->facts.own.table_count = w->facts.peers[0].table_count = 0;
	w->facts.own.sequence_count = w->facts.own.trigger_count = 0;
	expect(w, "SL040");
}

/* An event that runs twice books twice; one that nobody runs is missed at the end of the month. */
static void test_events(void **state)
{
	struct world *w = *state;
	struct event_facts own[] = {{"sh_op", "e", "ENABLED"}, {"sh_op", "of_2", "SLAVESIDE_DISABLED"}};
	struct event_facts there[] = {{"sh_op", "e", "SLAVESIDE_DISABLED"}, {"sh_op", "of_2", "ENABLED"}};
	w->facts.own.events = own;
	w->facts.own.event_count = 2;
	w->facts.peers[0].events = there;
	w->facts.peers[0].event_count = 2;
	expect(w, "SL037");
	set(&w->facts.own, "event_scheduler", "ON");
	expect(w, "SL036");
	there[0].status = "ENABLED";
	expect(w, "SL038");
}

/* Grandchildren that go by cascade are where nodes are known to come out differently; one level is handled, and a
 * warning about it would be one about most schemas. */
static void test_cascades(void **state)
{
	struct world *w = *state;
	struct foreign_facts f[] = {
	    {"sh_op", "fk_b", "b", "`a_id`", "sh_op", "a", "`id`", "CASCADE", "RESTRICT"},
	    {"sh_op", "fk_c", "c", "`b_id`", "sh_op", "b", "`id`", "RESTRICT", "NO ACTION"},
	};
	w->facts.own.foreigns = f;
	w->facts.own.foreign_count = 2;
	expect(w, "SL032");
	f[1].on_delete = "SET NULL";
	expect(w, "SL033");
	assert_has(w->found.rows[0].cause,
	           "a delete in sh_op.a cascades to sh_op.b and from there to sh_op.c (ON DELETE SET NULL)");
	assert_has(w->found.rows[0].fix,
	           "ALTER TABLE `sh_op`.`c` DROP FOREIGN KEY `fk_c`, ADD FOREIGN KEY (`b_id`) REFERENCES "
	           "`sh_op`.`b` (`id`) ON DELETE RESTRICT ON UPDATE NO ACTION");
	f[0].on_delete = "SET NULL"; /* the child isn't deleted, so nothing happens to its children */
	expect(w, "SL032 SL032");
	f[0].on_delete = "CASCADE";
	f[1].parent_database = "other"; /* a table of the same name */
	expect(w, "SL032 SL032");
	w->facts.own.foreign_count = 1;
	f[0].parent = "b"; /* a tree in one table */
	expect(w, "SL033");
	f[0].on_delete = "RESTRICT";
	f[0].on_update = "CASCADE";
	expect(w, "SL034");
	assert_has(w->found.rows[0].fix, "ON DELETE RESTRICT ON UPDATE RESTRICT");
}

/* A peer that was not compared must not look like one that is well. */
static void test_a_peer_that_is_away(void **state)
{
	struct world *w = *state;
	w->facts.peers[0] = (struct server_facts){.node = 2, .where = "192.168.10.2:3306", .why = "no route\nto it"};
	expect(w, "SL050");
	assert_has(w->found.rows[0].cause, "no route to it"); /* one line */
	assert_int_equal(findings_exit_status(&w->found), 1);
}

/* Nodes with other rules come out differently, and a database that one of two replicates is only thought to be safe. */
static void test_published(void **state)
{
	struct world *w = *state;
	static const char *both[] = {"sh_op", "more"};
	struct server_facts *peer = &w->facts.peers[0];
	peer->policies_differ = "sh_op.t";
	expect(w, "SL054");
	peer->policies_differ = "";
	peer->published = both;
	peer->published_count = 2;
	expect(w, "SL055");
	assert_int_equal(w->found.rows[0].node, 1);
	peer->published_count = 0;
	expect(w, "SL055");
	assert_int_equal(w->found.rows[0].node, 2);
	peer->has_policies = false; /* its daemon never ran: nothing is known */
	expect(w, "");
}

/* A clock that is an hour off decides every conflict; one that can't be told from the way's length is no finding. */
static void test_clocks(void **state)
{
	struct world *w = *state;
	static const struct {
		int64_t offset, error;
		const char *codes, *says;
	} rows[] = {{900000, 1000, "", NULL},
	            {-900000, 1000, "", NULL},
	            {3000000, 2500000, "", NULL},
	            {3600000000, 1000, "SL056", "3600000 ms ahead of this node's (give or take 1 ms)"},
	            {-2000000, 1001, "SL056", "2000 ms behind this node's (give or take 2 ms)"}};
	w->facts.peers[0].has_clock = true;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		w->facts.peers[0].clock_offset_us = rows[i].offset;
		w->facts.peers[0].clock_error_us = rows[i].error;
		expect(w, rows[i].codes);
		if (rows[i].says != NULL)
			assert_has(w->found.rows[0].cause, rows[i].says);
	}
}

/* Two nodes count in steps of their own, so the next number always differs; anything else stops a link one day. */
static void test_first_difference(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b, *line_a, *line_b; /* both NULL: the same */
	} rows[] = {
	    {"", "", NULL, NULL},
	    {"a\nb", "a\nb", NULL, NULL},
	    {") ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT X", ") ENGINE=InnoDB AUTO_INCREMENT=12 DEFAULT X", NULL, NULL},
	    {") ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT X", ") ENGINE=InnoDB DEFAULT X", NULL, NULL},
	    {") ENGINE=InnoDB DEFAULT X", ") ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT X", NULL, NULL},
	    {") ENGINE=InnoDB", ") ENGINE=InnoDB AUTO_INCREMENT=5", NULL, NULL},
	    {") E AUTO_INCREMENT=5 X", ") E AUTO_INCREMENT=5 Y", ") E AUTO_INCREMENT=5 X", ") E AUTO_INCREMENT=5 Y"},
	    {") E AUTO_INCREMENT=5 X", ") E Y", ") E AUTO_INCREMENT=5 X", ") E Y"},
	    {") E X", ") F AUTO_INCREMENT=5 X", ") E X", ") F AUTO_INCREMENT=5 X"},
	    {"  `a` int COMMENT ' AUTO_INCREMENT=1'", "  `a` int COMMENT ' AUTO_INCREMENT=2'",
	     "  `a` int COMMENT ' AUTO_INCREMENT=1'", "  `a` int COMMENT ' AUTO_INCREMENT=2'"},
	    {"a\nb\nc", "a\nx\nc", "b\nc", "x\nc"},
	    {"a", "a\nb", NULL, "b"},
	    {"a\nb", "a", "b", NULL},
	    {"a", "ab", "a", "ab"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *a = NULL, *b = NULL;
		bool differs = check_first_difference(rows[i].a, rows[i].b, &a, &b);
		assert_int_equal(differs, rows[i].line_a != NULL || rows[i].line_b != NULL);
		if (!differs)
			continue;
		assert_int_equal(a == NULL, rows[i].line_a == NULL);
		assert_int_equal(b == NULL, rows[i].line_b == NULL);
		if (a != NULL)
			assert_string_equal(a, rows[i].line_a);
		if (b != NULL)
			assert_string_equal(b, rows[i].line_b);
	}
}

/* A table altered on one node with sql_log_bin=0 shows only when a value doesn't fit. */
static void test_schemas(void **state)
{
	struct world *w = *state;
	struct table_facts there[] = {
	    {"sh_op", "t", "InnoDB", true, "CREATE TABLE `t` (\n  `a` bigint,\n  `b` int\n) ENGINE=InnoDB"},
	    {"sh_op", "u", "InnoDB", true, "CREATE TABLE `u` (\n  `a` int\n) ENGINE=InnoDB"},
	};
	w->facts.peers[0].tables = there;
	expect(w, "SL058");
	assert_has(w->found.rows[0].cause, "table sh_op.t is another on node 2: here `a` int, there `a` bigint");
	w->facts.peers[0].table_count = 2;
	expect(w, "SL057 SL058");
	assert_int_equal(w->found.rows[0].node, 1); /* node 1 lacks u */
	there[0].definition = NULL;
	w->facts.peers[0].table_count = 1;
	expect(w, ""); /* it could not be read, which is told elsewhere */
	there[0].database = "other";
	expect(w, "SL057");
	assert_int_equal(w->found.rows[0].node, 2);
}

/* Who asks the doctor wants to hear of a link that stands still, and what makes it go. */
static void test_daemon(void **state)
{
	struct world *w = *state;
	struct daemon_link_facts *link = &w->facts.daemon.links[0];
	*link = (struct daemon_link_facts){2, false, "stopped", "no such table", "2-2-17"};
	expect(w, "SL061");
	assert_has(w->found.rows[0].fix, "syncline skip --defaults-file=/etc/syncline.cnf 2-2-17");
	link->transaction = "";
	expect(w, "SL061");
	assert_null(strstr(w->found.rows[0].fix, "skip"));
	*link = (struct daemon_link_facts){2, false, "connecting", "", ""};
	expect(w, "SL063");
	link->is_paused = true;
	expect(w, "SL062");
	assert_string_equal(w->found.rows[0].fix, "syncline resume --defaults-file=/etc/syncline.cnf 2");
	*link = (struct daemon_link_facts){2, false, "catching up", "", ""};
	w->facts.daemon.server_state = "connecting";
	expect(w, "SL064");
	w->facts.daemon.server_state = "live";
	w->facts.daemon.links[0].state = "live";
	w->facts.own.has_policies = true; /* with no database, while the file has one: read anew only when it is started */
	expect(w, "SL065");
	w->facts.own.published = w->seen;
	w->facts.own.published_count = 1;
	expect(w, "");
	w->facts.own.policies_differ = "sh_op.t";
	expect(w, "SL065");
	w->facts.daemon = (struct daemon_facts){.why = "no such file"};
	expect(w, "SL060");
}

/* A full disk stops the server, and with it everybody's door; a large disk with little of it free is not full. */
static void test_disks(void **state)
{
	struct world *w = *state;
	static const struct {
		uint64_t free_mib, total_mib;
		const char *codes;
	} rows[] = {{150, 1000, "SL071"}, {300, 1000, ""}, {900, 32000, "SL070"}, {6000, 2000000, ""}, {0, 0, "SL071"}};
	struct disk_facts disk = {.what = "the binary log", .path = "/var/lib/mysql"};
	w->facts.disks = &disk;
	w->facts.disk_count = 1;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		disk.free_bytes = rows[i].free_mib << 20;
		disk.total_bytes = rows[i].total_mib << 20;
		expect(w, rows[i].codes);
	}
	disk.why = "Permission denied";
	expect(w, "SL072");
}

/* Node 1 of a pair with engine = native, its replication in order. */
static struct slave_facts *make_native(struct world *w)
{
	static struct slave_facts slave;
	static struct variable_facts more[VARIABLES];
	struct server_facts *own = &w->facts.own;
	slave = (struct slave_facts){.peer = 2,
	                             .name = "",
	                             .exists = true,
	                             .io_runs = true,
	                             .sql_runs = true,
	                             .uses_gtid = true,
	                             .error = "",
	                             .filter = "sh\\_op.%",
	                             .other_filters = ""};
	memcpy(more, own->variables, HEALTHY * sizeof *more);
	more[HEALTHY] = (struct variable_facts){"log_slave_updates", "ON"};
	more[HEALTHY + 1] = (struct variable_facts){"gtid_ignore_duplicates", "OFF"};
	own->variables = more;
	own->variable_count = HEALTHY + 2;
	own->slaves = &slave;
	own->slave_count = 1;
	own->slave_start = SLAVE_START_BY_US;
	own->engine = w->facts.peers[0].engine = w->facts.daemon.engine = "native";
	w->facts.daemon.engine_why = "";
	w->settings.engine = ENGINE_NATIVE;
	return &slave;
}

/* With MariaDB's own replication nobody but the doctor tells that it lets too much in, or that there is no way back. */
static void test_native(void **state)
{
	struct world *w = *state;
	struct slave_facts *slave = make_native(w);
	struct server_facts *own = &w->facts.own, *peer = &w->facts.peers[0];
	expect(w, "");
	set(own, "log_slave_updates", "OFF");
	expect(w, "SL091");
	assert_has(w->found.rows[0].fix, "log_slave_updates = ON");
	set(own, "log_slave_updates", "ON");
	own->slave_start = SLAVE_START_BY_ITSELF;
	expect(w, "SL092");
	own->slave_start = SLAVE_START_UNKNOWN;
	expect(w, "");
	slave->filter = "";
	expect(w, "SL094");
	slave->filter = "sh\\_op.%";
	slave->other_filters = "replicate_do_db = sh_op";
	expect(w, "SL094");
	assert_has(w->found.rows[0].cause, "replicate_do_db = sh_op");
	slave->other_filters = "";
	slave->uses_gtid = false;
	expect(w, "SL096");
	slave->uses_gtid = true;
	w->settings.policy_count = 1;
	expect(w, "SL097");
	w->settings.policy_count = 0;
	peer->grant_count = 1; /* what adopt finds */
	peer->grants = (struct grant_facts[]){{"REPLICATION SLAVE", "*.*"}};
	peer->table_count = peer->database_count = 0;
	expect(w, "SL059 SL099 SL099");
	peer->grants = (struct grant_facts[]){{"BINLOG MONITOR", "*.*"}};
	expect(w, "SL028 SL059");
	assert_has(w->found.rows[0].fix, "GRANT REPLICATION SLAVE ON");
	own->grants =
	    (struct grant_facts[]){{"REPLICATION SLAVE, BINLOG MONITOR, BINLOG ADMIN, BINLOG REPLAY, SET USER, PROCESS, "
	                            "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE VIEW, "
	                            "CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER",
	                            "*.*"}}; /* enough for merge */
	expect(w, "SL027 SL028 SL059");
	assert_has(w->found.rows[0].fix, "GRANT REPLICATION SLAVE ADMIN, SLAVE MONITOR, RELOAD ON *.*");
}

/* Of three nodes with native engines two send one transaction each. */
static void test_native_with_three(void **state)
{
	struct world *w = *state;
	make_native(w);
	struct server_facts *third = &w->facts.peers[w->facts.peer_count++];
	*third = (struct server_facts){.node = 3, .where = "192.168.10.3:3306", .why = "it is off"};
	expect(w, "SL093 SL050");
	set(&w->facts.own, "gtid_ignore_duplicates", "ON");
	expect(w, "SL050");
}

/* A thread that stands still in silence is a gate that knows nothing of the others; told twice it is noise. */
static void test_native_threads(void **state)
{
	struct world *w = *state;
	struct slave_facts *slave = make_native(w);
	struct daemon_link_facts *link = &w->facts.daemon.links[0];
	slave->sql_runs = false;
	expect(w, "SL095"); /* between two looks of the daemon's */
	assert_string_equal(w->found.rows[0].fix, "START SLAVE");
	slave->name = "syncline-2";
	slave->error = "Duplicate entry";
	expect(w, "SL095");
	assert_string_equal(w->found.rows[0].fix, "mend the cause, then START SLAVE 'syncline-2'");
	*link = (struct daemon_link_facts){2, false, "stopped", "stopped by hand (STOP SLAVE)", ""};
	expect(w, "SL061");
	assert_string_equal(w->found.rows[0].fix, "START SLAVE 'syncline-2'");
	*link = (struct daemon_link_facts){2, true, "connecting", "paused", ""};
	expect(w, "SL062");
	w->facts.daemon = (struct daemon_facts){.why = "no such file"};
	expect(w, "SL060 SL095");
	assert_has(w->found.rows[0].cause, "MariaDB's replication goes on");
	slave->sql_runs = true;
	expect(w, "SL060");
	slave->exists = false;
	expect(w, "SL060 SL095");
}

/* Who changed one line of the file believes that the other engine runs; one who changed one node forgets the other. */
static void test_engines(void **state)
{
	struct world *w = *state;
	make_native(w);
	w->facts.peers[0].engine = "merge";
	expect(w, "SL098");
	w->facts.peers[0].engine = NULL;
	w->settings.engine = ENGINE_MERGE;
	expect(w, "SL090");
	assert_has(w->found.rows[0].fix, "syncline engine merge");
	w->facts.daemon.is_switching = true;
	expect(w, "");
	w->facts.daemon.is_switching = false;
	w->settings.engine = ENGINE_NATIVE;
	w->facts.daemon.engine_why = "log_slave_updates is off";
	expect(w, "SL090");
	assert_has(w->found.rows[0].cause, "engine merge was asked for and can't run, so native goes on: log_slave");
	w->facts.daemon.engine_why = "";
	w->facts.peers[0].policies_differ = "sh_op.t"; /* nothing is resolved */
	expect(w, "");
	w->facts.peers[0].has_clock = true;
	w->facts.peers[0].clock_offset_us = 90000000;
	w->facts.peers[0].engine = "native";
	expect(w, "");
	w->facts.peers[0].engine = "merge";
	expect(w, "SL056 SL098");
}

/* It never comes back by itself, and looks as if it were about to. */
static void test_must_rejoin(void **state)
{
	struct world *w = *state;
	w->facts.daemon.links[0] = (struct daemon_link_facts){2, false, "must rejoin", "purged", ""};
	expect(w, "SL066");
	assert_has(w->found.rows[0].fix, "syncline rejoin");
}

/* What a server refused to tell isn't judged, and that has to be said, or silence would look like health. */
static void test_questions(void **state)
{
	struct world *w = *state;
	struct question_facts question = {2, "the tables", "the disk is gone"};
	w->facts.questions = &question;
	w->facts.question_count = 1;
	expect(w, "SL080");
}

/* A script that waits for a code, a person who looks one up: each has to be there once, and what the page has has to
 * exist. */
static void test_every_code_is_documented(void **state)
{
	(void)state;
	struct buf text = {0};
	FILE *file = fopen(doctor_md, "r");
	assert_non_null(file);
	size_t size;
	while ((size = fread(buf_reserve(&text, 4096), 1, 4096, file)) > 0)
		text.size += size;
	fclose(file);
	size_t rows = 0;
	for (size_t i = 0; i < FINDING_CODE_COUNT; i++) {
		enum finding_code code = (enum finding_code)i;
		char row[64];
		snprintf(row, sizeof row, "\n| %s | %s | ", finding_code_text(code),
		         severity_text(finding_code_severity(code)));
		assert_has(buf_str(&text), row);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(finding_code_text(code), finding_code_text((enum finding_code)j));
	}
	for (const char *at = buf_str(&text); (at = strstr(at, "\n| SL")) != NULL; at++)
		rows++;
	assert_int_equal(rows, FINDING_CODE_COUNT);
	buf_free(&text);
}

/* A requirement without a code would be looked up past the end of the table. */
static void test_every_requirement_has_a_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < requirement_count; i++) {
		assert_int_not_equal(finding_code_of(requirements[i].variable), FINDING_CODE_COUNT);
		if (requirements[i].must)
			assert_int_equal(finding_code_severity(finding_code_of(requirements[i].variable)), SEVERITY_ERROR);
	}
	assert_int_equal(finding_code_of("nonsense"), FINDING_CODE_COUNT);
}

/* Monitoring reads the document: a field that is missing, or a text that breaks it, is an alarm that nobody gets. */
static void test_json(void **state)
{
	struct world *w = *state;
	struct buf text = {0};
	struct repairs repairs = {0};
	set(&w->facts.own, "sync_binlog", "0");
	set(&w->facts.own, "bind_address", "\xff\"bad");
	expect(w, "SL007 SL024");
	repairs_add(&repairs,
	            (struct repair){.code = FINDING_PACKET, .statement = strdup("SET a"), .permanent = strdup("put a")});
	show_json(&w->facts, &w->found, &repairs, &text);
	json_t *root = json_loads(buf_str(&text), 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "version")), 1);
	assert_int_equal(json_integer_value(json_object_get(root, "errors")), 0);
	assert_int_equal(json_integer_value(json_object_get(root, "warnings")), 1);
	json_t *finding = json_array_get(json_object_get(root, "findings"), 0);
	assert_string_equal(json_string_value(json_object_get(finding, "code")), "SL007");
	assert_string_equal(json_string_value(json_object_get(finding, "severity")), "warning");
	assert_string_equal(json_string_value(json_object_get(finding, "subject")), "sync_binlog");
	assert_string_equal(json_string_value(json_object_get(finding, "statement")), "SET GLOBAL sync_binlog = 1");
	json_t *done = json_array_get(json_object_get(root, "fixed"), 0);
	assert_string_equal(json_string_value(json_object_get(done, "code")), "SL011");
	assert_true(json_is_null(json_object_get(done, "error")));
	json_t *peer = json_array_get(json_object_get(root, "peers"), 0);
	assert_true(json_is_true(json_object_get(peer, "reached")));
	assert_true(json_is_null(json_object_get(peer, "clock_offset_ms")));
	json_decref(root);
	buf_clear(&text);
	show_text(&w->facts, &w->found, &repairs, &text);
	assert_has(buf_str(&text), "SL011 done:   SET a\n      to keep it: put a\nSL007 warning node 1: sync_binlog is 0");
	assert_has(buf_str(&text), "\nnode 1: 0 errors, 1 warning, 1 for information; 1 of 1 peer reached\n");
	buf_free(&text);
	repairs_free(&repairs);
}

int main(int argc, char **argv)
{
	doctor_md = argc > 2 ? argv[2] : doctor_md;
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_nothing_is_wrong),
	    TEST(test_variables),
	    TEST(test_numbers),
	    TEST(test_where_an_option_goes),
	    TEST(test_two_nodes_with_one_id),
	    TEST(test_log_filters),
	    TEST(test_network),
	    TEST(test_privileges),
	    TEST(test_scopes),
	    TEST(test_tables),
	    TEST(test_events),
	    TEST(test_cascades),
	    TEST(test_a_peer_that_is_away),
	    TEST(test_published),
	    TEST(test_clocks),
	    TEST(test_first_difference),
	    TEST(test_schemas),
	    TEST(test_daemon),
	    TEST(test_disks),
	    TEST(test_native),
	    TEST(test_native_with_three),
	    TEST(test_native_threads),
	    TEST(test_engines),
	    TEST(test_must_rejoin),
	    TEST(test_questions),
	    TEST(test_every_code_is_documented),
	    TEST(test_every_requirement_has_a_code),
	    TEST(test_json),
	};
	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
