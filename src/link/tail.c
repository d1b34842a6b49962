#include "link/tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "binlog/query.h"
#include "binlog/rows.h"
#include "link/recovered.h"
#include "link/tables.h"
#include "link/thread.h"
#include "merge/manifest.h"
#include "merge/rowkey.h"
#include "sql/server.h"
#include "sql/stream.h"

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 2000, EVENT_BYTES_MAX = 1024 * 1024 * 1024, SCRATCH_KEPT = 256 * 1024 };

struct tail {
	const struct settings *settings;
	struct state *state;
	struct connection_target target;
	struct stream *stream;
	pthread_t thread;

	struct format format;
	struct tables *tables;
	struct buf scratch;
	struct rows_iter rows;
	struct vector position;

	bool in_group, wanted; /* wanted: its writes enter the window */
	struct gtid_event gtid;
	uint64_t begun; /* the seq in this group that the window has begun, 0: none */
	bool has_manifest;
	struct manifest manifest;
	struct manifest_reader reader;
};

static enum err_code on_gtid(struct tail *t, const struct event *event, struct err *err)
{
	enum err_code code = gtid_event_parse(event, &t->gtid, err);
	t->in_group = true;
	t->has_manifest = false;
	t->begun = 0;
	t->wanted = code == ERR_OK && !state_is_settled(t->state, &t->gtid.gtid);
	return code;
}

static enum err_code on_end(struct tail *t, struct err *err)
{
	enum err_code code = vector_advance(&t->position, &t->gtid.gtid, err);
	t->in_group = false;
	tables_trim(t->tables);
	return code == ERR_OK ? state_tailed(t->state, &t->gtid.gtid, err) : code;
}

/* On a connection of its own: it happens once in a crash. */
static enum err_code on_recovered(struct tail *t, const struct query_event *query, struct err *err)
{
	struct connection *connection = connection_new();
	enum err_code code = connection_open(connection, &t->target, err);
	if (code == ERR_OK)
		code = recovered_decide(connection, &t->gtid.gtid, query, err);
	connection_free(connection);
	return code;
}

static enum err_code on_query(struct tail *t, const struct event *packed, struct err *err)
{
	struct event event;
	struct query_event query;
	enum err_code code = event_uncompress(packed, EVENT_BYTES_MAX, &t->scratch, &event, err);
	if (code == ERR_OK)
		code = query_parse(&event, &query, err);
	if (code != ERR_OK)
		return code;
	if (recovered_is(&event, &query) && t->gtid.gtid.domain == t->settings->node_id) {
		code = on_recovered(t, &query, err);
		if (code != ERR_OK)
			return code;
	}
	bool ends_by_itself = (t->gtid.flags & GTID_FLAG_STANDALONE) != 0;
	bool is_end = query_is(&query, "COMMIT") || query_is(&query, "ROLLBACK");
	if (!is_end) /* what else stands in a log as text may be DDL; counting too much only asks the catalogue again */
		state_schema_changed(t->state);
	return ends_by_itself || is_end ? on_end(t, err) : ERR_OK;
}

/* Only that these keys were written is kept, so neither time nor context is told. */
static enum err_code take_keys(struct tail *t, const struct gtid *gtid, const uint64_t *keys, size_t count,
                               struct err *err)
{
	enum err_code code = ERR_OK;
	if (count > 0 && gtid->seq != t->begun)
		code = state_window_begin(t->state, &(struct window_transaction){.gtid = *gtid}, err);
	if (count == 0 || code != ERR_OK)
		return code;
	t->begun = gtid->seq;
	return state_window_add(t->state, keys, count, NULL, 0, err);
}

static enum err_code take_rows(struct tail *t, const struct table *table, const struct rows_event *rows,
                               struct err *err)
{
	struct row_change change;
	bool more;
	enum err_code code;
	rows_iter_start(&t->rows, rows, &table->map);
	while ((code = rows_next(&t->rows, &change, &more, err)) == ERR_OK && more) {
		uint64_t keys[2];
		struct gtid gtid = t->gtid.gtid;
		const struct manifest_transaction *of = t->has_manifest ? manifest_reader_take(&t->reader) : NULL;
		if (of != NULL)
			gtid.seq = of->seq;
		unsigned count = rowkey_of_change(table->hash, &table->map, &change, keys);
		code = take_keys(t, &gtid, keys, count, err);
		if (code != ERR_OK)
			return code;
	}
	return code;
}

