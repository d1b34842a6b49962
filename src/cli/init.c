/* syncline init: makes this machine's MariaDB the first node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/demo_sql.h"
#include "cli/setup.h"
#include "node/settings.h"

enum { SLOTS_DEFAULT = 2 }; /* as in the guide */

/* `made`: those that were not there, borrowed from the wish. */
static enum err_code make_databases(struct setup *setup, const struct setup_wish *wish, struct text_list *made,
                                    struct err *err)
{
	struct buf sql = {0}, found = {0};
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < wish->database_count; i++) {
		const char *name = wish->databases[i];
		bool is_there = false;
		buf_clear(&sql);
		buf_append_str(&sql, "SELECT 1 FROM information_schema.schemata WHERE schema_name=");
		sql_append_text(&sql, name);
		code = connection_value(setup_connection(setup), buf_str(&sql), sql.size, &found, &is_there, err);
		if (code != ERR_OK || is_there)
			continue;
		buf_clear(&sql);
		buf_append_str(&sql, "CREATE DATABASE ");
		sql_append_name(&sql, name);
		code = connection_run_n(setup_connection(setup), buf_str(&sql), sql.size, err);
		if (code == ERR_OK)
			made->texts[made->count++] = name;
	}
	buf_free(&sql);
	buf_free(&found);
	return code;
}

/* Nobody has had the time to write there: they were made some seconds ago. */
static void drop_databases(struct setup *setup, const struct text_list *made)
{
	struct buf sql = {0};
	struct err ignored;
	for (size_t i = 0; i < made->count; i++) {
		buf_append_str(&sql, i == 0 ? "DROP DATABASE " : ";DROP DATABASE ");
		sql_append_name(&sql, made->texts[i]);
	}
	if (made->count > 0)
		(void)!connection_run_n(setup_connection(setup), buf_str(&sql), sql.size, &ignored);
	buf_free(&sql);
}

/* What is there already of it stays. */
static enum err_code make_guide_schema(struct connection *connection, struct err *err)
{
	struct buf found = {0};
	bool is_there;
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < sizeof demo_schema / sizeof *demo_schema; i++) {
		const struct demo_definition *d = &demo_schema[i];
		is_there = false;
		if (d->check != NULL)
			code = connection_value(connection, d->check, strlen(d->check), &found, &is_there, err);
		if (code == ERR_OK && !is_there)
			code = connection_run(connection, d->sql, err);
	}
	buf_free(&found);
	return code == ERR_OK ? ERR_OK : err_wrap(err, "can't make the guide's tables");
}

static bool has_database(const struct setup_wish *wish, const char *name)
{
	for (size_t i = 0; i < wish->database_count; i++)
		if (strcmp(wish->databases[i], name) == 0)
			return true;
	return false;
}

static enum err_code init(struct setup *setup, const struct setup_wish *wish, bool guide, struct err *err)
{
	char nodes[16];
	struct text_list made = {0};
	snprintf(nodes, sizeof nodes, "%u", (unsigned)wish->node_id);
	enum err_code code = setup_look(setup, err);
	if (code == ERR_OK)
		code = setup_confirm(setup, err);
	if (code == ERR_OK)
		code = setup_apply(setup, err);
	if (code != ERR_OK)
		return code;
	code = setup_write_settings(setup, nodes, "", "", err);
	if (code == ERR_OK)
		code = make_databases(setup, wish, &made, err);
	if (code == ERR_OK && guide)
		code = make_guide_schema(setup_connection(setup), err);
	if (code == ERR_OK)
		code = setup_start_daemon(setup, err);
	if (code != ERR_OK) {
		drop_databases(setup, &made);
		setup_undo(setup, err);
	}
	return code;
}

static void tell(const struct setup *setup, const struct setup_wish *wish)
{
	setup_show_doctor(setup);
	printf("Node %u is ready: settings in %s.\n", (unsigned)wish->node_id, setup_place(setup)->settings);
	printf("Only the peers need the port: nft add rule inet filter input ip saddr PEER tcp dport 3306 accept\n");
	printf("Next, here: syncline invite; and on the other machine: syncline join TOKEN --node %u --address ADDRESS\n",
	       wish->node_id == 1 ? 2 : 1);
}

int command_init(int argc, char **argv)
{
	struct setup_wish wish = {.command = "syncline init", .root = "", .socket = "/run/mysqld/mysqld.sock"};
	struct text_list databases = {0};
	unsigned node = 0, slots = SLOTS_DEFAULT;
	const char *schema = NULL;
	const struct option_row rows[] = {
	    {"node", OPTION_NUMBER, &node, "N", "this node's number, another one on each node", true, 1, NODE_ID_MAX},
	    {"address", OPTION_TEXT, &wish.address, "ADDRESS", "where peers reach this node", true, 0, 0},
	    {"database", OPTION_LIST, &databases, "NAME", "a database to replicate; again for more", true, 0, 0},
	    {"slots", OPTION_NUMBER, &slots, "N", "how many nodes there may be: the step between generated ids (2)", false,
	     1, NODE_ID_MAX},
	    {"schema", OPTION_TEXT, &schema, "guide", "make the tables of the guide, too", false, 0, 0},
	    SETUP_OPTIONS(wish),
	    {0},
	};
	struct options options = {"--node=N --address=ADDRESS --database=NAME [OPTION]…",
	                          "Makes this machine's MariaDB the first node: options, certificates, accounts, the "
	                          "daemon. Shows what is to be\n"
	                          "changed and asks. When something fails, the server is as it was before.",
	                          rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	status = setup_check_options(argv[0], &wish, node, slots, &databases);
	if (status >= 0)
		return status;
	if (schema != NULL && strcmp(schema, "guide") != 0)
		return command_fail(argv[0], EXIT_USAGE, "--schema is '%.40s'; the one there is is guide", schema);
	if (schema != NULL && !has_database(&wish, "rfid_access_control"))
		return command_fail(argv[0], EXIT_USAGE,
		                    "--schema=guide makes tables in rfid_access_control; add --database=rfid_access_control");
	command_catch_signals();
	struct setup *setup = setup_new(&wish);
	struct err err;
	enum err_code code = init(setup, &wish, schema != NULL, &err);
	if (code == ERR_OK)
		tell(setup, &wish);
	setup_free(setup);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
