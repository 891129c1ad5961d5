#include "stack/host/host_internal.h"
#include "stack/host/sockaddr.h"

#include <assert.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <linux/errqueue.h>

/* bytes per datagram: the longest there is, and an odd number of cache lines more, so that the
 * first lines of a batch's short datagrams do not all fall into one set of the cache. */
#define ROOM (65536 + 192)

int host_batch_init(struct host_batch *batch)
{
	batch->area = malloc((size_t)HOST_BATCH_MAX * ROOM);
	if (!batch->area)
		return -ENOMEM;
	for (unsigned i = 0; i < HOST_BATCH_MAX; i++) {
		struct msghdr *msg = &batch->msgs[i].msg_hdr;

		batch->iov[i] = (struct iovec){batch->area + (size_t)i * ROOM, ROOM};
		msg->msg_name = &batch->names[i];
		msg->msg_iov = &batch->iov[i];
		msg->msg_iovlen = 1;
		msg->msg_control = batch->control[i];
	}
	return 0;
}

void host_batch_fini(struct host_batch *batch)
{
	free(batch->area);
}

int host_batch_receive(struct host_batch *batch, int fd, unsigned first, unsigned max)
{
	int n;

	assert(first + max <= HOST_BATCH_MAX);
	for (unsigned i = first; i < first + max; i++) {
		batch->msgs[i].msg_hdr.msg_namelen = sizeof(batch->names[i]);
		batch->msgs[i].msg_hdr.msg_controllen = sizeof(batch->control[i]);
	}
	n = recvmmsg(fd, batch->msgs + first, max, MSG_DONTWAIT, NULL);
	return n < 0 ? -errno : n;
}

int host_datagram_prepare(int fd, bool v6)
{
	/* The host's kernel fragments what is too long for its path: a guest's 64 KiB datagram must
	 * leave although the guest knows its own link's MTU alone. */
	int v4_never = IP_PMTUDISC_DONT, v6_never = IPV6_PMTUDISC_DONT, on = 1;

	if (!v6) {
		if (setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4_never, sizeof(v4_never)) < 0)
			return -errno;
		return 0;
	}
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6_never, sizeof(v6_never)) < 0)
		return -errno;
	return 0;
}

int host_datagram_want_errors(int fd, bool v6)
{
	int on = 1, r;

	if (v6)
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
	else
		r = setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	return r < 0 ? -errno : 0;
}

int host_datagram_want_source(int fd, bool v6)
{
	int on = 1, r;

	if (v6)
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	else
		r = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	return r < 0 ? -errno : 0;
}

void host_datagram_want_segments(int fd)
{
	int on = 1;

	(void)setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
}

uint16_t host_batch_segment(struct host_batch *batch, unsigned i)
{
	struct msghdr *msg = &batch->msgs[i].msg_hdr;
	int len;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_UDP || cmsg->cmsg_type != UDP_GRO)
			continue;
		memcpy(&len, CMSG_DATA(cmsg), sizeof(len));
		return len > 0 && (unsigned)len < batch->msgs[i].msg_len ? (uint16_t)len : 0;
	}
	return 0;
}

bool host_batch_source(struct host_batch *batch, unsigned i, struct host_source *ret)
{
	struct msghdr *msg = &batch->msgs[i].msg_hdr;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
			*ret = (struct host_source){.addr = addr_v4(0)};
			memcpy(ret->addr.b + 12, &info.ipi_spec_dst, sizeof(info.ipi_spec_dst));
			return true;
		}
		if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
			*ret = (struct host_source){0};
			memcpy(ret->addr.b, &info.ipi6_addr, sizeof(ret->addr.b));
			if (addr_is_link_local(&ret->addr))
				ret->interface = info.ipi6_ifindex;
			return !addr_is_multicast(&ret->addr);
		}
	}
	return false;
}

/* Control messages of one send: at most a TTL and a source. */
struct control {
	_Alignas(struct cmsghdr) uint8_t
	    bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t)) + HOST_CONTROL_LEN];
	size_t len;
};

struct control_item {
	int level, type;
	const void *value;
	size_t len;
};

static void control_add(struct control *control, const struct control_item *item)
{
	struct cmsghdr header = {
	    .cmsg_len = CMSG_LEN(item->len), .cmsg_level = item->level, .cmsg_type = item->type};

	memcpy(control->bytes + control->len, &header, sizeof(header));
	memcpy(control->bytes + control->len + CMSG_LEN(0), item->value, item->len);
	control->len += CMSG_SPACE(item->len);
}

