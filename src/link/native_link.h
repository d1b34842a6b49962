/* A link under engine = native: MariaDB's own replication from one peer, set up, started and watched by one thread.
 *
 * Each time it gets to this node's server, also after that restarted, it stops the replication connection, tells it the
 * peer's place and the filter anew (the filter is in the server's memory only) and starts it, unless the link is
 * paused. Then it looks on: the states are link.h's. Every few seconds it asks the peer what it needs of this node's
 * log, for link/retention. What stopped with an error is started again now and then, as our
 * own links do; what somebody stopped by hand is left alone. When the thread ends, the replication runs on.
 *
 * Positions are handed over by handover.h, before the links start. While it is live the link saves in syncline.links
 * how far the peer is with this node's own transactions: where the peer's log is to be read from, after a while, in
 * either engine.
 *
 * native_link_start and native_link_stop by the main thread, the rest by any.
 */
#ifndef SYNCLINE_LINK_NATIVE_LINK_H
#define SYNCLINE_LINK_NATIVE_LINK_H

#include "link/link.h"
#include "link/native_needs.h"

enum { NATIVE_NAME_MAX = 32 };

struct native_link;

/* The replication connection's name: the default one, without a name, in a pair. */
const char *native_link_name(const struct settings *settings, uint32_t peer, char ret[NATIVE_NAME_MAX]);

/* Selects, stops and sets up the replication connection, not started. Any thread. */
enum err_code native_link_set_up(const struct settings *settings, const struct settings_peer *peer,
                                 struct connection *connection, struct err *err) ERR_MUST_CHECK;

enum err_code native_link_start(const struct settings *settings, const struct settings_peer *peer, struct state *state,
                                struct native_link **ret_link, struct err *err) ERR_MUST_CHECK;
/* After state_stop. Waits for the thread and frees it; accepts NULL. */
void native_link_stop(struct native_link *link);
/* The operator paused or resumed it, or mended something. state_wake has to follow. */
void native_link_look(struct native_link *link);
/* What the peer needs of this node's log, as it said last; false if it never did. *ret_connected: it is being asked. */
bool native_link_needs(struct native_link *link, struct native_needs *ret_needs, bool *ret_connected);
void native_link_view(struct native_link *link, struct link_view *ret_view);

#endif
