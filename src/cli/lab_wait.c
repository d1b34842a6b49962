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

/* How far word of each node has come. What a node wrote reaches a node that it has no link to by way of others, and the seqs
 * alone don't tell when it is there: what isn't replicated counts in its origin's log, but comes by no other. So: who has a
 * node's whole vector of some moment, or has read its log that far, has all that this node had by then. A vector that is read later asks for more,
 * never for less. */
struct arrivals {
	unsigned origins[LAB_NODES_MAX];      /* bit i: all that nodes[i] had at the start is here */
	bool known[LAB_NODES_MAX];            /* false: the vector has to be read. A server that is away is asked again */
	struct vector vectors[LAB_NODES_MAX]; /* of a moment when all of origins was here */
};

static enum err_code read_server(const struct lab_node *node, struct vector *ret_vector, struct err *err)
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

/* Up to the last transaction that the others need: what a daemon notes for itself at any time needn't get over a link that is cut. The
 * daemon knows when it has read its server's log that far, and done what follows from it. */
static enum err_code read_written(const struct lab_node *node, struct vector *ret_vector, struct err *err)
{
	struct vector here, tailed;
	struct node_status status;
	enum err_code code = read_server(node, &here, err);
	if (code == ERR_OK)
		code = node_status_get(node->state_dir, &status, err);
	if (code != ERR_OK)
		return err_wrap(err, "node %u", (unsigned)node->id);
	code = vector_parse(status.server_vector, &tailed, err);
	if (code == ERR_OK)
		code = vector_parse(status.server_written, ret_vector, err);
	if (code == ERR_OK && !vector_covers(&tailed, &here))
		code = err_set(err, ERR_BUSY, "node %u's daemon has not read its own log yet%s%s", (unsigned)node->id,
		               *status.server_why ? ": " : "", status.server_why);
	else if (code == ERR_OK && status.is_resolving)
		code = err_set(err, ERR_BUSY, "node %u has not shown or recorded yet what follows from its log",
		               (unsigned)node->id);
	node_status_free(&status);
	return code;
}

static enum err_code read_vectors(const struct lab *lab, struct arrivals *arrivals, struct err *err)
{
	for (unsigned i = 0; i < lab->node_count; i++) {
		if (!arrivals->known[i] && read_written(&lab->nodes[i], &arrivals->vectors[i], err) != ERR_OK)
			return ERR_BUSY;
		arrivals->known[i] = true;
		arrivals->origins[i] |= 1U << i;
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

/* ERR_OK when no link of the node has anything left to read, ERR_BUSY while one has. A link that is held may have, if nothing of
 * it is missing here. */
static enum err_code check_links(const struct lab *lab, unsigned number, const struct node_status *status,
                                 struct arrivals *arrivals, struct err *err)
{
	const struct lab_node *node = &lab->nodes[number];
	enum err_code code = ERR_OK;
	for (unsigned i = 0; i < lab->node_count; i++) {
		const struct lab_node *peer = &lab->nodes[i];
		if (!lab_is_linked(lab, node, peer))
			continue;
		if (arrivals->known[i] && vector_covers(&arrivals->vectors[number], &arrivals->vectors[i]))
			arrivals->origins[number] |= arrivals->origins[i];
		struct err why;
		const struct link_status *link = node_status_link(status, peer->id);
		if (link == NULL) {
			err_set(&why, ERR_BUSY, "node %u has no link from node %u yet", (unsigned)node->id, (unsigned)peer->id);
		} else if (check_link(node, peer, link, &arrivals->vectors[i], &why) == ERR_OK) {
			if (arrivals->known[i])
				arrivals->origins[number] |= arrivals->origins[i];
			continue;
		} else if (link->paused && (arrivals->origins[i] & ~arrivals->origins[number]) == 0) {
			continue;
		}
		if (code == ERR_OK) {
			*err = why;
			code = why.code;
		}
	}
	return code;
}

static enum err_code check_node(const struct lab *lab, unsigned number, struct arrivals *arrivals, struct err *err)
{
	const struct lab_node *node = &lab->nodes[number];
	struct node_status status;
	if (node_status_get(node->state_dir, &status, err) != ERR_OK) {
		err_wrap(err, "node %u", (unsigned)node->id);
		return ERR_BUSY;
	}
	unsigned before = arrivals->origins[number];
	enum err_code code = check_links(lab, number, &status, arrivals, err);
	if (arrivals->origins[number] != before)
		arrivals->known[number] = false;
	node_status_free(&status);
	return code;
}

/* ERR_OK when every node has it all. Looks at all of them in any case: what one waits for may have to come through another. */
static enum err_code check_nodes(const struct lab *lab, struct arrivals *arrivals, struct err *err)
{
	enum err_code code = read_vectors(lab, arrivals, err);
	if (code != ERR_OK)
		return code;
	for (unsigned i = 0; i < lab->node_count; i++) {
		struct err why;
		enum err_code node_code = check_node(lab, i, arrivals, &why);
		if (node_code == ERR_OK || code != ERR_OK)
			continue;
		*err = why;
		code = node_code;
	}
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		if (arrivals->origins[i] != (1U << lab->node_count) - 1)
			code = err_set(err, ERR_BUSY, "node %u lacks what comes by way of others", (unsigned)lab->nodes[i].id);
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
	struct arrivals arrivals = {0};
	for (;;) {
		enum err_code code = check_nodes(lab, &arrivals, err);
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
	    "Waits until every node has applied all that any node had committed when this was called, also by way of "
	    "other\nnodes. A link that is cut is waited for only if something that it would bring is missing.\nExit status "
	    "1 when the time "
	    "is up; the line says which link lacks what, and why.",
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
