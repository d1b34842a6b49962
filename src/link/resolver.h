/* The resolver: a thread that does what is left to do once transactions are in this node's log.
 *
 *   shows         rows that had been held back and can be shown now
 *   decides       deletes a row of this node's that lost a unique value to an older claim, as an ordinary transaction
 *   records       what this node's writes lost, in replication_conflicts, as ordinary transactions
 *   acknowledges  what this node has, where some node doesn't read its log and it has nothing else to say
 *   checkpoints   saves where the tail may start next time: where every node has everything, and all of the above is done
 *
 * All of it is in this node's own domain. What is shown has a manifest that says so (MANIFEST_SHOWN), since it is no write; so has
 * the delete of a row that isn't shown here (MANIFEST_RESOLVED). A loss is recorded together with its mark in syncline.recorded, so
 * once, whatever is killed when.
 */
#ifndef SYNCLINE_LINK_RESOLVER_H
#define SYNCLINE_LINK_RESOLVER_H

#include "link/state.h"

struct resolver;

enum err_code resolver_start(const struct settings *settings, struct state *state, struct resolver **ret_resolver,
                             struct err *err) ERR_MUST_CHECK;
/* After state_stop. Waits for the thread and frees it; accepts NULL. */
void resolver_stop(struct resolver *resolver);

#endif
