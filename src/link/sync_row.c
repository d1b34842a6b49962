#include "link/sync_row.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "link/bookkeeper.h"
#include "sql/connection.h"

enum { WAITS_MS = 3000 };

static const char *const names[] = {
    [SYNC_SUCCESS] = "SUCCESS", [SYNC_FAILED] = "FAILED", [SYNC_IN_PROGRESS] = "IN_PROGRESS"};

/* To whole characters of UTF-8. */
static void set_name(struct sync_row *row, const char *name)
{
	size_t size = 0, characters = 0;
	for (; name[size] != '\0' && size + 1 < sizeof row->name; size++)
		if (((uint8_t)name[size] & 0xc0) != 0x80 && ++characters > SYNC_ROW_NAME_CHARS)
			break;
	memcpy(row->name, name, size);
	row->name[size] = '\0';
}

struct sync_row sync_row_make(const struct touched_table *table, const char *failed, int64_t now_ms)
{
	bool waits = table->from != 0 && now_ms - table->waits_ms >= WAITS_MS;
	struct sync_row row = {.time_s = table->synced_s, .error = failed};
	row.status = failed[0] != '\0' ? SYNC_FAILED : waits ? SYNC_IN_PROGRESS : SYNC_SUCCESS;
	set_name(&row, table->name);
	return row;
}

struct sync_row sync_row_keep(const char *name, int64_t time_s, const char *failed)
{
	struct sync_row row = {.time_s = time_s, .error = failed};
	row.status = failed[0] != '\0' ? SYNC_FAILED : SYNC_SUCCESS;
	set_name(&row, name);
	return row;
}

bool sync_row_parse_status(const char *text, enum sync_status *ret_status)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret_status = (enum sync_status)i;
			return true;
		}
	return false;
}

bool sync_row_differs(const struct sync_row *row, int64_t time_s, enum sync_status status, const char *error)
{
	return row->time_s > time_s || row->status != status || strcmp(row->error, error) != 0;
}

void sync_row_append_sql(const struct sync_row *row, const char *database, uint32_t node, bool is_there, struct buf *to)
{
	buf_append_str(to, is_there ? "UPDATE " : "INSERT INTO ");
	sql_append_name(to, database);
	buf_printf(to,
	           "." BOOKKEEPER_TABLE " SET last_sync_timestamp=FROM_UNIXTIME(%" PRId64
	           "), sync_status='%s', error_message=",
	           row->time_s, names[row->status]);
	if (row->error[0] != '\0')
		sql_append_text(to, row->error);
	else
		buf_append_str(to, "NULL");
	buf_printf(
	    to, is_there ? " WHERE node_id='node%u' AND table_name=" : ", node_id='node%u', table_name=", (unsigned)node);
	sql_append_text(to, row->name);
	buf_append_str(to, ";");
}
