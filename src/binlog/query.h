/* A query event: a statement logged as text, with the session context it ran in (its "status variables").
 *
 *     4           4          1           2            2
 *  thread id  exec time  db length  error code  status size | status variables | db, NUL | statement
 *
 * Borrowed from the event. What a status variable doesn't say is absent (its has_ flag is false). An unknown status
 * variable can't be stepped over (they carry no length), so it is ERR_UNSUPPORTED. Facts: MariaDB sql/log_event.h, Q_*.
 */
#ifndef SYNCLINE_BINLOG_QUERY_H
#define SYNCLINE_BINLOG_QUERY_H

#include "binlog/event.h"

/* OPTION_* bits of flags2 that are logged (MariaDB sql/log_event.h, OPTIONS_WRITTEN_TO_BIN_LOG). */
enum {
	QUERY_AUTO_IS_NULL = 1u << 14,
	QUERY_NO_CHECK_CONSTRAINT_CHECKS = 1u << 15, /* seen in logs of 10.11.19 */
	QUERY_NOT_AUTOCOMMIT = 1u << 19,
	QUERY_NO_FOREIGN_KEY_CHECKS = 1u << 26,
	QUERY_RELAXED_UNIQUE_CHECKS = 1u << 27,
	QUERY_EXPLICIT_DEF_TIMESTAMP = 1u << 24
};

enum { QUERY_SQL_MODE_NO_AUTO_VALUE_ON_ZERO = 1u << 19 }; /* MODE_NO_AUTO_VALUE_ON_ZERO in sql_mode */

struct query_event {
	uint32_t thread_id;
	uint16_t error_code;
	const char *database; /* borrowed, database_size bytes; "" if none */
	size_t database_size;
	const char *statement;
	size_t statement_size;

	bool has_flags2, has_sql_mode, has_auto_increment, has_charset, has_time_zone, has_lc_time_names,
	    has_charset_database, has_invoker, has_microseconds, has_xid;
	uint32_t flags2;
	uint64_t sql_mode;
	uint16_t auto_increment_increment, auto_increment_offset;
	uint16_t charset_client, collation_connection, collation_server; /* collation ids */
	const char *time_zone;
	size_t time_zone_size;
	uint16_t lc_time_names;
	uint16_t charset_database; /* collation id */
	const char *invoker_user, *invoker_host;
	size_t invoker_user_size, invoker_host_size;
	uint32_t microseconds;    /* to be added to the header's timestamp */
	uint64_t xid;             /* of a DDL statement */
	uint8_t gtid_extra_flags; /* GTID_EXTRA_*, 0 if absent: of a two-phase ALTER TABLE */
	uint64_t start_alter_seq; /* with GTID_EXTRA_COMMIT_ALTER or _ROLLBACK_ALTER */
	/* @@character_set_collations of MariaDB 11: count times 2 bytes default collation id, 2 bytes the one to use. */
	uint8_t collation_pair_count;
	const uint8_t *collation_pairs;
};

enum err_code query_parse(const struct event *event, struct query_event *ret, struct err *err) ERR_MUST_CHECK;
/* The statement is exactly this word, whatever its case: BEGIN, COMMIT, ROLLBACK. */
bool query_is(const struct query_event *query, const char *word);

#endif
