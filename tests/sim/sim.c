#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim.h"

struct sim sim;
static unsigned long steps_asked = 2000;
static unsigned features_asked = FEATURE_ALL;
static bool tells_asked;

static const struct {
	const char *name;
	enum fault fault;
} faults[] = {
    {"settle-early", FAULT_SETTLE_EARLY},
    {"no-decision", FAULT_NO_DECISION},
    {"out-of-order", FAULT_OUT_OF_ORDER},
    {"no-certify", FAULT_NO_CERTIFY},
    {"no-marks", FAULT_NO_MARKS},
    {"raw-times", FAULT_RAW_TIMES},
    {"early-checkpoint", FAULT_EARLY_CHECKPOINT},
    {"few-locks", FAULT_FEW_LOCKS},
    {"late-checkpoint", FAULT_LATE_CHECKPOINT},
};

static const char *fault_option(void)
{
	static char text[64];
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (faults[i].fault == sim.fault)
			snprintf(text, sizeof text, " --break %s", faults[i].name);
	return text;
}

void fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("seed %" PRIu64 ", step %lu: ", sim.seed, sim.step);
	vprintf(format, args);
	printf("\nto repeat it: sim --seed %" PRIu64 " --steps %lu --features %u%s\n", sim.seed, steps_asked,
	       features_asked, fault_option());
	va_end(args);
	exit(1);
}

void must(enum err_code code, const struct err *err)
{
	if (code != ERR_OK)
		fail("%s", err->message);
}

/* splitmix64 */
uint32_t chance(uint32_t below)
{
	uint64_t z = (sim.random += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) % below);
}

void trace(uint64_t what)
{
	sim.trace = (sim.trace ^ what) * UINT64_C(0x100000001b3);
	sim.trace ^= sim.trace >> 29;
}

bool has(enum feature feature)
{
	return (sim.features & (unsigned)feature) != 0;
}

/* ---- Who reads whom ---- */

static void connect(int a, int b)
{
	if (a == b || b >= sim.node_count)
		return;
	sim.nodes[a].links[b].is_there = sim.nodes[b].links[a].is_there = true;
}

static void make_nodes(void)
{
	uint32_t shape = chance(4);
	sim.node_count = 2 + (int)chance(NODES_MAX - 1);
	sim.nodes = mem_alloc((size_t)sim.node_count * sizeof *sim.nodes);
	for (int i = 0; i < sim.node_count; i++) {
		sim.nodes[i].number = i;
		sim.nodes[i].clock = chance(2) ? 1000 : chance(100000);
		sim.nodes[i].next_key = 100 + (uint32_t)i;
		for (int k = 0; k < i; k++)
			if (shape == 0 || (shape == 1 && k == 0) || (shape > 1 && k == i - 1) ||
			    (shape == 2 && i == sim.node_count - 1 && k == 0))
				connect(k, i); /* mesh, star, ring, chain */
	}
	for (int i = 0; i < sim.node_count; i++)
		node_start(&sim.nodes[i]);
}

/* ---- One step ---- */

static int any_peer(const struct node *n)
{
	for (;;) {
		int peer = (int)chance((uint32_t)sim.node_count);
		if (n->links[peer].is_there)
			return peer;
	}
}

static void cut(struct node *n, int peer, bool is_cut)
{
	n->links[peer].cut = sim.nodes[peer].links[n->number].cut = is_cut;
}

static void crash(struct node *n)
{
	node_stop(n);
	node_start(n);
	sim.crashes++;
}

static void one_step(void)
{
	struct node *n = &sim.nodes[chance((uint32_t)sim.node_count)];
	uint32_t dice = chance(1000);
	trace((uint64_t)n->number << 32 | dice);
	if (dice < 150)
		write_something(n);
	else if (dice < 400)
		node_tail(n);
	else if (dice < 780)
		link_step(n, any_peer(n));
	else if (dice < 970)
		resolver_step(n);
	else if (dice < 976)
		cut(n, any_peer(n), true);
	else if (dice < 982)
		cut(n, any_peer(n), false);
	else if (dice < 987 && has(FEATURE_CRASH))
		crash(n);
	else if (dice < 992 && has(FEATURE_AGAIN_READ))
		link_reset(n, any_peer(n), true);
	else
		node_settle(n);
}

