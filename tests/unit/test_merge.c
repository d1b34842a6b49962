/* src/merge: keys, window, manifests. Whether two nodes that wrote one row at once are told so stands on these three.
 *
 * A conflict that isn't found is a row that differs on two nodes, for ever and without a word; one that is found
 * where there is none stops a link.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "merge/manifest.h"
#include "merge/merge.h"
#include "merge/rowkey.h"
#include "merge/window.h"
#include "test_table_support.h"

/* splitmix64 */
static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(uint64_t *seed, uint64_t limit)
{
	return next_random(seed) % limit;
}

/* Another one each time; SEED in the environment repeats a run. */
static uint64_t fresh_seed(const char *what)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_monotonic_us();
	print_message("%s: SEED=%llu\n", what, (unsigned long long)seed);
	return seed;
}

static struct vector vector_of(const char *text)
{
	struct vector vector;
	assert_int_equal(vector_parse(text, &vector, NULL), ERR_OK);
	return vector;
}

/* ---- window ---- */

/* What was got and not put back, by address. */
enum { PIECES_MAX = 8 };

struct ledger {
	struct {
		void *memory;
		size_t bytes;
	} pieces[PIECES_MAX];
	size_t bytes, gets;
};

static void *ledger_get(void *context, size_t bytes)
{
	struct ledger *ledger = context;
	void *memory = calloc(1, bytes);
	assert_non_null(memory);
	for (size_t i = 0; i < PIECES_MAX; i++)
		if (ledger->pieces[i].memory == NULL) {
			ledger->pieces[i].memory = memory;
			ledger->pieces[i].bytes = bytes;
			ledger->bytes += bytes;
			ledger->gets++;
			return memory;
		}
	fail_msg("the window holds more than %d pieces at once", PIECES_MAX);
	return NULL;
}

static void ledger_put(void *context, void *memory, size_t bytes)
{
	struct ledger *ledger = context;
	for (size_t i = 0; i < PIECES_MAX; i++)
		if (memory != NULL && ledger->pieces[i].memory == memory) {
			assert_int_equal(ledger->pieces[i].bytes, bytes);
			ledger->pieces[i].memory = NULL;
			ledger->bytes -= bytes;
			free(memory);
			return;
		}
	fail_msg("the window puts back what it didn't get");
}

static struct window *counted_window(struct ledger *ledger)
{
	*ledger = (struct ledger){0};
	return window_new(&(struct window_memory){.get = ledger_get, .put = ledger_put, .context = ledger});
}

static void add(struct window *w, uint64_t key, uint32_t domain, uint32_t server, uint64_t seq)
{
	struct err err;
	struct gtid gtid = {.domain = domain, .server = server, .seq = seq};
	assert_int_equal(window_begin(w, &(struct window_transaction){.gtid = gtid}, &err), ERR_OK);
	assert_int_equal(window_add(w, &key, 1, NULL, 0, &err), ERR_OK);
}

/* "" where nothing is found */
static const char *found(const struct window *w, uint64_t key, uint32_t origin, const char *context)
{
	static char text[GTID_TEXT_MAX];
	struct vector vector = vector_of(context);
	struct gtid gtid;
	return window_find(w, key, origin, &vector, &gtid) ? gtid_format(&gtid, text) : "";
}

/* Node 1 wrote row 5 in transaction 1-1-10. A transaction of node 2 that has not seen it conflicts, one that has
 * seen it doesn't, and node 1's own never do: else every second write to a row would stop the link. */
