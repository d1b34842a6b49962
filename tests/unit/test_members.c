/* Which nodes there are, and which of two newcomers is first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/members.h"

/* Two nodes that come in by two others at once: were each let in ahead of the other, neither would be told of it,
 * and what it needs be forgotten; would each wait for the other, both would wait for ever. Every node has to decide
 * it alike. */
static void test_one_after_the_other(void **unused)
{
	(void)unused;
	static const struct row {
		struct {
			uint32_t node;
			enum member_state state;
		} members[4];
		uint32_t newcomer, ahead;
	} rows[] = {
	    {{{1, MEMBER_JOINED}, {2, MEMBER_JOINED}, {3, MEMBER_COMING}}, 3, 0},
	    {{{1, MEMBER_JOINED}, {2, MEMBER_JOINED}}, 3, 0},
	    /* the lower number first, whoever came first */
	    {{{1, MEMBER_JOINED}, {4, MEMBER_COMING}, {3, MEMBER_COMING}}, 3, 0},
	    {{{1, MEMBER_JOINED}, {4, MEMBER_COMING}, {3, MEMBER_COMING}}, 4, 3},
	    {{{5, MEMBER_COMING}, {4, MEMBER_COMING}, {3, MEMBER_COMING}}, 5, 3},
	    /* but who copies already goes on */
	    {{{1, MEMBER_JOINED}, {4, MEMBER_ADMITTED}, {3, MEMBER_COMING}}, 3, 4},
	    {{{2, MEMBER_COMING}, {4, MEMBER_ADMITTED}, {3, MEMBER_COMING}}, 3, 4},
	    /* also when it asks once more */
	    {{{1, MEMBER_JOINED}, {4, MEMBER_ADMITTED}}, 4, 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct members members = {0};
		for (size_t j = 0; j < 4 && rows[i].members[j].node != 0; j++)
			members_add(&members, &(struct member){.node = rows[i].members[j].node,
			                                       .state = rows[i].members[j].state,
			                                       .address = (char *)"10.0.0.1",
			                                       .authority = (char *)""});
		if (members_ahead(&members, rows[i].newcomer) != rows[i].ahead)
			fail_msg("row %zu", i);
		members_free(&members);
	}
}

/* A peer's list is read again and again: it is sorted, and a node is in it once. */
static void test_sorted(void **unused)
{
	(void)unused;
	static const uint32_t nodes[] = {5, 1, 3, 5, 2};
	struct members members = {0};
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
		members_add(&members,
		            &(struct member){.node = nodes[i], .address = (char *)"10.0.0.1", .authority = (char *)"x"});
	assert_int_equal(members.count, 4);
	for (size_t i = 1; i < members.count; i++)
		assert_true(members.members[i - 1].node < members.members[i].node);
	assert_null(members_find(&members, 4));
	assert_int_equal(members_find(&members, 3)->node, 3);
	members_free(&members);
	members_free(&members);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_after_the_other),
	    cmocka_unit_test(test_sorted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
