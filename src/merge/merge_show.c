#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge_parts.h"

/* ---- Sets of rows ---- */

void component_add(struct component *c, struct row *row)
{
	if (row->member & c->bit)
		return;
	if (c->count == c->capacity) {
		c->capacity = c->capacity ? c->capacity * 2 : 8;
		c->rows = mem_resize(c->rows, c->capacity * sizeof *c->rows);
	}
	c->rows[c->count++] = row;
	row->member |= c->bit;
}

void component_clear(struct component *c)
{
	for (size_t i = 0; i < c->count; i++)
		c->rows[i]->member &= (uint8_t)~c->bit;
	c->count = 0;
}

void component_remove(struct component *c, struct row *row)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->rows[i] == row)
			c->rows[i] = c->rows[--c->count];
	row->member &= (uint8_t)~c->bit;
}

void component_free(struct component *c)
{
	component_clear(c);
	free(c->rows);
	c->rows = NULL;
	c->capacity = 0;
}

int row_order(const struct row *a, const struct row *b)
{
	if (a->table->id != b->table->id)
		return a->table->id < b->table->id ? -1 : 1;
	return image_key_order(a->table, a->identity, b->identity);
}

static int by_order(const void *a, const void *b)
{
	return row_order(*(struct row *const *)a, *(struct row *const *)b);
}

void component_grow(const struct merge *m, struct component *c)
{
	for (size_t i = 0; i < c->count; i++)
		for (size_t j = 0; j < c->rows[i]->mention_count; j++) {
			struct value *value;
			uint64_t what = c->rows[i]->mentions[j];
			if (MENTION_IS_PARENT(what))
				continue;
			HASH_FIND(by_what, m->values, &what, sizeof what, value);
			for (size_t k = 0; k < value->count; k++)
				component_add(c, value->rows[k]);
		}
}

/* ---- Registers ---- */

void make_due(struct row *row)
{
	const struct merge_table *table = row->table;
	const struct image **sources = mem_alloc((table->column_count + 1) * sizeof *sources);
	if (row->stamps == NULL)
		row->stamps = mem_alloc((table->column_count + 1) * sizeof *row->stamps);
	bool based = row->base != NULL && !has_delete(row);
	for (uint32_t c = 0; c < table->column_count; c++) {
		const struct write *chosen = policy_choose(row, c);
		sources[c] = chosen != NULL ? chosen->after : based ? row->base : NULL;
		row->stamps[c] = chosen != NULL ? chosen->origin->stamp : (struct stamp){0};
	}
	bool whole = true;
	for (uint32_t c = 0; c < table->column_count; c++)
		whole &= sources[c] != NULL;
	struct image *due = whole ? image_compose(table, sources) : NULL;
	row->has_excess = false;
	for (uint32_t c = 0; due != NULL && c < table->column_count; c++)
		if (policy_of(table, c) == MERGE_DELTA_APPLY && !policy_add_up(row, c, &due))
			row->has_excess = true;
	row->gone_by = (struct stamp){0};
	if (due != NULL && image_is_gone(table, due)) {
		for (uint32_t r = 0; r < table->reference_count; r++)
			if (due->gone[r])
				row->gone_by = row->stamps[table->references[r].columns.columns[0]];
		image_release(due);
		due = NULL;
	}
	image_release(row->due);
	row->due = due;
	free(sources);
}

/* ---- Unique values: which claim stays ---- */

struct claim {
	uint64_t what;
	struct stamp stamp;
	struct row *row;
};

static int by_claim(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	if (x->what != y->what)
		return x->what < y->what ? -1 : 1;
	int order = stamp_compare(x->stamp, y->stamp);
	return order != 0 ? order : row_order(x->row, y->row);
}

/* The write that gave the row the value. */
static struct stamp claim_stamp(const struct row *row, const struct merge_columns *columns)
{
	struct stamp stamp = {0};
	for (uint32_t i = 0; i < columns->count; i++)
		if (stamp_compare(row->stamps[columns->columns[i]], stamp) > 0)
			stamp = row->stamps[columns->columns[i]];
	return stamp;
}

