#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim.h"

static struct server scratch;

static void incomings_clear(struct incomings *l)
{
	for (size_t i = 0; i < l->count; i++)
		changes_free(&l->items[i].changes);
	l->count = 0;
}

static void incomings_add(struct incomings *l, const struct incoming *t)
{
	GROW(l->items, l->count, l->capacity);
	l->items[l->count++] = *t;
}

/* The first of the queue, which the caller then owns. */
static struct incoming take_first(struct incomings *l)
{
	struct incoming first = l->items[0];
	memmove(l->items, l->items + 1, --l->count * sizeof *l->items);
	return first;
}

static void release(struct node *n, struct link *l)
{
	if (l->origin != 0)
		n->claims[l->origin - 1] = -1;
	l->origin = 0;
}

void link_reset(struct node *n, int peer, bool to_older)
{
	struct link *l = &n->links[peer];
	release(n, l);
	node_unlock(n, peer);
	incomings_clear(&l->queue);
	incomings_clear(&l->batch);
	changes_clear(&l->steps);
	l->phase = PHASE_IDLE;
	l->in_group = false;
	l->now = to_older && l->older_count > 0 ? l->older[chance((uint32_t)l->older_count)] : l->saved;
}

void link_free(struct link *l)
{
	incomings_clear(&l->queue);
	incomings_clear(&l->batch);
	free(l->queue.items);
	free(l->batch.items);
	changes_free(&l->steps);
	manifest_free(&l->manifest);
}

/* Saved in the transaction that it belongs to. */
static void save(struct link *l, const struct cursor_at *at)
{
	l->older[l->older_count < OLDER ? l->older_count++ : chance(OLDER)] = l->saved;
	l->saved = *at;
}

static bool claim(struct node *n, struct link *l, int peer, uint32_t origin)
{
	if (l->origin == origin)
		return true;
	release(n, l);
	if (n->claims[origin - 1] >= 0)
		return false;
	n->claims[origin - 1] = peer;
	l->origin = origin;
	return true;
}

/* ---- Reading a group ---- */

static void queue_one(struct node *n, struct link *l, uint32_t time, const struct vector *context,
                      const struct changes *changes)
{
	struct incoming t = {.gtid = l->group->gtid, .time = time, .context = *context};
	(void)n;
	changes_append(&t.changes, changes);
	incomings_add(&l->queue, &t);
}

/* Of a batch that the peer applied, what isn't here yet. */
static void queue_relayed(struct node *n, struct link *l)
{
	size_t row = 0;
	for (size_t i = 0; i < l->manifest.count; i++) {
		const struct manifest_transaction *m = &l->manifest.transactions[i];
		struct incoming t = {
		    .gtid = {l->group->gtid.domain, m->server, m->seq}, .time = m->time, .context = l->manifest.context};
		size_t end = m->row_changes == MANIFEST_ALL_THE_REST ? l->group->rows.count : row + m->row_changes;
		if (end > l->group->rows.count)
			fail("a manifest doesn't fit its batch");
		for (; row < end; row++)
			changes_add(&t.changes, &l->group->rows.items[row]);
		if (m->seq > vector_seq(&n->vector, t.gtid.domain))
			incomings_add(&l->queue, &t);
		else
			changes_free(&t.changes);
	}
}

static void queue_group(struct node *n, struct link *l)
{
	static const struct changes nothing;
	const struct group *g = l->group;
	uint32_t time = g->time > l->now.latest && sim.fault != FAULT_RAW_TIMES ? g->time : l->now.latest;
	if (sim.fault == FAULT_RAW_TIMES)
		time = g->time;
	if (!l->has_manifest) {
		queue_one(n, l, time, &l->now.vector, &g->rows);
	} else if (l->manifest.kind == MANIFEST_APPLIED) {
		queue_relayed(n, l);
	} else if (l->manifest.kind == MANIFEST_SHOWN) {
		if (sim.node_count > 2)
			queue_one(n, l, time, &l->now.vector, &nothing);
	} else {
		struct changes writes = {0};
		unpack_changes(&writes, &l->manifest.writes);
		queue_one(n, l, l->is_own ? time : l->manifest.transactions[0].time,
		          l->is_own ? &l->now.vector : &l->manifest.context, &writes);
		changes_free(&writes);
	}
}

static bool send_batch(struct node *n, struct link *l, int peer);

