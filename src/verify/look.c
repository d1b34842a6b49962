#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "copy/session.h"
#include "sql/native.h"
#include "sql/server.h"
#include "verify/job.h"

enum {
	LOOK_MS_MAX = 5000, /* how long snapshots are kept: what is deleted meanwhile stays on the disks, and DDL waits */
	BEGIN_TRIES = 50,
	BEGIN_WAIT_MS = 2,
	APART_WAIT_MS = 100,
	FOLLOW_MS_MAX = 1500,
	FOLLOW_WAIT_MS = 2,
	GOOD_TRIES = 60,
	PASSED_TRIES = 8,
	GOOD_WAIT_MS = 20,
	GOOD_WAIT_MS_MAX = 250,
};

/* ---- One node's snapshot ---- */

static void take_place(void *context, unsigned count, const char *const *v)
{
	struct session_place *place = context;
	if (count < 2 || v[0] == NULL || v[1] == NULL || strlen(v[0]) >= sizeof place->file ||
	    strlen(v[1]) >= sizeof place->position)
		return;
	memcpy(place->file, v[0], strlen(v[0]) + 1);
	memcpy(place->position, v[1], strlen(v[1]) + 1);
}

/* Names of log files count up: mysql-bin.999999 is followed by mysql-bin.1000000. */
static bool is_behind(const struct session_place *a, const struct session_place *b)
{
	size_t a_size = strlen(a->file), b_size = strlen(b->file);
	int order = a_size != b_size ? (a_size < b_size ? -1 : 1) : strcmp(a->file, b->file);
	if (order != 0)
		return order < 0;
	return strtoull(a->position, NULL, 10) < strtoull(b->position, NULL, 10);
}

/* What its log has now, in `has`, and a place that is not before the end of that. */
static enum err_code look_ahead(const struct job *job, struct job_node *n, struct session_place *place, struct err *err)
{
	struct vector applied = {0};
	*place = (struct session_place){0};
	enum err_code code = connection_run(n->connection, "ROLLBACK", err);
	if (code == ERR_OK)
		code = server_vector(n->connection, &n->has, err);
	if (code == ERR_OK && job->wish->is_native) /* what is filtered out counts as had, too */
		code = native_position(n->connection, &applied, err);
	if (code == ERR_OK)
		code = vector_merge(&n->has, &applied, err);
	if (code == ERR_OK)
		code = connection_query(n->connection, "SHOW MASTER STATUS", take_place, place, err);
	return code;
}

/* A transaction counts as logged a moment before snapshots see it. So a snapshot is believed to have what the log had
 * only if it sees the log as far as that. */
static enum err_code begin(const struct job *job, struct job_node *n, struct err *err)
{
	struct session_place ahead, place;
	for (int i = 0; i < BEGIN_TRIES; i++) {
		enum err_code code = look_ahead(job, n, &ahead, err);
		if (code == ERR_OK)
			code = session_begin(n->connection, n->who->target.name, &place, err);
		if (code != ERR_OK || !is_behind(&place, &ahead))
			return code;
		clock_sleep_ms(BEGIN_WAIT_MS);
	}
	return err_set(err, ERR_BUSY, "%s: no snapshot sees what its log has; try again", n->who->target.name);
}

struct positions {
	struct vector *has;
	enum err_code code;
	struct err *err;
};

static void take_link(void *context, unsigned count, const char *const *v)
{
	struct positions *p = context;
	struct vector position;
	if (count < 1 || v[0] == NULL || p->code != ERR_OK)
		return;
	p->code = vector_parse(v[0], &position, p->err);
	if (p->code == ERR_OK)
		p->code = vector_merge(p->has, &position, p->err);
}

/* A node has also what its links have passed by: what a peer noted for itself, and what isn't replicated. They are read
 * in the snapshot, and never ahead of it. */
static enum err_code read_links(struct job_node *n, struct err *err)
{
	enum { NO_SUCH_DATABASE = 1049, NO_SUCH_TABLE = 1146, NO_ACCESS = 1142 };
	struct buf sql = {0};
	struct err own = {0};
	struct positions positions = {.has = &n->has, .code = ERR_OK, .err = &own};
	buf_printf(&sql, "SELECT position FROM " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE " WHERE peer NOT IN (0,%u)",
	           (unsigned)n->who->id);
	enum err_code code = connection_query(n->connection, buf_str(&sql), take_link, &positions, &own);
	buf_free(&sql);
	if (code == ERR_SERVER &&
	    (own.server_errno == NO_SUCH_DATABASE || own.server_errno == NO_SUCH_TABLE || own.server_errno == NO_ACCESS))
		return ERR_OK;
	code = code == ERR_OK ? positions.code : code;
	if (code != ERR_OK && err != NULL)
		*err = own;
	return code;
}

/* ---- All of them ---- */

