/* src/binlog/event and query: headers, checksums, the small events, compressed events, statements with their
 * context. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zlib.h>

#include "binlog/query.h"
#include "test_binlog_support.h"

/* ---- the header and the checksum ---- */

/* A length that isn't the event's own means that the stream is out of step. */
static void test_header_is_checked(void **state)
{
	(void)state;
	struct buf buf = make_event(EVENT_XID, "12345678", 8);
	struct event event = parse_made(&buf);
	assert_int_equal(event.timestamp, 1700000000);
	assert_int_equal(event.type, EVENT_XID);
	assert_int_equal(event.server, 7);
	assert_int_equal(event.next_position, 4242);
	assert_int_equal(event.size, 27);
	assert_int_equal(event.body_size, 8);
	struct format format;
	struct err err;
	format_init(&format);
	for (size_t cut = 0; cut < buf.size; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);
		memcpy(copy, buf.data, cut);
		assert_int_equal(event_parse(&format, copy, cut, &event, &err), ERR_MALFORMED);
		free(copy);
	}
	write_length(buf.data, buf.size + 1);
	assert_int_equal(event_parse(&format, buf.data, buf.size, &event, &err), ERR_MALFORMED);
	assert_non_null(strstr(err.message, "says it has 28 bytes and has 27"));
	buf_free(&buf);
}

/* Reads all events of a log as a stream does; returns how many there are. */
static int count_events(const struct buf *log, enum err_code *ret_code)
{
	struct format format;
	struct err err;
	int count = 0;
	format_init(&format);
	*ret_code = ERR_OK;
	for (size_t at = 0; at < log->size && *ret_code == ERR_OK;) {
		uint32_t size = read_length(log->data + at);
		struct event event;
		*ret_code = event_parse(&format, log->data + at, size, &event, &err);
		if (*ret_code == ERR_OK && event.type == EVENT_FORMAT_DESCRIPTION)
			assert_int_equal(format_parse(&event, &format, &err), ERR_OK);
		at += size;
		count++;
	}
	return count;
}

/* A flipped bit on an SD card or a bad cable must stop the link and never reach a table. */
static void test_every_flipped_bit_is_noticed(void **state)
{
	(void)state;
	struct buf log = read_corpus("ddl");
	enum err_code code;
	int whole = count_events(&log, &code);
	assert_int_equal(code, ERR_OK);
	assert_true(whole > 20);
	struct buf intact = read_corpus("ddl");
	int noticed = 0, tried = 0;
	size_t start = 0;
	for (size_t at = 0; at < log.size; at += 7) {
		while (start + read_length(intact.data + start) <= at)
			start += read_length(intact.data + start);
		/* The lengths tell where events are: without them this test would be lost, though the parser wouldn't. */
		if (at >= start + LENGTH_AT && at < start + LENGTH_AT + 4)
			continue;
		log.data[at] ^= 0x10;
		count_events(&log, &code);
		log.data[at] ^= 0x10;
		noticed += code == ERR_MALFORMED;
		tried++;
	}
	buf_free(&intact);
	assert_true(tried > 100);
	assert_int_equal(noticed, tried);
	buf_free(&log);
}

/* The server that is still writing a log has a flag set in its first event that the checksum doesn't count. */
static void test_a_log_in_use_has_a_right_checksum(void **state)
{
	(void)state;
	struct buf log = read_corpus("ddl");
	enum err_code code;
	log.data[17] ^= 1;
	count_events(&log, &code);
	assert_int_equal(code, ERR_OK);
	buf_free(&log);
}

/* A dump begins with a rotate event that has a checksum before anything says that there are checksums; taken as part of
 * the file's name it would be reported as the position to restart from. */
