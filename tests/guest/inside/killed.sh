# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# MODE busy: keeps the network busy both ways until it is killed.
t "lease" prints 'lease of 10\.0\.2\.15 obtained' lease
serve "still here"
if [ "$MODE" = busy ]; then
	wget -q -O /srv/big "http://10.0.2.2:$WEB_PORT/big"
	wget -q -O /dev/null "http://10.0.2.2:$WEB_PORT/big" &
	wget -q -O - --post-file /srv/big "http://10.0.2.2:$WEB_PORT/cgi-bin/sum" &
	say "# busy"
	while :; do
		wget -q -O /dev/null "http://10.0.2.2:$WEB_PORT/big"
	done
fi
t "gateway answers ping" ping -c 2 -W 5 10.0.2.2
t "HTTP GET" prints 'hello from the host' within 20 wget -q -O - "http://10.0.2.2:$WEB_PORT/"
