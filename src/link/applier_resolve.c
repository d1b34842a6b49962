#include "link/applier_parts.h"

#include <string.h>

#include "binlog/rows_writer.h"
#include "link/steps.h"
#include "merge/rowkey.h"
#include "sql/server.h"

enum {
	TRIES_MAX = 20,
	WARY_TRANSACTIONS =
	    1000, /* rows that are in no log seldom come alone, and waiting for local writes takes seconds */
};

/* A transaction that met writes it didn't know of, on its way through this file. */
struct resolution {
	struct applier *a;
	const struct applier_transaction *of;
	const struct buf *events;   /* as it was at its origin */
	struct change_list changes; /* the same, of tables with a key */
	struct buf others;          /* its events of tables without one */
	struct buf manifest, steps, again;
	struct change_list planned; /* the steps once more, if they are to be made to fit what is here */
};

/* Rows that go with a table that was dropped, or emptied and has no key: nothing of them is here. */
static bool is_gone(const struct resolution *r, const struct table *table)
{
	return table->mapping == NULL || (!table->here->has_key && state_emptied(r->a->state, rowkey_table(&table->map),
	                                                                         r->of->gtid.domain, r->of->context));
}

/* Rows of tables without a key can't be in conflict, as far as anybody can see: they are applied as they are. */
static enum err_code keep_event(struct resolution *r, const struct table *table, const struct event *event,
                                const struct event *map, struct err *err)
{
	bool lost;
	if (!mapping_is_same(table->mapping)) {
		table_map_append(mapping_map(table->mapping, table->map.table_id), &r->others);
		return mapping_rewrite(table->mapping, &table->map, event, &r->others, &lost, err);
	}
	event_append(map, &r->others);
	event_append(event, &r->others);
	return ERR_OK;
}

static enum err_code read_rows(struct resolution *r, const struct event *event, const struct event *map,
                               struct err *err)
{
	struct rows_event rows;
	enum err_code code = rows_parse(event, NULL, &rows, err);
	const struct table *table = code == ERR_OK ? tables_find(r->a->tables, rows.table_id) : NULL;
	if (table == NULL || !table->is_replicated || is_gone(r, table))
		return code;
	if (!table->here->has_key)
		return keep_event(r, table, event, map, err);
	code = rows_parse(event, &table->map, &rows, err);
	return code == ERR_OK
	           ? changes_of_event(&r->a->reader, table, &rows, event->timestamp, change_list_keep, &r->changes, err)
	           : code;
}

static enum err_code read_events(struct resolution *r, struct err *err)
{
	struct cursor events = cursor_of(r->events->data, r->events->size);
	struct event event, map = {0};
	const struct table *table;
	enum err_code code = ERR_OK;
	while (code == ERR_OK && rows_writer_next(&events, &event)) {
		if (event.type != EVENT_TABLE_MAP) {
			code = read_rows(r, &event, &map, err);
			continue;
		}
		map = event;
		code = tables_learn(r->a->tables, &event, &table, err);
		if (code == ERR_OK)
			code = applier_describe(r->a, table, err);
	}
	return code;
}

static void make_manifest(struct resolution *r, uint64_t row_changes)
{
	struct manifest m = {.kind = applier_is_repaired(r->a, &r->of->gtid) ? MANIFEST_REPAIRED : MANIFEST_RESOLVED,
	                     .context = *r->of->context};
	manifest_add(
	    &m, &(struct manifest_transaction){
	            .seq = r->of->gtid.seq, .time = r->of->time, .server = r->of->gtid.server, .row_changes = row_changes});
	buf_append(&m.writes, r->events->data, r->events->size);
	buf_clear(&r->manifest);
	manifest_encode(&m, &r->manifest);
	manifest_free(&m);
}

static void keep_step(struct resolution *r, const struct merge_step *step)
{
	struct merge_change change = {.op = step->op, .table = step->table, .before = step->before, .after = step->after};
	change_list_add(&r->planned, &change, step->no_cascade);
}

/* What to do to this node's tables, as the history is now. */
static enum err_code plan(struct resolution *r, struct buf *to, struct err *err)
{
	struct merge_transaction t = {.gtid = r->of->gtid,
	                              .time = r->of->time,
	                              .context = r->of->context,
	                              .count = r->changes.count,
	                              .changes = r->changes.changes};
	struct history_plan plan = {0};
	enum err_code code = state_plan(r->a->state, &t, &plan, err);
	buf_clear(to);
	if (code == ERR_OK)
		code = steps_encode(plan.steps, plan.step_count, r->of->time, r->of->gtid.server, to, err);
	change_list_clear(&r->planned);
	for (size_t i = 0; code == ERR_OK && applier_is_repaired(r->a, &r->of->gtid) && i < plan.step_count; i++)
		keep_step(r, &plan.steps[i]);
	state_lock_history(r->a->state); /* it shares rows with the plan, and counts who has them */
	history_plan_free(&plan);
	state_unlock_history(r->a->state);
	return code;
}

