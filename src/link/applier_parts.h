/* The parts of an applier, for the applier_*.c files alone (applier.h tells what it is).
 *
 *   applier.c          its life, groups, and which event goes where
 *   applier_batch.c    the batch: claim, flush, certify, commit
 *   applier_rows.c     row events, of a transaction or of a relayed batch
 *   applier_schema.c   statements: DDL and what else is logged as text
 */
#ifndef SYNCLINE_LINK_APPLIER_PARTS_H
#define SYNCLINE_LINK_APPLIER_PARTS_H

#include "binlog/rows.h"
#include "link/applier.h"
#include "link/batch.h"
#include "link/stage.h"
#include "link/tables.h"
#include "sql/apply.h"
#include "sql/catalogue.h"

enum {
	APPLIER_PART_BYTES_MAX = 512 * 1024, /* of statements: then the batch is committed, or a part of it flushed */
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
	struct rows_iter rows;

	struct vector position;  /* the peer's vector as read */
	struct vector committed; /* the position up to which everything is committed here */
	int64_t saved_ms;
	bool position_moved; /* since it was last saved */
	bool at_end;
	size_t one_by_one; /* transactions that still go alone, since a batch with them failed */

	enum group_state group;
	uint32_t log_end; /* where the group's last event ended in the peer's log; wraps at 4 GiB, as the field does */
	struct gtid_event gtid;
	uint32_t time;
	uint64_t insert_id;
	bool group_counted;  /* it has its line in the batch's manifest */
	uint64_t group_rows; /* row changes of it that were taken */
	bool is_relay;       /* somebody's batch, taken apart by its manifest */
	struct manifest relay;
	struct manifest_reader relay_reader;
	uint64_t relay_only;      /* not 0: of the relayed batch only this transaction is taken this time */
	uint64_t have_seq;        /* of the group's origin, when the group began */
	uint64_t maps_generation; /* of the schema that the current statement's tables were checked against */

	struct buf sequences; /* SETVAL statements that wait for the end of the group or batch */
	struct stage *stage;  /* open: the group is a CREATE TABLE … SELECT */
	struct batch batch;
	struct applier_counts counts;
	bool has_culprit;
	struct gtid culprit;
};

/* applier_batch.c */
void applier_release(struct applier *a);
void applier_settle_position(struct applier *a);
enum err_code applier_flush(struct applier *a, struct err *err) ERR_MUST_CHECK;
enum err_code applier_advance_sequences(struct applier *a, struct err *err) ERR_MUST_CHECK;
enum err_code applier_commit_batch(struct applier *a, struct err *err) ERR_MUST_CHECK;
bool applier_batch_is_full(const struct applier *a);
enum err_code applier_open_batch(struct applier *a, const struct vector *context, struct err *err) ERR_MUST_CHECK;
bool applier_pass_if_here(struct applier *a);
enum err_code applier_pass_over(struct applier *a, const struct gtid *gtid, struct err *err) ERR_MUST_CHECK;
enum err_code applier_refuse(const struct applier *a, struct err *err, const char *what, const char *mend);

/* applier_rows.c */
enum err_code applier_on_rows(struct applier *a, const struct event *packed, struct err *err) ERR_MUST_CHECK;
enum err_code applier_on_table_map(struct applier *a, const struct event *event, struct err *err) ERR_MUST_CHECK;

/* applier_schema.c */
enum err_code applier_finish_stage(struct applier *a, struct err *err) ERR_MUST_CHECK;
enum err_code applier_on_query(struct applier *a, const struct event *packed, bool *ret_ends, struct err *err)
    ERR_MUST_CHECK;
void applier_on_intvar(struct applier *a, const struct event *event);

#endif
