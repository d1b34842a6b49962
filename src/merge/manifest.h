/* The manifest of a batch: what is needed to take the batch apart again.
 *
 * It is the first row that a batch writes, so that whoever reads this log, a peer or this node after a restart, knows the
 * transactions before their rows come. All of them have one origin (the group's GTID domain) and one context.
 * In bytes: version, context vector, count; for each transaction seq, commit time, server and row changes (varints, the
 * first three as differences). The last transaction's count is 0 when it was not known yet: it has all the rest.
 * Plain data in a growable array, owned by the struct.
 */
#ifndef SYNCLINE_MERGE_MANIFEST_H
#define SYNCLINE_MERGE_MANIFEST_H

#include "base/buf.h"
#include "binlog/gtid.h"

enum { MANIFEST_VERSION = 1, MANIFEST_TRANSACTIONS_MAX = 65536 };

struct manifest_transaction {
	uint64_t seq;
	uint32_t time; /* of the commit at its origin, seconds, as in the binlog */
	uint32_t server;
	uint64_t row_changes; /* 0: all that are left */
};

struct manifest {
	struct vector context;
	size_t count;
	size_t capacity;
	struct manifest_transaction *transactions;
};

void manifest_clear(struct manifest *manifest);
void manifest_free(struct manifest *manifest);
void manifest_add(struct manifest *manifest, const struct manifest_transaction *transaction);
void manifest_encode(const struct manifest *manifest, struct buf *to);
/* Into *ret, whose memory is used again. */
enum err_code manifest_decode(const uint8_t *bytes, size_t size, struct manifest *ret, struct err *err) ERR_MUST_CHECK;

/* Tells row change by row change, in the order of the log, whose it is. */
struct manifest_reader {
	const struct manifest *manifest; /* borrowed */
	size_t index;
	uint64_t taken; /* row changes of transactions[index] so far */
};
void manifest_reader_start(struct manifest_reader *reader, const struct manifest *manifest);
/* The transaction of the next row change, NULL when there are more row changes than the manifest knows of. */
const struct manifest_transaction *manifest_reader_take(struct manifest_reader *reader);
/* All row changes that the manifest counts were taken. */
bool manifest_reader_done(const struct manifest_reader *reader);

#endif
