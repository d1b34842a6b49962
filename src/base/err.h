/* Errors: one code, one line of text.
 *
 * A function that can fail returns an enum err_code and fills the caller's struct err with one line that says
 * what failed, where, and how to mend it. ERR_OK is 0. On failure every `ret_` output is untouched.
 * Library code never logs an error; whoever can act on it does (the link, a command), once.
 * The struct is plain data owned by the caller; nothing in it is allocated.
 */
#ifndef SYNCLINE_BASE_ERR_H
#define SYNCLINE_BASE_ERR_H

#include <stdbool.h>

/* X(name, retryable, text): retryable means that the same call may succeed later without anybody's help. */
#define ERR_CODES(X)                                                                                                   \
	X(ERR_OK, false, "ok")                                                                                             \
	X(ERR_USAGE, false, "wrong use")                                                                                   \
	X(ERR_CONFIG, false, "wrong setting")                                                                              \
	X(ERR_IO, false, "input/output error")                                                                             \
	X(ERR_DISCONNECTED, true, "connection lost")                                                                       \
	X(ERR_SERVER, false, "the server refused")                                                                         \
	X(ERR_BUSY, true, "locked by others")                                                                              \
	X(ERR_MALFORMED, false, "malformed data")                                                                          \
	X(ERR_UNSUPPORTED, false, "not supported")                                                                         \
	X(ERR_GONE, false, "no longer in the log")                                                                         \
	X(ERR_CONFLICT, false, "conflict")                                                                                 \
	X(ERR_TIMEOUT, true, "timed out")                                                                                  \
	X(ERR_CANCELLED, true, "cancelled")

enum err_code {
#define X(name, retryable, text) name,
	ERR_CODES(X)
#undef X
};

struct err {
	enum err_code code;
	unsigned server_errno; /* MariaDB's error number, 0 when the error isn't a server's */
	char sqlstate[6];
	char message[768];
};

#define ERR_MUST_CHECK __attribute__((warn_unused_result))

/* Fills *err (may be NULL) and returns code, so that a failing function can `return err_set(…)`. */
enum err_code err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "text: " before the message there is, on the way up. Returns err->code (ERR_OK if err is NULL). */
enum err_code err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool err_retryable(enum err_code code);
const char *err_text(enum err_code code);

#endif
