#include "link/admission.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/newcomer.h"
#include "link/thread.h"
#include "node/identity.h"
#include "node/membership.h"
#include "node/peers.h"
#include "node/slots.h"
#include "sql/native.h"

enum {
	LOOK_MS = 500,
	HEAR_MS = 2000, /* how often a peer's members are read while nobody comes in */
	AWAY_MS = 4000, /* … tried again after an error, since connecting may take as long */
	HEAR_TIMEOUT_S = 3,
};

/* A peer as this thread hears of it. */
struct ear {
	struct connection *connection;
	struct connection_target target;
	uint32_t node;
	bool heard; /* else `why` */
	struct members members;
	int64_t due_ms;
	char why[sizeof((struct err *)NULL)->message];
};

struct admission {
	const struct settings *settings;
	struct state *state;
	struct errands errands;
	bool has_errands; /* the server has what peers ask through */
	int reload_fd;
	struct connection *connection;
	struct connection_target target;
	struct members here;
	size_t ear_count;
	struct ear ears[PEERS_MAX];
	bool is_ending;       /* the daemon starts anew */
	struct buf waits_for; /* about a node that has left and still counts; empty if there is none */
	char told_leaver[sizeof((struct err *)NULL)->message];
	char told[sizeof((struct err *)NULL)->message];
	atomic_bool wanted;
	pthread_t thread;
	bool started;
};

static enum err_code start_anew(struct admission *a, struct err *err)
{
	a->is_ending = true;
	return write(a->reload_fd, "r", 1) == 1 ? ERR_OK : err_set(err, ERR_IO, "can't start anew with the new settings");
}

/* ---- What the peers say ---- */

static void hear(struct ear *e, int64_t pause_ms)
{
	struct err err;
	enum err_code code = connection_is_open(e->connection) ? ERR_OK : connection_open(e->connection, &e->target, &err);
	if (code == ERR_OK)
		code = members_list(e->connection, &e->members, &err);
	e->heard = code == ERR_OK;
	snprintf(e->why, sizeof e->why, "%s", e->heard ? "" : err.message);
	e->due_ms = clock_monotonic_ms() + (e->heard ? pause_ms : AWAY_MS);
}

/* A peer knows better how far a node is. What its log follows has to be here first: its transactions know it. */
static enum err_code take_better(struct admission *a, const struct member *here, const struct member *there,
                                 struct err *err)
{
	if (here == NULL)
		return members_put(a->connection, there, err);
	if (there->state <= here->state || strcmp(there->authority, here->authority) != 0)
		return ERR_OK;
	if (there->state == MEMBER_JOINED)
		return state_has_all(a->state, &there->position.vector)
		           ? newcomer_release(a->settings, a->connection, there, err)
		           : ERR_OK;
	return members_put(a->connection, there, err);
}

static enum err_code take_in(struct admission *a, const struct ear *from, const struct member *m, struct err *err)
{
	char buffer[300];
	const char *why = newcomer_refusal(a->settings, m, buffer, sizeof buffer);
	enum err_code code =
	    why ? err_set(err, ERR_CONFIG, "node %u, of which node %u tells, can't be this node's peer: %s",
	                  (unsigned)m->node, (unsigned)from->node, why)
	        : newcomer_take_in(a->settings, a->connection, m, true, err);
	return code == ERR_OK ? start_anew(a, err) : code;
}

/* It was let go of, there or here; another one with its number, and so another authority, may come in. */
static bool is_gone(const struct member *here, const struct member *there)
{
	return there->state >= MEMBER_LEAVING ||
	       (here != NULL && here->state >= MEMBER_LEAVING && strcmp(here->authority, there->authority) == 0);
}

/* Somebody has let go of it: else it would be half a node, whose writes reach some of the others. */
static enum err_code let_go(struct admission *a, const struct ear *from, uint32_t node, struct err *err)
{
	enum err_code code = peers_forget(a->settings, a->connection, node, err);
	if (code == ERR_OK)
		code = control_resume(a->settings->state_dir, node, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_WARNING, "main", "node %u was let go of, as node %u tells", (unsigned)node,
		         (unsigned)from->node);
	return code == ERR_OK ? start_anew(a, err) : code;
}

