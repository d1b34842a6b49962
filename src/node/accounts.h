/* The accounts that replication needs on a server, each with nothing but what it is for. Pure: SQL text.
 *
 *   syncline@localhost     this node's daemon: by the socket, no password. The system's user of that name may use it and nobody else
 *                          (MariaDB plugin/auth_socket: the names are compared)
 *   syncline-N@%           node N's daemon: TLS with a certificate that node N's own authority signed, no password. It reads this
 *                          server's log, where it ends, what syncline notes of its links, and the replicated databases. It may
 *                          ask for what node/requests.h lists
 *   syncline-join-I@%      who has the token of invitation I: TLS, its one-time secret, and one procedure
 *
 * Privileges: MariaDB 10.11's manual, GRANT. None of it is logged: accounts are each server's own.
 */
#ifndef SYNCLINE_NODE_ACCOUNTS_H
#define SYNCLINE_NODE_ACCOUNTS_H

#include <stdint.h>

#include "base/buf.h"
#include "node/tls.h"

/* Each appends statements, separated by ;. Names that exist are made anew. */
void accounts_append_local(struct buf *sql, const char *user, size_t database_count, const char *const *databases);
/* What engine = native takes besides: to set up MariaDB's own replication, to see how it is, and RESET SLAVE. Or
 * takes it away again. */
void accounts_append_native(struct buf *sql, const char *user, bool is_native);
void accounts_append_peer(struct buf *sql, const struct tls_authority_id *peer);

#endif
