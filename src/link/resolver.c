#include "link/resolver.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/emptied.h"
#include "link/losses.h"
#include "link/relatives.h"
#include "link/steps.h"
#include "link/thread.h"
#include "merge/manifest.h"
#include "sql/apply.h"

enum {
	WAIT_MS = 500,
	RETRY_MS = 500,
	TAIL_WAIT_MS = 10000,
	CHECKPOINT_MS = 10000, /* between two: it is a write */
	ACKNOWLEDGE_MS = 1000,
};

struct resolver {
	const struct settings *settings;
	struct state *state;
	struct connection_target target;
	struct apply *apply;
	struct losses *losses;
	pthread_t thread;
	bool started;
	struct buf steps, again, manifest;
	struct change_list decided; /* the row that is to be deleted */
	struct buf children;        /* deletes of rows that would keep it from that */
	bool has_checkpoint;        /* to be saved when all is done */
	struct server_position checkpoint;
	int64_t saved_ms, acknowledged_ms;
	bool has_asked; /* this session has, what was noted in syncline.found */
};

/* ---- What is left to do ---- */

struct work {
	bool decides, decides_unseen; /* a row is to be deleted; that isn't shown here */
};

/* The history is read, and what it says copied, while it is locked. */
static enum err_code look(struct resolver *r, struct buf *steps, struct work *ret, struct err *err)
{
	struct merge_step row;
	struct merge_record record;
	uint32_t me = r->settings->node_id;
	uint32_t now = (uint32_t)clock_wall_s();
	struct history *history = state_lock_history(r->state);
	struct merge_outcome outcome = history_pending(history);
	*ret = (struct work){0};
	buf_clear(steps);
	enum err_code code = steps_encode(outcome.steps, outcome.step_count, now, me, steps, err);
	for (size_t i = 0; i < outcome.record_count; i++)
		losses_add(r->losses, &outcome.records[i]);
	bool is_shown;
	if (code == ERR_OK && outcome.step_count == 0 && history_decision(history, &row, &is_shown, &record)) {
		ret->decides = true;
		ret->decides_unseen = !is_shown;
		losses_decide(r->losses, &record);
		change_list_clear(&r->decided);
		change_list_add(&r->decided, &(struct merge_change){.op = row.op, .table = row.table, .before = row.before},
		                false);
		code = steps_encode(&row, 1, now, me, steps, err);
	}
	state_unlock_history(r->state);
	return code;
}

/* A transaction of this node's own with a manifest: it is one whatever else is in it. */
static void make_manifest(struct resolver *r, enum manifest_kind kind, const struct vector *here,
                          const struct buf *writes)
{
	struct manifest m = {.kind = kind, .context = *here};
	uint32_t me = r->settings->node_id;
	manifest_add(&m, &(struct manifest_transaction){.seq = vector_seq(here, me) + 1, .server = me});
	if (writes != NULL)
		buf_append(&m.writes, writes->data, writes->size);
	buf_clear(&r->manifest);
	manifest_encode(&m, &r->manifest);
	manifest_free(&m);
}

static enum err_code up_to_date(struct resolver *r, struct vector *ret, struct err *err)
{
	enum err_code code = server_vector(apply_connection(r->apply), ret, err);
	return code == ERR_OK ? state_wait_tailed(r->state, ret, TAIL_WAIT_MS, err) : code;
}

/* ---- Doing it ---- */

/* Sends a transaction with these rows; *ret_done: it is committed, and was right when it was. */
static enum err_code carry_out(struct resolver *r, const struct work *work, const struct vector *planned,
                               bool *ret_done, struct err *err)
{
	struct apply_head head = {.manifest = r->manifest.data, .manifest_size = r->manifest.size};
	struct vector now;
	struct work again = *work;
	bool committed;
	steps_apply(r->apply, &r->children);
	if (!work->decides_unseen)
		steps_apply(r->apply, &r->steps);
	enum err_code code =
	    work->decides && !work->decides_unseen ? losses_send_decided(r->losses, r->apply, err) : ERR_OK;
	if (code == ERR_OK)
		code = apply_flush(r->apply, &head, NULL, &committed, &now, err);
	*ret_done = code == ERR_OK && vector_equal(&now, planned);
	if (code == ERR_OK && !*ret_done) {
		code = state_wait_tailed(r->state, &now, TAIL_WAIT_MS, err);
		if (code == ERR_OK)
			code = look(r, &r->again, &again, err);
		*ret_done = code == ERR_OK && again.decides == work->decides && again.decides_unseen == work->decides_unseen &&
		            r->again.size == r->steps.size && memcmp(r->again.data, r->steps.data, r->steps.size) == 0;
	}
	if (code != ERR_OK)
		return code;
	return *ret_done ? apply_commit(r->apply, err) : apply_rollback(r->apply, err);
}