static void test_a_stream_as_it_comes(void **state)
{
	(void)state;
	struct buf log = read_corpus("stream");
	struct format format;
	struct err err;
	struct event event;
	struct rotate_event rotate;
	struct heartbeat_event heartbeat;
	format_init(&format);
	assert_int_equal(event_parse(&format, log.data, read_length(log.data), &event, &err), ERR_OK);
	assert_int_equal(event.type, EVENT_ROTATE);
	assert_true(event.flags & EVENT_FLAG_ARTIFICIAL);
	assert_int_equal(rotate_parse(&event, &rotate, &err), ERR_OK);
	assert_int_equal(rotate.position, 4);
	assert_int_equal(rotate.file_size, strlen("bin.000001"));
	assert_memory_equal(rotate.file, "bin.", 4);

	int heartbeats = 0;
	uint32_t last_position = 0;
	for (size_t at = read_length(log.data); at < log.size; at += read_length(log.data + at)) {
		assert_int_equal(event_parse(&format, log.data + at, read_length(log.data + at), &event, &err), ERR_OK);
		if (event.type == EVENT_FORMAT_DESCRIPTION)
			assert_int_equal(format_parse(&event, &format, &err), ERR_OK);
		if (event.type != EVENT_HEARTBEAT) {
			last_position = event.next_position ? event.next_position : last_position;
			continue;
		}
		heartbeats++;
		assert_int_equal(heartbeat_parse(&event, &heartbeat, &err), ERR_OK);
		assert_int_equal(heartbeat.position, last_position);
		assert_int_equal(heartbeat.file_size, rotate.file_size);
		assert_memory_equal(heartbeat.file, rotate.file, rotate.file_size);
	}
	assert_int_equal(heartbeats, 2);
	buf_free(&log);
}

/* Behind 4 GiB of log the position doesn't fit the header any more. */
static void test_heartbeat_of_a_large_log(void **state)
{
	(void)state;
	struct buf buf = make_event(EVENT_HEARTBEAT, "\1\0\0\0\2\0\0\0bin.000007", 18);
	memset(buf.data + 13, 0, 4);
	struct event event = parse_made(&buf);
	struct heartbeat_event heartbeat;
	struct err err;
	assert_int_equal(heartbeat_parse(&event, &heartbeat, &err), ERR_OK);
	assert_true(heartbeat.position == (UINT64_C(2) << 32) + 1);
	assert_int_equal(heartbeat.file_size, 10);
	buf_free(&buf);
}

/* ---- the format description ---- */

static void test_format(void **state)
{
	(void)state;
	struct buf buf = corpus_event("plain_ddl", EVENT_FORMAT_DESCRIPTION, 0);
	struct event event = parse_made(&buf);
	struct format format;
	struct err err;
	assert_int_equal(format_parse(&event, &format, &err), ERR_OK);
	assert_non_null(strstr(format.server_version, "MariaDB"));
	assert_int_equal(format.header_size, 19);
	assert_false(format.checksummed);
	assert_true(format.post_header_count >= EVENT_DELETE_ROWS_COMPRESSED);
	assert_int_equal(format.post_header_sizes[EVENT_GTID - 1], 19);
	buf_free(&buf);
}

/* A server that lays its events out otherwise must be refused here, not misread everywhere. */
static void test_format_refuses_other_layouts(void **state)
{
	(void)state;
	static const struct {
		size_t at; /* in the body */
		uint8_t value;
	} changes[] = {
	    {0, 3}, {56, 20}, {57 + EVENT_GTID - 1, 25}, {57 + EVENT_TABLE_MAP - 1, 6}, {57 + EVENT_QUERY - 1, 11}};
	struct format format;
	struct err err;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		struct buf buf = corpus_event("plain_ddl", EVENT_FORMAT_DESCRIPTION, 0);
		buf.data[EVENT_HEADER_SIZE + changes[i].at] = changes[i].value;
		struct event event = parse_made(&buf);
		assert_int_equal(format_parse(&event, &format, &err), ERR_UNSUPPORTED);
		buf_free(&buf);
	}
}

