#include "link/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

enum { FILE_BYTES_MIN = 1024 * 1024, DROP_BYTES = 1024 * 1024 };
_Static_assert(sizeof(off_t) == 8, "files beyond 2 GiB, on 32-bit machines too");

struct scratch {
	const char *directory;
	int fd;           /* of the bytes; -1: not made yet */
	uint64_t dropped; /* the room before was given back */
};

struct scratch *scratch_new(const char *directory)
{
	struct scratch *s = mem_alloc(sizeof *s);
	s->directory = directory;
	s->fd = -1;
	return s;
}

void scratch_free(struct scratch *s)
{
	if (s == NULL)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static int open_file(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	/* A file system that has no nameless files. */
	char *path = mem_printf("%s/.scratch-XXXXXX", directory);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	free(path);
	return fd;
}

/* ---- Memory ---- */

static void *map_file(const char *directory, size_t bytes)
{
	int fd = open_file(directory);
	if (fd < 0)
		return NULL;
	/* Allocated at once: a hole that can't be filled later would be a SIGBUS. */
	void *memory = MAP_FAILED;
	if (posix_fallocate(fd, 0, (off_t)bytes) == 0)
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return memory == MAP_FAILED ? NULL : memory;
}

/* Which kind a piece is stands ahead of it. */
struct head {
	_Alignas(16) size_t mapped_bytes; /* 0: from the heap */
};

void *scratch_get(void *scratch, size_t bytes)
{
	const struct scratch *s = scratch;
	size_t all = sizeof(struct head) + bytes;
	struct head *head = bytes >= FILE_BYTES_MIN ? map_file(s->directory, all) : NULL;
	if (head != NULL)
		head->mapped_bytes = all;
	else
		head = mem_alloc(all);
	return head + 1;
}

void scratch_put(void *scratch, void *memory, size_t bytes)
{
	(void)scratch;
	(void)bytes;
	struct head *head = (struct head *)memory - 1;
	if (head->mapped_bytes != 0)
		munmap(head, head->mapped_bytes);
	else
		free(head);
}

/* ---- Bytes ---- */

bool scratch_read(void *scratch, uint64_t offset, void *to, size_t size)
{
	const struct scratch *s = scratch;
	char *at = to;
	while (size > 0) {
		ssize_t n = pread(s->fd, at, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* the file ends before what was written */
		if (n <= 0)
			return false;
		at += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return true;
}

bool scratch_write(void *scratch, uint64_t offset, const void *from, size_t size)
{
	struct scratch *s = scratch;
	const char *at = from;
	if (s->fd < 0)
		s->fd = open_file(s->directory);
	if (s->fd < 0)
		return false;
	while (size > 0) {
		ssize_t n = pwrite(s->fd, at, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return true;
}

/* A file system that can't punch holes, or fails to, costs room until all is dropped. */
void scratch_drop(void *scratch, uint64_t upto)
{
	struct scratch *s = scratch;
	if (s->fd < 0)
		return;
	if (upto == UINT64_MAX) {
		s->dropped = 0;
		if (ftruncate(s->fd, 0) != 0) { /* another file then */
			close(s->fd);
			s->fd = -1;
		}
		return;
	}
	upto -= upto % DROP_BYTES;
	if (upto <= s->dropped)
		return;
	(void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)s->dropped, (off_t)(upto - s->dropped));
	s->dropped = upto;
}
