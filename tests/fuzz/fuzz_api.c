/* Fuzzes src/admin/api: a request as MHD hands it over. The input is lines: the door and flags, the method, the path, Host, Authorization,
 * then NAME=VALUE for each parameter; an empty line is no header.
 *
 * Whatever is asked: it is answered once, with a known status, JSON is JSON, and what isn't let in reaches nothing of the daemon's. The
 * texts lie in memory of exactly their size, for ASan.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api.h"

#define TOKEN "0123456789abcdef-token"

enum { LINES_MAX = 5 + API_PARAMETERS_MAX + 2, IS_LOCAL = 1, HAS_TOKEN = 2, HAS_BODY = 4, BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

struct seen {
	unsigned reads, changes;
};

static void tell_status(void *context, struct buf *json)
{
	((struct seen *)context)->reads++;
	buf_append_str(json, "{\"server\":{\"state\":\"live\"}}");
}

static void tell_samples(void *context, int64_t since, struct buf *json)
{
	((struct seen *)context)->reads++;
	expect(since >= 0);
	buf_append_str(json, "{}");
}

static enum err_code tell_conflicts(void *context, const struct api_conflicts *which, struct buf *json, struct err *err)
{
	((struct seen *)context)->reads++;
	expect(which->limit >= 1 && which->limit <= API_CONFLICTS_MAX && which->id >= 0 && which->before >= 0);
	if (which->database != NULL)
		return err_set(err, ERR_CONFIG, "no database %s", which->database);
	buf_append_str(json, "{}");
	return ERR_OK;
}

static enum err_code take_hold(void *context, uint32_t peer, bool paused, struct err *err)
{
	(void)paused, (void)err;
	((struct seen *)context)->changes++;
	expect(peer != 0);
	return ERR_OK;
}

static void take_wake(void *context)
{
	((struct seen *)context)->changes++;
}

static const struct api_calls calls = {tell_status, tell_samples, tell_conflicts, take_hold, take_wake};

static size_t split(const uint8_t *data, size_t size, char *lines[LINES_MAX])
{
	size_t count = 0;
	while (count < LINES_MAX) {
		const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
		size_t length = end != NULL ? (size_t)(end - data) : size;
		lines[count] = malloc(length + 1);
		expect(lines[count] != NULL);
		if (length > 0)
			memcpy(lines[count], data, length);
		lines[count++][length] = '\0';
		if (end == NULL)
			break;
		data += length + 1;
		size -= length + 1;
	}
	return count;
}

static const char *header(char *lines[LINES_MAX], size_t count, size_t i)
{
	return i < count && lines[i][0] != '\0' ? lines[i] : NULL;
}

static void take_parameters(struct api_request *q, char *lines[LINES_MAX], size_t count)
{
	for (size_t i = 5; i < count; i++) {
		char *value = strchr(lines[i], '=');
		if (value != NULL)
			*value++ = '\0';
		if (q->parameter_count < API_PARAMETERS_MAX)
			q->parameters[q->parameter_count] = (struct api_parameter){lines[i], value};
		q->parameter_count++;
	}
}

static void check(const struct api_request *q, const struct api *api, const struct seen *seen,
                  const struct api_response *r)
{
	static const unsigned statuses[] = {200, 400, 401, 403, 404, 405, 413, 503};
	bool is_known = false, has_shown = api_token_matches(api->token, q->authorization);
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		is_known = is_known || r->status == statuses[i];
	expect(is_known && r->type != NULL && r->body.size > 0);
	expect(seen->reads + seen->changes <= 1);
	expect(seen->changes == 0 || (has_shown && strcmp(q->method, "POST") == 0 && !q->has_body));
	expect(seen->reads == 0 || api->is_local || has_shown);
	expect(seen->reads + seen->changes == 0 || !api->is_local || api_host_is_local(q->host));
	if (strcmp(r->type, "application/json") == 0) {
		json_t *json = json_loadb((const char *)r->body.data, r->body.size, 0, NULL);
		expect(json != NULL);
		json_decref(json);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *lines[LINES_MAX];
	if (size > BYTES_MAX)
		return 0;
	size_t count = split(data, size, lines);
	unsigned flags = (unsigned char)lines[0][0];
	struct api_token token = {0};
	struct seen seen = {0};
	struct api_response r;
	if (flags & HAS_TOKEN)
		expect(api_token_make(TOKEN, strlen(TOKEN), &token));
	struct api api = {.is_local = flags & IS_LOCAL, .token = &token, .calls = &calls, .context = &seen};
	struct api_request q = {.method = count > 1 ? lines[1] : "GET",
	                        .path = count > 2 ? lines[2] : "",
	                        .host = header(lines, count, 3),
	                        .authorization = header(lines, count, 4),
	                        .has_body = flags & HAS_BODY};
	take_parameters(&q, lines, count);
	api_answer(&api, &q, &r);
	check(&q, &api, &seen, &r);
	buf_free(&r.body);
	for (size_t i = 0; i < count; i++)
		free(lines[i]);
	return 0;
}
