/* How a comparison came out, for people and as JSON (docs/verify.md). Pure but for memory; one thread. */
#ifndef SYNCLINE_CLI_VERIFY_SHOW_H
#define SYNCLINE_CLI_VERIFY_SHOW_H

#include "verify/verify.h"

enum { VERIFY_SHOWN_MAX = 100 }; /* rows of a table that are told one by one */

/* Zeroed at first. Rows beyond VERIFY_SHOWN_MAX of a table are passed over. */
struct verify_shown;
struct verify_shown *verify_shown_new(void);
void verify_shown_free(struct verify_shown *shown); /* accepts NULL */
void verify_shown_add(struct verify_shown *shown, const struct verify_row *row);

/* What is to be known of the nodes that were wished for. */
void verify_show_text(const struct verify_shown *shown, const struct verify_result *result, size_t node_count,
                      const struct verify_node *nodes, struct buf *to);
void verify_show_json(const struct verify_shown *shown, const struct verify_result *result, int64_t time,
                      size_t node_count, const struct verify_node *nodes, struct buf *to);
/* The tables that aren't equal, as JSON: what is kept of it. */
void verify_show_details(const struct verify_result *result, struct buf *to);

#endif
