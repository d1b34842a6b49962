#include "merge/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { CAPACITY_MIN = 1024, SEQ_BITS = 56 };
#define SEQ_MASK ((UINT64_C(1) << SEQ_BITS) - 1)

struct place {
	uint64_t key;
	uint64_t tag; /* number of the domain in `domains` << SEQ_BITS | seq; 0: free, since no seq is 0 */
};

struct domain {
	uint32_t domain;
	uint32_t server;  /* of its last write, for messages */
	uint64_t seq_max; /* of what was added */
};

struct window {
	struct window_memory memory;
	struct place *places;
	size_t capacity; /* a power of two */
	size_t count;
	unsigned domain_count;
	struct domain domains[VECTOR_DOMAINS_MAX];
	struct vector everywhere;
};

static void *heap_get(void *context, size_t bytes)
{
	(void)context;
	return mem_alloc(bytes);
}

static void heap_put(void *context, void *memory, size_t bytes)
{
	(void)context;
	(void)bytes;
	free(memory);
}

static void take_places(struct window *w, size_t capacity)
{
	w->capacity = capacity;
	w->places = w->memory.get(w->memory.context, capacity * sizeof *w->places);
}

static void return_places(struct window *w, struct place *places, size_t capacity)
{
	w->memory.put(w->memory.context, places, capacity * sizeof *places);
}

struct window *window_new(const struct window_memory *memory)
{
	struct window *w = mem_alloc(sizeof *w);
	w->memory = memory ? *memory : (struct window_memory){.get = heap_get, .put = heap_put};
	take_places(w, CAPACITY_MIN);
	return w;
}

void window_free(struct window *w)
{
	if (w == NULL)
		return;
	return_places(w, w->places, w->capacity);
	free(w);
}

void window_clear(struct window *w)
{
	return_places(w, w->places, w->capacity);
	take_places(w, CAPACITY_MIN);
	w->count = 0;
	w->domain_count = 0;
}

/* The number of a domain; domain_count if it has none. */
static unsigned find_domain(const struct window *w, uint32_t domain)
{
	unsigned i = 0;
	while (i < w->domain_count && w->domains[i].domain != domain)
		i++;
	return i;
}

static size_t first_place(const struct window *w, uint64_t key)
{
	return (size_t)(key ^ key >> 32) & (w->capacity - 1);
}

/* The place of this key and domain, or the free one where it would go. */
static struct place *find_place(const struct window *w, uint64_t key, unsigned number)
{
	for (size_t i = first_place(w, key);; i = (i + 1) & (w->capacity - 1)) {
		struct place *p = &w->places[i];
		if (p->tag == 0 || (p->key == key && p->tag >> SEQ_BITS == number))
			return p;
	}
}

static bool is_settled(const struct window *w, uint64_t tag)
{
	return (tag & SEQ_MASK) <= vector_seq(&w->everywhere, w->domains[tag >> SEQ_BITS].domain);
}

/* Drops what is settled and makes the table two to four times as large as what is left. */
static void rebuild(struct window *w)
{
	struct place *old = w->places;
	size_t old_capacity = w->capacity, left = 0, capacity = CAPACITY_MIN;
	for (size_t i = 0; i < old_capacity; i++)
		left += old[i].tag != 0 && !is_settled(w, old[i].tag);
	while (capacity < left * 2)
		capacity *= 2;
	take_places(w, capacity);
	w->count = left;
	for (size_t i = 0; i < old_capacity; i++)
		if (old[i].tag != 0 && !is_settled(w, old[i].tag))
			*find_place(w, old[i].key, (unsigned)(old[i].tag >> SEQ_BITS)) = old[i];
	return_places(w, old, old_capacity);
}

enum err_code window_add(struct window *w, uint64_t key, const struct gtid *gtid, struct err *err)
{
	if (gtid->seq <= vector_seq(&w->everywhere, gtid->domain))
		return ERR_OK;
	unsigned number = find_domain(w, gtid->domain);
	if (gtid->seq > SEQ_MASK)
		return err_set(err, ERR_UNSUPPORTED, "transaction %u-%u-%llu has a seq beyond 2^%d", (unsigned)gtid->domain,
		               (unsigned)gtid->server, (unsigned long long)gtid->seq, SEQ_BITS);
	if (number == VECTOR_DOMAINS_MAX)
		return err_set(err, ERR_UNSUPPORTED, "transactions of more than %d GTID domains; use one domain a node",
		               VECTOR_DOMAINS_MAX);
	if (number == w->domain_count)
		w->domains[w->domain_count++] = (struct domain){.domain = gtid->domain};
	w->domains[number].server = gtid->server;
	if (gtid->seq > w->domains[number].seq_max)
		w->domains[number].seq_max = gtid->seq;
	struct place *p = find_place(w, key, number);
	if (p->tag == 0) {
		if ((w->count + 1) * 4 > w->capacity * 3) {
			rebuild(w);
			p = find_place(w, key, number);
		}
		w->count += p->tag == 0;
	}
	if (gtid->seq > (p->tag & SEQ_MASK))
		*p = (struct place){.key = key, .tag = (uint64_t)number << SEQ_BITS | gtid->seq};
	return ERR_OK;
}

bool window_find(const struct window *w, uint64_t key, uint32_t origin, const struct vector *context,
                 struct gtid *ret_gtid)
{
	for (size_t i = first_place(w, key);; i = (i + 1) & (w->capacity - 1)) {
		const struct place *p = &w->places[i];
		if (p->tag == 0)
			return false;
		const struct domain *d = &w->domains[p->tag >> SEQ_BITS];
		uint64_t seq = p->tag & SEQ_MASK;
		if (p->key == key && d->domain != origin && seq > vector_seq(context, d->domain)) {
			*ret_gtid = (struct gtid){.domain = d->domain, .server = d->server, .seq = seq};
			return true;
		}
	}
}

void window_settle(struct window *w, const struct vector *everywhere)
{
	w->everywhere = *everywhere;
	bool all = w->count > 0;
	for (unsigned i = 0; all && i < w->domain_count; i++)
		all = w->domains[i].seq_max <= vector_seq(everywhere, w->domains[i].domain);
	if (all)
		window_clear(w);
}

size_t window_count(const struct window *w)
{
	return w->count;
}
