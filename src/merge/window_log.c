#include "merge/window_log.h"

#include <string.h>

#include "base/cursor.h"

/* Integers are little-endian, without gaps:
 *
 *   transaction   'T'  u64 next  u32 domain  u32 server  u64 seq  u32 time  u32 size  context (vector_encode)
 *   record        'R'  u64 transaction  u64 seq  u32 links  u32 size  {u64 key  u64 before} …  record
 */
enum { TRANSACTION = 'T', RECORD = 'R', NEXT_AT = 1, TRANSACTION_SIZE = 33, RECORD_SIZE = 25, LINK_SIZE = 16 };

void window_log_init(struct window_log *log, const struct window_memory *memory)
{
	*log = (struct window_log){.front = WINDOW_DATA_START, .ended = WINDOW_DATA_START};
	window_data_init(&log->data, memory);
}

void window_log_done(struct window_log *log)
{
	window_data_done(&log->data);
	buf_free(&log->scratch);
}

void window_log_begin(struct window_log *log, const struct window_transaction *transaction)
{
	log->gtid = transaction->gtid;
	log->time = transaction->time;
	log->context.count = 0;
	if (transaction->context != NULL)
		log->context = *transaction->context;
	log->is_last = false;
}

void window_log_end(struct window_log *log)
{
	log->ended = window_data_end(&log->data);
	log->is_last = false;
}

/* ---- Writing ---- */

static enum err_code append_transaction(struct window_log *log, struct err *err)
{
	uint64_t offset = window_data_end(&log->data);
	struct buf *b = &log->scratch;
	if (log->last >= log->front && log->last != 0) {
		buf_clear(b);
		buf_append_u64(b, offset);
		enum err_code code = window_data_change(&log->data, log->last + NEXT_AT, b->data, b->size, err);
		if (code != ERR_OK)
			return code;
	}
	buf_clear(b);
	vector_encode(&log->context, b);
	uint32_t context_size = (uint32_t)b->size;
	buf_clear(b);
	buf_append_u8(b, TRANSACTION);
	buf_append_u64(b, 0);
	buf_append_u32(b, log->gtid.domain);
	buf_append_u32(b, log->gtid.server);
	buf_append_u64(b, log->gtid.seq);
	buf_append_u32(b, log->time);
	buf_append_u32(b, context_size);
	vector_encode(&log->context, b);
	enum err_code code = window_data_append(&log->data, b->data, b->size, err);
	if (code == ERR_OK) {
		log->last = offset;
		log->is_last = true;
	}
	return code;
}

enum err_code window_log_next(struct window_log *log, uint64_t *ret_offset, struct err *err)
{
	enum err_code code = ERR_OK;
	if (!log->is_last || log->last < log->front)
		code = append_transaction(log, err);
	if (code == ERR_OK)
		*ret_offset = window_data_end(&log->data);
	return code;
}

enum err_code window_log_append(struct window_log *log, const struct window_link *links, size_t link_count,
                                const uint8_t *record, size_t record_size, struct err *err)
{
	struct buf *b = &log->scratch;
	buf_clear(b);
	buf_append_u8(b, RECORD);
	buf_append_u64(b, log->last);
	buf_append_u64(b, log->gtid.seq);
	buf_append_u32(b, (uint32_t)link_count);
	buf_append_u32(b, (uint32_t)record_size);
	for (size_t i = 0; i < link_count; i++) {
		buf_append_u64(b, links[i].key);
		buf_append_u64(b, links[i].before);
	}
	enum err_code code = window_data_append(&log->data, b->data, b->size, err);
	return code == ERR_OK ? window_data_append(&log->data, record, record_size, err) : code;
}

/* ---- Reading ---- */

static enum err_code no_entry(uint64_t offset, struct err *err)
{
	return err_set(err, ERR_MALFORMED, "the window has nothing at %llu (any more)", (unsigned long long)offset);
}