static void test_a_write_conflicts_with_what_it_had_not_seen(void **state)
{
	(void)state;
	struct window *w = window_new(NULL);
	add(w, 5, 1, 1, 10);
	assert_string_equal(found(w, 5, 2, ""), "1-1-10");
	assert_string_equal(found(w, 5, 2, "1-1-9"), "1-1-10");
	assert_string_equal(found(w, 5, 2, "1-1-10"), "");
	assert_string_equal(found(w, 5, 2, "1-1-11,2-2-3"), "");
	assert_string_equal(found(w, 5, 2, "2-2-99,3-3-99"), "1-1-10");
	assert_string_equal(found(w, 5, 1, ""), "");
	assert_string_equal(found(w, 6, 2, ""), "");
	/* the last write counts, in whatever order they come */
	add(w, 5, 1, 1, 30);
	add(w, 5, 1, 1, 20);
	assert_int_equal(window_count(w), 1);
	assert_string_equal(found(w, 5, 2, "1-1-29"), "1-1-30");
	assert_string_equal(found(w, 5, 2, "1-1-30"), "");
	/* the other origin's write to the same row is found beside it */
	add(w, 5, 2, 2, 4);
	assert_int_equal(window_count(w), 2);
	assert_string_equal(found(w, 5, 2, "1-1-30"), "");
	assert_string_equal(found(w, 5, 1, "1-1-30"), "2-2-4");
	assert_string_equal(found(w, 5, 3, "1-1-30"), "2-2-4");
	assert_string_equal(found(w, 5, 3, "2-2-4"), "1-1-30");
	window_free(w);
	window_free(NULL);
}

/* What is everywhere may go, and what is not must stay: one row dropped too early is one conflict that nobody sees. */
static void test_settling(void **state)
{
	(void)state;
	struct window *w = window_new(NULL);
	struct vector everywhere = vector_of("1-1-10");
	for (uint64_t seq = 1; seq <= 20; seq++)
		add(w, seq, 1, 1, seq);
	add(w, 100, 2, 2, 5);
	window_settle(w, &everywhere);
	for (uint64_t seq = 11; seq <= 20; seq++)
		assert_int_equal(strncmp(found(w, seq, 2, "1-1-10"), "1-1-", 4), 0);
	assert_string_equal(found(w, 100, 1, ""), "2-2-5");
	/* what is settled already isn't taken in */
	size_t count = window_count(w);
	add(w, 500, 1, 1, 10);
	assert_int_equal(window_count(w), count);
	add(w, 501, 1, 1, 11);
	assert_int_equal(window_count(w), count + 1);
	/* all of it: back to nothing at once */
	everywhere = vector_of("1-1-20,2-2-5");
	window_settle(w, &everywhere);
	assert_int_equal(window_count(w), 0);
	assert_string_equal(found(w, 15, 2, ""), "");
	add(w, 15, 1, 1, 20);
	assert_int_equal(window_count(w), 0);
	add(w, 15, 1, 1, 21);
	assert_string_equal(found(w, 15, 2, ""), "1-1-21");
	window_free(w);
}

/* A 65th domain has no place in a vector, so nothing could ever be said about its writes; the others go on. */
static void test_too_many_domains(void **state)
{
	(void)state;
	struct window *w = window_new(NULL);
	struct err err;
	for (uint32_t domain = 1; domain <= VECTOR_DOMAINS_MAX; domain++)
		add(w, 7, domain, domain, 1);
	struct window_transaction more = {.gtid = {.domain = 65, .server = 65, .seq = 1}};
	assert_int_equal(window_begin(w, &more, &err), ERR_UNSUPPORTED);
	assert_true(err.message[0] != '\0');
	assert_int_equal(window_count(w), VECTOR_DOMAINS_MAX);
	for (uint32_t domain = 1; domain <= VECTOR_DOMAINS_MAX; domain++)
		add(w, 8, domain, domain, 2);
	assert_int_equal(window_count(w), 2 * VECTOR_DOMAINS_MAX);
	/* A seq that doesn't fit beside the domain's number would pass for another origin's. */
	struct window_transaction large = {.gtid = {.domain = 1, .server = 1, .seq = UINT64_C(1) << 56}};
	assert_int_equal(window_begin(w, &large, &err), ERR_UNSUPPORTED);
	add(w, 7, 1, 1, (UINT64_C(1) << 56) - 1);
	window_clear(w);
	assert_int_equal(window_begin(w, &more, &err), ERR_OK);
	window_free(w);
}

/* The model: the last seq of each key and domain, looked up by going through all. */
enum { MODEL_KEYS = 400, MODEL_DOMAINS = 12 };

struct model {
	uint64_t keys[MODEL_KEYS];
	uint64_t seqs[MODEL_KEYS][MODEL_DOMAINS]; /* 0: none */
	uint64_t heads[MODEL_DOMAINS];            /* domain i + 1 */
	uint64_t everywhere[MODEL_DOMAINS];
};

