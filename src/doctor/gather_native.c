#include "doctor/gather_native.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "link/native_link.h"
#include "node/process.h"
#include "sql/native.h"

/* ---- The replication connections ---- */

struct filters {
	struct buf databases, others; /* replicate_wild_do_table; "replicate_do_db = d, …" */
};

static void take_filter(void *context, unsigned count, const char *const *v)
{
	struct filters *f = context;
	if (count < 2 || v[0] == NULL || v[1] == NULL || *v[1] == '\0')
		return;
	if (strcmp(v[0], "replicate_wild_do_table") == 0)
		buf_append_str(&f->databases, v[1]);
	else
		buf_printf(&f->others, "%s%s = %s", f->others.size > 0 ? ", " : "", v[0], v[1]);
}

/* @@global.replicate_… is of the connection that the session goes by. */
static enum err_code ask_filters(struct connection *connection, struct filters *f, struct err *err)
{
	static const char *const names[] = {"do_db",        "ignore_db",     "do_table",
	                                    "ignore_table", "wild_do_table", "wild_ignore_table"};
	struct buf sql = {0};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		buf_printf(&sql, "%sSELECT 'replicate_%s', @@global.replicate_%s", i > 0 ? " UNION ALL " : "", names[i],
		           names[i]);
	enum err_code code = connection_query(connection, buf_str(&sql), take_filter, f, err);
	buf_free(&sql);
	return code;
}

static enum err_code gather_slave(struct facts *facts, uint32_t peer, struct connection *connection, struct err *err)
{
	char name[NATIVE_NAME_MAX], sql[80];
	struct native_status status = {0};
	struct filters filters = {0};
	native_link_name(facts->settings, peer, name);
	snprintf(sql, sizeof sql, "SET SESSION default_master_connection='%s'", name);
	enum err_code code = connection_run(connection, sql, err);
	if (code == ERR_OK)
		code = native_status(connection, &status, err);
	if (code == ERR_OK && status.exists)
		code = ask_filters(connection, &filters, err);
	if (code == ERR_OK) {
		struct slave_facts *slave =
		    facts_grow(facts, &facts->own.slaves, &facts->own.slave_count, sizeof *facts->own.slaves);
		*slave =
		    (struct slave_facts){.peer = peer,
		                         .name = facts_keep(facts, name),
		                         .exists = status.exists,
		                         .io_runs = status.io_runs || status.io_connects,
		                         .sql_runs = status.sql_runs,
		                         .uses_gtid = strcasecmp(status.gtid_mode, "Slave_Pos") == 0,
		                         .error = facts_keep(facts, *status.sql_error ? status.sql_error : status.io_error),
		                         .filter = facts_keep(facts, buf_str(&filters.databases)),
		                         .other_filters = facts_keep(facts, buf_str(&filters.others))};
	}
	buf_free(&filters.databases);
	buf_free(&filters.others);
	return code;
}

enum err_code gather_slaves(struct facts *facts, struct connection *connection, struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < facts->settings->peer_count; i++)
		code = gather_slave(facts, facts->settings->peers[i].node_id, connection, err);
	return code;
}

/* ---- skip_slave_start ---- */

/* The last of the options counts. "--skip-slave-start", "--skip_slave_start=ON". */
static void judge_option(const char *option, bool *skips)
{
	static const char name[] = "--skip-slave-start";
	size_t i = 0;
	while (name[i] != '\0' && (option[i] == name[i] || (name[i] == '-' && option[i] == '_')))
		i++;
	if (name[i] != '\0' || (option[i] != '\0' && option[i] != '='))
		return;
	const char *value = option[i] == '=' ? option + i + 1 : "1";
	*skips = strcasecmp(value, "OFF") != 0 && strcmp(value, "0") != 0 && strcasecmp(value, "FALSE") != 0;
}

static bool read_whole(const char *path, struct buf *to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = -1;
	while (fd >= 0 && (size = read(fd, buf_reserve(to, 4096), 4096)) > 0)
		to->size += (size_t)size;
	if (fd >= 0)
		close(fd);
	return size == 0 && to->size > 0;
}

/* Its arguments, each with its end; false unless it is a server of this machine's. */
static bool read_arguments(const struct server_facts *server, struct buf *to)
{
	const char *pid_file = facts_variable(server, "pid_file"), *datadir = facts_variable(server, "datadir");
	struct buf pid = {0};
	char path[64];
	if (pid_file == NULL || datadir == NULL || facts_is_remote(server))
		return false;
	char *whole = mem_printf("%s%s%s", *pid_file == '/' ? "" : datadir, *pid_file == '/' ? "" : "/", pid_file);
	bool found = read_whole(whole, &pid);
	free(whole);
	long number = found ? strtol(buf_str(&pid), NULL, 10) : 0;
	snprintf(path, sizeof path, "/proc/%ld/cmdline", number);
	buf_free(&pid);
	if (number <= 0 || !read_whole(path, to))
		return false;
	const char *program = strrchr(buf_str(to), '/');
	program = program != NULL ? program + 1 : buf_str(to);
	return strcmp(program, "mariadbd") == 0 || strcmp(program, "mysqld") == 0;
}

/* What its option files say, a line an option: MariaDB's own program reads them. */
static bool read_option_files(const struct buf *arguments, struct buf *to)
{
	const char *argv[4] = {process_program_path("my_print_defaults")};
	size_t count = 1;
	char *log = NULL;
	int status = -1, fd = memfd_create("options", MFD_CLOEXEC);
	const char *at = (const char *)arguments->data, *end = at + arguments->size;
	for (at += strlen(at) + 1; at < end && count < 3 && strncmp(at, "--defaults-", 11) == 0; at += strlen(at) + 1)
		argv[count++] = at;
	if (at < end && count == 1 && strcmp(at, "--no-defaults") == 0)
		argv[count++] = at;
	argv[count] = "--mysqld";
	struct err err;
	if (argv[0] != NULL && fd >= 0) {
		log = mem_printf("/proc/%ld/fd/%d", (long)getpid(), fd);
		struct process_start start = {.argv = argv, .log = log};
		if (process_run(&start, NULL, &status, &err) == ERR_OK && status == 0 && !read_whole(log, to))
			buf_append_str(to, "\n"); /* none */
	}
	if (fd >= 0)
		close(fd);
	free(log);
	free((char *)argv[0]);
	return status == 0;
}

void gather_slave_start(struct facts *facts)
{
	struct server_facts *own = &facts->own;
	struct buf arguments = {0}, files = {0};
	bool skips = false;
	if (read_arguments(own, &arguments) && read_option_files(&arguments, &files)) {
		buf_str(&files);
		char *save = NULL;
		for (char *line = strtok_r((char *)files.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			judge_option(line, &skips);
		const char *at = buf_str(&arguments), *end = at + arguments.size;
		for (; at < end; at += strlen(at) + 1)
			judge_option(at, &skips);
		own->slave_start = skips ? SLAVE_START_BY_US : SLAVE_START_BY_ITSELF;
	}
	buf_free(&arguments);
	buf_free(&files);
}
