#include "sql/collations.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { COLLATION_BINARY = 63, WEIGHTS_TEXT_MAX = UINT16_MAX * 2 };

struct collation {
	struct collation *next;
	uint16_t id;
	char name[65], charset_name[33];
	enum charset charset;
	bool pad_space;
	unsigned level_count;                /* 0: characters are equal if their bytes are */
	unsigned levels[WEIGHTS_LEVELS_MAX]; /* the server's numbers of them */
	struct weights *weights;             /* NULL without levels */
};

struct collations {
	pthread_mutex_t lock;    /* guards the list and the adding of pages */
	struct collation *first; /* but for the pages of their weights they don't change once they are in the list */
};

static void collation_free(struct collation *collation)
{
	weights_free(collation->weights);
	free(collation);
}

struct collations *collations_new(void)
{
	struct collations *collations = mem_alloc(sizeof *collations);
	pthread_mutex_init(&collations->lock, NULL);
	return collations;
}

void collations_free(struct collations *collations)
{
	if (collations == NULL)
		return;
	while (collations->first != NULL) {
		struct collation *collation = collations->first;
		collations->first = collation->next;
		collation_free(collation);
	}
	pthread_mutex_destroy(&collations->lock);
	free(collations);
}

/* ---- asking ---- */

/* Any character that a text of this character set can have, whatever the session's own character set. */
static void append_character(const struct collation *collation, uint32_t character, struct buf *sql)
{
	if (charset_is_unicode(collation->charset))
		buf_printf(sql, "CONVERT(_utf32 x'%08x' USING %s)", character, collation->charset_name);
	else if (character > 0xffff) /* three bytes of EUC-JP, see charset.h */
		buf_printf(sql, "CONVERT(x'8f%04x' USING %s)", character & 0xffff, collation->charset_name);
	else
		buf_printf(sql, "CONVERT(x'%0*x' USING %s)", character > 0xff ? 4 : 2, character, collation->charset_name);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads hexadecimal weights with commas between into `bytes`; false if there aren't `count`. */
static bool read_weights(struct buf *text, size_t count, struct buf *bytes, struct weight *ret)
{
	const char *at = buf_str(text);
	buf_clear(bytes);
	buf_reserve(bytes, text->size / 2); /* so that it stays where it is */
	for (size_t i = 0; i < count; i++) {
		ret[i] = (struct weight){.bytes = bytes->data + bytes->size};
		for (int high, low; (high = digit(at[0])) >= 0 && (low = digit(at[1])) >= 0; at += 2)
			buf_append_u8(bytes, (uint8_t)(high << 4 | low));
		ret[i].size = (size_t)(bytes->data + bytes->size - ret[i].bytes);
		if (*at++ != (i + 1 < count ? ',' : '\0'))
			return false;
	}
	return true;
}

/* The weights of a page, in the order of weights_add; they point into `bytes`. */
static enum err_code ask_page(struct connection *connection, const struct collation *collation, const unsigned *levels,
                              unsigned level_count, uint32_t page, struct buf *bytes, struct weight *ret,
                              struct err *err)
{
	struct buf sql = {0}, text = {0};
	bool found;
	/* big5_chinese_ci compares two bytes by their number; WEIGHT_STRING has one weight for all that don't sort (seen
	 * with 10.11). */
	bool is_own_weight = page > 0 && strcmp(collation->charset_name, "big5") == 0;
	buf_append_str(&sql, "SELECT CONCAT_WS(','");
	for (unsigned level = 0; level < level_count; level++)
		for (uint32_t i = 0; i < WEIGHTS_PAGE_SIZE; i++) {
			buf_append_str(&sql, is_own_weight ? ",HEX(" : ",HEX(WEIGHT_STRING(");
			append_character(collation, page * WEIGHTS_PAGE_SIZE + i, &sql);
			if (is_own_weight)
				buf_append_str(&sql, ")");
			else
				buf_printf(&sql, " COLLATE %s LEVEL %u))", collation->name, levels[level]);
		}
	buf_append_str(&sql, ")");
	enum err_code code = connection_value(connection, (const char *)sql.data, sql.size, &text, &found, err);
	if (code == ERR_OK &&
	    (text.size > WEIGHTS_TEXT_MAX || !read_weights(&text, (size_t)level_count * WEIGHTS_PAGE_SIZE, bytes, ret)))
		code = err_set(err, ERR_UNSUPPORTED, "the server's weights of characters %xxx in %s can't be read", page,
		               collation->name);
	buf_free(&sql);
	buf_free(&text);
	return code;
}

static void take_name(void *context, unsigned count, const char *const *columns)
{
	struct collation *collation = context;
	if (count < 3 || columns[0] == NULL || columns[1] == NULL || columns[2] == NULL)
		return;
	snprintf(collation->name, sizeof collation->name, "%s", columns[0]);
	snprintf(collation->charset_name, sizeof collation->charset_name, "%s", columns[1]);
	if (!charset_find(columns[1], (unsigned)strtoul(columns[2], NULL, 10), &collation->charset))
		collation->charset_name[0] = '\0';
}

static enum err_code ask_name(struct connection *connection, struct collation *collation, struct err *err)
{
	char sql[400];
	snprintf(sql, sizeof sql,
	         "SELECT a.full_collation_name, a.character_set_name, c.maxlen"
	         " FROM information_schema.collation_character_set_applicability a"
	         " JOIN information_schema.character_sets c ON c.character_set_name = a.character_set_name WHERE a.id = %u",
	         collation->id);
	enum err_code code = connection_query(connection, sql, take_name, collation, err);
	if (code == ERR_OK && collation->name[0] == '\0')
		code = err_set(err, ERR_UNSUPPORTED,
		               "this server has no collation with the id %u; give the column one that all nodes have",
		               collation->id);
	else if (code == ERR_OK && collation->charset_name[0] == '\0')
		code = err_set(err, ERR_UNSUPPORTED, "keys with the collation %s can't be compared", collation->name);
	return code;
}

/* No table says so: `'a' = 'a '` does. */
static enum err_code ask_padding(struct connection *connection, struct collation *collation, struct err *err)
{
	char sql[200];
	struct buf value = {0};
	bool found;
	int size = snprintf(sql, sizeof sql, "SELECT CONVERT('a' USING %s) = CONVERT('a ' USING %s) COLLATE %s",
	                    collation->charset_name, collation->charset_name, collation->name);
	enum err_code code = connection_value(connection, sql, (size_t)size, &value, &found, err);
	if (code == ERR_OK)
		collation->pad_space = strcmp(buf_str(&value), "1") == 0;
	buf_free(&value);
	return code;
}

static bool same_weights(const struct weight *a, const struct weight *b)
{
	for (size_t i = 0; i < WEIGHTS_PAGE_SIZE; i++)
		if (a[i].size != b[i].size || memcmp(a[i].bytes, b[i].bytes, a[i].size) != 0)
			return false;
	return true;
}

static bool all_empty(const struct weight *weights)
{
	for (size_t i = 0; i < WEIGHTS_PAGE_SIZE; i++)
		if (weights[i].size > 0)
			return false;
	return true;
}

/* Asked for all levels, a server gives those that the collation has, nothing for one in between that it doesn't compare
 * by (utf8mb4_uca1400_ai_cs), and the last one again for those beyond (seen with 10.11). */
static enum err_code ask_levels(struct connection *connection, struct collation *collation, struct err *err)
{
	enum { LEVELS = WEIGHTS_LEVELS_MAX };
	static const unsigned every[LEVELS] = {1, 2, 3, 4};
	struct weight all[LEVELS * WEIGHTS_PAGE_SIZE], kept[LEVELS * WEIGHTS_PAGE_SIZE];
	struct buf bytes = {0};
	enum err_code code = ask_page(connection, collation, every, LEVELS, 0, &bytes, all, err);
	for (unsigned level = 0; code == ERR_OK && level < LEVELS; level++) {
		const struct weight *weights = &all[level * WEIGHTS_PAGE_SIZE];
		bool is_new = level == 0 || !all_empty(weights);
		for (unsigned i = 0; i < collation->level_count; i++)
			is_new = is_new && !same_weights(weights, &kept[i * WEIGHTS_PAGE_SIZE]);
		if (!is_new)
			continue;
		memcpy(&kept[collation->level_count * WEIGHTS_PAGE_SIZE], weights, WEIGHTS_PAGE_SIZE * sizeof *weights);
		collation->levels[collation->level_count++] = every[level];
	}
	if (code == ERR_OK) {
		collation->weights = weights_new(collation->level_count);
		weights_add(collation->weights, 0, kept);
	}
	buf_free(&bytes);
	return code;
}

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);
	return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static enum err_code ask_collation(struct connection *connection, struct collation *collation, struct err *err)
{
	enum err_code code = ask_name(connection, collation, err);
	if (code == ERR_OK)
		code = ask_padding(connection, collation, err);
	if (code == ERR_OK && !ends_with(collation->name, "_bin"))
		code = ask_levels(connection, collation, err);
	return code;
}

