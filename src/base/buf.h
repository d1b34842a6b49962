/* A growable byte buffer, embedded in its owner.
 *
 * `= {0}` is an empty buffer; buf_free returns it to that state. Growth never fails (see mem.h). Pointers into
 * data are borrowed until the next append. Not thread-safe.
 */
#ifndef SYNCLINE_BASE_BUF_H
#define SYNCLINE_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

/* Makes room for `more` bytes after size and returns where they go; size is not changed. */
uint8_t *buf_reserve(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *bytes, size_t size);
void buf_append_str(struct buf *buf, const char *text);
void buf_append_u8(struct buf *buf, uint8_t value);
void buf_append_u16(struct buf *buf, uint16_t value); /* integers are little-endian */
void buf_append_u32(struct buf *buf, uint32_t value);
void buf_append_u64(struct buf *buf, uint64_t value);
void buf_append_varint(struct buf *buf, uint64_t value); /* LEB128, what cursor_varint reads */
void buf_append_lenenc(struct buf *buf, uint64_t value); /* what cursor_lenenc reads */
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_append_base64(struct buf *buf, const void *bytes, size_t size);
/* The content as a C string: borrowed, NUL-terminated, the NUL not counted in size. */
const char *buf_str(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
/* Empties it and gives memory beyond `keep` bytes back: after a large event a link is small again. */
void buf_shrink(struct buf *buf, size_t keep);
void buf_free(struct buf *buf);

#endif
