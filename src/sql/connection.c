#include "sql/connection.h"

#include <errmsg.h>
#include <errno.h>
#include <fcntl.h>
#include <mysqld_error.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "sql/connection_internal.h"
#include "sql/hide.h"

enum { CONNECT_TIMEOUT_S = 3, WRITE_TIMEOUT_S = 10 };

struct connection {
	MYSQL *mysql; /* NULL while closed */
	char *name;
	pthread_mutex_t lock; /* guards what is below */
	/* The connection's socket once more, for connection_abort, -1 while closed. Connector/C frees its own, at any moment and
	 * unasked, in the thread whose query finds the connection lost. */
	int socket;
};

static void library_init(void)
{
	/* Not thread-safe by itself, says the manual of mysql_library_init. */
	mysql_library_init(0, NULL, NULL);
}

struct connection *connection_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, library_init);
	struct connection *c = mem_alloc(sizeof *c);
	c->socket = -1;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void connection_close(struct connection *c)
{
	pthread_mutex_lock(&c->lock);
	if (c->socket >= 0)
		close(c->socket);
	c->socket = -1;
	pthread_mutex_unlock(&c->lock);
	if (c->mysql != NULL)
		mysql_close(c->mysql);
	c->mysql = NULL;
}

void connection_free(struct connection *c)
{
	if (c == NULL)
		return;
	connection_close(c);
	pthread_mutex_destroy(&c->lock);
	free(c->name);
	free(c);
}

bool connection_is_open(const struct connection *c)
{
	return c->mysql != NULL;
}

MYSQL *connection_mysql(struct connection *c)
{
	return c->mysql;
}

void connection_abort(struct connection *c)
{
	pthread_mutex_lock(&c->lock);
	if (c->socket >= 0)
		shutdown(c->socket, SHUT_RDWR);
	pthread_mutex_unlock(&c->lock);
}

static bool is_lost(unsigned number)
{
	switch (number) {
	case CR_SERVER_LOST:
	case CR_SERVER_GONE_ERROR:
	case CR_CONN_HOST_ERROR:
	case CR_CONNECTION_ERROR:
	case CR_SERVER_LOST_EXTENDED:
	case CR_UNKNOWN_HOST:
	case CR_IPSOCK_ERROR:
	case CR_SOCKET_CREATE_ERROR:
	case CR_MALFORMED_PACKET:
	case CR_SSL_CONNECTION_ERROR: /* a cut cable, too, while TLS reads */
	case ER_SERVER_SHUTDOWN:
	case ER_NORMAL_SHUTDOWN:
	case ER_CONNECTION_KILLED:
	case ER_NEW_ABORTING_CONNECTION:
	case ER_ABORTING_CONNECTION:
	case ER_CON_COUNT_ERROR:
	case ER_QUERY_INTERRUPTED:
		return true;
	default:
		return false;
	}
}

static enum err_code error_from(MYSQL *mysql, const char *name, struct err *err)
{
	unsigned number = mysql_errno(mysql);
	enum err_code code = ERR_SERVER;
	if (is_lost(number))
		code = ERR_DISCONNECTED;
	else if (number == ER_LOCK_DEADLOCK || number == ER_LOCK_WAIT_TIMEOUT || number == ER_CHECKREAD)
		code = ERR_BUSY;
	struct buf message = {0};
	hide_values(number, mysql_error(mysql), &message);
	err_set(err, code, "%s: %s (%u, %s)", name, buf_str(&message), number, mysql_sqlstate(mysql));
	buf_free(&message);
	if (err != NULL) {
		err->server_errno = number;
		memcpy(err->sqlstate, mysql_sqlstate(mysql), 5);
	}
	return code;
}

/* As OpenSSL names the alert (seen with Debian's Connector/C 10.11.19); with GnuTLS it wasn't tried. */
bool connection_was_refused(const struct err *err, bool *ret_may_be)
{
	*ret_may_be = err->server_errno == CR_SERVER_LOST_EXTENDED || err->server_errno == CR_SERVER_LOST;
	return err->server_errno == ER_ACCESS_DENIED_ERROR ||
	       (err->server_errno == CR_SSL_CONNECTION_ERROR &&
	        (strstr(err->message, "alert unknown ca") || strstr(err->message, "fatal alert has been received")));
}

