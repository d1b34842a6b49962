#include "cli/conflict_undo.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/record_table.h"
#include "base/mem.h"
#include "cli/grid.h"
#include "sql/uuid.h"

/* MariaDB's ER_DUP_ENTRY and ER_DUP_ENTRY_WITH_KEY_NAME. */
enum { DUPLICATE = 1062, DUPLICATE_WITH_KEY_NAME = 1586 };

/* A column of the table as it is now. */
struct undo_column {
	char *name, *type, *charset; /* charset "" if it has none */
	bool is_generated;
	bool is_written;
	char *before; /* for the report; NULL for SQL NULL */
};

struct undo {
	struct connection *connection;
	const struct conflict *conflict;
	const char *table;
	json_t *local, *key;
	bool is_whole; /* the row was lost, not only some columns */
	size_t column_count;
	struct undo_column *columns; /* owned */
	size_t row_count;            /* how many rows have the key */
};

static enum err_code refuse(const struct undo *u, struct err *err, const char *why)
{
	return err_set(err, ERR_CONFLICT, "conflict %" PRId64 " (%s.%s) can't be undone: %s", u->conflict->id,
	               u->conflict->database, u->table, why);
}

static struct undo_column *find_column(struct undo *u, const char *name)
{
	for (size_t i = 0; i < u->column_count; i++)
		if (strcasecmp(u->columns[i].name, name) == 0)
			return &u->columns[i];
	return NULL;
}

/* ---- Values ---- */

static bool is_among(const char *text, const char *const *texts)
{
	for (; *texts != NULL; texts++)
		if (strcmp(text, *texts) == 0)
			return true;
	return false;
}

static bool is_number_type(const char *type)
{
	static const char *const types[] = {"tinyint", "smallint", "mediumint", "int", "bigint",
	                                    "decimal", "float",    "double",    NULL};
	return is_among(type, types);
}

static bool is_shown_as_hex(const char *type)
{
	static const char *const types[] = {"binary",     "varbinary", "tinyblob", "blob",
	                                    "mediumblob", "longblob",  "bit",      NULL};
	static const char *const shapes[] = {
	    "point",    "linestring",         "polygon",        "multipoint", "multilinestring", "multipolygon",
	    "geometry", "geometrycollection", "geomcollection", NULL};
	return is_among(type, types) || is_among(type, shapes);
}

/* Digits, a point, an exponent: what stands in SQL as it is. */
static bool is_number(const char *text)
{
	char *end;
	if (text[0] == '\0' || text[strspn(text, "0123456789+-.eE")] != '\0')
		return false;
	strtod(text, &end);
	return *end == '\0';
}

static bool is_hex(const char *text)
{
	size_t size = strlen(text);
	return size % 2 == 0 && strspn(text, "0123456789abcdefABCDEF") == size;
}

static void append_hex(struct buf *sql, const struct undo_column *column, const char *digits)
{
	if (strcmp(column->type, "uuid") == 0 && strlen(digits) == UUID_DIGITS)
		uuid_append_literal(sql, digits);
	else if (strcmp(column->type, "bit") == 0 && *digits != '\0')
		buf_printf(sql, "0x%s", digits);
	else if (*column->charset != '\0')
		buf_printf(sql, "_%s x'%s'", column->charset, digits);
	else
		buf_printf(sql, "x'%s'", digits);
}

/* The literal of a record's value. Whatever the text is, it stays within the literal. */
static void append_value(const struct undo *u, const struct undo_column *column, const json_t *value, struct buf *sql)
{
	const char *text = json_string_value(value);
	if (text == NULL) {
		buf_append_str(sql, "NULL");
	} else if (conflict_has(u->conflict, "hex", column->name) && is_hex(text)) {
		append_hex(sql, column, text);
	} else if (is_number_type(column->type) && is_number(text)) {
		buf_append_str(sql, text);
	} else {
		buf_append_str(sql, "_utf8mb4 ");
		sql_append_string(sql, text, strlen(text));
	}
}

/* ---- SQL ---- */

static void append_table(const struct undo *u, struct buf *sql)
{
	sql_append_name(sql, u->conflict->database);
	buf_append_str(sql, ".");
	sql_append_name(sql, u->table);
}

