#include "sql/statement.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/lexer.h"

/* From the tokens up: names, then a function for each form of a statement, and at the end the tables that lead from the first
 * words to these. A parse function returns false where it
 * doesn't understand; the statement is then STATEMENT_UNKNOWN. */

/* ---- The parser's steps ---- */

struct parser {
	struct lexer lexer;
	struct token now;
	const uint8_t *text;
	bool bad; /* a TOKEN_BAD was met: at the end of the text the lexer forgets */
	const struct statement_context *context;
	struct statement *st;
	bool unreadable_database;
};

static bool fail(struct parser *p, const char *note)
{
	if (p->st->note == NULL)
		p->st->note = note;
	return false;
}

static void take(struct parser *p)
{
	p->now = lexer_next(&p->lexer);
	p->bad |= p->now.type == TOKEN_BAD;
	if (p->bad)
		p->now = (struct token){.type = TOKEN_BAD};
}

static struct token peek(const struct parser *p)
{
	struct lexer ahead = p->lexer;
	return p->bad ? p->now : lexer_next(&ahead);
}

static bool is_word(const struct parser *p, enum word word)
{
	return p->now.word == word;
}

static bool is_char(const struct parser *p, char byte)
{
	return p->now.type == TOKEN_CHAR && p->now.byte == (uint8_t)byte;
}

static bool take_word(struct parser *p, enum word word)
{
	bool found = is_word(p, word);
	if (found)
		take(p);
	return found;
}

static bool take_char(struct parser *p, char byte)
{
	bool found = is_char(p, byte);
	if (found)
		take(p);
	return found;
}

static bool need_word(struct parser *p, enum word word)
{
	return take_word(p, word) || fail(p, "a word is missing that its grammar asks for");
}

static bool parse_nothing(struct parser *p)
{
	(void)p;
	return true;
}

/* The end, or a ; and the end. */
static bool parse_end(struct parser *p)
{
	take_char(p, ';');
	return p->now.type == TOKEN_END ||
	       fail(p, p->bad ? "a string, a name or a comment doesn't end" : "there is more than its grammar allows");
}

/* Whatever follows, as long as it is one statement. */
static bool parse_rest(struct parser *p)
{
	while (p->now.type != TOKEN_END && p->now.type != TOKEN_BAD && !is_char(p, ';'))
		take(p);
	return parse_end(p);
}

/* [IF EXISTS | IF NOT EXISTS] */
static bool parse_if(struct parser *p)
{
	if (!take_word(p, W_IF))
		return true;
	if (take_word(p, W_NOT))
		p->st->if_not_exists = true;
	else
		p->st->if_exists = true;
	return need_word(p, W_EXISTS);
}

/* [WAIT n | NOWAIT] */
static bool parse_wait(struct parser *p)
{
	if (take_word(p, W_NOWAIT) || !take_word(p, W_WAIT))
		return true;
	if (p->now.type != TOKEN_NUMBER && p->now.type != TOKEN_WORD) /* 1e1 is a word here */
		return fail(p, "WAIT has no number");
	take(p);
	if (take_char(p, '.') && p->now.type == TOKEN_NUMBER)
		take(p);
	return true;
}

/* ---- Names ---- */

static bool is_identifier(const struct token *token)
{
	return token->type == TOKEN_WORD || token->type == TOKEN_QUOTED;
}

/* Appends the letter at `from` in UTF-8, or a ? for each byte of one that can't be read. False if it isn't a letter. */
static bool decode_letter(enum encoding encoding, const uint8_t *from, const uint8_t *end, uint8_t *to,
                          size_t *ret_from_size, size_t *ret_to_size, bool *unreadable)
{
	if (from[0] < 0x80 || encoding == ENCODING_UTF8) {
		*ret_from_size = *ret_to_size = lexer_utf8_letter_size(from, end);
		memcpy(to, from, *ret_from_size);
		return *ret_from_size > 0 && from[0] != '\0';
	}
	if (encoding == ENCODING_LATIN1) {
		*ret_from_size = 1;
		*ret_to_size = lexer_latin1_to_utf8(from[0], to);
		return true;
	}
	*unreadable = true;
	*ret_from_size = *ret_to_size = lexer_letter_size(encoding, from, end);
	memset(to, '?', *ret_to_size);
	return true;
}

