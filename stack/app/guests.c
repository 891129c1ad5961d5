#include "stack/app/guests.h"

#include "stack/base/list.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DOMAIN ".lwnat.internal"

struct slot {
	struct guest_record pub; /* first: records are found as this */
	struct list link;        /* guests->attached or guests->unused */
};

struct guests {
	struct guests_config config;
	uint64_t generation;
	struct list attached, unused;
	struct slot slots[];
};

static struct slot *slot_of(const struct list *link)
{
	return list_entry(link, struct slot, link);
}

int guests_new(struct guests **ret, const struct guests_config *config)
{
	struct guests *guests =
	    calloc(1, sizeof(*guests) + config->ports_max * sizeof(guests->slots[0]));

	if (!guests)
		return -ENOMEM;
	guests->config = *config;
	list_init(&guests->attached);
	list_init(&guests->unused);
	for (unsigned i = 0; i < config->ports_max; i++) {
		list_init(&guests->slots[i].link);
		list_append(&guests->unused, &guests->slots[i].link);
	}
	*ret = guests;
	return 0;
}

void guests_free(struct guests *guests)
{
	free(guests);
}

/* ---- walking -------------------------------------------------------------------------------- */

const struct guest_record *guests_next(const struct guests *guests,
				       const struct guest_record *after)
{
	const struct list *link =
	    after ? ((const struct slot *)(const void *)after)->link.next : guests->attached.next;

	return link == &guests->attached ? NULL : &slot_of(link)->pub;
}

static struct guest_record *find(const struct guests *guests, const struct port *port)
{
	for (struct list *link = guests->attached.next; link != &guests->attached;
	     link = link->next) {
		if (slot_of(link)->pub.port == port)
			return &slot_of(link)->pub;
	}
	return NULL;
}

const struct guest_record *guests_by_port(const struct guests *guests, const struct port *port)
{
	return find(guests, port);
}

uint64_t guests_generation(const struct guests *guests)
{
	return guests->generation;
}

/* ---- feeding -------------------------------------------------------------------------------- */

void guests_port_add(struct guests *guests, const struct port *port, uint64_t now_ms)
{
	struct slot *slot;

	if (list_is_empty(&guests->unused))
		return;
	slot = slot_of(guests->unused.next);
	memset(&slot->pub, 0, sizeof(slot->pub));
	slot->pub.port = port;
	slot->pub.attached_ms = now_ms;
	list_append(&guests->attached, &slot->link);
	guests->generation++;
}

void guests_port_remove(struct guests *guests, const struct port *port)
{
	struct guest_record *guest = find(guests, port);

	if (!guest)
		return;
	list_append(&guests->unused, &((struct slot *)(void *)guest)->link);
	guests->generation++;
}

void guests_saw_mac(struct guests *guests, const struct port *port, const struct mac *mac)
{
	struct guest_record *guest = find(guests, port);

	if (!guest)
		return;
	for (unsigned i = 0; i < guest->macs_n; i++) {
		if (mac_eq(&guest->mac[i], mac))
			return;
	}
	if (guest->macs_n == GUESTS_MACS_MAX) {
		guest->macs_more++;
		return;
	}
	guest->mac[guest->macs_n++] = *mac;
	guests->generation++;
}

void guests_mac_clash(struct guests *guests, const struct port *port)
{
	struct guest_record *guest = find(guests, port);

	if (guest)
		guest->mac_clashes++;
}

static void remove_addr(struct guest_record *guest, unsigned i)
{
	memmove(&guest->addr[i], &guest->addr[i + 1],
		(guest->addrs_n - i - 1) * sizeof(guest->addr[0]));
	guest->addrs_n--;
}

static void forget_addr(struct guest_record *guest, const struct addr *addr)
{
	for (unsigned i = 0; i < guest->addrs_n; i++) {
		if (addr_eq(&guest->addr[i].addr, addr)) {
			remove_addr(guest, i);
			return;
		}
	}
}