static bool read_group(struct node *n, struct link *l, int peer)
{
	struct node *from = &sim.nodes[peer];
	struct err err;
	if (l->cut || l->now.at >= from->log_count)
		return l->batch.count > 0 && send_batch(n, l, peer);
	if (sim.fault == FAULT_OUT_OF_ORDER && l->now.at + 1 < from->log_count && chance(20) == 0)
		l->now.at++;
	l->group = &from->log[l->now.at];
	uint32_t origin = l->group->gtid.domain;
	if (l->batch.count > 0 && l->batch.items[0].gtid.domain != origin)
		return send_batch(n, l, peer);
	bool here = l->group->gtid.seq <= vector_seq(&n->vector, origin) || origin == (uint32_t)n->number + 1;
	if (!here && !claim(n, l, peer, origin))
		return false;
	l->in_group = true;
	l->is_own = origin == (uint32_t)peer + 1;
	l->has_manifest = l->group->has_manifest;
	manifest_clear(&l->manifest);
	if (l->has_manifest)
		must(manifest_decode(l->group->manifest.data, l->group->manifest.size, &l->manifest, &err), &err);
	if (!here)
		queue_group(n, l);
	return true;
}

static void end_group(struct node *n, struct link *l, int peer)
{
	struct group *g = &sim.nodes[peer].log[l->now.at];
	if (l->has_manifest && !l->is_own)
		node_origin_knows(n, &g->gtid, &l->manifest.context);
	for (size_t i = 0; !l->is_own && i < l->manifest.count; i++)
		if (l->manifest.transactions[i].time > l->now.latest)
			l->now.latest = l->manifest.transactions[i].time;
	if ((l->is_own || !l->has_manifest) && g->time > l->now.latest)
		l->now.latest = g->time;
	vector_add(&l->now.vector, &g->gtid);
	l->now.at++;
	l->in_group = false;
	sim.progress++;
	if (l->batch.count == 0) {
		release(n, l);
		node_knows(n, (uint32_t)peer + 1, &l->now.vector);
	}
}

/* ---- A batch ---- */

static bool is_in_conflict(const struct node *n, const struct incoming *t)
{
	struct history_keys keys = {0};
	struct shaped shaped;
	shaped_init(&shaped, &t->changes);
	for (size_t i = 0; i < shaped.count; i++)
		history_keys_add(&keys, &shaped.changes[i]);
	bool found = history_finds(n->history, &keys, t->gtid.domain, &t->context, NULL);
	shaped_done(&shaped);
	history_keys_free(&keys);
	return found;
}

static bool is_certified(const struct node *n, const struct link *l)
{
	for (size_t i = 0; i < l->batch.count; i++)
		if (is_in_conflict(n, &l->batch.items[i]))
			return false;
	return true;
}

static void rows_of_batch(const struct link *l, struct changes *to)
{
	for (size_t i = 0; i < l->batch.count; i++)
		changes_append(to, &l->batch.items[i].changes);
}

static void carry_out(struct node *n, const struct changes *rows)
{
	const char *why = node_try(n, &n->server, rows);
	if (why != NULL)
		fail("node %d can't commit what it sent: %s", n->number + 1, why);
}

/* Of two nodes one transaction alone goes without a manifest (applier_batch.c, is_plain): then this node's log doesn't tell what it
 * knew, and its time is that of its rows or when it was committed here. */
static void log_plainly(struct node *n, struct group *g)
{
	g->has_manifest = false;
	g->time = chance(2) ? fact_of(&g->gtid)->time : n->clock;
}

static void commit_batch(struct node *n, struct link *l, int peer)
{
	struct manifest m = {.kind = MANIFEST_APPLIED, .context = l->batch.items[0].context};
	struct group g = {.gtid = l->batch.items[l->batch.count - 1].gtid, .has_manifest = true};
	bool is_plain = has(FEATURE_PLAIN) && sim.node_count == 2 && l->batch.count == 1;
	struct cursor_at at = l->now;
	rows_of_batch(l, &g.rows);
	for (size_t i = 0; i < l->batch.count; i++) {
		const struct incoming *t = &l->batch.items[i];
		bool is_open = i + 1 == l->batch.count && t->changes.count > 0 && t->gtid.seq % 3 == 0;
		manifest_add(&m,
		             &(struct manifest_transaction){.seq = t->gtid.seq,
		                                            .time = t->time,
		                                            .server = t->gtid.server,
		                                            .row_changes = is_open ? MANIFEST_ALL_THE_REST : t->changes.count});
		g.time = fact_of(&t->gtid)->time;
		at.latest = t->time > at.latest ? t->time : at.latest;
	}
	if (is_plain)
		log_plainly(n, &g);
	else
		manifest_encode(&m, &g.manifest);
	manifest_free(&m);
	carry_out(n, &g.rows);
	node_log(n, &g);
	n->as_written[g.gtid.domain - 1] = g.gtid.seq;
	if (!is_plain || chance(4) == 0) /* else with a later one */
		save(l, &at);
	node_unlock(n, peer);
	incomings_clear(&l->batch);
	l->phase = PHASE_IDLE;
	release(n, l);
	if (!l->in_group)
		node_knows(n, (uint32_t)peer + 1, &l->now.vector);
}

