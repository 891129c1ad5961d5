# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# A guest that has nothing but IPv6, on a host that at first reaches nobody by it.
has_address() { # ADDRESS/LEN
	ip -6 addr show dev eth0 | grep -q "inet6 $1 .*" && ! ip -6 addr show dev eth0 | grep -q tentative
}

has_default_route() {
	ip -6 route show | grep -q '^default'
}

has_no_default_route() {
	! has_default_route
}

# Adds what DHCPv6 gives.
lease6() { # NAME
	nettool dhcp6 eth0 "$1" >/run/lease6 || return 1
	cat /run/lease6
	ip -6 addr add "$(sed -n 's/^address //p' /run/lease6)/64" dev eth0
	echo "nameserver $(sed -n 's/^dns //p' /run/lease6)" >/etc/resolv.conf
}

own_address() {
	prints "Address.*: fec0::15\$" nslookup -type=aaaa six.lwnat.internal
}

slaac=fec0::5054:ff:fe12:3456
ip link set eth0 up
t "the kernel makes itself an address" wait_for 20 has_address "$slaac/64"
t "no default route where the host has none" has_no_default_route
t "the MTU is the network's" grep -qx "$MTU" /proc/sys/net/ipv6/conf/eth0/mtu
t "gateway answers ping6" ping6 -c 2 -W 5 fec0::2
t "gateway answers a ping6 of 4000 bytes" ping6 -c 1 -W 5 -s 4000 fec0::2
t "DHCPv6 gives the first address" prints '^address fec0::15$' lease6 six
t "DHCPv6 tells the DNS server" grep -qx 'nameserver fec0::3' /etc/resolv.conf
t "the address is no other's" wait_for 10 has_address fec0::15/64
t "host.lwnat.internal has an IPv6 address" prints 'Address.*: fec0::2$' nslookup -type=aaaa host.lwnat.internal
t "own name has the address" own_address
t "the address has the name" prints 'six\.lwnat\.internal' nslookup fec0::15
t "a name of an upstream that has only IPv4" prints 'Address.*: 192\.0\.2\.77' nslookup -type=a upstream.test
t "HTTP GET by name" prints 'hello from the host' within 20 wget -q -O - "http://host.lwnat.internal:$WEB_PORT/"
t "download of 16 MiB, sha256" fetch_sum "http://[fec0::2]:$WEB_PORT/big" "$BIG_SUM"
t "upload of 16 MiB, sha256" post_sum "http://[fec0::2]:$WEB_PORT/cgi-bin/sum" /tmp/fetched
rm -f /tmp/fetched
t "a refused port is refused at once" refused fec0::2 "$CLOSED_PORT"
t "UDP there and back, 100 bytes" nettool udp-ask fec0::2 "$ECHO_PORT" 100
t "UDP there and back, 9000 bytes" nettool udp-ask fec0::2 "$ECHO_PORT" 9000
ip -6 route add 2001:db8:2::/64 via fec0::2
t "a network that the host cannot reach is said to be so at once" \
	prints 'unreachable|No route|refused' within 5 nc 2001:db8:2::1 80 </dev/null

say "# wants a route"
t "the default route comes with the host's" wait_for 20 has_default_route
t "HTTP GET beyond the gateway" prints 'hello from the host' \
	within 20 wget -q -O - "http://[2001:db8:1::1]:$FAR_PORT/"
say "# wants no route"
t "the default route goes with the host's" wait_for 20 has_no_default_route
serve "hello from the guest"
