#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "binlog/event.h"
#include "binlog/rows.h"
#include "binlog/value.h"
#include "verify/job.h"

enum {
	READER_BASE = 0x53590000, /* no node has such a server id: it would end that node's own dump */
	TOUCHED_MAX = 5000,       /* rows of a table; more, and it is taken as a whole */
	BYTES_MAX = 64 * 1024 * 1024,
	EVENT_BYTES_MAX = 256 * 1024 * 1024,
	WINDOW_MS_MAX = 10000,
	PASSED_DEPTH_MAX = 16,
};

/* Which table the rows events with this id are about. */
struct mapped {
	struct table_map map;
	struct job_table *table; /* NULL: none that is compared */
	char *name;              /* "database.table" */
};

struct between {
	struct job *job;
	const struct job_node *node;
	struct format format;
	struct vector seen;
	struct gtid gtid; /* of the transaction that is being read */
	bool is_old;      /* some node had it at the look before */
	uint64_t bytes;
	size_t map_count;
	struct mapped *maps;
	struct rows_iter rows;
	struct buf plain, key, text, scratch;
};

/* ---- What is touched ---- */

static void touch_whole(struct between *w, struct job_table *t)
{
	t->is_touched = t->is_whole = true;
	w->job->has_old = w->job->has_old || w->is_old;
}

/* InnoDB takes children away with their parent, and nothing of it is logged. */
static void touch_children(struct between *w, const char *parent, bool is_update, int depth)
{
	for (size_t i = 0; depth < PASSED_DEPTH_MAX && i < w->job->table_count; i++) {
		struct job_table *t = &w->job->tables[i];
		if (is_update && !t->is_passed_updates)
			continue;
		for (size_t j = 0; j < t->parent_count; j++)
			if (strcmp(t->parents[j], parent) == 0 && (!t->is_passed || w->is_old)) {
				t->is_passed = true;
				w->job->has_old = w->job->has_old || w->is_old;
				char *name = mem_printf("%s.%s", t->object->database, t->object->name);
				touch_children(w, name, is_update, depth + 1);
				free(name);
			}
	}
}

static const struct column *find_column(const struct table_map *map, const char *name, uint32_t *ret)
{
	for (uint32_t c = 0; c < map->column_count; c++)
		if (map->columns[c].name != NULL && strcmp(map->columns[c].name, name) == 0) {
			*ret = c;
			return &map->columns[c];
		}
	return NULL;
}

/* A value of the key as a SELECT would show it. False: that isn't known, or it isn't in the row image. */
static bool append_value(struct between *w, const struct layout_column *column, const struct column *theirs,
                         const struct field *field)
{
	enum { COLLATION_BINARY = 63 };
	const uint8_t *bytes = NULL;
	size_t size = 0;
	if (!field->present || field->is_null)
		return false;
	if (field_content(theirs, field, &w->scratch, &bytes, &size, NULL) != ERR_OK)
		return false;
	buf_clear(&w->text);
	if (column->value == VALUE_BYTES) {
		buf_append(&w->text, bytes, size);
		while (theirs->type == COLUMN_STRING && theirs->collation == COLLATION_BINARY &&
		       w->text.size < theirs->metadata)
			buf_append_u8(&w->text, 0); /* a BINARY comes without the zeros at its end */
	} else if (column->value == VALUE_NUMBER || column->value == VALUE_TIME) {
		struct content content = {.bytes = bytes, .size = (uint32_t)size};
		if (content_format(theirs, &content, false, &w->text, NULL) != ERR_OK)
			return false;
	} else {
		return false;
	}
	keyset_pack(&w->key, w->text.data, w->text.size, column->value == VALUE_NUMBER);
	return true;
}

static void touch_row(struct between *w, struct job_table *t, const struct table_map *map, const struct field *fields)
{
	const struct layout *layout = &t->layout;
	bool is_known = layout->key_name != NULL && t->touched.count < TOUCHED_MAX;
	buf_clear(&w->key);
	for (size_t i = 0; is_known && i < layout->key_count; i++) {
		uint32_t c = 0;
		const struct layout_column *column = &layout->columns[layout->key[i]];
		const struct column *theirs = find_column(map, column->name, &c);
		is_known = theirs != NULL && append_value(w, column, theirs, &fields[c]);
	}
	t->is_touched = true;
	w->job->has_old = w->job->has_old || w->is_old;
	if (is_known)
		keyset_add(&t->touched, w->key.data, w->key.size);
	else
		touch_whole(w, t);
}

