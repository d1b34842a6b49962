/* The merge engine: what a node's tables are to show, given the transactions that reached it, in whatever order.
 *
 * It is told of each transaction of this node's log in that log's order: what was written (merge_applied, merge_resolved) and what
 * this node's tables made of it (merge_shown). So its state is a function of the log, and it is rebuilt by giving it the log again;
 * what it was told is shown is never assumed. merge_plan tells what is to be written to the tables so that they show what the rules
 * say; merge_what_if does so for a peer's transaction that isn't in this node's log yet. docs/conflicts.md has the rules,
 * tests/model/reference.py is them as a program.
 *
 * It holds rows that were written by transactions which some node may not have, each with its base (the row before these
 * writes), the writes, and what this node shows. A row that it doesn't hold is settled, or at least nobody wrote it without knowing
 * of who wrote it before: what the origin of an incoming write saw of it is what is here, so nothing is ever asked of the server.
 *
 * Pure state: no I/O, no clock, no chance; one thread. Tables are borrowed and outlive the engine; values are copied in. What
 * merge_ functions return is borrowed until the next call.
 */
#ifndef SYNCLINE_MERGE_MERGE_H
#define SYNCLINE_MERGE_MERGE_H

#include "binlog/gtid.h"
#include "binlog/value.h"
#include "merge/stamp.h"

struct key_rule;

