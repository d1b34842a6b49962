#include "cli/status_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SOON_S = 10 * 365 * 86400 };

const char *status_text_duration(int64_t seconds, char text[32])
{
	if (seconds < 0)
		snprintf(text, 32, "-");
	else if (seconds < 120)
		snprintf(text, 32, "%lld s", (long long)seconds);
	else if (seconds < 7200)
		snprintf(text, 32, "%lld min", (long long)seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(text, 32, "%lld h", (long long)seconds / 3600);
	else
		snprintf(text, 32, "%lld days", (long long)seconds / 86400);
	return text;
}

const char *status_text_bytes(int64_t bytes, char text[32])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double number = (double)bytes / 1024;
	size_t unit = 0;
	if (bytes < 1024) {
		snprintf(text, 32, "%lld bytes", (long long)bytes);
		return text;
	}
	for (; number >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
		number /= 1024;
	snprintf(text, 32, number < 10 ? "%.1f %s" : "%.0f %s", number, units[unit]);
	return text;
}

const char *status_text_state(const struct link_status *link)
{
	if (link->paused)
		return "paused";
	return link->offline_since_s >= 0 && strcmp(link->state, "connecting") == 0 ? "offline" : link->state;
}

static void append_when(int64_t when_s, struct buf *to)
{
	time_t when = (time_t)when_s;
	struct tm tm;
	char text[48];
	if (gmtime_r(&when, &tm) != NULL && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
		buf_append_str(to, text);
}

/* The node as a whole. */

static void append_log(const struct node_status *s, struct buf *to)
{
	char text[32];
	if (s->log_bytes < 0)
		return;
	buf_printf(to, "log %s", status_text_bytes(s->log_bytes, text));
	if (s->log_limit_bytes >= 0)
		buf_printf(to, " of %s", status_text_bytes(s->log_limit_bytes, text));
	if (s->disk_free_bytes >= 0) {
		buf_printf(to, ", %s free on its disk", status_text_bytes(s->disk_free_bytes, text));
		buf_printf(to, " (%s stay free)", status_text_bytes(s->disk_reserved_bytes, text));
	}
	buf_append_str(to, "   ");
}

static void append_verified(const struct node_status *s, int64_t now_s, struct buf *to)
{
	char text[32];
	if (!s->has_verified) {
		buf_append_str(to, "verified never\n");
		return;
	}
	buf_printf(to, "verified %s ago: %s", status_text_duration(now_s > s->verified_s ? now_s - s->verified_s : 0, text),
	           s->verified_result);
	if (s->verified_differing > 0)
		buf_printf(to, ", %lld rows differ", (long long)s->verified_differing);
	buf_append_str(to, "\n");
}

static void append_node(const struct node_status *s, int64_t now_s, struct buf *to)
{
	buf_printf(to, "node %u   engine %s%s   server %s%s%s   vector %s\n", (unsigned)s->node, s->engine,
	           s->engine_switching ? " (going over to it)" : "", s->server_state, *s->server_why ? ": " : "",
	           s->server_why, *s->server_vector ? s->server_vector : "(empty)");
	if (*s->engine_why)
		buf_printf(to, "  the engine that was asked for can't run: %s\n", s->engine_why);
	buf_append_str(to, "  ");
	append_log(s, to);
	if (s->open_conflicts >= 0)
		buf_printf(to, "open conflicts %lld%s   ", (long long)s->open_conflicts,
		           s->open_conflicts > 0 ? " (syncline conflicts --open)" : "");
	append_verified(s, now_s, to);
	if (*s->log_held)
		buf_printf(to, "  %s\n", s->log_held);
}

/* A peer, in both directions. */

static void append_state(const struct link_status *l, int64_t now_s, struct buf *to)
{
	char text[32];
	const char *state = status_text_state(l);
	bool is_offline = strcmp(state, "offline") == 0;
	int64_t since = is_offline ? l->offline_since_s : l->since_s;
	buf_printf(to, "  node %-3u %s for %s", (unsigned)l->peer, state,
	           status_text_duration(since < 0       ? -1
	                                : since < now_s ? now_s - since
	                                                : 0,
	                                text));
	if (is_offline) {
		buf_append_str(to, ", since ");
		append_when(since, to);
		buf_append_str(to, "; nothing is lost, both go on when it is back");
	}
	if (l->has_clock)
		buf_printf(to, "   clock %+lld ms", (long long)l->clock_offset_ms);
	buf_append_str(to, "\n");
	if (*l->why)
		buf_printf(to, "           why:     %s\n", l->why);
	if (*l->mend)
		buf_printf(to, "           mend:    %s\n", l->mend);
}

static void append_transactions(int64_t count, struct buf *to)
{
	buf_printf(to, "%lld transaction%s", (long long)count, count == 1 ? "" : "s");
}

/* "4711 transactions, 12 s, 3.2 MiB" or what there is of it. */
static void append_lag(const struct link_status *l, struct buf *to)
{
	char text[32];
	const char *comma = "";
	if (l->lag_transactions >= 0) {
		append_transactions(l->lag_transactions, to);
		comma = ", ";
	}
	if (l->lag_seconds >= 0) {
		buf_printf(to, "%s%s", comma, status_text_duration(l->lag_seconds, text));
		comma = ", ";
	}
	if (l->lag_bytes >= 0)
		buf_printf(to, "%s%s", comma, status_text_bytes(l->lag_bytes, text));
	buf_append_str(to, " behind");
}

static void append_from(const struct link_status *l, struct buf *to)
{
	char text[32];
	buf_append_str(to, "           from it: ");
	if (l->lag_transactions < 0 && l->lag_seconds < 0)
		buf_append_str(to, "unknown");
	else if (l->lag_transactions == 0)
		buf_append_str(to, "nothing is missing here");
	else
		append_lag(l, to);
	if (l->catch_up_s >= 0)
		buf_printf(to, ", done in about %s", status_text_duration(l->catch_up_s, text));
	if (l->delay_ms >= 0)
		buf_printf(to, "; the last took %lld ms", (long long)l->delay_ms);
	buf_printf(to, "; position %s\n", *l->position ? l->position : "-");
}

static void append_to(const struct link_status *l, struct buf *to)
{
	if (l->peer_lacks < 0)
		return;
	if (l->peer_lacks == 0) {
		buf_append_str(to, "           to it:   it has everything\n");
	} else {
		buf_append_str(to, "           to it:   it lacks ");
		append_transactions(l->peer_lacks, to);
		buf_append_str(to, ", as far as known\n");
	}
}

void status_text(const struct node_status *s, int64_t now_s, struct buf *to)
{
	char text[32];
	append_node(s, now_s, to);
	if (s->link_count == 0)
		buf_append_str(to, "  no peers\n");
	for (size_t i = 0; i < s->link_count; i++) {
		const struct link_status *l = &s->links[i];
		append_state(l, now_s, to);
		append_from(l, to);
		append_to(l, to);
		if (l->may_stay_away_s >= 0 && l->may_stay_away_s < SOON_S)
			buf_printf(to, "           may stay away %s\n", status_text_duration(l->may_stay_away_s, text));
		if (*l->policies_differ)
			buf_printf(to,
			           "           conflict-policy is another there for %s: make the lines the same on every node\n",
			           l->policies_differ);
	}
}
