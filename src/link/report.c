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

static json_t *number_or_null(bool is_known, int64_t number)
{
	return is_known ? json_integer((json_int_t)number) : json_null();
}

/* The command that lets it go on, once the cause is seen to. */
static json_t *mend(const struct link_view *v)
{
	char gtid[GTID_TEXT_MAX];
	if (v->paused)
		return json_sprintf("syncline resume %u", (unsigned)v->peer);
	if (v->state == LINK_MUST_REJOIN)
		return json_string("syncline rejoin");
	if (v->state != LINK_STOPPED)
		return json_null();
	return v->has_culprit ? json_sprintf("syncline skip %s", gtid_format(&v->culprit, gtid))
	                      : json_string("syncline doctor");
}

static void add_measured(json_t *o, const struct link_view *v)
{
	const struct probe_view *p = &v->probe;
	json_object_set_new(o, "offline_since", number_or_null(v->offline_since != 0, v->offline_since));
	json_object_set_new(o, "lag_bytes", number_or_null(v->lag_known && p->has_bytes, (int64_t)p->bytes));
	json_object_set_new(o, "delay_ms", number_or_null(p->has_delay, p->delay_ms));
	json_object_set_new(o, "catch_up_seconds", number_or_null(v->has_estimate, v->catch_up_seconds));
	json_object_set_new(o, "clock_offset_ms", number_or_null(p->clock.is_known, p->clock.offset_us / 1000));
	json_object_set_new(o, "clock_offset_error_ms", number_or_null(p->clock.is_known, p->clock.error_us / 1000 + 1));
	json_object_set_new(o, "peer_lacks_transactions", number_or_null(v->lacks_known, (int64_t)v->lacks));
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
	json_object_set_new(o, "mend", mend(v));
	json_object_set_new(o, "paused", json_boolean(v->paused));
	json_object_set_new(o, "since", json_integer(v->since));
	json_object_set_new(o, "position", vector_text(&v->position));
	json_object_set_new(o, "lag_transactions",
	                    v->lag_known ? json_integer((json_int_t)v->lag_transactions) : json_null());
	json_object_set_new(o, "lag_seconds", v->lag_known ? json_integer(v->lag_seconds) : json_null());
	add_measured(o, v);
	json_object_set_new(o, "may_stay_away_seconds", may_stay_away(retention, v->peer));
	json_object_set_new(o, "applied_transactions", json_integer((json_int_t)v->counts.transactions));
	json_object_set_new(o, "policies_differ", text_or_null(v->differing));
	json_object_set_new(o, "resolved_transactions", json_integer((json_int_t)v->counts.resolved));
	json_object_set_new(o, "applied_batches", json_integer((json_int_t)v->counts.batches));
	return o;
}

static json_t *server_json(const struct state_view *v, const struct retention_view *logs, uint64_t log_limit)
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
	json_object_set_new(server, "log_limit_bytes", number_or_null(log_limit != 0, (int64_t)log_limit));
	json_object_set_new(server, "disk_free_bytes", number_or_null(logs->disk_known, (int64_t)logs->disk_free_bytes));
	json_object_set_new(server, "disk_reserved_bytes",
	                    number_or_null(logs->disk_known, (int64_t)logs->disk_floor_bytes));
	json_object_set_new(server, "open_conflicts", number_or_null(v->conflicts_known, (int64_t)v->open_conflicts));
	json_object_set_new(server, "log_oldest", text_or_null(logs->log_oldest));
	json_object_set_new(server, "log_held", text_or_null(logs->held));
	return server;
}

static json_t *verified_json(const struct verified *v)
{
	if (!v->is_known)
		return json_null();
	json_t *o = json_object();
	json_object_set_new(o, "time", json_integer(v->time));
	json_object_set_new(o, "result", json_string(verify_verdict_name(v->verdict)));
	json_object_set_new(o, "tables", json_integer((json_int_t)v->tables));
	json_object_set_new(o, "rows", json_integer((json_int_t)v->rows));
	json_object_set_new(o, "different_rows", json_integer((json_int_t)v->different_rows));
	return o;
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
	json_object_set_new(root, "server", server_json(report->server, report->logs, settings->retention_bytes));
	for (size_t i = 0; i < settings->database_count; i++)
		json_array_append_new(databases, json_string(settings->databases[i]));
	json_object_set_new(root, "databases", databases);
	for (size_t i = 0; i < report->link_count; i++)
		json_array_append_new(list, link_json(&report->links[i], report->logs));
	json_object_set_new(root, "links", list);
	json_object_set_new(root, "verified", verified_json(report->verified));
	char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	if (text != NULL)
		buf_append_str(to, text);
	buf_append_str(to, "\n");
	free(text);
	json_decref(root);
}
