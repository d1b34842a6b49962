/* syncline lab: several nodes on this machine. */
#include "cli/command.h"
#include "cli/commands.h"

static const struct command commands[] = {
    {"up", command_lab_up, "", "make a lab and wait until all links are live"},
    {"status", command_lab_status, "", "how every node and link is doing"},
    {"sql", command_lab_sql, "", "the mariadb client on one node"},
    {"wait", command_lab_wait, "", "until every node has applied all that any node committed"},
    {"cut", command_lab_cut, "", "break the link between two nodes, both ways"},
    {"heal", command_lab_heal, "", "mend it"},
    {"unplug", command_lab_unplug, "", "take a node's network interface down (up --network)"},
    {"plug", command_lab_plug, "", "and up again"},
    {"kill", command_lab_kill, "", "kill -9 a node's server, its daemon, or both"},
    {"start", command_lab_start, "", "start them again"},
    {"down", command_lab_down, "", "stop everything and remove it"},
    {NULL, NULL, NULL, NULL},
};

int command_lab(int argc, char **argv)
{
	return command_dispatch(commands, "Several nodes on this machine: each a private MariaDB server and a daemon.",
	                        argc, argv);
}
