/* Reading and writing wire formats: bounded cursors that remember their first error.
 * Integers are big-endian outside and host order inside; no other file calls htons(). */
#ifndef LWNAT_BASE_WIRE_H
#define LWNAT_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A reader over [at, end). Once 'bad' is set every further get returns 0 or NULL; test it once at
 * the end. */
struct wire_in {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

/* A writer into [start, end). Once 'bad' is set (it did not fit) nothing more is written. */
struct wire_out {
	uint8_t *start;
	uint8_t *at;
	uint8_t *end;
	bool bad;
};

static inline struct wire_in wire_in(const void *bytes, size_t len)
{
	return (struct wire_in){bytes, (const uint8_t *)bytes + len, false};
}

static inline struct wire_out wire_out(void *bytes, size_t len)
{
	return (struct wire_out){bytes, bytes, (uint8_t *)bytes + len, false};
}

static inline size_t wire_left(const struct wire_in *in)
{
	return in->bad ? 0 : (size_t)(in->end - in->at);
}

/* The next 'len' bytes, or NULL (and bad) when there are not that many. The bytes stay the
 * buffer's. */
static inline const uint8_t *wire_get(struct wire_in *in, size_t len)
{
	if (in->bad || (size_t)(in->end - in->at) < len) {
		in->bad = true;
		return NULL;
	}
	in->at += len;
	return in->at - len;
}

static inline uint8_t wire_get_u8(struct wire_in *in)
{
	const uint8_t *p = wire_get(in, 1);
	return p ? p[0] : 0;
}

static inline uint16_t wire_get_u16(struct wire_in *in)
{
	const uint8_t *p = wire_get(in, 2);
	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t wire_get_u32(struct wire_in *in)
{
	const uint8_t *p = wire_get(in, 4);
	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline void wire_skip(struct wire_in *in, size_t len)
{
	(void)wire_get(in, len);
}

/* Copies 'len' bytes to 'ret'; zeroes there when they are missing. */
static inline void wire_get_bytes(struct wire_in *in, void *ret, size_t len)
{
	const uint8_t *p = wire_get(in, len);
	if (p)
		memcpy(ret, p, len);
	else
		memset(ret, 0, len);
}

/* A reader over the next 'len' bytes alone; it starts bad when they are missing. */
static inline struct wire_in wire_get_in(struct wire_in *in, size_t len)
{
	const uint8_t *p = wire_get(in, len);
	return p ? wire_in(p, len) : (struct wire_in){NULL, NULL, true};
}

static inline size_t wire_len(const struct wire_out *out)
{
	return (size_t)(out->at - out->start);
}

/* Room for 'len' bytes that the caller fills, or NULL (and bad). */
static inline uint8_t *wire_put(struct wire_out *out, size_t len)
{
	if (out->bad || (size_t)(out->end - out->at) < len) {
		out->bad = true;
		return NULL;
	}
	out->at += len;
	return out->at - len;
}

static inline void wire_put_u8(struct wire_out *out, uint8_t v)
{
	uint8_t *p = wire_put(out, 1);
	if (p)
		p[0] = v;
}

static inline void wire_put_u16(struct wire_out *out, uint16_t v)
{
	uint8_t *p = wire_put(out, 2);
	if (p) {
		p[0] = (uint8_t)(v >> 8);
		p[1] = (uint8_t)v;
	}
}

static inline void wire_put_u32(struct wire_out *out, uint32_t v)
{
	wire_put_u16(out, (uint16_t)(v >> 16));
	wire_put_u16(out, (uint16_t)v);
}

static inline void wire_put_bytes(struct wire_out *out, const void *bytes, size_t len)
{
	uint8_t *p = wire_put(out, len);
	if (p && len)
		memcpy(p, bytes, len);
}

static inline void wire_put_zero(struct wire_out *out, size_t len)
{
	uint8_t *p = wire_put(out, len);
	if (p)
		memset(p, 0, len);
}

/* The same without a cursor, for headers that are rewritten in place: the caller knows the room. */
static inline void wire_set_u16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline void wire_set_u32(uint8_t *at, uint32_t v)
{
	wire_set_u16(at, (uint16_t)(v >> 16));
	wire_set_u16(at + 2, (uint16_t)v);
}

/* Overwrites two bytes already written at 'offset' from the start: for lengths and checksums known
 * late. */
static inline void wire_patch_u16(struct wire_out *out, size_t offset, uint16_t v)
{
	if (out->bad || offset + 2 > wire_len(out)) {
		out->bad = true;
		return;
	}
	out->start[offset] = (uint8_t)(v >> 8);
	out->start[offset + 1] = (uint8_t)v;
}

#endif
