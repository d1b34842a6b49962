/* The applier of a link: a peer's log, event by event, into this node's server.
 *
 *   event ─► group ─┬─ has it already, or none of it is replicated ─► passed by, the position moves
 *                   ├─ row events ─► batch ─► flush ─► certify ─► commit
 *                   └─ DDL ─► commit the batch ─► run it
 *
 * Consecutive transactions of one origin and one context share a batch, as long as there is more to read; applier_idle
 * commits what is there. `position` is the peer's vector up to which everything is applied or was here already; it is
 * saved with each batch and is where the stream is opened next time.
 *
 * What was applied is here exactly once: a batch commits rows, GTID and position together; a transaction is applied only under
 * its origin's claim and only if this server's vector lacks it. After any error nothing of the batch is left, and
 * applier_start begins anew from what the server has.
 *
 * A batch that fails is gone through again transaction by transaction, so that what precedes the failing one is applied and
 * the message names it. Used by the link's thread alone, but for applier_abort.
 */
#ifndef SYNCLINE_LINK_APPLIER_H
#define SYNCLINE_LINK_APPLIER_H

#include "link/lag.h"
#include "link/state.h"

struct applier;

struct applier_counts {
	uint64_t transactions;
	uint64_t batches;
	uint64_t resolved; /* of the transactions: met writes that they didn't know of */
};

struct applier *applier_new(const struct settings *settings, const struct settings_peer *peer, struct state *state);
void applier_free(struct applier *applier);  /* accepts NULL */
void applier_abort(struct applier *applier); /* from any thread: what it waits for fails */

/* Connects to this node's server and reads the position. */
enum err_code applier_start(struct applier *applier, struct vector *ret_position, struct err *err) ERR_MUST_CHECK;
/* Drops what isn't committed and disconnects. */
void applier_stop(struct applier *applier);

enum err_code applier_event(struct applier *applier, const uint8_t *bytes, size_t size, struct err *err) ERR_MUST_CHECK;
/* Nothing more to read for now. */
enum err_code applier_idle(struct applier *applier, struct err *err) ERR_MUST_CHECK;

/* Borrowed until the next applier_ call. Counts what is applied and committed. */
const struct vector *applier_position(const struct applier *applier);
const struct lag_place *applier_place(const struct applier *applier); /* of the position, in the peer's log */
struct applier_counts applier_counts(const struct applier *applier);
/* The peer had nothing more when it sent the last event (a heartbeat). */
bool applier_at_end(const struct applier *applier);
/* The transaction that the last error was about; false if it was about none. */
bool applier_culprit(const struct applier *applier, struct gtid *ret_gtid);
/* Commit time at the origin of the transaction last read, seconds. */
uint32_t applier_time(const struct applier *applier);
/* The latest commit time in the peer's log up to the position, seconds; 0 if nothing was read yet. */
uint32_t applier_latest(const struct applier *applier);

#endif