/* ---- what is known ---- */

static struct collation *find(struct collations *collations, uint16_t id)
{
	pthread_mutex_lock(&collations->lock);
	struct collation *collation = collations->first;
	while (collation != NULL && collation->id != id)
		collation = collation->next;
	pthread_mutex_unlock(&collations->lock);
	return collation;
}

static enum err_code get(struct collations *collations, struct connection *connection, uint16_t id,
                         const struct collation **ret, struct err *err)
{
	struct collation *known = find(collations, id);
	if (known == NULL) {
		struct collation *asked = mem_alloc(sizeof *asked);
		asked->id = id;
		enum err_code code = ask_collation(connection, asked, err);
		if (code != ERR_OK) {
			collation_free(asked);
			return code;
		}
		/* Another thread may have asked meanwhile. Then both are the same, and the older one is found. */
		pthread_mutex_lock(&collations->lock);
		struct collation **end = &collations->first;
		while (*end != NULL)
			end = &(*end)->next;
		*end = asked;
		pthread_mutex_unlock(&collations->lock);
		known = find(collations, id);
	}
	*ret = known;
	return ERR_OK;
}

/* Without full metadata the collation isn't known (0); such tables aren't applied (sql/catalogue.h). */
static bool is_text(const struct column *column)
{
	switch (column->type) {
	case COLUMN_STRING:
	case COLUMN_VAR_STRING:
	case COLUMN_VARCHAR:
	case COLUMN_VARCHAR_COMPRESSED:
	case COLUMN_TINY_BLOB:
	case COLUMN_MEDIUM_BLOB:
	case COLUMN_LONG_BLOB:
	case COLUMN_BLOB:
	case COLUMN_BLOB_COMPRESSED:
		return column->collation != 0 && column->collation != COLLATION_BINARY;
	default:
		return false;
	}
}

