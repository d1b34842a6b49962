#include "copy/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/layout.h"
#include "copy/session.h"

enum {
	CHUNK_BYTES = 1024 * 1024,
	SEGMENT_BYTES = 16 * CHUNK_BYTES, /* what one SELECT of a stream brings: DDL waits for it */
	KEEP_BYTES = 2 * CHUNK_BYTES,
	STEP_BYTES = 64 * 1024,
	STEP_ROWS = 1000,
	CHUNK_ROWS_FIRST = 128,
	CHUNK_ROWS_MIN = 16,
	CHUNK_ROWS_MAX = 20000,
	DUPLICATE_KEY = 1062,
};

struct table_copy {
	struct copy_job *job;
	const struct object *table;
	struct layout layout;
	struct range range; /* from: all up to there is done */
	uint64_t chunk_rows;
	/* The statement that is being filled. */
	struct buf insert;
	const char *verb;
	uint64_t insert_bytes; /* of values */
	/* Of the stream. */
	struct position last;
	uint64_t stream_rows, stream_bytes;
	uint64_t new_rows, new_bytes; /* that neither progress nor rate limit know of */
	uint64_t rows_done;
	bool is_refused;   /* by the target */
	bool is_duplicate; /* a row met another row's key */
};

/* ---- Progress ---- */

/* A table counts as many bytes as the source says it has, so many of them as of its rows are through. */
static enum err_code count_rows(struct table_copy *t, uint64_t rows, bool is_end, struct err *err)
{
	struct copy_job *job = t->job;
	t->rows_done += rows;
	job->state.rows_done += rows;
	uint64_t total = t->table->rows > t->rows_done ? t->table->rows : t->rows_done;
	double part = is_end || total == 0 ? 1 : (double)t->rows_done / (double)total;
	job->state.done = job->tables_done + (uint64_t)(part * (double)t->table->bytes);
	if (is_end)
		job->tables_done += t->table->bytes;
	return job_step(job, is_end, err);
}

/* ---- Writing ---- */

/* The disk is full, as InnoDB and the server say it. */
static bool is_no_room(const struct err *err)
{
	enum { DISK_FULL = 1021, GET_ERRNO = 1030, RECORD_FILE_FULL = 1114 };
	return err->server_errno == DISK_FULL || err->server_errno == RECORD_FILE_FULL ||
	       (err->server_errno == GET_ERRNO && strstr(err->message, "error 28") != NULL);
}

static enum err_code from_target(struct table_copy *t, enum err_code code, struct err *err)
{
	if (code == ERR_SERVER && err != NULL && is_no_room(err)) {
		size_t size = strlen(err->message);
		snprintf(err->message + size, sizeof err->message - size, "; make room on its disk and run it again");
	}
	t->is_refused = t->is_refused || code != ERR_OK;
	t->is_duplicate = t->is_duplicate || (code == ERR_SERVER && err != NULL && err->server_errno == DUPLICATE_KEY);
	return code;
}

static enum err_code run_target(struct table_copy *t, const char *sql, struct err *err)
{
	return from_target(t, connection_run(t->job->target, sql, err), err);
}

static enum err_code flush(struct table_copy *t, struct err *err)
{
	if (t->insert.size == 0)
		return ERR_OK;
	if (t->insert.size >= t->job->packet_bytes)
		return err_set(err, ERR_CONFIG,
		               "a row is larger than the target's max_allowed_packet; set max_allowed_packet=1G under "
		               "[mysqld] there, restart MariaDB and run it again");
	enum err_code code = connection_run_n(t->job->target, (const char *)t->insert.data, t->insert.size, err);
	buf_shrink(&t->insert, KEEP_BYTES);
	t->job->result.bytes_copied += t->insert_bytes;
	t->insert_bytes = 0;
	return from_target(t, code, err);
}

/* Tells the progress and the rate limit what came since the last time. */
static enum err_code settle(struct table_copy *t, struct err *err)
{
	uint64_t rows = t->new_rows, bytes = t->new_bytes;
	t->new_rows = t->new_bytes = 0;
	enum err_code code = count_rows(t, rows, false, err);
	return code == ERR_OK ? job_pace(t->job, bytes, err) : code;
}

static enum err_code on_row(void *context, unsigned count, const char *const *values, const unsigned long *sizes,
                            struct err *err)
{
	struct table_copy *t = context;
	uint64_t bytes = 0;
	for (unsigned i = 0; i < count; i++)
		bytes += sizes[i];
	if (t->insert.size == 0)
		layout_append_insert(&t->layout, t->verb, &t->insert);
	else
		buf_append_str(&t->insert, ",");
	layout_append_row(&t->layout, values, sizes, &t->insert);
	t->insert_bytes += bytes;
	t->stream_bytes += bytes;
	t->stream_rows++;
	t->new_bytes += bytes;
	t->new_rows++;
	t->job->result.rows_copied++;
	if (t->layout.key_name != NULL)
		layout_take_position(&t->layout, &t->last, values, sizes, false);
	enum err_code code = ERR_OK;
	if (t->insert.size >= CHUNK_BYTES || t->insert.size >= t->job->packet_bytes / 4)
		code = flush(t, err);
	bool is_due = t->new_bytes >= STEP_BYTES || t->new_rows >= STEP_ROWS;
	return code == ERR_OK && is_due ? settle(t, err) : code;
}

