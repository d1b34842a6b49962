#include "link/retention.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/growth.h"
#include "link/retention_rule.h"
#include "link/thread.h"
#include "sql/server.h"

enum {
	PERIOD_MS = 30000,
	NATIVE_PERIOD_MS = 2000,
	NATIVE_GRACE_MS = 10000, /* for the peers to be asked, before a limit takes what they need */
	PAUSE_MS = 1000,         /* at least, between two looks */
	GROWTH_SAVE_S = 600,
	ROUNDS_WAIT_MS = 5000,
	ROUNDS_POLL_MS = 100,
	FREE_PERCENT = 10,
};

#define FREE_BYTES_MAX ((uint64_t)1 << 30)

struct retention {
	const struct settings *settings;
	struct state *state;
	struct retention_links links;
	struct connection_target target;
	struct connection *connection;
	pthread_t thread;
	bool started;

	struct logs logs;
	struct retention_file *files; /* as many */
	struct retention_node nodes[NODE_ID_MAX];
	struct retention_case at_hand;
	struct buf folder;
	uint64_t free_bytes; /* above the floor; UINT64_MAX: not known */
	uint64_t available_bytes, floor_bytes;
	struct growth growth;
	bool has_growth;
	int64_t growth_saved_s;

	uint64_t told_lost; /* nodes that were named */
	enum retention_held held;
	unsigned held_times; /* in a row */
	char told_expiry[256];
	int64_t began_ms;

	pthread_mutex_t lock; /* guards the view */
	struct retention_view view;
};

enum err_code retention_prepare(struct connection *connection, struct err *err)
{
	return growth_prepare(connection, err);
}

static bool is_native(const struct retention *r)
{
	return r->links.engine == ENGINE_NATIVE;
}

/* ---- What there is ---- */

static void warn_of_expiry(struct retention *r, const char *expiry)
{
	if (expiry[0] != '\0' && strcmp(expiry, r->told_expiry) != 0)
		log_line(
		    LOG_LEVEL_WARNING, "retention",
		    "the server takes log files away by itself (%s), needed or not: a node that is away too long must then "
		    "rejoin; set it to 0 under [mysqld] and with SET GLOBAL",
		    expiry);
	snprintf(r->told_expiry, sizeof r->told_expiry, "%s", expiry);
}

static enum err_code connect(struct retention *r, struct err *err)
{
	struct buf expiry = {0};
	buf_clear(&r->folder);
	enum err_code code = connection_open(r->connection, &r->target, err);
	if (code == ERR_OK)
		code = logs_expiry(r->connection, &expiry, err);
	if (code == ERR_OK)
		code = logs_folder(r->connection, &r->folder, err);
	if (code == ERR_OK && !r->has_growth) {
		code = growth_load(r->connection, &r->growth, err);
		r->has_growth = code == ERR_OK;
	}
	if (code == ERR_OK)
		warn_of_expiry(r, buf_str(&expiry));
	buf_free(&expiry);
	return code;
}

/* Where each file begins is asked once. A name comes again after RESET MASTER only, which replication doesn't survive.
 * */
static enum err_code look_at_files(struct retention *r, struct err *err)
{
	struct logs logs = {0};
	enum err_code code = logs_list(r->connection, &logs, err);
	struct retention_file *files = mem_alloc((logs.count + 1) * sizeof *files);
	for (size_t i = 0; code == ERR_OK && i < logs.count; i++) {
		size_t old = 0;
		while (old < r->logs.count && strcmp(r->logs.files[old].name, logs.files[i].name) != 0)
			old++;
		if (old < r->logs.count)
			files[i].first = r->files[old].first;
		else
			code = logs_start(r->connection, logs.files[i].name, &files[i].first, err);
		files[i].bytes = logs.files[i].bytes;
	}
	if (code != ERR_OK) {
		logs_free(&logs);
		free(files);
		return code;
	}
	logs_free(&r->logs);
	free(r->files);
	r->logs = logs;
	r->files = files;
	return ERR_OK;
}

/* Fills *node in; false if it has no link to this node. */
static bool look_at_peer(struct retention *r, struct retention_node *node)
{
	struct link_view view;
	for (size_t i = 0; i < r->links.count; i++) {
		link_view(r->links.links[i], &view);
		if (view.peer != node->id)
			continue;
		node->has_saved = link_acknowledged(r->links.links[i], &node->saved, &node->is_connected);
		return true;
	}
	return false;
}

