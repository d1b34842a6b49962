/* Rows of this node's tables, asked by values of some of their columns: locked, and as contents, as a rows event has them.
 *
 * For the few cases in which what is here can't be known from any log. Used within a transaction, the rows stay locked.
 */
#ifndef SYNCLINE_SQL_ROW_QUERY_H
#define SYNCLINE_SQL_ROW_QUERY_H

#include "sql/description.h"

/* A column of the table that is asked, and what it must be equal to, as the server compares: the content of a column of this or
 * another table. */
struct row_term {
	const char *column;
	const struct description *of;
	uint32_t of_column;
	const struct content *value; /* not NULL, not absent */
	unsigned prefix_characters;  /* only the column's first ones; 0: all of it */
};

/* `values`: a whole row, borrowed for the call. */
typedef void on_queried_row(void *context, const struct content *values);

/* SELECT … FOR UPDATE. ERR_MALFORMED for a value that content_parse can't read. */
enum err_code row_query(struct connection *connection, const struct description *table, const struct row_term *terms,
                        size_t term_count, on_queried_row *call, void *context, struct err *err) ERR_MUST_CHECK;

#endif
