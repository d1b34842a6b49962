/* src/link/state: what the threads of a daemon share. Claims, waiting for the tail, what is settled.
 *
 * Two links that apply one transaction, a wait that nobody ends, a write that is forgotten before every peer has it:
 * each needs two threads at the wrong moment, and none shows in a demo. Run it under TSan.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "link/scratch.h"
#include "link/state.h"

enum { FOR_EVER_MS = 600000, PATIENCE_MS = 60000 };

/* Node 1 and the given number of peers from node 2 on, which are all nodes. */
static struct settings settings_of(size_t peer_count)
{
	struct settings settings = {.node_id = 1, .state_dir = "/tmp", .peer_count = peer_count};
	for (size_t i = 0; i < peer_count; i++)
		settings.peers[i].node_id = (uint32_t)i + 2;
	settings.node_count = peer_count + 1;
	for (size_t i = 0; i <= peer_count; i++)
		settings.nodes[i] = (uint32_t)i + 1;
	return settings;
}

/* With a tail that has nothing to tell again. */
static struct state *started(const struct settings *settings)
{
	struct state *state = state_new(settings);
	struct server_position from = {0};
	state_tail_start(state, &from, &from.vector);
	return state;
}

static struct vector vector_of(const char *text)
{
	struct vector vector;
	assert_int_equal(vector_parse(text, &vector, NULL), ERR_OK);
	return vector;
}

static struct gtid gtid_of(const char *text)
{
	struct gtid gtid;
	assert_int_equal(gtid_parse(text, &gtid, NULL), ERR_OK);
	return gtid;
}

/* The tail has read this group, and with it up to this position. */
static enum err_code tail(struct state *state, const struct gtid *gtid, const struct vector *up_to)
{
	struct err err;
	struct server_position position = {.vector = *up_to};
	return state_tailed(state, gtid, &position, false, &err);
}

static const uint32_t key_columns[] = {0};
static const struct merge_table people = {.id = 7, .column_count = 2, .key = {1, key_columns}};

/* An insert of a row (id, age). It borrows from both. */
static struct merge_change insert_of(uint64_t *id, const char *age, struct content values[2])
{
	values[0] = (struct content){.bytes = (const uint8_t *)id, .size = sizeof *id};
	values[1] = (struct content){.bytes = (const uint8_t *)age, .size = (uint32_t)strlen(age)};
	return (struct merge_change){.op = MERGE_INSERT, .table = &people, .after = values};
}

/* ---- a thread that waits ---- */

struct waiter {
	struct state *state;
	void (*wait)(struct waiter *waiter);
	_Atomic pid_t thread_id;
	pthread_t thread;
	struct vector vector;
	uint32_t domain, peer;
	/* read after the join */
	enum err_code code;
	bool claimed;
	int64_t waited_ms;
};

static void *waiter_main(void *context)
{
	struct waiter *w = context;
	int64_t started = clock_monotonic_ms();
	atomic_store(&w->thread_id, gettid());
	w->wait(w);
	w->waited_ms = clock_monotonic_ms() - started;
	return NULL;
}

/* The kernel says that the thread sleeps ("S" behind its name in stat), or it has ended. */
static bool is_asleep(pid_t thread_id)
{
	char path[64], line[256] = "";
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread_id);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return true;
	size_t size = fread(line, 1, sizeof line - 1, file);
	fclose(file);
	line[size] = '\0';
	const char *behind_name = strrchr(line, ')');
	return behind_name == NULL || behind_name[2] == 'S';
}

/* Starts it and returns when it waits: what comes next is to wake it. */
static void waiter_start(struct waiter *w, struct state *state, void (*wait)(struct waiter *waiter))
{
	w->state = state;
	w->wait = wait;
	assert_int_equal(pthread_create(&w->thread, NULL, waiter_main, w), 0);
	int64_t until = clock_monotonic_ms() + PATIENCE_MS;
	while (atomic_load(&w->thread_id) == 0 || !is_asleep(atomic_load(&w->thread_id))) {
		if (clock_monotonic_ms() > until)
			fail_msg("the thread never waits");
		clock_sleep_ms(1);
	}
}

/* It was woken, and didn't come back by its time limit. */
static void waiter_join(struct waiter *w)
{
	pthread_join(w->thread, NULL);
	assert_true(w->waited_ms < FOR_EVER_MS / 2);
}

static void wait_for_claim(struct waiter *w)
{
	w->claimed = state_claim(w->state, w->domain, w->peer);
}

static void wait_for_tail(struct waiter *w)
{
	struct err err;
	w->code = state_wait_tailed(w->state, &w->vector, FOR_EVER_MS, &err);
}

static void wait_asleep(struct waiter *w)
{
	state_sleep(w->state, FOR_EVER_MS);
}

/* ---- claims ---- */

enum { CLAIM_THREADS = 4, CLAIM_DOMAINS = 2, CLAIM_ROUNDS = 3000 };

struct claimers {
	struct state *state;
	int holders[CLAIM_DOMAINS]; /* guarded by the domain's claim and by nothing else: TSan watches */
	unsigned long rounds[CLAIM_DOMAINS];
};

struct claimer {
	struct claimers *all;
	uint32_t peer;
	unsigned long wrong;
	pthread_t thread;
};

static void *claimer_main(void *context)
{
	struct claimer *c = context;
	for (int i = 0; i < CLAIM_ROUNDS; i++) {
		uint32_t d = (uint32_t)(i + (int)c->peer) % CLAIM_DOMAINS;
		if (!state_claim(c->all->state, d + 10, c->peer)) {
			c->wrong++;
			continue;
		}
		c->wrong += ++c->all->holders[d] != 1;
		c->all->rounds[d]++;
		/* Whoever doesn't hold it can't give it back. */
		state_release(c->all->state, d + 10, c->peer + 100);
		c->wrong += --c->all->holders[d] != 0;
		state_release(c->all->state, d + 10, c->peer);
	}
	return NULL;
}

