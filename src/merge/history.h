/* The history of a node: what its log holds that some other node may not have, and what came of it.
 *
 * Two stores, kept in step: the window (merge/window.h, on disk) has every such row change; the engine (merge/merge.h, in memory)
 * has the rows that somebody wrote without knowing of each other, and those tied to them. A row is in the window only, until a
 * transaction turns up that didn't know of its writes: then its writes, and those of the rows tied to it, are loaded from the
 * window into the engine, in the log's order.
 *
 *   history_begin, history_write …, history_end    the tail tells a transaction of the log whose changes are shown as they are
 *   history_resolved, history_shown                … one that was resolved; steps that were taken by themselves
 *   history_emptied                                … one that left a table without rows: TRUNCATE, DROP
 *   history_finds                                  a link asks: is there anything that this transaction didn't know of?
 *   history_plan                                   … what to write instead of it
 *   history_pending                                what is left to do: steps that became possible, losses to record, decisions
 *
 * Everything in it is a function of the log: after a restart it is filled again by telling it the log again.
 *
 * Pure but for the window's callbacks; the owner locks. Tables are borrowed and outlive it.
 */
#ifndef SYNCLINE_MERGE_HISTORY_H
#define SYNCLINE_MERGE_HISTORY_H

#include "merge/merge.h"
#include "merge/window.h"

struct history;

struct history *history_new(uint32_t me, const struct window_memory *memory);
void history_free(struct history *history); /* accepts NULL */

/* What a transaction touches, for history_finds. = {0}; used again after history_keys_clear. */
enum history_key_kind {
	HISTORY_ROW,      /* it changes the row */
	HISTORY_UNIQUE,   /* it gives a row this value */
	HISTORY_PARENT,   /* a row of it refers to this row */
	HISTORY_CHILDREN, /* it deletes this row, which others may refer to */
	HISTORY_TABLE,    /* it writes this table */
};
struct history_key {
	uint64_t key;
	enum history_key_kind kind;
};
struct history_keys {
	size_t count, capacity;
	struct history_key *keys;
	uint64_t last_table; /* that was added */
};
void history_keys_clear(struct history_keys *keys);
void history_keys_free(struct history_keys *keys);
void history_keys_add(struct history_keys *keys, const struct merge_change *change);
/* The table of a change that can't be given: its id. history_keys_add does it for those that can. */
void history_keys_add_table(struct history_keys *keys, uint64_t table);
void history_keys_append(struct history_keys *keys, const struct history_keys *more);

/* The tail's side. A transaction, its changes as they stand in the log, its end. An error of the window's (ERR_IO) is final until
 * history_clear; the owner then tells the log again. */
struct history_transaction {
	struct gtid gtid;
	uint32_t time;                /* of its stamp */
	const struct vector *context; /* borrowed until history_end */
};
enum err_code history_begin(struct history *history, const struct history_transaction *transaction, struct err *err)
    ERR_MUST_CHECK;
enum err_code history_write(struct history *history, const struct merge_change *change, struct err *err) ERR_MUST_CHECK;
enum err_code history_end(struct history *history, struct err *err) ERR_MUST_CHECK;
/* A peer's transaction of which these steps were taken instead. */
enum err_code history_resolved(struct history *history, const struct merge_transaction *transaction, size_t step_count,
                               const struct merge_step *steps, struct err *err) ERR_MUST_CHECK;
/* A transaction that left a table (its id) here without rows; `drops`: the table is gone. Each row that is
 * written to that table without knowing of it meets a delete by this transaction. */
enum err_code history_emptied(struct history *history, const struct history_transaction *transaction, uint64_t table,
                              bool drops, struct err *err) ERR_MUST_CHECK;
void history_shown(struct history *history, size_t step_count, const struct merge_step *steps);
/* The log's group is complete; the log is read again from behind the last complete group, ERR_GONE if what the engine was told of
 * the incomplete one can't be taken back; from where all began. */
void history_group_end(struct history *history);
enum err_code history_rewind(struct history *history, struct err *err) ERR_MUST_CHECK;
void history_clear(struct history *history);

/* A write to one of these that is not in the context and not of `origin` itself, or a row in the engine that isn't shown as it
 * should be. *ret_gtid (may be NULL): whose; of the engine's rows {0}. */
bool history_finds(const struct history *history, const struct history_keys *keys, uint32_t origin,
                   const struct vector *context, struct gtid *ret_gtid);

/* What to write to the tables instead of this transaction of a peer's. To be freed with history_plan_free, under
 * the owner's lock as well: it shares rows with the history. These are constant, so reading them needs no lock. */
struct history_plan {
	struct merge *merge; /* owned */
	size_t step_count;
	const struct merge_step *steps;
};
enum err_code history_plan(struct history *history, const struct merge_transaction *transaction,
                           struct history_plan *ret_plan, struct err *err) ERR_MUST_CHECK;
void history_plan_free(struct history_plan *plan); /* accepts a zeroed one */

/* As merge_speak_for; again is fine. */
void history_speak_for(struct history *history, uint32_t domain, bool speaks);
/* What is left to do now; borrowed until the next history_ call. Records are told once, steps until they are shown. */
struct merge_outcome history_pending(struct history *history);
/* As merge_decision, as of the last history_pending. */
bool history_decision(struct history *history, struct merge_step *ret_delete, bool *ret_is_shown,
                      struct merge_record *ret_record);
bool history_is_empty(const struct history *history); /* the engine is */
/* Something may be left to do since the last history_pending. */
bool history_is_pending(const struct history *history);

void history_settle(struct history *history, const struct vector *everywhere);

/* To be told the log from behind this vector on would not be enough: the engine has a row with a write up to it. That write may be
 * settled; the row isn't, as long as one of its writes that didn't know of it isn't. */
bool history_needs(const struct history *history, const struct vector *vector);

struct history_counts {
	size_t keys; /* in the window */
	struct merge_counts merge;
};
struct history_counts history_counts(const struct history *history);

#endif
