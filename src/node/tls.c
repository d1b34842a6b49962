#include "node/tls.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "node/address.h"
#include "node/settings.h"

/* As text, because time_t has 32 bits on armhf. The end is RFC 5280's for "never" (4.1.2.5). */
static const char valid_from[] = "19700101000000Z", valid_to[] = "99991231235959Z";

enum { NAME_HASH_BYTES = 20, RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, EC_BITS_MIN = 256 };

struct tls_authority {
	EVP_PKEY *key;
	X509 *certificate;
	struct tls_authority_id id;
};

struct extension {
	int nid;
	const char *value;
};

static enum err_code crypto_failed(const char *what, struct err *err)
{
	char text[200];
	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	ERR_clear_error();
	return err_set(err, ERR_IO, "can't make %s: OpenSSL: %s; check /etc/ssl/openssl.cnf", what, text);
}

/* Names */

static bool name_of_key(uint32_t node_id, const EVP_PKEY *key, char name[TLS_NAME_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	int size = i2d_PUBKEY(key, &der);
	bool ok = size > 0 && EVP_Digest(der, (size_t)size, digest, NULL, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	int at = snprintf(name, TLS_NAME_SIZE, "syncline-%u-", (unsigned)node_id);
	for (int i = 0; ok && i < NAME_HASH_BYTES; i++)
		at += snprintf(name + at, (size_t)(TLS_NAME_SIZE - at), "%02x", digest[i]);
	return ok;
}

static bool fingerprint_of(const X509 *x, char fingerprint[TLS_FINGERPRINT_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	if (X509_digest(x, EVP_sha256(), digest, &size) != 1)
		return false;
	for (unsigned i = 0; i < size; i++)
		snprintf(fingerprint + 2 * i, 3, "%02x", digest[i]);
	return true;
}

/* Making */

static bool add_extension(X509 *certificate, X509 *issuer, const struct extension *extension)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, &context, extension->nid, extension->value);
	bool added = made != NULL && X509_add_ext(certificate, made, -1) == 1;
	X509_EXTENSION_free(made);
	return added;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[16];
	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] = (bytes[0] & 0x7f) | 1; /* positive and never 0 */
	BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
	bool set = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
	BN_free(number);
	return set;
}

/* Signed by `authority`, or by its own key when that is NULL. */
static X509 *make_certificate(const char *common_name, EVP_PKEY *key, const struct tls_authority *authority,
                              const struct extension *extensions, size_t count)
{
	X509 *x = X509_new();
	if (x == NULL)
		return NULL;
	X509 *issuer = authority ? authority->certificate : x;
	X509_NAME *name = X509_get_subject_name(x);
	bool ok =
	    X509_set_version(x, 2) == 1 && set_serial(x) &&
	    ASN1_TIME_set_string_X509(X509_getm_notBefore(x), valid_from) == 1 &&
	    ASN1_TIME_set_string_X509(X509_getm_notAfter(x), valid_to) == 1 && X509_set_pubkey(x, key) == 1 &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1;
	for (size_t i = 0; i < count && ok; i++)
		ok = add_extension(x, issuer, &extensions[i]);
	if (ok && X509_sign(x, authority ? authority->key : key, EVP_sha256()) > 0)
		return x;
	X509_free(x);
	return NULL;
}

enum err_code tls_authority_new(uint32_t node_id, struct tls_authority **ret_authority, struct err *err)
{
	static const struct extension extensions[] = {
	    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	    {NID_key_usage, "critical,keyCertSign,cRLSign"},
	    {NID_subject_key_identifier, "hash"},
	};
	struct tls_authority *a = mem_alloc(sizeof *a);
	a->id.node_id = node_id;
	a->key = EVP_EC_gen("P-256");
	if (a->key != NULL && name_of_key(node_id, a->key, a->id.name))
		a->certificate = make_certificate(a->id.name, a->key, NULL, extensions, sizeof extensions / sizeof *extensions);
	if (a->certificate == NULL || !fingerprint_of(a->certificate, a->id.fingerprint)) {
		tls_authority_free(a);
		return crypto_failed("a certificate", err);
	}
	*ret_authority = a;
	return ERR_OK;
}

void tls_authority_free(struct tls_authority *a)
{
	if (a == NULL)
		return;
	EVP_PKEY_free(a->key);
	X509_free(a->certificate);
	free(a);
}

const struct tls_authority_id *tls_authority_id(const struct tls_authority *a)
{
	return &a->id;
}

