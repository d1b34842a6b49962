/* syncline rejoin: a node that lacks what its peers no longer keep takes their data anew, after they have what only it has. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/live.h"
#include "cli/show_copy.h"
#include "cli/standby.h"
#include "cli/this_node.h"
#include "node/peers.h"
#include "node/requests.h"
#include "sql/server.h"

enum { PATIENCE_S = 30, MOVED_PATIENCE_MS = 60 * 1000 };

/* What is noted while it works. Before STAGE_COPY all can be undone; from then on the tables are something between. */
enum stage { STAGE_DRAIN, STAGE_COPY, STAGE_DONE };

struct rejoin {
	struct this_node node;
	struct standby standby;
	bool discard;
	unsigned patience_s;
	const struct settings_peer *from;
	struct connection *peer;         /* by this node's account there */
	struct server_position position; /* of its log, where the link goes on */
	struct vector copied;            /* what the copy has */
	bool has_seed;                   /* another node may lack some of it */
	struct vector begins;            /* where this node's log does */
};

/* ---- Whose data ---- */

static enum err_code open_peer(struct rejoin *r, uint32_t wanted, struct err *err)
{
	const struct settings *s = &r->node.settings;
	enum err_code code = err_set(err, ERR_USAGE, "node %u has no peer to rejoin", (unsigned)s->node_id);
	if (wanted != 0 && peers_find(s, wanted) == NULL)
		return err_set(err, ERR_USAGE, "--from=%u is no peer of node %u; give the N of a [syncline-peer-N] in %s",
		               (unsigned)wanted, (unsigned)s->node_id, s->file);
	for (size_t i = 0; i < s->peer_count; i++) {
		if (wanted != 0 && s->peers[i].node_id != wanted)
			continue;
		code = this_node_reach(&r->node, &s->peers[i], r->peer, err);
		if (code == ERR_OK) {
			r->from = &s->peers[i];
			return ERR_OK;
		}
	}
	return code == ERR_USAGE
	           ? code
	           : err_wrap(
	                 err,
	                 "what only this node has can't be brought to its peers, nor theirs here; try again when it can");
}

/* How many transactions of this node's own the peer lacks; what daemons note for themselves is among them. */
static enum err_code count_only_here(const struct rejoin *r, uint64_t *ret, struct err *err)
{
	struct vector here, there;
	uint32_t me = r->node.settings.node_id;
	enum err_code code = server_vector(r->node.server, &here, err);
	if (code == ERR_OK)
		code = server_vector(r->peer, &there, err);
	if (code != ERR_OK)
		return code;
	uint64_t own = vector_seq(&here, me), known = vector_seq(&there, me);
	*ret = own > known ? own - known : 0;
	return ERR_OK;
}

static enum err_code confirm(const struct rejoin *r, bool yes, struct err *err)
{
	uint64_t only_here = 0;
	char text[600], what[200] = "";
	enum err_code code = count_only_here(r, &only_here, err);
	if (code != ERR_OK)
		return code;
	if (r->discard)
		snprintf(what, sizeof what, " What only this node has, up to %" PRIu64 " transactions, is lost.", only_here);
	else if (only_here > 0)
		snprintf(what, sizeof what, " What only this node has, up to %" PRIu64 " transactions, is brought there first.",
		         only_here);
	snprintf(text, sizeof text,
	         "This node's databases are made equal to node %u's. Applications can only read here meanwhile.%s",
	         (unsigned)r->from->node_id, what);
	return this_node_confirm(yes, text, err);
}

/* ---- Before anything is changed ---- */

static enum err_code take_answer(struct rejoin *r, const struct request_reply *reply, struct err *err)
{
	json_t *root = json_loads(reply->answer, 0, NULL);
	const char *position = json_string_value(json_object_get(root, "position"));
	enum err_code code =
	    position ? vector_parse(position, &r->position.vector, err)
	             : err_set(err, ERR_MALFORMED, "the other node's answer can't be read; is it of another version?");
	r->position.latest = (uint32_t)json_integer_value(json_object_get(root, "latest"));
	r->has_seed = json_is_true(json_object_get(root, "seed"));
	json_decref(root);
	return code;
}

