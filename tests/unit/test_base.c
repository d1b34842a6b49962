/* src/base: buffers, the cursor, the queue, errors, the log line, the clock, memory.
 *
 * Everything else stands on these. The comment above each test says what would go wrong, and for whom, without it.
 * Threads report what they saw in plain variables that are read after the join: cmocka's asserts jump, so only the main
 * thread may use them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"

/* ---- buf ---- */

/* Events are rewritten and manifests are written through these: one byte the wrong way round and every peer reads a
 * different length, type or seq than was meant. */
static void test_buf_integers_are_little_endian(void **state)
{
	(void)state;
	static const uint8_t expected[] = {0xfe, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 8, 7, 6, 5, 4, 3, 2, 1};
	struct buf buf = {0};
	buf_append_u8(&buf, 0xfe);
	buf_append_u16(&buf, 0x1234);
	buf_append_u32(&buf, 0x12345678);
	buf_append_u64(&buf, 0x0102030405060708);
	assert_int_equal(buf.size, sizeof expected);
	assert_memory_equal(buf.data, expected, sizeof expected);
	buf_free(&buf);
}

/* A batch of megabytes is built by many small appends: bytes lost or doubled at a growth step would be rows lost or
 * doubled on the peer. */
static void test_buf_keeps_every_byte_while_it_grows(void **state)
{
	(void)state;
	struct buf buf = {0};
	for (unsigned i = 0; i < 100000; i++) {
		uint8_t chunk[7];
		memset(chunk, (int)(i & 0xff), sizeof chunk);
		buf_append(&buf, chunk, i % 8);
	}
	size_t at = 0;
	for (unsigned i = 0; i < 100000; i++)
		for (unsigned k = 0; k < i % 8; k++)
			assert_int_equal(buf.data[at++], i & 0xff);
	assert_int_equal(at, buf.size);
	assert_true(buf.capacity >= buf.size);
	buf_free(&buf);
}

/* An empty column, an empty statement: appending nothing from nowhere must be allowed, or a table with an empty string
 * ends the daemon under UBSan and is undefined without. */
static void test_buf_append_of_nothing_is_nothing(void **state)
{
	(void)state;
	struct buf buf = {0};
	buf_append(&buf, NULL, 0);
	buf_append_str(&buf, "");
	buf_append_base64(&buf, NULL, 0);
	assert_int_equal(buf.size, 0);
	assert_string_equal(buf_str(&buf), "");
	buf_free(&buf);
}

/* Statements are sent by pointer and size, and are printed as C strings in messages. A NUL that counts would be sent to
 * the server as part of the statement; one that is missing prints what lies behind. */
static void test_buf_str_ends_the_text_and_does_not_count(void **state)
{
	(void)state;
	struct buf buf = {0};
	for (size_t size = 0; size < 600;
	     size++) { /* crosses the 256 and 512 byte capacities, where there is no room left */
		assert_int_equal(strlen(buf_str(&buf)), size);
		assert_int_equal(buf.size, size);
		buf_append_u8(&buf, 'x');
	}
	buf_free(&buf);
}

/* SQL is built with printf: a text cut at the buffer's capacity would be half a statement. */
static void test_buf_printf_fits_at_every_size(void **state)
{
	(void)state;
	for (int width = 1; width < 1100; width++) {
		struct buf buf = {0};
		buf_append_str(&buf, "SET ");
		buf_printf(&buf, "@x=%*d;", width, 7);
		assert_int_equal(buf.size, 4 + 3 + (size_t)width + 1);
		assert_memory_equal(buf.data, "SET @x=", 7);
		assert_memory_equal(buf.data + buf.size - 2, "7;", 2);
		buf_free(&buf);
	}
}

/* The applier's statement is `BINLOG '<base64>'`: the server must decode exactly the events that were received. The
 * vectors are RFC 4648's. */
static void test_buf_base64_known_vectors(void **state)
{
	(void)state;
	static const struct {
		const char *plain, *encoded;
	} vectors[] = {
	    {"", ""},
	    {"f", "Zg=="},
	    {"fo", "Zm8="},
	    {"foo", "Zm9v"},
	    {"foob", "Zm9vYg=="},
	    {"fooba", "Zm9vYmE="},
	    {"foobar", "Zm9vYmFy"},
	    {"\xff\xef\xbe\xfb\xf0", "/++++/A="},
	};
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct buf buf = {0};
		buf_append_str(&buf, "BINLOG '"); /* it appends, it does not overwrite */
		buf_append_base64(&buf, vectors[i].plain, strlen(vectors[i].plain));
		buf_append_str(&buf, "'");
		char expected[64];
		snprintf(expected, sizeof expected, "BINLOG '%s'", vectors[i].encoded);
		assert_string_equal(buf_str(&buf), expected);
		buf_free(&buf);
	}
}

/* Every byte value occurs in row images; a sign extension would corrupt those from 0x80 up, which short ASCII vectors
 * don't show. Decoded here by an independent, slow decoder. */
static void test_buf_base64_every_byte_and_length(void **state)
{
	(void)state;
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t bytes[600];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 151 + i / 256);
	for (size_t size = 0; size <= sizeof bytes; size++) {
		struct buf buf = {0};
		buf_append_base64(&buf, bytes, size);
		assert_int_equal(buf.size, (size + 2) / 3 * 4);
		uint8_t decoded[sizeof bytes + 2];
		size_t n = 0;
		uint32_t bits = 0;
		unsigned bit_count = 0;
		for (size_t i = 0; i < buf.size && buf.data[i] != '='; i++) {
			bits = bits << 6 | (uint32_t)(strchr(digits, buf.data[i]) - digits);
			bit_count += 6;
			if (bit_count >= 8) {
				bit_count -= 8;
				decoded[n++] = (uint8_t)(bits >> bit_count);
			}
		}
		assert_int_equal(n, size);
		assert_memory_equal(decoded, bytes, size);
		buf_free(&buf);
	}
}

