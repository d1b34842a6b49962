#include "merge/manifest.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"

enum { WRITES_KEPT = 64 * 1024 };

void manifest_clear(struct manifest *m)
{
	m->kind = MANIFEST_APPLIED;
	m->count = 0;
	m->context.count = 0;
	buf_shrink(&m->writes, WRITES_KEPT);
}

void manifest_free(struct manifest *m)
{
	free(m->transactions);
	buf_free(&m->writes);
	*m = (struct manifest){0};
}

void manifest_add(struct manifest *m, const struct manifest_transaction *transaction)
{
	if (m->count == m->capacity) {
		m->capacity = m->capacity ? m->capacity * 2 : 16;
		m->transactions = mem_resize(m->transactions, m->capacity * sizeof *m->transactions);
	}
	m->transactions[m->count++] = *transaction;
}

/* A commit time may be before the one ahead of it: clocks jump. */
static uint64_t zigzag(uint32_t from, uint32_t to)
{
	int64_t difference = (int64_t)to - (int64_t)from;
	return difference < 0 ? (uint64_t)-difference * 2 - 1 : (uint64_t)difference * 2;
}

static uint32_t unzigzag(uint32_t from, uint64_t coded)
{
	uint32_t magnitude = (uint32_t)(coded / 2 + (coded & 1));
	return coded & 1 ? from - magnitude : from + magnitude; /* unsigned: garbage wraps, it can't overflow */
}

void manifest_encode(const struct manifest *m, struct buf *to)
{
	buf_append_u8(to, MANIFEST_VERSION);
	buf_append_u8(to, (uint8_t)m->kind);
	vector_encode(&m->context, to);
	buf_append_varint(to, m->count);
	struct manifest_transaction last = {0};
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_transaction *t = &m->transactions[i];
		buf_append_varint(to, t->seq - last.seq);
		buf_append_varint(to, zigzag(last.time, t->time));
		buf_append_varint(to, zigzag(last.server, t->server));
		buf_append_varint(to, t->row_changes + 1);
		last = *t;
	}
	buf_append(to, m->writes.data, m->writes.size);
}

enum err_code manifest_decode(const uint8_t *bytes, size_t size, struct manifest *ret, struct err *err)
{
	struct cursor c = cursor_of(bytes, size);
	uint8_t version = cursor_u8(&c);
	if (cursor_ok(&c) && version != MANIFEST_VERSION)
		return err_set(
		    err, ERR_UNSUPPORTED,
		    "a batch with a manifest of version %u, this syncline reads version %u; install the same version "
		    "of syncline on every node",
		    version, MANIFEST_VERSION);
	manifest_clear(ret);
	uint8_t kind = cursor_u8(&c);
	if (kind > MANIFEST_REPAIRED)
		cursor_fail(&c);
	enum err_code code = vector_decode(&c, &ret->context, err);
	if (code != ERR_OK)
		return code;
	uint64_t count = cursor_varint(&c);
	if (count == 0 || count > MANIFEST_TRANSACTIONS_MAX)
		cursor_fail(&c);
	struct manifest_transaction t = {0};
	for (uint64_t i = 0; cursor_ok(&c) && i < count; i++) {
		uint64_t step = cursor_varint(&c);
		if (step == 0 || step > UINT64_MAX - t.seq)
			cursor_fail(&c);
		t.seq += step;
		t.time = unzigzag(t.time, cursor_varint(&c));
		t.server = unzigzag(t.server, cursor_varint(&c));
		t.row_changes = cursor_varint(&c) - 1;
		if (t.row_changes == MANIFEST_ALL_THE_REST && i + 1 < count)
			cursor_fail(&c);
		if (cursor_ok(&c))
			manifest_add(ret, &t);
	}
	ret->kind = kind;
	if (cursor_ok(&c) && manifest_has_writes(ret) && count == 1) {
		size_t size_left = cursor_left(&c);
		buf_append(&ret->writes, cursor_bytes(&c, size_left), size_left);
	} else if (manifest_has_writes(ret)) {
		cursor_fail(&c);
	}
	if (!cursor_done(&c)) {
		manifest_clear(ret);
		return err_set(err, ERR_MALFORMED, "a batch with a manifest that can't be read (%zu bytes)", size);
	}
	return ERR_OK;
}

void manifest_reader_start(struct manifest_reader *reader, const struct manifest *manifest)
{
	*reader = (struct manifest_reader){.manifest = manifest};
}

const struct manifest_transaction *manifest_reader_take(struct manifest_reader *reader)
{
	while (reader->index < reader->manifest->count) {
		const struct manifest_transaction *t = &reader->manifest->transactions[reader->index];
		if (reader->taken < t->row_changes) {
			reader->taken++;
			return t;
		}
		reader->index++;
		reader->taken = 0;
	}
	return NULL;
}

bool manifest_reader_done(const struct manifest_reader *reader)
{
	uint64_t taken = reader->taken;
	for (size_t i = reader->index; i < reader->manifest->count; i++) {
		uint64_t row_changes = reader->manifest->transactions[i].row_changes;
		if (row_changes != MANIFEST_ALL_THE_REST && taken < row_changes)
			return false;
		taken = 0;
	}
	return true;
}
