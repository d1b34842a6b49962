/* What the threads of one daemon share: the vector, the history, and who is applying what. Nothing else is shared but the registry
 * of tables.
 *
 * One mutex guards all of it; no function calls out while it is held, but for the history's scratch files, so there is no lock order to
 * know. Every function may be called from any thread.
 *
 *   applied      this server's vector as the links know it: what is committed here
 *   tailed       how far the tail has read this server's log; the history holds what was written up to there
 *   claims       a link that applies transactions of an origin holds that origin's claim from before it looks at the vector
 *                until its commit or rollback, so two links never apply one transaction
 *   known        for each node, what it is known to have; the least of all is settled and leaves the history
 *   generation   counts DDL statements that the tail has seen
 */
#ifndef SYNCLINE_LINK_STATE_H
#define SYNCLINE_LINK_STATE_H

#include "binlog/gtid.h"
#include "link/registry.h"
#include "link/touched.h"
#include "merge/history.h"
#include "node/settings.h"
#include "sql/server.h"

struct state;

struct state *state_new(const struct settings *settings); /* settings are borrowed */
void state_free(struct state *state);                     /* no thread uses it any more */

/* Ends every wait, now and later. */
void state_stop(struct state *state);
bool state_is_stopping(struct state *state);
/* Waits up to ms, or until state_wake or state_stop. */
void state_sleep(struct state *state, int64_t ms);
void state_wake(struct state *state);

/* The vector. */
enum err_code state_merge_applied(struct state *state, const struct vector *vector, struct err *err) ERR_MUST_CHECK;
/* Resolved: what is in the tables is another thing than what it wrote. */
enum err_code state_applied(struct state *state, const struct gtid *gtid, bool is_resolved, struct err *err)
    ERR_MUST_CHECK;
uint64_t state_applied_seq(struct state *state, uint32_t domain);

uint64_t state_tailed_seq(struct state *state, uint32_t domain);

/* Waits until nobody else holds the origin's claim. False when stopping. `peer` names the holder. */
bool state_claim(struct state *state, uint32_t domain, uint32_t peer);
/* As an origin: whoever resolves a transaction or shows what was held back. A plan may come to leaving a row alone, which locks nothing
 * that another one's plan would wait for. Taken after an origin's claim; peer 0 is the resolver. */
#define STATE_RESOLVING UINT32_MAX
void state_release(struct state *state, uint32_t domain, uint32_t peer);

/* The operator decided to pass over this transaction; whoever gets to it takes the decision. */
void state_request_skip(struct state *state, const struct gtid *gtid);
bool state_take_skip(struct state *state, const struct gtid *gtid);

struct registry *state_registry(struct state *state); /* locks itself */
struct touched *state_touched(struct state *state);   /* locks itself */

/* The history, with the mutex held in between: nothing may block. */
struct history *state_lock_history(struct state *state);
void state_unlock_history(struct state *state);

/* The tail's side. */
/* Nothing is settled before the tail has told the log again up to `until`: of two writes that didn't know of each other, one would
 * be left out and the other not, and the row be another one than it is. */
void state_tail_start(struct state *state, const struct server_position *from, const struct vector *until);
/* The tail starts behind a seed: that is what is told before, as long as not all of it is known to be everywhere.
 * Behind state_tail_start. */
void state_tail_seeded(struct state *state);
/* The history is forgotten, and nothing settles before the tail has started anew. */
void state_clear_history(struct state *state);
void state_tail_live(struct state *state, bool live, const char *why); /* why is copied; NULL: nothing to say */
/* Where no tail reads (engine = native): what the server says is in its log. */
void state_set_vector(struct state *state, const struct vector *vector);
void state_schema_changed(struct state *state);
void state_set_format(struct state *state, const struct event *format_description); /* of this server's log */
/* A group begins: until state_tailed or state_rewind nobody plans, since the history has only a part of it. False if its row
 * changes need not be told: every node has them, and the engine is empty. */
bool state_begin_group(struct state *state, const struct gtid *gtid);
/* The log will be read again from behind the last complete group. */
enum err_code state_rewind(struct state *state, struct err *err) ERR_MUST_CHECK;
/* The group is complete, and with it the log up to this position. Housekeeping: it has only what the daemon notes for itself, so no
 * peer needs it. */
enum err_code state_tailed(struct state *state, const struct gtid *gtid, const struct server_position *position,
                           bool is_housekeeping, struct err *err) ERR_MUST_CHECK;

/* Where the tail is, with the latest of the times in the log up to there. */
void state_tail_position(struct state *state, struct server_position *ret_position);
/* A group of the seed's (server_seed) is complete: what this server's own log doesn't hold. The tail's own log
 * begins with state_tail_start. */
void state_seeded(struct state *state);
/* The group at hand is this node's own and has nothing that is replicated: no node keeps it, so none will ever be known
 * to have it. */
void state_note_unkept(struct state *state);

/* A transaction was resolved: to be told again it wants all that it didn't know of to be told, too. So the tail doesn't start in
 * between. `knew`: its context and itself. */
