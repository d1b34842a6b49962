#include "link/applier_parts.h"

#include "binlog/rows.h"
#include "merge/rowkey.h"

enum { SCRATCH_KEPT = 256 * 1024 };

/* The group is somebody's batch that this peer applied: its transactions are told apart by the manifest. */
static enum err_code begin_relay(struct applier *a, const struct table *table, const struct event *event,
                                 struct err *err)
{
	bool found;
	enum err_code code = tables_read_manifest(table, event, &a->relay, &found, err);
	if (code != ERR_OK || !found)
		return code;
	if (a->relay.transactions[a->relay.count - 1].seq != a->gtid.gtid.seq)
		return applier_refuse(a, err, "has a manifest that doesn't end with it", "compare the rows by hand");
	code = applier_open_batch(a, &a->relay.context, err);
	if (code != ERR_OK || applier_pass_if_here(a))
		return code;
	bool first = true;
	for (size_t i = 0; i < a->relay.count; i++) {
		const struct manifest_transaction *t = &a->relay.transactions[i];
		if (t->seq <= a->have_seq || (a->relay_only != 0 && t->seq != a->relay_only))
			continue;
		struct gtid gtid = {.domain = a->gtid.gtid.domain, .server = t->server, .seq = t->seq};
		if (first && state_take_skip(a->state, &gtid)) {
			code = applier_pass_over(a, &gtid, err);
			return code == ERR_OK ? err_set(err, ERR_BUSY, "reading on behind a transaction passed over") : code;
		}
		if (first && a->one_by_one > 0)
			a->relay_only = t->seq;
		manifest_add(&a->batch.manifest, t);
		a->batch.last = gtid;
		first = false;
	}
	a->is_relay = a->group_counted = true;
	manifest_reader_start(&a->relay_reader, &a->relay);
	return ERR_OK;
}

static enum err_code count_group(struct applier *a, struct err *err)
{
	if (a->group_counted)
		return ERR_OK;
	enum err_code code = applier_open_batch(a, &a->position, err);
	if (code != ERR_OK || applier_pass_if_here(a))
		return code;
	const struct gtid *gtid = &a->gtid.gtid;
	manifest_add(&a->batch.manifest,
	             &(struct manifest_transaction){.seq = gtid->seq, .time = a->time, .server = gtid->server});
	a->batch.last = *gtid;
	a->group_counted = true;
	return ERR_OK;
}

/* Takes the keys of the event's rows. Of a relayed batch some rows may be here already, or not be wanted this time: those
 * to apply stand together, since a log is in order, from *ret_from up to *ret_to; both NULL if there are none. */
static enum err_code take_rows(struct applier *a, const struct table *table, const struct rows_event *rows,
                               const uint8_t **ret_from, const uint8_t **ret_to, struct err *err)
{
	struct row_change change;
	bool more;
	enum err_code code;
	*ret_from = *ret_to = NULL;
	rows_iter_start(&a->rows, rows, &table->map);
	while ((code = rows_next(&a->rows, &change, &more, err)) == ERR_OK && more) {
		uint64_t keys[2], seq = a->gtid.gtid.seq;
		if (a->is_relay) {
			const struct manifest_transaction *t = manifest_reader_take(&a->relay_reader);
			if (t == NULL)
				return applier_refuse(a, err, "holds a batch that its manifest doesn't fit",
				                      "compare the rows by hand");
			seq = t->seq;
			if (seq <= a->have_seq || (a->relay_only != 0 && seq != a->relay_only))
				continue;
		}
		if (*ret_from == NULL)
			*ret_from = change.bytes;
		*ret_to = change.bytes + change.size;
		a->group_rows++;
		unsigned count = rowkey_of_change(table->hash, &table->map, &change, keys);
		for (unsigned i = 0; i < count; i++)
			batch_add_key(&a->batch, keys[i], seq, table->map.table_id);
	}
	return code;
}

enum err_code applier_on_rows(struct applier *a, const struct event *packed, struct err *err)
{
	struct event event;
	struct rows_event rows;
	const uint8_t *from, *to;
	enum err_code code = event_uncompress(packed, APPLIER_EVENT_BYTES_MAX, &a->scratch, &event, err);
	if (code == ERR_OK)
		code = rows_parse(&event, NULL, &rows, err);
	if (code != ERR_OK)
		return code;
	const struct table *table = tables_find(a->tables, rows.table_id);
	bool statement_ends = (rows.flags & ROWS_FLAG_STATEMENT_END) != 0;
	/* The number of a dummy event that only ends a statement belongs to no table (MariaDB sql/log_event.h, dummy). */
	if (table == NULL && rows.rows_size > 0)
		return err_set(err, ERR_MALFORMED, "rows of an unknown table in the log of %s", a->peer->where);
	if (table != NULL && table->is_links && a->gtid.gtid.domain != a->peer->node_id)
		code = begin_relay(a, table, &event, err);
	if (code == ERR_OK && table != NULL && table->is_replicated && table->is_sequence) {
		code = tables_append_setval(table, &event, &a->sequences, err);
	} else if (code == ERR_OK && table != NULL && table->is_replicated && stage_is_open(a->stage)) {
		apply_rows(a->apply, &event);
	} else if (code == ERR_OK && table != NULL && table->is_replicated) {
		if ((code = count_group(a, err)) != ERR_OK || a->group == GROUP_PASSING)
			return code;
		if ((code = rows_parse(&event, &table->map, &rows, err)) != ERR_OK ||
		    (code = take_rows(a, table, &rows, &from, &to, err)) != ERR_OK)
			return code;
		if (a->maps_generation < a->batch.generation)
			a->batch.generation = a->maps_generation;
		if (from == rows.rows && to == rows.rows + rows.rows_size) {
			apply_rows(a->apply, &event);
		} else if (from != NULL) {
			struct event part = event;
			buf_clear(&a->part);
			rows_append_event(&event, &rows, rows.flags, from, (size_t)(to - from), &a->part);
			part.bytes = a->part.data;
			part.size = a->part.size;
			apply_rows(a->apply, &part);
		}
	}
	if (code == ERR_OK && statement_ends)
		apply_statement_end(a->apply);
	buf_shrink(&a->scratch, SCRATCH_KEPT);
	if (code == ERR_OK && apply_gathered(a->apply) >= APPLIER_PART_BYTES_MAX)
		code = stage_is_open(a->stage) ? stage_flush(a->stage, a->apply, err)
		       : a->group_counted      ? applier_flush(a, err)
		                               : ERR_OK;
	return code;
}

enum err_code applier_on_table_map(struct applier *a, const struct event *event, struct err *err)
{
	const struct table *table;
	enum err_code code = tables_learn(a->tables, event, &table, err);
	if (code != ERR_OK || !table->is_replicated)
		return code;
	if (stage_is_open(a->stage))
		return stage_table_map(a->stage, a->apply, event, err);
	uint64_t generation = state_generation(a->state);
	code = catalogue_check(a->catalogue, apply_connection(a->apply), &table->map, generation, err);
	if (code == ERR_OK) {
		a->maps_generation = generation;
		if (!table->is_sequence)
			apply_table_map(a->apply, event);
	} else if (!err_retryable(code)) {
		char text[GTID_TEXT_MAX];
		err_wrap(err, "transaction %s can't be applied", gtid_format(&a->gtid.gtid, text));
	}
	return code;
}
