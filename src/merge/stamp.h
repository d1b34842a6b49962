/* Stamps: a total order over transactions that agrees with causality, and that every reader of a log derives alike from that log.
 *
 * A commit time alone can't order writes: boards without a clock of their own jump by years, and a binary log's times have
 * whole seconds. So the time of a stamp is the latest commit time among the transaction and all that it knew: the running maximum
 * of the times in its origin's log, since a log is a causal order. Of equal times the transaction that knew more is the later one:
 * its depth is the sum of the seqs of its context and its own. Who follows a transaction knows all that this knew, and more.
 * So a write that follows another always has the higher stamp, whatever the clocks say; and between writes that didn't know of
 * each other the later one by the clocks wins, as far as those are right.
 */
#ifndef SYNCLINE_MERGE_STAMP_H
#define SYNCLINE_MERGE_STAMP_H

#include <stdbool.h>
#include <stdint.h>

struct stamp {
	uint32_t time;   /* seconds */
	uint64_t depth;  /* 0: no transaction, older than all */
	uint32_t origin; /* a domain */
};

static inline int stamp_compare(struct stamp a, struct stamp b)
{
	if (a.time != b.time)
		return a.time < b.time ? -1 : 1;
	if (a.depth != b.depth)
		return a.depth < b.depth ? -1 : 1;
	return a.origin < b.origin ? -1 : a.origin > b.origin;
}

static inline bool stamp_is_none(struct stamp stamp)
{
	return stamp.depth == 0;
}

#endif
