#include "link/relatives.h"

#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "sql/foreign.h"
#include "sql/row_query.h"

enum { DEPTH_MAX = 15 /* of InnoDB's own cascades */, ROWS_MAX = 10000 };

struct taking {
	const struct merge_table *table;
	struct change_list *to;
};

static void take(void *context, const struct content *values)
{
	struct taking *taking = context;
	struct merge_change change = {.op = MERGE_DELETE, .table = taking->table, .before = values};
	change_list_add(taking->to, &change, false);
}

static bool is_there(const struct change_list *list, const struct merge_change *row)
{
	for (size_t i = 0; description_of(row->table)->has_key && i < list->count; i++)
		if (list->changes[i].table == row->table &&
		    merge_row_key(row->table, list->changes[i].before) == merge_row_key(row->table, row->before))
			return true;
	return false;
}

/* Those that aren't among them yet, and aren't this row (NULL: none). */
static enum err_code take_over(const struct relatives *who, const struct change_list *found,
                               const struct merge_table *table, const struct content *but, struct change_list *to,
                               struct err *err)
{
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < found->count; i++) {
		const struct merge_change *row = &found->changes[i];
		code = changes_learn_row(registry_collations(who->registry), who->connection, row->table, row->before, err);
		if (code != ERR_OK || is_there(to, row) ||
		    (but != NULL && row->table == table && merge_row_key(table, row->before) == merge_row_key(table, but)))
			continue;
		change_list_add(to, row, false);
	}
	return code;
}

static bool is_value(const struct content *content)
{
	return !content->is_null && !content->is_absent;
}

/* ---- By a key of the table's own ---- */

/* Whoever has a NULL in a key shares it with nobody. */
static enum err_code find_by(const struct relatives *who, const struct merge_table *table,
                             const struct merge_columns *key, const uint16_t *prefixes, const struct content *row,
                             struct change_list *to, struct err *err)
{
	const struct description *d = description_of(table);
	struct row_term *terms = mem_alloc((key->count + 1) * sizeof *terms);
	struct taking taking = {table, to}; /* what is found is yet to be looked at */
	enum err_code code = ERR_OK;
	bool whole = key->count > 0;
	for (uint32_t i = 0; i < key->count; i++) {
		uint32_t c = key->columns[i];
		whole = whole && is_value(&row[c]);
		terms[i] = (struct row_term){.column = d->map.columns[c].name,
		                             .of = d,
		                             .of_column = c,
		                             .value = &row[c],
		                             .prefix_characters = prefixes != NULL ? prefixes[i]
		                                                  : d->map.columns[c].in_primary_key
		                                                      ? d->map.columns[c].primary_key_prefix
		                                                      : 0};
	}
	if (whole)
		code = row_query(who->connection, d, terms, key->count, take, &taking, err);
	free(terms);
	return code;
}

enum err_code relatives_find_row(const struct relatives *who, const struct merge_table *table,
                                 const struct content *row, struct change_list *to, struct err *err)
{
	struct change_list found = {0};
	enum err_code code = find_by(who, table, &table->key, NULL, row, &found, err);
	if (code == ERR_OK)
		code = take_over(who, &found, table, NULL, to, err);
	change_list_free(&found);
	return code;
}

enum err_code relatives_find_rivals(const struct relatives *who, const struct merge_table *table,
                                    const struct content *row, struct change_list *to, struct err *err)
{
	const struct description *d = description_of(table);
	struct change_list found = {0};
	enum err_code code = ERR_OK;
	for (uint32_t u = 0; code == ERR_OK && u < table->unique_count; u++)
		code = find_by(who, table, &table->uniques[u],
		               d->unique_prefixes + (table->uniques[u].columns - d->unique_columns), row, &found, err);
	if (code == ERR_OK)
		code = take_over(who, &found, table, row, to, err);
	change_list_free(&found);
	return code;
}

/* ---- By foreign keys ---- */

static bool find_column(const struct description *d, const char *name, uint32_t *ret)
{
	for (uint32_t c = 0; c < d->map.column_count; c++)
		if (strcasecmp(d->map.columns[c].name, name) == 0) {
			*ret = c;
			return true;
		}
	return false;
}

/* The rows at the other end, of a table that is described by `other`, of this row. *ret_refers: none of the columns is NULL. */
static enum err_code find_across(const struct relatives *who, const struct foreign_key *key, enum foreign_side side,
                                 const struct merge_table *table, const struct content *row,
                                 const struct description *other, struct change_list *to, bool *ret_refers,
                                 struct err *err)
{
	bool is_child = side == FOREIGN_OF_CHILD;
	struct row_term *terms = mem_alloc((key->count + 1) * sizeof *terms);
	struct taking taking = {&other->merge, to};
	enum err_code code = ERR_OK;
	*ret_refers = true;
	for (uint32_t i = 0; i < key->count; i++) {
		uint32_t c = 0;
		bool known = find_column(description_of(table), is_child ? key->child_columns[i] : key->parent_columns[i], &c);
		*ret_refers = *ret_refers && known && is_value(&row[c]);
		terms[i] = (struct row_term){.column = is_child ? key->parent_columns[i] : key->child_columns[i],
		                             .of = description_of(table),
		                             .of_column = c,
		                             .value = &row[c]};
	}
	if (*ret_refers)
		code = row_query(who->connection, other, terms, key->count, take, &taking, err);
	free(terms);
	return code;
}

