#include "link/adopt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "link/native_link.h"
#include "node/settings_engine.h"

enum { LAG_S_MAX = 1, CALM_TIMEOUT_MS = 30 * 1000, POLL_MS = 100 };

/* What a server has to be, and whether that can be had while it runs. NULL: a number, see wanted(). */
static const struct requirement {
	const char *variable, *wants;
	enum { AT_RUN_TIME, WITH_RESTART, BEFORE } when; /* BEFORE: without it there is nothing to adopt */
} requirements[] = {
    {"server_id", NULL, BEFORE},
    {"log_bin", "1", BEFORE},
    {"binlog_format", "ROW", BEFORE},
    {"gtid_domain_id", NULL, AT_RUN_TIME},
    {"binlog_row_metadata", "FULL", AT_RUN_TIME},
    {"binlog_row_image", "FULL", AT_RUN_TIME},
    {"auto_increment_increment", NULL, AT_RUN_TIME},
    {"auto_increment_offset", NULL, AT_RUN_TIME},
    {"sync_binlog", "1", AT_RUN_TIME},
    {"innodb_flush_log_at_trx_commit", "1", AT_RUN_TIME},
    {"log_bin_trust_function_creators", "1", AT_RUN_TIME},
    {"log_slave_updates", "1", WITH_RESTART},
};

static void wanted(const struct settings *s, const struct requirement *r, char ret[64])
{
	bool is_step = strcmp(r->variable, "auto_increment_increment") == 0;
	if (r->wants != NULL)
		snprintf(ret, 64, "%s", r->wants);
	else
		snprintf(ret, 64, "%u", (unsigned)(is_step ? s->nodes[s->node_count - 1] : s->node_id));
}

struct looking {
	struct adopt *adopt;
	struct err *err;
	enum err_code code;
};

static void look_at_row(void *context, unsigned count, const char *const *columns)
{
	struct looking *looking = context;
	struct adopt *a = looking->adopt;
	for (unsigned i = 0; i < count && looking->code == ERR_OK; i++) {
		const struct requirement *r = &requirements[i];
		struct adopt_change change = {.variable = r->variable, .waits = r->when == WITH_RESTART};
		wanted(a->settings, r, change.wants);
		snprintf(change.is, sizeof change.is, "%s", columns[i] ? columns[i] : "");
		if (strcmp(change.is, change.wants) == 0)
			continue;
		if (r->when == BEFORE)
			looking->code = err_set(looking->err, ERR_CONFIG,
			                        "%s: %s is %s but must be %s; set it under [mysqld] and restart MariaDB first",
			                        a->settings->server_where, r->variable, change.is, change.wants);
		else
			a->changes[a->change_count++] = change;
	}
}

static enum err_code look_at_variables(struct adopt *a, struct err *err)
{
	struct looking looking = {.adopt = a, .err = err, .code = ERR_OK};
	struct buf sql = {0};
	for (size_t i = 0; i < sizeof requirements / sizeof *requirements; i++)
		buf_printf(&sql, "%s @@global.%s", i ? "," : "SELECT", requirements[i].variable);
	a->change_count = 0;
	enum err_code code = connection_query(a->here, buf_str(&sql), look_at_row, &looking, err);
	buf_free(&sql);
	return code != ERR_OK ? code : looking.code;
}

static enum err_code refuse_slave(const struct adopt *a, const char *what, struct err *err)
{
	return err_set(err, ERR_CONFIG, "%s: %s", a->settings->server_where, what);
}

static enum err_code check_slave(const struct adopt *a, const struct settings_connection *peer, struct err *err)
{
	const struct native_status *s = &a->slave;
	char text[600];
	if (!s->exists)
		return refuse_slave(
		    a, "no replication is set up here, so there is nothing to adopt; use engine = merge or native", err);
	if (s->sql_errno != 0 || s->io_errno != 0) {
		snprintf(text, sizeof text, "the replication has stopped: %.400s; mend it, START SLAVE, and try again",
		         s->sql_errno != 0 ? s->sql_error : s->io_error);
		return refuse_slave(a, text, err);
	}
	if (!s->io_runs || !s->sql_runs)
		return refuse_slave(a, "the replication doesn't run; START SLAVE, and try again when it is level", err);
	if (strcmp(s->host, peer->host) != 0 || s->port != (peer->port != 0 ? peer->port : 3306)) {
		snprintf(text, sizeof text,
		         "the replication is from %s:%u but [%s] says %s; make the host and port there the same", s->host,
		         s->port, a->settings->peers[0].group, a->settings->peers[0].where);
		return refuse_slave(a, text, err);
	}
	return ERR_OK;
}

/* With writers there is always something on its way; what matters is that no backlog stands behind the change. */
static enum err_code look_at_slave(struct adopt *a, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + CALM_TIMEOUT_MS;
	struct settings_connection peer = {0};
	enum err_code code = settings_connection_load(a->settings, &a->settings->peers[0], &peer, err);
	if (code == ERR_OK)
		code = native_select(a->here, "", err);
	while (code == ERR_OK) {
		code = native_status(a->here, &a->slave, err);
		if (code == ERR_OK)
			code = check_slave(a, &peer, err);
		if (code != ERR_OK || (a->slave.lag_seconds >= 0 && a->slave.lag_seconds <= LAG_S_MAX))
			break;
		if (clock_monotonic_ms() > deadline)
			code = refuse_slave(a, "the replication is behind; try again when Seconds_Behind_Master is 0", err);
		clock_sleep_ms(POLL_MS);
	}
	settings_connection_free(&peer);
	return code;
}

