#include "dhcp/dhcp6_msg.h"

#include "dhcp/dhcp6_name.h"
#include "dhcp/dhcpd_msg.h"

#include <string.h>

#define OPTIONS_MAX 64 /* of one message that are looked at: none has a tenth of it */
#define IA_HEAD 12     /* bytes: IAID, T1, T2 */

static bool once(bool *seen)
{
	bool first = !*seen;

	*seen = true;
	return first;
}

/* RFC 8415 section 11.1: not interpreted, only bounded. */
static bool read_duid(struct wire_in value, const uint8_t **ret, uint16_t *ret_len)
{
	size_t len = wire_left(&value);

	if (*ret || len < DHCPD6_DUID_MIN || len > DHCPD6_DUID_MAX)
		return false;
	*ret = wire_get(&value, len);
	*ret_len = (uint16_t)len;
	return true;
}

/* The addresses within an IA_NA; its other options mean nothing from a client. */
static bool read_ia(struct dhcpd6_request *r, struct wire_in value)
{
	struct dhcpd6_ia *ia = &r->ias[r->ias_n];

	if (r->ias_n == DHCPD6_IAS_MAX) {
		r->has_other_ia = true;
		return true;
	}
	*ia = (struct dhcpd6_ia){.iaid = wire_get_u32(&value)};
	wire_skip(&value, 8);
	for (unsigned i = 0; i < OPTIONS_MAX && wire_left(&value) > 0; i++) {
		uint16_t code = wire_get_u16(&value);
		struct wire_in inner = wire_get_in(&value, wire_get_u16(&value));
		struct addr addr;

		if (inner.bad)
			return false;
		if (code != DHCPD6_OPT_IA_ADDR)
			continue;
		wire_get_bytes(&inner, addr.b, sizeof(addr.b));
		wire_skip(&inner, 8);
		if (inner.bad)
			return false;
		if (ia->addrs_n < DHCPD6_IA_ADDRS_MAX)
			ia->addrs[ia->addrs_n++] = addr;
	}
	for (unsigned i = 0; i < r->ias_n; i++) {
		if (r->ias[i].iaid == ia->iaid) /* said twice: the first one counts */
			return !value.bad;
	}
	r->ias_n++;
	return !value.bad;
}

static bool read_pd(struct dhcpd6_request *r, struct wire_in value)
{
	uint32_t iaid = wire_get_u32(&value);

	wire_skip(&value, IA_HEAD - 4);
	if (r->pd_n < DHCPD6_IAS_MAX)
		r->pd_iaids[r->pd_n++] = iaid;
	return !value.bad;
}

static bool read_oro(struct dhcpd6_request *r, struct wire_in value)
{
	r->has_oro = true;
	while (wire_left(&value) > 0) {
		uint16_t code = wire_get_u16(&value);

		if (code < 256)
			r->asked[code / 8] |= (uint8_t)(1u << code % 8);
	}
	return !value.bad;
}

static bool read_fqdn(struct dhcpd6_request *r, struct wire_in value)
{
	char label[64];

	r->has_fqdn = true;
	r->fqdn_flags = wire_get_u8(&value);
	if (value.bad || !dhcpd6_name_label(value, label))
		return false;
	dhcpd_hostname_clean(label, strlen(label), r->hostname);
	return true;
}

static bool read_archs(struct dhcpd6_request *r, struct wire_in value)
{
	while (wire_left(&value) > 0) {
		uint16_t arch = wire_get_u16(&value);

		if (!value.bad && r->boot.archs_n < DHCPD6_ARCHS_MAX)
			r->boot.archs[r->boot.archs_n++] = arch;
	}
	return !value.bad;
}

/* RFC 8415 section 21.16; "HTTPClient:Arch:00016:UNDI:003001" is UEFI's way of asking for a URL. */
static bool read_vendor_class(struct dhcpd6_request *r, struct wire_in value)
{
	static const char http[] = "HTTPClient";
	uint32_t enterprise = wire_get_u32(&value);

	while (wire_left(&value) > 0) {
		struct wire_in text = wire_get_in(&value, wire_get_u16(&value));
		const uint8_t *p = wire_get(&text, sizeof(http) - 1);

		if (p && memcmp(p, http, sizeof(http) - 1) == 0) {
			r->boot.http = true;
			r->enterprise = enterprise;
		}
	}
	return !value.bad;
}

static bool read_option(struct dhcpd6_request *r, uint16_t code, struct wire_in value)
{
	switch (code) {
	case DHCPD6_OPT_CLIENT_ID:
		return read_duid(value, &r->client_id, &r->client_id_len);
	case DHCPD6_OPT_SERVER_ID:
		return read_duid(value, &r->server_id, &r->server_id_len);
	case DHCPD6_OPT_IA_NA:
		return read_ia(r, value);
	case DHCPD6_OPT_IA_TA:
		r->has_other_ia = true;
		return true;
	case DHCPD6_OPT_IA_PD:
		return read_pd(r, value);
	case DHCPD6_OPT_ORO:
		return once(&r->has_oro) && read_oro(r, value);
	case DHCPD6_OPT_RAPID_COMMIT:
		r->rapid_commit = true;
		return wire_left(&value) == 0;
	case DHCPD6_OPT_VENDOR_CLASS:
		return read_vendor_class(r, value);
	case DHCPD6_OPT_FQDN:
		return once(&r->has_fqdn) && read_fqdn(r, value);
	case DHCPD6_OPT_ARCH:
		return read_archs(r, value);
	default:
		return true;
	}
}

bool dhcpd6_request_read(struct wire_in message, struct dhcpd6_request *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->type = wire_get_u8(&message);
	ret->xid = (uint32_t)wire_get_u8(&message) << 16;
	ret->xid |= wire_get_u16(&message);
	for (unsigned i = 0; wire_left(&message) > 0; i++) {
		uint16_t code = wire_get_u16(&message);
		struct wire_in value = wire_get_in(&message, wire_get_u16(&message));

		if (value.bad || i == OPTIONS_MAX || !read_option(ret, code, value))
			return false;
	}
	return !message.bad;
}

bool dhcpd6_is_asked(const struct dhcpd6_request *request, uint16_t code)
{
	return code < 256 && (request->asked[code / 8] >> code % 8 & 1);
}

/* ---- writing ---- */

size_t dhcpd6_begin(struct wire_out *out, uint16_t code)
{
	wire_put_u16(out, code);
	wire_put_u16(out, 0);
	return wire_len(out);
}

void dhcpd6_end(struct wire_out *out, size_t begun)
{
	if (!out->bad)
		wire_patch_u16(out, begun - 2, (uint16_t)(wire_len(out) - begun));
}

void dhcpd6_put(struct wire_out *out, uint16_t code, const void *value, size_t len)
{
	wire_put_u16(out, code);
	wire_put_u16(out, (uint16_t)len);
	wire_put_bytes(out, value, len);
}

void dhcpd6_put_status(struct wire_out *out, enum dhcpd6_status status, const char *text)
{
	size_t begun = dhcpd6_begin(out, DHCPD6_OPT_STATUS);

	wire_put_u16(out, (uint16_t)status);
	wire_put_bytes(out, text, strlen(text));
	dhcpd6_end(out, begun);
}
