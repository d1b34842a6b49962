#include "sql/mapping.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"
#include "binlog/rows_writer.h"

enum { MEMORY_KEPT = 256 * 1024 };

/* What an insert gets in a column that isn't there. */
enum absent_kind {
	ABSENT_PLAIN,     /* nothing: the server sees to it */
	ABSENT_NOW,       /* the event's time */
	ABSENT_TEXT,      /* what `text` has */
	ABSENT_UNKNOWN,   /* an error */
	ABSENT_GENERATED, /* an error, of an update as well */
};

struct absent {
	enum absent_kind kind;
	struct buf text;
};

struct mapping {
	unsigned references;
	const struct description *description;
	struct table_map map; /* the description's, with a table id */
	struct shape shape;
	struct absent *absent; /* by column here */
	int64_t utc_offset_s;  /* of this server's time zone */
	const char *mismatch;  /* a column whose character set is another there */

	/* For mapping_rewrite. */
	struct rows_iter iter;
	struct content *before, *after;
	uint8_t *present_before, *present_after;
	struct buf memory;
};

/* ---- making one ---- */

static bool is_blob(const struct column *column)
{
	return column->type == COLUMN_BLOB || column->type == COLUMN_BLOB_COMPRESSED;
}

static bool is_literal(const char *text)
{
	if (strchr("xXbB", text[0]) != NULL && text[0] != '\0' && text[1] == '\'')
		return true;
	return text[0] == '\'' || text[0] == '-' || (text[0] >= '0' && text[0] <= '9');
}

static enum absent_kind absent_kind(const struct column_definition *definition, const struct column *column)
{
	const char *text = definition->column_default;
	if (column_default_is_plain(definition))
		return ABSENT_PLAIN;
	if (definition->extra != NULL && strstr(definition->extra, "STORED GENERATED") != NULL)
		return ABSENT_GENERATED;
	if (text == NULL)
		return ABSENT_UNKNOWN;
	if (strncasecmp(text, "current_timestamp", strlen("current_timestamp")) == 0 && strchr(text, ')') != NULL &&
	    strchr(text, ')')[1] == '\0' && (column->type == COLUMN_TIMESTAMP2 || column->type == COLUMN_DATETIME2))
		return ABSENT_NOW;
	return is_blob(column) && is_literal(text) ? ABSENT_TEXT : ABSENT_UNKNOWN;
}

/* What only the server knows; its answers go to take_answer. */
static void ask(struct mapping *m, const struct table_map *theirs, struct buf *sql)
{
	bool asks_zone = false;
	for (uint32_t i = 0; i < m->shape.count; i++) {
		const struct column_definition *definition = &m->description->definitions[i];
		const struct shape_pair *pair = &m->shape.pairs[i];
		if (pair->kind == SHAPE_ABSENT)
			m->absent[i].kind = absent_kind(definition, &m->map.columns[i]);
		if (m->absent[i].kind == ABSENT_TEXT)
			buf_printf(sql, "SELECT 't',%u,HEX(CONVERT(%s USING %s));", i, definition->column_default,
			           definition->character_set ? definition->character_set : "binary");
		asks_zone = asks_zone || (m->absent[i].kind == ABSENT_NOW && m->map.columns[i].type == COLUMN_DATETIME2);
		if (pair->kind == SHAPE_COLLATION && theirs->columns[pair->theirs].collation != 0)
			buf_printf(sql,
			           "SELECT 'c',%u,character_set_name FROM information_schema.collation_character_set_applicability"
			           " WHERE id=%u LIMIT 1;",
			           i, theirs->columns[pair->theirs].collation);
	}
	if (asks_zone)
		buf_append_str(sql, "SELECT 'z',0,TIMESTAMPDIFF(SECOND,UTC_TIMESTAMP(),NOW());");
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

static void take_answer(void *context, unsigned count, const char *const *columns)
{
	struct mapping *m = context;
	uint32_t i = (uint32_t)strtoul(columns[1], NULL, 10);
	const char *text = count > 2 && columns[2] != NULL ? columns[2] : "";
	const char *charset = m->description->definitions[i].character_set;
	switch (columns[0][0]) {
	case 't':
		for (; text[0] != '\0' && text[1] != '\0'; text += 2)
			buf_append_u8(&m->absent[i].text, (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1])));
		break;
	case 'c':
		if (strcmp(text, charset ? charset : "") != 0)
			m->mismatch = m->map.columns[i].name;
		break;
	default:
		m->utc_offset_s = strtoll(text, NULL, 10);
		break;
	}
}

