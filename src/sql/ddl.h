/* Statements that the origin logged as text (DDL), run here as they ran there.
 *
 * The session context comes from the query event: default database, sql_mode, character sets, time zone, time stamp,
 * foreign_key_checks and so on. The transaction gets the origin's GTID, so that it is in this server's vector. DDL can't
 * share a transaction with the link's cursor; the vector alone makes it exactly-once.
 * ddl_apply leaves the session as apply_open made it.
 */
#ifndef SYNCLINE_SQL_DDL_H
#define SYNCLINE_SQL_DDL_H

#include "binlog/query.h"
#include "sql/connection.h"

struct ddl {
	struct gtid gtid;
	const struct query_event *query;
	uint32_t timestamp;    /* of the event's header */
	const char *statement; /* what to run: the query's statement, or what it became */
	size_t statement_size;
	const char *database; /* default database; NULL: one where nothing can be meant by an unqualified name */
	uint64_t insert_id;   /* 0: none */
};

enum err_code ddl_apply(struct connection *connection, const struct ddl *ddl, struct err *err) ERR_MUST_CHECK;

/* Commits a transaction of this GTID without any change, for one that is to be passed over. */
enum err_code ddl_pass_over(struct connection *connection, const struct gtid *gtid, uint32_t peer, struct err *err)
    ERR_MUST_CHECK;

#endif
