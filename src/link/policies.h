/* Do two nodes resolve conflicts by the same rules? If not, they don't come out equal, and both have to say so.
 *
 * Each node publishes in its table syncline.policies, never logged, a hash of the policies of each replicated database (table '')
 * and of each table that has policies of its own; a peer reads it.
 */
#ifndef SYNCLINE_LINK_POLICIES_H
#define SYNCLINE_LINK_POLICIES_H

#include "node/settings.h"
#include "sql/connection.h"

enum err_code policies_publish(struct connection *connection, const struct settings *settings, struct err *err)
    ERR_MUST_CHECK;
/* Asks the peer's server; appends the tables and databases whose policies are others there, "shop.t, shop.u". */
enum err_code policies_compare(struct connection *peer, const struct settings *settings, struct buf *to,
                               struct err *err) ERR_MUST_CHECK;

#endif
