#include "link/emptied.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sql/server.h"

#define TABLE SYNCLINE_SCHEMA ".emptied"

bool emptied_is(const struct statement *s)
{
	if (s->kind != STATEMENT_DDL || s->object != OBJECT_TABLE || s->temporary)
		return false;
	return s->verb == VERB_TRUNCATE || s->verb == VERB_DROP || (s->verb == VERB_CREATE && s->or_replace);
}

enum err_code emptied_prepare(struct connection *connection, struct err *err)
{
	return connection_run(connection,
	                      "SET SESSION sql_log_bin=0;"
	                      "CREATE TABLE IF NOT EXISTS " TABLE " ("
	                      " domain INT UNSIGNED NOT NULL,"
	                      " seq BIGINT UNSIGNED NOT NULL,"
	                      " time INT UNSIGNED NOT NULL,"
	                      " context VARCHAR(4000) CHARACTER SET ascii NOT NULL,"
	                      " PRIMARY KEY (domain, seq)) ENGINE=InnoDB;"
	                      "SET SESSION sql_log_bin=1",
	                      err);
}

enum err_code emptied_note(struct connection *connection, const struct emptied *e, struct err *err)
{
	struct buf sql = {0}, context = {0};
	vector_format(&e->context, &context);
	buf_printf(&sql,
	           "SET SESSION sql_log_bin=0;REPLACE INTO " TABLE " VALUES (%u,%" PRIu64 ",%u,'%s');"
	           "SET SESSION sql_log_bin=1",
	           (unsigned)e->gtid.domain, e->gtid.seq, (unsigned)e->time, buf_str(&context));
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&context);
	return code;
}

static void take(void *context, unsigned count, const char *const *columns)
{
	struct emptied *e = context;
	struct vector known;
	if (count < 2 || columns[0] == NULL || columns[1] == NULL || vector_parse(columns[1], &known, NULL) != ERR_OK)
		return;
	e->time = (uint32_t)strtoul(columns[0], NULL, 10);
	e->context = known;
}

enum err_code emptied_find(struct connection *connection, struct emptied *e, struct err *err)
{
	char sql[160];
	snprintf(sql, sizeof sql, "SELECT time, context FROM " TABLE " WHERE domain=%u AND seq=%" PRIu64,
	         (unsigned)e->gtid.domain, e->gtid.seq);
	return connection_query(connection, sql, take, e, err);
}

enum err_code emptied_forget(struct connection *connection, const struct vector *everywhere, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
	for (uint32_t i = 0; i < everywhere->count; i++)
		buf_printf(&sql, "DELETE FROM " TABLE " WHERE domain=%u AND seq<=%" PRIu64 ";",
		           (unsigned)everywhere->gtids[i].domain, everywhere->gtids[i].seq);
	buf_append_str(&sql, "SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}