enum err_code connection_error(struct connection *c, struct err *err)
{
	if (c->mysql == NULL)
		return err_set(err, ERR_DISCONNECTED, "%s: not connected", c->name ? c->name : "the server");
	enum err_code code = error_from(c->mysql, c->name, err);
	if (code == ERR_DISCONNECTED)
		connection_close(c);
	return code;
}

enum err_code connection_open(struct connection *c, const struct connection_target *target, struct err *err)
{
	connection_close(c);
	free(c->name);
	c->name = mem_strdup(target->name ? target->name : target->socket ? target->socket : target->group);
	MYSQL *mysql = mysql_init(NULL);
	if (mysql == NULL)
		return err_set(err, ERR_DISCONNECTED, "%s: out of memory", c->name);
	unsigned connect_s = CONNECT_TIMEOUT_S, write_s = WRITE_TIMEOUT_S, read_s = target->read_timeout_s;
	mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
	mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &write_s);
	if (read_s > 0)
		mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &read_s);
	mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	if (target->file != NULL) {
		mysql_options(mysql, MYSQL_READ_DEFAULT_FILE, target->file);
		mysql_options(mysql, MYSQL_READ_DEFAULT_GROUP, target->group);
	}
	if (mysql_real_connect(mysql, NULL, target->socket ? "root" : NULL, NULL, NULL, 0, target->socket,
	                       CLIENT_MULTI_STATEMENTS) == NULL) {
		enum err_code code = error_from(mysql, c->name, err);
		mysql_close(mysql);
		return code;
	}
	c->mysql = mysql;
	int socket = fcntl(mysql_get_socket(mysql), F_DUPFD_CLOEXEC, 0);
	if (socket < 0) {
		err_set(err, ERR_IO, "%s: no second handle of its socket: %s", c->name, strerror(errno));
		connection_close(c);
		return ERR_IO;
	}
	pthread_mutex_lock(&c->lock);
	c->socket = socket;
	pthread_mutex_unlock(&c->lock);
	return ERR_OK;
}

/* Keeps the first value of a result when somebody wants it. */
static void take_value(MYSQL_RES *result, struct buf *ret, bool *ret_found)
{
	MYSQL_ROW row = mysql_fetch_row(result);
	buf_clear(ret);
	*ret_found = row != NULL && row[0] != NULL;
	if (*ret_found)
		buf_append(ret, row[0], mysql_fetch_lengths(result)[0]);
}

/* answer_count 0: as many as the server says. in_compound: a result set comes from within the last statement, whose own answer
 * is yet to come. */
static enum err_code run_all(struct connection *c, const char *sql, size_t size, unsigned answer_count,
                             bool in_compound, struct buf *value, bool *found, struct err *err)
{
	if (c->mysql == NULL || mysql_real_query(c->mysql, sql, size) != 0)
		return connection_error(c, err);
	for (unsigned i = 1;; i++) {
		MYSQL_RES *result = mysql_store_result(c->mysql);
		if (result != NULL && value != NULL)
			take_value(result, value, found);
		mysql_free_result(result);
		if (mysql_errno(c->mysql) != 0)
			return connection_error(c, err);
		if (i < answer_count || (in_compound && result != NULL))
			c->mysql->server_status |= SERVER_MORE_RESULTS_EXIST;
		int more = mysql_next_result(c->mysql);
		if (more < 0)
			return ERR_OK;
		if (more > 0)
			return connection_error(c, err);
	}
}

enum err_code connection_run_n(struct connection *c, const char *sql, size_t size, struct err *err)
{
	return run_all(c, sql, size, 0, false, NULL, NULL, err);
}

enum err_code connection_run(struct connection *c, const char *sql, struct err *err)
{
	return run_all(c, sql, strlen(sql), 0, false, NULL, NULL, err);
}

enum err_code connection_value(struct connection *c, const char *sql, size_t size, struct buf *ret, bool *ret_found,
                               struct err *err)
{
	bool found = false;
	buf_clear(ret);
	enum err_code code = run_all(c, sql, size, 0, false, ret, &found, err);
	if (code == ERR_OK && ret_found != NULL)
		*ret_found = found;
	return code;
}

