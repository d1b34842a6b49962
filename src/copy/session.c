#include "copy/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sql/server.h"

enum { READ_TIMEOUT_S = 60, VECTOR_TRIES = 20, VECTOR_WAIT_MS = 50 };

/* derived_merge: a digest's hash is used twice and must be computed once. Nothing may end a transaction that takes
 * hours. */
static const char session_sql[] =
    "SET NAMES utf8mb4; SET SESSION character_set_results=NULL, time_zone='+00:00',"
    " sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', sql_quote_show_create=1, sql_select_limit=DEFAULT,"
    " max_statement_time=0, wait_timeout=86400, net_write_timeout=3600, net_read_timeout=3600,"
    " idle_transaction_timeout=0, idle_readonly_transaction_timeout=0, idle_write_transaction_timeout=0,"
    " lock_wait_timeout=30, optimizer_switch='derived_merge=off', sql_auto_is_null=0";

/* unique_checks stays: a row of the target may have a value that a row of the source has by now. innodb_strict_mode:
 * what an older server made is made again. system_versioning_insert_history: rows come with their times. */
static const char target_sql[] =
    "SET SESSION sql_log_bin=0, foreign_key_checks=0, unique_checks=1, check_constraint_checks=0, innodb_strict_mode=0,"
    " system_versioning_insert_history=1, autocommit=1;"
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/* Going back to a savepoint lets go of metadata locks only in a session that isn't logged (MariaDB sql/transaction.cc,
 * trans_rollback_to_savepoint; with logging the lock was seen to stay on 10.11.19). Nothing is written here in any
 * case. */
static enum err_code let_ddl_in(struct connection *source, struct err *err)
{
	enum { SPECIFIC_ACCESS_DENIED = 1227 };
	struct err refusal;
	enum err_code code = connection_run(source, "SET SESSION sql_log_bin=0", &refusal);
	if (code == ERR_SERVER && refusal.server_errno == SPECIFIC_ACCESS_DENIED)
		return ERR_OK;
	if (code != ERR_OK && err != NULL)
		*err = refusal;
	return code;
}

enum err_code session_open_source(struct connection *source, const struct connection_target *target, struct err *err)
{
	struct connection_target from = *target;
	if (from.read_timeout_s == 0 && from.socket == NULL)
		from.read_timeout_s = READ_TIMEOUT_S;
	enum err_code code = connection_open(source, &from, err);
	if (code == ERR_OK)
		code = connection_run(source, session_sql, err);
	return code == ERR_OK ? let_ddl_in(source, err) : code;
}

enum err_code session_reset_target(struct connection *to, struct err *err)
{
	enum err_code code = connection_run(to, session_sql, err);
	return code == ERR_OK ? connection_run(to, target_sql, err) : code;
}

enum err_code session_open_target(struct connection *to, const struct connection_target *target, struct err *err)
{
	enum err_code code = connection_open(to, target, err);
	return code == ERR_OK ? session_reset_target(to, err) : code;
}

enum err_code session_lock_target(struct connection *to, const char *name, struct err *err)
{
	static const char lock[] = "SELECT GET_LOCK('syncline.copy', 10)";
	struct buf value = {0};
	enum err_code code = connection_value(to, lock, strlen(lock), &value, NULL, err);
	if (code == ERR_OK && strcmp(buf_str(&value), "1") != 0)
		code = err_set(err, ERR_BUSY, "%s: another session copies to this server; wait for its end", name);
	buf_free(&value);
	return code;
}

/* ---- What the account may do ---- */

/* Who it is as information_schema's lists of privileges have it. */
#define GRANTEE                                                                                                        \
	"CONCAT('''',REVERSE(SUBSTR(REVERSE(CURRENT_USER()),LOCATE('@',REVERSE(CURRENT_USER()))+1)),'''@''',"              \
	"SUBSTRING_INDEX(CURRENT_USER(),'@',-1),'''')"

