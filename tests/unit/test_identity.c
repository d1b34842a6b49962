/* A node's identity: what it makes stays valid and is found by peers, and what others send passes only if it can't be
 * taken for anybody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "node/identity.h"

static char top[] = "/tmp/test_identity_XXXXXX";
static char *dir, *other;
static const char *const addresses[] = {"192.168.10.1", "fd00::1", "gate-1.example"};

static int set_up_all(void **state)
{
	(void)state;
	return mkdtemp(top) != NULL ? 0 : -1;
}

static int tear_down_all(void **state)
{
	(void)state;
	return rmdir(top);
}

static int set_up(void **state)
{
	(void)state;
	dir = mem_printf("%s/one", top);
	other = mem_printf("%s/two", top);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	struct err err;
	int failed = files_remove_tree(dir, &err) != ERR_OK || files_remove_tree(other, &err) != ERR_OK;
	free(dir);
	free(other);
	return failed;
}

#define ok(call)                                                                                                       \
	do {                                                                                                               \
		struct err err = {0};                                                                                          \
		if ((call) != ERR_OK)                                                                                          \
			fail_msg("%s", err.message);                                                                               \
	} while (0)

#define refused(call, wanted_code, text)                                                                               \
	do {                                                                                                               \
		struct err err = {0};                                                                                          \
		assert_int_equal((call), (wanted_code));                                                                       \
		if (strstr(err.message, (text)) == NULL)                                                                       \
			fail_msg("not '%s' in: %s", (text), err.message);                                                          \
	} while (0)

static void make(const char *folder, uint32_t node_id)
{
	ok(identity_make(folder, node_id, addresses, 3, NULL, &err));
}

static struct buf read_text(const char *folder, const char *name)
{
	struct buf text = {0};
	char *path = mem_printf("%s/%s", folder, name);
	ok(files_read_tail(path, 1 << 20, &text, &err));
	free(path);
	return text;
}

static void write_text(const char *folder, const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	free(path);
}

static enum err_code pin(const char *folder, uint32_t peer, const char *name, struct err *err)
{
	struct buf text = read_text(other, name);
	enum err_code code = identity_pin(folder, peer, text.data, text.size, err);
	buf_free(&text);
	return code;
}

/* -1: not there */
static int mode_of(const char *folder, const char *name)
{
	struct stat st;
	char *path = mem_printf("%s/%s", folder, name);
	int mode = lstat(path, &st) == 0 ? (int)(st.st_mode & 07777) : -1;
	free(path);
	return mode;
}

static X509 *read_certificate(const char *folder, const char *name)
{
	struct buf text = read_text(folder, name);
	BIO *bio = BIO_new_mem_buf(text.data, (int)text.size);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_non_null(x);
	BIO_free(bio);
	buf_free(&text);
	return x;
}

static size_t count_certificates(const char *folder, const char *name)
{
	struct buf text = read_text(folder, name);
	size_t count = 0;
	for (const char *at = buf_str(&text); (at = strstr(at, "-----BEGIN CERTIFICATE-----")) != NULL; at++)
		count++;
	buf_free(&text);
	return count;
}

/* Without the right modes the world reads a node's key, or the server can't read its certificate and starts without
 * TLS. */
static void makes_all_files(void **state)
{
	(void)state;
	struct tls_authority_id id;
	make(dir, 7);
	assert_true(identity_exists(dir));
	assert_int_equal(mode_of(dir, "authority.key"), 0600);
	assert_int_equal(mode_of(dir, "node.key"), 0640);
	assert_int_equal(mode_of(dir, "authority.pem"), 0644);
	assert_int_equal(mode_of(dir, "node.pem"), 0644);
	assert_int_equal(mode_of(dir, "bundle.pem"), 0644);
	assert_int_equal(mode_of(dir, "authority.key.new"), -1);
	assert_int_equal(count_certificates(dir, "node.pem"), 2);
	assert_int_equal(count_certificates(dir, "bundle.pem"), 1);
	ok(identity_authority(dir, &id, NULL, &err));
	assert_int_equal(id.node_id, 7);
	assert_int_equal(strlen(id.fingerprint), 64);
	assert_true(strncmp(id.name, "syncline-7-", 11) == 0 && strlen(id.name) == 11 + 40);
}

static bool verifies(X509 *leaf, X509 *authority, const char *purpose, time_t when)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	assert_int_equal(X509_STORE_add_cert(store, authority), 1);
	assert_int_equal(X509_STORE_CTX_init(context, store, leaf, NULL), 1);
	assert_int_equal(X509_STORE_CTX_set_default(context, purpose), 1);
	X509_STORE_CTX_set_time(context, 0, when);
	bool verified = X509_verify_cert(context) == 1;
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	return verified;
}