struct merge_columns {
	uint32_t count;
	const uint32_t *columns;
	/* In the order of columns: when two contents are one key (merge/keyrule.h); a reference's agree with its parent's.
	 * NULL: when their bytes are equal. */
	const struct key_rule *rules;
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

/* Which of the writes to a column that didn't know of each other is shown: docs/conflicts.md, rule 7. Who knew of a
 * write overwrites it under every policy. */
enum merge_policy {
	MERGE_LAST_UPDATE_WINS,  /* the highest stamp */
	MERGE_FIRST_UPDATE_WINS, /* the lowest */
	MERGE_SITE_PRIORITY,     /* whose origin stands first among `sites`; of those that don't, the highest stamp */
	MERGE_MAX,               /* the highest value; NULL is lower than any */
	MERGE_MIN,
	MERGE_DELTA_APPLY, /* what was there and the sum of what each added to it */
	MERGE_ERROR,       /* the lowest stamp, until a person has looked at it */
	MERGE_DELETE_WINS, /* of whole rows: in records only */
};

/* How contents of a column compare. */
enum merge_order {
	MERGE_ORDER_BYTES, /* as their bytes do: strings, BIT, times with room for fractions */
	MERGE_ORDER_INTEGER,
	MERGE_ORDER_FLOAT,
	MERGE_ORDER_DECIMAL, /* as their bytes do, and can be added up */
};

struct merge_number_type {
	enum merge_order order;
	bool is_unsigned;         /* of INTEGER and DECIMAL */
	uint8_t precision, scale; /* of DECIMAL */
};

/* Columns that are bound to others have none of MAX, MIN and DELTA_APPLY; those in a unique index or a reference not
 * ERROR, either. A column with DELTA_APPLY is an INTEGER or DECIMAL that can't be NULL. */
struct merge_column_policy {
	enum merge_policy policy;
	struct merge_number_type type; /* for MAX, MIN and DELTA_APPLY */
	uint32_t site_count;           /* for SITE_PRIORITY: domains */
	const uint32_t *sites;
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
	const struct merge_column_policy *policies; /* by column. NULL: the last update wins in each */
	unsigned depth; /* 0 without references, else one more than the deepest table referred to */
};

enum merge_op { MERGE_INSERT, MERGE_UPDATE, MERGE_DELETE };

/* A row change with full images (column_count values), as its origin saw it; before is NULL for an insert, after for a delete. An
 * update that changes the primary key is to be given as a delete and an insert. */
struct merge_change {
	enum merge_op op;
	const struct merge_table *table;
	const struct content *before, *after;
	bool is_unseen; /* a delete of a row that may not have been there: `before` tells its key and no more */
};

struct merge_transaction {
	struct gtid gtid;
	uint32_t time;                /* of its stamp, see stamp.h */
	const struct vector *context; /* the origin's vector as it committed */
	size_t count;
	const struct merge_change *changes;
	bool drops_table; /* its deletes are those of a table that went */
};

/* What to do to this node's table, in this order: before is the row as it is shown, after as it is to be. */
struct merge_step {
	enum merge_op op;
	const struct merge_table *table;
	const struct content *before, *after; /* full rows; NULL as in a change */
	bool no_cascade; /* half of a move that passes by "not there": without foreign key checks, or children would go */
};

/* What happened, by the names that PostgreSQL 18 gave these things. "Local" is the losing write, this node's own. */
enum merge_kind {
	MERGE_INSERT_EXISTS,         /* both inserted the key, or both claimed a unique value by an insert here */
	MERGE_UPDATE_ORIGIN_DIFFERS, /* both wrote the same columns of the row */
	MERGE_UPDATE_EXISTS,         /* both claimed a unique value, by an update here */
	MERGE_DELETE_ORIGIN_DIFFERS, /* updated here, deleted there */
	MERGE_MULTIPLE_UNIQUE,       /* several unique values of the row were claimed elsewhere */
	MERGE_FOREIGN_KEY_MISSING,   /* the parent was deleted elsewhere */
	MERGE_TARGET_TABLE_MISSING,  /* written here, the table dropped there */
};

/* What became of the row, as this node sees it, which lost. */
enum merge_resolution {
	MERGE_APPLY_REMOTE, /* nothing of what was written here is left, or the row is gone */
	MERGE_KEEP_LOCAL,   /* all of it is: not in what the engine records */
	MERGE_MERGE,        /* some columns of it are */
	MERGE_SKIP,         /* policy ERROR: the older value stays for now */
};

/* A write of this node's that lost something to one that didn't know of it. Recorded once, here and nowhere else: a write's
 * origin always sees the winner while it still has the loser. */
struct merge_record {
	enum merge_kind kind;
	const struct merge_table *table;
	struct gtid loser, winner;
	uint32_t loser_time, winner_time; /* of their stamps */
	const struct content *base;       /* the row before both, NULL if it was inserted */
	const struct content *local;      /* the row as this node wrote it */
	const struct content *remote;     /* the row as the winner wrote it, or that keeps a unique value; NULL: deleted */
	const struct content *applied;    /* the row as it is now, NULL: none */
	const bool *lost;                 /* by column: local's value is no more */
	enum merge_policy policy;         /* what decided */
	enum merge_resolution resolution;
};

/* The same for this column of this losing write whenever it is told, by this engine or by another one that was told the same log. */
uint64_t merge_loss_id(const struct merge_record *record, uint32_t column);

struct merge_outcome {
	size_t step_count;
	const struct merge_step *steps;
	size_t record_count;
	const struct merge_record *records;
};

struct merge;

const char *merge_kind_name(enum merge_kind kind);                   /* "insert_exists" */
const char *merge_policy_name(enum merge_policy policy);             /* "last_update_wins" */
const char *merge_resolution_name(enum merge_resolution resolution); /* "apply_remote" */
/* False if there is none: GEOMETRY, and the temporal types of old servers where they have fractions. */
bool merge_number_type_of(const struct column *column, struct merge_number_type *ret_type);

struct merge *merge_new(uint32_t me); /* this node's domain */
void merge_free(struct merge *merge); /* accepts NULL */

/* Records and decides also for this domain (1 to 64), of which it has all that there is, and whose own node will never do so; also what it was
 * told before. Or no longer. */
void merge_speak_for(struct merge *merge, uint32_t domain, bool speaks);

/* A transaction whose changes are shown as they are: this node's own, or a peer's that met nothing that it didn't know of. */
void merge_applied(struct merge *merge, const struct merge_transaction *transaction);
/* A peer's transaction of which this node's tables took these steps instead. All of its context is here. */
void merge_resolved(struct merge *merge, const struct merge_transaction *transaction, size_t step_count,
                    const struct merge_step *steps);
/* A transaction without changes that left this table (its id) here without rows: a delete of each that the engine has. */
void merge_emptied(struct merge *merge, const struct merge_transaction *transaction, uint64_t table);
/* Steps that were taken by themselves: rows that had been held back. */
void merge_shown(struct merge *merge, size_t step_count, const struct merge_step *steps);

/* The steps that are due and possible now, and what is to be recorded and wasn't told before. The steps are told again until
 * they are shown. */
struct merge_outcome merge_plan(struct merge *merge);
/* An engine with the rows that this transaction is tied to, as if it had just been resolved without any step: its plan is what to
 * write instead of it. To be freed. */
struct merge *merge_what_if(struct merge *merge, const struct merge_transaction *transaction);

/* Does it hold this row (merge_row_key), or a row that has had this unique value or this parent? */
bool merge_is_empty(const struct merge *merge);
bool merge_has_row(const struct merge *merge, uint64_t row_key);
bool merge_has_tie(const struct merge *merge, uint64_t tie);
/* It holds another row than this one that has had this value. */
bool merge_has_tie_of_other(const struct merge *merge, uint64_t tie, uint64_t row_key);
/* merge_plan or merge_decision may have something to tell that they didn't tell before. */
bool merge_is_pending(const struct merge *merge);

/* Hashes that tell rows, and what ties rows to each other: a value in a unique index; a parent (of the child). False if a part of
 * it is NULL. `values` are a whole row. */
uint64_t merge_row_key(const struct merge_table *table, const struct content *values);
bool merge_unique_tie(const struct merge_table *table, const struct content *values, uint32_t index, uint64_t *ret);
bool merge_parent_key(const struct merge_table *table, const struct content *values, uint32_t reference,
                      uint64_t *ret_row_key);
uint64_t merge_parent_tie(uint64_t parent_row_key);

/* A row that this node must delete, by a transaction of its own (which is then given to merge_own): its claim to a unique value was
 * this node's and lost. *ret_is_shown: it is in this node's table. False if there is none. As of the last merge_plan. */
bool merge_decision(struct merge *merge, struct merge_step *ret_delete, bool *ret_is_shown,
                    struct merge_record *ret_record);

/* Everything up to this vector is known to be everywhere: rows that were last written by it are let go, but for those that the last
 * merge_plan didn't see or that are to change. */
void merge_settle(struct merge *merge, const struct vector *everywhere);

/* It holds a row with a write within this vector. */
bool merge_holds(const struct merge *merge, const struct vector *vector);

struct merge_counts {
	size_t rows;   /* in the window */
	size_t held;   /* of them, those that are not shown as they should be */
	size_t writes; /* in the window */
};
struct merge_counts merge_counts(const struct merge *merge);

#endif
