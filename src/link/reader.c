#include "link/reader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "binlog/rows.h"
#include "link/policies.h"
#include "link/probe.h"
#include "link/thread.h"
#include "sql/server.h"
#include "sql/stream.h"

enum {
	EVENT_TYPE_OFFSET = 4,
	QUEUE_BYTES = 512 * 1024,
	PROBE_MS = 1000,
	PROBE_IDLE_MS = 10000, /* while nothing is written there */
	ACKNOWLEDGED_MS = 5000,
};

struct reader {
	const struct settings *settings;
	struct connection_target target;
	uint32_t peer;
	struct stream *stream;
	struct probe *probe;
	struct queue *queue;
	pthread_t thread;
	bool started;

	struct vector from; /* given to the thread at its start */
	struct err err;     /* the thread's, read after it was joined */

	pthread_mutex_t lock; /* guards the rest */
	bool aborted, connected, has_head, has_acknowledged;
	int64_t event_ms; /* when the last event came */
	struct vector head, acknowledged;
	char differing[READER_DIFFERING_MAX];
};

struct reader *reader_new(const struct settings *settings, const struct settings_peer *peer)
{
	struct reader *r = mem_alloc(sizeof *r);
	r->settings = settings;
	r->peer = peer->node_id;
	r->target = (struct connection_target){.file = settings->file, .group = peer->group, .name = peer->where};
	r->stream = stream_new();
	r->probe = probe_new(&r->target, settings->node_id);
	r->queue = queue_new(QUEUE_BYTES);
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void reader_free(struct reader *r)
{
	if (r == NULL)
		return;
	reader_abort(r);
	if (reader_stop(r, NULL) != ERR_OK) {
		/* Nobody asks any more. */
	}
	stream_free(r->stream);
	probe_free(r->probe);
	queue_free(r->queue);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

struct queue *reader_queue(struct reader *r)
{
	return r->queue;
}

static bool set_connected(struct reader *r, const struct vector *head)
{
	pthread_mutex_lock(&r->lock);
	bool connected = r->connected = r->has_head = !r->aborted;
	r->event_ms = clock_monotonic_ms();
	r->head = *head;
	pthread_mutex_unlock(&r->lock);
	return connected;
}

bool reader_is_connected(struct reader *r)
{
	pthread_mutex_lock(&r->lock);
	bool connected = r->connected;
	pthread_mutex_unlock(&r->lock);
	return connected;
}

bool reader_head(struct reader *r, struct vector *ret_head)
{
	pthread_mutex_lock(&r->lock);
	bool has = r->has_head;
	if (has)
		*ret_head = r->head;
	pthread_mutex_unlock(&r->lock);
	return has;
}

/* How far does the peer's log go? A peer that doesn't answer this is noticed by its silence in the stream. */
static void ask_head(struct reader *r)
{
	struct vector head;
	if (!probe_ask(r->probe, &head))
		return;
	pthread_mutex_lock(&r->lock);
	r->head = head;
	pthread_mutex_unlock(&r->lock);
}

/* What the peer had when it was asked is not applied yet. */
static bool is_behind(struct reader *r)
{
	struct probe_view view;
	probe_view(r->probe, &view);
	return view.waits_ms > 0;
}

/* Of a peer that was copied from a backup it may go backwards: what it says last counts. A cursor is never empty once
 * there is one. */
static void ask_acknowledged(struct reader *r)
{
	struct server_position position;
	struct server_seed seed;
	uint32_t me = r->settings->node_id;
	struct connection *connection = probe_connection(r->probe);
	if (connection == NULL || server_load_position(connection, me, &position, NULL) != ERR_OK ||
	    server_load_seed(connection, &seed, NULL) != ERR_OK)
		return;
	if (seed.peer == me) /* a newcomer reads from there at each start, for the time being */
		position.vector = vector_min(&position.vector, &seed.from.vector);
	pthread_mutex_lock(&r->lock);
	r->acknowledged = position.vector;
	r->has_acknowledged = true;
	pthread_mutex_unlock(&r->lock);
}

bool reader_acknowledged(struct reader *r, struct vector *ret_vector)
{
	pthread_mutex_lock(&r->lock);
	bool has = r->has_acknowledged;
	if (has)
		*ret_vector = r->acknowledged;
	pthread_mutex_unlock(&r->lock);
	return has;
}

/* Once a connection. *ret_asked: the peer has answered. */
static void compare_policies(struct reader *r, bool *ret_asked)
{
	struct buf differing = {0};
	struct connection *connection = probe_connection(r->probe);
	if (connection != NULL && policies_compare(connection, r->settings, &differing, NULL) == ERR_OK) {
		pthread_mutex_lock(&r->lock);
		snprintf(r->differing, sizeof r->differing, "%s", buf_str(&differing));
		pthread_mutex_unlock(&r->lock);
		*ret_asked = true;
	}
	buf_free(&differing);
}

void reader_differing(struct reader *r, char ret[READER_DIFFERING_MAX])
{
	pthread_mutex_lock(&r->lock);
	memcpy(ret, r->differing, READER_DIFFERING_MAX);
	pthread_mutex_unlock(&r->lock);
}

static void note_event(struct reader *r, int64_t now_ms)
{
	pthread_mutex_lock(&r->lock);
	r->event_ms = now_ms;
	pthread_mutex_unlock(&r->lock);
}

int64_t reader_silent_ms(struct reader *r)
{
	pthread_mutex_lock(&r->lock);
	int64_t silent = r->connected ? clock_monotonic_ms() - r->event_ms : 0;
	pthread_mutex_unlock(&r->lock);
	return silent;
}

static enum err_code read_on(struct reader *r, struct err *err)
{
	int64_t probed = clock_monotonic_ms(), acknowledged = probed - ACKNOWLEDGED_MS + PROBE_MS;
	const uint8_t *bytes;
	size_t size;
	enum err_code code;
	bool asked = false, is_quiet = false; /* quiet: nothing came since the peer was last asked */
	while ((code = stream_next(r->stream, &bytes, &size, err)) == ERR_OK) {
		uint8_t type = size > EVENT_TYPE_OFFSET ? bytes[EVENT_TYPE_OFFSET] : 0;
		bool is_heartbeat = type == EVENT_HEARTBEAT;
		/* The applier has nothing to do before a transaction's end is there: waking it for each event costs more than the
		 * events themselves. */
		bool within =
		    type == EVENT_GTID || type == EVENT_TABLE_MAP || type == EVENT_ANNOTATE_ROWS || event_is_rows(type);
		if ((within ? queue_put_more : queue_put)(r->queue, bytes, size) != QUEUE_OK)
			return err_set(err, ERR_CANCELLED, "stopped");
		int64_t now = clock_monotonic_ms();
		note_event(r, now);
		is_quiet = is_quiet && is_heartbeat;
		if (now - probed >= (is_quiet && asked ? PROBE_IDLE_MS : PROBE_MS)) {
			ask_head(r);
			is_quiet = !is_behind(r);
			if (!asked)
				compare_policies(r, &asked);
			probed = now;
		}
		if (now - acknowledged >= ACKNOWLEDGED_MS) {
			ask_acknowledged(r);
			acknowledged = now;
		}
	}
	return code;
}

static void *reader_main(void *context)
{
	struct reader *r = context;
	struct vector head;
	/* A reader goes by its node's id: the peer ends an older dump of the same node (a link that was cut). */
	r->err.code = stream_open(r->stream, &r->target, r->peer, r->settings->node_id, &r->from, &head, &r->err);
	if (r->err.code == ERR_OK && set_connected(r, &head))
		r->err.code = read_on(r, &r->err);
	queue_close(r->queue);
	stream_close(r->stream);
	probe_close(r->probe);
	return NULL;
}

enum err_code reader_start(struct reader *r, const struct vector *from, struct err *err)
{
	r->from = *from;
	r->err = (struct err){0};
	pthread_mutex_lock(&r->lock);
	r->aborted = r->connected = r->has_head = false;
	pthread_mutex_unlock(&r->lock);
	probe_reset(r->probe);
	queue_reopen(r->queue);
	enum err_code code = thread_start(&r->thread, reader_main, r, err);
	r->started = code == ERR_OK;
	return code;
}

void reader_abort(struct reader *r)
{
	pthread_mutex_lock(&r->lock);
	r->aborted = true;
	pthread_mutex_unlock(&r->lock);
	queue_close(r->queue);
	stream_abort(r->stream);
	probe_abort(r->probe);
}

enum err_code reader_stop(struct reader *r, struct err *err)
{
	if (!r->started)
		return ERR_OK;
	pthread_join(r->thread, NULL);
	r->started = false;
	pthread_mutex_lock(&r->lock);
	r->connected = false;
	pthread_mutex_unlock(&r->lock);
	if (err != NULL && r->err.code != ERR_OK)
		*err = r->err;
	return r->err.code;
}

struct probe *reader_probe(struct reader *r)
{
	return r->probe;
}
