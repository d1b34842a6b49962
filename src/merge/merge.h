/* The merge engine: what a node shows, given the transactions that reached it, in whatever order.
 *
 * It takes each transaction of this node's log in that log's order, the node's own (merge_own) and those of its peers
 * (merge_remote), and gives back the steps that make this node's tables show what the rules say; docs/conflicts.md has the rules,
 * tests/model/reference.py is them as a program. It holds the window: rows that were written by transactions which some node may
 * not have, each with its base (the row before these writes), the writes, and what this node shows. A row that isn't in the
 * window is settled: what the origin of an incoming write saw of it is what is here, so nothing is ever asked of the server.
 *
 * It is rebuilt by giving it the node's log again from where everything is settled. Pure state: no I/O, no clock, no chance; one
 * thread. Tables are borrowed and outlive the engine; values are copied in. What merge_ functions return is borrowed until the
 * next call.
 */
#ifndef SYNCLINE_MERGE_MERGE_H
#define SYNCLINE_MERGE_MERGE_H

#include "binlog/gtid.h"
#include "merge/stamp.h"

struct merge_value {
	const uint8_t *bytes; /* content, without a length prefix; borrowed */
	uint32_t size;
	bool is_null;
};

struct merge_columns {
	uint32_t count;
	const uint32_t *columns;
};

enum merge_on_delete {
	MERGE_SET_NULL,
	MERGE_CASCADE,
	MERGE_RESTRICT, /* NO ACTION is the same */
};

struct merge_reference {
	struct merge_columns columns;
	uint64_t parent; /* the id of the table whose primary key they hold */
	enum merge_on_delete on_delete;
};

struct merge_table {
	uint64_t id; /* the same on every node: a hash of database and table */
	uint32_t column_count;
	struct merge_columns key; /* the primary key */
	uint32_t unique_count;    /* further unique indexes */
	const struct merge_columns *uniques;
	uint32_t reference_count;
	const struct merge_reference *references;
	const uint16_t *groups; /* by column: columns of one group win or lose together. NULL: each is a group */
	unsigned depth;         /* 0 without references, else one more than the deepest table referred to */
};

enum merge_op { MERGE_INSERT, MERGE_UPDATE, MERGE_DELETE };

/* A row change with full images (column_count values), as its origin saw it; before is NULL for an insert, after for a delete. An
 * update that changes the primary key is to be given as a delete and an insert. */
struct merge_change {
	enum merge_op op;
	const struct merge_table *table;
	const struct merge_value *before, *after;
};

struct merge_transaction {
	struct gtid gtid;
	uint64_t clock;               /* of its stamp */
	const struct vector *context; /* the origin's vector as it committed */
	size_t count;
	const struct merge_change *changes;
};

/* What to do to this node's table, in this order: before is the row as it is shown, after as it is to be. */
struct merge_step {
	enum merge_op op;
	const struct merge_table *table;
	const struct merge_value *before, *after; /* full rows; NULL as in a change */
	bool
	    no_cascade; /* half of a move that passes through "not there": without foreign key checks, or children would go */
};

/* What happened, by the names that PostgreSQL 18 gave these things. "Local" is the losing write, this node's own. */
enum merge_kind {
	MERGE_INSERT_EXISTS,         /* both inserted the key, or both claimed a unique value by an insert here */
	MERGE_UPDATE_ORIGIN_DIFFERS, /* both wrote the same columns of the row */
	MERGE_UPDATE_EXISTS,         /* both claimed a unique value, by an update here */
	MERGE_DELETE_ORIGIN_DIFFERS, /* updated here, deleted there */
	MERGE_MULTIPLE_UNIQUE,       /* several unique values of the row were claimed elsewhere */
	MERGE_FOREIGN_KEY_MISSING,   /* the parent was deleted elsewhere */
};

/* A write of this node's that lost something to one that didn't know of it. Recorded once, here and nowhere else: a write's
 * origin always sees the winner while it still has the loser. */
struct merge_record {
	enum merge_kind kind;
	const struct merge_table *table;
	struct gtid loser, winner;
	uint64_t loser_clock, winner_clock;
	const struct merge_value *base;    /* the row before both, NULL if it was inserted */
	const struct merge_value *local;   /* the row as this node wrote it */
	const struct merge_value *applied; /* the row as it is now, NULL: none */
	const bool *lost;                  /* by column: local's value is no more */
};

struct merge_outcome {
	size_t step_count;
	const struct merge_step *steps;
	size_t record_count;
	const struct merge_record *records;
};

struct merge;

const char *merge_kind_name(enum merge_kind kind); /* "insert_exists" */

struct merge *merge_new(uint32_t me); /* this node's domain */
void merge_free(struct merge *merge); /* accepts NULL */

/* A transaction that this node committed; its changes are shown already. The steps are what it makes possible besides: rows that
 * were held back. */
struct merge_outcome merge_own(struct merge *merge, const struct merge_transaction *transaction);
/* A transaction of a peer that this node has not applied; all of its context is here. */
struct merge_outcome merge_remote(struct merge *merge, const struct merge_transaction *transaction);

/* A row that this node must delete, by a transaction of its own (which is then given to merge_own): its claim to a unique value was
 * this node's and lost. False if there is none. To be asked after each transaction until there is none. */
bool merge_decision(struct merge *merge, struct merge_step *ret_delete, struct merge_record *ret_record);

/* Everything up to this vector is known to be everywhere: rows that were last written by it leave the window. */
void merge_settle(struct merge *merge, const struct vector *everywhere);

struct merge_counts {
	size_t rows;   /* in the window */
	size_t held;   /* of them, those that are not shown as they should be */
	size_t writes; /* in the window */
};
struct merge_counts merge_counts(const struct merge *merge);

#endif
