/* When two contents are one key. tests/binlog/test_keys.py compares with a real server; here is what needs none: odd
 * bytes, ends of texts, pages that are missing, and that the merge engine asks the rules. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "merge/keyrule.h"
#include "merge/merge_parts.h"

/* Weights as a simple collation has them: letters without their case, two bytes each; U+00DF is "ss", U+0000 nothing,
 * U+00A0 a blank. */
static struct weights *simple_weights(unsigned level_count)
{
	static uint8_t bytes[WEIGHTS_LEVELS_MAX * WEIGHTS_PAGE_SIZE][2];
	struct weight all[WEIGHTS_LEVELS_MAX * WEIGHTS_PAGE_SIZE];
	for (unsigned i = 0; i < level_count * WEIGHTS_PAGE_SIZE; i++) {
		unsigned character = i % WEIGHTS_PAGE_SIZE, level = i / WEIGHTS_PAGE_SIZE;
		bool is_lower = character >= 'a' && character <= 'z';
		bytes[i][0] = (uint8_t)(1 + level);
		bytes[i][1] = (uint8_t)(level > 0 ? is_lower : is_lower ? character - 'a' + 'A' : character);
		all[i] = (struct weight){.bytes = bytes[i], .size = 2};
	}
	static const uint8_t sharp_s[] = {1, 'S', 1, 'S'}, blank[] = {1, ' '};
	all[0xdf] = (struct weight){.bytes = sharp_s, .size = sizeof sharp_s};
	all[0xa0] = (struct weight){.bytes = blank, .size = sizeof blank};
	all[0].size = 0;
	struct weights *weights = weights_new(level_count);
	weights_add(weights, 0, all);
	return weights;
}

static bool one_key(const struct key_rule *rule, const char *a, size_t a_size, const char *b, size_t b_size)
{
	/* Of exactly their size, so that ASan sees a byte too far. */
	uint8_t *x = mem_alloc(a_size), *y = mem_alloc(b_size);
	memcpy(x, a, a_size);
	memcpy(y, b, b_size);
	struct buf of_a = {0}, of_b = {0};
	key_rule_append(rule, x, a_size, &of_a);
	key_rule_append(rule, y, b_size, &of_b);
	bool equal = of_a.size == of_b.size && (of_a.size == 0 || memcmp(of_a.data, of_b.data, of_a.size) == 0);
	buf_free(&of_a);
	buf_free(&of_b);
	free(x);
	free(y);
	return equal;
}

#define ONE_KEY(rule, a, b) one_key(rule, a, sizeof a - 1, b, sizeof b - 1)

/* A blank too many at the end of a card's number would be another card here and the same one for the server. */
static void test_blanks_at_the_end(void **state)
{
	(void)state;
	struct weights *weights = simple_weights(1);
	struct key_rule pad = {.form = KEY_TEXT, .charset = CHARSET_UTF8, .pad_space = true, .weights = weights};
	struct key_rule nopad = pad;
	nopad.pad_space = false;
	assert_true(ONE_KEY(&pad, "a1b2", "A1B2  "));
	assert_true(ONE_KEY(&pad, "", "   "));
	assert_true(ONE_KEY(&pad, "a", "a\xc2\xa0")); /* it weighs what a blank weighs */
	assert_true(ONE_KEY(&pad, "a", "a \0"));      /* what weighs nothing doesn't end the blanks */
	assert_false(ONE_KEY(&pad, "a", " a"));
	assert_false(ONE_KEY(&pad, "a b", "ab"));
	assert_false(ONE_KEY(&nopad, "a", "a "));
	assert_true(ONE_KEY(&nopad, "a b", "A B"));
	pad.weights = nopad.weights = NULL;
	assert_true(ONE_KEY(&pad, "a", "a "));
	assert_false(ONE_KEY(&pad, "a", "A"));
	assert_false(ONE_KEY(&nopad, "a", "a "));
	pad.charset = CHARSET_UTF16;
	assert_true(ONE_KEY(&pad, "\0a", "\0a\0 "));
	assert_false(ONE_KEY(&pad, "\0a", "\0a \0")); /* U+2000 */
	pad.charset = CHARSET_UTF16LE;
	assert_true(ONE_KEY(&pad, "a\0", "a\0 \0"));
	weights_free(weights);
}