/* One node a time: then the daemon starts anew, or this node's own list is another. */
static enum err_code listen_to(struct admission *a, struct ear *e, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && !a->is_ending && i < e->members.count; i++) {
		const struct member *there = &e->members.members[i];
		const struct member *here = members_find(&a->here, there->node);
		bool is_same = here != NULL && strcmp(here->authority, there->authority) == 0;
		if (there->node == a->settings->node_id)
			continue;
		if (there->state >= MEMBER_LEAVING && is_same && here->state < MEMBER_LEAVING)
			code = let_go(a, e, there->node, err);
		else if (is_gone(here, there))
			continue;
		else if (newcomer_is_counted(a->settings, there->node))
			code = take_better(a, here, there, err);
		else
			code = take_in(a, e, there, err);
	}
	return code;
}

static bool any_comes(const struct admission *a)
{
	for (size_t i = 0; i < a->here.count; i++)
		if (a->here.members[i].state < MEMBER_JOINED)
			return true;
	return false;
}

static enum err_code hear_all(struct admission *a, struct err *err)
{
	enum err_code code = ERR_OK;
	bool comes = any_comes(a);
	for (size_t i = 0; code == ERR_OK && !a->is_ending && !state_is_stopping(a->state) && i < a->ear_count; i++) {
		struct ear *e = &a->ears[i];
		if (clock_monotonic_ms() < e->due_ms)
			continue;
		hear(e, comes ? 0 : HEAR_MS);
		if (e->heard)
			code = listen_to(a, e, err);
		if (code == ERR_OK)
			code = members_list(a->connection, &a->here, err);
	}
	return code;
}

static struct ear *find_ear(struct admission *a, uint32_t node)
{
	for (size_t i = 0; i < a->ear_count; i++)
		if (a->ears[i].node == node)
			return &a->ears[i];
	return NULL;
}

/* ---- Who has left ---- */

/* It still counts here. */
static const struct member *find_leaver(const struct admission *a)
{
	for (size_t i = 0; i < a->here.count; i++)
		if (a->here.members[i].state >= MEMBER_LEAVING && newcomer_is_counted(a->settings, a->here.members[i].node))
			return &a->here.members[i];
	return NULL;
}

/* No link reads the leaver's log there any more, and they have the same of it as this node. */
static bool agrees(struct admission *a, uint32_t node, const struct member *leaver, const struct vector *here,
                   struct buf *why)
{
	struct ear *e = find_ear(a, node);
	struct vector there;
	if (e == NULL || !e->heard) {
		buf_printf(why, "waiting for node %u, which node %u can't reach, to hear that node %u was let go of: %s",
		           (unsigned)node, (unsigned)a->settings->node_id, (unsigned)leaver->node,
		           e ? e->why : "it is no peer");
		return false;
	}
	const struct member *m = members_find(&e->members, leaver->node);
	bool is_past = m == NULL || m->state == MEMBER_LEFT || strcmp(m->authority, leaver->authority) != 0;
	if (!is_past)
		buf_printf(why, "waiting for node %u to hear that node %u was let go of", (unsigned)node,
		           (unsigned)leaver->node);
	else if (server_vector(e->connection, &there, NULL) != ERR_OK ||
	         vector_seq(&there, leaver->node) != vector_seq(here, leaver->node))
		buf_printf(why, "waiting until node %u and node %u have the same of what node %u wrote", (unsigned)node,
		           (unsigned)a->settings->node_id, (unsigned)leaver->node);
	return why->size == 0;
}

static bool all_agree(struct admission *a, const struct member *leaver, const struct vector *here, struct buf *why)
{
	const struct settings *s = a->settings;
	if (leaver->state == MEMBER_LEAVING)
		buf_printf(why, "waiting until node %u has started anew", (unsigned)s->node_id);
	for (size_t i = 0; why->size == 0 && i < s->node_count; i++) {
		const struct member *m = members_find(&a->here, s->nodes[i]);
		if (s->nodes[i] != s->node_id && (m == NULL || m->state < MEMBER_LEAVING))
			agrees(a, s->nodes[i], leaver, here, why);
	}
	return why->size == 0;
}

