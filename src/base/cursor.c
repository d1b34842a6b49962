#include "base/cursor.h"

struct cursor cursor_of(const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	return (struct cursor){.pos = p, .end = size ? p + size : p, .failed = false};
}

size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->pos);
}

bool cursor_ok(const struct cursor *c)
{
	return !c->failed;
}

bool cursor_done(const struct cursor *c)
{
	return !c->failed && c->pos == c->end;
}

void cursor_fail(struct cursor *c)
{
	c->pos = c->end;
	c->failed = true;
}

const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	if (c->failed || n > cursor_left(c)) {
		cursor_fail(c);
		return NULL;
	}
	const uint8_t *at = c->pos;
	if (n > 0)
		c->pos += n;
	return at;
}

uint64_t cursor_uint(struct cursor *c, unsigned width)
{
	const uint8_t *p = cursor_bytes(c, width);
	uint64_t value = 0;
	for (unsigned i = 0; p != NULL && i < width; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

uint64_t cursor_uint_be(struct cursor *c, unsigned width)
{
	const uint8_t *p = cursor_bytes(c, width);
	uint64_t value = 0;
	for (unsigned i = 0; p != NULL && i < width; i++)
		value = value << 8 | p[i];
	return value;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)cursor_uint(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
	return (uint16_t)cursor_uint(c, 2);
}

uint32_t cursor_u24(struct cursor *c)
{
	return (uint32_t)cursor_uint(c, 3);
}

uint32_t cursor_u32(struct cursor *c)
{
	return (uint32_t)cursor_uint(c, 4);
}

uint64_t cursor_u48(struct cursor *c)
{
	return cursor_uint(c, 6);
}

uint64_t cursor_u64(struct cursor *c)
{
	return cursor_uint(c, 8);
}

uint64_t cursor_varint(struct cursor *c)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = cursor_u8(c);
		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return c->failed ? 0 : value;
	}
	cursor_fail(c);
	return 0;
}

uint64_t cursor_lenenc(struct cursor *c)
{
	uint8_t first = cursor_u8(c);
	if (first < 0xfb)
		return first;
	switch (first) {
	case 0xfc:
		return cursor_u16(c);
	case 0xfd:
		return cursor_u24(c);
	case 0xfe:
		return cursor_u64(c);
	default:
		cursor_fail(c);
		return 0;
	}
}

void cursor_skip(struct cursor *c, size_t n)
{
	(void)cursor_bytes(c, n);
}

struct cursor cursor_sub(struct cursor *c, size_t n)
{
	const uint8_t *at = cursor_bytes(c, n);
	struct cursor sub = cursor_of(at, at ? n : 0);
	sub.failed = c->failed;
	return sub;
}
