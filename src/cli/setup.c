#include "cli/setup.h"

#include <errno.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "node/accounts.h"
#include "node/address.h"
#include "node/dropin.h"
#include "node/files.h"
#include "node/identity.h"
#include "node/membership.h"
#include "node/process.h"
#include "node/service.h"
#include "node/settings.h"
#include "sql/server.h"

enum {
	FILE_BYTES_MAX = 1 << 20,
	SERVER_READY_MS = 300 * 1000, /* InnoDB may have much to recover */
	DAEMON_READY_MS = 60 * 1000,
	DAEMON_POLL_MS = 50,
	STATUS_TIMEOUT_MS = 2000,
};

static const char default_user[] = "syncline";

struct setup {
	struct setup_wish wish;
	struct place place;
	struct connection *connection;
	struct connection_target target;
	char *log_bin;
	struct buf dropin, old_dropin, old_settings;
	uid_t uid; /* of the daemon */
	gid_t gid;
	bool had_dropin, had_settings, had_identity;
	bool wrote_dropin, restarted, made_accounts, made_schema; /* to be undone */
};

int setup_check_options(const char *command, struct setup_wish *wish, unsigned node, unsigned slots,
                        const struct text_list *databases)
{
	if (address_kind(wish->address) == ADDRESS_NONE || strcmp(wish->address, "localhost") == 0 ||
	    strncmp(wish->address, "127.", 4) == 0)
		return command_fail(command, EXIT_USAGE,
		                    "--address is '%.80s'; give the IP address or DNS name where peers reach this node",
		                    wish->address);
	if (node > slots)
		return command_fail(
		    command, EXIT_USAGE,
		    "node %u needs --slots=%u or more, the same on every node: ids are given out in steps of it", node, node);
	for (size_t i = 0; databases != NULL && i < databases->count; i++) {
		const char *name = databases->texts[i], *refusal = settings_database_refusal(name);
		if (refusal != NULL)
			return command_fail(command, EXIT_USAGE, "--database '%.80s' %s; give another one", name, refusal);
		for (size_t j = 0; j < i; j++)
			if (strcmp(databases->texts[j], name) == 0)
				return command_fail(command, EXIT_USAGE, "--database '%.80s' is there twice; give it once", name);
	}
	if (wish->user == NULL)
		wish->user = default_user;
	wish->node_id = node;
	wish->slots = slots;
	if (databases != NULL) {
		wish->database_count = databases->count;
		wish->databases = databases->texts;
	}
	return -1;
}

struct setup *setup_new(const struct setup_wish *wish)
{
	struct setup *s = mem_alloc(sizeof *s);
	s->wish = *wish;
	place_init(&s->place, wish->root);
	s->connection = connection_new();
	s->target = (struct connection_target){.socket = wish->socket, .name = wish->socket};
	return s;
}

void setup_free(struct setup *s)
{
	if (s == NULL)
		return;
	connection_free(s->connection);
	place_done(&s->place);
	buf_free(&s->dropin);
	buf_free(&s->old_dropin);
	buf_free(&s->old_settings);
	free(s->log_bin);
	free(s);
}

const struct place *setup_place(const struct setup *s)
{
	return &s->place;
}

struct connection *setup_connection(struct setup *s)
{
	return s->connection;
}

/* ---- Looking ---- */

static enum err_code check_folders(const struct setup *s, struct err *err)
{
	char *copy = mem_strdup(s->place.dropin), *folder = dirname(copy);
	enum err_code code = ERR_OK;
	if (*s->wish.root == 0 && geteuid() != 0)
		code = err_set(err, ERR_USAGE, "this changes the system's MariaDB; run it as root: sudo %s …", s->wish.command);
	else if (access(folder, F_OK) != 0)
		code = err_set(err, ERR_CONFIG, "%s: %s; is MariaDB installed? Run: sudo apt install mariadb-server", folder,
		               strerror(errno));
	else if (access(folder, W_OK) != 0)
		code = err_set(err, ERR_CONFIG, "%s: %s; run it as root: sudo %s …", folder, strerror(errno), s->wish.command);
	free(copy);
	return code;
}

static enum err_code make_folder(const char *path, mode_t mode, struct err *err)
{
	char *copy = mem_strdup(path);
	enum err_code code = ERR_OK;
	for (char *slash = copy + 1; code == ERR_OK && slash != NULL;) {
		slash = strchr(slash, '/');
		if (slash != NULL)
			*slash = 0;
		if (mkdir(copy, slash ? 0755 : mode) != 0 && errno != EEXIST)
			code =
			    err_set(err, ERR_IO, "%s: can't make the folder: %s; check the folder above it", copy, strerror(errno));
		if (slash != NULL)
			*slash++ = '/';
	}
	free(copy);
	return code;
}

