#include "node/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

char *process_program_path(const char *program)
{
	static const char more[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec:"
	                           "/usr/local/libexec:/usr/local/mysql/bin:/usr/local/mariadb/bin";
	const char *path = getenv("PATH");
	char *all = mem_printf("%s:%s", path ? path : "", more), *save = NULL, *found = NULL;
	for (char *dir = strtok_r(all, ":", &save); dir != NULL && found == NULL; dir = strtok_r(NULL, ":", &save)) {
		char *file = mem_printf("%s/%s", dir, program);
		struct stat st;
		if (dir[0] == '/' && stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0)
			found = file;
		else
			free(file);
	}
	free(all);
	return found;
}

/* Starting */

static bool is_other_namespace(pid_t pid, const char *kind)
{
	char path[64];
	struct stat ours, theirs;
	snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
	if (stat(path, &ours) != 0)
		return false;
	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
	return stat(path, &theirs) == 0 && (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev);
}

static int enter_namespace(pid_t pid, const char *kind, int type)
{
	if (!is_other_namespace(pid, kind))
		return 0;
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int n = setns(fd, type);
	close(fd);
	return n;
}

/* In the child, up to exec. On failure errno goes to the parent through the pipe. */
static void become(const struct process_start *start, int report)
{
	sigset_t none;
	sigemptyset(&none);
	setsid();
	int in = open("/dev/null", O_RDONLY);
	int out = open(start->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (in >= 0 && out >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2 &&
	    chdir(start->dir ? start->dir : "/") == 0 &&
	    (start->network_of == 0 || (enter_namespace(start->network_of, "user", CLONE_NEWUSER) == 0 &&
	                                enter_namespace(start->network_of, "net", CLONE_NEWNET) == 0))) {
		for (int fd = 3; fd < 1024; fd++)
			if (fd != report)
				close(fd);
		for (int i = 1; i < NSIG; i++)
			signal(i, SIG_DFL);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv(start->argv[0], (char *const *)start->argv);
	}
	int n = errno;
	ssize_t ignored = write(report, &n, sizeof n);
	(void)ignored;
	_exit(127);
}

enum err_code process_start(const struct process_start *start, pid_t *ret_pid, struct err *err)
{
	int pipes[2], n = 0;
	if (pipe2(pipes, O_CLOEXEC) != 0)
		return err_set(err, ERR_IO, "can't make a pipe: %s; raise the limit of open files", strerror(errno));
	pid_t pid = fork();
	if (pid == 0)
		become(start, pipes[1]);
	close(pipes[1]);
	if (pid < 0) {
		close(pipes[0]);
		return err_set(err, ERR_IO, "can't start %s: %s; raise the limit of processes", start->argv[0],
		               strerror(errno));
	}
	ssize_t size;
	do
		size = read(pipes[0], &n, sizeof n); /* the end comes when exec closes the other side */
	while (size < 0 && errno == EINTR);
	close(pipes[0]);
	if (size == sizeof n) {
		waitpid(pid, NULL, 0);
		return err_set(err, ERR_IO, "can't start %s: %s; check the program and the folder of %s", start->argv[0],
		               strerror(n), start->log);
	}
	*ret_pid = pid;
	return ERR_OK;
}

enum err_code process_run(const struct process_start *start, const volatile bool *cancelled, int *ret_status,
                          struct err *err)
{
	pid_t pid;
	int status;
	enum err_code code = process_start(start, &pid, err);
	if (code != ERR_OK)
		return code;
	while (waitpid(pid, &status, 0) != pid) { /* interrupted by a signal */
		if (cancelled == NULL || !*cancelled)
			continue;
		kill(-pid, SIGKILL); /* its own session, so its own group */
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		return err_set(err, ERR_CANCELLED, "interrupted");
	}
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return ERR_OK;
}

/* Finding */

static bool is_program(const char *argument, const char *program)
{
	const char *slash = strrchr(argument, '/');
	return strcmp(slash ? slash + 1 : argument, program) == 0;
}

static bool matches(pid_t pid, const struct process_name *name)
{
	char path[32], line[16384];
	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t size = read(fd, line, sizeof line - 1);
	close(fd);
	if (size <= 0) /* a kernel thread or a zombie */
		return false;
	line[size] = 0;
	const char *arg = line;
	if (!is_program(arg, name->program))
		return false;
	arg += strlen(arg) + 1;
	if (name->verb != NULL && (arg >= line + size || strcmp(arg, name->verb) != 0))
		return false;
	for (; arg < line + size; arg += strlen(arg) + 1)
		if (strcmp(arg, name->argument) == 0)
			return true;
	return false;
}

pid_t process_find(const struct process_name *name)
{
	DIR *dir = opendir("/proc");
	pid_t found = 0;
	struct dirent *entry;
	while (dir != NULL && found == 0 && (entry = readdir(dir)) != NULL) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		if (*end == 0 && pid > 0 && pid != getpid() && matches((pid_t)pid, name))
			found = (pid_t)pid;
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

static bool pidfd_ended(int fd, int64_t timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t deadline = clock_monotonic_ms() + timeout_ms;
	for (;;) {
		int64_t left = deadline - clock_monotonic_ms();
		int n = poll(&p, 1, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return true;
		if (n == 0)
			return false;
		if (errno != EINTR)
			return true;
	}
}

bool process_wait_end(pid_t pid, int64_t timeout_ms)
{
	int fd = pidfd_open(pid, 0);
	bool ended = fd < 0 || pidfd_ended(fd, timeout_ms);
	if (fd >= 0)
		close(fd);
	if (ended)
		waitpid(pid, NULL, WNOHANG);
	return ended;
}

bool process_is_alive(pid_t pid)
{
	return !process_wait_end(pid, 0);
}

/* The pidfd pins the process, then its name is looked at again: a recycled pid is never signalled. */
static enum err_code stop_one(pid_t pid, const struct process_name *name, int signal, int64_t timeout_ms,
                              struct err *err)
{
	enum err_code code = ERR_OK;
	int fd = pidfd_open(pid, 0);
	if (fd < 0)
		return ERR_OK;
	if (!matches(pid, name))
		goto cleanup;
	if (pidfd_send_signal(fd, signal, NULL, 0) != 0 && errno != ESRCH)
		code = err_set(err, ERR_IO, "can't stop %s (process %d): %s; run this as the user that started it",
		               name->program, (int)pid, strerror(errno));
	else if (!pidfd_ended(fd, timeout_ms))
		code = err_set(err, ERR_TIMEOUT, "%s (process %d) has not ended after %lld s; look at its log, or kill it",
		               name->program, (int)pid, (long long)timeout_ms / 1000);
	else
		waitpid(pid, NULL, WNOHANG);
cleanup:
	close(fd);
	return code;
}

enum err_code process_stop(const struct process_name *name, int signal, int64_t timeout_ms, struct err *err)
{
	pid_t pid;
	enum err_code code = ERR_OK;
	while (code == ERR_OK && (pid = process_find(name)) != 0)
		code = stop_one(pid, name, signal, timeout_ms, err);
	return code;
}
