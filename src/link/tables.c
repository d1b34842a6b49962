#include "link/tables.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/rows.h"
#include "binlog/value.h"
#include "merge/manifest.h"
#include "merge/rowkey.h"
#include "sql/server.h"

enum { TABLES_KEPT_MAX = 1024, LINKS_MANIFEST_COLUMN = 2 };
/* The columns of a sequence (MariaDB manual, "CREATE SEQUENCE", its table structure). */
enum { SEQUENCE_COLUMNS = 8, SEQUENCE_NEXT = 0, SEQUENCE_ROUND = 7 };

struct tables {
	const struct settings *settings;
	size_t count, capacity;
	struct table **items; /* by map.table_id, ascending */
};

struct tables *tables_new(const struct settings *settings)
{
	struct tables *t = mem_alloc(sizeof *t);
	t->settings = settings;
	return t;
}

void tables_clear(struct tables *t)
{
	for (size_t i = 0; i < t->count; i++) {
		table_map_free(&t->items[i]->map);
		mapping_unref(t->items[i]->mapping);
		buf_free(&t->items[i]->raw);
		free(t->items[i]);
	}
	t->count = 0;
}

void tables_free(struct tables *t)
{
	if (t == NULL)
		return;
	tables_clear(t);
	free(t->items);
	free(t);
}

void tables_trim(struct tables *t)
{
	if (t->count > TABLES_KEPT_MAX)
		tables_clear(t);
}

