#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

uint8_t *buf_reserve(struct buf *buf, size_t more)
{
	if (buf->data == NULL || more > buf->capacity - buf->size) {
		size_t capacity = buf->capacity ? buf->capacity : 256;
		while (more > capacity - buf->size && capacity <= SIZE_MAX / 2)
			capacity *= 2;
		if (more > capacity - buf->size)
			capacity = SIZE_MAX; /* which nobody has: mem_resize says so */
		buf->data = mem_resize(buf->data, capacity);
		buf->capacity = capacity;
	}
	return buf->data + buf->size;
}

void buf_append(struct buf *buf, const void *bytes, size_t size)
{
	if (size == 0)
		return;
	memcpy(buf_reserve(buf, size), bytes, size);
	buf->size += size;
}

void buf_append_str(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

static void append_le(struct buf *buf, uint64_t value, int width)
{
	uint8_t *to = buf_reserve(buf, (size_t)width);
	for (int i = 0; i < width; i++)
		to[i] = (uint8_t)(value >> (8 * i));
	buf->size += (size_t)width;
}

void buf_append_u8(struct buf *buf, uint8_t value)
{
	append_le(buf, value, 1);
}

void buf_append_u16(struct buf *buf, uint16_t value)
{
	append_le(buf, value, 2);
}

void buf_append_u32(struct buf *buf, uint32_t value)
{
	append_le(buf, value, 4);
}

void buf_append_u64(struct buf *buf, uint64_t value)
{
	append_le(buf, value, 8);
}

void buf_append_varint(struct buf *buf, uint64_t value)
{
	while (value >= 0x80) {
		buf_append_u8(buf, (uint8_t)(value | 0x80));
		value >>= 7;
	}
	buf_append_u8(buf, (uint8_t)value);
}

void buf_append_lenenc(struct buf *buf, uint64_t value)
{
	int width = value < 0xfb ? 0 : value <= 0xffff ? 2 : value <= 0xffffff ? 3 : 8;
	if (width == 0)
		buf_append_u8(buf, (uint8_t)value);
	else
		buf_append_u8(buf, width == 2 ? 0xfc : width == 3 ? 0xfd : 0xfe);
	append_le(buf, value, width);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n > 0) {
		vsnprintf((char *)buf_reserve(buf, (size_t)n + 1), (size_t)n + 1, format, again);
		buf->size += (size_t)n;
	}
	va_end(again);
}

void buf_append_base64(struct buf *buf, const void *bytes, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *from = bytes;
	uint8_t *to = buf_reserve(buf, (size + 2) / 3 * 4);
	size_t i = 0;
	for (; size - i >= 3; i += 3) {
		uint32_t v = (uint32_t)from[i] << 16 | (uint32_t)from[i + 1] << 8 | from[i + 2];
		*to++ = (uint8_t)digits[v >> 18];
		*to++ = (uint8_t)digits[v >> 12 & 63];
		*to++ = (uint8_t)digits[v >> 6 & 63];
		*to++ = (uint8_t)digits[v & 63];
	}
	if (i < size) {
		uint32_t v = (uint32_t)from[i] << 16 | (size - i == 2 ? (uint32_t)from[i + 1] << 8 : 0);
		*to++ = (uint8_t)digits[v >> 18];
		*to++ = (uint8_t)digits[v >> 12 & 63];
		*to++ = size - i == 2 ? (uint8_t)digits[v >> 6 & 63] : '=';
		*to++ = '=';
	}
	buf->size = (size_t)(to - buf->data);
}

const char *buf_str(struct buf *buf)
{
	*buf_reserve(buf, 1) = 0;
	return (const char *)buf->data;
}

void buf_clear(struct buf *buf)
{
	buf->size = 0;
}

void buf_shrink(struct buf *buf, size_t keep)
{
	buf->size = 0;
	if (buf->capacity > keep)
		buf_free(buf);
}

void buf_free(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){0};
}
