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

/* Node 1 and the given number of peers from node 2 on. */
static struct settings settings_of(size_t peer_count)
{
	struct settings settings = {.node_id = 1, .state_dir = "/tmp", .peer_count = peer_count};
	for (size_t i = 0; i < peer_count; i++)
		settings.peers[i].node_id = (uint32_t)i + 2;
	return settings;
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
		assert_int_equal(state_tailed(state, &steps[i], &err), ERR_OK);
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
	struct vector from = vector_of("1-1-9,2-2-3");
	waiter_start(&waiter, state, wait_for_tail);
	state_tail_start(state, &from);
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
	uint32_t peer;
	const char *vector;
};

struct settle_row {
	size_t peer_count;
	struct knows knows[STEPS_MAX]; /* up to peer 0 */
	const char *applied;
	const char *settled, *unsettled; /* lists of GTIDs */
};

static void check_settled(struct state *state, const char *list, bool expected, size_t row)
{
	struct vector gtids = vector_of(list);
	for (uint32_t i = 0; i < gtids.count; i++)
		if (state_is_settled(state, &gtids.gtids[i]) != expected)
			fail_msg("row %zu: %u-%u-%llu is %s", row, gtids.gtids[i].domain, gtids.gtids[i].server,
			         (unsigned long long)gtids.gtids[i].seq, expected ? "unsettled" : "settled");
}

/* What is settled leaves the window. Settled too early, a write of a peer that had not seen it overwrites it here
 * and not there; settled never, the window grows for ever. */
