/* syncline status: how each link of a node is doing. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/node_status.h"
#include "cli/status_text.h"
#include "node/settings.h"

enum { CALL_TIMEOUT_MS = 5000, WATCH_MS = 1000, WATCH_STEP_MS = 100 };

/* Appends what is to be shown. */
static enum err_code make_text(const struct settings *settings, bool json, struct buf *to, struct err *err)
{
	struct buf answer = {0};
	struct node_status status = {0};
	enum err_code code = control_call(settings->state_dir, "status", CALL_TIMEOUT_MS, &answer, err);
	if (code == ERR_OK && json) {
		buf_append(to, answer.data, answer.size);
		if (answer.data[answer.size - 1] != '\n')
			buf_append_str(to, "\n");
	} else if (code == ERR_OK) {
		code = node_status_parse(buf_str(&answer), &status, err);
		if (code == ERR_OK)
			status_text(&status, clock_wall_s(), to);
		node_status_free(&status);
	}
	buf_free(&answer);
	return code;
}

/* In one write, so that the screen doesn't flicker. Where it isn't a screen, one status comes after the other. */
static void redraw(const struct buf *text)
{
	static const char home[] = "\033[H", clear_line[] = "\033[K\n", clear_rest[] = "\033[J";
	struct buf screen = {0};
	bool is_screen = isatty(STDOUT_FILENO) != 0;
	if (is_screen)
		buf_append_str(&screen, home);
	for (size_t i = 0; i < text->size; i++) {
		if (is_screen && text->data[i] == '\n')
			buf_append_str(&screen, clear_line);
		else
			buf_append_u8(&screen, text->data[i]);
	}
	buf_append_str(&screen, is_screen ? clear_rest : "\n");
	fwrite(screen.data, 1, screen.size, stdout);
	fflush(stdout);
	buf_free(&screen);
}

/* Until it is interrupted, or nobody reads any more. A daemon that doesn't answer may be back in a moment. */
static void watch(const struct settings *settings, bool json)
{
	command_catch_signals();
	while (!command_interrupted && !ferror(stdout)) {
		struct buf text = {0};
		struct err err;
		if (make_text(settings, json, &text, &err) != ERR_OK) {
			buf_clear(&text);
			buf_printf(&text, "%s\n", err.message);
		}
		redraw(&text);
		buf_free(&text);
		for (int ms = 0; ms < WATCH_MS && !command_interrupted; ms += WATCH_STEP_MS)
			clock_sleep_ms(WATCH_STEP_MS);
	}
}

int command_status(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	bool json = false, watches = false;
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of the node (" SETTINGS_FILE ")", false, 0, 0},
	    {"json", OPTION_FLAG, &json, NULL, "as one JSON document (docs/status.md)", false, 0, 0},
	    {"watch", OPTION_FLAG, &watches, NULL, "again each second, until Ctrl-C", false, 0, 0},
	    {0},
	};
	struct options options = {"[--defaults-file=FILE] [--watch] [--json]",
	                          "Shows how each link of a node is doing. Exit status 1 when its daemon does not answer.",
	                          rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct settings settings = {0};
	struct buf text = {0};
	struct err err;
	enum err_code code = settings_load(file, &settings, &err);
	if (code == ERR_OK && watches) {
		watch(&settings, json);
	} else if (code == ERR_OK) {
		code = make_text(&settings, json, &text, &err);
		if (code == ERR_OK)
			fwrite(text.data, 1, text.size, stdout);
	}
	buf_free(&text);
	settings_free(&settings);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
