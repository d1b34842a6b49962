/* syncline invite: lets one more node come in, by a token that says where this node is, how to know it, and a secret that counts once. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/offer.h"
#include "cli/this_node.h"
#include "node/identity.h"
#include "node/membership.h"
#include "node/peer_group.h"
#include "node/settings.h"
#include "node/token.h"

enum { VALID_MINUTES = 60, CALL_TIMEOUT_MS = 5000 };

/* As root: who runs this must be able to make accounts. */
static enum err_code open_server(const struct settings *settings, struct connection *connection, struct err *err)
{
	struct connection_target target = {.socket = settings->server_where, .name = settings->server_where};
	if (settings->identity_dir == NULL || settings->address == NULL)
		return err_set(err, ERR_CONFIG,
		               "%s: there is no identity-dir or no address; this node wasn't made by syncline init",
		               settings->file);
	if (settings->server_where[0] != '/')
		return err_set(err, ERR_CONFIG, "%s: [syncline-server] has no socket; root gets in there", settings->file);
	return connection_open(connection, &target, err);
}

static enum err_code make_token(const struct settings *settings, struct connection *connection, unsigned valid_s,
                                struct token *token, struct buf *ret, struct err *err)
{
	struct tls_authority_id id;
	struct buf offer = {0}, secret = {0};
	enum err_code code = identity_authority(settings->identity_dir, &id, NULL, err);
	if (code == ERR_OK)
		code = token_make_secret(token, err);
	if (code == ERR_OK)
		code = offer_make(settings, &offer, err);
	if (code == ERR_OK) {
		offer_secret(token, &secret);
		code = membership_invite(connection, buf_str(&secret), valid_s, buf_str(&offer), &token->invitation, err);
	}
	if (code == ERR_OK) {
		snprintf(token->address, sizeof token->address, "%s", settings->address);
		memcpy(token->fingerprint, id.fingerprint, sizeof token->fingerprint);
		token->port = PEER_PORT;
		token->node_id = settings->node_id;
		token->expiry_s = clock_wall_s() + valid_s;
		code = token_format(token, ret, err);
	}
	tls_wipe(&secret);
	buf_free(&offer);
	return code;
}

static enum err_code invite(const char *file, unsigned valid_s, struct err *err)
{
	struct settings settings = {0};
	struct token token = {0};
	struct buf text = {0}, answer = {0};
	struct connection *connection = connection_new();
	enum err_code code = settings_load(file, &settings, err);
	if (code == ERR_OK)
		code = this_node_check_merge(&settings, "letting a node in", err);
	if (code == ERR_OK)
		code = open_server(&settings, connection, err);
	if (code == ERR_OK)
		code = make_token(&settings, connection, valid_s, &token, &text, err);
	if (code == ERR_OK && control_call(settings.state_dir, "invited", CALL_TIMEOUT_MS, &answer, err) != ERR_OK)
		code = err_wrap(err, "the daemon has to run, it lets the node in");
	if (code == ERR_OK)
		printf("%s\n", buf_str(&text));
	tls_wipe(&text);
	token_done(&token);
	buf_free(&answer);
	connection_free(connection);
	settings_free(&settings);
	return code;
}

int command_invite(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	unsigned minutes = VALID_MINUTES;
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {"valid", OPTION_NUMBER, &minutes, "MINUTES", "until then it may be used, once (60)", false, 1, 7 * 24 * 60},
	    {0},
	};
	struct options options = {
	    "[--valid=MINUTES] [--defaults-file=FILE]",
	    "Prints a token with which one node may join: syncline join TOKEN, on its machine. It is a\n"
	    "secret until it has been used or has expired.",
	    rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct err err;
	return invite(file, minutes * 60, &err) == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
