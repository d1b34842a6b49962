#include "link/link.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/away.h"
#include "link/probe.h"
#include "link/reader.h"
#include "link/thread.h"

enum {
	TAKE_MS = 500,        /* how long to wait for an event before looking around */
	CONNECT_MS_MIN = 100, /* back-off while connecting */
	CONNECT_MS_MAX = 5000,
	STOPPED_MS_MIN = 1000, /* back-off while stopped */
	STOPPED_MS_MAX = 15000,
	REJOIN_MS = 60000,              /* between two looks whether the peer's log is there after all */
	BEHIND_MS_MAX = 3000,           /* a live link that has not been at the end for so long is catching up */
	EVENT_BYTES_KEPT = 1024 * 1024, /* memory kept after a large event */
	SILENT_MS_MIN = 15000,          /* without a whole event; doubled each time, for a large event on a slow line */
	SILENT_MS_MAX = 960000,
	LOOK_MS = 250, /* how often a running link looks at its pause file and publishes its progress */
};

struct link {
	const struct settings *settings;
	const struct settings_peer *peer;
	struct state *state;
	char *who;
	struct reader *reader;
	struct applier *applier;
	pthread_t thread;
	bool started;
	struct buf event;
	int64_t current_ms; /* when it last had everything the peer had */
	int64_t looked_ms;
	int64_t silent_ms; /* how long the peer may send no whole event */
	bool moved;        /* since the view was last published */
	bool refused;      /* when it last tried to connect */
	bool is_lost;      /* the last session ended, or didn't begin, because of the peer */
	struct away away;
	int64_t reached_s;
	struct lag_pace pace;

	pthread_mutex_t lock; /* guards the view */
	struct link_view view;
};

const char *link_state_name(enum link_state state)
{
	switch (state) {
	case LINK_CONNECTING:
		return "connecting";
	case LINK_CATCHING_UP:
		return "catching up";
	case LINK_LIVE:
		return "live";
	case LINK_STOPPED:
		return "stopped";
	case LINK_MUST_REJOIN:
		return "must rejoin";
	}
	return "?";
}

static bool is_paused(const struct link *l)
{
	return control_is_paused(l->settings->state_dir, l->peer->node_id);
}

static void tell(const struct link *l, enum link_state state, const char *why)
{
	char gtid[GTID_TEXT_MAX];
	bool has_gtid = state == LINK_STOPPED && l->view.has_culprit;
	struct log_fields fields = {.gtid = has_gtid ? gtid_format(&l->view.culprit, gtid) : NULL,
	                            .message_id = state == LINK_LIVE                       ? LOG_ID_LINK_LIVE
	                                          : state == LINK_STOPPED                  ? LOG_ID_LINK_STOPPED
	                                          : state == LINK_MUST_REJOIN              ? LOG_ID_MUST_REJOIN
	                                          : state == LINK_CONNECTING && l->is_lost ? LOG_ID_PEER_OFFLINE
	                                                                                   : NULL};
	log_event(state == LINK_STOPPED || state == LINK_MUST_REJOIN ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, l->who, &fields,
	          "%s%s%s", link_state_name(state), why[0] ? ": " : "", why);
}

/* Enters a state and logs it once. why may be NULL. */
static void enter(struct link *l, enum link_state state, const char *why)
{
	char text[sizeof l->view.why];
	snprintf(text, sizeof text, "%s", why ? why : "");
	pthread_mutex_lock(&l->lock);
	bool changed = l->view.state != state || strcmp(l->view.why, text) != 0;
	if (l->view.state != state)
		l->view.since = clock_wall_s();
	l->view.state = state;
	snprintf(l->view.why, sizeof l->view.why, "%s", text);
	pthread_mutex_unlock(&l->lock);
	if (changed)
		tell(l, state, text);
}

static enum link_state state_now(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	enum link_state state = l->view.state;
	pthread_mutex_unlock(&l->lock);
	return state;
}

static uint64_t lag_of(const struct link *l, const struct vector *head, const struct vector *position)
{
	return lag_transactions(head, position, l->settings->node_id);
}

