/* Replays a run of tests/model/reference.py (its --script) with the real merge engine: same writes, same order of arrival, and at every
 * step each node's tables must show the same rows. The tables are a small server's: they refuse what MariaDB would refuse (a
 * key twice, a unique value twice, a reference to nothing, a row that isn't as the step says), and they cascade.
 *
 * What goes wrong if this fails: two gates that were cut off show different people after they meet again.
 *
 *   replay FILE…      - reads standard input. Prints one line a run; exit status 1 at the first difference.
 *
 * reference.py tells the lines that it writes; kinds.py writes these besides:
 *   A node peer time  the node reads all of the peer's log; decisions are made at that time
 *   W time            everybody reads everything, until there is nothing more to read or to decide
 *   T label           all nodes must show the same rows; prints these, and how often which kind was recorded
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge.h"

enum { NODES_MAX = 9, TABLES = 3, ROWS_MAX = 2048, COLUMNS_MAX = 4, CHANGES_MAX = 2 };

static const struct merge_columns uniques[] = {{.count = 1, .columns = (const uint32_t[]){1}},
                                               {.count = 1, .columns = (const uint32_t[]){2}}};
static const struct merge_reference set_null = {{.count = 1, .columns = (const uint32_t[]){1}}, 1000, MERGE_SET_NULL};
static const struct merge_reference cascades = {{.count = 1, .columns = (const uint32_t[]){1}}, 1000, MERGE_CASCADE};
static const uint32_t sites[] = {3, 1};
static struct merge_column_policy policies[TABLES][4]; /* v, the last column, has one, the others another */
static struct merge_table tables[TABLES] = {
    {.id = 1000,
     .column_count = 4,
     .key = {.count = 1, .columns = (const uint32_t[]){0}},
     .unique_count = 2,
     .uniques = uniques,
     .policies = policies[0],
     .depth = 0},
    {.id = 2000,
     .column_count = 3,
     .key = {.count = 1, .columns = (const uint32_t[]){0}},
     .reference_count = 1,
     .references = &set_null,
     .policies = policies[1],
     .depth = 1},
    {.id = 3000,
     .column_count = 3,
     .key = {.count = 1, .columns = (const uint32_t[]){0}},
     .reference_count = 1,
     .references = &cascades,
     .policies = policies[2],
     .depth = 1},
};
static const char *const columns[TABLES] = {"pk u w v", "pk fk v", "pk fk v"};

struct server_row {
	bool there;
	bool is_null[COLUMNS_MAX];
	uint32_t values[COLUMNS_MAX];
};

struct change {
	enum merge_op op;
	int table;
	struct server_row before, after;
};

struct transaction {
	struct merge_transaction head;
	struct vector context;
	uint32_t time;
	int origin;
	size_t count;
	struct change changes[CHANGES_MAX];
};

struct node {
	struct merge *merge;
	struct server_row rows[TABLES][ROWS_MAX];
	struct transaction **log;
	size_t log_count;
	uint64_t vector[NODES_MAX], known[NODES_MAX][NODES_MAX];
	uint32_t clock, peer_clock[NODES_MAX]; /* the latest time in its log, in its peers' as far as read */
	size_t cursor[NODES_MAX];
};

static struct node *nodes;
static int node_count;
static const char *run_name;
static unsigned long line_number, step_count;
static struct transaction **everything;
static size_t everything_count;
static bool is_told; /* the script asks for what it wants to know */

static void fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "%s:%lu: ", run_name, line_number);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

/* ---- The server ---- */

/* Other rows with this one's unique values. */
static int doubles(const struct node *n, int table, const struct server_row *row)
{
	int count = 0;
	for (uint32_t pk = 0; table == 0 && pk < ROWS_MAX; pk++)
		for (int c = 1; c <= 2; c++)
			count += n->rows[0][pk].there && pk != row->values[0] && n->rows[0][pk].values[c] == row->values[c];
	return count;
}

static void delete_row(struct node *n, int table, uint32_t pk, bool cascade)
{
	n->rows[table][pk].there = false;
	for (int t = 1; table == 0 && cascade && t < TABLES; t++)
		for (uint32_t i = 0; i < ROWS_MAX; i++) {
			struct server_row *child = &n->rows[t][i];
			if (!child->there || child->is_null[1] || child->values[1] != pk)
				continue;
			if (t == 1)
				child->is_null[1] = true;
			else
				child->there = false;
		}
}

