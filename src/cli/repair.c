/* syncline repair: rows that differ between live nodes are made equal to one node's. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/verify_nodes.h"
#include "copy/progress.h"
#include "verify/repair.h"

enum { EXIT_NOTHING_LEFT = 0, EXIT_LEFT = 1, EXIT_UNKNOWN = 2, PATIENCE_S = 30 };

struct repairing {
	struct verify_nodes nodes;
	struct repair repair;
	struct progress progress;
	struct buf line;
	unsigned from;
	bool apply;
	char *last_table; /* that was shown */
};

static void draw(struct repairing *r)
{
	fwrite(r->line.data, 1, r->line.size, stderr);
	fflush(stderr);
	buf_clear(&r->line);
}

static void on_progress(void *context, const struct copy_state *state)
{
	struct repairing *r = context;
	if (progress_draw(&r->progress, state, &r->line))
		draw(r);
}

static void on_row(void *context, const struct verify_row *row)
{
	struct repairing *r = context;
	repair_add(&r->repair, row);
}

static bool is_settled(void *context)
{
	struct repairing *r = context;
	return verify_nodes_settled(&r->nodes);
}

/* ---- Whose row is right ---- */

/* Without the writes' stamps only a policy that names nodes says which of two rows is right. The most specific line that is
 * about all of the table counts; one about some of its columns makes it a matter of the row's values. */
static uint32_t choose(void *context, const char *database, const char *table, const char **ret_why)
{
	const struct repairing *r = context;
	const struct settings *s = &r->nodes.settings;
	const struct settings_policy *found = NULL;
	if (r->from != 0)
		return r->from;
	*ret_why = "no policy tells whose row is right without knowing when it was written; choose with --from=NODE";
	for (size_t i = 0; i < s->policy_count; i++) {
		const struct settings_policy *p = &s->policies[i];
		bool is_table = p->table != NULL && strcmp(p->table, table) == 0;
		if (strcmp(p->database, database) != 0 || (p->table != NULL && !is_table))
			continue;
		if (p->column_count > 0)
			return 0;
		if (found == NULL || is_table)
			found = p;
	}
	if (found == NULL || found->policy != MERGE_SITE_PRIORITY)
		return 0;
	for (uint32_t i = 0; i < found->site_count; i++)
		for (size_t n = 0; n < r->repair.node_count; n++)
			if (r->repair.nodes[n] == found->sites[i])
				return found->sites[i];
	return 0;
}

/* ---- What is told ---- */

static void on_report(void *context, const struct repair_report *report)
{
	struct repairing *r = context;
	struct buf text = {0}, table = {0};
	buf_printf(&table, "%s.%s", report->database, report->table);
	if (r->last_table == NULL || strcmp(r->last_table, buf_str(&table)) != 0) {
		grid_append_clean(&text, buf_str(&table));
		buf_append_str(&text, ":\n");
		free(r->last_table);
		r->last_table = strdup(buf_str(&table));
	}
	buf_append_str(&text, "  ");
	grid_append_clean(&text, report->key);
	if (report->winner != 0)
		buf_printf(&text, ": %s, as node %u has it", report->what, (unsigned)report->winner);
	if (report->change != NULL) {
		buf_append_str(&text, "; ");
		grid_append_clean(&text, report->change);
	}
	if (report->why_not != NULL)
		buf_printf(&text, "%s not done: %s", report->winner != 0 ? ";" : ":", report->why_not);
	buf_append_str(&text, "\n");
	fputs(buf_str(&text), stdout);
	buf_free(&text);
	buf_free(&table);
}

static void show_others(const struct verify_result *result)
{
	for (size_t i = 0; i < result->table_count; i++) {
		const struct verify_table *t = &result->tables[i];
		if (t->why != NULL && t->different_rows == 0)
			printf("%s.%s can't be repaired by rows: %s\n", t->database, t->name, t->why);
	}
	if (result->why != NULL)
		printf("%s\n", result->why);
}

static void show_end(const struct repairing *r, const struct repair_result *done, const struct undo *undo)
{
	if (r->repair.left_out > 0)
		printf("%zu more rows differ; run this again for them.\n", r->repair.left_out);
	for (size_t i = 0; i < undo->count; i++)
		printf("What node %u had is in %s on this machine.\n", (unsigned)undo->files[i].node, undo->files[i].path);
	if (r->apply)
		printf("%" PRIu64 " rows were written, %" PRIu64
		       " were not. When the links have passed them on, see: syncline verify\n",
		       done->done, done->not_done);
	else
		printf("Nothing was changed. %" PRIu64 " rows would be written, %" PRIu64 " not; do it with --apply.\n",
		       done->done, done->not_done);
}

