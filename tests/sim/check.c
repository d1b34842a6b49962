#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim.h"

static bool knew(const struct fact *t, const struct gtid *other)
{
	if (t->gtid.domain == other->domain)
		return other->seq <= t->gtid.seq;
	return vector_seq(&t->context, other->domain) >= other->seq;
}

/* ---- Convergence ---- */

static void print_row(const struct row *row, int table, char *to, size_t size)
{
	size_t at = 0;
	if (row == NULL) {
		snprintf(to, size, "none");
		return;
	}
	for (uint32_t c = 0; c < schema.tables[table].column_count; c++) {
		at += (size_t)(row->is_null[c] ? snprintf(to + at, size - at, " -")
		                               : snprintf(to + at, size - at, " %u", row->values[c]));
	}
}

static void compare(struct node *a, struct node *b)
{
	char one[128], other[128];
	for (int t = 0; t < schema.table_count; t++)
		for (size_t i = 0; i < a->server.tables[t].count; i++) {
			const struct row *row = &a->server.tables[t].rows[i], *there = server_find(&b->server, t, row);
			if (there != NULL && row_equal(row, there, t))
				continue;
			print_row(row, t, one, sizeof one);
			print_row(there, t, other, sizeof other);
			fail("table %d: node %d has (%s ), node %d (%s )", t, a->number + 1, one, b->number + 1, other);
		}
}

static bool has_record(const struct node *n, uint32_t number)
{
	for (size_t i = 0; i < n->server.recorded.count; i++)
		if (n->server.recorded.items[i].after.values[0] == number)
			return true;
	return false;
}

static void check_equal(void)
{
	for (int i = 1; i < sim.node_count; i++) {
		compare(&sim.nodes[0], &sim.nodes[i]);
		compare(&sim.nodes[i], &sim.nodes[0]);
	}
	size_t committed = 0;
	for (size_t i = 0; i < sim.record_count; i++)
		committed += sim.records[i].is_committed;
	for (int i = 0; i < sim.node_count; i++) {
		struct node *n = &sim.nodes[i];
		for (size_t k = 0; k < sim.record_count; k++)
			if (sim.records[k].is_committed && !has_record(n, (uint32_t)k))
				fail("node %d lacks a conflict record", i + 1);
		if (n->server.recorded.count != committed)
			fail("node %d has a conflict record twice", i + 1);
	}
}

/* ---- Records ---- */

static void check_record(const struct record_fact *r)
{
	const struct fact *loser = fact_of(&r->loser), *winner = fact_of(&r->winner);
	if (loser == NULL || (winner == NULL && !r->is_claim))
		fail("a record of nothing");
	if (loser->gtid.domain != (uint32_t)r->node + 1)
		fail("node %d records what it hasn't written", r->node + 1);
	/* Of a claim: what it lost to may have been known and yet not shown, held back by a third row. */
	if (!r->is_claim && (knew(winner, &r->loser) || knew(loser, &r->winner)))
		fail("a false conflict: %s, %u-%llu and %u-%llu", merge_kind_name(r->kind), r->loser.domain,
		     (unsigned long long)r->loser.seq, r->winner.domain, (unsigned long long)r->winner.seq);
}

static bool same_loser(const struct record_fact *a, const struct record_fact *b)
{
	return a->table == b->table && a->loser.domain == b->loser.domain && a->loser.seq == b->loser.seq &&
	       row_same_key(&a->local, &b->local, a->table);
}

static void check_once(const struct record_fact *r, const struct record_fact *before)
{
	if (!before->is_committed || r->is_claim != before->is_claim || !same_loser(r, before))
		return;
	for (uint32_t c = 0; c < schema.tables[r->table].column_count; c++)
		if (r->lost[c] && before->lost[c])
			fail("recorded twice: %u-%llu, table %d, column %u (%s, before %s)", r->loser.domain,
			     (unsigned long long)r->loser.seq, r->table, c, merge_kind_name(r->kind),
			     merge_kind_name(before->kind));
}

static void check_records(void)
{
	for (size_t i = 0; i < sim.record_count; i++) {
		if (!sim.records[i].is_committed)
			continue;
		check_record(&sim.records[i]);
		for (size_t k = 0; k < i; k++)
			check_once(&sim.records[i], &sim.records[k]);
	}
}

/* ---- Nothing is lost in silence ---- */

/* Of one change that was written: a value, in a column of a row. */
struct written {
	const struct fact *by;
	size_t number; /* of the change */
	int table;
	const struct row *row;
	uint32_t column;
};

