/* The parts of the history, for history*.c alone (history.h tells what it is).
 *
 *   history.c         the tail's and the links' side
 *   history_keys.c    under which keys a change is kept, and looked for
 *   history_record.c  a change as the window keeps it
 *   history_load.c    rows from the window into the engine
 */
#ifndef SYNCLINE_MERGE_HISTORY_PARTS_H
#define SYNCLINE_MERGE_HISTORY_PARTS_H

#include <uthash.h>

#include "base/buf.h"
#include "merge/history.h"

struct numbered_table {
	const struct merge_table *table;
	uint32_t number;
	UT_hash_handle by_table;
};

struct history {
	uint32_t me;
	uint64_t speaks; /* as the engine */
	struct window *window;
	struct merge *merge;
	struct numbered_table *numbers; /* by table */
	uint32_t table_count;
	struct numbered_table **tables; /* by number */

	struct history_transaction now; /* between history_begin and history_end */
	struct buf told;                /* its changes, unless the engine is empty: sizes and records */
	size_t told_count;
	bool is_torn; /* the engine was told of a part of the group at hand */
	struct buf record;
	struct keys { /* of the change that is being added */
		size_t count, capacity;
		uint64_t *keys;
	} keys;
};

/* history_keys.c */
void keys_clear(struct keys *keys);
void keys_add(struct keys *keys, uint64_t key);
/* Under which a change is kept. */
void keys_of_change(struct keys *keys, const struct merge_change *change);
uint64_t key_of_delete(uint64_t row_key);   /* kept under: this row was deleted */
uint64_t key_of_children(uint64_t row_key); /* … a row of that version refers to this one */
uint64_t key_of_emptied(uint64_t table);    /* all of this table's were */
uint64_t change_row_key(const struct merge_change *change);
/* Calls for each of the row's values in unique indexes, and for each parent's row key. */
typedef void each_key(void *context, uint64_t key);
void each_unique(const struct merge_table *table, const struct content *values, each_key *call, void *context);
void each_claim(const struct merge_change *change, each_key *call,
                void *context); /* the values that it gives to the row */
void each_parent(const struct merge_table *table, const struct content *values, each_key *call, void *context);

/* history_record.c */
void record_encode(struct history *history, const struct merge_change *change, struct buf *to);
void record_encode_emptied(uint64_t table, bool drops, struct buf *to);
/* A change with room for its values: = {0}, used again, then freed. It borrows from the record's bytes. */
struct record_change {
	bool is_emptied; /* not a change: a table was emptied */
	uint64_t emptied;
	bool drops;
	struct merge_change change;
	struct content *values;
	size_t capacity;
};
enum err_code record_decode(const struct history *history, const uint8_t *bytes, size_t size, struct record_change *to,
                            struct err *err) ERR_MUST_CHECK;
void record_change_free(struct record_change *change);

/* history_load.c: sees to it that the engine has every row that these changes are tied to, as this node's tables show them. What
 * the transaction at hand itself wrote is left out. */
enum err_code history_load(struct history *history, const struct merge_transaction *transaction, struct err *err)
    ERR_MUST_CHECK;
/* … the rows of this table that this node wrote without the transaction knowing of it, which emptied the table. */
enum err_code history_load_lost(struct history *history, const struct history_transaction *transaction, uint64_t table,
                                struct err *err) ERR_MUST_CHECK;

#endif
