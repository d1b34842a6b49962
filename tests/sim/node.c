#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim.h"

void vector_add(struct vector *v, const struct gtid *gtid)
{
	struct err err;
	must(vector_advance(v, gtid, &err), &err);
}

struct fact *fact_of(const struct gtid *gtid)
{
	int origin = (int)gtid->domain - 1;
	if (gtid->seq == 0 || origin < 0 || origin >= sim.node_count || gtid->seq > sim.fact_counts[origin])
		return NULL;
	return sim.facts[origin][gtid->seq - 1];
}

/* As a manifest carries them. */
void pack_changes(struct buf *to, const struct changes *changes)
{
	buf_append(to, changes->items, changes->count * sizeof *changes->items);
}

void unpack_changes(struct changes *to, const struct buf *from)
{
	struct change change;
	for (size_t at = 0; at + sizeof change <= from->size; at += sizeof change) {
		memcpy(&change, from->data + at, sizeof change);
		changes_add(to, &change);
	}
}

/* ---- The log ---- */

void node_log(struct node *n, struct group *g)
{
	if (sim.tells)
		tell_group(n, g);
	const char *why = server_check(&n->server);
	if (why != NULL)
		fail("node %d: %s behind group %u-%llu", n->number + 1, why, g->gtid.domain, (unsigned long long)g->gtid.seq);
	GROW(n->log, n->log_count, n->log_capacity);
	n->log[n->log_count++] = *g;
	vector_add(&n->vector, &g->gtid);
	uint32_t stamp = g->has_manifest ? fact_of(&g->gtid)->stamp : g->time;
	if (stamp > n->stamp)
		n->stamp = stamp;
	trace((uint64_t)n->number << 48 | (uint64_t)g->gtid.domain << 40 | g->gtid.seq << 8 | g->rows.count);
	sim.progress++;
}

struct fact *node_commit(struct node *n, const struct changes *rows, const struct changes *writes,
                         const struct manifest *manifest)
{
	int me = n->number;
	struct fact *f = mem_alloc(sizeof *f);
	n->clock += chance(3);
	if (chance(50) == 0)
		n->clock = chance(2) ? n->clock + chance(100000) : chance(100000);
	f->gtid = (struct gtid){.domain = (uint32_t)me + 1, .server = (uint32_t)me + 1, .seq = sim.fact_counts[me] + 1};
	f->time = n->clock;
	f->stamp = n->clock > n->stamp ? n->clock : n->stamp;
	f->context = n->vector;
	changes_append(&f->changes, writes);
	sim.facts[me] = mem_resize(sim.facts[me], f->gtid.seq * sizeof *sim.facts[me]);
	sim.facts[me][sim.fact_counts[me]++] = f;
	struct group g = {.gtid = f->gtid, .time = f->time, .has_manifest = manifest != NULL};
	if (manifest != NULL)
		manifest_encode(manifest, &g.manifest);
	changes_append(&g.rows, rows);
	node_log(n, &g);
	sim.transactions++;
	return f;
}

/* ---- Locks: what somebody has sent and not committed is his ---- */

struct locking {
	struct node *node;
	int owner;
	bool found;
};

static void find_lock(void *context, uint64_t key)
{
	struct locking *l = context;
	for (size_t i = 0; i < l->node->lock_count; i++)
		l->found |= l->node->locks[i].key == key && l->node->locks[i].owner != l->owner;
}

bool node_is_locked(struct node *n, struct server *changed, const struct changes *rows, int owner)
{
	struct locking l = {.node = n, .owner = owner};
	if (n->lock_count == 0)
		return false;
	server_differences(&n->server, changed, find_lock, &l);
	changes_keys(rows, find_lock, &l);
	return l.found;
}

static void add_lock(void *context, uint64_t key)
{
	struct locking *l = context;
	struct node *n = l->node;
	GROW(n->locks, n->lock_count, n->lock_capacity);
	n->locks[n->lock_count++] = (struct lock){key, l->owner};
}

void node_lock(struct node *n, struct server *changed, const struct changes *rows, int owner)
{
	struct locking l = {.node = n, .owner = owner};
	server_differences(&n->server, changed, add_lock, &l);
	changes_keys(rows, add_lock, &l);
}

void node_unlock(struct node *n, int owner)
{
	for (size_t i = 0; i < n->lock_count;)
		if (n->locks[i].owner == owner)
			n->locks[i] = n->locks[--n->lock_count];
		else
			i++;
}

const char *node_try(struct node *n, struct server *on, const struct changes *rows)
{
	const char *why = NULL;
	if (on != &n->server)
		server_copy(on, &n->server);
	for (size_t i = 0; why == NULL && i < rows->count; i++)
		if (on == &n->server || rows->items[i].table != RECORDS)
			why = server_apply(on, &rows->items[i]);
	return why;
}

/* ---- Who is known to have what ---- */