/* Every node is a peer. What it saves and has is the same as far as its own reading goes, so a limit needn't wait. */
static bool look_at_native_peer(struct retention *r, struct retention_node *node)
{
	struct native_needs needs;
	struct link_view view;
	for (size_t i = 0; i < r->links.count; i++) {
		native_link_view(r->links.natives[i], &view);
		if (view.peer != node->id)
			continue;
		node->has_saved = native_link_needs(r->links.natives[i], &needs, &node->is_connected);
		if (node->has_saved) {
			node->saved = needs.saved;
			node->known = needs.known;
		}
		return true;
	}
	return false;
}

static void look_at_nodes(struct retention *r)
{
	const struct settings *s = r->settings;
	r->at_hand.node_count = 0;
	for (size_t i = 0; i < s->node_count; i++) {
		if (s->nodes[i] == s->node_id)
			continue;
		struct retention_node *node = &r->nodes[r->at_hand.node_count++];
		*node = (struct retention_node){.id = s->nodes[i], .known = state_known(r->state, s->nodes[i])};
		node->is_peer = is_native(r) ? look_at_native_peer(r, node) : look_at_peer(r, node);
	}
	r->at_hand.nodes = r->nodes;
}

static void look_at_disk(struct retention *r)
{
	struct statvfs fs;
	r->free_bytes = UINT64_MAX;
	r->at_hand.bytes_short = 0;
	if (r->settings->server_where[0] != '/' || r->folder.size == 0 || statvfs(buf_str(&r->folder), &fs) != 0)
		return;
	uint64_t size = (uint64_t)fs.f_blocks * fs.f_frsize, available = (uint64_t)fs.f_bavail * fs.f_frsize;
	uint64_t floor = r->settings->retention_free_bytes;
	if (floor == SETTINGS_FREE_BYTES_DEFAULT)
		floor = size / 100 * FREE_PERCENT < FREE_BYTES_MAX ? size / 100 * FREE_PERCENT : FREE_BYTES_MAX;
	r->available_bytes = available;
	r->floor_bytes = floor;
	r->free_bytes = available > floor ? available - floor : 0;
	r->at_hand.bytes_short = floor > available ? floor - available : 0;
}

static enum err_code count_growth(struct retention *r, struct err *err)
{
	int64_t now = clock_wall_s();
	char file[LOGS_NAME_MAX];
	memcpy(file, r->growth.file, sizeof file);
	growth_count(&r->growth, &r->logs, now);
	if (strcmp(file, r->growth.file) == 0 && now >= r->growth_saved_s && now - r->growth_saved_s < GROWTH_SAVE_S)
		return ERR_OK;
	r->growth_saved_s = now;
	return growth_save(r->connection, &r->growth, err);
}

static enum err_code look_at_tail(struct retention *r, struct err *err)
{
	struct server_position tail = {0};
	enum err_code code = server_load_position(r->connection, r->settings->node_id, &tail, err);
	r->at_hand.tail = tail.vector;
	for (size_t i = 0; i < r->logs.count; i++)
		r->files[i].is_done = state_is_done(r->state, &r->files[i].first);
	return code;
}

/* Without a tail: what a change of engine wants, or else nothing of what is not being written. */
static enum err_code look_at_change(struct retention *r, struct err *err)
{
	struct native_needs needs;
	struct vector from;
	bool is_unsettled, ignored;
	enum err_code code = server_load_unsettled(r->connection, &is_unsettled, &from, err);
	if (code != ERR_OK || r->logs.count == 0)
		return code;
	struct vector tail = r->files[r->logs.count - 1].first;
	for (size_t i = 0; i < r->links.count; i++)
		if (native_link_needs(r->links.natives[i], &needs, &ignored) && needs.may_merge)
			tail = vector_min(&tail, &needs.start);
	r->at_hand.tail = is_unsettled ? vector_min(&tail, &from) : tail;
	for (size_t i = 0; i < r->logs.count; i++)
		r->files[i].is_done = !is_unsettled || vector_covers(&from, &r->files[i].first);
	return ERR_OK;
}

static enum err_code look(struct retention *r, struct err *err)
{
	enum err_code code = look_at_files(r, err);
	if (code == ERR_OK)
		code = count_growth(r, err);
	if (code == ERR_OK)
		code = is_native(r) ? look_at_change(r, err) : look_at_tail(r, err);
	if (code != ERR_OK)
		return code;
	look_at_nodes(r);
	look_at_disk(r);
	r->at_hand.file_count = r->logs.count;
	r->at_hand.files = r->files;
	r->at_hand.bytes_max = r->settings->retention_bytes;
	return ERR_OK;
}

/* ---- What is done about it ---- */

