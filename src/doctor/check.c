#include "doctor/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Less than the first is free: an error. Less than the second, and less than a tenth: a warning. */
#define DISK_FULL_BYTES (UINT64_C(200) << 20)
#define DISK_LOW_BYTES (UINT64_C(5) << 30)
enum { DISK_LOW_PART = 10, MIB = 1 << 20 };

/* Which the daemon respects. */
static bool is_stopped_by_hand(const struct facts *facts, const struct daemon_link_facts *link)
{
	return facts_is_native(facts) && strstr(link->why, "STOP SLAVE") != NULL;
}

static void check_link(const struct facts *facts, const struct daemon_link_facts *link, struct findings *to)
{
	const char *file = facts->settings->file;
	uint32_t node = facts->settings->node_id;
	char *name = mem_printf("link %u", (unsigned)link->peer);
	const struct slave_facts *slave = facts_slave(facts, link->peer);
	const char *slave_name = slave != NULL ? slave->name : "";
	if (link->is_paused)
		finding_set_fix(findings_add(to, FINDING_LINK_PAUSED, node, name,
		                             "the link from node %u is paused: nothing of what is written there arrives",
		                             (unsigned)link->peer),
		                "syncline resume --defaults-file=%s %u", file, (unsigned)link->peer);
	else if (strcmp(link->state, "stopped") == 0 && *link->transaction != '\0')
		finding_set_fix(findings_add(to, FINDING_LINK_STOPPED, node, name, "the link from node %u is stopped: %s",
		                             (unsigned)link->peer, link->why),
		                "mend the cause, it tries again by itself; or pass the transaction over: syncline skip "
		                "--defaults-file=%s %s",
		                file, link->transaction);
	else if (strcmp(link->state, "must rejoin") == 0)
		finding_set_fix(findings_add(to, FINDING_MUST_REJOIN, node, name,
		                             "node %u no longer has in its log what this node lacks: %s", (unsigned)link->peer,
		                             link->why),
		                "%ssyncline rejoin --defaults-file=%s",
		                facts_is_native(facts) ? "syncline engine merge, and then " : "", file);
	else if (strcmp(link->state, "stopped") == 0 && is_stopped_by_hand(facts, link))
		finding_set_fix(findings_add(to, FINDING_LINK_STOPPED, node, name, "the link from node %u is stopped: %s",
		                             (unsigned)link->peer, link->why),
		                "START SLAVE%s%s%s", *slave_name ? " '" : "", slave_name, *slave_name ? "'" : "");
	else if (strcmp(link->state, "stopped") == 0)
		finding_set_fix(findings_add(to, FINDING_LINK_STOPPED, node, name, "the link from node %u is stopped: %s",
		                             (unsigned)link->peer, link->why),
		                "mend the cause, it tries again by itself");
	else if (strcmp(link->state, "connecting") == 0)
		finding_set_fix(findings_add(to, FINDING_LINK_CONNECTING, node, name,
		                             "the link from node %u has no connection%s%s", (unsigned)link->peer,
		                             *link->why ? ": " : "", link->why),
		                "start MariaDB on node %u, or mend the network between the two; it tries again by itself",
		                (unsigned)link->peer);
	free(name);
}

/* What this node's daemon published when it was started is what it goes by. */
static void check_age(const struct facts *facts, struct findings *to)
{
	const struct server_facts *own = &facts->own;
	const struct settings *s = facts->settings;
	bool is_same = own->policies_differ == NULL || *own->policies_differ == '\0';
	for (size_t i = 0; i < s->database_count; i++)
		is_same = is_same && facts_has_published(own, s->databases[i]);
	if (!own->has_policies || (is_same && own->published_count == s->database_count))
		return;
	finding_set_fix(findings_add(to, FINDING_OLD_SETTINGS, s->node_id, "settings",
	                             "replicate-do-db or conflict-policy in %s are others than the daemon was started with",
	                             s->file),
	                "restart the daemon");
}

void check_daemon(const struct facts *facts, struct findings *to)
{
	const struct daemon_facts *d = &facts->daemon;
	const struct settings *s = facts->settings;
	if (!d->is_running) {
		finding_set_fix(
		    findings_add(to, FINDING_NO_DAEMON, s->node_id, "daemon",
		                 "the daemon of this node doesn't run, or can't be asked%s: %s",
		                 facts_is_native(facts) ? " (MariaDB's replication goes on, but nobody watches it)" : "",
		                 d->why),
		    "syncline run --defaults-file=%s", s->file);
		return;
	}
	check_age(facts, to);
	if (strcmp(d->server_state, "live") != 0)
		finding_set_fix(findings_add(to, FINDING_LOG_NOT_READ, s->node_id, "server", "the daemon %s%s%s",
		                             facts_is_native(facts) ? "doesn't reach this node's server"
		                                                    : "doesn't read this node's log up to now",
		                             *d->server_why ? ": " : "", d->server_why),
		                "look again in a minute; if it stays so, see the daemon's log");
	for (size_t i = 0; i < d->link_count; i++)
		check_link(facts, &d->links[i], to);
}

void check_disks(const struct facts *facts, struct findings *to)
{
	uint32_t node = facts->settings->node_id;
	for (size_t i = 0; i < facts->disk_count; i++) {
		const struct disk_facts *d = &facts->disks[i];
		if (d->why != NULL) {
			findings_add(to, FINDING_DISK_HIDDEN, node, d->path, "can't see how full the disk with %s (%s) is: %s",
			             d->what, d->path, d->why);
			continue;
		}
		bool is_full = d->free_bytes < DISK_FULL_BYTES;
		if (!is_full && (d->free_bytes >= DISK_LOW_BYTES || d->free_bytes >= d->total_bytes / DISK_LOW_PART))
			continue;
		finding_set_fix(findings_add(to, is_full ? FINDING_DISK_FULL : FINDING_DISK_LOW, node, d->path,
		                             "%llu MiB of %llu are free where %s is (%s): a full disk stops the server",
		                             (unsigned long long)(d->free_bytes / MIB),
		                             (unsigned long long)(d->total_bytes / MIB), d->what, d->path),
		                "make room there; PURGE BINARY LOGS TO … frees logs that every peer has read");
	}
}

static void check_questions(const struct facts *facts, struct findings *to)
{
	for (size_t i = 0; i < facts->question_count; i++) {
		const struct question_facts *q = &facts->questions[i];
		finding_set_fix(findings_add(to, FINDING_NOT_ASKED, q->node, q->what, "can't look at %s of node %u: %s",
		                             q->what, (unsigned)q->node, q->why),
		                "mend what the server says and look again");
	}
}

void check_all(const struct facts *facts, struct findings *to)
{
	check_settings(facts, to);
	check_network(facts, to);
	check_tables(facts, to);
	check_cascades(facts, to);
	check_peers(facts, to);
	check_schemas(facts, to);
	check_daemon(facts, to);
	check_native(facts, to);
	check_disks(facts, to);
	check_questions(facts, to);
	findings_sort(to);
}