/* Since when the peer is away is counted from when it was last there. */
static void note_reached(struct link *l, bool is_connected)
{
	if (is_connected) {
		l->reached_s = clock_wall_s();
		l->is_lost = false;
		away_reached(&l->away);
	} else if (l->is_lost) {
		away_lost(&l->away, l->reached_s, clock_wall_s());
	}
}

/* How long it will take: by bytes, since transactions differ in size, unless the peer doesn't tell. */
static bool estimate(struct link *l, const struct probe_view *probe, uint64_t lag, int64_t *ret_seconds)
{
	if (lag == 0) {
		l->pace.count = 0;
		return false;
	}
	lag_pace_note(&l->pace, clock_monotonic_ms(), probe->has_bytes ? probe->bytes : lag);
	return lag_pace_estimate(&l->pace, ret_seconds);
}

static void publish(struct link *l)
{
	const struct vector *position = applier_position(l->applier);
	struct vector head;
	l->moved = false;
	bool known = reader_head(l->reader, &head);
	bool at_end = applier_at_end(l->applier);
	uint64_t lag = known && !at_end ? lag_of(l, &head, position) : 0;
	bool is_connected = reader_is_connected(l->reader);
	struct probe_view probe;
	probe_set_applied(reader_probe(l->reader), position, applier_place(l->applier));
	probe_view(reader_probe(l->reader), &probe);
	if (at_end)
		probe.bytes = 0;
	note_reached(l, is_connected);
	int64_t age = lag_age(&probe.clock, applier_time(l->applier), clock_wall_s()), seconds = 0;
	bool has_estimate = estimate(l, &probe, lag, &seconds);
	char differing[READER_DIFFERING_MAX];
	reader_differing(l->reader, differing);
	pthread_mutex_lock(&l->lock);
	bool differs = strcmp(l->view.differing, differing) != 0;
	memcpy(l->view.differing, differing, sizeof differing);
	l->view.position = *position;
	l->view.counts = applier_counts(l->applier);
	l->view.lag_known = known && is_connected;
	l->view.offline_since = l->away.since_s;
	l->view.probe = is_connected ? probe : (struct probe_view){0};
	l->view.has_estimate = has_estimate && is_connected;
	l->view.catch_up_seconds = seconds;
	l->view.lag_transactions = lag;
	l->view.lag_seconds = lag > 0 ? age : 0;
	pthread_mutex_unlock(&l->lock);
	if (differs && differing[0] != '\0')
		log_line(
		    LOG_LEVEL_ERROR, l->who,
		    "conflict-policy is another on node %u for %s: rows in conflict won't come out equal; make the lines the "
		    "same on every node and restart syncline",
		    (unsigned)l->peer->node_id, differing);
}

/* Nothing is left to read for now, and all that was read is committed. */
static void look_whether_live(struct link *l)
{
	struct vector head;
	bool current = applier_at_end(l->applier) ||
	               (reader_head(l->reader, &head) && lag_of(l, &head, applier_position(l->applier)) == 0);
	if (l->moved)
		publish(l);
	if (current) {
		l->current_ms = clock_monotonic_ms();
		if (state_now(l) != LINK_LIVE && reader_is_connected(l->reader))
			enter(l, LINK_LIVE, NULL);
	}
}

/* Now and then, also in the thick of it. */
static enum err_code look_around(struct link *l, struct err *err)
{
	int64_t now = clock_monotonic_ms();
	if (now - l->looked_ms < LOOK_MS)
		return ERR_OK;
	l->looked_ms = now;
	publish(l);
	/* A link that stopped is stopped until it has got past what stopped it, that is, until it is live. */
	enum link_state state = state_now(l);
	if (reader_is_connected(l->reader) &&
	    (state == LINK_CONNECTING || (state == LINK_LIVE && now - l->current_ms > BEHIND_MS_MAX)))
		enter(l, LINK_CATCHING_UP, NULL);
	if (state_is_stopping(l->state) || is_paused(l))
		return err_set(err, ERR_CANCELLED, "paused");
	return ERR_OK;
}

