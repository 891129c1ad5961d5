#include "stack/nat/port/reass.h"

/* lwIP's own source, for its file-scope tables. From a system directory, and so without our
 * warnings. */
#include "../core/ipv4/ip4_frag.c" // NOLINT(bugprone-suspicious-include): on purpose

static void enter(const struct reass *reass)
{
	reassdatagrams = reass->datagrams;
	ip_reass_pbufcount = reass->fragments_n;
}

static void leave(struct reass *reass)
{
	reass->datagrams = reassdatagrams;
	reass->fragments_n = ip_reass_pbufcount;
	reassdatagrams = NULL;
	ip_reass_pbufcount = 0;
}

struct pbuf *reass4_input(struct reass *reass, struct pbuf *fragment)
{
	struct pbuf *whole;

	enter(reass);
	whole = ip4_reass(fragment);
	leave(reass);
	return whole;
}

void reass4_tick(struct reass *reass)
{
	enter(reass);
	ip_reass_tmr();
	leave(reass);
}
