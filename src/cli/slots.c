/* syncline slots: how many nodes there may be, on a node that runs. Ids are given out in steps of it, so each node has to have the wider step,
 * in every session, before a node with a higher number may come in. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/this_node.h"
#include "node/dropin.h"
#include "node/files.h"
#include "node/place.h"
#include "node/settings_edit.h"
#include "node/slots.h"

enum { FILE_BYTES_MAX = 1 << 20, POLL_MS = 200, SESSIONS_SHOWN = 10 };

struct slots {
	struct this_node node;
	unsigned slots;
	bool kill, force;
	struct place place;
};

static enum err_code check(const struct slots *t, struct err *err)
{
	const struct settings *s = &t->node.settings;
	uint32_t highest = s->nodes[s->node_count - 1];
	return t->slots >= highest ? ERR_OK
	                           : err_set(err, ERR_USAGE,
	                                     "there is a node %u, so slots can't be fewer than %u; let go of it first: "
	                                     "syncline forget %u",
	                                     (unsigned)highest, (unsigned)highest, (unsigned)highest);
}

/* Until every node has them, each goes on in its own steps. Of a node that can't be asked it is taken that it has what
 * is here. */
static enum err_code check_steps(const struct slots *t, struct err *err)
{
	const struct settings *s = &t->node.settings;
	unsigned now = 0;
	enum err_code code = slots_of_server(t->node.server, &now, err);
	for (size_t i = 0; code == ERR_OK && !t->force && i < s->peer_count; i++) {
		unsigned there = 0, id = (unsigned)s->peers[i].node_id;
		struct err ignored;
		struct connection *connection = connection_new();
		if (this_node_reach(&t->node, &s->peers[i], connection, &ignored) != ERR_OK ||
		    slots_of_server(connection, &there, &ignored) != ERR_OK)
			there = now;
		connection_free(connection);
		if (slots_collide(s->node_id, t->slots, id, there))
			code = err_set(err, ERR_USAGE,
			               "node %u gives out ids in steps of %u: until it has %u slots, too, both would give out some "
			               "of them; take %u, or let applications rest on all nodes meanwhile and add --force",
			               id, there, t->slots, slots_enough(there, t->slots));
	}
	return code;
}

/* For the server's next start. */
static enum err_code write_dropin(const struct slots *t, struct err *err)
{
	struct buf text = {0};
	char line[64];
	snprintf(line, sizeof line, "auto_increment_increment = %u\n", t->slots);
	enum err_code code = files_read_tail(t->place.dropin, FILE_BYTES_MAX, &text, err);
	if (code == ERR_OK && !dropin_replace(&text, "auto_increment_increment", line))
		code =
		    err_set(err, ERR_CONFIG, "%s: no auto_increment_increment there; add it under [mariadbd]", t->place.dropin);
	if (code == ERR_OK)
		code = files_draft(t->place.dropin, &text, 0644, NULL, err);
	if (code == ERR_OK)
		code = files_put(t->place.dropin, err);
	buf_free(&text);
	return code;
}

/* Sessions from before have lower numbers than one that is opened now. */
static enum err_code set_mark(const struct slots *t, struct err *err)
{
	struct connection *now = connection_new();
	struct connection_target target = {.socket = t->node.settings.server_where, .name = t->node.settings.server_where};
	enum err_code code = connection_open(now, &target, err);
	if (code == ERR_OK)
		code = connection_run(now, "SET SESSION sql_log_bin=0; UPDATE syncline.steps SET mark=CONNECTION_ID()", err);
	connection_free(now);
	return code;
}

/* The narrower number is noted before the wider one is set, so that nobody sees only that. */
static enum err_code widen(const struct slots *t, struct err *err)
{
	struct buf text = {0};
	char sql[300];
	enum err_code code = this_node_value(
	    &t->node, "SELECT CONCAT(@@GLOBAL.auto_increment_increment,' ',(SELECT COUNT(*) FROM syncline.steps))", &text,
	    err);
	unsigned now = 0, noted = 0;
	if (code == ERR_OK && sscanf(buf_str(&text), "%u %u", &now, &noted) != 2)
		code = err_set(err, ERR_SERVER, "the server's slots can't be read: %s", buf_str(&text));
	buf_free(&text);
	if (code != ERR_OK || (now == t->slots && noted == 0))
		return code;
	snprintf(
	    sql, sizeof sql,
	    "SET SESSION sql_log_bin=0;"
	    "INSERT INTO syncline.steps SELECT %u, ~0 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM syncline.steps) AND %u<%u;"
	    "SET SESSION sql_log_bin=1; SET GLOBAL auto_increment_increment=%u",
	    now, now, t->slots, t->slots);
	code = connection_run(t->node.server, sql, err);
	return code == ERR_OK && now != t->slots ? set_mark(t, err) : code;
}

/* ---- Sessions with the old step ---- */

struct sessions {
	unsigned count;
	struct buf shown, kill;
};

static void add_session(void *context, unsigned count, const char *const *c)
{
	struct sessions *s = context;
	if (count < 3 || c[0] == NULL)
		return;
	if (s->count++ < SESSIONS_SHOWN)
		buf_printf(&s->shown, "%s%s (%s, %s)", s->shown.size ? ", " : "", c[0], c[1] ? c[1] : "?", c[2] ? c[2] : "?");
	buf_printf(&s->kill, "KILL %s;", c[0]);
}

static void sessions_done(struct sessions *s)
{
	buf_free(&s->shown);
	buf_free(&s->kill);
	*s = (struct sessions){0};
}

