/* Pausing and resuming a link, for the commands of one node and of a lab. */
#ifndef SYNCLINE_CLI_HOLD_H
#define SYNCLINE_CLI_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Writes or removes the paused-N file and wakes the daemon; a daemon that does not run finds the file when it starts.
 * After a pause it returns when the daemon has let go of the peer. */
enum err_code hold_set(const char *state_dir, uint32_t peer, bool paused, struct err *err) ERR_MUST_CHECK;
/* The command: [--defaults-file=FILE] PEER. */
int hold_command(int argc, char **argv, bool paused, const char *summary);

#endif