/* A node that has left counts until all agree about it (node/members.h). `why` is empty if there is none. */
static enum err_code look_at_leaver(struct admission *a, struct buf *why, struct err *err)
{
	const struct member *leaver = find_leaver(a);
	struct vector here;
	enum err_code code = leaver != NULL ? server_vector(a->connection, &here, err) : ERR_OK;
	bool agree = code == ERR_OK && leaver != NULL && all_agree(a, leaver, &here, why);
	if (code == ERR_OK && why->size > 0 && strcmp(a->told_leaver, buf_str(why)) != 0)
		log_line(LOG_LEVEL_INFO, "members", "node %u still counts: %s", (unsigned)leaver->node, buf_str(why));
	snprintf(a->told_leaver, sizeof a->told_leaver, "%s", buf_str(why));
	if (code != ERR_OK || !agree)
		return code;
	code = peers_uncount(a->settings, leaver->node, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "node %u counts no more: all nodes have what it wrote",
		         (unsigned)leaver->node);
	return code == ERR_OK ? start_anew(a, err) : code;
}

/* ---- Who asks ---- */

static void check_engine(struct connection *connection, uint32_t node, struct buf *why)
{
	struct native_mark mark;
	struct err err;
	if (native_load_mark(connection, &mark, &err) == ERR_OK && mark.is_native)
		buf_printf(why, "node %u has engine = native, which can't let a node in; run there: syncline engine merge",
		           (unsigned)node);
}

/* A node gives out ids in steps: they have to leave the newcomer its own. */
static void check_room(struct connection *connection, uint32_t node, uint32_t newcomer, struct buf *why)
{
	check_engine(connection, node, why);
	if (why->size > 0)
		return;
	unsigned slots = 0;
	struct err err;
	if (slots_of_server(connection, &slots, &err) == ERR_OK && slots < newcomer)
		buf_printf(why, "node %u still gives out ids in steps of %u; run there: syncline slots %u", (unsigned)node,
		           slots, slots_enough(slots, (unsigned)newcomer));
}

/* Of who can be asked now. The others are asked when they can be. */
static bool has_room(struct admission *a, uint32_t newcomer, char *why, size_t size)
{
	struct buf text = {0};
	check_room(a->connection, a->settings->node_id, newcomer, &text);
	for (size_t i = 0; text.size == 0 && i < a->ear_count; i++)
		if (a->ears[i].heard)
			check_room(a->ears[i].connection, a->ears[i].node, newcomer, &text);
	snprintf(why, size, "%s", buf_str(&text));
	bool has = text.size == 0;
	buf_free(&text);
	return has;
}

/* What this node has not to have forgotten for the newcomer, the others mustn't either: each has to count it. False
 * into `why` what is missing. */
static bool counts(struct admission *a, uint32_t node, const struct member *newcomer, struct buf *why)
{
	struct ear *e = find_ear(a, node);
	if (e == NULL || !e->heard) {
		buf_printf(why, "waiting for node %u, which node %u can't reach: %s", (unsigned)node,
		           (unsigned)a->settings->node_id, e ? e->why : "it is no peer");
		return false;
	}
	const struct member *there = members_find(&e->members, newcomer->node);
	uint32_t ahead = members_ahead(&e->members, newcomer->node);
	bool is_other = there != NULL && strcmp(there->authority, newcomer->authority) != 0;
	if (is_other && there->state < MEMBER_LEAVING)
		buf_printf(why,
		           "waiting, since node %u knows another node %u; give another --node, or there: syncline forget %u",
		           (unsigned)node, (unsigned)newcomer->node, (unsigned)newcomer->node);
	else if (there == NULL || is_other || !there->counted) {
		check_engine(e->connection, node, why);
		if (why->size == 0)
			buf_printf(why, "waiting for node %u to hear of this node", (unsigned)node);
	} else if (ahead != 0)
		buf_printf(why, "waiting for node %u, which comes in first; if it never does: syncline forget %u",
		           (unsigned)ahead, (unsigned)ahead);
	else
		check_room(e->connection, node, newcomer->node, why);
	return why->size == 0;
}

