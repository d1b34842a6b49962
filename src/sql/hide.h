/* Server errors quote what they are about: "Duplicate entry 'ana@example.org' for key 'mail'". Such a text gets into
 * logs, into status and to monitoring, where a row's contents have no business. Pure.
 */
#ifndef SYNCLINE_SQL_HIDE_H
#define SYNCLINE_SQL_HIDE_H

#include <stddef.h>

#include "base/buf.h"

/* Appends the message of the error `number`, with "…" for values of rows and for statements' texts. Names stay. */
void hide_values(unsigned number, const char *message, struct buf *to);

#endif
