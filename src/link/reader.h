/* The reader of a link: a thread that moves a peer's log from the network into a bounded queue.
 *
 * It reads on while the applier waits for a commit, so a backlog flows without pauses and a dead peer is noticed even then.
 * Heartbeats go through the queue like any event: whoever takes one has everything that was sent before it. While events
 * flow it also asks the peer once a second, on a connection of its own, how far its log goes: for the lag
 * (link/probe.h). Every few seconds it asks for the position in this node's log that the peer has saved: for
 * link/retention. reader_start and reader_stop by the owning link; the rest by any thread.
 */
#ifndef SYNCLINE_LINK_READER_H
#define SYNCLINE_LINK_READER_H

#include "base/queue.h"
#include "binlog/gtid.h"
#include "link/probe.h"
#include "node/settings.h"

enum { READER_DIFFERING_MAX = 256 };

struct reader;

struct reader *reader_new(const struct settings *settings, const struct settings_peer *peer);
void reader_free(struct reader *reader); /* stops it; accepts NULL */

enum err_code reader_start(struct reader *reader, const struct vector *from, struct err *err) ERR_MUST_CHECK;
/* Makes the thread end; its queue closes. From any thread, as often as one likes. */
void reader_abort(struct reader *reader);
/* Waits for its end and tells why it ended. */
enum err_code reader_stop(struct reader *reader, struct err *err) ERR_MUST_CHECK;

/* Raw events in order. Closed when the thread ends. */
struct queue *reader_queue(struct reader *reader);
/* How long no event has come. A heartbeat is due each second, so silence means that the stream is out of step: the bytes of what
 * comes are taken for the rest of one huge packet. 0 while not connected. */
int64_t reader_silent_ms(struct reader *reader);
bool reader_is_connected(struct reader *reader);
/* How far the peer's log was known to go; false before the first answer. */
bool reader_head(struct reader *reader, struct vector *ret_head);
/* The tables whose conflict policies are others on the peer, as text; "" if there are none, or it hasn't answered yet. */
void reader_differing(struct reader *reader, char ret[READER_DIFFERING_MAX]);
/* The peer's saved position in this node's log, as it said last, of all sessions; false if it never did. */
bool reader_acknowledged(struct reader *reader, struct vector *ret_vector);
/* Lives as long as the reader. */
struct probe *reader_probe(struct reader *reader);

#endif
