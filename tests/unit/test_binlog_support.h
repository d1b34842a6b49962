/* For the tests of src/binlog: events made by hand, and those of a real server from tests/fuzz/corpus/binlog.
 *
 * Include it after cmocka.h. Events that are parsed here are copied to memory of exactly their size, so that a build
 * with ASan sees one byte too far.
 */
#ifndef SYNCLINE_TEST_BINLOG_SUPPORT_H
#define SYNCLINE_TEST_BINLOG_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "binlog/event.h"
#include "binlog/rows.h"
#include "binlog/table_map.h"

enum { LENGTH_AT = 9 };

static const char *corpus_folder; /* the program's argument */

static inline struct buf read_corpus(const char *name)
{
	char path[1024];
	struct buf buf = {0};
	snprintf(path, sizeof path, "%s/%s.bin", corpus_folder, name);
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		fail_msg("can't read %s; the folder is this program's argument", path);
	for (size_t n = 1; n > 0; buf.size += n)
		n = fread(buf_reserve(&buf, 4096), 1, 4096, file);
	fclose(file);
	return buf;
}

static inline uint32_t read_length(const uint8_t *event)
{
	struct cursor c = cursor_of(event + LENGTH_AT, 4);
	return cursor_u32(&c);
}

static inline void write_length(uint8_t *event, size_t size)
{
	for (int i = 0; i < 4; i++)
		event[LENGTH_AT + i] = (uint8_t)(size >> (8 * i));
}

/* An event of this type without a checksum. */
static inline struct buf make_event(uint8_t type, const void *body, size_t body_size)
{
	struct buf buf = {0};
	buf_append_u32(&buf, 1700000000);
	buf_append_u8(&buf, type);
	buf_append_u32(&buf, 7);
	buf_append_u32(&buf, (uint32_t)(EVENT_HEADER_SIZE + body_size));
	buf_append_u32(&buf, 4242);
	buf_append_u16(&buf, 0);
	buf_append(&buf, body, body_size);
	return buf;
}

static inline struct event parse_made(const struct buf *buf)
{
	struct format format;
	struct event event;
	struct err err;
	format_init(&format);
	assert_int_equal(event_parse(&format, buf->data, buf->size, &event, &err), ERR_OK);
	return event;
}

/* The nth event (from 0) of this type in a corpus file that was logged without checksums; the caller frees it. */
static inline struct buf corpus_event(const char *name, uint8_t type, int nth)
{
	struct buf file = read_corpus(name), found = {0};
	for (size_t at = 0; at < file.size && found.size == 0; at += read_length(file.data + at))
		if (file.data[at + 4] == type && nth-- == 0)
			buf_append(&found, file.data + at, read_length(file.data + at));
	buf_free(&file);
	if (found.size == 0)
		fail_msg("%s.bin has too few events of type %u", name, type);
	return found;
}

/* Copies to memory of exactly this size, with a length to match. */
static inline uint8_t *exact_copy(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, size);
	if (size >= EVENT_HEADER_SIZE)
		write_length(copy, size);
	return copy;
}

#endif
