/* The catalogue: how a peer's table map fits the table here.
 *
 * Rows events name columns by position. A table whose columns differ from the table map's would get values in the wrong columns, so
 * rows are mapped by column names (mapping.h), as the table here is described at the moment. Refused: a table that is not here, whose
 * columns can't hold what the peer's do, or that is not transactional, since then exactly-once can't be kept. Mappings are
 * cached; one thread.
 */
#ifndef SYNCLINE_SQL_CATALOGUE_H
#define SYNCLINE_SQL_CATALOGUE_H

#include "sql/mapping.h"

struct catalogue;

struct catalogue *catalogue_new(void);
void catalogue_free(struct catalogue *catalogue); /* accepts NULL */

/* here: the table here, NULL if there is none; it outlives the catalogue. *ret is a reference of the caller's. */
enum err_code catalogue_map(struct catalogue *catalogue, struct connection *connection, const struct table_map *map,
                            const struct description *here, struct mapping **ret, struct err *err) ERR_MUST_CHECK;

#endif
