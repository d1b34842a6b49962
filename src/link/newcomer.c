#include "link/newcomer.h"

#include <stdio.h>
#include <string.h>

#include "admin/control.h"
#include "base/log.h"
#include "node/address.h"
#include "node/identity.h"
#include "node/membership.h"
#include "node/peer_group.h"
#include "node/settings_edit.h"
#include "node/slots.h"

bool newcomer_is_counted(const struct settings *s, uint32_t node)
{
	for (size_t i = 0; i < s->node_count; i++)
		if (s->nodes[i] == node)
			return true;
	return false;
}

/* The one that this number is known by. */
static bool is_pinned(const struct settings *s, const struct member *m)
{
	struct tls_authority_id its, pinned;
	return tls_authority_check(m->authority, strlen(m->authority), &its, NULL, NULL) == ERR_OK &&
	       identity_peer(s->identity_dir, m->node, &pinned, NULL, NULL) == ERR_OK &&
	       strcmp(its.fingerprint, pinned.fingerprint) == 0;
}

const char *newcomer_refusal(const struct settings *s, const struct member *m, char *buffer, size_t size)
{
	uint32_t slots = s->slots ? s->slots : s->nodes[s->node_count - 1];
	unsigned node = m->node;
	if (address_kind(m->address) == ADDRESS_NONE)
		snprintf(buffer, size, "'%.80s' is no address", m->address);
	else if (node == 0 || node > NODE_ID_MAX)
		snprintf(buffer, size, "%u is no node id; give one from 1 to %d", node, NODE_ID_MAX);
	else if (node > slots)
		snprintf(buffer, size, "node %u needs more slots than there are (%u); run on each node: syncline slots %u",
		         node, (unsigned)slots, slots_enough((unsigned)slots, node));
	else if (newcomer_is_counted(s, m->node) && !is_pinned(s, m))
		snprintf(buffer, size,
		         "there is a node %u already; give another --node, or let go of it with: syncline forget %u", node,
		         node);
	else
		return NULL;
	return buffer;
}

static void append_nodes(struct buf *to, const struct settings *s, uint32_t node)
{
	bool added = newcomer_is_counted(s, node);
	for (size_t i = 0; i <= s->node_count; i++) {
		if (!added && (i == s->node_count || s->nodes[i] > node)) {
			buf_printf(to, "%s%u", to->size ? "," : "", (unsigned)node);
			added = true;
		}
		if (i < s->node_count)
			buf_printf(to, "%s%u", to->size ? "," : "", (unsigned)s->nodes[i]);
	}
}

/* Held before it is there. */
static enum err_code write_peer(const struct settings *s, const struct member *m, struct err *err)
{
	struct buf lines = {0}, nodes = {0};
	struct settings_edit edit;
	char group[32];
	snprintf(group, sizeof group, "syncline-peer-%u", (unsigned)m->node);
	append_nodes(&nodes, s, m->node);
	peer_group_append(&lines, s->identity_dir, s->node_id, m->node, m->address);
	enum err_code code = control_pause(s->state_dir, m->node, err);
	if (code == ERR_OK && (code = settings_edit_begin(&edit, s->file, err)) == ERR_OK) {
		settings_edit_set(&edit.text, "nodes", buf_str(&nodes));
		settings_edit_remove_group(&edit.text, group);
		settings_edit_add_group(&edit.text, group, buf_str(&lines));
		code = settings_edit_save(&edit, err);
		settings_edit_end(&edit);
	}
	buf_free(&lines);
	buf_free(&nodes);
	return code;
}

enum err_code newcomer_take_in(const struct settings *s, struct connection *connection, const struct member *m,
                               bool needs_account, struct err *err)
{
	struct tls_authority_id id;
	struct member row = *m;
	row.position = (struct server_position){0};
	row.state = MEMBER_COMING; /* until this node has released it */
	enum err_code code = identity_pin(s->identity_dir, m->node, m->authority, strlen(m->authority), err);
	if (code == ERR_OK)
		code = identity_peer(s->identity_dir, m->node, &id, NULL, err);
	if (code == ERR_OK && needs_account)
		code = membership_meet(connection, m->node, id.name, err);
	if (code == ERR_OK)
		code = members_put(connection, &row, err);
	if (code == ERR_OK)
		code = write_peer(s, m, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "node %u comes in, from %s", (unsigned)m->node, m->address);
	return code;
}

/* The row last: until it says so, all is done again, and a position that is too old does no harm. */
enum err_code newcomer_release(const struct settings *s, struct connection *connection, const struct member *m,
                               struct err *err)
{
	struct member row = *m;
	row.state = MEMBER_JOINED;
	enum err_code code = server_save_position(connection, m->node, &m->position, err);
	if (code == ERR_OK)
		code = control_resume(s->state_dir, m->node, err);
	if (code == ERR_OK)
		code = members_put(connection, &row, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "node %u has joined", (unsigned)m->node);
	return code;
}
