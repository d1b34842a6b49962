#include "merge/rowkey.h"

#include <string.h>

#include "binlog/value.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t rowkey_table(const struct table_map *map)
{
	/* The NUL between the two keeps a.bc and ab.c apart. */
	XXH64_hash_t database = XXH64(map->database, strlen(map->database) + 1, 0);
	return XXH64(map->table, strlen(map->table) + 1, database);
}

uint64_t rowkey_columns(const struct table_map *map)
{
	XXH64_hash_t hash = rowkey_table(map);
	for (uint32_t i = 0; i < map->column_count; i++) {
		const char *name = map->columns[i].name ? map->columns[i].name : "";
		hash = XXH64(name, strlen(name) + 1, hash);
	}
	return hash;
}

static bool key_of_image(uint64_t hash, const struct table_map *map, const struct field *fields, uint64_t *ret_key)
{
	for (uint32_t i = 0; i < map->primary_key_count; i++) {
		const struct column *column = &map->columns[map->primary_key[i]];
		const struct field *field = &fields[map->primary_key[i]];
		if (!field->present || field->is_null)
			return false;
		/* A field's bytes hold its length, so fields can't run together. */
		const uint8_t *bytes = field->bytes;
		size_t size = field->size;
		if (column->primary_key_prefix > 0) {
			/* The key ends after so many characters; images of one row agree at least in so many bytes. */
			if (column->type == COLUMN_BLOB_COMPRESSED || column->type == COLUMN_VARCHAR_COMPRESSED)
				return false; /* can't be in a key: no server says so */
			if (field_content(column, field, NULL, &bytes, &size, NULL) != ERR_OK)
				return false;
			size = size < column->primary_key_prefix ? size : column->primary_key_prefix;
		}
		hash = XXH64(bytes, size, hash);
	}
	*ret_key = hash;
	return true;
}

unsigned rowkey_of_change(uint64_t table_hash, const struct table_map *map, const struct row_change *change,
                          uint64_t ret_keys[2])
{
	unsigned count = 0;
	if (map->primary_key_count == 0)
		return 0;
	if (change->has_before && key_of_image(table_hash, map, change->before, &ret_keys[count]))
		count++;
	if (change->has_after && key_of_image(table_hash, map, change->after, &ret_keys[count]) &&
	    (count == 0 || ret_keys[0] != ret_keys[1]))
		count++;
	return count;
}
