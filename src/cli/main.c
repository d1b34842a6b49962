/* syncline: keeps MariaDB servers that are all written to equal. See docs/architecture.md. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/commands.h"

static const struct command commands[] = {
    {"run", command_run, "--defaults-file=FILE", "the daemon of one node"},
    {"status", command_status, "--defaults-file=FILE [--json]", "how each link of this node is doing"},
    {"pause", command_pause, "--defaults-file=FILE PEER", "hold the link from a peer, across restarts"},
    {"resume", command_resume, "--defaults-file=FILE PEER", "let it go on"},
    {"skip", command_skip, "--defaults-file=FILE GTID", "pass over the transaction that a link is stopped at"},
    {"lab", command_lab, "COMMAND", "several nodes on this machine: up, cut, kill, wait, sql, down, …"},
    {"demo", command_demo, "[--keep] [--dir=DIR]", "two nodes and the guide's four tests, shown"},
    {"net-holder", command_net_holder, "DIR", NULL},
    {NULL, NULL, NULL, NULL},
};

int main(int argc, char **argv)
{
	static char name[] = "syncline";
	if (argc < 1)
		return EXIT_USAGE;
	argv[0] = name;
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("syncline %s\n", SYNCLINE_VERSION);
		return EXIT_OK;
	}
	return command_dispatch(commands, "Keeps MariaDB servers that are all written to equal.", argc, argv);
}
