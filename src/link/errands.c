#include "link/errands.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/log.h"
#include "node/address.h"
#include "node/members.h"
#include "node/peers.h"
#include "node/requests.h"
#include "sql/server.h"

/* One request as it is worked on. */
struct errand {
	const struct errands *all;
	const struct settings *settings;
	struct connection *connection;
	const struct request *request;
	char why[900]; /* what it waits for that doesn't come by itself */
};

static enum err_code not_read_yet(struct err *err)
{
	return err_set(err, ERR_BUSY, "this node's own log isn't read up to its end yet");
}

static bool view_of(const struct errands *e, uint32_t peer, struct link_view *ret)
{
	for (size_t i = 0; i < e->link_count; i++) {
		link_view(e->links[i], ret);
		if (ret->peer == peer)
			return true;
	}
	return false;
}

/* What the node writes from now on follows all of the vector. This node's own transactions that aren't replicated no
 * node shows: of these it counts that a node which is read up to its end has passed them by. */
static bool follows(const struct errand *e, uint32_t node, const struct vector *vector, bool is_live)
{
	uint32_t me = e->settings->node_id;
	struct vector known = state_known(e->all->state, node), saved = {0};
	struct link_view view;
	bool follows = true, connected;
	for (size_t i = 0; is_live && i < e->all->link_count; i++) {
		link_view(e->all->links[i], &view);
		if (view.peer == node && !link_acknowledged(e->all->links[i], &saved, &connected))
			saved = (struct vector){0};
	}
	for (uint32_t i = 0; i < vector->count; i++)
		follows = follows && (vector_has(&known, &vector->gtids[i]) ||
		                      (vector->gtids[i].domain == me && vector_has(&saved, &vector->gtids[i])));
	return follows;
}

static enum err_code check_follows(const struct errand *e, uint32_t node, const struct vector *first, struct err *err)
{
	struct link_view view;
	unsigned me = (unsigned)e->settings->node_id;
	bool is_live = view_of(e->all, node, &view) && view.state == LINK_LIVE;
	if (follows(e, node, first, is_live))
		return ERR_OK;
	return is_live
	           ? err_set(err, ERR_UNSUPPORTED,
	                     "node %u has purged from its log what node %u may lack, too; take the copy --from another, or "
	                     "let go of one of the two and let it join anew: syncline forget",
	                     me, (unsigned)node)
	           : err_set(err, ERR_BUSY,
	                     "node %u has purged some of its log, and can't tell whether node %u has that: its link from "
	                     "there isn't live",
	                     me, (unsigned)node);
}

/* The log begins behind where this node's own tail may start, since the node that asks lacked what was purged. Each
 * other one has to have it; one that has left writes no more. */
static enum err_code check_gap(const struct errand *e, const struct vector *first, struct err *err)
{
	const struct settings *s = e->settings;
	struct members members = {0};
	bool has_gap = false;
	enum err_code code = server_has_gap(e->connection, s->node_id, &has_gap, err);
	if (code == ERR_OK && has_gap)
		code = members_list(e->connection, &members, err);
	for (size_t i = 0; code == ERR_OK && has_gap && i < s->node_count; i++) {
		const struct member *m = members_find(&members, s->nodes[i]);
		bool is_other = s->nodes[i] != s->node_id && s->nodes[i] != e->request->node;
		if (is_other && (m == NULL || m->state < MEMBER_LEAVING))
			code = check_follows(e, s->nodes[i], first, err);
	}
	members_free(&members);
	return code;
}

/* From where the node reads this node's log that takes a copy now; JSON, appended. Of two nodes each has all of the copy then. Where there are
 * others, one may lack some of it, and the node's history has to begin with that (`seed`, server_seed): behind where this node's own tail may
 * start, or where its log begins, if all that stands before is on each of the others. */
