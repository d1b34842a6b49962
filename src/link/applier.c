#include "link/applier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "binlog/query.h"
#include "binlog/rows.h"
#include "link/batch.h"
#include "link/schema.h"
#include "link/stage.h"
#include "link/tables.h"
#include "merge/rowkey.h"
#include "sql/apply.h"
#include "sql/catalogue.h"
#include "sql/ddl.h"
#include "sql/server.h"

enum {
	BATCH_TRANSACTIONS_MAX = 1000,
	BATCH_BYTES_MAX = 512 * 1024,         /* of statements: then the batch is committed, or a part of it flushed */
	BATCH_MS_MAX = 200,                   /* its row locks block local writers */
	EVENT_BYTES_MAX = 1024 * 1024 * 1024, /* of an uncompressed event: the protocol's own limit */
	TAIL_WAIT_MS = 10000,
	SAVE_POSITION_MS = 30000, /* how old the saved position may be when nothing is applied */
	SCRATCH_KEPT = 256 * 1024,
};

enum group_state {
	GROUP_NONE,    /* between transactions */
	GROUP_PASSING, /* in one that is not for us */
	GROUP_OPEN,    /* in one that is to be applied */
};

struct applier {
	const struct settings *settings;
	const struct settings_peer *peer;
	struct state *state;
	char *who; /* for the log: "link 2" */

	struct apply *apply;
	struct catalogue *catalogue;
	struct format format;
	struct tables *tables;
	struct buf scratch; /* an uncompressed event */
	struct buf part;    /* a part of a rows event */
	struct rows_iter rows;

	struct vector position;  /* the peer's vector as read */
	struct vector committed; /* the position up to which everything is committed here */
	int64_t saved_ms;
	bool position_moved; /* since it was last saved */
	bool at_end;
	size_t one_by_one; /* transactions that still go alone, since a batch with them failed */

	enum group_state group;
	struct gtid_event gtid;
	uint32_t time;
	uint64_t insert_id;
	bool group_counted;  /* it has its line in the batch's manifest */
	uint64_t group_rows; /* row changes of it that were taken */
	bool is_relay;       /* somebody's batch, taken apart by its manifest */
	struct manifest relay;
	struct manifest_reader relay_reader;
	uint64_t relay_only; /* not 0: of the relayed batch only this transaction is taken this time */
	uint64_t have_seq;        /* of the group's origin, when the group began */
	uint64_t maps_generation; /* of the schema that the current statement's tables were checked against */

	struct buf sequences; /* SETVAL statements that wait for the end of the group or batch */
	struct stage *stage; /* open: the group is a CREATE TABLE … SELECT */
	struct batch batch;
	struct applier_counts counts;
	bool has_culprit;
	struct gtid culprit;
};

struct applier *applier_new(const struct settings *settings, const struct settings_peer *peer, struct state *state)
{
	struct applier *a = mem_alloc(sizeof *a);
	a->settings = settings;
	a->peer = peer;
	a->state = state;
	a->who = mem_printf("link %u", (unsigned)peer->node_id);
	a->apply = apply_new();
	a->catalogue = catalogue_new();
	a->tables = tables_new(settings);
	a->stage = stage_new(peer->node_id);
	rows_iter_init(&a->rows);
	return a;
}

static void release(struct applier *a)
{
	if (a->batch.is_open)
		state_release(a->state, a->batch.origin, a->peer->node_id);
	batch_close(&a->batch);
}

void applier_stop(struct applier *a)
{
	apply_close(a->apply); /* the server rolls back */
	release(a);
	tables_clear(a->tables);
	stage_reset(a->stage);
	buf_clear(&a->sequences);
	a->group = GROUP_NONE;
	a->at_end = false;
	a->position = a->committed;
}

void applier_free(struct applier *a)
{
	if (a == NULL)
		return;
	applier_stop(a);
	apply_free(a->apply);
	catalogue_free(a->catalogue);
	tables_free(a->tables);
	stage_free(a->stage);
	rows_iter_free(&a->rows);
	buf_free(&a->scratch);
	buf_free(&a->part);
	buf_free(&a->sequences);
	manifest_free(&a->relay);
	batch_free(&a->batch);
	free(a->who);
	free(a);
}