/* A transaction of node 3 comes to node 1 from node 2 and from node 3 at once. Both links look at the vector, both
 * find it missing, both apply it: the row is counted twice. */
static void test_one_claim_a_domain(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(CLAIM_THREADS);
	struct claimers all = {.state = state_new(&settings)};
	struct claimer claimers[CLAIM_THREADS] = {0};
	for (uint32_t i = 0; i < CLAIM_THREADS; i++) {
		claimers[i].all = &all;
		claimers[i].peer = i + 2;
		assert_int_equal(pthread_create(&claimers[i].thread, NULL, claimer_main, &claimers[i]), 0);
	}
	for (size_t i = 0; i < CLAIM_THREADS; i++)
		pthread_join(claimers[i].thread, NULL);
	for (size_t i = 0; i < CLAIM_THREADS; i++)
		assert_int_equal(claimers[i].wrong, 0);
	assert_int_equal(all.rounds[0] + all.rounds[1], CLAIM_THREADS * CLAIM_ROUNDS);
	state_free(all.state);
}

/* Links of different origins don't wait for each other, and a claim given back goes to the one that waits. */
static void test_claims_are_handed_on(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(3);
	struct state *state = state_new(&settings);
	assert_true(state_claim(state, 2, 2));
	assert_true(state_claim(state, 3, 3));
	assert_true(state_claim(state, 4, 4));
	struct waiter waiter = {.domain = 3, .peer = 2};
	waiter_start(&waiter, state, wait_for_claim);
	state_release(state, 2, 2);
	state_release(state, 4, 4);
	state_release(state, 3, 3);
	waiter_join(&waiter);
	assert_true(waiter.claimed);
	state_release(state, 3, 2);
	assert_true(state_claim(state, 3, 3));
	state_release(state, 3, 3);
	state_release(state, 3, 3); /* as does a link that gives up what it had given back */
	state_free(state);
}

/* The operator ends the daemon while links wait for each other: every one of them must come back, or the daemon
 * hangs and the service manager kills it in the middle of a commit. */
static void test_stop_ends_every_wait(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(3);
	struct state *state = state_new(&settings);
	struct waiter claim = {.domain = 2, .peer = 3}, another = {.domain = 2, .peer = 4},
	              tail = {.vector = vector_of("1-1-1")}, sleeper = {0};
	assert_true(state_claim(state, 2, 2));
	waiter_start(&claim, state, wait_for_claim);
	waiter_start(&another, state, wait_for_claim);
	waiter_start(&tail, state, wait_for_tail);
	waiter_start(&sleeper, state, wait_asleep);
	assert_false(state_is_stopping(state));
	state_stop(state);
	waiter_join(&claim);
	waiter_join(&another);
	waiter_join(&tail);
	waiter_join(&sleeper);
	assert_false(claim.claimed);
	assert_false(another.claimed);
	assert_int_equal(tail.code, ERR_CANCELLED);
	/* and from now on nothing waits, not even for what is free */
	assert_true(state_is_stopping(state));
	assert_false(state_claim(state, 7, 3));
	state_sleep(state, FOR_EVER_MS);
	state_release(state, 2, 2);
	state_free(state);
}

/* `syncline resume` is to have an effect at once, not after the minute for which a stopped link waits. */
static void test_wake_ends_a_sleep(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(1);
	struct state *state = state_new(&settings);
	struct waiter sleeper = {0};
	waiter_start(&sleeper, state, wait_asleep);
	state_wake(state);
	waiter_join(&sleeper);
	assert_false(state_is_stopping(state));
	state_sleep(state, 0); /* a wake that came before is not for this one, the time is */
	state_sleep(state, 2);
	state_free(state);
}

/* ---- the tail ---- */

/* Certifying waits until the window holds what was written here before: too early, and a conflict is missed. */
static void test_wait_tailed_until_it_is_there(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(2);
	struct state *state = state_new(&settings);
	struct waiter waiter = {.vector = vector_of("1-1-5,3-3-2")};
	struct gtid steps[] = {gtid_of("1-1-4"), gtid_of("3-3-2"), gtid_of("1-1-5")};
	struct err err;
	waiter_start(&waiter, state, wait_for_tail);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(state_wait_tailed(state, &waiter.vector, 0, &err), ERR_TIMEOUT);
		assert_int_equal(tail(state, &steps[i], &waiter.vector), ERR_OK);
	}
	waiter_join(&waiter);
	assert_int_equal(waiter.code, ERR_OK);
	assert_int_equal(state_tailed_seq(state, 1), 5);
	assert_int_equal(state_tailed_seq(state, 2), 0);
	/* There already: no wait, not even when stopping, since the batch may as well be committed. */
	assert_int_equal(state_wait_tailed(state, &waiter.vector, 0, &err), ERR_OK);
	state_stop(state);
	assert_int_equal(state_wait_tailed(state, &waiter.vector, 0, &err), ERR_OK);
	state_free(state);
}

/* A daemon starts in front of a server where nobody writes: the tail begins where the link waits for it to be, and
 * no event will ever come that wakes the link. It would time out, roll its batch back, and begin anew. */
static void test_wait_tailed_sees_where_the_tail_starts(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(1);
	struct state *state = state_new(&settings);
	struct waiter waiter = {.vector = vector_of("1-1-5")};
	struct server_position from = {.vector = vector_of("1-1-9,2-2-3")};
	waiter_start(&waiter, state, wait_for_tail);
	state_tail_start(state, &from, &from.vector);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.code, ERR_OK);
	assert_true(waiter.waited_ms < FOR_EVER_MS / 2);
	state_free(state);
}

