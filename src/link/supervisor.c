#include "link/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "admin/control.h"
#include "admin/http.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/admission.h"
#include "link/bookkeeper.h"
#include "link/emptied.h"
#include "link/handover.h"
#include "link/native_link.h"
#include "link/policies.h"
#include "link/recovered.h"
#include "link/report.h"
#include "link/resolver.h"
#include "link/retention.h"
#include "link/tail.h"
#include "node/members.h"
#include "node/membership.h"
#include "sql/server.h"
#include "verify/last.h"

enum {
	CONNECT_PAUSE_MS = 500,
	SETTLE_MS = 2000, /* for the resolver to do what is at hand, before another engine takes over */
	SETTLE_STOP_MS = 500,
	SETTLE_POLL_MS = 50,
};

/* What is written into the stop pipe. */
enum wish { WISH_NONE = 0, WISH_STOP = 's', WISH_RELOAD = 'r', WISH_ENGINE = 'e' };

struct supervisor {
	const struct settings *settings;
	struct tail *tail;
	struct resolver *resolver;
	int stop_pipe[2]; /* written by other threads: one of the wishes */
	int signal_fd;
	bool reload;    /* it ends to be run again with other settings */
	unsigned run;   /* counts the runs of this process */
	bool stands_by; /* a command has the server for itself */

	/* Guards the rest, which the control and HTTP threads look at: while it is held, no link that it can see is freed. */
	pthread_mutex_t lock;
	struct state *state;
	enum settings_engine engine, wanted;
	bool ready; /* the links are all there; else it is going over to `engine` */
	char engine_why[sizeof((struct err *)NULL)->message];
	size_t link_count;
	struct link *links[PEERS_MAX];          /* ENGINE_MERGE */
	struct native_link *natives[PEERS_MAX]; /* ENGINE_NATIVE */
	struct admission *admission;            /* NULL: nobody can be let in */
	struct bookkeeper *bookkeeper;
	struct retention *retention; /* NULL: nobody looks at the log files */
	struct verified verified;    /* how the last `syncline verify` here came out */
};

/* The control socket's commands, on its thread or one of the HTTP server's, with the lock held. `link_count` is 0 while the links aren't ready. */

static void view_of(struct supervisor *s, size_t i, struct link_view *ret)
{
	if (s->engine == ENGINE_NATIVE)
		native_link_view(s->natives[i], ret);
	else
		link_view(s->links[i], ret);
}

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
		view_of(s, i, &view);
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

static void wake(struct supervisor *s, size_t link_count)
{
	for (size_t i = 0; i < link_count; i++) {
		if (s->engine == ENGINE_NATIVE)
			native_link_look(s->natives[i]);
		else
			link_look(s->links[i]);
	}
	state_wake(s->state);
}

static void report(struct supervisor *s, size_t link_count, struct buf *ret)
{
	struct link_view *views = mem_alloc((link_count + 1) * sizeof *views);
	struct state_view server;
	struct retention_view logs = {0};
	state_view(s->state, &server);
	if (link_count > 0 && s->retention != NULL)
		retention_view(s->retention, &logs);
	for (size_t i = 0; i < link_count; i++)
		view_of(s, i, &views[i]);
	report_status(&(struct report){.settings = s->settings,
	                               .engine = s->engine,
	                               .engine_why = s->engine_why,
	                               .is_switching = !s->ready || s->engine != s->wanted,
	                               .server = &server,
	                               .logs = &logs,
	                               .verified = &s->verified,
	                               .link_count = link_count,
	                               .links = views},
	              ret);
	free(views);
}

static void tell_main(struct supervisor *s, char wish, struct buf *ret)
{
	buf_append_str(ret, write(s->stop_pipe[1], &wish, 1) == 1 ? "ok\n" : "error: can't tell the main thread\n");
}