static void check_row(const struct node *n, int table, const struct server_row *row, bool with_parent)
{
	if (doubles(n, table, row))
		fail("node %d: a unique value twice in %s %u", (int)(n - nodes), columns[table], row->values[0]);
	if (with_parent && table > 0 && !row->is_null[1] && !n->rows[0][row->values[1]].there)
		fail("node %d: %u refers to %u, which isn't there", (int)(n - nodes), row->values[0], row->values[1]);
}

static bool same(const struct server_row *a, const struct server_row *b, int table)
{
	if (a->there != b->there)
		return false;
	for (uint32_t c = 0; a->there && c < tables[table].column_count; c++)
		if (a->is_null[c] != b->is_null[c] || (!a->is_null[c] && a->values[c] != b->values[c]))
			return false;
	return true;
}

/* ---- Between the server's rows and the engine's ---- */

/* v is an integer; of the others the highest byte comes first, so that bytes sort as the numbers do. */
static uint32_t byte_shift(int table, uint32_t column, uint32_t byte)
{
	return 8 * (column == tables[table].column_count - 1 ? byte : 3 - byte);
}

static void to_values(const struct server_row *row, int table, uint8_t bytes[COLUMNS_MAX][4], struct content *values)
{
	for (uint32_t c = 0; c < tables[table].column_count; c++) {
		for (uint32_t b = 0; b < 4; b++)
			bytes[c][b] = (uint8_t)(row->values[c] >> byte_shift(table, c, b));
		values[c] = (struct content){.bytes = bytes[c], .size = 4, .is_null = row->is_null[c]};
	}
}

static struct server_row from_values(const struct content *values, int table)
{
	struct server_row row = {.there = values != NULL};
	for (uint32_t c = 0; values != NULL && c < tables[table].column_count; c++) {
		row.is_null[c] = values[c].is_null;
		for (uint32_t b = 0; !values[c].is_null && b < 4; b++)
			row.values[c] |= (uint32_t)values[c].bytes[b] << byte_shift(table, c, b);
	}
	return row;
}

static void apply_steps(struct node *n, const struct merge_outcome *o)
{
	for (size_t i = 0; i < o->step_count; i++) {
		const struct merge_step *s = &o->steps[i];
		int table = (int)(s->table - tables);
		struct server_row before = from_values(s->before, table), after = from_values(s->after, table);
		uint32_t pk = s->before ? before.values[0] : after.values[0];
		if (!same(&n->rows[table][pk], &before, table))
			fail("node %d: step %zu of %zu finds another row %u in %s", (int)(n - nodes), i, o->step_count, pk,
			     columns[table]);
		if (s->op == MERGE_DELETE)
			delete_row(n, table, pk, !s->no_cascade);
		else
			n->rows[table][pk] = after;
		if (s->op != MERGE_DELETE)
			check_row(n, table, &after, !s->no_cascade);
		step_count++;
	}
	for (int t = 1; o->step_count > 0 && t < TABLES; t++)
		for (uint32_t i = 0; i < ROWS_MAX; i++)
			if (n->rows[t][i].there)
				check_row(n, t, &n->rows[t][i], true);
}

/* ---- Records ---- */

/* What was recorded: the losing write's row, and which of its columns it lost. */
static struct loss {
	struct gtid gtid;
	int table;
	uint32_t pk, column, value;
	bool lost;
} * losses;
static size_t loss_count;

static const struct transaction *transaction_of(const struct gtid *gtid)
{
	for (size_t i = 0; i < everything_count; i++)
		if (everything[i]->head.gtid.domain == gtid->domain && everything[i]->head.gtid.seq == gtid->seq)
			return everything[i];
	return NULL;
}

static bool knew(const struct transaction *t, const struct transaction *other)
{
	if (t->origin == other->origin)
		return other->head.gtid.seq <= t->head.gtid.seq;
	return vector_seq(&t->context, (uint32_t)other->origin + 1) >= other->head.gtid.seq;
}

