#include "binlog/table_map.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/internal.h"

/* Four thousand columns with the longest names and all ENUM labels that fit a MariaDB table definition are about a
 * megabyte. */
enum { TABLE_MAP_SIZE_MAX = 4 << 20, NAME_SIZE_MAX = 255 };

/* The fields of the optional metadata (MariaDB sql/log_event.h, Table_map_log_event::Optional_metadata_field_type). */
enum metadata_field {
	SIGNEDNESS = 1,
	DEFAULT_CHARSET = 2,
	COLUMN_CHARSET = 3,
	COLUMN_NAME = 4,
	SET_STR_VALUE = 5,
	ENUM_STR_VALUE = 6,
	GEOMETRY_TYPE = 7,
	SIMPLE_PRIMARY_KEY = 8,
	PRIMARY_KEY_WITH_PREFIX = 9,
	ENUM_AND_SET_DEFAULT_CHARSET = 10,
	ENUM_AND_SET_COLUMN_CHARSET = 11,
	METADATA_FIELDS,
};

/* The metadata fields of one event; one that isn't there has nothing left. */
struct metadata {
	bool given[METADATA_FIELDS];
	struct cursor fields[METADATA_FIELDS];
	size_t text_size; /* enough for all names and labels with their NULs */
	size_t label_count;
};

/* What table_map.owned points to: labels first, for their alignment, then sizes, then text. */
struct strings {
	const char **labels;
	uint16_t *label_sizes;
	char *text;
	char *text_end;
};

/* How a type's metadata stands in the event and what is checked of it. */
enum metadata_form { FORM_NONE, FORM_BYTE, FORM_LENGTH, FORM_STRING, FORM_DECIMAL, FORM_BIT };

static const struct type_traits {
	bool known;
	enum metadata_form form;
	uint8_t min, max; /* of FORM_BYTE */
	bool is_signed;   /* has a bit in SIGNEDNESS */
	bool is_text;     /* has a character set in DEFAULT_CHARSET or COLUMN_CHARSET, be it binary */
} type_traits[256] = {
    [COLUMN_DECIMAL] = {.known = true, .is_signed = true},
    [COLUMN_TINY] = {.known = true, .is_signed = true},
    [COLUMN_SHORT] = {.known = true, .is_signed = true},
    [COLUMN_LONG] = {.known = true, .is_signed = true},
    [COLUMN_FLOAT] = {.known = true, .form = FORM_BYTE, .min = 4, .max = 4, .is_signed = true},
    [COLUMN_DOUBLE] = {.known = true, .form = FORM_BYTE, .min = 8, .max = 8, .is_signed = true},
    [COLUMN_NULL] = {.known = true},
    [COLUMN_TIMESTAMP] = {.known = true},
    [COLUMN_LONGLONG] = {.known = true, .is_signed = true},
    [COLUMN_INT24] = {.known = true, .is_signed = true},
    [COLUMN_DATE] = {.known = true},
    [COLUMN_TIME] = {.known = true},
    [COLUMN_DATETIME] = {.known = true},
    [COLUMN_YEAR] = {.known = true,
                     .is_signed = true}, /* it is a TINYINT to the server, though not to mariadb-binlog */
    [COLUMN_NEWDATE] = {.known = true},
    [COLUMN_VARCHAR] = {.known = true, .form = FORM_LENGTH, .is_text = true},
    [COLUMN_BIT] = {.known = true, .form = FORM_BIT},
    [COLUMN_TIMESTAMP2] = {.known = true, .form = FORM_BYTE, .max = 6},
    [COLUMN_DATETIME2] = {.known = true, .form = FORM_BYTE, .max = 6},
    [COLUMN_TIME2] = {.known = true, .form = FORM_BYTE, .max = 6},
    [COLUMN_BLOB_COMPRESSED] = {.known = true, .form = FORM_BYTE, .min = 1, .max = 4, .is_text = true},
    [COLUMN_VARCHAR_COMPRESSED] = {.known = true, .form = FORM_LENGTH, .is_text = true},
    [COLUMN_NEWDECIMAL] = {.known = true, .form = FORM_DECIMAL, .is_signed = true},
    [COLUMN_ENUM] = {.known = true, .form = FORM_STRING},
    [COLUMN_SET] = {.known = true, .form = FORM_STRING},
    [COLUMN_TINY_BLOB] = {.known = true, .form = FORM_BYTE, .min = 1, .max = 4, .is_text = true},
    [COLUMN_MEDIUM_BLOB] = {.known = true, .form = FORM_BYTE, .min = 1, .max = 4, .is_text = true},
    [COLUMN_LONG_BLOB] = {.known = true, .form = FORM_BYTE, .min = 1, .max = 4, .is_text = true},
    [COLUMN_BLOB] = {.known = true, .form = FORM_BYTE, .min = 1, .max = 4, .is_text = true},
    [COLUMN_STRING] = {.known = true, .form = FORM_STRING, .is_text = true},
    [COLUMN_GEOMETRY] = {.known = true, .form = FORM_BYTE, .min = 1, .max = 4, .is_text = true},
};