static enum err_code append_position(struct errand *e, struct buf *to, struct err *err)
{
	struct server_position position;
	struct buf vector = {0};
	bool has_others = e->settings->node_count > 2;
	uint32_t me = e->settings->node_id;
	enum err_code code = ERR_OK;
	state_tail_position(e->all->state, &position);
	if (has_others)
		code = server_first_position(e->connection, me, &position, err);
	if (code == ERR_OK && has_others)
		code = check_gap(e, &position.vector, err);
	if (code != ERR_OK)
		return code;
	vector_format(&position.vector, &vector);
	json_t *root = json_pack("{s:s, s:I, s:b}", "position", buf_str(&vector), "latest", (json_int_t)position.latest,
	                         "seed", (int)has_others);
	char *text = json_dumps(root, JSON_COMPACT);
	buf_append_str(to, text);
	free(text);
	json_decref(root);
	buf_free(&vector);
	return ERR_OK;
}

/* Whether this node has read that node's log up to the vector. Domain `but` doesn't count; 0: all do. */
static bool has_read(struct errand *e, uint32_t peer, const struct vector *vector, uint32_t but)
{
	struct link_view view;
	if (!view_of(e->all, peer, &view)) {
		snprintf(e->why, sizeof e->why, "node %u has no link from node %u", (unsigned)e->settings->node_id,
		         (unsigned)peer);
		return false;
	}
	bool has = true;
	for (uint32_t i = 0; i < vector->count; i++)
		has = has && (vector->gtids[i].domain == but || vector_has(&view.position, &vector->gtids[i]));
	if (!has && view.state != LINK_LIVE && view.state != LINK_CATCHING_UP)
		snprintf(e->why, sizeof e->why, "the link there from node %u is %s: %s", (unsigned)peer,
		         view.paused ? "held" : link_state_name(view.state), view.why);
	return has;
}

/* True once nothing of the link runs any more; a file keeps it so. */
static bool is_held(struct errand *e, enum err_code *code, struct err *err)
{
	struct link_view view;
	uint32_t node = e->request->node;
	if (!control_is_paused(e->settings->state_dir, node)) {
		*code = control_pause(e->settings->state_dir, node, err);
		for (size_t i = 0; i < e->all->link_count; i++)
			link_look(e->all->links[i]);
		state_wake(e->all->state);
		return false;
	}
	return view_of(e->all, node, &view) && view.paused && view.state == LINK_CONNECTING;
}

static enum err_code release(const struct errand *e, struct err *err)
{
	enum err_code code = control_resume(e->settings->state_dir, e->request->node, err);
	state_wake(e->all->state);
	return code;
}

static enum err_code done(const struct errand *e, uint32_t latest, struct err *err)
{
	return request_answer(e->connection, e->request, REQUEST_DONE, "", latest, err);
}

static enum err_code start_anew(const struct errand *e, struct err *err)
{
	return write(e->all->reload_fd, "r", 1) == 1 ? ERR_OK
	                                             : err_set(err, ERR_IO, "can't start anew with the new settings");
}

/* ---- A copy ---- */

static enum err_code give_copy(struct errand *e, struct err *err)
{
	const struct settings *s = e->settings;
	struct buf answer = {0};
	enum err_code code = append_position(e, &answer, err);
	if (code == ERR_OK)
		code = request_let_copy(e->connection, e->request->node, s->database_count, s->databases, err);
	if (code == ERR_OK)
		code = request_answer(e->connection, e->request, REQUEST_READY, buf_str(&answer), 0, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "node %u takes a copy; its link is held", (unsigned)e->request->node);
	buf_free(&answer);
	return code;
}

/* `number`: what only that node has needn't come here. What it would have recorded and decided of its own writes that are new here is done here:
 * it gets to know of them by this node's log, where they come last. */
