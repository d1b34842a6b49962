/* How far a link is behind, worked out from what was measured. Pure: the times come in from outside.
 *
 *   transactions   by the seqs: what the peer's vector has that the position lacks
 *   bytes          of the peer's log that are not applied yet: from the place that was applied up to to the log's end
 *   clock          the peer's clock against this node's: its answer to a question, halfway between asking and having
 *                  the answer. What is wrong with it is at most half of the round trip, so of two that agree the one
 *                  with the shorter trip counts
 *   pace           how long it takes at the rate of the last seconds until nothing is left
 */
#ifndef SYNCLINE_LINK_LAG_H
#define SYNCLINE_LINK_LAG_H

#include "binlog/gtid.h"
#include "sql/logs.h"

/* In the peer's log. The position is as events have it, 32 bits, also in a file that is larger. */
struct lag_place {
	char file[128]; /* "": not known */
	uint32_t position;
};

/* What has been written on `node` itself doesn't count: it is here. */
uint64_t lag_transactions(const struct vector *head, const struct vector *position, uint32_t node);
/* False if the file isn't among these. */
bool lag_bytes(const struct logs *logs, const struct lag_place *place, uint64_t *ret_bytes);

struct lag_clock {
	bool is_known;
	int64_t offset_us; /* the peer's time minus this node's */
	int64_t error_us;  /* at most */
	int64_t taken_ms;  /* monotonic */
};
/* asked_us: this node's time when it asked; trip_us: until it had the answer; peer_us: the answer. */
void lag_clock_take(struct lag_clock *clock, int64_t asked_us, int64_t trip_us, int64_t peer_us, int64_t now_ms);

/* How old a commit of that time in the peer's log is; 0 if it isn't past yet. */
int64_t lag_age(const struct lag_clock *clock, uint32_t commit_s, int64_t now_s);

enum { LAG_PACE_SAMPLES = 16, LAG_PACE_MS = 15000 };
struct lag_pace {
	unsigned count;
	int64_t ms[LAG_PACE_SAMPLES]; /* the oldest first, none older than LAG_PACE_MS */
	uint64_t left[LAG_PACE_SAMPLES];
};
/* Half a second apart at least; what comes sooner is left out. */
void lag_pace_note(struct lag_pace *pace, int64_t now_ms, uint64_t left);
/* False if it can't be told: too little was seen, or it doesn't get less. */
bool lag_pace_estimate(const struct lag_pace *pace, int64_t *ret_seconds);

#endif
