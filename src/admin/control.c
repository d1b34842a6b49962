/* The server is one thread in poll(): a hanging client holds a slot until its time is up, never the others.
 *
 * STATE_DIR/syncline.lock is locked for as long as the daemon lives, whatever ends it, so whoever has the lock may replace
 * a socket that a killed daemon left behind.
 */
#include "admin/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
	COMMAND_BYTES_MAX = 256,
	CLIENTS_MAX = 16,
	CONNECT_POLL_MS = 20,
	CLIENT_TIMEOUT_MS = 2000, /* for the command, and again for taking the answer */
};

static enum err_code address_of(const char *state_dir, struct sockaddr_un *ret_address, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/syncline.sock", state_dir);
	if (n < 0 || (size_t)n >= sizeof address.sun_path)
		return err_set(err, ERR_CONFIG,
		               "%s/syncline.sock: longer than the %zu bytes that a socket's path may have; use a "
		               "shorter state-dir",
		               state_dir, sizeof address.sun_path - 1);
	*ret_address = address;
	return ERR_OK;
}

/* Client side */

static int left_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_monotonic_ms();
	return left < 0 ? 0 : (int)left;
}

/* Waits until the socket is ready for `events`; false when the time is up. */
static bool wait_for(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;
	do
		n = poll(&p, 1, left_ms(deadline_ms));
	while (n < 0 && errno == EINTR && left_ms(deadline_ms) > 0);
	return n > 0;
}

/* Who hangs accepts nobody, and when its queue is full, of those who gave up waiting, connect would wait for ever: then
 * it fails with EAGAIN here. */
static int connect_by(int fd, const struct sockaddr_un *address, int64_t deadline_ms)
{
	for (;;) {
		if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
			return 0;
		if ((errno != EAGAIN && errno != EINTR) || left_ms(deadline_ms) == 0)
			return -1;
		clock_sleep_ms(CONNECT_POLL_MS);
	}
}

static enum err_code exchange(int fd, const char *line, const char *where, int64_t deadline_ms, struct buf *ret,
                              struct err *err)
{
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
		return err_set(err, ERR_DISCONNECTED, "%s: the daemon went away; look at its log", where);
	for (;;) {
		if (!wait_for(fd, POLLIN, deadline_ms))
			return err_set(err, ERR_TIMEOUT, "%s: the daemon does not answer; look at its log", where);
		ssize_t n = recv(fd, buf_reserve(ret, 4096), 4096, MSG_DONTWAIT);
		if (n == 0)
			return ERR_OK;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_set(err, ERR_DISCONNECTED, "%s: the daemon went away: %s; look at its log", where,
			               strerror(errno));
		if (n > 0)
			ret->size += (size_t)n;
	}
}

enum err_code control_call(const char *state_dir, const char *command, int timeout_ms, struct buf *ret, struct err *err)
{
	struct sockaddr_un address;
	enum err_code code = address_of(state_dir, &address, err);
	if (code != ERR_OK)
		return code;
	size_t size = ret->size;
	char *line = mem_printf("%s\n", command);
	int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		code = err_set(err, ERR_IO, "can't make a socket: %s; close other programs", strerror(errno));
	else if (connect_by(fd, &address, deadline_ms) == 0)
		code = exchange(fd, line, address.sun_path, deadline_ms, ret, err);
	else if (errno == EAGAIN)
		code = err_set(err, ERR_TIMEOUT, "%s: the daemon does not answer; look at its log", address.sun_path);
	else if (errno == EACCES || errno == EPERM)
		code = err_set(err, ERR_IO, "%s: %s; run this as the daemon's user", address.sun_path, strerror(errno));
	else
		code = err_set(err, ERR_DISCONNECTED, "%s: no daemon listens here (%s); start it with: syncline run",
		               address.sun_path, strerror(errno));
	if (code == ERR_OK && ret->size == size)
		code = err_set(err, ERR_DISCONNECTED, "%s: the daemon closed without an answer; look at its log",
		               address.sun_path);
	if (code != ERR_OK)
		ret->size = size;
	if (fd >= 0)
		close(fd);
	free(line);
	return code;
}

/* Pausing */

static enum err_code make_state_dir(const char *state_dir, struct err *err)
{
	if (mkdir(state_dir, 0700) == 0 || errno == EEXIST)
		return ERR_OK;
	return err_set(err, ERR_IO, "%s: can't make the state-dir: %s; make it, owned by the daemon's user", state_dir,
	               strerror(errno));
}