/* Buffers live as long as a link, for months on a small board. Clearing must keep the memory (or each event costs an
 * allocation) and shrinking must give it back (or one big transaction holds its megabytes for ever). */
static void test_buf_clear_keeps_and_shrink_gives_back(void **state)
{
	(void)state;
	struct buf buf = {0};
	buf_reserve(&buf, 1 << 20);
	assert_int_equal(buf.size, 0);
	size_t capacity = buf.capacity;
	assert_true(capacity >= 1 << 20);
	buf_append_str(&buf, "x");
	buf_clear(&buf);
	assert_int_equal(buf.size, 0);
	assert_int_equal(buf.capacity, capacity);
	buf_append_str(&buf, "x");
	buf_shrink(&buf, 1 << 20);
	assert_int_equal(buf.size, 0);
	assert_int_equal(buf.capacity, capacity);
	buf_shrink(&buf, 4096);
	assert_null(buf.data);
	assert_int_equal(buf.capacity, 0);
	buf_append_str(&buf, "again");
	assert_string_equal(buf_str(&buf), "again");
	buf_free(&buf);
	buf_free(&buf); /* freeing what is empty is allowed: cleanup paths rely on it */
	assert_null(buf.data);
}

/* ---- cursor ---- */

/* Every number in an event is read by these: read the wrong way round, each event is garbage to the link. */
static void test_cursor_reads_each_width(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 0xf8, 9};
	struct cursor c = cursor_of(bytes, sizeof bytes);
	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_u16(&c), 0x0302);
	assert_int_equal(cursor_u24(&c), 0x060504);
	assert_int_equal(cursor_left(&c), 3);
	c = cursor_of(bytes, sizeof bytes);
	assert_int_equal(cursor_u32(&c), 0x04030201);
	c = cursor_of(bytes, sizeof bytes);
	assert_int_equal(cursor_u48(&c), 0x060504030201);
	c = cursor_of(bytes, sizeof bytes);
	assert_true(cursor_u64(&c) == 0xf807060504030201);
	assert_int_equal(cursor_u8(&c), 9);
	assert_true(cursor_done(&c));
	uint64_t le = 0, be = 0;
	for (unsigned width = 1; width <= 8; width++) {
		le |= (uint64_t)bytes[width - 1] << (8 * (width - 1));
		be = be << 8 | bytes[width - 1];
		c = cursor_of(bytes, sizeof bytes);
		assert_true(cursor_uint(&c, width) == le);
		assert_int_equal(cursor_left(&c), sizeof bytes - width);
		c = cursor_of(bytes, sizeof bytes);
		assert_true(cursor_uint_be(&c, width) == be);
		assert_int_equal(cursor_left(&c), sizeof bytes - width);
	}
}

static uint64_t read_u8(struct cursor *c)
{
	return cursor_u8(c);
}

static uint64_t read_u16(struct cursor *c)
{
	return cursor_u16(c);
}

static uint64_t read_u24(struct cursor *c)
{
	return cursor_u24(c);
}

static uint64_t read_u32(struct cursor *c)
{
	return cursor_u32(c);
}

static uint64_t read_five(struct cursor *c)
{
	return cursor_uint(c, 5);
}

static uint64_t read_five_be(struct cursor *c)
{
	return cursor_uint_be(c, 5);
}

static uint64_t read_bytes(struct cursor *c)
{
	return cursor_bytes(c, 11) != NULL;
}

static uint64_t read_skip(struct cursor *c)
{
	cursor_skip(c, 3);
	return 0;
}

static uint64_t read_sub(struct cursor *c)
{
	struct cursor sub = cursor_sub(c, 4);
	assert_true(sub.failed == c->failed);
	return sub.failed ? cursor_left(&sub) : 0;
}

/* A peer's stream may be cut at any byte, and may be forged: a read past the end would be a crash or a leak of memory
 * into the database. Each read is given every length that is too short, in an allocation of exactly that size, so that
 * ASan sees a read one byte too far; then the failure must stick, whatever is read next. */
static void test_cursor_short_reads_fail_and_stick(void **state)
{
	(void)state;
	static const struct {
		uint64_t (*read)(struct cursor *c);
		size_t needs;
	} reads[] = {
	    {read_u8, 1},   {read_u16, 2},    {read_u24, 3},     {read_u32, 4},  {cursor_u48, 6}, {cursor_u64, 8},
	    {read_five, 5}, {read_bytes, 11}, {read_five_be, 5}, {read_skip, 3}, {read_sub, 4},
	};
	for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
		for (size_t size = 0; size <= reads[i].needs; size++) {
			uint8_t *bytes = malloc(size ? size : 1);
			memset(bytes, 0xff, size ? size : 1);
			struct cursor c = cursor_of(size ? bytes : NULL, size);
			uint64_t value = reads[i].read(&c);
			if (size == reads[i].needs) {
				assert_true(cursor_ok(&c));
				assert_true(cursor_done(&c));
			} else {
				assert_true(value == 0);
				assert_false(cursor_ok(&c));
				assert_false(cursor_done(&c));
				assert_int_equal(cursor_left(&c), 0);
				for (size_t k = 0; k < sizeof reads / sizeof *reads; k++)
					assert_true(reads[k].read(&c) == 0);
				assert_null(cursor_bytes(&c, 0));
				assert_false(cursor_ok(&c));
			}
			free(bytes);
		}
	}
}