static enum err_code lacks(struct connection *source, const char *name, const char *purpose, const char *privilege,
                           const char *on, struct err *err)
{
	static const char ask[] = "SELECT " GRANTEE;
	struct buf user = {0};
	enum err_code code = connection_value(source, ask, strlen(ask), &user, NULL, err);
	if (code == ERR_OK)
		code = err_set(err, ERR_CONFIG, "%s: the account %s may not do what %s needs; run there: GRANT %s ON %s TO %s",
		               name, buf_str(&user), purpose, privilege, on, buf_str(&user));
	buf_free(&user);
	return code;
}

static enum err_code may(struct connection *source, const char *privilege, const char *database, bool *ret,
                         struct err *err)
{
	struct buf sql = {0}, count = {0};
	buf_printf(&sql,
	           "SELECT (SELECT COUNT(*) FROM information_schema.user_privileges WHERE grantee=" GRANTEE
	           " AND privilege_type='%s')",
	           privilege);
	if (database != NULL) {
		buf_printf(&sql,
		           "+(SELECT COUNT(*) FROM information_schema.schema_privileges WHERE grantee=" GRANTEE
		           " AND privilege_type='%s' AND CONVERT(",
		           privilege);
		sql_append_string(&sql, database, strlen(database));
		buf_append_str(&sql, " USING utf8mb3) LIKE table_schema)");
	}
	enum err_code code = connection_value(source, buf_str(&sql), sql.size, &count, NULL, err);
	if (code == ERR_OK)
		*ret = strcmp(buf_str(&count), "0") != 0;
	buf_free(&sql);
	buf_free(&count);
	return code;
}

static enum err_code check_database(struct connection *source, const char *name, const char *purpose,
                                    const char *const *needed, size_t needed_count, const char *database,
                                    struct err *err)
{
	struct buf missing = {0}, on = {0};
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < needed_count; i++) {
		bool is_granted = false;
		code = may(source, needed[i], database, &is_granted, err);
		if (!is_granted)
			buf_printf(&missing, "%s%s", missing.size > 0 ? ", " : "", needed[i]);
	}
	sql_append_name(&on, database);
	buf_append_str(&on, ".*");
	if (code == ERR_OK && missing.size > 0)
		code = lacks(source, name, purpose, buf_str(&missing), buf_str(&on), err);
	buf_free(&missing);
	buf_free(&on);
	return code;
}

enum err_code session_check_privileges(struct connection *source, const char *name, size_t database_count,
                                       const char *const *databases, struct err *err)
{
	enum { TABLE_ACCESS_DENIED = 1142, COLUMN_ACCESS_DENIED = 1143 };
	/* Without some of these the server just shows less, and what isn't shown would be dropped on the target. */
	static const char *const needed[] = {"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"};
	bool is_granted = false;
	enum err_code code = may(source, "BINLOG MONITOR", NULL, &is_granted, err);
	if (code == ERR_OK && !is_granted)
		code = lacks(source, name, "a copy", "BINLOG MONITOR", "*.*", err);
	for (size_t i = 0; code == ERR_OK && i < database_count; i++)
		code = check_database(source, name, "a copy", needed, sizeof needed / sizeof *needed, databases[i], err);
	if (code != ERR_OK)
		return code;
	struct err refusal;
	code = connection_run(source, "SELECT db,name,type FROM mysql.proc LIMIT 0", &refusal);
	if (code == ERR_SERVER &&
	    (refusal.server_errno == TABLE_ACCESS_DENIED || refusal.server_errno == COLUMN_ACCESS_DENIED))
		return lacks(source, name, "a copy", "SELECT", "mysql.proc", err);
	if (code != ERR_OK && err != NULL)
		*err = refusal;
	return code;
}

enum err_code session_check_select(struct connection *source, const char *name, const char *purpose,
                                   size_t database_count, const char *const *databases, struct err *err)
{
	static const char *const needed[] = {"SELECT"};
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < database_count; i++)
		code = check_database(source, name, purpose, needed, 1, databases[i], err);
	return code;
}

/* ---- The snapshot ---- */

