/* A collation's weights: what a server compares instead of a text's characters.
 *
 * A character has, on each of the collation's levels, no byte (it doesn't count), one weight or several ("ß" is "ss" to
 * some). They come from a server (sql/collations.h) by pages of 256 characters, when a text first has one of them; most
 * applications need two or three pages of some 1 KiB a level.
 *
 * A page never changes once it is there. One thread at a time adds pages; any number may read meanwhile. */
#ifndef SYNCLINE_MERGE_WEIGHTS_H
#define SYNCLINE_MERGE_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WEIGHTS_PAGE_SIZE = 256, WEIGHTS_LEVELS_MAX = 4 };

struct weights;

struct weight {
	const uint8_t *bytes; /* borrowed */
	size_t size;
};

struct weights *weights_new(unsigned level_count);
void weights_free(struct weights *weights); /* accepts NULL */

unsigned weights_levels(const struct weights *weights);
bool weights_has(const struct weights *weights, uint32_t page);
/* The weights of the page's first character on the first level, of the second one, …; then those on the second level,
 * …; all together less than 64 KiB. What is there already stays. */
void weights_add(struct weights *weights, uint32_t page, const struct weight *all);
/* Borrowed for as long as the weights live. The character's page is there. */
struct weight weights_of(const struct weights *weights, unsigned level, uint32_t character);

#endif