/* The identifier as UTF-8, without its quotes: the caller's to free. NULL if it is none that MariaDB would take. */
static char *decode_identifier(struct parser *p, const struct token *token, bool *unreadable)
{
	char text[STATEMENT_IDENTIFIER_MAX + 1];
	const uint8_t *from = token->text, *end = token->text + token->size;
	size_t size = 0;
	while (from < end) {
		uint8_t letter[4];
		size_t from_size, to_size;
		if (!decode_letter(p->lexer.encoding, from, end, letter, &from_size, &to_size, unreadable)) {
			fail(p, "a name isn't valid in its character set");
			return NULL;
		}
		if (to_size > STATEMENT_IDENTIFIER_MAX - size) {
			fail(p, "a name is too long");
			return NULL;
		}
		memcpy(text + size, letter, to_size);
		size += to_size;
		bool doubled = token->type == TOKEN_QUOTED && from_size == 1 && *from == token->byte;
		from += from_size + doubled;
	}
	text[size] = '\0';
	if (size == 0)
		fail(p, "a name is empty");
	return size > 0 ? mem_strdup(text) : NULL;
}

/* Names are added one by one; the array doubles when the count is a power of two. */
static struct statement_name *add_name(struct parser *p, enum statement_role role)
{
	struct statement *st = p->st;
	if (st->name_count == STATEMENT_NAMES_MAX) {
		fail(p, "it has too many names");
		return NULL;
	}
	if ((st->name_count & (st->name_count - 1)) == 0)
		st->names = mem_resize(st->names, (st->name_count ? st->name_count * 2 : 1) * sizeof *st->names);
	struct statement_name *name = &st->names[st->name_count++];
	*name = (struct statement_name){.role = role};
	return name;
}

/* The database of an unqualified name: `assumed`, or the session's. */
static char *default_database(struct parser *p, const char *assumed)
{
	const struct statement_context *context = p->context;
	if (assumed != NULL)
		return mem_strdup(assumed);
	if (context->database_size == 0 || context->database_size > STATEMENT_IDENTIFIER_MAX ||
	    memchr(context->database, '\0', context->database_size) != NULL) {
		fail(p, "a name has no database, and the session had no default database");
		return NULL;
	}
	char *database = mem_alloc(context->database_size + 1);
	memcpy(database, context->database, context->database_size);
	return database;
}

static bool fill_name(struct parser *p, struct statement_name *name, const struct token *database,
                      const struct token *object, const char *assumed)
{
	bool unreadable = false;
	name->qualified = database->type != TOKEN_END;
	name->database = name->qualified ? decode_identifier(p, database, &unreadable) : default_database(p, assumed);
	p->unreadable_database |= unreadable;
	name->name = decode_identifier(p, object, &name->unreadable);
	return name->database != NULL && name->name != NULL;
}

/* name, database . name, or . name. An unqualified new name is in the session's database, not in the old one's: ALTER
 * TABLE a.t RENAME u moves a table out of a (seen on 10.11). */
static bool parse_name_in(struct parser *p, enum statement_role role, const char *assumed)
{
	struct token database = {0}, object = p->now;
	bool dot = is_char(p, '.');
	const uint8_t *from = object.type == TOKEN_QUOTED ? object.text - 1 : object.text;
	if (!dot && !is_identifier(&object))
		return fail(p, "there is no name where its grammar asks for one");
	take(p);
	if (!dot && take_char(p, '.')) {
		database = object;
		dot = true;
	}
	if (dot) {
		object = p->now;
		if (!is_identifier(&object) && object.type != TOKEN_NUMBER) /* behind a dot, digits are a name */
			return fail(p, "there is no name behind a dot");
		take(p);
	}
	struct statement_name *name = add_name(p, role);
	if (name == NULL)
		return false;
	const uint8_t *object_at = object.type == TOKEN_QUOTED ? object.text - 1 : object.text;
	name->qualifier_at = (size_t)(from - p->text);
	name->qualifier_size = (size_t)(object_at - from);
	return fill_name(p, name, &database, &object, assumed);
}

static bool parse_name(struct parser *p, enum statement_role role)
{
	return parse_name_in(p, role, NULL);
}

/* ---- The forms of DDL ---- */

static bool parse_one(struct parser *p)
{
	return parse_if(p) && parse_name(p, ROLE_OBJECT);
}

/* One name, then whatever. */
static bool parse_one_and_rest(struct parser *p)
{
	return parse_one(p) && parse_rest(p);
}

static bool parse_one_and_end(struct parser *p)
{
	return parse_one(p) && parse_end(p);
}

/* DROP TABLE [IF EXISTS] a, b.c [WAIT n | NOWAIT] [RESTRICT | CASCADE] */
static bool parse_list(struct parser *p)
{
	if (!parse_if(p))
		return false;
	do {
		if (!parse_name(p, ROLE_OBJECT))
			return false;
	} while (take_char(p, ','));
	if (!parse_wait(p))
		return false;
	if (!take_word(p, W_RESTRICT))
		take_word(p, W_CASCADE);
	return parse_end(p);
}

static bool parse_truncate(struct parser *p)
{
	p->st->object = OBJECT_TABLE;
	take_word(p, W_TABLE);
	return parse_name(p, ROLE_OBJECT) && parse_wait(p) && parse_end(p);
}

