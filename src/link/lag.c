#include "link/lag.h"

#include <string.h>

enum {
	CLOCK_KEPT_MS = 120000, /* a shorter trip counts for so long: clocks drift */
	PACE_STEP_MS = 500,
	PACE_SEEN_MS = 1500,
};

uint64_t lag_transactions(const struct vector *head, const struct vector *position, uint32_t node)
{
	uint64_t lag = 0;
	for (uint32_t i = 0; i < head->count; i++) {
		uint64_t have = vector_seq(position, head->gtids[i].domain);
		if (head->gtids[i].domain != node && head->gtids[i].seq > have)
			lag += head->gtids[i].seq - have;
	}
	return lag;
}

bool lag_bytes(const struct logs *logs, const struct lag_place *place, uint64_t *ret_bytes)
{
	size_t i = 0;
	while (i < logs->count && strcmp(logs->files[i].name, place->file) != 0)
		i++;
	if (i == logs->count)
		return false;
	uint64_t size = logs->files[i].bytes, bytes = (uint32_t)size - place->position;
	/* The place may be ahead of where the log ended when the peer was asked. */
	if (size <= UINT32_MAX)
		bytes = size > place->position ? size - place->position : 0;
	for (i++; i < logs->count; i++)
		bytes += logs->files[i].bytes;
	*ret_bytes = bytes;
	return true;
}

void lag_clock_take(struct lag_clock *c, int64_t asked_us, int64_t trip_us, int64_t peer_us, int64_t now_ms)
{
	int64_t offset = peer_us - (asked_us + trip_us / 2), error = trip_us / 2;
	int64_t apart = offset > c->offset_us ? offset - c->offset_us : c->offset_us - offset;
	bool agrees = c->is_known && apart <= error + c->error_us;
	if (agrees && error > c->error_us && now_ms - c->taken_ms < CLOCK_KEPT_MS)
		return;
	*c = (struct lag_clock){.is_known = true, .offset_us = offset, .error_us = error, .taken_ms = now_ms};
}

int64_t lag_age(const struct lag_clock *c, uint32_t commit_s, int64_t now_s)
{
	int64_t there_s = now_s + (c->is_known ? c->offset_us / 1000000 : 0);
	return there_s > (int64_t)commit_s ? there_s - (int64_t)commit_s : 0;
}

void lag_pace_note(struct lag_pace *p, int64_t now_ms, uint64_t left)
{
	unsigned gone = 0;
	if (p->count > 0 && now_ms - p->ms[p->count - 1] < PACE_STEP_MS)
		return;
	while (gone < p->count && (now_ms - p->ms[gone] > LAG_PACE_MS || p->count - gone == LAG_PACE_SAMPLES))
		gone++;
	p->count -= gone;
	memmove(p->ms, p->ms + gone, p->count * sizeof *p->ms);
	memmove(p->left, p->left + gone, p->count * sizeof *p->left);
	p->ms[p->count] = now_ms;
	p->left[p->count++] = left;
}

bool lag_pace_estimate(const struct lag_pace *p, int64_t *ret_seconds)
{
	if (p->count < 2)
		return false;
	unsigned last = p->count - 1;
	int64_t seen_ms = p->ms[last] - p->ms[0];
	if (seen_ms < PACE_SEEN_MS || p->left[last] >= p->left[0])
		return false;
	double rate = (double)(p->left[0] - p->left[last]) / (double)seen_ms;
	double seconds = (double)p->left[last] / rate / 1000;
	*ret_seconds = seconds < 1e9 ? (int64_t)(seconds + 0.5) : 1000000000;
	return true;
}
