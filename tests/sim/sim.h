/* A deterministic simulation of nodes that merge: the real history, engine, window and manifests (src/merge), each node with a small
 * server of its own, and, in place of src/link's threads, actors that take one small step at a time in an order that a seed decides.
 *
 * Durable at a node: its tables, its log, the cursors of its links, where its tail may start, the marks of what was recorded. All else is lost
 * in a crash.
 *
 *   tables.c    random tables; a server that refuses what MariaDB refuses
 *   node.c      the log, the tail, who is known to have what, crashes
 *   link.c      a link: reads a peer's log, applies or resolves
 *   resolver.c  shows, decides, records, acknowledges, saves checkpoints
 *   writes.c    applications
 *   check.c     what must hold in the end, by books of its own
 *   sim.c       the scheduler, the command
 */
#ifndef SYNCLINE_SIM_H
#define SYNCLINE_SIM_H

#include "merge/history.h"
#include "merge/manifest.h"

enum {
	NODES_MAX = 5,
	TABLES_MAX = 4,
	COLUMNS = 8,
	ROWS_MAX = 256,       /* in a table */
	RECORDS = TABLES_MAX, /* the number of the table of conflict records */
	OLDER = 8,
	CHECKPOINTS = 16,
};

/* What is broken on purpose: the checks must notice. */
enum fault {
	FAULT_NONE,
	FAULT_SETTLE_EARLY,     /* without waiting for one of the nodes */
	FAULT_NO_DECISION,      /* nobody deletes the loser of a unique value */
	FAULT_OUT_OF_ORDER,     /* a link passes by a group now and then, and comes back to it later */
	FAULT_NO_CERTIFY,       /* what was committed between looking and committing isn't looked at */
	FAULT_NO_MARKS,         /* what was recorded is forgotten in a crash */
	FAULT_RAW_TIMES,        /* commit times for the times of stamps */
	FAULT_FEW_LOCKS,        /* a plan locks the rows that it changes, not those that it is about */
	FAULT_LATE_CHECKPOINT,  /* between a write and one that didn't know of it */
	FAULT_EARLY_CHECKPOINT, /* the tail starts where it was last */
};

/* What can be left out of a run, to narrow down a failure. */
enum feature {
	FEATURE_MANY = 1,     /* transactions of several changes */
	FEATURE_AGAIN = 2,    /* … that change one row more than once */
	FEATURE_RESTRICT = 4, /* references by what they do */
	FEATURE_CASCADE = 8,
	FEATURE_TWO_PARENTS = 16,
	FEATURE_GRANDPARENTS = 32,
	FEATURE_COMPOSITE = 64, /* keys and unique values of two columns */
	FEATURE_KEY_CHANGE = 128,
	FEATURE_NULL = 256,  /* in unique values and references */
	FEATURE_BOUND = 512, /* columns */
	FEATURE_CRASH = 1024,
	FEATURE_AGAIN_READ = 2048,
	FEATURE_UNIQUE = 4096,
	FEATURE_REFERENCE = 8192,
	FEATURE_UNIQUE_CHILD = 16384,
	FEATURE_PLAIN = 32768, /* of two nodes: batches without a manifest */
	FEATURE_ALL = 65535,
};

struct row {
	bool there;
	bool is_null[COLUMNS];
	uint32_t values[COLUMNS];
};

struct change {
	enum merge_op op;
	int table;
	bool no_cascade;
	struct row before, after;
};

struct changes { /* = {0} */
	size_t count, capacity;
	struct change *items;
};

/* The tables of one run; the same on every node. */
struct schema {
	int table_count;
	struct merge_table tables[TABLES_MAX + 1];
	bool nullable[TABLES_MAX + 1][COLUMNS];
};
extern struct schema schema;

struct table_rows {
	size_t count;
	struct row rows[ROWS_MAX];
};
struct server {
	struct table_rows tables[TABLES_MAX];
	struct changes recorded; /* rows of the table of records, which is only ever added to */
};

