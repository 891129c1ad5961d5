/* The NAT on a test bed: synthetic guests on fake ports in front of it, a fake host behind it, and
 * a clock that is a number. Nothing happens but in bed_settle() and bed_step(). */
#ifndef LWNAT_TESTS_NATBED_H
#define LWNAT_TESTS_NATBED_H

#include "stack/nat/nat.h"
#include "tests/support/fake_host.h"
#include "tests/support/fake_port.h"
#include "tests/support/frames.h"
#include "tests/support/guestsim.h"
#include "tests/support/sim_tcp.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#define BED_GUESTS_MAX 4

struct bed;

struct bed_guest {
	struct bed *bed;
	struct fake_port port;
	struct guestsim
	    *sim; /* guest N is 10.0.2.(15+N) or fec0::(15+N), MAC 52:54:00:00:00:(15+N) */
	struct fake_queue out; /* sent by the sim, on its way to the NAT */
	struct fake_queue out_impaired;
	struct fake_impair impair; /* of 'out' */
	bool attached;
	bool deaf; /* frames to it stay in port.sent */
};

struct bed {
	struct nat *nat;
	struct nat_config config; /* set by bed_init(); change before bed_start() */
	struct fake_host host;
	struct rng rng;
	struct bed_guest guests[BED_GUESTS_MAX];
	uint64_t now_ms;
	uint32_t chunks_alive; /* input buffers that the NAT still refers to, or that are in use */
	uint32_t chunks_kept;  /* most of them alive after nat_run() */
	uint32_t batch_bytes;  /* of frames handed in between two nat_run(); 0: 256 KiB */
	bool pieces;           /* cuts frames into pieces in separate memory */
	struct dice dice;
	uint64_t frames_in, frames_out;
	bool faults_expected; /* bed_finish() does not look at the guests' faults */
};

void bed_init(struct bed *bed);
void bed_start(struct bed *bed);
/* bed_init(), bed_start() and one guest. */
struct guestsim *bed_simple(struct bed *bed);
struct guestsim *bed_add_guest(struct bed *bed, unsigned n);
void bed_remove_guest(struct bed *bed, unsigned n); /* its port goes; the sim stays readable */
/* Removes all guests, frees the NAT, and proves that nothing is left. */
void bed_finish(struct bed *bed);
/* The same without looking: after bed_finish() is called by itself. */
void bed_check_clean(struct bed *bed);

/* Exchanges frames and events until nothing moves at this instant. */
void bed_settle(struct bed *bed);
/* bed_settle(), then goes on to the next timer and settles again. false when there is none. */
bool bed_step(struct bed *bed);
void bed_advance(struct bed *bed, uint64_t ms); /* steps until this much time has passed */
/* One frame from guest n's wire, and settle. */
void bed_inject(struct bed *bed, unsigned n, const struct wire_out *frame);
/* The next frame the NAT sent to a deaf guest, parsed; false when there is none. The frame is the
 * caller's to free() through ret_frame. */
bool bed_next_packet(struct bed *bed, unsigned n, struct packet *ret,
		     struct fake_frame **ret_frame);

/* Makes all beds of this process IPv6 ones: for NATBED_SUITE(). */
void bed_use_v6(void);
bool bed_is_v6(void);
/* On an IPv6 bed an IPv4 text means the address in its place there: 10.0.2.N is fec0::N, 127.0.0.1
 * is ::1, others lie in 2001:db8::/96. */
struct addr bed_addr(const char *text);
struct addr bed_place(uint32_t v4); /* the same of a number in host order */
const struct addr *bed_gateway(const struct bed *bed);
const struct addr *bed_dns(const struct bed *bed);
size_t bed_ip_len(void); /* bytes of an IP header */
uint8_t bed_icmp_proto(void);
uint8_t bed_echo_type(bool reply);
/* Fails unless the message is this error in the bed's family. */
enum bed_error {
	BED_NO_ROUTE,
	BED_HOST_UNREACHABLE,
	BED_NO_PROTOCOL,
	BED_NO_PORT,
	BED_PROHIBITED,
	BED_TTL_EXCEEDED,
	BED_TOO_BIG,
};
void bed_error_numbers(enum bed_error error, uint8_t *ret_type, uint8_t *ret_code);
void bed_check_error(enum bed_error error, uint8_t type, uint8_t code);
struct endpoint bed_endpoint(const char *text, uint16_t port);
struct addr bed_guest_addr(unsigned n);
struct mac bed_guest_mac(unsigned n);
/* Ends of a frame from guest n to this address by way of the gateway. */
struct frames_ends bed_ends(const struct bed *bed, unsigned n, const char *to);
/* Connects, settles; a set-up of NULL is one with MSS and window scale and nothing to send. */
struct sim_tcp *bed_connect(struct bed *bed, unsigned n, uint16_t port, const char *to,
			    uint16_t to_port);
extern const struct sim_tcp_setup bed_setup;
/* The host's end of the only, or the first, TCP connection; and a look at what it has to send. */
struct fake_handle *bed_only_handle(struct bed *bed);
void bed_kick_host(struct bed *bed);

/* Each test for both families. */
#define NATBED_SUITE(name, ...)                                                                    \
	suite_run_twice(name, (const TTest *const[]){__VA_ARGS__},                                 \
			sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(TTest *), bed_use_v6)

/* Steps until the condition holds; fails the test when nothing would happen any more. */
#define BED_UNTIL(bed, condition)                                                                  \
	do {                                                                                       \
		uint64_t limit_ms_ = (bed)->now_ms + 3600000;                                      \
		bed_settle(bed);                                                                   \
		while (!(condition)) {                                                             \
			ck_assert_msg((bed)->now_ms < limit_ms_, "an hour passed without: %s",     \
				      #condition);                                                 \
			ck_assert_msg(bed_step(bed) || (condition),                                \
				      "nothing goes on, without: %s", #condition);                 \
		}                                                                                  \
	} while (0)

#endif
