#include "node/service.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "node/files.h"
#include "node/process.h"

enum { POLL_MS = 50, LOG_TAIL_BYTES = 4096 };

static bool has_systemd(void)
{
	return access("/run/systemd/system", F_OK) == 0; /* sd_booted(3) */
}

/* Heap. */
static char *last_line(const char *log)
{
	struct buf text = {0};
	struct err ignored;
	char *found = NULL;
	if (files_read_tail(log, LOG_TAIL_BYTES, &text, &ignored) == ERR_OK) {
		while (text.size > 0 && text.data[text.size - 1] == '\n')
			text.size--;
		const char *all = buf_str(&text), *line = strrchr(all, '\n');
		found = mem_strdup(line ? line + 1 : all);
	}
	buf_free(&text);
	return found ? found : mem_strdup("");
}

static enum err_code run(const struct service *service, const char *command, const char *what, struct err *err)
{
	const char *argv[] = {"/bin/sh", "-c", command, NULL};
	int status = 0;
	enum err_code code =
	    process_run(&(struct process_start){.argv = argv, .log = service->log}, service->cancelled, &status, err);
	if (code != ERR_OK || status == 0)
		return code;
	char *line = last_line(service->log);
	code = err_set(err, ERR_IO, "can't %s: `%s` ended with %d%s%s; see %s", what, command, status, *line ? ": " : "",
	               line, service->log);
	free(line);
	return code;
}

enum err_code service_restart_server(const struct service *service, struct err *err)
{
	const char *usual = has_systemd() ? "systemctl restart mariadb" : "service mariadb restart";
	return run(service, service->command ? service->command : usual, "restart MariaDB", err);
}

enum err_code service_wait_server(const struct service *service, struct connection *connection,
                                  const struct connection_target *target, int64_t timeout_ms, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + timeout_ms;
	for (;;) {
		enum err_code code = connection_open(connection, target, err);
		if (code != ERR_DISCONNECTED)
			return code;
		if (service->cancelled != NULL && *service->cancelled)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() > deadline)
			return err_wrap(err, "MariaDB doesn't come up; see its error log");
		clock_sleep_ms(POLL_MS);
	}
}

enum err_code service_enable_daemon(const struct service *service, struct err *err)
{
	if (service->command == NULL && !has_systemd())
		return err_set(err, ERR_UNSUPPORTED, "there is no systemd here that could start the daemon");
	return run(service, service->command ? service->command : "systemctl enable --now syncline", "start the daemon",
	           err);
}

enum err_code service_disable_daemon(const struct service *service, struct err *err)
{
	if (service->command == NULL && !has_systemd())
		return err_set(err, ERR_UNSUPPORTED, "there is no systemd here that could stop the daemon");
	return run(service, service->command ? service->command : "systemctl disable --now syncline", "stop the daemon",
	           err);
}
