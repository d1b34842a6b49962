/* Generated ids of nodes with different steps. What is wrong here costs one of two rows that got the same id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/slots.h"

enum { NODES = 8, STEPS = 16, IDS = 2000 };

static bool meet(unsigned node, unsigned step, unsigned other, unsigned other_step)
{
	for (unsigned id = node; id < IDS; id += step)
		if (id >= other && (id - other) % other_step == 0)
			return true;
	return false;
}

/* As the servers count: an operator is refused steps with which two ids meet, and no others. */
static void test_collide(void **state)
{
	(void)state;
	for (unsigned node = 1; node <= NODES; node++)
		for (unsigned other = 1; other <= NODES; other++)
			for (unsigned step = node; step <= STEPS; step++)
				for (unsigned other_step = other; other_step <= STEPS; other_step++)
					assert_int_equal(slots_collide(node, step, other, other_step), meet(node, step, other, other_step));
}

/* What is proposed has room, is no more than it must be, and meets nobody who still has the old step. */
static void test_enough(void **state)
{
	(void)state;
	for (unsigned now = 1; now <= NODES; now++)
		for (unsigned number = 1; number <= STEPS; number++) {
			unsigned enough = slots_enough(now, number);
			assert_true(enough >= number && enough < number + now);
			for (unsigned node = 1; node <= now; node++)
				for (unsigned other = 1; other <= now; other++)
					assert_true(node == other || !slots_collide(node, enough, other, now));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_collide),
	    cmocka_unit_test(test_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