/* The main thread goes over to it; the status tells when it has. */
static void switch_engine(struct supervisor *s, const char *name, struct buf *ret)
{
	struct err err;
	enum settings_engine wanted;
	if (!settings_engine_parse(name, &wanted)) {
		buf_append_str(ret, "error: there are the engines merge and native\n");
	} else if (settings_check_engine(s->settings, wanted, &err) != ERR_OK) {
		buf_printf(ret, "error: %s\n", err.message);
	} else {
		s->wanted = wanted;
		s->engine_why[0] = '\0';
		tell_main(s, WISH_ENGINE, ret);
	}
}

static enum err_code load_verified(struct supervisor *s, struct connection *connection, struct err *err)
{
	struct verified verified;
	enum err_code code = verified_load(connection, &verified, err);
	if (code != ERR_OK)
		return code;
	pthread_mutex_lock(&s->lock);
	s->verified = verified;
	pthread_mutex_unlock(&s->lock);
	return ERR_OK;
}

static void look_verified(struct supervisor *s, struct buf *ret)
{
	enum { ANSWER_TIMEOUT_S = 3 };
	struct err err;
	struct connection *connection = connection_new();
	struct connection_target target = {.file = s->settings->file,
	                                   .group = s->settings->server_group,
	                                   .name = s->settings->server_where,
	                                   .read_timeout_s = ANSWER_TIMEOUT_S};
	enum err_code code = connection_open(connection, &target, &err);
	if (code == ERR_OK)
		code = load_verified(s, connection, &err);
	connection_free(connection);
	if (code == ERR_OK)
		buf_append_str(ret, "ok\n");
	else
		buf_printf(ret, "error: %s\n", err.message);
}

static void answer(void *context, const char *command, struct buf *ret)
{
	struct supervisor *s = context;
	if (strcmp(command, "verified") == 0) { /* asks the server, so without the lock */
		look_verified(s, ret);
		return;
	}
	pthread_mutex_lock(&s->lock);
	size_t link_count = s->ready ? s->link_count : 0;
	if (strcmp(command, "status") == 0) {
		report(s, link_count, ret);
	} else if (strcmp(command, "wake") == 0) {
		wake(s, link_count);
		buf_append_str(ret, "ok\n");
	} else if (strcmp(command, "run") == 0) {
		buf_printf(ret, "%ld.%u %s\n", (long)getpid(), s->run,
		           s->stands_by ? "stands by"
		           : s->ready   ? "ready"
		                        : "starting");
	} else if (strncmp(command, "skip ", 5) == 0) {
		skip(s, link_count, command + 5, ret);
	} else if (strncmp(command, "engine ", 7) == 0) {
		switch_engine(s, command + 7, ret);
	} else if (strcmp(command, "stop") == 0) {
		tell_main(s, WISH_STOP, ret);
	} else if (strcmp(command, "reload") == 0) {
		tell_main(s, WISH_RELOAD, ret);
	} else if (strcmp(command, "invited") == 0) {
		if (s->ready && s->admission != NULL)
			admission_look(s->admission);
		buf_append_str(ret, "ok\n");
	} else {
		buf_append_str(ret, "error: unknown command; the commands are status, run, wake, skip, engine, invited, "
		                    "verified, reload and stop\n");
	}
	pthread_mutex_unlock(&s->lock);
}

/* The main thread */

/* Waits for a wish or a signal, which is the wish to stop, up to ms (-1: for ever). */
static enum wish wait_wish(struct supervisor *s, int ms)
{
	struct pollfd ends[] = {{.fd = s->signal_fd, .events = POLLIN}, {.fd = s->stop_pipe[0], .events = POLLIN}};
	char wish = WISH_STOP;
	int n;
	while ((n = poll(ends, 2, ms)) < 0)
		;
	if (n == 0)
		return WISH_NONE;
	return ends[0].revents == 0 && read(s->stop_pipe[0], &wish, 1) == 1 ? (enum wish)wish : WISH_STOP;
}

