/* Statements that a server's crash recovery finished and logged by itself.
 *
 * When a server is killed within DDL, MariaDB's DDL log either undoes it or finishes it at the next start; what is finished is
 * then logged under the server's own domain, whoever's GTID the statement was to have (seen on 10.11.19; such an event has time
 * stamp 0 and thread 0). If it was a peer's DDL that this node was applying, that entry is only a twin: this node must not run the
 * DDL again, and no peer may take the twin for this node's own change. If it was an application's, it must travel.
 *
 *   syncline.pending     one row a link: the peer's DDL that is being run, written before it is
 *   syncline.recovered   one row a recovered statement: whose twin it is, or '' for this node's own
 *
 * The tail decides, when it finds such a statement in this node's log (recovered_decide). The link that was applying looks there
 * before it runs a DDL that was pending (recovered_is_done); a peer's link asks this node (recovered_ask).
 * Neither table is ever logged. Each function uses the connection it is given.
 */
#ifndef SYNCLINE_LINK_RECOVERED_H
#define SYNCLINE_LINK_RECOVERED_H

#include "binlog/query.h"
#include "sql/connection.h"
#include "sql/statement.h"

bool recovered_is(const struct event *event, const struct query_event *query);

enum err_code recovered_prepare(struct connection *connection, struct err *err) ERR_MUST_CHECK;
/* This link is about to run this DDL. */
enum err_code recovered_note_pending(struct connection *connection, uint32_t peer, const struct gtid *gtid,
                                     const struct statement *statement, struct err *err) ERR_MUST_CHECK;
/* Was this DDL about to be run once before? */
enum err_code recovered_was_pending(struct connection *connection, uint32_t peer, const struct gtid *gtid,
                                    bool *ret_was, struct err *err) ERR_MUST_CHECK;
/* The crash recovery of this node's server finished it. Everything in the server's log must have been decided on. */
enum err_code recovered_is_done(struct connection *connection, const struct gtid *gtid, bool *ret_done, struct err *err)
    ERR_MUST_CHECK;

/* Finds out whose the recovered statement `gtid` in this node's log is, and notes it. */
enum err_code recovered_decide(struct connection *connection, const struct gtid *gtid, const struct query_event *query,
                               struct err *err) ERR_MUST_CHECK;
/* Asks the node that logged it: whose twin it is; seq 0: nobody's. ERR_BUSY while it hasn't decided. */
enum err_code recovered_ask(struct connection *connection, const struct gtid *gtid, struct gtid *ret_twin_of,
                            struct err *err) ERR_MUST_CHECK;

#endif
