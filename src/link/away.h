/* Since when a peer can't be reached: STATE_DIR/offline-N, while it is so for longer than a minute. So a node that is
 * started anew while its peer is away goes on counting. One small write each time a peer goes away for long, none
 * while it stays away or is there. Used by the link's thread.
 */
#ifndef SYNCLINE_LINK_AWAY_H
#define SYNCLINE_LINK_AWAY_H

#include <stdbool.h>
#include <stdint.h>

struct away {
	const char *state_dir; /* borrowed */
	uint32_t peer;
	int64_t since_s; /* 0: it is there, or nobody knows yet */
	bool is_noted;
};

/* As noted when this node last ran. */
void away_load(struct away *away, const char *state_dir, uint32_t peer, int64_t now_s);
/* It can't be reached. reached_s: when it last was, 0 if never. */
void away_lost(struct away *away, int64_t reached_s, int64_t now_s);
void away_reached(struct away *away);

#endif
