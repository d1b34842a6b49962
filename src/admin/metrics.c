#include "admin/metrics.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

/* How a member of the status becomes a number. What is null and none of these is left out: no number is no measurement. */
enum kind { NUMBER, TRUTH /* true is 1 */, NOTE /* a text is 1, null is 0 */ };

struct metric {
	const char *name, *type, *help, *member;
	enum kind kind;
};

static const struct metric node_metrics[] = {
    {"syncline_engine_switching", "gauge", "It is going over to another engine.", "engine_switching", TRUTH},
};

static const struct metric server_metrics[] = {
    {"syncline_resolving", "gauge", "Rows are being shown that had been held back, or losses recorded.", "resolving",
     TRUTH},
    {"syncline_window_rows", "gauge", "Keys of writes that some node is not yet known to have.", "window_rows", NUMBER},
    {"syncline_disputed_rows", "gauge", "Rows that somebody wrote without knowing of another's write.", "disputed_rows",
     NUMBER},
    {"syncline_held_rows", "gauge", "Rows that are not shown here as they will be.", "held_rows", NUMBER},
    {"syncline_open_conflicts", "gauge", "Recorded conflicts that nobody has resolved.", "open_conflicts", NUMBER},
    {"syncline_log_held", "gauge", "A limit of the binary log is passed and yet no more may be purged.", "log_held",
     NOTE},
    {"mysql_binlog_size_bytes", "gauge", "What this node's binary log takes, all its files.", "log_bytes", NUMBER},
};

static const struct metric link_metrics[] = {
    {"syncline_link_paused", "gauge", "syncline pause holds the link.", "paused", TRUTH},
    {"syncline_link_state_since_timestamp_seconds", "gauge", "When its state was entered, by the wall clock.", "since",
     NUMBER},
    {"syncline_link_lag_transactions", "gauge", "Transactions in the peer's log that are not applied here yet.",
     "lag_transactions", NUMBER},
    {"syncline_link_may_stay_away_seconds", "gauge",
     "How long that peer may stay away before what it needs is purged here; absent: no limit, or not known.",
     "may_stay_away_seconds", NUMBER},
    {"syncline_link_policies_differ", "gauge", "Conflict policies are others on that peer.", "policies_differ", NOTE},
    {"syncline_link_applied_transactions_total", "counter", "Transactions of the peer's log applied here.",
     "applied_transactions", NUMBER},
    {"syncline_link_applied_batches_total", "counter", "Local transactions that it took.", "applied_batches", NUMBER},
    {"syncline_link_resolved_transactions_total", "counter",
     "Of the applied ones, those that met writes that they didn't know of.", "resolved_transactions", NUMBER},
};

static const struct metric lag_metric = {"mysql_slave_status_seconds_behind_master", "gauge",
                                         "Age of the transaction being applied; absent while not connected.",
                                         "lag_seconds", NUMBER};

