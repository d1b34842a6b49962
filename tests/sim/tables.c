#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim.h"

struct schema schema;

/* ---- Lists ---- */

void changes_add(struct changes *l, const struct change *change)
{
	GROW(l->items, l->count, l->capacity);
	l->items[l->count++] = *change;
}

void changes_append(struct changes *l, const struct changes *more)
{
	for (size_t i = 0; i < more->count; i++)
		changes_add(l, &more->items[i]);
}

void changes_clear(struct changes *l)
{
	l->count = 0;
}

void changes_free(struct changes *l)
{
	free(l->items);
	*l = (struct changes){0};
}

bool changes_equal(const struct changes *a, const struct changes *b)
{
	bool equal = a->count == b->count;
	for (size_t i = 0; equal && i < a->count; i++) {
		const struct change *x = &a->items[i], *y = &b->items[i];
		equal = x->op == y->op && x->table == y->table && x->no_cascade == y->no_cascade &&
		        row_equal(&x->before, &y->before, x->table) && row_equal(&x->after, &y->after, x->table);
	}
	return equal;
}

/* ---- Rows ---- */

static bool same_columns(const struct row *a, const struct row *b, const struct merge_columns *columns)
{
	for (uint32_t i = 0; i < columns->count; i++) {
		uint32_t c = columns->columns[i];
		if (a->is_null[c] || b->is_null[c] || a->values[c] != b->values[c])
			return false;
	}
	return true;
}

bool row_same_key(const struct row *a, const struct row *b, int table)
{
	return same_columns(a, b, &schema.tables[table].key);
}

bool row_equal(const struct row *a, const struct row *b, int table)
{
	if (a->there != b->there)
		return false;
	for (uint32_t c = 0; a->there && c < schema.tables[table].column_count; c++)
		if (a->is_null[c] != b->is_null[c] || (!a->is_null[c] && a->values[c] != b->values[c]))
			return false;
	return true;
}

static const struct content *to_content(const struct row *row, int table, struct content *to)
{
	for (uint32_t c = 0; c < schema.tables[table].column_count; c++)
		to[c] = row->is_null[c] ? (struct content){.is_null = true}
		                        : (struct content){.bytes = (const uint8_t *)&row->values[c], .size = 4};
	return row->there ? to : NULL;
}

struct row row_of(const struct merge_table *table, const struct content *values)
{
	struct row row = {.there = values != NULL};
	for (uint32_t c = 0; values != NULL && c < table->column_count; c++) {
		row.is_null[c] = values[c].is_null;
		if (!values[c].is_null)
			memcpy(&row.values[c], values[c].bytes, sizeof row.values[c]);
	}
	return row;
}

void shaped_init(struct shaped *s, const struct changes *changes)
{
	s->count = 0;
	s->changes = mem_alloc((changes->count * 2 + 1) * sizeof *s->changes);
	s->contents = mem_alloc((changes->count * 2 + 1) * COLUMNS * sizeof *s->contents);
	for (size_t i = 0; i < changes->count; i++) {
		const struct change *c = &changes->items[i];
		struct content *values = s->contents + i * 2 * COLUMNS;
		struct merge_change whole = {.op = c->op,
		                             .table = &schema.tables[c->table],
		                             .before = to_content(&c->before, c->table, values),
		                             .after = to_content(&c->after, c->table, values + COLUMNS)};
		if (c->op == MERGE_UPDATE && !row_same_key(&c->before, &c->after, c->table)) {
			s->changes[s->count++] =
			    (struct merge_change){.op = MERGE_DELETE, .table = whole.table, .before = whole.before};
			whole = (struct merge_change){.op = MERGE_INSERT, .table = whole.table, .after = whole.after};
		}
		s->changes[s->count++] = whole;
	}
}

void shaped_done(struct shaped *s)
{
	free(s->changes);
	free(s->contents);
}

void changes_of_steps(struct changes *to, const struct merge_step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		changes_add(to, &(struct change){.op = steps[i].op,
		                                 .table = (int)(steps[i].table - schema.tables),
		                                 .no_cascade = steps[i].no_cascade,
		                                 .before = row_of(steps[i].table, steps[i].before),
		                                 .after = row_of(steps[i].table, steps[i].after)});
}

/* ---- The server ---- */

struct row *server_find(struct server *s, int table, const struct row *like)
{
	struct table_rows *t = &s->tables[table];
	for (size_t i = 0; i < t->count; i++)
		if (row_same_key(&t->rows[i], like, table))
			return &t->rows[i];
	return NULL;
}