static bool is_signed(const struct column *column)
{
	return type_traits[column->type].is_signed;
}

static bool is_text(const struct column *column)
{
	return type_traits[column->type].is_text;
}

static bool is_enum(const struct column *column)
{
	return column->type == COLUMN_ENUM;
}

static bool is_set(const struct column *column)
{
	return column->type == COLUMN_SET;
}

static bool is_enum_or_set(const struct column *column)
{
	return is_enum(column) || is_set(column);
}

/* ENUM, SET and CHAR share a form: the real type, then a size. Two bits of a CHAR's length above 255 are in the real
 * type, flipped (MariaDB sql/log_event_client.cc, log_event_print_value; MySQL bug 37426). */
static bool read_string_metadata(struct cursor *c, struct column *column)
{
	uint8_t real_type = cursor_u8(c), size = cursor_u8(c);
	if (real_type == COLUMN_ENUM || real_type == COLUMN_SET) {
		column->type = real_type;
		column->metadata = size;
		return size >= 1 && size <= (real_type == COLUMN_ENUM ? 2 : 8);
	}
	column->type = COLUMN_STRING;
	column->metadata = (uint16_t)(size | ((real_type & 0x30) ^ 0x30) << 4);
	return (real_type | 0x30) == COLUMN_STRING;
}

static bool read_metadata(struct cursor *c, struct column *column)
{
	const struct type_traits *traits = &type_traits[column->type];
	uint8_t first, second;
	switch (traits->form) {
	case FORM_NONE:
		return true;
	case FORM_BYTE:
		column->metadata = cursor_u8(c);
		return column->metadata >= traits->min && column->metadata <= traits->max;
	case FORM_LENGTH:
		column->metadata = cursor_u16(c);
		return true;
	case FORM_STRING:
		return read_string_metadata(c, column);
	case FORM_DECIMAL:
		first = cursor_u8(c);
		second = cursor_u8(c);
		column->metadata = (uint16_t)(first << 8 | second);
		return first >= 1 && first <= 65 && second <= 38 && second <= first;
	case FORM_BIT: /* bits beyond whole bytes, whole bytes */
		first = cursor_u8(c);
		second = cursor_u8(c);
		column->metadata = (uint16_t)(second * 8 + first);
		return first <= 7 && column->metadata >= 1 && column->metadata <= 64;
	}
	return false;
}

