/* What the files of this folder share while a comparison runs; nobody else includes it. One thread. */
#ifndef SYNCLINE_VERIFY_JOB_H
#define SYNCLINE_VERIFY_JOB_H

#include "binlog/gtid.h"
#include "copy/objects.h"
#include "sql/stream.h"
#include "verify/keyset.h"
#include "verify/verify.h"

enum { VERIFY_NODES_MAX = 64 };

struct job_node {
	const struct verify_node *who;
	struct connection *connection;
	/* Of the look: this node's snapshot has all of `has`, and nothing that isn't in `until`. */
	struct vector has, until;
};

/* A row that is to be looked at again. */
enum {
	PENDING_DIFFERED = 1, /* it did at a look before */
	PENDING_EQUAL = 2,    /* it was, but for what InnoDB may have passed on to it meanwhile */
};

struct job_table {
	const struct object *object; /* here */
	struct layout layout;
	struct verify_table *result;
	size_t parent_count; /* tables whose deletes, or updates, InnoDB passes on to this one's rows, in no log */
	char **parents;      /* "database.table" */
	bool is_passed_updates;
	/* Of the look: rows that not all snapshots have as some node's log has them. */
	bool is_touched; /* any */
	bool is_whole;   /* which rows isn't known */
	bool is_passed;  /* and InnoDB may have passed something on to others, from their parents */
	struct keyset touched;
	struct keyset pending; /* one byte of PENDING_… */
	bool is_altered;       /* while it was compared */
};

struct job {
	const struct verify_wish *wish;
	size_t node_count;
	struct job_node nodes[VERIFY_NODES_MAX];
	uint32_t ids[VERIFY_NODES_MAX];
	size_t table_count;
	struct job_table *tables;
	struct verify_result *result;
	/* The look. */
	bool has_look, is_altered; /* by DDL, between the snapshots */
	int64_t looked_ms;
	struct vector all;           /* what any node had */
	const struct vector *before; /* of an earlier look; NULL: none that matters */
	size_t lead;                 /* the number of the node whose snapshot comes first, and that of all; 0: none does */
	bool has_old;                /* not all nodes have all of it yet */
	const char *lacking;         /* for messages: which node is behind */
	/* Progress and rate. */
	struct copy_state state;
	int64_t started_ms, told_ms, paid_us;
	uint64_t tables_done;
};

enum err_code job_check(struct job *job, bool is_due, struct err *err) ERR_MUST_CHECK;
/* Counts rows that are through, and what was read for it on each node; waits as the rate says. */
enum err_code job_read(struct job *job, uint64_t rows_done, uint64_t rows, uint64_t bytes, struct err *err)
    ERR_MUST_CHECK;
enum err_code job_sleep(struct job *job, int64_t ms, struct err *err) ERR_MUST_CHECK;
/* Asks all nodes at a time. `context(i)` is contexts + i * size. */
enum err_code job_ask(struct job *job, const struct buf *sql, connection_streamed_row *row, void *contexts, size_t size,
                      struct err *err) ERR_MUST_CHECK;

/* ---- look.c ---- */

/* Takes a new look. ERR_TIMEOUT: the nodes are too far apart to be compared, for longer than the patience. */
enum err_code look_take(struct job *job, struct err *err) ERR_MUST_CHECK;
/* Keeps the one there is while it is fresh and good for this table, else takes others until one is; false in *ret_good
 * if none is after many. */
enum err_code look_for(struct job *job, struct job_table *table, bool *ret_good, struct err *err) ERR_MUST_CHECK;
void look_end(struct job *job);

/* ---- between.c ---- */

/* Marks what this node's log has behind `from`, up to the node's `until`. *ret_far: it is too much. */
enum err_code between_read(struct job *job, const struct job_node *node, const struct vector *from, bool *ret_far,
                           struct err *err) ERR_MUST_CHECK;
/* Finds the tables whose deletes InnoDB passes on to this one's rows. */
void between_find_parents(struct job_table *table);

/* ---- compare.c ---- */

enum err_code compare_table(struct job *job, struct job_table *table, struct err *err) ERR_MUST_CHECK;
void compare_pack(const struct layout *layout, const char *const *values, const unsigned long *sizes, struct buf *key);

/* ---- settle.c ---- */

/* Looks at the pending rows of all tables again until each is equal, different, or can't be told. */
enum err_code settle_all(struct job *job, struct err *err) ERR_MUST_CHECK;
size_t settle_pending(const struct job *job);

#endif