static struct vector vector_of_seqs(const uint64_t *seqs)
{
	struct vector vector = {0};
	for (uint32_t d = 0; d < MODEL_DOMAINS; d++)
		if (seqs[d] > 0)
			vector.gtids[vector.count++] = (struct gtid){.domain = d + 1, .server = d + 1, .seq = seqs[d]};
	return vector;
}

static void model_add(struct model *m, struct window *w, uint64_t *seed)
{
	uint64_t k = below(seed, MODEL_KEYS), d = below(seed, MODEL_DOMAINS);
	/* Mostly the next transaction, now and then a row of an older one. */
	uint64_t seq = below(seed, 8) ? ++m->heads[d] : m->heads[d] ? 1 + below(seed, m->heads[d]) : 1;
	if (seq > m->heads[d])
		m->heads[d] = seq;
	if (seq > m->seqs[k][d])
		m->seqs[k][d] = seq;
	add(w, m->keys[k], (uint32_t)d + 1, (uint32_t)d + 1, seq);
}

static void model_settle(struct model *m, struct window *w, uint64_t *seed)
{
	for (size_t d = 0; d < MODEL_DOMAINS; d++) {
		uint64_t left = m->heads[d] - m->everywhere[d];
		m->everywhere[d] += below(seed, 3) ? below(seed, left + 1) : left;
	}
	struct vector everywhere = vector_of_seqs(m->everywhere);
	window_settle(w, &everywhere);
}

/* What must be found is; what is found is there. Settled writes may still be found, or not. */
static void model_find(const struct model *m, const struct window *w, uint64_t *seed)
{
	uint64_t k = below(seed, MODEL_KEYS), seqs[MODEL_DOMAINS];
	uint32_t origin = (uint32_t)below(seed, MODEL_DOMAINS + 2);
	bool must = false;
	for (uint32_t d = 0; d < MODEL_DOMAINS; d++) {
		seqs[d] = below(seed, 3) ? below(seed, m->heads[d] + 1) : m->heads[d];
		if (seqs[d] < m->seqs[k][d] && m->seqs[k][d] > m->everywhere[d] && d + 1 != origin)
			must = true;
	}
	struct vector context = vector_of_seqs(seqs);
	struct gtid gtid;
	bool is = window_find(w, m->keys[k], origin, &context, &gtid);
	assert_true(is || !must);
	if (is) {
		assert_in_range(gtid.domain, 1, MODEL_DOMAINS);
		assert_int_not_equal(gtid.domain, origin);
		assert_int_equal(gtid.server, gtid.domain);
		/* What was settled when it was last written was left out then: at least it is no more than that. */
		assert_true(gtid.seq <= m->seqs[k][gtid.domain - 1] && gtid.seq > vector_seq(&context, gtid.domain));
		assert_true(gtid.seq == m->seqs[k][gtid.domain - 1] ||
		            m->seqs[k][gtid.domain - 1] <= m->everywhere[gtid.domain - 1]);
	}
}

static size_t model_unsettled(const struct model *m)
{
	size_t count = 0;
	for (size_t k = 0; k < MODEL_KEYS; k++)
		for (size_t d = 0; d < MODEL_DOMAINS; d++)
			count += m->seqs[k][d] > m->everywhere[d];
	return count;
}

/* A table that grows, drops and rebuilds in one place is easy to get wrong in ways that only some order of things
 * shows: an entry lost when the table is rebuilt is a conflict lost. */