static void test_format_append_plain(void **state)
{
	(void)state;
	struct buf log = read_corpus("ddl"), plain = {0};
	struct format format;
	struct err err;
	struct event event;
	format_init(&format);
	log.data[17] |= 1;
	assert_int_equal(event_parse(&format, log.data, read_length(log.data), &event, &err), ERR_OK);
	buf_append_u8(&plain, 0xee); /* it appends */
	format_append_plain(&event, &plain);
	assert_int_equal(plain.size - 1, read_length(plain.data + 1));
	assert_int_equal(event_parse(&format, plain.data + 1, plain.size - 1, &event, &err), ERR_OK);
	assert_int_equal(event.flags & 1, 0);
	assert_int_equal(format_parse(&event, &format, &err), ERR_OK);
	assert_false(format.checksummed);
	buf_free(&plain);
	buf_free(&log);
}

/* ---- GTIDs and the other small ones ---- */

static void append_gtid_start(struct buf *to, uint64_t seq, uint32_t domain, uint8_t flags)
{
	buf_append_u64(to, seq);
	buf_append_u32(to, domain);
	buf_append_u8(to, flags);
}

/* All parts at once: a part skipped wrongly makes the flags behind it garbage, and a START ALTER an ordinary one. */
static void test_gtid_event_with_everything(void **state)
{
	(void)state;
	struct buf body = {0};
	append_gtid_start(&body, 77, 3, GTID_FLAG_GROUP_COMMIT | GTID_FLAG_PREPARED_XA | GTID_FLAG_TRANSACTIONAL);
	buf_append_u64(&body, 1234);
	buf_append_u32(&body, 9);
	buf_append(&body, "\3\2abcde", 7);
	buf_append_u8(&body, GTID_EXTRA_MULTI_ENGINE | GTID_EXTRA_COMMIT_ALTER);
	buf_append_u8(&body, 1);
	buf_append_u64(&body, 55);
	struct buf buf = make_event(EVENT_GTID, body.data, body.size);
	struct event event = parse_made(&buf);
	struct gtid_event gtid;
	struct err err;
	assert_int_equal(gtid_event_parse(&event, &gtid, &err), ERR_OK);
	assert_int_equal(gtid.gtid.domain, 3);
	assert_int_equal(gtid.gtid.server, 7); /* the header's */
	assert_int_equal(gtid.gtid.seq, 77);
	assert_int_equal(gtid.commit_id, 1234);
	assert_int_equal(gtid.xa_format, 9);
	assert_int_equal(gtid.xa_gtrid_size, 3);
	assert_int_equal(gtid.xa_bqual_size, 2);
	assert_memory_equal(gtid.xa_data, "abcde", 5);
	assert_int_equal(gtid.extra_engines, 1);
	assert_int_equal(gtid.start_alter_seq, 55);
	for (size_t cut = EVENT_HEADER_SIZE; cut < buf.size; cut++) {
		uint8_t *copy = exact_copy(buf.data, cut);
		struct format format;
		format_init(&format);
		assert_int_equal(event_parse(&format, copy, cut, &event, &err), ERR_OK);
		enum err_code code = gtid_event_parse(&event, &gtid, &err);
		/* With the XA parts whole, an event may end: the extra flags are 0 then. */
		assert_int_equal(code, cut == EVENT_HEADER_SIZE + 13 + 8 + 4 + 7 ? ERR_OK : ERR_MALFORMED);
		free(copy);
	}
	buf_free(&body);
	buf_free(&buf);
}