/* A new lease takes the place of the same card's old one. */
static void forget_old_lease(struct guest_record *guest, const struct guest_addr *now)
{
	for (unsigned i = guest->addrs_n; i-- > 0;) {
		const struct guest_addr *had = &guest->addr[i];

		if (had->source == GUEST_ADDR_DHCP && mac_eq(&had->mac, &now->mac) &&
		    addr_is_v4(&had->addr) == addr_is_v4(&now->addr))
			remove_addr(guest, i);
	}
}

/* What was only seen goes before what was leased. */
static void make_room(struct guest_record *guest)
{
	unsigned victim = 0;

	if (guest->addrs_n < GUESTS_ADDRS_MAX)
		return;
	while (victim < guest->addrs_n && guest->addr[victim].source == GUEST_ADDR_DHCP)
		victim++;
	remove_addr(guest, victim < guest->addrs_n ? victim : 0);
}

void guests_saw_addr(struct guests *guests, const struct port *port, const struct guest_addr *addr)
{
	struct guest_record *guest = find(guests, port);
	struct guest_addr now = *addr;

	if (!guest)
		return;
	for (unsigned i = 0; i < guest->addrs_n; i++) {
		const struct guest_addr *had = &guest->addr[i];

		if (!addr_eq(&had->addr, &now.addr))
			continue;
		if (mac_eq(&had->mac, &now.mac) &&
		    (had->source == now.source || had->source == GUEST_ADDR_DHCP))
			return; /* known */
	}
	for (struct list *link = guests->attached.next; link != &guests->attached;
	     link = link->next)
		forget_addr(&slot_of(link)->pub, &now.addr);
	if (now.source == GUEST_ADDR_DHCP)
		forget_old_lease(guest, &now);
	make_room(guest);
	guest->addr[guest->addrs_n++] = now;
	guests->generation++;
}

void guests_dhcp_asked(struct guests *guests, const struct port *port, uint64_t now_ms)
{
	struct guest_record *guest = find(guests, port);

	if (!guest)
		return;
	guest->dhcp.asked++;
	guest->dhcp.last_asked_ms = now_ms;
}

void guests_dhcp_answered(struct guests *guests, const struct port *port, uint64_t now_ms)
{
	struct guest_record *guest = find(guests, port);

	if (!guest)
		return;
	guest->dhcp.answered++;
	guest->dhcp.last_answered_ms = now_ms;
}

static const struct guest_record *by_addr(const struct guests *guests, const struct addr *addr)
{
	for (struct list *link = guests->attached.next; link != &guests->attached;
	     link = link->next) {
		const struct guest_record *guest = &slot_of(link)->pub;

		for (unsigned i = 0; i < guest->addrs_n; i++) {
			if (addr_eq(&guest->addr[i].addr, addr))
				return guest;
		}
	}
	return NULL;
}

/* Of two guests that ask for one name, the other one has it. */
static bool is_anothers(const struct guests *guests, const struct guest_record *guest,
			const char *name)
{
	const struct guest_record *owner;
	struct addr addr;

	if (!guests->config.lease_by_name ||
	    !guests->config.lease_by_name(guests->config.ctx, name, &addr))
		return false;
	owner = by_addr(guests, &addr);
	return owner && owner != guest;
}

void guests_named(struct guests *guests, const struct port *port, const char *name)
{
	struct guest_record *guest = find(guests, port);
	size_t len = strlen(name);

	if (!guest || len == 0 || len >= GUESTS_NAME_MAX || strcasecmp(guest->name, name) == 0 ||
	    is_anothers(guests, guest, name))
		return;
	for (struct list *link = guests->attached.next; link != &guests->attached;
	     link = link->next) {
		if (strcasecmp(slot_of(link)->pub.name, name) == 0)
			slot_of(link)->pub.name[0] = '\0';
	}
	for (size_t i = 0; i <= len; i++)
		guest->name[i] = (char)tolower((unsigned char)name[i]);
	guests->generation++;
}

/* ---- asking --------------------------------------------------------------------------------- */

/* Higher is better. */
static int rank(const struct guest_addr *addr)
{
	return (addr_is_link_local(&addr->addr) ? 0 : 4) +
	       (addr->source == GUEST_ADDR_DHCP ? 2 : 0) + (addr_is_v4(&addr->addr) ? 1 : 0);
}

