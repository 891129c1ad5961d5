#include "stack/app/metrics.h"

#include "dhcp/dhcp6.h"
#include "dhcp/dhcpd.h"
#include "stack/app/control.h"
#include "stack/app/forwards.h"
#include "stack/app/guests.h"
#include "stack/app/services.h"
#include "stack/host/dns_service.h"
#include "tftp/tftpd.h"
#include "stack/link/lan.h"
#include "stack/nat/nat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- packets that were dropped ---- */

struct drop_row {
	const char *reason, *meaning;
	size_t offset; /* in struct nat_counters, or in struct lan_counters */
	bool lan;
};

#define NAT_DROP(member, meaning)                                                                  \
	{                                                                                          \
#member, meaning, offsetof(struct nat_counters, dropped_##member), false           \
	}
#define LAN_DROP(reason, member, meaning)                                                          \
	{                                                                                          \
		reason, meaning, offsetof(struct lan_counters, member), true                       \
	}

static const struct drop_row drop_rows[] = {
    NAT_DROP(malformed, "guests sent packets with lengths or checksums that cannot be right"),
    NAT_DROP(address, "guests sent from or to addresses that are none on this network"),
    NAT_DROP(policy, "--restrict, --no-host-loopback or the kind of address forbids them"),
    NAT_DROP(limit, "a limit on flows was reached"),
    NAT_DROP(memory, "out of memory"),
    NAT_DROP(no_neighbour, "nobody on the network answered for the address"),
    NAT_DROP(protocol, "of a protocol that is not passed on"),
    NAT_DROP(host_send, "the host did not take them: no route, or a full queue"),
    NAT_DROP(reassembly, "fragments of which the rest never came"),
    LAN_DROP("frame", malformed, "frames too short, or from a group address"),
    LAN_DROP("gateway_mac", source_spoofs_gateway, "a guest uses the gateway's own MAC address"),
    LAN_DROP("same_port", dropped_same_port, "for a machine behind the port they came from"),
    LAN_DROP("offload", dropped_offload, "unfinished frames between guests"),
};
#define DROP_ROWS (sizeof(drop_rows) / sizeof(drop_rows[0]))

static uint64_t queue_drops(const struct network *net)
{
	const struct guest_record *guest = NULL;
	uint64_t n = 0;

	while ((guest = guests_next(net->guests, guest)))
		n += guest->port->counters.dropped_queue_full;
	return n;
}

bool metrics_drop(const struct network *net, unsigned n, struct metrics_drop *ret)
{
	const struct drop_row *row;
	const char *counters;

	if (n == DROP_ROWS) {
		*ret = (struct metrics_drop){"guest_queue",
					     "guests that are attached did not read fast enough",
					     queue_drops(net)};
		return true;
	}
	if (n > DROP_ROWS)
		return false;
	row = &drop_rows[n];
	counters =
	    row->lan ? (const char *)lan_counters(net->lan) : (const char *)nat_counters(net->nat);
	*ret = (struct metrics_drop){row->reason, row->meaning,
				     *(const uint64_t *)(const void *)(counters + row->offset)};
	return true;
}

static void write_drops(struct metrics_text *out, const struct network *net)
{
	struct metrics_drop drop;

	metrics_family(out, "lwnat_dropped_packets_total", METRICS_COUNTER,
		       "Packets and frames dropped, by reason. guest_queue: of the guests attached "
		       "now, see lwnat_guest_dropped_frames_total.");
	for (unsigned i = 0; i < DROP_ROWS && metrics_drop(net, i, &drop); i++)
		metrics_sample(out, &(struct metrics_label){"reason", drop.reason}, 1,
			       drop.packets);
}

/* ---- families of one label ---- */

struct word_value {
	const char *word;
	uint64_t value;
};

static void write_by_word(struct metrics_text *out, const char *label,
			  const struct word_value *rows, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		metrics_sample(out, &(struct metrics_label){label, rows[i].word}, 1, rows[i].value);
}

