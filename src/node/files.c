#include "node/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static enum err_code write_failed(const char *path, struct err *err)
{
	return err_set(err, ERR_IO, "%s: can't write it: %s; check the folder and the room on the disk", path,
	               strerror(errno));
}

enum err_code files_draft(const char *path, const struct buf *text, mode_t mode, const struct files_owner *owner,
                          struct err *err)
{
	char *draft = mem_printf("%s.new", path);
	enum err_code code = ERR_OK;
	unlink(draft);
	int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text->data, text->size) != (ssize_t)text->size ||
	    (owner != NULL && fchown(fd, owner->uid, owner->gid) != 0) || fchmod(fd, mode) != 0 || fsync(fd) != 0) {
		code = write_failed(path, err);
		unlink(draft);
	}
	if (fd >= 0)
		close(fd);
	free(draft);
	return code;
}

enum err_code files_put(const char *path, struct err *err)
{
	char *draft = mem_printf("%s.new", path);
	enum err_code code = rename(draft, path) == 0 ? ERR_OK : write_failed(path, err);
	free(draft);
	return code;
}

void files_drop(const char *path)
{
	char *draft = mem_printf("%s.new", path);
	unlink(draft);
	free(draft);
}

enum err_code files_write(const char *path, const struct buf *text, struct err *err)
{
	enum err_code code = files_draft(path, text, 0600, NULL, err);
	if (code == ERR_OK && (code = files_put(path, err)) != ERR_OK)
		files_drop(path);
	return code;
}

enum err_code files_read_tail(const char *path, size_t limit, struct buf *ret, struct err *err)
{
	ssize_t n = 0;
	buf_clear(ret);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, ERR_IO, "%s: can't read it: %s", path, strerror(errno));
	off_t end = lseek(fd, 0, SEEK_END);
	lseek(fd, end > (off_t)limit ? end - (off_t)limit : 0, SEEK_SET);
	while (ret->size < limit && (n = read(fd, buf_reserve(ret, limit - ret->size), limit - ret->size)) > 0)
		ret->size += (size_t)n;
	close(fd);
	return n < 0 ? err_set(err, ERR_IO, "%s: can't read it", path) : ERR_OK;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path) != 0 && errno != ENOENT ? -1 : 0;
}

enum err_code files_remove_tree(const char *path, struct err *err)
{
	/* A process that was killed a moment ago may leave one last file in a folder that is being emptied. */
	for (int attempt = 0; attempt < 10; attempt++)
		if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 || errno == ENOENT)
			return ERR_OK;
		else if (errno != ENOTEMPTY && errno != EEXIST)
			break;
	return err_set(err, ERR_IO, "%s: can't remove it: %s; remove it by hand", path, strerror(errno));
}
