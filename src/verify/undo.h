/* Files of SQL that put back what rows were before they were repaired, one a node: run there, unlogged.
 *
 * Mode 0600, never over a file that is there, and on the disk when undo_close has returned. One thread.
 */
#ifndef SYNCLINE_VERIFY_UNDO_H
#define SYNCLINE_VERIFY_UNDO_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { UNDO_NODES_MAX = 64 };

struct undo {
	char *prefix; /* of the files' names: DIR/repair-TIME */
	size_t count;
	struct undo_file {
		uint32_t node;
		int fd;
		char *path;
	} files[UNDO_NODES_MAX];
};

void undo_init(struct undo *undo, const char *dir, int64_t time);
/* A statement for the node's file, which is made with the first. */
enum err_code undo_add(struct undo *undo, uint32_t node, const struct buf *statement, struct err *err) ERR_MUST_CHECK;
/* All of it is on the disk then. */
enum err_code undo_sync(struct undo *undo, struct err *err) ERR_MUST_CHECK;
void undo_done(struct undo *undo); /* closes them */

#endif
