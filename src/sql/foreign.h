/* The foreign keys of this node's server as InnoDB itself knows them: of a table, and those of other tables that refer to it.
 *
 * A description tells of references to primary keys, by the ids that the merge engine knows tables by. Who has to find the rows at
 * the other end needs names, and all of them.
 */
#ifndef SYNCLINE_SQL_FOREIGN_H
#define SYNCLINE_SQL_FOREIGN_H

#include "merge/merge.h"
#include "sql/connection.h"

struct foreign_key {
	char *id;
	char *child_database, *child, *parent_database, *parent;
	enum merge_on_delete on_delete;
	uint32_t count; /* columns */
	char **child_columns, **parent_columns;
};

struct foreign_keys {
	size_t count;
	struct foreign_key *keys; /* owned */
};

enum foreign_side {
	FOREIGN_OF_CHILD,  /* those that the table has */
	FOREIGN_OF_PARENT, /* those that refer to it, of itself too */
};

/* One round trip. To be freed; *ret is untouched on failure. */
enum err_code foreign_keys_load(struct connection *connection, const char *database, const char *table,
                                enum foreign_side side, struct foreign_keys *ret, struct err *err) ERR_MUST_CHECK;
void foreign_keys_free(struct foreign_keys *keys); /* accepts a zeroed one */

/* Appends an expression for the name that InnoDB has for a table: "database/table", as files are named. */
void foreign_append_name(struct buf *sql, const char *database, const char *table);

#endif