/* ---- Events ---- */

static void forget_maps(struct between *w)
{
	for (size_t i = 0; i < w->map_count; i++) {
		table_map_free(&w->maps[i].map);
		free(w->maps[i].name);
	}
	w->map_count = 0;
}

static enum err_code take_map(struct between *w, const struct event *event, struct err *err)
{
	struct mapped mapped = {0};
	enum err_code code = table_map_parse(event, &mapped.map, err);
	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < w->job->table_count; i++) {
		struct job_table *t = &w->job->tables[i];
		if (strcmp(t->object->database, mapped.map.database) == 0 && strcmp(t->object->name, mapped.map.table) == 0)
			mapped.table = t;
	}
	mapped.name = mem_printf("%s.%s", mapped.map.database, mapped.map.table);
	w->maps = mem_resize(w->maps, (w->map_count + 1) * sizeof *w->maps);
	w->maps[w->map_count++] = mapped;
	return ERR_OK;
}

static enum err_code take_rows(struct between *w, const struct event *event, struct err *err)
{
	struct rows_event rows;
	struct event plain;
	const struct mapped *mapped = NULL;
	enum err_code code = event_uncompress(event, EVENT_BYTES_MAX, &w->plain, &plain, err);
	if (code == ERR_OK)
		code = rows_parse(&plain, NULL, &rows, err);
	for (size_t i = 0; code == ERR_OK && i < w->map_count; i++)
		if (w->maps[i].map.table_id == rows.table_id)
			mapped = &w->maps[i]; /* the last one counts */
	if (code == ERR_OK && mapped != NULL)
		code = rows_parse(&plain, &mapped->map, &rows, err);
	if (code != ERR_OK || mapped == NULL)
		return code;
	if (rows.kind != ROWS_WRITE)
		touch_children(w, mapped->name, rows.kind == ROWS_UPDATE, 0);
	if (mapped->table == NULL)
		return ERR_OK;
	rows_iter_start(&w->rows, &rows, &mapped->map);
	for (bool more = true; code == ERR_OK && more && !mapped->table->is_whole;) {
		struct row_change change;
		code = rows_next(&w->rows, &change, &more, err);
		if (code == ERR_OK && more && change.has_before)
			touch_row(w, mapped->table, &mapped->map, change.before);
		if (code == ERR_OK && more && change.has_after)
			touch_row(w, mapped->table, &mapped->map, change.after);
	}
	return code;
}

static enum err_code take_gtid(struct between *w, const struct event *event, struct err *err)
{
	struct gtid_event gtid;
	enum err_code code = gtid_event_parse(event, &gtid, err);
	if (code != ERR_OK)
		return code;
	forget_maps(w);
	w->gtid = gtid.gtid;
	w->is_old = w->job->before != NULL && vector_has(w->job->before, &gtid.gtid);
	if (gtid.flags & GTID_FLAG_DDL) {
		w->job->is_altered = true;
		w->job->has_old = w->job->has_old || w->is_old;
	}
	return ERR_OK;
}

static enum err_code take_event(struct between *w, const struct event *event, struct err *err)
{
	if (event->type == EVENT_FORMAT_DESCRIPTION)
		return format_parse(event, &w->format, err);
	if (event->type == EVENT_GTID)
		return take_gtid(w, event, err);
	if (event->type == EVENT_TABLE_MAP)
		return take_map(w, event, err);
	return event_is_rows(event->type) ? take_rows(w, event, err) : ERR_OK;
}

/* All of the node's log that its snapshot may see has come: the last transactions of it, up to their ends. */
static bool is_through(const struct between *w, const struct vector *from, const struct event *event)
{
	if (event->type == EVENT_HEARTBEAT)
		return true;
	if (event->type != EVENT_XID && event->type != EVENT_QUERY && event->type != EVENT_QUERY_COMPRESSED)
		return false;
	for (uint32_t i = 0; i < w->node->until.count; i++) {
		const struct gtid *g = &w->node->until.gtids[i];
		if (vector_seq(from, g->domain) < g->seq && vector_seq(&w->seen, g->domain) < g->seq)
			return false;
	}
	return true;
}

