#include "link/bookkeeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/sync_row.h"
#include "link/thread.h"

enum {
	LOOK_MS = 2000,
	SOON_MS = 500, /* until it could look for the first time */
	READ_TIMEOUT_S = 20,
	ERROR_BYTES_MAX = 1024,
	NO_SUCH_TABLE = 1146,
	NO_SUCH_DATABASE = 1049,
	NO_SUCH_COLUMN = 1054, /* it is somebody's own table of that name */
};

struct kept_row {
	char name[TOUCHED_NAME_MAX];
	int64_t time_s;
	enum sync_status status;
	char error[ERROR_BYTES_MAX];
};

struct bookkeeper {
	const struct settings *settings;
	struct state *state;
	size_t link_count;
	struct link *const *links;
	struct connection_target target;
	struct connection *connection;
	pthread_t thread;
	bool started;
	struct vector counted; /* the log as it was when the conflicts were counted, where no tail tells */
	bool has_counted;
	int64_t written_ms;  /* of sync_metadata */
	uint64_t generation; /* of the schema, when it was looked for */
	bool has_looked;
	size_t database_count; /* that have it */
	const char *databases[64];
	size_t kept_count; /* this node's rows in the database at hand */
	struct kept_row *kept;
	char failed[ERROR_BYTES_MAX], told[256];
	struct buf done; /* what was last written, or found to be there, of each table */
};

static enum err_code open_connection(struct bookkeeper *b, struct err *err)
{
	if (connection_is_open(b->connection))
		return ERR_OK;
	b->has_looked = b->has_counted = false;
	buf_clear(&b->done);
	enum err_code code = connection_open(b->connection, &b->target, err);
	return code == ERR_OK
	           ? connection_run(b->connection, "SET SESSION time_zone='+00:00', innodb_lock_wait_timeout=3", err)
	           : code;
}

/* ---- Open conflicts ---- */

static bool is_absent(const struct err *err)
{
	return err->code == ERR_SERVER && (err->server_errno == NO_SUCH_TABLE || err->server_errno == NO_SUCH_DATABASE ||
	                                   err->server_errno == NO_SUCH_COLUMN);
}

static enum err_code count_in(struct bookkeeper *b, const char *database, uint64_t *count, struct err *err)
{
	struct buf sql = {0}, value = {0};
	buf_append_str(&sql, "SELECT COUNT(*) FROM ");
	sql_append_name(&sql, database);
	buf_append_str(&sql, "." BOOKKEEPER_CONFLICTS " WHERE COALESCE(resolved, 0)=0");
	enum err_code code = connection_value(b->connection, buf_str(&sql), sql.size, &value, NULL, err);
	if (code == ERR_OK)
		*count += strtoull(buf_str(&value), NULL, 10);
	else if (is_absent(err))
		code = ERR_OK;
	buf_free(&sql);
	buf_free(&value);
	return code;
}

static enum err_code count_conflicts(struct bookkeeper *b, struct err *err)
{
	struct state_view view;
	uint64_t count = 0;
	state_view(b->state, &view);
	bool has_moved = b->link_count == 0 && !vector_equal(&view.written, &b->counted);
	if (!touched_take_conflicts(state_touched(b->state)) && b->has_counted && !has_moved)
		return ERR_OK;
	enum err_code code = open_connection(b, err);
	for (size_t i = 0; code == ERR_OK && i < b->settings->database_count; i++)
		code = count_in(b, b->settings->databases[i], &count, err);
	if (code == ERR_OK)
		state_set_conflicts(b->state, count);
	b->counted = view.written;
	b->has_counted = code == ERR_OK;
	return code;
}

/* ---- sync_metadata ---- */

static void take_database(void *context, unsigned count, const char *const *columns)
{
	struct bookkeeper *b = context;
	for (size_t i = 0; count > 0 && columns[0] != NULL && i < b->settings->database_count; i++)
		if (strcmp(columns[0], b->settings->databases[i]) == 0 &&
		    b->database_count < sizeof b->databases / sizeof *b->databases)
			b->databases[b->database_count++] = b->settings->databases[i];
}

/* Where it is as the guide makes it. */
static enum err_code find_tables(struct bookkeeper *b, struct err *err)
{
	uint64_t generation = state_generation(b->state);
	if (b->has_looked && generation == b->generation)
		return ERR_OK;
	enum err_code code = open_connection(b, err);
	b->database_count = 0;
	if (code == ERR_OK)
		code =
		    connection_query(b->connection,
		                     "SELECT table_schema FROM information_schema.columns WHERE table_name='" BOOKKEEPER_TABLE
		                     "' AND column_name IN ('node_id','table_name','last_sync_timestamp','sync_status',"
		                     "'error_message') GROUP BY table_schema HAVING COUNT(*)=5",
		                     take_database, b, err);
	b->generation = generation;
	b->has_looked = code == ERR_OK;
	return code;
}

