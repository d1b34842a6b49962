/* The tail: a thread that reads this node's own binary log and fills the window.
 *
 * What some other node isn't known to have enters the window under the transaction that wrote it; batches that this
 * node applied are taken apart by their manifests. After a transaction's writes are in, the shared `tailed` vector
 * moves past it: that is what certifying waits for. It starts from what every peer is known to have, so that the
 * window is the same after a restart, and reconnects for ever. A node that came in later begins with the seed
 * (server_seed), which is read from the peer whose copy it has, and told as that peer's tail tells it: the history
 * is then the one that the peer had as the copy was taken.
 */
#ifndef SYNCLINE_LINK_TAIL_H
#define SYNCLINE_LINK_TAIL_H

#include "link/state.h"

struct tail;

enum err_code tail_start(const struct settings *settings, struct state *state, struct tail **ret_tail, struct err *err)
    ERR_MUST_CHECK;
/* After state_stop. Waits for the thread and frees it; accepts NULL. */
void tail_stop(struct tail *tail);

#endif
