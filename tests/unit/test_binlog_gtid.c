/* src/binlog/gtid: positions in the logs of all nodes. A vector that is wrong by one means a transaction lost or
 * applied twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "binlog/gtid.h"

static struct gtid gtid(uint32_t domain, uint32_t server, uint64_t seq)
{
	return (struct gtid){.domain = domain, .server = server, .seq = seq};
}

static struct vector vector(const char *text)
{
	struct vector v;
	struct err err;
	if (vector_parse(text, &v, &err) != ERR_OK)
		fail_msg("%s", err.message);
	return v;
}

static void assert_vector(const struct vector *v, const char *text)
{
	struct buf buf = {0};
	vector_format(v, &buf);
	assert_string_equal(buf_str(&buf), text);
	buf_free(&buf);
}

/* A GTID of a peer is taken from its text in the manifest and in commands: the largest must fit, and come out the
 * same. */
static void test_gtid_round_trip(void **state)
{
	(void)state;
	static const char *const texts[] = {"0-0-0", "1-2-3", "4294967295-4294967295-18446744073709551615"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct gtid g;
		struct err err;
		char text[GTID_TEXT_MAX];
		assert_int_equal(gtid_parse(texts[i], &g, &err), ERR_OK);
		assert_string_equal(gtid_format(&g, text), texts[i]);
	}
}

/* An operator's typing error must not become another position, a number too large must not become a small one. */
static void test_gtid_refuses_what_is_none(void **state)
{
	(void)state;
	static const char *const texts[] = {"",
	                                    "1",
	                                    "1-2",
	                                    "1-2-",
	                                    "-1-2-3",
	                                    "1--2-3",
	                                    "1-2-3-4",
	                                    "1-2-3 ",
	                                    " 1-2-3",
	                                    "+1-2-3",
	                                    "1-2-3,",
	                                    "a-b-c",
	                                    "0x1-2-3",
	                                    "1-2-3x",
	                                    "4294967296-1-1",
	                                    "1-4294967296-1",
	                                    "1-1-18446744073709551616",
	                                    "1-1-99999999999999999999999"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct gtid g = gtid(9, 9, 9);
		struct err err;
		assert_int_equal(gtid_parse(texts[i], &g, &err), ERR_MALFORMED);
		assert_int_equal(g.seq, 9);
		assert_non_null(strstr(err.message, "domain-server-sequence"));
	}
}

/* What MariaDB shows as @@gtid_binlog_pos, and what people type, with blanks and in any order. */
static void test_vector_parse_sorts(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
	    {"", ""},      {"  ", ""}, {"0-1-5,1-1-7", "0-1-5,1-1-7"}, {" 7-1-2 ,\n 0-1-5\t, 3-2-1 ", "0-1-5,3-2-1,7-1-2"},
	    {"1-1-0", ""}, /* nothing of the domain has been seen */
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct vector v = vector(pairs[i][0]);
		assert_vector(&v, pairs[i][1]);
	}
}

/* A cursor that is silently shorter than what was written starts the stream in the wrong place. */
static void test_vector_refuses_what_is_none(void **state)
{
	(void)state;
	static const char *const texts[] = {",",           "1-1-1,",      ",1-1-1", "1-1-1,,2-1-1",
	                                    "1-1-1 2-1-1", "1-1-1;2-1-1", "x",      "1-1-1,1-2-5"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct vector v = vector("5-5-5");
		struct err err;
		assert_int_equal(vector_parse(texts[i], &v, &err), ERR_MALFORMED);
		assert_vector(&v, "5-5-5");
	}
}

/* The heart of "what is there already is skipped": ahead, behind, unknown domain, first and last one. */
static void test_vector_advance_and_has(void **state)
{
	(void)state;
	struct vector v = {0};
	struct err err;
	static const struct gtid steps[] = {{5, 1, 10}, {1, 1, 3}, {9, 1, 1}, {5, 2, 9}, {5, 2, 11}, {1, 1, 3}, {4, 1, 0}};
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		assert_int_equal(vector_advance(&v, &steps[i], &err), ERR_OK);
	assert_vector(&v, "1-1-3,5-2-11,9-1-1");
	assert_int_equal(vector_seq(&v, 5), 11);
	assert_int_equal(vector_seq(&v, 0), 0);
	assert_int_equal(vector_seq(&v, 6), 0);
	assert_int_equal(vector_seq(&v, 10), 0);
	assert_true(vector_has(&v, &(struct gtid){5, 9, 11}));
	assert_true(vector_has(&v, &(struct gtid){1, 9, 1}));
	assert_false(vector_has(&v, &(struct gtid){5, 9, 12}));
	assert_false(vector_has(&v, &(struct gtid){2, 9, 1}));
}

/* The room is fixed: one domain too many must be said, not written past the end. */
static void test_vector_is_full(void **state)
{
	(void)state;
	struct vector v = {0};
	struct err err;
	for (uint32_t i = VECTOR_DOMAINS_MAX; i > 0; i--) {
		struct gtid g = gtid(2 * i, 1, i);
		assert_int_equal(vector_advance(&v, &g, &err), ERR_OK);
	}
	struct gtid one_more = gtid(3, 1, 1), known = gtid(4, 1, 1000);
	struct vector before = v;
	assert_int_equal(vector_advance(&v, &one_more, &err), ERR_UNSUPPORTED);
	assert_true(vector_equal(&v, &before));
	assert_int_equal(vector_advance(&v, &known, &err), ERR_OK);
	assert_int_equal(vector_seq(&v, 4), 1000);
	struct vector other = {.count = 1, .gtids = {{3, 1, 1}}};
	assert_int_equal(vector_merge(&v, &other, &err), ERR_UNSUPPORTED);
}

