/* Rows of this node's tables that a row is tied to, read from the server where no log tells of them: those that have one of its
 * unique values, its parents, its children. Used within a transaction, what is found stays locked. One thread.
 */
#ifndef SYNCLINE_LINK_RELATIVES_H
#define SYNCLINE_LINK_RELATIVES_H

#include "link/changes.h"
#include "link/registry.h"
#include "sql/connection.h"

/* Whoever asks; all borrowed. */
struct relatives {
	struct connection *connection;
	struct registry *registry;
	uint64_t generation; /* of the schema */
};

/* The row that has this primary key; each that has a unique value of this row's and another primary key. Appended to the list as
 * deletes, a row once, however many of its values it is found by. */
enum err_code relatives_find_row(const struct relatives *who, const struct merge_table *table,
                                 const struct content *row, struct change_list *to, struct err *err) ERR_MUST_CHECK;
enum err_code relatives_find_rivals(const struct relatives *who, const struct merge_table *table,
                                    const struct content *row, struct change_list *to, struct err *err) ERR_MUST_CHECK;

/* A row that one of its foreign keys refers to isn't here. */
enum err_code relatives_lacks_parent(const struct relatives *who, const struct merge_table *table,
                                     const struct content *row, bool *ret_lacks, struct err *err) ERR_MUST_CHECK;

/* The rows that refer to this one and keep it from being deleted (RESTRICT, NO ACTION): appended as deletes. */
enum err_code relatives_find_restricting(const struct relatives *who, const struct merge_table *table,
                                         const struct content *row, struct change_list *to, struct err *err)
    ERR_MUST_CHECK;
/* … and those that keep these from it, or what would go with the row by cascade: in an order in which they can be deleted.
 * ERR_UNSUPPORTED if there are too many. */
enum err_code relatives_find_all_restricting(const struct relatives *who, const struct merge_table *table,
                                             const struct content *row, struct change_list *to, struct err *err)
    ERR_MUST_CHECK;

#endif
