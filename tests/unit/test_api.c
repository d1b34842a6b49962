/* The HTTP API without HTTP: who gets in by which door, what is refused, and what is told.
 *
 * Without it: a page on the internet reads the rows of a gate by way of its administrator's browser, somebody on the network pauses a
 * link, or a monitoring shows a stopped link as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "admin/api.h"
#include "admin/health.h"
#include "admin/metrics.h"
#include "admin/samples.h"
#include "base/mem.h"
#include "node/files.h"

#define TOKEN "0123456789abcdef-token"
#define BEARER "Bearer " TOKEN

/* ---- A daemon that notes what it is asked ---- */

struct daemon {
	unsigned held, resumed, waked, statuses;
	uint32_t peer;
	int64_t since;
	struct api_conflicts asked;
	enum err_code refusal;
};

static void tell_status(void *context, struct buf *json)
{
	((struct daemon *)context)->statuses++;
	buf_append_str(json, "{\"server\": {\"state\": \"live\"}, \"links\": []}");
}

static void tell_samples(void *context, int64_t since, struct buf *json)
{
	((struct daemon *)context)->since = since;
	buf_append_str(json, "{}");
}

static enum err_code tell_conflicts(void *context, const struct api_conflicts *which, struct buf *json, struct err *err)
{
	struct daemon *d = context;
	d->asked = *which;
	if (d->refusal != ERR_OK)
		return err_set(err, d->refusal, "no \"such\" thing\xff");
	buf_append_str(json, "{}");
	return ERR_OK;
}

static enum err_code take_hold(void *context, uint32_t peer, bool paused, struct err *err)
{
	struct daemon *d = context;
	if (peer != 2)
		return err_set(err, ERR_CONFIG, "no peer");
	d->peer = peer;
	d->held += paused;
	d->resumed += !paused;
	return ERR_OK;
}

static void take_wake(void *context)
{
	((struct daemon *)context)->waked++;
}

static const struct api_calls calls = {tell_status, tell_samples, tell_conflicts, take_hold, take_wake};
static struct daemon daemon_asked;

enum door { LOCAL, NETWORK, NO_TOKEN /* local, and no token is set */ };

static unsigned ask(enum door door, const struct api_request *request)
{
	struct api_token token = {0};
	struct api_response r;
	if (door != NO_TOKEN)
		assert_true(api_token_make(TOKEN, strlen(TOKEN), &token));
	struct api api = {.is_local = door != NETWORK, .token = &token, .calls = &calls, .context = &daemon_asked};
	api_answer(&api, request, &r);
	assert_non_null(r.type);
	assert_int_equal(r.allow != NULL, r.status == 405);
	assert_int_equal(r.wants_token, r.status == 401);
	if (strcmp(r.type, "application/json") == 0) {
		json_t *json = json_loadb((const char *)r.body.data, r.body.size, 0, NULL);
		assert_non_null(json);
		assert_int_equal(json_is_string(json_object_get(json, "error")), r.status != 200);
		json_decref(json);
	}
	buf_free(&r.body);
	return r.status;
}

/* ---- Who gets in ---- */

