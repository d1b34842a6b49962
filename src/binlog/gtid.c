#include "binlog/gtid.h"

#include <string.h>

#include <stdlib.h>

#include <inttypes.h>
#include <stdio.h>

/* Takes digits off *text: at least one, no sign, no blank, no value above max. */
static bool take_number(const char **text, uint64_t max, uint64_t *ret_value)
{
	const char *p = *text;
	uint64_t value = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');
		if (value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (p == *text)
		return false;
	*text = p;
	*ret_value = value;
	return true;
}

static bool take_gtid(const char **text, struct gtid *ret_gtid)
{
	const char *p = *text;
	uint64_t domain, server, seq;
	if (!take_number(&p, UINT32_MAX, &domain) || *p++ != '-' || !take_number(&p, UINT32_MAX, &server) || *p++ != '-' ||
	    !take_number(&p, UINT64_MAX, &seq))
		return false;
	*text = p;
	*ret_gtid = (struct gtid){.domain = (uint32_t)domain, .server = (uint32_t)server, .seq = seq};
	return true;
}

enum err_code gtid_parse(const char *text, struct gtid *ret_gtid, struct err *err)
{
	const char *p = text;
	struct gtid gtid;
	if (!take_gtid(&p, &gtid) || *p != '\0')
		return err_set(err, ERR_MALFORMED,
		               "'%.60s' is not a GTID; it has the form domain-server-sequence, as in 1-1-42", text);
	*ret_gtid = gtid;
	return ERR_OK;
}

const char *gtid_format(const struct gtid *gtid, char text[GTID_TEXT_MAX])
{
	snprintf(text, GTID_TEXT_MAX, "%" PRIu32 "-%" PRIu32 "-%" PRIu64, gtid->domain, gtid->server, gtid->seq);
	return text;
}

/* The index of the domain, or of where it belongs. */
static uint32_t vector_find(const struct vector *vector, uint32_t domain)
{
	uint32_t low = 0, high = vector->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (vector->gtids[middle].domain < domain)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool vector_is_at(const struct vector *vector, uint32_t i, uint32_t domain)
{
	return i < vector->count && vector->gtids[i].domain == domain;
}

uint64_t vector_seq(const struct vector *vector, uint32_t domain)
{
	uint32_t i = vector_find(vector, domain);
	return vector_is_at(vector, i, domain) ? vector->gtids[i].seq : 0;
}

bool vector_has(const struct vector *vector, const struct gtid *gtid)
{
	return vector_seq(vector, gtid->domain) >= gtid->seq;
}

enum err_code vector_advance(struct vector *vector, const struct gtid *gtid, struct err *err)
{
	uint32_t i = vector_find(vector, gtid->domain);
	if (vector_is_at(vector, i, gtid->domain)) {
		if (gtid->seq > vector->gtids[i].seq)
			vector->gtids[i] = *gtid;
		return ERR_OK;
	}
	if (gtid->seq == 0)
		return ERR_OK;
	if (vector->count == VECTOR_DOMAINS_MAX)
		return err_set(err, ERR_UNSUPPORTED,
		               "more than %d GTID domains, the next is %" PRIu32
		               "; remove unused ones with FLUSH BINARY LOGS DELETE_DOMAIN_ID=(…)",
		               VECTOR_DOMAINS_MAX, gtid->domain);
	for (uint32_t j = vector->count; j > i; j--)
		vector->gtids[j] = vector->gtids[j - 1];
	vector->gtids[i] = *gtid;
	vector->count++;
	return ERR_OK;
}

bool vector_covers(const struct vector *vector, const struct vector *other)
{
	for (uint32_t i = 0; i < other->count; i++)
		if (!vector_has(vector, &other->gtids[i]))
			return false;
	return true;
}

bool vector_equal(const struct vector *a, const struct vector *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct gtid *x = &a->gtids[i], *y = &b->gtids[i];
		if (x->domain != y->domain || x->server != y->server || x->seq != y->seq)
			return false;
	}
	return true;
}

struct vector vector_min(const struct vector *a, const struct vector *b)
{
	struct vector min = {0};
	for (uint32_t i = 0; i < a->count; i++) {
		uint32_t domain = a->gtids[i].domain, j = vector_find(b, domain);
		if (vector_is_at(b, j, domain))
			min.gtids[min.count++] = b->gtids[j].seq < a->gtids[i].seq ? b->gtids[j] : a->gtids[i];
	}
	return min;
}

enum err_code vector_merge(struct vector *vector, const struct vector *other, struct err *err)
{
	struct vector merged = *vector;
	for (uint32_t i = 0; i < other->count; i++) {
		enum err_code code = vector_advance(&merged, &other->gtids[i], err);
		if (code != ERR_OK)
			return code;
	}
	*vector = merged;
	return ERR_OK;
}

static void skip_blanks(const char **text)
{
	while (**text == ' ' || **text == '\t' || **text == '\r' || **text == '\n')
		(*text)++;
}

enum err_code vector_parse(const char *text, struct vector *ret_vector, struct err *err)
{
	struct vector vector = {0};
	const char *p = text;
	skip_blanks(&p);
	while (*p != '\0') {
		struct gtid gtid;
		if (!take_gtid(&p, &gtid))
			return err_set(err, ERR_MALFORMED,
			               "GTID position '%.200s' is wrong at '%.40s'; it is a list like 0-1-5,1-1-7", text, p);
		if (vector_seq(&vector, gtid.domain) != 0)
			return err_set(err, ERR_MALFORMED, "GTID position '%.200s' has domain %" PRIu32 " twice", text,
			               gtid.domain);
		enum err_code code = vector_advance(&vector, &gtid, err);
		if (code != ERR_OK)
			return code;
		skip_blanks(&p);
		if (*p == '\0')
			break;
		if (*p++ != ',')
			return err_set(err, ERR_MALFORMED, "GTID position '%.200s' lacks a comma at '%.40s'", text, p - 1);
		skip_blanks(&p);
		if (*p == '\0')
			return err_set(err, ERR_MALFORMED, "GTID position '%.200s' ends with a comma", text);
	}
	*ret_vector = vector;
	return ERR_OK;
}

void vector_format(const struct vector *vector, struct buf *to)
{
	char text[GTID_TEXT_MAX];
	for (uint32_t i = 0; i < vector->count; i++) {
		if (i > 0)
			buf_append_str(to, ",");
		buf_append_str(to, gtid_format(&vector->gtids[i], text));
	}
}

static void append_gtid(const struct gtid *gtid, size_t start, struct buf *to)
{
	char text[GTID_TEXT_MAX];
	buf_printf(to, "%s%s", to->size > start ? "," : "", gtid_format(gtid, text));
}

void vector_format_like(const struct vector *vector, const char *like, struct buf *to)
{
	size_t start = to->size;
	bool done[VECTOR_DOMAINS_MAX] = {false};
	for (const char *at = like; *at != '\0';) {
		uint32_t domain = (uint32_t)strtoul(at, NULL, 10);
		for (uint32_t i = 0; i < vector->count; i++) {
			if (vector->gtids[i].domain == domain && !done[i]) {
				append_gtid(&vector->gtids[i], start, to);
				done[i] = true;
			}
		}
		at += strcspn(at, ",");
		at += *at == ',';
	}
	for (uint32_t i = 0; i < vector->count; i++)
		if (!done[i])
			append_gtid(&vector->gtids[i], start, to);
}

void vector_encode(const struct vector *vector, struct buf *to)
{
	buf_append_varint(to, vector->count);
	for (uint32_t i = 0; i < vector->count; i++) {
		buf_append_varint(to, vector->gtids[i].domain);
		buf_append_varint(to, vector->gtids[i].server);
		buf_append_varint(to, vector->gtids[i].seq);
	}
}

enum err_code vector_decode(struct cursor *c, struct vector *ret_vector, struct err *err)
{
	struct vector vector = {0};
	uint64_t count = cursor_varint(c);
	if (count > VECTOR_DOMAINS_MAX)
		cursor_fail(c);
	for (uint64_t i = 0; cursor_ok(c) && i < count; i++) {
		uint64_t domain = cursor_varint(c), server = cursor_varint(c), seq = cursor_varint(c);
		bool ascends = i == 0 || domain > vector.gtids[i - 1].domain;
		if (domain > UINT32_MAX || server > UINT32_MAX || seq == 0 || !ascends)
			cursor_fail(c);
		else
			vector.gtids[vector.count++] =
			    (struct gtid){.domain = (uint32_t)domain, .server = (uint32_t)server, .seq = seq};
	}
	if (!cursor_ok(c))
		return err_set(err, ERR_MALFORMED, "a stored vector is damaged");
	*ret_vector = vector;
	return ERR_OK;
}
