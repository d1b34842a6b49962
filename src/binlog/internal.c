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
