/* A guest under load is moved from one vhost-user front-end to another, as QEMU moves one: memory
 * is copied while the program writes to it, then the pages again that the dirty log names. The
 * driver here knows what it has written itself, so that in the end every byte must be the same. */
#include "stack/link/vu_mem.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"
#include "tests/support/vu_front.h"
#include "tests/support/wirebed.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAGE ((size_t)VU_LOG_PAGE)
#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define SIZE 512
#define MTU 8000
#define RX_LEN 1600 /* a large frame takes six buffers, on three pages */
#define TX_LEN 8192
#define VNET_LEN VU_FRONT_VNET_LEN
#define FRAME_MAX (14 + MTU)
#define USED_LEN (4 + 8 * (size_t)SIZE + 2)
#define RING_LEN (6 * PAGE) /* before the buffers */
#define HOLE_LEN (64 * MIB)
#define FLOWS 4
#define LOG_OFFSET 4096 /* of the log in its file */

/* Both ways at once. */
struct flow {
	struct sim_tcp *tcp;
	int peer;
	uint64_t read_n, written;
};

struct dirty_log {
	int fd;
	uint64_t *words;
	size_t len; /* bytes */
};

struct bed {
	struct wire wire; /* without guests of its own */
	char path[64];
	uint64_t features;
	struct vu_front here, there;
	struct vu_front *vu; /* where the guest runs */
	unsigned tx_busy[VU_FRONT_RINGS_MAX];
	struct guestsim *sim;
	struct flow flows[FLOWS];
	struct dirty_log log;
	atomic_bool runs;
	atomic_uint rounds;
	unsigned logged;                   /* pages copied because the log named them */
	uint16_t sent[VU_FRONT_RINGS_MAX]; /* up to where what the guest sent is copied */
};

/* Rings that are told apart by the log: a used ring's index ends one page, its entries fill the
 * next one, and the event begins a third. */
