/* Identity. RFC 2131 section 2 makes the client identifier (option 61) the key of a binding when it
 * is sent. Here it is always the MAC: one guest boots through iPXE, GRUB, an installer's initramfs
 * and its system, each with an identifier of its own or none, and its address, forwards and name
 * have to stay the same through all of them. And guests made from one image send one identifier
 * (RFC 4361: the DUID of its machine-id) from different MACs: they need an address each.
 *
 * Authority. We are the only server of this net, so where RFC 2131 section 4.3.2 leaves a request
 * without a record unanswered (another server might know better), it is answered: the address if
 * that can be had, else DHCPNAK. A guest that outlives us, or wakes up in another net, has a
 * working address after one exchange. */
#include "dhcp/dhcpd.h"

#include "dhcp/dhcpd_boot.h"
#include "dhcp/dhcpd_msg.h"
#include "dhcp/dhcpd_values.h"
#include "dhcp/lease.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_MIN 8
#define PREFIX_MAX 30
#define REPLY_ROOM_MIN 576
#define IP_UDP_HDR_LEN 28

static const char nak_text[] = "address not available here";

struct dhcpd {
	struct lease_table *leases;
	struct dhcpd_values values;
	struct dhcpd_counters counters;
	struct subnet net;
	uint32_t server; /* host order */
	uint32_t siaddr;
	size_t payload_max; /* what the MTU carries in one piece */
	struct dhcpd_boots boots;
	char tftp_server_name[DHCPD_TEXT_MAX];
};

/* One request on its way to its answer. */
struct exchange {
	struct dhcpd *server;
	struct dhcpd_request request;
	const struct dhcpd_sender *sender;
	uint64_t now_ms;
	struct dhcpd_reply *reply;
};

/* ---- what a reply says */

/* Values only a client with a lease has a use for (RFC 2131 table 3, RFC 1534 section 2). */
static bool is_lease_option(uint8_t code)
{
	return code == DHCPD_OPT_LEASE_TIME || code == DHCPD_OPT_T1 || code == DHCPD_OPT_T2;
}

/* What a client gets even if its list does not name it: what no guest works without, and what
 * somebody took the trouble to configure (QEMU does so, and users of busybox rely on it). */
static bool is_sent_unasked(uint8_t code)
{
	return code != DHCPD_OPT_BROADCAST && code != DHCPD_OPT_T1 && code != DHCPD_OPT_T2;
}

struct composer {
	struct dhcpd_writer writer;
	const struct exchange *x;
	enum dhcpd_type type;
	const char *hostname; /* the client's own, "" when unknown */
	bool hostname_is_fixed;
	const char *bootfile; /* "" when there is none */
	bool done[256];       /* by code */
};

/* Values that are this client's own. False: there is none, the configured one is sent. */
static bool put_own_value(struct composer *c, uint8_t code)
{
	static const char http[] = "HTTPClient";
	if (code == DHCPD_OPT_HOSTNAME && c->hostname_is_fixed) {
		dhcpd_writer_put(&c->writer, code, c->hostname, strlen(c->hostname));
		return true;
	}
	if (code == DHCPD_OPT_BOOTFILE && c->bootfile[0]) {
		dhcpd_writer_put(&c->writer, code, c->bootfile, strlen(c->bootfile));
		return true;
	}
	/* UEFI section 24.7.3.1: without it the answer is not taken for one about HTTP. */
	if (code == DHCPD_OPT_VENDOR_CLASS && dhcpd_boot_is_url(c->bootfile) &&
	    c->x->request.boot_client == DHCPD_BOOT_HTTP) {
		dhcpd_writer_put(&c->writer, code, http, sizeof(http) - 1);
		return true;
	}
	return false;
}

static void put_value(struct composer *c, uint8_t code)
{
	const struct dhcpd_values *values = &c->x->server->values;
	struct dhcpd_value value = values->by_code[code];
	bool for_lease = c->type == DHCPD_OFFER || c->type == DHCPD_ACK;
	if (c->done[code] || (is_lease_option(code) && !for_lease))
		return;
	if (code == DHCPD_OPT_SERVER_ID && c->type == DHCPD_BOOTP)
		return;
	c->done[code] = true;
	if (put_own_value(c, code))
		return;
	if (value.len)
		dhcpd_writer_put(&c->writer, code, values->bytes + value.at, value.len);
	else if (code == DHCPD_OPT_HOSTNAME && c->hostname[0])
		dhcpd_writer_put(&c->writer, code, c->hostname, strlen(c->hostname));
}