static enum err_code read_on(struct between *w, struct stream *stream, const struct vector *from, bool *ret_far,
                             struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + WINDOW_MS_MAX;
	for (bool is_done = false; !is_done;) {
		const uint8_t *bytes;
		size_t size;
		struct event event;
		enum err_code code = stream_next(stream, &bytes, &size, err);
		if (code == ERR_OK)
			code = event_parse(&w->format, bytes, size, &event, err);
		if (code == ERR_OK)
			code = take_event(w, &event, err);
		if (code == ERR_OK && (event.type == EVENT_XID || event.type == EVENT_QUERY))
			code = vector_advance(&w->seen, &w->gtid, err);
		if (code != ERR_OK)
			return code;
		w->bytes += size;
		is_done = is_through(w, from, &event);
		if (!is_done && (w->bytes > BYTES_MAX || clock_monotonic_ms() > deadline)) {
			*ret_far = true;
			return ERR_OK;
		}
	}
	return ERR_OK;
}

enum err_code between_read(struct job *job, const struct job_node *node, const struct vector *from, bool *ret_far,
                           struct err *err)
{
	struct between w = {.job = job, .node = node};
	struct stream *stream = stream_new();
	struct vector head;
	format_init(&w.format);
	rows_iter_init(&w.rows);
	enum err_code code =
	    stream_open(stream, &node->who->target, node->who->id, READER_BASE + job->wish->nodes[0].id, from, &head, err);
	if (code == ERR_OK)
		code = read_on(&w, stream, from, ret_far, err);
	stream_free(stream);
	forget_maps(&w);
	free(w.maps);
	rows_iter_free(&w.rows);
	buf_free(&w.plain);
	buf_free(&w.key);
	buf_free(&w.text);
	buf_free(&w.scratch);
	return code;
}

/* ---- Parents ---- */

/* Takes `name`, with its backquotes doubled, out of the text; false if there is none. */
static bool take_name(const char **at, struct buf *name)
{
	buf_clear(name);
	if (**at != '`')
		return false;
	for ((*at)++; **at != '\0'; (*at)++) {
		if (**at == '`' && (*at)[1] != '`')
			break;
		*at += **at == '`';
		buf_append_u8(name, (uint8_t) * *at);
	}
	if (**at == '`')
		(*at)++;
	return true;
}

static bool passes_on(const char *line, const char *when)
{
	const char *at = strstr(line, when);
	if (at == NULL)
		return false;
	at += strlen(when);
	return strncmp(at, " CASCADE", 8) == 0 || strncmp(at, " SET ", 5) == 0;
}

/* Lines as SHOW CREATE TABLE writes them:
 *   CONSTRAINT `c` FOREIGN KEY (`p`) REFERENCES `parent` (`id`) ON DELETE CASCADE ON UPDATE CASCADE */
void between_find_parents(struct job_table *t)
{
	static const char word[] = " REFERENCES ";
	for (const char *line = t->object->definition; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *end = strchr(line, '\n');
		char *text = mem_printf("%.*s", (int)(end != NULL ? end - line : (ptrdiff_t)strlen(line)), line);
		const char *at = strncmp(text, "  CONSTRAINT ", 13) == 0 ? strstr(text, word) : NULL;
		bool is_updates = at != NULL && passes_on(at, "ON UPDATE");
		struct buf first = {0}, second = {0};
		if (at != NULL && (is_updates || passes_on(at, "ON DELETE"))) {
			at += strlen(word);
			if (take_name(&at, &first)) {
				bool is_two = *at == '.' && (at++, take_name(&at, &second));
				t->parents = mem_resize(t->parents, (t->parent_count + 1) * sizeof *t->parents);
				t->parents[t->parent_count++] = mem_printf("%s.%s", is_two ? buf_str(&first) : t->object->database,
				                                           is_two ? buf_str(&second) : buf_str(&first));
				t->is_passed_updates = t->is_passed_updates || is_updates;
			}
		}
		buf_free(&first);
		buf_free(&second);
		free(text);
	}
}
