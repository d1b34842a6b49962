/* The daemon's part in what its peers ask of it (node/requests.h): they want a copy, leave, or have moved. Called by the admission thread
 * alone, which is the one that changes the settings file; it never waits, but looks again.
 *
 * A copy is given out when the link from that node has read all that the node had, and is held meanwhile: what its log has from then on begins
 * where the copy was taken. Whoever leaves is forgotten when all of its log is here.
 *
 * With engine = native nobody knows what of that is here and what it knew: then what needs to be known is refused, and says how to change
 * that. Addresses, and forgetting, need nothing.
 */
#ifndef SYNCLINE_LINK_ERRANDS_H
#define SYNCLINE_LINK_ERRANDS_H

#include "link/link.h"
#include "link/state.h"
#include "sql/connection.h"

/* Borrowed; constant. */
struct errands {
	const struct settings *settings;
	struct state *state;
	enum settings_engine engine; /* that runs */
	struct link *const *links;   /* with engine = native there are none */
	size_t link_count;
	int reload_fd; /* a byte 'r' is written to it when the settings have changed */
};

/* Does what can be done now. *ret_any: there is something to look at again soon. */
enum err_code errands_look(const struct errands *errands, struct connection *connection, bool *ret_any, struct err *err)
    ERR_MUST_CHECK;

#endif