static const struct variant {
	unsigned pairs;
	bool event_idx, two_regions, disables; /* its rings before it stops them */
} variants[] = {
    {1, true, false, true}, {1, false, false, false}, {1, true, true, false},
    {1, false, true, true}, {2, true, false, false},  {2, false, false, true},
    {2, true, true, true},  {2, false, true, false},
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the driver ---- */

/* The next used descriptor. The program uses them in the order in which they were offered: one that
 * was lost, or comes twice, is another than the expected one. */
static bool take_used(struct bed *bed, unsigned ring, uint32_t *ret_id, uint32_t *ret_len)
{
	struct vq_driver *vq = &bed->vu->ring[ring];
	uint16_t at = vq->used_seen;

	if (!vq_take_used(vq, ret_id, ret_len))
		return false;
	ck_assert_uint_ne(at, vq->avail);
	ck_assert_msg(*ret_id == at % SIZE, "ring %u: entry %u is descriptor %u", ring, at,
		      (unsigned)*ret_id);
	ck_assert_uint_le(*ret_len, vq->buffer_len);
	return true;
}

static void take_sent_back(struct bed *bed, unsigned ring)
{
	uint32_t id, len;

	while (take_used(bed, ring, &id, &len)) {
		ck_assert_uint_eq(len, 0);
		bed->tx_busy[ring]--;
	}
}

/* Each connection stays on one queue pair. */
static unsigned tx_ring_of(const struct bed *bed, const uint8_t *frame)
{
	unsigned pairs = bed->vu->rings_n / 2, source_port = frame[34] << 8 | frame[35];

	return frame[12] == 8 && frame[13] == 0 ? 2 * (source_port % pairs) + 1 : 1;
}

static void guest_sends(void *ctx, const uint8_t *frame, size_t len)
{
	struct bed *bed = ctx;
	unsigned ring = tx_ring_of(bed, frame);
	uint8_t bytes[VNET_LEN + FRAME_MAX] = {0};

	take_sent_back(bed, ring);
	while (bed->tx_busy[ring] == SIZE) {
		vu_front_kick(bed->vu, ring);
		poll(NULL, 0, 1);
		take_sent_back(bed, ring);
	}
	ck_assert_uint_le(len, FRAME_MAX);
	memcpy(bytes + VNET_LEN, frame, len);
	vq_send(&bed->vu->ring[ring], bytes, (uint32_t)(VNET_LEN + len));
	bed->tx_busy[ring]++;
}

/* All frames in a receive ring; how many buffers they took. */
static unsigned receive(struct bed *bed, unsigned ring)
{
	struct vq_driver *vq = &bed->vu->ring[ring];
	uint8_t frame[VNET_LEN + FRAME_MAX];
	uint32_t id, len;
	unsigned used = 0;

	while (take_used(bed, ring, &id, &len)) {
		unsigned n = vq_buffer(vq, (uint16_t)id)[10];
		size_t frame_len = 0;

		ck_assert_uint_ge(n, 1);
		for (unsigned i = 0; i < n; i++) {
			ck_assert(i == 0 || take_used(bed, ring, &id, &len));
			ck_assert_uint_le(frame_len + len, sizeof(frame));
			memcpy(frame + frame_len, vq_buffer(vq, (uint16_t)id), len);
			frame_len += len;
		}
		guestsim_input(bed->sim, frame + VNET_LEN, frame_len - VNET_LEN, now_ms());
		used += n;
	}
	return used;
}

static bool guest_turn(struct bed *bed)
{
	bool any = false;

	for (unsigned ring = 0; ring < bed->vu->rings_n; ring += 2) {
		unsigned used = receive(bed, ring);
		vq_offer_buffers(&bed->vu->ring[ring], (uint16_t)used);
		any |= used > 0;
	}
	guestsim_tick(bed->sim, now_ms());
	guestsim_run(bed->sim, now_ms());
	for (unsigned ring = 0; ring < bed->vu->rings_n; ring++)
		vu_front_kick(bed->vu, ring);
	return any;
}

/* ---- the peers ---- */

static void peer_turn(struct flow *flow, unsigned n)
{
	static uint8_t bytes[1 << 16];
	uint64_t total = flow->tcp->send_total;
	long len;

	while ((len = wire_read(flow->peer, bytes, sizeof(bytes))) > 0) {
		ck_assert(pattern_matches(n, flow->read_n, bytes, (size_t)len));
		flow->read_n += (uint64_t)len;
	}
	len = total - flow->written < sizeof(bytes) ? (long)(total - flow->written)
						    : (long)sizeof(bytes);
	pattern_fill(FLOWS + n, flow->written, bytes, (size_t)len);
	len = send(flow->peer, bytes, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	flow->written += len > 0 ? (uint64_t)len : 0;
}

static void turn(struct bed *bed)
{
	bool any = guest_turn(bed);

	for (unsigned i = 0; i < FLOWS; i++) {
		if (bed->flows[i].peer >= 0)
			peer_turn(&bed->flows[i], i);
	}
	if (!any)
		poll(NULL, 0, 1);
}

#define TURN_UNTIL(bed, condition)                                                                 \
	do {                                                                                       \
		for (unsigned turns_ = 0; !(condition); turns_++) {                                \
			ck_assert_msg(turns_ < 200000, "never: %s", #condition);                   \
			turn(bed);                                                                 \
		}                                                                                  \
	} while (0)

/* What has come through in the direction that has less. */
static uint64_t moved(const struct bed *bed)
{
	uint64_t down = 0, up = 0;

	for (unsigned i = 0; i < FLOWS; i++) {
		down += bed->flows[i].tcp->received;
		up += bed->flows[i].read_n;
	}
	return down < up ? down : up;
}

static void open_flows(struct bed *bed, uint16_t first_port, uint64_t total)
{
	uint16_t port;
	int listener = wire_listen(0, &port);

	for (unsigned i = 0; i < FLOWS; i++) {
		struct sim_tcp_setup setup = {
		    .wscale = 7, .send_seed = i, .recv_seed = FLOWS + i, .send_total = total};
		struct flow *flow = &bed->flows[i];

		*flow = (struct flow){.peer = -1};
		flow->tcp = sim_tcp_connect(bed->sim, (uint16_t)(first_port + i),
					    &(struct endpoint){wire_gateway(), port}, &setup);
		TURN_UNTIL(bed, flow->tcp->state == SIM_OPEN &&
				    (flow->peer = wire_accept(listener)) >= 0);
	}
	close(listener);
}

static void forget_flows(struct bed *bed)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		close(bed->flows[i].peer);
		sim_tcp_free(bed->flows[i].tcp);
		bed->flows[i] = (struct flow){.peer = -1};
	}
}

/* ---- the machine ---- */

static void lay_out(struct vu_front *f, const struct variant *variant)
{
	size_t at = 0;

	vu_front_memory(f, variant->pairs * (2 * RING_LEN + SIZE * (RX_LEN + TX_LEN)));
	f->rings_n = 2 * variant->pairs;
	for (unsigned i = 0; i < f->rings_n; i++) {
		struct vq_driver *vq = &f->ring[i];
		uint32_t buffer_len = i % 2 ? TX_LEN : RX_LEN;

		vq_init(vq, f->mem, at, SIZE, buffer_len);
		vq->used_at = at + 4 * PAGE - 4;
		vq->buffers_at = at + RING_LEN;
		at = vq->buffers_at + (size_t)SIZE * buffer_len;
		/* In the middle of the first ring's buffers. */
		vq->hole_at = variant->two_regions ? RING_LEN + SIZE / 2 * RX_LEN : 0;
		vq->hole_len = HOLE_LEN;
		if (i % 2 == 0)
			vq_offer_buffers(vq, SIZE);
	}
	ck_assert_uint_eq(at, f->mem_len);
}

static void bed_begin(struct bed *bed, const struct variant *variant)
{
	struct guestsim_config config = {.mac = {{0x52, 0x54, 0, 0, 9, 1}},
					 .addr = addr_v4(0x0a00020f),
					 .net = {addr_v4(0x0a000200), 24},
					 .gateway = wire_gateway(),
					 .mtu = MTU,
					 .seed = 1,
					 .send = guest_sends,
					 .ctx = bed};
	char line[128];

	memset(bed, 0, sizeof(*bed));
	for (unsigned i = 0; i < FLOWS; i++)
		bed->flows[i].peer = -1;
	bed->features = VU_FRONT_FEATURES & ~(variant->event_idx ? 0 : VIRTIO_F_EVENT_IDX);
	if (variant->pairs > 1)
		bed->features |= VIRTIO_NET_F_MQ;
	snprintf(bed->path, sizeof(bed->path), "/tmp/lwnat-migrate-%d", (int)getpid());
	snprintf(line, sizeof(line), "--mtu|%d|--vhost-user|%s", MTU, bed->path);
	wire_start(&bed->wire, line);
	bed->sim = guestsim_new(&config);
	bed->vu = &bed->here;
	lay_out(&bed->here, variant);
	vu_front_connect(&bed->here, bed->path);
	vu_front_attach(&bed->here, bed->features);
	guestsim_arp_ask(bed->sim, &config.gateway);
	TURN_UNTIL(bed, guestsim_neighbour(bed->sim, &config.gateway, &(struct mac){{0}}));
}

static void bed_end(struct bed *bed)
{
	ck_assert_msg(guestsim_faults_sum(bed->sim) == 0, "%s", guestsim_fault_text(bed->sim));
	guestsim_free(bed->sim);
	vu_front_detach(bed->vu);
	vu_front_free(&bed->here);
	wire_finish(&bed->wire);
	unlink(bed->path);
}

/* ---- the move ---- */

static void log_open(struct bed *bed, size_t more)
{
	const struct vq_driver *vq = &bed->here.ring[0];
	struct dirty_log *log = &bed->log;

	log->len = vq_guest_addr(vq, bed->here.mem_len) / PAGE / 64 * 8 + 8 + more;
	log->fd = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(log->fd, (off_t)(LOG_OFFSET + log->len)), 0);
	log->words = mmap(NULL, log->len, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, LOG_OFFSET);
	ck_assert(log->words != MAP_FAILED);

	struct vu_log as = {log->len, LOG_OFFSET};
	vu_front_say(&bed->here, VU_SET_LOG_BASE, &as, sizeof(as), log->fd);
	vu_front_hear(&bed->here);
}

