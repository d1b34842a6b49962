#include "link/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "link/already.h"
#include "sql/ddl.h"
#include "sql/server.h"

enum { MESSAGE_STATEMENT_MAX = 120, CHARSET_UTF8MB4 = 45 /* utf8mb4_general_ci */ };

static bool replicated(const char *database, void *context)
{
	return settings_replicates(context, database);
}

static enum schema_what refuse(struct schema_verdict *v, const char *why, const char *mend)
{
	v->why = why;
	v->mend = mend;
	return SCHEMA_REFUSE;
}

/* DROP TABLE of several: only those inside. */
static void narrow_drop(const struct schema_change *change, struct schema_verdict *v)
{
	const struct statement *s = &v->statement;
	const char *separator = "";
	buf_printf(&v->narrowed, "DROP %s IF EXISTS ", statement_object_name(s->object));
	for (size_t i = 0; i < s->name_count; i++) {
		if (!settings_replicates(change->settings, s->names[i].database))
			continue;
		buf_append_str(&v->narrowed, separator);
		sql_append_name(&v->narrowed, s->names[i].database);
		buf_append_str(&v->narrowed, ".");
		sql_append_name(&v->narrowed, s->names[i].name);
		separator = ", ";
	}
}

static enum schema_what judge_ddl(const struct schema_change *change, struct schema_verdict *v)
{
	const struct statement *s = &v->statement;
	if (s->temporary)
		return SCHEMA_IGNORE; /* a temporary table is its session's own; its rows are never in row format */
	switch (statement_scope(s, replicated, (void *)change->settings)) {
	case SCOPE_OUTSIDE:
		return SCHEMA_IGNORE;
	case SCOPE_MIXED:
		if (s->verb != VERB_DROP || s->object == OBJECT_DATABASE)
			return refuse(v, "holds DDL that touches databases that are replicated and others at once",
			              "do by hand here what belongs here");
		for (size_t i = 0; i < s->name_count; i++)
			if (s->names[i].unreadable)
				return refuse(v, "drops tables whose names are in a character set that is not known here",
				              "drop by hand here what belongs here");
		narrow_drop(change, v);
		return SCHEMA_APPLY;
	case SCOPE_INSIDE:
		break;
	}
	if (change->gtid_extra_flags & (GTID_EXTRA_START_ALTER | GTID_EXTRA_COMMIT_ALTER | GTID_EXTRA_ROLLBACK_ALTER))
		return refuse(v, "is one half of a two-phase ALTER TABLE",
		              "set binlog_alter_two_phase=OFF on every node, run the ALTER here by hand");
	if (s->select_follows)
		return refuse(v, "holds CREATE TABLE … SELECT logged as a statement",
		              "set binlog_format=ROW in every session, create and fill the table here by hand");
	if (s->tablespace)
		return refuse(v, "moves a table's data file, whose rows are in no log", "move the same file here by hand");
	return SCHEMA_APPLY;
}

static enum schema_what judge(const struct schema_change *change, struct schema_verdict *v)
{
	switch (v->statement.kind) {
	case STATEMENT_DDL:
		return judge_ddl(change, v);
	case STATEMENT_DML:
		return refuse(v, "holds a change of rows logged as a statement, which can't be replicated row by row",
		              "set binlog_format=ROW in every session, do by hand here what the statement did there");
	case STATEMENT_XA:
		return refuse(v, "is an XA transaction, which is not supported", "do by hand here what it did there");
	case STATEMENT_UNKNOWN:
		return refuse(v, "holds a statement that is not understood", "do by hand here what it did there");
	case STATEMENT_TRANSACTION:
		if (v->statement.verb == VERB_ROLLBACK_TO)
			return refuse(v, "was rolled back in part after it had changed tables that can't roll back",
			              "turn those tables into InnoDB, make their rows equal");
		return SCHEMA_IGNORE;
	case STATEMENT_EMPTY:
	case STATEMENT_ACCOUNT:
	case STATEMENT_SERVER:
		return SCHEMA_IGNORE;
	}
	return SCHEMA_IGNORE;
}

