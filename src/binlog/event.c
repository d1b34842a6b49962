#include "binlog/event.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/cursor.h"
#include "binlog/compress.h"
#include "binlog/internal.h"

enum { SERVER_VERSION_SIZE = 50, FLAG_BINLOG_IN_USE = 1, FLAGS_AT = 17, TYPE_AT = 4 };
enum { CHECKSUM_NONE = 0, CHECKSUM_CRC32 = 1 };

const char *event_type_name(uint8_t type)
{
	static const char *const names[256] = {
	    [1] = "start v3",
	    [EVENT_QUERY] = "query",
	    [EVENT_STOP] = "stop",
	    [EVENT_ROTATE] = "rotate",
	    [EVENT_INTVAR] = "intvar",
	    [EVENT_RAND] = "rand",
	    [EVENT_USER_VAR] = "user var",
	    [EVENT_FORMAT_DESCRIPTION] = "format description",
	    [EVENT_XID] = "xid",
	    [EVENT_BEGIN_LOAD_QUERY] = "begin load query",
	    [EVENT_EXECUTE_LOAD_QUERY] = "execute load query",
	    [EVENT_TABLE_MAP] = "table map",
	    [EVENT_WRITE_ROWS_V1] = "write rows v1",
	    [EVENT_UPDATE_ROWS_V1] = "update rows v1",
	    [EVENT_DELETE_ROWS_V1] = "delete rows v1",
	    [EVENT_INCIDENT] = "incident",
	    [EVENT_HEARTBEAT] = "heartbeat",
	    [EVENT_IGNORABLE] = "ignorable",
	    [EVENT_WRITE_ROWS] = "write rows",
	    [EVENT_UPDATE_ROWS] = "update rows",
	    [EVENT_DELETE_ROWS] = "delete rows",
	    [EVENT_XA_PREPARE] = "XA prepare",
	    [EVENT_ANNOTATE_ROWS] = "annotate rows",
	    [EVENT_BINLOG_CHECKPOINT] = "binlog checkpoint",
	    [EVENT_GTID] = "GTID",
	    [EVENT_GTID_LIST] = "GTID list",
	    [EVENT_START_ENCRYPTION] = "start encryption",
	    [EVENT_QUERY_COMPRESSED] = "compressed query",
	    [EVENT_WRITE_ROWS_COMPRESSED_V1] = "compressed write rows v1",
	    [EVENT_UPDATE_ROWS_COMPRESSED_V1] = "compressed update rows v1",
	    [EVENT_DELETE_ROWS_COMPRESSED_V1] = "compressed delete rows v1",
	    [EVENT_WRITE_ROWS_COMPRESSED] = "compressed write rows",
	    [EVENT_UPDATE_ROWS_COMPRESSED] = "compressed update rows",
	    [EVENT_DELETE_ROWS_COMPRESSED] = "compressed delete rows",
	};
	return names[type] ? names[type] : "unknown";
}

void format_init(struct format *format)
{
	*format = (struct format){.header_size = EVENT_HEADER_SIZE};
}

/* The CRC32 of an event. The flag that says "this file is being written" is cleared when the file is closed, without a
 * new checksum, so it never counts (MariaDB sql/log_event.cc, event_checksum_test). */
static uint32_t event_crc(const struct event *event)
{
	const uint8_t *bytes = event->bytes;
	uint8_t flags = bytes[FLAGS_AT];
	if (event->type == EVENT_FORMAT_DESCRIPTION)
		flags &= (uint8_t)~FLAG_BINLOG_IN_USE;
	uLong crc = crc32(0, bytes, FLAGS_AT);
	crc = crc32(crc, &flags, 1);
	return (uint32_t)crc32(crc, bytes + FLAGS_AT + 1, (uInt)(event->size - FLAGS_AT - 1));
}

static uint32_t stored_crc(const struct event *event)
{
	struct cursor c = cursor_of(event->bytes + event->size, EVENT_CHECKSUM_SIZE);
	return cursor_u32(&c);
}

/* Sets apart the last four bytes, which are a checksum. */
static void cut_checksum(struct event *event)
{
	event->size -= EVENT_CHECKSUM_SIZE;
	event->body_size -= EVENT_CHECKSUM_SIZE;
}

