/* For the tests of what stands on tables and rows: table map and rows events made from a description of the table.
 *
 * Include it after cmocka.h. Columns are COLUMN_LONG, COLUMN_VARCHAR (its length decides how long the prefix of a
 * value is), COLUMN_BLOB and COLUMN_BLOB_COMPRESSED (2 bytes of length before a value).
 */
#ifndef SYNCLINE_TEST_TABLE_SUPPORT_H
#define SYNCLINE_TEST_TABLE_SUPPORT_H

#include "test_binlog_support.h"

enum { MADE_COLUMNS_MAX = 4 };

struct made_table {
	uint64_t id;
	const char *database, *name;
	unsigned column_count;
	struct {
		uint8_t type;
		uint16_t length; /* of a VARCHAR, in bytes */
		const char *name;
	} columns[MADE_COLUMNS_MAX];
	unsigned key_count;
	uint8_t key[MADE_COLUMNS_MAX], prefix[MADE_COLUMNS_MAX]; /* column numbers; characters in the key, 0 for all */
};

struct made_value {
	bool is_null;
	uint32_t number;
	const void *text;
	size_t size;
};

#define NUMBER(n)                                                                                                      \
	{                                                                                                                  \
		.number = (n)                                                                                                  \
	}
#define TEXT(t)                                                                                                        \
	{                                                                                                                  \
		.text = (t), .size = sizeof(t) - 1                                                                             \
	}
#define NOTHING                                                                                                        \
	{                                                                                                                  \
		.is_null = true                                                                                                \
	}

/* Type, size, content. Names and keys here are short. */
static inline void append_optional(struct buf *to, uint8_t type, struct buf *content)
{
	buf_append_u8(to, type);
	buf_append_u8(to, (uint8_t)content->size);
	buf_append(to, content->data, content->size);
	buf_free(content);
}

static inline void append_made_key(struct buf *to, const struct made_table *t)
{
	enum { SIMPLE_PRIMARY_KEY = 8, PRIMARY_KEY_WITH_PREFIX = 9 };
	struct buf content = {0};
	bool has_prefix = false;
	for (unsigned i = 0; i < t->key_count; i++)
		has_prefix |= t->prefix[i] != 0;
	for (unsigned i = 0; i < t->key_count; i++) {
		buf_append_u8(&content, t->key[i]);
		if (has_prefix)
			buf_append_u8(&content, t->prefix[i]);
	}
	append_optional(to, has_prefix ? PRIMARY_KEY_WITH_PREFIX : SIMPLE_PRIMARY_KEY, &content);
}

static inline void append_made_columns(struct buf *to, const struct made_table *t)
{
	struct buf metadata = {0};
	buf_append_u8(to, (uint8_t)t->column_count);
	for (unsigned i = 0; i < t->column_count; i++) {
		buf_append_u8(to, t->columns[i].type);
		if (t->columns[i].type == COLUMN_VARCHAR)
			buf_append_u16(&metadata, t->columns[i].length);
		else if (t->columns[i].type != COLUMN_LONG)
			buf_append_u8(&metadata, 2);
	}
	buf_append_u8(to, (uint8_t)metadata.size);
	buf_append(to, metadata.data, metadata.size);
	buf_append_u8(to, 0xff); /* all may be NULL */
	buf_free(&metadata);
}

static inline void append_made_name(struct buf *to, const char *name)
{
	buf_append_u8(to, (uint8_t)strlen(name));
	buf_append(to, name, strlen(name) + 1);
}

static inline void append_made_id(struct buf *to, uint64_t id)
{
	buf_append_u32(to, (uint32_t)id);
	buf_append_u16(to, (uint16_t)(id >> 32));
	buf_append_u16(to, 1);
}

static inline struct buf make_table_map(const struct made_table *t)
{
	enum { COLUMN_NAME = 4 };
	struct buf body = {0}, names = {0};
	append_made_id(&body, t->id);
	append_made_name(&body, t->database);
	append_made_name(&body, t->name);
	append_made_columns(&body, t);
	for (unsigned i = 0; i < t->column_count; i++) {
		buf_append_u8(&names, (uint8_t)strlen(t->columns[i].name));
		buf_append_str(&names, t->columns[i].name);
	}
	append_optional(&body, COLUMN_NAME, &names);
	if (t->key_count > 0)
		append_made_key(&body, t);
	struct buf event = make_event(EVENT_TABLE_MAP, body.data, body.size);
	buf_free(&body);
	return event;
}

static inline void append_made_image(struct buf *to, const struct made_table *t, const struct made_value *values)
{
	uint8_t nulls = 0;
	for (unsigned i = 0; i < t->column_count; i++)
		nulls |= (uint8_t)(values[i].is_null << i);
	buf_append_u8(to, nulls);
	for (unsigned i = 0; i < t->column_count; i++) {
		const struct made_value *v = &values[i];
		if (v->is_null)
			continue;
		if (t->columns[i].type == COLUMN_LONG)
			buf_append_u32(to, v->number);
		else if (t->columns[i].type == COLUMN_VARCHAR && t->columns[i].length < 256)
			buf_append_u8(to, (uint8_t)v->size);
		else
			buf_append_u16(to, (uint16_t)v->size);
		buf_append(to, v->text, v->size);
	}
}

/* One row change: an insert, an update or a delete, as before or after is NULL. */
static inline struct buf make_row_change(const struct made_table *t, const struct made_value *before,
                                         const struct made_value *after)
{
	uint8_t type = before && after ? EVENT_UPDATE_ROWS_V1 : before ? EVENT_DELETE_ROWS_V1 : EVENT_WRITE_ROWS_V1;
	struct buf body = {0};
	append_made_id(&body, t->id);
	buf_append_u8(&body, (uint8_t)t->column_count);
	buf_append_u8(&body, 0xff);
	if (type == EVENT_UPDATE_ROWS_V1)
		buf_append_u8(&body, 0xff);
	if (before)
		append_made_image(&body, t, before);
	if (after)
		append_made_image(&body, t, after);
	struct buf event = make_event(type, body.data, body.size);
	buf_free(&body);
	return event;
}

#endif
