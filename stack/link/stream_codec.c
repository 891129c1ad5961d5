#include "stack/link/stream_codec.h"

#include "stack/base/frame.h"
#include "stack/base/wire.h"

enum stream_verdict stream_next(const uint8_t *bytes, size_t len, uint32_t *ret_frame_len)
{
	struct wire_in in = wire_in(bytes, len);
	uint32_t frame_len = wire_get_u32(&in);

	if (in.bad) {
		*ret_frame_len = 0;
		return STREAM_NEED_MORE;
	}
	if (frame_len < FRAME_HDR_LEN || frame_len > FRAME_LEN_MAX)
		return STREAM_BROKEN;
	if (wire_left(&in) < frame_len) {
		*ret_frame_len = STREAM_PREFIX_LEN + frame_len;
		return STREAM_NEED_MORE;
	}
	*ret_frame_len = frame_len;
	return STREAM_FRAME;
}
