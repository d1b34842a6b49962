#include <stdlib.h>

#include "base/mem.h"
#include "merge/merge_parts.h"

const char *merge_kind_name(enum merge_kind kind)
{
	static const char *const names[] = {
	    [MERGE_INSERT_EXISTS] = "insert_exists",
	    [MERGE_UPDATE_ORIGIN_DIFFERS] = "update_origin_differs",
	    [MERGE_UPDATE_EXISTS] = "update_exists",
	    [MERGE_DELETE_ORIGIN_DIFFERS] = "delete_origin_differs",
	    [MERGE_MULTIPLE_UNIQUE] = "multiple_unique_conflicts",
	    [MERGE_FOREIGN_KEY_MISSING] = "foreign_key_missing",
	};
	return names[kind];
}

void records_clear(struct records *r)
{
	for (size_t i = 0; i < r->count; i++)
		free((void *)r->records[i].lost);
	r->count = 0;
}

void records_free(struct records *r)
{
	records_clear(r);
	free(r->records);
	*r = (struct records){0};
}

static bool is_insert(const struct row *row, const struct write *w)
{
	for (uint32_t c = 0; c < row->table->column_count; c++)
		if ((w->changed[c] & COLUMN_CHANGED) == 0)
			return false;
	return true;
}

bool is_overwritten(const struct row *row, const struct write *w, uint32_t column)
{
	for (size_t i = 0; i < row->write_count; i++) {
		const struct write *x = &row->writes[i];
		if (x != w && origin_knew(x->origin, w->origin) && (x->after == NULL || x->changed[column] != 0))
			return true;
	}
	return false;
}

/* A delete that neither knew of the write nor was known to it. */
static const struct origin *concurrent_delete(const struct row *row, const struct write *w)
{
	for (size_t i = 0; i < row->write_count; i++) {
		const struct origin *o = row->writes[i].origin;
		if (row->writes[i].after == NULL && !origin_knew(w->origin, o) && !origin_knew(o, w->origin))
			return o;
	}
	return NULL;
}

static const struct write *write_of(const struct row *row, struct stamp stamp)
{
	for (size_t i = 0; i < row->write_count; i++)
		if (row->writes[i].after != NULL && stamp_compare(row->writes[i].origin->stamp, stamp) == 0)
			return &row->writes[i];
	return NULL;
}

static struct merge_record *add_record(struct merge *m, const struct row *row, const struct write *w,
                                       enum merge_kind kind, const struct origin *winner, bool *lost)
{
	struct records *r = &m->records;
	if (r->count == r->capacity) {
		r->capacity = r->capacity ? r->capacity * 2 : 8;
		r->records = mem_resize(r->records, r->capacity * sizeof *r->records);
	}
	r->records[r->count] = (struct merge_record){.kind = kind,
	                                             .table = row->table,
	                                             .loser = w->origin->gtid,
	                                             .loser_time = w->origin->stamp.time,
	                                             .base = steps_borrow(&m->steps, row->base),
	                                             .local = steps_borrow(&m->steps, w->original ? w->original : w->after),
	                                             .applied = steps_borrow(&m->steps, row->due),
	                                             .lost = lost};
	if (winner != NULL) {
		r->records[r->count].winner = winner->gtid;
		r->records[r->count].winner_time = winner->stamp.time;
	}
	return &r->records[r->count++];
}

/* Who deleted its parent, or gave the row one that was deleted. */
static const struct origin *parent_taker(const struct row *row, const struct write *w)
{
	const struct write *giver = !stamp_is_none(row->gone_by) ? write_of(row, row->gone_by) : NULL;
	if (giver != NULL && !origin_knew(w->origin, giver->origin) && !origin_knew(giver->origin, w->origin))
		return giver->origin;
	for (size_t i = row->parent_deleter_count; i-- > 0;) {
		const struct origin *o = row->parent_deleters[i];
		if (!origin_knew(o, w->origin) && !origin_knew(w->origin, o))
			return o;
	}
	return NULL;
}

/* What the column's value lost to; NULL while it is shown, or was overwritten by somebody who knew it. */
static const struct origin *winner_of(const struct row *row, const struct write *w, uint32_t c,
                                      enum merge_kind *ret_kind)
{
	const struct origin *deleter = concurrent_delete(row, w);
	const struct write *x = row->due != NULL ? write_of(row, row->stamps[c]) : NULL;
	if (is_overwritten(row, w, c))
		return NULL;
	if (deleter != NULL) {
		*ret_kind = MERGE_DELETE_ORIGIN_DIFFERS;
		return deleter;
	}
	if (row->due == NULL || (w->original != NULL && x == w)) {
		*ret_kind = MERGE_FOREIGN_KEY_MISSING;
		return parent_taker(row, w);
	}
	if (x == w || x == NULL || stamp_compare(x->origin->stamp, w->origin->stamp) == 0)
		return NULL;
	*ret_kind = is_insert(row, w) && is_insert(row, x) ? MERGE_INSERT_EXISTS : MERGE_UPDATE_ORIGIN_DIFFERS;
	return x->origin;
}

