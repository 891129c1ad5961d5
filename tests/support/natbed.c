#include "tests/support/natbed.h"

#include <string.h>

const struct sim_tcp_setup bed_setup = {.wscale = 7, .send_seed = 1, .recv_seed = 2};

/* A read buffer as a transport has it: frames refer to it, the last reference frees it. */
struct chunk {
	struct frame_owner owner;
	struct bed *bed;
	size_t len;
	uint8_t bytes[];
};

static void chunk_release(struct frame_owner *owner)
{
	struct chunk *chunk = (struct chunk *)owner; /* its first member */

	chunk->bed->chunks_alive--;
	memset(chunk->bytes, 0xdd, chunk->len);
	free(chunk);
}

static bool is_v6;

void bed_use_v6(void)
{
	is_v6 = true;
}

bool bed_is_v6(void)
{
	return is_v6;
}

static struct addr to_v6(const struct addr *v4)
{
	static const struct addr documentation = {{0x20, 0x01, 0x0d, 0xb8}};
	static const struct addr net = {{0xfe, 0xc0}};
	struct addr v6 = documentation;

	if (addr_is_unspecified(v4))
		return (struct addr){{0}};
	if (addr_is_loopback(v4))
		return (struct addr){{[15] = 1}};
	if (addr_is_multicast(v4))
		return (struct addr){{0xff, 0x0e, [15] = v4->b[15]}};
	if (addr_to_v4(v4) >> 8 == 0x0a0002) {
		v6 = net;
		v6.b[15] = v4->b[15];
		return v6;
	}
	memcpy(v6.b + 12, v4->b + 12, 4);
	return v6;
}

struct addr bed_place(uint32_t v4)
{
	struct addr addr = addr_v4(v4);

	return is_v6 ? to_v6(&addr) : addr;
}

struct addr bed_addr(const char *text)
{
	struct addr addr = {{0}};

	ck_assert_int_eq(addr_parse(text, &addr), 0);
	return is_v6 && addr_is_v4(&addr) ? to_v6(&addr) : addr;
}

const struct addr *bed_gateway(const struct bed *bed)
{
	return is_v6 ? &bed->config.host6 : &bed->config.host4;
}

const struct addr *bed_dns(const struct bed *bed)
{
	return is_v6 ? &bed->config.dns6 : &bed->config.dns4;
}

size_t bed_ip_len(void)
{
	return is_v6 ? 40 : 20;
}

uint8_t bed_icmp_proto(void)
{
	return is_v6 ? PROTO_ICMP6 : PROTO_ICMP;
}

uint8_t bed_echo_type(bool reply)
{
	return is_v6 ? (reply ? 129 : 128) : (reply ? 0 : 8);
}

void bed_error_numbers(enum bed_error error, uint8_t *ret_type, uint8_t *ret_code)
{
	static const uint8_t numbers[][4] = {
	    [BED_NO_ROUTE] = {3, 0, 1, 0},    [BED_HOST_UNREACHABLE] = {3, 1, 1, 3},
	    [BED_NO_PROTOCOL] = {3, 2, 4, 1}, [BED_NO_PORT] = {3, 3, 1, 4},
	    [BED_PROHIBITED] = {3, 13, 1, 1}, [BED_TTL_EXCEEDED] = {11, 0, 3, 0},
	    [BED_TOO_BIG] = {3, 4, 2, 0},
	};

	*ret_type = numbers[error][is_v6 ? 2 : 0];
	*ret_code = numbers[error][is_v6 ? 3 : 1];
}

void bed_check_error(enum bed_error error, uint8_t type, uint8_t code)
{
	uint8_t wanted_type, wanted_code;

	bed_error_numbers(error, &wanted_type, &wanted_code);
	ck_assert_uint_eq(type, wanted_type);
	ck_assert_uint_eq(code, wanted_code);
}

struct endpoint bed_endpoint(const char *text, uint16_t port)
{
	return (struct endpoint){bed_addr(text), port};
}

struct addr bed_guest_addr(unsigned n)
{
	return bed_place(0x0a00020fu + n);
}

