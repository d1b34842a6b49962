#include "link/state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "link/scratch.h"

struct claim {
	uint32_t domain;
	uint32_t peer;
};

struct state {
	const struct settings *settings;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool stopping;
	uint64_t wakes;
	struct vector applied, tailed;
	bool tail_live;
	char why[512];
	uint64_t generation;
	struct scratch *scratch; /* where the window lies */
	struct window *window;
	struct vector known[PEERS_MAX]; /* by place in settings->peers */
	struct vector settled;
	bool has_skip;
	struct gtid skip;
	size_t claim_count;
	struct claim claims[PEERS_MAX];
};

struct state *state_new(const struct settings *settings)
{
	struct state *s = mem_alloc(sizeof *s);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	s->settings = settings;
	s->scratch = scratch_new(settings->state_dir);
	s->window = window_new(&(struct window_memory){.get = scratch_get,
	                                               .put = scratch_put,
	                                               .read = scratch_read,
	                                               .write = scratch_write,
	                                               .drop = scratch_drop,
	                                               .context = s->scratch,
	                                               .where = settings->state_dir});
	snprintf(s->why, sizeof s->why, "starting");
	return s;
}

void state_free(struct state *s)
{
	if (s == NULL)
		return;
	window_free(s->window);
	scratch_free(s->scratch);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void lock(struct state *s)
{
	pthread_mutex_lock(&s->lock);
}

static void unlock(struct state *s)
{
	pthread_mutex_unlock(&s->lock);
}

static struct timespec deadline(int64_t ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

void state_stop(struct state *s)
{
	lock(s);
	s->stopping = true;
	pthread_cond_broadcast(&s->changed);
	unlock(s);
}

bool state_is_stopping(struct state *s)
{
	lock(s);
	bool stopping = s->stopping;
	unlock(s);
	return stopping;
}

void state_wake(struct state *s)
{
	lock(s);
	s->wakes++;
	pthread_cond_broadcast(&s->changed);
	unlock(s);
}

void state_sleep(struct state *s, int64_t ms)
{
	struct timespec until = deadline(ms);
	lock(s);
	uint64_t wakes = s->wakes;
	while (!s->stopping && s->wakes == wakes && pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0)
		;
	unlock(s);
}

enum err_code state_merge_applied(struct state *s, const struct vector *vector, struct err *err)
{
	lock(s);
	enum err_code code = vector_merge(&s->applied, vector, err);
	unlock(s);
	return code;
}

enum err_code state_applied(struct state *s, const struct gtid *gtid, struct err *err)
{
	lock(s);
	enum err_code code = vector_advance(&s->applied, gtid, err);
	unlock(s);
	return code;
}

uint64_t state_applied_seq(struct state *s, uint32_t domain)
{
	lock(s);
	uint64_t seq = vector_seq(&s->applied, domain);
	unlock(s);
	return seq;
}

uint64_t state_tailed_seq(struct state *s, uint32_t domain)
{
	lock(s);
	uint64_t seq = vector_seq(&s->tailed, domain);
	unlock(s);
	return seq;
}

static struct claim *find_claim(struct state *s, uint32_t domain)
{
	for (size_t i = 0; i < s->claim_count; i++)
		if (s->claims[i].domain == domain)
			return &s->claims[i];
	return NULL;
}

bool state_claim(struct state *s, uint32_t domain, uint32_t peer)
{
	lock(s);
	while (!s->stopping && find_claim(s, domain) != NULL)
		pthread_cond_wait(&s->changed, &s->lock);
	bool claimed = !s->stopping;
	if (claimed) /* a link holds one claim at a time, so there is always room */
		s->claims[s->claim_count++] = (struct claim){.domain = domain, .peer = peer};
	unlock(s);
	return claimed;
}

void state_release(struct state *s, uint32_t domain, uint32_t peer)
{
	lock(s);
	struct claim *claim = find_claim(s, domain);
	if (claim != NULL && claim->peer == peer) {
		*claim = s->claims[--s->claim_count];
		pthread_cond_broadcast(&s->changed);
	}
	unlock(s);
}

void state_request_skip(struct state *s, const struct gtid *gtid)
{
	lock(s);
	s->has_skip = true;
	s->skip = *gtid;
	unlock(s);
}

bool state_take_skip(struct state *s, const struct gtid *gtid)
{
	lock(s);
	bool taken = s->has_skip && s->skip.domain == gtid->domain && s->skip.seq == gtid->seq;
	if (taken)
		s->has_skip = false;
	unlock(s);
	return taken;
}

void state_tail_start(struct state *s, const struct vector *from)
{
	lock(s);
	s->tailed = *from;
	pthread_cond_broadcast(&s->changed);
	unlock(s);
}

enum err_code state_tailed(struct state *s, const struct gtid *gtid, struct err *err)
{
	lock(s);
	enum err_code code = vector_advance(&s->tailed, gtid, err);
	window_end(s->window);
	pthread_cond_broadcast(&s->changed);
	unlock(s);
	return code;
}

void state_tail_live(struct state *s, bool live, const char *why)
{
	lock(s);
	s->tail_live = live;
	snprintf(s->why, sizeof s->why, "%s", why ? why : "");
	unlock(s);
}

void state_schema_changed(struct state *s)
{
	lock(s);
	s->generation++;
	unlock(s);
}

uint64_t state_generation(struct state *s)
{
	lock(s);
	uint64_t generation = s->generation;
	unlock(s);
	return generation;
}

enum err_code state_window_begin(struct state *s, const struct window_transaction *transaction, struct err *err)
{
	lock(s);
	enum err_code code = window_begin(s->window, transaction, err);
	unlock(s);
	return code;
}

enum err_code state_window_add(struct state *s, const uint64_t *keys, size_t key_count, const uint8_t *record,
                               size_t record_size, struct err *err)
{
	lock(s);
	enum err_code code = window_add(s->window, keys, key_count, record, record_size, err);
	unlock(s);
	return code;
}

enum err_code state_window_rewind(struct state *s, struct err *err)
{
	lock(s);
	enum err_code code = window_rewind(s->window, err);
	unlock(s);
	return code;
}

/* The least that the peers other than the origin are known to have of a domain. The origin itself has all of it, and so
 * has this node by the time it asks; with no other peer the whole domain is settled. */
static uint64_t settled_seq(const struct state *s, uint32_t domain)
{
	uint64_t least = UINT64_MAX;
	for (size_t p = 0; p < s->settings->peer_count; p++) {
		uint64_t seq = vector_seq(&s->known[p], domain);
		if (s->settings->peers[p].node_id != domain && seq < least)
			least = seq;
	}
	return least;
}

static void settle_domain(struct state *s, uint32_t domain)
{
	struct gtid gtid = {.domain = domain, .server = domain, .seq = settled_seq(s, domain)};
	/* More domains than a vector holds stay unsettled: that costs memory, nothing else. */
	if (gtid.seq > 0 && vector_advance(&s->settled, &gtid, NULL) != ERR_OK)
		return;
}

static void settle(struct state *s)
{
	s->settled.count = 0;
	settle_domain(s, s->settings->node_id);
	for (size_t p = 0; p < s->settings->peer_count; p++)
		settle_domain(s, s->settings->peers[p].node_id);
	for (uint32_t d = 0; d < s->applied.count; d++)
		settle_domain(s, s->applied.gtids[d].domain);
	window_settle(s->window, &s->settled);
}

void state_peer_knows(struct state *s, uint32_t peer, const struct vector *vector)
{
	lock(s);
	for (size_t p = 0; p < s->settings->peer_count; p++)
		if (s->settings->peers[p].node_id == peer)
			s->known[p] = *vector;
	settle(s);
	unlock(s);
}

bool state_is_settled(struct state *s, const struct gtid *gtid)
{
	lock(s);
	bool settled = gtid->seq <= vector_seq(&s->settled, gtid->domain);
	unlock(s);
	return settled;
}

enum err_code state_wait_tailed(struct state *s, const struct vector *vector, int64_t timeout_ms, struct err *err)
{
	struct timespec until = deadline(timeout_ms);
	enum err_code code = ERR_OK;
	lock(s);
	while (code == ERR_OK && !vector_covers(&s->tailed, vector)) {
		if (s->stopping)
			code = err_set(err, ERR_CANCELLED, "stopping");
		else if (pthread_cond_timedwait(&s->changed, &s->lock, &until) != 0 && !vector_covers(&s->tailed, vector))
			code = err_set(err, ERR_TIMEOUT, "this node's own log could not be read up to now within %lld ms (%s)",
			               (long long)timeout_ms, s->why[0] ? s->why : "the server is slow");
	}
	unlock(s);
	return code;
}

struct vector state_expected(struct state *s, uint32_t origin)
{
	lock(s);
	struct vector expected = s->tailed;
	for (uint32_t i = 0; i < s->applied.count; i++)
		if (s->applied.gtids[i].domain == origin && vector_advance(&expected, &s->applied.gtids[i], NULL) != ERR_OK)
			break; /* too many domains: then the expectation fails, and that is all */
	unlock(s);
	return expected;
}

bool state_window_find(struct state *s, uint64_t key, uint32_t origin, const struct vector *context,
                       struct gtid *ret_gtid)
{
	lock(s);
	bool found = window_find(s->window, key, origin, context, ret_gtid);
	unlock(s);
	return found;
}

void state_view(struct state *s, struct state_view *ret)
{
	lock(s);
	ret->tailed = s->tailed;
	ret->tail_live = s->tail_live;
	snprintf(ret->why, sizeof ret->why, "%s", s->why);
	ret->window_count = window_count(s->window);
	unlock(s);
}