/* What the link expects the server's vector to be: as far as the tail has read, and what was committed of the origin. */
static bool nothing_came_between(const struct node *n, const struct link *l)
{
	struct vector expected = n->tail.vector;
	struct gtid gtid = {.domain = l->origin, .server = l->origin, .seq = n->as_written[l->origin - 1]};
	if (gtid.seq > 0)
		vector_add(&expected, &gtid);
	return vector_equal(&expected, &n->vector) || vector_covers(&expected, &n->vector);
}

static bool send_batch(struct node *n, struct link *l, int peer)
{
	struct changes rows = {0};
	if (l->origin == 0)
		fail("node %d: a batch without a claim", n->number + 1);
	if (!is_certified(n, l)) {
		link_reset(n, peer, false);
		return true;
	}
	rows_of_batch(l, &rows);
	bool at_once = nothing_came_between(n, l);
	const char *why = node_try(n, &scratch, &rows);
	bool locked = why == NULL && node_is_locked(n, &scratch, &rows, peer);
	if (why == NULL && !locked && !at_once)
		node_lock(n, &scratch, &rows, peer);
	changes_free(&rows);
	if (why != NULL && at_once)
		fail("node %d can't apply %u-%llu of node %d: %s", n->number + 1, l->batch.items[0].gtid.domain,
		     (unsigned long long)l->batch.items[0].gtid.seq, peer + 1, why);
	if (why != NULL) { /* something that the tail is about to read */
		link_reset(n, peer, false);
		return false;
	}
	if (locked)
		return false;
	if (at_once) {
		commit_batch(n, l, peer);
		return true;
	}
	l->sent = n->vector;
	l->phase = PHASE_SENT;
	return true;
}

static bool certify_batch(struct node *n, struct link *l, int peer)
{
	if (sim.fault != FAULT_NO_CERTIFY) {
		if (!vector_covers(&n->tail.vector, &l->sent))
			return false;
		if (!is_certified(n, l)) {
			link_reset(n, peer, false);
			return true;
		}
	}
	commit_batch(n, l, peer);
	return true;
}

/* ---- Resolving ---- */

static void plan(struct node *n, const struct incoming *t, struct changes *to)
{
	struct shaped shaped;
	struct history_plan p = {0};
	struct err err;
	shaped_init(&shaped, &t->changes);
	struct merge_transaction transaction = {
	    .gtid = t->gtid, .time = t->time, .context = &t->context, .count = shaped.count, .changes = shaped.changes};
	must(history_plan(n->history, &transaction, &p, &err), &err);
	changes_clear(to);
	changes_of_steps(to, p.steps, p.step_count);
	history_plan_free(&p);
	shaped_done(&shaped);
}

static bool start_plan(struct node *n, struct link *l)
{
	if (!node_is_tailed(n))
		return false;
	l->planned = n->vector;
	plan(n, &l->queue.items[0], &l->steps);
	l->phase = PHASE_PLANNED;
	return true;
}

/* The rows that the transaction is about, changed here or not: if one of them isn't shown, somebody may be about to show it. */
static void touched(const struct link *l, struct changes *to)
{
	changes_append(to, &l->steps);
	if (sim.fault != FAULT_FEW_LOCKS)
		changes_append(to, &l->queue.items[0].changes);
}

static bool send_plan(struct node *n, struct link *l, int peer)
{
	const char *why = node_try(n, &scratch, &l->steps);
	bool moved = !vector_equal(&n->vector, &l->planned);
	if (why != NULL && !moved && sim.tells) {
		tell_changes("incoming", &l->queue.items[0].changes);
		tell_changes("planned", &l->steps);
		tell_rows(n);
	}
	if (why != NULL && !moved)
		fail("node %d can't do what it planned for %u-%llu: %s", n->number + 1, l->queue.items[0].gtid.domain,
		     (unsigned long long)l->queue.items[0].gtid.seq, why);
	if (why != NULL) {
		l->phase = PHASE_IDLE;
		return true;
	}
	struct changes rows = {0};
	touched(l, &rows);
	bool locked = node_is_locked(n, &scratch, &rows, peer);
	if (!locked)
		node_lock(n, &scratch, &rows, peer);
	changes_free(&rows);
	if (locked)
		return false;
	l->sent = n->vector;
	l->phase = PHASE_SENT_PLAN;
	return true;
}

