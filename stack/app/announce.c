#include "stack/app/announce.h"

#include <string.h>

static void say_qemu(FILE *out, const struct announcement *a)
{
	const char *id = a->options->netdev[0] ? a->options->netdev : "net0";
	char path[2 * OPTIONS_PATH_MAX], id_escaped[2 * OPTIONS_NAME_MAX];

	if (qemu_escape(a->socket_path, path, sizeof(path)) < 0 ||
	    qemu_escape(id, id_escaped, sizeof(id_escaped)) < 0)
		return;
	if (a->qemu.major == 0)
		fputs("for QEMU 7.2 and newer (none was found here):\n", out);
	else if (a->qemu.major < 7 || (a->qemu.major == 7 && a->qemu.minor < 2))
		fprintf(out, "QEMU %d.%d is too old for -netdev stream; for 7.2 and newer:\n",
			a->qemu.major, a->qemu.minor);
	else
		fprintf(out, "for QEMU %d.%d:\n", a->qemu.major, a->qemu.minor);
	fprintf(out,
		"  -netdev stream,id=%s,server=off,addr.type=unix,addr.path=%s%s -device "
		"virtio-net-pci,netdev=%s",
		id_escaped, path, qemu_reconnect_words(a->qemu), id_escaped);
	if (a->options->mtu != 1500)
		fprintf(out, ",host_mtu=%u", a->options->mtu);
	fputc('\n', out);
}

/* Of one family; 'suffix' is what its lines' first words end in. */
struct addresses {
	const char *suffix;
	const struct addr *host, *dns, *dhcpstart;
	bool dns_is_ours;
};

static void say_family(FILE *out, const struct options *o, const struct addresses *a)
{
	char text[ADDR_TEXT_MAX];

	fprintf(out, "gateway%s %s%s\n", a->suffix, addr_format(a->host, text),
		o->restrict_guests    ? " (restricted: leads nowhere)"
		: o->no_host_loopback ? ""
				      : " (this host's own services too)");
	fprintf(out, "dns%s %s%s\n", a->suffix, addr_format(a->dns, text),
		o->restrict_guests ? " (restricted: not served)"
		: a->dns_is_ours   ? ""
				   : " (outside of the net: not lwnat's)");
	fprintf(out, "dhcp%s from %s\n", a->suffix, addr_format(a->dhcpstart, text));
}

static void say_addresses4(FILE *out, const struct options *o)
{
	struct addresses addresses = {"", &o->host, &o->dns, &o->dhcpstart, o->dns_is_ours};
	char text[ADDR_TEXT_MAX];

	fprintf(out, "net %s/%u", addr_format(&o->net.addr, text), o->net.prefix_len);
	if (o->net_by_class)
		fprintf(out, " (no length was given: /%u is what QEMU takes)", o->net.prefix_len);
	fputc('\n', out);
	say_family(out, o, &addresses);
}

static void say_addresses6(FILE *out, const struct options *o)
{
	struct addresses addresses = {"6", &o->host6, &o->dns6, &o->dhcpstart6, o->dns6_is_ours};
	char text[ADDR_TEXT_MAX];

	fprintf(out, "net6 %s/%u\n", addr_format(&o->net6.addr, text), o->net6.prefix_len);
	say_family(out, o, &addresses);
}

static void say_vhost(FILE *out, const struct announcement *a)
{
	/* A chardev could always come back, a -netdev stream only learnt it. */
	const char *reconnect = qemu_reconnect_words(a->qemu);
	char path[2 * OPTIONS_PATH_MAX];

	if (qemu_escape(a->vhost_path, path, sizeof(path)) < 0)
		return;
	fprintf(out,
		"or by vhost-user, for less work per byte (SIZE as in -m: the memory is shared):\n"
		"  -object memory-backend-memfd,id=mem0,size=SIZE,share=on -machine "
		"memory-backend=mem0 -chardev socket,id=char0,path=%s%s -netdev "
		"vhost-user,id=net0,chardev=char0 -device virtio-net-pci,netdev=net0",
		path, *reconnect ? reconnect : ",reconnect=1");
	if (a->options->mtu != 1500)
		fprintf(out, ",host_mtu=%u", a->options->mtu);
	fputc('\n', out);
}

static void say_addresses(FILE *out, const struct options *o)
{
	if (o->ipv4)
		say_addresses4(out, o);
	if (o->ipv6)
		say_addresses6(out, o);
	else if (o->ipv6_needs_mtu)
		fputs("no IPv6: it needs --mtu 1280 or more\n", out);
}

/* "PORT" or "PORT-PORT" */
static void say_ports(FILE *out, uint16_t first, uint16_t n)
{
	fprintf(out, ":%u", first);
	if (n > 1)
		fprintf(out, "-%u", (unsigned)first + n - 1);
}

