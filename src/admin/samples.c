#include "admin/samples.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "node/settings.h"

enum { UNKNOWN = -1 };

struct sample {
	int64_t lag_seconds, lag_transactions, applied; /* applied: since the sample before; UNKNOWN: no number */
};

struct peer {
	uint32_t id;
	int64_t total; /* of applied transactions at the latest sample; UNKNOWN: there was none */
	struct sample samples[SAMPLES_MAX];
};

struct samples {
	size_t count, next; /* the ring: `next` is where the next one goes */
	int64_t times[SAMPLES_MAX];
	size_t peer_count;
	struct peer *peers[NODE_ID_MAX];
};

struct samples *samples_new(void)
{
	return mem_alloc(sizeof(struct samples));
}

void samples_free(struct samples *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->peer_count; i++)
		free(s->peers[i]);
	free(s);
}

static const struct sample nothing = {UNKNOWN, UNKNOWN, UNKNOWN};

static struct peer *peer_of(struct samples *s, uint32_t id)
{
	for (size_t i = 0; i < s->peer_count; i++)
		if (s->peers[i]->id == id)
			return s->peers[i];
	if (s->peer_count == NODE_ID_MAX)
		return NULL;
	struct peer *peer = s->peers[s->peer_count++] = mem_alloc(sizeof *peer);
	peer->id = id;
	peer->total = UNKNOWN;
	for (size_t i = 0; i < SAMPLES_MAX; i++)
		peer->samples[i] = nothing;
	return peer;
}

static int64_t number_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value) : UNKNOWN;
}

static void take_link(struct samples *s, const json_t *link)
{
	int64_t id = number_of(link, "peer"), total = number_of(link, "applied_transactions");
	struct peer *peer = id >= 0 && id <= NODE_ID_MAX ? peer_of(s, (uint32_t)id) : NULL;
	if (peer == NULL)
		return;
	/* A count that went back began anew. */
	int64_t since = peer->total == UNKNOWN || total == UNKNOWN ? UNKNOWN
	                : total < peer->total                      ? total
	                                                           : total - peer->total;
	peer->samples[s->next] =
	    (struct sample){number_of(link, "lag_seconds"), number_of(link, "lag_transactions"), since};
	peer->total = total;
}

bool samples_add(struct samples *s, int64_t now_s, const char *status)
{
	json_t *root = json_loads(status, 0, NULL), *link;
	size_t i;
	for (i = 0; i < s->peer_count; i++)
		s->peers[i]->samples[s->next] = nothing;
	json_array_foreach(json_object_get(root, "links"), i, link) take_link(s, link);
	json_decref(root);
	if (s->peer_count == 0)
		return false;
	s->times[s->next] = now_s;
	s->next = (s->next + 1) % SAMPLES_MAX;
	s->count += s->count < SAMPLES_MAX;
	return true;
}

/* The place of the i-th, the oldest first. */
static size_t place(const struct samples *s, size_t i)
{
	return (s->next + SAMPLES_MAX - s->count + i) % SAMPLES_MAX;
}

static void append_list(const struct samples *s, size_t first, const char *name, const int64_t *values, size_t stride,
                        struct buf *to)
{
	buf_printf(to, "\"%s\":[", name);
	for (size_t i = first; i < s->count; i++) {
		int64_t value = *(const int64_t *)(const void *)((const char *)values + place(s, i) * stride);
		if (i > first)
			buf_append_str(to, ",");
		if (value == UNKNOWN)
			buf_append_str(to, "null");
		else
			buf_printf(to, "%" PRId64, value);
	}
	buf_append_str(to, "]");
}

void samples_format(const struct samples *s, int64_t now_s, int64_t since, struct buf *to)
{
	size_t first = 0;
	while (first < s->count && s->times[place(s, first)] <= since)
		first++;
	buf_printf(to, "{\"version\":1,\"interval_seconds\":%d,\"now\":%" PRId64 ",", SAMPLES_INTERVAL_S, now_s);
	append_list(s, first, "times", s->times, sizeof *s->times, to);
	buf_append_str(to, ",\"links\":[");
	for (size_t i = 0; i < s->peer_count; i++) {
		const struct sample *samples = s->peers[i]->samples;
		buf_printf(to, "%s{\"peer\":%u,", i > 0 ? "," : "", (unsigned)s->peers[i]->id);
		append_list(s, first, "lag_seconds", &samples->lag_seconds, sizeof *samples, to);
		buf_append_str(to, ",");
		append_list(s, first, "lag_transactions", &samples->lag_transactions, sizeof *samples, to);
		buf_append_str(to, ",");
		append_list(s, first, "applied", &samples->applied, sizeof *samples, to);
		buf_append_str(to, "}");
	}
	buf_append_str(to, "]}\n");
}