/* Of a transaction as it was committed at its origin: the books that the checks go by. */
struct fact {
	struct gtid gtid;
	uint32_t time, stamp; /* the clock's; the stamp's */
	struct vector context;
	struct changes changes;
};

struct record_fact {
	enum merge_kind kind;
	bool is_claim, is_committed;
	int table, node;
	struct gtid loser, winner;
	struct row local;
	bool lost[COLUMNS];
};

struct group {
	struct gtid gtid;
	uint32_t time;
	bool has_manifest;
	struct buf manifest;
	struct changes rows;
};

struct cursor_at {
	size_t at; /* groups of the log that are behind it */
	struct vector vector;
	uint32_t latest;
};

/* A transaction on its way through a link; its changes are owned. */
struct incoming {
	struct gtid gtid;
	uint32_t time;
	struct vector context;
	struct changes changes;
};
struct incomings {
	size_t count, capacity;
	struct incoming *items;
};

enum phase { PHASE_IDLE, PHASE_SENT, PHASE_PLANNED, PHASE_SENT_PLAN, PHASE_WAIT };

struct link {
	bool is_there, cut;
	/* durable */
	struct cursor_at saved, older[OLDER];
	size_t older_count;
	/* not */
	struct cursor_at now;
	bool is_skipped[4]; /* FAULT_OUT_OF_ORDER */
	bool in_group, group_is_whole, has_manifest, is_own;
	struct group *group;
	struct manifest manifest;
	struct incomings queue, batch;
	uint32_t origin; /* the claim that is held, 0: none */
	enum phase phase;
	struct vector planned, sent;
	struct changes steps;
	struct gtid wait;
};

enum duty { DUTY_CHECKPOINT, DUTY_LOOK, DUTY_SEND, DUTY_CERTIFY, DUTY_RECORD, DUTY_ACKNOWLEDGE, DUTY_SAVE };
struct work {
	bool decides, unseen;
	size_t decided; /* the number of its record */
	struct changes steps;
};

struct mark {
	uint64_t id, seq;
};
struct lock {
	uint64_t key;
	int owner;
};

struct node {
	int number; /* from 0; its domain is one more */
	/* durable */
	struct server server;
	struct group *log;
	size_t log_count, log_capacity;
	struct vector vector;
	uint32_t clock, stamp; /* the latest time of the stamps in its log, by the books */
	struct link links[NODES_MAX];
	struct cursor_at checkpoint;
	struct mark *marks;
	size_t mark_count, mark_capacity;
	uint32_t next_key;
	/* not */
	struct history *history;
	struct cursor_at tail;
	size_t
	    again_until; /* after a crash: the log's end then. Nothing is settled before the tail has told all of it again */
	struct vector known[NODES_MAX], settled;
	struct cursor_at checkpoints[CHECKPOINTS];
	size_t checkpoint_count;
	bool owes;
	uint64_t as_written[NODES_MAX]; /* by origin: the last that the links applied, and didn't resolve */
	int claims[NODES_MAX];          /* by origin: the peer of the link that holds it, -1: nobody */
	struct lock *locks;
	size_t lock_count, lock_capacity;
	enum duty duty;
	struct work work;
	struct vector planned, sent;
	struct cursor_at pending_checkpoint;
	bool has_checkpoint;
	size_t *losses; /* numbers of records */
	size_t loss_count, loss_capacity;
};

struct sim {
	uint64_t seed, random, trace;
	unsigned long step;
	enum fault fault;
	unsigned features;
	bool tells; /* what every group holds */
	int node_count;
	struct node *nodes;
	struct fact **facts[NODES_MAX];
	size_t fact_counts[NODES_MAX];
	struct record_fact *records;
	size_t record_count;
	uint32_t next_value;
	unsigned long progress; /* counts what was done */
	unsigned long resolved, decided, crashes, transactions;
};
extern struct sim sim;