/* The package makes it; who has built the program has none yet. */
static enum err_code make_user(const struct setup *s, struct err *err)
{
	const char *argv[] = {"/usr/sbin/useradd", "--system",          "--user-group", "--no-create-home",
	                      "--shell",           "/usr/sbin/nologin", s->wish.user,   NULL};
	int status = 0;
	enum err_code code = make_folder(s->place.state_dir, 0700, err);
	if (code == ERR_OK)
		code = process_run(&(struct process_start){.argv = argv, .log = s->place.log}, NULL, &status, err);
	if (code == ERR_OK && status != 0)
		code = err_set(err, ERR_IO, "can't make the user %s; see %s", s->wish.user, s->place.log);
	return code;
}

static enum err_code find_user(struct setup *s, struct err *err)
{
	const struct passwd *user = getpwnam(s->wish.user);
	if (user == NULL && *s->wish.root == 0 && strcmp(s->wish.user, default_user) == 0) {
		enum err_code code = make_user(s, err);
		if (code != ERR_OK)
			return code;
		user = getpwnam(s->wish.user);
	}
	if (user == NULL)
		return err_set(
		    err, ERR_CONFIG,
		    "there is no user %.60s on this system, as which the daemon is to run; run: adduser --system --group %.60s",
		    s->wish.user, s->wish.user);
	s->uid = user->pw_uid;
	s->gid = user->pw_gid;
	return ERR_OK;
}

/* The file as it is now, empty if there is none. */
static enum err_code read_old(const char *path, struct buf *ret, bool *ret_exists, struct err *err)
{
	*ret_exists = access(path, F_OK) == 0;
	return *ret_exists ? files_read_tail(path, FILE_BYTES_MAX, ret, err) : ERR_OK;
}

/* A node's number and name are in the logs of all others. */
static enum err_code check_settings(const struct setup *s, struct err *err)
{
	struct settings settings = {0};
	if (!s->had_settings)
		return ERR_OK;
	enum err_code code = settings_load(s->place.settings, &settings, err);
	if (code == ERR_OK && settings.node_id != s->wish.node_id)
		code = err_set(err, ERR_CONFIG, "%s: this machine is node %u already; take it out with: syncline leave",
		               s->place.settings, (unsigned)settings.node_id);
	else if (code == ERR_OK && settings.peer_count > 0 && access(s->place.joining, F_OK) != 0)
		code = err_set(err, ERR_CONFIG, "%s: this machine is node %u already and has peers; see: syncline status",
		               s->place.settings, (unsigned)settings.node_id);
	settings_free(&settings);
	return code;
}

static enum err_code value(struct setup *s, const char *sql, struct buf *ret, struct err *err)
{
	return connection_value(s->connection, sql, strlen(sql), ret, NULL, err);
}

static enum err_code check_version(struct setup *s, struct err *err)
{
	struct buf text = {0};
	unsigned major = 0, minor = 0;
	enum err_code code = value(s, "SELECT @@version", &text, err);
	if (code == ERR_OK && (sscanf(buf_str(&text), "%u.%u", &major, &minor) != 2 ||
	                       strstr(buf_str(&text), "MariaDB") == NULL || major < 10 || (major == 10 && minor < 11)))
		code = err_set(err, ERR_UNSUPPORTED, "the server at %s is %.60s; Syncline needs MariaDB 10.11 or newer",
		               s->wish.socket, buf_str(&text));
	buf_free(&text);
	return code;
}

/* Its own replication would bring each change a second time. */
static enum err_code check_replica(struct setup *s, struct err *err)
{
	struct buf text = {0};
	bool found;
	static const char sql[] = "SHOW ALL SLAVES STATUS";
	enum err_code code = connection_value(s->connection, sql, sizeof sql - 1, &text, &found, err);
	if (code == ERR_OK && found)
		code = err_set(err, ERR_CONFIG,
		               "this server replicates from another one already; take that over with: syncline "
		               "adopt, or end it with: STOP ALL SLAVES; RESET SLAVE ALL");
	buf_free(&text);
	return code;
}

