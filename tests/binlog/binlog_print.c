/* Prints a binlog file as src/binlog reads it, for comparison with what MariaDB makes of the same file.
 *
 *   binlog_print --rows FILE      as mariadb-binlog -vv prints row events, to the byte
 *   binlog_print --values FILE    one JSON object a row change: values as value_format prints them
 *   binlog_print --columns FILE   one JSON object a table map: what the optional metadata says
 *   binlog_print --events FILE    one line an event
 *   binlog_print --replay FILE    the rows events as BINLOG statements, cut apart and put together again on the way
 *
 * A test tool: it stops at the first error with status 1.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "binlog/event.h"
#include "binlog/query.h"
#include "binlog/rows.h"
#include "binlog/table_map.h"
#include "binlog/value.h"

enum { MAPS_MAX = 1000, EVENT_SIZE_LIMIT = 256 << 20 };

struct printer {
	const char *mode;
	struct format format;
	struct table_map maps[MAPS_MAX];
	struct buf map_events[MAPS_MAX];
	size_t map_count;
	struct rows_iter iter;
	struct buf plain, scratch, text;
	struct err err;
};

static bool is_mode(const struct printer *p, const char *mode)
{
	return strcmp(p->mode, mode) == 0;
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("binlog_print: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void check(const struct printer *p, enum err_code code)
{
	if (code != ERR_OK)
		die("%s", p->err.message);
}

/* ---- as mariadb-binlog prints (its sql/log_event_client.cc, log_event_print_value) ---- */

static void print_quoted(const uint8_t *bytes, size_t size)
{
	putchar('\'');
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] > 0x1f)
			putchar(bytes[i]);
		else
			printf("\\x%02x", bytes[i]);
	}
	putchar('\'');
}

static unsigned length_size(const struct column *column)
{
	switch (column->type) {
	case COLUMN_STRING:
	case COLUMN_VARCHAR:
	case COLUMN_VARCHAR_COMPRESSED:
		return column->metadata > 255 ? 2 : 1;
	default:
		return column->metadata;
	}
}

static void print_integer(struct printer *p, const struct column *column, const struct field *field)
{
	struct column as_signed = *column, as_unsigned = *column;
	as_signed.is_unsigned = false;
	as_unsigned.is_unsigned = true;
	uint64_t s, u;
	check(p, value_uint(&as_signed, field, &s, &p->err));
	check(p, value_uint(&as_unsigned, field, &u, &p->err));
	printf("%" PRId64, (int64_t)s);
	if ((int64_t)s < 0)
		printf(" (%" PRIu64 ")", u);
}

static void print_formatted(struct printer *p, const struct column *column, const struct field *field)
{
	/* mariadb-binlog shows the numbers of ENUM and SET members. */
	struct column without_labels = *column;
	without_labels.label_count = 0;
	buf_clear(&p->text);
	check(p, value_format(&without_labels, field, &p->text, &p->err));
	for (size_t i = 0; (column->type == COLUMN_DATE || column->type == COLUMN_NEWDATE) && i < p->text.size; i++)
		if (p->text.data[i] == '-')
			p->text.data[i] = ':';
	fwrite(p->text.data, 1, p->text.size, stdout);
}

static void print_value(struct printer *p, const struct column *column, const struct field *field)
{
	float f;
	double d;
	if (field->is_null) {
		printf("NULL");
		return;
	}
	switch (column->type) {
	case COLUMN_TINY:
	case COLUMN_SHORT:
	case COLUMN_INT24:
	case COLUMN_LONG:
	case COLUMN_LONGLONG:
		print_integer(p, column, field);
		return;
	case COLUMN_FLOAT:
		memcpy(&f, field->bytes, sizeof f);
		printf("%-20g", (double)f);
		return;
	case COLUMN_DOUBLE:
		memcpy(&d, field->bytes, sizeof d);
		printf("%-.20g", d);
		return;
	case COLUMN_YEAR: /* 0000 is shown as 1900 */
		printf("%04u", 1900u + field->bytes[0]);
		return;
	case COLUMN_STRING:
	case COLUMN_VARCHAR:
	case COLUMN_VARCHAR_COMPRESSED:
	case COLUMN_TINY_BLOB:
	case COLUMN_BLOB:
	case COLUMN_BLOB_COMPRESSED:
	case COLUMN_MEDIUM_BLOB:
	case COLUMN_LONG_BLOB:
	case COLUMN_GEOMETRY:
		print_quoted(field->bytes + length_size(column), field->size - length_size(column));
		return;
	default:
		print_formatted(p, column, field);
	}
}

