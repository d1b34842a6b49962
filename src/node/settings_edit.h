/* Changes to a settings file that a program makes: the lines that it is about, and nothing else; comments stay. Written whole or not at
 * all, with the owner that it had. A change that the file doesn't load with afterwards is refused. Programs that change it at the same
 * time take turns between settings_edit_begin and settings_edit_end; each function may be called from any thread.
 */
#ifndef SYNCLINE_NODE_SETTINGS_EDIT_H
#define SYNCLINE_NODE_SETTINGS_EDIT_H

#include "base/buf.h"
#include "base/err.h"

/* Sets an option of [syncline] that is there at most once; adds the line where it isn't. */
void settings_edit_set(struct buf *text, const char *name, const char *value);
/* The same in another group; does nothing if that isn't there. */
void settings_edit_set_in(struct buf *text, const char *group, const char *name, const char *value);
/* Appends a group, with its lines; does nothing if it is there. */
void settings_edit_add_group(struct buf *text, const char *group, const char *lines);
/* Takes a group with its lines out, if it is there. */
void settings_edit_remove_group(struct buf *text, const char *group);
/* The option lines of [syncline] of that name, as they stand, one behind the other. */
void settings_edit_lines(const struct buf *text, const char *name, struct buf *to);

enum err_code settings_edit_read(const char *file, struct buf *text, struct err *err) ERR_MUST_CHECK;
enum err_code settings_edit_write(const char *file, const struct buf *text, struct err *err) ERR_MUST_CHECK;

/* One change: read under a lock on the file's folder, then saved or not. Owned by the caller. */
struct settings_edit {
	const char *file; /* borrowed */
	int lock;
	struct buf text;
};

enum err_code settings_edit_begin(struct settings_edit *edit, const char *file, struct err *err) ERR_MUST_CHECK;
enum err_code settings_edit_save(struct settings_edit *edit, struct err *err) ERR_MUST_CHECK;
void settings_edit_end(struct settings_edit *edit); /* after a begin that succeeded */

#endif
