#include "link/thread.h"

#include <signal.h>
#include <string.h>

enum { STACK_BYTES = 512 * 1024 };

enum err_code thread_start(pthread_t *ret_thread, void *(*body)(void *), void *context, struct err *err)
{
	pthread_attr_t attr;
	sigset_t all, old;
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int failed = pthread_create(ret_thread, &attr, body, context);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (failed != 0)
		return err_set(err, ERR_IO, "can't start a thread: %s; raise the limit of processes", strerror(failed));
	return ERR_OK;
}
