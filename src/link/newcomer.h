/* A node that comes in becomes one of this node's: the inviting node's daemon does it for who asks, every other
 * daemon for whom a peer has in its syncline.members (node/members.h).
 *
 * Taken in: its authority is pinned, it has an account, and a group in the settings with its link held, since what
 * its log has from before it had the others' data is nobody's. With these settings the daemon counts it: nothing
 * that it doesn't have is forgotten. Released: it has joined; its log is read from where its row says.
 *
 * Both may be done again after a crash. By the thread of link/admission.h alone.
 */
#ifndef SYNCLINE_LINK_NEWCOMER_H
#define SYNCLINE_LINK_NEWCOMER_H

#include "link/state.h"
#include "node/members.h"

bool newcomer_is_counted(const struct settings *settings, uint32_t node);
/* Why it may not come in, NULL if it may: a node that is another one already, or can't be one. Into `buffer`. */
const char *newcomer_refusal(const struct settings *settings, const struct member *member, char *buffer, size_t size);
/* Its settings come last, and the daemon has to start anew with them. `needs_account`: it isn't let in here by an
 * invitation. */
enum err_code newcomer_take_in(const struct settings *settings, struct connection *connection,
                               const struct member *member, bool needs_account, struct err *err) ERR_MUST_CHECK;
enum err_code newcomer_release(const struct settings *settings, struct connection *connection,
                               const struct member *member, struct err *err) ERR_MUST_CHECK;

#endif
