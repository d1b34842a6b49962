#include "sql/native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/connection_internal.h"
#include "sql/hide.h"

enum {
	NO_SUCH_CONNECTION = 1617, /* WARN_NO_MASTER_INFO */
	/* A peer that is cut off is found out and tried again in seconds, as by our own links. */
	CONNECT_RETRY_S = 2,
	HEARTBEAT_S = 1,
	SILENT_S = 10,
};

/* Text */

/* CHANGE MASTER takes no hexadecimal literal; the session's sql_mode is empty (native_select), so a backslash
 * escapes. */
static void append_text(struct buf *to, const char *text)
{
	buf_append_u8(to, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			buf_append_u8(to, '\\');
		buf_append_u8(to, (uint8_t)*text);
	}
	buf_append_u8(to, '\'');
}

void native_append_change_master(const struct native_source *s, struct buf *to)
{
	const struct {
		const char *name, *value;
	} texts[] = {{"USER", s->user},
	             {"PASSWORD", s->password ? s->password : ""},
	             {"SSL_CA", s->ssl_ca},
	             {"SSL_CAPATH", s->ssl_capath},
	             {"SSL_CERT", s->ssl_cert},
	             {"SSL_KEY", s->ssl_key},
	             {"SSL_CRL", s->ssl_crl},
	             {"SSL_CRLPATH", s->ssl_crlpath},
	             {"SSL_CIPHER", s->ssl_cipher}};
	bool ssl = s->ssl_verify;
	buf_append_str(to, "CHANGE MASTER TO MASTER_HOST=");
	append_text(to, s->host);
	buf_printf(to, ", MASTER_PORT=%u", s->port != 0 ? s->port : 3306);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		bool given = texts[i].value != NULL;
		ssl = ssl || (given && strncmp(texts[i].name, "SSL", 3) == 0);
		buf_printf(to, ", MASTER_%s=", texts[i].name); /* one that isn't given may be there from before */
		append_text(to, given ? texts[i].value : "");
	}
	buf_printf(to, ", MASTER_SSL=%d, MASTER_SSL_VERIFY_SERVER_CERT=%d", ssl, s->ssl_verify);
	buf_printf(to, ", MASTER_CONNECT_RETRY=%d, MASTER_HEARTBEAT_PERIOD=%d, MASTER_USE_GTID=slave_pos", CONNECT_RETRY_S,
	           HEARTBEAT_S);
	/* Nothing by domain: what is ignored that way counts as applied, whichever peer would have brought it (seen on
	 * 10.11.19). */
	buf_append_str(to, ", IGNORE_DOMAIN_IDS=(), DO_DOMAIN_IDS=()");
}

/* One pattern a database: `_` and `%` in its name stand for themselves. */
static void append_pattern(struct buf *to, const char *database)
{
	for (; *database != '\0'; database++) {
		if (*database == '_' || *database == '%' || *database == '\\')
			buf_append_u8(to, '\\');
		buf_append_u8(to, (uint8_t)*database);
	}
	buf_append_str(to, ".%");
}

void native_append_patterns(char *const *databases, size_t database_count, struct buf *to)
{
	for (size_t i = 0; i < database_count; i++) {
		if (i > 0)
			buf_append_u8(to, ',');
		append_pattern(to, databases[i]);
	}
}

void native_append_filter(char *const *databases, size_t database_count, struct buf *to)
{
	static const char *const others[] = {"do_db", "ignore_db", "do_table", "ignore_table", "wild_ignore_table"};
	struct buf patterns = {0};
	native_append_patterns(databases, database_count, &patterns);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		buf_printf(to, "SET GLOBAL replicate_%s='';", others[i]);
	buf_append_str(to, "SET GLOBAL replicate_wild_do_table=");
	append_text(to, buf_str(&patterns));
	buf_free(&patterns);
}

/* Statements */

