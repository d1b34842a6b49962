/* The same tables on two nodes? */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "doctor/check.h"

enum { LINE_SHOWN_MAX = 120 };

/* The next line of *text, which is moved behind it; false at the end. */
static bool next_line(const char **text, const char **ret_line, size_t *ret_size)
{
	if (**text == '\0')
		return false;
	*ret_line = *text;
	*ret_size = strcspn(*text, "\n");
	*text += *ret_size + ((*text)[*ret_size] == '\n');
	return true;
}

/* Of a line ") ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT …" what stands before the number and where the rest begins; the
 * whole line, and nothing, of any other. */
static size_t split_number(const char *line, size_t size, size_t *ret_rest)
{
	static const char word[] = " AUTO_INCREMENT=";
	const char *at = *line == ')' ? memmem(line, size, word, sizeof word - 1) : NULL;
	if (at == NULL) {
		*ret_rest = size;
		return size;
	}
	size_t end = (size_t)(at - line) + sizeof word - 1;
	while (end < size && line[end] >= '0' && line[end] <= '9')
		end++;
	*ret_rest = end;
	return (size_t)(at - line);
}

static bool is_same_line(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t a_rest, b_rest;
	size_t a_head = split_number(a, a_size, &a_rest), b_head = split_number(b, b_size, &b_rest);
	bool is_same = a_head + a_size - a_rest == b_head + b_size - b_rest;
	if (a_head == b_head)
		return is_same && memcmp(a, b, a_head) == 0 && memcmp(a + a_rest, b + b_rest, a_size - a_rest) == 0;
	/* One of them has a number: put the other's together with what is left of this one. */
	const char *whole = a_rest == a_size ? a : b, *cut = whole == a ? b : a;
	size_t head = whole == a ? b_head : a_head, rest = whole == a ? b_rest : a_rest,
	       size = whole == a ? b_size : a_size;
	return is_same && memcmp(whole, cut, head) == 0 && memcmp(whole + head, cut + rest, size - rest) == 0;
}

bool check_first_difference(const char *a, const char *b, const char **ret_a, const char **ret_b)
{
	for (;;) {
		const char *a_line = NULL, *b_line = NULL;
		size_t a_size = 0, b_size = 0;
		bool has_a = next_line(&a, &a_line, &a_size), has_b = next_line(&b, &b_line, &b_size);
		if (!has_a && !has_b)
			return false;
		if (!has_a || !has_b || !is_same_line(a_line, a_size, b_line, b_size)) {
			*ret_a = a_line;
			*ret_b = b_line;
			return true;
		}
	}
}

/* The line without its indentation and the comma at its end, cut if it is long; freed by the caller. */
static char *shown(const char *line)
{
	if (line == NULL)
		return mem_strdup("nothing");
	line += strspn(line, " ");
	size_t size = strcspn(line, "\n");
	if (size > 0 && line[size - 1] == ',')
		size--;
	if (size <= LINE_SHOWN_MAX)
		return mem_printf("%.*s", (int)size, line);
	size = LINE_SHOWN_MAX;
	while (size > 0 && ((unsigned char)line[size] & 0xc0) == 0x80) /* not within a character */
		size--;
	return mem_printf("%.*s…", (int)size, line);
}

static void compare(const struct server_facts *own, const struct server_facts *peer, const struct table_facts *here,
                    const struct table_facts *there, struct findings *to)
{
	const char *a, *b;
	if (here->definition == NULL || there->definition == NULL ||
	    !check_first_difference(here->definition, there->definition, &a, &b))
		return;
	char *name = mem_printf("%s.%s", here->database, here->name), *a_text = shown(a), *b_text = shown(b);
	finding_set_fix(
	    findings_add(to, FINDING_TABLE_DIFFERS, peer->node, name, "table %s is another on node %u: here %s, there %s",
	                 name, (unsigned)peer->node, a_text, b_text),
	    "on the node that is wrong: SET sql_log_bin = 0; ALTER TABLE … until SHOW CREATE TABLE is the same as on "
	    "node %u",
	    (unsigned)own->node);
	free(name);
	free(a_text);
	free(b_text);
}

static void add_missing(const struct server_facts *without, const struct server_facts *with,
                        const struct table_facts *table, struct findings *to)
{
	char *name = mem_printf("%s.%s", table->database, table->name);
	finding_set_fix(findings_add(to, FINDING_TABLE_MISSING, without->node, name,
	                             "table %s is on node %u and not on node %u, whose links stop at its rows", name,
	                             (unsigned)with->node, (unsigned)without->node),
	                "on node %u: SET sql_log_bin = 0; and what SHOW CREATE TABLE says on node %u",
	                (unsigned)without->node, (unsigned)with->node);
	free(name);
}

/* Would the account see the database, if it were there? */
static bool may_see(const struct server_facts *s, const char *database)
{
	return facts_sees_database(s, database) || facts_is_granted(s, "SELECT", database) ||
	       facts_is_granted(s, "REFERENCES", database);
}

static void check_database(const struct server_facts *own, const struct server_facts *peer, const char *database,
                           struct findings *to)
{
	if (!facts_sees_database(own, database) && !facts_sees_database(peer, database))
		return;
	if (!may_see(peer, database)) {
		struct buf scope = {0};
		check_append_scope(&scope, database);
		finding_set_fix(findings_add(to, FINDING_SCHEMA_HIDDEN, peer->node, database,
		                             "the tables of %s on node %u can't be compared: the account %s may not see them",
		                             database, (unsigned)peer->node, peer->account),
		                "on node %u: GRANT REFERENCES ON %s TO %s; it lets it see definitions, not rows",
		                (unsigned)peer->node, buf_str(&scope), peer->account);
		buf_free(&scope);
		return;
	}
	for (size_t i = 0; i < own->table_count; i++) {
		const struct table_facts *here = &own->tables[i];
		if (strcmp(here->database, database) != 0)
			continue;
		const struct table_facts *there = facts_table(peer, database, here->name);
		if (there == NULL)
			add_missing(peer, own, here, to);
		else
			compare(own, peer, here, there, to);
	}
	for (size_t i = 0; i < peer->table_count; i++)
		if (strcmp(peer->tables[i].database, database) == 0 && facts_table(own, database, peer->tables[i].name) == NULL)
			add_missing(own, peer, &peer->tables[i], to);
}

void check_schemas(const struct facts *facts, struct findings *to)
{
	for (size_t i = 0; i < facts->peer_count; i++)
		for (size_t j = 0; j < facts->settings->database_count && facts->peers[i].is_reached; j++)
			check_database(&facts->own, &facts->peers[i], facts->settings->databases[j], to);
}
