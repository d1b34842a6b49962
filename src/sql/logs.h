/* A server's binary log as files: which there are, where each begins, and taking the oldest away.
 *
 * Each function uses the connection it is given. To list takes the privilege BINLOG MONITOR, to purge BINLOG ADMIN.
 */
#ifndef SYNCLINE_SQL_LOGS_H
#define SYNCLINE_SQL_LOGS_H

#include "binlog/gtid.h"
#include "sql/connection.h"

enum { LOGS_NAME_MAX = 512 };

struct logs_file {
	char name[LOGS_NAME_MAX];
	uint64_t bytes;
};

struct logs {
	size_t count;
	struct logs_file *files; /* the oldest first; the last one is being written */
};

/* Into a list that was there before: emptied first. */
enum err_code logs_list(struct connection *connection, struct logs *ret_logs, struct err *err) ERR_MUST_CHECK;
/* The last one alone, which costs the server less. */
enum err_code logs_last(struct connection *connection, struct logs *ret_logs, struct err *err) ERR_MUST_CHECK;
void logs_free(struct logs *logs); /* accepts a zeroed one */
/* The log's vector where this file begins: all up to there is in older files. */
enum err_code logs_start(struct connection *connection, const char *file, struct vector *ret_vector, struct err *err)
    ERR_MUST_CHECK;
/* Removes the files ahead of this one. The server leaves what somebody reads, and all behind it, without a word
 * (MariaDB sql/log.cc, can_purge_log): list again to see what is gone. */
enum err_code logs_purge(struct connection *connection, const char *file, struct err *err) ERR_MUST_CHECK;
/* Appends the settings by which the server takes files away itself, "binlog_expire_logs_seconds = 864000"; nothing if
 * it doesn't. */
enum err_code logs_expiry(struct connection *connection, struct buf *to, struct err *err) ERR_MUST_CHECK;
/* Appends the folder that the files are in, as the server's machine names it. */
enum err_code logs_folder(struct connection *connection, struct buf *to, struct err *err) ERR_MUST_CHECK;

#endif
