#include "link/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/query.h"
#include "link/schema.h"
#include "sql/ddl.h"
#include "sql/server.h"

struct stage {
	uint32_t peer;
	char table[32];
	bool is_open;
	bool is_made;         /* the staging table is there */
	struct buf bytes;     /* of the query event */
	struct event event;   /* in bytes */
	struct buf table_map; /* rewritten */
};

struct stage *stage_new(uint32_t peer)
{
	struct stage *s = mem_alloc(sizeof *s);
	s->peer = peer;
	snprintf(s->table, sizeof s->table, "stage_%u", (unsigned)peer);
	return s;
}

void stage_free(struct stage *s)
{
	if (s == NULL)
		return;
	buf_free(&s->bytes);
	buf_free(&s->table_map);
	free(s);
}

void stage_reset(struct stage *s)
{
	s->is_open = s->is_made = false;
}

bool stage_is_open(const struct stage *s)
{
	return s->is_open;
}

void stage_begin(struct stage *s, const struct event *query_event)
{
	stage_reset(s);
	buf_clear(&s->bytes);
	buf_append(&s->bytes, query_event->bytes, query_event->size);
	s->event = *query_event;
	s->event.bytes = s->bytes.data;
	s->event.body = s->bytes.data + (query_event->body - query_event->bytes);
	s->is_open = true;
}

/* Where the column list of the server-written CREATE begins: the first parenthesis that is not in a quoted name. */
static size_t find_columns(const char *text, size_t size)
{
	char quote = '\0';
	for (size_t i = 0; i < size; i++) {
		if (quote != '\0')
			quote = text[i] == quote ? '\0' : quote;
		else if (text[i] == '`' || text[i] == '"')
			quote = text[i];
		else if (text[i] == '(')
			return i;
	}
	return size;
}

static enum err_code run_unlogged(struct connection *connection, const struct ddl *ddl, struct err *err)
{
	enum err_code code = connection_run(connection, "SET SESSION sql_log_bin=0", err);
	if (code == ERR_OK)
		code = ddl_apply(connection, ddl, err);
	if (code == ERR_OK)
		code = connection_run(connection, "SET SESSION sql_log_bin=1", err);
	return code;
}

static enum err_code drop_table(struct stage *s, struct connection *connection, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql,
	           "SET SESSION sql_log_bin=0; DROP TABLE IF EXISTS " SYNCLINE_SCHEMA ".%s; SET SESSION sql_log_bin=1",
	           s->table);
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

/* The table that is to be made, under another name and without looking at foreign keys. */
static enum err_code make_table(struct stage *s, struct connection *connection, struct err *err)
{
	struct query_event query;
	struct buf text = {0};
	enum err_code code = query_parse(&s->event, &query, err);
	if (code == ERR_OK)
		code = drop_table(s, connection, err);
	if (code == ERR_OK) {
		size_t columns = find_columns(query.statement, query.statement_size);
		buf_printf(&text, "CREATE TABLE " SYNCLINE_SCHEMA ".%s ", s->table);
		buf_append(&text, query.statement + columns, query.statement_size - columns);
		query.flags2 |= QUERY_NO_FOREIGN_KEY_CHECKS;
		struct ddl ddl = {.query = &query,
		                  .timestamp = s->event.timestamp,
		                  .statement = (const char *)text.data,
		                  .statement_size = text.size};
		code = run_unlogged(connection, &ddl, err);
	}
	s->is_made = code == ERR_OK;
	buf_free(&text);
	return code;
}

