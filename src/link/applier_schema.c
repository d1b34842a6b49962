#include "link/applier_parts.h"

#include "binlog/query.h"
#include "link/emptied.h"
#include "link/recovered.h"
#include "link/schema.h"
#include "sql/ddl.h"
#include "sql/server.h"

enum { PEER_ANSWER_S = 4 };

/* *ret is to be freed in any case. */
static enum err_code connect_peer(const struct applier *a, struct connection **ret, struct err *err)
{
	struct connection_target target = {
	    .file = a->settings->file, .group = a->peer->group, .name = a->peer->where, .read_timeout_s = PEER_ANSWER_S};
	*ret = connection_new();
	return connection_open(*ret, &target, err);
}

/* DDL is a barrier: what came before it is committed, and it commits by itself. */
static enum err_code before_ddl(struct applier *a, struct err *err)
{
	if (a->gathered.size > 0 || a->is_streaming)
		return applier_refuse(a, err, "mixes row changes and DDL", "do by hand what it did");
	enum err_code code = applier_commit_batch(a, err);
	if (code == ERR_OK)
		code = applier_check_remembered(a, &a->position, err);
	if (code == ERR_OK)
		code = applier_open_batch(a, &a->position, err);
	if (code == ERR_OK)
		applier_pass_if_here(a);
	return code;
}

static enum err_code after_ddl(struct applier *a, struct err *err)
{
	struct vector here;
	enum err_code code = state_applied(a->state, &a->gtid.gtid, false, err);
	if (code == ERR_OK)
		code = server_vector(apply_connection(a->apply), &here, err);
	/* So that the tables of the next batch are checked against the schema as it is now. */
	if (code == ERR_OK && state_wait_tailed(a->state, &here, APPLIER_TAIL_WAIT_MS, err) == ERR_CANCELLED)
		code = ERR_CANCELLED;
	a->counts.transactions++;
	a->counts.batches++;
	a->one_by_one -= a->one_by_one > 0;
	return code;
}

/* What the statement's origin knew when it ran it: what stands ahead of it in the origin's log; a peer that only passes it on has that
 * noted. */
static enum err_code note_emptied(struct applier *a, struct err *err)
{
	struct emptied e = {.gtid = a->gtid.gtid, .time = a->stamp_time, .context = a->position};
	struct vector here;
	enum err_code code = server_vector(apply_connection(a->apply), &here, err);
	if (code == ERR_OK) /* so that the tail has seen the table that it reads rows of */
		code = state_wait_tailed(a->state, &here, APPLIER_TAIL_WAIT_MS, err);
	if (code == ERR_OK && a->gtid.gtid.domain != a->peer->node_id) {
		struct connection *connection = NULL;
		code = connect_peer(a, &connection, err);
		if (code == ERR_OK)
			code = emptied_find(connection, &e, err);
		connection_free(connection);
	}
	return code == ERR_OK ? emptied_note(apply_connection(a->apply), &e, err) : code;
}

/* If this server was killed while it ran the statement, its recovery may have finished it. */
static enum err_code run_once(struct applier *a, const struct schema_change *change, struct err *err)
{
	struct connection *connection = apply_connection(a->apply);
	const struct gtid *gtid = &a->gtid.gtid;
	struct vector here;
	bool was_pending, done = false;
	enum err_code code = recovered_was_pending(connection, a->peer->node_id, gtid, &was_pending, err);
	if (code == ERR_OK && was_pending) {
		code = server_vector(connection, &here, err);
		if (code == ERR_OK) /* then the tail has decided on everything that recovery logged */
			code = state_wait_tailed(a->state, &here, APPLIER_TAIL_WAIT_MS, err);
		if (code == ERR_OK)
			code = recovered_is_done(connection, gtid, &done, err);
	}
	/* A DROP of several tables may have got half way; what it dropped counts as dropped when it runs again. */
	if (code == ERR_OK && done && change->verdict->statement.verb != VERB_DROP)
		return ddl_pass_over(connection, gtid, a->peer->node_id, err);
	if (code == ERR_OK && !was_pending)
		code = recovered_note_pending(connection, a->peer->node_id, gtid, &change->verdict->statement, err);
	if (code == ERR_OK && emptied_is(&change->verdict->statement))
		code = note_emptied(a, err);
	return code == ERR_OK ? schema_apply(change, connection, a->peer->node_id, a->who, err) : code;
}

