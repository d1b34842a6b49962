/* Schema changes: what becomes of a statement that a peer logged as text.
 *
 *   DDL on replicated databases      applied, in order, under its own GTID
 *   DDL on others, accounts, FLUSH…  each server's own matter: ignored
 *   DML, XA, what nobody understands refused, with the reason and what to do
 *
 * Where a table is decides, never the session's default database. A DROP of tables inside and outside is narrowed to those
 * inside; any other statement that is both is refused. One thread; a verdict is owned by the caller.
 */
#ifndef SYNCLINE_LINK_SCHEMA_H
#define SYNCLINE_LINK_SCHEMA_H

#include "binlog/query.h"
#include "node/settings.h"
#include "sql/connection.h"
#include "sql/statement.h"

enum schema_what { SCHEMA_IGNORE, SCHEMA_APPLY, SCHEMA_REFUSE };

struct schema_verdict {
	enum schema_what what;
	const char *why;  /* SCHEMA_REFUSE: "holds …", static */
	const char *mend; /* what to do, static */
	struct statement statement;
	struct buf narrowed; /* the statement to run instead, if not empty */
};

struct schema_change {
	const struct query_event *query; /* borrowed, all of it */
	struct gtid gtid;
	uint8_t gtid_extra_flags;
	uint32_t timestamp;
	uint64_t insert_id;
	const struct settings *settings;
	const struct schema_verdict *verdict; /* for schema_apply */
};

/* *ret is to be freed in any case. */
enum err_code schema_judge(const struct schema_change *change, struct schema_verdict *ret, struct err *err)
    ERR_MUST_CHECK;
void schema_verdict_free(struct schema_verdict *verdict);

/* Runs it. What it asks for may be so already (a DROP of what is not here): then the transaction is only noted. */
enum err_code schema_apply(const struct schema_change *change, struct connection *connection, uint32_t peer,
                           const char *who, struct err *err) ERR_MUST_CHECK;

#endif
