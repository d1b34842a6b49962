/* syncline join: makes this machine's MariaDB another node of those that invited it: with their data, linked both ways. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/node_status.h"
#include "cli/offer.h"
#include "cli/setup.h"
#include "cli/show_copy.h"
#include "node/accounts.h"
#include "node/address.h"
#include "node/files.h"
#include "node/identity.h"
#include "node/members.h"
#include "node/membership.h"
#include "node/peer_group.h"
#include "node/pin.h"
#include "node/settings_edit.h"
#include "node/slots.h"
#include "sql/server.h"

enum {
	PIN_TIMEOUT_MS = 15 * 1000,
	ANSWER_TIMEOUT_MS = 60 * 1000,
	WAIT_MINUTES = 10,
	LIVE_TIMEOUT_MS = 120 * 1000,
	LIVE_POLL_MS = 100,
	HELD_TABLES_SHOWN = 8,
};

static const char invitation_group[] = "syncline-invitation";

struct join {
	struct setup_wish wish;
	struct setup *setup;
	struct token token;
	struct offer offer;
	bool replace;
	unsigned wait_minutes;
	struct buf authority; /* the inviter's */
	char *options, *pem;  /* files for the invitation's account, as long as this runs */
	struct connection *invitation;
	struct membership_answer answer;
	struct members members; /* the others, and from where each one's log is to be read */
	struct vector copied;
	char *said; /* what the inviter waits for, as it was last told */
};

/* ---- The inviter ---- */

/* Its authority first: the secret is told to nobody else. */
static enum err_code pin_inviter(struct join *j, struct err *err)
{
	struct pin_target target = {.address = j->token.address,
	                            .port = j->token.port,
	                            .fingerprint = j->token.fingerprint,
	                            .timeout_ms = PIN_TIMEOUT_MS,
	                            .cancelled = &command_interrupted};
	return pin_fetch(&target, &j->authority, err);
}

/* The secret is in a file that only we may read, since Connector/C reads it itself, until the end. */
static enum err_code open_invitation(struct join *j, struct err *err)
{
	struct buf text = {0}, secret = {0};
	offer_secret(&j->token, &secret);
	buf_printf(&text, "[%s]\n", invitation_group);
	settings_append_option(&text, "host", j->token.address);
	buf_printf(&text, "port = %u\nuser = syncline-join-%u\npassword = %s\n", (unsigned)j->token.port,
	           (unsigned)j->token.invitation, buf_str(&secret));
	settings_append_option(&text, "ssl-ca", j->pem);
	buf_append_str(&text, "ssl-verify-server-cert = 1\n");
	struct connection_target target = {.file = j->options, .group = invitation_group, .name = j->token.address};
	enum err_code code = files_write(j->pem, &j->authority, err);
	if (code == ERR_OK)
		code = files_write(j->options, &text, err);
	if (code == ERR_OK && connection_open(j->invitation, &target, err) != ERR_OK) {
		code = err->code;
		if (err->server_errno == 1045) /* ER_ACCESS_DENIED_ERROR */
			code = err_set(
			    err, ERR_SERVER,
			    "node %u doesn't know this invitation: it has expired or was used; make another one there with: "
			    "syncline invite",
			    (unsigned)j->token.node_id);
	}
	unlink(j->options);
	tls_wipe(&text);
	tls_wipe(&secret);
	return code;
}

static enum err_code hello(struct join *j, struct err *err)
{
	struct buf text = {0};
	enum err_code code = membership_hello(j->invitation, &text, err);
	if (code == ERR_OK)
		code = offer_parse(buf_str(&text), &j->offer, err);
	buf_free(&text);
	if (code != ERR_OK)
		return code;
	j->wish.slots = j->offer.slots;
	j->wish.database_count = j->offer.databases.count;
	j->wish.databases = j->offer.databases.texts;
	if (j->wish.node_id == j->offer.node)
		return err_set(err, ERR_USAGE, "--node=%u is the node that invites; give another number",
		               (unsigned)j->wish.node_id);
	if (j->wish.node_id > j->offer.slots)
		return err_set(
		    err, ERR_USAGE, "node %u needs more slots than there are (%u); run on each node: syncline slots %u",
		    (unsigned)j->wish.node_id, j->offer.slots, slots_enough(j->offer.slots, (unsigned)j->wish.node_id));
	return ERR_OK;
}

