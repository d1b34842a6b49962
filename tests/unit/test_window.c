/* src/merge/window as a store: the writes of a row come back as they were given, in the order of the log.
 *
 * A conflict is decided from what the window gives back. A write that is missing there loses without a record, one that
 * is there twice or out of order makes a node show other rows than its peers, and a window that grows in memory ends
 * the daemon on the day after a peer's long absence. That its keys are found is in test_merge.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "merge/window.h"
#include "merge/window_data.h"

/* TSan is slow, and this has one thread. */
#ifdef __SANITIZE_THREAD__
enum { LESS = 5 };
#else
enum { LESS = 1 };
#endif

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

/* Keys are hashes. */
static uint64_t key_of(uint64_t n)
{
	return next_random(&n);
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

static struct gtid gtid_of(const char *text)
{
	struct gtid gtid;
	assert_int_equal(gtid_parse(text, &gtid, NULL), ERR_OK);
	return gtid;
}

/* ---- A disk that checks what is asked of it, and can be full ---- */

struct disk {
	struct buf bytes; /* at their offsets */
	size_t start;     /* the first offset that was written */
	size_t dropped, clears, writes, largest_held;
	size_t room; /* SIZE_MAX: endless */
	bool unreadable;
};

static bool disk_read(void *context, uint64_t offset, void *to, size_t size)
{
	const struct disk *d = context;
	assert_true(offset >= d->dropped && offset >= d->start);
	assert_true(offset <= d->bytes.size && size <= d->bytes.size - offset);
	errno = EIO;
	if (!d->unreadable)
		memcpy(to, d->bytes.data + offset, size);
	return !d->unreadable;
}

static bool disk_write(void *context, uint64_t offset, const void *from, size_t size)
{
	struct disk *d = context;
	assert_int_not_equal(offset, 0);
	assert_true(offset >= d->dropped);
	d->writes++;
	if (d->bytes.size == 0) {
		d->start = (size_t)offset;
		memset(buf_reserve(&d->bytes, (size_t)offset), 0, (size_t)offset);
		d->bytes.size = (size_t)offset;
	}
	assert_true(offset >= d->start && offset <= d->bytes.size); /* no gaps */
	size_t end = (size_t)offset + size;
	errno = ENOSPC;
	if (end > d->room)
		return false;
	if (end > d->bytes.size) {
		buf_reserve(&d->bytes, end - d->bytes.size);
		d->bytes.size = end;
	}
	memcpy(d->bytes.data + offset, from, size);
	if (d->bytes.size - d->dropped > d->largest_held)
		d->largest_held = d->bytes.size - d->dropped;
	return true;
}

static void disk_drop(void *context, uint64_t upto)
{
	struct disk *d = context;
	if (upto == WINDOW_DROP_ALL) {
		buf_clear(&d->bytes);
		d->dropped = d->start = 0;
		d->clears++;
		return;
	}
	assert_true(upto >= d->dropped && upto <= d->bytes.size);
	memset(d->bytes.data + d->dropped, 0xdd, (size_t)upto - d->dropped);
	d->dropped = (size_t)upto;
}

static struct window *window_on(struct disk *disk)
{
	*disk = (struct disk){.room = SIZE_MAX};
	return window_new(&(struct window_memory){
	    .read = disk_read, .write = disk_write, .drop = disk_drop, .context = disk, .where = "/the/disk"});
}

static void done(struct window *w, struct disk *disk)
{
	window_free(w);
	buf_free(&disk->bytes);
}

/* ---- Writing and reading by text ---- */

static void begin(struct window *w, const char *gtid, uint32_t time, const char *context)
{
	struct vector vector = vector_of(context);
	struct window_transaction transaction = {.gtid = gtid_of(gtid), .time = time, .context = &vector};
	assert_int_equal(window_begin(w, &transaction, NULL), ERR_OK);
	memset(&vector, 0xff, sizeof vector); /* borrowed for the call only */
}

static void add(struct window *w, const char *record, size_t key_count, const uint64_t *keys)
{
	struct err err;
	assert_int_equal(window_add(w, keys, key_count, (const uint8_t *)record, strlen(record), &err), ERR_OK);
}
#define ADD(w, record, ...)                                                                                            \
	add(w, record, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (const uint64_t[]){__VA_ARGS__})

static void settle(struct window *w, const char *everywhere)
{
	struct vector vector = vector_of(everywhere);
	window_settle(w, &vector);
}

/* "1-1-10:text 2-2-3:text": borrowed until the next call. */
static const char *loaded(struct window *w, uint64_t key)
{
	static char text[4096];
	char gtid[GTID_TEXT_MAX];
	struct window_chain chain = {0};
	struct window_record record = {0};
	size_t size = 0;
	text[0] = '\0';
	assert_int_equal(window_load(w, key, &chain, NULL), ERR_OK);
	for (size_t i = 0; i < chain.count; i++) {
		assert_int_equal(window_read(w, chain.offsets[i], &record, NULL), ERR_OK);
		size +=
		    (size_t)snprintf(text + size, sizeof text - size, "%s%s:%.*s", i ? " " : "",
		                     gtid_format(&record.gtid, gtid), (int)record.bytes.size, (const char *)record.bytes.data);
		assert_true(size < sizeof text);
	}
	window_chain_free(&chain);
	window_record_free(&record);
	return text;
}

static bool is_found(const struct window *w, uint64_t key, uint32_t origin, const char *context)
{
	struct vector vector = vector_of(context);
	struct gtid gtid;
	return window_find(w, key, origin, &vector, &gtid);
}

/* ---- Tests ---- */

/* Three nodes wrote rows that share a unique value (key 50). Whoever decides needs all of them, in the order in which
 * this node's log has them, each with its transaction; in another order the loser wins. */
static void test_a_key_gives_back_its_writes_in_the_logs_order(void **state)
{
	(void)state;
	struct window *w = window_new(NULL);
	begin(w, "2-2-7", 1000, "1-1-3");
	ADD(w, "b1", 20, 50);
	ADD(w, "b2", 21);
	begin(w, "1-1-10", 1001, "");
	ADD(w, "a1", 10, 50);
	begin(w, "3-33-1", 1002, "1-1-10,2-2-7");
	ADD(w, "c1", 50, 30, 50, 50); /* its key more than once */
	ADD(w, "", 20, 99);           /* that it was written, and no more */
	begin(w, "2-2-8", 1003, "");
	ADD(w, "b3", 50, 20);
	window_end(w);
	assert_string_equal(loaded(w, 50), "2-2-7:b1 1-1-10:a1 3-33-1:c1 2-2-8:b3");
	assert_string_equal(loaded(w, 20), "2-2-7:b1 2-2-8:b3");
	assert_string_equal(loaded(w, 21), "2-2-7:b2");
	assert_string_equal(loaded(w, 99), "");
	assert_string_equal(loaded(w, 51), "");
	assert_true(is_found(w, 20, 2, ""));
	assert_true(is_found(w, 99, 1, ""));

	/* One write is one record, under whichever key it was found, with all that was told of its transaction. */
	struct window_chain by_row = {0}, by_value = {0};
	struct window_record record = {0};
	assert_int_equal(window_load(w, 30, &by_row, NULL), ERR_OK);
	assert_int_equal(window_load(w, 50, &by_value, NULL), ERR_OK);
	assert_int_equal(by_row.count, 1);
	assert_int_equal(by_row.offsets[0], by_value.offsets[2]);
	assert_int_equal(window_read(w, by_row.offsets[0], &record, NULL), ERR_OK);
	struct vector context = vector_of("1-1-10,2-2-7");
	assert_int_equal(record.time, 1002);
	assert_true(vector_equal(&record.context, &context));
	assert_int_equal(record.gtid.server, 33);
	assert_int_equal(window_read(w, by_value.offsets[0], &record, NULL), ERR_OK);
	context = vector_of("1-1-3");
	assert_true(vector_equal(&record.context, &context));
	window_chain_free(&by_row);
	window_chain_free(&by_value);
	window_record_free(&record);
	window_free(w);
}

/* Node 3 has been away for a week, so node 1's writes stay while node 2's, between them, are settled again and again.
 * Those must not come back into a decision that every other node made without them, and the room of what is settled
 * must come back to the disk. */
static void test_settling_one_domain_of_several(void **state)
{
	(void)state;
	enum { ROUNDS = 3000 };
	struct disk disk;
	struct window *w = window_on(&disk);
	char gtid[GTID_TEXT_MAX], everywhere[100];
	for (int i = 1; i <= ROUNDS; i++) {
		for (unsigned domain = 1; domain <= 2; domain++) {
			snprintf(gtid, sizeof gtid, "%u-%u-%d", domain, domain, i);
			begin(w, gtid, 0, "");
			ADD(w, "a record of some size, so that it doesn't all fit into the buffer", 7, 1000 + (uint64_t)i);
		}
		window_end(w);
	}
	/* What is settled behind something that isn't. */
	settle(w, "2-2-2999");
	assert_string_equal(loaded(w, 1000 + 2999),
	                    "1-1-2999:a record of some size, so that it doesn't all fit into the buffer");
	struct window_chain chain = {0};
	assert_int_equal(window_load(w, 7, &chain, NULL), ERR_OK);
	assert_int_equal(chain.count, ROUNDS + 1);
	assert_int_equal(disk.dropped, 0);
	/* The first unsettled transaction moves on: all before it goes. */
	for (int i = 0; i < ROUNDS; i += 500) {
		snprintf(everywhere, sizeof everywhere, "1-1-%d,2-2-2999", i);
		settle(w, everywhere);
		assert_int_equal(window_load(w, 7, &chain, NULL), ERR_OK);
		assert_int_equal(chain.count, ROUNDS + 1 - i);
		/* All but the buffer is on the disk, and all that is settled is dropped. */
		if (i > 0 && i <= 2000)
			assert_in_range(disk.dropped, disk.bytes.size * (size_t)(i - 100) / ROUNDS,
			                (disk.bytes.size + 65536) * (size_t)(i + 100) / ROUNDS);
	}
	window_chain_free(&chain);
	assert_int_equal(disk.clears, 0);
	settle(w, "1-1-3000,2-2-3000");
	assert_int_equal(disk.clears, 1);
	assert_int_equal(window_count(w), 0);
	assert_string_equal(loaded(w, 7), "");
	/* From the start again. */
	begin(w, "1-1-3001", 0, "");
	ADD(w, "new", 7);
	assert_string_equal(loaded(w, 7), "1-1-3001:new");
	done(w, &disk);
}

/* Peers are quick: everything is settled while a large transaction is still being read, and its next rows must find its
 * domain and its entry, though both were just cleared. */
static void test_all_is_settled_within_a_transaction(void **state)
{
	(void)state;
	struct disk disk;
	struct window *w = window_on(&disk);
	begin(w, "5-5-1", 0, "");
	ADD(w, "old", 1);
	begin(w, "1-1-1", 9, "5-5-1");
	settle(w, "5-5-1");
	assert_int_equal(window_count(w), 0);
	ADD(w, "new", 1, 2);
	assert_string_equal(loaded(w, 1), "1-1-1:new");
	assert_true(is_found(w, 2, 5, ""));
	begin(w, "5-5-2", 0, "");
	ADD(w, "newer", 1);
	assert_string_equal(loaded(w, 1), "1-1-1:new 5-5-2:newer");
	/* Only the transaction at hand is settled: the rest of it isn't taken in. */
	settle(w, "5-5-2");
	ADD(w, "late", 1);
	assert_string_equal(loaded(w, 1), "1-1-1:new");
	/* Everything but what was merely written: no record is kept, what follows is. */
	ADD(w, "", 3);
	begin(w, "6-6-1", 0, "");
	ADD(w, "", 4);
	settle(w, "1-1-1,5-5-2");
	assert_string_equal(loaded(w, 1), "");
	begin(w, "6-6-2", 0, "");
	ADD(w, "last", 1, 4);
	assert_string_equal(loaded(w, 1), "6-6-2:last");
	assert_string_equal(loaded(w, 4), "6-6-2:last");
	done(w, &disk);
}

/* All records are settled, but not that a key was written, so nothing is cleared: what comes next must not be hung onto
 * an entry whose room the disk has got back. */
static void test_the_last_transaction_is_dropped(void **state)
{
	(void)state;
	struct disk disk;
	struct window *w = window_on(&disk);
	struct window_record record = {0};
	struct window_chain chain = {0};
	static const uint8_t large[100000] = {7};
	const uint64_t key = 1;
	begin(w, "2-2-1", 0, "");
	ADD(w, "", 2);
	begin(w, "1-1-1", 0, "");
	assert_int_equal(window_add(w, &key, 1, large, sizeof large, NULL), ERR_OK);
	settle(w, "1-1-1");
	assert_true(disk.dropped > sizeof large);
	begin(w, "1-1-2", 0, "");
	ADD(w, "next", 1);
	assert_string_equal(loaded(w, 1), "1-1-2:next");
	/* A peer that was made anew knows less than before, and the transaction that was dropped goes on. */
	settle(w, "1-1-2");
	settle(w, "");
	ADD(w, "more", 1);
	assert_int_equal(window_load(w, 1, &chain, NULL), ERR_OK);
	assert_int_equal(chain.count, 1);
	assert_int_equal(window_read(w, chain.offsets[0], &record, NULL), ERR_OK);
	assert_memory_equal(record.bytes.data, "more", 4);
	/* Cleared while another transaction was in front. */
	settle(w, "1-1-1");
	window_clear(w);
	begin(w, "3-3-1", 0, "");
	assert_int_equal(window_add(w, &key, 1, large, sizeof large, NULL), ERR_OK);
	begin(w, "2-2-2", 0, "");
	ADD(w, "kept", 1);
	settle(w, "3-3-1");
	assert_true(disk.dropped > sizeof large);
	assert_string_equal(loaded(w, 1), "2-2-2:kept");
	window_chain_free(&chain);
	window_record_free(&record);
	done(w, &disk);
}

/* The index is built anew as it grows, and then leaves out what is settled: a place that loses its offset there is a
 * row whose writes are gone. */
static void test_a_growing_index_keeps_the_chains(void **state)
{
	(void)state;
	enum { KEYS = 20000, ROUNDS = 4 };
	struct disk disk;
	struct window *w = window_on(&disk);
	char gtid[GTID_TEXT_MAX], record[40], expected[200];
	for (int round = 1; round <= ROUNDS; round++) {
		snprintf(gtid, sizeof gtid, "%d-1-%d", 1 + round % 2, round);
		begin(w, gtid, 0, "");
		if (round == 4) /* rounds 1 and 3 are domain 2's */
			settle(w, "2-1-1");
		for (uint64_t key = 0; key < KEYS; key++) {
			snprintf(record, sizeof record, "%llu.%d", (unsigned long long)key, round);
			ADD(w, record, key_of(key), key_of(key + KEYS), key_of(key + KEYS * (uint64_t)(round + 1)));
		}
	}
	for (uint64_t key = 1; key < KEYS; key++) {
		unsigned long long k = key;
		snprintf(expected, sizeof expected, "1-1-2:%llu.2 2-1-3:%llu.3 1-1-4:%llu.4", k, k, k);
		assert_string_equal(loaded(w, key_of(key)), expected);
		assert_string_equal(loaded(w, key_of(key + KEYS)), expected);
	}
	done(w, &disk);
}

static void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(seed * 131 + i * 7 + i / 251);
}

