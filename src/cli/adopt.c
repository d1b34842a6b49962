/* syncline adopt: takes over this node of a pair whose replication somebody set up by hand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "link/adopt.h"

enum { CALL_TIMEOUT_MS = 2000 };

static void print_now(const struct adopt *a)
{
	printf("node %u replicates from %s, both threads run, and it is level.\n\nNow, while both are in use:\n",
	       (unsigned)a->settings->node_id, a->slave.host);
	for (size_t i = 0; i < a->change_count; i++)
		if (!a->changes[i].waits)
			printf("  SET GLOBAL %s = %s    (it is %s)\n", a->changes[i].variable, a->changes[i].wants,
			       a->changes[i].is);
	printf("  STOP SLAVE; CHANGE MASTER TO ..., MASTER_USE_GTID=slave_pos, from where it stands; the filter for");
	for (size_t i = 0; i < a->settings->database_count; i++)
		printf(" %s", a->settings->databases[i]);
	printf("; START SLAVE\n  engine = native in %s\n", a->settings->file);
}

static void print_later(const struct adopt *a)
{
	printf("\nIn an option file under [mysqld], or the next restart of MariaDB undoes it:\n");
	for (size_t i = 0; i < a->change_count; i++)
		printf("  %s = %s%s\n", a->changes[i].variable, a->changes[i].wants,
		       a->changes[i].waits ? "    (counts from the next restart; engine = merge needs it)" : "");
	printf("  skip_slave_start = ON\nand without any replicate-do-db there, which goes by the session's database.\n");
}

static enum err_code refuse_daemon(const struct settings *settings, struct err *err)
{
	struct buf answer = {0};
	struct err why;
	enum err_code code = control_call(settings->state_dir, "status", CALL_TIMEOUT_MS, &answer, &why);
	buf_free(&answer);
	if (code == ERR_DISCONNECTED)
		return ERR_OK;
	return err_set(err, ERR_CONFIG, "the daemon of node %u runs; stop it, then adopt, then start it",
	               (unsigned)settings->node_id);
}

static enum err_code adopt(const struct settings *settings, bool yes, struct err *err)
{
	struct adopt a = {0};
	enum err_code code = refuse_daemon(settings, err);
	if (code == ERR_OK)
		code = adopt_look(settings, &a, err);
	if (code != ERR_OK)
		return code;
	if (a.is_done)
		printf("node %u is adopted already.\n", (unsigned)settings->node_id);
	else
		print_now(&a);
	print_later(&a);
	if (yes)
		code = adopt_do(&a, err);
	if (code == ERR_OK && yes)
		printf("\nDone. Now start the daemon: syncline run --defaults-file=%s\n", settings->file);
	else if (code == ERR_OK)
		printf("\nNothing was changed; --yes does it.\n");
	adopt_done(&a);
	return code;
}

int command_adopt(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	bool yes = false;
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of the node (" SETTINGS_FILE ")", false, 0, 0},
	    {"yes", OPTION_FLAG, &yes, NULL, "do it; without it, only what would be done is shown", false, 0, 0},
	    {0},
	};
	struct options options = {
	    "[--defaults-file=FILE] [--yes]",
	    "Takes over this node of a pair whose replication was set up by hand (CHANGE MASTER by file and position), "
	    "while it "
	    "is in\nuse and without copying data: to GTIDs, and engine = native. Run it on each node in turn.",
	    rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct settings settings = {0};
	struct err err;
	enum err_code code = settings_load(file, &settings, &err);
	if (code == ERR_OK)
		code = adopt(&settings, yes, &err);
	settings_free(&settings);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
