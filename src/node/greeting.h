/* The first packet of a MariaDB server, from anybody: whether it is one, lets us in so far, and has TLS. Pure. */
#ifndef SYNCLINE_NODE_GREETING_H
#define SYNCLINE_NODE_GREETING_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { GREETING_CLIENT_SSL = 1 << 11 }; /* https://mariadb.com/kb/en/connection/#capabilities */

/* The packet without its head. ERR_MALFORMED: no MariaDB server; ERR_SERVER: it refuses us, with its errno, SQLSTATE
 * and message, of which only printable ASCII is kept; ERR_UNSUPPORTED: it has no TLS. */
enum err_code greeting_check(const uint8_t *packet, size_t size, struct err *err) ERR_MUST_CHECK;
/* The line for the first of them. */
enum err_code greeting_not_mariadb(const char *why, struct err *err) ERR_MUST_CHECK;

#endif