static const char *blob_name(const struct column *column)
{
	static const char *const names[] = {"?", "TINYBLOB/TINYTEXT", "BLOB/TEXT", "MEDIUMBLOB/MEDIUMTEXT",
	                                    "LONGBLOB/LONGTEXT"};
	return names[column->metadata];
}

static void print_type(const struct column *column)
{
	static const char *const plain[256] = {
	    [COLUMN_TINY] = "TINYINT",  [COLUMN_SHORT] = "SHORTINT",    [COLUMN_INT24] = "MEDIUMINT",
	    [COLUMN_LONG] = "INT",      [COLUMN_LONGLONG] = "LONGINT",  [COLUMN_FLOAT] = "FLOAT",
	    [COLUMN_DOUBLE] = "DOUBLE", [COLUMN_DATE] = "DATE",         [COLUMN_NEWDATE] = "DATE",
	    [COLUMN_YEAR] = "YEAR",     [COLUMN_GEOMETRY] = "GEOMETRY", [COLUMN_TIMESTAMP] = "TIMESTAMP",
	    [COLUMN_TIME] = "TIME",     [COLUMN_DATETIME] = "DATETIME",
	};
	unsigned metadata = column->metadata;
	switch (column->type) {
	case COLUMN_NEWDECIMAL:
		printf("DECIMAL(%u,%u)", metadata >> 8, metadata & 0xff);
		return;
	case COLUMN_BIT:
		printf("BIT(%u)", metadata);
		return;
	case COLUMN_TIMESTAMP2:
		printf("TIMESTAMP(%u)", metadata);
		return;
	case COLUMN_DATETIME2:
		printf("DATETIME(%u)", metadata);
		return;
	case COLUMN_TIME2:
		printf("TIME(%u)", metadata);
		return;
	case COLUMN_ENUM:
		printf("ENUM(%u byte%s)", metadata, metadata == 1 ? "" : "s");
		return;
	case COLUMN_SET:
		printf("SET(%u bytes)", metadata);
		return;
	case COLUMN_STRING:
		printf("STRING(%u)", metadata);
		return;
	case COLUMN_VARCHAR:
	case COLUMN_VARCHAR_COMPRESSED:
		printf("VARSTRING(%u)%s", metadata, column->type == COLUMN_VARCHAR ? "" : " COMPRESSED");
		return;
	case COLUMN_BLOB:
	case COLUMN_BLOB_COMPRESSED:
		printf("%s%s", blob_name(column), column->type == COLUMN_BLOB ? "" : " COMPRESSED");
		return;
	default:
		printf("%s", plain[column->type] ? plain[column->type] : "?");
	}
}

/* The metadata as it stands in the event. */
static unsigned wire_metadata(const struct column *column)
{
	unsigned metadata = column->metadata;
	switch (column->type) {
	case COLUMN_BIT:
		return metadata / 8 << 8 | metadata % 8;
	case COLUMN_ENUM:
	case COLUMN_SET:
		return (unsigned)column->type << 8 | metadata;
	case COLUMN_STRING:
		return (COLUMN_STRING ^ (metadata >> 4 & 0x30)) << 8 | (metadata & 0xff);
	default:
		return metadata;
	}
}

