#include "link/native_link.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/away.h"
#include "link/probe.h"
#include "link/thread.h"
#include "sql/native.h"

enum {
	LOOK_MS = 250,
	PROBE_MS = 1000,
	NEEDS_MS = 5000,
	SESSION_MS_MIN = 500, /* back-off while this node's server is away or refuses */
	SESSION_MS_MAX = 15000,
	RESTART_MS = 15000,   /* between two starts of what stopped with an error */
	BEHIND_MS_MAX = 3000, /* a live link that has not been at the end for so long is catching up */
	SAVE_MS = 30000,
	REJOIN_MS = 60000,         /* between two looks whether the peer's log is there after all */
	MASTER_FATAL_ERROR = 1236, /* ER_MASTER_FATAL_ERROR_READING_BINLOG */
};

struct native_link {
	const struct settings *settings;
	const struct settings_peer *peer;
	struct state *state;
	char *who;
	struct connection *connection; /* to this node's server */
	struct probe *probe;           /* of the peer's */
	pthread_t thread;
	bool started;
	atomic_bool look; /* start again at once what stopped */

	/* The thread's. */
	bool paused;
	int64_t probed_ms, started_ms, current_ms, saved_ms, reached_s, asked_ms;
	struct away away;
	struct lag_pace pace;
	bool logs_applied; /* log_slave_updates */
	struct gtid shown; /* this node's transaction up to which whatever the peer still sends knew of */
	bool has_head;
	struct vector head;
	struct vector applied;              /* @@gtid_slave_pos */
	struct vector known;                /* the peer's vector when all of its log that was read was applied */
	struct server_position saved, next; /* in syncline.links; what is to be there by the next time */

	pthread_mutex_t lock; /* guards the view */
	struct link_view view;
	bool has_needs, answers; /* the peer did, when it was asked last */
	struct native_needs needs;
};

const char *native_link_name(const struct settings *settings, uint32_t peer, char ret[NATIVE_NAME_MAX])
{
	if (settings->peer_count == 1)
		ret[0] = '\0';
	else
		snprintf(ret, NATIVE_NAME_MAX, "syncline-%u", (unsigned)peer);
	return ret;
}

/* The view */

static void enter(struct native_link *l, enum link_state state, const char *why)
{
	char text[sizeof l->view.why];
	snprintf(text, sizeof text, "%s", why ? why : "");
	for (char *c = text; *c != '\0'; c++)
		if (*c == '\n')
			*c = ' ';
	pthread_mutex_lock(&l->lock);
	bool changed = l->view.state != state || strcmp(l->view.why, text) != 0;
	if (l->view.state != state)
		l->view.since = clock_wall_s();
	l->view.state = state;
	snprintf(l->view.why, sizeof l->view.why, "%s", text);
	pthread_mutex_unlock(&l->lock);
	if (changed)
		log_line(state == LINK_STOPPED || state == LINK_MUST_REJOIN ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, l->who,
		         "%s%s%s", link_state_name(state), text[0] ? ": " : "", text);
}

static enum link_state state_now(struct native_link *l)
{
	pthread_mutex_lock(&l->lock);
	enum link_state state = l->view.state;
	pthread_mutex_unlock(&l->lock);
	return state;
}

/* What a link answers for: its peer's own transactions; in a pair also what was written under no node's number. */
static bool is_brought(const struct native_link *l, uint32_t domain)
{
	return domain == l->peer->node_id || (l->settings->peer_count == 1 && domain != l->settings->node_id);
}

static uint64_t lag_behind(const struct native_link *l, const struct vector *head)
{
	uint64_t lag = 0;
	for (uint32_t i = 0; i < head->count; i++) {
		uint64_t have = vector_seq(&l->applied, head->gtids[i].domain);
		if (is_brought(l, head->gtids[i].domain) && head->gtids[i].seq > have)
			lag += head->gtids[i].seq - have;
	}
	return lag;
}

