/* The parts of an applier, for the applier_*.c files alone (applier.h tells what it is).
 *
 *   applier.c          its life, groups, and which event goes where
 *   applier_batch.c    the batch: claim, flush, certify, commit
 *   applier_rows.c     row events, of a transaction or of a relayed batch: gathered, looked at, taken
 *   applier_resolve.c  a transaction that met writes that it didn't know of
 *   applier_repair.c   … whose steps don't fit the rows that are here, for a reason that is in no log
 *   applier_schema.c   statements: DDL and what else is logged as text
 */
#ifndef SYNCLINE_LINK_APPLIER_PARTS_H
#define SYNCLINE_LINK_APPLIER_PARTS_H

#include "binlog/rows.h"
#include "link/applier.h"
#include "link/batch.h"
#include "link/changes.h"
#include "link/stage.h"
#include "link/tables.h"
#include "sql/apply.h"
#include "sql/catalogue.h"

enum {
	APPLIER_PART_BYTES_MAX = 512 * 1024,     /* of statements: then the batch is committed, or a part of it flushed */
	APPLIER_GATHERED_BYTES_MAX = 256 * 1024, /* of a group's events that wait for its end */
	APPLIER_EVENT_BYTES_MAX = 1024 * 1024 * 1024, /* of an uncompressed event: the protocol's own limit */
	APPLIER_TAIL_WAIT_MS = 10000,
};

enum group_state {
	GROUP_NONE,    /* between transactions */
	GROUP_PASSING, /* in one that is not for us */
	GROUP_OPEN,    /* in one that is to be applied */
};

struct applier {
	const struct settings *settings;
	const struct settings_peer *peer;
	struct state *state;
	char *who; /* for the log: "link 2" */

	struct apply *apply;
	struct catalogue *catalogue;
	struct format format;
	struct tables *tables;
	struct buf scratch; /* an uncompressed event */
	struct buf part;    /* a part of a rows event */
	struct buf mapped;  /* events for a table of other columns */
	struct rows_iter rows;

	struct vector position;  /* the peer's vector as read */
	uint32_t latest;         /* of the commit times in the peer's log up to there */
	struct vector committed; /* the position up to which everything is committed here */
	uint32_t committed_latest;
	int64_t saved_ms;
	bool position_moved; /* since it was last saved */
	bool at_end;
	size_t one_by_one; /* transactions that still go alone, since a batch with them failed */
	unsigned clashes;  /* errors in a row that local writes may be the reason of */
	struct gtid
	    repaired;  /* met rows here, again and again, that no log tells of: its rows are looked up on the server */
	unsigned wary; /* of so many transactions to come the first error counts: there was such a one before them */
	bool whole;    /* up to the culprit, groups are gathered whatever their size: its rows met others while streamed */

	enum group_state group;
	struct lag_place place, committed_place; /* in the peer's log: read; applied up to */
	uint32_t log_end; /* where the group's last event ended in the peer's log; wraps at 4 GiB, as the field does */
	struct gtid_event gtid;
	uint32_t time, stamp_time; /* as its GTID event says; of its stamp, if it is the peer's own */
	uint64_t insert_id;
	bool has_manifest; /* then that is in `relay` */
	bool is_relay;     /* somebody's batch, taken apart by its manifest */
	struct manifest relay;
	struct buf gathered; /* its table maps and rows events */
	bool is_streaming;   /* they are passed on as they come */
	uint64_t streamed;   /* row changes */
	struct manifest_reader relay_reader;
	uint64_t have_seq;  /* of the group's origin, when the group began */
	uint64_t described; /* the generation of the schema when its tables were described, the oldest */
	struct history_keys keys;
	struct changes_reader reader;

	struct buf sequences; /* SETVAL statements that wait for the end of the group or batch */
	struct stage *stage;  /* open: the group is a CREATE TABLE … SELECT */
	struct batch batch;
	struct applier_counts counts;
	bool has_culprit;
	struct gtid culprit;
};

/* What is known of a transaction beside its rows. */
struct applier_transaction {
	struct gtid gtid;
	uint32_t time;                /* of its stamp */
	const struct vector *context; /* borrowed */
};

/* applier_batch.c */
void applier_release(struct applier *a);
void applier_settle_position(struct applier *a);
void applier_tell_known(struct applier *a, const struct vector *position);
enum err_code applier_flush(struct applier *a, struct err *err) ERR_MUST_CHECK;
enum err_code applier_advance_sequences(struct applier *a, struct err *err) ERR_MUST_CHECK;
enum err_code applier_commit_batch(struct applier *a, struct err *err) ERR_MUST_CHECK;
bool applier_batch_is_full(const struct applier *a);
enum err_code applier_open_batch(struct applier *a, const struct vector *context, struct err *err) ERR_MUST_CHECK;
/* The history still holds all that the group at hand may not have known of; see state_set_forgotten. */
enum err_code applier_check_remembered(struct applier *a, const struct vector *context, struct err *err) ERR_MUST_CHECK;
bool applier_pass_if_here(struct applier *a);
enum err_code applier_pass_over(struct applier *a, const struct gtid *gtid, struct err *err) ERR_MUST_CHECK;
enum err_code applier_refuse(const struct applier *a, struct err *err, const char *what, const char *mend);

/* applier_rows.c */
/* What the group's transactions knew. */
const struct vector *applier_context(const struct applier *a);
enum err_code applier_on_rows(struct applier *a, const struct event *packed, struct err *err) ERR_MUST_CHECK;
enum err_code applier_on_table_map(struct applier *a, const struct event *event, struct err *err) ERR_MUST_CHECK;
enum err_code applier_describe(struct applier *a, const struct table *table, struct err *err) ERR_MUST_CHECK;
enum err_code applier_take_group(struct applier *a, struct err *err) ERR_MUST_CHECK;
void applier_end_streaming(struct applier *a);

/* applier_resolve.c: events are its table maps and rows events, as they were at its origin. */
enum err_code applier_resolve(struct applier *a, const struct applier_transaction *transaction,
                              const struct buf *events, struct err *err) ERR_MUST_CHECK;

/* applier_repair.c: within a transaction that has begun sends these steps, made to fit what is here; and notes what was found, in the
 * same transaction. */
bool applier_is_repaired(const struct applier *a, const struct gtid *gtid);
enum err_code applier_repair(struct applier *a, const struct applier_transaction *transaction,
                             const struct change_list *steps, struct err *err) ERR_MUST_CHECK;

/* applier_schema.c */
enum err_code applier_finish_stage(struct applier *a, struct err *err) ERR_MUST_CHECK;
enum err_code applier_on_query(struct applier *a, const struct event *packed, bool *ret_ends, struct err *err)
    ERR_MUST_CHECK;
void applier_on_intvar(struct applier *a, const struct event *event);

#endif
