#include "stack/nat/port/reass.h"

/* As in reass4.c. */
#include "../core/ipv6/ip6_frag.c" // NOLINT(bugprone-suspicious-include): on purpose

static void enter(const struct reass *reass)
{
	reassdatagrams = reass->datagrams;
	ip6_reass_pbufcount = reass->fragments_n;
}

static void leave(struct reass *reass)
{
	reass->datagrams = reassdatagrams;
	reass->fragments_n = ip6_reass_pbufcount;
	reassdatagrams = NULL;
	ip6_reass_pbufcount = 0;
}

struct pbuf *reass6_input(struct reass *reass, struct pbuf *fragment)
{
	struct ip6_hdr *header = fragment->payload;
	struct pbuf *whole;

	/* What lwIP's IP input would have left behind for ip6_reass(). */
	ip_data.current_ip6_header = header;
	ip_addr_copy_from_ip6_packed(ip_data.current_iphdr_src, header->src);
	ip_addr_copy_from_ip6_packed(ip_data.current_iphdr_dest, header->dest);
	pbuf_remove_header(fragment, IP6_HLEN);
	enter(reass);
	whole = ip6_reass(fragment);
	leave(reass);
	ip_data.current_ip6_header = NULL;
	/* lwIP leaves a length there that lacks the Fragment header's 8 bytes, and never looks at
	 * it again. */
	if (whole)
		IP6H_PLEN_SET((struct ip6_hdr *)whole->payload, whole->tot_len - IP6_HLEN);
	return whole;
}

void reass6_tick(struct reass *reass)
{
	enter(reass);
	ip6_reass_tmr();
	leave(reass);
}
