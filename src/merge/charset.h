/* Where the characters are in a text of a character set.
 *
 * A character has a number: its code point in the Unicode ones, its bytes read as a number in the others; of EUC-JP's
 * three bytes (8f, x, y) 0x10000 + xy. So every number is below CHARSET_CHARACTERS. Text that a server stored is
 * well-formed; where foreign bytes are not, a byte counts as a character. Pure. */
#ifndef SYNCLINE_MERGE_CHARSET_H
#define SYNCLINE_MERGE_CHARSET_H

#include "base/cursor.h"

enum charset {
	CHARSET_SINGLE_BYTE, /* latin1 and all others of one byte a character */
	CHARSET_UTF8,        /* utf8mb3 and utf8mb4 */
	CHARSET_UCS2,
	CHARSET_UTF16,
	CHARSET_UTF16LE,
	CHARSET_UTF32,
	CHARSET_DOUBLE_BYTE, /* big5, gbk, gb2312, euckr: two bytes from 0x81 on */
	CHARSET_SHIFT_JIS,   /* sjis, cp932 */
	CHARSET_EUC_JP,      /* ujis, eucjpms */
};

enum { CHARSET_CHARACTERS = 0x110000 };

/* By the server's name of it and the most bytes that a character takes there; false if it isn't known. */
bool charset_find(const char *name, unsigned bytes_max, enum charset *ret);
bool charset_is_unicode(enum charset charset);
/* Steps over the next character; there is at least a byte. */
uint32_t charset_next(enum charset charset, struct cursor *c);

#endif