/* The tail can't read the log: the link is told so, and why, instead of waiting without a word. */
static void test_wait_tailed_times_out_and_says_why(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(1);
	struct state *state = state_new(&settings);
	struct vector vector = vector_of("1-1-5");
	struct err err;
	int64_t started = clock_monotonic_ms();
	state_tail_live(state, false, "the log is encrypted");
	assert_int_equal(state_wait_tailed(state, &vector, 20, &err), ERR_TIMEOUT);
	assert_true(clock_monotonic_ms() - started >= 20);
	assert_true(err_retryable(err.code));
	assert_non_null(strstr(err.message, "the log is encrypted"));
	state_tail_live(state, true, NULL);
	assert_int_equal(state_wait_tailed(state, &vector, 1, &err), ERR_TIMEOUT);
	assert_non_null(strstr(err.message, "the server is slow"));
	state_free(state);
}

/* ---- what is settled ---- */

enum { STEPS_MAX = 6 };

struct knows {
	uint32_t node;
	const char *vector;
};

struct settle_row {
	size_t peer_count;
	struct knows knows[STEPS_MAX]; /* up to node 0 */
	const char *applied;
	const char *settled, *unsettled; /* lists of GTIDs */
};

/* Of what is settled the tail need not tell the rows, as long as nothing is in dispute. */
static void check_settled(struct state *state, const char *list, bool expected, size_t row)
{
	struct vector gtids = vector_of(list);
	for (uint32_t i = 0; i < gtids.count; i++)
		if (state_begin_group(state, &gtids.gtids[i]) == expected)
			fail_msg("row %zu: %u-%u-%llu is %s", row, gtids.gtids[i].domain, gtids.gtids[i].server,
			         (unsigned long long)gtids.gtids[i].seq, expected ? "unsettled" : "settled");
}

/* What is settled leaves the window. Settled too early, a write of a peer that had not seen it overwrites it here
 * and not there; settled never, the window grows for ever. */