enum err_code native_select(struct connection *connection, const char *name, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SET SESSION sql_mode='', default_master_connection=");
	append_text(&sql, name);
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

static bool is_absent(const struct err *err)
{
	return err->code == ERR_SERVER && err->server_errno == NO_SUCH_CONNECTION;
}

enum err_code native_stop(struct connection *connection, struct err *err)
{
	enum err_code code = connection_run(connection, "STOP SLAVE", err);
	return code != ERR_OK && is_absent(err) ? ERR_OK : code;
}

enum err_code native_start(struct connection *connection, struct err *err)
{
	return connection_run(connection, "START SLAVE", err);
}

enum err_code native_remove(struct connection *connection, struct err *err)
{
	struct buf sql = {0};
	enum err_code code = native_stop(connection, err);
	native_append_filter(NULL, 0, &sql);
	if (code == ERR_OK)
		code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	if (code == ERR_OK)
		code = connection_run(connection, "RESET SLAVE ALL", err);
	buf_free(&sql);
	return code != ERR_OK && is_absent(err) ? ERR_OK : code;
}

enum err_code native_set_up(struct connection *connection, const struct native_source *source, char *const *databases,
                            size_t database_count, struct err *err)
{
	struct buf sql = {0};
	enum err_code code = ERR_OK;
	native_append_change_master(source, &sql);
	/* Neither of the server's logs of statements may have a password. */
	if (source->password != NULL && *source->password != '\0')
		code = connection_run(connection, "SET SESSION sql_log_off=1, slow_query_log=0", err);
	if (code == ERR_OK)
		code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	explicit_bzero(sql.data, sql.capacity);
	buf_clear(&sql);
	if (code != ERR_OK)
		err_wrap(err, "CHANGE MASTER");
	buf_printf(&sql, "SET GLOBAL slave_net_timeout=%d;", SILENT_S);
	native_append_filter(databases, database_count, &sql);
	if (code == ERR_OK)
		code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

/* Status */

static bool is_yes(const char *value)
{
	return strcmp(value, "Yes") == 0;
}

static void take_vector(const char *value, struct vector *ret)
{
	if (vector_parse(value, ret, NULL) != ERR_OK)
		ret->count = 0;
}

struct log_place {
	char file[256];
	uint64_t position;
};

static void take_column(struct native_status *s, struct log_place *read, const char *name, const char *value)
{
	const struct {
		const char *name;
		char *to;
		size_t size;
	} texts[] = {{"Last_IO_Error", s->io_error, sizeof s->io_error},
	             {"Last_SQL_Error", s->sql_error, sizeof s->sql_error},
	             {"Using_Gtid", s->gtid_mode, sizeof s->gtid_mode},
	             {"Master_Host", s->host, sizeof s->host},
	             {"Relay_Master_Log_File", s->log_file, sizeof s->log_file},
	             {"Master_Log_File", read->file, sizeof read->file}};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (strcmp(name, texts[i].name) == 0)
			snprintf(texts[i].to, texts[i].size, "%s", value);
	if (strcmp(name, "Slave_IO_Running") == 0) {
		s->io_runs = is_yes(value);
		s->io_connects = strcmp(value, "Connecting") == 0 || strcmp(value, "Preparing") == 0;
	} else if (strcmp(name, "Slave_SQL_Running") == 0) {
		s->sql_runs = is_yes(value);
	} else if (strcmp(name, "Last_IO_Errno") == 0) {
		s->io_errno = (unsigned)strtoul(value, NULL, 10);
	} else if (strcmp(name, "Last_SQL_Errno") == 0) {
		s->sql_errno = (unsigned)strtoul(value, NULL, 10);
	} else if (strcmp(name, "Master_Port") == 0) {
		s->port = (unsigned)strtoul(value, NULL, 10);
	} else if (strcmp(name, "Exec_Master_Log_Pos") == 0) {
		s->log_position = strtoull(value, NULL, 10);
	} else if (strcmp(name, "Read_Master_Log_Pos") == 0) {
		read->position = strtoull(value, NULL, 10);
	} else if (strcmp(name, "Seconds_Behind_Master") == 0) {
		s->lag_seconds = *value != '\0' ? strtoll(value, NULL, 10) : -1;
	} else if (strcmp(name, "Gtid_IO_Pos") == 0) {
		take_vector(value, &s->read);
	}
}

static void hide_error(unsigned number, char *text, size_t size)
{
	struct buf hidden = {0};
	hide_values(number, text, &hidden);
	snprintf(text, size, "%s", buf_str(&hidden));
	buf_free(&hidden);
}

enum err_code native_status(struct connection *connection, struct native_status *ret_status, struct err *err)
{
	MYSQL *mysql = connection_mysql(connection);
	struct native_status status = {.lag_seconds = -1};
	struct log_place read = {0};
	if (mysql == NULL || mysql_query(mysql, "SHOW SLAVE STATUS") != 0) {
		enum err_code code = connection_error(connection, err);
		if (!is_absent(err))
			return code;
		*ret_status = status;
		return ERR_OK;
	}
	MYSQL_RES *result = mysql_store_result(mysql);
	if (result == NULL)
		return connection_error(connection, err);
	MYSQL_ROW row = mysql_fetch_row(result);
	const MYSQL_FIELD *fields = mysql_fetch_fields(result);
	status.exists = row != NULL;
	for (unsigned i = 0; row != NULL && i < mysql_num_fields(result); i++)
		take_column(&status, &read, fields[i].name, row[i] != NULL ? row[i] : "");
	mysql_free_result(result);
	hide_error(status.io_errno, status.io_error, sizeof status.io_error);
	hide_error(status.sql_errno, status.sql_error, sizeof status.sql_error);
	status.uses_gtid = status.exists && strcmp(status.gtid_mode, "No") != 0;
	status.is_drained =
	    status.exists && status.log_position == read.position && strcmp(status.log_file, read.file) == 0;
	*ret_status = status;
	return ERR_OK;
}

enum err_code native_position(struct connection *connection, struct vector *ret_position, struct err *err)
{
	static const char sql[] = "SELECT @@global.gtid_slave_pos";
	struct buf text = {0};
	enum err_code code = connection_value(connection, sql, sizeof sql - 1, &text, NULL, err);
	if (code == ERR_OK)
		code = vector_parse(buf_str(&text), ret_position, err);
	buf_free(&text);
	return code;
}

enum err_code native_logs_applied(struct connection *connection, bool *ret, struct err *err)
{
	static const char sql[] = "SELECT @@global.log_slave_updates";
	struct buf value = {0};
	enum err_code code = connection_value(connection, sql, sizeof sql - 1, &value, NULL, err);
	if (code == ERR_OK)
		*ret = strcmp(buf_str(&value), "1") == 0;
	buf_free(&value);
	return code;
}

enum err_code native_ignore_duplicates(struct connection *connection, struct err *err)
{
	static const char sql[] = "SELECT @@global.gtid_ignore_duplicates";
	struct buf value = {0};
	enum err_code code = connection_value(connection, sql, sizeof sql - 1, &value, NULL, err);
	if (code == ERR_OK && strcmp(buf_str(&value), "1") != 0)
		code = connection_run(connection, "SET GLOBAL gtid_ignore_duplicates=1", err);
	buf_free(&value);
	return code;
}

enum err_code native_set_position(struct connection *connection, const struct vector *position, struct err *err)
{
	struct buf sql = {0}, text = {0};
	vector_format(position, &text);
	/* In strict mode the server refuses a position behind its own log, which this node's own domain has. */
	buf_printf(&sql,
	           "SET @syncline_strict=@@global.gtid_strict_mode, GLOBAL gtid_strict_mode=0;"
	           "SET GLOBAL gtid_slave_pos='%s';"
	           "SET GLOBAL gtid_strict_mode=@syncline_strict",
	           buf_str(&text));
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&text);
	return code;
}

/* The mark */

enum err_code native_prepare(struct connection *connection, struct err *err)
{
	return connection_run(connection,
	                      "SET sql_log_bin=0;"
	                      "CREATE TABLE IF NOT EXISTS " SYNCLINE_SCHEMA ".engine ("
	                      " one INT UNSIGNED NOT NULL PRIMARY KEY,"
	                      " engine VARCHAR(16) CHARACTER SET ascii NOT NULL,"
	                      " set_up INT UNSIGNED NOT NULL) ENGINE=InnoDB;"
	                      "SET sql_log_bin=1",
	                      err);
}

static void take_mark(void *context, unsigned count, const char *const *columns)
{
	struct native_mark *mark = context;
	if (count < 2 || columns[0] == NULL || columns[1] == NULL)
		return;
	mark->is_native = strcmp(columns[0], "native") == 0;
	mark->is_set_up = strcmp(columns[1], "0") != 0;
}

enum err_code native_load_mark(struct connection *connection, struct native_mark *ret_mark, struct err *err)
{
	struct native_mark mark = {0};
	enum err_code code =
	    connection_query(connection, "SELECT engine, set_up FROM " SYNCLINE_SCHEMA ".engine", take_mark, &mark, err);
	if (code == ERR_OK)
		*ret_mark = mark;
	return code;
}

enum err_code native_save_mark(struct connection *connection, const struct native_mark *mark, struct err *err)
{
	char sql[256];
	snprintf(sql, sizeof sql,
	         "SET sql_log_bin=0;REPLACE INTO " SYNCLINE_SCHEMA ".engine VALUES (1,'%s',%d);SET sql_log_bin=1",
	         mark->is_native ? "native" : "merge", mark->is_set_up);
	return connection_run(connection, sql, err);
}