static size_t count_uniques(const struct component *c)
{
	size_t count = 0;
	for (size_t i = 0; i < c->count; i++)
		count += c->rows[i]->table->unique_count;
	return count;
}

static void find_losers(struct merge *m, const struct component *c)
{
	struct claim *claims = mem_alloc((count_uniques(c) + 1) * sizeof *claims);
	size_t count = 0;
	for (size_t i = 0; i < c->count; i++) {
		struct row *row = c->rows[i];
		row->lost = row->lost_mine = false;
		for (uint32_t u = 0; row->due != NULL && u < row->table->unique_count; u++)
			if (image_unique(row->table, row->due, u, &claims[count].what)) {
				claims[count].stamp = claim_stamp(row, &row->table->uniques[u]);
				claims[count++].row = row;
			}
	}
	qsort(claims, count, sizeof *claims, by_claim);
	for (size_t i = 1; i < count; i++)
		if (claims[i].what == claims[i - 1].what) {
			claims[i].row->lost = true;
			claims[i].row->lost_mine |= !stamp_is_none(claims[i].stamp) && merge_is_mine(m, claims[i].stamp.origin);
		}
	free(claims);
}

const struct row *first_claimant(const struct merge *m, uint32_t index, uint64_t what)
{
	const struct value *value;
	struct claim first = {0};
	uint64_t other;
	HASH_FIND(by_what, m->values, &what, sizeof what, value);
	for (size_t i = 0; value != NULL && i < value->count; i++) {
		struct row *row = value->rows[i];
		if (row->due == NULL || index >= row->table->unique_count ||
		    !image_unique(row->table, row->due, index, &other) || other != what)
			continue;
		struct claim claim = {what, claim_stamp(row, &row->table->uniques[index]), row};
		if (first.row == NULL || by_claim(&claim, &first) < 0)
			first = claim;
	}
	return first.row;
}

static void note_mine(struct merge *m, const struct component *c)
{
	struct component mine = {.bit = 0};
	for (size_t i = 0; i < m->lost_mine.count; i++) {
		struct row *row = m->lost_mine.rows[i];
		row->member &= (uint8_t)~MEMBER_LOST_MINE;
		if (row->lost_mine)
			component_add(&mine, row);
	}
	m->lost_mine.count = 0;
	for (size_t i = 0; i < mine.count; i++)
		component_add(&m->lost_mine, mine.rows[i]);
	free(mine.rows);
	for (size_t i = 0; i < c->count; i++)
		if (c->rows[i]->lost_mine)
			component_add(&m->lost_mine, c->rows[i]);
}

/* ---- What is shown: the most that can be shown together beside what stays ---- */

struct taken {
	uint64_t *whats; /* sorted once filled */
	size_t count;
};

static int by_what_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void take_uniques(struct taken *t, const struct row *row, const struct image *image)
{
	for (uint32_t u = 0; image != NULL && u < row->table->unique_count; u++)
		t->count += image_unique(row->table, image, u, &t->whats[t->count]);
}

static bool is_taken(const struct taken *t, const struct row *row)
{
	uint64_t what;
	for (uint32_t u = 0; u < row->table->unique_count; u++)
		if (image_unique(row->table, row->due, u, &what) &&
		    bsearch(&what, t->whats, t->count, sizeof what, by_what_order) != NULL)
			return true;
	return false;
}

/* Here once the plan is carried out, as far as it is made. */
static struct image *seen(const struct row *row)
{
	return row->in_plan ? row->planned : row->shown;
}

/* It refers to a row that isn't shown: held itself, or gone with a parent of its own. (Of a row that was deleted its children have lost
 * the reference.) */
static bool lacks_parent(const struct merge *m, const struct row *row)
{
	uint64_t key;
	for (uint32_t r = 0; r < row->table->reference_count; r++) {
		const struct row *parent = image_parent(row->table, row->due, r, &key) ? merge_find(m, key) : NULL;
		if (parent != NULL && parent != row && seen(parent) == NULL && !parent->in_step)
			return true;
	}
	return false;
}

