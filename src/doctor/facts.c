#include "doctor/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* ---- Memory ---- */

static void keep_piece(struct facts *f, void *piece)
{
	if (f->piece_count == f->piece_room) {
		f->piece_room = f->piece_room > 0 ? 2 * f->piece_room : 256;
		f->pieces = mem_resize(f->pieces, f->piece_room * sizeof *f->pieces);
	}
	f->pieces[f->piece_count++] = piece;
}

const char *facts_keep(struct facts *f, const char *text)
{
	if (text == NULL)
		return NULL;
	char *copy = mem_strdup(text);
	keep_piece(f, copy);
	return copy;
}

/* Room is a power of two; an array that was outgrown goes with the facts. */
void *facts_grow(struct facts *f, void *rows, size_t *count, size_t size)
{
	char **array = rows;
	bool is_full = (*count & (*count - 1)) == 0;
	if (is_full) {
		char *larger = mem_alloc((*count > 0 ? 2 * *count : 1) * size);
		if (*count > 0)
			memcpy(larger, *array, *count * size);
		keep_piece(f, larger);
		*array = larger;
	}
	return *array + size * (*count)++;
}

void facts_free(struct facts *f)
{
	for (size_t i = 0; i < f->piece_count; i++)
		free(f->pieces[i]);
	free(f->pieces);
	*f = (struct facts){0};
}

/* ---- Looking things up ---- */

const char *facts_variable(const struct server_facts *s, const char *name)
{
	for (size_t i = 0; i < s->variable_count; i++)
		if (strcmp(s->variables[i].name, name) == 0)
			return s->variables[i].value;
	return NULL;
}

bool facts_is_on(const struct server_facts *s, const char *variable)
{
	const char *value = facts_variable(s, variable);
	return value != NULL && (strcasecmp(value, "ON") == 0 || strcmp(value, "1") == 0);
}

const struct table_facts *facts_table(const struct server_facts *s, const char *database, const char *name)
{
	for (size_t i = 0; i < s->table_count; i++)
		if (strcmp(s->tables[i].name, name) == 0 && strcmp(s->tables[i].database, database) == 0)
			return &s->tables[i];
	return NULL;
}

bool facts_sees_database(const struct server_facts *s, const char *database)
{
	for (size_t i = 0; i < s->database_count; i++)
		if (strcmp(s->databases[i], database) == 0)
			return true;
	return false;
}

bool facts_has_published(const struct server_facts *s, const char *database)
{
	for (size_t i = 0; i < s->published_count; i++)
		if (strcmp(s->published[i], database) == 0)
			return true;
	return false;
}

unsigned facts_version(const struct server_facts *s)
{
	const char *version = facts_variable(s, "version");
	unsigned major = 0, minor = 0;
	if (version == NULL || strstr(version, "MariaDB") == NULL || sscanf(version, "%u.%u", &major, &minor) != 2)
		return 0;
	return major * 100 + minor;
}

bool facts_is_native(const struct facts *f)
{
	const char *engine = f->daemon.is_running ? f->daemon.engine : f->own.engine;
	if (engine == NULL)
		engine = settings_engine_name(f->settings->engine);
	return strcmp(engine, settings_engine_name(ENGINE_NATIVE)) == 0;
}

const struct slave_facts *facts_slave(const struct facts *f, uint32_t peer)
{
	for (size_t i = 0; i < f->own.slave_count; i++)
		if (f->own.slaves[i].peer == peer)
			return &f->own.slaves[i];
	return NULL;
}

bool facts_is_remote(const struct server_facts *s)
{
	return s->where[0] != '/' && strncmp(s->where, "127.", 4) != 0 && strncmp(s->where, "[::1]", 5) != 0;
}

/* Is `word` one of the words between the commas? */
static bool has_word(const char *list, const char *word)
{
	size_t size = strlen(word);
	for (const char *at = list; at != NULL; at = strchr(at, ',')) {
		at += strspn(at, ", ");
		if (strncmp(at, word, size) == 0 && (at[size] == ',' || at[size] == '\0'))
			return true;
	}
	return false;
}

/* Is the scope `shop`.* this database's? It is a pattern, as for LIKE: SHOW GRANTS writes sh_op as `sh\_op`. */
static bool matches_scope(const char *pattern, const char *database)
{
	for (; strcmp(pattern, "`.*") != 0; pattern++) {
		if (*pattern == '%') {
			for (bool more = true; more; more = *database++ != '\0')
				if (matches_scope(pattern + 1, database))
					return true;
			return false;
		}
		if (*pattern == '\0' || *database == '\0')
			return false;
		if (*pattern == '_') {
			while (((unsigned char)*++database & 0xc0) == 0x80) /* the whole character */
				;
			continue;
		}
		pattern += (*pattern == '\\' || *pattern == '`') && pattern[1] != '\0';
		if (*pattern != *database++)
			return false;
	}
	return *database == '\0';
}

bool facts_is_granted(const struct server_facts *s, const char *privilege, const char *database)
{
	for (size_t i = 0; i < s->grant_count; i++) {
		const struct grant_facts *g = &s->grants[i];
		bool is_wide = strcmp(g->scope, "*.*") == 0;
		if (!is_wide && (database == NULL || g->scope[0] != '`' || !matches_scope(g->scope + 1, database)))
			continue;
		if (has_word(g->privileges, "ALL PRIVILEGES") || has_word(g->privileges, privilege))
			return true;
	}
	return false;
}
