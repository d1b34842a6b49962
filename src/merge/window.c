#include "merge/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { CAPACITY_MIN = 1024, SEQ_BITS = 56 };
#define SEQ_MASK ((UINT64_C(1) << SEQ_BITS) - 1)

struct place {
	uint64_t key;
	uint64_t tag;    /* number of the domain in `domains` << SEQ_BITS | seq; 0: free, since no seq is 0 */
	uint64_t offset; /* of the newest record; 0: none */
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
	struct gtid current; /* the transaction that is being added */
	unsigned number;     /* of its domain */
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

enum err_code window_begin(struct window *w, const struct window_transaction *transaction, struct err *err)
{
	const struct gtid *gtid = &transaction->gtid;
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
	w->number = number;
	w->current = *gtid;
	return ERR_OK;
}

/* The place of a key that the current transaction wrote. */
static struct place *take_place(struct window *w, uint64_t key)
{
	struct place *p = find_place(w, key, w->number);
	if (p->tag == 0) {
		if ((w->count + 1) * 4 > w->capacity * 3) {
			rebuild(w);
			p = find_place(w, key, w->number);
		}
		w->count += p->tag == 0;
	}
	if (w->current.seq > (p->tag & SEQ_MASK)) {
		p->key = key;
		p->tag = (uint64_t)w->number << SEQ_BITS | w->current.seq;
	}
	return p;
}

enum err_code window_add(struct window *w, const uint64_t *keys, size_t key_count, const uint8_t *record,
                         size_t record_size, struct err *err)
{
	(void)record;
	(void)record_size;
	(void)err;
	if (w->current.seq <= vector_seq(&w->everywhere, w->current.domain))
		return ERR_OK;
	if (w->current.seq > w->domains[w->number].seq_max)
		w->domains[w->number].seq_max = w->current.seq;
	for (size_t i = 0; i < key_count; i++)
		take_place(w, keys[i]);
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