static void test_what_is_settled(void **unused)
{
	(void)unused;
	static const struct settle_row rows[] = {
	    /* two nodes: by what the peer is known to have, its own writes, too. Were those settled ahead of the writes of ours that
	     * they knew, a row would be here without its last write */
	    {1, {{0}}, "", "", "1-1-1,2-2-1"},
	    {1, {{2, "1-1-5"}}, "", "1-1-5", "1-1-6,2-2-1"},
	    {1, {{2, ""}}, "", "", "1-1-1,2-2-1"},
	    {1, {{2, "2-2-50"}}, "", "2-2-50", "1-1-1,2-2-51"},
	    {1, {{2, "1-1-5"}, {2, "1-1-8,2-2-1"}}, "", "1-1-8", "1-1-9"},
	    /* three: the least of both */
	    {2, {{2, "1-1-5,3-3-7"}}, "", "", "1-1-1,2-2-1,3-3-1"},
	    {2, {{2, "1-1-5,3-3-7"}, {3, ""}}, "", "", "1-1-1,2-2-1,3-3-1"},
	    {2, {{2, "1-1-5,2-2-9,3-3-7"}, {3, "1-1-3,2-2-4,3-3-7"}}, "", "1-1-3,2-2-4,3-3-7", "1-1-4,2-2-5,3-3-8"},
	    {2, {{2, "1-1-5,2-2-9,3-3-7"}, {3, "1-1-9,2-2-4,3-3-9"}}, "", "1-1-5,2-2-4,3-3-7", "1-1-6,2-2-5,3-3-8"},
	    {2, {{3, "1-1-3"}, {2, "1-1-5"}}, "", "1-1-3", "1-1-4,2-2-1,3-3-1"},
	    /* a domain that is no node's: known from what was applied, and settled by what all the peers have */
	    {1, {{2, "10-1-4"}}, "", "", "10-1-4"},
	    {1, {{2, "10-1-4"}}, "10-1-9", "10-1-4", "10-1-5"},
	    {2, {{2, "10-1-4"}, {3, "10-1-6"}}, "10-1-9", "10-1-4", "10-1-5"},
	    {2, {{2, "10-1-4"}}, "10-1-9", "", "10-1-1"},
	    /* who isn't a node has no say, whatever its number */
	    {1, {{9, "1-1-5"}}, "", "", "1-1-1"},
	    {1, {{2, "1-1-2"}, {9, "1-1-5"}}, "", "1-1-2", "1-1-3"},
	    {1, {{2, "1-1-2"}, {4000000000, "1-1-5"}}, "", "1-1-2", "1-1-3"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct settings settings = settings_of(rows[i].peer_count);
		struct state *state = started(&settings);
		struct vector applied = vector_of(rows[i].applied);
		struct err err;
		assert_int_equal(state_merge_applied(state, &applied, &err), ERR_OK);
		for (const struct knows *k = rows[i].knows; k < rows[i].knows + STEPS_MAX && k->node != 0; k++) {
			struct vector vector = vector_of(k->vector);
			state_node_knows(state, k->node, &vector);
		}
		check_settled(state, rows[i].settled, true, i);
		check_settled(state, rows[i].unsettled, false, i);
		state_free(state);
	}
}

/* A ring: node 3 isn't this node's peer. Were it not asked, what node 2 has would leave the history, and a write of node 3's that
 * didn't know of it would be taken as it stands. Its own transactions tell what it has, by way of node 2. */
static void test_a_node_that_is_no_peer_counts(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(1);
	settings.nodes[settings.node_count++] = 3;
	struct state *state = started(&settings);
	struct vector vector = vector_of("1-1-5,2-2-9");
	struct gtid gtid = gtid_of("3-3-4");
	state_node_knows(state, 2, &vector);
	check_settled(state, "1-1-1,2-2-1,3-3-1", false, 0);
	vector = vector_of("1-1-4,2-2-9");
	state_origin_knows(state, &gtid, &vector);
	check_settled(state, "1-1-4,2-2-9", true, 1);
	check_settled(state, "1-1-5,2-2-10,3-3-1", false, 2);
	vector = vector_of("3-3-4");
	state_node_knows(state, 2, &vector);
	check_settled(state, "1-1-4,3-3-4", true, 3);
	state_free(state);
}

static size_t window_size(struct state *state)
{
	struct state_view view;
	state_view(state, &view);
	return view.history.keys;
}

/* As the links ask: was this row written by somebody of whom a transaction of `origin` with this context doesn't know? */
static bool finds(struct state *state, uint64_t id, uint32_t origin, const struct vector *context, struct gtid *ret)
{
	struct content values[2];
	struct history_keys keys = {0};
	struct merge_change change = insert_of(&id, "", values);
	history_keys_add(&keys, &change);
	bool found = state_finds(state, &keys, origin, context, ret);
	history_keys_free(&keys);
	return found;
}

static void tell_insert(struct state *state, const struct gtid *gtid, const struct vector *context, uint64_t id)
{
	struct err err;
	struct content values[2];
	struct merge_change change = insert_of(&id, "30", values);
	struct history *history = state_lock_history(state);
	assert_int_equal(
	    history_begin(history, &(struct history_transaction){.gtid = *gtid, .time = 1, .context = context}, &err),
	    ERR_OK);
	assert_int_equal(history_write(history, &change, &err), ERR_OK);
	assert_int_equal(history_end(history, &err), ERR_OK);
	history_group_end(history);
	state_unlock_history(state);
}

/* The history of a node: what goes in is found until the last node has it, and then takes no more room. */
static void test_settled_writes_leave_the_history(void **unused)
{
	(void)unused;
	enum { ROWS = 150000 }; /* more than a megabyte: it lies in files by then */
	struct settings settings = settings_of(2);
	struct state *state = started(&settings);
	struct vector none = {0}, all = {.count = 1, .gtids = {{.domain = 1, .server = 1, .seq = ROWS}}};
	struct gtid gtid = {.domain = 1, .server = 1}, here;
	for (gtid.seq = 1; gtid.seq <= ROWS; gtid.seq++)
		tell_insert(state, &gtid, &none, gtid.seq);
	assert_int_equal(window_size(state), ROWS);
	assert_true(finds(state, 77, 2, &none, &here));
	assert_int_equal(here.seq, 77);
	assert_false(finds(state, 77, 2, &all, &here));
	assert_false(finds(state, 77, 1, &none, &here));
	state_node_knows(state, 2, &all);
	assert_int_equal(window_size(state), ROWS);
	/* Not all at once, since the links wait meanwhile: the nodes say it again and again. */
	for (int i = 0; i <= ROWS / WINDOW_SETTLE_AT_ONCE; i++)
		state_node_knows(state, 3, &all);
	assert_int_equal(window_size(state), 0);
	state_free(state);
}

/* A daemon starts, and its links hear what the peers have before its tail knows where to begin; or the tail begins again, since the
 * disk was full. Were what the peers have left out as the log is told, and what conflicted with it told, the row in the history would
 * be another one than it is in the table: the resolver writes one transaction after the other for it, without end. */
static void test_nothing_is_settled_before_the_log_is_told(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(2);
	struct state *state = state_new(&settings);
	struct vector none = {0}, all = vector_of("1-1-9");
	struct server_position from = {.vector = none};
	struct gtid gtid = gtid_of("1-1-9"), here;
	struct err err;
	for (int turn = 0; turn < 2; turn++) {
		state_node_knows(state, 2, &all);
		state_node_knows(state, 3, &all);
		state_tail_start(state, &from, &all);
		assert_true(state_begin_group(state, &gtid));
		tell_insert(state, &gtid, &none, 7);
		assert_true(finds(state, 7, 2, &none, &here));
		state_node_knows(state, 3, &all);
		check_settled(state, "1-1-1", false, 0);
		assert_int_equal(state_tailed(state, &gtid, &from, false, &err), ERR_OK);
		state_node_knows(state, 3, &all);
		check_settled(state, "1-1-9", true, 1);
		state_clear_history(state);
	}
	state_free(state);
}

/* ---- plans ---- */

static struct merge_transaction transaction_of(const char *gtid, const struct vector *context,
                                               struct merge_change *change)
{
	return (struct merge_transaction){
	    .gtid = gtid_of(gtid), .time = 2, .context = context, .count = 1, .changes = change};
}

/* A transaction of node 2's that inserts row 5. */
static void wait_for_plan(struct waiter *w)
{
	struct err err;
	uint64_t id = 5;
	struct content values[2];
	struct vector none = {0};
	struct merge_change change = insert_of(&id, "31", values);
	struct merge_transaction t = transaction_of("2-2-1", &none, &change);
	struct history_plan plan = {0};
	w->code = state_plan(w->state, &t, &plan, &err);
	history_plan_free(&plan);
}

/* A plan that is made while the tail is within a group puts rows in dispute of which the history has a part of the group's writes, or
 * none, if every node has them and the tail doesn't tell them: this node would show another row than its peers. */
static void test_a_plan_waits_for_the_end_of_a_group(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(1);
	struct state *state = started(&settings);
	struct vector known = vector_of("1-1-5");
	struct gtid settled = gtid_of("1-1-5"), next = gtid_of("1-1-6");
	state_node_knows(state, 2, &known);
	struct waiter waiter = {0}, stopped = {0}, told = {0}, again = {0};
	assert_false(state_begin_group(state, &settled));
	waiter_start(&waiter, state, wait_for_plan);
	assert_int_equal(tail(state, &settled, &known), ERR_OK);
	waiter_join(&waiter);
	assert_int_equal(waiter.code, ERR_OK);
	assert_true(state_begin_group(state, &next));
	waiter_start(&told, state, wait_for_plan);
	assert_int_equal(tail(state, &next, &known), ERR_OK);
	waiter_join(&told);
	assert_int_equal(told.code, ERR_OK);
	/* It is read again from its beginning: until then there is no group. */
	assert_true(state_begin_group(state, &next));
	waiter_start(&again, state, wait_for_plan);
	assert_int_equal(state_rewind(state, NULL), ERR_OK);
	waiter_join(&again);
	assert_int_equal(again.code, ERR_OK);
	assert_false(state_begin_group(state, &settled));
	waiter_start(&stopped, state, wait_for_plan);
	state_stop(state);
	waiter_join(&stopped);
	assert_int_equal(stopped.code, ERR_CANCELLED);
	state_free(state);
}

/* While something is in dispute every group is told, also one that every node has: a row in the engine may be in it. */
static void test_no_group_is_skipped_in_a_dispute(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(2);
	struct state *state = started(&settings);
	struct vector known = vector_of("1-1-5"), none = {0};
	struct gtid settled = gtid_of("1-1-5"), mine = gtid_of("1-1-6");
	state_node_knows(state, 2, &known);
	state_node_knows(state, 3, &known);
	tell_insert(state, &mine, &none, 5);
	assert_false(state_begin_group(state, &settled));
	assert_int_equal(tail(state, &settled, &known), ERR_OK);
	struct waiter plan = {.state = state};
	wait_for_plan(&plan);
	assert_int_equal(plan.code, ERR_OK);
	assert_true(state_begin_group(state, &settled));
	state_free(state);
}

static void wait_for_work(struct waiter *w)
{
	w->claimed = state_wait_work(w->state, FOR_EVER_MS);
}

/* A row that was held back can be shown now: the resolver is to do it at once, not when a minute is over. */
static void test_the_resolver_is_woken_by_work(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(1);
	struct state *state = state_new(&settings);
	struct waiter waiter = {0}, stopped = {0};
	struct err err;
	struct vector none = {0}, up_to = vector_of("1-1-1,2-2-1");
	struct gtid gtid = gtid_of("2-2-1");
	uint64_t id = 5;
	struct content values[2];
	struct merge_change change = insert_of(&id, "31", values);
	struct merge_transaction t = transaction_of("2-2-1", &none, &change);
	assert_true(state_wait_work(state, 1));
	waiter_start(&waiter, state, wait_for_work);
	struct history *history = state_lock_history(state);
	assert_int_equal(history_resolved(history, &t, 0, NULL, &err), ERR_OK);
	state_unlock_history(state);
	assert_int_equal(tail(state, &gtid, &up_to), ERR_OK);
	waiter_join(&waiter);
	assert_true(waiter.claimed);
	history = state_lock_history(state);
	struct merge_outcome outcome = history_pending(history);
	assert_int_equal(outcome.step_count, 1);
	history_shown(history, outcome.step_count, outcome.steps);
	assert_int_equal(history_pending(history).step_count, 0);
	state_unlock_history(state);
	waiter_start(&stopped, state, wait_for_work);
	state_stop(state);
	waiter_join(&stopped);
	assert_false(stopped.claimed);
	state_free(state);
}

/* Before it commits, a link asks the server whether it has what the history has, and nothing else: of the origin at hand what the
 * links committed counts, else each batch would wait for the tail; of the others what the tail has read, else a batch would be
 * certified against a history that lacks their writes. Nor does what was resolved, or was there before the daemon: a row that isn't shown
 * would be missed by the next one that writes it. */
static void test_what_a_link_expects_of_the_server(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(2);
	struct state *state = state_new(&settings);
	struct server_position from = {.vector = vector_of("1-1-9,2-2-3,3-3-2")};
	struct vector applied = vector_of("1-1-12,2-2-5,3-3-5"), wanted = vector_of("1-1-9,2-2-7,3-3-2");
	struct gtid gtids[] = {gtid_of("2-2-7"), gtid_of("3-3-5"), gtid_of("2-2-8")};
	struct err err;
	state_tail_start(state, &from, &from.vector);
	assert_int_equal(state_merge_applied(state, &applied, &err), ERR_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(state_applied(state, &gtids[i], i == 2, &err), ERR_OK);
	struct vector expected = state_expected(state, 2);
	assert_true(vector_equal(&expected, &wanted));
	expected = state_expected(state, 4);
	assert_true(vector_equal(&expected, &from.vector));
	state_free(state);
}

/* ---- acknowledgements and checkpoints ---- */

/* Node 3 doesn't read this node's log, so it learns what this node has from what this node writes. Who never writes and never
 * acknowledges keeps node 3's history growing for ever; who answers each acknowledgement with another keeps the ring busy. */
static void test_what_is_owed_to_nodes_far_away(void **unused)
{
	(void)unused;
	struct settings ring = settings_of(1), mesh = settings_of(2);
	ring.nodes[ring.node_count++] = 3;
	struct state *state = state_new(&ring);
	static const struct {
		bool is_own, has_writes, owes;
	} steps[] = {
	    {false, false, false}, {false, true, true}, {false, false, true}, {true, false, false},
	    {false, false, false}, {false, true, true}, {true, true, false},
	};
	assert_false(state_owes_acknowledgement(state));
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		state_note_group(state, steps[i].is_own, steps[i].has_writes);
		if (state_owes_acknowledgement(state) != steps[i].owes)
			fail_msg("step %zu", i);
	}
	state_free(state);
	/* In a mesh each node is asked by a link of its own. */
	state = state_new(&mesh);
	state_note_group(state, false, true);
	assert_false(state_owes_acknowledgement(state));
	state_free(state);
}

static void tail_up_to(struct state *state, uint64_t *seq, uint64_t up_to)
{
	while (*seq < up_to) {
		struct gtid gtid = {.domain = 1, .server = 1, .seq = ++*seq};
		/* What was written before there were nodes is nobody's to acknowledge. */
		struct vector vector = {.count = 2, .gtids = {gtid, {.domain = 10, .server = 1, .seq = 4}}};
		assert_int_equal(tail(state, &gtid, &vector), ERR_OK);
	}
}

/* The tail starts from a checkpoint after a restart. One that not every node has everything of loses history: a conflict is then
 * missed. One that is never moved makes each start read the log of a year. */
static void test_checkpoints(void **unused)
{
	(void)unused;
	enum { EVERY = 1000, MANY = 200 * EVERY }; /* more than are kept */
	struct settings settings = settings_of(2);
	struct state *state = started(&settings);
	struct server_position position;
	uint64_t seq = 0;
	assert_false(state_take_checkpoint(state, &position));
	tail_up_to(state, &seq, 5 * EVERY);
	struct vector half = vector_of("1-1-2500"), all = {.count = 1, .gtids = {{.domain = 1, .server = 1, .seq = MANY}}};
	state_node_knows(state, 2, &all);
	assert_false(state_take_checkpoint(state, &position)); /* node 3 may have nothing */
	state_node_knows(state, 3, &half);
	assert_true(state_take_checkpoint(state, &position));
	uint64_t first = vector_seq(&position.vector, 1);
	assert_in_range(first, 2500 - EVERY + 1, 2500);
	assert_false(state_take_checkpoint(state, &position)); /* told once */
	tail_up_to(state, &seq, MANY);
	assert_false(state_take_checkpoint(state, &position));
	state_node_knows(state, 3, &all);
	assert_true(state_take_checkpoint(state, &position));
	assert_in_range(vector_seq(&position.vector, 1), MANY - EVERY + 1, MANY);
	state_free(state);
}

/* A node that came in: where its own log begins is where its tail starts anyway, but only when every node has that
 * does it need the inviting node's log no more. Told too early, and what it copied and another node lacks is
 * forgotten; never, and each start reads that log. */
static void test_checkpoint_behind_a_seed(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(2);
	struct state *state = state_new(&settings);
	struct server_position from = {.vector = vector_of("1-1-7,2-2-5,3-3-1"), .latest = 9}, position;
	struct vector less = vector_of("1-1-6,2-2-5,3-3-1");
	struct err err;
	assert_int_equal(state_wait_started(state, 0, &err), ERR_DISCONNECTED);
	state_tail_start(state, &from, &from.vector);
	state_tail_seeded(state);
	assert_int_equal(state_wait_started(state, 0, &err), ERR_OK);
	assert_false(state_has_all(state, &from.vector));
	state_node_knows(state, 2, &from.vector);
	assert_true(state_has_all(state, &from.vector));
	state_node_knows(state, 3, &less);
	assert_false(state_take_checkpoint(state, &position));
	state_node_knows(state, 3, &from.vector);
	assert_true(state_take_checkpoint(state, &position));
	assert_true(vector_equal(&position.vector, &from.vector));
	assert_int_equal(position.latest, 9);
	assert_false(state_take_checkpoint(state, &position));
	state_free(state);
}

/* A folder that is gone or full must cost memory, not the daemon. */
static void test_scratch_memory(void **unused)
{
	(void)unused;
	static const char *const folders[] = {"/tmp", "/nonexistent/folder"};
	static const size_t sizes[] = {1, 16384, 1 << 20, (3 << 20) + 5};
	for (size_t f = 0; f < 2; f++)
		for (size_t s = 0; s < 4; s++) {
			struct scratch *scratch = scratch_new(folders[f]);
			uint8_t *memory = scratch_get(scratch, sizes[s]);
			assert_non_null(memory);
			assert_int_equal((uintptr_t)memory % 16, 0);
			assert_int_equal(memory[0], 0);
			assert_int_equal(memory[sizes[s] - 1], 0);
			memset(memory, 0xa5, sizes[s]);
			scratch_put(scratch, memory, sizes[s]);
			scratch_free(scratch);
		}
}

/* What the nameless files of this process take on the disk. */
static size_t nameless_bytes(void)
{
	size_t bytes = 0;
	struct stat st;
	for (int fd = 3; fd < 256; fd++)
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0)
			bytes += (size_t)st.st_blocks * 512;
	return bytes;
}