static bool is_lost(const struct gtid *gtid, int table, uint32_t pk, uint32_t column)
{
	for (size_t i = 0; i < loss_count; i++)
		if (losses[i].lost && losses[i].gtid.domain == gtid->domain && losses[i].gtid.seq == gtid->seq &&
		    losses[i].table == table && losses[i].pk == pk && losses[i].column == column)
			return true;
	return false;
}

/* Also as the part of a row that a later write lost whole. */
static bool is_in_a_record(int table, uint32_t pk, uint32_t column, uint32_t value)
{
	for (size_t i = 0; i < loss_count; i++)
		if (losses[i].table == table && losses[i].pk == pk && losses[i].column == column && losses[i].value == value)
			return true;
	return false;
}

static unsigned kind_counts[MERGE_FOREIGN_KEY_MISSING + 1];

static void note_records(const struct node *n, const struct merge_record *records, size_t count, bool is_claim)
{
	for (size_t i = 0; i < count; i++) {
		const struct merge_record *r = &records[i];
		int table = (int)(r->table - tables), me = (int)(n - nodes);
		const struct transaction *loser = transaction_of(&r->loser), *winner = transaction_of(&r->winner);
		kind_counts[r->kind]++;
		struct server_row local = from_values(r->local, table);
		uint32_t pk = local.values[0];
		if (loser == NULL || (winner == NULL && !is_claim))
			fail("node %d: a record of nothing", me);
		if (loser->origin != me)
			fail("node %d records what it has not written", me);
		if (r->winner.seq > 0 && !is_claim && r->remote == NULL && r->policy != MERGE_DELETE_WINS)
			fail("node %d: a record without what it lost to in %s %u", me, columns[table], pk);
		/* A row may have been known and yet not shown where another claimed its unique value. */
		if (!is_claim && (knew(winner, loser) || knew(loser, winner)))
			fail("node %d: a false conflict (%s) in %s %u", me, merge_kind_name(r->kind), columns[table], pk);
		for (uint32_t c = 1; c < r->table->column_count; c++) {
			bool lost = r->lost[c] && !is_claim;
			if (lost && is_lost(&r->loser, table, pk, c))
				fail("node %d records a loss twice (%s) in %s %u", me, merge_kind_name(r->kind), columns[table], pk);
			losses = mem_resize(losses, (loss_count + 1) * sizeof *losses);
			losses[loss_count++] = (struct loss){r->loser, table, pk, c, local.values[c], lost};
		}
	}
}

/* ---- The engine ---- */

/* What is due is shown; then there is nothing more to do, and nothing is told twice. */
static void show(struct node *n)
{
	struct merge_outcome o = merge_plan(n->merge);
	apply_steps(n, &o);
	note_records(n, o.records, o.record_count, false);
	merge_shown(n->merge, o.step_count, o.steps);
	o = merge_plan(n->merge);
	if (o.step_count + o.record_count > 0)
		fail("node %d: %zu steps and %zu records more than there were", (int)(n - nodes), o.step_count, o.record_count);
}

/* What to write instead of it is asked of a copy; the engine itself is told what was written. */
static void resolve(struct node *n, const struct merge_transaction *t)
{
	struct merge *copy = merge_what_if(n->merge, t);
	struct merge_outcome o = merge_plan(copy);
	apply_steps(n, &o);
	note_records(n, o.records, o.record_count, false);
	merge_resolved(n->merge, t, o.step_count, o.steps);
	struct merge_outcome after = merge_plan(n->merge);
	if (after.step_count > 0 || after.record_count != o.record_count)
		fail("node %d: %zu steps are left, %zu records and not %zu", (int)(n - nodes), after.step_count,
		     after.record_count, o.record_count);
	merge_free(copy);
}

static void give(struct node *n, const struct transaction *t, bool is_own)
{
	static uint8_t bytes[CHANGES_MAX * 2][COLUMNS_MAX][4];
	static struct content values[CHANGES_MAX * 2][COLUMNS_MAX];
	struct merge_change changes[CHANGES_MAX];
	struct merge_transaction head = t->head;
	for (size_t i = 0; i < t->count; i++) {
		const struct change *c = &t->changes[i];
		to_values(&c->before, c->table, bytes[2 * i], values[2 * i]);
		to_values(&c->after, c->table, bytes[2 * i + 1], values[2 * i + 1]);
		changes[i] = (struct merge_change){.op = c->op,
		                                   .table = &tables[c->table],
		                                   .before = c->before.there ? values[2 * i] : NULL,
		                                   .after = c->after.there ? values[2 * i + 1] : NULL};
	}
	head.context = &t->context;
	head.count = t->count;
	head.changes = changes;
	if (is_own) {
		merge_applied(n->merge, &head);
		show(n);
	} else {
		resolve(n, &head);
	}
}

