#include "merge/history.h"

#include <stdlib.h>

#include "base/mem.h"
#include "merge/history_parts.h"

enum { TOLD_KEPT = 64 * 1024 };

struct history *history_new(uint32_t me, const struct window_memory *memory)
{
	struct history *h = mem_alloc(sizeof *h);
	h->me = me;
	h->window = window_new(memory);
	h->merge = merge_new(me);
	return h;
}

static void forget_tables(struct history *h)
{
	HASH_CLEAR(by_table, h->numbers);
	for (uint32_t i = 0; i < h->table_count; i++)
		free(h->tables[i]);
	free(h->tables);
	h->tables = NULL;
	h->table_count = 0;
}

void history_free(struct history *h)
{
	if (h == NULL)
		return;
	window_free(h->window);
	merge_free(h->merge);
	forget_tables(h);
	buf_free(&h->told);
	buf_free(&h->record);
	free(h->keys.keys);
	free(h);
}

/* ---- What is asked ---- */

static bool engine_has(const struct history *h, const struct history_key *key)
{
	switch (key->kind) {
	case HISTORY_ROW:
	case HISTORY_PARENT:
		return merge_has_row(h->merge, key->key);
	case HISTORY_UNIQUE:
		return merge_has_tie(h->merge, key->key);
	case HISTORY_CHILDREN:
		return merge_has_tie(h->merge, merge_parent_tie(key->key));
	case HISTORY_TABLE:
		return false;
	}
	return false;
}

static uint64_t window_key(const struct history_key *key)
{
	switch (key->kind) {
	case HISTORY_PARENT:
		return key_of_delete(key->key);
	case HISTORY_CHILDREN:
		return key_of_children(key->key);
	case HISTORY_TABLE:
		return key_of_emptied(key->key);
	default:
		return key->key;
	}
}

/* A row that the engine has is asked for in any case, also when the transaction knew all of its writes: at its origin the row
 * may not have been shown as they left it, so what it wrote can't be taken as it stands. */
bool history_finds(const struct history *h, const struct history_keys *keys, uint32_t origin,
                   const struct vector *context, struct gtid *ret_gtid)
{
	struct gtid gtid = {0};
	bool found = false, any = !merge_is_empty(h->merge);
	for (size_t i = 0; !found && i < keys->count; i++)
		found = window_find(h->window, window_key(&keys->keys[i]), origin, context, &gtid) ||
		        (any && engine_has(h, &keys->keys[i]));
	if (found && ret_gtid != NULL)
		*ret_gtid = gtid;
	return found;
}

/* ---- What is told ---- */

enum err_code history_begin(struct history *h, const struct history_transaction *t, struct err *err)
{
	struct window_transaction w = {.gtid = t->gtid, .time = t->time, .context = t->context};
	h->now = *t;
	buf_shrink(&h->told, TOLD_KEPT);
	h->told_count = 0;
	return window_begin(h->window, &w, err);
}

/* The engine has the row, or one that is tied to it. */
static bool is_hot(const struct history *h, const struct merge_change *change)
{
	struct history_keys keys = {0};
	bool hot = false;
	history_keys_add(&keys, change);
	for (size_t i = 0; !hot && i < keys.count; i++)
		hot = engine_has(h, &keys.keys[i]);
	history_keys_free(&keys);
	return hot;
}

enum err_code history_write(struct history *h, const struct merge_change *change, struct err *err)
{
	buf_clear(&h->record);
	keys_clear(&h->keys);
	record_encode(h, change, &h->record);
	keys_of_change(&h->keys, change);
	if (!merge_is_empty(h->merge)) {
		buf_append_varint(&h->told, h->record.size);
		buf_append(&h->told, h->record.data, h->record.size);
		h->told_count++;
	}
	return window_add(h->window, h->keys.keys, h->keys.count, h->record.data, h->record.size, err);
}

static struct merge_transaction transaction_of(const struct history_transaction *t, size_t count,
                                               const struct merge_change *changes)
{
	return (struct merge_transaction){
	    .gtid = t->gtid, .time = t->time, .context = t->context, .count = count, .changes = changes};
}

