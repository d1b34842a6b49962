#include "verify/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "copy/session.h"

enum {
	NODES_MAX = 64,
	ROUNDS_MAX = 5,
	ROUND_WAIT_MS = 300,
	HASH_TEXT = 33,
	DUPLICATE_KEY = 1062,
	VALUE_SHOWN_MAX = 60
};

struct repair_row {
	char *database, *table;
	uint8_t *key;
	size_t key_size;
	char (*hashes)[HASH_TEXT]; /* by node; "": it isn't there */
	bool is_through;           /* done, or never to be */
};

void repair_add(struct repair *r, const struct verify_row *row)
{
	if (r->count == REPAIR_ROWS_MAX) {
		r->left_out++;
		return;
	}
	r->node_count = row->node_count < NODES_MAX ? row->node_count : NODES_MAX;
	memcpy(r->nodes, row->nodes, r->node_count * sizeof *r->nodes);
	struct repair_row added = {.database = mem_strdup(row->database),
	                           .table = mem_strdup(row->table),
	                           .key = mem_alloc(row->key_size + 1),
	                           .key_size = row->key_size,
	                           .hashes = mem_alloc(r->node_count * sizeof *added.hashes)};
	memcpy(added.key, row->key, row->key_size);
	for (size_t i = 0; i < r->node_count; i++)
		for (size_t b = 0; row->is_there[i] && b < VERIFY_HASH_SIZE; b++)
			snprintf(added.hashes[i] + 2 * b, 3, "%02x", row->hashes[i][b]);
	r->rows = mem_resize(r->rows, (r->count + 1) * sizeof *r->rows);
	r->rows[r->count++] = added;
}

void repair_free(struct repair *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->rows[i].database);
		free(r->rows[i].table);
		free(r->rows[i].key);
		free(r->rows[i].hashes);
	}
	free(r->rows);
	*r = (struct repair){0};
}

/* ---- Rows as they are now ---- */

/* The values of one row on one node; not there: `is_there` false. */
struct image {
	bool is_there;
	unsigned count;
	char **values; /* NULL: SQL NULL */
	unsigned long *sizes;
	char hash[HASH_TEXT];
};

struct work {
	const struct repair *repair;
	const struct repair_wish *wish;
	struct connection *readers[NODES_MAX], *writer;
	struct undo *undo;
	struct repair_result result;
	/* The table at hand. */
	const char *database, *table;
	struct layout layout;
	bool has_layout, has_triggers;
	/* The row at hand. */
	struct repair_row *row;
	struct buf condition, key;
	struct image images[NODES_MAX];
	size_t winner;
};

static void image_free(struct image *m)
{
	for (unsigned i = 0; i < m->count; i++)
		free(m->values[i]);
	free(m->values);
	free(m->sizes);
	*m = (struct image){0};
}

static enum err_code take_image(void *context, unsigned count, const char *const *values, const unsigned long *sizes,
                                struct err *err)
{
	struct image *m = context;
	if (m->is_there || count == 0)
		return err_set(err, ERR_MALFORMED, "several rows have one key");
	m->is_there = true;
	m->count = count - 1;
	m->values = mem_alloc(count * sizeof *m->values);
	m->sizes = mem_alloc(count * sizeof *m->sizes);
	for (unsigned i = 0; i + 1 < count; i++) {
		m->sizes[i] = sizes[i];
		if (values[i] == NULL)
			continue;
		m->values[i] = mem_alloc(sizes[i] + 1);
		memcpy(m->values[i], values[i], sizes[i]);
	}
	if (values[count - 1] != NULL && sizes[count - 1] < HASH_TEXT)
		memcpy(m->hash, values[count - 1], sizes[count - 1]);
	return ERR_OK;
}

static enum err_code read_image(struct work *w, struct connection *connection, bool for_update, struct image *ret,
                                struct err *err)
{
	struct buf sql = {0};
	image_free(ret);
	layout_append_hashed_rows(&w->layout, buf_str(&w->condition), &sql);
	buf_append_str(&sql, for_update ? " FOR UPDATE" : "");
	enum err_code code = connection_stream(connection, (const char *)sql.data, sql.size, take_image, ret, err);
	buf_free(&sql);
	return code;
}

