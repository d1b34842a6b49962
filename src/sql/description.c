#include "sql/description.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "merge/rowkey.h"
#include "sql/foreign.h"

/* A row of an answer, kept: the texts stand behind the pointers to them. */
struct description_row {
	struct description_row *next;
	char *columns[];
};

struct rows {
	struct description_row *first, *last;
	uint32_t count;
};

/* The table (the first of them) or one that it refers to, maybe over others. */
struct relative {
	char *database, *table; /* borrowed from a row, or from the caller */
	struct rows keys;       /* of unique indexes: 'k' */
	struct rows references; /* 'r' */
	bool is_versioned;      /* 'v' */
	unsigned depth;
	bool is_on_path, is_known; /* while depths are found */
};

/* All that was asked. */
struct answers {
	struct rows table, columns, children; /* 't', 'c', 'p' */
	struct relative *relatives;
	uint32_t relative_count, asked_count;
};

/* Columns of the answers, by their first, which says what it is. Of 'k' and 'r' the second says whose. */
enum { T_ENGINE = 1, T_TYPE, T_DATABASE, T_TABLE };
enum {
	C_NAME = 1,
	C_DATA_TYPE,
	C_COLUMN_TYPE,
	C_CHARACTER_SET,
	C_COLLATION,
	C_OCTETS,
	C_PRECISION,
	C_SCALE,
	C_DATETIME_PRECISION,
	C_NULLABLE,
	C_DEFAULT,
	C_EXTRA,
	C_EXPRESSION
};
enum { OF = 1 };
enum { K_INDEX = 2, K_COLUMN, K_PREFIX, K_NULLABLE, K_TYPE };
enum { R_NAME = 2, R_COLUMN, R_DATABASE, R_TABLE, R_PARENT_COLUMN, R_ON_DELETE };

/* ---- questions: constant names everywhere, or the server opens every table that it has ---- */

static void append_names(struct buf *sql, const char *schema_column, const char *database, const char *table_column,
                         const char *table)
{
	buf_printf(sql, " WHERE %s=", schema_column);
	sql_append_string(sql, database, strlen(database));
	buf_printf(sql, " AND %s=", table_column);
	sql_append_string(sql, table, strlen(table));
}

static void ask_table(struct buf *sql, const char *database, const char *table)
{
	buf_append_str(sql, "SELECT 't',engine,table_type,table_schema,table_name FROM information_schema.tables");
	append_names(sql, "table_schema", database, "table_name", table);
	buf_append_str(sql,
	               ";SELECT 'c',column_name,data_type,column_type,c.character_set_name,a.id,character_octet_length,"
	               "numeric_precision,numeric_scale,datetime_precision,is_nullable,column_default,extra,"
	               "generation_expression FROM information_schema.columns c"
	               " LEFT JOIN information_schema.collation_character_set_applicability a"
	               " ON a.full_collation_name=c.collation_name");
	append_names(sql, "table_schema", database, "table_name", table);
	buf_append_str(sql, " ORDER BY ordinal_position;");
}

/* InnoDB's own list, since key_column_usage would open every table to find those that refer to one. */
static void ask_children(struct buf *sql, const char *database, const char *table)
{
	buf_append_str(sql, "SELECT 'p' FROM information_schema.innodb_sys_foreign WHERE ref_name=");
	foreign_append_name(sql, database, table);
	buf_append_str(sql, " LIMIT 1;");
}

static void ask_keys(struct buf *sql, uint32_t of, const char *database, const char *table)
{
	/* In the order of the table's keys, which is how the server finds them (no column tells it). */
	buf_printf(sql,
	           "SELECT 'k',%u,index_name,column_name,sub_part,nullable,index_type FROM information_schema.statistics",
	           of);
	append_names(sql, "table_schema", database, "table_name", table);
	buf_printf(sql, " AND non_unique=0;SELECT 'v',%u FROM information_schema.tables", of);
	append_names(sql, "table_schema", database, "table_name", table);
	buf_append_str(sql, " AND table_type='SYSTEM VERSIONED';");
	buf_printf(sql,
	           "SELECT 'r',%u,k.constraint_name,column_name,referenced_table_schema,k.referenced_table_name,"
	           "referenced_column_name,delete_rule FROM information_schema.key_column_usage k"
	           " JOIN information_schema.referential_constraints r ON r.constraint_name=k.constraint_name",
	           of);
	append_names(sql, "r.constraint_schema", database, "r.table_name", table);
	buf_append_str(sql, " AND k.table_schema=r.constraint_schema AND");
	struct buf names = {0};
	append_names(&names, "k.table_schema", database, "k.table_name", table);
	buf_append_str(sql, buf_str(&names) + strlen(" WHERE"));
	buf_free(&names);
	buf_append_str(sql, " AND referenced_column_name IS NOT NULL ORDER BY k.constraint_name,ordinal_position;");
}

