/* MariaDB's own replication, as statements: what sets it up, what it says of itself, and how far it is.
 *
 * native_append_… write text and nothing else. The other functions run it on a connection whose session goes by the
 * name of one replication connection (native_select): MariaDB's STOP SLAVE, CHANGE MASTER, SHOW SLAVE STATUS and SET
 * GLOBAL replicate_… are then about that one. Each function is used by the connection's thread.
 *
 *   syncline.engine   one row, never logged: `engine`, whose positions count, the links' (merge) or @@gtid_slave_pos
 *                     (native); `set_up`, whether replication connections on this server are ours to remove
 *
 * It is what makes a change of engine one step: whoever is killed on the way finds there which side it is on.
 */
#ifndef SYNCLINE_SQL_NATIVE_H
#define SYNCLINE_SQL_NATIVE_H

#include "binlog/gtid.h"
#include "sql/connection.h"
#include "sql/server.h"

/* Where one replication connection reads. Texts are borrowed; NULL: not given. */
struct native_source {
	const char *host, *user, *password;
	unsigned port; /* 0: 3306 */
	const char *ssl_ca, *ssl_capath, *ssl_cert, *ssl_key, *ssl_crl, *ssl_crlpath, *ssl_cipher;
	bool ssl_verify;
};

/* CHANGE MASTER TO …, from @@gtid_slave_pos. It may hold a password: never to be logged. */
void native_append_change_master(const struct native_source *source, struct buf *to);
/* SET GLOBAL replicate_…: what is replicated is told by where the table is. Also clears the filters that go by the
 * default database: with rows in the log replicate_do_db means the table's database, but for DDL the session's, so a
 * CREATE TABLE a.t from within another database would be left out, and one of another database's from within ours
 * wouldn't. */
void native_append_patterns(char *const *databases, size_t database_count, struct buf *to); /* "a.%,b.%" */
void native_append_filter(char *const *databases, size_t database_count, struct buf *to);

enum err_code native_select(struct connection *connection, const char *name, struct err *err) ERR_MUST_CHECK;
/* Sets up the selected one, stopped. It must be stopped. */
enum err_code native_set_up(struct connection *connection, const struct native_source *source, char *const *databases,
                            size_t database_count, struct err *err) ERR_MUST_CHECK;
enum err_code native_start(struct connection *connection, struct err *err) ERR_MUST_CHECK;
/* Fine if it is stopped, or isn't there. */
enum err_code native_stop(struct connection *connection, struct err *err) ERR_MUST_CHECK;
enum err_code native_remove(struct connection *connection, struct err *err) ERR_MUST_CHECK;

struct native_status {
	bool exists; /* else the rest is empty */
	bool io_runs, io_connects, sql_runs;
	bool is_drained; /* all that was read is applied */
	bool uses_gtid;
	char gtid_mode[16]; /* "No", "Slave_Pos", "Current_Pos" */
	unsigned io_errno, sql_errno;
	char io_error[512], sql_error[512];
	char host[256];
	unsigned port;
	char log_file[256]; /* of the peer's log: applied up to here */
	uint64_t log_position;
	struct vector read;  /* the peer's vector up to which its log was read */
	int64_t lag_seconds; /* -1: not known */
};
enum err_code native_status(struct connection *connection, struct native_status *ret_status, struct err *err)
    ERR_MUST_CHECK;

/* @@gtid_slave_pos: what was applied, domain by domain. */
enum err_code native_position(struct connection *connection, struct vector *ret_position, struct err *err)
    ERR_MUST_CHECK;
/* log_slave_updates: this server's log has what it applies. */
enum err_code native_logs_applied(struct connection *connection, bool *ret, struct err *err) ERR_MUST_CHECK;
/* With more than one peer: what a peer sends of a third's transactions is taken once, whoever sends it first, and a
 * peer may be behind what came from others. Every replication connection of the server must be stopped, unless it is
 * so already. */
enum err_code native_ignore_duplicates(struct connection *connection, struct err *err) ERR_MUST_CHECK;
/* Every replication connection of the server must be stopped. */
enum err_code native_set_position(struct connection *connection, const struct vector *position, struct err *err)
    ERR_MUST_CHECK;

struct native_mark {
	bool is_native; /* @@gtid_slave_pos counts */
	bool is_set_up;
};
/* Makes syncline.engine; syncline must be there (server_prepare). */
enum err_code native_prepare(struct connection *connection, struct err *err) ERR_MUST_CHECK;
enum err_code native_load_mark(struct connection *connection, struct native_mark *ret_mark, struct err *err)
    ERR_MUST_CHECK;
enum err_code native_save_mark(struct connection *connection, const struct native_mark *mark, struct err *err)
    ERR_MUST_CHECK;

#endif
