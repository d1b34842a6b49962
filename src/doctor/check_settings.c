/* Variables: sql/requirements.h for this node's server, what links can't do without for the peers'. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "doctor/check.h"
#include "sql/requirements.h"

void check_option_place(const struct settings *s, uint32_t node, char text[CHECK_PLACE_MAX])
{
	if (node != s->node_id)
		snprintf(text, CHECK_PLACE_MAX, "under [mysqld] on node %u", (unsigned)node);
	else if (s->datadir != NULL)
		snprintf(text, CHECK_PLACE_MAX, "under [mariadbd] in %s", s->file);
	else
		snprintf(text, CHECK_PLACE_MAX, "under [mysqld]");
}

static void add(const struct facts *facts, const struct server_facts *server, const struct requirement *r,
                const struct requirement_node *node, const char *is, struct findings *to)
{
	char wanted[REQUIREMENT_VALUE_MAX], option[REQUIREMENT_VALUE_MAX], place[CHECK_PLACE_MAX];
	requirement_wanted(r, node, wanted);
	requirement_option(r, node, option);
	check_option_place(facts->settings, server->node, place);
	struct finding *f =
	    findings_add(to, finding_code_of(r->variable), server->node, r->variable, "%s is %s and should be %s%s: %s",
	                 r->variable, *is ? is : "empty", wanted,
	                 r->wants == REQUIREMENT_LEAST || r->wants == REQUIREMENT_NODES ? " or more" : "", r->why);
	if (!r->is_dynamic || !r->is_safe) {
		finding_set_fix(f, "put %s = %s %s and restart MariaDB", r->variable, option, place);
		return;
	}
	f->permanent =
	    mem_printf("put %s = %s %s%s", r->variable, option, place,
	               r->is_session ? "; sessions that are open keep the old value: let applications connect anew" : "");
	finding_set_fix(f, "SET GLOBAL %s = %s; and %s", r->variable, wanted, f->permanent);
	if (server == &facts->own)
		f->statement = mem_printf("SET GLOBAL %s = %s", r->variable, wanted);
}

static void check_server(const struct facts *facts, const struct server_facts *server, struct findings *to)
{
	const struct settings *s = facts->settings;
	struct requirement_node node = {.id = server->node, .highest_id = s->nodes[s->node_count - 1]};
	if (server->variable_count == 0)
		return;
	for (size_t i = 0; i < requirement_count; i++) {
		const struct requirement *r = &requirements[i];
		const char *is = facts_variable(server, r->variable);
		if (!r->must && (is == NULL || server != &facts->own))
			continue;
		if (is == NULL || !requirement_is_met(r, &node, is))
			add(facts, server, r, &node, is != NULL ? is : "not there", to);
	}
	for (size_t i = 0; i < server->left_out_count; i++)
		finding_set_fix(findings_add(to, FINDING_LOG_FILTER, server->node, server->left_out[i],
		                             "the server leaves database %s out of its log, so nothing that is written there "
		                             "reaches another node",
		                             server->left_out[i]),
		                "take binlog_do_db and binlog_ignore_db out of MariaDB's option files and restart it");
}

void check_settings(const struct facts *facts, struct findings *to)
{
	check_server(facts, &facts->own, to);
	for (size_t i = 0; i < facts->peer_count; i++)
		if (facts->peers[i].is_reached)
			check_server(facts, &facts->peers[i], to);
}