/* RENAME TABLE [IF EXISTS] a [WAIT n | NOWAIT] TO b, c TO d */
static bool parse_rename(struct parser *p)
{
	p->st->object = OBJECT_TABLE;
	take(p); /* TABLE or TABLES */
	if (!parse_if(p))
		return false;
	do {
		if (!parse_name(p, ROLE_OBJECT) || !parse_wait(p) || !need_word(p, W_TO) || !parse_name(p, ROLE_NEW_NAME))
			return false;
	} while (take_char(p, ','));
	return parse_end(p);
}

static bool add_database(struct parser *p, const struct token *token)
{
	bool unreadable = false;
	struct statement_name *name = add_name(p, ROLE_OBJECT);
	if (name == NULL)
		return false;
	name->name = mem_strdup("");
	name->qualified = token != NULL;
	name->database = token ? decode_identifier(p, token, &unreadable) : default_database(p, NULL);
	p->unreadable_database |= unreadable;
	return name->database != NULL;
}

/* ALTER DATABASE goes without a name; COMMENT alone of the words that may follow is a name as well (seen on 10.11). */
static bool at_database_option(const struct parser *p)
{
	struct token next = peek(p);
	return is_word(p, W_DEFAULT) || is_word(p, W_CHARACTER) || is_word(p, W_CHAR) || is_word(p, W_COLLATE) ||
	       (is_word(p, W_COMMENT) && (next.type == TOKEN_STRING || (next.type == TOKEN_CHAR && next.byte == '=')));
}

static bool parse_database(struct parser *p)
{
	if (!parse_if(p))
		return false;
	if (p->st->verb == VERB_ALTER && at_database_option(p))
		return add_database(p, NULL) && parse_rest(p);
	struct token name = p->now;
	if (!is_identifier(&name))
		return fail(p, "there is no name where its grammar asks for one");
	take(p);
	return add_database(p, &name) && (p->st->verb == VERB_DROP ? parse_end(p) : parse_rest(p));
}

/* To behind the next such word. */
static bool parse_skip_to(struct parser *p, enum word word)
{
	while (p->now.type != TOKEN_END && p->now.type != TOKEN_BAD && !is_char(p, ';') && !is_word(p, word))
		take(p);
	return need_word(p, word);
}

/* INDEX [IF NOT EXISTS] i [USING x] ON t … */
static bool parse_index(struct parser *p)
{
	if (!parse_if(p) || !is_identifier(&p->now))
		return fail(p, "there is no name where its grammar asks for one");
	take(p);
	return parse_skip_to(p, W_ON) && parse_name(p, ROLE_OBJECT) && parse_rest(p);
}

/* TRIGGER tr BEFORE INSERT ON t FOR EACH ROW …: the trigger is in its table's database. 10.11 refuses a qualified table
 * elsewhere, and takes an unqualified one for the trigger's. The body isn't read. */
static bool parse_trigger(struct parser *p)
{
	return parse_one(p) && parse_skip_to(p, W_ON) && parse_name_in(p, ROLE_TABLE, p->st->names[0].database);
}

/* FUNCTION f RETURNS STRING SONAME 'x.so' is a loadable one, which each server has for itself. */
static bool parse_function(struct parser *p)
{
	if (!parse_one(p))
		return false;
	if (!take_word(p, W_RETURNS))
		return true;
	take(p);
	if (is_word(p, W_SONAME))
		p->st->kind = STATEMENT_SERVER;
	return true;
}

static bool parse_package(struct parser *p)
{
	struct token next = peek(p);
	bool named_body = next.type == TOKEN_END || next.type == TOKEN_CHAR || next.word == W_AS || next.word == W_IS;
	if (is_word(p, W_BODY) && !named_body) {
		take(p);
		p->st->object = OBJECT_PACKAGE_BODY;
	}
	return p->st->verb == VERB_DROP ? parse_one_and_end(p) : parse_one(p);
}

/* ENABLE | DISABLE [ON SLAVE], or where that would stand. */
static void parse_event_status(struct parser *p)
{
	struct event_status *status = &p->st->event_status;
	const uint8_t *from = p->now.type == TOKEN_WORD ? p->now.text : p->lexer.end;
	const uint8_t *to = from;
	status->what = is_word(p, W_ENABLE) ? EVENT_ENABLED : is_word(p, W_DISABLE) ? EVENT_DISABLED : EVENT_UNSAID;
	if (status->what != EVENT_UNSAID) {
		to += p->now.size;
		take(p);
	}
	if (status->what == EVENT_DISABLED && is_word(p, W_ON) && peek(p).word == W_SLAVE) {
		take(p);
		to = p->now.text + p->now.size;
		take(p);
	}
	status->at = (size_t)(from - p->text);
	status->size = (size_t)(to - from);
}

