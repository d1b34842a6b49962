/* The window's transactions and records, as they lie in its data, in the order of the log.
 *
 * A transaction's entry stands before the entries of its records. Each points to the next transaction, so that the
 * first unsettled one is found by walking over transactions only; a record points to its transaction, and, for each of
 * its keys, to the record before it under that key. The index that points to the newest ones is the caller's. Embedded
 * in its owner, who locks.
 */
#ifndef SYNCLINE_MERGE_WINDOW_LOG_H
#define SYNCLINE_MERGE_WINDOW_LOG_H

#include "merge/window_data.h"

struct window_log {
	struct window_data data;
	uint64_t front;         /* the first entry that is kept, a transaction's; the data's end when there is none */
	struct gtid front_gtid; /* of that transaction; seq 0: not known yet */
	uint64_t last;          /* the last transaction's entry; before `front` it is gone */
	uint64_t ended;         /* the data's end when everything was complete */
	bool is_last;           /* the transaction at `last` is the current one */
	/* the current transaction */
	struct gtid gtid;
	uint32_t time;
	struct vector context;
	struct buf scratch;
};

/* For one key, the newest record before this one; 0: none. */
struct window_link {
	uint64_t key, before;
};

struct window_entry {
	uint64_t offset, size; /* all of the entry */
	bool is_record;
	/* a transaction */
	struct gtid gtid; /* of a record: the seq alone */
	uint32_t time;
	uint64_t next; /* 0: it is the last one */
	uint32_t context_size;
	/* a record */
	uint64_t transaction;
	uint32_t link_count, record_size;
};

void window_log_init(struct window_log *log, const struct window_memory *memory);
void window_log_done(struct window_log *log);

/* Nothing is written before the first record is. */
void window_log_begin(struct window_log *log, const struct window_transaction *transaction);
/* The offset that the next record will have. */
enum err_code window_log_next(struct window_log *log, uint64_t *ret_offset, struct err *err) ERR_MUST_CHECK;
enum err_code window_log_append(struct window_log *log, const struct window_link *links, size_t link_count,
                                const uint8_t *record, size_t record_size, struct err *err) ERR_MUST_CHECK;
void window_log_end(struct window_log *log);

/* The entry at this offset. ERR_MALFORMED where none can be. */
enum err_code window_log_entry(struct window_log *log, uint64_t offset, struct window_entry *ret_entry, struct err *err)
    ERR_MUST_CHECK;
/* Some of a record's links, from the first-th on: at least one, if there is one. */
enum { WINDOW_LINKS = 16 };
enum err_code window_log_links(struct window_log *log, const struct window_entry *record, uint32_t first,
                               struct window_link ret_links[WINDOW_LINKS], uint32_t *ret_count, struct err *err)
    ERR_MUST_CHECK;
/* The record at this offset. */
enum err_code window_log_read(struct window_log *log, uint64_t offset, struct window_record *to, struct err *err)
    ERR_MUST_CHECK;

/* Drops the transactions at the front that are settled, WINDOW_SETTLE_AT_ONCE at most. */
void window_log_settle(struct window_log *log, const struct vector *everywhere);
void window_log_clear(struct window_log *log); /* the current transaction goes on */

#endif