static void append_nodes(uint64_t nodes, struct buf *to)
{
	const char *between = "";
	for (uint32_t node = 1; node <= NODE_ID_MAX; node++) {
		if ((nodes & RETENTION_BIT(node)) == 0)
			continue;
		buf_printf(to, "%s%u", between, (unsigned)node);
		between = ", ";
	}
}

/* `gone` files of those at hand are. */
static void tell_purged(struct retention *r, const struct retention_verdict *v, size_t gone)
{
	uint64_t bytes = 0, losers = gone > v->agreed ? retention_losers(&r->at_hand, gone) : 0;
	struct buf names = {0};
	for (size_t i = 0; i < gone; i++)
		bytes += r->files[i].bytes;
	append_nodes(losers & ~r->told_lost, &names);
	if (names.size > 0)
		log_line(LOG_LEVEL_ERROR, "retention",
		         "purged %zu log files, %" PRIu64
		         " bytes, up to %s, for want of room though node %s still needed them; "
		         "run `syncline rejoin` there; a higher %s and a larger disk let nodes be away longer",
		         gone, bytes, r->logs.files[gone - 1].name, buf_str(&names),
		         r->settings->retention_bytes != 0 ? "retention-bytes" : "limit");
	else
		log_line(LOG_LEVEL_INFO, "retention", "purged %zu log files, %" PRIu64 " bytes, up to %s%s", gone, bytes,
		         r->logs.files[gone - 1].name, losers != 0 ? ", for want of room" : ", which all nodes have");
	r->told_lost = (r->told_lost | losers) & retention_losers(&r->at_hand, gone);
	buf_free(&names);
}

/* What the engine is done with may still be on its way to replication_conflicts: the second round from now began after
 * we looked. */
static bool wait_for_resolver(struct retention *r)
{
	uint64_t rounds = state_rounds(r->state) + 2;
	int64_t until = clock_monotonic_ms() + ROUNDS_WAIT_MS;
	while (state_rounds(r->state) < rounds && clock_monotonic_ms() < until && !state_is_stopping(r->state))
		state_sleep(r->state, ROUNDS_POLL_MS);
	return state_rounds(r->state) >= rounds;
}

static bool can_force(struct retention *r)
{
	return is_native(r) ? clock_monotonic_ms() - r->began_ms > NATIVE_GRACE_MS : wait_for_resolver(r);
}

static enum err_code purge(struct retention *r, const struct retention_verdict *v, struct err *err)
{
	const struct vector *first = &r->files[v->keep_from].first;
	struct logs now = {0};
	enum err_code code = ERR_OK;
	if (v->keep_from > v->agreed)
		code = server_save_forgotten(r->connection, first, err);
	if (code == ERR_OK)
		code = logs_purge(r->connection, r->logs.files[v->keep_from].name, err);
	if (code == ERR_OK)
		code = logs_list(r->connection, &now, err);
	size_t gone = 0;
	while (code == ERR_OK && now.count > 0 && gone < r->logs.count &&
	       strcmp(r->logs.files[gone].name, now.files[0].name) != 0)
		gone++;
	if (code == ERR_OK && gone > 0 && gone < r->logs.count)
		tell_purged(r, v, gone);
	logs_free(&now);
	return code;
}

/* Why a limit stays passed. */
static void append_held(const struct retention *r, const struct retention_verdict *v, struct buf *to)
{
	const char *file = r->logs.files[v->keep_from].name;
	if (r->at_hand.bytes_short > 0)
		buf_printf(to, "%" PRIu64 " bytes too few are free where the log is", r->at_hand.bytes_short);
	else
		buf_append_str(to, "the log is larger than retention-bytes");
	if (v->held == RETENTION_HELD_BY_ACTIVE)
		buf_append_str(to, ", and only the file being written is left of it; make room");
	else if (v->held == RETENTION_HELD_BY_SELF)
		buf_printf(to, ", but what is in %s %s", file,
		           is_native(r) ? "the merge engine has still to do with: it ends when that has run again"
		                        : "this node has still to do with: it ends when the nodes meet");
	else
		buf_printf(to, ", but node %u is connected and about to save that it has what is in %s", (unsigned)v->held_by,
		           file);
}

/* A node that is about to save its position does it within a period: before that it is no news. */
static void note_held(struct retention *r, const struct retention_verdict *v)
{
	struct buf text = {0};
	r->held_times = v->held == r->held ? r->held_times + 1 : 1;
	r->held = v->held;
	if (v->held != RETENTION_NOT_HELD && (v->held != RETENTION_HELD_BY_NODE || r->held_times > 2))
		append_held(r, v, &text);
	pthread_mutex_lock(&r->lock);
	bool is_new = text.size > 0 && r->view.held[0] == '\0';
	snprintf(r->view.held, sizeof r->view.held, "%s", buf_str(&text));
	pthread_mutex_unlock(&r->lock);
	if (is_new)
		log_line(LOG_LEVEL_WARNING, "retention", "%s", buf_str(&text));
	buf_free(&text);
}

