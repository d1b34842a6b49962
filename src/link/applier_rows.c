#include "link/applier_parts.h"

#include "base/log.h"
#include "binlog/rows_writer.h"
#include "merge/rowkey.h"
#include "sql/server.h"

enum { SCRATCH_KEPT = 256 * 1024 };

/* ---- What a group's events are ---- */

/* A walk over row changes of a group: of a batch that a peer applied only those of some transactions are taken. */
struct walk {
	struct applier *a;
	bool is_relay;
	uint64_t only;             /* not 0: of this transaction alone */
	struct history_keys *keys; /* NULL: not asked for */
	struct buf *events;        /* NULL: the rows go to apply */
	struct manifest_reader *reader;
	uint64_t taken; /* row changes; of a group that is no batch counted by the walk for keys */
	/* of the event at hand */
	uint64_t from, to; /* the row changes that are taken */
};

static bool wants(const struct walk *w, const struct manifest_transaction *t)
{
	return t->seq > w->a->have_seq && (w->only == 0 || t->seq == w->only);
}

static enum err_code take_keys(void *context, const struct merge_change *change, uint64_t number, struct err *err)
{
	struct walk *w = context;
	(void)err;
	if (number >= w->from && number < w->to)
		history_keys_add(w->keys, change);
	return ERR_OK;
}

/* Of a relayed batch some rows may be here already, or not be wanted this time: those to apply stand together, since a log is in
 * order, from *ret_from up to *ret_to; both NULL if there are none. */
static enum err_code choose_rows(struct walk *w, const struct table *table, const struct rows_event *rows,
                                 const uint8_t **ret_from, const uint8_t **ret_to, struct err *err)
{
	struct rows_iter *iter = &w->a->rows;
	struct row_change row;
	bool more;
	enum err_code code;
	uint64_t number = 0;
	*ret_from = *ret_to = NULL;
	w->from = w->to = 0;
	if (!w->is_relay && rows->rows_size > 0) { /* all of them */
		*ret_from = rows->rows;
		*ret_to = rows->rows + rows->rows_size;
		w->to = UINT64_MAX;
		return ERR_OK;
	}
	rows_iter_start(iter, rows, &table->map);
	while ((code = rows_next(iter, &row, &more, err)) == ERR_OK && more) {
		const struct manifest_transaction *t = manifest_reader_take(w->reader);
		if (t == NULL)
			return applier_refuse(w->a, err, "holds a batch that its manifest doesn't fit", "compare the rows by hand");
		if (!wants(w, t)) {
			number++;
			continue;
		}
		if (*ret_from == NULL) {
			*ret_from = row.bytes;
			w->from = number;
		}
		*ret_to = row.bytes + row.size;
		w->to = ++number;
		w->taken++;
	}
	return code;
}

/* Values that have no place here are gone: their column was dropped here, or never was. */
static void warn_of_loss(const struct applier *a, const struct table *table)
{
	char text[GTID_TEXT_MAX];
	struct buf columns = {0};
	mapping_append_homeless(table->mapping, &table->map, &columns);
	log_line(LOG_LEVEL_WARNING, a->who, "target_column_missing: %s.%s has no %s here, and %s gave it values",
	         table->map.database, table->map.table, buf_str(&columns), gtid_format(&a->gtid.gtid, text));
	buf_free(&columns);
}

static enum err_code apply_mapped(struct applier *a, const struct table *table, const struct event *event,
                                  struct err *err)
{
	bool lost;
	struct event mapped;
	buf_clear(&a->mapped);
	enum err_code code = mapping_rewrite(table->mapping, &table->map, event, &a->mapped, &lost, err);
	struct cursor events = cursor_of(a->mapped.data, a->mapped.size);
	while (code == ERR_OK && rows_writer_next(&events, &mapped))
		apply_rows(a->apply, &mapped);
	if (code == ERR_OK && lost)
		warn_of_loss(a, table);
	return code;
}

static enum err_code pass_on(struct walk *w, const struct table *table, const struct event *event,
                             const struct rows_event *rows, const uint8_t *from, const uint8_t *to, struct err *err)
{
	struct applier *a = w->a;
	struct event part = *event;
	if (from != rows->rows || to != rows->rows + rows->rows_size) {
		struct cursor c;
		buf_clear(&a->part);
		rows_append_event(event, rows, rows->flags, from, (size_t)(to - from), &a->part);
		c = cursor_of(a->part.data, a->part.size);
		if (!rows_writer_next(&c, &part))
			return err_set(err, ERR_MALFORMED, "a part of a rows event can't be read");
	}
	if (w->events != NULL)
		event_append(&part, w->events);
	else if (table->mapping == NULL) /* gathered, it is found to be in conflict with what dropped the table */
		return err_set(err, ERR_BUSY, "table %s.%s was dropped meanwhile", table->map.database, table->map.table);
	else if (mapping_is_same(table->mapping))
		apply_rows(a->apply, &part);
	else
		return apply_mapped(a, table, &part, err);
	return ERR_OK;
}

