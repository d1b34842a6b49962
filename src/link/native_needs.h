/* What of this node's log a peer still needs, where this node's engine is native: the peer's server is asked.
 *
 * A peer with engine = native reads on from its @@gtid_slave_pos: that names all domains of this node's log, since what
 * MariaDB passes by counts there, too. A peer with engine = merge reads on from the position that it saved.
 * A node that goes over to merge reads on from the position that it saved while it was native (native_link.h), but for
 * what tells how far it applied the peer's transactions. Then it wants to find the writes here that the peer's next
 * transaction may not have known: what this node saved of the peer says which.
 */
#ifndef SYNCLINE_LINK_NATIVE_NEEDS_H
#define SYNCLINE_LINK_NATIVE_NEEDS_H

#include "binlog/gtid.h"
#include "node/settings.h"
#include "sql/connection.h"

struct native_needs {
	bool is_lasting;     /* else it holds only as long as the peer answers: it may read by file and position, which is
	                        at the end of a file, until it was adopted, too */
	struct vector saved; /* the peer's reading of this node's log goes on behind that */
	struct vector known; /* it has that */
	bool may_merge;      /* either of the two may go over to merge: both write what they apply to their logs */
	struct vector start; /* and then wants what is behind that in this node's log */
	struct vector head;  /* the peer's own log, after that was asked */
};

/* This node's own side: its saved position in the peer's log, @@gtid_slave_pos, and log_slave_updates. */
struct native_place {
	struct vector saved, applied;
	bool logs_applied;
};

/* Where a link would start that goes over from native: `saved`, and of `origin`, whose log it reads, and of what no
 * node counts, what is applied. Pure. */
struct vector native_needs_start(const struct settings *settings, uint32_t origin, const struct vector *saved,
                                 const struct vector *applied);
/* An account that may not read the schema syncline there is taken for one of a peer with engine = native. */
enum err_code native_needs_ask(struct connection *peer, const struct settings *settings, uint32_t peer_id,
                               const struct native_place *here, struct native_needs *ret_needs, struct err *err)
    ERR_MUST_CHECK;

#endif
