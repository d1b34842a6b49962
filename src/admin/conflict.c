#include "admin/conflict.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/record_table.h"
#include "base/mem.h"
#include "binlog/gtid.h"

/* ---- conflict_data ---- */

static bool is_row(const json_t *row)
{
	const char *column;
	json_t *value;
	if (!json_is_object(row))
		return false;
	json_object_foreach((json_t *)row, column, value) if (!json_is_string(value) && !json_is_null(value)) return false;
	return true;
}

static bool is_column_list(const json_t *columns)
{
	size_t i;
	json_t *column;
	if (!json_is_array(columns))
		return false;
	json_array_foreach(columns, i, column) if (!json_is_string(column)) return false;
	return true;
}

static bool has_members(const json_t *data, const char *const *names, size_t count, bool (*is_kind)(const json_t *),
                        bool may_be_null)
{
	for (size_t i = 0; i < count; i++) {
		const json_t *member = json_object_get(data, names[i]);
		if (!is_kind(member) && !(may_be_null && json_is_null(member)))
			return false;
	}
	return true;
}

static bool is_text(const json_t *value)
{
	return json_is_string(value);
}

static bool is_record(const json_t *data, const char *database)
{
	static const char *const texts[] = {"id", "kind", "database", "table", "resolver", "resolution"};
	static const char *const lists[] = {"lost", "hex", "cut"};
	static const char *const rows[] = {"base", "local", "remote", "applied"};
	static const char *const always[] = {"key"}, *const maybe[] = {"local_gtid", "remote_gtid"};
	return json_integer_value(json_object_get(data, "version")) == RECORD_VERSION &&
	       has_members(data, texts, sizeof texts / sizeof *texts, is_text, false) &&
	       has_members(data, maybe, sizeof maybe / sizeof *maybe, is_text, true) &&
	       has_members(data, always, 1, is_row, false) &&
	       has_members(data, lists, sizeof lists / sizeof *lists, is_column_list, false) &&
	       has_members(data, rows, sizeof rows / sizeof *rows, is_row, true) &&
	       strcmp(json_string_value(json_object_get(data, "database")), database) == 0;
}

json_t *conflict_parse(const char *text, const char *database)
{
	json_t *data = text != NULL ? json_loads(text, 0, NULL) : NULL;
	if (data != NULL && is_record(data, database))
		return data;
	json_decref(data);
	return NULL;
}

const char *conflict_text(const struct conflict *c, const char *member)
{
	const char *text = json_string_value(json_object_get(c->data, member));
	return text != NULL ? text : "";
}

json_t *conflict_row(const struct conflict *c, const char *row)
{
	json_t *value = json_object_get(c->data, row);
	return json_is_object(value) ? value : NULL;
}

bool conflict_has(const struct conflict *c, const char *columns, const char *column)
{
	size_t i;
	json_t *name;
	json_array_foreach(json_object_get(c->data, columns), i,
	                   name) if (strcmp(json_string_value(name), column) == 0) return true;
	return false;
}

unsigned conflict_node(const struct conflict *c, const char *member)
{
	struct gtid gtid;
	return gtid_parse(conflict_text(c, member), &gtid, NULL) == ERR_OK ? gtid.domain : 0;
}

/* ---- The table ---- */

static enum err_code has_table(struct connection *connection, const char *database, bool *ret_has, struct err *err)
{
	struct buf sql = {0}, value = {0};
	buf_append_str(&sql, "SELECT 1 FROM information_schema.tables WHERE table_name = '" RECORD_TABLE "' AND "
	                     "table_schema = _utf8mb4 ");
	sql_append_string(&sql, database, strlen(database));
	enum err_code code = connection_value(connection, buf_str(&sql), sql.size, &value, ret_has, err);
	buf_free(&sql);
	buf_free(&value);
	return code;
}