/* The seqs that this node has given out stay its own. */
static enum err_code note_own(struct rejoin *r, const struct vector *here, struct err *err)
{
	uint64_t own = vector_seq(here, r->node.settings.node_id);
	if (r->standby.stage == STAGE_COPY && own > r->standby.own && !r->discard)
		return err_set(err, ERR_CONFIG,
		               "%" PRIu64
		               " transactions were written here after an earlier rejoin was interrupted, onto tables that "
		               "are half copied; let go of them with --discard",
		               own - r->standby.own);
	if (own > r->standby.own)
		r->standby.own = own;
	return standby_save(&r->node, &r->standby, err);
}

static enum err_code drain(struct rejoin *r, struct err *err)
{
	struct vector here;
	struct buf text = {0};
	struct request_reply reply = {0};
	bool is_drained = r->discard || r->standby.stage == STAGE_COPY;
	enum err_code code = server_vector(r->node.server, &here, err);
	if (code == ERR_OK)
		code = note_own(r, &here, err);
	vector_format(&here, &text);
	if (code == ERR_OK)
		code = request_ask(r->peer, REQUEST_COPY, buf_str(&text), is_drained, err);
	if (code == ERR_OK && !is_drained)
		printf("Waiting until node %u has all that this node has.\n", (unsigned)r->from->node_id);
	fflush(stdout);
	if (code == ERR_OK)
		code = request_wait(r->peer, REQUEST_COPY, REQUEST_READY, (int64_t)r->patience_s * 1000, &command_interrupted,
		                    &reply, err);
	if (code == ERR_TIMEOUT && !is_drained)
		code = err_wrap(
		    err, "what only this node has can't be brought to node %u; mend that, or let go of it with --discard",
		    (unsigned)r->from->node_id);
	if (code == ERR_OK)
		code = take_answer(r, &reply, err);
	request_reply_done(&reply);
	buf_free(&text);
	return code;
}

/* Nothing of the data was touched yet. */
static void undo(struct rejoin *r, struct err *err)
{
	struct err why;
	command_interrupted = false;
	if (connection_is_open(r->peer) && request_cancel(r->peer, REQUEST_COPY, &why) != ERR_OK)
		printf("Node %u may still hold its link from this node; let it go on there with: syncline resume %u\n",
		       (unsigned)r->from->node_id, (unsigned)r->node.settings.node_id);
	enum err_code code = standby_end(&r->node, &r->standby, &why);
	if (code == ERR_OK)
		code = this_node_reload(&r->node, NULL, &why);
	size_t size = strlen(err->message);
	if (code == ERR_OK)
		snprintf(err->message + size, sizeof err->message - size, "; everything is as it was before");
	else
		snprintf(err->message + size, sizeof err->message - size,
		         "; and this node may still be read_only (%s); end that with: SET GLOBAL read_only=0", why.message);
}

static enum err_code begin(struct rejoin *r, struct err *err)
{
	enum err_code code = standby_begin(&r->node, "rejoin", &r->standby, err);
	if (code == ERR_OK)
		code = this_node_reload(&r->node, NULL, err);
	return code == ERR_OK ? drain(r, err) : code;
}

/* ---- The data ---- */

static enum err_code copy(struct rejoin *r, struct err *err)
{
	const struct settings *s = &r->node.settings;
	struct copy_result result;
	struct connection_target from = {.file = s->file, .group = r->from->group, .name = r->from->where};
	struct connection_target to = {.socket = s->server_where, .name = s->server_where};
	enum err_code code = show_copy(&from, &to, s->database_count, (const char *const *)s->databases, &result, err);
	if (code != ERR_OK)
		return code;
	struct gtid own = {.domain = s->node_id, .server = s->node_id, .seq = r->standby.own};
	r->copied = r->begins = result.vector;
	printf("Of %" PRIu64 " parts %" PRIu64 " were equal.\n", result.chunks_equal + result.chunks_copied,
	       result.chunks_equal);
	return own.seq > 0 ? vector_advance(&r->begins, &own, err) : ERR_OK;
}

