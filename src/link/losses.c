#include "link/losses.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "link/record.h"
#include "sql/description.h"
#include "sql/server.h"

enum { TOGETHER_MAX = 200, TOGETHER_BYTES_MAX = 512 * 1024 };

struct loss {
	char *database; /* whose table it was */
	struct buf sql; /* records it, unless it is recorded */
	struct loss *next;
};

/* A database whose replication_conflicts is there. */
struct ready {
	char *database;
	struct ready *next;
};

struct losses {
	struct loss *first, **end;
	struct merge_record claim; /* of the row which goes: whose it was, and who won */
	struct loss *decided;      /* that of the row which goes, the last of them, and those of rows that go with it */
	struct ready *ready;
	struct buf marks; /* ids, as uint64_t, in order */
};

struct losses *losses_new(void)
{
	struct losses *l = mem_alloc(sizeof *l);
	l->end = &l->first;
	return l;
}

static void loss_free(struct loss *loss)
{
	if (loss == NULL)
		return;
	free(loss->database);
	buf_free(&loss->sql);
	free(loss);
}

static void chain_free(struct loss *loss)
{
	while (loss != NULL) {
		struct loss *next = loss->next;
		loss_free(loss);
		loss = next;
	}
}

void losses_free(struct losses *l)
{
	if (l == NULL)
		return;
	chain_free(l->first);
	while (l->ready != NULL) {
		struct ready *ready = l->ready;
		l->ready = ready->next;
		free(ready->database);
		free(ready);
	}
	chain_free(l->decided);
	buf_free(&l->marks);
	free(l);
}

/* INSERT IGNORE of the marks; and if one of them is new, the record. */
static void append_marks(const struct merge_record *m, struct buf *sql)
{
	bool first = true;
	buf_append_str(sql, "INSERT IGNORE INTO " SYNCLINE_SCHEMA "." SYNCLINE_RECORDED_TABLE " (id, seq) VALUES ");
	for (uint32_t c = 0; c < m->table->column_count; c++) {
		if (!m->lost[c])
			continue;
		buf_printf(sql, "%s(%" PRIu64 ",%" PRIu64 ")", first ? "" : ",", merge_loss_id(m, c), m->loser.seq);
		first = false;
	}
}

static uint64_t first_id(const struct merge_record *m)
{
	uint32_t c = 0;
	while (!m->lost[c])
		c++;
	return merge_loss_id(m, c);
}

static struct loss *loss_new(const struct merge_record *m)
{
	struct loss *loss = mem_alloc(sizeof *loss);
	const struct table_map *map = &description_of(m->table)->map;
	struct err err;
	struct record record = {.id = first_id(m),
	                        .map = map,
	                        .kind = merge_kind_name(m->kind),
	                        .loser = m->loser,
	                        .winner = m->winner,
	                        .loser_time = m->loser_time,
	                        .winner_time = m->winner_time,
	                        .base = m->base,
	                        .local = m->local,
	                        .remote = m->remote,
	                        .applied = m->applied,
	                        .lost = m->lost,
	                        .resolver = merge_policy_name(m->policy),
	                        .resolution = merge_resolution_name(m->resolution)};
	loss->database = mem_strdup(map->database);
	append_marks(m, &loss->sql);
	buf_append_str(&loss->sql, "; IF ROW_COUNT() > 0 THEN ");
	if (record_insert(&record, &loss->sql, &err) == ERR_OK) {
		buf_append_str(&loss->sql, "; END IF");
		return loss;
	}
	log_line(LOG_LEVEL_ERROR, "resolver", "a conflict in %s.%s can't be recorded: %s", map->database, map->table,
	         err.message);
	loss_free(loss);
	return NULL;
}

