/* syncline verify: are the rows of all nodes equal, while they are written to? */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/verify_nodes.h"
#include "cli/verify_show.h"
#include "copy/progress.h"
#include "verify/last.h"

enum { EXIT_EQUAL = 0, EXIT_DIFFERENT = 1, EXIT_UNKNOWN = 2, PATIENCE_S = 30, CALL_TIMEOUT_MS = 5000 };

struct verification {
	struct verify_nodes nodes;
	struct verify_shown *shown;
	struct progress progress;
	struct buf line;
};

static void draw(struct verification *v)
{
	fwrite(v->line.data, 1, v->line.size, stderr);
	fflush(stderr);
	buf_clear(&v->line);
}

static void on_progress(void *context, const struct copy_state *state)
{
	struct verification *v = context;
	if (progress_draw(&v->progress, state, &v->line))
		draw(v);
}

static void on_row(void *context, const struct verify_row *row)
{
	struct verification *v = context;
	verify_shown_add(v->shown, row);
}

static bool is_settled(void *context)
{
	struct verification *v = context;
	return verify_nodes_settled(&v->nodes);
}

/* For `syncline status`, on this node alone. What was found is told even if it can't be kept. */
static void keep(const struct verification *v, const struct verify_result *r, int64_t time, const char *command)
{
	struct buf details = {0}, answer = {0};
	struct err err;
	struct connection *connection = connection_new();
	struct verified verified = {.is_known = true,
	                            .time = time,
	                            .verdict = r->verdict,
	                            .tables = r->table_count,
	                            .rows = r->rows,
	                            .different_rows = r->different_rows};
	verify_show_details(r, &details);
	enum err_code code = connection_open(connection, &v->nodes.nodes[0].target, &err);
	if (code == ERR_OK)
		code = verified_save(connection, &verified, buf_str(&details), &err);
	if (code != ERR_OK)
		fprintf(stderr, "%s: the result can't be kept: %s\n", command, err.message);
	else
		(void)!control_call(v->nodes.settings.state_dir, "verified", CALL_TIMEOUT_MS, &answer, &err);
	connection_free(connection);
	buf_free(&details);
	buf_free(&answer);
}

static void show(const struct verification *v, const struct verify_result *r, int64_t time, bool json)
{
	struct buf text = {0};
	const struct verify_wish *wish = &v->nodes.wish;
	if (json)
		verify_show_json(v->shown, r, time, wish->node_count, wish->nodes, &text);
	else
		verify_show_text(v->shown, r, wish->node_count, wish->nodes, &text);
	fputs(buf_str(&text), stdout);
	buf_free(&text);
}

/* Of some tables only it says nothing about the others, and isn't kept. */
static int run(struct verification *v, bool json, const char *command)
{
	static const int statuses[] = {EXIT_EQUAL, EXIT_DIFFERENT, EXIT_UNKNOWN};
	struct verify_result result = {0};
	struct err err;
	struct winsize size = {0};
	ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	progress_init(&v->progress, isatty(STDERR_FILENO), size.ws_col);
	v->progress.verb = "read";
	v->nodes.wish.progress = on_progress;
	v->nodes.wish.on_row = on_row;
	v->nodes.wish.is_settled = is_settled;
	v->nodes.wish.context = v;
	enum err_code code = verify_run(&v->nodes.wish, &result, &err);
	progress_end(&v->progress, &v->line);
	draw(v);
	if (code != ERR_OK) {
		command_fail_err(command, &err);
		return EXIT_UNKNOWN;
	}
	int64_t now = clock_wall_s();
	show(v, &result, now, json);
	if (v->nodes.wish.table_count == 0)
		keep(v, &result, now, command);
	int status = statuses[result.verdict];
	verify_result_free(&result);
	return status;
}

int command_verify(int argc, char **argv)
{
	const char *file = SETTINGS_FILE, *rate = VERIFY_RATE_DEFAULT;
	struct text_list tables = {0};
	bool json = false;
	unsigned patience_s = PATIENCE_S;
	const struct option_row rows[] = {
	    {"table", OPTION_LIST, &tables, "DB.TABLE", "only this table; may be repeated", false, 0, 0},
	    {"rate", OPTION_TEXT, &rate, "RATE",
	     "read so many rows a second on each node (" VERIFY_RATE_DEFAULT "), or bytes with K, M, G; 0: no limit", false,
	     0, 0},
	    {"patience", OPTION_NUMBER, &patience_s, "S", "how long nodes may lag behind each other (30)", false, 1, 86400},
	    {"json", OPTION_FLAG, &json, NULL, "as one JSON document (docs/verify.md)", false, 0, 0},
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {0},
	};
	struct options options = {"[--table=DB.TABLE] [--rate=RATE] [--patience=S] [--json] [--defaults-file=FILE]",
	                          "Compares the rows of this node and its peers while they are written to; changes "
	                          "nothing.\nExit status 0: equal, 1: different, 2: could not tell.",
	                          rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct err err;
	struct verification v = {.shown = verify_shown_new()};
	command_catch_signals();
	if (verify_nodes_open(&v.nodes, file, rate, &tables, patience_s, &err) == ERR_OK) {
		status = run(&v, json, argv[0]);
	} else {
		command_fail_err(argv[0], &err);
		status = EXIT_UNKNOWN;
	}
	verify_nodes_close(&v.nodes);
	verify_shown_free(v.shown);
	buf_free(&v.line);
	return status;
}