struct mac bed_guest_mac(unsigned n)
{
	return (struct mac){{0x52, 0x54, 0, 0, 0, (uint8_t)(15 + n)}};
}

struct frames_ends bed_ends(const struct bed *bed, unsigned n, const char *to)
{
	return (struct frames_ends){.src_mac = bed_guest_mac(n),
				    .dst_mac = bed->config.mac,
				    .src = bed_guest_addr(n),
				    .dst = bed_addr(to)};
}

void bed_init(struct bed *bed)
{
	*bed = (struct bed){.now_ms = 1000000};
	fake_host_init(&bed->host);
	bed->host.defaults.send_seed = bed_setup.recv_seed;
	bed->host.defaults.recv_seed = bed_setup.send_seed;
	rng_init_fixed(&bed->rng, 42);
	bed->config = (struct nat_config){
	    .ipv4 = true,
	    .ipv6 = is_v6,
	    .mac = {{0x52, 0x55, 0x0a, 0, 2, 2}},
	    .net4 = {addr_v4(0x0a000200), 24},
	    .net6 = {bed_addr("fec0::"), 64},
	    .host4 = addr_v4(0x0a000202),
	    .host6 = bed_addr("fec0::2"),
	    .dns4 = addr_v4(0x0a000203),
	    .dns6 = bed_addr("fec0::3"),
	    .mtu = 1500,
	    .host_loopback = true,
	    .limits = nat_limits_default(200000),
	    .host = &fake_host_ops,
	    .host_ctx = &bed->host,
	    .rng = &bed->rng,
	};
}

void bed_start(struct bed *bed)
{
	ck_assert_int_eq(nat_new(&bed->nat, &bed->config), 0);
	nat_set_time(bed->nat, bed->now_ms);
	nat_set_time(bed->nat, bed->now_ms);
}

static void guest_sends(void *ctx, const uint8_t *frame, size_t len)
{
	struct bed_guest *guest = ctx;

	fake_queue_push(&guest->out, frame, len);
}

struct guestsim *bed_add_guest(struct bed *bed, unsigned n)
{
	struct bed_guest *guest = &bed->guests[n];
	const struct guestsim_config config = {
	    .mac = bed_guest_mac(n),
	    .addr = bed_guest_addr(n),
	    .net = is_v6 ? bed->config.net6 : bed->config.net4,
	    .gateway = *bed_gateway(bed),
	    .mtu = bed->config.mtu,
	    .seed = n + 1,
	    .send = guest_sends,
	    .ctx = guest,
	};

	guest->bed = bed;
	fake_port_init(&guest->port, n + 1);
	fake_queue_init(&guest->out);
	fake_queue_init(&guest->out_impaired);
	guest->impair.dice.state = n + 99;
	guest->sim = guestsim_new(&config);
	guestsim_neighbour_set(guest->sim, bed_gateway(bed), &bed->config.mac);
	guestsim_neighbour_set(guest->sim, bed_dns(bed), &bed->config.mac);
	ck_assert_int_eq(nat_port_add(bed->nat, &guest->port.port), 0);
	guest->attached = true;
	return guest->sim;
}

struct guestsim *bed_simple(struct bed *bed)
{
	bed_init(bed);
	bed_start(bed);
	return bed_add_guest(bed, 0);
}

static void flush_ports(struct bed *bed)
{
	for (unsigned i = 0; i < BED_GUESTS_MAX; i++) {
		struct bed_guest *guest = &bed->guests[i];
		if (guest->attached && guest->port.port.queued)
			guest->port.port.ops->flush(&guest->port.port);
	}
}

void bed_remove_guest(struct bed *bed, unsigned n)
{
	struct bed_guest *guest = &bed->guests[n];

	if (!guest->attached)
		return;
	flush_ports(bed);
	nat_port_remove(bed->nat, &guest->port.port);
	guest->attached = false;
	ck_assert_uint_eq(guest->port.payload_touched, 0);
	ck_assert_uint_eq(guest->port.oversized, 0);
	fake_port_fini(&guest->port);
	fake_queue_clear(&guest->out);
	fake_queue_clear(&guest->out_impaired);
	free(guest->impair.held);
	guest->impair.held = NULL;
	nat_run(bed->nat, bed->now_ms);
}

