/* What `syncline health` makes of a status: a level, and a line as Nagios and what derives from it read it
 * (docs/health.md). Pure. */
#ifndef SYNCLINE_CLI_HEALTH_RULE_H
#define SYNCLINE_CLI_HEALTH_RULE_H

#include "cli/node_status.h"

enum health { HEALTH_OK = 0, HEALTH_WARNING = 1, HEALTH_CRITICAL = 2, HEALTH_UNKNOWN = 3 }; /* exit statuses */

/* A limit that is 0 never counts. */
struct health_limits {
	unsigned lag_warning_s, lag_critical_s;
	unsigned offline_critical_h; /* until then a peer that can't be reached is a warning */
	unsigned room_warning_h, room_critical_h;
	unsigned conflicts_warning, conflicts_critical;
	unsigned clock_warning_s;
};
#define HEALTH_LIMITS                                                                                                  \
	{                                                                                                                  \
		.lag_warning_s = 30, .lag_critical_s = 300, .offline_critical_h = 24, .room_warning_h = 24,                    \
		.room_critical_h = 2, .conflicts_warning = 1, .clock_warning_s = 60                                            \
	}

/* Appends the line, ended. */
enum health health_judge(const struct node_status *status, const struct health_limits *limits, int64_t now_s,
                         struct buf *to);
/* The line for what is known without a status: "SYNCLINE CRITICAL - ERROR: text". */
void health_append(enum health level, const char *text, struct buf *to);

#endif
