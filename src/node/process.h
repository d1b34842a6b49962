/* Programs that outlive the command that started them.
 *
 * A program is known by its name and one exact argument (its option file), looked up in /proc. So there is no pid file to
 * be lost by a kill -9 or to name a process that has nothing to do with us, and a command finds what an earlier one started.
 * Waiting for an end uses a pidfd, so it needs no child and no polling. Not thread-safe (fork).
 */
#ifndef SYNCLINE_NODE_PROCESS_H
#define SYNCLINE_NODE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct process_name {
	const char *program;  /* "mariadbd": the last part of argv[0] */
	const char *verb;     /* what argv[1] is; NULL: anything */
	const char *argument; /* "--defaults-file=/srv/lab/node1/my.cnf" */
};

struct process_start {
	const char *const *argv; /* argv[0] is a path */
	const char *dir;         /* NULL: / */
	const char *log;         /* stdout and stderr are appended to this file, made with mode 0600 */
	pid_t network_of;        /* run in this process's network (and user) namespace; 0: in ours */
};

/* The path of a program in PATH or where servers are kept, NULL if there is none. Heap. */
char *process_program_path(const char *program);

/* Starts it in a session of its own, stdin from /dev/null. ERR_IO also when the program can't be executed. */
enum err_code process_start(const struct process_start *start, pid_t *ret_pid, struct err *err) ERR_MUST_CHECK;
/* The same, waits for its end and gives its exit status (128 + signal when killed by one). ERR_CANCELLED when *cancelled
 * (may be NULL) becomes true: the program and what it started are killed then. */
enum err_code process_run(const struct process_start *start, const volatile bool *cancelled, int *ret_status,
                          struct err *err) ERR_MUST_CHECK;

/* The pid, 0 if it does not run. A zombie does not run. */
pid_t process_find(const struct process_name *name);
bool process_is_alive(pid_t pid);
/* Waits until the process has ended or the time is up; true when it has ended. Reaps a child. */
bool process_wait_end(pid_t pid, int64_t timeout_ms);
/* Sends the signal to every process of that name and waits until all are gone. None is fine. */
enum err_code process_stop(const struct process_name *name, int signal, int64_t timeout_ms, struct err *err)
    ERR_MUST_CHECK;

#endif
