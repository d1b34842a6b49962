#include "base/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

/* The records lie in a ring, each behind its size: 4 bytes, native order, since they never leave the process. A ring keeps
 * the allocator out of the hot path. A record larger than the ring makes it grow while it is empty. */
struct queue {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t readable, writable;
	uint8_t *ring;
	size_t capacity, limit;
	size_t head, used; /* head: offset of the first byte to take */
	bool closed;
};

struct queue *queue_new(size_t bytes_limit)
{
	struct queue *q = mem_alloc(sizeof *q);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->readable, &attr);
	pthread_cond_init(&q->writable, &attr);
	pthread_condattr_destroy(&attr);
	q->limit = q->capacity = bytes_limit;
	q->ring = mem_alloc(q->capacity);
	return q;
}

void queue_free(struct queue *q)
{
	if (q == NULL)
		return;
	pthread_cond_destroy(&q->readable);
	pthread_cond_destroy(&q->writable);
	pthread_mutex_destroy(&q->lock);
	free(q->ring);
	free(q);
}

static void ring_write(struct queue *q, const void *bytes, size_t size)
{
	size_t at = (q->head + q->used) % q->capacity;
	size_t first = size < q->capacity - at ? size : q->capacity - at;
	memcpy(q->ring + at, bytes, first);
	if (first < size)
		memcpy(q->ring, (const uint8_t *)bytes + first, size - first);
	q->used += size;
}

static void ring_read(struct queue *q, void *bytes, size_t size)
{
	size_t first = size < q->capacity - q->head ? size : q->capacity - q->head;
	memcpy(bytes, q->ring + q->head, first);
	if (first < size)
		memcpy((uint8_t *)bytes + first, q->ring, size - first);
	q->head = (q->head + size) % q->capacity;
	q->used -= size;
}

static void ring_resize(struct queue *q, size_t capacity)
{
	free(q->ring);
	q->ring = mem_alloc(capacity);
	q->capacity = capacity;
	q->head = 0;
}

static enum queue_result put(struct queue *q, const void *bytes, size_t size, bool wake)
{
	uint32_t prefix = (uint32_t)size;
	size_t need = sizeof prefix + size;
	pthread_mutex_lock(&q->lock);
	while (!q->closed && (need > q->limit ? q->used > 0 : q->used > q->limit || need > q->limit - q->used))
		pthread_cond_wait(&q->writable, &q->lock);
	bool closed = q->closed;
	if (!closed) {
		if (need > q->capacity)
			ring_resize(q, need);
		else if (q->used == 0 && q->capacity > q->limit && need <= q->limit)
			ring_resize(q, q->limit);
		ring_write(q, &prefix, sizeof prefix);
		ring_write(q, bytes, size);
		if (wake || q->used > q->limit / 4)
			pthread_cond_signal(&q->readable);
	}
	pthread_mutex_unlock(&q->lock);
	return closed ? QUEUE_CLOSED : QUEUE_OK;
}

enum queue_result queue_put(struct queue *q, const void *bytes, size_t size)
{
	return put(q, bytes, size, true);
}

enum queue_result queue_put_more(struct queue *q, const void *bytes, size_t size)
{
	return put(q, bytes, size, false);
}

static bool wait_readable(struct queue *q, int64_t timeout_ms)
{
	struct timespec until;
	if (timeout_ms > 0) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += timeout_ms / 1000;
		until.tv_nsec += timeout_ms % 1000 * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
	}
	while (q->used == 0 && !q->closed) {
		if (timeout_ms == 0)
			return false;
		if (timeout_ms < 0)
			pthread_cond_wait(&q->readable, &q->lock);
		else if (pthread_cond_timedwait(&q->readable, &q->lock, &until) != 0 && q->used == 0)
			return false;
	}
	return q->used > 0;
}

enum queue_result queue_take(struct queue *q, struct buf *ret, int64_t timeout_ms)
{
	enum queue_result result = QUEUE_OK;
	pthread_mutex_lock(&q->lock);
	if (wait_readable(q, timeout_ms)) {
		uint32_t size;
		ring_read(q, &size, sizeof size);
		buf_clear(ret);
		ring_read(q, buf_reserve(ret, size ? size : 1), size);
		ret->size = size;
		pthread_cond_signal(&q->writable);
	} else {
		result = q->closed ? QUEUE_CLOSED : QUEUE_EMPTY;
	}
	pthread_mutex_unlock(&q->lock);
	return result;
}

bool queue_is_empty(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	bool empty = q->used == 0;
	pthread_mutex_unlock(&q->lock);
	return empty;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->readable);
	pthread_cond_broadcast(&q->writable);
	pthread_mutex_unlock(&q->lock);
}

void queue_reopen(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = false;
	q->head = q->used = 0;
	pthread_mutex_unlock(&q->lock);
}
