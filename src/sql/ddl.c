#include "sql/ddl.h"

#include <string.h>

#include "sql/server.h"

/* The variables that a query event logs, set as mariadb-binlog prints them: numbers stand for collations and character
 * sets (MariaDB sql/log_event_client.cc, Query_log_event::print_query_header). */
static void append_context(const struct ddl *ddl, struct buf *sql)
{
	const struct query_event *q = ddl->query;
	if (ddl->database != NULL) {
		buf_append_str(sql, "USE ");
		sql_append_name(sql, ddl->database);
		buf_append_str(sql, ";");
	} else {
		buf_append_str(sql, "USE " SYNCLINE_SCHEMA ";");
	}
	buf_printf(sql, "SET SESSION timestamp=%u.%06u", (unsigned)ddl->timestamp,
	           q->has_microseconds ? (unsigned)q->microseconds : 0);
	if (q->has_flags2)
		buf_printf(sql, ", foreign_key_checks=%d, unique_checks=%d, check_constraint_checks=%d, sql_auto_is_null=%d",
		           !(q->flags2 & QUERY_NO_FOREIGN_KEY_CHECKS), !(q->flags2 & QUERY_RELAXED_UNIQUE_CHECKS),
		           !(q->flags2 & QUERY_NO_CHECK_CONSTRAINT_CHECKS), !!(q->flags2 & QUERY_AUTO_IS_NULL));
	if (q->has_flags2 && (q->flags2 & QUERY_EXPLICIT_DEF_TIMESTAMP) != 0)
		buf_append_str(sql, ", explicit_defaults_for_timestamp=1");
	else if (q->has_flags2)
		buf_append_str(sql, ", explicit_defaults_for_timestamp=0");
	if (q->has_auto_increment)
		buf_printf(sql, ", auto_increment_increment=%u, auto_increment_offset=%u", q->auto_increment_increment,
		           q->auto_increment_offset);
	if (q->has_lc_time_names)
		buf_printf(sql, ", lc_time_names=%u", q->lc_time_names);
	if (q->has_time_zone) {
		buf_append_str(sql, ", time_zone=");
		sql_append_string(sql, q->time_zone, q->time_zone_size);
	}
	if (q->has_charset_database)
		buf_printf(sql, ", collation_database=%u", q->charset_database);
	if (ddl->insert_id != 0)
		buf_printf(sql, ", insert_id=%llu", (unsigned long long)ddl->insert_id);
	if (q->has_charset)
		buf_printf(sql, ", character_set_client=%u, collation_connection=%u, collation_server=%u", q->charset_client,
		           q->collation_connection, q->collation_server);
	if (q->has_sql_mode) /* last: it must not change how the rest is read */
		buf_printf(sql, ", sql_mode=%llu", (unsigned long long)q->sql_mode);
	buf_append_str(sql, ";");
}

static const char restore[] =
    "SET SESSION sql_mode='', timestamp=DEFAULT, foreign_key_checks=1, unique_checks=1, check_constraint_checks=1,"
    " sql_auto_is_null=0, time_zone=DEFAULT, lc_time_names=DEFAULT,"
    " explicit_defaults_for_timestamp=DEFAULT, auto_increment_increment=DEFAULT,"
    " auto_increment_offset=DEFAULT, collation_server=DEFAULT, collation_database=DEFAULT;"
    "SET NAMES utf8mb4";

static void append_gtid(const struct gtid *gtid, struct buf *sql)
{
	buf_printf(sql, "SET SESSION gtid_domain_id=%u, SESSION server_id=%u, SESSION gtid_seq_no=%llu;",
	           (unsigned)gtid->domain, (unsigned)gtid->server, (unsigned long long)gtid->seq);
}

enum err_code ddl_apply(struct connection *connection, const struct ddl *ddl, struct err *err)
{
	struct buf sql = {0};
	append_context(ddl, &sql);
	append_gtid(&ddl->gtid, &sql);
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	/* By itself: its bytes are in the origin's character set and may hold any number of statements' worth of `;`. */
	if (code == ERR_OK)
		code = connection_run_n(connection, ddl->statement, ddl->statement_size, err);
	/* After a refusal too: the session goes on. The refusal is what is told then. */
	enum err_code restored = ERR_OK;
	if (code == ERR_OK || code == ERR_SERVER)
		restored = connection_run(connection, restore, code == ERR_OK ? err : NULL);
	buf_free(&sql);
	return code == ERR_OK ? restored : code;
}

enum err_code ddl_pass_over(struct connection *connection, const struct gtid *gtid, uint32_t peer, struct err *err)
{
	/* The manifest changes in any case, so that there is something to log. */
	struct buf sql = {0};
	append_gtid(gtid, &sql);
	buf_printf(&sql,
	           "BEGIN;"
	           "INSERT IGNORE INTO " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE
	           " (peer, position, manifest, latest) VALUES (%u,'','',0);"
	           "UPDATE " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE
	           " SET manifest=IF(manifest=x'00','',x'00') WHERE peer=%u;"
	           "COMMIT",
	           (unsigned)peer, (unsigned)peer);
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}