static enum err_code on_rows(struct tail *t, const struct event *packed, struct err *err)
{
	struct event event;
	struct rows_event rows;
	enum err_code code = event_uncompress(packed, EVENT_BYTES_MAX, &t->scratch, &event, err);
	if (code == ERR_OK)
		code = rows_parse(&event, NULL, &rows, err);
	if (code != ERR_OK)
		return code;
	const struct table *table = tables_find(t->tables, rows.table_id);
	if (table != NULL && table->is_links && t->gtid.gtid.domain != t->settings->node_id) {
		code = tables_read_manifest(table, &event, &t->manifest, &t->has_manifest, err);
		manifest_reader_start(&t->reader, &t->manifest);
	} else if (table != NULL && table->is_replicated && t->settings->peer_count > 0) {
		code = rows_parse(&event, &table->map, &rows, err);
		if (code == ERR_OK)
			code = take_rows(t, table, &rows, err);
	}
	buf_shrink(&t->scratch, SCRATCH_KEPT);
	return code;
}

static enum err_code on_event(struct tail *t, const uint8_t *bytes, size_t size, struct err *err)
{
	struct event event;
	const struct table *table;
	enum err_code code = event_parse(&t->format, bytes, size, &event, err);
	if (code != ERR_OK)
		return code;
	switch (event.type) {
	case EVENT_FORMAT_DESCRIPTION:
		tables_clear(t->tables);
		t->in_group = false;
		return format_parse(&event, &t->format, err);
	case EVENT_HEARTBEAT:
		state_tail_live(t->state, true, NULL);
		return ERR_OK;
	case EVENT_GTID:
		return on_gtid(t, &event, err);
	case EVENT_XID:
	case EVENT_XA_PREPARE:
		return t->in_group ? on_end(t, err) : ERR_OK;
	case EVENT_QUERY:
	case EVENT_QUERY_COMPRESSED:
		return t->in_group ? on_query(t, &event, err) : ERR_OK;
	case EVENT_TABLE_MAP:
		return t->wanted ? tables_learn(t->tables, &event, &table, err) : ERR_OK;
	default:
		return t->wanted && event_is_rows(event.type) ? on_rows(t, &event, err) : ERR_OK;
	}
}

static void min_position(void *context, unsigned count, const char *const *columns)
{
	struct tail *t = context;
	struct vector position;
	if (count == 0 || columns[0] == NULL || vector_parse(columns[0], &position, NULL) != ERR_OK)
		return;
	t->position = vector_min(&t->position, &position);
}

static void first_file(void *context, unsigned count, const char *const *columns)
{
	char *file = context; /* of 512 bytes */
	if (count > 0 && columns[0] != NULL && file[0] == '\0')
		snprintf(file, 512, "%s", columns[0]);
}

/* Where the oldest log file begins: behind that is nothing to read. */
static enum err_code oldest_position(struct connection *connection, struct vector *ret, struct err *err)
{
	char file[512] = "";
	struct buf sql = {0}, text = {0};
	enum err_code code = connection_query(connection, "SHOW BINARY LOGS", first_file, file, err);
	buf_append_str(&sql, "SELECT BINLOG_GTID_POS(");
	sql_append_string(&sql, file, strlen(file));
	buf_append_str(&sql, ", 4)");
	if (code == ERR_OK)
		code = connection_value(connection, buf_str(&sql), sql.size, &text, NULL, err);
	if (code == ERR_OK)
		code = vector_parse(buf_str(&text), ret, err);
	buf_free(&sql);
	buf_free(&text);
	return code;
}

