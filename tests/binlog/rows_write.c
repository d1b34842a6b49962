/* Writes the rows of a log again, for another table: as BINLOG statements for a server whose table's columns may
 * differ.
 *
 *   rows_write --check DEFINITIONS LOG                  a line for each column that LOG describes otherwise
 *   rows_write --map DEFINITIONS LOG [BEFORE AFTER]     the statements
 *   rows_write --defaults DEFINITIONS LOG               the names of the columns whose defaults aren't plain
 *
 * DEFINITIONS: a line "database table", with " versioned" behind it if the table has hidden row_start and row_end,
 * then a line for each column of the table here: name, data_type, column_type, character_set_name, collation's id,
 * character_octet_length, numeric_precision, numeric_scale, datetime_precision, is_nullable, column_default, extra,
 * with tabs between; \N is NULL. LOG is of one table. BEFORE and AFTER name the columns of the images, with commas
 * between; "*": all that the log has. A test tool: it stops at the first error with status 1.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "binlog/event.h"
#include "binlog/rows_writer.h"
#include "binlog/shape.h"
#include "binlog/table_map.h"
#include "binlog/value.h"

enum { COLUMNS = 4096 - 2, FIELDS = 12, EVENT_SIZE = 8192, TABLE_ID = 4711, LENGTH_AT = 9 };

struct writer {
	bool is_check, is_defaults;
	const char *before, *after;
	struct format format;
	struct table_map theirs, ours;
	struct shape shape;
	struct rows_iter iter;
	struct buf *kept; /* by column of theirs, before and after: uncompressed values */
	struct err err;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("rows_write: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void check(const struct writer *w, enum err_code code)
{
	if (code != ERR_OK)
		die("%s", w->err.message);
}

static struct buf read_file(const char *path)
{
	struct buf file = {0};
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		die("can't open %s", path);
	for (size_t n = 1; n > 0; file.size += n)
		n = fread(buf_reserve(&file, 65536), 1, 65536, f);
	fclose(f);
	return file;
}

/* ---- DEFINITIONS ---- */

static const char *text_or_null(const char *field)
{
	return strcmp(field, "\\N") == 0 ? NULL : field;
}

static uint32_t number_or_zero(const char *field)
{
	return (uint32_t)strtoul(field, NULL, 10);
}

static struct column_definition read_definition(char *line)
{
	char *fields[FIELDS];
	for (int i = 0; i < FIELDS; i++)
		if ((fields[i] = strsep(&line, "\t")) == NULL)
			die("a definition has %d fields", i);
	return (struct column_definition){
	    .name = fields[0],
	    .data_type = text_or_null(fields[1]),
	    .column_type = text_or_null(fields[2]),
	    .character_set = text_or_null(fields[3]),
	    .collation = (uint16_t)number_or_zero(fields[4]),
	    .character_octet_length = number_or_zero(fields[5]),
	    .numeric_precision = number_or_zero(fields[6]),
	    .numeric_scale = number_or_zero(fields[7]),
	    .datetime_precision = number_or_zero(fields[8]),
	    .is_nullable = strcmp(fields[9], "YES") == 0,
	    .column_default = text_or_null(fields[10]),
	    .extra = text_or_null(fields[11]),
	};
}

static void read_definitions(struct writer *w, const char *path)
{
	struct buf file = read_file(path);
	struct column_definition *definitions = mem_alloc((COLUMNS + 2) * sizeof *definitions);
	uint32_t count = 0;
	(void)buf_str(&file);
	char *text = (char *)file.data, *line, *table = strsep(&text, "\n");
	char *database = strsep(&table, " "), *name = strsep(&table, " ");
	while (count < COLUMNS && (line = strsep(&text, "\n")) != NULL && *line != '\0')
		definitions[count++] = read_definition(line);
	for (int i = 0; table != NULL && i < 2; i++)
		definitions[count++] = shape_versioning[i];
	for (uint32_t i = 0; w->is_defaults && i < count; i++)
		if (!column_default_is_plain(&definitions[i]))
			printf("%s\n", definitions[i].name);
	check(w, shape_from_definitions(database, name, definitions, count, &w->ours, &w->err));
	w->ours.table_id = TABLE_ID;
	free(definitions);
	buf_free(&file);
}

/* ---- --check ---- */

static bool has_same_labels(const struct column *a, const struct column *b)
{
	for (uint32_t i = 0; i < a->label_count; i++)
		if (a->label_sizes[i] != b->label_sizes[i] || memcmp(a->labels[i], b->labels[i], a->label_sizes[i]) != 0)
			return false;
	return true;
}

static void print_difference(const struct column *theirs, const struct column *ours)
{
	/* information_schema has labels in UTF-8: those that have other bytes in the column's character set aren't
	 * known. */
	bool has_labels = ours->label_count > 0;
	if (strcmp(theirs->name, ours->name) == 0 && theirs->type == ours->type && theirs->metadata == ours->metadata &&
	    theirs->nullable == ours->nullable && theirs->is_unsigned == ours->is_unsigned &&
	    theirs->collation == ours->collation &&
	    (!has_labels || (theirs->label_count == ours->label_count && has_same_labels(theirs, ours))))
		return;
	printf("%s: type %u, metadata %u, nullable %d, unsigned %d, collation %u, %u labels; in the log %s: %u, %u, %d, "
	       "%d, %u, %u\n",
	       ours->name, ours->type, ours->metadata, ours->nullable, ours->is_unsigned, ours->collation,
	       ours->label_count, theirs->name, theirs->type, theirs->metadata, theirs->nullable, theirs->is_unsigned,
	       theirs->collation, theirs->label_count);
}

static void check_table_map(const struct writer *w)
{
	if (w->theirs.flags != w->ours.flags)
		printf("flags %u; in the log %u\n", w->ours.flags, w->theirs.flags);
	if (w->theirs.column_count != w->ours.column_count)
		die("%u columns; in the log %u", w->ours.column_count, w->theirs.column_count);
	for (uint32_t i = 0; i < w->ours.column_count; i++)
		print_difference(&w->theirs.columns[i], &w->ours.columns[i]);
	printf("%u columns, %s\n", w->ours.column_count, w->shape.is_same ? "same" : "not same");
}

/* ---- --map ---- */

static bool is_in_list(const char *list, const char *name)
{
	size_t size = strlen(name);
	for (const char *p = list; p != NULL; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (strncmp(p, name, size) == 0 && (p[size] == ',' || p[size] == '\0'))
			return true;
	return strcmp(list, "*") == 0;
}

static bool bit_is_set(const uint8_t *bitmap, uint32_t i)
{
	return bitmap[i / 8] >> (i % 8) & 1;
}

/* Which of our columns an image has: those that the event has and that were asked for. */
static uint8_t *map_present(const struct writer *w, const uint8_t *present, const char *list)
{
	uint8_t *ours = mem_alloc(w->ours.column_count / 8 + 1);
	for (uint32_t i = 0; present != NULL && i < w->ours.column_count; i++)
		if (w->shape.pairs[i].kind != SHAPE_ABSENT && bit_is_set(present, w->shape.pairs[i].theirs) &&
		    is_in_list(list, w->ours.columns[i].name))
			ours[i / 8] |= (uint8_t)(1 << i % 8);
	return ours;
}

static struct content *map_image(struct writer *w, const struct field *fields, struct buf *kept)
{
	struct content *contents = mem_alloc((w->ours.column_count + 1) * sizeof *contents);
	for (uint32_t i = 0; i < w->ours.column_count; i++) {
		uint32_t at = w->shape.pairs[i].theirs;
		if (w->shape.pairs[i].kind == SHAPE_ABSENT || !fields[at].present)
			continue;
		contents[i].is_null = fields[at].is_null;
		if (fields[at].is_null)
			continue;
		size_t size;
		check(w, field_content(&w->theirs.columns[at], &fields[at], &kept[at], &contents[i].bytes, &size, &w->err));
		contents[i].size = (uint32_t)size;
	}
	return contents;
}

static void print_binlog_statement(const struct buf *events)
{
	struct buf base64 = {0};
	buf_append_base64(&base64, events->data, events->size);
	printf("BINLOG '%s';\n", buf_str(&base64));
	buf_free(&base64);
}

static void map_row(struct writer *w, const struct row_change *row, struct rows_writer *to)
{
	struct content *before = row->has_before ? map_image(w, row->before, w->kept) : NULL;
	struct content *after = row->has_after ? map_image(w, row->after, w->kept + w->theirs.column_count) : NULL;
	check(w, rows_writer_add(to, before, after, &w->err));
	free(before);
	free(after);
}

static void on_rows(struct writer *w, const struct event *event)
{
	struct rows_event rows;
	struct rows_writer to;
	struct row_change row;
	struct buf events = {0};
	check(w, rows_parse(event, &w->theirs, &rows, &w->err));
	uint8_t *present_before = map_present(w, rows.present_before, w->before);
	uint8_t *present_after = map_present(w, rows.present_after, w->after);
	table_map_append(&w->ours, &events);
	struct rows_writer_what what = {.kind = rows.kind,
	                                .map = &w->ours,
	                                .flags = ROWS_FLAG_STATEMENT_END,
	                                .timestamp = event->timestamp,
	                                .server = event->server,
	                                .present_before = present_before,
	                                .present_after = present_after,
	                                .event_size = EVENT_SIZE};
	rows_writer_start(&to, &what, &events);
	rows_iter_start(&w->iter, &rows, &w->theirs);
	for (bool more = true; check(w, rows_next(&w->iter, &row, &more, &w->err)), more;)
		map_row(w, &row, &to);
	rows_writer_finish(&to);
	print_binlog_statement(&events);
	free(present_before);
	free(present_after);
	buf_free(&events);
}

static void free_kept(struct writer *w)
{
	for (uint32_t i = 0; w->kept != NULL && i < 2 * w->theirs.column_count; i++)
		buf_free(&w->kept[i]);
	free(w->kept);
	w->kept = NULL;
}

static void on_table_map(struct writer *w, const struct event *event)
{
	free_kept(w);
	table_map_free(&w->theirs);
	shape_free(&w->shape);
	check(w, table_map_parse(event, &w->theirs, &w->err));
	check(w, shape_map(&w->theirs, &w->ours, &w->shape, &w->err));
	w->kept = mem_alloc(2 * w->theirs.column_count * sizeof *w->kept);
	if (w->is_check) {
		check_table_map(w);
		return;
	}
	for (uint32_t i = 0; i < w->shape.count; i++)
		if (w->shape.pairs[i].kind == SHAPE_DIFFERS)
			die("column %s %s", w->ours.columns[i].name, w->shape.pairs[i].why);
}

static void on_event(struct writer *w, const uint8_t *bytes, size_t size)
{
	struct event event;
	check(w, event_parse(&w->format, bytes, size, &event, &w->err));
	if (event.type == EVENT_FORMAT_DESCRIPTION) {
		check(w, format_parse(&event, &w->format, &w->err));
		struct buf plain = {0};
		format_append_plain(&event, &plain);
		if (!w->is_check)
			print_binlog_statement(&plain);
		buf_free(&plain);
	} else if (event.type == EVENT_TABLE_MAP) {
		on_table_map(w, &event);
	} else if (event_is_rows(event.type) && !w->is_check) {
		on_rows(w, &event);
	}
}

int main(int argc, char **argv)
{
	if (argc != 4 && argc != 6)
		die("usage: rows_write --check|--map|--defaults DEFINITIONS LOG [BEFORE AFTER]");
	struct writer *w = mem_alloc(sizeof *w);
	w->is_check = strcmp(argv[1], "--check") == 0;
	w->is_defaults = strcmp(argv[1], "--defaults") == 0;
	w->before = argc == 6 ? argv[4] : "*";
	w->after = argc == 6 ? argv[5] : "*";
	format_init(&w->format);
	rows_iter_init(&w->iter);
	read_definitions(w, argv[2]);
	struct buf log = w->is_defaults ? (struct buf){0} : read_file(argv[3]);
	for (size_t at = 4; at < log.size;) {
		struct cursor header = cursor_of(log.data + at, log.size - at);
		cursor_skip(&header, LENGTH_AT);
		uint32_t size = cursor_u32(&header);
		if (!cursor_ok(&header) || size > log.size - at || size == 0)
			die("the log is cut off");
		on_event(w, log.data + at, size);
		at += size;
	}
	buf_free(&log);
	free_kept(w);
	rows_iter_free(&w->iter);
	shape_free(&w->shape);
	table_map_free(&w->theirs);
	table_map_free(&w->ours);
	free(w);
	return 0;
}
