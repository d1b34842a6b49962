#include "copy/objects.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/statement.h"

/* Where in the answer to SHOW CREATE … what stands; 0: it isn't told. */
static const struct kind {
	const char *name;
	unsigned definition, sql_mode, time_zone, client;
} kinds[KIND_COUNT] = {
    [KIND_DATABASE] = {.name = "DATABASE"},
    [KIND_SEQUENCE] = {.name = "SEQUENCE", .definition = 1},
    [KIND_TABLE] = {.name = "TABLE", .definition = 1},
    [KIND_PROCEDURE] = {.name = "PROCEDURE", .definition = 2, .sql_mode = 1, .client = 3},
    [KIND_FUNCTION] = {.name = "FUNCTION", .definition = 2, .sql_mode = 1, .client = 3},
    [KIND_PACKAGE] = {.name = "PACKAGE", .definition = 2, .sql_mode = 1, .client = 3},
    [KIND_PACKAGE_BODY] = {.name = "PACKAGE BODY", .definition = 2, .sql_mode = 1, .client = 3},
    [KIND_VIEW] = {.name = "VIEW", .definition = 1, .client = 2},
    [KIND_TRIGGER] = {.name = "TRIGGER", .definition = 2, .sql_mode = 1, .client = 3},
    [KIND_EVENT] = {.name = "EVENT", .definition = 3, .sql_mode = 1, .time_zone = 2, .client = 4},
};

const char *object_kind_name(enum object_kind kind)
{
	return kinds[kind].name;
}

void object_append_name(struct buf *sql, const struct object *object)
{
	sql_append_name(sql, object->database);
	if (object->kind == KIND_DATABASE)
		return;
	buf_append_str(sql, ".");
	sql_append_name(sql, object->name);
}

/* ---- Names ---- */

struct reading {
	struct objects objects;
	const char *database;
	size_t next; /* whose SHOW CREATE is answered next */
	bool is_hidden;
};

/* Columns: kind, name, engine, type of table, rows, bytes, definition. */
static void append_list(struct buf *sql, const char *database, bool only_tables)
{
	struct buf name = {0};
	sql_append_string(&name, database, strlen(database));
	const char *is = buf_str(&name);
	if (only_tables) {
		buf_printf(sql,
		           "SELECT 'TABLE',table_name,IFNULL(engine,''),table_type,IFNULL(table_rows,0),IFNULL(data_length,0),"
		           "NULL FROM information_schema.tables WHERE table_schema=%s AND table_type IN ('BASE TABLE',"
		           "'SYSTEM VERSIONED') ORDER BY table_name;",
		           is);
		buf_free(&name);
		return;
	}
	buf_printf(sql,
	           "SELECT 'DATABASE','','','',0,0,CONCAT(' COLLATE ',default_collation_name,' COMMENT ',"
	           "QUOTE(schema_comment)) FROM information_schema.schemata WHERE schema_name=%s;"
	           "SELECT CASE table_type WHEN 'VIEW' THEN table_type WHEN 'SEQUENCE' THEN table_type ELSE 'TABLE' END,"
	           "table_name,IFNULL(engine,''),table_type,IFNULL(table_rows,0),IFNULL(data_length,0),NULL"
	           " FROM information_schema.tables WHERE table_schema=%s"
	           " AND table_type IN ('SEQUENCE','BASE TABLE','SYSTEM VERSIONED','VIEW')"
	           " ORDER BY FIELD(table_type,'SEQUENCE','BASE TABLE','SYSTEM VERSIONED','VIEW'),table_name;",
	           is, is);
	buf_printf(sql,
	           "SELECT type,name,'','',0,0,NULL FROM mysql.proc WHERE db=%s ORDER BY type+0,name;"
	           "SELECT 'TRIGGER',trigger_name,'','',0,0,NULL FROM information_schema.triggers WHERE trigger_schema=%s"
	           " ORDER BY event_object_table,action_timing,event_manipulation,action_order;"
	           "SELECT 'EVENT',event_name,'','',0,0,NULL FROM information_schema.events WHERE event_schema=%s"
	           " ORDER BY 2;",
	           is, is, is);
	buf_free(&name);
}