/* The mask stands before the router (RFC 2132 section 3.3). */
static void put_configuration(struct composer *c)
{
	static const uint8_t always[] = {DHCPD_OPT_LEASE_TIME, DHCPD_OPT_MASK, DHCPD_OPT_ROUTER,
					 DHCPD_OPT_DNS};
	const struct dhcpd_request *request = &c->x->request;
	for (unsigned i = 0; i < sizeof(always); i++)
		put_value(c, always[i]);
	c->writer.spread = true;
	for (unsigned i = 0; i < request->params_n; i++)
		put_value(c, request->params[i]);
	put_value(c, DHCPD_OPT_BOOTFILE);
	put_value(c, DHCPD_OPT_VENDOR_CLASS);
	if (c->hostname_is_fixed)
		put_value(c, DHCPD_OPT_HOSTNAME);
	for (unsigned code = 1; code < DHCPD_OPT_END; code++) {
		bool configured = c->x->server->values.by_code[code].len > 0;
		if (request->params_n == 0 || (configured && is_sent_unasked((uint8_t)code)))
			put_value(c, (uint8_t)code);
	}
}

static void put_options(struct composer *c)
{
	const struct dhcpd_request *request = &c->x->request;
	if (c->type != DHCPD_BOOTP) {
		uint8_t type = (uint8_t)(c->type == DHCPD_INFORM ? DHCPD_ACK : c->type);
		dhcpd_writer_put(&c->writer, DHCPD_OPT_TYPE, &type, 1);
		put_value(c, DHCPD_OPT_SERVER_ID);
		if (request->client_id_len) /* RFC 6842 section 3 */
			dhcpd_writer_put(&c->writer, DHCPD_OPT_CLIENT_ID, request->client_id,
					 request->client_id_len);
	}
	if (c->type == DHCPD_NAK)
		dhcpd_writer_put(&c->writer, DHCPD_OPT_MESSAGE, nak_text, sizeof(nak_text) - 1);
	else
		put_configuration(c);
}

/* How long the reply may be. A BOOTP client expects no more than it sent (RFC 1542 section 2.1). */
static size_t payload_limit(const struct exchange *x)
{
	const struct dhcpd_request *request = &x->request;
	const struct wire_out *room = &x->reply->bytes;
	size_t limit = request->payload_max;
	if (request->type == DHCPD_BOOTP && request->len < limit)
		limit = request->len;
	if (limit > x->server->payload_max)
		limit = x->server->payload_max;
	if (limit > (size_t)(room->end - room->start))
		limit = (size_t)(room->end - room->start);
	return limit;
}

/* 'type' INFORM stands for the DHCPACK that answers it: options alone. */
static void write_reply(struct exchange *x, enum dhcpd_type type, const struct lease *lease)
{
	struct dhcpd *server = x->server;
	struct dhcpd_reply_head head = {.request = &x->request};
	struct composer c = {.x = x,
			     .type = type,
			     .hostname = lease ? lease->pub.hostname : "",
			     .hostname_is_fixed = lease && lease->named,
			     .bootfile = dhcpd_boots_choose(&server->boots, &x->request)};

	if (type != DHCPD_NAK) {
		head.siaddr = server->siaddr;
		head.file = c.bootfile;
		head.sname = server->tftp_server_name;
		head.yiaddr = lease ? lease->addr : 0;
		head.ciaddr = type == DHCPD_OFFER ? 0 : x->request.ciaddr;
	}
	bool overload = false;
	do { /* clients that cannot read option 52 are not bothered with it without need */
		memset(c.done, 0, sizeof(c.done));
		dhcpd_writer_begin(&c.writer, x->reply->bytes.start, payload_limit(x), &head,
				   overload);
		put_options(&c);
		overload = !overload;
	} while (overload && c.writer.lost && type != DHCPD_BOOTP);
	x->reply->bytes.at = x->reply->bytes.start + dhcpd_writer_end(&c.writer);
}

/* ---- where a reply goes */

static void send_broadcast(struct dhcpd_reply *reply)
{
	reply->to = addr_v4(UINT32_MAX);
	memset(reply->to_mac.b, 0xff, sizeof(reply->to_mac.b));
}

/* RFC 2131 section 4.1: a client that has its address hears unicast; one that cannot hear it yet
 * says so by the flag. A lease is only ever granted for the ciaddr it came with. */
static void send_to_client(const struct exchange *x, uint32_t addr)
{
	if (x->request.ciaddr == 0 && (x->request.flags & DHCPD_FLAG_BROADCAST)) {
		send_broadcast(x->reply);
		return;
	}
	x->reply->to = addr_v4(addr);
	x->reply->to_mac = x->request.chaddr;
}

