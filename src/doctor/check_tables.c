/* What is in the replicated databases of this node that doesn't replicate as somebody might think. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "doctor/check.h"
#include "sql/connection.h"

/* `shop`.`t`, for statements; freed by the caller. */
static char *quoted(const char *database, const char *name)
{
	struct buf text = {0};
	sql_append_name(&text, database);
	buf_append_str(&text, ".");
	sql_append_name(&text, name);
	char *copy = mem_strdup(buf_str(&text));
	buf_free(&text);
	return copy;
}

static void check_table(const struct facts *facts, const struct table_facts *t, struct findings *to)
{
	const struct server_facts *own = &facts->own;
	bool is_native = facts_is_native(facts);
	char *name = mem_printf("%s.%s", t->database, t->name), *sql = quoted(t->database, t->name);
	if (t->engine[0] != '\0' && strcasecmp(t->engine, "InnoDB") != 0)
		finding_set_fix(
		    findings_add(to, FINDING_ENGINE, own->node, name,
		                 "table %s is stored by %s, which can't commit together with the rest: %s", name, t->engine,
		                 is_native ? "after a crash it differs, or stops the replication" : "it stops links"),
		    "ALTER TABLE %s ENGINE=InnoDB, on every node", sql);
	if (!t->has_key)
		finding_set_fix(findings_add(to, FINDING_NO_KEY, own->node, name,
		                             "table %s has no primary key: %s, and nodes may differ", name,
		                             is_native ? "the replication looks through all of it for each row"
		                                       : "conflicts on its rows can't be seen"),
		                "ALTER TABLE %s ADD PRIMARY KEY (…), with columns that tell its rows apart", sql);
	free(sql);
	free(name);
}

/* Does the event run there? */
static bool runs_on(const struct server_facts *s, const struct event_facts *event)
{
	for (size_t i = 0; i < s->event_count; i++)
		if (strcmp(s->events[i].name, event->name) == 0 && strcmp(s->events[i].database, event->database) == 0)
			return strcmp(s->events[i].status, "ENABLED") == 0;
	return false;
}

static void check_event(const struct facts *facts, const struct event_facts *event, struct findings *to)
{
	const struct server_facts *own = &facts->own;
	if (strcmp(event->status, "ENABLED") != 0)
		return;
	char *name = mem_printf("%s.%s", event->database, event->name), *sql = quoted(event->database, event->name);
	bool is_twice = false;
	for (size_t i = 0; i < facts->peer_count; i++) {
		if (!runs_on(&facts->peers[i], event))
			continue;
		is_twice = true;
		finding_set_fix(findings_add(to, FINDING_EVENT_TWICE, own->node, name,
		                             "event %s is enabled on node %u, too: what it does is done twice", name,
		                             (unsigned)facts->peers[i].node),
		                "on one of the nodes: SET sql_log_bin = 0; ALTER EVENT %s DISABLE ON SLAVE", sql);
	}
	if (!facts_is_on(own, "event_scheduler"))
		finding_set_fix(
		    findings_add(to, FINDING_EVENT_ASLEEP, own->node, name,
		                 "event %s is enabled here, but event_scheduler is off: it doesn't run", name),
		    "SET GLOBAL event_scheduler = ON; and put event_scheduler = ON under [mysqld]; or DROP EVENT %s", sql);
	else if (!is_twice)
		findings_add(to, FINDING_EVENT, own->node, name,
		             "event %s runs on this node only, also while it is cut off; its writes reach the others", name);
	free(sql);
	free(name);
}

static void check_sequence(const struct server_facts *own, const struct sequence_facts *s, struct findings *to)
{
	if (s->increment == 0)
		return;
	char *name = mem_printf("%s.%s", s->database, s->name), *sql = quoted(s->database, s->name);
	finding_set_fix(findings_add(to, FINDING_SEQUENCE, own->node, name,
	                             "sequence %s counts by %lld on every node: two nodes give out one number", name,
	                             (long long)s->increment),
	                "ALTER SEQUENCE %s INCREMENT BY 0; then auto_increment_increment counts", sql);
	free(sql);
	free(name);
}

void check_tables(const struct facts *facts, struct findings *to)
{
	const struct server_facts *own = &facts->own;
	for (size_t i = 0; i < facts->settings->database_count && own->is_reached; i++)
		if (!facts_sees_database(own, facts->settings->databases[i]))
			findings_add(to, FINDING_NO_DATABASE, own->node, facts->settings->databases[i],
			             "database %s is not here yet; it comes when some node creates it",
			             facts->settings->databases[i]);
	for (size_t i = 0; i < own->table_count; i++)
		check_table(facts, &own->tables[i], to);
	for (size_t i = 0; i < own->trigger_count; i++) {
		const struct trigger_facts *t = &own->triggers[i];
		char *name = mem_printf("%s.%s", t->database, t->name);
		findings_add(
		    to, FINDING_TRIGGER, own->node, name,
		    "trigger %s on %s runs on the node that writes only; other nodes get the rows that it wrote, and not "
		    "what it did in databases that aren't replicated",
		    name, t->table);
		free(name);
	}
	for (size_t i = 0; i < own->event_count; i++)
		check_event(facts, &own->events[i], to);
	for (size_t i = 0; i < own->sequence_count; i++)
		check_sequence(own, &own->sequences[i], to);
}
