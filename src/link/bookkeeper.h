/* The bookkeeper: a thread that looks every few seconds, and asks this node's server only if something has happened:
 *
 *   open conflicts   how many rows of replication_conflicts nobody has resolved, for the status
 *   sync_metadata    the guide's table, in each replicated database that has it, is kept true: this node writes the
 *                    rows with its own node_id ('node1'), and no others, so no two nodes ever write one row. One
 *                    transaction for all its tables, at most every `sync-metadata-period` seconds, and none while no
 *                    change goes from node to node. Rows are updated, not replaced, so no numbers are used up. A
 *                    change of sync_metadata itself doesn't count: it would have the nodes answer each other for ever.
 *
 * bookkeeper_start and bookkeeper_stop by the main thread.
 */
#ifndef SYNCLINE_LINK_BOOKKEEPER_H
#define SYNCLINE_LINK_BOOKKEEPER_H

#include "link/link.h"

#define BOOKKEEPER_TABLE "sync_metadata"
#define BOOKKEEPER_CONFLICTS "replication_conflicts"

struct bookkeeper;

/* The links are borrowed: they are stopped after it. Without links (engine = native) it counts conflicts alone. */
enum err_code bookkeeper_start(const struct settings *settings, struct state *state, struct link *const *links,
                               size_t link_count, struct bookkeeper **ret_bookkeeper, struct err *err) ERR_MUST_CHECK;
/* After state_stop. Waits for the thread and frees it; accepts NULL. */
void bookkeeper_stop(struct bookkeeper *bookkeeper);

#endif
