/* syncline conflicts: what writes lost to others that they didn't know of; shown, resolved and undone.
 *
 * It speaks with this node's server, not with the daemon: the records are rows of the replicated databases.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "admin/conflict.h"
#include "admin/record_table.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/conflict_show.h"
#include "cli/conflict_undo.h"
#include "node/settings.h"

enum { WIDTH_DEFAULT = 120, WIDTH_LEAST = 40, WIDTH_MOST = 10000 };

struct request {
	const char *file, *database;
	bool json, only_open, again;
	struct settings settings;
	struct connection *connection;
	/* Which of the databases have the table, of those that are meant. */
	size_t database_count;
	const char **databases; /* owned, the names are the settings' */
};

static unsigned width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	long value = columns != NULL ? strtol(columns, NULL, 10) : 0;
	if (value <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		value = size.ws_col;
	if (value <= 0)
		value = WIDTH_DEFAULT;
	return (unsigned)(value < WIDTH_LEAST ? WIDTH_LEAST : value > WIDTH_MOST ? WIDTH_MOST : value);
}

static void print(struct buf *text)
{
	fputs(buf_str(text), stdout);
	buf_free(text);
}

static void print_json(json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(2));
	printf("%s\n", text);
	free(text);
	json_decref(value);
}

/* ---- Databases ---- */

static enum err_code find_databases(struct request *r, struct err *err)
{
	const struct settings *s = &r->settings;
	size_t count = 0, kept = 0;
	r->databases = mem_alloc((s->database_count + 1) * sizeof *r->databases);
	if (r->database != NULL && !settings_replicates(s, r->database))
		return err_set(err, ERR_CONFIG, "database %s is not replicated here; %s says which are", r->database, s->file);
	enum err_code code = conflict_databases(r->connection, s, r->databases, &count, err);
	for (size_t i = 0; i < count; i++)
		if (r->database == NULL || strcmp(r->database, r->databases[i]) == 0)
			r->databases[kept++] = r->databases[i];
	r->database_count = kept;
	if (code == ERR_OK && r->database != NULL && kept == 0)
		return err_set(err, ERR_CONFIG, "database %s has no table " RECORD_TABLE ": no conflict was recorded in it",
		               r->database);
	return code;
}

static bool parse_number(const char *text, int64_t *ret_id)
{
	if (text[0] == '\0' || strlen(text) > 18 || text[strspn(text, "0123456789")] != '\0')
		return false;
	*ret_id = strtoll(text, NULL, 10);
	return *ret_id > 0;
}

/* "5", or "shop.5" where several databases have conflicts. */
static enum err_code parse_id(const struct request *r, const char *text, const char **ret_database, int64_t *ret_id,
                              struct err *err)
{
	const char *point = strrchr(text, '.');
	if (!parse_number(point != NULL ? point + 1 : text, ret_id))
		return err_set(err, ERR_CONFIG, "'%s' is not the id of a conflict; `syncline conflicts list` shows them", text);
	for (size_t i = 0; point != NULL && i < r->database_count; i++)
		if (strlen(r->databases[i]) == (size_t)(point - text) &&
		    strncmp(r->databases[i], text, (size_t)(point - text)) == 0) {
			*ret_database = r->databases[i];
			return ERR_OK;
		}
	if (point != NULL || r->database_count == 0)
		return err_set(err, ERR_CONFIG, "there is no conflict %s: no such database has a table " RECORD_TABLE, text);
	if (r->database_count > 1)
		return err_set(err, ERR_CONFIG, "several databases have conflicts; write %s.%s, or the database that is meant",
		               r->databases[0], text);
	*ret_database = r->databases[0];
	return ERR_OK;
}

/* ---- The commands ---- */

static enum err_code list(struct request *r, struct err *err)
{
	struct conflict_list all = {0};
	struct buf text = {0};
	enum err_code code = ERR_OK;
	for (size_t i = 0; i < r->database_count && code == ERR_OK; i++)
		code = conflict_load(
		    r->connection, &(struct conflict_query){.database = r->databases[i], .only_open = r->only_open}, &all, err);
	if (code == ERR_OK && r->json) {
		json_t *rows = json_array();
		for (size_t i = 0; i < all.count; i++)
			json_array_append_new(rows, conflict_json(&all.conflicts[i]));
		print_json(rows);
	} else if (code == ERR_OK) {
		conflict_show_list(&all, r->database_count > 1, width(), &text);
		print(&text);
	}
	conflict_list_free(&all);
	return code;
}

