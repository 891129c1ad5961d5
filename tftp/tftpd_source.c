#include "tftp/tftpd_source.h"

#define RAW_LEN 512 /* bytes read at once and turned into netascii */

/* Turns raw bytes into netascii until either ends; returns how many of 'out' are filled. */
static size_t convert(struct tftpd_place *place, const uint8_t *raw, size_t raw_len, uint8_t *out,
		      size_t out_len)
{
	size_t used = 0, made = 0;

	while (made < out_len && (place->has_second || used < raw_len)) {
		if (place->has_second) {
			out[made++] = place->second;
			place->has_second = false;
			continue;
		}
		place->has_second = raw[used] == '\n' || raw[used] == '\r';
		place->second = raw[used] == '\n' ? '\n' : '\0';
		out[made++] = place->has_second ? '\r' : raw[used];
		used++;
	}
	place->offset += used;
	return made;
}

static long read_netascii(const struct tftpd_source *s, struct tftpd_place *place, uint8_t *bytes,
			  size_t len)
{
	uint8_t raw[RAW_LEN];
	size_t made = 0;

	while (made < len) {
		size_t want = len - made < sizeof(raw) ? len - made : sizeof(raw);
		long got = s->files->read(s->ctx, s->file, place->offset, raw, want);

		if (got < 0)
			return got;
		if (got == 0 && !place->has_second)
			break;
		made += convert(place, raw, (size_t)got, bytes + made, len - made);
	}
	return (long)made;
}

long tftpd_source_read(const struct tftpd_source *source, struct tftpd_place *place, uint8_t *bytes,
		       size_t len)
{
	long got;

	if (source->netascii)
		return read_netascii(source, place, bytes, len);
	got = source->files->read(source->ctx, source->file, place->offset, bytes, len);
	if (got > 0)
		place->offset += (uint64_t)got;
	return got;
}
