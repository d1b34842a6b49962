#include "node/settings_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "node/files.h"
#include "node/settings.h"
#include "node/tls.h"

enum { FILE_BYTES_MAX = 1 << 20 };

/* One line of the text, without its end. */
struct line {
	const char *start;
	size_t size;
	size_t at, next; /* where it is, where the next one is */
};

static bool next_line(const struct buf *text, size_t at, struct line *ret)
{
	if (at >= text->size)
		return false;
	const char *start = (const char *)text->data + at;
	const char *end = memchr(start, '\n', text->size - at);
	size_t size = end ? (size_t)(end - start) : text->size - at;
	*ret = (struct line){.start = start, .size = size, .at = at, .next = at + size + (end != NULL)};
	return true;
}

static bool is_group(const struct line *l, const char *group)
{
	size_t size = strlen(group);
	const char *c = l->start;
	size_t n = l->size;
	for (; n > 0 && (*c == ' ' || *c == '\t'); n--)
		c++;
	return n >= size + 2 && c[0] == '[' && memcmp(c + 1, group, size) == 0 && c[1 + size] == ']';
}

static bool opens_group(const struct line *l)
{
	size_t i = 0;
	while (i < l->size && (l->start[i] == ' ' || l->start[i] == '\t'))
		i++;
	return i < l->size && l->start[i] == '[';
}

/* As in MariaDB, - and _ in a name are the same. */
static bool is_option(const struct line *l, const char *name)
{
	size_t i = 0;
	while (i < l->size && (l->start[i] == ' ' || l->start[i] == '\t'))
		i++;
	for (; *name != 0; name++, i++)
		if (i >= l->size || (l->start[i] == '_' ? '-' : l->start[i]) != *name)
			return false;
	while (i < l->size && (l->start[i] == ' ' || l->start[i] == '\t'))
		i++;
	return i < l->size && l->start[i] == '=';
}

static void replace(struct buf *text, size_t from, size_t to, const char *with)
{
	struct buf whole = {0};
	buf_append(&whole, text->data, from);
	buf_append_str(&whole, with);
	buf_append(&whole, text->data + to, text->size - to);
	buf_free(text);
	*text = whole;
}

void settings_edit_set_in(struct buf *text, const char *group, const char *name, const char *value)
{
	struct line l;
	size_t behind = 0; /* the group's first line */
	bool inside = false;
	struct buf written = {0};
	settings_append_option(&written, name, value);
	for (size_t at = 0; next_line(text, at, &l); at = l.next) {
		if (opens_group(&l))
			inside = is_group(&l, group);
		if (inside && is_option(&l, name)) {
			replace(text, l.at, l.next, buf_str(&written));
			buf_free(&written);
			return;
		}
		if (inside && behind == 0)
			behind = l.next;
	}
	if (behind > 0)
		replace(text, behind, behind, buf_str(&written));
	buf_free(&written);
}

void settings_edit_set(struct buf *text, const char *name, const char *value)
{
	settings_edit_set_in(text, "syncline", name, value);
}

void settings_edit_add_group(struct buf *text, const char *group, const char *lines)
{
	struct line l;
	for (size_t at = 0; next_line(text, at, &l); at = l.next)
		if (is_group(&l, group))
			return;
	buf_printf(text, "%s\n[%s]\n%s", text->size > 0 && text->data[text->size - 1] != '\n' ? "\n" : "", group, lines);
}

void settings_edit_remove_group(struct buf *text, const char *group)
{
	struct line l;
	size_t from = text->size, to = text->size;
	for (size_t at = 0; next_line(text, at, &l); at = l.next) {
		if (from < text->size && opens_group(&l)) {
			to = l.at;
			break;
		}
		if (is_group(&l, group))
			from = l.at;
	}
	if (from < text->size)
		replace(text, from, to, "");
}

void settings_edit_lines(const struct buf *text, const char *name, struct buf *to)
{
	struct line l;
	bool inside = false;
	for (size_t at = 0; next_line(text, at, &l); at = l.next) {
		if (opens_group(&l))
			inside = is_group(&l, "syncline");
		if (!inside || !is_option(&l, name))
			continue;
		buf_append(to, l.start, l.size);
		buf_append_str(to, "\n");
	}
}

enum err_code settings_edit_read(const char *file, struct buf *text, struct err *err)
{
	return files_read_tail(file, FILE_BYTES_MAX, text, err);
}

enum err_code settings_edit_write(const char *file, const struct buf *text, struct err *err)
{
	struct settings settings = {0};
	char *draft = mem_printf("%s.try", file);
	enum err_code code = files_write(draft, text, err);
	if (code == ERR_OK && (code = settings_load(draft, &settings, err)) == ERR_OK)
		settings_free(&settings);
	unlink(draft);
	free(draft);
	if (code != ERR_OK)
		return code;
	struct stat st;
	if (stat(file, &st) != 0)
		return files_write(file, text, err);
	struct files_owner owner = {.uid = st.st_uid, .gid = st.st_gid}; /* the daemon's, also when root edits it */
	code = files_draft(file, text, st.st_mode & 0777, &owner, err);
	return code == ERR_OK ? files_put(file, err) : code;
}

enum err_code settings_edit_begin(struct settings_edit *edit, const char *file, struct err *err)
{
	char *copy = mem_strdup(file);
	*edit = (struct settings_edit){.file = file};
	edit->lock = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err_code code = ERR_OK;
	if (edit->lock < 0 || flock(edit->lock, LOCK_EX) != 0)
		code = err_set(err, ERR_IO, "%s: can't lock its folder: %s; run this as root", file, strerror(errno));
	free(copy);
	if (code == ERR_OK)
		code = settings_edit_read(file, &edit->text, err);
	if (code != ERR_OK)
		settings_edit_end(edit);
	return code;
}

enum err_code settings_edit_save(struct settings_edit *edit, struct err *err)
{
	enum err_code code = settings_edit_write(edit->file, &edit->text, err);
	if (code == ERR_OK)
		(void)!fsync(edit->lock); /* the folder: without this a power cut may bring the old file back */
	return code;
}

void settings_edit_end(struct settings_edit *edit)
{
	if (edit->lock >= 0)
		close(edit->lock);
	edit->lock = -1;
	tls_wipe(&edit->text); /* there may be a password in it */
}