static char *copy_text(const char *text)
{
	return text != NULL ? mem_strdup(text) : NULL;
}

static void take_name(void *context, unsigned count, const char *const *columns)
{
	struct reading *reading = context;
	struct objects *objects = &reading->objects;
	enum object_kind kind = KIND_DATABASE;
	if (count < 7)
		return;
	while (kind < KIND_COUNT && strcmp(kinds[kind].name, columns[0]) != 0)
		kind++;
	if (kind == KIND_COUNT)
		return;
	objects->items = mem_resize(objects->items, (objects->count + 1) * sizeof *objects->items);
	objects->items[objects->count++] = (struct object){
	    .kind = kind,
	    .database = mem_strdup(reading->database),
	    .name = mem_strdup(columns[1]),
	    .definition = copy_text(columns[6]),
	    .engine = mem_strdup(columns[2]),
	    .is_versioned = strcmp(columns[3], "SYSTEM VERSIONED") == 0,
	    .rows = strtoull(columns[4], NULL, 10),
	    .bytes = strtoull(columns[5], NULL, 10),
	};
}

/* ---- Definitions ---- */

/* Takes the next value out of ") ENGINE=InnoDB AUTO_INCREMENT=17 …", where the options of the table begin. */
static void take_counter(struct object *table)
{
	static const char options[] = "\n) ENGINE=", counter[] = " AUTO_INCREMENT=";
	char *at = strstr(table->definition, options);
	if (at == NULL)
		return;
	at += strlen(options);
	at += strcspn(at, " \n");
	if (strncmp(at, counter, strlen(counter)) != 0)
		return;
	char *end;
	table->auto_increment = strtoull(at + strlen(counter), &end, 10);
	memmove(at, end, strlen(end) + 1);
}

/* An event runs on the node that made it, everywhere else it is disabled: its status is no difference. */
static void disable(struct object *event)
{
	struct statement_context context = {.database = event->database, .database_size = strlen(event->database)};
	struct statement statement = {0};
	if (event->sql_mode != NULL && strstr(event->sql_mode, "ANSI_QUOTES") != NULL)
		context.sql_mode |= 4; /* MODE_ANSI_QUOTES, MariaDB sql/sql_class.h */
	if (statement_parse(event->definition, strlen(event->definition), &context, &statement, NULL) != ERR_OK)
		return;
	const struct event_status *status = &statement.event_status;
	if (statement.kind == STATEMENT_DDL && status->at > 0) {
		char *text = mem_printf("%.*s%sDISABLE ON SLAVE%s", (int)status->at, event->definition,
		                        status->size > 0 ? "" : " ", event->definition + status->at + status->size);
		free(event->definition);
		event->definition = text;
	}
	statement_free(&statement);
}

static void take_definition(void *context, unsigned count, const char *const *columns)
{
	struct reading *reading = context;
	while (reading->next < reading->objects.count && reading->objects.items[reading->next].kind == KIND_DATABASE)
		reading->next++;
	if (reading->next == reading->objects.count)
		return;
	struct object *object = &reading->objects.items[reading->next++];
	const struct kind *kind = &kinds[object->kind];
	if (kind->definition >= count || columns[kind->definition] == NULL) {
		reading->is_hidden = true;
		return;
	}
	object->definition = mem_strdup(columns[kind->definition]);
	object->sql_mode = kind->sql_mode > 0 ? copy_text(columns[kind->sql_mode]) : NULL;
	object->time_zone = kind->time_zone > 0 ? copy_text(columns[kind->time_zone]) : NULL;
	if (kind->client > 0) {
		object->client = copy_text(columns[kind->client]);
		object->collation = copy_text(columns[kind->client + 1]);
		object->database_collation = kind->client + 2 < count ? copy_text(columns[kind->client + 2]) : NULL;
	}
	if (object->kind == KIND_TABLE)
		take_counter(object);
	if (object->kind == KIND_EVENT)
		disable(object);
}