/* *ret_same: all nodes have what the comparison saw. */
static enum err_code read_images(struct work *w, bool *ret_same, struct err *err)
{
	enum err_code code = ERR_OK;
	*ret_same = true;
	for (size_t i = 0; code == ERR_OK && i < w->repair->node_count; i++) {
		code = connection_run(w->readers[i], "ROLLBACK", err);
		if (code == ERR_OK)
			code = read_image(w, w->readers[i], false, &w->images[i], err);
		*ret_same = *ret_same && strcmp(w->images[i].hash, w->row->hashes[i]) == 0;
	}
	return code;
}

/* ---- Tables ---- */

static enum err_code load_table(struct work *w, const struct repair_row *row, struct err *err)
{
	struct objects objects = {0};
	struct buf sql = {0}, count = {0};
	const char *databases[] = {row->database};
	if (w->has_layout && strcmp(w->database, row->database) == 0 && strcmp(w->table, row->table) == 0)
		return ERR_OK;
	if (w->has_layout)
		layout_free(&w->layout);
	w->has_layout = false;
	enum err_code code = objects_read_tables(w->readers[0], 1, databases, &objects, err);
	const struct object *o =
	    objects_find(&objects, &(struct object){.kind = KIND_TABLE, .database = row->database, .name = row->table});
	if (code == ERR_OK && o == NULL)
		code = err_set(err, ERR_BUSY, "%s.%s is gone", row->database, row->table);
	if (code == ERR_OK)
		code = layout_load(w->readers[0], o, &w->layout, err);
	w->has_layout = code == ERR_OK;
	buf_append_str(&sql, "SELECT COUNT(*) FROM information_schema.triggers WHERE event_object_schema=");
	sql_append_text(&sql, row->database);
	buf_append_str(&sql, " AND event_object_table=");
	sql_append_text(&sql, row->table);
	if (code == ERR_OK)
		code = connection_value(w->readers[0], (const char *)sql.data, sql.size, &count, NULL, err);
	w->has_triggers = strcmp(buf_str(&count), "0") != 0;
	w->database = row->database;
	w->table = row->table;
	objects_free(&objects);
	buf_free(&sql);
	buf_free(&count);
	return code;
}

/* ---- Statements ---- */

static void append_insert(const struct work *w, const char *verb, const struct image *m, struct buf *sql)
{
	buf_printf(sql, "%s INTO %s SET ", verb, w->layout.table);
	layout_append_assignments(&w->layout, (const char *const *)m->values, m->sizes, sql);
}

static void append_delete(struct work *w, struct buf *sql)
{
	buf_printf(sql, "DELETE FROM %s WHERE %s", w->layout.table, buf_str(&w->condition));
}

static void append_update(struct work *w, const struct image *m, struct buf *sql)
{
	buf_printf(sql, "UPDATE %s SET ", w->layout.table);
	layout_append_assignments(&w->layout, (const char *const *)m->values, m->sizes, sql);
	buf_printf(sql, " WHERE %s", buf_str(&w->condition));
}

/* Runs them, and drops them. */
static enum err_code run(struct work *w, struct buf *sql, struct err *err)
{
	enum err_code code = connection_run_n(w->writer, (const char *)sql->data, sql->size, err);
	buf_free(sql);
	return code;
}

static bool any_lacks(const struct work *w)
{
	for (size_t i = 0; i < w->repair->node_count; i++)
		if (!w->images[i].is_there)
			return true;
	return false;
}

/* What some node has, for a row that is to be gone. */
static const struct image *any_image(const struct work *w)
{
	for (size_t i = 0; i < w->repair->node_count; i++)
		if (w->images[i].is_there)
			return &w->images[i];
	return &w->images[0];
}

/* ---- Writing: each leaves the session outside of a transaction, logged, whatever happens ---- */

static enum err_code check_here(struct work *w, struct err *err)
{
	struct image now = {0};
	enum err_code code = read_image(w, w->writer, true, &now, err);
	if (code == ERR_OK && strcmp(now.hash, w->row->hashes[0]) != 0)
		code = err_set(err, ERR_BUSY, "it was changed at this moment");
	image_free(&now);
	return code;
}

/* One logged transaction of these statements, if the row here is what it was. */
static enum err_code transact(struct work *w, struct buf *sql, struct err *err)
{
	enum err_code code = connection_run(w->writer, "START TRANSACTION", err);
	if (code == ERR_OK)
		code = check_here(w, err);
	if (code == ERR_OK)
		code = connection_run_n(w->writer, (const char *)sql->data, sql->size, err);
	if (code == ERR_OK)
		code = connection_run(w->writer, "COMMIT", err);
	buf_free(sql);
	return code;
}

