#include "merge/rowkey.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t rowkey_table_named(const char *database, const char *table)
{
	/* The NUL between the two keeps a.bc and ab.c apart. */
	return XXH64(table, strlen(table) + 1, XXH64(database, strlen(database) + 1, 0));
}

uint64_t rowkey_table(const struct table_map *map)
{
	return rowkey_table_named(map->database, map->table);
}

static XXH64_hash_t hash_type(const struct column *column, XXH64_hash_t hash)
{
	uint16_t type[] = {column->type, column->metadata, column->is_unsigned, column->collation, column->label_count};
	hash = XXH64(type, sizeof type, hash);
	for (uint16_t i = 0; i < column->label_count; i++)
		hash = XXH64(column->labels[i], column->label_sizes[i] + 1u, hash);
	return hash;
}

uint64_t rowkey_columns(const struct table_map *map)
{
	XXH64_hash_t hash = rowkey_table(map);
	for (uint32_t i = 0; i < map->column_count; i++) {
		const char *name = map->columns[i].name ? map->columns[i].name : "";
		hash = XXH64(name, strlen(name) + 1, hash);
		hash = hash_type(&map->columns[i], hash);
	}
	return hash;
}