/* A record lies partly in the file and partly in what isn't written yet, a large one passes by the buffer, a row has
 * more keys than are read at once: an image with a few wrong bytes is a row with wrong values on one node. */
static void test_records_of_every_size_come_back(void **state)
{
	(void)state;
	static const size_t sizes[] = {1,     16383, 16384, 16385, 3,     65535, 65536, 65537, 100, 16000,  16000,
	                               16000, 16000, 30000, 5,     16383, 16383, 16383, 16383, 200, 1000000};
	enum { COUNT = sizeof sizes / sizeof sizes[0], KEYS = 300 };
	static uint8_t bytes[1000000];
	struct disk disk;
	struct window *w = window_on(&disk);
	struct window_chain chain = {0};
	struct window_record record = {0};
	uint64_t keys[KEYS], offsets[COUNT * 40];
	for (size_t n = 0; n < COUNT * 40; n++) {
		size_t size = sizes[n % COUNT] - (n / COUNT < sizes[n % COUNT] ? n / COUNT : 0);
		size_t key_count = n % 7 == 0 ? KEYS : 1 + n % 20;
		struct window_transaction t = {.gtid = {.domain = 1, .server = 1, .seq = n + 1}};
		for (size_t k = 0; k < key_count; k++)
			keys[k] = k == key_count - 1 ? 1 : 1000 * n + k + 2;
		fill(bytes, size, n);
		assert_int_equal(window_begin(w, &t, NULL), ERR_OK);
		assert_int_equal(window_add(w, keys, key_count, bytes, size, NULL), ERR_OK);
		assert_int_equal(window_load(w, keys[0], &chain, NULL), ERR_OK);
		offsets[n] = chain.offsets[chain.count - 1];
		if (size >= 16384) /* no buffer grew for it */
			assert_true(disk.bytes.size >= offsets[n] + size);
		/* This one, and the five before. */
		for (size_t back = 0; back <= 5 && back <= n; back++) {
			size_t m = n - back, expected = sizes[m % COUNT] - (m / COUNT < sizes[m % COUNT] ? m / COUNT : 0);
			assert_int_equal(window_read(w, offsets[m], &record, NULL), ERR_OK);
			assert_int_equal(record.gtid.seq, m + 1);
			assert_int_equal(record.bytes.size, expected);
			fill(bytes, expected, m);
			assert_memory_equal(record.bytes.data, bytes, expected);
		}
	}
	assert_int_equal(window_load(w, 1, &chain, NULL), ERR_OK);
	assert_int_equal(chain.count, COUNT * 40);
	assert_memory_equal(chain.offsets, offsets, sizeof offsets);
	window_chain_free(&chain);
	window_record_free(&record);
	done(w, &disk);
}

