#include "link/applier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "binlog/rows.h"
#include "link/applier_parts.h"
#include "sql/server.h"

enum {
	CLASHES_MAX = 5,          /* in a row; one more doesn't pass by itself: then the transaction is repaired */
	REPAIRS_MAX = 5,          /* in a row that met other rows once more */
	SAVE_POSITION_MS = 30000, /* how old the saved position may be when nothing is applied */
};

struct applier *applier_new(const struct settings *settings, const struct settings_peer *peer, struct state *state)
{
	struct applier *a = mem_alloc(sizeof *a);
	a->settings = settings;
	a->peer = peer;
	a->state = state;
	a->who = mem_printf("link %u", (unsigned)peer->node_id);
	a->apply = apply_new();
	a->catalogue = catalogue_new();
	a->reader.collations = registry_collations(state_registry(state));
	a->reader.connection = apply_connection(a->apply);
	a->tables = tables_new(settings);
	a->stage = stage_new(peer->node_id);
	rows_iter_init(&a->rows);
	return a;
}

void applier_stop(struct applier *a)
{
	apply_close(a->apply); /* the server rolls back */
	applier_release(a);
	tables_clear(a->tables);
	stage_reset(a->stage);
	buf_clear(&a->sequences);
	a->group = GROUP_NONE;
	a->at_end = false;
	a->position = a->committed;
	a->latest = a->committed_latest;
	buf_shrink(&a->gathered, 0);
	a->is_streaming = false;
}

void applier_free(struct applier *a)
{
	if (a == NULL)
		return;
	applier_stop(a);
	apply_free(a->apply);
	catalogue_free(a->catalogue);
	tables_free(a->tables);
	stage_free(a->stage);
	rows_iter_free(&a->rows);
	buf_free(&a->scratch);
	buf_free(&a->part);
	buf_free(&a->mapped);
	buf_free(&a->sequences);
	buf_free(&a->gathered);
	history_keys_free(&a->keys);
	changes_reader_free(&a->reader);
	manifest_free(&a->relay);
	batch_free(&a->batch);
	free(a->who);
	free(a);
}

void applier_abort(struct applier *a)
{
	apply_abort(a->apply);
}

enum err_code applier_start(struct applier *a, struct vector *ret_position, struct err *err)
{
	struct vector here;
	struct server_position position;
	struct connection_target target = {
	    .file = a->settings->file, .group = a->settings->server_group, .name = a->settings->server_where};
	applier_stop(a);
	registry_refresh(state_registry(a->state)); /* who mends a table by hand lets the link begin anew */
	enum err_code code = state_wait_started(a->state, APPLIER_TAIL_WAIT_MS, err);
	if (code == ERR_OK)
		code = apply_open(a->apply, &target, err);
	if (code == ERR_OK)
		code = server_lock_link(apply_connection(a->apply), a->peer->node_id, err);
	if (code == ERR_OK)
		code = server_vector(apply_connection(a->apply), &here, err);
	if (code == ERR_OK)
		code = server_load_position(apply_connection(a->apply), a->peer->node_id, &position, err);
	if (code == ERR_OK)
		code = state_merge_applied(a->state, &here, err);
	/* What came in between must be in the history by the next look, or it is met again. */
	if (code == ERR_OK && a->clashes > 0)
		code = state_wait_tailed(a->state, &here, APPLIER_TAIL_WAIT_MS, err);
	if (code != ERR_OK) {
		apply_close(a->apply);
		return code;
	}
	format_init(&a->format);
	a->position = a->committed = position.vector;
	a->latest = a->committed_latest = position.latest;
	a->position_moved = a->has_culprit = false;
	a->place = a->committed_place = (struct lag_place){0};
	a->saved_ms = clock_monotonic_ms();
	state_node_knows(a->state, a->peer->node_id, &position.vector);
	*ret_position = position.vector;
	return ERR_OK;
}

const struct vector *applier_position(const struct applier *a)
{
	return &a->committed;
}

struct applier_counts applier_counts(const struct applier *a)
{
	return a->counts;
}

const struct lag_place *applier_place(const struct applier *a)
{
	return &a->committed_place;
}

bool applier_at_end(const struct applier *a)
{
	return a->at_end;
}

bool applier_culprit(const struct applier *a, struct gtid *ret_gtid)
{
	if (a->has_culprit)
		*ret_gtid = a->culprit;
	return a->has_culprit;
}

uint32_t applier_time(const struct applier *a)
{
	return a->time;
}

uint32_t applier_latest(const struct applier *a)
{
	return a->committed_latest;
}

