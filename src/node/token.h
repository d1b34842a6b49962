/* An invitation as one word of text: what a new node needs to find the inviter, to know it, and to be let in once.
 *
 * The text is "syncline-" and digits of base32 (RFC 4648, lower case, without padding): nothing that a shell or a
 * person would take for something else. Upper case is read as well, and white space around it is skipped. The bytes,
 * integers little-endian:
 *
 *   1   version: 1
 *   2   size of all bytes
 *   1   node id of the inviter, 1 to 64
 *   2   port, not 0
 *   4   number of the invitation
 *   8   expiry, seconds since 1970, below 2^63
 *   32  SHA-256 of the certificate of the inviter's authority
 *   16  secret
 *   1   size of the address, then the address (node/address.h)
 *   4   checksum: the first bytes of the SHA-256 of all before it
 *
 * Version, size and checksum stay where they are in every version, so that a newer one is told from a mistyped one. The
 * checksum is against mistakes only. Whether a token has expired is the inviter's decision. Plain data; a token belongs
 * to its owner, who calls token_done, which wipes it.
 */
#ifndef SYNCLINE_NODE_TOKEN_H
#define SYNCLINE_NODE_TOKEN_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "node/address.h"
#include "node/tls.h"

enum { TOKEN_SECRET_BYTES = 16 };

struct token {
	char address[ADDRESS_BYTES_MAX + 1];
	uint16_t port;
	uint32_t node_id;
	uint32_t invitation;
	int64_t expiry_s;                       /* wall clock */
	char fingerprint[TLS_FINGERPRINT_SIZE]; /* as in struct tls_authority_id */
	uint8_t secret[TOKEN_SECRET_BYTES];
};

/* Fills in a new secret. */
enum err_code token_make_secret(struct token *token, struct err *err) ERR_MUST_CHECK;
/* Replaces *ret_text, a secret: tls_wipe it. ERR_USAGE if a member is out of its range. */
enum err_code token_format(const struct token *token, struct buf *ret_text, struct err *err) ERR_MUST_CHECK;
/* Reads a text from anywhere. ERR_MALFORMED if it is no token, a part of one or a mistyped one; ERR_UNSUPPORTED if it
 * is of a newer version. */
enum err_code token_parse(const char *text, struct token *ret_token, struct err *err) ERR_MUST_CHECK;
void token_done(struct token *token); /* accepts a zeroed one */

#endif
