/* Scratch space in files: unlinked files of the state folder, which vanish with the process.
 *
 * Memory: large tables are mapped files, so that the kernel can write them out when memory is short. Small ones come
 * from the heap, and so does all if no file can be made (a full disk).
 * Bytes at offsets: one file, read and written without being mapped, so that it may outgrow the address space; it is
 * made by the first write.
 *
 * The functions take the scratch as void *, as struct window_memory's callbacks do. Memory: any thread. Bytes: the
 * owner locks.
 */
#ifndef SYNCLINE_LINK_SCRATCH_H
#define SYNCLINE_LINK_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scratch;

struct scratch *scratch_new(const char *directory); /* borrowed */
void scratch_free(struct scratch *scratch);         /* accepts NULL; memory that was got stays */

/* Zeroed memory; never NULL. */
void *scratch_get(void *scratch, size_t bytes);
void scratch_put(void *scratch, void *memory, size_t bytes);

/* All of it, or false with errno. */
bool scratch_read(void *scratch, uint64_t offset, void *to, size_t size);
bool scratch_write(void *scratch, uint64_t offset, const void *from, size_t size);
/* Gives the room before `upto` back to the file system, by whole mebibytes, where it can; UINT64_MAX: all of it. */
void scratch_drop(void *scratch, uint64_t upto);

#endif
