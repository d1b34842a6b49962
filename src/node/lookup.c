#include "node/lookup.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

enum { POLL_MS = 50 /* how soon a cancel is seen */ };

struct lookup {
	char *address, port[6]; /* constant */
	pthread_mutex_t mutex;  /* guards the rest */
	pthread_cond_t answered;
	bool is_answered, is_abandoned; /* who comes second frees it */
	int status;
	struct addrinfo *found;
};

static int ask(const char *address, const char *port, int flags, struct addrinfo **ret_found)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
	return getaddrinfo(address, port, &hints, ret_found);
}

static struct lookup *make_lookup(const char *address, const char *port)
{
	struct lookup *lookup = mem_alloc(sizeof *lookup);
	pthread_condattr_t attributes;
	lookup->address = mem_strdup(address);
	memcpy(lookup->port, port, sizeof lookup->port);
	pthread_mutex_init(&lookup->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&lookup->answered, &attributes);
	pthread_condattr_destroy(&attributes);
	return lookup;
}

static void free_lookup(struct lookup *lookup)
{
	if (lookup->found != NULL)
		freeaddrinfo(lookup->found);
	pthread_cond_destroy(&lookup->answered);
	pthread_mutex_destroy(&lookup->mutex);
	free(lookup->address);
	free(lookup);
}

static void *run(void *argument)
{
	struct lookup *lookup = argument;
	struct addrinfo *found = NULL;
	int status = ask(lookup->address, lookup->port, 0, &found);
	pthread_mutex_lock(&lookup->mutex);
	lookup->status = status;
	lookup->found = status == 0 ? found : NULL;
	lookup->is_answered = true;
	bool is_ours = lookup->is_abandoned;
	pthread_cond_signal(&lookup->answered);
	pthread_mutex_unlock(&lookup->mutex);
	if (is_ours)
		free_lookup(lookup);
	return NULL;
}

/* Detached, and without signals: those are the main thread's. */
static bool start(struct lookup *lookup)
{
	sigset_t all, before;
	pthread_t thread;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	bool started = pthread_create(&thread, NULL, run, lookup) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (started)
		pthread_detach(thread);
	return started;
}

static void wait_a_moment(struct lookup *lookup, int64_t until_ms)
{
	struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
	(void)pthread_cond_timedwait(&lookup->answered, &lookup->mutex, &until);
}

/* Takes the lookup over. */
static enum err_code await(struct lookup *lookup, int64_t deadline_ms, const volatile bool *cancelled, int *ret_status,
                           struct addrinfo **ret_found, struct err *err)
{
	enum err_code code = ERR_OK;
	pthread_mutex_lock(&lookup->mutex);
	while (!lookup->is_answered && code == ERR_OK) {
		int64_t now = clock_monotonic_ms();
		if (cancelled != NULL && *cancelled)
			code = err_set(err, ERR_CANCELLED, "interrupted");
		else if (now >= deadline_ms)
			code =
			    err_set(err, ERR_TIMEOUT,
			            "no answer in time to what its IP address is; check /etc/resolv.conf, or give an IP address");
		else
			wait_a_moment(lookup, deadline_ms - now < POLL_MS ? deadline_ms : now + POLL_MS);
	}
	bool is_ours = lookup->is_answered;
	if (code == ERR_OK) {
		*ret_status = lookup->status;
		*ret_found = lookup->found;
		lookup->found = NULL;
	}
	lookup->is_abandoned = true;
	pthread_mutex_unlock(&lookup->mutex);
	if (is_ours)
		free_lookup(lookup);
	return code;
}

enum err_code lookup_address(const char *address, uint16_t port, int64_t deadline_ms, const volatile bool *cancelled,
                             struct addrinfo **ret_found, struct err *err)
{
	char number[6];
	struct addrinfo *found = NULL;
	enum err_code code = ERR_OK;
	snprintf(number, sizeof number, "%u", (unsigned)port);
	int status = ask(address, number, AI_NUMERICHOST, &found);
	if (status == EAI_NONAME) { /* not an IP address: a name */
		struct lookup *lookup = make_lookup(address, number);
		if (!start(lookup)) {
			free_lookup(lookup);
			return err_set(err, ERR_IO, "can't start a thread; raise the limit of processes");
		}
		code = await(lookup, deadline_ms, cancelled, &status, &found, err);
	}
	if (code == ERR_OK && status != 0)
		code = err_set(err, status == EAI_AGAIN ? ERR_DISCONNECTED : ERR_CONFIG,
		               "can't find its IP address: %s; check the name, or give an IP address", gai_strerror(status));
	if (code == ERR_OK)
		*ret_found = found;
	return code;
}