static enum err_code read_columns(const struct event *event, struct cursor *c, struct table_map *map, struct err *err)
{
	const uint8_t *types = cursor_bytes(c, map->column_count);
	struct cursor metadata = {0};
	uint64_t metadata_size = cursor_lenenc(c);
	if (metadata_size > cursor_left(c))
		cursor_fail(c);
	else
		metadata = cursor_sub(c, (size_t)metadata_size);
	const uint8_t *nullable = cursor_bytes(c, (map->column_count + 7) / 8);
	if (!cursor_ok(c))
		return event_fail(event, ERR_MALFORMED, err, "columns of %s.%s are cut off", map->database, map->table);
	for (uint32_t i = 0; i < map->column_count; i++) {
		struct column *column = &map->columns[i];
		column->type = types[i];
		column->nullable = nullable[i / 8] >> (i % 8) & 1;
		if (!type_traits[types[i]].known)
			return event_fail(event, ERR_UNSUPPORTED, err,
			                  "column %" PRIu32
			                  " of %s.%s has type %u, which is unknown; if the table is from a very old "
			                  "server, ALTER TABLE … FORCE rewrites it",
			                  i + 1, map->database, map->table, types[i]);
		if (!read_metadata(&metadata, column) || !cursor_ok(&metadata))
			return event_fail(event, ERR_MALFORMED, err, "metadata of column %" PRIu32 " of %s.%s is wrong", i + 1,
			                  map->database, map->table);
	}
	return ERR_OK;
}

/* Finds the fields in the optional metadata: 1 type, lenenc size, content. Types of later servers are stepped over. */
static bool find_metadata(struct cursor *c, struct metadata *ret)
{
	while (cursor_ok(c) && cursor_left(c) > 0) {
		uint8_t type = cursor_u8(c);
		uint64_t size = cursor_lenenc(c);
		if (!cursor_ok(c) || size > cursor_left(c))
			return false;
		struct cursor content = cursor_sub(c, (size_t)size);
		if (type >= METADATA_FIELDS)
			continue;
		if (ret->given[type])
			return false;
		ret->given[type] = true;
		ret->fields[type] = content;
	}
	return cursor_ok(c);
}

static const uint8_t *read_name(struct cursor *c, size_t *ret_size)
{
	uint64_t size = cursor_lenenc(c);
	if (size > UINT16_MAX)
		cursor_fail(c);
	*ret_size = cursor_ok(c) ? (size_t)size : 0;
	return cursor_bytes(c, *ret_size);
}

static bool count_labels(struct cursor c, size_t *count)
{
	while (cursor_ok(&c) && cursor_left(&c) > 0) {
		uint64_t labels = cursor_lenenc(&c);
		if (labels > UINT16_MAX)
			return false;
		*count += (size_t)labels;
		size_t size;
		for (uint64_t i = 0; cursor_ok(&c) && i < labels; i++)
			(void)read_name(&c, &size);
	}
	return cursor_ok(&c);
}

/* A name or label takes at least one byte for its size in the event, which is room for the NUL here. */
static bool measure_strings(struct metadata *metadata)
{
	static const enum metadata_field with_text[] = {COLUMN_NAME, SET_STR_VALUE, ENUM_STR_VALUE};
	for (size_t i = 0; i < sizeof with_text / sizeof *with_text; i++)
		metadata->text_size += cursor_left(&metadata->fields[with_text[i]]);
	return count_labels(metadata->fields[SET_STR_VALUE], &metadata->label_count) &&
	       count_labels(metadata->fields[ENUM_STR_VALUE], &metadata->label_count);
}

static struct strings allocate_strings(struct table_map *map, const struct metadata *metadata)
{
	size_t labels_size = metadata->label_count * sizeof(char *), sizes_size = metadata->label_count * sizeof(uint16_t);
	char *block = mem_alloc(labels_size + sizes_size + metadata->text_size);
	map->owned = block;
	return (struct strings){
	    .labels = map->owned,
	    .label_sizes = (uint16_t *)(void *)(block + labels_size),
	    .text = block + labels_size + sizes_size,
	    .text_end = block + labels_size + sizes_size + metadata->text_size,
	};
}