static void publish(struct retention *r)
{
	struct retention_view view = {.is_known = r->logs.count > 0};
	uint64_t room;
	double rate = 0;
	bool has_rate = growth_rate(&r->growth, clock_wall_s(), &rate) && rate > 0;
	for (size_t i = 0; i < r->logs.count; i++)
		view.log_bytes += r->logs.files[i].bytes;
	view.disk_known = r->free_bytes != UINT64_MAX;
	view.disk_free_bytes = r->available_bytes;
	view.disk_floor_bytes = r->floor_bytes;
	if (view.is_known)
		snprintf(view.log_oldest, sizeof view.log_oldest, "%s", r->logs.files[0].name);
	for (size_t i = 0; view.is_known && i < r->at_hand.node_count; i++) {
		struct retention_away *away = &view.away[view.away_count++];
		away->node = r->nodes[i].id;
		away->is_limited = has_rate && retention_room(&r->at_hand, &r->nodes[i], r->free_bytes, &room);
		if (away->is_limited)
			away->seconds =
			    (double)room / rate < (double)(INT64_MAX / 2) ? (int64_t)((double)room / rate) : INT64_MAX / 2;
	}
	pthread_mutex_lock(&r->lock);
	memcpy(view.held, r->view.held, sizeof view.held);
	r->view = view;
	pthread_mutex_unlock(&r->lock);
}

static enum err_code run(struct retention *r, struct err *err)
{
	enum err_code code = connection_is_open(r->connection) ? ERR_OK : connect(r, err);
	if (code == ERR_OK)
		code = look(r, err);
	if (code != ERR_OK || r->logs.count == 0)
		return code;
	struct retention_verdict v = retention_decide(&r->at_hand);
	if (v.keep_from > v.agreed && !can_force(r)) {
		v.keep_from = v.agreed;
		v.held = is_native(r) ? RETENTION_NOT_HELD : RETENTION_HELD_BY_SELF;
	}
	note_held(r, &v);
	if (v.keep_from > 0) {
		code = purge(r, &v, err);
		if (code == ERR_OK)
			code = look(r, err);
	}
	if (code == ERR_OK)
		publish(r);
	return code;
}

static void *retention_main(void *context)
{
	struct retention *r = context;
	struct err err = {0};
	char told[sizeof err.message] = "";
	uint64_t seen = 0;
	while (state_wait_log(r->state, &seen, is_native(r) ? NATIVE_PERIOD_MS : PERIOD_MS)) {
		enum err_code code = run(r, &err);
		if (code != ERR_OK)
			connection_close(r->connection);
		/* That the server is away the tail tells. */
		if (code != ERR_OK && code != ERR_DISCONNECTED && strcmp(told, err.message) != 0 &&
		    !state_is_stopping(r->state))
			log_line(err_retryable(code) ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "retention",
			         "can't look after the log files: %s", err.message);
		snprintf(told, sizeof told, "%s", code == ERR_OK ? "" : err.message);
		state_sleep(r->state, PAUSE_MS);
	}
	return NULL;
}

enum err_code retention_start(const struct settings *settings, struct state *state, const struct retention_links *links,
                              struct retention **ret_retention, struct err *err)
{
	struct retention *r = mem_alloc(sizeof *r);
	r->settings = settings;
	r->state = state;
	r->links = *links;
	r->began_ms = clock_monotonic_ms();
	r->target = (struct connection_target){
	    .file = settings->file, .group = settings->server_group, .name = settings->server_where};
	r->connection = connection_new();
	pthread_mutex_init(&r->lock, NULL);
	enum err_code code = thread_start(&r->thread, retention_main, r, err);
	r->started = code == ERR_OK;
	if (code == ERR_OK)
		*ret_retention = r;
	else
		retention_stop(r);
	return code;
}

void retention_stop(struct retention *r)
{
	if (r == NULL)
		return;
	if (r->started)
		pthread_join(r->thread, NULL);
	connection_free(r->connection);
	logs_free(&r->logs);
	free(r->files);
	buf_free(&r->folder);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void retention_view(struct retention *r, struct retention_view *ret_view)
{
	pthread_mutex_lock(&r->lock);
	*ret_view = r->view;
	pthread_mutex_unlock(&r->lock);
}
