#include "verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "copy/session.h"
#include "verify/job.h"

enum { TELL_MS = 100, SLICE_MS = 100, BURST_US = 200000, PASSES_MAX = 3, SCHEMA_WAIT_MS = 100, LINE_MAX_SHOWN = 120 };

const char *verify_verdict_name(enum verify_verdict verdict)
{
	static const char *const names[] = {"equal", "different", "unknown"};
	return names[verdict];
}

/* ---- Progress and rate ---- */

enum err_code job_check(struct job *job, bool is_due, struct err *err)
{
	int64_t now = clock_monotonic_ms();
	if (job->wish->cancelled != NULL && *job->wish->cancelled)
		return err_set(err, ERR_CANCELLED, "interrupted");
	if (job->wish->progress == NULL || (!is_due && now - job->told_ms < TELL_MS))
		return ERR_OK;
	job->told_ms = now;
	job->state.elapsed_ms = now - job->started_ms;
	job->wish->progress(job->wish->context, &job->state);
	return ERR_OK;
}

enum err_code job_sleep(struct job *job, int64_t ms, struct err *err)
{
	enum err_code code = job_check(job, false, err);
	for (int64_t end = clock_monotonic_ms() + ms, left; code == ERR_OK && (left = end - clock_monotonic_ms()) > 0;) {
		clock_sleep_ms(left < SLICE_MS ? left : SLICE_MS);
		code = job_check(job, false, err);
	}
	return code;
}

enum err_code job_read(struct job *job, uint64_t rows_done, uint64_t rows, uint64_t bytes, struct err *err)
{
	const struct verify_wish *wish = job->wish;
	job->state.rows_done += rows_done;
	job->state.bytes_sent += bytes;
	double by_rows = wish->rows_s > 0 ? (double)rows / (double)wish->rows_s : 0;
	double by_bytes = wish->bytes_s > 0 ? (double)bytes / (double)wish->bytes_s : 0;
	int64_t now = clock_monotonic_us();
	if (job->paid_us < now - BURST_US) /* what wasn't read then isn't made up for */
		job->paid_us = now - BURST_US;
	job->paid_us += (int64_t)((by_rows > by_bytes ? by_rows : by_bytes) * 1e6);
	return job->paid_us > now + 1000 ? job_sleep(job, (job->paid_us - now) / 1000, err) : job_check(job, false, err);
}

enum err_code job_ask(struct job *job, const struct buf *sql, connection_streamed_row *row, void *contexts, size_t size,
                      struct err *err)
{
	enum err_code code = ERR_OK;
	size_t sent = 0;
	while (code == ERR_OK && sent < job->node_count) {
		code = connection_send(job->nodes[sent].connection, (const char *)sql->data, sql->size, err);
		sent += code == ERR_OK;
	}
	for (size_t i = 0; i < sent; i++) {
		struct err own;
		enum err_code answer =
		    connection_answer(job->nodes[i].connection, row, (char *)contexts + i * size, code == ERR_OK ? err : &own);
		code = code == ERR_OK ? answer : code;
	}
	return code;
}

/* ---- Nodes ---- */

static void add_why(char **why, const char *text)
{
	char *old = *why;
	*why = old != NULL ? mem_printf("%s; %s", old, text) : mem_strdup(text);
	free(old);
}

static enum err_code open_node(struct job *job, const struct verify_node *who, struct connection *connection,
                               struct err *err)
{
	const struct verify_wish *wish = job->wish;
	enum err_code code = session_open_source(connection, &who->target, err);
	if (code == ERR_OK)
		code = session_check_select(connection, who->target.name, "comparing the nodes", wish->database_count,
		                            wish->databases, err);
	return code == ERR_OK ? code : err_wrap(err, "node %u can't be compared", (unsigned)who->id);
}