static enum err_code run_change(struct applier *a, const struct event *event, const struct schema_change *change,
                                struct err *err)
{
	const struct statement *s = &change->verdict->statement;
	bool goes_on = (a->gtid.flags & GTID_FLAG_STANDALONE) == 0;
	enum err_code code = before_ddl(a, err);
	if (code != ERR_OK || a->group == GROUP_PASSING)
		return code;
	if (goes_on && s->verb == VERB_CREATE && s->object == OBJECT_TABLE) {
		stage_begin(a->stage, event); /* its rows follow */
		return ERR_OK;
	}
	code = run_once(a, change, err);
	return code == ERR_OK ? after_ddl(a, err) : code;
}

/* The group's end: the table is made, with its rows. */
enum err_code applier_finish_stage(struct applier *a, struct err *err)
{
	struct schema_change change = {
	    .gtid = a->gtid.gtid, .gtid_extra_flags = a->gtid.extra_flags, .timestamp = a->time, .settings = a->settings};
	enum err_code code = stage_finish(a->stage, a->apply, &change, a->who, err);
	return code == ERR_OK ? after_ddl(a, err) : code;
}

/* The peer's server finished the statement when it recovered: is it the peer's own? */
static enum err_code ask_peer(struct applier *a, struct gtid *ret_twin_of, struct err *err)
{
	struct connection *connection = NULL;
	enum err_code code = connect_peer(a, &connection, err);
	if (code == ERR_OK)
		code = recovered_ask(connection, &a->gtid.gtid, ret_twin_of, err);
	connection_free(connection);
	return code;
}

enum err_code applier_on_query(struct applier *a, const struct event *packed, bool *ret_ends, struct err *err)
{
	struct event event;
	struct query_event query;
	enum err_code code = event_uncompress(packed, APPLIER_EVENT_BYTES_MAX, &a->scratch, &event, err);
	if (code == ERR_OK)
		code = query_parse(&event, &query, err);
	if (code != ERR_OK)
		return code;
	bool rolls_back = query_is(&query, "ROLLBACK");
	*ret_ends = (a->gtid.flags & GTID_FLAG_STANDALONE) != 0 || query_is(&query, "COMMIT") || rolls_back;
	if (a->group == GROUP_PASSING)
		return ERR_OK;
	if (rolls_back && (a->gathered.size > 0 || a->is_streaming))
		return applier_refuse(a, err, "was rolled back after it had changed tables that can't roll back",
		                      "make the rows of those tables equal, turn the tables into InnoDB");
	if (recovered_is(&event, &query) && a->gtid.gtid.domain == a->peer->node_id) {
		struct gtid twin_of;
		code = ask_peer(a, &twin_of, err);
		if (code != ERR_OK || twin_of.seq != 0)
			return code;
	}
	struct schema_change change = {.query = &query,
	                               .gtid = a->gtid.gtid,
	                               .gtid_extra_flags = a->gtid.extra_flags,
	                               .timestamp = event.timestamp,
	                               .insert_id = a->insert_id,
	                               .settings = a->settings};
	struct schema_verdict verdict;
	code = schema_judge(&change, &verdict, err);
	if (code == ERR_OK && verdict.what == SCHEMA_REFUSE)
		code = applier_refuse(a, err, verdict.why, verdict.mend);
	if (code == ERR_OK && verdict.what == SCHEMA_APPLY) {
		change.verdict = &verdict;
		code = run_change(a, &event, &change, err);
	}
	schema_verdict_free(&verdict);
	return code;
}

/* An INTVAR event tells a value that the statement behind it uses: type 1 is last_insert_id, 2 insert_id. */
void applier_on_intvar(struct applier *a, const struct event *event)
{
	struct cursor c = cursor_of(event->body, event->body_size);
	uint8_t type = cursor_u8(&c);
	uint64_t value = cursor_u64(&c);
	if (cursor_ok(&c) && type == 2)
		a->insert_id = value;
}