static enum settings_engine wanted_engine(struct supervisor *s)
{
	pthread_mutex_lock(&s->lock);
	enum settings_engine wanted = s->wanted;
	pthread_mutex_unlock(&s->lock);
	return wanted;
}

static enum err_code let_look(const struct settings *settings, struct connection *connection, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && settings->identity_dir != NULL && i < settings->peer_count; i++)
		code = membership_let_look(connection, settings->peers[i].node_id, settings->database_count,
		                           settings->databases, err);
	return code;
}

static enum err_code prepare_server(struct supervisor *s, struct err *err)
{
	const struct settings *settings = s->settings;
	struct connection *connection = connection_new();
	struct connection_target target = {
	    .file = settings->file, .group = settings->server_group, .name = settings->server_where};
	enum err_code code = connection_open(connection, &target, err);
	if (code == ERR_OK)
		code = server_check(connection, settings->server_where, settings->node_id, err);
	if (code == ERR_OK)
		code = server_prepare(connection, err);
	if (code == ERR_OK)
		code = recovered_prepare(connection, err);
	if (code == ERR_OK)
		code = policies_publish(connection, settings, err);
	if (code == ERR_OK)
		code = emptied_prepare(connection, err);
	if (code == ERR_OK)
		code = retention_prepare(connection, err);
	if (code == ERR_OK && settings->identity_dir != NULL)
		code = members_publish(connection, settings, err);
	if (code == ERR_OK)
		code = let_look(settings, connection, err);
	if (code == ERR_OK)
		code = load_verified(s, connection, err);
	connection_free(connection);
	return code == ERR_OK ? handover_to(settings, s->engine, err) : code;
}

/* This node's server may come up after us, after a power cut: wait for it, as long as it takes. ERR_CANCELLED when
 * the daemon is to end. */
static enum err_code wait_server(struct supervisor *s, struct err *err)
{
	bool told = false;
	enum err_code code;
	while ((code = prepare_server(s, err)) == ERR_DISCONNECTED || code == ERR_BUSY) {
		state_tail_live(s->state, false, err->message);
		if (!told)
			log_line(LOG_LEVEL_WARNING, "main", "waiting for this node's server: %s", err->message);
		told = true;
		enum wish wish = wait_wish(s, CONNECT_PAUSE_MS);
		s->reload = wish == WISH_RELOAD;
		if (wish == WISH_STOP || wish == WISH_RELOAD)
			return err_set(err, ERR_CANCELLED, "stopping");
	}
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

static enum err_code start_retention(struct supervisor *s, struct err *err)
{
	struct retention_links links = {
	    .engine = s->engine, .count = s->link_count, .links = s->links, .natives = s->natives};
	return retention_start(s->settings, s->state, &links, &s->retention, err);
}

static enum err_code start_admission(struct supervisor *s, struct err *err)
{
	struct errands errands = {.settings = s->settings,
	                          .state = s->state,
	                          .engine = s->engine,
	                          .links = s->links,
	                          .link_count = s->engine == ENGINE_MERGE ? s->link_count : 0,
	                          .reload_fd = s->stop_pipe[1]};
	return s->settings->identity_dir != NULL ? admission_start(&errands, &s->admission, err) : ERR_OK;
}

static enum err_code start_merge(struct supervisor *s, struct err *err)
{
	enum err_code code = tail_start(s->settings, s->state, &s->tail, err);
	if (code == ERR_OK)
		code = resolver_start(s->settings, s->state, &s->resolver, err);
	for (size_t i = 0; code == ERR_OK && i < s->settings->peer_count; i++) {
		code = link_start(s->settings, &s->settings->peers[i], s->state, &s->links[i], err);
		s->link_count += code == ERR_OK;
	}
	if (code == ERR_OK)
		code = start_admission(s, err);
	if (code == ERR_OK && s->link_count > 0) /* alone, nobody says what is needed */
		code = start_retention(s, err);
	if (code == ERR_OK)
		code = bookkeeper_start(s->settings, s->state, s->links, s->link_count, &s->bookkeeper, err);
	return code;
}

static enum err_code start_native(struct supervisor *s, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < s->settings->peer_count; i++) {
		code = native_link_start(s->settings, &s->settings->peers[i], s->state, &s->natives[i], err);
		s->link_count += code == ERR_OK;
	}
	if (code == ERR_OK)
		code = start_admission(s, err);
	if (code == ERR_OK && s->link_count > 0)
		code = start_retention(s, err);
	if (code == ERR_OK)
		code = bookkeeper_start(s->settings, s->state, NULL, 0, &s->bookkeeper, err);
	return code;
}

