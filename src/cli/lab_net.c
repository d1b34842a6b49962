/* A lab with a network: each node in a network namespace with an eth0 of its own, 192.168.10.N, as in the guide.
 *
 * Two nodes are joined by a cable (a veth pair), more by a switch (a bridge in a namespace of its own). A namespace lives
 * as long as its holder, a `syncline net-holder` that only waits. Without root the first holder makes a user namespace,
 * where its user is root, and the others join it. UNIX sockets are files, so they work across all of this.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/lab.h"
#include "node/files.h"
#include "node/identity.h"
#include "node/process.h"

enum { HOLDER_TIMEOUT_MS = 10 * 1000, HOLDER_POLL_MS = 5, IP_WORDS_MAX = 16 };

static const char ready_text[] = "ready\n";

/* The holder */

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return written;
}

/* Become root in a user namespace of our own: no privilege is needed for that where the kernel's owner allows it. */
static bool enter_user_namespace(void)
{
	char uid_map[64], gid_map[64];
	snprintf(uid_map, sizeof uid_map, "0 %u 1\n", (unsigned)geteuid());
	snprintf(gid_map, sizeof gid_map, "0 %u 1\n", (unsigned)getegid());
	return unshare(CLONE_NEWUSER) == 0 && write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", uid_map) && write_text("/proc/self/gid_map", gid_map);
}

/* Not for people: `net-holder --of=DIR`, where DIR only makes it findable. */
int command_net_holder(int argc, char **argv)
{
	if (argc != 2)
		return command_fail(argv[0], EXIT_USAGE, "this command is the lab's own; see syncline lab up --help");
	if (unshare(CLONE_NEWNET) != 0 && (!enter_user_namespace() || unshare(CLONE_NEWNET) != 0)) {
		fprintf(stderr, "can't make a network namespace: %s\n", strerror(errno)); /* read by wait_holder */
		return EXIT_FAILED;
	}
	if (write(STDOUT_FILENO, ready_text, sizeof ready_text - 1) < 0)
		return EXIT_FAILED;
	for (;;)
		pause();
}

/* Holders, seen from the lab. Number 0 is the switch. */

struct holder {
	char *dir, *log, *argument;
};

static struct holder holder_of(const struct lab *lab, unsigned number)
{
	char *dir = number == 0 ? mem_printf("%s/switch", lab->dir) : mem_strdup(lab->nodes[number - 1].dir);
	return (struct holder){dir, mem_printf("%s/network.log", dir), mem_printf("--of=%s", dir)};
}

static void free_holder(struct holder *holder)
{
	free(holder->dir);
	free(holder->log);
	free(holder->argument);
}

static pid_t holder_pid(const struct lab *lab, unsigned number)
{
	struct holder holder = holder_of(lab, number);
	pid_t pid = process_find(&(struct process_name){"syncline", "net-holder", holder.argument});
	free_holder(&holder);
	return pid;
}

pid_t lab_net_of(const struct lab *lab, const struct lab_node *node)
{
	return lab->network ? holder_pid(lab, node->id) : 0;
}

static enum err_code wait_holder(const struct holder *holder, pid_t pid, struct err *err)
{
	struct buf text = {0};
	enum err_code code = ERR_OK;
	for (int waited = 0;; waited += HOLDER_POLL_MS) {
		bool ended = process_wait_end(pid, HOLDER_POLL_MS);
		if ((code = files_read_tail(holder->log, 1000, &text, err)) != ERR_OK)
			break;
		if (!ended && strstr(buf_str(&text), ready_text) != NULL)
			break;
		while (text.size > 0 && text.data[text.size - 1] == '\n')
			text.size--;
		if (ended || waited > HOLDER_TIMEOUT_MS) {
			code = err_set(err, ERR_UNSUPPORTED, "%s; run as root or allow user namespaces", buf_str(&text));
			break;
		}
	}
	buf_free(&text);
	return code;
}

static enum err_code start_holder(const struct lab *lab, unsigned number, pid_t first, pid_t *ret_pid, struct err *err)
{
	char program[4096];
	ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
	program[size > 0 ? size : 0] = 0;
	struct holder holder = holder_of(lab, number);
	const char *argv[] = {program, "net-holder", holder.argument, NULL};
	enum err_code code = ERR_OK;
	if (mkdir(holder.dir, 0700) != 0 && errno != EEXIST)
		code = err_set(err, ERR_IO, "%s: can't make the folder: %s; check the folder above it", holder.dir,
		               strerror(errno));
	unlink(holder.log);
	if (code == ERR_OK)
		code =
		    process_start(&(struct process_start){.argv = argv, .log = holder.log, .network_of = first}, ret_pid, err);
	if (code == ERR_OK)
		code = wait_holder(&holder, *ret_pid, err);
	free_holder(&holder);
	return code;
}

/* Wiring */

