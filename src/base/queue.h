/* A bounded queue of byte records, each below 4 GiB, between one thread that puts and one that takes.
 *
 * Holds records of up to `limit` bytes altogether (one larger record passes alone, so that nothing is too big to pass).
 * The putter blocks while it is full, the taker while it is empty. queue_close wakes both: puts are refused at once, takes
 * drain what is there and then report the end. Records are copied in and moved out.
 */
#ifndef SYNCLINE_BASE_QUEUE_H
#define SYNCLINE_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct queue;

enum queue_result { QUEUE_OK, QUEUE_EMPTY, QUEUE_CLOSED };

struct queue *queue_new(size_t bytes_limit);
void queue_free(struct queue *queue);
enum queue_result queue_put(struct queue *queue, const void *bytes, size_t size);
/* The same, but the taker sleeps on: more follows at once, and a queue_put will end it. It is woken all the same before the
 * queue gets full. */
enum queue_result queue_put_more(struct queue *queue, const void *bytes, size_t size);
/* Takes the next record into *ret (its old content is dropped). Waits up to timeout_ms, 0 for not at all, -1 for ever. */
enum queue_result queue_take(struct queue *queue, struct buf *ret, int64_t timeout_ms);
bool queue_is_empty(struct queue *queue);
void queue_close(struct queue *queue);
void queue_reopen(struct queue *queue); /* empties it; only while no thread is in put or take */

#endif
