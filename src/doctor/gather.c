#include "doctor/gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "doctor/gather_native.h"
#include "link/policies.h"
#include "sql/connection.h"
#include "sql/server.h"

enum {
	READ_TIMEOUT_S = 30,
	CLOCK_SAMPLES = 3,
	/* MariaDB's, include/mysqld_error.h: what an account may not do is told by the check of its privileges, and a peer
	 * whose daemon never ran has published nothing. */
	NO_DATABASE_ACCESS = 1044,
	NO_DATABASE = 1049,
	NO_TABLE_ACCESS = 1142,
	NO_TABLE = 1146,
	NO_PRIVILEGE = 1227,
};

struct gatherer {
	struct facts *facts;
	struct server_facts *server;
	struct connection *connection;
	bool is_lost;           /* the connection broke: what follows isn't asked */
	const char *databases;  /* SQL: ('shop', …), the replicated ones */
	const char *definition; /* what SHOW CREATE … has just said */
};

static void note(struct gatherer *g, const char *what, const struct err *err)
{
	static const unsigned expected[] = {NO_DATABASE_ACCESS, NO_DATABASE, NO_TABLE_ACCESS, NO_TABLE, NO_PRIVILEGE};
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		if (err->code == ERR_SERVER && err->server_errno == expected[i])
			return;
	g->is_lost = err->code == ERR_DISCONNECTED;
	struct question_facts *question =
	    facts_grow(g->facts, &g->facts->questions, &g->facts->question_count, sizeof *question);
	*question =
	    (struct question_facts){.node = g->server->node, .what = what, .why = facts_keep(g->facts, err->message)};
}

/* False if it wasn't answered; that has been noted. */
static bool ask(struct gatherer *g, const char *what, const char *sql, connection_row *row)
{
	struct err err;
	if (g->is_lost)
		return false;
	enum err_code code = connection_query(g->connection, sql, row, g, &err);
	if (code != ERR_OK)
		note(g, what, &err);
	return code == ERR_OK;
}

/* The names of the replicated databases go between the two parts of the statement. */
static void ask_of_databases(struct gatherer *g, const char *what, const char *before, const char *after,
                             connection_row *row)
{
	char *sql = mem_printf("%s%s%s", before, g->databases, after);
	ask(g, what, sql, row);
	free(sql);
}

