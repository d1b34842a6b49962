/* Writes a row that lost again: an ordinary transaction of this node, which replicates as any other.
 *
 * Either all of it is done or nothing: the row, and `resolved` of the record. It looks at the table as it is now, not
 * as it was when the record was made: what doesn't fit any more is refused with a line that says what is in the way.
 */
#ifndef SYNCLINE_CLI_CONFLICT_UNDO_H
#define SYNCLINE_CLI_CONFLICT_UNDO_H

#include "admin/conflict.h"

/* again: even if it is resolved already. Appends to `report` what was there before and what was written. */
enum err_code conflict_undo(struct connection *connection, const struct conflict *conflict, bool again, unsigned width,
                            struct buf *report, struct err *err) ERR_MUST_CHECK;

#endif
