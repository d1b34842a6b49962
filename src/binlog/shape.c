#include "binlog/shape.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/internal.h"
#include "binlog/value.h"

/* A table map has 10 bits for the length of a CHAR, 16 for that of a VARCHAR. */
enum { COLLATION_BINARY = 63, CHAR_OCTETS_MAX = 1023, VARCHAR_OCTETS_MAX = UINT16_MAX };

/* ---- columns as information_schema describes them ---- */

/* Where a type's metadata (table_map.h) comes from. */
enum definition_form { FORM_FIXED, FORM_OCTETS, FORM_DECIMAL, FORM_BITS, FORM_FRACTION, FORM_LABELS };

static const struct definition_type {
	const char *name;
	uint8_t type;
	enum definition_form form;
	uint8_t metadata; /* of FORM_FIXED */
	uint8_t variant;  /* the type that it has if it is compressed, or of MariaDB 5.3's format */
} definition_types[] = {
    {"tinyint", COLUMN_TINY, FORM_FIXED, 0, 0},
    {"smallint", COLUMN_SHORT, FORM_FIXED, 0, 0},
    {"mediumint", COLUMN_INT24, FORM_FIXED, 0, 0},
    {"int", COLUMN_LONG, FORM_FIXED, 0, 0},
    {"bigint", COLUMN_LONGLONG, FORM_FIXED, 0, 0},
    {"decimal", COLUMN_NEWDECIMAL, FORM_DECIMAL, 0, 0},
    {"float", COLUMN_FLOAT, FORM_FIXED, 4, 0},
    {"double", COLUMN_DOUBLE, FORM_FIXED, 8, 0},
    {"bit", COLUMN_BIT, FORM_BITS, 0, 0},
    {"year", COLUMN_YEAR, FORM_FIXED, 0, 0},
    {"date", COLUMN_DATE, FORM_FIXED, 0, 0},
    {"time", COLUMN_TIME2, FORM_FRACTION, 0, COLUMN_TIME},
    {"datetime", COLUMN_DATETIME2, FORM_FRACTION, 0, COLUMN_DATETIME},
    {"timestamp", COLUMN_TIMESTAMP2, FORM_FRACTION, 0, COLUMN_TIMESTAMP},
    {"char", COLUMN_STRING, FORM_OCTETS, 0, 0},
    {"binary", COLUMN_STRING, FORM_OCTETS, 0, 0},
    {"varchar", COLUMN_VARCHAR, FORM_OCTETS, 0, COLUMN_VARCHAR_COMPRESSED},
    {"varbinary", COLUMN_VARCHAR, FORM_OCTETS, 0, COLUMN_VARCHAR_COMPRESSED},
    {"tinytext", COLUMN_BLOB, FORM_FIXED, 1, COLUMN_BLOB_COMPRESSED},
    {"text", COLUMN_BLOB, FORM_FIXED, 2, COLUMN_BLOB_COMPRESSED},
    {"mediumtext", COLUMN_BLOB, FORM_FIXED, 3, COLUMN_BLOB_COMPRESSED},
    {"longtext", COLUMN_BLOB, FORM_FIXED, 4, COLUMN_BLOB_COMPRESSED},
    {"tinyblob", COLUMN_BLOB, FORM_FIXED, 1, COLUMN_BLOB_COMPRESSED},
    {"blob", COLUMN_BLOB, FORM_FIXED, 2, COLUMN_BLOB_COMPRESSED},
    {"mediumblob", COLUMN_BLOB, FORM_FIXED, 3, COLUMN_BLOB_COMPRESSED},
    {"longblob", COLUMN_BLOB, FORM_FIXED, 4, COLUMN_BLOB_COMPRESSED},
    {"json", COLUMN_BLOB, FORM_FIXED, 4, COLUMN_BLOB_COMPRESSED},
    {"enum", COLUMN_ENUM, FORM_LABELS, 0, 0},
    {"set", COLUMN_SET, FORM_LABELS, 0, 0},
    {"uuid", COLUMN_STRING, FORM_FIXED, 16, 0},
    {"inet6", COLUMN_STRING, FORM_FIXED, 16, 0},
    {"inet4", COLUMN_STRING, FORM_FIXED, 4, 0},
    {"geometry", COLUMN_GEOMETRY, FORM_FIXED, 4, 0},
    {"point", COLUMN_GEOMETRY, FORM_FIXED, 4, 0},
    {"linestring", COLUMN_GEOMETRY, FORM_FIXED, 4, 0},
    {"polygon", COLUMN_GEOMETRY, FORM_FIXED, 4, 0},
    {"multipoint", COLUMN_GEOMETRY, FORM_FIXED, 4, 0},
    {"multilinestring", COLUMN_GEOMETRY, FORM_FIXED, 4, 0},
    {"multipolygon", COLUMN_GEOMETRY, FORM_FIXED, 4, 0},
    {"geometrycollection", COLUMN_GEOMETRY, FORM_FIXED, 4, 0},
};

