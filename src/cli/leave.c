/* syncline leave: takes this node out of the group: the peers get all that it has and forget it, and its server is an ordinary one again. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/standby.h"
#include "cli/this_node.h"
#include "node/files.h"
#include "node/place.h"
#include "node/requests.h"
#include "node/service.h"
#include "sql/server.h"

enum { PATIENCE_S = 30, FORGOTTEN_MS = 30 * 1000, POLL_MS = 100, SERVER_READY_MS = 300 * 1000, CALL_TIMEOUT_MS = 5000 };

/* What is noted while it works. */
enum stage { STAGE_DRAIN, STAGE_TELLING, STAGE_TAKING_DOWN };

struct leave {
	struct this_node node;
	struct standby standby;
	bool force, yes;
	unsigned patience_s;
	const char *root, *restart, *service;
	struct place place;
	struct connection *peers[PEERS_MAX]; /* NULL: left behind, or */
	bool told[PEERS_MAX];                /* an earlier run got so far, and it has forgotten this node */
};

/* ---- The peers ---- */

static enum err_code open_peers(struct leave *l, struct err *err)
{
	const struct settings *s = &l->node.settings;
	for (size_t i = 0; i < s->peer_count; i++) {
		l->peers[i] = connection_new();
		struct err why;
		enum err_code code = this_node_reach(&l->node, &s->peers[i], l->peers[i], &why);
		bool is_reached = code == ERR_OK;
		if (is_reached)
			code = this_node_check_peer_merge(&s->peers[i], l->peers[i], l->node.command, &why);
		l->told[i] = l->standby.stage == STAGE_TELLING && !is_reached && (code == ERR_SERVER || code == ERR_CONFIG);
		if (code != ERR_OK && !l->force && !l->told[i])
			return err_set(err, code,
			               "%s; leave when it can, or add --force, which loses what only this node has, and run there "
			               "then: syncline forget %u",
			               why.message, (unsigned)s->node_id);
		if (code != ERR_OK) {
			connection_free(l->peers[i]);
			l->peers[i] = NULL;
		}
	}
	return ERR_OK;
}

/* All that is in this node's log now is on each peer, or isn't to be waited for. */
static enum err_code drain(struct leave *l, struct err *err)
{
	const struct settings *s = &l->node.settings;
	struct vector here;
	struct buf text = {0};
	enum err_code code = server_vector(l->node.server, &here, err);
	vector_format(&here, &text);
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++)
		if (l->peers[i] != NULL)
			code = request_ask(l->peers[i], REQUEST_LEAVE, buf_str(&text), 0, err);
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++) {
		struct request_reply reply = {0};
		if (l->peers[i] == NULL)
			continue;
		code = request_wait(l->peers[i], REQUEST_LEAVE, REQUEST_READY, (int64_t)l->patience_s * 1000,
		                    &command_interrupted, &reply, err);
		request_reply_done(&reply);
		if (code != ERR_OK && code != ERR_CANCELLED && l->force) {
			connection_free(l->peers[i]);
			l->peers[i] = NULL;
			code = ERR_OK;
		} else if (code != ERR_OK) {
			err_wrap(err, "node %u doesn't get all that this node has", (unsigned)s->peers[i].node_id);
		}
	}
	buf_free(&text);
	return code;
}

static enum err_code save_stage(struct leave *l, enum stage stage, struct err *err)
{
	l->standby.stage = stage;
	return standby_save(&l->node, &l->standby, err);
}

/* They do it by themselves; a moment later this node doesn't get in any more. */
static enum err_code tell_peers(struct leave *l, struct err *err)
{
	const struct settings *s = &l->node.settings;
	enum err_code code = save_stage(l, STAGE_TELLING, err);
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++)
		if (l->peers[i] != NULL)
			code = request_say(l->peers[i], REQUEST_LEAVE, "", err);
	if (code == ERR_OK)
		code = save_stage(l, STAGE_TAKING_DOWN, err);
	int64_t deadline = clock_monotonic_ms() + FORGOTTEN_MS;
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++)
		while (l->peers[i] != NULL && clock_monotonic_ms() < deadline && !command_interrupted) {
			struct err gone;
			connection_close(l->peers[i]);
			if (this_node_reach(&l->node, &s->peers[i], l->peers[i], &gone) != ERR_OK)
				break;
			clock_sleep_ms(POLL_MS);
		}
	return code;
}

