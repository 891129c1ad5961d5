# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# 198.51.100.1 answers; to 203.0.113.9 the host has no route.
unreachables() {
	awk '$1 == "Icmp:" && $2 ~ /^[0-9]/ { print $5 }' /proc/net/snmp
}

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
t "HTTP from an outside address" prints 'hello from the host' timeout 20 wget -q -O - "http://198.51.100.1:$WEB_PORT/"
t "a refused port outside is refused at once" refused 198.51.100.1 9
t "what the host cannot reach is unreachable at once" prints 'unreachable|No route' timeout 5 nc 203.0.113.9 80
