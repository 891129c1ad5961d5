/* vhost-user messages (QEMU, docs/interop/vhost-user.rst): bytes <-> struct. Pure; values are in
 * the machine's own byte order, as the two ends share a machine. */
#ifndef LWNAT_LINK_VU_MSG_H
#define LWNAT_LINK_VU_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VU_HDR_LEN 12
#define VU_FDS_MAX 8 /* "Memory region descriptors": in one message */
#define VU_TABLE_REGIONS_MAX 8
#define VU_PAYLOAD_MAX 512 /* bytes; no message that we negotiate is longer */

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SEND_RARP = 19,
	VU_NET_SET_MTU = 20,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
};

/* "Protocol features" */
#define VU_PROTOCOL_F_MQ (UINT64_C(1) << 0)
#define VU_PROTOCOL_F_LOG_SHMFD (UINT64_C(1) << 1)
#define VU_PROTOCOL_F_RARP (UINT64_C(1) << 2)
#define VU_PROTOCOL_F_REPLY_ACK (UINT64_C(1) << 3)
#define VU_PROTOCOL_F_NET_MTU (UINT64_C(1) << 4)
#define VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS (UINT64_C(1) << 15)
/* Among the virtio feature bits */
#define VHOST_F_LOG_ALL (UINT64_C(1) << 26)
#define VHOST_USER_F_PROTOCOL_FEATURES (UINT64_C(1) << 30)

#define VU_VRING_INDEX 0xff  /* of the u64 that comes with a ring's descriptor */
#define VU_VRING_NO_FD 0x100 /* "no descriptor comes along" */
#define VU_VRING_F_LOG 1     /* vring address flags: writes to the used ring are logged */

struct vu_vring_state {
	uint32_t index, num;
};

struct vu_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail; /* front-end addresses */
	uint64_t log;               /* guest address of the used ring, for the log */
};

struct vu_mem_region {
	uint64_t guest_addr, len, user_addr, mmap_offset;
};

struct vu_mem_table {
	uint32_t n;
	struct vu_mem_region region[VU_TABLE_REGIONS_MAX];
};

struct vu_log {
	uint64_t len, mmap_offset;
};

struct vu_msg {
	uint32_t request; /* enum vu_request, or what the front-end made up */
	bool need_reply;  /* wants an acknowledgement (REPLY_ACK) */
	union {
		uint64_t u64;
		struct vu_vring_state state;
		struct vu_vring_addr addr;
		struct vu_mem_table mem;
		struct vu_mem_region region;
		struct vu_log log;
	};
};

enum vu_verdict { VU_MSG, VU_NEED_MORE, VU_BROKEN };

/* The first message in 'bytes'. VU_MSG: *ret is filled and *ret_used bytes are done with. A request
 * that we do not know is a message too, without a payload. VU_BROKEN: wrong version, wrong length
 * for the request, or too long. */
enum vu_verdict vu_msg_get(const uint8_t *bytes, size_t len, struct vu_msg *ret, size_t *ret_used);

/* A reply to 'request': header and payload. Returns the bytes written to 'ret'. */
size_t vu_reply_u64(uint32_t request, uint64_t value, uint8_t ret[VU_HDR_LEN + 8]);
size_t vu_reply_state(uint32_t request, const struct vu_vring_state *state,
		      uint8_t ret[VU_HDR_LEN + 8]);

#endif