/* "`a` = 1 AND `b` = 2" */
static void append_key(struct undo *u, struct buf *sql)
{
	const char *name, *and = "";
	json_t *value;
	json_object_foreach(u->key, name, value)
	{
		const struct undo_column *column = find_column(u, name);
		bool is_float = strcmp(column->type, "float") == 0;
		buf_append_str(sql, and);
		sql_append_name(sql, name);
		buf_append_str(sql, is_float ? " = CAST(" : " = ");
		append_value(u, column, value, sql);
		buf_append_str(sql, is_float ? " AS FLOAT)" : "");
		and = " AND ";
	}
}

static void append_assignments(const struct undo *u, struct buf *sql)
{
	const char *comma = "";
	for (size_t i = 0; i < u->column_count; i++) {
		const struct undo_column *column = &u->columns[i];
		if (!column->is_written)
			continue;
		buf_append_str(sql, comma);
		sql_append_name(sql, column->name);
		buf_append_str(sql, " = ");
		append_value(u, column, json_object_get(u->local, column->name), sql);
		comma = ", ";
	}
}

static enum err_code run(const struct undo *u, struct buf *sql, struct err *err)
{
	enum err_code code = connection_run_n(u->connection, buf_str(sql), sql->size, err);
	buf_free(sql);
	return code;
}

static enum err_code query(const struct undo *u, struct buf *sql, connection_row *row, void *context, struct err *err)
{
	enum err_code code = connection_query(u->connection, buf_str(sql), row, context, err);
	buf_free(sql);
	return code;
}

/* ---- The table as it is now ---- */

static void take_column(void *context, unsigned column_count, const char *const *v)
{
	struct undo *u = context;
	(void)column_count;
	u->columns = mem_resize(u->columns, (u->column_count + 1) * sizeof *u->columns);
	u->columns[u->column_count++] = (struct undo_column){.name = mem_strdup(v[0]),
	                                                     .type = mem_strdup(v[1]),
	                                                     .charset = mem_strdup(v[2] != NULL ? v[2] : ""),
	                                                     .is_generated = strcmp(v[3], "ALWAYS") == 0};
}

static enum err_code load_columns(struct undo *u, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SELECT column_name, LOWER(data_type), character_set_name, is_generated FROM "
	                     "information_schema.columns WHERE table_schema = _utf8mb4 ");
	sql_append_string(&sql, u->conflict->database, strlen(u->conflict->database));
	buf_append_str(&sql, " AND table_name = _utf8mb4 ");
	sql_append_string(&sql, u->table, strlen(u->table));
	buf_append_str(&sql, " ORDER BY ordinal_position");
	enum err_code code = query(u, &sql, take_column, u, err);
	if (code == ERR_OK && u->column_count == 0)
		code = refuse(u, err, "the table is not there any more");
	return code;
}

/* The row's times in a system-versioned table: in the log, but nobody writes them. */
static bool is_hidden(const char *name)
{
	return strcasecmp(name, "row_start") == 0 || strcasecmp(name, "row_end") == 0;
}

static enum err_code check_key(struct undo *u, struct err *err)
{
	const char *name;
	json_t *value;
	if (json_object_size(u->key) == 0)
		return refuse(u, err, "the table has no primary key");
	json_object_foreach(u->key, name, value) if (find_column(u, name) == NULL || !json_is_string(value)) return refuse(
	    u, err, "its key is of columns that the table doesn't have any more");
	return ERR_OK;
}

static enum err_code check_value(const struct undo *u, const char *name, struct err *err)
{
	const char *text = json_string_value(json_object_get(u->local, name));
	char why[256];
	if (conflict_has(u->conflict, "cut", name))
		snprintf(why, sizeof why, "the value of column %s was too long for the record", name);
	else if (text != NULL && conflict_has(u->conflict, "hex", name) && !is_hex(text))
		snprintf(why, sizeof why, "the value of column %s is not hexadecimal", name);
	else
		return ERR_OK;
	return refuse(u, err, why);
}

/* Marks the columns to be written: those that were lost, or, of a row that was or is gone, all. */
static enum err_code choose_columns(struct undo *u, struct err *err)
{
	const char *name;
	json_t *value;
	bool all = u->is_whole || u->row_count == 0;
	json_object_foreach(u->local, name, value)
	{
		struct undo_column *column = find_column(u, name);
		char why[256];
		if (!all && !conflict_has(u->conflict, "lost", name))
			continue;
		if (column == NULL && !is_hidden(name)) {
			snprintf(why, sizeof why, "the table has no column %s any more", name);
			return refuse(u, err, why);
		}
		if (column == NULL || column->is_generated)
			continue;
		enum err_code code = check_value(u, name, err);
		if (code != ERR_OK)
			return code;
		column->is_written = true;
	}
	return ERR_OK;
}

