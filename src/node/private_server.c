#include "node/private_server.h"

#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "node/dropin.h"
#include "node/files.h"
#include "node/process.h"
#include "node/settings.h"
#include "sql/connection.h"

enum {
	STOP_TIMEOUT_MS = 300 * 1000, /* an orderly stop writes all dirty pages */
	READY_POLL_MS = 10,
	LOG_TAIL_BYTES = 64 * 1024,
};

/* Options */

enum err_code private_server_check_option(const char *name, const char *value, struct err *err)
{
	static const char *const ours[] = {"datadir", "socket",        "pid-file", "log-error",
	                                   "user",    "defaults-file", "bootstrap"};
	size_t size = strlen(name);
	if (size == 0 || size > 64 || !isalpha((unsigned char)name[0]))
		return err_set(err, ERR_CONFIG, "'%.64s' is no option's name; give NAME or NAME=VALUE", name);
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
			return err_set(err, ERR_CONFIG, "'%.64s' is no option's name; give NAME or NAME=VALUE", name);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		size_t j = 0;
		while (j < size && tolower((unsigned char)(name[j] == '_' ? '-' : name[j])) == ours[i][j])
			j++;
		if (j == size && ours[i][j] == 0)
			return err_set(err, ERR_CONFIG, "%s is set by syncline for a private server; leave it out", name);
	}
	for (const char *c = value ? value : ""; *c != 0; c++)
		if ((unsigned char)*c < ' ')
			return err_set(err, ERR_CONFIG, "the value of %s has a control character; remove it", name);
	return ERR_OK;
}

static void append_number(struct buf *to, const char *name, unsigned value)
{
	buf_printf(to, "%s = %u\n", name, value);
}

/* Inside a user namespace we are root as well, as far as mariadbd can see. */
static bool runs_as_root(const struct private_server *s)
{
	return geteuid() == 0 || s->network_of != 0;
}

static void append_tcp(struct buf *to, const struct private_server *s)
{
	settings_append_option(to, "bind_address", s->address);
	append_number(to, "port", s->port);
	if (s->tls_cert == NULL)
		return;
	settings_append_option(to, "ssl_ca", s->tls_ca);
	settings_append_option(to, "ssl_cert", s->tls_cert);
	settings_append_option(to, "ssl_key", s->tls_key);
	buf_append_str(
	    to, "tls_version = TLSv1.2,TLSv1.3\nrequire_secure_transport = ON\n"); /* a UNIX socket counts as secure */
}

static bool wants_tcp(const struct private_server *s)
{
	for (size_t i = 0; i < s->option_count; i++)
		if (strncasecmp(s->options[i], "bind", 4) == 0 || strncasecmp(s->options[i], "port=", 5) == 0)
			return true;
	return false;
}

/* Those that the data folder is made with. */
static const char engine_options[] = "innodb_buffer_pool_size = 64M\n"
                                     "innodb_log_file_size = 48M\n";

static void append_rest(struct buf *to)
{
	buf_append_str(to, engine_options);
	buf_append_str(to, "skip_name_resolve = ON\n" /* so that 127.0.0.1 is not localhost, and root has the socket only */
	                   "character_set_server = utf8mb4\n"
	                   "collation_server = utf8mb4_general_ci\n"
	                   "performance_schema = OFF\n"
	                   "aria_pagecache_buffer_size = 8M\n"
	                   "key_buffer_size = 1M\n"
	                   "max_connections = 100\n");
}

static void append_given(struct buf *to, const struct private_server *s)
{
	for (size_t i = 0; i < s->option_count; i++) {
		const char *equals = strchr(s->options[i], '=');
		if (equals == NULL) {
			buf_printf(to, "%s\n", s->options[i]);
			continue;
		}
		char *name = mem_printf("%.*s", (int)(equals - s->options[i]), s->options[i]);
		settings_append_option(to, name, equals + 1);
		free(name);
	}
}

/* A server removes every temporary table that it finds in its tmpdir when it starts (MariaDB sql/sql_base.cc,
 * mysql_rm_tmp_tables), other servers' too, which then crash: each needs a tmpdir of its own. */
static enum err_code make_tmpdir(const struct private_server *s, struct err *err)
{
	char *tmpdir = mem_printf("%s/tmp", s->dir);
	enum err_code code = ERR_OK;
	if (mkdir(tmpdir, 0700) != 0 && errno != EEXIST)
		code =
		    err_set(err, ERR_IO, "%s: can't make this folder: %s; check the folder above it", tmpdir, strerror(errno));
	free(tmpdir);
	return code;
}

