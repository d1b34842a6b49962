/* The manifest of a group in a node's log: what stands there, where that isn't plain.
 *
 * It is the first row that the group writes, so that whoever reads this log, a peer or this node after a restart, knows what comes
 * before the rows do:
 *
 *   MANIFEST_APPLIED    a batch: the rows are those of these transactions, one behind the other
 *   MANIFEST_RESOLVED   one transaction that met writes it didn't know of: `writes` are its own rows, as events; the rows behind the
 *                       manifest are what this node did instead, for itself and for MariaDB's own replicas
 *   MANIFEST_REPAIRED   the same of one that met rows which are in no log; a row that it deletes is gone behind it, and where the rows
 *                       behind it don't say so it was gone before
 *   MANIFEST_SHOWN      of this node's own: it shows rows that it had held back. Nothing in it is a write; it tells peers what
 *                       this node has, and may be for nothing else
 *
 * All transactions have one origin (the group's GTID domain) and one context.
 * In bytes: version, kind, context vector, count; for each transaction seq, time, server and row changes + 1 (varints, the
 * first three as differences; 0: the last one's count was not known yet, it has all the rest); then the writes.
 * Plain data in growable arrays, owned by the struct.
 */
#ifndef SYNCLINE_MERGE_MANIFEST_H
#define SYNCLINE_MERGE_MANIFEST_H

#include "base/buf.h"
#include "binlog/gtid.h"

enum { MANIFEST_VERSION = 2, MANIFEST_TRANSACTIONS_MAX = 65536 };
#define MANIFEST_ALL_THE_REST UINT64_MAX

enum manifest_kind { MANIFEST_APPLIED, MANIFEST_RESOLVED, MANIFEST_SHOWN, MANIFEST_REPAIRED };

struct manifest_transaction {
	uint64_t seq;
	uint32_t time; /* of its stamp (merge/stamp.h), seconds; of a node's own transactions every reader derives it */
	uint32_t server;
	uint64_t row_changes; /* MANIFEST_ALL_THE_REST: of the last one, all that are left */
};

struct manifest {
	enum manifest_kind kind;
	struct vector context;
	size_t count;
	size_t capacity;
	struct manifest_transaction *transactions;
	struct buf
	    writes; /* of MANIFEST_RESOLVED and MANIFEST_REPAIRED: table map and rows events without checksums, one behind the other */
};

static inline bool manifest_has_writes(const struct manifest *manifest)
{
	return manifest->kind == MANIFEST_RESOLVED || manifest->kind == MANIFEST_REPAIRED;
}
void manifest_clear(struct manifest *manifest); /* to an empty MANIFEST_APPLIED */
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
