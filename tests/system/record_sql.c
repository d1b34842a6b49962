/* Takes each UPDATE and DELETE in a log for a conflict that its before-image lost, and prints the statement that
 * records it.
 *
 *   record_sql LOG KIND
 *
 * A line a row change. So real rows of any types go through src/link/record, and what it wrote can be undone. A test
 * tool: it stops at the first error with status 1.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "binlog/event.h"
#include "binlog/rows.h"
#include "link/record.h"

enum { LENGTH_AT = 9, IMAGES = 2 };

struct recorder {
	const char *kind;
	uint64_t id;
	struct format format;
	struct table_map map;
	struct rows_iter iter;
	struct err err;
};

/* A row's contents, and what compressed ones were uncompressed into. */
struct image {
	struct content *contents;
	struct buf *kept;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("record_sql: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void check(const struct recorder *r, enum err_code code)
{
	if (code != ERR_OK)
		die("%s", r->err.message);
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

static struct image image_of(struct recorder *r, const struct field *fields)
{
	uint32_t count = r->map.column_count;
	struct image image = {mem_alloc(count * sizeof *image.contents), mem_alloc(count * sizeof *image.kept)};
	for (uint32_t i = 0; i < count; i++) {
		size_t size;
		image.contents[i].is_null = fields[i].is_null;
		if (!fields[i].present)
			die("column %s is absent; binlog_row_image must be FULL", r->map.columns[i].name);
		if (fields[i].is_null)
			continue;
		check(r,
		      field_content(&r->map.columns[i], &fields[i], &image.kept[i], &image.contents[i].bytes, &size, &r->err));
		image.contents[i].size = (uint32_t)size;
	}
	return image;
}

static void free_image(const struct recorder *r, struct image *image)
{
	for (uint32_t i = 0; image->kept != NULL && i < r->map.column_count; i++)
		buf_free(&image->kept[i]);
	free(image->kept);
	free(image->contents);
}

static bool is_equal(const struct content *a, const struct content *b)
{
	return a->is_null == b->is_null && a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

static void on_change(struct recorder *r, const struct event *event, const struct row_change *row)
{
	struct image local = image_of(r, row->before), remote = {0};
	if (row->has_after)
		remote = image_of(r, row->after);
	bool *lost = mem_alloc(r->map.column_count * sizeof *lost);
	for (uint32_t i = 0; i < r->map.column_count; i++)
		lost[i] = remote.contents == NULL || !is_equal(&local.contents[i], &remote.contents[i]);
	struct record record = {.id = ++r->id,
	                        .map = &r->map,
	                        .kind = r->kind,
	                        .loser = {1, 1, 17},
	                        .winner = {2, 2, 9},
	                        .loser_time = event->timestamp,
	                        .winner_time = event->timestamp + 1,
	                        .local = local.contents,
	                        .remote = remote.contents,
	                        .applied = remote.contents,
	                        .lost = lost,
	                        .resolver = "last_update_wins",
	                        .resolution = "apply_remote"};
	struct buf sql = {0};
	check(r, record_insert(&record, &sql, &r->err));
	puts(buf_str(&sql));
	buf_free(&sql);
	free(lost);
	free_image(r, &local);
	free_image(r, &remote);
}

static void on_rows(struct recorder *r, const struct event *event)
{
	struct rows_event rows;
	struct row_change row;
	check(r, rows_parse(event, &r->map, &rows, &r->err));
	rows_iter_start(&r->iter, &rows, &r->map);
	for (bool more = true; check(r, rows_next(&r->iter, &row, &more, &r->err)), more;)
		if (row.has_before)
			on_change(r, event, &row);
}

/* Syncline's own tables don't count. */
static bool is_meant(const struct recorder *r)
{
	return strcmp(r->map.database, "d") == 0 && strcmp(r->map.table, RECORD_TABLE) != 0;
}

static void on_event(struct recorder *r, const uint8_t *bytes, size_t size)
{
	struct event event;
	check(r, event_parse(&r->format, bytes, size, &event, &r->err));
	if (event.type == EVENT_FORMAT_DESCRIPTION) {
		check(r, format_parse(&event, &r->format, &r->err));
	} else if (event.type == EVENT_TABLE_MAP) {
		table_map_free(&r->map);
		check(r, table_map_parse(&event, &r->map, &r->err));
	} else if (event_is_rows(event.type) && is_meant(r)) {
		on_rows(r, &event);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		die("usage: record_sql LOG KIND");
	struct recorder *r = mem_alloc(sizeof *r);
	r->kind = argv[2];
	format_init(&r->format);
	rows_iter_init(&r->iter);
	struct buf log = read_file(argv[1]);
	for (size_t at = 4; at < log.size;) {
		struct cursor header = cursor_of(log.data + at, log.size - at);
		cursor_skip(&header, LENGTH_AT);
		uint32_t size = cursor_u32(&header);
		if (!cursor_ok(&header) || size > log.size - at || size == 0)
			die("the log is cut off");
		on_event(r, log.data + at, size);
		at += size;
	}
	buf_free(&log);
	rows_iter_free(&r->iter);
	table_map_free(&r->map);
	free(r);
	return 0;
}
