/* syncline: keeps MariaDB servers that are all written to equal. See docs/architecture.md. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/commands.h"

static const struct command commands[] = {
    {"init", command_init, "--node=N --address=ADDRESS --database=NAME", "make this machine's MariaDB the first node"},
    {"invite", command_invite, "[--valid=MINUTES]", "print a token with which one more node may join"},
    {"join", command_join, "TOKEN --node=N --address=ADDRESS",
     "make this machine's MariaDB another node, with their data"},
    {"rejoin", command_rejoin, "[--from=NODE] [--discard] [--yes]",
     "take the peers' data anew, after they have this node's"},
    {"leave", command_leave, "[--force] [--yes]", "take this node out of the group"},
    {"forget", command_forget, "NODE [--force] [--yes]", "let go of a node that is lost"},
    {"slots", command_slots, "N [--kill]", "make room for more nodes"},
    {"address", command_address, "NEW [--of=NODE]", "where this node, or a peer, is reached now"},
    {"run", command_run, "[--defaults-file=FILE]", "the daemon of one node"},
    {"status", command_status, "[--watch] [--json]", "how each link of this node is doing"},
    {"health", command_health, "[LIMIT…]", "one line and an exit status for monitoring"},
    {"pause", command_pause, "PEER", "hold the link from a peer, across restarts"},
    {"resume", command_resume, "PEER", "let it go on"},
    {"skip", command_skip, "GTID", "pass over the transaction that a link is stopped at"},
    {"adopt", command_adopt, "[--yes]", "take over a pair whose replication was set up by hand"},
    {"engine", command_engine, "merge|native", "who applies the peer's changes: syncline or MariaDB"},
    {"conflicts", command_conflicts, "[list|show|resolve|undo] [ID]", "what writes lost to others: list, show, undo"},
    {"verify", command_verify, "[--table=DB.TABLE] [--rate=RATE] [--json]",
     "are the rows of all nodes equal, while they are written to"},
    {"repair", command_repair, "[--from=NODE] [--apply]", "make rows that differ equal to one node's"},
    {"doctor", command_doctor, "[--fix] [--json]", "what is wrong with this node, and how to mend it"},
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