static enum err_code open_nodes(struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->wish->node_count && job->node_count < VERIFY_NODES_MAX; i++) {
		struct job_node *n = &job->nodes[job->node_count];
		*n = (struct job_node){.who = &job->wish->nodes[i], .connection = connection_new()};
		enum err_code code = open_node(job, n->who, n->connection, err);
		if (code == ERR_OK) {
			job->ids[job->node_count++] = n->who->id;
			continue;
		}
		connection_free(n->connection);
		if (i == 0 || code == ERR_CANCELLED)
			return code;
		add_why(&job->result->why, err->message);
	}
	return ERR_OK;
}

/* ---- Definitions ---- */

/* What the nodes have, the first's ahead. */
struct schemas {
	struct objects of[VERIFY_NODES_MAX];
};

static void schemas_free(struct job *job, struct schemas *s)
{
	for (size_t i = 0; i < job->node_count; i++)
		objects_free(&s->of[i]);
}

static enum err_code schemas_read(struct job *job, struct schemas *s, struct err *err)
{
	enum { TRIES = 5 };
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < job->node_count; i++)
		for (int try = 0; try < TRIES; try++) {
			code = objects_read_tables(job->nodes[i].connection, job->wish->database_count, job->wish->databases,
			                           &s->of[i], err);
			if (code != ERR_SERVER || !session_is_altered(err))
				break;
		}
	return code;
}

static bool is_meant(const struct verify_wish *wish, const char *database, const char *name)
{
	bool is_any = wish->table_count == 0;
	for (size_t i = 0; i < wish->table_count; i++) {
		size_t size = strlen(database);
		const char *text = wish->tables[i];
		is_any =
		    is_any || (strncmp(text, database, size) == 0 && text[size] == '.' && strcmp(text + size + 1, name) == 0);
	}
	return is_any;
}

static struct verify_table *find_result(struct verify_result *r, const char *database, const char *name)
{
	for (size_t i = 0; i < r->table_count; i++)
		if (strcmp(r->tables[i].database, database) == 0 && strcmp(r->tables[i].name, name) == 0)
			return &r->tables[i];
	return NULL;
}

static void list_tables(struct job *job, const struct schemas *s)
{
	struct verify_result *r = job->result;
	for (size_t i = 0; i < job->node_count; i++)
		for (size_t j = 0; j < s->of[i].count; j++) {
			const struct object *o = &s->of[i].items[j];
			if (o->kind != KIND_TABLE || !is_meant(job->wish, o->database, o->name) ||
			    find_result(r, o->database, o->name) != NULL)
				continue;
			r->tables = mem_resize(r->tables, (r->table_count + 1) * sizeof *r->tables);
			r->tables[r->table_count++] = (struct verify_table){.database = mem_strdup(o->database),
			                                                    .name = mem_strdup(o->name),
			                                                    .verdict = VERIFY_UNKNOWN,
			                                                    .why = mem_strdup("it wasn't compared")};
		}
}

static enum err_code check_wished(const struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->wish->table_count; i++) {
		bool is_found = false;
		for (size_t j = 0; j < job->result->table_count && !is_found; j++) {
			const struct verify_table *t = &job->result->tables[j];
			size_t size = strlen(t->database);
			const char *text = job->wish->tables[i];
			is_found =
			    strncmp(text, t->database, size) == 0 && text[size] == '.' && strcmp(text + size + 1, t->name) == 0;
		}
		if (!is_found)
			return err_set(err, ERR_USAGE, "--table=%s: no node has it in its replicated databases; write DB.TABLE",
			               job->wish->tables[i]);
	}
	return ERR_OK;
}

