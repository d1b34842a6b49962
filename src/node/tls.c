#include "node/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* As text, because time_t has 32 bits on armhf. */
static const char valid_from[] = "20000101000000Z", valid_to[] = "20490101000000Z";

struct tls_authority {
	EVP_PKEY *key;
	X509 *certificate;
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

enum err_code tls_authority_new(const char *common_name, struct tls_authority **ret_authority, struct err *err)
{
	static const struct extension extensions[] = {
	    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	    {NID_key_usage, "critical,keyCertSign,cRLSign"},
	    {NID_subject_key_identifier, "hash"},
	};
	struct tls_authority *a = mem_alloc(sizeof *a);
	a->key = EVP_EC_gen("P-256");
	if (a->key != NULL)
		a->certificate =
		    make_certificate(common_name, a->key, NULL, extensions, sizeof extensions / sizeof *extensions);
	if (a->certificate == NULL) {
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

/* Writes one of the two as PEM. */
static enum err_code write_pem(const char *path, X509 *certificate, EVP_PKEY *key, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	if (file == NULL)
		return err_set(err, ERR_IO, "%s: can't make it: %s; check the folder", path, strerror(errno));
	int ok = certificate != NULL ? PEM_write_X509(file, certificate)
	                             : PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	if (fclose(file) != 0 || ok != 1) {
		unlink(path);
		return err_set(err, ERR_IO, "%s: can't write it: %s; make room on the disk", path, strerror(errno));
	}
	return ERR_OK;
}

enum err_code tls_authority_write(const struct tls_authority *a, const char *path, struct err *err)
{
	return write_pem(path, a->certificate, NULL, err);
}

enum err_code tls_authority_issue(const struct tls_authority *a, const char *common_name, const char *address,
                                  const char *cert_path, const char *key_path, struct err *err)
{
	char *alternative = mem_printf("IP:%s", address);
	const struct extension extensions[] = {
	    {NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"},
	    {NID_ext_key_usage, "serverAuth,clientAuth"}, {NID_subject_key_identifier, "hash"},
	    {NID_authority_key_identifier, "keyid"},      {NID_subject_alt_name, alternative},
	};
	enum err_code code = ERR_OK;
	X509 *certificate = NULL;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	if (key != NULL)
		certificate = make_certificate(common_name, key, a, extensions, sizeof extensions / sizeof *extensions);
	if (certificate == NULL)
		code = crypto_failed("a certificate", err);
	if (code == ERR_OK)
		code = write_pem(key_path, NULL, key, err);
	if (code == ERR_OK && (code = write_pem(cert_path, certificate, NULL, err)) != ERR_OK)
		unlink(key_path);
	X509_free(certificate);
	EVP_PKEY_free(key);
	free(alternative);
	return code;
}