/* Another newcomer counts when it has joined: it comes in later, and is told of this one. */
static bool all_count(struct admission *a, const struct member *newcomer, struct buf *why)
{
	const struct settings *s = a->settings;
	uint32_t ahead = members_ahead(&a->here, newcomer->node);
	if (ahead != 0)
		buf_printf(why, "waiting for node %u, which comes in first; if it never does: syncline forget %u",
		           (unsigned)ahead, (unsigned)ahead);
	else
		check_room(a->connection, s->node_id, newcomer->node, why);
	for (size_t i = 0; why->size == 0 && i < s->node_count; i++) {
		const struct member *here = members_find(&a->here, s->nodes[i]);
		bool is_member = here == NULL || here->state == MEMBER_JOINED;
		if (s->nodes[i] != s->node_id && s->nodes[i] != newcomer->node && is_member)
			counts(a, s->nodes[i], newcomer, why);
	}
	return why->size == 0;
}

/* A node, and from where its log is to be read: what was written before is everywhere. */
static void append_member(json_t *members, const struct member *m, const struct server_position *position)
{
	struct buf vector = {0};
	vector_format(&position->vector, &vector);
	json_array_append_new(members, json_pack("{s:i, s:s, s:s, s:s, s:I}", "node", (int)m->node, "address", m->address,
	                                         "authority", m->authority, "position", buf_str(&vector), "latest",
	                                         (json_int_t)position->latest));
	buf_free(&vector);
}

static enum err_code make_answer(struct admission *a, uint32_t newcomer, struct buf *to, struct err *err)
{
	json_t *members = json_array();
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < a->here.count; i++) {
		const struct member *m = &a->here.members[i];
		struct ear *e = find_ear(a, m->node);
		struct server_position position;
		if (m->node == newcomer || m->state != MEMBER_JOINED || (e == NULL && m->node != a->settings->node_id))
			continue;
		code = server_first_position(e ? e->connection : a->connection, m->node, &position, err);
		if (code == ERR_OK)
			append_member(members, m, &position);
	}
	json_t *root = json_pack("{s:o}", "members", members);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	if (code == ERR_OK && text == NULL)
		code = err_set(err, ERR_CONFIG, "the addresses of this node's peers are no UTF-8; write them in UTF-8");
	if (code == ERR_OK)
		buf_append_str(to, text);
	free(text);
	json_decref(root);
	return code;
}

static enum err_code admit(struct admission *a, const struct membership_row *row, const struct member *newcomer,
                           struct err *err)
{
	const struct settings *s = a->settings;
	struct buf answer = {0};
	struct tls_authority_id id;
	struct member admitted = *newcomer;
	admitted.state = MEMBER_ADMITTED;
	enum err_code code = identity_peer(s->identity_dir, row->node, &id, NULL, err);
	if (code == ERR_OK)
		code = make_answer(a, row->node, &answer, err);
	if (code == ERR_OK)
		code = members_put(a->connection, &admitted, err);
	if (code == ERR_OK)
		code = membership_admit(a->connection, row, id.name, buf_str(&answer), s->database_count, s->databases, err);
	buf_free(&answer);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "node %u may copy", (unsigned)row->node);
	return code;
}

static enum err_code wait_or_admit(struct admission *a, const struct membership_row *row, const struct member *newcomer,
                                   struct err *err)
{
	struct buf why = {0};
	struct server_seed seed = {0};
	enum err_code code = ERR_OK;
	if (all_count(a, newcomer, &why))
		code = server_load_seed(a->connection, &seed, err);
	bool has_gap = false;
	if (code == ERR_OK && why.size == 0 && a->settings->node_count > 2) /* others than the newcomer */
		code = server_has_gap(a->connection, a->settings->node_id, &has_gap, err);
	if (code == ERR_OK && has_gap)
		buf_printf(&why,
		           "waiting until a node that lacks what node %u has purged from its log has done: syncline rejoin",
		           (unsigned)a->settings->node_id);
	if (code == ERR_OK && seed.peer != 0)
		buf_printf(&why, "waiting until every node has what node %u itself came in with",
		           (unsigned)a->settings->node_id);
	if (code == ERR_OK)
		code = why.size == 0 ? admit(a, row, newcomer, err)
		                     : membership_tell(a->connection, row->invitation, buf_str(&why), err);
	buf_free(&why);
	return code;
}

