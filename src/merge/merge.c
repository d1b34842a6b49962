#include "merge/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge_parts.h"

enum {
	PRUNE_AT_MIN = 4,   /* writes of a row */
	SETTLE_AHEAD = 256, /* rows looked at behind one that can't leave yet */
};

/* ---- Transactions ---- */

static struct origin *origin_new(const struct merge_transaction *t)
{
	uint32_t count = t->context->count;
	struct origin *o = mem_alloc(sizeof *o + count * sizeof *o->context);
	o->gtid = t->gtid;
	o->drops_table = t->drops_table;
	o->stamp = (struct stamp){.time = t->time, .depth = t->gtid.seq, .origin = t->gtid.domain};
	for (uint32_t i = 0; i < count; i++)
		if (t->context->gtids[i].domain != t->gtid.domain)
			o->stamp.depth += t->context->gtids[i].seq;
	o->count = count;
	memcpy(o->context, t->context->gtids, count * sizeof *o->context);
	return o;
}

static void origin_release(struct origin *o)
{
	if (o != NULL && --o->references == 0)
		free(o);
}

bool origin_knew(const struct origin *o, const struct origin *other)
{
	if (o->gtid.domain == other->gtid.domain)
		return other->gtid.seq <= o->gtid.seq;
	for (uint32_t i = 0; i < o->count; i++)
		if (o->context[i].domain == other->gtid.domain)
			return other->gtid.seq <= o->context[i].seq;
	return false;
}

bool origin_follows(const struct origin *o, const struct origin *other)
{
	if (origin_knew(o, other) != origin_knew(other, o))
		return origin_knew(o, other);
	return stamp_compare(o->stamp, other->stamp) > 0;
}

/* ---- Writes ---- */

bool survives(const struct row *row, const struct write *write)
{
	for (size_t i = 0; i < row->write_count; i++)
		if (row->writes[i].after == NULL && !origin_knew(write->origin, row->writes[i].origin))
			return false;
	return true;
}

bool has_delete(const struct row *row)
{
	for (size_t i = 0; i < row->write_count; i++)
		if (row->writes[i].after == NULL)
			return true;
	return false;
}

bool is_insert(const struct merge_table *table, const struct write *write)
{
	for (uint32_t c = 0; c < table->column_count; c++)
		if ((write->changed[c] & COLUMN_CHANGED) == 0)
			return false;
	return true;
}

/* ---- Rows in the window ---- */

struct row *merge_find(const struct merge *m, uint64_t key)
{
	struct row *row;
	HASH_FIND(by_key, m->rows, &key, sizeof key, row);
	return row;
}

void merge_insert(struct merge *m, struct row *row)
{
	HASH_ADD(by_key, m->rows, key, sizeof row->key, row);
	DL_APPEND(m->oldest, row);
	m->row_count++;
}

/* Every value that some version of the row has in a unique index, and every parent that it refers to, leads to it. */
void merge_mention(struct merge *m, struct row *row, uint64_t what)
{
	for (size_t i = 0; i < row->mention_count; i++)
		if (row->mentions[i] == what)
			return;
	struct value *value;
	HASH_FIND(by_what, m->values, &what, sizeof what, value);
	if (value == NULL) {
		value = mem_alloc(sizeof *value);
		value->what = what;
		HASH_ADD(by_what, m->values, what, sizeof value->what, value);
	}
	value->rows = mem_resize(value->rows, (value->count + 1) * sizeof *value->rows);
	value->rows[value->count++] = row;
	row->mentions = mem_resize(row->mentions, (row->mention_count + 1) * sizeof *row->mentions);
	row->mentions[row->mention_count++] = what;
}

static void unmention(struct merge *m, struct row *row)
{
	for (size_t i = 0; i < row->mention_count; i++) {
		struct value *value;
		HASH_FIND(by_what, m->values, &row->mentions[i], sizeof row->mentions[i], value);
		size_t at = 0;
		while (value->rows[at] != row)
			at++;
		value->rows[at] = value->rows[--value->count];
		if (value->count == 0) {
			HASH_DELETE(by_what, m->values, value);
			free(value->rows);
			free(value);
		}
	}
	free(row->mentions);
}

