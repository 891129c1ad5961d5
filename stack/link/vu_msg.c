#include "stack/link/vu_msg.h"

#include <string.h>

/* "Header": request, flags, size of the payload; 4 bytes each. */
#define FLAG_VERSION_MASK 3
#define FLAG_VERSION 1
#define FLAG_REPLY 4
#define FLAG_NEED_REPLY 8

#define REGION_LEN 32
#define TABLE_HDR_LEN 8

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static struct vu_mem_region get_region(const uint8_t *p)
{
	return (struct vu_mem_region){.guest_addr = get64(p),
				      .len = get64(p + 8),
				      .user_addr = get64(p + 16),
				      .mmap_offset = get64(p + 24)};
}

static bool get_table(const uint8_t *p, uint32_t len, struct vu_mem_table *ret)
{
	if (len < TABLE_HDR_LEN)
		return false;
	ret->n = get32(p);
	if (ret->n > VU_TABLE_REGIONS_MAX || len < TABLE_HDR_LEN + ret->n * REGION_LEN)
		return false;
	for (uint32_t i = 0; i < ret->n; i++)
		ret->region[i] = get_region(p + TABLE_HDR_LEN + (size_t)i * REGION_LEN);
	return true;
}

/* "Single memory region description": 8 bytes of padding, then the region. */
static bool get_single_region(const uint8_t *p, uint32_t len, struct vu_mem_region *ret)
{
	if (len < TABLE_HDR_LEN + REGION_LEN)
		return false;
	*ret = get_region(p + TABLE_HDR_LEN);
	return true;
}

static bool get_payload(const uint8_t *p, uint32_t len, struct vu_msg *ret)
{
	switch (ret->request) {
	case VU_SET_FEATURES:
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
	case VU_SET_PROTOCOL_FEATURES:
	case VU_SEND_RARP:
	case VU_NET_SET_MTU:
		ret->u64 = len == 8 ? get64(p) : 0;
		return len == 8;
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_BASE:
	case VU_GET_VRING_BASE:
	case VU_SET_VRING_ENABLE:
		if (len == 8)
			ret->state = (struct vu_vring_state){get32(p), get32(p + 4)};
		return len == 8;
	case VU_SET_VRING_ADDR:
		if (len == 40)
			ret->addr =
			    (struct vu_vring_addr){get32(p),      get32(p + 4),  get64(p + 8),
						   get64(p + 16), get64(p + 24), get64(p + 32)};
		return len == 40;
	case VU_SET_LOG_BASE:
		/* Before LOG_SHMFD it was a bare address, which no other process can use. */
		if (len == 16)
			ret->log = (struct vu_log){get64(p), get64(p + 8)};
		return len == 16;
	case VU_SET_MEM_TABLE:
		return get_table(p, len, &ret->mem);
	case VU_ADD_MEM_REG:
	case VU_REM_MEM_REG:
		return get_single_region(p, len, &ret->region);
	default:
		return true;
	}
}

enum vu_verdict vu_msg_get(const uint8_t *bytes, size_t len, struct vu_msg *ret, size_t *ret_used)
{
	if (len < VU_HDR_LEN)
		return VU_NEED_MORE;

	uint32_t flags = get32(bytes + 4), size = get32(bytes + 8);

	if ((flags & FLAG_VERSION_MASK) != FLAG_VERSION || size > VU_PAYLOAD_MAX)
		return VU_BROKEN;
	if (len - VU_HDR_LEN < size)
		return VU_NEED_MORE;
	memset(ret, 0, sizeof(*ret));
	ret->request = get32(bytes);
	ret->need_reply = flags & FLAG_NEED_REPLY;
	if (!get_payload(bytes + VU_HDR_LEN, size, ret))
		return VU_BROKEN;
	*ret_used = VU_HDR_LEN + size;
	return VU_MSG;
}

static size_t reply(uint32_t request, const void *payload, uint8_t ret[VU_HDR_LEN + 8])
{
	uint32_t hdr[3] = {request, FLAG_VERSION | FLAG_REPLY, 8};

	memcpy(ret, hdr, sizeof(hdr));
	memcpy(ret + VU_HDR_LEN, payload, 8);
	return VU_HDR_LEN + 8;
}

size_t vu_reply_u64(uint32_t request, uint64_t value, uint8_t ret[VU_HDR_LEN + 8])
{
	return reply(request, &value, ret);
}

size_t vu_reply_state(uint32_t request, const struct vu_vring_state *state,
		      uint8_t ret[VU_HDR_LEN + 8])
{
	return reply(request, state, ret);
}
