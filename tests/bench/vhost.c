#include "tests/bench/vhost.h"

#include "tests/bench/tap.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
};

enum { VERSION = 1, REPLY = 4, REPLY_MASK = 7 };

#define F_PROTOCOL_FEATURES (UINT64_C(1) << 30)

struct header {
	uint32_t request, flags, len;
};

struct mem_table { /* of one region */
	uint32_t n, padding;
	uint64_t guest_addr, len, user_addr, mmap_offset;
};

/* 'fd': goes along when it is one. */
static void tell(int sock, struct header hdr, const void *payload, int fd)
{
	struct iovec iov[] = {{&hdr, sizeof(hdr)}, {(void *)(uintptr_t)payload, hdr.len}};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	hdr.flags = VERSION;
	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) != (ssize_t)(sizeof(hdr) + hdr.len))
		die("vhost-user socket");
}

static void tell_u64(int sock, enum request request, uint64_t value, int fd)
{
	tell(sock, (struct header){.request = request, .len = sizeof(value)}, &value, fd);
}

static void tell_state(int sock, enum request request, uint32_t index, uint32_t num)
{
	struct vhost_vring_state state = {.index = index, .num = num};

	tell(sock, (struct header){.request = request, .len = sizeof(state)}, &state, -1);
}

static uint64_t ask(int sock, enum request request)
{
	struct header hdr;
	uint64_t value;

	tell(sock, (struct header){.request = request}, NULL, -1);
	errno = EPROTO;
	if (recv(sock, &hdr, sizeof(hdr), MSG_WAITALL) != sizeof(hdr) || hdr.request != request ||
	    (hdr.flags & REPLY_MASK) != (VERSION | REPLY) || hdr.len != sizeof(value) ||
	    recv(sock, &value, sizeof(value), MSG_WAITALL) != sizeof(value))
		die("vhost-user reply");
	return value;
}

uint64_t vhost_negotiate(int sock, uint64_t wanted, uint64_t *ret_offered)
{
	uint64_t offered, agreed;

	tell(sock, (struct header){.request = SET_OWNER}, NULL, -1);
	offered = ask(sock, GET_FEATURES);
	agreed = offered & (wanted | F_PROTOCOL_FEATURES);
	if (offered & F_PROTOCOL_FEATURES) {
		ask(sock, GET_PROTOCOL_FEATURES);
		tell_u64(sock, SET_PROTOCOL_FEATURES, 0, -1); /* two rings need none */
	}
	tell_u64(sock, SET_FEATURES, agreed, -1);
	*ret_offered = offered;
	return agreed;
}

struct shared_memory vhost_memory_new(int sock, size_t len)
{
	struct shared_memory mem = {.fd = memfd_create("guest", MFD_CLOEXEC), .len = len};
	struct mem_table table = {.n = 1, .guest_addr = VHOST_GUEST_BASE, .len = len};

	if (mem.fd < 0 || ftruncate(mem.fd, (off_t)len) < 0)
		die("guest memory");
	mem.bytes = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, mem.fd, 0);
	if (mem.bytes == MAP_FAILED)
		die("guest memory");
	table.user_addr = (uintptr_t)mem.bytes;
	tell(sock, (struct header){.request = SET_MEM_TABLE, .len = sizeof(table)}, &table, mem.fd);
	return mem;
}

void vhost_ring_start(int sock, uint32_t index, const struct ring *ring)
{
	struct vhost_vring_addr addr = {
	    .index = index,
	    .desc_user_addr = (uintptr_t)ring->v.desc,
	    .used_user_addr = (uintptr_t)ring->v.used,
	    .avail_user_addr = (uintptr_t)ring->v.avail,
	};

	tell_state(sock, SET_VRING_NUM, index, ring->v.num);
	tell_state(sock, SET_VRING_BASE, index, 0);
	tell(sock, (struct header){.request = SET_VRING_ADDR, .len = sizeof(addr)}, &addr, -1);
	tell_u64(sock, SET_VRING_CALL, index, ring->call_fd);
	tell_u64(sock, SET_VRING_KICK, index, ring->kick_fd);
	tell_state(sock, SET_VRING_ENABLE, index, 1);
}
