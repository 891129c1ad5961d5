/* The framing of a stream guest: however the bytes are cut, the same frames come out, each of a
 * length a NIC sends and inside the buffer. */
#include "stack/link/stream_codec.h"

#include "stack/base/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
	if (!truth)
		abort();
}

/* Where the frames end when the bytes come whole. Returns the verdict that stopped the walk. */
static enum stream_verdict walk(const uint8_t *data, size_t size, size_t *ret_at)
{
	enum stream_verdict verdict;
	uint32_t len;
	size_t at = 0;

	while ((verdict = stream_next(data + at, size - at, &len)) == STREAM_FRAME) {
		expect(len >= FRAME_HDR_LEN && len <= FRAME_LEN_MAX);
		expect(len <= size - at - STREAM_PREFIX_LEN);
		at += STREAM_PREFIX_LEN + len;
	}
	if (verdict == STREAM_NEED_MORE)
		expect(len == 0 ? size - at < STREAM_PREFIX_LEN
				: len > size - at && len <= STREAM_PREFIX_LEN + FRAME_LEN_MAX);
	*ret_at = at;
	return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t whole_at, at = 0, step = size ? data[size - 1] % 61 + 1u : 1, have = 0;
	enum stream_verdict whole = walk(data, size, &whole_at);
	enum stream_verdict verdict = STREAM_NEED_MORE;

	while (verdict == STREAM_NEED_MORE && have < size) {
		have = size - have < step ? size : have + step;
		/* An exact copy, so that a read past its end is seen. */
		uint8_t *copy = malloc(have - at ? have - at : 1);
		expect(copy != NULL);
		memcpy(copy, data + at, have - at);
		size_t used;
		verdict = walk(copy, have - at, &used);
		at += used;
		free(copy);
	}
	expect(at == whole_at && (size == 0 || verdict == whole));
	return 0;
}
