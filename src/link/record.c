#include "link/record.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/connection.h"

enum { TABLE_NAME_CHARACTERS = 50, ROWS = 4 };

void record_create_table(const char *database, struct buf *sql)
{
	buf_append_str(sql, "CREATE TABLE IF NOT EXISTS ");
	sql_append_name(sql, database);
	buf_append_str(sql, "." RECORD_TABLE " ("
	                    "id INT AUTO_INCREMENT PRIMARY KEY, "
	                    "table_name VARCHAR(50) NOT NULL, "
	                    "record_id INT NOT NULL, "
	                    "conflict_type ENUM('INSERT_DUPLICATE', 'UPDATE_CONFLICT') NOT NULL, "
	                    "gate_id INT NOT NULL, "
	                    "conflict_data JSON, "
	                    "resolved BOOLEAN DEFAULT FALSE, "
	                    "created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)");
}

/* ---- The guide's columns ---- */

/* As many bytes as the first TABLE_NAME_CHARACTERS characters have. */
static size_t name_size(const char *name)
{
	size_t size = 0;
	for (unsigned characters = 0; name[size] != '\0'; size++)
		if (((uint8_t)name[size] & 0xc0) != 0x80 && ++characters > TABLE_NAME_CHARACTERS)
			break;
	return size;
}

/* The row that the key is read from: every row of a record has the same. */
static const struct content *row_of(const struct record *r)
{
	return r->local != NULL ? r->local : r->applied != NULL ? r->applied : r->remote != NULL ? r->remote : r->base;
}

/* The hidden end of the row's time, which a system-versioned table's primary key has behind the columns that its owner
 * gave it. */
static bool is_hidden(const struct table_map *map, uint32_t c)
{
	return c > 0 && c + 1 == map->column_count && strcmp(map->columns[c].name, "row_end") == 0 &&
	       strcmp(map->columns[c - 1].name, "row_start") == 0;
}

/* How many columns the primary key has as its owner knows it. */
static uint32_t key_count(const struct table_map *map)
{
	uint32_t count = map->primary_key_count;
	return count > 0 && is_hidden(map, map->primary_key[count - 1]) ? count - 1 : count;
}

/* The primary key if an INT can hold it, else 0. */
static int32_t record_id(const struct record *r)
{
	const struct table_map *map = r->map;
	const struct content *row = row_of(r);
	if (key_count(map) != 1 || row == NULL)
		return 0;
	const struct column *column = &map->columns[map->primary_key[0]];
	const struct content *content = &row[map->primary_key[0]];
	struct field field = {content->bytes, content->size, true, content->is_null};
	uint64_t value;
	if (value_uint(column, &field, &value, NULL) != ERR_OK || (column->is_unsigned && value > INT32_MAX))
		return 0;
	int64_t id = (int64_t)value;
	return id >= INT32_MIN && id <= INT32_MAX ? (int32_t)id : 0;
}

static const char *type_of(const char *kind)
{
	static const char *const duplicates[] = {"insert_exists", "update_exists", "multiple_unique_conflicts"};
	for (size_t i = 0; i < sizeof duplicates / sizeof *duplicates; i++)
		if (strcmp(kind, duplicates[i]) == 0)
			return "INSERT_DUPLICATE";
	return "UPDATE_CONFLICT";
}

/* ---- conflict_data ---- */

/* How the texts of a column are to be read, the same in all rows of a record. */
struct column_texts {
	bool is_hex, is_cut;
};

static void set_gtid(json_t *object, const char *name, const struct gtid *gtid)
{
	char text[GTID_TEXT_MAX];
	json_object_set_new(object, name, gtid->seq > 0 ? json_string(gtid_format(gtid, text)) : json_null());
}

/* What there is room for: at most RECORD_TEXT_MAX bytes of text, whole UTF-8 characters. */
static struct content cut(struct content content, struct column_texts *texts)
{
	uint32_t limit = texts->is_hex ? RECORD_TEXT_MAX / 2 : RECORD_TEXT_MAX;
	if (content.size <= limit)
		return content;
	texts->is_cut = true;
	content.size = limit;
	while (!texts->is_hex && content.size > 0 && (content.bytes[content.size] & 0xc0) == 0x80)
		content.size--;
	return content;
}

static enum err_code set_value(json_t *object, const struct column *column, const struct content *content,
                               struct column_texts *texts, struct err *err)
{
	if (content->is_null || content->is_absent) {
		json_object_set_new(object, column->name, json_null());
		return ERR_OK;
	}
	struct buf text = {0};
	struct content some = cut(*content, texts);
	enum err_code code = content_format(column, &some, texts->is_hex, &text, err);
	if (code == ERR_OK)
		json_object_set_new(object, column->name, json_stringn(buf_str(&text), text.size));
	buf_free(&text);
	return code;
}