/* Runs `ip` with the words of a format ("link set %s up") in a holder's namespace. */
static enum err_code run_ip(const struct lab *lab, unsigned number, struct err *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static enum err_code run_ip(const struct lab *lab, unsigned number, struct err *err, const char *format, ...)
{
	char words[200];
	va_list args;
	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	char *copy = mem_strdup(words), *save = NULL, *ip = process_program_path("ip"), *log = NULL;
	const char *argv[IP_WORDS_MAX + 2] = {ip};
	int count = 1, status = 0;
	for (char *word = strtok_r(copy, " ", &save); word != NULL && count <= IP_WORDS_MAX;
	     word = strtok_r(NULL, " ", &save))
		argv[count++] = word;
	enum err_code code = ERR_OK;
	pid_t holder = holder_pid(lab, number);
	log = mem_printf("%s/ip.log", lab->dir);
	if (ip == NULL)
		code = err_set(err, ERR_UNSUPPORTED, "the ip program is not installed; run: sudo apt install iproute2");
	else if (holder == 0)
		code = err_set(err, ERR_IO, "the network of node %u has gone; take the lab down and up again", number);
	else
		code = process_run(&(struct process_start){.argv = argv, .log = log, .network_of = holder},
		                   &command_interrupted, &status, err);
	if (code == ERR_OK && status != 0)
		code = err_set(err, ERR_UNSUPPORTED, "node %u: ip %s failed; see %s", number, words, log);
	free(log);
	free(ip);
	free(copy);
	return code;
}

static enum err_code lay_cables(const struct lab *lab, const pid_t *pids, struct err *err)
{
	if (lab->node_count == 2)
		return run_ip(lab, 1, err, "link add eth0 type veth peer name eth0 netns %d", (int)pids[2]);
	enum err_code code = run_ip(lab, 0, err, "link add switch type bridge");
	if (code == ERR_OK)
		code = run_ip(lab, 0, err, "link set switch up");
	for (unsigned n = 1; n <= lab->node_count && code == ERR_OK; n++) {
		code = run_ip(lab, 0, err, "link add port%u type veth peer name eth0 netns %d", n, (int)pids[n]);
		if (code == ERR_OK)
			code = run_ip(lab, 0, err, "link set port%u master switch up", n);
	}
	return code;
}

static enum err_code start_network(const struct lab *lab, struct err *err)
{
	pid_t pids[LAB_NODES_MAX + 1] = {0};
	unsigned first = lab->node_count == 2 ? 1 : 0; /* no switch for a pair */
	enum err_code code = ERR_OK;
	for (unsigned n = first; n <= lab->node_count && code == ERR_OK; n++)
		code = start_holder(lab, n, n == first ? 0 : pids[first], &pids[n], err);
	if (code == ERR_OK)
		code = lay_cables(lab, pids, err);
	for (unsigned n = 1; n <= lab->node_count && code == ERR_OK; n++) {
		code = run_ip(lab, n, err, "addr add %s/24 dev eth0", lab->nodes[n - 1].address);
		if (code == ERR_OK)
			code = run_ip(lab, n, err, "link set lo up");
		if (code == ERR_OK)
			code = run_ip(lab, n, err, "link set eth0 up");
	}
	return code;
}

enum err_code lab_net_start(const struct lab *lab, struct err *err)
{
	enum err_code code = start_network(lab, err);
	if (code == ERR_OK)
		return code;
	lab_net_stop(lab);
	return code;
}

void lab_net_stop(const struct lab *lab)
{
	struct err ignored;
	for (unsigned n = 0; n <= lab->node_count; n++) {
		struct holder holder = holder_of(lab, n);
		(void)!process_stop(&(struct process_name){"syncline", "net-holder", holder.argument}, SIGKILL,
		                    HOLDER_TIMEOUT_MS, &ignored);
		free_holder(&holder);
	}
}

enum err_code lab_net_plug(const struct lab *lab, const struct lab_node *node, bool plugged, struct err *err)
{
	if (!lab->network)
		return err_set(err, ERR_USAGE, "this lab has no network; make one with: syncline lab up --network");
	return run_ip(lab, node->id, err, "link set eth0 %s", plugged ? "up" : "down");
}

/* Certificates and accounts */

/* The authorities of the peers, from where the lab made them. */
static enum err_code pin_peers(const struct lab *lab, const struct lab_node *node, struct err *err)
{
	struct buf pem = {0};
	enum err_code code = ERR_OK;
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++) {
		const struct lab_node *peer = &lab->nodes[i];
		if (!lab_is_linked(lab, node, peer))
			continue;
		code = identity_authority(peer->tls_dir, NULL, &pem, err);
		if (code == ERR_OK)
			code = identity_pin(node->tls_dir, peer->id, pem.data, pem.size, err);
	}
	buf_free(&pem);
	return code;
}

enum err_code lab_net_make_certificates(const struct lab *lab, struct err *err)
{
	enum err_code code = ERR_OK;
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++) {
		const struct lab_node *node = &lab->nodes[i];
		const char *address = node->address;
		code = identity_make(node->tls_dir, node->id, &address, 1, NULL, err);
	}
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		code = pin_peers(lab, &lab->nodes[i], err);
	return code;
}

static enum err_code append_account(struct buf *sql, const struct lab_node *node, const struct lab_node *peer,
                                    struct err *err)
{
	struct tls_authority_id id;
	enum err_code code = identity_peer(node->tls_dir, peer->id, &id, NULL, err);
	if (code != ERR_OK)
		return code;
	char *account = mem_printf("'syncline-%u'@'%s'", (unsigned)peer->id, peer->address);
	buf_printf(sql, "CREATE OR REPLACE USER %s", account);
	identity_append_require(sql, &id);
	buf_printf(sql, ";GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO %s;GRANT SELECT ON syncline.* TO %s;", account,
	           account);
	free(account);
	return ERR_OK;
}

/* No password: the account is opened by the certificate, from one address, and may read the binary log, nothing
 * else. */
enum err_code lab_net_make_accounts(const struct lab *lab, const struct lab_node *node, struct err *err)
{
	struct buf sql = {0};
	enum err_code code = ERR_OK;
	struct connection *connection = connection_new();
	buf_append_str(&sql, "SET sql_log_bin = 0;");
	for (unsigned i = 0; i < lab->node_count && code == ERR_OK; i++)
		if (lab_is_linked(lab, node, &lab->nodes[i]))
			code = append_account(&sql, node, &lab->nodes[i], err);
	if (code == ERR_OK)
		code = lab_connect(node, connection, err);
	if (code == ERR_OK)
		code = connection_run(connection, buf_str(&sql), err);
	connection_free(connection);
	buf_free(&sql);
	return code;
}
