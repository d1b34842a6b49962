/* syncline doctor: examines this node and what it can reach of its peers, says what is wrong and how to mend it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/node_status.h"
#include "doctor/check.h"
#include "doctor/gather.h"
#include "doctor/show.h"
#include "sql/connection.h"

enum {
	EXIT_COULD_NOT_LOOK = 3,
	SCHEMA_PAUSE_MS = 1000, /* DDL that is on its way when we look is no difference */
};

struct examination {
	const char *file;
	bool fix, json;
	struct settings settings;
	struct node_status status; /* the facts about the daemon point into it */
	char *no_daemon;
	struct facts facts;
	struct findings findings;
	struct repairs repairs;
};

static void forget(struct examination *e)
{
	findings_free(&e->findings);
	facts_free(&e->facts);
	node_status_free(&e->status);
	free(e->no_daemon);
	e->no_daemon = NULL;
}

/* ---- Looking ---- */

static void take_daemon(struct examination *e)
{
	struct daemon_facts *d = &e->facts.daemon;
	struct err err;
	d->is_running = node_status_get(e->settings.state_dir, &e->status, &err) == ERR_OK;
	if (!d->is_running) {
		e->no_daemon = mem_strdup(err.message);
		d->why = e->no_daemon;
		return;
	}
	d->server_state = e->status.server_state;
	d->server_why = e->status.server_why;
	d->engine = e->status.engine;
	d->engine_why = e->status.engine_why;
	d->is_switching = e->status.engine_switching;
	for (size_t i = 0; i < e->status.link_count; i++) {
		const struct link_status *link = &e->status.links[i];
		d->links[d->link_count++] = (struct daemon_link_facts){.peer = link->peer,
		                                                       .is_paused = link->paused,
		                                                       .state = link->state,
		                                                       .why = link->why,
		                                                       .transaction = link->transaction};
	}
}

static enum err_code look_once(struct examination *e, struct err *err)
{
	forget(e);
	enum err_code code = gather_facts(&e->settings, &e->facts, err);
	if (code != ERR_OK) {
		struct err cause = *err;
		return err_set(err, code, "%s; start MariaDB, or correct [%s] in %s", cause.message, e->settings.server_group,
		               e->settings.file);
	}
	take_daemon(e);
	check_all(&e->facts, &e->findings);
	return ERR_OK;
}

static bool has_schema_finding(const struct findings *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->rows[i].code == FINDING_TABLE_MISSING || f->rows[i].code == FINDING_TABLE_DIFFERS)
			return true;
	return false;
}

static enum err_code look(struct examination *e, struct err *err)
{
	enum err_code code = look_once(e, err);
	if (code != ERR_OK || !e->facts.daemon.is_running || !has_schema_finding(&e->findings))
		return code;
	clock_sleep_ms(SCHEMA_PAUSE_MS);
	return look_once(e, err);
}

/* ---- Mending ---- */

static enum err_code mend(struct examination *e, struct err *err)
{
	struct connection *connection = connection_new();
	struct connection_target target = {
	    .file = e->settings.file, .group = e->settings.server_group, .name = e->settings.server_where};
	enum err_code code = connection_open(connection, &target, err);
	for (size_t i = 0; i < e->findings.count && code == ERR_OK; i++) {
		const struct finding *f = &e->findings.rows[i];
		struct err refused;
		if (f->statement == NULL)
			continue;
		bool is_done = connection_run(connection, f->statement, &refused) == ERR_OK;
		repairs_add(&e->repairs, (struct repair){.code = f->code,
		                                         .statement = mem_strdup(f->statement),
		                                         .permanent = mem_strdup(f->permanent),
		                                         .why = is_done ? NULL : mem_strdup(refused.message)});
	}
	connection_free(connection);
	return code;
}

/* ---- The command ---- */

static enum err_code examine(struct examination *e, struct err *err)
{
	enum err_code code = command_act_as_owner(e->file, err);
	if (code == ERR_OK)
		code = settings_load(e->file, &e->settings, err);
	if (code == ERR_OK)
		code = look(e, err);
	if (code == ERR_OK && e->fix) {
		code = mend(e, err);
		if (code == ERR_OK && e->repairs.count > 0)
			code = look(e, err);
	}
	return code;
}

static void print(const struct examination *e)
{
	struct buf text = {0};
	if (e->json)
		show_json(&e->facts, &e->findings, &e->repairs, &text);
	else
		show_text(&e->facts, &e->findings, &e->repairs, &text);
	fputs(buf_str(&text), stdout);
	buf_free(&text);
}

int command_doctor(int argc, char **argv)
{
	struct examination e = {.file = SETTINGS_FILE};
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &e.file, "FILE", "the settings of the node (" SETTINGS_FILE ")", false, 0, 0},
	    {"fix", OPTION_FLAG, &e.fix, NULL, "set what can safely be set while the server runs, and look again", false, 0,
	     0},
	    {"json", OPTION_FLAG, &e.json, NULL, "as one JSON document (docs/doctor.md)", false, 0, 0},
	    {0},
	};
	struct options options = {
	    "--defaults-file=FILE [--fix] [--json]",
	    "Examines this node, and its peers as far as they can be reached. Says what is wrong and how "
	    "to mend it.\n"
	    "Exit status: 0 nothing to mend, 1 warnings, 2 errors, 3 it could not look.",
	    rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status == EXIT_OK ? EXIT_OK : EXIT_COULD_NOT_LOOK;
	struct err err;
	if (examine(&e, &err) == ERR_OK) {
		print(&e);
		status = findings_exit_status(&e.findings);
	} else {
		status = command_fail(argv[0], EXIT_COULD_NOT_LOOK, "%s", err.message);
	}
	forget(&e);
	repairs_free(&e.repairs);
	settings_free(&e.settings);
	return status;
}
