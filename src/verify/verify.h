/* Are the replicated tables of live nodes equal? Compared while applications write on all of them; nothing is changed.
 *
 * Rows are compared as of a *look*: each node reads in a transaction with a consistent snapshot, begun at about the same
 * moment. What some nodes' snapshots have and others don't is then in some node's log, between the vector that all
 * cover and its own snapshot: that piece of each log is read, and the rows that it is about are *touched*. A row that is
 * not touched is, on each node, what it is at the vector where all the snapshots meet, so it is compared as it stands;
 * touched ones are set aside and looked at again. Chunks of the key are digested on the servers, those that differ are
 * narrowed to rows; a row that differs is looked at again, when all nodes have all that any node had at the first look,
 * and counts as different only if it differs then, too. docs/verify.md says why this can't be wrong either way.
 *
 * Each account needs SELECT on the databases and on syncline.*, REPLICATION SLAVE and BINLOG MONITOR. Memory is bounded
 * by a few MiB, the number of tables and the longest row of a key. One thread; `cancelled` may be set from any.
 */
#ifndef SYNCLINE_VERIFY_VERIFY_H
#define SYNCLINE_VERIFY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copy/copy.h"
#include "copy/layout.h"

enum verify_verdict { VERIFY_EQUAL, VERIFY_DIFFERENT, VERIFY_UNKNOWN };
const char *verify_verdict_name(enum verify_verdict verdict); /* "equal", "different", "unknown" */

struct verify_node {
	uint32_t id;
	struct connection_target target;
};

/* A row that differs. `is_there[i]`, `hashes[i]`: of the i-th node that was compared, whose number nodes[i] has; the
 * first is the node itself. Borrowed for the call. */
enum { VERIFY_HASH_SIZE = 16 };
struct verify_row {
	const char *database, *table;
	const struct layout *layout;
	const uint8_t *key; /* packed (keyset.h) */
	size_t key_size;
	size_t node_count;
	const uint32_t *nodes;
	const bool *is_there;
	const uint8_t (*hashes)[VERIFY_HASH_SIZE];
};
typedef void verify_on_row(void *context, const struct verify_row *row);

struct verify_wish {
	size_t node_count;
	const struct verify_node *nodes; /* the first is the one it runs on */
	size_t database_count;
	const char *const *databases;
	size_t table_count;        /* 0: all of them */
	const char *const *tables; /* "DB.TABLE" */
	uint64_t rows_s, bytes_s;  /* how much is read on each node at most; 0: no limit */
	int64_t patience_ms;       /* how long nodes may take to have what others have */
	bool is_native;            /* MariaDB's own replication applies here */
	const volatile bool *cancelled;
	copy_progress *progress;           /* may be NULL */
	verify_on_row *on_row;             /* may be NULL */
	bool (*is_settled)(void *context); /* nothing is in dispute on this node now; may be NULL */
	void *context;
};

struct verify_table {
	char *database, *name;
	enum verify_verdict verdict;
	char *why;     /* one line: of a schema that differs, or why it couldn't be told; NULL where rows say it all */
	uint64_t rows; /* compared, here */
	uint64_t different_rows, unknown_rows;
};

struct verify_result {
	enum verify_verdict verdict;
	char *why; /* why all of it couldn't be told: a node that can't be reached; NULL */
	size_t table_count;
	struct verify_table *tables;
	uint64_t rows, different_rows, unknown_rows;
	int64_t elapsed_ms;
};

/* An error is something that no verdict could be had for: a wrong name of a table, this node's server away, cancelled.
 * What happens to peers is in the result. */
enum err_code verify_run(const struct verify_wish *wish, struct verify_result *ret, struct err *err) ERR_MUST_CHECK;
void verify_result_free(struct verify_result *result); /* accepts a zeroed one */

/* Appends a packed key as "id=5, name='a'": what is no printable text as x'…'. */
void verify_append_key(const struct layout *layout, const uint8_t *key, size_t size, struct buf *to);
/* Appends "(`id`=5 AND …)", by which an index can be searched. */
void verify_append_condition(const struct layout *layout, const uint8_t *key, size_t size, struct buf *sql);

#endif