/* A length field of 2^64-1 from a garbled stream: `pos + n > end` would wrap around and let it through. */
static void test_cursor_huge_lengths_fail(void **state)
{
	(void)state;
	static const uint8_t bytes[4] = {1, 2, 3, 4};
	static const size_t lengths[] = {5, SIZE_MAX, SIZE_MAX - 3, SIZE_MAX / 2 + 1};
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct cursor c = cursor_of(bytes, sizeof bytes);
		assert_null(cursor_bytes(&c, lengths[i]));
		assert_false(cursor_ok(&c));
		c = cursor_of(bytes, sizeof bytes);
		cursor_skip(&c, lengths[i]);
		assert_false(cursor_ok(&c));
		c = cursor_of(bytes, sizeof bytes);
		struct cursor sub = cursor_sub(&c, lengths[i]);
		assert_false(cursor_ok(&c));
		assert_false(cursor_ok(&sub));
		assert_int_equal(cursor_left(&sub), 0);
	}
}

/* An empty body, an empty blob: reading nothing where nothing is left is no failure, or tables with empty values would
 * stop their link. */
static void test_cursor_nothing_can_be_read_from_nothing(void **state)
{
	(void)state;
	struct cursor c = cursor_of(NULL, 0);
	assert_true(cursor_ok(&c));
	assert_true(cursor_done(&c));
	assert_int_equal(cursor_left(&c), 0);
	cursor_bytes(&c, 0);
	cursor_skip(&c, 0);
	struct cursor sub = cursor_sub(&c, 0);
	assert_true(cursor_done(&sub));
	assert_true(cursor_done(&c));
	static const uint8_t bytes[1] = {1};
	c = cursor_of(bytes, 1);
	cursor_skip(&c, 1);
	assert_true(cursor_bytes(&c, 0) == bytes + 1);
	assert_true(cursor_done(&c));
}

/* A field's own cursor must end where the field ends: reading on would take the next column's bytes for this one's. Its
 * failure is its own; the row behind it can still be read. */
static void test_cursor_sub_stays_inside(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {1, 2, 3, 4, 5};
	struct cursor c = cursor_of(bytes, sizeof bytes);
	struct cursor sub = cursor_sub(&c, 3);
	assert_int_equal(cursor_left(&c), 2);
	assert_int_equal(cursor_u16(&sub), 0x0201);
	assert_int_equal(cursor_u16(&sub), 0);
	assert_false(cursor_ok(&sub));
	assert_true(cursor_ok(&c));
	assert_int_equal(cursor_u16(&c), 0x0504);
	assert_true(cursor_done(&c));
	cursor_fail(&c);
	sub = cursor_sub(&c, 0);
	assert_false(cursor_ok(&sub)); /* a failed parent has no good part */
}

/* Parsers fail a cursor themselves when a value makes no sense; nothing may be left to read then. */
static void test_cursor_fail_leaves_nothing(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {1, 2, 3};
	struct cursor c = cursor_of(bytes, sizeof bytes);
	assert_false(cursor_done(&c)); /* good, but not done */
	cursor_fail(&c);
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_u8(&c), 0);
	assert_false(cursor_ok(&c));
}

/* Manifests hold seqs and times as varints. A value that doesn't survive makes a node take a batch apart wrongly after
 * a restart, and apply a transaction twice or never. */
static void test_varint_round_trip(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 64; shift++) {
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t value = ((uint64_t)1 << shift) + (uint64_t)(int64_t)delta;
			struct buf buf = {0};
			buf_append_varint(&buf, value);
			struct cursor c = cursor_of(buf.data, buf.size);
			assert_true(cursor_varint(&c) == value);
			assert_true(cursor_done(&c));
			for (size_t cut = 0; cut < buf.size; cut++) { /* and cut short it is no number */
				uint8_t *part = malloc(cut + 1);
				memcpy(part, buf.data, cut);
				c = cursor_of(part, cut);
				assert_true(cursor_varint(&c) == 0);
				assert_false(cursor_ok(&c));
				free(part);
			}
			buf_free(&buf);
		}
	}
	struct buf buf = {0};
	buf_append_varint(&buf, 0);
	buf_append_varint(&buf, 300);
	buf_append_varint(&buf, UINT64_MAX);
	static const uint8_t expected[] = {0, 0xac, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
	assert_int_equal(buf.size, sizeof expected);
	assert_memory_equal(buf.data, expected, sizeof expected);
	buf_free(&buf);
}

