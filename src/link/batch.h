/* A batch under construction: what the applier remembers of the transactions it has gathered.
 *
 * Plain data and small functions; the rows themselves are in sql/apply. For certifying it keeps the keys of the part that
 * was not certified yet: once a part's rows are locked here and certified, no later local write can touch them.
 */
#ifndef SYNCLINE_LINK_BATCH_H
#define SYNCLINE_LINK_BATCH_H

#include "link/state.h"
#include "merge/manifest.h"

struct batch {
	bool is_open;     /* the origin's claim is held */
	uint32_t origin;  /* domain */
	struct gtid last; /* the last transaction in it */
	uint32_t latest;  /* of the times of their stamps */
	struct manifest manifest;
	bool is_sealed;      /* its manifest was sent: only the last transaction may still grow */
	uint64_t generation; /* of the schema that its tables were checked against, the oldest */
	int64_t opened_ms;
	struct history_keys keys;
};

void batch_open(struct batch *batch, uint32_t origin);
void batch_close(struct batch *batch);
void batch_free(struct batch *batch);
/* One more transaction. */
void batch_add(struct batch *batch, const struct gtid *gtid, uint32_t time, uint64_t row_changes);
/* Nothing in the history as it is now is in conflict with this part. ERR_BUSY: something is, since it was last looked at. */
enum err_code batch_certify(const struct batch *batch, struct state *state, struct err *err) ERR_MUST_CHECK;
/* The part is certified for good: its keys are forgotten. */
void batch_part_done(struct batch *batch);

#endif
