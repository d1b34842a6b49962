#include "link/recovered.h"

#include <stdio.h>
#include <string.h>

#include "sql/server.h"

#define UNLOGGED(sql) "SET SESSION sql_log_bin=0;" sql ";SET SESSION sql_log_bin=1"

bool recovered_is(const struct event *event, const struct query_event *query)
{
	return event->timestamp == 0 && query->thread_id == 0;
}

enum err_code recovered_prepare(struct connection *connection, struct err *err)
{
	return connection_run(
	    connection,
	    UNLOGGED("CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA ".pending ("
	             " peer INT UNSIGNED NOT NULL PRIMARY KEY,"
	             " gtid VARCHAR(48) CHARACTER SET ascii NOT NULL,"
	             " what VARCHAR(600) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL) ENGINE=InnoDB;"
	             "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA ".recovered ("
	             " gtid VARCHAR(48) CHARACTER SET ascii NOT NULL PRIMARY KEY,"
	             " twin_of VARCHAR(48) CHARACTER SET ascii NOT NULL) ENGINE=InnoDB"),
	    err);
}

/* What the recovered text has in common with the one that was run: for DROP it is made anew. */
static void append_what(const struct statement *s, struct buf *to)
{
	struct buf what = {0};
	buf_printf(&what, "%s %s", statement_verb_name(s->verb), statement_object_name(s->object));
	if (s->name_count > 0)
		buf_printf(&what, " %s.%s", s->names[0].database, s->names[0].name);
	sql_append_string(to, (const char *)what.data, what.size);
	buf_free(&what);
}

enum err_code recovered_note_pending(struct connection *connection, uint32_t peer, const struct gtid *gtid,
                                     const struct statement *statement, struct err *err)
{
	struct buf sql = {0};
	char text[GTID_TEXT_MAX];
	buf_printf(&sql, "SET SESSION sql_log_bin=0; REPLACE INTO " SYNCLINE_SCHEMA ".pending VALUES (%u,'%s',",
	           (unsigned)peer, gtid_format(gtid, text));
	append_what(statement, &sql);
	buf_append_str(&sql, "); SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

static enum err_code exists(struct connection *connection, const char *sql, bool *ret, struct err *err)
{
	struct buf value = {0};
	bool found;
	enum err_code code = connection_value(connection, sql, strlen(sql), &value, &found, err);
	if (code == ERR_OK)
		*ret = found;
	buf_free(&value);
	return code;
}

enum err_code recovered_was_pending(struct connection *connection, uint32_t peer, const struct gtid *gtid,
                                    bool *ret_was, struct err *err)
{
	char sql[160], text[GTID_TEXT_MAX];
	snprintf(sql, sizeof sql, "SELECT 1 FROM " SYNCLINE_SCHEMA ".pending WHERE peer=%u AND gtid='%s'", (unsigned)peer,
	         gtid_format(gtid, text));
	return exists(connection, sql, ret_was, err);
}

enum err_code recovered_is_done(struct connection *connection, const struct gtid *gtid, bool *ret_done, struct err *err)
{
	char sql[160], text[GTID_TEXT_MAX];
	snprintf(sql, sizeof sql, "SELECT 1 FROM " SYNCLINE_SCHEMA ".recovered WHERE twin_of='%s' LIMIT 1",
	         gtid_format(gtid, text));
	return exists(connection, sql, ret_done, err);
}

/* The pending DDL of this kind, on this object, that the vector lacks: only it can have been finished. */
struct search {
	const struct vector *here;
	struct gtid twin;
	bool found;
};

static void consider(void *context, unsigned count, const char *const *columns)
{
	struct search *search = context;
	struct gtid gtid;
	if (count > 0 && columns[0] != NULL && gtid_parse(columns[0], &gtid, NULL) == ERR_OK &&
	    !vector_has(search->here, &gtid)) {
		search->twin = gtid;
		search->found = true;
	}
}

static enum err_code find_twin(struct connection *connection, const struct query_event *q, struct search *search,
                               struct err *err)
{
	struct statement statement;
	struct statement_context context = {.database = q->database,
	                                    .database_size = q->database_size,
	                                    .sql_mode = q->has_sql_mode ? q->sql_mode : 0,
	                                    .charset_client = q->has_charset ? q->charset_client : 0};
	struct buf sql = {0};
	enum err_code code = statement_parse(q->statement, q->statement_size, &context, &statement, err);
	if (code != ERR_OK)
		return code;
	buf_append_str(&sql, "SELECT gtid FROM " SYNCLINE_SCHEMA ".pending WHERE what=CONVERT(");
	append_what(&statement, &sql);
	buf_append_str(&sql, " USING utf8mb4)");
	if (statement.kind == STATEMENT_DDL)
		code = connection_query(connection, buf_str(&sql), consider, search, err);
	statement_free(&statement);
	buf_free(&sql);
	return code;
}

enum err_code recovered_decide(struct connection *connection, const struct gtid *gtid, const struct query_event *query,
                               struct err *err)
{
	struct vector here;
	struct search search = {.here = &here};
	char text[GTID_TEXT_MAX], twin[GTID_TEXT_MAX] = "", sql[256];
	bool decided = false;
	snprintf(sql, sizeof sql, "SELECT 1 FROM " SYNCLINE_SCHEMA ".recovered WHERE gtid='%s'", gtid_format(gtid, text));
	enum err_code code = exists(connection, sql, &decided, err);
	if (code != ERR_OK || decided)
		return code;
	code = server_vector(connection, &here, err);
	if (code == ERR_OK)
		code = find_twin(connection, query, &search, err);
	if (code != ERR_OK)
		return code;
	if (search.found)
		gtid_format(&search.twin, twin);
	snprintf(sql, sizeof sql, UNLOGGED("INSERT INTO " SYNCLINE_SCHEMA ".recovered VALUES ('%s','%s')"), text, twin);
	return connection_run(connection, sql, err);
}

enum err_code recovered_ask(struct connection *connection, const struct gtid *gtid, struct gtid *ret_twin_of,
                            struct err *err)
{
	char sql[160], text[GTID_TEXT_MAX];
	struct gtid twin_of = {0};
	struct buf twin = {0};
	bool found = false;
	snprintf(sql, sizeof sql, "SELECT twin_of FROM " SYNCLINE_SCHEMA ".recovered WHERE gtid='%s'",
	         gtid_format(gtid, text));
	enum err_code code = connection_value(connection, sql, strlen(sql), &twin, &found, err);
	if (code == ERR_OK && !found)
		code = err_set(err, ERR_BUSY,
		               "waiting for the node of %s to say whose statement its server's recovery finished", text);
	if (code == ERR_OK && twin.size > 0)
		code = gtid_parse(buf_str(&twin), &twin_of, err);
	if (code == ERR_OK)
		*ret_twin_of = twin_of;
	buf_free(&twin);
	return code;
}