/* The common one: six zeros stand where a commit id would. */
static void test_gtid_event_plain(void **state)
{
	(void)state;
	struct buf body = {0};
	append_gtid_start(&body, 5, 1, GTID_FLAG_STANDALONE | GTID_FLAG_DDL);
	buf_append(&body, "\0\0\0\0\0", 6);
	struct buf buf = make_event(EVENT_GTID, body.data, body.size);
	struct event event = parse_made(&buf);
	struct gtid_event gtid;
	struct err err;
	assert_int_equal(gtid_event_parse(&event, &gtid, &err), ERR_OK);
	assert_int_equal(gtid.flags, GTID_FLAG_STANDALONE | GTID_FLAG_DDL);
	assert_int_equal(gtid.commit_id, 0);
	assert_int_equal(gtid.extra_flags, 0);
	memset(buf.data + EVENT_HEADER_SIZE, 0, 8);
	assert_int_equal(gtid_event_parse(&event, &gtid, &err), ERR_MALFORMED); /* seq 0 doesn't exist */
	buf_free(&body);
	buf_free(&buf);
}

/* A domain that several servers wrote in is listed once a server: the highest counts. The flags above the count aren't
 * part of it. */
static void test_gtid_list(void **state)
{
	(void)state;
	struct buf body = {0};
	buf_append_u32(&body, 3u | 1u << 28);
	static const uint32_t gtids[][3] = {{5, 1, 10}, {1, 1, 3}, {5, 2, 12}};
	for (size_t i = 0; i < 3; i++) {
		buf_append_u32(&body, gtids[i][0]);
		buf_append_u32(&body, gtids[i][1]);
		buf_append_u64(&body, gtids[i][2]);
	}
	struct buf buf = make_event(EVENT_GTID_LIST, body.data, body.size), text = {0};
	struct event event = parse_made(&buf);
	struct vector vector;
	struct err err;
	assert_int_equal(gtid_list_parse(&event, &vector, &err), ERR_OK);
	vector_format(&vector, &text);
	assert_string_equal(buf_str(&text), "1-1-3,5-2-12");
	/* A count that says more than there is. */
	write_length(buf.data, buf.size);
	buf.data[EVENT_HEADER_SIZE] = 4;
	assert_int_equal(gtid_list_parse(&event, &vector, &err), ERR_MALFORMED);
	memset(buf.data + EVENT_HEADER_SIZE, 0xff, 4);
	assert_int_equal(gtid_list_parse(&event, &vector, &err), ERR_MALFORMED);
	buf_free(&text);
	buf_free(&body);
	buf_free(&buf);
}

/* The name of the next file goes into status and messages: no NUL, not endless, not absent. */
static void test_rotate_refuses_bad_names(void **state)
{
	(void)state;
	char body[600] = "\4\0\0\0\0\0\0\0";
	memset(body + 8, 'x', sizeof body - 8);
	static const struct {
		size_t size, nul_at;
		enum err_code code;
	} cases[] = {{8, 0, ERR_MALFORMED},       {9, 0, ERR_OK},          {8 + 511, 0, ERR_OK},
	             {8 + 512, 0, ERR_MALFORMED}, {20, 15, ERR_MALFORMED}, {7, 0, ERR_MALFORMED}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (cases[i].nul_at)
			body[cases[i].nul_at] = 0;
		struct buf buf = make_event(EVENT_ROTATE, body, cases[i].size);
		struct event event = parse_made(&buf);
		struct rotate_event rotate;
		struct err err;
		assert_int_equal(rotate_parse(&event, &rotate, &err), cases[i].code);
		buf_free(&buf);
	}
}

static void test_xid(void **state)
{
	(void)state;
	struct buf buf = make_event(EVENT_XID, "\1\0\0\0\0\0\0\x80", 8);
	struct event event = parse_made(&buf);
	struct err err;
	uint64_t xid;
	assert_int_equal(xid_parse(&event, &xid, &err), ERR_OK);
	assert_true(xid == UINT64_C(0x8000000000000001));
	event.body_size = 7;
	assert_int_equal(xid_parse(&event, &xid, &err), ERR_MALFORMED);
	buf_free(&buf);
}