static void log_close(struct dirty_log *log)
{
	munmap(log->words, log->len);
	close(log->fd);
}

static void log_on(struct bed *bed)
{
	vu_front_say_u64(&bed->here, VU_SET_FEATURES, bed->features | VHOST_F_LOG_ALL, -1);
	for (uint32_t i = 0; i < bed->here.rings_n; i++)
		vu_front_say_addr(&bed->here, i, VU_VRING_F_LOG);
	vu_front_ask(&bed->here, VU_GET_FEATURES, NULL, 0);
}

/* Where a guest's page lies in memory. It must be one of those that the program writes to. */
static size_t logged_place(const struct bed *bed, uint64_t addr)
{
	const struct vu_front *f = &bed->here;
	const struct vq_driver *vq = &f->ring[0];
	size_t at = addr - VQ_GUEST_BASE;

	if (vq->hole_at && at >= vq->hole_at)
		at -= vq->hole_len;
	ck_assert_uint_lt(at, f->mem_len);
	ck_assert_uint_eq(vq_guest_addr(vq, at), addr);
	for (unsigned i = 0; i < f->rings_n; i++) {
		vq = &f->ring[i];
		if ((at + PAGE > vq->used_at && at < vq->used_at + USED_LEN) ||
		    (i % 2 == 0 && at >= vq->buffers_at &&
		     at < vq->buffers_at + (size_t)SIZE * vq->buffer_len))
			return at;
	}
	ck_abort_msg("the log names a page that only the guest writes to, at %zx", at);
	return 0;
}