/* What a malformed authority or a number that is taken deserves: the other side is told. */
static enum err_code look_at_asked(struct admission *a, const struct membership_row *row, struct err *err)
{
	struct member newcomer = {.node = row->node, .address = row->address, .authority = row->authority};
	char buffer[300];
	const struct member *here = members_find(&a->here, row->node);
	if (a->waits_for.size > 0) /* a node that has left: one that comes in would not know of it */
		return membership_tell(a->connection, row->invitation, buf_str(&a->waits_for), err);
	if (here != NULL && here->state == MEMBER_LEFT && a->settings->node_count > 1 &&
	    strcmp(here->authority, row->authority) == 0) /* the others wouldn't take it for another one */
		return membership_refuse(
		    a->connection, row->invitation,
		    "it was let go of, and its certificates with it; make new ones: run there syncline leave "
		    "--force, or remove /etc/mysql/syncline, and join again",
		    err);
	const char *why = newcomer_refusal(a->settings, &newcomer, buffer, sizeof buffer);
	bool is_counted = newcomer_is_counted(a->settings, row->node);
	enum err_code code = ERR_OK;
	if (why == NULL && !is_counted && !has_room(a, row->node, buffer, sizeof buffer))
		why = buffer;
	if (why == NULL && is_counted)
		return wait_or_admit(a, row, &newcomer, err);
	if (why == NULL)
		code = newcomer_take_in(a->settings, a->connection, &newcomer, false, err);
	if (why == NULL && code == ERR_OK)
		return start_anew(a, err);
	if (why == NULL && (code == ERR_MALFORMED || code == ERR_CONFIG || code == ERR_UNSUPPORTED || code == ERR_CONFLICT))
		why = err->message;
	if (why == NULL)
		return code;
	log_line(LOG_LEVEL_WARNING, "main", "a node that asks to come in is refused: %s", why);
	return membership_refuse(a->connection, row->invitation, why, err);
}

/* Its log begins with the latest time of this one's, which covers what it has, the same for every reader: so it is
 * found once. */
static enum err_code look_at_joined(struct admission *a, const struct membership_row *row, struct err *err)
{
	struct member newcomer = {.node = row->node, .address = row->address, .authority = row->authority};
	struct server_position here;
	const struct member *known = members_find(&a->here, row->node);
	struct buf why = {0};
	check_engine(a->connection, a->settings->node_id, &why);
	if (why.size > 0) {
		enum err_code told = membership_tell(a->connection, row->invitation, buf_str(&why), err);
		buf_free(&why);
		return told;
	}
	enum err_code code = vector_parse(row->vector, &newcomer.position.vector, err);
	state_tail_position(a->state, &here);
	if (code == ERR_OK && !vector_covers(&here.vector, &newcomer.position.vector))
		code = err_set(err, ERR_BUSY, "this node's own log isn't read yet up to what node %u has", (unsigned)row->node);
	if (code != ERR_OK)
		return code;
	bool again = known != NULL && known->state == MEMBER_JOINED &&
	             vector_equal(&known->position.vector, &newcomer.position.vector);
	newcomer.position.latest = again ? known->position.latest : here.latest;
	code = newcomer_release(a->settings, a->connection, &newcomer, err);
	if (code == ERR_OK)
		code = membership_finish(a->connection, row, newcomer.position.latest, err);
	if (code == ERR_OK)
		code = membership_let_look(a->connection, row->node, a->settings->database_count, a->settings->databases, err);
	state_wake(a->state);
	return code;
}

