#include "node/settings_policy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "node/settings.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- Lines ---- */

static void skip_blanks(const char **at)
{
	*at += strspn(*at, " \t");
}

/* A name up to what separates names, or in backticks, where two stand for one. NULL: there is none. */
static char *take_name(const char **at)
{
	struct buf name = {0};
	skip_blanks(at);
	bool is_quoted = **at == '`', is_open = is_quoted;
	*at += is_quoted;
	while (**at != '\0' && (is_quoted || strchr(".:, \t", **at) == NULL)) {
		if (is_quoted && **at == '`' && *++*at != '`') {
			is_open = false;
			break;
		}
		buf_append_u8(&name, (uint8_t) * (*at)++);
	}
	char *text = name.size > 0 && !is_open ? mem_strdup(buf_str(&name)) : NULL;
	buf_free(&name);
	skip_blanks(at);
	return text;
}

static bool take_character(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static bool parse_columns(const char **at, struct settings_policy *p)
{
	do {
		char *name = take_name(at);
		if (name == NULL)
			return false;
		p->columns = mem_resize(p->columns, (p->column_count + 1) * sizeof *p->columns);
		p->columns[p->column_count++] = name;
	} while (take_character(at, ','));
	return true;
}

static bool parse_place(const char **at, struct settings_policy *p)
{
	if ((p->database = take_name(at)) == NULL)
		return false;
	if (take_character(at, '.')) {
		if ((p->table = take_name(at)) == NULL)
			return false;
		if (take_character(at, '.') && !parse_columns(at, p))
			return false;
	}
	return take_character(at, ':');
}

/* The next word; size 0 at the end. */
static const char *take_word(const char **at, int *ret_size)
{
	skip_blanks(at);
	const char *word = *at;
	*ret_size = (int)strcspn(word, " \t");
	*at += *ret_size;
	return word;
}

static bool is_word(const char *word, int size, const char *text)
{
	return (size_t)size == strlen(text) && strncmp(word, text, (size_t)size) == 0;
}

static enum err_code parse_policy(const char **at, struct settings_policy *p, struct err *err)
{
	int size;
	const char *word = take_word(at, &size);
	for (int i = MERGE_LAST_UPDATE_WINS; i < MERGE_DELETE_WINS; i++)
		if (is_word(word, size, merge_policy_name((enum merge_policy)i))) {
			p->policy = (enum merge_policy)i;
			return ERR_OK;
		}
	return err_set(err, ERR_CONFIG,
	               "unknown policy '%.*s'; give last_update_wins, first_update_wins, site_priority, max, min, "
	               "delta_apply or error",
	               size < 60 ? size : 60, word);
}

static bool add_site(struct settings_policy *p, const char *word, int size)
{
	uint32_t site = 0;
	for (int i = 0; i < size && i < 3; i++) {
		if (word[i] < '0' || word[i] > '9')
			return false;
		site = site * 10 + (uint32_t)(word[i] - '0');
	}
	bool is_one = size < 3 && word[0] != '0' && site <= NODE_ID_MAX;
	for (uint32_t i = 0; i < p->site_count; i++)
		is_one &= p->sites[i] != site;
	if (!is_one)
		return false;
	p->sites = mem_resize(p->sites, (p->site_count + 1) * sizeof *p->sites);
	p->sites[p->site_count++] = site;
	return true;
}

static enum err_code parse_arguments(const char **at, struct settings_policy *p, struct err *err)
{
	int size;
	const char *name = merge_policy_name(p->policy);
	for (const char *word = take_word(at, &size); size > 0; word = take_word(at, &size)) {
		if (is_word(word, size, "row") && !p->is_row)
			p->is_row = true;
		else if (p->policy != MERGE_SITE_PRIORITY)
			return err_set(err, ERR_CONFIG, "'%.*s' stands behind %s; remove it", size < 60 ? size : 60, word, name);
		else if (!add_site(p, word, size))
			return err_set(
			    err, ERR_CONFIG,
			    "'%.*s' stands behind site_priority; give node ids from 1 to %d, each once, first the one that wins",
			    size < 60 ? size : 60, word, NODE_ID_MAX);
	}
	if (p->policy == MERGE_SITE_PRIORITY && p->site_count == 0)
		return err_set(err, ERR_CONFIG, "site_priority has no nodes; give their ids, first the one that wins");
	return ERR_OK;
}

/* Only a value of one column can be the highest, or a sum. */
static bool is_of_one_column(enum merge_policy policy)
{
	return policy == MERGE_MAX || policy == MERGE_MIN || policy == MERGE_DELTA_APPLY;
}

static enum err_code check_policy(const struct settings_policy *p, struct err *err)
{
	if (is_of_one_column(p->policy) && p->column_count != 1)
		return err_set(err, ERR_CONFIG, "%s is for one column; write DB.TABLE.COLUMN: %s, a line for each",
		               merge_policy_name(p->policy), merge_policy_name(p->policy));
	if (p->is_row && p->column_count > 0)
		return err_set(err, ERR_CONFIG,
		               "'row' is for whole tables; remove it: columns on one line win or lose together");
	for (size_t i = 0; i < p->column_count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcasecmp(p->columns[i], p->columns[j]) == 0)
				return err_set(err, ERR_CONFIG, "column '%.64s' is there twice; remove one", p->columns[i]);
	return ERR_OK;
}

enum err_code settings_policy_parse(const char *text, struct settings_policy *ret_policy, struct err *err)
{
	struct settings_policy p = {0};
	const char *at = text;
	enum err_code code = ERR_OK;
	if (!parse_place(&at, &p))
		code =
		    err_set(err, ERR_CONFIG,
		            "conflict-policy is '%.60s'; write DB: POLICY, DB.TABLE: POLICY or DB.TABLE.COLUMN: POLICY", text);
	if (code == ERR_OK)
		code = parse_policy(&at, &p, err);
	if (code == ERR_OK)
		code = parse_arguments(&at, &p, err);
	if (code == ERR_OK)
		code = check_policy(&p, err);
	if (code == ERR_OK)
		*ret_policy = p;
	else
		settings_policy_free(&p);
	return code;
}

void settings_policy_free(struct settings_policy *p)
{
	free(p->database);
	free(p->table);
	for (size_t i = 0; i < p->column_count; i++)
		free(p->columns[i]);
	free(p->columns);
	free(p->sites);
	*p = (struct settings_policy){0};
}

static bool has_column(const struct settings_policy *p, const char *column)
{
	for (size_t i = 0; i < p->column_count; i++)
		if (strcasecmp(p->columns[i], column) == 0)
			return true;
	return false;
}

bool settings_policy_collide(const struct settings_policy *a, const struct settings_policy *b, const char **ret_column)
{
	if (strcmp(a->database, b->database) != 0 || (a->table == NULL) != (b->table == NULL) ||
	    (a->table != NULL && strcmp(a->table, b->table) != 0))
		return false;
	*ret_column = NULL;
	if (a->column_count == 0 || b->column_count == 0)
		return a->column_count == b->column_count;
	for (size_t i = 0; i < b->column_count; i++)
		if (has_column(a, b->columns[i])) {
			*ret_column = b->columns[i];
			return true;
		}
	return false;
}

/* ---- A table's ---- */

/* Of the columns that have no line of their own. NULL: nobody says. */
static const struct settings_policy *policy_of_rest(const struct settings *s, const char *database, const char *table)
{
	const struct settings_policy *found = NULL;
	for (size_t i = 0; i < s->policy_count; i++) {
		const struct settings_policy *p = &s->policies[i];
		if (strcmp(p->database, database) != 0 || p->column_count > 0)
			continue;
		if (p->table != NULL ? strcmp(p->table, table) == 0 : found == NULL)
			found = p;
	}
	return found;
}

static bool is_of_columns(const struct settings_policy *p, const char *database, const char *table)
{
	return p->column_count > 0 && strcmp(p->database, database) == 0 && strcmp(p->table, table) == 0;
}

static bool is_among(const struct merge_columns *columns, uint32_t column)
{
	for (uint32_t i = 0; i < columns->count; i++)
		if (columns->columns[i] == column)
			return true;
	return false;
}

/* What the column is part of, that only some policies can be decided for; NULL: nothing. */
static const char *part_of(const struct merge_table *t, uint32_t column)
{
	for (uint32_t i = 0; i < t->unique_count; i++)
		if (is_among(&t->uniques[i], column))
			return "a unique index";
	for (uint32_t i = 0; i < t->reference_count; i++)
		if (is_among(&t->references[i].columns, column))
			return "a foreign key";
	return NULL;
}

static bool can_be_added_up(const struct column *column)
{
	return (content_is_integer(column) || column->type == COLUMN_NEWDECIMAL) && !column->nullable;
}

/* A table whose policies are being gathered. */
struct gathering {
	const struct settings *settings;
	const char *database, *table;
	const struct column *columns;
	const struct merge_table *shape; /* its keys */
	uint16_t *groups;
	struct merge_column_policy *policies;
	struct err *err;
};

/* One column's policy, or why it can't have it. */
static enum err_code set_column(struct gathering *g, const struct settings_policy *p, uint32_t c)
{
	const struct column *column = &g->columns[c];
	const char *file = g->settings->file, *name = merge_policy_name(p->policy), *part = part_of(g->shape, c);
	struct merge_column_policy policy = {.policy = p->policy, .site_count = p->site_count, .sites = p->sites};
	bool has_order = merge_number_type_of(column, &policy.type);
	if (part != NULL && (is_of_one_column(p->policy) || p->policy == MERGE_ERROR))
		return err_set(g->err, ERR_CONFIG,
		               "%s:%u: %s can't decide on column '%s' of %s.%s, which is in %s; give it last_update_wins, "
		               "first_update_wins or site_priority on a line of its own",
		               file, p->line, name, column->name, g->database, g->table, part);
	if (is_of_one_column(p->policy) && !has_order)
		return err_set(g->err, ERR_CONFIG,
		               "%s:%u: %s can't decide on column '%s' of %s.%s, whose type has no order; remove the line", file,
		               p->line, name, column->name, g->database, g->table);
	if (p->policy == MERGE_DELTA_APPLY && !can_be_added_up(column))
		return err_set(
		    g->err, ERR_CONFIG,
		    "%s:%u: delta_apply can't decide on column '%s' of %s.%s: it takes an integer or DECIMAL that is "
		    "NOT NULL; change the column or the line",
		    file, p->line, column->name, g->database, g->table);
	g->policies[c] = policy;
	return ERR_OK;
}

static enum err_code set_columns(struct gathering *g, const struct settings_policy *p)
{
	uint32_t first = 0;
	for (size_t i = 0; i < p->column_count; i++) {
		uint32_t c = 0;
		while (c < g->shape->column_count && strcasecmp(g->columns[c].name, p->columns[i]) != 0)
			c++;
		if (c == g->shape->column_count)
			return err_set(g->err, ERR_CONFIG, "%s:%u: there is no column '%s' in %s.%s; correct the line",
			               g->settings->file, p->line, p->columns[i], g->database, g->table);
		if (is_among(&g->shape->key, c))
			return err_set(g->err, ERR_CONFIG,
			               "%s:%u: column '%s' of %s.%s is in the primary key, which no write changes; remove it",
			               g->settings->file, p->line, p->columns[i], g->database, g->table);
		first = i == 0 ? c : first;
		g->groups[c] = (uint16_t)first;
		enum err_code code = set_column(g, p, c);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* All but the primary key's and those with lines of their own. */
static enum err_code set_rest(struct gathering *g, const struct settings_policy *rest)
{
	const struct settings *s = g->settings;
	for (uint32_t c = 0; c < g->shape->column_count; c++) {
		bool has_own = is_among(&g->shape->key, c);
		for (size_t i = 0; i < s->policy_count; i++)
			has_own |= is_of_columns(&s->policies[i], g->database, g->table) &&
			           has_column(&s->policies[i], g->columns[c].name);
		if (has_own)
			continue;
		if (rest->is_row)
			g->groups[c] = (uint16_t)g->shape->column_count;
		enum err_code code = set_column(g, rest, c);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

enum err_code settings_policies_fill(const struct settings *s, const char *database, const char *table,
                                     const struct column *columns, struct merge_table *t, struct err *err)
{
	const struct settings_policy *rest = policy_of_rest(s, database, table);
	enum err_code code = ERR_OK;
	bool any = rest != NULL;
	for (size_t i = 0; i < s->policy_count; i++)
		any |= is_of_columns(&s->policies[i], database, table);
	t->groups = NULL;
	t->policies = NULL;
	if (!any)
		return ERR_OK;
	struct gathering g = {s, database, table, columns, t, NULL, NULL, err};
	t->groups = g.groups = mem_alloc((t->column_count + 1) * sizeof *g.groups);
	t->policies = g.policies = mem_alloc((t->column_count + 1) * sizeof *g.policies);
	for (uint32_t c = 0; c < t->column_count; c++)
		g.groups[c] = (uint16_t)c;
	if (rest != NULL)
		code = set_rest(&g, rest);
	for (size_t i = 0; code == ERR_OK && i < s->policy_count; i++)
		if (is_of_columns(&s->policies[i], database, table))
			code = set_columns(&g, &s->policies[i]);
	if (code != ERR_OK)
		settings_policies_free(t);
	return code;
}

void settings_policies_free(struct merge_table *t)
{
	free((void *)t->groups);
	free((void *)t->policies);
	t->groups = NULL;
	t->policies = NULL;
}

/* ---- Telling two nodes' apart ---- */

static void append_policy(struct buf *to, const struct settings_policy *p)
{
	buf_printf(to, ":%s%s", merge_policy_name(p->policy), p->is_row ? " row" : "");
	for (uint32_t i = 0; i < p->site_count; i++)
		buf_printf(to, " %u", (unsigned)p->sites[i]);
	buf_append_u8(to, '\0');
}

static int by_name(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* The columns in the order of their names, in lower case. */
static char *text_of(const struct settings_policy *p)
{
	struct buf text = {0};
	const char **names = mem_alloc(p->column_count * sizeof *names);
	memcpy(names, p->columns, p->column_count * sizeof *names);
	qsort(names, p->column_count, sizeof *names, by_name);
	for (size_t i = 0; i < p->column_count; i++) {
		for (const char *c = names[i]; *c != '\0'; c++)
			buf_append_u8(&text, (uint8_t)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c));
		buf_append_u8(&text, '\n'); /* in no name */
	}
	append_policy(&text, p);
	char *copy = mem_strdup(buf_str(&text));
	buf_free(&text);
	free(names);
	return copy;
}

/* It says of one column what holds for it anyway. */
static bool is_redundant(const struct settings_policy *p, const struct settings_policy *rest)
{
	return p->column_count == 1 && !rest->is_row && p->policy == rest->policy && p->site_count == rest->site_count &&
	       (p->site_count == 0 || memcmp(p->sites, rest->sites, p->site_count * sizeof *p->sites) == 0);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

uint64_t settings_policy_hash(const struct settings *s, const char *database, const char *table)
{
	static const struct settings_policy last_update_wins = {.policy = MERGE_LAST_UPDATE_WINS};
	const struct settings_policy *rest = policy_of_rest(s, database, table);
	rest = rest != NULL ? rest : &last_update_wins;
	char **texts = mem_alloc((s->policy_count + 1) * sizeof *texts);
	size_t count = 0;
	struct buf all = {0};
	append_policy(&all, rest);
	for (size_t i = 0; i < s->policy_count; i++)
		if (is_of_columns(&s->policies[i], database, table) && !is_redundant(&s->policies[i], rest))
			texts[count++] = text_of(&s->policies[i]);
	qsort(texts, count, sizeof *texts, by_text);
	for (size_t i = 0; i < count; i++) {
		buf_append(&all, texts[i], strlen(texts[i]) + 1);
		free(texts[i]);
	}
	uint64_t hash = XXH64(all.data, all.size, 0);
	free(texts);
	buf_free(&all);
	return hash;
}
