#include "link/handover.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "link/native_link.h"
#include "sql/ddl.h"
#include "sql/native.h"

struct handover {
	const struct settings *settings;
	struct connection *connection;
	struct native_mark mark;
	bool logs_applied; /* log_slave_updates */
};

static enum err_code begin(struct handover *h, struct err *err)
{
	struct connection_target target = {
	    .file = h->settings->file, .group = h->settings->server_group, .name = h->settings->server_where};
	enum err_code code = connection_open(h->connection, &target, err);
	if (code == ERR_OK)
		code = native_prepare(h->connection, err);
	if (code == ERR_OK)
		code = native_load_mark(h->connection, &h->mark, err);
	if (code == ERR_OK)
		code = native_logs_applied(h->connection, &h->logs_applied, err);
	return code;
}

/* A daemon that was killed may have left a session that is still committing: only with its link's lock is the log's
 * word final. */
static enum err_code lock_links(struct handover *h, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; i < h->settings->peer_count && code == ERR_OK; i++)
		code = server_lock_link(h->connection, h->settings->peers[i].node_id, err);
	return code;
}

static enum err_code select_of(struct handover *h, size_t peer, struct err *err)
{
	char name[NATIVE_NAME_MAX];
	return native_select(h->connection, native_link_name(h->settings, h->settings->peers[peer].node_id, name), err);
}

static enum err_code stop_all(struct handover *h, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; i < h->settings->peer_count && code == ERR_OK; i++) {
		code = select_of(h, i, err);
		if (code == ERR_OK)
			code = native_stop(h->connection, err);
	}
	return code;
}

static bool is_wanted(const struct settings *settings, enum settings_engine engine, const char *name)
{
	char wanted[NATIVE_NAME_MAX];
	for (size_t i = 0; engine == ENGINE_NATIVE && i < settings->peer_count; i++)
		if (strcmp(name, native_link_name(settings, settings->peers[i].node_id, wanted)) == 0)
			return true;
	return false;
}

/* Those of peers that there were once, too. The one without a name is ours in a pair, or what is left of one. */
static enum err_code remove_others(struct handover *h, enum settings_engine engine, struct err *err)
{
	enum err_code code = ERR_OK;
	for (unsigned n = h->settings->peer_count <= 1 ? 0 : 1; n <= NODE_ID_MAX && code == ERR_OK; n++) {
		char name[NATIVE_NAME_MAX] = "";
		if (n > 0)
			snprintf(name, sizeof name, "syncline-%u", n);
		if (is_wanted(h->settings, engine, name))
			continue;
		code = native_select(h->connection, name, err);
		if (code == ERR_OK)
			code = native_remove(h->connection, err);
	}
	return code;
}

static enum err_code save_mark(struct handover *h, bool is_native, bool is_set_up, struct err *err)
{
	h->mark = (struct native_mark){.is_native = is_native, .is_set_up = is_set_up};
	return native_save_mark(h->connection, &h->mark, err);
}

static bool is_node(const struct settings *settings, uint32_t domain)
{
	for (size_t i = 0; i < settings->node_count; i++)
		if (settings->nodes[i] == domain)
			return true;
	return false;
}

/* merge -> native */

/* The peers' own domains: as far as this node's log goes, which is the truth of what the links have applied; what
 * they passed by moves only their position. This node's own domain: as far as every peer is known to have it. From
 * there on the peer sends it again, and the server skips what has its own server_id; to name more than the peer has
 * would be refused (error 1236). */
static enum err_code position_for_native(struct handover *h, struct vector *ret, struct err *err)
{
	struct vector here, all = {0};
	struct gtid own = {.seq = UINT64_MAX};
	const struct settings *s = h->settings;
	enum err_code code = server_vector(h->connection, &here, err);
	for (size_t i = 0; i < s->peer_count && code == ERR_OK; i++) {
		struct server_position link;
		code = server_load_position(h->connection, s->peers[i].node_id, &link, err);
		uint64_t own_seq = code == ERR_OK ? vector_seq(&link.vector, s->node_id) : 0;
		for (uint32_t d = 0; d < link.vector.count && code == ERR_OK; d++) {
			const struct gtid *gtid = &link.vector.gtids[d];
			if (gtid->domain == s->node_id && own_seq < own.seq)
				own = *gtid;
			if (gtid->domain == s->peers[i].node_id || !is_node(s, gtid->domain))
				code = vector_advance(&all, gtid, err);
		}
		if (own_seq == 0)
			own.seq = 0;
	}
	for (uint32_t d = 0; d < here.count && code == ERR_OK; d++)
		if (here.gtids[d].server != s->node_id && here.gtids[d].domain != s->node_id)
			code = vector_advance(&all, &here.gtids[d], err);
	if (code == ERR_OK && own.seq != 0 && own.seq != UINT64_MAX)
		code = vector_advance(&all, &own, err);
	if (code == ERR_OK)
		*ret = all;
	return code;
}

