#include "merge/window_data.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---- The heap as storage ---- */

static bool heap_read(void *context, uint64_t offset, void *to, size_t size)
{
	const struct window_heap *heap = context;
	memcpy(to, heap->bytes.data + (offset - heap->start), size);
	return true;
}

static bool heap_write(void *context, uint64_t offset, const void *from, size_t size)
{
	struct window_heap *heap = context;
	if (heap->bytes.size == 0)
		heap->start = offset;
	uint64_t end = heap->start + heap->bytes.size;
	if (offset == end)
		buf_append(&heap->bytes, from, size);
	else
		memcpy(heap->bytes.data + (offset - heap->start), from, size);
	return true;
}

/* Moves what is left to the front when that is less than what goes, so each byte is moved once on average. */
static void heap_drop(void *context, uint64_t upto)
{
	struct window_heap *heap = context;
	if (upto == WINDOW_DROP_ALL) {
		buf_free(&heap->bytes);
	} else if (upto > heap->start && upto - heap->start > heap->bytes.size / 2) {
		size_t gone = (size_t)(upto - heap->start);
		heap->bytes.size -= gone;
		memmove(heap->bytes.data, heap->bytes.data + gone, heap->bytes.size);
		heap->start = upto;
	}
}

/* ---- Buffer and storage ---- */

void window_data_init(struct window_data *d, const struct window_memory *memory)
{
	*d = (struct window_data){.written = WINDOW_DATA_START, .dropped = WINDOW_DATA_START};
	if (memory != NULL && memory->write != NULL)
		d->storage = *memory;
	else
		d->storage =
		    (struct window_memory){.read = heap_read, .write = heap_write, .drop = heap_drop, .context = &d->heap};
	if (d->storage.where == NULL)
		d->storage.where = "memory";
}

void window_data_done(struct window_data *d)
{
	buf_free(&d->buffer);
	buf_free(&d->heap.bytes);
}

uint64_t window_data_end(const struct window_data *d)
{
	return d->written + d->buffer.size;
}

enum err_code window_data_check(const struct window_data *d, struct err *err)
{
	if (d->failure.code != ERR_OK && err != NULL)
		*err = d->failure;
	return d->failure.code;
}

static enum err_code store(struct window_data *d, uint64_t offset, const void *bytes, size_t size, struct err *err)
{
	if (d->storage.write(d->storage.context, offset, bytes, size))
		return ERR_OK;
	err_set(&d->failure, ERR_IO, "%s: can't keep the row writes that not every node has yet: %s; make room on its disk",
	        d->storage.where, strerror(errno));
	return window_data_check(d, err);
}

static enum err_code flush(struct window_data *d, struct err *err)
{
	enum err_code code = d->buffer.size == 0 ? ERR_OK : store(d, d->written, d->buffer.data, d->buffer.size, err);
	if (code == ERR_OK) {
		d->written += d->buffer.size;
		buf_clear(&d->buffer);
	}
	return code;
}

enum err_code window_data_append(struct window_data *d, const void *bytes, size_t size, struct err *err)
{
	bool direct = size >= WINDOW_DATA_DIRECT;
	enum err_code code = window_data_check(d, err);
	if (code == ERR_OK && (direct || size > WINDOW_DATA_BUFFER - d->buffer.size))
		code = flush(d, err);
	if (code == ERR_OK && direct)
		code = store(d, d->written, bytes, size, err);
	if (code != ERR_OK)
		return code;
	if (direct)
		d->written += size;
	else
		buf_append(&d->buffer, bytes, size);
	return ERR_OK;
}

/* How much of a range is in the storage; the rest is in the buffer. */
static size_t stored_part(const struct window_data *d, uint64_t offset, size_t size)
{
	if (offset >= d->written)
		return 0;
	return d->written - offset < size ? (size_t)(d->written - offset) : size;
}

enum err_code window_data_change(struct window_data *d, uint64_t offset, const void *bytes, size_t size,
                                 struct err *err)
{
	assert(offset >= d->dropped && offset <= window_data_end(d) && size <= window_data_end(d) - offset);
	size_t stored = stored_part(d, offset, size);
	enum err_code code = window_data_check(d, err);
	if (code == ERR_OK && stored > 0) {
		d->near_size = 0;
		code = store(d, offset, bytes, stored, err);
	}
	if (code == ERR_OK && stored < size)
		memcpy(d->buffer.data + (offset + stored - d->written), (const uint8_t *)bytes + stored, size - stored);
	return code;
}

static enum err_code fetch(struct window_data *d, uint64_t offset, void *to, size_t size, struct err *err)
{
	if (d->storage.read(d->storage.context, offset, to, size))
		return ERR_OK;
	return err_set(err, ERR_IO, "%s: can't read back the row writes that were kept there: %s; check the disk",
	               d->storage.where, strerror(errno));
}

/* From the storage. Small ranges with some of what lies before, where a record's transaction is, and more of what
 * follows. */
static enum err_code read_stored(struct window_data *d, uint64_t offset, void *to, size_t size, struct err *err)
{
	if (size > WINDOW_DATA_NEAR / 2)
		return fetch(d, offset, to, size, err);
	if (offset < d->near_at || offset - d->near_at > d->near_size || size > d->near_size - (offset - d->near_at)) {
		uint64_t back = offset - d->dropped < WINDOW_DATA_NEAR / 4 ? offset - d->dropped : WINDOW_DATA_NEAR / 4;
		uint64_t left = d->written - (offset - back);
		d->near_size = 0;
		d->near_at = offset - back;
		size_t near_size = left < WINDOW_DATA_NEAR ? (size_t)left : WINDOW_DATA_NEAR;
		enum err_code code = fetch(d, d->near_at, d->near, near_size, err);
		if (code != ERR_OK)
			return code;
		d->near_size = near_size;
	}
	memcpy(to, d->near + (offset - d->near_at), size);
	return ERR_OK;
}

enum err_code window_data_read(struct window_data *d, uint64_t offset, void *to, size_t size, struct err *err)
{
	assert(offset >= d->dropped && offset <= window_data_end(d) && size <= window_data_end(d) - offset);
	size_t stored = stored_part(d, offset, size);
	enum err_code code = window_data_check(d, err);
	if (code == ERR_OK && stored > 0)
		code = read_stored(d, offset, to, stored, err);
	if (code == ERR_OK && stored < size)
		memcpy((uint8_t *)to + stored, d->buffer.data + (offset + stored - d->written), size - stored);
	return code;
}

void window_data_drop(struct window_data *d, uint64_t upto)
{
	if (upto > d->written)
		upto = d->written; /* what is in the buffer will still be written */
	if (upto <= d->dropped)
		return;
	d->dropped = upto;
	d->storage.drop(d->storage.context, upto);
}

void window_data_clear(struct window_data *d)
{
	if (d->written > WINDOW_DATA_START || d->failure.code != ERR_OK)
		d->storage.drop(d->storage.context, WINDOW_DROP_ALL);
	buf_clear(&d->buffer);
	d->written = d->dropped = WINDOW_DATA_START;
	d->near_size = 0;
	d->failure.code = ERR_OK;
}
