#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "copy/session.h"
#include "verify/job.h"

#define NUMBER_MAX ((int64_t)1 << 60)

enum {
	CHUNK_BYTES = 4 * 1024 * 1024,
	ROW_BYTES_DEFAULT = 100,
	CHUNK_ROWS_FIRST = 500,
	CHUNK_ROWS_MIN = 16,
	CHUNK_ROWS_MAX = 20000,
	CHUNKS_A_SECOND = 10, /* with a rate: no longer pauses and bursts than that */
	LEAF_ROWS = 500,      /* so many are compared one by one */
	PIECES = 8,
	PENDING_MAX = 10000,
	WHOLE_LOOKS = 3,
};

/* ---- Questions to all nodes ---- */

struct digest {
	char values[5][72];
	uint64_t rows;
	bool has_hashes;
};

static enum err_code on_digest(void *context, unsigned count, const char *const *values, const unsigned long *sizes,
                               struct err *err)
{
	struct digest *d = context;
	(void)err;
	for (unsigned i = 0; i < count && i < 5; i++)
		if (values[i] != NULL && sizes[i] < sizeof d->values[i])
			memcpy(d->values[i], values[i], sizes[i]);
	d->rows = strtoull(d->values[0], NULL, 10);
	d->has_hashes = count == 2 || strcmp(d->values[0], d->values[1]) == 0;
	return ERR_OK;
}

/* A row without a hash is equal to nothing. */
static bool digests_equal(const struct digest *a, const struct digest *b)
{
	bool is_equal = a->has_hashes && b->has_hashes;
	for (size_t i = 0; i < 4; i++)
		is_equal = is_equal && strcmp(a->values[i], b->values[i]) == 0;
	return is_equal;
}

static bool all_equal(const struct job *job, const struct digest *digests)
{
	bool is_equal = true;
	for (size_t i = 1; i < job->node_count; i++)
		is_equal = is_equal && digests_equal(&digests[0], &digests[i]);
	return is_equal;
}

/* NOT IN, of whole rows where the key has several columns: nothing that the optimizer makes a hundred ranges of. */
static char *untouched(struct job_table *t)
{
	const struct layout *l = &t->layout;
	struct buf sql = {0};
	if (t->touched.count == 0 || l->key_name == NULL)
		return NULL;
	for (size_t i = 0; i < l->key_count; i++) {
		buf_append_str(&sql, i > 0 ? "," : "(");
		sql_append_name(&sql, l->columns[l->key[i]].name);
	}
	buf_append_str(&sql, ") NOT IN (");
	for (size_t k = 0; k < t->touched.count; k++) {
		size_t size, value_size;
		const uint8_t *value, *key = keyset_key(&t->touched, k, &size);
		buf_append_str(&sql, k > 0 ? ",(" : "(");
		for (size_t i = 0; i < l->key_count && keyset_unpack(&key, &size, &value, &value_size); i++) {
			buf_append_str(&sql, i > 0 ? "," : "");
			layout_append_key_value(l, i, value, value_size, &sql);
		}
		buf_append_str(&sql, ")");
	}
	buf_append_str(&sql, ")");
	char *text = mem_strdup(buf_str(&sql));
	buf_free(&sql);
	return text;
}

/* About what it takes to read so many rows. */
static uint64_t bytes_of(const struct job_table *t, uint64_t rows)
{
	return rows * (t->object->rows > 0 ? t->object->bytes / t->object->rows : ROW_BYTES_DEFAULT);
}

static enum err_code digest(struct job *job, struct job_table *t, const struct range *range, struct digest *digests,
                            struct err *err)
{
	struct buf sql = {0};
	char *only = untouched(t);
	memset(digests, 0, job->node_count * sizeof *digests);
	buf_append_str(&sql, COPY_LET_GO);
	if (t->layout.key_name != NULL)
		layout_append_quick_digest(&t->layout, range, only, &sql);
	else
		layout_append_digest(&t->layout, range, only, &sql);
	enum err_code code = job_ask(job, &sql, on_digest, digests, sizeof *digests, err);
	free(only);
	buf_free(&sql);
	return code;
}

struct ending {
	const struct layout *layout;
	struct position *to;
};

