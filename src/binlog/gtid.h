/* GTIDs and vectors.
 *
 * A gtid names one transaction: domain-server-seq. A vector holds, for each domain, the last seq (and the server that
 * wrote it): MariaDB's @@gtid_binlog_pos, a stream's position, a context. Domains in a vector are distinct and
 * ascending. Plain data, copied by assignment; a node list is small, so a vector has fixed room.
 */
#ifndef SYNCLINE_BINLOG_GTID_H
#define SYNCLINE_BINLOG_GTID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"

enum { VECTOR_DOMAINS_MAX = 64, GTID_TEXT_MAX = 48 };

struct gtid {
	uint32_t domain;
	uint32_t server;
	uint64_t seq;
};

struct vector {
	uint32_t count;
	struct gtid gtids[VECTOR_DOMAINS_MAX];
};

/* "D-S-N"; the whole text must be one GTID. */
enum err_code gtid_parse(const char *text, struct gtid *ret_gtid, struct err *err) ERR_MUST_CHECK;
/* Writes "D-S-N" and returns text. */
const char *gtid_format(const struct gtid *gtid, char text[GTID_TEXT_MAX]);

/* The last seq of the domain, 0 if it is not in the vector. */
uint64_t vector_seq(const struct vector *vector, uint32_t domain);
bool vector_has(const struct vector *vector, const struct gtid *gtid);
/* Moves the gtid's domain to it when its seq is higher. ERR_UNSUPPORTED when there are more than VECTOR_DOMAINS_MAX. */
enum err_code vector_advance(struct vector *vector, const struct gtid *gtid, struct err *err) ERR_MUST_CHECK;
/* Every domain of `other` is at least as far in `vector`. */
bool vector_covers(const struct vector *vector, const struct vector *other);
bool vector_equal(const struct vector *a, const struct vector *b);
/* Domain by domain the lower seq; a domain that is absent from one is absent from the result. */
struct vector vector_min(const struct vector *a, const struct vector *b);
/* Domain by domain the higher. */
enum err_code vector_merge(struct vector *vector, const struct vector *other, struct err *err) ERR_MUST_CHECK;

/* MariaDB's text form "0-1-5,1-1-7", "" for none; blanks around commas are allowed. */
enum err_code vector_parse(const char *text, struct vector *ret_vector, struct err *err) ERR_MUST_CHECK;
void vector_format(const struct vector *vector, struct buf *to);
/* As vector_format, but with the domains in the order in which `like` has them; those it lacks come last. */
void vector_format_like(const struct vector *vector, const char *like, struct buf *to);
/* Compact binary form for the manifest. */
void vector_encode(const struct vector *vector, struct buf *to);
enum err_code vector_decode(struct cursor *c, struct vector *ret_vector, struct err *err) ERR_MUST_CHECK;

#endif
