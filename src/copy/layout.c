#include "copy/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { LONG_BYTES = 255 };

/* ---- Loading ---- */

/* Columns of the answers, by their first. */
enum { C_NAME = 1, C_TYPE, C_CHARACTER_SET, C_OCTETS, C_GENERATED, C_NULLABLE };
enum { K_INDEX = 1, K_COLUMN, K_USABLE };

struct loading {
	struct layout *layout;
	char *key; /* the index whose columns are being told */
	bool is_by_number;
	size_t unique_count;
	char *last_index;
};

static const struct {
	const char *type;
	enum value_class value;
} types[] = {
    {"tinyint", VALUE_NUMBER}, {"smallint", VALUE_NUMBER}, {"mediumint", VALUE_NUMBER}, {"int", VALUE_NUMBER},
    {"bigint", VALUE_NUMBER},  {"decimal", VALUE_NUMBER},  {"float", VALUE_REAL},       {"double", VALUE_REAL},
    {"year", VALUE_TIME},      {"date", VALUE_TIME},       {"time", VALUE_TIME},        {"datetime", VALUE_TIME},
    {"timestamp", VALUE_TIME}, {"enum", VALUE_CODE},       {"set", VALUE_CODE},         {"bit", VALUE_CODE},
    {"uuid", VALUE_TYPED},     {"inet4", VALUE_TYPED},     {"inet6", VALUE_TYPED},
};

static enum value_class class_of(const char *type)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(types[i].type, type) == 0)
			return types[i].value;
	return VALUE_BYTES;
}

static struct layout_column *add_column(struct loading *l, const char *name)
{
	struct layout *layout = l->layout;
	size_t count = layout->column_count + 1;
	layout->columns = mem_resize(layout->columns, count * sizeof *layout->columns);
	struct layout_column *column = &layout->columns[layout->column_count++];
	*column = (struct layout_column){.name = mem_strdup(name), .character_set = "binary"};
	return column;
}

static void take_column(struct loading *l, const char *const *row)
{
	bool is_time = strncmp(row[C_GENERATED], "ROW ", 4) == 0;
	if (row[C_GENERATED][0] != '\0' && !is_time)
		return;
	struct layout_column *column = add_column(l, row[C_NAME]);
	column->value = class_of(row[C_TYPE]);
	column->is_nullable = strcmp(row[C_NULLABLE], "NO") != 0;
	if (column->value == VALUE_BYTES && row[C_CHARACTER_SET] != NULL &&
	    strlen(row[C_CHARACTER_SET]) < sizeof column->character_set)
		strcpy(column->character_set, row[C_CHARACTER_SET]);
	column->is_long =
	    column->value == VALUE_BYTES && (row[C_OCTETS] == NULL || strtoull(row[C_OCTETS], NULL, 10) > LONG_BYTES);
	l->is_by_number = l->is_by_number || (is_time && strcmp(row[C_TYPE], "bigint") == 0);
}

/* Indexes come one after the other, the primary key first; the first usable one is taken. */
static void take_key(struct loading *l, const char *const *row)
{
	struct layout *layout = l->layout;
	if (l->last_index == NULL || strcmp(l->last_index, row[K_INDEX]) != 0) {
		free(l->last_index);
		l->last_index = mem_strdup(row[K_INDEX]);
		l->unique_count++;
	}
	if (strcmp(row[K_USABLE], "1") != 0 || (layout->key_name != NULL && strcmp(layout->key_name, row[K_INDEX]) != 0))
		return;
	if (layout->key_name == NULL)
		layout->key_name = mem_strdup(row[K_INDEX]);
	for (size_t i = 0; i < layout->column_count; i++) {
		if (strcmp(layout->columns[i].name, row[K_COLUMN]) != 0)
			continue;
		layout->key = mem_resize(layout->key, (layout->key_count + 1) * sizeof *layout->key);
		layout->key[layout->key_count++] = i;
	}
}

static void take_row(void *context, unsigned count, const char *const *columns)
{
	if (count > C_NULLABLE && columns[0][0] == 'c')
		take_column(context, columns);
	else if (count > K_USABLE && columns[0][0] == 'k')
		take_key(context, columns);
}