/* Others update, insert, or find it there already, which is no conflict where the rows are equal. */
static enum err_code take_over(struct work *w, struct err *err)
{
	struct buf sql = {0};
	const struct image *m = &w->images[w->winner];
	if (w->images[0].is_there)
		append_update(w, m, &sql);
	else
		append_insert(w, "INSERT", m, &sql);
	return transact(w, &sql, err);
}

/* The row comes and goes again: a delete alone would be recorded as a conflict on each node that doesn't have it. Where some
 * other node has it these are two transactions: of one that writes a row and takes it away nothing is left for a node
 * that can't apply it as it is. */
static enum err_code come_and_go(struct work *w, struct err *err)
{
	struct buf sql = {0};
	const struct image *m = any_image(w);
	bool is_elsewhere = false;
	for (size_t i = 1; i < w->repair->node_count; i++)
		is_elsewhere = is_elsewhere || w->images[i].is_there;
	buf_append_str(&sql, "START TRANSACTION;");
	append_insert(w, "INSERT", m, &sql);
	buf_append_str(&sql, is_elsewhere ? ";COMMIT;" : ";");
	append_delete(w, &sql);
	buf_append_str(&sql, ";COMMIT");
	return run(w, &sql, err);
}

/* Gone here first, unlogged, so that it can come. */
static enum err_code take_away(struct work *w, struct err *err)
{
	struct buf sql = {0};
	enum err_code code = ERR_OK;
	if (w->images[0].is_there) {
		append_delete(w, &sql);
		code = connection_run(w->writer, "SET SESSION sql_log_bin=0", err);
		if (code == ERR_OK)
			code = transact(w, &sql, err);
		if (code == ERR_OK)
			w->row->hashes[0][0] = '\0';
		if (code == ERR_OK)
			code = connection_run(w->writer, "SET SESSION sql_log_bin=1", err);
		buf_free(&sql);
	}
	return code == ERR_OK ? come_and_go(w, err) : code;
}

/* What is right here already is written once more. Where some node lacks it there must be nothing to delete, so it goes
 * unlogged, with the table locked: nobody sees it gone. */
static enum err_code send(struct work *w, struct err *err)
{
	struct buf sql = {0};
	const struct image *m = &w->images[0];
	if (!m->is_there)
		return come_and_go(w, err);
	if (!any_lacks(w)) {
		append_delete(w, &sql);
		buf_append_str(&sql, ";");
		append_insert(w, "INSERT", m, &sql);
		return transact(w, &sql, err);
	}
	buf_printf(&sql, "LOCK TABLES %s WRITE", w->layout.table);
	enum err_code code = run(w, &sql, err);
	if (code == ERR_OK)
		code = check_here(w, err);
	if (code != ERR_OK)
		return code;
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
	append_delete(w, &sql);
	buf_append_str(&sql, ";SET SESSION sql_log_bin=1;");
	append_insert(w, "INSERT", m, &sql);
	buf_append_str(&sql, ";UNLOCK TABLES");
	return run(w, &sql, err);
}

static enum err_code write_row(struct work *w, struct err *err)
{
	struct err ignored;
	/* What is here is right, whoever else has it, too: then only the others are wrong. */
	bool is_right = strcmp(w->images[0].hash, w->images[w->winner].hash) == 0;
	enum err_code code = is_right                        ? send(w, err)
	                     : w->images[w->winner].is_there ? take_over(w, err)
	                                                     : take_away(w, err);
	if (code != ERR_OK && connection_is_open(w->writer))
		(void)!connection_run(w->writer, "ROLLBACK; UNLOCK TABLES; SET SESSION sql_log_bin=1", &ignored);
	return code;
}

/* ---- Undo ---- */

/* REPLACE: a row may meet another that has its unique value by now, and comes back, or goes, further on. */
static enum err_code note_undo(struct work *w, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < w->repair->node_count; i++) {
		struct buf sql = {0};
		if (strcmp(w->images[i].hash, w->images[w->winner].hash) == 0 && i != 0)
			continue;
		if (w->images[i].is_there)
			append_insert(w, "REPLACE", &w->images[i], &sql);
		else
			append_delete(w, &sql);
		code = undo_add(w->undo, w->repair->nodes[i], &sql, err);
		buf_free(&sql);
	}
	return code;
}

/* ---- For people ---- */

