/* A batch under construction: what the applier remembers of the transactions it has gathered.
 *
 * Plain data and small functions; the rows themselves are in sql/apply. For certifying it keeps the row keys of the part that
 * was not certified yet: once a part's rows are locked here and certified, no later local write can touch them.
 */
#ifndef SYNCLINE_LINK_BATCH_H
#define SYNCLINE_LINK_BATCH_H

#include "link/state.h"
#include "link/tables.h"
#include "merge/manifest.h"

struct batch_key {
	uint64_t key;
	uint64_t seq;      /* of the transaction that wrote the row */
	uint64_t table_id; /* for the message */
};

struct batch {
	bool is_open;     /* the origin's claim is held */
	uint32_t origin;  /* domain */
	struct gtid last; /* the last transaction in it */
	struct manifest manifest;
	bool is_sealed;      /* its manifest was sent: only the last transaction may still grow */
	uint64_t generation; /* of the schema that its tables were checked against, the oldest */
	int64_t opened_ms;
	size_t key_count, key_capacity;
	struct batch_key *keys;
};

void batch_open(struct batch *batch, uint32_t origin);
void batch_close(struct batch *batch);
void batch_free(struct batch *batch);
void batch_add_key(struct batch *batch, uint64_t key, uint64_t seq, uint64_t table_id);
/* Looks every key of this part up in the window as it is now. ERR_CONFLICT names the row's table and both transactions. */
enum err_code batch_certify(struct batch *batch, struct state *state, const struct tables *tables, struct err *err)
    ERR_MUST_CHECK;
/* The part is certified for good: its keys are forgotten. */
void batch_part_done(struct batch *batch);

#endif
