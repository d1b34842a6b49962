#include "link/tail.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "binlog/query.h"
#include "binlog/rows.h"
#include "binlog/rows_writer.h"
#include "link/bookkeeper.h"
#include "link/changes.h"
#include "link/emptied.h"
#include "link/recovered.h"
#include "link/tables.h"
#include "link/thread.h"
#include "merge/manifest.h"
#include "merge/rowkey.h"
#include "sql/server.h"
#include "sql/stream.h"

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 2000, EVENT_BYTES_MAX = 1024 * 1024 * 1024, SCRATCH_KEPT = 256 * 1024 };

/* Whose log is told: the seed's, if there is one, and then this node's own. */
enum phase { TAIL_BEGINS, TAIL_SEEDS, TAIL_FOLLOWS };

struct tail {
	const struct settings *settings;
	struct state *state;
	struct connection_target target; /* of this node's server */
	struct connection_target source; /* of the server whose log is told */
	uint32_t teller;                 /* the node that it is of */
	enum phase phase;
	struct server_seed seed;
	struct server_position own; /* where this node's own log is begun with, behind the seed */
	struct vector until;        /* what was in it as the tail started */
	struct stream *stream;
	struct connection *connection; /* for what the log doesn't tell */
	struct catalogue *catalogue;
	pthread_t thread;

	struct format format;
	struct tables *tables, *written; /* of the log; of a manifest's writes */
	struct buf scratch;
	struct changes_reader reader;
	struct server_position position;

	/* the group at hand */
	bool in_group, wanted; /* wanted: the history is told of it */
	bool is_housekeeping;  /* it holds nothing but what the daemon notes for itself */
	bool is_kept;          /* it holds something else than rows of tables that aren't replicated */
	bool has_tables;
	struct gtid_event gtid;
	struct gtid
	    twin_of; /* a statement of a peer's, which this node's server has finished as its own; seq 0: it is none */
	uint32_t time;
	bool has_manifest;
	struct manifest manifest;
	struct manifest_reader manifest_reader;
	uint64_t begun;            /* the seq that the history has begun, 0: none */
	struct change_list steps;  /* what was done here, where that isn't what was written */
	struct change_list writes; /* of a manifest */
};

/* Of the node whose log it is. */
static bool is_own(const struct tail *t)
{
	return t->gtid.gtid.domain == t->teller;
}

static enum err_code on_gtid(struct tail *t, const struct event *event, struct err *err)
{
	enum err_code code = gtid_event_parse(event, &t->gtid, err);
	t->in_group = t->is_housekeeping = true;
	t->is_kept = t->has_tables = false;
	t->twin_of = (struct gtid){0};
	t->has_manifest = false;
	t->begun = 0;
	t->time = event->timestamp > t->position.latest ? event->timestamp : t->position.latest;
	change_list_clear(&t->steps);
	change_list_clear(&t->writes);
	t->wanted = code == ERR_OK && state_begin_group(t->state, &t->gtid.gtid) && t->settings->node_count > 1;
	return code;
}

/* The transactions of the group are in the history up to this seq; 0: all of them. */
static enum err_code end_transaction(struct tail *t, struct err *err)
{
	enum err_code code = ERR_OK;
	if (t->begun != 0) {
		code = history_end(state_lock_history(t->state), err);
		state_unlock_history(t->state);
	}
	t->begun = 0;
	return code;
}

/* What the repaired transaction deletes is gone, whether it was there or not: else the history would have it deleted again and again.
 * Ahead of what the log says, since a row may come again. */
static void drop_absent(struct tail *t)
{
	struct change_list all = {0};
	for (size_t i = 0; i < t->writes.count; i++)
		if (t->writes.changes[i].op == MERGE_DELETE)
			change_list_add(&all, &t->writes.changes[i], true);
	for (size_t i = 0; i < t->steps.count; i++)
		change_list_add(&all, &t->steps.changes[i], t->steps.steps[i].no_cascade);
	change_list_free(&t->steps);
	t->steps = all;
}