static void append(struct losses *l, struct loss *loss)
{
	*l->end = loss;
	l->end = &loss->next;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

static void take_mark(void *context, unsigned count, const char *const *columns)
{
	struct losses *l = context;
	uint64_t id = count > 0 && columns[0] != NULL ? strtoull(columns[0], NULL, 10) : 0;
	buf_append(&l->marks, &id, sizeof id);
}

enum err_code losses_load_marks(struct losses *l, struct connection *connection, struct err *err)
{
	buf_clear(&l->marks);
	enum err_code code = connection_query(
	    connection, "SELECT id FROM " SYNCLINE_SCHEMA "." SYNCLINE_RECORDED_TABLE " ORDER BY id", take_mark, l, err);
	if (code != ERR_OK)
		buf_clear(&l->marks);
	return code;
}

static bool is_marked(const struct losses *l, uint64_t id)
{
	return l->marks.size > 0 && bsearch(&id, l->marks.data, l->marks.size / sizeof id, sizeof id, by_id) != NULL;
}

void losses_add(struct losses *l, const struct merge_record *record)
{
	uint32_t count = record->table->column_count;
	struct merge_record news = *record;
	bool *lost = mem_alloc(count * sizeof *lost + 1), any = false;
	for (uint32_t c = 0; c < count; c++) {
		lost[c] = record->lost[c] && !is_marked(l, merge_loss_id(record, c));
		any = any || lost[c];
	}
	news.lost = lost;
	struct loss *loss = any ? loss_new(&news) : NULL;
	if (loss != NULL)
		append(l, loss);
	free(lost);
}

bool losses_any(const struct losses *l)
{
	return l->first != NULL;
}

/* The row in syncline.found is the mark: it is there until it is recorded. */
static void take_found(void *context, unsigned count, const char *const *columns)
{
	struct loss *loss = mem_alloc(sizeof *loss);
	(void)count;
	loss->database = mem_strdup(columns[1]);
	buf_printf(&loss->sql,
	           "DELETE FROM " SYNCLINE_SCHEMA "." SYNCLINE_FOUND_TABLE
	           " WHERE id=%s; IF ROW_COUNT() > 0 THEN %s; END IF",
	           columns[0], columns[2]);
	append(context, loss);
}

enum err_code losses_add_found(struct losses *l, struct connection *connection, struct err *err)
{
	return connection_query(connection,
	                        "SELECT id, database_name, record FROM " SYNCLINE_SCHEMA "." SYNCLINE_FOUND_TABLE,
	                        take_found, l, err);
}

void losses_decide(struct losses *l, const struct merge_record *record)
{
	/* It loses more than the value: the row goes. */
	struct merge_record whole = *record;
	bool *lost = mem_alloc(record->table->column_count * sizeof *lost + 1);
	memset(lost, true, record->table->column_count * sizeof *lost);
	whole.lost = lost;
	whole.applied = NULL;
	whole.resolution = MERGE_APPLY_REMOTE;
	chain_free(l->decided);
	l->decided = loss_new(&whole);
	l->claim = (struct merge_record){.loser = record->loser,
	                                 .winner = record->winner,
	                                 .loser_time = record->loser_time,
	                                 .winner_time = record->winner_time};
	free(lost);
}

void losses_decide_child(struct losses *l, const struct merge_change *child)
{
	uint32_t count = child->table->column_count;
	bool *lost = mem_alloc(count * sizeof *lost + 1);
	memset(lost, true, count * sizeof *lost);
	struct merge_record record = l->claim;
	record.kind = MERGE_FOREIGN_KEY_MISSING;
	record.table = child->table;
	record.local = child->before;
	record.lost = lost;
	record.policy = MERGE_DELETE_WINS;
	record.resolution = MERGE_APPLY_REMOTE;
	struct loss *loss = loss_new(&record);
	if (loss != NULL) {
		loss->next = l->decided;
		l->decided = loss;
	}
	free(lost);
}

/* Made when it is first needed, by whichever node comes first: the statement is the same on all, and does no harm twice. */
static enum err_code make_table(struct losses *l, struct connection *connection, const char *database, struct err *err)
{
	struct buf sql = {0}, value = {0};
	bool found = false;
	for (struct ready *r = l->ready; r != NULL; r = r->next)
		if (strcmp(r->database, database) == 0)
			return ERR_OK;
	buf_append_str(&sql,
	               "SELECT 1 FROM information_schema.tables WHERE table_name='" RECORD_TABLE "' AND table_schema=");
	sql_append_string(&sql, database, strlen(database));
	enum err_code code = connection_value(connection, buf_str(&sql), sql.size, &value, &found, err);
	if (code == ERR_OK && !found) {
		buf_clear(&sql);
		record_create_table(database, &sql);
		code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	}
	if (code == ERR_OK) {
		struct ready *r = mem_alloc(sizeof *r);
		*r = (struct ready){.database = mem_strdup(database), .next = l->ready};
		l->ready = r;
	}
	buf_free(&sql);
	buf_free(&value);
	return code == ERR_OK ? ERR_OK : err_wrap(err, "can't make %s." RECORD_TABLE, database);
}

static void send(struct apply *apply, const struct loss *loss, struct buf *scratch)
{
	buf_clear(scratch);
	buf_append_str(scratch, "BEGIN NOT ATOMIC ");
	buf_append(scratch, loss->sql.data, loss->sql.size);
	buf_append_str(scratch, "; END");
	apply_statement(apply, buf_str(scratch), scratch->size);
}

enum err_code losses_send_decided(struct losses *l, struct apply *apply, struct err *err)
{
	struct buf scratch = {0};
	if (l->decided == NULL)
		return ERR_OK;
	enum err_code code = ERR_OK;
	for (const struct loss *loss = l->decided; code == ERR_OK && loss != NULL; loss = loss->next)
		code = make_table(l, apply_connection(apply), loss->database, err);
	if (code == ERR_OK)
		for (const struct loss *loss = l->decided; loss != NULL; loss = loss->next)
			send(apply, loss, &scratch);
	buf_free(&scratch);
	return code;
}

static void drop_first(struct losses *l, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct loss *loss = l->first;
		l->first = loss->next;
		loss_free(loss);
	}
	if (l->first == NULL)
		l->end = &l->first;
}

