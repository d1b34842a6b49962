#include "admin/conflicts_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/conflict.h"
#include "admin/record_table.h"
#include "base/mem.h"

enum {
	READ_TIMEOUT_S = 5,
	LISTED_BYTES_MAX = 4 << 10, /* of a conflict_data in a page of them */
	SHOWN_BYTES_MAX = 4 << 20,
};

/* The statement is ended before we give up on the answer, so that the server isn't left working for nobody. */
static const char session_sql[] = "SET SESSION max_statement_time = 3; SET SESSION TRANSACTION READ ONLY";

static json_t *to_json(const struct conflict *c)
{
	json_t *row = conflict_json(c);
	struct buf text = {0};
	if (c->data != NULL)
		conflict_append_sentence(c, &text);
	while (text.size > 0 && text.data[text.size - 1] == ' ')
		text.size--;
	json_t *what = text.size > 0 ? json_string(buf_str(&text)) : NULL;
	json_object_set_new(row, "what", what != NULL ? what : json_null());
	buf_free(&text);
	return row;
}

static void append_json(json_t *root, struct buf *to)
{
	char *text = json_dumps(root, JSON_PRESERVE_ORDER | JSON_COMPACT);
	buf_append_str(to, text != NULL ? text : "{}");
	buf_append_str(to, "\n");
	free(text);
	json_decref(root);
}

static enum err_code count_open(struct connection *connection, const char *database, int64_t *ret_count,
                                struct err *err)
{
	struct buf sql = {0}, value = {0};
	buf_append_str(&sql, "SELECT COUNT(*) FROM ");
	sql_append_name(&sql, database);
	buf_append_str(&sql, "." RECORD_TABLE " WHERE resolved = 0 OR resolved IS NULL");
	enum err_code code = connection_value(connection, buf_str(&sql), sql.size, &value, NULL, err);
	if (code == ERR_OK)
		*ret_count = strtoll(buf_str(&value), NULL, 10);
	buf_free(&sql);
	buf_free(&value);
	return code;
}

/* One more than asked for tells whether there are more. */
static enum err_code list(struct connection *connection, const struct api_conflicts *which, const char *database,
                          json_t *root, struct err *err)
{
	struct conflict_list found = {0};
	struct conflict_query query = {.database = database,
	                               .only_open = which->only_open,
	                               .before = which->before,
	                               .limit = which->limit + 1,
	                               .data_bytes_max = LISTED_BYTES_MAX};
	int64_t open = 0;
	enum err_code code = conflict_load(connection, &query, &found, err);
	if (code == ERR_OK)
		code = count_open(connection, database, &open, err);
	json_t *rows = json_array();
	for (size_t i = 0; i < found.count && i < which->limit; i++)
		json_array_append_new(rows, to_json(&found.conflicts[i]));
	bool has_more = found.count > which->limit;
	json_object_set_new(root, "open", json_integer(open));
	json_object_set_new(root, "conflicts", rows);
	json_object_set_new(root, "next", has_more ? json_integer(found.conflicts[which->limit - 1].id) : json_null());
	conflict_list_free(&found);
	return code;
}

static enum err_code show(struct connection *connection, int64_t id, const char *database, json_t *root,
                          struct err *err)
{
	struct conflict_list found = {0};
	struct conflict_query query = {.database = database, .id = id, .data_bytes_max = SHOWN_BYTES_MAX};
	enum err_code code = conflict_load(connection, &query, &found, err);
	if (code == ERR_OK && found.count == 0)
		code = err_set(err, ERR_CONFIG, "there is no conflict %" PRId64 " in %s; /api/v1/conflicts lists them", id,
		               database);
	if (code == ERR_OK)
		json_object_set_new(root, "conflict", to_json(&found.conflicts[0]));
	conflict_list_free(&found);
	return code;
}

/* The one that is asked for, else the first; NULL if none has the table and none is asked for. */
static enum err_code choose(const struct api_conflicts *which, const char *const *names, size_t count,
                            const char **ret_database, struct err *err)
{
	const char *database = which->database == NULL && count > 0 ? names[0] : NULL;
	for (size_t i = 0; which->database != NULL && i < count; i++)
		if (strcmp(names[i], which->database) == 0)
			database = names[i];
	if (database == NULL && (which->database != NULL || which->id != 0))
		return err_set(err, ERR_CONFIG, "there is no such database with a table " RECORD_TABLE);
	*ret_database = database;
	return ERR_OK;
}

static enum err_code read_all(struct connection *connection, const struct settings *settings,
                              const struct api_conflicts *which, const char **names, json_t *root, struct err *err)
{
	const char *database = NULL;
	size_t count = 0;
	enum err_code code = connection_run(connection, session_sql, err);
	if (code == ERR_OK)
		code = conflict_databases(connection, settings, names, &count, err);
	if (code == ERR_OK)
		code = choose(which, names, count, &database, err);
	if (code != ERR_OK)
		return code;
	json_t *databases = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(databases, json_string(names[i]));
	json_object_set_new(root, "version", json_integer(1));
	json_object_set_new(root, "databases", databases);
	json_object_set_new(root, "database", database != NULL ? json_string(database) : json_null());
	if (which->id != 0)
		return show(connection, which->id, database, root, err);
	if (database != NULL)
		return list(connection, which, database, root, err);
	json_object_set_new(root, "open", json_integer(0));
	json_object_set_new(root, "conflicts", json_array());
	json_object_set_new(root, "next", json_null());
	return ERR_OK;
}

enum err_code conflicts_json(const struct settings *settings, const struct api_conflicts *which, struct buf *json,
                             struct err *err)
{
	struct connection_target target = {.file = settings->file,
	                                   .group = settings->server_group,
	                                   .name = settings->server_where,
	                                   .read_timeout_s = READ_TIMEOUT_S};
	const char **names = mem_alloc((settings->database_count + 1) * sizeof *names);
	struct connection *connection = connection_new();
	json_t *root = json_object();
	enum err_code code = connection_open(connection, &target, err);
	if (code == ERR_OK)
		code = read_all(connection, settings, which, names, root, err);
	connection_free(connection);
	free(names);
	if (code == ERR_OK)
		append_json(root, json);
	else
		json_decref(root);
	return code;
}