/* An index on the first characters refuses a second row as soon as these are equal; counted in bytes, umlauts would be
 * two. */
static void test_prefixes_are_characters(void **state)
{
	(void)state;
	struct weights *weights = simple_weights(1);
	struct key_rule rule = {.form = KEY_TEXT, .prefix_characters = 2, .charset = CHARSET_UTF8, .weights = weights};
	assert_true(ONE_KEY(&rule, "\xc3\xa4\xc3\xb6x", "\xc3\xa4\xc3\xb6y"));
	assert_false(ONE_KEY(&rule, "\xc3\xa4\xc3\xb6", "\xc3\xa4\xc3\xbc"));
	assert_true(ONE_KEY(&rule, "ab", "ABC"));
	assert_false(ONE_KEY(&rule, "a", "ab"));
	rule.weights = NULL;
	assert_true(ONE_KEY(&rule, "\xf0\x9f\x98\x80\xf0\x9f\x98\x81\xf0", "\xf0\x9f\x98\x80\xf0\x9f\x98\x81"));
	rule.charset = CHARSET_UTF16;
	assert_true(ONE_KEY(&rule, "\xd8\x3d\xde\x00\0ab", "\xd8\x3d\xde\x00\0ac"));
	rule.charset = CHARSET_UCS2;
	assert_false(ONE_KEY(&rule, "\0a\0b", "\0a\0c"));
	assert_true(ONE_KEY(&rule, "\0a\0b\0c", "\0a\0b\0d"));
	rule.charset = CHARSET_SHIFT_JIS;
	assert_true(ONE_KEY(&rule, "\x82\xa0\xb1x", "\x82\xa0\xb1y")); /* two bytes, then a half-width one */
	rule.charset = CHARSET_EUC_JP;
	assert_true(ONE_KEY(&rule, "\x8f\xb0\xa1\x8e\xb1x", "\x8f\xb0\xa1\x8e\xb1y"));
	rule = (struct key_rule){.prefix_characters = 2}; /* binary */
	assert_true(ONE_KEY(&rule, "abc", "abd"));
	assert_false(ONE_KEY(&rule, "ab", "a"));
	weights_free(weights);
}

/* "straße" and "STRASSE" are one name to some collations. A case-sensitive collation has further levels: what is equal
 * on the first one is told apart by the next, and no weight may pass from one level to another. */
static void test_weights_and_levels(void **state)
{
	(void)state;
	struct weights *one = simple_weights(1), *two = simple_weights(2);
	struct key_rule rule = {.form = KEY_TEXT, .charset = CHARSET_SINGLE_BYTE, .pad_space = true, .weights = one};
	assert_true(ONE_KEY(&rule,
	                    "stra\xdf"
	                    "e",
	                    "STRASSE"));
	rule.weights = two;
	assert_true(ONE_KEY(&rule, "ab", "ab "));
	assert_false(ONE_KEY(&rule, "ab", "aB"));
	assert_false(ONE_KEY(&rule, "ab", "Ab"));
	weights_free(one);
	weights_free(two);
}

/* -0.0 and 0.0 are one value of a unique DOUBLE; the sign of any other number counts. */
static void test_minus_zero(void **state)
{
	(void)state;
	struct key_rule rule = {.form = KEY_REAL};
	assert_true(ONE_KEY(&rule, "\0\0\0\0\0\0\0\x80", "\0\0\0\0\0\0\0\0"));
	assert_true(ONE_KEY(&rule, "\0\0\0\x80", "\0\0\0\0"));
	assert_false(ONE_KEY(&rule, "\0\0\x80\xbf", "\0\0\x80\x3f"));
	assert_false(ONE_KEY(&rule, "\1\0\0\x80", "\1\0\0\0")); /* the smallest there is */
	assert_true(ONE_KEY(&rule, "", ""));
}

