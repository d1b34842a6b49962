/* In what steps a server gives out generated ids: how many nodes there may be. */
#ifndef SYNCLINE_NODE_SLOTS_H
#define SYNCLINE_NODE_SLOTS_H

#include <stdbool.h>

#include "sql/connection.h"

/* The narrowest in use: a session keeps the step that it began with (a session variable), so while `syncline slots` waits for such sessions the
 * old number counts, which it notes in syncline.steps. Works with a peer's account, too. */
enum err_code slots_of_server(struct connection *connection, unsigned *ret, struct err *err) ERR_MUST_CHECK;
/* How many there have to be for a node of this number where there are `now`: a multiple, so that as long as not every
 * node has them no two give out one id. */
unsigned slots_enough(unsigned now, unsigned node);
/* Whether two nodes could give out one id, each with its step. */
bool slots_collide(unsigned node, unsigned step, unsigned other, unsigned other_step);

#endif
