/* What is counted for each guest. */
#include "stack/app/guests.h"
#include "stack/app/metrics.h"
#include "stack/nat/nat.h"

enum { PORT, NAME, THIRD, LABELS };

/* All families have the guest's port and name, most of them one label more. */
static void sample(struct metrics_text *out, const struct guest_record *guest,
		   struct metrics_label third, uint64_t value)
{
	struct metrics_label labels[LABELS] = {
	    {"port", guest->port->name}, {"name", guest->name}, third};

	metrics_sample(out, labels, third.name ? LABELS : THIRD, value);
}

#define FOR_EACH(guest, net)                                                                       \
	for (const struct guest_record *guest = guests_next((net)->guests, NULL); guest;           \
	     guest = guests_next((net)->guests, guest))

static void write_traffic(struct metrics_text *out, const struct network *net)
{
	static const struct metrics_label from = {"direction", "from_guest"},
					  to = {"direction", "to_guest"}, none;

	metrics_family(out, "lwnat_guest_frames_total", METRICS_COUNTER,
		       "Ethernet frames, of each guest attached now.");
	FOR_EACH(guest, net)
	{
		sample(out, guest, from, guest->port->counters.frames_from_guest);
		sample(out, guest, to, guest->port->counters.frames_to_guest);
	}
	metrics_family(out, "lwnat_guest_bytes_total", METRICS_COUNTER,
		       "Bytes of Ethernet frames, of each guest attached now.");
	FOR_EACH(guest, net)
	{
		sample(out, guest, from, guest->port->counters.bytes_from_guest);
		sample(out, guest, to, guest->port->counters.bytes_to_guest);
	}
	metrics_family(out, "lwnat_guest_dropped_frames_total", METRICS_COUNTER,
		       "Frames that the guest did not take in time.");
	FOR_EACH(guest, net)
	sample(out, guest, none, guest->port->counters.dropped_queue_full);
	metrics_family(out, "lwnat_guest_mac_clashes_total", METRICS_COUNTER,
		       "Frames with a MAC address that another guest also uses.");
	FOR_EACH(guest, net)
	sample(out, guest, none, guest->mac_clashes);
}

void metrics_write_guests(struct metrics_text *out, const struct network *net)
{
	static const char *const kinds[NAT_FLOW_KINDS] = {"tcp", "udp", "ping"};
	uint64_t n = 0;

	FOR_EACH(guest, net)
	n++;
	metrics_one(out, "lwnat_guests", METRICS_GAUGE, "Guests attached.", n);
	write_traffic(out, net);
	metrics_family(out, "lwnat_guest_flows", METRICS_GAUGE, "Flows of each guest.");
	FOR_EACH(guest, net)
	{
		uint32_t flows[NAT_FLOW_KINDS];

		nat_flows_count(net->nat, guest->port, flows);
		for (unsigned kind = 0; kind < NAT_FLOW_KINDS; kind++)
			sample(out, guest, (struct metrics_label){"protocol", kinds[kind]},
			       flows[kind]);
	}
}
