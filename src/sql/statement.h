/* What a statement that was logged as text does, and to which databases: found without running it.
 *
 * A query event is classified by its words, following MariaDB's own lexer and grammar (sql/sql_lex.cc, sql/sql_yacc.yy)
 * just far enough to name the objects it changes. What isn't understood to its end is STATEMENT_UNKNOWN, never guessed.
 * An object's database is the one it is qualified with, or else the session's default database: so it is known where a
 * table is, whatever database the application stood in.
 *
 * What 10.11.19 logs, as far as it matters here:
 *  - an executable comment is always code: the server that didn't execute one has logged it as a plain comment;
 *  - a routine, trigger, event or view is logged with its DEFINER written out; DROP TABLE is written anew, with `` or
 *    "" as the session's ANSI_QUOTES says; most else is logged as it was sent, in the client's character set;
 *  - one event holds one statement: what could be applied and has more behind a ; is unknown;
 *  - the GTID event's ddl flag isn't set for all DDL (DROP FUNCTION, ALTER SEQUENCE, the scheduler's DROP EVENT lack
 *    it), so the text decides. The halves of a two-phase ALTER have equal texts: the GTID event's extra flags tell;
 *  - RENAME TABLE of a temporary table looks like that of any other.
 *
 * Pure: no I/O, no threads, nothing kept. Time and memory are linear in the text, which may be hostile. A struct
 * statement owns its names and is freed with statement_free.
 */
#ifndef SYNCLINE_SQL_STATEMENT_H
#define SYNCLINE_SQL_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum statement_kind {
	STATEMENT_UNKNOWN,     /* `note` says why */
	STATEMENT_EMPTY,       /* nothing but comments, such as "# Dummy event" */
	STATEMENT_DDL,         /* has a verb, an object and at least one name */
	STATEMENT_TRANSACTION, /* BEGIN, COMMIT, ROLLBACK [TO], SAVEPOINT, RELEASE: see the verb */
	STATEMENT_XA,          /* see the verb */
	STATEMENT_DML,         /* may change rows that no row event carries: INSERT …, CALL, DO, SET, SELECT f() */
	STATEMENT_ACCOUNT,     /* users, roles and grants, whatever database a grant is on */
	STATEMENT_SERVER,      /* each server's own matter: FLUSH, ANALYZE TABLE, INSTALL, CREATE SERVER, … SONAME */
};

enum statement_verb {
	VERB_NONE,
	/* DDL */
	VERB_CREATE,
	VERB_ALTER,
	VERB_DROP,
	VERB_RENAME,
	VERB_TRUNCATE,
	/* transactions */
	VERB_BEGIN,
	VERB_COMMIT,
	VERB_ROLLBACK,
	VERB_SAVEPOINT,
	VERB_ROLLBACK_TO,
	VERB_RELEASE,
	/* XA */
	VERB_XA_START,
	VERB_XA_END,
	VERB_XA_PREPARE,
	VERB_XA_COMMIT,
	VERB_XA_ROLLBACK,
};

enum statement_object {
	OBJECT_NONE,
	OBJECT_DATABASE,
	OBJECT_TABLE, /* RENAME TABLE and ALTER TABLE may mean a view or a sequence as well */
	OBJECT_INDEX, /* the name is its table's */
	OBJECT_VIEW,
	OBJECT_SEQUENCE,
	OBJECT_TRIGGER,
	OBJECT_PROCEDURE,
	OBJECT_FUNCTION, /* DROP FUNCTION may mean a loadable one: the text can't tell */
	OBJECT_PACKAGE,
	OBJECT_PACKAGE_BODY,
	OBJECT_EVENT,
};

enum statement_role {
	ROLE_OBJECT,    /* what is created, altered, dropped, renamed or truncated */
	ROLE_NEW_NAME,  /* what the object before it is called from now on */
	ROLE_TABLE,     /* the trigger's table */
	ROLE_PARTITION, /* the table that a partition is exchanged with, made to, or made of */
	ROLE_LIKE,      /* CREATE TABLE … LIKE: only read */
};

struct statement_name {
	enum statement_role role;
	char *database; /* UTF-8, as written (no folding of case); never empty */
	char *name;     /* UTF-8; "" if the object is a database */
	bool qualified; /* the text names the database */
	/* Where in the text its database and the dot are, or (size 0) would be; of an object in a database only. */
	size_t qualifier_at, qualifier_size;
	bool unreadable; /* the name has letters in a character set not known here: each byte of them is a ? in `name` */
};

/* Of CREATE and ALTER EVENT: where in the text the event's status is said, or (size 0) would be. */
struct event_status {
	enum { EVENT_UNSAID, EVENT_ENABLED, EVENT_DISABLED } what;
	size_t at, size;
};

struct statement {
	enum statement_kind kind;
	enum statement_verb verb;
	enum statement_object object;
	bool if_exists, if_not_exists, or_replace, temporary;
	bool like;           /* CREATE TABLE … LIKE */
	bool select_follows; /* CREATE TABLE … SELECT: the text fills the table too (binlog_format=STATEMENT) */
	bool tablespace;     /* ALTER TABLE … DISCARD or IMPORT TABLESPACE: rows go or come that are in no log */
	struct event_status event_status;
	size_t name_count;
	struct statement_name *names; /* DDL only, in the order of the text */
	const char *note;             /* static; NULL unless the kind is UNKNOWN */
};

/* The session a statement ran in, from its query event. Borrowed. */
struct statement_context {
	const char *database; /* the default database, UTF-8; may be NULL if database_size is 0 */
	size_t database_size;
	uint64_t sql_mode;       /* ANSI_QUOTES, NO_BACKSLASH_ESCAPES and MSSQL change what a quote is */
	uint16_t charset_client; /* a collation's id; 0 if the event has none: taken for UTF-8 */
};

enum { STATEMENT_NAMES_MAX = 65536, STATEMENT_IDENTIFIER_MAX = 256 /* bytes; MariaDB's own limit is 64 letters */ };

/* ERR_UNSUPPORTED: the statement names a database in letters of a character set that is neither UTF-8 nor latin1.
 * Everything else that is odd is STATEMENT_UNKNOWN. */
enum err_code statement_parse(const char *text, size_t size, const struct statement_context *context,
                              struct statement *ret, struct err *err) ERR_MUST_CHECK;
void statement_free(struct statement *statement); /* accepts a zeroed one and leaves one */

enum statement_scope {
	SCOPE_INSIDE,  /* every database it touches is replicated */
	SCOPE_OUTSIDE, /* it changes nothing that is replicated */
	SCOPE_MIXED,   /* else: it can't be applied as it is, nor be left out */
};
/* Of DDL only. */
enum statement_scope statement_scope(const struct statement *statement,
                                     bool (*replicated)(const char *database, void *context), void *context);

const char *statement_kind_name(enum statement_kind kind);
const char *statement_verb_name(enum statement_verb verb);       /* "DROP" */
const char *statement_object_name(enum statement_object object); /* "TABLE" */

#endif
