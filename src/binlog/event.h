/* A binary log event: header, checksum, body.
 *
 * An event is what COM_BINLOG_DUMP sends after its OK byte, and what a binlog file holds after its magic:
 *
 *      4        1       4         4          4            2
 *   timestamp  type  server id  length  next position  flags | post-header, payload … | CRC32, if the format says so
 *
 * struct event borrows the bytes it was parsed from; it is valid as long as they are. Nothing here allocates, does I/O
 * or knows of threads. Facts: MariaDB sql/log_event.h; knowledge base "Replication Protocol", "2-Binlog event header".
 */
#ifndef SYNCLINE_BINLOG_EVENT_H
#define SYNCLINE_BINLOG_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "binlog/gtid.h"

enum { EVENT_HEADER_SIZE = 19, EVENT_CHECKSUM_SIZE = 4 };

enum event_type {
	EVENT_QUERY = 2,
	EVENT_STOP = 3,
	EVENT_ROTATE = 4,
	EVENT_INTVAR = 5,
	EVENT_RAND = 13,
	EVENT_USER_VAR = 14,
	EVENT_FORMAT_DESCRIPTION = 15,
	EVENT_XID = 16,
	EVENT_BEGIN_LOAD_QUERY = 17,
	EVENT_EXECUTE_LOAD_QUERY = 18,
	EVENT_TABLE_MAP = 19,
	EVENT_WRITE_ROWS_V1 = 23,
	EVENT_UPDATE_ROWS_V1 = 24,
	EVENT_DELETE_ROWS_V1 = 25,
	EVENT_INCIDENT = 26,
	EVENT_HEARTBEAT = 27,
	EVENT_IGNORABLE = 28,
	EVENT_WRITE_ROWS = 30,
	EVENT_UPDATE_ROWS = 31,
	EVENT_DELETE_ROWS = 32,
	EVENT_XA_PREPARE = 38,
	EVENT_ANNOTATE_ROWS = 160,
	EVENT_BINLOG_CHECKPOINT = 161,
	EVENT_GTID = 162,
	EVENT_GTID_LIST = 163,
	EVENT_START_ENCRYPTION = 164,
	EVENT_QUERY_COMPRESSED = 165,
	EVENT_WRITE_ROWS_COMPRESSED_V1 = 166,
	EVENT_UPDATE_ROWS_COMPRESSED_V1 = 167,
	EVENT_DELETE_ROWS_COMPRESSED_V1 = 168,
	EVENT_WRITE_ROWS_COMPRESSED = 169,
	EVENT_UPDATE_ROWS_COMPRESSED = 170,
	EVENT_DELETE_ROWS_COMPRESSED = 171,
};

enum {
	EVENT_FLAG_THREAD_SPECIFIC = 0x0004,
	EVENT_FLAG_ARTIFICIAL = 0x0020,
	EVENT_FLAG_IGNORABLE = 0x0080,
	EVENT_FLAG_SKIP_REPLICATION = 0x8000
};

/* What a format description event says of the events behind it. */
struct format {
	char server_version[51];
	uint8_t header_size; /* 19 */
	bool checksummed;    /* events end with a CRC32 */
	uint8_t post_header_count;
	uint8_t post_header_sizes[255]; /* by type - 1 */
};

struct event {
	uint32_t timestamp; /* seconds */
	uint8_t type;
	uint32_t server;
	uint32_t next_position;
	uint16_t flags;
	const uint8_t *bytes; /* the whole event without its checksum; its header's length field may still count it */
	size_t size;
	const uint8_t *body; /* behind the header */
	size_t body_size;
};

const char *event_type_name(uint8_t type);

/* Before the first format description: one that expects no checksum but of a format description event itself. */
void format_init(struct format *format);

/* Parses one event of exactly `size` bytes; verifies its CRC32 where the format has one. ERR_MALFORMED says what is
 * wrong. A format description event is itself checked by what it says of itself. An event with the artificial flag that
 * the server makes up (rotate, heartbeat) carries a checksum as the others do once the stream has them. */
enum err_code event_parse(const struct format *format, const uint8_t *bytes, size_t size, struct event *ret_event,
                          struct err *err) ERR_MUST_CHECK;

/* The bodies. Every string is borrowed from the event and not NUL-terminated. */
enum err_code format_parse(const struct event *event, struct format *ret_format, struct err *err) ERR_MUST_CHECK;

/* Appends the event without its checksum, its header's length made right. rows_writer_next reads it again. */
void event_append(const struct event *event, struct buf *to);

/* The format description event to send ahead of events that go into BINLOG statements: the one given, with the checksum
 * algorithm set to none. Appends it. */
void format_append_plain(const struct event *format_description, struct buf *to);

enum {
	GTID_FLAG_STANDALONE = 1,
	GTID_FLAG_GROUP_COMMIT = 2,
	GTID_FLAG_TRANSACTIONAL = 4,
	GTID_FLAG_ALLOW_PARALLEL = 8,
	GTID_FLAG_WAITED = 16,
	GTID_FLAG_DDL = 32,
	GTID_FLAG_PREPARED_XA = 64,
	GTID_FLAG_COMPLETED_XA = 128
};
enum {
	GTID_EXTRA_MULTI_ENGINE = 1,
	GTID_EXTRA_START_ALTER = 2,
	GTID_EXTRA_COMMIT_ALTER = 4,
	GTID_EXTRA_ROLLBACK_ALTER = 8
};

struct gtid_event {
	struct gtid gtid;
	uint8_t flags;
	uint64_t commit_id; /* 0 if the event has none */
	uint8_t extra_flags;
	uint8_t extra_engines;    /* with GTID_EXTRA_MULTI_ENGINE: transactional engines besides the first */
	uint64_t start_alter_seq; /* with GTID_EXTRA_COMMIT_ALTER or _ROLLBACK_ALTER: the seq of its START ALTER */
	/* With GTID_FLAG_PREPARED_XA or _COMPLETED_XA: the XA transaction's name, gtrid and then bqual, borrowed. */
	uint32_t xa_format;
	uint8_t xa_gtrid_size, xa_bqual_size;
	const uint8_t *xa_data;
};
enum err_code gtid_event_parse(const struct event *event, struct gtid_event *ret, struct err *err) ERR_MUST_CHECK;

enum err_code gtid_list_parse(const struct event *event, struct vector *ret_vector, struct err *err) ERR_MUST_CHECK;

struct rotate_event {
	uint64_t position;
	const char *file; /* borrowed */
	size_t file_size;
};
enum err_code rotate_parse(const struct event *event, struct rotate_event *ret, struct err *err) ERR_MUST_CHECK;

struct heartbeat_event {
	const char *file; /* borrowed */
	size_t file_size;
	uint64_t position; /* the header's next position */
};
enum err_code heartbeat_parse(const struct event *event, struct heartbeat_event *ret, struct err *err) ERR_MUST_CHECK;

enum err_code xid_parse(const struct event *event, uint64_t *ret_xid, struct err *err) ERR_MUST_CHECK;

/* Rewrites a compressed rows or query event as the plain event it stands for, into `to` (cleared first), without
 * checksum and with the header's type and length made right, and points *ret at it. Any other event is returned as it
 * is. Refuses what would grow beyond `size_limit` bytes. */
enum err_code event_uncompress(const struct event *event, size_t size_limit, struct buf *to, struct event *ret,
                               struct err *err) ERR_MUST_CHECK;

#endif