enum err_code control_pause(const char *state_dir, uint32_t peer, struct err *err)
{
	enum err_code code = make_state_dir(state_dir, err);
	if (code != ERR_OK)
		return code;
	char *path = mem_printf("%s/paused-%u", state_dir, (unsigned)peer);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		code = err_set(err, ERR_IO, "%s: can't make it: %s; run this as the daemon's user", path, strerror(errno));
	else
		close(fd);
	free(path);
	return code;
}

enum err_code control_resume(const char *state_dir, uint32_t peer, struct err *err)
{
	enum err_code code = ERR_OK;
	char *path = mem_printf("%s/paused-%u", state_dir, (unsigned)peer);
	if (unlink(path) != 0 && errno != ENOENT)
		code = err_set(err, ERR_IO, "%s: can't remove it: %s; run this as the daemon's user", path, strerror(errno));
	free(path);
	return code;
}

bool control_is_paused(const char *state_dir, uint32_t peer)
{
	char *path = mem_printf("%s/paused-%u", state_dir, (unsigned)peer);
	bool paused = access(path, F_OK) == 0;
	free(path);
	return paused;
}

char *control_standby_path(const char *state_dir)
{
	return mem_printf("%s/standby", state_dir);
}

bool control_is_standing_by(const char *state_dir)
{
	char *path = control_standby_path(state_dir);
	bool standing_by = access(path, F_OK) == 0;
	free(path);
	return standing_by;
}

/* Server side */

struct client {
	int fd; /* -1: a free slot */
	int64_t deadline_ms;
	size_t size;
	char command[COMMAND_BYTES_MAX];
	bool answering;
	struct buf answer;
	size_t sent;
};

struct control_server {
	control_answer *answer;
	void *context;
	int listener, lock, stop; /* stop: an eventfd */
	char *lock_path;
	struct sockaddr_un address;
	pthread_t thread;
	struct client clients[CLIENTS_MAX];
};

static void drop_client(struct client *c)
{
	close(c->fd);
	buf_free(&c->answer);
	*c = (struct client){.fd = -1};
}

static void accept_client(struct control_server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (s->clients[i].fd >= 0)
			continue;
		s->clients[i].fd = fd;
		s->clients[i].deadline_ms = clock_monotonic_ms() + CLIENT_TIMEOUT_MS;
		return;
	}
	close(fd); /* not reached: the listener is not polled while every slot is taken */
}

static void send_answer(struct client *c)
{
	ssize_t n = send(c->fd, c->answer.data + c->sent, c->answer.size - c->sent, MSG_NOSIGNAL);
	if (n > 0)
		c->sent += (size_t)n;
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || c->sent == c->answer.size)
		drop_client(c);
}

static void start_answer(struct control_server *s, struct client *c)
{
	s->answer(s->context, c->command, &c->answer);
	c->answering = true;
	c->deadline_ms = clock_monotonic_ms() + CLIENT_TIMEOUT_MS;
	send_answer(c);
}

static void read_command(struct control_server *s, struct client *c)
{
	ssize_t n = recv(c->fd, c->command + c->size, sizeof c->command - c->size, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop_client(c);
		return;
	}
	c->size += (size_t)n;
	char *end = memchr(c->command, '\n', c->size);
	if (end != NULL) {
		*end = 0;
		start_answer(s, c);
	} else if (c->size == sizeof c->command) {
		buf_append_str(&c->answer, "error: the command is too long\n");
		c->answering = true;
		send_answer(c);
	}
}

/* Fills the poll set: stop, the listener, one entry a slot. Returns the time until the next deadline, -1 for none. */
static int prepare_poll(struct control_server *s, struct pollfd polls[2 + CLIENTS_MAX])
{
	int timeout = -1;
	bool room = false;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];
		polls[2 + i] = (struct pollfd){.fd = c->fd, .events = c->answering ? POLLOUT : POLLIN};
		if (c->fd < 0)
			room = true;
		else if (timeout < 0 || left_ms(c->deadline_ms) < timeout)
			timeout = left_ms(c->deadline_ms);
	}
	polls[0] = (struct pollfd){.fd = s->stop, .events = POLLIN};
	polls[1] = (struct pollfd){.fd = room ? s->listener : -1, .events = POLLIN};
	return timeout;
}

