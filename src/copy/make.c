#include "copy/make.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "copy/session.h"

static enum err_code about(const struct object *object, enum err_code code, const char *verb, struct err *err)
{
	if (code == ERR_OK)
		return ERR_OK;
	bool in_database = object->kind != KIND_DATABASE;
	return err_wrap(err, "can't %s %s %s%s%s", verb, object_kind_name(object->kind), object->database,
	                in_database ? "." : "", object->name);
}

static enum err_code read_target(struct copy_job *job, struct objects *ret, struct err *err)
{
	enum err_code code = objects_read(job->target, job->wish->database_count, job->wish->databases, ret, err);
	return code == ERR_OK ? ERR_OK : err_wrap(err, "reading what the target has");
}

/* ---- Taking away ---- */

static enum err_code drop(struct copy_job *job, const struct object *object, struct err *err)
{
	struct buf sql = {0};
	buf_printf(&sql, "DROP %s IF EXISTS ", object_kind_name(object->kind));
	object_append_name(&sql, object);
	enum err_code code = connection_run_n(job->target, (const char *)sql.data, sql.size, err);
	buf_free(&sql);
	return about(object, code, "drop", err);
}

/* A database's defaults are altered. Old versions of rows have no key to be compared by: their table is made anew. */
static bool is_in_the_way(const struct object *object, const struct objects *source)
{
	if (object->kind == KIND_TRIGGER)
		return true;
	const struct object *there = objects_find(source, object);
	if (object->kind == KIND_DATABASE)
		return there == NULL;
	return there == NULL || !object_equal(object, there) || object->is_versioned;
}

/* In an order in which nothing needs what is gone. */
static enum err_code drop_all(struct copy_job *job, const struct objects *target, const struct objects *source,
                              struct err *err)
{
	static const enum object_kind order[] = {KIND_TRIGGER,      KIND_EVENT,   KIND_VIEW,  KIND_FUNCTION, KIND_PROCEDURE,
	                                         KIND_PACKAGE_BODY, KIND_PACKAGE, KIND_TABLE, KIND_SEQUENCE, KIND_DATABASE};
	enum err_code code = ERR_OK;
	for (size_t k = 0; k < sizeof order / sizeof *order; k++)
		for (size_t i = 0; code == ERR_OK && i < target->count; i++)
			if (target->items[i].kind == order[k] && is_in_the_way(&target->items[i], source))
				code = drop(job, &target->items[i], err);
	return code;
}

/* ---- Making ---- */

static enum err_code make_database(struct copy_job *job, const struct object *object, const struct objects *target,
                                   struct err *err)
{
	const struct object *there = objects_find(target, object);
	if (there != NULL && object_equal(there, object))
		return ERR_OK;
	struct buf sql = {0};
	buf_append_str(&sql, there != NULL ? "ALTER DATABASE " : "CREATE DATABASE ");
	object_append_name(&sql, object);
	buf_append_str(&sql, object->definition);
	enum err_code code = connection_run_n(job->target, (const char *)sql.data, sql.size, err);
	buf_free(&sql);
	return about(object, code, "make", err);
}

static void append_setting(struct buf *sql, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(sql, ", %s=", name);
	sql_append_string(sql, value, strlen(value));
}

static void append_collation(struct buf *sql, const struct object *object, const char *collation)
{
	buf_append_str(sql, "ALTER DATABASE ");
	sql_append_name(sql, object->database);
	buf_printf(sql, " COLLATE %s;", collation);
}

/* What the database's default is to be again afterwards, on the heap; NULL if it is as when the object was made. */
static enum err_code ask_collation(struct copy_job *job, const struct object *object, char **ret, struct err *err)
{
	struct buf sql = {0}, value = {0};
	buf_append_str(&sql, "USE ");
	sql_append_name(&sql, object->database);
	buf_append_str(&sql, ";SELECT @@collation_database");
	enum err_code code = connection_value(job->target, (const char *)sql.data, sql.size, &value, NULL, err);
	bool differs = object->database_collation != NULL && strcmp(buf_str(&value), object->database_collation) != 0;
	*ret = code == ERR_OK && differs ? mem_strdup(buf_str(&value)) : NULL;
	buf_free(&sql);
	buf_free(&value);
	return code;
}