void applier_abort(struct applier *a)
{
	apply_abort(a->apply);
}

enum err_code applier_start(struct applier *a, struct vector *ret_position, struct err *err)
{
	struct vector here, position;
	struct connection_target target = {
	    .file = a->settings->file, .group = a->settings->server_group, .name = a->settings->server_where};
	applier_stop(a);
	enum err_code code = apply_open(a->apply, &target, err);
	if (code == ERR_OK)
		code = server_lock_link(apply_connection(a->apply), a->peer->node_id, err);
	if (code == ERR_OK)
		code = server_vector(apply_connection(a->apply), &here, err);
	if (code == ERR_OK)
		code = server_load_position(apply_connection(a->apply), a->peer->node_id, &position, err);
	if (code == ERR_OK)
		code = state_merge_applied(a->state, &here, err);
	if (code != ERR_OK) {
		apply_close(a->apply);
		return code;
	}
	format_init(&a->format);
	a->position = a->committed = position;
	a->position_moved = a->has_culprit = false;
	a->saved_ms = clock_monotonic_ms();
	state_peer_knows(a->state, a->peer->node_id, &position);
	*ret_position = position;
	return ERR_OK;
}

const struct vector *applier_position(const struct applier *a)
{
	return &a->committed;
}

struct applier_counts applier_counts(const struct applier *a)
{
	return a->counts;
}

bool applier_at_end(const struct applier *a)
{
	return a->at_end;
}

bool applier_culprit(const struct applier *a, struct gtid *ret_gtid)
{
	if (a->has_culprit)
		*ret_gtid = a->culprit;
	return a->has_culprit;
}

uint32_t applier_time(const struct applier *a)
{
	return a->time;
}

/* The batch ------------------------------------------------------------------------------------------------- */

/* Everything up to `position` is applied here, or was before. */
static void settle_position(struct applier *a)
{
	a->committed = a->position;
	state_peer_knows(a->state, a->peer->node_id, &a->committed);
}

/* Sends what was gathered and certifies it. The rows are locked from then on. */
static enum err_code flush(struct applier *a, struct err *err)
{
	struct batch *b = &a->batch;
	struct vector position = a->position, here;
	struct buf manifest = {0};
	enum err_code code = a->relay_only ? ERR_OK : vector_advance(&position, &b->last, err);
	if (code != ERR_OK)
		return code;
	if (!b->is_sealed)
		manifest_encode(&b->manifest, &manifest);
	struct apply_head head = {.gtid = b->last,
	                          .peer = a->peer->node_id,
	                          .position = &position,
	                          .manifest = manifest.data,
	                          .manifest_size = manifest.size};
	code = apply_flush(a->apply, &head, &here, err);
	b->is_sealed = true;
	buf_free(&manifest);
	if (code == ERR_OK)
		code = state_wait_tailed(a->state, &here, TAIL_WAIT_MS, err);
	if (code == ERR_OK && b->generation != UINT64_MAX && b->generation != state_generation(a->state))
		code = err_set(err, ERR_BUSY, "the schema changed meanwhile");
	if (code == ERR_OK)
		code = batch_certify(b, a->state, a->tables, err);
	return code;
}

/* A sequence commits by itself, so its rows can be in no batch. SETVAL never goes backwards: the furthest wins, running it
 * again does no harm, and it needn't be in this server's log, since whoever needs it has it from its origin. */
static enum err_code advance_sequences(struct applier *a, struct err *err)
{
	if (a->sequences.size == 0 || apply_has_begun(a->apply))
		return ERR_OK;
	struct buf sql = {0};
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
	buf_append(&sql, a->sequences.data, a->sequences.size);
	buf_append_str(&sql, "SET SESSION sql_log_bin=1");
	buf_clear(&a->sequences);
	enum err_code code = connection_run_n(apply_connection(a->apply), (const char *)sql.data, sql.size, err);
	buf_free(&sql);
	return code;
}