/* A varint that doesn't fit 64 bits is garbage: shifted out silently it would be some other seq. */
static void test_varint_overflow_fails(void **state)
{
	(void)state;
	static const uint8_t too_big[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
	static const uint8_t too_long[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
	static const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct cursor cursors[] = {cursor_of(too_big, sizeof too_big), cursor_of(too_long, sizeof too_long),
	                           cursor_of(endless, sizeof endless)};
	for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++) {
		assert_true(cursor_varint(&cursors[i]) == 0);
		assert_false(cursor_ok(&cursors[i]));
	}
}

/* The server reads what we write: a count of 251 in one byte is its NULL marker. */
static void test_lenenc_round_trip(void **state)
{
	(void)state;
	static const struct {
		uint64_t value;
		size_t size;
	} cases[] = {{0, 1},     {250, 1},      {251, 3},       {255, 3},       {65535, 3},
	             {65536, 4}, {0xffffff, 4}, {0x1000000, 9}, {UINT64_MAX, 9}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf buf = {0};
		buf_append_lenenc(&buf, cases[i].value);
		assert_int_equal(buf.size, cases[i].size);
		struct cursor c = cursor_of(buf.data, buf.size);
		assert_true(cursor_lenenc(&c) == cases[i].value);
		assert_true(cursor_done(&c));
		buf_free(&buf);
	}
}

/* Table maps hold lengths and counts in MariaDB's encoding. NULL's marker and 0xff are no lengths: taken for 251 or 255
 * they would shift every column behind them. */
static void test_lenenc(void **state)
{
	(void)state;
	static const struct {
		uint8_t bytes[9];
		size_t size;
		uint64_t value;
		bool ok;
	} cases[] = {
	    {{0}, 1, 0, true},
	    {{0xfa}, 1, 250, true},
	    {{0xfb}, 1, 0, false},
	    {{0xff}, 1, 0, false},
	    {{0xfc, 0xfb, 0x00}, 3, 251, true},
	    {{0xfc, 0xff, 0xff}, 3, 65535, true},
	    {{0xfd, 0x00, 0x00, 0x01}, 4, 65536, true},
	    {{0xfd, 0xff, 0xff, 0xff}, 4, 16777215, true},
	    {{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 9, UINT64_MAX, true},
	    {{0xfe, 0, 0, 0, 1, 0, 0, 0, 0}, 9, 16777216, true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct cursor c = cursor_of(cases[i].bytes, cases[i].size);
		assert_true(cursor_lenenc(&c) == cases[i].value);
		assert_true(cursor_done(&c) == cases[i].ok);
		for (size_t cut = 0; cut < cases[i].size; cut++) {
			uint8_t *part = malloc(cut + 1);
			memcpy(part, cases[i].bytes, cut);
			c = cursor_of(part, cut);
			assert_true(cursor_lenenc(&c) == 0);
			assert_false(cursor_ok(&c));
			free(part);
		}
	}
}

/* ---- queue ---- */

enum { QUEUE_LIMIT = 1000 };

static void assert_next_record(struct queue *q, const char *expected)
{
	struct buf buf = {0};
	assert_int_equal(queue_take(q, &buf, -1), QUEUE_OK);
	assert_string_equal(buf_str(&buf), expected);
	buf_free(&buf);
}

/* The tail's records must come out as they went in and in order, even with an empty one among them, and what the
 * taker's buffer held before must be gone. */
static void test_queue_keeps_order_and_bounds_of_records(void **state)
{
	(void)state;
	struct queue *q = queue_new(QUEUE_LIMIT);
	struct buf buf = {0};
	assert_true(queue_is_empty(q));
	assert_int_equal(queue_put(q, "one", 3), QUEUE_OK);
	assert_int_equal(queue_put(q, "", 0), QUEUE_OK);
	assert_int_equal(queue_put(q, "three\0!", 7), QUEUE_OK);
	assert_false(queue_is_empty(q));
	buf_append_str(&buf, "what was here before, and is longer");
	assert_int_equal(queue_take(q, &buf, 0), QUEUE_OK);
	assert_int_equal(buf.size, 3);
	assert_memory_equal(buf.data, "one", 3);
	assert_int_equal(queue_take(q, &buf, 0), QUEUE_OK);
	assert_int_equal(buf.size, 0);
	assert_int_equal(queue_take(q, &buf, 0), QUEUE_OK);
	assert_int_equal(buf.size, 7);
	assert_memory_equal(buf.data, "three\0!", 7);
	assert_true(queue_is_empty(q));
	buf_free(&buf);
	queue_free(q);
	queue_free(NULL);
}

/* The link looks into the queue between other duties: a take that waits too long delays heartbeats, one that returns
 * too early spins the CPU of a board on batteries. */
static void test_queue_take_waits_as_long_as_told(void **state)
{
	(void)state;
	struct queue *q = queue_new(QUEUE_LIMIT);
	struct buf buf = {0};
	buf_append_str(&buf, "kept");
	assert_int_equal(queue_take(q, &buf, 0), QUEUE_EMPTY);
	int64_t start = clock_monotonic_us();
	assert_int_equal(queue_take(q, &buf, 30), QUEUE_EMPTY);
	assert_true(clock_monotonic_us() - start >= 29000);
	assert_string_equal(buf_str(&buf), "kept"); /* outputs are untouched when there is nothing */
	buf_free(&buf);
	queue_free(q);
}

/* After a stop everything that was queued is still applied, then the end is seen; and nothing gets in behind it. A
 * record dropped here would be a transaction lost; one let in would never be taken. */
static void test_queue_close_drains_then_ends(void **state)
{
	(void)state;
	struct queue *q = queue_new(QUEUE_LIMIT);
	struct buf buf = {0};
	assert_int_equal(queue_put(q, "last", 4), QUEUE_OK);
	queue_close(q);
	assert_int_equal(queue_put(q, "late", 4), QUEUE_CLOSED);
	assert_next_record(q, "last");
	assert_int_equal(queue_take(q, &buf, -1), QUEUE_CLOSED);
	assert_int_equal(queue_take(q, &buf, 0), QUEUE_CLOSED);
	assert_int_equal(queue_take(q, &buf, 1000), QUEUE_CLOSED);
	buf_free(&buf);
	queue_free(q);
}

/* A link that reconnects uses its queue again. What the old connection left in it would be applied in front of what the
 * new one sends. */
static void test_queue_reopen_starts_empty(void **state)
{
	(void)state;
	struct queue *q = queue_new(QUEUE_LIMIT);
	assert_int_equal(queue_put(q, "of the old connection", 21), QUEUE_OK);
	queue_close(q);
	queue_reopen(q);
	assert_true(queue_is_empty(q));
	assert_int_equal(queue_put(q, "new", 3), QUEUE_OK);
	assert_next_record(q, "new");
	queue_free(q);
}

static long resident_bytes(void)
{
	long total = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &total, &resident), 2);
	fclose(file);
	return resident * sysconf(_SC_PAGESIZE);
}

struct pump {
	struct queue *queue;
	unsigned seed, record_count;
	size_t size_max;
	_Atomic size_t put_bytes; /* payload and prefix of records whose put has returned */
	bool refused;
};

static size_t pump_record(unsigned *seed, unsigned number, size_t size_max, uint8_t *ret)
{
	size_t size = (size_t)rand_r(seed) % (size_max + 1);
	for (size_t i = 0; i < size; i++)
		ret[i] = (uint8_t)(number + i);
	return size;
}

static void *pump_main(void *context)
{
	struct pump *pump = context;
	uint8_t *record = malloc(pump->size_max + 1);
	unsigned seed = pump->seed;
	for (unsigned i = 0; i < pump->record_count; i++) {
		size_t size = pump_record(&seed, i, pump->size_max, record);
		if (queue_put(pump->queue, record, size) != QUEUE_OK) {
			pump->refused = true;
			break;
		}
		atomic_fetch_add(&pump->put_bytes, size + 4);
	}
	free(record);
	return NULL;
}

/* Takes everything that a pumping thread puts and compares it. Returns how far the putter ever was ahead, in bytes. */
static size_t pump_through(size_t limit, size_t size_max, unsigned record_count)
{
	unsigned seed = (unsigned)clock_monotonic_us();
	print_message("queue: limit %zu, records up to %zu, seed %u\n", limit, size_max, seed);
	struct pump pump = {.queue = queue_new(limit), .seed = seed, .record_count = record_count, .size_max = size_max};
	uint8_t *expected = malloc(size_max + 1);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, pump_main, &pump), 0);
	struct buf buf = {0};
	size_t taken_bytes = 0, ahead_max = 0;
	for (unsigned i = 0; i < record_count; i++) {
		assert_int_equal(queue_take(pump.queue, &buf, i % 2 ? -1 : 60000), QUEUE_OK);
		size_t size = pump_record(&seed, i, size_max, expected);
		assert_int_equal(buf.size, size);
		assert_memory_equal(buf.data, expected, size);
		taken_bytes += size + 4;
		size_t put_bytes = atomic_load(&pump.put_bytes);
		if (put_bytes > taken_bytes && put_bytes - taken_bytes > ahead_max)
			ahead_max = put_bytes - taken_bytes;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(pump.refused);
	assert_true(queue_is_empty(pump.queue));
	buf_free(&buf);
	free(expected);
	queue_free(pump.queue);
	return ahead_max;
}