/* "IP:…,DNS:…", as X509V3_EXT_conf_nid wants it; NULL, and *err set, if one of the addresses is none. */
static char *alternative_names(const char *const *addresses, size_t count, struct err *err)
{
	struct buf text = {0};
	if (count == 0 || count > TLS_ADDRESSES_MAX) {
		err_set(err, ERR_USAGE, "%zu addresses for a certificate; give 1 to %d", count, TLS_ADDRESSES_MAX);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		enum address_kind kind = address_kind(addresses[i]);
		if (kind == ADDRESS_NONE) {
			err_set(err, ERR_USAGE, "'%.60s' is no address; give an IP address or a DNS name", addresses[i]);
			buf_free(&text);
			return NULL;
		}
		buf_printf(&text, "%s%s:%s", i ? "," : "", kind == ADDRESS_IP ? "IP" : "DNS", addresses[i]);
	}
	char *names = mem_strdup(buf_str(&text));
	buf_free(&text);
	return names;
}

/* PEM */

/* Appends one of the two. */
static enum err_code print_pem(X509 *certificate, EVP_PKEY *key, struct buf *to, struct err *err)
{
	char *text;
	BIO *bio = BIO_new(key != NULL ? BIO_s_secmem() : BIO_s_mem());
	bool ok = bio != NULL && (key != NULL ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
	                                      : PEM_write_bio_X509(bio, certificate)) == 1;
	if (ok) {
		long size = BIO_get_mem_data(bio, &text);
		buf_append(to, text, (size_t)size);
	}
	BIO_free(bio);
	return ok ? ERR_OK : crypto_failed("a PEM text", err);
}

/* OpenSSL would ask for one on the terminal. */
static int no_password(char *to, int size, int writing, void *data)
{
	(void)to, (void)size, (void)writing, (void)data;
	return -1;
}

static EVP_PKEY *read_key(const struct buf *pem)
{
	BIO *bio = pem->size <= TLS_PEM_BYTES_MAX ? BIO_new_mem_buf(pem->data, (int)pem->size) : NULL;
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

enum err_code tls_authority_print(const struct tls_authority *a, struct buf *certificate, struct buf *key,
                                  struct err *err)
{
	enum err_code code = print_pem(a->certificate, NULL, certificate, err);
	return code == ERR_OK ? print_pem(NULL, a->key, key, err) : code;
}

enum err_code tls_key_new(struct buf *to, struct err *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	enum err_code code = key != NULL ? print_pem(NULL, key, to, err) : crypto_failed("a key", err);
	EVP_PKEY_free(key);
	return code;
}

enum err_code tls_authority_issue(const struct tls_authority *a, const struct buf *key_pem,
                                  const char *const *addresses, size_t address_count, struct buf *chain,
                                  struct err *err)
{
	char common_name[TLS_NAME_SIZE], *alternative = alternative_names(addresses, address_count, err);
	if (alternative == NULL)
		return err ? err->code : ERR_USAGE;
	const struct extension extensions[] = {
	    {NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"},
	    {NID_ext_key_usage, "serverAuth,clientAuth"}, {NID_subject_key_identifier, "hash"},
	    {NID_authority_key_identifier, "keyid"},      {NID_subject_alt_name, alternative},
	};
	enum err_code code = ERR_OK;
	X509 *certificate = NULL;
	EVP_PKEY *key = read_key(key_pem);
	snprintf(common_name, sizeof common_name, "syncline-%u", (unsigned)a->id.node_id);
	if (key == NULL)
		code = err_set(err, ERR_MALFORMED, "the node's key is no private key in PEM; bring it back from a copy");
	else if ((certificate =
	              make_certificate(common_name, key, a, extensions, sizeof extensions / sizeof *extensions)) == NULL)
		code = crypto_failed("a certificate", err);
	if (code == ERR_OK && (code = print_pem(certificate, NULL, chain, err)) == ERR_OK)
		code = print_pem(a->certificate, NULL, chain, err);
	X509_free(certificate);
	EVP_PKEY_free(key);
	free(alternative);
	return code;
}

/* Checking */

/* The text is one PEM block of a certificate and nothing else. */
static X509 *read_certificate(const uint8_t *pem, size_t size, const char **ret_fault)
{
	static const char head[] = "-----BEGIN CERTIFICATE-----", dashes[] = "-----BEGIN";
	X509 *x = NULL;
	if (size > TLS_PEM_BYTES_MAX)
		*ret_fault = "is longer than 16 KiB";
	else if (size < sizeof head - 1 || memcmp(pem, head, sizeof head - 1) != 0)
		*ret_fault = "doesn't start with -----BEGIN CERTIFICATE-----";
	else if (memmem(pem + 1, size - 1, dashes, sizeof dashes - 1) != NULL)
		*ret_fault = "holds more than one certificate or key";
	else {
		char *rest = NULL;
		BIO *bio = BIO_new_mem_buf(pem, (int)size);
		x = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
		long left = bio != NULL ? BIO_get_mem_data(bio, &rest) : 0;
		while (left > 0 && strchr(" \t\r\n", *rest) != NULL && *rest != 0)
			rest++, left--;
		if (x == NULL || left > 0) {
			*ret_fault = x == NULL ? "is damaged" : "goes on after the certificate";
			X509_free(x);
			x = NULL;
		}
		BIO_free(bio);
		ERR_clear_error();
	}
	return x;
}

static bool key_is_strong(EVP_PKEY *key)
{
	int is_explicit = 1;
	if (key == NULL)
		return false;
	int bits = EVP_PKEY_get_bits(key);
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
	/* A curve by its name: parameters of one's own can be those of a weak one. */
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && bits >= EC_BITS_MIN &&
	       EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit) == 1 &&
	       is_explicit == 0;
}

/* One common name as plain text, the one that belongs to the key. */
static bool read_name(X509 *x, struct tls_authority_id *id)
{
	char text[TLS_NAME_SIZE] = "", *end;
	X509_NAME *name = X509_get_subject_name(x);
	if (X509_NAME_entry_count(name) != 1)
		return false;
	const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, 0);
	const ASN1_STRING *data = X509_NAME_ENTRY_get_data(entry);
	int type = ASN1_STRING_type(data), size = ASN1_STRING_length(data);
	if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName || size >= TLS_NAME_SIZE ||
	    (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING))
		return false;
	memcpy(text, ASN1_STRING_get0_data(data), (size_t)size);
	if (strlen(text) != (size_t)size || strncmp(text, "syncline-", 9) != 0)
		return false;
	unsigned long node_id = strtoul(text + 9, &end, 10);
	if (node_id < 1 || node_id > NODE_ID_MAX)
		return false;
	id->node_id = (uint32_t)node_id;
	return name_of_key(id->node_id, X509_get0_pubkey(x), id->name) && strcmp(id->name, text) == 0;
}