/* The disk is full. Going on as if the write were kept would lose it in the next conflict, in silence; the message is
 * what the operator has. Once the owner has cleared the window it takes everything again. */
static void test_a_full_disk_is_an_error(void **state)
{
	(void)state;
	struct disk disk;
	struct window *w = window_on(&disk);
	struct window_chain chain = {0};
	struct err err = {0};
	const uint8_t bytes[1000] = {1};
	enum err_code code = ERR_OK;
	uint64_t key = 0;
	disk.room = 200000;
	begin(w, "1-1-1", 0, "");
	while (code == ERR_OK && key < 1000) {
		key++;
		code = window_add(w, &key, 1, bytes, sizeof bytes, &err);
	}
	assert_int_equal(code, ERR_IO);
	assert_int_equal(err.code, ERR_IO);
	assert_in_range(key, 150, 300);
	assert_non_null(strstr(err.message, "/the/disk"));
	assert_non_null(strstr(err.message, strerror(ENOSPC)));
	assert_non_null(strstr(err.message, "make room"));
	/* There is room again, but what is between is lost. */
	disk.room = SIZE_MAX;
	err.message[0] = '\0';
	assert_int_equal(window_add(w, &key, 1, bytes, sizeof bytes, &err), ERR_IO);
	assert_int_equal(window_add(w, &key, 1, NULL, 0, &err), ERR_IO);
	assert_int_equal(window_load(w, 1, &chain, &err), ERR_IO);
	assert_int_equal(window_load(w, 123456789, &chain, &err), ERR_IO);
	assert_int_equal(window_rewind(w, &err), ERR_IO);
	assert_non_null(strstr(err.message, strerror(ENOSPC)));
	assert_true(is_found(w, 1, 2, ""));
	/* Not even when all is settled does it pass over what it refused. */
	settle(w, "1-1-1");
	begin(w, "1-1-2", 0, "");
	assert_int_equal(window_add(w, &key, 1, bytes, sizeof bytes, &err), ERR_IO);
	window_clear(w);
	settle(w, "");
	begin(w, "1-1-1", 0, "");
	for (key = 1; key <= 300; key++)
		assert_int_equal(window_add(w, &key, 1, bytes, sizeof bytes, &err), ERR_OK);
	assert_int_equal(window_load(w, 1, &chain, &err), ERR_OK);
	assert_int_equal(chain.count, 1);
	/* What can't be read is an error, too, and no empty answer. */
	struct window_record record = {0};
	disk.unreadable = true;
	assert_int_equal(window_load(w, 150, &chain, &err), ERR_IO);
	assert_non_null(strstr(err.message, "/the/disk"));
	settle(w, "2-2-2");
	disk.unreadable = false;
	assert_int_equal(window_load(w, 150, &chain, &err), ERR_OK);
	assert_int_equal(window_read(w, chain.offsets[0], &record, &err), ERR_OK);
	assert_memory_equal(record.bytes.data, bytes, sizeof bytes);
	window_chain_free(&chain);
	window_record_free(&record);
	done(w, &disk);
}

