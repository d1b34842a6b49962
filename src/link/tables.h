/* The tables that a stream's rows events refer to by number.
 *
 * A table map event comes ahead of every statement's rows; nearly always it says what the last one with that number said,
 * so it is parsed only when its bytes differ. Numbers start anew with each format description: tables_clear.
 * One thread; a struct table is borrowed until the next tables_ call.
 */
#ifndef SYNCLINE_LINK_TABLES_H
#define SYNCLINE_LINK_TABLES_H

#include "binlog/table_map.h"
#include "node/settings.h"

struct table {
	struct table_map map;
	struct buf raw; /* the table map event's body */
	uint64_t hash;  /* where its row keys start from */
	bool is_replicated;
	bool is_sequence;
	bool is_links; /* syncline.links: its rows hold manifests */
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

/* Appends `DO SETVAL(…);` for the state that a sequence's last row in this event says. */
enum err_code tables_append_setval(const struct table *sequence, const struct event *rows, struct buf *to,
                                   struct err *err) ERR_MUST_CHECK;

/* The manifest in a row of syncline.links; *ret_found is false where there is none. */
struct manifest;

enum err_code tables_read_manifest(const struct table *links, const struct event *rows, struct manifest *ret_manifest,
                                   bool *ret_found, struct err *err) ERR_MUST_CHECK;

#endif