/* A transaction of our own that comes back. If this server doesn't have it, the server lost it. */
static enum err_code check_own(struct applier *a, const struct gtid *gtid, struct err *err)
{
	struct vector here;
	char text[GTID_TEXT_MAX];
	if (gtid->seq <= state_tailed_seq(a->state, gtid->domain))
		return ERR_OK;
	enum err_code code = server_vector(apply_connection(a->apply), &here, err);
	if (code == ERR_OK && gtid->seq > vector_seq(&here, gtid->domain))
		code = err_set(
		    err, ERR_UNSUPPORTED,
		    "%s has transaction %s of this node, but this node's server lost it (an older copy of its data, or a "
		    "crash without sync_binlog=1); copy the data anew from a peer",
		    a->peer->where, gtid_format(gtid, text));
	return code;
}

static enum err_code group_start(struct applier *a, const struct event *event, struct err *err)
{
	if (a->group != GROUP_NONE)
		return err_set(err, ERR_MALFORMED, "a transaction without an end in the log of %s", a->peer->where);
	enum err_code code = gtid_event_parse(event, &a->gtid, err);
	if (code != ERR_OK)
		return code;
	const struct gtid *gtid = &a->gtid.gtid;
	a->time = event->timestamp;
	a->at_end = false;
	a->insert_id = 0;
	a->stamp_time = a->time > a->latest ? a->time : a->latest;
	a->has_manifest = a->is_relay = a->is_streaming = false;
	manifest_clear(&a->relay);
	buf_clear(&a->gathered);
	if (a->batch.is_open && a->batch.origin != gtid->domain)
		code = applier_commit_batch(a, err);
	if (code == ERR_OK && gtid->domain == a->settings->node_id) {
		a->group = GROUP_PASSING;
		return check_own(a, gtid, err);
	}
	a->have_seq = state_applied_seq(a->state, gtid->domain);
	a->group = gtid->seq <= a->have_seq ? GROUP_PASSING : GROUP_OPEN;
	if (code == ERR_OK && a->group == GROUP_OPEN && !a->batch.is_open) {
		/* Another link may be applying it right now: only under the claim is the answer final. */
		code = applier_open_batch(a, &a->position, err);
		bool passed_over = code == ERR_OK && gtid->seq > a->have_seq && state_take_skip(a->state, gtid);
		if (passed_over)
			code = applier_pass_over(a, gtid, err);
		if (passed_over || gtid->seq <= a->have_seq) {
			applier_release(a);
			a->group = GROUP_PASSING;
		}
	}
	return code;
}

/* A transaction has the latest time of all that it knew: what the peer applied carries it along. */
static void advance_latest(struct applier *a)
{
	bool is_own = a->gtid.gtid.domain == a->peer->node_id;
	for (size_t i = 0; !is_own && i < a->relay.count; i++)
		if (a->relay.transactions[i].time > a->latest)
			a->latest = a->relay.transactions[i].time;
	if ((is_own || !a->has_manifest) && a->time > a->latest)
		a->latest = a->time;
}

static enum err_code group_end(struct applier *a, struct err *err)
{
	struct batch *b = &a->batch;
	enum err_code code = ERR_OK;
	if (a->group == GROUP_OPEN && a->is_streaming)
		applier_end_streaming(a);
	else if (a->group == GROUP_OPEN)
		code = applier_take_group(a, err);
	if (code != ERR_OK)
		return code;
	a->group = GROUP_NONE;
	if (a->gtid.gtid.domain == a->culprit.domain && a->gtid.gtid.seq == a->culprit.seq)
		a->whole = false;
	if (a->has_manifest && a->gtid.gtid.domain != a->peer->node_id)
		state_origin_knows(a->state, &a->gtid.gtid, &a->relay.context);
	advance_latest(a);
	code = vector_advance(&a->position, &a->gtid.gtid, err);
	if (code != ERR_OK)
		return code;
	a->position_moved = true;
	tables_trim(a->tables);
	if (b->is_open && (b->manifest.count == 0 || applier_batch_is_full(a)))
		code = applier_commit_batch(a, err);
	else if (!b->is_open)
		applier_settle_position(a);
	return code;
}

static enum err_code on_format(struct applier *a, const struct event *event, struct err *err)
{
	/* A new log file, perhaps of a restarted server: a transaction that it left without an end was rolled back. */
	if (a->group == GROUP_OPEN && a->is_streaming)
		return err_set(err, ERR_BUSY, "%s restarted within a transaction", a->peer->where);
	a->group = GROUP_NONE;
	enum err_code code = applier_commit_batch(a, err);
	if (code == ERR_OK)
		code = format_parse(event, &a->format, err);
	if (code == ERR_OK)
		apply_format(a->apply, event);
	tables_clear(a->tables);
	return code;
}