/* What the manifest says of a transaction that was resolved, or of steps that were taken by themselves. */
static enum err_code end_resolved(struct tail *t, struct err *err)
{
	enum err_code code = ERR_OK;
	struct merge_transaction transaction = {.gtid = t->gtid.gtid,
	                                        .time = is_own(t) ? t->time : t->manifest.transactions[0].time,
	                                        .context = is_own(t) ? &t->position.vector : &t->manifest.context,
	                                        .count = t->writes.count,
	                                        .changes = t->writes.changes};
	if (t->manifest.kind == MANIFEST_REPAIRED)
		drop_absent(t);
	struct history *history = state_lock_history(t->state);
	if (manifest_has_writes(&t->manifest))
		code = history_resolved(history, &transaction, t->steps.count, t->steps.steps, err);
	else
		history_shown(history, t->steps.count, t->steps.steps);
	state_unlock_history(t->state);
	if (code == ERR_OK && manifest_has_writes(&t->manifest)) {
		struct vector knew = *transaction.context;
		code = vector_advance(&knew, &transaction.gtid, err);
		if (code == ERR_OK)
			state_note_resolved(t->state, &knew);
	}
	return code;
}

/* A peer's transactions carry the times of their stamps; a group without a manifest has one transaction, the time of its commit. */
static void advance_latest(struct tail *t)
{
	if (t->has_manifest && !is_own(t)) {
		for (size_t i = 0; i < t->manifest.count; i++)
			if (t->manifest.transactions[i].time > t->position.latest)
				t->position.latest = t->manifest.transactions[i].time;
	} else {
		t->position.latest = t->time;
	}
}

static bool has_writes(const struct tail *t)
{
	bool any = !t->has_manifest || manifest_has_writes(&t->manifest);
	for (size_t i = 0; !any && i < t->manifest.count; i++)
		any = t->manifest.transactions[i].row_changes > 0;
	return any;
}

/* The group is in the history. */
static enum err_code note_group(struct tail *t, struct err *err)
{
	enum err_code code = ERR_OK;
	if (t->phase == TAIL_SEEDS) {
		state_seeded(t->state);
	} else {
		if (t->has_tables && !t->is_kept)
			state_note_unkept(t->state);
		code = state_tailed(t->state, &t->gtid.gtid, &t->position, t->is_housekeeping, err);
		state_note_group(t->state, is_own(t), has_writes(t));
	}
	if (code == ERR_OK && t->has_manifest && !is_own(t))
		state_origin_knows(t->state, &t->gtid.gtid, &t->manifest.context);
	return code;
}

static enum err_code on_end(struct tail *t, struct err *err)
{
	enum err_code code = end_transaction(t, err);
	if (code == ERR_OK && t->has_manifest && t->manifest.kind != MANIFEST_APPLIED)
		code = end_resolved(t, err);
	advance_latest(t);
	if (code == ERR_OK)
		code = vector_advance(&t->position.vector, &t->gtid.gtid, err);
	t->in_group = false;
	tables_trim(t->tables);
	return code == ERR_OK ? note_group(t, err) : code;
}

/* On a connection of its own: it happens once in a crash. */
static enum err_code on_recovered(struct tail *t, const struct query_event *query, struct err *err)
{
	struct connection *connection = connection_new();
	enum err_code code = connection_open(connection, &t->source, err);
	if (code == ERR_OK && t->phase == TAIL_FOLLOWS)
		code = recovered_decide(connection, &t->gtid.gtid, query, err);
	if (code == ERR_OK)
		code = recovered_ask(connection, &t->gtid.gtid, &t->twin_of, err);
	connection_free(connection);
	return code;
}

static enum err_code open_connection(struct tail *t, struct err *err)
{
	return connection_is_open(t->connection) ? ERR_OK : connection_open(t->connection, &t->target, err);
}

