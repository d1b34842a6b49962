/* Fuzzes src/node/token: an invitation that somebody pasted. The first byte chooses what the rest is:
 *
 *   'b'   the bytes of a token without size and checksum, which are put right, so that mutations get past them
 *   else  together with it, the text
 *
 * What is read is in its range, and written again it is the same text but for blanks and capitals. The text lies in
 * memory of exactly its size, for ASan.
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "node/settings.h"
#include "node/token.h"

enum { SIZE_AT = 1, SIZE_END = 3, BYTES_MAX = 2000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void append_token(struct buf *text, const uint8_t *data, size_t size)
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct buf bytes = {0};
	buf_append(&bytes, data, size);
	if (size >= SIZE_END) {
		bytes.data[SIZE_AT] = (uint8_t)(size + 4);
		bytes.data[SIZE_AT + 1] = (uint8_t)((size + 4) >> 8);
	}
	expect(EVP_Digest(bytes.data, bytes.size, digest, NULL, EVP_sha256(), NULL) == 1);
	buf_append(&bytes, digest, 4);
	buf_append_str(text, "syncline-");
	for (size_t bit = 0; bit < bytes.size * 8; bit += 5) {
		unsigned digit = 0;
		for (size_t b = bit; b < bit + 5; b++)
			digit = digit << 1 | (b < bytes.size * 8 ? bytes.data[b / 8] >> (7 - b % 8) & 1 : 0);
		buf_append_u8(text, (uint8_t)base32[digit]);
	}
	buf_free(&bytes);
}

static void check_token(const struct token *t, const char *text)
{
	struct buf again = {0};
	struct err err = {0};
	expect(t->port != 0 && t->node_id >= 1 && t->node_id <= NODE_ID_MAX && t->expiry_s >= 0 &&
	       strlen(t->fingerprint) == 64 && address_kind(t->address) != ADDRESS_NONE);
	expect(token_format(t, &again, &err) == ERR_OK);
	text += strspn(text, " \t\r\n");
	expect(strncasecmp(buf_str(&again), text, again.size) == 0);
	text += again.size;
	expect(strspn(text, " \t\r\n") == strlen(text));
	tls_wipe(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = {0};
	struct token t = {0};
	struct err err = {0};
	if (size > BYTES_MAX)
		return 0;
	if (size > 0 && data[0] == 'b')
		append_token(&text, data + 1, size - 1);
	else
		buf_append(&text, data, size);
	char *exact = malloc(text.size + 1);
	expect(exact != NULL);
	if (text.size > 0)
		memcpy(exact, text.data, text.size);
	exact[text.size] = 0;
	enum err_code code = token_parse(exact, &t, &err);
	if (code == ERR_OK)
		check_token(&t, exact);
	else
		expect((code == ERR_MALFORMED || code == ERR_UNSUPPORTED) && err.message[0] != 0 && t.port == 0);
	token_done(&t);
	free(exact);
	buf_free(&text);
	return 0;
}