static enum err_code ask(struct loading *l, struct connection *connection, const struct object *table, struct err *err)
{
	struct buf sql = {0}, where = {0};
	buf_append_str(&where, " WHERE table_schema=");
	sql_append_string(&where, table->database, strlen(table->database));
	buf_append_str(&where, " AND table_name=");
	sql_append_string(&where, table->name, strlen(table->name));
	const char *of = buf_str(&where);
	buf_printf(&sql,
	           "SELECT 'c',column_name,data_type,character_set_name,character_octet_length,"
	           "IF(is_generated='ALWAYS',IFNULL(NULLIF(generation_expression,''),'?'),''),is_nullable"
	           " FROM information_schema.columns%s ORDER BY ordinal_position;"
	           "SELECT 'k',s.index_name,s.column_name,u.usable FROM information_schema.statistics s JOIN"
	           " (SELECT index_name,MIN(sub_part IS NULL AND nullable='' AND index_type='BTREE') usable"
	           " FROM information_schema.statistics%s AND non_unique=0 GROUP BY index_name) u"
	           " ON u.index_name=s.index_name%s AND non_unique=0"
	           " ORDER BY s.index_name<>'PRIMARY',s.index_name,seq_in_index",
	           of, of, of);
	enum err_code code = connection_query(connection, buf_str(&sql), take_row, l, err);
	buf_free(&sql);
	buf_free(&where);
	return code;
}

/* The times of a versioned table that names none of its own. */
static void add_hidden_times(struct loading *l)
{
	for (size_t i = 0; i < l->layout->column_count; i++)
		if (strcmp(l->layout->columns[i].name, "row_start") == 0 || strcmp(l->layout->columns[i].name, "row_end") == 0)
			return;
	add_column(l, "row_start")->value = VALUE_TIME;
	add_column(l, "row_end")->value = VALUE_TIME;
}

enum err_code layout_load(struct connection *connection, const struct object *table, struct layout *ret,
                          struct err *err)
{
	struct buf name = {0};
	object_append_name(&name, table);
	struct layout layout = {.table = mem_strdup(buf_str(&name)), .is_versioned = table->is_versioned};
	struct loading loading = {.layout = &layout};
	buf_free(&name);
	enum err_code code = ask(&loading, connection, table, err);
	if (code == ERR_OK && loading.is_by_number)
		code = err_set(err, ERR_UNSUPPORTED,
		               "%s.%s is versioned by transaction numbers, which another server can't take over; version it by "
		               "time (row_start TIMESTAMP(6))",
		               table->database, table->name);
	if (code == ERR_OK && layout.is_versioned) {
		bool has_times = strstr(table->definition, "PERIOD FOR SYSTEM_TIME") != NULL;
		if (!has_times)
			add_hidden_times(&loading);
		free(layout.key_name); /* old versions of a row have its key, too */
		layout.key_name = NULL;
		layout.key_count = 0;
	}
	/* What may not overlap in time can't be replaced (ER_NOT_SUPPORTED_YET). */
	layout.can_replace = strstr(table->definition, "WITHOUT OVERLAPS") == NULL;
	layout.has_other_unique = loading.unique_count > (layout.key_name != NULL);
	free(loading.last_index);
	if (code == ERR_OK)
		*ret = layout;
	else
		layout_free(&layout);
	return code;
}

void layout_free(struct layout *layout)
{
	for (size_t i = 0; i < layout->column_count; i++)
		free(layout->columns[i].name);
	free(layout->columns);
	free(layout->table);
	free(layout->key_name);
	free(layout->key);
	*layout = (struct layout){0};
}

/* ---- Expressions and literals ---- */

static void append_expression(const struct layout_column *column, struct buf *sql)
{
	static const struct {
		const char *before, *behind;
	} around[] = {
	    [VALUE_NUMBER] = {"", ""},
	    [VALUE_REAL] = {"CAST(", " AS DOUBLE)"},
	    [VALUE_TIME] = {"", ""},
	    [VALUE_CODE] = {"CAST(", " AS UNSIGNED)"},
	    [VALUE_TYPED] = {"CAST(", " AS CHAR)"},
	    [VALUE_BYTES] = {"", ""},
	};
	buf_append_str(sql, around[column->value].before);
	sql_append_name(sql, column->name);
	buf_append_str(sql, around[column->value].behind);
}