static enum err_code follow(struct link *l, struct err *err)
{
	struct queue *queue = reader_queue(l->reader);
	for (;;) {
		enum err_code code = ERR_OK;
		enum queue_result result = queue_take(queue, &l->event, 0);
		if (result == QUEUE_EMPTY) {
			code = applier_idle(l->applier, err);
			if (code == ERR_OK) {
				look_whether_live(l);
				result = queue_take(queue, &l->event, TAKE_MS);
			}
		}
		l->moved = l->moved || result == QUEUE_OK;
		if (code == ERR_OK && result == QUEUE_OK)
			code = applier_event(l->applier, l->event.data, l->event.size, err);
		if (l->event.capacity > EVENT_BYTES_KEPT)
			buf_free(&l->event);
		if (code == ERR_OK)
			code = look_around(l, err);
		if (code != ERR_OK)
			return code;
		if (result == QUEUE_CLOSED)
			return ERR_OK; /* the reader knows why */
		if (result == QUEUE_EMPTY && reader_silent_ms(l->reader) > l->silent_ms) {
			int64_t silent_ms = l->silent_ms;
			l->silent_ms = silent_ms * 2 < SILENT_MS_MAX ? silent_ms * 2 : SILENT_MS_MAX;
			return err_set(err, ERR_DISCONNECTED, "%s has sent no whole event for %lld s; reading it again",
			               l->peer->where, (long long)silent_ms / 1000);
		}
	}
}

static enum err_code run_session(struct link *l, struct err *err)
{
	struct vector position;
	enum err_code code = applier_start(l->applier, &position, err);
	if (code == ERR_OK)
		code = reader_start(l->reader, &position, err);
	if (code != ERR_OK)
		return code;
	l->current_ms = clock_monotonic_ms();
	code = follow(l, err);
	reader_abort(l->reader);
	enum err_code reader_code = reader_stop(l->reader, code == ERR_OK ? err : NULL);
	l->is_lost = code == ERR_OK && (reader_code == ERR_DISCONNECTED || reader_code == ERR_TIMEOUT);
	applier_stop(l->applier);
	publish(l);
	return code == ERR_OK ? reader_code : code;
}

static void set_paused(struct link *l, bool paused)
{
	pthread_mutex_lock(&l->lock);
	l->view.paused = paused;
	if (paused)
		l->view.offline_since = 0;
	pthread_mutex_unlock(&l->lock);
}

static void set_culprit(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	l->view.has_culprit = applier_culprit(l->applier, &l->view.culprit);
	pthread_mutex_unlock(&l->lock);
}

static void enter_must_rejoin(struct link *l, struct err *err)
{
	time_t latest = (time_t)applier_latest(l->applier);
	struct tm tm;
	char after[80] = "at its beginning";
	if (latest != 0 && gmtime_r(&latest, &tm) != NULL)
		strftime(after, sizeof after, "after %Y-%m-%d %H:%M:%S UTC", &tm);
	size_t size = strlen(err->message);
	snprintf(err->message + size, sizeof err->message - size, ", %s; run `syncline rejoin` on this node", after);
	enter(l, LINK_MUST_REJOIN, err->message);
}

/* The peer has let go of this node, most likely: that no retry mends. */
static enum err_code explain_refusal(struct link *l, enum err_code code, struct err *err)
{
	bool may_be = false;
	unsigned me = (unsigned)l->settings->node_id;
	l->refused = connection_was_refused(err, &may_be) || (l->refused && may_be);
	if (!l->refused)
		return code;
	err_wrap(err,
	         "node %u doesn't let this node in; if it was let go of (syncline forget %u), it comes back with `syncline "
	         "leave "
	         "--force` here and a new invitation",
	         (unsigned)l->peer->node_id, me);
	return err->code = ERR_SERVER;
}

