/* Fuzzes src/merge/manifest. The input is the bytes of a manifest, as they stand in a row of syncline.links.
 *
 * What is read holds together, and written again and read again it is the same; its transactions are dealt out in
 * order. The bytes lie in memory of exactly their size, for ASan.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "merge/manifest.h"

enum { ROWS_TAKEN_MAX = 100000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static enum err_code decode(const uint8_t *bytes, size_t size, struct manifest *ret)
{
	uint8_t *exact = malloc(size ? size : 1);
	struct err err = {0};
	expect(exact != NULL);
	if (size > 0)
		memcpy(exact, bytes, size);
	enum err_code code = manifest_decode(exact, size, ret, &err);
	expect(code == ERR_OK || ((code == ERR_MALFORMED || code == ERR_UNSUPPORTED) && err.code == code &&
	                          err.message[0] != '\0' && ret->count == 0 && ret->writes.size == 0));
	free(exact);
	return code;
}

static void check_whole(const struct manifest *m)
{
	expect(m->count > 0 && m->count <= MANIFEST_TRANSACTIONS_MAX && m->context.count <= VECTOR_DOMAINS_MAX);
	expect(m->kind <= MANIFEST_REPAIRED && (manifest_has_writes(m) ? m->count == 1 : m->writes.size == 0));
	for (size_t i = 0; i < m->count; i++)
		expect(m->transactions[i].seq > (i ? m->transactions[i - 1].seq : 0) &&
		       (i + 1 == m->count || m->transactions[i].row_changes != MANIFEST_ALL_THE_REST));
	for (uint32_t i = 0; i < m->context.count; i++)
		expect(m->context.gtids[i].seq > 0 && (i == 0 || m->context.gtids[i].domain > m->context.gtids[i - 1].domain));
}

static bool same(const struct manifest *a, const struct manifest *b)
{
	bool equal = a->kind == b->kind && a->count == b->count && vector_equal(&a->context, &b->context) &&
	             a->writes.size == b->writes.size &&
	             (a->writes.size == 0 || memcmp(a->writes.data, b->writes.data, a->writes.size) == 0);
	for (size_t i = 0; equal && i < a->count; i++) {
		const struct manifest_transaction *x = &a->transactions[i], *y = &b->transactions[i];
		equal = x->seq == y->seq && x->time == y->time && x->server == y->server && x->row_changes == y->row_changes;
	}
	return equal;
}

static void check_again(const struct manifest *m)
{
	struct buf bytes = {0};
	struct manifest again = {0};
	manifest_encode(m, &bytes);
	expect(decode(bytes.data, bytes.size, &again) == ERR_OK && same(m, &again));
	manifest_free(&again);
	buf_free(&bytes);
}

static void check_reader(const struct manifest *m)
{
	struct manifest_reader reader;
	uint64_t last = 0;
	manifest_reader_start(&reader, m);
	for (int i = 0; i < ROWS_TAKEN_MAX; i++) {
		const struct manifest_transaction *t = manifest_reader_take(&reader);
		if (t == NULL) {
			expect(manifest_reader_done(&reader));
			return;
		}
		expect(t >= m->transactions && t < m->transactions + m->count && t->seq >= last);
		last = t->seq;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest m = {0};
	if (decode(data, size, &m) == ERR_OK) {
		check_whole(&m);
		check_again(&m);
		check_reader(&m);
	}
	manifest_free(&m);
	return 0;
}