/* What another node's statement knew is noted by the link that ran it, where it ran it. */
static enum err_code find_context(struct tail *t, struct emptied *e, struct err *err)
{
	if (e->gtid.domain == t->teller)
		return ERR_OK;
	struct connection *peer = t->phase == TAIL_SEEDS ? connection_new() : NULL;
	enum err_code code = peer ? connection_open(peer, &t->source, err) : open_connection(t, err);
	if (code == ERR_OK)
		code = emptied_find(peer ? peer : t->connection, e, err);
	connection_free(peer);
	return code;
}

static enum err_code tell_emptied(struct tail *t, const struct statement *s, struct err *err)
{
	struct emptied e = {
	    .gtid = t->twin_of.seq != 0 ? t->twin_of : t->gtid.gtid, .time = t->time, .context = t->position.vector};
	enum err_code code = find_context(t, &e, err);
	struct history_transaction transaction = {.gtid = e.gtid, .time = e.time, .context = &e.context};
	for (size_t i = 0; code == ERR_OK && i < s->name_count; i++) {
		const struct statement_name *name = &s->names[i];
		if (name->role != ROLE_OBJECT || name->unreadable || !settings_replicates(t->settings, name->database))
			continue;
		code = history_emptied(state_lock_history(t->state), &transaction,
		                       rowkey_table_named(name->database, name->name), s->verb != VERB_TRUNCATE, err);
		state_unlock_history(t->state);
	}
	return code;
}

/* Text that isn't understood is the links' to refuse. */
static enum err_code on_statement(struct tail *t, const struct query_event *q, struct err *err)
{
	struct statement_context context = {.database = q->database,
	                                    .database_size = q->database_size,
	                                    .sql_mode = q->has_sql_mode ? q->sql_mode : 0,
	                                    .charset_client = q->has_charset ? q->charset_client : 0};
	struct statement statement;
	if (!t->wanted || statement_parse(q->statement, q->statement_size, &context, &statement, NULL) != ERR_OK)
		return ERR_OK;
	enum err_code code = emptied_is(&statement) ? tell_emptied(t, &statement, err) : ERR_OK;
	statement_free(&statement);
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
	if (recovered_is(&event, &query) && is_own(t)) {
		code = on_recovered(t, &query, err);
		if (code != ERR_OK)
			return code;
	}
	bool ends_by_itself = (t->gtid.flags & GTID_FLAG_STANDALONE) != 0;
	bool is_end = query_is(&query, "COMMIT") || query_is(&query, "ROLLBACK");
	t->is_housekeeping = t->is_housekeeping && is_end;
	t->is_kept = t->is_kept || !is_end;
	if (!is_end) { /* what else stands in a log as text may be DDL; counting too much only asks the catalogue again */
		state_schema_changed(t->state);
		touched_note_conflicts(state_touched(t->state));
		code = on_statement(t, &query, err);
	}
	return code == ERR_OK && (ends_by_itself || is_end) ? on_end(t, err) : code;
}

static enum err_code begin_transaction(struct tail *t, const struct manifest_transaction *of, struct err *err)
{
	struct history_transaction transaction = {.gtid = t->gtid.gtid, .time = t->time, .context = &t->position.vector};
	if (of != NULL) {
		transaction.gtid.seq = of->seq;
		transaction.gtid.server = of->server;
		transaction.time = of->time;
		transaction.context = &t->manifest.context;
	}
	if (transaction.gtid.seq == t->begun)
		return ERR_OK;
	enum err_code code = end_transaction(t, err);
	if (code != ERR_OK)
		return code;
	t->begun = transaction.gtid.seq;
	code = history_begin(state_lock_history(t->state), &transaction, err);
	state_unlock_history(t->state);
	return code;
}

/* Row changes of one event: the manifest says whose each is. */
struct telling {
	struct tail *tail;
	uint64_t next; /* the number of the row change that the manifest was not asked for yet */
	const struct manifest_transaction *of;
};

static enum err_code tell(void *context, const struct merge_change *change, uint64_t number, struct err *err)
{
	struct telling *telling = context;
	struct tail *t = telling->tail;
	for (; t->has_manifest && telling->next <= number; telling->next++)
		telling->of = manifest_reader_take(&t->manifest_reader);
	enum err_code code = begin_transaction(t, telling->of, err);
	if (code != ERR_OK)
		return code;
	code = history_write(state_lock_history(t->state), change, err);
	state_unlock_history(t->state);
	return code;
}