#define GROW(g, name)                                                                                                  \
	facts_grow((g)->facts, &(g)->server->name##s, &(g)->server->name##_count, sizeof *(g)->server->name##s)

static const char *keep(struct gatherer *g, const char *text)
{
	return facts_keep(g->facts, text != NULL ? text : "");
}

/* ---- Settings and accounts ---- */

static void take_variable(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	struct variable_facts *variable = GROW(g, variable);
	*variable = (struct variable_facts){keep(g, v[0]), keep(g, v[1])};
}

static void take_encrypted(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	g->server->is_encrypted = v[1] != NULL && *v[1] != '\0';
}

static void take_account(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	g->server->account = keep(g, v[0]);
}

/* GRANT SELECT, INSERT ON `shop`.* TO … What follows may hold a password's hash and isn't kept. */
static void take_grant(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	const char *on = v[0] != NULL ? strstr(v[0], " ON ") : NULL, *to = on != NULL ? strstr(on, " TO ") : NULL;
	if (to == NULL || strncmp(v[0], "GRANT ", 6) != 0)
		return; /* a role */
	char *privileges = mem_printf("%.*s", (int)(on - v[0] - 6), v[0] + 6);
	char *scope = mem_printf("%.*s", (int)(to - on - 4), on + 4);
	struct grant_facts *grant = GROW(g, grant);
	*grant = (struct grant_facts){keep(g, privileges), keep(g, scope)};
	free(privileges);
	free(scope);
}

static bool is_listed(const char *list, const char *database)
{
	size_t size = strlen(database);
	for (const char *at = list; *at != '\0'; at += strcspn(at, ",")) {
		at += strspn(at, ",");
		if (strncmp(at, database, size) == 0 && (at[size] == ',' || at[size] == '\0'))
			return true;
	}
	return false;
}

/* SHOW MASTER STATUS: file, position, binlog_do_db, binlog_ignore_db. */
static void take_filters(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	const struct settings *s = g->facts->settings;
	const char *only = count > 2 && v[2] != NULL ? v[2] : "", *not = count > 3 && v[3] != NULL ? v[3] : "";
	for (size_t i = 0; i < s->database_count; i++)
		if ((*only != '\0' && !is_listed(only, s->databases[i])) || is_listed(not, s->databases[i])) {
			const char **left_out =
			    facts_grow(g->facts, &g->server->left_out, &g->server->left_out_count, sizeof *left_out);
			*left_out = s->databases[i];
		}
}

static void ask_server(struct gatherer *g)
{
	ask(g, "the variables", "SHOW GLOBAL VARIABLES", take_variable);
	ask(g, "TLS", "SHOW SESSION STATUS LIKE 'Ssl_cipher'", take_encrypted);
	ask(g, "the account",
	    "SELECT CONCAT(QUOTE(LEFT(CURRENT_USER(),CHAR_LENGTH(CURRENT_USER())-CHAR_LENGTH(SUBSTRING_INDEX("
	    "CURRENT_USER(),'@',-1))-1)),'@',QUOTE(SUBSTRING_INDEX(CURRENT_USER(),'@',-1)))",
	    take_account);
	ask(g, "the privileges", "SHOW GRANTS", take_grant);
	ask(g, "the log's filters", "SHOW MASTER STATUS", take_filters);
}

/* ---- Schemas ---- */

static void take_database(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	const char **database = GROW(g, database);
	*database = keep(g, v[0]);
}

static void take_table(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	if (count < 5 || v[2] == NULL || v[4] == NULL)
		return;
	bool is_sequence = strcmp(v[2], "SEQUENCE") == 0;
	struct table_facts *table = GROW(g, table);
	*table = (struct table_facts){.database = keep(g, v[0]),
	                              .name = keep(g, v[1]),
	                              .engine = is_sequence ? "" : keep(g, v[3]),
	                              .has_key = is_sequence || strcmp(v[4], "0") != 0};
	if (!is_sequence)
		return;
	struct sequence_facts *sequence = GROW(g, sequence);
	*sequence = (struct sequence_facts){.database = table->database, .name = table->name};
}

static void take_definition(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	g->definition = count > 1 ? facts_keep(g->facts, v[1]) : NULL;
}

static void take_increment(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	g->definition = keep(g, v[0]);
}

/* "SHOW CREATE TABLE `shop`.`t`"; a table that went meanwhile is left without an answer. */
static const char *ask_about(struct gatherer *g, const char *verb, const char *database, const char *name,
                             connection_row *row)
{
	struct buf sql = {0};
	struct err err;
	buf_append_str(&sql, verb);
	sql_append_name(&sql, database);
	buf_append_str(&sql, ".");
	sql_append_name(&sql, name);
	g->definition = NULL;
	if (!g->is_lost && connection_query(g->connection, buf_str(&sql), row, g, &err) != ERR_OK)
		note(g, "a table's definition", &err);
	buf_free(&sql);
	return g->definition;
}

static bool is_sequence(const struct server_facts *s, const struct table_facts *table)
{
	for (size_t i = 0; i < s->sequence_count; i++)
		if (s->sequences[i].name == table->name)
			return true;
	return false;
}

/* Tables without a key are those that have no unique index of whole columns that are never NULL. */
static void ask_tables(struct gatherer *g)
{
	char *sql = mem_printf(
	    "SELECT t.table_schema, t.table_name, t.table_type, t.engine, k.table_name IS NOT NULL"
	    " FROM information_schema.tables t LEFT JOIN (SELECT DISTINCT table_schema, table_name FROM"
	    " (SELECT table_schema, table_name FROM information_schema.statistics WHERE table_schema IN %s AND non_unique "
	    "= 0"
	    " GROUP BY table_schema, table_name, index_name HAVING SUM(nullable = 'YES') = 0 AND COUNT(sub_part) = 0) i) k"
	    " ON k.table_schema = t.table_schema AND k.table_name = t.table_name WHERE t.table_schema IN %s"
	    " AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') ORDER BY 1, 2",
	    g->databases, g->databases);
	ask(g, "the tables", sql, take_table);
	free(sql);
	for (size_t i = 0; i < g->server->table_count; i++) {
		struct table_facts *t = &g->server->tables[i];
		t->definition = ask_about(g, is_sequence(g->server, t) ? "SHOW CREATE SEQUENCE " : "SHOW CREATE TABLE ",
		                          t->database, t->name, take_definition);
	}
}

static void take_event(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	struct event_facts *event = GROW(g, event);
	*event = (struct event_facts){keep(g, v[0]), keep(g, v[1]), keep(g, v[2])};
}

static void ask_schemas(struct gatherer *g)
{
	ask_of_databases(g, "the databases", "SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ",
	                 "", take_database);
	ask_tables(g);
	ask_of_databases(g, "the events",
	                 "SELECT event_schema, event_name, status FROM information_schema.events WHERE event_schema IN ",
	                 " ORDER BY 1, 2", take_event);
}

static void take_foreign(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	if (count < 9)
		return;
	struct foreign_facts *foreign = GROW(g, foreign);
	*foreign = (struct foreign_facts){.database = keep(g, v[0]),
	                                  .name = keep(g, v[1]),
	                                  .table = keep(g, v[2]),
	                                  .on_delete = keep(g, v[3]),
	                                  .on_update = keep(g, v[4]),
	                                  .parent_database = keep(g, v[5]),
	                                  .parent = keep(g, v[6]),
	                                  .columns = keep(g, v[7]),
	                                  .parent_columns = keep(g, v[8])};
}

static void take_trigger(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	struct trigger_facts *trigger = GROW(g, trigger);
	*trigger = (struct trigger_facts){keep(g, v[0]), keep(g, v[1]), keep(g, v[2])};
}

/* What the peers have alike, once their tables are. */
static void ask_own_schemas(struct gatherer *g)
{
	ask_of_databases(g, "the foreign keys",
	                 "SELECT r.constraint_schema, r.constraint_name, r.table_name, r.delete_rule, r.update_rule,"
	                 " k.referenced_table_schema, k.referenced_table_name,"
	                 " GROUP_CONCAT('`', REPLACE(k.column_name, '`', '``'), '`' ORDER BY k.ordinal_position),"
	                 " GROUP_CONCAT('`', REPLACE(k.referenced_column_name, '`', '``'), '`' ORDER BY k.ordinal_position)"
	                 " FROM information_schema.referential_constraints r JOIN information_schema.key_column_usage k"
	                 " ON k.constraint_schema = r.constraint_schema AND k.constraint_name = r.constraint_name"
	                 " AND k.table_name = r.table_name WHERE r.constraint_schema IN ",
	                 " GROUP BY 1, 2, 3, 4, 5, 6, 7", take_foreign);
	ask_of_databases(g, "the triggers",
	                 "SELECT trigger_schema, trigger_name, event_object_table FROM information_schema.triggers"
	                 " WHERE trigger_schema IN ",
	                 " ORDER BY 1, 2", take_trigger);
	for (size_t i = 0; i < g->server->sequence_count; i++) {
		struct sequence_facts *s = &g->server->sequences[i];
		const char *increment = ask_about(g, "SELECT increment FROM ", s->database, s->name, take_increment);
		s->increment = increment != NULL ? strtoll(increment, NULL, 10) : 0;
	}
}

/* ---- What is between this node and a peer ---- */

static void take_published(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	g->server->has_policies = true;
	const char **database = facts_grow(g->facts, &g->server->published, &g->server->published_count, sizeof *database);
	*database = keep(g, v[0]);
}

static void ask_policies(struct gatherer *g)
{
	struct buf differing = {0};
	struct err err;
	ask(g, "the policies",
	    "SELECT database_name FROM " SYNCLINE_SCHEMA "." SYNCLINE_POLICIES_TABLE " WHERE table_name = ''",
	    take_published);
	if (g->server->has_policies && policies_compare(g->connection, g->facts->settings, &differing, &err) != ERR_OK)
		note(g, "the policies", &err);
	g->server->policies_differ = keep(g, buf_str(&differing));
	buf_free(&differing);
}

static void take_engine(void *context, unsigned count, const char *const *v)
{
	struct gatherer *g = context;
	(void)count;
	g->server->engine = keep(g, v[0]);
}

/* A node that never was native has no mark, but the table. */
static void ask_engine(struct gatherer *g)
{
	ask(g, "the engine", "SELECT COALESCE((SELECT engine FROM " SYNCLINE_SCHEMA ".engine WHERE one = 1), 'merge')",
	    take_engine);
}

static void ask_replication(struct gatherer *g)
{
	struct err err;
	if (g->server->engine == NULL || strcmp(g->server->engine, settings_engine_name(ENGINE_NATIVE)) != 0)
		return;
	if (!g->is_lost && gather_slaves(g->facts, g->connection, &err) != ERR_OK)
		note(g, "MariaDB's own replication", &err);
	gather_slave_start(g->facts);
}

/* A server's clock minus this machine's monotonic one, and half of what the answer took. */
static bool sample_clock(struct gatherer *g, int64_t *ret_us, int64_t *ret_error_us)
{
	static const char sql[] = "SELECT UNIX_TIMESTAMP(NOW(6))";
	struct buf text = {0};
	struct err err;
	long long seconds = 0, fraction = 0;
	int64_t before = clock_monotonic_us();
	enum err_code code = connection_value(g->connection, sql, sizeof sql - 1, &text, NULL, &err);
	int64_t after = clock_monotonic_us();
	bool is_right = code == ERR_OK && sscanf(buf_str(&text), "%lld.%6lld", &seconds, &fraction) == 2;
	if (code != ERR_OK)
		note(g, "the clock", &err);
	*ret_us = seconds * 1000000 + fraction - (before + after) / 2;
	*ret_error_us = (after - before) / 2;
	buf_free(&text);
	return is_right;
}

/* The sample that took the shortest time tells most. */
static void compare_clocks(struct gatherer *own, struct gatherer *peer)
{
	struct server_facts *s = peer->server;
	for (int i = 0; i < CLOCK_SAMPLES && !own->is_lost && !peer->is_lost; i++) {
		int64_t here, there, here_error, there_error;
		if (!sample_clock(own, &here, &here_error) || !sample_clock(peer, &there, &there_error))
			return;
		if (s->has_clock && here_error + there_error >= s->clock_error_us)
			continue;
		s->has_clock = true;
		s->clock_offset_us = there - here;
		s->clock_error_us = here_error + there_error;
	}
}

/* ---- The whole ---- */

static enum err_code open_server(struct gatherer *g, const char *group, struct err *err)
{
	char *name = mem_printf("node %u (%s)", (unsigned)g->server->node, g->server->where);
	struct connection_target target = {
	    .file = g->facts->settings->file, .group = group, .name = name, .read_timeout_s = READ_TIMEOUT_S};
	g->connection = connection_new();
	enum err_code code = connection_open(g->connection, &target, err);
	if (code == ERR_OK) /* names are quoted by it in what SHOW says */
		code = connection_run(g->connection, "SET SESSION sql_mode = '', SESSION sql_quote_show_create = ON", err);
	g->server->is_reached = code == ERR_OK;
	free(name);
	return code;
}

static void gather_peer(struct gatherer *own, const struct settings_peer *peer, struct server_facts *server)
{
	struct gatherer g = {.facts = own->facts, .server = server, .databases = own->databases};
	struct err err;
	*server = (struct server_facts){.node = peer->node_id, .where = peer->where, .account = ""};
	if (open_server(&g, peer->group, &err) != ERR_OK) {
		server->why = facts_keep(g.facts, err.message);
	} else {
		ask_server(&g);
		compare_clocks(own, &g);
		ask_engine(&g);
		ask_policies(&g);
		ask_schemas(&g);
	}
	connection_free(g.connection);
}

static void append_databases(const struct settings *s, struct buf *to)
{
	for (size_t i = 0; i < s->database_count; i++) {
		buf_append_str(to, i > 0 ? ",_utf8mb4 " : "(_utf8mb4 ");
		sql_append_string(to, s->databases[i], strlen(s->databases[i]));
	}
	buf_append_str(to, ")");
}

enum err_code gather_facts(const struct settings *settings, struct facts *ret_facts, struct err *err)
{
	struct buf databases = {0};
	append_databases(settings, &databases);
	struct facts f = {.settings = settings};
	f.own = (struct server_facts){.node = settings->node_id, .where = settings->server_where, .account = ""};
	struct gatherer own = {.facts = &f, .server = &f.own, .databases = buf_str(&databases)};
	enum err_code code = open_server(&own, settings->server_group, err);
	if (code == ERR_OK) {
		ask_server(&own);
		ask_engine(&own);
		ask_policies(&own);
		ask_schemas(&own);
		ask_own_schemas(&own);
		ask_replication(&own);
		for (size_t i = 0; i < settings->peer_count; i++)
			gather_peer(&own, &settings->peers[i], &f.peers[f.peer_count++]);
		gather_disks(&f);
		*ret_facts = f;
	}
	connection_free(own.connection);
	buf_free(&databases);
	return code;
}
