/* What the window costs: nanoseconds a write and a look-up, and private memory, from ten thousand to ten million writes
 * that a peer doesn't have yet.
 *
 *   window_bench [FOLDER [WRITES…]]
 *
 * The scratch files go to FOLDER (/tmp). Exit status 1 when private memory has reached 64 MiB. docs/performance.md has
 * the results.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "link/scratch.h"
#include "merge/window.h"

enum { RECORD_BYTES = 120, FINDS = 1000000, LOADS = 200000, HOT_WRITES = 1000000, PRIVATE_KIB_MAX = 64 * 1024 };

static const char *folder = "/tmp";
static long private_kib_most;
static uint64_t file_bytes;

static void die(const struct err *err)
{
	fprintf(stderr, "window_bench: %s\n", err->message);
	exit(2);
}

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* splitmix64: the key of the n-th row. Keys from 2^40 on are nobody's. */
static uint64_t key_of(uint64_t n)
{
	uint64_t z = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Some row of `count`, another one each time. */
static uint64_t some_row(uint64_t i, uint64_t count)
{
	return key_of(~i) % count;
}

static long private_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *status = fopen("/proc/self/status", "r");
	while (status != NULL && fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, "RssAnon:", 8) == 0)
			kib = strtol(line + 8, NULL, 10);
	if (status != NULL)
		fclose(status);
	if (kib > private_kib_most)
		private_kib_most = kib;
	return kib;
}

static bool counted_write(void *context, uint64_t offset, const void *from, size_t size)
{
	if (offset + size > file_bytes)
		file_bytes = offset + size;
	return scratch_write(context, offset, from, size);
}

static struct window *window_in(struct scratch *scratch)
{
	file_bytes = 0;
	return window_new(&(struct window_memory){.get = scratch_get,
	                                          .put = scratch_put,
	                                          .read = scratch_read,
	                                          .write = counted_write,
	                                          .drop = scratch_drop,
	                                          .context = scratch,
	                                          .where = folder});
}

/* One transaction a write, each with a context of three nodes. Returns nanoseconds a write. */
static double fill(struct window *w, uint64_t writes, bool is_hot)
{
	struct err err;
	uint8_t record[RECORD_BYTES] = {1};
	struct vector context = {.count = 3, .gtids = {{1, 1, 1000000}, {2, 2, 1000000}, {3, 3, 1000000}}};
	double started = now_ns();
	for (uint64_t n = 0; n < writes; n++) {
		struct window_transaction t = {.gtid = {1, 1, n + 1}, .time = (uint32_t)n, .context = &context};
		uint64_t key = key_of(is_hot ? 0 : n);
		memcpy(record, &n, sizeof n);
		if (window_begin(w, &t, &err) != ERR_OK || window_add(w, &key, 1, record, sizeof record, &err) != ERR_OK)
			die(&err);
		window_end(w);
	}
	return (now_ns() - started) / (double)writes;
}

/* Nanoseconds a look-up; every one must be a hit, or none. */
static double find(const struct window *w, uint64_t rows, bool is_hit)
{
	struct vector none = {0};
	struct gtid gtid;
	uint64_t hits = 0;
	double started = now_ns();
	for (uint64_t i = 0; i < FINDS; i++)
		hits += window_find(w, key_of(some_row(i, rows) + (is_hit ? 0 : UINT64_C(1) << 40)), 2, &none, &gtid);
	double ns = (now_ns() - started) / FINDS;
	if (hits != (is_hit ? FINDS : 0)) {
		fprintf(stderr, "window_bench: %llu hits\n", (unsigned long long)hits);
		exit(2);
	}
	return ns;
}

/* Nanoseconds for all the records of a row, with what is in them. */
static double load(struct window *w, uint64_t rows, uint64_t loads, uint64_t records_each)
{
	struct window_chain chain = {0};
	struct window_record record = {0};
	struct err err;
	double started = now_ns();
	for (uint64_t i = 0; i < loads; i++) {
		if (window_load(w, key_of(some_row(i, rows)), &chain, &err) != ERR_OK)
			die(&err);
		for (size_t r = 0; r < chain.count; r++)
			if (window_read(w, chain.offsets[r], &record, &err) != ERR_OK)
				die(&err);
		if (chain.count != records_each) {
			fprintf(stderr, "window_bench: %zu records\n", chain.count);
			exit(2);
		}
	}
	double ns = (now_ns() - started) / (double)loads;
	private_kib();
	window_chain_free(&chain);
	window_record_free(&record);
	return ns;
}

/* Nanoseconds a transaction, when half of them are settled; the longest call counts in *longest_ns. */
static double settle_half(struct window *w, uint64_t writes, double *longest_ns)
{
	struct vector everywhere = {.count = 1, .gtids = {{1, 1, writes / 2}}};
	double started = now_ns();
	for (uint64_t left = writes / 2 / WINDOW_SETTLE_AT_ONCE + 1; left > 0; left--) {
		double before = now_ns();
		window_settle(w, &everywhere);
		double ns = now_ns() - before;
		*longest_ns = ns > *longest_ns ? ns : *longest_ns;
	}
	return (now_ns() - started) / ((double)writes / 2);
}

static void measure(uint64_t writes)
{
	struct scratch *scratch = scratch_new(folder);
	struct window *w = window_in(scratch);
	double fill_ns = fill(w, writes, false);
	double hit_ns = find(w, writes, true), miss_ns = find(w, writes, false), load_ns = load(w, writes, LOADS, 1);
	long kib = private_kib();
	double longest_ns = 0, settle_ns = settle_half(w, writes, &longest_ns);
	printf("| %llu | %.0f | %.0f | %.0f | %.0f | %.0f (%.1f) | %.1f | %.0f |\n", (unsigned long long)writes, fill_ns,
	       hit_ns, miss_ns, load_ns, settle_ns, longest_ns / 1e6, (double)kib / 1024, (double)file_bytes / 1048576);
	fflush(stdout);
	window_free(w);
	scratch_free(scratch);
}

static void measure_hot(uint64_t writes)
{
	struct scratch *scratch = scratch_new(folder);
	struct window *w = window_in(scratch);
	double fill_ns = fill(w, writes, true), hit_ns = find(w, 1, true), load_ns = load(w, 1, 1, writes);
	printf("\nOne row, written %llu times: %.0f ns a write, %.0f ns a look-up, %.0f ms to load and read all (%.0f ns "
	       "each)\n",
	       (unsigned long long)writes, fill_ns, hit_ns, load_ns / 1e6, load_ns / (double)writes);
	window_free(w);
	scratch_free(scratch);
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[] = {10000, 1000000, 10000000};
	if (argc > 1)
		folder = argv[1];
	printf("| writes | ns a write | found | not found | one row's record | settle a transaction (longest call, ms) | "
	       "private MiB | "
	       "records MiB |\n"
	       "|---|---|---|---|---|---|---|---|\n");
	for (int i = 2; i < argc; i++)
		measure(strtoull(argv[i], NULL, 10));
	for (size_t i = 0; argc <= 2 && i < sizeof sizes / sizeof sizes[0]; i++)
		measure(sizes[i]);
	measure_hot(HOT_WRITES);
	return private_kib_most < PRIVATE_KIB_MAX ? 0 : 1;
}
