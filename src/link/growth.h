/* How fast this node's log grows: bytes an hour over the last day, so that a quiet night and a busy noon both count.
 *
 * What was counted is kept in
 *
 *   syncline.growth   one row an hour: when it began, the bytes written since, and up to where in which file they are
 *                     counted; never logged
 *
 * so a restart of the daemon loses nothing, and what was written while it was away counts, too. Used by one thread.
 */
#ifndef SYNCLINE_LINK_GROWTH_H
#define SYNCLINE_LINK_GROWTH_H

#include "sql/logs.h"

enum { GROWTH_HOURS = 24, GROWTH_HOUR_S = 3600, GROWTH_SECONDS_MIN = 60 };

struct growth_hour {
	int64_t since;
	uint64_t bytes;
};

struct growth {
	size_t count; /* of hours, the newest last */
	struct growth_hour hours[GROWTH_HOURS + 1];
	char file[LOGS_NAME_MAX]; /* counted up to here; "" before anything was */
	uint64_t position;
};

/* Makes the table. */
enum err_code growth_prepare(struct connection *connection, struct err *err) ERR_MUST_CHECK;
enum err_code growth_load(struct connection *connection, struct growth *ret_growth, struct err *err) ERR_MUST_CHECK;
enum err_code growth_save(struct connection *connection, const struct growth *growth, struct err *err) ERR_MUST_CHECK;
/* Counts what the files hold more than they did, before any of them goes. */
void growth_count(struct growth *growth, const struct logs *logs, int64_t now_s);
/* Bytes a second; false while too short a time was counted to tell. */
bool growth_rate(const struct growth *growth, int64_t now_s, double *ret_rate);

#endif
