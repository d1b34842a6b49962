/* The daemon's control socket: STATE_DIR/syncline.sock, a UNIX stream socket that only its owner may use.
 *
 * A client sends one line and reads to the end of the stream:
 *   status          -> one JSON document (docs/status.md)
 *   wake            -> ok; the daemon looks at its paused-N files and its stopped links again at once
 *   skip GTID       -> ok; the transaction that a link is stopped at is passed over, or error: why not
 *   engine NAME     -> ok; the daemon goes over to the engine `merge` or `native`, and the status tells when it has; or
 *                      error: why not
 *   stop            -> ok; the daemon ends
 *   invited         -> ok; the daemon looks for invitations
 *   verified        -> ok; the daemon reads how the last `syncline verify` came out
 *   run             -> PID.NUMBER of this run of the daemon, which a reload ends, and ready, starting or stands by
 *   reload          -> ok; the daemon starts anew with the settings as they are now
 * Pausing is a file, so that it outlives the daemon: while STATE_DIR/paused-2 exists, the link from node 2 stays down. While
 * STATE_DIR/standby exists, the daemon does nothing at all but answer here: a command has this node's server for itself.
 */
#ifndef SYNCLINE_ADMIN_CONTROL_H
#define SYNCLINE_ADMIN_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Client side. ERR_DISCONNECTED when no daemon listens. Appends the answer to *ret. */
enum err_code control_call(const char *state_dir, const char *command, int timeout_ms, struct buf *ret, struct err *err)
    ERR_MUST_CHECK;

enum err_code control_pause(const char *state_dir, uint32_t peer, struct err *err) ERR_MUST_CHECK;
enum err_code control_resume(const char *state_dir, uint32_t peer, struct err *err) ERR_MUST_CHECK;
bool control_is_paused(const char *state_dir, uint32_t peer);
/* The path of STATE_DIR/standby, whose content is its maker's. Heap. */
char *control_standby_path(const char *state_dir);
bool control_is_standing_by(const char *state_dir);

/* Server side: one thread of its own, owned by the control server. `answer` is called on that thread and appends to
 * *ret; it must be thread-safe. */
struct control_server;
typedef void control_answer(void *context, const char *command, struct buf *ret);
enum err_code control_server_start(const char *state_dir, control_answer *answer, void *context,
                                   struct control_server **ret_server, struct err *err) ERR_MUST_CHECK;
void control_server_stop(struct control_server *server); /* accepts NULL; frees it */

#endif
