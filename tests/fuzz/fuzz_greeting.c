/* Fuzzes src/node/greeting: the first packet of whatever listens at an address, without its head.
 *
 * What it refuses it refuses by a line that can be printed. The packet lies in memory of exactly its size, for ASan.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/greeting.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	uint8_t *exact = malloc(size ? size : 1);
	expect(exact != NULL);
	if (size > 0)
		memcpy(exact, data, size);
	enum err_code code = greeting_check(exact, size, &err);
	expect(code == err.code || code == ERR_OK);
	expect(code == ERR_OK || code == ERR_MALFORMED || code == ERR_SERVER || code == ERR_UNSUPPORTED);
	for (const char *c = err.message; *c != 0; c++)
		expect(*c >= ' ' && *c < 0x7f);
	expect(strlen(err.sqlstate) == 0 || (code == ERR_SERVER && strlen(err.sqlstate) == sizeof err.sqlstate - 1));
	expect(greeting_check(exact, size, NULL) == code);
	free(exact);
	return 0;
}
