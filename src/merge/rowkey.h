/* Hashes that tell tables, and shapes of tables, the same on every node. Which row of a table a change is about: merge_row_key.
 * Two have one by chance once in 2^64. Pure.
 */
#ifndef SYNCLINE_MERGE_ROWKEY_H
#define SYNCLINE_MERGE_ROWKEY_H

#include "binlog/table_map.h"

/* Over its names: merge_table.id. */
uint64_t rowkey_table(const struct table_map *map);
uint64_t rowkey_table_named(const char *database, const char *table); /* the same */

/* Over the table and its columns' names and types: two table maps with the same value describe tables of the same columns. */
uint64_t rowkey_columns(const struct table_map *map);

#endif