static enum err_code write_options(const struct private_server *s, struct err *err)
{
	struct buf text = {0};
	char *tmpdir = mem_printf("%s/tmp", s->dir);
	char *path = mem_printf("%s/my.cnf", s->dir), *pid_file = mem_printf("%s/mariadb.pid", s->dir);
	char *log = mem_printf("%s/mariadb.err", s->dir);
	buf_append_str(&text, "# Written by syncline at each start of this private server.\n[mariadbd]\n");
	settings_append_option(&text, "datadir", s->datadir);
	settings_append_option(&text, "tmpdir", tmpdir);
	settings_append_option(&text, "socket", s->socket);
	settings_append_option(&text, "pid_file", pid_file);
	settings_append_option(&text, "log_error", log);
	if (runs_as_root(s))
		settings_append_option(&text, "user", "root");
	dropin_append_replication(&text, s->node_id, s->slots, "mysql-bin");
	append_rest(&text);
	if (s->address != NULL)
		append_tcp(&text, s);
	else if (!wants_tcp(s))
		buf_append_str(&text, "skip_networking = ON\n");
	append_given(&text, s);
	enum err_code code = make_tmpdir(s, err);
	if (code == ERR_OK)
		code = files_write(path, &text, err);
	buf_free(&text);
	free(log);
	free(pid_file);
	free(path);
	free(tmpdir);
	return code;
}

/* Logs */

/* The first error of a start is the cause; those after it ("Aborting") are its consequences. Heap; NULL if none. */
static char *first_error(const char *log)
{
	struct buf text = {0};
	struct err ignored;
	char *found = NULL, *save = NULL;
	if (files_read_tail(log, LOG_TAIL_BYTES, &text, &ignored) == ERR_OK) {
		buf_str(&text);
		for (char *line = strtok_r((char *)text.data, "\n", &save); line != NULL && found == NULL;
		     line = strtok_r(NULL, "\n", &save)) {
			char *mark = strstr(line, "[ERROR] ");
			if (mark != NULL || strncmp(line, "ERROR: ", 7) == 0) /* the second is bootstrap's */
				found = mem_strdup(mark != NULL ? mark + 8 : line + 7);
		}
	}
	buf_free(&text);
	return found;
}

static off_t size_of(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? st.st_size : 0;
}

/* Making the data folder */

static enum err_code find_program(const char *program, const char *old_name, char **ret_path, struct err *err)
{
	char *path = process_program_path(program);
	if (path == NULL)
		path = process_program_path(old_name);
	if (path == NULL)
		return err_set(err, ERR_CONFIG,
		               "%s is not installed (looked in PATH, /usr/sbin and the like); run: sudo apt install "
		               "mariadb-server",
		               program);
	*ret_path = path;
	return ERR_OK;
}

enum err_code private_server_check_installed(struct err *err)
{
	char *server = NULL, *installer = NULL;
	enum err_code code = find_program("mariadbd", "mysqld", &server, err);
	if (code == ERR_OK)
		code = find_program("mariadb-install-db", "mysql_install_db", &installer, err);
	free(server);
	free(installer);
	return code;
}

/* What the installation leaves is root from four places; one of them, which needs the socket, is enough. */
static const char accounts_sql[] =
    "DELETE FROM mysql.global_priv WHERE User IN ('', 'root') AND NOT (User = 'root' AND Host = 'localhost');\n"
    "DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';\n";

