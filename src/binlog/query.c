#include "binlog/query.h"

#include <string.h>
#include <strings.h>

#include "binlog/internal.h"

static const char *read_string(struct cursor *c, size_t size)
{
	return (const char *)cursor_bytes(c, size);
}

static void read_flags2(struct cursor *c, struct query_event *q)
{
	q->has_flags2 = true;
	q->flags2 = cursor_u32(c);
}

static void read_sql_mode(struct cursor *c, struct query_event *q)
{
	q->has_sql_mode = true;
	q->sql_mode = cursor_u64(c);
}

static void skip_catalog_nul(struct cursor *c, struct query_event *q)
{
	(void)q;
	cursor_skip(c, (size_t)cursor_u8(c) + 1);
}

static void skip_catalog(struct cursor *c, struct query_event *q)
{
	(void)q;
	cursor_skip(c, cursor_u8(c));
}

static void read_auto_increment(struct cursor *c, struct query_event *q)
{
	q->has_auto_increment = true;
	q->auto_increment_increment = cursor_u16(c);
	q->auto_increment_offset = cursor_u16(c);
}

static void read_charset(struct cursor *c, struct query_event *q)
{
	q->has_charset = true;
	q->charset_client = cursor_u16(c);
	q->collation_connection = cursor_u16(c);
	q->collation_server = cursor_u16(c);
}

static void read_time_zone(struct cursor *c, struct query_event *q)
{
	q->has_time_zone = true;
	q->time_zone_size = cursor_u8(c);
	q->time_zone = read_string(c, q->time_zone_size);
}

static void read_lc_time_names(struct cursor *c, struct query_event *q)
{
	q->has_lc_time_names = true;
	q->lc_time_names = cursor_u16(c);
}

static void read_charset_database(struct cursor *c, struct query_event *q)
{
	q->has_charset_database = true;
	q->charset_database = cursor_u16(c);
}

static void skip_table_map_for_update(struct cursor *c, struct query_event *q)
{
	(void)q;
	cursor_skip(c, 8);
}

static void skip_master_data_written(struct cursor *c, struct query_event *q)
{
	(void)q;
	cursor_skip(c, 4);
}

static void read_invoker(struct cursor *c, struct query_event *q)
{
	q->has_invoker = true;
	q->invoker_user_size = cursor_u8(c);
	q->invoker_user = read_string(c, q->invoker_user_size);
	q->invoker_host_size = cursor_u8(c);
	q->invoker_host = read_string(c, q->invoker_host_size);
}

static void read_microseconds(struct cursor *c, struct query_event *q)
{
	q->has_microseconds = true;
	q->microseconds = cursor_u24(c);
}

static void read_xid(struct cursor *c, struct query_event *q)
{
	q->has_xid = true;
	q->xid = cursor_u64(c);
}

static void read_gtid_flags(struct cursor *c, struct query_event *q)
{
	q->gtid_extra_flags = cursor_u8(c);
	if (q->gtid_extra_flags & (GTID_EXTRA_COMMIT_ALTER | GTID_EXTRA_ROLLBACK_ALTER))
		q->start_alter_seq = cursor_u64(c);
}

/* MariaDB 11.3 on: pairs of a character set's default collation and the one to be taken instead. */
static void read_collations(struct cursor *c, struct query_event *q)
{
	q->collation_pair_count = cursor_u8(c);
	q->collation_pairs = cursor_bytes(c, (size_t)q->collation_pair_count * 4);
}

/* MariaDB sql/log_event.h, Q_*. What is only skipped is no longer written or means nothing to us. */
static const struct status_variable {
	uint8_t code;
	void (*read)(struct cursor *c, struct query_event *q);
} status_variables[] = {
    {0, read_flags2},
    {1, read_sql_mode},
    {2, skip_catalog_nul},
    {3, read_auto_increment},
    {4, read_charset},
    {5, read_time_zone},
    {6, skip_catalog},
    {7, read_lc_time_names},
    {8, read_charset_database},
    {9, skip_table_map_for_update},
    {10, skip_master_data_written},
    {11, read_invoker},
    {128, read_microseconds},
    {129, read_xid},
    {130, read_gtid_flags},
    {131, read_collations},
};

static const struct status_variable *find_status_variable(uint8_t code)
{
	for (size_t i = 0; i < sizeof status_variables / sizeof *status_variables; i++)
		if (status_variables[i].code == code)
			return &status_variables[i];
	return NULL;
}

enum err_code query_parse(const struct event *event, struct query_event *ret, struct err *err)
{
	enum err_code code = event_expect(event, EVENT_QUERY, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(event->body, event->body_size);
	struct query_event query = {0};
	query.thread_id = cursor_u32(&c);
	cursor_skip(&c, 4);
	query.database_size = cursor_u8(&c);
	query.error_code = cursor_u16(&c);
	struct cursor status = cursor_sub(&c, cursor_u16(&c));
	while (cursor_ok(&status) && cursor_left(&status) > 0) {
		uint8_t variable_code = cursor_u8(&status);
		const struct status_variable *variable = find_status_variable(variable_code);
		if (variable == NULL)
			return event_fail(event, ERR_UNSUPPORTED, err,
			                  "unknown status variable %u; a newer MariaDB wrote it than this program knows",
			                  variable_code);
		variable->read(&status, &query);
	}
	query.database = read_string(&c, query.database_size);
	uint8_t nul = cursor_u8(&c);
	query.statement_size = cursor_left(&c);
	query.statement = read_string(&c, query.statement_size);
	if (!cursor_ok(&c) || !cursor_ok(&status) || nul != 0)
		return event_fail(event, ERR_MALFORMED, err, "cut off or garbled");
	*ret = query;
	return ERR_OK;
}

bool query_is(const struct query_event *query, const char *word)
{
	size_t size = strlen(word);
	return query->statement_size == size && strncasecmp(query->statement, word, size) == 0;
}