static void mention_image(struct merge *m, struct row *row, const struct image *image)
{
	uint64_t what;
	for (uint32_t i = 0; i < row->table->unique_count; i++)
		if (image_unique(row->table, image, i, &what))
			merge_mention(m, row, what);
	for (uint32_t i = 0; i < row->table->reference_count; i++)
		if (image_parent(row->table, image, i, &what))
			merge_mention(m, row, MENTION_OF_PARENT(what));
}

static void free_write(struct merge *m, struct write *write)
{
	image_release(write->after);
	image_release(write->original);
	free(write->changed);
	free(write->deltas);
	origin_release(write->origin);
	m->write_count--;
}

/* Somebody who knew of it has deleted the row since, or replaced it. */
static bool is_deleted_again(const struct row *row, const struct write *write)
{
	for (size_t i = 0; i < row->write_count; i++) {
		const struct write *x = &row->writes[i];
		if (x != write && (x->after == NULL || (write->replaces && x->replaces)) &&
		    origin_knew(x->origin, write->origin))
			return true;
	}
	return false;
}

/* Nothing of it counts any more: each column was written, or the row deleted, by somebody who knew of it. Of two deletes the
 * one that knew of the other says it all: who doesn't know the first doesn't know the second either. To children yet to come a
 * replacement is a delete, too, whoever has written the row since. */
static bool is_obsolete(const struct row *row, const struct write *write)
{
	if ((write->after == NULL || write->replaces) && !is_deleted_again(row, write))
		return false;
	for (uint32_t c = 0; write->after != NULL && c < row->table->column_count; c++)
		if (write->changed[c] != 0 && !is_overwritten(row, write, c))
			return false;
	return true;
}

/* A row that is written again and again while a peer is away must not gather writes without end: at most one a column and node
 * counts, and one delete. */
static void prune(struct merge *m, struct row *row)
{
	if (row->write_count < row->prune_at)
		return;
	for (size_t i = 0; i < row->write_count;)
		if (is_obsolete(row, &row->writes[i]) && policy_fold(row, &row->writes[i])) {
			free_write(m, &row->writes[i]);
			memmove(&row->writes[i], &row->writes[i + 1], (--row->write_count - i) * sizeof *row->writes);
		} else {
			i++;
		}
	row->prune_at = row->write_count * 2 > PRUNE_AT_MIN ? row->write_count * 2 : PRUNE_AT_MIN;
}

static void free_row(struct merge *m, struct row *row)
{
	unmention(m, row);
	while (row->write_count > 0)
		free_write(m, &row->writes[--row->write_count]);
	free(row->writes);
	image_release(row->identity);
	image_release(row->base);
	image_release(row->shown);
	image_release(row->due);
	for (size_t i = 0; i < row->parent_deleter_count; i++)
		origin_release(row->parent_deleters[i]);
	free(row->parent_deleters);
	free(row->stamps);
	HASH_DELETE(by_key, m->rows, row);
	DL_DELETE(m->oldest, row);
	m->row_count--;
	free(row);
}

/* A delete of the parent that the transaction didn't know of. */
static bool lost_parent(const struct merge *m, uint64_t parent, const struct origin *o)
{
	const struct row *row = merge_find(m, parent);
	for (size_t i = 0; row != NULL && i < row->write_count; i++)
		if ((row->writes[i].after == NULL || row->writes[i].replaces) && !origin_knew(o, row->writes[i].origin))
			return true;
	return false;
}

/* What a reference to a parent that is no more becomes. */
static void lose_parents(const struct merge *m, const struct merge_table *table, const struct origin *o,
                         struct image **image)
{
	uint64_t parent;
	for (uint32_t i = 0; *image != NULL && i < table->reference_count; i++)
		if (image_parent(table, *image, i, &parent) && lost_parent(m, parent, o))
			image_lose(table, image, i);
}

/* The table was dropped and made again with other columns: what was written to the old one is no row of this one's, only that it
 * was deleted still counts. */
