#include "link/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/recovered.h"
#include "link/report.h"
#include "link/tail.h"
#include "sql/server.h"

enum { CONNECT_PAUSE_MS = 500 };

struct supervisor {
	const struct settings *settings;
	struct state *state;
	struct tail *tail;
	size_t link_count;
	struct link *links[PEERS_MAX];
	atomic_bool ready; /* the links are all there and stay: the control thread may use them */
	int stop_pipe[2];  /* written by the control thread: end */
};

/* Only what a link is stopped at may be passed over: what stands before it is not decided yet. */
static void skip(struct supervisor *s, size_t link_count, const char *text, struct buf *ret)
{
	struct gtid gtid;
	struct link_view view;
	struct err err;
	bool found = false;
	if (gtid_parse(text, &gtid, &err) != ERR_OK) {
		buf_printf(ret, "error: %s\n", err.message);
		return;
	}
	for (size_t i = 0; i < link_count && !found; i++) {
		link_view(s->links[i], &view);
		found = view.state == LINK_STOPPED && view.has_culprit && view.culprit.domain == gtid.domain &&
		        view.culprit.seq == gtid.seq;
	}
	if (found) {
		state_request_skip(s->state, &gtid);
		state_wake(s->state);
		buf_append_str(ret, "ok\n");
	} else {
		buf_printf(ret, "error: no link of this node is stopped at %s; `syncline status` tells at which it is\n", text);
	}
}

/* The control socket's commands, on its thread. */
static void answer(void *context, const char *command, struct buf *ret)
{
	struct supervisor *s = context;
	size_t link_count = atomic_load(&s->ready) ? s->link_count : 0;
	if (strcmp(command, "status") == 0) {
		report_status(s->settings, s->state, s->links, link_count, ret);
		return;
	}
	if (strcmp(command, "wake") == 0) {
		for (size_t i = 0; i < link_count; i++)
			link_look(s->links[i]);
		state_wake(s->state);
		buf_append_str(ret, "ok\n");
		return;
	}
	if (strncmp(command, "skip ", 5) == 0) {
		skip(s, link_count, command + 5, ret);
		return;
	}
	if (strcmp(command, "stop") == 0) {
		buf_append_str(ret, write(s->stop_pipe[1], "", 1) == 1 ? "ok\n" : "error: can't stop\n");
		return;
	}
	buf_append_str(ret, "error: unknown command; the commands are status, wake, skip and stop\n");
}

/* This node's server may come up after us, after a power cut: wait for it, as long as it takes. */
static enum err_code prepare_server(struct supervisor *s, int signal_fd, struct err *err)
{
	const struct settings *settings = s->settings;
	struct connection *connection = connection_new();
	struct connection_target target = {
	    .file = settings->file, .group = settings->server_group, .name = settings->server_where};
	struct pollfd ends[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = s->stop_pipe[0], .events = POLLIN}};
	bool told = false;
	enum err_code code;
	while ((code = connection_open(connection, &target, err)) == ERR_DISCONNECTED) {
		state_tail_live(s->state, false, err->message);
		if (!told)
			log_line(LOG_LEVEL_WARNING, "main", "waiting for this node's server: %s", err->message);
		told = true;
		if (poll(ends, 2, CONNECT_PAUSE_MS) > 0)
			break;
	}
	if (code == ERR_OK)
		code = server_check(connection, settings->server_where, settings->node_id, err);
	if (code == ERR_OK)
		code = server_prepare(connection, err);
	if (code == ERR_OK)
		code = recovered_prepare(connection, err);
	connection_free(connection);
	return code;
}

static int block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void wait_for_end(struct supervisor *s, int signal_fd)
{
	struct pollfd ends[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = s->stop_pipe[0], .events = POLLIN}};
	while (poll(ends, 2, -1) <= 0)
		;
}

static enum err_code start_all(struct supervisor *s, struct err *err)
{
	enum err_code code = tail_start(s->settings, s->state, &s->tail, err);
	for (size_t i = 0; code == ERR_OK && i < s->settings->peer_count; i++) {
		code = link_start(s->settings, &s->settings->peers[i], s->state, &s->links[i], err);
		s->link_count += code == ERR_OK;
	}
	return code;
}

static void stop_all(struct supervisor *s)
{
	state_stop(s->state);
	for (size_t i = 0; i < s->link_count; i++)
		link_stop(s->links[i]);
	tail_stop(s->tail);
}

enum err_code supervisor_run(const struct settings *settings, struct err *err)
{
	struct supervisor s = {.settings = settings, .stop_pipe = {-1, -1}};
	struct control_server *control = NULL;
	int signal_fd = block_signals();
	if (signal_fd < 0 || pipe2(s.stop_pipe, O_CLOEXEC) != 0)
		return err_set(err, ERR_IO, "can't make a pipe: %s; raise the limit of open files", strerror(errno));
	s.state = state_new(settings);
	/* First the control socket: it makes sure that no other daemon runs for this node. */
	enum err_code code = control_server_start(settings->state_dir, answer, &s, &control, err);
	if (code == ERR_OK) {
		code = prepare_server(&s, signal_fd, err);
		if (code == ERR_OK)
			code = start_all(&s, err);
		atomic_store(&s.ready, code == ERR_OK);
		if (code == ERR_OK) {
			log_line(LOG_LEVEL_INFO, "main", "node %u runs with %zu peers", (unsigned)settings->node_id,
			         settings->peer_count);
			wait_for_end(&s, signal_fd);
			log_line(LOG_LEVEL_INFO, "main", "stopping");
		} else if (code == ERR_DISCONNECTED) {
			code = ERR_OK; /* told to end while it waited for the server */
		}
	}
	control_server_stop(control);
	stop_all(&s);
	state_free(s.state);
	close(s.stop_pipe[0]);
	close(s.stop_pipe[1]);
	close(signal_fd);
	return code;
}
