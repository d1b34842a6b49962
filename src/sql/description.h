/* A description: what this node's server says of one table, asked once and never changed.
 *
 * What applies rows needs it thrice: as the table map that this server would log (to write rows events for it, and to tell a peer's
 * columns from this table's), as the merge engine's table (keys and references), and as the definitions of its columns (what
 * an INSERT without one would give it). It is as true as the moment it was asked; whoever keeps one asks again when the schema's
 * generation has moved.
 *
 * What merge can't be told: that an index is over a prefix of a column or not over what its collation takes for the same, that a
 * period may not overlap, what ON UPDATE does. Immutable, so any number of threads may read one.
 */
#ifndef SYNCLINE_SQL_DESCRIPTION_H
#define SYNCLINE_SQL_DESCRIPTION_H

#include "binlog/shape.h"
#include "merge/merge.h"
#include "sql/collations.h"
#include "sql/connection.h"

struct description {
	/* As this server logs it, with column names, labels, primary key and the hidden times of a system-versioned table, but
	 * without the hash of a long unique key; table_id 0. */
	struct table_map map;
	struct merge_table merge; /* its arrays are the description's */
	/* A primary key, or what the server takes and logs as one (its first key, unique and without NULLs). Else nothing can be
	 * certified. */
	bool has_key;
	bool is_parent; /* a foreign key of some table refers to it, maybe its own */
	/* A foreign key that isn't in merge.references: to other columns than the parent's primary key, or to a table
	 * that isn't here or that is system-versioned. */
	bool has_foreign_reference;
	bool has_prefix_key; /* the primary key or a unique index has only the beginning of a column: merge has all of it */
	char engine[32];     /* "InnoDB"; "" for a sequence or a view */
	/* One for each of map.columns; the first definition_count are what information_schema has, the others hidden. */
	uint32_t definition_count;
	struct column_definition *definitions;
	/* Owned: what the above points into. */
	uint32_t *unique_columns, *reference_columns;
	uint16_t *unique_prefixes; /* by place in unique_columns: how many characters of the column the index has, 0: all */
	struct key_rule *rules;
	struct description_row *rows;
};

/* The description that this is the merge engine's table of. */
static inline const struct description *description_of(const struct merge_table *merge)
{
	return (const struct description *)((const char *)merge - offsetof(struct description, merge));
}

/* *ret is NULL if there is no such table here. One round trip, and one more for each generation of tables that it
 * refers to; 2 ms. ERR_BUSY if it was altered meanwhile. */
enum err_code description_load(struct connection *connection, const char *database, const char *table,
                               struct description **ret, struct err *err) ERR_MUST_CHECK;
void description_free(struct description *description); /* accepts NULL */

/* Tells the merge engine's table which contents are one key (merge/keyrule.h); before, they are compared byte by byte. */
enum err_code description_make_rules(struct description *description, struct collations *collations,
                                     struct connection *connection, struct err *err) ERR_MUST_CHECK;

/* How rows of this table map land in this table. ERR_UNSUPPORTED names the table, a column whose values would be others here,
 * and how to mend that. The caller frees the shape. */
enum err_code description_fits(const struct description *description, const struct table_map *theirs,
                               struct shape *ret_shape, struct err *err) ERR_MUST_CHECK;

#endif