static void print_image(struct printer *p, const struct table_map *map, const struct field *fields, const char *clause)
{
	printf("### %s\n", clause);
	for (uint32_t i = 0; i < map->column_count; i++) {
		if (!fields[i].present)
			continue;
		printf("###   @%" PRIu32 "=", i + 1);
		print_value(p, &map->columns[i], &fields[i]);
		printf(" /* ");
		print_type(&map->columns[i]);
		printf(" meta=%u nullable=%d is_null=%d */\n", wire_metadata(&map->columns[i]), map->columns[i].nullable,
		       fields[i].is_null);
	}
}

static bool nothing_present(const struct table_map *map, const struct field *fields)
{
	for (uint32_t i = 0; i < map->column_count; i++)
		if (fields[i].present)
			return false;
	return true;
}

static void print_row(struct printer *p, const struct table_map *map, enum rows_kind kind, const struct row_change *row)
{
	static const char *const commands[] = {"INSERT INTO", "UPDATE", "DELETE FROM"};
	printf("### %s `%s`.`%s`", commands[kind], map->database, map->table);
	if (kind == ROWS_WRITE && nothing_present(map, row->after)) {
		printf(" VALUES ()\n");
		return;
	}
	printf("\n");
	if (row->has_before)
		print_image(p, map, row->before, "WHERE");
	if (row->has_after && nothing_present(map, row->after))
		printf("### SET /* no columns */\n");
	else if (row->has_after)
		print_image(p, map, row->after, "SET");
}

/* ---- JSON ---- */

static void print_json_string(const char *text, size_t size)
{
	putchar('"');
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)text[i];
		if (byte == '"' || byte == '\\')
			printf("\\%c", byte);
		else if (byte < 0x20)
			printf("\\u%04x", byte);
		else
			putchar(byte);
	}
	putchar('"');
}

static void print_json_image(struct printer *p, const struct table_map *map, const char *name,
                             const struct field *fields)
{
	printf(", \"%s\": {", name);
	for (uint32_t i = 0; i < map->column_count; i++) {
		buf_clear(&p->text);
		check(p, value_format(&map->columns[i], &fields[i], &p->text, &p->err));
		printf("%s", i > 0 ? ", " : "");
		print_json_string(map->columns[i].name ? map->columns[i].name : "",
		                  strlen(map->columns[i].name ? map->columns[i].name : ""));
		printf(": ");
		print_json_string(buf_str(&p->text), p->text.size);
	}
	printf("}");
}

static void print_json_row(struct printer *p, const struct table_map *map, enum rows_kind kind,
                           const struct row_change *row)
{
	static const char *const kinds[] = {"write", "update", "delete"};
	printf("{\"table\": \"%s.%s\", \"kind\": \"%s\"", map->database, map->table, kinds[kind]);
	if (row->has_before)
		print_json_image(p, map, "before", row->before);
	if (row->has_after)
		print_json_image(p, map, "after", row->after);
	printf("}\n");
}

static void print_json_column(const struct column *column)
{
	printf("{\"name\": ");
	print_json_string(column->name ? column->name : "", column->name ? strlen(column->name) : 0);
	printf(", \"type\": %u, \"nullable\": %d, \"unsigned\": %d, \"collation\": %u, \"in_key\": %d, \"prefix\": %u, "
	       "\"labels\": [",
	       column->type, column->nullable, column->is_unsigned, column->collation, column->in_primary_key,
	       column->primary_key_prefix);
	for (uint32_t i = 0; i < column->label_count; i++) {
		printf("%s\"", i > 0 ? ", " : "");
		for (uint32_t j = 0; j < column->label_sizes[i]; j++)
			printf("%02x", (unsigned char)column->labels[i][j]);
		printf("\"");
	}
	printf("]}");
}

static void print_json_columns(const struct table_map *map)
{
	printf("{\"table\": \"%s.%s\", \"columns\": [", map->database, map->table);
	for (uint32_t i = 0; i < map->column_count; i++) {
		printf("%s", i > 0 ? ", " : "");
		print_json_column(&map->columns[i]);
	}
	printf("], \"key\": [");
	for (uint32_t i = 0; i < map->primary_key_count; i++)
		printf("%s%" PRIu32, i > 0 ? ", " : "", map->primary_key[i]);
	printf("]}\n");
}

