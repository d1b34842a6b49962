/* Whether this node is well, from its status (docs/status.md), for what asks GET /healthz. Pure. */
#ifndef SYNCLINE_ADMIN_HEALTH_H
#define SYNCLINE_ADMIN_HEALTH_H

#include <stdbool.h>

#include "base/buf.h"

/* Appends "ok", or a line for each thing that somebody has to look at. A peer that is away, or a link that is paused, is none: that is
 * a state like any other. */
bool health_format(const char *status, struct buf *to);

#endif