/* All rows of the range into the target, at most `limit` (0: all). */
static enum err_code stream(struct table_copy *t, uint64_t limit, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, COPY_LET_GO);
	layout_append_select(&t->layout, &t->range, &sql);
	if (limit > 0)
		buf_printf(&sql, " LIMIT %llu", (unsigned long long)limit);
	t->stream_rows = t->stream_bytes = 0;
	enum err_code code = connection_stream(t->job->source, (const char *)sql.data, sql.size, on_row, t, err);
	if (code != ERR_OK && !t->is_refused)
		job_source_error(t->job, code, err);
	if (code == ERR_OK)
		code = flush(t, err);
	if (code == ERR_OK)
		code = settle(t, err);
	buf_free(&sql);
	return code;
}

/* ---- Chunks ---- */

/* As many rows as make `wanted` bytes, given that `rows` had so many; not too many more at once, since the next ones
 * may be larger. */
static uint64_t adapt(uint64_t rows, uint64_t bytes, uint64_t wanted)
{
	enum { GROWTH_MAX = 8 };
	uint64_t most = rows * GROWTH_MAX;
	uint64_t fit = bytes > 0 ? (uint64_t)((double)rows * (double)wanted / (double)bytes) : most;
	return fit > most ? most : fit;
}

static void set_chunk_rows(struct table_copy *t, uint64_t rows)
{
	t->chunk_rows = rows < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : rows > CHUNK_ROWS_MAX ? CHUNK_ROWS_MAX : rows;
}

struct digest {
	char values[5][72];
	bool is_whole; /* each row has a hash */
};

static enum err_code on_digest(void *context, unsigned count, const char *const *values, const unsigned long *sizes,
                               struct err *err)
{
	struct digest *digest = context;
	(void)err;
	for (unsigned i = 0; i < count && i < 5; i++)
		if (values[i] != NULL && sizes[i] < sizeof digest->values[i])
			memcpy(digest->values[i], values[i], sizes[i]);
	digest->is_whole = strcmp(digest->values[0], digest->values[1]) == 0;
	return ERR_OK;
}

static bool digest_equal(const struct digest *a, const struct digest *b)
{
	bool is_equal = a->is_whole && b->is_whole;
	for (size_t i = 0; i < 4; i++)
		is_equal = is_equal && strcmp(a->values[i], b->values[i]) == 0;
	return is_equal;
}

struct ending {
	struct table_copy *t;
	struct position *to;
};

static enum err_code on_end(void *context, unsigned count, const char *const *values, const unsigned long *sizes,
                            struct err *err)
{
	struct ending *ending = context;
	(void)count;
	(void)err;
	layout_take_position(&ending->t->layout, ending->to, values, sizes, true);
	return ERR_OK;
}

/* range.to becomes the key of the chunk's last row; unset if there are fewer rows. */
static enum err_code find_end(struct table_copy *t, struct err *err)
{
	struct buf sql = {0};
	t->range.to.is_set = false;
	buf_append_str(&sql, COPY_LET_GO);
	layout_append_key(&t->layout, &t->range, &sql);
	buf_printf(&sql, " LIMIT 1 OFFSET %llu", (unsigned long long)t->chunk_rows - 1);
	struct ending ending = {.t = t, .to = &t->range.to};
	enum err_code code = connection_stream(t->job->source, (const char *)sql.data, sql.size, on_end, &ending, err);
	buf_free(&sql);
	return job_source_error(t->job, code, err);
}

static enum err_code compare(struct table_copy *t, bool *ret_equal, uint64_t *ret_rows, struct err *err)
{
	struct buf sql = {0};
	struct digest theirs = {0}, ours = {0};
	layout_append_digest(&t->layout, &t->range, NULL, &sql);
	enum err_code code = connection_stream(t->job->source, (const char *)sql.data, sql.size, on_digest, &theirs, err);
	if (code != ERR_OK)
		job_source_error(t->job, code, err);
	else
		code = connection_stream(t->job->target, (const char *)sql.data, sql.size, on_digest, &ours, err);
	buf_free(&sql);
	if (code != ERR_OK)
		return code;
	*ret_equal = digest_equal(&theirs, &ours);
	*ret_rows = strtoull(theirs.values[0], NULL, 10);
	uint64_t bytes = strtoull(theirs.values[4], NULL, 10);
	if (*ret_rows > 0)
		set_chunk_rows(t, adapt(*ret_rows, bytes, CHUNK_BYTES));
	return ERR_OK;
}

static enum err_code replace(struct table_copy *t, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "BEGIN; DELETE FROM %s", t->layout.table);
	layout_append_where(&t->layout, &t->range, &sql);
	enum err_code code = run_target(t, buf_str(&sql), err);
	buf_free(&sql);
	t->verb = t->layout.has_other_unique && t->layout.can_replace ? "REPLACE" : "INSERT";
	if (code == ERR_OK)
		code = stream(t, 0, err);
	if (code == ERR_OK)
		code = run_target(t, "COMMIT", err);
	if (code == ERR_OK)
		t->job->result.chunks_copied++;
	return code;
}