/* The server is restarted while its log is read, in the middle of a group, and the group is read again from its start:
 * with its rows in the window twice, an update that undoes another would be applied to the wrong version. */
static void test_a_group_that_is_read_again(void **state)
{
	(void)state;
	struct disk disk;
	struct window *w = window_on(&disk);
	begin(w, "1-1-1", 0, "");
	ADD(w, "first", 1, 2);
	window_end(w);
	for (int cut = 0; cut < 3; cut++) {
		begin(w, "2-2-5", 0, "1-1-1");
		ADD(w, "x", 1, 3);
		ADD(w, "y", 1, 2);
		begin(w, "2-2-6", 0, "1-1-1");
		ADD(w, "z", 1, 3, 4);
		assert_string_equal(loaded(w, 1), "1-1-1:first 2-2-5:x 2-2-5:y 2-2-6:z");
		assert_int_equal(window_rewind(w, NULL), ERR_OK);
		assert_int_equal(window_rewind(w, NULL), ERR_OK);
		assert_string_equal(loaded(w, 1), "1-1-1:first");
		assert_string_equal(loaded(w, 2), "1-1-1:first");
		assert_string_equal(loaded(w, 3), "");
		assert_true(is_found(w, 3, 1, ""));
	}
	begin(w, "2-2-5", 0, "1-1-1");
	ADD(w, "x", 1, 3);
	window_end(w);
	assert_int_equal(window_rewind(w, NULL), ERR_OK);
	assert_string_equal(loaded(w, 1), "1-1-1:first 2-2-5:x");
	/* Settled in between, in part and altogether. */
	begin(w, "2-2-6", 0, "1-1-1");
	ADD(w, "z", 1, 4);
	begin(w, "2-2-7", 0, "1-1-1");
	ADD(w, "u", 1);
	settle(w, "1-1-1,2-2-6");
	assert_int_equal(window_rewind(w, NULL), ERR_OK);
	assert_string_equal(loaded(w, 1), "");
	begin(w, "2-2-7", 0, "1-1-1");
	ADD(w, "u", 1);
	assert_string_equal(loaded(w, 1), "2-2-7:u");
	window_end(w);
	settle(w, "1-1-1,2-2-7"); /* all is gone, and what was complete with it */
	begin(w, "2-2-8", 0, "");
	ADD(w, "v", 1);
	assert_string_equal(loaded(w, 1), "2-2-8:v");
	assert_int_equal(window_rewind(w, NULL), ERR_OK);
	assert_string_equal(loaded(w, 1), "");
	done(w, &disk);
}

