#include "sim.h"

static struct server scratch;

/* A transaction that is being made: on a copy of the tables. */
struct writing {
	struct node *node;
	struct changes changes;
};

static bool is_changed(const struct writing *w, const struct change *c)
{
	bool is = false;
	for (size_t i = 0; i < w->changes.count; i++) {
		const struct change *d = &w->changes.items[i];
		const struct row *rows[] = {&d->before, &d->after}, *others[] = {&c->before, &c->after};
		for (int k = 0; k < 4; k++)
			is |= d->table == c->table && rows[k / 2]->there && others[k % 2]->there &&
			      row_same_key(rows[k / 2], others[k % 2], c->table);
	}
	return is;
}

static bool do_change(struct writing *w, const struct change *c)
{
	if (!has(FEATURE_AGAIN) && is_changed(w, c))
		return false;
	if (server_apply(&scratch, c) != NULL)
		return false;
	changes_add(&w->changes, c);
	return true;
}

static struct row *any_row(int table)
{
	struct table_rows *t = &scratch.tables[table];
	return t->count > 0 ? &t->rows[chance((uint32_t)t->count)] : NULL;
}

static bool is_key(const struct merge_columns *columns, uint32_t column)
{
	for (uint32_t i = 0; i < columns->count; i++)
		if (columns->columns[i] == column)
			return true;
	return false;
}

/* Natural keys meet, generated ones don't. */
static uint32_t key_value(struct node *n)
{
	if (chance(2) == 0)
		return chance(6);
	n->next_key += (uint32_t)sim.node_count;
	return n->next_key;
}

static void set_parent(struct row *row, const struct merge_reference *r, bool nullable)
{
	for (int t = 0; t < schema.table_count; t++) {
		if (schema.tables[t].id != r->parent)
			continue;
		const struct row *parent = any_row(t);
		bool none = parent == NULL || (nullable && chance(5) == 0);
		for (uint32_t i = 0; i < r->columns.count; i++) {
			row->is_null[r->columns.columns[i]] = none;
			if (!none)
				row->values[r->columns.columns[i]] = parent->values[schema.tables[t].key.columns[i]];
		}
	}
}

static void set_value(struct row *row, int table, uint32_t c)
{
	const struct merge_table *t = &schema.tables[table];
	for (uint32_t r = 0; r < t->reference_count; r++)
		if (is_key(&t->references[r].columns, c)) {
			set_parent(row, &t->references[r], schema.nullable[table][c]);
			return;
		}
	row->is_null[c] = schema.nullable[table][c] && chance(6) == 0;
	row->values[c] = sim.next_value++;
	for (uint32_t u = 0; u < t->unique_count; u++)
		if (is_key(&t->uniques[u], c))
			row->values[c] = chance(t->uniques[u].count == 1 ? 9 : 4);
}

static bool insert_row(struct writing *w, int table)
{
	const struct merge_table *t = &schema.tables[table];
	struct change c = {.op = MERGE_INSERT, .table = table, .after = {.there = true}};
	if (scratch.tables[table].count > 20)
		return false;
	for (uint32_t i = 0; i < t->column_count; i++)
		if (is_key(&t->key, i))
			c.after.values[i] = key_value(w->node);
		else
			set_value(&c.after, table, i);
	for (uint32_t i = 0; i < t->column_count; i++)
		if (c.after.is_null[i] && !schema.nullable[table][i])
			return false;
	return do_change(w, &c);
}

static bool update_row(struct writing *w, int table)
{
	const struct merge_table *t = &schema.tables[table];
	const struct row *row = any_row(table);
	if (row == NULL)
		return false;
	struct change c = {.op = MERGE_UPDATE, .table = table, .before = *row, .after = *row};
	for (uint32_t count = 1 + chance(2); count > 0; count--) {
		uint32_t column = t->key.count + chance(t->column_count - t->key.count);
		set_value(&c.after, table, column);
		if (c.after.is_null[column] && !schema.nullable[table][column])
			return false;
	}
	if (chance(12) == 0 && has(FEATURE_KEY_CHANGE))
		c.after.values[0] = key_value(w->node);
	return !row_equal(&c.before, &c.after, table) && do_change(w, &c);
}

static bool delete_row(struct writing *w, int table)
{
	const struct row *row = any_row(table);
	return row != NULL && do_change(w, &(struct change){.op = MERGE_DELETE, .table = table, .before = *row});
}

/* Two rows swap a unique value: one steps aside, to a value that nobody has. */
static bool swap_values(struct writing *w, int table)
{
	const struct merge_table *t = &schema.tables[table];
	const struct row *a = any_row(table), *b = any_row(table);
	if (t->unique_count == 0 || a == NULL || a == b)
		return false;
	uint32_t column = t->uniques[chance(t->unique_count)].columns[0];
	struct row x = *a, y = *b, aside = x, x_after = x, y_after = y;
	if (x.is_null[column] || y.is_null[column])
		return false;
	aside.values[column] = 1000000;
	x_after.values[column] = y.values[column];
	y_after.values[column] = x.values[column];
	return x.values[column] != y.values[column] &&
	       do_change(w, &(struct change){.op = MERGE_UPDATE, .table = table, .before = x, .after = aside}) &&
	       do_change(w, &(struct change){.op = MERGE_UPDATE, .table = table, .before = y, .after = y_after}) &&
	       do_change(w, &(struct change){.op = MERGE_UPDATE, .table = table, .before = aside, .after = x_after});
}

/* A transaction, if what it would do is allowed here and nobody else has locked it. */
void write_something(struct node *n)
{
	struct writing w = {.node = n};
	bool whole = true;
	server_copy(&scratch, &n->server);
	for (uint32_t count = has(FEATURE_MANY) && chance(3) == 0 ? 1 + chance(4) : 1; count > 0; count--) {
		int table = (int)chance((uint32_t)schema.table_count);
		uint32_t dice = chance(100);
		if (dice < 38)
			insert_row(&w, table);
		else if (dice < 72)
			update_row(&w, table);
		else if (dice < 80 && has(FEATURE_AGAIN))
			whole &= swap_values(&w, table);
		else
			delete_row(&w, table);
	}
	if (whole && w.changes.count > 0 && !node_is_locked(n, &scratch, &w.changes, -1)) {
		server_copy(&n->server, &scratch);
		node_commit(n, &w.changes, &w.changes, NULL);
	}
	changes_free(&w.changes);
}
