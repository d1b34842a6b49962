/* What the rules for keys make of values, with a server's collations.
 *
 *   keys_print SOCKET < VALUES
 *
 * VALUES: a line "type collation prefix hex" each: numbers as in a table map, how many characters count (0: all), and
 * the content, "-" if it is empty. Prints the key's bytes in hexadecimal, a line each. A test tool: it stops at the
 * first error with status 1.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sql/collations.h"

enum { TEXT_SIZE = 4096 };

static void check(enum err_code code, const struct err *err)
{
	if (code == ERR_OK)
		return;
	fprintf(stderr, "keys_print: %s\n", err->message);
	exit(1);
}

static void print_key(struct collations *collations, struct connection *connection, const struct column *column,
                      unsigned prefix, const struct buf *content)
{
	struct key_rule rule;
	struct err err;
	struct buf key = {0};
	check(collations_rule(collations, connection, column, prefix, &rule, &err), &err);
	check(collations_learn(collations, connection, &rule, content->data, content->size, &err), &err);
	key_rule_append(&rule, content->data, content->size, &key);
	for (size_t i = 0; i < key.size; i++)
		printf("%02x", key.data[i]);
	printf("\n");
	buf_free(&key);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: keys_print SOCKET < VALUES\n");
		return 1;
	}
	struct connection *connection = connection_new();
	struct collations *collations = collations_new();
	struct err err;
	check(connection_open(connection, &(struct connection_target){.socket = argv[1]}, &err), &err);
	unsigned type, collation, prefix;
	char text[TEXT_SIZE];
	while (scanf("%u %u %u %4095s", &type, &collation, &prefix, text) == 4) {
		struct column column = {.type = (uint8_t)type, .collation = (uint16_t)collation};
		struct buf content = {0};
		unsigned byte;
		for (const char *at = text; sscanf(at, "%2x", &byte) == 1; at += 2)
			buf_append_u8(&content, (uint8_t)byte);
		print_key(collations, connection, &column, prefix, &content);
		buf_free(&content);
	}
	collations_free(collations);
	connection_free(connection);
	return 0;
}