/* Quotes and backslashes are doubled or escaped; nothing else needs to be (MariaDB manual, "String Literals"). */
static void append_quoted(struct buf *sql, const char *bytes, size_t size)
{
	uint8_t *to = buf_reserve(sql, size * 2 + 2);
	*to++ = '\'';
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '\'' || bytes[i] == '\\')
			*to++ = (uint8_t)bytes[i];
		*to++ = (uint8_t)bytes[i];
	}
	*to++ = '\'';
	sql->size = (size_t)(to - sql->data);
}

static void append_literal(const struct layout_column *column, const char *bytes, size_t size, struct buf *sql)
{
	if (bytes == NULL) {
		buf_append_str(sql, "NULL");
	} else if (column->value == VALUE_NUMBER || column->value == VALUE_CODE) {
		buf_append(sql, bytes, size);
	} else {
		if (column->value == VALUE_BYTES)
			buf_append_str(sql, "_binary");
		append_quoted(sql, bytes, size);
	}
}

/* What an index can be searched by: of the column's own type, or the server would turn each row's value instead. */
static void append_key_literal(const struct layout_column *column, const void *bytes, size_t size, struct buf *sql)
{
	if (column->value == VALUE_REAL) {
		buf_append(sql, bytes, size);
		buf_append_str(sql, memchr(bytes, 'e', size) != NULL ? "" : "e0");
	} else if (column->value == VALUE_BYTES) {
		buf_printf(sql, "_%s ", column->character_set);
		sql_append_string(sql, bytes, size);
	} else {
		append_literal(column, bytes, size, sql);
	}
}

void layout_append_key_value(const struct layout *layout, size_t i, const void *bytes, size_t size, struct buf *sql)
{
	append_key_literal(&layout->columns[layout->key[i]], bytes, size, sql);
}

/* ---- Positions ---- */

void layout_take_position(const struct layout *layout, struct position *position, const char *const *values,
                          const unsigned long *sizes, bool is_key_only)
{
	if (position->values == NULL)
		position->values = mem_alloc(layout->key_count * sizeof *position->values);
	for (size_t i = 0; i < layout->key_count; i++) {
		size_t at = is_key_only ? i : layout->key[i];
		buf_clear(&position->values[i]);
		if (values[at] != NULL)
			buf_append(&position->values[i], values[at], sizes[at]);
	}
	position->is_set = true;
}

void layout_move_position(struct position *to, struct position *from)
{
	struct position old = *to;
	*to = *from;
	*from = old;
	from->is_set = false;
}

void layout_position_free(const struct layout *layout, struct position *position)
{
	for (size_t i = 0; position->values != NULL && i < layout->key_count; i++)
		buf_free(&position->values[i]);
	free(position->values);
	*position = (struct position){0};
}

static void append_comparison(const struct layout *layout, const struct position *position, size_t i, const char *is,
                              struct buf *sql)
{
	const struct layout_column *column = &layout->columns[layout->key[i]];
	sql_append_name(sql, column->name);
	buf_append_str(sql, is);
	append_key_literal(column, position->values[i].data, position->values[i].size, sql);
}

/* a>1 OR (a=1 AND (b>2 OR (b=2 AND c>3))): rows as values, (a,b,c)>(1,2,3), would not be looked for in an index. */
static void append_beyond(const struct layout *layout, const struct position *position, const char *is,
                          const char *is_last, struct buf *sql)
{
	size_t last = layout->key_count - 1;
	for (size_t i = 0; i < last; i++) {
		buf_append_str(sql, "(");
		append_comparison(layout, position, i, is, sql);
		buf_append_str(sql, " OR (");
		append_comparison(layout, position, i, "=", sql);
		buf_append_str(sql, " AND ");
	}
	append_comparison(layout, position, last, is_last, sql);
	for (size_t i = 0; i < last; i++)
		buf_append_str(sql, "))");
}

