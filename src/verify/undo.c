#include "verify/undo.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* As the statements' literals want it; nothing of it is logged, since each node gets back what it had itself. */
static const char session_sql[] =
    "SET NAMES utf8mb4;\n"
    "SET SESSION sql_log_bin=0, foreign_key_checks=0, check_constraint_checks=0, time_zone='+00:00', "
    "sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';\n";

void undo_init(struct undo *u, const char *dir, int64_t when)
{
	struct tm tm;
	time_t t = (time_t)when;
	char text[32];
	gmtime_r(&t, &tm);
	strftime(text, sizeof text, "%Y%m%d-%H%M%S", &tm);
	*u = (struct undo){.prefix = mem_printf("%s/repair-%s", dir, text)};
}

static enum err_code write_all(const struct undo_file *f, const char *bytes, size_t size, struct err *err)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(f->fd, bytes + done, size - done);
		if (n < 0 && errno != EINTR)
			return err_set(err, ERR_IO, "%s can't be written: %s; nothing was changed", f->path, strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	return ERR_OK;
}

static enum err_code add_file(struct undo *u, uint32_t node, struct undo_file **ret, struct err *err)
{
	if (u->count == UNDO_NODES_MAX)
		return err_set(err, ERR_UNSUPPORTED, "more than %d nodes", UNDO_NODES_MAX);
	struct undo_file *f = &u->files[u->count];
	*f = (struct undo_file){.node = node, .path = mem_printf("%s-node-%u.sql", u->prefix, (unsigned)node)};
	f->fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->fd < 0) {
		enum err_code code =
		    err_set(err, ERR_IO, "%s can't be made: %s; nothing was changed", f->path, strerror(errno));
		free(f->path);
		return code;
	}
	u->count++;
	char *head = mem_printf(
	    "-- Puts back what node %u had before syncline repair. Run it on node %u as root: mariadb < FILE\n%s",
	    (unsigned)node, (unsigned)node, session_sql);
	enum err_code code = write_all(f, head, strlen(head), err);
	free(head);
	*ret = f;
	return code;
}

enum err_code undo_add(struct undo *u, uint32_t node, const struct buf *statement, struct err *err)
{
	struct undo_file *f = NULL;
	enum err_code code = ERR_OK;
	for (size_t i = 0; i < u->count; i++)
		if (u->files[i].node == node)
			f = &u->files[i];
	if (f == NULL)
		code = add_file(u, node, &f, err);
	if (code == ERR_OK)
		code = write_all(f, (const char *)statement->data, statement->size, err);
	return code == ERR_OK ? write_all(f, ";\n", 2, err) : code;
}

enum err_code undo_sync(struct undo *u, struct err *err)
{
	for (size_t i = 0; i < u->count; i++)
		if (fsync(u->files[i].fd) != 0)
			return err_set(err, ERR_IO, "%s can't be put on the disk: %s; nothing was changed", u->files[i].path,
			               strerror(errno));
	if (u->count == 0)
		return ERR_OK;
	char *copy = mem_strdup(u->prefix);
	int dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_synced = dir >= 0 && fsync(dir) == 0;
	if (dir >= 0)
		close(dir);
	free(copy);
	return is_synced ? ERR_OK
	                 : err_set(err, ERR_IO, "the folder of %s* can't be put on the disk: %s; nothing was changed",
	                           u->prefix, strerror(errno));
}

void undo_done(struct undo *u)
{
	for (size_t i = 0; i < u->count; i++) {
		close(u->files[i].fd);
		free(u->files[i].path);
	}
	free(u->prefix);
	*u = (struct undo){0};
}
