/* Which boot file a client is told, by kind and architecture: see struct dhcpd_boot. */
#ifndef LWNAT_DHCP_DHCPD_BOOT_H
#define LWNAT_DHCP_DHCPD_BOOT_H

#include "dhcp/dhcpd.h"
#include "dhcp/dhcpd_msg.h"

#define DHCPD_TEXT_MAX DHCPD_BOOT_FILE_MAX /* bytes of the longest option of text, with NUL */

struct dhcpd_boots {
	char bootfile[DHCPD_TEXT_MAX]; /* for whom no entry is; "" for none */
	struct dhcpd_boot *entries;    /* owned; their files point into 'files' */
	char (*files)[DHCPD_TEXT_MAX]; /* owned */
	unsigned n;
	bool (*ask)(void *ctx, enum dhcpd_boot_client client, int arch, char ret[DHCPD_TEXT_MAX]);
	void *ctx;
	char answer[DHCPD_TEXT_MAX]; /* of the latest 'ask' */
};

/* Copies what the config says. 0, -ENOMEM, -EINVAL for a name that is too long. */
int dhcpd_boots_init(struct dhcpd_boots *boots, const struct dhcpd_config *config);
void dhcpd_boots_fini(struct dhcpd_boots *boots);
/* "" for none. Valid until the next call. */
const char *dhcpd_boots_choose(struct dhcpd_boots *boots, const struct dhcpd_request *request);
bool dhcpd_boot_is_url(const char *file);

/* 0, or -EINVAL when it is too long; NULL is "". */
int dhcpd_text_copy(const char *text, char ret[DHCPD_TEXT_MAX]);

#endif
