/* Why does a guest have no network? Everything that it needs, checked one by one. */
#include "stack/app/control_api.h"
#include "stack/app/forwards.h"
#include "stack/app/metrics.h"
#include "stack/app/services.h"
#include "stack/host/dns_service.h"
#include "stack/host/host_routes.h"
#include "stack/nat/nat.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_MAX 512
#define ADDRS_SHOWN 4
#define FORWARDS_SHOWN 16 /* that wait */

enum result { OK, FAIL, UNKNOWN };

struct why {
	const struct network *net;
	const struct guest_record *guest; /* whom the checks are about now; NULL: nobody */
	json_t *checks;
	bool failed;
};

struct check {
	const char *id;
	enum result result;
	const char *advice; /* NULL: none */
};

static void add(struct why *why, const struct check *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(struct why *why, const struct check *check, const char *format, ...)
{
	static const char *const words[] = {[OK] = "ok", [FAIL] = "fail", [UNKNOWN] = "unknown"};
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (check->result == FAIL)
		why->failed = true;
	json_array_append_new(
	    why->checks, json_pack("{s:s, s:o, s:s, s:o, s:o}", "id", check->id, "guest",
				   api_text_or_null(why->guest ? why->guest->port->name : NULL),
				   "result", words[check->result], "text", api_text_or_null(text),
				   "advice", api_text_or_null(check->advice)));
}

static uint64_t seconds_since(const struct why *why, uint64_t then_ms)
{
	return (uv_now(why->net->loop) - then_ms) / 1000;
}

/* ---- one guest ---- */

static void check_attached(struct why *why)
{
	const struct guest_record *guest = why->guest;
	char label[GUESTS_NAME_MAX];

	add(why, &(struct check){"attached", OK, NULL}, "%s is attached as %s for %" PRIu64 " s",
	    guest_label(guest, label), guest->port->name, seconds_since(why, guest->attached_ms));
}

static void check_frames(struct why *why)
{
	const struct port_counters *c = &why->guest->port->counters;

	if (c->frames_from_guest)
		add(why, &(struct check){"frames", OK, NULL},
		    "it has sent %" PRIu64 " frames, the last one %" PRIu64 " s ago",
		    c->frames_from_guest, seconds_since(why, c->last_frame_ms));
	else
		add(why,
		    &(struct check){"frames", FAIL,
				    "is its network card up (ip link), has the kernel a driver for "
				    "it, and does QEMU's -device name this netdev?"},
		    "it has never sent a frame");
	if (why->guest->port->blocked)
		add(why,
		    &(struct check){"reading", FAIL,
				    "is the guest stopped, or very busy? What is sent to it waits, "
				    "and is dropped when the queue is full"},
		    "it does not take the frames that are sent to it");
	else
		add(why, &(struct check){"reading", c->dropped_queue_full ? UNKNOWN : OK, NULL},
		    "it takes what is sent to it; %" PRIu64 " frames were dropped as it was slow",
		    c->dropped_queue_full);
}

static void check_mac(struct why *why)
{
	if (why->guest->mac_clashes)
		add(why,
		    &(struct check){
			"mac_clash", FAIL,
			"give each guest a MAC address of its own: -device ...,mac=..."},
		    "another guest uses its MAC address too: %" PRIu64 " frames",
		    why->guest->mac_clashes);
	else
		add(why, &(struct check){"mac_clash", OK, NULL}, "its MAC address is its own");
}

static void check_dhcp(struct why *why)
{
	const struct guest_dhcp *dhcp = &why->guest->dhcp;

	if (dhcp->answered)
		add(why, &(struct check){"dhcp", OK, NULL},
		    "it has asked DHCP %" PRIu64 " times and was answered %" PRIu64
		    " times, the last time %" PRIu64 " s ago",
		    dhcp->asked, dhcp->answered, seconds_since(why, dhcp->last_answered_ms));
	else if (dhcp->asked)
		add(why,
		    &(struct check){"dhcp", FAIL,
				    "see the log: lwnat ctl log; a full pool says so"},
		    "it has asked DHCP %" PRIu64 " times and was not answered", dhcp->asked);
	else if (why->guest->addrs_n)
		add(why, &(struct check){"dhcp", OK, NULL},
		    "it has never asked DHCP, but has an address");
	else
		add(why,
		    &(struct check){
			"dhcp", FAIL,
			"start a DHCP client in the guest, or give it an address by hand"},
		    "it has never asked DHCP");
}

static void check_address(struct why *why)
{
	const struct options *o = why->net->options;
	char text[TEXT_MAX] = "", addr[ADDR_TEXT_MAX];
	bool foreign = false;
	size_t len = 0;

	for (unsigned i = 0; i < why->guest->addrs_n; i++) {
		const struct addr *a = &why->guest->addr[i].addr;

		foreign = foreign || (addr_is_v4(a) && !subnet_contains(&o->net, a));
		if (i < ADDRS_SHOWN)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						i ? ", " : "", addr_format(a, addr));
	}
	if (!why->guest->addrs_n)
		add(why,
		    &(struct check){"address", FAIL,
				    "it may have none, or has sent nothing from it yet: lwnat ctl "
				    "ping ADDRESS asks for it"},
		    "no address of it is known: no DHCP, no ARP, no neighbour discovery");
	else if (foreign)
		add(why,
		    &(struct check){"address", UNKNOWN,
				    "a guest with an address of another network can only be served "
				    "as long as it takes lwnat for its router"},
		    "it uses %s, and not all of these are in lwnat's network", text);
	else
		add(why, &(struct check){"address", OK, NULL}, "it is known at %s", text);
}

