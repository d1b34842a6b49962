/* zlib data, which MariaDB puts into its log in two places, compressed events and compressed columns.
 *
 * When it is read, the writer says the original size beforehand; that size is checked for plausibility before any
 * memory is taken for it.
 */
#ifndef SYNCLINE_BINLOG_COMPRESS_H
#define SYNCLINE_BINLOG_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends exactly `original_size` bytes, what the `size` bytes inflate to, all of them used; ERR_MALFORMED if that
 * isn't so, ERR_UNSUPPORTED if original_size is above the limit. `raw`: without zlib's header and checksum. Nothing is
 * appended on failure. */
enum err_code compress_inflate(const uint8_t *bytes, size_t size, bool raw, uint64_t original_size, size_t limit,
                               struct buf *to, struct err *err) ERR_MUST_CHECK;

/* Appends the raw deflate data of these bytes if that is less than `limit` bytes; false, and nothing is appended, if
 * not. */
bool compress_deflate(const uint8_t *bytes, size_t size, size_t limit, struct buf *to);

#endif
