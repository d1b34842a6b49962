/* The engines: which runs, and whether MariaDB's own replication is as engine = native has it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "doctor/check.h"
#include "sql/native.h"

/* ---- Which engine ---- */

static void check_asked_for(const struct facts *facts, struct findings *to)
{
	const struct daemon_facts *d = &facts->daemon;
	const struct settings *s = facts->settings;
	if (!d->is_running || d->engine == NULL || d->is_switching)
		return;
	const char *asked = settings_engine_name(s->engine);
	bool is_other = strcmp(d->engine, asked) != 0;
	if (d->engine_why != NULL && *d->engine_why != '\0') {
		if (!is_other) /* the command puts the line in the file back */
			asked = settings_engine_name(s->engine == ENGINE_NATIVE ? ENGINE_MERGE : ENGINE_NATIVE);
		finding_set_fix(findings_add(to, FINDING_OTHER_ENGINE, s->node_id, "engine",
		                             "engine %s was asked for and can't run, so %s goes on: %s", asked, d->engine,
		                             d->engine_why),
		                "mend the cause, then syncline engine %s --defaults-file=%s", asked, s->file);
	} else if (is_other) {
		finding_set_fix(findings_add(to, FINDING_OTHER_ENGINE, s->node_id, "engine",
		                             "the daemon runs engine %s, and %s says engine = %s", d->engine, s->file, asked),
		                "syncline engine %s --defaults-file=%s changes it over while it runs", asked, s->file);
	}
}

static void check_pair(const struct facts *facts, struct findings *to)
{
	const char *own = settings_engine_name(facts_is_native(facts) ? ENGINE_NATIVE : ENGINE_MERGE);
	for (size_t i = 0; i < facts->peer_count; i++) {
		const struct server_facts *peer = &facts->peers[i];
		if (!peer->is_reached || peer->engine == NULL || strcmp(peer->engine, own) == 0)
			continue;
		finding_set_fix(
		    findings_add(to, FINDING_TWO_ENGINES, peer->node, "engine",
		                 "this node's engine is %s, that of node %u is %s, as while a pair is changed over: "
		                 "a conflict is resolved on one side only",
		                 own, (unsigned)peer->node, peer->engine),
		    "syncline engine %s on node %u, when it is to stay", own, (unsigned)peer->node);
	}
}

/* ---- This node's server ---- */

static void check_options(const struct facts *facts, struct findings *to)
{
	const struct settings *s = facts->settings;
	const struct server_facts *own = &facts->own;
	char place[CHECK_PLACE_MAX];
	check_option_place(s, own->node, place);
	if (facts_variable(own, "log_slave_updates") != NULL && !facts_is_on(own, "log_slave_updates"))
		finding_set_fix(findings_add(to, FINDING_NO_SLAVE_UPDATES, own->node, "log_slave_updates",
		                             "log_slave_updates is OFF: this node's log doesn't tell what it has of its peers, "
		                             "so it can't go over to engine = merge"),
		                "put log_slave_updates = ON %s and restart MariaDB", place);
	if (own->slave_start == SLAVE_START_BY_ITSELF)
		finding_set_fix(findings_add(to, FINDING_SLAVE_START, own->node, "skip_slave_start",
		                             "skip_slave_start is off: MariaDB starts to replicate before syncline has set the "
		                             "filter, which only memory holds, so other databases get in"),
		                "put skip_slave_start = ON %s; it counts from the next restart on", place);
	if (facts->peer_count > 1 && facts_variable(own, "gtid_ignore_duplicates") != NULL &&
	    !facts_is_on(own, "gtid_ignore_duplicates"))
		finding_set_fix(findings_add(to, FINDING_DUPLICATES, own->node, "gtid_ignore_duplicates",
		                             "gtid_ignore_duplicates is OFF and there are %zu peers: what two of them send is "
		                             "applied twice, or stops the replication",
		                             facts->peer_count),
		                "put gtid_ignore_duplicates = ON %s, and restart the daemon, which sets it", place);
}

/* ---- The replication from one peer ---- */