static void check_guest(struct why *why, const struct guest_record *guest)
{
	why->guest = guest;
	check_attached(why);
	check_frames(why);
	check_mac(why);
	check_dhcp(why);
	check_address(why);
	why->guest = NULL;
}

/* ---- the network ---- */

static void check_resolver(struct why *why)
{
	const struct dns_service *dns = services_dns(why->net->services);
	struct host_resolver_counters r;

	if (!dns) {
		add(why, &(struct check){"resolver", UNKNOWN, NULL},
		    why->net->options->restrict_guests
			? "guests get no DNS server as --restrict is on"
			: "guests ask a DNS server of their own");
		return;
	}
	dns_service_resolver_counters(dns, &r);
	if (r.queries == 0)
		add(why, &(struct check){"resolver", UNKNOWN, NULL},
		    "no guest has asked for an outside name yet");
	else if (r.answered == 0)
		add(why,
		    &(struct check){"resolver", FAIL,
				    "does the host itself resolve names? See its /etc/resolv.conf, "
				    "or give a server with --dns-upstream"},
		    "the host's DNS servers have answered none of %" PRIu64 " queries", r.queries);
	else
		add(why, &(struct check){"resolver", r.failed > r.answered ? UNKNOWN : OK, NULL},
		    "the host's DNS servers have answered %" PRIu64 " of %" PRIu64 " queries",
		    r.answered, r.queries);
}

static void check_ping_socket(struct why *why)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	int err = errno;

	if (fd >= 0) {
		close(fd);
		add(why, &(struct check){"ping_socket", OK, NULL},
		    "this host lets lwnat ping for the guests");
		return;
	}
	add(why,
	    &(struct check){"ping_socket", FAIL,
			    err == EACCES || err == EPERM
				? "as root: sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""
				: NULL},
	    "guests cannot ping the outside, for this host forbids it (%s); all else works",
	    strerror(err));
}

static void check_forwards(struct why *why)
{
	const struct forward *forward = NULL;
	struct forward_info info;
	unsigned waiting = 0;

	while ((forward = forwards_next(why->net->forwards, forward))) {
		forward_info(forward, &info);
		if (info.state == FORWARD_READY || waiting++ >= FORWARDS_SHOWN)
			continue;
		add(why, &(struct check){"forwards", UNKNOWN, NULL}, "%s waits for its guest: %s",
		    info.text, info.why);
	}
	if (!waiting)
		add(why, &(struct check){"forwards", OK, NULL},
		    "%u forwarding rules, all of them bound", forwards_count(why->net->forwards));
}