/* What somebody set up by hand isn't ours to change. */
static enum err_code refuse_selected(struct handover *h, struct err *err)
{
	struct native_status status;
	enum err_code code = native_status(h->connection, &status, err);
	if (code != ERR_OK || !status.exists)
		return code;
	return err_set(
	    err, ERR_CONFIG,
	    "%s: there is a replication from %s already that syncline didn't set up; take it over with `syncline "
	    "adopt`, or remove it with STOP SLAVE; RESET SLAVE ALL",
	    h->settings->server_where, status.host);
}

static enum err_code refuse_foreign(struct handover *h, struct err *err)
{
	enum err_code code = native_select(h->connection, "", err);
	if (code == ERR_OK)
		code = refuse_selected(h, err);
	for (size_t i = 0; i < h->settings->peer_count && code == ERR_OK; i++) {
		code = select_of(h, i, err);
		if (code == ERR_OK)
			code = refuse_selected(h, err);
	}
	return code;
}

/* What else is replicated to this server, by no node's number, stays where it is. */
static enum err_code keep_others(struct handover *h, struct vector *position, struct err *err)
{
	struct vector before;
	enum err_code code = native_position(h->connection, &before, err);
	for (uint32_t d = 0; code == ERR_OK && d < before.count; d++)
		if (!is_node(h->settings, before.gtids[d].domain))
			code = vector_advance(position, &before.gtids[d], err);
	return code;
}

static enum err_code leave_merge(struct handover *h, struct err *err)
{
	struct vector position;
	enum err_code code = ERR_OK;
	if (!h->logs_applied)
		return err_set(err, ERR_CONFIG,
		               "%s: log_slave_updates is off, so this node's log would not tell what it has of its peers; set "
		               "log_slave_updates=ON under [mysqld] and restart MariaDB",
		               h->settings->server_where);
	code = h->mark.is_set_up ? stop_all(h, err) : refuse_foreign(h, err);
	if (code == ERR_OK)
		code = position_for_native(h, &position, err);
	if (code == ERR_OK)
		code = keep_others(h, &position, err);
	if (code == ERR_OK)
		code = native_set_position(h->connection, &position, err);
	if (code == ERR_OK)
		code = save_mark(h, true, true, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "MariaDB's own replication goes on where this node's links were");
	return code;
}

/* Of the own domain: a start from an old place asks the peer for a log that it may have removed since. */
static enum err_code refresh_position(struct handover *h, struct err *err)
{
	struct vector position, known;
	enum err_code code = stop_all(h, err);
	if (code == ERR_OK)
		code = native_position(h->connection, &position, err);
	if (code == ERR_OK)
		code = position_for_native(h, &known, err);
	if (code != ERR_OK)
		return code;
	uint32_t own = h->settings->node_id;
	struct gtid gtid = {.domain = own, .server = own, .seq = vector_seq(&known, own)};
	if (gtid.seq <= vector_seq(&position, own))
		return ERR_OK;
	code = vector_advance(&position, &gtid, err);
	return code == ERR_OK ? native_set_position(h->connection, &position, err) : code;
}

static enum err_code to_native(struct handover *h, struct err *err)
{
	enum err_code code = lock_links(h, err);
	if (code == ERR_OK)
		code = h->mark.is_native ? refresh_position(h, err) : leave_merge(h, err);
	if (code == ERR_OK)
		code = remove_others(h, ENGINE_NATIVE, err);
	if (code == ERR_OK && !h->logs_applied)
		log_line(LOG_LEVEL_WARNING, "main",
		         "log_slave_updates is off: before this node can go over to engine = merge it needs to be ON under "
		         "[mysqld], "
		         "and MariaDB restarted");
	return code;
}

/* native -> merge */

/* Its log has to say that they are here: the peers go by it when they look whether a write knew of theirs. It lacks
 * them if what came last wasn't replicated, or while log_slave_updates was off. */
static enum err_code note_applied(struct handover *h, const struct gtid *gtid, struct err *err)
{
	struct vector here;
	enum err_code code = server_vector(h->connection, &here, err);
	if (code != ERR_OK || vector_seq(&here, gtid->domain) >= gtid->seq)
		return code;
	return ddl_pass_over(h->connection, gtid, gtid->domain, err);
}

/* The peer's own domain: as far as it was applied. The others stay where the link had them: too far back costs
 * reading, too far ahead would have the peer's writes know what they didn't. */
static enum err_code save_link(struct handover *h, uint32_t peer, const struct vector *applied, struct err *err)
{
	struct server_position link;
	enum err_code code = server_load_position(h->connection, peer, &link, err);
	for (uint32_t i = 0; i < applied->count && code == ERR_OK; i++) {
		const struct gtid *gtid = &applied->gtids[i];
		if (gtid->domain == peer)
			code = note_applied(h, gtid, err);
		if (code == ERR_OK && (gtid->domain == peer || !is_node(h->settings, gtid->domain)))
			code = vector_advance(&link.vector, gtid, err);
	}
	return code == ERR_OK ? server_save_position(h->connection, peer, &link, err) : code;
}

static void take_restarted(void *context, unsigned count, const char *const *columns)
{
	*(bool *)context = count == 2 && columns[0] != NULL && columns[1] != NULL && strcmp(columns[0], "1") == 0 &&
	                   strcmp(columns[1], "0") != 0;
}