static bool same_value(const struct row *a, const struct row *b, uint32_t c)
{
	return a->is_null[c] == b->is_null[c] && (a->is_null[c] || a->values[c] == b->values[c]);
}

static bool is_in_a_record(const struct written *w)
{
	for (size_t i = 0; i < sim.record_count; i++) {
		const struct record_fact *r = &sim.records[i];
		if (r->is_committed && r->table == w->table && row_same_key(&r->local, w->row, w->table) &&
		    same_value(&r->local, w->row, w->column))
			return true;
	}
	return false;
}

static bool refers(const struct row *child, int table, const struct row *parent, int parent_table)
{
	const struct merge_table *t = &schema.tables[table];
	for (uint32_t r = 0; r < t->reference_count; r++) {
		bool same = t->references[r].parent == schema.tables[parent_table].id;
		for (uint32_t i = 0; same && i < t->references[r].columns.count; i++)
			same = !child->is_null[t->references[r].columns.columns[i]] &&
			       child->values[t->references[r].columns.columns[i]] ==
			           parent->values[schema.tables[parent_table].key.columns[i]];
		if (same)
			return true;
	}
	return false;
}

/* As far as x knew, this row has had a parent, or a parent's parent, that is this one. */
static bool had_ancestor(const struct fact *x, const struct row *row, int table, const struct row *ancestor,
                         int ancestor_table)
{
	for (int o = 0; o < sim.node_count; o++)
		for (size_t i = 0; i < sim.fact_counts[o]; i++) {
			const struct fact *f = sim.facts[o][i];
			for (size_t k = 0; k < f->changes.count && knew(x, &f->gtid); k++) {
				const struct change *c = &f->changes.items[k];
				if (c->table != table || !c->after.there || !row_same_key(&c->after, row, table))
					continue;
				if (refers(&c->after, table, ancestor, ancestor_table))
					return true;
				for (int t = ancestor_table + 1; t < table; t++) {
					const struct merge_table *s = &schema.tables[table];
					for (uint32_t r = 0; r < s->reference_count; r++) {
						struct row parent = {.there = true};
						bool whole = s->references[r].parent == schema.tables[t].id;
						for (uint32_t j = 0; whole && j < s->references[r].columns.count; j++) {
							whole = !c->after.is_null[s->references[r].columns.columns[j]];
							parent.values[schema.tables[t].key.columns[j]] =
							    c->after.values[s->references[r].columns.columns[j]];
						}
						if (whole && had_ancestor(x, &parent, t, ancestor, ancestor_table))
							return true;
					}
				}
			}
		}
	return false;
}

static bool goes(const struct change *c)
{
	return c->op == MERGE_DELETE || (c->op == MERGE_UPDATE && !row_same_key(&c->before, &c->after, c->table));
}

static bool overwrites(const struct change *c, const struct written *w)
{
	if (c->table == w->table && c->before.there && row_same_key(&c->before, w->row, w->table))
		return goes(c) || !same_value(&c->before, &c->after, w->column);
	return c->table == w->table && row_same_key(c->after.there ? &c->after : &c->before, w->row, w->table);
}

/* By somebody who knew it: the value itself, or a parent that the row has had. */
static bool is_overwritten(const struct written *w, bool by_parent)
{
	for (int o = 0; o < sim.node_count; o++)
		for (size_t i = 0; i < sim.fact_counts[o]; i++) {
			const struct fact *x = sim.facts[o][i];
			for (size_t k = x == w->by ? w->number + 1 : 0; knew(x, &w->by->gtid) && k < x->changes.count; k++) {
				const struct change *c = &x->changes.items[k];
				if (by_parent
				        ? goes(c) && c->table < w->table && had_ancestor(x, w->row, w->table, &c->before, c->table)
				        : overwrites(c, w))
					return true;
			}
		}
	return false;
}

static bool was_written(const struct change *c, uint32_t column)
{
	return c->after.there && (c->op == MERGE_INSERT || !row_same_key(&c->before, &c->after, c->table) ||
	                          !same_value(&c->before, &c->after, column));
}

/* Before the transaction the row had this value already: all in all it wrote nothing. */
static bool is_as_before(const struct fact *f, const struct row *row, int table, uint32_t column)
{
	for (size_t i = 0; i < f->changes.count; i++) {
		const struct change *c = &f->changes.items[i];
		if (c->table == table && c->before.there && row_same_key(&c->before, row, table))
			return same_value(&c->before, row, column);
		if (c->table == table && c->after.there && row_same_key(&c->after, row, table))
			return false;
	}
	return false;
}