const struct column_definition shape_versioning[2] = {
    {.name = "row_start",
     .data_type = "timestamp",
     .column_type = "timestamp(6)",
     .datetime_precision = 6,
     .extra = "STORED GENERATED"},
    {.name = "row_end",
     .data_type = "timestamp",
     .column_type = "timestamp(6)",
     .datetime_precision = 6,
     .extra = "STORED GENERATED"},
};

static const struct definition_type *find_type(const char *name)
{
	for (size_t i = 0; name != NULL && i < sizeof definition_types / sizeof *definition_types; i++)
		if (strcmp(definition_types[i].name, name) == 0)
			return &definition_types[i];
	return NULL;
}

/* The character at *text, inside quotes: a quote is doubled and a backslash escapes, whatever the sql_mode (seen on
 * MariaDB 10.11.19, with NO_BACKSLASH_ESCAPES too). */
static char take_character(const char **text)
{
	const char *p = *text;
	*text += (*p == '\'' || *p == '\\') && p[1] != '\0' ? 2 : 1;
	if (*p != '\\')
		return *p;
	switch (p[1]) {
	case '0':
		return '\0';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	default:
		return '\\';
	}
}

/* The next label of "enum('a','b')" is put to `to`, unless that is NULL; *text goes on behind its closing quote.
 * False if there is none. */
static bool take_label(const char **text, char *to, uint16_t *ret_size)
{
	const char *p = strchr(*text, '\'');
	if (p == NULL)
		return false;
	uint16_t size = 0;
	for (p++; *p != '\0' && !(*p == '\'' && p[1] != '\''); size++) {
		char character = take_character(&p);
		if (to != NULL)
			to[size] = character;
	}
	*text = *p == '\'' ? p + 1 : p;
	*ret_size = size;
	return *p == '\'';
}

static size_t count_labels(const char *column_type)
{
	size_t count = 0;
	uint16_t size;
	while (take_label(&column_type, NULL, &size))
		count++;
	return count;
}

/* Bytes of an ENUM or SET with so many labels, 0 if it can't have as many. */
static uint16_t labels_metadata(uint8_t type, size_t count)
{
	if (type == COLUMN_ENUM)
		return count == 0 || count > UINT16_MAX ? 0 : count < 256 ? 1 : 2;
	size_t bytes = (count + 7) / 8;
	return bytes > 8 ? 0 : bytes > 4 ? 8 : (uint16_t)bytes;
}

/* False for what no server says. */
static bool read_metadata(const struct column_definition *definition, const struct definition_type *type,
                          struct column *column)
{
	uint64_t octets = definition->character_octet_length;
	uint32_t precision = definition->numeric_precision, scale = definition->numeric_scale;
	switch (type->form) {
	case FORM_FIXED:
		column->metadata = type->metadata;
		return true;
	case FORM_OCTETS:
		column->metadata = (uint16_t)octets;
		return octets <= (type->type == COLUMN_STRING ? CHAR_OCTETS_MAX : VARCHAR_OCTETS_MAX);
	case FORM_DECIMAL:
		column->metadata = (uint16_t)(precision << 8 | scale);
		return precision >= 1 && precision <= 65 && scale <= 38 && scale <= precision;
	case FORM_BITS:
		column->metadata = (uint16_t)precision;
		return precision >= 1 && precision <= 64;
	case FORM_FRACTION:
		column->metadata = (uint16_t)definition->datetime_precision;
		return definition->datetime_precision <= 6;
	case FORM_LABELS:
		column->metadata = labels_metadata(type->type, count_labels(definition->column_type));
		return column->metadata > 0;
	}
	return false;
}

