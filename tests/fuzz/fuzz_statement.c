/* Fuzzes src/sql/statement. The input is a byte of modes, a byte that picks a character set, and a statement's text.
 *
 * Whatever the text is: what is found holds together, a comment or SET STATEMENT in front changes nothing, and a DROP
 * written anew from the names found finds them again. The text lies in memory of exactly its size, for ASan.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "sql/statement.h"

enum { HAS_ANSI_QUOTES = 1, HAS_NO_BACKSLASH = 2, HAS_MSSQL = 4, HAS_NO_DATABASE = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static struct statement_context context_of(uint8_t modes, uint8_t charset)
{
	static const uint16_t charsets[] = {0, 45, 33, 8, 13, 28, 1, 51, 63, 2304, 1069, 1032, 95};
	struct statement_context context = {.charset_client = charsets[charset % (sizeof charsets / sizeof *charsets)]};
	if (modes & HAS_ANSI_QUOTES)
		context.sql_mode |= UINT64_C(1) << 2;
	if (modes & HAS_NO_BACKSLASH)
		context.sql_mode |= UINT64_C(1) << 20;
	if (modes & HAS_MSSQL)
		context.sql_mode |= UINT64_C(1) << 10;
	if (!(modes & HAS_NO_DATABASE)) {
		context.database = "fact";
		context.database_size = 4;
	}
	return context;
}

static enum err_code parse(const char *text, size_t size, const struct statement_context *context,
                           struct statement *ret)
{
	char *exact = malloc(size ? size : 1);
	struct err err = {0};
	expect(exact != NULL);
	if (size > 0)
		memcpy(exact, text, size);
	*ret = (struct statement){0};
	enum err_code code = statement_parse(exact, size, context, ret, &err);
	expect(code == ERR_OK || (code == ERR_UNSUPPORTED && err.code == code && err.message[0] != '\0'));
	free(exact);
	return code;
}

static bool same(const struct statement *a, const struct statement *b)
{
	bool equal = a->kind == b->kind && a->verb == b->verb && a->object == b->object && a->name_count == b->name_count &&
	             a->if_exists == b->if_exists && a->if_not_exists == b->if_not_exists &&
	             a->or_replace == b->or_replace && a->temporary == b->temporary && a->like == b->like &&
	             a->select_follows == b->select_follows && a->tablespace == b->tablespace;
	for (size_t i = 0; equal && i < a->name_count; i++)
		equal = a->names[i].role == b->names[i].role && strcmp(a->names[i].database, b->names[i].database) == 0 &&
		        strcmp(a->names[i].name, b->names[i].name) == 0;
	return equal;
}

static bool replicated(const char *database, void *context)
{
	(void)context;
	return strcmp(database, "fact") == 0;
}

static void check_whole(const struct statement *st)
{
	expect((st->kind == STATEMENT_DDL) == (st->name_count > 0));
	expect((st->kind == STATEMENT_DDL) == (st->object != OBJECT_NONE));
	expect((st->kind == STATEMENT_UNKNOWN) == (st->note != NULL));
	for (size_t i = 0; i < st->name_count; i++) {
		size_t database_size = strlen(st->names[i].database), name_size = strlen(st->names[i].name);
		expect(database_size > 0 && database_size <= STATEMENT_IDENTIFIER_MAX);
		expect(name_size <= STATEMENT_IDENTIFIER_MAX && (name_size == 0) == (st->object == OBJECT_DATABASE));
	}
	if (st->kind == STATEMENT_DDL)
		statement_scope(st, replicated, NULL);
	expect(statement_kind_name(st->kind)[0] != '\0' && statement_verb_name(st->verb) != NULL);
}

static void check_in_front(const char *front, const char *text, size_t size, const struct statement_context *context,
                           enum err_code code, const struct statement *st)
{
	struct buf longer = {0};
	struct statement again;
	buf_append_str(&longer, front);
	buf_append(&longer, text, size);
	expect(parse((const char *)longer.data, longer.size, context, &again) == code);
	expect(code != ERR_OK || same(st, &again));
	statement_free(&again);
	buf_free(&longer);
}

static void append_quoted(struct buf *to, const char *name)
{
	buf_append_u8(to, '`');
	for (; *name != '\0'; name++) {
		if (*name == '`')
			buf_append_u8(to, '`');
		buf_append_u8(to, (uint8_t)*name);
	}
	buf_append_u8(to, '`');
}

/* As the server does with DROP TABLE. */
static void check_written_anew(const struct statement *st)
{
	static const struct statement_context utf8 = {.charset_client = 45};
	struct buf text = {0};
	struct statement again;
	buf_append_str(&text, "DROP TABLE");
	for (size_t i = 0; i < st->name_count; i++) {
		buf_append_str(&text, i ? "," : " ");
		append_quoted(&text, st->names[i].database);
		buf_append_u8(&text, '.');
		append_quoted(&text, st->names[i].name);
	}
	expect(parse((const char *)text.data, text.size, &utf8, &again) == ERR_OK);
	expect(again.kind == STATEMENT_DDL && again.name_count == st->name_count);
	for (size_t i = 0; i < st->name_count; i++)
		expect(again.names[i].qualified && strcmp(again.names[i].database, st->names[i].database) == 0 &&
		       strcmp(again.names[i].name, st->names[i].name) == 0);
	statement_free(&again);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct statement_context context = context_of(data[0], data[1]);
	const char *text = (const char *)data + 2;
	size -= 2;
	struct statement st;
	enum err_code code = parse(text, size, &context, &st);
	if (code == ERR_OK)
		check_whole(&st);
	check_in_front("/* ' */ -- `\n#\"\n\t", text, size, &context, code, &st);
	if (st.kind != STATEMENT_EMPTY && st.kind != STATEMENT_UNKNOWN)
		check_in_front("set statement a='`', b=(1) for ", text, size, &context, code, &st);
	if (st.kind == STATEMENT_DDL && st.object != OBJECT_DATABASE)
		check_written_anew(&st);
	statement_free(&st);
	return 0;
}