/* The least that the others are known to have. The origin counts as well, as in src/link/state.c: in a pair's log a transaction
 * may lack the context that would tell what else its origin had, and what is settled must hold all that was known to it. */
static uint64_t settled_seq(const struct node *n, int origin)
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < sim.node_count; i++) {
		if (i == n->number || (sim.fault == FAULT_SETTLE_EARLY && i == sim.node_count - 1))
			continue;
		uint64_t seq = vector_seq(&n->known[i], (uint32_t)origin + 1);
		least = seq < least ? seq : least;
	}
	return least == UINT64_MAX && sim.fault == FAULT_SETTLE_EARLY ? vector_seq(&n->vector, (uint32_t)origin + 1)
	                                                              : least;
}

void node_settle(struct node *n)
{
	n->settled.count = 0;
	for (int i = 0; n->tail.at >= n->again_until && i < sim.node_count; i++) {
		uint32_t domain = (uint32_t)i + 1;
		struct gtid gtid = {.domain = domain, .server = domain, .seq = settled_seq(n, i)};
		if (gtid.seq > 0)
			vector_add(&n->settled, &gtid);
	}
	history_settle(n->history, &n->settled);
}

void node_knows(struct node *n, uint32_t domain, const struct vector *vector)
{
	struct err err;
	must(vector_merge(&n->known[domain - 1], vector, &err), &err);
	node_settle(n);
}

void node_origin_knows(struct node *n, const struct gtid *gtid, const struct vector *context)
{
	struct vector knows = *context;
	vector_add(&knows, gtid);
	node_knows(n, gtid->domain, &knows);
}

/* ---- The tail ---- */

struct telling {
	struct node *node;
	const struct group *group;
	struct manifest manifest;
	uint32_t time; /* of the stamp, unless the manifest says so */
	bool is_own;
};

/* Each transaction of a group, with its rows from the group's. */
static void tell_transactions(struct telling *t)
{
	struct node *n = t->node;
	struct err err;
	struct manifest_reader reader;
	struct gtid gtid = t->group->gtid;
	uint64_t begun = 0;
	manifest_reader_start(&reader, &t->manifest);
	for (size_t i = 0; i < t->group->rows.count; i++) {
		struct changes one = {.count = 1, .items = &t->group->rows.items[i]};
		struct shaped shaped;
		struct history_transaction h = {.gtid = gtid, .time = t->time, .context = &n->tail.vector};
		if (t->group->has_manifest) {
			const struct manifest_transaction *of = manifest_reader_take(&reader);
			if (of == NULL)
				fail("a manifest doesn't fit its batch");
			h = (struct history_transaction){
			    .gtid = {gtid.domain, of->server, of->seq}, .time = of->time, .context = &t->manifest.context};
		}
		if (h.gtid.seq != begun) {
			if (begun != 0)
				must(history_end(n->history, &err), &err);
			must(history_begin(n->history, &h, &err), &err);
			begun = h.gtid.seq;
		}
		shaped_init(&shaped, &one);
		for (size_t k = 0; k < shaped.count; k++)
			must(history_write(n->history, &shaped.changes[k], &err), &err);
		shaped_done(&shaped);
	}
	if (begun != 0)
		must(history_end(n->history, &err), &err);
}

static void steps_of(const struct changes *rows, const struct shaped *shaped, struct merge_step *steps)
{
	for (size_t i = 0; i < shaped->count; i++)
		steps[i] = (struct merge_step){.op = shaped->changes[i].op,
		                               .table = shaped->changes[i].table,
		                               .before = shaped->changes[i].before,
		                               .after = shaped->changes[i].after,
		                               .no_cascade = rows->items[i].no_cascade};
}

static void tell_steps(struct telling *t)
{
	struct node *n = t->node;
	struct err err;
	struct changes writes = {0};
	struct shaped shaped, shaped_writes;
	unpack_changes(&writes, &t->manifest.writes);
	shaped_init(&shaped, &t->group->rows); /* steps never change a primary key: as many as rows */
	shaped_init(&shaped_writes, &writes);
	struct merge_step *steps = mem_alloc((shaped.count + 1) * sizeof *steps);
	steps_of(&t->group->rows, &shaped, steps);
	struct merge_transaction transaction = {.gtid = t->group->gtid,
	                                        .time = t->is_own ? t->time : t->manifest.transactions[0].time,
	                                        .context = t->is_own ? &n->tail.vector : &t->manifest.context,
	                                        .count = shaped_writes.count,
	                                        .changes = shaped_writes.changes};
	if (t->manifest.kind == MANIFEST_RESOLVED)
		must(history_resolved(n->history, &transaction, shaped.count, steps, &err), &err);
	else
		history_shown(n->history, shaped.count, steps);
	shaped_done(&shaped);
	shaped_done(&shaped_writes);
	changes_free(&writes);
	free(steps);
}

