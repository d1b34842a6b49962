#include "link/applier_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "sql/ddl.h"
#include "sql/server.h"

enum {
	BATCH_TRANSACTIONS_MAX = 1000,
	BATCH_MS_MAX = 200, /* its row locks block local writers */
};

void applier_release(struct applier *a)
{
	if (a->batch.is_open)
		state_release(a->state, a->batch.origin, a->peer->node_id);
	batch_close(&a->batch);
}

/* Everything up to `position` is applied here, or was before. */
void applier_settle_position(struct applier *a)
{
	a->committed = a->position;
	a->committed_latest = a->latest;
	a->committed_place = a->place;
	state_node_knows(a->state, a->peer->node_id, &a->committed);
}

/* The history as it is now holds nothing that conflicts with this part, and its tables are as they were checked. */
static enum err_code certify(struct applier *a, struct err *err)
{
	const struct batch *b = &a->batch;
	if (b->generation != UINT64_MAX && b->generation != state_generation(a->state))
		return err_set(err, ERR_BUSY, "the schema changed meanwhile");
	return batch_certify(b, a->state, err);
}

/* One whole transaction, in a pair: it needs no manifest to be taken apart, there is no third node to tell its context, and
 * the position may be saved later, since the vector alone keeps it from being applied again. The link's row would cost a
 * fifth of a small commit. */
static bool is_plain(const struct applier *a, bool is_last)
{
	return is_last && !a->batch.is_sealed && a->batch.manifest.count == 1 && a->settings->node_count == 2 &&
	       a->batch.manifest.kind == MANIFEST_APPLIED && apply_gathered(a->apply) > 0;
}

/* Told ahead of the commit: then the tail, when it reads the batch, knows that it may be settled already. */
void applier_tell_known(struct applier *a, const struct vector *position)
{
	const struct batch *b = &a->batch;
	if (b->origin == a->peer->node_id)
		state_node_knows(a->state, b->origin, position);
	else
		state_origin_knows(a->state, &b->last, &b->manifest.context);
}

/* Sends what was gathered and certifies it; the rows are locked from then on. The last part is certified ahead, against what
 * the history holds already, and the server commits it at once if nothing else was committed there meanwhile: that saves a
 * round trip. Otherwise, as for any other part: wait until the tail has read what was, and look again. */
static enum err_code send_part(struct applier *a, bool is_last, bool *ret_committed, struct err *err)
{
	struct batch *b = &a->batch;
	struct vector position = a->position, expected = {0}, here;
	struct buf manifest = {0};
	/* Of a peer's batch only a part may be taken yet. */
	enum err_code code = a->is_relay && a->group == GROUP_OPEN ? ERR_OK : vector_advance(&position, &b->last, err);
	if (code == ERR_OK && is_last) {
		expected = state_expected(a->state, b->origin); /* first, so that the look at the window covers it */
		code = certify(a, err);
	}
	if (code != ERR_OK)
		return code;
	if (is_last)
		applier_tell_known(a, &position);
	if (!b->is_sealed && !is_plain(a, is_last))
		manifest_encode(&b->manifest, &manifest);
	struct apply_head head = {.gtid = b->last,
	                          .peer = a->peer->node_id,
	                          .position = &position,
	                          .latest = b->latest > a->latest ? b->latest : a->latest,
	                          .manifest = manifest.data,
	                          .manifest_size = manifest.size};
	code = apply_flush(a->apply, &head, is_last ? &expected : NULL, ret_committed, &here, err);
	b->is_sealed = true;
	buf_free(&manifest);
	if (code == ERR_OK && !*ret_committed) {
		code = state_wait_tailed(a->state, &here, APPLIER_TAIL_WAIT_MS, err);
		if (code == ERR_OK)
			code = certify(a, err);
	}
	batch_part_done(b);
	return code;
}

enum err_code applier_flush(struct applier *a, struct err *err)
{
	bool committed;
	return send_part(a, false, &committed, err);
}

/* A sequence commits by itself, so its rows can be in no batch. SETVAL never goes backwards: the furthest wins, running it
 * again does no harm, and it needn't be in this server's log, since whoever needs it has it from its origin. */
enum err_code applier_advance_sequences(struct applier *a, struct err *err)
{
	if (a->sequences.size == 0 || apply_has_begun(a->apply))
		return ERR_OK;
	struct buf sql = {0};
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
	buf_append(&sql, a->sequences.data, a->sequences.size);
	buf_append_str(&sql, "SET SESSION sql_log_bin=1");
	buf_clear(&a->sequences);
	enum err_code code = connection_run_n(apply_connection(a->apply), (const char *)sql.data, sql.size, err);
	buf_free(&sql);
	return code;
}

