#include "link/policies.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "node/settings_policy.h"
#include "sql/server.h"

static void append_place(struct buf *sql, const struct settings *s, const char *database, const char *table)
{
	buf_append_str(sql, sql->size > 0 ? ",(" : "(");
	sql_append_string(sql, database, strlen(database));
	buf_append_str(sql, ",");
	sql_append_string(sql, table, strlen(table));
	buf_printf(sql, ",%" PRIu64 ")", settings_policy_hash(s, database, table));
}

enum err_code policies_publish(struct connection *connection, const struct settings *s, struct err *err)
{
	struct buf places = {0}, sql = {0};
	for (size_t i = 0; i < s->database_count; i++)
		append_place(&places, s, s->databases[i], "");
	for (size_t i = 0; i < s->policy_count; i++)
		if (s->policies[i].table != NULL)
			append_place(&places, s, s->policies[i].database, s->policies[i].table);
	buf_printf(&sql,
	           "SET sql_log_bin=0;BEGIN;DELETE FROM " SYNCLINE_SCHEMA "." SYNCLINE_POLICIES_TABLE
	           ";INSERT IGNORE INTO " SYNCLINE_SCHEMA "." SYNCLINE_POLICIES_TABLE " VALUES %s;COMMIT;SET sql_log_bin=1",
	           buf_str(&places));
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&places);
	buf_free(&sql);
	return code;
}

struct place {
	char *database, *table;
	uint64_t hash;
};

struct published {
	size_t count;
	struct place *places;
};

static void take_place(void *context, unsigned count, const char *const *columns)
{
	struct published *p = context;
	if (count < 3 || columns[0] == NULL || columns[1] == NULL || columns[2] == NULL)
		return;
	p->places = mem_resize(p->places, (p->count + 1) * sizeof *p->places);
	p->places[p->count++] = (struct place){
	    .database = mem_strdup(columns[0]), .table = mem_strdup(columns[1]), .hash = strtoull(columns[2], NULL, 10)};
}

static const struct place *find_place(const struct published *p, const char *database, const char *table)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->places[i].database, database) == 0 && strcmp(p->places[i].table, table) == 0)
			return &p->places[i];
	return NULL;
}

static void append_difference(struct buf *to, const char *database, const char *table)
{
	buf_printf(to, "%s%s%s%s", to->size > 0 ? ", " : "", database, *table ? "." : "", table);
}

enum err_code policies_compare(struct connection *peer, const struct settings *s, struct buf *to, struct err *err)
{
	struct published there = {0};
	enum err_code code =
	    connection_query(peer, "SELECT * FROM " SYNCLINE_SCHEMA "." SYNCLINE_POLICIES_TABLE, take_place, &there, err);
	/* What the peer has lines for, and then what only this node has lines for: there the peer's database counts. */
	for (size_t i = 0; code == ERR_OK && i < there.count; i++) {
		const struct place *p = &there.places[i];
		if (settings_replicates(s, p->database) && settings_policy_hash(s, p->database, p->table) != p->hash)
			append_difference(to, p->database, p->table);
	}
	for (size_t i = 0; code == ERR_OK && i < s->policy_count; i++) {
		const char *database = s->policies[i].database, *table = s->policies[i].table;
		const struct place *whole = find_place(&there, database, "");
		bool told = table == NULL || find_place(&there, database, table) != NULL;
		for (size_t j = 0; !told && j < i; j++)
			told = s->policies[j].table != NULL && strcmp(s->policies[j].database, database) == 0 &&
			       strcmp(s->policies[j].table, table) == 0;
		if (!told && whole != NULL && settings_policy_hash(s, database, table) != whole->hash)
			append_difference(to, database, table);
	}
	for (size_t i = 0; i < there.count; i++) {
		free(there.places[i].database);
		free(there.places[i].table);
	}
	free(there.places);
	return code;
}
