#include "node/settings_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/settings_edit.h"
#include "node/tls.h"

static const char blanks[] = " \t\r";

static const char *content_of(const char *line)
{
	return line + strspn(line, blanks);
}

static bool is_engine(const char *line)
{
	const char *name = content_of(line);
	return strncmp(name, "engine", 6) == 0 && *content_of(name + 6) == '=';
}

/* Where the line's end begins: "\n", "\r\n" or nothing at the end of the file. */
static size_t content_size(const char *line, size_t size)
{
	if (size > 0 && line[size - 1] == '\n')
		size--;
	if (size > 0 && line[size - 1] == '\r')
		size--;
	return size;
}

/* Whether [syncline] has such a line, and where: the offset of the line, or of the one behind the group's name. */
static bool find_engine(const char *text, size_t *ret_at)
{
	bool in_group = false;
	for (const char *line = text, *next; *line != '\0'; line = next) {
		size_t size = strcspn(line, "\n");
		next = line + size + (line[size] == '\n');
		if (*content_of(line) == '[') {
			in_group = strncmp(content_of(line), "[syncline]", 10) == 0;
			if (in_group)
				*ret_at = (size_t)(next - text);
		} else if (in_group && is_engine(line)) {
			*ret_at = (size_t)(line - text);
			return true;
		}
	}
	return false;
}

void settings_engine_edit(const char *text, enum settings_engine engine, struct buf *to)
{
	size_t at = 0;
	bool found = find_engine(text, &at);
	const char *line = text + at;
	buf_append(to, text, at);
	if (!found) {
		bool crlf = at >= 2 && text[at - 2] == '\r';
		buf_printf(to, "%sengine = %s%s", at > 0 && text[at - 1] != '\n' ? "\n" : "", settings_engine_name(engine),
		           crlf ? "\r\n" : "\n");
	} else {
		size_t size = strcspn(line, "\n");
		size_t equals = strcspn(line, "=") + 1;
		size_t content = content_size(line, size);
		size_t value = equals + strspn(line + equals, " \t");
		buf_append(to, line, value < content ? value : equals);
		buf_append_str(to, settings_engine_name(engine));
		line += content;
	}
	buf_append_str(to, line);
}

enum err_code settings_engine_write(const char *file, enum settings_engine engine, struct err *err)
{
	struct settings_edit edit;
	struct buf edited = {0};
	char *path = realpath(file, NULL);
	if (path == NULL)
		return err_set(err, ERR_IO, "%s: can't find the settings: %s", file, strerror(errno));
	enum err_code code = settings_edit_begin(&edit, path, err);
	if (code == ERR_OK) {
		settings_engine_edit(buf_str(&edit.text), engine, &edited);
		tls_wipe(&edit.text);
		edit.text = edited;
		code = settings_edit_save(&edit, err);
		settings_edit_end(&edit);
	}
	free(path);
	return code;
}
