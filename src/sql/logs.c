#include "sql/logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void take_file(void *context, unsigned count, const char *const *columns)
{
	struct logs *logs = context;
	if (count < 2 || columns[0] == NULL || columns[1] == NULL)
		return;
	logs->files = mem_resize(logs->files, (logs->count + 1) * sizeof *logs->files);
	struct logs_file *file = &logs->files[logs->count++];
	snprintf(file->name, sizeof file->name, "%s", columns[0]);
	file->bytes = strtoull(columns[1], NULL, 10);
}

enum err_code logs_list(struct connection *connection, struct logs *logs, struct err *err)
{
	logs->count = 0;
	return connection_query(connection, "SHOW BINARY LOGS", take_file, logs, err);
}

enum err_code logs_last(struct connection *connection, struct logs *logs, struct err *err)
{
	logs->count = 0;
	return connection_query(connection, "SHOW MASTER STATUS", take_file, logs, err);
}

void logs_free(struct logs *logs)
{
	free(logs->files);
	*logs = (struct logs){0};
}

enum err_code logs_start(struct connection *connection, const char *file, struct vector *ret, struct err *err)
{
	struct buf sql = {0}, text = {0};
	buf_append_str(&sql, "SELECT BINLOG_GTID_POS(");
	sql_append_string(&sql, file, strlen(file));
	buf_append_str(&sql, ", 4)");
	bool found;
	enum err_code code = connection_value(connection, buf_str(&sql), sql.size, &text, &found, err);
	if (code == ERR_OK && !found)
		code = err_set(err, ERR_BUSY, "log file %s can't be read; was it purged just now?", file);
	if (code == ERR_OK)
		code = vector_parse(buf_str(&text), ret, err);
	buf_free(&sql);
	buf_free(&text);
	return code;
}

enum err_code logs_purge(struct connection *connection, const char *file, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "PURGE BINARY LOGS TO '"); /* the grammar takes no hexadecimal literal here */
	for (const char *c = file; *c != '\0'; c++)
		buf_printf(&sql, *c == '\'' ? "''" : "%c", *c);
	buf_append_str(&sql, "'");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

static void take_variable(void *context, unsigned count, const char *const *columns)
{
	struct buf *to = context;
	if (count >= 2 && columns[0] != NULL && columns[1] != NULL)
		buf_printf(to, "%s%s = %s", to->size > 0 ? ", " : "", columns[0], columns[1]);
}

/* The last two came with MariaDB 11.4 and are one setting; expire_logs_days only shows binlog_expire_logs_seconds. */
enum err_code logs_expiry(struct connection *connection, struct buf *to, struct err *err)
{
	return connection_query(connection,
	                        "SHOW GLOBAL VARIABLES WHERE Value+0<>0 AND Variable_name IN"
	                        " ('binlog_expire_logs_seconds','max_binlog_total_size')",
	                        take_variable, to, err);
}

enum err_code logs_folder(struct connection *connection, struct buf *to, struct err *err)
{
	static const char sql[] = "SELECT @@global.log_bin_basename";
	struct buf path = {0};
	enum err_code code = connection_value(connection, sql, sizeof sql - 1, &path, NULL, err);
	const char *text = code == ERR_OK ? buf_str(&path) : "";
	const char *slash = strrchr(text, '/');
	if (slash != NULL)
		buf_append(to, text, slash == text ? 1 : (size_t)(slash - text));
	buf_free(&path);
	return code;
}