static const struct entry {
	enum door door;
	const char *method, *path, *host, *authorization;
	unsigned status;
} entries[] = {
    {LOCAL, "GET", "/api/v1/status", "localhost", NULL, 200},
    {LOCAL, "GET", "/api/v1/status", "LocalHost:8047", NULL, 200},
    {LOCAL, "GET", "/api/v1/status", "127.0.0.1:8047", NULL, 200},
    {LOCAL, "GET", "/api/v1/status", "127.8.9.1", NULL, 200},
    {LOCAL, "GET", "/api/v1/status", "[::1]:8047", NULL, 200},
    {LOCAL, "HEAD", "/healthz", "localhost", NULL, 200},
    {LOCAL, "GET", "/metrics", "localhost", NULL, 200},
    {LOCAL, "GET", "/", "localhost", NULL, 200},
    {LOCAL, "GET", "/app.js", "localhost", NULL, 200},
    /* a name of somebody else's that was made to mean this machine */
    {LOCAL, "GET", "/api/v1/status", NULL, NULL, 403},
    {LOCAL, "GET", "/api/v1/status", "", NULL, 403},
    {LOCAL, "GET", "/api/v1/status", "evil.example", NULL, 403},
    {LOCAL, "GET", "/api/v1/status", "localhost.evil.example", NULL, 403},
    {LOCAL, "GET", "/api/v1/status", "127.0.0.1.evil.example", NULL, 403},
    {LOCAL, "GET", "/api/v1/status", "localhost:80evil", NULL, 403},
    {LOCAL, "GET", "/api/v1/status", "128.0.0.1", NULL, 403},
    {LOCAL, "GET", "/api/v1/status", "127.1", NULL, 403},
    {LOCAL, "GET", "/api/v1/status", "[::2]", NULL, 403},
    {LOCAL, "GET", "/api/v1/status", "127.0.0.1000000000000000000000000", NULL, 403},
    {LOCAL, "GET", "/", "evil.example", BEARER, 403},
    {LOCAL, "POST", "/api/v1/wake", "evil.example", BEARER, 403},
    /* changing something always takes the token */
    {LOCAL, "POST", "/api/v1/wake", "localhost", BEARER, 200},
    {LOCAL, "POST", "/api/v1/wake", "localhost", NULL, 401},
    {LOCAL, "POST", "/api/v1/links/2/pause", "localhost", "Bearer " TOKEN "x", 401},
    {LOCAL, "GET", "/api/v1/wake", "localhost", NULL, 401},
    {NO_TOKEN, "GET", "/api/v1/status", "localhost", NULL, 200},
    {NO_TOKEN, "POST", "/api/v1/wake", "localhost", NULL, 403},
    {NO_TOKEN, "POST", "/api/v1/wake", "localhost", BEARER, 403},
    {NO_TOKEN, "POST", "/api/v1/wake", "localhost", "Bearer ", 403},
    /* from the network, reading, too */
    {NETWORK, "GET", "/", "gate.example", NULL, 200},
    {NETWORK, "GET", "/app.css", NULL, NULL, 200},
    {NETWORK, "GET", "/api/v1/status", "gate.example", BEARER, 200},
    {NETWORK, "GET", "/api/v1/status", "gate.example", "bearer  " TOKEN, 200},
    {NETWORK, "GET", "/api/v1/status", "localhost", NULL, 401},
    {NETWORK, "GET", "/healthz", "gate.example", NULL, 401},
    {NETWORK, "GET", "/metrics", "gate.example", "Basic " TOKEN, 401},
    {NETWORK, "GET", "/metrics", "gate.example", TOKEN, 401},
    {NETWORK, "GET", "/metrics", "gate.example", "Bearer 0123456789abcdef", 401},
    {NETWORK, "GET", "/metrics", "gate.example", "Bearer " TOKEN " ", 401},
    {NETWORK, "GET", "/metrics", "gate.example", "Bearer\t" TOKEN, 401},
    {NETWORK, "GET", "/metrics", "gate.example", "", 401},
    {NETWORK, "GET", "/nothing", "gate.example", NULL, 401}, /* nor what there is */
    /* what isn't there */
    {LOCAL, "GET", "", "localhost", NULL, 404},
    {LOCAL, "GET", "/index.html", "localhost", NULL, 404},
    {LOCAL, "GET", "/../etc/passwd", "localhost", NULL, 404},
    {LOCAL, "GET", "//", "localhost", NULL, 404},
    {LOCAL, "GET", "/api/v1/status/", "localhost", NULL, 404},
    {LOCAL, "GET", "/API/v1/status", "localhost", NULL, 404},
    {LOCAL, "GET", "/api/v1/conflicts/0", "localhost", NULL, 404},
    {LOCAL, "GET", "/api/v1/conflicts/-1", "localhost", NULL, 404},
    {LOCAL, "GET", "/api/v1/conflicts/9999999999999999999", "localhost", NULL, 404},
    {LOCAL, "POST", "/api/v1/links//pause", "localhost", BEARER, 404},
    {LOCAL, "POST", "/api/v1/links/2x/pause", "localhost", BEARER, 404},
    {LOCAL, "POST", "/api/v1/links/3/pause", "localhost", BEARER, 404},
    {LOCAL, "POST", "/api/v1/links/4294967298/pause", "localhost", BEARER, 404}, /* 2, cut to 32 bits */
    {LOCAL, "POST", "/api/v1/links/2/skip", "localhost", BEARER, 404},
    /* methods */
    {LOCAL, "POST", "/api/v1/status", "localhost", BEARER, 405},
    {LOCAL, "GET", "/api/v1/wake", "localhost", BEARER, 405},
    {LOCAL, "OPTIONS", "/api/v1/status", "localhost", NULL, 405},
    {LOCAL, "get", "/api/v1/status", "localhost", NULL, 405},
    {LOCAL, "DELETE", "/", "localhost", NULL, 405},
};

