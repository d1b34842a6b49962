#include "merge/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/window_log.h"

enum { CAPACITY_MIN = 1024, SEQ_BITS = 56, KEYS_MAX = 1 << 24 };
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
	struct window_log log;
	unsigned number; /* of the current transaction's domain */
	size_t link_capacity;
	struct window_link *links; /* of the record that is being added */
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
	if (memory != NULL)
		w->memory = *memory;
	if (w->memory.get == NULL) {
		w->memory.get = heap_get;
		w->memory.put = heap_put;
	}
	window_log_init(&w->log, memory);
	take_places(w, CAPACITY_MIN);
	return w;
}

void window_free(struct window *w)
{
	if (w == NULL)
		return;
	return_places(w, w->places, w->capacity);
	window_log_done(&w->log);
	free(w->links);
	free(w);
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

/* ---- Writing ---- */

static unsigned take_domain(struct window *w, const struct gtid *gtid)
{
	unsigned number = find_domain(w, gtid->domain);
	if (number == w->domain_count)
		w->domains[w->domain_count++] = (struct domain){.domain = gtid->domain};
	w->domains[number].server = gtid->server;
	return number;
}

enum err_code window_begin(struct window *w, const struct window_transaction *transaction, struct err *err)
{
	const struct gtid *gtid = &transaction->gtid;
	if (gtid->seq > SEQ_MASK)
		return err_set(err, ERR_UNSUPPORTED, "transaction %u-%u-%llu has a seq beyond 2^%d", (unsigned)gtid->domain,
		               (unsigned)gtid->server, (unsigned long long)gtid->seq, SEQ_BITS);
	if (find_domain(w, gtid->domain) == VECTOR_DOMAINS_MAX)
		return err_set(err, ERR_UNSUPPORTED, "transactions of more than %d GTID domains; use one domain a node",
		               VECTOR_DOMAINS_MAX);
	w->number = take_domain(w, gtid);
	window_log_begin(&w->log, transaction);
	return ERR_OK;
}

/* The place of a key that the current transaction wrote. */
static struct place *take_place(struct window *w, uint64_t key)
{
	uint64_t seq = w->log.gtid.seq;
	struct place *p = find_place(w, key, w->number);
	if (p->tag == 0) {
		if ((w->count + 1) * 4 > w->capacity * 3) {
			rebuild(w);
			p = find_place(w, key, w->number);
		}
		w->count += p->tag == 0;
	}
	if (seq > (p->tag & SEQ_MASK)) {
		p->key = key;
		p->tag = (uint64_t)w->number << SEQ_BITS | seq;
	}
	return p;
}

static void reserve_links(struct window *w, size_t count)
{
	if (count <= w->link_capacity)
		return;
	w->links = mem_resize(w->links, count * sizeof *w->links);
	w->link_capacity = count;
}

static enum err_code add_record(struct window *w, const uint64_t *keys, size_t key_count, const uint8_t *record,
                                size_t record_size, struct err *err)
{
	uint64_t offset;
	size_t count = 0;
	enum err_code code = window_log_next(&w->log, &offset, err);
	if (code != ERR_OK)
		return code;
	reserve_links(w, key_count);
	for (size_t i = 0; i < key_count; i++) {
		struct place *p = take_place(w, keys[i]);
		if (p->offset == offset) /* the key twice */
			continue;
		w->links[count++] = (struct window_link){.key = keys[i], .before = p->offset};
		p->offset = offset;
	}
	return window_log_append(&w->log, w->links, count, record, record_size, err);
}

enum err_code window_add(struct window *w, const uint64_t *keys, size_t key_count, const uint8_t *record,
                         size_t record_size, struct err *err)
{
	const struct gtid *gtid = &w->log.gtid;
	enum err_code code = window_data_check(&w->log.data, err);
	if (code != ERR_OK)
		return code;
	if (vector_has(&w->everywhere, gtid) || key_count == 0)
		return ERR_OK;
	if (record_size > INT32_MAX || key_count > KEYS_MAX)
		return err_set(err, ERR_UNSUPPORTED, "transaction %u-%u-%llu has a row change of %zu bytes with %zu keys",
		               (unsigned)gtid->domain, (unsigned)gtid->server, (unsigned long long)gtid->seq, record_size,
		               key_count);
	if (gtid->seq > w->domains[w->number].seq_max)
		w->domains[w->number].seq_max = gtid->seq;
	if (record_size > 0)
		return add_record(w, keys, key_count, record, record_size, err);
	for (size_t i = 0; i < key_count; i++)
		take_place(w, keys[i]);
	return ERR_OK;
}

void window_end(struct window *w)
{
	window_log_end(&w->log);
}

/* ---- Looking up ---- */

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

void window_chain_free(struct window_chain *chain)
{
	free(chain->offsets);
	*chain = (struct window_chain){0};
}

void window_record_free(struct window_record *record)
{
	buf_free(&record->bytes);
}

static void chain_add(struct window_chain *chain, uint64_t offset)
{
	if (chain->count == chain->capacity) {
		chain->capacity = chain->capacity ? chain->capacity * 2 : 16;
		chain->offsets = mem_resize(chain->offsets, chain->capacity * sizeof *chain->offsets);
	}
	chain->offsets[chain->count++] = offset;
}

/* The record before this one under this key. */
static enum err_code find_before(struct window *w, const struct window_entry *record, uint64_t key,
                                 uint64_t *ret_before, struct err *err)
{
	struct window_link links[WINDOW_LINKS];
	for (uint32_t first = 0, count = 0; first < record->link_count; first += count) {
		enum err_code code = window_log_links(&w->log, record, first, links, &count, err);
		if (code != ERR_OK)
			return code;
		for (uint32_t i = 0; i < count; i++)
			if (links[i].key == key && links[i].before < record->offset) {
				*ret_before = links[i].before;
				return ERR_OK;
			}
	}
	return err_set(err, ERR_MALFORMED, "the window's record at %llu isn't one of its key",
	               (unsigned long long)record->offset);
}

/* One key's records of one domain, from the newest back. */
struct head {
	unsigned number;
	uint64_t offset;
};

static unsigned find_heads(const struct window *w, uint64_t key, struct head heads[VECTOR_DOMAINS_MAX])
{
	unsigned count = 0;
	for (size_t i = first_place(w, key); w->places[i].tag != 0; i = (i + 1) & (w->capacity - 1)) {
		const struct place *p = &w->places[i];
		if (p->key == key && p->offset >= w->log.front && !is_settled(w, p->tag))
			heads[count++] = (struct head){.number = (unsigned)(p->tag >> SEQ_BITS), .offset = p->offset};
	}
	return count;
}

static void reverse(uint64_t *offsets, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		uint64_t offset = offsets[i];
		offsets[i] = offsets[count - 1 - i];
		offsets[count - 1 - i] = offset;
	}
}