static void apply_map(struct applier *a, const struct table *table, const struct event *event)
{
	struct event mapped;
	if (table->mapping == NULL)
		return;
	if (mapping_is_same(table->mapping)) {
		apply_table_map(a->apply, event);
		return;
	}
	buf_clear(&a->mapped);
	table_map_append(mapping_map(table->mapping, table->map.table_id), &a->mapped);
	struct cursor c = cursor_of(a->mapped.data, a->mapped.size);
	if (rows_writer_next(&c, &mapped))
		apply_table_map(a->apply, &mapped);
}

static enum err_code walk_rows(struct walk *w, const struct event *event, struct err *err)
{
	struct applier *a = w->a;
	struct rows_event rows;
	const uint8_t *from, *to;
	enum err_code code = rows_parse(event, NULL, &rows, err);
	if (code != ERR_OK)
		return code;
	const struct table *table = tables_find(a->tables, rows.table_id);
	bool ends = (rows.flags & ROWS_FLAG_STATEMENT_END) != 0;
	if (table != NULL && table->is_replicated && !table->is_sequence) { /* another one's may end a statement */
		code = rows_parse(event, &table->map, &rows, err);
		if (code == ERR_OK)
			code = choose_rows(w, table, &rows, &from, &to, err);
		if (code == ERR_OK && w->keys != NULL && from != NULL) {
			history_keys_add_table(w->keys, rowkey_table(&table->map));
			code = changes_of_event(&a->reader, table, &rows, event->timestamp, take_keys, w, err);
			w->taken += w->is_relay ? 0 : a->reader.seen;
		} else if (code == ERR_OK && from != NULL) {
			code = pass_on(w, table, event, &rows, from, to, err);
		}
	}
	if (code == ERR_OK && ends && w->keys == NULL && w->events == NULL)
		apply_statement_end(a->apply);
	return code;
}

static enum err_code walk_event(struct walk *w, const struct event *event, struct err *err)
{
	const struct table *table;
	if (event->type != EVENT_TABLE_MAP)
		return walk_rows(w, event, err);
	/* The same number may mean another table further on. */
	enum err_code code = tables_learn(w->a->tables, event, &table, err);
	if (code == ERR_OK)
		code = applier_describe(w->a, table, err);
	if (code == ERR_OK && w->events != NULL)
		event_append(event, w->events);
	else if (code == ERR_OK && w->keys == NULL)
		apply_map(w->a, table, event);
	return code;
}

static enum err_code walk_gathered(struct walk *w, struct err *err)
{
	struct applier *a = w->a;
	struct cursor events = cursor_of(a->gathered.data, a->gathered.size);
	struct manifest_reader reader;
	struct event event;
	enum err_code code = ERR_OK;
	manifest_reader_start(&reader, &a->relay);
	w->is_relay = a->is_relay;
	w->reader = &reader;
	if (w->is_relay || w->keys != NULL)
		w->taken = 0;
	while (code == ERR_OK && rows_writer_next(&events, &event))
		code = walk_event(w, &event, err);
	w->reader = NULL;
	if (code == ERR_OK && a->is_relay && !manifest_reader_done(&reader))
		code = applier_refuse(a, err, "holds a batch that its manifest doesn't fit", "compare the rows by hand");
	return code;
}

/* ---- A gathered group is taken ---- */

static bool is_in_conflict(struct applier *a, const struct vector *context)
{
	return state_finds(a->state, &a->keys, a->gtid.gtid.domain, context, NULL);
}

/* Into the batch. The keys are in a->keys. */
static enum err_code add_to_batch(struct applier *a, struct walk *w, struct err *err)
{
	w->keys = NULL;
	enum err_code code = walk_gathered(w, err);
	if (code != ERR_OK)
		return code;
	history_keys_append(&a->batch.keys, &a->keys);
	if (a->described < a->batch.generation)
		a->batch.generation = a->described;
	return ERR_OK;
}

static enum err_code look(struct applier *a, struct walk *w, struct err *err)
{
	history_keys_clear(&a->keys);
	a->described = UINT64_MAX;
	w->keys = &a->keys;
	return walk_gathered(w, err);
}

