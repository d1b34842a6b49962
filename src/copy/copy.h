/* Makes the replicated databases of one server, the target, equal to another's, the source, as of one snapshot of the
 * source.
 *
 * Writers go on writing on the source: its rows are read in one transaction that began with a consistent snapshot, and
 * the result tells the vector of that snapshot, from where a link may go on. Rows are compared in chunks along the
 * table's key and only chunks that differ are sent; so a copy that was interrupted goes on where it was when it is run
 * again, and a target that has most rows already gets the rest. DDL on the source during the copy begins it anew with
 * another snapshot, a few times.
 *
 * The source's account needs BINLOG MONITOR ON *.*; SELECT, SHOW VIEW, TRIGGER, EVENT on each database; and SELECT ON
 * mysql.proc (a routine is shown to nobody else but its definer). They have to be the account's own, not a role's.
 * With BINLOG ADMIN as well, DDL on the source waits only while a segment of that table's rows is read (5 s of them
 * with a rate limit, 16 MiB without, all of a table that has no usable key); without it until the copy's end. The
 * target is root's: what is written there is not logged (sql_log_bin=0).
 *
 * The caller keeps everybody else from writing on the target: applications, the daemon and the event scheduler.
 * Triggers of the target are gone while its rows are copied and are made when all rows are there. Only when copy_run
 * has returned ERR_OK is the target what the vector says; after an error it is something between, and running it again
 * mends it.
 *
 * Memory is bounded by a few MiB and one row. One thread; `cancelled` may be set from any, or from a signal.
 */
#ifndef SYNCLINE_COPY_COPY_H
#define SYNCLINE_COPY_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "binlog/gtid.h"
#include "sql/connection.h"

/* How far it is. `done` of `total` is an estimate, in bytes as the source's tables have them, and reaches `total` at
 * the end. */
struct copy_state {
	const char *database, *table; /* what is being copied; NULL while no rows are */
	uint64_t done, total;
	uint64_t rows_done;  /* compared or copied */
	uint64_t bytes_sent; /* values that came from the source */
	int64_t elapsed_ms;
};

/* At least every few chunks, at most every 100 ms but at the end of a table. */
typedef void copy_progress(void *context, const struct copy_state *state);

struct copy_wish {
	const struct connection_target *from, *to;
	size_t database_count;
	const char *const *databases;
	unsigned rate_limit_kib_s;      /* 0: none */
	const volatile bool *cancelled; /* may be NULL */
	copy_progress *progress;        /* may be NULL */
	void *context;                  /* progress's */
};

struct copy_result {
	struct vector vector; /* of the snapshot that the target is equal to */
	uint64_t tables;
	uint64_t rows_copied, bytes_copied;
	uint64_t chunks_equal, chunks_copied; /* chunks_equal: compared and not sent */
	unsigned snapshots;                   /* 1 unless there was DDL on the source */
};

/* ERR_CONFIG: a privilege or a setting is missing; ERR_UNSUPPORTED: a table that can't be read as of a snapshot;
 * ERR_BUSY: the source's schema never stands still; ERR_CANCELLED; else what a server said. */
enum err_code copy_run(const struct copy_wish *wish, struct copy_result *ret, struct err *err) ERR_MUST_CHECK;

/* Calls held() for each table of these databases on the target, with its number of rows: what copying may lose. */
typedef void copy_held(void *context, const char *database, const char *table, uint64_t rows);
enum err_code copy_look(const struct connection_target *target, size_t database_count, const char *const *databases,
                        copy_held *held, void *context, struct err *err) ERR_MUST_CHECK;

#endif
