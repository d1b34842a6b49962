#include "node/token.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cursor.h"
#include "node/settings.h"

static const char prefix[] = "syncline-", digits[] = "abcdefghijklmnopqrstuvwxyz234567", blank[] = " \t\r\n";

enum {
	VERSION = 1,
	PREFIX_SIZE = sizeof prefix - 1,
	FINGERPRINT_BYTES = (TLS_FINGERPRINT_SIZE - 1) / 2,
	CHECKSUM_BYTES = 4,
	HEAD_BYTES = 3,   /* version, size */
	BYTES_MAX = 1024, /* of any version */
	DIGITS_MAX = (BYTES_MAX * 8 + 4) / 5,
};

static const char mend[] = "copy the whole line that syncline invite printed";

/* Bytes */

static bool checksum(const uint8_t *bytes, size_t size, uint8_t sum[CHECKSUM_BYTES])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	if (EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	memcpy(sum, digest, CHECKSUM_BYTES);
	return true;
}

static void append_base32(struct buf *to, const uint8_t *bytes, size_t size)
{
	uint32_t held = 0;
	unsigned bits = 0;
	for (size_t i = 0; i < size; i++) {
		held = (held << 8 | bytes[i]) & 0xfff;
		for (bits += 8; bits >= 5; bits -= 5)
			buf_append_u8(to, (uint8_t)digits[held >> (bits - 5) & 31]);
	}
	if (bits > 0)
		buf_append_u8(to, (uint8_t)digits[held << (5 - bits) & 31]);
}

/* False if one of the characters is no digit. Bits that are left over go to *ret_rest, which is 0 in a whole text. */
static bool read_base32(const char *text, size_t size, struct buf *to, uint32_t *ret_rest)
{
	uint32_t held = 0;
	unsigned bits = 0;
	for (size_t i = 0; i < size; i++) {
		char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
		const char *digit = memchr(digits, c, sizeof digits - 1);
		if (digit == NULL)
			return false;
		held = (held << 5 | (uint32_t)(digit - digits)) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			buf_append_u8(to, (uint8_t)(held >> bits));
		}
	}
	/* Five bits or more are a digit too many. */
	*ret_rest = bits >= 5 ? 1 : held & ((1u << bits) - 1);
	return true;
}

static bool read_hex(const char *text, uint8_t *to, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	if (strnlen(text, 2 * size + 1) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		const char *high = memchr(hex, text[2 * i], 16), *low = memchr(hex, text[2 * i + 1], 16);
		if (high == NULL || low == NULL)
			return false;
		to[i] = (uint8_t)((high - hex) << 4 | (low - hex));
	}
	return true;
}

/* Writing */

enum err_code token_make_secret(struct token *token, struct err *err)
{
	if (RAND_bytes(token->secret, sizeof token->secret) != 1)
		return err_set(err, ERR_IO, "can't make a secret: OpenSSL has no random numbers; check /etc/ssl/openssl.cnf");
	return ERR_OK;
}

enum err_code token_format(const struct token *t, struct buf *ret_text, struct err *err)
{
	uint8_t fingerprint[FINGERPRINT_BYTES], sum[CHECKSUM_BYTES];
	size_t address_size = strnlen(t->address, sizeof t->address);
	struct buf bytes = {0}, text = {0};
	if (address_size == sizeof t->address || address_kind(t->address) == ADDRESS_NONE)
		return err_set(err, ERR_USAGE, "'%.60s' is no address; give an IP address or a DNS name", t->address);
	if (t->port == 0 || t->node_id < 1 || t->node_id > NODE_ID_MAX || t->expiry_s < 0 ||
	    !read_hex(t->fingerprint, fingerprint, sizeof fingerprint))
		return err_set(err, ERR_USAGE,
		               "an invitation needs a port, a node id from 1 to %d, an expiry and a fingerprint", NODE_ID_MAX);
	buf_reserve(&bytes, BYTES_MAX); /* at once: growing would leave copies of the secret behind */
	buf_reserve(&text, PREFIX_SIZE + DIGITS_MAX + 1);
	buf_append_u8(&bytes, VERSION);
	buf_append_u16(&bytes, (uint16_t)(HEAD_BYTES + 1 + 2 + 4 + 8 + FINGERPRINT_BYTES + TOKEN_SECRET_BYTES + 1 +
	                                  address_size + CHECKSUM_BYTES));
	buf_append_u8(&bytes, (uint8_t)t->node_id);
	buf_append_u16(&bytes, t->port);
	buf_append_u32(&bytes, t->invitation);
	buf_append_u64(&bytes, (uint64_t)t->expiry_s);
	buf_append(&bytes, fingerprint, sizeof fingerprint);
	buf_append(&bytes, t->secret, sizeof t->secret);
	buf_append_u8(&bytes, (uint8_t)address_size);
	buf_append(&bytes, t->address, address_size);
	bool summed = checksum(bytes.data, bytes.size, sum);
	buf_append(&bytes, sum, sizeof sum);
	buf_append_str(&text, prefix);
	append_base32(&text, bytes.data, bytes.size);
	tls_wipe(&bytes);
	if (!summed) {
		tls_wipe(&text);
		return err_set(err, ERR_IO, "can't make a checksum: OpenSSL has no SHA-256; check /etc/ssl/openssl.cnf");
	}
	tls_wipe(ret_text);
	*ret_text = text;
	return ERR_OK;
}

