#include <stdlib.h>

#include "base/mem.h"
#include "sim.h"

static struct server scratch;
enum { RESOLVER = NODES_MAX }; /* as the owner of locks */

/* ---- Records ---- */

static size_t keep_record(struct node *n, const struct merge_record *r, bool is_claim)
{
	struct record_fact f = {.kind = r->kind,
	                        .is_claim = is_claim,
	                        .table = (int)(r->table - schema.tables),
	                        .node = n->number,
	                        .loser = r->loser,
	                        .winner = r->winner,
	                        .local = row_of(r->table, r->local)};
	for (uint32_t c = 0; c < r->table->column_count; c++)
		f.lost[c] = is_claim || r->lost[c]; /* a row that is deleted loses all */
	sim.records = mem_resize(sim.records, (sim.record_count + 1) * sizeof *sim.records);
	sim.records[sim.record_count] = f;
	return sim.record_count++;
}

static uint64_t mark_of(const struct record_fact *f, uint32_t column)
{
	struct content values[COLUMNS];
	for (uint32_t c = 0; c < COLUMNS; c++)
		values[c] = f->local.is_null[c] ? (struct content){.is_null = true}
		                                : (struct content){.bytes = (const uint8_t *)&f->local.values[c], .size = 4};
	struct merge_record r = {.table = &schema.tables[f->table], .loser = f->loser, .local = values};
	return merge_loss_id(&r, column);
}

static bool has_mark(const struct node *n, uint64_t id)
{
	for (size_t i = 0; i < n->mark_count; i++)
		if (n->marks[i].id == id)
			return true;
	return false;
}

/* It says something that wasn't recorded yet. */
static bool is_news(const struct node *n, const struct record_fact *f)
{
	for (uint32_t c = 0; c < schema.tables[f->table].column_count; c++)
		if (f->lost[c] && !has_mark(n, mark_of(f, c)))
			return true;
	return false;
}

/* The row to write; the marks are set at once, since nothing comes between this and the commit. */
static void record(struct node *n, size_t number, struct changes *to)
{
	struct record_fact *f = &sim.records[number];
	struct change change = {.op = MERGE_INSERT,
	                        .table = RECORDS,
	                        .after = {.there = true, .values = {(uint32_t)number, (uint32_t)n->number}}};
	if (!is_news(n, f))
		return;
	for (uint32_t c = 0; c < schema.tables[f->table].column_count; c++) {
		uint64_t id = mark_of(f, c);
		f->lost[c] = f->lost[c] && !has_mark(n, id);
		if (!f->lost[c])
			continue;
		GROW(n->marks, n->mark_count, n->mark_capacity);
		n->marks[n->mark_count++] = (struct mark){id, f->loser.seq};
	}
	f->is_committed = true;
	changes_add(to, &change);
}

static void add_loss(struct node *n, size_t number)
{
	GROW(n->losses, n->loss_count, n->loss_capacity);
	n->losses[n->loss_count++] = number;
}

static bool record_losses(struct node *n)
{
	struct changes rows = {0};
	for (size_t i = 0; i < n->loss_count; i++)
		record(n, n->losses[i], &rows);
	n->loss_count = 0;
	bool any = rows.count > 0;
	if (any) {
		node_try(n, &n->server, &rows);
		node_commit(n, &rows, &rows, NULL);
	}
	changes_free(&rows);
	return any;
}

/* ---- What is left to do ---- */

static void look(struct node *n, struct work *to)
{
	struct merge_step row;
	struct merge_record claim;
	struct merge_outcome outcome = history_pending(n->history);
	to->decides = to->unseen = false;
	changes_clear(&to->steps);
	changes_of_steps(&to->steps, outcome.steps, outcome.step_count);
	for (size_t i = 0; i < outcome.record_count; i++)
		add_loss(n, keep_record(n, &outcome.records[i], false));
	bool is_shown;
	if (outcome.step_count > 0 || sim.fault == FAULT_NO_DECISION ||
	    !history_decision(n->history, &row, &is_shown, &claim))
		return;
	to->decides = true;
	to->unseen = !is_shown;
	to->decided = keep_record(n, &claim, true);
	struct changes decided = {0};
	changes_of_steps(&decided, &row, 1);
	if (is_shown)
		server_delete_with_children(&n->server, &decided.items[0], &to->steps);
	else
		changes_append(&to->steps, &decided);
	changes_free(&decided);
}

static void make_manifest(const struct node *n, enum manifest_kind kind, const struct changes *writes,
                          struct manifest *to)
{
	*to = (struct manifest){.kind = kind, .context = n->vector};
	uint32_t me = (uint32_t)n->number + 1;
	manifest_add(to, &(struct manifest_transaction){.seq = vector_seq(&n->vector, me) + 1, .server = me});
	if (writes != NULL)
		pack_changes(&to->writes, writes);
}

static void commit_shown(struct node *n, const struct changes *rows)
{
	static const struct changes nothing;
	struct manifest m;
	make_manifest(n, MANIFEST_SHOWN, NULL, &m);
	node_commit(n, rows, &nothing, &m);
	manifest_free(&m);
}

static void carry_out(struct node *n, const struct changes *rows)
{
	const char *why = node_try(n, &n->server, rows);
	if (why != NULL)
		fail("node %d can't commit what it sent: %s", n->number + 1, why);
}