static enum err_code on_end(void *context, unsigned count, const char *const *values, const unsigned long *sizes,
                            struct err *err)
{
	struct ending *ending = context;
	(void)count;
	(void)err;
	layout_take_position(ending->layout, ending->to, values, sizes, true);
	return ERR_OK;
}

/* The key of the `rows`th row of the range there; unset if there are fewer. */
static enum err_code find_end(struct job_table *t, struct connection *connection, const struct range *range,
                              uint64_t rows, struct position *ret, struct err *err)
{
	struct buf sql = {0};
	struct ending ending = {.layout = &t->layout, .to = ret};
	ret->is_set = false;
	buf_append_str(&sql, COPY_LET_GO);
	layout_append_key(&t->layout, range, &sql);
	buf_printf(&sql, " LIMIT 1 OFFSET %llu", (unsigned long long)rows - 1);
	enum err_code code = connection_stream(connection, (const char *)sql.data, sql.size, on_end, &ending, err);
	buf_free(&sql);
	return code;
}

/* ---- Down to rows ---- */

void compare_pack(const struct layout *layout, const char *const *values, const unsigned long *sizes, struct buf *key)
{
	buf_clear(key);
	for (size_t i = 0; i < layout->key_count; i++)
		keyset_pack(key, values[i] != NULL ? values[i] : "", values[i] != NULL ? sizes[i] : 0,
		            layout->columns[layout->key[i]].value == VALUE_NUMBER);
}

/* By key, the hashes that the nodes have; empty where it isn't there. */
struct leaf {
	const struct layout *layout;
	struct keyset *rows; /* payload: node_count texts of HASH_TEXT */
	size_t node;
	struct buf key;
};
enum { HASH_TEXT = 33 };

static enum err_code on_hash(void *context, unsigned count, const char *const *values, const unsigned long *sizes,
                             struct err *err)
{
	struct leaf *leaf = context;
	const char *hash = count == leaf->layout->key_count + 1 ? values[count - 1] : NULL;
	(void)err;
	compare_pack(leaf->layout, values, sizes, &leaf->key);
	size_t i = keyset_add(leaf->rows, leaf->key.data, leaf->key.size);
	uint8_t *to = keyset_payload(leaf->rows, i) + leaf->node * HASH_TEXT;
	if (hash != NULL && sizes[count - 1] < HASH_TEXT)
		memcpy(to, hash, sizes[count - 1]);
	else
		to[0] = '?'; /* there, but too long for a hash */
	return ERR_OK;
}

static enum err_code leaf(struct job *job, struct job_table *t, const struct range *range, struct err *err)
{
	struct keyset rows = {.payload = job->node_count * HASH_TEXT};
	struct leaf leaves[VERIFY_NODES_MAX] = {0};
	struct buf sql = {0};
	char *only = untouched(t);
	for (size_t i = 0; i < job->node_count; i++)
		leaves[i] = (struct leaf){.layout = &t->layout, .rows = &rows, .node = i};
	buf_append_str(&sql, COPY_LET_GO);
	layout_append_hashes(&t->layout, range, only, &sql);
	enum err_code code = job_ask(job, &sql, on_hash, leaves, sizeof *leaves, err);
	for (size_t k = 0; code == ERR_OK && k < rows.count; k++) {
		size_t size;
		const uint8_t *hashes = keyset_payload(&rows, k), *key = keyset_key(&rows, k, &size);
		bool is_equal = hashes[0] != '?';
		for (size_t i = 1; i < job->node_count; i++)
			is_equal = is_equal && memcmp(hashes, hashes + i * HASH_TEXT, HASH_TEXT) == 0;
		if (!is_equal)
			*keyset_payload(&t->pending, keyset_add(&t->pending, key, size)) |= PENDING_DIFFERED;
	}
	for (size_t i = 0; i < job->node_count; i++)
		buf_free(&leaves[i].key);
	free(only);
	buf_free(&sql);
	keyset_free(&rows);
	return code;
}

static void copy_position(const struct layout *layout, struct position *to, const struct position *from)
{
	const char *values[64];
	unsigned long sizes[64];
	if (!from->is_set)
		return;
	for (size_t i = 0; i < layout->key_count && i < 64; i++) { /* an index has at most 32 columns */
		values[i] = from->values[i].size > 0 ? (const char *)from->values[i].data : "";
		sizes[i] = from->values[i].size;
	}
	layout_take_position(layout, to, values, sizes, true);
}

