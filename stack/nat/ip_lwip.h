/* lwIP's IP and UDP, used for what they do well: reassembly, fragmentation, datagrams. Like solo.h
 * for TCP, this is the only code that touches them; nat->output says where frames go. */
#ifndef LWNAT_NAT_IP_LWIP_H
#define LWNAT_NAT_IP_LWIP_H

#include "stack/nat/nat_priv.h"

int iplwip_init(struct nat *nat);  /* 0 or -ENOMEM */
void iplwip_fini(struct nat *nat); /* all guests must be gone */

/* Takes a fragment in. When it completes a datagram, 'ret' holds that (its bytes in nat->linear)
 * and true is returned. */
bool iplwip_reassemble(struct nat *nat, struct guest *guest, const struct packet *fragment,
		       struct packet *ret);
void iplwip_drop_fragments(struct nat *nat, struct guest *guest);
/* Must be called once a second while fragments wait. */
bool iplwip_reassembly_pending(const struct nat *nat);
void iplwip_reassembly_tick(struct nat *nat);

/* Passes a guest's datagram through lwIP's UDP, which hands its payload to 'deliver' in pieces,
 * before the return. */
typedef void iplwip_deliver(void *ctx, const struct iovec *pieces, unsigned pieces_n);
void iplwip_udp_input(struct nat *nat, const struct packet *packet,
		      const struct udp_datagram *datagram, iplwip_deliver *deliver, void *ctx);
/* A datagram to nat->output.guest, fragmented when it exceeds the MTU. The payload is referred to
 * until the port is flushed. */
void iplwip_udp_send(struct nat *nat, const struct endpoint *from, const struct endpoint *to,
		     const struct iovec *payload);
/* The same for a ready message of another protocol. */
struct iplwip_message {
	struct addr from, to;
	uint8_t proto, ttl;
	struct iovec bytes;
};
void iplwip_send(struct nat *nat, const struct iplwip_message *message);

#endif
