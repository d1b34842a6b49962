/* syncline lab kill and start: a node's server, its daemon, or both. */
#include <signal.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/lab.h"

static enum err_code kill_parts(const struct lab *lab, const struct lab_node *node, bool server, bool daemon,
                                struct err *err)
{
	enum err_code code = ERR_OK;
	if (daemon)
		code = lab_daemon_stop(node, SIGKILL, err);
	if (code == ERR_OK && server)
		code = lab_server_stop(lab, node, SIGKILL, err);
	return code;
}

static enum err_code start_parts(const struct lab *lab, const struct lab_node *node, bool server, bool daemon,
                                 struct err *err)
{
	enum err_code code = ERR_OK;
	if (server)
		code = lab_server_start(lab, node, err);
	if (code == ERR_OK && server)
		code = lab_server_wait(lab, node, LAB_TIMEOUT_S, err);
	if (code == ERR_OK && daemon)
		code = lab_daemon_start(lab, node, err);
	if (code == ERR_OK && daemon)
		code = lab_daemon_wait(node, LAB_TIMEOUT_S, err);
	return code;
}

static int change(int argc, char **argv, const char *summary,
                  enum err_code (*act)(const struct lab *, const struct lab_node *, bool, bool, struct err *))
{
	const char *dir = NULL;
	bool server = false, daemon = false;
	const struct option_row rows[] = {
	    {"dir", OPTION_TEXT, &dir, "DIR", "the lab's folder", true, 0, 0},
	    {"server", OPTION_FLAG, &server, NULL, "the MariaDB server only", false, 0, 0},
	    {"daemon", OPTION_FLAG, &daemon, NULL, "the daemon only", false, 0, 0},
	    {0},
	};
	struct options options = {"--dir=DIR A [--server|--daemon]", summary, rows, 1, 1};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	command_catch_signals();
	struct lab lab = {0};
	const struct lab_node *node;
	struct err err;
	enum err_code code = lab_load(dir, &lab, &err);
	if (code == ERR_OK)
		code = lab_find_node(&lab, argv[1], &node, &err);
	if (code == ERR_OK)
		code = act(&lab, node, server || !daemon, daemon || !server, &err);
	lab_free(&lab);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}

int command_lab_kill(int argc, char **argv)
{
	return change(argc, argv, "Kills node A with SIGKILL. Returns when its processes are gone; not running is fine.",
	              kill_parts);
}

int command_lab_start(int argc, char **argv)
{
	return change(
	    argc, argv,
	    "Starts what does not run of node A. Returns when the server takes connections and the daemon answers.",
	    start_parts);
}
