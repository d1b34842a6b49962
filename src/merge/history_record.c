#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "merge/history_parts.h"

/* A record: the table's number + 1, the operation, the images that it has, column by column: 0 for NULL, 1 for "as before", 2 for "not
 * known", else the size + 3 and the bytes. Or 0, a table's id, and 1 if it was dropped, 0 if it was emptied. Written and read within one process. */
enum { VALUE_NULL, VALUE_AS_BEFORE, VALUE_ABSENT, VALUE_SIZE };

static uint32_t number_of(struct history *h, const struct merge_table *table)
{
	struct numbered_table *n;
	HASH_FIND(by_table, h->numbers, &table, sizeof table, n);
	if (n != NULL)
		return n->number;
	n = mem_alloc(sizeof *n);
	n->table = table;
	n->number = h->table_count++;
	HASH_ADD(by_table, h->numbers, table, sizeof n->table, n);
	h->tables = mem_resize(h->tables, h->table_count * sizeof *h->tables);
	h->tables[n->number] = n;
	return n->number;
}

static bool same(const struct content *a, const struct content *b)
{
	return a->is_null == b->is_null && a->is_absent == b->is_absent && a->size == b->size &&
	       (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

static void encode_image(const struct merge_table *table, const struct content *values, const struct content *before,
                         struct buf *to)
{
	for (uint32_t i = 0; i < table->column_count; i++) {
		if (before != NULL && same(&before[i], &values[i])) {
			buf_append_varint(to, VALUE_AS_BEFORE);
		} else if (values[i].is_absent) {
			buf_append_varint(to, VALUE_ABSENT);
		} else if (values[i].is_null) {
			buf_append_varint(to, VALUE_NULL);
		} else {
			buf_append_varint(to, (uint64_t)values[i].size + VALUE_SIZE);
			buf_append(to, values[i].bytes, values[i].size);
		}
	}
}

void record_encode(struct history *h, const struct merge_change *change, struct buf *to)
{
	buf_append_varint(to, (uint64_t)number_of(h, change->table) + 1);
	buf_append_u8(to, (uint8_t)change->op);
	if (change->before != NULL)
		encode_image(change->table, change->before, NULL, to);
	if (change->after != NULL)
		encode_image(change->table, change->after, change->before, to);
}

void record_encode_emptied(uint64_t table, bool drops, struct buf *to)
{
	buf_append_varint(to, 0);
	buf_append_u64(to, table);
	buf_append_u8(to, drops);
}

static enum err_code unreadable(struct err *err)
{
	return err_set(err, ERR_MALFORMED, "a record of the window can't be read; restart the daemon");
}

static enum err_code decode_emptied(struct cursor *c, struct record_change *to, struct err *err)
{
	to->is_emptied = true;
	to->emptied = cursor_u64(c);
	to->drops = cursor_u8(c) != 0;
	return cursor_done(c) ? ERR_OK : unreadable(err);
}

static void decode_image(struct cursor *c, uint32_t count, const struct content *before, struct content *to)
{
	for (uint32_t i = 0; i < count && cursor_ok(c); i++) {
		uint64_t size = cursor_varint(c);
		if (size == VALUE_AS_BEFORE && before != NULL)
			to[i] = before[i];
		else if (size == VALUE_NULL || size == VALUE_ABSENT)
			to[i] = (struct content){.is_null = size == VALUE_NULL, .is_absent = size == VALUE_ABSENT};
		else if (size < VALUE_SIZE || size - VALUE_SIZE > cursor_left(c))
			cursor_fail(c);
		else
			to[i] =
			    (struct content){.bytes = cursor_bytes(c, size - VALUE_SIZE), .size = (uint32_t)(size - VALUE_SIZE)};
	}
}

enum err_code record_decode(const struct history *h, const uint8_t *bytes, size_t size, struct record_change *to,
                            struct err *err)
{
	struct cursor c = cursor_of(bytes, size);
	uint64_t number = cursor_varint(&c);
	if (number == 0)
		return decode_emptied(&c, to, err);
	uint8_t op = cursor_u8(&c);
	if (!cursor_ok(&c) || number > h->table_count || op > MERGE_DELETE)
		return unreadable(err);
	const struct merge_table *table = h->tables[number - 1]->table;
	size_t count = table->column_count;
	if (to->capacity < 2 * count) {
		to->capacity = 2 * count;
		to->values = mem_resize(to->values, to->capacity * sizeof *to->values);
	}
	struct content *before = op != MERGE_INSERT ? to->values : NULL;
	struct content *after = op != MERGE_DELETE ? to->values + count : NULL;
	if (before != NULL)
		decode_image(&c, table->column_count, NULL, before);
	if (after != NULL)
		decode_image(&c, table->column_count, before, after);
	if (!cursor_done(&c))
		return unreadable(err);
	to->is_emptied = to->drops = false;
	to->change = (struct merge_change){.op = op, .table = table, .before = before, .after = after};
	return ERR_OK;
}

void record_change_free(struct record_change *change)
{
	free(change->values);
	*change = (struct record_change){0};
}