/* A caller that mixes types up is told so instead of getting garbage. */
static void test_parsers_refuse_other_types(void **state)
{
	(void)state;
	struct buf buf = make_event(EVENT_STOP, "12345678901234567890", 20);
	struct event event = parse_made(&buf);
	struct err err;
	struct format format;
	struct gtid_event gtid;
	struct vector vector;
	struct rotate_event rotate;
	struct heartbeat_event heartbeat;
	struct query_event query;
	struct rows_event rows;
	struct table_map map;
	uint64_t number;
	assert_int_equal(format_parse(&event, &format, &err), ERR_USAGE);
	assert_int_equal(gtid_event_parse(&event, &gtid, &err), ERR_USAGE);
	assert_int_equal(gtid_list_parse(&event, &vector, &err), ERR_USAGE);
	assert_int_equal(rotate_parse(&event, &rotate, &err), ERR_USAGE);
	assert_int_equal(heartbeat_parse(&event, &heartbeat, &err), ERR_USAGE);
	assert_int_equal(xid_parse(&event, &number, &err), ERR_USAGE);
	assert_int_equal(query_parse(&event, &query, &err), ERR_USAGE);
	assert_int_equal(rows_parse(&event, NULL, &rows, &err), ERR_USAGE);
	assert_int_equal(table_map_parse(&event, &map, &err), ERR_USAGE);
	assert_int_equal(table_map_parse_id(&event, &number, &err), ERR_USAGE);
	assert_string_equal(event_type_name(event.type), "stop");
	assert_string_equal(event_type_name(250), "unknown");
	buf_free(&buf);
}

/* ---- compressed events ---- */

static struct buf make_compressed_query(const char *statement, size_t said_size)
{
	uint8_t packed[4096];
	uLongf packed_size = sizeof packed;
	assert_int_equal(compress(packed, &packed_size, (const Bytef *)statement, (uLong)strlen(statement)), Z_OK);
	struct buf body = {0};
	buf_append(&body, "\1\0\0\0\0\0\0\0\1\0\0\5\0", 13);
	buf_append(&body, "\0\0\0\0\0d", 7); /* flags2, the database d */
	buf_append_u8(&body, 0x84);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_append_u8(&body, (uint8_t)(said_size >> shift));
	buf_append(&body, packed, packed_size);
	struct buf buf = make_event(EVENT_QUERY_COMPRESSED, body.data, body.size);
	buf_free(&body);
	return buf;
}

static enum err_code uncompress_query(const struct buf *buf, size_t limit, struct buf *to, struct query_event *ret)
{
	struct event event = parse_made(buf), plain;
	struct err err;
	enum err_code code = event_uncompress(&event, limit, to, &plain, &err);
	if (code != ERR_OK)
		return code;
	assert_int_equal(plain.type, EVENT_QUERY);
	assert_int_equal(plain.bytes[4], EVENT_QUERY);
	assert_int_equal(read_length(plain.bytes), plain.size);
	assert_int_equal(plain.next_position, event.next_position);
	assert_int_equal(query_parse(&plain, ret, &err), ERR_OK);
	return ERR_OK;
}

static void test_uncompress(void **state)
{
	(void)state;
	char statement[2001] = {0};
	memset(statement, 'x', 2000);
	struct buf to = {0}, buf = make_compressed_query(statement, 2000);
	struct query_event query;
	size_t whole = EVENT_HEADER_SIZE + 13 + 5 + 2 + 2000;
	assert_int_equal(uncompress_query(&buf, whole, &to, &query), ERR_OK);
	assert_int_equal(query.statement_size, 2000);
	assert_memory_equal(query.statement, statement, 2000);
	assert_int_equal(query.database_size, 1);
	/* One byte less than it takes is refused, as is any limit below. */
	assert_int_equal(uncompress_query(&buf, whole - 1, &to, &query), ERR_UNSUPPORTED);
	assert_int_equal(uncompress_query(&buf, 0, &to, &query), ERR_UNSUPPORTED);
	buf_free(&buf);
	buf_free(&to);
}