/* Peers and replicas generate no ids. */
static enum err_code find_sessions(const struct slots *t, struct sessions *ret, struct err *err)
{
	return connection_query(
	    t->node.server,
	    "SELECT ID, USER, HOST FROM information_schema.PROCESSLIST WHERE ID<>CONNECTION_ID()"
	    " AND ID<(SELECT MIN(mark) FROM syncline.steps) AND USER NOT IN ('system user','event_scheduler')"
	    " AND USER NOT RLIKE '^syncline-[0-9]+$' AND COMMAND NOT IN ('Binlog Dump','Daemon') ORDER BY ID",
	    add_session, ret, err);
}

static enum err_code wait_for_sessions(const struct slots *t, struct err *err)
{
	char *told = NULL;
	for (;;) {
		struct sessions s = {0};
		enum err_code code = find_sessions(t, &s, err);
		bool is_done = code == ERR_OK && s.count == 0;
		if (code == ERR_OK && s.count > 0 && t->kill) {
			code = connection_run(t->node.server, buf_str(&s.kill), err);
			if (code == ERR_SERVER && err->server_errno == 1094) /* ER_NO_SUCH_THREAD: it has just ended */
				code = ERR_OK;
		} else if (code == ERR_OK && s.count > 0 && (told == NULL || strcmp(told, buf_str(&s.shown)) != 0)) {
			printf("Waiting for %u sessions that give out ids in the old steps: %s%s; --kill ends them\n", s.count,
			       buf_str(&s.shown), s.count > SESSIONS_SHOWN ? ", …" : "");
			fflush(stdout);
			free(told);
			told = strdup(buf_str(&s.shown));
		}
		sessions_done(&s);
		if (code == ERR_OK && !is_done && command_interrupted)
			code =
			    err_set(err, ERR_CANCELLED, "not done yet, sessions with the old steps are left; run the same again");
		if (code != ERR_OK || is_done) {
			free(told);
			return code;
		}
		clock_sleep_ms(POLL_MS);
	}
}

/* ---- The whole ---- */

static enum err_code write_settings(const struct slots *t, struct err *err)
{
	struct settings_edit edit;
	char number[16];
	snprintf(number, sizeof number, "%u", t->slots);
	enum err_code code = settings_edit_begin(&edit, t->node.settings.file, err);
	if (code != ERR_OK)
		return code;
	settings_edit_set(&edit.text, "slots", number);
	code = settings_edit_save(&edit, err);
	settings_edit_end(&edit);
	return code;
}

/* Each node has to have them. */
static void tell_others(const struct slots *t)
{
	const struct settings *s = &t->node.settings;
	for (size_t i = 0; i < s->peer_count; i++) {
		unsigned there = 0, id = (unsigned)s->peers[i].node_id;
		struct err err;
		struct connection *connection = connection_new();
		enum err_code code = this_node_reach(&t->node, &s->peers[i], connection, &err);
		if (code == ERR_OK)
			code = slots_of_server(connection, &there, &err);
		if (code != ERR_OK)
			printf("Node %u can't be asked (%s); run there: syncline slots %u\n", id, err.message, t->slots);
		else if (there < t->slots)
			printf("Node %u still has %u slots; run there: syncline slots %u\n", id, there, t->slots);
		connection_free(connection);
	}
}

static enum err_code set_slots(const struct slots *t, struct err *err)
{
	enum err_code code = check(t, err);
	if (code == ERR_OK)
		code = check_steps(t, err);
	if (code == ERR_OK)
		code = write_dropin(t, err);
	if (code == ERR_OK)
		code = widen(t, err);
	if (code == ERR_OK) /* the daemon's sessions are old ones, too */
		code = this_node_reload(&t->node, NULL, err);
	if (code == ERR_OK)
		code = wait_for_sessions(t, err);
	if (code == ERR_OK)
		code = write_settings(t, err);
	if (code == ERR_OK)
		code = connection_run(t->node.server,
		                      "SET SESSION sql_log_bin=0; DELETE FROM syncline.steps; SET SESSION sql_log_bin=1", err);
	return code == ERR_OK ? this_node_reload(&t->node, NULL, err) : code;
}

int command_slots(int argc, char **argv)
{
	const char *file = SETTINGS_FILE, *root = "";
	struct slots t = {0};
	const struct option_row rows[] = {
	    {"kill", OPTION_FLAG, &t.kill, NULL, "end sessions that would go on with the old steps", false, 0, 0},
	    {"force", OPTION_FLAG, &t.force, NULL, "also if nodes give out one id twice until all have them", false, 0, 0},
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {"root", OPTION_TEXT, &root, "DIR", "the system is in this folder, not in /", false, 0, 0},
	    {0},
	};
	struct options options = {"N [--kill] [--force] [--defaults-file=FILE]",
	                          "Makes room for nodes with numbers up to N: generated ids go in steps of N. Waits for "
	                          "sessions that go on with the\n"
	                          "old steps. Run it on each node; then a node with such a number may join.",
	                          rows, 1, 1};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	char *end;
	unsigned long slots = strtoul(argv[1], &end, 10);
	if (*end != 0 || slots < 1 || slots > NODE_ID_MAX)
		return command_fail(argv[0], EXIT_USAGE, "'%.40s' is no number of slots; give a whole number from 1 to %d",
		                    argv[1], NODE_ID_MAX);
	struct err err;
	t.slots = (unsigned)slots;
	place_init(&t.place, root);
	command_catch_signals();
	enum err_code code = this_node_open(&t.node, argv[0], file, &err);
	if (code == ERR_OK)
		code = set_slots(&t, &err);
	if (code == ERR_OK) {
		printf("Node %u has %u slots.\n", (unsigned)t.node.settings.node_id, t.slots);
		tell_others(&t);
	}
	place_done(&t.place);
	this_node_close(&t.node);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
