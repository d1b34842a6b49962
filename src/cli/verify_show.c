#include "cli/verify_show.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/grid.h"

enum { VERIFY_JSON_VERSION = 1, DETAILS_MAX = 20 };

/* One row that differs: its table, its key, and a line on each node. */
struct shown_row {
	char *table, *key, *text;
	size_t node_count;
	uint32_t *nodes;
	char **hashes; /* hexadecimal; NULL: it isn't there */
};

struct verify_shown {
	size_t count;
	struct shown_row *rows;
};

struct verify_shown *verify_shown_new(void)
{
	return mem_alloc(sizeof(struct verify_shown));
}

void verify_shown_free(struct verify_shown *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++) {
		struct shown_row *r = &s->rows[i];
		for (size_t n = 0; n < r->node_count; n++)
			free(r->hashes[n]);
		free(r->hashes);
		free(r->nodes);
		free(r->table);
		free(r->key);
		free(r->text);
	}
	free(s->rows);
	free(s);
}

static size_t count_of(const struct verify_shown *s, const char *table)
{
	size_t count = 0;
	for (size_t i = 0; i < s->count; i++)
		count += strcmp(s->rows[i].table, table) == 0;
	return count;
}

static char *hash_text(const struct verify_row *row, size_t node)
{
	struct buf text = {0};
	for (size_t b = 0; b < VERIFY_HASH_SIZE; b++)
		buf_printf(&text, "%02x", row->hashes[node][b]);
	char *copy = mem_strdup(buf_str(&text));
	buf_free(&text);
	return copy;
}

/* "node 2 has it otherwise, node 3 lacks it" */
static void append_nodes(const struct verify_row *row, struct buf *to)
{
	const char *comma = "";
	for (size_t i = 1; i < row->node_count; i++) {
		const char *what = NULL;
		if (row->is_there[0] && !row->is_there[i])
			what = "lacks it";
		else if (!row->is_there[0] && row->is_there[i])
			what = "has it, this node doesn't";
		else if (row->is_there[0] && memcmp(row->hashes[0], row->hashes[i], VERIFY_HASH_SIZE) != 0)
			what = "has it otherwise";
		if (what == NULL)
			continue;
		buf_printf(to, "%snode %u %s", comma, (unsigned)row->nodes[i], what);
		comma = ", ";
	}
}

void verify_shown_add(struct verify_shown *s, const struct verify_row *row)
{
	char *table = mem_printf("%s.%s", row->database, row->table);
	if (count_of(s, table) >= VERIFY_SHOWN_MAX) {
		free(table);
		return;
	}
	struct buf key = {0}, text = {0};
	struct shown_row r = {.table = table,
	                      .node_count = row->node_count,
	                      .nodes = mem_alloc(row->node_count * sizeof *r.nodes),
	                      .hashes = mem_alloc(row->node_count * sizeof *r.hashes)};
	verify_append_key(row->layout, row->key, row->key_size, &key);
	append_nodes(row, &text);
	for (size_t i = 0; i < row->node_count; i++) {
		r.nodes[i] = row->nodes[i];
		r.hashes[i] = row->is_there[i] ? hash_text(row, i) : NULL;
	}
	r.key = mem_strdup(buf_str(&key));
	r.text = mem_strdup(buf_str(&text));
	buf_free(&key);
	buf_free(&text);
	s->rows = mem_resize(s->rows, (s->count + 1) * sizeof *s->rows);
	s->rows[s->count++] = r;
}

/* ---- Text ---- */

static void append_table(const struct verify_shown *s, const struct verify_table *t, struct buf *to)
{
	char *name = mem_printf("%s.%s", t->database, t->name);
	grid_append_clean(to, name);
	buf_append_str(to, ": ");
	if (t->different_rows > 0)
		buf_printf(to, "%" PRIu64 " row%s differ%s", t->different_rows, t->different_rows == 1 ? "" : "s",
		           t->different_rows == 1 ? "s" : "");
	if (t->unknown_rows > 0)
		buf_printf(to, "%s%" PRIu64 " row%s can't be told", t->different_rows > 0 ? ", " : "", t->unknown_rows,
		           t->unknown_rows == 1 ? "" : "s");
	if (t->why != NULL)
		buf_printf(to, "%s%s", t->different_rows + t->unknown_rows > 0 ? ": " : "", t->why);
	buf_append_str(to, "\n");
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->rows[i].table, name) != 0)
			continue;
		buf_append_str(to, "  ");
		grid_append_clean(to, s->rows[i].key);
		buf_printf(to, ": %s\n", s->rows[i].text);
	}
	size_t shown = count_of(s, name);
	if (t->different_rows > shown)
		buf_printf(to, "  … and %" PRIu64 " more\n", t->different_rows - shown);
	free(name);
}

