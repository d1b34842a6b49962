#include <stdlib.h>

#include "base/mem.h"
#include "merge/merge_parts.h"

/* What a transaction has done to a row so far. */
struct net {
	uint64_t key;
	size_t at;                    /* in the net changes */
	const struct content *before; /* the row before the transaction, NULL: none */
	bool went;                    /* it was deleted in between */
	UT_hash_handle by_key;
};

static void push(struct net_changes *to, struct net *net, const struct net_change *change)
{
	net->at = to->count;
	to->changes[to->count++] = *change;
}

/* One more change of a row that the transaction has changed before: the place of the last one is taken back (that keeps no table), and
 * all are one. A row that came and went again still was deleted: its children went with it. */
static void add_again(struct net_changes *to, struct net *net, const struct merge_change *change)
{
	struct net_change all = {.change = *change};
	to->changes[net->at].change.table = NULL;
	net->went |= change->op == MERGE_DELETE;
	if (change->op != MERGE_DELETE) {
		all.change.op = net->before != NULL ? MERGE_UPDATE : MERGE_INSERT;
		all.replaces = net->went;
	}
	if (change->op == MERGE_DELETE && net->before == NULL)
		all.change.is_unseen = true;
	else
		all.change.before = net->before;
	push(to, net, &all);
}

static void drop_gaps(struct net_changes *to)
{
	size_t count = 0;
	for (size_t i = 0; i < to->count; i++)
		if (to->changes[i].change.table != NULL)
			to->changes[count++] = to->changes[i];
	to->count = count;
}

struct net_changes net_changes_of(const struct merge_transaction *t)
{
	struct net_changes to = {.changes = mem_alloc((t->count + 1) * sizeof *to.changes)};
	struct net *all = NULL, *net, *next;
	for (size_t i = 0; i < t->count; i++) {
		const struct merge_change *change = &t->changes[i];
		uint64_t key = merge_row_key(change->table, change->before != NULL ? change->before : change->after);
		HASH_FIND(by_key, all, &key, sizeof key, net);
		if (net != NULL) {
			add_again(&to, net, change);
			continue;
		}
		net = mem_alloc(sizeof *net);
		*net = (struct net){.key = key, .before = change->before, .went = change->op == MERGE_DELETE};
		HASH_ADD(by_key, all, key, sizeof net->key, net);
		push(&to, net, &(struct net_change){.change = *change});
	}
	HASH_ITER(by_key, all, net, next)
	{
		HASH_DELETE(by_key, all, net);
		free(net);
	}
	drop_gaps(&to);
	return to;
}