static void take_status(void *context, unsigned count, const char *const *columns)
{
	struct session_place *place = context;
	if (count < 2 || columns[0] == NULL || columns[1] == NULL)
		return;
	bool is_file = strcasecmp(columns[0], "binlog_snapshot_file") == 0;
	char *to = is_file ? place->file : place->position;
	size_t room = is_file ? sizeof place->file : sizeof place->position;
	if ((is_file || strcasecmp(columns[0], "binlog_snapshot_position") == 0) && strlen(columns[1]) < room)
		memcpy(to, columns[1], strlen(columns[1]) + 1);
}

/* *ret_found false: the server has no such place in its log. */
static enum err_code vector_at(struct connection *source, const struct session_place *place, struct vector *ret,
                               bool *ret_found, struct err *err)
{
	struct buf sql = {0}, text = {0};
	buf_append_str(&sql, "SELECT BINLOG_GTID_POS(CONVERT(");
	sql_append_string(&sql, place->file, strlen(place->file));
	buf_printf(&sql, " USING utf8mb4),%llu)", strtoull(place->position, NULL, 10));
	enum err_code code = connection_value(source, buf_str(&sql), sql.size, &text, ret_found, err);
	if (code == ERR_OK)
		code = vector_parse(buf_str(&text), ret, err);
	buf_free(&sql);
	buf_free(&text);
	return code;
}

enum err_code session_begin(struct connection *source, const char *name, struct session_place *place, struct err *err)
{
	*place = (struct session_place){0};
	enum err_code code = connection_run(source,
	                                    "ROLLBACK; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
	                                    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;"
	                                    "SAVEPOINT " COPY_SAVEPOINT,
	                                    err);
	if (code == ERR_OK)
		code = connection_query(source, "SHOW STATUS LIKE 'binlog_snapshot_%'", take_status, place, err);
	if (code == ERR_OK && place->file[0] == '\0')
		code = err_set(err, ERR_CONFIG, "%s: log_bin is off; set log_bin=mysql-bin under [mysqld] and restart MariaDB",
		               name);
	return code;
}

enum err_code session_snapshot(struct connection *source, const char *name, struct vector *ret, struct err *err)
{
	/* BINLOG_GTID_POS says '' not only of an empty log, but also of a place before the list of GTIDs that begins each
	 * file (MariaDB sql/sql_repl.cc, gtid_state_from_binlog_pos). So '' is believed only of a server whose log was
	 * empty. */
	struct session_place place;
	for (int i = 0; i < VECTOR_TRIES; i++) {
		struct vector before = {0}, vector = {0};
		bool found = false;
		enum err_code code = server_vector(source, &before, err);
		if (code == ERR_OK)
			code = session_begin(source, name, &place, err);
		if (code == ERR_OK)
			code = vector_at(source, &place, &vector, &found, err);
		if (code != ERR_OK)
			return code;
		if (found && (vector.count > 0 || before.count == 0)) {
			*ret = vector;
			return ERR_OK;
		}
		clock_sleep_ms(VECTOR_WAIT_MS);
	}
	return err_set(err, ERR_SERVER,
	               "%s doesn't tell the GTIDs up to %s:%s of its log; run FLUSH BINARY LOGS there and try again", name,
	               place.file, place.position);
}

bool session_is_altered(const struct err *err)
{
	/* What it says when something that was there, or was otherwise, is asked for: ER_BAD_DB_ERROR, ER_BAD_FIELD_ERROR,
	 * ER_NO_SUCH_TABLE, ER_SP_DOES_NOT_EXIST, ER_TRG_DOES_NOT_EXIST, ER_EVENT_DOES_NOT_EXIST, ER_TABLE_DEF_CHANGED,
	 * ER_UNKNOWN_VIEW, ER_UNKNOWN_SEQUENCES, ER_KEY_DOES_NOT_EXITS, ER_NOT_SEQUENCE, ER_WRONG_OBJECT. */
	static const unsigned numbers[] = {1049, 1054, 1146, 1305, 1360, 1539, 1412, 4092, 4091, 1176, 4089, 1347};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (err->server_errno == numbers[i])
			return true;
	return false;
}
