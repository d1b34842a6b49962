#include "link/state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "binlog/event.h"
#include "link/scratch.h"

enum { CHECKPOINTS = 64, CHECKPOINT_GROUPS = 1000, CHECKPOINT_MS = 1000 };

/* Where the tail has been, oldest first; thinned out when there are too many. */
struct checkpoints {
	size_t count;
	struct server_position positions[CHECKPOINTS];
	uint64_t kept[CHECKPOINTS]; /* up to there, the last own transaction that the other nodes keep */
	int64_t taken_ms;
	unsigned groups; /* since then */
	bool has_newest; /* where it is, if that isn't the last of them: it counts when nothing more comes */
	struct server_position newest;
	uint64_t newest_kept;
};

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
	struct vector applied, tailed, written;
	uint32_t latest; /* of the times in the log up to tailed */
	struct vector
	    as_written; /* what the links have applied since the daemon started, and of it what they didn't resolve */
	bool tail_live;
	char why[512];
	uint64_t generation;
	struct buf format;
	struct registry *registry; /* locks itself */
	struct touched *touched;   /* locks itself */
	bool conflicts_known;
	uint64_t open_conflicts;
	struct scratch *scratch; /* where the history lies */
	struct history *history;
	bool owes;                 /* an acknowledgement */
	bool has_started;          /* the tail has; */
	struct vector again_until; /* what was in the log as it did */
	bool has_found;            /* something is to be recorded that no log tells of */
	bool resolver_waits;       /* … and has done all that it saw */
	bool is_in_group;          /* the tail is; */
	bool is_unkept;            /* in one that no other node keeps */
	uint64_t kept;             /* the last own transaction that they do */
	struct vector known[NODE_ID_MAX + 1];
	struct vector settled;
	struct vector forgotten;    /* see state_set_forgotten */
	uint64_t log_files, rounds; /* that the tail has begun; of the resolver */
	struct checkpoints checkpoints;
	bool has_skip;
	struct gtid skip;
	size_t claim_count;
	struct claim claims[2 * PEERS_MAX + 1];
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
	s->registry = registry_new(settings);
	s->touched = touched_new();
	s->history = history_new(settings->node_id, &(struct window_memory){.get = scratch_get,
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
	history_free(s->history);
	registry_free(s->registry);
	touched_free(s->touched);
	scratch_free(s->scratch);
	buf_free(&s->format);
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

enum err_code state_applied(struct state *s, const struct gtid *gtid, bool is_resolved, struct err *err)
{
	lock(s);
	enum err_code code = vector_advance(&s->applied, gtid, err);
	if (code == ERR_OK && !is_resolved)
		code = vector_advance(&s->as_written, gtid, err);
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
	if (claimed) /* a link holds two claims at a time, the resolver one: there is always room */
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

struct registry *state_registry(struct state *s)
{
	return s->registry;
}

struct touched *state_touched(struct state *s)
{
	return s->touched;
}

struct history *state_lock_history(struct state *s)
{
	lock(s);
	return s->history;
}

void state_unlock_history(struct state *s)
{
	unlock(s);
}

void state_tail_start(struct state *s, const struct server_position *from, const struct vector *until)
{
	lock(s);
	s->tailed = s->written = from->vector;
	s->latest = from->latest;
	s->kept = vector_seq(&from->vector, s->settings->node_id);
	s->again_until = *until;
	s->has_started = true;
	pthread_cond_broadcast(&s->changed);
	unlock(s);
}

void state_tail_seeded(struct state *s)
{
	lock(s);
	s->checkpoints.positions[0] = (struct server_position){.vector = s->tailed, .latest = s->latest};
	s->checkpoints.kept[0] = s->kept;
	s->checkpoints.count = 1;
	unlock(s);
}

void state_clear_history(struct state *s)
{
	lock(s);
	history_clear(s->history);
	s->has_started = s->is_in_group = false;
	s->settled.count = 0;
	s->tailed.count = 0; /* or a link would find nothing and commit, as if that had been looked at */
	s->checkpoints.has_newest = false;
	s->checkpoints.count = 0; /* what came before them isn't done, only forgotten */
	unlock(s);
}

bool state_begin_group(struct state *s, const struct gtid *gtid)
{
	lock(s);
	s->is_in_group = true;
	s->is_unkept = false;
	bool wanted = gtid->seq > vector_seq(&s->settled, gtid->domain) || !history_is_empty(s->history);
	unlock(s);
	return wanted;
}

enum err_code state_rewind(struct state *s, struct err *err)
{
	lock(s);
	enum err_code code = history_rewind(s->history, err);
	s->is_in_group = false;
	pthread_cond_broadcast(&s->changed);
	unlock(s);
	return code;
}

static void note_checkpoint(struct checkpoints *c, const struct server_position *position, uint64_t kept)
{
	int64_t now = clock_monotonic_ms();
	c->has_newest = ++c->groups < CHECKPOINT_GROUPS && now - c->taken_ms < CHECKPOINT_MS;
	if (c->has_newest) {
		c->newest = *position;
		c->newest_kept = kept;
		return;
	}
	if (c->count == CHECKPOINTS) { /* every other one goes */
		for (size_t i = 0; i < CHECKPOINTS / 2; i++) {
			c->positions[i] = c->positions[2 * i];
			c->kept[i] = c->kept[2 * i];
		}
		c->count = CHECKPOINTS / 2;
	}
	c->kept[c->count] = kept;
	c->positions[c->count++] = *position;
	c->groups = 0;
	c->taken_ms = now;
}

void state_seeded(struct state *s)
{
	lock(s);
	history_group_end(s->history);
	s->is_in_group = false;
	unlock(s);
}

void state_note_unkept(struct state *s)
{
	lock(s);
	s->is_unkept = true;
	unlock(s);
}

void state_tail_live(struct state *s, bool live, const char *why)
{
	lock(s);
	s->tail_live = live;
	snprintf(s->why, sizeof s->why, "%s", why ? why : "");
	unlock(s);
}

void state_tail_position(struct state *s, struct server_position *ret)
{
	lock(s);
	*ret = (struct server_position){.vector = s->tailed, .latest = s->latest};
	unlock(s);
}

void state_set_vector(struct state *s, const struct vector *vector)
{
	lock(s);
	s->tailed = s->written = *vector;
	s->resolver_waits = true; /* there is none */
	unlock(s);
}

void state_schema_changed(struct state *s)
{
	lock(s);
	s->generation++;
	unlock(s);
}

void state_set_format(struct state *s, const struct event *format_description)
{
	lock(s);
	buf_clear(&s->format);
	format_append_plain(format_description, &s->format);
	s->log_files++;
	pthread_cond_broadcast(&s->changed);
	unlock(s);
}

void state_format(struct state *s, struct buf *to)
{
	lock(s);
	buf_clear(to);
	buf_append(to, s->format.data, s->format.size);
	unlock(s);
}

uint64_t state_generation(struct state *s)
{
	lock(s);
	uint64_t generation = s->generation;
	unlock(s);
	return generation;
}

/* The least that the other nodes are known to have of a domain; with no other node the whole domain is settled. The origin has all of
 * it, but counts as far as it is known to: what a node is known to have is a beginning of some log, so it holds all that was
 * known to what it holds, and so does what is settled. A write that is not settled while a later one of the row is would
 * leave the history with a row that isn't what is here. */
static uint64_t settled_seq(const struct state *s, uint32_t domain)
{
	uint64_t least = UINT64_MAX;
	for (size_t i = 0; i < s->settings->node_count; i++) {
		uint32_t node = s->settings->nodes[i];
		uint64_t seq = vector_seq(&s->known[node], domain);
		if (node != s->settings->node_id && seq < least)
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
	if (!s->has_started || !vector_covers(&s->tailed, &s->again_until))
		return;
	for (size_t i = 0; i < s->settings->node_count; i++)
		settle_domain(s, s->settings->nodes[i]);
	for (uint32_t d = 0; d < s->applied.count; d++)
		settle_domain(s, s->applied.gtids[d].domain);
	history_settle(s->history, &s->settled);
}

enum err_code state_tailed(struct state *s, const struct gtid *gtid, const struct server_position *position,
                           bool is_housekeeping, struct err *err)
{
	lock(s);
	bool was_told = vector_covers(&s->tailed, &s->again_until);
	enum err_code code = vector_advance(&s->tailed, gtid, err);
	s->latest = position->latest;
	if (!is_housekeeping)
		s->written = s->tailed;
	history_group_end(s->history);
	s->is_in_group = false;
	if (gtid->domain == s->settings->node_id && !s->is_unkept)
		s->kept = gtid->seq;
	note_checkpoint(&s->checkpoints, position, s->kept);
	/* What the links had told before is settled now: on nodes where nothing happens they tell nothing more. */
	if (!was_told)
		settle(s);
	pthread_cond_broadcast(&s->changed);
	unlock(s);
	return code;
}

void state_node_knows(struct state *s, uint32_t node, const struct vector *vector)
{
	lock(s);
	/* More domains than a vector holds stay unsettled: that costs memory, nothing else. */
	if (node <= NODE_ID_MAX && vector_merge(&s->known[node], vector, NULL) == ERR_OK)
		settle(s);
	unlock(s);
}

void state_origin_knows(struct state *s, const struct gtid *gtid, const struct vector *context)
{
	struct vector knows = *context;
	if (vector_advance(&knows, gtid, NULL) == ERR_OK)
		state_node_knows(s, gtid->domain, &knows);
}

bool state_has_all(struct state *s, const struct vector *vector)
{
	bool has = false;
	lock(s);
	for (size_t i = 0; !has && i < s->settings->node_count; i++)
		has = vector_covers(&s->known[s->settings->nodes[i]], vector);
	unlock(s);
	return has;
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

enum err_code state_wait_started(struct state *s, int64_t timeout_ms, struct err *err)
{
	struct timespec until = deadline(timeout_ms);
	lock(s);
	while (!s->has_started && !s->stopping && pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0)
		;
	enum err_code code = s->has_started ? ERR_OK
	                     : s->stopping  ? err_set(err, ERR_CANCELLED, "stopping")
	                                    : err_set(err, ERR_DISCONNECTED, "waiting for this node's log: %s",
                                                 s->why[0] ? s->why : "the server is slow");
	unlock(s);
	return code;
}

struct vector state_expected(struct state *s, uint32_t origin)
{
	lock(s);
	struct vector expected = s->tailed;
	for (uint32_t i = 0; i < s->as_written.count; i++)
		if (s->as_written.gtids[i].domain == origin &&
		    vector_advance(&expected, &s->as_written.gtids[i], NULL) != ERR_OK)
			break; /* too many domains: then the expectation fails, and that is all */
	unlock(s);
	return expected;
}

bool state_finds(struct state *s, const struct history_keys *keys, uint32_t origin, const struct vector *context,
                 struct gtid *ret_gtid)
{
	lock(s);
	bool found = history_finds(s->history, keys, origin, context, ret_gtid);
	unlock(s);
	return found;
}

bool state_emptied(struct state *s, uint64_t table, uint32_t origin, const struct vector *context)
{
	struct history_key key = {.key = table, .kind = HISTORY_TABLE};
	struct history_keys keys = {.count = 1, .keys = &key};
	return state_finds(s, &keys, origin, context, NULL);
}

enum err_code state_plan(struct state *s, const struct merge_transaction *transaction, struct history_plan *ret_plan,
                         struct err *err)
{
	lock(s);
	while (s->is_in_group && !s->stopping)
		pthread_cond_wait(&s->changed, &s->lock);
	enum err_code code =
	    s->stopping ? err_set(err, ERR_CANCELLED, "stopping") : history_plan(s->history, transaction, ret_plan, err);
	unlock(s);
	return code;
}

static bool has_work(const struct state *s)
{
	return s->has_found || history_is_pending(s->history);
}

bool state_wait_work(struct state *s, int64_t ms)
{
	struct timespec until = deadline(ms);
	lock(s);
	s->resolver_waits = true;
	while (!s->stopping && !has_work(s) && pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0)
		;
	s->resolver_waits = false;
	bool goes_on = !s->stopping;
	unlock(s);
	return goes_on;
}

void state_speak_for(struct state *s, uint32_t node, bool speaks)
{
	lock(s);
	history_speak_for(s->history, node, speaks);
	pthread_cond_broadcast(&s->changed);
	unlock(s);
}

bool state_has_work(struct state *s)
{
	lock(s);
	bool has =
	    s->has_found || s->is_in_group || history_is_pending(s->history) || !vector_covers(&s->tailed, &s->applied);
	unlock(s);
	return has;
}

void state_note_found(struct state *s)
{
	lock(s);
	s->has_found = true;
	pthread_cond_broadcast(&s->changed);
	unlock(s);
}

bool state_take_found(struct state *s)
{
	lock(s);
	bool found = s->has_found;
	s->has_found = false;
	unlock(s);
	return found;
}

void state_note_resolved(struct state *s, const struct vector *knew)
{
	struct checkpoints *c = &s->checkpoints;
	size_t kept = 0;
	lock(s);
	for (size_t i = 0; i < c->count; i++)
		if (vector_covers(knew, &c->positions[i].vector)) {
			c->kept[kept] = c->kept[i];
			c->positions[kept++] = c->positions[i];
		}
	c->count = kept;
	c->has_newest = c->has_newest && vector_covers(knew, &c->newest.vector);
	unlock(s);
}

void state_note_group(struct state *s, bool is_own, bool has_writes)
{
	lock(s);
	s->owes = !is_own && (s->owes || has_writes);
	unlock(s);
}

bool state_owes_acknowledgement(struct state *s)
{
	lock(s);
	bool owes = s->owes && s->settings->node_count > s->settings->peer_count + 1;
	unlock(s);
	return owes;
}

/* Of the nodes' own domains: what others have written, before there were nodes, is nobody's to acknowledge. */
static bool is_everywhere(const struct state *s, const struct vector *vector, uint64_t kept)
{
	for (size_t i = 0; i < s->settings->node_count; i++) {
		uint32_t domain = s->settings->nodes[i];
		uint64_t seq = domain == s->settings->node_id ? kept : vector_seq(vector, domain);
		if (seq > vector_seq(&s->settled, domain))
			return false;
	}
	return true;
}

bool state_take_checkpoint(struct state *s, struct server_position *ret)
{
	struct checkpoints *c = &s->checkpoints;
	struct server_position newest;
	size_t passed = 0;
	lock(s);
	if (c->has_newest && clock_monotonic_ms() - c->taken_ms >= CHECKPOINT_MS) {
		newest = c->newest;
		note_checkpoint(c, &newest, c->newest_kept);
	}
	while (passed < c->count && is_everywhere(s, &c->positions[passed].vector, c->kept[passed]) &&
	       !history_needs(s->history, &c->positions[passed].vector))
		passed++;
	if (passed > 0) {
		*ret = c->positions[passed - 1];
		c->count -= passed;
		memmove(c->positions, c->positions + passed, c->count * sizeof *c->positions);
		memmove(c->kept, c->kept + passed, c->count * sizeof *c->kept);
	}
	unlock(s);
	return passed > 0;
}

void state_view(struct state *s, struct state_view *ret)
{
	lock(s);
	ret->tailed = s->tailed;
	ret->written = s->written;
	ret->tail_live = s->tail_live;
	ret->has_work = !s->resolver_waits || has_work(s);
	snprintf(ret->why, sizeof ret->why, "%s", s->why);
	ret->history = history_counts(s->history);
	ret->conflicts_known = s->conflicts_known;
	ret->open_conflicts = s->open_conflicts;
	unlock(s);
}

void state_set_forgotten(struct state *s, const struct vector *forgotten)
{
	lock(s);
	s->forgotten = *forgotten;
	unlock(s);
}

/* What the origin itself wrote is no conflict with it, and what was there before there were nodes nobody waits for. */
bool state_remembers(struct state *s, uint32_t origin, const struct vector *context)
{
	bool remembers = true;
	lock(s);
	for (size_t i = 0; s->forgotten.count > 0 && i < s->settings->node_count; i++) {
		uint32_t domain = s->settings->nodes[i];
		remembers = remembers && (domain == origin || vector_seq(context, domain) >= vector_seq(&s->forgotten, domain));
	}
	unlock(s);
	return remembers;
}

bool state_wait_log(struct state *s, uint64_t *seen, int64_t ms)
{
	struct timespec until = deadline(ms);
	lock(s);
	while (!s->stopping && s->log_files == *seen && pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0)
		;
	*seen = s->log_files;
	bool goes_on = !s->stopping;
	unlock(s);
	return goes_on;
}

struct vector state_known(struct state *s, uint32_t node)
{
	struct vector known = {0};
	lock(s);
	if (node <= NODE_ID_MAX)
		known = s->known[node];
	unlock(s);
	return known;
}

uint64_t state_arrived_seq(struct state *s)
{
	lock(s);
	uint64_t seq = settled_seq(s, s->settings->node_id);
	unlock(s);
	return seq;
}

void state_set_conflicts(struct state *s, uint64_t count)
{
	lock(s);
	s->conflicts_known = true;
	s->open_conflicts = count;
	unlock(s);
}

bool state_lacks(struct state *s, uint32_t node, const struct vector *acknowledged, uint64_t *ret_count)
{
	uint64_t count = 0;
	lock(s);
	bool is_told = s->has_started && node <= NODE_ID_MAX && vector_covers(&s->tailed, &s->again_until);
	for (size_t i = 0; is_told && i < s->settings->node_count; i++) {
		uint32_t domain = s->settings->nodes[i];
		uint64_t here = domain == s->settings->node_id ? s->kept : vector_seq(&s->written, domain);
		uint64_t has = vector_seq(&s->known[node], domain), saved = vector_seq(acknowledged, domain);
		has = saved > has ? saved : has;
		if (domain != node && here > has)
			count += here - has;
	}
	unlock(s);
	if (is_told)
		*ret_count = count;
	return is_told;
}

bool state_is_done(struct state *s, const struct vector *vector)
{
	lock(s);
	bool done = s->has_started && vector_covers(&s->tailed, &s->again_until) && vector_covers(&s->tailed, vector) &&
	            !history_needs(s->history, vector);
	unlock(s);
	return done;
}

uint64_t state_rounds(struct state *s)
{
	lock(s);
	uint64_t rounds = s->rounds;
	unlock(s);
	return rounds;
}

void state_count_round(struct state *s)
{
	lock(s);
	s->rounds++;
	unlock(s);
}