/* ---- What is here ---- */

struct held {
	unsigned tables;
	struct buf text;
};

static void add_held(void *context, const char *database, const char *table, uint64_t rows)
{
	struct held *held = context;
	if (held->tables++ < HELD_TABLES_SHOWN)
		buf_printf(&held->text, "%s%s.%s (%" PRIu64 " rows)", held->text.size ? ", " : "", database, table, rows);
}

static enum err_code check_held(struct join *j, struct err *err)
{
	if (access(setup_place(j->setup)->joining, F_OK) == 0) /* the copy of a run before this one, which has asked */
		return ERR_OK;
	struct held held = {0};
	struct connection_target here = {.socket = j->wish.socket, .name = j->wish.socket};
	enum err_code code = copy_look(&here, j->wish.database_count, j->wish.databases, add_held, &held, err);
	if (code == ERR_OK && held.tables > 0 && !j->replace)
		code = err_set(err, ERR_CONFIG, "this node's own data would be lost: %s%s; if that is all right, add --replace",
		               buf_str(&held.text), held.tables > HELD_TABLES_SHOWN ? ", …" : "");
	else if (code == ERR_OK && held.tables > 0)
		printf("What is here is replaced: %s%s\n", buf_str(&held.text), held.tables > HELD_TABLES_SHOWN ? ", …" : "");
	buf_free(&held.text);
	return code;
}

/* ---- Coming in ---- */

static enum err_code not_an_answer(struct err *err)
{
	return err_set(err, ERR_MALFORMED, "the other node's answer can't be read; is it of another version?");
}

static enum err_code take_member(struct join *j, json_t *of, struct err *err)
{
	json_int_t node = json_integer_value(json_object_get(of, "node"));
	const char *address = json_string_value(json_object_get(of, "address"));
	const char *authority = json_string_value(json_object_get(of, "authority"));
	const char *position = json_string_value(json_object_get(of, "position"));
	if (node < 1 || node > NODE_ID_MAX || node == j->wish.node_id || address == NULL || authority == NULL ||
	    position == NULL || address_kind(address) == ADDRESS_NONE)
		return not_an_answer(err);
	struct member member = {.node = (uint32_t)node,
	                        .address = (char *)address,
	                        .authority = (char *)authority,
	                        .state = MEMBER_JOINED,
	                        .position.latest = (uint32_t)json_integer_value(json_object_get(of, "latest"))};
	enum err_code code = vector_parse(position, &member.position.vector, err);
	if (code == ERR_OK)
		members_add(&j->members, &member);
	return code;
}

static enum err_code take_answer(struct join *j, struct err *err)
{
	json_t *root = json_loads(j->answer.answer, 0, NULL), *of;
	enum err_code code = ERR_OK;
	size_t i;
	members_free(&j->members);
	json_array_foreach(json_object_get(root, "members"), i, of)
	{
		if (code == ERR_OK)
			code = take_member(j, of, err);
	}
	if (code == ERR_OK && members_find(&j->members, j->offer.node) == NULL)
		code = not_an_answer(err);
	json_decref(root);
	return code;
}

static void say(void *context, const char *what)
{
	struct join *j = context;
	if (j->said != NULL && strcmp(j->said, what) == 0)
		return;
	printf("Still %s.\n", what);
	fflush(stdout);
	free(j->said);
	j->said = mem_strdup(what);
}

static enum err_code wait_for(struct join *j, const char *state, int64_t timeout_ms, struct err *err)
{
	struct membership_wish wish = {.state = state,
	                               .silent_ms = ANSWER_TIMEOUT_MS,
	                               .timeout_ms = timeout_ms,
	                               .cancelled = &command_interrupted,
	                               .says = say,
	                               .context = j};
	membership_answer_done(&j->answer);
	return membership_wait(j->invitation, &wish, &j->answer, err);
}

