#include "merge/weights.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/charset.h"

enum { PAGES = CHARSET_CHARACTERS / WEIGHTS_PAGE_SIZE };

/* ends[level * WEIGHTS_PAGE_SIZE + character] is where its bytes end and those of the next begin; the bytes follow the
 * ends. */
struct page {
	uint16_t count; /* of ends */
	uint16_t ends[];
};

struct weights {
	unsigned level_count;
	struct page *pages[PAGES]; /* read and written by page_of and weights_add only */
};

struct weights *weights_new(unsigned level_count)
{
	assert(level_count > 0 && level_count <= WEIGHTS_LEVELS_MAX);
	struct weights *weights = mem_alloc(sizeof *weights);
	weights->level_count = level_count;
	return weights;
}

void weights_free(struct weights *weights)
{
	for (size_t i = 0; weights != NULL && i < PAGES; i++)
		free(weights->pages[i]);
	free(weights);
}

unsigned weights_levels(const struct weights *weights)
{
	return weights->level_count;
}

/* Whoever sees the page sees what is in it. */
static const struct page *page_of(const struct weights *weights, uint32_t page)
{
	assert(page < PAGES);
	return __atomic_load_n(&weights->pages[page], __ATOMIC_ACQUIRE);
}

bool weights_has(const struct weights *weights, uint32_t page)
{
	return page_of(weights, page) != NULL;
}

void weights_add(struct weights *weights, uint32_t number, const struct weight *all)
{
	if (weights_has(weights, number))
		return;
	size_t count = (size_t)weights->level_count * WEIGHTS_PAGE_SIZE, size = 0;
	for (size_t i = 0; i < count; i++)
		size += all[i].size;
	assert(size <= UINT16_MAX);
	struct page *page = mem_alloc(sizeof *page + count * sizeof *page->ends + size);
	page->count = (uint16_t)count;
	uint8_t *bytes = (uint8_t *)(page->ends + count);
	uint16_t end = 0;
	for (size_t i = 0; i < count; i++) {
		if (all[i].size > 0)
			memcpy(bytes + end, all[i].bytes, all[i].size);
		end = (uint16_t)(end + all[i].size);
		page->ends[i] = end;
	}
	__atomic_store_n(&weights->pages[number], page, __ATOMIC_RELEASE);
}

struct weight weights_of(const struct weights *weights, unsigned level, uint32_t character)
{
	const struct page *page = page_of(weights, character / WEIGHTS_PAGE_SIZE);
	assert(page != NULL && level < weights->level_count);
	const uint16_t *ends = page->ends;
	const uint8_t *bytes = (const uint8_t *)(ends + page->count);
	size_t i = (size_t)level * WEIGHTS_PAGE_SIZE + character % WEIGHTS_PAGE_SIZE;
	size_t start = i == 0 ? 0 : ends[i - 1];
	return (struct weight){.bytes = bytes + start, .size = ends[i] - start};
}
