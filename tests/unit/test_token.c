/* Invitations: what is written is read again, and all else is refused by a message that says what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "base/mem.h"
#include "node/token.h"

static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";

static struct token sample(const char *address)
{
	struct token t = {.port = 3306, .node_id = 1, .invitation = 4711, .expiry_s = INT64_C(1800000000)};
	snprintf(t.address, sizeof t.address, "%s", address);
	for (int i = 0; i < 32; i++)
		snprintf(t.fingerprint + 2 * i, 3, "%02x", 7 * i);
	for (int i = 0; i < TOKEN_SECRET_BYTES; i++)
		t.secret[i] = (uint8_t)(200 + i);
	return t;
}

static char *format(const struct token *t)
{
	struct buf text = {0};
	struct err err = {0};
	if (token_format(t, &text, &err) != ERR_OK)
		fail_msg("%s", err.message);
	char *copy = mem_strdup(buf_str(&text));
	tls_wipe(&text);
	return copy;
}

static void expect_refusal(const char *text, enum err_code wanted, const char *why)
{
	struct token t = {.port = 99};
	struct err err = {0};
	enum err_code code = token_parse(text, &t, &err);
	if (code != wanted || strstr(err.message, why) == NULL)
		fail_msg("'%s' gives %d: %s", text, (int)code, err.message);
	assert_int_equal(t.port, 99); /* untouched */
	assert_null(strchr(err.message, '\n'));
}

static void expect_same(const char *text, const struct token *wanted)
{
	struct token t = {0};
	struct err err = {0};
	if (token_parse(text, &t, &err) != ERR_OK)
		fail_msg("'%s': %s", text, err.message);
	assert_memory_equal(&t, wanted, sizeof t);
	token_done(&t);
}

/* The new node would go to another place, or be refused with its right token. */
static void read_again(void **state)
{
	(void)state;
	char longest[ADDRESS_BYTES_MAX + 1];
	memset(longest, 'a', ADDRESS_BYTES_MAX);
	longest[ADDRESS_BYTES_MAX] = 0;
	const char *const addresses[] = {"192.168.10.1", "fd00::1", "gate-1.example", "a", longest};
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		struct token t = sample(addresses[i]);
		char *text = format(&t);
		assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz234567-"), strlen(text));
		expect_same(text, &t);
		free(text);
	}
	struct token t = sample("h");
	t.port = 65535, t.node_id = 64, t.invitation = UINT32_MAX, t.expiry_s = INT64_MAX;
	char *text = format(&t);
	expect_same(text, &t);
	t.port = 1, t.node_id = 1, t.invitation = 0, t.expiry_s = 0;
	free(text);
	text = format(&t);
	expect_same(text, &t);
	free(text);
}

