/* Row keys: which row a row change is about, as 64 bits.
 *
 * A row key is a hash over database, table and the primary key's bytes as they stand in the row image, so it is the same on
 * every node. Two rows share a key by chance once in 2^64; a chance hit is taken for a conflict, never the other way round.
 * A table without a primary key has no row keys. Pure.
 */
#ifndef SYNCLINE_MERGE_ROWKEY_H
#define SYNCLINE_MERGE_ROWKEY_H

#include "binlog/rows.h"

/* The hash that every key of the table starts from; computed once a table map. */
uint64_t rowkey_table(const struct table_map *map);

/* Over the table and its columns' names: two table maps with the same value describe tables of the same columns. */
uint64_t rowkey_columns(const struct table_map *map);

/* The keys of a row change: one, or two when an update changes the primary key; 0 when the table has no primary key or the
 * image lacks it. */
unsigned rowkey_of_change(uint64_t table_hash, const struct table_map *map, const struct row_change *change,
                          uint64_t ret_keys[2]);

#endif