static void test_window_does_as_the_model(void **state)
{
	(void)state;
	uint64_t seed = fresh_seed("window");
	for (int round = 0; round < 20; round++) {
		static struct model m;
		memset(&m, 0, sizeof m);
		/* Few different low bits, so that places collide and wrap around. */
		bool crowded = below(&seed, 2);
		for (size_t k = 0; k < MODEL_KEYS; k++)
			m.keys[k] = crowded ? (uint64_t)k << 40 | (1020 + k % 7) : next_random(&seed);
		struct ledger ledger;
		struct window *w = counted_window(&ledger);
		uint64_t settle_one_in = 20 + below(&seed, 3000);
		for (int step = 0; step < 6000; step++) {
			model_add(&m, w, &seed);
			model_find(&m, w, &seed);
			if (below(&seed, settle_one_in) == 0)
				model_settle(&m, w, &seed);
			assert_true(step % 64 != 0 || window_count(w) >= model_unsettled(&m));
		}
		if (below(&seed, 2)) {
			memcpy(m.everywhere, m.heads, sizeof m.heads);
			struct vector all = vector_of_seqs(m.everywhere);
			window_settle(w, &all);
			assert_int_equal(window_count(w), 0);
		}
		window_free(w);
		assert_int_equal(ledger.bytes, 0);
	}
}

/* A peer is away for a week, and the window holds a million rows: finding one must not become slower than the
 * writers, or the node never catches up; and what memory there was for them is given back when the peer has caught
 * up. The time limit is three orders of magnitude above what it takes; going through the table would be beyond it. */
static void test_a_million_rows(void **state)
{
	(void)state;
	enum { ROWS = 1000000 };
	struct ledger ledger;
	struct window *w = counted_window(&ledger);
	struct vector none = {0}, everywhere = vector_of("1-1-1000000");
	struct gtid gtid;
	uint64_t seed = 1, missed = 0, wrong = 0, keys = seed;
	size_t small = ledger.bytes;
	int64_t started = clock_monotonic_ms();
	for (uint64_t seq = 1; seq <= ROWS; seq++)
		add(w, next_random(&keys), 1, 1, seq);
	assert_int_equal(window_count(w), ROWS);
	keys = seed;
	for (uint64_t seq = 1; seq <= ROWS; seq++) {
		uint64_t key = next_random(&keys);
		missed += !window_find(w, key, 2, &none, &gtid) || gtid.seq != seq;
		wrong += window_find(w, key + 1, 2, &none, &gtid);
	}
	assert_int_equal(missed, 0);
	assert_int_equal(wrong, 0);
	assert_true(clock_monotonic_ms() - started < 120000);
	/* 24 bytes a place, between three eighths and three quarters full; grown by doubling. */
	assert_in_range(ledger.bytes, (size_t)ROWS * 24, (size_t)ROWS * 24 * 3);
	assert_true(ledger.gets < 20);
	window_settle(w, &everywhere);
	assert_int_equal(ledger.bytes, small);
	window_free(w);
	assert_int_equal(ledger.bytes, 0);
}

/* Ten million writes pass through a node whose peers keep up: its memory must not grow with what has passed. */
static void test_a_steady_stream_stays_small(void **state)
{
	(void)state;
	struct ledger ledger;
	struct window *w = counted_window(&ledger);
	size_t largest = 0;
	for (uint64_t seq = 1; seq <= 300000; seq++) {
		add(w, seq * UINT64_C(0x9e3779b97f4a7c15), 1, 1, seq);
		if (seq % 100 == 0) { /* never all of it */
			struct vector everywhere = {.count = 1, .gtids = {{.domain = 1, .server = 1, .seq = seq - 50}}};
			window_settle(w, &everywhere);
		}
		largest = ledger.bytes > largest ? ledger.bytes : largest;
	}
	assert_true(largest <= (size_t)24 * 4096);
	window_free(w);
	assert_int_equal(ledger.bytes, 0);
}

/* ---- manifest ---- */

static void assert_same_manifest(const struct manifest *a, const struct manifest *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_true(vector_equal(&a->context, &b->context));
	assert_int_equal(a->writes.size, b->writes.size);
	if (a->writes.size > 0)
		assert_memory_equal(a->writes.data, b->writes.data, a->writes.size);
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		assert_int_equal(a->transactions[i].seq, b->transactions[i].seq);
		assert_int_equal(a->transactions[i].time, b->transactions[i].time);
		assert_int_equal(a->transactions[i].server, b->transactions[i].server);
		assert_int_equal(a->transactions[i].row_changes, b->transactions[i].row_changes);
	}
}

static uint64_t some_number(uint64_t *seed, uint64_t max)
{
	uint64_t number = next_random(seed) >> below(seed, 64);
	return number < max ? number : max;
}

