/* Certificates for nodes that know each other: one authority that signs each node's certificate.
 *
 * The authority's key lives in memory only and is gone with tls_authority_free, so nobody can add a node later by finding
 * a file. Elliptic keys (P-256): quick to make on a small board. Valid from 2000 on, because a board without a clock may
 * think that it is any time; to 2049.
 */
#ifndef SYNCLINE_NODE_TLS_H
#define SYNCLINE_NODE_TLS_H

#include "base/err.h"

struct tls_authority;

enum err_code tls_authority_new(const char *common_name, struct tls_authority **ret_authority, struct err *err)
    ERR_MUST_CHECK;
void tls_authority_free(struct tls_authority *authority); /* accepts NULL */
/* The authority's certificate, for ssl-ca. Like all files here it is made with mode 0600 and must not be there yet. */
enum err_code tls_authority_write(const struct tls_authority *authority, const char *path, struct err *err)
    ERR_MUST_CHECK;
/* A new key and its certificate, for a server at `address` (an IP address) and for a client. */
enum err_code tls_authority_issue(const struct tls_authority *authority, const char *common_name, const char *address,
                                  const char *cert_path, const char *key_path, struct err *err) ERR_MUST_CHECK;

#endif
