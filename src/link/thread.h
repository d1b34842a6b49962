/* Threads with a small stack (a node may have eight peers, on a small machine) and all signals blocked: only the main
 * thread receives them. */
#ifndef SYNCLINE_LINK_THREAD_H
#define SYNCLINE_LINK_THREAD_H

#include <pthread.h>

#include "base/err.h"

enum err_code thread_start(pthread_t *ret_thread, void *(*body)(void *), void *context, struct err *err) ERR_MUST_CHECK;

#endif