static enum err_code leave_peers(struct leave *l, struct err *err)
{
	enum err_code code = open_peers(l, err);
	if (code == ERR_OK)
		code = this_node_confirm(l->yes,
		                         "This node goes out of the group. Its data stays, its log, settings and accounts of "
		                         "replication go; MariaDB is restarted.",
		                         err);
	if (code == ERR_OK)
		code = standby_begin(&l->node, "leave", &l->standby, err);
	if (code == ERR_OK && l->node.settings.peer_count > 0) {
		printf("Waiting until the peers have all that this node has.\n");
		fflush(stdout);
	}
	if (code == ERR_OK) /* with the daemon at work: it may have something to decide */
		code = drain(l, err);
	if (code == ERR_OK)
		code = this_node_reload(&l->node, NULL, err);
	if (code == ERR_OK)
		code = drain(l, err);
	return code == ERR_OK ? tell_peers(l, err) : code;
}

static void undo(struct leave *l, struct err *err)
{
	struct err why;
	command_interrupted = false;
	for (size_t i = 0; i < l->node.settings.peer_count; i++)
		if (l->peers[i] != NULL && connection_is_open(l->peers[i]))
			(void)!request_cancel(l->peers[i], REQUEST_LEAVE, &why);
	enum err_code code = standby_end(&l->node, &l->standby, &why);
	if (code == ERR_OK)
		code = this_node_reload(&l->node, NULL, &why);
	size_t size = strlen(err->message);
	snprintf(err->message + size, sizeof err->message - size, "; %s%s",
	         code == ERR_OK ? "everything is as it was before" : "and not all could be undone: ",
	         code == ERR_OK ? "" : why.message);
}

/* ---- This node ---- */

static enum err_code stop_daemon(const struct leave *l, struct err *err)
{
	struct service service = {.command = l->service, .log = l->place.log, .cancelled = &command_interrupted};
	struct buf answer = {0};
	enum err_code code = service_disable_daemon(&service, err);
	if (code == ERR_UNSUPPORTED) {
		code = control_call(l->node.settings.state_dir, "stop", CALL_TIMEOUT_MS, &answer, err);
		if (code == ERR_DISCONNECTED)
			code = ERR_OK;
	}
	buf_free(&answer);
	return code;
}

static void add_account(void *context, unsigned count, const char *const *columns)
{
	struct buf *sql = context;
	if (count > 0 && columns[0] != NULL)
		buf_printf(sql, "DROP USER IF EXISTS %s;", columns[0]);
}

/* Those of the peers and of invitations, and the daemon's, which has the name of the system's user that the settings belong to. */
static enum err_code drop_accounts(const struct leave *l, struct err *err)
{
	struct stat st;
	struct buf sql = {0}, which = {0};
	const struct passwd *user = stat(l->node.settings.file, &st) == 0 ? getpwuid(st.st_uid) : NULL;
	buf_append_str(&which, "SELECT CONCAT(QUOTE(User),'@',QUOTE(Host)) FROM mysql.user WHERE User REGEXP "
	                       "'^syncline-(join-)?[0-9]+$' OR (Host='localhost' AND User<>'root' AND User=");
	sql_append_string(&which, user ? user->pw_name : "", user ? strlen(user->pw_name) : 0);
	buf_append_str(&which, ")");
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
	enum err_code code = connection_query(l->node.server, buf_str(&which), add_account, &sql, err);
	buf_append_str(&sql, "DROP DATABASE IF EXISTS " SYNCLINE_SCHEMA ";SET SESSION sql_log_bin=1");
	if (code == ERR_OK)
		code = connection_run_n(l->node.server, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&which);
	return code;
}

static enum err_code restart(const struct leave *l, struct err *err)
{
	struct service service = {.command = l->restart, .log = l->place.log, .cancelled = &command_interrupted};
	struct connection_target target = {.socket = l->node.settings.server_where, .name = l->node.settings.server_where};
	connection_close(l->node.server);
	enum err_code code = service_restart_server(&service, err);
	return code == ERR_OK ? service_wait_server(&service, l->node.server, &target, SERVER_READY_MS, err) : code;
}