/* A compressed value has a byte more, which says how; the length of the column counts it. */
static bool read_variant(const struct column_definition *definition, const struct definition_type *type,
                         struct column *column)
{
	const char *mark = type->form == FORM_FRACTION ? "mariadb-5.3" : "COMPRESSED";
	if (type->variant == 0 || strstr(definition->column_type, mark) == NULL)
		return true;
	column->type = type->variant;
	if (column->type != COLUMN_VARCHAR_COMPRESSED)
		return true;
	return ++column->metadata != 0;
}

static bool is_text(uint8_t type)
{
	return type == COLUMN_STRING || type == COLUMN_VARCHAR || type == COLUMN_VARCHAR_COMPRESSED ||
	       type == COLUMN_BLOB || type == COLUMN_BLOB_COMPRESSED || type == COLUMN_GEOMETRY;
}

static bool is_enum_or_set(const struct column *column)
{
	return column->type == COLUMN_ENUM || column->type == COLUMN_SET;
}

enum err_code column_from_definition(const struct column_definition *definition, struct column *ret_column,
                                     struct err *err)
{
	const struct definition_type *type = find_type(definition->data_type);
	struct column column = {.nullable = definition->is_nullable, .collation = definition->collation};
	if (type == NULL || definition->column_type == NULL)
		return err_set(err, ERR_UNSUPPORTED, "column %s has type %s, which is unknown",
		               definition->name ? definition->name : "?", definition->data_type ? definition->data_type : "?");
	column.type = type->type;
	if (!read_metadata(definition, type, &column) || !read_variant(definition, type, &column))
		return err_set(err, ERR_UNSUPPORTED, "column %s is %.100s, which is unknown",
		               definition->name ? definition->name : "?", definition->column_type);
	column.is_unsigned = column.type == COLUMN_YEAR || (!is_text(column.type) && !is_enum_or_set(&column) &&
	                                                    strstr(definition->column_type, " unsigned") != NULL);
	if (column.collation == 0 && is_text(column.type))
		column.collation = COLLATION_BINARY;
	*ret_column = column;
	return ERR_OK;
}

static bool has_word(const char *text, const char *word)
{
	return text != NULL && strstr(text, word) != NULL;
}

static bool is_literal(const char *text)
{
	if ((text[0] == 'b' || text[0] == 'x') && text[1] == '\'')
		return true;
	return text[0] == '\'' || text[0] == '-' || (text[0] >= '0' && text[0] <= '9');
}

bool column_default_is_plain(const struct column_definition *definition)
{
	const struct definition_type *type = find_type(definition->data_type);
	if (has_word(definition->extra, "auto_increment") || has_word(definition->extra, "STORED GENERATED"))
		return false;
	if (definition->column_default == NULL || strcmp(definition->column_default, "NULL") == 0)
		return true;
	if (type == NULL || type->type == COLUMN_BLOB || type->type == COLUMN_GEOMETRY)
		return false;
	return is_literal(definition->column_default);
}

/* ---- a table map of them ---- */

/* What table_map.owned points to: labels first, for their alignment, then sizes, then text. */
struct strings {
	const char **labels;
	uint16_t *label_sizes;
	char *text;
};

/* Quotes and a comma take the room of a label's NUL. */
static struct strings allocate_strings(struct table_map *map, const struct column_definition *definitions)
{
	size_t label_count = 0, text_size = 0;
	for (uint32_t i = 0; i < map->column_count; i++) {
		text_size += strlen(definitions[i].name) + 1;
		if (!is_enum_or_set(&map->columns[i]))
			continue;
		label_count += count_labels(definitions[i].column_type);
		text_size += strlen(definitions[i].column_type);
	}
	size_t labels_size = label_count * sizeof(char *), sizes_size = label_count * sizeof(uint16_t);
	char *block = mem_alloc(labels_size + sizes_size + text_size);
	map->owned = block;
	return (struct strings){.labels = map->owned,
	                        .label_sizes = (uint16_t *)(void *)(block + labels_size),
	                        .text = block + labels_size + sizes_size};
}

static bool is_ascii(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] >= 0x80)
			return false;
	return true;
}

/* information_schema has labels in UTF-8, a table map in the column's character set. */
static bool is_same_in_charset(const char *charset, const char *text, size_t size)
{
	if (charset == NULL || strncmp(charset, "utf8", 4) == 0)
		return true;
	bool is_wide = strncmp(charset, "utf16", 5) == 0 || strcmp(charset, "utf32") == 0 || strcmp(charset, "ucs2") == 0;
	return !is_wide && is_ascii(text, size);
}

