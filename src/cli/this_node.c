#include "cli/this_node.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/clock.h"
#include "cli/command.h"
#include "sql/native.h"

enum { CALL_TIMEOUT_MS = 5000, RELOAD_TIMEOUT_MS = 60 * 1000, RUNS_TIMEOUT_MS = 1000, POLL_MS = 20 };

enum err_code this_node_open(struct this_node *n, const char *command, const char *file, struct err *err)
{
	*n = (struct this_node){.command = command, .server = connection_new()};
	enum err_code code = settings_load(file, &n->settings, err);
	if (code != ERR_OK)
		return code;
	struct settings *s = &n->settings;
	if (s->identity_dir == NULL || s->address == NULL || s->server_where[0] != '/')
		return err_set(err, ERR_CONFIG, "%s: no identity-dir, address or socket: syncline init didn't make this node",
		               s->file);
	struct connection_target target = {.socket = s->server_where, .name = s->server_where};
	if (connection_open(n->server, &target, err) != ERR_OK)
		return err_wrap(err, "can't reach this node's MariaDB as root; start it, and run this as root: sudo %s",
		                command);
	return ERR_OK;
}

void this_node_close(struct this_node *n)
{
	connection_free(n->server);
	settings_free(&n->settings);
}

enum err_code this_node_reach(const struct this_node *n, const struct settings_peer *peer,
                              struct connection *connection, struct err *err)
{
	struct connection_target target = {.file = n->settings.file, .group = peer->group, .name = peer->where};
	enum err_code code = connection_open(connection, &target, err);
	bool may_be;
	if (code == ERR_OK)
		return code;
	return connection_was_refused(err, &may_be)
	           ? err_wrap(err, "node %u doesn't let this node in; was it let go of there?", (unsigned)peer->node_id)
	           : err_wrap(err, "node %u can't be reached", (unsigned)peer->node_id);
}

enum err_code this_node_check_merge(const struct settings *s, const char *what, struct err *err)
{
	if (s->engine != ENGINE_NATIVE)
		return ERR_OK;
	if (s->peer_count > 1)
		return err_set(err, ERR_CONFIG,
		               "node %u has engine = native, and %s needs engine = merge; set it in %s on every node, stop all "
		               "daemons, start them",
		               (unsigned)s->node_id, what, s->file);
	return err_set(
	    err, ERR_CONFIG,
	    "node %u has engine = native, and %s needs engine = merge; change it over with: syncline engine merge",
	    (unsigned)s->node_id, what);
}

enum err_code this_node_check_peer_merge(const struct settings_peer *peer, struct connection *connection,
                                         const char *what, struct err *err)
{
	struct native_mark mark;
	enum err_code code = native_load_mark(connection, &mark, err);
	if (code == ERR_SERVER) /* its daemon never ran, or it may not be asked: the request itself tells */
		return ERR_OK;
	return code != ERR_OK || !mark.is_native
	           ? code
	           : err_set(err, ERR_CONFIG,
	                     "node %u has engine = native, and %s needs engine = merge; run there: syncline engine merge",
	                     (unsigned)peer->node_id, what);
}

enum err_code this_node_value(const struct this_node *n, const char *sql, struct buf *ret, struct err *err)
{
	return connection_value(n->server, sql, strlen(sql), ret, NULL, err);
}

enum err_code this_node_confirm(bool yes, const char *what, struct err *err)
{
	char line[16];
	printf("%s\n", what);
	fflush(stdout);
	if (yes)
		return ERR_OK;
	if (!isatty(STDIN_FILENO))
		return err_set(err, ERR_USAGE, "there is nobody to ask; if that is all right, add --yes");
	printf("Go on? [y/N] ");
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL || (line[0] != 'y' && line[0] != 'Y'))
		return err_set(err, ERR_CANCELLED, "nothing was changed");
	return ERR_OK;
}

/* The run of the daemon; one that starts anew at this moment doesn't answer for a moment. */
static enum err_code find_run(const struct this_node *n, struct buf *ret, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + RUNS_TIMEOUT_MS;
	for (;;) {
		buf_clear(ret);
		enum err_code code = control_call(n->settings.state_dir, "run", CALL_TIMEOUT_MS, ret, err);
		if (code != ERR_DISCONNECTED || clock_monotonic_ms() > deadline)
			return code;
		clock_sleep_ms(POLL_MS);
	}
}

static enum err_code wait_for_other_run(const struct this_node *n, const char *before, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + RELOAD_TIMEOUT_MS;
	struct buf now = {0};
	for (;;) {
		buf_clear(&now);
		enum err_code code = control_call(n->settings.state_dir, "run", CALL_TIMEOUT_MS, &now, err);
		const char *text = buf_str(&now), *state = strchr(text, ' ');
		size_t size = state != NULL ? (size_t)(state - text) + 1 : 0;
		bool is_there =
		    code == ERR_OK && state != NULL && strncmp(text, before, size) != 0 && strcmp(state, " starting\n") != 0;
		if (!is_there && command_interrupted)
			code = err_set(err, ERR_CANCELLED, "interrupted");
		else if (!is_there && clock_monotonic_ms() > deadline)
			code = err_set(err, ERR_TIMEOUT, "the daemon doesn't start anew with its settings; look at its log");
		else if (!is_there) {
			clock_sleep_ms(POLL_MS);
			continue;
		}
		buf_free(&now);
		return code;
	}
}

enum err_code this_node_reload(const struct this_node *n, bool *ret_runs, struct err *err)
{
	struct buf before = {0}, answer = {0};
	enum err_code code = find_run(n, &before, err);
	bool runs = code == ERR_OK;
	if (code == ERR_OK)
		code = control_call(n->settings.state_dir, "reload", CALL_TIMEOUT_MS, &answer, err);
	if (code == ERR_OK)
		code = wait_for_other_run(n, buf_str(&before), err);
	if (!runs && code == ERR_DISCONNECTED)
		code = ERR_OK;
	if (ret_runs != NULL && code == ERR_OK)
		*ret_runs = runs;
	buf_free(&before);
	buf_free(&answer);
	return code;
}
