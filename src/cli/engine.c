/* syncline engine: goes over to the other engine, merge or MariaDB's own replication, with the other node left as it
 * is. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/node_status.h"
#include "node/accounts.h"
#include "node/settings.h"
#include "node/settings_engine.h"
#include "sql/connection.h"

enum { CALL_TIMEOUT_MS = 5000, DONE_TIMEOUT_MS = 120 * 1000, POLL_MS = 50 };

/* *ret_done when the daemon runs this engine; an error when it stays with the one that it had. */
static enum err_code ask(const char *state_dir, const char *engine, bool *ret_done, struct err *err)
{
	struct node_status status;
	enum err_code code = node_status_get(state_dir, &status, err);
	if (code != ERR_OK)
		return code;
	if (*status.engine_why != '\0')
		code = err_set(err, ERR_CONFIG, "%s", status.engine_why);
	else
		*ret_done = !status.engine_switching && strcmp(status.engine, engine) == 0;
	node_status_free(&status);
	return code;
}

static enum err_code wait_done(const char *state_dir, const char *engine, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + DONE_TIMEOUT_MS;
	for (bool done = false; !done;) {
		enum err_code code = ask(state_dir, engine, &done, err);
		if (code != ERR_OK && code != ERR_TIMEOUT)
			return code;
		if (command_interrupted)
			return err_set(err, ERR_CANCELLED, "interrupted; the daemon goes on with it, see `syncline status`");
		if (clock_monotonic_ms() > deadline)
			return err_set(err, ERR_TIMEOUT, "not done after %d s; the daemon goes on with it, see `syncline status`",
			               DONE_TIMEOUT_MS / 1000);
		if (!done)
			clock_sleep_ms(POLL_MS);
	}
	return ERR_OK;
}

/* ERR_DISCONNECTED when no daemon runs: then the file is all there is to do. */
static enum err_code tell_daemon(const struct settings *settings, const char *engine, struct err *err)
{
	static const char refusal[] = "error: ";
	struct buf answer = {0};
	char *command = mem_printf("engine %s", engine);
	enum err_code code = control_call(settings->state_dir, command, CALL_TIMEOUT_MS, &answer, err);
	if (code == ERR_OK && strncmp(buf_str(&answer), refusal, sizeof refusal - 1) == 0) {
		answer.data[strcspn((char *)answer.data, "\n")] = '\0';
		code = err_set(err, ERR_CONFIG, "%s", (char *)answer.data + sizeof refusal - 1);
	}
	if (code == ERR_OK)
		code = wait_done(settings->state_dir, engine, err);
	free(command);
	buf_free(&answer);
	return code;
}

/* The daemon's account, which has the name of the system's user that the settings belong to, where `syncline init` made
 * it: root's has everything. */
static enum err_code set_account(const struct settings *s, enum settings_engine engine, struct err *err)
{
	struct stat st;
	struct buf sql = {0};
	const struct passwd *user = stat(s->file, &st) == 0 ? getpwuid(st.st_uid) : NULL;
	if (s->identity_dir == NULL || s->address == NULL || s->server_where[0] != '/' || user == NULL ||
	    strcmp(user->pw_name, "root") == 0)
		return ERR_OK;
	struct connection_target target = {.socket = s->server_where, .name = s->server_where};
	struct connection *connection = connection_new();
	enum err_code code = connection_open(connection, &target, err);
	if (code != ERR_OK)
		code = err_wrap(err, "can't reach this node's MariaDB as root; start it, and run this as root");
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
	accounts_append_native(&sql, user->pw_name, engine == ENGINE_NATIVE);
	if (code == ERR_OK)
		code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	connection_free(connection);
	buf_free(&sql);
	return code;
}

/* First the file: a daemon that is killed from now on finds there where it was to go. */
static enum err_code change(const struct settings *settings, enum settings_engine engine, struct err *err)
{
	const char *name = settings_engine_name(engine);
	if (settings->peer_count > 1)
		return err_set(err, ERR_USAGE,
		               "node %u has %zu peers, and changing the engine of one node at a time is for a pair; see "
		               "docs/native.md",
		               (unsigned)settings->node_id, settings->peer_count);
	enum err_code code = settings_check_engine(settings, engine, err);
	if (code == ERR_OK && engine == ENGINE_NATIVE)
		code = set_account(settings, engine, err);
	if (code == ERR_OK && settings->engine != engine)
		code = settings_engine_write(settings->file, engine, err);
	if (code != ERR_OK)
		return code;
	code = tell_daemon(settings, name, err);
	if (code == ERR_DISCONNECTED) {
		printf("%s: engine = %s. The daemon isn't running; it changes over when it starts.\n", settings->file, name);
		return ERR_OK;
	}
	/* The daemon said why not and runs on as it did; so must the file. */
	struct err ignored;
	if (code == ERR_CONFIG && settings->engine != engine) {
		(void)!settings_engine_write(settings->file, settings->engine, &ignored);
		if (settings->engine == ENGINE_MERGE)
			(void)!set_account(settings, ENGINE_MERGE, &ignored);
	}
	if (code == ERR_OK && engine == ENGINE_MERGE && settings->engine != engine)
		code = set_account(settings, engine, err);
	if (code == ERR_OK)
		printf("node %u: engine %s\n", (unsigned)settings->node_id, name);
	return code;
}

int command_engine(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of the node (" SETTINGS_FILE ")", false, 0, 0},
	    {0},
	};
	struct options options = {
	    "merge|native [--defaults-file=FILE]",
	    "Has this node of a pair apply the other's changes by Syncline (merge) or by MariaDB's own replication "
	    "(native).\n"
	    "Writes the settings file and waits until the daemon has changed over; nothing is lost or applied twice.",
	    rows, 1, 1};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	enum settings_engine engine;
	if (!settings_engine_parse(argv[1], &engine))
		return command_fail(argv[0], EXIT_USAGE, "'%s' is no engine; give merge or native", argv[1]);
	command_catch_signals();
	struct settings settings = {0};
	struct err err;
	enum err_code code = settings_load(file, &settings, &err);
	if (code == ERR_OK)
		code = change(&settings, engine, &err);
	settings_free(&settings);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