static void *serve(void *arg)
{
	struct control_server *s = arg;
	struct pollfd polls[2 + CLIENTS_MAX];
	for (;;) {
		int timeout = prepare_poll(s, polls);
		if (poll(polls, 2 + CLIENTS_MAX, timeout < 0 ? -1 : timeout + 1) < 0)
			continue; /* EINTR; a signal is the main thread's business */
		if (polls[0].revents != 0)
			return NULL;
		if (polls[1].revents != 0)
			accept_client(s);
		for (size_t i = 0; i < CLIENTS_MAX; i++) {
			struct client *c = &s->clients[i];
			if (polls[2 + i].fd < 0)
				continue;
			if (polls[2 + i].revents != 0)
				c->answering ? send_answer(c) : read_command(s, c);
			else if (left_ms(c->deadline_ms) == 0)
				drop_client(c);
		}
	}
}

static enum err_code take_lock(struct control_server *s, const char *state_dir, struct err *err)
{
	s->lock_path = mem_printf("%s/syncline.lock", state_dir);
	s->lock = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0)
		return err_set(err, ERR_IO, "%s: can't open it: %s; run this as the owner of state-dir", s->lock_path,
		               strerror(errno));
	if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
		return ERR_OK;
	if (errno == EWOULDBLOCK)
		return err_set(err, ERR_CONFIG,
		               "%s: another syncline runs here; stop it, or give this node a state-dir of its own", state_dir);
	return err_set(err, ERR_IO, "%s: can't lock it: %s; use a file system with locks", s->lock_path, strerror(errno));
}

/* The mode is set on the socket before it gets a name, so nobody else can ever connect, whatever the umask. */
static enum err_code listen_at(struct control_server *s, struct err *err)
{
	unlink(s->address.sun_path); /* a killed daemon's: we have the lock */
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0 || fchmod(s->listener, 0600) != 0 ||
	    bind(s->listener, (struct sockaddr *)&s->address, sizeof s->address) != 0 ||
	    listen(s->listener, CLIENTS_MAX) != 0)
		return err_set(err, ERR_IO, "%s: can't listen there: %s; run this as the owner of state-dir",
		               s->address.sun_path, strerror(errno));
	return ERR_OK;
}

static void free_server(struct control_server *s)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0)
			drop_client(&s->clients[i]);
	if (s->listener >= 0) {
		close(s->listener);
		unlink(s->address.sun_path);
	}
	if (s->lock >= 0)
		close(s->lock); /* the file stays: removing it would race with the next daemon's lock */
	if (s->stop >= 0)
		close(s->stop);
	free(s->lock_path);
	free(s);
}

/* With every signal blocked: only the main thread receives signals. */
static enum err_code start_thread(struct control_server *s, struct err *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int n = pthread_create(&s->thread, NULL, serve, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (n != 0)
		return err_set(err, ERR_IO, "can't start the control thread: %s; raise the limit of processes", strerror(n));
	return ERR_OK;
}

enum err_code control_server_start(const char *state_dir, control_answer *answer, void *context,
                                   struct control_server **ret_server, struct err *err)
{
	struct control_server *s = mem_alloc(sizeof *s);
	*s = (struct control_server){.answer = answer, .context = context, .listener = -1, .lock = -1, .stop = -1};
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		s->clients[i].fd = -1;
	enum err_code code = address_of(state_dir, &s->address, err);
	if (code == ERR_OK)
		code = make_state_dir(state_dir, err);
	if (code == ERR_OK)
		code = take_lock(s, state_dir, err);
	if (code == ERR_OK)
		code = listen_at(s, err);
	if (code == ERR_OK && (s->stop = eventfd(0, EFD_CLOEXEC)) < 0)
		code = err_set(err, ERR_IO, "can't make an eventfd: %s; raise the limit of open files", strerror(errno));
	if (code == ERR_OK)
		code = start_thread(s, err);
	if (code != ERR_OK) {
		free_server(s);
		return code;
	}
	*ret_server = s;
	return ERR_OK;
}

void control_server_stop(struct control_server *s)
{
	if (s == NULL)
		return;
	uint64_t one = 1;
	ssize_t ignored = write(s->stop, &one, sizeof one);
	(void)ignored;
	pthread_join(s->thread, NULL);
	free_server(s);
}
