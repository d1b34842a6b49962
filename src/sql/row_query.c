#include "sql/row_query.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/uuid.h"

enum { COLLATION_BINARY = 63 };

/* ---- Values ---- */

static bool is_type(const struct description *d, uint32_t c, const char *name)
{
	return c < d->definition_count && d->definitions[c].data_type != NULL &&
	       strcmp(d->definitions[c].data_type, name) == 0;
}

/* Of a table that was made by a server which turned the parts round; newer ones don't: their type says that it is old
 * (MariaDB plugin/type_uuid, Type_handler_uuid_old). */
static bool is_old_uuid(const struct description *d, uint32_t c)
{
	return is_type(d, c, "uuid") && d->definitions[c].column_type != NULL &&
	       strstr(d->definitions[c].column_type, "old") != NULL;
}

/* Types of their own that the log has as BINARY. */
static bool is_binary_inside(const struct description *d, uint32_t c)
{
	return is_type(d, c, "uuid") || is_type(d, c, "inet6") || is_type(d, c, "inet4");
}

static bool is_number(const struct column *column)
{
	return content_is_integer(column) || column->type == COLUMN_FLOAT || column->type == COLUMN_DOUBLE ||
	       column->type == COLUMN_NEWDECIMAL || column->type == COLUMN_YEAR;
}

static bool is_temporal(const struct column *column)
{
	switch (column->type) {
	case COLUMN_DATE:
	case COLUMN_NEWDATE:
	case COLUMN_TIME:
	case COLUMN_TIME2:
	case COLUMN_DATETIME:
	case COLUMN_DATETIME2:
	case COLUMN_TIMESTAMP:
	case COLUMN_TIMESTAMP2:
		return true;
	default:
		return false;
	}
}

static enum err_code append_literal(struct buf *sql, const struct row_term *term, struct err *err)
{
	const struct description *d = term->of;
	const struct column *column = &d->map.columns[term->of_column];
	const char *set = term->of_column < d->definition_count ? d->definitions[term->of_column].character_set : NULL;
	bool as_hex = !is_number(column) && !is_temporal(column);
	struct buf text = {0};
	enum err_code code = content_format(column, term->value, as_hex, &text, err);
	if (code != ERR_OK)
		;
	else if (is_type(d, term->of_column, "uuid") && text.size == UUID_DIGITS)
		uuid_append_literal(sql, buf_str(&text));
	else if (column->type == COLUMN_FLOAT)
		buf_printf(sql, "CAST(%s AS FLOAT)", buf_str(&text));
	else if (is_number(column))
		buf_append_str(sql, buf_str(&text));
	else if (is_temporal(column))
		buf_printf(sql, "'%s'", buf_str(&text));
	else if (column->type == COLUMN_BIT)
		buf_printf(sql, "0x%s", buf_str(&text));
	else
		buf_printf(sql, "%s%s x'%s'", set != NULL ? "_" : "", set != NULL ? set : "", buf_str(&text));
	buf_free(&text);
	return code;
}

/* What content_parse reads. */
static void append_expression(struct buf *sql, const struct description *d, uint32_t c)
{
	const struct column *column = &d->map.columns[c];
	const char *before = "", *behind = "";
	if (column->type == COLUMN_BIT || column->type == COLUMN_ENUM || column->type == COLUMN_SET)
		behind = "+0";
	else if (column->type == COLUMN_TIMESTAMP || column->type == COLUMN_TIMESTAMP2)
		before = "UNIX_TIMESTAMP(", behind = ")";
	else if (column->type == COLUMN_FLOAT) /* with all its digits */
		before = "CAST(", behind = " AS DOUBLE)";
	else if (is_binary_inside(d, c))
		before = "HEX(CAST(", behind = " AS BINARY(16)))";
	else if (!is_number(column) && !is_temporal(column))
		before = "HEX(", behind = ")";
	if (is_type(d, c, "inet4"))
		behind = " AS BINARY(4)))";
	buf_append_str(sql, before);
	sql_append_name(sql, column->name);
	buf_append_str(sql, behind);
}