static enum err_code load_keys(const struct relatives *who, const struct merge_table *table, enum foreign_side side,
                               struct foreign_keys *ret, struct err *err)
{
	const struct table_map *map = &description_of(table)->map;
	return foreign_keys_load(who->connection, map->database, map->table, side, ret, err);
}

enum err_code relatives_lacks_parent(const struct relatives *who, const struct merge_table *table,
                                     const struct content *row, bool *ret_lacks, struct err *err)
{
	struct foreign_keys keys = {0};
	*ret_lacks = false;
	if (table->reference_count == 0 && !description_of(table)->has_foreign_reference)
		return ERR_OK;
	enum err_code code = load_keys(who, table, FOREIGN_OF_CHILD, &keys, err);
	for (size_t i = 0; code == ERR_OK && i < keys.count; i++) {
		const struct description *parent;
		struct change_list found = {0};
		bool refers = true;
		code = registry_find(who->registry, who->connection, keys.keys[i].parent_database, keys.keys[i].parent,
		                     who->generation, &parent, err);
		if (code == ERR_OK && parent != NULL)
			code = find_across(who, &keys.keys[i], FOREIGN_OF_CHILD, table, row, parent, &found, &refers, err);
		/* The parent may be the row itself: then it is there when it is. */
		*ret_lacks = *ret_lacks || (code == ERR_OK && refers && found.count == 0);
		change_list_free(&found);
	}
	foreign_keys_free(&keys);
	return code;
}

/* Only those of which the deletion does this; a row that refers to itself is no child. */
static enum err_code find_children(const struct relatives *who, const struct merge_table *table,
                                   const struct content *row, enum merge_on_delete on_delete, struct change_list *to,
                                   struct err *err)
{
	struct foreign_keys keys = {0};
	struct change_list found = {0};
	if (!description_of(table)->is_parent)
		return ERR_OK;
	enum err_code code = load_keys(who, table, FOREIGN_OF_PARENT, &keys, err);
	for (size_t i = 0; code == ERR_OK && i < keys.count; i++) {
		const struct description *child = NULL;
		bool refers;
		if (keys.keys[i].on_delete != on_delete)
			continue;
		code = registry_find(who->registry, who->connection, keys.keys[i].child_database, keys.keys[i].child,
		                     who->generation, &child, err);
		if (code == ERR_OK && child != NULL)
			code = find_across(who, &keys.keys[i], FOREIGN_OF_PARENT, table, row, child, &found, &refers, err);
	}
	if (code == ERR_OK)
		code = take_over(who, &found, table, row, to, err);
	change_list_free(&found);
	foreign_keys_free(&keys);
	return code;
}

enum err_code relatives_find_restricting(const struct relatives *who, const struct merge_table *table,
                                         const struct content *row, struct change_list *to, struct err *err)
{
	return find_children(who, table, row, MERGE_RESTRICT, to, err);
}

static enum err_code find_all(const struct relatives *who, const struct merge_table *table, const struct content *row,
                              unsigned depth, struct change_list *to, struct err *err)
{
	struct change_list restricting = {0}, cascading = {0};
	if (depth > DEPTH_MAX || to->count > ROWS_MAX)
		return err_set(err, ERR_UNSUPPORTED, "too many rows keep one of %s.%s from being deleted; delete them by hand",
		               description_of(table)->map.database, description_of(table)->map.table);
	enum err_code code = find_children(who, table, row, MERGE_RESTRICT, &restricting, err);
	if (code == ERR_OK)
		code = find_children(who, table, row, MERGE_CASCADE, &cascading, err);
	for (size_t i = 0; code == ERR_OK && i < cascading.count; i++)
		code = find_all(who, cascading.changes[i].table, cascading.changes[i].before, depth + 1, to, err);
	for (size_t i = 0; code == ERR_OK && i < restricting.count; i++) {
		const struct merge_change *child = &restricting.changes[i];
		code = find_all(who, child->table, child->before, depth + 1, to, err);
		if (code == ERR_OK && !is_there(to, child))
			change_list_add(to, child, false);
	}
	change_list_free(&restricting);
	change_list_free(&cascading);
	return code;
}

enum err_code relatives_find_all_restricting(const struct relatives *who, const struct merge_table *table,
                                             const struct content *row, struct change_list *to, struct err *err)
{
	return find_all(who, table, row, 0, to, err);
}