/* ---- The transaction ---- */

/* Dates that are none and a number 0 in an AUTO_INCREMENT column are taken as they are; what doesn't fit is refused. */
static enum err_code begin(const struct undo *u, struct err *err)
{
	return connection_run(u->connection,
	                      "SET SESSION time_zone = '+00:00', "
	                      "sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'; START TRANSACTION",
	                      err);
}

/* Another undo of the same record waits here, and then sees that it is resolved. */
static enum err_code lock_record(const struct undo *u, bool again, struct err *err)
{
	struct buf sql = {0}, value = {0};
	bool found;
	buf_append_str(&sql, "SELECT COALESCE(resolved, 0) FROM ");
	sql_append_name(&sql, u->conflict->database);
	buf_printf(&sql, "." RECORD_TABLE " WHERE id = %" PRId64 " FOR UPDATE", u->conflict->id);
	enum err_code code = connection_value(u->connection, buf_str(&sql), sql.size, &value, &found, err);
	if (code == ERR_OK && !found)
		code = refuse(u, err, "the record is not there any more");
	else if (code == ERR_OK && strcmp(buf_str(&value), "0") != 0 && !again)
		code = refuse(u, err, "it is resolved already; --again undoes it all the same");
	buf_free(&sql);
	buf_free(&value);
	return code;
}

static void take_before(void *context, unsigned column_count, const char *const *v)
{
	struct undo *u = context;
	u->row_count++;
	for (unsigned i = 0; i < column_count; i++) {
		free(u->columns[i].before);
		u->columns[i].before = v[i] != NULL ? mem_strdup(v[i]) : NULL;
	}
}

/* Locks the row that has the key now, and keeps its values for the report. */
static enum err_code lock_row(struct undo *u, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SELECT ");
	for (size_t i = 0; i < u->column_count; i++) {
		bool as_hex = is_shown_as_hex(u->columns[i].type);
		buf_append_str(&sql, i > 0 ? ", " : "");
		buf_append_str(&sql, as_hex ? "CONCAT('x''', LOWER(HEX(" : "");
		sql_append_name(&sql, u->columns[i].name);
		buf_append_str(&sql, as_hex ? ")), '''')" : "");
	}
	buf_append_str(&sql, " FROM ");
	append_table(u, &sql);
	buf_append_str(&sql, " WHERE ");
	append_key(u, &sql);
	buf_append_str(&sql, " FOR UPDATE");
	enum err_code code = query(u, &sql, take_before, u, err);
	if (code == ERR_OK && u->row_count > 1)
		code = refuse(u, err, "several rows have its key: the table has another primary key now");
	return code;
}

static enum err_code write_row(struct undo *u, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, u->row_count > 0 ? "UPDATE " : "INSERT INTO ");
	append_table(u, &sql);
	buf_append_str(&sql, " SET ");
	size_t empty = sql.size;
	append_assignments(u, &sql);
	if (sql.size == empty) {
		buf_free(&sql);
		return refuse(u, err, "there is no column to write");
	}
	if (u->row_count > 0) {
		buf_append_str(&sql, " WHERE ");
		append_key(u, &sql);
	}
	return run(u, &sql, err);
}

static enum err_code resolve(const struct undo *u, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "UPDATE ");
	sql_append_name(&sql, u->conflict->database);
	buf_printf(&sql, "." RECORD_TABLE " SET resolved = TRUE WHERE id = %" PRId64 "; COMMIT", u->conflict->id);
	return run(u, &sql, err);
}

/* ---- Who has its unique value ---- */

struct index_part {
	char *index, *column;
};

struct indexes {
	size_t count;
	struct index_part *parts;
};

static void take_part(void *context, unsigned column_count, const char *const *v)
{
	struct indexes *indexes = context;
	(void)column_count;
	indexes->parts = mem_resize(indexes->parts, (indexes->count + 1) * sizeof *indexes->parts);
	indexes->parts[indexes->count++] = (struct index_part){mem_strdup(v[0]), mem_strdup(v[1])};
}

