#include "link/retention_rule.h"

static uint64_t bytes_of(const struct retention_case *c, size_t from, size_t until)
{
	uint64_t bytes = 0;
	for (size_t i = from; i < until; i++)
		bytes += c->files[i].bytes;
	return bytes;
}

static bool starts_behind(const struct retention_node *node, const struct vector *first)
{
	return !node->is_peer || (node->has_saved && vector_covers(&node->saved, first));
}

static bool is_done_with(const struct retention_node *node, const struct vector *first)
{
	return vector_covers(&node->known, first) && starts_behind(node, first);
}

/* Where the tail starts all nodes have everything. */
static bool is_agreed(const struct retention_case *c, const struct vector *first)
{
	bool agreed = vector_covers(&c->tail, first);
	for (size_t i = 0; agreed && i < c->node_count; i++)
		agreed = starts_behind(&c->nodes[i], first);
	return agreed;
}

uint64_t retention_losers(const struct retention_case *c, size_t from)
{
	uint64_t losers = 0;
	for (size_t i = 0; i < c->node_count; i++)
		if (!is_done_with(&c->nodes[i], &c->files[from].first))
			losers |= RETENTION_BIT(c->nodes[i].id);
	return losers;
}

static bool is_within_limits(const struct retention_case *c, size_t from)
{
	return (c->bytes_max == 0 || bytes_of(c, from, c->file_count) <= c->bytes_max) &&
	       bytes_of(c, 0, from) >= c->bytes_short;
}

/* The file ahead of `from` as well: who loses by it? *v is left as it is when it has to stay. */
static bool force(const struct retention_case *c, size_t from, struct retention_verdict *v)
{
	const struct vector *first = &c->files[from].first;
	if (!c->files[from].is_done) {
		v->held = RETENTION_HELD_BY_SELF;
		return false;
	}
	for (size_t i = 0; i < c->node_count; i++) {
		const struct retention_node *node = &c->nodes[i];
		bool has = vector_covers(&node->known, first), starts = starts_behind(node, first);
		if (node->is_peer && node->is_connected && has != starts) {
			v->held = RETENTION_HELD_BY_NODE;
			v->held_by = node->id;
			return false;
		}
	}
	v->losers = retention_losers(c, from);
	return true;
}

struct retention_verdict retention_decide(const struct retention_case *c)
{
	struct retention_verdict v = {0};
	while (v.agreed + 1 < c->file_count && is_agreed(c, &c->files[v.agreed + 1].first))
		v.agreed++;
	v.keep_from = v.agreed;
	while (!is_within_limits(c, v.keep_from)) {
		if (v.keep_from + 1 == c->file_count) {
			v.held = RETENTION_HELD_BY_ACTIVE;
			break;
		}
		if (!force(c, v.keep_from + 1, &v))
			break;
		v.keep_from++;
	}
	return v;
}

bool retention_room(const struct retention_case *c, const struct retention_node *node, uint64_t free_bytes,
                    uint64_t *ret_bytes)
{
	size_t needed = 0;
	while (needed + 1 < c->file_count && is_done_with(node, &c->files[needed + 1].first))
		needed++;
	uint64_t kept = bytes_of(c, needed, c->file_count), room = UINT64_MAX;
	if (c->bytes_max != 0)
		room = c->bytes_max > kept ? c->bytes_max - kept : 0;
	/* What is older goes first. */
	if (free_bytes != UINT64_MAX && free_bytes + bytes_of(c, 0, needed) < room)
		room = free_bytes + bytes_of(c, 0, needed);
	if (room == UINT64_MAX)
		return false;
	*ret_bytes = room;
	return true;
}
