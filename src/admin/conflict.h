/* A row of replication_conflicts, as people see it (docs/conflict-record.md).
 *
 * Any application may write into that table. So conflict_data is looked at when it is read: `data` is a record as we
 * write it, with every member that we use and of the right kind, or NULL, and then there is only its text.
 */
#ifndef SYNCLINE_ADMIN_CONFLICT_H
#define SYNCLINE_ADMIN_CONFLICT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "node/settings.h"
#include "sql/connection.h"

struct conflict {
	char *database;
	int64_t id;
	char *table_name, *record_id, *conflict_type, *gate_id; /* as the columns have them; "" for NULL */
	bool resolved;
	int64_t created_s; /* 0 if unknown */
	char *text;        /* conflict_data, NULL if the column is */
	json_t *data;
	bool is_left_out; /* conflict_data, since it is too long */
};

struct conflict_list {
	size_t count;
	struct conflict *conflicts; /* owned */
};

struct conflict_query {
	const char *database;
	bool only_open;
	int64_t id;              /* only this one; 0: any */
	int64_t before;          /* only those with lower ids; 0: any */
	unsigned limit;          /* so many, from the newest on; 0: all, the oldest first */
	unsigned data_bytes_max; /* a conflict_data of more bytes is left out; 0: none is */
};

/* Those of the replicated databases that have the table; ret_names has room for all. The names are the settings'. */
enum err_code conflict_databases(struct connection *connection, const struct settings *settings,
                                 const char *ret_names[], size_t *ret_count, struct err *err) ERR_MUST_CHECK;
/* Appends what the query asks for. */
enum err_code conflict_load(struct connection *connection, const struct conflict_query *query,
                            struct conflict_list *list, struct err *err) ERR_MUST_CHECK;
void conflict_list_free(struct conflict_list *list);

/* A record as we write it, of this database, or NULL. Owned by the caller. */
json_t *conflict_parse(const char *text, const char *database);

/* Of a conflict with data; borrowed. */
const char *conflict_text(const struct conflict *conflict, const char *member);              /* "" if it isn't a text */
json_t *conflict_row(const struct conflict *conflict, const char *row);                      /* NULL if there is none */
bool conflict_has(const struct conflict *conflict, const char *columns, const char *column); /* "lost", "hex", "cut" */
unsigned conflict_node(const struct conflict *conflict, const char *gtid);                   /* 0 if there is none */

/* Appends "id=7" or "a=1, b=x'ff'"; without data the column record_id. */
void conflict_append_key(const struct conflict *conflict, struct buf *to);
/* Appends a value of a row for people: NULL, text, or x'…'. */
void conflict_append_value(const struct conflict *conflict, const char *column, const json_t *value, struct buf *to);
/* Appends local time, "2024-02-29 12:34:56 CET"; "-" for 0. */
void conflict_append_time(int64_t seconds, struct buf *to);
/* Of a conflict with data: appends what happened in a sentence, or nothing if the kind isn't known. */
void conflict_append_sentence(const struct conflict *conflict, struct buf *to);
/* The row with conflict_data as an object. */
json_t *conflict_json(const struct conflict *conflict);

#endif
