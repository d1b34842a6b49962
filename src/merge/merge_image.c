#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/keyrule.h"
#include "merge/merge_parts.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* One block: the image, its values, the flags, the bytes. */
static struct image *assemble(const struct merge_table *table, const struct content *values, const bool *gone)
{
	size_t bytes = 0;
	for (uint32_t i = 0; i < table->column_count; i++)
		bytes += values[i].is_null || values[i].is_absent ? 0 : values[i].size;
	size_t fixed = sizeof(struct image) + table->column_count * sizeof *values;
	struct image *image = mem_alloc(fixed + table->reference_count * sizeof *gone + bytes);
	uint8_t *at = (uint8_t *)image + fixed;
	image->references = 1;
	if (gone != NULL) {
		image->gone = (bool *)at;
		memcpy(image->gone, gone, table->reference_count * sizeof *gone);
	}
	at += table->reference_count * sizeof *gone;
	for (uint32_t i = 0; i < table->column_count; i++) {
		image->values[i] = (struct content){.is_null = values[i].is_null, .is_absent = values[i].is_absent};
		if (values[i].is_null || values[i].is_absent || values[i].size == 0)
			continue;
		memcpy(at, values[i].bytes, values[i].size);
		image->values[i] = (struct content){.bytes = at, .size = values[i].size};
		at += values[i].size;
	}
	return image;
}

struct image *image_new(const struct merge_table *table, const struct content *values)
{
	return assemble(table, values, NULL);
}

struct image *image_compose(const struct merge_table *table, const struct image *const *sources)
{
	struct content *values = mem_alloc((table->column_count + 1) * sizeof *values);
	bool *gone = mem_alloc(table->reference_count + 1), any = false;
	for (uint32_t i = 0; i < table->column_count; i++)
		values[i] = sources[i]->values[i];
	for (uint32_t i = 0; i < table->reference_count; i++) {
		const struct image *source = sources[table->references[i].columns.columns[0]];
		gone[i] = source->gone != NULL && source->gone[i];
		any |= gone[i];
	}
	struct image *image = assemble(table, values, any ? gone : NULL);
	free(values);
	free(gone);
	return image;
}

struct image *image_replace(const struct merge_table *table, const struct image *image, uint32_t column,
                            struct content value)
{
	struct content *values = mem_alloc((table->column_count + 1) * sizeof *values);
	memcpy(values, image->values, table->column_count * sizeof *values);
	values[column] = value;
	struct image *replaced = assemble(table, values, image->gone);
	free(values);
	return replaced;
}

struct image *image_keep(struct image *image)
{
	if (image != NULL)
		image->references++;
	return image;
}

void image_release(struct image *image)
{
	if (image != NULL && --image->references == 0)
		free(image);
}

