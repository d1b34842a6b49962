/* Fuzzes the check of an authority in src/node/tls: the PEM text that a peer or a stranger sends to be pinned.
 *
 * What passes is one certificate with the name of its key, and as we write it, it passes again as the same. The text
 * lies in memory of exactly its size, for ASan.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/settings.h"
#include "node/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void check_passed(const struct tls_authority_id *id, struct buf *pem)
{
	struct tls_authority_id again = {0};
	char start[TLS_NAME_SIZE];
	struct err err = {0};
	snprintf(start, sizeof start, "syncline-%u-", (unsigned)id->node_id);
	expect(id->node_id >= 1 && id->node_id <= NODE_ID_MAX && strlen(id->fingerprint) == TLS_FINGERPRINT_SIZE - 1);
	expect(strncmp(id->name, start, strlen(start)) == 0 && strlen(id->name) == strlen(start) + 40);
	expect(tls_authority_check(pem->data, pem->size, &again, NULL, &err) == ERR_OK);
	expect(strcmp(again.name, id->name) == 0 && strcmp(again.fingerprint, id->fingerprint) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_authority_id id = {0};
	struct buf pem = {0};
	struct err err = {0};
	uint8_t *exact = malloc(size ? size : 1);
	expect(exact != NULL);
	if (size > 0)
		memcpy(exact, data, size);
	enum err_code code = tls_authority_check(exact, size, &id, &pem, &err);
	if (code == ERR_OK)
		check_passed(&id, &pem);
	else
		expect(code == ERR_MALFORMED && err.message[0] != 0 && pem.size == 0 && id.node_id == 0);
	buf_free(&pem);
	free(exact);
	return 0;
}
