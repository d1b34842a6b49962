/* syncline lab status: every node. */
#include <stdio.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/lab.h"
#include "cli/status_text.h"

/* False when the node's daemon does not answer. */
static bool show_node(const struct lab *lab, const struct lab_node *node)
{
	struct node_status status;
	struct err err;
	struct buf text = {0};
	bool answered = node_status_get(node->state_dir, &status, &err) == ERR_OK;
	if (answered) {
		status_text(&status, clock_wall_s(), &text);
		node_status_free(&status);
	} else {
		buf_printf(&text, "node %u   server %s, daemon %s\n", (unsigned)node->id,
		           lab_server_is_running(lab, node) ? "runs" : "does not run",
		           lab_daemon_is_running(node) ? "does not answer" : "does not run");
	}
	fputs(buf_str(&text), stdout);
	buf_free(&text);
	return answered;
}

int command_lab_status(int argc, char **argv)
{
	const char *dir = NULL;
	const struct option_row rows[] = {
	    {"dir", OPTION_TEXT, &dir, "DIR", "the lab's folder", true, 0, 0},
	    {0},
	};
	struct options options = {"--dir=DIR", "Shows every node of a lab. Exit status 1 when a daemon does not answer.",
	                          rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct lab lab = {0};
	struct err err;
	if (lab_load(dir, &lab, &err) != ERR_OK)
		return command_fail_err(argv[0], &err);
	bool all = true;
	for (unsigned i = 0; i < lab.node_count; i++)
		all = show_node(&lab, &lab.nodes[i]) && all;
	lab_free(&lab);
	return all ? EXIT_OK : EXIT_FAILED;
}