static void check_filter(const struct facts *facts, const struct slave_facts *slave, const char *subject,
                         struct findings *to)
{
	const struct settings *s = facts->settings;
	struct buf wanted = {0};
	native_append_patterns(s->databases, s->database_count, &wanted);
	if (*slave->other_filters != '\0')
		finding_set_fix(findings_add(to, FINDING_SLAVE_FILTER, s->node_id, subject,
		                             "the replication from node %u has filters that aren't syncline's: %s: some rows "
		                             "or DDL don't get in",
		                             (unsigned)slave->peer, slave->other_filters),
		                "take replicate_… out of MariaDB's option files and restart the daemon, which clears them");
	else if (strcmp(slave->filter, buf_str(&wanted)) != 0)
		finding_set_fix(findings_add(to, FINDING_SLAVE_FILTER, s->node_id, subject,
		                             "the replication from node %u has replicate_wild_do_table = '%s' and should have "
		                             "'%s': other databases get in, or some don't",
		                             (unsigned)slave->peer, slave->filter, buf_str(&wanted)),
		                "take replicate_wild_do_table out of MariaDB's option files and restart the daemon, which sets "
		                "it");
	buf_free(&wanted);
}

/* The daemon has said it already, with the reason. */
static bool is_told(const struct facts *facts, uint32_t peer)
{
	const struct daemon_facts *d = &facts->daemon;
	for (size_t i = 0; d->is_running && i < d->link_count; i++) {
		const struct daemon_link_facts *link = &d->links[i];
		if (link->peer == peer)
			return link->is_paused || (strcmp(link->state, "live") != 0 && strcmp(link->state, "catching up") != 0);
	}
	return d->is_running; /* it is going over to the engine */
}

static void check_threads(const struct facts *facts, const struct slave_facts *slave, const char *subject,
                          struct findings *to)
{
	uint32_t node = facts->settings->node_id, peer = slave->peer;
	if (is_told(facts, peer) || (slave->exists && slave->io_runs && slave->sql_runs))
		return;
	if (!slave->exists)
		finding_set_fix(findings_add(to, FINDING_SLAVE_STOPPED, node, subject,
		                             "there is no replication from node %u on this server", (unsigned)peer),
		                "start the daemon, which sets it up: syncline run --defaults-file=%s", facts->settings->file);
	else
		finding_set_fix(findings_add(to, FINDING_SLAVE_STOPPED, node, subject,
		                             "the replication from node %u doesn't run: Slave_IO_Running %s, Slave_SQL_Running "
		                             "%s%s%s",
		                             (unsigned)peer, slave->io_runs ? "Yes" : "No", slave->sql_runs ? "Yes" : "No",
		                             *slave->error ? ": " : "", slave->error),
		                "%sSTART SLAVE%s%s%s", *slave->error ? "mend the cause, then " : "", *slave->name ? " '" : "",
		                slave->name, *slave->name ? "'" : "");
}

static void check_slave(const struct facts *facts, const struct slave_facts *slave, struct findings *to)
{
	char *subject = mem_printf("link %u", (unsigned)slave->peer);
	check_threads(facts, slave, subject, to);
	if (slave->exists)
		check_filter(facts, slave, subject, to);
	if (slave->exists && !slave->uses_gtid)
		finding_set_fix(findings_add(to, FINDING_SLAVE_NO_GTID, facts->settings->node_id, subject,
		                             "the replication from node %u doesn't go by gtid_slave_pos: after a crash it may "
		                             "apply something twice or not at all, and it can't be taken over",
		                             (unsigned)slave->peer),
		                "restart the daemon, which sets MASTER_USE_GTID=slave_pos");
	free(subject);
}

void check_native(const struct facts *facts, struct findings *to)
{
	const struct settings *s = facts->settings;
	check_asked_for(facts, to);
	check_pair(facts, to);
	if (!facts_is_native(facts))
		return;
	check_options(facts, to);
	for (size_t i = 0; i < facts->own.slave_count; i++)
		check_slave(facts, &facts->own.slaves[i], to);
	if (s->policy_count > 0)
		finding_set_fix(findings_add(to, FINDING_POLICIES_IDLE, s->node_id, "conflict-policy",
		                             "%s has conflict-policy, and engine = native resolves no conflicts", s->file),
		                "none of the lines counts until syncline engine merge");
}