/* A peer gets in by its authority, which is known from here on; and it is known where its log is read from, before
 * it is. */
static enum err_code know(struct join *j, uint32_t node, const void *authority, size_t size, struct err *err)
{
	const char *dir = setup_place(j->setup)->identity_dir;
	struct tls_authority_id id;
	struct buf sql = {0};
	enum err_code code = identity_pin(dir, node, authority, size, err);
	if (code == ERR_OK)
		code = identity_peer(dir, node, &id, NULL, err);
	if (code == ERR_OK) {
		buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
		accounts_append_peer(&sql, &id);
		buf_append_str(&sql, ";FLUSH SSL;SET SESSION sql_log_bin=1");
		code = connection_run_n(setup_connection(j->setup), buf_str(&sql), sql.size, err);
	}
	buf_free(&sql);
	return code;
}

static enum err_code ask(struct join *j, struct err *err)
{
	struct buf mine = {0};
	enum err_code code = identity_authority(setup_place(j->setup)->identity_dir, NULL, &mine, err);
	if (code == ERR_OK)
		code = know(j, j->token.node_id, j->authority.data, j->authority.size, err);
	if (code == ERR_OK)
		code = membership_ask(j->invitation, j->wish.node_id, j->wish.address, buf_str(&mine), err);
	if (code == ERR_OK)
		code = files_write(setup_place(j->setup)->joining, &(struct buf){0}, err);
	buf_free(&mine);
	return code;
}

static enum err_code wait_admitted(struct join *j, struct err *err)
{
	enum err_code code = wait_for(j, "admitted", (int64_t)j->wait_minutes * 60 * 1000, err);
	if (code == ERR_OK)
		code = take_answer(j, err);
	for (size_t i = 0; code == ERR_OK && i < j->members.count; i++) {
		const struct member *m = &j->members.members[i];
		code = know(j, m->node, m->authority, strlen(m->authority), err);
	}
	return code;
}

/* The settings as they will be, so that what reads them now is what the daemon reads. */
static enum err_code write_settings(struct join *j, struct err *err)
{
	struct buf offered = {0}, groups = {0}, policies = {0}, nodes = {0};
	uint32_t me = j->wish.node_id;
	bool told = false;
	buf_printf(&offered, "[syncline]\n%s", j->offer.policies);
	settings_edit_lines(&offered, "conflict-policy", &policies); /* nothing else gets in by this way */
	for (size_t i = 0; i < j->members.count; i++) {
		const struct member *m = &j->members.members[i];
		struct buf lines = {0};
		char name[32];
		if (!told && m->node > me)
			buf_printf(&nodes, "%u,", (unsigned)me);
		told = told || m->node > me;
		buf_printf(&nodes, "%u%s", (unsigned)m->node, i + 1 < j->members.count ? "," : "");
		snprintf(name, sizeof name, "syncline-peer-%u", (unsigned)m->node);
		peer_group_append(&lines, setup_place(j->setup)->identity_dir, me, m->node, m->address);
		settings_edit_add_group(&groups, name, buf_str(&lines));
		buf_free(&lines);
	}
	if (!told)
		buf_printf(&nodes, ",%u", (unsigned)me);
	enum err_code code = setup_write_settings(j->setup, buf_str(&nodes), buf_str(&policies), buf_str(&groups), err);
	buf_free(&offered);
	buf_free(&policies);
	buf_free(&groups);
	buf_free(&nodes);
	return code;
}

/* ---- The data ---- */

static enum err_code copy(struct join *j, struct err *err)
{
	char group[32];
	struct copy_result result;
	snprintf(group, sizeof group, "syncline-peer-%u", (unsigned)j->offer.node);
	struct connection_target from = {.file = setup_place(j->setup)->settings, .group = group, .name = j->token.address};
	struct connection_target to = {.socket = j->wish.socket, .name = j->wish.socket};
	enum err_code code = show_copy(&from, &to, j->wish.database_count, j->wish.databases, &result, err);
	if (code == ERR_OK)
		j->copied = result.vector;
	return code;
}