static uint64_t lag_of(const struct native_link *l)
{
	return lag_behind(l, &l->head);
}

/* Where the next transaction of the peer's stands: its own are numbered without gaps. */
static struct gtid next_transaction(const struct native_link *l)
{
	uint32_t peer = l->peer->node_id;
	return (struct gtid){.domain = peer, .server = peer, .seq = vector_seq(&l->applied, peer) + 1};
}

/* The peer's log as far as it was read has others' transactions, too: this node's own, and with more than two nodes
 * a third's, which count as far as they came from the third itself. */
static enum err_code advance_known(struct native_link *l, const struct native_status *status, struct err *err)
{
	enum err_code code = ERR_OK;
	for (uint32_t i = 0; code == ERR_OK && status->is_drained && i < status->read.count; i++) {
		struct gtid gtid = status->read.gtids[i];
		uint64_t applied = vector_seq(&l->applied, gtid.domain);
		if (gtid.domain != l->settings->node_id && gtid.seq > applied)
			gtid.seq = applied;
		if (gtid.seq > 0)
			code = vector_advance(&l->known, &gtid, err);
	}
	for (uint32_t i = 0; code == ERR_OK && i < l->applied.count; i++)
		if (is_brought(l, l->applied.gtids[i].domain))
			code = vector_advance(&l->known, &l->applied.gtids[i], err);
	return code;
}

/* The IO thread gave up on a peer that it can't reach, which it does after many tries: no error to us. */
static bool is_connecting(const struct native_status *s)
{
	return s->io_connects || (!s->io_runs && s->sql_runs && s->io_errno >= 2000 && s->io_errno < 3000);
}

static void note_reached(struct native_link *l, const struct native_status *status)
{
	if (status->io_runs && !status->io_connects) {
		l->reached_s = clock_wall_s();
		away_reached(&l->away);
	} else if (is_connecting(status) && !l->paused) {
		away_lost(&l->away, l->reached_s, clock_wall_s());
	}
}

/* What is known of the peer itself, and how long it will take. */
static void publish_probe(struct native_link *l, const struct native_status *status)
{
	struct link_view *v = &l->view;
	struct lag_place place = {.position = (uint32_t)status->log_position};
	snprintf(place.file, sizeof place.file, "%.127s", status->log_file);
	probe_set_applied(l->probe, &l->known, &place);
	probe_view(l->probe, &v->probe);
	v->probe.has_delay = false; /* the position is looked at now and then only */
	v->offline_since = l->paused ? 0 : l->away.since_s;
	uint64_t left = v->probe.has_bytes ? v->probe.bytes : v->lag_transactions;
	if (v->lag_transactions == 0)
		l->pace.count = 0;
	else
		lag_pace_note(&l->pace, clock_monotonic_ms(), left);
	v->has_estimate = v->lag_transactions > 0 && lag_pace_estimate(&l->pace, &v->catch_up_seconds);
	if (!l->has_head)
		v->probe = (struct probe_view){0};
}

static void publish(struct native_link *l, const struct native_status *status)
{
	note_reached(l, status);
	pthread_mutex_lock(&l->lock);
	struct link_view *v = &l->view;
	uint64_t before = vector_seq(&v->position, l->peer->node_id), now = vector_seq(&l->known, l->peer->node_id);
	if (before != 0 && now > before)
		v->counts.transactions += now - before;
	v->position = l->known;
	v->lag_known = l->has_head;
	v->lag_transactions = l->has_head ? lag_of(l) : 0;
	v->lag_seconds = status->lag_seconds > 0 && v->lag_transactions > 0 ? status->lag_seconds : 0;
	v->has_culprit = status->sql_errno != 0 && l->settings->peer_count == 1;
	v->culprit = next_transaction(l);
	publish_probe(l, status);
	pthread_mutex_unlock(&l->lock);
}