/* Reader and applier of a link run side by side for months, so the ring wraps at every possible offset, in the middle
 * of a prefix too: a byte out of place is a row out of place. The putter must never be ahead by more than the limit, or
 * a fast peer fills the memory of a slow board. */
static void test_queue_two_threads_wrap_around_within_the_limit(void **state)
{
	(void)state;
	assert_true(pump_through(61, 57, 3000) <= 61);
	assert_true(pump_through(QUEUE_LIMIT, 40, 20000) <= QUEUE_LIMIT);
}

/* One row may be larger than the whole queue (a blob of megabytes): it must pass alone, and those behind it in order; a
 * queue that refuses or waits for ever is a link that hangs for good on that row. */
static void test_queue_two_threads_records_larger_than_the_queue(void **state)
{
	(void)state;
	pump_through(16, 100, 2000);
	pump_through(4, 3, 1000); /* every record but the empty one is larger */
	pump_through(100, 100000, 100);
}

/* Behind one large record small ones wrap in a ring of the old size again, again and again. */
static void test_queue_returns_to_its_limit_after_a_large_record(void **state)
{
	(void)state;
	struct queue *q = queue_new(16);
	struct buf buf = {0};
	uint8_t large[5000];
	memset(large, 'L', sizeof large);
	for (int round = 0; round < 10; round++) {
		assert_int_equal(queue_put(q, large, sizeof large), QUEUE_OK);
		assert_int_equal(queue_take(q, &buf, 0), QUEUE_OK);
		assert_int_equal(buf.size, sizeof large);
		assert_memory_equal(buf.data, large, sizeof large);
		for (int i = 0; i < 7; i++) {
			assert_int_equal(queue_put(q, "abc", 3), QUEUE_OK);
			assert_int_equal(queue_put(q, "defgh", 5), QUEUE_OK);
			assert_next_record(q, "abc");
			assert_next_record(q, "defgh");
		}
	}
	buf_free(&buf);
	queue_free(q);
}

/* A large row passes, and the next small one gives its memory back: otherwise one blob raises the daemon's footprint,
 * on a board with little memory, for ever. */
static void test_queue_gives_the_memory_of_a_large_record_back(void **state)
{
	(void)state;
	enum { LARGE = 64 << 20 };
	struct queue *q = queue_new(QUEUE_LIMIT);
	struct buf buf = {0};
	long before = resident_bytes();
	uint8_t *large = mem_alloc(LARGE);
	assert_int_equal(queue_put(q, large, LARGE), QUEUE_OK);
	free(large);
	assert_int_equal(queue_take(q, &buf, 0), QUEUE_OK);
	assert_int_equal(buf.size, LARGE);
	buf_shrink(&buf, 4096);
	assert_int_equal(queue_put(q, "small", 5), QUEUE_OK);
	long more = resident_bytes() - before;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* those keep freed memory on purpose */
	assert_true(more < LARGE / 4);
#else
	(void)more;
#endif
	assert_next_record(q, "small");
	buf_free(&buf);
	queue_free(q);
}