static enum err_code copy_asked(struct errand *e, struct err *err)
{
	struct vector wants;
	enum err_code code = vector_parse(e->request->text, &wants, err);
	if (code != ERR_OK)
		return code;
	state_speak_for(e->all->state, e->request->node, true);
	if (e->request->number == 0 &&
	    !has_read(e, e->request->node, &wants, 0)) /* held: an earlier look came to nothing */
		return control_is_paused(e->settings->state_dir, e->request->node) ? release(e, err) : ERR_OK;
	if (!is_held(e, &code, err) || code != ERR_OK || state_has_work(e->all->state))
		return code;
	return give_copy(e, err);
}

static enum err_code copy_said(struct errand *e, struct err *err)
{
	struct server_position cursor, here;
	enum err_code code = vector_parse(e->request->text, &cursor.vector, err);
	state_speak_for(e->all->state, e->request->node, false);
	state_tail_position(e->all->state, &here);
	for (uint32_t i = 0; code == ERR_OK && i < cursor.vector.count; i++)
		if (cursor.vector.gtids[i].domain != e->request->node && !vector_has(&here.vector, &cursor.vector.gtids[i]))
			code = not_read_yet(err); /* the latest time has to be one that covers it */
	cursor.latest = here.latest;
	if (code == ERR_OK)
		code = server_save_position(e->connection, e->request->node, &cursor, err);
	if (code == ERR_OK)
		code = request_end_copy(e->connection, e->request->node, err);
	if (code == ERR_OK)
		code = done(e, cursor.latest, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "node %u has the copy and is back", (unsigned)e->request->node);
	return code == ERR_OK ? release(e, err) : code;
}

static enum err_code copy_cancelled(struct errand *e, struct err *err)
{
	state_speak_for(e->all->state, e->request->node, false);
	enum err_code code = request_end_copy(e->connection, e->request->node, err);
	if (code == ERR_OK)
		code = release(e, err);
	return code == ERR_OK ? done(e, 0, err) : code;
}

/* ---- The others ---- */

static enum err_code leave_asked(struct errand *e, struct err *err)
{
	struct vector all;
	enum err_code code = vector_parse(e->request->text, &all, err);
	if (code != ERR_OK || !has_read(e, e->request->node, &all, 0))
		return code;
	return request_answer(e->connection, e->request, REQUEST_READY, "", 0, err);
}

static enum err_code leave_said(struct errand *e, struct err *err)
{
	enum err_code code = peers_forget(e->settings, e->connection, e->request->node, err);
	if (code == ERR_OK)
		code = release(e, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "node %u has left", (unsigned)e->request->node);
	return code == ERR_OK ? start_anew(e, err) : code;
}

static enum err_code address_asked(struct errand *e, struct err *err)
{
	if (address_kind(e->request->text) == ADDRESS_NONE)
		return err_set(err, ERR_MALFORMED, "'%.80s' is no address", e->request->text);
	enum err_code code = peers_set_address(e->settings, e->request->node, e->request->text, err);
	if (code == ERR_OK)
		code = done(e, 0, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "node %u is at %s now", (unsigned)e->request->node, e->request->text);
	return code == ERR_OK ? start_anew(e, err) : code;
}

/* What the log began with before is gone; this node gets it from where the copy was taken. Who reads the log takes the
 * same latest time for what stood in it before. */
static enum err_code moved_asked(struct errand *e, struct err *err)
{
	struct server_position begins;
	char *end;
	unsigned long latest = strtoul(e->request->text, &end, 10);
	if (end == e->request->text || *end != ' ' || latest > UINT32_MAX)
		return err_set(err, ERR_MALFORMED, "'%.80s' is no time and vector", e->request->text);
	begins.latest = (uint32_t)latest;
	enum err_code code = vector_parse(end, &begins.vector, err);
	if (code != ERR_OK || !has_read(e, e->request->number, &begins.vector, e->request->node))
		return code;
	if (!is_held(e, &code, err) || code != ERR_OK)
		return code;
	code = server_save_position(e->connection, e->request->node, &begins, err);
	if (code == ERR_OK)
		code = done(e, begins.latest, err);
	return code == ERR_OK ? release(e, err) : code;
}