enum err_code conflict_databases(struct connection *connection, const struct settings *settings,
                                 const char *ret_names[], size_t *ret_count, struct err *err)
{
	enum err_code code = ERR_OK;
	size_t count = 0;
	for (size_t i = 0; i < settings->database_count && code == ERR_OK; i++) {
		bool has = false;
		code = has_table(connection, settings->databases[i], &has, err);
		if (has)
			ret_names[count++] = settings->databases[i];
	}
	if (code == ERR_OK)
		*ret_count = count;
	return code;
}

struct loader {
	const char *database;
	struct conflict_list *list;
};

static char *copy(const char *text)
{
	return mem_strdup(text != NULL ? text : "");
}

static void take_row(void *context, unsigned column_count, const char *const *v)
{
	struct loader *loader = context;
	struct conflict_list *list = loader->list;
	(void)column_count;
	list->conflicts = mem_resize(list->conflicts, (list->count + 1) * sizeof *list->conflicts);
	list->conflicts[list->count++] = (struct conflict){
	    .database = copy(loader->database),
	    .id = v[0] != NULL ? strtoll(v[0], NULL, 10) : 0,
	    .table_name = copy(v[1]),
	    .record_id = copy(v[2]),
	    .conflict_type = copy(v[3]),
	    .gate_id = copy(v[4]),
	    .text = v[5] != NULL ? mem_strdup(v[5]) : NULL,
	    .resolved = v[6] != NULL && strcmp(v[6], "0") != 0,
	    .created_s = v[7] != NULL ? strtoll(v[7], NULL, 10) : 0,
	    .data = conflict_parse(v[5], loader->database),
	    .is_left_out = v[8] != NULL && strcmp(v[8], "1") == 0,
	};
}

static void append_select(const struct conflict_query *q, struct buf *sql)
{
	unsigned max = q->data_bytes_max;
	buf_append_str(sql, "SELECT id, table_name, record_id, conflict_type, gate_id, ");
	if (max != 0)
		buf_printf(sql, "IF(LENGTH(conflict_data) > %u, NULL, conflict_data), ", max);
	else
		buf_append_str(sql, "conflict_data, ");
	buf_append_str(sql, "resolved, FLOOR(UNIX_TIMESTAMP(created_at)), ");
	buf_printf(sql, max != 0 ? "LENGTH(conflict_data) > %u FROM " : "%u FROM ", max);
	sql_append_name(sql, q->database);
	buf_append_str(sql, "." RECORD_TABLE " WHERE TRUE");
	if (q->only_open)
		buf_append_str(sql, " AND (resolved = 0 OR resolved IS NULL)");
	if (q->id != 0)
		buf_printf(sql, " AND id = %" PRId64, q->id);
	if (q->before != 0)
		buf_printf(sql, " AND id < %" PRId64, q->before);
	buf_append_str(sql, q->limit != 0 ? " ORDER BY id DESC" : " ORDER BY id");
	if (q->limit != 0)
		buf_printf(sql, " LIMIT %u", q->limit);
}

enum err_code conflict_load(struct connection *connection, const struct conflict_query *query,
                            struct conflict_list *list, struct err *err)
{
	struct loader loader = {query->database, list};
	struct buf sql = {0};
	append_select(query, &sql);
	enum err_code code = connection_query(connection, buf_str(&sql), take_row, &loader, err);
	buf_free(&sql);
	return code;
}

void conflict_list_free(struct conflict_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct conflict *c = &list->conflicts[i];
		free(c->database);
		free(c->table_name);
		free(c->record_id);
		free(c->conflict_type);
		free(c->gate_id);
		free(c->text);
		json_decref(c->data);
	}
	free(list->conflicts);
	*list = (struct conflict_list){0};
}

/* ---- As text ---- */

void conflict_append_value(const struct conflict *c, const char *column, const json_t *value, struct buf *to)
{
	const char *text = json_string_value(value);
	if (text == NULL)
		buf_append_str(to, "NULL");
	else if (conflict_has(c, "hex", column))
		buf_printf(to, "x'%s'", text);
	else
		buf_append_str(to, text);
}

