#include <string.h>

#include "merge/merge_parts.h"

enum { WORDS = sizeof(struct number) / sizeof(uint32_t), GROUP_DIGITS = 9 };

static const uint32_t powers[GROUP_DIGITS + 1] = {1,      10,      100,      1000,      10000,
                                                  100000, 1000000, 10000000, 100000000, 1000000000};

static bool is_negative(const struct number *n)
{
	return n->words[WORDS - 1] >> 31 != 0;
}

void number_add(struct number *to, const struct number *other)
{
	uint64_t carry = 0;
	for (int i = 0; i < WORDS; i++) {
		carry += (uint64_t)to->words[i] + other->words[i];
		to->words[i] = (uint32_t)carry;
		carry >>= 32;
	}
}

static void negate(struct number *n)
{
	static const struct number one = {{1}};
	for (int i = 0; i < WORDS; i++)
		n->words[i] = ~n->words[i];
	number_add(n, &one);
}

void number_subtract(struct number *from, const struct number *other)
{
	struct number n = *other;
	negate(&n);
	number_add(from, &n);
}

int number_compare(const struct number *a, const struct number *b)
{
	if (is_negative(a) != is_negative(b))
		return is_negative(a) ? -1 : 1;
	for (int i = WORDS; i-- > 0;)
		if (a->words[i] != b->words[i])
			return a->words[i] < b->words[i] ? -1 : 1;
	return 0;
}

/* n * factor + more, of what isn't negative */
static void append_digits(struct number *n, uint32_t factor, uint32_t more)
{
	uint64_t carry = more;
	for (int i = 0; i < WORDS; i++) {
		carry += (uint64_t)n->words[i] * factor;
		n->words[i] = (uint32_t)carry;
		carry >>= 32;
	}
}

/* Divides by it; gives what is left. */
static uint32_t take_digits(struct number *n, uint32_t factor)
{
	uint64_t left = 0;
	for (int i = WORDS; i-- > 0;) {
		left = left << 32 | n->words[i];
		n->words[i] = (uint32_t)(left / factor);
		left %= factor;
	}
	return (uint32_t)left;
}

/* ---- DECIMAL: big-endian groups of nine digits on either side of the point, the shorter ones outside; the first bit is
 * set unless the number is negative, then all bits are inverted (MariaDB strings/decimal.c, decimal2bin) ---- */

struct groups {
	unsigned count;
	uint8_t digits[2 * (65 / GROUP_DIGITS + 2)];
};

static unsigned group_size(unsigned digits)
{
	return (digits * 4 + 8) / GROUP_DIGITS; /* 1 2: 1, 3 4: 2, 5 6: 3, 7 8 9: 4 */
}

static struct groups groups_of(const struct merge_number_type *type)
{
	struct groups g = {0};
	unsigned whole = type->precision > type->scale ? type->precision - type->scale : 0;
	if (whole % GROUP_DIGITS != 0)
		g.digits[g.count++] = (uint8_t)(whole % GROUP_DIGITS);
	for (unsigned i = 0; i < whole / GROUP_DIGITS + type->scale / GROUP_DIGITS && g.count < sizeof g.digits - 1; i++)
		g.digits[g.count++] = GROUP_DIGITS;
	if (type->scale % GROUP_DIGITS != 0)
		g.digits[g.count++] = type->scale % GROUP_DIGITS;
	return g;
}

static struct number decimal_of(const struct merge_number_type *type, const struct content *v)
{
	struct groups groups = groups_of(type);
	struct number n = {0};
	bool negative = v->size > 0 && (v->bytes[0] & 0x80) == 0;
	uint32_t at = 0;
	for (unsigned g = 0; g < groups.count; g++) {
		uint32_t value = 0;
		for (unsigned i = 0; i < group_size(groups.digits[g]) && at < v->size; i++, at++)
			value = value << 8 | (uint8_t)(v->bytes[at] ^ (at == 0 ? 0x80 : 0) ^ (negative ? 0xff : 0));
		append_digits(&n, powers[groups.digits[g]], value);
	}
	if (negative)
		negate(&n);
	return n;
}

static void decimal_write(const struct merge_number_type *type, struct number n, uint32_t size, uint8_t *bytes)
{
	struct groups groups = groups_of(type);
	bool negative = is_negative(&n);
	uint32_t at = size;
	if (negative)
		negate(&n);
	memset(bytes, 0, size);
	for (unsigned g = groups.count; g-- > 0;) {
		uint32_t value = take_digits(&n, powers[groups.digits[g]]);
		for (unsigned i = group_size(groups.digits[g]); i-- > 0 && at > 0; value >>= 8)
			bytes[--at] = (uint8_t)value;
	}
	for (uint32_t i = 0; negative && i < size; i++)
		bytes[i] ^= 0xff;
	if (size > 0)
		bytes[0] ^= 0x80;
}

/* ---- Integers: the lowest byte first ---- */

static struct number integer_of(const struct merge_number_type *type, const struct content *v)
{
	struct number n = {0};
	uint32_t size = v->size < 8 ? v->size : 8;
	bool negative = !type->is_unsigned && size > 0 && (v->bytes[size - 1] & 0x80) != 0;
	for (uint32_t i = 0; i < sizeof n; i++)
		n.words[i / 4] |= (uint32_t)(i < size ? v->bytes[i] : negative ? 0xff : 0) << (i % 4 * 8);
	return n;
}

struct number number_of(const struct merge_number_type *type, const struct content *value)
{
	if (value->is_null)
		return (struct number){0};
	return type->order == MERGE_ORDER_DECIMAL ? decimal_of(type, value) : integer_of(type, value);
}

static struct number highest(const struct merge_number_type *type, uint32_t size)
{
	static const struct number one = {{1}};
	struct number n = one;
	if (type->order == MERGE_ORDER_DECIMAL)
		for (unsigned i = 0; i < type->precision && i < 65; i++)
			append_digits(&n, 10, 0);
	else
		for (uint32_t i = 0; i < size * 8 - !type->is_unsigned && i < 64; i++)
			append_digits(&n, 2, 0);
	number_subtract(&n, &one);
	return n;
}

/* -128 beside 127, -9.99 beside 9.99 */
static struct number lowest(const struct merge_number_type *type, const struct number *high)
{
	static const struct number one = {{1}};
	struct number n = {0};
	if (type->is_unsigned)
		return n;
	number_subtract(&n, high);
	if (type->order != MERGE_ORDER_DECIMAL)
		number_subtract(&n, &one);
	return n;
}

bool number_write(const struct merge_number_type *type, struct number number, uint32_t size, uint8_t *bytes)
{
	struct number high = highest(type, size), low = lowest(type, &high);
	bool fits = true;
	if (number_compare(&number, &high) > 0 || number_compare(&number, &low) < 0) {
		number = is_negative(&number) ? low : high;
		fits = false;
	}
	if (type->order == MERGE_ORDER_DECIMAL)
		decimal_write(type, number, size, bytes);
	else
		for (uint32_t i = 0; i < size; i++)
			bytes[i] = i < sizeof number ? (uint8_t)(number.words[i / 4] >> (i % 4 * 8)) : 0;
	return fits;
}
