/* syncline health: one line and an exit status for monitoring, in a time that is known ahead. */
#include <stdio.h>

#include "admin/control.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/health_rule.h"
#include "cli/node_status.h"
#include "node/settings.h"
#include "sql/connection.h"

/* CONNECT_S: what sql/connection waits for a server that doesn't greet. */
enum { TIMEOUT_S = 10, TIMEOUT_S_MIN = 5, TIMEOUT_S_MAX = 600, CONNECT_S = 3, READ_S = 1 };

/* The daemon learns within seconds that its server hangs; a server that has just begun to is asked itself. */
static enum err_code ask_server(const struct settings *settings, struct err *err)
{
	struct connection_target target = {.file = settings->file,
	                                   .group = settings->server_group,
	                                   .name = settings->server_where,
	                                   .read_timeout_s = READ_S};
	struct connection *connection = connection_new();
	enum err_code code = connection_open(connection, &target, err);
	if (code == ERR_OK)
		code = connection_run(connection, "SELECT 1", err);
	if (code != ERR_OK)
		err_wrap(err, "this node's server doesn't answer");
	connection_free(connection);
	return code;
}

/* What isn't the node's state but keeps from seeing it. */
static enum health fail(const struct err *err, struct buf *line)
{
	bool is_its_state = err->code == ERR_DISCONNECTED || err->code == ERR_TIMEOUT;
	enum health level = is_its_state ? HEALTH_CRITICAL : HEALTH_UNKNOWN;
	health_append(level, err->message, line);
	return level;
}

static enum health judge(const char *file, const struct health_limits *limits, unsigned timeout_s, struct buf *line)
{
	struct settings settings = {0};
	struct node_status status = {0};
	struct buf answer = {0};
	struct err err;
	int ms = (int)(timeout_s - CONNECT_S - READ_S) * 1000;
	enum err_code code = command_act_as_owner(file, &err);
	if (code == ERR_OK)
		code = settings_load(file, &settings, &err);
	if (code == ERR_OK)
		code = control_call(settings.state_dir, "status", ms, &answer, &err);
	if (code == ERR_OK)
		code = node_status_parse(buf_str(&answer), &status, &err);
	if (code == ERR_OK)
		code = ask_server(&settings, &err);
	enum health level = code == ERR_OK ? health_judge(&status, limits, clock_wall_s(), line) : fail(&err, line);
	node_status_free(&status);
	settings_free(&settings);
	buf_free(&answer);
	return level;
}

int command_health(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	struct health_limits l = HEALTH_LIMITS;
	unsigned timeout_s = TIMEOUT_S;
	enum { S_MAX = 30 * 86400, H_MAX = 10000, COUNT_MAX = 1000000 };
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of the node (" SETTINGS_FILE ")", false, 0, 0},
	    {"timeout", OPTION_NUMBER, &timeout_s, "S", "answers within S seconds, whatever hangs (10)", false,
	     TIMEOUT_S_MIN, TIMEOUT_S_MAX},
	    {"lag-warning", OPTION_NUMBER, &l.lag_warning_s, "S", "a link is S seconds behind (30)", false, 0, S_MAX},
	    {"lag-critical", OPTION_NUMBER, &l.lag_critical_s, "S", "the same (300)", false, 0, S_MAX},
	    {"offline-critical", OPTION_NUMBER, &l.offline_critical_h, "H",
	     "a peer is offline for H hours; until then a warning (24)", false, 0, H_MAX},
	    {"room-warning", OPTION_NUMBER, &l.room_warning_h, "H", "a peer may stay away less than H hours (24)", false, 0,
	     H_MAX},
	    {"room-critical", OPTION_NUMBER, &l.room_critical_h, "H", "the same, of a peer that is offline (2)", false, 0,
	     H_MAX},
	    {"conflicts-warning", OPTION_NUMBER, &l.conflicts_warning, "N", "N conflicts that nobody resolved (1)", false,
	     0, COUNT_MAX},
	    {"conflicts-critical", OPTION_NUMBER, &l.conflicts_critical, "N", "the same (never)", false, 0, COUNT_MAX},
	    {"clock-warning", OPTION_NUMBER, &l.clock_warning_s, "S", "a peer's clock is S seconds off this one's (60)",
	     false, 0, S_MAX},
	    {0},
	};
	struct options options = {"[--defaults-file=FILE] [--timeout=S] [LIMIT…]",
	                          "One line for monitoring: HEALTHY or ERROR, why, and figures. Exit status 0 ok, 1 "
	                          "warning, 2 critical, 3 unknown, "
	                          "as\nNagios has it. A limit of 0 never counts.",
	                          rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status == EXIT_OK ? EXIT_OK : HEALTH_UNKNOWN;
	struct buf line = {0};
	enum health level = judge(file, &l, timeout_s, &line);
	fwrite(line.data, 1, line.size, stdout);
	buf_free(&line);
	return (int)level;
}
