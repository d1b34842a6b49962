#include "sql/lexer.h"

#include <string.h>

/* ---- Character sets ---- */

/* Collation ids, from information_schema.COLLATIONS of 10.11. A NOPAD collation is 1024 above its sister; from 2048 the
 * UCA 14.0.0 collations lie in blocks of 256 a character set. Identifiers of a binary client are UTF-8, too. */
enum { COLLATION_BINARY = 63, COLLATION_NOPAD = 1024, COLLATION_UCA1400 = 2048 };

static const struct {
	uint16_t first, last;
	enum encoding encoding;
} collations[] = {
    {0, 0, ENCODING_UTF8}, /* the event doesn't say */
    {COLLATION_BINARY, COLLATION_BINARY, ENCODING_UTF8},
    /* utf8mb3 */
    {33, 33, ENCODING_UTF8},
    {83, 83, ENCODING_UTF8},
    {192, 215, ENCODING_UTF8},
    {223, 223, ENCODING_UTF8},
    {576, 578, ENCODING_UTF8},
    /* utf8mb4 */
    {45, 46, ENCODING_UTF8},
    {224, 247, ENCODING_UTF8},
    {608, 610, ENCODING_UTF8},
    /* both */
    {COLLATION_UCA1400, COLLATION_UCA1400 + 511, ENCODING_UTF8},
    /* latin1 */
    {5, 5, ENCODING_LATIN1},
    {8, 8, ENCODING_LATIN1},
    {15, 15, ENCODING_LATIN1},
    {31, 31, ENCODING_LATIN1},
    {47, 49, ENCODING_LATIN1},
    {94, 94, ENCODING_LATIN1},
    /* sjis, cp932, gbk, big5 */
    {13, 13, ENCODING_SJIS},
    {88, 88, ENCODING_SJIS},
    {95, 96, ENCODING_SJIS},
    {28, 28, ENCODING_GBK},
    {87, 87, ENCODING_GBK},
    {1, 1, ENCODING_BIG5},
    {84, 84, ENCODING_BIG5},
};

enum encoding lexer_encoding(uint16_t collation)
{
	unsigned id = collation < COLLATION_UCA1400 ? collation & ~(unsigned)COLLATION_NOPAD : collation;
	for (size_t i = 0; i < sizeof collations / sizeof *collations; i++)
		if (id >= collations[i].first && id <= collations[i].last)
			return collations[i].encoding;
	return ENCODING_OTHER;
}

/* These have letters whose second byte is a backquote or a backslash: taken byte by byte, a name or a string would end
 * inside such a letter. */
static const struct {
	uint8_t lead_first, lead_last, trail_first, trail_last;
	enum encoding encoding;
} pairs[] = {
    {0x81, 0x9f, 0x40, 0x7e, ENCODING_SJIS}, {0x81, 0x9f, 0x80, 0xfc, ENCODING_SJIS},
    {0xe0, 0xfc, 0x40, 0x7e, ENCODING_SJIS}, {0xe0, 0xfc, 0x80, 0xfc, ENCODING_SJIS},
    {0x81, 0xfe, 0x40, 0x7e, ENCODING_GBK},  {0x81, 0xfe, 0x80, 0xfe, ENCODING_GBK},
    {0xa1, 0xf9, 0x40, 0x7e, ENCODING_BIG5}, {0xa1, 0xf9, 0xa1, 0xfe, ENCODING_BIG5},
};

/* The bytes that the letter at p takes, as far as the lexer cares. */
size_t lexer_letter_size(enum encoding encoding, const uint8_t *p, const uint8_t *end)
{
	if (p[0] < 0x80 || encoding < ENCODING_SJIS || end - p < 2)
		return 1;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (pairs[i].encoding == encoding && p[0] >= pairs[i].lead_first && p[0] <= pairs[i].lead_last &&
		    p[1] >= pairs[i].trail_first && p[1] <= pairs[i].trail_last)
			return 2;
	return 1;
}

/* MariaDB's latin1 is cp1252, with the five holes as control characters. */
static const uint16_t latin1_high[32] = {
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};

/* Writes the UTF-8 of a latin1 byte of 0x80 and up; returns its size, at most 3. */
size_t lexer_latin1_to_utf8(uint8_t byte, uint8_t *to)
{
	unsigned letter = byte < 0xa0 ? latin1_high[byte - 0x80] : byte;
	if (letter < 0x800) {
		to[0] = (uint8_t)(0xc0 | letter >> 6);
		to[1] = (uint8_t)(0x80 | (letter & 0x3f));
		return 2;
	}
	to[0] = (uint8_t)(0xe0 | letter >> 12);
	to[1] = (uint8_t)(0x80 | (letter >> 6 & 0x3f));
	to[2] = (uint8_t)(0x80 | (letter & 0x3f));
	return 3;
}

