/* syncline skip: passes over the transaction that a link is stopped at. */
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/mem.h"
#include "binlog/gtid.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/node_status.h"
#include "node/settings.h"

enum { CALL_TIMEOUT_MS = 5000, DONE_TIMEOUT_MS = 30 * 1000, POLL_MS = 20 };

/* No link is stopped at it any more. */
static bool is_done(const char *state_dir, const char *gtid, struct err *err)
{
	struct node_status status;
	if (node_status_get(state_dir, &status, err) != ERR_OK)
		return false;
	bool done = true;
	for (size_t i = 0; i < status.link_count; i++)
		done = done && (strcmp(status.links[i].transaction, gtid) != 0);
	node_status_free(&status);
	return done;
}

static enum err_code skip(const char *state_dir, const struct gtid *gtid, struct err *err)
{
	char text[GTID_TEXT_MAX];
	struct buf answer = {0};
	char *command = mem_printf("skip %s", gtid_format(gtid, text));
	enum err_code code = control_call(state_dir, command, CALL_TIMEOUT_MS, &answer, err);
	static const char refusal[] = "error: ";
	if (code == ERR_OK && strncmp(buf_str(&answer), refusal, sizeof refusal - 1) == 0) {
		buf_str(&answer);
		answer.data[strcspn((char *)answer.data, "\n")] = '\0';
		code = err_set(err, ERR_USAGE, "%s", (char *)answer.data + sizeof refusal - 1);
	}
	int64_t deadline = clock_monotonic_ms() + DONE_TIMEOUT_MS;
	while (code == ERR_OK && !is_done(state_dir, text, err)) {
		if (command_interrupted)
			code = err_set(err, ERR_CANCELLED, "interrupted");
		else if (clock_monotonic_ms() > deadline)
			code = err_set(err, ERR_TIMEOUT, "the link is still stopped at %s; `syncline status` tells why", text);
		else
			clock_sleep_ms(POLL_MS);
	}
	free(command);
	buf_free(&answer);
	return code;
}

int command_skip(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of the node (" SETTINGS_FILE ")", false, 0, 0},
	    {0},
	};
	struct options options = {
	    "[--defaults-file=FILE] GTID",
	    "Passes over transaction GTID (D-S-N), at which a link of this node is stopped: it counts as "
	    "applied, and the link goes on behind it. First make the rows it is about equal by hand.",
	    rows, 1, 1};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct settings settings = {0};
	struct gtid gtid;
	struct err err;
	enum err_code code = settings_load(file, &settings, &err);
	if (code == ERR_OK)
		code = gtid_parse(argv[1], &gtid, &err);
	if (code == ERR_OK)
		code = skip(settings.state_dir, &gtid, &err);
	settings_free(&settings);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