/* One transaction whose rows were gathered: alone, or a part of what a peer applied. */
static enum err_code take_transaction(struct applier *a, struct walk *w, const struct applier_transaction *t,
                                      struct err *err)
{
	enum err_code code = look(a, w, err);
	if (code != ERR_OK)
		return code;
	code = applier_open_batch(a, t->context, err);
	if (code != ERR_OK || t->gtid.seq <= a->have_seq)
		return code;
	if (!is_in_conflict(a, t->context) && !applier_is_repaired(a, &t->gtid)) {
		code = add_to_batch(a, w, err);
		if (code == ERR_OK)
			batch_add(&a->batch, &t->gtid, t->time, w->taken);
		return code;
	}
	struct buf events = {0};
	w->keys = NULL;
	w->events = &events;
	code = walk_gathered(w, err);
	w->events = NULL;
	if (code == ERR_OK)
		code = applier_resolve(a, t, &events, err);
	buf_free(&events);
	return code;
}

/* The peer didn't know how many row changes its last transaction would have; by now it is known. */
static void count_last(struct applier *a, uint64_t taken)
{
	struct manifest *m = &a->batch.manifest;
	struct manifest_transaction *last = &m->transactions[m->count - 1];
	uint64_t others = 0;
	if (last->row_changes != MANIFEST_ALL_THE_REST)
		return;
	for (size_t i = 0; i + 1 < a->relay.count; i++)
		if (a->relay.transactions[i].seq > a->have_seq)
			others += a->relay.transactions[i].row_changes;
	last->row_changes = taken - others;
}

static struct gtid gtid_of(const struct applier *a, const struct manifest_transaction *t)
{
	return (struct gtid){.domain = a->gtid.gtid.domain, .server = t->server, .seq = t->seq};
}

/* The operator said to pass over the first of the batch that isn't here. */
static enum err_code skip_if_asked(struct applier *a, bool *ret_skipped, struct err *err)
{
	*ret_skipped = false;
	for (size_t i = 0; i < a->relay.count; i++) {
		struct gtid gtid = gtid_of(a, &a->relay.transactions[i]);
		if (gtid.seq <= a->have_seq)
			continue;
		*ret_skipped = state_take_skip(a->state, &gtid);
		return *ret_skipped ? applier_pass_over(a, &gtid, err) : ERR_OK;
	}
	return ERR_OK;
}

/* A batch that the peer applied: together if there is nothing to resolve, else transaction by transaction. */
static enum err_code take_relay(struct applier *a, struct err *err)
{
	struct walk w = {.a = a};
	enum err_code code = look(a, &w, err);
	if (code == ERR_OK)
		code = applier_open_batch(a, &a->relay.context, err);
	if (code != ERR_OK || applier_pass_if_here(a))
		return code;
	bool together = a->one_by_one == 0 && a->repaired.seq == 0 && !is_in_conflict(a, &a->relay.context);
	if (together)
		code = add_to_batch(a, &w, err);
	for (size_t i = 0; code == ERR_OK && i < a->relay.count; i++) {
		const struct manifest_transaction *m = &a->relay.transactions[i];
		struct applier_transaction t = {.gtid = gtid_of(a, m), .time = m->time, .context = &a->relay.context};
		if (m->seq <= a->have_seq)
			continue;
		if (together) {
			batch_add(&a->batch, &t.gtid, m->time, m->row_changes);
			continue;
		}
		w.only = m->seq;
		code = take_transaction(a, &w, &t, err);
		if (code == ERR_OK && a->one_by_one > 0)
			code = applier_commit_batch(a, err);
	}
	if (code == ERR_OK && together)
		count_last(a, w.taken);
	return code;
}

enum err_code applier_take_group(struct applier *a, struct err *err)
{
	bool skipped = false;
	struct walk w = {.a = a};
	struct applier_transaction t = {.gtid = a->gtid.gtid, .time = a->stamp_time, .context = &a->position};
	if (a->is_relay) {
		enum err_code code = skip_if_asked(a, &skipped, err);
		if (code != ERR_OK || skipped)
			return code == ERR_OK ? err_set(err, ERR_BUSY, "reading on behind a transaction passed over") : code;
	}
	if (a->gathered.size > 0 || (a->has_manifest && manifest_has_writes(&a->relay))) {
		enum err_code code = applier_check_remembered(a, applier_context(a), err);
		if (code != ERR_OK)
			return code;
	}
	if (a->has_manifest && a->relay.kind == MANIFEST_SHOWN) {
		if (a->settings->node_count == 2)
			return ERR_OK;
		/* Nothing to write; but what the peer has is to be told to those who don't read its log. */
		enum err_code code = applier_open_batch(a, &a->position, err);
		if (code == ERR_OK && !applier_pass_if_here(a))
			batch_add(&a->batch, &t.gtid, t.time, 0);
		return code;
	}
	if (a->has_manifest && manifest_has_writes(&a->relay)) {
		if (a->gtid.gtid.domain != a->peer->node_id) {
			t.time = a->relay.transactions[0].time;
			t.context = &a->relay.context;
		}
		buf_clear(&a->gathered);
		buf_append(&a->gathered, a->relay.writes.data, a->relay.writes.size);
		return take_transaction(a, &w, &t, err);
	}
	return a->is_relay ? take_relay(a, err) : a->gathered.size > 0 ? take_transaction(a, &w, &t, err) : ERR_OK;
}

