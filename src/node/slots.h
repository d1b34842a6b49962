/* In what steps a server gives out generated ids: how many nodes there may be. */
#ifndef SYNCLINE_NODE_SLOTS_H
#define SYNCLINE_NODE_SLOTS_H

#include "sql/connection.h"

/* The narrowest in use: a session keeps the step that it began with (a session variable), so while `syncline slots` waits for such sessions the
 * old number counts, which it notes in syncline.steps. Works with a peer's account, too. */
enum err_code slots_of_server(struct connection *connection, unsigned *ret, struct err *err) ERR_MUST_CHECK;

#endif
