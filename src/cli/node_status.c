#include "cli/node_status.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "base/mem.h"

enum { STATUS_TIMEOUT_MS = 5000 };

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
	    .mend = text_of(object, "mend"),
	    .since_s = number_of(object, "since"),
	    .lag_transactions = number_of(object, "lag_transactions"),
	    .lag_seconds = number_of(object, "lag_seconds"),
	    .lag_bytes = number_of(object, "lag_bytes"),
	    .delay_ms = number_of(object, "delay_ms"),
	    .catch_up_s = number_of(object, "catch_up_seconds"),
	    .offline_since_s = number_of(object, "offline_since"),
	    .peer_lacks = number_of(object, "peer_lacks_transactions"),
	    .has_clock = json_is_integer(json_object_get(object, "clock_offset_ms")),
	    .clock_offset_ms = number_of(object, "clock_offset_ms"),
	    .may_stay_away_s = number_of(object, "may_stay_away_seconds"),
	};
}

/* What the last comparison with the peers found; null if there was none. */
static void read_verified(const json_t *object, struct node_status *ret)
{
	ret->has_verified = json_is_object(object);
	ret->verified_s = number_of(object, "time");
	ret->verified_result = text_of(object, "result");
	ret->verified_differing = number_of(object, "different_rows");
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
	status.log_bytes = number_of(server, "log_bytes");
	status.log_limit_bytes = number_of(server, "log_limit_bytes");
	status.disk_free_bytes = number_of(server, "disk_free_bytes");
	status.disk_reserved_bytes = number_of(server, "disk_reserved_bytes");
	status.open_conflicts = number_of(server, "open_conflicts");
	read_verified(json_object_get(root, "verified"), &status);
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
	free(s->verified_result);
	for (size_t i = 0; i < s->link_count; i++) {
		free(s->links[i].where);
		free(s->links[i].state);
		free(s->links[i].why);
		free(s->links[i].transaction);
		free(s->links[i].position);
		free(s->links[i].policies_differ);
		free(s->links[i].mend);
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