/* A board without a battery thinks after a power cut that it is 1970, and refuses all its peers until somebody comes to
 * set its clock. */
static void valid_at_any_time(void **state)
{
	(void)state;
	static const time_t times[] = {60, 1700000000, 2147483647, sizeof(time_t) > 4 ? (time_t)INT64_C(7000000000) : 60};
	make(dir, 1);
	X509 *leaf = read_certificate(dir, "node.pem"), *authority = read_certificate(dir, "authority.pem");
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		assert_true(verifies(leaf, authority, "ssl_server", times[i]));
		assert_true(verifies(leaf, authority, "ssl_client", times[i]));
	}
	X509_free(leaf);
	X509_free(authority);
}

/* A client that reaches the node by an address that isn't in its certificate hangs up. */
static void names_its_addresses(void **state)
{
	(void)state;
	make(dir, 1);
	X509 *leaf = read_certificate(dir, "node.pem");
	assert_int_equal(X509_check_ip_asc(leaf, "192.168.10.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(leaf, "fd00::1", 0), 1);
	assert_int_equal(X509_check_host(leaf, "gate-1.example", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(leaf, "192.168.10.2", 0), 0);
	X509_free(leaf);
}

/* The address moves to a new network: if the authority changed with it, every peer would have to be told by hand. */
static void reissue_keeps_the_authority(void **state)
{
	(void)state;
	static const char *const moved[] = {"10.0.0.9"};
	make(dir, 1);
	struct buf before = read_text(dir, "authority.pem"), key = read_text(dir, "node.key");
	ok(identity_reissue(dir, moved, 1, &err));
	struct buf after = read_text(dir, "authority.pem"), same = read_text(dir, "node.key");
	assert_string_equal(buf_str(&before), buf_str(&after));
	assert_string_equal(buf_str(&key), buf_str(&same));
	X509 *leaf = read_certificate(dir, "node.pem"), *authority = read_certificate(dir, "authority.pem");
	assert_int_equal(X509_check_ip_asc(leaf, "10.0.0.9", 0), 1);
	assert_int_equal(X509_check_ip_asc(leaf, "192.168.10.1", 0), 0);
	assert_true(verifies(leaf, authority, "ssl_server", 1700000000));
	assert_int_equal(count_certificates(dir, "node.pem"), 2);
	X509_free(leaf);
	X509_free(authority);
	buf_free(&before);
	buf_free(&after);
	buf_free(&key);
	buf_free(&same);
	refused(identity_reissue(other, moved, 1, &err), ERR_IO, "syncline init");
}

/* A second init by mistake would cut the node off from every peer. */
static void never_overwrites(void **state)
{
	(void)state;
	make(dir, 1);
	struct buf before = read_text(dir, "authority.key");
	refused(identity_make(dir, 1, addresses, 3, NULL, &err), ERR_USAGE, "is there already");
	struct buf after = read_text(dir, "authority.key");
	assert_string_equal(buf_str(&before), buf_str(&after));
	buf_free(&before);
	buf_free(&after);
	assert_int_equal(mkdir(other, 0700), 0);
	write_text(other, "node.pem", "somebody's");
	refused(identity_make(other, 1, addresses, 3, NULL, &err), ERR_USAGE, "node.pem is there already");
	assert_int_equal(mode_of(other, "authority.key"), -1);
}

/* A full disk or a kill half-way: half an identity, which neither works nor can be made anew, leaves the user stuck. */
static void all_files_or_none(void **state)
{
	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	write_text(dir, "authority.key.new", "of a make that was killed");
	write_text(dir, "node.key", "put by it already");
	make(dir, 1);
	assert_true(identity_exists(dir));
	assert_int_equal(mkdir(other, 0700), 0);
	write_text(other, "authority.key.new", "");
	char *in_the_way = mem_printf("%s/node.pem", other);
	assert_int_equal(mkdir(in_the_way, 0700), 0);
	refused(identity_make(other, 1, addresses, 3, NULL, &err), ERR_IO, "node.pem: can't write it");
	assert_int_equal(rmdir(in_the_way), 0);
	free(in_the_way);
	assert_int_equal(rmdir(other), 0); /* nothing else is left */
}

static void assert_owner(const char *name, uid_t uid)
{
	struct stat st;
	char *path = mem_printf("%s/%s", dir, name);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, uid);
	free(path);
}

/* Root makes the files and the server is another user: one that it can't read keeps it from starting again, maybe months
 * later. */
static void keeps_the_owner(void **state)
{
	(void)state;
	enum { NOBODY = 65534 };
	static const char *const names[] = {".",        "authority.pem", "authority.key", "node.pem",
	                                    "node.key", "bundle.pem",    "peer-2.pem"};
	if (geteuid() != 0)
		skip(); /* only root can give files away */
	ok(identity_make(dir, 1, addresses, 3, &(struct files_owner){NOBODY, NOBODY}, &err));
	make(other, 2);
	ok(pin(dir, 2, "authority.pem", &err));
	ok(identity_reissue(dir, addresses, 1, &err));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_owner(names[i], NOBODY);
}

/* The server's user owns the folder: if root followed a link there, that user could have any file overwritten. */
static void follows_no_link(void **state)
{
	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mkdir(other, 0700), 0);
	write_text(other, "victim", "precious");
	char *victim = mem_printf("%s/victim", other), *link = mem_printf("%s/node.key.new", dir);
	assert_int_equal(symlink(victim, link), 0);
	make(dir, 1);
	struct buf text = read_text(other, "victim");
	assert_string_equal(buf_str(&text), "precious");
	buf_free(&text);
	free(victim);
	free(link);
}

/* An address with a comma would put names into the certificate that nobody asked for. */
static void refuses_bad_addresses(void **state)
{
	(void)state;
	static const char *const bad[] = {"",     "a,IP:1.2.3.4", "a b",   "192.168.10", "1.2.3.256", "fe80::1%eth0", "*.a",
	                                  "a..b", "-a",           "[::1]", "a/b",        "a'b",       "gate\n"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(identity_make(dir, 1, &bad[i], 1, NULL, &err), ERR_USAGE, "is no address");
	refused(identity_make(dir, 1, addresses, 0, NULL, &err), ERR_USAGE, "0 addresses");
	refused(identity_make(dir, 0, addresses, 1, NULL, &err), ERR_USAGE, "0 is no node id");
	refused(identity_make(dir, 65, addresses, 1, NULL, &err), ERR_USAGE, "65 is no node id");
	assert_int_equal(access(dir, F_OK), -1);
}

/* A peer that isn't in the bundle can't connect; one that was removed and is still in it can. */
static void pins_and_unpins(void **state)
{
	(void)state;
	struct tls_authority_id id;
	make(dir, 1);
	make(other, 2);
	refused(identity_peer(dir, 2, NULL, NULL, &err), ERR_USAGE, "not a peer yet");
	ok(pin(dir, 2, "authority.pem", &err));
	ok(pin(dir, 2, "authority.pem", &err));
	assert_int_equal(count_certificates(dir, "bundle.pem"), 2);
	assert_int_equal(mode_of(dir, "peer-2.pem"), 0644);
	ok(identity_peer(dir, 2, &id, NULL, &err));
	struct buf sql = {0};
	identity_append_require(&sql, &id);
	char *wanted = mem_printf(" REQUIRE ISSUER '/CN=%s' AND SUBJECT '/CN=syncline-2'", id.name);
	assert_string_equal(buf_str(&sql), wanted);
	free(wanted);
	buf_free(&sql);
	ok(identity_unpin(dir, 2, &err));
	ok(identity_unpin(dir, 2, &err));
	assert_int_equal(count_certificates(dir, "bundle.pem"), 1);
	assert_int_equal(mode_of(dir, "peer-2.pem"), -1);
}

/* Two nodes with mixed-up ids, or one that comes back as another, must be noticed before they replicate. */
static void refuses_the_wrong_node(void **state)
{
	(void)state;
	struct err ignored;
	make(dir, 1);
	make(other, 2);
	refused(pin(dir, 3, "authority.pem", &err), ERR_USAGE, "is node 2's and not node 3's");
	refused(pin(dir, 2, "node.pem", &err), ERR_MALFORMED, "more than one");
	ok(pin(dir, 2, "authority.pem", &err));
	assert_int_equal(files_remove_tree(other, &ignored), ERR_OK);
	make(other, 2);
	refused(pin(dir, 2, "authority.pem", &err), ERR_CONFLICT, "is another authority");
	ok(identity_unpin(dir, 2, &err));
	ok(pin(dir, 2, "authority.pem", &err));
	assert_int_equal(files_remove_tree(other, &ignored), ERR_OK);
	make(other, 1);
	refused(pin(dir, 1, "authority.pem", &err), ERR_USAGE, "is this node itself");
	assert_int_equal(count_certificates(dir, "bundle.pem"), 2);
}

/* Authorities that others make up */

struct recipe {
	const char *constraints, *usage, *extra_name, *name; /* NULL name: the right one */
	int key;                                             /* 0: P-256, a number of RSA bits, or one of these */
	bool signed_by_another, printable;
	const char *fault; /* NULL: it passes */
};

enum { KEY_P192 = 1, KEY_P384, KEY_EXPLICIT, KEY_ED25519 };

static EVP_PKEY *make_key(int kind)
{
	EVP_PKEY *key = NULL;
	if (kind >= 512)
		key = EVP_RSA_gen((unsigned)kind);
	else if (kind == KEY_ED25519)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		key = EVP_EC_gen(kind == KEY_P192 ? "P-192" : kind == KEY_P384 ? "P-384" : "P-256");
	assert_non_null(key);
	if (kind == KEY_EXPLICIT)
		assert_int_equal(EVP_PKEY_set_utf8_string_param(key, "encoding", "explicit"), 1);
	return key;
}

static void right_name(const EVP_PKEY *key, char name[TLS_NAME_SIZE])
{
	unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
	int size = i2d_PUBKEY(key, &der), at = snprintf(name, TLS_NAME_SIZE, "syncline-2-");
	assert_true(size > 0);
	assert_int_equal(EVP_Digest(der, (size_t)size, digest, NULL, EVP_sha256(), NULL), 1);
	OPENSSL_free(der);
	for (int i = 0; i < 20; i++)
		at += snprintf(name + at, (size_t)(TLS_NAME_SIZE - at), "%02x", digest[i]);
}

static void add(X509 *x, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
	X509_EXTENSION *extension = value ? X509V3_EXT_conf_nid(NULL, &context, nid, value) : NULL;
	if (extension != NULL)
		assert_int_equal(X509_add_ext(x, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static struct buf cook(const struct recipe *r)
{
	char name[TLS_NAME_SIZE], *text;
	struct buf pem = {0};
	EVP_PKEY *key = make_key(r->key), *signer = r->signed_by_another ? make_key(0) : NULL;
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);
	right_name(key, name);
	X509_set_version(x, 2);
	X509_NAME_add_entry_by_NID(subject, NID_commonName, r->printable ? V_ASN1_PRINTABLESTRING : V_ASN1_UTF8STRING,
	                           (const unsigned char *)(r->name ? r->name : name), -1, -1, 0);
	if (r->extra_name != NULL)
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)r->extra_name, -1, -1, 0);
	X509_set_issuer_name(x, subject);
	ASN1_TIME_set_string_X509(X509_getm_notBefore(x), "20000101000000Z");
	ASN1_TIME_set_string_X509(X509_getm_notAfter(x), "20490101000000Z");
	X509_set_pubkey(x, key);
	add(x, NID_basic_constraints, r->constraints);
	add(x, NID_key_usage, r->usage);
	assert_true(X509_sign(x, signer ? signer : key, r->key == KEY_ED25519 ? NULL : EVP_sha256()) > 0);
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(bio, x), 1);
	buf_append(&pem, text, (size_t)BIO_get_mem_data(bio, &text));
	BIO_free(bio);
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(signer);
	return pem;
}

#define CA "critical,CA:TRUE,pathlen:0"
#define SIGN "critical,keyCertSign"

/* Node 3 sends an authority that bears node 2's name, or one that may sign an authority of that name: pinned, it would
 * let node 3 log in as node 2 and write in its name. */
static void refuses_what_could_be_anothers(void **state)
{
	(void)state;
	static const struct recipe recipes[] = {
	    {CA, SIGN, NULL, NULL, 0, false, false, NULL},
	    {CA, NULL, NULL, NULL, 0, false, true, NULL},
	    {CA, SIGN, NULL, NULL, 2048, false, false, NULL},
	    {CA, SIGN, NULL, NULL, KEY_P384, false, false, NULL},
	    {CA, SIGN, NULL, "syncline-2-0123456789abcdef0123456789abcdef01234567", 0, false, false, "name"},
	    {CA, SIGN, NULL, "syncline-2", 0, false, false, "name"},
	    {CA, SIGN, NULL, "syncline-65-", 0, false, false, "name"},
	    {CA, SIGN, NULL, "Some Authority", 0, false, false, "name"},
	    {CA, SIGN, "syncline-2", NULL, 0, false, false, "name"},
	    {"critical,CA:TRUE", SIGN, NULL, NULL, 0, false, false, "further authorities"},
	    {"critical,CA:TRUE,pathlen:1", SIGN, NULL, NULL, 0, false, false, "further authorities"},
	    {"critical,CA:FALSE", SIGN, NULL, NULL, 0, false, false, "no authority's"},
	    {NULL, SIGN, NULL, NULL, 0, false, false, "no authority's"},
	    {CA, "critical,digitalSignature", NULL, NULL, 0, false, false, "no authority's"},
	    {CA, SIGN, NULL, NULL, 1024, false, false, "key"},
	    {CA, SIGN, NULL, NULL, KEY_P192, false, false, "key"},
	    {CA, SIGN, NULL, NULL, KEY_EXPLICIT, false, false, "key"},
	    {CA, SIGN, NULL, NULL, KEY_ED25519, false, false, "key"},
	    {CA, SIGN, NULL, NULL, 0, true, false, "not signed by itself"},
	};
	for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
		struct buf pem = cook(&recipes[i]), again = {0};
		struct err err = {0};
		enum err_code code = tls_authority_check(pem.data, pem.size, NULL, &again, &err);
		if (recipes[i].fault == NULL && code != ERR_OK)
			fail_msg("recipe %zu: %s", i, err.message);
		if (recipes[i].fault != NULL && (code != ERR_MALFORMED || strstr(err.message, recipes[i].fault) == NULL))
			fail_msg("recipe %zu: not '%s' but: %s", i, recipes[i].fault, err.message);
		assert_int_equal(again.size, code == ERR_OK ? pem.size : 0);
		buf_free(&pem);
		buf_free(&again);
	}
}