/* ---- the walk ---- */

static void print_binlog_statement(const struct buf *events)
{
	struct buf base64 = {0};
	buf_append_base64(&base64, events->data, events->size);
	printf("BINLOG '%s';\n", buf_str(&base64));
	buf_free(&base64);
}

/* Takes the event apart into one event a row, as the applier does when a single row has to be left out. */
static void replay_rows(struct printer *p, const struct event *event, const struct rows_event *rows, size_t map_index)
{
	struct row_change row;
	for (bool more = true; check(p, rows_next(&p->iter, &row, &more, &p->err)), more;) {
		struct buf events = {0};
		buf_append(&events, p->map_events[map_index].data, p->map_events[map_index].size);
		rows_append_event(event, rows, rows->flags | ROWS_FLAG_STATEMENT_END, row.bytes, row.size, &events);
		print_binlog_statement(&events);
		buf_free(&events);
	}
}

static size_t find_map(const struct printer *p, uint64_t table_id)
{
	for (size_t i = p->map_count; i > 0; i--)
		if (p->maps[i - 1].table_id == table_id)
			return i - 1;
	die("no table map for table id %" PRIu64, table_id);
}

static void on_rows(struct printer *p, const struct event *event)
{
	struct rows_event rows;
	check(p, rows_parse(event, NULL, &rows, &p->err));
	size_t map_index = find_map(p, rows.table_id);
	const struct table_map *map = &p->maps[map_index];
	check(p, rows_parse(event, map, &rows, &p->err));
	rows_iter_start(&p->iter, &rows, map);
	if (is_mode(p, "--replay")) {
		replay_rows(p, event, &rows, map_index);
		return;
	}
	struct row_change row;
	for (bool more = true; check(p, rows_next(&p->iter, &row, &more, &p->err)), more;) {
		if (is_mode(p, "--rows"))
			print_row(p, map, rows.kind, &row);
		else if (is_mode(p, "--values"))
			print_json_row(p, map, rows.kind, &row);
	}
}

static void on_table_map(struct printer *p, const struct event *event)
{
	if (p->map_count == MAPS_MAX)
		die("more than %d table maps", MAPS_MAX);
	struct table_map *map = &p->maps[p->map_count];
	check(p, table_map_parse(event, map, &p->err));
	struct buf *copy = &p->map_events[p->map_count++];
	buf_append(copy, event->bytes, event->size);
	for (int i = 0; i < 4; i++)
		copy->data[9 + i] = (uint8_t)(event->size >> (8 * i));
	if (is_mode(p, "--columns"))
		print_json_columns(map);
}

static void print_gtid_event(struct printer *p, const struct event *event)
{
	struct gtid_event gtid;
	char text[GTID_TEXT_MAX];
	check(p, gtid_event_parse(event, &gtid, &p->err));
	printf(" %s flags=%02x cid=%" PRIu64 " extra=%02x start_alter=%" PRIu64 " xa=%u/%u", gtid_format(&gtid.gtid, text),
	       gtid.flags, gtid.commit_id, gtid.extra_flags, gtid.start_alter_seq, gtid.xa_gtrid_size, gtid.xa_bqual_size);
}

static void print_query_event(struct printer *p, const struct event *event)
{
	struct query_event q;
	check(p, query_parse(event, &q, &p->err));
	printf(" db=%.*s error=%u flags2=%08x sql_mode=%" PRIu64 " charset=%u,%u,%u tz=%.*s us=%u xid=%" PRIu64
	       " invoker=%.*s@%.*s lc=%u dbcs=%u inc=%u,%u thread=%" PRIu32 ": ",
	       (int)q.database_size, q.database, q.error_code, q.flags2, q.sql_mode, q.charset_client,
	       q.collation_connection, q.collation_server, (int)q.time_zone_size, q.time_zone ? q.time_zone : "",
	       q.microseconds, q.xid, (int)q.invoker_user_size, q.invoker_user ? q.invoker_user : "",
	       (int)q.invoker_host_size, q.invoker_host ? q.invoker_host : "", q.lc_time_names, q.charset_database,
	       q.auto_increment_increment, q.auto_increment_offset, q.thread_id);
	for (size_t i = 0; i < q.statement_size; i++)
		putchar(q.statement[i] == '\n' ? ' ' : q.statement[i]);
}