/* Copies a string out of the metadata; NULL and a failed cursor if it isn't one. */
static const char *take_string(struct strings *strings, struct cursor *c, size_t *ret_size)
{
	size_t size;
	const uint8_t *bytes = read_name(c, &size);
	if (bytes == NULL || size >= (size_t)(strings->text_end - strings->text)) {
		cursor_fail(c);
		return NULL;
	}
	char *copy = strings->text;
	memcpy(copy, bytes, size);
	copy[size] = '\0';
	strings->text += size + 1;
	*ret_size = size;
	return copy;
}

/* One bit a column that has a sign, from the high bit of the first byte on. */
static bool apply_signedness(struct table_map *map, const struct metadata *metadata)
{
	struct cursor c = metadata->fields[SIGNEDNESS];
	if (!metadata->given[SIGNEDNESS])
		return true;
	uint32_t bit = 0;
	uint8_t bits = 0;
	for (uint32_t i = 0; i < map->column_count; i++) {
		if (!is_signed(&map->columns[i]))
			continue;
		if (bit % 8 == 0)
			bits = cursor_u8(&c);
		map->columns[i].is_unsigned = bits >> (7 - bit % 8) & 1;
		bit++;
	}
	return cursor_ok(&c);
}

static uint16_t read_collation(struct cursor *c)
{
	uint64_t collation = cursor_lenenc(c);
	if (collation > UINT16_MAX)
		cursor_fail(c);
	return cursor_ok(c) ? (uint16_t)collation : 0;
}

/* The default, then pairs of (position among the columns of this sort, collation) for those that differ, ascending. */
static bool apply_default_collation(struct table_map *map, struct cursor c, bool (*applies)(const struct column *))
{
	uint16_t collation = read_collation(&c);
	bool is_exception = cursor_left(&c) > 0;
	uint64_t exception = is_exception ? cursor_lenenc(&c) : 0;
	uint32_t position = 0;
	for (uint32_t i = 0; cursor_ok(&c) && i < map->column_count; i++) {
		if (!applies(&map->columns[i]))
			continue;
		map->columns[i].collation = collation;
		if (is_exception && exception == position) {
			map->columns[i].collation = read_collation(&c);
			is_exception = cursor_left(&c) > 0;
			exception = is_exception ? cursor_lenenc(&c) : 0;
		}
		position++;
	}
	return cursor_ok(&c) && !is_exception;
}

static bool apply_column_collations(struct table_map *map, struct cursor c, bool (*applies)(const struct column *))
{
	for (uint32_t i = 0; cursor_ok(&c) && i < map->column_count; i++)
		if (applies(&map->columns[i]))
			map->columns[i].collation = read_collation(&c);
	return cursor_ok(&c);
}

static bool apply_collations(struct table_map *map, const struct metadata *metadata, enum metadata_field defaults,
                             enum metadata_field by_column, bool (*applies)(const struct column *))
{
	if (metadata->given[defaults])
		return apply_default_collation(map, metadata->fields[defaults], applies);
	if (metadata->given[by_column])
		return apply_column_collations(map, metadata->fields[by_column], applies);
	return true;
}

static bool apply_names(struct table_map *map, const struct metadata *metadata, struct strings *strings)
{
	if (!metadata->given[COLUMN_NAME])
		return true;
	struct cursor c = metadata->fields[COLUMN_NAME];
	for (uint32_t i = 0; cursor_ok(&c) && i < map->column_count; i++) {
		size_t size = 0;
		const char *name = take_string(strings, &c, &size);
		if (name == NULL || size == 0 || size > NAME_SIZE_MAX || strlen(name) != size)
			return false;
		map->columns[i].name = name;
	}
	map->has_full_metadata = true;
	return cursor_done(&c);
}

