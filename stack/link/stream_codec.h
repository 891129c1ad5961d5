/* QEMU's stream framing (-netdev stream, socket): each frame behind its length as a big-endian u32.
 * Pure: finds frames in a buffer, no copy, no socket. */
#ifndef LWNAT_LINK_STREAM_CODEC_H
#define LWNAT_LINK_STREAM_CODEC_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_PREFIX_LEN 4 /* bytes */

enum stream_verdict {
	STREAM_FRAME,     /* *ret_frame_len bytes of frame follow the prefix at 'bytes' */
	STREAM_NEED_MORE, /* *ret_frame_len is how many bytes, prefix included, the next frame
			     needs; 0 if unknown */
	STREAM_BROKEN, /* a length no NIC sends (under 14 or over FRAME_LEN_MAX): the stream cannot
			  be resynchronised */
};

enum stream_verdict stream_next(const uint8_t *bytes, size_t len, uint32_t *ret_frame_len);

#endif