static void print_rotate_event(struct printer *p, const struct event *event)
{
	struct rotate_event rotate;
	check(p, rotate_parse(event, &rotate, &p->err));
	printf(" %.*s:%" PRIu64, (int)rotate.file_size, rotate.file, rotate.position);
}

static void print_gtid_list_event(struct printer *p, const struct event *event)
{
	struct vector vector;
	check(p, gtid_list_parse(event, &vector, &p->err));
	buf_clear(&p->text);
	vector_format(&vector, &p->text);
	printf(" [%s]", buf_str(&p->text));
}

static void print_xid_event(struct printer *p, const struct event *event)
{
	uint64_t xid;
	check(p, xid_parse(event, &xid, &p->err));
	printf(" %" PRIu64, xid);
}

static void print_event(struct printer *p, const struct event *event)
{
	static const struct {
		uint8_t type;
		void (*print)(struct printer *p, const struct event *event);
	} printers[] = {
	    {EVENT_GTID, print_gtid_event},           {EVENT_QUERY, print_query_event}, {EVENT_ROTATE, print_rotate_event},
	    {EVENT_GTID_LIST, print_gtid_list_event}, {EVENT_XID, print_xid_event},
	};
	printf("%s", event_type_name(event->type));
	for (size_t i = 0; i < sizeof printers / sizeof *printers; i++)
		if (printers[i].type == event->type)
			printers[i].print(p, event);
	printf("\n");
}

static void on_event(struct printer *p, const uint8_t *bytes, size_t size)
{
	struct event raw, event;
	check(p, event_parse(&p->format, bytes, size, &raw, &p->err));
	check(p, event_uncompress(&raw, EVENT_SIZE_LIMIT, &p->plain, &event, &p->err));
	if (is_mode(p, "--events"))
		print_event(p, &event);
	if (event.type == EVENT_FORMAT_DESCRIPTION) {
		check(p, format_parse(&event, &p->format, &p->err));
		struct buf plain = {0};
		format_append_plain(&event, &plain);
		if (is_mode(p, "--replay"))
			print_binlog_statement(&plain);
		buf_free(&plain);
	} else if (event.type == EVENT_TABLE_MAP) {
		on_table_map(p, &event);
	} else if (event_is_rows(event.type)) {
		on_rows(p, &event);
	}
}

static struct buf read_file(const char *path)
{
	struct buf file = {0};
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		die("can't open %s", path);
	for (size_t n = 1; n > 0; file.size += n)
		n = fread(buf_reserve(&file, 65536), 1, 65536, f);
	fclose(f);
	return file;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		die("usage: binlog_print --rows|--values|--columns|--events|--replay FILE");
	struct printer *p = mem_alloc(sizeof *p);
	p->mode = argv[1];
	format_init(&p->format);
	rows_iter_init(&p->iter);
	struct buf file = read_file(argv[2]);
	struct cursor c = cursor_of(file.data, file.size);
	if (cursor_u32(&c) != 0x6e6962fe)
		die("%s is not a binlog", argv[2]);
	while (cursor_left(&c) > 0) {
		struct cursor header = c;
		cursor_skip(&header, 9);
		uint32_t size = cursor_u32(&header);
		const uint8_t *bytes = cursor_bytes(&c, size);
		if (!cursor_ok(&header) || bytes == NULL || size == 0)
			die("the file is cut off");
		on_event(p, bytes, size);
	}
	for (size_t i = 0; i < p->map_count; i++) {
		table_map_free(&p->maps[i]);
		buf_free(&p->map_events[i]);
	}
	rows_iter_free(&p->iter);
	buf_free(&p->plain);
	buf_free(&p->scratch);
	buf_free(&p->text);
	buf_free(&file);
	free(p);
	return 0;
}
