#include "merge/charset.h"

#include <string.h>

bool charset_find(const char *name, unsigned bytes_max, enum charset *ret)
{
	static const struct {
		const char *name;
		enum charset charset;
	} known[] = {
	    {"utf8mb4", CHARSET_UTF8},       {"utf8mb3", CHARSET_UTF8},      {"utf8", CHARSET_UTF8},
	    {"ucs2", CHARSET_UCS2},          {"utf16", CHARSET_UTF16},       {"utf16le", CHARSET_UTF16LE},
	    {"utf32", CHARSET_UTF32},        {"big5", CHARSET_DOUBLE_BYTE},  {"gbk", CHARSET_DOUBLE_BYTE},
	    {"gb2312", CHARSET_DOUBLE_BYTE}, {"euckr", CHARSET_DOUBLE_BYTE}, {"sjis", CHARSET_SHIFT_JIS},
	    {"cp932", CHARSET_SHIFT_JIS},    {"ujis", CHARSET_EUC_JP},       {"eucjpms", CHARSET_EUC_JP},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].name, name) == 0) {
			*ret = known[i].charset;
			return true;
		}
	if (bytes_max == 1)
		*ret = CHARSET_SINGLE_BYTE;
	return bytes_max == 1;
}

bool charset_is_unicode(enum charset charset)
{
	return charset >= CHARSET_UTF8 && charset <= CHARSET_UTF32;
}

/* What is read ahead of a byte that turns out to stand alone isn't taken: c is only moved when all is well. */
static bool take(struct cursor *c, const struct cursor *ahead, uint32_t *ret, uint32_t character)
{
	if (!cursor_ok(ahead) || character >= CHARSET_CHARACTERS)
		return false;
	*c = *ahead;
	*ret = character;
	return true;
}

static bool next_utf8(struct cursor *c, uint32_t *ret)
{
	struct cursor ahead = *c;
	uint8_t first = cursor_u8(&ahead);
	unsigned more = first < 0x80 ? 0 : first < 0xc2 ? 4 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf8 ? 3 : 4;
	if (more == 4)
		return false;
	uint32_t character = more == 0 ? first : first & (0x3fu >> more);
	for (unsigned i = 0; i < more; i++) {
		uint8_t byte = cursor_u8(&ahead);
		if ((byte & 0xc0) != 0x80)
			return false;
		character = character << 6 | (byte & 0x3f);
	}
	return take(c, &ahead, ret, character);
}

static bool next_utf16(struct cursor *c, bool little, bool pairs, uint32_t *ret)
{
	struct cursor ahead = *c;
	uint32_t unit = little ? cursor_u16(&ahead) : (uint32_t)cursor_uint_be(&ahead, 2);
	if (pairs && (unit & 0xfc00) == 0xd800) {
		uint32_t low = little ? cursor_u16(&ahead) : (uint32_t)cursor_uint_be(&ahead, 2);
		unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
	}
	return take(c, &ahead, ret, unit);
}

/* MariaDB strings/ctype-sjis.c, ctype-ujis.c, ctype-gbk.c and so on, ismbchar_…; whether the further bytes can stand
 * there isn't looked at. */
static bool next_multi_byte(enum charset charset, struct cursor *c, uint32_t *ret)
{
	struct cursor ahead = *c;
	uint32_t character = cursor_u8(&ahead);
	if (charset == CHARSET_EUC_JP && character == 0x8f) {
		character = 0x10000 + (uint32_t)cursor_uint_be(&ahead, 2);
	} else {
		bool is_lead = character > 0x80 && character < 0xff;
		if (charset == CHARSET_SHIFT_JIS)
			is_lead = is_lead && (character < 0xa0 || character >= 0xe0);
		else if (charset == CHARSET_EUC_JP)
			is_lead = is_lead && (character > 0xa0 || character == 0x8e);
		if (!is_lead)
			return false;
		character = character << 8 | cursor_u8(&ahead);
	}
	return take(c, &ahead, ret, character);
}

uint32_t charset_next(enum charset charset, struct cursor *c)
{
	uint32_t character;
	bool found = false;
	switch (charset) {
	case CHARSET_SINGLE_BYTE:
		break;
	case CHARSET_UTF8:
		found = next_utf8(c, &character);
		break;
	case CHARSET_UCS2:
	case CHARSET_UTF16:
	case CHARSET_UTF16LE:
		found = next_utf16(c, charset == CHARSET_UTF16LE, charset != CHARSET_UCS2, &character);
		break;
	case CHARSET_UTF32: {
		struct cursor ahead = *c;
		uint32_t number = (uint32_t)cursor_uint_be(&ahead, 4);
		found = take(c, &ahead, &character, number);
		break;
	}
	case CHARSET_DOUBLE_BYTE:
	case CHARSET_SHIFT_JIS:
	case CHARSET_EUC_JP:
		found = next_multi_byte(charset, c, &character);
		break;
	}
	return found ? character : cursor_u8(c);
}
