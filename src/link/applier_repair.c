#include "link/applier_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "link/record.h"
#include "link/relatives.h"
#include "link/steps.h"
#include "sql/server.h"

/* Numbers of what was found: in ids of records, where a loss has the number of a column. Keep them. */
enum { FOUND_FIRST = 0x10000 };
enum finding {
	UPDATE_MISSING,
	DELETE_MISSING,
	INSERT_EXISTS,
	RIVAL_OF_INSERT,
	RIVAL_OF_UPDATE,
	PARENT_MISSING,
	CHILD_STAYS,
};

/* A transaction whose steps are made to fit, one by one, each looked at after those ahead of it were taken. */
struct repair {
	struct applier *a;
	const struct applier_transaction *of;
	struct relatives who;
	struct change_list rows;  /* here, that the step at hand met */
	struct change_list steps; /* to be taken instead of it */
	struct buf sql;
};

bool applier_is_repaired(const struct applier *a, const struct gtid *gtid)
{
	return a->repaired.seq != 0 && a->repaired.domain == gtid->domain && a->repaired.seq == gtid->seq;
}

static void add(struct repair *r, enum merge_op op, const struct merge_step *like, const struct content *before,
                const struct content *after, bool no_cascade)
{
	struct merge_change change = {.op = op, .table = like->table, .before = before, .after = after};
	change_list_add(&r->steps, &change, no_cascade);
}

/* ---- What was found ---- */

static uint64_t id_of(const struct repair *r, enum finding finding, const struct merge_table *table,
                      const struct content *row)
{
	struct merge_record like = {.table = table, .loser = r->of->gtid, .local = row};
	return merge_loss_id(&like, FOUND_FIRST + finding);
}