static enum err_code commit_batch(struct applier *a, struct err *err)
{
	struct batch *b = &a->batch;
	size_t transactions = b->manifest.count;
	if (!b->is_open)
		return ERR_OK;
	enum err_code code = advance_sequences(a, err);
	if (code != ERR_OK)
		return code;
	if (transactions > 0) {
		if (!b->is_sealed || apply_gathered(a->apply) > 0)
			code = flush(a, err);
		if (code == ERR_OK)
			code = apply_commit(a->apply, err);
		if (code == ERR_OK)
			code = state_applied(a->state, &b->last, err);
		if (code == ERR_OK)
			code = advance_sequences(a, err);
		if (code != ERR_OK)
			return code;
		a->counts.transactions += transactions;
		a->counts.batches++;
		a->one_by_one -= transactions < a->one_by_one ? transactions : a->one_by_one;
		a->saved_ms = clock_monotonic_ms();
		a->position_moved = false;
	}
	release(a);
	settle_position(a);
	return ERR_OK;
}

static bool batch_is_full(const struct applier *a)
{
	const struct batch *b = &a->batch;
	bool all_the_rest = b->manifest.transactions[b->manifest.count - 1].row_changes == 0; /* so it must stay the last */
	return a->one_by_one > 0 || b->manifest.count >= BATCH_TRANSACTIONS_MAX || b->is_sealed || all_the_rest ||
	       apply_gathered(a->apply) >= BATCH_BYTES_MAX || clock_monotonic_ms() - b->opened_ms >= BATCH_MS_MAX;
}

/* Does the batch go on with transactions of this context? The origin's own domain doesn't count: of its own earlier
 * transactions every one is known. */
static bool same_context(const struct vector *a, const struct vector *b, uint32_t origin)
{
	uint32_t i = 0, j = 0;
	for (;;) {
		if (i < a->count && a->gtids[i].domain == origin)
			i++;
		if (j < b->count && b->gtids[j].domain == origin)
			j++;
		if (i == a->count || j == b->count)
			return i == a->count && j == b->count;
		if (a->gtids[i].domain != b->gtids[j].domain || a->gtids[i].seq != b->gtids[j].seq)
			return false;
		i++, j++;
	}
}

/* Makes sure that a batch is open for the group's origin, with this context. */
static enum err_code open_batch(struct applier *a, const struct vector *context, struct err *err)
{
	uint32_t origin = a->gtid.gtid.domain;
	if (a->batch.is_open && a->batch.manifest.count > 0 && !same_context(&a->batch.manifest.context, context, origin)) {
		/* Committed without the group at hand, which has sent nothing yet; then the claim is taken anew. */
		enum err_code code = commit_batch(a, err);
		if (code != ERR_OK)
			return code;
	}
	if (!a->batch.is_open) {
		if (!state_claim(a->state, origin, a->peer->node_id))
			return err_set(err, ERR_CANCELLED, "stopping");
		batch_open(&a->batch, origin);
		a->have_seq = state_applied_seq(a->state, origin);
	}
	if (a->batch.manifest.count == 0)
		a->batch.manifest.context = *context;
	return ERR_OK;
}

/* Groups ---------------------------------------------------------------------------------------------------- */

/* A transaction of our own that comes back. If this server doesn't have it, the server lost it. */
static enum err_code check_own(struct applier *a, const struct gtid *gtid, struct err *err)
{
	struct vector here;
	char text[GTID_TEXT_MAX];
	if (gtid->seq <= state_tailed_seq(a->state, gtid->domain))
		return ERR_OK;
	enum err_code code = server_vector(apply_connection(a->apply), &here, err);
	if (code == ERR_OK && gtid->seq > vector_seq(&here, gtid->domain))
		code = err_set(
		    err, ERR_UNSUPPORTED,
		    "%s has transaction %s of this node, but this node's server lost it (an older copy of its data, or a "
		    "crash without sync_binlog=1); copy the data anew from a peer",
		    a->peer->where, gtid_format(gtid, text));
	return code;
}

/* The operator said so: the transaction counts as applied. Under the origin's claim. */
static enum err_code pass_over(struct applier *a, const struct gtid *gtid, struct err *err)
{
	char text[GTID_TEXT_MAX];
	enum err_code code = ddl_pass_over(apply_connection(a->apply), gtid, a->peer->node_id, err);
	if (code == ERR_OK)
		code = state_applied(a->state, gtid, err);
	if (code == ERR_OK) {
		log_line(LOG_LEVEL_WARNING, a->who, "passed over transaction %s, as the operator said", gtid_format(gtid, text));
		a->one_by_one -= a->one_by_one > 0;
	}
	return code;
}