void conflict_append_key(const struct conflict *c, struct buf *to)
{
	const char *column;
	json_t *value;
	bool is_first = true;
	if (c->data == NULL)
		buf_append_str(to, c->record_id);
	json_object_foreach(json_object_get(c->data, "key"), column, value)
	{
		buf_printf(to, "%s%s=", is_first ? "" : ", ", column);
		conflict_append_value(c, column, value, to);
		is_first = false;
	}
}

void conflict_append_time(int64_t seconds, struct buf *to)
{
	time_t time = (time_t)seconds;
	struct tm tm;
	char text[64];
	if (seconds == 0 || localtime_r(&time, &tm) == NULL || strftime(text, sizeof text, "%F %T %Z", &tm) == 0)
		strcpy(text, "-");
	buf_append_str(to, text);
}

/* What happened; %1$s is who lost, %2$s who won. */
static const struct {
	const char *kind, *sentence;
} sentences[] = {
    {"insert_exists", "%1$s inserted a row whose key or unique value a row inserted by %2$s has, too."},
    {"update_origin_differs", "%1$s and %2$s changed the same columns of one row without knowing of each other."},
    {"update_exists", "%1$s gave a row a unique value that %2$s gave to another row."},
    {"update_missing", "%1$s did not have a row that %2$s changed."},
    {"update_deleted", "%1$s changed a row that %2$s deleted."},
    {"delete_origin_differs", "%1$s changed a row that %2$s deleted without knowing of that."},
    {"delete_missing", "%1$s did not have a row that %2$s deleted."},
    {"multiple_unique_conflicts", "%1$s gave a row several unique values that other rows have."},
    {"target_table_missing", "%1$s wrote a row of a table that %2$s dropped."},
    {"foreign_key_missing", "%1$s wrote a row that refers to one that %2$s deleted."},
};

static void append_node(unsigned node, const char *otherwise, struct buf *to)
{
	if (node > 0)
		buf_printf(to, "node %u", node);
	else
		buf_append_str(to, otherwise);
}

void conflict_append_sentence(const struct conflict *c, struct buf *to)
{
	struct buf loser = {0}, winner = {0};
	unsigned node = conflict_node(c, "local_gtid"); /* none: what was there is in no log */
	append_node(node > 0 ? node : (unsigned)strtoul(c->gate_id, NULL, 10), "a node", &loser);
	append_node(conflict_node(c, "remote_gtid"), "another", &winner);
	for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
		if (strcmp(sentences[i].kind, conflict_text(c, "kind")) == 0) {
			for (const char *at = sentences[i].sentence; *at != '\0'; at++) {
				if (*at != '%') {
					buf_append_u8(to, (uint8_t)*at);
					continue;
				}
				buf_append_str(to, at[1] == '1' ? buf_str(&loser) : buf_str(&winner));
				at += 3;
			}
			buf_append_str(to, " ");
		}
	buf_free(&loser);
	buf_free(&winner);
}

static json_t *json_text(const char *text)
{
	json_t *value = json_string(text);
	return value != NULL ? value : json_null();
}

static json_t *json_number(const char *text)
{
	return *text != '\0' ? json_integer(strtoll(text, NULL, 10)) : json_null();
}

json_t *conflict_json(const struct conflict *c)
{
	json_t *data = c->text != NULL ? json_loads(c->text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
	json_t *row = json_object();
	json_object_set_new(row, "database", json_text(c->database));
	json_object_set_new(row, "id", json_integer(c->id));
	json_object_set_new(row, "table_name", json_text(c->table_name));
	json_object_set_new(row, "record_id", json_number(c->record_id));
	json_object_set_new(row, "conflict_type", json_text(c->conflict_type));
	json_object_set_new(row, "gate_id", json_number(c->gate_id));
	json_object_set_new(row, "conflict_data", data != NULL ? data : c->text != NULL ? json_text(c->text) : json_null());
	json_object_set_new(row, "resolved", json_boolean(c->resolved));
	json_object_set_new(row, "created_at", json_integer(c->created_s));
	if (c->is_left_out)
		json_object_set_new(row, "conflict_data_left_out", json_true());
	return row;
}
