/* A server's binary log as a stream of raw events, by GTID, over MariaDB's own replication protocol.
 *
 * This is the one file that knows COM_BINLOG_DUMP. Connector/C opens the dump (mariadb_rpl_open) and frames the packets
 * (mysql_net_read_packet); the events in them are parsed by src/binlog, since mariadb_rpl_fetch trusts its input.
 * Used by one thread; stream_abort from any thread.
 *
 * The server sends a heartbeat after HEARTBEAT_S without an event, so silence for READ_TIMEOUT_S means that it is dead or
 * cut off.
 */
#ifndef SYNCLINE_SQL_STREAM_H
#define SYNCLINE_SQL_STREAM_H

#include "binlog/gtid.h"
#include "sql/connection.h"

enum { STREAM_HEARTBEAT_S = 1, STREAM_READ_TIMEOUT_S = 4 };

struct stream;

struct stream *stream_new(void);
void stream_free(struct stream *stream); /* accepts NULL */

/* Connects to the server of node `node_id`, checks it (server_check), and starts the dump behind `from`. reader_id is the
 * server_id the reader goes by: the server ends an older dump of the same reader. *ret_head: the server's vector now.
 * ERR_CONFIG: it is not a server that can be read. */
enum err_code stream_open(struct stream *stream, const struct connection_target *target, uint32_t node_id,
                          uint32_t reader_id, const struct vector *from, struct vector *ret_head, struct err *err)
    ERR_MUST_CHECK;
void stream_close(struct stream *stream);
void stream_abort(struct stream *stream);

/* The next event with its checksum, if it has one: borrowed until the next call. Blocks. ERR_GONE: its log no longer
 * has what comes behind `from`. */
enum err_code stream_next(struct stream *stream, const uint8_t **ret_bytes, size_t *ret_size, struct err *err)
    ERR_MUST_CHECK;

#endif