/* ---- answers ---- */

static struct description_row *copy_row(unsigned count, const char *const *columns)
{
	size_t size = sizeof(struct description_row) + count * sizeof(char *), at = size;
	for (unsigned i = 0; i < count; i++)
		size += columns[i] ? strlen(columns[i]) + 1 : 0;
	struct description_row *row = mem_alloc(size);
	for (unsigned i = 0; i < count; i++) {
		size_t text_size = columns[i] ? strlen(columns[i]) + 1 : 0;
		row->columns[i] = columns[i] ? memcpy((char *)row + at, columns[i], text_size) : NULL;
		at += text_size;
	}
	return row;
}

static struct rows *rows_for(struct answers *answers, const char *const *columns)
{
	switch (columns[0][0]) {
	case 't':
		return &answers->table;
	case 'c':
		return &answers->columns;
	case 'p':
		return &answers->children;
	case 'k':
		return &answers->relatives[strtoul(columns[OF], NULL, 10)].keys;
	default:
		return &answers->relatives[strtoul(columns[OF], NULL, 10)].references;
	}
}

static void take_row(void *context, unsigned count, const char *const *columns)
{
	struct answers *answers = context;
	if (columns[0][0] == 'v') {
		answers->relatives[strtoul(columns[OF], NULL, 10)].is_versioned = true;
		return;
	}
	struct rows *rows = rows_for(answers, columns);
	struct description_row *row = copy_row(count, columns);
	*(rows->last ? &rows->last->next : &rows->first) = row;
	rows->last = row;
	rows->count++;
}

static void free_rows(struct description_row *row)
{
	while (row != NULL) {
		struct description_row *next = row->next;
		free(row);
		row = next;
	}
}

static void free_answers(struct answers *answers)
{
	free_rows(answers->table.first);
	free_rows(answers->columns.first);
	free_rows(answers->children.first);
	for (uint32_t i = 0; i < answers->relative_count; i++) {
		free_rows(answers->relatives[i].keys.first);
		free_rows(answers->relatives[i].references.first);
	}
	free(answers->relatives);
}

/* ---- the tables that it refers to, and those that these do ---- */

/* Found or added. The server tells each table by one name. */
static uint32_t relative_of(struct answers *answers, char *database, char *table)
{
	for (uint32_t i = 0; i < answers->relative_count; i++)
		if (strcmp(answers->relatives[i].database, database) == 0 && strcmp(answers->relatives[i].table, table) == 0)
			return i;
	answers->relatives = mem_resize(answers->relatives, (answers->relative_count + 1) * sizeof *answers->relatives);
	answers->relatives[answers->relative_count] = (struct relative){.database = database, .table = table};
	return answers->relative_count++;
}

static void find_parents(struct answers *answers, uint32_t child)
{
	for (struct description_row *row = answers->relatives[child].references.first; row != NULL; row = row->next)
		(void)relative_of(answers, row->columns[R_DATABASE], row->columns[R_TABLE]);
}

/* Asks for one generation after the other, until all are known. */
static enum err_code ask_ancestors(struct connection *connection, struct answers *answers, struct err *err)
{
	enum err_code code = ERR_OK;
	struct buf sql = {0};
	for (uint32_t i = 0; code == ERR_OK;) {
		while (i < answers->asked_count)
			find_parents(answers, i++);
		if (answers->asked_count == answers->relative_count)
			break;
		buf_clear(&sql);
		for (; answers->asked_count < answers->relative_count; answers->asked_count++) {
			const struct relative *relative = &answers->relatives[answers->asked_count];
			ask_keys(&sql, answers->asked_count, relative->database, relative->table);
		}
		code = connection_query(connection, buf_str(&sql), take_row, answers, err);
	}
	buf_free(&sql);
	return code;
}

