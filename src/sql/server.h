/* What Syncline needs a server to be, and what it keeps there.
 *
 * server_check asks a server for the settings that replication stands on (requirements.h) and says which one is wrong and how
 * to mend it.
 * server_prepare makes the schema `syncline` (never logged: each node has its own):
 *   syncline.links      one row a peer: `position`, the peer's vector up to which this node has applied everything (the cursor),
 *                       `latest`, the latest commit time in the peer's log up to there (merge/stamp.h), and the manifest of the last
 *                       batch, all written in the batch's own transaction. The row of this node itself is where the tail
 *                       starts; row 0 carries the manifests of this node's own transactions.
 *   syncline.policies   hashes of this node's policies, for its peers to read (link/policies.h)
 *   syncline.members    the nodes that this node knows, for its peers to read (node/members.h)
 *   syncline.seed       what this node's history begins with, at most one row (struct server_seed)
 *   syncline.recorded   the conflicts that are in replication_conflicts, as long as one could turn up again, by loser
 *   syncline.forgotten row 0: up to where this node's log was purged though some node lacked that (link/retention.h);
 *                       row 1, if there is one: from where on the merge engine, which doesn't run, still needs it
 *   syncline.found      what a link found here that no log holds and the resolver is to put into replication_conflicts
 */
#ifndef SYNCLINE_SQL_SERVER_H
#define SYNCLINE_SQL_SERVER_H

#include "binlog/gtid.h"
#include "sql/connection.h"

#define SYNCLINE_SCHEMA "syncline"
#define SYNCLINE_LINKS_TABLE "links"
#define SYNCLINE_RECORDED_TABLE "recorded"
#define SYNCLINE_FOUND_TABLE "found"
#define SYNCLINE_FORGOTTEN_TABLE "forgotten"
#define SYNCLINE_POLICIES_TABLE "policies"
#define SYNCLINE_MEMBERS_TABLE "members"
#define SYNCLINE_SEED_TABLE "seed"

/* node_id: whose server it should be. `name` is for messages. */
enum err_code server_check(struct connection *connection, const char *name, uint32_t node_id, struct err *err)
    ERR_MUST_CHECK;
enum err_code server_prepare(struct connection *connection, struct err *err) ERR_MUST_CHECK;
/* Waits until no other session applies this peer's log here, and keeps others out for as long as this session lives: one
 * that was left behind may still be committing, and only then does the vector tell the truth. ERR_BUSY: try again. */
enum err_code server_lock_link(struct connection *connection, uint32_t peer, struct err *err) ERR_MUST_CHECK;
/* @@gtid_binlog_pos: what is in the server's log. */
enum err_code server_vector(struct connection *connection, struct vector *ret_vector, struct err *err) ERR_MUST_CHECK;
/* The same, and what time it is there, in microseconds since 1970. */
enum err_code server_vector_and_time(struct connection *connection, struct vector *ret_vector, int64_t *ret_us,
                                     struct err *err) ERR_MUST_CHECK;
/* Where the reading of a log goes on, and the latest commit time in it up to there. */
struct server_position {
	struct vector vector;
	uint32_t latest;
};
/* Of the link from this peer, or of the tail (this node's id); empty if there is none yet. */
enum err_code server_load_position(struct connection *connection, uint32_t peer, struct server_position *ret_position,
                                   struct err *err) ERR_MUST_CHECK;
/* Saves it where no batch did; not logged, since it is nobody else's matter. */
enum err_code server_save_position(struct connection *connection, uint32_t peer, const struct server_position *position,
                                   struct err *err) ERR_MUST_CHECK;
/* The row of syncline.forgotten; an empty vector if there is none. */
enum err_code server_load_forgotten(struct connection *connection, struct vector *ret_vector, struct err *err)
    ERR_MUST_CHECK;
enum err_code server_save_forgotten(struct connection *connection, const struct vector *vector, struct err *err)
    ERR_MUST_CHECK;

/* Row 1 there: what the merge engine had left to do when another engine took over begins behind this position in this
 * node's log; NULL, or *ret_is false: nothing is left. */
enum err_code server_save_unsettled(struct connection *connection, const struct vector *from, struct err *err)
    ERR_MUST_CHECK;
enum err_code server_load_unsettled(struct connection *connection, bool *ret_is, struct vector *ret_from,
                                    struct err *err) ERR_MUST_CHECK;

/* Where a node's own tail may start: what it saved, or where its oldest log file begins. Also asked of a peer's
 * server: all up to there is everywhere. */
enum err_code server_first_position(struct connection *connection, uint32_t node, struct server_position *ret_position,
                                    struct err *err) ERR_MUST_CHECK;

/* Its log was purged though some node lacked that: what stands before its oldest file isn't everywhere, and no history can be told from it. */
enum err_code server_has_gap(struct connection *connection, uint32_t node, bool *ret, struct err *err) ERR_MUST_CHECK;

/* A node that came in begins with a copy of a peer's data, which has transactions that some other node may not have.
 * They aren't in its own log, so its tail reads them in the peer's: from `from` to `until`, where the copy was taken
 * and the node's own log begins. The row goes when the first checkpoint is saved: then all of it is everywhere. */
struct server_seed {
	uint32_t peer; /* 0: there is none */
	struct server_position from;
	struct vector until;
};
enum err_code server_load_seed(struct connection *connection, struct server_seed *ret_seed, struct err *err)
    ERR_MUST_CHECK;
enum err_code server_save_seed(struct connection *connection, const struct server_seed *seed, struct err *err)
    ERR_MUST_CHECK;
enum err_code server_drop_seed(struct connection *connection, struct err *err) ERR_MUST_CHECK;

#endif
