/* One row of the guide's table sync_metadata: what it is to say, and the SQL. Pure.
 *
 *   last_sync_timestamp  when a change of the table last got from one node to another: one made elsewhere came here,
 *                        or one made here was known to be on every node
 *   sync_status          FAILED: a link of this node is stopped, or the node must rejoin; error_message says which
 *                        IN_PROGRESS: a change made here isn't on every node yet, for longer than a moment
 *                        SUCCESS: neither
 */
#ifndef SYNCLINE_LINK_SYNC_ROW_H
#define SYNCLINE_LINK_SYNC_ROW_H

#include "base/buf.h"
#include "link/touched.h"

enum { SYNC_ROW_NAME_CHARS = 50 };

enum sync_status { SYNC_SUCCESS, SYNC_FAILED, SYNC_IN_PROGRESS };

struct sync_row {
	char name[TOUCHED_NAME_MAX]; /* of the table, cut to what the column holds */
	int64_t time_s;
	enum sync_status status;
	const char *error; /* borrowed; "" if there is none */
};

/* `failed`: what the links are stopped for, "" if none is. Borrowed. */
struct sync_row sync_row_make(const struct touched_table *table, const char *failed, int64_t now_ms);
/* What an earlier run wrote of a table that nothing has happened to since. */
struct sync_row sync_row_keep(const char *name, int64_t time_s, const char *failed);
bool sync_row_parse_status(const char *text, enum sync_status *ret_status);
/* Time never goes back: what is there may be of another run of the daemon. */
bool sync_row_differs(const struct sync_row *row, int64_t time_s, enum sync_status status, const char *error);
/* is_there: the row exists. In a session whose time zone is UTC. */
void sync_row_append_sql(const struct sync_row *row, const char *database, uint32_t node, bool is_there,
                         struct buf *to);

#endif
