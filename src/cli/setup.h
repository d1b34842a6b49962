/* What `syncline init` and `syncline join` do alike: makes the MariaDB server of this machine a node. Everything, or nothing.
 *
 * setup_look looks and changes nothing; setup_confirm shows what is to be changed and asks; setup_apply does it, and undoes it when
 * something fails: the server is as it was before. What is made already by an interrupted run is kept.
 */
#ifndef SYNCLINE_CLI_SETUP_H
#define SYNCLINE_CLI_SETUP_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/command.h"
#include "node/place.h"
#include "sql/connection.h"

/* Plain data; borrowed. */
struct setup_wish {
	const char *command; /* "syncline init", for messages */
	const char *root;    /* see node/place.h */
	const char *socket;  /* of the server, where root gets in */
	const char *address; /* where peers reach this node */
	uint32_t node_id, slots;
	size_t database_count;
	const char *const *databases;
	const char *restart; /* how MariaDB is restarted, NULL: as usual here */
	const char *service; /* how the daemon is started, NULL: as usual here */
	const char *user;    /* the system's user that the daemon runs as */
	bool yes;            /* don't ask */
};

/* Rows for an option table; `wish` is a struct setup_wish. */
#define SETUP_OPTIONS(wish)                                                                                             \
	{                                                                                                                   \
	    "socket", OPTION_TEXT, &(wish).socket, "PATH", "of this machine's MariaDB (/run/mysqld/mysqld.sock)", false, 0, \
	    0},                                                                                                             \
	    {"root", OPTION_TEXT, &(wish).root, "DIR", "the system is in this folder, not in /", false, 0, 0},              \
	    {"restart", OPTION_TEXT, &(wish).restart, "COMMAND", "restarts MariaDB (systemctl restart mariadb)", false, 0,  \
	     0},                                                                                                            \
	    {"service",                                                                                                     \
	     OPTION_TEXT,                                                                                                   \
	     &(wish).service,                                                                                               \
	     "COMMAND",                                                                                                     \
	     "starts the daemon (systemctl enable --now syncline)",                                                         \
	     false,                                                                                                         \
	     0,                                                                                                             \
	     0},                                                                                                            \
	    {"user", OPTION_TEXT, &(wish).user, "NAME", "the system's user that the daemon runs as (syncline)", false, 0,   \
	     0},                                                                                                            \
	{                                                                                                                   \
		"yes", OPTION_FLAG, &(wish).yes, NULL, "don't ask", false, 0, 0                                                 \
	}

/* Puts what was given into the wish. Returns -1 if it is all right, else the exit status; then that was said. */
int setup_check_options(const char *command, struct setup_wish *wish, unsigned node, unsigned slots,
                        const struct text_list *databases);

struct setup;

struct setup *setup_new(const struct setup_wish *wish);
void setup_free(struct setup *setup); /* accepts NULL */

const struct place *setup_place(const struct setup *setup);
/* To this node's server, as root; open from setup_look on. */
struct connection *setup_connection(struct setup *setup);

enum err_code setup_look(struct setup *setup, struct err *err) ERR_MUST_CHECK;
/* ERR_CANCELLED when the answer is no, ERR_USAGE when there is nobody to ask. */
enum err_code setup_confirm(struct setup *setup, struct err *err) ERR_MUST_CHECK;
enum err_code setup_apply(struct setup *setup, struct err *err) ERR_MUST_CHECK;
/* After setup_apply, when what follows fails. */
void setup_undo(struct setup *setup, struct err *err);
/* For what is written before setup_confirm. */
enum err_code setup_make_state_dir(struct setup *setup, struct err *err) ERR_MUST_CHECK;
/* `options`: more lines of [syncline]; `groups`: behind this node's own. */
enum err_code setup_write_settings(struct setup *setup, const char *nodes, const char *options, const char *groups,
                                   struct err *err) ERR_MUST_CHECK;
/* Starts the daemon, or says how to; waits until it answers. */
enum err_code setup_start_daemon(struct setup *setup, struct err *err) ERR_MUST_CHECK;

/* What syncline doctor says of the node, for people; nothing hangs on it. */
void setup_show_doctor(const struct setup *setup);

#endif