/* An offset that was kept too long must be an error and not a crash, wherever it points. */
static void test_an_offset_that_is_none(void **state)
{
	(void)state;
	struct disk disk;
	struct window *w = window_on(&disk);
	struct window_record record = {0};
	size_t good = 0;
	char gtid[GTID_TEXT_MAX];
	assert_int_equal(window_read(w, 0, &record, NULL), ERR_MALFORMED);
	assert_int_equal(window_read(w, 16, &record, NULL), ERR_MALFORMED);
	for (unsigned seq = 1; seq <= 1000; seq++) {
		snprintf(gtid, sizeof gtid, "1-1-%u", seq);
		begin(w, gtid, 0, "1-1-1,2-2-2");
		ADD(w, "RRRRTTTTRRRRTTTTRRRRTTTTRRRRTTTTRRRRTTTT", 1, 2, 3);
	}
	for (uint64_t offset = 0; offset < 200000; offset++)
		good += window_read(w, offset, &record, NULL) == ERR_OK;
	assert_int_equal(window_read(w, UINT64_MAX, &record, NULL), ERR_MALFORMED);
	assert_int_equal(good, 1000);
	settle(w, "1-1-500");
	good = 0;
	for (uint64_t offset = 0; offset < 200000; offset++)
		good += window_read(w, offset, &record, NULL) == ERR_OK;
	assert_int_equal(good, 500);
	window_record_free(&record);
	done(w, &disk);
}

/* A counter that every transaction adds to, while a peer is away. To look it up must not become slower, for that is
 * done for each row that comes in; and its writes are still all there. The limits are far above what it takes, and far
 * below going through all of them each time. */
