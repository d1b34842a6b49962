/* The files of web/, as they were when this was built. Constant, any thread. */
#ifndef SYNCLINE_ADMIN_PAGE_H
#define SYNCLINE_ADMIN_PAGE_H

#include <stddef.h>

struct page_file {
	const char *path, *type;
	const unsigned char *bytes;
	size_t size;
};

/* One of "/", "/app.js", "/app.css" and "/icon.svg". */
const struct page_file *page_find(const char *path);

#endif