static enum dhcpd_verdict answer_ack(struct exchange *x, struct lease *lease, enum dhcpd_type type)
{
	struct lease_ack ack = {.port = x->sender->port,
				.name = x->request.hostname,
				.renewal = type == DHCPD_ACK && x->request.ciaddr != 0,
				.bootp = type == DHCPD_BOOTP};
	lease_activate(x->server->leases, lease, &ack, x->now_ms);
	write_reply(x, type, lease);
	send_to_client(x, lease->addr);
	x->reply->leased = lease->pub.addr;
	return DHCPD_ACKED;
}

/* RFC 2131 section 4.3.2: always broadcast, the client may believe in a foreign address. */
static enum dhcpd_verdict answer_nak(struct exchange *x)
{
	write_reply(x, DHCPD_NAK, NULL);
	send_broadcast(x->reply);
	return DHCPD_NAKED;
}

/* ---- decisions, RFC 2131 section 4.3 */

/* The MAC's own address, else the one it asks for, else any; NULL when all are in use. */
static struct lease *find_or_take(struct exchange *x)
{
	struct lease_table *leases = x->server->leases;
	const struct dhcpd_request *request = &x->request;
	struct lease_client client = {request->chaddr, x->sender->port};
	struct lease *lease = lease_by_mac(leases, &request->chaddr);
	if (!lease && request->requested_addr)
		lease = lease_take_addr(leases, &client, request->requested_addr, x->now_ms);
	if (!lease)
		lease = lease_take(leases, &client, x->now_ms);
	return lease;
}

static enum dhcpd_verdict on_discover(struct exchange *x)
{
	struct lease *lease = find_or_take(x);
	if (!lease)
		return DHCPD_POOL_EMPTY;
	lease_touch(x->server->leases, lease, x->sender->port, x->now_ms);
	write_reply(x, DHCPD_OFFER, lease);
	send_to_client(x, lease->addr);
	return DHCPD_OFFERED;
}

static enum dhcpd_verdict on_bootp(struct exchange *x)
{
	struct lease *lease = find_or_take(x);
	return lease ? answer_ack(x, lease, DHCPD_BOOTP) : DHCPD_POOL_EMPTY;
}

/* The lease for exactly this address, or NULL. What was only offered to another goes to the one who
 * asks for it: either we offered it to him first, or he has used it all along. */
static struct lease *claim(struct exchange *x, uint32_t addr)
{
	struct lease_table *leases = x->server->leases;
	struct lease_client client = {x->request.chaddr, x->sender->port};
	struct lease *own = lease_by_mac(leases, &x->request.chaddr);
	if (own)
		return own->addr == addr ? own : NULL;
	struct lease *other = lease_by_addr(leases, addr);
	if (other && other->state == LEASE_OFFERED)
		lease_forget(leases, other);
	return lease_take_addr(leases, &client, addr, x->now_ms);
}

/* The client chose another server's offer: ours is free again. */
static enum dhcpd_verdict drop_offer(struct exchange *x)
{
	struct lease *lease = lease_by_mac(x->server->leases, &x->request.chaddr);
	if (lease && lease->state == LEASE_OFFERED)
		lease_forget(x->server->leases, lease);
	return DHCPD_IGNORED;
}

/* RFC 2131 section 4.3.2: with a server identifier it is SELECTING, with a requested address
 * INIT-REBOOT, with ciaddr RENEWING or REBINDING. */
static enum dhcpd_verdict on_request(struct exchange *x)
{
	const struct dhcpd_request *request = &x->request;
	bool selecting = request->server_id != 0;
	if (selecting && request->server_id != x->server->server)
		return drop_offer(x);

	uint32_t addr = request->ciaddr ? request->ciaddr : request->requested_addr;
	if (selecting && request->requested_addr)
		addr = request->requested_addr;
	if (addr == 0)
		return DHCPD_MALFORMED;
	struct lease *lease = claim(x, addr);
	if (!lease)
		return answer_nak(x);
	return answer_ack(x, lease, DHCPD_ACK);
}

/* The sender's lease when it is for 'addr' and the message is for us. A client that leaves option
 * 54 out can only mean us. */
static struct lease *own_lease(const struct exchange *x, uint32_t addr)
{
	if (x->request.server_id != 0 && x->request.server_id != x->server->server)
		return NULL;
	struct lease *lease = lease_by_mac(x->server->leases, &x->request.chaddr);
	return lease && lease->addr == addr ? lease : NULL;
}

static enum dhcpd_verdict on_decline(struct exchange *x)
{
	struct lease *lease = own_lease(x, x->request.requested_addr);
	if (!lease)
		return DHCPD_IGNORED;
	lease_decline(x->server->leases, lease, x->now_ms);
	return DHCPD_DECLINED;
}

