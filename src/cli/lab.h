/* A lab: several nodes on this machine, each a private server and a daemon, linked in one of four shapes.
 *
 *   DIR/syncline-lab.json        what the lab is; its presence says that DIR is ours to remove
 *   DIR/node1/my.cnf, data/, mariadb.sock, mariadb.pid, mariadb.err           the server
 *   DIR/node1/syncline.cnf, syncline.log, state/                              the daemon
 *   DIR/node1/tls/ (node/identity.h), network.log                             with --network only
 *
 * Servers and daemons outlive the command that starts them, and every command finds them by their option files (see
 * node/process.h), so a lab whose `up` was killed half-way can still be taken down. Not thread-safe.
 */
#ifndef SYNCLINE_CLI_LAB_H
#define SYNCLINE_CLI_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "cli/node_status.h"
#include "sql/connection.h"

enum { LAB_NODES_MIN = 2, LAB_NODES_MAX = 9, LAB_TEXTS_MAX = 64, LAB_TIMEOUT_S = 120 };

enum lab_shape {
	LAB_MESH,  /* each node with each */
	LAB_RING,  /* each with its two neighbours */
	LAB_STAR,  /* node 1 with each */
	LAB_CHAIN, /* 1-2-3-… */
};

struct lab_node {
	uint32_t id;
	char *dir, *datadir, *socket, *settings, *log, *state_dir;
	char *tls_dir, *tls_ca, *tls_cert, *tls_key; /* the server's; for a client see identity_peer_path */
	char address[32];                            /* in a network lab */
};

struct lab {
	char *dir; /* absolute */
	unsigned node_count;
	enum lab_shape shape;
	bool network; /* each node in a network namespace of its own */
	size_t database_count, option_count;
	char *databases[LAB_TEXTS_MAX];
	char *options[LAB_TEXTS_MAX]; /* more server options */
	struct lab_node nodes[LAB_NODES_MAX];
};

/* lab_state.c: what the lab is */
enum err_code lab_init(const char *dir, unsigned node_count, struct lab *ret_lab, struct err *err) ERR_MUST_CHECK;
enum err_code lab_load(const char *dir, struct lab *ret_lab, struct err *err) ERR_MUST_CHECK;
enum err_code lab_save(const struct lab *lab, struct err *err) ERR_MUST_CHECK;
void lab_free(struct lab *lab); /* accepts a zeroed one */
enum err_code lab_find_node(const struct lab *lab, const char *number, const struct lab_node **ret_node,
                            struct err *err) ERR_MUST_CHECK;
const char *lab_shape_name(enum lab_shape shape);
bool lab_shape_parse(const char *name, enum lab_shape *ret_shape);
bool lab_is_linked(const struct lab *lab, const struct lab_node *a, const struct lab_node *b); /* false for a == b */

/* lab_node.c: one node's server and daemon */
enum err_code lab_server_create(const struct lab *lab, const struct lab_node *node, const char *like, struct err *err)
    ERR_MUST_CHECK;
enum err_code lab_server_start(const struct lab *lab, const struct lab_node *node, struct err *err) ERR_MUST_CHECK;
enum err_code lab_server_wait(const struct lab *lab, const struct lab_node *node, unsigned timeout_s, struct err *err)
    ERR_MUST_CHECK;
enum err_code lab_server_stop(const struct lab *lab, const struct lab_node *node, int signal, struct err *err)
    ERR_MUST_CHECK;
bool lab_server_is_running(const struct lab *lab, const struct lab_node *node);
enum err_code lab_daemon_configure(const struct lab *lab, const struct lab_node *node, struct err *err) ERR_MUST_CHECK;
enum err_code lab_daemon_start(const struct lab *lab, const struct lab_node *node, struct err *err) ERR_MUST_CHECK;
/* Returns when the daemon answers on its control socket; if it ends instead, the error is the last line of its log. */
enum err_code lab_daemon_wait(const struct lab_node *node, unsigned timeout_s, struct err *err) ERR_MUST_CHECK;
enum err_code lab_daemon_stop(const struct lab_node *node, int signal, struct err *err) ERR_MUST_CHECK;
bool lab_daemon_is_running(const struct lab_node *node);
enum err_code lab_connect(const struct lab_node *node, struct connection *connection, struct err *err) ERR_MUST_CHECK;

/* lab_net.c: network namespaces */
/* ERR_UNSUPPORTED when this user can't make them here. Leaves nothing behind on failure. */
enum err_code lab_net_start(const struct lab *lab, struct err *err) ERR_MUST_CHECK;
void lab_net_stop(const struct lab *lab);
pid_t lab_net_of(const struct lab *lab, const struct lab_node *node); /* 0 without a network */
enum err_code lab_net_plug(const struct lab *lab, const struct lab_node *node, bool plugged, struct err *err)
    ERR_MUST_CHECK;
/* An identity for every node, the authorities of its peers pinned, and on each server the accounts that its peers'
 * certificates open. */
enum err_code lab_net_make_certificates(const struct lab *lab, struct err *err) ERR_MUST_CHECK;
enum err_code lab_net_make_accounts(const struct lab *lab, const struct lab_node *node, struct err *err) ERR_MUST_CHECK;

/* lab_up.c, lab_down.c, lab_cut.c, lab_wait.c: what the commands of these names do, for the demo too */
struct lab_wish {
	const char *dir;
	unsigned node_count;
	enum lab_shape shape;
	bool network;
	size_t database_count, option_count;
	const char *const *databases, *const *options;
	unsigned timeout_s;
};
/* Makes and starts it all; returns when every link is live. On failure everything is stopped and removed again. */
enum err_code lab_up(const struct lab_wish *wish, struct lab *ret_lab, struct err *err) ERR_MUST_CHECK;
/* Stops everything that runs, and removes what lab_up made unless keep_data. */
enum err_code lab_down(const struct lab *lab, bool keep_data, struct err *err) ERR_MUST_CHECK;
enum err_code lab_cut(const struct lab_node *a, const struct lab_node *b, bool cut, struct err *err) ERR_MUST_CHECK;
/* Until every node has applied all that any node had committed when it was called, whatever ways it took, and no link has any of
 * it left to read; a link that is cut is waited for only if something that it would bring is missing. */
enum err_code lab_wait(const struct lab *lab, unsigned timeout_s, struct err *err) ERR_MUST_CHECK;
/* Until every link is live. */
enum err_code lab_wait_live(const struct lab *lab, unsigned timeout_s, struct err *err) ERR_MUST_CHECK;

#endif
