#include <stdlib.h>

#include "base/mem.h"
#include "merge/history_parts.h"

/* A record that was found. */
struct found {
	uint64_t offset;
	UT_hash_handle by_offset;
	struct window_record record; /* its context and bytes are owned */
	struct record_change decoded;
};

/* A row that the changes are tied to. */
struct tied {
	uint64_t key;
	const struct merge_table *table;
	const struct content *identity; /* some version of it, for its key */
	/* Some write deletes it, it shares a unique value with another row, or a parent of it may go: then it matters to its
	 * children. */
	bool may_go;
	bool children; /* they are asked for */
	UT_hash_handle by_key;
};

struct asked {
	uint64_t key;
	UT_hash_handle by_key;
};

struct load {
	struct history *h;
	struct gtid own; /* of the transaction at hand */
	struct found *found;
	struct tied *tied;
	struct asked *asked; /* keys whose records were loaded */
	struct keys queue;   /* keys to load */
	struct window_chain chain;
	uint64_t row; /* that each_ functions are about */
};

static void ask(struct load *l, uint64_t key)
{
	struct asked *a;
	HASH_FIND(by_key, l->asked, &key, sizeof key, a);
	if (a != NULL)
		return;
	a = mem_alloc(sizeof *a);
	a->key = key;
	HASH_ADD(by_key, l->asked, key, sizeof a->key, a);
	keys_add(&l->queue, key);
}

static void ask_unique(void *context, uint64_t key)
{
	ask(context, key);
}

/* A parent matters if it was deleted: these records are under a key of their own, so that a parent that is merely written often
 * costs nothing. Where it is in dispute the engine has it. */
static void ask_parent(void *context, uint64_t parent)
{
	ask(context, key_of_delete(parent));
}

static struct tied *tie(struct load *l, const struct merge_change *change)
{
	uint64_t key = change_row_key(change);
	struct tied *t;
	HASH_FIND(by_key, l->tied, &key, sizeof key, t);
	if (t == NULL) {
		t = mem_alloc(sizeof *t);
		t->key = key;
		t->table = change->table;
		t->identity = change->before != NULL ? change->before : change->after;
		HASH_ADD(by_key, l->tied, key, sizeof t->key, t);
	}
	return t;
}

static void follow(struct load *l, const struct merge_change *change)
{
	struct tied *t = tie(l, change);
	const struct merge_table *table = change->table;
	t->may_go |= change->op == MERGE_DELETE;
	/* What the engine has it was told of as it happened, with all that is tied to it: reading the records of a row that is written all
	 * day again for each write would take longer with every one. */
	if (!merge_has_row(l->h->merge, t->key))
		ask(l, t->key);
	ask(l, key_of_emptied(table->id));
	each_unique(table, change->before, ask_unique, l);
	each_unique(table, change->after, ask_unique, l);
	each_parent(table, change->before, ask_parent, l);
	each_parent(table, change->after, ask_parent, l);
}

static bool is_own(const struct load *l, const struct gtid *gtid)
{
	return gtid->domain == l->own.domain && gtid->seq == l->own.seq;
}

static enum err_code take_record(struct load *l, uint64_t offset, struct err *err)
{
	struct found *f;
	HASH_FIND(by_offset, l->found, &offset, sizeof offset, f);
	if (f != NULL)
		return ERR_OK;
	f = mem_alloc(sizeof *f);
	f->offset = offset;
	HASH_ADD(by_offset, l->found, offset, sizeof f->offset, f);
	enum err_code code = window_read(l->h->window, offset, &f->record, err);
	if (code == ERR_OK)
		code = record_decode(l->h, f->record.bytes.data, f->record.bytes.size, &f->decoded, err);
	if (code == ERR_OK && !f->decoded.is_emptied && !is_own(l, &f->record.gtid))
		follow(l, &f->decoded.change);
	return code;
}

static enum err_code empty_queue(struct load *l, struct err *err)
{
	enum err_code code = ERR_OK;
	while (code == ERR_OK && l->queue.count > 0) {
		uint64_t key = l->queue.keys[--l->queue.count];
		code = window_load(l->h->window, key, &l->chain, err);
		for (size_t i = 0; code == ERR_OK && i < l->chain.count; i++)
			code = take_record(l, l->chain.offsets[i], err);
	}
	return code;
}

/* ---- Rows that claim one value ---- */

