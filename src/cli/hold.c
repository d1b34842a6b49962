#include "cli/hold.h"

#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/node_status.h"
#include "node/settings.h"

enum { CALL_TIMEOUT_MS = 5000, RELEASE_TIMEOUT_MS = 60 * 1000, POLL_MS = 10 };

/* True once the status shows the link held and nothing of it running. */
static bool is_released(const char *state_dir, uint32_t peer, struct err *err)
{
	struct node_status status;
	if (node_status_get(state_dir, &status, err) != ERR_OK)
		return err->code == ERR_DISCONNECTED; /* the daemon has ended, and the link with it */
	const struct link_status *link = node_status_link(&status, peer);
	bool released =
	    link == NULL || (link->paused && strcmp(link->state, "live") != 0 && strcmp(link->state, "catching up") != 0);
	node_status_free(&status);
	return released;
}

static enum err_code wait_released(const char *state_dir, uint32_t peer, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + RELEASE_TIMEOUT_MS;
	while (!is_released(state_dir, peer, err)) {
		if (command_interrupted)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (clock_monotonic_ms() > deadline)
			return err_set(err, ERR_TIMEOUT, "the daemon of %s has not let go of node %u after %d s; look at its log",
			               state_dir, (unsigned)peer, RELEASE_TIMEOUT_MS / 1000);
		clock_sleep_ms(POLL_MS);
	}
	return ERR_OK;
}

enum err_code hold_set(const char *state_dir, uint32_t peer, bool paused, struct err *err)
{
	struct buf answer = {0};
	enum err_code code = paused ? control_pause(state_dir, peer, err) : control_resume(state_dir, peer, err);
	if (code != ERR_OK)
		return code;
	code = control_call(state_dir, "wake", CALL_TIMEOUT_MS, &answer, err);
	buf_free(&answer);
	if (code == ERR_DISCONNECTED)
		return ERR_OK;
	if (code == ERR_OK && paused)
		code = wait_released(state_dir, peer, err);
	return code;
}

static enum err_code check_peer(const struct settings *settings, const char *text, uint32_t *ret_peer, struct err *err)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	for (size_t i = 0; *end == 0 && i < settings->peer_count; i++) {
		if (settings->peers[i].node_id != number)
			continue;
		*ret_peer = (uint32_t)number;
		return ERR_OK;
	}
	return err_set(err, ERR_USAGE, "'%s' is no peer of node %u; give the N of a [syncline-peer-N] in %s", text,
	               (unsigned)settings->node_id, settings->file);
}

int hold_command(int argc, char **argv, bool paused, const char *summary)
{
	const char *file = SETTINGS_FILE;
	const struct option_row rows[] = {
	    {"defaults-file", OPTION_TEXT, &file, "FILE", "the settings of the node (" SETTINGS_FILE ")", false, 0, 0},
	    {0},
	};
	struct options options = {"[--defaults-file=FILE] PEER", summary, rows, 1, 1};
	int count, status = options_parse(&options, argc, argv, &count);
	if (status >= 0)
		return status;
	struct settings settings = {0};
	struct err err;
	uint32_t peer = 0;
	enum err_code code = settings_load(file, &settings, &err);
	if (code == ERR_OK)
		code = check_peer(&settings, argv[1], &peer, &err);
	if (code == ERR_OK)
		code = hold_set(settings.state_dir, peer, paused, &err);
	settings_free(&settings);
	return code == ERR_OK ? EXIT_OK : command_fail_err(argv[0], &err);
}
