#include "node/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "node/greeting.h"
#include "node/lookup.h"
#include "node/tls.h"

enum {
	POLL_MS = 50, /* how soon a cancel is seen */
	PACKET_HEAD_BYTES = 4,
	PACKET_BYTES_MAX = 4096,
	HANDSHAKE_BYTES_MAX = 256 * 1024,
	SSL_REQUEST_BYTES = 32,
	CHARSET_UTF8MB4 = 45,
	/* Capabilities: https://mariadb.com/kb/en/connection/#capabilities */
	CLIENT_PROTOCOL_41 = 1 << 9,
	CLIENT_SECURE_CONNECTION = 1 << 15,
	CLIENT_PLUGIN_AUTH = 1 << 19,
};

struct visit {
	const struct pin_target *target;
	char *where; /* "ADDRESS:PORT" */
	int fd;
	int64_t deadline_ms;
	size_t received; /* in the TLS handshake */
	struct err *err;
};

/* Puts the place before the message. */
static enum err_code at(const struct visit *v, enum err_code code)
{
	if (code != ERR_OK)
		err_wrap(v->err, "%s", v->where);
	return code;
}

/* Waiting */

/* How long one wait may be. ERR_TIMEOUT, without a message, if `until_ms` has passed. */
static enum err_code check_time(const struct visit *v, int64_t until_ms, int *ret_ms)
{
	int64_t left = until_ms - clock_monotonic_ms();
	if (v->target->cancelled != NULL && *v->target->cancelled)
		return err_set(v->err, ERR_CANCELLED, "%s: interrupted", v->where);
	*ret_ms = (int)(left < POLL_MS ? left : POLL_MS);
	return left > 0 ? ERR_OK : ERR_TIMEOUT;
}

static enum err_code timed_out(const struct visit *v, const char *what)
{
	return err_set(
	    v->err, ERR_TIMEOUT,
	    "%s: waited %lld ms for %s; check that a MariaDB server listens there and that no firewall is in between",
	    v->where, (long long)v->target->timeout_ms, what);
}

/* ERR_TIMEOUT without a message. */
static enum err_code wait_until(const struct visit *v, short events, int64_t until_ms)
{
	struct pollfd poller = {.fd = v->fd, .events = events};
	enum err_code code;
	int ms = 0;
	while ((code = check_time(v, until_ms, &ms)) == ERR_OK && poll(&poller, 1, ms) <= 0)
		;
	return code;
}

static enum err_code wait_ready(const struct visit *v, short events, const char *what)
{
	enum err_code code = wait_until(v, events, v->deadline_ms);
	return code == ERR_TIMEOUT ? timed_out(v, what) : code;
}

/* Connecting */

