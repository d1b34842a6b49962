/* syncline lab wait: until every node has applied all that any node had committed when it was called. */
#include <stdio.h>
#include <string.h>

#include "admin/control.h"
#include "base/clock.h"
#include "binlog/gtid.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/lab.h"

enum { WAIT_POLL_MS = 20, WAKE_TIMEOUT_MS = 2000 };

/* What each server had in its log at the start. A server that is away is asked again until the time is up. */
struct goals {
	bool known[LAB_NODES_MAX];
	struct vector vectors[LAB_NODES_MAX];
};

static enum err_code read_vector(const struct lab_node *node, struct vector *ret_vector, struct err *err)
{
	static const char sql[] = "SELECT @@GLOBAL.gtid_binlog_pos";
	struct buf text = {0};
	struct connection *connection = connection_new();
	enum err_code code = lab_connect(node, connection, err);
	if (code == ERR_OK)
		code = connection_value(connection, sql, sizeof sql - 1, &text, NULL, err);
	if (code == ERR_OK)
		code = vector_parse(buf_str(&text), ret_vector, err);
	connection_free(connection);
	buf_free(&text);
	return code;
}

static enum err_code read_goals(const struct lab *lab, struct goals *goals, struct err *err)
{
	for (unsigned i = 0; i < lab->node_count; i++) {
		if (!goals->known[i] && read_vector(&lab->nodes[i], &goals->vectors[i], err) != ERR_OK)
			return ERR_BUSY;
		goals->known[i] = true;
	}
	return ERR_OK;
}

static enum err_code check_link(const struct lab_node *node, const struct lab_node *peer,
                                const struct link_status *link, const struct vector *goal, struct err *err)
{
	struct vector position;
	if (vector_parse(link->position, &position, err) != ERR_OK)
		return err->code;
	if (vector_covers(&position, goal))
		return ERR_OK;
	struct buf lacks = {0};
	for (uint32_t i = 0; i < goal->count; i++) {
		char text[GTID_TEXT_MAX];
		if (!vector_has(&position, &goal->gtids[i]))
			buf_printf(&lacks, "%s%s", lacks.size ? "," : "", gtid_format(&goal->gtids[i], text));
	}
	enum err_code code = err_set(err, ERR_BUSY, "node %u lacks node %u's transactions up to %s; its link is %s%s%s",
	                             (unsigned)node->id, (unsigned)peer->id, buf_str(&lacks),
	                             link->paused ? "held" : link->state, *link->why ? ": " : "", link->why);
	buf_free(&lacks);
	return code;
}

/* ERR_OK when the node has it all, ERR_BUSY while it lacks something. */
static enum err_code check_node(const struct lab *lab, const struct lab_node *node, const struct goals *goals,
                                struct err *err)
{
	struct node_status status;
	if (node_status_get(node->state_dir, &status, err) != ERR_OK) {
		err_wrap(err, "node %u", (unsigned)node->id);
		return ERR_BUSY;
	}
	enum err_code code = ERR_OK;
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++) {
		const struct lab_node *peer = &lab->nodes[i];
		const struct link_status *link = node_status_link(&status, peer->id);
		if (peer == node)
			continue;
		if (link == NULL)
			code =
			    err_set(err, ERR_BUSY, "node %u has no link from node %u yet", (unsigned)node->id, (unsigned)peer->id);
		else
			code = check_link(node, peer, link, &goals->vectors[i], err);
	}
	node_status_free(&status);
	return code;
}

/* A link that has stopped tries again only now and then; whoever waits wants it to try now. */
static void wake_daemons(const struct lab *lab)
{
	struct buf answer = {0};
	struct err ignored;
	for (unsigned i = 0; i < lab->node_count; i++)
		(void)!control_call(lab->nodes[i].state_dir, "wake", WAKE_TIMEOUT_MS, &answer, &ignored);
	buf_free(&answer);
}

enum err_code lab_wait(const struct lab *lab, unsigned timeout_s, struct err *err)
{
	wake_daemons(lab);
	int64_t deadline = clock_monotonic_ms() + (int64_t)timeout_s * 1000;
	struct goals goals = {0};
	for (;;) {
		enum err_code code = read_goals(lab, &goals, err);
		for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
			code = check_node(lab, &lab->nodes[i], &goals, err);
		if (code != ERR_BUSY)
			return code;
		if (command_interrupted)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() > deadline)
			return err_wrap(err, "not done after %u s", timeout_s);
		clock_sleep_ms(WAIT_POLL_MS);
	}
}

int command_lab_wait(int argc, char **argv)
{
	const char *dir = NULL;
	unsigned timeout_s = LAB_TIMEOUT_S;
	const struct option_row rows[] = {
	    {"dir", OPTION_TEXT, &dir, "DIR", "the lab's folder", true, 0, 0},
	    {"timeout", OPTION_NUMBER, &timeout_s, "S", "seconds (120)", false, 1, 86400},
	    {0},
	};
	struct options options = {
	    "--dir=DIR [--timeout=S]",
	    "Waits until every node has applied all that any node had committed when this was called.\nExit "
	    "status 1 when the time is up; the line says which link lacks what, and why.",
	    rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	command_catch_signals();
	struct lab lab = {0};
	struct err err;
	enum err_code code = lab_load(dir, &lab, &err);
	if (code == ERR_OK)
		code = lab_wait(&lab, timeout_s, &err);
	lab_free(&lab);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