/* A log that is there is gone on with, under its name, in the data folder as it was given: without the folder. */
static enum err_code look_at_log(struct setup *s, struct err *err)
{
	struct buf text = {0};
	enum err_code code = value(s,
	                           "SELECT COALESCE(IF(LEFT(@@log_bin_basename,LENGTH(@@datadir))=@@datadir,"
	                           "SUBSTRING(@@log_bin_basename,LENGTH(@@datadir)+1),@@log_bin_basename),'')",
	                           &text, err);
	if (code == ERR_OK)
		s->log_bin = mem_strdup(text.size > 0 ? buf_str(&text) : "mysql-bin");
	buf_free(&text);
	return code;
}

static void compose(struct setup *s)
{
	char *ca = identity_path(s->place.identity_dir, IDENTITY_BUNDLE);
	char *cert = identity_path(s->place.identity_dir, IDENTITY_NODE);
	char *key = identity_path(s->place.identity_dir, IDENTITY_NODE_KEY);
	dropin_append(&s->dropin, &(struct dropin){.node_id = s->wish.node_id,
	                                           .slots = s->wish.slots,
	                                           .log_bin = s->log_bin,
	                                           .address = s->wish.address,
	                                           .tls_ca = ca,
	                                           .tls_cert = cert,
	                                           .tls_key = key});
	free(ca);
	free(cert);
	free(key);
}

enum err_code setup_look(struct setup *s, struct err *err)
{
	enum err_code code = check_folders(s, err);
	if (code == ERR_OK)
		code = find_user(s, err);
	if (code == ERR_OK)
		code = read_old(s->place.dropin, &s->old_dropin, &s->had_dropin, err);
	if (code == ERR_OK)
		code = read_old(s->place.settings, &s->old_settings, &s->had_settings, err);
	if (code == ERR_OK)
		code = check_settings(s, err);
	if (code == ERR_OK && connection_open(s->connection, &s->target, err) != ERR_OK)
		code = err_wrap(err, "can't reach this machine's MariaDB as root; start it, or name its socket with --socket");
	if (code == ERR_OK)
		code = check_version(s, err);
	if (code == ERR_OK)
		code = check_replica(s, err);
	if (code == ERR_OK)
		code = look_at_log(s, err);
	if (code == ERR_OK)
		compose(s);
	return code;
}

/* ---- Asking ---- */

static bool is_same(const struct buf *a, const struct buf *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* By diff(1), which is on every Debian; the old file on standard output is the next best. */
static void show_difference(struct setup *s)
{
	struct err ignored;
	char *draft = mem_printf("%s/60-syncline.cnf.new", s->place.state_dir);
	const char *argv[] = {"/usr/bin/diff", "-u", s->place.dropin, draft, NULL};
	int status;
	struct buf text = {0};
	char *log = mem_printf("%s/diff", s->place.state_dir);
	unlink(log);
	if (files_write(draft, &s->dropin, &ignored) == ERR_OK &&
	    process_run(&(struct process_start){.argv = argv, .log = log}, NULL, &status, &ignored) == ERR_OK &&
	    files_read_tail(log, FILE_BYTES_MAX, &text, &ignored) == ERR_OK)
		printf("%s is to be changed:\n\n%s\n", s->place.dropin, buf_str(&text));
	unlink(draft);
	unlink(log);
	buf_free(&text);
	free(log);
	free(draft);
}

static enum err_code ask(const struct setup *s, struct err *err)
{
	char line[16];
	if (s->wish.yes)
		return ERR_OK;
	if (!isatty(STDIN_FILENO))
		return err_set(err, ERR_USAGE, "this writes %s and restarts MariaDB; if that is all right, add --yes",
		               s->place.dropin);
	printf("Write it and restart MariaDB now? Applications lose their connections for a moment. [y/N] ");
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL || (line[0] != 'y' && line[0] != 'Y'))
		return err_set(err, ERR_CANCELLED, "nothing was changed");
	return ERR_OK;
}

enum err_code setup_make_state_dir(struct setup *s, struct err *err)
{
	return make_folder(s->place.state_dir, 0700, err);
}

static enum err_code give(const struct setup *s, const char *path, struct err *err)
{
	return geteuid() != 0 || chown(path, s->uid, s->gid) == 0
	           ? ERR_OK
	           : err_set(err, ERR_IO, "%s: can't be given to %s: %s", path, s->wish.user, strerror(errno));
}

static enum err_code make_folders(const struct setup *s, struct err *err)
{
	char *copy = mem_strdup(s->place.settings), *folder = dirname(copy);
	enum err_code code = make_folder(folder, 0755, err);
	if (code == ERR_OK)
		code = give(s, folder, err);
	if (code == ERR_OK)
		code = make_folder(s->place.state_dir, 0700, err);
	if (code == ERR_OK)
		code = give(s, s->place.state_dir, err);
	free(copy);
	return code;
}

