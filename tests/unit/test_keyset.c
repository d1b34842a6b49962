/* Keys of rows that a comparison sets aside: one that isn't found again would be taken for a row that nobody is writing, and a difference
 * would be reported, or missed, that is merely on its way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "verify/keyset.h"

static struct buf pack(const char *number, const char *text)
{
	struct buf key = {0};
	keyset_pack(&key, number, strlen(number), true);
	keyset_pack(&key, text, strlen(text), false);
	return key;
}

/* Thousands of keys, through several growths: each is found with its own payload, others are not. */
static void test_finds_what_was_added(void **state)
{
	(void)state;
	enum { COUNT = 5000 };
	struct keyset set = {.payload = 2};
	char text[16];
	for (int i = 0; i < COUNT; i++) {
		snprintf(text, sizeof text, "%d", i);
		struct buf key = pack(text, "x");
		size_t at = keyset_add(&set, key.data, key.size);
		assert_int_equal(at, i);
		assert_int_equal(keyset_payload(&set, at)[0] | keyset_payload(&set, at)[1], 0);
		keyset_payload(&set, at)[1] = (uint8_t)i;
		assert_int_equal(keyset_add(&set, key.data, key.size), i);
		buf_free(&key);
	}
	assert_int_equal(set.count, COUNT);
	for (int i = 0; i < 2 * COUNT; i++) {
		size_t at = 0;
		snprintf(text, sizeof text, "%d", i);
		struct buf key = pack(text, "x");
		assert_int_equal(keyset_find(&set, key.data, key.size, &at), i < COUNT);
		if (i < COUNT)
			assert_int_equal(keyset_payload(&set, at)[1], (uint8_t)i);
		buf_free(&key);
	}
	keyset_clear(&set);
	size_t at;
	struct buf key = pack("5", "x");
	assert_false(keyset_find(&set, key.data, key.size, &at));
	assert_int_equal(keyset_add(&set, key.data, key.size), 0);
	assert_int_equal(keyset_payload(&set, 0)[1], 0);
	buf_free(&key);
	keyset_free(&set);
}

/* A number is one key whether a log or a SELECT shows it; texts are what they are. */
static void test_numbers_have_one_form(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
	    {"00042", "42"}, {"-0042", "-42"}, {"000", "0"}, {"0.50", "0.50"}, {"000.50", "0.50"}};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct buf a = pack(pairs[i][0], "0"), b = pack(pairs[i][1], "0");
		assert_int_equal(a.size, b.size);
		assert_memory_equal(a.data, b.data, a.size);
		buf_free(&a);
		buf_free(&b);
	}
	struct buf a = pack("1", "007"), b = pack("1", "7");
	assert_int_not_equal(a.size, b.size);
	buf_free(&a);
	buf_free(&b);
}

/* Two columns' values are told apart: ("1","23") isn't ("12","3"). A key that was cut is not read beyond its end. */
static void test_unpacks_columns(void **state)
{
	(void)state;
	struct buf key = pack("12", "3");
	const uint8_t *at = key.data, *value;
	size_t size = key.size, value_size;
	assert_true(keyset_unpack(&at, &size, &value, &value_size));
	assert_int_equal(value_size, 2);
	assert_memory_equal(value, "12", 2);
	assert_true(keyset_unpack(&at, &size, &value, &value_size));
	assert_int_equal(value_size, 1);
	assert_false(keyset_unpack(&at, &size, &value, &value_size));
	for (size_t cut = 0; cut < 6; cut++) {
		at = key.data;
		size = cut;
		assert_false(keyset_unpack(&at, &size, &value, &value_size));
	}
	struct buf other = pack("1", "23");
	assert_true(other.size == key.size && memcmp(other.data, key.data, key.size) != 0);
	buf_free(&other);
	buf_free(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_finds_what_was_added),
	    cmocka_unit_test(test_numbers_have_one_form),
	    cmocka_unit_test(test_unpacks_columns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
