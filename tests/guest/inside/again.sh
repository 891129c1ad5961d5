# shellcheck shell=dash disable=SC2154 # lib.sh and the environment that the host handed over
# A guest that was killed and boots again on the same network.
t "same lease as in the life before" prints "lease of $ADDRESS obtained.*, lease time 86400" lease -x hostname:main
t "gateway answers ping" ping -c 2 -W 5 "$GATEWAY"
t "HTTP GET by name" prints 'hello from the host' within 20 wget -q -O - "http://host.lwnat.internal:$WEB_PORT/"
serve "hello from the guest"