static void check_mtu(struct why *why)
{
	const struct options *o = why->net->options;

	if (o->ipv6 && o->mtu < 1280)
		add(why, &(struct check){"mtu", FAIL, "take --mtu 1280 or more"},
		    "IPv6 needs packets of 1280 bytes, and --mtu is %u", o->mtu);
	else
		add(why, &(struct check){"mtu", OK, NULL},
		    "packets of up to %u bytes pass; guests are told so by DHCP%s", o->mtu,
		    o->ipv6 ? " and router advertisements" : "");
}

static void check_ipv6_route(struct why *why)
{
	if (!why->net->options->ipv6)
		add(why, &(struct check){"ipv6_route", OK, NULL}, "IPv6 is off");
	else if (host_routes_probe6())
		add(why, &(struct check){"ipv6_route", OK, NULL}, "this host has an IPv6 route");
	else
		add(why,
		    &(struct check){
			"ipv6_route", UNKNOWN,
			"guests reach the outside by IPv4 alone until the host has one"},
		    "this host has no IPv6 route to the outside");
}

static void check_drops(struct why *why)
{
	char text[TEXT_MAX] = "";
	struct metrics_drop drop;
	size_t len = 0;

	for (unsigned i = 0; metrics_drop(why->net, i, &drop); i++) {
		if (drop.packets && len + 160 < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"%s%" PRIu64 " %s (%s)", len ? "; " : "",
						drop.packets, drop.reason, drop.meaning);
	}
	if (len)
		add(why, &(struct check){"drops", UNKNOWN, NULL}, "packets were dropped: %s", text);
	else
		add(why, &(struct check){"drops", OK, NULL}, "no packet was dropped");
}

static void check_guests(struct why *why)
{
	const struct network *net = why->net;
	const struct guest_record *guest = NULL;
	unsigned n = 0;

	while ((guest = guests_next(net->guests, guest))) {
		check_guest(why, guest);
		n++;
	}
	if (n)
		add(why, &(struct check){"guests", OK, NULL}, "%u guests are attached", n);
	else if (net->socket_path[0])
		add(why,
		    &(struct check){"guests", FAIL,
				    "start QEMU with the arguments that lwnat has printed"},
		    "no guest is attached; they are waited for at %s", net->socket_path);
	else
		add(why, &(struct check){"guests", FAIL, NULL}, "no guest is attached");
}

/* false: the error has been replied. */
static bool check_one(struct why *why, struct api_call *call)
{
	char error[GUESTS_ERROR_MAX];
	struct guests_found found = {0};
	int result = guests_find(call->net->guests, call->query[0].text, &found, error);

	if (result == -EINVAL) {
		api_error(call->x, 400, "guest", "%s", error);
		return false;
	}
	if (found.guest)
		check_guest(why, found.guest);
	else
		add(why,
		    &(struct check){"attached", FAIL,
				    "is QEMU running, and connected to this network? See lwnat ctl "
				    "guests"},
		    "%s", result < 0 ? error : "no guest with this address is attached");
	return true;
}

void api_get_why(struct api_call *call)
{
	struct why why = {.net = call->net, .checks = json_array()};

	if (!call->query[0].text) {
		check_guests(&why);
	} else if (!check_one(&why, call)) {
		json_decref(why.checks);
		return;
	}
	check_resolver(&why);
	check_ping_socket(&why);
	check_forwards(&why);
	check_mtu(&why);
	check_ipv6_route(&why);
	check_drops(&why);
	api_reply(call->x, 200,
		  json_pack("{s:b, s:o}", "ok", (int)!why.failed, "checks", why.checks));
}