static enum err_code look_at_invitations(struct admission *a, struct err *err)
{
	struct membership_row row = {0};
	bool any = false;
	enum err_code code = membership_next(a->connection, &any, &row, err);
	if (code == ERR_SERVER && err->server_errno == 1305) /* ER_SP_DOES_NOT_EXIST: nobody was ever invited */
		code = ERR_OK;
	if (code == ERR_OK && !any)
		atomic_store(&a->wanted, false);
	if (code == ERR_OK && row.node != 0)
		code = strcmp(row.state, "asked") == 0 ? look_at_asked(a, &row, err) : look_at_joined(a, &row, err);
	membership_row_done(&row);
	return code;
}

static enum err_code look_at_errands(struct admission *a, struct err *err)
{
	bool any;
	enum err_code code = errands_look(&a->errands, a->connection, &any, err);
	if (code != ERR_SERVER || err->server_errno != 1146) /* ER_NO_SUCH_TABLE: nothing was prepared for them */
		return code;
	a->has_errands = false;
	return ERR_OK;
}

/* ---- The thread ---- */

static enum err_code look(struct admission *a, struct err *err)
{
	enum err_code code = connection_is_open(a->connection) ? ERR_OK : connection_open(a->connection, &a->target, err);
	if (code == ERR_OK)
		code = members_list(a->connection, &a->here, err);
	if (code == ERR_OK && a->errands.engine == ENGINE_MERGE)
		code = hear_all(a, err);
	buf_clear(&a->waits_for);
	if (code == ERR_OK && !a->is_ending)
		code = look_at_leaver(a, &a->waits_for, err);
	if (code == ERR_OK && !a->is_ending && atomic_load(&a->wanted))
		code = look_at_invitations(a, err);
	if (code == ERR_OK && !a->is_ending && a->has_errands)
		code = look_at_errands(a, err);
	return code;
}

static void *admission_main(void *context)
{
	struct admission *a = context;
	struct err err;
	while (!state_is_stopping(a->state)) {
		enum err_code code = a->is_ending ? ERR_OK : look(a, &err);
		if (code != ERR_OK && !state_is_stopping(a->state) && strcmp(a->told, err.message) != 0)
			log_line(err_retryable(code) ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "members", "%s", err.message);
		snprintf(a->told, sizeof a->told, "%s", code == ERR_OK ? "" : err.message);
		if (code != ERR_OK)
			connection_close(a->connection);
		state_sleep(a->state, LOOK_MS);
	}
	return NULL;
}

static void add_ear(struct admission *a, const struct settings_peer *peer)
{
	a->ears[a->ear_count++] = (struct ear){.connection = connection_new(),
	                                       .target = {.file = a->settings->file,
	                                                  .group = peer->group,
	                                                  .name = peer->where,
	                                                  .read_timeout_s = HEAR_TIMEOUT_S},
	                                       .node = peer->node_id,
	                                       .why = "not asked yet"};
}

enum err_code admission_start(const struct errands *errands, struct admission **ret, struct err *err)
{
	const struct settings *settings = errands->settings;
	struct admission *a = mem_alloc(sizeof *a);
	a->settings = settings;
	a->state = errands->state;
	a->errands = *errands;
	a->has_errands = true;
	a->reload_fd = errands->reload_fd;
	a->connection = connection_new();
	a->target = (struct connection_target){
	    .file = settings->file, .group = settings->server_group, .name = settings->server_where};
	for (size_t i = 0; i < settings->peer_count; i++)
		add_ear(a, &settings->peers[i]);
	atomic_store(&a->wanted, true);
	enum err_code code = thread_start(&a->thread, admission_main, a, err);
	a->started = code == ERR_OK;
	if (code == ERR_OK)
		*ret = a;
	else
		admission_stop(a);
	return code;
}

void admission_look(struct admission *a)
{
	atomic_store(&a->wanted, true);
	state_wake(a->state);
}

void admission_stop(struct admission *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->ear_count; i++)
		connection_abort(a->ears[i].connection);
	if (a->started)
		pthread_join(a->thread, NULL);
	for (size_t i = 0; i < a->ear_count; i++) {
		connection_free(a->ears[i].connection);
		members_free(&a->ears[i].members);
	}
	members_free(&a->here);
	connection_free(a->connection);
	buf_free(&a->waits_for);
	free(a);
}
