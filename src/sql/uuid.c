#include "sql/uuid.h"

#include <stdbool.h>
#include <stdlib.h>

static unsigned hex_byte(const char *digits)
{
	char byte[3] = {digits[0], digits[1], '\0'};
	return (unsigned)strtoul(byte, NULL, 16);
}

/* UUIDs that begin with a time may be stored with their parts the other way round (MariaDB sql/sql_type_uuid.h; tried on
 * 10.11.19 with each version and variant). */
static bool is_swapped(const char *shown)
{
	unsigned version = hex_byte(shown + 12), variant = hex_byte(shown + 16);
	return (variant & 0x80) && version > 0 && version < 0x60;
}

struct uuid_part {
	unsigned at, size;
};

static void append_parts(struct buf *to, const char *digits, const struct uuid_part parts[5])
{
	for (size_t i = 0; i < 5; i++)
		buf_append(to, digits + parts[i].at, parts[i].size);
}

void uuid_append_literal(struct buf *sql, const char *stored)
{
	static const struct uuid_part parts[5] = {{24, 8}, {20, 4}, {16, 4}, {12, 4}, {0, 12}};
	struct buf shown = {0};
	append_parts(&shown, stored, parts);
	buf_printf(sql, "x'%s'", is_swapped(buf_str(&shown)) ? buf_str(&shown) : stored);
	buf_free(&shown);
}

void uuid_append_stored(struct buf *to, const char *shown)
{
	static const struct uuid_part parts[5] = {{20, 12}, {16, 4}, {12, 4}, {8, 4}, {0, 8}};
	if (is_swapped(shown))
		append_parts(to, shown, parts);
	else
		buf_append_str(to, shown);
}
