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
	    [MERGE_TARGET_TABLE_MISSING] = "target_table_missing",
	};
	return names[kind];
}

const char *merge_resolution_name(enum merge_resolution resolution)
{
	static const char *const names[] = {
	    [MERGE_APPLY_REMOTE] = "apply_remote",
	    [MERGE_KEEP_LOCAL] = "keep_local",
	    [MERGE_MERGE] = "merge",
	    [MERGE_SKIP] = "skip",
	};
	return names[resolution];
}

void records_clear(struct records *r)
{
	for (size_t i = 0; i < r->count; i++)
		free((void *)r->records[i].lost);
	steps_clear(&r->images);
	r->count = 0;
}

void records_free(struct records *r)
{
	records_clear(r);
	steps_free(&r->images);
	free(r->records);
	*r = (struct records){0};
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

/* What a write lost to, and by which rule. */
struct verdict {
	const struct origin *winner; /* NULL: it lost nothing */
	enum merge_kind kind;
	enum merge_policy policy;
	struct image *remote; /* NULL: a delete */
};

/* Of the row that was written here. */
static enum merge_resolution resolution_of(const struct row *row, const struct verdict *v, const struct image *local)
{
	const struct image *due = row->due;
	if (v->policy == MERGE_ERROR)
		return MERGE_SKIP;
	if (due == NULL || row->lost)
		return MERGE_APPLY_REMOTE;
	if (v->remote == NULL)
		return MERGE_MERGE;
	for (uint32_t c = 0; c < row->table->column_count; c++)
		if (value_equal(&local->values[c], &due->values[c]) && !value_equal(&due->values[c], &v->remote->values[c]))
			return MERGE_MERGE;
	return MERGE_APPLY_REMOTE;
}

static struct merge_record *add_record(struct merge *m, const struct row *row, const struct write *w,
                                       const struct verdict *v, bool *lost)
{
	struct records *r = &m->records;
	struct image *local = w->original != NULL ? w->original : w->after;
	if (m->records_told)
		records_clear(r);
	m->records_told = false;
	if (r->count == r->capacity) {
		r->capacity = r->capacity ? r->capacity * 2 : 8;
		r->records = mem_resize(r->records, r->capacity * sizeof *r->records);
	}
	r->records[r->count] = (struct merge_record){.kind = v->kind,
	                                             .table = row->table,
	                                             .loser = w->origin->gtid,
	                                             .loser_time = w->origin->stamp.time,
	                                             .base = steps_borrow(&r->images, row->base),
	                                             .local = steps_borrow(&r->images, local),
	                                             .remote = steps_borrow(&r->images, v->remote),
	                                             .applied = steps_borrow(&r->images, row->due),
	                                             .lost = lost,
	                                             .policy = v->policy,
	                                             .resolution = resolution_of(row, v, local)};
	if (v->winner != NULL) {
		r->records[r->count].winner = v->winner->gtid;
		r->records[r->count].winner_time = v->winner->stamp.time;
	}
	return &r->records[r->count++];
}

/* Who deleted its parent, or gave the row one that was deleted. */
static struct verdict parent_taker(const struct row *row, const struct write *w)
{
	struct verdict v = {.kind = MERGE_FOREIGN_KEY_MISSING, .policy = MERGE_DELETE_WINS};
	const struct write *giver = !stamp_is_none(row->gone_by) ? write_of(row, row->gone_by) : NULL;
	if (giver != NULL && !origin_knew(w->origin, giver->origin) && !origin_knew(giver->origin, w->origin)) {
		v.winner = giver->origin;
		v.remote = giver->original != NULL ? giver->original : giver->after;
		return v;
	}
	for (size_t i = row->parent_deleter_count; v.winner == NULL && i-- > 0;) {
		const struct origin *o = row->parent_deleters[i];
		if (!origin_knew(o, w->origin) && !origin_knew(w->origin, o))
			v.winner = o;
	}
	return v;
}

/* What the column's value lost to: nothing while it is shown, or was overwritten by somebody who knew it. */
static struct verdict verdict_on(const struct row *row, const struct write *w, uint32_t c)
{
	const struct origin *deleter = concurrent_delete(row, w);
	const struct write *x = row->due != NULL ? write_of(row, row->stamps[c]) : NULL;
	enum merge_policy policy = policy_of(row->table, c);
	if (is_overwritten(row, w, c))
		return (struct verdict){0};
	if (deleter != NULL)
		return (struct verdict){deleter,
		                        deleter->drops_table ? MERGE_TARGET_TABLE_MISSING : MERGE_DELETE_ORIGIN_DIFFERS,
		                        MERGE_DELETE_WINS, NULL};
	if (row->due == NULL || (w->original != NULL && x == w))
		return parent_taker(row, w);
	if (policy == MERGE_DELTA_APPLY)
		x = policy_voided_by(row, w);
	if (x == w || x == NULL || stamp_compare(x->origin->stamp, w->origin->stamp) == 0)
		return (struct verdict){0};
	bool are_inserts = is_insert(row->table, w) && is_insert(row->table, x);
	return (struct verdict){x->origin, are_inserts ? MERGE_INSERT_EXISTS : MERGE_UPDATE_ORIGIN_DIFFERS, policy,
	                        x->after};
}

static bool is_reference(const struct merge_table *table, uint32_t column)
{
	for (uint32_t r = 0; r < table->reference_count; r++)
		for (uint32_t i = 0; i < table->references[r].columns.count; i++)
			if (table->references[r].columns.columns[i] == column)
				return true;
	return false;
}

/* One record for each winner and policy, with the columns that it took. */
static void record_write(struct merge *m, struct row *row, struct write *w)
{
	uint32_t count = row->table->column_count;
	for (;;) {
		struct verdict first = {0};
		bool *lost = NULL;
		for (uint32_t c = 0; c < count; c++) {
			if ((w->changed[c] & (COLUMN_CHANGED | COLUMN_RECORDED)) != COLUMN_CHANGED)
				continue;
			struct verdict v = verdict_on(row, w, c);
			bool only_reference = v.kind == MERGE_FOREIGN_KEY_MISSING && row->due != NULL;
			bool is_other = first.winner != NULL && (v.winner != first.winner || v.policy != first.policy);
			if (v.winner == NULL || is_other || (only_reference && !is_reference(row->table, c)))
				continue;
			first = v;
			lost = lost != NULL ? lost : mem_alloc(count * sizeof *lost);
			lost[c] = true;
			w->changed[c] |= COLUMN_RECORDED;
		}
		if (first.winner == NULL)
			return;
		add_record(m, row, w, &first, lost);
	}
}

void record_losses(struct merge *m, struct row *row)
{
	for (size_t i = 0; i < row->write_count; i++)
		if (row->writes[i].after != NULL && merge_is_mine(m, row->writes[i].origin->gtid.domain))
			record_write(m, row, &row->writes[i]);
}

/* ---- A unique value that two rows claim ---- */

/* The loser is a claim of this node's, and the winner what that one lost to: another value of the row may be another
 * node's claim, which that node records. The winner may lose a value itself and be about to go; its claim is the older
 * one all the same. */
struct merge_record record_of_claim(struct merge *m, const struct row *row)
{
	const struct merge_table *t = row->table;
	bool *lost = mem_alloc(t->column_count * sizeof *lost);
	const struct write *claim = NULL;
	struct verdict v = {.policy = MERGE_FIRST_UPDATE_WINS};
	unsigned values = 0;
	uint64_t what;
	for (uint32_t u = 0; u < t->unique_count; u++) {
		const struct row *keeper = image_unique(t, row->due, u, &what) ? first_claimant(m, u, what) : NULL;
		if (keeper == NULL || keeper == row)
			continue;
		values++;
		for (uint32_t i = 0; i < t->uniques[u].count; i++) {
			uint32_t c = t->uniques[u].columns[i];
			const struct write *w = write_of(row, row->stamps[c]), *k = write_of(keeper, keeper->stamps[c]);
			lost[c] = true;
			if (w == NULL || (claim != NULL && !merge_is_mine(m, w->origin->gtid.domain)))
				continue;
			claim = w;
			v.remote = keeper->due;
			v.winner = k != NULL ? k->origin : NULL;
		}
	}
	v.kind = values > 1                     ? MERGE_MULTIPLE_UNIQUE
	         : is_insert(row->table, claim) ? MERGE_INSERT_EXISTS
	                                        : MERGE_UPDATE_EXISTS;
	struct merge_record record = *add_record(m, row, claim, &v, lost);
	m->records_told = true; /* by this */
	return record;
}