static void copy(struct bed *bed, size_t at, size_t len)
{
	memcpy(bed->there.mem + at, bed->here.mem + at, len);
}

/* Copies what the program has written since the last time. */
static void copy_logged(struct bed *bed)
{
	for (size_t i = 0; i < bed->log.len / 8; i++) {
		uint64_t bits = __atomic_exchange_n(&bed->log.words[i], 0, __ATOMIC_ACQ_REL);

		for (; bits; bits &= bits - 1, bed->logged++) {
			uint64_t page = 64 * i + (unsigned)__builtin_ctzll(bits);
			copy(bed, logged_place(bed, page * PAGE), PAGE);
		}
	}
}

/* Copies what the driver has written, where only it writes. */
static void copy_own(struct bed *bed)
{
	for (unsigned i = 0; i < bed->here.rings_n; i++) {
		const struct vq_driver *vq = &bed->here.ring[i];

		copy(bed, vq->at, 3 * PAGE);
		for (; i % 2 && bed->sent[i] != vq->avail; bed->sent[i]++)
			copy(bed, vq->buffers_at + bed->sent[i] % SIZE * (size_t)TX_LEN, TX_LEN);
	}
}

static void *copy_all_the_time(void *ctx)
{
	struct bed *bed = ctx;

	for (; bed->runs; bed->rounds++)
		copy_logged(bed);
	return NULL;
}

/* The guest and the program go on, and another thread copies. */
static void copy_while_running(struct bed *bed, uint64_t total)
{
	uint64_t before = moved(bed);
	pthread_t copier;

	bed->rounds = 0;
	bed->runs = true;
	ck_assert_int_eq(pthread_create(&copier, NULL, copy_all_the_time, bed), 0);
	TURN_UNTIL(bed, moved(bed) > before + total && bed->rounds > 5);
	bed->runs = false;
	pthread_join(copier, NULL);
}

static void copy_everything(struct bed *bed)
{
	for (unsigned i = 0; i < bed->here.rings_n; i++)
		bed->sent[i] = bed->here.ring[i].avail;
	for (size_t at = 0; at < bed->here.mem_len; at += PAGE) {
		copy(bed, at, PAGE);
		if (at / PAGE % 256 == 0)
			turn(bed);
	}
}

static void replace_log(struct bed *bed)
{
	struct dirty_log before = bed->log, after;

	log_open(bed, PAGE);
	after = bed->log;
	bed->log = before;
	copy_logged(bed); /* what was written before the program took the new one */
	log_close(&before);
	bed->log = after;
}

/* The guest stands still: what was not copied before is copied now. */
static void stop(struct bed *bed, bool disables)
{
	uint32_t base[VU_FRONT_RINGS_MAX] = {0};

	for (uint32_t i = 0; disables && i < bed->here.rings_n; i++) {
		struct vu_vring_state disable = {i, 0};
		vu_front_say(&bed->here, VU_SET_VRING_ENABLE, &disable, sizeof(disable), -1);
	}
	for (uint32_t i = 0; i < bed->here.rings_n; i++) {
		struct vu_vring_state get = {i, 0};
		base[i] = vu_front_ask(&bed->here, VU_GET_VRING_BASE, &get, sizeof(get)) >> 32;
	}
	copy_logged(bed);
	copy_own(bed);
	log_close(&bed->log);
	/* With these two a device goes on: what was taken has been used. */
	for (unsigned i = 0; i < bed->here.rings_n; i++)
		ck_assert_uint_eq(base[i], vq_used_idx(&bed->here.ring[i]));
}

