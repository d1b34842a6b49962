/* Retention: a thread that takes this node's own log files away, when nobody needs them or there is no more room for
 * them.
 *
 * The server's own expiry by days doesn't know who needs what: a peer that was away too long gets error 1236, and
 * nothing mends itself. A log that is kept for ever fills the disk. So every 30 s, and when a new file was begun,
 * retention looks at the files and decides (link/retention_rule.h):
 *
 *   agreed   A file goes when every peer's link, and this node's own tail, start behind it.
 *            A link starts at its saved position (syncline.links on the peer), which lags behind what the peer has: in
 *            a pair it is saved every 30 s. So the link from that peer asks for it every few seconds. What is in that
 *            table is on the peer's disk: no crash makes it start further back. A peer that wasn't reached since the
 *            daemon started may need everything.
 *            The tail starts where all nodes have everything and nothing is left to do with it.
 *   forced   Past retention-bytes or retention-free-bytes the oldest files go though a node lacks what is in them. It
 *            is named in the log, and must rejoin. In any case these stay: the file being written, what this node has
 *            still to do, what a connected peer has but for saving its position, and (the server sees to it) a file
 *            being read. The tail then starts later than it should. What the history lacks by that all nodes have but
 *            the losers; and of a loser's transaction nobody can tell any more whether it overwrites some of it. So up
 *            to where the log is purged is saved in syncline.forgotten before it is, and once the history was told
 *            anew, a transaction that knew less is refused (state_remembers).
 *
 * With engine = native there is no tail, and nobody wakes the thread: it looks every few seconds. What a peer needs is
 * asked by native_link (link/native_needs.h). In the tail's place stands what a node that goes over to merge would want,
 * this one or a peer, and what the merge engine had left to do when it ended.
 *
 * Free space counts only where the server is reached through a socket: then its files are on this machine.
 *
 * retention_start and retention_stop by the main thread, retention_view by any.
 */
#ifndef SYNCLINE_LINK_RETENTION_H
#define SYNCLINE_LINK_RETENTION_H

#include "link/link.h"
#include "link/native_link.h"
#include "sql/logs.h"

struct retention;

/* Makes the tables. */
enum err_code retention_prepare(struct connection *connection, struct err *err) ERR_MUST_CHECK;
/* The engine's, borrowed: they are stopped after it. */
struct retention_links {
	enum settings_engine engine;
	size_t count;
	struct link *const *links;
	struct native_link *const *natives;
};
enum err_code retention_start(const struct settings *settings, struct state *state, const struct retention_links *links,
                              struct retention **ret_retention, struct err *err) ERR_MUST_CHECK;
/* After state_stop. Waits for the thread and frees it; accepts NULL. */
void retention_stop(struct retention *retention);

struct retention_away {
	uint32_t node;
	bool is_limited;
	int64_t seconds; /* it may be away so long before it must rejoin */
};

struct retention_view {
	bool is_known; /* the log was looked at */
	uint64_t log_bytes;
	char log_oldest[LOGS_NAME_MAX];
	bool disk_known;                            /* its file system is this machine's */
	uint64_t disk_free_bytes, disk_floor_bytes; /* what is free there; what is to be left free */
	char held[LOGS_NAME_MAX + 256];             /* a limit is passed and nothing may go: the reason */
	size_t away_count;
	struct retention_away away[NODE_ID_MAX];
};
void retention_view(struct retention *retention, struct retention_view *ret_view);

#endif
