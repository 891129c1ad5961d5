#include "stack/nat/policy.h"

static bool is_service_addr(const struct nat_config *config, const struct addr *a)
{
	for (unsigned i = 0; i < config->service_addrs_n; i++) {
		if (addr_eq(a, &config->service_addrs[i]))
			return true;
	}
	return false;
}

bool policy_is_host_or_dns(const struct nat_config *config, const struct addr *a)
{
	return addr_is_v4(a) ? addr_eq(a, &config->host4) || addr_eq(a, &config->dns4)
			     : addr_eq(a, &config->host6) || addr_eq(a, &config->dns6) ||
				   addr_eq(a, &config->linklocal6);
}

bool policy_is_gateway(const struct nat_config *config, const struct addr *a)
{
	if (addr_is_v4(a) ? !config->ipv4 : !config->ipv6)
		return false;
	return policy_is_host_or_dns(config, a) || is_service_addr(config, a);
}

bool policy_is_dns(const struct nat_config *config, const struct addr *a)
{
	return addr_eq(a, addr_is_v4(a) ? &config->dns4 : &config->dns6);
}

static const struct subnet *own_net(const struct nat_config *config, const struct addr *a)
{
	return addr_is_v4(a) ? &config->net4 : &config->net6;
}

/* 0.0.0.0/8 (RFC 791 "this network"), 240/4 and the limited broadcast. */
static bool is_reserved_v4(const struct addr *a)
{
	return addr_is_v4(a) && (a->b[12] == 0 || a->b[12] >= 240);
}

/* ::/96, the long gone "IPv4-compatible" addresses (RFC 4291 section 2.5.5.1). */
static bool is_reserved_v6(const struct addr *a)
{
	static const uint8_t zero[12];

	return memcmp(a->b, zero, sizeof(zero)) == 0;
}

bool policy_source_ok(const struct nat_config *config, const struct addr *src)
{
	if (addr_is_unspecified(src) || addr_is_loopback(src) || addr_is_multicast(src) ||
	    is_reserved_v4(src) || is_reserved_v6(src))
		return false;
	if (policy_is_gateway(config, src))
		return false;
	return !subnet_is_broadcast(own_net(config, src), src);
}

enum policy_verdict policy_outbound(const struct nat_config *config,
				    const struct endpoint *guest_dst, struct endpoint *ret_host)
{
	const struct addr *dst = &guest_dst->addr;
	bool v4 = addr_is_v4(dst);

	if (addr_is_unspecified(dst) || addr_is_loopback(dst) || addr_is_multicast(dst) ||
	    is_reserved_v4(dst) || is_reserved_v6(dst))
		return POLICY_DROP;
	if (policy_is_gateway(config, dst)) {
		const struct addr *host = v4 ? &config->host4 : &config->host6;
		if (config->restrict_guests || !config->host_loopback ||
		    !(addr_eq(dst, host) || addr_eq(dst, &config->linklocal6)))
			return POLICY_GATEWAY;
		ret_host->addr = v4 ? addr_v4(0x7f000001) : (struct addr){.b = {[15] = 1}};
		ret_host->port = guest_dst->port;
		return POLICY_HOST;
	}
	if (subnet_is_broadcast(own_net(config, dst), dst))
		return POLICY_DROP;
	if (config->restrict_guests)
		return POLICY_FORBIDDEN;
	/* The guest's link ends here; what is link-local on the host's needs the name of an
	 * interface. */
	if (!v4 && addr_is_link_local(dst))
		return POLICY_UNREACHABLE;
	/* An address of the virtual network is a guest's; a frame for it is sent to that guest, not
	 * to us. */
	if (subnet_contains(own_net(config, dst), dst))
		return POLICY_UNREACHABLE;
	*ret_host = *guest_dst;
	return POLICY_HOST;
}

struct addr policy_gateway_for(const struct nat_config *config, const struct addr *guest)
{
	if (addr_is_v4(guest))
		return config->host4;
	return addr_is_link_local(guest) ? config->linklocal6 : config->host6;
}

bool policy_scope_ok(const struct nat_config *config, const struct addr *src,
		     const struct addr *dst)
{
	return !addr_is_link_local(src) || addr_is_multicast(dst) || addr_is_link_local(dst) ||
	       policy_is_gateway(config, dst);
}

struct addr policy_peer_seen(const struct nat_config *config, const struct addr *host_peer,
			     const struct addr *guest)
{
	bool v4 = addr_is_v4(guest);

	if (v4 != addr_is_v4(host_peer) || addr_is_loopback(host_peer) ||
	    addr_is_unspecified(host_peer) || addr_is_link_local(host_peer) ||
	    subnet_contains(own_net(config, guest), host_peer))
		return policy_gateway_for(config, guest);
	return *host_peer;
}