/* Rows that refer to the one that goes with RESTRICT, here: they go ahead of it, as ordinary writes, and are recorded with it. If there is
 * another one by then, the server says so and all is looked at anew. */
static enum err_code find_children(struct resolver *r, struct err *err)
{
	struct change_list children = {0};
	struct relatives who = {.connection = apply_connection(r->apply),
	                        .registry = state_registry(r->state),
	                        .generation = state_generation(r->state)};
	const struct merge_change *row = &r->decided.changes[0];
	enum err_code code = relatives_find_all_restricting(&who, row->table, row->before, &children, err);
	if (code == ERR_OK)
		code = steps_encode(children.steps, children.count, (uint32_t)clock_wall_s(), r->settings->node_id,
		                    &r->children, err);
	for (size_t i = 0; code == ERR_OK && i < children.count; i++)
		losses_decide_child(r->losses, &children.changes[i]);
	change_list_free(&children);
	return code;
}

/* One thing that the history says is to be done; *ret_more: there may be another. */
static enum err_code do_one(struct resolver *r, bool *ret_more, struct err *err)
{
	struct vector here;
	struct work work;
	bool done = false;
	enum err_code code = up_to_date(r, &here, err);
	if (code == ERR_OK)
		code = look(r, &r->steps, &work, err);
	*ret_more = code == ERR_OK && r->steps.size > 0;
	if (!*ret_more)
		return code;
	/* Of a group with a manifest peers read the manifest alone: what it lost is recorded ahead of it. */
	if (work.decides_unseen)
		code = losses_record_decided(r->losses, r->apply, err);
	if (code == ERR_OK && work.decides_unseen)
		code = up_to_date(r, &here, err);
	if (code != ERR_OK)
		return code;
	buf_clear(&r->manifest);
	buf_clear(&r->children);
	if (work.decides && !work.decides_unseen && (code = find_children(r, err)) != ERR_OK)
		return code;
	if (!work.decides)
		make_manifest(r, MANIFEST_SHOWN, &here, NULL);
	else if (work.decides_unseen)
		make_manifest(r, MANIFEST_RESOLVED, &here, &r->steps);
	return carry_out(r, &work, &here, &done, err);
}

/* Nothing is held back any more that could be shown, and all that was lost is recorded. */
static enum err_code do_all(struct resolver *r, struct err *err)
{
	bool more = true;
	enum err_code code = ERR_OK;
	while (code == ERR_OK && more && state_claim(r->state, STATE_RESOLVING, 0)) {
		code = do_one(r, &more, err);
		state_release(r->state, STATE_RESOLVING, 0);
	}
	/* What can't be done now is no reason not to tell what was lost. */
	struct err why;
	bool can_go_on = code == ERR_OK || (code == ERR_SERVER && apply_rollback(r->apply, &why) == ERR_OK);
	enum err_code recorded = can_go_on ? losses_record(r->losses, r->apply, &why) : ERR_OK;
	if (code != ERR_OK || recorded == ERR_OK)
		return code;
	*err = why;
	return recorded;
}

/* What links found that no log holds. Noted before the daemon was killed, nobody tells of it: so each session asks once. */
static enum err_code look_for_found(struct resolver *r, struct err *err)
{
	if (!state_take_found(r->state) && r->has_asked)
		return ERR_OK;
	r->has_asked = false;
	enum err_code code = losses_add_found(r->losses, apply_connection(r->apply), err);
	r->has_asked = code == ERR_OK;
	return code;
}

static enum err_code acknowledge(struct resolver *r, struct err *err)
{
	struct vector here;
	bool committed;
	int64_t now = clock_monotonic_ms();
	if (now - r->acknowledged_ms < ACKNOWLEDGE_MS || !state_owes_acknowledgement(r->state))
		return ERR_OK;
	enum err_code code = up_to_date(r, &here, err);
	if (code != ERR_OK)
		return code;
	make_manifest(r, MANIFEST_SHOWN, &here, NULL);
	struct apply_head head = {.manifest = r->manifest.data, .manifest_size = r->manifest.size};
	code = apply_flush(r->apply, &head, NULL, &committed, &here, err);
	if (code == ERR_OK)
		code = apply_commit(r->apply, err);
	r->acknowledged_ms = now;
	return code;
}

