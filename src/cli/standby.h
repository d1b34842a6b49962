/* A node that is kept from its applications while a command works on it: its server is read_only for them, its event scheduler rests, and
 * its daemon stands by (admin/control.h). What was before is noted in the file STATE_DIR/standby, with how far the command is, so that it
 * goes on where it was killed and puts back what it found.
 */
#ifndef SYNCLINE_CLI_STANDBY_H
#define SYNCLINE_CLI_STANDBY_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/this_node.h"

/* Plain data. */
struct standby {
	char command[16]; /* whose it is: "rejoin", "leave"; "" where nothing stands by */
	unsigned stage;   /* the command's own */
	bool read_only, has_events;
	uint64_t own; /* the last seq that this node gave out before */
};

/* As noted; zeroed if there is no note. ERR_CONFIG if it is another command's. */
enum err_code standby_load(const struct this_node *node, const char *command, struct standby *ret, struct err *err)
    ERR_MUST_CHECK;
enum err_code standby_save(const struct this_node *node, const struct standby *standby, struct err *err) ERR_MUST_CHECK;
/* Notes what the server's settings are if nothing is noted, and keeps applications out. The daemon is left alone. */
enum err_code standby_begin(const struct this_node *node, const char *command, struct standby *standby, struct err *err)
    ERR_MUST_CHECK;
/* Lets them in as before, and removes the note. The daemon has to start anew. */
enum err_code standby_end(const struct this_node *node, const struct standby *standby, struct err *err) ERR_MUST_CHECK;

#endif