static void only_who_may_gets_in(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
		const struct entry *e = &entries[i];
		daemon_asked = (struct daemon){0};
		unsigned status =
		    ask(e->door, &(struct api_request){
		                     .method = e->method, .path = e->path, .host = e->host, .authorization = e->authorization});
		if (status != e->status)
			fail_msg("door %d: %s %s, Host %s, %s: %u", e->door, e->method, e->path, e->host, e->authorization, status);
		if (status != 200) /* refused before anything was done */
			assert_int_equal(daemon_asked.held + daemon_asked.resumed + daemon_asked.waked + daemon_asked.statuses, 0);
	}
}

static void a_body_is_refused(void **state)
{
	(void)state;
	daemon_asked = (struct daemon){0};
	assert_int_equal(ask(LOCAL, &(struct api_request){.method = "POST",
	                                                  .path = "/api/v1/wake",
	                                                  .host = "localhost",
	                                                  .authorization = BEARER,
	                                                  .has_body = true}),
	                 413);
	assert_int_equal(daemon_asked.waked, 0);
}

static void changes_reach_the_daemon(void **state)
{
	(void)state;
	struct api_request q = {.method = "POST", .host = "localhost", .authorization = BEARER};
	daemon_asked = (struct daemon){0};
	q.path = "/api/v1/links/2/pause";
	assert_int_equal(ask(LOCAL, &q), 200);
	assert_int_equal(daemon_asked.held, 1);
	q.path = "/api/v1/links/2/resume";
	assert_int_equal(ask(NETWORK, &q), 200);
	assert_int_equal(daemon_asked.resumed, 1);
	assert_int_equal(daemon_asked.peer, 2);
	q.path = "/api/v1/wake";
	assert_int_equal(ask(LOCAL, &q), 200);
	assert_int_equal(daemon_asked.waked, 1);
}

/* ---- Parameters ---- */

static unsigned ask_with(const char *path, size_t count, const struct api_parameter *parameters)
{
	struct api_request q = {.method = "GET", .path = path, .host = "localhost", .parameter_count = count};
	for (size_t i = 0; i < count && i < API_PARAMETERS_MAX; i++)
		q.parameters[i] = parameters[i];
	return ask(LOCAL, &q);
}

