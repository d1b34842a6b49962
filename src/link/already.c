#include "link/already.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TABLE_EXISTS = 1050, DUPLICATE_COLUMN = 1060, DUPLICATE_KEY_NAME = 1061, NO_SUCH_PART = 1091, UNDO_MAX = 64 };

struct question {
	struct connection *connection;
	const struct ddl *ddl;
	const struct statement_name *name;
	char database[40]; /* of its own */
};

bool already_is_question(const struct statement *s, unsigned number)
{
	if (s->name_count == 0 || s->names[0].unreadable || s->or_replace)
		return false;
	if (s->verb == VERB_CREATE && s->object == OBJECT_TABLE)
		return number == TABLE_EXISTS || (number == 0 && s->if_not_exists);
	if (s->name_count > 1)
		return false;
	if (s->verb == VERB_CREATE && s->object == OBJECT_INDEX)
		return number == DUPLICATE_KEY_NAME;
	return s->verb == VERB_ALTER && s->object == OBJECT_TABLE &&
	       (number == DUPLICATE_COLUMN || number == DUPLICATE_KEY_NAME || number == NO_SUCH_PART);
}

static void append_table(struct buf *sql, const char *database, const char *table)
{
	sql_append_name(sql, database);
	buf_append_str(sql, ".");
	sql_append_name(sql, table);
}

/* A database with the same defaults. */
static enum err_code make_database(const struct question *q, struct err *err)
{
	struct buf sql = {0}, collation = {0};
	bool found;
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;"
	                     "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name=");
	sql_append_string(&sql, q->name->database, strlen(q->name->database));
	enum err_code code = connection_value(q->connection, buf_str(&sql), sql.size, &collation, &found, err);
	buf_clear(&sql);
	buf_printf(&sql, "CREATE OR REPLACE DATABASE %s", q->database);
	if (code == ERR_OK && found)
		buf_printf(&sql, " COLLATE %s", buf_str(&collation));
	if (code == ERR_OK)
		code = connection_run_n(q->connection, buf_str(&sql), sql.size, err);
	buf_free(&collation);
	buf_free(&sql);
	return code;
}

