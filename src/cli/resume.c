/* syncline resume: lets a paused link go on. */
#include "cli/commands.h"
#include "cli/hold.h"

int command_resume(int argc, char **argv)
{
	return hold_command(argc, argv, false, "Lets the link from node PEER go on. Returns at once; see syncline status.");
}
