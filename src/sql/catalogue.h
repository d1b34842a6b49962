/* The catalogue: is the table here what the table map says it was there?
 *
 * Rows events name columns by position. A table whose columns differ from the table map's would get values in the wrong columns, so
 * each table is compared by column names before its first rows are applied, and again when the schema's generation has moved
 * (DDL was seen in this server's log). Also refused: a table that is not here, or not transactional, since then exactly-once
 * can't be kept. Answers are cached for a few seconds (DDL that isn't logged moves no generation); one thread.
 */
#ifndef SYNCLINE_SQL_CATALOGUE_H
#define SYNCLINE_SQL_CATALOGUE_H

#include "binlog/table_map.h"
#include "sql/connection.h"

struct catalogue;

struct catalogue *catalogue_new(void);
void catalogue_free(struct catalogue *catalogue); /* accepts NULL */

/* generation: of the schema, as it was before this call. */
enum err_code catalogue_check(struct catalogue *catalogue, struct connection *connection, const struct table_map *map,
                              uint64_t generation, struct err *err) ERR_MUST_CHECK;

#endif
