/* A link: the flow from one peer to this node. One thread, which owns a reader (another thread) and an applier.
 *
 *   LINK_CONNECTING    the peer or this node's server can't be reached, or the operator paused it; tries for ever
 *   LINK_CATCHING_UP   reads and applies a backlog
 *   LINK_LIVE          has everything the peer has, applies what comes as it comes
 *   LINK_STOPPED       something that no retry mends: `why` says what and what to do; tries again now and then, since
 *                      mending it from outside is enough
 *   LINK_MUST_REJOIN   the peer has purged what this node has not read yet: only `syncline rejoin` mends that. Tried
 *                      again once a minute, since the files may have been put back
 *
 * link_start and link_stop by the main thread, the rest by any.
 */
#ifndef SYNCLINE_LINK_LINK_H
#define SYNCLINE_LINK_LINK_H

#include "link/applier.h"
#include "link/reader.h"
#include "link/state.h"

enum link_state { LINK_CONNECTING, LINK_CATCHING_UP, LINK_LIVE, LINK_STOPPED, LINK_MUST_REJOIN };

struct link;

struct link_view {
	uint32_t peer;
	const char *where; /* borrowed from the settings */
	enum link_state state;
	bool paused;
	char why[768];
	int64_t since;    /* when the state was entered, seconds */
	bool has_culprit; /* stopped at this transaction */
	struct gtid culprit;
	struct vector position;
	struct applier_counts counts;
	char differing[READER_DIFFERING_MAX]; /* tables whose conflict policies are others on the peer */
	bool lag_known;
	uint64_t lag_transactions;
	int64_t lag_seconds;   /* by the log's times, put right by what is known of the peer's clock */
	int64_t offline_since; /* seconds; 0: the peer can be reached, or it is for another reason that it isn't */
	struct probe_view probe;
	bool has_estimate;
	int64_t catch_up_seconds;
	bool lacks_known; /* the other direction: */
	uint64_t lacks;   /* transactions that are here and that the peer isn't known to have */
};

enum err_code link_start(const struct settings *settings, const struct settings_peer *peer, struct state *state,
                         struct link **ret_link, struct err *err) ERR_MUST_CHECK;
/* After state_stop. Waits for the thread and frees it; accepts NULL. */
void link_stop(struct link *link);
/* The operator paused or resumed it, or mended something: look again at once. state_wake has to follow. */
void link_look(struct link *link);
void link_view(struct link *link, struct link_view *ret_view);
const char *link_state_name(enum link_state state);
/* As the reader's; *ret_connected: the peer is being read now. */
bool link_acknowledged(struct link *link, struct vector *ret_vector, bool *ret_connected);

#endif
