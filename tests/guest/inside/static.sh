# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# A guest that was set up for another network: its own address, and a gateway that is not even on its subnet.
ip addr add 172.17.1.1/16 dev eth0
ip link set eth0 up
ip route add 192.168.0.1 dev eth0
ip route add default via 192.168.0.1
t "somebody answers ARP for the foreign gateway" wait_for 20 arping -q -c 1 -w 2 -I eth0 192.168.0.1
t "the network's gateway answers ping" ping -c 2 -W 5 10.0.2.2
t "HTTP from the host" prints 'hello from the host' within 20 wget -q -O - "http://10.0.2.2:$WEB_PORT/"
t "download of 4 MiB, sha256" fetch_sum "http://10.0.2.2:$WEB_PORT/file" "$FILE_SUM"
echo 'nameserver 10.0.2.3' >/etc/resolv.conf
t "the network's DNS answers" nslookup -type=a host.lwnat.internal
serve "this is static"