/* A table of this database like the one that is here. */
static enum err_code make_alike(const struct question *q, const char *table, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "CREATE TABLE ");
	append_table(&sql, q->database, table);
	buf_append_str(&sql, " LIKE ");
	append_table(&sql, q->name->database, q->name->name);
	enum err_code code = connection_run_n(q->connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

/* The statement, for the table in the database of its own: the rest of it means what it did. */
static enum err_code run_there(const struct question *q, struct err *err)
{
	struct buf text = {0};
	struct query_event query = *q->ddl->query;
	struct ddl ddl = *q->ddl;
	size_t at = q->name->qualifier_at, behind = at + q->name->qualifier_size;
	buf_append(&text, ddl.statement, at);
	buf_printf(&text, "%s.", q->database);
	buf_append(&text, ddl.statement + behind, ddl.statement_size - behind);
	query.flags2 |= QUERY_NO_FOREIGN_KEY_CHECKS;
	ddl.query = &query;
	ddl.statement = (const char *)text.data;
	ddl.statement_size = text.size;
	enum err_code code = ddl_apply(q->connection, &ddl, err);
	buf_free(&text);
	return code;
}

/* The name in "Duplicate column name 'x'" or "Can't DROP COLUMN `x`; check that it exists". Those with quotes in them are given
 * up. */
static bool name_in_message(const char *message, const char *before, char quote, char *ret, size_t room)
{
	const char *from = strstr(message, before);
	const char *end = from ? strchr(from + strlen(before), quote) : NULL;
	if (end == NULL || (size_t)(end - from) - strlen(before) >= room)
		return false;
	snprintf(ret, room, "%.*s", (int)((size_t)(end - from) - strlen(before)), from + strlen(before));
	return true;
}

/* Takes what is in the statement's way out of it. False if nobody knows how. */
static bool append_undo(const struct question *q, const struct err *refusal, struct buf *sql)
{
	char name[STATEMENT_IDENTIFIER_MAX];
	const char *how, *behind = "";
	if (name_in_message(refusal->message, "Duplicate column name '", '\'', name, sizeof name))
		how = " DROP COLUMN ";
	else if (name_in_message(refusal->message, "Duplicate key name '", '\'', name, sizeof name))
		how = " DROP INDEX ";
	else if (name_in_message(refusal->message, "Can't DROP COLUMN `", '`', name, sizeof name)) {
		how = " ADD COLUMN ";
		behind = " INT";
	} else
		return false;
	buf_append_str(sql, "ALTER TABLE ");
	append_table(sql, q->database, q->name->name);
	buf_append_str(sql, how);
	sql_append_name(sql, name);
	buf_append_str(sql, behind);
	return true;
}

static enum err_code run_undoing(const struct question *q, struct err *err)
{
	enum err_code code = run_there(q, err);
	for (int i = 0; code == ERR_SERVER && i < UNDO_MAX; i++) {
		struct buf sql = {0};
		bool goes_on = append_undo(q, err, &sql);
		if (goes_on)
			code = connection_run_n(q->connection, buf_str(&sql), sql.size, err);
		buf_free(&sql);
		if (!goes_on || code != ERR_OK)
			return code;
		code = run_there(q, err);
	}
	return code;
}

static void take_definition(void *context, unsigned count, const char *const *columns)
{
	struct buf *to = context;
	const char *text = count > 1 && columns[1] != NULL ? strchr(columns[1], '(') : NULL;
	for (bool was_blank = false; text != NULL && *text != '\0'; text++) {
		static const char counter[] = "AUTO_INCREMENT=";
		if (strncmp(text, counter, strlen(counter)) == 0)
			text += strlen(counter) + strspn(text + strlen(counter), "0123456789 ");
		bool is_blank = *text == ' ' || *text == '\n';
		if (!(is_blank && was_blank))
			buf_append_u8(to, is_blank ? ' ' : (uint8_t)*text);
		was_blank = is_blank;
	}
}

static enum err_code define(const struct question *q, const char *database, const char *table, struct buf *to,
                            struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SHOW CREATE TABLE ");
	append_table(&sql, database, table);
	enum err_code code = connection_query(q->connection, buf_str(&sql), take_definition, to, err);
	buf_free(&sql);
	return code;
}

static enum err_code compare(const struct question *q, const struct statement *s, struct buf *here, struct buf *there,
                             struct err *err)
{
	if (s->object == OBJECT_TABLE && s->verb == VERB_CREATE) {
		enum err_code code = run_there(q, err);
		if (code == ERR_OK)
			code = define(q, q->database, q->name->name, there, err);
		return code == ERR_OK ? define(q, q->name->database, q->name->name, here, err) : code;
	}
	/* A table LIKE another has no foreign keys: both are. */
	const char *other = strcasecmp(q->name->name, "a") == 0 ? "b" : "a";
	enum err_code code = make_alike(q, other, err);
	if (code == ERR_OK)
		code = make_alike(q, q->name->name, err);
	if (code == ERR_OK)
		code = run_undoing(q, err);
	if (code == ERR_OK)
		code = define(q, q->database, q->name->name, there, err);
	return code == ERR_OK ? define(q, q->database, other, here, err) : code;
}

enum err_code already_ask(struct connection *connection, const struct ddl *ddl, const struct statement *statement,
                          uint32_t peer, bool *ret_is_so, struct buf *here, struct buf *there, struct err *err)
{
	struct question q = {.connection = connection, .ddl = ddl, .name = &statement->names[0]};
	struct err refusal;
	char drop[96];
	snprintf(q.database, sizeof q.database, "syncline_already_%u", (unsigned)peer);
	snprintf(drop, sizeof drop, "DROP DATABASE IF EXISTS %s; SET SESSION sql_log_bin=1", q.database);
	enum err_code code = make_database(&q, &refusal);
	if (code == ERR_OK)
		code = compare(&q, statement, here, there, &refusal);
	bool is_so = code == ERR_OK && strcmp(buf_str(here), buf_str(there)) == 0;
	/* The server refused it there, too: then nobody can tell, and the first refusal counts. */
	if (code == ERR_OK || code == ERR_SERVER)
		code = connection_run(connection, drop, &refusal);
	if (code == ERR_OK)
		*ret_is_so = is_so;
	else if (err != NULL)
		*err = refusal;
	return code;
}