/* Why changes don't come here: the first link that is stopped. */
static void find_failed(struct bookkeeper *b)
{
	struct link_view view;
	b->failed[0] = '\0';
	for (size_t i = 0; i < b->link_count && b->failed[0] == '\0'; i++) {
		link_view(b->links[i], &view);
		if (view.state == LINK_STOPPED || view.state == LINK_MUST_REJOIN)
			snprintf(b->failed, sizeof b->failed, "link from node %u: %s: %s", (unsigned)view.peer,
			         link_state_name(view.state), view.why);
	}
}

static void take_kept(void *context, unsigned count, const char *const *columns)
{
	struct bookkeeper *b = context;
	struct kept_row row = {0};
	if (count < 4 || columns[0] == NULL || columns[1] == NULL || columns[2] == NULL ||
	    !sync_row_parse_status(columns[2], &row.status))
		return;
	snprintf(row.name, sizeof row.name, "%s", columns[0]);
	row.time_s = strtoll(columns[1], NULL, 10);
	snprintf(row.error, sizeof row.error, "%s", columns[3] != NULL ? columns[3] : "");
	b->kept = mem_resize(b->kept, (b->kept_count + 1) * sizeof *b->kept);
	b->kept[b->kept_count++] = row;
}

static enum err_code load_kept(struct bookkeeper *b, const char *database, struct err *err)
{
	struct buf sql = {0};
	b->kept_count = 0;
	buf_append_str(&sql, "SELECT table_name, UNIX_TIMESTAMP(last_sync_timestamp), sync_status, error_message FROM ");
	sql_append_name(&sql, database);
	buf_printf(&sql, "." BOOKKEEPER_TABLE " WHERE node_id='node%u'", (unsigned)b->settings->node_id);
	enum err_code code = connection_query(b->connection, buf_str(&sql), take_kept, b, err);
	buf_free(&sql);
	return code;
}

static const struct kept_row *find_kept(const struct bookkeeper *b, const char *name)
{
	for (size_t i = 0; i < b->kept_count; i++)
		if (strcmp(b->kept[i].name, name) == 0)
			return &b->kept[i];
	return NULL;
}

static void append_row(const struct bookkeeper *b, const char *database, struct sync_row row, struct buf *sql)
{
	const struct kept_row *kept = find_kept(b, row.name);
	if (kept != NULL && row.time_s < kept->time_s)
		row.time_s = kept->time_s;
	if (kept == NULL ? row.time_s != 0 : sync_row_differs(&row, kept->time_s, kept->status, kept->error))
		sync_row_append_sql(&row, database, b->settings->node_id, kept != NULL, sql);
}

static enum err_code write_database(struct bookkeeper *b, const char *database, const struct touched_table *tables,
                                    size_t table_count, struct err *err)
{
	struct buf sql = {0};
	enum err_code code = load_kept(b, database, err);
	buf_append_str(&sql, "BEGIN;");
	size_t empty = sql.size;
	int64_t now_ms = clock_monotonic_ms();
	for (size_t i = 0; code == ERR_OK && i < table_count; i++)
		if (strcmp(tables[i].database, database) == 0)
			append_row(b, database, sync_row_make(&tables[i], b->failed, now_ms), &sql);
	for (size_t i = 0; code == ERR_OK && i < b->kept_count; i++) {
		struct sync_row row = sync_row_keep(b->kept[i].name, b->kept[i].time_s, b->failed);
		bool is_touched = false;
		for (size_t j = 0; j < table_count && !is_touched; j++)
			is_touched = strcmp(tables[j].database, database) == 0 &&
			             strcmp(sync_row_make(&tables[j], "", now_ms).name, row.name) == 0;
		if (!is_touched)
			append_row(b, database, row, &sql);
	}
	if (code == ERR_OK && sql.size > empty) {
		buf_append_str(&sql, "COMMIT");
		code = connection_run_n(b->connection, buf_str(&sql), sql.size, err);
	}
	buf_free(&sql);
	return code;
}

