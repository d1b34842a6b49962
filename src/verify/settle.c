#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "copy/session.h"
#include "verify/job.h"

enum {
	BATCH_ROWS = 100,
	ROUNDS_MAX = 60,
	PLAIN_ROUNDS = 4, /* then by turns one node leads */
	WAIT_MS = 20,
	WAIT_MS_MAX = 500,
	TELL_MS = 1000, /* what a node decides about two rows takes it a moment */
	HASH_TEXT = 33,
};

/* ---- Asking for rows by their keys ---- */

/* Of the pending rows from `first` on. One column: IN, which a range is made of; several: OR. */
static void append_keys(struct job_table *t, size_t first, size_t count, struct buf *sql)
{
	const struct layout *l = &t->layout;
	buf_append_str(sql, "(");
	if (l->key_count == 1) {
		sql_append_name(sql, l->columns[l->key[0]].name);
		buf_append_str(sql, " IN (");
	}
	for (size_t k = first; k < first + count; k++) {
		size_t size, value_size;
		const uint8_t *value, *key = keyset_key(&t->pending, k, &size);
		buf_append_str(sql, k == first ? "" : l->key_count == 1 ? "," : " OR ");
		if (l->key_count > 1)
			verify_append_condition(l, key, size, sql);
		else if (keyset_unpack(&key, &size, &value, &value_size))
			layout_append_key_value(l, 0, value, value_size, sql);
	}
	buf_append_str(sql, l->key_count == 1 ? "))" : ")");
}

struct answer {
	const struct layout *layout;
	struct keyset *rows; /* payload: a text of HASH_TEXT for each node */
	size_t node;
	struct buf key;
};

static enum err_code on_hash(void *context, unsigned count, const char *const *values, const unsigned long *sizes,
                             struct err *err)
{
	struct answer *a = context;
	const char *hash = count == a->layout->key_count + 1 ? values[count - 1] : NULL;
	(void)err;
	compare_pack(a->layout, values, sizes, &a->key);
	uint8_t *to = keyset_payload(a->rows, keyset_add(a->rows, a->key.data, a->key.size)) + a->node * HASH_TEXT;
	if (hash != NULL && sizes[count - 1] < HASH_TEXT)
		memcpy(to, hash, sizes[count - 1]);
	else
		to[0] = '?';
	return ERR_OK;
}

static enum err_code ask_rows(struct job *job, struct job_table *t, size_t first, size_t count, struct keyset *rows,
                              struct err *err)
{
	struct answer answers[VERIFY_NODES_MAX] = {0};
	struct buf sql = {0}, keys = {0};
	keyset_clear(rows);
	for (size_t i = 0; i < job->node_count; i++)
		answers[i] = (struct answer){.layout = &t->layout, .rows = rows, .node = i};
	append_keys(t, first, count, &keys);
	buf_append_str(&sql, COPY_LET_GO);
	layout_append_hashes(&t->layout, &(struct range){0}, buf_str(&keys), &sql);
	enum err_code code = job_ask(job, &sql, on_hash, answers, sizeof *answers, err);
	for (size_t i = 0; i < job->node_count; i++)
		buf_free(&answers[i].key);
	buf_free(&sql);
	buf_free(&keys);
	return code;
}

/* ---- One row ---- */

struct settling {
	struct job *job;
	bool may_tell; /* all nodes have what any had at the look before, and nothing is in dispute */
	bool is_last;
	int64_t started_ms;
	struct keyset rows, next;
};

static unsigned digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 0;
}

static void tell(struct settling *s, struct job_table *t, const uint8_t *key, size_t size, const uint8_t *hashes)
{
	struct job *job = s->job;
	bool is_there[VERIFY_NODES_MAX];
	uint8_t bytes[VERIFY_NODES_MAX][VERIFY_HASH_SIZE];
	t->result->different_rows++;
	if (job->wish->on_row == NULL)
		return;
	for (size_t i = 0; i < job->node_count; i++) {
		const uint8_t *text = hashes + i * HASH_TEXT;
		is_there[i] = text[0] != 0;
		for (size_t b = 0; b < VERIFY_HASH_SIZE; b++)
			bytes[i][b] = (uint8_t)(digit(text[2 * b]) << 4 | digit(text[2 * b + 1]));
	}
	struct verify_row row = {.database = t->object->database,
	                         .table = t->object->name,
	                         .layout = &t->layout,
	                         .key = key,
	                         .key_size = size,
	                         .node_count = job->node_count,
	                         .nodes = job->ids,
	                         .is_there = is_there,
	                         .hashes = (const uint8_t(*)[VERIFY_HASH_SIZE])bytes};
	job->wish->on_row(job->wish->context, &row);
}

