/* The rows of one table, from the snapshot into the target.
 *
 * As long as the target has rows further on in the key, chunk by chunk: the chunk's end is asked of the source, both
 * servers hash the chunk, and where they differ the target's rows of this range are replaced by the source's in one
 * transaction. The first chunk has no beginning and the last no end, so rows that only the target has go as well.
 * Where the target has no more rows, the rest is streamed and committed about every MiB.
 *
 * A row of the source may meet one of the target further on that has its unique value: REPLACE deletes that one, whose
 * own chunk differs then. It can't be one that was copied already, since the source's rows have no value twice.
 */
#ifndef SYNCLINE_COPY_ROWS_H
#define SYNCLINE_COPY_ROWS_H

#include "copy/job.h"

enum err_code rows_copy(struct copy_job *job, const struct object *table, struct err *err) ERR_MUST_CHECK;

#endif