static bool refers_to(const struct row *child, const struct merge_reference *r, const struct row *parent,
                      int parent_table)
{
	const struct merge_columns *key = &schema.tables[parent_table].key;
	for (uint32_t i = 0; i < r->columns.count; i++)
		if (child->is_null[r->columns.columns[i]] ||
		    child->values[r->columns.columns[i]] != parent->values[key->columns[i]])
			return false;
	return true;
}

static int parent_of(const struct merge_reference *r)
{
	for (int t = 0; t < schema.table_count; t++)
		if (schema.tables[t].id == r->parent)
			return t;
	return -1;
}

static bool has_parent(const struct server *s, const struct row *row, const struct merge_reference *r)
{
	int table = parent_of(r);
	for (uint32_t i = 0; i < r->columns.count; i++)
		if (row->is_null[r->columns.columns[i]])
			return true;
	for (size_t i = 0; i < s->tables[table].count; i++)
		if (refers_to(row, r, &s->tables[table].rows[i], table))
			return true;
	return false;
}

static bool has_parents(const struct server *s, int table, const struct row *row)
{
	const struct merge_table *t = &schema.tables[table];
	for (uint32_t r = 0; r < t->reference_count; r++)
		if (!has_parent(s, row, &t->references[r]))
			return false;
	return true;
}

static bool is_double(const struct server *s, int table, const struct row *row, const struct row *but)
{
	const struct table_rows *t = &s->tables[table];
	for (size_t i = 0; i < t->count; i++) {
		if (&t->rows[i] == but)
			continue;
		if (row_same_key(&t->rows[i], row, table))
			return true;
		for (uint32_t u = 0; u < schema.tables[table].unique_count; u++)
			if (same_columns(&t->rows[i], row, &schema.tables[table].uniques[u]))
				return true;
	}
	return false;
}

static void take_out(struct table_rows *t, struct row *row)
{
	*row = t->rows[--t->count];
}

static const char *delete_row(struct server *s, int table, struct row *row, bool cascade);

/* What a delete of this row does to its children by one of their references. */
static const char *cascade_to(struct server *s, int table, const struct row *gone, int child,
                              const struct merge_reference *r)
{
	struct table_rows *t = &s->tables[child];
	for (size_t i = 0; i < t->count;) {
		struct row *row = &t->rows[i];
		if (!refers_to(row, r, gone, table)) {
			i++;
			continue;
		}
		if (r->on_delete == MERGE_RESTRICT)
			return "children refer to it";
		if (r->on_delete == MERGE_CASCADE) {
			const char *why = delete_row(s, child, row, true);
			if (why != NULL)
				return why;
			i = 0; /* others may have gone with it */
			continue;
		}
		for (uint32_t c = 0; c < r->columns.count; c++)
			row->is_null[r->columns.columns[c]] = true;
	}
	return NULL;
}

static const char *delete_row(struct server *s, int table, struct row *row, bool cascade)
{
	struct row gone = *row;
	const char *why = NULL;
	take_out(&s->tables[table], row);
	for (int child = 0; why == NULL && cascade && child < schema.table_count; child++)
		for (uint32_t r = 0; why == NULL && r < schema.tables[child].reference_count; r++)
			if (schema.tables[child].references[r].parent == schema.tables[table].id)
				why = cascade_to(s, table, &gone, child, &schema.tables[child].references[r]);
	return why;
}

static bool has_children(const struct server *s, int table, const struct row *row)
{
	for (int child = 0; child < schema.table_count; child++)
		for (uint32_t r = 0; r < schema.tables[child].reference_count; r++)
			for (size_t i = 0;
			     schema.tables[child].references[r].parent == schema.tables[table].id && i < s->tables[child].count;
			     i++)
				if (refers_to(&s->tables[child].rows[i], &schema.tables[child].references[r], row, table))
					return true;
	return false;
}

/* What a row change finds. MariaDB goes by the primary key alone; here all of the row must be as the change says, but for a reference that
 * the transaction's delete of the parent set to NULL at its origin, where that parent is still to go here. */
static bool is_found(const struct row *row, const struct change *c)
{
	const struct merge_table *t = &schema.tables[c->table];
	struct row as_found = *row;
	for (uint32_t r = 0; r < t->reference_count; r++)
		for (uint32_t i = 0; t->references[r].on_delete == MERGE_SET_NULL && i < t->references[r].columns.count; i++) {
			uint32_t column = t->references[r].columns.columns[i];
			as_found.is_null[column] |= c->before.is_null[column];
		}
	return row_equal(&as_found, &c->before, c->table);
}

