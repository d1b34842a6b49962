/* What a node asks of a peer over its own account there (syncline-N), and how the peer's daemon answers: a table in the peer's schema
 * syncline, and procedures that are all that the account may call. Who calls is told by the account, never by an argument.
 *
 *   copy      a node whose data is too old wants this node's. asked: with its vector; this node first reads all that only that node has,
 *             unless it needn't. ready: its link is held, it may read the databases; the answer says from where it reads this node's log.
 *             said: it has them, and its log begins at this vector; its link is held no more. cancelled: it thought better of it
 *   leave     a node goes out of the group. asked: with its vector; ready: all of it is here. said: forget it
 *   address   a node is reached at another address. asked, done
 *   moved     a node's log begins at this vector now, which is what node `number` had. asked with the latest time up to
 *             there, a blank, and the vector; done when all of that is here
 *
 *   asked ──daemon──► ready ──node──► said ──daemon──► done          refused: `why` says why
 *
 * Whoever asked may ask again at any time, which begins anew. The procedures run as who made them (SQL SECURITY DEFINER). While a request
 * waits, `why` says for what, and `seen` when the daemon last looked. Nothing here is logged but a node's own calls, which are housekeeping.
 * Each function may be called from any thread with a connection of its own.
 */
#ifndef SYNCLINE_NODE_REQUESTS_H
#define SYNCLINE_NODE_REQUESTS_H

#include "binlog/gtid.h"
#include "sql/connection.h"

enum request_kind { REQUEST_COPY, REQUEST_LEAVE, REQUEST_ADDRESS, REQUEST_MOVED };
enum request_state { REQUEST_ASKED, REQUEST_READY, REQUEST_SAID, REQUEST_DONE, REQUEST_REFUSED, REQUEST_CANCELLED };
enum { REQUESTS_MAX = 64 };

/* As an administrator: makes the tables and the procedures. */
enum err_code requests_prepare(struct connection *connection, struct err *err) ERR_MUST_CHECK;

/* ---- As the daemon ---- */

/* Texts are on the heap. */
struct request {
	uint32_t node;
	enum request_kind kind;
	enum request_state state; /* asked, said or cancelled */
	char *text;
	uint32_t number;
	char *why;
};

struct request_list {
	size_t count;
	struct request requests[REQUESTS_MAX];
};

/* Those that want something done. ERR_SERVER with errno 1146 where nothing was prepared. */
enum err_code request_list(struct connection *connection, struct request_list *ret, struct err *err) ERR_MUST_CHECK;
void request_list_done(struct request_list *list); /* accepts a zeroed one */
/* It was looked at; why it waits, "" for nothing to say. */
enum err_code request_seen(struct connection *connection, const struct request *request, const char *why,
                           struct err *err) ERR_MUST_CHECK;
/* Moves it on. `text` is the answer, or why it is refused; `latest`: of the times in this node's log. */
enum err_code request_answer(struct connection *connection, const struct request *request, enum request_state state,
                             const char *text, uint32_t latest, struct err *err) ERR_MUST_CHECK;
/* The node may read these databases; or no more than a peer may. */
enum err_code request_let_copy(struct connection *connection, uint32_t node, size_t database_count,
                               char *const *databases, struct err *err) ERR_MUST_CHECK;
enum err_code request_end_copy(struct connection *connection, uint32_t node, struct err *err) ERR_MUST_CHECK;
/* Drops its account, ends its connections and removes what is kept of it in the schema; the server then reads its certificates anew. */
enum err_code request_drop_peer(struct connection *connection, uint32_t node, struct err *err) ERR_MUST_CHECK;

/* ---- As the node, on a connection to the peer ---- */

struct request_reply {
	enum request_state state;
	char *answer, *why; /* heap */
	uint32_t latest;
	int64_t age_s; /* since the daemon last looked at it */
};

void request_reply_done(struct request_reply *reply); /* accepts a zeroed one */
enum err_code request_ask(struct connection *connection, enum request_kind kind, const char *text, uint32_t number,
                          struct err *err) ERR_MUST_CHECK;
enum err_code request_say(struct connection *connection, enum request_kind kind, const char *text, struct err *err)
    ERR_MUST_CHECK;
enum err_code request_cancel(struct connection *connection, enum request_kind kind, struct err *err) ERR_MUST_CHECK;
/* Waits until it is in this state. ERR_SERVER when it was refused; ERR_TIMEOUT when the daemon there says for so long why it can't get on, or
 * doesn't look at all. How long it takes doesn't count. */
enum err_code request_wait(struct connection *connection, enum request_kind kind, enum request_state state,
                           int64_t patience_ms, const volatile bool *cancelled, struct request_reply *ret,
                           struct err *err) ERR_MUST_CHECK;

#endif