static enum err_code enter_session(struct copy_job *job, const struct object *object, bool is_collated, struct err *err)
{
	struct buf sql = {0};
	if (is_collated)
		append_collation(&sql, object, object->database_collation);
	buf_append_str(&sql, "SET SESSION sql_log_bin=0");
	append_setting(&sql, "character_set_client", object->client);
	append_setting(&sql, "collation_connection", object->collation);
	append_setting(&sql, "time_zone", object->time_zone);
	append_setting(&sql, "sql_mode", object->sql_mode); /* last: it must not change how the rest is read */
	enum err_code code = connection_run_n(job->target, (const char *)sql.data, sql.size, err);
	buf_free(&sql);
	return code;
}

static enum err_code leave_session(struct copy_job *job, const struct object *object, const char *collation,
                                   struct err *err)
{
	struct buf sql = {0};
	enum err_code code = session_reset_target(job->target, err);
	if (collation != NULL)
		append_collation(&sql, object, collation);
	if (code == ERR_OK && sql.size > 0)
		code = connection_run_n(job->target, (const char *)sql.data, sql.size, err);
	buf_free(&sql);
	return code;
}

/* As it was made: a routine's body means what its session's sql_mode, character sets and database's default said. */
static enum err_code make_object(struct copy_job *job, const struct object *object, struct err *err)
{
	char *collation = NULL;
	struct err ignored;
	enum err_code code = ask_collation(job, object, &collation, err);
	if (code == ERR_OK)
		code = enter_session(job, object, collation != NULL, err);
	if (code == ERR_OK) /* by itself, since it may have any number of ; in it */
		code = connection_run(job->target, object->definition, err);
	if (code == ERR_OK)
		code = leave_session(job, object, collation, err);
	else if (code == ERR_SERVER && leave_session(job, object, collation, &ignored) != ERR_OK)
		connection_close(job->target); /* nobody knows what it would do next */
	free(collation);
	return about(object, code, "make", err);
}

/* ---- Sequences ---- */

static void take_state(void *context, unsigned count, const char *const *columns)
{
	struct buf *to = context;
	for (unsigned i = 0; i < count; i++)
		buf_printf(to, "%s%s", i > 0 ? "," : "", columns[i] != NULL ? columns[i] : "NULL");
}

/* The one row of its table: where it goes on, and its definition. */
static enum err_code read_state(struct connection *connection, const struct object *sequence, struct buf *ret,
                                struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SELECT * FROM ");
	object_append_name(&sql, sequence);
	enum err_code code = connection_query(connection, buf_str(&sql), take_state, ret, err);
	buf_free(&sql);
	return code;
}

/* Nothing moves a sequence back, so one that is elsewhere is made anew. */
static enum err_code make_sequence(struct copy_job *job, const struct object *sequence, bool is_there, struct err *err)
{
	struct buf theirs = {0}, ours = {0}, sql = {0};
	enum err_code code = job_source_error(job, read_state(job->source, sequence, &theirs, err), err);
	if (code == ERR_OK && is_there)
		code = read_state(job->target, sequence, &ours, err);
	bool is_equal = strcmp(buf_str(&theirs), buf_str(&ours)) == 0;
	if (code == ERR_OK && !is_equal && is_there)
		code = drop(job, sequence, err);
	if (code == ERR_OK && !is_equal)
		code = make_object(job, sequence, err);
	if (code == ERR_OK && !is_equal) {
		buf_append_str(&sql, "INSERT INTO ");
		object_append_name(&sql, sequence);
		buf_printf(&sql, " VALUES (%s)", buf_str(&theirs));
		code = about(sequence, connection_run_n(job->target, (const char *)sql.data, sql.size, err), "set", err);
	}
	buf_free(&theirs);
	buf_free(&ours);
	buf_free(&sql);
	return code;
}

/* ---- Before the rows ---- */