/* A position in another peer's log stays, as far as what is there is here now. */
static enum err_code move_cursor(const struct rejoin *r, const struct settings_peer *peer, struct err *err)
{
	struct server_position position;
	enum err_code code = server_load_position(r->node.server, peer->node_id, &position, err);
	if (code != ERR_OK)
		return code;
	position.vector = vector_min(&position.vector, &r->begins);
	return server_save_position(r->node.server, peer->node_id, &position, err);
}

/* This node's log begins where the copy was taken, its own seqs above all that it ever gave out. */
static enum err_code set_position(const struct rejoin *r, struct err *err)
{
	const struct settings *s = &r->node.settings;
	struct buf vector = {0}, sql = {0};
	vector_format(&r->begins, &vector);
	buf_append_str(&sql, "RESET MASTER; SET GLOBAL gtid_binlog_state=");
	sql_append_string(&sql, buf_str(&vector), vector.size);
	buf_printf(&sql,
	           ";SET SESSION sql_log_bin=0; DELETE FROM syncline.links WHERE peer IN (0,%u,%u);"
	           "DELETE FROM syncline.found; DELETE FROM syncline.forgotten; DELETE FROM syncline.seed;"
	           "DROP TABLE IF EXISTS syncline.emptied, syncline.pending, syncline.recovered;"
	           "SET SESSION sql_log_bin=1",
	           (unsigned)s->node_id, (unsigned)r->from->node_id);
	enum err_code code = connection_run_n(r->node.server, buf_str(&sql), sql.size, err);
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++)
		if (&s->peers[i] != r->from)
			code = move_cursor(r, &s->peers[i], err);
	if (code == ERR_OK)
		code = server_save_position(r->node.server, r->from->node_id, &r->position, err);
	/* What the copy has and another node may lack is in no log of this node's: its tail begins in the peer's. */
	if (code == ERR_OK && r->has_seed)
		code = server_save_seed(
		    r->node.server, &(struct server_seed){.peer = r->from->node_id, .from = r->position, .until = r->copied},
		    err);
	buf_free(&vector);
	buf_free(&sql);
	return code;
}

/* The peer reads this node's log from there, and so does this node's own tail. */
static enum err_code tell_peer(struct rejoin *r, struct err *err)
{
	struct buf text = {0};
	struct request_reply reply = {0};
	struct server_position own = {.vector = r->begins};
	vector_format(&r->begins, &text);
	enum err_code code = request_say(r->peer, REQUEST_COPY, buf_str(&text), err);
	if (code == ERR_OK)
		code = request_wait(r->peer, REQUEST_COPY, REQUEST_DONE, (int64_t)r->patience_s * 1000, &command_interrupted,
		                    &reply, err);
	own.latest = reply.latest;
	request_reply_done(&reply);
	buf_free(&text);
	return code == ERR_OK ? server_save_position(r->node.server, r->node.settings.node_id, &own, err) : code;
}

/* The others read it from there when they have what it begins with. One that can't be told can be later. */
static enum err_code tell_other(struct rejoin *r, const struct settings_peer *peer, struct err *err)
{
	struct buf text = {0};
	struct request_reply reply = {0};
	struct connection *connection = connection_new();
	vector_format(&r->begins, &text);
	enum err_code code = this_node_reach(&r->node, peer, connection, err);
	if (code == ERR_OK)
		code = request_ask(connection, REQUEST_MOVED, buf_str(&text), r->from->node_id, err);
	if (code == ERR_OK)
		code =
		    request_wait(connection, REQUEST_MOVED, REQUEST_DONE, MOVED_PATIENCE_MS, &command_interrupted, &reply, err);
	if (code != ERR_OK && code != ERR_CANCELLED) {
		printf("Node %u doesn't know yet that this node's log begins anew (%s); when it can, run this again.\n",
		       (unsigned)peer->node_id, err->message);
		code = ERR_OK;
	}
	request_reply_done(&reply);
	connection_free(connection);
	buf_free(&text);
	return code;
}

