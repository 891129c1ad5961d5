#include "stack/host/sockaddr.h"

#include "stack/base/wire.h"

#include <netinet/in.h>

static void put_port(in_port_t *field, uint16_t port)
{
	struct wire_out out = wire_out(field, sizeof(*field));

	wire_put_u16(&out, port);
}

static uint16_t get_port(const in_port_t *field)
{
	struct wire_in in = wire_in(field, sizeof(*field));

	return wire_get_u16(&in);
}

socklen_t host_sockaddr_from(const struct endpoint *from, struct sockaddr_storage *ret)
{
	if (addr_is_v4(&from->addr)) {
		struct sockaddr_in in = {.sin_family = AF_INET};

		put_port(&in.sin_port, from->port);
		memcpy(&in.sin_addr, from->addr.b + 12, sizeof(in.sin_addr));
		memcpy(ret, &in, sizeof(in));
		return sizeof(in);
	}
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	put_port(&in6.sin6_port, from->port);
	memcpy(&in6.sin6_addr, from->addr.b, sizeof(in6.sin6_addr));
	memcpy(ret, &in6, sizeof(in6));
	return sizeof(in6);
}

bool host_sockaddr_to(const struct sockaddr_storage *from, socklen_t len, struct endpoint *ret)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (len >= sizeof(in) && from->ss_family == AF_INET) {
		memcpy(&in, from, sizeof(in));
		*ret = (struct endpoint){.addr = addr_v4(0), .port = get_port(&in.sin_port)};
		memcpy(ret->addr.b + 12, &in.sin_addr, sizeof(in.sin_addr));
		return true;
	}
	if (len >= sizeof(in6) && from->ss_family == AF_INET6) {
		memcpy(&in6, from, sizeof(in6));
		memcpy(ret->addr.b, &in6.sin6_addr, sizeof(ret->addr.b));
		ret->port = get_port(&in6.sin6_port);
		return true;
	}
	return false;
}