static void test_a_row_that_is_written_very_often(void **state)
{
	(void)state;
	enum { WRITES = 200000 };
	struct disk disk;
	struct window *w = window_on(&disk);
	struct vector none = {0};
	struct window_chain chain = {0};
	struct gtid gtid;
	const uint64_t key = 42;
	for (uint64_t seq = 1; seq <= WRITES; seq++) {
		struct window_transaction t = {.gtid = {.domain = 1, .server = 1, .seq = seq}};
		assert_int_equal(window_begin(w, &t, NULL), ERR_OK);
		assert_int_equal(window_add(w, &key, 1, (const uint8_t *)&seq, sizeof seq, NULL), ERR_OK);
	}
	int64_t started = clock_monotonic_ms();
	for (uint64_t i = 0; i < WRITES; i++)
		assert_true(window_find(w, key, 2, &none, &gtid) && gtid.seq == WRITES);
	assert_true(clock_monotonic_ms() - started < 60000);
	assert_int_equal(window_count(w), 1);
	assert_int_equal(window_load(w, key, &chain, NULL), ERR_OK);
	assert_int_equal(chain.count, WRITES);
	size_t descending = 0;
	for (size_t i = 1; i < chain.count; i++)
		descending += chain.offsets[i - 1] >= chain.offsets[i];
	assert_int_equal(descending, 0);
	window_chain_free(&chain);
	done(w, &disk);
}

/* A million rows, and then the peer comes back and has them step by step: each is as it was written, and what the disk
 * holds goes with what is left. */
static void test_a_million_records(void **state)
{
	(void)state;
	enum { RECORDS = 1000000 / LESS, STEP = 50000 };
	struct disk disk;
	struct window *w = window_on(&disk);
	struct window_chain chain = {0};
	struct window_record record = {0};
	for (uint64_t seq = 1; seq <= RECORDS; seq++) {
		struct window_transaction t = {.gtid = {.domain = 1, .server = 1, .seq = seq}, .time = (uint32_t)seq};
		uint64_t key = key_of(seq);
		if (window_begin(w, &t, NULL) != ERR_OK ||
		    window_add(w, &key, 1, (const uint8_t *)&seq, sizeof seq, NULL) != ERR_OK)
			fail();
	}
	window_end(w);
	/* In pieces of the buffer's size, now and then a transaction's pointer to the next. */
	assert_true(disk.writes < 2 * disk.bytes.size / 60000);
	for (uint64_t settled = 0; settled < RECORDS; settled += STEP) {
		struct vector everywhere = {.count = 1, .gtids = {{.domain = 1, .server = 1, .seq = settled}}};
		for (int part = 0; settled > 0 && part <= STEP / WINDOW_SETTLE_AT_ONCE; part++)
			window_settle(w, &everywhere);
		for (uint64_t seq = 1; seq <= RECORDS; seq += 997) {
			assert_int_equal(window_load(w, key_of(seq), &chain, NULL), ERR_OK);
			assert_int_equal(chain.count, seq > settled);
			if (chain.count == 0)
				continue;
			assert_int_equal(window_read(w, chain.offsets[0], &record, NULL), ERR_OK);
			assert_int_equal(record.time, seq);
			assert_memory_equal(record.bytes.data, &seq, sizeof seq);
		}
		size_t left = (size_t)((double)disk.bytes.size * (double)(RECORDS - settled) / RECORDS);
		assert_in_range(disk.bytes.size - disk.dropped, left > 65536 ? left - 65536 : 0, left + 65536);
	}
	struct vector all = {.count = 1, .gtids = {{.domain = 1, .server = 1, .seq = RECORDS}}};
	window_settle(w, &all);
	assert_int_equal(disk.bytes.size, 0);
	window_chain_free(&chain);
	window_record_free(&record);
	done(w, &disk);
}

/* Ranges that lie on both sides of what is written, in what is read and in what is changed: an entry's bytes from the
 * wrong side are another row's. */
static void test_bytes_on_both_sides_of_the_buffer(void **state)
{
	(void)state;
	enum { STEPS = 6000 };
	uint64_t seed = fresh_seed("bytes");
	for (int on_heap = 0; on_heap < 2; on_heap++) {
		struct disk disk = {.room = SIZE_MAX};
		struct window_memory memory = {.read = disk_read, .write = disk_write, .drop = disk_drop, .context = &disk};
		struct window_data data;
		struct buf model = {0}, read = {0};
		uint8_t bytes[30000];
		size_t dropped = WINDOW_DATA_START, straddled = 0;
		memset(buf_reserve(&model, WINDOW_DATA_START), 0, WINDOW_DATA_START);
		model.size = WINDOW_DATA_START;
		window_data_init(&data, on_heap ? NULL : &memory);
		for (int step = 0; step < STEPS; step++) {
			size_t size = below(&seed, 20) ? below(&seed, 500) : below(&seed, sizeof bytes);
			fill(bytes, size, next_random(&seed));
			assert_int_equal(window_data_append(&data, bytes, size, NULL), ERR_OK);
			buf_append(&model, bytes, size);
			assert_int_equal(window_data_end(&data), model.size);
			size_t left = model.size - dropped < 100000 ? model.size - dropped : 100000;
			size_t from = model.size - below(&seed, left + 1);
			size = below(&seed, model.size - from + 1);
			straddled += from < data.written && from + size > data.written;
			if (size < sizeof bytes && below(&seed, 4) == 0) {
				fill(bytes, size, next_random(&seed));
				assert_int_equal(window_data_change(&data, from, bytes, size, NULL), ERR_OK);
				if (size > 0)
					memcpy(model.data + from, bytes, size);
			}
			/* Once it could not be read. */
			disk.unreadable = below(&seed, 5) == 0;
			enum err_code code = window_data_read(&data, from, buf_reserve(&read, size), size, NULL);
			disk.unreadable = false;
			if (code != ERR_OK)
				assert_int_equal(window_data_read(&data, from, read.data, size, NULL), ERR_OK);
			assert_memory_equal(read.data, model.data + from, size);
			if (below(&seed, 100) == 0) {
				dropped = model.size - below(&seed, left + 1);
				window_data_drop(&data, dropped);
			}
			if (below(&seed, 500) == 0) {
				window_data_clear(&data);
				model.size = dropped = WINDOW_DATA_START;
			}
		}
		assert_true(straddled > 10);
		/* Others at the same offsets, after all was cleared. */
		for (uint8_t i = 0; i < 3; i++) {
			window_data_clear(&data);
			memset(bytes, i, sizeof bytes);
			assert_int_equal(window_data_append(&data, bytes, sizeof bytes, NULL), ERR_OK);
			assert_int_equal(window_data_read(&data, WINDOW_DATA_START, read.data, 100, NULL), ERR_OK);
			assert_memory_equal(read.data, bytes, 100);
		}
		window_data_done(&data);
		buf_free(&model);
		buf_free(&read);
		buf_free(&disk.bytes);
	}
}

