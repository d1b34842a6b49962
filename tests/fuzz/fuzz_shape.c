/* Fuzzes src/binlog/shape's reading of definitions: an input is lines of data_type, numbers and column_type, with
 * tabs between, as information_schema.columns would say them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "binlog/rows_writer.h"
#include "binlog/shape.h"

enum { COLUMNS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *field_or_nothing(char **line)
{
	const char *field = strsep(line, "\t");
	return field != NULL ? field : "";
}

static struct column_definition read_definition(char *line)
{
	struct column_definition definition = {.name = "c"};
	definition.data_type = field_or_nothing(&line);
	definition.character_octet_length = strtoul(field_or_nothing(&line), NULL, 10);
	definition.numeric_precision = (uint32_t)strtoul(field_or_nothing(&line), NULL, 10);
	definition.numeric_scale = (uint32_t)strtoul(field_or_nothing(&line), NULL, 10);
	definition.datetime_precision = (uint32_t)strtoul(field_or_nothing(&line), NULL, 10);
	definition.character_set = field_or_nothing(&line);
	definition.column_type = field_or_nothing(&line);
	definition.column_default = field_or_nothing(&line);
	definition.extra = field_or_nothing(&line);
	return definition;
}

/* What a definition makes of a column must be what a table map can say of one. */
static void try_map(struct table_map *map)
{
	struct buf written = {0};
	struct event event;
	struct table_map again;
	struct err err;
	map->table_id = 5;
	table_map_append(map, &written);
	struct cursor c = cursor_of(written.data, written.size);
	if (!rows_writer_next(&c, &event) || table_map_parse(&event, &again, &err) != ERR_OK)
		abort();
	for (uint32_t i = 0; i < map->column_count; i++) {
		const struct column *column = &map->columns[i];
		if (again.columns[i].type != column->type ||
		    (again.columns[i].metadata != column->metadata && column->type != COLUMN_TIME &&
		     column->type != COLUMN_DATETIME && column->type != COLUMN_TIMESTAMP))
			abort();
		for (uint32_t j = 0; j < column->label_count; j++)
			if (column->labels[j][column->label_sizes[j]] != '\0')
				abort();
	}
	table_map_free(&again);
	buf_free(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = mem_alloc(size + 1), *rest = copy, *line;
	struct column_definition definitions[COLUMNS];
	struct table_map map;
	struct err err;
	uint32_t count = 0;
	if (size > 0)
		memcpy(copy, data, size);
	while (count < COLUMNS && (line = strsep(&rest, "\n")) != NULL)
		definitions[count++] = read_definition(line);
	for (uint32_t i = 0; i < count; i++)
		(void)column_default_is_plain(&definitions[i]);
	/* Each alone, too: one that is refused would hide the others. */
	for (uint32_t i = 0; i <= count; i++) {
		uint32_t first = i < count ? i : 0;
		if (shape_from_definitions("d", "t", &definitions[first], i < count ? 1 : count, &map, &err) == ERR_OK) {
			try_map(&map);
			table_map_free(&map);
		} else if (err.message[0] == '\0') {
			abort();
		}
	}
	free(copy);
	return 0;
}
