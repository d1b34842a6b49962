#include "link/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/mem.h"
#include "node/settings_policy.h"

enum { ANSWER_MS_MAX = 5000 };

struct version {
	struct description *description;
	struct version *older;
};

struct entry {
	char *name; /* "database\0table" */
	size_t name_size;
	uint64_t generation;
	int64_t asked_ms;
	bool is_here;
	struct version *newest;
	UT_hash_handle by_name;
};

struct registry {
	const struct settings *settings;
	struct collations *collations; /* lock themselves */
	pthread_mutex_t lock;          /* guards the rest; not held while the server is asked */
	struct entry *entries;
};

struct registry *registry_new(const struct settings *settings)
{
	struct registry *r = mem_alloc(sizeof *r);
	r->settings = settings;
	r->collations = collations_new();
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

static void discard(struct description *d)
{
	if (d != NULL)
		settings_policies_free(&d->merge);
	description_free(d);
}

struct collations *registry_collations(struct registry *r)
{
	return r->collations;
}

void registry_free(struct registry *r)
{
	struct entry *e, *next;
	if (r == NULL)
		return;
	HASH_ITER(by_name, r->entries, e, next)
	{
		HASH_DELETE(by_name, r->entries, e);
		while (e->newest != NULL) {
			struct version *v = e->newest;
			e->newest = v->older;
			discard(v->description);
			free(v);
		}
		free(e->name);
		free(e);
	}
	collations_free(r->collations);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static bool same_columns(const struct merge_columns *a, const struct merge_columns *b)
{
	return a->count == b->count &&
	       (a->count == 0 || memcmp(a->columns, b->columns, a->count * sizeof *a->columns) == 0);
}

static bool same_column(const struct column *a, const struct column *b)
{
	return a->type == b->type && a->metadata == b->metadata && a->nullable == b->nullable &&
	       a->is_unsigned == b->is_unsigned && a->collation == b->collation && a->label_count == b->label_count &&
	       strcmp(a->name, b->name) == 0;
}

static bool same(const struct description *a, const struct description *b)
{
	const struct merge_table *x = &a->merge, *y = &b->merge;
	bool equal = a->map.column_count == b->map.column_count && strcmp(a->engine, b->engine) == 0 &&
	             a->is_parent == b->is_parent && same_columns(&x->key, &y->key) && x->unique_count == y->unique_count &&
	             x->reference_count == y->reference_count && x->depth == y->depth;
	for (uint32_t i = 0; equal && i < a->map.column_count; i++)
		equal = same_column(&a->map.columns[i], &b->map.columns[i]);
	for (uint32_t i = 0; equal && i < x->unique_count; i++)
		equal = same_columns(&x->uniques[i], &y->uniques[i]);
	for (uint32_t i = 0; equal && i < x->reference_count; i++)
		equal = x->references[i].parent == y->references[i].parent &&
		        x->references[i].on_delete == y->references[i].on_delete &&
		        same_columns(&x->references[i].columns, &y->references[i].columns);
	return equal;
}

static struct entry *take_entry(struct registry *r, const char *database, const char *table)
{
	size_t first = strlen(database) + 1, size = first + strlen(table);
	char *name = mem_alloc(size + 1);
	struct entry *e;
	memcpy(name, database, first);
	memcpy(name + first, table, size - first);
	HASH_FIND(by_name, r->entries, name, size, e);
	if (e != NULL) {
		free(name);
		return e;
	}
	e = mem_alloc(sizeof *e);
	e->name = name;
	e->name_size = size;
	e->asked_ms = INT64_MIN / 2;
	HASH_ADD_KEYPTR(by_name, r->entries, e->name, e->name_size, e);
	return e;
}

/* Takes over what the server said, unless that was known. */
static const struct description *learn(struct entry *e, struct description *answer, uint64_t generation, int64_t now)
{
	e->generation = generation;
	e->asked_ms = now;
	e->is_here = answer != NULL;
	if (answer == NULL)
		return NULL;
	if (e->newest != NULL && same(e->newest->description, answer)) {
		discard(answer);
	} else {
		struct version *v = mem_alloc(sizeof *v);
		*v = (struct version){.description = answer, .older = e->newest};
		e->newest = v;
	}
	return e->newest->description;
}

/* The table with all that the merge engine has to know of it. */
static enum err_code ask(struct registry *r, struct connection *connection, const char *database, const char *table,
                         struct description **ret, struct err *err)
{
	struct description *d = NULL;
	enum err_code code = description_load(connection, database, table, &d, err);
	if (code == ERR_OK && d != NULL && d->has_key)
		code = description_make_rules(d, r->collations, connection, err);
	if (code == ERR_OK && d != NULL && d->has_key)
		code = settings_policies_fill(r->settings, database, table, d->map.columns, &d->merge, err);
	if (code == ERR_OK)
		*ret = d;
	else
		discard(d);
	return code;
}

enum err_code registry_find(struct registry *r, struct connection *connection, const char *database, const char *table,
                            uint64_t generation, const struct description **ret, struct err *err)
{
	int64_t now = clock_monotonic_ms();
	struct description *answer;
	pthread_mutex_lock(&r->lock);
	struct entry *e = take_entry(r, database, table);
	bool fresh = e->generation >= generation && now - e->asked_ms < ANSWER_MS_MAX;
	const struct description *found = fresh && e->is_here ? e->newest->description : NULL;
	pthread_mutex_unlock(&r->lock);
	if (fresh) {
		*ret = found;
		return ERR_OK;
	}
	enum err_code code = ask(r, connection, database, table, &answer, err);
	if (code != ERR_OK)
		return code;
	pthread_mutex_lock(&r->lock);
	*ret = learn(e, answer, generation, now);
	pthread_mutex_unlock(&r->lock);
	return ERR_OK;
}

const struct description *registry_last(struct registry *r, const char *database, const char *table)
{
	pthread_mutex_lock(&r->lock);
	const struct entry *e = take_entry(r, database, table);
	const struct description *last = e->newest != NULL ? e->newest->description : NULL;
	pthread_mutex_unlock(&r->lock);
	return last;
}

void registry_refresh(struct registry *r)
{
	pthread_mutex_lock(&r->lock);
	for (struct entry *e = r->entries; e != NULL; e = e->by_name.next)
		e->asked_ms = INT64_MIN / 2;
	pthread_mutex_unlock(&r->lock);
}
