/* What the options say of DHCP and DNS beside QEMU's words: parts of struct options. */
#ifndef LWNAT_APP_OPTIONS_SERVICES_H
#define LWNAT_APP_OPTIONS_SERVICES_H

#include "dhcp/dhcpd.h"
#include "stack/base/addr.h"

#include <stdint.h>

#define OPTIONS_FILE_MAX 1024 /* bytes of a file's path, with NUL */
#define OPTIONS_DHCP_HOSTS_MAX 256
#define OPTIONS_DHCP_OPTIONS_MAX 64
#define OPTIONS_DHCP_VALUE_MAX 255 /* bytes */
#define OPTIONS_DHCP6_OPTIONS_MAX 16
#define OPTIONS_DHCP6_BYTES_MAX 800 /* of all of them: a reply has to fit IPv6's smallest MTU */
#define OPTIONS_DHCP_ROUTES_MAX 32
#define OPTIONS_DHCP_BOOTS_MAX 64
#define OPTIONS_DHCP_FILE_MAX 256 /* bytes, with NUL */
#define OPTIONS_DNS_NAMES_MAX 256
#define OPTIONS_DNS_ROUTES_MAX 64

struct options_dhcp_host {
	struct mac mac;
	struct addr addr;
	char name[DHCPD_HOSTNAME_MAX]; /* empty: none */
};

struct options_dhcp_hosts {
	struct options_dhcp_host host[OPTIONS_DHCP_HOSTS_MAX];
	unsigned n;
};

struct options_dhcp_option {
	uint8_t code;
	uint8_t len; /* 0: left out */
	uint8_t value[OPTIONS_DHCP_VALUE_MAX];
};

struct options_dhcp_options {
	struct options_dhcp_option option[OPTIONS_DHCP_OPTIONS_MAX];
	unsigned n;
};

struct options_dhcp6_options {
	struct options_dhcp_option option[OPTIONS_DHCP6_OPTIONS_MAX];
	unsigned n;
	unsigned bytes; /* of all values */
};

struct options_dhcp_routes {
	struct dhcpd_route route[OPTIONS_DHCP_ROUTES_MAX];
	unsigned n;
};

struct options_dhcp_boot {
	enum dhcpd_boot_client client;
	int arch; /* or DHCPD_ARCH_ANY */
	char file[OPTIONS_DHCP_FILE_MAX];
};

struct options_dhcp_boots {
	struct options_dhcp_boot boot[OPTIONS_DHCP_BOOTS_MAX];
	unsigned n;
};

struct options_dns_name {
	char name[254]; /* lower case */
	struct addr addr;
};

struct options_dns_names {
	struct options_dns_name name[OPTIONS_DNS_NAMES_MAX];
	unsigned n;
};

struct options_dns_route {
	char domain[254]; /* lower case */
	struct endpoint server;
};

struct options_dns_routes {
	struct options_dns_route route[OPTIONS_DNS_ROUTES_MAX];
	unsigned n;
};

#endif