static void check_loss(const struct fact *f, size_t number)
{
	const struct change *c = &f->changes.items[number];
	struct row *now =
	    c->table != RECORDS && c->after.there ? server_find(&sim.nodes[0].server, c->table, &c->after) : NULL;
	for (uint32_t k = 0; c->table != RECORDS && k < schema.tables[c->table].column_count; k++) {
		struct written w = {.by = f, .number = number, .table = c->table, .row = &c->after, .column = k};
		if (was_written(c, k) && !is_as_before(f, &c->after, c->table, k) &&
		    !(now != NULL && same_value(now, &c->after, k)) && !is_in_a_record(&w) && !is_overwritten(&w, false) &&
		    !is_overwritten(&w, true))
			fail("lost in silence: %u-%llu wrote %u into column %u of row %u of table %d", f->gtid.domain,
			     (unsigned long long)f->gtid.seq, c->after.values[k], k, c->after.values[0], c->table);
	}
}

static void check_losses(void)
{
	for (int o = 0; o < sim.node_count; o++)
		for (size_t i = 0; i < sim.fact_counts[o]; i++)
			for (size_t k = 0; k < sim.facts[o][i]->changes.count; k++)
				check_loss(sim.facts[o][i], k);
}

/* ---- Nothing is left ---- */

static void check_histories(void)
{
	for (int i = 0; i < sim.node_count; i++) {
		struct history_counts c = history_counts(sim.nodes[i].history);
		if (c.merge.held > 0)
			fail("node %d holds %zu rows for ever", i + 1, c.merge.held);
		if (c.merge.rows > 0 || c.keys > 0)
			fail("node %d keeps %zu rows and %zu keys for ever", i + 1, c.merge.rows, c.keys);
	}
}

void check_end(void)
{
	check_equal();
	check_histories();
	check_records();
	check_losses();
}

/* ---- For people ---- */

void tell_tables(void)
{
	for (int t = 0; t < schema.table_count; t++) {
		const struct merge_table *s = &schema.tables[t];
		printf("table %d: %u columns, key of %u", t, s->column_count, s->key.count);
		for (uint32_t r = 0; r < s->reference_count; r++)
			printf(", column %u refers to table %d on delete %d", s->references[r].columns.columns[0],
			       (int)(s->references[r].parent / 1000) - 1, s->references[r].on_delete);
		for (uint32_t u = 0; u < s->unique_count; u++)
			printf(", unique from column %u on, %u", s->uniques[u].columns[0], s->uniques[u].count);
		printf("%s\n", s->groups != NULL ? ", bound" : "");
	}
}

void tell_changes(const char *what, const struct changes *changes)
{
	char before[128], after[128];
	for (size_t i = 0; i < changes->count; i++) {
		const struct change *c = &changes->items[i];
		if (c->table == RECORDS)
			continue;
		print_row(c->before.there ? &c->before : NULL, c->table, before, sizeof before);
		print_row(c->after.there ? &c->after : NULL, c->table, after, sizeof after);
		printf("    %s table %d: %s -> %s%s\n", what, c->table, before, after, c->no_cascade ? " no cascade" : "");
	}
}

void tell_rows(const struct node *n)
{
	char text[128];
	for (int t = 0; t < schema.table_count; t++)
		for (size_t i = 0; i < n->server.tables[t].count; i++) {
			print_row(&n->server.tables[t].rows[i], t, text, sizeof text);
			printf("    node %d has in table %d: %s\n", n->number + 1, t, text);
		}
}

void tell_group(const struct node *n, const struct group *g)
{
	static const char *const kinds[] = {"applied", "resolved", "shown"};
	struct manifest m = {0};
	struct changes writes = {0};
	struct err err;
	struct buf knew = {0};
	if (g->has_manifest)
		must(manifest_decode(g->manifest.data, g->manifest.size, &m, &err), &err);
	vector_format(&fact_of(&g->gtid)->context, &knew);
	printf("step %lu, node %d: %u-%llu %s, stamp %u, knew %s\n", sim.step, n->number + 1, g->gtid.domain,
	       (unsigned long long)g->gtid.seq, g->has_manifest ? kinds[m.kind] : "", fact_of(&g->gtid)->stamp,
	       buf_str(&knew));
	unpack_changes(&writes, &m.writes);
	tell_changes("write", &writes);
	tell_changes("row", &g->rows);
	changes_free(&writes);
	buf_free(&knew);
	manifest_free(&m);
}
