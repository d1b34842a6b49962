/* Small files written whole, and folders removed whole. */
#ifndef SYNCLINE_NODE_FILES_H
#define SYNCLINE_NODE_FILES_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct files_owner {
	uid_t uid;
	gid_t gid;
};

/* Writes the file under another name, then renames it: the old one or the new one is there, nothing between. Mode
 * 0600. */
enum err_code files_write(const char *path, const struct buf *text, struct err *err) ERR_MUST_CHECK;
/* Its two halves, for several files that belong together: the draft PATH.new, which replaces whatever has that name and
 * never follows a link, and its renaming. `owner` may be NULL: whoever calls. */
enum err_code files_draft(const char *path, const struct buf *text, mode_t mode, const struct files_owner *owner,
                          struct err *err) ERR_MUST_CHECK;
enum err_code files_put(const char *path, struct err *err) ERR_MUST_CHECK;
void files_drop(const char *path); /* removes the draft, if there is one */
/* Reads the last `limit` bytes of it into *ret (cleared first). */
enum err_code files_read_tail(const char *path, size_t limit, struct buf *ret, struct err *err) ERR_MUST_CHECK;
/* Removes the folder and everything in it; never follows a symbolic link. It need not be there. */
enum err_code files_remove_tree(const char *path, struct err *err) ERR_MUST_CHECK;

#endif