static void parameters_are_checked(void **state)
{
	(void)state;
	static const struct {
		const char *path, *name, *value;
		unsigned status;
	} rows[] = {
	    {"/api/v1/conflicts", "limit", "1", 200},
	    {"/api/v1/conflicts", "limit", "100", 200},
	    {"/api/v1/conflicts", "limit", "101", 400},
	    {"/api/v1/conflicts", "limit", "0", 400},
	    {"/api/v1/conflicts", "limit", "-1", 400},
	    {"/api/v1/conflicts", "limit", "1 ", 400},
	    {"/api/v1/conflicts", "limit", "4294967297", 400},
	    {"/api/v1/conflicts", "limit", "99999999999999999999", 400},
	    {"/api/v1/conflicts", "limit", NULL, 400},
	    {"/api/v1/conflicts", "before", "7", 200},
	    {"/api/v1/conflicts", "before", "7;DROP TABLE t", 400},
	    {"/api/v1/conflicts", "open", "1", 200},
	    {"/api/v1/conflicts", "open", "yes", 400},
	    {"/api/v1/conflicts", "database", "d`; DROP", 200}, /* quoted where it is used, and only if it is replicated */
	    {"/api/v1/conflicts", "Limit", "1", 400},
	    {"/api/v1/conflicts", "", "", 400},
	    {"/api/v1/conflicts/5", "database", "d", 200},
	    {"/api/v1/conflicts/5", "limit", "1", 400},
	    {"/api/v1/history", "since", "2600", 200},
	    {"/api/v1/history", "since", "0x10", 400},
	    {"/api/v1/status", "a", "b", 400},
	    {"/", "x", NULL, 400},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct api_parameter p = {rows[i].name, rows[i].value};
		unsigned status = ask_with(rows[i].path, 1, &p);
		if (status != rows[i].status)
			fail_msg("%s?%s=%s: %u", rows[i].path, rows[i].name, rows[i].value, status);
	}
	const struct api_parameter twice[API_PARAMETERS_MAX] = {{"limit", "1"}, {"limit", "2"}};
	assert_int_equal(ask_with("/api/v1/conflicts", 2, twice), 400);
	assert_int_equal(ask_with("/api/v1/conflicts", 1000, twice), 400);
	const struct api_parameter all[] = {{"database", "d"}, {"open", "1"}, {"limit", "7"}, {"before", "9"}};
	assert_int_equal(ask_with("/api/v1/conflicts", 4, all), 200);
	assert_string_equal(daemon_asked.asked.database, "d");
	assert_true(daemon_asked.asked.only_open);
	assert_int_equal(daemon_asked.asked.limit, 7);
	assert_int_equal(daemon_asked.asked.before, 9);
	assert_int_equal(daemon_asked.asked.id, 0);
	assert_int_equal(ask_with("/api/v1/conflicts/5", 0, NULL), 200);
	assert_int_equal(daemon_asked.asked.id, 5);
	const struct api_parameter since = {"since", "2600"};
	assert_int_equal(ask_with("/api/v1/history", 1, &since), 200);
	assert_int_equal(daemon_asked.since, 2600);
}

static void errors_have_a_status(void **state)
{
	(void)state;
	static const struct {
		enum err_code code;
		unsigned status;
	} rows[] = {{ERR_CONFIG, 404}, {ERR_DISCONNECTED, 503}, {ERR_TIMEOUT, 503}, {ERR_SERVER, 500}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		daemon_asked = (struct daemon){.refusal = rows[i].code};
		assert_int_equal(ask_with("/api/v1/conflicts", 0, NULL), rows[i].status);
	}
	daemon_asked = (struct daemon){0};
}

/* ---- The token's file ---- */

static void check_token_file(const char *path, const char *text, mode_t mode, bool is_good)
{
	struct buf bytes = {0};
	struct err err = {0};
	struct api_token token = {0};
	buf_append_str(&bytes, text);
	assert_int_equal(files_write(path, &bytes, &err), ERR_OK);
	assert_int_equal(chmod(path, mode), 0);
	enum err_code code = api_token_load(path, &token, &err);
	if ((code == ERR_OK) != is_good || token.is_set != is_good)
		fail_msg("'%s', mode %o: %d %s", text, (unsigned)mode, code, err.message);
	assert_true(is_good || strstr(err.message, TOKEN) == NULL);
	if (is_good)
		assert_true(api_token_matches(&token, BEARER));
	buf_free(&bytes);
}

