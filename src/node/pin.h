/* Fetches the authority of a server that nothing is known of but the fingerprint, before any secret is sent to it.
 *
 * A MariaDB server sends its certificates when TLS starts, which is before the client names itself: connect, read the
 * server's greeting, ask for TLS, shake hands, hang up. The server is the one that is meant if the certificate with the
 * wanted fingerprint is among those it sent and signed the server's own, whose key it has: the handshake proves that.
 * Clocks aren't asked: one that is wrong must not keep a node out.
 *
 * The server logs such a visit as an aborted connection and, if it resolves host names, counts it towards
 * max_connect_errors (100), with which it blocks a host: do this once a join and not in a loop.
 *
 * Blocks up to the timeout, in all: whatever comes, however slowly. Any thread may call it; it keeps nothing.
 */
#ifndef SYNCLINE_NODE_PIN_H
#define SYNCLINE_NODE_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Plain data; the texts are borrowed. */
struct pin_target {
	const char *address; /* IP address or DNS name */
	uint16_t port;
	const char *fingerprint; /* of the authority, as in struct tls_authority_id */
	int64_t timeout_ms;
	const volatile bool *cancelled; /* ends it with ERR_CANCELLED when it becomes true; may be NULL */
};

/* Replaces *ret_pem by the authority's certificate, checked as in tls_authority_check. Otherwise
 *   ERR_CONFLICT      the server has another authority: it is not the one that is meant, or somebody is in between
 *   ERR_DISCONNECTED  no connection, or it ended too early      ERR_TIMEOUT      too slow
 *   ERR_SERVER        the server refused, with its errno        ERR_UNSUPPORTED  it has no TLS
 *   ERR_MALFORMED     something else than a MariaDB server answers, or its TLS fails
 *   ERR_CONFIG        the address has no IP address
 */
enum err_code pin_fetch(const struct pin_target *target, struct buf *ret_pem, struct err *err) ERR_MUST_CHECK;

#endif