/* ---- Without the merge engine ---- */

static void tell_merge(const struct errand *e, char *to, size_t size)
{
	snprintf(to, size, "node %u has engine = native, which can't do that; run there: syncline engine merge",
	         (unsigned)e->settings->node_id);
}

static enum err_code needs_merge(struct errand *e, struct err *err)
{
	char why[200];
	tell_merge(e, why, sizeof why);
	return request_answer(e->connection, e->request, REQUEST_REFUSED, why, 0, err);
}

/* The node has its copy already; it is told while it waits. */
static enum err_code waits_for_merge(struct errand *e, struct err *err)
{
	(void)err;
	tell_merge(e, e->why, sizeof e->why);
	return ERR_OK;
}

/* ---- All of them ---- */

typedef enum err_code errand_step(struct errand *errand, struct err *err);

static errand_step *const steps[][REQUEST_CANCELLED + 1] = {
    [REQUEST_COPY] = {[REQUEST_ASKED] = copy_asked, [REQUEST_SAID] = copy_said, [REQUEST_CANCELLED] = copy_cancelled},
    [REQUEST_LEAVE] = {[REQUEST_ASKED] = leave_asked, [REQUEST_SAID] = leave_said},
    [REQUEST_ADDRESS] = {[REQUEST_ASKED] = address_asked},
    [REQUEST_MOVED] = {[REQUEST_ASKED] = moved_asked},
};

static errand_step *const native_steps[][REQUEST_CANCELLED + 1] = {
    [REQUEST_COPY] =
        {[REQUEST_ASKED] = needs_merge, [REQUEST_SAID] = waits_for_merge, [REQUEST_CANCELLED] = copy_cancelled},
    [REQUEST_LEAVE] = {[REQUEST_ASKED] = needs_merge, [REQUEST_SAID] = leave_said},
    [REQUEST_ADDRESS] = {[REQUEST_ASKED] = address_asked},
    [REQUEST_MOVED] = {[REQUEST_ASKED] = needs_merge},
};

static enum err_code look_at(struct errand *e, bool *ret_any, struct err *err)
{
	const struct request *r = e->request;
	errand_step *step = (e->all->engine == ENGINE_NATIVE ? native_steps : steps)[r->kind][r->state];
	bool is_leaving =
	    r->kind == REQUEST_LEAVE && r->state == REQUEST_SAID; /* it may be gone from the settings already */
	if (step == NULL)
		return ERR_OK;
	if (peers_find(e->settings, r->node) == NULL && !is_leaving)
		return request_answer(e->connection, r, REQUEST_REFUSED, "this node is no peer of that one", 0, err);
	*ret_any = true;
	enum err_code code = step(e, err);
	struct err why = *err;
	if (code == ERR_UNSUPPORTED) /* a copy that can't be given: nothing is held for it */
		code = release(e, err) == ERR_OK ? ERR_MALFORMED : err->code;
	if (code == ERR_MALFORMED)
		return request_answer(e->connection, r, REQUEST_REFUSED, why.message, 0, err);
	struct err ignored; /* the next look tells */
	if (!is_leaving)
		(void)!request_seen(e->connection, r, code == ERR_OK ? e->why : err->message, &ignored);
	return code;
}

enum err_code errands_look(const struct errands *all, struct connection *connection, bool *ret_any, struct err *err)
{
	struct request_list list = {0};
	struct err own;
	*ret_any = false;
	enum err_code code = request_list(connection, &list, err);
	for (size_t i = 0; i < list.count; i++) {
		struct errand errand = {
		    .all = all, .settings = all->settings, .connection = connection, .request = &list.requests[i]};
		if (look_at(&errand, ret_any, &own) != ERR_OK && code == ERR_OK) {
			*err = own;
			code = own.code;
		}
	}
	request_list_done(&list);
	return code;
}