/* `syncline stop` closes the queue while the reader is blocked in a put, because the applier has stopped taking. If
 * close did not wake it, the daemon would never end. */
static void test_queue_close_wakes_a_blocked_putter(void **state)
{
	(void)state;
	struct pump pump = {.queue = queue_new(100), .seed = 1, .record_count = 1000000, .size_max = 20};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, pump_main, &pump), 0);
	while (atomic_load(&pump.put_bytes) < 100 - 24) /* until the next one may not fit: it blocks, now or soon */
		clock_sleep_ms(1);
	queue_close(pump.queue);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(pump.refused);
	assert_true(atomic_load(&pump.put_bytes) <= 100);
	queue_free(pump.queue);
}

struct taker {
	struct queue *queue;
	atomic_bool started;
	enum queue_result result;
};

static void *taker_main(void *context)
{
	struct taker *taker = context;
	struct buf buf = {0};
	atomic_store(&taker->started, true);
	taker->result = queue_take(taker->queue, &buf, -1);
	buf_free(&buf);
	return NULL;
}

/* The same from the other side: the applier waits for ever for a peer that says nothing. */
static void test_queue_close_wakes_a_waiting_taker(void **state)
{
	(void)state;
	struct taker taker = {.queue = queue_new(100), .result = QUEUE_OK};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, taker_main, &taker), 0);
	while (!atomic_load(&taker.started))
		clock_sleep_ms(1);
	queue_close(taker.queue);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(taker.result, QUEUE_CLOSED);
	queue_free(taker.queue);
}

/* ---- err ---- */

/* A message travels up through the layers to the operator's one line. MariaDB's number must survive the wrapping: the
 * link decides by it whether an error is a conflict. */
static void test_err_set_and_wrap(void **state)
{
	(void)state;
	struct err err = {.server_errno = 1062, .sqlstate = "23000"};
	assert_int_equal(err_set(&err, ERR_SERVER, "duplicate %s in %d", "key", 7), ERR_SERVER);
	assert_int_equal(err.code, ERR_SERVER);
	assert_string_equal(err.message, "duplicate key in 7");
	assert_int_equal(err.server_errno, 0); /* a new error carries nothing of an older one */
	assert_string_equal(err.sqlstate, "");
	err.server_errno = 1062;
	strcpy(err.sqlstate, "23000");
	assert_int_equal(err_wrap(&err, "batch %d", 3), ERR_SERVER);
	assert_int_equal(err_wrap(&err, "link 2"), ERR_SERVER);
	assert_string_equal(err.message, "link 2: batch 3: duplicate key in 7");
	assert_int_equal(err.server_errno, 1062);
	assert_string_equal(err.sqlstate, "23000");
}

/* Callers that only want the code pass NULL. */
static void test_err_set_without_a_struct(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_TIMEOUT, "nobody reads %d", 1), ERR_TIMEOUT);
}

/* A server's message may hold a whole statement. It is cut, never overrun, and what is put in front of it stays, since
 * that is what says where. */
static void test_err_long_messages_are_cut(void **state)
{
	(void)state;
	char big[4000];
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = 0;
	struct err *err = mem_alloc(sizeof *err); /* on the heap, where ASan sees a write behind it */
	const size_t longest = sizeof err->message - 1;
	assert_int_equal(err_set(err, ERR_IO, "%s", big), ERR_IO);
	assert_int_equal(strlen(err->message), longest);
	assert_int_equal(err_wrap(err, "link 2"), ERR_IO);
	assert_memory_equal(err->message, "link 2: xxx", 11);
	assert_int_equal(strlen(err->message), longest);
	for (size_t size = longest - 3; size <= longest + 3; size++) { /* no room for the ": ", or for the message's end */
		assert_int_equal(err_wrap(err, "%.*s", (int)size, big), ERR_IO);
		assert_true(strlen(err->message) <= longest);
	}
	assert_int_equal(err_wrap(err, "%s", big), ERR_IO);
	assert_int_equal(strlen(err->message), longest);
	free(err);
}

/* The link retries for ever what is retryable and stops for the rest: the wrong way round, a cut cable stops a link, or
 * a garbled stream is read again and again. Every code must have a text for the operator. */
static void test_err_codes_are_retryable_or_final(void **state)
{
	(void)state;
	assert_true(err_retryable(ERR_DISCONNECTED));
	assert_true(err_retryable(ERR_BUSY));
	assert_true(err_retryable(ERR_TIMEOUT));
	assert_false(err_retryable(ERR_OK));
	assert_false(err_retryable(ERR_CONFIG));
	assert_false(err_retryable(ERR_SERVER));
	assert_false(err_retryable(ERR_MALFORMED));
	assert_false(err_retryable(ERR_UNSUPPORTED));
	assert_false(err_retryable(ERR_CONFLICT));
	assert_int_equal(ERR_OK, 0);
#define X(name, retryable, text)                                                                                       \
	assert_string_equal(err_text(name), text);                                                                         \
	assert_true(err_retryable(name) == retryable);
	ERR_CODES(X)
#undef X
}

/* ---- log ---- */

