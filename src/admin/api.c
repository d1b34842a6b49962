#include "admin/api.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/health.h"
#include "admin/metrics.h"
#include "admin/page.h"

enum { NUMBER_DIGITS_MAX = 18, LIMIT_DEFAULT = 20 };

static const char type_json[] = "application/json", type_text[] = "text/plain; charset=utf-8";

/* ---- What is asked ---- */

/* Whole, from 1 on. */
static bool parse_number(const char *text, size_t size, int64_t *ret_number)
{
	int64_t number = 0;
	if (size == 0 || size > NUMBER_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		number = number * 10 + (text[i] - '0');
	}
	*ret_number = number;
	return number > 0;
}

static bool parse_port(const char *text)
{
	return text[0] == '\0' || (text[0] == ':' && strlen(text) <= 6 && text[1 + strspn(text + 1, "0123456789")] == '\0');
}

bool api_host_is_local(const char *host)
{
	static const char *const names[] = {"localhost", "[::1]"};
	char address[INET_ADDRSTRLEN] = {0};
	struct in_addr in;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strncasecmp(host, names[i], strlen(names[i])) == 0 && parse_port(host + strlen(names[i])))
			return true;
	size_t size = strspn(host, "0123456789.");
	if (size >= sizeof address || !parse_port(host + size))
		return false;
	memcpy(address, host, size);
	return inet_pton(AF_INET, address, &in) == 1 && ntohl(in.s_addr) >> 24 == 127;
}

static const char *find_parameter(const struct api_request *q, const char *name)
{
	for (size_t i = 0; i < q->parameter_count && i < API_PARAMETERS_MAX; i++)
		if (strcmp(q->parameters[i].name, name) == 0)
			return q->parameters[i].value != NULL ? q->parameters[i].value : "";
	return NULL;
}

/* ---- What is answered ---- */

static void fail(struct api_response *r, unsigned status, const char *message)
{
	json_t *root = json_pack("{s:s?}", "error", message);
	char *text = root != NULL ? json_dumps(root, 0) : NULL;
	r->status = status;
	r->type = type_json;
	buf_clear(&r->body);
	buf_append_str(&r->body, text != NULL ? text : "{\"error\": \"not printable\"}");
	buf_append_str(&r->body, "\n");
	free(text);
	json_decref(root);
}

static void fail_err(struct api_response *r, const struct err *err)
{
	fail(r, err->code == ERR_CONFIG ? 404 : err_retryable(err->code) ? 503 : 500, err->message);
}

struct ask {
	const struct api *api;
	const struct api_request *request;
	int64_t number; /* of the path; 0: none */
	const char *path;
};

static void get_file(const struct ask *a, struct api_response *r)
{
	const struct page_file *file = page_find(a->path);
	r->type = file->type;
	buf_append(&r->body, file->bytes, file->size);
}

static void get_status(const struct ask *a, struct api_response *r)
{
	a->api->calls->status(a->api->context, &r->body);
}

static void get_health(const struct ask *a, struct api_response *r)
{
	struct buf status = {0};
	a->api->calls->status(a->api->context, &status);
	r->type = type_text;
	r->status = health_format(buf_str(&status), &r->body) ? 200 : 503;
	buf_free(&status);
}

static void get_metrics(const struct ask *a, struct api_response *r)
{
	struct buf status = {0};
	a->api->calls->status(a->api->context, &status);
	r->type = METRICS_TYPE;
	metrics_format(buf_str(&status), &r->body);
	buf_free(&status);
}

static void get_samples(const struct ask *a, struct api_response *r)
{
	const char *since = find_parameter(a->request, "since");
	int64_t at = 0;
	if (since != NULL && !parse_number(since, strlen(since), &at))
		fail(r, 400, "since is no number; give one of `times`");
	else
		a->api->calls->samples(a->api->context, at, &r->body);
}

static void get_conflicts(const struct ask *a, struct api_response *r)
{
	const char *open = find_parameter(a->request, "open"), *limit = find_parameter(a->request, "limit"),
	           *before = find_parameter(a->request, "before");
	struct api_conflicts which = {.database = find_parameter(a->request, "database"), .limit = LIMIT_DEFAULT};
	int64_t number = LIMIT_DEFAULT;
	struct err err;
	which.only_open = open != NULL && strcmp(open, "1") == 0;
	which.id = a->number;
	if (open != NULL && strcmp(open, "0") != 0 && strcmp(open, "1") != 0)
		fail(r, 400, "open is 0 or 1");
	else if (limit != NULL && (!parse_number(limit, strlen(limit), &number) || number > API_CONFLICTS_MAX))
		fail(r, 400, "limit is a whole number from 1 to 100");
	else if (before != NULL && !parse_number(before, strlen(before), &which.before))
		fail(r, 400, "before is the id of a conflict, as `next` tells it");
	else {
		which.limit = (unsigned)number;
		if (a->api->calls->conflicts(a->api->context, &which, &r->body, &err) != ERR_OK)
			fail_err(r, &err);
	}
}

