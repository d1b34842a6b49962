#include "verify/keyset.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"

struct keyset_entry {
	size_t offset;
	uint32_t size;
};

void keyset_clear(struct keyset *set)
{
	set->count = 0;
	buf_clear(&set->bytes);
	if (set->slots != NULL)
		memset(set->slots, 0, set->slot_count * sizeof *set->slots);
}

void keyset_free(struct keyset *set)
{
	free(set->entries);
	free(set->slots);
	free(set->payloads);
	buf_free(&set->bytes);
	*set = (struct keyset){.payload = set->payload};
}

/* The slot that has the key, or the free one where it belongs. */
static size_t slot_of(const struct keyset *set, const void *key, size_t size)
{
	size_t slot = (size_t)XXH3_64bits(key, size) & (set->slot_count - 1);
	for (;; slot = (slot + 1) & (set->slot_count - 1)) {
		if (set->slots[slot] == 0)
			return slot;
		const struct keyset_entry *e = &set->entries[set->slots[slot] - 1];
		if (e->size == size && memcmp(set->bytes.data + e->offset, key, size) == 0)
			return slot;
	}
}

static void grow(struct keyset *set)
{
	enum { CAPACITY_FIRST = 16, SLOTS_AN_ENTRY = 2 };
	size_t capacity = set->capacity > 0 ? set->capacity * 2 : CAPACITY_FIRST;
	set->entries = mem_resize(set->entries, capacity * sizeof *set->entries);
	set->payloads = mem_resize(set->payloads, capacity * (set->payload + 1));
	set->capacity = capacity;
	set->slot_count = capacity * SLOTS_AN_ENTRY;
	free(set->slots);
	set->slots = mem_alloc(set->slot_count * sizeof *set->slots);
	for (size_t i = 0; i < set->count; i++)
		set->slots[slot_of(set, set->bytes.data + set->entries[i].offset, set->entries[i].size)] = (uint32_t)i + 1;
}

size_t keyset_add(struct keyset *set, const void *key, size_t size)
{
	if (set->count == set->capacity)
		grow(set);
	size_t slot = slot_of(set, key, size);
	if (set->slots[slot] != 0)
		return set->slots[slot] - 1;
	size_t i = set->count++;
	set->entries[i] = (struct keyset_entry){.offset = set->bytes.size, .size = (uint32_t)size};
	buf_append(&set->bytes, key, size);
	memset(keyset_payload(set, i), 0, set->payload);
	set->slots[slot] = (uint32_t)i + 1;
	return i;
}

bool keyset_find(const struct keyset *set, const void *key, size_t size, size_t *ret)
{
	if (set->count == 0)
		return false;
	uint32_t number = set->slots[slot_of(set, key, size)];
	if (number != 0)
		*ret = number - 1;
	return number != 0;
}

const uint8_t *keyset_key(const struct keyset *set, size_t i, size_t *ret_size)
{
	*ret_size = set->entries[i].size;
	return set->bytes.data + set->entries[i].offset;
}

uint8_t *keyset_payload(struct keyset *set, size_t i)
{
	return set->payloads + i * set->payload;
}

void keyset_pack(struct buf *key, const void *bytes, size_t size, bool is_number)
{
	const char *at = bytes;
	bool is_negative = is_number && size > 0 && *at == '-';
	if (is_negative)
		at++, size--;
	while (is_number && size > 1 && at[0] == '0' && at[1] != '.')
		at++, size--;
	buf_append_u32(key, (uint32_t)size + is_negative);
	if (is_negative)
		buf_append_u8(key, '-');
	if (size > 0)
		buf_append(key, at, size);
}

bool keyset_unpack(const uint8_t **key, size_t *size, const uint8_t **ret_bytes, size_t *ret_size)
{
	if (*size < 4)
		return false;
	const uint8_t *k = *key;
	size_t n = (size_t)k[0] | (size_t)k[1] << 8 | (size_t)k[2] << 16 | (size_t)k[3] << 24;
	if (n > *size - 4)
		return false;
	*ret_bytes = k + 4;
	*ret_size = n;
	*key += 4 + n;
	*size -= 4 + n;
	return true;
}