static void reshape(struct merge *m, struct row *row, const struct merge_change *change)
{
	size_t count = 0;
	for (size_t i = 0; i < row->write_count; i++)
		if (row->writes[i].after == NULL)
			row->writes[count++] = row->writes[i];
		else
			free_write(m, &row->writes[i]);
	row->write_count = count;
	image_release(row->identity);
	image_release(row->base);
	image_release(row->shown);
	image_release(row->due);
	free(row->stamps);
	row->base = row->shown = row->due = NULL;
	row->stamps = NULL;
	row->must_go = row->has_excess = false;
	row->table = change->table;
	row->identity = image_new(change->table, change->before != NULL ? change->before : change->after);
}

/* The row that a change is about; it enters the window as the origin saw it before. */
static struct row *enter(struct merge *m, const struct merge_change *change, const struct origin *o, uint64_t key)
{
	struct row *row = merge_find(m, key);
	if (row != NULL) {
		DL_DELETE(m->oldest, row);
		DL_APPEND(m->oldest, row);
		if (row->table->column_count != change->table->column_count && has_delete(row))
			reshape(m, row, change);
		return row;
	}
	row = mem_alloc(sizeof *row);
	row->key = key;
	row->table = change->table;
	row->prune_at = PRUNE_AT_MIN;
	row->identity = image_new(change->table, change->before != NULL ? change->before : change->after);
	if (change->before != NULL && !change->is_unseen) {
		row->base = image_new(change->table, change->before);
		mention_image(m, row, row->base);
		lose_parents(m, change->table, o, &row->base);
		row->shown = image_is_gone(row->table, row->base) ? NULL : image_keep(row->base);
	}
	merge_insert(m, row);
	return row;
}

/* If one of them changed, the others did with it. Returns whether that was new. */
static bool bind(uint8_t *changed, const struct merge_columns *columns)
{
	bool any = false, bound = false;
	for (uint32_t i = 0; i < columns->count; i++)
		any |= changed[columns->columns[i]] != 0;
	for (uint32_t i = 0; any && i < columns->count; i++)
		if (changed[columns->columns[i]] == 0) {
			changed[columns->columns[i]] = COLUMN_BOUND;
			bound = true;
		}
	return bound;
}

/* Besides the groups: the columns of one unique index, of one reference. Put together from two writes they could be a value that
 * somebody else has, or a parent that never was. */
static void bind_columns(const struct merge_table *t, uint8_t *changed)
{
	for (bool more = true; more;) {
		more = false;
		for (uint32_t i = 0; i < t->unique_count; i++)
			more |= bind(changed, &t->uniques[i]);
		for (uint32_t i = 0; i < t->reference_count; i++)
			more |= bind(changed, &t->references[i].columns);
		for (uint32_t i = 0; t->groups != NULL && i < t->column_count; i++)
			for (uint32_t j = 0; changed[i] != 0 && j < t->column_count; j++)
				if (t->groups[i] == t->groups[j] && changed[j] == 0) {
					changed[j] = COLUMN_BOUND;
					more = true;
				}
	}
}

static uint8_t *changed_columns(const struct merge_change *change)
{
	const struct merge_table *t = change->table;
	uint8_t *changed = mem_alloc(t->column_count);
	for (uint32_t i = 0; i < t->column_count; i++)
		changed[i] = change->before == NULL || !value_equal(&change->before[i], &change->after[i]) ? COLUMN_CHANGED : 0;
	bind_columns(t, changed);
	return changed;
}

static void lose_parent(struct write *write, const struct merge_table *table, uint32_t reference, uint64_t parent,
                        const struct origin *deleter)
{
	uint64_t to;
	if (write->after == NULL || !image_parent(table, write->after, reference, &to) || to != parent)
		return;
	if (write->original == NULL && !origin_knew(deleter, write->origin) &&
	    write->changed[table->references[reference].columns.columns[0]] != 0)
		write->original = image_keep(write->after);
	image_lose(table, &write->after, reference);
}

const struct value *merge_children_of(const struct merge *m, uint64_t parent)
{
	struct value *value;
	uint64_t what = MENTION_OF_PARENT(parent);
	HASH_FIND(by_what, m->values, &what, sizeof what, value);
	return value;
}

