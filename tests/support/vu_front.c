#include "tests/support/vu_front.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void vu_front_memory(struct vu_front *f, size_t mem_len)
{
	memset(f, 0, sizeof(*f));
	f->mem_len = mem_len;
	f->mem_fd = memfd_create("guest", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(f->mem_fd, (off_t)mem_len), 0);
	f->mem = mmap(NULL, mem_len, PROT_READ | PROT_WRITE, MAP_SHARED, f->mem_fd, 0);
	ck_assert(f->mem != MAP_FAILED);
}

void vu_front_boot(struct vu_front *f, size_t mem_len, const struct vu_front_ring *rx,
		   const struct vu_front_ring *tx)
{
	size_t at;

	vu_front_memory(f, mem_len);
	at = vq_init(&f->rx, f->mem, 0, rx->size, rx->buffer_len);
	at = vq_init(&f->tx, f->mem, at, tx->size, tx->buffer_len);
	ck_assert_uint_le(at, mem_len);
	f->rings_n = 2;
	vq_offer_buffers(&f->rx, rx->size);
}

void vu_front_connect(struct vu_front *f, const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	ck_assert_int_eq(connect(f->fd, (struct sockaddr *)&name, sizeof(name)), 0);
}

void vu_front_say(struct vu_front *f, uint32_t request, const void *payload, uint32_t len, int fd)
{
	uint32_t hdr[3] = {request, 1, len};
	struct iovec iov[2] = {{hdr, sizeof(hdr)}, {(void *)(uintptr_t)payload, len}};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	ck_assert_int_eq(sendmsg(f->fd, &msg, MSG_NOSIGNAL), (int)(sizeof(hdr) + len));
}

void vu_front_say_u64(struct vu_front *f, uint32_t request, uint64_t value, int fd)
{
	vu_front_say(f, request, &value, sizeof(value), fd);
}

uint64_t vu_front_hear(struct vu_front *f)
{
	uint8_t reply[VU_HDR_LEN + 8];
	uint64_t value;

	ck_assert_int_eq(recv(f->fd, reply, sizeof(reply), MSG_WAITALL), (int)sizeof(reply));
	memcpy(&value, reply + VU_HDR_LEN, 8);
	return value;
}

uint64_t vu_front_ask(struct vu_front *f, uint32_t request, const void *payload, uint32_t len)
{
	vu_front_say(f, request, payload, len, -1);
	return vu_front_hear(f);
}

void vu_front_say_addr(struct vu_front *f, uint32_t ring, uint32_t flags)
{
	const struct vq_driver *vq = &f->ring[ring];
	struct vu_vring_addr addr = {.index = ring,
				     .flags = flags,
				     .desc = VU_FRONT_USER_BASE + vq_desc_at(vq),
				     .avail = VU_FRONT_USER_BASE + vq_avail_at(vq),
				     .used = VU_FRONT_USER_BASE + vq_used_at(vq),
				     .log = vq_guest_addr(vq, vq_used_at(vq))};

	vu_front_say(f, VU_SET_VRING_ADDR, &addr, sizeof(addr), -1);
}

static void say_ring(struct vu_front *f, uint32_t ring)
{
	const struct vq_driver *vq = &f->ring[ring];
	/* What QEMU says of a ring: as far as the used index the back-end has come. */
	struct vu_vring_state size = {ring, vq->size}, base = {ring, vq_used_idx(vq)},
			      enable = {ring, 1};

	f->kick[ring] = eventfd(0, EFD_NONBLOCK);
	f->call[ring] = eventfd(0, EFD_NONBLOCK);
	vu_front_say(f, VU_SET_VRING_NUM, &size, sizeof(size), -1);
	vu_front_say(f, VU_SET_VRING_BASE, &base, sizeof(base), -1);
	vu_front_say_addr(f, ring, 0);
	vu_front_say_u64(f, VU_SET_VRING_KICK, ring, f->kick[ring]);
	vu_front_say_u64(f, VU_SET_VRING_CALL, ring, f->call[ring]);
	vu_front_say(f, VU_SET_VRING_ENABLE, &enable, sizeof(enable), -1);
}

/* Memory below and above a hole is two regions of one file. */
static void say_memory(struct vu_front *f)
{
	size_t hole_at = f->ring[0].hole_at, len = hole_at ? hole_at : f->mem_len;
	struct {
		uint32_t n, padding;
		struct vu_mem_region region;
	} table = {1, 0, {VQ_GUEST_BASE, len, VU_FRONT_USER_BASE, 0}};
	struct {
		uint64_t padding;
		struct vu_mem_region region;
	} above = {0,
		   {vq_guest_addr(&f->ring[0], hole_at), f->mem_len - hole_at,
		    VU_FRONT_USER_BASE + hole_at, hole_at}};

	vu_front_say(f, VU_SET_MEM_TABLE, &table, sizeof(table), f->mem_fd);
	if (hole_at)
		vu_front_say(f, VU_ADD_MEM_REG, &above, sizeof(above), f->mem_fd);
}

void vu_front_attach(struct vu_front *f, uint64_t features)
{
	vu_front_say(f, VU_SET_OWNER, NULL, 0, -1);
	ck_assert_uint_eq(vu_front_ask(f, VU_GET_FEATURES, NULL, 0) & features, features);
	vu_front_say_u64(f, VU_SET_PROTOCOL_FEATURES, VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_LOG_SHMFD,
			 -1);
	vu_front_say_u64(f, VU_SET_FEATURES, features, -1);
	say_memory(f);
	for (uint32_t i = 0; i < f->rings_n; i++)
		say_ring(f, i);
	/* Messages are handled in order: what is sent on a ring before it is enabled is discarded.
	 */
	vu_front_ask(f, VU_GET_FEATURES, NULL, 0);
}

void vu_front_detach(struct vu_front *f)
{
	close(f->fd);
	for (unsigned i = 0; i < f->rings_n; i++) {
		close(f->kick[i]);
		close(f->call[i]);
	}
}

void vu_front_free(struct vu_front *f)
{
	munmap(f->mem, f->mem_len);
	close(f->mem_fd);
}

void vu_front_kick(const struct vu_front *f, unsigned ring)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(f->kick[ring], &one, sizeof(one)), (int)sizeof(one));
}

void vu_front_wait_for_used(struct vu_front *f, uint32_t *ret_id, uint32_t *ret_len)
{
	struct pollfd call = {.fd = f->call[VU_FRONT_RX], .events = POLLIN};
	uint64_t count;

	while (!vq_take_used(&f->rx, ret_id, ret_len)) {
		vq_set_used_event(&f->rx, f->rx.used_seen);
		if (vq_used_idx(&f->rx) != f->rx.used_seen)
			continue;
		ck_assert_int_eq(poll(&call, 1, VU_FRONT_WAIT_MS), 1);
		ck_assert_int_eq(read(call.fd, &count, sizeof(count)), (int)sizeof(count));
	}
}