static void check_copy(const struct bed *bed)
{
	for (size_t at = 0; at < bed->here.mem_len; at++) {
		unsigned i = bed->here.rings_n - 1;

		if (bed->here.mem[at] == bed->there.mem[at])
			continue;
		while (at < bed->here.ring[i].at)
			i--;
		const struct vq_driver *vq = &bed->here.ring[i];
		if (at < vq->buffers_at)
			ck_abort_msg("ring %u: byte %zd of the used ring differs", i,
				     (ssize_t)(at - vq->used_at));
		else
			ck_abort_msg("ring %u: byte %zu of the buffers differs", i,
				     at - vq->buffers_at);
	}
}

static void go_on(struct bed *bed)
{
	struct vu_front *to = &bed->there;

	to->rings_n = bed->here.rings_n;
	memcpy(to->ring, bed->here.ring, sizeof(to->ring));
	for (unsigned i = 0; i < to->rings_n; i++)
		to->ring[i].mem = to->mem;
	vu_front_attach(to, bed->features);
	bed->vu = to;
}

static bool all_sent_back(struct bed *bed)
{
	bool all = true;

	for (unsigned ring = 1; ring < bed->vu->rings_n; ring += 2) {
		take_sent_back(bed, ring);
		all &= bed->tx_busy[ring] == 0;
	}
	return all;
}

START_TEST(test_a_guest_is_moved_while_it_works)
{
	const struct variant *variant = &variants[_i];
	struct bed bed;

	bed_begin(&bed, variant);
	open_flows(&bed, 40000, 1024 * MIB);
	TURN_UNTIL(&bed, moved(&bed) > 256 * KIB);
	vu_front_memory(&bed.there, bed.here.mem_len);
	vu_front_connect(&bed.there, bed.path);
	log_open(&bed, 0);
	log_on(&bed);
	copy_everything(&bed);
	copy_while_running(&bed, 512 * KIB);
	replace_log(&bed);
	copy_while_running(&bed, 512 * KIB);
	stop(&bed, variant->disables);
	check_copy(&bed);
	ck_assert_uint_ge(bed.logged, MIB / PAGE);

	go_on(&bed);
	guest_turn(&bed); /* what it had received, and not yet looked at */
	forget_flows(&bed);
	vu_front_detach(&bed.here);
	open_flows(&bed, 50000, 64 * KIB);
	TURN_UNTIL(&bed, moved(&bed) == FLOWS * 64 * KIB && all_sent_back(&bed));
	forget_flows(&bed);
	bed_end(&bed);
	vu_front_free(&bed.there);
}
END_TEST

/* QEMU gives a longer log when a guest gets more memory while it is moved. */
START_TEST(test_a_log_is_replaced_with_all_memory_slots_in_use)
{
	struct bed bed;

	bed_begin(&bed, &variants[0]);
	for (uint64_t i = 1; i < VU_REGIONS_MAX; i++) {
		struct {
			uint64_t padding;
			struct vu_mem_region region;
		} more = {0, {i << 32, PAGE, VU_FRONT_USER_BASE + (i << 32), 0}};
		vu_front_say(&bed.here, VU_ADD_MEM_REG, &more, sizeof(more), bed.here.mem_fd);
	}
	log_open(&bed, 0);
	log_close(&bed.log);
	log_open(&bed, PAGE);
	log_close(&bed.log);
	open_flows(&bed, 40000, KIB);
	TURN_UNTIL(&bed, moved(&bed) == FLOWS * KIB);
	forget_flows(&bed);
	bed_end(&bed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_migrate");
	TCase *tc = tcase_create("vhost_migrate");

	tcase_set_timeout(tc, 300); /* only ends what hangs */
	tcase_add_loop_test(tc, test_a_guest_is_moved_while_it_works, 0,
			    sizeof(variants) / sizeof(variants[0]));
	tcase_add_test(tc, test_a_log_is_replaced_with_all_memory_slots_in_use);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