static void take_labels(const struct column_definition *definition, struct column *column, struct strings *strings)
{
	const char *from = definition->column_type;
	uint16_t size, count = 0;
	column->labels = strings->labels;
	column->label_sizes = strings->label_sizes;
	bool are_known = true;
	for (; take_label(&from, strings->text, &size); count++) {
		are_known = are_known && is_same_in_charset(definition->character_set, strings->text, size);
		*strings->labels++ = strings->text;
		*strings->label_sizes++ = size;
		strings->text += size;
		*strings->text++ = '\0';
	}
	if (are_known) {
		column->label_count = count;
		return;
	}
	column->labels = NULL;
	column->label_sizes = NULL;
}

enum err_code shape_from_definitions(const char *database, const char *table,
                                     const struct column_definition *definitions, uint32_t count,
                                     struct table_map *ret_map, struct err *err)
{
	if (count > COLUMNS_MAX)
		return err_set(err, ERR_UNSUPPORTED, "%s.%s has %u columns, no table has as many", database, table, count);
	struct table_map map = {.flags = TABLE_MAP_FLAG_BITS_EXACT, .column_count = count, .has_full_metadata = true};
	map.columns = mem_alloc(count * sizeof *map.columns);
	enum err_code code = ERR_OK;
	for (uint32_t i = 0; code == ERR_OK && i < count; i++)
		code = column_from_definition(&definitions[i], &map.columns[i], err);
	if (code != ERR_OK) {
		table_map_free(&map);
		return err_wrap(err, "table %s.%s", database, table);
	}
	struct strings strings = allocate_strings(&map, definitions);
	for (uint32_t i = 0; i < count; i++) {
		size_t size = strlen(definitions[i].name) + 1;
		map.columns[i].name = memcpy(strings.text, definitions[i].name, size);
		strings.text += size;
		if (is_enum_or_set(&map.columns[i]))
			take_labels(&definitions[i], &map.columns[i], &strings);
	}
	map.database = mem_strdup(database);
	map.table = mem_strdup(table);
	*ret_map = map;
	return ERR_OK;
}

/* ---- how a peer's columns map to them ---- */

static unsigned integer_size(uint8_t type)
{
	static const uint8_t sizes[256] = {
	    [COLUMN_TINY] = 1, [COLUMN_SHORT] = 2, [COLUMN_INT24] = 3, [COLUMN_LONG] = 4, [COLUMN_LONGLONG] = 8};
	return sizes[type];
}

/* A type of variable length, of which any content is as good as any other's. */
static bool is_variable(uint8_t type)
{
	return type == COLUMN_VARCHAR || type == COLUMN_VARCHAR_COMPRESSED || type == COLUMN_BLOB ||
	       type == COLUMN_TINY_BLOB || type == COLUMN_MEDIUM_BLOB || type == COLUMN_LONG_BLOB ||
	       type == COLUMN_BLOB_COMPRESSED;
}

/* Both judge_ functions return NULL if the contents fit, else why not. */
static const char *judge_labels(const struct column *theirs, const struct column *ours)
{
	if (theirs->type != ours->type)
		return "has another type here";
	if (theirs->label_count == 0 || ours->label_count == 0) /* not known */
		return theirs->metadata == ours->metadata ? NULL : "has other values here";
	if (theirs->label_count > ours->label_count)
		return "has fewer values here";
	for (uint32_t i = 0; i < theirs->label_count; i++)
		if (theirs->label_sizes[i] != ours->label_sizes[i] ||
		    memcmp(theirs->labels[i], ours->labels[i], ours->label_sizes[i]) != 0)
			return "has other values here";
	return NULL;
}

/* The log cuts a CHAR's blanks, which don't count in a longer one, and a BINARY's zeros, which do. */
static const char *judge_text(const struct column *theirs, const struct column *ours)
{
	bool is_binary = ours->collation == COLLATION_BINARY;
	if (theirs->collation != 0 && (theirs->collation == COLLATION_BINARY) != is_binary)
		return "has another type here";
	if (ours->type == COLUMN_STRING && theirs->type != COLUMN_STRING)
		return "has another type here";
	if (theirs->type == COLUMN_STRING && is_binary &&
	    (ours->type != COLUMN_STRING || ours->metadata != theirs->metadata))
		return "has another type or length here";
	return content_size_max(ours) < content_size_max(theirs) ? "is shorter here" : NULL;
}

