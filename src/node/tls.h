/* Certificates, in memory: a node's own authority, the certificate that it signs, and the check of another's authority.
 *
 * Each node is its own authority, and its peers pin that authority's certificate. An authority of node N is named
 *
 *   CN=syncline-N-HASH     HASH: 40 hexadecimal digits, the first 20 bytes of the SHA-256 of its public key (SPKI, DER)
 *
 * and signs only certificates named CN=syncline-N. The hash is what keeps nodes apart. A server has the authorities of
 * all peers in one file and tells by the names of issuer and subject, compared as text, whose certificate it was shown.
 * So tls_authority_check takes an authority only
 *   - with the name that belongs to its key: nobody can make a second authority that bears another's name;
 *   - with pathlen 0: it can't sign an authority below itself that bears another's name, which a server would accept.
 * Then a certificate whose issuer reads CN=syncline-N-HASH was signed with the key of HASH.
 *
 * Elliptic keys (P-256): quick to make on a small board. Valid from 1970 to 9999, because a board without a clock may
 * think that it is any time. An authority is constant once made, so threads share it freely.
 */
#ifndef SYNCLINE_NODE_TLS_H
#define SYNCLINE_NODE_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	TLS_NAME_SIZE = 64,        /* with its NUL */
	TLS_FINGERPRINT_SIZE = 65, /* with its NUL */
	TLS_ADDRESSES_MAX = 16,
	TLS_PEM_BYTES_MAX = 16 * 1024,
};

struct tls_authority;

/* Who an authority is. Plain data. */
struct tls_authority_id {
	uint32_t node_id;
	char name[TLS_NAME_SIZE];               /* its common name */
	char fingerprint[TLS_FINGERPRINT_SIZE]; /* SHA-256 of the certificate, 64 lower-case hexadecimal digits */
};

/* With a new key. */
enum err_code tls_authority_new(uint32_t node_id, struct tls_authority **ret_authority, struct err *err) ERR_MUST_CHECK;
/* From the PEM texts that tls_authority_print made. */
enum err_code tls_authority_load(const struct buf *certificate, const struct buf *key,
                                 struct tls_authority **ret_authority, struct err *err) ERR_MUST_CHECK;
void tls_authority_free(struct tls_authority *authority);                               /* accepts NULL */
const struct tls_authority_id *tls_authority_id(const struct tls_authority *authority); /* borrowed until freed */
/* Appends PEM texts. The key is a secret: tls_wipe it. */
enum err_code tls_authority_print(const struct tls_authority *authority, struct buf *certificate, struct buf *key,
                                  struct err *err) ERR_MUST_CHECK;

/* Appends a new key for a node's certificate, PEM. */
enum err_code tls_key_new(struct buf *key, struct err *err) ERR_MUST_CHECK;
/* Appends a certificate for that key and after it the authority's, PEM. It is for a server at each of the addresses
 * (see node/address.h) and for a client. */
enum err_code tls_authority_issue(const struct tls_authority *authority, const struct buf *key,
                                  const char *const *addresses, size_t address_count, struct buf *chain,
                                  struct err *err) ERR_MUST_CHECK;

/* Whether these bytes, from anywhere, are exactly one certificate, and of an authority that may be pinned (see above).
 * *ret_pem is replaced by the certificate as we write it; each ret_ may be NULL. */
enum err_code tls_authority_check(const void *pem, size_t size, struct tls_authority_id *ret_id, struct buf *ret_pem,
                                  struct err *err) ERR_MUST_CHECK;
/* Frees a buffer that held a secret, and leaves nothing of it in memory. */
void tls_wipe(struct buf *secret);

#endif