/* Where this number is, or would go. */
static size_t find_index(const struct tables *t, uint64_t id)
{
	size_t low = 0, high = t->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (t->items[middle]->map.table_id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct table *tables_find(const struct tables *t, uint64_t id)
{
	size_t i = find_index(t, id);
	return i < t->count && t->items[i]->map.table_id == id ? t->items[i] : NULL;
}

static struct table *insert(struct tables *t, size_t at)
{
	if (t->count == t->capacity) {
		t->capacity = t->capacity ? t->capacity * 2 : 16;
		t->items = mem_resize(t->items, t->capacity * sizeof *t->items);
	}
	memmove(&t->items[at + 1], &t->items[at], (t->count - at) * sizeof *t->items);
	t->count++;
	return t->items[at] = mem_alloc(sizeof **t->items);
}

/* Nothing but its columns' names tells a sequence from a table. */
static bool is_sequence(const struct table_map *map)
{
	static const char *const names[SEQUENCE_COLUMNS] = {"next_not_cached_value", "minimum_value", "maximum_value",
	                                                    "start_value",           "increment",     "cache_size",
	                                                    "cycle_option",          "cycle_count"};
	if (map->column_count != SEQUENCE_COLUMNS || !map->has_full_metadata)
		return false;
	for (int i = 0; i < SEQUENCE_COLUMNS; i++)
		if (strcmp(map->columns[i].name, names[i]) != 0)
			return false;
	return true;
}

enum err_code tables_learn(struct tables *t, const struct event *event, const struct table **ret_table, struct err *err)
{
	uint64_t id;
	enum err_code code = table_map_parse_id(event, &id, err);
	if (code != ERR_OK)
		return code;
	size_t i = find_index(t, id);
	struct table *table = i < t->count && t->items[i]->map.table_id == id ? t->items[i] : NULL;
	if (table == NULL || table->raw.size != event->body_size ||
	    memcmp(table->raw.data, event->body, event->body_size) != 0) {
		struct table_map map;
		code = table_map_parse(event, &map, err);
		if (code != ERR_OK)
			return code;
		if (table == NULL)
			table = insert(t, i);
		table_map_free(&table->map);
		table->map = map;
		buf_clear(&table->raw);
		buf_append(&table->raw, event->body, event->body_size);
		mapping_unref(table->mapping);
		table->mapping = NULL;
		table->here = NULL;
		table->is_sequence = is_sequence(&map);
		table->is_replicated = settings_replicates(t->settings, map.database);
		table->is_ours = strcmp(map.database, SYNCLINE_SCHEMA) == 0;
		table->is_links = table->is_ours && strcmp(map.table, SYNCLINE_LINKS_TABLE) == 0;
	}
	*ret_table = table;
	return ERR_OK;
}

static void set_mapping(struct table *table, const struct description *here, struct mapping *mapping)
{
	mapping_unref(table->mapping);
	table->here = here;
	table->mapping = mapping;
}

enum err_code tables_describe(struct tables *t, uint64_t id, struct registry *registry, struct catalogue *catalogue,
                              struct connection *connection, uint64_t generation, struct err *err)
{
	struct table *table = t->items[find_index(t, id)];
	const struct table_map *map = &table->map;
	const struct description *here;
	struct mapping *mapping = NULL;
	enum err_code code = registry_find(registry, connection, map->database, map->table, generation, &here, err);
	if (code != ERR_OK || (table->mapping != NULL && here == table->here))
		return code;
	code = catalogue_map(catalogue, connection, map, here, &mapping, err);
	set_mapping(table, here, mapping);
	return code;
}

enum err_code tables_describe_last(struct tables *t, uint64_t id, struct registry *registry,
                                   struct catalogue *catalogue, struct connection *connection, struct err *err)
{
	struct table *table = t->items[find_index(t, id)];
	const struct description *last = registry_last(registry, table->map.database, table->map.table);
	struct mapping *mapping = NULL;
	enum err_code code = catalogue_map(catalogue, connection, &table->map, last, &mapping, err);
	set_mapping(table, last, mapping);
	return code;
}

enum err_code tables_append_setval(const struct table *sequence, const struct event *event, struct buf *to,
                                   struct err *err)
{
	struct rows_event rows;
	struct rows_iter iter;
	struct row_change change;
	uint64_t next = 0, round = 0;
	bool more = false, found = false;
	rows_iter_init(&iter);
	enum err_code code = rows_parse(event, &sequence->map, &rows, err);
	if (code == ERR_OK)
		rows_iter_start(&iter, &rows, &sequence->map);
	while (code == ERR_OK && (code = rows_next(&iter, &change, &more, err)) == ERR_OK && more) {
		if (!change.has_after || !change.after[SEQUENCE_NEXT].present || !change.after[SEQUENCE_ROUND].present)
			continue;
		code = value_uint(&sequence->map.columns[SEQUENCE_NEXT], &change.after[SEQUENCE_NEXT], &next, err);
		if (code == ERR_OK)
			code = value_uint(&sequence->map.columns[SEQUENCE_ROUND], &change.after[SEQUENCE_ROUND], &round, err);
		found = true;
	}
	if (code == ERR_OK && found) {
		buf_append_str(to, "DO SETVAL(");
		sql_append_name(to, sequence->map.database);
		buf_append_str(to, ".");
		sql_append_name(to, sequence->map.table);
		buf_printf(to, ", %lld, 0, %llu);", (long long)next, (unsigned long long)round);
	}
	rows_iter_free(&iter);
	return code;
}

enum err_code tables_read_manifest(const struct table *links, const struct event *event, struct manifest *ret_manifest,
                                   bool *ret_found, struct err *err)
{
	struct rows_event rows;
	struct rows_iter iter;
	struct row_change change;
	struct buf scratch = {0};
	const uint8_t *bytes;
	size_t size;
	bool more = false, found = false;
	rows_iter_init(&iter);
	enum err_code code = rows_parse(event, &links->map, &rows, err);
	if (code == ERR_OK && links->map.column_count > LINKS_MANIFEST_COLUMN) {
		rows_iter_start(&iter, &rows, &links->map);
		code = rows_next(&iter, &change, &more, err);
	}
	if (code == ERR_OK && more && change.has_after && change.after[LINKS_MANIFEST_COLUMN].present) {
		code = field_content(&links->map.columns[LINKS_MANIFEST_COLUMN], &change.after[LINKS_MANIFEST_COLUMN], &scratch,
		                     &bytes, &size, err);
		if (code == ERR_OK && size > 1) { /* a transaction that was passed over has none */
			code = manifest_decode(bytes, size, ret_manifest, err);
			found = code == ERR_OK;
		}
	}
	if (code == ERR_OK)
		*ret_found = found;
	rows_iter_free(&iter);
	buf_free(&scratch);
	return code;
}
