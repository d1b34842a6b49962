/* Statements that leave tables without rows: TRUNCATE, DROP TABLE, CREATE OR REPLACE TABLE. To the history they are a delete of every
 * row (merge/history.h), so it has to know what their origin knew. A statement has no manifest that would tell, and DROP is
 * logged anew, without comments; so the link that is about to run one notes its context in
 *
 *   syncline.emptied   one row a statement of a peer's: its stamp's time and its context; never logged
 *
 * where this node's tail finds it, and the links of peers that get the statement from this node. A row goes when the statement is
 * everywhere. Each function uses the connection it is given.
 */
#ifndef SYNCLINE_LINK_EMPTIED_H
#define SYNCLINE_LINK_EMPTIED_H

#include "binlog/gtid.h"
#include "sql/connection.h"
#include "sql/statement.h"

/* It is one of these; each name in it whose role is ROLE_OBJECT is a table's that has no rows afterwards. */
bool emptied_is(const struct statement *statement);

struct emptied {
	struct gtid gtid;
	uint32_t time; /* of its stamp */
	struct vector context;
};

enum err_code emptied_prepare(struct connection *connection, struct err *err) ERR_MUST_CHECK;
enum err_code emptied_note(struct connection *connection, const struct emptied *emptied, struct err *err)
    ERR_MUST_CHECK;
/* By its gtid. What is not found leaves time and context as they are. */
enum err_code emptied_find(struct connection *connection, struct emptied *emptied, struct err *err) ERR_MUST_CHECK;
/* Everything up to this vector is everywhere. */
enum err_code emptied_forget(struct connection *connection, const struct vector *everywhere, struct err *err)
    ERR_MUST_CHECK;

#endif