static enum err_code ask_server(struct mapping *m, struct connection *connection, const struct table_map *theirs,
                                struct err *err)
{
	struct buf sql = {0};
	ask(m, theirs, &sql);
	enum err_code code = sql.size > 0 ? connection_query(connection, buf_str(&sql), take_answer, m, err) : ERR_OK;
	if (code == ERR_OK && m->mismatch != NULL)
		code =
		    err_set(err, ERR_UNSUPPORTED,
		            "column %s of table %s.%s has another character set here than on the node that wrote it; make the "
		            "two alike (ALTER TABLE here, in a session with sql_log_bin=0)",
		            m->mismatch, m->map.database, m->map.table);
	buf_free(&sql);
	return code;
}

enum err_code mapping_new(struct connection *connection, const struct table_map *theirs,
                          const struct description *description, struct mapping **ret, struct err *err)
{
	struct mapping *m = mem_alloc(sizeof *m);
	m->references = 1;
	m->description = description;
	m->map = description->map;
	rows_iter_init(&m->iter);
	enum err_code code = description_fits(description, theirs, &m->shape, err);
	if (code == ERR_OK) {
		uint32_t count = m->map.column_count;
		m->absent = mem_alloc((count + 1) * sizeof *m->absent);
		m->before = mem_alloc((count + 1) * sizeof *m->before);
		m->after = mem_alloc((count + 1) * sizeof *m->after);
		m->present_before = mem_alloc(count / 8 + 1);
		m->present_after = mem_alloc(count / 8 + 1);
		code = ask_server(m, connection, theirs, err);
	}
	if (code == ERR_OK)
		*ret = m;
	else
		mapping_unref(m);
	return code;
}

struct mapping *mapping_ref(struct mapping *m)
{
	m->references++;
	return m;
}

void mapping_unref(struct mapping *m)
{
	if (m == NULL || --m->references > 0)
		return;
	for (uint32_t i = 0; m->absent != NULL && i < m->map.column_count; i++)
		buf_free(&m->absent[i].text);
	shape_free(&m->shape);
	rows_iter_free(&m->iter);
	buf_free(&m->memory);
	free(m->absent);
	free(m->before);
	free(m->after);
	free(m->present_before);
	free(m->present_after);
	free(m);
}

const struct description *mapping_description(const struct mapping *m)
{
	return m->description;
}

bool mapping_is_same(const struct mapping *m)
{
	return m->shape.is_same;
}

void mapping_append_homeless(const struct mapping *m, const struct table_map *theirs, struct buf *to)
{
	for (uint32_t i = 0; i < m->shape.homeless_count; i++)
		buf_printf(to, "%s%s", i ? "," : "", theirs->columns[m->shape.homeless[i]].name);
}

const struct table_map *mapping_map(struct mapping *m, uint64_t table_id)
{
	m->map.table_id = table_id;
	return &m->map;
}

/* ---- contents ---- */

static void append_big_endian(struct buf *to, uint64_t value, unsigned bytes)
{
	while (bytes-- > 0)
		buf_append_u8(to, (uint8_t)(value >> 8 * bytes));
}

/* As it stands in a row image (MariaDB sql/compat56.cc), with a fraction of 0. */
static void append_now(const struct mapping *m, const struct column *column, uint32_t timestamp, struct buf *to)
{
	time_t local = (time_t)((int64_t)timestamp + m->utc_offset_s);
	struct tm tm;
	if (column->type == COLUMN_TIMESTAMP2) {
		append_big_endian(to, timestamp, 4);
	} else {
		gmtime_r(&local, &tm);
		uint64_t month = (uint64_t)(tm.tm_year + 1900) * 13 + (uint64_t)tm.tm_mon + 1;
		uint64_t date = month << 5 | (uint64_t)tm.tm_mday;
		uint64_t clock = (uint64_t)tm.tm_hour << 12 | (uint64_t)tm.tm_min << 6 | (uint64_t)tm.tm_sec;
		append_big_endian(to, (date << 17 | clock) + UINT64_C(0x8000000000), 5);
	}
	append_big_endian(to, 0, (column->metadata + 1u) / 2);
}

static bool is_compressed(const struct column *column)
{
	return column->type == COLUMN_BLOB_COMPRESSED || column->type == COLUMN_VARCHAR_COMPRESSED;
}