/* The connection is opened when it is needed, and anew when it was lost. */
static enum err_code describe(struct tail *t, struct tables *tables, const struct table *table, struct err *err)
{
	enum err_code code = open_connection(t, err);
	if (code == ERR_OK)
		code = tables_describe(tables, table->map.table_id, state_registry(t->state), t->catalogue, t->connection,
		                       state_generation(t->state), err);
	if (code == ERR_UNSUPPORTED && table->here == NULL)
		code = tables_describe_last(tables, table->map.table_id, state_registry(t->state), t->catalogue, t->connection,
		                            err);
	/* It was dropped since, or altered so much that what was written then can't be told by what it is now. */
	return code == ERR_UNSUPPORTED ? ERR_OK : code;
}

/* The manifest's writes: as they were at their origin. */
static enum err_code read_writes(struct tail *t, struct err *err)
{
	struct cursor events = cursor_of(t->manifest.writes.data, t->manifest.writes.size);
	struct event event;
	struct rows_event rows;
	const struct table *table = NULL;
	enum err_code code = ERR_OK;
	tables_clear(t->written);
	while (code == ERR_OK && rows_writer_next(&events, &event)) {
		if (event.type == EVENT_TABLE_MAP) {
			code = tables_learn(t->written, &event, &table, err);
			if (code == ERR_OK && table->is_replicated)
				code = describe(t, t->written, table, err);
			continue;
		}
		code = rows_parse(&event, NULL, &rows, err);
		table = code == ERR_OK ? tables_find(t->written, rows.table_id) : NULL;
		if (code != ERR_OK || table == NULL || !table->is_replicated)
			continue;
		code = rows_parse(&event, &table->map, &rows, err);
		if (code == ERR_OK)
			code = changes_of_event(&t->reader, table, &rows, event.timestamp, change_list_keep, &t->writes, err);
	}
	return code;
}

static enum err_code on_manifest(struct tail *t, const struct table *table, const struct event *event, struct err *err)
{
	enum err_code code = tables_read_manifest(table, event, &t->manifest, &t->has_manifest, err);
	if (code != ERR_OK || !t->has_manifest)
		return code;
	manifest_reader_start(&t->manifest_reader, &t->manifest);
	if (!is_own(t))
		state_node_knows(t->state, t->gtid.gtid.domain, &t->manifest.context);
	return manifest_has_writes(&t->manifest) ? read_writes(t, err) : ERR_OK;
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
	bool is_resolved = t->has_manifest && t->manifest.kind != MANIFEST_APPLIED;
	if (table != NULL && table->is_links) {
		code = on_manifest(t, table, &event, err);
	} else if (table != NULL && table->is_replicated && (t->wanted || is_resolved)) {
		struct telling telling = {.tail = t};
		code = rows_parse(&event, &table->map, &rows, err);
		if (code == ERR_OK && !t->wanted) /* its table map was passed by */
			code = describe(t, t->tables, table, err);
		if (code == ERR_OK)
			code = changes_of_event(&t->reader, table, &rows, event.timestamp,
			                        !is_resolved                                          ? tell
			                        : (rows.flags & ROWS_FLAG_NO_FOREIGN_KEY_CHECKS) != 0 ? change_list_keep_no_cascade
			                                                                              : change_list_keep,
			                        is_resolved ? (void *)&t->steps : &telling, err);
		for (; code == ERR_OK && !is_resolved && t->has_manifest && telling.next < t->reader.seen; telling.next++)
			telling.of = manifest_reader_take(&t->manifest_reader);
	}
	buf_shrink(&t->scratch, SCRATCH_KEPT);
	return code;
}