void layout_append_where(const struct layout *layout, const struct range *range, struct buf *sql)
{
	if (range->from.is_set) {
		buf_append_str(sql, " WHERE ");
		append_beyond(layout, &range->from, ">", ">", sql);
	}
	if (range->to.is_set) {
		buf_append_str(sql, range->from.is_set ? " AND " : " WHERE ");
		append_beyond(layout, &range->to, "<", "<=", sql);
	}
}

/* ---- Statements ---- */

static void append_source(const struct layout *layout, const struct range *range, const char *only, struct buf *sql)
{
	buf_printf(sql, " FROM %s", layout->table);
	if (layout->is_versioned)
		buf_append_str(sql, " FOR SYSTEM_TIME ALL");
	if (layout->key_name != NULL) {
		buf_append_str(sql, " FORCE INDEX (");
		sql_append_name(sql, layout->key_name);
		buf_append_str(sql, ")");
	}
	layout_append_where(layout, range, sql);
	if (only != NULL)
		buf_printf(sql, " %s %s", range->from.is_set || range->to.is_set ? "AND" : "WHERE", only);
}

static void append_order(const struct layout *layout, struct buf *sql)
{
	for (size_t i = 0; i < layout->key_count; i++) {
		buf_append_str(sql, i > 0 ? "," : " ORDER BY ");
		sql_append_name(sql, layout->columns[layout->key[i]].name);
	}
}

void layout_append_select(const struct layout *layout, const struct range *range, struct buf *sql)
{
	buf_append_str(sql, "SELECT ");
	for (size_t i = 0; i < layout->column_count; i++) {
		buf_append_str(sql, i > 0 ? "," : "");
		append_expression(&layout->columns[i], sql);
	}
	append_source(layout, range, NULL, sql);
	append_order(layout, sql);
}

void layout_append_key(const struct layout *layout, const struct range *range, struct buf *sql)
{
	buf_append_str(sql, "SELECT ");
	for (size_t i = 0; i < layout->key_count; i++) {
		buf_append_str(sql, i > 0 ? "," : "");
		append_expression(&layout->columns[layout->key[i]], sql);
	}
	append_source(layout, range, NULL, sql);
	append_order(layout, sql);
}

/* Each value with its length before it, or its hash, or N: no two rows are one text. A long value by its hash, since a
 * text longer than max_allowed_packet would be NULL. */
static void append_hash(const struct layout *layout, struct buf *sql)
{
	struct buf value = {0};
	buf_append_str(sql, "MD5(CONCAT(''");
	for (size_t i = 0; i < layout->column_count; i++) {
		buf_clear(&value);
		append_expression(&layout->columns[i], &value);
		if (layout->columns[i].is_long)
			buf_printf(sql, ",IFNULL(MD5(%s),'N')", buf_str(&value));
		else
			buf_printf(sql, ",IFNULL(CONCAT(LENGTH(%s),':',CAST(%s AS BINARY)),'N')", buf_str(&value), buf_str(&value));
	}
	buf_append_str(sql, "))");
	buf_free(&value);
}

void layout_append_digest(const struct layout *layout, const struct range *range, const char *only, struct buf *sql)
{
	enum { SHORT_BYTES = 12 };
	buf_append_str(sql, "SELECT COUNT(*),COUNT(h),COALESCE(SUM(CAST(CONV(LEFT(h,16),16,10) AS UNSIGNED)),0),"
	                    "COALESCE(SUM(CAST(CONV(RIGHT(h,16),16,10) AS UNSIGNED)),0),COALESCE(SUM(n),0) FROM (SELECT ");
	append_hash(layout, sql);
	buf_printf(sql, " h,%zu", layout->column_count * SHORT_BYTES);
	for (size_t i = 0; i < layout->column_count; i++) {
		if (!layout->columns[i].is_long)
			continue;
		buf_append_str(sql, "+IFNULL(LENGTH(");
		sql_append_name(sql, layout->columns[i].name);
		buf_append_str(sql, "),0)");
	}
	buf_append_str(sql, " n");
	append_source(layout, range, only, sql);
	buf_append_str(sql, ") q");
}

/* Of numbers and times, and the lengths of all else, with a comma between; then of what has these lengths. N is NULL. So no
 * two rows are one text. */
