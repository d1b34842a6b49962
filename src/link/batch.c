#include "link/batch.h"

#include "base/clock.h"

void batch_open(struct batch *b, uint32_t origin)
{
	b->is_open = true;
	b->origin = origin;
	b->last = (struct gtid){0};
	b->latest = 0;
	b->is_sealed = false;
	b->generation = UINT64_MAX;
	b->opened_ms = clock_monotonic_ms();
	history_keys_clear(&b->keys);
	manifest_clear(&b->manifest);
}

void batch_close(struct batch *b)
{
	b->is_open = false;
	history_keys_clear(&b->keys);
	manifest_clear(&b->manifest);
}

void batch_free(struct batch *b)
{
	history_keys_free(&b->keys);
	manifest_free(&b->manifest);
	*b = (struct batch){0};
}

void batch_add(struct batch *b, const struct gtid *gtid, uint32_t time, uint64_t row_changes)
{
	manifest_add(&b->manifest, &(struct manifest_transaction){
	                               .seq = gtid->seq, .time = time, .server = gtid->server, .row_changes = row_changes});
	b->last = *gtid;
	b->latest = time > b->latest ? time : b->latest;
}

enum err_code batch_certify(const struct batch *b, struct state *state, struct err *err)
{
	struct gtid here;
	char text[GTID_TEXT_MAX];
	if (!state_finds(state, &b->keys, b->origin, &b->manifest.context, &here))
		return ERR_OK;
	return err_set(err, ERR_BUSY, "transaction %s wrote rows that a batch was about to write",
	               here.seq != 0 ? gtid_format(&here, text) : "of another link");
}

void batch_part_done(struct batch *b)
{
	history_keys_clear(&b->keys);
}
