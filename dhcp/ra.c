#include "dhcp/ra.h"

#include "dhcp/dhcp6_name.h"

#include <errno.h>
#include <stdlib.h>

#define TYPE_RA 134
#define OPT_SOURCE_MAC 1
#define OPT_PREFIX 3
#define OPT_MTU 5
#define OPT_RDNSS 25
#define OPT_DNSSL 31
#define FLAG_MANAGED 0x80
#define FLAG_OTHER 0x40
#define PREFIX_ON_LINK 0x80
#define PREFIX_AUTONOMOUS 0x40

/* RFC 4861 sections 6.2.1 and 10. */
#define INTERVAL_MAX_MS 600000
#define INTERVAL_MIN_MS 200000 /* 0.33 * the above */
#define INITIAL_INTERVAL_MS 16000
#define INITIAL_N 3
#define SOON_MS 500     /* MAX_RA_DELAY_TIME */
#define BETWEEN_MS 3000 /* MIN_DELAY_BETWEEN_RAS */
#define HOP_LIMIT 64
#define ROUTER_S 1800        /* 3 * the interval */
#define PREFIX_VALID_S 86400 /* QEMU's: a guest that is moved to another network forgets ours */
#define PREFIX_PREFERRED_S 14400
#define DNS_S 1800 /* RFC 8106 section 5.1: 3 * the interval */

#define SEARCH_MAX 900 /* bytes of DNSSL names, so that all fits RA_MAX */

struct ra {
	struct ra_config config; /* 'search' is not kept */
	uint8_t search[SEARCH_MAX];
	size_t search_len;
	bool online;
	unsigned initial_left; /* of the short intervals */
	uint64_t due_ms;
	uint64_t last_ms; /* of one to all; only meaningful when 'has_sent' */
	bool has_sent;
};

int ra_new(struct ra **ret, const struct ra_config *config)
{
	struct wire_out search;
	struct ra *ra;

	ra = calloc(1, sizeof(*ra));
	if (!ra)
		return -ENOMEM;
	ra->config = *config;
	ra->config.search = NULL;
	ra->due_ms = UINT64_MAX;
	search = wire_out(ra->search, sizeof(ra->search));
	for (unsigned i = 0; i < config->search_n; i++) {
		struct wire_out mark = search;

		if (!dhcpd6_name_put(&search, config->search[i])) {
			ra_free(ra);
			return -EINVAL;
		}
		if (search.bad) {
			search = mark;
			break;
		}
	}
	ra->search_len = wire_len(&search);
	*ret = ra;
	return 0;
}

void ra_free(struct ra *ra)
{
	free(ra);
}

/* ---- when ---- */

/* At once but for a jitter, and not within three seconds of the last one (RFC 4861 section 6.2.6).
 */
static void make_due_soon(struct ra *ra, uint64_t now_ms, struct rng *rng)
{
	uint64_t due_ms = now_ms + rng_below(rng, SOON_MS + 1);

	if (ra->has_sent && due_ms < ra->last_ms + BETWEEN_MS)
		due_ms = ra->last_ms + BETWEEN_MS;
	if (due_ms < ra->due_ms)
		ra->due_ms = due_ms;
}

bool ra_set_online(struct ra *ra, bool online, uint64_t now_ms, struct rng *rng)
{
	if (ra->online == online)
		return false;
	ra->online = online;
	if (ra->due_ms != UINT64_MAX)
		make_due_soon(ra, now_ms, rng);
	return true;
}

void ra_guest_came(struct ra *ra, uint64_t now_ms)
{
	uint64_t due_ms = now_ms + INITIAL_INTERVAL_MS;

	ra->initial_left = INITIAL_N;
	if (due_ms < ra->due_ms)
		ra->due_ms = due_ms;
}

void ra_guests_gone(struct ra *ra)
{
	ra->due_ms = UINT64_MAX;
}

uint64_t ra_due_ms(const struct ra *ra)
{
	return ra->due_ms;
}

void ra_sent(struct ra *ra, uint64_t now_ms, struct rng *rng)
{
	uint64_t in_ms = INTERVAL_MIN_MS + rng_below(rng, INTERVAL_MAX_MS - INTERVAL_MIN_MS + 1);

	if (ra->initial_left > 0) {
		ra->initial_left--;
		in_ms = in_ms < INITIAL_INTERVAL_MS ? in_ms : INITIAL_INTERVAL_MS;
	}
	ra->has_sent = true;
	ra->last_ms = now_ms;
	ra->due_ms = now_ms + in_ms;
}

/* ---- what ---- */

/* A length is in units of eight bytes, and the same of every option that does not vary. */
static void put_option(struct wire_out *out, uint8_t type, size_t len)
{
	wire_put_u8(out, type);
	wire_put_u8(out, (uint8_t)(len / 8));
}

static void put_prefix(const struct ra *ra, struct wire_out *out)
{
	const struct subnet *net = &ra->config.net;
	struct addr base = subnet_base(net);

	put_option(out, OPT_PREFIX, 32);
	wire_put_u8(out, net->prefix_len);
	/* RFC 4862 section 5.5.3 (d): another length than the interface identifier's is ignored. */
	wire_put_u8(out,
		    net->prefix_len == 64 ? PREFIX_ON_LINK | PREFIX_AUTONOMOUS : PREFIX_ON_LINK);
	wire_put_u32(out, PREFIX_VALID_S);
	wire_put_u32(out, PREFIX_PREFERRED_S);
	wire_put_u32(out, 0);
	wire_put_bytes(out, base.b, sizeof(base.b));
}

static void put_dns(const struct ra *ra, bool last, struct wire_out *out)
{
	size_t padded = (ra->search_len + 7) / 8 * 8;

	if (!addr_is_unspecified(&ra->config.dns)) {
		put_option(out, OPT_RDNSS, 24);
		wire_put_u16(out, 0);
		wire_put_u32(out, last ? 0 : DNS_S);
		wire_put_bytes(out, ra->config.dns.b, sizeof(ra->config.dns.b));
	}
	if (ra->search_len > 0) {
		put_option(out, OPT_DNSSL, 8 + padded);
		wire_put_u16(out, 0);
		wire_put_u32(out, last ? 0 : DNS_S);
		wire_put_bytes(out, ra->search, ra->search_len);
		wire_put_zero(out, padded - ra->search_len);
	}
}

void ra_write(const struct ra *ra, bool last, struct wire_out *out)
{
	wire_put_u8(out, TYPE_RA);
	wire_put_u8(out, 0);
	wire_put_u16(out, 0); /* the checksum */
	wire_put_u8(out, HOP_LIMIT);
	wire_put_u8(out, ra->config.managed ? FLAG_MANAGED | FLAG_OTHER : FLAG_OTHER);
	wire_put_u16(out, ra->online && !last ? ROUTER_S : 0);
	wire_put_u32(out, 0); /* reachable time and retransmission timer: the guest's own */
	wire_put_u32(out, 0);
	put_option(out, OPT_SOURCE_MAC, 8);
	wire_put_bytes(out, ra->config.mac.b, sizeof(ra->config.mac.b));
	if (ra->config.mtu) {
		put_option(out, OPT_MTU, 8);
		wire_put_u16(out, 0);
		wire_put_u32(out, ra->config.mtu);
	}
	put_prefix(ra, out);
	put_dns(ra, last, out);
}
