/* Settings: one option file a node, in MariaDB's own syntax, read once at start.
 *
 *   [syncline]                 this node
 *   node-id = 1                its server_id, gtid_domain_id and auto_increment_offset
 *   replicate-do-db = NAME     a database that is replicated; may be repeated
 *   state-dir = DIR            the control socket (syncline.sock) and the paused-N files are here
 *   log-level = info           error, warning, info or debug
 *   datadir = DIR              if set, `syncline run` starts a private MariaDB server there and stops it at its end
 *   [mariadbd]                 only with datadir: more options for that server (bind-address, port, ssl-…)
 *   [syncline-server]          how to reach this node's server: socket, host, port, user, password, ssl-…
 *   [syncline-peer-2]          how to reach the server of node 2; one group a peer
 *
 * The connection groups hold Connector/C's own options and are read by Connector/C itself (MYSQL_READ_DEFAULT_FILE and
 * _GROUP), so a password never passes through our code; here they are only checked for unknown names. As in MariaDB,
 * - and _ in a name are the same, # and ; start a comment, and a value may be quoted.
 * As Connector/C reads the same lines, a comment stands on a line of its own, and what it opens itself (sockets,
 * certificates) is an absolute path; other relative paths start at the file's folder.
 * An error names the file and the line. Owned by the caller; constant after loading, so threads share it freely.
 */
#ifndef SYNCLINE_NODE_SETTINGS_H
#define SYNCLINE_NODE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

enum { NODE_ID_MAX = 64, PEERS_MAX = 63 };

struct settings_peer {
	uint32_t node_id;
	char *group; /* "syncline-peer-2" */
	char *where; /* for messages: the socket's path or host:port */
};

struct settings {
	char *file; /* the option file, absolute */
	uint32_t node_id;
	size_t database_count;
	char **databases;
	char *state_dir; /* absolute */
	char *datadir;   /* NULL: the server is there already */
	enum log_level log_level;
	char *server_group; /* "syncline-server" */
	char *server_where;
	size_t peer_count;
	struct settings_peer peers[PEERS_MAX];
	size_t server_option_count;
	char **server_options; /* [mariadbd]: "NAME=VALUE" or "NAME" */
};

enum err_code settings_load(const char *file, struct settings *ret_settings, struct err *err) ERR_MUST_CHECK;
void settings_free(struct settings *settings); /* accepts a zeroed one */
/* Appends the line NAME = "value", escaped as the server's and Connector/C's option files want it. */
void settings_append_option(struct buf *to, const char *name, const char *value);
/* Why a database of this name can't be replicated: a static text that goes on from the name; NULL if it can. */
const char *settings_database_refusal(const char *database);
bool settings_replicates(const struct settings *settings, const char *database);

#endif