enum err_code losses_record_decided(struct losses *l, struct apply *apply, struct err *err)
{
	struct vector here;
	bool committed;
	enum err_code code = losses_send_decided(l, apply, err);
	if (code == ERR_OK && l->decided != NULL)
		code = apply_flush(apply, &(struct apply_head){0}, NULL, &committed, &here, err);
	if (code == ERR_OK && l->decided != NULL)
		code = apply_commit(apply, err);
	return code;
}

/* A replication_conflicts that takes no record is its owner's to mend; until then the records wait. */
static enum err_code record_some(struct losses *l, struct apply *apply, struct err *err)
{
	struct buf scratch = {0};
	struct vector here;
	bool committed;
	size_t count = 0, bytes = 0;
	enum err_code code = ERR_OK;
	for (struct loss *loss = l->first; code == ERR_OK && loss != NULL; loss = loss->next)
		if (count < TOGETHER_MAX && bytes < TOGETHER_BYTES_MAX) {
			code = make_table(l, apply_connection(apply), loss->database, err);
			bytes += loss->sql.size;
			count++;
		}
	struct loss *loss = l->first;
	for (size_t i = 0; code == ERR_OK && i < count; i++, loss = loss->next)
		send(apply, loss, &scratch);
	buf_free(&scratch);
	if (code == ERR_OK)
		code = apply_flush(apply, &(struct apply_head){0}, NULL, &committed, &here, err);
	if (code == ERR_OK)
		code = apply_commit(apply, err);
	if (code == ERR_OK)
		drop_first(l, count);
	return code == ERR_OK ? ERR_OK : err_wrap(err, "can't record conflicts in " RECORD_TABLE);
}

enum err_code losses_record(struct losses *l, struct apply *apply, struct err *err)
{
	enum err_code code = ERR_OK;
	while (code == ERR_OK && l->first != NULL)
		code = record_some(l, apply, err);
	return code;
}

enum err_code losses_forget(struct connection *connection, uint64_t seq, struct err *err)
{
	char sql[128];
	snprintf(sql, sizeof sql,
	         "SET sql_log_bin=0;DELETE FROM " SYNCLINE_SCHEMA "." SYNCLINE_RECORDED_TABLE " WHERE seq<=%" PRIu64
	         ";SET sql_log_bin=1",
	         seq);
	return connection_run(connection, sql, err);
}