static enum err_code save_stage(struct rejoin *r, enum stage stage, struct err *err)
{
	r->standby.stage = stage;
	return standby_save(&r->node, &r->standby, err);
}

static enum err_code take_data(struct rejoin *r, struct err *err)
{
	const struct settings *s = &r->node.settings;
	enum err_code code = save_stage(r, STAGE_COPY, err);
	if (code == ERR_OK)
		code = copy(r, err);
	if (code == ERR_OK)
		code = set_position(r, err);
	if (code == ERR_OK)
		code = tell_peer(r, err);
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++)
		if (&s->peers[i] != r->from)
			code = tell_other(r, &s->peers[i], err);
	return code == ERR_OK ? save_stage(r, STAGE_DONE, err) : code;
}

/* ---- The whole ---- */

static enum err_code finish(struct rejoin *r, struct err *err)
{
	bool runs = false;
	enum err_code code = standby_end(&r->node, &r->standby, err);
	if (code == ERR_OK)
		code = this_node_reload(&r->node, &runs, err);
	if (code == ERR_OK && !runs)
		return err_set(err, ERR_DISCONNECTED, "this node has the data, but its daemon doesn't run; start it");
	if (code == ERR_OK && live_wait(r->node.server, r->node.settings.state_dir, r->from->node_id, err) != ERR_OK)
		code = err_wrap(err, "this node has the data, but isn't live yet; see: syncline status");
	return code;
}

static enum err_code rejoin(struct rejoin *r, uint32_t from, bool yes, struct err *err)
{
	enum err_code code = standby_load(&r->node, "rejoin", &r->standby, err);
	if (code == ERR_OK)
		code = open_peer(r, from, err);
	if (code == ERR_OK && r->standby.stage == STAGE_DONE)
		return finish(r, err);
	if (code == ERR_OK)
		code = confirm(r, yes, err);
	if (code == ERR_OK) {
		code = begin(r, err);
		if (code != ERR_OK && r->standby.stage == STAGE_DRAIN && *r->standby.command != 0) {
			undo(r, err);
			return code;
		}
	}
	if (code == ERR_OK)
		code = take_data(r, err);
	if (code != ERR_OK && *r->standby.command != 0)
		return err_wrap(err, "not done yet, this node is read_only until it is; run the same again, it goes on");
	return code == ERR_OK ? finish(r, err) : code;
}

int command_rejoin(int argc, char **argv)
{
	const char *file = SETTINGS_FILE;
	unsigned from = 0;
	bool yes = false;
	struct rejoin r = {.patience_s = PATIENCE_S};
	const struct option_row rows[] = {
	    {"from", OPTION_NUMBER, &from, "NODE", "whose data (a peer that can be reached)", false, 1, NODE_ID_MAX},
	    {"discard", OPTION_FLAG, &r.discard, NULL, "what only this node has may be lost", false, 0, 0},
	    {"patience", OPTION_NUMBER, &r.patience_s, "S", "how long a link that is needed may be down (30)", false, 1,
	     86400},
	    {"yes", OPTION_FLAG, &yes, NULL, "don't ask", false, 0, 0},
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {0},
	};
	struct options options = {
	    "[--from=NODE] [--discard] [--yes] [--defaults-file=FILE]",
	    "Brings a node back that lacks what its peers no longer keep: they take what only it has, "
	    "then it takes their\n"
	    "data. Only what differs is sent. Applications can read here meanwhile. Interrupted, the "
	    "same command goes on.",
	    rows, 0, 0};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct err err;
	command_catch_signals();
	r.peer = connection_new();
	enum err_code code = this_node_open(&r.node, argv[0], file, &err);
	if (code == ERR_OK)
		code = rejoin(&r, from, yes, &err);
	if (code == ERR_OK)
		printf("Node %u is live again, both ways.\n", (unsigned)r.node.settings.node_id);
	connection_free(r.peer);
	this_node_close(&r.node);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
