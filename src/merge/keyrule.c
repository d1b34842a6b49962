#include "merge/keyrule.h"

#include <string.h>

enum { BLANK = ' ' };

/* How many bytes the first characters of a text take. */
static size_t text_prefix(const struct key_rule *rule, const uint8_t *bytes, size_t size)
{
	if (rule->prefix_characters == 0)
		return size;
	struct cursor c = cursor_of(bytes, size);
	for (uint32_t i = 0; i < rule->prefix_characters && cursor_left(&c) > 0; i++)
		charset_next(rule->charset, &c);
	return size - cursor_left(&c);
}

bool key_rule_missing(const struct key_rule *rule, const uint8_t *bytes, size_t size, uint32_t *ret_page)
{
	if (rule->form != KEY_TEXT || rule->weights == NULL)
		return false;
	struct cursor c = cursor_of(bytes, text_prefix(rule, bytes, size));
	while (cursor_left(&c) > 0) {
		uint32_t page = charset_next(rule->charset, &c) / WEIGHTS_PAGE_SIZE;
		if (!weights_has(rule->weights, page)) {
			*ret_page = page;
			return true;
		}
	}
	return false;
}

static void append_real(const uint8_t *bytes, size_t size, struct buf *to)
{
	bool is_zero = size > 0 && (bytes[size - 1] & 0x7f) == 0; /* the sign is the last byte's highest bit */
	for (size_t i = 0; i + 1 < size; i++)
		is_zero = is_zero && bytes[i] == 0;
	buf_append(to, bytes, size);
	if (is_zero)
		to->data[to->size - 1] = 0;
}

static void append_characters(const struct key_rule *rule, const uint8_t *bytes, size_t size, struct buf *to)
{
	struct cursor c = cursor_of(bytes, size);
	size_t end = 0;
	while (cursor_left(&c) > 0)
		if (charset_next(rule->charset, &c) != BLANK || !rule->pad_space)
			end = size - cursor_left(&c);
	buf_append(to, bytes, end);
}

/* How much of a character's weight is left if blanks at the end don't count. The last of several weights may be a
 * blank's only where all weights have one width, that is in UCA's collations, which have two bytes. */
static size_t without_blanks(struct weight weight, struct weight blank)
{
	size_t size = weight.size;
	if (blank.size == 0 || size % blank.size != 0 || (blank.size == 1 && size > 1))
		return size;
	while (size > 0 && memcmp(weight.bytes + size - blank.size, blank.bytes, blank.size) == 0)
		size -= blank.size;
	return size;
}

static void append_level(const struct key_rule *rule, unsigned level, struct cursor c, struct buf *to)
{
	struct weight blank = rule->pad_space ? weights_of(rule->weights, level, BLANK) : (struct weight){0};
	size_t end = to->size;
	while (cursor_left(&c) > 0) {
		struct weight weight = weights_of(rule->weights, level, charset_next(rule->charset, &c));
		size_t counts = without_blanks(weight, blank);
		if (counts > 0)
			end = to->size + counts;
		buf_append(to, weight.bytes, weight.size);
	}
	to->size = end;
}

static void append_text(const struct key_rule *rule, const uint8_t *bytes, size_t size, struct buf *to)
{
	size = text_prefix(rule, bytes, size);
	if (rule->weights == NULL) {
		append_characters(rule, bytes, size, to);
		return;
	}
	for (unsigned level = 0; level < weights_levels(rule->weights); level++) {
		if (level > 0)
			buf_append_u16(to, 0); /* no weight, so that levels can't run together */
		append_level(rule, level, cursor_of(bytes, size), to);
	}
}

void key_rule_append(const struct key_rule *rule, const uint8_t *bytes, size_t size, struct buf *to)
{
	switch (rule->form) {
	case KEY_BYTES:
		buf_append(to, bytes,
		           rule->prefix_characters > 0 && rule->prefix_characters < size ? rule->prefix_characters : size);
		break;
	case KEY_REAL:
		append_real(bytes, size, to);
		break;
	case KEY_TEXT:
		append_text(rule, bytes, size, to);
		break;
	}
}