/* This node's log begins where the copy was taken: what its own was before is nobody's. */
static enum err_code set_position(struct join *j, struct err *err)
{
	struct connection *c = setup_connection(j->setup);
	struct buf vector = {0}, sql = {0};
	vector_format(&j->copied, &vector);
	buf_append_str(&sql, "RESET MASTER; SET GLOBAL gtid_binlog_state=");
	sql_append_string(&sql, buf_str(&vector), vector.size);
	enum err_code code = connection_run_n(c, buf_str(&sql), sql.size, err);
	if (code == ERR_OK)
		code = server_prepare(c, err);
	if (code == ERR_OK)
		code = connection_run(c,
		                      "SET SESSION sql_log_bin=0; DELETE FROM syncline.links; DELETE FROM syncline.recorded;"
		                      "DELETE FROM syncline.found; DELETE FROM syncline.members; SET SESSION sql_log_bin=1",
		                      err);
	for (size_t i = 0; code == ERR_OK && i < j->members.count; i++) {
		const struct member *m = &j->members.members[i];
		struct member row = *m;
		row.position = (struct server_position){0};
		code = server_save_position(c, m->node, &m->position, err);
		if (code == ERR_OK)
			code = members_put(c, &row, err);
	}
	if (code == ERR_OK)
		code = server_save_seed(c,
		                        &(struct server_seed){.peer = j->offer.node,
		                                              .from = members_find(&j->members, j->offer.node)->position,
		                                              .until = j->copied},
		                        err);
	buf_free(&vector);
	buf_free(&sql);
	return code;
}

/* Its own row has to say the same as the others' rows of it. */
static enum err_code put_own(struct join *j, const struct server_position *own, struct err *err)
{
	struct buf mine = {0};
	enum err_code code = identity_authority(setup_place(j->setup)->identity_dir, NULL, &mine, err);
	struct member me = {.node = j->wish.node_id,
	                    .address = (char *)j->wish.address,
	                    .authority = (char *)buf_str(&mine),
	                    .state = MEMBER_JOINED,
	                    .position = *own};
	if (code == ERR_OK)
		code = members_put(setup_connection(j->setup), &me, err);
	buf_free(&mine);
	return code;
}

/* Where the other node reads our log from, and where our own tail does, with the same latest time: of what is in the copy, and so of what our
 * transactions follow. */
static enum err_code finish(struct join *j, struct err *err)
{
	struct server_position own = {0};
	enum err_code code = membership_joined(j->invitation, &j->copied, err);
	if (code == ERR_OK)
		code = wait_for(j, "done", ANSWER_TIMEOUT_MS, err);
	if (code == ERR_OK)
		code = vector_parse(j->answer.vector, &own.vector, err);
	own.latest = j->answer.latest;
	if (code == ERR_OK)
		code = put_own(j, &own, err);
	return code == ERR_OK ? server_save_position(setup_connection(j->setup), j->wish.node_id, &own, err) : code;
}

enum found { FOUND_NOTHING, FOUND_COPY, FOUND_ALL };

/* What an earlier run, that was killed, has left for this one: the copy, if the other node's last word was said but not ours; or all. */
static enum err_code look_for_earlier(struct join *j, enum found *ret, struct err *err)
{
	struct connection *c = setup_connection(j->setup);
	struct server_position own;
	struct vector told, here;
	*ret = FOUND_NOTHING;
	if (strcmp(j->answer.state, "done") != 0)
		return ERR_OK;
	enum err_code code = vector_parse(j->answer.vector, &told, err);
	if (code == ERR_OK)
		code = server_load_position(c, j->wish.node_id, &own, err);
	if (code == ERR_OK)
		code = server_vector(c, &here, err);
	if (code != ERR_OK)
		return code;
	if (!vector_covers(&here, &told))
		return err_set(err, ERR_CONFIG,
		               "this node has joined before, and lost its data since; let go of it on the other node with: "
		               "syncline forget %u, and make another invitation",
		               (unsigned)j->wish.node_id);
	*ret = vector_covers(&own.vector, &told) ? FOUND_ALL : FOUND_COPY;
	return ERR_OK;
}

