#include "sql/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/rows.h"
#include "sql/server.h"

enum {
	STATEMENT_EVENTS_MAX = 16,       /* rows events in one BINLOG statement */
	STATEMENT_BYTES_MAX = 48 * 1024, /* event bytes in one BINLOG statement, unless a single event is larger */
	STATEMENT_OVERHEAD = 64,         /* what a packet holds besides the base64 text */
	ONE_STATEMENT_BYTES_MAX = 16 * 1024,
	SMALL_BYTES = 1024 * 1024, /* memory kept after a large event */
	ROWS_FLAGS_OFFSET = EVENT_HEADER_SIZE + 6,
};

struct apply {
	struct connection *connection;
	size_t packet_bytes_max; /* the session's max_allowed_packet */
	bool begun, is_unlogged;

	struct buf format;        /* the format description to send, empty once it was sent */
	struct buf maps;          /* table map events of the current statement */
	struct buf pending;       /* events of the BINLOG statement under construction */
	size_t last_rows;         /* where the last rows event in pending starts */
	unsigned rows_count;      /* rows events in pending */
	bool maps_changed;        /* pending doesn't hold the current statement's table maps */
	struct buf body;          /* finished statements */
	unsigned statement_count; /* in body */
	struct buf order;         /* the server's vector as it last printed it */
	struct buf packet;        /* what is sent */
};

struct apply *apply_new(void)
{
	struct apply *a = mem_alloc(sizeof *a);
	a->connection = connection_new();
	return a;
}

static void forget(struct apply *a)
{
	a->begun = false;
	buf_shrink(&a->maps, SMALL_BYTES);
	buf_shrink(&a->pending, SMALL_BYTES);
	buf_shrink(&a->body, SMALL_BYTES);
	buf_shrink(&a->packet, SMALL_BYTES);
	a->rows_count = 0;
	a->statement_count = 0;
	a->maps_changed = false;
}

void apply_close(struct apply *a)
{
	connection_close(a->connection);
	buf_clear(&a->format);
	forget(a);
}

void apply_free(struct apply *a)
{
	if (a == NULL)
		return;
	apply_close(a);
	connection_free(a->connection);
	buf_free(&a->format);
	buf_free(&a->maps);
	buf_free(&a->pending);
	buf_free(&a->body);
	buf_free(&a->packet);
	buf_free(&a->order);
	free(a);
}

void apply_abort(struct apply *a)
{
	connection_abort(a->connection);
}

struct connection *apply_connection(struct apply *a)
{
	return a->connection;
}

/* binlog_annotate_row_events=OFF keeps the base64 text out of the local log. READ COMMITTED takes no gap locks, which
 * local writers would wait for. A lock wait is cut short since the whole link waits with it; it is tried again. What no query
 * event tells and the origin's session may have allowed is allowed: what the origin took must be taken. */
enum err_code apply_open(struct apply *a, const struct connection_target *target, struct err *err)
{
	static const char session[] = "SET SESSION binlog_annotate_row_events=OFF, SESSION binlog_format=ROW,"
	                              " SESSION sql_mode='', SESSION wait_timeout=31536000,"
	                              " SESSION innodb_lock_wait_timeout=10, SESSION lock_wait_timeout=60,"
	                              " SESSION innodb_strict_mode=OFF, SESSION system_versioning_alter_history=KEEP;"
	                              "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
	                              "SELECT @@max_allowed_packet";
	apply_close(a);
	struct buf value = {0};
	enum err_code code = connection_open(a->connection, target, err);
	if (code == ERR_OK)
		code = connection_value(a->connection, session, strlen(session), &value, NULL, err);
	if (code == ERR_OK)
		a->packet_bytes_max = (size_t)strtoul(buf_str(&value), NULL, 10);
	buf_free(&value);
	return code;
}

void apply_format(struct apply *a, const struct event *format_description)
{
	buf_clear(&a->format);
	format_append_plain(format_description, &a->format);
}

static void append_binlog(struct apply *a, const struct buf *events)
{
	buf_append_str(&a->body, "BINLOG '");
	buf_append_base64(&a->body, events->data, events->size);
	buf_append_str(&a->body, "';");
	a->statement_count++;
}

/* Ends the BINLOG statement under construction. Its last rows event must close the statement's tables, which the server
 * otherwise keeps open and then mixes up with those of the next BINLOG. */
static void finish_pending(struct apply *a)
{
	if (a->rows_count > 0) {
		a->pending.data[a->last_rows + ROWS_FLAGS_OFFSET] |= ROWS_FLAG_STATEMENT_END;
		append_binlog(a, &a->pending);
	}
	buf_shrink(&a->pending, SMALL_BYTES);
	a->rows_count = 0;
	a->maps_changed = true;
}