/* The first lines that differ, as "id int(11) NOT NULL here, id bigint(20) NOT NULL on node 2". */
static char *describe_difference(const char *here, const char *there, uint32_t node)
{
	while (*here != '\0' && *here == *there)
		here++, there++;
	const char *texts[2] = {here, there};
	char *lines[2];
	for (size_t i = 0; i < 2; i++) {
		const char *at = texts[i];
		while (at[0] != '\0' && at[-1] != '\n') /* both begin with CREATE TABLE */
			at--;
		at += strspn(at, " ");
		size_t size = strcspn(at, "\n");
		size -= size > 0 && at[size - 1] == ',';
		lines[i] = size == 0 ? mem_strdup("nothing")
		                     : mem_printf("%.*s", (int)(size < LINE_MAX_SHOWN ? size : LINE_MAX_SHOWN), at);
	}
	char *text = mem_printf("it is made otherwise: here %s, on node %u %s", lines[0], (unsigned)node, lines[1]);
	free(lines[0]);
	free(lines[1]);
	return text;
}

/* Why the rows can't be compared; NULL: they can. *ret_here: of the first node. */
static char *schema_difference(struct job *job, const struct schemas *s, const struct verify_table *t,
                               const struct object **ret_here)
{
	const struct object *here = NULL;
	struct object like = {.kind = KIND_TABLE, .database = t->database, .name = t->name};
	for (size_t i = 0; i < job->node_count; i++) {
		const struct object *o = objects_find(&s->of[i], &like);
		if (o == NULL)
			return mem_printf("node %u doesn't have it", (unsigned)job->ids[i]);
		here = i == 0 ? o : here;
		if (!object_equal(here, o))
			return describe_difference(here->definition, o->definition, job->ids[i]);
	}
	*ret_here = here;
	return NULL;
}

static bool any_differs(struct job *job, const struct schemas *s)
{
	for (size_t i = 0; i < job->result->table_count; i++) {
		const struct object *here;
		char *why = schema_difference(job, s, &job->result->tables[i], &here);
		free(why);
		if (why != NULL)
			return true;
	}
	return false;
}

/* DDL may be on its way: a difference counts when all nodes have all that any had when it was seen. */
static enum err_code read_settled(struct job *job, struct schemas *s, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + job->wish->patience_ms;
	struct vector before;
	enum err_code code = schemas_read(job, s, err);
	if (code != ERR_OK)
		return code;
	list_tables(job, s);
	for (bool is_settled = !any_differs(job, s); code == ERR_OK && !is_settled;) {
		code = look_take(job, err);
		before = job->all;
		job->before = &before;
		do {
			if (code == ERR_OK)
				code = job_sleep(job, SCHEMA_WAIT_MS, err);
			if (code == ERR_OK)
				code = look_take(job, err);
		} while (code == ERR_OK && job->has_old && clock_monotonic_ms() < deadline);
		is_settled = !job->is_altered || clock_monotonic_ms() > deadline;
		job->before = NULL;
		look_end(job);
		schemas_free(job, s);
		if (code == ERR_OK)
			code = schemas_read(job, s, err);
		is_settled = is_settled || !any_differs(job, s);
	}
	list_tables(job, s);
	return code;
}

/* ---- One pass over all tables that aren't through ---- */

static void set_why(struct verify_table *t, enum verify_verdict verdict, char *why)
{
	free(t->why);
	t->why = why;
	t->verdict = verdict;
}

static void tables_free(struct job *job)
{
	for (size_t i = 0; i < job->table_count; i++) {
		struct job_table *t = &job->tables[i];
		for (size_t j = 0; j < t->parent_count; j++)
			free(t->parents[j]);
		free(t->parents);
		layout_free(&t->layout);
		keyset_free(&t->touched);
		keyset_free(&t->pending);
	}
	free(job->tables);
	job->tables = NULL;
	job->table_count = 0;
}

