/* The daemon's part when a node comes in (node/membership.h, node/members.h): a thread that looks at invitations
 * while there are any, reads now and then which nodes the peers know, and does what they ask (link/errands.h).
 *
 * Who asks is taken in (newcomer.h) by the inviting node, and by each other one when it hears of it. It may copy
 * once every node counts it: from then on no node forgets what the newcomer doesn't have. What was forgotten before
 * is in the inviting node's log by then, so in the copy, and the newcomer's transactions know it. It is told where
 * each node's own tail may start: everything up to there is everywhere, so that every transaction that isn't in the
 * copy knows it, and what it has to know of the rest of the copy is in the inviting node's log behind that
 * (server_seed). When it has joined, each node reads its log from where it says. One comes in after the other.
 *
 * This thread alone changes the settings file; the daemon then starts anew with it.
 *
 * All this stands on the merge engine's history. With engine = native, here or on any node, nobody is taken in: who asks is told so at once,
 * and what to do.
 */
#ifndef SYNCLINE_LINK_ADMISSION_H
#define SYNCLINE_LINK_ADMISSION_H

#include "link/errands.h"

struct admission;

/* The errands are copied; what they point to is borrowed. */
enum err_code admission_start(const struct errands *errands, struct admission **ret_admission, struct err *err)
    ERR_MUST_CHECK;
/* There is an invitation: look at it, and go on looking. From any thread. */
void admission_look(struct admission *admission);
/* After state_stop. Waits for the thread and frees it; accepts NULL. */
void admission_stop(struct admission *admission);

#endif
