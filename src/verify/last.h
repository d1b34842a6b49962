/* How the last comparison on this node came out: syncline.verified, one row, never logged.
 *
 * Each function uses the connection it is given. Saving takes what an administrator may.
 */
#ifndef SYNCLINE_VERIFY_LAST_H
#define SYNCLINE_VERIFY_LAST_H

#include <stdbool.h>
#include <stdint.h>

#include "verify/verify.h"

struct verified {
	bool is_known; /* it was run, to its end */
	int64_t time;  /* when it ended, seconds since 1970 */
	enum verify_verdict verdict;
	uint64_t tables, rows, different_rows;
};

/* Makes the table if need be. `details`: JSON, short. */
enum err_code verified_save(struct connection *connection, const struct verified *verified, const char *details,
                            struct err *err) ERR_MUST_CHECK;
/* Not known where it was never run. */
enum err_code verified_load(struct connection *connection, struct verified *ret, struct err *err) ERR_MUST_CHECK;

#endif