/* What the rows are to say, as bytes: only when that changes is the server asked. */
static void describe(const struct bookkeeper *b, const struct touched_table *tables, size_t count, struct buf *to)
{
	int64_t now_ms = clock_monotonic_ms();
	for (size_t i = 0; i < count; i++) {
		struct sync_row row = sync_row_make(&tables[i], b->failed, now_ms);
		buf_printf(to, "%s/%s %lld %d\n", tables[i].database, row.name, (long long)row.time_s, (int)row.status);
	}
	for (size_t i = 0; i < b->database_count; i++)
		buf_printf(to, "%s\n", b->databases[i]);
	buf_append_str(to, b->failed);
}

static enum err_code keep_tables(struct bookkeeper *b, struct err *err)
{
	struct touched *touched = state_touched(b->state);
	int64_t now_ms = clock_monotonic_ms();
	if (b->settings->sync_metadata_period_s == 0 || b->link_count == 0 ||
	    now_ms - b->written_ms < (int64_t)b->settings->sync_metadata_period_s * 1000)
		return ERR_OK;
	enum err_code code = find_tables(b, err);
	if (code != ERR_OK || b->database_count == 0)
		return code;
	find_failed(b);
	touched_arrived(touched, state_arrived_seq(b->state), clock_wall_s(), now_ms);
	size_t count;
	struct touched_table *tables = touched_copy(touched, &count);
	struct buf wanted = {0};
	describe(b, tables, count, &wanted);
	if (wanted.size != b->done.size || (wanted.size > 0 && memcmp(wanted.data, b->done.data, wanted.size) != 0)) {
		code = open_connection(b, err);
		for (size_t i = 0; code == ERR_OK && i < b->database_count; i++)
			code = write_database(b, b->databases[i], tables, count, err);
		buf_clear(&b->done);
		if (code == ERR_OK)
			buf_append(&b->done, wanted.data, wanted.size);
		b->written_ms = now_ms;
	}
	buf_free(&wanted);
	free(tables);
	return code;
}

/* ---- The thread ---- */

static void look(struct bookkeeper *b)
{
	struct err err = {0};
	struct state_view view;
	state_view(b->state, &view);
	if (!view.tail_live) /* the server is away, or the log isn't read up to now */
		return;
	enum err_code code = count_conflicts(b, &err);
	if (code == ERR_OK)
		code = keep_tables(b, &err);
	if (code == ERR_OK || state_is_stopping(b->state)) {
		b->told[0] = '\0';
		return;
	}
	touched_note_conflicts(state_touched(b->state));
	connection_close(b->connection);
	char why[sizeof b->told];
	snprintf(why, sizeof why, "%.*s", (int)sizeof why - 1, err.message);
	if (code != ERR_DISCONNECTED && strcmp(b->told, why) != 0)
		log_line(LOG_LEVEL_INFO, "bookkeeper", "can't count conflicts or write " BOOKKEEPER_TABLE ": %s", err.message);
	memcpy(b->told, why, sizeof why);
}

static void *bookkeeper_main(void *context)
{
	struct bookkeeper *b = context;
	int64_t due_ms = 0, period_ms = (int64_t)b->settings->sync_metadata_period_s * 1000;
	int64_t look_ms = period_ms != 0 && period_ms < LOOK_MS ? period_ms : LOOK_MS;
	while (!state_is_stopping(b->state)) {
		int64_t now_ms = clock_monotonic_ms();
		if (now_ms >= due_ms) {
			look(b);
			struct state_view view;
			state_view(b->state, &view);
			due_ms = clock_monotonic_ms() + (view.conflicts_known ? look_ms : SOON_MS);
		} else {
			state_sleep(b->state, due_ms - now_ms);
		}
	}
	return NULL;
}

enum err_code bookkeeper_start(const struct settings *settings, struct state *state, struct link *const *links,
                               size_t link_count, struct bookkeeper **ret_bookkeeper, struct err *err)
{
	struct bookkeeper *b = mem_alloc(sizeof *b);
	b->settings = settings;
	b->state = state;
	b->links = links;
	b->link_count = link_count;
	b->written_ms = INT64_MIN / 2;
	b->target = (struct connection_target){.file = settings->file,
	                                       .group = settings->server_group,
	                                       .name = settings->server_where,
	                                       .read_timeout_s = READ_TIMEOUT_S};
	b->connection = connection_new();
	enum err_code code = thread_start(&b->thread, bookkeeper_main, b, err);
	b->started = code == ERR_OK;
	if (code == ERR_OK)
		*ret_bookkeeper = b;
	else
		bookkeeper_stop(b);
	return code;
}

void bookkeeper_stop(struct bookkeeper *b)
{
	if (b == NULL)
		return;
	if (b->started) {
		connection_abort(b->connection);
		pthread_join(b->thread, NULL);
	}
	connection_free(b->connection);
	buf_free(&b->done);
	free(b->kept);
	free(b);
}