static enum err_code connect_one(struct visit *v, const struct addrinfo *to, int64_t until_ms, int *ret_errno)
{
	int failure = 0;
	socklen_t size = sizeof failure;
	enum err_code code = ERR_OK;
	v->fd = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
	if (v->fd >= 0 && connect(v->fd, to->ai_addr, to->ai_addrlen) == 0)
		return ERR_OK;
	failure = errno;
	if (v->fd >= 0 && failure == EINPROGRESS) {
		code = wait_until(v, POLLOUT, until_ms);
		if (code == ERR_OK && getsockopt(v->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0)
			failure = errno;
	}
	if (code == ERR_OK && failure == 0)
		return ERR_OK;
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	*ret_errno = failure;
	return code == ERR_OK ? ERR_DISCONNECTED : code;
}

/* Tries one address after the other; each gets a fair part of the time that is left. */
static enum err_code connect_any(struct visit *v)
{
	struct addrinfo *found = NULL;
	int count = 0, failure = 0;
	enum err_code code = at(
	    v, lookup_address(v->target->address, v->target->port, v->deadline_ms, v->target->cancelled, &found, v->err));
	if (code != ERR_OK)
		return code;
	for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
		count++;
	code = ERR_DISCONNECTED;
	for (const struct addrinfo *a = found; a != NULL && code != ERR_OK && code != ERR_CANCELLED; a = a->ai_next) {
		int64_t now = clock_monotonic_ms();
		code = connect_one(v, a, now + (v->deadline_ms - now) / count--, &failure);
	}
	freeaddrinfo(found);
	if (code == ERR_DISCONNECTED)
		err_set(v->err, code, "%s: can't connect: %s; check that the server runs, and its port and bind_address",
		        v->where, strerror(failure));
	else if (code == ERR_TIMEOUT)
		timed_out(v, "a connection");
	return code;
}

/* Bytes */

static enum err_code lost(const struct visit *v, const char *what, int failure)
{
	return err_set(v->err, ERR_DISCONNECTED,
	               "%s: the connection ended while we waited for %s: %s; check that it is a MariaDB server, and what "
	               "its error log says",
	               v->where, what, failure ? strerror(failure) : "the other end closed it");
}

/* Some bytes, at least one, at most `max`. */
static enum err_code receive(const struct visit *v, uint8_t *to, size_t max, const char *what, size_t *ret_size)
{
	for (;;) {
		enum err_code code = wait_ready(v, POLLIN, what);
		if (code != ERR_OK)
			return code;
		ssize_t n = recv(v->fd, to, max, 0);
		if (n > 0) {
			*ret_size = (size_t)n;
			return ERR_OK;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return lost(v, what, n == 0 ? 0 : errno);
	}
}

static enum err_code send_all(const struct visit *v, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = send(v->fd, bytes, size, MSG_NOSIGNAL);
		enum err_code code = ERR_OK;
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR)
			code = lost(v, "it to take what we send", errno);
		else
			code = wait_ready(v, POLLOUT, "it to take what we send");
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static enum err_code receive_all(const struct visit *v, uint8_t *to, size_t size, const char *what)
{
	enum err_code code = ERR_OK;
	for (size_t got = 0, n; got < size && code == ERR_OK; got += n) {
		n = 0;
		code = receive(v, to + got, size - got, what, &n);
	}
	return code;
}

/* MariaDB's part */

static enum err_code read_greeting(const struct visit *v)
{
	static const char what[] = "its greeting";
	uint8_t head[PACKET_HEAD_BYTES], packet[PACKET_BYTES_MAX];
	enum err_code code = receive_all(v, head, sizeof head, what);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(head, sizeof head);
	size_t size = cursor_u24(&c);
	if (cursor_u8(&c) != 0 || size == 0 || size > sizeof packet)
		return at(v, greeting_not_mariadb("its first bytes are no packet", v->err));
	code = receive_all(v, packet, size, what);
	return code == ERR_OK ? at(v, greeting_check(packet, size, v->err)) : code;
}

/* https://mariadb.com/kb/en/connection/#sslrequest-packet: the packet's head (3 size, 1 number), then
 *   4 capabilities, 4 max packet, 1 character set, 19 reserved, 4 MariaDB's capabilities */
static enum err_code ask_for_tls(const struct visit *v)
{
	struct buf packet = {0};
	buf_append_u32(&packet, SSL_REQUEST_BYTES | 1u << 24);
	buf_append_u32(&packet, GREETING_CLIENT_SSL | CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH);
	buf_append_u32(&packet, 1u << 24);
	buf_append_u8(&packet, CHARSET_UTF8MB4);
	while (packet.size < PACKET_HEAD_BYTES + SSL_REQUEST_BYTES)
		buf_append_u8(&packet, 0);
	enum err_code code = send_all(v, packet.data, packet.size);
	buf_free(&packet);
	return code;
}

/* TLS */

static enum err_code tls_failed(const struct visit *v)
{
	unsigned long reason = ERR_peek_error();
	const char *text = reason != 0 ? ERR_reason_error_string(reason) : NULL;
	ERR_clear_error();
	return err_set(v->err, ERR_MALFORMED,
	               "%s: TLS doesn't start: %s; check the server's ssl_cert, ssl_key and tls_version, and its error log",
	               v->where, text ? text : "no reason given");
}

/* Through memory, not the socket: OpenSSL's own writes would raise SIGPIPE. */
static enum err_code send_pending(const struct visit *v, BIO *out)
{
	char *bytes;
	long size = BIO_get_mem_data(out, &bytes);
	enum err_code code = size > 0 ? send_all(v, (const uint8_t *)bytes, (size_t)size) : ERR_OK;
	(void)BIO_reset(out);
	return code;
}

static enum err_code shake_hands(struct visit *v, SSL *ssl, BIO *in, BIO *out)
{
	for (;;) {
		uint8_t bytes[4096];
		size_t size = 0;
		int done = SSL_connect(ssl), want = SSL_get_error(ssl, done);
		if (done != 1 && want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
			return tls_failed(v);
		enum err_code code = send_pending(v, out);
		if (code != ERR_OK || done == 1)
			return code;
		code = receive(v, bytes, sizeof bytes, "the start of TLS", &size);
		if (code != ERR_OK)
			return code;
		v->received += size;
		if (v->received > HANDSHAKE_BYTES_MAX)
			return at(v, greeting_not_mariadb("it sends too much for the start of TLS", v->err));
		if (BIO_write(in, bytes, (int)size) != (int)size)
			return tls_failed(v);
	}
}

/* Whether it is the wanted authority; its PEM text then goes to *ret_pem. */
static bool is_wanted(const struct visit *v, X509 *x, struct buf *ret_pem)
{
	struct tls_authority_id id;
	char *text;
	BIO *bio = BIO_new(BIO_s_mem());
	long size = bio != NULL && PEM_write_bio_X509(bio, x) == 1 ? BIO_get_mem_data(bio, &text) : 0;
	bool wanted = size > 0 && tls_authority_check(text, (size_t)size, &id, ret_pem, NULL) == ERR_OK &&
	              strcmp(id.fingerprint, v->target->fingerprint) == 0;
	BIO_free(bio);
	return wanted;
}

/* Whether the leaf is the authority's own work. */
static bool is_signed_by(X509 *leaf, X509 *authority)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	bool verified = store != NULL && context != NULL && X509_STORE_add_cert(store, authority) == 1 &&
	                X509_STORE_CTX_init(context, store, leaf, NULL) == 1 &&
	                X509_STORE_CTX_set_default(context, "ssl_server") == 1;
	if (verified) {
		X509_STORE_CTX_set_flags(context, X509_V_FLAG_NO_CHECK_TIME);
		verified = X509_verify_cert(context) == 1;
	}
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	ERR_clear_error();
	return verified;
}

static enum err_code take_authority(const struct visit *v, SSL *ssl, struct buf *ret_pem)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	X509 *leaf = SSL_get0_peer_certificate(ssl), *authority = NULL;
	struct buf pem = {0};
	for (int i = 0; chain != NULL && i < sk_X509_num(chain) && authority == NULL; i++)
		if (is_wanted(v, sk_X509_value(chain, i), &pem))
			authority = sk_X509_value(chain, i);
	if (leaf == NULL || authority == NULL || !is_signed_by(leaf, authority)) {
		buf_free(&pem);
		return err_set(v->err, ERR_CONFLICT,
		               "%s: this is not the server that made the token, or somebody is in between: its certificate %s; "
		               "check the address, or ask for a new token",
		               v->where, authority == NULL ? "is another authority's" : "only claims to be its authority's");
	}
	buf_free(ret_pem);
	*ret_pem = pem;
	return ERR_OK;
}

static enum err_code talk_tls(struct visit *v, struct buf *ret_pem)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = context != NULL ? SSL_new(context) : NULL;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	enum err_code code;
	ERR_clear_error();
	if (ssl == NULL || in == NULL || out == NULL || SSL_set_min_proto_version(ssl, TLS1_2_VERSION) != 1) {
		BIO_free(in);
		BIO_free(out);
		code = tls_failed(v);
	} else {
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL); /* take_authority does */
		SSL_set_bio(ssl, in, out);
		BIO_set_mem_eof_return(in, -1); /* empty means "later", not the end */
		code = shake_hands(v, ssl, in, out);
		if (code == ERR_OK)
			code = take_authority(v, ssl, ret_pem);
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
	return code;
}

enum err_code pin_fetch(const struct pin_target *target, struct buf *ret_pem, struct err *err)
{
	struct visit v = {.target = target, .fd = -1, .err = err};
	v.deadline_ms = clock_monotonic_ms() + target->timeout_ms;
	v.where =
	    mem_printf(strchr(target->address, ':') != NULL ? "[%s]:%u" : "%s:%u", target->address, (unsigned)target->port);
	enum err_code code = connect_any(&v);
	if (code == ERR_OK)
		code = read_greeting(&v);
	if (code == ERR_OK)
		code = ask_for_tls(&v);
	if (code == ERR_OK)
		code = talk_tls(&v, ret_pem);
	if (v.fd >= 0)
		close(v.fd);
	free(v.where);
	return code;
}
