/* The status (docs/status.md) as Prometheus reads it: GET /metrics. docs/http.md has the names. Pure. */
#ifndef SYNCLINE_ADMIN_METRICS_H
#define SYNCLINE_ADMIN_METRICS_H

#include "base/buf.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void metrics_format(const char *status, struct buf *to);

#endif