static void set_paused(struct native_link *l, bool paused)
{
	l->paused = paused;
	pthread_mutex_lock(&l->lock);
	l->view.paused = paused;
	pthread_mutex_unlock(&l->lock);
}

/* Watching */

/* How far does the peer's log go? */
static void probe(struct native_link *l)
{
	int64_t now = clock_monotonic_ms();
	if (l->has_head && now - l->probed_ms < PROBE_MS)
		return;
	l->probed_ms = now;
	l->has_head = probe_ask(l->probe, &l->head);
}

/* What the peer had of this node's when it was asked counts when all is here that it had written by then. Its log tells
 * that, too, but not of what isn't replicated. */
static void advance_shown(struct native_link *l)
{
	uint32_t own = l->settings->node_id;
	uint64_t known = vector_seq(&l->needs.known, own);
	if (l->has_needs && lag_behind(l, &l->needs.head) == 0 && known > l->shown.seq)
		l->shown = (struct gtid){.domain = own, .server = own, .seq = known};
}

/* What does it need of this node's log? It reads that whether this node reads its or not. */
static void ask_needs(struct native_link *l, const struct native_status *status)
{
	struct native_place here = {.saved = l->saved.vector, .applied = l->applied, .logs_applied = l->logs_applied};
	struct native_needs needs;
	int64_t now = clock_monotonic_ms();
	advance_shown(l);
	if (l->shown.seq > 0 && vector_advance(&here.saved, &l->shown, NULL) != ERR_OK)
		return;
	if (!status->io_connects && l->asked_ms != 0 && now - l->asked_ms < NEEDS_MS)
		return;
	struct connection *peer = status->io_connects ? NULL : probe_connection(l->probe);
	bool answers = peer != NULL && native_needs_ask(peer, l->settings, l->peer->node_id, &here, &needs, NULL) == ERR_OK;
	l->asked_ms = status->io_connects ? 0 : now;
	pthread_mutex_lock(&l->lock);
	l->answers = answers;
	if (answers) {
		l->has_needs = true;
		l->needs = needs;
	} else if (!l->needs.is_lasting) {
		l->has_needs = false;
	}
	pthread_mutex_unlock(&l->lock);
}

bool native_link_needs(struct native_link *l, struct native_needs *ret, bool *ret_connected)
{
	pthread_mutex_lock(&l->lock);
	bool has = l->has_needs;
	*ret_connected = l->answers;
	if (has)
		*ret = l->needs;
	pthread_mutex_unlock(&l->lock);
	return has;
}

static enum err_code start(struct native_link *l, struct err *err)
{
	l->started_ms = clock_monotonic_ms();
	return native_start(l->connection, err);
}

/* As the operator said. */
static enum err_code pass_over(struct native_link *l, const struct gtid *gtid, struct err *err)
{
	char text[GTID_TEXT_MAX];
	struct vector position = l->applied;
	enum err_code code = vector_advance(&position, gtid, err);
	if (code == ERR_OK)
		code = native_stop(l->connection, err);
	if (code == ERR_OK)
		code = native_set_position(l->connection, &position, err);
	if (code != ERR_OK)
		return code;
	log_line(LOG_LEVEL_WARNING, l->who, "passed over transaction %s, as the operator said", gtid_format(gtid, text));
	enter(l, LINK_CATCHING_UP, NULL);
	return start(l, err);
}

static const char *what_to_do(unsigned number)
{
	switch (number) {
	case 1062:
	case 1032:
	case 1451:
	case 1452:
		return "the rows of the two nodes differ: make them equal here";
	case 1049:
	case 1146:
		return "make here what is missing";
	default:
		return "mend the cause";
	}
}

/* MariaDB sql/sql_repl.cc, gtid_find_binlog_file: no file begins where this node has everything that is ahead of it. */
static bool is_purged(const struct native_status *s)
{
	return s->io_errno == MASTER_FATAL_ERROR && strstr(s->io_error, "Could not find GTID state requested") != NULL;
}