static bool is_reference(const struct merge_table *table, uint32_t column)
{
	for (uint32_t r = 0; r < table->reference_count; r++)
		for (uint32_t i = 0; i < table->references[r].columns.count; i++)
			if (table->references[r].columns.columns[i] == column)
				return true;
	return false;
}

/* One record for each winner, with the columns that it took. */
static void record_write(struct merge *m, struct row *row, struct write *w)
{
	uint32_t count = row->table->column_count;
	for (;;) {
		const struct origin *first = NULL;
		enum merge_kind kind = MERGE_UPDATE_ORIGIN_DIFFERS, this_kind = kind;
		bool *lost = NULL;
		for (uint32_t c = 0; c < count; c++) {
			if ((w->changed[c] & (COLUMN_CHANGED | COLUMN_RECORDED)) != COLUMN_CHANGED)
				continue;
			const struct origin *winner = winner_of(row, w, c, &this_kind);
			bool only_reference = this_kind == MERGE_FOREIGN_KEY_MISSING && row->due != NULL;
			if (winner == NULL || (first != NULL && winner != first) ||
			    (only_reference && !is_reference(row->table, c)))
				continue;
			first = winner;
			kind = this_kind;
			lost = lost != NULL ? lost : mem_alloc(count * sizeof *lost);
			lost[c] = true;
			w->changed[c] |= COLUMN_RECORDED;
		}
		if (first == NULL)
			return;
		add_record(m, row, w, kind, first, lost);
	}
}

void record_losses(struct merge *m, struct row *row)
{
	for (size_t i = 0; i < row->write_count; i++)
		if (row->writes[i].after != NULL && row->writes[i].origin->gtid.domain == m->me)
			record_write(m, row, &row->writes[i]);
}

/* ---- A unique value that two rows claim ---- */

/* The row that keeps what this one claimed. */
static const struct row *keeper_of(const struct merge *m, const struct row *row, uint64_t what)
{
	const struct value *value;
	const struct row *keeper = NULL;
	uint64_t other;
	HASH_FIND(by_what, m->values, &what, sizeof what, value);
	for (size_t i = 0; value != NULL && i < value->count; i++)
		for (uint32_t u = 0; u < row->table->unique_count; u++)
			if (value->rows[i] != row && value->rows[i]->due != NULL &&
			    image_unique(row->table, value->rows[i]->due, u, &other) && other == what && !value->rows[i]->lost)
				keeper = value->rows[i];
	return keeper;
}

struct merge_record record_of_claim(struct merge *m, const struct row *row)
{
	const struct merge_table *t = row->table;
	bool *lost = mem_alloc(t->column_count * sizeof *lost);
	const struct write *claim = NULL, *winner = NULL;
	unsigned values = 0;
	uint64_t what;
	for (uint32_t u = 0; u < t->unique_count; u++) {
		const struct row *keeper = image_unique(t, row->due, u, &what) ? keeper_of(m, row, what) : NULL;
		if (keeper == NULL)
			continue;
		values++;
		for (uint32_t i = 0; i < t->uniques[u].count; i++) {
			uint32_t c = t->uniques[u].columns[i];
			const struct write *w = write_of(row, row->stamps[c]), *k = write_of(keeper, keeper->stamps[c]);
			lost[c] = true;
			if (w != NULL && w->origin->gtid.domain == m->me)
				claim = w;
			winner = k != NULL ? k : winner;
		}
	}
	if (claim == NULL) /* two losers and no keeper among them yet: the row's newest write */
		for (uint32_t c = 0; c < t->column_count; c++)
			claim = write_of(row, row->stamps[c]) != NULL ? write_of(row, row->stamps[c]) : claim;
	enum merge_kind kind = values > 1              ? MERGE_MULTIPLE_UNIQUE
	                       : is_insert(row, claim) ? MERGE_INSERT_EXISTS
	                                               : MERGE_UPDATE_EXISTS;
	return *add_record(m, row, claim, kind, winner != NULL ? winner->origin : NULL, lost);
}