/* EVENT e [ON SCHEDULE …] [ON COMPLETION …] [RENAME TO f] [ENABLE | DISABLE [ON SLAVE]] [COMMENT c] [DO body] */
static bool parse_event(struct parser *p)
{
	if (!parse_one(p))
		return false;
	while (p->now.type != TOKEN_END && p->now.type != TOKEN_BAD && !is_word(p, W_DO) && !is_word(p, W_ENABLE) &&
	       !is_word(p, W_DISABLE) && !is_word(p, W_COMMENT)) {
		if (!take_word(p, W_RENAME))
			take(p);
		else if (!need_word(p, W_TO) || !parse_name(p, ROLE_NEW_NAME))
			return false;
	}
	if (p->bad)
		return parse_end(p);
	parse_event_status(p);
	return true;
}

/* ---- CREATE TABLE ---- */

/* At the first word of a part in no parentheses, or behind nothing but opening ones: does a query begin? WITH SYSTEM
 * VERSIONING is an option. */
static bool at_query(const struct parser *p)
{
	if (is_word(p, W_SELECT) || is_word(p, W_VALUES))
		return true;
	if (!is_word(p, W_WITH))
		return false;
	struct lexer ahead = p->lexer;
	struct token first = lexer_next(&ahead), second = lexer_next(&ahead);
	return first.word != W_SYSTEM || second.word != W_VERSIONING;
}

/* The columns, options and partitions of a new table, and the query that fills it, if any. */
static bool parse_table_body(struct parser *p)
{
	size_t depth = 0;
	bool opening = true; /* since depth 0 there was nothing but ( */
	for (; p->now.type != TOKEN_END && p->now.type != TOKEN_BAD && !is_char(p, ';'); take(p)) {
		if (opening && at_query(p))
			p->st->select_follows = true;
		if (is_char(p, '('))
			depth++;
		else if (is_char(p, ')') && depth > 0)
			opening = --depth == 0;
		else
			opening = depth == 0;
	}
	return parse_end(p);
}

static bool parse_create_table(struct parser *p)
{
	if (!parse_one(p))
		return false;
	struct token next = peek(p);
	bool parentheses = is_char(p, '(') && next.word == W_LIKE;
	if (parentheses)
		take(p);
	if (!take_word(p, W_LIKE))
		return parse_table_body(p);
	p->st->like = true;
	if (!parse_name(p, ROLE_LIKE) || (parentheses && !take_char(p, ')')))
		return fail(p, "its LIKE isn't understood");
	return parse_end(p);
}

/* ---- ALTER TABLE ---- */

/* RENAME [TO | AS | =] name; RENAME COLUMN, INDEX, KEY a TO b. All of these words are reserved. */
static bool parse_spec_rename(struct parser *p)
{
	take(p);
	if (is_word(p, W_COLUMN) || is_word(p, W_INDEX) || is_word(p, W_KEY) || is_word(p, W_CONSTRAINT))
		return true;
	if (!take_word(p, W_TO) && !take_word(p, W_AS))
		take_char(p, '=');
	return parse_name(p, ROLE_NEW_NAME);
}

/* EXCHANGE PARTITION p WITH TABLE t */
static bool parse_spec_exchange(struct parser *p)
{
	if (peek(p).word != W_PARTITION)
		return true; /* a storage engine's option of this name */
	take(p);
	take(p);
	take(p);
	return need_word(p, W_WITH) && need_word(p, W_TABLE) && parse_name(p, ROLE_PARTITION);
}

/* CONVERT PARTITION p TO TABLE t; CONVERT TABLE t TO PARTITION p …; CONVERT TO CHARACTER SET x */
static bool parse_spec_convert(struct parser *p)
{
	struct token next = peek(p);
	if (next.word != W_PARTITION && next.word != W_TABLE)
		return true;
	take(p);
	take(p);
	if (next.word == W_PARTITION) {
		take(p);
		if (!need_word(p, W_TO) || !need_word(p, W_TABLE))
			return false;
	}
	return parse_name(p, ROLE_PARTITION);
}

/* DISCARD TABLESPACE; later versions: DISCARD PARTITION p TABLESPACE */
static bool parse_spec_tablespace(struct parser *p)
{
	struct token next = peek(p);
	if (next.word == W_TABLESPACE || next.word == W_PARTITION)
		p->st->tablespace = true;
	return true;
}

/* ANALYZE, CHECK, OPTIMIZE, REPAIR PARTITION: as with TABLE. */
static bool parse_spec_service(struct parser *p)
{
	struct token next = peek(p);
	if (next.word == W_PARTITION)
		p->st->kind = STATEMENT_SERVER;
	return true;
}