/* What goes to standard error while `run` runs, as one text. */
static struct buf captured_stderr(void (*run)(void))
{
	char path[] = "/tmp/syncline-test-log-XXXXXX";
	int file = mkstemp(path);
	assert_true(file >= 0);
	unlink(path);
	fflush(stderr);
	int kept = dup(STDERR_FILENO);
	fcntl(file, F_SETFL, O_APPEND);
	dup2(file, STDERR_FILENO);
	run();
	dup2(kept, STDERR_FILENO);
	close(kept);
	struct buf text = {0};
	lseek(file, 0, SEEK_SET);
	for (;;) {
		ssize_t n = read(file, buf_reserve(&text, 65536), 65536);
		if (n <= 0)
			break;
		text.size += (size_t)n;
	}
	close(file);
	buf_str(&text);
	return text;
}

static void log_one(void)
{
	log_line(LOG_LEVEL_WARNING, "link 2", "connection to %s:%d lost", "192.0.2.7", 3306);
}

/* People and log shippers read these lines: time in UTC, level, part, text, one line. */
static void test_log_line_for_people(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	setenv("TZ", "XXX-05:30", 1); /* the local time is another one */
	tzset();
	struct buf text = captured_stderr(log_one);
	struct tm utc = {0};
	int ms, end = 0;
	int n = sscanf((const char *)text.data,
	               "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ warning link 2: connection to 192.0.2.7:3306 lost%n", &utc.tm_year,
	               &utc.tm_mon, &utc.tm_mday, &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &ms, &end);
	unsetenv("TZ");
	tzset();
	assert_int_equal(n, 7);
	utc.tm_year -= 1900;
	utc.tm_mon -= 1;
	assert_in_range(timegm(&utc), clock_wall_s() - 60, clock_wall_s());
	assert_int_equal(text.size, end + 1);
	assert_string_equal((const char *)text.data + end, "\n");
	buf_free(&text);
}

/* The variable of a service is inherited by what it starts: a program whose standard error goes to a file must write
 * for people, else its log has no times. */
static void test_log_line_goes_by_the_file_not_the_variable(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "8:1", 1);
	struct buf text = captured_stderr(log_one);
	unsetenv("JOURNAL_STREAM");
	assert_non_null(strstr(buf_str(&text), "Z warning link 2: "));
	buf_free(&text);
}

/* Whoever asks the journal for one peer, one transaction or one kind of event finds the entries by these fields. */
static void test_log_entry_has_fields(void **state)
{
	(void)state;
	struct log_entry e;
	log_set_node(3);
	log_entry_fill(&e, LOG_LEVEL_ERROR, "link 2", &(struct log_fields){"1-1-5", LOG_ID_LINK_STOPPED});
	const char *const expected[] = {"PRIORITY=3",
	                                "SYSLOG_IDENTIFIER=syncline",
	                                "SYNCLINE_NODE=3",
	                                "SYNCLINE_PART=link 2",
	                                "SYNCLINE_PEER=2",
	                                "SYNCLINE_GTID=1-1-5",
	                                "MESSAGE_ID=" LOG_ID_LINK_STOPPED};
	assert_int_equal(e.count, 7);
	for (unsigned i = 0; i < e.count; i++)
		assert_string_equal(e.fields[i], expected[i]);
	log_set_node(0);
	log_entry_fill(&e, LOG_LEVEL_INFO, "tail", NULL);
	assert_int_equal(e.count, 3);
	assert_string_equal(e.fields[2], "SYNCLINE_PART=tail");
}

/* The journal stamps lines itself and takes the priority from <N>. */
static void test_log_line_for_the_journal(void **state)
{
	(void)state;
	log_set_target(LOG_TARGET_PRIORITIES);
	struct buf text = captured_stderr(log_one);
	log_set_target(LOG_TARGET_UNKNOWN);
	assert_string_equal(buf_str(&text), "<4>link 2: connection to 192.0.2.7:3306 lost\n");
	buf_free(&text);
}

static void log_odd_ones(void)
{
	char big[5000];
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = 0;
	log_line(LOG_LEVEL_DEBUG, "main", "not shown unless asked for");
	log_line(LOG_LEVEL_ERROR, "main", "near 'a\r\nb\nc'");
	log_line(LOG_LEVEL_INFO, "main", "%s", big);
	log_set_level(LOG_LEVEL_DEBUG);
	log_line(LOG_LEVEL_DEBUG, "main", "shown");
	log_set_level(LOG_LEVEL_INFO);
}

/* A server's error text holds line breaks and whole statements: it must not forge a second log line, nor overrun the
 * line, nor swallow the line behind it. */
static void test_log_line_is_always_one_line(void **state)
{
	(void)state;
	log_set_target(LOG_TARGET_PRIORITIES);
	struct buf text = captured_stderr(log_odd_ones);
	log_set_target(LOG_TARGET_UNKNOWN);
	char *next = (char *)text.data;
	assert_string_equal(strsep(&next, "\n"), "<3>main: near 'a  b c'");
	const char *big = strsep(&next, "\n");
	assert_memory_equal(big, "<6>main: xxxx", 13);
	assert_true(strlen(big) > 1000 && strlen(big) < 2000);
	assert_int_equal(strspn(big + 9, "x"), strlen(big) - 9);
	assert_string_equal(strsep(&next, "\n"), "<7>main: shown");
	assert_string_equal(next, "");
	buf_free(&text);
}

enum { LOG_LINES = 300 };

static void *log_many_main(void *who)
{
	for (int i = 0; i < LOG_LINES; i++)
		log_line(LOG_LEVEL_INFO, who, "%0200d.", i);
	return NULL;
}

