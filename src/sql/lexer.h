/* The words, names, strings and numbers of an SQL text, as MariaDB's own lexer takes it apart (sql/sql_lex.cc, lex_one_token).
 *
 * Character sets matter: in some, a letter's second byte looks like a quote. Executable comments are entered. For statement.c
 * alone. Pure; a token borrows from the text.
 */
#ifndef SYNCLINE_SQL_LEXER_H
#define SYNCLINE_SQL_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum encoding { ENCODING_OTHER, ENCODING_UTF8, ENCODING_LATIN1, ENCODING_SJIS, ENCODING_GBK, ENCODING_BIG5 };

/* Of a collation's id. */
enum encoding lexer_encoding(uint16_t collation);
/* The bytes that the letter at p takes, as far as quotes are concerned. */
size_t lexer_letter_size(enum encoding encoding, const uint8_t *p, const uint8_t *end);
/* Writes the UTF-8 of a latin1 byte of 0x80 and up; returns its size, at most 3. */
size_t lexer_latin1_to_utf8(uint8_t byte, uint8_t *to);
/* The size of the well-formed UTF-8 letter at p, 0 if there is none. */
size_t lexer_utf8_letter_size(const uint8_t *p, const uint8_t *end);

/* In the order of strcmp: they are searched by halves. */
/* clang-format off */
#define WORDS(X)                                                                                                       \
	X(AGGREGATE) X(ALGORITHM) X(ALTER) X(ANALYZE) X(AS) X(BACKUP) X(BEGIN) X(BINLOG) X(BODY) X(CACHE) X(CALL)          \
	X(CASCADE) X(CHANGE) X(CHAR) X(CHARACTER) X(CHECK) X(CHECKSUM) X(COLLATE) X(COLUMN) X(COMMENT) X(COMMIT)           \
	X(CONSTRAINT) X(CONVERT) X(CREATE) X(CURRENT_ROLE) X(CURRENT_USER) X(DATABASE) X(DEALLOCATE) X(DEFAULT)            \
	X(DEFINER) X(DELETE) X(DESC) X(DESCRIBE) X(DISABLE) X(DISCARD) X(DO) X(DROP) X(ENABLE) X(END) X(EVENT)             \
	X(EXCHANGE) X(EXECUTE) X(EXISTS) X(EXPLAIN) X(FLUSH) X(FOR) X(FULLTEXT) X(FUNCTION) X(GRANT) X(HANDLER) X(HELP)    \
	X(IF) X(IGNORE) X(IMPORT) X(INDEX) X(INSERT) X(INSTALL) X(IS) X(KEY) X(KILL) X(LIKE) X(LOAD) X(LOCAL) X(LOCK)      \
	X(NOT) X(NOWAIT) X(NO_WRITE_TO_BINLOG) X(OFFLINE) X(ON) X(ONLINE) X(OPTIMIZE) X(OR) X(PACKAGE) X(PARTITION)        \
	X(PASSWORD) X(PREPARE) X(PROCEDURE) X(PURGE) X(RELEASE) X(RENAME) X(REPAIR) X(REPLACE) X(RESET) X(RESTRICT)        \
	X(RETURNS) X(REVOKE) X(ROLE) X(ROLLBACK) X(SAVEPOINT) X(SCHEMA) X(SECURITY) X(SELECT) X(SEQUENCE) X(SERVER)        \
	X(SET) X(SHOW) X(SHUTDOWN) X(SLAVE) X(SONAME) X(SPATIAL) X(SQL) X(START) X(STATEMENT) X(STOP) X(SYSTEM) X(TABLE)   \
	X(TABLES) X(TABLESPACE) X(TEMPORARY) X(TO) X(TRANSACTION) X(TRIGGER) X(TRUNCATE) X(UNINSTALL) X(UNIQUE) X(UNLOCK)  \
	X(UPDATE) X(USE) X(USER) X(VALUES) X(VECTOR) X(VERSIONING) X(VIEW) X(WAIT) X(WITH) X(WORK) X(XA)

enum word {
	W_NONE, /* not one of these */
#define X(word) W_##word,
	WORDS(X)
#undef X
};
/* clang-format on */

enum token_type {
	TOKEN_END,
	TOKEN_BAD,    /* a string, a name or a comment that has no end; the lexer stays here */
	TOKEN_WORD,   /* a keyword or a name without quotes */
	TOKEN_NUMBER, /* digits only */
	TOKEN_QUOTED, /* a name in quotes; text is what is between them */
	TOKEN_STRING,
	TOKEN_AT,   /* @variable, @@variable, @host */
	TOKEN_CHAR, /* any other byte */
};

struct token {
	enum token_type type;
	enum word word; /* of a TOKEN_WORD, else W_NONE */
	uint8_t byte;   /* of a TOKEN_CHAR; the closing quote of a TOKEN_QUOTED */
	const uint8_t *text;
	size_t size;
};

/* A value: a copy of it looks ahead. */
struct lexer {
	const uint8_t *pos, *end;
	uint64_t sql_mode;
	enum encoding encoding;
	bool executable; /* inside an executable comment, where an asterisk and a slash end it */
};

/* The next token; at the end TOKEN_END again and again. */
struct token lexer_next(struct lexer *lexer);

#endif