void verify_show_text(const struct verify_shown *s, const struct verify_result *r, size_t node_count,
                      const struct verify_node *nodes, struct buf *to)
{
	static const char *const words[] = {"Equal", "Different", "Could not tell"};
	for (size_t i = 0; i < r->table_count; i++)
		if (r->tables[i].verdict != VERIFY_EQUAL)
			append_table(s, &r->tables[i], to);
	if (r->why != NULL)
		buf_printf(to, "%s\n", r->why);
	buf_printf(to, "%s: %" PRIu64 " rows of %zu tables were compared on nodes ", words[r->verdict], r->rows,
	           r->table_count);
	for (size_t i = 0; i < node_count; i++)
		buf_printf(to, "%s%u", i > 0 ? ", " : "", (unsigned)nodes[i].id);
	buf_printf(to, " in %.1f s", (double)r->elapsed_ms / 1000);
	if (r->different_rows > 0)
		buf_printf(to, ", %" PRIu64 " differ", r->different_rows);
	buf_append_str(to, ".\n");
}

/* ---- JSON ---- */

static json_t *text_or_null(const char *text)
{
	json_t *value = text != NULL ? json_string(text) : json_null();
	return value != NULL ? value : json_string("(not printable)");
}

static json_t *differences(const struct verify_shown *s, const char *table)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->count; i++) {
		const struct shown_row *r = &s->rows[i];
		char number[16];
		if (strcmp(r->table, table) != 0)
			continue;
		json_t *nodes = json_object();
		for (size_t n = 0; n < r->node_count; n++) {
			snprintf(number, sizeof number, "%u", (unsigned)r->nodes[n]);
			json_object_set_new(nodes, number, text_or_null(r->hashes[n]));
		}
		json_t *row = json_object();
		json_object_set_new(row, "key", text_or_null(r->key));
		json_object_set_new(row, "hashes", nodes);
		json_array_append_new(list, row);
	}
	return list;
}

static json_t *table_json(const struct verify_table *t)
{
	json_t *o = json_object();
	char *name = mem_printf("%s.%s", t->database, t->name);
	json_object_set_new(o, "table", text_or_null(name));
	json_object_set_new(o, "result", json_string(verify_verdict_name(t->verdict)));
	json_object_set_new(o, "why", text_or_null(t->why));
	json_object_set_new(o, "rows", json_integer((json_int_t)t->rows));
	json_object_set_new(o, "different_rows", json_integer((json_int_t)t->different_rows));
	json_object_set_new(o, "unknown_rows", json_integer((json_int_t)t->unknown_rows));
	free(name);
	return o;
}

static void dump(json_t *root, size_t flags, struct buf *to)
{
	char *text = json_dumps(root, flags | JSON_PRESERVE_ORDER);
	if (text != NULL)
		buf_append_str(to, text);
	free(text);
	json_decref(root);
}

void verify_show_json(const struct verify_shown *s, const struct verify_result *r, int64_t time, size_t node_count,
                      const struct verify_node *nodes, struct buf *to)
{
	json_t *root = json_object(), *ids = json_array(), *tables = json_array();
	for (size_t i = 0; i < node_count; i++)
		json_array_append_new(ids, json_integer(nodes[i].id));
	for (size_t i = 0; i < r->table_count; i++) {
		json_t *table = table_json(&r->tables[i]);
		char *name = mem_printf("%s.%s", r->tables[i].database, r->tables[i].name);
		json_object_set_new(table, "differences", differences(s, name));
		json_array_append_new(tables, table);
		free(name);
	}
	json_object_set_new(root, "version", json_integer(VERIFY_JSON_VERSION));
	json_object_set_new(root, "time", json_integer(time));
	json_object_set_new(root, "result", json_string(verify_verdict_name(r->verdict)));
	json_object_set_new(root, "why", text_or_null(r->why));
	json_object_set_new(root, "nodes", ids);
	json_object_set_new(root, "elapsed_ms", json_integer(r->elapsed_ms));
	json_object_set_new(root, "rows", json_integer((json_int_t)r->rows));
	json_object_set_new(root, "different_rows", json_integer((json_int_t)r->different_rows));
	json_object_set_new(root, "unknown_rows", json_integer((json_int_t)r->unknown_rows));
	json_object_set_new(root, "tables", tables);
	dump(root, JSON_INDENT(2), to);
	buf_append_str(to, "\n");
}

void verify_show_details(const struct verify_result *r, struct buf *to)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->table_count && json_array_size(list) < DETAILS_MAX; i++)
		if (r->tables[i].verdict != VERIFY_EQUAL)
			json_array_append_new(list, table_json(&r->tables[i]));
	json_t *root = json_object();
	json_object_set_new(root, "why", text_or_null(r->why));
	json_object_set_new(root, "tables", list);
	dump(root, JSON_COMPACT, to);
}
