# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# A network that is not the default one.
t "udhcpc obtains the first lease of the range" prints "lease of 192.168.31.100 obtained.*, lease time 86400" lease
t "router, DNS and mask" test "$(leased router) $(leased dns) $(leased mask)" = "192.168.31.2 192.168.31.3 24"
t "gateway answers ping" ping -c 2 -W 5 192.168.31.2
t "DNS answers ping" ping -c 2 -W 5 192.168.31.3
t "host.lwnat.internal resolves" prints 'Address.*: 192\.168\.31\.2$' nslookup -type=a host.lwnat.internal
t "HTTP GET by name" prints 'hello from the host' within 20 wget -q -O - "http://host.lwnat.internal:$WEB_PORT/"
serve "hello from the seed"