/* A position that the tail may start from once everybody has everything before it. */
static void note_checkpoint(struct node *n)
{
	if (chance(3) != 0)
		return;
	if (n->checkpoint_count == CHECKPOINTS) {
		for (size_t i = 0; i < CHECKPOINTS / 2; i++)
			n->checkpoints[i] = n->checkpoints[2 * i];
		n->checkpoint_count = CHECKPOINTS / 2;
	}
	n->checkpoints[n->checkpoint_count++] = n->tail;
}

static void advance_latest(struct telling *t)
{
	uint32_t *latest = &t->node->tail.latest;
	for (size_t i = 0; t->group->has_manifest && !t->is_own && i < t->manifest.count; i++)
		if (t->manifest.transactions[i].time > *latest)
			*latest = t->manifest.transactions[i].time;
	if (!t->group->has_manifest || t->is_own)
		*latest = t->time;
}

static bool has_writes(const struct telling *t)
{
	bool any = !t->group->has_manifest || t->manifest.kind == MANIFEST_RESOLVED;
	for (size_t i = 0; !any && i < t->manifest.count; i++)
		any = t->manifest.transactions[i].row_changes > 0;
	return any;
}

/* What was resolved must not be told again without what it didn't know of: no start between the two. */
static void drop_checkpoints(struct telling *t)
{
	struct node *n = t->node;
	size_t kept = 0;
	if (sim.fault == FAULT_LATE_CHECKPOINT || t->is_own || !t->group->has_manifest ||
	    t->manifest.kind != MANIFEST_RESOLVED)
		return;
	struct vector knew = t->manifest.context;
	vector_add(&knew, &t->group->gtid);
	for (size_t i = 0; i < n->checkpoint_count; i++)
		if (vector_covers(&knew, &n->checkpoints[i].vector))
			n->checkpoints[kept++] = n->checkpoints[i];
	n->checkpoint_count = kept;
}

bool node_tail(struct node *n)
{
	if (n->tail.at == n->log_count)
		return false;
	struct telling t = {.node = n, .group = &n->log[n->tail.at]};
	struct err err;
	const struct gtid *gtid = &t.group->gtid;
	t.is_own = gtid->domain == (uint32_t)n->number + 1;
	t.time = t.group->time > n->tail.latest && sim.fault != FAULT_RAW_TIMES ? t.group->time : n->tail.latest;
	if (sim.fault == FAULT_RAW_TIMES)
		t.time = t.group->time;
	if (t.group->has_manifest)
		must(manifest_decode(t.group->manifest.data, t.group->manifest.size, &t.manifest, &err), &err);
	/* What every node has need not be told. */
	bool wanted = gtid->seq > vector_seq(&n->settled, gtid->domain) || !history_is_empty(n->history);
	if (t.group->has_manifest && t.manifest.kind != MANIFEST_APPLIED)
		tell_steps(&t);
	else if (wanted)
		tell_transactions(&t);
	advance_latest(&t);
	vector_add(&n->tail.vector, gtid);
	n->tail.at++;
	history_group_end(n->history);
	drop_checkpoints(&t);
	note_checkpoint(n);
	n->owes = !t.is_own && (n->owes || has_writes(&t));
	if (t.group->has_manifest && !t.is_own)
		node_origin_knows(n, gtid, &t.manifest.context);
	manifest_free(&t.manifest);
	sim.progress++;
	return true;
}

bool node_is_tailed(const struct node *n)
{
	return n->tail.at == n->log_count;
}

/* ---- Life ---- */

void node_start(struct node *n)
{
	n->history = history_new((uint32_t)n->number + 1, NULL);
	n->tail = n->checkpoint;
	n->again_until = n->log_count;
	memset(n->known, 0, sizeof n->known);
	memset(n->as_written, 0, sizeof n->as_written);
	n->settled.count = 0;
	n->checkpoint_count = 0;
	n->owes = n->has_checkpoint = false;
	n->lock_count = n->loss_count = 0;
	n->duty = DUTY_CHECKPOINT;
	changes_clear(&n->work.steps);
	for (int i = 0; i < NODES_MAX; i++)
		n->claims[i] = -1;
	for (int i = 0; i < sim.node_count; i++)
		n->links[i].origin = 0;
	for (int i = 0; i < sim.node_count; i++)
		if (n->links[i].is_there)
			link_reset(n, i, false);
}

void node_stop(struct node *n)
{
	history_free(n->history);
	n->history = NULL;
	if (sim.fault == FAULT_EARLY_CHECKPOINT)
		n->checkpoint = n->tail;
	if (sim.fault == FAULT_NO_MARKS)
		n->mark_count = 0;
}

void node_free(struct node *n)
{
	node_stop(n);
	for (size_t i = 0; i < n->log_count; i++) {
		buf_free(&n->log[i].manifest);
		changes_free(&n->log[i].rows);
	}
	for (int i = 0; i < sim.node_count; i++)
		link_free(&n->links[i]);
	free(n->log);
	free(n->marks);
	free(n->locks);
	free(n->losses);
	changes_free(&n->work.steps);
	changes_free(&n->server.recorded);
}