static enum err_code load_indexes(const struct undo *u, struct indexes *indexes, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SELECT index_name, column_name FROM information_schema.statistics WHERE non_unique = 0 AND "
	                     "index_name <> 'PRIMARY' AND table_schema = _utf8mb4 ");
	sql_append_string(&sql, u->conflict->database, strlen(u->conflict->database));
	buf_append_str(&sql, " AND table_name = _utf8mb4 ");
	sql_append_string(&sql, u->table, strlen(u->table));
	buf_append_str(&sql, " ORDER BY index_name, seq_in_index");
	return query(u, &sql, take_part, indexes, err);
}

/* What the column is to be: from the record, or, if it stays, from the row there is. */
static void append_coming(struct undo *u, const struct undo_column *column, struct buf *sql)
{
	if (column->is_written) {
		append_value(u, column, json_object_get(u->local, column->name), sql);
		return;
	}
	buf_append_str(sql, "(SELECT ");
	sql_append_name(sql, column->name);
	buf_append_str(sql, " FROM ");
	append_table(u, sql);
	buf_append_str(sql, " WHERE ");
	append_key(u, sql);
	buf_append_str(sql, ")");
}

/* Appends "b=2" for each part from `first` on that is of its index; returns the next index's first part. */
static size_t append_index(struct undo *u, const struct indexes *indexes, size_t first, struct buf *condition,
                           struct buf *words)
{
	size_t i = first;
	for (; i < indexes->count && strcmp(indexes->parts[i].index, indexes->parts[first].index) == 0; i++) {
		const struct undo_column *column = find_column(u, indexes->parts[i].column);
		struct buf text = {0};
		buf_append_str(condition, i > first ? " AND " : "");
		sql_append_name(condition, column->name);
		buf_append_str(condition, " = ");
		append_coming(u, column, condition);
		if (column->is_written)
			conflict_append_value(u->conflict, column->name, json_object_get(u->local, column->name), &text);
		else
			buf_append_str(&text, column->before != NULL ? column->before : "NULL");
		buf_printf(words, "%s%s=", i > first ? ", " : "", column->name);
		grid_append_clean(words, buf_str(&text));
		buf_free(&text);
	}
	return i;
}

struct holder {
	const struct undo *undo;
	struct buf key;
};

static void take_holder(void *context, unsigned column_count, const char *const *v)
{
	struct holder *holder = context;
	void *at = json_object_iter(holder->undo->key);
	for (unsigned i = 0; i < column_count && at != NULL; i++) {
		buf_printf(&holder->key, "%s%s=", i > 0 ? ", " : "", json_object_iter_key(at));
		grid_append_clean(&holder->key, v[i] != NULL ? v[i] : "NULL");
		at = json_object_iter_next(holder->undo->key, at);
	}
}

/* The key of another row that meets the condition. */
static enum err_code find_holder(struct undo *u, struct buf *condition, struct holder *holder, struct err *err)
{
	struct buf sql = {0};
	const char *name, *comma = "";
	json_t *value;
	buf_append_str(&sql, "SELECT ");
	json_object_foreach(u->key, name, value)
	{
		bool as_hex = is_shown_as_hex(find_column(u, name)->type);
		buf_append_str(&sql, comma);
		buf_append_str(&sql, as_hex ? "CONCAT('x''', LOWER(HEX(" : "");
		sql_append_name(&sql, name);
		buf_append_str(&sql, as_hex ? ")), '''')" : "");
		comma = ", ";
	}
	buf_append_str(&sql, " FROM ");
	append_table(u, &sql);
	buf_printf(&sql, " WHERE %s AND NOT (", buf_str(condition));
	append_key(u, &sql);
	buf_append_str(&sql, ") LIMIT 1");
	return query(u, &sql, take_holder, holder, err);
}

/* Turns "duplicate entry" into a line that names the row in the way. The server's own stays if that isn't found: the
 * index is of a part of a column, or of a generated one. */