static enum err_code unknown_event(const struct applier *a, const struct event *event, struct err *err)
{
	if ((event->flags & EVENT_FLAG_IGNORABLE) != 0)
		return ERR_OK;
	char what[128];
	snprintf(what, sizeof what, "holds an event that row-based replication can't carry (%s, type %u)",
	         event_type_name(event->type), event->type);
	return applier_refuse(a, err, what, "do by hand here what it did there");
}

/* Events of a transaction. */
static enum err_code in_group(struct applier *a, const struct event *event, struct err *err)
{
	bool open = a->group == GROUP_OPEN, ends = false;
	enum err_code code = ERR_OK;
	if (event_is_rows(event->type)) {
		code = applier_on_rows(a, event, err);
	} else {
		switch (event->type) {
		case EVENT_TABLE_MAP:
			code = applier_on_table_map(a, event, err);
			break;
		case EVENT_QUERY:
		case EVENT_QUERY_COMPRESSED:
			code = applier_on_query(a, event, &ends, err);
			break;
		case EVENT_XID:
			ends = true;
			break;
		case EVENT_XA_PREPARE:
			ends = true;
			if (open)
				code = unknown_event(a, event, err);
			break;
		case EVENT_INTVAR:
			applier_on_intvar(a, event);
			break;
		case EVENT_ANNOTATE_ROWS:
			break;
		default:
			if (open)
				code = unknown_event(a, event, err);
		}
	}
	if (code == ERR_OK && ends && stage_is_open(a->stage))
		code = applier_finish_stage(a, err);
	if (code == ERR_OK && ends)
		code = group_end(a, err);
	return code;
}

static enum err_code handle(struct applier *a, const struct event *event, struct err *err)
{
	switch (event->type) {
	case EVENT_FORMAT_DESCRIPTION:
		return on_format(a, event, err);
	case EVENT_GTID:
		return group_start(a, event, err);
	case EVENT_HEARTBEAT:
		a->at_end = true;
		return ERR_OK;
	case EVENT_ROTATE:
	case EVENT_STOP:
	case EVENT_GTID_LIST:
	case EVENT_BINLOG_CHECKPOINT:
	case EVENT_START_ENCRYPTION:
		return ERR_OK;
	case EVENT_INCIDENT:
		return err_set(err, ERR_UNSUPPORTED,
		               "%s lost events of its log (an incident event); compare the tables and copy the data anew",
		               a->peer->where);
	default:
		if (a->group != GROUP_NONE)
			return in_group(a, event, err);
		return err_set(err, ERR_MALFORMED, "a %s event outside of a transaction in the log of %s",
		               event_type_name(event->type), a->peer->where);
	}
}

static struct gtid culprit_of(const struct applier *a)
{
	return a->batch.is_open && a->batch.last.seq != 0 ? a->batch.last : a->gtid.gtid;
}

/* A batch failed for a reason that won't pass by itself: the transactions ahead of the culprit shall not wait for it. */
static enum err_code failed(struct applier *a, enum err_code code, struct err *err)
{
	size_t transactions = a->batch.manifest.count;
	a->has_culprit = transactions > 0 || a->group != GROUP_NONE;
	a->culprit = culprit_of(a);
	a->whole = a->is_streaming;
	if (err_retryable(code) || transactions <= 1)
		return code;
	a->one_by_one = transactions;
	log_line(LOG_LEVEL_INFO, a->who, "going through %zu transactions one by one, since together they failed: %s",
	         transactions, err->message);
	return err_set(err, ERR_BUSY, "going through a batch transaction by transaction");
}