/* For each column of the sort: the number of labels, the labels. */
static bool apply_labels(struct table_map *map, const struct metadata *metadata, enum metadata_field field,
                         bool (*applies)(const struct column *), struct strings *strings)
{
	if (!metadata->given[field])
		return true;
	struct cursor c = metadata->fields[field];
	for (uint32_t i = 0; cursor_ok(&c) && i < map->column_count; i++) {
		struct column *column = &map->columns[i];
		if (!applies(column))
			continue;
		column->label_count = (uint16_t)cursor_lenenc(&c); /* count_labels has seen that it fits */
		column->labels = strings->labels;
		column->label_sizes = strings->label_sizes;
		for (uint32_t j = 0; cursor_ok(&c) && j < column->label_count; j++) {
			size_t size = 0;
			*strings->labels++ = take_string(strings, &c, &size);
			*strings->label_sizes++ = (uint16_t)size;
		}
	}
	return cursor_done(&c);
}

/* Column numbers, each with a prefix length if some column isn't in the key as a whole. */
static bool apply_primary_key(struct table_map *map, const struct metadata *metadata)
{
	bool has_prefixes = metadata->given[PRIMARY_KEY_WITH_PREFIX];
	if (!has_prefixes && !metadata->given[SIMPLE_PRIMARY_KEY])
		return true;
	struct cursor c = metadata->fields[has_prefixes ? PRIMARY_KEY_WITH_PREFIX : SIMPLE_PRIMARY_KEY];
	map->primary_key = mem_alloc(map->column_count * sizeof *map->primary_key);
	while (cursor_ok(&c) && cursor_left(&c) > 0) {
		uint64_t i = cursor_lenenc(&c), prefix = has_prefixes ? cursor_lenenc(&c) : 0;
		if (!cursor_ok(&c) || i >= map->column_count || prefix > UINT16_MAX || map->columns[i].in_primary_key)
			return false;
		map->columns[i].in_primary_key = true;
		map->columns[i].primary_key_prefix = (uint16_t)prefix;
		map->primary_key[map->primary_key_count++] = (uint32_t)i;
	}
	return cursor_ok(&c);
}

static bool read_optional_metadata(struct cursor *c, struct table_map *map)
{
	struct metadata metadata = {0};
	if (!find_metadata(c, &metadata) || !measure_strings(&metadata))
		return false;
	struct strings strings = allocate_strings(map, &metadata);
	return apply_signedness(map, &metadata) &&
	       apply_collations(map, &metadata, DEFAULT_CHARSET, COLUMN_CHARSET, is_text) &&
	       apply_collations(map, &metadata, ENUM_AND_SET_DEFAULT_CHARSET, ENUM_AND_SET_COLUMN_CHARSET,
	                        is_enum_or_set) &&
	       apply_names(map, &metadata, &strings) && apply_labels(map, &metadata, SET_STR_VALUE, is_set, &strings) &&
	       apply_labels(map, &metadata, ENUM_STR_VALUE, is_enum, &strings) && apply_primary_key(map, &metadata);
}

/* 1 size, that many bytes without a NUL, a NUL. */
static char *read_identifier(struct cursor *c)
{
	size_t size = cursor_u8(c);
	const uint8_t *bytes = cursor_bytes(c, size);
	if (cursor_u8(c) != 0 || !cursor_ok(c) || memchr(bytes, 0, size) != NULL)
		cursor_fail(c);
	char *identifier = mem_alloc(size + 1);
	if (cursor_ok(c))
		memcpy(identifier, bytes, size);
	return identifier;
}

