/* syncline pause: holds the link from a peer, across restarts of the daemon. */
#include "cli/commands.h"
#include "cli/hold.h"

int command_pause(int argc, char **argv)
{
	return hold_command(
	    argc, argv, true,
	    "Holds the link from node PEER until syncline resume, across restarts of the daemon. Returns when the "
	    "link is down.");
}