/* A row of the transaction that the engine has to know of brings along those that it is tied to. */
struct warm {
	uint64_t key;
	UT_hash_handle by_key;
};

struct warming {
	struct warm *warm;
	bool asks, found; /* else it adds */
};

static void on_tie(void *context, uint64_t key)
{
	struct warming *w = context;
	struct warm *found;
	HASH_FIND(by_key, w->warm, &key, sizeof key, found);
	w->found |= found != NULL;
	if (w->asks || found != NULL)
		return;
	found = mem_alloc(sizeof *found);
	found->key = key;
	HASH_ADD(by_key, w->warm, key, sizeof found->key, found);
}

static void each_tie(const struct merge_change *change, struct warming *w)
{
	const struct content *images[] = {change->before, change->after};
	on_tie(w, change_row_key(change));
	for (int i = 0; i < 2; i++) {
		each_unique(change->table, images[i], on_tie, w);
		each_parent(change->table, images[i], on_tie, w);
	}
}

static bool is_warm(struct warming *w, const struct merge_change *change)
{
	w->asks = true;
	w->found = false;
	each_tie(change, w);
	w->asks = false;
	return w->found;
}

/* Moves the changes that the engine has to know of to the front of `to`, in their order; returns how many. All that the transaction does to
 * a row are among them, or none: a row's first change may be nobody's business and its second one meet what the engine has. */
static size_t choose_hot(const struct history *h, const struct record_change *from, struct merge_change *to)
{
	struct warming w = {0};
	struct warm *one, *next;
	bool *hot = mem_alloc(h->told_count * sizeof *hot + 1);
	size_t count = 0;
	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < h->told_count; i++) {
			if (hot[i] || !(is_warm(&w, &from[i].change) || is_hot(h, &from[i].change)))
				continue;
			hot[i] = more = true;
			each_tie(&from[i].change, &w);
		}
	}
	for (size_t i = 0; i < h->told_count; i++)
		if (hot[i])
			to[count++] = from[i].change;
	HASH_ITER(by_key, w.warm, one, next)
	{
		HASH_DELETE(by_key, w.warm, one);
		free(one);
	}
	free(hot);
	return count;
}

enum err_code history_end(struct history *h, struct err *err)
{
	struct record_change *decoded;
	struct merge_change *changes;
	enum err_code code = ERR_OK;
	if (h->told_count == 0)
		return ERR_OK;
	decoded = mem_alloc(h->told_count * sizeof *decoded);
	changes = mem_alloc(h->told_count * sizeof *changes);
	struct cursor c = cursor_of(h->told.data, h->told.size);
	for (size_t i = 0; code == ERR_OK && i < h->told_count; i++) {
		size_t size = (size_t)cursor_varint(&c);
		code = record_decode(h, cursor_bytes(&c, size), size, &decoded[i], err);
	}
	/* What is loaded may be a row that the transaction changes, too. */
	struct merge_transaction t = transaction_of(&h->now, 0, changes);
	size_t count = code == ERR_OK ? choose_hot(h, decoded, changes) : 0;
	while (code == ERR_OK && count > t.count) {
		t.count = count;
		code = history_load(h, &t, err);
		if (code == ERR_OK)
			count = choose_hot(h, decoded, changes);
	}
	if (code == ERR_OK && count > 0) {
		merge_applied(h->merge, &t);
		h->is_torn = true;
	}
	for (size_t i = 0; i < h->told_count; i++)
		record_change_free(&decoded[i]);
	free(decoded);
	free(changes);
	h->told_count = 0;
	return code;
}

/* Its rows stay in the engine until they are settled; the window need only tell that they were written. */
enum err_code history_resolved(struct history *h, const struct merge_transaction *t, size_t step_count,
                               const struct merge_step *steps, struct err *err)
{
	struct window_transaction w = {.gtid = t->gtid, .time = t->time, .context = t->context};
	enum err_code code = history_load(h, t, err);
	if (code == ERR_OK)
		code = window_begin(h->window, &w, err);
	for (size_t i = 0; code == ERR_OK && i < t->count; i++) {
		keys_clear(&h->keys);
		keys_of_change(&h->keys, &t->changes[i]);
		code = window_add(h->window, h->keys.keys, h->keys.count, NULL, 0, err);
	}
	if (code == ERR_OK)
		merge_resolved(h->merge, t, step_count, steps);
	return code;
}