/* ---- Live ---- */

/* All others read our log. */
static enum err_code is_read(struct join *j, bool *ret, struct err *err)
{
	struct buf sql = {0}, found = {0};
	buf_append_str(&sql, "SELECT COUNT(DISTINCT USER) FROM information_schema.PROCESSLIST WHERE COMMAND='Binlog Dump' "
	                     "AND USER IN (''");
	for (size_t i = 0; i < j->members.count; i++)
		buf_printf(&sql, ",'syncline-%u'", (unsigned)j->members.members[i].node);
	buf_append_str(&sql, ")");
	enum err_code code = connection_value(setup_connection(j->setup), buf_str(&sql), sql.size, &found, NULL, err);
	*ret = code == ERR_OK && strtoul(buf_str(&found), NULL, 10) == j->members.count;
	if (code == ERR_OK && !*ret)
		err_set(err, ERR_TIMEOUT, "only %s of %zu other nodes read this node's log", buf_str(&found), j->members.count);
	buf_free(&sql);
	buf_free(&found);
	return code;
}

static enum err_code is_live(struct join *j, bool *ret, struct err *err)
{
	struct node_status status;
	*ret = false;
	if (node_status_get(setup_place(j->setup)->state_dir, &status, err) != ERR_OK)
		return ERR_OK;
	bool live = true;
	for (size_t i = 0; i < j->members.count; i++) {
		uint32_t node = j->members.members[i].node;
		const struct link_status *link = node_status_link(&status, node);
		bool is = link != NULL && strcmp(link->state, "live") == 0;
		if (!is && live)
			err_set(err, ERR_TIMEOUT, "the link from node %u is %s%s%s", (unsigned)node,
			        link ? link->state : "not there", link && *link->why ? ": " : "", link ? link->why : "");
		live = live && is;
	}
	node_status_free(&status);
	return live ? is_read(j, ret, err) : ERR_OK;
}

static enum err_code wait_live(struct join *j, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + LIVE_TIMEOUT_MS;
	bool live = false;
	err_set(err, ERR_TIMEOUT, "the daemon doesn't answer");
	for (;;) {
		enum err_code code = is_live(j, &live, err);
		if (code != ERR_OK || live)
			return code;
		if (command_interrupted)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() > deadline)
			return err_wrap(err, "the node has joined, but isn't live yet; see: syncline status");
		clock_sleep_ms(LIVE_POLL_MS);
	}
}

/* ---- The whole ---- */

/* A run before this one came to its end. */
static bool has_joined(const struct join *j)
{
	const struct place *place = setup_place(j->setup);
	struct settings settings = {0};
	struct err ignored;
	bool has = false;
	if (access(place->joining, F_OK) == 0 || access(place->settings, F_OK) != 0 ||
	    settings_load(place->settings, &settings, &ignored) != ERR_OK)
		return false;
	for (size_t i = 0; i < settings.peer_count; i++)
		has = has || (settings.node_id == j->wish.node_id && settings.peers[i].node_id == j->token.node_id);
	settings_free(&settings);
	return has;
}

static enum err_code prepare(struct join *j, struct err *err)
{
	enum err_code code = pin_inviter(j, err);
	if (code == ERR_OK)
		code = open_invitation(j, err);
	if (code == ERR_OK)
		code = hello(j, err);
	if (code != ERR_OK)
		return code;
	setup_free(j->setup); /* now with slots and databases */
	j->setup = setup_new(&j->wish);
	code = setup_look(j->setup, err);
	if (code == ERR_OK)
		code = check_held(j, err);
	if (code == ERR_OK)
		code = setup_confirm(j->setup, err);
	return code == ERR_OK ? setup_apply(j->setup, err) : code;
}

