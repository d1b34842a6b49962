#include "link/changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/description.h"

enum { SCRATCH_KEPT = 256 * 1024 };

void changes_reader_free(struct changes_reader *r)
{
	rows_iter_free(&r->rows);
	free(r->values);
	buf_free(&r->scratch);
	*r = (struct changes_reader){.collations = r->collations, .connection = r->connection, .passes_by = r->passes_by};
}

static enum err_code read_row(struct changes_reader *r, const struct table *table, const struct row_change *row,
                              uint32_t timestamp, struct merge_change *ret, struct err *err)
{
	struct content *before = r->values, *after = r->values + table->here->map.column_count;
	buf_shrink(&r->scratch, SCRATCH_KEPT);
	enum err_code code = mapping_contents(table->mapping, &table->map, timestamp, row, before, after, &r->scratch, err);
	if (code == ERR_OK)
		*ret = (struct merge_change){.op = !row->has_before  ? MERGE_INSERT
		                                   : !row->has_after ? MERGE_DELETE
		                                                     : MERGE_UPDATE,
		                             .table = &table->here->merge,
		                             .before = row->has_before ? before : NULL,
		                             .after = row->has_after ? after : NULL};
	return code;
}

static enum err_code learn_key(struct collations *collations, struct connection *connection,
                               const struct merge_columns *columns, const struct content *values, struct err *err)
{
	enum err_code code = ERR_OK;
	for (uint32_t i = 0; code == ERR_OK && columns->rules != NULL && values != NULL && i < columns->count; i++) {
		const struct content *v = &values[columns->columns[i]];
		if (!v->is_null && !v->is_absent)
			code = collations_learn(collations, connection, &columns->rules[i], v->bytes, v->size, err);
	}
	return code;
}

enum err_code changes_learn_row(struct collations *collations, struct connection *connection,
                                const struct merge_table *t, const struct content *values, struct err *err)
{
	enum err_code code = learn_key(collations, connection, &t->key, values, err);
	for (uint32_t i = 0; code == ERR_OK && i < t->unique_count; i++)
		code = learn_key(collations, connection, &t->uniques[i], values, err);
	for (uint32_t i = 0; code == ERR_OK && i < t->reference_count; i++)
		code = learn_key(collations, connection, &t->references[i].columns, values, err);
	return code;
}

/* Another primary key: another row. */
static enum err_code give(const struct merge_change *change, on_change *call, void *context, uint64_t number,
                          struct err *err)
{
	struct merge_change part = *change;
	if (change->op != MERGE_UPDATE ||
	    merge_row_key(change->table, change->before) == merge_row_key(change->table, change->after))
		return call(context, change, number, err);
	part.op = MERGE_DELETE;
	part.after = NULL;
	enum err_code code = call(context, &part, number, err);
	if (code != ERR_OK)
		return code;
	part = (struct merge_change){.op = MERGE_INSERT, .table = change->table, .after = change->after};
	return call(context, &part, number, err);
}

enum err_code changes_of_event(struct changes_reader *r, const struct table *table, const struct rows_event *rows,
                               uint32_t timestamp, on_change *call, void *context, struct err *err)
{
	bool given = table->mapping != NULL && table->here->has_key;
	size_t needed = given ? 2 * (size_t)table->here->map.column_count : 0;
	struct row_change row;
	bool more = true;
	enum err_code code = ERR_OK;
	if (r->capacity < needed) {
		r->values = mem_resize(r->values, needed * sizeof *r->values);
		r->capacity = needed;
	}
	rows_iter_start(&r->rows, rows, &table->map);
	for (r->seen = 0; code == ERR_OK && (code = rows_next(&r->rows, &row, &more, err)) == ERR_OK && more; r->seen++) {
		struct merge_change change;
		if (!given)
			continue;
		code = read_row(r, table, &row, timestamp, &change, err);
		if (code == ERR_UNSUPPORTED && r->passes_by) {
			code = ERR_OK;
			continue;
		}
		if (code == ERR_OK)
			code = changes_learn_row(r->collations, r->connection, change.table, change.before, err);
		if (code == ERR_OK)
			code = changes_learn_row(r->collations, r->connection, change.table, change.after, err);
		if (code == ERR_OK)
			code = give(&change, call, context, r->seen, err);
	}
	return code;
}

/* ---- Lists ---- */

/* One block a step: both images and their bytes. */
static struct content *copy_images(const struct merge_change *change)
{
	const struct content *images[] = {change->before, change->after};
	uint32_t count = change->table->column_count;
	size_t bytes = 0;
	for (int k = 0; k < 2; k++)
		for (uint32_t i = 0; images[k] != NULL && i < count; i++)
			bytes += images[k][i].size;
	struct content *block = mem_alloc(2 * (size_t)count * sizeof *block + bytes + 1);
	uint8_t *at = (uint8_t *)(block + 2 * (size_t)count);
	for (int k = 0; k < 2; k++)
		for (uint32_t i = 0; images[k] != NULL && i < count; i++) {
			struct content *to = &block[(size_t)k * count + i];
			*to = images[k][i];
			if (to->size > 0)
				memcpy(at, to->bytes, to->size);
			to->bytes = at;
			at += to->size;
		}
	return block;
}

void change_list_add(struct change_list *l, const struct merge_change *change, bool no_cascade)
{
	if (l->count == l->capacity) {
		l->capacity = l->capacity ? l->capacity * 2 : 16;
		l->steps = mem_resize(l->steps, l->capacity * sizeof *l->steps);
		l->changes = mem_resize(l->changes, l->capacity * sizeof *l->changes);
		l->blocks = mem_resize(l->blocks, l->capacity * sizeof *l->blocks);
	}
	struct content *block = copy_images(change);
	struct merge_change copy = *change;
	copy.before = change->before != NULL ? block : NULL;
	copy.after = change->after != NULL ? block + change->table->column_count : NULL;
	l->blocks[l->count] = block;
	l->changes[l->count] = copy;
	l->steps[l->count++] = (struct merge_step){
	    .op = copy.op, .table = copy.table, .before = copy.before, .after = copy.after, .no_cascade = no_cascade};
}

enum err_code change_list_keep(void *context, const struct merge_change *change, uint64_t number, struct err *err)
{
	(void)number;
	(void)err;
	change_list_add(context, change, false);
	return ERR_OK;
}

enum err_code change_list_keep_no_cascade(void *context, const struct merge_change *change, uint64_t number,
                                          struct err *err)
{
	(void)number;
	(void)err;
	change_list_add(context, change, true);
	return ERR_OK;
}

void change_list_clear(struct change_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->blocks[i]);
	l->count = 0;
}

void change_list_free(struct change_list *l)
{
	change_list_clear(l);
	free(l->steps);
	free(l->changes);
	free(l->blocks);
	*l = (struct change_list){0};
}
