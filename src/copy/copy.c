#include "copy/copy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "copy/job.h"
#include "copy/make.h"
#include "copy/rows.h"
#include "copy/session.h"

enum { SNAPSHOTS_MAX = 5, ALTERED_WAIT_MS = 500 };

static enum err_code check_databases(size_t count, const char *const *databases, struct err *err)
{
	static const char *const others[] = {"mysql", "information_schema", "performance_schema", "sys", "syncline"};
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < sizeof others / sizeof *others; j++)
			if (strcasecmp(databases[i], others[j]) == 0)
				return err_set(err, ERR_USAGE, "%s is each server's own and can't be copied; leave it out", others[j]);
	return ERR_OK;
}

static const char *name_of(const struct connection_target *target)
{
	return target->name ? target->name : target->socket ? target->socket : target->group;
}

/* ---- One snapshot ---- */

static enum err_code open_both(struct copy_job *job, struct err *err)
{
	const struct copy_wish *wish = job->wish;
	static const char ask[] = "SELECT @@max_allowed_packet";
	struct buf limit = {0};
	enum err_code code = session_open_target(job->target, wish->to, err);
	if (code == ERR_OK)
		code = session_lock_target(job->target, name_of(wish->to), err);
	if (code == ERR_OK)
		code = connection_value(job->target, ask, strlen(ask), &limit, NULL, err);
	if (code == ERR_OK) {
		job->packet_bytes = strtoull(buf_str(&limit), NULL, 10);
		code = session_open_source(job->source, wish->from, err);
	}
	if (code == ERR_OK)
		code = session_check_privileges(job->source, name_of(wish->from), wish->database_count, wish->databases, err);
	buf_free(&limit);
	return code;
}

/* Definitions aren't part of a snapshot. What is the same before and after it began is as the snapshot has it. */
static enum err_code take_snapshot(struct copy_job *job, struct objects *ret, struct err *err)
{
	const struct copy_wish *wish = job->wish;
	struct objects before = {0}, after = {0};
	enum err_code code = objects_read(job->source, wish->database_count, wish->databases, &before, err);
	if (code == ERR_OK)
		code = session_snapshot(job->source, name_of(wish->from), &job->result.vector, err);
	if (code == ERR_OK)
		code = objects_read(job->source, wish->database_count, wish->databases, &after, err);
	if (job_source_error(job, code, err) == ERR_OK) {
		const struct object *changed = objects_difference(&before, &after);
		job->is_altered = changed != NULL;
		if (changed != NULL)
			code = err_set(err, ERR_SERVER, "%s: %s %s.%s changed at this moment", name_of(wish->from),
			               object_kind_name(changed->kind), changed->database, changed->name);
	}
	objects_free(&before);
	if (code == ERR_OK)
		*ret = after;
	else
		objects_free(&after);
	return code;
}

static enum err_code check_engines(const struct objects *objects, struct err *err)
{
	for (size_t i = 0; i < objects->count; i++) {
		const struct object *o = &objects->items[i];
		if (o->kind == KIND_TABLE && strcasecmp(o->engine, "InnoDB") != 0)
			return err_set(
			    err, ERR_UNSUPPORTED,
			    "%s.%s is %s, which can't be read as of one moment; run on the node that is copied from: ALTER "
			    "TABLE `%s`.`%s` ENGINE=InnoDB",
			    o->database, o->name, o->engine[0] != '\0' ? o->engine : "of an unknown engine", o->database, o->name);
	}
	return ERR_OK;
}

static enum err_code copy_tables(struct copy_job *job, const struct objects *objects, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < objects->count; i++)
		if (objects->items[i].kind == KIND_TABLE)
			code = rows_copy(job, &objects->items[i], err);
	job->state.database = job->state.table = NULL;
	return code;
}

static enum err_code copy_once(struct copy_job *job, struct err *err)
{
	struct objects objects = {0};
	job->state.done = job->state.total = job->tables_done = job->state.rows_done = 0;
	job->result.tables = 0;
	enum err_code code = open_both(job, err);
	if (code == ERR_OK)
		code = take_snapshot(job, &objects, err);
	for (size_t i = 0; i < objects.count; i++)
		job->state.total += objects.items[i].kind == KIND_TABLE ? objects.items[i].bytes : 0;
	if (code == ERR_OK)
		code = check_engines(&objects, err);
	if (code == ERR_OK)
		code = job_step(job, true, err);
	if (code == ERR_OK)
		code = make_prepare(job, &objects, err);
	if (code == ERR_OK)
		code = copy_tables(job, &objects, err);
	if (code == ERR_OK)
		code = make_finish(job, &objects, err);
	if (code == ERR_OK)
		code = job_step(job, true, err);
	objects_free(&objects);
	connection_close(job->source);
	connection_close(job->target);
	return code;
}

/* ---- Until one holds ---- */

enum err_code copy_run(const struct copy_wish *wish, struct copy_result *ret, struct err *err)
{
	struct err own;
	struct copy_job job = {.wish = wish, .started_ms = clock_monotonic_ms()};
	if (err == NULL)
		err = &own; /* what it says is looked at */
	enum err_code code = check_databases(wish->database_count, wish->databases, err);
	if (code != ERR_OK)
		return code;
	job.source = connection_new();
	job.target = connection_new();
	do {
		job.is_altered = false;
		if (job.result.snapshots > 0)
			clock_sleep_ms(ALTERED_WAIT_MS);
		job.result.snapshots++;
		code = copy_once(&job, err);
	} while (code == ERR_SERVER && job.is_altered && job.result.snapshots < SNAPSHOTS_MAX);
	if (code == ERR_SERVER && job.is_altered) {
		err->code = code = ERR_BUSY;
		err_wrap(err, "the tables were altered during each of %u copies; run it again when the schema stands still",
		         job.result.snapshots);
	}
	if (code == ERR_OK)
		*ret = job.result;
	connection_free(job.source);
	connection_free(job.target);
	return code;
}

/* ---- What there is ---- */

static enum err_code count_table(struct connection *connection, const struct object *table, uint64_t *ret,
                                 struct err *err)
{
	struct buf sql = {0}, value = {0};
	buf_append_str(&sql, "SELECT COUNT(*) FROM ");
	object_append_name(&sql, table);
	enum err_code code = connection_value(connection, (const char *)sql.data, sql.size, &value, NULL, err);
	if (code == ERR_OK)
		*ret = strtoull(buf_str(&value), NULL, 10);
	buf_free(&sql);
	buf_free(&value);
	return code;
}

enum err_code copy_look(const struct connection_target *target, size_t database_count, const char *const *databases,
                        copy_held *held, void *context, struct err *err)
{
	struct objects objects = {0};
	struct connection *connection = connection_new();
	enum err_code code = check_databases(database_count, databases, err);
	if (code == ERR_OK)
		code = session_open_target(connection, target, err);
	if (code == ERR_OK)
		code = objects_read(connection, database_count, databases, &objects, err);
	for (size_t i = 0; code == ERR_OK && i < objects.count; i++) {
		uint64_t rows = 0;
		if (objects.items[i].kind != KIND_TABLE)
			continue;
		code = count_table(connection, &objects.items[i], &rows, err);
		if (code == ERR_OK)
			held(context, objects.items[i].database, objects.items[i].name, rows);
	}
	objects_free(&objects);
	connection_free(connection);
	return code;
}
