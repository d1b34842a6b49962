/* syncline rejoin: a node that lacks what its peers no longer keep takes their data anew, after they have what only it has. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/live.h"
#include "cli/show_copy.h"
#include "cli/standby.h"
#include "cli/this_node.h"
#include "node/peers.h"
#include "node/requests.h"
#include "sql/server.h"

enum { PATIENCE_S = 30, MOVED_PATIENCE_MS = 60 * 1000, POLL_MS = 200 };

/* What is noted while it works. Before STAGE_COPY all can be undone; from then on the tables are something between. */
enum stage { STAGE_DRAIN, STAGE_COPY, STAGE_DONE };

struct rejoin {
	struct this_node node;
	struct standby standby;
	bool discard, force;
	unsigned patience_s;
	struct connection *peers[PEERS_MAX]; /* by this node's accounts there; NULL: can't be reached, and isn't needed */
	const struct settings_peer *from;    /* whose data */
	struct connection *peer;             /* the one of these */
	uint64_t known;                      /* the last of this node's own seqs that some peer knows; */
	uint32_t known_by;
	struct server_position position; /* of its log, where the link goes on */
	struct vector copied;            /* what the copy has */
	bool has_seed;                   /* another node may lack some of it */
	struct vector begins;            /* where this node's log does, */
	uint32_t latest;                 /* and the latest time up to there */
};

/* ---- The peers ---- */

/* All of them: each may know of transactions of this node's that nobody else does, and whose numbers would be given out
 * again. */
static enum err_code open_peers(struct rejoin *r, uint32_t wanted, struct err *err)
{
	const struct settings *s = &r->node.settings;
	struct err why;
	enum err_code last = ERR_OK;
	if (s->peer_count == 0)
		return err_set(err, ERR_USAGE, "node %u has no peer to rejoin", (unsigned)s->node_id);
	if (wanted != 0 && peers_find(s, wanted) == NULL)
		return err_set(err, ERR_USAGE, "--from=%u is no peer of node %u; give the N of a [syncline-peer-N] in %s",
		               (unsigned)wanted, (unsigned)s->node_id, s->file);
	for (size_t i = 0; i < s->peer_count; i++) {
		const struct settings_peer *peer = &s->peers[i];
		r->peers[i] = connection_new();
		enum err_code code = this_node_reach(&r->node, peer, r->peers[i], &why);
		if (code == ERR_OK && (code = this_node_check_peer_merge(peer, r->peers[i], r->node.command, err)) != ERR_OK)
			return code;
		if (code == ERR_OK && r->from == NULL && (wanted == 0 || wanted == peer->node_id)) {
			r->from = peer;
			r->peer = r->peers[i];
		}
		if (code == ERR_OK)
			continue;
		connection_free(r->peers[i]);
		r->peers[i] = NULL;
		last = code;
		if (!r->force || peer->node_id == wanted)
			break;
		printf("Without node %u: %s\n", (unsigned)peer->node_id, why.message);
	}
	if (r->from != NULL && (last == ERR_OK || r->force))
		return ERR_OK;
	return err_set(err, last, "%s; try again when it can%s", why.message,
	               s->peer_count > 1 && !r->force ? ", or add --force if all is left here that this node ever wrote"
	                                              : "");
}

/* Also what only another peer than the one that gives the copy has. */
static enum err_code ask_known(struct rejoin *r, struct err *err)
{
	const struct settings *s = &r->node.settings;
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++) {
		struct vector there;
		if (r->peers[i] == NULL || (code = server_vector(r->peers[i], &there, err)) != ERR_OK)
			continue;
		if (vector_seq(&there, s->node_id) > r->known) {
			r->known = vector_seq(&there, s->node_id);
			r->known_by = s->peers[i].node_id;
		}
	}
	return code;
}

static enum err_code confirm(const struct rejoin *r, bool yes, struct err *err)
{
	struct vector here;
	char text[600], what[200] = "";
	enum err_code code = server_vector(r->node.server, &here, err);
	if (code != ERR_OK)
		return code;
	/* What daemons note for themselves is among them. */
	uint64_t own = vector_seq(&here, r->node.settings.node_id), only_here = own > r->known ? own - r->known : 0;
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
	if (r->known > r->standby.own)
		r->standby.own = r->known;
	return standby_save(&r->node, &r->standby, err);
}