static void append_shown(const struct work *w, const struct image *m, size_t c, struct buf *to)
{
	struct buf text = {0};
	bool is_text = m->values[c] != NULL && w->layout.columns[c].value == VALUE_BYTES;
	for (unsigned long i = 0; is_text && i < m->sizes[c]; i++)
		is_text = m->values[c][i] >= ' ' && m->values[c][i] < 0x7f;
	if (is_text)
		buf_printf(&text, "'%s'", m->values[c]);
	else
		layout_append_printable(&w->layout, c, m->values[c], m->sizes[c], &text);
	if (text.size > VALUE_SHOWN_MAX)
		buf_printf(to, "%.*s…", VALUE_SHOWN_MAX, buf_str(&text));
	else
		buf_append_str(to, buf_str(&text));
	buf_free(&text);
}

/* "v: 'a' is to be 'b', n: 5 is to be 6" of rows that are on both, else the whole row. */
static void append_change(const struct work *w, struct buf *to)
{
	const struct image *here = &w->images[0], *there = &w->images[w->winner];
	const char *comma = "";
	for (unsigned c = 0; c < w->layout.column_count && (here->is_there || there->is_there); c++) {
		bool is_same = here->is_there && there->is_there && (here->values[c] == NULL) == (there->values[c] == NULL) &&
		               here->sizes[c] == there->sizes[c] &&
		               (here->values[c] == NULL || memcmp(here->values[c], there->values[c], here->sizes[c]) == 0);
		if (is_same)
			continue;
		buf_printf(to, "%s%s: ", comma, w->layout.columns[c].name);
		if (here->is_there)
			append_shown(w, here, c, to);
		buf_append_str(to, here->is_there && there->is_there ? " is to be " : "");
		if (there->is_there)
			append_shown(w, there, c, to);
		comma = ", ";
	}
}

static void report(struct work *w, const char *why_not)
{
	struct buf change = {0};
	bool is_chosen = w->winner < w->repair->node_count;
	bool here = w->images[0].is_there, there = is_chosen && w->images[w->winner].is_there;
	bool is_right = is_chosen && strcmp(w->images[0].hash, w->images[w->winner].hash) == 0;
	if (is_chosen && !is_right)
		append_change(w, &change);
	struct repair_report r = {.database = w->row->database,
	                          .table = w->row->table,
	                          .key = buf_str(&w->key),
	                          .winner = is_chosen ? w->repair->nodes[w->winner] : 0,
	                          .what = is_right ? "send"
	                                  : !there ? "delete"
	                                  : here   ? "update"
	                                           : "insert",
	                          .change = change.size > 0 ? buf_str(&change) : NULL,
	                          .why_not = why_not};
	w->wish->report(w->wish->context, &r);
	buf_free(&change);
}

/* ---- Row by row ---- */

static enum err_code take_row(struct work *w, struct repair_row *row, struct err *err)
{
	w->row = row;
	enum err_code code = load_table(w, row, err);
	if (code != ERR_OK)
		return code;
	buf_clear(&w->condition);
	buf_clear(&w->key);
	verify_append_condition(&w->layout, row->key, row->key_size, &w->condition);
	verify_append_key(&w->layout, row->key, row->key_size, &w->key);
	return ERR_OK;
}

/* Sets the winner; the reason if there is none. */
static const char *choose(struct work *w)
{
	const char *why = NULL;
	uint32_t node = w->wish->choose(w->wish->context, w->row->database, w->row->table, &why);
	w->winner = w->repair->node_count;
	for (size_t i = 0; node != 0 && i < w->repair->node_count; i++)
		if (w->repair->nodes[i] == node)
			w->winner = i;
	if (w->winner == w->repair->node_count)
		return why != NULL ? why : "the node whose rows are to be taken wasn't compared";
	return w->has_triggers ? "the table has triggers, which would run; drop them for the time being" : NULL;
}

/* What is to be done about it; nothing is changed yet. */
static enum err_code plan(struct work *w, struct repair_row *row, struct err *err)
{
	bool is_same = false;
	enum err_code code = take_row(w, row, err);
	if (code == ERR_OK)
		code = read_images(w, &is_same, err);
	if (code != ERR_OK)
		return code;
	const char *why_not = choose(w);
	if (why_not == NULL && !is_same)
		why_not = "it was changed since it was compared; run this again";
	row->is_through = why_not != NULL;
	w->result.not_done += why_not != NULL;
	if (why_not != NULL || !w->wish->apply) {
		report(w, why_not);
		w->result.done += why_not == NULL;
		return ERR_OK;
	}
	return note_undo(w, err);
}

