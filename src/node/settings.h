/* Settings: one option file a node, in MariaDB's own syntax, read once at start.
 *
 *   [syncline]                 this node
 *   node-id = 1                its server_id, gtid_domain_id and auto_increment_offset
 *   nodes = 1,2,3              every node that replicates, this one and the peers included; without it, just these. More
 *                              where not every node is every other's peer: a ring, a star, a chain
 *   replicate-do-db = NAME     a database that is replicated; may be repeated
 *   slots = 2                  how many nodes there may be: auto_increment_increment
 *   address = HOST             where peers reach this node
 *   identity-dir = DIR         this node's keys, and what it knows its peers by
 *   state-dir = DIR            the control socket (syncline.sock) and the paused-N files are here
 *   conflict-policy = …        see settings_policy.h; may be repeated
 *   retention-bytes = 4G       how much binary log this node keeps for peers that are away; 0, as without it: no limit.
 *                              K, M, G, T: 1024 and so on
 *   retention-free-bytes = 1G  how much room is left free where the log is, 0: none. Without it 10 % of the
 *                              file system, at most 1G
 *   sync-metadata-period = 5   seconds between two writes of the guide's table sync_metadata, where there is one;
 *                              0: it is left alone
 *   engine = merge             or native: who applies the peers' changes here, syncline or MariaDB's own replication
 *   http-listen = ADDRESS:PORT where the daemon answers HTTP, beside STATE_DIR/http.sock (docs/http.md); numbers only
 *   http-token-file = PATH     what a reader from another machine has to show, and whoever changes anything
 *   log-level = info           error, warning, info or debug
 *   datadir = DIR              if set, `syncline run` starts a private MariaDB server there and stops it at its end
 *   [mariadbd]                 only with datadir: more options for that server (bind-address, port, ssl-…)
 *   [syncline-server]          how to reach this node's server: socket, host, port, user, password, ssl-…
 *   [syncline-peer-2]          how to reach the server of node 2; one group a peer
 *
 * The connection groups hold Connector/C's own options and are read by Connector/C itself (MYSQL_READ_DEFAULT_FILE and
 * _GROUP), so a password never passes through our code; here they are only checked for unknown names. As in MariaDB,
 * - and _ in a name are the same, # and ; start a comment, and a value may be quoted.
 * The one exception: MariaDB's own replication has to be told the options of a peer, the password too, so for engine =
 * native settings_connection_load reads them, when they are needed.
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
#include "node/listen.h"
#include "node/settings_policy.h"

enum { NODE_ID_MAX = 64, PEERS_MAX = 63 };

#define SETTINGS_FREE_BYTES_DEFAULT UINT64_MAX /* what it is depends on the file system */
/* Who reads the peers' logs and applies them here: our links, or MariaDB's own replication, which we set up and watch. */
enum settings_engine { ENGINE_MERGE, ENGINE_NATIVE };

struct settings_peer {
	uint32_t node_id;
	char *group; /* "syncline-peer-2" */
	char *where; /* for messages: the socket's path or host:port */
};

struct settings {
	char *file; /* the option file, absolute */
	uint32_t node_id;
	size_t node_count;
	uint32_t nodes[NODE_ID_MAX]; /* of all nodes that replicate, ascending */
	size_t database_count;
	char **databases;
	size_t policy_count;
	struct settings_policy *policies;
	uint32_t slots;     /* how many nodes there may be; 0: not said */
	char *address;      /* where peers reach this node; NULL: not said */
	char *identity_dir; /* this node's keys and its peers' authorities (node/identity.h), absolute; NULL: none */
	char *state_dir;    /* absolute */
	char *datadir;      /* NULL: the server is there already */
	enum log_level log_level;
	uint64_t retention_bytes;      /* 0: no limit */
	uint64_t retention_free_bytes; /* or SETTINGS_FREE_BYTES_DEFAULT */
	uint32_t sync_metadata_period_s;
	enum settings_engine engine; /* what the daemon starts with */
	struct listen_place http_listen;
	char *http_token_file; /* absolute; NULL: none */
	char *server_group;    /* "syncline-server" */
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

const char *settings_engine_name(enum settings_engine engine);
bool settings_engine_parse(const char *name, enum settings_engine *ret_engine);
/* Whether this engine can do with these peers: native wants hosts, and a link to every node. */
enum err_code settings_check_engine(const struct settings *settings, enum settings_engine engine, struct err *err)
    ERR_MUST_CHECK;

/* The options of a peer's group that CHANGE MASTER can carry; NULL where there is none. Owned by the caller. */
struct settings_connection {
	char *host, *user, *password;
	unsigned port;
	char *ssl_ca, *ssl_capath, *ssl_cert, *ssl_key, *ssl_crl, *ssl_crlpath, *ssl_cipher;
	bool ssl_verify;
};

/* Reads the file once more. ERR_CONFIG when an option is there that MariaDB's own replication has no word for. */
enum err_code settings_connection_load(const struct settings *settings, const struct settings_peer *peer,
                                       struct settings_connection *ret_connection, struct err *err) ERR_MUST_CHECK;
/* Overwrites the password; accepts a zeroed one. */
void settings_connection_free(struct settings_connection *connection);

#endif