static enum err_code on_purged(struct native_link *l, struct err *err)
{
	char why[sizeof l->view.why], text[GTID_TEXT_MAX] = "at its beginning";
	struct gtid last = next_transaction(l);
	if (--last.seq > 0)
		gtid_format(&last, text);
	snprintf(why, sizeof why,
	         "%s no longer has its log from where this node stopped reading, %s%s; run `syncline engine merge` and "
	         "then `syncline rejoin` on this node",
	         l->peer->where, last.seq > 0 ? "after " : "", text);
	enter(l, LINK_MUST_REJOIN, why);
	bool again = atomic_exchange(&l->look, false) || clock_monotonic_ms() - l->started_ms > REJOIN_MS;
	return again ? start(l, err) : ERR_OK;
}

/* Stopped with an error: says it, and tries again when it is time. */
static enum err_code on_error(struct native_link *l, const struct native_status *s, struct err *err)
{
	char why[sizeof l->view.why], text[GTID_TEXT_MAX];
	struct gtid culprit = next_transaction(l);
	bool skips = s->sql_errno != 0 && l->settings->peer_count == 1;
	if (skips && state_take_skip(l->state, &culprit))
		return pass_over(l, &culprit, err);
	if (s->sql_errno != 0)
		snprintf(why, sizeof why, "MariaDB's replication stopped at transaction %s: %.400s; %s%s%s%s",
		         gtid_format(&culprit, text), s->sql_error, what_to_do(s->sql_errno),
		         skips ? ", or pass over it with `syncline skip " : "", skips ? text : "", skips ? "`" : "");
	else
		snprintf(why, sizeof why, "MariaDB's replication can't read the log of node %u: %.500s; mend the cause",
		         (unsigned)l->peer->node_id, s->io_error);
	enter(l, LINK_STOPPED, why);
	bool again = atomic_exchange(&l->look, false) || clock_monotonic_ms() - l->started_ms > RESTART_MS;
	return again ? start(l, err) : ERR_OK;
}

static enum err_code judge(struct native_link *l, const struct native_status *s, struct err *err)
{
	if (!s->sql_runs && s->sql_errno != 0)
		return on_error(l, s, err);
	if (s->io_connects && state_now(l) == LINK_MUST_REJOIN)
		return ERR_OK; /* until the peer has answered otherwise */
	if (!s->io_runs && is_purged(s))
		return on_purged(l, err);
	if (is_connecting(s)) {
		char why[sizeof l->view.why];
		snprintf(why, sizeof why, "%s", s->io_errno != 0 ? s->io_error : "");
		enter(l, LINK_CONNECTING, why);
		return s->io_connects ? ERR_OK : start(l, err);
	}
	if (!s->io_runs && s->io_errno != 0)
		return on_error(l, s, err);
	if (!s->io_runs || !s->sql_runs) {
		enter(l, LINK_STOPPED, "stopped by hand (STOP SLAVE); START SLAVE lets it go on");
		return atomic_exchange(&l->look, false) ? start(l, err) : ERR_OK;
	}
	atomic_store(&l->look, false);
	int64_t now = clock_monotonic_ms();
	enum link_state state = state_now(l);
	bool is_current = l->has_head ? lag_of(l) == 0 : s->is_drained && s->lag_seconds == 0;
	if (is_current)
		l->current_ms = now;
	/* What stopped counts as stopped until it has got past what stopped it. */
	if (is_current)
		enter(l, LINK_LIVE, NULL);
	else if (state == LINK_CONNECTING || (state == LINK_LIVE && now - l->current_ms > BEHIND_MS_MAX) ||
	         ((state == LINK_STOPPED || state == LINK_MUST_REJOIN) && now - l->started_ms > RESTART_MS))
		enter(l, LINK_CATCHING_UP, NULL);
	return ERR_OK;
}