static enum err_code do_chunk(struct table_copy *t, bool *ret_more, struct err *err)
{
	bool is_equal = false;
	uint64_t rows = 0;
	enum err_code code = find_end(t, err);
	if (code == ERR_OK)
		code = compare(t, &is_equal, &rows, err);
	if (code == ERR_OK && !is_equal)
		code = replace(t, err);
	if (code == ERR_OK && is_equal) {
		t->job->result.chunks_equal++;
		code = count_rows(t, rows, false, err);
	}
	*ret_more = t->range.to.is_set;
	layout_move_position(&t->range.from, &t->range.to);
	return code;
}

/* ---- Tables ---- */

/* Does the target have rows further on? */
static enum err_code holds_more(struct table_copy *t, bool *ret, struct err *err)
{
	struct buf sql = {0}, value = {0};
	buf_printf(&sql, "SELECT 1 FROM %s%s", t->layout.table, t->layout.is_versioned ? " FOR SYSTEM_TIME ALL" : "");
	layout_append_where(&t->layout, &t->range, &sql);
	buf_append_str(&sql, " LIMIT 1");
	enum err_code code = connection_value(t->job->target, (const char *)sql.data, sql.size, &value, ret, err);
	buf_free(&sql);
	buf_free(&value);
	return code;
}

static enum err_code empty(struct table_copy *t, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "ROLLBACK; TRUNCATE TABLE %s", t->layout.table);
	enum err_code code = run_target(t, buf_str(&sql), err);
	buf_free(&sql);
	return code;
}

static enum err_code stream_rest(struct table_copy *t, struct err *err)
{
	enum { LOCKED_S = 5 };
	uint64_t limit = t->chunk_rows, wanted = SEGMENT_BYTES, rate = t->job->wish->rate_limit_kib_s;
	enum err_code code = ERR_OK;
	if (rate > 0 && rate * 1024 * LOCKED_S < wanted)
		wanted = rate * 1024 * LOCKED_S;
	t->verb = "INSERT";
	for (bool more = true; code == ERR_OK && more;) {
		code = stream(t, limit, err);
		more = t->stream_rows == limit;
		if (code == ERR_OK && more) {
			layout_move_position(&t->range.from, &t->last);
			limit = adapt(limit, t->stream_bytes, wanted);
			limit = limit > 0 ? limit : 1;
		}
		if (code == ERR_OK)
			t->job->result.chunks_copied += t->stream_rows > 0;
	}
	return code;
}

static enum err_code copy_by_key(struct table_copy *t, struct err *err)
{
	enum err_code code = ERR_OK;
	for (bool more = true; code == ERR_OK && more;) {
		bool holds = false;
		code = holds_more(t, &holds, err);
		if (code == ERR_OK && !holds)
			return stream_rest(t, err);
		if (code == ERR_OK)
			code = do_chunk(t, &more, err);
	}
	return code;
}

static enum err_code copy_whole(struct table_copy *t, struct err *err)
{
	bool holds = false;
	t->verb = "INSERT";
	enum err_code code = holds_more(t, &holds, err);
	if (code == ERR_OK && holds)
		code = empty(t, err);
	if (code == ERR_OK)
		code = stream(t, 0, err);
	if (code == ERR_OK)
		t->job->result.chunks_copied += t->stream_rows > 0;
	return code;
}

/* A row was in the way that can't be replaced: then everything anew. The stream's connection is gone with the error,
 * and so is the snapshot. */
static enum err_code judge_duplicate(struct table_copy *t, enum err_code code, struct err *err)
{
	struct err ignored;
	if (!t->is_duplicate || t->layout.key_name == NULL)
		return code;
	if (empty(t, &ignored) != ERR_OK)
		return code;
	t->job->is_altered = true;
	return err_wrap(err, "the rows that were there are in the way");
}

enum err_code rows_copy(struct copy_job *job, const struct object *table, struct err *err)
{
	struct table_copy t = {.job = job, .table = table};
	job->state.database = table->database;
	job->state.table = table->name;
	enum err_code code = layout_load(job->target, table, &t.layout, err);
	if (code == ERR_OK)
		code = job_step(job, false, err);
	t.chunk_rows = CHUNK_ROWS_FIRST; /* the server's own statistics may be anything */
	if (code == ERR_OK)
		code = t.layout.key_name != NULL ? copy_by_key(&t, err) : copy_whole(&t, err);
	code = judge_duplicate(&t, code, err);
	if (code == ERR_OK)
		code = count_rows(&t, 0, true, err);
	if (code != ERR_OK && code != ERR_CANCELLED)
		code = err_wrap(err, "copying %s.%s", table->database, table->name);
	job->result.tables += code == ERR_OK;
	layout_position_free(&t.layout, &t.range.from);
	layout_position_free(&t.layout, &t.range.to);
	layout_position_free(&t.layout, &t.last);
	layout_free(&t.layout);
	buf_free(&t.insert);
	return code;
}
