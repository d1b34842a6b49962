#include "cli/node_status.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/mem.h"

enum { STATUS_TIMEOUT_MS = 5000, SOON_S = 10 * 365 * 86400 };

static char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return mem_strdup(text ? text : "");
}

static int64_t number_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static void read_link(const json_t *object, struct link_status *ret)
{
	*ret = (struct link_status){
	    .peer = (uint32_t)number_of(object, "peer"),
	    .paused = json_is_true(json_object_get(object, "paused")),
	    .where = text_of(object, "where"),
	    .state = text_of(object, "state"),
	    .why = text_of(object, "why"),
	    .transaction = text_of(object, "transaction"),
	    .position = text_of(object, "position"),
	    .policies_differ = text_of(object, "policies_differ"),
	    .since_s = number_of(object, "since"),
	    .lag_transactions = number_of(object, "lag_transactions"),
	    .lag_seconds = number_of(object, "lag_seconds"),
	    .may_stay_away_s = number_of(object, "may_stay_away_seconds"),
	};
}

enum err_code node_status_parse(const char *json, struct node_status *ret_status, struct err *err)
{
	json_error_t where;
	json_t *root = json_loads(json, 0, &where), *object;
	if (root == NULL)
		return err_set(err, ERR_MALFORMED, "the daemon's status is no JSON: %s", where.text);
	if (number_of(root, "version") != 1) {
		json_decref(root);
		return err_set(err, ERR_UNSUPPORTED, "the daemon is of another version; restart it with this program");
	}
	struct node_status status = {.node = (uint32_t)number_of(root, "node")};
	status.engine = text_of(root, "engine");
	status.engine_why = text_of(root, "engine_why");
	status.engine_switching = json_is_true(json_object_get(root, "engine_switching"));
	const json_t *server = json_object_get(root, "server");
	status.server_state = text_of(server, "state");
	status.server_why = text_of(server, "why");
	status.server_vector = text_of(server, "vector");
	status.server_written = text_of(server, "written");
	status.is_resolving = json_is_true(json_object_get(server, "resolving"));
	status.log_held = text_of(server, "log_held");
	size_t i;
	json_array_foreach(json_object_get(root, "links"), i, object) if (status.link_count < PEERS_MAX)
	    read_link(object, &status.links[status.link_count++]);
	json_decref(root);
	*ret_status = status;
	return ERR_OK;
}

void node_status_free(struct node_status *s)
{
	free(s->engine);
	free(s->engine_why);
	free(s->server_state);
	free(s->server_why);
	free(s->server_vector);
	free(s->server_written);
	free(s->log_held);
	for (size_t i = 0; i < s->link_count; i++) {
		free(s->links[i].where);
		free(s->links[i].state);
		free(s->links[i].why);
		free(s->links[i].transaction);
		free(s->links[i].position);
		free(s->links[i].policies_differ);
	}
	*s = (struct node_status){0};
}

const struct link_status *node_status_link(const struct node_status *s, uint32_t peer)
{
	for (size_t i = 0; i < s->link_count; i++)
		if (s->links[i].peer == peer)
			return &s->links[i];
	return NULL;
}

enum err_code node_status_get(const char *state_dir, struct node_status *ret_status, struct err *err)
{
	struct buf json = {0};
	enum err_code code = control_call(state_dir, "status", STATUS_TIMEOUT_MS, &json, err);
	if (code == ERR_OK)
		code = node_status_parse(buf_str(&json), ret_status, err);
	buf_free(&json);
	return code;
}

/* "4711 transactions, 12 s" or what there is of it. */
static void format_lag(const struct link_status *link, char text[64])
{
	if (link->lag_transactions < 0 && link->lag_seconds < 0)
		snprintf(text, 64, "unknown");
	else if (link->lag_transactions < 0)
		snprintf(text, 64, "%lld s", (long long)link->lag_seconds);
	else if (link->lag_transactions == 0)
		snprintf(text, 64, "none");
	else if (link->lag_seconds < 0)
		snprintf(text, 64, "%lld transactions", (long long)link->lag_transactions);
	else
		snprintf(text, 64, "%lld transactions, %lld s", (long long)link->lag_transactions,
		         (long long)link->lag_seconds);
}

static void format_duration(int64_t age, char text[32])
{
	if (age < 0)
		snprintf(text, 32, "-");
	else if (age < 120)
		snprintf(text, 32, "%lld s", (long long)age);
	else if (age < 7200)
		snprintf(text, 32, "%lld min", (long long)age / 60);
	else if (age < 48 * 3600)
		snprintf(text, 32, "%lld h", (long long)age / 3600);
	else
		snprintf(text, 32, "%lld days", (long long)age / 86400);
}

static void format_age(int64_t since_s, char text[32])
{
	format_duration(since_s < 0 ? -1 : clock_wall_s() - since_s, text);
}

void node_status_format(const struct node_status *s, struct buf *to)
{
	buf_printf(to, "node %u   engine %s%s   server %s%s%s   vector %s\n", (unsigned)s->node, s->engine,
	           s->engine_switching ? " (going over to it)" : "", s->server_state, *s->server_why ? ": " : "",
	           s->server_why, *s->server_vector ? s->server_vector : "(empty)");
	if (*s->engine_why)
		buf_printf(to, "  the engine that was asked for can't run: %s\n", s->engine_why);
	if (*s->log_held)
		buf_printf(to, "  %s\n", s->log_held);
	if (s->link_count == 0)
		buf_append_str(to, "  no peers\n");
	else
		buf_printf(to, "  %-6s%-14s%-10s%-28s%s\n", "peer", "state", "since", "lag", "position");
	for (size_t i = 0; i < s->link_count; i++) {
		const struct link_status *link = &s->links[i];
		char lag[64], age[32];
		format_lag(link, lag);
		format_age(link->since_s, age);
		buf_printf(to, "  %-6u%-14s%-10s%-28s%s\n", (unsigned)link->peer, link->paused ? "paused" : link->state, age,
		           lag, *link->position ? link->position : "-");
		if (*link->why)
			buf_printf(to, "        %s\n", link->why);
		if (link->may_stay_away_s >= 0 && link->may_stay_away_s < SOON_S) {
			format_duration(link->may_stay_away_s, age);
			buf_printf(to, "        may stay away %s\n", age);
		}
		if (*link->policies_differ)
			buf_printf(to, "        conflict-policy is another there for %s: make the lines the same on every node\n",
			           link->policies_differ);
	}
}