static enum err_code read_table_map(const struct event *event, struct table_map *map, struct err *err)
{
	struct cursor c = cursor_of(event->body, event->body_size);
	map->table_id = cursor_u48(&c);
	map->flags = cursor_u16(&c);
	map->database = read_identifier(&c);
	map->table = read_identifier(&c);
	uint64_t column_count = cursor_lenenc(&c);
	if (!cursor_ok(&c))
		return event_fail(event, ERR_MALFORMED, err, "names are cut off or garbled");
	if (column_count > COLUMNS_MAX)
		return event_fail(event, ERR_MALFORMED, err, "%s.%s has %" PRIu64 " columns", map->database, map->table,
		                  column_count);
	map->column_count = (uint32_t)column_count;
	map->columns = mem_alloc(map->column_count * sizeof *map->columns);
	enum err_code code = read_columns(event, &c, map, err);
	if (code == ERR_OK && !read_optional_metadata(&c, map))
		code = event_fail(event, ERR_MALFORMED, err, "optional metadata of %s.%s is wrong", map->database, map->table);
	return code;
}

/*      6        2                                          lenenc                        lenenc        (n+7)/8
 *  table id | flags | database | table (see read_identifier) | n | type of each column | size, metadata | nullable …
 *  | optional metadata */
enum err_code table_map_parse(const struct event *event, struct table_map *ret_map, struct err *err)
{
	enum err_code code = event_expect(event, EVENT_TABLE_MAP, err);
	if (code != ERR_OK)
		return code;
	if (event->size > TABLE_MAP_SIZE_MAX)
		return event_fail(event, ERR_UNSUPPORTED, err, "%zu bytes; a table definition isn't that large", event->size);
	struct table_map map = {0};
	code = read_table_map(event, &map, err);
	if (code == ERR_OK)
		*ret_map = map;
	else
		table_map_free(&map);
	return code;
}

/* 1 size, the bytes, a NUL. */
static void append_identifier(const char *identifier, struct buf *to)
{
	size_t size = strlen(identifier);
	assert(size <= UINT8_MAX);
	buf_append_u8(to, (uint8_t)size);
	buf_append(to, identifier, size + 1);
}

static uint8_t event_column_type(const struct column *column)
{
	return is_enum_or_set(column) ? COLUMN_STRING : column->type;
}

/* What read_metadata reads. */
static void append_metadata(const struct column *column, struct buf *to)
{
	uint16_t metadata = column->metadata;
	switch (type_traits[column->type].form) {
	case FORM_NONE:
		return;
	case FORM_BYTE:
		buf_append_u8(to, (uint8_t)metadata);
		return;
	case FORM_LENGTH:
		buf_append_u16(to, metadata);
		return;
	case FORM_STRING:
		buf_append_u8(to, is_enum_or_set(column) ? column->type : (uint8_t)(COLUMN_STRING ^ (metadata >> 4 & 0x30)));
		buf_append_u8(to, (uint8_t)metadata);
		return;
	case FORM_DECIMAL:
		buf_append_u8(to, (uint8_t)(metadata >> 8));
		buf_append_u8(to, (uint8_t)metadata);
		return;
	case FORM_BIT:
		buf_append_u8(to, metadata % 8);
		buf_append_u8(to, (uint8_t)(metadata / 8));
		return;
	}
}

static void append_nullable(const struct table_map *map, struct buf *to)
{
	uint8_t bits = 0;
	for (uint32_t i = 0; i < map->column_count; i++) {
		bits |= (uint8_t)(map->columns[i].nullable << (i % 8));
		if (i % 8 == 7 || i + 1 == map->column_count) {
			buf_append_u8(to, bits);
			bits = 0;
		}
	}
}

static size_t begin_map(const struct table_map *map, struct buf *to)
{
	size_t begin = event_begin(EVENT_TABLE_MAP, 0, 0, to);
	buf_append_u32(to, (uint32_t)map->table_id);
	buf_append_u16(to, (uint16_t)(map->table_id >> 32));
	buf_append_u16(to, map->flags);
	append_identifier(map->database, to);
	append_identifier(map->table, to);
	buf_append_lenenc(to, map->column_count);
	struct buf metadata = {0};
	for (uint32_t i = 0; i < map->column_count; i++) {
		buf_append_u8(to, event_column_type(&map->columns[i]));
		append_metadata(&map->columns[i], &metadata);
	}
	buf_append_lenenc(to, metadata.size);
	buf_append(to, metadata.data, metadata.size);
	buf_free(&metadata);
	append_nullable(map, to);
	return begin;
}