/* ---- The question and its answer ---- */

static enum err_code append_question(struct buf *sql, const struct description *d, const struct row_term *terms,
                                     size_t count, struct err *err)
{
	enum err_code code = ERR_OK;
	buf_append_str(sql, "SET STATEMENT time_zone='+00:00', sql_mode='' FOR SELECT ");
	for (uint32_t c = 0; c < d->map.column_count; c++) {
		buf_append_str(sql, c > 0 ? "," : "");
		append_expression(sql, d, c);
	}
	buf_append_str(sql, " FROM ");
	sql_append_name(sql, d->map.database);
	buf_append_str(sql, ".");
	sql_append_name(sql, d->map.table);
	for (size_t i = 0; code == ERR_OK && i < count; i++) {
		buf_append_str(sql, i > 0 ? " AND " : " WHERE ");
		buf_append_str(sql, terms[i].prefix_characters > 0 ? "LEFT(" : "");
		sql_append_name(sql, terms[i].column);
		if (terms[i].prefix_characters > 0)
			buf_printf(sql, ",%u)=LEFT(", terms[i].prefix_characters);
		else
			buf_append_str(sql, "=");
		code = append_literal(sql, &terms[i], err);
		if (terms[i].prefix_characters > 0)
			buf_printf(sql, ",%u)", terms[i].prefix_characters);
	}
	buf_append_str(sql, " FOR UPDATE");
	return code;
}

struct answer {
	const struct description *table;
	struct content *values;
	struct buf memory;
	on_queried_row *call;
	void *context;
	enum err_code code;
	struct err *err;
};

/* As the log has it: without the zeros that fill up a BINARY. */
static void trim(const struct column *column, struct content *content, const uint8_t *bytes)
{
	if (column->type == COLUMN_STRING && column->collation == COLLATION_BINARY)
		while (content->size > 0 && bytes[content->size - 1] == 0)
			content->size--;
}

static void take_row(void *context, unsigned count, const char *const *texts)
{
	struct answer *a = context;
	const struct table_map *map = &a->table->map;
	buf_clear(&a->memory);
	for (uint32_t c = 0; a->code == ERR_OK && c < map->column_count && c < count; c++) {
		size_t start = a->memory.size;
		struct buf swapped = {0};
		if (texts[c] != NULL && is_old_uuid(a->table, c) && strlen(texts[c]) == UUID_DIGITS)
			uuid_append_stored(&swapped, texts[c]);
		if (texts[c] != NULL)
			a->code =
			    content_parse(&map->columns[c], swapped.size > 0 ? buf_str(&swapped) : texts[c], &a->memory, a->err);
		a->values[c] = (struct content){.size = (uint32_t)(a->memory.size - start), .is_null = texts[c] == NULL};
		buf_free(&swapped);
	}
	const uint8_t *at = a->memory.data;
	for (uint32_t c = 0; a->code == ERR_OK && c < map->column_count; c++) {
		uint32_t size = a->values[c].size;
		a->values[c].bytes = at;
		trim(&map->columns[c], &a->values[c], at);
		at += size;
	}
	if (a->code == ERR_OK)
		a->call(a->context, a->values);
}

enum err_code row_query(struct connection *connection, const struct description *table, const struct row_term *terms,
                        size_t term_count, on_queried_row *call, void *context, struct err *err)
{
	struct answer answer = {.table = table,
	                        .values = mem_alloc((table->map.column_count + 1) * sizeof *answer.values),
	                        .call = call,
	                        .context = context,
	                        .code = ERR_OK,
	                        .err = err};
	struct buf sql = {0};
	enum err_code code = append_question(&sql, table, terms, term_count, err);
	if (code == ERR_OK)
		code = connection_query(connection, buf_str(&sql), take_row, &answer, err);
	free(answer.values);
	buf_free(&answer.memory);
	buf_free(&sql);
	return code == ERR_OK ? answer.code : code;
}
