#include "link/native_needs.h"

#include "sql/native.h"
#include "sql/server.h"

static bool is_node(const struct settings *s, uint32_t domain)
{
	for (size_t i = 0; i < s->node_count; i++)
		if (s->nodes[i] == domain)
			return true;
	return false;
}

struct vector native_needs_start(const struct settings *settings, uint32_t origin, const struct vector *saved,
                                 const struct vector *applied)
{
	struct vector start = *saved;
	for (uint32_t i = 0; i < applied->count; i++) {
		uint32_t domain = applied->gtids[i].domain;
		/* Too many domains: what is missing is kept. */
		if ((domain == origin || !is_node(settings, domain)) &&
		    vector_advance(&start, &applied->gtids[i], NULL) != ERR_OK)
			continue;
	}
	return start;
}

struct answers {
	bool logs_applied;
	bool may_read; /* the schema syncline; else the rest is empty */
	struct native_mark mark;
	struct server_position link;
};

static enum err_code ask_schema(struct connection *peer, uint32_t own, struct answers *a, struct err *err)
{
	struct server_seed seed;
	enum err_code code = native_load_mark(peer, &a->mark, err);
	if (code == ERR_OK)
		code = server_load_position(peer, own, &a->link, err);
	if (code == ERR_OK)
		code = server_load_seed(peer, &seed, err);
	if (code == ERR_OK && seed.peer == own) /* a newcomer reads from there at each start, for the time being */
		a->link.vector = vector_min(&a->link.vector, &seed.from.vector);
	a->may_read = code == ERR_OK;
	return code == ERR_SERVER ? ERR_OK : code;
}

enum err_code native_needs_ask(struct connection *peer, const struct settings *settings, uint32_t peer_id,
                               const struct native_place *here, struct native_needs *ret, struct err *err)
{
	struct answers a = {0};
	struct native_needs needs = {0};
	struct vector slave, head;
	enum err_code code = native_position(peer, &slave, err);
	if (code == ERR_OK)
		code = server_vector(peer, &head, err);
	if (code == ERR_OK)
		code = native_logs_applied(peer, &a.logs_applied, err);
	if (code == ERR_OK)
		code = ask_schema(peer, settings->node_id, &a, err);
	if (code != ERR_OK)
		return code;
	needs.is_lasting = a.may_read;
	bool is_merge = a.may_read && !a.mark.is_native;
	needs.known = needs.saved = is_merge ? a.link.vector : slave;
	if (is_merge && (code = vector_merge(&needs.known, &head, err)) != ERR_OK)
		return code;
	needs.head = head;
	needs.may_merge = here->logs_applied && a.logs_applied;
	needs.start = native_needs_start(settings, peer_id, &here->saved, &here->applied);
	if (a.may_read && a.mark.is_native) {
		struct vector link = native_needs_start(settings, settings->node_id, &a.link.vector, &slave);
		needs.start = vector_min(&needs.start, &link);
	}
	*ret = needs;
	return ERR_OK;
}
