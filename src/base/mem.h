/* Memory that is always there: allocation failure ends the process with one line.
 *
 * Linux overcommits, so a failed malloc is a limit set by the operator or a size that should have been checked. A
 * restart is always safe (the vector and the cursor are in the server), so nothing is gained by unwinding.
 * Sizes that come from outside are bounds-checked before they get here.
 */
#ifndef SYNCLINE_BASE_MEM_H
#define SYNCLINE_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_resize(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

#endif
