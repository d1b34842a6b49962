/* What `syncline status` tells: docs/status.md. Any thread. */
#ifndef SYNCLINE_LINK_REPORT_H
#define SYNCLINE_LINK_REPORT_H

#include "link/link.h"

void report_status(const struct settings *settings, struct state *state, struct link *const *links, size_t link_count,
                   struct buf *to);

#endif
