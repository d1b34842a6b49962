/* syncline forget: lets go of a node that is lost: nothing waits for it any more, and its account gets in no more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/node_status.h"
#include "cli/this_node.h"
#include "node/identity.h"
#include "node/peers.h"
#include "node/requests.h"

static bool is_node(const struct settings *s, uint32_t node)
{
	for (size_t i = 0; i < s->node_count; i++)
		if (s->nodes[i] == node)
			return true;
	return false;
}

/* An earlier run may have been killed: what is left of the node counts. */
static enum err_code check_known(const struct this_node *n, uint32_t node, struct err *err)
{
	struct tls_authority_id id;
	struct buf account = {0};
	char sql[100];
	if (node == n->settings.node_id)
		return err_set(err, ERR_USAGE, "node %u is this one; take it out of the group with: syncline leave",
		               (unsigned)node);
	if (is_node(&n->settings, node) || identity_peer(n->settings.identity_dir, node, &id, NULL, err) == ERR_OK)
		return ERR_OK;
	snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM mysql.user WHERE User='syncline-%u'", (unsigned)node);
	enum err_code code = this_node_value(n, sql, &account, err);
	if (code == ERR_OK && strcmp(buf_str(&account), "0") == 0)
		code = err_set(err, ERR_USAGE, "there is no node %u here; %s has those that there are", (unsigned)node,
		               n->settings.file);
	buf_free(&account);
	return code;
}

static enum err_code check_lost(const struct this_node *n, uint32_t node, struct err *err)
{
	struct node_status status;
	if (node_status_get(n->settings.state_dir, &status, err) != ERR_OK)
		return ERR_OK; /* no daemon, no link */
	const struct link_status *link = node_status_link(&status, node);
	bool lives = link != NULL && (strcmp(link->state, "live") == 0 || strcmp(link->state, "catching up") == 0);
	node_status_free(&status);
	return lives ? err_set(err, ERR_CONFIG,
	                       "node %u is there, its link is live; run there: syncline leave, or add --force here",
	                       (unsigned)node)
	             : ERR_OK;
}

static enum err_code confirm(const struct this_node *n, uint32_t node, bool yes, struct err *err)
{
	char text[400];
	snprintf(
	    text, sizeof text,
	    "Node %u is forgotten, here and then on the other nodes: its settings, its account, its certificate. What it\n"
	    "wrote stays; what no other node has is lost.",
	    (unsigned)node);
	return is_node(&n->settings, node) ? this_node_confirm(yes, text, err) : ERR_OK;
}

static enum err_code forget(const struct this_node *n, uint32_t node, struct err *err)
{
	enum err_code code = peers_forget(&n->settings, n->server, node, err);
	if (code == ERR_OK)
		code = control_resume(n->settings.state_dir, node, err);
	if (code == ERR_OK)
		code = this_node_reload(n, NULL, err);
	if (code == ERR_OK) /* the link that has just ended may have noted where it was */
		code = request_drop_peer(n->server, node, err);
	return code;
}

static void tell(const struct settings *s, uint32_t node)
{
	bool has_others = false;
	for (size_t i = 0; i < s->peer_count; i++)
		has_others = has_others || s->peers[i].node_id != node;
	printf("Node %u is forgotten.%s\n", (unsigned)node,
	       has_others ? " The other nodes hear of it by themselves, one that can't be reached now when it can." : "");
}

int command_forget(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	bool yes = false, force = false;
	const struct option_row rows[] = {
	    {"force", OPTION_FLAG, &force, NULL, "also while its link is live", false, 0, 0},
	    {"yes", OPTION_FLAG, &yes, NULL, "don't ask", false, 0, 0},
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {0},
	};
	struct options options = {
	    "NODE [--force] [--yes] [--defaults-file=FILE]",
	    "Lets go of a node that is lost for good: its settings, account and certificate, here and "
	    "then on the other nodes.\n"
	    "What it wrote that any of them has stays. A node that still runs goes by syncline leave.",
	    rows, 1, 1};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	char *end;
	unsigned long node = strtoul(argv[1], &end, 10);
	if (*end != 0 || node < 1 || node > NODE_ID_MAX)
		return command_fail(argv[0], EXIT_USAGE, "'%.40s' is no node id; give a whole number from 1 to %d", argv[1],
		                    NODE_ID_MAX);
	struct this_node n;
	struct err err;
	command_catch_signals();
	enum err_code code = this_node_open(&n, argv[0], file, &err);
	if (code == ERR_OK)
		code = check_known(&n, (uint32_t)node, &err);
	if (code == ERR_OK && !force)
		code = check_lost(&n, (uint32_t)node, &err);
	if (code == ERR_OK)
		code = confirm(&n, (uint32_t)node, yes, &err);
	if (code == ERR_OK)
		code = forget(&n, (uint32_t)node, &err);
	if (code == ERR_OK)
		tell(&n.settings, (uint32_t)node);
	this_node_close(&n);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
