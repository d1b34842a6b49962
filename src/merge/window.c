#include "merge/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { CAPACITY_MIN = 1024 };

struct place {
	uint64_t key;
	uint64_t seq; /* 0: free */
	uint32_t domain;
	uint32_t server;
};

struct window {
	struct place *places;
	size_t capacity; /* a power of two */
	size_t count;
	struct vector everywhere;
};

struct window *window_new(void)
{
	struct window *w = mem_alloc(sizeof *w);
	w->capacity = CAPACITY_MIN;
	w->places = mem_alloc(w->capacity * sizeof *w->places);
	return w;
}

void window_free(struct window *w)
{
	if (w == NULL)
		return;
	free(w->places);
	free(w);
}

void window_clear(struct window *w)
{
	free(w->places);
	w->capacity = CAPACITY_MIN;
	w->places = mem_alloc(w->capacity * sizeof *w->places);
	w->count = 0;
}

static size_t first_place(const struct window *w, uint64_t key)
{
	return (size_t)(key ^ key >> 32) & (w->capacity - 1);
}

/* The place of this key and domain, or the free one where it would go. */
static struct place *find_place(const struct window *w, uint64_t key, uint32_t domain)
{
	for (size_t i = first_place(w, key);; i = (i + 1) & (w->capacity - 1)) {
		struct place *p = &w->places[i];
		if (p->seq == 0 || (p->key == key && p->domain == domain))
			return p;
	}
}

static bool is_settled(const struct window *w, const struct place *p)
{
	return p->seq <= vector_seq(&w->everywhere, p->domain);
}

/* Drops what is settled and makes the table two to four times as large as what is left. */
static void rebuild(struct window *w)
{
	struct place *old = w->places;
	size_t old_capacity = w->capacity, left = 0;
	for (size_t i = 0; i < old_capacity; i++)
		left += old[i].seq != 0 && !is_settled(w, &old[i]);
	w->capacity = CAPACITY_MIN;
	while (w->capacity < left * 2)
		w->capacity *= 2;
	w->places = mem_alloc(w->capacity * sizeof *w->places);
	w->count = left;
	for (size_t i = 0; i < old_capacity; i++)
		if (old[i].seq != 0 && !is_settled(w, &old[i]))
			*find_place(w, old[i].key, old[i].domain) = old[i];
	free(old);
}

void window_add(struct window *w, uint64_t key, const struct gtid *gtid)
{
	if (gtid->seq <= vector_seq(&w->everywhere, gtid->domain))
		return;
	struct place *p = find_place(w, key, gtid->domain);
	if (p->seq == 0) {
		if ((w->count + 1) * 4 > w->capacity * 3) {
			rebuild(w);
			p = find_place(w, key, gtid->domain);
		}
		w->count++;
	}
	if (gtid->seq > p->seq)
		*p = (struct place){.key = key, .seq = gtid->seq, .domain = gtid->domain, .server = gtid->server};
}

bool window_find(const struct window *w, uint64_t key, uint32_t origin, const struct vector *context,
                 struct gtid *ret_gtid)
{
	for (size_t i = first_place(w, key);; i = (i + 1) & (w->capacity - 1)) {
		const struct place *p = &w->places[i];
		if (p->seq == 0)
			return false;
		if (p->key == key && p->domain != origin && p->seq > vector_seq(context, p->domain)) {
			*ret_gtid = (struct gtid){.domain = p->domain, .server = p->server, .seq = p->seq};
			return true;
		}
	}
}

void window_settle(struct window *w, const struct vector *everywhere)
{
	w->everywhere = *everywhere;
}

size_t window_count(const struct window *w)
{
	return w->count;
}