static enum err_code group_start(struct applier *a, const struct event *event, struct err *err)
{
	if (a->group != GROUP_NONE)
		return err_set(err, ERR_MALFORMED, "a transaction without an end in the log of %s", a->peer->where);
	enum err_code code = gtid_event_parse(event, &a->gtid, err);
	if (code != ERR_OK)
		return code;
	const struct gtid *gtid = &a->gtid.gtid;
	a->time = event->timestamp;
	a->at_end = false;
	a->insert_id = 0;
	a->group_counted = false;
	a->group_rows = 0;
	a->is_relay = false;
	a->relay_only = 0;
	if (a->batch.is_open && a->batch.origin != gtid->domain)
		code = commit_batch(a, err);
	if (code == ERR_OK && gtid->domain == a->settings->node_id) {
		a->group = GROUP_PASSING;
		return check_own(a, gtid, err);
	}
	a->have_seq = state_applied_seq(a->state, gtid->domain);
	a->group = gtid->seq <= a->have_seq ? GROUP_PASSING : GROUP_OPEN;
	if (code == ERR_OK && a->group == GROUP_OPEN && !a->batch.is_open) {
		/* Another link may be applying it right now: only under the claim is the answer final. */
		code = open_batch(a, &a->position, err);
		bool passed_over = code == ERR_OK && gtid->seq > a->have_seq && state_take_skip(a->state, gtid);
		if (passed_over)
			code = pass_over(a, gtid, err);
		if (passed_over || gtid->seq <= a->have_seq) {
			release(a);
			a->group = GROUP_PASSING;
		}
	}
	return code;
}

/* The group at hand can't be applied. */
static enum err_code refuse(const struct applier *a, struct err *err, const char *what, const char *mend)
{
	char text[GTID_TEXT_MAX];
	const char *gtid = gtid_format(&a->gtid.gtid, text);
	return err_set(err, ERR_UNSUPPORTED, "transaction %s %s; %s, then pass over it with `syncline skip %s`", gtid, what,
	               mend, gtid);
}

static enum err_code group_end(struct applier *a, struct err *err)
{
	struct batch *b = &a->batch;
	bool applied = a->group == GROUP_OPEN;
	a->group = GROUP_NONE;
	if (a->relay_only != 0 && a->relay_only != a->gtid.gtid.seq) {
		/* The batch's other transactions follow when it is read again, from the position before it. */
		enum err_code code = commit_batch(a, err);
		return code == ERR_OK ? err_set(err, ERR_BUSY, "taking a relayed batch apart") : code;
	}
	if (applied && a->is_relay && !manifest_reader_done(&a->relay_reader) &&
	    a->relay.transactions[0].seq <= a->have_seq)
		return refuse(a, err, "holds a batch that its manifest doesn't fit", "compare the rows by hand");
	/* Now the row changes of the last transaction are known. */
	if (applied && a->group_counted)
		b->manifest.transactions[b->manifest.count - 1].row_changes =
		    a->is_relay && !a->relay_only ? a->relay_reader.taken : a->group_rows;
	enum err_code code = vector_advance(&a->position, &a->gtid.gtid, err);
	if (code != ERR_OK)
		return code;
	a->position_moved = true;
	tables_trim(a->tables);
	if (b->is_open && (b->manifest.count == 0 || batch_is_full(a)))
		code = commit_batch(a, err);
	else if (!b->is_open)
		settle_position(a);
	return code;
}

/* Rows ------------------------------------------------------------------------------------------------------ */

/* The claim was taken anew: another link may have applied the group meanwhile. Then it is passed by. */
static bool pass_if_here(struct applier *a)
{
	if (a->gtid.gtid.seq > a->have_seq)
		return false;
	a->group = GROUP_PASSING;
	apply_forget_statement(a->apply);
	return true;
}