/* Server errors that come of the two sides' different rows, in the words of who has to mend it. */
static enum err_code explain(struct applier *a, enum err_code code, struct err *err)
{
	char text[GTID_TEXT_MAX];
	if (code != ERR_SERVER || !a->batch.is_open)
		return code;
	unsigned number = err->server_errno;
	struct gtid culprit = culprit_of(a);
	const char *gtid = gtid_format(&culprit, text);
	enum { NO_SUCH_TABLE = 1146 }; /* it was dropped */
	bool conflict = number == 1062 || number == 1032 || number == 1451 || number == 1452 || number == 1761 ||
	                number == NO_SUCH_TABLE;
	/* A local write may have come in between, which the next look will see. */
	unsigned patience = a->wary > 0 && number != NO_SUCH_TABLE ? 0 : CLASHES_MAX;
	if (conflict && ++a->clashes <= patience)
		return err_set(err, ERR_BUSY, "transaction %s met a local write (%u)", gtid, number);
	/* Of several together nobody knows yet which one it is. */
	if (conflict && number != NO_SUCH_TABLE && a->clashes <= patience + REPAIRS_MAX && a->batch.manifest.count <= 1) {
		a->repaired = culprit;
		log_line(LOG_LEVEL_WARNING, a->who,
		         "transaction %s doesn't fit the rows that are here, for a reason that is in no log: %s", gtid,
		         err->message);
		return err_set(err, ERR_BUSY, "looking for the rows that transaction %s meets", gtid);
	}
	err_wrap(err, "%stransaction %s can't be applied here", conflict ? "conflict: " : "", gtid);
	size_t size = strlen(err->message);
	snprintf(err->message + size, sizeof err->message - size,
	         "; mend the cause, or make the rows equal and pass over it with `syncline skip %s`", gtid);
	if (conflict)
		err->code = ERR_CONFLICT;
	return err->code;
}

/* Within a group the events are contiguous in the log. Each has a checksum, but nothing else tells that one is missing. */
static enum err_code check_contiguous(struct applier *a, const struct event *event, size_t size, struct err *err)
{
	bool made_up =
	    event->next_position == 0 || (event->flags & EVENT_FLAG_ARTIFICIAL) != 0 || event->type == EVENT_HEARTBEAT;
	if (made_up)
		return ERR_OK;
	uint32_t expected = a->log_end;
	a->log_end = event->next_position;
	if (a->group == GROUP_NONE || event->type == EVENT_GTID || event->type == EVENT_FORMAT_DESCRIPTION ||
	    event->next_position - (uint32_t)size == expected)
		return ERR_OK;
	return err_set(err, ERR_DISCONNECTED, "the stream from %s has a gap at %u of its log; reading it again",
	               a->peer->where, (unsigned)expected);
}

static void set_place(struct applier *a, const char *file, size_t size, uint64_t position)
{
	snprintf(a->place.file, sizeof a->place.file, "%.*s", (int)size, file);
	a->place.position = (uint32_t)position;
}

/* Where in the peer's log its events end. A heartbeat tells it where nothing was sent; then all up to there is
 * applied. */
static enum err_code follow_place(struct applier *a, const struct event *event, struct err *err)
{
	enum err_code code = ERR_OK;
	if (event->type == EVENT_ROTATE) {
		struct rotate_event rotate;
		code = rotate_parse(event, &rotate, err);
		if (code == ERR_OK)
			set_place(a, rotate.file, rotate.file_size, rotate.position);
	} else if (event->type == EVENT_HEARTBEAT) {
		struct heartbeat_event heartbeat;
		code = heartbeat_parse(event, &heartbeat, err);
		if (code == ERR_OK)
			set_place(a, heartbeat.file, heartbeat.file_size, heartbeat.position);
		if (code == ERR_OK && a->group == GROUP_NONE && !a->batch.is_open)
			a->committed_place = a->place;
	} else if (event->next_position != 0 && (event->flags & EVENT_FLAG_ARTIFICIAL) == 0) {
		a->place.position = event->next_position;
	}
	return code;
}

enum err_code applier_event(struct applier *a, const uint8_t *bytes, size_t size, struct err *err)
{
	struct event event;
	enum err_code code = event_parse(&a->format, bytes, size, &event, err);
	if (code == ERR_OK)
		code = check_contiguous(a, &event, size, err);
	if (code == ERR_OK)
		code = follow_place(a, &event, err);
	if (code == ERR_OK)
		code = handle(a, &event, err);
	return code == ERR_OK ? code : failed(a, explain(a, code, err), err);
}

enum err_code applier_idle(struct applier *a, struct err *err)
{
	if (a->group != GROUP_NONE)
		return ERR_OK;
	enum err_code code = applier_commit_batch(a, err);
	if (code == ERR_OK && a->position_moved && clock_monotonic_ms() - a->saved_ms >= SAVE_POSITION_MS) {
		struct server_position position = {.vector = a->committed, .latest = a->committed_latest};
		code = server_save_position(apply_connection(a->apply), a->peer->node_id, &position, err);
		a->saved_ms = clock_monotonic_ms();
		a->position_moved = code != ERR_OK;
	}
	return code == ERR_OK ? code : failed(a, explain(a, code, err), err);
}
