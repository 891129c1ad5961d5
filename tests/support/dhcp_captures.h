/* DHCP messages as real clients sent them: firmware, boot loaders, installers, Linux. */
#ifndef LWNAT_TESTS_DHCP_CAPTURES_H
#define LWNAT_TESTS_DHCP_CAPTURES_H

#include <stddef.h>
#include <stdint.h>

#define DHCP_CAPTURE_MAX 576 /* bytes; the longest has 415 */

struct dhcp_capture {
	const char *client; /* messages of one exchange follow each other under one name */
	uint16_t len;       /* bytes of UDP payload */
	const char *xid_secs_flags, *mac; /* hex */
	const char *file;                 /* the 'file' field */
	const char *options;              /* hex, from the cookie on */
};

/* NULL behind the last. */
const struct dhcp_capture *dhcp_capture_nth(unsigned n);
/* Writes the whole message, returns its length. */
size_t dhcp_capture_bytes(const struct dhcp_capture *capture, uint8_t ret[DHCP_CAPTURE_MAX]);

#endif
