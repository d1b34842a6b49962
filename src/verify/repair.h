/* Makes rows that a comparison found to differ equal to one node's.
 *
 * All is written on the node it runs on, as ordinary transactions that are logged under its own GTIDs and reach every
 * other node. What a transaction meets there decides how it has to look, since a change that finds another row than it
 * expects is recorded as a conflict, and one that changes nothing isn't logged at all. docs/verify.md has the table.
 * A row is read again, on all nodes, before it is written, and passed by if it isn't what the comparison saw.
 *
 * One thread. The rows are collected while the comparison runs (repair_add) and borrow nothing from it.
 */
#ifndef SYNCLINE_VERIFY_REPAIR_H
#define SYNCLINE_VERIFY_REPAIR_H

#include "verify/undo.h"
#include "verify/verify.h"

enum { REPAIR_ROWS_MAX = 10000 };

struct repair_row;
struct repair {
	size_t count, left_out; /* beyond REPAIR_ROWS_MAX */
	struct repair_row *rows;
	size_t node_count;
	uint32_t nodes[64];
};

/* What was, or would be, done about one row; texts are borrowed for the call. */
struct repair_report {
	const char *database, *table, *key;
	uint32_t winner;     /* 0: nobody was chosen */
	const char *what;    /* "insert", "update", "delete", "send": it is right here, and sent to the others */
	const char *change;  /* column by column; NULL: nothing is changed here */
	const char *why_not; /* NULL: it was done, or would be */
};

struct repair_wish {
	const struct verify_wish *verify;
	bool apply;
	const char *undo_dir;
	/* Whose row is right: a node, or 0 and why nobody can tell. */
	uint32_t (*choose)(void *context, const char *database, const char *table, const char **ret_why);
	void (*report)(void *context, const struct repair_report *report);
	void *context;
};

struct repair_result {
	uint64_t done, not_done;
};

void repair_add(struct repair *repair, const struct verify_row *row); /* repair: zeroed at first */
void repair_free(struct repair *repair);
/* `undo`: zeroed; its files are made, and on the disk, before anything is changed. undo_done also after an error. */
enum err_code repair_run(const struct repair *repair, const struct repair_wish *wish, struct undo *undo,
                         struct repair_result *ret, struct err *err) ERR_MUST_CHECK;

#endif
