/* Which file of a boot directory a client is told, by its architecture. The names are those that
 * iPXE, GRUB, PXELINUX and UEFI's removable media have by themselves. */
#ifndef LWNAT_APP_BOOT_MENU_H
#define LWNAT_APP_BOOT_MENU_H

#include "dhcp/dhcpd.h"

#define BOOT_FILE_MAX DHCPD_BOOT_FILE_MAX

struct boot_menu {
	bool (*exists)(void *ctx, const char *name);
	void *ctx;
	const char *pxe_prefix;  /* before the names of PXE and iPXE clients: "" or "tftp://.../" */
	const char *http_prefix; /* "http://10.0.2.2/" */
	const char *bootfile;    /* for all clients, whatever the directory holds; or "" */
};

struct boot_client {
	enum dhcpd_boot_client kind;
	int arch; /* IANA's number, or DHCPD_ARCH_ANY */
};

/* The name or URL; "" when there is nothing for this client. */
void boot_menu_choose(const struct boot_menu *menu, const struct boot_client *client,
		      char ret[BOOT_FILE_MAX]);

#endif