static enum err_code check_text(const char *before, const struct buf *pem, size_t size, const char *after)
{
	size_t all = strlen(before) + size + strlen(after);
	char *exact = malloc(all ? all : 1);
	assert_non_null(exact);
	memcpy(exact, before, strlen(before));
	memcpy(exact + strlen(before), pem->data, size);
	memcpy(exact + strlen(before) + size, after, strlen(after));
	struct err err = {0};
	enum err_code code = tls_authority_check(exact, all, NULL, NULL, &err);
	assert_true(code == ERR_OK || (code == ERR_MALFORMED && err.message[0] != 0));
	free(exact);
	return code;
}

/* Bytes from a peer that isn't trusted yet: a second certificate behind the first would be pinned with it unseen, and a
 * read past the end is the peer's way in. */
static void takes_one_certificate_only(void **state)
{
	(void)state;
	make(dir, 2);
	struct buf pem = read_text(dir, "authority.pem"), key = read_text(dir, "node.key");
	assert_int_equal(check_text("", &pem, pem.size, ""), ERR_OK);
	assert_int_equal(check_text("", &pem, pem.size, "\r\n \n"), ERR_OK);
	assert_int_equal(check_text("", &pem, pem.size, buf_str(&pem)), ERR_MALFORMED);
	assert_int_equal(check_text("", &pem, pem.size, buf_str(&key)), ERR_MALFORMED);
	assert_int_equal(check_text(buf_str(&key), &pem, pem.size, ""), ERR_MALFORMED);
	assert_int_equal(check_text("", &pem, pem.size, "x"), ERR_MALFORMED);
	assert_int_equal(check_text(" ", &pem, pem.size, ""), ERR_MALFORMED);
	assert_int_equal(check_text("", &key, key.size, ""), ERR_MALFORMED);
	size_t whole = pem.size - 1; /* the last line break isn't needed */
	for (size_t size = 0; size < whole; size++)
		assert_int_equal(check_text("", &pem, size, ""), ERR_MALFORMED);
	char *much = mem_alloc(TLS_PEM_BYTES_MAX + 1);
	memset(much, '\n', TLS_PEM_BYTES_MAX);
	assert_int_equal(check_text("", &pem, pem.size, much), ERR_MALFORMED);
	free(much);
	for (size_t i = 0; i < pem.size; i++) { /* a flipped bit anywhere: no crash, and nothing that is another's */
		pem.data[i] ^= 1;
		(void)!check_text("", &pem, pem.size, "");
		pem.data[i] ^= 1;
	}
	buf_free(&pem);
	buf_free(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(makes_all_files, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(valid_at_any_time, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(names_its_addresses, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(reissue_keeps_the_authority, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(never_overwrites, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(all_files_or_none, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(keeps_the_owner, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(follows_no_link, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(refuses_bad_addresses, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(pins_and_unpins, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(refuses_the_wrong_node, set_up, tear_down),
	    cmocka_unit_test(refuses_what_could_be_anothers),
	    cmocka_unit_test_setup_teardown(takes_one_certificate_only, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