static void *link_main(void *context)
{
	struct link *l = context;
	int64_t connect_ms = CONNECT_MS_MIN, stopped_ms = STOPPED_MS_MIN;
	while (!state_is_stopping(l->state)) {
		struct err err = {0};
		bool paused = is_paused(l);
		set_paused(l, paused);
		if (paused) {
			enter(l, LINK_CONNECTING, "paused; `syncline resume` lets it go on");
			state_sleep(l->state, TAKE_MS);
			continue;
		}
		uint64_t transactions = applier_counts(l->applier).transactions;
		enum err_code code = run_session(l, &err);
		if (applier_counts(l->applier).transactions != transactions)
			l->silent_ms = SILENT_MS_MIN;
		bool progress = applier_counts(l->applier).transactions != transactions || state_now(l) == LINK_LIVE;
		if (code == ERR_OK || code == ERR_CANCELLED || state_is_stopping(l->state))
			continue;
		code = explain_refusal(l, code, &err);
		connect_ms = progress ? CONNECT_MS_MIN : connect_ms * 2 < CONNECT_MS_MAX ? connect_ms * 2 : CONNECT_MS_MAX;
		stopped_ms = progress ? STOPPED_MS_MIN : stopped_ms * 2 < STOPPED_MS_MAX ? stopped_ms * 2 : STOPPED_MS_MAX;
		if (err_retryable(code)) {
			if (code == ERR_DISCONNECTED)
				enter(l, LINK_CONNECTING, err.message);
			else
				log_line(LOG_LEVEL_INFO, l->who, "trying again: %s", err.message);
			state_sleep(l->state, connect_ms);
		} else if (code == ERR_GONE) {
			enter_must_rejoin(l, &err);
			state_sleep(l->state, REJOIN_MS);
		} else {
			set_culprit(l);
			enter(l, LINK_STOPPED, err.message);
			state_sleep(l->state, stopped_ms);
		}
	}
	return NULL;
}

enum err_code link_start(const struct settings *settings, const struct settings_peer *peer, struct state *state,
                         struct link **ret_link, struct err *err)
{
	struct link *l = mem_alloc(sizeof *l);
	l->settings = settings;
	l->peer = peer;
	l->state = state;
	l->who = mem_printf("link %u", (unsigned)peer->node_id);
	l->silent_ms = SILENT_MS_MIN;
	l->reader = reader_new(settings, peer);
	l->applier = applier_new(settings, peer, state);
	l->view.peer = peer->node_id;
	l->view.where = peer->where;
	l->view.since = clock_wall_s();
	away_load(&l->away, settings->state_dir, peer->node_id, l->view.since);
	pthread_mutex_init(&l->lock, NULL);
	enum err_code code = thread_start(&l->thread, link_main, l, err);
	l->started = code == ERR_OK;
	if (code == ERR_OK)
		*ret_link = l;
	else
		link_stop(l);
	return code;
}

void link_stop(struct link *l)
{
	if (l == NULL)
		return;
	if (l->started) {
		reader_abort(l->reader);
		applier_abort(l->applier);
		pthread_join(l->thread, NULL);
	}
	reader_free(l->reader);
	applier_free(l->applier);
	buf_free(&l->event);
	pthread_mutex_destroy(&l->lock);
	free(l->who);
	free(l);
}

void link_look(struct link *l)
{
	if (is_paused(l))
		reader_abort(l->reader);
}

/* The link's thread may be waiting for a lock that a local writer holds: then what it published last is old, but the
 * reader asks on. */
static void look_closer(struct link *l, struct link_view *v)
{
	struct vector head, acknowledged = {0};
	struct probe_view probe;
	reader_acknowledged(l->reader, &acknowledged);
	v->lacks_known = state_lacks(l->state, l->peer->node_id, &acknowledged, &v->lacks);
	if (!v->lag_known || !reader_head(l->reader, &head))
		return;
	probe_view(reader_probe(l->reader), &probe);
	if (probe.waits_ms == 0)
		return;
	v->probe = probe;
	v->lag_transactions = lag_of(l, &head, &v->position);
	if (v->lag_seconds < probe.waits_ms / 1000)
		v->lag_seconds = probe.waits_ms / 1000;
	if (v->state == LINK_LIVE && probe.waits_ms > BEHIND_MS_MAX) {
		v->state = LINK_CATCHING_UP;
		v->since = clock_wall_s() - probe.waits_ms / 1000;
	}
}

void link_view(struct link *l, struct link_view *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = l->view;
	pthread_mutex_unlock(&l->lock);
	look_closer(l, ret);
}

bool link_acknowledged(struct link *l, struct vector *ret_vector, bool *ret_connected)
{
	*ret_connected = reader_is_connected(l->reader);
	return reader_acknowledged(l->reader, ret_vector);
}