/* Integers, ENUMs and SETs, whose contents are as long as their columns. */
static bool is_widened(const struct column *theirs, const struct column *ours)
{
	if (ours->type == COLUMN_ENUM || ours->type == COLUMN_SET)
		return theirs->metadata != ours->metadata;
	return theirs->type != ours->type && (ours->type == COLUMN_SHORT || ours->type == COLUMN_INT24 ||
	                                      ours->type == COLUMN_LONG || ours->type == COLUMN_LONGLONG);
}

/* Contents in `memory` have a size but no bytes, until all are there. */
static enum err_code take_field(const struct column *theirs, const struct column *ours, const struct field *field,
                                struct content *ret, struct buf *memory, struct err *err)
{
	*ret = (struct content){.is_null = field->is_null, .is_absent = !field->present};
	if (field->is_null || !field->present)
		return ERR_OK;
	struct buf scratch = {0};
	const uint8_t *bytes;
	size_t size, begin = memory->size;
	enum err_code code = field_content(theirs, field, &scratch, &bytes, &size, err);
	if (code == ERR_OK && is_compressed(theirs)) {
		buf_append(memory, bytes, size);
		bytes = NULL;
	} else if (code == ERR_OK && is_widened(theirs, ours)) {
		code = field_append(ours, bytes, size, memory, err);
		bytes = NULL;
		size = memory->size - begin;
	}
	if (code == ERR_OK)
		*ret = (struct content){.bytes = bytes, .size = (uint32_t)size};
	buf_free(&scratch);
	return code;
}

static enum err_code take_image(struct mapping *m, const struct table_map *theirs, const struct field *fields,
                                struct content *contents, struct buf *memory, struct err *err)
{
	for (uint32_t i = 0; i < m->shape.count; i++) {
		const struct shape_pair *pair = &m->shape.pairs[i];
		contents[i] = (struct content){.is_absent = true};
		if (pair->kind == SHAPE_ABSENT)
			continue;
		enum err_code code = take_field(&theirs->columns[pair->theirs], &m->map.columns[i], &fields[pair->theirs],
		                                &contents[i], memory, err);
		if (code != ERR_OK)
			return err_wrap(err, "column %s of %s.%s", m->map.columns[i].name, m->map.database, m->map.table);
	}
	return ERR_OK;
}

/* What an insert gets in columns that aren't there. */
static void take_defaults(const struct mapping *m, uint32_t timestamp, struct content *contents, struct buf *memory)
{
	for (uint32_t i = 0; i < m->shape.count; i++) {
		const struct absent *absent = &m->absent[i];
		size_t begin = memory->size;
		if (m->shape.pairs[i].kind != SHAPE_ABSENT || (absent->kind != ABSENT_NOW && absent->kind != ABSENT_TEXT))
			continue;
		if (absent->kind == ABSENT_NOW)
			append_now(m, &m->map.columns[i], timestamp, memory);
		else
			buf_append(memory, absent->text.data, absent->text.size);
		contents[i] = (struct content){.size = (uint32_t)(memory->size - begin)};
	}
}

/* In the order in which they went there. */
static const uint8_t *point_into_memory(const struct mapping *m, struct content *contents, const uint8_t *at,
                                        bool defaults)
{
	for (uint32_t i = 0; contents != NULL && i < m->shape.count; i++) {
		bool is_default = m->shape.pairs[i].kind == SHAPE_ABSENT;
		if (contents[i].is_null || contents[i].is_absent || contents[i].bytes != NULL || is_default != defaults)
			continue;
		contents[i].bytes = at;
		at += contents[i].size;
	}
	return at;
}

static enum err_code refuse_column(const struct mapping *m, uint32_t i, const char *why, struct err *err)
{
	return err_set(
	    err, ERR_UNSUPPORTED,
	    "column %s of table %s.%s is not on the node that wrote the row, and %s; add it there, or make the two "
	    "tables alike (ALTER TABLE in a session with sql_log_bin=0)",
	    m->map.columns[i].name, m->map.database, m->map.table, why);
}

static enum err_code check_absent(const struct mapping *m, const struct row_change *change, struct err *err)
{
	for (uint32_t i = 0; change->has_after && i < m->shape.count; i++) {
		if (m->absent[i].kind == ABSENT_GENERATED)
			return refuse_column(m, i, "is computed and stored, which a row from a log doesn't do", err);
		if (m->absent[i].kind == ABSENT_UNKNOWN && !change->has_before)
			return refuse_column(m, i, "has no default that is the same on every node", err);
	}
	return ERR_OK;
}