static void commit_plan(struct node *n, struct link *l, int peer)
{
	struct incoming t = take_first(&l->queue);
	struct manifest m = {.kind = MANIFEST_RESOLVED, .context = t.context};
	struct group g = {.gtid = t.gtid, .time = fact_of(&t.gtid)->time, .has_manifest = true};
	struct cursor_at at = l->now;
	bool whole = !(l->has_manifest && l->manifest.kind == MANIFEST_APPLIED);
	manifest_add(&m, &(struct manifest_transaction){
	                     .seq = t.gtid.seq, .time = t.time, .server = t.gtid.server, .row_changes = t.changes.count});
	pack_changes(&m.writes, &t.changes);
	manifest_encode(&m, &g.manifest);
	manifest_free(&m);
	changes_append(&g.rows, &l->steps);
	carry_out(n, &l->steps);
	node_log(n, &g);
	at.latest = t.time > at.latest ? t.time : at.latest;
	if (whole) {
		vector_add(&at.vector, &t.gtid);
		at.at++;
	}
	save(l, &at);
	node_unlock(n, peer);
	l->phase = PHASE_WAIT;
	l->wait = t.gtid;
	changes_free(&t.changes);
	sim.resolved++;
}

static bool certify_plan(struct node *n, struct link *l, int peer)
{
	if (!vector_equal(&l->planned, &l->sent) && sim.fault != FAULT_NO_CERTIFY) {
		struct changes again = {0};
		if (!vector_covers(&n->tail.vector, &l->sent))
			return false;
		plan(n, &l->queue.items[0], &again);
		bool same = changes_equal(&again, &l->steps);
		changes_free(&again);
		if (!same) {
			node_unlock(n, peer);
			l->phase = PHASE_IDLE;
			return true;
		}
	}
	commit_plan(n, l, peer);
	return true;
}

/* ---- One step ---- */

static bool same_context(const struct vector *a, const struct vector *b, uint32_t origin)
{
	for (int i = 0; i < sim.node_count; i++)
		if ((uint32_t)i + 1 != origin && vector_seq(a, (uint32_t)i + 1) != vector_seq(b, (uint32_t)i + 1))
			return false;
	return true;
}

/* Every reader of a log derives the same stamp and context. */
static void check_incoming(const struct incoming *t)
{
	const struct fact *f = fact_of(&t->gtid);
	if (sim.fault == FAULT_NONE &&
	    (f == NULL || f->stamp != t->time || !same_context(&f->context, &t->context, t->gtid.domain)))
		fail("a reader derives another stamp or context for %u-%llu", t->gtid.domain, (unsigned long long)t->gtid.seq);
}

static bool take_transaction(struct node *n, struct link *l, int peer)
{
	struct incoming *t = &l->queue.items[0];
	uint32_t origin = t->gtid.domain;
	check_incoming(t);
	if (l->batch.count > 0 && !same_context(&l->batch.items[0].context, &t->context, origin))
		return send_batch(n, l, peer);
	if (!claim(n, l, peer, origin))
		return false;
	if (t->gtid.seq <= vector_seq(&n->vector, origin)) { /* meanwhile */
		struct incoming here = take_first(&l->queue);
		changes_free(&here.changes);
		return true;
	}
	if (is_in_conflict(n, t))
		return l->batch.count > 0 ? send_batch(n, l, peer) : start_plan(n, l);
	struct incoming first = take_first(&l->queue);
	incomings_add(&l->batch, &first);
	return true;
}

bool link_step(struct node *n, int peer)
{
	struct link *l = &n->links[peer];
	if (!l->is_there)
		return false;
	switch (l->phase) {
	case PHASE_SENT:
		return certify_batch(n, l, peer);
	case PHASE_PLANNED:
		return send_plan(n, l, peer);
	case PHASE_SENT_PLAN:
		return certify_plan(n, l, peer);
	case PHASE_WAIT:
		if (!vector_has(&n->tail.vector, &l->wait))
			return false;
		release(n, l);
		l->phase = PHASE_IDLE;
		return true;
	case PHASE_IDLE:
		break;
	}
	if (l->in_group && l->queue.count > 0)
		return take_transaction(n, l, peer);
	if (l->in_group) {
		end_group(n, l, peer);
		return true;
	}
	if (l->batch.count > 0 && chance(3) == 0)
		return send_batch(n, l, peer);
	if (l->batch.count == 0 && chance(8) == 0)
		l->saved = l->now; /* without a transaction */
	return read_group(n, l, peer);
}