static const char *try(struct server *s, const struct change *c)
{
	if (c->table == RECORDS) {
		changes_add(&s->recorded, c);
		return NULL;
	}
	struct table_rows *t = &s->tables[c->table];
	struct row *row = c->op == MERGE_INSERT ? NULL : server_find(s, c->table, &c->before);
	if (c->op != MERGE_INSERT && row == NULL)
		return "the row isn't there";
	if (row != NULL && !is_found(row, c))
		return "the row is another";
	if (c->op == MERGE_DELETE)
		return delete_row(s, c->table, row, !c->no_cascade);
	if (is_double(s, c->table, &c->after, row))
		return "a key or unique value is there already";
	if (!c->no_cascade && !has_parents(s, c->table, &c->after))
		return "it refers to nothing";
	if (row != NULL && !row_same_key(row, &c->after, c->table) && has_children(s, c->table, row))
		return "children refer to its key";
	if (row == NULL) {
		if (t->count == ROWS_MAX)
			fail("too many rows");
		row = &t->rows[t->count++];
	}
	*row = c->after;
	return NULL;
}

const char *server_apply(struct server *s, const struct change *c)
{
	static struct server backup;
	if (c->op != MERGE_DELETE)
		return try(s, c);
	server_copy(&backup, s); /* only a delete stops half way */
	const char *why = try(s, c);
	if (why != NULL)
		server_copy(s, &backup);
	return why;
}

const char *server_check(struct server *s)
{
	for (int t = 0; t < schema.table_count; t++)
		for (size_t i = 0; i < s->tables[t].count; i++)
			if (!has_parents(s, t, &s->tables[t].rows[i]))
				return "a row refers to nothing";
	return NULL;
}

/* Deletes on `s` what refers to this row and restricts its delete, by others that go with it as well. */
static void delete_restricting(struct server *s, int table, const struct row *row, struct changes *to)
{
	for (int child = table + 1; child < schema.table_count; child++)
		for (uint32_t r = 0; r < schema.tables[child].reference_count; r++) {
			const struct merge_reference *reference = &schema.tables[child].references[r];
			if (reference->parent != schema.tables[table].id || reference->on_delete == MERGE_SET_NULL)
				continue;
			for (size_t i = 0; i < s->tables[child].count; i++) {
				struct row found = s->tables[child].rows[i];
				if (!refers_to(&found, reference, row, table))
					continue;
				delete_restricting(s, child, &found, to);
				if (reference->on_delete != MERGE_RESTRICT || server_find(s, child, &found) == NULL)
					continue;
				struct change change = {.op = MERGE_DELETE, .table = child, .before = found};
				if (server_apply(s, &change) == NULL)
					changes_add(to, &change);
				i = (size_t)-1;
			}
		}
}

void server_delete_with_children(const struct server *s, const struct change *change, struct changes *to)
{
	static struct server copy;
	server_copy(&copy, s);
	delete_restricting(&copy, change->table, &change->before, to);
	changes_add(to, change);
}

void server_copy(struct server *to, const struct server *from)
{
	for (int t = 0; t < schema.table_count; t++) {
		to->tables[t].count = from->tables[t].count;
		memcpy(to->tables[t].rows, from->tables[t].rows, from->tables[t].count * sizeof from->tables[t].rows[0]);
	}
}

static void keys_of(int table, const struct row *row, void (*call)(void *context, uint64_t key), void *context)
{
	const struct merge_table *t = &schema.tables[table];
	struct content values[COLUMNS];
	uint64_t key;
	to_content(row, table, values);
	call(context, merge_row_key(t, values));
	for (uint32_t u = 0; u < t->unique_count; u++)
		if (merge_unique_tie(t, values, u, &key))
			call(context, key);
	for (uint32_t r = 0; r < t->reference_count; r++)
		if (merge_parent_key(t, values, r, &key))
			call(context, key);
}

void server_differences(struct server *from, struct server *to, void (*call)(void *context, uint64_t key),
                        void *context)
{
	struct server *sides[] = {from, to};
	for (int side = 0; side < 2; side++)
		for (int t = 0; t < schema.table_count; t++)
			for (size_t i = 0; i < sides[side]->tables[t].count; i++) {
				const struct row *row = &sides[side]->tables[t].rows[i];
				const struct row *other = server_find(sides[1 - side], t, row);
				if (other == NULL || !row_equal(row, other, t))
					keys_of(t, row, call, context);
			}
}