enum err_code setup_confirm(struct setup *s, struct err *err)
{
	enum err_code code = make_folders(s, err);
	if (code != ERR_OK)
		return code;
	if (!s->had_dropin)
		printf("%s is to be:\n\n%s\n", s->place.dropin, buf_str(&s->dropin));
	else if (!is_same(&s->dropin, &s->old_dropin))
		show_difference(s);
	else
		return ERR_OK;
	return ask(s, err);
}

/* ---- Doing ---- */

/* The server has to read its key: the group that its data folder has may. */
static gid_t server_group(struct setup *s)
{
	struct buf text = {0};
	struct err ignored;
	struct stat st;
	gid_t gid = s->gid;
	if (value(s, "SELECT @@datadir", &text, &ignored) == ERR_OK && stat(buf_str(&text), &st) == 0)
		gid = st.st_gid;
	buf_free(&text);
	return gid;
}

static enum err_code make_identity(struct setup *s, struct err *err)
{
	s->had_identity = identity_exists(s->place.identity_dir);
	const char *const addresses[] = {s->wish.address};
	struct files_owner owner = {.uid = s->uid, .gid = server_group(s)};
	return s->had_identity ? identity_reissue(s->place.identity_dir, addresses, 1, err)
	                       : identity_make(s->place.identity_dir, s->wish.node_id, addresses, 1, &owner, err);
}

static enum err_code write_dropin(struct setup *s, const struct buf *text, struct err *err)
{
	enum err_code code = files_write(s->place.dropin, text, err);
	if (code == ERR_OK && chmod(s->place.dropin, 0644) != 0) /* the server reads it as its own user */
		code = err_set(err, ERR_IO, "%s: can't make it readable: %s", s->place.dropin, strerror(errno));
	return code;
}

static struct service service_of(const struct setup *s)
{
	return (struct service){.command = s->wish.restart, .log = s->place.log, .cancelled = &command_interrupted};
}

static enum err_code restart(struct setup *s, struct err *err)
{
	struct service service = service_of(s);
	connection_close(s->connection);
	enum err_code code = service_restart_server(&service, err);
	if (code == ERR_OK)
		code = service_wait_server(&service, s->connection, &s->target, SERVER_READY_MS, err);
	return code;
}

/* It may have its options from elsewhere: on the command line, or in a file that is read later. */
static enum err_code check_taken(struct setup *s, struct err *err)
{
	struct buf sql = {0}, text = {0};
	buf_append_str(&sql, "SELECT @@ssl_cert=");
	char *cert = identity_path(s->place.identity_dir, IDENTITY_NODE);
	sql_append_string(&sql, cert, strlen(cert));
	buf_append_str(&sql, " AND @@have_ssl='YES'");
	enum err_code code = server_check(s->connection, s->wish.socket, s->wish.node_id, err);
	if (code == ERR_OK)
		code = value(s, buf_str(&sql), &text, err);
	if (code == ERR_OK && strcmp(buf_str(&text), "1") != 0)
		code = err_set(err, ERR_CONFIG,
		               "the server doesn't take its certificate from %s; does it read %s, and its error log "
		               "say why?",
		               cert, s->place.dropin);
	free(cert);
	buf_free(&sql);
	buf_free(&text);
	return code;
}

/* Whom the system's root is needs none. */
static bool is_root(const struct setup *s)
{
	return strcmp(s->wish.user, "root") == 0;
}