/* The group is somebody's batch that this peer applied: its transactions are told apart by the manifest. */
static enum err_code begin_relay(struct applier *a, const struct table *table, const struct event *event,
                                 struct err *err)
{
	bool found;
	enum err_code code = tables_read_manifest(table, event, &a->relay, &found, err);
	if (code != ERR_OK || !found)
		return code;
	if (a->relay.transactions[a->relay.count - 1].seq != a->gtid.gtid.seq)
		return refuse(a, err, "has a manifest that doesn't end with it", "compare the rows by hand");
	code = open_batch(a, &a->relay.context, err);
	if (code != ERR_OK || pass_if_here(a))
		return code;
	bool first = true;
	for (size_t i = 0; i < a->relay.count; i++) {
		const struct manifest_transaction *t = &a->relay.transactions[i];
		if (t->seq <= a->have_seq || (a->relay_only != 0 && t->seq != a->relay_only))
			continue;
		struct gtid gtid = {.domain = a->gtid.gtid.domain, .server = t->server, .seq = t->seq};
		if (first && state_take_skip(a->state, &gtid)) {
			code = pass_over(a, &gtid, err);
			return code == ERR_OK ? err_set(err, ERR_BUSY, "reading on behind a transaction passed over") : code;
		}
		if (first && a->one_by_one > 0)
			a->relay_only = t->seq;
		manifest_add(&a->batch.manifest, t);
		a->batch.last = gtid;
		first = false;
	}
	a->is_relay = a->group_counted = true;
	manifest_reader_start(&a->relay_reader, &a->relay);
	return ERR_OK;
}

static enum err_code count_group(struct applier *a, struct err *err)
{
	if (a->group_counted)
		return ERR_OK;
	enum err_code code = open_batch(a, &a->position, err);
	if (code != ERR_OK || pass_if_here(a))
		return code;
	const struct gtid *gtid = &a->gtid.gtid;
	manifest_add(&a->batch.manifest,
	             &(struct manifest_transaction){.seq = gtid->seq, .time = a->time, .server = gtid->server});
	a->batch.last = *gtid;
	a->group_counted = true;
	return ERR_OK;
}

/* Takes the keys of the event's rows. Of a relayed batch some rows may be here already, or not be wanted this time: those
 * to apply stand together, since a log is in order, from *ret_from up to *ret_to; both NULL if there are none. */
static enum err_code take_rows(struct applier *a, const struct table *table, const struct rows_event *rows,
                               const uint8_t **ret_from, const uint8_t **ret_to, struct err *err)
{
	struct row_change change;
	bool more;
	enum err_code code;
	*ret_from = *ret_to = NULL;
	rows_iter_start(&a->rows, rows, &table->map);
	while ((code = rows_next(&a->rows, &change, &more, err)) == ERR_OK && more) {
		uint64_t keys[2], seq = a->gtid.gtid.seq;
		if (a->is_relay) {
			const struct manifest_transaction *t = manifest_reader_take(&a->relay_reader);
			if (t == NULL)
				return refuse(a, err, "holds a batch that its manifest doesn't fit", "compare the rows by hand");
			seq = t->seq;
			if (seq <= a->have_seq || (a->relay_only != 0 && seq != a->relay_only))
				continue;
		}
		if (*ret_from == NULL)
			*ret_from = change.bytes;
		*ret_to = change.bytes + change.size;
		a->group_rows++;
		unsigned count = rowkey_of_change(table->hash, &table->map, &change, keys);
		for (unsigned i = 0; i < count; i++)
			batch_add_key(&a->batch, keys[i], seq, table->map.table_id);
	}
	return code;
}

