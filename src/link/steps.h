/* Steps of the merge engine as table map and rows events of this node's server: what apply sends.
 *
 * Consecutive steps of one kind and table share an event. Pure.
 */
#ifndef SYNCLINE_LINK_STEPS_H
#define SYNCLINE_LINK_STEPS_H

#include "merge/merge.h"
#include "sql/apply.h"

/* Appends the events. The steps' tables are of descriptions. `timestamp`, `server`: of the events' headers. */
enum err_code steps_encode(const struct merge_step *steps, size_t count, uint32_t timestamp, uint32_t server,
                           struct buf *to, struct err *err) ERR_MUST_CHECK;
/* Gives events, as steps_encode and event_append wrote them, to apply: table maps stand ahead of their rows. */
void steps_apply(struct apply *apply, const struct buf *events);

#endif
