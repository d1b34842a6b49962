/* syncline status: how each link of a node is doing. */
#include <stdio.h>

#include "admin/control.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/node_status.h"
#include "node/settings.h"

enum { CALL_TIMEOUT_MS = 5000 };

static enum err_code show_text(const char *json, struct err *err)
{
	struct node_status status;
	enum err_code code = node_status_parse(json, &status, err);
	if (code != ERR_OK)
		return code;
	struct buf text = {0};
	node_status_format(&status, &text);
	fputs(buf_str(&text), stdout);
	buf_free(&text);
	node_status_free(&status);
	return ERR_OK;
}

int command_status(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	bool json = false;
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of the node (" SETTINGS_FILE ")", false, 0, 0},
	    {"json", OPTION_FLAG, &json, NULL, "as one JSON document (docs/status.md)", false, 0, 0},
	    {0},
	};
	struct options options = {"[--defaults-file=FILE] [--json]",
	                          "Shows how each link of a node is doing. Exit status 1 when its daemon does not answer.",
	                          rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct settings settings = {0};
	struct buf answer = {0};
	struct err err;
	enum err_code code = settings_load(file, &settings, &err);
	if (code == ERR_OK)
		code = control_call(settings.state_dir, "status", CALL_TIMEOUT_MS, &answer, &err);
	if (code == ERR_OK && json)
		printf("%s%s", buf_str(&answer), answer.data[answer.size - 1] == '\n' ? "" : "\n");
	else if (code == ERR_OK)
		code = show_text(buf_str(&answer), &err);
	buf_free(&answer);
	settings_free(&settings);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