/* Everybody does what there is to do, until there is nothing. */
static void come_to_rest(void)
{
	enum { QUIET = 12, ROUNDS_MAX = 200000 };
	int quiet = 0;
	for (int i = 0; i < sim.node_count; i++)
		for (int k = 0; k < sim.node_count; k++)
			sim.nodes[i].links[k].cut = false;
	for (int rounds = 0; quiet < QUIET; rounds++) {
		unsigned long before = sim.progress;
		bool any = false;
		for (int i = 0; i < sim.node_count; i++) {
			struct node *n = &sim.nodes[i];
			while (node_tail(n))
				;
			for (int k = 0; k < sim.node_count; k++)
				any |= link_step(n, k);
			any |= resolver_step(n);
			node_settle(n);
		}
		quiet = any || sim.progress != before ? 0 : quiet + 1;
		if (rounds == ROUNDS_MAX)
			fail("they don't come to rest");
	}
}

static void free_all(void)
{
	for (int i = 0; i < sim.node_count; i++) {
		node_free(&sim.nodes[i]);
		for (size_t k = 0; k < sim.fact_counts[i]; k++) {
			changes_free(&sim.facts[i][k]->changes);
			free(sim.facts[i][k]);
		}
		free(sim.facts[i]);
	}
	free(sim.nodes);
	free(sim.records);
}

static void run(uint64_t seed, enum fault fault)
{
	sim = (struct sim){.seed = seed,
	                   .random = seed * UINT64_C(0x2545f4914f6cdd1d),
	                   .fault = fault,
	                   .features = features_asked,
	                   .tells = tells_asked};
	schema_make();
	if (sim.tells)
		tell_tables();
	make_nodes();
	for (sim.step = 0; sim.step < steps_asked; sim.step++)
		one_step();
	come_to_rest();
	check_end();
	size_t records = sim.nodes[0].server.recorded.count;
	printf("seed %" PRIu64 ": %d nodes, %d tables, %lu transactions, %lu resolved, %lu decided, %zu recorded, "
	       "%lu crashes, trace %016" PRIx64 "\n",
	       seed, sim.node_count, schema.table_count, sim.transactions, sim.resolved, sim.decided, records, sim.crashes,
	       sim.trace);
	free_all();
}

static unsigned long number_of(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	if (*text == '\0' || *end != '\0') {
		fprintf(stderr, "sim: %s is no number\n", text);
		exit(2);
	}
	return number;
}

static enum fault fault_of(const char *name)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (strcmp(faults[i].name, name) == 0)
			return faults[i].fault;
	fprintf(stderr, "sim: can't break %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned long seed = 1, seeds = 1;
	enum fault fault = FAULT_NONE;
	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--tell") == 0) {
			tells_asked = true;
			i--;
			continue;
		}
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "--seed") == 0)
			seed = number_of(value);
		else if (strcmp(argv[i], "--steps") == 0)
			steps_asked = number_of(value);
		else if (strcmp(argv[i], "--seeds") == 0)
			seeds = number_of(value);
		else if (strcmp(argv[i], "--features") == 0)
			features_asked = (unsigned)number_of(value);
		else if (strcmp(argv[i], "--break") == 0)
			fault = fault_of(value);
		else {
			fprintf(stderr,
			        "usage: sim [--seed S] [--steps N] [--seeds K] [--features BITS] [--break WHAT] [--tell]\n");
			return 2;
		}
	}
	for (unsigned long i = 0; i < seeds; i++) {
		printf("seed %lu\n", seed + i);
		fflush(stdout);
		run(seed + i, fault);
	}
	return 0;
}