bool value_equal(const struct content *a, const struct content *b)
{
	if (a->is_absent || b->is_absent) /* whatever it is, it stays */
		return a->is_absent == b->is_absent;
	if (a->is_null || b->is_null)
		return a->is_null == b->is_null;
	return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

bool image_is_gone(const struct merge_table *table, const struct image *image)
{
	for (uint32_t i = 0; image->gone != NULL && i < table->reference_count; i++)
		if (image->gone[i])
			return true;
	return false;
}

bool image_equal(const struct merge_table *table, const struct image *a, const struct image *b)
{
	if (a == b || a == NULL || b == NULL)
		return a == b;
	for (uint32_t i = 0; i < table->column_count; i++)
		if (!value_equal(&a->values[i], &b->values[i]))
			return false;
	return true;
}

void image_lose(const struct merge_table *table, struct image **image, uint32_t reference)
{
	const struct merge_reference *r = &table->references[reference];
	struct content *values = mem_alloc((table->column_count + 1) * sizeof *values);
	bool *gone = mem_alloc(table->reference_count + 1);
	memcpy(values, (*image)->values, table->column_count * sizeof *values);
	if ((*image)->gone != NULL)
		memcpy(gone, (*image)->gone, table->reference_count * sizeof *gone);
	gone[reference] = r->on_delete != MERGE_SET_NULL;
	for (uint32_t i = 0; r->on_delete == MERGE_SET_NULL && i < r->columns.count; i++)
		values[r->columns.columns[i]] = (struct content){.is_null = true};
	struct image *lost = assemble(table, values, gone);
	image_release(*image);
	*image = lost;
	free(values);
	free(gone);
}

/* What counts of a content as the i-th part of a key: itself, or bytes in `scratch`. */
static struct content key_part(const struct merge_columns *columns, uint32_t i, const struct content *values,
                               struct buf *scratch)
{
	const struct content *v = &values[columns->columns[i]];
	if (v->is_null || v->is_absent || columns->rules == NULL)
		return *v;
	buf_clear(scratch);
	key_rule_append(&columns->rules[i], v->bytes, v->size, scratch);
	return (struct content){.bytes = scratch->data, .size = (uint32_t)scratch->size};
}

int image_key_order(const struct merge_table *table, const struct image *a, const struct image *b)
{
	struct buf of_a = {0}, of_b = {0};
	int order = 0;
	for (uint32_t i = 0; order == 0 && i < table->key.count; i++) {
		struct content v = key_part(&table->key, i, a->values, &of_a), w = key_part(&table->key, i, b->values, &of_b);
		uint32_t size = v.size < w.size ? v.size : w.size;
		order = size ? memcmp(v.bytes, w.bytes, size) : 0;
		if (order == 0)
			order = (v.size > w.size) - (v.size < w.size);
	}
	buf_free(&of_a);
	buf_free(&of_b);
	return order;
}

/* Over the content of some columns; false if one is NULL. Sizes are hashed as well, so that values can't run together. */
static bool hash_columns(const struct merge_columns *columns, const struct content *values, uint64_t seed,
                         uint64_t *ret)
{
	struct buf scratch = {0};
	uint64_t hash = seed;
	uint32_t i = 0;
	for (; i < columns->count; i++) {
		const struct content *value = &values[columns->columns[i]];
		if (value->is_null || value->is_absent)
			break;
		struct content v = key_part(columns, i, values, &scratch);
		hash = XXH64(&v.size, sizeof v.size, hash);
		hash = XXH64(v.size ? (const void *)v.bytes : "", v.size, hash);
	}
	buf_free(&scratch);
	if (i < columns->count)
		return false;
	*ret = hash;
	return true;
}

uint64_t merge_row_key(const struct merge_table *table, const struct content *values)
{
	uint64_t key = table->id;
	hash_columns(&table->key, values, table->id, &key); /* a primary key has no NULL */
	return key;
}

bool merge_unique_tie(const struct merge_table *table, const struct content *values, uint32_t index, uint64_t *ret)
{
	uint64_t hash;
	if (!hash_columns(&table->uniques[index], values, table->id + index + 1, &hash))
		return false;
	*ret = MENTION_OF_UNIQUE(hash);
	return true;
}

bool merge_parent_key(const struct merge_table *table, const struct content *values, uint32_t reference,
                      uint64_t *ret_row_key)
{
	const struct merge_reference *r = &table->references[reference];
	return hash_columns(&r->columns, values, r->parent, ret_row_key);
}

uint64_t merge_parent_tie(uint64_t parent_row_key)
{
	return MENTION_OF_PARENT(parent_row_key);
}

bool image_unique(const struct merge_table *table, const struct image *image, uint32_t index, uint64_t *ret_what)
{
	return merge_unique_tie(table, image->values, index, ret_what);
}

bool image_parent(const struct merge_table *table, const struct image *image, uint32_t reference, uint64_t *ret_key)
{
	return (image->gone == NULL || !image->gone[reference]) &&
	       merge_parent_key(table, image->values, reference, ret_key);
}

uint64_t merge_loss_id(const struct merge_record *record, uint32_t column)
{
	uint64_t what[] = {record->loser.domain, record->loser.seq, merge_row_key(record->table, record->local), column};
	return XXH64(what, sizeof what, record->table->id);
}