/* A few bytes that claim to be gigabytes, and sizes that aren't the data's, in both directions. */
static void test_uncompress_refuses_lies(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 99, 101, 200000, 0x7fffffff, 0xffffffff};
	char statement[101] = {0};
	memset(statement, 'y', 100);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct buf to = {0}, buf = make_compressed_query(statement, sizes[i]);
		struct query_event query;
		assert_int_equal(uncompress_query(&buf, SIZE_MAX, &to, &query), ERR_MALFORMED);
		assert_true(to.capacity < 1 << 20);
		buf_free(&buf);
		buf_free(&to);
	}
}

/* What follows the compressed data would be lost. */
static void test_uncompress_refuses_more_than_the_data(void **state)
{
	(void)state;
	struct buf to = {0}, buf = make_compressed_query("DROP TABLE t", 12);
	struct query_event query;
	assert_int_equal(uncompress_query(&buf, 1000, &to, &query), ERR_OK);
	buf_append_u8(&buf, 0);
	write_length(buf.data, buf.size);
	assert_int_equal(uncompress_query(&buf, 1000, &to, &query), ERR_MALFORMED);
	buf_free(&buf);
	buf_free(&to);
}

/* Every prefix, and every byte changed, of a real compressed rows event. */
static void test_uncompress_damaged(void **state)
{
	(void)state;
	struct buf buf = corpus_event("plain_compressed_events", EVENT_UPDATE_ROWS_COMPRESSED_V1, 0), to = {0};
	struct event event = parse_made(&buf), plain;
	struct err err;
	assert_int_equal(event_uncompress(&event, 1 << 20, &to, &plain, &err), ERR_OK);
	assert_int_equal(plain.type, EVENT_UPDATE_ROWS_V1);
	for (size_t cut = EVENT_HEADER_SIZE; cut < buf.size; cut++) {
		uint8_t *copy = exact_copy(buf.data, cut);
		struct format format;
		format_init(&format);
		assert_int_equal(event_parse(&format, copy, cut, &event, &err), ERR_OK);
		assert_int_equal(event_uncompress(&event, 1 << 20, &to, &plain, &err), ERR_MALFORMED);
		free(copy);
	}
	event = parse_made(&buf);
	for (size_t at = EVENT_HEADER_SIZE; at < buf.size; at++) {
		buf.data[at] ^= 0xff;
		if (event_uncompress(&event, 1 << 20, &to, &plain, &err) == ERR_OK)
			assert_true(at < EVENT_HEADER_SIZE + 8 + 1 + 2); /* what zlib's checksum doesn't cover */
		buf.data[at] ^= 0xff;
	}
	buf_free(&buf);
	buf_free(&to);
}

static void test_uncompress_leaves_others_alone(void **state)
{
	(void)state;
	struct buf buf = make_event(EVENT_XID, "12345678", 8), to = {0};
	struct event event = parse_made(&buf), same;
	struct err err;
	assert_int_equal(event_uncompress(&event, 0, &to, &same, &err), ERR_OK);
	assert_ptr_equal(same.bytes, event.bytes);
	assert_int_equal(same.size, event.size);
	buf_free(&buf);
}

/* ---- queries ---- */

static struct buf make_query(const void *status, size_t status_size, const char *database, const char *statement)
{
	struct buf body = {0};
	buf_append_u32(&body, 42);
	buf_append_u32(&body, 0);
	buf_append_u8(&body, (uint8_t)strlen(database));
	buf_append_u16(&body, 1205);
	buf_append_u16(&body, (uint16_t)status_size);
	buf_append(&body, status, status_size);
	buf_append(&body, database, strlen(database) + 1);
	buf_append_str(&body, statement);
	struct buf buf = make_event(EVENT_QUERY, body.data, body.size);
	buf_free(&body);
	return buf;
}

/* Every status variable that MariaDB 10.11 and 11 have, in one event. One that is skipped by the wrong size shifts all
 * that follow: another character set, another sql_mode, another table. */