static void log_from_two_threads(void)
{
	pthread_t threads[2];
	static char names[2][8] = {"link 1", "link 2"};
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, log_many_main, names[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

/* All links write to one standard error: lines mixed up in each other are useless to whoever looks for the cause. */
static void test_log_lines_of_two_threads_stay_whole(void **state)
{
	(void)state;
	log_set_target(LOG_TARGET_PRIORITIES);
	struct buf text = captured_stderr(log_from_two_threads);
	log_set_target(LOG_TARGET_UNKNOWN);
	int seen[2] = {0, 0};
	char *next = (char *)text.data, *line;
	while ((line = strsep(&next, "\n")) != NULL && *line != 0) {
		int who, number, end = 0;
		assert_int_equal(sscanf(line, "<6>link %1d: %200d.%n", &who, &number, &end), 2);
		assert_int_equal(end, strlen(line));
		assert_in_range(who, 1, 2);
		assert_int_equal(number, seen[who - 1]++);
	}
	assert_int_equal(seen[0], LOG_LINES);
	assert_int_equal(seen[1], LOG_LINES);
	buf_free(&text);
}

/* ---- clock and memory ---- */

/* Back-off and heartbeats count on it: time that goes back, or a sleep that ends early, is a busy loop against a peer
 * that is down. */
static void test_clock(void **state)
{
	(void)state;
	int64_t last = clock_monotonic_us();
	for (int i = 0; i < 10000; i++) {
		int64_t now = clock_monotonic_us();
		assert_true(now >= last);
		last = now;
	}
	int64_t start = clock_monotonic_us();
	clock_sleep_ms(20);
	assert_true(clock_monotonic_us() - start >= 20000);
	clock_sleep_ms(0);
	struct timespec t;
	int64_t before_ms = clock_monotonic_ms(), before_us = clock_monotonic_us();
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t after_us = clock_monotonic_us(), after_ms = clock_monotonic_ms();
	assert_in_range((int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000, before_us, after_us);
	assert_in_range((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000, before_ms, after_ms);
	assert_true(clock_wall_s() > 1700000000);
}

/* Structs are taken as zeroed when new; a size of zero must still give a pointer that can be freed. */
static void test_mem(void **state)
{
	(void)state;
	uint8_t *bytes = mem_alloc(1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bytes[i], 0);
	memset(bytes, 7, 1000);
	bytes = mem_resize(bytes, 100000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bytes[i], 7);
	free(bytes);
	free(mem_alloc(0));
	free(mem_resize(NULL, 0));
	free(mem_resize(mem_alloc(10), 0));
	char *copy = mem_strdup("node 1");
	assert_string_equal(copy, "node 1");
	free(copy);
	char *text = mem_printf("%s/%05d", "dir", 42);
	assert_string_equal(text, "dir/00042");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_buf_integers_are_little_endian),
	    cmocka_unit_test(test_buf_keeps_every_byte_while_it_grows),
	    cmocka_unit_test(test_buf_append_of_nothing_is_nothing),
	    cmocka_unit_test(test_buf_str_ends_the_text_and_does_not_count),
	    cmocka_unit_test(test_buf_printf_fits_at_every_size),
	    cmocka_unit_test(test_buf_base64_known_vectors),
	    cmocka_unit_test(test_buf_base64_every_byte_and_length),
	    cmocka_unit_test(test_buf_clear_keeps_and_shrink_gives_back),
	    cmocka_unit_test(test_cursor_reads_each_width),
	    cmocka_unit_test(test_cursor_short_reads_fail_and_stick),
	    cmocka_unit_test(test_cursor_huge_lengths_fail),
	    cmocka_unit_test(test_cursor_nothing_can_be_read_from_nothing),
	    cmocka_unit_test(test_cursor_sub_stays_inside),
	    cmocka_unit_test(test_cursor_fail_leaves_nothing),
	    cmocka_unit_test(test_varint_round_trip),
	    cmocka_unit_test(test_varint_overflow_fails),
	    cmocka_unit_test(test_lenenc),
	    cmocka_unit_test(test_lenenc_round_trip),
	    cmocka_unit_test(test_queue_keeps_order_and_bounds_of_records),
	    cmocka_unit_test(test_queue_take_waits_as_long_as_told),
	    cmocka_unit_test(test_queue_close_drains_then_ends),
	    cmocka_unit_test(test_queue_reopen_starts_empty),
	    cmocka_unit_test(test_queue_two_threads_wrap_around_within_the_limit),
	    cmocka_unit_test(test_queue_two_threads_records_larger_than_the_queue),
	    cmocka_unit_test(test_queue_returns_to_its_limit_after_a_large_record),
	    cmocka_unit_test(test_queue_gives_the_memory_of_a_large_record_back),
	    cmocka_unit_test(test_queue_close_wakes_a_blocked_putter),
	    cmocka_unit_test(test_queue_close_wakes_a_waiting_taker),
	    cmocka_unit_test(test_err_set_and_wrap),
	    cmocka_unit_test(test_err_set_without_a_struct),
	    cmocka_unit_test(test_err_long_messages_are_cut),
	    cmocka_unit_test(test_err_codes_are_retryable_or_final),
	    cmocka_unit_test(test_log_line_for_people),
	    cmocka_unit_test(test_log_line_goes_by_the_file_not_the_variable),
	    cmocka_unit_test(test_log_entry_has_fields),
	    cmocka_unit_test(test_log_line_for_the_journal),
	    cmocka_unit_test(test_log_line_is_always_one_line),
	    cmocka_unit_test(test_log_lines_of_two_threads_stay_whole),
	    cmocka_unit_test(test_clock),
	    cmocka_unit_test(test_mem),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