void table_map_append(const struct table_map *map, struct buf *to)
{
	event_end(begin_map(map, to), to);
}

/* Empties the field; one with nothing in it isn't there. */
static void append_field(enum metadata_field type, struct buf *field, struct buf *to)
{
	if (field->size > 0) {
		buf_append_u8(to, (uint8_t)type);
		buf_append_lenenc(to, field->size);
		buf_append(to, field->data, field->size);
	}
	buf_clear(field);
}

static void append_signedness(const struct table_map *map, struct buf *to)
{
	uint32_t bit = 0;
	for (uint32_t i = 0; i < map->column_count; i++) {
		if (!is_signed(&map->columns[i]))
			continue;
		if (bit % 8 == 0)
			buf_append_u8(to, 0);
		to->data[to->size - 1] |= (uint8_t)(map->columns[i].is_unsigned << (7 - bit % 8));
		bit++;
	}
}

static void append_collations(const struct table_map *map, bool (*applies)(const struct column *), struct buf *to)
{
	for (uint32_t i = 0; i < map->column_count; i++)
		if (applies(&map->columns[i]))
			buf_append_lenenc(to, map->columns[i].collation);
}

static void append_labels(const struct table_map *map, bool (*applies)(const struct column *), struct buf *to)
{
	for (uint32_t i = 0; i < map->column_count; i++) {
		const struct column *column = &map->columns[i];
		if (!applies(column))
			continue;
		buf_append_lenenc(to, column->label_count);
		for (uint32_t j = 0; j < column->label_count; j++) {
			buf_append_lenenc(to, column->label_sizes[j]);
			buf_append(to, column->labels[j], column->label_sizes[j]);
		}
	}
}

static void append_names(const struct table_map *map, struct buf *to)
{
	for (uint32_t i = 0; i < map->column_count; i++) {
		size_t size = strlen(map->columns[i].name);
		buf_append_lenenc(to, size);
		buf_append(to, map->columns[i].name, size);
	}
}

void table_map_append_full(const struct table_map *map, struct buf *to)
{
	size_t begin = begin_map(map, to);
	struct buf field = {0};
	append_signedness(map, &field);
	append_field(SIGNEDNESS, &field, to);
	append_collations(map, is_text, &field);
	append_field(COLUMN_CHARSET, &field, to);
	append_names(map, &field);
	append_field(COLUMN_NAME, &field, to);
	append_labels(map, is_set, &field);
	append_field(SET_STR_VALUE, &field, to);
	append_labels(map, is_enum, &field);
	append_field(ENUM_STR_VALUE, &field, to);
	for (uint32_t i = 0; i < map->primary_key_count; i++) {
		buf_append_lenenc(&field, map->primary_key[i]);
		buf_append_lenenc(&field, map->columns[map->primary_key[i]].primary_key_prefix);
	}
	append_field(PRIMARY_KEY_WITH_PREFIX, &field, to);
	append_collations(map, is_enum_or_set, &field);
	append_field(ENUM_AND_SET_COLUMN_CHARSET, &field, to);
	buf_free(&field);
	event_end(begin, to);
}

void table_map_free(struct table_map *map)
{
	free(map->database);
	free(map->table);
	free(map->columns);
	free(map->primary_key);
	free(map->owned);
	*map = (struct table_map){0};
}

enum err_code table_map_parse_id(const struct event *event, uint64_t *ret_table_id, struct err *err)
{
	enum err_code code = event_expect(event, EVENT_TABLE_MAP, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(event->body, event->body_size);
	uint64_t table_id = cursor_u48(&c);
	if (!cursor_ok(&c))
		return event_fail(event, ERR_MALFORMED, err, "cut off");
	*ret_table_id = table_id;
	return ERR_OK;
}