static enum err_code join(struct join *j, struct err *err)
{
	enum found found = FOUND_NOTHING;
	enum err_code code = setup_make_state_dir(j->setup, err);
	if (code == ERR_OK)
		code = prepare(j, err);
	if (code != ERR_OK)
		return code;
	code = ask(j, err);
	if (code != ERR_OK && access(setup_place(j->setup)->joining, F_OK) != 0) {
		setup_undo(j->setup, err);
		return code;
	}
	if (code == ERR_OK)
		code = wait_admitted(j, err);
	if (code == ERR_OK)
		code = look_for_earlier(j, &found, err);
	if (code == ERR_OK && found != FOUND_ALL)
		code = write_settings(j, err);
	if (code == ERR_OK && found == FOUND_NOTHING)
		code = copy(j, err);
	if (code == ERR_OK && found == FOUND_NOTHING)
		code = set_position(j, err);
	if (code == ERR_OK && found != FOUND_ALL)
		code = finish(j, err);
	if (code != ERR_OK)
		return err_wrap(err, "not joined yet, the same command goes on where this stopped");
	printf("Node %u has what node %u had. Starting the daemon.\n", (unsigned)j->wish.node_id, (unsigned)j->offer.node);
	code = setup_start_daemon(j->setup, err);
	if (code == ERR_OK)
		code = wait_live(j, err);
	if (code == ERR_OK)
		unlink(setup_place(j->setup)->joining);
	return code;
}

static void done(struct join *j)
{
	if (j->pem != NULL)
		unlink(j->pem);
	connection_free(j->invitation);
	membership_answer_done(&j->answer);
	members_free(&j->members);
	free(j->said);
	offer_done(&j->offer);
	token_done(&j->token);
	buf_free(&j->authority);
	setup_free(j->setup);
	free(j->options);
	free(j->pem);
}

int command_join(int argc, char **argv)
{
	struct join j = {.wait_minutes = WAIT_MINUTES,
	                 .wish = {.command = "syncline join", .root = "", .socket = "/run/mysqld/mysqld.sock"}};
	unsigned node = 0;
	const struct option_row rows[] = {
	    {"node", OPTION_NUMBER, &node, "N", "this node's number, another one than the others'", true, 1, NODE_ID_MAX},
	    {"address", OPTION_TEXT, &j.wish.address, "ADDRESS", "where peers reach this node", true, 0, 0},
	    {"wait", OPTION_NUMBER, &j.wait_minutes, "MINUTES", "for nodes that can't be reached now (10)", false, 1,
	     24 * 60},
	    {"replace", OPTION_FLAG, &j.replace, NULL, "what this node has in these databases may be lost", false, 0, 0},
	    SETUP_OPTIONS(j.wish),
	    {0},
	};
	struct options options = {"TOKEN --node=N --address=ADDRESS [OPTION]…",
	                          "Makes this machine's MariaDB another node: as syncline init does, and with a copy of "
	                          "the databases of the node\n"
	                          "whose `syncline invite` printed TOKEN. Returns when both links are live. Interrupted, "
	                          "the same command goes on.",
	                          rows, 1, 1};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	status = setup_check_options(argv[0], &j.wish, node, NODE_ID_MAX, NULL);
	if (status >= 0)
		return status;
	struct err err;
	enum err_code code = token_parse(argv[1], &j.token, &err);
	memset(argv[1], 'x', strlen(argv[1])); /* others see the arguments of a program */
	command_catch_signals();
	if (code == ERR_OK) {
		j.setup = setup_new(&j.wish);
		j.invitation = connection_new();
		j.options = mem_printf("%s/invitation.cnf", setup_place(j.setup)->state_dir);
		j.pem = mem_printf("%s/invitation.pem", setup_place(j.setup)->state_dir);
		if (has_joined(&j)) {
			printf("Node %u has joined node %u already. See: syncline status\n", (unsigned)j.wish.node_id,
			       (unsigned)j.token.node_id);
		} else if ((code = join(&j, &err)) == ERR_OK) {
			setup_show_doctor(j.setup);
			printf("Node %u is live, both ways.\n", (unsigned)j.wish.node_id);
		}
	}
	done(&j);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
