/* Lag and throughput of the links over the last hour, for plots: a sample each SAMPLES_INTERVAL_S seconds, in memory. Not thread-safe.
 * Times are the monotonic clock's: these boards' wall clocks jump.
 */
#ifndef SYNCLINE_ADMIN_SAMPLES_H
#define SYNCLINE_ADMIN_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { SAMPLES_MAX = 360, SAMPLES_INTERVAL_S = 10 };

struct samples;

struct samples *samples_new(void);
void samples_free(struct samples *samples); /* accepts NULL */
/* What the status (docs/status.md) tells now. The oldest goes when there are SAMPLES_MAX. False, and nothing is added, as long as
 * there never was a link: a daemon that starts has none for a moment. */
bool samples_add(struct samples *samples, int64_t now_s, const char *status);
/* Appends GET /api/v1/history's document (docs/http.md), with what was taken after `since`. */
void samples_format(const struct samples *samples, int64_t now_s, int64_t since, struct buf *json);

#endif