static void random_manifest(struct manifest *m, uint64_t *seed)
{
	manifest_clear(m);
	uint32_t domain = 0;
	for (uint64_t left = below(seed, 5); left > 0; left--) {
		domain += 1 + (uint32_t)below(seed, 1000000000);
		m->context.gtids[m->context.count++] = (struct gtid){
		    .domain = domain, .server = (uint32_t)next_random(seed), .seq = 1 + some_number(seed, UINT64_MAX - 1)};
	}
	struct manifest_transaction t = {0};
	for (uint64_t left = 1 + below(seed, 40); left > 0 && t.seq < UINT64_MAX; left--) {
		t.seq += 1 + some_number(seed, UINT64_MAX - t.seq - 1);
		/* Clocks jump: to any time, before or after. */
		t.time = below(seed, 4) ? t.time + (uint32_t)below(seed, 3) : (uint32_t)next_random(seed);
		t.server = below(seed, 4) ? t.server : (uint32_t)next_random(seed);
		t.row_changes = some_number(seed, UINT64_MAX - 1);
		manifest_add(m, &t);
	}
	if (below(seed, 4) == 0)
		m->transactions[m->count - 1].row_changes = MANIFEST_ALL_THE_REST;
	m->kind = m->count == 1    ? (below(seed, 2) ? MANIFEST_RESOLVED : MANIFEST_REPAIRED)
	          : below(seed, 2) ? MANIFEST_SHOWN
	                           : MANIFEST_APPLIED;
	for (uint64_t left = manifest_has_writes(m) ? below(seed, 300) : 0; left > 0; left--)
		buf_append_u8(&m->writes, (uint8_t)next_random(seed));
}

/* A peer that reads another seq, time or number of rows than was written applies rows under the wrong transaction:
 * they are left out or done twice after the next restart. */
static void test_manifest_round_trip(void **state)
{
	(void)state;
	uint64_t seed = fresh_seed("manifest");
	struct manifest m = {0}, read = {0};
	struct buf bytes = {0};
	for (int i = 0; i < 3000; i++) {
		random_manifest(&m, &seed);
		buf_clear(&bytes);
		manifest_encode(&m, &bytes);
		uint8_t *exact = malloc(bytes.size);
		assert_non_null(exact);
		memcpy(exact, bytes.data, bytes.size);
		struct err err;
		assert_int_equal(manifest_decode(exact, bytes.size, &read, &err), ERR_OK);
		assert_same_manifest(&m, &read);
		free(exact);
	}
	manifest_free(&m);
	manifest_free(&read);
	buf_free(&bytes);
}

/* The clock of the origin was set back by an hour, was at 0, was at its end. */
static void test_manifest_with_a_clock_that_jumps(void **state)
{
	(void)state;
	static const uint32_t times[] = {1700000000, 1699996400, 0, UINT32_MAX, 0, 1, UINT32_MAX, UINT32_MAX - 1};
	struct manifest m = {0}, read = {0};
	struct buf bytes = {0};
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		manifest_add(&m, &(struct manifest_transaction){
		                     .seq = 10 + i, .time = times[i], .server = i % 2 ? UINT32_MAX : 0, .row_changes = 1});
	manifest_encode(&m, &bytes);
	assert_int_equal(manifest_decode(bytes.data, bytes.size, &read, NULL), ERR_OK);
	assert_same_manifest(&m, &read);
	manifest_free(&m);
	manifest_free(&read);
	buf_free(&bytes);
}

/* A manifest that was cut off must not be taken for one of fewer transactions; and nothing is read behind its end. (The writes of
 * a resolved one reach to its end, whatever they are: who parses them finds them cut off.) */
