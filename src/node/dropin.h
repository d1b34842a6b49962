/* Server options that replication stands on, as text for MariaDB's option files: those of a private server, and the drop-in that a
 * system's own server gets in /etc/mysql/mariadb.conf.d. Pure.
 */
#ifndef SYNCLINE_NODE_DROPIN_H
#define SYNCLINE_NODE_DROPIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Plain data; the texts are borrowed. */
struct dropin {
	uint32_t node_id;
	uint32_t slots;      /* auto_increment_increment: the highest node id there may be */
	const char *log_bin; /* the log's name */
	const char *address; /* where peers reach this node; local clients go on using 127.0.0.1 and the socket */
	const char *tls_ca, *tls_cert, *tls_key;
};

/* Appends option lines, without a group. */
void dropin_append_replication(struct buf *to, uint32_t node_id, uint32_t slots, const char *log_bin);
/* The line that says where the server is reached. */
void dropin_append_bind(struct buf *to, const char *address);
/* Puts a line, ended, where the option of that name stands, as we write it; false if it stands nowhere. */
bool dropin_replace(struct buf *text, const char *name, const char *line);
/* The whole file. */
void dropin_append(struct buf *to, const struct dropin *dropin);

#endif