enum err_code collations_rule(struct collations *collations, struct connection *connection, const struct column *column,
                              unsigned prefix_characters, struct key_rule *ret, struct err *err)
{
	struct key_rule rule = {.prefix_characters = prefix_characters};
	if (column->type == COLUMN_FLOAT || column->type == COLUMN_DOUBLE) {
		rule.form = KEY_REAL;
	} else if (is_text(column)) {
		const struct collation *collation;
		enum err_code code = get(collations, connection, column->collation, &collation, err);
		if (code != ERR_OK)
			return code;
		rule.form = KEY_TEXT;
		rule.charset = collation->charset;
		rule.pad_space = collation->pad_space;
		rule.weights = collation->weights;
	}
	*ret = rule;
	return ERR_OK;
}

static enum err_code add_page(struct collations *collations, struct connection *connection, struct collation *collation,
                              uint32_t page, struct err *err)
{
	struct weight all[WEIGHTS_LEVELS_MAX * WEIGHTS_PAGE_SIZE];
	struct buf bytes = {0};
	enum err_code code =
	    ask_page(connection, collation, collation->levels, collation->level_count, page, &bytes, all, err);
	if (code == ERR_OK) {
		pthread_mutex_lock(&collations->lock);
		weights_add(collation->weights, page, all);
		pthread_mutex_unlock(&collations->lock);
	}
	buf_free(&bytes);
	return code;
}

enum err_code collations_learn(struct collations *collations, struct connection *connection,
                               const struct key_rule *rule, const uint8_t *bytes, size_t size, struct err *err)
{
	uint32_t page;
	enum err_code code = ERR_OK;
	while (code == ERR_OK && key_rule_missing(rule, bytes, size, &page)) {
		pthread_mutex_lock(&collations->lock);
		struct collation *collation = collations->first;
		while (collation->weights != rule->weights)
			collation = collation->next;
		pthread_mutex_unlock(&collations->lock);
		code = add_page(collations, connection, collation, page, err);
	}
	return code;
}