static void test_every_truncation_of_a_manifest(void **state)
{
	(void)state;
	uint64_t seed = 7;
	struct manifest m = {0}, read = {0};
	struct buf bytes = {0};
	for (int i = 0; i < 30; i++) {
		random_manifest(&m, &seed);
		buf_clear(&m.writes);
		buf_clear(&bytes);
		manifest_encode(&m, &bytes);
		for (size_t cut = 0; cut < bytes.size; cut++) {
			uint8_t *exact = malloc(cut ? cut : 1);
			assert_non_null(exact);
			memcpy(exact, bytes.data, cut);
			struct err err = {0};
			assert_int_equal(manifest_decode(exact, cut, &read, &err), ERR_MALFORMED);
			assert_true(err.message[0] != '\0');
			assert_int_equal(read.count, 0);
			free(exact);
		}
		/* Nor may anything follow. */
		buf_append_u8(&bytes, 0);
		assert_int_equal(manifest_decode(bytes.data, bytes.size, &read, NULL),
		                 manifest_has_writes(&m) ? ERR_OK : ERR_MALFORMED);
		assert_int_equal(read.writes.size, manifest_has_writes(&m) ? 1 : 0);
	}
	manifest_free(&m);
	manifest_free(&read);
	buf_free(&bytes);
}

#define CASE(bytes)                                                                                                    \
	{                                                                                                                  \
		bytes, sizeof(bytes) - 1                                                                                       \
	}

/* A count of a billion costs an error message and no memory; a manifest without transactions, one whose seqs stand
 * still or go round, and a context out of order would end up in the vector. */
static void test_hostile_manifests(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
	} cases[] = {
	    CASE("\2\0\0\0"),                                                     /* no transaction */
	    CASE("\2\0\0\x81\x80\4\1\0\0\0"),                                     /* 65537 of them */
	    CASE("\2\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1\0\0\0"),         /* 2^64 - 1 */
	    CASE("\2\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\1\0\0\0"),       /* more than 64 bits */
	    CASE("\2\0\0\1\0\0\0\0"),                                             /* seq 0 */
	    CASE("\2\0\0\2\5\0\0\0\0\0\0\0"),                                     /* twice the same seq */
	    CASE("\2\0\0\2\5\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0\0"), /* a seq that goes round */
	    CASE("\2\0\x41\1\1\1"),                                               /* 65 domains */
	    CASE("\2\0\2\2\2\5\1\1\5\1\1\0\0\0"),                                 /* domains out of order */
	    CASE("\2\0\2\2\2\5\2\2\5\1\1\0\0\0"),                                 /* one twice */
	    CASE("\2\0\1\2\2\0\1\1\0\0\0"),                                       /* a context at seq 0 */
	    CASE("\2\0\1\xff\xff\xff\xff\x7f\2\5\1\1\0\0\0"),                     /* a domain beyond 32 bits */
	    CASE("\2\0\0\1\1\0\0\0\0"),                                           /* a byte too many */
	    CASE("\2\4\0\1\1\0\0\1"),                                             /* of a kind that there isn't */
	    CASE("\2\1\0\2\1\0\0\1\1\0\0\1"),                                     /* two transactions resolved at once */
	    CASE("\2\0\0\2\1\0\0\0\1\0\0\1"),                                     /* all the rest, and one more */
	    CASE("\2\2\0\1\1\0\0\1\0"),                                           /* writes of one that shows */
	};
	struct manifest read = {0};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = {0};
		enum err_code code = manifest_decode((const uint8_t *)cases[i].bytes, cases[i].size, &read, &err);
		if (code != ERR_MALFORMED)
			fail_msg("case %zu was accepted", i);
		assert_true(read.capacity < 1024);
	}
	/* What the first of them would be with one transaction, so that the cases fail for their own reasons. */
	assert_int_equal(manifest_decode((const uint8_t *)"\2\0\0\1\1\0\0\0", 8, &read, NULL), ERR_OK);
	assert_int_equal(read.count, 1);
	assert_true(read.transactions[0].row_changes == MANIFEST_ALL_THE_REST);
	/* A later syncline's, or an earlier one's: the operator is told what to do. */
	for (int version = 1; version <= 3; version += 2) {
		const uint8_t bytes[] = {(uint8_t)version, 0, 0, 1, 1, 0, 0, 0};
		struct err err = {0};
		assert_int_equal(manifest_decode(bytes, sizeof bytes, &read, &err), ERR_UNSUPPORTED);
		assert_non_null(strstr(err.message, "install the same version"));
	}
	manifest_free(&read);
}

