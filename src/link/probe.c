#include "link/probe.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sql/server.h"

enum { TIMEOUT_S = 2, LIST_MS = 5000 };

struct probe {
	struct connection_target target;
	uint32_t node_id;
	struct connection *connection;
	int64_t listed_ms;
	bool no_bytes; /* this account may not ask for them */

	pthread_mutex_t lock; /* guards the rest */
	struct logs logs;     /* of the peer: from the file that is applied on, or the last one alone */
	struct vector applied;
	struct lag_place place;
	struct lag_clock clock;
	bool waits, has_delay; /* waits: for what the peer had to be applied */
	struct vector awaited;
	int64_t awaited_ms, delay_ms;
};

struct probe *probe_new(const struct connection_target *target, uint32_t node_id)
{
	struct probe *p = mem_alloc(sizeof *p);
	p->target = *target;
	p->target.read_timeout_s = TIMEOUT_S;
	p->node_id = node_id;
	p->connection = connection_new();
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void probe_free(struct probe *p)
{
	if (p == NULL)
		return;
	connection_free(p->connection);
	logs_free(&p->logs);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void probe_abort(struct probe *p)
{
	connection_abort(p->connection);
}

void probe_close(struct probe *p)
{
	connection_close(p->connection);
}

struct connection *probe_connection(struct probe *p)
{
	if (connection_is_open(p->connection))
		return p->connection;
	p->no_bytes = false;
	return connection_open(p->connection, &p->target, NULL) == ERR_OK ? p->connection : NULL;
}

/* The whole list only where the log's last file isn't the one that is being read: the server opens each file for it. */
static void look_at_log(struct probe *p)
{
	struct logs now = {0};
	struct err err = {0};
	char file[sizeof p->place.file];
	pthread_mutex_lock(&p->lock);
	memcpy(file, p->place.file, sizeof file);
	pthread_mutex_unlock(&p->lock);
	if (p->no_bytes || file[0] == '\0')
		return;
	enum err_code code = logs_last(p->connection, &now, &err);
	bool is_last = code == ERR_OK && now.count > 0 && strcmp(now.files[0].name, file) == 0;
	if (code == ERR_OK && !is_last) {
		int64_t at = clock_monotonic_ms();
		if (at - p->listed_ms < LIST_MS) {
			logs_free(&now);
			return;
		}
		p->listed_ms = at;
		code = logs_list(p->connection, &now, &err);
	}
	p->no_bytes = code == ERR_SERVER;
	pthread_mutex_lock(&p->lock);
	logs_free(&p->logs);
	if (code == ERR_OK)
		p->logs = now;
	pthread_mutex_unlock(&p->lock);
	if (code != ERR_OK)
		logs_free(&now);
}

bool probe_ask(struct probe *p, struct vector *ret_head)
{
	struct vector head;
	int64_t peer_us;
	if (probe_connection(p) == NULL)
		return false;
	int64_t asked_us = clock_wall_us(), began_us = clock_monotonic_us();
	if (server_vector_and_time(p->connection, &head, &peer_us, NULL) != ERR_OK)
		return false;
	int64_t trip_us = clock_monotonic_us() - began_us, now_ms = clock_monotonic_ms();
	pthread_mutex_lock(&p->lock);
	lag_clock_take(&p->clock, asked_us, trip_us, peer_us, now_ms);
	if (!p->waits && lag_transactions(&head, &p->applied, p->node_id) > 0) {
		p->waits = true;
		p->awaited = head;
		p->awaited_ms = now_ms - trip_us / 2000;
	}
	pthread_mutex_unlock(&p->lock);
	look_at_log(p);
	*ret_head = head;
	return true;
}

void probe_set_applied(struct probe *p, const struct vector *position, const struct lag_place *place)
{
	pthread_mutex_lock(&p->lock);
	p->applied = *position;
	p->place = *place;
	if (p->waits && lag_transactions(&p->awaited, position, p->node_id) == 0) {
		p->waits = false;
		p->has_delay = true;
		p->delay_ms = clock_monotonic_ms() - p->awaited_ms;
	}
	pthread_mutex_unlock(&p->lock);
}

void probe_reset(struct probe *p)
{
	pthread_mutex_lock(&p->lock);
	p->waits = p->has_delay = p->clock.is_known = false;
	p->listed_ms = INT64_MIN / 2;
	logs_free(&p->logs);
	pthread_mutex_unlock(&p->lock);
}

void probe_view(struct probe *p, struct probe_view *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = (struct probe_view){.clock = p->clock, .has_delay = p->has_delay, .delay_ms = p->delay_ms};
	ret->has_bytes = lag_bytes(&p->logs, &p->place, &ret->bytes);
	if (p->waits) {
		int64_t up_to_now = clock_monotonic_ms() - p->awaited_ms;
		if (!ret->has_delay || up_to_now > ret->delay_ms)
			ret->delay_ms = up_to_now;
		ret->waits_ms = up_to_now;
		ret->has_delay = true;
	}
	pthread_mutex_unlock(&p->lock);
}
