/* Queues of a network card: ethtool's calls, and the kernel's netdev family of generic netlink. */
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nettool.h"

static bool ethtool(const char *interface, void *command)
{
	struct ifreq request = {.ifr_data = command};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool done;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	done = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0;
	if (!done)
		perror("nettool: ethtool");
	close(fd);
	return done;
}

int card_pairs(const char *interface, const char *number)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};

	if (!ethtool(interface, &channels))
		return 1;
	if (!number) {
		printf("%u of %u\n", channels.combined_count, channels.max_combined);
		return 0;
	}
	channels.cmd = ETHTOOL_SCHANNELS;
	channels.combined_count = (uint32_t)atoi(number);
	return ethtool(interface, &channels) ? 0 : 1;
}

/* The names in a set; there are at most 'max'. To be freed; NULL where the card has none. */
static struct ethtool_gstrings *get_names(const char *interface, uint32_t set, uint32_t max)
{
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)max * ETH_GSTRING_LEN);

	if (!names)
		abort();
	*names = (struct ethtool_gstrings){.cmd = ETHTOOL_GSTRINGS, .string_set = set, .len = max};
	if (ethtool(interface, names))
		return names;
	free(names);
	return NULL;
}

/* Prints one of the driver's own counters if it is of a queue's packets: "rx0_packets", or
 * "rx_queue_0_packets" in other kernels. */
static unsigned print_counter(const uint8_t *text, uint64_t value)
{
	char name[ETH_GSTRING_LEN + 1] = {0}, way[3], end[ETH_GSTRING_LEN + 1];
	unsigned queue;

	memcpy(name, text, ETH_GSTRING_LEN);
	if ((sscanf(name, "%2[rtx]%u_%s", way, &queue, end) != 3 &&
	     sscanf(name, "%2[rtx]_queue_%u_%s", way, &queue, end) != 3) ||
	    strcmp(end, "packets") != 0)
		return 0;
	printf("%s %u %llu\n", way, queue, (unsigned long long)value);
	return 1;
}

static unsigned print_driver_counters(const char *interface)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ethtool_gstrings *names;
	struct ethtool_stats *values;
	unsigned printed = 0;

	if (!ethtool(interface, &info))
		return 0;
	names = get_names(interface, ETH_SS_STATS, info.n_stats);
	values = calloc(1, sizeof(*values) + info.n_stats * sizeof(values->data[0]));
	if (!values)
		abort();
	*values = (struct ethtool_stats){.cmd = ETHTOOL_GSTATS, .n_stats = info.n_stats};
	if (names && ethtool(interface, values)) {
		for (uint32_t i = 0; i < info.n_stats; i++)
			printed += print_counter(names->data + (size_t)i * ETH_GSTRING_LEN,
						 values->data[i]);
	}
	free(names);
	free(values);
	return printed;
}

/* ---- Linux 6.11 and newer: the kernel counts, <linux/netdev.h> (which older systems do not have)
 * ---- */

enum { QSTATS_GET = 12 };
enum {
	IFINDEX = 1,
	QUEUE_TYPE = 2,
	QUEUE_ID = 3,
	SCOPE = 4,
	RX_PACKETS = 8,
	TX_PACKETS = 10,
	ATTRS_MAX = 16,
};
enum { SCOPE_QUEUE = 1, QUEUE_TYPE_TX = 1 };

struct request {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	uint8_t attrs[64];
};

static void add_attr(struct request *r, uint16_t type, const void *value, size_t len)
{
	struct nlattr attr = {.nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + len)};
	uint8_t *at = (uint8_t *)r + NLMSG_ALIGN(r->head.nlmsg_len);

	memcpy(at, &attr, sizeof(attr));
	memcpy(at + NLA_HDRLEN, value, len);
	r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + (uint32_t)NLA_ALIGN(attr.nla_len);
}

static struct request begin_request(uint16_t family, uint8_t command, uint16_t flags)
{
	return (struct request){.head = {.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
					 .nlmsg_type = family,
					 .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
				.genl = {.cmd = command, .version = 1}};
}

/* Numbers of 2, 4 or 8 bytes, by their attribute's type; other attributes are left out. */
static void read_attrs(const struct nlmsghdr *head, uint64_t ret_values[ATTRS_MAX])
{
	const uint8_t *at = (const uint8_t *)NLMSG_DATA(head) + GENL_HDRLEN;
	const uint8_t *end = (const uint8_t *)head + head->nlmsg_len;

	memset(ret_values, 0, ATTRS_MAX * sizeof(ret_values[0]));
	while (end - at >= NLA_HDRLEN) {
		struct nlattr attr;
		size_t len;

		memcpy(&attr, at, sizeof(attr));
		len = attr.nla_len - (size_t)NLA_HDRLEN;
		if (attr.nla_len < NLA_HDRLEN || attr.nla_len > end - at)
			return;
		if (attr.nla_type < ATTRS_MAX && (len == 2 || len == 4 || len == 8))
			memcpy(&ret_values[attr.nla_type], at + NLA_HDRLEN,
			       len); /* little-endian */
		at += NLA_ALIGN(attr.nla_len);
	}
}

static uint16_t find_family(int fd, const char *name)
{
	struct request request = begin_request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	uint64_t values[ATTRS_MAX];
	union {
		struct nlmsghdr head;
		uint8_t bytes[8192];
	} answer;

	add_attr(&request, CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	if (send(fd, &request, request.head.nlmsg_len, 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(GENL_HDRLEN) ||
	    answer.head.nlmsg_type != GENL_ID_CTRL)
		return 0;
	read_attrs(&answer.head, values);
	return (uint16_t)values[CTRL_ATTR_FAMILY_ID];
}

static unsigned print_queue(const struct nlmsghdr *head, unsigned interface)
{
	uint64_t values[ATTRS_MAX];
	bool tx;

	read_attrs(head, values);
	if (values[IFINDEX] != interface)
		return 0;
	tx = values[QUEUE_TYPE] == QUEUE_TYPE_TX;
	printf("%s %u %llu\n", tx ? "tx" : "rx", (unsigned)values[QUEUE_ID],
	       (unsigned long long)values[tx ? TX_PACKETS : RX_PACKETS]);
	return 1;
}

static unsigned print_kernel_counters(unsigned interface)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	uint16_t family = find_family(fd, "netdev");
	struct request request = begin_request(family, QSTATS_GET, NLM_F_DUMP);
	uint32_t scope = SCOPE_QUEUE;
	unsigned printed = 0;
	bool more;

	add_attr(&request, IFINDEX, &interface, sizeof(interface));
	add_attr(&request, SCOPE, &scope, sizeof(scope));
	more = family != 0 && send(fd, &request, request.head.nlmsg_len, 0) > 0;
	while (more) {
		union {
			struct nlmsghdr head;
			uint8_t bytes[16384];
		} answer;
		ssize_t got = recv(fd, &answer, sizeof(answer), 0);

		more = got > 0;
		for (struct nlmsghdr *h = &answer.head; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
			if (h->nlmsg_type == family)
				printed += print_queue(h, interface);
			else
				more = false; /* NLMSG_DONE, NLMSG_ERROR */
		}
	}
	close(fd);
	return printed;
}

int card_packets(const char *interface)
{
	return print_driver_counters(interface) || print_kernel_counters(if_nametoindex(interface))
		   ? 0
		   : 1;
}