static struct manifest manifest_of(size_t count, const uint64_t *row_changes)
{
	struct manifest m = {0};
	for (size_t i = 0; i < count; i++)
		manifest_add(&m, &(struct manifest_transaction){.seq = 100 + i, .row_changes = row_changes[i]});
	return m;
}

/* Row changes are dealt out in the order of the log; one row too many for a transaction is its neighbour's row under
 * the wrong GTID. */
static void test_reader_deals_out_rows(void **state)
{
	(void)state;
	static const uint64_t counts[] = {2, 1, 3};
	static const uint64_t expected[] = {100, 100, 101, 102, 102, 102};
	struct manifest m = manifest_of(3, counts);
	struct manifest_reader reader;
	manifest_reader_start(&reader, &m);
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		assert_false(manifest_reader_done(&reader));
		const struct manifest_transaction *t = manifest_reader_take(&reader);
		assert_non_null(t);
		assert_int_equal(t->seq, expected[i]);
		assert_int_equal(reader.taken, i == 1 ? 2 : i == 2 ? 1 : i < 2 ? i + 1 : i - 2);
	}
	assert_true(manifest_reader_done(&reader));
	/* more rows than the manifest knows of: said, not guessed */
	assert_null(manifest_reader_take(&reader));
	assert_null(manifest_reader_take(&reader));
	assert_true(manifest_reader_done(&reader));
	manifest_reader_start(&reader, &m);
	assert_int_equal(manifest_reader_take(&reader)->seq, 100);
	manifest_free(&m);
}

/* A transaction may have no row change (what it wrote isn't replicated): the next one's row is not its own, and nothing is missing
 * when it is the last. */
static void test_reader_passes_by_transactions_without_rows(void **state)
{
	(void)state;
	static const uint64_t counts[] = {0, 1, 0, 0, 1, 0};
	struct manifest m = manifest_of(6, counts);
	struct manifest_reader reader;
	manifest_reader_start(&reader, &m);
	assert_int_equal(manifest_reader_take(&reader)->seq, 101);
	assert_false(manifest_reader_done(&reader));
	assert_int_equal(manifest_reader_take(&reader)->seq, 104);
	assert_true(manifest_reader_done(&reader));
	assert_null(manifest_reader_take(&reader));
	manifest_free(&m);
}

/* The last transaction of a batch may have been sent before it was read to its end: whatever is left is its own. */
static void test_reader_gives_the_last_all_the_rest(void **state)
{
	(void)state;
	static const uint64_t counts[] = {1, MANIFEST_ALL_THE_REST};
	struct manifest m = manifest_of(2, counts);
	struct manifest_reader reader;
	manifest_reader_start(&reader, &m);
	assert_int_equal(manifest_reader_take(&reader)->seq, 100);
	for (uint64_t i = 1; i <= 1000; i++) {
		assert_int_equal(manifest_reader_take(&reader)->seq, 101);
		assert_int_equal(reader.taken, i);
		assert_true(manifest_reader_done(&reader));
	}
	manifest_free(&m);
}

/* ---- row keys ---- */

static const struct made_table people = {
    .id = 18,
    .database = "gates",
    .name = "people",
    .column_count = 3,
    .columns = {{COLUMN_LONG, 0, "id"}, {COLUMN_VARCHAR, 40, "first"}, {COLUMN_VARCHAR, 400, "last"}},
    .key_count = 1,
    .key = {0},
};

static struct table_map parse_table(const struct made_table *t)
{
	struct buf bytes = make_table_map(t);
	struct event event = parse_made(&bytes);
	struct table_map map;
	struct err err;
	if (table_map_parse(&event, &map, &err) != ERR_OK)
		fail_msg("%s", err.message);
	buf_free(&bytes);
	return map;
}

/* ('a','bc') and ('ab','c') are two rows: were their bytes run together, writers of one would be told of conflicts
 * with the other. */
