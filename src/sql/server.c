#include "sql/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/logs.h"
#include "sql/requirements.h"

struct check {
	const char *name;
	struct requirement_node node;
	struct err *err;
	enum err_code code;
};

static void refuse(struct check *check, const struct requirement *r, const char *is)
{
	char wanted[REQUIREMENT_VALUE_MAX], option[REQUIREMENT_VALUE_MAX];
	requirement_wanted(r, &check->node, wanted);
	requirement_option(r, &check->node, option);
	if (requirement_same_value(wanted, "ON"))
		is = strcmp(is, "0") == 0 ? "off" : is;
	check->code = err_set(check->err, ERR_CONFIG,
	                      "%s: %s is %s but must be %s, since %s; put %s=%s under [mysqld] and restart MariaDB",
	                      check->name, r->variable, is, wanted, r->why, r->variable, option);
}

static void check_row(void *context, unsigned count, const char *const *columns)
{
	struct check *check = context;
	unsigned column = 0;
	for (size_t i = 0; i < requirement_count && check->code == ERR_OK; i++) {
		const struct requirement *r = &requirements[i];
		if (!r->must || column >= count)
			continue;
		const char *is = columns[column] ? columns[column] : "";
		if (!requirement_is_met(r, &check->node, is))
			refuse(check, r, is);
		column++;
	}
}

enum err_code server_check(struct connection *connection, const char *name, uint32_t node_id, struct err *err)
{
	struct check check = {.name = name, .node = {.id = node_id}, .err = err, .code = ERR_OK};
	struct buf sql = {0};
	for (size_t i = 0; i < requirement_count; i++)
		if (requirements[i].must)
			buf_printf(&sql, "%s @@global.%s", sql.size ? "," : "SELECT", requirements[i].variable);
	enum err_code code = connection_query(connection, buf_str(&sql), check_row, &check, err);
	buf_free(&sql);
	return code != ERR_OK ? code : check.code;
}

