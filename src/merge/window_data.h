/* Where the window's records lie: bytes at offsets, in the owner's storage or on the heap (struct window_memory).
 *
 * Bytes are appended at the end and keep their offset until all is cleared. They gather in a buffer before they are
 * written, and large pieces pass by it; what is read brings some of its neighbours along, which are mostly read next.
 * Readers notice nothing of it. When the storage has refused to write, everything is refused with the same error until
 * all is cleared. Embedded in its owner, who locks.
 */
#ifndef SYNCLINE_MERGE_WINDOW_DATA_H
#define SYNCLINE_MERGE_WINDOW_DATA_H

#include "merge/window.h"

enum {
	WINDOW_DATA_START = 16, /* the first offset: 0 can mean "none" */
	WINDOW_DATA_BUFFER = 64 * 1024,
	WINDOW_DATA_DIRECT = 16 * 1024, /* pieces from here on aren't buffered */
	WINDOW_DATA_NEAR = 4096,
};

/* The storage where the owner has none. */
struct window_heap {
	uint64_t start; /* the offset of its first byte */
	struct buf bytes;
};

struct window_data {
	struct window_memory storage; /* its read, write and drop */
	struct window_heap heap;
	uint64_t written; /* what lies before is in the storage, what follows in the buffer */
	uint64_t dropped; /* what the storage was told last */
	struct buf buffer;
	uint64_t near_at; /* what was read last, as it stands in the storage */
	size_t near_size;
	uint8_t near[WINDOW_DATA_NEAR];
	struct err failure; /* ERR_OK: none */
};

void window_data_init(struct window_data *data, const struct window_memory *memory);
void window_data_done(struct window_data *data);

/* Why everything is refused, if it is. */
enum err_code window_data_check(const struct window_data *data, struct err *err) ERR_MUST_CHECK;
uint64_t window_data_end(const struct window_data *data);
enum err_code window_data_append(struct window_data *data, const void *bytes, size_t size, struct err *err)
    ERR_MUST_CHECK;
/* Other bytes at a place that was appended before. */
enum err_code window_data_change(struct window_data *data, uint64_t offset, const void *bytes, size_t size,
                                 struct err *err) ERR_MUST_CHECK;
/* Of a range before the end, and not dropped. */
enum err_code window_data_read(struct window_data *data, uint64_t offset, void *to, size_t size, struct err *err)
    ERR_MUST_CHECK;
/* What lies before `upto` will not be read again. */
void window_data_drop(struct window_data *data, uint64_t upto);
void window_data_clear(struct window_data *data);

#endif
