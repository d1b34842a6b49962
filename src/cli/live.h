/* Waits until a node and a peer read each other's logs and are up to date. */
#ifndef SYNCLINE_CLI_LIVE_H
#define SYNCLINE_CLI_LIVE_H

#include <stdint.h>

#include "base/err.h"
#include "sql/connection.h"

/* `server`: an administrator's connection to this node's server. Up to two minutes; what is missing then is in *err. */
enum err_code live_wait(struct connection *server, const char *state_dir, uint32_t peer, struct err *err)
    ERR_MUST_CHECK;

#endif