/* The well-formed letters of two bytes and more (Unicode 15, table 3-7); bytes behind the second are 80 to bf. */
static const struct {
	uint8_t size, first_low, first_high, second_low, second_high;
} utf8_letters[] = {
    {2, 0xc2, 0xdf, 0x80, 0xbf}, {3, 0xe0, 0xe0, 0xa0, 0xbf}, {3, 0xe1, 0xec, 0x80, 0xbf}, {3, 0xed, 0xed, 0x80, 0x9f},
    {3, 0xee, 0xef, 0x80, 0xbf}, {4, 0xf0, 0xf0, 0x90, 0xbf}, {4, 0xf1, 0xf3, 0x80, 0xbf}, {4, 0xf4, 0xf4, 0x80, 0x8f},
};

/* The size of the well-formed UTF-8 letter at p, 0 if there is none. */
size_t lexer_utf8_letter_size(const uint8_t *p, const uint8_t *end)
{
	size_t size = p[0] < 0x80 ? 1 : 0;
	for (size_t i = 0; i < sizeof utf8_letters / sizeof *utf8_letters && end - p >= 2; i++)
		if (p[0] >= utf8_letters[i].first_low && p[0] <= utf8_letters[i].first_high &&
		    p[1] >= utf8_letters[i].second_low && p[1] <= utf8_letters[i].second_high)
			size = utf8_letters[i].size;
	if ((size_t)(end - p) < size)
		return 0;
	for (size_t i = 2; i < size; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

/* ---- Words ---- */

/* clang-format off */
static const char *const word_texts[] = {
	"",
#define X(word) #word,
	WORDS(X)
#undef X
};
/* clang-format on */

/* In no locale: with Turkish ones, strncasecmp finds no INSERT in "insert". */
static int compare_word(const uint8_t *text, size_t size, const char *word)
{
	for (size_t i = 0; i < size; i++) {
		int byte = text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i];
		if (byte != word[i])
			return byte - word[i];
	}
	return word[size] == '\0' ? 0 : -1;
}

static enum word word_of(const uint8_t *text, size_t size)
{
	size_t low = 1, high = sizeof word_texts / sizeof *word_texts;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_word(text, size, word_texts[middle]);
		if (order == 0)
			return (enum word)middle;
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return W_NONE;
}

/* ---- The lexer ---- */

/* Bits of sql_mode (MariaDB sql/sql_class.h, MODE_*). */
enum { MODE_ANSI_QUOTES = 1u << 2, MODE_MSSQL = 1u << 10, MODE_NO_BACKSLASH_ESCAPES = 1u << 20 };

static bool is_space(const struct lexer *l, uint8_t byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r') || (byte == 0xa0 && l->encoding == ENCODING_LATIN1);
}

static bool is_digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9';
}

static bool is_word_byte(const struct lexer *l, uint8_t byte)
{
	return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
	       byte == '$' || (byte >= 0x80 && !is_space(l, byte));
}

static uint8_t byte_at(const struct lexer *l, size_t ahead)
{
	return (size_t)(l->end - l->pos) > ahead ? l->pos[ahead] : 0;
}

/* Behind the next `first` `second`, or to the end, which is false. */
static bool skip_past(struct lexer *l, char first, char second)
{
	for (; l->end - l->pos >= 2; l->pos++)
		if (l->pos[0] == first && l->pos[1] == second) {
			l->pos += 2;
			return true;
		}
	l->pos = l->end;
	return false;
}

/* At a slash and an asterisk. An executable comment is entered: its marker and version go, its content is code. */
static bool skip_long_comment(struct lexer *l)
{
	size_t marker = byte_at(l, 2) == '!' ? 3 : byte_at(l, 2) == 'M' && byte_at(l, 3) == '!' ? 4 : 0;
	if (marker == 0) {
		l->pos += 2;
		return skip_past(l, '*', '/');
	}
	l->pos += marker;
	l->executable = true;
	size_t digits = 0;
	while (digits < 6 && is_digit(byte_at(l, digits)))
		digits++;
	if (digits >= 5)
		l->pos += digits;
	return true;
}

static void skip_line(struct lexer *l)
{
	const uint8_t *newline = memchr(l->pos, '\n', (size_t)(l->end - l->pos));
	l->pos = newline ? newline + 1 : l->end;
}

