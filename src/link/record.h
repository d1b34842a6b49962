/* The conflict record: what a node's own write lost to a concurrent one, as a row of the replicated database.
 *
 * The table is replication_conflicts, with the columns that it has always had in set-ups by hand; what more there is to
 * say stands in its column conflict_data, a JSON object that docs/conflict-record.md describes. From it alone the
 * losing row can be written again (syncline conflicts undo). The node that lost writes the record, once, and it
 * replicates as any other row.
 *
 * Pure: texts are made, nothing is sent. They are for a session of utf8mb4. A strict sql_mode would refuse the name of
 * a table that the database's character set lacks, so the session should have none.
 */
#ifndef SYNCLINE_LINK_RECORD_H
#define SYNCLINE_LINK_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/record_table.h"
#include "base/buf.h"
#include "base/err.h"
#include "binlog/gtid.h"
#include "binlog/value.h"

/* A longer text of a value is cut, and the record says so: such a value can't be written again. */
enum { RECORD_TEXT_MAX = 64 << 10 };

/* Plain data, all of it borrowed. Rows are arrays of map->column_count values, NULL where there is no row. */
struct record {
	uint64_t id; /* the same whenever this conflict is met again: what tells that it is recorded already */
	const struct table_map *map; /* names the table and its columns: needs full metadata */
	const char *kind;            /* "update_origin_differs" */
	struct gtid loser, winner;   /* of seq 0: no transaction in particular */
	uint32_t loser_time, winner_time;
	const struct content *base;    /* before both writes */
	const struct content *local;   /* as the losing write left it */
	const struct content *remote;  /* as the winning write left it */
	const struct content *applied; /* what it is now */
	const bool *lost;              /* by column: local's value is no more */
	const char *resolver;          /* the rule that decided: "last_update_wins" */
	const char *resolution;        /* what came of it: "apply_remote" */
};

/* CREATE TABLE IF NOT EXISTS. */
void record_create_table(const char *database, struct buf *sql);
/* INSERT, one row. ERR_UNSUPPORTED without column names, ERR_MALFORMED for a value that can't be one of its column;
 * then nothing is appended. */
enum err_code record_insert(const struct record *record, struct buf *sql, struct err *err) ERR_MUST_CHECK;

#endif