static void say_addr(FILE *out, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	fprintf(out, addr_is_v4(addr) ? "%s" : "[%s]", addr_format(addr, text));
}

static void say_host_side(FILE *out, const struct hostfwd_rule *rule)
{
	if (rule->path[0]) {
		fprintf(out, "unix %s", rule->path);
		return;
	}
	fputs(rule->proto == HOSTFWD_UDP ? "udp " : "tcp ", out);
	if (rule->host_addr_given)
		say_addr(out, &rule->host_addr);
	else
		fputs("localhost", out);
	say_ports(out, rule->host_port, rule->ports_n);
}

static void say_width(FILE *out, const struct hostfwd_rule *rule)
{
	struct hostfwd_rule wide = *rule;
	char text[HOSTFWD_TEXT_MAX];

	if (rule->host_addr_given || rule->path[0])
		return;
	wide.host_addr_given = true;
	wide.host_addr = addr_v4(0);
	fprintf(out, " (bound to localhost only; for all interfaces write %s)",
		hostfwd_format(&wide, text));
}

static void say_forward(FILE *out, const struct options *o, const struct hostfwd_rule *rule)
{
	say_host_side(out, rule);
	fputs(" -> ", out);
	if (rule->guest[0])
		fputs(rule->guest, out);
	else
		say_addr(out, &rule->guest_addr);
	say_ports(out, rule->guest_port, rule->ports_n);
	say_width(out, rule);
	if (rule->hold_s)
		fprintf(out, " (a connection waits up to %u s for the guest to answer)",
			rule->hold_s);
	if (!rule->guest[0] && !subnet_contains(&o->net, &rule->guest_addr) &&
	    !subnet_contains(&o->net6, &rule->guest_addr))
		fputs(" (outside of the net: only a guest set to that address by hand is reached)",
		      out);
	fputc('\n', out);
}

static void say_forwards(FILE *out, const struct announcement *a)
{
	const struct options *o = a->options;
	struct forward_info info;

	for (unsigned i = 0; !a->forwards && i < o->hostfwd.n; i++)
		say_forward(out, o, &o->hostfwd.rule[i]);
	for (const struct forward *f = a->forwards ? forwards_next(a->forwards, NULL) : NULL; f;
	     f = forwards_next(a->forwards, f)) {
		forward_info(f, &info);
		say_forward(out, o, &info.rule);
	}
}

/* Each announcement is one line, whatever was typed. */
static void say_text(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, out);
}

static void say_guestfwds(FILE *out, const struct options *o)
{
	static const char *const kinds[] = {
	    [GUESTFWD_TCP] = "tcp", [GUESTFWD_UNIX] = "unix", [GUESTFWD_CMD] = "command"};
	char at[ENDPOINT_TEXT_MAX], server[ADDR_TEXT_MAX];

	for (unsigned i = 0; i < o->guestfwd.n; i++) {
		const struct guestfwd_rule *rule = &o->guestfwd.rule[i];
		struct endpoint place = {rule->addr, rule->port};

		fprintf(out, "guests' %s -> %s ", endpoint_format(&place, at), kinds[rule->kind]);
		say_text(out, rule->target);
		if (rule->kind == GUESTFWD_TCP)
			fprintf(out, " port %u", rule->target_port);
		fputc('\n', out);
	}
	if (o->smb[0]) {
		fprintf(out, "guests' \\\\%s\\qemu -> ", addr_format(&o->smbserver, server));
		say_text(out, o->smb);
		fputs(" (no password)\n", out);
	}
}

static void say_boot(FILE *out, const struct options *o)
{
	char text[ADDR_TEXT_MAX];

	if (!o->tftp[0] && !o->boot[0])
		return;
	addr_format(o->ipv4 ? &o->host : &o->host6, text);
	if (o->boot[0])
		fprintf(out,
			o->ipv4 ? "boot tftp and http://%s/ -> " : "boot tftp and http://[%s]/ -> ",
			text);
	else
		fprintf(out, "tftp %s -> ", text);
	say_text(out, o->boot[0] ? o->boot : o->tftp);
	fputs(" (read only)\n", out);
}

void announce(FILE *out, const struct announcement *a)
{
	const struct options *o = a->options;

	if (a->socket_path)
		say_qemu(out, a);
	if (a->vhost_path)
		say_vhost(out, a);
	say_addresses(out, o);
	say_forwards(out, a);
	say_guestfwds(out, o);
	say_boot(out, o);
	if (a->ipv6_stays_here && o->ipv6 && !o->restrict_guests)
		fputs("this host has no IPv6 beyond itself: guests get no default route until it "
		      "has\n",
		      out);
	if (a->ping_forbidden)
		fputs("ping to outside needs sysctl net.ipv4.ping_group_range=\"0 2147483647\" on "
		      "this host\n",
		      out);
}
