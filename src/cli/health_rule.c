#include "cli/health_rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/status_text.h"

enum { HOUR_S = 3600 };

/* What was found, by level; the worst is told first. */
struct verdict {
	enum health level;
	struct buf texts[HEALTH_UNKNOWN + 1];
};

static void find(struct verdict *v, enum health level, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void find(struct verdict *v, enum health level, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (level > v->level)
		v->level = level;
	buf_printf(&v->texts[level], "%s%s", v->texts[level].size > 0 ? "; " : "", text);
}

/* Of a number that should be small; 0: no limit. */
static enum health level_of(int64_t number, unsigned warning, unsigned critical)
{
	if (critical != 0 && number >= (int64_t)critical)
		return HEALTH_CRITICAL;
	return warning != 0 && number >= (int64_t)warning ? HEALTH_WARNING : HEALTH_OK;
}

static void judge_offline(const struct link_status *l, const struct health_limits *limits, int64_t now_s,
                          struct verdict *v)
{
	char text[32];
	int64_t away_s = now_s > l->offline_since_s ? now_s - l->offline_since_s : 0;
	find(v,
	     level_of(away_s, 0, limits->offline_critical_h * HOUR_S) == HEALTH_CRITICAL ? HEALTH_CRITICAL : HEALTH_WARNING,
	     "node %u offline for %s", (unsigned)l->peer, status_text_duration(away_s, text));
}

static void judge_state(const struct link_status *l, const struct health_limits *limits, int64_t now_s,
                        struct verdict *v)
{
	unsigned peer = (unsigned)l->peer;
	const char *state = status_text_state(l);
	if (strcmp(state, "stopped") == 0 || strcmp(state, "must rejoin") == 0)
		find(v, HEALTH_CRITICAL, "link from node %u %s: %s%s%s", peer, state, l->why, *l->mend ? "; " : "", l->mend);
	else if (strcmp(state, "paused") == 0)
		find(v, HEALTH_WARNING, "link from node %u paused; %s", peer, l->mend);
	else if (strcmp(state, "offline") == 0)
		judge_offline(l, limits, now_s, v);
	else if (strcmp(state, "connecting") == 0)
		find(v, HEALTH_WARNING, "link from node %u connecting%s%s", peer, *l->why ? ": " : "", l->why);
}

static void judge_link(const struct link_status *l, const struct health_limits *limits, int64_t now_s,
                       struct verdict *v)
{
	char text[32];
	unsigned peer = (unsigned)l->peer;
	judge_state(l, limits, now_s, v);
	enum health lag = level_of(l->lag_seconds, limits->lag_warning_s, limits->lag_critical_s);
	if (lag != HEALTH_OK)
		find(v, lag, "node %u: %s behind", peer, status_text_duration(l->lag_seconds, text));
	/* Too little room is a matter of time while the peer is there, and of urgency when it isn't. */
	bool is_away = strcmp(status_text_state(l), "offline") == 0;
	int64_t room_h = l->may_stay_away_s / HOUR_S;
	if (l->may_stay_away_s >= 0 && room_h < (int64_t)limits->room_warning_h)
		find(v, is_away && room_h < (int64_t)limits->room_critical_h ? HEALTH_CRITICAL : HEALTH_WARNING,
		     "node %u may stay away %s", peer, status_text_duration(l->may_stay_away_s, text));
	if (*l->policies_differ)
		find(v, HEALTH_WARNING, "conflict-policy is another on node %u for %s", peer, l->policies_differ);
	if (l->has_clock && level_of(llabs(l->clock_offset_ms) / 1000, limits->clock_warning_s, 0) != HEALTH_OK)
		find(v, HEALTH_WARNING, "clock of node %u is %s %s", peer,
		     status_text_duration(llabs(l->clock_offset_ms) / 1000, text), l->clock_offset_ms > 0 ? "ahead" : "behind");
}

static void judge_node(const struct node_status *s, const struct health_limits *limits, struct verdict *v)
{
	if (strcmp(s->server_state, "live") != 0)
		find(v, HEALTH_CRITICAL, "this node's server: %s%s%s", s->server_state, *s->server_why ? ": " : "",
		     s->server_why);
	if (*s->engine_why)
		find(v, HEALTH_WARNING, "engine %s, since the other can't run: %s", s->engine, s->engine_why);
	if (*s->log_held)
		find(v, HEALTH_WARNING, "%s", s->log_held);
	enum health conflicts = level_of(s->open_conflicts, limits->conflicts_warning, limits->conflicts_critical);
	if (conflicts != HEALTH_OK)
		find(v, conflicts, "%lld open conflicts", (long long)s->open_conflicts);
	if (s->has_verified && s->verified_differing > 0)
		find(v, HEALTH_CRITICAL, "%lld rows differ, as last verified", (long long)s->verified_differing);
}

/* ---- The line ---- */

static const char *const levels[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

/* "|" would begin the figures, a line break a second line. */
static void append_clean(const char *text, struct buf *to)
{
	for (; *text != '\0'; text++)
		buf_append_u8(to, *text == '|' ? '/' : (unsigned char)*text < ' ' ? ' ' : (uint8_t)*text);
}

static void append_head(enum health level, struct buf *to)
{
	buf_printf(to, "SYNCLINE %s - %s: ", levels[level], level <= HEALTH_WARNING ? "HEALTHY" : "ERROR");
}

void health_append(enum health level, const char *text, struct buf *to)
{
	append_head(level, to);
	append_clean(text, to);
	buf_append_str(to, "\n");
}

/* 'name'=value[unit];warning;critical;0. U: not known. */
static void append_figure(struct buf *to, const char *name, unsigned peer, int64_t value, const char *unit,
                          unsigned warning, unsigned critical)
{
	char number[32], limits[2][16] = {"", ""};
	if (value < 0)
		snprintf(number, sizeof number, "U");
	else
		snprintf(number, sizeof number, "%lld%s", (long long)value, unit);
	if (warning != 0)
		snprintf(limits[0], sizeof limits[0], "%u", warning);
	if (critical != 0)
		snprintf(limits[1], sizeof limits[1], "%u", critical);
	if (peer != 0)
		buf_printf(to, " %s_%u=%s;%s;%s;0", name, peer, number, limits[0], limits[1]);
	else
		buf_printf(to, " %s=%s;%s;%s;0", name, number, limits[0], limits[1]);
}

static void append_figures(const struct node_status *s, const struct health_limits *limits, int64_t now_s,
                           struct buf *to)
{
	buf_append_str(to, " |");
	append_figure(to, "open_conflicts", 0, s->open_conflicts, "", limits->conflicts_warning,
	              limits->conflicts_critical);
	append_figure(to, "log", 0, s->log_bytes, "B", 0, 0);
	append_figure(to, "disk_free", 0, s->disk_free_bytes, "B", 0, 0);
	for (size_t i = 0; i < s->link_count; i++) {
		const struct link_status *l = &s->links[i];
		unsigned peer = (unsigned)l->peer;
		int64_t away_s = l->offline_since_s < 0 ? 0 : now_s > l->offline_since_s ? now_s - l->offline_since_s : 0;
		append_figure(to, "lag", peer, l->lag_seconds, "s", limits->lag_warning_s, limits->lag_critical_s);
		append_figure(to, "lag_transactions", peer, l->lag_transactions, "", 0, 0);
		append_figure(to, "lag_bytes", peer, l->lag_bytes, "B", 0, 0);
		append_figure(to, "peer_lacks", peer, l->peer_lacks, "", 0, 0);
		append_figure(to, "offline", peer, away_s, "s", 0, limits->offline_critical_h * HOUR_S);
		append_figure(to, "may_stay_away", peer, l->may_stay_away_s, "s", 0, 0);
		if (l->has_clock)
			buf_printf(to, " clock_offset_%u=%.3fs;;;", peer, (double)l->clock_offset_ms / 1000);
		else
			buf_printf(to, " clock_offset_%u=U;;;", peer);
	}
	buf_append_str(to, "\n");
}

enum health health_judge(const struct node_status *s, const struct health_limits *limits, int64_t now_s, struct buf *to)
{
	struct verdict v = {.level = HEALTH_OK};
	size_t live = 0;
	judge_node(s, limits, &v);
	for (size_t i = 0; i < s->link_count; i++) {
		judge_link(&s->links[i], limits, now_s, &v);
		live += strcmp(s->links[i].state, "live") == 0;
	}
	append_head(v.level, to);
	for (int level = HEALTH_UNKNOWN; level > HEALTH_OK; level--) {
		append_clean(buf_str(&v.texts[level]), to);
		if (v.texts[level].size > 0)
			buf_append_str(to, "; ");
	}
	buf_printf(to, "node %u: %zu of %zu peers live", (unsigned)s->node, live, s->link_count);
	append_figures(s, limits, now_s, to);
	for (size_t i = 0; i < sizeof v.texts / sizeof *v.texts; i++)
		buf_free(&v.texts[i]);
	return v.level;
}
