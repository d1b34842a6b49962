/* Small files written whole, and folders removed whole. */
#ifndef SYNCLINE_NODE_FILES_H
#define SYNCLINE_NODE_FILES_H

#include "base/buf.h"
#include "base/err.h"

/* Writes the file under another name, then renames it: the old one or the new one is there, nothing between. Mode 0600. */
enum err_code files_write(const char *path, const struct buf *text, struct err *err) ERR_MUST_CHECK;
/* Reads the last `limit` bytes of it into *ret (cleared first). */
enum err_code files_read_tail(const char *path, size_t limit, struct buf *ret, struct err *err) ERR_MUST_CHECK;
/* Removes the folder and everything in it; never follows a symbolic link. It need not be there. */
enum err_code files_remove_tree(const char *path, struct err *err) ERR_MUST_CHECK;

#endif