static void stand_by(struct supervisor *s)
{
	static const char why[] = "standing by: `syncline rejoin` or `syncline leave` is at work on this node, or was "
	                          "interrupted; the same command goes on";
	enum wish wish = WISH_NONE;
	state_tail_live(s->state, false, why);
	log_line(LOG_LEVEL_WARNING, "main", "%s", why);
	while (wish != WISH_STOP && wish != WISH_RELOAD)
		wish = wait_wish(s, -1);
	s->reload = wish == WISH_RELOAD;
}

static void set_ready(struct supervisor *s, bool ready)
{
	pthread_mutex_lock(&s->lock);
	s->ready = ready;
	pthread_mutex_unlock(&s->lock);
}

static void stop_all(struct supervisor *s)
{
	set_ready(s, false);
	state_stop(s->state);
	admission_stop(s->admission);
	s->admission = NULL;
	bookkeeper_stop(s->bookkeeper);
	s->bookkeeper = NULL;
	retention_stop(s->retention);
	s->retention = NULL;
	for (size_t i = 0; i < s->link_count; i++) {
		link_stop(s->links[i]);
		native_link_stop(s->natives[i]);
		s->links[i] = NULL;
		s->natives[i] = NULL;
	}
	resolver_stop(s->resolver);
	tail_stop(s->tail);
	s->resolver = NULL;
	s->tail = NULL;
	s->link_count = 0;
}

/* Everything is stopped. The history will be told anew from the log. */
static void renew(struct supervisor *s, enum settings_engine engine)
{
	pthread_mutex_lock(&s->lock);
	state_free(s->state);
	s->state = state_new(s->settings);
	s->engine = engine;
	pthread_mutex_unlock(&s->lock);
}

static bool has_left(struct supervisor *s)
{
	struct state_view view;
	state_view(s->state, &view);
	return view.has_work || view.history.merge.held > 0;
}

/* Rows that are held back, losses that are not recorded: only the log still tells of them when the engine has ended.
 * What is merely in dispute isn't known everywhere, and so is kept (link/native_needs.h). */
static void end_merge(struct supervisor *s, bool goes_on)
{
	struct err err;
	struct state_view view;
	int64_t until = clock_monotonic_ms() + (goes_on ? SETTLE_MS : s->reload ? 0 : SETTLE_STOP_MS);
	while (has_left(s) && clock_monotonic_ms() < until)
		state_sleep(s->state, SETTLE_POLL_MS);
	bool is_left = has_left(s);
	state_view(s->state, &view);
	bool is_known = view.tail_live; /* else what was noted before stays */
	stop_all(s);
	state_view(s->state, &view);
	is_left = is_left || view.history.merge.held > 0;
	if (is_left && goes_on)
		log_line(LOG_LEVEL_WARNING, "main",
		         "the merge engine has something left to do, so from there on this node's log is kept, as far as there "
		         "is room, until it has run again: rows held back: %llu",
		         (unsigned long long)view.history.merge.held);
	if (is_known && handover_note_unsettled(s->settings, is_left, &err) != ERR_OK)
		log_line(LOG_LEVEL_INFO, "main", "can't note what is left to do: %s", err.message);
}