/* A record at any offset, also beyond 4 GiB, is what was written there; what is settled no longer fills the disk of a node whose peer
 * has been away for long. */
static void test_scratch_bytes(void **unused)
{
	(void)unused;
	enum { PIECE = 65536, PIECES = 128 };
	static const uint64_t starts[] = {16, (UINT64_C(1) << 33) + 5};
	static uint8_t bytes[PIECE], read[PIECE];
	size_t before = nameless_bytes();
	struct scratch *scratch = scratch_new("/tmp");
	scratch_drop(scratch, 1 << 20); /* nothing there yet */
	for (size_t s = 0; s < 2; s++) {
		for (size_t i = 0; i < PIECES; i++) {
			memset(bytes, (int)i + 1, sizeof bytes);
			assert_true(scratch_write(scratch, starts[s] + i * PIECE, bytes, sizeof bytes));
		}
		assert_true(nameless_bytes() - before >= (size_t)PIECE * PIECES);
		scratch_drop(scratch, starts[s] + (uint64_t)PIECE * PIECES / 2);
		/* Some file systems can't, and then it stays. */
		if (nameless_bytes() - before >= (size_t)PIECE * PIECES)
			print_message("this file system doesn't punch holes\n");
		for (size_t i = PIECES / 2; i < PIECES; i++) {
			memset(bytes, (int)i + 1, sizeof bytes);
			assert_true(scratch_read(scratch, starts[s] + i * PIECE, read, sizeof read));
			assert_memory_equal(read, bytes, sizeof read);
		}
		scratch_drop(scratch, UINT64_MAX);
		assert_in_range(nameless_bytes() - before, 0, PIECE);
	}
	assert_false(scratch_read(scratch, 16, read, 1));
	scratch_free(scratch);
	assert_int_equal(nameless_bytes(), before);
}

