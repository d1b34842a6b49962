/* syncline run: the daemon of one node, in the foreground. */
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "link/supervisor.h"
#include "node/private_server.h"
#include "node/settings.h"

enum { SERVER_READY_TIMEOUT_MS = 300 * 1000 }; /* InnoDB may have much to recover */

/* The private server's folder is the one that its data folder is in. */
static struct private_server server_of(const struct settings *s, char *dir_buffer)
{
	return (struct private_server){
	    .dir = dirname(dir_buffer),
	    .datadir = s->datadir,
	    .socket = s->server_where,
	    .node_id = s->node_id,
	    .slots = s->nodes[s->node_count - 1], /* the same on each node, so that no two give out one number */
	    .option_count = s->server_option_count,
	    .options = (const char *const *)s->server_options,
	    .cancelled = &command_interrupted,
	};
}

static enum err_code run_with_server(const struct settings *settings, struct err *err)
{
	char *dir_buffer = mem_strdup(settings->datadir);
	struct private_server server = server_of(settings, dir_buffer);
	command_catch_signals();
	bool adopted = private_server_is_running(&server); /* of a daemon that was killed, or of one that runs */
	enum err_code code = private_server_create(&server, NULL, err);
	if (code == ERR_OK)
		code = private_server_start(&server, err);
	if (code == ERR_OK)
		code = private_server_wait_ready(&server, SERVER_READY_TIMEOUT_MS, err);
	if (code == ERR_OK && command_interrupted)
		code = err_set(err, ERR_CANCELLED, "interrupted");
	if (code == ERR_OK) {
		log_line(LOG_LEVEL_INFO, "main", "the private server at %s is ready", settings->server_where);
		bool reload;
		code = supervisor_run(settings, &reload, err); /* nobody changes a private server's settings */
	}
	struct err stop_err;
	enum err_code stop_code = ERR_OK;
	if (code == ERR_OK || !adopted)
		stop_code = private_server_stop(&server, SIGTERM, &stop_err);
	if (code == ERR_OK && stop_code != ERR_OK) {
		*err = stop_err;
		code = stop_code;
	}
	free(dir_buffer);
	return code;
}

/* With a server that is there already. Settings that can't be read are no reason to end: the old ones go on. */
static enum err_code run(struct settings *settings, struct err *err)
{
	for (;;) {
		bool reload = false;
		struct settings next = {0};
		enum err_code code = supervisor_run(settings, &reload, err);
		if (code != ERR_OK || !reload)
			return code;
		if (settings_load(settings->file, &next, err) != ERR_OK) {
			log_line(LOG_LEVEL_ERROR, "main", "the settings stay as they were: %s", err->message);
			continue;
		}
		settings_free(settings);
		*settings = next;
		log_set_level(settings->log_level);
		log_set_node(settings->node_id);
	}
}

int command_run(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {0},
	};
	struct options options = {"[--defaults-file=FILE]", "Runs the daemon of one node until SIGTERM or SIGINT.", rows, 0,
	                          0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct settings settings = {0};
	struct err err;
	enum err_code code = settings_load(file, &settings, &err);
	if (code == ERR_OK) {
		log_set_level(settings.log_level);
		log_set_node(settings.node_id);
		code = settings.datadir != NULL ? run_with_server(&settings, &err) : run(&settings, &err);
	}
	settings_free(&settings);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
