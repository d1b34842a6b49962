/* Foreign keys. InnoDB's cascades are in no log: each node does its own, and what happens to a row that only some node
 * has is settled for one level (docs/conflicts.md, rule 4), not for grandchildren. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "doctor/check.h"
#include "sql/connection.h"

static bool is_cascade(const char *rule)
{
	return strcmp(rule, "CASCADE") == 0;
}

static bool acts(const char *rule)
{
	return is_cascade(rule) || strcmp(rule, "SET NULL") == 0;
}

static bool is_child_of(const struct foreign_facts *lower, const struct foreign_facts *upper)
{
	return strcmp(lower->parent, upper->table) == 0 && strcmp(lower->parent_database, upper->database) == 0;
}

/* ALTER TABLE `d`.`t` DROP FOREIGN KEY `f`, ADD FOREIGN KEY (`a`) REFERENCES `d`.`p` (`id`) ON …
 * RESTRICT …, with what is not to be changed left as it is. */
static void set_fix(struct finding *finding, const struct foreign_facts *f, const char *on_delete,
                    const char *on_update)
{
	struct buf sql = {0};
	buf_append_str(&sql, "ALTER TABLE ");
	sql_append_name(&sql, f->database);
	buf_append_str(&sql, ".");
	sql_append_name(&sql, f->table);
	buf_append_str(&sql, " DROP FOREIGN KEY ");
	sql_append_name(&sql, f->name);
	buf_append_str(&sql, ", ADD FOREIGN KEY ");
	buf_printf(&sql, "(%s) REFERENCES ", f->columns);
	sql_append_name(&sql, f->parent_database);
	buf_append_str(&sql, ".");
	sql_append_name(&sql, f->parent);
	buf_printf(&sql, " (%s) ON DELETE %s ON UPDATE %s", f->parent_columns, on_delete, on_update);
	finding_set_fix(finding, "%s; and let the application do in statements what the cascade did", buf_str(&sql));
	buf_free(&sql);
}

/* `upper` deletes rows of its table, which `lower` refers to. */
static void add_pair(uint32_t node, const struct foreign_facts *upper, const struct foreign_facts *lower,
                     struct findings *to)
{
	char *name = mem_printf("%s.%s.%s", lower->database, lower->table, lower->name);
	set_fix(findings_add(
	            to, FINDING_CASCADES, node, name,
	            "a delete in %s.%s cascades to %s.%s and from there to %s.%s (ON DELETE %s): rows that another node "
	            "wrote there meanwhile may differ between nodes afterwards",
	            upper->parent_database, upper->parent, upper->database, upper->table, lower->database, lower->table,
	            lower->on_delete),
	        lower, "RESTRICT", lower->on_update);
	free(name);
}

/* One warning for each lower foreign key, whatever leads to it. */
static bool find_upper(const struct server_facts *s, const struct foreign_facts *lower, size_t *ret)
{
	for (size_t i = 0; i < s->foreign_count; i++)
		if (is_cascade(s->foreigns[i].on_delete) && is_child_of(lower, &s->foreigns[i])) {
			*ret = i;
			return true;
		}
	return false;
}

static bool has_lower(const struct server_facts *s, const struct foreign_facts *upper)
{
	for (size_t i = 0; i < s->foreign_count; i++)
		if (acts(s->foreigns[i].on_delete) && is_child_of(&s->foreigns[i], upper))
			return true;
	return false;
}

static void check_delete(const struct server_facts *own, const struct foreign_facts *f, struct findings *to)
{
	size_t upper;
	if (!acts(f->on_delete))
		return;
	if (find_upper(own, f, &upper)) {
		add_pair(own->node, &own->foreigns[upper], f, to);
		return;
	}
	if (is_cascade(f->on_delete) && has_lower(own, f))
		return; /* the warning about the lower one names it */
	char *name = mem_printf("%s.%s.%s", f->database, f->table, f->name);
	findings_add(to, FINDING_CASCADE, own->node, name,
	             "foreign key %s has ON DELETE %s: each node does that by itself, so it is in no log", name,
	             f->on_delete);
	free(name);
}

static void check_update(const struct server_facts *own, const struct foreign_facts *f, struct findings *to)
{
	if (!acts(f->on_update))
		return;
	char *name = mem_printf("%s.%s.%s", f->database, f->table, f->name);
	set_fix(findings_add(
	            to, FINDING_UPDATE_CASCADE, own->node, name,
	            "foreign key %s has ON UPDATE %s: what it writes is in no log, so a concurrent write to the same row "
	            "is not seen to be in conflict with it",
	            name, f->on_update),
	        f, f->on_delete, "RESTRICT");
	free(name);
}

void check_cascades(const struct facts *facts, struct findings *to)
{
	for (size_t i = 0; i < facts->own.foreign_count; i++) {
		check_delete(&facts->own, &facts->own.foreigns[i], to);
		check_update(&facts->own, &facts->own.foreigns[i], to);
	}
}
