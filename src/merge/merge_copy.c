#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge_parts.h"

static void add_row(const struct merge *m, uint64_t key, struct component *c)
{
	struct row *row = merge_find(m, key);
	if (row != NULL)
		component_add(c, row);
}

static void add_tied(const struct merge *m, uint64_t what, struct component *c)
{
	struct value *value;
	HASH_FIND(by_what, m->values, &what, sizeof what, value);
	for (size_t i = 0; value != NULL && i < value->count; i++)
		component_add(c, value->rows[i]);
}

static void add_of_values(const struct merge *m, const struct merge_table *table, const struct content *values,
                          struct component *c)
{
	uint64_t what;
	if (values == NULL)
		return;
	add_row(m, merge_row_key(table, values), c);
	add_tied(m, merge_parent_tie(merge_row_key(table, values)), c);
	for (uint32_t i = 0; i < table->unique_count; i++)
		if (merge_unique_tie(table, values, i, &what))
			add_tied(m, what, c);
	for (uint32_t i = 0; i < table->reference_count; i++)
		if (merge_parent_key(table, values, i, &what))
			add_row(m, what, c);
}

void component_tie(const struct merge *m, const struct merge_transaction *t, struct component *c)
{
	for (size_t i = 0; i < t->count; i++) {
		add_of_values(m, t->changes[i].table, t->changes[i].before, c);
		add_of_values(m, t->changes[i].table, t->changes[i].after, c);
	}
	for (size_t i = 0; i < c->count; i++) {
		const struct row *row = c->rows[i];
		add_tied(m, merge_parent_tie(row->key), c);
		for (size_t j = 0; j < row->mention_count; j++)
			if (MENTION_IS_PARENT(row->mentions[j])) {
				struct row *parent = merge_find_mentioned(m, row->mentions[j]);
				if (parent != NULL)
					component_add(c, parent);
			} else {
				add_tied(m, row->mentions[j], c);
			}
	}
}

static struct write copy_write(const struct write *w, uint32_t column_count)
{
	struct write copy = *w;
	copy.origin->references++;
	image_keep(copy.after);
	image_keep(copy.original);
	if (w->changed != NULL) {
		copy.changed = mem_alloc(column_count);
		memcpy(copy.changed, w->changed, column_count);
	}
	if (w->deltas != NULL) {
		copy.deltas = mem_alloc(column_count * sizeof *copy.deltas);
		memcpy(copy.deltas, w->deltas, column_count * sizeof *copy.deltas);
	}
	return copy;
}

static void copy_row(struct merge *to, const struct row *row)
{
	struct row *copy = mem_alloc(sizeof *copy);
	*copy = *row;
	copy->member = 0;
	image_keep(copy->identity);
	image_keep(copy->base);
	image_keep(copy->shown);
	image_keep(copy->due);
	copy->writes = mem_alloc((row->write_count + 1) * sizeof *copy->writes);
	for (size_t i = 0; i < row->write_count; i++)
		copy->writes[i] = copy_write(&row->writes[i], row->table->column_count);
	to->write_count += row->write_count;
	copy->parent_deleters = mem_alloc((row->parent_deleter_count + 1) * sizeof *copy->parent_deleters);
	for (size_t i = 0; i < row->parent_deleter_count; i++) {
		copy->parent_deleters[i] = row->parent_deleters[i];
		copy->parent_deleters[i]->references++;
	}
	if (row->stamps != NULL) {
		copy->stamps = mem_alloc((row->table->column_count + 1) * sizeof *copy->stamps);
		memcpy(copy->stamps, row->stamps, row->table->column_count * sizeof *copy->stamps);
	}
	copy->mentions = NULL;
	copy->mention_count = 0;
	merge_insert(to, copy);
	for (size_t i = 0; i < row->mention_count; i++)
		merge_mention(to, copy, row->mentions[i]);
	if ((row->member & MEMBER_OPEN) != 0)
		component_add(&to->open, copy);
	if ((row->member & MEMBER_LOST_MINE) != 0)
		component_add(&to->lost_mine, copy);
}

struct merge *merge_what_if(struct merge *m, const struct merge_transaction *t)
{
	struct component tied = {.bit = MEMBER_TOUCHED};
	struct merge *copy = merge_new(m->me);
	copy->speaks = m->speaks;
	component_tie(m, t, &tied);
	for (size_t i = 0; i < tied.count; i++)
		copy_row(copy, tied.rows[i]);
	component_free(&tied);
	merge_enter(copy, t, false);
	return copy;
}