/* A reference that leads back to where we come from doesn't count: there is no order of such tables. */
static unsigned depth_of(struct answers *answers, uint32_t i)
{
	struct relative *relative = &answers->relatives[i];
	if (relative->is_known)
		return relative->depth;
	relative->is_on_path = true;
	for (struct description_row *row = relative->references.first; row != NULL; row = row->next) {
		uint32_t parent = relative_of(answers, row->columns[R_DATABASE], row->columns[R_TABLE]);
		if (answers->relatives[parent].is_on_path)
			continue;
		unsigned depth = depth_of(answers, parent) + 1;
		if (relative->depth < depth)
			relative->depth = depth;
	}
	relative->is_on_path = false;
	relative->is_known = true;
	return relative->depth;
}

/* ---- the description, made of the answers ---- */

static uint32_t number_or_zero(const char *text)
{
	return text ? (uint32_t)strtoull(text, NULL, 10) : 0;
}

static struct column_definition definition_of(char *const *columns)
{
	return (struct column_definition){
	    .name = columns[C_NAME],
	    .data_type = columns[C_DATA_TYPE],
	    .column_type = columns[C_COLUMN_TYPE],
	    .character_set = columns[C_CHARACTER_SET],
	    .collation = (uint16_t)number_or_zero(columns[C_COLLATION]),
	    .character_octet_length = number_or_zero(columns[C_OCTETS]),
	    .numeric_precision = number_or_zero(columns[C_PRECISION]),
	    .numeric_scale = number_or_zero(columns[C_SCALE]),
	    .datetime_precision = number_or_zero(columns[C_DATETIME_PRECISION]),
	    .is_nullable = columns[C_NULLABLE] != NULL && strcmp(columns[C_NULLABLE], "YES") == 0,
	    .column_default = columns[C_DEFAULT],
	    .extra = columns[C_EXTRA],
	};
}

static enum err_code describe_columns(struct description *d, struct answers *answers, struct err *err)
{
	char *const *table = answers->table.first->columns;
	bool has_hidden_times = strcmp(table[T_TYPE], "SYSTEM VERSIONED") == 0;
	d->definitions = mem_alloc((answers->columns.count + 2) * sizeof *d->definitions);
	for (struct description_row *row = answers->columns.first; row != NULL; row = row->next) {
		d->definitions[d->definition_count++] = definition_of(row->columns);
		if (row->columns[C_EXPRESSION] != NULL && strcmp(row->columns[C_EXPRESSION], "ROW START") == 0)
			has_hidden_times = false;
	}
	uint32_t count = d->definition_count;
	for (int i = 0; has_hidden_times && i < 2; i++)
		d->definitions[count++] = shape_versioning[i];
	/* The definitions point into these rows. */
	d->rows = answers->columns.first;
	answers->columns = (struct rows){0};
	return shape_from_definitions(table[T_DATABASE], table[T_TABLE], d->definitions, count, &d->map, err);
}

static enum err_code find_column(const struct description *d, const char *name, uint32_t *ret_number, struct err *err)
{
	for (uint32_t i = 0; i < d->map.column_count; i++)
		if (strcasecmp(d->map.columns[i].name, name) == 0) {
			*ret_number = i;
			return ERR_OK;
		}
	return err_set(err, ERR_BUSY, "table %s.%s was altered while it was looked at", d->map.database, d->map.table);
}

/* How many of these rows, from the first, are the primary key's. Without one the server takes the first key for it if that is unique
 * and not over NULLs, prefixes or hashes (MariaDB sql/table.cc, init_from_binary_frm_image), and logs it as such. */
static uint32_t primary_key_size(const struct rows *keys)
{
	uint32_t count = 0;
	for (const struct description_row *row = keys->first;
	     row != NULL && strcmp(row->columns[K_INDEX], keys->first->columns[K_INDEX]) == 0; row = row->next) {
		bool is_nullable = row->columns[K_NULLABLE] != NULL && strcmp(row->columns[K_NULLABLE], "YES") == 0;
		if (strcmp(row->columns[K_INDEX], "PRIMARY") != 0 &&
		    (is_nullable || row->columns[K_PREFIX] != NULL || strcmp(row->columns[K_TYPE], "HASH") == 0))
			return 0;
		count++;
	}
	return count;
}

/* Every unique index of a system-versioned table ends with the end of a row's time, but information_schema hides it where the
 * column is hidden. Returns how many columns it added. */
