/* A node's status as text for people: one screen. Pure, so time comes in from outside. */
#ifndef SYNCLINE_CLI_STATUS_TEXT_H
#define SYNCLINE_CLI_STATUS_TEXT_H

#include "cli/node_status.h"

/* Lines of text, each ended. */
void status_text(const struct node_status *status, int64_t now_s, struct buf *to);
/* "42 s", "3 min", "12 h", "5 days"; "-" for a negative one. */
const char *status_text_duration(int64_t seconds, char text[32]);
/* "512 bytes", "3.2 MiB". */
const char *status_text_bytes(int64_t bytes, char text[32]);
/* "offline": the peer can't be reached, which is a normal state. Else the state as the document has it, or "paused". */
const char *status_text_state(const struct link_status *link);

#endif
