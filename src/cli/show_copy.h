/* Copies the databases of another server to this node's, with a line of progress on standard output (copy/copy.h). */
#ifndef SYNCLINE_CLI_SHOW_COPY_H
#define SYNCLINE_CLI_SHOW_COPY_H

#include "copy/copy.h"

/* Ends with ERR_CANCELLED when a signal came (command_catch_signals). */
enum err_code show_copy(const struct connection_target *from, const struct connection_target *to, size_t database_count,
                        const char *const *databases, struct copy_result *ret, struct err *err) ERR_MUST_CHECK;

#endif
