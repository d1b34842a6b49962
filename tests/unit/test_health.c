/* cli/status_text and cli/health_rule: what people and their monitoring are told. A gate that is out of step while the
 * monitoring is green is what all of this is for; one that rings at night because a peer is switched off, as it is
 * each night, is muted after a week. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cli/health_rule.h"
#include "cli/status_text.h"

enum { NOW_S = 1800000000 };

/* A node whose link from node 2 is as these members say. */
static struct node_status status_of(const char *link, const char *server, const char *rest)
{
	struct node_status status;
	struct err err;
	struct buf json = {0};
	buf_printf(&json,
	           "{\"version\":1,\"node\":1,\"engine\":\"merge\",\"engine_switching\":false,"
	           "\"server\":{\"state\":\"live\",\"vector\":\"1-1-9\",\"open_conflicts\":0%s},%s\"links\":[{\"peer\":2,"
	           "\"paused\":false,\"position\":\"2-2-5\",\"since\":%d,%s}]}",
	           server, rest, NOW_S - 60, link);
	if (node_status_parse(buf_str(&json), &status, &err) != ERR_OK)
		fail_msg("%s: %s", err.message, buf_str(&json));
	buf_free(&json);
	return status;
}

#define LIVE "\"state\":\"live\",\"lag_transactions\":0,\"lag_seconds\":0,\"lag_bytes\":0"

static void expect_text(const char *link, const char *server, const char *rest, const char *part)
{
	struct node_status status = status_of(link, server, rest);
	struct buf text = {0};
	status_text(&status, NOW_S, &text);
	if (strstr(buf_str(&text), part) == NULL)
		fail_msg("no \"%s\" in:\n%s", part, buf_str(&text));
	buf_free(&text);
	node_status_free(&status);
}

static void expect_health(const char *link, const char *server, const char *rest, enum health expected,
                          const char *part)
{
	struct health_limits limits = HEALTH_LIMITS;
	struct node_status status = status_of(link, server, rest);
	struct buf line = {0};
	enum health level = health_judge(&status, &limits, NOW_S, &line);
	const char *text = buf_str(&line);
	if (level != expected || strstr(text, part) == NULL)
		fail_msg("%d, not %d, or no \"%s\" in: %s", (int)level, (int)expected, part, text);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_ptr_equal(strchr(text, '|'), strrchr(text, '|'));
	assert_non_null(strstr(text, expected <= HEALTH_WARNING ? " - HEALTHY: " : " - ERROR: "));
	buf_free(&line);
	node_status_free(&status);
}

static void text_of_each_state(void **state)
{
	(void)state;
	expect_text(
	    LIVE ",\"delay_ms\":3,\"clock_offset_ms\":-12,\"peer_lacks_transactions\":0", "", "",
	    "node 2   live for 60 s   clock -12 ms\n           from it: nothing is missing here; the last took 3 ms; "
	    "position 2-2-5\n           to it:   it has everything\n");
	expect_text(
	    "\"state\":\"connecting\",\"why\":\"no route\",\"offline_since\":1799990000,\"peer_lacks_transactions\":1", "",
	    "",
	    "node 2   offline for 2 h, since 2027-01-15 05:13:20 UTC; nothing is lost, both go on when it is back\n"
	    "           why:     no route\n           from it: unknown; position 2-2-5\n"
	    "           to it:   it lacks 1 transaction, as far as known\n");
	expect_text("\"state\":\"catching up\",\"lag_transactions\":4711,\"lag_seconds\":240,\"lag_bytes\":3355443,"
	            "\"catch_up_seconds\":40",
	            "", "", "from it: 4711 transactions, 4 min, 3.2 MiB behind, done in about 40 s; position");
	expect_text("\"state\":\"stopped\",\"why\":\"transaction 2-2-6 …\",\"mend\":\"syncline skip 2-2-6\"", "", "",
	            "node 2   stopped for 60 s\n           why:     transaction 2-2-6 …\n           mend:    syncline skip "
	            "2-2-6\n");
	expect_text("\"state\":\"must rejoin\",\"why\":\"purged\",\"mend\":\"syncline rejoin\"", "", "",
	            "mend:    syncline rejoin\n");
	expect_text("\"state\":\"connecting\",\"why\":null", "", "", "node 2   connecting for 60 s");
}

static void text_of_the_node(void **state)
{
	(void)state;
	expect_text(LIVE, "", "", "open conflicts 0   verified never\n");
	expect_text(
	    LIVE,
	    ",\"log_bytes\":1024,\"log_limit_bytes\":1048576,\"disk_free_bytes\":3221225472,\"disk_reserved_bytes\":100",
	    "", "log 1.0 KiB of 1.0 MiB, 3.0 GiB free on its disk (100 bytes stay free)   open");
	expect_text(LIVE, "",
	            "\"verified\":{\"time\":1799999940,\"result\":\"equal\",\"tables\":3,\"rows\":9,\"different_rows\":0},",
	            "verified 60 s ago: equal\n");
	expect_text(
	    LIVE, "",
	    "\"verified\":{\"time\":1799999940,\"result\":\"different\",\"tables\":3,\"rows\":9,\"different_rows\":2},",
	    "verified 60 s ago: different, 2 rows differ\n");
	expect_text(LIVE, "", "\"verified\":null,", "verified never\n");
}