/* One engine, until the daemon ends (ERR_CANCELLED) or another one is wanted (ERR_OK). An error if it can't start. */
static enum err_code run_engine(struct supervisor *s, struct err *err)
{
	enum err_code code = wait_server(s, err);
	if (code == ERR_OK)
		code = s->engine == ENGINE_NATIVE ? start_native(s, err) : start_merge(s, err);
	if (code == ERR_OK) {
		set_ready(s, true);
		log_line(LOG_LEVEL_INFO, "main", "node %u runs with %zu peers, engine %s", (unsigned)s->settings->node_id,
		         s->settings->peer_count, settings_engine_name(s->engine));
		enum wish wish = WISH_NONE;
		while (wish != WISH_STOP && wish != WISH_RELOAD && wanted_engine(s) == s->engine)
			wish = wait_wish(s, -1);
		s->reload = wish == WISH_RELOAD;
		bool goes_on = wish != WISH_STOP && !s->reload;
		log_line(LOG_LEVEL_INFO, "main", "%s",
		         goes_on     ? "going over to another engine"
		         : s->reload ? "starting anew with other settings"
		                     : "stopping");
		if (s->engine == ENGINE_MERGE && s->link_count > 0)
			end_merge(s, goes_on);
		if (!goes_on)
			code = err_set(err, ERR_CANCELLED, "stopping");
	}
	stop_all(s);
	return code;
}

/* It stays with the engine that it had; whoever asked finds the reason in the status. */
static void give_up(struct supervisor *s, enum settings_engine engine, const struct err *err)
{
	log_line(LOG_LEVEL_ERROR, "main", "%s", err->message);
	pthread_mutex_lock(&s->lock);
	snprintf(s->engine_why, sizeof s->engine_why, "%s", err->message);
	s->wanted = engine;
	pthread_mutex_unlock(&s->lock);
	renew(s, engine);
}

static enum err_code run_engines(struct supervisor *s, struct err *err)
{
	enum settings_engine before = s->engine;
	for (;;) {
		enum err_code code = run_engine(s, err);
		if (code == ERR_CANCELLED)
			return ERR_OK;
		if (code != ERR_OK && s->engine == before)
			return code;
		if (code != ERR_OK) {
			give_up(s, before, err);
			continue;
		}
		before = s->engine;
		renew(s, wanted_engine(s));
	}
}

enum err_code supervisor_run(const struct settings *settings, bool *ret_reload, struct err *err)
{
	struct supervisor s = {
	    .settings = settings, .stop_pipe = {-1, -1}, .engine = settings->engine, .wanted = settings->engine};
	static unsigned runs; /* of the main thread alone */
	s.run = ++runs;
	s.stands_by = control_is_standing_by(settings->state_dir);
	struct control_server *control = NULL;
	struct http_server *http = NULL;
	s.signal_fd = block_signals();
	if (s.signal_fd < 0 || pipe2(s.stop_pipe, O_CLOEXEC) != 0)
		return err_set(err, ERR_IO, "can't make a pipe: %s; raise the limit of open files", strerror(errno));
	pthread_mutex_init(&s.lock, NULL);
	s.state = state_new(settings);
	/* First the control socket: it makes sure that no other daemon runs for this node. */
	enum err_code code = control_server_start(settings->state_dir, answer, &s, &control, err);
	if (code == ERR_OK)
		code = http_server_start(settings, answer, &s, &http, err);
	if (code == ERR_OK && s.stands_by)
		stand_by(&s);
	else if (code == ERR_OK)
		code = run_engines(&s, err);
	*ret_reload = code == ERR_OK && s.reload;
	http_server_stop(http);
	control_server_stop(control);
	state_free(s.state);
	pthread_mutex_destroy(&s.lock);
	close(s.stop_pipe[0]);
	close(s.stop_pipe[1]);
	close(s.signal_fd);
	return code;
}