/* For whoever wants to know which tables changed. What sync_metadata tells of others is no change of its own. */
static void note_touched(struct tail *t, const struct table *table, uint32_t time)
{
	struct touched *touched = state_touched(t->state);
	const struct gtid *gtid = &t->gtid.gtid;
	if (t->phase != TAIL_FOLLOWS || strcmp(table->map.table, BOOKKEEPER_TABLE) == 0)
		return;
	if (strcmp(table->map.table, BOOKKEEPER_CONFLICTS) == 0) {
		touched_note_conflicts(touched);
		return;
	}
	touched_note(touched, table->map.database, table->map.table,
	             &(struct touched_change){.is_own = is_own(t),
	                                      .is_old = gtid->seq <= vector_seq(&t->until, gtid->domain),
	                                      .seq = gtid->seq,
	                                      .time_s = time},
	             clock_wall_s(), clock_monotonic_ms());
}

static enum err_code on_table_map(struct tail *t, const struct event *event, struct err *err)
{
	const struct table *table;
	enum err_code code = tables_learn(t->tables, event, &table, err);
	t->is_housekeeping = t->is_housekeeping && (code != ERR_OK || table->is_ours);
	t->is_kept = t->is_kept || code != ERR_OK || table->is_ours || table->is_replicated;
	t->has_tables = true;
	if (code == ERR_OK && table->is_replicated)
		note_touched(t, table, event->timestamp);
	return code == ERR_OK && t->wanted && table->is_replicated ? describe(t, t->tables, table, err) : code;
}

/* A new file. What a server that was killed left without an end in the last one was rolled back. */
static enum err_code on_format(struct tail *t, const struct event *event, struct err *err)
{
	enum err_code code = t->in_group ? state_rewind(t->state, err) : ERR_OK;
	tables_clear(t->tables);
	t->in_group = false;
	if (t->phase == TAIL_FOLLOWS)
		state_set_format(t->state, event);
	return code == ERR_OK ? format_parse(event, &t->format, err) : code;
}

static enum err_code on_event(struct tail *t, const uint8_t *bytes, size_t size, struct err *err)
{
	struct event event;
	enum err_code code = event_parse(&t->format, bytes, size, &event, err);
	if (code != ERR_OK)
		return code;
	switch (event.type) {
	case EVENT_FORMAT_DESCRIPTION:
		return on_format(t, &event, err);
	case EVENT_HEARTBEAT:
		if (t->phase == TAIL_FOLLOWS)
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
		return on_table_map(t, &event, err);
	default:
		return event_is_rows(event.type) ? on_rows(t, &event, err) : ERR_OK;
	}
}

static void follow_own(struct tail *t)
{
	t->phase = TAIL_FOLLOWS;
	t->teller = t->settings->node_id;
	t->source = t->target;
	t->position = t->own;
	state_tail_start(t->state, &t->position, &t->until);
}

static enum err_code follow_seed(struct tail *t, struct err *err)
{
	const struct settings *s = t->settings;
	size_t i = 0;
	while (i < s->peer_count && s->peers[i].node_id != t->seed.peer)
		i++;
	if (i == s->peer_count)
		return err_set(err, ERR_CONFIG,
		               "%s: there is no [syncline-peer-%u], and what this node's history begins with is in the log of "
		               "node %u; put it back",
		               s->file, (unsigned)t->seed.peer, (unsigned)t->seed.peer);
	t->phase = TAIL_SEEDS;
	t->teller = t->seed.peer;
	t->source = (struct connection_target){.file = s->file, .group = s->peers[i].group, .name = s->peers[i].where};
	t->position = t->seed.from;
	return ERR_OK;
}