enum err_code mapping_contents(struct mapping *m, const struct table_map *theirs, uint32_t timestamp,
                               const struct row_change *change, struct content *before, struct content *after,
                               struct buf *memory, struct err *err)
{
	size_t begin = memory->size;
	(void)buf_reserve(memory, 1); /* so that an empty value in it has bytes, too */
	enum err_code code = check_absent(m, change, err);
	if (code == ERR_OK && change->has_before)
		code = take_image(m, theirs, change->before, before, memory, err);
	if (code == ERR_OK && change->has_after)
		code = take_image(m, theirs, change->after, after, memory, err);
	if (code != ERR_OK)
		return code;
	if (!change->has_before)
		take_defaults(m, timestamp, after, memory);
	const uint8_t *at = memory->data + begin;
	at = point_into_memory(m, change->has_before ? before : NULL, at, false);
	at = point_into_memory(m, change->has_after ? after : NULL, at, false);
	point_into_memory(m, change->has_after ? after : NULL, at, true);
	return ERR_OK;
}

/* ---- events ---- */

static bool bit_is_set(const uint8_t *bitmap, uint32_t i)
{
	return bitmap[i / 8] >> (i % 8) & 1;
}

static void set_present(struct mapping *m, const uint8_t *theirs, bool with_defaults, uint8_t *present)
{
	memset(present, 0, m->map.column_count / 8 + 1);
	for (uint32_t i = 0; theirs != NULL && i < m->shape.count; i++) {
		enum absent_kind kind = m->absent[i].kind;
		bool is_absent = m->shape.pairs[i].kind == SHAPE_ABSENT;
		if (is_absent ? with_defaults && (kind == ABSENT_NOW || kind == ABSENT_TEXT)
		              : bit_is_set(theirs, m->shape.pairs[i].theirs))
			present[i / 8] |= (uint8_t)(1 << i % 8);
	}
}

/* A value that has no place here, and that this change gave the row. */
static bool is_lost(const struct mapping *m, const struct row_change *change)
{
	for (uint32_t i = 0; change->has_after && i < m->shape.homeless_count; i++) {
		const struct field *after = &change->after[m->shape.homeless[i]];
		const struct field *before = change->has_before ? &change->before[m->shape.homeless[i]] : NULL;
		if (!after->present || (after->is_null && (before == NULL || before->is_null)))
			continue;
		if (before == NULL || !before->present || before->is_null != after->is_null || before->size != after->size ||
		    memcmp(before->bytes, after->bytes, after->size) != 0)
			return true;
	}
	return false;
}

static enum err_code rewrite_row(struct mapping *m, const struct table_map *theirs, uint32_t timestamp,
                                 const struct row_change *change, struct rows_writer *writer, struct err *err)
{
	buf_clear(&m->memory);
	enum err_code code = mapping_contents(m, theirs, timestamp, change, m->before, m->after, &m->memory, err);
	if (code == ERR_OK)
		code = rows_writer_add(writer, change->has_before ? m->before : NULL, change->has_after ? m->after : NULL, err);
	return code;
}

enum err_code mapping_rewrite(struct mapping *m, const struct table_map *theirs, const struct event *event,
                              struct buf *to, bool *ret_lost, struct err *err)
{
	struct rows_event rows;
	struct rows_writer writer;
	struct row_change change;
	bool more, lost = false;
	enum err_code code = rows_parse(event, theirs, &rows, err);
	if (code != ERR_OK)
		return code;
	set_present(m, rows.present_before, false, m->present_before);
	set_present(m, rows.present_after, rows.kind == ROWS_WRITE, m->present_after);
	struct rows_writer_what what = {.kind = rows.kind,
	                                .map = mapping_map(m, rows.table_id),
	                                .flags = (uint16_t)(rows.flags & ~ROWS_FLAG_COMPLETE_ROWS),
	                                .timestamp = event->timestamp,
	                                .server = event->server,
	                                .present_before = m->present_before,
	                                .present_after = m->present_after,
	                                .event_size = SIZE_MAX};
	rows_writer_start(&writer, &what, to);
	rows_iter_start(&m->iter, &rows, theirs);
	while ((code = rows_next(&m->iter, &change, &more, err)) == ERR_OK && more) {
		if ((code = rewrite_row(m, theirs, event->timestamp, &change, &writer, err)) != ERR_OK)
			break;
		lost = lost || is_lost(m, &change);
	}
	rows_writer_finish(&writer);
	buf_shrink(&m->memory, MEMORY_KEPT);
	if (code == ERR_OK)
		*ret_lost = lost;
	return code;
}
