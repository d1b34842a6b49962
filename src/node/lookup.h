/* The IP addresses of a name, within a time: getaddrinfo itself can wait for minutes and can't be told to stop.
 *
 * A thread of its own asks. When the time is up it is left alone with what it needs, and frees that when it is
 * answered. Not getaddrinfo_a: ThreadSanitizer crashes in the threads that glibc makes for it. Any thread may call it.
 */
#ifndef SYNCLINE_NODE_LOOKUP_H
#define SYNCLINE_NODE_LOOKUP_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* For TCP; the caller's, to be freed with freeaddrinfo. The deadline is clock_monotonic_ms's; `cancelled` may be NULL.
 * ERR_CONFIG: there is no such name; ERR_DISCONNECTED: nobody to ask; ERR_TIMEOUT; ERR_CANCELLED. An IP address is
 * answered at once. */
enum err_code lookup_address(const char *address, uint16_t port, int64_t deadline_ms, const volatile bool *cancelled,
                             struct addrinfo **ret_found, struct err *err) ERR_MUST_CHECK;

#endif