static void test_what_is_settled(void **unused)
{
	(void)unused;
	static const struct settle_row rows[] = {
	    /* two nodes: our own writes by what the peer has; those of the peer, all: it has them, and here they are */
	    {1, {{0}}, "", "", "1-1-1,2-2-1"},
	    {1, {{2, "1-1-5"}}, "", "1-1-5,2-2-1000000", "1-1-6"},
	    {1, {{2, ""}}, "", "2-2-1", "1-1-1"},
	    {1, {{2, "2-2-50"}}, "", "2-2-51", "1-1-1"},
	    {1, {{2, "1-1-5"}, {2, "1-1-8,2-2-1"}}, "", "1-1-8", "1-1-9"},
	    /* three: the least of both; a peer's own by what the other one has */
	    {2, {{2, "1-1-5,3-3-7"}}, "", "3-3-7", "1-1-1,2-2-1"},
	    {2, {{2, "1-1-5,3-3-7"}}, "", "", "3-3-8"},
	    {2, {{2, "1-1-5,3-3-7"}, {3, ""}}, "", "3-3-7", "1-1-1,2-2-1"},
	    {2, {{2, "1-1-5,3-3-7"}, {3, "1-1-3,2-2-4"}}, "", "1-1-3,2-2-4,3-3-7", "1-1-4,2-2-5,3-3-8"},
	    {2, {{2, "1-1-5,2-2-9,3-3-7"}, {3, "1-1-9,2-2-4,3-3-9"}}, "", "1-1-5,2-2-4,3-3-7", "1-1-6,2-2-5,3-3-8"},
	    {2, {{3, "1-1-3"}, {2, "1-1-5"}}, "", "1-1-3", "1-1-4,2-2-1,3-3-1"},
	    /* a domain that is no node's: known from what was applied, and settled by what all the peers have */
	    {1, {{2, "10-1-4"}}, "", "", "10-1-4"},
	    {1, {{2, "10-1-4"}}, "10-1-9", "10-1-4", "10-1-5"},
	    {2, {{2, "10-1-4"}, {3, "10-1-6"}}, "10-1-9", "10-1-4", "10-1-5"},
	    {2, {{2, "10-1-4"}}, "10-1-9", "", "10-1-1"},
	    /* who isn't a peer here has no say */
	    {1, {{9, "1-1-5"}}, "", "", "1-1-1"},
	    {1, {{2, "1-1-2"}, {9, "1-1-5"}}, "", "1-1-2", "1-1-3"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct settings settings = settings_of(rows[i].peer_count);
		struct state *state = state_new(&settings);
		struct vector applied = vector_of(rows[i].applied);
		struct err err;
		assert_int_equal(state_merge_applied(state, &applied, &err), ERR_OK);
		for (const struct knows *k = rows[i].knows; k < rows[i].knows + STEPS_MAX && k->peer != 0; k++) {
			struct vector vector = vector_of(k->vector);
			state_peer_knows(state, k->peer, &vector);
		}
		check_settled(state, rows[i].settled, true, i);
		check_settled(state, rows[i].unsettled, false, i);
		state_free(state);
	}
}

static size_t window_size(struct state *state)
{
	struct state_view view;
	state_view(state, &view);
	return view.window_count;
}

/* The window of a node: what goes in is found until the last peer has it, and then takes no more room. */
static void test_settled_writes_leave_the_window(void **unused)
{
	(void)unused;
	enum { ROWS = 150000 }; /* more than a megabyte: the window lies in a file by then */
	struct settings settings = settings_of(2);
	struct state *state = state_new(&settings);
	struct vector none = {0}, all = {.count = 1, .gtids = {{.domain = 1, .server = 1, .seq = ROWS}}};
	struct gtid gtid = {.domain = 1, .server = 1}, here;
	struct err err;
	for (gtid.seq = 1; gtid.seq <= ROWS; gtid.seq++) {
		assert_int_equal(state_window_begin(state, &(struct window_transaction){.gtid = gtid}, &err), ERR_OK);
		assert_int_equal(state_window_add(state, &gtid.seq, 1, NULL, 0, &err), ERR_OK);
	}
	assert_int_equal(window_size(state), ROWS);
	assert_true(state_window_find(state, 77, 2, &none, &here));
	assert_int_equal(here.seq, 77);
	assert_false(state_window_find(state, 77, 2, &all, &here));
	assert_false(state_window_find(state, 77, 1, &none, &here));
	state_peer_knows(state, 2, &all);
	assert_int_equal(window_size(state), ROWS);
	state_peer_knows(state, 3, &all);
	assert_int_equal(window_size(state), 0);
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
	assert_int_equal(state_applied(state, &gtids[0], &err), ERR_OK);
	assert_int_equal(state_applied(state, &gtids[1], &err), ERR_OK);
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
	struct vector from = vector_of("1-1-9");
	struct state_view view;
	char *why = malloc(2000);
	assert_non_null(why);
	memset(why, 'x', 1999);
	why[1999] = '\0';
	state_view(state, &view);
	assert_false(view.tail_live);
	assert_string_equal(view.why, "starting");
	state_tail_start(state, &from);
	state_tail_live(state, true, NULL);
	state_view(state, &view);
	assert_true(view.tail_live && vector_equal(&view.tailed, &from));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_claim_a_domain),
	    cmocka_unit_test(test_claims_are_handed_on),
	    cmocka_unit_test(test_stop_ends_every_wait),
	    cmocka_unit_test(test_wake_ends_a_sleep),
	    cmocka_unit_test(test_wait_tailed_until_it_is_there),
	    cmocka_unit_test(test_wait_tailed_sees_where_the_tail_starts),
	    cmocka_unit_test(test_wait_tailed_times_out_and_says_why),
	    cmocka_unit_test(test_what_is_settled),
	    cmocka_unit_test(test_settled_writes_leave_the_window),
	    cmocka_unit_test(test_scratch_memory),
	    cmocka_unit_test(test_scratch_bytes),
	    cmocka_unit_test(test_scratch_bytes_that_cannot_be_kept),
	    cmocka_unit_test(test_a_skip_is_taken_once),
	    cmocka_unit_test(test_a_skip_is_taken_by_one_link),
	    cmocka_unit_test(test_applied),
	    cmocka_unit_test(test_view_and_generation),
	};
	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