static void append_crc(const struct layout *layout, const char *function, struct buf *sql)
{
	struct buf crc = {0}, next = {0}, value = {0};
	buf_printf(&crc, "%s(0,CONCAT_WS(','", function);
	for (size_t i = 0; i < layout->column_count; i++) {
		const struct layout_column *c = &layout->columns[i];
		bool is_bytes = c->value == VALUE_BYTES;
		buf_append_str(&crc, c->is_nullable ? ",IFNULL(" : ",");
		buf_append_str(&crc, is_bytes ? "LENGTH(" : "");
		append_expression(c, &crc);
		buf_append_str(&crc, is_bytes ? ")" : "");
		buf_append_str(&crc, c->is_nullable ? ",'N')" : "");
	}
	buf_append_str(&crc, "))");
	for (size_t i = 0; i < layout->column_count; i++) {
		const struct layout_column *c = &layout->columns[i];
		if (c->value != VALUE_BYTES)
			continue;
		buf_clear(&value);
		append_expression(c, &value);
		buf_printf(&next, "%s(%s,", function, buf_str(&crc));
		buf_printf(&next, c->is_nullable ? "IFNULL(CAST(%s AS BINARY),''))" : "%s)", buf_str(&value));
		buf_clear(&crc);
		buf_append(&crc, next.data, next.size);
		buf_clear(&next);
	}
	buf_append(sql, crc.data, crc.size);
	buf_free(&crc);
	buf_free(&next);
	buf_free(&value);
}

void layout_append_quick_digest(const struct layout *layout, const struct range *range, const char *only,
                                struct buf *sql)
{
	buf_append_str(sql, "SELECT COUNT(*),BIT_XOR(");
	append_crc(layout, "CRC32", sql);
	buf_append_str(sql, "*");
	append_crc(layout, "CRC32C", sql);
	buf_append_str(sql, ")");
	append_source(layout, range, only, sql);
}

void layout_append_hashes(const struct layout *layout, const struct range *range, const char *only, struct buf *sql)
{
	buf_append_str(sql, "SELECT ");
	for (size_t i = 0; i < layout->key_count; i++) {
		append_expression(&layout->columns[layout->key[i]], sql);
		buf_append_str(sql, ",");
	}
	append_hash(layout, sql);
	append_source(layout, range, only, sql);
	append_order(layout, sql);
}

void layout_append_hashed_rows(const struct layout *layout, const char *only, struct buf *sql)
{
	buf_append_str(sql, "SELECT ");
	for (size_t i = 0; i < layout->column_count; i++) {
		append_expression(&layout->columns[i], sql);
		buf_append_str(sql, ",");
	}
	append_hash(layout, sql);
	append_source(layout, &(struct range){0}, only, sql);
}

void layout_append_insert(const struct layout *layout, const char *verb, struct buf *sql)
{
	buf_printf(sql, "%s INTO %s (", verb, layout->table);
	for (size_t i = 0; i < layout->column_count; i++) {
		buf_append_str(sql, i > 0 ? "," : "");
		sql_append_name(sql, layout->columns[i].name);
	}
	buf_append_str(sql, ") VALUES ");
}

void layout_append_row(const struct layout *layout, const char *const *values, const unsigned long *sizes,
                       struct buf *sql)
{
	buf_append_str(sql, "(");
	for (size_t i = 0; i < layout->column_count; i++) {
		if (i > 0)
			buf_append_str(sql, ",");
		append_literal(&layout->columns[i], values[i], sizes[i], sql);
	}
	buf_append_str(sql, ")");
}

void layout_append_printable(const struct layout *layout, size_t column, const char *bytes, size_t size,
                             struct buf *sql)
{
	const struct layout_column *c = &layout->columns[column];
	if (bytes != NULL && c->value == VALUE_BYTES)
		sql_append_string(sql, bytes, size);
	else
		append_literal(c, bytes, size, sql);
}

void layout_append_assignments(const struct layout *layout, const char *const *values, const unsigned long *sizes,
                               struct buf *sql)
{
	for (size_t i = 0; i < layout->column_count; i++) {
		buf_append_str(sql, i > 0 ? "," : "");
		sql_append_name(sql, layout->columns[i].name);
		buf_append_str(sql, "=");
		layout_append_printable(layout, i, values[i], sizes[i], sql);
	}
}
