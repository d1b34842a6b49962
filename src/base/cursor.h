/* The one reader of bytes that come from a network or a file.
 *
 * A cursor walks a borrowed range and never leaves it. Failure is sticky: a read past the end gives 0 or NULL, moves to
 * the end and sets `failed`, so a parser reads a whole structure and checks cursor_ok once. Never assert on what it
 * gives. Integers are little-endian unless the name says otherwise; no alignment is assumed.
 */
#ifndef SYNCLINE_BASE_CURSOR_H
#define SYNCLINE_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *pos;
	const uint8_t *end;
	bool failed;
};

struct cursor cursor_of(const void *bytes, size_t size);
size_t cursor_left(const struct cursor *c);
bool cursor_ok(const struct cursor *c);   /* no read has failed */
bool cursor_done(const struct cursor *c); /* no read has failed and nothing is left */
void cursor_fail(struct cursor *c);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u24(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u48(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint64_t cursor_uint(struct cursor *c, unsigned width);    /* width 1 to 8 */
uint64_t cursor_uint_be(struct cursor *c, unsigned width); /* width 1 to 8, big-endian */
uint64_t cursor_varint(struct cursor *c);                  /* LEB128, what buf_append_varint writes */
/* MariaDB's length-encoded integer; the NULL marker 0xfb and 0xff fail. */
uint64_t cursor_lenenc(struct cursor *c);
/* Takes n bytes: borrowed, NULL if there are fewer. n == 0 gives a pointer that must not be read. */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);
void cursor_skip(struct cursor *c, size_t n);
/* A cursor over the next n bytes, which are skipped here; failed if there are fewer. */
struct cursor cursor_sub(struct cursor *c, size_t n);

#endif