static enum err_code save_checkpoint(struct resolver *r, struct err *err)
{
	int64_t now = clock_monotonic_ms();
	if (!r->has_checkpoint || (now - r->saved_ms < CHECKPOINT_MS && !state_is_stopping(r->state)))
		return ERR_OK;
	enum err_code code = server_save_position(apply_connection(r->apply), r->settings->node_id, &r->checkpoint, err);
	if (code == ERR_OK) /* what the history began with is everywhere, too */
		code = server_drop_seed(apply_connection(r->apply), err);
	if (code == ERR_OK)
		code = losses_forget(apply_connection(r->apply), vector_seq(&r->checkpoint.vector, r->settings->node_id), err);
	if (code == ERR_OK)
		code = emptied_forget(apply_connection(r->apply), &r->checkpoint.vector, err);
	r->saved_ms = now;
	r->has_checkpoint = code != ERR_OK;
	return code;
}

/* BINLOG statements want a format description ahead of them: this server's own. */
static enum err_code connect(struct resolver *r, struct err *err)
{
	struct buf bytes = {0};
	struct format format;
	struct event event;
	r->has_asked = false;
	format_init(&format);
	state_format(r->state, &bytes);
	enum err_code code = bytes.size > 0 ? event_parse(&format, bytes.data, bytes.size, &event, err)
	                                    : err_set(err, ERR_BUSY, "this node's own log isn't read yet");
	if (code == ERR_OK)
		code = apply_open(r->apply, &r->target, err);
	if (code == ERR_OK)
		code = server_lock_link(apply_connection(r->apply), r->settings->node_id, err);
	if (code == ERR_OK)
		code = losses_load_marks(r->losses, apply_connection(r->apply), err);
	if (code == ERR_OK)
		apply_format(r->apply, &event);
	else
		apply_close(r->apply);
	buf_free(&bytes);
	return code;
}

static enum err_code work(struct resolver *r, struct err *err)
{
	struct server_position checkpoint;
	enum err_code code = connection_is_open(apply_connection(r->apply)) ? ERR_OK : connect(r, err);
	/* First where the history is settled, then what it has to say: so nothing of what is settled is left to be done. */
	if (state_take_checkpoint(r->state, &checkpoint)) {
		r->checkpoint = checkpoint;
		r->has_checkpoint = true;
	}
	if (code == ERR_OK)
		code = look_for_found(r, err);
	if (code == ERR_OK)
		code = do_all(r, err);
	if (code == ERR_OK)
		code = acknowledge(r, err);
	if (code == ERR_OK)
		code = save_checkpoint(r, err);
	return code;
}

static void *resolver_main(void *context)
{
	struct resolver *r = context;
	struct err err = {0};
	char told[sizeof err.message] = "";
	while (state_wait_work(r->state, WAIT_MS)) {
		enum err_code code = work(r, &err);
		if (code == ERR_OK)
			state_count_round(r->state);
		if (code == ERR_OK || state_is_stopping(r->state)) {
			told[0] = '\0';
			continue;
		}
		if (strcmp(told, err.message) != 0)
			log_line(err_retryable(code) ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "resolver", "%s", err.message);
		memcpy(told, err.message, sizeof told);
		apply_close(r->apply);
		state_sleep(r->state, RETRY_MS);
	}
	if (connection_is_open(apply_connection(r->apply)) && save_checkpoint(r, &err) != ERR_OK)
		log_line(LOG_LEVEL_INFO, "resolver", "%s", err.message);
	return NULL;
}

enum err_code resolver_start(const struct settings *settings, struct state *state, struct resolver **ret_resolver,
                             struct err *err)
{
	struct resolver *r = mem_alloc(sizeof *r);
	r->settings = settings;
	r->state = state;
	r->target = (struct connection_target){
	    .file = settings->file, .group = settings->server_group, .name = settings->server_where};
	r->apply = apply_new();
	r->losses = losses_new();
	enum err_code code = thread_start(&r->thread, resolver_main, r, err);
	r->started = code == ERR_OK;
	if (code == ERR_OK)
		*ret_resolver = r;
	else
		resolver_stop(r);
	return code;
}

void resolver_stop(struct resolver *r)
{
	if (r == NULL)
		return;
	if (r->started)
		pthread_join(r->thread, NULL);
	apply_free(r->apply);
	losses_free(r->losses);
	buf_free(&r->steps);
	buf_free(&r->again);
	buf_free(&r->manifest);
	buf_free(&r->children);
	change_list_free(&r->decided);
	free(r);
}
