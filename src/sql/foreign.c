#include "sql/foreign.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Bits of innodb_sys_foreign's TYPE (MariaDB storage/innobase/include/dict0mem.h, DICT_FOREIGN_ON_DELETE_…). */
enum { ON_DELETE_CASCADE = 1, ON_DELETE_SET_NULL = 2 };

enum { ID, CHILD_DATABASE, CHILD, PARENT_DATABASE, PARENT, TYPE, CHILD_COLUMN, PARENT_COLUMN };

static void append_file_name(struct buf *sql, const char *name)
{
	struct buf text = {0};
	sql_append_string(&text, name, strlen(name));
	buf_printf(sql,
	           "CAST(CONVERT(IF(@@lower_case_table_names=0,CONVERT(%s USING utf8mb4),LOWER(CONVERT(%s USING utf8mb4)))"
	           " USING filename) AS BINARY)",
	           buf_str(&text), (const char *)text.data);
	buf_free(&text);
}

void foreign_append_name(struct buf *sql, const char *database, const char *table)
{
	buf_append_str(sql, "CONCAT(");
	append_file_name(sql, database);
	buf_append_str(sql, ",'/',");
	append_file_name(sql, table);
	buf_append_str(sql, ")");
}

/* The name before (1) or behind (-1) the slash, as people know it. */
static void append_plain_name(struct buf *sql, const char *column, int part)
{
	buf_printf(sql, ",CONVERT(CONVERT(CAST(SUBSTRING_INDEX(%s,'/',%d) AS BINARY) USING filename) USING utf8mb4)",
	           column, part);
}

static void take_row(void *context, unsigned count, const char *const *v)
{
	struct foreign_keys *keys = context;
	struct foreign_key *key = keys->count > 0 ? &keys->keys[keys->count - 1] : NULL;
	for (unsigned i = 0; i < count; i++)
		if (v[i] == NULL)
			return;
	if (key == NULL || strcmp(key->id, v[ID]) != 0) {
		unsigned long type = strtoul(v[TYPE], NULL, 10);
		keys->keys = mem_resize(keys->keys, (keys->count + 1) * sizeof *keys->keys);
		key = &keys->keys[keys->count++];
		*key = (struct foreign_key){.id = mem_strdup(v[ID]),
		                            .child_database = mem_strdup(v[CHILD_DATABASE]),
		                            .child = mem_strdup(v[CHILD]),
		                            .parent_database = mem_strdup(v[PARENT_DATABASE]),
		                            .parent = mem_strdup(v[PARENT]),
		                            .on_delete = type & ON_DELETE_CASCADE    ? MERGE_CASCADE
		                                         : type & ON_DELETE_SET_NULL ? MERGE_SET_NULL
		                                                                     : MERGE_RESTRICT};
	}
	key->child_columns = mem_resize(key->child_columns, (key->count + 1) * sizeof *key->child_columns);
	key->parent_columns = mem_resize(key->parent_columns, (key->count + 1) * sizeof *key->parent_columns);
	key->child_columns[key->count] = mem_strdup(v[CHILD_COLUMN]);
	key->parent_columns[key->count++] = mem_strdup(v[PARENT_COLUMN]);
}

enum err_code foreign_keys_load(struct connection *connection, const char *database, const char *table,
                                enum foreign_side side, struct foreign_keys *ret, struct err *err)
{
	struct foreign_keys keys = {0};
	struct buf sql = {0};
	buf_append_str(&sql, "SELECT f.id");
	append_plain_name(&sql, "for_name", 1);
	append_plain_name(&sql, "for_name", -1);
	append_plain_name(&sql, "ref_name", 1);
	append_plain_name(&sql, "ref_name", -1);
	buf_printf(&sql,
	           ",type,for_col_name,ref_col_name FROM information_schema.innodb_sys_foreign f"
	           " JOIN information_schema.innodb_sys_foreign_cols c ON c.id=f.id WHERE %s=",
	           side == FOREIGN_OF_CHILD ? "for_name" : "ref_name");
	foreign_append_name(&sql, database, table);
	buf_append_str(&sql, " ORDER BY f.id,pos");
	enum err_code code = connection_query(connection, buf_str(&sql), take_row, &keys, err);
	buf_free(&sql);
	if (code == ERR_OK)
		*ret = keys;
	else
		foreign_keys_free(&keys);
	return code;
}

void foreign_keys_free(struct foreign_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++) {
		struct foreign_key *key = &keys->keys[i];
		for (uint32_t c = 0; c < key->count; c++) {
			free(key->child_columns[c]);
			free(key->parent_columns[c]);
		}
		free(key->child_columns);
		free(key->parent_columns);
		free(key->child_database);
		free(key->child);
		free(key->parent_database);
		free(key->parent);
		free(key->id);
	}
	free(keys->keys);
	*keys = (struct foreign_keys){0};
}