enum err_code connection_batch(struct connection *c, const char *sql, size_t size, unsigned statement_count,
                               bool last_is_compound, struct buf *ret, bool *ret_found, struct err *err)
{
	bool found = false;
	buf_clear(ret);
	enum err_code code = run_all(c, sql, size, statement_count, last_is_compound, ret, &found, err);
	if (code == ERR_OK)
		*ret_found = found;
	return code;
}

enum err_code connection_query(struct connection *c, const char *sql, connection_row *row, void *context,
                               struct err *err)
{
	if (c->mysql == NULL || mysql_real_query(c->mysql, sql, strlen(sql)) != 0)
		return connection_error(c, err);
	for (int more = 0; more == 0;) {
		MYSQL_RES *result = mysql_store_result(c->mysql);
		if (result == NULL && mysql_errno(c->mysql) != 0)
			return connection_error(c, err);
		MYSQL_ROW columns;
		while (result != NULL && (columns = mysql_fetch_row(result)) != NULL)
			row(context, mysql_num_fields(result), (const char *const *)columns);
		mysql_free_result(result);
		more = mysql_next_result(c->mysql);
		if (more > 0)
			return connection_error(c, err);
	}
	return ERR_OK;
}

/* To the answer that has rows, the last one. */
static enum err_code skip_to_rows(struct connection *c, struct err *err)
{
	while (mysql_field_count(c->mysql) == 0) {
		int more = mysql_next_result(c->mysql);
		if (more > 0)
			return connection_error(c, err);
		if (more < 0)
			return err_set(err, ERR_USAGE, "%s: a statement without rows can't be streamed", c->name);
	}
	return ERR_OK;
}

static enum err_code stream_rows(struct connection *c, connection_streamed_row *row, void *context, struct err *err)
{
	enum err_code code = skip_to_rows(c, err);
	if (code != ERR_OK)
		return code;
	MYSQL_RES *result = mysql_use_result(c->mysql);
	if (result == NULL)
		return connection_error(c, err);
	MYSQL_ROW values;
	while (code == ERR_OK && (values = mysql_fetch_row(result)) != NULL)
		code = row(context, mysql_num_fields(result), (const char *const *)values, mysql_fetch_lengths(result), err);
	if (code != ERR_OK)
		connection_abort(c); /* or freeing the result would read it to its end */
	mysql_free_result(result);
	if (code != ERR_OK)
		connection_close(c);
	else if (mysql_errno(c->mysql) != 0)
		code = connection_error(c, err);
	return code;
}

enum err_code connection_stream(struct connection *c, const char *sql, size_t size, connection_streamed_row *row,
                                void *context, struct err *err)
{
	if (c->mysql == NULL || mysql_real_query(c->mysql, sql, size) != 0)
		return connection_error(c, err);
	return stream_rows(c, row, context, err);
}

enum err_code connection_send(struct connection *c, const char *sql, size_t size, struct err *err)
{
	if (c->mysql == NULL || mysql_send_query(c->mysql, sql, size) != 0)
		return connection_error(c, err);
	return ERR_OK;
}

enum err_code connection_answer(struct connection *c, connection_streamed_row *row, void *context, struct err *err)
{
	if (c->mysql == NULL || mysql_read_query_result(c->mysql) != 0)
		return connection_error(c, err);
	return stream_rows(c, row, context, err);
}

void sql_append_string(struct buf *to, const char *text, size_t size)
{
	/* A hexadecimal literal needs no escaping in any sql_mode and any character set (MariaDB manual, "Hexadecimal
	 * Literals"); it compares and converts as the string that it stands for. */
	static const char digits[] = "0123456789abcdef";
	if (size == 0) {
		buf_append_str(to, "''");
		return;
	}
	buf_append_str(to, "x'");
	uint8_t *at = buf_reserve(to, size * 2);
	for (size_t i = 0; i < size; i++) {
		*at++ = (uint8_t)digits[(uint8_t)text[i] >> 4];
		*at++ = (uint8_t)digits[(uint8_t)text[i] & 15];
	}
	to->size += size * 2;
	buf_append_str(to, "'");
}

void sql_append_text(struct buf *to, const char *text)
{
	sql_append_string(to, text, strlen(text));
}

void sql_append_name(struct buf *to, const char *name)
{
	buf_append_u8(to, '`');
	for (; *name != '\0'; name++) {
		if (*name == '`')
			buf_append_u8(to, '`');
		buf_append_u8(to, (uint8_t)*name);
	}
	buf_append_u8(to, '`');
}