/* By pieces of the node that has the most rows there; so each step down has fewer of its rows. */
static enum err_code narrow(struct job *job, struct job_table *t, const struct range *range,
                            const struct digest *digests, struct err *err)
{
	size_t most = 0;
	struct range part = {0};
	enum err_code code = ERR_OK;
	for (size_t i = 1; i < job->node_count; i++)
		most = digests[i].rows > digests[most].rows ? i : most;
	if (digests[most].rows <= LEAF_ROWS)
		return leaf(job, t, range, err);
	uint64_t piece = digests[most].rows / PIECES + 1;
	copy_position(&t->layout, &part.from, &range->from);
	for (bool more = true; code == ERR_OK && more;) {
		struct digest *of_part = mem_alloc(job->node_count * sizeof *of_part);
		struct range rest = {.from = part.from, .to = range->to};
		code = find_end(t, job->nodes[most].connection, &rest, piece, &part.to, err);
		more = part.to.is_set;
		if (!more)
			copy_position(&t->layout, &part.to, &range->to);
		if (code == ERR_OK)
			code = digest(job, t, &part, of_part, err);
		if (code == ERR_OK && !all_equal(job, of_part))
			code = narrow(job, t, &part, of_part, err);
		if (code == ERR_OK)
			code = job_read(job, 0, of_part[most].rows, bytes_of(t, of_part[most].rows), err);
		layout_move_position(&part.from, &part.to);
		free(of_part);
	}
	layout_position_free(&t->layout, &part.from);
	layout_position_free(&t->layout, &part.to);
	return code;
}

/* ---- Chunks ---- */

struct walk {
	struct job *job;
	struct job_table *table;
	struct range range;
	uint64_t chunk_rows;
	bool is_again, is_passed;
	/* A key that is one whole number: a chunk is so many numbers, and its end isn't looked for. */
	bool is_number;
	int64_t next, last, width; /* all behind `last` is one chunk */
};

/* As many rows as make CHUNK_BYTES, and no more than a tenth of a second's at the rate that is allowed. */
static void adapt(struct walk *w, uint64_t rows, uint64_t bytes)
{
	enum { GROWTH_MAX = 8 };
	const struct verify_wish *wish = w->job->wish;
	double of_row = rows > 0 ? (double)bytes / (double)rows : 0;
	double fit = of_row > 0 ? CHUNK_BYTES / of_row : CHUNK_ROWS_MAX;
	if (wish->rows_s > 0 && fit > (double)wish->rows_s / CHUNKS_A_SECOND)
		fit = (double)wish->rows_s / CHUNKS_A_SECOND;
	if (wish->bytes_s > 0 && of_row > 0 && fit > (double)wish->bytes_s / CHUNKS_A_SECOND / of_row)
		fit = (double)wish->bytes_s / CHUNKS_A_SECOND / of_row;
	if (fit > (double)(w->chunk_rows * GROWTH_MAX))
		fit = (double)(w->chunk_rows * GROWTH_MAX);
	w->chunk_rows = fit < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : fit > CHUNK_ROWS_MAX ? CHUNK_ROWS_MAX : (uint64_t)fit;
}

struct span {
	bool is_number;
	int64_t first, last;
	bool is_empty;
};

static bool take_number(const char *text, int64_t *ret)
{
	char *end;
	*ret = strtoll(text, &end, 10);
	return *end == '\0' && end != text && *ret > -NUMBER_MAX && *ret < NUMBER_MAX;
}

static enum err_code on_span(void *context, unsigned count, const char *const *values, const unsigned long *sizes,
                             struct err *err)
{
	struct span *span = context;
	(void)sizes;
	(void)err;
	span->is_empty = count < 2 || values[0] == NULL || values[1] == NULL;
	span->is_number = span->is_empty || (take_number(values[0], &span->first) && take_number(values[1], &span->last));
	return ERR_OK;
}