static void judge(struct settling *s, struct job_table *t, size_t k)
{
	struct job *job = s->job;
	size_t size, found;
	const uint8_t *key = keyset_key(&t->pending, k, &size);
	uint8_t flags = *keyset_payload(&t->pending, k);
	const uint8_t *hashes = NULL;
	bool is_equal = true, has_hashes = true;
	bool is_touched = t->is_whole || keyset_find(&t->touched, key, size, &found);
	if (keyset_find(&s->rows, key, size, &found))
		hashes = keyset_payload(&s->rows, found);
	for (size_t i = 0; hashes != NULL && i < job->node_count; i++) {
		is_equal = is_equal && memcmp(hashes, hashes + i * HASH_TEXT, HASH_TEXT) == 0;
		has_hashes = has_hashes && hashes[i * HASH_TEXT] != '?';
	}
	bool is_proven = !t->is_passed || ((flags & PENDING_EQUAL) != 0 && !job->has_old);
	if (has_hashes && is_equal && !is_touched && is_proven)
		return;
	bool may_tell = s->may_tell && !(t->is_passed && t->is_passed_updates);
	if (has_hashes && !is_equal && !is_touched && (flags & PENDING_DIFFERED) != 0 && may_tell) {
		tell(s, t, key, size, hashes);
	} else if (s->is_last || !has_hashes) {
		t->result->unknown_rows++;
	} else {
		if (!is_touched && !job->has_old)
			flags |= is_equal ? PENDING_EQUAL : PENDING_DIFFERED;
		if (is_touched || !is_equal)
			flags &= (uint8_t)~PENDING_EQUAL;
		*keyset_payload(&s->next, keyset_add(&s->next, key, size)) = flags;
	}
}

/* ---- All of them, in one look ---- */

static enum err_code settle_table(struct settling *s, struct job_table *t, struct err *err)
{
	enum err_code code = ERR_OK;
	keyset_clear(&s->next);
	for (size_t first = 0; code == ERR_OK && first < t->pending.count; first += BATCH_ROWS) {
		size_t count = t->pending.count - first < BATCH_ROWS ? t->pending.count - first : BATCH_ROWS;
		code = ask_rows(s->job, t, first, count, &s->rows, err);
		for (size_t k = first; code == ERR_OK && k < first + count; k++)
			judge(s, t, k);
		if (code == ERR_OK)
			code = job_read(s->job, 0, count, 0, err);
	}
	if (code == ERR_OK) {
		struct keyset old = t->pending;
		t->pending = s->next;
		s->next = old;
	}
	return code;
}

size_t settle_pending(const struct job *job)
{
	size_t count = 0;
	for (size_t i = 0; i < job->table_count; i++)
		count += job->tables[i].pending.count;
	return count;
}

static enum err_code settle_once(struct settling *s, struct err *err)
{
	struct job *job = s->job;
	enum err_code code = look_take(job, err);
	bool is_quiet = job->wish->is_settled == NULL || job->wish->is_settled(job->wish->context);
	s->may_tell = is_quiet && !job->has_old && !job->is_altered && clock_monotonic_ms() - s->started_ms >= TELL_MS;
	for (size_t i = 0; code == ERR_OK && i < job->table_count; i++) {
		struct job_table *t = &job->tables[i];
		if (job->is_altered)
			t->is_whole = true;
		if (t->pending.count > 0)
			code = settle_table(s, t, err);
		if (code == ERR_SERVER && session_is_altered(err)) { /* its own end notices */
			keyset_clear(&t->pending);
			code = ERR_OK;
		}
	}
	look_end(job);
	return code;
}

enum err_code settle_all(struct job *job, struct err *err)
{
	struct settling s = {.job = job, .rows = {.payload = job->node_count * HASH_TEXT}, .next = {.payload = 1}};
	struct vector before = job->all;
	const struct vector *outer = job->before;
	int64_t wait = WAIT_MS, deadline = clock_monotonic_ms() + TELL_MS + job->wish->patience_ms;
	enum err_code code = ERR_OK;
	s.started_ms = clock_monotonic_ms();
	look_end(job);
	for (int i = 0; code == ERR_OK && settle_pending(job) > 0; i++) {
		job->before = &before;
		s.is_last = i + 1 >= ROUNDS_MAX || clock_monotonic_ms() > deadline;
		job->lead = i >= PLAIN_ROUNDS ? (size_t)i : 0;
		code = settle_once(&s, err);
		if (code == ERR_OK && !job->has_old)
			before = job->all;
		if (code == ERR_OK && settle_pending(job) > 0)
			code = job_sleep(job, wait, err);
		wait = wait * 2 > WAIT_MS_MAX ? WAIT_MS_MAX : wait * 2;
	}
	job->before = outer;
	job->lead = 0;
	keyset_free(&s.rows);
	keyset_free(&s.next);
	return code;
}
