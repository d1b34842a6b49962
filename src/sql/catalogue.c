#include "sql/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "merge/rowkey.h"

enum { CACHE_SIZE = 512, ANSWER_MS_MAX = 5000 };

struct answer {
	uint64_t key; /* hash of table and column names, 0: free */
	uint64_t generation;
	int64_t asked_ms;
};

struct catalogue {
	struct answer answers[CACHE_SIZE]; /* direct-mapped: a table that is pushed out is asked for again */
};

struct catalogue *catalogue_new(void)
{
	return mem_alloc(sizeof(struct catalogue));
}

void catalogue_free(struct catalogue *catalogue)
{
	free(catalogue);
}

/* What information_schema says of the table, compared while it is read. */
struct comparison {
	const struct table_map *map;
	uint32_t seen;
	bool differs;
	char engine[32];
	struct buf here; /* the column names, for the message */
};

static void compare_column(void *context, unsigned count, const char *const *columns)
{
	struct comparison *c = context;
	if (count < 2 || columns[1] == NULL)
		return;
	const char *name = columns[1];
	if (c->seen == 0)
		snprintf(c->engine, sizeof c->engine, "%s", columns[0] ? columns[0] : "none");
	buf_printf(&c->here, "%s%s", c->seen ? "," : "", name);
	if (c->seen >= c->map->column_count || c->map->columns[c->seen].name == NULL ||
	    strcmp(c->map->columns[c->seen].name, name) != 0)
		c->differs = true;
	c->seen++;
}

/* Hidden columns end a table map but not information_schema: those of a system-versioned table without explicit ones, and
 * the hash of a long unique key (MariaDB sql/table.cc, DB_ROW_HASH_1). */
static bool is_hidden(const struct column *column)
{
	return column->name != NULL && (strcmp(column->name, "row_start") == 0 || strcmp(column->name, "row_end") == 0 ||
	                                strncmp(column->name, "DB_ROW_HASH_", 12) == 0);
}

static enum err_code judge(const struct comparison *c, struct err *err)
{
	const struct table_map *map = c->map;
	if (c->seen == 0)
		return err_set(err, ERR_UNSUPPORTED, "table %s.%s is not here; create it as it is on the other node",
		               map->database, map->table);
	bool differs = c->differs || c->seen > map->column_count;
	for (uint32_t i = c->seen; i < map->column_count; i++)
		differs = differs || !is_hidden(&map->columns[i]);
	if (differs) {
		struct buf there = {0}, here = c->here;
		for (uint32_t i = 0; i < map->column_count; i++)
			buf_printf(&there, "%s%s", i ? "," : "", map->columns[i].name ? map->columns[i].name : "?");
		enum err_code code = err_set(err, ERR_UNSUPPORTED,
		                             "table %s.%s has other columns here (%.200s) than it had there (%.200s); make "
		                             "them alike (ALTER TABLE here, in a session with sql_log_bin=0)",
		                             map->database, map->table, buf_str(&here), buf_str(&there));
		buf_free(&there);
		return code;
	}
	if (strcasecmp(c->engine, "InnoDB") != 0 && strcasecmp(c->engine, "none") != 0)
		return err_set(err, ERR_UNSUPPORTED,
		               "table %s.%s is stored by %s here, which can't commit together with the rest; ALTER TABLE … "
		               "ENGINE=InnoDB on every node",
		               map->database, map->table, c->engine);
	return ERR_OK;
}

static enum err_code ask(struct connection *connection, const struct table_map *map, struct err *err)
{
	/* Both are looked up by constants: joined by their columns, every table of the server is opened (15 times as slow). */
	struct buf sql = {0}, database = {0}, table = {0};
	sql_append_string(&database, map->database, strlen(map->database));
	sql_append_string(&table, map->table, strlen(map->table));
	buf_printf(&sql,
	           "SELECT t.engine, c.column_name FROM information_schema.columns c"
	           " JOIN information_schema.tables t ON t.table_schema=%s AND t.table_name=%s"
	           " WHERE c.table_schema=%s AND c.table_name=%s ORDER BY c.ordinal_position",
	           buf_str(&database), buf_str(&table), (const char *)database.data, (const char *)table.data);
	buf_free(&database);
	buf_free(&table);
	struct comparison c = {.map = map};
	enum err_code code = connection_query(connection, buf_str(&sql), compare_column, &c, err);
	if (code == ERR_OK)
		code = judge(&c, err);
	buf_free(&c.here);
	buf_free(&sql);
	return code;
}

enum err_code catalogue_check(struct catalogue *catalogue, struct connection *connection, const struct table_map *map,
                              uint64_t generation, struct err *err)
{
	if (!map->has_full_metadata)
		return err_set(
		    err, ERR_UNSUPPORTED,
		    "rows of %s.%s were logged without column names; set binlog_row_metadata=FULL on the node that wrote "
		    "them",
		    map->database, map->table);
	uint64_t key = rowkey_columns(map) | 1;
	struct answer *answer = &catalogue->answers[key / 2 % CACHE_SIZE];
	int64_t now = clock_monotonic_ms();
	if (answer->key == key && answer->generation == generation && now - answer->asked_ms < ANSWER_MS_MAX)
		return ERR_OK;
	enum err_code code = ask(connection, map, err);
	if (code == ERR_OK)
		*answer = (struct answer){.key = key, .generation = generation, .asked_ms = now};
	return code;
}