static void append_head(const char *name, const char *type, const char *help, struct buf *to)
{
	buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void append_label(const char *name, const char *value, struct buf *to)
{
	buf_printf(to, "%s=\"", name);
	for (const char *c = value; *c != '\0'; c++) {
		if (*c == '\n')
			buf_append_str(to, "\\n");
		else
			buf_printf(to, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
	}
	buf_append_str(to, "\"");
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

static bool number_of(const struct metric *m, const json_t *object, int64_t *ret_number)
{
	const json_t *value = json_object_get(object, m->member);
	if (m->kind == NUMBER) {
		*ret_number = json_integer_value(value);
		return json_is_integer(value);
	}
	*ret_number = m->kind == TRUTH ? json_is_true(value) : json_is_string(value);
	return value != NULL;
}

static void append_plain(const struct metric *metrics, size_t count, const json_t *object, struct buf *to)
{
	for (size_t i = 0; i < count; i++) {
		int64_t number;
		if (!number_of(&metrics[i], object, &number))
			continue;
		append_head(metrics[i].name, metrics[i].type, metrics[i].help, to);
		buf_printf(to, "%s %" PRId64 "\n", metrics[i].name, number);
	}
}

/* {peer="2"}, or the labels that mysqld_exporter has. */
static void append_link_labels(const json_t *link, bool is_exporters, struct buf *to)
{
	int64_t peer = json_integer_value(json_object_get(link, "peer"));
	buf_append_str(to, "{");
	if (is_exporters) {
		buf_printf(to, "channel_name=\"\",connection_name=\"syncline-peer-%" PRId64 "\",", peer);
		append_label("master_host", text_of(link, "where"), to);
		buf_append_str(to, ",master_uuid=\"\",");
	}
	buf_printf(to, "peer=\"%" PRId64 "\"}", peer);
}

static void append_by_link(const struct metric *m, bool is_exporters, const json_t *links, struct buf *to)
{
	size_t i;
	json_t *link;
	append_head(m->name, m->type, m->help, to);
	json_array_foreach(links, i, link)
	{
		int64_t number;
		if (!number_of(m, link, &number))
			continue;
		buf_append_str(to, m->name);
		append_link_labels(link, is_exporters, to);
		buf_printf(to, " %" PRId64 "\n", number);
	}
}

static bool is_one_of(const char *state, const char *const *states, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(state, states[i]) == 0)
			return true;
	return false;
}

static void append_states(const json_t *links, struct buf *to)
{
	static const char *const states[] = {"connecting", "catching up", "live", "stopped", "must rejoin"};
	size_t i;
	json_t *link;
	append_head("syncline_link_state", "gauge", "1 for the state that the link is in.", to);
	json_array_foreach(links, i, link) for (size_t s = 0; s < sizeof states / sizeof *states; s++)
	    buf_printf(to, "syncline_link_state{peer=\"%" PRId64 "\",state=\"%s\"} %d\n",
	               (int64_t)json_integer_value(json_object_get(link, "peer")), states[s],
	               strcmp(text_of(link, "state"), states[s]) == 0);
}

/* As MariaDB's own threads are told: reading from the peer, and applying. */
static void append_running(const char *name, const char *help, const char *const *states, size_t count,
                           const json_t *links, struct buf *to)
{
	size_t i;
	json_t *link;
	append_head(name, "gauge", help, to);
	json_array_foreach(links, i, link)
	{
		buf_append_str(to, name);
		append_link_labels(link, true, to);
		buf_printf(to, " %d\n",
		           is_one_of(text_of(link, "state"), states, count) && !json_is_true(json_object_get(link, "paused")));
	}
}

static void append_info(const json_t *root, struct buf *to)
{
	append_head("syncline_info", "gauge", "What runs here.", to);
	buf_append_str(to, "syncline_info{version=\"" SYNCLINE_VERSION "\",");
	buf_printf(to, "node=\"%" PRId64 "\",", (int64_t)json_integer_value(json_object_get(root, "node")));
	append_label("engine", text_of(root, "engine"), to);
	buf_append_str(to, "} 1\n");
	append_head("mysql_up", "gauge", "This node's server can be reached and its log is read.", to);
	buf_printf(to, "mysql_up %d\n", strcmp(text_of(json_object_get(root, "server"), "state"), "live") == 0);
}

void metrics_format(const char *status, struct buf *to)
{
	static const char *const reading[] = {"catching up", "live"}, *const applying[] = {"connecting", "catching up",
	                                                                                   "live"};
	json_t *root = json_loads(status, 0, NULL);
	const json_t *links = json_object_get(root, "links");
	append_info(root, to);
	append_plain(node_metrics, sizeof node_metrics / sizeof *node_metrics, root, to);
	append_plain(server_metrics, sizeof server_metrics / sizeof *server_metrics, json_object_get(root, "server"), to);
	append_states(links, to);
	for (size_t i = 0; i < sizeof link_metrics / sizeof *link_metrics; i++)
		append_by_link(&link_metrics[i], false, links, to);
	append_by_link(&lag_metric, true, links, to);
	append_running("mysql_slave_status_slave_io_running", "The peer's log is being read.", reading, 2, links, to);
	append_running("mysql_slave_status_slave_sql_running",
	               "What is read is applied: the link is neither stopped nor paused.", applying, 3, links, to);
	json_decref(root);
}