static const struct {
	enum word word;
	bool (*parse)(struct parser *p);
} table_specs[] = {
    {W_RENAME, parse_spec_rename},      {W_EXCHANGE, parse_spec_exchange}, {W_CONVERT, parse_spec_convert},
    {W_DISCARD, parse_spec_tablespace}, {W_IMPORT, parse_spec_tablespace}, {W_ANALYZE, parse_spec_service},
    {W_CHECK, parse_spec_service},      {W_OPTIMIZE, parse_spec_service},  {W_REPAIR, parse_spec_service},
};

/* What one change begins with, where it names something or isn't DDL. */
static bool parse_spec(struct parser *p)
{
	for (size_t i = 0; i < sizeof table_specs / sizeof *table_specs; i++)
		if (is_word(p, table_specs[i].word))
			return table_specs[i].parse(p);
	return true;
}

/* ALTER TABLE [IF EXISTS] t [WAIT n | NOWAIT] change, change … */
static bool parse_alter_table(struct parser *p)
{
	if (!parse_one(p) || !parse_wait(p) || !parse_spec(p))
		return false;
	size_t depth = 0;
	while (p->now.type != TOKEN_END && p->now.type != TOKEN_BAD && !is_char(p, ';')) {
		if (is_char(p, '('))
			depth++;
		else if (is_char(p, ')') && depth > 0)
			depth--;
		bool next_change = depth == 0 && is_char(p, ',');
		take(p);
		if (next_change && !parse_spec(p))
			return false;
	}
	return parse_end(p);
}

/* ---- CREATE, ALTER, DROP: from the words before the object to its form ---- */

static bool modifier_or_replace(struct parser *p)
{
	p->st->or_replace = true;
	return need_word(p, W_REPLACE);
}

static bool modifier_temporary(struct parser *p)
{
	p->st->temporary = true;
	return true;
}

/* ALGORITHM [=] x, SQL SECURITY x */
static bool modifier_algorithm(struct parser *p)
{
	take_char(p, '=');
	take(p);
	return true;
}

static bool modifier_security(struct parser *p)
{
	if (!need_word(p, W_SECURITY))
		return false;
	take(p);
	return true;
}

/* DEFINER = CURRENT_USER[()] | CURRENT_ROLE[()] | user[@host] | role */
static bool modifier_definer(struct parser *p)
{
	if (!take_char(p, '='))
		return fail(p, "DEFINER has no =");
	if (!is_identifier(&p->now) && p->now.type != TOKEN_STRING)
		return fail(p, "DEFINER has no user");
	bool current = is_word(p, W_CURRENT_USER) || is_word(p, W_CURRENT_ROLE);
	take(p);
	if (current && take_char(p, '('))
		return take_char(p, ')') || fail(p, "DEFINER isn't understood");
	if (p->now.type == TOKEN_AT)
		take(p);
	return true;
}

static const struct {
	enum word word;
	bool (*parse)(struct parser *p); /* from behind the word */
} modifiers[] = {
    {W_OR, modifier_or_replace},       {W_TEMPORARY, modifier_temporary}, {W_DEFINER, modifier_definer},
    {W_ALGORITHM, modifier_algorithm}, {W_SQL, modifier_security},        {W_AGGREGATE, parse_nothing},
    {W_ONLINE, parse_nothing},         {W_OFFLINE, parse_nothing},        {W_IGNORE, parse_nothing},
    {W_UNIQUE, parse_nothing},         {W_FULLTEXT, parse_nothing},       {W_SPATIAL, parse_nothing},
    {W_VECTOR, parse_nothing},
};

static bool parse_modifiers(struct parser *p)
{
	for (size_t i = 0; i < sizeof modifiers / sizeof *modifiers;) {
		if (!take_word(p, modifiers[i].word)) {
			i++;
			continue;
		}
		if (!modifiers[i].parse(p))
			return false;
		i = 0;
	}
	return true;
}

/* A form that is NULL doesn't exist. A body (of a routine, trigger or event) may hold any number of ; and isn't
 * read. */