/* mariadb-install-db passes paths on unquoted, so it gets names without blanks, relative to DIR, and options of its own. */
static enum err_code install(const struct private_server *s, const char *program, struct err *err)
{
	const char *argv[] = {program,
	                      "--defaults-file=./install.cnf",
	                      "--auth-root-authentication-method=normal",
	                      "--skip-test-db",
	                      "--skip-name-resolve",
	                      "--force", /* also where the host's own name doesn't resolve */
	                      "--datadir=./install.new",
	                      "--extra-file=./install.sql",
	                      "--innodb-flush-log-at-trx-commit=0",
	                      geteuid() == 0 ? "--user=root" : NULL,
	                      NULL};
	char *log = mem_printf("%s/install.log", s->dir), *sql = mem_printf("%s/install.sql", s->dir);
	char *options = mem_printf("%s/install.cnf", s->dir);
	struct buf text = {0};
	int status = 0;
	buf_append_str(&text, accounts_sql);
	enum err_code code = files_write(sql, &text, err);
	buf_clear(&text);
	char *tmpdir = mem_printf("%s/tmp", s->dir);
	buf_printf(&text, "[mariadbd]\n%s", engine_options);
	settings_append_option(&text, "tmpdir", tmpdir);
	free(tmpdir);
	if (code == ERR_OK)
		code = files_write(options, &text, err);
	if (code == ERR_OK)
		code =
		    process_run(&(struct process_start){.argv = argv, .log = log, .dir = s->dir}, s->cancelled, &status, err);
	if (code == ERR_OK && status != 0) {
		char *why = first_error(log);
		code = err_set(err, ERR_IO, "%s: mariadb-install-db failed: %s; see %s", s->dir,
		               why ? why : "no error in its log", log);
		free(why);
	}
	unlink(sql);
	unlink(options);
	buf_free(&text);
	free(options);
	free(sql);
	free(log);
	return code;
}

static enum err_code copy(const struct private_server *s, const char *from, const char *to, struct err *err)
{
	int status = 0;
	char *log = mem_printf("%s/install.log", s->dir), *cp = process_program_path("cp");
	const char *argv[] = {cp ? cp : "/bin/cp", "-a", "--", from, to, NULL};
	enum err_code code = process_run(&(struct process_start){.argv = argv, .log = log}, s->cancelled, &status, err);
	if (code == ERR_OK && status != 0)
		code = err_set(err, ERR_IO, "%s: can't copy %s here; see %s, and make room on the disk", to, from, log);
	free(cp);
	free(log);
	return code;
}

/* The folder gets its name only when it is whole, so an interrupted installation is never taken for a data folder. */
static enum err_code make_datadir(const struct private_server *s, const char *like, struct err *err)
{
	struct stat st;
	struct err ignored;
	if (stat(s->datadir, &st) == 0)
		return ERR_OK;
	char *draft = mem_printf("%s/install.new", s->dir), *program = NULL;
	enum err_code code = make_tmpdir(s, err);
	if (code == ERR_OK)
		code = files_remove_tree(draft, err);
	if (code == ERR_OK && like != NULL)
		code = copy(s, like, draft, err);
	else if (code == ERR_OK)
		code = find_program("mariadb-install-db", "mysql_install_db", &program, err);
	if (code == ERR_OK && program != NULL)
		code = install(s, program, err);
	if (code == ERR_OK && rename(draft, s->datadir) != 0)
		code = err_set(err, ERR_IO, "%s: can't make the data folder: %s; check the folder above it", s->datadir,
		               strerror(errno));
	if (code != ERR_OK)
		(void)!files_remove_tree(draft, &ignored); /* the error that led here says more */
	free(program);
	free(draft);
	return code;
}

/* The server gives its socket mode 0777, and root has no password: the folder is what keeps others out. */
static enum err_code check_socket_folder(const char *socket, struct err *err)
{
	char *copy = mem_strdup(socket), *folder = dirname(copy);
	struct stat st;
	enum err_code code = ERR_OK;
	if (stat(folder, &st) != 0)
		code = err_set(err, ERR_CONFIG, "%s: %s; make the folder for the server's socket", folder, strerror(errno));
	else if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		code =
		    err_set(err, ERR_CONFIG,
		            "%s: others may enter the folder of the private server's socket; run: chmod 700 '%s', as its owner",
		            folder, folder);
	free(copy);
	return code;
}

enum err_code private_server_create(const struct private_server *s, const char *like, struct err *err)
{
	struct sockaddr_un address;
	if (strlen(s->socket) >= sizeof address.sun_path)
		return err_set(err, ERR_CONFIG,
		               "%s: longer than the %zu bytes that a socket's path may have; use a shorter folder", s->socket,
		               sizeof address.sun_path - 1);
	enum err_code code = private_server_check_installed(err);
	if (code != ERR_OK)
		return code;
	if (mkdir(s->dir, 0700) != 0 && errno != EEXIST)
		return err_set(err, ERR_IO, "%s: can't make the folder: %s; make the folder above it", s->dir, strerror(errno));
	code = check_socket_folder(s->socket, err);
	if (code == ERR_OK)
		code = write_options(s, err);
	if (code == ERR_OK)
		code = make_datadir(s, like, err);
	return code;
}