/* What others wrote is loaded when it is asked for; what this node wrote is lost now, and to be recorded. */
enum err_code history_emptied(struct history *h, const struct history_transaction *t, uint64_t table, bool drops,
                              struct err *err)
{
	struct window_transaction w = {.gtid = t->gtid, .time = t->time, .context = t->context};
	struct merge_transaction m = transaction_of(t, 0, NULL);
	uint64_t key = key_of_emptied(table);
	m.drops_table = drops;
	buf_clear(&h->record);
	record_encode_emptied(table, drops, &h->record);
	enum err_code code = window_begin(h->window, &w, err);
	if (code == ERR_OK)
		code = window_add(h->window, &key, 1, h->record.data, h->record.size, err);
	if (code != ERR_OK)
		return code;
	merge_emptied(h->merge, &m, table);
	return t->gtid.domain == h->me ? ERR_OK : history_load_lost(h, t, table, err);
}

void history_shown(struct history *h, size_t step_count, const struct merge_step *steps)
{
	merge_shown(h->merge, step_count, steps);
}

void history_group_end(struct history *h)
{
	window_end(h->window);
	h->is_torn = false;
}

/* The engine forgets nothing: told of a transaction twice, it would add up twice what that added. */
enum err_code history_rewind(struct history *h, struct err *err)
{
	h->told_count = 0;
	if (h->is_torn)
		return err_set(err, ERR_GONE, "the log was cut off within a group; it is read again from further back");
	return window_rewind(h->window, err);
}

void history_clear(struct history *h)
{
	window_clear(h->window);
	merge_free(h->merge);
	h->merge = merge_new(h->me);
	for (uint32_t domain = 1; domain <= 64; domain++)
		if ((h->speaks >> (domain - 1) & 1) != 0)
			merge_speak_for(h->merge, domain, true);
	h->told_count = 0;
	h->is_torn = false;
	forget_tables(h);
}

void history_speak_for(struct history *h, uint32_t domain, bool speaks)
{
	uint64_t bit = UINT64_C(1) << (domain - 1);
	if (((h->speaks & bit) != 0) == speaks)
		return;
	h->speaks ^= bit;
	merge_speak_for(h->merge, domain, speaks);
}

/* ---- What is to be done ---- */

enum err_code history_plan(struct history *h, const struct merge_transaction *t, struct history_plan *ret,
                           struct err *err)
{
	enum err_code code = history_load(h, t, err);
	if (code != ERR_OK)
		return code;
	struct history_plan plan = {.merge = merge_what_if(h->merge, t)};
	struct merge_outcome outcome = merge_plan(plan.merge);
	plan.step_count = outcome.step_count;
	plan.steps = outcome.steps;
	*ret = plan;
	return ERR_OK;
}

void history_plan_free(struct history_plan *plan)
{
	merge_free(plan->merge);
	*plan = (struct history_plan){0};
}

struct merge_outcome history_pending(struct history *h)
{
	return merge_plan(h->merge);
}

bool history_decision(struct history *h, struct merge_step *ret_delete, bool *ret_is_shown,
                      struct merge_record *ret_record)
{
	return merge_decision(h->merge, ret_delete, ret_is_shown, ret_record);
}

bool history_is_empty(const struct history *h)
{
	return merge_is_empty(h->merge);
}

bool history_is_pending(const struct history *h)
{
	return merge_is_pending(h->merge);
}

void history_settle(struct history *h, const struct vector *everywhere)
{
	window_settle(h->window, everywhere);
	merge_settle(h->merge, everywhere);
}

bool history_needs(const struct history *h, const struct vector *vector)
{
	return merge_holds(h->merge, vector);
}

struct history_counts history_counts(const struct history *h)
{
	return (struct history_counts){.keys = window_count(h->window), .merge = merge_counts(h->merge)};
}