static uint32_t add_hidden_end(const struct description *d, uint32_t *columns)
{
	if (d->map.column_count == d->definition_count)
		return 0;
	*columns = d->map.column_count - 1;
	return 1;
}

/* *rows goes on to what is behind the primary key. */
static enum err_code describe_primary_key(struct description *d, const struct rows *keys,
                                          const struct description_row **rows, struct err *err)
{
	uint32_t count = primary_key_size(keys);
	d->map.primary_key = mem_alloc((count + 1) * sizeof *d->map.primary_key);
	for (uint32_t i = 0; i < count; i++, *rows = (*rows)->next) {
		uint32_t *number = &d->map.primary_key[i];
		if (find_column(d, (*rows)->columns[K_COLUMN], number, err) != ERR_OK)
			return err->code;
		d->map.columns[*number].primary_key_prefix = (uint16_t)number_or_zero((*rows)->columns[K_PREFIX]);
		d->has_prefix_key = d->has_prefix_key || (*rows)->columns[K_PREFIX] != NULL;
	}
	if (count > 0)
		count += add_hidden_end(d, &d->map.primary_key[count]);
	for (uint32_t i = 0; i < count; i++)
		d->map.columns[d->map.primary_key[i]].in_primary_key = true;
	d->map.primary_key_count = count;
	d->has_key = count > 0;
	d->merge.key = (struct merge_columns){.count = count, .columns = d->map.primary_key};
	return ERR_OK;
}

struct unique {
	const char *name;
	struct merge_columns columns;
};

static int compare_uniques(const void *a, const void *b)
{
	return strcmp(((const struct unique *)a)->name, ((const struct unique *)b)->name);
}

/* The columns of one index, appended to *columns; *rows goes on to the next index. */
static enum err_code describe_unique(struct description *d, const struct description_row **rows, uint32_t **columns,
                                     struct unique *ret_unique, struct err *err)
{
	*ret_unique = (struct unique){.name = (*rows)->columns[K_INDEX], .columns.columns = *columns};
	for (; *rows != NULL && strcmp((*rows)->columns[K_INDEX], ret_unique->name) == 0; *rows = (*rows)->next) {
		d->has_prefix_key = d->has_prefix_key || (*rows)->columns[K_PREFIX] != NULL;
		d->unique_prefixes[*columns - d->unique_columns] = (uint16_t)number_or_zero((*rows)->columns[K_PREFIX]);
		if (find_column(d, (*rows)->columns[K_COLUMN], (*columns)++, err) != ERR_OK)
			return err->code;
	}
	*columns += add_hidden_end(d, *columns);
	ret_unique->columns.count = (uint32_t)(*columns - ret_unique->columns.columns);
	return ERR_OK;
}

/* By name, so that two nodes that made them in different order agree. */
static enum err_code describe_uniques(struct description *d, uint32_t row_count, const struct description_row *rows,
                                      struct err *err)
{
	enum err_code code = ERR_OK;
	uint32_t count = 0;
	struct unique *uniques = mem_alloc((row_count + 1) * sizeof *uniques);
	uint32_t *columns = d->unique_columns = mem_alloc((2 * (size_t)row_count + 1) * sizeof *columns);
	d->unique_prefixes = mem_alloc((2 * (size_t)row_count + 1) * sizeof *d->unique_prefixes);
	while (code == ERR_OK && rows != NULL)
		code = describe_unique(d, &rows, &columns, &uniques[count++], err);
	qsort(uniques, count, sizeof *uniques, compare_uniques);
	struct merge_columns *sorted = mem_alloc((count + 1) * sizeof *sorted);
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = uniques[i].columns;
	d->merge.uniques = sorted;
	d->merge.unique_count = count;
	free(uniques);
	return code;
}

static enum merge_on_delete on_delete(const char *rule)
{
	return strcmp(rule, "CASCADE") == 0    ? MERGE_CASCADE
	       : strcmp(rule, "SET NULL") == 0 ? MERGE_SET_NULL
	                                       : MERGE_RESTRICT;
}

/* The column of this reference (whose rows begin here) that refers to this column of the parent. */
static const char *referring_column(const struct description_row *reference, const char *parent_column)
{
	const char *name = reference->columns[R_NAME];
	for (const struct description_row *row = reference; row != NULL && strcmp(row->columns[R_NAME], name) == 0;
	     row = row->next)
		if (strcasecmp(row->columns[R_PARENT_COLUMN], parent_column) == 0)
			return row->columns[R_COLUMN];
	return NULL;
}

