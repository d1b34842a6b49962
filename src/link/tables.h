/* The tables that a stream's rows events refer to by number.
 *
 * A table map event comes ahead of every statement's rows; nearly always it says what the last one with that number said,
 * so it is parsed only when its bytes differ. Numbers start anew with each format description: tables_clear.
 * One thread; a struct table is borrowed until the next tables_ call.
 */
#ifndef SYNCLINE_LINK_TABLES_H
#define SYNCLINE_LINK_TABLES_H

#include "binlog/table_map.h"
#include "link/registry.h"
#include "node/settings.h"
#include "sql/catalogue.h"

struct table {
	struct table_map map;
	struct buf raw; /* the table map event's body */
	bool is_replicated;
	bool is_sequence;
	bool is_ours;  /* of the schema syncline: what the daemon notes for itself */
	bool is_links; /* syncline.links: its rows hold manifests */
	/* After tables_describe: the table here, and how rows get there; NULL: there is none, or they can't. */
	const struct description *here;
	struct mapping *mapping;
};

struct tables;

struct tables *tables_new(const struct settings *settings); /* borrowed */
void tables_free(struct tables *tables);                    /* accepts NULL */
void tables_clear(struct tables *tables);
/* Between groups: keeps the number of tables remembered bounded. */
void tables_trim(struct tables *tables);
enum err_code tables_learn(struct tables *tables, const struct event *table_map, const struct table **ret_table,
                           struct err *err) ERR_MUST_CHECK;
/* NULL: no table map told of this number. */
const struct table *tables_find(const struct tables *tables, uint64_t table_id);

/* Asks what the table is here. An error that says so when its rows can't get there. */
enum err_code tables_describe(struct tables *tables, uint64_t table_id, struct registry *registry,
                              struct catalogue *catalogue, struct connection *connection, uint64_t generation,
                              struct err *err) ERR_MUST_CHECK;

/* As the table was last, when tables_describe says that it isn't here: for what was written before it was dropped. */
enum err_code tables_describe_last(struct tables *tables, uint64_t table_id, struct registry *registry,
                                   struct catalogue *catalogue, struct connection *connection, struct err *err)
    ERR_MUST_CHECK;

/* Appends `DO SETVAL(…);` for the state that a sequence's last row in this event says. */
enum err_code tables_append_setval(const struct table *sequence, const struct event *rows, struct buf *to,
                                   struct err *err) ERR_MUST_CHECK;

/* The manifest in a row of syncline.links; *ret_found is false where there is none. */
struct manifest;

enum err_code tables_read_manifest(const struct table *links, const struct event *rows, struct manifest *ret_manifest,
                                   bool *ret_found, struct err *err) ERR_MUST_CHECK;

#endif