/* What is wrong with it, or NULL. */
static const char *fault_of(X509 *x, struct tls_authority_id *id)
{
	uint32_t flags = X509_get_extension_flags(x);
	if ((flags & EXFLAG_INVALID) != 0 || !fingerprint_of(x, id->fingerprint))
		return "is damaged";
	if ((flags & EXFLAG_CRITICAL) != 0)
		return "has a critical extension that is unknown here";
	if (X509_check_ca(x) != 1)
		return "is no authority's";
	if (X509_get_pathlen(x) != 0)
		return "may sign further authorities (its pathlen is not 0)";
	if (!key_is_strong(X509_get0_pubkey(x)))
		return "has a key that is neither elliptic with 256 bits or more nor RSA with 2048 to 8192";
	if (X509_self_signed(x, 1) != 1)
		return "is not signed by itself";
	if (!read_name(x, id))
		return "has a name that doesn't belong to its key";
	return NULL;
}

enum err_code tls_authority_check(const void *pem, size_t size, struct tls_authority_id *ret_id, struct buf *ret_pem,
                                  struct err *err)
{
	struct tls_authority_id id = {0};
	struct buf text = {0};
	const char *fault = NULL;
	enum err_code code = ERR_OK;
	X509 *x = read_certificate(pem, size, &fault);
	if (x != NULL)
		fault = fault_of(x, &id);
	ERR_clear_error();
	if (fault != NULL)
		code = err_set(err, ERR_MALFORMED,
		               "the authority's certificate %s; give the node's authority.pem as syncline init made it", fault);
	else
		code = print_pem(x, NULL, &text, err);
	X509_free(x);
	if (code == ERR_OK && ret_id != NULL)
		*ret_id = id;
	if (code == ERR_OK && ret_pem != NULL) {
		buf_free(ret_pem);
		*ret_pem = text;
		text = (struct buf){0};
	}
	buf_free(&text);
	return code;
}

enum err_code tls_authority_load(const struct buf *certificate, const struct buf *key,
                                 struct tls_authority **ret_authority, struct err *err)
{
	struct tls_authority *a = mem_alloc(sizeof *a);
	const char *fault = NULL;
	enum err_code code = tls_authority_check(certificate->data, certificate->size, &a->id, NULL, err);
	if (code == ERR_OK) {
		a->certificate = read_certificate(certificate->data, certificate->size, &fault);
		a->key = read_key(key);
		if (a->certificate == NULL || a->key == NULL || X509_check_private_key(a->certificate, a->key) != 1)
			code = err_set(err, ERR_MALFORMED,
			               "the authority's key doesn't belong to its certificate; bring both back from a copy");
		ERR_clear_error();
	}
	if (code == ERR_OK)
		*ret_authority = a;
	else
		tls_authority_free(a);
	return code;
}

void tls_wipe(struct buf *secret)
{
	if (secret->data != NULL)
		explicit_bzero(secret->data, secret->capacity);
	buf_free(secret);
}