/* What the delete of a parent does to every version of its children that didn't know of it. */
static void cascade_writes(struct merge *m, const struct row *parent, struct origin *o)
{
	const struct value *value = merge_children_of(m, parent->key);
	uint64_t to;
	for (size_t i = 0; value != NULL && i < value->count; i++) {
		struct row *child = value->rows[i];
		const struct merge_table *table = child->table;
		child->parent_deleters =
		    mem_resize(child->parent_deleters, (child->parent_deleter_count + 1) * sizeof *child->parent_deleters);
		child->parent_deleters[child->parent_deleter_count++] = o;
		o->references++;
		for (uint32_t r = 0; r < table->reference_count; r++) {
			for (size_t w = 0; w < child->write_count; w++)
				lose_parent(&child->writes[w], table, r, parent->key, o);
			if (child->base != NULL && image_parent(table, child->base, r, &to) && to == parent->key)
				image_lose(table, &child->base, r);
		}
		component_add(&m->open, child);
		component_add(&m->told, child);
	}
}

static void set_shown(struct merge *m, struct row *row, struct image *image)
{
	image_keep(image);
	image_release(row->shown);
	row->shown = image;
	row->must_go = row->must_go && image != NULL;
	component_add(&m->open, row);
}

/* What InnoDB here did to the children when this row went. */
static void cascade_shown(struct merge *m, uint64_t parent)
{
	const struct value *value = merge_children_of(m, parent);
	uint64_t to;
	for (size_t i = 0; value != NULL && i < value->count; i++) {
		struct row *child = value->rows[i];
		struct image *image = image_keep(child->shown);
		for (uint32_t r = 0; image != NULL && r < child->table->reference_count; r++)
			if (image_parent(child->table, image, r, &to) && to == parent)
				image_lose(child->table, &image, r);
		set_shown(m, child, image != NULL && image_is_gone(child->table, image) ? NULL : image);
		image_release(image);
	}
}

static void record(struct merge *m, const struct merge_change *change, bool replaces, struct origin *o, bool is_shown)
{
	const struct merge_table *table = change->table;
	uint64_t key = merge_row_key(table, change->before != NULL ? change->before : change->after);
	struct row *row = enter(m, change, o, key);
	component_add(&m->open, row);
	row->writes = mem_resize(row->writes, (row->write_count + 1) * sizeof *row->writes);
	struct write *write = &row->writes[row->write_count++];
	*write = (struct write){.origin = o, .replaces = replaces};
	o->references++;
	m->write_count++;
	if (change->after != NULL) {
		write->after = image_new(table, change->after);
		write->changed = changed_columns(change);
		write->deltas = policy_deltas(change);
		mention_image(m, row, write->after);
	}
	bool goes = change->after == NULL || replaces;
	if (goes)
		cascade_writes(m, row, o);
	if (goes && is_shown)
		cascade_shown(m, key);
	if (change->after != NULL)
		lose_parents(m, table, o, &write->after);
	if (is_shown)
		set_shown(m, row, write->after);
	else
		row->must_go |= goes && row->shown != NULL;
	component_add(&m->told, row);
}

/* A loss is found as soon as it is there, transaction by transaction: that is a function of the log, too. Later on somebody may have
 * written on top of both the loser and the winner, and nobody could tell any more that there was a loser. */
static void find_losses(struct merge *m)
{
	for (size_t i = 0; i < m->told.count; i++) {
		struct row *row = m->told.rows[i];
		make_due(row);
		record_losses(m, row);
		prune(m, row);
	}
	component_clear(&m->told);
}

void merge_enter(struct merge *m, const struct merge_transaction *t, bool is_shown)
{
	struct origin *o = origin_new(t);
	o->references = 1;
	struct net_changes net = net_changes_of(t);
	for (size_t i = 0; i < net.count; i++)
		record(m, &net.changes[i].change, net.changes[i].replaces, o, is_shown);
	find_losses(m);
	free(net.changes);
	origin_release(o);
}

void merge_applied(struct merge *m, const struct merge_transaction *t)
{
	merge_enter(m, t, true);
}

void merge_resolved(struct merge *m, const struct merge_transaction *t, size_t step_count,
                    const struct merge_step *steps)
{
	merge_enter(m, t, false);
	merge_shown(m, step_count, steps);
}

