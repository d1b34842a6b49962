#include <stdlib.h>

#include "base/mem.h"
#include "merge/history_parts.h"

void keys_clear(struct keys *k)
{
	k->count = 0;
}

void keys_add(struct keys *k, uint64_t key)
{
	if (k->count == k->capacity) {
		k->capacity = k->capacity ? k->capacity * 2 : 16;
		k->keys = mem_resize(k->keys, k->capacity * sizeof *k->keys);
	}
	k->keys[k->count++] = key;
}

uint64_t change_row_key(const struct merge_change *change)
{
	return merge_row_key(change->table, change->before != NULL ? change->before : change->after);
}

/* Any other 64 bits, as long as they are always the same. */
uint64_t key_of_delete(uint64_t row_key)
{
	return (row_key ^ UINT64_C(0x5bd1e995a3c59ac3)) * UINT64_C(0x9e3779b97f4a7c15);
}

/* A key of its own, too: else a row that is written often would be read along with its children, and a child's write be taken for one of
 * its parent's. */
uint64_t key_of_children(uint64_t row_key)
{
	return (row_key ^ UINT64_C(0x27d4eb2f165667c5)) * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t key_of_emptied(uint64_t table)
{
	return (table ^ UINT64_C(0xc2b2ae3d27d4eb4f)) * UINT64_C(0x9e3779b97f4a7c15);
}

void each_unique(const struct merge_table *table, const struct content *values, each_key *call, void *context)
{
	uint64_t tie;
	for (uint32_t i = 0; values != NULL && i < table->unique_count; i++)
		if (merge_unique_tie(table, values, i, &tie))
			call(context, tie);
}

void each_claim(const struct merge_change *change, each_key *call, void *context)
{
	uint64_t had, has;
	for (uint32_t i = 0; change->after != NULL && i < change->table->unique_count; i++)
		if (merge_unique_tie(change->table, change->after, i, &has) &&
		    (change->before == NULL || !merge_unique_tie(change->table, change->before, i, &had) || had != has))
			call(context, has);
}

void each_parent(const struct merge_table *table, const struct content *values, each_key *call, void *context)
{
	uint64_t parent;
	for (uint32_t i = 0; values != NULL && i < table->reference_count; i++)
		if (merge_parent_key(table, values, i, &parent))
			call(context, parent);
}

static void keep_key(void *context, uint64_t key)
{
	keys_add(context, key);
}

static void keep_parent(void *context, uint64_t parent)
{
	keys_add(context, key_of_children(parent));
}

void keys_of_change(struct keys *k, const struct merge_change *change)
{
	uint64_t row = change_row_key(change);
	keys_add(k, row);
	if (change->op == MERGE_DELETE)
		keys_add(k, key_of_delete(row));
	each_claim(change, keep_key, k);
	each_parent(change->table, change->before, keep_parent, k);
	each_parent(change->table, change->after, keep_parent, k);
}

/* ---- What is looked for ---- */

void history_keys_clear(struct history_keys *k)
{
	enum { KEPT_MAX = 65536 };
	k->count = 0;
	k->last_table = 0;
	if (k->capacity > KEPT_MAX)
		history_keys_free(k);
}

void history_keys_free(struct history_keys *k)
{
	free(k->keys);
	*k = (struct history_keys){0};
}

static void look_for(struct history_keys *k, uint64_t key, enum history_key_kind kind)
{
	if (k->count == k->capacity) {
		k->capacity = k->capacity ? k->capacity * 2 : 256;
		k->keys = mem_resize(k->keys, k->capacity * sizeof *k->keys);
	}
	k->keys[k->count++] = (struct history_key){key, kind};
}

static void look_for_unique(void *context, uint64_t key)
{
	look_for(context, key, HISTORY_UNIQUE);
}

static void look_for_parent(void *context, uint64_t key)
{
	look_for(context, key, HISTORY_PARENT);
}

void history_keys_add_table(struct history_keys *k, uint64_t table)
{
	if (k->count > 0 && k->last_table == table)
		return;
	look_for(k, table, HISTORY_TABLE);
	k->last_table = table;
}

void history_keys_add(struct history_keys *k, const struct merge_change *change)
{
	uint64_t row = change_row_key(change);
	look_for(k, row, HISTORY_ROW);
	history_keys_add_table(k, change->table->id);
	if (change->op == MERGE_DELETE)
		look_for(k, row, HISTORY_CHILDREN);
	each_claim(change, look_for_unique, k);
	each_parent(change->table, change->before, look_for_parent, k);
	each_parent(change->table, change->after, look_for_parent, k);
}

void history_keys_append(struct history_keys *k, const struct history_keys *more)
{
	for (size_t i = 0; i < more->count; i++)
		look_for(k, more->keys[i].key, more->keys[i].kind);
}
