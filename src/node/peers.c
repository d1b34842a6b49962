#include "node/peers.h"

#include <stdio.h>

#include "node/identity.h"
#include "node/requests.h"
#include "node/settings_edit.h"

const struct settings_peer *peers_find(const struct settings *s, uint32_t node)
{
	for (size_t i = 0; i < s->peer_count; i++)
		if (s->peers[i].node_id == node)
			return &s->peers[i];
	return NULL;
}

static void name_group(char group[32], uint32_t node)
{
	snprintf(group, 32, "syncline-peer-%u", (unsigned)node);
}

static enum err_code remove_from_settings(const struct settings *s, uint32_t node, bool is_counted, struct err *err)
{
	struct settings_edit edit;
	struct buf nodes = {0};
	char group[32];
	name_group(group, node);
	for (size_t i = 0; i < s->node_count; i++)
		if (s->nodes[i] != node || is_counted)
			buf_printf(&nodes, "%s%u", nodes.size ? "," : "", (unsigned)s->nodes[i]);
	enum err_code code = settings_edit_begin(&edit, s->file, err);
	if (code == ERR_OK) {
		settings_edit_remove_group(&edit.text, group);
		settings_edit_set(&edit.text, "nodes", buf_str(&nodes));
		code = settings_edit_save(&edit, err);
		settings_edit_end(&edit);
	}
	buf_free(&nodes);
	return code;
}

/* MariaDB's own replication settles nothing, and wants every node to be a peer. */
enum err_code peers_forget(const struct settings *s, struct connection *connection, uint32_t node, struct err *err)
{
	bool has_others = s->node_count > 2 && s->engine != ENGINE_NATIVE;
	enum err_code code = remove_from_settings(s, node, has_others, err);
	if (code == ERR_OK)
		code = identity_unpin(s->identity_dir, node, err);
	return code == ERR_OK ? request_drop_peer(connection, node, err) : code;
}

enum err_code peers_uncount(const struct settings *s, uint32_t node, struct err *err)
{
	return remove_from_settings(s, node, false, err);
}

enum err_code peers_set_address(const struct settings *s, uint32_t node, const char *address, struct err *err)
{
	struct settings_edit edit;
	char group[32];
	name_group(group, node);
	enum err_code code = settings_edit_begin(&edit, s->file, err);
	if (code != ERR_OK)
		return code;
	settings_edit_set_in(&edit.text, group, "host", address);
	code = settings_edit_save(&edit, err);
	settings_edit_end(&edit);
	return code;
}
