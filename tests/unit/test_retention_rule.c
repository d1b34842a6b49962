/* src/link/retention_rule: which log files may go. One too many, and a node that was away has to be copied anew, or
 * this node forgets what it must compare with; one too few, for ever, and the disk is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "link/native_needs.h"
#include "link/retention_rule.h"

enum { FILES = 5 };

/* Five files of 100 bytes; 10 transactions of node 1 in each. */
struct fixture {
	struct retention_file files[FILES];
	struct retention_node nodes[2];
	struct retention_case c;
};

static struct vector vector_of(const char *text)
{
	struct vector vector;
	assert_int_equal(vector_parse(text, &vector, NULL), ERR_OK);
	return vector;
}

static void make(struct fixture *f)
{
	static const char *const firsts[FILES] = {"", "1-1-10", "1-1-20,3-3-7", "1-1-30,3-3-7", "1-1-40,3-3-7"};
	*f = (struct fixture){0};
	for (size_t i = 0; i < FILES; i++)
		f->files[i] = (struct retention_file){.bytes = 100, .first = vector_of(firsts[i]), .is_done = true};
	for (uint32_t i = 0; i < 2; i++)
		f->nodes[i] = (struct retention_node){.id = i + 2,
		                                      .is_peer = true,
		                                      .is_connected = true,
		                                      .has_saved = true,
		                                      .saved = vector_of("1-1-45,3-3-7"),
		                                      .known = vector_of("1-1-45,3-3-7")};
	f->c = (struct retention_case){
	    .file_count = FILES, .files = f->files, .node_count = 2, .nodes = f->nodes, .tail = vector_of("1-1-45,3-3-7")};
}

static void cut_off(struct retention_node *node, const char *has)
{
	node->is_connected = false;
	node->saved = node->known = vector_of(has);
}

static void check(const struct fixture *f, size_t agreed, size_t keep_from, uint64_t losers, enum retention_held held)
{
	struct retention_verdict v = retention_decide(&f->c);
	assert_int_equal(v.agreed, agreed);
	assert_int_equal(v.keep_from, keep_from);
	assert_int_equal(v.losers, losers);
	assert_int_equal(v.held, held);
}

static void what_nobody_needs_goes_but_not_the_active_file(void **state)
{
	(void)state;
	struct fixture f;
	make(&f);
	check(&f, 4, 4, 0, RETENTION_NOT_HELD);
	f.c.file_count = 1;
	check(&f, 0, 0, 0, RETENTION_NOT_HELD);
}

/* In a file that it is in the middle of, and at the first transaction of one. */
static void a_peers_saved_position_keeps_its_file(void **state)
{
	(void)state;
	struct fixture f;
	make(&f);
	f.nodes[1].saved = vector_of("1-1-29,3-3-7");
	check(&f, 2, 2, 0, RETENTION_NOT_HELD);
	f.nodes[1].saved = vector_of("1-1-30,3-3-7");
	check(&f, 3, 3, 0, RETENTION_NOT_HELD);
	f.nodes[1].saved = vector_of("1-1-30"); /* the server wants every origin in it */
	check(&f, 1, 1, 0, RETENTION_NOT_HELD);
	f.nodes[1].saved.count = 0;
	check(&f, 0, 0, 0, RETENTION_NOT_HELD);
}

/* After a start of the daemon a peer that is away may need everything. */
static void a_peer_that_said_nothing_keeps_everything(void **state)
{
	(void)state;
	struct fixture f;
	make(&f);
	f.nodes[0].has_saved = f.nodes[0].is_connected = false;
	check(&f, 0, 0, 0, RETENTION_NOT_HELD);
	f.c.bytes_max = 250;
	check(&f, 0, 3, RETENTION_BIT(2), RETENTION_NOT_HELD);
}

static void the_tails_start_keeps_its_file(void **state)
{
	(void)state;
	struct fixture f;
	make(&f);
	f.c.tail = vector_of("1-1-19,3-3-7");
	check(&f, 1, 1, 0, RETENTION_NOT_HELD);
	f.c.tail.count = 0;
	check(&f, 0, 0, 0, RETENTION_NOT_HELD);
}

/* Only as many as it takes, and who loses by just those is named. */
static void a_limit_takes_the_oldest(void **state)
{
	(void)state;
	struct fixture f;
	make(&f);
	cut_off(&f.nodes[0], "1-1-5");
	cut_off(&f.nodes[1], "1-1-25,3-3-7");
	f.c.tail = vector_of("1-1-5");
	f.c.bytes_max = 500;
	check(&f, 0, 0, 0, RETENTION_NOT_HELD);
	f.c.bytes_max = 499;
	check(&f, 0, 1, RETENTION_BIT(2), RETENTION_NOT_HELD);
	f.c.bytes_max = 200;
	check(&f, 0, 3, RETENTION_BIT(2) | RETENTION_BIT(3), RETENTION_NOT_HELD);
	f.c.bytes_max = 0;
	f.c.bytes_short = 101;
	check(&f, 0, 2, RETENTION_BIT(2), RETENTION_NOT_HELD);
	f.c.bytes_short = 401;
	check(&f, 0, 4, RETENTION_BIT(2) | RETENTION_BIT(3), RETENTION_HELD_BY_ACTIVE);
}

