#include "link/batch.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

enum { KEYS_KEPT_MAX = 16384 }; /* memory kept between batches */

void batch_open(struct batch *b, uint32_t origin)
{
	b->is_open = true;
	b->origin = origin;
	b->is_sealed = false;
	b->generation = UINT64_MAX;
	b->opened_ms = clock_monotonic_ms();
	b->key_count = 0;
	manifest_clear(&b->manifest);
}

void batch_close(struct batch *b)
{
	b->is_open = false;
	b->key_count = 0;
	if (b->key_capacity > KEYS_KEPT_MAX) {
		free(b->keys);
		b->keys = NULL;
		b->key_capacity = 0;
	}
	manifest_clear(&b->manifest);
}

void batch_free(struct batch *b)
{
	free(b->keys);
	manifest_free(&b->manifest);
	*b = (struct batch){0};
}

void batch_add_key(struct batch *b, uint64_t key, uint64_t seq, uint64_t table_id)
{
	if (b->key_count == b->key_capacity) {
		b->key_capacity = b->key_capacity ? b->key_capacity * 2 : 256;
		b->keys = mem_resize(b->keys, b->key_capacity * sizeof *b->keys);
	}
	b->keys[b->key_count++] = (struct batch_key){.key = key, .seq = seq, .table_id = table_id};
}

static enum err_code conflict(const struct batch *b, const struct batch_key *key, const struct gtid *here,
                              const struct tables *tables, struct err *err)
{
	const struct table *table = tables_find(tables, key->table_id);
	char text[GTID_TEXT_MAX];
	return err_set(
	    err, ERR_CONFLICT,
	    "conflict: transaction %u-%u-%llu writes a row of %s.%s that %s wrote too, and neither knew of the other; "
	    "make the row equal on both nodes, then pass over it with `syncline skip %u-%u-%llu`",
	    (unsigned)b->origin, (unsigned)b->last.server, (unsigned long long)key->seq, table ? table->map.database : "?",
	    table ? table->map.table : "?", gtid_format(here, text), (unsigned)b->origin, (unsigned)b->last.server,
	    (unsigned long long)key->seq);
}

enum err_code batch_certify(struct batch *b, struct state *state, const struct tables *tables, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < b->key_count; i++) {
		struct gtid here;
		if (state_window_find(state, b->keys[i].key, b->origin, &b->manifest.context, &here))
			code = conflict(b, &b->keys[i], &here, tables, err);
	}
	return code;
}

void batch_part_done(struct batch *b)
{
	b->key_count = 0;
}