/* A table map event: 6 bytes table id, 2 flags, then database and table, each with a length byte ahead and a NUL behind. */
static enum err_code rename_table_map(struct stage *s, const struct event *event, struct event *ret, struct err *err)
{
	enum { NAMES_OFFSET = 8 };
	struct cursor c = cursor_of(event->body, event->body_size);
	cursor_skip(&c, NAMES_OFFSET);
	cursor_skip(&c, (size_t)cursor_u8(&c) + 1);
	cursor_skip(&c, (size_t)cursor_u8(&c) + 1);
	if (!cursor_ok(&c))
		return err_set(err, ERR_MALFORMED, "a table map that ends within its names");
	struct buf *to = &s->table_map;
	buf_clear(to);
	buf_append(to, event->bytes, (size_t)(event->body - event->bytes) + NAMES_OFFSET);
	buf_append_u8(to, sizeof SYNCLINE_SCHEMA - 1);
	buf_append(to, SYNCLINE_SCHEMA, sizeof SYNCLINE_SCHEMA);
	buf_append_u8(to, (uint8_t)strlen(s->table));
	buf_append(to, s->table, strlen(s->table) + 1);
	buf_append(to, c.pos, cursor_left(&c));
	*ret = *event;
	ret->bytes = to->data;
	ret->size = to->size;
	return ERR_OK;
}

enum err_code stage_table_map(struct stage *s, struct apply *apply, const struct event *table_map, struct err *err)
{
	struct event renamed;
	enum err_code code = s->is_made ? ERR_OK : make_table(s, apply_connection(apply), err);
	if (code == ERR_OK)
		code = rename_table_map(s, table_map, &renamed, err);
	if (code == ERR_OK)
		apply_table_map(apply, &renamed);
	return code;
}

enum err_code stage_flush(struct stage *s, struct apply *apply, struct err *err)
{
	(void)s;
	struct vector here;
	bool committed;
	return apply_flush(apply, &(struct apply_head){.is_unlogged = true}, NULL, &committed, &here, err);
}

static enum err_code column_list(struct stage *s, struct connection *connection, struct buf *to, struct err *err)
{
	char sql[512];
	snprintf(sql, sizeof sql,
	         "SET SESSION group_concat_max_len=1048576;"
	         "SELECT GROUP_CONCAT(CONCAT('`',REPLACE(column_name,'`','``'),'`') ORDER BY ordinal_position)"
	         " FROM information_schema.columns WHERE table_schema='" SYNCLINE_SCHEMA "' AND table_name='%s'"
	         " AND is_generated='NEVER'",
	         s->table);
	return connection_value(connection, sql, strlen(sql), to, NULL, err);
}

enum err_code stage_finish(struct stage *s, struct apply *apply, const struct schema_change *change, const char *who,
                           struct err *err)
{
	struct connection *connection = apply_connection(apply);
	struct query_event query;
	struct schema_verdict verdict = {.what = SCHEMA_REFUSE};
	struct schema_change full = *change;
	struct buf columns = {0};
	enum err_code code = ERR_OK;
	if (apply_gathered(apply) > 0 || apply_has_begun(apply)) {
		code = stage_flush(s, apply, err);
		if (code == ERR_OK)
			code = apply_commit(apply, err);
	}
	if (code == ERR_OK && s->is_made)
		code = column_list(s, connection, &columns, err);
	if (code == ERR_OK)
		code = query_parse(&s->event, &query, err);
	full.query = &query;
	if (code == ERR_OK)
		code = schema_judge(&full, &verdict, err);
	if (code == ERR_OK) {
		if (s->is_made) {
			buf_append(&verdict.narrowed, query.statement, query.statement_size);
			buf_printf(&verdict.narrowed, " SELECT %s FROM " SYNCLINE_SCHEMA ".%s", buf_str(&columns), s->table);
			query.sql_mode |= QUERY_SQL_MODE_NO_AUTO_VALUE_ON_ZERO; /* a 0 in an AUTO_INCREMENT column stays one */
		}
		full.verdict = &verdict;
		code = schema_apply(&full, connection, s->peer, who, err);
	}
	if (code == ERR_OK && s->is_made)
		code = drop_table(s, connection, err);
	schema_verdict_free(&verdict);
	buf_free(&columns);
	stage_reset(s);
	return code;
}