/* A transaction of this node's that isn't in the copy would be passed by for ever: this node takes its own for known.
 * */
static enum err_code wait_known(const struct rejoin *r, struct err *err)
{
	int64_t deadline = 0;
	uint64_t before = 0;
	for (;;) {
		struct vector there;
		enum err_code code = server_vector(r->peer, &there, err);
		if (code != ERR_OK)
			return code;
		uint64_t has = vector_seq(&there, r->node.settings.node_id);
		if (has >= r->known)
			return ERR_OK;
		if (deadline == 0 || has > before)
			deadline = clock_monotonic_ms() + (int64_t)r->patience_s * 1000;
		before = has;
		if (command_interrupted)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() > deadline)
			return err_set(err, ERR_TIMEOUT,
			               "node %u lacks %" PRIu64 " of this node's transactions that node %u has; look there at its "
			               "link from node %u, or take the copy --from=%u",
			               (unsigned)r->from->node_id, r->known - has, (unsigned)r->known_by, (unsigned)r->known_by,
			               (unsigned)r->known_by);
		clock_sleep_ms(POLL_MS);
	}
}

/* What the giver has read of another peer's log, also where nothing of that was replicated. */
static enum err_code ask_read(const struct rejoin *r, const struct settings_peer *peer, const struct vector *has,
                              struct vector *ret, struct err *err)
{
	struct server_position position;
	enum err_code code = server_load_position(r->peer, peer->node_id, &position, err);
	if (code == ERR_OK)
		code = vector_merge(&position.vector, has, err);
	if (code == ERR_OK)
		*ret = position.vector;
	return code;
}

/* After the copy this node reads on in the others' logs. What they have purged before has to be in it. */
static enum err_code check_others(const struct rejoin *r, struct err *err)
{
	const struct settings *s = &r->node.settings;
	struct server_position first;
	struct vector there, read;
	enum err_code code = server_vector(r->peer, &there, err);
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++) {
		if (r->peers[i] == NULL || r->peers[i] == r->peer)
			continue;
		code = server_first_position(r->peers[i], s->peers[i].node_id, &first, err);
		if (code == ERR_OK)
			code = ask_read(r, &s->peers[i], &there, &read, err);
		if (code == ERR_OK && !vector_covers(&read, &first.vector))
			code =
			    err_set(err, ERR_CONFIG,
			            "node %u has purged from its log what node %u lacks; take the copy --from=%u, or let node %u "
			            "rejoin first",
			            (unsigned)s->peers[i].node_id, (unsigned)r->from->node_id, (unsigned)s->peers[i].node_id,
			            (unsigned)r->from->node_id);
	}
	return code;
}

