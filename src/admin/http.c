#include "admin/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/api.h"
#include "admin/conflicts_json.h"
#include "admin/samples.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	CONNECTIONS_MAX = 32, /* a door; a browser opens up to six */
	CONNECTIONS_PER_ADDRESS_MAX = 16,
	REQUEST_BYTES_MAX = 16 << 10, /* with what MHD needs for itself */
	REQUEST_MS = 5000,            /* for a whole request, from the connection on */
	ANSWER_MS = 60000,            /* for taking the answer */
	IDLE_S = 10,                  /* nothing comes or goes */
	BACKLOG = 16,
	STACK_BYTES = 2 << 20, /* a conflict's JSON may be nested */
	WATCH_S = 1,
	RETRY_MS = 2000,
};

struct client {
	struct client *next, **link;
	int fd; /* MHD's, which closes it after it has said so */
	int64_t deadline_ms;
};

struct door {
	struct http_server *server;
	const char *name;          /* for messages */
	struct MHD_Daemon *daemon; /* NULL: not open */
	struct api api;
	bool is_wanted, has_failed; /* failed: and said so */
	int64_t next_ms;            /* to try again */
};

struct http_server {
	const struct settings *settings;
	control_answer *answer;
	void *context;
	char *socket_path;
	struct api_token token;
	struct door local, network; /* of the watching thread, once that runs */
	pthread_t watcher;
	pthread_mutex_t reading; /* one at a time reads the database */

	/* Guards the rest. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool is_stopping;
	struct client *clients;
	struct samples *samples;
};

static int64_t now_s(void)
{
	return clock_monotonic_ms() / 1000;
}

/* ---- What the API asks ---- */

static void ask_status(void *context, struct buf *json)
{
	struct http_server *s = context;
	s->answer(s->context, "status", json);
}

static void ask_samples(void *context, int64_t since, struct buf *json)
{
	struct http_server *s = context;
	pthread_mutex_lock(&s->lock);
	samples_format(s->samples, now_s(), since, json);
	pthread_mutex_unlock(&s->lock);
}

static enum err_code ask_conflicts(void *context, const struct api_conflicts *which, struct buf *json, struct err *err)
{
	struct http_server *s = context;
	pthread_mutex_lock(&s->reading);
	enum err_code code = conflicts_json(s->settings, which, json, err);
	pthread_mutex_unlock(&s->reading);
	return code;
}

static void ask_wake(void *context)
{
	struct http_server *s = context;
	struct buf ignored = {0};
	s->answer(s->context, "wake", &ignored);
	buf_free(&ignored);
}

static enum err_code ask_hold(void *context, uint32_t peer, bool paused, struct err *err)
{
	struct http_server *s = context;
	const char *dir = s->settings->state_dir;
	bool is_peer = false;
	for (size_t i = 0; i < s->settings->peer_count; i++)
		is_peer = is_peer || s->settings->peers[i].node_id == peer;
	if (!is_peer)
		return err_set(err, ERR_CONFIG, "node %u is no peer of this node", (unsigned)peer);
	enum err_code code = paused ? control_pause(dir, peer, err) : control_resume(dir, peer, err);
	if (code == ERR_OK)
		log_line(LOG_LEVEL_INFO, "http", "the link from node %u is %s", (unsigned)peer, paused ? "paused" : "resumed");
	if (code == ERR_OK)
		ask_wake(s);
	return code;
}

static const struct api_calls calls = {ask_status, ask_samples, ask_conflicts, ask_hold, ask_wake};

/* ---- Requests ---- */

static enum MHD_Result take_parameter(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct api_request *q = context;
	(void)kind;
	if (q->parameter_count < API_PARAMETERS_MAX)
		q->parameters[q->parameter_count] = (struct api_parameter){name, value};
	q->parameter_count++;
	return MHD_YES;
}

static bool has_body(struct MHD_Connection *c)
{
	const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
	return (length != NULL && strcmp(length, "0") != 0) ||
	       MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Transfer-Encoding") != NULL;
}

/* The page takes nothing from elsewhere, and nobody else takes anything from here. */
static void add_headers(struct MHD_Response *response, const struct api_response *r)
{
	static const char *const always[][2] = {
	    {"Cache-Control", "no-store"},
	    {"Connection", "close"},
	    {"Content-Security-Policy",
	     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
	     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	    {"Cross-Origin-Resource-Policy", "same-origin"},
	    {"Referrer-Policy", "no-referrer"},
	    {"X-Content-Type-Options", "nosniff"},
	    {"X-Frame-Options", "DENY"},
	};
	MHD_add_response_header(response, "Content-Type", r->type);
	if (r->allow != NULL)
		MHD_add_response_header(response, "Allow", r->allow);
	if (r->wants_token)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"syncline\"");
	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		MHD_add_response_header(response, always[i][0], always[i][1]);
}

/* It has sent its request: now it is to take the answer. */
static void give_time(struct http_server *s, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *client = info != NULL ? info->socket_context : NULL;
	pthread_mutex_lock(&s->lock);
	if (client != NULL)
		client->deadline_ms = clock_monotonic_ms() + ANSWER_MS;
	pthread_mutex_unlock(&s->lock);
}

/* MHD ends a path at a NUL that was escaped, and what is asked would be another one than was sent. */
static void *on_uri(void *context, const char *uri, struct MHD_Connection *c)
{
	static char is_malformed;
	(void)context, (void)c;
	return strstr(uri, "%00") != NULL ? &is_malformed : NULL;
}

/* Called by MHD when the headers are there: nothing takes a body, so everything is known. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path, const char *method,
                                  const char *version, const char *body, size_t *body_size, void **request_context)
{
	struct door *door = context;
	struct api_response r;
	struct api_request q = {.method = method,
	                        .path = *request_context == NULL ? path : "",
	                        .host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host"),
	                        .authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization"),
	                        .has_body = has_body(c)};
	(void)version, (void)body, (void)body_size;
	MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, take_parameter, &q);
	api_answer(&door->api, &q, &r);
	give_time(door->server, c);
	buf_str(&r.body); /* there is memory even for an empty one */
	struct MHD_Response *response = MHD_create_response_from_buffer(r.body.size, r.body.data, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		buf_free(&r.body);
		return MHD_NO;
	}
	add_headers(response, &r);
	enum MHD_Result queued = MHD_queue_response(c, r.status, response);
	MHD_destroy_response(response);
	return queued;
}