#define WRITE_BY_WORD(out, label, ...)                                                             \
	write_by_word(out, label, (const struct word_value[]){__VA_ARGS__},                        \
		      sizeof((const struct word_value[]){__VA_ARGS__}) /                           \
			  sizeof(struct word_value))

/* ---- parts ---- */

/* Bytes, or 0 where /proc does not tell (proc(5): the second number of statm, in pages). */
static uint64_t resident_bytes(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	char line[128] = "", *second;

	if (statm && !fgets(line, sizeof(line), statm))
		line[0] = '\0';
	if (statm)
		fclose(statm);
	second = line + strcspn(line, " ");
	return strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_process(struct metrics_text *out, const struct network *net)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_SELF, &usage);
	metrics_family(out, "lwnat_build_info", METRICS_GAUGE, "Always 1; the version is a label.");
	metrics_sample(out, &(struct metrics_label){"version", LWNAT_VERSION}, 1, 1);
	metrics_one(out, "process_start_time_seconds", METRICS_GAUGE,
		    "When the process was started, in seconds since 1970.",
		    (uint64_t)net->started_unix_s);
	metrics_family(out, "process_cpu_seconds_total", METRICS_COUNTER,
		       "CPU time used, user and system, in seconds.");
	metrics_sample_real(out, (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
				     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) /
					 1000000);
	metrics_one(out, "process_resident_memory_bytes", METRICS_GAUGE, "Memory in use, in bytes.",
		    resident_bytes());
}

static void write_flows(struct metrics_text *out, const struct network *net)
{
	const struct nat_counters *c = nat_counters(net->nat);
	uint32_t n[NAT_FLOW_KINDS];

	nat_flows_count(net->nat, NULL, n);
	metrics_family(out, "lwnat_flows", METRICS_GAUGE, "Flows alive.");
	WRITE_BY_WORD(out, "protocol", {"tcp", n[NAT_FLOW_TCP]}, {"udp", n[NAT_FLOW_UDP]},
		      {"ping", n[NAT_FLOW_PING]});
	metrics_one(out, "lwnat_flows_limit", METRICS_GAUGE, "The most flows there may be.",
		    nat_limits(net->nat)->flows_max);
	metrics_family(out, "lwnat_flows_opened_total", METRICS_COUNTER, "Flows opened by guests.");
	WRITE_BY_WORD(out, "protocol", {"tcp", c->tcp_flows_opened}, {"udp", c->udp_flows_opened},
		      {"ping", c->ping_flows_opened});
	metrics_one(out, "lwnat_flows_evicted_total", METRICS_COUNTER,
		    "Idle flows that ended early to make room for new ones.", c->flows_evicted);
	metrics_family(out, "lwnat_tcp_failures_total", METRICS_COUNTER,
		       "TCP connections of guests that failed or were reset, by reason.");
	WRITE_BY_WORD(out, "reason", {"refused", c->tcp_refused},
		      {"unreachable", c->tcp_unreachable}, {"timed_out", c->tcp_timed_out},
		      {"reset_by_guest", c->tcp_reset_by_guest},
		      {"reset_by_host", c->tcp_reset_by_host});
	metrics_one(out, "lwnat_tcp_resent_total", METRICS_COUNTER,
		    "TCP frames sent to a guest again.", c->tcp_resent);
	metrics_one(out, "lwnat_tcp_resend_timeouts_total", METRICS_COUNTER,
		    "Times a guest acknowledged nothing until the retransmission timer fired.",
		    c->tcp_resend_timeouts);
	metrics_one(out, "lwnat_tcp_inbound_total", METRICS_COUNTER,
		    "TCP connections into guests: forwards and lwnat connect.", c->tcp_inbound);
	metrics_one(out, "lwnat_tcp_inbound_failures_total", METRICS_COUNTER,
		    "Those that the guest did not take.", c->tcp_inbound_failed);
	metrics_one(out, "lwnat_ping_forbidden_total", METRICS_COUNTER,
		    "Pings to the outside that this host does not let lwnat send.",
		    c->ping_forbidden);
	metrics_family(out, "lwnat_datagrams_to_host_total", METRICS_COUNTER,
		       "Datagrams passed from guests to the host's network.");
	WRITE_BY_WORD(out, "protocol", {"udp", c->udp_to_host}, {"ping", c->ping_to_host});
	metrics_family(out, "lwnat_datagrams_to_guest_total", METRICS_COUNTER,
		       "Datagrams passed from the host's network to guests.");
	WRITE_BY_WORD(out, "protocol", {"udp", c->udp_to_guest}, {"ping", c->ping_to_guest});
}

