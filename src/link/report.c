#include "link/report.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

enum { REPORT_VERSION = 1 };

static json_t *text_or_null(const char *text)
{
	/* A message may quote bytes that are not UTF-8. */
	if (text[0] == '\0')
		return json_null();
	json_t *value = json_string(text);
	return value != NULL ? value : json_string("(not printable)");
}

static json_t *vector_text(const struct vector *vector)
{
	struct buf text = {0};
	vector_format(vector, &text);
	json_t *value = json_string(buf_str(&text));
	buf_free(&text);
	return value;
}

static json_t *may_stay_away(const struct retention_view *view, uint32_t node)
{
	for (size_t i = 0; i < view->away_count; i++)
		if (view->away[i].node == node && view->away[i].is_limited)
			return json_integer((json_int_t)view->away[i].seconds);
	return json_null();
}

static json_t *link_json(const struct link_view *v, const struct retention_view *retention)
{
	json_t *o = json_object();
	json_object_set_new(o, "peer", json_integer(v->peer));
	json_object_set_new(o, "where", text_or_null(v->where));
	json_object_set_new(o, "state", json_string(link_state_name(v->state)));
	json_object_set_new(o, "why", text_or_null(v->why));
	char gtid[GTID_TEXT_MAX];
	bool at = v->state == LINK_STOPPED && v->has_culprit;
	json_object_set_new(o, "transaction", at ? json_string(gtid_format(&v->culprit, gtid)) : json_null());
	json_object_set_new(o, "paused", json_boolean(v->paused));
	json_object_set_new(o, "since", json_integer(v->since));
	json_object_set_new(o, "position", vector_text(&v->position));
	json_object_set_new(o, "lag_transactions",
	                    v->lag_known ? json_integer((json_int_t)v->lag_transactions) : json_null());
	json_object_set_new(o, "lag_seconds", v->lag_known ? json_integer(v->lag_seconds) : json_null());
	json_object_set_new(o, "may_stay_away_seconds", may_stay_away(retention, v->peer));
	json_object_set_new(o, "applied_transactions", json_integer((json_int_t)v->counts.transactions));
	json_object_set_new(o, "policies_differ", text_or_null(v->differing));
	json_object_set_new(o, "resolved_transactions", json_integer((json_int_t)v->counts.resolved));
	json_object_set_new(o, "applied_batches", json_integer((json_int_t)v->counts.batches));
	return o;
}

static json_t *server_json(const struct state_view *v, const struct retention_view *logs)
{
	json_t *server = json_object();
	json_object_set_new(server, "state", json_string(v->tail_live ? "live" : "connecting"));
	json_object_set_new(server, "why", text_or_null(v->why));
	json_object_set_new(server, "vector", vector_text(&v->tailed));
	json_object_set_new(server, "written", vector_text(&v->written));
	json_object_set_new(server, "resolving", json_boolean(v->has_work));
	json_object_set_new(server, "window_rows", json_integer((json_int_t)v->history.keys));
	json_object_set_new(server, "disputed_rows", json_integer((json_int_t)v->history.merge.rows));
	json_object_set_new(server, "held_rows", json_integer((json_int_t)v->history.merge.held));
	json_object_set_new(server, "log_bytes", logs->is_known ? json_integer((json_int_t)logs->log_bytes) : json_null());
	json_object_set_new(server, "log_oldest", text_or_null(logs->log_oldest));
	json_object_set_new(server, "log_held", text_or_null(logs->held));
	return server;
}

void report_status(const struct report *report, struct buf *to)
{
	const struct settings *settings = report->settings;
	json_t *root = json_object(), *databases = json_array(), *list = json_array();
	json_object_set_new(root, "version", json_integer(REPORT_VERSION));
	json_object_set_new(root, "node", json_integer(settings->node_id));
	json_object_set_new(root, "pid", json_integer(getpid()));
	json_object_set_new(root, "engine", json_string(settings_engine_name(report->engine)));
	json_object_set_new(root, "engine_why", text_or_null(report->engine_why));
	json_object_set_new(root, "engine_switching", json_boolean(report->is_switching));
	json_object_set_new(root, "server", server_json(report->server, report->logs));
	for (size_t i = 0; i < settings->database_count; i++)
		json_array_append_new(databases, json_string(settings->databases[i]));
	json_object_set_new(root, "databases", databases);
	for (size_t i = 0; i < report->link_count; i++)
		json_array_append_new(list, link_json(&report->links[i], report->logs));
	json_object_set_new(root, "links", list);
	char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	if (text != NULL)
		buf_append_str(to, text);
	buf_append_str(to, "\n");
	free(text);
	json_decref(root);
}
