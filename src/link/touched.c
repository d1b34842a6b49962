#include "link/touched.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/mem.h"

struct entry {
	struct touched_table table;
	char key[2 * TOUCHED_NAME_MAX];
	UT_hash_handle hh;
};

struct touched {
	pthread_mutex_t lock; /* guards all below */
	struct entry *entries;
	bool conflicts;
};

struct touched *touched_new(void)
{
	struct touched *t = mem_alloc(sizeof *t);
	t->conflicts = true;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void touched_free(struct touched *t)
{
	struct entry *e, *next;
	if (t == NULL)
		return;
	HASH_ITER(hh, t->entries, e, next)
	{
		HASH_DEL(t->entries, e);
		free(e);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* NULL if it is one too many. */
static struct touched_table *take(struct touched *t, const char *database, const char *name)
{
	char key[2 * TOUCHED_NAME_MAX];
	struct entry *e;
	int size = snprintf(key, sizeof key, "%.*s/%.*s", TOUCHED_NAME_MAX - 1, database, TOUCHED_NAME_MAX - 1, name);
	HASH_FIND(hh, t->entries, key, (unsigned)size, e);
	if (e != NULL)
		return &e->table;
	if (HASH_COUNT(t->entries) == TOUCHED_TABLES_MAX)
		return NULL;
	e = mem_alloc(sizeof *e);
	memcpy(e->key, key, sizeof key);
	snprintf(e->table.database, sizeof e->table.database, "%s", database);
	snprintf(e->table.name, sizeof e->table.name, "%s", name);
	HASH_ADD_KEYPTR(hh, t->entries, e->key, (unsigned)size, e);
	return &e->table;
}

static void set_synced(struct touched_table *table, int64_t time_s)
{
	if (time_s > table->synced_s)
		table->synced_s = time_s;
}

void touched_note(struct touched *t, const char *database, const char *name, const struct touched_change *change,
                  int64_t now_s, int64_t now_ms)
{
	pthread_mutex_lock(&t->lock);
	struct touched_table *table = take(t, database, name);
	if (table != NULL && !change->is_own) {
		set_synced(table, change->is_old && change->time_s < now_s ? change->time_s : now_s);
	} else if (table != NULL) {
		if (table->from == 0) {
			table->from = change->seq;
			table->waits_ms = now_ms;
		}
		table->upto = change->seq;
		table->old_s = change->is_old ? change->time_s : 0;
	}
	pthread_mutex_unlock(&t->lock);
}

void touched_arrived(struct touched *t, uint64_t seq, int64_t now_s, int64_t now_ms)
{
	pthread_mutex_lock(&t->lock);
	for (struct entry *e = t->entries; e != NULL; e = e->hh.next) {
		struct touched_table *table = &e->table;
		if (table->from == 0 || seq < table->from)
			continue;
		set_synced(table, table->old_s != 0 && table->old_s < now_s ? table->old_s : now_s);
		table->from = seq < table->upto ? seq + 1 : 0;
		table->waits_ms = now_ms;
	}
	pthread_mutex_unlock(&t->lock);
}

struct touched_table *touched_copy(struct touched *t, size_t *ret_count)
{
	size_t count = 0;
	pthread_mutex_lock(&t->lock);
	struct touched_table *tables = mem_alloc((HASH_COUNT(t->entries) + 1) * sizeof *tables);
	for (struct entry *e = t->entries; e != NULL; e = e->hh.next)
		tables[count++] = e->table;
	pthread_mutex_unlock(&t->lock);
	*ret_count = count;
	return tables;
}

void touched_note_conflicts(struct touched *t)
{
	pthread_mutex_lock(&t->lock);
	t->conflicts = true;
	pthread_mutex_unlock(&t->lock);
}

bool touched_take_conflicts(struct touched *t)
{
	pthread_mutex_lock(&t->lock);
	bool conflicts = t->conflicts;
	t->conflicts = false;
	pthread_mutex_unlock(&t->lock);
	return conflicts;
}
