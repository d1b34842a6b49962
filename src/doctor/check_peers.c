/* What two nodes must not have in common, and what they must. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "doctor/check.h"

enum { CLOCK_OFFSET_US_MAX = 1000 * 1000, US_IN_MS = 1000 };

static bool is_same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static void check_ids(const struct server_facts *a, const struct server_facts *b, struct findings *to)
{
	static const struct {
		const char *variable;
		enum finding_code code;
	} ids[] = {{"server_id", FINDING_SAME_SERVER_ID}, {"gtid_domain_id", FINDING_SAME_DOMAIN_ID}};
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		const char *value = facts_variable(a, ids[i].variable);
		if (!is_same(value, facts_variable(b, ids[i].variable)))
			continue;
		const struct server_facts *wrong = strtoul(value, NULL, 10) == a->node ? b : a;
		finding_set_fix(findings_add(to, ids[i].code, wrong->node, ids[i].variable,
		                             "nodes %u and %u both have %s = %s: each takes the other's writes for its own",
		                             (unsigned)a->node, (unsigned)b->node, ids[i].variable, value),
		                "put %s = %u under [mysqld] on node %u and restart MariaDB", ids[i].variable,
		                (unsigned)wrong->node, (unsigned)wrong->node);
	}
}

/* Two rows of numbers, offset + k * increment, have one in common unless the offsets differ by something that no common
 * divisor of the increments divides. */
static void check_numbers(const struct settings *s, const struct server_facts *a, const struct server_facts *b,
                          struct findings *to)
{
	const char *texts[4] = {facts_variable(a, "auto_increment_increment"), facts_variable(a, "auto_increment_offset"),
	                        facts_variable(b, "auto_increment_increment"), facts_variable(b, "auto_increment_offset")};
	unsigned long v[4];
	for (size_t i = 0; i < 4; i++) {
		if (texts[i] == NULL)
			return;
		v[i] = strtoul(texts[i], NULL, 10);
	}
	unsigned long x = v[0], y = v[2];
	while (y != 0) {
		unsigned long rest = x % y;
		x = y;
		y = rest;
	}
	if (x == 0 || (v[1] > v[3] ? v[1] - v[3] : v[3] - v[1]) % x != 0)
		return;
	finding_set_fix(
	    findings_add(to, FINDING_SAME_NUMBERS, b->node, "auto_increment_offset",
	                 "nodes %u (every %s from %s) and %u (every %s from %s) give out one AUTO_INCREMENT number",
	                 (unsigned)a->node, texts[0], texts[1], (unsigned)b->node, texts[2], texts[3]),
	    "SET GLOBAL auto_increment_increment = %u, auto_increment_offset = N on each node N; and put the same "
	    "under [mysqld]",
	    (unsigned)s->nodes[s->node_count - 1]);
}

static void check_clock(const struct server_facts *peer, struct findings *to)
{
	int64_t off = peer->clock_offset_us < 0 ? -peer->clock_offset_us : peer->clock_offset_us;
	if (!peer->has_clock || off - peer->clock_error_us <= CLOCK_OFFSET_US_MAX)
		return;
	finding_set_fix(
	    findings_add(to, FINDING_CLOCK, peer->node, "clock",
	                 "the clock of node %u is %lld ms %s this node's (give or take %lld ms): of two concurrent "
	                 "writes the wrong one counts as the later",
	                 (unsigned)peer->node, (long long)(off / US_IN_MS),
	                 peer->clock_offset_us < 0 ? "behind" : "ahead of",
	                 (long long)((peer->clock_error_us + US_IN_MS - 1) / US_IN_MS)),
	    "let both machines' clocks be set by NTP: timedatectl set-ntp true");
}

static void check_published(const struct settings *s, const struct server_facts *peer, bool is_native,
                            struct findings *to)
{
	if (!peer->has_policies)
		return;
	if (!is_native && peer->policies_differ != NULL && *peer->policies_differ != '\0')
		finding_set_fix(
		    findings_add(to, FINDING_POLICIES, peer->node, peer->policies_differ,
		                 "conflict-policy is another on node %u for %s: rows in conflict won't come out equal",
		                 (unsigned)peer->node, peer->policies_differ),
		    "make the lines conflict-policy the same on every node and restart the daemons");
	for (size_t i = 0; i < s->database_count; i++)
		if (!facts_has_published(peer, s->databases[i]))
			finding_set_fix(findings_add(to, FINDING_DATABASES, peer->node, s->databases[i],
			                             "node %u doesn't replicate database %s", (unsigned)peer->node,
			                             s->databases[i]),
			                "put replicate-do-db = %s under [syncline] on node %u and restart its daemon",
			                s->databases[i], (unsigned)peer->node);
	for (size_t i = 0; i < peer->published_count; i++)
		if (!settings_replicates(s, peer->published[i]))
			finding_set_fix(findings_add(to, FINDING_DATABASES, s->node_id, peer->published[i],
			                             "this node doesn't replicate database %s, node %u does", peer->published[i],
			                             (unsigned)peer->node),
			                "put replicate-do-db = %s under [syncline] in %s and restart the daemon",
			                peer->published[i], s->file);
}

void check_peers(const struct facts *facts, struct findings *to)
{
	for (size_t i = 0; i < facts->peer_count; i++) {
		const struct server_facts *peer = &facts->peers[i];
		if (!peer->is_reached) {
			finding_set_fix(findings_add(to, FINDING_UNREACHABLE, peer->node, peer->where,
			                             "its server can't be reached, so it was not compared: %s", peer->why),
			                "start its MariaDB, or correct [syncline-peer-%u] in %s", (unsigned)peer->node,
			                facts->settings->file);
			continue;
		}
		check_ids(&facts->own, peer, to);
		check_numbers(facts->settings, &facts->own, peer, to);
		for (size_t j = 0; j < i; j++) {
			if (!facts->peers[j].is_reached)
				continue;
			check_ids(&facts->peers[j], peer, to);
			check_numbers(facts->settings, &facts->peers[j], peer, to);
		}
		bool is_native = facts_is_native(facts);
		if (!is_native || peer->engine == NULL || strcmp(peer->engine, settings_engine_name(ENGINE_NATIVE)) != 0)
			check_clock(peer, to); /* else nobody asks which write is the later one */
		check_published(facts->settings, peer, is_native, to);
	}
}