static const char all_status[] = "\0\1\0\0\x0c"           /* flags2 */
                                 "\1\x20\0\0\x54\0\0\0\1" /* sql_mode */
                                 "\2\3std\0"              /* catalog with NUL */
                                 "\3\5\0\2\0"             /* auto_increment */
                                 "\4\x21\0\x2d\0\x08\0"   /* charsets */
                                 "\5\6SYSTEM"             /* time zone */
                                 "\6\3std"                /* catalog */
                                 "\7\4\0"                 /* lc_time_names */
                                 "\x08\xe0\0"             /* charset_database */
                                 "\x09"
                                 "12345678" /* table_map_for_update */
                                 "\x0a"
                                 "1234"                     /* master_data_written */
                                 "\x0b\4user\4host"         /* invoker */
                                 "\x80\x40\xe2\1"           /* microseconds */
                                 "\x81\7\0\0\0\0\0\0\0"     /* xid */
                                 "\x82\4\x63\0\0\0\0\0\0\0" /* GTID flags with the seq of a START ALTER */
                                 "\x83\1\x2d\0\x2b\x09";    /* character_set_collations */

static void test_query_with_every_status_variable(void **state)
{
	(void)state;
	struct buf buf = make_query(all_status, sizeof all_status - 1, "db", "CREATE TABLE t (a int)");
	struct event event = parse_made(&buf);
	struct query_event q;
	struct err err;
	assert_int_equal(query_parse(&event, &q, &err), ERR_OK);
	assert_int_equal(q.thread_id, 42);
	assert_int_equal(q.error_code, 1205);
	assert_int_equal(q.database_size, 2);
	assert_memory_equal(q.database, "db", 2);
	assert_int_equal(q.statement_size, 22);
	assert_memory_equal(q.statement, "CREATE TABLE t (a int)", 22);
	assert_true(q.has_flags2 && q.has_sql_mode && q.has_auto_increment && q.has_charset && q.has_time_zone);
	assert_true(q.has_lc_time_names && q.has_charset_database && q.has_invoker && q.has_microseconds && q.has_xid);
	assert_int_equal(q.flags2, 0x0c000001);
	assert_true(q.sql_mode == UINT64_C(0x0100000054000020));
	assert_int_equal(q.auto_increment_increment, 5);
	assert_int_equal(q.auto_increment_offset, 2);
	assert_int_equal(q.charset_client, 33);
	assert_int_equal(q.collation_connection, 45);
	assert_int_equal(q.collation_server, 8);
	assert_int_equal(q.time_zone_size, 6);
	assert_memory_equal(q.time_zone, "SYSTEM", 6);
	assert_int_equal(q.lc_time_names, 4);
	assert_int_equal(q.charset_database, 224);
	assert_int_equal(q.invoker_user_size, 4);
	assert_memory_equal(q.invoker_user, "user", 4);
	assert_memory_equal(q.invoker_host, "host", 4);
	assert_int_equal(q.microseconds, 123456);
	assert_int_equal(q.xid, 7);
	assert_int_equal(q.gtid_extra_flags, GTID_EXTRA_COMMIT_ALTER);
	assert_int_equal(q.start_alter_seq, 99);
	assert_int_equal(q.collation_pair_count, 1);
	assert_memory_equal(q.collation_pairs, "\x2d\0\x2b\x09", 4);
	buf_free(&buf);
}

/* A status variable that is cut off must not be read on in the statement. */
static void test_query_cut_status(void **state)
{
	(void)state;
	int whole = 0;
	for (size_t size = 0; size < sizeof all_status; size++) {
		struct buf buf = make_query(all_status, size, "db", "DROP TABLE t /* long enough for every variable */");
		struct event event = parse_made(&buf);
		struct query_event q;
		struct err err;
		enum err_code code = query_parse(&event, &q, &err);
		assert_true(code == ERR_OK || code == ERR_MALFORMED);
		whole += code == ERR_OK;
		buf_free(&buf);
	}
	assert_int_equal(whole, 17); /* behind each of the 16, and none */
}

