/* The daemon of one node: its main thread.
 *
 * supervisor_run checks this node's server, starts the tail, a link for each peer and the control socket, waits for SIGTERM,
 * SIGINT or the control command `stop`, and takes everything down in reverse order. Only the main thread receives signals.
 * The settings are borrowed and constant.
 */
#ifndef SYNCLINE_LINK_SUPERVISOR_H
#define SYNCLINE_LINK_SUPERVISOR_H

#include "base/err.h"
#include "node/settings.h"

/* Returns ERR_OK after an orderly stop; *ret_reload: because the settings are others now, it is to be run again with them. An error before the links run (a wrong server, a control socket in use) leaves
 * nothing behind. */
enum err_code supervisor_run(const struct settings *settings, bool *ret_reload, struct err *err) ERR_MUST_CHECK;

#endif