enum err_code applier_commit_batch(struct applier *a, struct err *err)
{
	struct batch *b = &a->batch;
	size_t transactions = b->manifest.count;
	if (!b->is_open)
		return ERR_OK;
	enum err_code code = applier_advance_sequences(a, err);
	if (code != ERR_OK)
		return code;
	if (transactions > 0) {
		bool committed = false, plain = is_plain(a, true);
		if (!b->is_sealed || apply_gathered(a->apply) > 0)
			code = send_part(a, true, &committed, err);
		if (code == ERR_OK && !committed)
			code = apply_commit(a->apply, err);
		if (code == ERR_OK)
			code = state_applied(a->state, &b->last, false, err);
		if (code == ERR_OK)
			code = applier_advance_sequences(a, err);
		if (code != ERR_OK)
			return code;
		a->clashes = 0;
		a->wary -= transactions < a->wary ? (unsigned)transactions : a->wary;
		a->counts.transactions += transactions;
		a->counts.batches++;
		a->one_by_one -= transactions < a->one_by_one ? transactions : a->one_by_one;
		a->position_moved = plain;
		if (!plain)
			a->saved_ms = clock_monotonic_ms();
	}
	applier_release(a);
	applier_settle_position(a);
	return ERR_OK;
}

bool applier_batch_is_full(const struct applier *a)
{
	const struct batch *b = &a->batch;
	bool all_the_rest = b->manifest.transactions[b->manifest.count - 1].row_changes ==
	                    MANIFEST_ALL_THE_REST; /* so it must stay the last */
	return a->one_by_one > 0 || b->manifest.count >= BATCH_TRANSACTIONS_MAX || b->is_sealed || all_the_rest ||
	       apply_gathered(a->apply) >= APPLIER_PART_BYTES_MAX || clock_monotonic_ms() - b->opened_ms >= BATCH_MS_MAX;
}

/* Does the batch go on with transactions of this context? The origin's own domain doesn't count: of its own earlier
 * transactions every one is known. */
static bool same_context(const struct vector *a, const struct vector *b, uint32_t origin)
{
	uint32_t i = 0, j = 0;
	for (;;) {
		if (i < a->count && a->gtids[i].domain == origin)
			i++;
		if (j < b->count && b->gtids[j].domain == origin)
			j++;
		if (i == a->count || j == b->count)
			return i == a->count && j == b->count;
		if (a->gtids[i].domain != b->gtids[j].domain || a->gtids[i].seq != b->gtids[j].seq)
			return false;
		i++, j++;
	}
}

/* Makes sure that a batch is open for the group's origin, with this context. */
enum err_code applier_open_batch(struct applier *a, const struct vector *context, struct err *err)
{
	uint32_t origin = a->gtid.gtid.domain;
	if (a->batch.is_open && a->batch.manifest.count > 0 && !same_context(&a->batch.manifest.context, context, origin)) {
		/* Committed without the group at hand, which has sent nothing yet; then the claim is taken anew. */
		enum err_code code = applier_commit_batch(a, err);
		if (code != ERR_OK)
			return code;
	}
	if (!a->batch.is_open) {
		if (!state_claim(a->state, origin, a->peer->node_id))
			return err_set(err, ERR_CANCELLED, "stopping");
		batch_open(&a->batch, origin);
		a->have_seq = state_applied_seq(a->state, origin);
	}
	if (a->batch.manifest.count == 0)
		a->batch.manifest.context = *context;
	return ERR_OK;
}

enum err_code applier_check_remembered(struct applier *a, const struct vector *context, struct err *err)
{
	char text[GTID_TEXT_MAX];
	unsigned origin = (unsigned)a->gtid.gtid.domain;
	if (state_remembers(a->state, origin, context))
		return ERR_OK;
	return err_set(
	    err, ERR_UNSUPPORTED,
	    "transaction %s was written without knowing of changes that this node has purged from its log, so whether "
	    "it overwrites one of them can't be told; run `syncline rejoin` on node %u, or pass over it with `syncline "
	    "skip %s`",
	    gtid_format(&a->gtid.gtid, text), origin, text);
}

/* The claim was taken anew: another link may have applied the group meanwhile. Then it is passed by. */
bool applier_pass_if_here(struct applier *a)
{
	if (a->gtid.gtid.seq > a->have_seq)
		return false;
	a->group = GROUP_PASSING;
	apply_forget_statement(a->apply);
	return true;
}

/* The operator said so: the transaction counts as applied. Under the origin's claim. */
enum err_code applier_pass_over(struct applier *a, const struct gtid *gtid, struct err *err)
{
	char text[GTID_TEXT_MAX];
	enum err_code code = ddl_pass_over(apply_connection(a->apply), gtid, a->peer->node_id, err);
	if (code == ERR_OK)
		code = state_applied(a->state, gtid, false, err);
	if (code == ERR_OK) {
		log_line(LOG_LEVEL_WARNING, a->who, "passed over transaction %s, as the operator said",
		         gtid_format(gtid, text));
		a->one_by_one -= a->one_by_one > 0;
	}
	return code;
}

/* The group at hand can't be applied. */
enum err_code applier_refuse(const struct applier *a, struct err *err, const char *what, const char *mend)
{
	char text[GTID_TEXT_MAX];
	const char *gtid = gtid_format(&a->gtid.gtid, text);
	return err_set(err, ERR_UNSUPPORTED, "transaction %s %s; %s, then pass over it with `syncline skip %s`", gtid, what,
	               mend, gtid);
}