void apply_table_map(struct apply *a, const struct event *table_map)
{
	event_append(table_map, &a->maps);
	a->maps_changed = true;
}

void apply_rows(struct apply *a, const struct event *rows)
{
	if (a->rows_count > 0 &&
	    (a->rows_count >= STATEMENT_EVENTS_MAX || a->pending.size + rows->size > STATEMENT_BYTES_MAX))
		finish_pending(a);
	if (a->maps_changed)
		buf_append(&a->pending, a->maps.data, a->maps.size);
	a->maps_changed = false;
	a->last_rows = a->pending.size;
	event_append(rows, &a->pending);
	/* The statement goes on unless apply_statement_end or finish_pending says otherwise. */
	a->pending.data[a->last_rows + ROWS_FLAGS_OFFSET] &= (uint8_t)~ROWS_FLAG_STATEMENT_END;
	a->rows_count++;
}

void apply_statement_end(struct apply *a)
{
	if (a->rows_count > 0 && !a->maps_changed)
		a->pending.data[a->last_rows + ROWS_FLAGS_OFFSET] |= ROWS_FLAG_STATEMENT_END;
	buf_clear(&a->maps);
	a->maps_changed = false;
}

void apply_statement(struct apply *a, const char *sql, size_t size)
{
	finish_pending(a);
	a->maps_changed = false;
	buf_append(&a->body, sql, size);
	buf_append_str(&a->body, ";");
	a->statement_count++;
}

void apply_forget_statement(struct apply *a)
{
	buf_clear(&a->maps);
	a->maps_changed = false;
}

size_t apply_gathered(const struct apply *a)
{
	return a->body.size + a->pending.size / 3 * 4;
}

bool apply_has_begun(const struct apply *a)
{
	return a->begun;
}

/* Returns how many statements it is. */
static unsigned append_format(struct apply *a)
{
	if (a->format.size == 0)
		return 0;
	buf_append_str(&a->packet, "BINLOG '");
	buf_append_base64(&a->packet, a->format.data, a->format.size);
	buf_append_str(&a->packet, "';");
	return 1;
}

/* Returns how many statements it is. */
static unsigned append_head(struct apply *a, const struct apply_head *head)
{
	a->is_unlogged = head->is_unlogged;
	if (head->is_unlogged) {
		buf_append_str(&a->packet, "SET SESSION sql_log_bin=0;START TRANSACTION;");
		return 2;
	}
	unsigned count = 1;
	if (head->gtid.seq != 0) {
		buf_printf(&a->packet, "SET SESSION gtid_domain_id=%u, SESSION server_id=%u, SESSION gtid_seq_no=%llu;",
		           (unsigned)head->gtid.domain, (unsigned)head->gtid.server, (unsigned long long)head->gtid.seq);
		count++;
	}
	buf_append_str(&a->packet, "START TRANSACTION;");
	if (head->manifest_size == 0)
		return count;
	struct buf position = {0};
	if (head->position != NULL)
		vector_format(head->position, &position);
	buf_printf(&a->packet,
	           "INSERT INTO " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE
	           " (peer, position, latest, manifest) VALUES (%u,'%s',%u,",
	           (unsigned)head->peer, buf_str(&position), (unsigned)head->latest);
	sql_append_string(&a->packet, (const char *)head->manifest, head->manifest_size);
	buf_append_str(&a->packet, ") ON DUPLICATE KEY UPDATE position=VALUES(position), latest=VALUES(latest),"
	                           " manifest=VALUES(manifest);");
	buf_free(&position);
	return count + 1;
}

/* An event whose text doesn't fit in a packet: two halves in user variables. */
static enum err_code send_fragments(struct apply *a, struct err *err)
{
	struct buf text = {0};
	buf_append_base64(&text, a->pending.data, a->pending.size);
	size_t half = text.size / 2;
	enum err_code code = ERR_OK;
	if (text.size - half + STATEMENT_OVERHEAD > a->packet_bytes_max)
		code = err_set(err, ERR_UNSUPPORTED,
		               "a row change of %zu bytes is too large for this server's max_allowed_packet (%zu); raise it "
		               "under [mysqld] to 1G and restart MariaDB",
		               a->pending.size, a->packet_bytes_max);
	for (int i = 0; code == ERR_OK && i < 2; i++) {
		buf_clear(&a->packet);
		buf_printf(&a->packet, "SET @syncline_%d='", i);
		buf_append(&a->packet, text.data + (i ? half : 0), i ? text.size - half : half);
		buf_append_str(&a->packet, "'");
		code = connection_run_n(a->connection, (const char *)a->packet.data, a->packet.size, err);
	}
	buf_free(&text);
	if (code == ERR_OK)
		code = connection_run(a->connection, "BINLOG @syncline_0, @syncline_1", err);
	return code;
}

