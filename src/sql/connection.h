/* One connection to a MariaDB server.
 *
 * Used by one thread at a time (connection_abort excepted). How to reach the server stands in a group of the settings
 * file, which Connector/C reads itself: no password passes through here. Connecting and sending have short timeouts, so
 * that a dead server is noticed in seconds.
 *
 * Errors: ERR_DISCONNECTED when the server is away or went away (retry), ERR_BUSY for a deadlock or a lock wait that timed
 * out (retry the transaction), ERR_SERVER with MariaDB's errno and SQLSTATE otherwise.
 */
#ifndef SYNCLINE_SQL_CONNECTION_H
#define SYNCLINE_SQL_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct connection;

struct connection_target {
	const char *file;        /* option file; NULL with socket */
	const char *group;       /* group in it */
	const char *socket;      /* instead of file and group: root through this socket (a lab, a private server) */
	const char *name;        /* for messages: "node 2 (/srv/lab/node2/mariadb.sock)" */
	unsigned read_timeout_s; /* how long an answer may take; 0: for ever, a local server's end closes the socket */
};

struct connection *connection_new(void);
void connection_free(struct connection *connection); /* closes it; accepts NULL */
enum err_code connection_open(struct connection *connection, const struct connection_target *target, struct err *err)
    ERR_MUST_CHECK;
void connection_close(struct connection *connection);
/* connection_open failed since the server knows neither this client's account nor who vouches for its certificate. A
 * client that is already through with its side of TLS may only see the connection end then: `may_be`. */
bool connection_was_refused(const struct err *err, bool *ret_may_be);
bool connection_is_open(const struct connection *connection);
/* From any thread, while the connection is open: makes whatever it waits for fail at once. */
void connection_abort(struct connection *connection);

/* Runs one or several statements (separated by ;) and drops their results. Stops at the first error. */
enum err_code connection_run(struct connection *connection, const char *sql, struct err *err) ERR_MUST_CHECK;
enum err_code connection_run_n(struct connection *connection, const char *sql, size_t size, struct err *err)
    ERR_MUST_CHECK;
/* As connection_run, and copies the first column of the first row of the last result into *ret (cleared first; NULL and
 * no row give an empty text and *ret_found false; ret_found may be NULL). */
enum err_code connection_value(struct connection *connection, const char *sql, size_t size, struct buf *ret,
                               bool *ret_found, struct err *err) ERR_MUST_CHECK;
/* As connection_value, for text that holds BINLOG statements: the server's answer to one doesn't say that more answers
 * follow (applying a rows event clears SERVER_MORE_RESULTS_EXISTS: MariaDB sql/sql_class.cc,
 * THD::reset_for_next_command), so the caller says how many there are; a SELECT within a compound statement at
 * their end, if it is reached, brings one more. */
enum err_code connection_batch(struct connection *connection, const char *sql, size_t size, unsigned statement_count,
                               bool last_is_compound, struct buf *ret, bool *ret_found, struct err *err) ERR_MUST_CHECK;
/* Runs one or several statements and calls row() for each row of each result, with column texts (NULL for SQL NULL) that are borrowed for the call. */
typedef void connection_row(void *context, unsigned column_count, const char *const *columns);
enum err_code connection_query(struct connection *connection, const char *sql, connection_row *row, void *context,
                               struct err *err) ERR_MUST_CHECK;

/* Runs statements of which the last is a SELECT and calls row() for each of its rows as it comes, so that only one is
 * held. The values, NULL for SQL NULL, may have any bytes in them and are borrowed for the call. A row() that doesn't
 * return ERR_OK ends it: its code is returned and the connection is closed, since what is left of the answer can't be
 * passed by. */
typedef enum err_code connection_streamed_row(void *context, unsigned column_count, const char *const *values,
                                              const unsigned long *sizes, struct err *err);
enum err_code connection_stream(struct connection *connection, const char *sql, size_t size,
                                connection_streamed_row *row, void *context, struct err *err) ERR_MUST_CHECK;
/* The same in two steps, so that several servers work at a time: what was sent has to be answered before anything else
 * is asked on this connection. */
enum err_code connection_send(struct connection *connection, const char *sql, size_t size, struct err *err)
    ERR_MUST_CHECK;
enum err_code connection_answer(struct connection *connection, connection_streamed_row *row, void *context,
                                struct err *err) ERR_MUST_CHECK;

/* Appends 'text' quoted and escaped as a SQL string, whatever the sql_mode. */
void sql_append_string(struct buf *to, const char *text, size_t size);
void sql_append_text(struct buf *to, const char *text); /* the same up to its NUL */
/* Appends `name` quoted as an identifier. */
void sql_append_name(struct buf *to, const char *name);

#endif
