#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge_parts.h"

const char *merge_policy_name(enum merge_policy policy)
{
	static const char *const names[] = {
	    [MERGE_LAST_UPDATE_WINS] = "last_update_wins",
	    [MERGE_FIRST_UPDATE_WINS] = "first_update_wins",
	    [MERGE_SITE_PRIORITY] = "site_priority",
	    [MERGE_MAX] = "max",
	    [MERGE_MIN] = "min",
	    [MERGE_DELTA_APPLY] = "delta_apply",
	    [MERGE_ERROR] = "error",
	    [MERGE_DELETE_WINS] = "delete_wins",
	};
	return names[policy];
}

enum merge_policy policy_of(const struct merge_table *table, uint32_t column)
{
	return table->policies != NULL ? table->policies[column].policy : MERGE_LAST_UPDATE_WINS;
}

/* ---- Orders ---- */

/* Row images have DECIMAL and what has fractions of seconds so that bytes compare as values do; the other numbers
 * lowest byte first (MariaDB strings/decimal.c, sql/compat56.cc, sql/field.cc). */
bool merge_number_type_of(const struct column *column, struct merge_number_type *ret_type)
{
	struct merge_number_type type = {.order = MERGE_ORDER_INTEGER, .is_unsigned = true};
	switch (column->type) {
	case COLUMN_TINY:
	case COLUMN_SHORT:
	case COLUMN_INT24:
	case COLUMN_LONG:
	case COLUMN_LONGLONG:
		type.is_unsigned = column->is_unsigned;
		break;
	case COLUMN_TIME: /* hhmmss, with a sign */
		type.is_unsigned = false;
		/* fall through */
	case COLUMN_TIMESTAMP:
	case COLUMN_DATETIME:
		if (column->metadata != 0)
			return false;
		break;
	case COLUMN_YEAR:
	case COLUMN_DATE:
	case COLUMN_NEWDATE:
	case COLUMN_ENUM:
	case COLUMN_SET:
		break;
	case COLUMN_NEWDECIMAL:
		type.order = MERGE_ORDER_DECIMAL;
		type.is_unsigned = column->is_unsigned;
		type.precision = (uint8_t)(column->metadata >> 8);
		type.scale = (uint8_t)column->metadata;
		break;
	case COLUMN_FLOAT:
	case COLUMN_DOUBLE:
		type.order = MERGE_ORDER_FLOAT;
		break;
	case COLUMN_NULL:
	case COLUMN_DECIMAL:
	case COLUMN_GEOMETRY:
		return false;
	default:
		type.order = MERGE_ORDER_BYTES;
	}
	*ret_type = type;
	return true;
}

/* Numbers of the order of what is in the column: sign and magnitude become an offset. */
static uint64_t float_rank(const struct content *v)
{
	uint64_t bits = 0;
	for (uint32_t i = v->size < 8 ? v->size : 8; i-- > 0;)
		bits = bits << 8 | v->bytes[i];
	uint64_t sign = UINT64_C(1) << (v->size == 4 ? 31 : 63);
	return (bits & sign) != 0 ? ~bits & (sign | (sign - 1)) : bits | sign;
}

static int order_compare(const struct merge_number_type *type, const struct content *a, const struct content *b)
{
	if (a->is_null || b->is_null)
		return b->is_null - a->is_null;
	if (type->order == MERGE_ORDER_FLOAT) {
		uint64_t x = float_rank(a), y = float_rank(b);
		return x < y ? -1 : x > y;
	}
	if (type->order == MERGE_ORDER_INTEGER) {
		struct number x = number_of(type, a), y = number_of(type, b);
		return number_compare(&x, &y);
	}
	uint32_t size = a->size < b->size ? a->size : b->size;
	int order = size > 0 ? memcmp(a->bytes, b->bytes, size) : 0;
	return order != 0 ? order : a->size < b->size ? -1 : a->size > b->size;
}

/* ---- The choice ---- */

static uint32_t site_rank(const struct merge_column_policy *p, const struct write *w)
{
	uint32_t rank = 0;
	while (rank < p->site_count && p->sites[rank] != w->origin->gtid.domain)
		rank++;
	return rank;
}

/* Of two writes that didn't know of each other. */
static bool is_preferred(const struct merge_column_policy *p, uint32_t c, const struct write *a, const struct write *b)
{
	bool is_later = stamp_compare(a->origin->stamp, b->origin->stamp) > 0;
	int order = 0;
	switch (p->policy) {
	case MERGE_FIRST_UPDATE_WINS:
	case MERGE_ERROR:
		return !is_later;
	case MERGE_SITE_PRIORITY:
		order = site_rank(p, a) < site_rank(p, b) ? 1 : -(site_rank(p, a) > site_rank(p, b));
		break;
	case MERGE_MAX:
		order = order_compare(&p->type, &a->after->values[c], &b->after->values[c]);
		break;
	case MERGE_MIN:
		order = order_compare(&p->type, &b->after->values[c], &a->after->values[c]);
		break;
	default:
		break;
	}
	return order != 0 ? order > 0 : is_later;
}