struct claim {
	uint64_t value, row;
	UT_hash_handle by_value;
};

struct claims {
	struct claim *claims;
	struct load *load;
	uint64_t row;
};

static void mark_row(struct load *l, uint64_t key)
{
	struct tied *t;
	HASH_FIND(by_key, l->tied, &key, sizeof key, t);
	if (t != NULL)
		t->may_go = true;
}

static void claim(void *context, uint64_t value)
{
	struct claims *c = context;
	struct claim *claim;
	HASH_FIND(by_value, c->claims, &value, sizeof value, claim);
	if (claim == NULL) {
		claim = mem_alloc(sizeof *claim);
		*claim = (struct claim){.value = value, .row = c->row};
		HASH_ADD(by_value, c->claims, value, sizeof claim->value, claim);
	} else if (claim->row != c->row) {
		mark_row(c->load, claim->row);
		mark_row(c->load, c->row);
	}
	if (merge_has_tie_of_other(c->load->h->merge, value, c->row))
		mark_row(c->load, c->row);
}

static void claim_of(struct claims *c, const struct merge_change *change)
{
	c->row = change_row_key(change);
	each_unique(change->table, change->before, claim, c);
	each_unique(change->table, change->after, claim, c);
}

static void mark_claims(struct load *l, const struct merge_transaction *t)
{
	struct claims claims = {.load = l};
	struct claim *c, *next_claim;
	for (size_t i = 0; i < t->count; i++)
		claim_of(&claims, &t->changes[i]);
	for (struct found *f = l->found; f != NULL; f = f->by_offset.next)
		if (!f->decoded.is_emptied)
			claim_of(&claims, &f->decoded.change);
	HASH_ITER(by_value, claims.claims, c, next_claim)
	{
		HASH_DELETE(by_value, claims.claims, c);
		free(c);
	}
}

/* ---- Rows that go with a parent ---- */

static bool may_go(const struct load *l, uint64_t key)
{
	struct tied *t;
	HASH_FIND(by_key, l->tied, &key, sizeof key, t);
	return (t != NULL && t->may_go) || merge_has_row(l->h->merge, key);
}

static bool goes_with_parent(const struct load *l, const struct merge_table *table, const struct content *values)
{
	uint64_t parent;
	for (uint32_t i = 0; values != NULL && i < table->reference_count; i++)
		if (table->references[i].on_delete != MERGE_SET_NULL && merge_parent_key(table, values, i, &parent) &&
		    may_go(l, parent))
			return true;
	return false;
}

static void mark_child(struct load *l, const struct merge_change *change)
{
	if (goes_with_parent(l, change->table, change->before) || goes_with_parent(l, change->table, change->after))
		mark_row(l, change_row_key(change));
}

static void mark_children(struct load *l, const struct merge_transaction *t)
{
	for (size_t i = 0; i < t->count; i++)
		mark_child(l, &t->changes[i]);
	for (struct found *f = l->found; f != NULL; f = f->by_offset.next)
		mark_child(l, &f->decoded.change);
}

/* The children of rows that may go, and of theirs; until there are no more. */
static enum err_code load_children(struct load *l, const struct merge_transaction *t, struct err *err)
{
	enum err_code code = ERR_OK;
	for (bool more = true; code == ERR_OK && more;) {
		more = false;
		mark_claims(l, t);
		mark_children(l, t);
		for (struct tied *row = l->tied; row != NULL; row = row->by_key.next)
			if (row->may_go && !row->children) {
				row->children = more = true;
				ask(l, key_of_children(row->key));
			}
		code = empty_queue(l, err);
	}
	return code;
}

/* ---- Into the engine ---- */

/* A write to be entered, of the transaction whose record this is. */
struct entry {
	const struct found *of;
	struct merge_change change;
};

static int by_offset(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->of->offset < y->of->offset ? -1 : x->of->offset > y->of->offset;
}

/* Of rows that the engine doesn't have: what it has it was told of as it happened. A table that was emptied: each of its rows was
 * deleted. */
