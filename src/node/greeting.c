#include "node/greeting.h"

#include <string.h>

#include "base/cursor.h"

enum { PROTOCOL_VERSION = 10, ERR_PACKET = 0xff, MESSAGE_BYTES_MAX = 300, SQLSTATE_BYTES = 5 };

enum err_code greeting_not_mariadb(const char *why, struct err *err)
{
	return err_set(err, ERR_MALFORMED, "what answers is no MariaDB server: %s; check the address and the port", why);
}

/* An ERR packet instead of the greeting: "Host … is not allowed to connect" (https://mariadb.com/kb/en/err_packet/).
 *   1 0xff, 2 errno, [1 '#', 5 SQLSTATE], the message up to the end */
static enum err_code refused(struct cursor *c, struct err *err)
{
	char text[MESSAGE_BYTES_MAX + 1] = "", sqlstate[SQLSTATE_BYTES + 1] = "";
	unsigned server_errno = cursor_u16(c);
	if (!cursor_ok(c))
		return greeting_not_mariadb("its error is cut off", err);
	if (cursor_left(c) > SQLSTATE_BYTES && *c->pos == '#') {
		memcpy(sqlstate, cursor_bytes(c, SQLSTATE_BYTES + 1) + 1, SQLSTATE_BYTES);
		for (int i = 0; i < SQLSTATE_BYTES; i++)
			if ((sqlstate[i] < '0' || sqlstate[i] > '9') && (sqlstate[i] < 'A' || sqlstate[i] > 'Z'))
				sqlstate[i] = '0';
	}
	for (size_t i = 0; i < MESSAGE_BYTES_MAX && cursor_left(c) > 0; i++) {
		uint8_t byte = cursor_u8(c);
		text[i] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
	}
	enum err_code code =
	    err_set(err, ERR_SERVER, "the server refused: %s (%u); mend that on the server", text, server_errno);
	if (err != NULL) {
		err->server_errno = server_errno;
		memcpy(err->sqlstate, sqlstate, sizeof sqlstate);
	}
	return code;
}

/* The greeting (https://mariadb.com/kb/en/connection/#initial-handshake-packet), as far as it matters:
 *   1 protocol version, server version up to NUL, 4 connection id, 8 of the scramble, 1 filler, 2 capabilities */
enum err_code greeting_check(const uint8_t *packet, size_t size, struct err *err)
{
	struct cursor c = cursor_of(packet, size);
	uint8_t version = cursor_u8(&c);
	if (cursor_ok(&c) && version == ERR_PACKET)
		return refused(&c, err);
	if (version != PROTOCOL_VERSION)
		return greeting_not_mariadb("its protocol version is not 10", err);
	while (cursor_u8(&c) != 0)
		;
	cursor_skip(&c, 4 + 8 + 1);
	uint16_t capabilities = cursor_u16(&c);
	if (!cursor_ok(&c))
		return greeting_not_mariadb("its greeting is cut off", err);
	if ((capabilities & GREETING_CLIENT_SSL) == 0)
		return err_set(err, ERR_UNSUPPORTED,
		               "the server has no TLS; set ssl_cert and ssl_key in its options and start it again");
	return ERR_OK;
}
