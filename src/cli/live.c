#include "cli/live.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/node_status.h"

enum { LIVE_TIMEOUT_MS = 120 * 1000, LIVE_POLL_MS = 100 };

/* The peer reads our log. */
static enum err_code is_read(struct connection *server, uint32_t peer, bool *ret, struct err *err)
{
	char sql[160];
	struct buf found = {0};
	snprintf(sql, sizeof sql,
	         "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER='syncline-%u' AND COMMAND='Binlog Dump'",
	         (unsigned)peer);
	enum err_code code = connection_value(server, sql, strlen(sql), &found, NULL, err);
	*ret = code == ERR_OK && strcmp(buf_str(&found), "0") != 0;
	if (code == ERR_OK && !*ret)
		err_set(err, ERR_TIMEOUT, "node %u doesn't read this node's log", (unsigned)peer);
	buf_free(&found);
	return code;
}

static enum err_code is_live(struct connection *server, const char *state_dir, uint32_t peer, bool *ret,
                             struct err *err)
{
	struct node_status status;
	bool live = false;
	*ret = false;
	if (node_status_get(state_dir, &status, err) == ERR_OK) {
		const struct link_status *link = node_status_link(&status, peer);
		live = link != NULL && strcmp(link->state, "live") == 0;
		if (link != NULL && *link->why != 0)
			err_set(err, ERR_TIMEOUT, "the link is %s: %s", link->state, link->why);
		node_status_free(&status);
	}
	return live ? is_read(server, peer, ret, err) : ERR_OK;
}

enum err_code live_wait(struct connection *server, const char *state_dir, uint32_t peer, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + LIVE_TIMEOUT_MS;
	bool live = false;
	err_set(err, ERR_TIMEOUT, "the daemon doesn't answer");
	for (;;) {
		enum err_code code = is_live(server, state_dir, peer, &live, err);
		if (code != ERR_OK || live)
			return code;
		if (command_interrupted)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() > deadline)
			return err->code = ERR_TIMEOUT;
		clock_sleep_ms(LIVE_POLL_MS);
	}
}