static void plan_row(struct row *row, struct image *image)
{
	image_keep(image);
	image_release(row->planned);
	row->planned = image;
}

static void choose_steps(const struct merge *m, const struct component *c, struct taken *t)
{
	for (size_t i = 0; i < c->count; i++) {
		struct row *row = c->rows[i];
		if (row->due == NULL)
			plan_row(row, NULL);
		row->in_step = row->due != NULL && !row->lost && !image_equal(row->table, row->planned, row->due);
	}
	for (bool blocked = true; blocked;) {
		blocked = false;
		t->count = 0;
		for (size_t i = 0; i < c->count; i++)
			if (!c->rows[i]->in_step)
				take_uniques(t, c->rows[i], c->rows[i]->planned);
		qsort(t->whats, t->count, sizeof *t->whats, by_what_order);
		for (size_t i = 0; i < c->count; i++) {
			struct row *row = c->rows[i];
			if (row->in_step && (is_taken(t, row) || lacks_parent(m, row))) {
				row->in_step = false;
				blocked = true;
			}
		}
	}
}

static bool goes(const struct row *row)
{
	return row->in_plan && row->shown != NULL && row->planned == NULL;
}

/* It still shows a parent that goes now, since the one that it has by now isn't shown yet: a delete that the server would refuse. */
static bool restricts(const struct merge *m, const struct row *row)
{
	const struct merge_table *t = row->table;
	uint64_t key;
	for (uint32_t r = 0; r < t->reference_count; r++) {
		if (t->references[r].on_delete != MERGE_RESTRICT || !image_parent(t, row->planned, r, &key))
			continue;
		const struct row *parent = merge_find(m, key);
		if (parent != NULL && parent != row && goes(parent))
			return true;
	}
	return false;
}

static void show_component(struct merge *m, struct component *c)
{
	struct taken taken = {.whats = mem_alloc((count_uniques(c) + 1) * sizeof *taken.whats)};
	for (size_t i = 0; i < c->count; i++)
		make_due(c->rows[i]);
	find_losers(m, c);
	note_mine(m, c);
	choose_steps(m, c, &taken);
	for (size_t i = 0; i < c->count; i++)
		if (c->rows[i]->in_step) {
			c->rows[i]->in_step = false;
			plan_row(c->rows[i], c->rows[i]->due);
		}
	/* A loser is shown while nothing stands in its way. */
	qsort(c->rows, c->count, sizeof *c->rows, by_order);
	for (size_t i = 0; i < c->count; i++) {
		struct row *row = c->rows[i];
		if (!row->lost || row->planned != NULL)
			continue;
		taken.count = 0;
		for (size_t j = 0; j < c->count; j++)
			take_uniques(&taken, c->rows[j], c->rows[j]->planned);
		qsort(taken.whats, taken.count, sizeof *taken.whats, by_what_order);
		if (!is_taken(&taken, row) && !lacks_parent(m, row))
			plan_row(row, row->due);
	}
	for (size_t i = 0; i < c->count; i++)
		if (c->rows[i]->planned != NULL && restricts(m, c->rows[i]))
			plan_row(c->rows[i], NULL);
	free(taken.whats);
}

/* ---- Steps ---- */

void steps_clear(struct steps *s)
{
	for (size_t i = 0; i < s->image_count; i++)
		image_release(s->images[i]);
	s->count = s->image_count = 0;
}

void steps_free(struct steps *s)
{
	steps_clear(s);
	free(s->steps);
	free(s->images);
	*s = (struct steps){0};
}

const struct content *steps_borrow(struct steps *s, struct image *image)
{
	if (image == NULL)
		return NULL;
	if (s->image_count == s->image_capacity) {
		s->image_capacity = s->image_capacity ? s->image_capacity * 2 : 16;
		s->images = mem_resize(s->images, s->image_capacity * sizeof *s->images);
	}
	s->images[s->image_count++] = image_keep(image);
	return image->values;
}