const struct write *policy_choose(const struct row *row, uint32_t c)
{
	static const struct merge_column_policy last_update_wins = {.policy = MERGE_LAST_UPDATE_WINS};
	const struct merge_column_policy *p = row->table->policies != NULL ? &row->table->policies[c] : &last_update_wins;
	const struct write *chosen = NULL;
	for (size_t i = 0; i < row->write_count; i++) {
		const struct write *w = &row->writes[i];
		if (w->after == NULL || w->changed[c] == 0 || !survives(row, w))
			continue;
		/* The last one is the highest in an order, so two at a time can be compared; the others choose among what nobody knew. */
		if (p->policy == MERGE_LAST_UPDATE_WINS
		        ? chosen == NULL || origin_follows(w->origin, chosen->origin)
		        : !is_overwritten(row, w, c) && (chosen == NULL || is_preferred(p, c, w, chosen)))
			chosen = w;
	}
	return chosen;
}

/* ---- Sums ---- */

struct number *policy_deltas(const struct merge_change *change)
{
	const struct merge_table *t = change->table;
	struct number *deltas = NULL;
	for (uint32_t c = 0; c < t->column_count; c++) {
		if (policy_of(t, c) != MERGE_DELTA_APPLY)
			continue;
		if (deltas == NULL)
			deltas = mem_alloc(t->column_count * sizeof *deltas);
		deltas[c] = number_of(&t->policies[c].type, &change->after[c]);
		if (change->before != NULL) {
			struct number before = number_of(&t->policies[c].type, &change->before[c]);
			number_subtract(&deltas[c], &before);
		}
	}
	return deltas;
}

static bool is_start(const struct row *row, const struct write *w)
{
	return w->after != NULL && is_insert(row->table, w) && survives(row, w);
}

/* The insert that this write goes on from; NULL: from the base. */
static const struct write *start_of(const struct row *row, const struct write *write)
{
	const struct write *start = NULL;
	for (size_t i = 0; i < row->write_count; i++) {
		const struct write *w = &row->writes[i];
		if (origin_knew(write->origin, w->origin) && is_start(row, w) &&
		    (start == NULL || origin_follows(w->origin, start->origin)))
			start = w;
	}
	return start;
}

/* An insert adds its value to nothing, so one that two nodes made counts twice, as their later additions do. But one by a
 * node where the row was there and gone (with its parent) starts it anew. Whole starts are void, whatever that node knew
 * of what was added to them since: so the additions of one start can be folded into each other. */
const struct write *policy_voided_by(const struct row *row, const struct write *write)
{
	const struct write *start = start_of(row, write);
	for (size_t i = 0; i < row->write_count; i++) {
		const struct write *w = &row->writes[i];
		if (w != start && is_start(row, w) && (start == NULL || origin_knew(w->origin, start->origin)))
			return w;
	}
	return NULL;
}

static bool adds(const struct row *row, const struct write *w, uint32_t c)
{
	return w->after != NULL && (w->changed[c] & COLUMN_CHANGED) != 0 && survives(row, w) &&
	       policy_voided_by(row, w) == NULL;
}

bool policy_add_up(const struct row *row, uint32_t c, struct image **image)
{
	const struct content *newest = &(*image)->values[c];
	const struct merge_number_type *type = &row->table->policies[c].type;
	bool based = row->base != NULL && !has_delete(row);
	struct number sum = {0};
	if (newest->is_null)
		return true;
	for (size_t i = 0; i < row->write_count; i++) {
		based &= !is_start(row, &row->writes[i]);
		if (adds(row, &row->writes[i], c))
			number_add(&sum, &row->writes[i].deltas[c]);
	}
	if (based) {
		struct number base = number_of(type, &row->base->values[c]);
		number_add(&sum, &base);
	}
	uint8_t *bytes = mem_alloc(newest->size + 1);
	bool fits = number_write(type, sum, newest->size, bytes);
	struct image *summed = image_replace(row->table, *image, c, (struct content){.bytes = bytes, .size = newest->size});
	free(bytes);
	image_release(*image);
	*image = summed;
	return fits;
}

/* A write that counts as long as this one does: whatever comes knew of neither or ends both. */
static struct write *heir_of(struct row *row, const struct write *w, uint32_t c)
{
	for (size_t i = 0; i < row->write_count; i++) {
		struct write *x = &row->writes[i];
		if (x != w && x->after != NULL && origin_knew(x->origin, w->origin) && (x->changed[c] & COLUMN_CHANGED) != 0 &&
		    start_of(row, x) == start_of(row, w))
			return x;
	}
	return NULL;
}

bool policy_fold(struct row *row, const struct write *w)
{
	for (int pass = 0; w->deltas != NULL && pass < 2; pass++)
		for (uint32_t c = 0; c < row->table->column_count; c++) {
			if (policy_of(row->table, c) != MERGE_DELTA_APPLY || !adds(row, w, c))
				continue;
			struct write *heir = heir_of(row, w, c);
			if (heir == NULL)
				return false;
			if (pass == 1)
				number_add(&heir->deltas[c], &w->deltas[c]);
		}
	return true;
}