enum err_code window_log_entry(struct window_log *log, uint64_t offset, struct window_entry *ret, struct err *err)
{
	uint8_t bytes[TRANSACTION_SIZE];
	uint64_t end = window_data_end(&log->data);
	if (offset < log->front || offset >= end)
		return no_entry(offset, err);
	size_t size = end - offset < sizeof bytes ? (size_t)(end - offset) : sizeof bytes;
	enum err_code code = window_data_read(&log->data, offset, bytes, size, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(bytes, size);
	uint8_t kind = cursor_u8(&c);
	struct window_entry e = {.offset = offset, .is_record = kind == RECORD};
	if (e.is_record) {
		e.transaction = cursor_u64(&c);
		e.gtid.seq = cursor_u64(&c);
		e.link_count = cursor_u32(&c);
		e.record_size = cursor_u32(&c);
		e.size = RECORD_SIZE + (uint64_t)e.link_count * LINK_SIZE + e.record_size;
	} else {
		e.next = cursor_u64(&c);
		e.gtid.domain = cursor_u32(&c);
		e.gtid.server = cursor_u32(&c);
		e.gtid.seq = cursor_u64(&c);
		e.time = cursor_u32(&c);
		e.context_size = cursor_u32(&c);
		e.size = TRANSACTION_SIZE + (uint64_t)e.context_size;
	}
	if (!cursor_ok(&c) || (kind != RECORD && kind != TRANSACTION) || e.size > end - offset)
		return no_entry(offset, err);
	*ret = e;
	return ERR_OK;
}

enum err_code window_log_links(struct window_log *log, const struct window_entry *record, uint32_t first,
                               struct window_link ret_links[WINDOW_LINKS], uint32_t *ret_count, struct err *err)
{
	uint8_t bytes[WINDOW_LINKS * LINK_SIZE];
	uint32_t count = record->link_count - first < WINDOW_LINKS ? record->link_count - first : WINDOW_LINKS;
	uint64_t offset = record->offset + RECORD_SIZE + (uint64_t)first * LINK_SIZE;
	enum err_code code = window_data_read(&log->data, offset, bytes, count * LINK_SIZE, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(bytes, count * LINK_SIZE);
	for (uint32_t i = 0; i < count; i++) {
		ret_links[i].key = cursor_u64(&c);
		ret_links[i].before = cursor_u64(&c);
	}
	*ret_count = count;
	return ERR_OK;
}

static enum err_code read_bytes(struct window_log *log, uint64_t offset, size_t size, struct buf *to, struct err *err)
{
	buf_clear(to);
	enum err_code code = window_data_read(&log->data, offset, buf_reserve(to, size), size, err);
	if (code == ERR_OK)
		to->size = size;
	return code;
}

enum err_code window_log_read(struct window_log *log, uint64_t offset, struct window_record *to, struct err *err)
{
	struct window_entry record, of;
	enum err_code code = window_log_entry(log, offset, &record, err);
	if (code == ERR_OK && !record.is_record)
		code = no_entry(offset, err);
	if (code == ERR_OK)
		code = window_log_entry(log, record.transaction, &of, err);
	if (code == ERR_OK && of.is_record)
		code = no_entry(offset, err);
	if (code == ERR_OK)
		code = read_bytes(log, of.offset + TRANSACTION_SIZE, of.context_size, &to->bytes, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(to->bytes.data, to->bytes.size);
	code = vector_decode(&c, &to->context, err);
	if (code != ERR_OK)
		return code;
	to->gtid = of.gtid;
	to->time = of.time;
	return read_bytes(log, offset + record.size - record.record_size, record.record_size, &to->bytes, err);
}

/* ---- Forgetting ---- */

/* A storage that can't be read keeps what it has: whoever loads is told. */
void window_log_settle(struct window_log *log, const struct vector *everywhere)
{
	uint64_t end = window_data_end(&log->data);
	struct window_entry e;
	unsigned left = WINDOW_SETTLE_AT_ONCE;
	while (log->front < end && left > 0 && (log->front_gtid.seq == 0 || vector_has(everywhere, &log->front_gtid))) {
		if (window_log_entry(log, log->front, &e, NULL) != ERR_OK)
			break;
		log->front_gtid = e.gtid;
		if (vector_has(everywhere, &e.gtid)) {
			log->front = e.next != 0 ? e.next : end;
			log->front_gtid.seq = 0;
			left--;
		}
	}
	window_data_drop(&log->data, log->front);
}

void window_log_clear(struct window_log *log)
{
	window_data_clear(&log->data);
	log->front = log->ended = WINDOW_DATA_START;
	log->front_gtid.seq = log->last = 0;
	log->is_last = false;
}
