#include "admin/health.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

static void append_line(struct buf *to, const char *what, const char *state, const char *why)
{
	buf_printf(to, "%s: %s%s%s\n", what, state, *why != '\0' ? ": " : "", why);
}

bool health_format(const char *status, struct buf *to)
{
	json_t *root = json_loads(status, 0, NULL), *server = json_object_get(root, "server"), *link;
	size_t before = to->size, i;
	if (strcmp(text_of(server, "state"), "live") != 0)
		append_line(to, "server", root != NULL ? text_of(server, "state") : "unknown", text_of(server, "why"));
	if (json_is_string(json_object_get(server, "log_held")))
		append_line(to, "log", "held", text_of(server, "log_held"));
	json_array_foreach(json_object_get(root, "links"), i, link)
	{
		char what[32];
		const char *state = text_of(link, "state");
		snprintf(what, sizeof what, "link %" PRId64, (int64_t)json_integer_value(json_object_get(link, "peer")));
		if (strcmp(state, "stopped") == 0 || strcmp(state, "must rejoin") == 0)
			append_line(to, what, state, text_of(link, "why"));
	}
	json_decref(root);
	if (to->size != before)
		return false;
	buf_append_str(to, "ok\n");
	return true;
}
