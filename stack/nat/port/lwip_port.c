/* lwIP has one instance per process and no place for a context, so the few things it asks for live
 * in file scope: the random source and the time, both given by the nat that is alive. */
#include "stack/nat/port/lwip_port.h"
#include "stack/nat/port/port_state.h"

#include "stack/base/checksum.h"

#include "lwip/sys.h"

static struct rng *port_rng;
static struct siphash_key port_isn_key;
static uint64_t port_now_ms;

void port_state_set(struct rng *rng)
{
	port_rng = rng;
	if (rng) {
		port_isn_key.k[0] = rng_u64(rng);
		port_isn_key.k[1] = rng_u64(rng);
	}
}

void port_state_set_time(uint64_t now_ms)
{
	port_now_ms = now_ms;
}

uint32_t lwip_port_rand(void)
{
	return port_rng ? rng_u32(port_rng) : 0;
}

u32_t sys_now(void)
{
	return (u32_t)port_now_ms;
}

uint16_t lwip_port_chksum(const void *bytes, int len)
{
	/* lwIP wants the folded sum, not complemented, in network order. */
	uint16_t sum = (uint16_t)~checksum_finish(checksum_add(0, bytes, (size_t)len));
	return PP_HTONS(sum);
}

u32_t lwip_port_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
			u16_t remote_port)
{
	struct {
		ip_addr_t local, remote;
		uint16_t local_port, remote_port;
	} tuple;

	memset(&tuple, 0, sizeof(tuple)); /* padding is hashed too */
	tuple.local = *local_ip;
	tuple.remote = *remote_ip;
	tuple.local_port = local_port;
	tuple.remote_port = remote_port;
	/* RFC 6528 section 3: the clock advances by one every 4 microseconds. */
	return (u32_t)(siphash(&port_isn_key, &tuple, sizeof(tuple)) + port_now_ms * 250);
}

/* ip6_input(), which we never call, refers to this even when ICMPv6 is left out. */
void icmp6_param_problem(struct pbuf *p, int code, const void *pointer)
{
	(void)p;
	(void)code;
	(void)pointer;
}
