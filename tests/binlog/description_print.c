/* Prints what description.h says of a table.
 *
 *   description_print SOCKET DATABASE TABLE [LOG]
 *
 * A line for each thing; columns of a key by name. With LOG, a binlog file, also a line for whatever the last table map of this
 * table in it says otherwise. A test tool: it stops at the first error with status 1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/event.h"
#include "sql/description.h"

enum { LENGTH_AT = 9 };

static struct err err;

static void check(enum err_code code)
{
	if (code == ERR_OK)
		return;
	fprintf(stderr, "description_print: %s\n", err.message);
	exit(1);
}

static void print_columns(const struct description *d, const char *what, const struct merge_columns *columns)
{
	printf("%s", what);
	for (uint32_t i = 0; i < columns->count; i++) {
		const struct column *column = &d->map.columns[columns->columns[i]];
		printf("%s%s", i ? "," : " ", column->name);
		if (columns->columns == d->map.primary_key && column->primary_key_prefix > 0)
			printf("(%u)", column->primary_key_prefix);
	}
}

static void print_description(const struct description *d)
{
	static const char *const on_delete[] = {
	    [MERGE_SET_NULL] = "set null", [MERGE_CASCADE] = "cascade", [MERGE_RESTRICT] = "restrict"};
	printf("table %s.%s %016" PRIx64 "\n", d->map.database, d->map.table, d->merge.id);
	printf("engine %s\n", d->engine);
	printf("columns %u+%u\n", d->definition_count, d->merge.column_count - d->definition_count);
	if (d->has_key) {
		print_columns(d, "key", &d->merge.key);
		putchar('\n');
	}
	for (uint32_t i = 0; i < d->merge.unique_count; i++) {
		print_columns(d, "unique", &d->merge.uniques[i]);
		putchar('\n');
	}
	for (uint32_t i = 0; i < d->merge.reference_count; i++) {
		print_columns(d, "reference", &d->merge.references[i].columns);
		printf(" to %016" PRIx64 " %s\n", d->merge.references[i].parent, on_delete[d->merge.references[i].on_delete]);
	}
	printf("depth %u%s%s%s\n", d->merge.depth, d->is_parent ? ", parent" : "",
	       d->has_foreign_reference ? ", foreign reference" : "", d->has_prefix_key ? ", prefix key" : "");
}

/* ---- LOG ---- */

static void compare_keys(const struct table_map *here, const struct table_map *there)
{
	bool is_same = here->primary_key_count == there->primary_key_count;
	for (uint32_t i = 0; is_same && i < here->primary_key_count; i++)
		is_same = here->primary_key[i] == there->primary_key[i];
	if (!is_same)
		printf("the log has another primary key, of %u columns\n", there->primary_key_count);
	for (uint32_t i = 0; i < here->column_count && i < there->column_count; i++)
		if (here->columns[i].in_primary_key != there->columns[i].in_primary_key ||
		    here->columns[i].primary_key_prefix != there->columns[i].primary_key_prefix)
			printf("in the log column %s is in the primary key: %d, with %u characters of it\n", here->columns[i].name,
			       there->columns[i].in_primary_key, there->columns[i].primary_key_prefix);
}

static void compare(const struct description *d, const struct table_map *there)
{
	struct shape shape;
	check(description_fits(d, there, &shape, &err));
	printf("the log has %s\n", shape.is_same ? "the same" : "another shape");
	if (shape.is_same)
		compare_keys(&d->map, there);
	shape_free(&shape);
}

static struct buf read_file(const char *path)
{
	struct buf file = {0};
	FILE *f = fopen(path, "rb");
	if (f == NULL) {
		fprintf(stderr, "description_print: can't open %s\n", path);
		exit(1);
	}
	for (size_t n = 1; n > 0; file.size += n)
		n = fread(buf_reserve(&file, 65536), 1, 65536, f);
	fclose(f);
	return file;
}

static void find_table_map(const struct buf *log, const struct description *d, struct table_map *last)
{
	struct format format;
	format_init(&format);
	for (size_t at = 4; at < log->size;) {
		struct event event;
		struct cursor header = cursor_of(log->data + at, log->size - at);
		cursor_skip(&header, LENGTH_AT);
		uint32_t size = cursor_u32(&header);
		check(event_parse(&format, log->data + at, size, &event, &err));
		at += size;
		struct table_map map;
		if (event.type == EVENT_FORMAT_DESCRIPTION)
			check(format_parse(&event, &format, &err));
		if (event.type != EVENT_TABLE_MAP)
			continue;
		check(table_map_parse(&event, &map, &err));
		bool is_it = strcmp(map.database, d->map.database) == 0 && strcmp(map.table, d->map.table) == 0;
		table_map_free(is_it ? last : &map);
		if (is_it)
			*last = map;
	}
}

int main(int argc, char **argv)
{
	if (argc != 4 && argc != 5) {
		fputs("usage: description_print SOCKET DATABASE TABLE [LOG]\n", stderr);
		return 1;
	}
	struct connection *connection = connection_new();
	struct description *description = NULL;
	struct connection_target target = {.socket = argv[1]};
	check(connection_open(connection, &target, &err));
	check(description_load(connection, argv[2], argv[3], &description, &err));
	connection_free(connection);
	if (description == NULL) {
		puts("no such table");
		return 0;
	}
	print_description(description);
	if (argc == 5) {
		struct table_map there = {0};
		struct buf log = read_file(argv[4]);
		find_table_map(&log, description, &there);
		compare(description, &there);
		table_map_free(&there);
		buf_free(&log);
	}
	description_free(description);
	return 0;
}