/* From the lowest to the highest number that any node has. */
static enum err_code find_span(struct walk *w, struct err *err)
{
	struct job *job = w->job;
	const struct layout *l = &w->table->layout;
	struct span *spans = mem_alloc(job->node_count * sizeof *spans);
	struct buf sql = {0}, name = {0};
	bool is_first = true;
	if (l->key_count != 1 || l->columns[l->key[0]].value != VALUE_NUMBER) {
		free(spans);
		return ERR_OK;
	}
	sql_append_name(&name, l->columns[l->key[0]].name);
	buf_printf(&sql, COPY_LET_GO "SELECT MIN(%s),MAX(%s) FROM %s", buf_str(&name), buf_str(&name), l->table);
	enum err_code code = job_ask(job, &sql, on_span, spans, sizeof *spans, err);
	w->is_number = code == ERR_OK;
	w->next = w->last = 0;
	for (size_t i = 0; code == ERR_OK && i < job->node_count; i++) {
		w->is_number = w->is_number && spans[i].is_number;
		if (spans[i].is_empty)
			continue;
		w->next = is_first || spans[i].first < w->next ? spans[i].first : w->next;
		w->last = is_first || spans[i].last > w->last ? spans[i].last : w->last;
		is_first = false;
	}
	w->width = (int64_t)w->chunk_rows;
	buf_free(&sql);
	buf_free(&name);
	free(spans);
	return code;
}

static void next_numbers(struct walk *w)
{
	char text[24];
	w->range.to.is_set = false;
	if (w->last - w->next < w->width)
		return;
	w->next += w->width;
	snprintf(text, sizeof text, "%lld", (long long)w->next - 1);
	layout_take_position(&w->table->layout, &w->range.to, &(const char *){text}, &(unsigned long){strlen(text)}, true);
}

/* The next chunk so wide that it has about as many rows as it should; where there are gaps, not too much at once. */
static void adapt_width(struct walk *w, uint64_t rows)
{
	enum { GROWTH_MAX = 8 };
	double most = (double)w->width * GROWTH_MAX;
	double fit = rows > 0 ? (double)w->width / (double)rows * (double)w->chunk_rows : most;
	fit = fit > most ? most : fit < 1 ? 1 : fit;
	w->width = fit < (double)(NUMBER_MAX / 2) ? (int64_t)fit : NUMBER_MAX / 2;
}

/* Where this node has no more rows another may have many. */
static enum err_code find_chunk(struct walk *w, struct err *err)
{
	enum err_code code = ERR_OK;
	if (w->is_number) {
		next_numbers(w);
		return ERR_OK;
	}
	w->range.to.is_set = false;
	for (size_t i = 0; code == ERR_OK && !w->range.to.is_set && i < w->job->node_count; i++)
		code = find_end(w->table, w->job->nodes[i].connection, &(struct range){.from = w->range.from}, w->chunk_rows,
		                &w->range.to, err);
	return code;
}

static void set_pending_touched(struct job_table *t)
{
	for (size_t k = 0; k < t->touched.count; k++) {
		size_t size;
		const uint8_t *key = keyset_key(&t->touched, k, &size);
		keyset_add(&t->pending, key, size);
	}
}

static enum err_code count(struct walk *w, uint64_t rows, uint64_t bytes, struct err *err)
{
	struct job *job = w->job;
	const struct object *o = w->table->object;
	if (w->is_again)
		return job_read(job, 0, rows, bytes, err);
	w->table->result->rows += rows;
	uint64_t done = w->table->result->rows, total = o->rows > done ? o->rows : done;
	job->state.done = job->tables_done + (total > 0 ? (uint64_t)((double)done / (double)total * (double)o->bytes) : 0);
	return job_read(job, rows, rows, bytes, err);
}

static enum err_code do_chunk(struct walk *w, bool *ret_more, struct err *err)
{
	struct job *job = w->job;
	struct digest *digests = mem_alloc(job->node_count * sizeof *digests);
	enum err_code code = find_chunk(w, err);
	if (code == ERR_OK)
		code = digest(job, w->table, &w->range, digests, err);
	if (code == ERR_OK && !all_equal(job, digests))
		code = narrow(job, w->table, &w->range, digests, err);
	if (code == ERR_OK) {
		uint64_t bytes = bytes_of(w->table, digests[0].rows);
		adapt(w, digests[0].rows, bytes);
		adapt_width(w, digests[0].rows);
		code = count(w, digests[0].rows, bytes, err);
	}
	*ret_more = w->range.to.is_set;
	layout_move_position(&w->range.from, &w->range.to);
	free(digests);
	return code;
}

