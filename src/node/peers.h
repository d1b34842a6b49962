/* What this node keeps of its peers, changed as one: their groups in the settings file and their numbers in `nodes`, their authorities,
 * their accounts. Any process may call it, with the rights to these files; the daemon has to start anew with the settings afterwards.
 */
#ifndef SYNCLINE_NODE_PEERS_H
#define SYNCLINE_NODE_PEERS_H

#include "node/settings.h"
#include "sql/connection.h"

/* Everything about this node goes: what is gone already is fine. Where there are others it still counts until they
 * agree (node/members.h): see peers_uncount. The connection is the daemon's or an administrator's. */
enum err_code peers_forget(const struct settings *settings, struct connection *connection, uint32_t node,
                           struct err *err) ERR_MUST_CHECK;
enum err_code peers_uncount(const struct settings *settings, uint32_t node, struct err *err) ERR_MUST_CHECK;
enum err_code peers_set_address(const struct settings *settings, uint32_t node, const char *address, struct err *err)
    ERR_MUST_CHECK;
const struct settings_peer *peers_find(const struct settings *settings, uint32_t node); /* NULL if it is none */

#endif
