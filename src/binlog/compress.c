#include "binlog/compress.h"

#include <zlib.h>

/* max_allowed_packet can't be higher, so no event and no value is larger. */
enum { INFLATED_MAX = 1 << 30 };

/* deflate can't do better than 258 bytes for 2 bits (zlib, "Maximum Compression Factor"), so a small event that claims
 * to hold gigabytes is a lie, found out before memory is taken. */
static bool plausible(size_t size, uint64_t original_size)
{
	return original_size / 1032 <= size;
}

enum err_code compress_inflate(const uint8_t *bytes, size_t size, bool raw, uint64_t original_size, size_t limit,
                               struct buf *to, struct err *err)
{
	if (limit > INFLATED_MAX)
		limit = INFLATED_MAX;
	/* Nothing is never compressed. */
	if (original_size == 0 || size > UINT32_MAX || !plausible(size, original_size))
		return err_set(err, ERR_MALFORMED, "%zu compressed bytes can't hold %llu bytes", size,
		               (unsigned long long)original_size);
	if (original_size > limit)
		return err_set(err, ERR_UNSUPPORTED, "%llu bytes when uncompressed, the limit is %zu",
		               (unsigned long long)original_size, limit);
	z_stream stream = {0};
	if (inflateInit2(&stream, raw ? -MAX_WBITS : MAX_WBITS) != Z_OK)
		return err_set(err, ERR_IO, "zlib refused to start: %s", stream.msg ? stream.msg : "no reason given");
	stream.next_out = buf_reserve(to, (size_t)original_size);
	stream.avail_out = (uInt)original_size;
	stream.next_in = (Bytef *)(uintptr_t)bytes;
	stream.avail_in = (uInt)size;
	int result = inflate(&stream, Z_FINISH);
	bool exact = result == Z_STREAM_END && stream.total_out == original_size && stream.avail_in == 0;
	inflateEnd(&stream);
	if (!exact)
		return err_set(err, ERR_MALFORMED, "compressed data is damaged or isn't the %llu bytes it says",
		               (unsigned long long)original_size);
	to->size += (size_t)original_size;
	return ERR_OK;
}

bool compress_deflate(const uint8_t *bytes, size_t size, size_t limit, struct buf *to)
{
	z_stream stream = {0};
	if (size > INFLATED_MAX || limit > INFLATED_MAX || limit == 0 ||
	    deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	stream.next_in = (Bytef *)(uintptr_t)bytes;
	stream.avail_in = (uInt)size;
	stream.next_out = buf_reserve(to, limit - 1);
	stream.avail_out = (uInt)(limit - 1);
	bool fits = deflate(&stream, Z_FINISH) == Z_STREAM_END;
	if (fits)
		to->size += stream.total_out;
	deflateEnd(&stream);
	return fits;
}