static enum err_code make_accounts(struct setup *s, struct err *err)
{
	struct buf sql = {0};
	if (is_root(s))
		return ERR_OK;
	s->made_accounts = true;
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
	accounts_append_local(&sql, s->wish.user, s->wish.database_count, s->wish.databases);
	buf_append_str(&sql, ";SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(s->connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code == ERR_OK ? ERR_OK : err_wrap(err, "can't make the account %s@localhost", s->wish.user);
}

/* Tables of the daemon's own. What is there already may be of a node that this one was, and stays. */
static enum err_code make_schema(struct setup *s, struct err *err)
{
	struct buf text = {0};
	enum err_code code = value(
	    s, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name='" SYNCLINE_SCHEMA "'", &text, err);
	s->made_schema = code == ERR_OK && strcmp(buf_str(&text), "0") == 0;
	buf_free(&text);
	return code == ERR_OK ? membership_prepare(s->connection, err) : code;
}

static enum err_code drop_made(struct setup *s, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
	if (s->made_accounts) {
		buf_append_str(&sql, "DROP USER IF EXISTS ");
		sql_append_name(&sql, s->wish.user);
		buf_append_str(&sql, "@'localhost';");
	}
	if (s->made_schema)
		buf_append_str(&sql, "DROP DATABASE IF EXISTS " SYNCLINE_SCHEMA ";");
	buf_append_str(&sql, "SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(s->connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

enum err_code setup_apply(struct setup *s, struct err *err)
{
	bool changes = !is_same(&s->dropin, &s->old_dropin);
	enum err_code code = make_identity(s, err);
	if (code == ERR_OK && changes) {
		s->wrote_dropin = true;
		code = write_dropin(s, &s->dropin, err);
	}
	if (code == ERR_OK && (changes || check_taken(s, err) != ERR_OK)) {
		s->restarted = true;
		code = restart(s, err);
	}
	if (code == ERR_OK)
		code = check_taken(s, err);
	if (code == ERR_OK)
		code = make_accounts(s, err);
	if (code == ERR_OK)
		code = make_schema(s, err);
	if (code != ERR_OK)
		setup_undo(s, err);
	return code;
}

void setup_undo(struct setup *s, struct err *err)
{
	struct err why;
	enum err_code code = ERR_OK;
	if (!s->had_settings)
		unlink(s->place.settings);
	if (connection_is_open(s->connection))
		code = drop_made(s, &why);
	if (s->wrote_dropin && s->had_dropin)
		code = write_dropin(s, &s->old_dropin, &why);
	else if (s->wrote_dropin)
		unlink(s->place.dropin);
	if (s->restarted && code == ERR_OK)
		code = restart(s, &why);
	if (!s->had_identity && code == ERR_OK)
		code = files_remove_tree(s->place.identity_dir, &why);
	size_t size = strlen(err->message);
	if (code == ERR_OK)
		snprintf(err->message + size, sizeof err->message - size, "; the server is as it was before");
	else
		snprintf(err->message + size, sizeof err->message - size, "; and not all could be undone: %s", why.message);
}

enum err_code setup_write_settings(struct setup *s, const char *nodes, const char *options, const char *groups,
                                   struct err *err)
{
	struct buf text = {0};
	buf_printf(&text, "# Written by %s.\n[syncline]\nnode-id = %u\nnodes = %s\nslots = %u\n", s->wish.command,
	           (unsigned)s->wish.node_id, nodes, (unsigned)s->wish.slots);
	settings_append_option(&text, "address", s->wish.address);
	for (size_t i = 0; i < s->wish.database_count; i++)
		settings_append_option(&text, "replicate-do-db", s->wish.databases[i]);
	settings_append_option(&text, "state-dir", s->place.state_dir);
	settings_append_option(&text, "identity-dir", s->place.identity_dir);
	buf_append_str(&text, options);
	buf_append_str(&text, "\n[syncline-server]\n");
	settings_append_option(&text, "socket", s->wish.socket);
	settings_append_option(&text, "user", s->wish.user);
	buf_append_str(&text, groups);
	enum err_code code = files_write(s->place.settings, &text, err);
	if (code == ERR_OK)
		code = give(s, s->place.settings, err);
	buf_free(&text);
	return code;
}

enum err_code setup_start_daemon(struct setup *s, struct err *err)
{
	struct service service = {.command = s->wish.service, .log = s->place.log, .cancelled = &command_interrupted};
	enum err_code code = service_enable_daemon(&service, err);
	if (code == ERR_UNSUPPORTED) {
		printf("Start the daemon with: syncline run --defaults-file=%s\n", s->place.settings);
		return ERR_OK;
	}
	int64_t deadline = clock_monotonic_ms() + DAEMON_READY_MS;
	struct buf answer = {0};
	while (code == ERR_OK && control_call(s->place.state_dir, "status", STATUS_TIMEOUT_MS, &answer, err) != ERR_OK) {
		if (command_interrupted)
			code = err_set(err, ERR_CANCELLED, "interrupted");
		else if (clock_monotonic_ms() > deadline)
			code = err_wrap(err, "the daemon doesn't answer");
		else
			clock_sleep_ms(DAEMON_POLL_MS);
	}
	buf_free(&answer);
	return code;
}

/* In a process of its own: it goes on as the daemon's user. */
void setup_show_doctor(const struct setup *s)
{
	char *file = mem_printf("--defaults-file=%s", s->place.settings);
	char *argv[] = {(char *)"syncline doctor", file, NULL};
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		(void)command_doctor(2, argv);
		fflush(stdout);
		_exit(EXIT_OK); /* and nothing that this process has open is closed */
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(file);
}