static uint32_t count_columns(const struct description_row *reference)
{
	uint32_t count = 0;
	const char *name = reference->columns[R_NAME];
	for (; reference != NULL && strcmp(reference->columns[R_NAME], name) == 0; reference = reference->next)
		count++;
	return count;
}

/* Puts the numbers of its columns, in the order of the parent's primary key, to `columns`, which has room for all of them. *ret_count
 * is 0 if they aren't exactly that key's. */
static enum err_code order_by_parent(const struct description *d, const struct description_row *reference,
                                     const struct relative *parent, uint32_t *columns, uint32_t *ret_count,
                                     struct err *err)
{
	uint32_t count = primary_key_size(&parent->keys);
	*ret_count = 0;
	if (parent->is_versioned || count != count_columns(reference))
		return ERR_OK;
	const struct description_row *key = parent->keys.first;
	for (uint32_t i = 0; i < count; i++, key = key->next) {
		const char *name = referring_column(reference, key->columns[K_COLUMN]);
		if (name == NULL || key->columns[K_PREFIX] != NULL)
			return ERR_OK;
		if (find_column(d, name, &columns[i], err) != ERR_OK)
			return err->code;
	}
	*ret_count = count;
	return ERR_OK;
}

static enum err_code describe_references(struct description *d, struct answers *answers, struct err *err)
{
	const struct rows *rows = &answers->relatives[0].references;
	struct merge_reference *references = mem_alloc((rows->count + 1) * sizeof *references);
	d->merge.references = references;
	uint32_t *columns = d->reference_columns = mem_alloc((rows->count + 1) * sizeof *columns);
	for (const struct description_row *row = rows->first; row != NULL;) {
		uint32_t parent = relative_of(answers, row->columns[R_DATABASE], row->columns[R_TABLE]), count = 0;
		if (order_by_parent(d, row, &answers->relatives[parent], columns, &count, err) != ERR_OK)
			return err->code;
		struct table_map name = {.database = row->columns[R_DATABASE], .table = row->columns[R_TABLE]};
		if (count == 0)
			d->has_foreign_reference = true;
		else
			references[d->merge.reference_count++] =
			    (struct merge_reference){.columns = {.count = count, .columns = columns},
			                             .parent = rowkey_table(&name),
			                             .on_delete = on_delete(row->columns[R_ON_DELETE])};
		columns += count;
		for (uint32_t i = count_columns(row); i > 0; i--)
			row = row->next;
	}
	d->merge.depth = depth_of(answers, 0);
	return ERR_OK;
}

static enum err_code describe(struct description *d, struct answers *answers, struct err *err)
{
	char *const *table = answers->table.first->columns;
	const struct rows *keys = &answers->relatives[0].keys;
	bool is_table = table[T_ENGINE] != NULL && strcmp(table[T_TYPE], "SEQUENCE") != 0;
	snprintf(d->engine, sizeof d->engine, "%s", is_table ? table[T_ENGINE] : "");
	d->is_parent = answers->children.count > 0;
	const struct description_row *rows = keys->first;
	if (describe_columns(d, answers, err) != ERR_OK || describe_primary_key(d, keys, &rows, err) != ERR_OK ||
	    describe_uniques(d, keys->count, rows, err) != ERR_OK || describe_references(d, answers, err) != ERR_OK)
		return err->code;
	d->merge.id = rowkey_table(&d->map);
	d->merge.column_count = d->map.column_count;
	return ERR_OK;
}

enum err_code description_load(struct connection *connection, const char *database, const char *table,
                               struct description **ret, struct err *err)
{
	struct answers answers = {0};
	struct buf sql = {0};
	struct description *d = NULL;
	struct err ignored;
	err = err ? err : &ignored;
	ask_table(&sql, database, table);
	ask_children(&sql, database, table);
	answers.asked_count = 1;
	answers.relatives = mem_alloc(sizeof *answers.relatives);
	answers.relative_count = 1;
	ask_keys(&sql, 0, database, table);
	enum err_code code = connection_query(connection, buf_str(&sql), take_row, &answers, err);
	if (code != ERR_OK || answers.table.count == 0)
		goto cleanup;
	answers.relatives[0].database = answers.table.first->columns[T_DATABASE];
	answers.relatives[0].table = answers.table.first->columns[T_TABLE];
	code = ask_ancestors(connection, &answers, err);
	if (code != ERR_OK)
		goto cleanup;
	d = mem_alloc(sizeof *d);
	code = describe(d, &answers, err);
cleanup:
	if (code == ERR_OK)
		*ret = d;
	else
		description_free(d);
	free_answers(&answers);
	buf_free(&sql);
	return code;
}