static const struct object_rule {
	enum word word;
	enum statement_kind kind;
	enum statement_object object;
	bool (*create)(struct parser *p);
	bool (*alter)(struct parser *p);
	bool (*drop)(struct parser *p);
} object_rules[] = {
    {W_TABLE, STATEMENT_DDL, OBJECT_TABLE, parse_create_table, parse_alter_table, parse_list},
    {W_TABLES, STATEMENT_DDL, OBJECT_TABLE, NULL, NULL, parse_list},
    {W_DATABASE, STATEMENT_DDL, OBJECT_DATABASE, parse_database, parse_database, parse_database},
    {W_SCHEMA, STATEMENT_DDL, OBJECT_DATABASE, parse_database, parse_database, parse_database},
    {W_INDEX, STATEMENT_DDL, OBJECT_INDEX, parse_index, NULL, parse_index},
    {W_VIEW, STATEMENT_DDL, OBJECT_VIEW, parse_one_and_rest, parse_one_and_rest, parse_list},
    {W_SEQUENCE, STATEMENT_DDL, OBJECT_SEQUENCE, parse_one_and_rest, parse_one_and_rest, parse_list},
    {W_TRIGGER, STATEMENT_DDL, OBJECT_TRIGGER, parse_trigger, NULL, parse_one_and_end},
    {W_PROCEDURE, STATEMENT_DDL, OBJECT_PROCEDURE, parse_one, parse_one_and_rest, parse_one_and_end},
    {W_FUNCTION, STATEMENT_DDL, OBJECT_FUNCTION, parse_function, parse_one_and_rest, parse_one_and_end},
    {W_PACKAGE, STATEMENT_DDL, OBJECT_PACKAGE, parse_package, parse_package, parse_package},
    {W_EVENT, STATEMENT_DDL, OBJECT_EVENT, parse_event, parse_event, parse_one_and_end},
    {W_USER, STATEMENT_ACCOUNT, OBJECT_NONE, parse_nothing, parse_nothing, parse_nothing},
    {W_ROLE, STATEMENT_ACCOUNT, OBJECT_NONE, parse_nothing, NULL, parse_nothing},
    {W_SERVER, STATEMENT_SERVER, OBJECT_NONE, parse_nothing, parse_nothing, parse_nothing},
    {W_PREPARE, STATEMENT_SERVER, OBJECT_NONE, NULL, NULL, parse_nothing},
};

static bool parse_object(struct parser *p)
{
	if (!parse_modifiers(p))
		return false;
	for (size_t i = 0; i < sizeof object_rules / sizeof *object_rules; i++) {
		const struct object_rule *rule = &object_rules[i];
		if (!is_word(p, rule->word))
			continue;
		bool (*parse)(struct parser *) = p->st->verb == VERB_CREATE  ? rule->create
		                                 : p->st->verb == VERB_ALTER ? rule->alter
		                                                             : rule->drop;
		take(p);
		p->st->kind = rule->kind;
		p->st->object = rule->object;
		return parse ? parse(p) : fail(p, "its kind of object isn't known");
	}
	return fail(p, "its kind of object isn't known");
}

/* ---- From the first words to the kind ---- */

/* ROLLBACK [WORK] [TO [SAVEPOINT] s] */
static bool parse_rollback(struct parser *p)
{
	take_word(p, W_WORK);
	if (is_word(p, W_TO))
		p->st->verb = VERB_ROLLBACK_TO;
	return parse_rest(p);
}

/* `parse` begins behind the first word. Of rows with the same first word the first one that fits is taken. */
static const struct first_rule {
	enum word first, second; /* W_NONE: whatever follows */
	enum statement_kind kind;
	enum statement_verb verb;
	bool (*parse)(struct parser *p);
} first_rules[] = {
    {W_CREATE, W_NONE, STATEMENT_DDL, VERB_CREATE, parse_object},
    {W_ALTER, W_NONE, STATEMENT_DDL, VERB_ALTER, parse_object},
    {W_DROP, W_NONE, STATEMENT_DDL, VERB_DROP, parse_object},
    {W_RENAME, W_TABLE, STATEMENT_DDL, VERB_RENAME, parse_rename},
    {W_RENAME, W_TABLES, STATEMENT_DDL, VERB_RENAME, parse_rename},
    {W_RENAME, W_USER, STATEMENT_ACCOUNT, VERB_NONE, parse_nothing},
    {W_TRUNCATE, W_NONE, STATEMENT_DDL, VERB_TRUNCATE, parse_truncate},

    {W_BEGIN, W_NOT, STATEMENT_DML, VERB_NONE, parse_nothing}, /* BEGIN NOT ATOMIC … END */
    {W_BEGIN, W_NONE, STATEMENT_TRANSACTION, VERB_BEGIN, parse_rest},
    {W_START, W_TRANSACTION, STATEMENT_TRANSACTION, VERB_BEGIN, parse_rest},
    {W_COMMIT, W_NONE, STATEMENT_TRANSACTION, VERB_COMMIT, parse_rest},
    {W_ROLLBACK, W_NONE, STATEMENT_TRANSACTION, VERB_ROLLBACK, parse_rollback},
    {W_SAVEPOINT, W_NONE, STATEMENT_TRANSACTION, VERB_SAVEPOINT, parse_rest},
    {W_RELEASE, W_SAVEPOINT, STATEMENT_TRANSACTION, VERB_RELEASE, parse_rest},
    {W_XA, W_START, STATEMENT_XA, VERB_XA_START, parse_rest},
    {W_XA, W_BEGIN, STATEMENT_XA, VERB_XA_START, parse_rest},
    {W_XA, W_END, STATEMENT_XA, VERB_XA_END, parse_rest},
    {W_XA, W_PREPARE, STATEMENT_XA, VERB_XA_PREPARE, parse_rest},
    {W_XA, W_COMMIT, STATEMENT_XA, VERB_XA_COMMIT, parse_rest},
    {W_XA, W_ROLLBACK, STATEMENT_XA, VERB_XA_ROLLBACK, parse_rest},

    {W_GRANT, W_NONE, STATEMENT_ACCOUNT, VERB_NONE, parse_nothing},
    {W_REVOKE, W_NONE, STATEMENT_ACCOUNT, VERB_NONE, parse_nothing},
    {W_SET, W_PASSWORD, STATEMENT_ACCOUNT, VERB_NONE, parse_nothing},
    {W_SET, W_ROLE, STATEMENT_ACCOUNT, VERB_NONE, parse_nothing},
    {W_SET, W_DEFAULT, STATEMENT_ACCOUNT, VERB_NONE, parse_nothing}, /* SET DEFAULT ROLE */

    {W_ANALYZE, W_TABLE, STATEMENT_SERVER, VERB_NONE, parse_nothing},
    {W_ANALYZE, W_TABLES, STATEMENT_SERVER, VERB_NONE, parse_nothing},
    {W_ANALYZE, W_LOCAL, STATEMENT_SERVER, VERB_NONE, parse_nothing},
    {W_ANALYZE, W_NO_WRITE_TO_BINLOG, STATEMENT_SERVER, VERB_NONE, parse_nothing},
    {W_LOAD, W_INDEX, STATEMENT_SERVER, VERB_NONE, parse_nothing},
};