/* The settings go last: with them the same command goes on. The restarted server is no longer read_only. */
static enum err_code take_down(struct leave *l, struct err *err)
{
	const struct settings *s = &l->node.settings;
	enum err_code code = stop_daemon(l, err);
	if (code == ERR_OK)
		code = drop_accounts(l, err);
	if (code == ERR_OK)
		unlink(l->place.dropin);
	if (code == ERR_OK)
		code = restart(l, err);
	if (code == ERR_OK)
		code = files_remove_tree(s->identity_dir, err);
	if (code == ERR_OK)
		unlink(s->file);
	return code == ERR_OK ? files_remove_tree(s->state_dir, err) : code;
}

/* ---- The whole ---- */

static enum err_code leave(struct leave *l, struct err *err)
{
	enum err_code code = standby_load(&l->node, "leave", &l->standby, err);
	if (code == ERR_OK && l->standby.stage != STAGE_TAKING_DOWN)
		code = this_node_check_merge(&l->node.settings, l->node.command, err);
	if (code == ERR_OK && l->standby.stage != STAGE_TAKING_DOWN) {
		code = leave_peers(l, err);
		if (code != ERR_OK && l->standby.stage == STAGE_DRAIN && *l->standby.command != 0)
			undo(l, err);
	}
	if (code == ERR_OK && (code = take_down(l, err)) != ERR_OK)
		err_wrap(err, "the peers have let go of this node, the rest is not done; run the same again, it goes on");
	return code;
}

static void tell(const struct leave *l)
{
	const struct settings *s = &l->node.settings;
	bool any_knows = false;
	printf("Node %u has left; its data is as it was.\n", (unsigned)s->node_id);
	for (size_t i = 0; i < s->peer_count; i++)
		any_knows = any_knows || l->peers[i] != NULL || l->told[i];
	for (size_t i = 0; l->force && i < s->peer_count; i++)
		if (l->peers[i] == NULL && !l->told[i] && any_knows)
			printf("Node %u could not be told; it hears of it from the others.\n", (unsigned)s->peers[i].node_id);
		else if (l->peers[i] == NULL && !l->told[i])
			printf("Node %u could not be told; run there: syncline forget %u\n", (unsigned)s->peers[i].node_id,
			       (unsigned)s->node_id);
}

int command_leave(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	struct leave l = {.patience_s = PATIENCE_S, .root = ""};
	const struct option_row rows[] = {
	    {"force", OPTION_FLAG, &l.force, NULL, "without peers that can't be reached or don't get all", false, 0, 0},
	    {"patience", OPTION_NUMBER, &l.patience_s, "S", "how long a link that is needed may be down (30)", false, 1,
	     86400},
	    {"yes", OPTION_FLAG, &l.yes, NULL, "don't ask", false, 0, 0},
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {"root", OPTION_TEXT, &l.root, "DIR", "the system is in this folder, not in /", false, 0, 0},
	    {"restart", OPTION_TEXT, &l.restart, "COMMAND", "restarts MariaDB (systemctl restart mariadb)", false, 0, 0},
	    {"service", OPTION_TEXT, &l.service, "COMMAND", "stops the daemon (systemctl disable --now syncline)", false, 0,
	     0},
	    {0},
	};
	struct options options = {"[--force] [--yes] [OPTION]…",
	                          "Takes this node out of the group: the peers get all that it has and forget it, then "
	                          "replication is taken down\n"
	                          "here and MariaDB restarted. Its data stays. Interrupted, the same command goes on.",
	                          rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct err err;
	command_catch_signals();
	place_init(&l.place, l.root);
	enum err_code code = this_node_open(&l.node, argv[0], file, &err);
	if (code == ERR_OK)
		code = leave(&l, &err);
	if (code == ERR_OK)
		tell(&l);
	for (size_t i = 0; i < PEERS_MAX; i++)
		connection_free(l.peers[i]);
	place_done(&l.place);
	this_node_close(&l.node);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