/* No file can be made, or it can't grow: the window is told, and with the reason, rather than a write being lost. */
static void test_scratch_bytes_that_cannot_be_kept(void **unused)
{
	(void)unused;
	static const uint8_t bytes[5000];
	struct rlimit old, limit;
	struct scratch *scratch = scratch_new("/nonexistent/folder");
	errno = 0;
	assert_false(scratch_write(scratch, 16, bytes, sizeof bytes));
	assert_int_equal(errno, ENOENT);
	scratch_free(scratch);

	scratch = scratch_new("/tmp");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){.rlim_cur = 8000, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	bool first = scratch_write(scratch, 16, bytes, sizeof bytes);
	errno = 0;
	bool second = scratch_write(scratch, 16 + sizeof bytes, bytes, sizeof bytes);
	int reason = errno;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_true(first);
	assert_false(second);
	assert_int_equal(reason, EFBIG);
	scratch_free(scratch);
}

/* ---- the rest ---- */

/* The operator says `skip` once and means one transaction. Taken twice, a transaction of another origin, or the same
 * one after the lab was made anew, would be lost without anybody's decision. */
static void test_a_skip_is_taken_once(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(2);
	struct state *state = state_new(&settings);
	struct gtid skip = gtid_of("2-2-7"), before = gtid_of("2-2-6"), other = gtid_of("3-2-7");
	assert_false(state_take_skip(state, &skip));
	state_request_skip(state, &skip);
	assert_false(state_take_skip(state, &before));
	assert_false(state_take_skip(state, &other));
	assert_true(state_take_skip(state, &skip));
	assert_false(state_take_skip(state, &skip));
	/* The last decision counts. */
	state_request_skip(state, &before);
	state_request_skip(state, &skip);
	assert_false(state_take_skip(state, &before));
	assert_true(state_take_skip(state, &skip));
	state_free(state);
}