/* Their first word tells, if no row above does. ANALYZE UPDATE runs it; START is of a replica. */
static const enum word server_words[] = {
    W_START,   W_BACKUP, W_CACHE, W_CHANGE,   W_CHECK, W_CHECKSUM,  W_DEALLOCATE, W_DESC,    W_DESCRIBE,
    W_EXPLAIN, W_FLUSH,  W_HELP,  W_INSTALL,  W_KILL,  W_LOCK,      W_OPTIMIZE,   W_PREPARE, W_PURGE,
    W_REPAIR,  W_RESET,  W_SHOW,  W_SHUTDOWN, W_STOP,  W_UNINSTALL, W_UNLOCK,     W_USE,
};
static const enum word dml_words[] = {
    W_ANALYZE, W_BINLOG,  W_CALL,   W_DELETE, W_DO,     W_EXECUTE, W_HANDLER, W_INSERT,
    W_LOAD,    W_REPLACE, W_SELECT, W_SET,    W_UPDATE, W_VALUES,  W_WITH,
};

/* SET STATEMENT variable = value, … FOR: the statement begins behind it. Values may hold a FOR in parentheses only. */
static bool parse_set_statement(struct parser *p)
{
	while (is_word(p, W_SET) && peek(p).word == W_STATEMENT) {
		size_t depth = 0;
		for (; depth > 0 || !is_word(p, W_FOR); take(p)) {
			if (p->now.type == TOKEN_END || p->now.type == TOKEN_BAD || is_char(p, ';'))
				return fail(p, "SET STATEMENT has no FOR");
			if (is_char(p, '('))
				depth++;
			else if (is_char(p, ')') && depth > 0)
				depth--;
		}
		take(p);
	}
	return true;
}

static enum statement_kind kind_of(enum word first)
{
	for (size_t i = 0; i < sizeof server_words / sizeof *server_words; i++)
		if (server_words[i] == first)
			return STATEMENT_SERVER;
	for (size_t i = 0; i < sizeof dml_words / sizeof *dml_words; i++)
		if (dml_words[i] == first)
			return STATEMENT_DML;
	return STATEMENT_UNKNOWN;
}

static bool parse_statement(struct parser *p)
{
	take(p);
	if (p->now.type == TOKEN_END) {
		p->st->kind = STATEMENT_EMPTY;
		return true;
	}
	if (!parse_set_statement(p))
		return false;
	if (is_char(p, '(')) {
		p->st->kind = STATEMENT_DML; /* (SELECT …) */
		return true;
	}
	enum word first = p->now.word, second = peek(p).word;
	for (size_t i = 0; first != W_NONE && i < sizeof first_rules / sizeof *first_rules; i++) {
		const struct first_rule *rule = &first_rules[i];
		if (rule->first != first || (rule->second != W_NONE && rule->second != second))
			continue;
		p->st->kind = rule->kind;
		p->st->verb = rule->verb;
		take(p);
		return rule->parse(p);
	}
	p->st->kind = kind_of(first);
	return p->st->kind != STATEMENT_UNKNOWN || fail(p, "its first word isn't known");
}

/* ---- The interface ---- */

