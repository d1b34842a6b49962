/* Makes what the target lacks and takes away what it has too much, all but rows.
 *
 * make_prepare: databases, sequences with their state, tables as they are to be, and nothing in the rows' way:
 * triggers, and whatever the source doesn't have or has otherwise, are gone. make_finish, when the rows are there: the
 * tables' counters, routines, views, triggers, events. What is equal is left alone. An event that comes is DISABLE ON
 * SLAVE; one that is there keeps its status: it may be this node's own.
 */
#ifndef SYNCLINE_COPY_MAKE_H
#define SYNCLINE_COPY_MAKE_H

#include "copy/job.h"

enum err_code make_prepare(struct copy_job *job, const struct objects *source, struct err *err) ERR_MUST_CHECK;
enum err_code make_finish(struct copy_job *job, const struct objects *source, struct err *err) ERR_MUST_CHECK;

#endif