static bool same_content(const struct content *a, const struct content *b)
{
	return a->is_null == b->is_null && a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* By column: what was here and isn't any more. NULL: nothing is. */
static bool *lost_columns(const struct merge_table *table, const struct content *local, const struct content *applied)
{
	bool *lost = mem_alloc((table->column_count + 1) * sizeof *lost);
	bool any = false;
	for (uint32_t c = 0; local != NULL && c < table->column_count; c++) {
		lost[c] = applied == NULL || (!applied[c].is_absent && !same_content(&local[c], &applied[c]));
		any = any || lost[c];
	}
	if (any)
		return lost;
	free(lost);
	return NULL;
}

/* Into syncline.found; with the transaction's own rows it commits, and the resolver passes it on to replication_conflicts as a write of
 * this node's: of a group under another node's GTID that node reads nothing. */
static enum err_code note(struct repair *r, enum finding finding, const struct merge_table *table,
                          struct record *record, struct err *err)
{
	static const char *const kinds[] = {[UPDATE_MISSING] = "update_missing",  [DELETE_MISSING] = "delete_missing",
	                                    [INSERT_EXISTS] = "insert_exists",    [RIVAL_OF_INSERT] = "insert_exists",
	                                    [RIVAL_OF_UPDATE] = "update_exists",  [PARENT_MISSING] = "foreign_key_missing",
	                                    [CHILD_STAYS] = "foreign_key_missing"};
	const struct table_map *map = &description_of(table)->map;
	const struct content *row = record->local != NULL  ? record->local
	                            : record->base != NULL ? record->base
	                                                   : record->remote;
	bool *lost = finding == CHILD_STAYS ? NULL : lost_columns(table, record->local, record->applied);
	uint32_t me = r->a->settings->node_id;
	record->id = id_of(r, finding, table, row);
	record->map = map;
	record->kind = kinds[finding];
	record->loser = (struct gtid){.domain = me, .server = me};
	record->winner = r->of->gtid;
	record->winner_time = r->of->time;
	record->lost = lost;
	record->resolver = "origin_wins";
	record->resolution = finding == CHILD_STAYS ? "keep_local" : "apply_remote";
	buf_clear(&r->sql);
	enum err_code code = record_insert(record, &r->sql, err);
	if (code == ERR_OK) {
		struct buf sql = {0};
		buf_printf(&sql, "REPLACE INTO " SYNCLINE_SCHEMA "." SYNCLINE_FOUND_TABLE " VALUES (%" PRIu64 ",", record->id);
		sql_append_string(&sql, map->database, strlen(map->database));
		buf_append_str(&sql, ",");
		sql_append_string(&sql, buf_str(&r->sql), r->sql.size);
		buf_append_str(&sql, ")");
		apply_statement(r->a->apply, buf_str(&sql), sql.size);
		buf_free(&sql);
	}
	free(lost);
	if (code == ERR_OK || err_retryable(code))
		return code;
	log_line(LOG_LEVEL_ERROR, r->a->who, "what was found in %s.%s can't be recorded: %s", map->database, map->table,
	         err->message);
	return ERR_OK;
}

/* ---- Steps ---- */

/* The row goes and comes again, each without foreign key checks, so that its children stay: an update to what is there already
 * would not be logged, and the tail would not know of it. Columns that the origin doesn't have keep what they have. */
static void replace(struct repair *r, const struct merge_step *step, const struct content *here)
{
	struct content *after = mem_alloc((step->table->column_count + 1) * sizeof *after);
	for (uint32_t c = 0; c < step->table->column_count; c++)
		after[c] = step->after[c].is_absent ? here[c] : step->after[c];
	add(r, MERGE_DELETE, step, here, NULL, true);
	add(r, MERGE_INSERT, step, NULL, after, true);
	free(after);
}

/* Others that have a unique value that the row is to have give way. */
static enum err_code give_way(struct repair *r, const struct merge_step *step, struct err *err)
{
	enum finding finding = step->op == MERGE_INSERT ? RIVAL_OF_INSERT : RIVAL_OF_UPDATE;
	change_list_clear(&r->rows);
	enum err_code code = relatives_find_rivals(&r->who, step->table, step->after, &r->rows, err);
	for (size_t i = 0; code == ERR_OK && i < r->rows.count; i++) {
		const struct content *rival = r->rows.changes[i].before;
		add(r, MERGE_DELETE, step, rival, NULL, true);
		code = note(r, finding, step->table, &(struct record){.local = rival, .remote = step->after}, err);
	}
	return code;
}

/* Where the origin had the parent, the row comes without. */
static enum err_code lacks_parent(struct repair *r, const struct merge_step *step, bool *ret_lacks, struct err *err)
{
	enum err_code code = relatives_lacks_parent(&r->who, step->table, step->after, ret_lacks, err);
	if (code == ERR_OK && *ret_lacks)
		code = note(r, PARENT_MISSING, step->table,
		            &(struct record){.base = step->before, .remote = step->after, .applied = step->after}, err);
	return code;
}

static enum err_code repair_write(struct repair *r, const struct merge_step *step, const struct content *here,
                                  struct err *err)
{
	bool lacks = false;
	enum err_code code = lacks_parent(r, step, &lacks, err);
	if (code != ERR_OK)
		return code;
	struct record record = {.base = step->before, .local = here, .remote = step->after, .applied = step->after};
	if (here == NULL) {
		add(r, MERGE_INSERT, step, NULL, step->after, step->no_cascade || lacks);
		return step->op == MERGE_UPDATE ? note(r, UPDATE_MISSING, step->table, &record, err) : ERR_OK;
	}
	bool *differs = lost_columns(step->table, here, step->after);
	if (step->op == MERGE_INSERT || differs == NULL)
		replace(r, step, here);
	else
		add(r, MERGE_UPDATE, step, step->before, step->after, step->no_cascade || lacks);
	if (step->op == MERGE_INSERT && differs != NULL)
		code = note(r, INSERT_EXISTS, step->table, &record, err);
	free(differs);
	return code;
}

/* Children that the origin didn't have stay, without their parent. */
static enum err_code repair_delete(struct repair *r, const struct merge_step *step, const struct content *here,
                                   struct err *err)
{
	if (here == NULL)
		return note(r, DELETE_MISSING, step->table, &(struct record){.base = step->before}, err);
	struct change_list children = {0};
	enum err_code code =
	    step->no_cascade ? ERR_OK : relatives_find_restricting(&r->who, step->table, here, &children, err);
	for (size_t i = 0; code == ERR_OK && i < children.count; i++) {
		const struct content *child = children.changes[i].before;
		code = note(r, CHILD_STAYS, children.changes[i].table, &(struct record){.local = child, .applied = child}, err);
	}
	if (code == ERR_OK)
		add(r, MERGE_DELETE, step, here, NULL, step->no_cascade || children.count > 0);
	change_list_free(&children);
	return code;
}

/* What is here is read again before each step: the one ahead of it may have changed it. */
static enum err_code take_steps(struct repair *r, struct err *err)
{
	struct buf events = {0};
	struct vector now;
	bool committed;
	enum err_code code = steps_encode(r->steps.steps, r->steps.count, r->of->time, r->of->gtid.server, &events, err);
	if (code == ERR_OK) {
		steps_apply(r->a->apply, &events);
		code = apply_flush(r->a->apply, NULL, NULL, &committed, &now, err);
	}
	buf_free(&events);
	return code;
}

static enum err_code repair_step(struct repair *r, const struct merge_step *step, struct err *err)
{
	struct change_list found = {0};
	const struct content *row = step->before != NULL ? step->before : step->after;
	change_list_clear(&r->steps);
	enum err_code code = step->op == MERGE_DELETE ? ERR_OK : give_way(r, step, err);
	if (code == ERR_OK)
		code = relatives_find_row(&r->who, step->table, row, &found, err);
	const struct content *here = code == ERR_OK && found.count > 0 ? found.changes[0].before : NULL;
	if (code == ERR_OK)
		code = step->op == MERGE_DELETE ? repair_delete(r, step, here, err) : repair_write(r, step, here, err);
	if (code == ERR_OK)
		code = take_steps(r, err);
	change_list_free(&found);
	return code;
}

enum err_code applier_repair(struct applier *a, const struct applier_transaction *transaction,
                             const struct change_list *steps, struct err *err)
{
	struct repair r = {.a = a,
	                   .of = transaction,
	                   .who = {.connection = apply_connection(a->apply),
	                           .registry = state_registry(a->state),
	                           .generation = state_generation(a->state)}};
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < steps->count; i++)
		code = repair_step(&r, &steps->steps[i], err);
	change_list_free(&r.rows);
	change_list_free(&r.steps);
	buf_free(&r.sql);
	return code;
}