/* RFC 2131 section 4.3.4: the address stays this MAC's as long as nobody else needs it. */
static enum dhcpd_verdict on_release(struct exchange *x)
{
	struct lease *lease = own_lease(x, x->request.ciaddr);
	if (!lease || !lease->pub.active)
		return DHCPD_IGNORED;
	lease_release(x->server->leases, lease, x->now_ms);
	return DHCPD_RELEASED;
}

static bool is_host_of(const struct subnet *net, const struct addr *addr)
{
	struct addr base = subnet_base(net);
	return subnet_contains(net, addr) && !addr_eq(&base, addr) &&
	       !subnet_is_broadcast(net, addr);
}

/* RFC 2131 section 4.3.5: no lease is looked up or made, but the answer must go into our net, where
 * the options are true. */
static enum dhcpd_verdict on_inform(struct exchange *x)
{
	struct addr to = addr_v4(x->request.ciaddr);
	if (x->request.ciaddr == 0)
		to = x->sender->addr;
	if (!is_host_of(&x->server->net, &to))
		return DHCPD_IGNORED;
	write_reply(x, DHCPD_INFORM, NULL);
	x->reply->to = to;
	x->reply->to_mac = x->request.chaddr;
	return DHCPD_INFORMED;
}

static bool is_for_us(const struct exchange *x)
{
	static const struct mac none = {{0}};
	const struct dhcpd_request *request = &x->request;
	/* There are no relays in our net; answering one would send frames to an address that the
	 * message chose. */
	return request->op == DHCPD_BOOTREQUEST && request->giaddr == 0 &&
	       !mac_is_multicast(&request->chaddr) && !mac_eq(&request->chaddr, &none);
}

static enum dhcpd_verdict decide(struct exchange *x)
{
	if (!is_for_us(x))
		return DHCPD_IGNORED;
	switch (x->request.type) {
	case DHCPD_BOOTP:
		return on_bootp(x);
	case DHCPD_DISCOVER:
		return on_discover(x);
	case DHCPD_REQUEST:
		return on_request(x);
	case DHCPD_DECLINE:
		return on_decline(x);
	case DHCPD_RELEASE:
		return on_release(x);
	case DHCPD_INFORM:
		return on_inform(x);
	default: /* a server's message, or none that we know */
		return DHCPD_IGNORED;
	}
}

enum dhcpd_verdict dhcpd_input(struct dhcpd *server, struct wire_in request,
			       const struct dhcpd_sender *sender, uint64_t now_ms,
			       struct dhcpd_reply *reply)
{
	assert(reply->bytes.end - reply->bytes.start >= REPLY_ROOM_MIN);
	*reply = (struct dhcpd_reply){
	    .bytes = wire_out(reply->bytes.start, (size_t)(reply->bytes.end - reply->bytes.start))};
	struct exchange x = {.server = server, .sender = sender, .now_ms = now_ms, .reply = reply};
	enum dhcpd_verdict verdict = DHCPD_MALFORMED;

	lease_table_tick(server->leases, now_ms);
	if (dhcpd_request_read(request, &x.request)) {
		reply->client_mac = x.request.chaddr;
		verdict = decide(&x);
	}
	server->counters.verdicts[verdict]++;
	return verdict;
}

/* ---- set-up and look-up */

static bool config_is_sane(const struct dhcpd_config *config)
{
	const struct subnet *net = &config->net;
	return addr_is_v4(&net->addr) && net->prefix_len >= PREFIX_MIN &&
	       net->prefix_len <= PREFIX_MAX && is_host_of(net, &config->server) &&
	       is_host_of(net, &config->pool_first) && config->lease_s > 0 &&
	       config->reserved_n <= DHCPD_RESERVED_MAX && config->leases_max > 0;
}

/* RFC 2131 section 2: siaddr is the server of the next boot step. */
static uint32_t siaddr_of(const struct dhcpd_config *config)
{
	if (addr_is_v4(&config->next_server) && !addr_is_unspecified(&config->next_server))
		return addr_to_v4(&config->next_server);
	return config->bootfile || config->boots_n ? addr_to_v4(&config->server) : 0;
}

static int fix_hosts(struct dhcpd *server, const struct dhcpd_config *config)
{
	for (unsigned i = 0; i < config->hosts_n; i++) {
		const struct dhcpd_host *host = &config->hosts[i];
		const char *text = host->name ? host->name : "";
		char name[DHCPD_HOSTNAME_MAX];
		dhcpd_hostname_clean(text, strlen(text), name);
		if (strlen(name) != strlen(text) || !addr_is_v4(&host->addr) ||
		    mac_is_multicast(&host->mac))
			return -EINVAL;
		int error = lease_fix(server->leases, &host->mac, addr_to_v4(&host->addr), name);
		if (error)
			return error;
	}
	return 0;
}