struct taker {
	struct state *state;
	struct gtid gtid;
	unsigned taken;
	pthread_t thread;
};

static void *taker_main(void *context)
{
	struct taker *t = context;
	for (int i = 0; i < 2000; i++)
		t->taken += state_take_skip(t->state, &t->gtid);
	return NULL;
}

static void test_a_skip_is_taken_by_one_link(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(2);
	struct state *state = state_new(&settings);
	struct taker takers[2] = {{.state = state, .gtid = gtid_of("2-2-7")}, {.state = state, .gtid = gtid_of("2-2-7")}};
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&takers[i].thread, NULL, taker_main, &takers[i]), 0);
	state_request_skip(state, &takers[0].gtid);
	for (size_t i = 0; i < 2; i++)
		pthread_join(takers[i].thread, NULL);
	unsigned left = state_take_skip(state, &takers[0].gtid);
	assert_int_equal(takers[0].taken + takers[1].taken + left, 1);
	state_free(state);
}

/* The vector of what is applied only goes up: a link that brings an older transaction than another one did must not
 * make the daemon believe that the newer one is missing. */
static void test_applied(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(2);
	struct state *state = state_new(&settings);
	struct vector vector = vector_of("2-2-5,3-3-9");
	struct gtid gtids[] = {gtid_of("2-2-7"), gtid_of("2-2-6")};
	struct err err;
	assert_int_equal(state_applied_seq(state, 2), 0);
	assert_int_equal(state_merge_applied(state, &vector, &err), ERR_OK);
	assert_int_equal(state_applied(state, &gtids[0], false, &err), ERR_OK);
	assert_int_equal(state_applied(state, &gtids[1], false, &err), ERR_OK);
	assert_int_equal(state_merge_applied(state, &vector, &err), ERR_OK);
	assert_int_equal(state_applied_seq(state, 2), 7);
	assert_int_equal(state_applied_seq(state, 3), 9);
	state_free(state);
}

/* What `syncline status` shows of the tail, and the counter by which a link sees that a table's columns may have
 * changed. */
static void test_view_and_generation(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(1);
	struct state *state = state_new(&settings);
	struct server_position from = {.vector = vector_of("1-1-9")};
	struct state_view view;
	char *why = malloc(2000);
	assert_non_null(why);
	memset(why, 'x', 1999);
	why[1999] = '\0';
	state_view(state, &view);
	assert_false(view.tail_live);
	assert_string_equal(view.why, "starting");
	state_tail_start(state, &from, &from.vector);
	state_tail_live(state, true, NULL);
	state_view(state, &view);
	assert_true(view.tail_live && vector_equal(&view.tailed, &from.vector));
	assert_string_equal(view.why, "");
	state_tail_live(state, false, why);
	free(why);
	state_view(state, &view);
	assert_int_equal(strlen(view.why), sizeof view.why - 1);
	uint64_t generation = state_generation(state);
	state_schema_changed(state);
	assert_int_equal(state_generation(state), generation + 1);
	state_free(state);
	state_free(NULL);
}

/* Another program's tables lie beside the gate's: nobody acknowledges what is written there, and the log must not be
 * kept for that. */
static void test_what_no_node_keeps(void **unused)
{
	(void)unused;
	enum { EVERY = 1000 };
	struct settings settings = settings_of(1);
	struct state *state = started(&settings);
	struct server_position position = {0};
	struct vector known = vector_of("1-1-1");
	struct gtid gtid = gtid_of("1-1-1");
	assert_int_equal(tail(state, &gtid, &known), ERR_OK);
	state_node_knows(state, 2, &known);
	for (gtid.seq = 2; gtid.seq <= 3 * EVERY; gtid.seq++) {
		struct vector at = {.count = 1, .gtids = {gtid}};
		state_begin_group(state, &gtid);
		if (gtid.seq != EVERY + EVERY / 2)
			state_note_unkept(state);
		assert_int_equal(tail(state, &gtid, &at), ERR_OK);
	}
	assert_true(state_take_checkpoint(state, &position));
	assert_in_range(vector_seq(&position.vector, 1), EVERY, EVERY + EVERY / 2 - 1);
	known.gtids[0].seq = EVERY + EVERY / 2;
	state_node_knows(state, 2, &known);
	assert_true(state_take_checkpoint(state, &position));
	assert_in_range(vector_seq(&position.vector, 1), EVERY + EVERY / 2 + 1, 3 * EVERY);
	state_free(state);
}