enum err_code schema_judge(const struct schema_change *change, struct schema_verdict *ret, struct err *err)
{
	const struct query_event *q = change->query;
	struct statement_context context = {.database = q->database,
	                                    .database_size = q->database_size,
	                                    .sql_mode = q->has_sql_mode ? q->sql_mode : 0,
	                                    .charset_client = q->has_charset ? q->charset_client : 0};
	memset(ret, 0, sizeof *ret);
	enum err_code code = statement_parse(q->statement, q->statement_size, &context, &ret->statement, err);
	if (code == ERR_OK)
		ret->what = judge(change, ret);
	return code;
}

void schema_verdict_free(struct schema_verdict *v)
{
	statement_free(&v->statement);
	buf_free(&v->narrowed);
}

/* The server says that things are already as the statement would make them. */
static bool is_so_already(const struct statement *s, unsigned number)
{
	if (s->verb == VERB_CREATE && s->object == OBJECT_DATABASE)
		return number == 1007; /* ER_DB_CREATE_EXISTS */
	if (s->verb != VERB_DROP)
		return false;
	switch (number) {
	case 1008: /* ER_DB_DROP_EXISTS */
	case 1051: /* ER_BAD_TABLE_ERROR */
	case 1091: /* ER_CANT_DROP_FIELD_OR_KEY */
	case 1305: /* ER_SP_DOES_NOT_EXIST */
	case 1360: /* ER_TRG_DOES_NOT_EXIST */
	case 1539: /* ER_EVENT_DOES_NOT_EXIST */
	case 4091: /* ER_UNKNOWN_SEQUENCES */
	case 4092: /* ER_UNKNOWN_VIEW */
		return true;
	default:
		return false;
	}
}

/* The default database of the session, where unqualified names are meant, if this node has a business with it. Creating or
 * dropping a database needs no USE, and there may be nothing to use; altering one may mean the session's own. */
static const char *default_database(const struct schema_change *change, struct buf *text)
{
	buf_append(text, change->query->database, change->query->database_size);
	const char *database = buf_str(text);
	const struct statement *s = &change->verdict->statement;
	if (s->object == OBJECT_DATABASE && s->verb != VERB_ALTER)
		return NULL;
	return settings_replicates(change->settings, database) ? database : NULL;
}

/* An event runs on the node that made it, and its rows travel; run on every node, all it does would be done again. So it comes
 * here as MariaDB's own replicas mark it, too (MariaDB manual, "Event Limitations"), in the statement itself: an event that is due
 * would otherwise run before it could be marked. An ALTER that doesn't touch the status leaves it alone: the event may be
 * this node's own. */
static bool disable_event(const struct schema_change *change, struct buf *to)
{
	const struct statement *s = &change->verdict->statement;
	const struct event_status *status = &s->event_status;
	bool runs = status->what == EVENT_ENABLED || (status->what == EVENT_UNSAID && s->verb == VERB_CREATE);
	if (s->object != OBJECT_EVENT || s->verb == VERB_DROP || !runs)
		return false;
	const char *text = change->query->statement;
	size_t behind = status->at + status->size;
	buf_append(to, text, status->at);
	buf_append_str(to, " DISABLE ON SLAVE ");
	buf_append(to, text + behind, change->query->statement_size - behind);
	return true;
}