/* As far as this transaction's origin knew, the child has had this parent. */
static bool had_parent(const struct transaction *x, int table, uint32_t child, uint32_t parent)
{
	for (size_t i = 0; i < everything_count; i++)
		for (size_t j = 0; knew(x, everything[i]) && j < everything[i]->count; j++) {
			const struct change *c = &everything[i]->changes[j];
			if (c->table == table && c->after.there && c->after.values[0] == child && c->after.values[1] == parent)
				return true;
		}
	return false;
}

/* Somebody who knew of it wrote the column later, deleted the row, or deleted a parent that it has had. */
static bool is_overwritten(const struct transaction *t, const struct change *c, uint32_t column)
{
	for (size_t i = 0; i < everything_count; i++) {
		const struct transaction *x = everything[i];
		for (size_t j = 0; x != t && knew(x, t) && j < x->count; j++) {
			const struct change *d = &x->changes[j];
			bool is_row =
			    d->table == c->table && (d->before.there ? d->before : d->after).values[0] == c->after.values[0];
			if (is_row && (d->op != MERGE_UPDATE || d->before.values[column] != d->after.values[column] ||
			               d->before.is_null[column] != d->after.is_null[column]))
				return true;
			if (d->op == MERGE_DELETE && d->table == 0 && c->table > 0 &&
			    had_parent(x, c->table, c->after.values[0], d->before.values[0]))
				return true;
		}
	}
	return false;
}

/* Nothing is lost in silence: every value that was written is in a table, or in a record, or was overwritten by somebody who
 * knew of it. */
static void check_losses(void)
{
	for (size_t i = 0; i < everything_count; i++)
		for (size_t j = 0; j < everything[i]->count; j++) {
			const struct transaction *t = everything[i];
			const struct change *c = &t->changes[j];
			for (uint32_t k = 1; c->op != MERGE_DELETE && k < tables[c->table].column_count; k++) {
				const struct server_row *now = &nodes[0].rows[c->table][c->after.values[0]];
				bool changed = c->op == MERGE_INSERT || c->before.values[k] != c->after.values[k] ||
				               c->before.is_null[k] != c->after.is_null[k];
				bool is_there = now->there && !now->is_null[k] && now->values[k] == c->after.values[k];
				if (policies[c->table][k].policy == MERGE_DELTA_APPLY && now->there)
					continue; /* a part of what is there: the reference tells whether the right one */
				if (changed && !is_there && !is_in_a_record(c->table, c->after.values[0], k, c->after.values[k]) &&
				    !is_overwritten(t, c, k))
					fail("lost in silence: %u-%llu wrote %u into column %u of %s %u", t->head.gtid.domain,
					     (unsigned long long)t->head.gtid.seq, c->after.values[k], k, columns[c->table],
					     c->after.values[0]);
			}
		}
}

/* ---- The script ---- */

static struct vector vector_of(const uint64_t *seqs)
{
	struct vector v = {0};
	for (int i = 0; i < node_count; i++)
		if (seqs[i] > 0)
			v.gtids[v.count++] = (struct gtid){.domain = (uint32_t)i + 1, .server = (uint32_t)i + 1, .seq = seqs[i]};
	return v;
}

static void log_add(struct node *n, struct transaction *t)
{
	n->log = mem_resize(n->log, (n->log_count + 1) * sizeof *n->log);
	n->log[n->log_count++] = t;
}

static char *word(char **at)
{
	char *w = strtok_r(NULL, " \n", at);
	if (w == NULL)
		fail("the script ends within a line");
	return w;
}

static uint32_t number(char **at)
{
	return (uint32_t)strtoul(word(at), NULL, 10);
}

