/* syncline lab cut, heal, unplug, plug: breaks links and mends them. */
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/hold.h"
#include "cli/lab.h"

enum err_code lab_cut(const struct lab_node *a, const struct lab_node *b, bool cut, struct err *err)
{
	enum err_code code = hold_set(a->state_dir, b->id, cut, err);
	if (code == ERR_OK)
		code = hold_set(b->state_dir, a->id, cut, err);
	return code;
}

static enum err_code cut_nodes(const struct lab *lab, char **argv, bool cut, struct err *err)
{
	const struct lab_node *a, *b;
	enum err_code code = lab_find_node(lab, argv[1], &a, err);
	if (code == ERR_OK)
		code = lab_find_node(lab, argv[2], &b, err);
	if (code == ERR_OK && a == b)
		code = err_set(err, ERR_USAGE, "node %s has no link to itself; name two nodes", argv[1]);
	if (code == ERR_OK && !lab_is_linked(lab, a, b))
		code = err_set(err, ERR_USAGE, "nodes %s and %s have no link in this %s; name two nodes that have one", argv[1],
		               argv[2], lab_shape_name(lab->shape));
	if (code == ERR_OK)
		code = lab_cut(a, b, cut, err);
	return code;
}

static enum err_code plug_node(const struct lab *lab, char **argv, bool unplug, struct err *err)
{
	const struct lab_node *node;
	enum err_code code = lab_find_node(lab, argv[1], &node, err);
	if (code == ERR_OK)
		code = lab_net_plug(lab, node, !unplug, err);
	return code;
}

static int change(int argc, char **argv, const char *summary, bool cut, int nodes,
                  enum err_code (*act)(const struct lab *, char **, bool, struct err *))
{
	const char *dir = NULL;
	const struct option_row rows[] = {
	    {"dir", OPTION_TEXT, &dir, "DIR", "the lab's folder", true, 0, 0},
	    {0},
	};
	struct options options = {nodes == 2 ? "--dir=DIR A B" : "--dir=DIR A", summary, rows, nodes, nodes};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	command_catch_signals();
	struct lab lab = {0};
	struct err err;
	enum err_code code = lab_load(dir, &lab, &err);
	if (code == ERR_OK)
		code = act(&lab, argv, cut, &err);
	lab_free(&lab);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}

int command_lab_cut(int argc, char **argv)
{
	return change(
	    argc, argv,
	    "Breaks the link between nodes A and B, both ways, across restarts. Returns when nothing flows any more.", true,
	    2, cut_nodes);
}

int command_lab_heal(int argc, char **argv)
{
	return change(argc, argv,
	              "Mends the link between nodes A and B. Returns at once, while they connect; lab wait waits for what "
	              "was missed.",
	              false, 2, cut_nodes);
}

int command_lab_unplug(int argc, char **argv)
{
	return change(argc, argv, "Takes eth0 of node A down, in a lab made with --network.", true, 1, plug_node);
}

int command_lab_plug(int argc, char **argv)
{
	return change(argc, argv, "Takes eth0 of node A up again, in a lab made with --network.", false, 1, plug_node);
}