static void a_limit_takes_nothing_that_is_still_to_be_done(void **state)
{
	(void)state;
	struct fixture f;
	make(&f);
	cut_off(&f.nodes[0], "1-1-5");
	f.c.tail = vector_of("1-1-5");
	f.c.bytes_max = 100;
	f.files[3].is_done = f.files[4].is_done = false;
	check(&f, 0, 2, RETENTION_BIT(2), RETENTION_HELD_BY_SELF);
}

/* It has everything but saved its position half a minute ago: it shall not rejoin for that. One that is slow, or away,
 * shall. */
static void a_limit_waits_for_a_position_to_be_saved(void **state)
{
	(void)state;
	struct fixture f;
	make(&f);
	f.nodes[0].saved = vector_of("1-1-15");
	f.c.bytes_max = 100;
	struct retention_verdict v = retention_decide(&f.c);
	assert_int_equal(v.keep_from, 1);
	assert_int_equal(v.held, RETENTION_HELD_BY_NODE);
	assert_int_equal(v.held_by, 2);
	f.nodes[0].known = vector_of("1-1-15");
	check(&f, 1, 4, RETENTION_BIT(2), RETENTION_NOT_HELD);
	f.nodes[0].known = vector_of("1-1-45,3-3-7");
	f.nodes[0].is_connected = false;
	check(&f, 1, 4, RETENTION_BIT(2), RETENTION_NOT_HELD);
}

/* It reads another node's log, but what it writes without knowing of ours comes here. */
static void a_node_that_is_no_peer_loses_by_what_it_lacks(void **state)
{
	(void)state;
	struct fixture f;
	make(&f);
	f.nodes[1] = (struct retention_node){.id = 3, .known = vector_of("1-1-15,3-3-7")};
	f.c.tail = vector_of("1-1-15");
	check(&f, 1, 1, 0, RETENTION_NOT_HELD);
	f.c.bytes_max = 300;
	check(&f, 1, 2, RETENTION_BIT(3), RETENTION_NOT_HELD);
}

static void room_is_what_may_still_be_written(void **state)
{
	(void)state;
	struct fixture f;
	uint64_t room;
	make(&f);
	assert_false(retention_room(&f.c, &f.nodes[0], UINT64_MAX, &room));
	f.c.bytes_max = 1000;
	assert_true(retention_room(&f.c, &f.nodes[0], UINT64_MAX, &room));
	assert_int_equal(room, 900);
	cut_off(&f.nodes[0], "1-1-25,3-3-7");
	assert_true(retention_room(&f.c, &f.nodes[0], UINT64_MAX, &room));
	assert_int_equal(room, 700);
	/* The two files ahead of the one it needs go first. */
	assert_true(retention_room(&f.c, &f.nodes[0], 50, &room));
	assert_int_equal(room, 250);
	f.c.bytes_max = 250;
	assert_true(retention_room(&f.c, &f.nodes[0], 50, &room));
	assert_int_equal(room, 0);
}

/* A node that goes over from MariaDB's replication reads behind what that has applied of the peer's own, but no
 * further in what others wrote than it once saved: there, what the peer's transactions knew would be taken for more than it
 * was. A domain that no node counts has no such knowledge. */
static void a_change_of_engine_starts_where_it_says(void **state)
{
	(void)state;
	struct settings settings = {.node_id = 1, .node_count = 3, .nodes = {1, 2, 3}};
	static const struct {
		const char *saved, *applied, *start;
	} rows[] = {
	    {"1-1-10,2-2-5", "1-1-90,2-2-50,3-3-7", "1-1-10,2-2-50"},
	    {"1-1-10,2-2-5,3-3-1", "0-2-4,1-1-90,2-2-50,3-3-7", "0-2-4,1-1-10,2-2-50,3-3-1"},
	    {"", "1-1-90,2-2-50", "2-2-50"},
	    {"1-1-10,2-2-5", "", "1-1-10,2-2-5"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct vector saved = vector_of(rows[i].saved), applied = vector_of(rows[i].applied);
		struct vector start = native_needs_start(&settings, 2, &saved, &applied), wanted = vector_of(rows[i].start);
		assert_true(vector_equal(&start, &wanted));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_nobody_needs_goes_but_not_the_active_file),
	    cmocka_unit_test(a_peers_saved_position_keeps_its_file),
	    cmocka_unit_test(a_peer_that_said_nothing_keeps_everything),
	    cmocka_unit_test(the_tails_start_keeps_its_file),
	    cmocka_unit_test(a_limit_takes_the_oldest),
	    cmocka_unit_test(a_limit_takes_nothing_that_is_still_to_be_done),
	    cmocka_unit_test(a_limit_waits_for_a_position_to_be_saved),
	    cmocka_unit_test(a_node_that_is_no_peer_loses_by_what_it_lacks),
	    cmocka_unit_test(a_change_of_engine_starts_where_it_says),
	    cmocka_unit_test(room_is_what_may_still_be_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