/* An older position than the newest one is saved, so that behind it the peer's log is sure to tell again of the last
 * half minute of our own transactions there. Only when all that was read is applied: else the peer's vector belongs
 * to a later place in its log than the one that was applied up to. */
static enum err_code save_position(struct native_link *l, const struct native_status *status, struct err *err)
{
	int64_t now = clock_monotonic_ms();
	if (!status->is_drained || state_now(l) != LINK_LIVE || now - l->saved_ms < SAVE_MS)
		return ERR_OK;
	l->saved_ms = now;
	enum err_code code = ERR_OK;
	if (l->next.vector.count > 0 && !vector_equal(&l->next.vector, &l->saved.vector)) {
		code = server_save_position(l->connection, l->peer->node_id, &l->next, err);
		if (code == ERR_OK)
			l->saved = l->next;
	}
	l->next = (struct server_position){.vector = l->known, .latest = l->saved.latest};
	return code;
}

static enum err_code look_on(struct native_link *l, struct err *err)
{
	struct native_status status = {0};
	struct vector here;
	enum err_code code = native_status(l->connection, &status, err);
	if (code == ERR_OK)
		code = native_position(l->connection, &l->applied, err);
	if (code == ERR_OK)
		code = server_vector(l->connection, &here, err);
	if (code == ERR_OK)
		code = advance_known(l, &status, err);
	if (code != ERR_OK)
		return code;
	state_set_vector(l->state, &here);
	state_tail_live(l->state, true, NULL);
	if (status.io_runs)
		probe(l);
	else
		l->has_head = false;
	ask_needs(l, &status);
	publish(l, &status);
	if (!status.exists)
		return err_set(err, ERR_BUSY, "the replication from node %u was removed by hand; setting it up again",
		               (unsigned)l->peer->node_id);
	if (l->paused) {
		enter(l, LINK_CONNECTING, "paused; `syncline resume` lets it go on");
		return ERR_OK;
	}
	code = judge(l, &status, err);
	return code == ERR_OK ? save_position(l, &status, err) : code;
}

static enum err_code look_at_pause(struct native_link *l, struct err *err)
{
	bool paused = control_is_paused(l->settings->state_dir, l->peer->node_id);
	if (paused == l->paused)
		return ERR_OK;
	enum err_code code = paused ? native_stop(l->connection, err) : start(l, err);
	if (code == ERR_OK)
		set_paused(l, paused);
	return code;
}

/* Setting up */

enum err_code native_link_set_up(const struct settings *settings, const struct settings_peer *peer,
                                 struct connection *connection, struct err *err)
{
	struct settings_connection c;
	char name[NATIVE_NAME_MAX];
	enum err_code code = settings_connection_load(settings, peer, &c, err);
	if (code != ERR_OK)
		return code;
	struct native_source source = {.host = c.host,
	                               .user = c.user,
	                               .password = c.password,
	                               .port = c.port,
	                               .ssl_ca = c.ssl_ca,
	                               .ssl_capath = c.ssl_capath,
	                               .ssl_cert = c.ssl_cert,
	                               .ssl_key = c.ssl_key,
	                               .ssl_crl = c.ssl_crl,
	                               .ssl_crlpath = c.ssl_crlpath,
	                               .ssl_cipher = c.ssl_cipher,
	                               .ssl_verify = c.ssl_verify};
	code = native_select(connection, native_link_name(settings, peer->node_id, name), err);
	if (code == ERR_OK)
		code = native_stop(connection, err);
	if (code == ERR_OK)
		code = settings->peer_count > 1 ? native_ignore_duplicates(connection, err) : ERR_OK;
	if (code == ERR_OK)
		code = native_set_up(connection, &source, settings->databases, settings->database_count, err);
	settings_connection_free(&c);
	return code;
}