static void hold(const struct ask *a, bool paused, struct api_response *r)
{
	struct err err;
	if (a->number > UINT32_MAX)
		fail(r, 404, "there is no such peer");
	else if (a->api->calls->hold(a->api->context, (uint32_t)a->number, paused, &err) != ERR_OK)
		fail_err(r, &err);
	else
		buf_append_str(&r->body, "{\"ok\": true}\n");
}

static void post_pause(const struct ask *a, struct api_response *r)
{
	hold(a, true, r);
}

static void post_resume(const struct ask *a, struct api_response *r)
{
	hold(a, false, r);
}

static void post_wake(const struct ask *a, struct api_response *r)
{
	a->api->calls->wake(a->api->context);
	buf_append_str(&r->body, "{\"ok\": true}\n");
}

/* ---- Routes ---- */

static const struct route {
	const char *path; /* # stands for a number */
	bool is_post, is_public;
	void (*answer)(const struct ask *ask, struct api_response *r);
	const char *parameters; /* "a b" */
} routes[] = {
    {"/", false, true, get_file, ""},
    {"/app.js", false, true, get_file, ""},
    {"/app.css", false, true, get_file, ""},
    {"/icon.svg", false, true, get_file, ""},
    {"/healthz", false, false, get_health, ""},
    {"/metrics", false, false, get_metrics, ""},
    {"/api/v1/status", false, false, get_status, ""},
    {"/api/v1/history", false, false, get_samples, "since"},
    {"/api/v1/conflicts", false, false, get_conflicts, "database open limit before"},
    {"/api/v1/conflicts/#", false, false, get_conflicts, "database"},
    {"/api/v1/wake", true, false, post_wake, ""},
    {"/api/v1/links/#/pause", true, false, post_pause, ""},
    {"/api/v1/links/#/resume", true, false, post_resume, ""},
};

static bool matches(const char *pattern, const char *path, int64_t *ret_number)
{
	const char *hash = strchr(pattern, '#');
	size_t before = hash != NULL ? (size_t)(hash - pattern) : 0, digits;
	if (hash == NULL)
		return strcmp(pattern, path) == 0;
	if (strncmp(pattern, path, before) != 0)
		return false;
	digits = strspn(path + before, "0123456789");
	return strcmp(hash + 1, path + before + digits) == 0 && parse_number(path + before, digits, ret_number);
}

static const struct route *find_route(const char *path, int64_t *ret_number)
{
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (matches(routes[i].path, path, ret_number))
			return &routes[i];
	return NULL;
}

static bool is_known(const char *names, const char *name)
{
	size_t size = strlen(name);
	for (const char *at = names; *at != '\0'; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");
		if (length == size && memcmp(at, name, size) == 0)
			return true;
		at += length;
	}
	return false;
}

/* Each is known, and there once. */
static bool takes_parameters(const struct route *route, const struct api_request *q)
{
	if (q->parameter_count > API_PARAMETERS_MAX)
		return false;
	for (size_t i = 0; i < q->parameter_count; i++) {
		if (!is_known(route->parameters, q->parameters[i].name))
			return false;
		for (size_t j = 0; j < i; j++)
			if (strcmp(q->parameters[i].name, q->parameters[j].name) == 0)
				return false;
	}
	return true;
}

/* Whether it is let through; if not, *r says why. */
static bool let_in(const struct api *api, const struct api_request *q, const struct route *route,
                   struct api_response *r)
{
	bool changes = route != NULL && route->is_post;
	if (api->is_local && (q->host == NULL || !api_host_is_local(q->host))) {
		fail(r, 403, "the Host header names another machine; ask for localhost, 127.0.0.1 or [::1]");
		return false;
	}
	if (route != NULL && route->is_public)
		return true;
	if ((api->is_local && !changes) || api_token_matches(api->token, q->authorization))
		return true;
	if (!api->token->is_set) {
		fail(r, 403, "this needs a token, and there is none; set http-token-file");
		return false;
	}
	fail(r, 401, "this needs the token of http-token-file: Authorization: Bearer TOKEN");
	r->wants_token = true;
	return false;
}

void api_answer(const struct api *api, const struct api_request *q, struct api_response *r)
{
	struct ask ask = {.api = api, .request = q};
	const struct route *route = find_route(q->path, &ask.number);
	*r = (struct api_response){.status = 200, .type = type_json};
	if (!let_in(api, q, route, r))
		return;
	bool is_get = strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
	if (route == NULL) {
		fail(r, 404, "there is nothing here; docs/http.md has the paths");
	} else if (route->is_post ? strcmp(q->method, "POST") != 0 : !is_get) {
		fail(r, 405, "this path doesn't take this method");
		r->allow = route->is_post ? "POST" : "GET, HEAD";
	} else if (q->has_body) {
		fail(r, 413, "send no body; nothing here takes one");
	} else if (!takes_parameters(route, q)) {
		fail(r, 400, "there is a parameter that this path doesn't know, or one twice; docs/http.md has them");
	} else {
		ask.path = route->path;
		route->answer(&ask, r);
	}
}