/* The rotate event a server makes up at the start of a dump comes before the format description and has a checksum if
 * we said that we know them (MariaDB sql/sql_repl.cc, fake_rotate_event). Nothing announces it, so look. */
static bool has_early_checksum(const struct event *event)
{
	if (event->type != EVENT_ROTATE || !(event->flags & EVENT_FLAG_ARTIFICIAL))
		return false;
	struct event cut = *event;
	cut_checksum(&cut);
	return event_crc(&cut) == stored_crc(&cut);
}

/* A format description always has room for a checksum. It is right only when its algorithm isn't "none": the server
 * rewrites the header when it sends one, and then leaves the four bytes alone (sql/sql_repl.cc,
 * send_format_descriptor_event). */
static enum err_code take_checksum(const struct format *format, struct event *event, struct err *err)
{
	bool is_description = event->type == EVENT_FORMAT_DESCRIPTION;
	if (event->body_size < EVENT_CHECKSUM_SIZE + (size_t)is_description) {
		if (is_description || format->checksummed)
			return event_fail(event, ERR_MALFORMED, err, "too short for its checksum");
		return ERR_OK;
	}
	if (!is_description && !format->checksummed && !has_early_checksum(event))
		return ERR_OK;
	cut_checksum(event);
	if (is_description && event->bytes[event->size - 1] != CHECKSUM_CRC32)
		return ERR_OK;
	uint32_t computed = event_crc(event), stored = stored_crc(event);
	if (computed != stored)
		return event_fail(event, ERR_MALFORMED, err,
		                  "checksum is %08" PRIx32 " and should be %08" PRIx32 "; the log or the connection is damaged",
		                  stored, computed);
	return ERR_OK;
}

enum err_code event_parse(const struct format *format, const uint8_t *bytes, size_t size, struct event *ret_event,
                          struct err *err)
{
	struct cursor c = cursor_of(bytes, size);
	struct event event = {.bytes = bytes, .size = size};
	event.timestamp = cursor_u32(&c);
	event.type = cursor_u8(&c);
	event.server = cursor_u32(&c);
	uint32_t length = cursor_u32(&c);
	event.next_position = cursor_u32(&c);
	event.flags = cursor_u16(&c);
	if (!cursor_ok(&c))
		return err_set(err, ERR_MALFORMED, "an event of %zu bytes is shorter than its header", size);
	event.body = c.pos;
	event.body_size = cursor_left(&c);
	if (length != size)
		return event_fail(&event, ERR_MALFORMED, err, "says it has %" PRIu32 " bytes and has %zu", length, size);
	enum err_code code = take_checksum(format, &event, err);
	if (code == ERR_OK)
		*ret_event = event;
	return code;
}

/* The parsers here rely on these sizes, which no MariaDB since 10.0 has had otherwise. A type that the server doesn't
 * know (its list is shorter) can't come. */
static enum err_code check_post_headers(const struct event *event, const struct format *format, struct err *err)
{
	static const struct {
		uint8_t type, size;
	} expected[] = {
	    {EVENT_QUERY, 13},
	    {EVENT_ROTATE, 8},
	    {EVENT_XID, 0},
	    {EVENT_TABLE_MAP, 8},
	    {EVENT_WRITE_ROWS_V1, 8},
	    {EVENT_UPDATE_ROWS_V1, 8},
	    {EVENT_DELETE_ROWS_V1, 8},
	    {EVENT_HEARTBEAT, 0},
	    {EVENT_WRITE_ROWS, 10},
	    {EVENT_UPDATE_ROWS, 10},
	    {EVENT_DELETE_ROWS, 10},
	    {EVENT_GTID, 19},
	    {EVENT_GTID_LIST, 4},
	    {EVENT_QUERY_COMPRESSED, 13},
	    {EVENT_WRITE_ROWS_COMPRESSED_V1, 8},
	    {EVENT_UPDATE_ROWS_COMPRESSED_V1, 8},
	    {EVENT_DELETE_ROWS_COMPRESSED_V1, 8},
	    {EVENT_WRITE_ROWS_COMPRESSED, 10},
	    {EVENT_UPDATE_ROWS_COMPRESSED, 10},
	    {EVENT_DELETE_ROWS_COMPRESSED, 10},
	};
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		uint8_t type = expected[i].type;
		if (type > format->post_header_count || format->post_header_sizes[type - 1] == expected[i].size)
			continue;
		return event_fail(event, ERR_UNSUPPORTED, err,
		                  "server version %s writes %s events in a way that isn't known here (%u instead of %u bytes)",
		                  format->server_version, event_type_name(type), format->post_header_sizes[type - 1],
		                  expected[i].size);
	}
	return ERR_OK;
}