static int column_of(int table, const char *name)
{
	int c = 0;
	for (const char *p = columns[table]; p != NULL; p = strchr(p, ' '), c++) {
		p += *p == ' ';
		if (strncmp(p, name, strlen(name)) == 0 && (p[strlen(name)] == ' ' || p[strlen(name)] == '\0'))
			return c;
	}
	fail("no column %s", name);
	return 0;
}

static void read_change(struct node *n, struct change *c, char **at)
{
	char op = *word(at), table = *word(at);
	c->table = table == 'p' ? 0 : table == 'c' ? 1 : 2;
	c->op = op == 'I' ? MERGE_INSERT : op == 'U' ? MERGE_UPDATE : MERGE_DELETE;
	uint32_t pk = number(at);
	if (pk >= ROWS_MAX)
		fail("key %u", pk);
	c->before = n->rows[c->table][pk];
	if (c->before.there != (op != 'I'))
		fail("node %d writes row %u of %s, which it doesn't show so", (int)(n - nodes), pk, columns[c->table]);
	if (op != 'D') {
		c->after = c->before;
		c->after.there = true;
		c->after.values[0] = pk;
	}
	for (uint32_t count = number(at); count > 0; count--) {
		int column = column_of(c->table, word(at));
		c->after.values[column] = number(at);
		c->after.is_null[column] = false;
	}
	if (op == 'D')
		delete_row(n, c->table, pk, true);
	else
		n->rows[c->table][pk] = c->after;
}

static struct transaction *transaction_new(uint32_t time)
{
	struct transaction *t = mem_alloc(sizeof *t);
	everything = mem_resize(everything, (everything_count + 1) * sizeof *everything);
	everything[everything_count++] = t;
	t->time = time;
	return t;
}

