/* From one engine to the other: who has applied how far is handed over exactly, whatever is killed in between.
 *
 * Called by the main thread at each start, before the links; both functions do what is left to do, which is nothing
 * when the server is there already. What says so is the mark (sql/native.h): up to it the one engine's positions count,
 * from it on the other's. docs/native.md has the steps and why nothing is lost or applied twice.
 */
#ifndef SYNCLINE_LINK_HANDOVER_H
#define SYNCLINE_LINK_HANDOVER_H

#include "base/err.h"
#include "node/settings.h"

/* This node's server is there and prepared. Retryable: try again. */
enum err_code handover_to(const struct settings *settings, enum settings_engine engine, struct err *err) ERR_MUST_CHECK;

/* The merge engine has ended, in order: what it leaves to be done keeps this node's log from where its tail would start,
 * whichever engine follows (link/retention.h). */
enum err_code handover_note_unsettled(const struct settings *settings, bool is_unsettled, struct err *err)
    ERR_MUST_CHECK;

#endif
