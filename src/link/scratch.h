/* Scratch memory that is a file: large tables lie in unlinked files of the state folder, mapped, so that the kernel can write
 * them out when memory is short. Small ones come from the heap. The files vanish with the process. If no file can be made
 * (a full disk), the heap serves. Any thread. */
#ifndef SYNCLINE_LINK_SCRATCH_H
#define SYNCLINE_LINK_SCRATCH_H

#include <stddef.h>

/* context: the folder's path. Zeroed memory; never NULL. */
void *scratch_get(void *directory, size_t bytes);
void scratch_put(void *directory, void *memory, size_t bytes);

#endif