void changes_keys(const struct changes *changes, void (*call)(void *context, uint64_t key), void *context)
{
	for (size_t i = 0; i < changes->count; i++) {
		const struct change *c = &changes->items[i];
		if (c->before.there && c->table != RECORDS)
			keys_of(c->table, &c->before, call, context);
		if (c->after.there && c->table != RECORDS)
			keys_of(c->table, &c->after, call, context);
	}
}

/* ---- Random tables ---- */

static uint32_t column_lists[TABLES_MAX + 1][8][COLUMNS];
static struct merge_columns unique_lists[TABLES_MAX][2];
static struct merge_reference reference_lists[TABLES_MAX][2];
static uint16_t group_lists[TABLES_MAX][COLUMNS];

static struct merge_columns columns_from(int table, int list, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		column_lists[table][list][i] = first + i;
	return (struct merge_columns){.count = count, .columns = column_lists[table][list]};
}

/* Columns: the key; the references; the unique ones; two more. */
static void make_table(int number)
{
	struct merge_table *t = &schema.tables[number];
	uint32_t keys = 1 + (chance(4) == 0 && has(FEATURE_COMPOSITE)), next = keys;
	*t = (struct merge_table){.id = 1000 + (uint64_t)number * 1000, .key = columns_from(number, 0, 0, keys)};
	uint32_t most = has(FEATURE_TWO_PARENTS) ? 2 : 1;
	memset(schema.nullable[number], 0, sizeof schema.nullable[number]);
	for (int parent = 0; has(FEATURE_REFERENCE) && parent < number && t->reference_count < most; parent++) {
		uint32_t count = schema.tables[parent].key.count;
		if (chance(3) == 0 || next + count > 5 || (schema.tables[parent].depth > 0 && !has(FEATURE_GRANDPARENTS)))
			continue;
		struct merge_reference *r = &reference_lists[number][t->reference_count];
		*r = (struct merge_reference){.columns = columns_from(number, 1 + (int)t->reference_count, next, count),
		                              .parent = schema.tables[parent].id,
		                              .on_delete = (enum merge_on_delete)chance(3)};
		if ((r->on_delete == MERGE_RESTRICT && !has(FEATURE_RESTRICT)) ||
		    (r->on_delete == MERGE_CASCADE && !has(FEATURE_CASCADE)))
			r->on_delete = MERGE_SET_NULL;
		for (uint32_t i = 0; i < count; i++)
			schema.nullable[number][next++] = r->on_delete == MERGE_SET_NULL || (chance(2) == 0 && has(FEATURE_NULL));
		t->references = reference_lists[number];
		t->reference_count++;
		if (schema.tables[parent].depth >= t->depth)
			t->depth = schema.tables[parent].depth + 1;
	}
	uint32_t uniques = has(FEATURE_UNIQUE) && (t->reference_count == 0 || has(FEATURE_UNIQUE_CHILD)) ? chance(3) : 0;
	for (uint32_t u = 0; u < uniques && next < COLUMNS - 2; u++) {
		uint32_t count = 1 + (chance(3) == 0 && next + 2 <= COLUMNS - 2 && has(FEATURE_COMPOSITE));
		unique_lists[number][u] = columns_from(number, 3 + (int)u, next, count);
		for (uint32_t i = 0; i < count; i++)
			schema.nullable[number][next++] = chance(3) == 0 && has(FEATURE_NULL);
		t->uniques = unique_lists[number];
		t->unique_count++;
	}
	t->column_count = next + 2;
	schema.nullable[number][next] = true;
	for (uint32_t c = 0; c < t->column_count; c++)
		group_lists[number][c] = (uint16_t)c;
	if (chance(3) == 0)
		group_lists[number][next + 1] = (uint16_t)next;
	t->groups = chance(2) == 0 && has(FEATURE_BOUND) ? group_lists[number] : NULL;
}

void schema_make(void)
{
	schema.table_count = 1 + (int)chance(TABLES_MAX);
	for (int t = 0; t < schema.table_count; t++)
		make_table(t);
	schema.tables[RECORDS] =
	    (struct merge_table){.id = 99000, .column_count = 2, .key = columns_from(TABLES_MAX, 0, 0, 1)};
}