/* ---- The command ---- */

static enum err_code check(const struct repairing *r, struct err *err)
{
	bool is_known = r->from == 0;
	for (size_t i = 0; i < r->nodes.wish.node_count; i++)
		is_known = is_known || r->nodes.nodes[i].id == r->from;
	if (!is_known)
		return err_set(err, ERR_USAGE, "--from=%u is neither this node nor one of its peers", r->from);
	if (r->apply && r->nodes.wish.is_native)
		return err_set(err, ERR_UNSUPPORTED,
		               "MariaDB's own replication stops at a row that is there already; go over to our engine first: "
		               "syncline engine merge");
	return ERR_OK;
}

static enum err_code compare(struct repairing *r, struct verify_result *result, struct err *err)
{
	struct winsize size = {0};
	ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	progress_init(&r->progress, isatty(STDERR_FILENO), size.ws_col);
	r->progress.verb = "read";
	r->nodes.wish.progress = on_progress;
	r->nodes.wish.on_row = on_row;
	r->nodes.wish.is_settled = is_settled;
	r->nodes.wish.context = r;
	enum err_code code = verify_run(&r->nodes.wish, result, err);
	progress_end(&r->progress, &r->line);
	draw(r);
	return code;
}

static enum err_code run(struct repairing *r, const char *undo_dir, int *ret_status, struct err *err)
{
	struct verify_result result = {0};
	struct undo undo = {0};
	struct repair_result done = {0};
	struct repair_wish wish = {.verify = &r->nodes.wish,
	                           .apply = r->apply,
	                           .undo_dir = undo_dir != NULL ? undo_dir : r->nodes.settings.state_dir,
	                           .choose = choose,
	                           .report = on_report,
	                           .context = r};
	enum err_code code = compare(r, &result, err);
	if (code != ERR_OK)
		return code;
	show_others(&result);
	if (r->repair.count > 0) {
		code = repair_run(&r->repair, &wish, &undo, &done, err);
		show_end(r, &done, &undo);
	} else if (result.verdict == VERIFY_EQUAL) {
		printf("All rows are equal; there is nothing to repair.\n");
	}
	bool is_left = done.not_done > 0 || r->repair.left_out > 0 || (r->repair.count > 0 && !r->apply) ||
	               (r->repair.count == 0 && result.verdict == VERIFY_DIFFERENT);
	*ret_status = is_left ? EXIT_LEFT : result.verdict == VERIFY_UNKNOWN ? EXIT_UNKNOWN : EXIT_NOTHING_LEFT;
	verify_result_free(&result);
	undo_done(&undo);
	return code;
}

int command_repair(int argc, char **argv)
{
	const char *file = SETTINGS_FILE, *rate = VERIFY_RATE_DEFAULT, *undo_dir = NULL;
	struct text_list tables = {0};
	unsigned patience_s = PATIENCE_S;
	struct repairing r = {0};
	const struct option_row rows[] = {
	    {"from", OPTION_NUMBER, &r.from, "NODE", "this node's rows are right (else site_priority, where it is set)",
	     false, 1, NODE_ID_MAX},
	    {"apply", OPTION_FLAG, &r.apply, NULL, "do it; without, it is only shown", false, 0, 0},
	    {"table", OPTION_LIST, &tables, "DB.TABLE", "only this table; may be repeated", false, 0, 0},
	    {"undo-dir", OPTION_TEXT, &undo_dir, "DIR", "where what was there is kept (the state folder)", false, 0, 0},
	    {"rate", OPTION_TEXT, &rate, "RATE", "as of syncline verify", false, 0, 0},
	    {"patience", OPTION_NUMBER, &patience_s, "S", "how long nodes may lag behind each other (30)", false, 1, 86400},
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {0},
	};
	struct options options = {"[--from=NODE] [--apply] [--table=DB.TABLE] [--undo-dir=DIR] [--defaults-file=FILE]",
	                          "Compares the nodes as syncline verify does and makes the rows that differ equal to one "
	                          "node's.\nExit status 0: nothing is left to repair, 1: something is, 2: could not tell.",
	                          rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct err err;
	command_catch_signals();
	enum err_code code = verify_nodes_open(&r.nodes, file, rate, &tables, patience_s, &err);
	if (code == ERR_OK)
		code = check(&r, &err);
	if (code == ERR_OK)
		code = run(&r, undo_dir, &status, &err);
	verify_nodes_close(&r.nodes);
	repair_free(&r.repair);
	buf_free(&r.line);
	free(r.last_table);
	if (code == ERR_OK)
		return status;
	command_fail_err(argv[0], &err);
	return EXIT_UNKNOWN;
}