static enum err_code on_rows(struct applier *a, const struct event *packed, struct err *err)
{
	struct event event;
	struct rows_event rows;
	const uint8_t *from, *to;
	enum err_code code = event_uncompress(packed, EVENT_BYTES_MAX, &a->scratch, &event, err);
	if (code == ERR_OK)
		code = rows_parse(&event, NULL, &rows, err);
	if (code != ERR_OK)
		return code;
	const struct table *table = tables_find(a->tables, rows.table_id);
	bool statement_ends = (rows.flags & ROWS_FLAG_STATEMENT_END) != 0;
	/* The number of a dummy event that only ends a statement belongs to no table (MariaDB sql/log_event.h, dummy). */
	if (table == NULL && rows.rows_size > 0)
		return err_set(err, ERR_MALFORMED, "rows of an unknown table in the log of %s", a->peer->where);
	if (table != NULL && table->is_links && a->gtid.gtid.domain != a->peer->node_id)
		code = begin_relay(a, table, &event, err);
	if (code == ERR_OK && table != NULL && table->is_replicated && table->is_sequence) {
		code = tables_append_setval(table, &event, &a->sequences, err);
	} else if (code == ERR_OK && table != NULL && table->is_replicated && stage_is_open(a->stage)) {
		apply_rows(a->apply, &event);
	} else if (code == ERR_OK && table != NULL && table->is_replicated) {
		if ((code = count_group(a, err)) != ERR_OK || a->group == GROUP_PASSING)
			return code;
		if ( (code = rows_parse(&event, &table->map, &rows, err)) != ERR_OK ||
		    (code = take_rows(a, table, &rows, &from, &to, err)) != ERR_OK)
			return code;
		if (a->maps_generation < a->batch.generation)
			a->batch.generation = a->maps_generation;
		if (from == rows.rows && to == rows.rows + rows.rows_size) {
			apply_rows(a->apply, &event);
		} else if (from != NULL) {
			struct event part = event;
			buf_clear(&a->part);
			rows_append_event(&event, &rows, rows.flags, from, (size_t)(to - from), &a->part);
			part.bytes = a->part.data;
			part.size = a->part.size;
			apply_rows(a->apply, &part);
		}
	}
	if (code == ERR_OK && statement_ends)
		apply_statement_end(a->apply);
	buf_shrink(&a->scratch, SCRATCH_KEPT);
	if (code == ERR_OK && apply_gathered(a->apply) >= BATCH_BYTES_MAX)
		code = stage_is_open(a->stage) ? stage_flush(a->stage, a->apply, err) : a->group_counted ? flush(a, err) : ERR_OK;
	return code;
}

static enum err_code on_table_map(struct applier *a, const struct event *event, struct err *err)
{
	const struct table *table;
	enum err_code code = tables_learn(a->tables, event, &table, err);
	if (code != ERR_OK || !table->is_replicated)
		return code;
	if (stage_is_open(a->stage))
		return stage_table_map(a->stage, a->apply, event, err);
	uint64_t generation = state_generation(a->state);
	code = catalogue_check(a->catalogue, apply_connection(a->apply), &table->map, generation, err);
	if (code == ERR_OK) {
		a->maps_generation = generation;
		if (!table->is_sequence)
			apply_table_map(a->apply, event);
	} else if (!err_retryable(code)) {
		char text[GTID_TEXT_MAX];
		err_wrap(err, "transaction %s can't be applied", gtid_format(&a->gtid.gtid, text));
	}
	return code;
}

/* Statements ------------------------------------------------------------------------------------------------ */

/* DDL is a barrier: what came before it is committed, and it commits by itself. */
static enum err_code before_ddl(struct applier *a, struct err *err)
{
	if (a->group_counted)
		return refuse(a, err, "mixes row changes and DDL", "do by hand what it did");
	enum err_code code = commit_batch(a, err);
	if (code == ERR_OK)
		code = open_batch(a, &a->position, err);
	if (code == ERR_OK)
		pass_if_here(a);
	return code;
}

static enum err_code after_ddl(struct applier *a, struct err *err)
{
	struct vector here;
	enum err_code code = state_applied(a->state, &a->gtid.gtid, err);
	if (code == ERR_OK)
		code = server_vector(apply_connection(a->apply), &here, err);
	/* So that the tables of the next batch are checked against the schema as it is now. */
	if (code == ERR_OK && state_wait_tailed(a->state, &here, TAIL_WAIT_MS, err) == ERR_CANCELLED)
		code = ERR_CANCELLED;
	a->counts.transactions++;
	a->counts.batches++;
	a->one_by_one -= a->one_by_one > 0;
	return code;
}

static enum err_code run_change(struct applier *a, const struct event *event, const struct schema_change *change,
                                struct err *err)
{
	const struct statement *s = &change->verdict->statement;
	bool goes_on = (a->gtid.flags & GTID_FLAG_STANDALONE) == 0;
	enum err_code code = before_ddl(a, err);
	if (code != ERR_OK || a->group == GROUP_PASSING)
		return code;
	if (goes_on && s->verb == VERB_CREATE && s->object == OBJECT_TABLE) {
		stage_begin(a->stage, event); /* its rows follow */
		return ERR_OK;
	}
	code = schema_apply(change, apply_connection(a->apply), a->peer->node_id, a->who, err);
	return code == ERR_OK ? after_ddl(a, err) : code;
}

