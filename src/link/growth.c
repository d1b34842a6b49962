#include "link/growth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/server.h"

#define TABLE SYNCLINE_SCHEMA ".growth"

enum err_code growth_prepare(struct connection *connection, struct err *err)
{
	return connection_run(connection,
	                      "SET sql_log_bin=0;"
	                      "CREATE TABLE IF NOT EXISTS " TABLE " ("
	                      " since BIGINT NOT NULL PRIMARY KEY,"
	                      " bytes BIGINT UNSIGNED NOT NULL,"
	                      " file VARCHAR(511) CHARACTER SET utf8mb3 NOT NULL,"
	                      " position BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB;"
	                      "SET sql_log_bin=1",
	                      err);
}

static struct growth_hour *begin_hour(struct growth *g, int64_t since)
{
	if (g->count == sizeof g->hours / sizeof *g->hours)
		memmove(g->hours, g->hours + 1, --g->count * sizeof *g->hours);
	g->hours[g->count] = (struct growth_hour){.since = since};
	return &g->hours[g->count++];
}

static void take(void *context, unsigned count, const char *const *columns)
{
	struct growth *g = context;
	if (count < 4 || columns[0] == NULL || columns[1] == NULL || columns[2] == NULL || columns[3] == NULL)
		return;
	begin_hour(g, strtoll(columns[0], NULL, 10))->bytes = strtoull(columns[1], NULL, 10);
	snprintf(g->file, sizeof g->file, "%s", columns[2]);
	g->position = strtoull(columns[3], NULL, 10);
}

enum err_code growth_load(struct connection *connection, struct growth *g, struct err *err)
{
	*g = (struct growth){0};
	return connection_query(connection, "SELECT since, bytes, file, position FROM " TABLE " ORDER BY since", take, g,
	                        err);
}

enum err_code growth_save(struct connection *connection, const struct growth *g, struct err *err)
{
	if (g->count == 0)
		return ERR_OK;
	struct buf sql = {0};
	buf_append_str(&sql, "SET sql_log_bin=0;BEGIN;");
	for (size_t i = g->count > 1 ? g->count - 2 : 0; i < g->count; i++) { /* the last but one may have ended just now */
		buf_printf(&sql, "REPLACE INTO " TABLE " VALUES (%" PRId64 ",%" PRIu64 ",", g->hours[i].since,
		           g->hours[i].bytes);
		sql_append_string(&sql, g->file, strlen(g->file));
		buf_printf(&sql, ",%" PRIu64 ");", g->position);
	}
	buf_printf(&sql, "DELETE FROM " TABLE " WHERE since<%" PRId64 " OR since>%" PRId64 ";COMMIT;SET sql_log_bin=1",
	           g->hours[0].since, g->hours[g->count - 1].since);
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

/* Where the counted file isn't there any more, all that is there is new. */
static uint64_t grown(const struct growth *g, const struct logs *logs)
{
	uint64_t bytes = 0;
	size_t i = logs->count;
	while (i > 0 && strcmp(logs->files[i - 1].name, g->file) != 0)
		i--;
	if (i > 0 && logs->files[i - 1].bytes > g->position)
		bytes = logs->files[i - 1].bytes - g->position;
	for (; i < logs->count; i++)
		bytes += logs->files[i].bytes;
	return bytes;
}

void growth_count(struct growth *g, const struct logs *logs, int64_t now_s)
{
	if (logs->count == 0)
		return;
	uint64_t bytes = g->file[0] != '\0' ? grown(g, logs) : 0;
	struct growth_hour *hour = g->count > 0 ? &g->hours[g->count - 1] : NULL;
	/* A clock that jumped back: what was counted in its future says nothing. */
	if (hour != NULL && hour->since > now_s)
		g->count = 0, hour = NULL;
	if (hour == NULL)
		hour = begin_hour(g, now_s);
	hour->bytes += bytes;
	if (now_s - hour->since >= GROWTH_HOUR_S)
		begin_hour(g, now_s);
	const struct logs_file *last = &logs->files[logs->count - 1];
	snprintf(g->file, sizeof g->file, "%s", last->name);
	g->position = last->bytes;
	/* The first may be much older: the daemon was away, or the clock wasn't set yet. */
	while (g->count > 1 && (g->hours[1].since <= now_s - GROWTH_HOURS * GROWTH_HOUR_S ||
	                        g->hours[0].since <= now_s - 2 * GROWTH_HOURS * GROWTH_HOUR_S))
		memmove(g->hours, g->hours + 1, --g->count * sizeof *g->hours);
}

bool growth_rate(const struct growth *g, int64_t now_s, double *ret_rate)
{
	uint64_t bytes = 0;
	if (g->count == 0 || now_s - g->hours[0].since < GROWTH_SECONDS_MIN)
		return false;
	for (size_t i = 0; i < g->count; i++)
		bytes += g->hours[i].bytes;
	*ret_rate = (double)bytes / (double)(now_s - g->hours[0].since);
	return true;
}