/*      2         50            4         1          one each        1
 *  binlog 4 | version, NULs | created | 19 | post-header sizes … | checksum algorithm; 4 of checksum follow always */
enum err_code format_parse(const struct event *event, struct format *ret_format, struct err *err)
{
	enum err_code code = event_expect(event, EVENT_FORMAT_DESCRIPTION, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(event->body, event->body_size);
	struct format format = {0};
	uint16_t binlog_version = cursor_u16(&c);
	const uint8_t *version = cursor_bytes(&c, SERVER_VERSION_SIZE);
	cursor_skip(&c, 4);
	format.header_size = cursor_u8(&c);
	if (!cursor_ok(&c) || cursor_left(&c) < 1)
		return event_fail(event, ERR_MALFORMED, err, "cut off");
	memcpy(format.server_version, version, SERVER_VERSION_SIZE);
	if (binlog_version != 4 || format.header_size != EVENT_HEADER_SIZE)
		return event_fail(event, ERR_UNSUPPORTED, err,
		                  "binlog version %u with headers of %u bytes; MariaDB 10.11 or newer "
		                  "writes version 4 with %d",
		                  binlog_version, format.header_size, EVENT_HEADER_SIZE);
	size_t count = cursor_left(&c) - 1;
	if (count > sizeof format.post_header_sizes)
		return event_fail(event, ERR_MALFORMED, err, "%zu event types", count);
	format.post_header_count = (uint8_t)count;
	memcpy(format.post_header_sizes, cursor_bytes(&c, count), count);
	uint8_t algorithm = cursor_u8(&c);
	if (algorithm != CHECKSUM_NONE && algorithm != CHECKSUM_CRC32)
		return event_fail(event, ERR_UNSUPPORTED, err, "checksum algorithm %u", algorithm);
	format.checksummed = algorithm == CHECKSUM_CRC32;
	code = check_post_headers(event, &format, err);
	if (code == ERR_OK)
		*ret_format = format;
	return code;
}

static void put_u32(uint8_t *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

void format_append_plain(const struct event *format_description, struct buf *to)
{
	size_t start = to->size, size = format_description->size;
	buf_append(to, format_description->bytes, size);
	uint8_t *bytes = to->data + start;
	put_u32(bytes + EVENT_LENGTH_AT, (uint32_t)(size + EVENT_CHECKSUM_SIZE));
	bytes[FLAGS_AT] &= (uint8_t)~FLAG_BINLOG_IN_USE;
	bytes[size - 1] = CHECKSUM_NONE;
	/* The reader expects room for a checksum even so. */
	buf_append_u32(to, (uint32_t)crc32(0, bytes, (uInt)size));
}

/* XA parts: 4 format id, 1 gtrid size, 1 bqual size, both. */
static void read_xa(struct cursor *c, struct gtid_event *ret)
{
	ret->xa_format = cursor_u32(c);
	ret->xa_gtrid_size = cursor_u8(c);
	ret->xa_bqual_size = cursor_u8(c);
	ret->xa_data = cursor_bytes(c, (size_t)ret->xa_gtrid_size + ret->xa_bqual_size);
}

/*   8       4       1         8, if group commit   if XA      1, if more     1, if multi-engine   8, if alter
 *  seq | domain | flags | commit id            | XA parts | extra flags | engines            | seq of its start
 * or, without a commit id and XA, at least 6 zeros (MariaDB sql/log_event.cc, Gtid_log_event). */
enum err_code gtid_event_parse(const struct event *event, struct gtid_event *ret, struct err *err)
{
	enum err_code code = event_expect(event, EVENT_GTID, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(event->body, event->body_size);
	struct gtid_event gtid = {.gtid.server = event->server};
	gtid.gtid.seq = cursor_u64(&c);
	gtid.gtid.domain = cursor_u32(&c);
	gtid.flags = cursor_u8(&c);
	if (gtid.flags & GTID_FLAG_GROUP_COMMIT)
		gtid.commit_id = cursor_u64(&c);
	if (gtid.flags & (GTID_FLAG_PREPARED_XA | GTID_FLAG_COMPLETED_XA))
		read_xa(&c, &gtid);
	if (cursor_left(&c) > 0)
		gtid.extra_flags = cursor_u8(&c);
	if (gtid.extra_flags & GTID_EXTRA_MULTI_ENGINE)
		gtid.extra_engines = cursor_u8(&c);
	if (gtid.extra_flags & (GTID_EXTRA_COMMIT_ALTER | GTID_EXTRA_ROLLBACK_ALTER))
		gtid.start_alter_seq = cursor_u64(&c);
	if (!cursor_ok(&c) || gtid.gtid.seq == 0)
		return event_fail(event, ERR_MALFORMED, err, "cut off or without a sequence number");
	*ret = gtid;
	return ERR_OK;
}

/* 4: count in the low 28 bits, flags above; then 4 domain, 4 server, 8 seq each. A domain is there once for each server
 * that ever wrote in it. */
enum err_code gtid_list_parse(const struct event *event, struct vector *ret_vector, struct err *err)
{
	enum err_code code = event_expect(event, EVENT_GTID_LIST, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(event->body, event->body_size);
	struct vector vector = {0};
	uint32_t count = cursor_u32(&c) & ((1u << 28) - 1);
	for (uint32_t i = 0; cursor_ok(&c) && i < count; i++) {
		struct gtid gtid;
		gtid.domain = cursor_u32(&c);
		gtid.server = cursor_u32(&c);
		gtid.seq = cursor_u64(&c);
		code = vector_advance(&vector, &gtid, err);
		if (code != ERR_OK)
			return code;
	}
	if (!cursor_ok(&c))
		return event_fail(event, ERR_MALFORMED, err, "cut off");
	*ret_vector = vector;
	return ERR_OK;
}

/* The rest of an event as the name of a log file: MariaDB allows FN_REFLEN - 1 = 511 bytes. */
static bool read_file_name(struct cursor *c, const char **ret_file, size_t *ret_size)
{
	size_t size = cursor_left(c);
	const uint8_t *file = cursor_bytes(c, size);
	if (!cursor_ok(c) || size == 0 || size > 511 || memchr(file, 0, size) != NULL)
		return false;
	*ret_file = (const char *)file;
	*ret_size = size;
	return true;
}

enum err_code rotate_parse(const struct event *event, struct rotate_event *ret, struct err *err)
{
	enum err_code code = event_expect(event, EVENT_ROTATE, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(event->body, event->body_size);
	struct rotate_event rotate = {.position = cursor_u64(&c)};
	if (!read_file_name(&c, &rotate.file, &rotate.file_size))
		return event_fail(event, ERR_MALFORMED, err, "no name of a log file in it");
	*ret = rotate;
	return ERR_OK;
}

/* A position that is too large for the header stands before the name, and the header's is 0 (MariaDB sql/log_event.h,
 * HB_SUB_HEADER_LEN). */
enum err_code heartbeat_parse(const struct event *event, struct heartbeat_event *ret, struct err *err)
{
	enum err_code code = event_expect(event, EVENT_HEARTBEAT, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(event->body, event->body_size);
	struct heartbeat_event heartbeat = {.position = event->next_position};
	if (event->next_position == 0)
		heartbeat.position = cursor_u64(&c);
	if (!read_file_name(&c, &heartbeat.file, &heartbeat.file_size))
		return event_fail(event, ERR_MALFORMED, err, "no name of a log file in it");
	*ret = heartbeat;
	return ERR_OK;
}

enum err_code xid_parse(const struct event *event, uint64_t *ret_xid, struct err *err)
{
	enum err_code code = event_expect(event, EVENT_XID, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(event->body, event->body_size);
	uint64_t xid = cursor_u64(&c);
	if (!cursor_ok(&c))
		return event_fail(event, ERR_MALFORMED, err, "cut off");
	*ret_xid = xid;
	return ERR_OK;
}

uint8_t event_plain_type(uint8_t type)
{
	static const uint8_t plain[256] = {
	    [EVENT_QUERY_COMPRESSED] = EVENT_QUERY,
	    [EVENT_WRITE_ROWS_COMPRESSED_V1] = EVENT_WRITE_ROWS_V1,
	    [EVENT_UPDATE_ROWS_COMPRESSED_V1] = EVENT_UPDATE_ROWS_V1,
	    [EVENT_DELETE_ROWS_COMPRESSED_V1] = EVENT_DELETE_ROWS_V1,
	    [EVENT_WRITE_ROWS_COMPRESSED] = EVENT_WRITE_ROWS,
	    [EVENT_UPDATE_ROWS_COMPRESSED] = EVENT_UPDATE_ROWS,
	    [EVENT_DELETE_ROWS_COMPRESSED] = EVENT_DELETE_ROWS,
	};
	return plain[type];
}

/* Steps over what isn't compressed: up to the statement, or up to the rows. */
static bool skip_plain_part(const struct event *event, struct cursor *c)
{
	if (event->type != EVENT_QUERY_COMPRESSED) {
		struct rows_head head;
		return rows_head_read(event, c, &head);
	}
	cursor_skip(c, 8);
	size_t database_size = cursor_u8(c);
	cursor_skip(c, 2);
	size_t status_size = cursor_u16(c);
	cursor_skip(c, status_size);
	cursor_skip(c, database_size + 1);
	return cursor_ok(c);
}

/* The compressed part: 1 byte 0x80 | algorithm << 4 | width of the size, the original size big-endian, the data
 * (MariaDB sql/log_event.cc, binlog_buf_compress). Algorithm 0 is zlib and the only one there is. */
enum err_code event_uncompress(const struct event *event, size_t size_limit, struct buf *to, struct event *ret,
                               struct err *err)
{
	uint8_t type = event_plain_type(event->type);
	if (type == 0) {
		*ret = *event;
		return ERR_OK;
	}
	struct cursor c = cursor_of(event->body, event->body_size);
	if (!skip_plain_part(event, &c))
		return event_fail(event, ERR_MALFORMED, err, "cut off");
	size_t plain_size = EVENT_HEADER_SIZE + (size_t)(c.pos - event->body);
	uint8_t head = cursor_u8(&c);
	unsigned width = head & 0x07;
	if ((head & 0xf0) != 0x80)
		return event_fail(event, cursor_ok(&c) ? ERR_UNSUPPORTED : ERR_MALFORMED, err,
		                  "compressed in an unknown way (%02x)", head);
	uint64_t original_size = width >= 1 && width <= 4 ? cursor_uint_be(&c, width) : 0;
	if (!cursor_ok(&c) || original_size == 0)
		return event_fail(event, ERR_MALFORMED, err, "no original size");
	if (plain_size > size_limit)
		return event_fail(event, ERR_UNSUPPORTED, err, "larger than the limit of %zu bytes", size_limit);
	buf_clear(to);
	buf_append(to, event->bytes, plain_size);
	enum err_code code =
	    compress_inflate(c.pos, cursor_left(&c), false, original_size, size_limit - plain_size, to, err);
	if (code != ERR_OK) {
		struct err inner = *err;
		return event_fail(event, code, err, "%s", inner.message);
	}
	to->data[TYPE_AT] = type;
	put_u32(to->data + EVENT_LENGTH_AT, (uint32_t)to->size);
	struct event plain = *event;
	plain.type = type;
	plain.bytes = to->data;
	plain.size = to->size;
	plain.body = to->data + EVENT_HEADER_SIZE;
	plain.body_size = to->size - EVENT_HEADER_SIZE;
	*ret = plain;
	return ERR_OK;
}

void event_append(const struct event *event, struct buf *to)
{
	size_t at = to->size;
	buf_append(to, event->bytes, event->size);
	put_u32(to->data + at + EVENT_LENGTH_AT, (uint32_t)event->size);
}
