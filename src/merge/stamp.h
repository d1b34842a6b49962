/* Stamps: a total order over transactions that agrees with causality.
 *
 * A commit time alone can't order writes: boards without a clock of their own jump by years, and a binary log's times have
 * whole seconds. The clock here is a hybrid logical one that every reader of a log computes alike from that log: at each of its
 * node's own transactions it is the commit time, or one more than all before it in that log, whichever is later; a transaction of
 * another node moves it to that one's stamp. So a write that follows another has the higher stamp, whatever the clocks say.
 * 44 bits of seconds, 20 of a counter; a counter that overflows runs into the seconds, which harms nothing.
 */
#ifndef SYNCLINE_MERGE_STAMP_H
#define SYNCLINE_MERGE_STAMP_H

#include <stdint.h>

enum { STAMP_COUNTER_BITS = 20 };

struct stamp {
	uint64_t clock;  /* 0: older than every transaction */
	uint32_t origin; /* a domain */
};

/* The clock of a log after its node's own transaction, committed at `time` (seconds). */
static inline uint64_t stamp_tick(uint64_t clock, uint32_t time)
{
	uint64_t at = (uint64_t)time << STAMP_COUNTER_BITS;
	return at > clock ? at : clock + 1;
}

static inline int stamp_compare(struct stamp a, struct stamp b)
{
	if (a.clock != b.clock)
		return a.clock < b.clock ? -1 : 1;
	return a.origin < b.origin ? -1 : a.origin > b.origin;
}

#endif
