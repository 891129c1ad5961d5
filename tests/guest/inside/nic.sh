# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# The short round for one NIC model and MTU.
t "lease" prints 'lease of 10\.0\.2\.[0-9]* obtained.*, lease time 86400' lease
t "MTU is $MTU" test "$(cat /sys/class/net/eth0/mtu)" = "$MTU"
t "gateway answers ping" ping -c 2 -W 5 10.0.2.2
t "gateway answers a ping that fills the MTU" ping -c 2 -W 5 -s $((MTU - 28)) 10.0.2.2
t "a name resolves" nslookup -type=a host.lwnat.internal
t "download of 16 MiB, sha256" fetch_sum "http://10.0.2.2:$WEB_PORT/file" "$FILE_SUM"
t "upload of 16 MiB, sha256" post_sum "http://10.0.2.2:$WEB_PORT/cgi-bin/sum" /tmp/fetched
