/* What there is in a server's databases, as it says itself: tables, views, sequences, routines, triggers, events.
 *
 * Read with the same statements from both servers, so that equal definitions are equal texts. A list is plain data of
 * its owner's, freed with objects_free. Its order is the databases' and, within one, the kinds', and tells the order
 * of triggers.
 */
#ifndef SYNCLINE_COPY_OBJECTS_H
#define SYNCLINE_COPY_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/connection.h"

enum object_kind {
	KIND_DATABASE,
	KIND_SEQUENCE,
	KIND_TABLE,
	KIND_PROCEDURE,
	KIND_FUNCTION,
	KIND_PACKAGE,
	KIND_PACKAGE_BODY,
	KIND_VIEW,
	KIND_TRIGGER,
	KIND_EVENT,
	KIND_COUNT
};

struct object {
	enum object_kind kind;
	char *database, *name; /* name: "" of a database */
	/* What makes it: the statement; of a database what stands behind its name. Without what isn't compared: a table's
	 * next AUTO_INCREMENT value, and an event is always DISABLE ON SLAVE. */
	char *definition;
	/* The session it is made in; NULL where it doesn't matter. database_collation: its database's default then. */
	char *sql_mode, *time_zone, *client, *collation, *database_collation;
	/* Of tables. */
	char *engine;
	bool is_versioned;
	uint64_t rows, bytes;    /* estimates */
	uint64_t auto_increment; /* 0: there is none */
};

struct objects {
	size_t count;
	struct object *items;
};

const char *object_kind_name(enum object_kind kind);                   /* "PACKAGE BODY" */
void object_append_name(struct buf *sql, const struct object *object); /* `d`.`t` */

/* ERR_SERVER with a number that says "no such …" when something went while it was read. */
enum err_code objects_read(struct connection *connection, size_t database_count, const char *const *databases,
                           struct objects *ret, struct err *err) ERR_MUST_CHECK;
/* Only the tables: takes no more than SELECT. */
enum err_code objects_read_tables(struct connection *connection, size_t database_count, const char *const *databases,
                                  struct objects *ret, struct err *err) ERR_MUST_CHECK;
void objects_free(struct objects *objects);

/* NULL if there is none. */
const struct object *objects_find(const struct objects *objects, const struct object *like);
bool object_equal(const struct object *a, const struct object *b);
/* The first object that one list doesn't have as the other has it; NULL if they are equal. */
const struct object *objects_difference(const struct objects *a, const struct objects *b);

#endif