enum err_code server_prepare(struct connection *connection, struct err *err)
{
	enum err_code code =
	    connection_run(connection,
	                   "SET sql_log_bin=0;"
	                   "CREATE DATABASE IF NOT EXISTS " SYNCLINE_SCHEMA ";"
	                   "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE " ("
	                   " peer INT UNSIGNED NOT NULL PRIMARY KEY,"
	                   " position VARCHAR(4000) CHARACTER SET ascii NOT NULL,"
	                   " manifest LONGBLOB NOT NULL,"
	                   " latest INT UNSIGNED NOT NULL) ENGINE=InnoDB;"
	                   "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA "." SYNCLINE_RECORDED_TABLE " ("
	                   " id BIGINT UNSIGNED NOT NULL PRIMARY KEY,"
	                   " seq BIGINT UNSIGNED NOT NULL, KEY (seq)) ENGINE=InnoDB;"
	                   "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA "." SYNCLINE_FOUND_TABLE " ("
	                   " id BIGINT UNSIGNED NOT NULL PRIMARY KEY,"
	                   " database_name VARCHAR(64) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin NOT NULL,"
	                   " record LONGBLOB NOT NULL) ENGINE=InnoDB;"
	                   "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA "." SYNCLINE_FORGOTTEN_TABLE " ("
	                   " id INT UNSIGNED NOT NULL PRIMARY KEY,"
	                   " position VARCHAR(4000) CHARACTER SET ascii NOT NULL) ENGINE=InnoDB;"
	                   "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA "." SYNCLINE_POLICIES_TABLE " ("
	                   " database_name VARCHAR(64) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin NOT NULL,"
	                   " table_name VARCHAR(64) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin NOT NULL,"
	                   " hash BIGINT UNSIGNED NOT NULL,"
	                   " PRIMARY KEY (database_name, table_name)) ENGINE=InnoDB;"
	                   "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA "." SYNCLINE_MEMBERS_TABLE " ("
	                   " node INT UNSIGNED NOT NULL PRIMARY KEY,"
	                   " address VARCHAR(255) NOT NULL,"
	                   " authority TEXT NOT NULL,"
	                   " state ENUM('coming','admitted','joined','leaving','left') NOT NULL,"
	                   " counted BOOL NOT NULL DEFAULT 0,"
	                   " vector VARCHAR(4000) NOT NULL DEFAULT '',"
	                   " latest INT UNSIGNED NOT NULL DEFAULT 0) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;"
	                   "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA "." SYNCLINE_SEED_TABLE " ("
	                   " peer INT UNSIGNED NOT NULL PRIMARY KEY,"
	                   " position VARCHAR(4000) CHARACTER SET ascii NOT NULL,"
	                   " latest INT UNSIGNED NOT NULL,"
	                   " until VARCHAR(4000) CHARACTER SET ascii NOT NULL) ENGINE=InnoDB;"
	                   "SET sql_log_bin=1",
	                   err);
	return code == ERR_OK ? ERR_OK : err_wrap(err, "can't make the schema " SYNCLINE_SCHEMA);
}

enum err_code server_lock_link(struct connection *connection, uint32_t peer, struct err *err)
{
	enum { LOCK_TIMEOUT_S = 5 };
	char sql[80];
	struct buf value = {0};
	snprintf(sql, sizeof sql, "SELECT GET_LOCK('syncline.link.%u', %d)", (unsigned)peer, LOCK_TIMEOUT_S);
	enum err_code code = connection_value(connection, sql, strlen(sql), &value, NULL, err);
	if (code == ERR_OK && strcmp(buf_str(&value), "1") != 0)
		code = err_set(err, ERR_BUSY,
		               "another session applies the log of node %u to this server; is a second syncline running?",
		               (unsigned)peer);
	buf_free(&value);
	return code;
}

static enum err_code read_vector(struct connection *connection, const char *sql, struct vector *ret, struct err *err)
{
	struct buf text = {0};
	enum err_code code = connection_value(connection, sql, strlen(sql), &text, NULL, err);
	if (code == ERR_OK)
		code = vector_parse(buf_str(&text), ret, err);
	buf_free(&text);
	return code;
}

enum err_code server_vector(struct connection *connection, struct vector *ret_vector, struct err *err)
{
	return read_vector(connection, "SELECT @@global.gtid_binlog_pos", ret_vector, err);
}

struct vector_and_time {
	struct vector vector;
	int64_t us;
	bool is_good;
};

static void take_vector_and_time(void *context, unsigned count, const char *const *columns)
{
	struct vector_and_time *v = context;
	v->is_good =
	    count == 2 && columns[0] != NULL && columns[1] != NULL && vector_parse(columns[0], &v->vector, NULL) == ERR_OK;
	if (v->is_good)
		v->us = (int64_t)(strtod(columns[1], NULL) * 1e6);
}

/* @@timestamp: when the statement began, whatever the time zone (MariaDB sql/sys_vars.cc, Sys_timestamp). */
enum err_code server_vector_and_time(struct connection *connection, struct vector *ret_vector, int64_t *ret_us,
                                     struct err *err)
{
	struct vector_and_time answer = {0};
	enum err_code code = connection_query(connection, "SELECT @@global.gtid_binlog_pos, @@timestamp",
	                                      take_vector_and_time, &answer, err);
	if (code == ERR_OK && !answer.is_good)
		code = err_set(err, ERR_MALFORMED, "the server's answer is no vector and time");
	if (code == ERR_OK) {
		*ret_vector = answer.vector;
		*ret_us = answer.us;
	}
	return code;
}

static void take_position(void *context, unsigned count, const char *const *columns)
{
	struct server_position *position = context;
	if (count < 2 || columns[0] == NULL || columns[1] == NULL ||
	    vector_parse(columns[0], &position->vector, NULL) != ERR_OK)
		position->vector.count = 0;
	else
		position->latest = (uint32_t)strtoul(columns[1], NULL, 10);
}

enum err_code server_load_position(struct connection *connection, uint32_t peer, struct server_position *ret_position,
                                   struct err *err)
{
	char sql[128];
	struct server_position position = {0};
	snprintf(sql, sizeof sql, "SELECT position, latest FROM " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE " WHERE peer=%u",
	         (unsigned)peer);
	enum err_code code = connection_query(connection, sql, take_position, &position, err);
	if (code == ERR_OK)
		*ret_position = position;
	return code;
}

enum err_code server_save_position(struct connection *connection, uint32_t peer, const struct server_position *position,
                                   struct err *err)
{
	struct buf sql = {0}, text = {0};
	vector_format(&position->vector, &text);
	buf_printf(&sql,
	           "SET sql_log_bin=0;"
	           "INSERT INTO " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE " (peer, position, manifest, latest)"
	           " VALUES (%u,'%s','',%u) ON DUPLICATE KEY UPDATE position=VALUES(position), latest=VALUES(latest);"
	           "SET sql_log_bin=1",
	           (unsigned)peer, buf_str(&text), (unsigned)position->latest);
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&text);
	return code;
}

enum err_code server_load_forgotten(struct connection *connection, struct vector *ret_vector, struct err *err)
{
	return read_vector(connection, "SELECT position FROM " SYNCLINE_SCHEMA "." SYNCLINE_FORGOTTEN_TABLE " WHERE id=0",
	                   ret_vector, err);
}

enum err_code server_save_forgotten(struct connection *connection, const struct vector *vector, struct err *err)
{
	struct buf sql = {0}, text = {0};
	vector_format(vector, &text);
	buf_printf(&sql,
	           "SET sql_log_bin=0;REPLACE INTO " SYNCLINE_SCHEMA "." SYNCLINE_FORGOTTEN_TABLE " VALUES (0,'%s');"
	           "SET sql_log_bin=1",
	           buf_str(&text));
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&text);
	return code;
}

enum err_code server_save_unsettled(struct connection *connection, const struct vector *from, struct err *err)
{
	struct buf sql = {0}, text = {0};
	if (from != NULL)
		vector_format(from, &text);
	buf_printf(&sql,
	           "SET sql_log_bin=0;"
	           "%s " SYNCLINE_SCHEMA "." SYNCLINE_FORGOTTEN_TABLE " %s%s%s;"
	           "SET sql_log_bin=1",
	           from != NULL ? "REPLACE INTO" : "DELETE FROM", from != NULL ? "VALUES (1,'" : "WHERE id=1",
	           buf_str(&text), from != NULL ? "')" : "");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&text);
	return code;
}

enum err_code server_load_unsettled(struct connection *connection, bool *ret_is, struct vector *ret_from,
                                    struct err *err)
{
	static const char sql[] = "SELECT position FROM " SYNCLINE_SCHEMA "." SYNCLINE_FORGOTTEN_TABLE " WHERE id=1";
	struct buf text = {0};
	bool found;
	struct vector from = {0};
	enum err_code code = connection_value(connection, sql, sizeof sql - 1, &text, &found, err);
	if (code == ERR_OK && found)
		code = vector_parse(buf_str(&text), &from, err);
	if (code == ERR_OK) {
		*ret_is = found;
		*ret_from = from;
	}
	buf_free(&text);
	return code;
}

/* Where the oldest log file begins: behind that is nothing to read. */
static enum err_code oldest_position(struct connection *connection, struct vector *ret, struct err *err)
{
	struct logs logs = {0};
	enum err_code code = logs_list(connection, &logs, err);
	*ret = (struct vector){0};
	if (code == ERR_OK && logs.count > 0)
		code = logs_start(connection, logs.files[0].name, ret, err);
	logs_free(&logs);
	return code;
}

enum err_code server_first_position(struct connection *connection, uint32_t node, struct server_position *ret,
                                    struct err *err)
{
	struct vector oldest;
	struct server_position position;
	enum err_code code = oldest_position(connection, &oldest, err);
	if (code == ERR_OK)
		code = server_load_position(connection, node, &position, err);
	if (code == ERR_OK)
		code = vector_merge(&position.vector, &oldest, err);
	if (code == ERR_OK)
		*ret = position;
	return code;
}

enum err_code server_has_gap(struct connection *connection, uint32_t node, bool *ret, struct err *err)
{
	struct vector oldest;
	struct server_position position;
	enum err_code code = oldest_position(connection, &oldest, err);
	if (code == ERR_OK)
		code = server_load_position(connection, node, &position, err);
	if (code == ERR_OK)
		*ret = !vector_covers(&position.vector, &oldest);
	return code;
}

static void take_seed(void *context, unsigned count, const char *const *columns)
{
	struct server_seed *seed = context;
	if (count < 4 || columns[0] == NULL || columns[3] == NULL)
		return;
	take_position(&seed->from, 2, columns + 1);
	if (vector_parse(columns[3], &seed->until, NULL) == ERR_OK)
		seed->peer = (uint32_t)strtoul(columns[0], NULL, 10);
}

enum err_code server_load_seed(struct connection *connection, struct server_seed *ret, struct err *err)
{
	struct server_seed seed = {0};
	enum err_code code = connection_query(
	    connection, "SELECT peer, position, latest, until FROM " SYNCLINE_SCHEMA "." SYNCLINE_SEED_TABLE, take_seed,
	    &seed, err);
	if (code == ERR_OK)
		*ret = seed;
	return code;
}

enum err_code server_save_seed(struct connection *connection, const struct server_seed *seed, struct err *err)
{
	struct buf sql = {0}, from = {0}, until = {0};
	vector_format(&seed->from.vector, &from);
	vector_format(&seed->until, &until);
	buf_printf(&sql,
	           "SET sql_log_bin=0;BEGIN;DELETE FROM " SYNCLINE_SCHEMA "." SYNCLINE_SEED_TABLE
	           ";INSERT INTO " SYNCLINE_SCHEMA "." SYNCLINE_SEED_TABLE " VALUES (%u,'%s',%u,'%s');"
	           "COMMIT;SET sql_log_bin=1",
	           (unsigned)seed->peer, buf_str(&from), (unsigned)seed->from.latest, buf_str(&until));
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&from);
	buf_free(&until);
	return code;
}

enum err_code server_drop_seed(struct connection *connection, struct err *err)
{
	return connection_run(
	    connection, "SET sql_log_bin=0;DELETE FROM " SYNCLINE_SCHEMA "." SYNCLINE_SEED_TABLE ";SET sql_log_bin=1", err);
}