static void a_token_that_others_know_is_refused(void **state)
{
	(void)state;
	char dir[] = "/tmp/test_api_XXXXXX";
	struct err err;
	struct api_token token = {0};
	assert_non_null(mkdtemp(dir));
	char *path = mem_printf("%s/token", dir);
	check_token_file(path, TOKEN, 0600, true);
	check_token_file(path, TOKEN "\r\n", 0400, true);
	check_token_file(path, TOKEN "\n", 0640, false);
	check_token_file(path, TOKEN "\n", 0604, false);
	check_token_file(path, "", 0600, false);
	check_token_file(path, "short\n", 0600, false);
	check_token_file(path, TOKEN "\nand another line\n", 0600, false);
	check_token_file(path, TOKEN " and blanks\n", 0600, false);
	char *huge = mem_alloc(100000);
	memset(huge, 'x', 99999);
	check_token_file(path, huge, 0600, false);
	huge[API_TOKEN_MAX + 1] = '\0';
	check_token_file(path, huge, 0600, false);
	assert_int_equal(api_token_load(dir, &token, &err), ERR_CONFIG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(api_token_load(path, &token, &err), ERR_CONFIG);
	assert_int_equal(files_remove_tree(dir, &err), ERR_OK);
	free(huge);
	free(path);
}

/* ---- What is told ---- */

#define LINK(peer, state, more)                                                                                        \
	"{\"peer\": " peer ", \"state\": \"" state "\", \"where\": \"a\\\"b\\\\c\\nd\", \"why\": \"because\", " more "}"
#define STATUS(server, links) "{\"node\": 1, \"engine\": \"merge\", \"server\": {" server "}, \"links\": [" links "]}"
#define LIVE "\"state\": \"live\", \"log_held\": null, \"window_rows\": 3, \"log_bytes\": null, \"resolving\": true"

static void check_health(const char *status, const char *expected)
{
	struct buf text = {0};
	bool is_well = health_format(status, &text);
	assert_string_equal(buf_str(&text), expected);
	assert_int_equal(is_well, strcmp(expected, "ok\n") == 0);
	buf_free(&text);
}

static void health_names_what_is_wrong(void **state)
{
	(void)state;
	check_health(STATUS(LIVE, LINK("2", "live", "\"x\": 1")), "ok\n");
	check_health(STATUS(LIVE, LINK("2", "connecting", "\"paused\": true")), "ok\n");
	check_health(STATUS(LIVE, LINK("2", "stopped", "\"x\": 1") "," LINK("3", "must rejoin", "\"x\": 1")),
	             "link 2: stopped: because\nlink 3: must rejoin: because\n");
	check_health(STATUS("\"state\": \"connecting\", \"why\": \"no server\"", ""), "server: connecting: no server\n");
	check_health(STATUS("\"state\": \"live\", \"log_held\": \"full\"", ""), "log: held: full\n");
	check_health("", "server: unknown\n");
	check_health("[]", "server: \n");
}

static void metrics_are_the_status(void **state)
{
	(void)state;
	static const char *const lines[] = {
	    "syncline_info{version=\"" SYNCLINE_VERSION "\",node=\"1\",engine=\"merge\"} 1\n",
	    "mysql_up 1\n",
	    "syncline_window_rows 3\n",
	    "syncline_resolving 1\n",
	    "syncline_log_held 0\n",
	    "syncline_link_state{peer=\"2\",state=\"must rejoin\"} 0\n",
	    "syncline_link_state{peer=\"2\",state=\"live\"} 1\n",
	    "syncline_link_state{peer=\"3\",state=\"stopped\"} 1\n",
	    "syncline_link_lag_transactions{peer=\"2\"} 5\n",
	    "syncline_link_policies_differ{peer=\"2\"} 1\n",
	    "# TYPE syncline_link_applied_transactions_total counter\n",
	    "mysql_slave_status_seconds_behind_master{channel_name=\"\",connection_name=\"syncline-peer-2\","
	    "master_host=\"a\\\"b\\\\c\\nd\",master_uuid=\"\",peer=\"2\"} 7\n",
	    "connection_name=\"syncline-peer-3\",master_host=\"a\\\"b\\\\c\\nd\",master_uuid=\"\",peer=\"3\"} 0\n",
	};
	struct buf text = {0};
	metrics_format(
	    STATUS(LIVE,
	           LINK("2", "live", "\"lag_transactions\": 5, \"lag_seconds\": 7, \"policies_differ\": \"d.t\"") "," LINK(
	               "3", "stopped", "\"lag_transactions\": null, \"lag_seconds\": null")),
	    &text);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (strstr(buf_str(&text), lines[i]) == NULL)
			fail_msg("no '%s' in\n%s", lines[i], buf_str(&text));
	/* What isn't known is no number. */
	assert_null(strstr(buf_str(&text), "lag_transactions{peer=\"3\"}"));
	assert_null(strstr(buf_str(&text), "mysql_binlog_size_bytes"));
	buf_clear(&text);
	metrics_format("no JSON", &text);
	assert_non_null(strstr(buf_str(&text), "mysql_up 0\n"));
	buf_free(&text);
}

/* ---- Samples ---- */

static void sample(struct samples *s, int64_t now_s, const char *lag, long total)
{
	char *text = mem_printf(
	    "{\"links\": [{\"peer\": 2, \"lag_seconds\": %s, \"lag_transactions\": 1, \"applied_transactions\": %ld}]}",
	    lag, total);
	assert_true(samples_add(s, now_s, text));
	free(text);
}

static void check_samples(const struct samples *s, int64_t since, const char *expected)
{
	struct buf text = {0};
	samples_format(s, 100000, since, &text);
	assert_string_equal(buf_str(&text), expected);
	buf_free(&text);
}

static void samples_are_the_last_hour(void **state)
{
	(void)state;
	struct samples *s = samples_new();
	check_samples(s, 0, "{\"version\":1,\"interval_seconds\":10,\"now\":100000,\"times\":[],\"links\":[]}\n");
	assert_false(samples_add(s, 5, "{\"links\": []}"));
	sample(s, 10, "null", 40);
	sample(s, 20, "null", 40);
	sample(s, 30, "0", 50);
	assert_true(samples_add(s, 40, "garbage")); /* nothing was told */
	sample(s, 50, "3", 7);                      /* the count began anew */
	check_samples(
	    s, 0,
	    "{\"version\":1,\"interval_seconds\":10,\"now\":100000,\"times\":[10,20,30,40,50],\"links\":[{\"peer\":2,"
	    "\"lag_seconds\":[null,null,0,null,3],\"lag_transactions\":[1,1,1,null,1],"
	    "\"applied\":[null,0,10,null,7]}]}\n");
	check_samples(s, 40,
	              "{\"version\":1,\"interval_seconds\":10,\"now\":100000,\"times\":[50],\"links\":[{\"peer\":2,"
	              "\"lag_seconds\":[3],\"lag_transactions\":[1],\"applied\":[7]}]}\n");
	for (int i = 0; i < 3 * SAMPLES_MAX + 5; i++)
		sample(s, 100 + i, "0", 1000 + i);
	struct buf text = {0};
	samples_format(s, 0, 0, &text);
	json_t *root = json_loads(buf_str(&text), 0, NULL), *times = json_object_get(root, "times");
	assert_int_equal(json_array_size(times), SAMPLES_MAX);
	assert_int_equal(json_integer_value(json_array_get(times, 0)), 100 + 2 * SAMPLES_MAX + 5);
	assert_int_equal(json_integer_value(json_array_get(times, SAMPLES_MAX - 1)), 100 + 3 * SAMPLES_MAX + 4);
	json_decref(root);
	buf_free(&text);
	samples_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_who_may_gets_in),       cmocka_unit_test(a_body_is_refused),
	    cmocka_unit_test(changes_reach_the_daemon),   cmocka_unit_test(parameters_are_checked),
	    cmocka_unit_test(errors_have_a_status),       cmocka_unit_test(a_token_that_others_know_is_refused),
	    cmocka_unit_test(health_names_what_is_wrong), cmocka_unit_test(metrics_are_the_status),
	    cmocka_unit_test(samples_are_the_last_hour),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