static enum err_code give_up(struct job_table *t)
{
	t->result->verdict = VERIFY_UNKNOWN;
	free(t->result->why);
	t->result->why = mem_strdup("it is written to all the time in ways that no single row can be told by");
	return ERR_OK;
}

static enum err_code walk(struct walk *w, struct err *err)
{
	struct job *job = w->job;
	struct job_table *t = w->table;
	enum err_code code = ERR_OK;
	for (bool more = true, good = true, is_first = true; code == ERR_OK && more; is_first = false) {
		code = look_for(job, t, &good, err);
		if (code == ERR_OK && good && is_first)
			code = find_span(w, err);
		if (code == ERR_OK && !good) {
			code = give_up(t);
			break;
		}
		w->is_passed = w->is_passed || t->is_passed;
		if (code == ERR_OK)
			set_pending_touched(t);
		if (code == ERR_OK)
			code = do_chunk(w, &more, err);
		if (code == ERR_OK && settle_pending(job) >= PENDING_MAX)
			code = settle_all(job, err);
	}
	layout_position_free(&t->layout, &w->range.from);
	layout_position_free(&t->layout, &w->range.to);
	return code;
}

/* A row that came out equal though something may just have been passed on to it on one of the nodes only: had that hidden a
 * difference, it would be seen when all have what any had then. So all are gone through once more. */
static enum err_code by_key(struct job *job, struct job_table *t, struct err *err)
{
	struct walk w = {.job = job, .table = t, .chunk_rows = CHUNK_ROWS_FIRST};
	enum err_code code = walk(&w, err);
	if (code != ERR_OK || !w.is_passed || t->result->verdict == VERIFY_UNKNOWN)
		return code;
	struct vector before = job->all;
	struct walk again = {.job = job, .table = t, .chunk_rows = w.chunk_rows, .is_again = true};
	look_end(job);
	job->before = &before;
	code = walk(&again, err);
	job->before = NULL;
	return code;
}

/* ---- Tables without a key ---- */

/* All rows of it at once, in a look that nothing of it was written in. A difference has to be there in several. */
static enum err_code whole(struct job *job, struct job_table *t, struct err *err)
{
	struct walk w = {.job = job, .table = t};
	struct digest *digests = mem_alloc(job->node_count * sizeof *digests);
	struct vector before;
	bool good = true, is_equal = false;
	enum err_code code = ERR_OK;
	for (int i = 0; code == ERR_OK && good && !is_equal && i < WHOLE_LOOKS; i++) {
		if (i > 0) {
			before = job->all;
			job->before = &before;
			look_end(job);
			code = job_sleep(job, 1000, err);
		}
		if (code == ERR_OK)
			code = look_for(job, t, &good, err);
		if (code == ERR_OK && good && job->has_old)
			i--; /* not all have what was compared last */
		if (code == ERR_OK && good)
			code = digest(job, t, &w.range, digests, err);
		if (code == ERR_OK && good)
			is_equal = all_equal(job, digests);
	}
	job->before = NULL;
	if (code == ERR_OK && !good)
		code = give_up(t);
	else if (code == ERR_OK && !is_equal) {
		t->result->verdict = VERIFY_DIFFERENT;
		t->result->why = mem_strdup("its rows differ; it has no primary key, so which can't be told");
	}
	if (code == ERR_OK && good)
		code = count(&w, digests[0].rows, bytes_of(t, digests[0].rows), err);
	free(digests);
	return code;
}

enum err_code compare_table(struct job *job, struct job_table *t, struct err *err)
{
	job->state.database = t->object->database;
	job->state.table = t->object->name;
	enum err_code code = t->layout.key_name != NULL ? by_key(job, t, err) : whole(job, t, err);
	if (code == ERR_OK) {
		job->tables_done += t->object->bytes;
		job->state.done = job->tables_done;
		code = job_check(job, true, err);
	}
	return code;
}