/* Pasted from a mail or read aloud: blanks around it and capital letters are nobody's mistake. */
static void blanks_and_capitals(void **state)
{
	(void)state;
	struct token t = sample("gate-1.example");
	char *text = format(&t), *padded = mem_printf(" \t%s\r\n", text);
	expect_same(padded, &t);
	for (char *c = padded; *c != 0; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	expect_same(padded, &t);
	free(padded);
	free(text);
}

/* A part of the line, as a terminal's edge cuts it. "No token" or "mistyped" would send people looking for the wrong
 * thing. */
static void every_cut_is_told(void **state)
{
	(void)state;
	struct token t = sample("192.168.10.1");
	char *text = format(&t);
	for (size_t size = strlen(text) - 1; size > 0; size--) {
		char *exact = mem_alloc(size + 1);
		memcpy(exact, text, size);
		expect_refusal(exact, ERR_MALFORMED, size < strlen("syncline-") ? "no token" : "cut off");
		free(exact);
	}
	free(text);
}

/* One wrong letter: it must not become another server's address, and never pass. */
static void every_typo_is_told(void **state)
{
	(void)state;
	struct token t = sample("192.168.10.1");
	char *text = format(&t);
	size_t first = strlen("syncline-");
	for (size_t i = first; text[i] != 0; i++) {
		char right = text[i];
		for (size_t d = 0; d < sizeof base32 - 1; d++) {
			text[i] = base32[d];
			/* The size may be what is mistyped, digits 2 to 5: then it looks like a cut. */
			if (base32[d] != right)
				expect_refusal(text, ERR_MALFORMED, i >= first + 1 && i < first + 5 ? "the token is" : "mistyped");
		}
		text[i] = right;
		if (text[i + 1] != 0 && text[i + 1] != right) {
			text[i] = text[i + 1], text[i + 1] = right;
			expect_refusal(text, ERR_MALFORMED, "the token is");
			text[i + 1] = text[i], text[i] = right;
		}
	}
	char *more = mem_printf("%sa", text), *twice = mem_printf("%s%s", text, text + first);
	expect_refusal(more, ERR_MALFORMED, "mistyped");
	expect_refusal(twice, ERR_MALFORMED, "mistyped");
	text[20] = ' ';
	expect_refusal(text, ERR_MALFORMED, "a character other than");
	text[20] = '1';
	expect_refusal(text, ERR_MALFORMED, "a character other than");
	free(more);
	free(twice);
	free(text);
}

/* Anything else on the clipboard. */
static void not_a_token(void **state)
{
	(void)state;
	char *much = mem_alloc(100000);
	memset(much, 'a', 99999);
	expect_refusal("", ERR_MALFORMED, "no token");
	expect_refusal(" \n", ERR_MALFORMED, "no token");
	expect_refusal("192.168.10.1", ERR_MALFORMED, "no token");
	expect_refusal("sudo syncline join syncline-aaaa", ERR_MALFORMED, "no token");
	expect_refusal(much, ERR_MALFORMED, "no token");
	memcpy(much, "syncline-", 9);
	expect_refusal(much, ERR_MALFORMED, "no token");
	expect_refusal("syncline-", ERR_MALFORMED, "cut off");
	expect_refusal("syncline-b", ERR_MALFORMED, "cut off");
	expect_refusal("syncline-aaaaa", ERR_MALFORMED, "mistyped");
	expect_refusal("syncline-\xc3\xa4", ERR_MALFORMED, "a character other than");
	free(much);
}

/* The token of these bytes, with the right size and checksum. */
static char *token_of(struct buf *bytes)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct buf text = {0};
	size_t size = bytes->size + 4;
	bytes->data[1] = (uint8_t)size, bytes->data[2] = (uint8_t)(size >> 8);
	assert_int_equal(EVP_Digest(bytes->data, bytes->size, digest, NULL, EVP_sha256(), NULL), 1);
	buf_append(bytes, digest, 4);
	buf_append_str(&text, "syncline-");
	for (size_t bit = 0; bit < bytes->size * 8; bit += 5) {
		unsigned digit = 0;
		for (size_t b = bit; b < bit + 5; b++)
			digit = digit << 1 | (b < bytes->size * 8 ? bytes->data[b / 8] >> (7 - b % 8) & 1 : 0);
		buf_append_u8(&text, (uint8_t)base32[digit]);
	}
	char *copy = mem_strdup(buf_str(&text));
	buf_free(&text);
	return copy;
}

struct forgery {
	const char *what;
	uint8_t version, node_id;
	uint16_t port;
	uint64_t expiry;
	size_t said, there; /* of the address */
	char letter;
	enum err_code code;
	const char *why;
};

/* Whoever can make a checksum sends what can't be: an address that is an option or a line of a settings file, a size
 * that leads out of the token. And a newer syncline's token must say so instead of "mistyped". */
