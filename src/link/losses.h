/* What this node's writes lost and isn't in replication_conflicts yet.
 *
 * A loss is told more than once: after a restart the history is told the log again. So each lost column of each write has a mark in
 * syncline.recorded, written in the transaction that records it, kept until the write is everywhere and can't turn up again.
 * Texts are made when a loss is added; nothing is borrowed. The resolver's thread alone.
 */
#ifndef SYNCLINE_LINK_LOSSES_H
#define SYNCLINE_LINK_LOSSES_H

#include "merge/merge.h"
#include "sql/apply.h"

struct losses;

struct losses *losses_new(void);
void losses_free(struct losses *losses); /* accepts NULL */

/* What was recorded in an earlier life of the daemon: told again, together with what was lost since, it is left out. */
enum err_code losses_load_marks(struct losses *losses, struct connection *connection, struct err *err) ERR_MUST_CHECK;
void losses_add(struct losses *losses, const struct merge_record *record);
/* Adds what links noted in syncline.found; recording it takes it out of there. */
enum err_code losses_add_found(struct losses *losses, struct connection *connection, struct err *err) ERR_MUST_CHECK;
bool losses_any(const struct losses *losses);
/* That of a row which is about to be deleted: recorded in the same transaction. Replaces the last one that was decided. */
void losses_decide(struct losses *losses, const struct merge_record *record);
/* … and a row that goes ahead of it, since it refers to it. */
void losses_decide_child(struct losses *losses, const struct merge_change *child);
enum err_code losses_send_decided(struct losses *losses, struct apply *apply, struct err *err) ERR_MUST_CHECK;
/* … in a transaction of its own. */
enum err_code losses_record_decided(struct losses *losses, struct apply *apply, struct err *err) ERR_MUST_CHECK;
/* Records all that were added. What could not be recorded stays to be tried again. */
enum err_code losses_record(struct losses *losses, struct apply *apply, struct err *err) ERR_MUST_CHECK;
/* Marks of writes up to this seq are needed no more. */
enum err_code losses_forget(struct connection *connection, uint64_t seq, struct err *err) ERR_MUST_CHECK;

#endif
