#include "binlog/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum err_code event_fail(const struct event *event, enum err_code code, struct err *err, const char *format, ...)
{
	char what[512];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	return err_set(err, code, "%s event that ends at %" PRIu32 ": %s", event_type_name(event->type),
	               event->next_position, what);
}

enum err_code event_expect(const struct event *event, uint8_t type, struct err *err)
{
	if (event->type == type)
		return ERR_OK;
	return event_fail(event, ERR_USAGE, err, "taken for a %s event", event_type_name(type));
}

size_t event_begin(uint8_t type, uint32_t timestamp, uint32_t server, struct buf *to)
{
	size_t begin = to->size;
	buf_append_u32(to, timestamp);
	buf_append_u8(to, type);
	buf_append_u32(to, server);
	buf_append_u32(to, 0); /* length: event_end */
	buf_append_u32(to, 0); /* it isn't in a log: no position */
	buf_append_u16(to, 0);
	return begin;
}

void event_end(size_t begin, struct buf *to)
{
	size_t size = to->size - begin;
	for (int i = 0; i < 4; i++)
		to->data[begin + EVENT_LENGTH_AT + i] = (uint8_t)(size >> (8 * i));
}
