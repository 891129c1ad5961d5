#include "stack/app/app_build.h"

#include "stack/app/capture.h"
#include "stack/app/guests.h"
#include "stack/app/boot.h"
#include "stack/app/services.h"
#include "stack/base/log.h"
#include "stack/link/vu_uv.h"
#include "stack/nat/nat.h"

#include <errno.h>
#include <sys/resource.h>

#define PORTS_MAX 256      /* guests' NICs attached at once */
#define MACS_MAX 4096      /* learnt by the switch */
#define MAC_AGE_MS 300000  /* IEEE 802.1Q section 8.8.3: the recommended ageing time */
#define OWN_FDS 256        /* descriptors for all but ports, forwards and flows */
#define NOFILE_MAX 1048576 /* more is not counted on: tables grow with it */

/* 52:55 and the address, as libslirp does: the same after a restart, so that guests' ARP caches
 * stay right. */
static struct mac gateway_mac(const struct addr *host)
{
	uint32_t v4 = addr_to_v4(host);

	return (struct mac){{0x52, 0x55, (uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16),
			     (uint8_t)(v4 >> 8), (uint8_t)v4}};
}

/* Each flow holds a descriptor: takes as many as the hard limit gives, and returns how many. */
static uint64_t raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return OWN_FDS + PORTS_MAX;
	if (limit.rlim_cur < limit.rlim_max) {
		rlim_t before = limit.rlim_cur;

		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			limit.rlim_cur = before;
	}
	return limit.rlim_cur < NOFILE_MAX ? limit.rlim_cur : NOFILE_MAX;
}

static unsigned listeners_n(const struct options_forwards *forwards)
{
	unsigned n = 0;

	for (unsigned i = 0; i < forwards->n; i++)
		n += forwards->rule[i].ports_n * (forwards->rule[i].host_addr_given ? 1u : 2u);
	return n;
}

static uint64_t fds_for_flows(const struct options *o)
{
	uint64_t fds = raise_nofile(),
		 own = OWN_FDS + PORTS_MAX + listeners_n(&o->hostfwd) + boot_fds_max(o);

	/* With a limit this low the parts share what there is: new flows are refused by the
	 * kernel then, before they are by us. */
	return fds > 2 * own ? fds - own : fds / 2;
}

static void on_neighbour(void *ctx, struct port *port, const struct addr *addr,
			 const struct mac *mac)
{
	struct network *net = ctx;
	struct guest_addr seen = {*addr, *mac, GUEST_ADDR_SEEN, uv_now(net->loop)};

	guests_saw_addr(net->guests, port, &seen);
}

static void on_solicited(void *ctx, struct port *port, const struct mac *from_mac,
			 const struct addr *from)
{
	struct network *net = ctx;

	services_router_solicited(net->services, port, from_mac, from);
}

static bool lease_by_name(void *ctx, const char *name, struct addr *ret)
{
	struct network *net = ctx;

	return services_name_to_addr(net->services, name, ret);
}

static int build_guests(struct network *net)
{
	struct guests_config config = {
	    .ports_max = PORTS_MAX, .lease_by_name = lease_by_name, .ctx = net};

	return guests_new(&net->guests, &config);
}

static int build_nat(struct network *net)
{
	const struct options *o = net->options;
	struct nat_config config = {
	    .ipv4 = o->ipv4,
	    .ipv6 = o->ipv6,
	    .mac = net->mac,
	    .net4 = o->net,
	    .net6 = o->net6,
	    .host4 = o->host,
	    .host6 = o->host6,
	    .mtu = o->mtu,
	    .restrict_guests = o->restrict_guests,
	    .host_loopback = !o->no_host_loopback,
	    .limits = nat_limits_default(fds_for_flows(o)),
	    .host = host_ops(),
	    .host_ctx = net->host,
	    .rng = &net->rng,
	    .neighbour = on_neighbour,
	    .neighbour_ctx = net,
	    .router_solicited = on_solicited,
	    .router_ctx = net,
	};

	/* An address outside is not the gateway's to answer for. */
	config.dns4 = o->dns_is_ours ? o->dns : o->host;
	config.dns6 = o->dns6_is_ours ? o->dns6 : o->host6;
	return nat_new(&net->nat, &config);
}

int app_build(struct network *net, const struct app_hooks *hooks)
{
	struct lan_config lan = {.ports_max = PORTS_MAX,
				 .macs_max = MACS_MAX,
				 .mac_age_ms = MAC_AGE_MS,
				 .gateway_input = hooks->frame,
				 .mac_seen = hooks->mac_seen,
				 .ctx = hooks->ctx};
	struct services_config services = {
	    .options = net->options, .loop = net->loop, .rng = &net->rng, .ports_max = PORTS_MAX};
	int result;

	net->mac = gateway_mac(&net->options->host);
	lan.gateway_mac = net->mac;
	result = rng_init(&net->rng);
	if (result == 0)
		result = build_guests(net);
	if (result == 0)
		result = lan_new(&net->lan, &lan);
	if (result == 0)
		result = capture_new(&net->capture, net->loop, net->lan);
	if (result == 0)
		result = host_new(&net->host, net->loop, &hooks->host);
	if (result == 0)
		result = build_nat(net);
	services.nat = net->nat;
	services.mac = net->mac;
	services.turn = net->turn;
	services.turn_ctx = net->ctx;
	services.guests = net->guests;
	if (result == 0)
		result = services_new(&net->services, &services);
	if (result == 0)
		result = stream_uv_new(&net->stream, net->loop, net->lan, &hooks->stream);
	if (result == 0)
		result = vu_uv_new(&net->vhost, net->loop, net->lan, &hooks->stream);
	if (result < 0 && result != -ECANCELED)
		log_err_errno(result, "cannot start");
	return result;
}
