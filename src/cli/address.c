/* syncline address: this node is reached elsewhere now, or a peer is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/this_node.h"
#include "node/address.h"
#include "node/dropin.h"
#include "node/files.h"
#include "node/identity.h"
#include "node/peers.h"
#include "node/place.h"
#include "node/requests.h"
#include "node/service.h"
#include "node/settings_edit.h"

enum { FILE_BYTES_MAX = 1 << 20, TOLD_PATIENCE_MS = 20 * 1000, SERVER_READY_MS = 300 * 1000 };

struct move {
	struct this_node node;
	const char *address, *root, *restart;
	struct place place;
};

/* ---- A peer's ---- */

static enum err_code move_peer(const struct move *m, uint32_t peer, struct err *err)
{
	const struct settings *s = &m->node.settings;
	if (peers_find(s, peer) == NULL)
		return err_set(err, ERR_USAGE, "--of=%u is no peer of node %u; give the N of a [syncline-peer-N] in %s",
		               (unsigned)peer, (unsigned)s->node_id, s->file);
	enum err_code code = peers_set_address(s, peer, m->address, err);
	return code == ERR_OK ? this_node_reload(&m->node, NULL, err) : code;
}

/* ---- This node's ---- */

static enum err_code write_dropin(const struct move *m, struct err *err)
{
	struct buf text = {0}, line = {0};
	dropin_append_bind(&line, m->address);
	enum err_code code = files_read_tail(m->place.dropin, FILE_BYTES_MAX, &text, err);
	if (code == ERR_OK && !dropin_replace(&text, "bind_address", buf_str(&line)))
		code = err_set(err, ERR_CONFIG, "%s: no bind_address there; add it under [mariadbd]", m->place.dropin);
	if (code == ERR_OK)
		code = files_draft(m->place.dropin, &text, 0644, NULL, err);
	if (code == ERR_OK)
		code = files_put(m->place.dropin, err);
	buf_free(&text);
	buf_free(&line);
	return code;
}

static enum err_code write_settings(const struct move *m, struct err *err)
{
	struct settings_edit edit;
	enum err_code code = settings_edit_begin(&edit, m->node.settings.file, err);
	if (code != ERR_OK)
		return code;
	settings_edit_set(&edit.text, "address", m->address);
	code = settings_edit_save(&edit, err);
	settings_edit_end(&edit);
	return code;
}

/* Where it listens is settled when it starts; its certificate isn't. */
static enum err_code restart(const struct move *m, struct err *err)
{
	struct service service = {.command = m->restart, .log = m->place.log, .cancelled = &command_interrupted};
	const char *socket = m->node.settings.server_where;
	struct connection_target target = {.socket = socket, .name = socket};
	struct buf bound = {0}, wanted = {0};
	buf_printf(&wanted, "127.0.0.1,%s", m->address);
	enum err_code code = this_node_value(&m->node, "SELECT @@bind_address", &bound, err);
	bool same = strcmp(buf_str(&bound), buf_str(&wanted)) == 0;
	if (code == ERR_OK && same) {
		code = connection_run(m->node.server, "FLUSH SSL", err);
	} else if (code == ERR_OK) {
		printf("Restarting MariaDB.\n");
		connection_close(m->node.server);
		code = service_restart_server(&service, err);
		if (code == ERR_OK)
			code = service_wait_server(&service, m->node.server, &target, SERVER_READY_MS, err);
	}
	buf_free(&bound);
	buf_free(&wanted);
	return code;
}

static void tell_peer(const struct move *m, const struct settings_peer *peer)
{
	struct err err;
	struct request_reply reply = {0};
	struct connection *connection = connection_new();
	enum err_code code = this_node_reach(&m->node, peer, connection, &err);
	if (code == ERR_OK)
		code = request_ask(connection, REQUEST_ADDRESS, m->address, 0, &err);
	if (code == ERR_OK)
		code = request_wait(connection, REQUEST_ADDRESS, REQUEST_DONE, TOLD_PATIENCE_MS, &command_interrupted, &reply,
		                    &err);
	if (code != ERR_OK)
		printf("Node %u could not be told (%s); run there: syncline address %s --of=%u\n", (unsigned)peer->node_id,
		       err.message, m->address, (unsigned)m->node.settings.node_id);
	request_reply_done(&reply);
	connection_free(connection);
}

static enum err_code move_here(const struct move *m, struct err *err)
{
	const struct settings *s = &m->node.settings;
	const char *const addresses[] = {m->address};
	enum err_code code = write_dropin(m, err);
	if (code == ERR_OK)
		code = identity_reissue(s->identity_dir, addresses, 1, err);
	if (code == ERR_OK)
		code = write_settings(m, err);
	if (code == ERR_OK)
		code = restart(m, err);
	if (code == ERR_OK)
		code = this_node_reload(&m->node, NULL, err);
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++)
		tell_peer(m, &s->peers[i]);
	return code;
}

int command_address(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	unsigned of = 0;
	struct move m = {.root = ""};
	const struct option_row rows[] = {
	    {"of", OPTION_NUMBER, &of, "NODE", "it is this peer's, which could not tell by itself", false, 1, NODE_ID_MAX},
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {"root", OPTION_TEXT, &m.root, "DIR", "the system is in this folder, not in /", false, 0, 0},
	    {"restart", OPTION_TEXT, &m.restart, "COMMAND", "restarts MariaDB (systemctl restart mariadb)", false, 0, 0},
	    {0},
	};
	struct options options = {"NEW [--of=NODE] [--defaults-file=FILE]",
	                          "Peers reach this node at the address NEW from now on: its certificate, where its server "
	                          "listens, and what the\n"
	                          "peers know. MariaDB is restarted. A peer that can't be told is told there, with --of.",
	                          rows, 1, 1};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	m.address = argv[1];
	if (address_kind(m.address) == ADDRESS_NONE || strcmp(m.address, "localhost") == 0 ||
	    strncmp(m.address, "127.", 4) == 0)
		return command_fail(argv[0], EXIT_USAGE,
		                    "'%.80s' is no address that others reach; give an IP address or a DNS name", m.address);
	struct err err;
	place_init(&m.place, m.root);
	command_catch_signals();
	enum err_code code = this_node_open(&m.node, argv[0], file, &err);
	if (code == ERR_OK)
		code = of != 0 ? move_peer(&m, of, &err) : move_here(&m, &err);
	if (code == ERR_OK)
		printf("Node %u is at %s.\n", of != 0 ? of : (unsigned)m.node.settings.node_id, m.address);
	place_done(&m.place);
	this_node_close(&m.node);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
