/* syncline lab down: stops everything of a lab, also of one whose `up` was killed half-way, and removes it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/lab.h"
#include "node/files.h"

/* The servers' data is to go, so there is no need to wait until they have written it all. */
static enum err_code stop_all(const struct lab *lab, bool keep_data, struct err *err)
{
	enum err_code code = ERR_OK;
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++) {
		code = lab_daemon_stop(&lab->nodes[i], SIGTERM, err);
		if (code == ERR_TIMEOUT)
			code = lab_daemon_stop(&lab->nodes[i], SIGKILL, err);
	}
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		code = lab_server_stop(lab, &lab->nodes[i], keep_data ? SIGTERM : SIGKILL, err);
	if (code == ERR_OK)
		lab_net_stop(lab);
	return code;
}

static enum err_code remove_file(const struct lab *lab, const char *name, struct err *err)
{
	enum err_code code = ERR_OK;
	char *path = mem_printf("%s/%s", lab->dir, name);
	if (unlink(path) != 0 && errno != ENOENT)
		code = err_set(err, ERR_IO, "%s: can't remove it: %s; remove it by hand", path, strerror(errno));
	free(path);
	return code;
}

/* Only what lab_up made. The marker goes last, so that a removal that was cut short can be done again. */
static enum err_code remove_all(const struct lab *lab, struct err *err)
{
	enum err_code code = ERR_OK;
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		code = files_remove_tree(lab->nodes[i].dir, err);
	char *network = mem_printf("%s/switch", lab->dir);
	if (code == ERR_OK)
		code = files_remove_tree(network, err);
	free(network);
	if (code == ERR_OK)
		code = remove_file(lab, "ip.log", err);
	if (code == ERR_OK)
		code = remove_file(lab, "syncline-lab.json.new", err);
	if (code == ERR_OK)
		code = remove_file(lab, "syncline-lab.json", err);
	if (code == ERR_OK && rmdir(lab->dir) != 0 && errno != ENOENT)
		code = err_set(err, ERR_IO, "%s: the lab is gone, but the folder stays: %s", lab->dir, strerror(errno));
	return code;
}

enum err_code lab_down(const struct lab *lab, bool keep_data, struct err *err)
{
	enum err_code code = stop_all(lab, keep_data, err);
	if (code == ERR_OK && !keep_data)
		code = remove_all(lab, err);
	return code;
}

int command_lab_down(int argc, char **argv)
{
	const char *dir = NULL;
	bool keep_data = false;
	const struct option_row rows[] = {
	    {"dir", OPTION_TEXT, &dir, "DIR", "the lab's folder", true, 0, 0},
	    {"keep-data", OPTION_FLAG, &keep_data, NULL, "stop the servers in good order and leave DIR as it is", false, 0,
	     0},
	    {0},
	};
	struct options options = {"--dir=DIR [--keep-data]", "Stops everything of a lab and removes it.", rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct lab lab = {0};
	struct err err;
	enum err_code code = lab_load(dir, &lab, &err);
	if (code == ERR_OK)
		code = lab_down(&lab, keep_data, &err);
	lab_free(&lab);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
