/* What the commands that change a running node have in common: its settings, its server as root, its peers, and a question.
 *
 * One thread. Such a command is run as root on the node that it is about.
 */
#ifndef SYNCLINE_CLI_THIS_NODE_H
#define SYNCLINE_CLI_THIS_NODE_H

#include "base/err.h"
#include "node/settings.h"
#include "sql/connection.h"

struct this_node {
	const char *command; /* "syncline rejoin", for messages; borrowed */
	struct settings settings;
	struct connection *server; /* as root, open */
};

/* ERR_CONFIG if `syncline init` or `join` didn't make it. this_node_close also after an error. */
enum err_code this_node_open(struct this_node *node, const char *command, const char *file, struct err *err)
    ERR_MUST_CHECK;
void this_node_close(struct this_node *node);

/* Opens a connection by this node's account there. */
enum err_code this_node_reach(const struct this_node *node, const struct settings_peer *peer,
                              struct connection *connection, struct err *err) ERR_MUST_CHECK;
/* The first value of the last statement, on this node's server. *ret is cleared first. */
enum err_code this_node_value(const struct this_node *node, const char *sql, struct buf *ret, struct err *err)
    ERR_MUST_CHECK;
/* ERR_CONFIG where the engine is native: `what` ("syncline leave") stands on what the merge engine knows. Of this node; of
 * a peer, asked on a connection to it. */
enum err_code this_node_check_merge(const struct settings *settings, const char *what, struct err *err) ERR_MUST_CHECK;
enum err_code this_node_check_peer_merge(const struct settings_peer *peer, struct connection *connection,
                                         const char *what, struct err *err) ERR_MUST_CHECK;
/* Shows what is to be done and asks, unless `yes`. ERR_CANCELLED when the answer is no, ERR_USAGE when there is nobody to ask. */
enum err_code this_node_confirm(bool yes, const char *what, struct err *err) ERR_MUST_CHECK;
/* Lets the daemon start anew with the settings as they are; one that doesn't run finds them when it starts. Waits until it is
 * ready again, or stands by. *ret_runs may be NULL. */
enum err_code this_node_reload(const struct this_node *node, bool *ret_runs, struct err *err) ERR_MUST_CHECK;
#endif