/* Whether a peer knew of a write is this question. */
static void test_vector_covers(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool covers;
	} cases[] = {
	    {"", "", true},
	    {"1-1-1", "", true},
	    {"", "1-1-1", false},
	    {"1-1-2", "1-1-1", true},
	    {"1-1-1", "1-1-2", false},
	    {"1-1-5,2-1-5", "2-1-5", true},
	    {"1-1-5", "1-1-1,2-1-1", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct vector a = vector(cases[i].a), b = vector(cases[i].b);
		assert_int_equal(vector_covers(&a, &b), cases[i].covers);
	}
}

/* What all nodes have is the minimum, what all of them together have is the merge. */
static void test_vector_min_and_merge(void **state)
{
	(void)state;
	struct vector a = vector("1-1-5,2-1-3,4-1-1"), b = vector("0-1-9,2-2-2,4-2-8,5-1-1");
	struct err err;
	struct vector min = vector_min(&a, &b);
	assert_vector(&min, "2-2-2,4-1-1");
	assert_int_equal(vector_merge(&a, &b, &err), ERR_OK);
	assert_vector(&a, "0-1-9,1-1-5,2-1-3,4-2-8,5-1-1");
	struct vector none = {0};
	min = vector_min(&a, &none);
	assert_int_equal(min.count, 0);
}

/* The same seq of two servers is two transactions. */
static void test_vector_equal(void **state)
{
	(void)state;
	struct vector a = vector("1-1-5,2-1-3"), b = a;
	assert_true(vector_equal(&a, &b));
	b.gtids[1].server = 2;
	assert_false(vector_equal(&a, &b));
	b = vector("1-1-5");
	assert_false(vector_equal(&a, &b));
}

/* The manifest travels to peers: every prefix of it and every wrong order must be refused. */
static void test_vector_encode_and_decode(void **state)
{
	(void)state;
	struct vector v = vector("0-1-5,127-128-16384,4294967295-4294967295-18446744073709551615"), again;
	struct buf buf = {0};
	struct err err;
	vector_encode(&v, &buf);
	size_t size = buf.size;
	buf_append_u8(&buf, 0xaa); /* what follows it isn't its own */
	struct cursor c = cursor_of(buf.data, buf.size);
	assert_int_equal(vector_decode(&c, &again, &err), ERR_OK);
	assert_true(vector_equal(&v, &again));
	assert_int_equal(cursor_left(&c), 1);
	for (size_t cut = 0; cut < size; cut++) {
		c = cursor_of(buf.data, cut);
		assert_int_equal(vector_decode(&c, &again, &err), ERR_MALFORMED);
	}
	buf_free(&buf);
}

/* The applier has the server compare vectors as text. In another order than the server's own every comparison would fail, and
 * each transaction would cost a round trip more. */
static void test_vector_format_like(void **state)
{
	(void)state;
	struct vector vector;
	struct err err;
	struct buf text = {0};
	assert_int_equal(vector_parse("1-1-5,2-2-7,30-3-9", &vector, &err), ERR_OK);
	static const char *const rows[][2] = {
	    {"", "1-1-5,2-2-7,30-3-9"},
	    {"30-3-1,1-1-1,2-2-2", "30-3-9,1-1-5,2-2-7"},
	    {"2-2-2", "2-2-7,1-1-5,30-3-9"},
	    {"9-9-9,30-3-9", "30-3-9,1-1-5,2-2-7"},
	    {"2-2-2,2-2-2,,x", "2-2-7,1-1-5,30-3-9"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		buf_clear(&text);
		vector_format_like(&vector, rows[i][0], &text);
		assert_string_equal(buf_str(&text), rows[i][1]);
	}
	buf_free(&text);
}

static void test_vector_decode_refuses_garbled(void **state)
{
	(void)state;
	static const uint8_t cases[][8] = {
	    {2, 5, 1, 1, 5, 1, 1},                   /* the domain twice */
	    {2, 5, 1, 1, 4, 1, 1},                   /* descending */
	    {1, 5, 1, 0},                            /* no seq */
	    {65, 5, 1, 1},                           /* more than there can be */
	    {1, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 1}, /* a domain of 35 bits */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct vector v = vector("5-5-5");
		struct err err;
		struct cursor c = cursor_of(cases[i], sizeof cases[i]);
		assert_int_equal(vector_decode(&c, &v, &err), ERR_MALFORMED);
		assert_vector(&v, "5-5-5");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gtid_round_trip),        cmocka_unit_test(test_gtid_refuses_what_is_none),
	    cmocka_unit_test(test_vector_parse_sorts),     cmocka_unit_test(test_vector_refuses_what_is_none),
	    cmocka_unit_test(test_vector_advance_and_has), cmocka_unit_test(test_vector_is_full),
	    cmocka_unit_test(test_vector_covers),          cmocka_unit_test(test_vector_min_and_merge),
	    cmocka_unit_test(test_vector_equal),           cmocka_unit_test(test_vector_encode_and_decode),
	    cmocka_unit_test(test_vector_format_like),     cmocka_unit_test(test_vector_decode_refuses_garbled),
	};
	return cmocka_run_group_tests_name("binlog_gtid", tests, NULL, NULL);
}
