#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p, size_t size)
{
	if (p == NULL) {
		fprintf(stderr, "syncline: out of memory (%zu bytes asked for); raise the memory limit of the service\n", size);
		abort();
	}
	return p;
}

void *mem_alloc(size_t size)
{
	return checked(calloc(1, size ? size : 1), size);
}

void *mem_resize(void *old, size_t size)
{
	return checked(realloc(old, size ? size : 1), size);
}

char *mem_strdup(const char *s)
{
	return checked(strdup(s), strlen(s));
}

char *mem_printf(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, format);
	int n = vasprintf(&text, format, args);
	va_end(args);
	return checked(n < 0 ? NULL : text, 0);
}
