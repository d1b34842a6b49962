#include "node/slots.h"

#include <stdlib.h>

enum err_code slots_of_server(struct connection *connection, unsigned *ret, struct err *err)
{
	static const char sql[] =
	    "SELECT LEAST(@@GLOBAL.auto_increment_increment, COALESCE((SELECT MIN(slots) FROM syncline.steps),65535))";
	struct buf text = {0};
	enum err_code code = connection_value(connection, sql, sizeof sql - 1, &text, NULL, err);
	if (code == ERR_OK)
		*ret = (unsigned)strtoul(buf_str(&text), NULL, 10);
	buf_free(&text);
	return code;
}