static enum err_code make_missing(struct copy_job *job, const struct objects *target, const struct objects *source,
                                  struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < source->count; i++)
		if (source->items[i].kind == KIND_DATABASE)
			code = make_database(job, &source->items[i], target, err);
	for (size_t i = 0; code == ERR_OK && i < source->count; i++) {
		const struct object *object = &source->items[i], *there = objects_find(target, object);
		bool is_there = there != NULL && !is_in_the_way(there, source);
		if (object->kind == KIND_SEQUENCE)
			code = make_sequence(job, object, is_there, err);
		else if (object->kind == KIND_TABLE && !is_there)
			code = make_object(job, object, err);
		if (code == ERR_OK)
			code = job_step(job, false, err);
	}
	return code;
}

enum err_code make_prepare(struct copy_job *job, const struct objects *source, struct err *err)
{
	struct objects target = {0};
	enum err_code code = read_target(job, &target, err);
	if (code == ERR_OK)
		code = drop_all(job, &target, source, err);
	if (code == ERR_OK)
		code = make_missing(job, &target, source, err);
	objects_free(&target);
	return code;
}

/* ---- Behind the rows ---- */

static enum err_code set_counter(struct copy_job *job, const struct object *table, const struct object *there,
                                 struct err *err)
{
	if (there == NULL || table->auto_increment == 0 || there->auto_increment == table->auto_increment)
		return ERR_OK;
	struct buf sql = {0};
	buf_append_str(&sql, "ALTER TABLE ");
	object_append_name(&sql, table);
	buf_printf(&sql, " AUTO_INCREMENT=%llu", (unsigned long long)table->auto_increment);
	enum err_code code = connection_run_n(job->target, (const char *)sql.data, sql.size, err);
	buf_free(&sql);
	return about(table, code, "set the counter of", err);
}

static enum err_code make_kind(struct copy_job *job, const struct objects *source, const struct objects *target,
                               enum object_kind kind, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < source->count; i++)
		if (source->items[i].kind == kind && objects_find(target, &source->items[i]) == NULL)
			code = make_object(job, &source->items[i], err);
	return code;
}

/* A view needs those that it reads from: round after round, as long as one more can be made. */
static enum err_code make_views(struct copy_job *job, const struct objects *source, const struct objects *target,
                                struct err *err)
{
	bool *is_made = mem_alloc(source->count + 1);
	enum err_code code = ERR_OK;
	for (bool again = true; again;) {
		again = false;
		code = ERR_OK;
		for (size_t i = 0; i < source->count && (code == ERR_OK || code == ERR_SERVER); i++) {
			const struct object *view = &source->items[i];
			if (view->kind != KIND_VIEW || is_made[i])
				continue;
			struct err refusal;
			enum err_code made = objects_find(target, view) != NULL ? ERR_OK : make_object(job, view, &refusal);
			is_made[i] = made == ERR_OK;
			again = again || is_made[i];
			if (made != ERR_OK && (code == ERR_OK || made != ERR_SERVER) && err != NULL)
				*err = refusal;
			code = made != ERR_OK ? made : code;
		}
		again = again && code == ERR_SERVER;
	}
	free(is_made);
	return code;
}

enum err_code make_finish(struct copy_job *job, const struct objects *source, struct err *err)
{
	static const enum object_kind before_views[] = {KIND_FUNCTION, KIND_PROCEDURE, KIND_PACKAGE, KIND_PACKAGE_BODY};
	struct objects target = {0};
	enum err_code code = read_target(job, &target, err);
	for (size_t i = 0; code == ERR_OK && i < source->count; i++)
		if (source->items[i].kind == KIND_TABLE)
			code = set_counter(job, &source->items[i], objects_find(&target, &source->items[i]), err);
	for (size_t i = 0; code == ERR_OK && i < sizeof before_views / sizeof *before_views; i++)
		code = make_kind(job, source, &target, before_views[i], err);
	if (code == ERR_OK)
		code = make_views(job, source, &target, err);
	if (code == ERR_OK)
		code = make_kind(job, source, &target, KIND_TRIGGER, err);
	if (code == ERR_OK)
		code = make_kind(job, source, &target, KIND_EVENT, err);
	objects_free(&target);
	return code;
}
