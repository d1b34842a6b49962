/* Applying: row events of a peer's log become BINLOG statements in one local transaction under the origin's GTID.
 *
 *   BINLOG '<format description>'                                   once a session and format
 *   SET gtid_domain_id, server_id, gtid_seq_no                      the origin's, seq of the batch's last transaction
 *   BEGIN · the link's row with cursor and manifest · BINLOG '<table maps and rows events>' … · COMMIT
 *
 * Events are gathered as text (apply_table_map, apply_rows, apply_statement_end) and sent by apply_flush, the first time with
 * what stands ahead of them. A batch may be flushed in many parts, so memory is bounded by the caller's part, not by the
 * transaction. apply_flush gives this server's vector as it was once the rows were locked: what certifying needs.
 * After an error the session must be closed; nothing of the batch is left. One thread.
 *
 * Facts: one BINLOG statement with hundreds of events gets slower with the square of their number; several short ones do not
 * (measured). BINLOG takes two fragments in user variables for what exceeds max_allowed_packet (MariaDB manual, "BINLOG").
 */
#ifndef SYNCLINE_SQL_APPLY_H
#define SYNCLINE_SQL_APPLY_H

#include "binlog/event.h"
#include "sql/connection.h"

struct apply;

/* What stands ahead of a batch. */
struct apply_head {
	bool is_unlogged;              /* nothing of it goes into this server's log; then the rest is not looked at */
	struct gtid gtid;              /* of the batch's last transaction; of seq 0: this server gives it one of its own */
	uint32_t peer;                 /* whose link it is; 0: none, then there is no position */
	const struct vector *position; /* saved together with the manifest, */
	uint32_t latest;               /* and this */
	const uint8_t *manifest;       /* of size 0: neither is written */
	size_t manifest_size;
};

struct apply *apply_new(void);
void apply_free(struct apply *apply); /* accepts NULL */
enum err_code apply_open(struct apply *apply, const struct connection_target *target, struct err *err) ERR_MUST_CHECK;
void apply_close(struct apply *apply); /* forgets what was gathered */
void apply_abort(struct apply *apply); /* from any thread */
/* The session itself, to be used between batches, or between parts for reading. */
struct connection *apply_connection(struct apply *apply);

/* The format of the events to come. */
void apply_format(struct apply *apply, const struct event *format_description);
/* A table of the current statement; to be told before its rows. */
void apply_table_map(struct apply *apply, const struct event *table_map);
/* A plain rows event (no checksum, uncompressed) of a table of the current statement. */
void apply_rows(struct apply *apply, const struct event *rows);
void apply_statement_end(struct apply *apply);
/* A statement of another kind, behind what was gathered. It must have no result. */
void apply_statement(struct apply *apply, const char *sql, size_t size);
/* The current statement's tables were told of, but its rows won't come. */
void apply_forget_statement(struct apply *apply);
/* Bytes gathered and not flushed yet. */
size_t apply_gathered(const struct apply *apply);

/* Sends what was gathered, at the batch's start with its head. `expected` (may be NULL): what the server's vector must be, now
 * that the rows are locked, for the batch to be committed at once, in the same round trip. *ret_committed says whether it was. */
enum err_code apply_flush(struct apply *apply, const struct apply_head *head, const struct vector *expected,
                          bool *ret_committed, struct vector *ret_server_vector, struct err *err) ERR_MUST_CHECK;
bool apply_has_begun(const struct apply *apply); /* a part of the batch was flushed */
enum err_code apply_commit(struct apply *apply, struct err *err) ERR_MUST_CHECK;
/* Nothing of the batch is left, flushed or not; the session goes on. */
enum err_code apply_rollback(struct apply *apply, struct err *err) ERR_MUST_CHECK;

#endif