void bed_check_clean(struct bed *bed)
{
	ck_assert_uint_eq(bed->chunks_alive, 0);
	ck_assert_msg(bed->host.open_n == 0, "%u handles left open", (unsigned)bed->host.open_n);
	ck_assert_msg(bed->host.count.misuse == 0, "host: %s", bed->host.misuse_text);
	for (unsigned i = 0; i < BED_GUESTS_MAX; i++) {
		struct guestsim *sim = bed->guests[i].sim;
		if (sim && !bed->faults_expected)
			ck_assert_msg(guestsim_faults_sum(sim) == 0, "guest %u: %s", i,
				      guestsim_fault_text(sim));
		guestsim_free(sim);
		bed->guests[i].sim = NULL;
	}
	fake_host_fini(&bed->host);
}

void bed_finish(struct bed *bed)
{
	for (unsigned i = 0; i < BED_GUESTS_MAX; i++)
		bed_remove_guest(bed, i);
	ck_assert_uint_eq(nat_flow_count(bed->nat), 0);
	nat_free(bed->nat);
	bed_check_clean(bed);
}

/* Cuts [bytes, len) into pieces with dead bytes between them. */
static unsigned cut(struct bed *bed, struct chunk *chunk, size_t *at, const struct fake_frame *f,
		    struct iovec *ret_iov)
{
	unsigned n = 0;

	for (size_t done = 0; done < f->len;) {
		size_t len = f->len - done;
		if (bed->pieces && n < 5)
			len = FRAME_HDR_LEN + dice_below(&bed->dice, 700);
		if (len > f->len - done)
			len = f->len - done;
		memcpy(chunk->bytes + *at, f->bytes + done, len);
		ret_iov[n++] = (struct iovec){chunk->bytes + *at, len};
		*at += len + (bed->pieces ? 3 : 0);
		done += len;
	}
	return n;
}

static void input_batch(struct bed *bed, struct bed_guest *guest)
{
	size_t limit = bed->batch_bytes ? bed->batch_bytes : 256 * 1024;
	size_t room = limit + 2 * FRAME_LEN_MAX + 64 * 1024;
	struct chunk *chunk = calloc(1, sizeof(*chunk) + room);
	struct fake_frame *f;
	size_t at = 0;

	*chunk = (struct chunk){.owner = {1, chunk_release}, .bed = bed, .len = room};
	bed->chunks_alive++;
	while (at < limit && (f = fake_queue_pop(&guest->out_impaired))) {
		struct iovec iov[FRAME_PIECES_MAX];
		unsigned iov_n = cut(bed, chunk, &at, f, iov);
		const struct frame frame = {
		    .iov = iov, .iov_n = iov_n, .len = (uint32_t)f->len, .owner = &chunk->owner};

		bed->frames_in++;
		nat_input(bed->nat, &guest->port.port, &frame);
		free(f);
	}
	frame_owner_unref(&chunk->owner);
}

static bool input_from_guest(struct bed *bed, struct bed_guest *guest)
{
	if (!guest->attached)
		return false;
	fake_impair_move(&guest->impair, &guest->out, &guest->out_impaired);
	if (!guest->out_impaired.first)
		return false;
	input_batch(bed, guest);
	return true;
}

static bool output_to_guest(struct bed *bed, struct bed_guest *guest)
{
	struct fake_frame *frame;
	bool any = false;

	if (!guest->attached || guest->deaf)
		return false;
	while ((frame = fake_queue_pop(&guest->port.sent))) {
		bed->frames_out++;
		guestsim_input(guest->sim, frame->bytes, frame->len, bed->now_ms);
		free(frame);
		any = true;
	}
	if (any && guest->port.port.blocked) {
		guest->port.port.blocked = false;
		nat_port_writable(bed->nat, &guest->port.port);
	}
	guestsim_run(guest->sim, bed->now_ms);
	return any || guest->out.first;
}

