#include "cli/verify_nodes.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"

enum { CALL_TIMEOUT_MS = 2000 };

enum err_code verify_parse_rate(const char *text, uint64_t *ret_rows, uint64_t *ret_bytes, struct err *err)
{
	static const char units[] = "KMG";
	char *end = NULL;
	errno = 0;
	uint64_t number = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
	const char *unit = end != NULL && *end != '\0' ? strchr(units, *end) : NULL;
	if (end == NULL || errno != 0 || (*end != '\0' && (unit == NULL || end[1] != '\0')))
		return err_set(err, ERR_USAGE,
		               "--rate=%s: give rows a second (100000), or bytes a second with K, M or G (20M); 0 for no limit",
		               text);
	*ret_rows = unit == NULL ? number : 0;
	*ret_bytes = 0;
	if (unit != NULL) {
		unsigned shift = 10 * (unsigned)(unit - units + 1);
		if (number > UINT64_MAX >> shift)
			return err_set(err, ERR_USAGE, "--rate=%s is too large", text);
		*ret_bytes = number << shift;
	}
	return ERR_OK;
}

enum err_code verify_nodes_open(struct verify_nodes *n, const char *file, const char *rate,
                                const struct text_list *tables, unsigned patience_s, struct err *err)
{
	struct settings *s = &n->settings;
	enum err_code code = command_act_as_owner(file, err);
	if (code == ERR_OK)
		code = settings_load(file, s, err);
	if (code == ERR_OK)
		code = verify_parse_rate(rate, &n->wish.rows_s, &n->wish.bytes_s, err);
	if (code != ERR_OK)
		return code;
	n->nodes[0] = (struct verify_node){.id = s->node_id,
	                                   .target = {.file = s->file, .group = s->server_group, .name = s->server_where}};
	for (size_t i = 0; i < s->peer_count; i++)
		n->nodes[i + 1] =
		    (struct verify_node){.id = s->peers[i].node_id,
		                         .target = {.file = s->file, .group = s->peers[i].group, .name = s->peers[i].where}};
	n->wish.nodes = n->nodes;
	n->wish.node_count = s->peer_count + 1;
	n->wish.databases = (const char *const *)s->databases;
	n->wish.database_count = s->database_count;
	n->wish.tables = tables->texts;
	n->wish.table_count = tables->count;
	n->wish.patience_ms = (int64_t)patience_s * 1000;
	n->wish.is_native = s->engine == ENGINE_NATIVE;
	n->wish.cancelled = &command_interrupted;
	return ERR_OK;
}

void verify_nodes_close(struct verify_nodes *n)
{
	settings_free(&n->settings);
}

bool verify_nodes_settled(const struct verify_nodes *n)
{
	struct buf answer = {0};
	struct err ignored;
	bool is_settled = true;
	if (control_call(n->settings.state_dir, "status", CALL_TIMEOUT_MS, &answer, &ignored) == ERR_OK) {
		json_t *root = json_loads(buf_str(&answer), 0, NULL), *server = json_object_get(root, "server");
		is_settled = !json_is_true(json_object_get(server, "resolving")) &&
		             json_integer_value(json_object_get(server, "held_rows")) == 0;
		json_decref(root);
	}
	buf_free(&answer);
	return is_settled;
}
