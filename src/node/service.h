/* The services of the machine: the distribution's MariaDB, and our own daemon.
 *
 * Through systemd where that runs, else through `service`, or by a command of the caller's: other init systems and containers have other
 * ones. What the commands print is appended to a log, whose last line is in the error. Not thread-safe (fork).
 */
#ifndef SYNCLINE_NODE_SERVICE_H
#define SYNCLINE_NODE_SERVICE_H

#include "base/err.h"
#include "sql/connection.h"

/* Plain data; borrowed. */
struct service {
	const char *command; /* run by /bin/sh; NULL: what is usual here */
	const char *log;
	const volatile bool *cancelled;
};

/* Restarts the server. */
enum err_code service_restart_server(const struct service *service, struct err *err) ERR_MUST_CHECK;
/* Waits until it takes connections: InnoDB may have much to recover. */
enum err_code service_wait_server(const struct service *service, struct connection *connection,
                                  const struct connection_target *target, int64_t timeout_ms, struct err *err)
    ERR_MUST_CHECK;
/* Lets the daemon run now and after each start of the machine. ERR_UNSUPPORTED where nothing here can do that. */
enum err_code service_enable_daemon(const struct service *service, struct err *err) ERR_MUST_CHECK;
/* Ends it now and lets nothing start it later. ERR_UNSUPPORTED as above. */
enum err_code service_disable_daemon(const struct service *service, struct err *err) ERR_MUST_CHECK;

#endif
