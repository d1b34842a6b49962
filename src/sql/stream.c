#include "sql/stream.h"

#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/connection_internal.h"
#include "sql/server.h"

/* mariadb_rpl.h has its own idea of what an event looks like; only these calls are wanted. */
#include <mariadb_rpl.h>

enum { SEND_ANNOTATE_ROWS = 2 }; /* BINLOG_SEND_ANNOTATE_ROWS_EVENT, MariaDB sql/sql_repl.h */

struct stream {
	struct connection *connection;
	MARIADB_RPL *rpl;
	char *name;
};

struct stream *stream_new(void)
{
	struct stream *s = mem_alloc(sizeof *s);
	s->connection = connection_new();
	return s;
}

void stream_close(struct stream *s)
{
	if (s->rpl != NULL)
		mariadb_rpl_close(s->rpl);
	s->rpl = NULL;
	connection_close(s->connection);
}

void stream_free(struct stream *s)
{
	if (s == NULL)
		return;
	stream_close(s);
	connection_free(s->connection);
	free(s->name);
	free(s);
}

void stream_abort(struct stream *s)
{
	connection_abort(s->connection);
}

/* What a replica tells the server before the dump (MariaDB sql/slave.cc, get_master_version_and_clock). Capability 4 is
 * GTID. ignore_duplicates lets the reader be ahead of the server in some domain, and lets its position fall inside a
 * batch: the next group behind it is sent. The checksum variable asks for events as they stand in the log. */
static enum err_code announce(struct stream *s, const struct vector *from, struct err *err)
{
	struct buf sql = {0}, position = {0};
	vector_format(from, &position);
	buf_printf(&sql,
	           "SET @mariadb_slave_capability=4, @master_binlog_checksum=@@global.binlog_checksum,"
	           " @master_heartbeat_period=%llu, @slave_connect_state='%s', @slave_gtid_strict_mode=0,"
	           " @slave_gtid_ignore_duplicates=1",
	           STREAM_HEARTBEAT_S * 1000000000ull, buf_str(&position));
	enum err_code code = connection_run_n(s->connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&position);
	return code;
}

static enum err_code start_dump(struct stream *s, uint32_t reader_id, struct err *err)
{
	MYSQL *mysql = connection_mysql(s->connection);
	s->rpl = mariadb_rpl_init(mysql);
	if (s->rpl == NULL)
		return err_set(err, ERR_UNSUPPORTED, "%s: this Connector/C can't read a binary log", s->name);
	mariadb_rpl_optionsv(s->rpl, MARIADB_RPL_SERVER_ID, reader_id);
	mariadb_rpl_optionsv(s->rpl, MARIADB_RPL_START, 4UL);
	/* Annotate events too, as MariaDB's own replicas do: without them a gap in the log could be them or a loss. */
	mariadb_rpl_optionsv(s->rpl, MARIADB_RPL_FLAGS, SEND_ANNOTATE_ROWS);
	if (mariadb_rpl_open(s->rpl) != 0)
		return connection_error(s->connection, err);
	return ERR_OK;
}

enum err_code stream_open(struct stream *s, const struct connection_target *target, uint32_t node_id,
                          uint32_t reader_id, const struct vector *from, struct vector *ret_head, struct err *err)
{
	stream_close(s);
	free(s->name);
	s->name = mem_strdup(target->name);
	struct connection_target to = *target;
	to.read_timeout_s = STREAM_READ_TIMEOUT_S;
	struct vector head;
	enum err_code code = connection_open(s->connection, &to, err);
	if (code == ERR_OK)
		code = server_check(s->connection, target->name, node_id, err);
	if (code == ERR_OK)
		code = server_vector(s->connection, &head, err);
	if (code == ERR_OK)
		code = announce(s, from, err);
	if (code == ERR_OK)
		code = start_dump(s, reader_id, err);
	if (code == ERR_OK)
		*ret_head = head;
	else
		stream_close(s);
	return code;
}

/* The errno is one for everything that goes wrong with a dump: a purged file, a corrupt one, no memory. */
static enum err_code read_error(struct stream *s, struct err *err)
{
	MYSQL *mysql = connection_mysql(s->connection);
	if (mysql_errno(mysql) != ER_MASTER_FATAL_ERROR_READING_BINLOG)
		return connection_error(s->connection, err);
	/* MariaDB sql/sql_repl.cc, gtid_find_binlog_file: no file begins where the reader has everything that is ahead of
	 * it. */
	if (strstr(mysql_error(mysql), "Could not find GTID state requested by slave") != NULL)
		return err_set(err, ERR_GONE, "%s no longer has its log from where this node stopped reading", s->name);
	return err_set(
	    err, ERR_UNSUPPORTED,
	    "%s can't send its log from where this node stopped reading: %s; mend its log, or copy this node's data "
	    "anew from a peer",
	    s->name, mysql_error(mysql));
}

enum err_code stream_next(struct stream *s, const uint8_t **ret_bytes, size_t *ret_size, struct err *err)
{
	MYSQL *mysql = connection_mysql(s->connection);
	if (mysql == NULL)
		return err_set(err, ERR_DISCONNECTED, "%s: not connected", s->name);
	unsigned long size = mysql_net_read_packet(mysql);
	if (size == packet_error || size == 0) {
		return read_error(s, err);
	}
	const uint8_t *packet = mysql->net.read_pos;
	if (size < 9 && packet[0] == 0xfe) { /* EOF packet: the server ends the dump, as it does when it shuts down */
		stream_close(s);
		return err_set(err, ERR_DISCONNECTED, "%s ended the stream", s->name);
	}
	if (packet[0] != 0)
		return err_set(err, ERR_MALFORMED, "%s sent a packet that is not a binary log event (first byte %u)", s->name,
		               packet[0]);
	*ret_bytes = packet + 1;
	*ret_size = size - 1;
	return ERR_OK;
}
