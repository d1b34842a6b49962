/* A MariaDB server of our own: its data folder, its socket, no root needed.
 *
 * Everything is below one folder, DIR, which only its owner may enter:
 *   DIR/my.cnf, mariadb.err, mariadb.pid, install.log, and the data folder and the socket as the caller names them
 * It is started with --defaults-file=DIR/my.cnf, so nothing from /etc leaks in, and is found again by that argument.
 * The one account is root@localhost without a password; the server listens on the socket, and on TCP only when told to,
 * where that account can't be used.
 */
#ifndef SYNCLINE_NODE_PRIVATE_SERVER_H
#define SYNCLINE_NODE_PRIVATE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Plain data; the texts are borrowed. Paths are absolute. */
struct private_server {
	const char *dir;
	const char *datadir; /* in dir */
	const char *socket;
	uint32_t node_id;
	uint32_t slots;      /* auto_increment_increment: the highest node id there may be */
	const char *address; /* NULL: no TCP */
	uint16_t port;
	const char *tls_ca, *tls_cert, *tls_key; /* NULL: no TLS; with them TLS is required on TCP */
	size_t option_count;
	const char *const *options;     /* more options, "NAME=VALUE" or "NAME", which come last and so win */
	pid_t network_of;               /* see process_start; 0 for ours */
	const volatile bool *cancelled; /* waiting ends with ERR_CANCELLED when it becomes true; may be NULL */
};

/* The programs are there: mariadbd and mariadb-install-db. */
enum err_code private_server_check_installed(struct err *err) ERR_MUST_CHECK;
/* Options that say where the server is are ours; everything else is checked by the server when it starts. */
enum err_code private_server_check_option(const char *name, const char *value, struct err *err) ERR_MUST_CHECK;

/* Makes DIR (if it is not there), my.cnf, and the data folder: installed anew when `like` is NULL, else copied from the
 * data folder `like` of a server that never ran. A data folder that is there already is kept, and my.cnf is written anew. */
enum err_code private_server_create(const struct private_server *server, const char *like, struct err *err)
    ERR_MUST_CHECK;
/* Starts it unless it runs. Returns at once; several servers start side by side. */
enum err_code private_server_start(const struct private_server *server, struct err *err) ERR_MUST_CHECK;
/* Returns when the server takes connections. If it ends instead, the error is what it wrote to its log. */
enum err_code private_server_wait_ready(const struct private_server *server, int64_t timeout_ms, struct err *err)
    ERR_MUST_CHECK;
bool private_server_is_running(const struct private_server *server);
/* SIGTERM for an orderly end, SIGKILL for none. Returns when the process is gone. Not running is fine. */
enum err_code private_server_stop(const struct private_server *server, int signal, struct err *err) ERR_MUST_CHECK;

#endif