/* Where every node had everything; see resolver.h, which saves it. */
static enum err_code begin(struct tail *t, struct err *err)
{
	struct vector forgotten;
	struct server_position saved;
	enum err_code code = connection_open(t->connection, &t->target, err);
	if (code == ERR_OK)
		code = server_vector(t->connection, &t->until, err);
	if (code == ERR_OK)
		code = server_first_position(t->connection, t->settings->node_id, &t->own, err);
	if (code == ERR_OK)
		code = server_load_position(t->connection, t->settings->node_id, &saved, err);
	if (code == ERR_OK)
		code = server_load_forgotten(t->connection, &forgotten, err);
	if (code == ERR_OK && !vector_covers(&saved.vector, &forgotten)) {
		forgotten = vector_min(&forgotten, &t->own.vector); /* the server may have kept some of it */
		state_set_forgotten(t->state, &forgotten);
	}
	if (code == ERR_OK)
		code = server_load_seed(t->connection, &t->seed, err);
	if (code != ERR_OK)
		return code;
	if (t->seed.peer != 0)
		return follow_seed(t, err);
	follow_own(t);
	return ERR_OK;
}

static bool is_seed_told(const struct tail *t)
{
	return t->phase == TAIL_SEEDS && vector_covers(&t->position.vector, &t->seed.until);
}

static enum err_code read_log(struct tail *t, struct err *err)
{
	const uint8_t *bytes;
	size_t size;
	struct vector head;
	format_init(&t->format);
	tables_clear(t->tables);
	t->in_group = t->wanted = false;
	enum err_code code =
	    stream_open(t->stream, &t->source, t->teller, t->settings->node_id, &t->position.vector, &head, err);
	/* Not before something was read does the reader below know that it is at the end; an idle log says so by a heartbeat. */
	if (code == ERR_OK && t->phase == TAIL_FOLLOWS && vector_covers(&t->position.vector, &head))
		state_tail_live(t->state, true, NULL);
	while (code == ERR_OK && !state_is_stopping(t->state) && !is_seed_told(t)) {
		code = stream_next(t->stream, &bytes, &size, err);
		if (code == ERR_OK)
			code = on_event(t, bytes, size, err);
	}
	stream_close(t->stream);
	return code;
}

static enum err_code follow(struct tail *t, struct err *err)
{
	enum err_code code = t->phase == TAIL_BEGINS ? begin(t, err) : state_rewind(t->state, err);
	if (code == ERR_OK && t->phase == TAIL_SEEDS) {
		code = is_seed_told(t) ? ERR_OK : read_log(t, err);
		if (code != ERR_OK)
			return err_wrap(err, "what this node's history begins with can't be read from node %u",
			                (unsigned)t->seed.peer);
		if (!is_seed_told(t)) /* stopping */
			return ERR_OK;
		follow_own(t);
		state_tail_seeded(t->state);
	}
	return code == ERR_OK ? read_log(t, err) : code;
}

static void *tail_main(void *context)
{
	struct tail *t = context;
	struct err err = {0};
	int64_t backoff = BACKOFF_MS_MIN;
	while (!state_is_stopping(t->state)) {
		struct vector before = t->position.vector;
		enum err_code code = follow(t, &err);
		if (state_is_stopping(t->state))
			break;
		/* The scratch files (a full disk), or somebody purged what was to be read next: the log is told anew. */
		if (code == ERR_IO || code == ERR_GONE) {
			state_clear_history(t->state);
			t->phase = TAIL_BEGINS;
		}
		state_tail_live(t->state, false, err.message);
		log_line(err_retryable(code) ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "tail", "%s", err.message);
		backoff = !vector_equal(&before, &t->position.vector) ? BACKOFF_MS_MIN
		          : backoff * 2 < BACKOFF_MS_MAX              ? backoff * 2
		                                                      : BACKOFF_MS_MAX;
		state_sleep(t->state, backoff);
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
	t->connection = connection_new();
	t->catalogue = catalogue_new();
	t->reader.collations = registry_collations(state_registry(state));
	t->reader.connection = t->connection;
	t->reader.passes_by = true;
	t->tables = tables_new(settings);
	t->written = tables_new(settings);
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
	connection_free(t->connection);
	tables_free(t->tables);
	tables_free(t->written);
	catalogue_free(t->catalogue);
	changes_reader_free(&t->reader);
	change_list_free(&t->steps);
	change_list_free(&t->writes);
	buf_free(&t->scratch);
	manifest_free(&t->manifest);
	free(t);
}