static void forged(void **state)
{
	(void)state;
	static const struct forgery forgeries[] = {
	    {"fine", 1, 1, 3306, 5, 4, 4, 'a', ERR_OK, ""},
	    {"newer", 2, 1, 3306, 5, 4, 4, 'a', ERR_UNSUPPORTED, "version 2"},
	    {"newer, all different", 255, 0, 0, 0, 200, 0, 'a', ERR_UNSUPPORTED, "version 255"},
	    {"version 0", 0, 1, 3306, 5, 4, 4, 'a', ERR_MALFORMED, "not what it says"},
	    {"node 0", 1, 0, 3306, 5, 4, 4, 'a', ERR_MALFORMED, "not what it says"},
	    {"node 65", 1, 65, 3306, 5, 4, 4, 'a', ERR_MALFORMED, "not what it says"},
	    {"port 0", 1, 1, 0, 5, 4, 4, 'a', ERR_MALFORMED, "not what it says"},
	    {"expiry", 1, 1, 3306, UINT64_C(1) << 63, 4, 4, 'a', ERR_MALFORMED, "not what it says"},
	    {"no address", 1, 1, 3306, 5, 0, 0, 'a', ERR_MALFORMED, "not what it says"},
	    {"address too long", 1, 1, 3306, 5, 255, 255, 'a', ERR_MALFORMED, "not what it says"},
	    {"address goes on", 1, 1, 3306, 5, 9, 4, 'a', ERR_MALFORMED, "not what it says"},
	    {"address too short", 1, 1, 3306, 5, 2, 4, 'a', ERR_MALFORMED, "not what it says"},
	    {"an option", 1, 1, 3306, 5, 4, 4, '-', ERR_MALFORMED, "not what it says"},
	    {"lines", 1, 1, 3306, 5, 4, 4, '\n', ERR_MALFORMED, "not what it says"},
	    {"nothing", 1, 1, 3306, 5, 4, 4, 0, ERR_MALFORMED, "not what it says"},
	};
	for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++) {
		const struct forgery *f = &forgeries[i];
		struct buf bytes = {0};
		struct token t = {0};
		struct err err = {0};
		buf_append_u8(&bytes, f->version);
		buf_append_u16(&bytes, 0);
		buf_append_u8(&bytes, f->node_id);
		buf_append_u16(&bytes, f->port);
		buf_append_u32(&bytes, 1);
		buf_append_u64(&bytes, f->expiry);
		for (int n = 0; n < 32 + TOKEN_SECRET_BYTES; n++)
			buf_append_u8(&bytes, (uint8_t)n);
		buf_append_u8(&bytes, (uint8_t)f->said);
		for (size_t n = 0; n < f->there; n++)
			buf_append_u8(&bytes, (uint8_t)f->letter);
		char *text = token_of(&bytes);
		enum err_code code = token_parse(text, &t, &err);
		if (code != f->code || strstr(err.message, f->why) == NULL)
			fail_msg("%s: %d %s", f->what, (int)code, err.message);
		free(text);
		buf_free(&bytes);
	}
}

/* An invitation that nobody can use is better refused where it is made. */
static void refuses_to_write(void **state)
{
	(void)state;
	struct buf text = {0};
	struct token t = sample("a b");
	struct err err = {0};
	assert_int_equal(token_format(&t, &text, &err), ERR_USAGE);
	t = sample("a");
	t.port = 0;
	assert_int_equal(token_format(&t, &text, &err), ERR_USAGE);
	t = sample("a");
	t.node_id = 65;
	assert_int_equal(token_format(&t, &text, &err), ERR_USAGE);
	t = sample("a");
	t.fingerprint[63] = 0;
	assert_int_equal(token_format(&t, &text, &err), ERR_USAGE);
	t = sample("a");
	t.fingerprint[5] = 'G';
	assert_int_equal(token_format(&t, &text, &err), ERR_USAGE);
	assert_int_equal(text.size, 0);
}

/* A secret that is always the same lets everybody in who was ever invited. One that stays in memory is in a core
 * dump. */
static void secrets(void **state)
{
	(void)state;
	static const struct token wiped;
	struct token a = sample("a"), b = sample("a");
	struct err err = {0};
	assert_int_equal(token_make_secret(&a, &err), ERR_OK);
	assert_int_equal(token_make_secret(&b, &err), ERR_OK);
	assert_memory_not_equal(a.secret, b.secret, TOKEN_SECRET_BYTES);
	token_done(&a);
	assert_memory_equal(&a, &wiped, sizeof a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(read_again),        cmocka_unit_test(blanks_and_capitals),
	    cmocka_unit_test(every_cut_is_told), cmocka_unit_test(every_typo_is_told),
	    cmocka_unit_test(not_a_token),       cmocka_unit_test(forged),
	    cmocka_unit_test(refuses_to_write),  cmocka_unit_test(secrets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