static size_t choose(const struct load *l, struct entry *entries)
{
	size_t count = 0;
	for (const struct found *f = l->found; f != NULL; f = f->by_offset.next) {
		const struct record_change *d = &f->decoded;
		if (!d->is_emptied && !is_own(l, &f->record.gtid) && !merge_has_row(l->h->merge, change_row_key(&d->change)))
			entries[count++] = (struct entry){f, d->change};
		for (const struct tied *t = d->is_emptied ? l->tied : NULL; t != NULL; t = t->by_key.next)
			if (t->table->id == d->emptied && !merge_has_row(l->h->merge, t->key))
				entries[count++] = (struct entry){
				    f, {.op = MERGE_DELETE, .table = t->table, .before = t->identity, .is_unseen = true}};
	}
	qsort(entries, count, sizeof *entries, by_offset);
	return count;
}

static size_t entries_max(const struct load *l)
{
	size_t emptied = 0;
	for (const struct found *f = l->found; f != NULL; f = f->by_offset.next)
		emptied += f->decoded.is_emptied;
	return HASH_CNT(by_offset, l->found) + emptied * HASH_CNT(by_key, l->tied);
}

static bool same_transaction(const struct found *a, const struct found *b)
{
	return a->record.gtid.domain == b->record.gtid.domain && a->record.gtid.seq == b->record.gtid.seq;
}

static void enter(struct load *l)
{
	size_t room = entries_max(l) + 1;
	struct entry *entries = mem_alloc(room * sizeof *entries);
	struct merge_change *changes = mem_alloc(room * sizeof *changes);
	size_t count = choose(l, entries), end;
	for (size_t i = 0; i < count; i = end) {
		const struct found *of = entries[i].of;
		for (end = i; end < count && same_transaction(of, entries[end].of); end++)
			changes[end - i] = entries[end].change;
		merge_applied(l->h->merge, &(struct merge_transaction){.gtid = of->record.gtid,
		                                                       .time = of->record.time,
		                                                       .context = &of->record.context,
		                                                       .count = end - i,
		                                                       .changes = changes,
		                                                       .drops_table = of->decoded.drops});
	}
	free(entries);
	free(changes);
}

static void done(struct load *l)
{
	struct found *f, *next_found;
	struct tied *t, *next_tied;
	struct asked *a, *next_asked;
	HASH_ITER(by_offset, l->found, f, next_found)
	{
		HASH_DELETE(by_offset, l->found, f);
		window_record_free(&f->record);
		record_change_free(&f->decoded);
		free(f);
	}
	HASH_ITER(by_key, l->tied, t, next_tied)
	{
		HASH_DELETE(by_key, l->tied, t);
		free(t);
	}
	HASH_ITER(by_key, l->asked, a, next_asked)
	{
		HASH_DELETE(by_key, l->asked, a);
		free(a);
	}
	free(l->queue.keys);
	window_chain_free(&l->chain);
}

/* All that the rows which were followed are tied to. */
static enum err_code load_tied(struct load *l, const struct merge_transaction *t, struct err *err)
{
	enum err_code code = empty_queue(l, err);
	if (code == ERR_OK)
		code = load_children(l, t, err);
	if (code == ERR_OK)
		enter(l);
	return code;
}

enum err_code history_load(struct history *h, const struct merge_transaction *t, struct err *err)
{
	struct load l = {.h = h, .own = t->gtid};
	for (size_t i = 0; i < t->count; i++)
		follow(&l, &t->changes[i]);
	enum err_code code = load_tied(&l, t, err);
	done(&l);
	return code;
}

static enum err_code take_if_of_table(struct load *l, uint64_t offset, uint64_t table, struct err *err)
{
	struct window_record record = {0};
	struct record_change decoded = {0};
	enum err_code code = window_read(l->h->window, offset, &record, err);
	if (code == ERR_OK)
		code = record_decode(l->h, record.bytes.data, record.bytes.size, &decoded, err);
	bool wanted = code == ERR_OK && !decoded.is_emptied && decoded.change.table->id == table;
	window_record_free(&record);
	record_change_free(&decoded);
	return wanted ? take_record(l, offset, err) : code;
}

enum err_code history_load_lost(struct history *h, const struct history_transaction *t, uint64_t table, struct err *err)
{
	struct load l = {.h = h};
	struct window_chain own = {0};
	enum err_code code = window_scan(h->window, h->me, vector_seq(t->context, h->me), &own, err);
	for (size_t i = 0; code == ERR_OK && i < own.count; i++)
		code = take_if_of_table(&l, own.offsets[i], table, err);
	if (code == ERR_OK)
		code = load_tied(&l, &(struct merge_transaction){0}, err);
	done(&l);
	window_chain_free(&own);
	return code;
}
