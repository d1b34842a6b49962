/* Which tables had changes that went from one node to another, for the guide's table sync_metadata
 * (link/bookkeeper.h): the tail tells what it reads in this node's log, the bookkeeper looks now and then. Locks
 * itself; any thread.
 *
 *   another node's change   is here when the tail reads it: the table is as of now
 *   this node's change      waits until every node is known to have it
 */
#ifndef SYNCLINE_LINK_TOUCHED_H
#define SYNCLINE_LINK_TOUCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOUCHED_NAME_MAX = 200, TOUCHED_TABLES_MAX = 1024 /* more aren't noted */ };

struct touched;

struct touched_change {
	bool is_own;
	bool is_old; /* it was in the log before the daemon started */
	uint64_t seq;
	int64_t time_s; /* of its commit */
};

struct touched_table {
	char database[TOUCHED_NAME_MAX], name[TOUCHED_NAME_MAX];
	int64_t synced_s;    /* when a change last got from one node to another; 0: none did */
	uint64_t from, upto; /* seqs of this node's transactions that wait; 0: none */
	int64_t waits_ms;    /* since then, monotonic */
	int64_t old_s;       /* the last that waits is of a time before the daemon started; 0: it isn't */
};

struct touched *touched_new(void);
void touched_free(struct touched *touched); /* accepts NULL */
void touched_note(struct touched *touched, const char *database, const char *name, const struct touched_change *change,
                  int64_t now_s, int64_t now_ms);
/* Every node has this node's transactions up to seq. */
void touched_arrived(struct touched *touched, uint64_t seq, int64_t now_s, int64_t now_ms);
/* All tables, in no order. To be freed. */
struct touched_table *touched_copy(struct touched *touched, size_t *ret_count);

/* The table replication_conflicts may have other rows than it had. */
void touched_note_conflicts(struct touched *touched);
bool touched_take_conflicts(struct touched *touched); /* at first it is so */

#endif