/* Of all its addresses, or of those of one card. */
static struct addr best_addr(const struct guest_record *guest, const struct mac *mac)
{
	struct addr best = {0};
	int best_rank = -1;

	for (unsigned i = guest->addrs_n; i-- > 0;) {
		const struct guest_addr *addr = &guest->addr[i];

		if ((!mac || mac_eq(&addr->mac, mac)) && rank(addr) > best_rank) {
			best = addr->addr;
			best_rank = rank(addr);
		}
	}
	return best;
}

struct addr guest_best_addr(const struct guest_record *guest)
{
	return best_addr(guest, NULL);
}

const char *guest_label(const struct guest_record *guest, char text[GUESTS_NAME_MAX])
{
	if (guest->name[0])
		memcpy(text, guest->name, GUESTS_NAME_MAX);
	else if (guest->macs_n)
		mac_format(&guest->mac[0], text);
	else
		snprintf(text, GUESTS_NAME_MAX, "%s", guest->port->name);
	return text;
}

/* Appends " NAME (ADDR)" for each guest, as far as they fit. */
static void list_guests(const struct guests *guests, char *text, size_t room)
{
	const char *separator = ": there is ";
	size_t at = strlen(text);

	if (list_is_empty(&guests->attached)) {
		snprintf(text + at, room - at, ": none is attached");
		return;
	}
	for (struct list *link = guests->attached.next; link != &guests->attached;
	     link = link->next) {
		const struct guest_record *guest = &slot_of(link)->pub;
		char label[GUESTS_NAME_MAX], addr_text[ADDR_TEXT_MAX];
		struct addr addr = guest_best_addr(guest);

		if (at + sizeof(label) + sizeof(addr_text) + 32 > room) {
			snprintf(text + at, room - at, ", ...");
			return;
		}
		at += (size_t)snprintf(text + at, room - at, "%s%s on %s (%s)", separator,
				       guest_label(guest, label), guest->port->name,
				       addr_is_unspecified(&addr) ? "no address yet"
								  : addr_format(&addr, addr_text));
		separator = ", ";
	}
}

static int not_found(const struct guests *guests, const char *what, const char *spec,
		     char error[GUESTS_ERROR_MAX])
{
	snprintf(error, GUESTS_ERROR_MAX, "no guest %s%.64s", what, spec);
	list_guests(guests, error, GUESTS_ERROR_MAX);
	return -ENOENT;
}

static int found(const struct guest_record *guest, const struct addr *addr,
		 struct guests_found *ret, char error[GUESTS_ERROR_MAX])
{
	char label[GUESTS_NAME_MAX];

	if (addr_is_unspecified(addr)) {
		snprintf(error, GUESTS_ERROR_MAX, "guest %s on %s has no address yet",
			 guest_label(guest, label), guest->port->name);
		*ret = (struct guests_found){.guest = guest};
		return -EAGAIN;
	}
	*ret = (struct guests_found){guest, *addr};
	return 0;
}

static int find_by_mac(const struct guests *guests, const struct mac *mac, struct guests_found *ret,
		       char error[GUESTS_ERROR_MAX])
{
	char text[MAC_TEXT_MAX];

	for (struct list *link = guests->attached.next; link != &guests->attached;
	     link = link->next) {
		const struct guest_record *guest = &slot_of(link)->pub;

		for (unsigned i = 0; i < guest->macs_n; i++) {
			if (mac_eq(&guest->mac[i], mac)) {
				struct addr addr = best_addr(guest, mac);
				return found(guest, &addr, ret, error);
			}
		}
	}
	return not_found(guests, "with MAC address ", mac_format(mac, text), error);
}

static int find_by_port(const struct guests *guests, const char *name, struct guests_found *ret,
			char error[GUESTS_ERROR_MAX])
{
	for (struct list *link = guests->attached.next; link != &guests->attached;
	     link = link->next) {
		const struct guest_record *guest = &slot_of(link)->pub;

		if (strcmp(guest->port->name, name) == 0) {
			struct addr addr = guest_best_addr(guest);
			return found(guest, &addr, ret, error);
		}
	}
	return not_found(guests, "on ", name, error);
}