static void add_step(struct steps *s, const struct row *row, struct image *before, struct image *after, bool no_cascade)
{
	if (s->count == s->capacity) {
		s->capacity = s->capacity ? s->capacity * 2 : 16;
		s->steps = mem_resize(s->steps, s->capacity * sizeof *s->steps);
	}
	s->steps[s->count++] = (struct merge_step){.op = before == NULL  ? MERGE_INSERT
	                                                 : after == NULL ? MERGE_DELETE
	                                                                 : MERGE_UPDATE,
	                                           .table = row->table,
	                                           .before = steps_borrow(s, before),
	                                           .after = steps_borrow(s, after),
	                                           .no_cascade = no_cascade};
}

/* A row that changes from `was` to `to`. */
struct move {
	struct row *row;
	struct image *was, *to;
	bool no_cascade, done;
};

/* It gives up this parent and stays. */
static bool leaves_parent(const struct move *move, uint64_t parent)
{
	const struct merge_table *t = move->row->table;
	uint64_t key;
	bool had = false, has = false;
	for (uint32_t r = 0; move->was != NULL && move->to != NULL && r < t->reference_count; r++) {
		had |= image_parent(t, move->was, r, &key) && key == parent;
		has |= image_parent(t, move->to, r, &key) && key == parent;
	}
	return had && !has;
}

/* Deletes first, children ahead of parents; then parents ahead of children. */
static int by_turn(const void *a, const void *b)
{
	const struct move *x = a, *y = b;
	bool x_goes = x->to == NULL, y_goes = y->to == NULL;
	if (x_goes != y_goes)
		return x_goes ? -1 : 1;
	if (x->row->table->depth != y->row->table->depth)
		return (x->row->table->depth < y->row->table->depth) == x_goes ? 1 : -1;
	return row_order(x->row, y->row);
}

/* A child of this row, which goes, has yet to take its leave. */
static bool must_wait_to_go(const struct move *moves, size_t count, const struct move *move)
{
	for (size_t i = 0; i < count; i++)
		if (&moves[i] != move && !moves[i].done && leaves_parent(&moves[i], move->row->key))
			return true;
	return false;
}

/* One of the others still shows a unique value that it is to show, or is the parent that it is to have; or the row itself has yet to
 * go. */
static bool must_wait_to_show(const struct move *moves, size_t count, const struct move *move)
{
	uint64_t what, other;
	const struct merge_table *t = move->row->table;
	for (size_t i = 0; i < count; i++)
		if (&moves[i] != move && moves[i].row == move->row && moves[i].was != NULL)
			return true;
	for (uint32_t u = 0; u < t->unique_count; u++)
		for (size_t i = 0; image_unique(t, move->to, u, &what) && i < count; i++)
			if (&moves[i] != move && moves[i].row->table == t && moves[i].was != NULL &&
			    image_unique(t, moves[i].was, u, &other) && other == what)
				return true;
	for (uint32_t r = 0; r < t->reference_count; r++)
		for (size_t i = 0; image_parent(t, move->to, r, &what) && i < count; i++)
			if (&moves[i] != move && moves[i].row->key == what && moves[i].was == NULL && !moves[i].done)
				return true;
	return false;
}

static bool must_wait(const struct move *moves, size_t count, const struct move *move)
{
	return move->to == NULL ? must_wait_to_go(moves, count, move) : must_wait_to_show(moves, count, move);
}

/* Who goes waits for such alone as stay. Where all that stay are out of the way already, two new rows refer to each other: the first
 * comes without its parent. */
static void step_aside(struct steps *s, struct move *moves, size_t count)
{
	size_t i = 0, first = 0;
	while (i < count && (moves[i].done || moves[i].was == NULL || moves[i].to == NULL))
		i++;
	while (moves[first].done)
		first++;
	struct move *move = i < count ? &moves[i] : &moves[first];
	add_step(s, move->row, move->was, i < count ? NULL : move->to, true);
	move->was = NULL;
	move->no_cascade = true;
	move->done = i == count;
}

/* The server checks unique values change by change: a row moves once nothing is in its way, and where they all wait for each
 * other (a swap), one of them steps aside first. */
