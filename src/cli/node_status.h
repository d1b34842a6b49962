/* What a daemon says of itself (docs/status.md), as plain data. */
#ifndef SYNCLINE_CLI_NODE_STATUS_H
#define SYNCLINE_CLI_NODE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "node/settings.h"

struct link_status {
	uint32_t peer;
	bool paused;
	char *where, *state, *why, *transaction, *position, *policies_differ, *mend; /* "" where the document has null */
	/* -1 where the document has null */
	int64_t since_s, lag_transactions, lag_seconds, lag_bytes, delay_ms, catch_up_s, offline_since_s, peer_lacks;
	int64_t may_stay_away_s;
	bool has_clock;
	int64_t clock_offset_ms;
};

struct node_status {
	uint32_t node;
	bool is_resolving;
	char *engine, *engine_why;
	bool engine_switching;
	char *server_state, *server_why, *server_vector, *server_written, *log_held;
	int64_t log_bytes, log_limit_bytes, disk_free_bytes, disk_reserved_bytes, open_conflicts; /* -1: null */
	bool has_verified;
	int64_t verified_s, verified_differing;
	char *verified_result;
	size_t link_count;
	struct link_status links[PEERS_MAX];
};

enum err_code node_status_parse(const char *json, struct node_status *ret_status, struct err *err) ERR_MUST_CHECK;
void node_status_free(struct node_status *status);                                           /* accepts a zeroed one */
const struct link_status *node_status_link(const struct node_status *status, uint32_t peer); /* NULL if there is none */
/* Asks the daemon of state_dir. */
enum err_code node_status_get(const char *state_dir, struct node_status *ret_status, struct err *err) ERR_MUST_CHECK;
#endif
