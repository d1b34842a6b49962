#include "sql/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row, one setting: what it must be, and how to mend it. NULL wants: it must be the node's number. */
static const struct requirement {
	const char *variable;
	const char *wants;
	const char *mend;
} requirements[] = {
    {"server_id", NULL, "each node needs a server_id of its own, equal to its node-id"},
    {"log_bin", "1", "set log_bin=mysql-bin under [mysqld] and restart MariaDB"},
    {"binlog_format", "ROW", "set binlog_format=ROW under [mysqld] and restart MariaDB"},
    {"binlog_row_image", "FULL", "set binlog_row_image=FULL under [mysqld] and restart MariaDB"},
    {"binlog_row_metadata", "FULL", "set binlog_row_metadata=FULL under [mysqld] and restart MariaDB"},
    {"gtid_domain_id", NULL, "set gtid_domain_id to the node-id under [mysqld] and restart MariaDB"},
};

struct check {
	const char *name;
	uint32_t node_id;
	struct err *err;
	enum err_code code;
};

static void check_row(void *context, unsigned count, const char *const *columns)
{
	struct check *check = context;
	for (unsigned i = 0; i < count && check->code == ERR_OK; i++) {
		const struct requirement *r = &requirements[i];
		const char *is = columns[i] ? columns[i] : "";
		bool right = r->wants ? strcmp(is, r->wants) == 0 : strtoul(is, NULL, 10) == check->node_id;
		if (right)
			continue;
		char wants[16];
		snprintf(wants, sizeof wants, "%u", (unsigned)check->node_id);
		check->code = err_set(check->err, ERR_CONFIG, "%s: %s is %s but must be %s; %s", check->name, r->variable,
		                      strcmp(r->variable, "log_bin") == 0 ? "off" : is,
		                      r->wants == NULL                      ? wants
		                      : strcmp(r->variable, "log_bin") == 0 ? "on"
		                                                            : r->wants,
		                      r->mend);
	}
}

enum err_code server_check(struct connection *connection, const char *name, uint32_t node_id, struct err *err)
{
	struct check check = {.name = name, .node_id = node_id, .err = err, .code = ERR_OK};
	struct buf sql = {0};
	for (size_t i = 0; i < sizeof requirements / sizeof *requirements; i++)
		buf_printf(&sql, "%s @@global.%s", i ? "," : "SELECT", requirements[i].variable);
	enum err_code code = connection_query(connection, buf_str(&sql), check_row, &check, err);
	buf_free(&sql);
	return code != ERR_OK ? code : check.code;
}

enum err_code server_prepare(struct connection *connection, struct err *err)
{
	enum err_code code = connection_run(connection,
	                                    "SET sql_log_bin=0;"
	                                    "CREATE DATABASE IF NOT EXISTS " SYNCLINE_SCHEMA ";"
	                                    "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE " ("
	                                    " peer INT UNSIGNED NOT NULL PRIMARY KEY,"
	                                    " position VARCHAR(4000) CHARACTER SET ascii NOT NULL,"
	                                    " manifest MEDIUMBLOB NOT NULL) ENGINE=InnoDB;"
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

enum err_code server_load_position(struct connection *connection, uint32_t peer, struct vector *ret_position,
                                   struct err *err)
{
	char sql[128];
	snprintf(sql, sizeof sql, "SELECT position FROM " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE " WHERE peer=%u",
	         (unsigned)peer);
	return read_vector(connection, sql, ret_position, err);
}

enum err_code server_save_position(struct connection *connection, uint32_t peer, const struct vector *position,
                                   struct err *err)
{
	struct buf sql = {0}, text = {0};
	vector_format(position, &text);
	buf_printf(&sql,
	           "SET sql_log_bin=0;"
	           "INSERT INTO " SYNCLINE_SCHEMA "." SYNCLINE_LINKS_TABLE " VALUES (%u,'%s','')"
	           " ON DUPLICATE KEY UPDATE position=VALUES(position);"
	           "SET sql_log_bin=1",
	           (unsigned)peer, buf_str(&text));
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&text);
	return code;
}