/* ---- A group that is too large to be gathered: its rows are passed on as they come ---- */

static enum err_code begin_streaming(struct applier *a, struct err *err)
{
	const struct vector *context = a->is_relay ? &a->relay.context : &a->position;
	enum err_code code = applier_check_remembered(a, context, err);
	if (code == ERR_OK)
		code = applier_open_batch(a, context, err);
	if (code != ERR_OK || applier_pass_if_here(a))
		return code;
	for (size_t i = 0; a->is_relay && i < a->relay.count; i++) {
		const struct manifest_transaction *m = &a->relay.transactions[i];
		struct gtid gtid = gtid_of(a, m);
		if (m->seq > a->have_seq)
			batch_add(&a->batch, &gtid, m->time, m->row_changes);
	}
	if (!a->is_relay)
		batch_add(&a->batch, &a->gtid.gtid, a->stamp_time, MANIFEST_ALL_THE_REST);
	manifest_reader_start(&a->relay_reader, &a->relay);
	a->described = UINT64_MAX;
	a->is_streaming = true;
	a->streamed = 0;
	return ERR_OK;
}

/* The event's keys are looked at when its part is sent. */
static enum err_code stream_event(struct applier *a, const struct event *event, struct err *err)
{
	struct manifest_reader again = a->relay_reader;
	struct walk keys = {.a = a, .is_relay = a->is_relay, .reader = &again, .keys = &a->batch.keys};
	struct walk rows = {.a = a, .is_relay = a->is_relay, .reader = &a->relay_reader};
	enum err_code code = event->type != EVENT_TABLE_MAP ? walk_event(&keys, event, err) : ERR_OK;
	if (code == ERR_OK)
		code = walk_event(&rows, event, err);
	a->streamed += a->is_relay ? rows.taken : keys.taken;
	if (a->described < a->batch.generation)
		a->batch.generation = a->described;
	if (code == ERR_OK && apply_gathered(a->apply) >= APPLIER_PART_BYTES_MAX)
		code = applier_flush(a, err);
	return code;
}

/* The group's end. */
void applier_end_streaming(struct applier *a)
{
	if (a->is_streaming && a->is_relay)
		count_last(a, a->streamed);
	else if (a->is_streaming)
		a->batch.manifest.transactions[a->batch.manifest.count - 1].row_changes = a->streamed;
	a->is_streaming = false;
}

static enum err_code stream_gathered(struct applier *a, struct err *err)
{
	struct cursor events = cursor_of(a->gathered.data, a->gathered.size);
	struct event event;
	enum err_code code = begin_streaming(a, err);
	while (code == ERR_OK && a->group == GROUP_OPEN && rows_writer_next(&events, &event))
		code = stream_event(a, &event, err);
	buf_shrink(&a->gathered, SCRATCH_KEPT);
	return code;
}

static enum err_code gather(struct applier *a, const struct event *event, struct err *err)
{
	if (a->is_streaming)
		return stream_event(a, event, err);
	event_append(event, &a->gathered);
	bool whole = a->whole || a->repaired.seq != 0;
	return a->gathered.size > APPLIER_GATHERED_BYTES_MAX && !whole ? stream_gathered(a, err) : ERR_OK;
}

/* ---- Events ---- */

