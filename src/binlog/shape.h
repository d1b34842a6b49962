/* The shape of a table: its columns as this node's server describes them, and how a peer's columns map to them, by
 * name.
 *
 * Two nodes' tables may differ: a column was added here already and not there, or in another place. Rows written
 * here need a table map of this server's table, and contents at this table's places. Pure; one thread.
 *
 * What it can't see: the hash of a long unique key, which information_schema leaves out and which ends a table map;
 * where it is absent, the server computes it. And that a UUID or an INET6 there is a BINARY(16) here: the log has
 * one type for them.
 */
#ifndef SYNCLINE_BINLOG_SHAPE_H
#define SYNCLINE_BINLOG_SHAPE_H

#include "binlog/table_map.h"

/* A row of information_schema.columns, read with a connection in utf8mb4. SQL NULL is NULL or 0. All borrowed. */
struct column_definition {
	const char *name;
	const char *data_type;   /* "varchar" */
	const char *column_type; /* "varchar(20) COMPRESSED", "enum('a','b')", "int(10) unsigned" */
	const char *character_set;
	uint16_t
	    collation; /* its id: information_schema.collation_character_set_applicability has it by full_collation_name */
	uint64_t character_octet_length;
	uint32_t numeric_precision, numeric_scale, datetime_precision;
	bool is_nullable;
	/* Of these alone is column_default_is_plain made. */
	const char *column_default; /* "NULL", "'x'", "current_timestamp()" */
	const char *extra;          /* "auto_increment", "STORED GENERATED" */
};

/* The two columns that information_schema.columns leaves out and the log has, behind the others: of a table whose
 * table_type is "SYSTEM VERSIONED" and which has no column of its own that is GENERATED ALWAYS AS ROW START. To be
 * added to its definitions: the server doesn't compute them, and without them an update is refused. */
extern const struct column_definition shape_versioning[2];

/* Whether a row that is written without this column gets what an INSERT without it would. The server doesn't
 * evaluate anything when it applies rows (seen on MariaDB 10.11.19): current_timestamp() is NULL then, an
 * AUTO_INCREMENT 0, a stored generated column NULL, the default of a TEXT ''. Literals and virtual columns are
 * right. So a value has to be written for those that aren't plain; and a stored generated column also goes stale
 * when an update changes what it is made of and not itself. */
bool column_default_is_plain(const struct column_definition *definition);

/* The column as it stands in this server's table maps: all but its key, name and labels. ERR_UNSUPPORTED names a
 * type that isn't known. */
enum err_code column_from_definition(const struct column_definition *definition, struct column *ret_column,
                                     struct err *err) ERR_MUST_CHECK;

/* A table map made of all rows of information_schema.columns, by ordinal_position: names and labels are copied into it,
 * the caller frees it with table_map_free and gives it a table id; it has no primary key. An ENUM or SET has no labels
 * if one of them can't be known: it isn't ASCII, and the column's character set isn't UTF-8. */
enum err_code shape_from_definitions(const char *database, const char *table,
                                     const struct column_definition *definitions, uint32_t count,
                                     struct table_map *ret_map, struct err *err) ERR_MUST_CHECK;

/* What becomes of the contents of a column of theirs in the column of that name here. */
enum shape_pair_kind {
	SHAPE_ABSENT,    /* they have no such column: see column_default_is_plain */
	SHAPE_FITS,      /* every content there is one here, as it is: field_append extends integers */
	SHAPE_COLLATION, /* fits if both collations are of one character set, which the server knows */
	SHAPE_DIFFERS,   /* it would be another value, or might not fit: to be stopped at */
};

struct shape_pair {
	enum shape_pair_kind kind;
	uint32_t theirs; /* column number, of all kinds but SHAPE_ABSENT */
	const char *why; /* SHAPE_DIFFERS: "is shorter here"; a literal */
};

struct shape {
	uint32_t count; /* columns here */
	struct shape_pair *pairs;
	uint32_t homeless_count; /* columns of theirs that have no home here */
	uint32_t *homeless;
	/* Same columns in the same places with the same types: their rows can be passed on as they are. Collations are not
	 * looked at. A hidden hash behind the others doesn't count. */
	bool is_same;
};

/* theirs has full metadata, ours is from shape_from_definitions. Names are compared as the server does, but for case
 * outside ASCII. The caller frees it with shape_free. */
enum err_code shape_map(const struct table_map *theirs, const struct table_map *ours, struct shape *ret_shape,
                        struct err *err) ERR_MUST_CHECK;
void shape_free(struct shape *shape); /* accepts a zeroed one */

#endif
