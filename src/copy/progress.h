/* A copy's progress for people: a bar on a terminal, else a line now and then.
 *
 * Pure: time comes in. On a terminal the line is drawn over itself, several times a second; elsewhere one is due each
 * 10 s. The rate and the time that is left are those of the last half minute or so, not of the whole, since what was
 * there already goes by faster than what is sent.
 */
#ifndef SYNCLINE_COPY_PROGRESS_H
#define SYNCLINE_COPY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "copy/copy.h"

struct progress {
	bool is_terminal;
	unsigned width;   /* of the terminal, in columns; 0: 80 */
	int64_t drawn_ms; /* -1: never */
	const char *verb; /* what is counted in bytes_sent: "sent" unless set */
	/* Averages, per second. */
	double sent_rate, done_rate;
	struct copy_state last;
};

void progress_init(struct progress *progress, bool is_terminal, unsigned width);
/* Appends the line if it is time for one: after a \r and without \n on a terminal, else with \n. False: nothing to
 * write. */
bool progress_draw(struct progress *progress, const struct copy_state *state, struct buf *to);
/* What ends the line on a terminal: appends "\n" if one was drawn. */
void progress_end(struct progress *progress, struct buf *to);

#endif
