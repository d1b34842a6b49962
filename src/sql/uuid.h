/* UUIDs, of which a server may store, and log, the parts in another order than it shows them in. As UUID_DIGITS hexadecimal
 * digits without dashes. Pure.
 */
#ifndef SYNCLINE_SQL_UUID_H
#define SYNCLINE_SQL_UUID_H

#include "base/buf.h"

enum { UUID_DIGITS = 32 };

/* Appends x'…' with the bytes in the order in which they are shown, given the one in which they are stored. */
void uuid_append_literal(struct buf *sql, const char *stored);
/* Appends the digits in the order in which they are stored, given the one in which they are shown. */
void uuid_append_stored(struct buf *to, const char *shown);

#endif