static int setup(struct dhcpd *server, const struct dhcpd_config *config)
{
	struct addr base = subnet_base(&config->net);
	struct lease_table_config leases = {
	    .net = addr_to_v4(&base),
	    .hosts_n = (UINT32_C(1) << (32 - config->net.prefix_len)) - 2,
	    .first = subnet_index(&config->net, &config->pool_first),
	    .reserved = {subnet_index(&config->net, &config->server)},
	    .leases_max = config->leases_max,
	    .lease_s = config->lease_s,
	    .is_seen = config->is_seen,
	    .ctx = config->ctx,
	    .hash_key = config->hash_key};
	if (subnet_contains(&config->net, &config->dns))
		leases.reserved[1] = subnet_index(&config->net, &config->dns);
	for (unsigned i = 0; i < config->reserved_n; i++) {
		if (subnet_contains(&config->net, &config->reserved[i]))
			leases.reserved[2 + i] = subnet_index(&config->net, &config->reserved[i]);
	}

	server->net = config->net;
	server->server = addr_to_v4(&config->server);
	server->siaddr = siaddr_of(config);
	server->payload_max = DHCPD_MSG_MAX;
	if (config->mtu && config->mtu < DHCPD_MSG_MAX + IP_UDP_HDR_LEN)
		server->payload_max =
		    config->mtu < REPLY_ROOM_MIN ? DHCPD_MSG_576 : config->mtu - IP_UDP_HDR_LEN;
	int error = dhcpd_boots_init(&server->boots, config);
	if (!error)
		error = dhcpd_text_copy(config->tftp_server_name, server->tftp_server_name);
	if (!error)
		error = dhcpd_values_init(&server->values, config);
	if (!error)
		error = lease_table_new(&server->leases, &leases);
	if (!error)
		error = fix_hosts(server, config);
	return error;
}

int dhcpd_new(struct dhcpd **ret, const struct dhcpd_config *config)
{
	if (!config_is_sane(config))
		return -EINVAL;
	struct dhcpd *server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	int error = setup(server, config);
	if (error) {
		dhcpd_free(server);
		return error;
	}
	*ret = server;
	return 0;
}

void dhcpd_free(struct dhcpd *server)
{
	if (!server)
		return;
	lease_table_free(server->leases);
	dhcpd_boots_fini(&server->boots);
	free(server);
}

void dhcpd_port_gone(struct dhcpd *server, uint32_t port, uint64_t now_ms)
{
	lease_port_gone(server->leases, port, now_ms);
}

int dhcpd_restore(struct dhcpd *server, const struct dhcpd_lease *lease, uint64_t now_ms)
{
	struct dhcpd_lease clean = *lease;
	if (!addr_is_v4(&lease->addr) || mac_is_multicast(&lease->mac))
		return -EINVAL;
	dhcpd_hostname_clean(lease->hostname, strnlen(lease->hostname, sizeof(lease->hostname)),
			     clean.hostname);
	return lease_restore(server->leases, &clean, now_ms);
}

uint64_t dhcpd_changes(const struct dhcpd *server)
{
	return lease_changes(server->leases);
}

const struct dhcpd_lease *dhcpd_lease_by_name(const struct dhcpd *server, const char *hostname,
					      uint64_t now_ms)
{
	char name[DHCPD_HOSTNAME_MAX];
	size_t len = strlen(hostname);
	dhcpd_hostname_clean(hostname, len, name);
	if (strlen(name) != len) /* "vm.example" is not "vm" */
		return NULL;
	const struct lease *lease = lease_by_name(server->leases, name, now_ms);
	return lease ? &lease->pub : NULL;
}

const struct dhcpd_lease *dhcpd_lease_by_addr(const struct dhcpd *server, const struct addr *addr,
					      uint64_t now_ms)
{
	if (!addr_is_v4(addr))
		return NULL;
	const struct lease *lease = lease_by_addr(server->leases, addr_to_v4(addr));
	return lease && lease_is_active(lease, now_ms) ? &lease->pub : NULL;
}

const struct dhcpd_lease *dhcpd_lease_next(const struct dhcpd *server, uint32_t *cursor)
{
	const struct lease *lease = lease_next(server->leases, cursor);
	return lease ? &lease->pub : NULL;
}

const struct dhcpd_counters *dhcpd_counters(const struct dhcpd *server)
{
	return &server->counters;
}