/* Both nodes wrote in such a domain before they were adopted, each by its own count, so a link, which goes by the
 * seq alone, would pass by what it lacks. That is over when nobody writes there any more, and all of it is here. A
 * session that was opened before the adoption does; a restarted server has none, and that it was restarted is told
 * by log_slave_updates. */
static enum err_code check_shared_domain(struct handover *h, const struct gtid *applied, struct err *err)
{
	const struct settings_peer *peer = &h->settings->peers[0];
	struct connection_target target = {.file = h->settings->file, .group = peer->group, .name = peer->where};
	struct connection *connection = connection_new();
	struct vector head;
	struct err why;
	bool restarted = false;
	enum err_code code = connection_open(connection, &target, &why);
	if (code == ERR_OK)
		code = connection_query(connection, "SELECT @@global.log_slave_updates, @@global.gtid_domain_id",
		                        take_restarted, &restarted, &why);
	if (code == ERR_OK)
		code = server_vector(connection, &head, &why);
	if (code != ERR_OK)
		code = err_set(err, ERR_CONFIG, "node %u must be asked whether it still writes in gtid_domain_id %u: %s",
		               (unsigned)peer->node_id, (unsigned)applied->domain, why.message);
	else if (!restarted)
		code = err_set(err, ERR_CONFIG,
		               "%s: sessions of before the adoption may still write in gtid_domain_id %u there; set "
		               "log_slave_updates=ON and gtid_domain_id=%u under [mysqld] and restart MariaDB on node %u",
		               peer->where, (unsigned)applied->domain, (unsigned)peer->node_id, (unsigned)peer->node_id);
	for (uint32_t i = 0; code == ERR_OK && i < head.count; i++)
		if (head.gtids[i].domain == applied->domain && head.gtids[i].server != h->settings->node_id &&
		    head.gtids[i].seq > applied->seq)
			code =
			    err_set(err, ERR_CONFIG, "transactions of gtid_domain_id %u are still to come from node %u; try again",
			            (unsigned)applied->domain, (unsigned)peer->node_id);
	connection_free(connection);
	return code;
}

static enum err_code check_shared_domains(struct handover *h, const struct vector *applied, struct err *err)
{
	enum err_code code = ERR_OK;
	for (uint32_t i = 0; i < applied->count && code == ERR_OK; i++)
		if (h->settings->peer_count == 1 && !is_node(h->settings, applied->gtids[i].domain))
			code = check_shared_domain(h, &applied->gtids[i], err);
	return code;
}

static enum err_code leave_native(struct handover *h, struct err *err)
{
	struct vector applied;
	if (!h->logs_applied)
		return err_set(err, ERR_CONFIG,
		               "%s: log_slave_updates is off, so this node's log doesn't tell what it has of its peers; set "
		               "log_slave_updates=ON under [mysqld], restart MariaDB, and try again",
		               h->settings->server_where);
	enum err_code code = stop_all(h, err);
	if (code == ERR_OK)
		code = native_position(h->connection, &applied, err);
	if (code == ERR_OK)
		code = check_shared_domains(h, &applied, err);
	for (size_t i = 0; i < h->settings->peer_count && code == ERR_OK; i++)
		code = save_link(h, h->settings->peers[i].node_id, &applied, err);
	if (code == ERR_OK)
		code = save_mark(h, false, true, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "this node's links go on where MariaDB's own replication was");
	return code;
}

static enum err_code to_merge(struct handover *h, struct err *err)
{
	enum err_code code = ERR_OK;
	if (h->mark.is_native || h->mark.is_set_up)
		code = lock_links(h, err);
	if (code == ERR_OK && h->mark.is_native)
		code = leave_native(h, err);
	if (code == ERR_OK && h->mark.is_set_up) {
		code = remove_others(h, ENGINE_MERGE, err);
		if (code == ERR_OK)
			code = save_mark(h, false, false, err);
	}
	return code;
}

enum err_code handover_note_unsettled(const struct settings *settings, bool is_unsettled, struct err *err)
{
	struct connection_target target = {
	    .file = settings->file, .group = settings->server_group, .name = settings->server_where};
	struct connection *connection = connection_new();
	struct server_position tail;
	enum err_code code = connection_open(connection, &target, err);
	if (code == ERR_OK)
		code = server_load_position(connection, settings->node_id, &tail, err);
	if (code == ERR_OK)
		code = server_save_unsettled(connection, is_unsettled ? &tail.vector : NULL, err);
	connection_free(connection);
	return code;
}

enum err_code handover_to(const struct settings *settings, enum settings_engine engine, struct err *err)
{
	struct handover h = {.settings = settings, .connection = connection_new()};
	enum err_code code = begin(&h, err);
	if (code == ERR_OK)
		code = engine == ENGINE_NATIVE ? to_native(&h, err) : to_merge(&h, err);
	connection_free(h.connection);
	return code == ERR_OK ? ERR_OK : err_wrap(err, "engine = %s", settings_engine_name(engine));
}