static uint32_t later(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Its changes are made already. */
static void commit(int me, struct transaction *t)
{
	struct node *n = &nodes[me];
	for (size_t i = 0; i < t->count; i++)
		if (t->changes[i].op != MERGE_DELETE)
			check_row(n, t->changes[i].table, &t->changes[i].after, true);
	n->clock = later(n->clock, t->time);
	t->origin = me;
	t->head.gtid = (struct gtid){.domain = (uint32_t)me + 1, .server = (uint32_t)me + 1, .seq = ++n->vector[me]};
	t->head.time = n->clock;
	log_add(n, t);
	give(n, t, true);
}

/* Deletes what has lost a unique value of this node's. Returns whether there was anything. */
static bool decide(int me, uint32_t time)
{
	struct node *n = &nodes[me];
	struct merge_step step;
	struct merge_record claim;
	bool any = false, is_shown;
	while (merge_decision(n->merge, &step, &is_shown, &claim)) {
		struct transaction *t = transaction_new(time);
		note_records(n, &claim, 1, true);
		t->context = vector_of(n->vector);
		t->count = 1;
		t->changes[0] = (struct change){.op = MERGE_DELETE,
		                                .table = (int)(step.table - tables),
		                                .before = from_values(step.before, (int)(step.table - tables))};
		delete_row(n, t->changes[0].table, t->changes[0].before.values[0], true);
		commit(me, t);
		any = true;
	}
	return any;
}

static void on_commit(char **at)
{
	int me = (int)number(at);
	struct node *n = &nodes[me];
	struct transaction *t = transaction_new(number(at));
	bool is_decision = number(at) != 0;
	t->count = number(at);
	struct merge_step decision = {0};
	struct merge_record claim;
	bool is_shown = false;
	bool wanted = merge_decision(n->merge, &decision, &is_shown, &claim);
	if (wanted != is_decision)
		fail("node %d: %s", me, wanted ? "the engine wants a decision" : "the engine knows of no decision");
	if (wanted)
		note_records(n, &claim, 1, true);
	struct server_row loser = is_decision ? from_values(decision.before, 0) : (struct server_row){0};
	if (is_decision && is_shown != n->rows[0][loser.values[0]].there)
		fail("node %d: the engine says that the row to delete is %s", me, is_shown ? "shown" : "not shown");
	if (is_decision && !is_shown) /* a delete of what isn't shown: the row is put there for read_change alone */
		n->rows[0][loser.values[0]] = loser;
	t->context = vector_of(n->vector);
	for (size_t i = 0; i < t->count; i++)
		read_change(n, &t->changes[i], at);
	if (is_decision && t->changes[0].before.values[0] != loser.values[0])
		fail("node %d: the engine decides on %u", me, loser.values[0]);
	commit(me, t);
}

static void read_one(int me, int peer)
{
	struct node *n = &nodes[me], *p = &nodes[peer];
	if (n->cursor[peer] >= p->log_count)
		fail("node %d reads beyond the log of %d", me, peer);
	struct transaction *t = p->log[n->cursor[peer]++];
	uint64_t seq = t->head.gtid.seq;
	int o = t->origin;
	n->peer_clock[peer] = later(n->peer_clock[peer], o == peer ? t->time : t->head.time);
	if (o == peer && n->peer_clock[peer] != t->head.time)
		fail("a reader derives another stamp");
	if (seq > n->known[peer][o])
		n->known[peer][o] = seq;
	for (int i = 0; i < node_count; i++) {
		uint64_t had = i == o ? seq : vector_seq(&t->context, (uint32_t)i + 1);
		if (had > n->known[o][i])
			n->known[o][i] = had;
	}
	if (seq <= n->vector[o])
		return;
	n->vector[o] = seq;
	n->clock = later(n->clock, t->head.time);
	log_add(n, t);
	give(n, t, false);
}

static void settle(int me)
{
	struct node *n = &nodes[me];
	uint64_t everywhere[NODES_MAX];
	for (int o = 0; o < node_count; o++) {
		everywhere[o] = n->vector[o];
		for (int i = 0; i < node_count; i++)
			if (i != me && n->known[i][o] < everywhere[o])
				everywhere[o] = n->known[i][o];
	}
	struct vector v = vector_of(everywhere);
	merge_settle(n->merge, &v);
}

/* Returns whether there was anything to read or to decide. */
static bool read_all(int me, int peer, uint32_t time)
{
	bool any = decide(me, time);
	for (; nodes[me].cursor[peer] < nodes[peer].log_count; any = true) {
		read_one(me, peer);
		decide(me, time);
	}
	settle(me);
	return any;
}

static void read_everything(uint32_t time)
{
	for (bool any = true; any;) {
		any = false;
		for (int i = 0; i < node_count; i++)
			for (int j = 0; j < node_count; j++)
				any |= i != j && read_all(i, j, time);
	}
}

static void tell(const char *label)
{
	printf("%s:", label);
	for (int t = 0; t < TABLES; t++)
		for (uint32_t pk = 0; pk < ROWS_MAX; pk++) {
			const struct server_row *row = &nodes[0].rows[t][pk];
			for (int i = 1; i < node_count; i++)
				if (!same(row, &nodes[i].rows[t][pk], t))
					fail("%s: nodes 0 and %d show another row %u in %s", label, i, pk, columns[t]);
			if (!row->there)
				continue;
			printf(" %c%u(", "pcr"[t], pk);
			for (uint32_t c = 1; c < tables[t].column_count; c++)
				row->is_null[c] ? printf("%s-", c > 1 ? "," : "") : printf("%s%u", c > 1 ? "," : "", row->values[c]);
			printf(")");
		}
	printf(" |");
	for (size_t k = 0; k < sizeof kind_counts / sizeof *kind_counts; k++)
		if (kind_counts[k] > 0)
			printf(" %s=%u", merge_kind_name((enum merge_kind)k), kind_counts[k]);
	printf("\n");
}

static void on_shows(char **at)
{
	int me = (int)number(at);
	struct node *n = &nodes[me];
	for (int t = 0; t < TABLES; t++) {
		word(at);
		static struct server_row expected[ROWS_MAX];
		memset(expected, 0, sizeof expected);
		for (uint32_t count = number(at); count > 0; count--) {
			uint32_t pk = number(at);
			expected[pk] = (struct server_row){.there = true, .values = {pk}};
			for (uint32_t c = 1; c < tables[t].column_count; c++) {
				const char *w = word(at);
				expected[pk].is_null[c] = *w == '-';
				expected[pk].values[c] = *w == '-' ? 0 : (uint32_t)strtoul(w, NULL, 10);
			}
		}
		for (uint32_t pk = 0; pk < ROWS_MAX; pk++)
			if (!same(&expected[pk], &n->rows[t][pk], t))
				fail("node %d shows another row %u in %s: %d (%u %u %u) and not %d (%u %u %u)", me, pk, columns[t],
				     n->rows[t][pk].there, n->rows[t][pk].values[1], n->rows[t][pk].values[2], n->rows[t][pk].values[3],
				     expected[pk].there, expected[pk].values[1], expected[pk].values[2], expected[pk].values[3]);
	}
}

static void finish(void)
{
	size_t held = 0, rows = 0;
	check_losses();
	for (int i = 0; i < node_count; i++) {
		struct merge_step ignored;
		struct merge_record claim;
		bool is_shown;
		if (merge_decision(nodes[i].merge, &ignored, &is_shown, &claim))
			fail("node %d has yet to decide", i);
		held += merge_counts(nodes[i].merge).held;
		rows += merge_counts(nodes[i].merge).rows;
		merge_free(nodes[i].merge);
		free(nodes[i].log);
	}
	if (held > 0)
		fail("%zu rows held for ever", held);
	for (size_t i = 0; i < everything_count; i++)
		free(everything[i]);
	free(everything);
	free(nodes);
	nodes = NULL;
	everything = NULL;
	memset(kind_counts, 0, sizeof kind_counts);
	if (!is_told)
		printf("%s: %d nodes, %zu transactions, %lu steps, %zu values recorded as lost, %zu rows left in windows\n",
		       run_name, node_count, everything_count, step_count, loss_count, rows);
	free(losses);
	losses = NULL;
	loss_count = 0;
	everything_count = step_count = 0;
}

static enum merge_policy policy_named(const char *name)
{
	int p = MERGE_LAST_UPDATE_WINS;
	while (p < MERGE_DELETE_WINS && strcmp(merge_policy_name((enum merge_policy)p), name) != 0)
		p++;
	if (p == MERGE_DELETE_WINS)
		fail("no policy %s", name);
	return (enum merge_policy)p;
}

static void set_policies(enum merge_policy of_v, enum merge_policy of_others)
{
	for (int t = 0; t < TABLES; t++)
		for (uint32_t c = 0; c < tables[t].column_count; c++)
			policies[t][c] = (struct merge_column_policy){
			    .policy = c == tables[t].column_count - 1 ? of_v : of_others,
			    .type = {.order = MERGE_ORDER_INTEGER, .is_unsigned = true},
			    .site_count = 2,
			    .sites = sites,
			};
}

static void replay(FILE *script)
{
	static char line[1 << 20];
	enum merge_policy of_v;
	int me, peer;
	for (line_number = 1; fgets(line, sizeof line, script) != NULL; line_number++) {
		char *at = NULL, *what = strtok_r(line, " \n", &at);
		if (what == NULL)
			continue;
		switch (*what) {
		case 'N':
			if (nodes != NULL)
				finish();
			node_count = (int)number(&at);
			set_policies(MERGE_LAST_UPDATE_WINS, MERGE_LAST_UPDATE_WINS);
			nodes = mem_alloc((size_t)node_count * sizeof *nodes);
			for (int i = 0; i < node_count; i++)
				nodes[i].merge = merge_new((uint32_t)i + 1);
			break;
		case 'P':
			of_v = policy_named(word(&at));
			set_policies(of_v, policy_named(word(&at)));
			break;
		case 'C':
			on_commit(&at);
			break;
		case 'R':
			me = (int)number(&at);
			read_one(me, (int)number(&at));
			break;
		case 'A':
			me = (int)number(&at);
			peer = (int)number(&at);
			read_all(me, peer, number(&at));
			break;
		case 'W':
			read_everything(number(&at));
			break;
		case 'T':
			is_told = true;
			tell(word(&at));
			break;
		case 'E':
			settle((int)number(&at));
			break;
		case 'S':
			on_shows(&at);
			break;
		default:
			fail("what is %s?", what);
		}
	}
	if (nodes == NULL)
		fail("an empty script");
	finish();
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		run_name = argv[i];
		FILE *script = strcmp(argv[i], "-") == 0 ? stdin : fopen(argv[i], "r");
		if (script == NULL) {
			perror(argv[i]);
			return 1;
		}
		replay(script);
		if (script != stdin)
			fclose(script);
	}
	return 0;
}