/* A lease outlives its guest, and a guest may have attached again without asking for its lease: it
 * is believed while somebody is there whose addresses nobody knows. */
static bool may_be_here(const struct guests *guests)
{
	for (struct list *link = guests->attached.next; link != &guests->attached;
	     link = link->next) {
		if (slot_of(link)->pub.addrs_n == 0)
			return true;
	}
	return false;
}

static int find_by_name(const struct guests *guests, const char *name, struct guests_found *ret,
			char error[GUESTS_ERROR_MAX])
{
	const struct guest_record *holder;
	struct addr addr;

	if (guests->config.lease_by_name &&
	    guests->config.lease_by_name(guests->config.ctx, name, &addr)) {
		holder = by_addr(guests, &addr);
		if (holder || may_be_here(guests)) {
			*ret = (struct guests_found){holder, addr};
			return 0;
		}
	}
	for (struct list *link = guests->attached.next; link != &guests->attached;
	     link = link->next) {
		const struct guest_record *guest = &slot_of(link)->pub;

		if (strcasecmp(guest->name, name) == 0) {
			addr = guest_best_addr(guest);
			return found(guest, &addr, ret, error);
		}
	}
	int result = find_by_port(guests, name, ret, error);

	return result == -ENOENT ? not_found(guests, "called ", name, error) : result;
}

static int find_only(const struct guests *guests, struct guests_found *ret,
		     char error[GUESTS_ERROR_MAX])
{
	const struct guest_record *guest = guests_next(guests, NULL);
	struct addr addr;

	if (!guest || guests_next(guests, guest)) {
		snprintf(error, GUESTS_ERROR_MAX, guest ? "which guest" : "no guest");
		list_guests(guests, error, GUESTS_ERROR_MAX);
		return -ENOENT;
	}
	addr = guest_best_addr(guest);
	return found(guest, &addr, ret, error);
}

/* "web", "web.lwnat.internal": letters, digits and '-'. */
static bool take_name(const char *spec, char name[GUESTS_NAME_MAX])
{
	size_t len = strlen(spec), domain_len = sizeof(DOMAIN) - 1;

	if (len > domain_len && strcasecmp(spec + len - domain_len, DOMAIN) == 0)
		len -= domain_len;
	if (len == 0 || len >= GUESTS_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)spec[i]) && spec[i] != '-' && spec[i] != '_')
			return false;
	}
	memcpy(name, spec, len);
	name[len] = '\0';
	return true;
}

static bool take_addr(const char *spec, struct addr *ret)
{
	char text[ADDR_TEXT_MAX];
	size_t len = strlen(spec);

	if (spec[0] != '[')
		return addr_parse(spec, ret) == 0;
	if (len < 3 || len - 2 >= sizeof(text) || spec[len - 1] != ']')
		return false;
	memcpy(text, spec + 1, len - 2);
	text[len - 2] = '\0';
	return addr_parse(text, ret) == 0;
}

int guests_find(const struct guests *guests, const char *spec, struct guests_found *ret,
		char error[GUESTS_ERROR_MAX])
{
	bool is_card = spec[0] == '@';
	char name[GUESTS_NAME_MAX];
	struct addr addr;
	struct mac mac;

	if (spec[0] == '\0')
		return find_only(guests, ret, error);
	if (mac_parse(spec + is_card, &mac) == 0)
		return find_by_mac(guests, &mac, ret, error);
	if (is_card)
		return find_by_port(guests, spec + 1, ret, error);
	if (take_addr(spec, &addr)) {
		*ret = (struct guests_found){by_addr(guests, &addr), addr};
		return 0;
	}
	if (take_name(spec, name))
		return find_by_name(guests, name, ret, error);
	snprintf(error, GUESTS_ERROR_MAX,
		 "'%.64s' is no guest (accepted: a host name, a MAC or IP address, or @PORT)",
		 spec);
	for (char *c = error; *c; c++) { /* it has to stay one line */
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	return -EINVAL;
}
