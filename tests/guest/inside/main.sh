# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# The main job: lease, ping, names, HTTP, bulk both ways, refusal, UDP. Run in a guest on the default network.
t "udhcpc obtains its lease" prints "lease of $ADDRESS obtained.*, lease time 86400" lease -x hostname:main
t "router, DNS and mask are the network's" test "$(leased router) $(leased dns) $(leased mask)" = "$GATEWAY $DNS 24"
t "gateway answers ping" ping -c 3 -W 5 "$GATEWAY"
t "gateway answers a ping of 4000 bytes" ping -c 1 -W 5 -s 4000 "$GATEWAY"
t "host.lwnat.internal resolves to the gateway" prints "Address.*: $GATEWAY\$" nslookup -type=a host.lwnat.internal
t "gateway.lwnat.internal resolves" prints "Address.*: $GATEWAY\$" nslookup -type=a gateway.lwnat.internal
t "own DHCP name resolves" prints "Address.*: $ADDRESS\$" nslookup -type=a main.lwnat.internal
t "a name of the upstream server resolves" prints 'Address.*: 192\.0\.2\.77' nslookup -type=a upstream.test
t "a name that does not exist is NXDOMAIN" prints 'NXDOMAIN' nslookup -type=a nothing.test
t "HTTP GET by name" prints 'hello from the host' within 20 wget -q -O - "http://host.lwnat.internal:$WEB_PORT/"
t "download of 64 MiB, sha256" fetch_sum "http://$GATEWAY:$WEB_PORT/big" "$BIG_SUM"
t "the upload will not mistake what is late for lost" nettool patient eth0 "$GATEWAY"
retransmitted=$(awk '/^Tcp: [0-9]/ { print $13 }' /proc/net/snmp)
t "upload of 64 MiB, sha256" post_sum "http://$GATEWAY:$WEB_PORT/cgi-bin/sum" /tmp/fetched
t "the upload had no retransmission" test "$(awk '/^Tcp: [0-9]/ { print $13 }' /proc/net/snmp)" = "$retransmitted"
rm -f /tmp/fetched
t "a refused port is refused at once" refused "$GATEWAY" "$CLOSED_PORT"
t "UDP there and back, 100 bytes" nettool udp-ask "$GATEWAY" "$ECHO_PORT" 100
t "UDP there and back, 9000 bytes" nettool udp-ask "$GATEWAY" "$ECHO_PORT" 9000
serve "hello from the guest"