/* A table is there already, or a part of it, or gone: is it as the statement would make it? If not, err says how the two differ. */
static enum err_code judge_what_is_there(const struct ddl *ddl, const struct statement *s,
                                         struct connection *connection, uint32_t peer, struct err *err)
{
	struct buf here = {0}, there = {0};
	struct err refusal = err->server_errno ? *err : (struct err){0};
	bool is_so = false;
	enum err_code code = already_ask(connection, ddl, s, peer, &is_so, &here, &there, err);
	if (code == ERR_OK && !is_so && there.size > 0 && s->verb == VERB_CREATE && s->object == OBJECT_TABLE)
		code = err_set(err, ERR_SERVER, "table %s.%s is here already as %.180s and was made there as %.180s",
		               s->names[0].database, s->names[0].name, buf_str(&here), buf_str(&there));
	else if (code == ERR_OK && !is_so) {
		*err = refusal;
		code = err->code;
	}
	buf_free(&here);
	buf_free(&there);
	return code;
}

/* Runs it, or finds that nothing is left to do: then its GTID isn't in the log yet. */
static enum err_code run_or_find(const struct schema_change *change, const struct ddl *ddl,
                                 struct connection *connection, uint32_t peer, const char *who, struct err *err)
{
	const struct statement *s = &change->verdict->statement;
	struct vector here;
	char gtid[GTID_TEXT_MAX];
	err->server_errno = 0;
	enum err_code code = ddl_apply(connection, ddl, err);
	unsigned number = code == ERR_SERVER ? err->server_errno : 0;
	bool is_so = code == ERR_SERVER && is_so_already(s, number);
	if (!is_so && code == ERR_SERVER && already_is_question(s, number)) {
		code = judge_what_is_there(ddl, s, connection, peer, err);
		is_so = code == ERR_OK;
	}
	if (is_so) {
		int shown = (int)(ddl->statement_size < MESSAGE_STATEMENT_MAX ? ddl->statement_size : MESSAGE_STATEMENT_MAX);
		log_line(LOG_LEVEL_INFO, who, "%s is so already: %.*s", gtid_format(&change->gtid, gtid), shown,
		         ddl->statement);
		code = ERR_OK;
	}
	if (code == ERR_OK)
		code = server_vector(connection, &here, err);
	if (code != ERR_OK || vector_has(&here, &change->gtid))
		return code;
	if (!is_so && already_is_question(s, 0))
		code = judge_what_is_there(ddl, s, connection, peer, err);
	return code == ERR_OK ? ddl_pass_over(connection, &change->gtid, peer, err) : code;
}

enum err_code schema_apply(const struct schema_change *change, struct connection *connection, uint32_t peer,
                           const char *who, struct err *err)
{
	const struct schema_verdict *v = change->verdict;
	struct buf database = {0}, marked = {0};
	struct query_event query = *change->query;
	if (v->narrowed.size > 0 && v->statement.verb == VERB_DROP)
		query.charset_client = CHARSET_UTF8MB4; /* which our own text is in */
	struct ddl ddl = {.gtid = change->gtid,
	                  .query = &query,
	                  .timestamp = change->timestamp,
	                  .statement = v->narrowed.size ? (const char *)v->narrowed.data : change->query->statement,
	                  .statement_size = v->narrowed.size ? v->narrowed.size : change->query->statement_size,
	                  .database = default_database(change, &database),
	                  .insert_id = change->insert_id};
	if (disable_event(change, &marked)) {
		ddl.statement = (const char *)marked.data;
		ddl.statement_size = marked.size;
	}
	char gtid[GTID_TEXT_MAX];
	gtid_format(&change->gtid, gtid);
	int shown = (int)(ddl.statement_size < MESSAGE_STATEMENT_MAX ? ddl.statement_size : MESSAGE_STATEMENT_MAX);
	enum err_code code = run_or_find(change, &ddl, connection, peer, who, err);
	if (code == ERR_SERVER) {
		err_wrap(err, "%s can't be run here (%.*s)", gtid, shown, ddl.statement);
		size_t size = strlen(err->message);
		snprintf(err->message + size, sizeof err->message - size,
		         "; mend the cause, or do it by hand and pass over it with `syncline skip %s`", gtid);
	}
	buf_free(&database);
	buf_free(&marked);
	return code;
}