/* ---- Connections ---- */

static void on_connection(void *context, struct MHD_Connection *c, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
	struct http_server *s = ((struct door *)context)->server;
	struct client *client = *socket_context;
	pthread_mutex_lock(&s->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		client = mem_alloc(sizeof *client);
		client->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		client->deadline_ms = clock_monotonic_ms() + REQUEST_MS;
		client->next = s->clients;
		client->link = &s->clients;
		if (client->next != NULL)
			client->next->link = &client->next;
		s->clients = client;
		*socket_context = client;
	} else if (client != NULL) {
		*client->link = client->next;
		if (client->next != NULL)
			client->next->link = client->link;
		free(client);
		*socket_context = NULL;
	}
	pthread_mutex_unlock(&s->lock);
}

/* MHD's own timeout starts anew with each byte. With the lock held. */
static void end_overdue(struct http_server *s)
{
	int64_t now = clock_monotonic_ms();
	for (struct client *c = s->clients; c != NULL; c = c->next)
		if (c->deadline_ms < now)
			shutdown(c->fd, SHUT_RDWR);
}

/* ---- Doors ---- */

union address {
	struct sockaddr any;
	struct sockaddr_un local;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

static socklen_t network_address(const struct listen_place *place, union address *ret)
{
	*ret = (union address){0};
	if (place->is_ipv6) {
		ret->ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(place->port)};
		inet_pton(AF_INET6, place->host, &ret->ipv6.sin6_addr);
		return sizeof ret->ipv6;
	}
	ret->ipv4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(place->port)};
	inet_pton(AF_INET, place->host, &ret->ipv4.sin_addr);
	return sizeof ret->ipv4;
}

/* The UNIX socket gets its mode before it gets its name, so nobody else can ever connect. */
static bool prepare_socket(int fd, int family)
{
	int one = 1;
	if (family == AF_UNIX)
		return fchmod(fd, 0600) == 0;
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
	       (family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0);
}