/* What the group is: somebody's batch, what was done instead of a transaction, or of the peer's own making. */
static enum err_code on_manifest(struct applier *a, const struct table *table, const struct event *event,
                                 struct err *err)
{
	enum err_code code = tables_read_manifest(table, event, &a->relay, &a->has_manifest, err);
	if (code != ERR_OK || !a->has_manifest)
		return code;
	bool is_own = a->gtid.gtid.domain == a->peer->node_id;
	const struct manifest_transaction *last = &a->relay.transactions[a->relay.count - 1];
	if (!is_own && last->seq != a->gtid.gtid.seq)
		return applier_refuse(a, err, "has a manifest that doesn't end with it", "compare the rows by hand");
	a->is_relay = a->relay.kind == MANIFEST_APPLIED;
	if (a->is_relay && is_own)
		return applier_refuse(a, err, "has a manifest of another node's transactions", "compare the rows by hand");
	return ERR_OK;
}

static bool is_instead(const struct applier *a)
{
	return a->has_manifest && a->relay.kind != MANIFEST_APPLIED;
}

enum err_code applier_on_rows(struct applier *a, const struct event *packed, struct err *err)
{
	struct event event;
	struct rows_event rows;
	enum err_code code = event_uncompress(packed, APPLIER_EVENT_BYTES_MAX, &a->scratch, &event, err);
	if (code == ERR_OK)
		code = rows_parse(&event, NULL, &rows, err);
	if (code != ERR_OK)
		return code;
	const struct table *table = tables_find(a->tables, rows.table_id);
	if (table != NULL && table->is_links)
		return on_manifest(a, table, &event, err);
	if (a->group != GROUP_OPEN || is_instead(a))
		return ERR_OK;
	/* The number of a dummy event that only ends a statement belongs to no table (MariaDB sql/log_event.h, dummy). */
	if (table == NULL && rows.rows_size > 0)
		return err_set(err, ERR_MALFORMED, "rows of an unknown table in the log of %s", a->peer->where);
	if (stage_is_open(a->stage)) {
		if (table != NULL && table->is_replicated)
			apply_rows(a->apply, &event);
		if ((rows.flags & ROWS_FLAG_STATEMENT_END) != 0)
			apply_statement_end(a->apply);
		if (apply_gathered(a->apply) >= APPLIER_PART_BYTES_MAX)
			code = stage_flush(a->stage, a->apply, err);
	} else if (table != NULL && table->is_replicated && table->is_sequence) {
		code = tables_append_setval(table, &event, &a->sequences, err);
	} else if ((table != NULL && table->is_replicated) || (rows.flags & ROWS_FLAG_STATEMENT_END) != 0) {
		code = gather(a, &event, err);
	}
	buf_shrink(&a->scratch, SCRATCH_KEPT);
	return code;
}

const struct vector *applier_context(const struct applier *a)
{
	bool is_others = a->has_manifest && a->gtid.gtid.domain != a->peer->node_id;
	return is_others ? &a->relay.context : &a->position;
}

/* The table isn't here, or is another one by now: then its rows may be of one that was dropped without their knowing of it, and go
 * with that one. What was dropped is in the log. */
static enum err_code was_dropped(struct applier *a, const struct table *table, bool *ret_was, struct err *err)
{
	struct vector here;
	enum err_code code = server_vector(apply_connection(a->apply), &here, err);
	if (code == ERR_OK)
		code = state_wait_tailed(a->state, &here, APPLIER_TAIL_WAIT_MS, err);
	if (code == ERR_OK)
		*ret_was = state_emptied(a->state, rowkey_table(&table->map), a->gtid.gtid.domain, applier_context(a));
	return code;
}

/* What the table is here: it must be able to take the rows. */
enum err_code applier_describe(struct applier *a, const struct table *table, struct err *err)
{
	uint64_t generation = state_generation(a->state);
	enum err_code code = tables_describe(a->tables, table->map.table_id, state_registry(a->state), a->catalogue,
	                                     apply_connection(a->apply), generation, err);
	if (generation < a->described)
		a->described = generation;
	if (code == ERR_UNSUPPORTED) {
		struct err refusal = *err;
		bool was = false;
		code = was_dropped(a, table, &was, err);
		if (code == ERR_OK && !was) {
			*err = refusal;
			code = refusal.code;
		}
	}
	if (code != ERR_OK && !err_retryable(code)) {
		char text[GTID_TEXT_MAX];
		err_wrap(err, "transaction %s can't be applied", gtid_format(&a->gtid.gtid, text));
	}
	return code;
}

enum err_code applier_on_table_map(struct applier *a, const struct event *event, struct err *err)
{
	const struct table *table;
	enum err_code code = tables_learn(a->tables, event, &table, err);
	if (code != ERR_OK || !table->is_replicated || a->group != GROUP_OPEN || is_instead(a))
		return code;
	if (stage_is_open(a->stage))
		return stage_table_map(a->stage, a->apply, event, err);
	return table->is_sequence ? ERR_OK : gather(a, event, err);
}