/* Waits a while until the node has what the other's snapshot has. */
static enum err_code wait_for(struct job *job, struct job_node *n, const struct vector *what, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + FOLLOW_MS_MAX;
	enum err_code code = connection_run(n->connection, "ROLLBACK", err);
	for (struct vector now = {0}; code == ERR_OK && clock_monotonic_ms() < deadline;) {
		code = server_vector(n->connection, &now, err);
		if (code != ERR_OK || vector_covers(&now, what))
			break;
		code = job_sleep(job, FOLLOW_WAIT_MS, err);
	}
	return code;
}

/* Where one leads, the others' snapshots follow when they have what it has: then its own writes are in few windows, however
 * long they take to get there. */
static enum err_code begin_all(struct job *job, struct err *err)
{
	size_t first = job->lead > 0 ? job->lead % job->node_count : 0;
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < job->node_count; i++) {
		struct job_node *n = &job->nodes[(first + i) % job->node_count];
		if (i > 0 && job->lead > 0)
			code = wait_for(job, n, &job->nodes[first].has, err);
		if (code == ERR_OK)
			code = begin(job, n, err);
	}
	for (size_t i = 0; code == ERR_OK && i < job->node_count; i++) {
		code = server_vector(job->nodes[i].connection, &job->nodes[i].until, err);
		if (code == ERR_OK && !job->wish->is_native)
			code = read_links(&job->nodes[i], err);
	}
	return code;
}

static void forget_touched(struct job *job)
{
	job->is_altered = job->has_old = false;
	for (size_t i = 0; i < job->table_count; i++) {
		struct job_table *t = &job->tables[i];
		t->is_touched = t->is_whole = t->is_passed = false;
		keyset_clear(&t->touched);
	}
}

/* What all snapshots have. A domain that one lacks altogether is read from where the others' logs begin. */
static struct vector common(const struct job *job)
{
	struct vector all = job->nodes[0].has;
	for (size_t i = 1; i < job->node_count; i++)
		all = vector_min(&all, &job->nodes[i].has);
	return all;
}

static enum err_code read_windows(struct job *job, bool *ret_far, struct err *err)
{
	struct vector from = common(job);
	enum err_code code = ERR_OK;
	*ret_far = false;
	job->all.count = 0;
	for (size_t i = 0; code == ERR_OK && !*ret_far && i < job->node_count; i++) {
		struct job_node *n = &job->nodes[i];
		code = vector_merge(&job->all, &n->until, err);
		if (code != ERR_OK || vector_covers(&from, &n->until))
			continue;
		code = between_read(job, n, &from, ret_far, err);
		if (*ret_far || code == ERR_GONE)
			job->lacking = n->who->target.name;
		if (code == ERR_GONE) { /* then another lacks what was purged there */
			*ret_far = true;
			code = ERR_OK;
		}
	}
	return code;
}

void look_end(struct job *job)
{
	struct err ignored;
	for (size_t i = 0; i < job->node_count; i++)
		if (connection_is_open(job->nodes[i].connection))
			(void)!connection_run(job->nodes[i].connection, "ROLLBACK", &ignored);
	job->has_look = false;
}

enum err_code look_take(struct job *job, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + job->wish->patience_ms;
	for (;;) {
		bool is_far = false;
		job->has_look = false;
		forget_touched(job);
		enum err_code code = job_check(job, false, err);
		if (code == ERR_OK)
			code = begin_all(job, err);
		if (code == ERR_OK)
			code = read_windows(job, &is_far, err);
		if (code != ERR_OK)
			return code;
		if (!is_far) {
			job->has_look = true;
			job->looked_ms = clock_monotonic_ms();
			return ERR_OK;
		}
		look_end(job);
		if (clock_monotonic_ms() > deadline)
			return err_set(
			    err, ERR_TIMEOUT,
			    "the other nodes lack too much of what %s has; see: syncline status, and run this again when "
			    "the links are live",
			    job->lacking);
		code = job_sleep(job, APART_WAIT_MS, err);
		if (code != ERR_OK)
			return code;
	}
}

/* `passed`: what may have been passed on to its rows is seen to otherwise. */
static bool is_good(const struct job *job, const struct job_table *t, bool passed)
{
	bool is_by_key = t->layout.key_name != NULL;
	if (!job->has_look || job->is_altered || t->is_whole || (job->before != NULL && job->has_old))
		return false;
	return is_by_key ? passed || !t->is_passed : !t->is_touched && !t->is_passed;
}

enum err_code look_for(struct job *job, struct job_table *t, bool *ret_good, struct err *err)
{
	int64_t wait = GOOD_WAIT_MS;
	*ret_good = is_good(job, t, true) && clock_monotonic_ms() - job->looked_ms < LOOK_MS_MAX;
	for (int i = 0; !*ret_good && i < GOOD_TRIES; i++) {
		enum err_code code = look_take(job, err);
		if (code != ERR_OK)
			return code;
		*ret_good = is_good(job, t, i >= PASSED_TRIES);
		if (!*ret_good) {
			look_end(job);
			code = job_sleep(job, wait, err);
			if (code != ERR_OK)
				return code;
			wait = wait * 2 > GOOD_WAIT_MS_MAX ? GOOD_WAIT_MS_MAX : wait * 2;
		}
	}
	return ERR_OK;
}