static enum err_code drain(struct rejoin *r, struct err *err)
{
	struct vector here;
	struct buf text = {0};
	struct request_reply reply = {0};
	bool is_drained = r->discard || r->standby.stage == STAGE_COPY;
	enum err_code code = server_vector(r->node.server, &here, err);
	if (code == ERR_OK)
		code = ask_known(r, err);
	if (code == ERR_OK)
		code = note_own(r, &here, err);
	if (code == ERR_OK)
		code = check_others(r, err);
	if (code == ERR_OK)
		code = wait_known(r, err);
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

/* In another peer's log this node goes on where it was, as far as what is there is here now; or where that log begins,
 * when it was purged. */
static enum err_code move_cursor(const struct rejoin *r, size_t i, struct err *err)
{
	const struct settings_peer *peer = &r->node.settings.peers[i];
	struct server_position position, first = {0};
	struct vector read;
	enum err_code code = server_load_position(r->node.server, peer->node_id, &position, err);
	position.vector = vector_min(&position.vector, &r->begins);
	if (code == ERR_OK && r->peers[i] != NULL)
		code = server_first_position(r->peers[i], peer->node_id, &first, err);
	if (code == ERR_OK)
		code = ask_read(r, peer, &r->copied, &read, err);
	if (code == ERR_OK && !vector_covers(&position.vector, &first.vector) && vector_covers(&read, &first.vector))
		position = first;
	return code == ERR_OK ? server_save_position(r->node.server, peer->node_id, &position, err) : code;
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
			code = move_cursor(r, i, err);
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
	own.latest = r->latest = reply.latest;
	request_reply_done(&reply);
	buf_free(&text);
	return code == ERR_OK ? server_save_position(r->node.server, r->node.settings.node_id, &own, err) : code;
}

/* The others read it from there when they have what it begins with. What waits there is done later. */
static enum err_code tell_other(struct rejoin *r, size_t i, struct err *err)
{
	struct buf text = {0};
	struct request_reply reply = {0};
	struct connection *connection = r->peers[i];
	unsigned id = (unsigned)r->node.settings.peers[i].node_id;
	if (connection == NULL) {
		printf("Node %u doesn't know that this node's log begins anew; when it can be reached, run this again.\n", id);
		return ERR_OK;
	}
	buf_printf(&text, "%u ", (unsigned)r->latest);
	vector_format(&r->begins, &text);
	enum err_code code = request_ask(connection, REQUEST_MOVED, buf_str(&text), r->from->node_id, err);
	if (code == ERR_OK) {
		code =
		    request_wait(connection, REQUEST_MOVED, REQUEST_DONE, MOVED_PATIENCE_MS, &command_interrupted, &reply, err);
		if (code == ERR_TIMEOUT) {
			printf("Node %u doesn't read this node's new log yet: %s. It does by itself when that is mended.\n", id,
			       err->message);
			code = ERR_OK;
			connection_free(r->peers[i]);
			r->peers[i] = NULL;
		}
	}
	request_reply_done(&reply);
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
			code = tell_other(r, i, err);
	return code == ERR_OK ? save_stage(r, STAGE_DONE, err) : code;
}

/* ---- The whole ---- */

static enum err_code finish(struct rejoin *r, struct err *err)
{
	const struct settings *s = &r->node.settings;
	bool runs = false;
	enum err_code code = standby_end(&r->node, &r->standby, err);
	if (code == ERR_OK)
		code = this_node_reload(&r->node, &runs, err);
	if (code == ERR_OK && !runs)
		return err_set(err, ERR_DISCONNECTED, "this node has the data, but its daemon doesn't run; start it");
	for (size_t i = 0; code == ERR_OK && i < s->peer_count; i++)
		if (r->peers[i] != NULL && live_wait(r->node.server, s->state_dir, s->peers[i].node_id, err) != ERR_OK)
			code = err_wrap(err, "this node has the data, but isn't live yet; see: syncline status");
	return code;
}

static enum err_code rejoin(struct rejoin *r, uint32_t from, bool yes, struct err *err)
{
	enum err_code code = standby_load(&r->node, "rejoin", &r->standby, err);
	if (code == ERR_OK)
		code = this_node_check_merge(&r->node.settings, r->node.command, err);
	r->force = r->force || r->standby.stage == STAGE_DONE;
	if (code == ERR_OK)
		code = open_peers(r, from, err);
	if (code == ERR_OK && r->standby.stage == STAGE_DONE)
		return finish(r, err);
	if (code == ERR_OK)
		code = ask_known(r, err);
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
	    {"force", OPTION_FLAG, &r.force, NULL, "without peers that can't be reached", false, 0, 0},
	    {"patience", OPTION_NUMBER, &r.patience_s, "S", "how long a link that is needed may be down (30)", false, 1,
	     86400},
	    {"yes", OPTION_FLAG, &yes, NULL, "don't ask", false, 0, 0},
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of this node (" SETTINGS_FILE ")", false, 0, 0},
	    {0},
	};
	struct options options = {
	    "[--from=NODE] [--discard] [--force] [--yes] [--defaults-file=FILE]",
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
	enum err_code code = this_node_open(&r.node, argv[0], file, &err);
	if (code == ERR_OK)
		code = rejoin(&r, from, yes, &err);
	if (code == ERR_OK)
		printf("Node %u is live again, both ways.\n", (unsigned)r.node.settings.node_id);
	for (size_t i = 0; i < PEERS_MAX; i++)
		connection_free(r.peers[i]);
	this_node_close(&r.node);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