static enum err_code show(struct request *r, const struct conflict *conflict, struct err *err)
{
	(void)err;
	struct buf text = {0};
	if (r->json) {
		print_json(conflict_json(conflict));
		return ERR_OK;
	}
	conflict_show(conflict, width(), &text);
	print(&text);
	return ERR_OK;
}

static enum err_code resolve(struct request *r, const struct conflict *conflict, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "UPDATE ");
	sql_append_name(&sql, conflict->database);
	buf_printf(&sql, "." RECORD_TABLE " SET resolved = TRUE WHERE id = %" PRId64, conflict->id);
	enum err_code code = connection_run_n(r->connection, buf_str(&sql), sql.size, err);
	if (code == ERR_OK)
		printf("conflict %" PRId64 " %s resolved\n", conflict->id, conflict->resolved ? "was already" : "is");
	buf_free(&sql);
	return code;
}

static enum err_code undo(struct request *r, const struct conflict *conflict, struct err *err)
{
	struct buf report = {0};
	enum err_code code = conflict_undo(r->connection, conflict, r->again, width(), &report, err);
	if (code == ERR_OK)
		printf("conflict %" PRId64 " is undone\n", conflict->id);
	print(&report);
	return code;
}

static const struct action {
	const char *name;
	enum err_code (*run)(struct request *r, const struct conflict *conflict, struct err *err);
} actions[] = {{"show", show}, {"resolve", resolve}, {"undo", undo}};

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	return NULL;
}

static enum err_code act(struct request *r, const struct action *action, const char *id_text, struct err *err)
{
	struct conflict_list found = {0};
	const char *database = NULL;
	int64_t id = 0;
	enum err_code code = parse_id(r, id_text, &database, &id, err);
	if (code == ERR_OK)
		code = conflict_load(r->connection, &(struct conflict_query){.database = database, .id = id}, &found, err);
	if (code == ERR_OK && found.count == 0)
		code = err_set(err, ERR_CONFIG, "there is no conflict %" PRId64 " in %s; `syncline conflicts list` shows them",
		               id, database);
	if (code == ERR_OK)
		code = action->run(r, &found.conflicts[0], err);
	conflict_list_free(&found);
	return code;
}

static enum err_code run(struct request *r, const struct action *action, const char *id_text, struct err *err)
{
	enum err_code code = command_act_as_owner(r->file, err);
	if (code == ERR_OK)
		code = settings_load(r->file, &r->settings, err);
	if (code != ERR_OK)
		return code;
	struct connection_target target = {
	    .file = r->settings.file, .group = r->settings.server_group, .name = r->settings.server_where};
	r->connection = connection_new();
	code = connection_open(r->connection, &target, err);
	if (code == ERR_OK)
		code = find_databases(r, err);
	if (code == ERR_OK)
		code = action != NULL ? act(r, action, id_text, err) : list(r, err);
	connection_free(r->connection);
	free(r->databases);
	settings_free(&r->settings);
	return code;
}

int command_conflicts(int argc, char **argv)
{
	struct request r = {.file = SETTINGS_FILE};
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &r.file, "FILE", "the settings of the node (" SETTINGS_FILE ")", false, 0, 0},
	    {"database", OPTION_TEXT, &r.database, "NAME", "only conflicts in this database", false, 0, 0},
	    {"open", OPTION_FLAG, &r.only_open, NULL, "list: only those that are not resolved", false, 0, 0},
	    {"json", OPTION_FLAG, &r.json, NULL, "list, show: as JSON (docs/conflict-record.md)", false, 0, 0},
	    {"again", OPTION_FLAG, &r.again, NULL, "undo: even if it is resolved already", false, 0, 0},
	    {0},
	};
	struct options options = {
	    "[list|show ID|resolve ID|undo ID] [--defaults-file=FILE] [OPTION]…",
	    "Shows what writes lost to others that they didn't know of. list: all of them. show: the rows of one side by "
	    "side. "
	    "resolve: mark it as dealt with. undo: write the row that lost again. ID is the id that list shows.",
	    rows, 0, 2};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	const char *name = count > 0 ? argv[1] : "list";
	const struct action *action = find_action(name);
	if (action == NULL && strcmp(name, "list") != 0)
		return command_fail(argv[0], EXIT_USAGE, "'%s' is none of list, show, resolve and undo; see %s --help", name,
		                    argv[0]);
	if ((count == 2) != (action != NULL))
		return command_fail(argv[0], EXIT_USAGE, "%s takes %s; see %s --help", name,
		                    action != NULL ? "the id of a conflict" : "no argument", argv[0]);
	struct err err;
	enum err_code code = run(&r, action, count == 2 ? argv[2] : NULL, &err);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