static enum err_code begin(struct native_link *l, struct err *err)
{
	struct connection_target target = {
	    .file = l->settings->file, .group = l->settings->server_group, .name = l->settings->server_where};
	enum err_code code = connection_open(l->connection, &target, err);
	if (code == ERR_OK)
		code = server_lock_link(l->connection, l->peer->node_id, err);
	if (code == ERR_OK)
		code = native_logs_applied(l->connection, &l->logs_applied, err);
	if (code == ERR_OK)
		code = server_load_position(l->connection, l->peer->node_id, &l->saved, err);
	if (code == ERR_OK)
		code = native_link_set_up(l->settings, l->peer, l->connection, err);
	if (code != ERR_OK)
		return code;
	l->known = l->saved.vector;
	l->next = (struct server_position){0};
	l->saved_ms = clock_monotonic_ms();
	set_paused(l, control_is_paused(l->settings->state_dir, l->peer->node_id));
	return l->paused ? ERR_OK : start(l, err);
}

static enum err_code run_session(struct native_link *l, struct err *err)
{
	enum err_code code = begin(l, err);
	while (code == ERR_OK && !state_is_stopping(l->state)) {
		code = look_at_pause(l, err);
		if (code == ERR_OK)
			code = look_on(l, err);
		if (code == ERR_OK)
			state_sleep(l->state, LOOK_MS);
	}
	connection_close(l->connection);
	probe_close(l->probe);
	return code;
}

static void *native_link_main(void *context)
{
	struct native_link *l = context;
	int64_t backoff_ms = SESSION_MS_MIN;
	while (!state_is_stopping(l->state)) {
		struct err err = {0};
		int64_t began_ms = clock_monotonic_ms();
		enum err_code code = run_session(l, &err);
		if (code == ERR_OK || state_is_stopping(l->state))
			break;
		if (clock_monotonic_ms() - began_ms > SESSION_MS_MAX)
			backoff_ms = SESSION_MS_MIN;
		if (code == ERR_DISCONNECTED)
			state_tail_live(l->state, false, err.message);
		enter(l, err_retryable(code) ? LINK_CONNECTING : LINK_STOPPED, err.message);
		state_sleep(l->state, backoff_ms);
		backoff_ms = backoff_ms * 2 < SESSION_MS_MAX ? backoff_ms * 2 : SESSION_MS_MAX;
	}
	return NULL;
}

enum err_code native_link_start(const struct settings *settings, const struct settings_peer *peer, struct state *state,
                                struct native_link **ret_link, struct err *err)
{
	struct native_link *l = mem_alloc(sizeof *l);
	l->settings = settings;
	l->peer = peer;
	l->state = state;
	l->who = mem_printf("link %u", (unsigned)peer->node_id);
	l->connection = connection_new();
	l->probe = probe_new(&(struct connection_target){.file = settings->file, .group = peer->group, .name = peer->where},
	                     settings->node_id);
	away_load(&l->away, settings->state_dir, peer->node_id, clock_wall_s());
	l->view.peer = peer->node_id;
	l->view.where = peer->where;
	l->view.since = clock_wall_s();
	pthread_mutex_init(&l->lock, NULL);
	enum err_code code = thread_start(&l->thread, native_link_main, l, err);
	l->started = code == ERR_OK;
	if (code == ERR_OK)
		*ret_link = l;
	else
		native_link_stop(l);
	return code;
}

void native_link_stop(struct native_link *l)
{
	if (l == NULL)
		return;
	if (l->started) {
		probe_abort(l->probe);
		pthread_join(l->thread, NULL);
	}
	connection_free(l->connection);
	probe_free(l->probe);
	pthread_mutex_destroy(&l->lock);
	free(l->who);
	free(l);
}

void native_link_look(struct native_link *l)
{
	atomic_store(&l->look, true);
}

void native_link_view(struct native_link *l, struct link_view *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = l->view;
	pthread_mutex_unlock(&l->lock);
}