static enum err_code set_row(json_t *object, const char *name, const struct record *r, const struct content *row,
                             struct column_texts *texts, struct err *err)
{
	json_t *values = row != NULL ? json_object() : json_null();
	json_object_set_new(object, name, values);
	enum err_code code = ERR_OK;
	for (uint32_t c = 0; row != NULL && c < r->map->column_count && code == ERR_OK; c++)
		code = set_value(values, &r->map->columns[c], &row[c], &texts[c], err);
	return code;
}

static enum err_code set_key(json_t *object, const struct record *r, struct column_texts *texts, struct err *err)
{
	json_t *key = json_object();
	json_object_set_new(object, "key", key);
	const struct content *row = row_of(r);
	enum err_code code = ERR_OK;
	for (uint32_t i = 0; row != NULL && i < key_count(r->map) && code == ERR_OK; i++) {
		uint32_t c = r->map->primary_key[i];
		code = set_value(key, &r->map->columns[c], &row[c], &texts[c], err);
	}
	return code;
}

/* A column whose text can't be had in one of the rows is hexadecimal in all of them. */
static void choose_forms(const struct record *r, const struct content *const rows[ROWS], struct column_texts *texts)
{
	for (size_t i = 0; i < ROWS; i++)
		for (uint32_t c = 0; rows[i] != NULL && c < r->map->column_count; c++)
			texts[c].is_hex =
			    texts[c].is_hex || (!rows[i][c].is_absent && !content_is_text(&r->map->columns[c], &rows[i][c]));
}

static void set_columns(json_t *object, const struct record *r, const struct column_texts *texts)
{
	json_t *lost = json_array(), *hex = json_array(), *cuts = json_array();
	for (uint32_t c = 0; c < r->map->column_count; c++) {
		const char *name = r->map->columns[c].name;
		if (r->lost != NULL && r->lost[c])
			json_array_append_new(lost, json_string(name));
		if (texts[c].is_hex)
			json_array_append_new(hex, json_string(name));
		if (texts[c].is_cut)
			json_array_append_new(cuts, json_string(name));
	}
	json_object_set_new(object, "lost", lost);
	json_object_set_new(object, "hex", hex);
	json_object_set_new(object, "cut", cuts);
}

static enum err_code set_rows(json_t *object, const struct record *r, struct err *err)
{
	static const char *const names[ROWS] = {"base", "local", "remote", "applied"};
	const struct content *const rows[ROWS] = {r->base, r->local, r->remote, r->applied};
	struct column_texts *texts = mem_alloc((r->map->column_count + 1) * sizeof *texts);
	choose_forms(r, rows, texts);
	enum err_code code = set_key(object, r, texts, err);
	for (size_t i = 0; i < ROWS && code == ERR_OK; i++)
		code = set_row(object, names[i], r, rows[i], texts, err);
	if (code == ERR_OK)
		set_columns(object, r, texts);
	free(texts);
	return code;
}

static enum err_code make_data(const struct record *r, json_t *object, struct err *err)
{
	char id[17];
	snprintf(id, sizeof id, "%016" PRIx64, r->id);
	json_object_set_new(object, "version", json_integer(RECORD_VERSION));
	json_object_set_new(object, "id", json_string(id));
	json_object_set_new(object, "kind", json_string(r->kind));
	json_object_set_new(object, "database", json_string(r->map->database));
	json_object_set_new(object, "table", json_string(r->map->table));
	enum err_code code = set_rows(object, r, err);
	set_gtid(object, "local_gtid", &r->loser);
	set_gtid(object, "remote_gtid", &r->winner);
	json_object_set_new(object, "local_time", json_integer(r->loser_time));
	json_object_set_new(object, "remote_time", r->winner.seq > 0 ? json_integer(r->winner_time) : json_null());
	json_object_set_new(object, "resolver", json_string(r->resolver));
	json_object_set_new(object, "resolution", json_string(r->resolution));
	return code;
}

/* ---- The statement ---- */

static void append_text(struct buf *sql, const char *text, size_t size)
{
	buf_append_str(sql, "_utf8mb4 ");
	sql_append_string(sql, text, size);
}

enum err_code record_insert(const struct record *r, struct buf *sql, struct err *err)
{
	if (!r->map->has_full_metadata)
		return err_set(err, ERR_UNSUPPORTED,
		               "%s.%s: the log has no column names, so a conflict in it can't be recorded; set "
		               "binlog_row_metadata=FULL on every node",
		               r->map->database, r->map->table);
	json_t *object = json_object();
	enum err_code code = make_data(r, object, err);
	char *data = code == ERR_OK ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (code != ERR_OK)
		return err_wrap(err, "%s.%s", r->map->database, r->map->table);
	buf_append_str(sql, "INSERT INTO ");
	sql_append_name(sql, r->map->database);
	buf_append_str(sql, "." RECORD_TABLE " (table_name, record_id, conflict_type, gate_id, conflict_data) VALUES (");
	append_text(sql, r->map->table, name_size(r->map->table));
	buf_printf(sql, ", %" PRId32 ", '%s', %" PRIu32 ", ", record_id(r), type_of(r->kind), r->loser.domain);
	append_text(sql, data, strlen(data));
	buf_append_str(sql, ")");
	free(data);
	return ERR_OK;
}