/* The group's end: the table is made, with its rows. */
static enum err_code finish_stage(struct applier *a, struct err *err)
{
	struct schema_change change = {.gtid = a->gtid.gtid,
	                               .gtid_extra_flags = a->gtid.extra_flags,
	                               .timestamp = a->time,
	                               .settings = a->settings};
	enum err_code code = stage_finish(a->stage, a->apply, &change, a->who, err);
	return code == ERR_OK ? after_ddl(a, err) : code;
}

static enum err_code on_query(struct applier *a, const struct event *packed, bool *ret_ends, struct err *err)
{
	struct event event;
	struct query_event query;
	enum err_code code = event_uncompress(packed, EVENT_BYTES_MAX, &a->scratch, &event, err);
	if (code == ERR_OK)
		code = query_parse(&event, &query, err);
	if (code != ERR_OK)
		return code;
	bool rolls_back = query_is(&query, "ROLLBACK");
	*ret_ends = (a->gtid.flags & GTID_FLAG_STANDALONE) != 0 || query_is(&query, "COMMIT") || rolls_back;
	if (a->group == GROUP_PASSING)
		return ERR_OK;
	if (rolls_back && a->group_counted)
		return refuse(a, err, "was rolled back after it had changed tables that can't roll back",
		              "make the rows of those tables equal, turn the tables into InnoDB");
	struct schema_change change = {.query = &query,
	                               .gtid = a->gtid.gtid,
	                               .gtid_extra_flags = a->gtid.extra_flags,
	                               .timestamp = event.timestamp,
	                               .insert_id = a->insert_id,
	                               .settings = a->settings};
	struct schema_verdict verdict;
	code = schema_judge(&change, &verdict, err);
	if (code == ERR_OK && verdict.what == SCHEMA_REFUSE)
		code = refuse(a, err, verdict.why, verdict.mend);
	if (code == ERR_OK && verdict.what == SCHEMA_APPLY) {
		change.verdict = &verdict;
		code = run_change(a, &event, &change, err);
	}
	schema_verdict_free(&verdict);
	return code;
}

/* An INTVAR event tells a value that the statement behind it uses: type 1 is last_insert_id, 2 insert_id. */
static void on_intvar(struct applier *a, const struct event *event)
{
	struct cursor c = cursor_of(event->body, event->body_size);
	uint8_t type = cursor_u8(&c);
	uint64_t value = cursor_u64(&c);
	if (cursor_ok(&c) && type == 2)
		a->insert_id = value;
}

/* Events ---------------------------------------------------------------------------------------------------- */

static enum err_code on_format(struct applier *a, const struct event *event, struct err *err)
{
	/* A new log file, perhaps of a restarted server: a transaction that it left without an end was rolled back. */
	if (a->group == GROUP_OPEN && a->group_counted)
		return err_set(err, ERR_BUSY, "%s restarted within a transaction", a->peer->where);
	a->group = GROUP_NONE;
	enum err_code code = commit_batch(a, err);
	if (code == ERR_OK)
		code = format_parse(event, &a->format, err);
	if (code == ERR_OK)
		apply_format(a->apply, event);
	tables_clear(a->tables);
	return code;
}

static enum err_code unknown_event(const struct applier *a, const struct event *event, struct err *err)
{
	if ((event->flags & EVENT_FLAG_IGNORABLE) != 0)
		return ERR_OK;
	char what[128];
	snprintf(what, sizeof what, "holds an event that row-based replication can't carry (%s, type %u)",
	         event_type_name(event->type), event->type);
	return refuse(a, err, what, "do by hand here what it did there");
}