void merge_emptied(struct merge *m, const struct merge_transaction *t, uint64_t table)
{
	struct row **rows = mem_alloc((m->row_count + 1) * sizeof *rows);
	struct origin *o = origin_new(t);
	size_t count = 0;
	o->references = 1;
	for (struct row *row = m->oldest; row != NULL; row = row->next)
		if (row->table->id == table)
			rows[count++] = row;
	for (size_t i = 0; i < count; i++) {
		struct merge_change change = {
		    .op = MERGE_DELETE, .table = rows[i]->table, .before = rows[i]->identity->values, .is_unseen = true};
		record(m, &change, false, o, true);
	}
	find_losses(m);
	origin_release(o);
	free(rows);
}

void merge_shown(struct merge *m, size_t step_count, const struct merge_step *steps)
{
	for (size_t i = 0; i < step_count; i++) {
		const struct merge_step *step = &steps[i];
		uint64_t key = merge_row_key(step->table, step->before != NULL ? step->before : step->after);
		struct row *row = merge_find(m, key);
		struct image *image = row != NULL && step->after != NULL ? image_new(step->table, step->after) : NULL;
		if (row != NULL)
			set_shown(m, row, image);
		if (step->after == NULL && !step->no_cascade)
			cascade_shown(m, key);
		image_release(image);
	}
}

struct merge_outcome merge_plan(struct merge *m)
{
	merge_show(m);
	if (m->records_told)
		records_clear(&m->records);
	m->records_told = true;
	return (struct merge_outcome){.step_count = m->steps.count,
	                              .steps = m->steps.steps,
	                              .record_count = m->records.count,
	                              .records = m->records.records};
}

bool merge_has_row(const struct merge *m, uint64_t row_key)
{
	return merge_find(m, row_key) != NULL;
}

bool merge_has_tie(const struct merge *m, uint64_t tie)
{
	struct value *value;
	HASH_FIND(by_what, m->values, &tie, sizeof tie, value);
	return value != NULL;
}

bool merge_has_tie_of_other(const struct merge *m, uint64_t tie, uint64_t row_key)
{
	struct value *value;
	HASH_FIND(by_what, m->values, &tie, sizeof tie, value);
	return value != NULL && (value->count > 1 || value->rows[0]->key != row_key);
}

bool merge_is_empty(const struct merge *m)
{
	return m->row_count == 0;
}

bool merge_is_pending(const struct merge *m)
{
	return m->open.count > 0 || m->lost_mine.count > 0;
}

bool merge_decision(struct merge *m, struct merge_step *ret_delete, bool *ret_is_shown, struct merge_record *ret_record)
{
	struct row *first = NULL;
	for (size_t i = 0; i < m->lost_mine.count; i++)
		if (first == NULL || row_order(m->lost_mine.rows[i], first) < 0)
			first = m->lost_mine.rows[i];
	/* A row that isn't shown has nothing to delete here, but its claim must go all the same: its peers show it. */
	if (first == NULL)
		return false;
	*ret_is_shown = first->shown != NULL;
	*ret_record = record_of_claim(m, first);
	*ret_delete = (struct merge_step){
	    .op = MERGE_DELETE, .table = first->table, .before = first->shown ? first->shown->values : first->due->values};
	return true;
}

/* ---- Settling ---- */

/* The parent that a mention is of: its key, or the key but for the lowest bit. */
struct row *merge_find_mentioned(const struct merge *m, uint64_t what)
{
	struct row *row = merge_find(m, what);
	return row != NULL ? row : merge_find(m, what ^ 1);
}

static bool is_everywhere(const struct row *row, const struct vector *everywhere)
{
	for (size_t i = 0; i < row->write_count; i++) {
		const struct gtid *gtid = &row->writes[i].origin->gtid;
		if (gtid->seq > vector_seq(everywhere, gtid->domain))
			return false;
	}
	return true;
}

/* The row and those that have had a unique value in common with it: all is decided and shown, and everybody knows. One of them alone
 * must not leave: its claim would have no stamp any more and be taken for the oldest. */