/* A peer comes back with half a million transactions at once. While they go the links wait for the lock, so they go in
 * parts; all of them are settled from the first on. */
static void test_much_is_settled_in_parts(void **state)
{
	(void)state;
	enum { RECORDS = 500000 / LESS };
	struct disk disk;
	struct window *w = window_on(&disk);
	const uint64_t key = 1;
	uint64_t number = 0;
	for (number = 1; number <= RECORDS; number++) {
		struct window_transaction t = {.gtid = {.domain = 1, .server = 1, .seq = number}};
		assert_int_equal(window_begin(w, &t, NULL), ERR_OK);
		assert_int_equal(window_add(w, &key, 1, (const uint8_t *)&number, sizeof number, NULL), ERR_OK);
	}
	size_t all = disk.bytes.size, calls = 0, dropped = 0;
	struct vector everywhere = {.count = 1, .gtids = {{.domain = 1, .server = 1, .seq = RECORDS - 1}}};
	struct window_chain chain = {0};
	do {
		assert_true(calls++ < 100);
		window_settle(w, &everywhere);
		assert_int_equal(window_load(w, key, &chain, NULL), ERR_OK);
		assert_int_equal(chain.count, 1);
		assert_true(disk.dropped - dropped <= all / RECORDS * (WINDOW_SETTLE_AT_ONCE + 1000));
		dropped = disk.dropped;
	} while (dropped < all - 65536);
	assert_in_range(calls, RECORDS / WINDOW_SETTLE_AT_ONCE, RECORDS / WINDOW_SETTLE_AT_ONCE + 1);
	window_chain_free(&chain);
	done(w, &disk);
}

/* ---- Against a model ---- */

enum { MODEL_KEYS = 60, MODEL_DOMAINS = 5, MODEL_RECORDS = 4000, MODEL_RECORD_KEYS = 40, MODEL_RECORD_BYTES = 20000 };

struct model_record {
	struct gtid gtid;
	uint32_t time;
	struct vector context;
	size_t key_count, size;
	uint64_t keys[MODEL_RECORD_KEYS], content;
	bool is_gone; /* rewound */
};

/* All that was written, in order. */
struct model {
	size_t count, ended;
	struct model_record records[MODEL_RECORDS];
	uint64_t heads[MODEL_DOMAINS], ended_heads[MODEL_DOMAINS];
	struct vector everywhere;
};

static uint64_t model_key(uint64_t k)
{
	return k % 3 ? k << 40 | 1023 : k; /* many begin their search in one place */
}

static void model_begin(struct model *m, struct window *w, struct model_record *r, uint64_t *seed)
{
	uint64_t d = below(seed, MODEL_DOMAINS);
	m->heads[d] += 1 + below(seed, 3);
	r->gtid = (struct gtid){.domain = (uint32_t)d + 1, .server = (uint32_t)d + 1, .seq = m->heads[d]};
	r->time = (uint32_t)next_random(seed);
	r->context = (struct vector){.count = 1, .gtids = {{.domain = 9, .server = 8, .seq = 1 + below(seed, 1000)}}};
	struct window_transaction t = {.gtid = r->gtid, .time = r->time, .context = &r->context};
	assert_int_equal(window_begin(w, &t, NULL), ERR_OK);
}

static void model_add(struct model *m, struct window *w, const struct model_record *current, uint64_t *seed)
{
	static uint8_t bytes[MODEL_RECORD_BYTES];
	struct model_record *r = &m->records[m->count++];
	*r = *current;
	r->key_count = 1 + below(seed, below(seed, 10) ? 4 : MODEL_RECORD_KEYS);
	for (size_t i = 0; i < r->key_count; i++)
		r->keys[i] = model_key(below(seed, MODEL_KEYS));
	r->size = below(seed, 50) ? below(seed, 300) : below(seed, sizeof bytes);
	r->content = next_random(seed);
	fill(bytes, r->size, r->content);
	assert_int_equal(window_add(w, r->keys, r->key_count, bytes, r->size, NULL), ERR_OK);
	/* What was settled when it came was not taken in. */
	r->is_gone = vector_has(&m->everywhere, &r->gtid);
}