/* Events of a transaction. */
static enum err_code in_group(struct applier *a, const struct event *event, struct err *err)
{
	bool open = a->group == GROUP_OPEN, ends = false;
	enum err_code code = ERR_OK;
	if (event_is_rows(event->type)) {
		code = open ? on_rows(a, event, err) : ERR_OK;
	} else {
		switch (event->type) {
		case EVENT_TABLE_MAP:
			code = open ? on_table_map(a, event, err) : ERR_OK;
			break;
		case EVENT_QUERY:
		case EVENT_QUERY_COMPRESSED:
			code = on_query(a, event, &ends, err);
			break;
		case EVENT_XID:
			ends = true;
			break;
		case EVENT_XA_PREPARE:
			ends = true;
			if (open)
				code = unknown_event(a, event, err);
			break;
		case EVENT_INTVAR:
			on_intvar(a, event);
			break;
		case EVENT_ANNOTATE_ROWS:
			break;
		default:
			if (open)
				code = unknown_event(a, event, err);
		}
	}
	if (code == ERR_OK && ends && stage_is_open(a->stage))
		code = finish_stage(a, err);
	if (code == ERR_OK && ends)
		code = group_end(a, err);
	return code;
}

static enum err_code handle(struct applier *a, const struct event *event, struct err *err)
{
	switch (event->type) {
	case EVENT_FORMAT_DESCRIPTION:
		return on_format(a, event, err);
	case EVENT_GTID:
		return group_start(a, event, err);
	case EVENT_HEARTBEAT:
		a->at_end = true;
		return ERR_OK;
	case EVENT_ROTATE:
	case EVENT_STOP:
	case EVENT_GTID_LIST:
	case EVENT_BINLOG_CHECKPOINT:
	case EVENT_START_ENCRYPTION:
		return ERR_OK;
	case EVENT_INCIDENT:
		return err_set(err, ERR_UNSUPPORTED,
		               "%s lost events of its log (an incident event); compare the tables and copy the data anew",
		               a->peer->where);
	default:
		if (a->group != GROUP_NONE)
			return in_group(a, event, err);
		return err_set(err, ERR_MALFORMED, "a %s event outside of a transaction in the log of %s",
		               event_type_name(event->type), a->peer->where);
	}
}

/* A batch failed for a reason that won't pass by itself: the transactions ahead of the culprit shall not wait for it. */
static enum err_code failed(struct applier *a, enum err_code code, struct err *err)
{
	size_t transactions = a->batch.manifest.count;
	a->has_culprit = transactions > 0 || a->group != GROUP_NONE;
	a->culprit = transactions > 0 ? a->batch.last : a->gtid.gtid;
	if (err_retryable(code) || transactions <= 1)
		return code;
	a->one_by_one = transactions;
	log_line(LOG_LEVEL_INFO, a->who, "going through %zu transactions one by one, since together they failed: %s",
	         transactions, err->message);
	return err_set(err, ERR_BUSY, "going through a batch transaction by transaction");
}

/* Server errors that come of the two sides' different rows, in the words of who has to mend it. */
static enum err_code explain(struct applier *a, enum err_code code, struct err *err)
{
	char text[GTID_TEXT_MAX];
	if (code != ERR_SERVER || !a->batch.is_open || a->batch.manifest.count == 0)
		return code;
	unsigned number = err->server_errno;
	const char *gtid = gtid_format(&a->batch.last, text);
	bool conflict = number == 1062 || number == 1032 || number == 1451 || number == 1452 || number == 1761;
	err_wrap(err, "%stransaction %s can't be applied here", conflict ? "conflict: " : "", gtid);
	size_t size = strlen(err->message);
	snprintf(err->message + size, sizeof err->message - size,
	         "; mend the cause, or make the rows equal and pass over it with `syncline skip %s`", gtid);
	if (conflict)
		err->code = ERR_CONFLICT;
	return err->code;
}

enum err_code applier_event(struct applier *a, const uint8_t *bytes, size_t size, struct err *err)
{
	struct event event;
	enum err_code code = event_parse(&a->format, bytes, size, &event, err);
	if (code == ERR_OK)
		code = handle(a, &event, err);
	return code == ERR_OK ? code : failed(a, explain(a, code, err), err);
}

enum err_code applier_idle(struct applier *a, struct err *err)
{
	if (a->group != GROUP_NONE)
		return ERR_OK;
	enum err_code code = commit_batch(a, err);
	if (code == ERR_OK && a->position_moved && clock_monotonic_ms() - a->saved_ms >= SAVE_POSITION_MS) {
		code = server_save_position(apply_connection(a->apply), a->peer->node_id, &a->committed, err);
		a->saved_ms = clock_monotonic_ms();
		a->position_moved = code != ERR_OK;
	}
	return code == ERR_OK ? code : failed(a, explain(a, code, err), err);
}
