/* Is a table already what a statement would make it? Asked when the server refuses the statement since something is there, or gone:
 * both nodes got the same CREATE or ALTER while they were apart.
 *
 * The statement is run on a table of the same name in a database of its own, which isn't logged and is dropped again: a CREATE as it
 * is; an ALTER or CREATE INDEX on a table like this one, from which what stands in its way (a column or an index that it adds) was
 * taken, or to which a column that it drops was added. If that makes the table that is here, with
 * its indexes in the same order, it is done already. A dropped index is not put back: then nobody can tell. One thread.
 */
#ifndef SYNCLINE_LINK_ALREADY_H
#define SYNCLINE_LINK_ALREADY_H

#include "sql/ddl.h"
#include "sql/statement.h"

/* Whether to ask at all, given the server's error; 0 for a CREATE TABLE IF NOT EXISTS that made nothing. */
bool already_is_question(const struct statement *statement, unsigned server_errno);
/* here and there: the two definitions, on one line each, if *ret_is_so is false and they are known; both are appended to. `peer`
 * names the database, so that links don't meet. */
enum err_code already_ask(struct connection *connection, const struct ddl *ddl, const struct statement *statement,
                          uint32_t peer, bool *ret_is_so, struct buf *here, struct buf *there, struct err *err)
    ERR_MUST_CHECK;

#endif
