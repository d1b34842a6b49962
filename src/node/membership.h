/* How a node comes in: what the inviting node's server keeps of it, in the schema syncline, and the procedures
 * through which accounts that may do nothing else take part.
 *
 *   invitation   made by `syncline invite`; its account knows the one-time secret and may call ask and answer
 *   open         nobody has asked yet. It expires
 *   asked        by a node, with its number, address and authority: the inviting node's daemon looks at it. `why`
 *                says what it waits for
 *   admitted     the node has an account and may copy; the inviting node counts it among the nodes, and doesn't read
 *                its log yet
 *   joined       the node has what the inviting node had: its log may be read from there on
 *   done         it is. The invitation's account is gone
 *   refused      `why` says why
 *
 * Whoever asked may ask again with the same authority, so an interrupted join goes on. The procedures run as who
 * made the invitation (SQL SECURITY DEFINER), so neither the daemon's account nor a peer's needs to be able to make
 * accounts. Nothing here is logged. Each function may be called from any thread with a connection of its own.
 */
#ifndef SYNCLINE_NODE_MEMBERSHIP_H
#define SYNCLINE_NODE_MEMBERSHIP_H

#include "base/buf.h"
#include "sql/connection.h"
#include "sql/server.h"

/* Texts are on the heap, freed with membership_row_done. */
struct membership_row {
	uint32_t invitation;
	char *state;
	uint32_t node; /* 0: nobody has asked */
	char *address, *authority, *vector;
};

void membership_row_done(struct membership_row *row); /* accepts a zeroed one */

/* As an administrator: makes the table and the procedures. */
enum err_code membership_prepare(struct connection *connection, struct err *err) ERR_MUST_CHECK;
/* As an administrator. `offer`: what the invited node is told. The secret goes to the server as a hash. */
enum err_code membership_invite(struct connection *connection, const char *secret, unsigned valid_s, const char *offer,
                                uint32_t *ret_invitation, struct err *err) ERR_MUST_CHECK;

/* As the daemon. Whether anything may come of an invitation; one that wants something done (asked, joined), else node is 0. Invitations that
 * have expired go. */
enum err_code membership_next(struct connection *connection, bool *ret_any, struct membership_row *ret_row,
                              struct err *err) ERR_MUST_CHECK;
/* The node has an account, which it gets into with certificates of the authority of this name, and may read these databases. */
enum err_code membership_admit(struct connection *connection, const struct membership_row *row, const char *issuer,
                               const char *answer, size_t database_count, char *const *databases, struct err *err)
    ERR_MUST_CHECK;
/* The node's account, if it has one, may read these databases from now on: verify/verify.h. Nothing where nobody made the procedures. */
enum err_code membership_let_look(struct connection *connection, uint32_t node, size_t database_count,
                                  char *const *databases, struct err *err) ERR_MUST_CHECK;
enum err_code membership_refuse(struct connection *connection, uint32_t invitation, const char *why, struct err *err)
    ERR_MUST_CHECK;
/* Who asked is told what it waits for: goes on from "waiting …". */
enum err_code membership_tell(struct connection *connection, uint32_t invitation, const char *what, struct err *err)
    ERR_MUST_CHECK;
/* A node that another one lets in has an account, as above, and may read no database. */
enum err_code membership_meet(struct connection *connection, uint32_t node, const char *issuer, struct err *err)
    ERR_MUST_CHECK;
/* It may read the databases no more. `latest`: of the times in this node's log. */
enum err_code membership_finish(struct connection *connection, const struct membership_row *row, uint32_t latest,
                                struct err *err) ERR_MUST_CHECK;

/* As the invited node, by the invitation's account. The offer is what the invitation says. */
enum err_code membership_hello(struct connection *connection, struct buf *ret_offer, struct err *err) ERR_MUST_CHECK;
enum err_code membership_ask(struct connection *connection, uint32_t node, const char *address, const char *authority,
                             struct err *err) ERR_MUST_CHECK;
struct membership_answer {
	char *state, *answer, *vector, *why; /* heap; vector: what joined told */
	uint32_t latest;                     /* once it is done */
};

void membership_answer_done(struct membership_answer *answer); /* accepts a zeroed one */
/* Waits until the invitation has this state, or is done. Meanwhile says() is told, again and again, what the other
 * node is waiting for; plain data, borrowed. */
struct membership_wish {
	const char *state;
	int64_t silent_ms;  /* for the first word of the other node's daemon */
	int64_t timeout_ms; /* while it says what it is waiting for */
	const volatile bool *cancelled;
	void (*says)(void *context, const char *what);
	void *context;
};
/* ERR_SERVER with the reason when it was refused. */
enum err_code membership_wait(struct connection *connection, const struct membership_wish *wish,
                              struct membership_answer *ret, struct err *err) ERR_MUST_CHECK;
enum err_code membership_joined(struct connection *connection, const struct vector *vector, struct err *err)
    ERR_MUST_CHECK;

#endif