/* What every peer has, as far as the links' saved positions tell; a peer without one has nothing yet. */
static enum err_code first_position(struct tail *t, struct err *err)
{
	struct connection *connection = connection_new();
	struct vector oldest;
	struct buf peers = {0}, sql = {0};
	for (size_t i = 0; i < t->settings->peer_count; i++)
		buf_printf(&peers, "%s SELECT %u AS peer", i ? " UNION ALL" : "", (unsigned)t->settings->peers[i].node_id);
	enum err_code code = connection_open(connection, &t->target, err);
	if (code == ERR_OK)
		code = server_vector(connection, &t->position, err);
	if (code == ERR_OK)
		code = oldest_position(connection, &oldest, err);
	if (code == ERR_OK && peers.size > 0) {
		buf_printf(&sql,
		           "SELECT COALESCE(position,'') FROM (%s) p LEFT JOIN " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE
		           " USING (peer)",
		           buf_str(&peers));
		code = connection_query(connection, buf_str(&sql), min_position, t, err);
	}
	if (code == ERR_OK)
		code = vector_merge(&t->position, &oldest, err);
	if (code == ERR_OK)
		state_tail_start(t->state, &t->position);
	buf_free(&peers);
	buf_free(&sql);
	connection_free(connection);
	return code;
}

static enum err_code follow(struct tail *t, bool *started, struct err *err)
{
	const uint8_t *bytes;
	size_t size;
	struct vector head;
	enum err_code code = *started ? state_window_rewind(t->state, err) : first_position(t, err);
	if (code != ERR_OK)
		return code;
	*started = true;
	format_init(&t->format);
	tables_clear(t->tables);
	t->in_group = t->wanted = false;
	code = stream_open(t->stream, &t->target, t->settings->node_id, t->settings->node_id, &t->position, &head, err);
	/* Not before something was read does the reader below know that it is at the end; an idle log says so by a heartbeat. */
	if (code == ERR_OK && vector_covers(&t->position, &head))
		state_tail_live(t->state, true, NULL);
	while (code == ERR_OK && !state_is_stopping(t->state)) {
		code = stream_next(t->stream, &bytes, &size, err);
		if (code == ERR_OK)
			code = on_event(t, bytes, size, err);
	}
	stream_close(t->stream);
	return code;
}

static void *tail_main(void *context)
{
	struct tail *t = context;
	struct err err = {0};
	bool started = false;
	int64_t backoff = BACKOFF_MS_MIN;
	while (!state_is_stopping(t->state)) {
		struct vector before = t->position;
		enum err_code code = follow(t, &started, &err);
		if (state_is_stopping(t->state))
			break;
		state_tail_live(t->state, false, err.message);
		log_line(err_retryable(code) ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "tail", "%s", err.message);
		backoff = !vector_equal(&before, &t->position) ? BACKOFF_MS_MIN : backoff * 2;
		state_sleep(t->state, backoff < BACKOFF_MS_MAX ? backoff : BACKOFF_MS_MAX);
	}
	return NULL;
}

enum err_code tail_start(const struct settings *settings, struct state *state, struct tail **ret_tail, struct err *err)
{
	struct tail *t = mem_alloc(sizeof *t);
	t->settings = settings;
	t->state = state;
	t->target = (struct connection_target){
	    .file = settings->file, .group = settings->server_group, .name = settings->server_where};
	t->stream = stream_new();
	t->tables = tables_new(settings);
	rows_iter_init(&t->rows);
	enum err_code code = thread_start(&t->thread, tail_main, t, err);
	if (code != ERR_OK) {
		t->state = NULL;
		tail_stop(t);
		return code;
	}
	*ret_tail = t;
	return ERR_OK;
}

void tail_stop(struct tail *t)
{
	if (t == NULL)
		return;
	if (t->state != NULL) { /* its thread runs */
		stream_abort(t->stream);
		pthread_join(t->thread, NULL);
	}
	stream_free(t->stream);
	tables_free(t->tables);
	rows_iter_free(&t->rows);
	buf_free(&t->scratch);
	manifest_free(&t->manifest);
	free(t);
}
