#include "doctor/show.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { JSON_VERSION = 1, US_IN_MS = 1000 };

void repairs_add(struct repairs *r, struct repair repair)
{
	r->rows = mem_resize(r->rows, (r->count + 1) * sizeof *r->rows);
	r->rows[r->count++] = repair;
}

void repairs_free(struct repairs *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->rows[i].statement);
		free(r->rows[i].permanent);
		free(r->rows[i].why);
	}
	free(r->rows);
	*r = (struct repairs){0};
}

/* ---- Text ---- */

static size_t reached(const struct facts *facts)
{
	size_t count = 0;
	for (size_t i = 0; i < facts->peer_count; i++)
		count += facts->peers[i].is_reached;
	return count;
}

static void append_count(struct buf *to, size_t count, const char *what)
{
	buf_printf(to, "%zu %s%s", count, what, count == 1 ? "" : "s");
}

void show_text(const struct facts *facts, const struct findings *findings, const struct repairs *repairs,
               struct buf *to)
{
	for (size_t i = 0; i < repairs->count; i++) {
		const struct repair *r = &repairs->rows[i];
		buf_printf(to, "%s %s %s\n", finding_code_text(r->code), r->why == NULL ? "done:  " : "failed:", r->statement);
		if (r->why != NULL)
			buf_printf(to, "      %s\n", r->why);
		else
			buf_printf(to, "      to keep it: %s\n", r->permanent);
	}
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *f = &findings->rows[i];
		buf_printf(to, "%s %-7s node %u: %s\n", finding_code_text(f->code),
		           severity_text(finding_code_severity(f->code)), (unsigned)f->node, f->cause);
		if (*f->fix != '\0')
			buf_printf(to, "      fix: %s\n", f->fix);
	}
	buf_printf(to, "node %u: ", (unsigned)facts->settings->node_id);
	append_count(to, findings_count(findings, SEVERITY_ERROR), "error");
	buf_append_str(to, ", ");
	append_count(to, findings_count(findings, SEVERITY_WARNING), "warning");
	buf_printf(to, ", %zu for information; %zu of ", findings_count(findings, SEVERITY_INFO), reached(facts));
	append_count(to, facts->peer_count, "peer");
	buf_append_str(to, " reached\n");
}

/* ---- JSON ---- */

static json_t *text_or_null(const char *text)
{
	/* A message may quote bytes that are not UTF-8. */
	if (text == NULL || *text == '\0')
		return json_null();
	json_t *value = json_string(text);
	return value != NULL ? value : json_string("(not printable)");
}

static json_t *finding_json(const struct finding *f)
{
	json_t *o = json_object();
	json_object_set_new(o, "code", json_string(finding_code_text(f->code)));
	json_object_set_new(o, "severity", json_string(severity_text(finding_code_severity(f->code))));
	json_object_set_new(o, "node", json_integer(f->node));
	json_object_set_new(o, "subject", text_or_null(f->subject));
	json_object_set_new(o, "cause", text_or_null(f->cause));
	json_object_set_new(o, "fix", text_or_null(f->fix));
	json_object_set_new(o, "statement", text_or_null(f->statement));
	return o;
}

static json_t *repair_json(const struct repair *r)
{
	json_t *o = json_object();
	json_object_set_new(o, "code", json_string(finding_code_text(r->code)));
	json_object_set_new(o, "statement", text_or_null(r->statement));
	json_object_set_new(o, "permanent", text_or_null(r->permanent));
	json_object_set_new(o, "error", text_or_null(r->why));
	return o;
}

static json_t *peer_json(const struct server_facts *peer)
{
	json_t *o = json_object();
	json_object_set_new(o, "node", json_integer(peer->node));
	json_object_set_new(o, "where", text_or_null(peer->where));
	json_object_set_new(o, "reached", json_boolean(peer->is_reached));
	json_object_set_new(o, "version", text_or_null(facts_variable(peer, "version")));
	json_object_set_new(o, "clock_offset_ms",
	                    peer->has_clock ? json_integer(peer->clock_offset_us / US_IN_MS) : json_null());
	return o;
}

void show_json(const struct facts *facts, const struct findings *findings, const struct repairs *repairs,
               struct buf *to)
{
	json_t *root = json_object(), *list = json_array(), *done = json_array(), *peers = json_array();
	for (size_t i = 0; i < findings->count; i++)
		json_array_append_new(list, finding_json(&findings->rows[i]));
	for (size_t i = 0; i < repairs->count; i++)
		json_array_append_new(done, repair_json(&repairs->rows[i]));
	for (size_t i = 0; i < facts->peer_count; i++)
		json_array_append_new(peers, peer_json(&facts->peers[i]));
	json_object_set_new(root, "version", json_integer(JSON_VERSION));
	json_object_set_new(root, "node", json_integer(facts->settings->node_id));
	json_object_set_new(root, "errors", json_integer((json_int_t)findings_count(findings, SEVERITY_ERROR)));
	json_object_set_new(root, "warnings", json_integer((json_int_t)findings_count(findings, SEVERITY_WARNING)));
	json_object_set_new(root, "findings", list);
	json_object_set_new(root, "fixed", done);
	json_object_set_new(root, "peers", peers);
	char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	buf_printf(to, "%s\n", text != NULL ? text : "{}");
	free(text);
	json_decref(root);
}