static bool is_exact(const struct column *theirs, const struct column *ours)
{
	return theirs->type == ours->type && theirs->metadata == ours->metadata && theirs->is_unsigned == ours->is_unsigned;
}

static const char *judge(const struct column *theirs, const struct column *ours)
{
	unsigned size_there = integer_size(theirs->type), size_here = integer_size(ours->type);
	if (is_enum_or_set(theirs) || is_enum_or_set(ours))
		return judge_labels(theirs, ours);
	if ((theirs->type == COLUMN_STRING || is_variable(theirs->type)) &&
	    (ours->type == COLUMN_STRING || is_variable(ours->type)))
		return judge_text(theirs, ours);
	if (size_there > 0 && size_here > 0 && theirs->is_unsigned == ours->is_unsigned)
		return size_here < size_there ? "is narrower here" : NULL;
	return is_exact(theirs, ours) ? NULL : "has another type here";
}

static struct shape_pair pair_of(const struct table_map *theirs, uint32_t i, const struct column *ours)
{
	const struct column *column = &theirs->columns[i];
	struct shape_pair pair = {.kind = SHAPE_FITS, .theirs = i, .why = judge(column, ours)};
	if (pair.why != NULL)
		pair.kind = SHAPE_DIFFERS;
	else if (column->collation != ours->collation && !is_enum_or_set(ours))
		pair.kind = SHAPE_COLLATION;
	return pair;
}

static char folded(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_same_name(const char *a, const char *b)
{
	while (*a != '\0' && folded(*a) == folded(*b)) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Which of theirs has this name: most often the one in the same place. theirs->column_count if none has. */
static uint32_t find_column(const struct table_map *theirs, const char *name, uint32_t likely)
{
	if (likely < theirs->column_count && is_same_name(theirs->columns[likely].name, name))
		return likely;
	uint32_t i = 0;
	while (i < theirs->column_count && !is_same_name(theirs->columns[i].name, name))
		i++;
	return i;
}

/* The hash of a long unique key (MariaDB sql/table.cc, DB_ROW_HASH_1). */
static bool is_hidden(const struct column *column)
{
	return strncmp(column->name, "DB_ROW_HASH_", 12) == 0;
}

/* What of theirs isn't taken, but for hidden columns behind all others, which the server computes. */
static void find_homeless(const struct table_map *theirs, const bool *taken, struct shape *shape)
{
	uint32_t end = theirs->column_count;
	while (end > 0 && !taken[end - 1] && is_hidden(&theirs->columns[end - 1]))
		end--;
	shape->homeless = mem_alloc((end + 1) * sizeof *shape->homeless);
	for (uint32_t i = 0; i < end; i++)
		if (!taken[i])
			shape->homeless[shape->homeless_count++] = i;
	if (shape->homeless_count > 0)
		shape->is_same = false;
}

enum err_code shape_map(const struct table_map *theirs, const struct table_map *ours, struct shape *ret_shape,
                        struct err *err)
{
	if (!theirs->has_full_metadata || !ours->has_full_metadata)
		return err_set(err, ERR_UNSUPPORTED,
		               "rows of %s.%s were logged without column names; set binlog_row_metadata=FULL on the node that "
		               "wrote them",
		               theirs->database, theirs->table);
	struct shape shape = {.count = ours->column_count, .is_same = true};
	shape.pairs = mem_alloc((shape.count + 1) * sizeof *shape.pairs);
	bool *taken = mem_alloc(theirs->column_count + 1);
	for (uint32_t i = 0; i < shape.count; i++) {
		uint32_t at = find_column(theirs, ours->columns[i].name, i);
		if (at == theirs->column_count) {
			shape.is_same = false;
			continue;
		}
		taken[at] = true;
		shape.pairs[i] = pair_of(theirs, at, &ours->columns[i]);
		if (at != i || shape.pairs[i].kind == SHAPE_DIFFERS || !is_exact(&theirs->columns[at], &ours->columns[i]))
			shape.is_same = false;
	}
	find_homeless(theirs, taken, &shape);
	free(taken);
	*ret_shape = shape;
	return ERR_OK;
}

void shape_free(struct shape *shape)
{
	free(shape->pairs);
	free(shape->homeless);
	*shape = (struct shape){0};
}