static bool is_settled(const struct component *group, const struct vector *everywhere)
{
	for (size_t i = 0; i < group->count; i++) {
		const struct row *row = group->rows[i];
		if (row->lost || row->has_excess || (row->member & MEMBER_OPEN) != 0 ||
		    !image_equal(row->table, row->shown, row->due) || !is_everywhere(row, everywhere))
			return false;
	}
	return true;
}

/* A child of a row that came in the window and is in dispute: where that one isn't shown, nor is this, and its key seems free. */
static bool waits_for_parent(const struct merge *m, const struct row *row, const struct vector *everywhere)
{
	bool waits = false;
	for (size_t i = 0; !waits && i < row->mention_count; i++) {
		struct component family = {.bit = MEMBER_FAMILY};
		struct row *parent = MENTION_IS_PARENT(row->mentions[i]) ? merge_find_mentioned(m, row->mentions[i]) : NULL;
		if (parent == NULL || parent == row || parent->base != NULL)
			continue;
		component_add(&family, parent);
		component_grow(m, &family);
		waits = !is_settled(&family, everywhere);
		component_free(&family);
	}
	return waits;
}

void merge_settle(struct merge *m, const struct vector *everywhere)
{
	struct component group = {.bit = MEMBER_TOUCHED}, looked = {.bit = MEMBER_ALL}, settled = {.bit = MEMBER_NEXT};
	unsigned stuck = 0;
	for (struct row *row = m->oldest; row != NULL && stuck < SETTLE_AHEAD; row = row->next) {
		if ((row->member & MEMBER_ALL) != 0)
			continue;
		if (!is_everywhere(row, everywhere)) {
			stuck++;
			continue;
		}
		component_add(&group, row);
		component_grow(m, &group);
		bool is_one = is_settled(&group, everywhere);
		for (size_t i = 0; is_one && i < group.count; i++)
			is_one = !waits_for_parent(m, group.rows[i], everywhere);
		for (size_t i = 0; i < group.count; i++) {
			component_add(&looked, group.rows[i]);
			if (is_one)
				component_add(&settled, group.rows[i]);
		}
		component_clear(&group);
	}
	component_free(&group);
	component_free(&looked);
	for (size_t i = 0; i < settled.count; i++)
		free_row(m, settled.rows[i]);
	free(settled.rows);
}

/* ---- Life ---- */

struct merge *merge_new(uint32_t me)
{
	struct merge *m = mem_alloc(sizeof *m);
	m->me = me;
	m->open.bit = MEMBER_OPEN;
	m->lost_mine.bit = MEMBER_LOST_MINE;
	m->told.bit = MEMBER_TOLD;
	return m;
}

bool merge_is_mine(const struct merge *m, uint32_t domain)
{
	return domain == m->me || (domain >= 1 && domain <= 64 && (m->speaks >> (domain - 1) & 1) != 0);
}

void merge_speak_for(struct merge *m, uint32_t domain, bool speaks)
{
	uint64_t bit = UINT64_C(1) << (domain - 1);
	m->speaks = speaks ? m->speaks | bit : m->speaks & ~bit;
	for (struct row *row = m->oldest; row != NULL; row = row->next) {
		component_add(&m->open, row);
		component_add(&m->told, row);
	}
	find_losses(m);
}

void merge_free(struct merge *m)
{
	if (m == NULL)
		return;
	steps_free(&m->steps);
	records_free(&m->records);
	component_free(&m->open);
	component_free(&m->lost_mine);
	component_free(&m->told);
	while (m->oldest != NULL)
		free_row(m, m->oldest);
	free(m);
}

bool merge_holds(const struct merge *m, const struct vector *vector)
{
	for (const struct row *row = m->oldest; row != NULL; row = row->next)
		for (size_t i = 0; i < row->write_count; i++)
			if (vector_has(vector, &row->writes[i].origin->gtid))
				return true;
	return false;
}

struct merge_counts merge_counts(const struct merge *m)
{
	struct merge_counts counts = {.rows = m->row_count, .writes = m->write_count};
	for (const struct row *row = m->oldest; row != NULL; row = row->next)
		counts.held += !image_equal(row->table, row->shown, row->due);
	return counts;
}
