#include "link/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

enum { FILE_BYTES_MIN = 1024 * 1024 };

static void *map_file(const char *directory, size_t bytes)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
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

void *scratch_get(void *directory, size_t bytes)
{
	size_t all = sizeof(struct head) + bytes;
	struct head *head = bytes >= FILE_BYTES_MIN ? map_file(directory, all) : NULL;
	if (head != NULL)
		head->mapped_bytes = all;
	else
		head = mem_alloc(all);
	return head + 1;
}

void scratch_put(void *directory, void *memory, size_t bytes)
{
	(void)directory;
	(void)bytes;
	struct head *head = (struct head *)memory - 1;
	if (head->mapped_bytes != 0)
		munmap(head, head->mapped_bytes);
	else
		free(head);
}
