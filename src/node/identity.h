/* A node's lasting identity: the files of a folder that is its own, such as /etc/mysql/syncline.
 *
 *   authority.pem, authority.key   the node's authority (node/tls.h); made once, and what its peers know the node by
 *   node.pem, node.key             its certificate CN=syncline-N, with the authority's after it: for server and client
 *   peer-N.pem                     the authority of node N, pinned
 *   bundle.pem                     our authority and all pinned ones
 *
 * The certificate names the node's addresses. When they change, identity_reissue makes another one with the same key
 * and authority: no peer has to do anything. Our server gets
 *
 *   ssl_cert = node.pem, ssl_key = node.key, ssl_ca = bundle.pem            FLUSH SSL after a change, no restart
 *
 * and takes node N for node N by its account, whose REQUIRE clause identity_append_require writes:
 *
 *   REQUIRE ISSUER '/CN=syncline-N-HASH' AND SUBJECT '/CN=syncline-N'       HASH as in node/tls.h
 *
 * ISSUER is what counts. The server trusts every authority of the bundle and compares ISSUER and SUBJECT as text only
 * (MariaDB 10.11, sql/sql_acl.cc, acl_check_ssl), so SUBJECT alone would let each peer issue itself another's
 * certificate; HASH, which goes with the key, leaves ISSUER to one. An account must not do without it.
 *
 * To reach node N, ssl-ca is peer-N.pem and never the bundle: with that, any peer could stand in for N's server.
 *
 * Keys have mode 0600, node.key 0640 since the server may read it by the group, the rest 0644. Files made later get the
 * owner of authority.pem when root makes them, so that the server, another user, can still read them. Each change is made
 * under a lock on the folder, so any process and thread may call everything here at any time; each file is the old one or
 * the new one, never a part. An identity is there when authority.key is: it is put last.
 */
#ifndef SYNCLINE_NODE_IDENTITY_H
#define SYNCLINE_NODE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "node/files.h"
#include "node/tls.h"

enum identity_file {
	IDENTITY_AUTHORITY,
	IDENTITY_AUTHORITY_KEY,
	IDENTITY_NODE,
	IDENTITY_NODE_KEY,
	IDENTITY_BUNDLE,
};

/* Paths; heap. */
char *identity_path(const char *dir, enum identity_file file);
char *identity_peer_path(const char *dir, uint32_t peer);

bool identity_exists(const char *dir);
/* Makes all files, and the folder if it isn't there. Overwrites nothing: ERR_USAGE if one of the files is there, unless
 * they are what a make that was killed left behind. `owner` gets the folder, if we make it, and the files; NULL:
 * whoever calls. The addresses are as in node/address.h, up to TLS_ADDRESSES_MAX. */
enum err_code identity_make(const char *dir, uint32_t node_id, const char *const *addresses, size_t address_count,
                            const struct files_owner *owner, struct err *err) ERR_MUST_CHECK;
/* node.pem for these addresses instead of the earlier ones; FLUSH SSL makes the server use it. */
enum err_code identity_reissue(const char *dir, const char *const *addresses, size_t address_count, struct err *err)
    ERR_MUST_CHECK;
/* The node's authority: who it is, and what its peers pin. Each ret_ may be NULL; *ret_pem is replaced. */
enum err_code identity_authority(const char *dir, struct tls_authority_id *ret_id, struct buf *ret_pem, struct err *err)
    ERR_MUST_CHECK;

/* Pins the authority of a peer, PEM from anywhere (see tls_authority_check), and makes the bundle anew. The same one
 * again is fine; another one for the same peer is ERR_CONFLICT until identity_unpin. */
enum err_code identity_pin(const char *dir, uint32_t peer, const void *pem, size_t size, struct err *err)
    ERR_MUST_CHECK;
/* A peer that isn't pinned is fine. The server goes on with what it knows until FLUSH SSL, and with the connections it
 * has. */
enum err_code identity_unpin(const char *dir, uint32_t peer, struct err *err) ERR_MUST_CHECK;
/* A pinned authority. ERR_USAGE if this peer isn't pinned. Each ret_ may be NULL. */
enum err_code identity_peer(const char *dir, uint32_t peer, struct tls_authority_id *ret_id, struct buf *ret_pem,
                            struct err *err) ERR_MUST_CHECK;
/* Makes bundle.pem anew out of what is pinned, as pin and unpin do. */
enum err_code identity_bundle(const char *dir, struct err *err) ERR_MUST_CHECK;

/* Appends " REQUIRE ISSUER … AND SUBJECT …" for the account of the peer that has this authority. */
void identity_append_require(struct buf *sql, const struct tls_authority_id *peer);

#endif