static void model_settle(struct model *m, struct window *w, uint64_t *seed)
{
	for (uint32_t d = 0; d < MODEL_DOMAINS; d++) {
		uint64_t was = vector_seq(&m->everywhere, d + 1), left = m->heads[d] - was;
		struct gtid gtid = {
		    .domain = d + 1, .server = d + 1, .seq = was + (below(seed, 3) ? below(seed, left + 1) : left)};
		assert_int_equal(vector_advance(&m->everywhere, &gtid, NULL), ERR_OK);
	}
	window_settle(w, &m->everywhere);
}

static void model_rewind(struct model *m, struct window *w)
{
	assert_int_equal(window_rewind(w, NULL), ERR_OK);
	for (size_t i = m->ended; i < m->count; i++)
		m->records[i].is_gone = true;
	m->ended = m->count;
	memcpy(m->heads, m->ended_heads, sizeof m->heads);
	/* What was settled beyond doesn't come again: it would not be taken in. */
	for (size_t d = 0; d < MODEL_DOMAINS; d++)
		if (m->heads[d] < vector_seq(&m->everywhere, (uint32_t)d + 1))
			m->heads[d] = vector_seq(&m->everywhere, (uint32_t)d + 1);
}

static bool model_has(const struct model *m, const struct model_record *r, uint64_t key)
{
	bool has = false;
	for (size_t i = 0; i < r->key_count; i++)
		has |= r->keys[i] == key;
	return has && r->size > 0 && !r->is_gone && !vector_has(&m->everywhere, &r->gtid);
}

static void model_load(const struct model *m, struct window *w, uint64_t key, struct window_chain *chain,
                       struct window_record *record)
{
	static uint8_t bytes[MODEL_RECORD_BYTES];
	size_t n = 0;
	assert_int_equal(window_load(w, key, chain, NULL), ERR_OK);
	for (size_t i = 0; i < m->count; i++) {
		const struct model_record *r = &m->records[i];
		if (!model_has(m, r, key))
			continue;
		assert_true(n < chain->count);
		assert_int_equal(window_read(w, chain->offsets[n++], record, NULL), ERR_OK);
		assert_memory_equal(&record->gtid, &r->gtid, sizeof r->gtid);
		assert_int_equal(record->time, r->time);
		assert_true(vector_equal(&record->context, &r->context));
		assert_int_equal(record->bytes.size, r->size);
		fill(bytes, r->size, r->content);
		assert_memory_equal(record->bytes.data, bytes, r->size);
	}
	assert_int_equal(n, chain->count);
}

/* The orders of adding, settling, clearing, reading again and rebuilding are more than anyone thinks of. */
static void test_the_store_does_as_the_model(void **state)
{
	(void)state;
	uint64_t seed = fresh_seed("store");
	struct window_chain chain = {0};
	struct window_record record = {0};
	for (int round = 0; round < 20; round++) {
		static struct model m;
		struct disk disk;
		struct model_record current;
		uint64_t settle_one_in = 10 + below(&seed, 1000), rewind_one_in = 5 + below(&seed, 100);
		memset(&m, 0, sizeof m);
		struct window *w = round % 4 ? window_on(&disk) : window_new(NULL);
		model_begin(&m, w, &current, &seed);
		while (m.count < MODEL_RECORDS) {
			if (below(&seed, 3) == 0) {
				if (below(&seed, 2)) {
					window_end(w);
					m.ended = m.count;
					memcpy(m.ended_heads, m.heads, sizeof m.heads);
				} else if (below(&seed, rewind_one_in) == 0) {
					model_rewind(&m, w);
				}
				model_begin(&m, w, &current, &seed);
			}
			model_add(&m, w, &current, &seed);
			if (below(&seed, settle_one_in) == 0)
				model_settle(&m, w, &seed);
			if (below(&seed, 20) == 0)
				model_load(&m, w, model_key(below(&seed, MODEL_KEYS)), &chain, &record);
		}
		for (uint64_t k = 0; k < MODEL_KEYS; k++)
			model_load(&m, w, model_key(k), &chain, &record);
		window_free(w);
		if (round % 4)
			buf_free(&disk.bytes);
	}
	window_chain_free(&chain);
	window_record_free(&record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_key_gives_back_its_writes_in_the_logs_order),
	    cmocka_unit_test(test_settling_one_domain_of_several),
	    cmocka_unit_test(test_all_is_settled_within_a_transaction),
	    cmocka_unit_test(test_the_last_transaction_is_dropped),
	    cmocka_unit_test(test_a_growing_index_keeps_the_chains),
	    cmocka_unit_test(test_records_of_every_size_come_back),
	    cmocka_unit_test(test_a_full_disk_is_an_error),
	    cmocka_unit_test(test_a_group_that_is_read_again),
	    cmocka_unit_test(test_an_offset_that_is_none),
	    cmocka_unit_test(test_a_row_that_is_written_very_often),
	    cmocka_unit_test(test_a_million_records),
	    cmocka_unit_test(test_much_is_settled_in_parts),
	    cmocka_unit_test(test_bytes_on_both_sides_of_the_buffer),
	    cmocka_unit_test(test_the_store_does_as_the_model),
	};
	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
