/* One node of a lab: its server and its daemon. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/lab.h"
#include "node/files.h"
#include "node/identity.h"
#include "node/private_server.h"
#include "node/process.h"
#include "node/settings.h"

enum { DAEMON_POLL_MS = 10, DAEMON_STOP_TIMEOUT_MS = 30 * 1000, LOG_TAIL_BYTES = 4096, PORT = 3306 };

/* The server */

static struct private_server server_of(const struct lab *lab, const struct lab_node *node)
{
	struct private_server server = {
	    .dir = node->dir,
	    .datadir = node->datadir,
	    .socket = node->socket,
	    .node_id = node->id,
	    .slots = lab->node_count,
	    .option_count = lab->option_count,
	    .options = (const char *const *)lab->options,
	    .network_of = lab_net_of(lab, node),
	    .cancelled = &command_interrupted,
	};
	if (lab->network) {
		server.address = node->address;
		server.port = PORT;
		server.tls_ca = node->tls_ca;
		server.tls_cert = node->tls_cert;
		server.tls_key = node->tls_key;
	}
	return server;
}

enum err_code lab_server_create(const struct lab *lab, const struct lab_node *node, const char *like, struct err *err)
{
	struct private_server server = server_of(lab, node);
	return private_server_create(&server, like, err);
}

enum err_code lab_server_start(const struct lab *lab, const struct lab_node *node, struct err *err)
{
	struct private_server server = server_of(lab, node);
	return private_server_start(&server, err);
}

enum err_code lab_server_wait(const struct lab *lab, const struct lab_node *node, unsigned timeout_s, struct err *err)
{
	struct private_server server = server_of(lab, node);
	return private_server_wait_ready(&server, (int64_t)timeout_s * 1000, err);
}

enum err_code lab_server_stop(const struct lab *lab, const struct lab_node *node, int signal, struct err *err)
{
	struct private_server server = server_of(lab, node);
	return private_server_stop(&server, signal, err);
}

bool lab_server_is_running(const struct lab *lab, const struct lab_node *node)
{
	struct private_server server = server_of(lab, node);
	return private_server_is_running(&server);
}

enum err_code lab_connect(const struct lab_node *node, struct connection *connection, struct err *err)
{
	char *name = mem_printf("node %u (%s)", (unsigned)node->id, node->socket);
	enum err_code code =
	    connection_open(connection, &(struct connection_target){.socket = node->socket, .name = name}, err);
	free(name);
	return code;
}

/* The daemon */

static void append_peer(struct buf *to, const struct lab *lab, const struct lab_node *node, const struct lab_node *peer)
{
	buf_printf(to, "\n[syncline-peer-%u]\n", (unsigned)peer->id);
	if (!lab->network) {
		settings_append_option(to, "socket", peer->socket);
		settings_append_option(to, "user", "root");
		return;
	}
	settings_append_option(to, "host", peer->address);
	buf_printf(to, "port = %u\nuser = syncline-%u\n", (unsigned)PORT, (unsigned)node->id);
	char *authority = identity_peer_path(node->tls_dir, peer->id);
	settings_append_option(to, "ssl-ca", authority);
	free(authority);
	settings_append_option(to, "ssl-cert", node->tls_cert);
	settings_append_option(to, "ssl-key", node->tls_key);
	buf_append_str(to, "ssl-verify-server-cert = 1\n");
}

enum err_code lab_daemon_configure(const struct lab *lab, const struct lab_node *node, struct err *err)
{
	struct buf text = {0};
	buf_printf(&text, "[syncline]\nnode-id = %u\nnodes = ", (unsigned)node->id);
	for (size_t i = 0; i < lab->node_count; i++)
		buf_printf(&text, "%s%u", i ? "," : "", (unsigned)lab->nodes[i].id);
	buf_append_str(&text, "\n");
	for (size_t i = 0; i < lab->database_count; i++)
		settings_append_option(&text, "replicate-do-db", lab->databases[i]);
	settings_append_option(&text, "state-dir", node->state_dir);
	buf_append_str(&text, "\n[syncline-server]\n");
	settings_append_option(&text, "socket", node->socket);
	settings_append_option(&text, "user", "root");
	for (size_t i = 0; i < lab->node_count; i++)
		if (lab_is_linked(lab, node, &lab->nodes[i]))
			append_peer(&text, lab, node, &lab->nodes[i]);
	enum err_code code = files_write(node->settings, &text, err);
	buf_free(&text);
	return code;
}

static pid_t daemon_pid(const struct lab_node *node)
{
	char *argument = mem_printf("--defaults-file=%s", node->settings);
	pid_t pid = process_find(&(struct process_name){"syncline", "run", argument});
	free(argument);
	return pid;
}

bool lab_daemon_is_running(const struct lab_node *node)
{
	return daemon_pid(node) != 0;
}

enum err_code lab_daemon_stop(const struct lab_node *node, int signal, struct err *err)
{
	char *argument = mem_printf("--defaults-file=%s", node->settings);
	enum err_code code =
	    process_stop(&(struct process_name){"syncline", "run", argument}, signal, DAEMON_STOP_TIMEOUT_MS, err);
	free(argument);
	return code;
}

enum err_code lab_daemon_start(const struct lab *lab, const struct lab_node *node, struct err *err)
{
	if (daemon_pid(node) != 0)
		return ERR_OK;
	char program[4096];
	ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
	if (size <= 0)
		return err_set(err, ERR_IO, "can't find the syncline program: %s; is /proc mounted?", strerror(errno));
	program[size] = 0;
	pid_t pid;
	char *argument = mem_printf("--defaults-file=%s", node->settings);
	const char *argv[] = {program, "run", argument, NULL};
	enum err_code code = process_start(
	    &(struct process_start){.argv = argv, .log = node->log, .network_of = lab_net_of(lab, node)}, &pid, err);
	free(argument);
	return code;
}

static enum err_code daemon_ended(const struct lab_node *node, struct err *err)
{
	struct buf text = {0};
	struct err ignored;
	const char *last = "nothing in its log";
	if (files_read_tail(node->log, LOG_TAIL_BYTES, &text, &ignored) == ERR_OK) {
		while (text.size > 0 && text.data[text.size - 1] == '\n')
			text.size--;
		const char *all = buf_str(&text), *line = strrchr(all, '\n');
		if (*all != 0)
			last = line ? line + 1 : all;
	}
	enum err_code code =
	    err_set(err, ERR_SERVER, "the daemon of node %u ended: %s; see %s", (unsigned)node->id, last, node->log);
	buf_free(&text);
	return code;
}

enum err_code lab_daemon_wait(const struct lab_node *node, unsigned timeout_s, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + (int64_t)timeout_s * 1000;
	for (;;) {
		struct node_status status;
		pid_t pid = daemon_pid(node);
		if (pid == 0 || process_wait_end(pid, DAEMON_POLL_MS))
			return daemon_ended(node, err);
		if (node_status_get(node->state_dir, &status, err) == ERR_OK) {
			node_status_free(&status);
			return ERR_OK;
		}
		if (command_interrupted)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() > deadline)
			return err_set(err, ERR_TIMEOUT, "the daemon of node %u does not answer after %u s; see %s",
			               (unsigned)node->id, timeout_s, node->log);
	}
}