/* Fails the run: prints seed, step, what, and how to repeat it. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void must(enum err_code code, const struct err *err);
uint32_t chance(uint32_t below);
void trace(uint64_t what);
bool has(enum feature feature);
#define GROW(list, count, capacity)                                                                                    \
	((count) == (capacity)                                                                                             \
	     ? ((capacity) = (capacity) ? (capacity)*2 : 8, (list) = mem_resize((list), (capacity) * sizeof *(list)))      \
	     : (list))

/* tables.c */
void schema_make(void);
void changes_add(struct changes *list, const struct change *change);
void changes_append(struct changes *list, const struct changes *more);
void changes_clear(struct changes *list);
void changes_free(struct changes *list);
bool changes_equal(const struct changes *a, const struct changes *b);
bool row_equal(const struct row *a, const struct row *b, int table);
bool row_same_key(const struct row *a, const struct row *b, int table);
struct row *server_find(struct server *server, int table, const struct row *like);
/* NULL, or why MariaDB would refuse it; then nothing is changed. */
const char *server_apply(struct server *server, const struct change *change);
/* A delete, behind those of the children that restrict it. */
void server_delete_with_children(const struct server *server, const struct change *change, struct changes *to);
/* Nothing refers to nothing. */
const char *server_check(struct server *server);
void server_copy(struct server *to, const struct server *from); /* but for the records */
/* Calls for each key that locks what lies between the two states. */
void server_differences(struct server *from, struct server *to, void (*call)(void *context, uint64_t key),
                        void *context);
/* … and for what was there in between. */
void changes_keys(const struct changes *changes, void (*call)(void *context, uint64_t key), void *context);
/* The change as the engine wants it: one, or two if the primary key is another. */
struct shaped {
	size_t count;
	struct merge_change *changes;
	struct content *contents;
};
void shaped_init(struct shaped *shaped, const struct changes *changes);
void shaped_done(struct shaped *shaped);
void changes_of_steps(struct changes *to, const struct merge_step *steps, size_t count);
struct row row_of(const struct merge_table *table, const struct content *values);

/* node.c */
void node_start(struct node *node); /* what is volatile, from what is durable */
void node_stop(struct node *node);
void node_free(struct node *node);
void node_log(struct node *node, struct group *group); /* takes it; its rows are in the tables already */
struct fact *node_commit(struct node *node, const struct changes *rows, const struct changes *writes,
                         const struct manifest *manifest); /* a transaction of its own */
bool node_tail(struct node *node);
bool node_is_tailed(const struct node *node); /* up to the end of its log */
void node_knows(struct node *node, uint32_t domain, const struct vector *vector);
void node_origin_knows(struct node *node, const struct gtid *gtid, const struct vector *context);
void node_settle(struct node *node);
/* Of these rows, which made the tables so. */
bool node_is_locked(struct node *node, struct server *changed, const struct changes *rows, int owner);
void node_lock(struct node *node, struct server *changed, const struct changes *rows, int owner);
void node_unlock(struct node *node, int owner);
/* Carries out all of them, or says why not. */
const char *node_try(struct node *node, struct server *on, const struct changes *rows);
struct fact *fact_of(const struct gtid *gtid);
void vector_add(struct vector *vector, const struct gtid *gtid);
void pack_changes(struct buf *to, const struct changes *changes);
void unpack_changes(struct changes *to, const struct buf *from);

/* link.c */
bool link_step(struct node *node, int peer);
void link_reset(struct node *node, int peer, bool to_older);
void link_free(struct link *link);

/* resolver.c */
bool resolver_step(struct node *node);

/* writes.c */
void write_something(struct node *node);

/* check.c */
void check_end(void);
void tell_group(const struct node *node, const struct group *group);
void tell_changes(const char *what, const struct changes *changes);
void tell_tables(void);
void tell_rows(const struct node *node);

#endif