void bed_settle(struct bed *bed)
{
	bool busy = true;

	for (unsigned turns = 0; busy; turns++) {
		ck_assert_msg(turns < 2000000, "never settles");
		busy = false;
		for (unsigned i = 0; i < BED_GUESTS_MAX; i++) {
			if (!bed->guests[i].attached)
				continue;
			guestsim_run(bed->guests[i].sim, bed->now_ms);
			busy |= input_from_guest(bed, &bed->guests[i]);
		}
		busy |= fake_host_deliver(&bed->host, bed->nat);
		nat_run(bed->nat, bed->now_ms);
		flush_ports(bed);
		if (bed->chunks_alive > bed->chunks_kept)
			bed->chunks_kept = bed->chunks_alive;
		for (unsigned i = 0; i < BED_GUESTS_MAX; i++)
			busy |= output_to_guest(bed, &bed->guests[i]);
	}
}

static void step_to(struct bed *bed, uint64_t now_ms)
{
	bed->now_ms = now_ms;
	nat_set_time(bed->nat, now_ms);
	nat_set_time(bed->nat, now_ms);
	for (unsigned i = 0; i < BED_GUESTS_MAX; i++)
		if (bed->guests[i].attached)
			guestsim_tick(bed->guests[i].sim, now_ms);
	if (nat_next_ms(bed->nat, now_ms) == 0)
		nat_tick(bed->nat, now_ms);
	nat_run(bed->nat, now_ms);
	bed_settle(bed);
}

static uint64_t next_ms(struct bed *bed)
{
	uint64_t next = nat_next_ms(bed->nat, bed->now_ms);

	for (unsigned i = 0; i < BED_GUESTS_MAX; i++) {
		uint64_t at;
		if (!bed->guests[i].attached)
			continue;
		at = guestsim_next_ms(bed->guests[i].sim, bed->now_ms);
		if (at < next)
			next = at;
	}
	return next;
}

bool bed_step(struct bed *bed)
{
	uint64_t next;

	bed_settle(bed);
	next = next_ms(bed);
	if (next == UINT64_MAX)
		return false;
	step_to(bed, bed->now_ms + (next ? next : 1));
	return true;
}

void bed_advance(struct bed *bed, uint64_t ms)
{
	uint64_t end = bed->now_ms + ms;

	bed_settle(bed);
	while (bed->now_ms < end) {
		uint64_t next = next_ms(bed);
		if (next == 0)
			next = 1;
		step_to(bed, next > end - bed->now_ms ? end : bed->now_ms + next);
	}
}

void bed_inject(struct bed *bed, unsigned n, const struct wire_out *frame)
{
	ck_assert(!frame->bad);
	fake_queue_push(&bed->guests[n].out, frame->start, wire_len(frame));
	bed_settle(bed);
}

bool bed_next_packet(struct bed *bed, unsigned n, struct packet *ret, struct fake_frame **ret_frame)
{
	*ret_frame = fake_queue_pop(&bed->guests[n].port.sent);
	if (!*ret_frame)
		return false;
	packet_parse(ret, (*ret_frame)->bytes, (*ret_frame)->len);
	ck_assert_msg(!ret->fault, "%s", ret->fault);
	return true;
}

struct sim_tcp *bed_connect(struct bed *bed, unsigned n, uint16_t port, const char *to,
			    uint16_t to_port)
{
	const struct endpoint peer = bed_endpoint(to, to_port);
	struct sim_tcp *tcp = sim_tcp_connect(bed->guests[n].sim, port, &peer, &bed_setup);

	bed_settle(bed);
	return tcp;
}

struct fake_handle *bed_only_handle(struct bed *bed)
{
	int handle = fake_host_nth(&bed->host, FAKE_TCP, 0);

	ck_assert_int_ge(handle, 0);
	return fake_host_handle(&bed->host, handle);
}

void bed_kick_host(struct bed *bed)
{
	fake_host_kick(&bed->host, fake_host_nth(&bed->host, FAKE_TCP, 0));
	bed_settle(bed);
}
