#include "cli/offer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "node/settings_edit.h"

enum err_code offer_make(const struct settings *s, struct buf *to, struct err *err)
{
	struct buf file = {0}, policies = {0};
	enum err_code code = settings_edit_read(s->file, &file, err);
	if (code == ERR_OK) {
		settings_edit_lines(&file, "conflict-policy", &policies);
		json_t *databases = json_array();
		for (size_t i = 0; i < s->database_count; i++)
			json_array_append_new(databases, json_string(s->databases[i]));
		json_t *root = json_pack("{s:i, s:i, s:o, s:s}", "node", (int)s->node_id, "slots",
		                         (int)(s->slots ? s->slots : s->nodes[s->node_count - 1]), "databases", databases,
		                         "policies", buf_str(&policies));
		char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
		if (text == NULL)
			code = err_set(err, ERR_CONFIG, "%s: its names are no UTF-8; write them in UTF-8", s->file);
		else
			buf_append_str(to, text);
		free(text);
		json_decref(root);
	}
	buf_free(&file);
	buf_free(&policies);
	return code;
}

static enum err_code not_an_offer(struct err *err)
{
	return err_set(err, ERR_MALFORMED, "what the other node tells of itself can't be read; is it of another version?");
}

enum err_code offer_parse(const char *text, struct offer *ret, struct err *err)
{
	json_t *root = json_loads(text, 0, NULL), *databases = json_object_get(root, "databases"), *name;
	json_int_t node = json_integer_value(json_object_get(root, "node"));
	json_int_t slots = json_integer_value(json_object_get(root, "slots"));
	const char *policies = json_string_value(json_object_get(root, "policies"));
	struct offer offer = {
	    .node = (uint32_t)node, .slots = (unsigned)slots, .policies = mem_strdup(policies ? policies : "")};
	enum err_code code =
	    node < 1 || node > NODE_ID_MAX || slots < 1 || slots > NODE_ID_MAX || json_array_size(databases) == 0 ||
	            json_array_size(databases) > sizeof offer.databases.texts / sizeof *offer.databases.texts
	        ? not_an_offer(err)
	        : ERR_OK;
	size_t i;
	if (code == ERR_OK) {
		json_array_foreach(databases, i, name)
		{
			if (!json_is_string(name) || settings_database_refusal(json_string_value(name)) != NULL)
				code = not_an_offer(err);
			else
				offer.databases.texts[offer.databases.count++] = mem_strdup(json_string_value(name));
		}
	}
	json_decref(root);
	if (code == ERR_OK)
		*ret = offer;
	else
		offer_done(&offer);
	return code;
}

void offer_done(struct offer *o)
{
	for (size_t i = 0; i < o->databases.count; i++)
		free((char *)o->databases.texts[i]);
	free(o->policies);
	*o = (struct offer){0};
}

void offer_secret(const struct token *token, struct buf *to)
{
	for (size_t i = 0; i < sizeof token->secret; i++)
		buf_printf(to, "%02x", token->secret[i]);
}
