/* A set of rows' keys, each with a few bytes of its owner's beside it.
 *
 * A key is packed: for each of its columns the size (4 bytes) and the text as a server shows it, numbers without zeros
 * ahead, so that a key that was read from a log and one that a SELECT gave are the same bytes. Keys keep the order in
 * which they were added. Pure; one thread. A zeroed set is empty and needs only `payload`.
 */
#ifndef SYNCLINE_VERIFY_KEYSET_H
#define SYNCLINE_VERIFY_KEYSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct keyset_entry;

struct keyset {
	size_t payload; /* bytes beside each key */
	size_t count, capacity, slot_count;
	struct keyset_entry *entries;
	uint32_t *slots; /* number of an entry + 1, by hash */
	struct buf bytes;
	uint8_t *payloads;
};

void keyset_clear(struct keyset *set); /* keeps the memory */
void keyset_free(struct keyset *set);  /* accepts a zeroed one */
/* The number of the key, which is added if it isn't there; its payload is zeroed then. */
size_t keyset_add(struct keyset *set, const void *key, size_t size);
bool keyset_find(const struct keyset *set, const void *key, size_t size, size_t *ret);
const uint8_t *keyset_key(const struct keyset *set, size_t i, size_t *ret_size); /* borrowed until the next add */
uint8_t *keyset_payload(struct keyset *set, size_t i);                           /* the same */

/* Appends one column's value to a packed key. */
void keyset_pack(struct buf *key, const void *bytes, size_t size, bool is_number);
/* Takes the next column's value out of one; false at the end, or where it is cut. */
bool keyset_unpack(const uint8_t **key, size_t *size, const uint8_t **ret_bytes, size_t *ret_size);

#endif
