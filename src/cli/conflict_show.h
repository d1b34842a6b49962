/* Conflicts as people read them: the list, and the rows of one side by side. Pure. */
#ifndef SYNCLINE_CLI_CONFLICT_SHOW_H
#define SYNCLINE_CLI_CONFLICT_SHOW_H

#include "admin/conflict.h"

/* Appends a line a conflict; with_database: their ids tell the database, too. "no conflicts" if there are none. */
void conflict_show_list(const struct conflict_list *list, bool with_database, unsigned width, struct buf *to);
/* Appends what happened in words, and a line a column: before both, as it was lost, as it won, as it became. */
void conflict_show(const struct conflict *conflict, unsigned width, struct buf *to);

#endif