/* A node that lacks what was purged writes a row anew: whether that overwrites something nobody can tell any more. */
static void test_what_was_forgotten(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(2);
	struct state *state = started(&settings);
	struct vector forgotten = vector_of("0-9-5,1-1-10,2-2-7,3-3-4");
	struct vector knows = vector_of("1-1-10,2-2-7,3-3-4"), lacks = vector_of("1-1-9,2-2-7,3-3-4");
	struct vector own = vector_of("1-1-10,2-2-2,3-3-4");
	assert_true(state_remembers(state, 2, &lacks));
	state_set_forgotten(state, &forgotten);
	assert_true(state_remembers(state, 2, &knows)); /* domain 0 is nobody's */
	assert_false(state_remembers(state, 2, &lacks));
	assert_true(state_remembers(state, 2, &own));
	assert_false(state_remembers(state, 3, &own));
	state_free(state);
}

/* What the tail has not told yet may still be in dispute. */
static void test_what_is_done(void **unused)
{
	(void)unused;
	struct settings settings = settings_of(1);
	struct state *state = state_new(&settings);
	struct server_position from = {.vector = vector_of("1-1-3")};
	struct vector until = vector_of("1-1-5"), at = vector_of("1-1-4"), later = vector_of("1-1-6");
	struct gtid last = gtid_of("1-1-5");
	assert_false(state_is_done(state, &from.vector));
	state_tail_start(state, &from, &until);
	assert_false(state_is_done(state, &from.vector));
	assert_int_equal(tail(state, &last, &until), ERR_OK);
	assert_true(state_is_done(state, &at));
	assert_false(state_is_done(state, &later));
	uint64_t seen = 0;
	assert_true(state_wait_log(state, &seen, 0));
	assert_int_equal(state_rounds(state), 0);
	state_count_round(state);
	assert_int_equal(state_rounds(state), 1);
	state_stop(state);
	assert_false(state_wait_log(state, &seen, FOR_EVER_MS));
	state_free(state);
}

/* Who drives to a gate with a copy of the data wants to know what it lacks. What only this node needs, and what the
 * peer wrote itself, isn't lacking there. */
static void what_a_peer_lacks(void **context)
{
	(void)context;
	struct settings settings = settings_of(2);
	struct state *state = started(&settings);
	struct vector none = {0}, acknowledged = vector_of("1-1-3"), knows = vector_of("1-1-5,3-3-9");
	uint64_t count = 99;
	struct vector up_to = vector_of("1-1-5"), all = vector_of("1-1-5,2-2-4,3-3-9"),
	              more = vector_of("1-1-6,2-2-4,3-3-9");
	struct gtid own = gtid_of("1-1-5"), peers = gtid_of("2-2-4"), thirds = gtid_of("3-3-9"), unkept = gtid_of("1-1-6");
	assert_int_equal(tail(state, &own, &up_to), ERR_OK);
	assert_true(state_lacks(state, 2, &none, &count));
	assert_int_equal(count, 5);
	assert_true(state_lacks(state, 2, &acknowledged, &count));
	assert_int_equal(count, 2);
	assert_int_equal(tail(state, &peers, &all), ERR_OK);
	assert_int_equal(tail(state, &thirds, &all), ERR_OK);
	assert_true(state_lacks(state, 2, &acknowledged, &count));
	assert_int_equal(count, 11);
	state_node_knows(state, 2, &knows);
	assert_true(state_lacks(state, 2, &none, &count));
	assert_int_equal(count, 0);
	assert_true(state_begin_group(state, &unkept));
	state_note_unkept(state);
	assert_int_equal(tail(state, &unkept, &more), ERR_OK);
	assert_true(state_lacks(state, 2, &none, &count));
	assert_int_equal(count, 0);
	assert_int_equal(state_arrived_seq(state), 0); /* node 3 has told nothing */
	state_node_knows(state, 3, &acknowledged);
	assert_int_equal(state_arrived_seq(state), 3);
	state_free(state);
	state = state_new(&settings);
	assert_false(state_lacks(state, 2, &none, &count));
	state_free(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_peer_lacks),
	    cmocka_unit_test(test_one_claim_a_domain),
	    cmocka_unit_test(test_claims_are_handed_on),
	    cmocka_unit_test(test_stop_ends_every_wait),
	    cmocka_unit_test(test_wake_ends_a_sleep),
	    cmocka_unit_test(test_wait_tailed_until_it_is_there),
	    cmocka_unit_test(test_wait_tailed_sees_where_the_tail_starts),
	    cmocka_unit_test(test_wait_tailed_times_out_and_says_why),
	    cmocka_unit_test(test_what_is_settled),
	    cmocka_unit_test(test_a_node_that_is_no_peer_counts),
	    cmocka_unit_test(test_settled_writes_leave_the_history),
	    cmocka_unit_test(test_nothing_is_settled_before_the_log_is_told),
	    cmocka_unit_test(test_a_plan_waits_for_the_end_of_a_group),
	    cmocka_unit_test(test_no_group_is_skipped_in_a_dispute),
	    cmocka_unit_test(test_the_resolver_is_woken_by_work),
	    cmocka_unit_test(test_what_a_link_expects_of_the_server),
	    cmocka_unit_test(test_what_is_owed_to_nodes_far_away),
	    cmocka_unit_test(test_checkpoints),
	    cmocka_unit_test(test_checkpoint_behind_a_seed),
	    cmocka_unit_test(test_scratch_memory),
	    cmocka_unit_test(test_scratch_bytes),
	    cmocka_unit_test(test_scratch_bytes_that_cannot_be_kept),
	    cmocka_unit_test(test_a_skip_is_taken_once),
	    cmocka_unit_test(test_a_skip_is_taken_by_one_link),
	    cmocka_unit_test(test_applied),
	    cmocka_unit_test(test_view_and_generation),
	    cmocka_unit_test(test_what_no_node_keeps),
	    cmocka_unit_test(test_what_was_forgotten),
	    cmocka_unit_test(test_what_is_done),
	};
	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
