/* A DHCP client's side for tests: builds requests, takes replies apart (with its own reader, so
 * that the server's is not judge of itself). */
#ifndef LWNAT_TESTS_DHCP_CLIENT_H
#define LWNAT_TESTS_DHCP_CLIENT_H

#include "dhcp/dhcpd.h"

#include <stddef.h>
#include <stdint.h>

#define DHCP_BUILT_MAX 1500

struct dhcp_built {
	uint8_t bytes[DHCP_BUILT_MAX];
	size_t len; /* without the padding that dhcp_built_in() adds */
};

/* A request of the n-th client; its MAC is 52:54:00 and n. 'type' 0: no option 53. */
struct dhcp_built dhcp_build(uint8_t type, uint32_t n);
void dhcp_build_put(struct dhcp_built *m, uint8_t code, const void *value, size_t len);
void dhcp_build_put_u32(struct dhcp_built *m, uint8_t code, uint32_t value);
void dhcp_build_set_u32(struct dhcp_built *m, size_t offset, uint32_t value);
/* The message with its end mark, padded to 300 bytes. */
struct wire_in dhcp_built_in(struct dhcp_built *m);
struct mac dhcp_client_mac(uint32_t n);

/* The option in all places where a reply may have it, pieces joined (RFC 3396). Its length, or -1
 * when it is not there, or -2 when the reply is broken. 'ret' has room for 1500 bytes. */
int dhcp_reply_option(const struct wire_out *reply, uint8_t code, uint8_t *ret);
/* Four-byte options; 0 when not there. */
uint32_t dhcp_reply_u32(const struct wire_out *reply, uint8_t code);
uint8_t dhcp_reply_type(const struct wire_out *reply);
uint32_t dhcp_reply_yiaddr(const struct wire_out *reply);
uint32_t dhcp_field_u32(const uint8_t *bytes, size_t offset);

#endif
