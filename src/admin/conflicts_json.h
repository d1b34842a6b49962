/* GET /api/v1/conflicts: reads this node's server, over a connection of its own that is open for this alone. What it takes is bounded: in
 * time, in rows and in what each may have. Any thread.
 */
#ifndef SYNCLINE_ADMIN_CONFLICTS_JSON_H
#define SYNCLINE_ADMIN_CONFLICTS_JSON_H

#include "admin/api.h"
#include "node/settings.h"

/* ERR_CONFIG when there is no such database or conflict. */
enum err_code conflicts_json(const struct settings *settings, const struct api_conflicts *which, struct buf *json,
                             struct err *err) ERR_MUST_CHECK;

#endif
