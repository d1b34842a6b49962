/* What the threads of one daemon share: the vector, the window, and who is applying what. Nothing else is shared.
 *
 * One mutex guards all of it; no function calls out while it is held, but for the window's scratch files, so there is no lock order to
 * know. Every function may be called from any thread.
 *
 *   applied      this server's vector as the links know it: what is committed here
 *   tailed       how far the tail has read this server's log; the window holds what was written up to there
 *   claims       a link that applies transactions of an origin holds that origin's claim from before it looks at the vector
 *                until its commit or rollback, so two links never apply one transaction
 *   known        for each peer, what it is known to have; the least of all is settled and leaves the window
 *   generation   counts DDL statements that the tail has seen
 */
#ifndef SYNCLINE_LINK_STATE_H
#define SYNCLINE_LINK_STATE_H

#include "binlog/gtid.h"
#include "merge/window.h"
#include "node/settings.h"

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
enum err_code state_applied(struct state *state, const struct gtid *gtid, struct err *err) ERR_MUST_CHECK;
uint64_t state_applied_seq(struct state *state, uint32_t domain);

uint64_t state_tailed_seq(struct state *state, uint32_t domain);

/* Waits until nobody else holds the origin's claim. False when stopping. `peer` names the holder. */
bool state_claim(struct state *state, uint32_t domain, uint32_t peer);
void state_release(struct state *state, uint32_t domain, uint32_t peer);

/* The operator decided to pass over this transaction; whoever gets to it takes the decision. */
void state_request_skip(struct state *state, const struct gtid *gtid);
bool state_take_skip(struct state *state, const struct gtid *gtid);

/* The tail's side. */
enum err_code state_tailed(struct state *state, const struct gtid *gtid, struct err *err) ERR_MUST_CHECK;
void state_tail_start(struct state *state, const struct vector *from);
void state_tail_live(struct state *state, bool live, const char *why); /* why is copied; NULL: nothing to say */
void state_schema_changed(struct state *state);
/* As the window's; the tail alone adds. state_tailed says that a group is complete, _rewind that one will be read again. */
enum err_code state_window_begin(struct state *state, const struct window_transaction *transaction, struct err *err)
    ERR_MUST_CHECK;
enum err_code state_window_add(struct state *state, const uint64_t *keys, size_t key_count, const uint8_t *record,
                               size_t record_size, struct err *err) ERR_MUST_CHECK;
enum err_code state_window_rewind(struct state *state, struct err *err) ERR_MUST_CHECK;
/* A write of this origin and seq need not enter the window: every node has it. */
bool state_is_settled(struct state *state, const struct gtid *gtid);

/* The links' side. */
void state_peer_knows(struct state *state, uint32_t peer, const struct vector *vector);
uint64_t state_generation(struct state *state);
/* ERR_TIMEOUT when the tail doesn't get there. */
enum err_code state_wait_tailed(struct state *state, const struct vector *vector, int64_t timeout_ms, struct err *err)
    ERR_MUST_CHECK;
/* What this server's vector is if nothing was committed that the window doesn't hold: as far as the tail has read, but for the
 * origin at hand, whose own transactions never conflict with each other: there, what the links have committed. */
struct vector state_expected(struct state *state, uint32_t origin);
bool state_window_find(struct state *state, uint64_t key, uint32_t origin, const struct vector *context,
                       struct gtid *ret_gtid);

/* For status. */
struct state_view {
	struct vector tailed;
	bool tail_live;
	char why[512];
	size_t window_count;
};
void state_view(struct state *state, struct state_view *ret_view);

#endif