static void control_add_ttl(struct control *control, bool v4, int ttl)
{
	struct control_item item = {v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_HOPLIMIT,
				    &ttl, sizeof(ttl)};

	control_add(control, &item);
}

static void control_add_source(struct control *control, bool v4, const struct host_source *from)
{
	struct in_pktinfo info = {0};
	struct in6_pktinfo info6 = {.ipi6_ifindex = from->interface};
	struct control_item item = {IPPROTO_IP, IP_PKTINFO, &info, sizeof(info)};
	struct control_item item6 = {IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6)};

	memcpy(&info.ipi_spec_dst, from->addr.b + 12, sizeof(info.ipi_spec_dst));
	memcpy(&info6.ipi6_addr, from->addr.b, sizeof(info6.ipi6_addr));
	control_add(control, v4 ? &item : &item6);
}

int host_datagram_send(int fd, const struct host_datagram_out *out)
{
	struct control control = {0};
	struct sockaddr_storage name;
	struct msghdr msg = {
	    .msg_name = &name, .msg_iov = (struct iovec *)out->iov, .msg_iovlen = out->iov_n};
	bool v4 = addr_is_v4(&out->to.addr);

	if (addr_is_unspecified(&out->to.addr))
		return -ENETUNREACH; /* would go to the host's own loopback */
	msg.msg_namelen = host_sockaddr_from(&out->to, &name);
	if (out->ttl)
		control_add_ttl(&control, v4, out->ttl);
	if (out->from_given)
		control_add_source(&control, v4, &out->from);
	if (out->segment) {
		struct control_item item = {SOL_UDP, UDP_SEGMENT, &out->segment,
					    sizeof(out->segment)};
		control_add(&control, &item);
	}
	if (control.len) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = control.len;
	}
	/* An ICMP error about an earlier datagram makes one call fail, whatever that call is for;
	 * it stays in the error queue. */
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno != EAGAIN && sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	/* With errors wanted the kernel also tells of full device queues. */
	return errno == ENOBUFS || errno == ENOMEM ? -EAGAIN : -errno;
}

/* An error that the host's kernel found itself, as the router that it is towards the guest would
 * have put it (RFC 792, RFC 4443). */
static void local_error_to_icmp(int error, bool v4, struct host_datagram *ret)
{
	switch (error) {
	case EMSGSIZE:
		ret->icmp_type = v4 ? ICMP_DEST_UNREACH : ICMP6_PACKET_TOO_BIG;
		ret->icmp_code = v4 ? ICMP_FRAG_NEEDED : 0;
		return;
	case ECONNREFUSED:
		ret->icmp_code = v4 ? ICMP_PORT_UNREACH : ICMP6_DST_UNREACH_NOPORT;
		break;
	case ENETUNREACH:
		ret->icmp_code = v4 ? ICMP_NET_UNREACH : ICMP6_DST_UNREACH_NOROUTE;
		break;
	case EACCES:
	case EPERM:
		ret->icmp_code = v4 ? ICMP_PKT_FILTERED : ICMP6_DST_UNREACH_ADMIN;
		break;
	case ENOPROTOOPT:
		ret->icmp_code = v4 ? ICMP_PROT_UNREACH : ICMP6_DST_UNREACH_NOPORT;
		break;
	default:
		ret->icmp_code = v4 ? ICMP_HOST_UNREACH : ICMP6_DST_UNREACH_ADDR;
		break;
	}
	ret->icmp_type = v4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH;
}

static bool is_too_big(const struct host_datagram *d, bool v4)
{
	if (v4)
		return d->icmp_type == ICMP_DEST_UNREACH && d->icmp_code == ICMP_FRAG_NEEDED;
	return d->icmp_type == ICMP6_PACKET_TOO_BIG;
}

/* The kernel's description of an error, and after it the address of who reported it. false for what
 * is no ICMP error (a time stamp). */