static enum err_code check_settings(const struct settings *s, struct err *err)
{
	if (s->peer_count != 1)
		return err_set(err, ERR_USAGE, "adopt is for a pair, but %s has %zu peers", s->file, s->peer_count);
	return settings_check_engine(s, ENGINE_NATIVE, err);
}

/* Before the first run of anything of ours there is no such table. */
static enum err_code load_mark(struct connection *connection, struct native_mark *ret, struct err *err)
{
	enum { NO_SUCH_TABLE = 1146 };
	enum err_code code = native_load_mark(connection, ret, err);
	return code == ERR_SERVER && err->server_errno == NO_SUCH_TABLE ? ERR_OK : code;
}

enum err_code adopt_look(const struct settings *settings, struct adopt *ret_adopt, struct err *err)
{
	struct adopt a = {.settings = settings, .here = connection_new(), .there = connection_new()};
	struct connection_target here = {
	    .file = settings->file, .group = settings->server_group, .name = settings->server_where};
	struct native_mark mark = {0};
	enum err_code code = check_settings(settings, err);
	if (code == ERR_OK)
		code = connection_open(a.here, &here, err);
	if (code == ERR_OK)
		code = look_at_variables(&a, err);
	if (code == ERR_OK)
		code = load_mark(a.here, &mark, err);
	a.is_done = mark.is_native;
	if (code == ERR_OK && !a.is_done)
		code = look_at_slave(&a, err);
	if (code == ERR_OK && !a.is_done) {
		struct connection_target there = {
		    .file = settings->file, .group = settings->peers[0].group, .name = settings->peers[0].where};
		code = connection_open(a.there, &there, err);
	}
	if (code == ERR_OK)
		*ret_adopt = a;
	else
		adopt_done(&a);
	return code;
}

void adopt_done(struct adopt *a)
{
	connection_free(a->here);
	connection_free(a->there);
	*a = (struct adopt){0};
}

static enum err_code set_variables(struct adopt *a, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; i < a->change_count && code == ERR_OK; i++) {
		char sql[200];
		const struct adopt_change *c = &a->changes[i];
		if (c->waits)
			continue;
		snprintf(sql, sizeof sql, "SET GLOBAL %s=%s", c->variable, c->wants);
		code = connection_run(a->here, sql, err);
	}
	return code;
}

/* What the peer's log held up to the place in it that is applied here. The slave is stopped. gtid_slave_pos is
 * committed with the rows, the place in the log isn't: after a crash of this server the place may be the older one. */
static enum err_code applied_position(struct adopt *a, struct vector *ret, struct err *err)
{
	struct native_status *s = &a->slave;
	struct buf sql = {0}, text = {0};
	struct vector applied, position;
	bool found = false;
	enum err_code code = native_status(a->here, s, err);
	if (code == ERR_OK)
		code = native_position(a->here, &applied, err);
	buf_append_str(&sql, "SELECT BINLOG_GTID_POS(");
	sql_append_string(&sql, s->log_file, strlen(s->log_file));
	buf_printf(&sql, ", %llu)", (unsigned long long)s->log_position);
	if (code == ERR_OK)
		code = connection_value(a->there, buf_str(&sql), sql.size, &text, &found, err);
	if (code == ERR_OK && !found)
		code = err_set(err, ERR_UNSUPPORTED,
		               "%s doesn't know place %llu of %s in its log, where this node's replication is",
		               a->settings->peers[0].where, (unsigned long long)s->log_position, s->log_file);
	if (code == ERR_OK)
		code = vector_parse(buf_str(&text), &position, err);
	for (uint32_t i = 0; code == ERR_OK && i < applied.count; i++)
		for (uint32_t j = 0; code == ERR_OK && j < position.count; j++)
			if (applied.gtids[i].domain == position.gtids[j].domain &&
			    applied.gtids[i].server == position.gtids[j].server)
				code = vector_advance(&position, &applied.gtids[i], err);
	if (code == ERR_OK)
		*ret = position;
	buf_free(&sql);
	buf_free(&text);
	return code;
}

/* For engine = merge, one day: the links and the tail start here, since what is before has no row metadata. */
static enum err_code save_positions(struct adopt *a, const struct vector *applied, struct err *err)
{
	struct server_position link = {.vector = *applied, .latest = (uint32_t)clock_wall_s()}, own = link;
	enum err_code code = server_vector(a->here, &own.vector, err);
	if (code == ERR_OK)
		code = server_save_position(a->here, a->settings->peers[0].node_id, &link, err);
	return code == ERR_OK ? server_save_position(a->here, a->settings->node_id, &own, err) : code;
}

enum err_code adopt_do(struct adopt *a, struct err *err)
{
	struct vector position;
	const struct settings *s = a->settings;
	enum err_code code = set_variables(a, err);
	if (code == ERR_OK)
		code = server_prepare(a->here, err);
	if (code == ERR_OK)
		code = native_prepare(a->here, err);
	if (code == ERR_OK)
		code = settings_engine_write(s->file, ENGINE_NATIVE, err);
	if (code != ERR_OK || a->is_done)
		return code;
	code = native_stop(a->here, err);
	if (code == ERR_OK)
		code = applied_position(a, &position, err);
	if (code == ERR_OK)
		code = native_set_position(a->here, &position, err);
	if (code == ERR_OK)
		code = save_positions(a, &position, err);
	struct native_mark mark = {.is_native = true, .is_set_up = true};
	if (code == ERR_OK)
		code = native_save_mark(a->here, &mark, err);
	if (code == ERR_OK)
		code = native_link_set_up(s, &s->peers[0], a->here, err);
	/* Whatever failed: as it was, or as it will be, it is to run. */
	struct err ignored;
	enum err_code start_code = native_start(a->here, code == ERR_OK ? err : &ignored);
	return code == ERR_OK ? start_code : code;
}