static void commit_work(struct node *n)
{
	static const struct changes nothing;
	struct work *w = &n->work;
	if (!w->decides) {
		carry_out(n, &w->steps);
		commit_shown(n, &w->steps);
	} else if (w->unseen) {
		struct manifest m;
		make_manifest(n, MANIFEST_RESOLVED, &w->steps, &m);
		node_commit(n, &nothing, &w->steps, &m);
		manifest_free(&m);
		sim.decided++;
	} else {
		record(n, w->decided, &w->steps);
		carry_out(n, &w->steps);
		node_commit(n, &w->steps, &w->steps, NULL);
		sim.decided++;
	}
	node_unlock(n, RESOLVER);
}

/* ---- One step ---- */

static bool step_look(struct node *n)
{
	if (!node_is_tailed(n))
		return false;
	n->planned = n->vector;
	look(n, &n->work);
	n->duty = n->work.steps.count > 0 ? DUTY_SEND : DUTY_RECORD;
	/* What isn't a row of the transaction isn't replicated with it: recorded ahead of it. */
	if (n->work.unseen && is_news(n, &sim.records[n->work.decided])) {
		add_loss(n, n->work.decided);
		record_losses(n);
		n->duty = DUTY_LOOK;
	}
	return n->duty != DUTY_RECORD;
}

static bool step_send(struct node *n)
{
	static const struct changes nothing;
	const struct changes *rows = n->work.unseen ? &nothing : &n->work.steps;
	const char *why = node_try(n, &scratch, rows);
	bool moved = !vector_equal(&n->vector, &n->planned);
	if (why != NULL && !moved && sim.tells)
		tell_changes("planned", rows);
	if (why != NULL && !moved)
		fail("node %d can't %s: %s", n->number + 1, n->work.decides ? "delete what it decided on" : "show what is due",
		     why);
	if (why != NULL) {
		n->duty = DUTY_LOOK;
		return true;
	}
	if (node_is_locked(n, &scratch, &n->work.steps, RESOLVER))
		return false;
	node_lock(n, &scratch, &n->work.steps, RESOLVER);
	n->sent = n->vector;
	n->duty = DUTY_CERTIFY;
	return true;
}

static bool step_certify(struct node *n)
{
	if (!vector_equal(&n->sent, &n->planned) && sim.fault != FAULT_NO_CERTIFY) {
		struct work again = {0};
		if (!vector_covers(&n->tail.vector, &n->sent))
			return false;
		look(n, &again);
		bool same = again.decides == n->work.decides && again.unseen == n->work.unseen &&
		            changes_equal(&again.steps, &n->work.steps);
		changes_free(&again.steps);
		if (!same) {
			node_unlock(n, RESOLVER);
			n->duty = DUTY_LOOK;
			return true;
		}
	}
	commit_work(n);
	n->duty = DUTY_LOOK;
	return true;
}

static bool owes_acknowledgement(const struct node *n)
{
	int peers = 0;
	for (int i = 0; i < sim.node_count; i++)
		peers += n->links[i].is_there;
	return n->owes && sim.node_count > peers + 1;
}

static bool step_acknowledge(struct node *n)
{
	static const struct changes nothing;
	n->duty = DUTY_SAVE;
	if (!owes_acknowledgement(n) || !node_is_tailed(n))
		return false;
	commit_shown(n, &nothing);
	return true;
}

/* Of the positions that the tail passed, the newest that everybody has everything of. */
static void take_checkpoint(struct node *n)
{
	size_t passed = 0;
	while (passed < n->checkpoint_count && vector_covers(&n->settled, &n->checkpoints[passed].vector) &&
	       (sim.fault == FAULT_LATE_CHECKPOINT || !history_needs(n->history, &n->checkpoints[passed].vector)))
		passed++;
	if (passed == 0)
		return;
	n->pending_checkpoint = n->checkpoints[passed - 1];
	n->has_checkpoint = true;
	n->checkpoint_count -= passed;
	for (size_t i = 0; i < n->checkpoint_count; i++)
		n->checkpoints[i] = n->checkpoints[i + passed];
}

static void save_checkpoint(struct node *n)
{
	if (!n->has_checkpoint)
		return;
	n->checkpoint = n->pending_checkpoint;
	n->has_checkpoint = false;
	uint64_t seq = vector_seq(&n->checkpoint.vector, (uint32_t)n->number + 1);
	size_t kept = 0;
	for (size_t i = 0; i < n->mark_count; i++)
		if (n->marks[i].seq > seq)
			n->marks[kept++] = n->marks[i];
	n->mark_count = kept;
}

bool resolver_step(struct node *n)
{
	switch (n->duty) {
	case DUTY_CHECKPOINT: /* first where all is settled, then what is left to do: so nothing of what is settled is left */
		take_checkpoint(n);
		n->duty = DUTY_LOOK;
		return false;
	case DUTY_LOOK:
		return step_look(n);
	case DUTY_SEND:
		return step_send(n);
	case DUTY_CERTIFY:
		return step_certify(n);
	case DUTY_RECORD:
		n->duty = DUTY_ACKNOWLEDGE;
		return record_losses(n);
	case DUTY_ACKNOWLEDGE:
		return step_acknowledge(n);
	case DUTY_SAVE:
		save_checkpoint(n);
		n->duty = DUTY_CHECKPOINT;
		return false;
	}
	return false;
}
