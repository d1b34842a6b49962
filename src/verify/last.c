#include "verify/last.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NO_SUCH_DATABASE = 1049, NO_SUCH_TABLE = 1146 };

static const char prepare_sql[] = "SET SESSION sql_log_bin=0;"
                                  "CREATE TABLE IF NOT EXISTS syncline.verified ("
                                  " id INT UNSIGNED NOT NULL PRIMARY KEY, time BIGINT NOT NULL,"
                                  " result ENUM('equal','different','unknown') NOT NULL, tables INT UNSIGNED NOT NULL,"
                                  " row_count BIGINT UNSIGNED NOT NULL, different_rows BIGINT UNSIGNED NOT NULL,"
                                  " details LONGTEXT NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;";

enum err_code verified_save(struct connection *connection, const struct verified *v, const char *details,
                            struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, prepare_sql);
	buf_printf(&sql, "REPLACE INTO syncline.verified VALUES (1,%" PRId64 ",'%s',%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",",
	           v->time, verify_verdict_name(v->verdict), v->tables, v->rows, v->different_rows);
	sql_append_text(&sql, details);
	buf_append_str(&sql, ");SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

static void take(void *context, unsigned count, const char *const *v)
{
	struct verified *verified = context;
	for (unsigned i = 0; i < count; i++)
		if (count < 5 || v[i] == NULL)
			return;
	*verified = (struct verified){.is_known = true,
	                              .time = strtoll(v[0], NULL, 10),
	                              .verdict = VERIFY_UNKNOWN,
	                              .tables = strtoull(v[2], NULL, 10),
	                              .rows = strtoull(v[3], NULL, 10),
	                              .different_rows = strtoull(v[4], NULL, 10)};
	for (enum verify_verdict i = VERIFY_EQUAL; i < VERIFY_UNKNOWN; i++)
		if (strcmp(v[1], verify_verdict_name(i)) == 0)
			verified->verdict = i;
}

enum err_code verified_load(struct connection *connection, struct verified *ret, struct err *err)
{
	struct verified verified = {0};
	struct err own;
	enum err_code code = connection_query(
	    connection, "SELECT time,result,tables,row_count,different_rows FROM syncline.verified WHERE id=1", take,
	    &verified, &own);
	if (code == ERR_SERVER && (own.server_errno == NO_SUCH_TABLE || own.server_errno == NO_SUCH_DATABASE))
		code = ERR_OK;
	if (code == ERR_OK)
		*ret = verified;
	else if (err != NULL)
		*err = own;
	return code;
}