/* A character whose weights aren't here yet has to be noticed before its key is made: two threads would else give one
 * row two keys. What no key has needs no weights. */
static void test_missing_pages_are_named(void **state)
{
	(void)state;
	struct weights *weights = simple_weights(1);
	struct key_rule rule = {.form = KEY_TEXT, .charset = CHARSET_UTF8, .weights = weights};
	static const uint8_t text[] = "ab\xf0\x9f\x98\x80";
	uint32_t page = 0;
	assert_false(key_rule_missing(&rule, text, 2, &page));
	assert_true(key_rule_missing(&rule, text, sizeof text - 1, &page));
	assert_int_equal(page, 0x1f6);
	rule.prefix_characters = 2;
	assert_false(key_rule_missing(&rule, text, sizeof text - 1, &page));
	rule.prefix_characters = 0;
	struct weight all[WEIGHTS_PAGE_SIZE];
	for (size_t i = 0; i < WEIGHTS_PAGE_SIZE; i++)
		all[i] = (struct weight){.bytes = (const uint8_t *)"\xff\xfd", .size = 2};
	weights_add(weights, page, all);
	assert_false(key_rule_missing(&rule, text, sizeof text - 1, &page));
	assert_true(ONE_KEY(&rule, "a\xf0\x9f\x98\x80", "A\xf0\x9f\x98\x81"));
	all[0].size = 0;
	weights_add(weights, page, all); /* a second thread had asked for it, too */
	assert_int_equal(weights_of(weights, 0, page * WEIGHTS_PAGE_SIZE).size, 2);
	weights_free(weights);
}

/* Foreign bytes that are no text of the character set: none is read that isn't there, none is lost, no number is beyond
 * the pages. */
static void test_bytes_that_are_no_text(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {0xff, 0xc3, 0x00, 0xf4, 0x90, 0x80, 0x80, 0xe3, 0x81,
	                                0x8f, 0xa1, 0xd8, 0x00, 0x82, 0xc3, 0xf0, 0x9f};
	for (unsigned charset = CHARSET_SINGLE_BYTE; charset <= CHARSET_EUC_JP; charset++)
		for (size_t from = 0; from < sizeof bytes; from++) {
			uint8_t *copy = mem_alloc(sizeof bytes - from);
			memcpy(copy, bytes + from, sizeof bytes - from);
			struct cursor c = cursor_of(copy, sizeof bytes - from);
			while (cursor_left(&c) > 0) {
				size_t left = cursor_left(&c);
				assert_true(charset_next((enum charset)charset, &c) < CHARSET_CHARACTERS);
				assert_true(cursor_ok(&c) && cursor_left(&c) < left);
			}
			free(copy);
		}
	struct cursor c = cursor_of("\xc3\xa4\xc3", 3);
	assert_int_equal(charset_next(CHARSET_UTF8, &c), 0xe4);
	assert_int_equal(charset_next(CHARSET_UTF8, &c), 0xc3);
}

enum { LAST_PAGE = 200 };

static void *add_pages(void *weights)
{
	struct weight all[WEIGHTS_PAGE_SIZE];
	uint8_t bytes[2];
	for (size_t i = 0; i < WEIGHTS_PAGE_SIZE; i++)
		all[i] = (struct weight){.bytes = bytes, .size = 2};
	for (uint32_t page = 1; page <= LAST_PAGE; page++) {
		bytes[0] = bytes[1] = (uint8_t)page;
		weights_add(weights, page, all);
	}
	return NULL;
}

/* Links make keys while one of them adds what it met. Whoever saw a page half filled would make another key of the same
 * row (on a machine that reorders stores, and TSan tells on any). */