/* Running */

static enum err_code with_name(const struct private_server *s, int signal, pid_t *ret_pid, struct err *err)
{
	enum err_code code = ERR_OK;
	char *argument = mem_printf("--defaults-file=%s/my.cnf", s->dir);
	struct process_name names[] = {{"mariadbd", NULL, argument}, {"mysqld", NULL, argument}};
	pid_t pid = 0;
	for (size_t i = 0; i < 2 && code == ERR_OK; i++) {
		if (signal != 0)
			code = process_stop(&names[i], signal, STOP_TIMEOUT_MS, err);
		else if (pid == 0)
			pid = process_find(&names[i]);
	}
	if (ret_pid != NULL)
		*ret_pid = pid;
	free(argument);
	return code;
}

static pid_t pid_of(const struct private_server *s)
{
	pid_t pid = 0;
	struct err ignored;
	return with_name(s, 0, &pid, &ignored) == ERR_OK ? pid : 0;
}

bool private_server_is_running(const struct private_server *s)
{
	return pid_of(s) != 0;
}

enum err_code private_server_stop(const struct private_server *s, int signal, struct err *err)
{
	return with_name(s, signal, NULL, err);
}

enum err_code private_server_start(const struct private_server *s, struct err *err)
{
	if (pid_of(s) != 0)
		return ERR_OK;
	char *program = NULL;
	enum err_code code = find_program("mariadbd", "mysqld", &program, err);
	if (code != ERR_OK)
		return code;
	pid_t pid;
	char *log = mem_printf("%s/mariadb.err", s->dir), *last = mem_printf("%s/mariadb.err.old", s->dir);
	char *argument = mem_printf("--defaults-file=%s/my.cnf", s->dir);
	const char *argv[] = {program, argument, NULL};
	if (size_of(log) > 0)
		rename(log, last); /* so that an error in the log is one of this start */
	code = process_start(&(struct process_start){.argv = argv, .log = log, .network_of = s->network_of}, &pid, err);
	free(argument);
	free(last);
	free(log);
	free(program);
	return code;
}

/* The port among the given options; the server's own message doesn't tell it. */
static const char *given_port(const struct private_server *s)
{
	for (size_t i = 0; i < s->option_count; i++)
		if (strncmp(s->options[i], "port=", 5) == 0)
			return s->options[i] + 5;
	return NULL;
}

static enum err_code start_failed(const struct private_server *s, struct err *err)
{
	char *log = mem_printf("%s/mariadb.err", s->dir), *why = first_error(log);
	enum err_code code;
	if (why != NULL && strstr(why, "Bind on TCP/IP port") != NULL)
		code = err_set(err, ERR_CONFIG,
		               "the server of node %u can't listen: its port%s%s is in use (%s); stop what listens there "
		               "or choose another port",
		               (unsigned)s->node_id, given_port(s) ? " " : "", given_port(s) ? given_port(s) : "", why);
	else
		code = err_set(err, ERR_SERVER, "the server of node %u ended at its start: %s; see %s", (unsigned)s->node_id,
		               why ? why : "no error in its log", log);
	free(why);
	free(log);
	return code;
}

static bool answers(const struct private_server *s, struct err *err)
{
	struct connection *connection = connection_new();
	bool open =
	    connection_open(connection, &(struct connection_target){.socket = s->socket, .name = s->socket}, err) == ERR_OK;
	connection_free(connection);
	return open;
}

enum err_code private_server_wait_ready(const struct private_server *s, int64_t timeout_ms, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + timeout_ms;
	pid_t pid = pid_of(s);
	struct err last = {0};
	for (;;) {
		bool ended = pid == 0 || process_wait_end(pid, READY_POLL_MS);
		if (access(s->socket, F_OK) == 0 && !ended && answers(s, &last))
			return ERR_OK;
		if (ended)
			return start_failed(s, err);
		if (s->cancelled != NULL && *s->cancelled)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() > deadline)
			return err_set(err, ERR_TIMEOUT,
			               "the server of node %u takes no connections after %lld s (%s); see %s/mariadb.err",
			               (unsigned)s->node_id, (long long)timeout_ms / 1000, last.message, s->dir);
	}
}