static enum err_code explain_duplicate(struct undo *u, struct err *err)
{
	struct indexes indexes = {0};
	struct buf why = {0};
	enum err_code code = load_indexes(u, &indexes, err);
	for (size_t i = 0; code == ERR_OK && i < indexes.count && why.size == 0;) {
		struct buf condition = {0}, words = {0};
		struct holder holder = {.undo = u};
		i = append_index(u, &indexes, i, &condition, &words);
		code = find_holder(u, &condition, &holder, err);
		if (holder.key.size > 0)
			buf_printf(&why, "the row with %s has %s now; change one of them first", buf_str(&holder.key),
			           buf_str(&words));
		buf_free(&condition);
		buf_free(&words);
		buf_free(&holder.key);
	}
	for (size_t i = 0; i < indexes.count; i++) {
		free(indexes.parts[i].index);
		free(indexes.parts[i].column);
	}
	free(indexes.parts);
	if (code == ERR_OK && why.size > 0)
		code = refuse(u, err, buf_str(&why));
	buf_free(&why);
	return code;
}

static enum err_code explain(struct undo *u, struct err *err)
{
	struct err found = *err, refused = *err;
	bool is_duplicate = err->server_errno == DUPLICATE || err->server_errno == DUPLICATE_WITH_KEY_NAME;
	if (!is_duplicate || explain_duplicate(u, &found) != ERR_CONFLICT)
		refuse(u, &found, refused.message);
	*err = found;
	return err->code;
}

/* ---- The report ---- */

static void append_report(const struct undo *u, unsigned width, struct buf *report)
{
	struct buf key = {0};
	struct grid grid = {.column_count = 3};
	conflict_append_key(u->conflict, &key);
	grid_append_clean(report, u->conflict->database);
	buf_append_str(report, ".");
	grid_append_clean(report, u->table);
	buf_append_str(report, ", ");
	grid_append_clean(report, buf_str(&key));
	buf_append_str(report,
	               u->row_count > 0 ? ": written over what was there\n" : ": inserted, there was no such row\n");
	grid_add(&grid, "  column");
	grid_add(&grid, u->row_count > 0 ? "was" : "");
	grid_add(&grid, "is");
	for (size_t i = 0; i < u->column_count; i++) {
		const struct undo_column *column = &u->columns[i];
		struct buf name = {0}, value = {0};
		if (!column->is_written)
			continue;
		buf_printf(&name, "  %s", column->name);
		conflict_append_value(u->conflict, column->name, json_object_get(u->local, column->name), &value);
		grid_add(&grid, buf_str(&name));
		grid_add(&grid, u->row_count == 0 ? "" : column->before != NULL ? column->before : "NULL");
		grid_add(&grid, buf_str(&value));
		buf_free(&name);
		buf_free(&value);
	}
	grid_format(&grid, width, report);
	grid_free(&grid);
	buf_free(&key);
}

static void undo_free(struct undo *u)
{
	for (size_t i = 0; i < u->column_count; i++) {
		free(u->columns[i].name);
		free(u->columns[i].type);
		free(u->columns[i].charset);
		free(u->columns[i].before);
	}
	free(u->columns);
}

static enum err_code transact(struct undo *u, bool again, struct err *err)
{
	enum err_code code = begin(u, err);
	if (code == ERR_OK)
		code = lock_record(u, again, err);
	if (code == ERR_OK)
		code = lock_row(u, err);
	if (code == ERR_OK)
		code = choose_columns(u, err);
	if (code == ERR_OK) {
		code = write_row(u, err);
		if (code == ERR_SERVER)
			code = explain(u, err);
	}
	return code == ERR_OK ? resolve(u, err) : code; /* else the connection's end rolls it back */
}

enum err_code conflict_undo(struct connection *connection, const struct conflict *conflict, bool again, unsigned width,
                            struct buf *report, struct err *err)
{
	struct undo u = {.connection = connection,
	                 .conflict = conflict,
	                 .table = conflict->data != NULL ? conflict_text(conflict, "table") : conflict->table_name,
	                 .local = conflict_row(conflict, "local"),
	                 .key = json_object_get(conflict->data, "key"),
	                 .is_whole = conflict_row(conflict, "applied") == NULL};
	if (conflict->data == NULL)
		return refuse(&u, err, "the record is not Syncline's, or this program is older than it");
	if (u.local == NULL)
		return refuse(&u, err, "what was lost is a delete");
	enum err_code code = load_columns(&u, err);
	if (code == ERR_OK)
		code = check_key(&u, err);
	if (code == ERR_OK)
		code = transact(&u, again, err);
	if (code == ERR_OK)
		append_report(&u, width, report);
	undo_free(&u);
	return code;
}
