# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# 198.51.100.1 and 2001:db8::1 answer; to 203.0.113.9 and 2001:db8:77::1 the host has no route. Behind a router,
# 192.0.2.2 or 2001:db8:1::2, are 198.51.100.77 and 2001:db8:ff::77.
unreachables() {
	awk '$1 == "Icmp:" && $2 ~ /^[0-9]/ { print $5 }' /proc/net/snmp
}

# Succeeds when the program names just these hops.
hops() { # "ADDRESS..." TRACEROUTE...
	hops_wanted=$1
	shift
	within 60 "$@" >/run/hops 2>&1
	cat /run/hops
	[ "$(awk '$1 ~ /^[0-9]/ { printf "%s ", $2 }' /run/hops)" = "$hops_wanted " ]
}

# Duplicate address detection is over, and found none.
address_is_ours() {
	ip -6 addr show dev eth0 >/run/addr6
	grep -q fec0::99 /run/addr6 && ! grep -Eq 'tentative|dadfailed' /run/addr6
}

# An address and a route set by hand, as on a guest that heeds no router advertisements.
echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra
t "lease" prints 'lease of 10\.0\.2\.15 obtained' lease
t "gateway answers ping" ping -c 2 -W 5 10.0.2.2
if [ "$PING" = yes ]; then
	t "an outside address answers ping" ping -c 3 -W 5 198.51.100.1
	t "a ping of 4000 bytes too" ping -c 2 -W 5 -s 4000 198.51.100.1
else
	# busybox's ping is deaf to errors, the kernel counts them.
	before=$(unreachables)
	ping -c 2 -W 5 198.51.100.1 >/dev/null
	t "a ping that the host forbids is answered by ICMP unreachable" test "$(unreachables)" -ge $((before + 2))
fi
t "HTTP from an outside address" prints 'hello from the host' within 20 wget -q -O - "http://198.51.100.1:$WEB_PORT/"
t "a refused port outside is refused at once" refused 198.51.100.1 9
t "what the host cannot reach is unreachable at once" prints 'unreachable|No route|refused' within 5 nc 203.0.113.9 80
t "traceroute by UDP names every router" hops '10.0.2.2 192.0.2.2 198.51.100.77' \
	traceroute -n -q 1 -w 5 -m 6 198.51.100.77
[ "$PING" = no ] || t "traceroute by ICMP names every router" hops '10.0.2.2 192.0.2.2 198.51.100.77' \
	traceroute -I -n -q 1 -w 5 -m 6 198.51.100.77

ip -6 addr add fec0::99/64 dev eth0
ip -6 route add default via fec0::2
t "IPv6: nobody else claims the address" wait_for 10 address_is_ours
t "IPv6: gateway answers ping" wait_for 10 ping6 -c 1 -W 2 fec0::2
t "IPv6: so does its link-local address" ping6 -c 2 -W 5 -I eth0 fe80::5055:aff:fe00:202
if [ "$PING" = yes ]; then
	t "IPv6: an outside address answers ping" ping6 -c 3 -W 5 2001:db8:ff::77
	t "IPv6: a ping of 4000 bytes too" ping6 -c 2 -W 5 -s 4000 2001:db8:ff::77
fi
t "IPv6: HTTP from an outside address" prints 'hello from the host' \
	within 20 wget -q -O - "http://[2001:db8::1]:$WEB_PORT/"
t "IPv6: a refused port outside is refused at once" refused 2001:db8::1 9
t "IPv6: what the host cannot reach is unreachable at once" prints 'unreachable|No route|refused' within 5 nc 2001:db8:77::1 80
t "IPv6: traceroute by UDP names every router" hops 'fec0::2 2001:db8:1::2 2001:db8:ff::77' \
	traceroute6 -n -q 1 -w 5 -m 6 2001:db8:ff::77
[ "$PING" = no ] || t "IPv6: traceroute by ICMP names every router" hops 'fec0::2 2001:db8:1::2 2001:db8:ff::77' \
	traceroute6 -I -n -q 1 -w 5 -m 6 2001:db8:ff::77
serve "this is outside"