/* Reading */

/* Whether the bytes are those that were written. A cut is told first: its checksum is wrong, too. */
static enum err_code check_bytes(const struct buf *bytes, uint32_t rest, struct err *err)
{
	struct cursor c = cursor_of(bytes->data, bytes->size);
	uint8_t sum[CHECKSUM_BYTES], version = cursor_u8(&c);
	size_t size = cursor_u16(&c);
	if (!cursor_ok(&c) || bytes->size < size)
		return err_set(err, ERR_MALFORMED, "the token is cut off; %s", mend);
	size_t summed = size < HEAD_BYTES + CHECKSUM_BYTES ? 0 : size - CHECKSUM_BYTES;
	cursor_skip(&c, summed > 0 ? summed - HEAD_BYTES : 0);
	const uint8_t *there = cursor_bytes(&c, CHECKSUM_BYTES);
	if (summed == 0 || !cursor_done(&c) || rest != 0 || !checksum(bytes->data, summed, sum) ||
	    memcmp(sum, there, CHECKSUM_BYTES) != 0)
		return err_set(err, ERR_MALFORMED, "the token is mistyped: its checksum is wrong; %s", mend);
	if (version > VERSION)
		return err_set(err, ERR_UNSUPPORTED,
		               "the token is of version %u and this syncline knows %d only; install the inviter's version here",
		               (unsigned)version, VERSION);
	return ERR_OK;
}

/* The bytes have the right checksum, but anybody can make one. */
static bool read_bytes(const struct buf *bytes, struct token *t)
{
	struct cursor c = cursor_of(bytes->data, bytes->size);
	bool known = cursor_u8(&c) == VERSION;
	cursor_skip(&c, 2);
	t->node_id = cursor_u8(&c);
	t->port = cursor_u16(&c);
	t->invitation = cursor_u32(&c);
	uint64_t expiry = cursor_u64(&c);
	const uint8_t *fingerprint = cursor_bytes(&c, FINGERPRINT_BYTES);
	const uint8_t *secret = cursor_bytes(&c, TOKEN_SECRET_BYTES);
	size_t address_size = cursor_u8(&c);
	const uint8_t *address = cursor_bytes(&c, address_size);
	cursor_skip(&c, CHECKSUM_BYTES);
	if (!cursor_done(&c) || !known || t->node_id < 1 || t->node_id > NODE_ID_MAX || t->port == 0 ||
	    expiry > INT64_MAX || address_size > ADDRESS_BYTES_MAX)
		return false;
	t->expiry_s = (int64_t)expiry;
	for (size_t i = 0; i < FINGERPRINT_BYTES; i++)
		snprintf(t->fingerprint + 2 * i, 3, "%02x", fingerprint[i]);
	memcpy(t->secret, secret, TOKEN_SECRET_BYTES);
	memcpy(t->address, address, address_size);
	return strlen(t->address) == address_size && address_kind(t->address) != ADDRESS_NONE;
}

enum err_code token_parse(const char *text, struct token *ret_token, struct err *err)
{
	struct token t = {0};
	struct buf bytes = {0};
	uint32_t rest = 0;
	enum err_code code = ERR_OK;
	text += strspn(text, blank);
	size_t size = strnlen(text, PREFIX_SIZE + DIGITS_MAX + 1);
	while (size > 0 && strchr(blank, text[size - 1]) != NULL)
		size--;
	if (size > PREFIX_SIZE + DIGITS_MAX || strncasecmp(text, prefix, PREFIX_SIZE) != 0)
		return err_set(err, ERR_MALFORMED, "this is no token, which starts with '%s'; %s", prefix, mend);
	buf_reserve(&bytes, BYTES_MAX);
	if (!read_base32(text + PREFIX_SIZE, size - PREFIX_SIZE, &bytes, &rest))
		code = err_set(err, ERR_MALFORMED,
		               "the token is mistyped: it has a character other than letters and 2 to 7; %s", mend);
	if (code == ERR_OK)
		code = check_bytes(&bytes, rest, err);
	if (code == ERR_OK && !read_bytes(&bytes, &t))
		code = err_set(err, ERR_MALFORMED, "the token's checksum is right, but not what it says; ask for a new one");
	if (code == ERR_OK)
		*ret_token = t;
	token_done(&t);
	tls_wipe(&bytes);
	return code;
}

void token_done(struct token *token)
{
	explicit_bzero(token, sizeof *token);
}
