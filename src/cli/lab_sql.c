/* syncline lab sql: the mariadb client on one node. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/lab.h"
#include "node/process.h"

/* Becomes the client; returns only when that fails. */
static int become_client(const char *command, const char *socket, char **more, int count)
{
	char *program = process_program_path("mariadb");
	if (program == NULL)
		program = process_program_path("mysql");
	if (program == NULL)
		return command_fail(command, EXIT_FAILED,
		                    "the mariadb client is not installed; run: sudo apt install mariadb-client");
	const char **argv = mem_alloc((size_t)(count + 6) * sizeof *argv);
	char *socket_option = mem_printf("--socket=%s", socket);
	int n = 0;
	argv[n++] = program;
	argv[n++] = "--no-defaults"; /* must be first; nothing from /etc or ~ */
	argv[n++] = socket_option;
	argv[n++] = "--user=root";
	argv[n++] = "--default-character-set=utf8mb4";
	memcpy(argv + n, more, (size_t)count * sizeof *argv);
	execv(program, (char *const *)argv);
	int status = command_fail(command, EXIT_FAILED, "%s: %s; check the program", program, strerror(errno));
	free(socket_option);
	free(argv);
	free(program);
	return status;
}

int command_lab_sql(int argc, char **argv)
{
	const char *dir = NULL;
	const struct option_row rows[] = {
	    {"dir", OPTION_TEXT, &dir, "DIR", "the lab's folder", true, 0, 0},
	    {0},
	};
	struct options options = {
	    "--dir=DIR A [-e SQL] [ARGUMENT]…",
	    "Runs the mariadb client on node A as root. What follows A is the client's; without -e it reads "
	    "standard input.",
	    rows, 1, -1};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct lab lab = {0};
	const struct lab_node *node = NULL;
	struct err err;
	enum err_code code = lab_load(dir, &lab, &err);
	if (code == ERR_OK)
		code = lab_find_node(&lab, argv[1], &node, &err);
	status =
	    code == ERR_OK ? become_client(argv[0], node->socket, argv + 2, count - 1) : command_fail_err(argv[0], &err);
	lab_free(&lab);
	return status;
}
