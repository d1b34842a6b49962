/* Texts in columns, for a terminal: as wide as they need to be, cut where that is wider than there is room for.
 *
 * What a cell is given may be anything, a stranger's text too: control characters and bytes that are no UTF-8 are shown
 * as escapes, so that nothing of it acts on the terminal. Pure; one thread.
 */
#ifndef SYNCLINE_CLI_GRID_H
#define SYNCLINE_CLI_GRID_H

#include <stddef.h>

#include "base/buf.h"

enum { GRID_COLUMNS_MAX = 16 };

struct grid {
	unsigned column_count; /* set by the owner, the rest zeroed */
	size_t cell_count;
	char **cells; /* owned; row by row */
};

/* The next cell, from left to right, a row below the other. */
void grid_add(struct grid *grid, const char *text);
/* Appends the rows, which are then full. The columns share `width` places; the widest ones give way, down to a few. */
void grid_format(const struct grid *grid, unsigned width, struct buf *to);
void grid_free(struct grid *grid);

/* Appends the text as a cell shows it, on one line. */
void grid_append_clean(struct buf *to, const char *text);
/* How many places of a terminal it takes: none for a combining mark, two for a Chinese character. */
unsigned grid_text_width(const char *text);

#endif