void state_note_resolved(struct state *state, const struct vector *knew);
/* A group was this node's own, or brought writes of another's: then the others are to be told that they are here. */
void state_note_group(struct state *state, bool is_own, bool has_writes);

/* What this node's log no longer held when it was told to the history, though some node lacked it (link/retention.h).
 * */
void state_set_forgotten(struct state *state, const struct vector *forgotten);
/* A transaction of this origin with this context knew of all that was forgotten. */
bool state_remembers(struct state *state, uint32_t origin, const struct vector *context);

/* Retention's side. Waits up to ms for a log file that begins behind the *seen one, and counts it; false when
 * stopping. */
bool state_wait_log(struct state *state, uint64_t *seen, int64_t ms);
/* How many transactions that are here the node isn't known to have, of those that it is to get; `acknowledged`: it has
 * these, too. False before this node's log is read. */
bool state_lacks(struct state *state, uint32_t node, const struct vector *acknowledged, uint64_t *ret_count);
/* The last of this node's own transactions up to which every node is known to have them. */
uint64_t state_arrived_seq(struct state *state);
/* The bookkeeper's: rows of replication_conflicts that nobody has resolved. */
void state_set_conflicts(struct state *state, uint64_t count);
/* What the node is known to have. */
struct vector state_known(struct state *state, uint32_t node);
/* But for nodes that lack it, nothing that the log holds up to this vector is needed: the tail has told it, and the
 * engine is done with it. */
bool state_is_done(struct state *state, const struct vector *vector);
/* Counts the times that the resolver has done all there was to do. */
uint64_t state_rounds(struct state *state);
void state_count_round(struct state *state);

/* The links' side. */
void state_node_knows(struct state *state, uint32_t node, const struct vector *vector);
/* The origin of this transaction had that context when it committed it. */
void state_origin_knows(struct state *state, const struct gtid *gtid, const struct vector *context);
/* Everything in this vector is here: some node is known to have it, and of what is known this node has read what it
 * holds. Unlike the server's vector this moves past what isn't replicated. */
bool state_has_all(struct state *state, const struct vector *vector);
uint64_t state_generation(struct state *state);
/* ERR_TIMEOUT when the tail doesn't get there. */
enum err_code state_wait_tailed(struct state *state, const struct vector *vector, int64_t timeout_ms, struct err *err)
    ERR_MUST_CHECK;
/* What this server's vector is if nothing was committed that the history doesn't hold: as far as the tail has read, but for the
 * origin at hand, whose own transactions never conflict with each other: there, what the links have committed as it was written.
 * Behind one that was resolved only the history knows what the next one finds. */
struct vector state_expected(struct state *state, uint32_t origin);
/* As the history's. */
bool state_finds(struct state *state, const struct history_keys *keys, uint32_t origin, const struct vector *context,
                 struct gtid *ret_gtid);
/* This table (its id) was emptied or dropped by something that is not in the context and not of `origin` itself. */
bool state_emptied(struct state *state, uint64_t table, uint32_t origin, const struct vector *context);
/* When the tail is between groups. */
enum err_code state_plan(struct state *state, const struct merge_transaction *transaction,
                         struct history_plan *ret_plan, struct err *err) ERR_MUST_CHECK;

/* Links begin when the tail has: with its own log, behind the seed. ERR_DISCONNECTED, with the tail's reason, when
 * it hasn't after so long. */
enum err_code state_wait_started(struct state *state, int64_t timeout_ms, struct err *err) ERR_MUST_CHECK;

/* The resolver's side. The format description of this server's log, copied; nothing before the tail has read one. */
void state_format(struct state *state, struct buf *to);
/* Waits up to ms for something to do; false when stopping. Who waits here has done all that there was to do. */
bool state_wait_work(struct state *state, int64_t ms);
/* Decides and records what is a node's matter (1 to 64), whose history is forgotten and whose transactions are all here. */
void state_speak_for(struct state *state, uint32_t node, bool speaks);
/* Something is left to be decided or recorded, or isn't told yet. */
bool state_has_work(struct state *state);
/* A link noted in syncline.found what it found here that no log holds: the resolver is to record it. Taken once. */
void state_note_found(struct state *state);
bool state_take_found(struct state *state);
/* Some node doesn't read this node's log, and something was written since this node last wrote anything itself. */
bool state_owes_acknowledgement(struct state *state);
/* The newest position of this node's log, not told before, that every node has everything of: where the tail may start. */
bool state_take_checkpoint(struct state *state, struct server_position *ret_position);

/* For status. */
struct state_view {
	struct vector tailed, written; /* written: tailed as it was after the last group that wasn't housekeeping */
	bool tail_live;
	bool has_work; /* the resolver has, of what is tailed: rows to be shown, losses to be recorded */
	char why[512];
	struct history_counts history;
	bool conflicts_known;
	uint64_t open_conflicts;
};
void state_view(struct state *state, struct state_view *ret_view);

#endif
