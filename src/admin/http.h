/* The daemon's HTTP server (docs/http.md), on libmicrohttpd: STATE_DIR/http.sock, mode 0600, always; http-listen where it is set.
 *
 * Threads of its own: one for each of the two doors, in which requests are answered one after the other, and one that takes the samples for
 * the plots, ends connections whose time is up and opens a door that couldn't be opened before: an address may come after the daemon.
 * Nothing of the daemon waits for any of them. What can't be opened is logged, and replication goes on without it.
 * Connections, what each may send, and how long it may take are bounded. Each connection is for one request.
 */
#ifndef SYNCLINE_ADMIN_HTTP_H
#define SYNCLINE_ADMIN_HTTP_H

#include "admin/control.h"
#include "node/settings.h"

struct http_server;

/* `answer` as the control socket's: asked `status` and `wake`, from any thread. The control server must be there already, since its
 * lock makes the state folder this daemon's. Settings are borrowed. */
enum err_code http_server_start(const struct settings *settings, control_answer *answer, void *context,
                                struct http_server **ret_server, struct err *err) ERR_MUST_CHECK;
void http_server_stop(struct http_server *server); /* accepts NULL; frees it */

#endif