static bool all_equal(const struct work *w)
{
	bool is_equal = true;
	for (size_t i = 1; i < w->repair->node_count; i++)
		is_equal = is_equal && strcmp(w->images[0].hash, w->images[i].hash) == 0;
	return is_equal;
}

/* A row whose unique value another has that is to be changed, too, comes later; it may have given way to that one by then. */
static enum err_code apply(struct work *w, struct repair_row *row, bool is_last, struct err *err)
{
	bool is_same = false;
	struct err why;
	enum err_code code = take_row(w, row, err);
	if (code == ERR_OK)
		code = read_images(w, &is_same, err);
	if (code != ERR_OK)
		return code;
	(void)choose(w);
	if (is_same)
		code = write_row(w, &why);
	else if (!all_equal(w))
		code = err_set(&why, ERR_BUSY, "it was changed at this moment");
	if (!is_last && (code == ERR_BUSY || (code == ERR_SERVER && why.server_errno == DUPLICATE_KEY)))
		return ERR_OK;
	if (code == ERR_DISCONNECTED) {
		*err = why;
		return code;
	}
	row->is_through = true;
	report(w, code == ERR_OK ? NULL : why.message);
	w->result.done += code == ERR_OK;
	w->result.not_done += code != ERR_OK;
	return ERR_OK;
}

static enum err_code apply_all(struct work *w, struct err *err)
{
	const struct verify_wish *verify = w->wish->verify;
	enum err_code code = undo_sync(w->undo, err);
	for (int round = 0; code == ERR_OK && round < ROUNDS_MAX; round++) {
		if (round > 0 && w->result.done + w->result.not_done < w->repair->count)
			clock_sleep_ms(ROUND_WAIT_MS);
		for (size_t i = 0; code == ERR_OK && i < w->repair->count; i++) {
			if (verify->cancelled != NULL && *verify->cancelled)
				return err_set(err, ERR_CANCELLED, "interrupted; what was done stays done, run it again to go on");
			if (!w->repair->rows[i].is_through)
				code = apply(w, &w->repair->rows[i], round + 1 == ROUNDS_MAX, err);
		}
	}
	return code;
}

/* ---- Sessions ---- */

static enum err_code open_all(struct work *w, struct err *err)
{
	static const char writer_sql[] =
	    "SET SESSION sql_log_bin=1, foreign_key_checks=0, check_constraint_checks=0, lock_wait_timeout=3,"
	    " innodb_lock_wait_timeout=3, autocommit=1, innodb_strict_mode=0;"
	    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
	const struct verify_wish *verify = w->wish->verify;
	enum err_code code = ERR_OK;
	for (size_t i = 0; i < w->repair->node_count; i++)
		w->readers[i] = connection_new();
	w->writer = connection_new();
	for (size_t i = 0; code == ERR_OK && i < w->repair->node_count; i++)
		for (size_t n = 0; code == ERR_OK && n < verify->node_count; n++)
			if (verify->nodes[n].id == w->repair->nodes[i])
				code = session_open_source(w->readers[i], &verify->nodes[n].target, err);
	if (code == ERR_OK)
		code = session_open_source(w->writer, &verify->nodes[0].target, err);
	return code == ERR_OK ? connection_run(w->writer, writer_sql, err) : code;
}

enum err_code repair_run(const struct repair *repair, const struct repair_wish *wish, struct undo *undo,
                         struct repair_result *ret, struct err *err)
{
	struct work w = {.repair = repair, .wish = wish, .undo = undo};
	enum err_code code = open_all(&w, err);
	if (wish->apply)
		undo_init(undo, wish->undo_dir, clock_wall_s());
	for (size_t i = 0; code == ERR_OK && i < repair->count; i++)
		code = plan(&w, &repair->rows[i], err);
	if (code == ERR_OK && wish->apply)
		code = apply_all(&w, err);
	*ret = w.result;
	for (size_t i = 0; i < repair->node_count; i++) {
		connection_free(w.readers[i]);
		image_free(&w.images[i]);
	}
	connection_free(w.writer);
	if (w.has_layout)
		layout_free(&w.layout);
	buf_free(&w.condition);
	buf_free(&w.key);
	return code;
}