static bool starts_line_comment(const struct lexer *l)
{
	uint8_t third = byte_at(l, 2);
	return byte_at(l, 0) == '#' ||
	       (byte_at(l, 0) == '-' && byte_at(l, 1) == '-' && (third < 0x20 || third == 0x7f || is_space(l, third)));
}

/* Skips blanks and comments; false if a comment has no end. */
static bool skip_blanks(struct lexer *l)
{
	while (l->pos < l->end) {
		if (is_space(l, *l->pos)) {
			l->pos++;
		} else if (starts_line_comment(l)) {
			skip_line(l);
		} else if (byte_at(l, 0) == '/' && byte_at(l, 1) == '*') {
			if (!skip_long_comment(l))
				return false;
		} else if (l->executable && byte_at(l, 0) == '*' && byte_at(l, 1) == '/') {
			l->executable = false;
			l->pos += 2;
		} else {
			return true;
		}
	}
	return !l->executable;
}

/* From behind the opening quote to behind the closing one. A doubled quote stands for itself. */
static bool skip_quoted(struct lexer *l, uint8_t quote, bool backslash)
{
	while (l->pos < l->end) {
		size_t size = lexer_letter_size(l->encoding, l->pos, l->end);
		uint8_t byte = *l->pos;
		l->pos += size;
		if (size > 1)
			continue;
		if (byte == '\\' && backslash && l->pos < l->end)
			l->pos++;
		else if (byte == quote && byte_at(l, 0) == quote && l->pos < l->end)
			l->pos++;
		else if (byte == quote)
			return true;
	}
	return false;
}

/* What the byte opens: the quote that closes it, 0 if it opens nothing. */
static uint8_t closing_quote(const struct lexer *l, uint8_t byte, bool *ret_name)
{
	*ret_name =
	    byte == '`' || (byte == '"' && l->sql_mode & MODE_ANSI_QUOTES) || (byte == '[' && l->sql_mode & MODE_MSSQL);
	if (byte == '[')
		return *ret_name ? ']' : 0;
	return byte == '`' || byte == '"' || byte == '\'' ? byte : 0;
}

static bool lex_quoted(struct lexer *l, struct token *ret)
{
	bool name;
	uint8_t quote = l->pos < l->end ? closing_quote(l, *l->pos, &name) : 0;
	if (quote == 0)
		return false;
	const uint8_t *start = ++l->pos;
	bool closed = skip_quoted(l, quote, !name && !(l->sql_mode & MODE_NO_BACKSLASH_ESCAPES));
	ret->type = !closed ? TOKEN_BAD : name ? TOKEN_QUOTED : TOKEN_STRING;
	ret->byte = quote;
	ret->text = start;
	ret->size = closed ? (size_t)(l->pos - 1 - start) : 0;
	return true;
}

static void lex_word(struct lexer *l, struct token *ret)
{
	bool digits = true;
	ret->text = l->pos;
	while (l->pos < l->end && is_word_byte(l, *l->pos)) {
		digits &= is_digit(*l->pos);
		l->pos += lexer_letter_size(l->encoding, l->pos, l->end);
	}
	ret->size = (size_t)(l->pos - ret->text);
	ret->type = digits ? TOKEN_NUMBER : TOKEN_WORD;
	if (!digits)
		ret->word = word_of(ret->text, ret->size);
}

/* A host name may have dots; a variable as well. */
static void lex_at(struct lexer *l, struct token *ret)
{
	ret->type = TOKEN_AT;
	ret->text = l->pos++;
	if (byte_at(l, 0) == '@')
		l->pos++;
	if (lex_quoted(l, ret)) {
		ret->type = ret->type == TOKEN_BAD ? TOKEN_BAD : TOKEN_AT;
		return;
	}
	while (l->pos < l->end && (is_word_byte(l, *l->pos) || *l->pos == '.'))
		l->pos += lexer_letter_size(l->encoding, l->pos, l->end);
	ret->size = (size_t)(l->pos - ret->text);
}

struct token lexer_next(struct lexer *l)
{
	struct token token = {0};
	if (!skip_blanks(l))
		token.type = TOKEN_BAD;
	else if (l->pos == l->end || (*l->pos == '\0' && l->end - l->pos == 1))
		token.type = TOKEN_END;
	else if (*l->pos == '@')
		lex_at(l, &token);
	else if (is_word_byte(l, *l->pos))
		lex_word(l, &token);
	else if (!lex_quoted(l, &token)) {
		token.type = TOKEN_CHAR;
		token.byte = *l->pos++;
	}
	if (token.type == TOKEN_BAD)
		l->pos = l->end;
	return token;
}