static void drop_names(struct statement *st)
{
	for (size_t i = 0; i < st->name_count; i++) {
		free(st->names[i].database);
		free(st->names[i].name);
	}
	free(st->names);
	st->names = NULL;
	st->name_count = 0;
}

void statement_free(struct statement *st)
{
	drop_names(st);
	*st = (struct statement){0};
}

enum err_code statement_parse(const char *text, size_t size, const struct statement_context *context,
                              struct statement *ret, struct err *err)
{
	struct statement st = {0};
	const uint8_t *bytes = (const uint8_t *)(size ? text : "");
	struct parser p = {
	    .lexer = {.pos = bytes,
	              .end = bytes + size,
	              .sql_mode = context->sql_mode,
	              .encoding = lexer_encoding(context->charset_client)},
	    .text = bytes,
	    .context = context,
	    .st = &st,
	};
	bool understood = parse_statement(&p);
	if (!understood) {
		const char *note = st.note;
		assert(note != NULL);
		statement_free(&st);
		st.note = note;
	} else if (st.kind != STATEMENT_DDL) {
		drop_names(&st);
		st.object = OBJECT_NONE;
		if (st.kind != STATEMENT_TRANSACTION && st.kind != STATEMENT_XA)
			st.verb = VERB_NONE;
	}
	if (st.kind == STATEMENT_DDL && p.unreadable_database) {
		err_set(
		    err, ERR_UNSUPPORTED,
		    "a %s %s names its database in a character set that can't be read here (collation %u): change the schema "
		    "in a session with SET NAMES utf8mb4",
		    statement_verb_name(st.verb), statement_object_name(st.object), context->charset_client);
		statement_free(&st);
		return ERR_UNSUPPORTED;
	}
	*ret = st;
	return ERR_OK;
}

enum statement_scope statement_scope(const struct statement *st,
                                     bool (*replicated)(const char *database, void *context), void *context)
{
	assert(st->kind == STATEMENT_DDL && st->name_count > 0);
	bool changes_inside = false, all_inside = true;
	for (size_t i = 0; i < st->name_count; i++) {
		bool inside = replicated(st->names[i].database, context);
		all_inside &= inside;
		changes_inside |= inside && st->names[i].role != ROLE_LIKE;
	}
	return !changes_inside ? SCOPE_OUTSIDE : all_inside ? SCOPE_INSIDE : SCOPE_MIXED;
}

const char *statement_kind_name(enum statement_kind kind)
{
	static const char *const names[] = {
	    [STATEMENT_UNKNOWN] = "unknown",         [STATEMENT_EMPTY] = "empty",   [STATEMENT_DDL] = "DDL",
	    [STATEMENT_TRANSACTION] = "transaction", [STATEMENT_XA] = "XA",         [STATEMENT_DML] = "DML",
	    [STATEMENT_ACCOUNT] = "account",         [STATEMENT_SERVER] = "server",
	};
	return names[kind];
}

const char *statement_verb_name(enum statement_verb verb)
{
	static const char *const names[] = {
	    [VERB_NONE] = "",
	    [VERB_CREATE] = "CREATE",
	    [VERB_ALTER] = "ALTER",
	    [VERB_DROP] = "DROP",
	    [VERB_RENAME] = "RENAME",
	    [VERB_TRUNCATE] = "TRUNCATE",
	    [VERB_BEGIN] = "BEGIN",
	    [VERB_COMMIT] = "COMMIT",
	    [VERB_ROLLBACK] = "ROLLBACK",
	    [VERB_SAVEPOINT] = "SAVEPOINT",
	    [VERB_ROLLBACK_TO] = "ROLLBACK TO",
	    [VERB_RELEASE] = "RELEASE SAVEPOINT",
	    [VERB_XA_START] = "XA START",
	    [VERB_XA_END] = "XA END",
	    [VERB_XA_PREPARE] = "XA PREPARE",
	    [VERB_XA_COMMIT] = "XA COMMIT",
	    [VERB_XA_ROLLBACK] = "XA ROLLBACK",
	};
	return names[verb];
}

const char *statement_object_name(enum statement_object object)
{
	static const char *const names[] = {
	    [OBJECT_NONE] = "",
	    [OBJECT_DATABASE] = "DATABASE",
	    [OBJECT_TABLE] = "TABLE",
	    [OBJECT_INDEX] = "INDEX",
	    [OBJECT_VIEW] = "VIEW",
	    [OBJECT_SEQUENCE] = "SEQUENCE",
	    [OBJECT_TRIGGER] = "TRIGGER",
	    [OBJECT_PROCEDURE] = "PROCEDURE",
	    [OBJECT_FUNCTION] = "FUNCTION",
	    [OBJECT_PACKAGE] = "PACKAGE",
	    [OBJECT_PACKAGE_BODY] = "PACKAGE BODY",
	    [OBJECT_EVENT] = "EVENT",
	};
	return names[object];
}