static void healthy(void **state)
{
	(void)state;
	expect_health(
	    LIVE ",\"clock_offset_ms\":1500,\"may_stay_away_seconds\":90000", "", "", HEALTH_OK,
	    "SYNCLINE OK - HEALTHY: node 1: 1 of 1 peers live | open_conflicts=0;1;;0 log=U;;;0 disk_free=U;;;0 "
	    "lag_2=0s;30;300;0 lag_transactions_2=0;;;0 lag_bytes_2=0B;;;0 peer_lacks_2=U;;;0 offline_2=0s;;86400;0 "
	    "may_stay_away_2=90000s;;;0 clock_offset_2=1.500s;;;");
}

static void offline_is_a_warning_for_hours(void **state)
{
	(void)state;
	expect_health("\"state\":\"connecting\",\"why\":\"x\",\"offline_since\":1799913601", "", "", HEALTH_WARNING,
	              "SYNCLINE WARNING - HEALTHY: node 2 offline for 23 h; node 1: 0 of 1 peers live | ");
	expect_health("\"state\":\"connecting\",\"why\":\"x\",\"offline_since\":1799913600", "", "", HEALTH_CRITICAL,
	              "SYNCLINE CRITICAL - ERROR: node 2 offline for 24 h; ");
	expect_health("\"state\":\"connecting\",\"why\":\"x\"", "", "", HEALTH_WARNING, "link from node 2 connecting: x");
}

static void what_is_broken_is_critical(void **state)
{
	(void)state;
	expect_health("\"state\":\"stopped\",\"why\":\"a|b\\nc\",\"mend\":\"syncline doctor\"", "", "", HEALTH_CRITICAL,
	              "link from node 2 stopped: a/b c; syncline doctor; ");
	expect_health("\"state\":\"must rejoin\",\"why\":\"purged\",\"mend\":\"syncline rejoin\"", "", "", HEALTH_CRITICAL,
	              "must rejoin: purged; syncline rejoin");
	expect_health(LIVE, ",\"state\":\"connecting\",\"why\":\"gone\"", "", HEALTH_CRITICAL,
	              "this node's server: connecting: gone");
	expect_health(LIVE, "", "\"verified\":{\"time\":1,\"result\":\"different\",\"different_rows\":2},", HEALTH_CRITICAL,
	              "2 rows differ");
}

static void limits_count(void **state)
{
	(void)state;
	expect_health("\"state\":\"catching up\",\"lag_seconds\":29", "", "", HEALTH_OK, "HEALTHY");
	expect_health("\"state\":\"catching up\",\"lag_seconds\":30", "", "", HEALTH_WARNING, "node 2: 30 s behind");
	expect_health("\"state\":\"catching up\",\"lag_seconds\":300", "", "", HEALTH_CRITICAL, "node 2: 5 min behind");
	expect_health(LIVE, ",\"open_conflicts\":3", "", HEALTH_WARNING, "3 open conflicts");
	expect_health(LIVE ",\"clock_offset_ms\":-61000", "", "", HEALTH_WARNING, "clock of node 2 is 61 s behind");
	expect_health(LIVE ",\"may_stay_away_seconds\":3600", "", "", HEALTH_WARNING, "node 2 may stay away 60 min");
	expect_health("\"state\":\"connecting\",\"offline_since\":1799999990,\"may_stay_away_seconds\":3600", "", "",
	              HEALTH_CRITICAL, "node 2 may stay away 60 min");
	expect_health(LIVE ",\"policies_differ\":\"d.t\"", "", "", HEALTH_WARNING,
	              "conflict-policy is another on node 2 for d.t");
	expect_health(LIVE ",\"paused\":true,\"mend\":\"syncline resume 2\"", "", "", HEALTH_WARNING,
	              "link from node 2 paused; syncline resume 2");
}

static void limits_that_never_count(void **state)
{
	(void)state;
	struct health_limits none = {0};
	struct node_status status =
	    status_of("\"state\":\"connecting\",\"why\":\"x\",\"offline_since\":1,\"lag_seconds\":99999,"
	              "\"may_stay_away_seconds\":0,\"clock_offset_ms\":99999999",
	              ",\"open_conflicts\":3", "");
	struct buf line = {0};
	assert_int_equal(health_judge(&status, &none, NOW_S, &line), HEALTH_WARNING); /* for being offline alone */
	assert_null(strstr(buf_str(&line), "open conflicts"));
	buf_free(&line);
	node_status_free(&status);
}

static void lengths(void **state)
{
	(void)state;
	char text[32];
	assert_string_equal(status_text_duration(119, text), "119 s");
	assert_string_equal(status_text_duration(7199, text), "119 min");
	assert_string_equal(status_text_duration(172799, text), "47 h");
	assert_string_equal(status_text_duration(172800, text), "2 days");
	assert_string_equal(status_text_duration(-1, text), "-");
	assert_string_equal(status_text_bytes(1023, text), "1023 bytes");
	assert_string_equal(status_text_bytes(1536, text), "1.5 KiB");
	assert_string_equal(status_text_bytes((int64_t)20 << 30, text), "20 GiB");
	assert_string_equal(status_text_bytes(INT64_MAX, text), "8388608 TiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_of_each_state),
	    cmocka_unit_test(text_of_the_node),
	    cmocka_unit_test(healthy),
	    cmocka_unit_test(offline_is_a_warning_for_hours),
	    cmocka_unit_test(what_is_broken_is_critical),
	    cmocka_unit_test(limits_count),
	    cmocka_unit_test(limits_that_never_count),
	    cmocka_unit_test(lengths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