/* A table whose rows are to be compared. */
static void add_table(struct job *job, const struct object *here, struct verify_table *result)
{
	struct err err;
	struct job_table t = {.object = here, .result = result, .pending = {.payload = 1}};
	if (strcasecmp(here->engine, "InnoDB") != 0) {
		set_why(result, VERIFY_UNKNOWN,
		        mem_printf("it is %s, which can't be read as of one moment",
		                   *here->engine ? here->engine : "of no engine"));
		return;
	}
	if (layout_load(job->nodes[0].connection, here, &t.layout, &err) != ERR_OK) {
		set_why(result, VERIFY_UNKNOWN, mem_strdup(err.message));
		return;
	}
	set_why(result, VERIFY_EQUAL, NULL);
	result->rows = result->different_rows = result->unknown_rows = 0;
	between_find_parents(&t);
	job->state.total += here->bytes;
	job->tables = mem_resize(job->tables, (job->table_count + 1) * sizeof *job->tables);
	job->tables[job->table_count++] = t;
}

/* `todo`, by the result's tables: those that this pass is about. */
static void set_up(struct job *job, const struct schemas *s, const bool *todo)
{
	job->state.done = job->state.total = job->tables_done = 0;
	for (size_t i = 0; i < job->result->table_count; i++) {
		struct verify_table *t = &job->result->tables[i];
		const struct object *here;
		if (!todo[i])
			continue;
		char *why = schema_difference(job, s, t, &here);
		if (why != NULL)
			set_why(t, VERIFY_DIFFERENT, why);
		else
			add_table(job, here, t);
	}
}

static enum err_code compare_all(struct job *job, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < job->table_count; i++) {
		struct job_table *t = &job->tables[i];
		code = compare_table(job, t, err);
		if (code == ERR_SERVER && session_is_altered(err)) {
			t->is_altered = true;
			code = ERR_OK;
		}
	}
	if (code == ERR_OK)
		code = settle_all(job, err);
	job->state.database = job->state.table = NULL;
	job->state.done = job->state.total;
	return code == ERR_OK ? job_check(job, true, err) : code;
}

static void conclude(struct verify_table *t, bool is_altered)
{
	if (is_altered)
		set_why(t, VERIFY_UNKNOWN, mem_strdup("it was altered while it was compared"));
	else if (t->different_rows > 0)
		t->verdict = VERIFY_DIFFERENT;
	else if (t->unknown_rows > 0 && t->verdict == VERIFY_EQUAL)
		set_why(t, VERIFY_UNKNOWN, mem_strdup("rows that change all the time, or are in dispute"));
}

/* *ret_again: some table was altered meanwhile. */
static enum err_code pass(struct job *job, struct schemas *s, bool *todo, bool *ret_again, struct err *err)
{
	struct schemas after = {0};
	set_up(job, s, todo);
	*ret_again = false;
	enum err_code code = compare_all(job, err);
	look_end(job);
	if (code == ERR_OK)
		code = schemas_read(job, &after, err);
	memset(todo, 0, job->result->table_count * sizeof *todo);
	for (size_t i = 0; i < job->table_count; i++) {
		struct job_table *t = &job->tables[i];
		const struct object *here = NULL;
		char *why = code == ERR_OK ? schema_difference(job, &after, t->result, &here) : NULL;
		bool is_same = code != ERR_OK || (why == NULL && !t->is_altered && object_equal(here, t->object));
		t->result->unknown_rows += t->pending.count; /* it broke off */
		conclude(t->result, !is_same);
		free(why);
		todo[t->result - job->result->tables] = !is_same;
		*ret_again = *ret_again || !is_same;
	}
	schemas_free(job, &after);
	tables_free(job);
	return code;
}

static enum err_code passes(struct job *job, struct err *err)
{
	struct schemas s = {0};
	bool again = true, *todo = NULL;
	enum err_code code = ERR_OK;
	for (int i = 0; code == ERR_OK && again && i < PASSES_MAX; i++) {
		size_t known = job->result->table_count;
		code = read_settled(job, &s, err);
		if (code == ERR_OK)
			code = check_wished(job, err);
		todo = mem_resize(todo, (job->result->table_count + 1) * sizeof *todo);
		for (size_t t = i == 0 ? 0 : known; t < job->result->table_count; t++)
			todo[t] = true;
		if (code == ERR_OK)
			code = pass(job, &s, todo, &again, err);
		schemas_free(job, &s);
	}
	free(todo);
	return code;
}