/* Asks for the server's vector. Rows of a table that commits by itself (one that is not transactional) would have ended the
 * transaction, and with it all that is promised: then the answer is empty. */
#define QUESTION "SELECT IF(@@in_transaction, @@global.gtid_binlog_pos, '')"

static void append_commit_if(struct apply *a, const struct vector *expected)
{
	buf_append_str(&a->packet, "IF @@in_transaction AND @@global.gtid_binlog_pos='");
	/* The server's own order of domains, so that the texts can be compared there. */
	vector_format_like(expected, buf_str(&a->order), &a->packet);
	buf_append_str(&a->packet, "' THEN COMMIT; ELSE " QUESTION "; END IF;");
}

/* Sends the packet, whose last statement asks the question, or commits and has no answer to it. */
static enum err_code send_packet(struct apply *a, unsigned statement_count, bool may_commit, bool *ret_committed,
                                 struct vector *ret_vector, struct err *err)
{
	struct buf value = {0};
	bool asked = false;
	enum err_code code = connection_batch(a->connection, (const char *)a->packet.data, a->packet.size, statement_count,
	                                      may_commit, &value, &asked, err);
	*ret_committed = code == ERR_OK && may_commit && !asked;
	if (code == ERR_OK && !*ret_committed) {
		if (value.size == 0)
			code = err_set(err, ERR_UNSUPPORTED, "a table of it committed by itself, in the middle of the transaction");
		else
			code = vector_parse(buf_str(&value), ret_vector, err);
		buf_clear(&a->order);
		buf_append(&a->order, value.data, value.size);
	}
	buf_free(&value);
	buf_shrink(&a->packet, SMALL_BYTES);
	return code;
}

/* The usual small batch is one compound statement with one answer: each answer is a system call for the server and a wake-up
 * for this thread. A large one isn't: the server copies the text of a compound statement's statements. */
static enum err_code send_gathered(struct apply *a, const struct apply_head *head, const struct vector *expected,
                                   bool *ret_committed, struct vector *ret_vector, struct err *err)
{
	buf_clear(&a->packet);
	unsigned count = append_format(a);
	bool is_one = !a->begun && expected != NULL && a->body.size < ONE_STATEMENT_BYTES_MAX;
	if (is_one)
		buf_append_str(&a->packet, "BEGIN NOT ATOMIC ");
	unsigned within = a->begun ? 0 : append_head(a, head);
	buf_append(&a->packet, a->body.data, a->body.size);
	within += a->statement_count;
	count += is_one ? 1 : within + 1;
	if (expected != NULL) {
		if (!is_one)
			buf_append_str(&a->packet, "BEGIN NOT ATOMIC ");
		append_commit_if(a, expected);
		buf_append_str(&a->packet, "END");
	} else {
		buf_append_str(&a->packet, QUESTION);
	}
	buf_shrink(&a->body, SMALL_BYTES);
	a->statement_count = 0;
	a->begun = true;
	return send_packet(a, count, expected != NULL, ret_committed, ret_vector, err);
}

enum err_code apply_flush(struct apply *a, const struct apply_head *head, const struct vector *expected,
                          bool *ret_committed, struct vector *ret_server_vector, struct err *err)
{
	bool in_fragments = a->rows_count > 0 && a->pending.size / 3 * 4 + STATEMENT_OVERHEAD * 4 > a->packet_bytes_max / 2;
	if (!in_fragments) {
		bool within_statement = a->maps.size > 0;
		finish_pending(a);
		a->maps_changed = within_statement;
	}
	enum err_code code = send_gathered(a, head, in_fragments ? NULL : expected, ret_committed, ret_server_vector, err);
	if (code == ERR_OK)
		buf_clear(&a->format);
	if (code == ERR_OK && in_fragments) {
		a->pending.data[a->last_rows + ROWS_FLAGS_OFFSET] |= ROWS_FLAG_STATEMENT_END;
		code = send_fragments(a, err);
		buf_shrink(&a->pending, SMALL_BYTES);
		a->rows_count = 0;
		a->maps_changed = true;
		if (code == ERR_OK)
			code = send_gathered(a, head, expected, ret_committed, ret_server_vector, err);
	}
	if (code == ERR_OK && *ret_committed)
		a->begun = false;
	return code;
}

enum err_code apply_commit(struct apply *a, struct err *err)
{
	a->begun = false; /* the current statement's table maps stay: its rows may be the next batch's */
	return connection_run(a->connection, a->is_unlogged ? "COMMIT;SET SESSION sql_log_bin=1" : "COMMIT", err);
}

enum err_code apply_rollback(struct apply *a, struct err *err)
{
	forget(a);
	return connection_run(a->connection, "ROLLBACK", err);
}