static void write_lan(struct metrics_text *out, const struct network *net)
{
	const struct lan_counters *c = lan_counters(net->lan);

	metrics_family(out, "lwnat_lan_frames_total", METRICS_COUNTER,
		       "Frames from guests, by where they went.");
	WRITE_BY_WORD(out, "to", {"gateway", c->for_gateway}, {"guest", c->forwarded},
		      {"all", c->flooded});
	metrics_one(out, "lwnat_mac_conflicts_total", METRICS_COUNTER,
		    "Times that one MAC address was found on two ports.", c->mac_conflicts);
	metrics_one(out, "lwnat_macs_evicted_total", METRICS_COUNTER,
		    "MAC addresses forgotten to make room for others.", c->macs_evicted);
}

static const char *const dhcp_words[DHCPD_VERDICTS] = {
    [DHCPD_IGNORED] = "ignored",      [DHCPD_MALFORMED] = "malformed",
    [DHCPD_OFFERED] = "offered",      [DHCPD_ACKED] = "acked",
    [DHCPD_NAKED] = "refused",        [DHCPD_INFORMED] = "informed",
    [DHCPD_RELEASED] = "released",    [DHCPD_DECLINED] = "declined",
    [DHCPD_POOL_EMPTY] = "pool_empty"};

static const char *const dhcp6_words[DHCPD6_VERDICTS] = {
    [DHCPD6_IGNORED] = "ignored",     [DHCPD6_MALFORMED] = "malformed",
    [DHCPD6_RELAYED] = "relayed",     [DHCPD6_ADVERTISED] = "offered",
    [DHCPD6_REPLIED] = "acked",       [DHCPD6_INFORMED] = "informed",
    [DHCPD6_CONFIRMED] = "confirmed", [DHCPD6_REFUSED] = "refused",
    [DHCPD6_RELEASED] = "released",   [DHCPD6_DECLINED] = "declined"};

struct dhcp_rows {
	const char *version;
	const char *const *words;
	const uint64_t *counts;
	unsigned n;
};

static void write_dhcp_rows(struct metrics_text *out, const struct dhcp_rows *rows)
{
	for (unsigned i = 0; i < rows->n; i++) {
		struct metrics_label labels[] = {{"version", rows->version},
						 {"result", rows->words[i]}};

		if (rows->words[i])
			metrics_sample(out, labels, 2, rows->counts[i]);
	}
}

static void write_dhcp(struct metrics_text *out, const struct network *net)
{
	const struct dhcpd *v4 = services_dhcpd(net->services);
	const struct dhcpd6 *v6 = services_dhcpd6(net->services);

	metrics_family(out, "lwnat_dhcp_messages_total", METRICS_COUNTER,
		       "DHCP messages from guests, by what became of them.");
	if (v4)
		write_dhcp_rows(out,
				&(struct dhcp_rows){"4", dhcp_words, dhcpd_counters(v4)->verdicts,
						    DHCPD_VERDICTS});
	if (v6)
		write_dhcp_rows(out,
				&(struct dhcp_rows){"6", dhcp6_words, dhcpd6_counters(v6)->verdicts,
						    DHCPD6_VERDICTS});
}