static int make_socket(struct http_server *s, const struct door *door, struct err *err)
{
	union address address = {.local = {.sun_family = AF_UNIX}};
	socklen_t size = sizeof address.local;
	if (door == &s->network) {
		size = network_address(&s->settings->http_listen, &address);
	} else if (strlen(s->socket_path) < sizeof address.local.sun_path) {
		strcpy(address.local.sun_path, s->socket_path);
		unlink(s->socket_path); /* a killed daemon's: the state folder is ours */
	} else {
		err_set(err, ERR_CONFIG, "%s: too long for a socket; use a shorter state-dir", s->socket_path);
		return -1;
	}
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && prepare_socket(fd, address.any.sa_family) && bind(fd, &address.any, size) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	err_set(err, ERR_IO, "can't listen on %s: %s; it is tried again", door->name, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool open_door(struct http_server *s, struct door *door, struct err *err)
{
	bool is_local = door == &s->local;
	door->api = (struct api){.is_local = is_local || s->settings->http_listen.is_loopback,
	                         .token = &s->token,
	                         .calls = &calls,
	                         .context = s};
	int fd = make_socket(s, door, err);
	if (fd < 0)
		return false;
	door->daemon = MHD_start_daemon(
	    MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0, NULL, NULL, on_request, door,
	    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_PER_IP_CONNECTION_LIMIT, is_local ? 0u : (unsigned)CONNECTIONS_PER_ADDRESS_MAX,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_URI_LOG_CALLBACK,
	    on_uri, door, MHD_OPTION_NOTIFY_CONNECTION, on_connection, door, MHD_OPTION_END);
	if (door->daemon == NULL) {
		close(fd);
		err_set(err, ERR_IO, "can't serve HTTP on %s; raise the limits of processes and open files", door->name);
	}
	return door->daemon != NULL;
}

static void try_door(struct http_server *s, struct door *door)
{
	struct err err;
	if (!door->is_wanted || door->daemon != NULL || clock_monotonic_ms() < door->next_ms)
		return;
	door->next_ms = clock_monotonic_ms() + RETRY_MS;
	bool is_open = open_door(s, door, &err);
	if (is_open && door == &s->network)
		log_line(LOG_LEVEL_INFO, "http", "listens on %s", door->name);
	if (!is_open && !door->has_failed)
		log_line(LOG_LEVEL_ERROR, "http", "%s", err.message);
	door->has_failed = !is_open;
}

/* ---- The watching thread ---- */

static bool take_sample(struct http_server *s)
{
	struct buf status = {0};
	ask_status(s, &status);
	pthread_mutex_lock(&s->lock);
	bool is_taken = samples_add(s->samples, now_s(), buf_str(&status));
	pthread_mutex_unlock(&s->lock);
	buf_free(&status);
	return is_taken;
}

static void *watch(void *context)
{
	struct http_server *s = context;
	int64_t next_sample_ms = 0;
	pthread_mutex_lock(&s->lock);
	while (!s->is_stopping) {
		end_overdue(s);
		pthread_mutex_unlock(&s->lock);
		try_door(s, &s->local);
		try_door(s, &s->network);
		if (clock_monotonic_ms() >= next_sample_ms && take_sample(s))
			next_sample_ms = clock_monotonic_ms() + SAMPLES_INTERVAL_S * 1000;
		pthread_mutex_lock(&s->lock);
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += WATCH_S;
		if (!s->is_stopping)
			pthread_cond_timedwait(&s->wake, &s->lock, &until);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- Start and stop ---- */

/* A wrong token file closes the network's door, and leaves the others without a token. */
static void load_token(struct http_server *s)
{
	struct err err;
	if (s->settings->http_token_file == NULL || api_token_load(s->settings->http_token_file, &s->token, &err) == ERR_OK)
		return;
	log_line(LOG_LEVEL_ERROR, "http", "%s", err.message);
	s->network.is_wanted = s->network.is_wanted && s->settings->http_listen.is_loopback;
}

static void free_server(struct http_server *s)
{
	samples_free(s->samples);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->reading);
	pthread_cond_destroy(&s->wake);
	free((char *)s->network.name);
	free(s->socket_path);
	free(s);
}

/* With every signal blocked, as are the threads that MHD starts from it: only the main thread receives signals. */
static enum err_code start_watcher(struct http_server *s, struct err *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int n = pthread_create(&s->watcher, NULL, watch, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (n != 0)
		return err_set(err, ERR_IO, "can't start the HTTP thread: %s; raise the limit of processes", strerror(n));
	return ERR_OK;
}

enum err_code http_server_start(const struct settings *settings, control_answer *answer, void *context,
                                struct http_server **ret_server, struct err *err)
{
	struct http_server *s = mem_alloc(sizeof *s);
	pthread_condattr_t monotonic;
	*s = (struct http_server){.settings = settings, .answer = answer, .context = context, .samples = samples_new()};
	s->socket_path = mem_printf("%s/http.sock", settings->state_dir);
	s->local = (struct door){.server = s, .name = s->socket_path, .is_wanted = true};
	s->network = (struct door){.server = s, .is_wanted = settings->http_listen.port != 0};
	s->network.name = mem_printf(settings->http_listen.is_ipv6 ? "[%s]:%u" : "%s:%u", settings->http_listen.host,
	                             (unsigned)settings->http_listen.port);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->reading, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	load_token(s);
	enum err_code code = start_watcher(s, err);
	if (code != ERR_OK) {
		free_server(s);
		return code;
	}
	*ret_server = s;
	return ERR_OK;
}

void http_server_stop(struct http_server *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->is_stopping = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->watcher, NULL);
	if (s->local.daemon != NULL) {
		MHD_stop_daemon(s->local.daemon);
		unlink(s->socket_path);
	}
	if (s->network.daemon != NULL)
		MHD_stop_daemon(s->network.daemon);
	free_server(s);
}
