/* Which files of this node's log may go: the decision alone, without I/O; link/retention.h says why it is so.
 *
 * At the beginning of a file stands a vector: all that is in older files. A node is done with the older ones when
 *
 *   it has all that (known: what its transactions told, in its log's order), and
 *   its link, if it has one, starts behind them (saved: its saved position, as it says itself; it lags behind known).
 *
 * Plain data that the caller owns; files and nodes are borrowed.
 */
#ifndef SYNCLINE_LINK_RETENTION_RULE_H
#define SYNCLINE_LINK_RETENTION_RULE_H

#include "binlog/gtid.h"

struct retention_file {
	uint64_t bytes;
	struct vector first; /* the log's vector where it begins */
	bool is_done;        /* nothing up to there is work that this node has still to do */
};

/* Every node but this one. */
struct retention_node {
	uint32_t id;
	bool is_peer;      /* reads this node's log */
	bool is_connected; /* is being read now: what it has and saves will be known soon */
	bool has_saved;    /* it has said so since the daemon started */
	struct vector saved, known;
};

struct retention_case {
	size_t file_count;
	const struct retention_file *files; /* the oldest first; the last is being written */
	size_t node_count;
	const struct retention_node *nodes;
	struct vector tail;   /* where this node's own tail starts next time; or would, with another engine */
	uint64_t bytes_max;   /* of all files; 0: no limit */
	uint64_t bytes_short; /* how much has to go for enough to be free */
};

enum retention_held {
	RETENTION_NOT_HELD, /* no limit is passed any more */
	RETENTION_HELD_BY_ACTIVE,
	RETENTION_HELD_BY_SELF, /* work of this node's own */
	RETENTION_HELD_BY_NODE, /* is connected and will have saved its position in a moment */
};

struct retention_verdict {
	size_t keep_from;         /* the files ahead of this one go */
	size_t agreed;            /* of them, those ahead of this one are needed by nobody */
	uint64_t losers;          /* bit N-1: node N loses what it needs */
	enum retention_held held; /* a limit stays passed: the reason */
	uint32_t held_by;         /* the node */
};

#define RETENTION_BIT(node) ((uint64_t)1 << ((node)-1))

/* There is at least one file. */
struct retention_verdict retention_decide(const struct retention_case *c);
/* The nodes that aren't done with the files ahead of this one: see RETENTION_BIT. */
uint64_t retention_losers(const struct retention_case *c, size_t from);
/* How much more may be written before a file goes that this node, were it cut off now, would need. False: no limit.
 * `free_bytes`: what is free above the floor, UINT64_MAX if it isn't known. */
bool retention_room(const struct retention_case *c, const struct retention_node *node, uint64_t free_bytes,
                    uint64_t *ret_bytes);

#endif