static bool parse_error(const uint8_t *bytes, size_t len, struct host_datagram *ret)
{
	struct sock_extended_err error;
	struct sockaddr_storage offender = {0};
	struct endpoint offender_endpoint = {0};
	bool v4 = addr_is_v4(&ret->peer.addr);

	if (len < sizeof(error))
		return false;
	memcpy(&error, bytes, sizeof(error));
	len -= sizeof(error);
	if (len > sizeof(offender))
		len = sizeof(offender);
	memcpy(&offender, bytes + sizeof(error), len);
	switch (error.ee_origin) {
	case SO_EE_ORIGIN_LOCAL:
		local_error_to_icmp((int)error.ee_errno, v4, ret);
		break;
	case SO_EE_ORIGIN_ICMP:
	case SO_EE_ORIGIN_ICMP6:
		ret->icmp_type = error.ee_type;
		ret->icmp_code = error.ee_code;
		if (host_sockaddr_to(&offender, (socklen_t)len, &offender_endpoint))
			ret->offender = offender_endpoint.addr;
		break;
	default:
		return false;
	}
	ret->icmp_info = is_too_big(ret, v4) ? error.ee_info : 0;
	return true;
}

/* Takes one error from the queue into slot 'i' of the batch. 1, 0 when it was none to pass on, or
 * -EAGAIN when the queue is empty. */
static int receive_error(struct host_batch *batch, int fd, unsigned i, struct host_datagram *ret)
{
	_Alignas(struct cmsghdr) uint8_t
	    control[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6))];
	struct msghdr msg = {.msg_name = &batch->names[i],
			     .msg_namelen = sizeof(batch->names[i]),
			     .msg_iov = &batch->iov[i],
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);
	struct host_datagram found = {.kind = HOST_DATAGRAM_ERROR, .bytes = batch->iov[i].iov_base};

	if (n < 0)
		return -EAGAIN;
	found.len = (size_t)n;
	if (!host_sockaddr_to(&batch->names[i], msg.msg_namelen, &found.peer))
		return 0;
	/* "Unspecified" of the peer's family, until somebody is found to have reported it. */
	if (addr_is_v4(&found.peer.addr))
		found.offender = addr_v4(0);
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
		bool v4 = cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_RECVERR;
		bool v6 = cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_RECVERR;

		if ((v4 || v6) &&
		    parse_error(CMSG_DATA(cmsg), cmsg->cmsg_len - CMSG_LEN(0), &found)) {
			*ret = found;
			return 1;
		}
	}
	return 0;
}

/* How many of the datagrams that lie in the batch from slot 'first' on were stored in 'ret'. */
static unsigned store(struct host_batch *batch, unsigned first, unsigned n,
		      struct host_datagram *ret)
{
	unsigned stored = 0;

	for (unsigned i = first; i < first + n; i++) {
		struct host_datagram *d = &ret[stored];

		*d = (struct host_datagram){.kind = HOST_DATAGRAM_DATA,
					    .bytes = batch->iov[i].iov_base,
					    .len = batch->msgs[i].msg_len,
					    .segment = host_batch_segment(batch, i)};
		if (host_sockaddr_to(&batch->names[i], batch->msgs[i].msg_hdr.msg_namelen,
				     &d->peer))
			stored++;
	}
	return stored;
}

int host_datagram_recv(void *ctx, int handle, struct host_datagram *ret, unsigned max)
{
	struct host *host = ctx;
	struct host_slot *slot = host_slot_of(host, handle);
	unsigned n = 0; /* stored in 'ret', and slots of the batch in use */

	if (max > HOST_BATCH_MAX)
		max = HOST_BATCH_MAX;
	/* Twice each: a data read that fails tells of an error that came meanwhile. */
	for (unsigned tries = 2 * HOST_BATCH_MAX; n < max && tries; tries--) {
		int got;

		if (slot->flags & HOST_SLOT_ERRORS) {
			got = receive_error(&host->batch, handle, n, &ret[n]);
			if (got < 0)
				slot->flags &= (uint8_t)~HOST_SLOT_ERRORS;
			else
				n += (unsigned)got;
			continue;
		}
		if (slot->flags & HOST_SLOT_DRAINED)
			break;
		got = host_batch_receive(&host->batch, handle, n, max - n);
		if (got == -EAGAIN || (got >= 0 && (unsigned)got < max - n))
			slot->flags |= HOST_SLOT_DRAINED;
		if (got >= 0) {
			n += store(&host->batch, n, (unsigned)got, &ret[n]);
			break;
		}
		if (got != -EAGAIN)
			slot->flags |= HOST_SLOT_ERRORS;
	}
	return n ? (int)n : -EAGAIN;
}

void host_datagram_close(void *ctx, int handle)
{
	host_flush(ctx); /* what it has sent leaves, and its number may be another's next */
	host_unwatch_and_close(ctx, handle);
}