static void test_pages_are_added_while_others_read(void **state)
{
	(void)state;
	struct weights *weights = simple_weights(1);
	pthread_t thread;
	bool whole = true;
	assert_int_equal(pthread_create(&thread, NULL, add_pages, weights), 0);
	for (uint32_t page = 1; page <= LAST_PAGE; page++) {
		while (!weights_has(weights, page))
			sched_yield();
		struct weight last = weights_of(weights, 0, page * WEIGHTS_PAGE_SIZE + WEIGHTS_PAGE_SIZE - 1);
		whole = whole && last.size == 2 && last.bytes[0] == page && last.bytes[1] == page;
	}
	pthread_join(thread, NULL);
	assert_true(whole);
	weights_free(weights);
}

static void test_character_sets_by_name(void **state)
{
	(void)state;
	enum charset charset;
	assert_true(charset_find("utf8mb3", 3, &charset));
	assert_int_equal(charset, CHARSET_UTF8);
	assert_true(charset_find("koi8r", 1, &charset));
	assert_int_equal(charset, CHARSET_SINGLE_BYTE);
	assert_false(
	    charset_find("gb18030", 4, &charset)); /* where characters end isn't known: no key rather than a wrong one */
}

/* Without it, the engine finds no conflict in two cards that the server takes for one, and doesn't find the row of
 * 'ABC' when a peer writes 'abc'. */
static void test_the_engine_compares_by_rules(void **state)
{
	(void)state;
	struct weights *weights = simple_weights(1);
	struct key_rule rule = {.form = KEY_TEXT, .charset = CHARSET_UTF8, .pad_space = true, .weights = weights};
	struct merge_columns name = {.count = 1, .columns = (const uint32_t[]){0}, .rules = &rule};
	struct merge_reference to_itself = {.columns = name, .parent = 5};
	struct merge_table table = {.id = 5,
	                            .column_count = 1,
	                            .key = name,
	                            .unique_count = 1,
	                            .uniques = &name,
	                            .reference_count = 1,
	                            .references = &to_itself};
	struct content lower = {.bytes = (const uint8_t *)"card", .size = 4};
	struct content upper = {.bytes = (const uint8_t *)"CARD ", .size = 5};
	struct content none = {.is_null = true};
	uint64_t a, b;
	assert_true(merge_row_key(&table, &lower) == merge_row_key(&table, &upper));
	assert_true(merge_unique_tie(&table, &lower, 0, &a) && merge_unique_tie(&table, &upper, 0, &b));
	assert_true(a == b);
	assert_true(merge_parent_key(&table, &upper, 0, &a));
	assert_true(a == merge_row_key(&table, &lower));
	assert_false(merge_unique_tie(&table, &none, 0, &a));
	/* Which of two rows comes first is said alike on every node, however each first saw the rows. */
	struct content other = {.bytes = (const uint8_t *)"Door", .size = 4};
	struct image *one = image_new(&table, &lower), *same = image_new(&table, &upper), *next = image_new(&table, &other);
	assert_int_equal(image_key_order(&table, one, same), 0);
	assert_true(image_key_order(&table, one, next) < 0 && image_key_order(&table, next, same) > 0);
	image_release(one);
	image_release(same);
	image_release(next);
	table.key.rules = NULL;
	assert_false(merge_row_key(&table, &lower) == merge_row_key(&table, &upper));
	weights_free(weights);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_blanks_at_the_end),
	    cmocka_unit_test(test_prefixes_are_characters),
	    cmocka_unit_test(test_weights_and_levels),
	    cmocka_unit_test(test_minus_zero),
	    cmocka_unit_test(test_missing_pages_are_named),
	    cmocka_unit_test(test_bytes_that_are_no_text),
	    cmocka_unit_test(test_character_sets_by_name),
	    cmocka_unit_test(test_pages_are_added_while_others_read),
	    cmocka_unit_test(test_the_engine_compares_by_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