/* MySQL's variables, and those of a MariaDB to come: of unknown size, so that the rest can't be read. */
static void test_query_unknown_status_variable(void **state)
{
	(void)state;
	static const uint8_t codes[] = {12, 13, 20, 127, 132, 255};
	for (size_t i = 0; i < sizeof codes; i++) {
		struct buf buf = make_query(&codes[i], 1, "", "BEGIN");
		struct event event = parse_made(&buf);
		struct query_event q;
		struct err err;
		assert_int_equal(query_parse(&event, &q, &err), ERR_UNSUPPORTED);
		assert_non_null(strstr(err.message, "newer MariaDB"));
		buf_free(&buf);
	}
}

static void test_query_without_context(void **state)
{
	(void)state;
	struct buf buf = make_query("", 0, "", "bEgIn");
	struct event event = parse_made(&buf);
	struct query_event q;
	struct err err;
	assert_int_equal(query_parse(&event, &q, &err), ERR_OK);
	assert_false(q.has_flags2 || q.has_sql_mode || q.has_charset || q.has_xid);
	assert_int_equal(q.database_size, 0);
	assert_true(query_is(&q, "BEGIN"));
	assert_false(query_is(&q, "BEGI"));
	assert_false(query_is(&q, "BEGIN2"));
	assert_false(query_is(&q, "COMMIT"));
	buf.data[EVENT_HEADER_SIZE + 13] = 'x'; /* the NUL behind the database */
	assert_int_equal(query_parse(&event, &q, &err), ERR_MALFORMED);
	buf.data[EVENT_HEADER_SIZE + 13] = 0;
	for (size_t cut = EVENT_HEADER_SIZE; cut < EVENT_HEADER_SIZE + 14; cut++) {
		uint8_t *copy = exact_copy(buf.data, cut);
		struct format format;
		format_init(&format);
		assert_int_equal(event_parse(&format, copy, cut, &event, &err), ERR_OK);
		assert_int_equal(query_parse(&event, &q, &err), ERR_MALFORMED);
		free(copy);
	}
	buf_free(&buf);
}

int main(int argc, char **argv)
{
	corpus_folder = argc > 1 ? argv[1] : "tests/fuzz/corpus/binlog";
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_header_is_checked),
	    cmocka_unit_test(test_every_flipped_bit_is_noticed),
	    cmocka_unit_test(test_a_log_in_use_has_a_right_checksum),
	    cmocka_unit_test(test_a_stream_as_it_comes),
	    cmocka_unit_test(test_heartbeat_of_a_large_log),
	    cmocka_unit_test(test_format),
	    cmocka_unit_test(test_format_refuses_other_layouts),
	    cmocka_unit_test(test_format_append_plain),
	    cmocka_unit_test(test_gtid_event_with_everything),
	    cmocka_unit_test(test_gtid_event_plain),
	    cmocka_unit_test(test_gtid_list),
	    cmocka_unit_test(test_rotate_refuses_bad_names),
	    cmocka_unit_test(test_xid),
	    cmocka_unit_test(test_parsers_refuse_other_types),
	    cmocka_unit_test(test_uncompress),
	    cmocka_unit_test(test_uncompress_refuses_lies),
	    cmocka_unit_test(test_uncompress_refuses_more_than_the_data),
	    cmocka_unit_test(test_uncompress_damaged),
	    cmocka_unit_test(test_uncompress_leaves_others_alone),
	    cmocka_unit_test(test_query_with_every_status_variable),
	    cmocka_unit_test(test_query_cut_status),
	    cmocka_unit_test(test_query_unknown_status_variable),
	    cmocka_unit_test(test_query_without_context),
	};
	return cmocka_run_group_tests_name("binlog_event", tests, NULL, NULL);
}
