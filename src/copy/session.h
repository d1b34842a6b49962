/* The two sessions of a copy: how values are shown and taken, what the source's account may do, and the snapshot.
 *
 * Both sessions have the same time zone, sql_mode and character sets, and get values as bytes, unconverted, so that
 * what one shows the other takes, and equal rows have equal digests.
 */
#ifndef SYNCLINE_COPY_SESSION_H
#define SYNCLINE_COPY_SESSION_H

#include <stdbool.h>

#include "binlog/gtid.h"
#include "sql/connection.h"

#define COPY_SAVEPOINT "syncline_copy"
/* Before a statement of the snapshot's transaction: lets go of the metadata locks of those before it, if the account
 * has BINLOG ADMIN. */
#define COPY_LET_GO "ROLLBACK TO SAVEPOINT " COPY_SAVEPOINT ";"

enum err_code session_open_source(struct connection *source, const struct connection_target *target, struct err *err)
    ERR_MUST_CHECK;
enum err_code session_open_target(struct connection *to, const struct connection_target *target, struct err *err)
    ERR_MUST_CHECK;
/* Keeps other copies out for as long as the session lives, and waits for what a killed one left behind. ERR_BUSY. */
enum err_code session_lock_target(struct connection *to, const char *name, struct err *err) ERR_MUST_CHECK;
/* As the target's session is for rows: what made an object may have changed it. */
enum err_code session_reset_target(struct connection *to, struct err *err) ERR_MUST_CHECK;

/* ERR_CONFIG with the GRANT that is missing. */
enum err_code session_check_privileges(struct connection *source, const char *name, size_t database_count,
                                       const char *const *databases, struct err *err) ERR_MUST_CHECK;

/* The same for one that only reads rows. `purpose`, for the message: "comparing the nodes". */
enum err_code session_check_select(struct connection *source, const char *name, const char *purpose,
                                   size_t database_count, const char *const *databases, struct err *err) ERR_MUST_CHECK;

/* A place in a server's log. */
struct session_place {
	char file[512];
	char position[32];
};

/* Begins the transaction; *place is where in the log it is, up to which it sees all. */
enum err_code session_begin(struct connection *source, const char *name, struct session_place *place, struct err *err)
    ERR_MUST_CHECK;
/* The same; *ret is the vector of what it sees. */
enum err_code session_snapshot(struct connection *source, const char *name, struct vector *ret, struct err *err)
    ERR_MUST_CHECK;
/* Whether a server refused since something was altered, or went, after it was looked at. */
bool session_is_altered(const struct err *err);

#endif
