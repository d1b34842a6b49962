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

unsigned slots_enough(unsigned now, unsigned node)
{
	return now == 0 ? node : (node + now - 1) / now * now;
}

/* The node's number is where it begins. */
bool slots_collide(unsigned node, unsigned step, unsigned other, unsigned other_step)
{
	while (other_step != 0) {
		unsigned rest = step % other_step;
		step = other_step;
		other_step = rest;
	}
	return step != 0 && (node > other ? node - other : other - node) % step == 0;
}
