/* The window: the row writes in this node's log that some other node is not yet known to have.
 *
 * It answers two questions about a key (a 64-bit hash of a row's primary key, of a unique value, of a reference):
 *
 *   window_find   did anybody write this without knowing of that? A constant number of steps, whatever the window's
 *                 size and however often the key was written.
 *   window_load   which writes were that? Those that came with a record, which window_read gives back with its
 *                 transaction. Costs what the records of this one key cost.
 *
 * An index holds for each key and domain the seq of the last write and the offset of the last record: open addressing,
 * 24 bytes a place, at most three quarters full, grown and cleaned by rebuilding. The records lie in the order of the
 * log, each with the offset of the one before it for each of its keys. Both are where the owner says (struct
 * window_memory): files, so that a big transaction or a long absence of a peer costs disk and no memory. The window
 * itself keeps 64 KiB of what was written last, and nothing that grows.
 *
 * What always holds: what was added and isn't settled is found and loaded. What is settled may still be found, it is
 * never loaded.
 *
 * Transactions are given in the log's order, one at a time:
 *
 *   window_begin, window_add for each row, window_begin, window_add, …, window_end when the log's group is complete
 *
 * Pure state; the owner locks. All but window_begin, _end, _find and _count may call the callbacks, which may block.
 */
#ifndef SYNCLINE_MERGE_WINDOW_H
#define SYNCLINE_MERGE_WINDOW_H

#include "binlog/gtid.h"

struct window;

/* Where the window lies. get and put are the index, the others the records; either may be NULL altogether: then the
 * heap. */
struct window_memory {
	/* Zeroed memory, and its return. */
	void *(*get)(void *context, size_t bytes);
	void (*put)(void *context, void *memory, size_t bytes);
	/* Bytes at 64-bit offsets: appended without gaps, now and then a few written again. All, or false with errno. */
	bool (*read)(void *context, uint64_t offset, void *to, size_t size);
	bool (*write)(void *context, uint64_t offset, const void *from, size_t size);
	/* What lies before `upto` will not be read again; WINDOW_DROP_ALL: nothing will, and offsets start again. Called
	 * often. */
	void (*drop)(void *context, uint64_t upto);
	void *context;
	const char *where; /* of the records, for messages: a folder. Borrowed; NULL: "memory" */
};
#define WINDOW_DROP_ALL UINT64_MAX

/* memory is copied; NULL: the heap. */
struct window *window_new(const struct window_memory *memory);
void window_free(struct window *window); /* accepts NULL */

struct window_transaction {
	struct gtid gtid;
	uint32_t time;                /* of its commit */
	const struct vector *context; /* borrowed for the call; NULL is an empty one */
};

/* What is added from here on is this transaction's. A domain beyond the VECTOR_DOMAINS_MAX first ones and a seq beyond
 * 2^56 are refused: ERR_UNSUPPORTED. Costs nothing until something is added. */
enum err_code window_begin(struct window *window, const struct window_transaction *transaction, struct err *err)
    ERR_MUST_CHECK;
/* A row write, to be found under each of these keys; a key given twice counts once. The record is copied and means
 * nothing to the window; with a size of 0 the write is found but not loaded. What is settled already isn't taken in.
 * ERR_IO: the storage refuses (disk full). From then on all but window_find is refused with this error, until the owner
 * clears the window, to fill it again from its log. */
enum err_code window_add(struct window *window, const uint64_t *keys, size_t key_count, const uint8_t *record,
                         size_t record_size, struct err *err) ERR_MUST_CHECK;
/* All that was begun is complete. */
void window_end(struct window *window);
/* The log's reading was cut off and goes on after what was complete: the records since window_end are forgotten, since
 * they will come again. (That their keys were written is still found.) */
enum err_code window_rewind(struct window *window, struct err *err) ERR_MUST_CHECK;

/* A write to this key that is not in the context and not of `origin` itself. */
bool window_find(const struct window *window, uint64_t key, uint32_t origin, const struct vector *context,
                 struct gtid *ret_gtid);

/* The records of a key, the oldest first. = {0}, used for as many loads as one likes, then freed. */
struct window_chain {
	size_t count, capacity;
	uint64_t *offsets; /* name the records: ascending in the order of the log, the same under whichever key */
};
void window_chain_free(struct window_chain *chain);

/* = {0}, used for as many reads as one likes, then freed. */
struct window_record {
	struct gtid gtid;
	uint32_t time;
	struct vector context;
	struct buf bytes; /* the record */
};
void window_record_free(struct window_record *record);

/* All unsettled records that were added under this key, whatever their domain; none is an empty chain. The offsets are
 * good until the window is settled or cleared. What is in `to` after a failure says nothing, here and in
 * window_read. */
enum err_code window_load(struct window *window, uint64_t key, struct window_chain *to, struct err *err) ERR_MUST_CHECK;
/* All unsettled records of this domain's transactions behind this seq. Walks over all that the window has: for rare occasions. */
enum err_code window_scan(struct window *window, uint32_t domain, uint64_t behind, struct window_chain *to,
                          struct err *err) ERR_MUST_CHECK;
/* An offset that is none any more: ERR_MALFORMED. */
enum err_code window_read(struct window *window, uint64_t offset, struct window_record *to, struct err *err)
    ERR_MUST_CHECK;

/* Everything up to this vector is known to be everywhere and may go. Places in the index are freed when it next grows,
 * records up to the first unsettled transaction now, everything when nothing else is left. A constant number of steps a
 * transaction, and of no more than so many a call, since the owner's lock is held: the next call goes on. */
enum { WINDOW_SETTLE_AT_ONCE = 16384 };
void window_settle(struct window *window, const struct vector *everywhere);
size_t window_count(const struct window *window); /* of keys, counted for each domain */
void window_clear(struct window *window);         /* also what is known to be everywhere */

#endif
