/* What `syncline status` tells: docs/status.md. Pure, so any thread. */
#ifndef SYNCLINE_LINK_REPORT_H
#define SYNCLINE_LINK_REPORT_H

#include "link/link.h"
#include "link/retention.h"
#include "verify/last.h"

struct report {
	const struct settings *settings;
	enum settings_engine engine; /* that runs, or is being gone over to */
	const char *engine_why;      /* why it isn't the one that was asked for; "": it is */
	bool is_switching;
	const struct state_view *server;
	const struct retention_view *logs; /* zeroed where nobody looks at them */
	const struct verified *verified;
	size_t link_count;
	const struct link_view *links;
};

void report_status(const struct report *report, struct buf *to);

#endif
