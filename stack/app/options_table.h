/* The rows of options.def as the parsers, the setters and the texts see them. For options*.c alone.
 */
#ifndef LWNAT_APP_OPTIONS_TABLE_H
#define LWNAT_APP_OPTIONS_TABLE_H

#include "stack/app/options.h"
#include "stack/base/wire.h"

#define OPTION_ROWS_MAX 64
#define OPTIONS_QUOTE_MAX 100 /* bytes of quoted text, with NUL */

struct setting;
struct options_fault;

struct option_row {
	const char *name;   /* NULL: a section, 'help' is its heading */
	const char *arg;    /* NULL: takes none */
	const char *preset; /* for people */
	const char *qemu;   /* the same word in --netdev; NULL: none */
	const char *help;
	/* Puts the value where it belongs. 0, or -EINVAL with setting->reason filled. */
	int (*set)(struct setting *setting);
	size_t offset; /* of the member of struct options */
	long min, max;
	char letter;
};

extern const struct option_row option_rows[];
extern const unsigned option_rows_n;

/* One value on its way into struct options. */
struct setting {
	const struct option_row *row;
	const char *value; /* NULL only for rows that take none */
	struct options *options;
	uint64_t *in_netdev;  /* a bit per row: last set by --netdev */
	uint64_t *given;      /* a bit per row: set by either */
	bool reason_is_whole; /* 'reason' already quotes the bad part and says the accepted form */
	char reason[OPTIONS_ERROR_MAX];
};

/* Formats the reason; returns -EINVAL. */
int setting_fail(struct setting *setting, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Calls the row's setter and completes its reason to "'VALUE': REASON (accepted: FORM)". */
int setting_apply(struct setting *setting);

/* Text from outside, cut short and with everything unprintable escaped. Returns 'out'. */
const char *options_quote(const char *text, char out[OPTIONS_QUOTE_MAX]);

/* The row of a long name, or of a word of --netdev; NULL when there is none. */
const struct option_row *option_row_by_name(const char *name, size_t len);
const struct option_row *option_row_by_letter(char letter);
const struct option_row *option_row_by_qemu(const char *word);
/* What to write instead of an unknown word, to append to a message; maybe "". */
#define OPTION_ADVICE_MAX 240
const char *option_advice(const char *word, bool qemu_words_only, char out[OPTION_ADVICE_MAX]);

/* The setter of --guestfwd, and the check of it and of --smb (options_guestfwd.c). */
int options_set_guestfwd(struct setting *setting);
int options_settle_guestfwds(struct options *options, struct options_fault *ret);

/* options_pcap.c */
int options_set_pcap(struct setting *setting);
int options_set_bytes(struct setting *setting);
int options_check_pcap(const struct options *options, struct options_fault *ret);

/* The setter of --netdev: takes the string apart and applies each word. */
int options_set_netdev(struct setting *setting);
/* Those of options_dhcp.c and options_dns.c. */
int options_set_dhcp_host(struct setting *setting);
int options_set_dhcp_option(struct setting *setting);
int options_set_dhcp6_option(struct setting *setting);
int options_set_dhcp_route(struct setting *setting);
int options_set_dhcp_boot(struct setting *setting);
int options_set_dns_name(struct setting *setting);
int options_set_dns_route(struct setting *setting);

/* Decimal digits alone; -EINVAL for anything else or more than 'max'. */
int options_parse_number(const char *text, long max, long *ret);
/* "ADDR", "ADDR:PORT", "ADDR6" or "[ADDR6]:PORT"; the port is 53 where none is given. */
int options_parse_endpoint(const char *text, struct endpoint *ret);
/* A DNS name (RFC 1035 section 2.3.1, with '_' for those who use it) as the setting's value. */
int options_check_dns_name(struct setting *setting);

/* What is wrong with values that are fine alone. */
struct options_fault {
	const char *option; /* the long name of the one to blame */
	char text[OPTIONS_ERROR_MAX];
};

/* Formats the fault; returns -EINVAL. */
int options_fault(struct options_fault *ret, const char *option, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int options_fault_addr(struct options_fault *ret, const char *option, const struct addr *addr,
		       const char *reason);

int options_check_dhcp_hosts(const struct options *options, struct options_fault *ret);

/* Fills in the addresses that were not given and checks all values against each other. 'given' has
 * a bit per row. 0 or -EINVAL. */
int options_check(struct options *options, uint64_t given, struct options_fault *ret);
/* Its parts in options_ipv6.c: which families there are, and IPv6's addresses. */
int options_settle_families(struct options *options, uint64_t given, struct options_fault *ret);
int options_settle_ipv6(struct options *options, uint64_t given, struct options_fault *ret);

/* The value of --dhcp-option or --dhcp6-option as bytes. 0, or -EINVAL with setting->reason filled;
 * out->bad when it is too long. */
int options_put_value(struct setting *setting, struct wire_out *out, const char *value, bool v6);

#endif