static void write_dns(struct metrics_text *out, const struct network *net)
{
	const struct dns_service *dns = services_dns(net->services);
	const struct dnsfwd_counters *f;
	struct host_resolver_counters r;
	struct dnscache_state cache;

	if (!dns)
		return;
	f = dns_service_forwarder_counters(dns);
	dns_service_resolver_counters(dns, &r);
	dns_service_cache_state(dns, &cache);
	metrics_one(out, "lwnat_dns_queries_total", METRICS_COUNTER, "DNS queries from guests.",
		    f->queries);
	metrics_family(out, "lwnat_dns_answers_total", METRICS_COUNTER,
		       "Answers to them, by what they were.");
	WRITE_BY_WORD(out, "kind", {"local", f->answered_local}, {"cache", cache.counters.hits},
		      {"upstream", r.answered}, {"servfail", f->servfail}, {"formerr", f->formerr},
		      {"refused", f->refused}, {"none", f->dropped});
	metrics_one(out, "lwnat_dns_upstream_attempts_total", METRICS_COUNTER,
		    "Queries sent to the host's DNS servers, repeated ones too.", r.attempts);
	metrics_one(out, "lwnat_dns_upstream_failures_total", METRICS_COUNTER,
		    "Queries that none of them answered in time.", r.failed);
	metrics_one(out, "lwnat_dns_cache_answers", METRICS_GAUGE,
		    "Upstream answers that are kept.", cache.answers_n);
	metrics_one(out, "lwnat_dns_cache_bytes", METRICS_GAUGE, "Bytes of them.", cache.bytes_n);
}

static void write_tftp(struct metrics_text *out, const struct network *net)
{
	const struct tftpd *tftp = services_tftpd(net->services);
	const struct tftpd_counters *c;

	if (!tftp)
		return;
	c = tftpd_counters(tftp);
	metrics_one(out, "lwnat_tftp_transfers", METRICS_GAUGE, "TFTP transfers that run now.",
		    tftpd_transfers(tftp));
	metrics_family(out, "lwnat_tftp_requests_total", METRICS_COUNTER,
		       "TFTP requests from guests, by what became of them.");
	WRITE_BY_WORD(out, "result", {"finished", c->finished}, {"given_up", c->given_up},
		      {"refused", c->refused});
	metrics_one(out, "lwnat_tftp_bytes_total", METRICS_COUNTER,
		    "Bytes of files sent by TFTP, repeated ones not counted.", c->bytes);
	metrics_one(out, "lwnat_tftp_packets_repeated_total", METRICS_COUNTER,
		    "TFTP packets sent once more.", c->resent);
}

static void write_forwards(struct metrics_text *out, const struct network *net)
{
	const struct forward *forward = NULL;
	struct forward_info info;
	uint64_t live = 0, opened = 0, failed = 0, to_guest = 0, to_host = 0;

	while ((forward = forwards_next(net->forwards, forward))) {
		forward_info(forward, &info);
		live += info.live;
		opened += info.opened;
		failed += info.failed;
		to_guest += info.bytes_to_guest;
		to_host += info.bytes_to_host;
	}
	metrics_one(out, "lwnat_hostfwd_rules", METRICS_GAUGE, "Forwarding rules.",
		    forwards_count(net->forwards));
	metrics_one(out, "lwnat_hostfwd_connections", METRICS_GAUGE,
		    "Connections through the rules there are now.", live);
	metrics_one(out, "lwnat_hostfwd_rules_connections_opened", METRICS_GAUGE,
		    "Connections so far through the rules there are now.", opened);
	metrics_one(out, "lwnat_hostfwd_rules_connections_failed", METRICS_GAUGE,
		    "Those that a guest did not take.", failed);
	metrics_one(out, "lwnat_hostfwd_rules_bytes_to_guest", METRICS_GAUGE,
		    "Payload bytes to guests through the rules there are now.", to_guest);
	metrics_one(out, "lwnat_hostfwd_rules_bytes_to_host", METRICS_GAUGE,
		    "Payload bytes from guests through the rules there are now.", to_host);
}

void metrics_write(struct metrics_text *out, const struct network *net)
{
	metrics_begin(out);
	write_process(out, net);
	metrics_write_guests(out, net);
	write_lan(out, net);
	write_flows(out, net);
	write_drops(out, net);
	write_dhcp(out, net);
	write_dns(out, net);
	write_tftp(out, net);
	write_forwards(out, net);
	if (net->control)
		control_metrics(net->control, out);
}