/* ---- The whole ---- */

static void sum_up(struct verify_result *r)
{
	r->verdict = r->why != NULL ? VERIFY_UNKNOWN : VERIFY_EQUAL;
	for (size_t i = 0; i < r->table_count; i++) {
		const struct verify_table *t = &r->tables[i];
		r->rows += t->rows;
		r->different_rows += t->different_rows;
		r->unknown_rows += t->unknown_rows;
		if (t->verdict == VERIFY_DIFFERENT || (t->verdict == VERIFY_UNKNOWN && r->verdict == VERIFY_EQUAL))
			r->verdict = t->verdict;
	}
}

enum err_code verify_run(const struct verify_wish *wish, struct verify_result *ret, struct err *err)
{
	struct err own;
	struct verify_result result = {0};
	struct job job = {.wish = wish, .result = &result, .started_ms = clock_monotonic_ms(), .lacking = ""};
	if (err == NULL)
		err = &own; /* what it says is kept */
	enum err_code code = open_nodes(&job, err);
	if (code == ERR_OK && job.node_count < 2 && result.why == NULL)
		add_why(&result.why, "this node has no peer to compare it with");
	if (code == ERR_OK && job.node_count > 1) {
		code = passes(&job, err);
		if (code != ERR_OK && code != ERR_CANCELLED && code != ERR_USAGE) {
			add_why(&result.why, err->message);
			code = ERR_OK;
		}
	}
	for (size_t i = 0; i < job.node_count; i++)
		connection_free(job.nodes[i].connection);
	sum_up(&result);
	result.elapsed_ms = clock_monotonic_ms() - job.started_ms;
	if (code == ERR_OK)
		*ret = result;
	else
		verify_result_free(&result);
	return code;
}

void verify_result_free(struct verify_result *r)
{
	for (size_t i = 0; i < r->table_count; i++) {
		free(r->tables[i].database);
		free(r->tables[i].name);
		free(r->tables[i].why);
	}
	free(r->tables);
	free(r->why);
	*r = (struct verify_result){0};
}

/* ---- Keys for people and for servers ---- */

void verify_append_key(const struct layout *layout, const uint8_t *key, size_t size, struct buf *to)
{
	const uint8_t *value;
	size_t value_size;
	for (size_t i = 0; i < layout->key_count && keyset_unpack(&key, &size, &value, &value_size); i++) {
		const struct layout_column *column = &layout->columns[layout->key[i]];
		bool is_text = true;
		for (size_t b = 0; b < value_size; b++)
			is_text = is_text && value[b] >= ' ' && value[b] != 0x7f && value[b] != '\'' &&
			          (value[b] < 0x80 || strncmp(column->character_set, "utf8", 4) == 0);
		buf_printf(to, "%s%s=", i > 0 ? ", " : "", column->name);
		if (column->value == VALUE_NUMBER || column->value == VALUE_CODE || column->value == VALUE_REAL)
			buf_append(to, value, value_size);
		else if (is_text)
			buf_printf(to, "'%.*s'", (int)value_size, (const char *)value);
		else
			sql_append_string(to, (const char *)value, value_size);
	}
}

void verify_append_condition(const struct layout *layout, const uint8_t *key, size_t size, struct buf *sql)
{
	const uint8_t *value;
	size_t value_size;
	buf_append_str(sql, "(");
	for (size_t i = 0; i < layout->key_count && keyset_unpack(&key, &size, &value, &value_size); i++) {
		buf_append_str(sql, i > 0 ? " AND " : "");
		sql_append_name(sql, layout->columns[layout->key[i]].name);
		buf_append_str(sql, "=");
		layout_append_key_value(layout, i, value, value_size, sql);
	}
	buf_append_str(sql, ")");
}