static void order_moves(struct steps *s, struct move *moves, size_t count)
{
	for (bool left = true; left;) {
		bool moved = false;
		left = false;
		for (size_t i = 0; i < count; i++) {
			struct move *move = &moves[i];
			if (move->done)
				continue;
			if (must_wait(moves, count, move)) {
				left = true;
				continue;
			}
			add_step(s, move->row, move->was, move->to, move->no_cascade);
			move->was = NULL; /* out of the others' way */
			move->done = moved = true;
		}
		if (left && !moved)
			step_aside(s, moves, count);
	}
}

static void gather_steps(struct merge *m, const struct component *all)
{
	struct move *moves = mem_alloc((2 * all->count + 1) * sizeof *moves);
	size_t count = 0;
	for (size_t i = 0; i < all->count; i++) {
		struct row *row = all->rows[i];
		struct image *was = row->shown;
		if (row->must_go && was != NULL && row->planned != NULL) { /* so that what goes with it does */
			moves[count++] = (struct move){.row = row, .was = was};
			moves[count++] = (struct move){.row = row, .to = row->planned};
		} else if (!image_equal(row->table, was, row->planned)) {
			moves[count++] = (struct move){.row = row, .was = was, .to = row->planned};
		}
	}
	qsort(moves, count, sizeof *moves, by_turn);
	order_moves(&m->steps, moves, count);
	free(moves);
}

/* ---- All of it ---- */

static void add_children(struct merge *m, const struct row *parent, struct component *to)
{
	const struct value *value = merge_children_of(m, parent->key);
	for (size_t i = 0; value != NULL && i < value->count; i++)
		component_add(to, value->rows[i]);
}

/* Those that don't go themselves. */
static void add_staying_children(struct merge *m, const struct row *parent, struct component *to)
{
	const struct value *value = merge_children_of(m, parent->key);
	for (size_t i = 0; value != NULL && i < value->count; i++)
		if (value->rows[i]->shown != NULL && !goes(value->rows[i]))
			component_add(to, value->rows[i]);
}

static void begin_plan(struct row *row)
{
	if (!row->in_plan)
		row->planned = image_keep(row->shown);
	row->in_plan = true;
}

/* A plan may never be carried out: until it is seen to be, the row stays open. */
static void end_plan(struct merge *m, struct row *row)
{
	if (image_equal(row->table, row->shown, row->planned))
		component_remove(&m->open, row);
	else
		component_add(&m->open, row);
	image_release(row->planned);
	row->planned = NULL;
	row->in_plan = false;
}

/* Plans for these rows and those tied to them by unique values; gives the children of those that come or go. */
static void plan_component(struct merge *m, struct component *touched, struct component *all, struct component *next)
{
	component_grow(m, touched);
	for (size_t i = 0; i < touched->count; i++) {
		component_add(all, touched->rows[i]);
		begin_plan(touched->rows[i]);
	}
	show_component(m, touched);
	for (size_t i = 0; i < touched->count; i++) {
		struct row *row = touched->rows[i];
		bool hidden = row->due != NULL && row->planned == NULL;
		if (hidden != row->hidden)
			add_children(m, row, next);
		if (goes(row))
			add_staying_children(m, row, next);
		row->hidden = hidden;
	}
}

void merge_show(struct merge *m)
{
	struct component touched = {.bit = MEMBER_TOUCHED}, all = {.bit = MEMBER_ALL}, next = {.bit = MEMBER_NEXT};
	steps_clear(&m->steps);
	for (size_t i = 0; i < m->open.count; i++)
		component_add(&touched, m->open.rows[i]);
	while (touched.count > 0) {
		plan_component(m, &touched, &all, &next);
		component_clear(&touched);
		for (size_t i = 0; i < next.count; i++)
			component_add(&touched, next.rows[i]);
		component_clear(&next);
	}
	gather_steps(m, &all);
	for (size_t i = 0; i < all.count; i++)
		record_losses(m, all.rows[i]);
	for (size_t i = 0; i < all.count; i++)
		end_plan(m, all.rows[i]);
	component_free(&touched);
	component_free(&next);
	component_free(&all);
}