void description_free(struct description *d)
{
	if (d == NULL)
		return;
	table_map_free(&d->map);
	free(d->definitions);
	free((void *)d->merge.uniques);
	free((void *)d->merge.references);
	free(d->unique_columns);
	free(d->unique_prefixes);
	free(d->rules);
	free(d->reference_columns);
	free_rows(d->rows);
	free(d);
}

enum err_code description_fits(const struct description *d, const struct table_map *theirs, struct shape *ret_shape,
                               struct err *err)
{
	struct shape shape;
	enum err_code code = shape_map(theirs, &d->map, &shape, err);
	if (code != ERR_OK)
		return code;
	for (uint32_t i = 0; i < shape.count; i++) {
		if (shape.pairs[i].kind != SHAPE_DIFFERS)
			continue;
		code =
		    err_set(err, ERR_UNSUPPORTED,
		            "column %s of table %s.%s %s than on the node that wrote it; make the two alike (ALTER TABLE here, "
		            "in a session with sql_log_bin=0)",
		            d->map.columns[i].name, d->map.database, d->map.table, shape.pairs[i].why);
		shape_free(&shape);
		return code;
	}
	*ret_shape = shape;
	return ERR_OK;
}

/* ---- what is one key ---- */

static bool is_plain(const struct key_rule *rule)
{
	return rule->form == KEY_BYTES && rule->prefix_characters == 0;
}

/* The rules of some columns, at `to`; none where all would compare bytes. prefixes: NULL, or by place. */
static enum err_code make_rules(const struct description *d, struct collations *collations,
                                struct connection *connection, struct merge_columns *columns, const uint16_t *prefixes,
                                struct key_rule *to, struct err *err)
{
	bool plain = true;
	for (uint32_t i = 0; i < columns->count; i++) {
		const struct column *column = &d->map.columns[columns->columns[i]];
		enum err_code code =
		    collations_rule(collations, connection, column, prefixes != NULL ? prefixes[i] : 0, &to[i], err);
		if (code != ERR_OK)
			return err_wrap(err, "column %s of %s.%s", column->name, d->map.database, d->map.table);
		plain = plain && is_plain(&to[i]);
	}
	columns->rules = plain ? NULL : to;
	return ERR_OK;
}

enum err_code description_make_rules(struct description *d, struct collations *collations,
                                     struct connection *connection, struct err *err)
{
	struct merge_table *t = &d->merge;
	/* They are the description's own, const for everybody else. */
	struct merge_columns *uniques = (struct merge_columns *)t->uniques;
	struct merge_reference *references = (struct merge_reference *)t->references;
	size_t count = t->key.count, at = 0;
	for (uint32_t i = 0; i < t->unique_count; i++)
		count += uniques[i].count;
	for (uint32_t i = 0; i < t->reference_count; i++)
		count += references[i].columns.count;
	struct key_rule *rules = d->rules = mem_alloc((count + 1) * sizeof *rules);
	uint16_t *key_prefixes = mem_alloc((t->key.count + 1) * sizeof *key_prefixes);
	for (uint32_t i = 0; i < t->key.count; i++)
		key_prefixes[i] = d->map.columns[t->key.columns[i]].primary_key_prefix;
	enum err_code code = make_rules(d, collations, connection, &t->key, key_prefixes, rules, err);
	free(key_prefixes);
	at += t->key.count;
	for (uint32_t i = 0; code == ERR_OK && i < t->unique_count; at += uniques[i++].count)
		code = make_rules(d, collations, connection, &uniques[i],
		                  d->unique_prefixes + (uniques[i].columns - d->unique_columns), rules + at, err);
	for (uint32_t i = 0; code == ERR_OK && i < t->reference_count; at += references[i++].columns.count)
		code = make_rules(d, collations, connection, &references[i].columns, NULL, rules + at, err);
	return code;
}
