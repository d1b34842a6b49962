/* What syncline init, invite and join do with certificates, for pytest.
 *
 *   identity_tool make DIR NODE ADDRESS…        identity_tool authority DIR           prints its fingerprint
 *   identity_tool reissue DIR ADDRESS…          identity_tool require DIR PEER        prints an account's REQUIRE
 *   identity_tool pin DIR PEER FILE             identity_tool unpin DIR PEER
 *   identity_tool fetch ADDRESS PORT FINGERPRINT TIMEOUT_MS           prints the authority's PEM
 *
 * An error is one line on standard error, with the number of its enum err_code as exit status. SIGTERM cancels a fetch.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/identity.h"
#include "node/pin.h"

enum { EXIT_MISUSE = 99 };

static volatile bool cancelled;

static void on_term(int signal_number)
{
	(void)signal_number;
	cancelled = true;
}

static enum err_code print_authority(const char *dir, struct err *err)
{
	struct tls_authority_id id;
	enum err_code code = identity_authority(dir, &id, NULL, err);
	if (code == ERR_OK)
		puts(id.fingerprint);
	return code;
}

static enum err_code print_require(const char *dir, uint32_t peer, struct err *err)
{
	struct tls_authority_id id;
	struct buf sql = {0};
	enum err_code code = identity_peer(dir, peer, &id, NULL, err);
	if (code == ERR_OK) {
		identity_append_require(&sql, &id);
		puts(buf_str(&sql));
	}
	buf_free(&sql);
	return code;
}

static enum err_code pin_file(const char *dir, uint32_t peer, const char *file, struct err *err)
{
	struct buf text = {0};
	enum err_code code = files_read_tail(file, 1 << 20, &text, err);
	if (code == ERR_OK)
		code = identity_pin(dir, peer, text.data, text.size, err);
	buf_free(&text);
	return code;
}

static enum err_code fetch(char **words, struct err *err)
{
	struct buf pem = {0};
	const struct pin_target target = {words[0], (uint16_t)atoi(words[1]), words[2], atoi(words[3]), &cancelled};
	signal(SIGTERM, on_term);
	enum err_code code = pin_fetch(&target, &pem, err);
	if (code == ERR_OK)
		fputs(buf_str(&pem), stdout);
	buf_free(&pem);
	return code;
}

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	struct err err = {0};
	const char *what = argc > 2 ? argv[1] : "";
	const char *const *rest = (const char *const *)argv;
	int code = EXIT_MISUSE;
	if (strcmp(what, "make") == 0 && argc > 4)
		code = (int)identity_make(argv[2], number(argv[3]), rest + 4, (size_t)(argc - 4), NULL, &err);
	else if (strcmp(what, "reissue") == 0 && argc > 3)
		code = (int)identity_reissue(argv[2], rest + 3, (size_t)(argc - 3), &err);
	else if (strcmp(what, "pin") == 0 && argc == 5)
		code = (int)pin_file(argv[2], number(argv[3]), argv[4], &err);
	else if (strcmp(what, "unpin") == 0 && argc == 4)
		code = (int)identity_unpin(argv[2], number(argv[3]), &err);
	else if (strcmp(what, "authority") == 0 && argc == 3)
		code = (int)print_authority(argv[2], &err);
	else if (strcmp(what, "require") == 0 && argc == 4)
		code = (int)print_require(argv[2], number(argv[3]), &err);
	else if (strcmp(what, "fetch") == 0 && argc == 6)
		code = (int)fetch(argv + 2, &err);
	if (code != ERR_OK)
		fprintf(stderr, "%s\n", code == EXIT_MISUSE ? "identity_tool: wrong use" : err.message);
	return code;
}