static enum err_code read_definitions(struct connection *connection, struct reading *reading, struct err *err)
{
	struct buf sql = {0};
	for (size_t i = 0; i < reading->objects.count; i++) {
		const struct object *object = &reading->objects.items[i];
		if (object->kind == KIND_DATABASE)
			continue;
		buf_printf(&sql, "SHOW CREATE %s ", kinds[object->kind].name);
		object_append_name(&sql, object);
		buf_append_str(&sql, ";");
	}
	enum err_code code = ERR_OK;
	if (sql.size > 0) {
		sql.size--; /* no ; at the end: an empty statement would follow */
		code = connection_query(connection, buf_str(&sql), take_definition, reading, err);
	}
	if (code == ERR_OK && reading->is_hidden)
		code = err_set(
		    err, ERR_CONFIG, "the server doesn't show how %s %s.%s is made; give the account SELECT ON mysql.proc",
		    kinds[reading->objects.items[reading->next - 1].kind].name,
		    reading->objects.items[reading->next - 1].database, reading->objects.items[reading->next - 1].name);
	buf_free(&sql);
	return code;
}

static enum err_code read_all(struct connection *connection, size_t database_count, const char *const *databases,
                              bool only_tables, struct objects *ret, struct err *err)
{
	struct reading reading = {0};
	enum err_code code = ERR_OK;
	for (size_t i = 0; code == ERR_OK && i < database_count; i++) {
		struct buf sql = {0};
		reading.database = databases[i];
		append_list(&sql, databases[i], only_tables);
		sql.size--;
		code = connection_query(connection, buf_str(&sql), take_name, &reading, err);
		buf_free(&sql);
	}
	if (code == ERR_OK)
		code = read_definitions(connection, &reading, err);
	if (code == ERR_OK)
		*ret = reading.objects;
	else
		objects_free(&reading.objects);
	return code;
}

enum err_code objects_read(struct connection *connection, size_t database_count, const char *const *databases,
                           struct objects *ret, struct err *err)
{
	return read_all(connection, database_count, databases, false, ret, err);
}

enum err_code objects_read_tables(struct connection *connection, size_t database_count, const char *const *databases,
                                  struct objects *ret, struct err *err)
{
	return read_all(connection, database_count, databases, true, ret, err);
}

void objects_free(struct objects *objects)
{
	for (size_t i = 0; i < objects->count; i++) {
		struct object *o = &objects->items[i];
		char *texts[] = {o->database, o->name,      o->definition,         o->sql_mode, o->time_zone,
		                 o->client,   o->collation, o->database_collation, o->engine};
		for (size_t j = 0; j < sizeof texts / sizeof *texts; j++)
			free(texts[j]);
	}
	free(objects->items);
	*objects = (struct objects){0};
}

/* ---- Comparing ---- */

const struct object *objects_find(const struct objects *objects, const struct object *like)
{
	for (size_t i = 0; i < objects->count; i++) {
		const struct object *o = &objects->items[i];
		if (o->kind == like->kind && strcmp(o->name, like->name) == 0 && strcmp(o->database, like->database) == 0)
			return o;
	}
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool object_equal(const struct object *a, const struct object *b)
{
	return same_text(a->definition, b->definition) && same_text(a->sql_mode, b->sql_mode) &&
	       same_text(a->time_zone, b->time_zone) && same_text(a->client, b->client) &&
	       same_text(a->collation, b->collation) && same_text(a->database_collation, b->database_collation) &&
	       same_text(a->engine, b->engine);
}

const struct object *objects_difference(const struct objects *a, const struct objects *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++) {
		const struct object *x = &a->items[i], *y = &b->items[i];
		if (x->kind != y->kind || strcmp(x->database, y->database) != 0 || strcmp(x->name, y->name) != 0 ||
		    !object_equal(x, y))
			return x;
	}
	return a->count > b->count ? &a->items[b->count] : b->count > a->count ? &b->items[a->count] : NULL;
}