enum err_code window_load(struct window *w, uint64_t key, struct window_chain *to, struct err *err)
{
	struct head heads[VECTOR_DOMAINS_MAX];
	unsigned count = find_heads(w, key, heads);
	enum err_code code = window_data_check(&w->log.data, err);
	to->count = 0;
	while (code == ERR_OK && count > 0) {
		struct head *newest = heads;
		struct window_entry record;
		for (unsigned i = 1; i < count; i++)
			if (heads[i].offset > newest->offset)
				newest = &heads[i];
		code = window_log_entry(&w->log, newest->offset, &record, err);
		if (code == ERR_OK && !is_settled(w, (uint64_t)newest->number << SEQ_BITS | record.gtid.seq))
			chain_add(to, record.offset);
		if (code == ERR_OK)
			code = find_before(w, &record, key, &newest->offset, err);
		if (code == ERR_OK && newest->offset < w->log.front)
			*newest = heads[--count];
	}
	reverse(to->offsets, to->count);
	return code;
}

enum err_code window_scan(struct window *w, uint32_t domain, uint64_t behind, struct window_chain *to, struct err *err)
{
	uint64_t settled = vector_seq(&w->everywhere, domain), end = window_data_end(&w->log.data);
	uint64_t least = behind > settled ? behind : settled;
	bool is_domain = false;
	struct window_entry entry;
	enum err_code code = window_data_check(&w->log.data, err);
	to->count = 0;
	for (uint64_t at = w->log.front; code == ERR_OK && at < end; at += entry.size) {
		code = window_log_entry(&w->log, at, &entry, err);
		if (code == ERR_OK && !entry.is_record)
			is_domain = entry.gtid.domain == domain;
		else if (code == ERR_OK && is_domain && entry.gtid.seq > least)
			chain_add(to, at);
	}
	return code;
}

enum err_code window_read(struct window *w, uint64_t offset, struct window_record *to, struct err *err)
{
	return window_log_read(&w->log, offset, to, err);
}

/* ---- Forgetting ---- */

/* Takes the record out of the chains that begin with it or with a later one. */
static enum err_code unlink_record(struct window *w, const struct window_entry *record, unsigned number,
                                   struct err *err)
{
	struct window_link links[WINDOW_LINKS];
	for (uint32_t first = 0, count = 0; first < record->link_count; first += count) {
		enum err_code code = window_log_links(&w->log, record, first, links, &count, err);
		if (code != ERR_OK)
			return code;
		for (uint32_t i = 0; i < count; i++) {
			struct place *p = find_place(w, links[i].key, number);
			if (p->tag != 0 && p->offset >= record->offset)
				p->offset = links[i].before;
		}
	}
	return ERR_OK;
}

enum err_code window_rewind(struct window *w, struct err *err)
{
	uint64_t start = w->log.ended > w->log.front ? w->log.ended : w->log.front;
	uint64_t end = window_data_end(&w->log.data);
	unsigned number = 0;
	enum err_code code = window_data_check(&w->log.data, err);
	struct window_entry entry;
	for (uint64_t at = start; code == ERR_OK && at < end; at += entry.size) {
		code = window_log_entry(&w->log, at, &entry, err);
		if (code == ERR_OK && entry.is_record)
			code = unlink_record(w, &entry, number, err);
		else if (code == ERR_OK)
			number = find_domain(w, entry.gtid.domain);
	}
	if (code == ERR_OK)
		window_end(w);
	return code;
}

/* The current transaction goes on, if there is one. */
static void empty(struct window *w)
{
	return_places(w, w->places, w->capacity);
	take_places(w, CAPACITY_MIN);
	w->count = 0;
	w->domain_count = 0;
	window_log_clear(&w->log);
	if (w->log.gtid.seq != 0)
		w->number = take_domain(w, &w->log.gtid);
}

void window_settle(struct window *w, const struct vector *everywhere)
{
	w->everywhere = *everywhere;
	bool all = w->count > 0 && window_data_check(&w->log.data, NULL) == ERR_OK; /* a failure is the owner's to clear */
	for (unsigned i = 0; all && i < w->domain_count; i++)
		all = w->domains[i].seq_max <= vector_seq(everywhere, w->domains[i].domain);
	if (all)
		empty(w);
	else
		window_log_settle(&w->log, everywhere);
}

size_t window_count(const struct window *w)
{
	return w->count;
}

void window_clear(struct window *w)
{
	empty(w);
	w->everywhere.count = 0;
}
