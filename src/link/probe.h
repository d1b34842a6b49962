/* What a link asks its peer's server now and then, on a connection of its own: how far the log there goes, in
 * transactions and in bytes, and what time it is. Nothing is written for it, here or there.
 *
 * `delay` is the lag as it is, end to end, by this node's clock alone: what the peer had in its log when it was asked
 * took so long until it was applied here. Log times couldn't tell it: they have whole seconds, and are another clock's.
 *
 * probe_ask and probe_connection by the thread that reads; the rest by any.
 */
#ifndef SYNCLINE_LINK_PROBE_H
#define SYNCLINE_LINK_PROBE_H

#include "link/lag.h"
#include "sql/connection.h"

struct probe;

struct probe_view {
	struct lag_clock clock;
	bool has_bytes, has_delay;
	uint64_t bytes;   /* of the peer's log, not applied here yet */
	int64_t delay_ms; /* of what was last waited for, or has been up to now */
	int64_t waits_ms; /* for something that the peer has; 0: it doesn't */
};

/* The target is copied, its texts borrowed. node_id: this node's. */
struct probe *probe_new(const struct connection_target *target, uint32_t node_id);
void probe_free(struct probe *probe); /* accepts NULL */
void probe_abort(struct probe *probe);
void probe_close(struct probe *probe);
/* Opened if it isn't; NULL if it can't be. Borrowed. */
struct connection *probe_connection(struct probe *probe);
/* False if the peer doesn't answer. */
bool probe_ask(struct probe *probe, struct vector *ret_head);
/* How far the link has applied the peer's log. */
void probe_set_applied(struct probe *probe, const struct vector *position, const struct lag_place *place);
/* A new session with the peer: what was measured before is no news. */
void probe_reset(struct probe *probe);
void probe_view(struct probe *probe, struct probe_view *ret_view);

#endif
