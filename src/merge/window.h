/* The window: the writes in this node's log that some other node is not yet known to have.
 *
 * For each row key and origin it holds the seq of the last write. A write that arrives with a context conflicts with a write in
 * the window that is not in that context. Looking up costs a constant number of steps, whatever the window's size.
 * Open addressing, 16 bytes a place, at most three quarters full, grown and cleaned by rebuilding. Where large tables lie is the
 * owner's business (struct window_memory): a file that the kernel may write out, so that a big transaction or a long absence of
 * a peer costs disk and no memory. Pure state; the owner locks.
 */
#ifndef SYNCLINE_MERGE_WINDOW_H
#define SYNCLINE_MERGE_WINDOW_H

#include "binlog/gtid.h"

struct window;

/* Zeroed memory, and its return. */
struct window_memory {
	void *(*get)(void *context, size_t bytes);
	void (*put)(void *context, void *memory, size_t bytes);
	void *context;
};

/* memory NULL: the heap. */
struct window *window_new(const struct window_memory *memory);
void window_free(struct window *window); /* accepts NULL */

/* A domain beyond the VECTOR_DOMAINS_MAX first ones is refused: ERR_UNSUPPORTED. */
enum err_code window_add(struct window *window, uint64_t key, const struct gtid *gtid, struct err *err) ERR_MUST_CHECK;
/* A write to this key that is not in the context and not of `origin` itself. */
bool window_find(const struct window *window, uint64_t key, uint32_t origin, const struct vector *context,
                 struct gtid *ret_gtid);
/* Everything up to this vector is known to be everywhere and may go. Cheap: places are freed when the window next grows, or
 * all at once when nothing else is left. */
void window_settle(struct window *window, const struct vector *everywhere);
size_t window_count(const struct window *window);
void window_clear(struct window *window);

#endif
