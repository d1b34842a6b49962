/* One line of a settings file changed, the rest of it left as somebody wrote it: order, comments, blanks, line ends.
 *
 * settings_engine_edit is pure; settings_engine_write changes the file as node/settings_edit.h does. A symbolic link is
 * followed.
 */
#ifndef SYNCLINE_NODE_SETTINGS_ENGINE_H
#define SYNCLINE_NODE_SETTINGS_ENGINE_H

#include "base/buf.h"
#include "base/err.h"
#include "node/settings.h"

/* Appends to *to the text with engine = ENGINE: the line that is there changed, or else one added at the top of
 * [syncline]. The text must be a settings file that settings_load takes. */
void settings_engine_edit(const char *text, enum settings_engine engine, struct buf *to);
enum err_code settings_engine_write(const char *file, enum settings_engine engine, struct err *err) ERR_MUST_CHECK;

#endif
