/* What the command line asks for, as values of their final types, checked against each other.
 * The table of all options is options.def. Pure: opens nothing and prints nothing. */
#ifndef LWNAT_APP_OPTIONS_H
#define LWNAT_APP_OPTIONS_H

#include "hostfwd/guestfwd.h"
#include "hostfwd/hostfwd.h"
#include "stack/app/options_services.h"
#include "stack/base/addr.h"
#include "stack/base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OPTIONS_NAME_MAX 254 /* bytes of a DNS name as text, with NUL */
#define OPTIONS_PATH_MAX 108 /* bytes of a UNIX socket's path, with NUL (unix(7)) */
#define OPTIONS_SEARCH_MAX 16
#define OPTIONS_FORWARDS_MAX 512
#define OPTIONS_GUESTFWDS_MAX 64
#define OPTIONS_SHARE_MAX 512 /* bytes of a folder's path, with NUL */
#define OPTIONS_FDS_MAX 64
#define OPTIONS_UPSTREAMS_MAX 8
#define OPTIONS_ERROR_MAX 512 /* bytes of an error line, with NUL */

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_MAN };

struct options_names {
	char name[OPTIONS_SEARCH_MAX][OPTIONS_NAME_MAX];
	unsigned n;
};

struct options_forwards {
	struct hostfwd_rule rule[OPTIONS_FORWARDS_MAX]; /* guest_addr always filled in */
	unsigned n;
};

struct options_guestfwds {
	struct guestfwd_rule rule[OPTIONS_GUESTFWDS_MAX]; /* addr always filled in */
	unsigned n;
};

#define OPTIONS_PCAPS_MAX 8
#define OPTIONS_PCAP_PATH_MAX 256 /* bytes, with NUL */

struct options_pcap {
	bool of_mac; /* false: of all guests */
	struct mac mac;
	char file[OPTIONS_PCAP_PATH_MAX];
};

struct options_pcaps {
	struct options_pcap pcap[OPTIONS_PCAPS_MAX];
	unsigned n;
};

struct options_fds {
	int fd[OPTIONS_FDS_MAX];
	unsigned n;
};

struct options_endpoints {
	struct endpoint endpoint[OPTIONS_UPSTREAMS_MAX];
	unsigned n;
};

struct options {
	enum options_action action; /* when it is not OPTIONS_RUN, nothing else counts */

	struct subnet net; /* without host bits */
	bool net_by_class; /* the prefix length is QEMU's guess */
	struct addr host, dns, dhcpstart;
	bool dns_is_ours; /* false: 'dns' is outside of the net and only told to guests */
	/* Of no meaning while 'ipv6' is off. */
	struct subnet net6; /* without host bits */
	uint16_t ipv6_prefixlen;
	struct addr host6, dns6, dhcpstart6;
	bool dns6_is_ours;
	char hostname[OPTIONS_NAME_MAX], domainname[OPTIONS_NAME_MAX]; /* empty: none */
	struct options_names dnssearch;
	struct options_forwards hostfwd;
	struct options_guestfwds guestfwd;
	char smb[OPTIONS_SHARE_MAX]; /* empty: none */
	struct addr smbserver;       /* of no meaning without 'smb' */
	bool restrict_guests;
	bool ipv4, ipv6;         /* one of them at least */
	bool ipv6_needs_mtu;     /* 'ipv6' is off because the MTU is too small for it */
	struct addr next_server; /* unspecified: not given */
	char bootfile[OPTIONS_NAME_MAX], tftp_server_name[OPTIONS_NAME_MAX]; /* empty: none */
	char netdev[OPTIONS_NAME_MAX]; /* the id= of --netdev, only a name */

	char socket[OPTIONS_PATH_MAX];  /* empty: not given */
	char control[OPTIONS_PATH_MAX]; /* likewise; "none" */
	struct options_fds fd;
	char vhost_user[OPTIONS_PATH_MAX], vhost_user_connect[OPTIONS_PATH_MAX]; /* empty: none */
	struct options_fds vhost_user_fd;
	char name[64];
	uint16_t mtu;                      /* bytes */
	char lease_file[OPTIONS_FILE_MAX]; /* empty: none */
	struct options_dhcp_hosts dhcp_hosts;
	struct options_dhcp_options dhcp_options;
	struct options_dhcp6_options dhcp6_options;
	struct options_dhcp_routes dhcp_routes;
	struct options_dhcp_boots dhcp_boots;
	char tftp[OPTIONS_FILE_MAX], boot[OPTIONS_FILE_MAX]; /* empty: not given; not both */
	struct options_endpoints dns_upstream;
	struct options_dns_routes dns_routes;
	struct options_dns_names dns_names;
	bool no_host_loopback;
	struct options_pcaps pcap;
	uint64_t pcap_snaplen; /* bytes; 0: all */
	uint64_t pcap_size;    /* bytes; 0: one file without end */
	uint16_t pcap_files;   /* 0: the default */
	int ready_fd;          /* -1: none */
	enum log_level log_level;
	char log_file[4096]; /* empty: standard error */
	bool log_json;
};

struct options_error {
	char text[OPTIONS_ERROR_MAX]; /* one printable line: option, bad part, accepted form */
};

/* 0, or -EINVAL with *ret_error filled and *ret in no defined state. Keeps no pointer into argv. */
int options_parse(struct options *ret, int argc, char *const argv[],
		  struct options_error *ret_error);

/* Checks a rule against the network, and fills in the guest's address when it names none. 0, or
 * -EINVAL and one line. */
int options_settle_forward(const struct options *options, struct hostfwd_rule *rule,
			   struct options_error *ret_error);

/* The addresses of guestfwd's and smb's services, some maybe twice; how many. No guest may have
 * them.
 */
#define OPTIONS_SERVICE_ADDRS_MAX (OPTIONS_GUESTFWDS_MAX + 1)
unsigned options_service_addrs(const struct options *options,
			       struct addr ret[OPTIONS_SERVICE_ADDRS_MAX]);

void options_print_help(FILE *out);
void options_print_man(FILE *out); /* the man page's OPTIONS section, in man(7) macros */

#endif