static void test_fields_do_not_run_together(void **state)
{
	(void)state;
	static const uint32_t columns[] = {0, 1};
	static const struct merge_table t = {.id = 1, .column_count = 2, .key = {.count = 2, .columns = columns}};
	static const char *const rows[][2] = {{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"bc", "a"}, {"", ""}};
	enum { COUNT = sizeof rows / sizeof *rows };
	uint64_t keys[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		struct content values[2];
		for (size_t c = 0; c < 2; c++)
			values[c] = (struct content){.bytes = (const uint8_t *)rows[i][c], .size = (uint32_t)strlen(rows[i][c])};
		keys[i] = merge_row_key(&t, values);
		for (size_t j = 0; j < i; j++)
			if (keys[i] == keys[j])
				fail_msg("rows %zu and %zu have one key", j, i);
	}
}

/* Row 1 of one table is not row 1 of the next; nor is a.bc ab.c. */
static void test_tables_do_not_collide(void **state)
{
	(void)state;
	static const char *const names[][2] = {{"gates", "people"}, {"gates", "people2"}, {"gates2", "people"},
	                                       {"a", "bc"},         {"ab", "c"},          {"people", "gates"},
	                                       {"gates", "People"}, {"", "gatespeople"},  {"gatespeople", ""}};
	enum { COUNT = sizeof names / sizeof *names };
	uint64_t keys[COUNT], hashes[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		struct made_table t = people;
		t.database = names[i][0];
		t.name = names[i][1];
		struct table_map map = parse_table(&t);
		keys[i] = rowkey_table(&map);
		hashes[i] = rowkey_columns(&map);
		table_map_free(&map);
		for (size_t j = 0; j < i; j++)
			assert_true(keys[i] != keys[j] && hashes[i] != hashes[j]);
	}
}

/* Whether a table here has the columns of the table there is decided by this value: columns swapped, renamed, left
 * out or with names that run together must differ, or rows are put into the wrong columns. */
static void test_columns(void **state)
{
	(void)state;
	struct made_table variants[7];
	uint64_t hashes[7];
	for (size_t i = 0; i < 7; i++)
		variants[i] = people;
	variants[1].column_count = 2;
	variants[2].columns[1].name = "last";
	variants[2].columns[2].name = "first";
	variants[3].columns[2].name = "lasT";
	variants[4].columns[0].name = "idf";
	variants[4].columns[1].name = "irst";
	variants[5].name = "crowd";
	variants[6].columns[2].name = "lastx";
	for (size_t i = 0; i < 7; i++) {
		struct table_map map = parse_table(&variants[i]);
		hashes[i] = rowkey_columns(&map);
		table_map_free(&map);
		for (size_t j = 0; j < i; j++)
			assert_true(hashes[i] != hashes[j]);
	}
	/* The same in another log, under another number and with another key. */
	struct made_table there = people;
	there.id = 99;
	there.key_count = 0;
	struct table_map map = parse_table(&there);
	assert_true(rowkey_columns(&map) == hashes[0]);
	table_map_free(&map);
	/* A column widened in a session that doesn't log: what was found out about the old type is not true of it. */
	map = parse_table(&people);
	map.columns[1].metadata++;
	assert_true(rowkey_columns(&map) != hashes[0]);
	table_map_free(&map);
	/* A table map without names is not that of any table with names. */
	map = parse_table(&people);
	for (uint32_t i = 0; i < map.column_count; i++)
		map.columns[i].name = NULL;
	assert_true(rowkey_columns(&map) != hashes[0]);
	table_map_free(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_write_conflicts_with_what_it_had_not_seen),
	    cmocka_unit_test(test_settling),
	    cmocka_unit_test(test_too_many_domains),
	    cmocka_unit_test(test_window_does_as_the_model),
	    cmocka_unit_test(test_a_million_rows),
	    cmocka_unit_test(test_a_steady_stream_stays_small),
	    cmocka_unit_test(test_manifest_round_trip),
	    cmocka_unit_test(test_manifest_with_a_clock_that_jumps),
	    cmocka_unit_test(test_every_truncation_of_a_manifest),
	    cmocka_unit_test(test_hostile_manifests),
	    cmocka_unit_test(test_reader_deals_out_rows),
	    cmocka_unit_test(test_reader_passes_by_transactions_without_rows),
	    cmocka_unit_test(test_reader_gives_the_last_all_the_rest),
	    cmocka_unit_test(test_fields_do_not_run_together),
	    cmocka_unit_test(test_tables_do_not_collide),
	    cmocka_unit_test(test_columns),
	};
	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