static enum err_code send(struct resolution *r, struct vector *ret_vector, struct err *err)
{
	struct applier *a = r->a;
	struct vector position = a->position;
	bool committed, whole = !(a->is_relay && a->group == GROUP_OPEN);
	enum err_code code = whole ? vector_advance(&position, &r->of->gtid, err) : ERR_OK;
	if (code != ERR_OK)
		return code;
	struct apply_head head = {.gtid = r->of->gtid,
	                          .peer = a->peer->node_id,
	                          .position = &position,
	                          .latest = r->of->time > a->latest ? r->of->time : a->latest,
	                          .manifest = r->manifest.data,
	                          .manifest_size = r->manifest.size};
	a->batch.manifest.context = *r->of->context;
	applier_tell_known(a, &position);
	if (applier_is_repaired(a, &r->of->gtid)) {
		code = apply_flush(a->apply, &head, NULL, &committed, ret_vector, err);
		if (code == ERR_OK)
			code = applier_repair(a, r->of, &r->planned, err);
		if (code != ERR_OK)
			return code;
	} else {
		steps_apply(a->apply, &r->steps);
	}
	steps_apply(a->apply, &r->others);
	return apply_flush(a->apply, &head, NULL, &committed, ret_vector, err);
}

/* The steps' rows are locked now: if nothing was committed since they were planned, or nothing that matters to them, they are
 * what is to be done. */
static enum err_code certify(struct resolution *r, const struct vector *planned, const struct vector *now, bool *ret_ok,
                             struct err *err)
{
	*ret_ok = vector_equal(planned, now);
	if (*ret_ok)
		return ERR_OK;
	enum err_code code = state_wait_tailed(r->a->state, now, APPLIER_TAIL_WAIT_MS, err);
	if (code == ERR_OK)
		code = plan(r, &r->again, err);
	*ret_ok = code == ERR_OK && r->again.size == r->steps.size &&
	          (r->steps.size == 0 || memcmp(r->again.data, r->steps.data, r->steps.size) == 0);
	return code;
}

static enum err_code try(struct resolution *r, bool *ret_done, struct err *err)
{
	struct applier *a = r->a;
	struct vector planned, now;
	enum err_code code = server_vector(apply_connection(a->apply), &planned, err);
	if (code == ERR_OK)
		code = state_wait_tailed(a->state, &planned, APPLIER_TAIL_WAIT_MS, err);
	if (code == ERR_OK)
		code = plan(r, &r->steps, err);
	if (code == ERR_OK)
		code = send(r, &now, err);
	if (code == ERR_OK)
		code = certify(r, &planned, &now, ret_done, err);
	if (code != ERR_OK)
		return code;
	return *ret_done ? apply_commit(a->apply, err) : apply_rollback(a->apply, err);
}

static enum err_code commit(struct resolution *r, struct err *err)
{
	struct applier *a = r->a;
	bool done = false;
	enum err_code code =
	    state_claim(a->state, STATE_RESOLVING, a->peer->node_id) ? ERR_OK : err_set(err, ERR_CANCELLED, "stopping");
	for (int i = 0; code == ERR_OK && !done && i < TRIES_MAX; i++)
		code = try(r, &done, err);
	if (code == ERR_OK && !done)
		code = err_set(err, ERR_BUSY, "local writes come in between, again and again");
	if (code == ERR_OK)
		code = state_applied(a->state, &r->of->gtid, true, err);
	if (code != ERR_OK)
		return code;
	a->wary -= a->wary > 0;
	if (applier_is_repaired(a, &r->of->gtid)) {
		state_note_found(a->state);
		a->wary = WARY_TRANSACTIONS;
	}
	a->repaired = (struct gtid){0};
	a->clashes = 0;
	a->counts.transactions++;
	a->counts.batches++;
	a->counts.resolved++;
	a->one_by_one -= a->one_by_one > 0;
	/* The origin's next transaction may be about the same rows: no link looks at it before the history knows what came of this one. */
	struct vector here = {.count = 1, .gtids = {r->of->gtid}};
	code = state_wait_tailed(a->state, &here, APPLIER_TAIL_WAIT_MS, err);
	applier_release(a);
	return code;
}

enum err_code applier_resolve(struct applier *a, const struct applier_transaction *transaction,
                              const struct buf *events, struct err *err)
{
	struct resolution r = {.a = a, .of = transaction, .events = events};
	enum err_code code = applier_commit_batch(a, err);
	if (code == ERR_OK)
		code = applier_open_batch(a, transaction->context, err);
	if (code == ERR_OK && transaction->gtid.seq > a->have_seq) {
		a->batch.last = transaction->gtid;
		code = read_events(&r, err);
		if (code == ERR_OK) {
			make_manifest(&r, r.changes.count);
			code = commit(&r, err);
		}
	}
	state_release(a->state, STATE_RESOLVING, a->peer->node_id);
	change_list_free(&r.changes);
	change_list_free(&r.planned);
	buf_free(&r.others);
	buf_free(&r.manifest);
	buf_free(&r.steps);
	buf_free(&r.again);
	return code;
}
